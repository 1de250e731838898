//! The statuses, from what was derived and what a pass could write. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_compiler::cluster::{Answers, Asked, ClusterPacks, Verdict};
use bailiwick_compiler::diagnostic::Severity;
use serde_json::{Map, Value, json};

use crate::arming::Disarmament;
use crate::derive::Derived;
use crate::kind::Kind;
use crate::mirror::View;
use crate::object::{Key, Live};
use crate::pools::{DIGEST_ANNOTATION, POOL_LABEL, PoolVerdict, deployment_name};
use crate::status::{Said, is_there, status};
use crate::world::{PackFacts, World};

/// What else a pass knows.
pub struct Outcome<'a> {
    /// Objects that could not be written, with why.
    pub failed: &'a BTreeMap<Key, String>,
    /// Those of them that were in place and that somebody changed since.
    pub drifted: &'a BTreeSet<Key>,
    /// Objects that somebody else wrote meanwhile. They are compared again at once, and until then it is not known
    /// whether they are in place.
    pub raced: &'a BTreeSet<Key>,
    /// Digests of the policies for which the webhook is registered and enough replicas decide by them.
    pub armed: &'a BTreeSet<String>,
    /// Until when and why not, if it is disarmed.
    pub disarmed: Option<Disarmament>,
    /// The time, RFC 3339.
    pub now: &'a str,
}

impl Outcome<'_> {
    /// Says in words that the admission policies are removed as well.
    fn withdrawn(&self) -> Option<String> {
        let disarmament = self.disarmed.as_ref()?;
        let until = jiff::Timestamp::from_second(disarmament.until?).ok()?;
        Some(format!(
            "webhook and admission policies over pods are withdrawn until {until}: {}",
            disarmament.reason
        ))
    }
}

const NOT_ARMED: &str =
    "the webhook is not armed, or not by this yet; the API server's own controls are in place";

/// A status that must be written.
pub struct Due {
    /// The object.
    pub live: Arc<Live>,
    /// The whole status.
    pub status: Value,
}

/// Findings of packs by digest: a pack does not change, and compiling is the most expensive step here.
#[derive(Debug, Default)]
pub struct PackChecks {
    known: BTreeMap<String, (Answers, Said)>,
}

impl PackChecks {
    /// The findings of a pack, compiled again only if something that it takes from other packs has changed.
    fn check(&mut self, pack: &PackFacts, packs: &ClusterPacks) -> Said {
        let key = format!("{}@{} {}", pack.name, pack.version, pack.digest);
        if let Some((answers, said)) = self.known.get(&key)
            && answers.hold(packs)
        {
            return said.clone();
        }
        let asked = Asked::new(packs);
        let said = compiled(pack, &asked);
        self.known.insert(key, (asked.answers(), said.clone()));
        said
    }
}

/// A parameter without a default that has no chosen value.
const UNCHOSEN: &str = "BW0206";

fn compiled(pack: &PackFacts, packs: &Asked<'_>) -> Said {
    let Some(checked) = packs.check(&pack.name, &pack.version) else {
        return Said::no("Compiled", "Unknown", "the pack is not known under its version");
    };
    let errors: Vec<_> = checked.all().filter(|one| one.severity == Severity::Error).collect();
    // A parameter that must be chosen is left to the binding.
    match errors.iter().find(|one| one.code.to_string() != UNCHOSEN) {
        Some(first) => {
            let more =
                if errors.len() > 1 { format!(" (and {} more)", errors.len() - 1) } else { String::new() };
            Said::no("Compiled", "DoesNotCompile", format!("{first}{more}"))
        }
        None if errors.is_empty() => Said::yes("Compiled", "Compiled", "the pack compiles"),
        None => Said::yes(
            "Compiled",
            "NeedsParameters",
            "the pack compiles once a binding chooses its parameters",
        ),
    }
}

