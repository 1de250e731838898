//! Whether the webhook's configurations are in force. Pure.
//!
//! A webhook configuration with `failurePolicy: Fail` that nobody answers stops a cluster, so it is registered only when enough replicas have
//! shown that they decide by what is expected. Whoever deletes it by hand (the API server asks no webhook about that) means it: it stays away
//! until somebody arms it again. What was decided stands in a ConfigMap, so that a deletion is noticed even if no operator ran.
//!
//! ```text
//!  Waiting ──enough replicas answer──► Armed ──a configuration is gone──► Disarmed ──request: arm──► Waiting
//!                                       └──request: disarm──────────────────┘  └──its time is over──► Waiting
//! ```
//!
//! Whoever asks for it to be disarmed may say until when. Until then the admission policies over pods are away as well, and afterwards everything comes
//! back by itself: the way out of an emergency that nobody has to remember to close. Without a time the admission policies stay.
//!
//! Order of writing: first the configurations, then the record. An operator that dies between the two finds configurations
//! without a record and completes it; nothing is ever taken for deleted that was not there.

use std::collections::BTreeMap;

use bailiwick_compiler::emit::{BINDINGS, EXCEPTIONS, NAMESPACES};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::certificates::UnixTime;
use crate::kind::Kind;
use crate::object::{Key, Live, Wanted};
use crate::status::cut;

/// The ConfigMap that remembers.
pub const RECORD: &str = "bailiwick-arming";
/// Member of its data by which somebody asks for something: `arm` or `disarm`.
pub const REQUEST: &str = "request";
/// Member of its data: until when it is disarmed, RFC 3339.
pub const UNTIL: &str = "until";
/// Member of its data: why it is disarmed, for people.
pub const REASON: &str = "reason";

/// Longest time for which admission policies can be away: an emergency of more than a day is another kind of problem.
pub const MAX_LEAVE_S: i64 = 24 * 3600;
/// Longest reason, in bytes; it stands in statuses and events.
pub const MAX_REASON: usize = 512;

/// What is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recorded {
    /// Nothing yet, or it waits for replicas.
    #[default]
    Waiting,
    /// The configurations were in force.
    Armed,
    /// Somebody removed them.
    Disarmed,
}

impl Recorded {
    const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Armed => "armed",
            Self::Disarmed => "disarmed",
        }
    }
}

/// For how long it is disarmed, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// Until when; `None`: until somebody arms it. Unix time in seconds.
    pub until: Option<UnixTime>,
    /// Why.
    pub reason: String,
}

impl Leave {
    /// Somebody deleted a configuration.
    #[must_use]
    pub fn by_hand() -> Self {
        Self { until: None, reason: "somebody deleted a webhook configuration".to_owned() }
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What the ConfigMap says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What is remembered.
    pub recorded: Recorded,
    /// What somebody asks for.
    pub request: Option<Request>,
    /// For how long and why, of what is disarmed or asked to be.
    pub leave: Leave,
}

/// What is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What the record says.
    pub recorded: Recorded,
    /// What somebody asks for.
    pub request: Option<Request>,
    /// Whether the time for which it was disarmed is over.
    pub over: bool,
    /// How many of the configurations stand in the cluster.
    pub standing: usize,
    /// How many there are to be.
    pub wanted: usize,
    /// Replicas that answered with everything that is expected.
    pub replicas: usize,
    /// How many must.
    pub enough: usize,
}

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Put them in force again.
    Arm,
    /// Take them away.
    Disarm,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// No configuration is wanted.
    Away(Recorded),
    /// The newest configurations are wanted.
    Newest,
    /// Those that were in force stay as they were: not enough replicas decide by the newest policies yet.
    Before,
}

/// Decides.
#[must_use]
pub const fn decide(known: &Known) -> Stance {
    let enough = known.replicas >= known.enough;
    match (known.recorded, known.request) {
        (_, Some(Request::Disarm)) if !known.over => Stance::Away(Recorded::Disarmed),
        (Recorded::Disarmed, None) if !known.over => Stance::Away(Recorded::Disarmed),
        (Recorded::Armed, _) if known.standing < known.wanted => Stance::Away(Recorded::Disarmed),
        (Recorded::Armed, _) if enough => Stance::Newest,
        (Recorded::Armed, _) => Stance::Before,
        // Without a record, but standing: written by one that died before it could say so.
        (Recorded::Waiting, _) if known.standing > 0 && !enough => Stance::Before,
        (Recorded::Waiting | Recorded::Disarmed, _) if enough => Stance::Newest,
        (Recorded::Waiting | Recorded::Disarmed, _) => Stance::Away(Recorded::Waiting),
    }
}

