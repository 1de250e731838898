//! The Kubernetes Events that the operator writes for readers: repaired drift, changed conditions, whether
//! the webhook is armed.
//!
//! Events may get lost: no decision depends on one, no pass fails for want of one, and none is sent while
//! nothing happens. They are written next to the objects that they describe. Those of cluster-scoped objects
//! are in namespace `default`, as is usual.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::debug;

use crate::arming::{Disarmament, Recorded};
use crate::limits::{MAX_EVENTS, MAX_NOTE, WRITE_TIMEOUT, WRITES_AT_ONCE};
use crate::object::{Drift, Live};
use crate::report::Due;
use crate::status::cut;

/// Name of the reporter.
const CONTROLLER: &str = "bailiwick-operator";

/// Passes whose events may wait to be sent: at one pass a second, the time that an API server takes to come
/// back.
const WAITING_PASSES: usize = 16;

/// An event to report.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// The object.
    pub about: Arc<Live>,
    /// Whether it is a warning.
    pub warns: bool,
    /// The reason, one word for programs.
    pub reason: String,
    /// What was done or found, one word.
    pub action: &'static str,
    /// The same for readers.
    pub note: String,
}

/// Another client changed an object, and it was restored.
#[must_use]
pub fn drifted(about: &Arc<Live>, drift: Drift) -> News {
    let (reason, did) = match drift {
        Drift::Deleted => ("DriftDeleted", "deleted"),
        Drift::Edited => ("DriftEdited", "changed"),
    };
    News {
        about: Arc::clone(about),
        warns: true,
        reason: reason.to_owned(),
        action: "Repaired",
        note: format!("somebody else {did} it; it is back as the packs in force want it"),
    }
}