/// All statuses that say something new.
pub fn report(
    world: &World,
    derived: &Derived,
    view: &View,
    checks: &mut PackChecks,
    outcome: &Outcome<'_>,
) -> Vec<Due> {
    let mut all = Vec::new();
    for pack in &world.pack_objects {
        let (said, more) = match &pack.said {
            Ok(facts) => (checks.check(facts, &world.packs), members([("digest", json!(facts.digest))])),
            Err(why) => (Said::no("Compiled", "Unreadable", why), Map::new()),
        };
        all.push((&pack.live, status(&pack.live, &[said], more, outcome.now)));
    }
    for binding in &world.bindings {
        let its = |key| derived.bindings_of.get(key).is_some_and(|all| all.contains(&binding.live.key.name));
        if outcome.raced.iter().any(its) {
            continue;
        }
        let said = match (&binding.said, derived.verdicts.get(&binding.live.key.name)) {
            (Ok(_), Some(verdict)) => bound(derived, &binding.live, verdict, outcome),
            // After a restart, the status is all that tells what is in force.
            (Err(why), _) => (vec![Said::no("Compiled", "Unreadable", why)], in_force(&binding.live)),
            (Ok(_), None) => continue,
        };
        all.push((&binding.live, status(&binding.live, &said.0, said.1, outcome.now)));
    }
    for exception in &world.exceptions {
        let said = match derived.exceptions.get(&exception.live.key) {
            Some(None) => Said::yes("Enforced", "Holds", "it holds until it expires"),
            Some(Some(why)) => Said::no("Enforced", "DoesNotHold", why),
            None => continue,
        };
        all.push((&exception.live, status(&exception.live, &[said], Map::new(), outcome.now)));
    }
    for pool in &world.pools {
        let Some(verdict) = derived.pools.iter().find(|one| one.key == pool.live.key) else { continue };
        if outcome.raced.contains(&deployment(verdict)) {
            continue;
        }
        let (said, more) = pooled(&pool.live, verdict, view, outcome);
        all.push((&pool.live, status(&pool.live, &said, more, outcome.now)));
    }
    let news = all.into_iter().filter(|(live, status)| !is_there(status, &live.status));
    news.map(|(live, status)| Due { live: Arc::clone(live), status }).collect()
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The part of a binding's status that says what is in force, as stored.
fn in_force(live: &Live) -> Map<String, Value> {
    let said = |member: &str| Some((member.to_owned(), live.status.get(member)?.clone()));
    ["version", "digest", "bundle", "stage", "chosen", "ifLost", "cells"]
        .into_iter()
        .filter_map(said)
        .collect()
}

/// The conditions of a binding: whether it compiles, whether all its objects are in place, and whether the
/// webhook enforces it.
fn bound(
    derived: &Derived,
    live: &Live,
    verdict: &Verdict,
    outcome: &Outcome<'_>,
) -> (Vec<Said>, Map<String, Value>) {
    let name = &verdict.binding;
    let bound = derived.bound.get(name);
    let stage = bound.map(|bound| bound.stage).unwrap_or_default();
    let compiled = Said {
        aspect: "Compiled",
        holds: verdict.is_current(),
        reason: verdict.reason.as_str().to_owned(),
        message: verdict.message.clone(),
    };
    let failed = outcome
        .failed
        .iter()
        .find(|(key, _)| derived.bindings_of.get(*key).is_some_and(|bindings| bindings.contains(name)));
    let problem = derived.problems.iter().find(|one| one.bindings.is_empty() || one.bindings.contains(name));
    let enforced = match (&verdict.in_force, failed, problem) {
        _ if let Some(why) = derived.lost.get(name) => Said::no(
            "Enforced",
            "Lost",
            format!(
                "what was in force cannot be worked out any more, so its controls stay as they stand: {why}"
            ),
        ),
        (None, _, _) => {
            Said::no("Enforced", "NothingInForce", "no version of the pack that compiles is in force")
        }
        (_, Some((key, why)), _) => Said::no("Enforced", "CannotApply", format!("{key}: {why}")),
        (_, _, Some(problem)) => Said::no("Enforced", problem.reason, problem.message.clone()),
        _ if let Some(withdrawn) = outcome.withdrawn() => Said::no("Enforced", "Disarmed", withdrawn),
        (Some(pack), None, None) if !verdict.is_current() => Said::yes(
            "Enforced",
            "LastGood",
            format!("`{}` {} stays in force: {}", pack.name, pack.version, verdict.message),
        ),
        (Some(pack), None, None) => Said::yes(
            "Enforced",
            "InPlace",
            format!("everything of `{}` {} is in place at stage {stage}", pack.name, pack.version),
        ),
    };
    let ready = ready(derived, verdict, enforced.holds, outcome);
    let mut more = if derived.lost.contains_key(name) { in_force(live) } else { Map::new() };
    if let Some(pack) = &verdict.in_force {
        more = members([
            ("version", json!(pack.version.to_string())),
            ("digest", json!(pack.digest)),
            ("bundle", json!(bound.map(|bound| &bound.digest))),
            ("stage", json!(stage)),
            ("chosen", json!(bound.map(|bound| &bound.chosen))),
        ]);
        more.extend(bound.and_then(|one| Some(("ifLost".to_owned(), json!(one.if_lost.as_ref()?)))));
        more.insert("cells".to_owned(), cells_of(derived, name));
    }
    (vec![compiled, enforced, ready], more)
}

/// The cells that a binding has a part in.
fn cells_of(derived: &Derived, name: &str) -> Value {
    let cells = derived.cells.cells.values().filter(|cell| cell.bindings.iter().any(|one| one == name));
    let shown = cells.filter_map(|cell| {
        let effective = cell.effective.as_ref()?;
        Some(json!({ "name": cell.name, "digest": effective.digest }))
    });
    shown.collect()
}

/// Whether the API server calls the webhook for it, with enough replicas that decide by it.
fn ready(derived: &Derived, verdict: &Verdict, enforced: bool, outcome: &Outcome<'_>) -> Said {
    let bound = derived.bound.get(&verdict.binding);
    let armed = bound.is_some_and(|bound| outcome.armed.contains(&bound.decided_by()));
    let mut hooks = outcome.failed.iter().filter(|(key, _)| derived.hooks.contains_key(*key));
    let edited = hooks.clone().find(|(key, _)| outcome.drifted.contains(*key));
    let unwritten = hooks.next();
    match (enforced, verdict.is_current(), armed) {
        (true, true, false) if let Some((key, why)) = unwritten => {
            Said::no("Ready", "CannotArm", format!("{key}: {why}"))
        }
        // What was armed is no more as it was.
        (true, true, true) if let Some((key, why)) = edited => Said::no(
            "Ready",
            "CannotArm",
            format!("somebody changed it, and it cannot be restored: {key}: {why}"),
        ),
        (true, true, true) => {
            Said::yes("Ready", "Ready", "the webhook is armed and the API server's own controls are in place")
        }
        (true, true, false) => match &outcome.disarmed {
            Some(disarmament) => {
                Said::no("Ready", "Disarmed", format!("{NOT_ARMED}: {}", disarmament.reason))
            }
            None => Said::no("Ready", "NotArmed", NOT_ARMED),
        },
        _ => Said::no("Ready", "NotEnforced", "it is not in force as it is written"),
    }
}

/// Tiers of pods, lowest first (`docs/executor-tiers.md`).
const TIERS: [&str; 7] = ["None", "GVisor", "PodRestricted", "Limited", "PodUserNs", "Delegated", "Root"];

/// The lowest tier that the probes of a pool's pods found.
fn tier(verdict: &PoolVerdict, view: &View) -> Option<&'static str> {
    let of_pool = |live: &&Arc<Live>| {
        live.key.namespace == verdict.key.namespace && live.labels.get(POOL_LABEL) == Some(&verdict.key.name)
    };
    let found: Vec<String> = view
        .of(Kind::Pod)
        .filter(of_pool)
        .filter_map(|live| {
            let message = live.status.pointer("/initContainerStatuses/0/state/terminated/message")?;
            let report: Value = serde_json::from_str(message.as_str()?).ok()?;
            Some(report.get("tier")?.as_str()?.to_owned())
        })
        .collect();
    TIERS.into_iter().find(|tier| found.iter().any(|one| one == tier))
}

