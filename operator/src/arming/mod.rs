//! Decides whether the webhook's configurations are in force; `configurations` has the steps to them. Pure.
//!
//! A webhook configuration with `failurePolicy: Fail` and no webhook to answer stops a cluster. It is
//! therefore registered only when enough replicas have shown that they decide by what is expected. A
//! configuration that is deleted by hand (the API server calls no webhook for that) is taken as a decision:
//! it stays away until it is armed again. The state is in a ConfigMap, so that a deletion is noticed even if
//! no operator was running.
//!
//! ```text
//!  Waiting ──enough replicas answer──► Armed ──a configuration is gone──► Disarmed ──request: arm──► Waiting
//!                                       └──request: disarm──────────────────┘  └──its time is over──► Waiting
//! ```
//!
//! A request to disarm may have an end time. Until then the admission policies over pods are removed as well,
//! and afterwards everything comes back by itself: a way out of an emergency that closes without anyone
//! remembering to close it. Without an end time the admission policies stay.
//!
//! Order of writing: first the configurations, then the record. An operator that dies between the two finds
//! configurations without a record and completes it. A configuration that never existed is never taken for
//! deleted.

use bailiwick_compiler::emit::{BINDINGS, EXCEPTIONS, EXTENDED, NAMESPACES, PACKS, configuration_name};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::certificates::UnixTime;
use crate::kind::Kind;
use crate::object::{Key, Live};
use crate::status::cut;

mod configurations;

pub use configurations::{Configurations, KINDS};

/// The ConfigMap that holds the record.
pub const RECORD: &str = "bailiwick-arming";
/// Member of its data that holds a request: `arm` or `disarm`.
pub const REQUEST: &str = "request";
/// Member of its data: the time until which it is disarmed, RFC 3339.
pub const UNTIL: &str = "until";
/// Member of its data: why it is disarmed, for readers.
pub const REASON: &str = "reason";

/// Longest time for which admission policies can be removed: an emergency of more than a day is another kind
/// of problem.
pub const MAX_DISARMAMENT_S: i64 = 24 * 3600;
/// Most configurations of a kind that the record may count: each is looked up.
const MAX_CONFIGURATIONS: usize = 256;
/// Longest reason, in bytes; it appears in statuses and events.
pub const MAX_REASON: usize = 512;

/// Member of its data: how many configurations of each kind are in force, if not one.
const CONFIGURATIONS: &str = "configurations";

/// The recorded state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recorded {
    /// No state yet, or waiting for replicas.
    #[default]
    Waiting,
    /// The configurations were in force.
    Armed,
    /// An administrator removed them.
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
pub struct Disarmament {
    /// The end time; `None`: until it is armed again. Unix time in seconds.
    pub until: Option<UnixTime>,
    /// Why.
    pub reason: String,
}

impl Disarmament {
    /// A configuration was deleted by hand.
    #[must_use]
    pub fn by_hand() -> Self {
        Self { until: None, reason: "somebody deleted a webhook configuration".to_owned() }
    }

    /// Whether its end time has passed.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// The content of the ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The recorded state.
    pub recorded: Recorded,
    /// The request, if there is one.
    pub request: Option<Request>,
    /// Until when and why it is disarmed, or requested to be.
    pub disarmament: Disarmament,
    /// How many configurations of each kind were in force, at least one.
    pub configurations: usize,
}

impl Record {
    /// The configurations that exist if none was deleted.
    pub fn configurations(&self) -> impl Iterator<Item = Key> {
        let numbers = 0..self.configurations.max(1);
        let of = |at| KINDS.map(|kind| Key { kind, namespace: None, name: configuration_name(at) });
        numbers.flat_map(of)
    }
}