/// The conditions that a new status changes. A condition that is not met yet is a warning only if it was met
/// before.
#[must_use]
pub fn turned(due: &Due) -> Vec<News> {
    let conditions = |status: &Value| status.get("conditions").and_then(Value::as_array).cloned();
    let before = conditions(&due.live.status).unwrap_or_default();
    let after = conditions(&due.status).unwrap_or_default();
    let text = |condition: &Value, member: &str| -> String {
        condition.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut news = Vec::new();
    for condition in &after {
        let aspect = text(condition, "type");
        let known = before.iter().find(|one| text(one, "type") == aspect);
        let same =
            |known: &Value| ["status", "reason"].iter().all(|at| text(known, at) == text(condition, at));
        if known.is_some_and(same) {
            continue;
        }
        let holds = text(condition, "status") == "True";
        let held = known.is_some_and(|known| text(known, "status") == "True");
        news.push(News {
            about: Arc::clone(&due.live),
            warns: !holds && (held || aspect != bailiwick_crds::status::READY),
            reason: text(condition, "reason"),
            action: if holds { "Confirmed" } else { "Found" },
            note: format!("{aspect}: {}", text(condition, "message")),
        });
    }
    news
}

/// The webhook was armed or disarmed; `about` is the record.
#[must_use]
pub fn armed(about: &Arc<Live>, recorded: Recorded, disarmament: &Disarmament, until: Option<&str>) -> News {
    let (warns, reason, note) = match (recorded, until) {
        (Recorded::Armed, _) => (false, "Armed", "the webhook's configurations are in force".to_owned()),
        (Recorded::Waiting, _) => {
            (false, "Arming", "the webhook's configurations come once enough replicas answer".to_owned())
        }
        (Recorded::Disarmed, None) => (
            true,
            "Disarmed",
            format!("until somebody arms it; admission policies stay: {}", disarmament.reason),
        ),
        // A reason of its own: events with the same reason are aggregated, with the text of the first.
        (Recorded::Disarmed, Some(until)) => (
            true,
            "Withdrawn",
            format!("until {until}, with the admission policies over pods: {}", disarmament.reason),
        ),
    };
    News { about: Arc::clone(about), warns, reason: reason.to_owned(), action: "Armed", note }
}

/// Sends events outside the passes, so that the pass that repairs drift waits for none of them.
pub struct EventRecorder {
    passes: mpsc::Sender<Vec<News>>,
}

impl EventRecorder {
    /// Starts sending in the name of this operator.
    #[must_use]
    pub fn start(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: CONTROLLER.to_owned(), instance: Some(identity.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        let (passes, mut told) = mpsc::channel::<Vec<News>>(WAITING_PASSES);
        tokio::spawn(async move {
            while let Some(news) = told.recv().await {
                let sent = news.into_iter().take(MAX_EVENTS).map(|one| send(recorder.clone(), one));
                stream::iter(sent).buffer_unordered(WRITES_AT_ONCE).collect::<Vec<()>>().await;
            }
        });
        Self { passes }
    }

    /// Queues the first [`MAX_EVENTS`] events of a pass; none of them if the API server has not accepted
    /// those of many earlier passes.
    pub fn publish(&self, news: Vec<News>) {
        if news.len() > MAX_EVENTS {
            debug!(left_out = news.len() - MAX_EVENTS, "more happened than is published");
        }
        if !news.is_empty() && self.passes.try_send(news).is_err() {
            debug!("events of earlier passes are still being sent; those of this one are left out");
        }
    }
}

async fn send(recorder: Recorder, news: News) {
    let event = Event {
        type_: if news.warns { EventType::Warning } else { EventType::Normal },
        reason: news.reason,
        note: Some(cut(&news.note, MAX_NOTE)),
        action: news.action.to_owned(),
        secondary: None,
    };
    match timeout(WRITE_TIMEOUT, recorder.publish(&event, &reference(&news.about))).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(about = %news.about.key, %error, "an event was not taken"),
        Err(_) => debug!(about = %news.about.key, "an event was not answered in time"),
    }
}

fn reference(live: &Live) -> ObjectReference {
    let resource = live.key.kind.resource();
    ObjectReference {
        api_version: Some(resource.api_version),
        kind: Some(resource.kind),
        namespace: live.key.namespace.clone(),
        name: Some(live.key.name.clone()),
        uid: Some(live.uid.clone()),
        resource_version: None,
        field_path: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::Kind;
    use crate::object::Key;

    fn live(status: Value) -> Arc<Live> {
        let key = Key { kind: Kind::PolicyBinding, namespace: None, name: "b".to_owned() };
        Arc::new(Live { status, ..Live::named(key) })
    }

    fn said(all: &[(&str, &str, &str)]) -> Value {
        let one = |(aspect, status, reason): &(&str, &str, &str)| json!({"type": aspect, "status": status, "reason": reason, "message": "m"});
        json!({ "conditions": all.iter().map(one).collect::<Vec<_>>() })
    }

    fn told(before: &[(&str, &str, &str)], after: &[(&str, &str, &str)]) -> Vec<(bool, String)> {
        let due = Due { live: live(said(before)), status: said(after) };
        turned(&due).into_iter().map(|news| (news.warns, news.reason)).collect()
    }

    #[test]
    fn what_turned_is_told_once_and_what_stayed_is_not() {
        let (good, bad) = (("Enforced", "True", "InPlace"), ("Enforced", "False", "CannotApply"));
        assert_eq!(told(&[], &[good]), [(false, "InPlace".to_owned())]);
        assert_eq!(told(&[good], &[good]), []);
        assert_eq!(told(&[good], &[bad]), [(true, "CannotApply".to_owned())]);
        assert_eq!(told(&[], &[bad]), [(true, "CannotApply".to_owned())]);
        assert_eq!(told(&[bad], &[("Enforced", "False", "Other")]), [(true, "Other".to_owned())]);
    }

    #[test]
    fn what_is_not_ready_yet_is_no_warning_and_what_is_no_more_is_one() {
        let (yes, no) = (("Ready", "True", "Ready"), ("Ready", "False", "Waiting"));
        assert_eq!(told(&[], &[no]), [(false, "Waiting".to_owned())]);
        assert_eq!(told(&[no], &[yes]), [(false, "Ready".to_owned())]);
        assert_eq!(told(&[yes], &[no]), [(true, "Waiting".to_owned())]);
    }
}
