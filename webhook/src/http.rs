//! From an HTTP request to an HTTP response: paths, methods, content types, and the status of each refusal.
//!
//! A review that was judged, or refused with its uid known, is answered with 200 and an AdmissionReview.
//! Without a uid there can be no AdmissionReview. The answer is then an HTTP error with one line of text,
//! which the API server treats as a failed call, and with `failurePolicy: Fail` as a denial.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bailiwick_policy::admission::{Facts, LEARNING_ROUNDS, Phase, Wanted};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout_at;

use crate::body::{self, BodyError};
use crate::cluster::{self, Asked, Cluster, Held};
use crate::deadline::Deadline;
use crate::judge::{self, Judged, Round};
use crate::limits::{EVIDENCE_MARGIN, INLINE_BODY_BYTES};
use crate::metrics::{PathLabel, RefusedLabel, VerdictLabel};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::turns::Turn;

type Answer = Response<Full<Bytes>>;

/// The answer to a request for any other path.
const NO_SUCH_PATH: &str = "no such path; there are /validate, /mutate, /livez, /readyz and /metrics, and with \
     --cluster /own/mutate, /own/validate and /connect\n";

/// Answers one request; never fails.
pub(crate) async fn answer(state: &State, peer: IpAddr, request: Request<Incoming>) -> Answer {
    let received = Instant::now();
    let caller = Caller { peer, received };
    match request.uri().path() {
        "/validate" => review(state, request, How::Policy(Phase::Validate), caller).await,
        "/mutate" => review(state, request, How::Policy(Phase::Mutate), caller).await,
        path @ ("/own/validate" | "/own/mutate" | "/connect") if state.cluster.is_some() => {
            let asked = match path {
                "/own/validate" => Asked::Own(Phase::Validate),
                "/own/mutate" => Asked::Own(Phase::Mutate),
                _ => Asked::Connect,
            };
            review(state, request, How::Asked(asked), caller).await
        }
        path @ ("/livez" | "/readyz" | "/metrics") => {
            if request.method() != Method::GET && request.method() != Method::HEAD {
                return method_not_allowed("GET, HEAD");
            }
            match path {
                "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
                "/readyz" => ready(state),
                _ => metrics(state),
            }
        }
        _ => text(StatusCode::NOT_FOUND, NO_SUCH_PATH.to_owned()),
    }
}

/// Who asks, and since when.
#[derive(Clone, Copy)]
struct Caller {
    peer: IpAddr,
    received: Instant,
}

/// Who waits for an answer, and until when.
#[derive(Clone, Copy)]
struct By {
    peer: IpAddr,
    deadline: Deadline,
}

/// How a review is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// By policy alone.
    Policy(Phase),
    /// With the API server's help.
    Asked(Asked),
}

/// A review that was refused without a judgement.
struct Refusal {
    label: RefusedLabel,
    status: StatusCode,
    message: String,
    /// The part of the body that was read, for its uid.
    body: Bytes,
}

impl Refusal {
    fn new(label: RefusedLabel, status: StatusCode, message: impl Into<String>) -> Self {
        Self { label, status, message: message.into(), body: Bytes::new() }
    }

    fn of_body(error: BodyError) -> Self {
        let message = error.to_string();
        match error {
            BodyError::TooLarge { beginning, .. } => {
                let refusal = Self::new(RefusedLabel::body_size, StatusCode::PAYLOAD_TOO_LARGE, message);
                Self { body: beginning, ..refusal }
            }
            BodyError::Busy => Self::new(RefusedLabel::held_bytes, StatusCode::TOO_MANY_REQUESTS, message),
            BodyError::TimedOut => {
                Self::new(RefusedLabel::body_timeout, StatusCode::REQUEST_TIMEOUT, message)
            }
            BodyError::Broken(_) => Self::new(RefusedLabel::body_broken, StatusCode::BAD_REQUEST, message),
        }
    }
}

async fn review(state: &State, request: Request<Incoming>, how: How, caller: Caller) -> Answer {
    let path = match how {
        How::Policy(Phase::Validate) => PathLabel::validate,
        How::Policy(Phase::Mutate) => PathLabel::mutate,
        How::Asked(Asked::Own(_)) => PathLabel::own,
        How::Asked(Asked::Connect) => PathLabel::connect,
    };
    let in_progress = state.metrics.in_progress();
    let (verdict, answer) = match judged(state, request, how, caller).await {
        Ok((verdict, answer)) => (verdict, json(answer)),
        Err(refusal) => {
            state.metrics.refused(refusal.label);
            (VerdictLabel::refused, refused(&refusal))
        }
    };
    drop(in_progress);
    state.metrics.answered(path, verdict, caller.received.elapsed());
    answer
}