/// The input of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The recorded state.
    pub recorded: Recorded,
    /// The request, if there is one.
    pub request: Option<Request>,
    /// Whether the end time of the disarmament has passed.
    pub over: bool,
    /// How many of the configurations exist in the cluster.
    pub standing: usize,
    /// How many should exist.
    pub wanted: usize,
    /// Replicas that answered with everything that is expected.
    pub replicas: usize,
    /// How many replicas are required.
    pub enough: usize,
}

/// A request by an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Put them in force again.
    Arm,
    /// Remove them.
    Disarm,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// No configuration is wanted.
    Away(Recorded),
    /// The newest configurations are wanted.
    Newest,
    /// Those that were in force stay unchanged: not enough replicas decide by the newest policies yet. An
    /// operator that starts does not know them, and cannot take what stands for them: the newest take their place.
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
        // Configurations without a record: an operator wrote them and died before it could record them.
        (Recorded::Waiting, _) if known.standing > 0 && !enough => Stance::Before,
        (Recorded::Waiting | Recorded::Disarmed, _) if enough => Stance::Newest,
        (Recorded::Waiting | Recorded::Disarmed, _) => Stance::Away(Recorded::Waiting),
    }
}

/// Until when and why the webhook is disarmed after this decision; empty if it is not disarmed.
#[must_use]
pub fn disarmament(record: &Record, stance: Stance, now: UnixTime) -> Disarmament {
    let asked = record.recorded == Recorded::Disarmed
        // A request whose end time has passed removed nothing: a configuration was deleted by hand.
        || record.request == Some(Request::Disarm) && !record.disarmament.is_over(now);
    match stance {
        Stance::Away(Recorded::Disarmed) if !asked => Disarmament::by_hand(),
        Stance::Away(Recorded::Disarmed) if record.disarmament.reason.is_empty() => {
            Disarmament { reason: "no reason given".to_owned(), ..record.disarmament.clone() }
        }
        Stance::Away(Recorded::Disarmed) => record.disarmament.clone(),
        _ => Disarmament::default(),
    }
}

/// Reads the record. An unreadable time counts as no end time: then the admission policies stay, and a
/// disarmed webhook stays disarmed.
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
    let disarmament = Disarmament {
        until: until.map(|until| until.min(now.saturating_add(MAX_DISARMAMENT_S))),
        reason: cut(data(REASON).unwrap_or_default(), MAX_REASON),
    };
    let configurations =
        data(CONFIGURATIONS).and_then(|text| text.parse().ok()).unwrap_or(1).clamp(1, MAX_CONFIGURATIONS);
    Record { recorded, request, disarmament, configurations }
}

