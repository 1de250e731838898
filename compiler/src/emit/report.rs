//! The enforcement report: for every statement of the policy, which layer enforces it, how much of it, and
//! what remains when a layer is down.
//!
//! Honest by construction: a statement is `Full` only if a layer that was emitted enforces all of it. The
//! report cannot know whether the cluster runs that layer; [`Remains`] says what is left if it does not.
//!
//! Terms. *Layer*: what enforces (webhook, floor, Pod Security plugin, network policy engine). *Gap*: a
//! statement that no layer enforces fully.

use std::collections::BTreeMap;

use bailiwick_policy::policy::{RuntimeKind, Unmatched};
use serde::{Deserialize, Serialize};

use super::artifact::{Artifact, FieldRef, Target};
use super::calls;
use super::cell::Cell;
use super::floor::Standing;
use super::network::Narrowed;
use super::statements::{self, Kind, Said};
use super::{EmitError, manifest, selector};

/// How much of a statement is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Enforcement {
    None,
    Partial,
    Full,
}

/// What one layer does for one statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// `webhook`, `admissionPolicy`, `podSecurityAdmission`, `runtimeClassAdmission`, `networkPolicy`,
    /// `executor`.
    pub layer: String,
    /// How much.
    pub enforcement: Enforcement,
    /// Which part, or why not; may be empty for `Full`.
    pub note: String,
}

/// What is left of a statement when something is down or different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Remains {
    /// The webhook is registered but does not answer, or its registration was deleted.
    pub without_webhook: String,
    /// The network plugin stores NetworkPolicies and does not enforce them.
    pub without_network_policy: String,
    /// The pod runs under gVisor or Kata.
    pub under_virtual_kernel: String,
    /// The node has cgroup version 1.
    pub on_cgroup_v1: String,
}

/// One statement of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// Stable name, such as `network/egress/package-index`.
    pub id: String,
    /// What it says.
    pub says: String,
    /// The pack fields that say it.
    pub from: Vec<FieldRef>,
    /// The most that any layer enforces.
    pub enforced: Enforcement,
    /// How much of it the API server's own admission policies enforce.
    pub floor: Enforcement,
    /// Every layer involved in it.
    pub layers: Vec<LayerReport>,
    /// What is left when something is down or different.
    pub remains: Remains,
}

/// A statement that no layer enforces fully.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// [`Statement::id`].
    pub statement: String,
    /// Why.
    pub why: String,
}

/// The report of one effective policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Version of this format: 1.
    pub format_version: u32,
    /// Hash of the packs in force together.
    pub cell: String,
    /// `name@version` of each pack.
    pub packs: Vec<String>,
    /// SHA-256 of the bundle, hex.
    pub policy_digest: String,
    /// The governed pods, in words.
    pub subject: String,
    /// Statements in the order of the policy's sections.
    pub statements: Vec<Statement>,
    /// Statements that no layer enforces fully; `compile --require no-gaps` fails if there are any.
    pub gaps: Vec<Gap>,
    /// Notes about the policy as a whole.
    pub notes: Vec<String>,
}

impl Report {
    pub(super) fn new(
        cell: &Cell<'_>,
        narrowed: &[Narrowed],
        floor: &BTreeMap<String, Standing>,
    ) -> Result<Self, EmitError> {
        let governs = cell.pods().is_some_and(|pods| selector::can_match(&pods))
            && cell.namespaces().is_some_and(|namespaces| selector::can_match(&namespaces));
        let mut statements = Vec::new();
        for said in statements::all(cell)? {
            statements.push(statement(cell, said, floor, narrowed, governs)?);
        }
        let gaps = statements.iter().filter_map(gap).collect();
        Ok(Self {
            format_version: 1,
            cell: cell.policy.cell.clone(),
            packs: cell.packs().to_vec(),
            policy_digest: cell.digest.to_owned(),
            subject: subject_words(cell, governs),
            statements,
            gaps,
            notes: notes(cell),
        })
    }

    pub(super) fn json(&self) -> Result<Artifact, EmitError> {
        let bytes = manifest::json("report.json", self)?;
        Ok(Artifact { bytes, target: Target::Report, from: Vec::new() })
    }
}