/// Judges a review, or says why it is not judged. The checks are ordered by cost. What waits for its body takes
/// no place of a review that could be judged: a client may let it wait as long as it likes.
async fn judged(
    state: &State,
    request: Request<Incoming>,
    how: How,
    Caller { peer, received }: Caller,
) -> Result<(VerdictLabel, Vec<u8>), Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::new(
            RefusedLabel::method,
            StatusCode::METHOD_NOT_ALLOWED,
            "an AdmissionReview is sent by POST",
        ));
    }
    if !is_json(request.headers().get(CONTENT_TYPE)) {
        let message = "an AdmissionReview is sent as `Content-Type: application/json`";
        return Err(Refusal::new(RefusedLabel::content_type, StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let deadline = Deadline::from_query(request.uri().query(), received);
    let by = By { peer, deadline };
    let until = deadline.or_in(state.limits.body_timeout);
    let share = state.held.of(peer);
    let held =
        body::read(request.into_body(), &state.limits, share, until).await.map_err(Refusal::of_body)?;
    let mut place = state.in_flight.of(peer);
    if !place.grow(1) {
        let message = format!(
            "this client has as many of the {} reviews in progress as it may have; try again",
            state.limits.max_in_flight
        );
        return Err(Refusal::new(RefusedLabel::in_flight, StatusCode::TOO_MANY_REQUESTS, message));
    }
    let refuse = |label, status, message: String| {
        Err(Refusal { body: held.bytes.clone(), ..Refusal::new(label, status, message) })
    };
    if state.cluster.as_ref().is_some_and(|cluster| !cluster.is_ready()) {
        let message = "it is not known yet which policies are bound; try again".to_owned();
        return refuse(RefusedLabel::not_ready, StatusCode::SERVICE_UNAVAILABLE, message);
    }
    let judged = match (how, &state.cluster) {
        (How::Policy(phase), _) => with_evidence(state, &held.bytes, phase, by).await,
        (How::Asked(asked), Some(cluster)) => of_cluster(state, cluster, &held.bytes, asked, by).await,
        (How::Asked(_), None) => None,
    };
    match judged {
        // The last round leaves no demands.
        None | Some(Judged::Wanting(..)) => {
            let message = format!(
                "the review was not finished within the {:?} that the API server gave",
                deadline.timeout()
            );
            refuse(RefusedLabel::deadline, StatusCode::GATEWAY_TIMEOUT, message)
        }
        Some(Judged::Allowed(answer)) => Ok((VerdictLabel::allowed, answer)),
        Some(Judged::Denied(answer)) => Ok((VerdictLabel::denied, answer)),
        Some(Judged::Malformed(reason)) => refuse(RefusedLabel::malformed, StatusCode::BAD_REQUEST, reason),
        Some(Judged::Panicked) => {
            judge::log_panic(&held.bytes);
            let message =
                "judging this review failed because of a fault in bailiwick; it is denied".to_owned();
            refuse(RefusedLabel::panic, StatusCode::INTERNAL_SERVER_ERROR, message)
        }
    }
}

/// Judges a review of Bailiwick's own objects or of connections, a large one in its turn; `None` if the deadline passed
/// first.
async fn of_cluster(state: &State, cluster: &Cluster, body: &Bytes, asked: Asked, by: By) -> Option<Judged> {
    let until = by.deadline.at();
    let held = if body.len() > INLINE_BODY_BYTES {
        // Of these one at a time: a pack is read several times over, and is held while another is compiled.
        let place = cluster.place(until).await.ok()?;
        Some(Arc::new(Held::of(place, turn(state, body, by, state.limits.max_body_bytes).await?)))
    } else {
        None
    };
    let snapshot = state.snapshot.load_full();
    timeout_at(until, cluster::judge(cluster, &snapshot, body, asked, until, held)).await.ok()
}

/// Judges, and between judgements fetches the facts about images and the authorizer's answers that they need.
/// The judgement itself opens no connection.
async fn with_evidence(state: &State, body: &Bytes, phase: Phase, by: By) -> Option<Judged> {
    let mut facts = Arc::new(Facts::default());
    for _ in 0..LEARNING_ROUNDS {
        match evaluate(state, body.clone(), phase, by, Arc::clone(&facts), Round::More).await {
            Some(Judged::Wanting(wanted, user)) => {
                // Leaves time for the last judgement, which reports what could not be learned, and why.
                let until = by.deadline.before(EVIDENCE_MARGIN);
                let Facts { images, answers } = Arc::make_mut(&mut facts);
                let Wanted { images: demands, questions } = wanted;
                tokio::join!(
                    state.images.answer(demands, until, images),
                    cluster::answer(state.cluster.as_deref(), user, questions, until.into(), answers),
                );
            }
            judged => return judged,
        }
    }
    evaluate(state, body.clone(), phase, by, facts, Round::Last).await
}

/// Judges a review here, or in the blocking pool if it may take long; `None` if the deadline passed first.
///
/// A review of an ordinary pod takes a fraction of a millisecond; handing it to another thread and back would
/// only add to that. Fuel bounds all other reviews, but not in time. So a large review, and for a while every
/// review after a small one was slow, is judged in the pool while the deadline is kept here. A review that is
/// abandoned there runs out of fuel by itself.
async fn evaluate(
    state: &State,
    body: Bytes,
    phase: Phase,
    by: By,
    facts: Arc<Facts>,
    round: Round,
) -> Option<Judged> {
    let deadline = by.deadline;
    if deadline.passed() {
        return None;
    }
    let snapshot: Arc<Snapshot> = state.snapshot.load_full();
    if body.len() <= INLINE_BODY_BYTES && !snapshot.is_slow() {
        let judged = timed(&snapshot, &body, phase, &facts, round);
        return (!deadline.passed()).then_some(judged);
    }
    // Given back when the judgement ends, also when nobody waits for it any more.
    let turn = turn(state, &body, by, body.len()).await?;
    let task = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        timed(&snapshot, &body, phase, &facts, round)
    });
    match timeout_at(deadline.at(), task).await {
        Ok(Ok(judged)) => Some(judged),
        Ok(Err(_)) => Some(Judged::Panicked),
        Err(_) => None,
    }
}