/// For how long and why the webhook is away after this decision; nothing if it is not disarmed.
#[must_use]
pub fn leave(record: &Record, stance: Stance, now: UnixTime) -> Leave {
    let asked = record.recorded == Recorded::Disarmed
        // A request whose time has passed took nothing away: somebody deleted a configuration.
        || record.request == Some(Request::Disarm) && !record.leave.is_over(now);
    match stance {
        Stance::Away(Recorded::Disarmed) if !asked => Leave::by_hand(),
        Stance::Away(Recorded::Disarmed) if record.leave.reason.is_empty() => {
            Leave { reason: "nobody said why".to_owned(), ..record.leave.clone() }
        }
        Stance::Away(Recorded::Disarmed) => record.leave.clone(),
        _ => Leave::default(),
    }
}

/// Reads the record. A time that cannot be read is none: then the admission policies stay, and so does what is disarmed.
#[must_use]
pub fn read(record: Option<&Live>, now: UnixTime) -> Record {
    let data = |member: &str| record.and_then(|live| live.body.get("data")?.get(member)?.as_str());
    let recorded = match data("state") {
        Some("armed") => Recorded::Armed,
        Some("disarmed") => Recorded::Disarmed,
        _ => Recorded::Waiting,
    };
    let request = match data(REQUEST) {
        Some("arm") => Some(Request::Arm),
        Some("disarm") => Some(Request::Disarm),
        _ => None,
    };
    let until = data(UNTIL).and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_second);
    let leave = Leave {
        until: until.map(|until| until.min(now.saturating_add(MAX_LEAVE_S))),
        reason: cut(data(REASON).unwrap_or_default(), MAX_REASON),
    };
    Record { recorded, request, leave }
}

/// The manifest of the record.
#[must_use]
pub fn record(namespace: &str, recorded: Recorded, leave: &Leave) -> Value {
    let mut data = Map::from_iter([("state".to_owned(), json!(recorded.word()))]);
    if recorded == Recorded::Disarmed {
        let until = leave.until.and_then(|until| Timestamp::from_second(until).ok());
        data.extend(until.map(|until| (UNTIL.to_owned(), json!(until.to_string()))));
        data.insert(REASON.to_owned(), json!(leave.reason));
    }
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": RECORD, "namespace": namespace,
            "labels": { "app.kubernetes.io/managed-by": "bailiwick" },
        },
        "data": data,
    })
}

/// Whether an object is one that is withdrawn while it is disarmed for a time: what judges pods, but not what keeps bindings, exceptions and namespaces.
#[must_use]
pub fn is_withdrawn(key: &Key) -> bool {
    let kind = matches!(key.kind, Kind::ValidatingAdmissionPolicy | Kind::ValidatingAdmissionPolicyBinding);
    let keeps = [BINDINGS, EXCEPTIONS, NAMESPACES].iter().any(|own| key.name.starts_with(own));
    kind && !keeps
}

