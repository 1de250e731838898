//! The objects that enforce the bindings of a cluster, as the operator applies them.
//!
//! NetworkPolicies unite. So a policy that allows is emitted for each cell and selects its label, while the
//! default deny is emitted for each binding and selects its subject: a pod without a label, or of a cell that
//! cannot be computed, has no network at all. Admission policies add up as the meet does, so they are emitted
//! for each binding, at its stage. Two statements need all bindings together: which pods nothing selects, and
//! whether a pod's label is its own. They have one policy for the namespaces that the same bindings reach.
//!
//! Not here: the webhook configurations (`super::cluster_hooks`), and the files of the compiler
//! (`super::artifacts`), which emit all controls of one policy. Objects are JSON, since they go to an API
//! server.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::admission::{CELL_LABEL, Exception, Stage};
use bailiwick_policy::policy::{Action, LabelOperator, LabelRequirement, LabelSelector, Unmatched};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::Value as Json;

use super::artifact::{Target, sha256};
use super::cell::Cell;
use super::floor::own::Renewal;
use super::floor::{self, Members};
use super::lost::IfLost;
use super::{EmitError, EmitOptions, UnmatchedFloor, WebhookClient, namespace, network, selector};
use crate::cluster::{BoundPolicy, Cells, InForce, Problem, Taken};
use crate::reach::labels::Labels;

/// Name of the admission policy that protects bindings.
pub const BINDINGS: &str = "bailiwick-bindings";

/// Name of the admission policy that protects the names of those who make exceptions.
pub const EXCEPTIONS: &str = "bailiwick-exceptions";

/// Name of the admission policy that protects packs in force.
pub const PACKS: &str = "bailiwick-packs";

/// Name prefix of the admission policies that protect the packs that others extend.
pub const EXTENDED: &str = "bailiwick-extended-";

/// Name prefix of the admission policies for pods that nothing selects; each covers some namespaces.
pub const CELLS: &str = "bailiwick-cells-";

/// Name prefix of the admission policies that protect the labels of governed namespaces.
pub const NAMESPACES: &str = "bailiwick-namespaces-";

/// Options that do not come from the bindings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// How the API server reaches the webhook.
    pub webhook: WebhookClient,
    /// PEM of the certificate authorities that signed the webhook's certificate.
    pub ca_bundle: Option<Vec<u8>>,
    /// Namespaces that neither the webhook nor the floor may ever block.
    pub exempt_namespaces: Vec<String>,
    /// Exceptions that apply now.
    pub exceptions: Vec<Exception>,
    /// Namespaces for which no object over all bindings together is emitted.
    pub left: Left,
}

/// Namespaces reached by a binding whose effect cannot be computed: the objects there that speak for all
/// bindings together are left unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Namespaces without the policy on pods that nothing selects and on whether a label is a pod's own.
    pub closed: BTreeSet<String>,
    /// Namespaces without Pod Security labels.
    pub labels: BTreeSet<String>,
    /// Packs with admission policies that exist, as `name@version`: no user without `widen` may delete them.
    pub packs: BTreeSet<String>,
    /// Those bindings by name, with what their statuses say of their policies.
    pub lost: BTreeMap<String, Option<IfLost>>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        let EmitOptions { webhook, ca_bundle, exempt_namespaces, .. } = EmitOptions::default();
        Self { webhook, ca_bundle, exempt_namespaces, exceptions: Vec::new(), left: Left::default() }
    }
}

impl ClusterOptions {
    pub(super) fn emit(&self) -> EmitOptions {
        EmitOptions {
            webhook: self.webhook.clone(),
            ca_bundle: self.ca_bundle.clone(),
            exempt_namespaces: self.exempt_namespaces.clone(),
            exceptions: self.exceptions.clone(),
            unmatched: UnmatchedFloor::Shared,
            ..EmitOptions::default()
        }
    }
}

/// An object for server-side apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// Absent for cluster-scoped objects.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
    /// Its purpose. Of a `PodSecurityLabels` object, a namespace, only the labels are ours: never delete it,
    /// but apply it without labels instead.
    pub target: Target,
    /// The bindings that it comes from.
    pub bindings: Vec<String>,
    /// The whole object.
    pub json: Json,
}

/// Everything that the operator applies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// In the order of application: objects that deny come before objects that allow. No object occurs twice.
    pub objects: Vec<Object>,
    /// What could not be emitted, and why.
    pub problems: Vec<Problem>,
    /// Bindings with objects that could not be emitted: which ones they would want is unknown.
    pub unemitted: BTreeSet<String>,
}

impl Objects {
    /// What these bindings want cannot be emitted.
    fn fail(&mut self, bindings: &[String], error: &EmitError) {
        self.unemitted.extend(bindings.iter().cloned());
        self.problems.push(Problem {
            bindings: bindings.to_vec(),
            reason: "CannotEmit",
            message: error.to_string(),
        });
    }

