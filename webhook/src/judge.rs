//! From the bytes of a review to the bytes of its answer. [`Reviewer::review`] makes the judgement itself;
//! this module adds what a server needs around it: panics, malformed reviews, the log line of a denial.
//!
//! [`Reviewer::review`]: bailiwick_policy::admission::Reviewer::review

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use bailiwick_policy::admission::{AdmissionRequest, Facts, Moment, Phase, Wanted, response};
use bailiwick_policy::decision::{Decision, Effect};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use tracing::{error, info};

use crate::snapshot::Snapshot;
use crate::user::UserInfo;

/// How a review ended.
#[derive(Debug)]
pub(crate) enum Judged {
    /// The AdmissionReview to answer with: the request is allowed.
    Allowed(Vec<u8>),
    /// The AdmissionReview to answer with: the request is denied.
    Denied(Vec<u8>),
    /// Not decided: it needs facts that have not been fetched yet. Also holds the requesting user.
    Wanting(Wanted, Result<UserInfo, String>),
    /// Not a review that can be judged.
    Malformed(String),
    /// The judgement panicked, which is a bug in the webhook.
    Panicked,
}

/// Whether more can be fetched for a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// Missing facts will be fetched.
    More,
    /// Missing facts stay unknown, and deny.
    Last,
}

/// Judges one review, with the facts known so far.
pub(crate) fn judge(snapshot: &Snapshot, body: &[u8], phase: Phase, facts: &Facts, round: Round) -> Judged {
    // The snapshot is immutable and the request is dropped: a panic leaves nothing half-changed.
    let judged = catch_unwind(AssertUnwindSafe(|| judge_unguarded(snapshot, body, phase, facts, round)));
    judged.unwrap_or(Judged::Panicked)
}

fn judge_unguarded(snapshot: &Snapshot, body: &[u8], phase: Phase, facts: &Facts, round: Round) -> Judged {
    let read = match phase {
        Phase::Mutate => AdmissionRequest::parse(body),
        Phase::Validate => snapshot.reviewer.read_to_validate(body),
    };
    let request = match read {
        Ok(request) => request,
        Err(error) => return Judged::Malformed(error.to_string()),
    };
    let reviewed = snapshot.reviewer.review_with(&request, phase, now(), facts);
    if round == Round::More && !reviewed.wanted.is_empty() {
        return Judged::Wanting(reviewed.wanted, UserInfo::of(&request));
    }
    decided(&request, &reviewed.decision)
}

/// The answer to a decision.
pub(crate) fn decided(request: &AdmissionRequest<'_>, decision: &Decision) -> Judged {
    let answer = response::write(&request.uid, decision);
    if decision.allowed {
        Judged::Allowed(answer)
    } else {
        log_denial(request, decision);
        Judged::Denied(answer)
    }
}

/// The clock, which only exceptions are compared with. Before 1970 it is broken, and no exception applies.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).map_or(Moment::END, Moment)
}

/// One log line for each denial. All text chosen by a client is escaped, since a log may be shown on a
/// terminal.
fn log_denial(request: &AdmissionRequest<'_>, decision: &Decision) {
    let first = decision.findings.iter().find(|finding| finding.effect == Effect::Deny);
    let denials = decision.findings.iter().filter(|finding| finding.effect == Effect::Deny).count();
    info!(
        uid = ?request.uid,
        operation = request.operation.name(),
        kind = ?request.kind.kind,
        namespace = ?request.namespace,
        name = ?request.name,
        denials,
        pack = first.map(|finding| finding.pack.as_str()),
        rule = first.map(|finding| finding.rule.as_str()),
        field = first.map(|finding| finding.field.as_str()),
        reason = ?first.map_or("", |finding| finding.message.as_str()),
        "denied"
    );
}

/// The answer that refuses a review without judging it, if its uid is known.
pub(crate) fn refusal(body: &[u8], code: u16, message: &str) -> Option<Vec<u8>> {
    let uid = uid_of(body)?;
    info!(uid = ?uid, code, reason = ?message, "refused");
    Some(response::refuse(&uid, code, message))
}

/// Logs that judging a review panicked.
pub(crate) fn log_panic(body: &[u8]) {
    error!(uid = ?uid_of(body).unwrap_or_default(), "judging a review panicked; it is denied");
}

/// `request.uid` of a review, even of one that is cut off or breaks after it. One longer than the API
/// server's does not count.
fn uid_of(body: &[u8]) -> Option<String> {
    const MAX_UID_BYTES: usize = 128;
    let found = RefCell::new(None);
    // A broken document fails after what was found before it, and that failure is known already.
    let _ = serde_json::Deserializer::from_slice(body)
        .deserialize_map(Find { depth: Level::Review, found: &found });
    found.into_inner().filter(|uid: &String| !uid.is_empty() && uid.len() <= MAX_UID_BYTES)
}

#[derive(Clone, Copy)]
enum Level {
    Review,
    Request,
}

/// Finds `request.uid` and skips everything else.
struct Find<'f> {
    depth: Level,
    found: &'f RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match (self.depth, key.as_str()) {
                (Level::Review, "request") => {
                    map.next_value_seed(Find { depth: Level::Request, found: self.found })?
                }
                (Level::Request, "uid") => *self.found.borrow_mut() = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::uid_of;

    #[test]
    fn the_uid_is_found_in_broken_reviews() {
        let found = |text: &str| uid_of(text.as_bytes());
        assert_eq!(found(r#"{"kind":"x","request":{"uid":"u-1","object":{"a":[1,"#), Some("u-1".into()));
        assert_eq!(found(r#"{"request":{"uid":"u-1"},"#), Some("u-1".into()));
        for nothing in [
            "",
            "[]",
            "{",
            r#"{"uid":"u-1"}"#,
            r#"{"object":{"request":{"uid":"u-1"}}}"#,
            r#"{"request":{"uid":""}}"#,
            r#"{"request":{"uid":7}}"#,
        ] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
        assert_eq!(found(&format!(r#"{{"request":{{"uid":"{}"}}}}"#, "u".repeat(129))), None);
    }
}