/// The Deployment of a pool.
fn deployment(verdict: &PoolVerdict) -> Key {
    let name = deployment_name(&verdict.key.name);
    Key { kind: Kind::Deployment, namespace: verdict.key.namespace.clone(), name }
}

fn pooled(
    live: &Live,
    verdict: &PoolVerdict,
    view: &View,
    outcome: &Outcome<'_>,
) -> (Vec<Said>, Map<String, Value>) {
    let compiled = match &verdict.error {
        None => Said::yes("Compiled", "Compiled", "the pack compiles and has the pool"),
        Some(error) => Said::no("Compiled", error.reason(), error.to_string()),
    };
    let key = deployment(verdict);
    let deployment = view.get(&key);
    let count = |at: &str| deployment.and_then(|live| live.status.get(at)?.as_u64()).unwrap_or(0);
    let wanted = deployment.and_then(|live| live.spec().get("replicas")?.as_u64()).unwrap_or(0);
    let observed = deployment.and_then(|live| live.status.get("observedGeneration")?.as_i64());
    // After a restart, what is in force of a pack that is gone stands only in the status.
    let known = || live.status.get("digest").and_then(Value::as_str);
    let wanted_digest = verdict.digest.as_deref().or_else(known);
    let digest = wanted_digest.map(|digest| format!("sha256:{digest}"));
    let is_of_it = |live: &Arc<Live>| live.annotations.get(DIGEST_ANNOTATION) == digest.as_ref();
    let current = deployment.is_some_and(|live| observed == Some(live.generation) && is_of_it(live));
    let (there, updated) = (count("readyReplicas"), count("updatedReplicas"));
    let ready = match (outcome.failed.get(&key), deployment) {
        (Some(why), _) => Said::no("Ready", "CannotApply", why.clone()),
        (None, None) => Said::no("Ready", "NotThere", "there is no Deployment"),
        (None, Some(_)) if current && there >= wanted && updated >= wanted => {
            Said::yes("Ready", "Ready", format!("{there} of {wanted} pods are ready"))
        }
        (None, Some(_)) => Said::no("Ready", "Waiting", format!("{there} of {wanted} pods are ready")),
    };
    // Pods with an older bundle do not count.
    let serving = match deployment {
        Some(live) if !is_of_it(live) => 0,
        Some(_) if current && updated >= count("replicas") => there,
        _ => there.min(updated),
    };
    let mut more = members([("replicas", json!(count("replicas"))), ("readyReplicas", json!(serving))]);
    if let Some(digest) = wanted_digest {
        more.insert("digest".to_owned(), json!(digest));
    }
    if let Some(tier) = tier(verdict, view) {
        more.insert("tier".to_owned(), json!(tier));
    }
    (vec![compiled, ready], more)
}

#[cfg(test)]
mod tests;