/// The configurations that were in force, with the authorities that are trusted now: these change whatever the replicas decide by.
#[must_use]
pub fn with_bundle(
    before: &BTreeMap<Key, Wanted>,
    newest: &BTreeMap<Key, Wanted>,
    owner: &str,
) -> BTreeMap<Key, Wanted> {
    let bundle = newest.values().find_map(|one| one.manifest.pointer("/webhooks/0/clientConfig/caBundle"));
    let renewed = before.values().filter_map(|one| {
        let mut manifest = one.manifest.clone();
        for hook in manifest.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
            if let (Some(client), Some(bundle)) =
                (hook.get_mut("clientConfig").and_then(Value::as_object_mut), bundle)
            {
                client.insert("caBundle".to_owned(), bundle.clone());
            }
        }
        Wanted::new(manifest, owner).ok()
    });
    renewed.map(|one| (one.key.clone(), one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(recorded: Recorded, standing: usize, replicas: usize) -> Known {
        Known { recorded, request: None, over: false, standing, wanted: 2, replicas, enough: 2 }
    }

    #[test]
    fn nothing_is_registered_before_enough_replicas_answer() {
        assert_eq!(decide(&known(Recorded::Waiting, 0, 0)), Stance::Away(Recorded::Waiting));
        assert_eq!(decide(&known(Recorded::Waiting, 0, 1)), Stance::Away(Recorded::Waiting));
        assert_eq!(decide(&known(Recorded::Waiting, 0, 2)), Stance::Newest);
    }

    #[test]
    fn what_is_in_force_stays_while_replicas_are_away_and_changes_only_with_them() {
        assert_eq!(decide(&known(Recorded::Armed, 2, 0)), Stance::Before);
        assert_eq!(decide(&known(Recorded::Armed, 2, 2)), Stance::Newest);
    }

    #[test]
    fn a_deletion_by_hand_disarms_until_somebody_arms() {
        let disarmed = Stance::Away(Recorded::Disarmed);
        assert_eq!(decide(&known(Recorded::Armed, 1, 2)), disarmed);
        assert_eq!(decide(&known(Recorded::Armed, 0, 2)), disarmed);
        assert_eq!(decide(&known(Recorded::Disarmed, 0, 2)), disarmed);
        let asked = Known { request: Some(Request::Arm), ..known(Recorded::Disarmed, 0, 2) };
        assert_eq!(decide(&asked), Stance::Newest);
        let alone = Known { replicas: 1, ..asked };
        assert_eq!(decide(&alone), Stance::Away(Recorded::Waiting));
        let away = Known { request: Some(Request::Disarm), ..known(Recorded::Armed, 2, 2) };
        assert_eq!(decide(&away), disarmed);
    }

    #[test]
    fn a_time_that_is_over_arms_again() {
        let over = Known { over: true, ..known(Recorded::Disarmed, 0, 2) };
        assert_eq!(decide(&over), Stance::Newest);
        assert_eq!(decide(&Known { replicas: 0, ..over }), Stance::Away(Recorded::Waiting));
        // Asked for a time that has passed already: nothing happens.
        let late = Known { request: Some(Request::Disarm), over: true, ..known(Recorded::Armed, 2, 2) };
        assert_eq!(decide(&late), Stance::Newest);
    }

    fn live(data: &Value) -> Live {
        let mut manifest = record("n", Recorded::Disarmed, &Leave::default());
        manifest["data"] = data.clone();
        Live::new(Kind::ConfigMap, serde_json::from_value(manifest).unwrap())
    }

    #[test]
    fn what_was_deleted_stays_away_whatever_was_asked_before() {
        let away = Stance::Away(Recorded::Disarmed);
        let asked = |until, reason: &str| Record {
            recorded: Recorded::Armed,
            request: Some(Request::Disarm),
            leave: Leave { until, reason: reason.to_owned() },
        };
        assert_eq!(leave(&asked(Some(900), "why"), away, 800), asked(Some(900), "why").leave);
        // Its time passed while no operator ran, and the configurations were deleted: nothing arms them by itself.
        assert_eq!(leave(&asked(Some(900), "why"), away, 1_000), Leave::by_hand());
        assert_eq!(leave(&asked(None, ""), away, 800).reason, "nobody said why");
        assert_eq!(leave(&asked(None, "why"), Stance::Newest, 800), Leave::default());
    }

    #[test]
    fn times_are_bounded_and_nonsense_is_no_time() {
        let read = |data: &Value| read(Some(&live(data)), 1_000);
        let found = read(&json!({"state": "disarmed", "until": "1970-01-01T01:00:00Z", "reason": "why"}));
        assert_eq!(found.leave, Leave { until: Some(3_600), reason: "why".to_owned() });
        assert!(!found.leave.is_over(3_599) && found.leave.is_over(3_600));
        let far = read(&json!({"state": "armed", "request": "disarm", "until": "2999-01-01T00:00:00Z"}));
        assert_eq!((far.request, far.leave.until), (Some(Request::Disarm), Some(1_000 + MAX_LEAVE_S)));
        for nonsense in ["", "tomorrow", "-1", "1970-01-01T01:00:00"] {
            assert_eq!(
                read(&json!({"state": "disarmed", "until": nonsense})).leave.until,
                None,
                "{nonsense}"
            );
        }
        // What is written is read back.
        let leave = Leave { until: Some(5_000), reason: "r".repeat(MAX_REASON) };
        let written = record("n", Recorded::Disarmed, &leave);
        assert_eq!(read(&written["data"]).leave, leave);
        assert_eq!(record("n", Recorded::Armed, &leave)["data"], json!({"state": "armed"}));
    }

    #[test]
    fn what_judges_pods_is_withdrawn_and_what_keeps_bindings_is_not() {
        let key = |kind, name: &str| Key { kind, namespace: None, name: name.to_owned() };
        for (kind, name, withdrawn) in [
            (Kind::ValidatingAdmissionPolicy, "bailiwick-cells-0123", true),
            (Kind::ValidatingAdmissionPolicyBinding, "bailiwick-tools-images", true),
            (Kind::ValidatingAdmissionPolicy, "bailiwick-bindings", false),
            (Kind::ValidatingAdmissionPolicy, "bailiwick-exceptions", false),
            (Kind::ValidatingAdmissionPolicyBinding, "bailiwick-namespaces-0123", false),
            (Kind::NetworkPolicy, "bailiwick-cells-0123", false),
        ] {
            assert_eq!(is_withdrawn(&key(kind, name)), withdrawn, "{kind:?} {name}");
        }
    }

    #[test]
    fn an_operator_that_died_before_it_wrote_the_record_has_not_disarmed() {
        assert_eq!(decide(&known(Recorded::Waiting, 2, 2)), Stance::Newest);
        assert_eq!(decide(&known(Recorded::Waiting, 1, 2)), Stance::Newest);
        assert_eq!(decide(&known(Recorded::Waiting, 2, 0)), Stance::Before);
    }
}