    pub(super) fn push<T>(&mut self, object: &T, target: Target, bindings: &[String]) -> Result<(), EmitError>
    where
        T: Resource + Metadata<Ty = ObjectMeta> + Serialize,
    {
        let metadata = object.metadata();
        let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone().unwrap_or_default());
        let error = |error| EmitError::Json { path: format!("{}/{name}", T::KIND), error };
        let json = serde_json::to_value(object).map_err(error)?;
        let same = |one: &&mut Object| one.kind == T::KIND && one.name == name && one.namespace == namespace;
        match self.objects.iter_mut().find(same) {
            // Two bindings of one pack give the same object.
            Some(known) if known.json == json => {
                known.bindings.extend_from_slice(bindings);
                known.bindings.sort();
                known.bindings.dedup();
            }
            Some(known) => {
                let mut about = [known.bindings.as_slice(), bindings].concat();
                about.sort();
                about.dedup();
                let message = format!("{} `{name}` would be two different things", T::KIND);
                self.problems.push(Problem { bindings: about, reason: "ObjectsConflict", message });
            }
            None => self.objects.push(Object {
                api_version: T::API_VERSION.to_owned(),
                kind: T::KIND.to_owned(),
                namespace,
                name,
                target,
                bindings: bindings.to_vec(),
                json,
            }),
        }
        Ok(())
    }
}

/// Emits all objects except the webhook configurations, which are applied only once a webhook answers. A policy
/// that the compiler cannot have made takes no other with it, see [`Objects::unemitted`].
///
/// # Errors
/// A writer's failure.
pub fn objects(in_force: &InForce, cells: &Cells, options: &ClusterOptions) -> Result<Objects, EmitError> {
    let emit = options.emit();
    let cells = &without(cells, &options.exempt_namespaces);
    let mut out = Objects::default();
    for bound in in_force.policies() {
        let cell = Cell::new(&bound.policy, &bound.digest, &emit);
        let own = std::slice::from_ref(&bound.binding);
        match floor::admission(&cell, |action| staged(action, bound.stage)) {
            Ok(floor) => {
                for (policy, binding) in floor.pairs {
                    out.push(&policy, Target::AdmissionPolicy, own)?;
                    out.push(&binding, Target::AdmissionPolicy, own)?;
                }
            }
            Err(error) => out.fail(own, &error),
        }
        if bound.stage == Stage::Enforce {
            denied(&cell, bound, cells, &mut out)?;
            classes(&cell, own, &mut out)?;
        }
    }
    closed(in_force, cells, &options.left.closed, &mut out)?;
    kept(in_force, &emit, &options.left, &mut out)?;
    renewed(in_force, &options.left.lost, &mut out)?;
    labels(in_force, cells, &options.left.labels, &mut out)?;
    for one in cells.cells.values() {
        let Some(effective) = &one.effective else { continue };
        let cell = Cell::new(&effective.policy, &effective.digest, &emit);
        let (Some(network), Some(pods)) = (&effective.policy.network, cell.pods()) else { continue };
        let pods = stamped(&pods, &one.name);
        let allowed = match network::allowed(&cell, network, &pods, &mut Vec::new()) {
            Ok(allowed) => allowed,
            Err(error) => {
                out.fail(&one.bindings, &error);
                continue;
            }
        };
        for policy in allowed {
            for namespace in &one.namespaces {
                let mut policy = policy.clone();
                policy.metadata.namespace = Some(namespace.clone());
                out.push(&policy, Target::NetworkPolicy, &one.bindings)?;
            }
        }
    }
    Ok(out)
}

/// The cells without exempt namespaces, where the cluster itself runs and nothing of ours may interfere.
fn without(cells: &Cells, exempt: &[String]) -> Cells {
    let mut cells = cells.clone();
    cells.reach.retain(|namespace, _| !exempt.contains(namespace));
    for cell in cells.cells.values_mut() {
        cell.namespaces.retain(|namespace| !exempt.contains(namespace));
    }
    cells
}

/// The action at a stage that does not enforce the policy yet.
const fn staged(action: Action, stage: Stage) -> Action {
    match (action, stage) {
        (_, Stage::Audit) => Action::Audit,
        (Action::Deny, Stage::Warn) => Action::Warn,
        (action, _) => action,
    }
}

/// The pods of a cell: those that its bindings select and that have its label.
fn stamped(pods: &LabelSelector, cell: &str) -> LabelSelector {
    let label = LabelRequirement {
        key: CELL_LABEL.to_owned(),
        operator: LabelOperator::In,
        values: vec![cell.to_owned()],
    };
    selector::conjoin(&[
        pods.clone(),
        LabelSelector { match_expressions: vec![label], ..LabelSelector::default() },
    ])
}

