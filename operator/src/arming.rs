//! Whether the webhook's configurations are in force. Pure.
//!
//! A webhook configuration with `failurePolicy: Fail` that nobody answers stops a cluster, so it is registered only when enough replicas have
//! shown that they decide by what is expected. Whoever deletes it by hand (the API server asks no webhook about that) means it: it stays away
//! until somebody arms it again. What was decided stands in a ConfigMap, so that a deletion is noticed even if no operator ran.
//!
//! ```text
//!  Waiting ──enough replicas answer──► Armed ──a configuration is gone──► Disarmed ──request: arm──► Waiting
//! ```
//!
//! Order of writing: first the configurations, then the record. An operator that dies between the two finds configurations
//! without a record and completes it; nothing is ever taken for deleted that was not there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::object::{Key, Live, Wanted};

/// The ConfigMap that remembers.
pub const RECORD: &str = "bailiwick-arming";
/// Member of its data by which somebody asks for something: `arm` or `disarm`.
pub const REQUEST: &str = "request";

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

/// What is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What the record says.
    pub recorded: Recorded,
    /// What somebody asks for.
    pub request: Option<Request>,
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
        (_, Some(Request::Disarm)) => Stance::Away(Recorded::Disarmed),
        (Recorded::Disarmed, None) => Stance::Away(Recorded::Disarmed),
        (Recorded::Armed, _) if known.standing < known.wanted => Stance::Away(Recorded::Disarmed),
        (Recorded::Armed, _) if enough => Stance::Newest,
        (Recorded::Armed, _) => Stance::Before,
        // Without a record, but standing: written by one that died before it could say so.
        (Recorded::Waiting, _) if known.standing > 0 && !enough => Stance::Before,
        (Recorded::Waiting | Recorded::Disarmed, _) if enough => Stance::Newest,
        (Recorded::Waiting | Recorded::Disarmed, _) => Stance::Away(Recorded::Waiting),
    }
}

/// Reads the record.
#[must_use]
pub fn read(record: Option<&Live>) -> (Recorded, Option<Request>) {
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
    (recorded, request)
}

/// The manifest of the record.
#[must_use]
pub fn record(namespace: &str, recorded: Recorded) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": RECORD, "namespace": namespace,
            "labels": { "app.kubernetes.io/managed-by": "bailiwick" },
        },
        "data": { "state": recorded.word() },
    })
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
        Known { recorded, request: None, standing, wanted: 2, replicas, enough: 2 }
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
    fn an_operator_that_died_before_it_wrote_the_record_has_not_disarmed() {
        assert_eq!(decide(&known(Recorded::Waiting, 2, 2)), Stance::Newest);
        assert_eq!(decide(&known(Recorded::Waiting, 1, 2)), Stance::Newest);
        assert_eq!(decide(&known(Recorded::Waiting, 2, 0)), Stance::Before);
    }
}