fn gap(statement: &Statement) -> Option<Gap> {
    if statement.enforced == Enforcement::Full {
        return None;
    }
    let notes: Vec<_> =
        statement.layers.iter().map(|layer| format!("{}: {}", layer.layer, layer.note)).collect();
    let why = if notes.is_empty() { "no layer has to do with it".to_owned() } else { notes.join("; ") };
    Some(Gap { statement: statement.id.clone(), why })
}

fn subject_words(cell: &Cell<'_>, governs: bool) -> String {
    if cell.policy.subject.is_none() {
        return "Nobody: the policy has no subjects; it is a ceiling for packs that extend it.".to_owned();
    }
    if !governs {
        return "Nobody: the packs' selectors contradict one another.".to_owned();
    }
    let words = |selector: Option<bailiwick_policy::policy::LabelSelector>| {
        selector.map(|selector| statements::selector_words(&selector)).unwrap_or_default()
    };
    format!("Pods ({}) of namespaces ({}).", words(cell.pods()), words(cell.namespaces()))
}

fn layer(name: &str, enforcement: Enforcement, note: &str) -> LayerReport {
    LayerReport { layer: name.to_owned(), enforcement, note: note.to_owned() }
}

fn statement(
    cell: &Cell<'_>,
    said: Said,
    floor: &BTreeMap<String, Standing>,
    narrowed: &[Narrowed],
    governs: bool,
) -> Result<Statement, EmitError> {
    let from = cell.fields(&said.from)?;
    let standing = floor.get(&said.id);
    // The executor has no subject: it is bound by the bundle that it is given.
    let governs = governs || matches!(said.kind, Kind::Executor(_));
    let mut layers = if governs { layers(cell, &said, standing) } else { Vec::new() };
    for narrowed in narrowed.iter().filter(|narrowed| said.id == format!("network/{}", narrowed.rule)) {
        for layer in &mut layers {
            layer.note.push_str("; emitted narrower than written: ");
            layer.note.push_str(&narrowed.what);
        }
    }
    let enforced = layers.iter().map(|layer| layer.enforcement).max().unwrap_or(Enforcement::None);
    let held = standing.filter(|_| governs).map_or(Enforcement::None, |standing| standing.enforcement);
    let remains = remains(cell, &said, held);
    Ok(Statement { id: said.id, says: said.says, from, enforced, floor: held, layers, remains })
}

const ON_UPDATE: &str = "on CREATE as the webhook; on UPDATE a check that the stored object already failed is not asked again; templates of workload kinds are not judged, the pods made of them are";

fn layers(cell: &Cell<'_>, said: &Said, standing: Option<&Standing>) -> Vec<LayerReport> {
    let mut layers = Vec::new();
    match &said.kind {
        Kind::Executor(calls::Rests::Deployment) => {
            let note = "the level, by the labels of kubernetes/pool-namespaces.yaml; nothing else of it";
            let labels = layer("podSecurityAdmission", Enforcement::Partial, note);
            return vec![calls::layer(&calls::Rests::Deployment), labels];
        }
        Kind::Executor(rests) => return vec![calls::layer(rests)],
        Kind::Packets => {
            let note = "where the network plugin enforces NetworkPolicy; traffic from the pod's own node is always let in, \
                        connections that stand when the policy is made may go on";
            return vec![layer("networkPolicy", Enforcement::Full, note)];
        }
        Kind::Mutation => {
            return vec![
                layer("webhook", Enforcement::Full, ""),
                layer("admissionPolicy", Enforcement::None, "the floor changes nothing"),
            ];
        }
        Kind::Pods | Kind::PodSecurity { .. } | Kind::RuntimeClass | Kind::Authored => {}
    }
    layers.push(layer("webhook", Enforcement::Full, ""));
    if let Some(standing) = standing {
        let note = if standing.note.is_empty() { ON_UPDATE } else { &standing.note };
        layers.push(layer("admissionPolicy", standing.enforcement, note));
    }
    match said.kind {
        Kind::PodSecurity { labelled } => layers.push(pod_security_layer(cell, labelled)),
        Kind::RuntimeClass => {
            let note = "the API server refuses pods that name a class which does not exist";
            layers.push(layer("runtimeClassAdmission", Enforcement::Partial, note));
        }
        _ => {}
    }
    layers
}