/// Denies all traffic of the pods of a binding, except what a cell allows.
fn denied(cell: &Cell<'_>, bound: &BoundPolicy, cells: &Cells, out: &mut Objects) -> Result<(), EmitError> {
    let (Some(_), Some(pods)) = (&bound.policy.network, cell.pods()) else { return Ok(()) };
    let own = std::slice::from_ref(&bound.binding);
    for (namespace, _) in cells.reach.iter().filter(|(_, bindings)| bindings.contains(&bound.binding)) {
        let mut policy = network::default_deny(cell, &pods);
        policy.metadata.namespace = Some(namespace.clone());
        out.push(&policy, Target::NetworkPolicy, own)?;
    }
    Ok(())
}

fn classes(cell: &Cell<'_>, own: &[String], out: &mut Objects) -> Result<(), EmitError> {
    let Some(stated) = &cell.policy.isolation.runtime_class else { return Ok(()) };
    for class in &stated.value.classes {
        // A RuntimeClass belongs to the cluster, not to a cell: two packs that name a class mean the same
        // one.
        let metadata = ours_named(&class.name);
        let class = RuntimeClass { handler: class.handler.clone(), metadata, ..RuntimeClass::default() };
        out.push(&class, Target::RuntimeClass, own)?;
    }
    Ok(())
}

/// One policy for the namespaces that the same bindings reach.
fn closed(
    in_force: &InForce,
    cells: &Cells,
    left: &BTreeSet<String>,
    out: &mut Objects,
) -> Result<(), EmitError> {
    let mut groups: BTreeMap<&[String], Vec<String>> = BTreeMap::new();
    for (namespace, bindings) in cells.reach.iter().filter(|(namespace, _)| !left.contains(*namespace)) {
        groups.entry(bindings).or_default().push(namespace.clone());
    }
    for (bindings, namespaces) in groups {
        let bound: Vec<&BoundPolicy> = bindings.iter().filter_map(|name| in_force.policy(name)).collect();
        let pods = bound
            .iter()
            .map(|bound| bound.policy.subject.as_ref().map(|subject| selector::conjoin(&subject.pods)))
            .map(Option::unwrap_or_default)
            .collect();
        let here = cells
            .cells
            .values()
            .filter(|cell| cell.namespaces.iter().any(|namespace| namespaces.contains(namespace)));
        let at = |name: &String| bindings.iter().position(|one| one == name);
        let named = here.map(|cell| (cell.name.clone(), cell.bindings.iter().filter_map(at).collect()));
        let denies = bound.iter().find(|bound| {
            bound.stage == Stage::Enforce
                && bound.policy.subject.as_ref().is_some_and(|subject| subject.unmatched == Unmatched::Deny)
        });
        let members = Members {
            cells: named.collect(),
            denies: denies.map(|bound| format!("{}@{}", bound.pack.name, bound.pack.version)),
            pods,
            namespaces,
        };
        let metadata = ours_named(&format!("{CELLS}{}", short(&bindings.join("\n"))));
        let (policy, binding) = floor::closed(&members, metadata);
        out.push(&policy, Target::AdmissionPolicy, bindings)?;
        out.push(&binding, Target::AdmissionPolicy, bindings)?;
    }
    Ok(())
}

/// Protects bindings, their packs, governed namespaces, and the names on exceptions.
fn kept(in_force: &InForce, emit: &EmitOptions, left: &Left, out: &mut Objects) -> Result<(), EmitError> {
    let mut all = Vec::new();
    let mut packs = left.packs.clone();
    for bound in in_force.policies() {
        packs.extend(Cell::new(&bound.policy, &bound.digest, emit).packs().iter().cloned());
    }
    let lost = left.lost.iter().filter_map(|(name, one)| Some((name, one.clone()?)));
    let known = in_force.policies().filter_map(|bound| Some((&bound.binding, IfLost::of(bound)?)));
    for (name, IfLost { pack, namespaces, .. }) in known.chain(lost) {
        let own = std::slice::from_ref(name);
        all.extend_from_slice(own);
        let id = short(&serde_json::to_string(&(&pack, &namespaces)).unwrap_or_default());
        let metadata = ours_named(&format!("{NAMESPACES}{id}"));
        let (policy, binding) = floor::own::namespaces(&namespaces, &pack, metadata);
        out.push(&policy, Target::AdmissionPolicy, own)?;
        out.push(&binding, Target::AdmissionPolicy, own)?;
    }
    if !all.is_empty() {
        let packs: Vec<String> = packs.into_iter().collect();
        let own = [
            floor::own::bindings(ours_named(BINDINGS)),
            floor::own::exceptions(ours_named(EXCEPTIONS)),
            floor::own::packs(&packs, ours_named(PACKS)),
        ];
        for (policy, binding) in own {
            out.push(&policy, Target::AdmissionPolicy, &all)?;
            out.push(&binding, Target::AdmissionPolicy, &all)?;
        }
    }
    Ok(())
}

