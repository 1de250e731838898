//! `/v1/sessions/{id}/calls`: one call, answered when it has ended, or streamed while it runs.
//!
//! ```text
//! POST ──► decided, recorded ──► denied 403, throttled 429, asked 202: the answer is the decision
//!                             └► runs ──► 200 with outcome and output, or a stream: decision, chunks, outcome
//! ```

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::{App, Body, Named, Params};
use crate::calls::CallState;
use crate::connection::Connection;
use crate::executor::{Entered, NotEntered, Started};
use crate::limits::{CHUNK_BYTES, MAX_IDEMPOTENCY_KEY, MAX_LONG_POLL};
use crate::refusal::Refusal;
use crate::run::{Job, Rest};
use crate::sessions::Turn;
use crate::wire::{Call, CallRequest, Event};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartQuery {
    /// Whether the output comes while the call runs.
    #[serde(default)]
    stream: bool,
}

pub(super) async fn start(
    State(app): State<App>,
    Named(session): Named<String>,
    Params(query): Params<StartQuery>,
    Extension(client): Extension<Arc<Connection>>,
    headers: HeaderMap,
    mut body: Body,
) -> Result<Response, Refusal> {
    // The text goes below, and what was read from it takes the room instead.
    let share = body.share.take();
    let key = idempotency_key(&headers)?;
    let request: CallRequest = body.json()?;
    let durable_result = request.wait_for_result_record;
    let entered = app.enter(&session, &request, key, share);
    drop((request, body));
    let (call, rest) = match entered {
        Err(NotEntered::Refused(refusal)) => return Err(refusal),
        Err(NotEntered::Repeats(known)) => (known, None),
        Ok(entered) => {
            let turn = if query.stream { None } else { entered.try_turn() };
            match turn {
                Some(turn) => run_here(&app, entered, turn, &client)?,
                None => (run_elsewhere(&app, entered).await?, None),
            }
        }
    };
    if let Some(rest) = rest {
        client.leave(rest);
        if !durable_result {
            return Ok(answer(&app, &call));
        }
        client.begin_rest();
    }
    if query.stream && call.runs() {
        return Ok(stream(app, call));
    }
    let ended = call.ended().await;
    if durable_result && ended {
        call.result_recorded().await;
    }
    Ok(answer(&app, &call))
}

/// Decides a call and, if it is allowed, runs its command, on the thread of its connection: waking another thread
/// takes as long as the decision, and so would waking this one again for the answer. The runtime moves other
/// connections to another thread meanwhile. The client may leave; an allowed call runs all the same. Returns what is
/// left to do for the call, which its client need not wait for.
fn run_here(
    app: &App,
    entered: Entered,
    turn: Turn,
    client: &Connection,
) -> Result<(Arc<CallState>, Option<Rest>), Refusal> {
    tokio::task::block_in_place(|| {
        let decided = catch_unwind(AssertUnwindSafe(|| app.decide_call(entered, turn)));
        let Started { call, job } = decided.unwrap_or(Err(Refusal::Fault))?;
        let rest = match job {
            Some(job) if job.has_command() => run_job(job, client),
            // The clerk does not watch the client.
            Some(job) => {
                tokio::task::spawn_blocking(|| job.run(None).finish());
                None
            }
            None => None,
        };
        Ok((call, rest))
    })
}

/// Runs a job to its end. A panic has ended the call, for its client too, when this returns.
fn run_job(job: Job, client: &Connection) -> Option<Rest> {
    catch_unwind(AssertUnwindSafe(|| job.run(Some(client)))).ok()
}

/// Decides a call, and runs it if it is allowed, on another thread: its output can be told meanwhile, and its client
/// is noticed when it leaves before the turn of the session has come.
async fn run_elsewhere(app: &App, entered: Entered) -> Result<Arc<CallState>, Refusal> {
    let app = Arc::clone(app);
    let (tell, told) = tokio::sync::oneshot::channel();
    // The client may have gone meanwhile; an allowed call runs all the same.
    tokio::task::spawn_blocking(move || match app.start_entered(entered) {
        Ok(Started { call, job }) => {
            let _ = tell.send(Ok(call));
            if let Some(job) = job {
                job.run(None).finish();
            }
        }
        Err(refusal) => drop(tell.send(Err(refusal))),
    });
    told.await.unwrap_or(Err(Refusal::Fault))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::Malformed("a call has one idempotency key".to_owned()));
    }
    let text = value.to_str().ok().filter(|text| !text.is_empty() && text.len() <= MAX_IDEMPOTENCY_KEY);
    let text = text.ok_or_else(|| {
        Refusal::Malformed(format!(
            "an idempotency key is 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters"
        ))
    })?;
    Ok(Some(text.to_owned()))
}