fn pod_security_layer(cell: &Cell<'_>, labelled: bool) -> LayerReport {
    let exclusive = cell.policy.subject.as_ref().is_some_and(|subject| subject.exclusive);
    let (enforcement, note) = match (labelled, exclusive) {
        (false, _) => (Enforcement::None, "a namespace's label holds one level, and a stricter one is there"),
        (true, true) => (
            Enforcement::Full,
            "by the namespace's labels, unless the API server's configuration exempts a user, namespace or RuntimeClass",
        ),
        (true, false) => (
            Enforcement::None,
            "the namespace also holds pods that are not governed: its labels only warn and audit",
        ),
    };
    layer("podSecurityAdmission", enforcement, note)
}

fn remains(cell: &Cell<'_>, said: &Said, floor: Enforcement) -> Remains {
    let unchanged = "unchanged".to_owned();
    let without_webhook = match (&said.kind, floor) {
        (Kind::Packets | Kind::Executor(_), _) => unchanged.clone(),
        (Kind::Mutation, _) => {
            "while registered: matched requests fail; once deleted: nothing is written".to_owned()
        }
        (_, Enforcement::Full) => {
            "while registered: matched requests fail; once deleted: the admission policy still refuses"
                .to_owned()
        }
        (_, Enforcement::Partial) => {
            "while registered: matched requests fail; once deleted: the part that the admission policy holds"
                .to_owned()
        }
        (Kind::PodSecurity { labelled: true }, Enforcement::None)
            if cell.policy.subject.as_ref().is_some_and(|subject| subject.exclusive) =>
        {
            "while registered: matched requests fail; once deleted: the namespace's labels".to_owned()
        }
        (_, Enforcement::None) => "while registered: matched requests fail; once deleted: nothing".to_owned(),
    };
    let without_network_policy = match said.kind {
        Kind::Packets => "nothing: every connection is open".to_owned(),
        _ => unchanged.clone(),
    };
    Remains {
        without_webhook,
        without_network_policy,
        under_virtual_kernel: under_virtual_kernel(cell, &said.kind),
        on_cgroup_v1: match &said.kind {
            Kind::Executor(rests) => calls::on_cgroup_v1(rests).to_owned(),
            _ => "unchanged: no part of it rests on cgroups".to_owned(),
        },
    }
}

/// gVisor ignores a pod's seccomp profile by default, and Kata does not apply it in the guest. What Pod
/// Security requires of it is checked, but has no effect.
fn under_virtual_kernel(cell: &Cell<'_>, kind: &Kind) -> String {
    let kinds = cell.policy.isolation.runtime_class.iter().flat_map(|stated| &stated.value.classes);
    let reachable = cell.policy.isolation.runtime_class.is_none()
        || kinds.clone().any(|class| class.kind != RuntimeKind::Runc);
    match kind {
        Kind::PodSecurity { .. } if reachable => {
            "checked as ever, but the pod's seccomp profile is inert: gVisor ignores it by default and Kata's guest does not apply it; \
             the sandbox's own kernel stands in its place"
                .to_owned()
        }
        Kind::Packets if reachable => {
            "unchanged in what is allowed; name resolution may take another path, since node-local DNS tricks of the plugin do not reach \
             gVisor's network stack"
                .to_owned()
        }
        _ => "unchanged".to_owned(),
    }
}

fn notes(cell: &Cell<'_>) -> Vec<String> {
    let mut notes = vec![
        "The webhook and the admission policies judge requests: pods that ran before the policy, and static pods of a node, are not judged."
            .to_owned(),
        "A NetworkPolicy allows and never forbids: any other policy in the namespace that selects a governed pod adds to what is allowed."
            .to_owned(),
    ];
    if cell.policy.network.is_some() && cell.known_namespaces().is_empty() {
        notes.push(
            "The NetworkPolicies carry no namespace: apply them in every governed namespace (`kubectl apply -n`); one that is left out is open."
                .to_owned(),
        );
    }
    if let (Some(hooked), Some(governed)) = (cell.hooked_namespaces(), cell.namespaces())
        && hooked != governed
    {
        notes.push(format!(
            "Exempt from webhook and admission policies, so that a dead webhook cannot hold up the cluster: {}.",
            cell.options.exempt_namespaces.join(", ")
        ));
    }
    if cell.policy.subject.as_ref().is_some_and(|subject| subject.unmatched == Unmatched::Allow) {
        notes.push(
            "Pods of governed namespaces that no pack selects are not governed, and pod labels are the author's: whoever may make pods there may \
             leave the label off."
                .to_owned(),
        );
    }
    notes
}