/// A turn of so many bytes for a large review, which a small one does not need; `None` if the deadline passed first.
async fn turn(state: &State, body: &Bytes, by: By, bytes: usize) -> Option<Option<Turn>> {
    if body.len() <= INLINE_BODY_BYTES {
        return Some(None);
    }
    timeout_at(by.deadline.at(), state.large.of(by.peer, bytes)).await.ok()?.map(Some)
}

/// Judges, and reports to the snapshot how long that took.
fn timed(snapshot: &Snapshot, body: &[u8], phase: Phase, facts: &Facts, round: Round) -> Judged {
    let began = Instant::now();
    let judged = judge::judge(snapshot, body, phase, facts, round);
    // A large body may be slow because of its size, and predicts nothing about the next.
    if body.len() <= INLINE_BODY_BYTES {
        snapshot.took(began.elapsed());
    }
    judged
}

/// `application/json`, with or without parameters.
fn is_json(content_type: Option<&HeaderValue>) -> bool {
    let Some(text) = content_type.and_then(|value| value.to_str().ok()) else { return false };
    text.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// A denied AdmissionReview if the uid is known, an HTTP error otherwise. A request to retry needs the HTTP
/// status.
fn refused(refusal: &Refusal) -> Answer {
    if refusal.status != StatusCode::TOO_MANY_REQUESTS
        && let Some(answer) = judge::refusal(&refusal.body, refusal.status.as_u16(), &refusal.message)
    {
        return json(answer);
    }
    tracing::info!(code = refusal.status.as_u16(), reason = ?refusal.message, "refused");
    let mut answer = text(refusal.status, format!("{}\n", refusal.message));
    let headers = answer.headers_mut();
    match refusal.status {
        StatusCode::TOO_MANY_REQUESTS => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))),
        StatusCode::METHOD_NOT_ALLOWED => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
        _ => {}
    }
    answer
}

/// Ready while something is in force and the process is not about to end. An older policy that is still in
/// force keeps the webhook ready, and the answer says so: an unready webhook would deny everything instead.
fn ready(state: &State) -> Answer {
    if state.draining.load(Relaxed) {
        return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
    }
    if state.cluster.as_ref().is_some_and(|cluster| !cluster.is_ready()) {
        let mut lines = vec!["it is not known yet which policies are bound".to_owned()];
        lines.extend(state.refused_reloads().iter().map(|reason| reason.escape_debug().to_string()));
        return text(StatusCode::SERVICE_UNAVAILABLE, lines.join("\n") + "\n");
    }
    let mut lines = vec!["ok".to_owned()];
    for reason in state.refused_reloads() {
        lines.push(format!("changed files refused, older ones in force: {}", reason.escape_debug()));
    }
    for bundle in &state.snapshot.load().bundles {
        lines.push(format!(
            "bundle {} sha256:{} cell {} stage {}",
            bundle.file.escape_debug(),
            bundle.digest,
            bundle.cell,
            bundle.stage.word()
        ));
    }
    text(StatusCode::OK, lines.join("\n") + "\n")
}

fn metrics(state: &State) -> Answer {
    state.metrics.held_bytes.set(i64::try_from(state.held.now()).unwrap_or(i64::MAX));
    state.metrics.set_images(state.images.figures());
    let mut answer = text(StatusCode::OK, state.metrics.text());
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed} here\n"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn json(body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