/// The manifest of the record.
#[must_use]
pub fn record(
    namespace: &str,
    recorded: Recorded,
    disarmament: &Disarmament,
    configurations: usize,
) -> Value {
    let mut data = Map::from_iter([("state".to_owned(), json!(recorded.word()))]);
    if recorded == Recorded::Armed && configurations > 1 {
        data.insert(CONFIGURATIONS.to_owned(), json!(configurations.to_string()));
    }
    if recorded == Recorded::Disarmed {
        let until = disarmament.until.and_then(|until| Timestamp::from_second(until).ok());
        data.extend(until.map(|until| (UNTIL.to_owned(), json!(until.to_string()))));
        data.insert(REASON.to_owned(), json!(disarmament.reason));
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

/// Whether an object is removed while the webhook is disarmed for a time: what judges pods, but not what
/// protects bindings, exceptions and namespaces.
#[must_use]
pub fn is_withdrawn(key: &Key) -> bool {
    let kind = matches!(key.kind, Kind::ValidatingAdmissionPolicy | Kind::ValidatingAdmissionPolicyBinding);
    let keeps =
        [BINDINGS, EXCEPTIONS, EXTENDED, NAMESPACES, PACKS].iter().any(|own| key.name.starts_with(own));
    kind && !keeps
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
        // A request whose end time has already passed has no effect.
        let late = Known { request: Some(Request::Disarm), over: true, ..known(Recorded::Armed, 2, 2) };
        assert_eq!(decide(&late), Stance::Newest);
    }

    fn live(data: &Value) -> Live {
        let mut manifest = record("n", Recorded::Disarmed, &Disarmament::default(), 1);
        manifest["data"] = data.clone();
        Live::new(Kind::ConfigMap, serde_json::from_value(manifest).unwrap())
    }

    #[test]
    fn what_was_deleted_stays_away_whatever_was_asked_before() {
        let away = Stance::Away(Recorded::Disarmed);
        let asked = |until, reason: &str| Record {
            recorded: Recorded::Armed,
            request: Some(Request::Disarm),
            disarmament: Disarmament { until, reason: reason.to_owned() },
            configurations: 1,
        };
        assert_eq!(disarmament(&asked(Some(900), "why"), away, 800), asked(Some(900), "why").disarmament);
        // Its end time passed while no operator ran, and the configurations were deleted: nothing arms them
        // by itself.
        assert_eq!(disarmament(&asked(Some(900), "why"), away, 1_000), Disarmament::by_hand());
        assert_eq!(disarmament(&asked(None, ""), away, 800).reason, "no reason given");
        assert_eq!(disarmament(&asked(None, "why"), Stance::Newest, 800), Disarmament::default());
    }

    #[test]
    fn times_are_bounded_and_nonsense_is_no_time() {
        let read = |data: &Value| read(Some(&live(data)), 1_000);
        let found = read(&json!({"state": "disarmed", "until": "1970-01-01T01:00:00Z", "reason": "why"}));
        assert_eq!(found.disarmament, Disarmament { until: Some(3_600), reason: "why".to_owned() });
        assert!(!found.disarmament.is_over(3_599) && found.disarmament.is_over(3_600));
        let far = read(&json!({"state": "armed", "request": "disarm", "until": "2999-01-01T00:00:00Z"}));
        assert_eq!(
            (far.request, far.disarmament.until),
            (Some(Request::Disarm), Some(1_000 + MAX_DISARMAMENT_S))
        );
        for nonsense in ["", "tomorrow", "-1", "1970-01-01T01:00:00"] {
            assert_eq!(
                read(&json!({"state": "disarmed", "until": nonsense})).disarmament.until,
                None,
                "{nonsense}"
            );
        }
        // A written record is read back unchanged.
        let disarmament = Disarmament { until: Some(5_000), reason: "r".repeat(MAX_REASON) };
        let written = record("n", Recorded::Disarmed, &disarmament, 4);
        assert_eq!(read(&written["data"]).disarmament, disarmament);
        assert_eq!(record("n", Recorded::Armed, &disarmament, 1)["data"], json!({"state": "armed"}));
        let several = read(&record("n", Recorded::Armed, &disarmament, 2)["data"]);
        let names: Vec<String> = several.configurations().map(|key| key.name).collect();
        assert_eq!(names, ["bailiwick", "bailiwick", "bailiwick-1", "bailiwick-1"]);
        for nonsense in ["", "0", "-1", "many"] {
            assert_eq!(read(&json!({"state": "armed", "configurations": nonsense})).configurations, 1);
        }
    }

    #[test]
    fn what_judges_pods_is_withdrawn_and_what_keeps_bindings_is_not() {
        let key = |kind, name: &str| Key { kind, namespace: None, name: name.to_owned() };
        for (kind, name, withdrawn) in [
            (Kind::ValidatingAdmissionPolicy, "bailiwick-cells-0123", true),
            (Kind::ValidatingAdmissionPolicyBinding, "bailiwick-tools-images", true),
            (Kind::ValidatingAdmissionPolicy, "bailiwick-bindings", false),
            (Kind::ValidatingAdmissionPolicy, "bailiwick-exceptions", false),
            (Kind::ValidatingAdmissionPolicy, "bailiwick-packs", false),
            (Kind::ValidatingAdmissionPolicy, "bailiwick-extended-0123", false),
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