/// Protects the packs that policies in force take by a requirement: each by a policy of its own, or by several
/// if many packs extend it.
fn renewed(
    in_force: &InForce,
    lost: &BTreeMap<String, Option<IfLost>>,
    out: &mut Objects,
) -> Result<(), EmitError> {
    let mut all: BTreeMap<String, BTreeMap<Renewal, Vec<String>>> = BTreeMap::new();
    let known = in_force
        .policies()
        .flat_map(|bound| bound.taken.iter().map(|one| (&bound.binding, &bound.pack.name, one.clone())));
    let lost = lost.iter().filter_map(|(name, one)| Some((name, one.as_ref()?)));
    let lost = lost.flat_map(|(name, one)| one.takes().map(move |taken| (name, &one.pack, taken)));
    for (binding, by, Taken { name, requirement, version }) in known.chain(lost) {
        let renewal = Renewal { by: by.clone(), version, meets: floor::own::meets(&requirement) };
        all.entry(name).or_default().entry(renewal).or_default().push(binding.clone());
    }
    for (pack, renewals) in all {
        let renewals: Vec<(Renewal, Vec<String>)> = renewals.into_iter().collect();
        for (at, some) in renewals.chunks(floor::own::MAX_RENEWALS).enumerate() {
            let (some, bindings): (Vec<Renewal>, Vec<Vec<String>>) = some.iter().cloned().unzip();
            let id = if at == 0 { short(&pack) } else { short(&format!("{pack} {at}")) };
            let metadata = ours_named(&format!("{EXTENDED}{id}"));
            let (policy, binding) = floor::own::renewals(&pack, &some, metadata);
            let bindings: BTreeSet<String> = bindings.into_iter().flatten().collect();
            let bindings: Vec<String> = bindings.into_iter().collect();
            out.push(&policy, Target::AdmissionPolicy, &bindings)?;
            out.push(&binding, Target::AdmissionPolicy, &bindings)?;
        }
    }
    Ok(())
}

/// Metadata of an object that belongs to no single cell.
pub(super) fn ours_named(name: &str) -> ObjectMeta {
    let labels = [("app.kubernetes.io/managed-by".to_owned(), "bailiwick".to_owned())];
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() }
}

pub(super) fn short(text: &str) -> String {
    sha256(text.as_bytes()).chars().take(10).collect()
}

/// The Pod Security labels of governed namespaces. `enforce` is written only where some bindings say that nothing
/// else runs there: the laxest level that pods of any binding can have by those that select all of them. The stricter
/// levels are for the pods of their own bindings, where the webhook and the floor enforce them. One more binding of
/// the same pods loosens nothing: whoever makes it needs no right to.
fn labels(
    in_force: &InForce,
    cells: &Cells,
    left: &BTreeSet<String>,
    out: &mut Objects,
) -> Result<(), EmitError> {
    for (name, bindings) in cells.reach.iter().filter(|(name, _)| !left.contains(*name)) {
        let here: Vec<&BoundPolicy> = bindings.iter().filter_map(|name| in_force.policy(name)).collect();
        let level = |bound: &BoundPolicy| {
            let stated = bound.policy.isolation.pod_security.first().map(|stated| stated.value);
            stated.filter(|_| bound.stage == Stage::Enforce)
        };
        let Some(strictest) = here.iter().filter_map(|bound| level(bound)).max() else { continue };
        let mut labels = namespace::pod_security(strictest, &["warn", "audit"]);
        let alone = |bound: &BoundPolicy| bound.policy.subject.as_ref().is_some_and(|one| one.exclusive);
        let alone: Vec<&BoundPolicy> =
            here.iter().copied().filter(|bound| alone(bound) && level(bound).is_some()).collect();
        let of_pods = |bound: &BoundPolicy| {
            alone.iter().filter(|own| selects(own, bound)).filter_map(|own| level(own)).max()
        };
        // None of one binding is less than any.
        if let Some(Some(laxest)) = here.iter().map(|bound| of_pods(bound)).min() {
            labels.extend(namespace::pod_security(laxest, &["enforce"]));
        }
        let metadata = ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
        out.push(&Namespace { metadata, ..Namespace::default() }, Target::PodSecurityLabels, bindings)?;
    }
    Ok(())
}

/// Whether one binding selects all pods of another, in a namespace that both reach.
fn selects(own: &BoundPolicy, other: &BoundPolicy) -> bool {
    let pods = |bound: &BoundPolicy| Labels::all_of(bound.policy.subject.iter().flat_map(|one| &one.pods));
    match (pods(own), pods(other)) {
        (Some(own), Some(other)) => own.includes(&other),
        _ => own.binding == other.binding,
    }
}