fn answer(app: &App, call: &CallState) -> Response {
    let view = app.view(call, &call.output().all());
    let status = status(&view);
    let retry_after_ms = view.decision.retry_after_ms;
    let mut response = (status, Json(view)).into_response();
    if let Some(ms) = retry_after_ms
        && let Ok(seconds) = HeaderValue::try_from(ms.div_ceil(1000).to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

fn status(view: &Call) -> StatusCode {
    match view.decision.effect {
        "Allow" => StatusCode::OK,
        "Ask" => StatusCode::ACCEPTED,
        _ if view.decision.retry_after_ms.is_some() => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::FORBIDDEN,
    }
}

/// NDJSON: the decision, chunks as they come, the outcome. A client that reads slowly slows down only itself:
/// it reads from the call's kept output, which is bounded.
fn stream(app: App, call: Arc<CallState>) -> Response {
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Bytes, Infallible>>(1);
    tokio::spawn(async move {
        let decision = Event::Decision { id: call.id().to_owned(), decision: call.decision().clone() };
        if send.send(Ok(line(&decision))).await.is_err() {
            return;
        }
        let (mut stdout, mut stderr) = (0, 0);
        loop {
            let part = call.output().next(stdout, stderr, CHUNK_BYTES).await;
            for (stream, bytes, offset) in
                [("stdout", &part.stdout, &mut stdout), ("stderr", &part.stderr, &mut stderr)]
            {
                if bytes.is_empty() {
                    continue;
                }
                let chunk = Event::Chunk { stream, offset: *offset, data: STANDARD.encode(bytes) };
                *offset += bytes.len();
                if send.send(Ok(line(&chunk))).await.is_err() {
                    return;
                }
            }
            if part.ended {
                break;
            }
        }
        call.ended().await;
        let nothing = crate::output::Part::default();
        let outcome = Event::Outcome { call: Box::new(app.view(&call, &nothing)) };
        let _ = send.send(Ok(line(&outcome))).await;
    });
    let body = HttpBody::from_stream(Receiving(receive));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn line(event: &Event) -> Bytes {
    // An event has no map with keys that are not strings, so it always has a JSON form.
    let mut text = serde_json::to_vec(event).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// A channel as a stream of body parts.
struct Receiving(tokio::sync::mpsc::Receiver<Result<Bytes, Infallible>>);

impl futures_core::Stream for Receiving {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GetQuery {
    /// Offset into standard output.
    #[serde(default)]
    stdout: usize,
    /// Offset into standard error.
    #[serde(default)]
    stderr: usize,
    /// How many milliseconds to wait for something new.
    #[serde(default)]
    wait_ms: u64,
}

pub(super) async fn get(
    State(app): State<App>,
    Named((session, call)): Named<(String, String)>,
    Params(query): Params<GetQuery>,
) -> Result<Json<Call>, Refusal> {
    let call = app.call(&session, &call)?;
    let wait = Duration::from_millis(query.wait_ms).min(MAX_LONG_POLL);
    let next = call.output().next(query.stdout, query.stderr, usize::MAX);
    let part = match tokio::time::timeout(wait, next).await {
        Ok(part) => {
            if part.ended {
                call.ended().await;
            }
            part
        }
        Err(_) => call.output().since(query.stdout, query.stderr, usize::MAX),
    };
    Ok(Json(app.view(&call, &part)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StdinQuery {
    /// Whether this is the end of the input.
    #[serde(default)]
    close: bool,
}

pub(super) async fn stdin(
    State(app): State<App>,
    Named((session, call)): Named<(String, String)>,
    Params(query): Params<StdinQuery>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let call = app.call(&session, &call)?;
    call.feed(body.bytes, query.close)?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signal {
    /// `INT`, `TERM`, `HUP`, `USR1`, `USR2` or `KILL`.
    signal: String,
}

pub(super) async fn signal(
    State(app): State<App>,
    Named((session, call)): Named<(String, String)>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let Signal { signal } = body.json()?;
    app.call(&session, &call)?.signal(&signal)?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn cancel(
    State(app): State<App>,
    Named((session, call)): Named<(String, String)>,
) -> Result<StatusCode, Refusal> {
    app.call(&session, &call)?.cancel()?;
    Ok(StatusCode::ACCEPTED)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::run::tests::{Panics, executor, started};

    /// Its command may have run: a client that was told that nothing has would run it again.
    #[tokio::test]
    async fn a_client_whose_call_a_panic_ends_is_told_that_its_outcome_is_unknown() {
        let state = tempfile::tempdir().unwrap();
        let executor = executor(state.path());
        let work = |app: App| {
            let session = app.open_session().unwrap().id;
            let Started { call, job } = started(&app, &session);
            (call, job.unwrap())
        };
        let app = Arc::clone(&executor);
        let (call, job) = tokio::task::spawn_blocking(move || work(app)).await.unwrap();
        call.attach(Box::new(Panics));
        let (socket, _client) = UnixStream::pair().unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let client = Connection::new(&socket, place).unwrap();
        assert!(run_job(job, &client).is_none());
        let answered = answer(&executor, &call);
        assert_eq!(answered.status(), StatusCode::OK);
        let body = http_body_util::BodyExt::collect(answered.into_body()).await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["outcome"]["kind"], &body["durable"]), (&"Unknown".into(), &"intent".into()));
    }
}
