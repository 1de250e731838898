//! Cells: which bindings govern pods together, and the one policy that applies to these pods.
//!
//! NetworkPolicies unite, but packs must be met, so each cell has policies of its own, which select its
//! label. The webhook stamps the label; it computes the same name from the bindings that select a pod. Only
//! possible cells are listed: sets of bindings that reach one namespace, where some pods can be selected by
//! all of them and by no others.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::admission::Stage;
use bailiwick_policy::bundle;
use bailiwick_policy::policy::{LabelSelector, Policy, cell_name};

use super::{BoundPolicy, InForce, NamespaceLabels};
use crate::meet::meet;
use crate::reach::labels::Labels;

/// The label that the API server keeps equal to a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Most cells of a cluster. Each has its own NetworkPolicies in each of its namespaces. A cluster with more
/// has bindings whose pod selectors overlap in every combination, which no reader could follow.
pub const MAX_CELLS: usize = 512;

/// What governs the pods of a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    /// By name.
    pub cells: BTreeMap<String, Cell>,
    /// The bindings that reach each governed namespace, sorted.
    pub reach: BTreeMap<String, Vec<String>>,
    /// What could not be computed. The listed cells are valid all the same.
    pub problems: Vec<Problem>,
}

/// Bindings that govern some pods together.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Value of label `bailiwick.dev/cell`.
    pub name: String,
    /// The bindings at any stage, sorted.
    pub bindings: Vec<String>,
    /// The namespaces where it is possible, sorted.
    pub namespaces: Vec<String>,
    /// What applies to its pods: the meet of the enforced bindings. `None`: none of them is enforced, or they
    /// cannot be met.
    pub effective: Option<Effective>,
}

/// The effective policy of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The policy.
    pub policy: Policy,
    /// The bytes of its bundle.
    pub bundle: Vec<u8>,
    /// SHA-256 (hex) of these bytes.
    pub digest: String,
}

/// Something that could not be computed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The bindings that it concerns, sorted.
    pub bindings: Vec<String>,
    /// A word, for a condition's reason.
    pub reason: &'static str,
    /// The same for human readers.
    pub message: String,
}

/// Computes the cells of the policies in force over these namespaces.
#[must_use]
pub fn cells(in_force: &InForce, namespaces: &NamespaceLabels) -> Cells {
    let mut out = Cells::default();
    let mut together: BTreeMap<Vec<&str>, BTreeSet<&str>> = BTreeMap::new();
    for (namespace, labels) in namespaces {
        let mut labels = labels.clone();
        labels.insert(NAME_LABEL.to_owned(), namespace.clone());
        let reaching: Vec<&BoundPolicy> =
            in_force.policies().filter(|bound| bound.reaches(&labels)).collect();
        if reaching.is_empty() {
            continue;
        }
        out.reach.insert(namespace.clone(), reaching.iter().map(|bound| bound.binding.clone()).collect());
        match combinations(&reaching) {
            Ok(sets) => {
                for set in sets {
                    let names = set.iter().map(|bound| bound.binding.as_str()).collect();
                    together.entry(names).or_default().insert(namespace);
                }
            }
            Err(problem) => out.problems.push(problem),
        }
    }
    if together.len() > MAX_CELLS {
        out.problems.push(too_many(together.keys().flatten().map(|name| (*name).to_owned())));
    }
    for (names, namespaces) in together.into_iter().take(MAX_CELLS) {
        let members: Vec<&BoundPolicy> = names.iter().filter_map(|name| in_force.policy(name)).collect();
        let cell = cell(&members, namespaces.into_iter().map(str::to_owned).collect(), &mut out.problems);
        out.cells.insert(cell.name.clone(), cell);
    }
    out.problems.sort();
    out.problems.dedup();
    out
}

/// Every set of bindings that can be exactly those that select a pod.
fn combinations<'a>(reaching: &[&'a BoundPolicy]) -> Result<Vec<Vec<&'a BoundPolicy>>, Problem> {
    let pods = |bound: &BoundPolicy| -> Vec<LabelSelector> {
        bound.policy.subject.as_ref().map(|subject| subject.pods.clone()).unwrap_or_default()
    };
    // Starts with the pods that the bindings chosen so far select; each further binding is then taken or
    // left.
    let mut partial: Vec<(Vec<&BoundPolicy>, Labels)> = vec![(Vec::new(), Labels::default())];
    for bound in reaching {
        let Some(own) = Labels::all_of(&pods(bound)) else { continue };
        let mut next = Vec::with_capacity(partial.len() * 2);
        for (set, labels) in partial {
            if let Some(both) = labels.intersect(&own) {
                next.push((set.iter().copied().chain([*bound]).collect(), both));
            }
            // Left out only if some of these pods can be without it.
            if !own.includes(&labels) {
                next.push((set, labels));
            }
        }
        if next.len() > MAX_CELLS {
            return Err(too_many(reaching.iter().map(|bound| bound.binding.clone())));
        }
        partial = next;
    }
    // A binding left out early may turn out to select every pod of those taken later.
    let feasible = |set: &[&BoundPolicy], labels: &Labels| {
        reaching.iter().all(|bound| {
            set.iter().any(|one| one.binding == bound.binding)
                || !Labels::all_of(&pods(bound)).is_some_and(|own| own.includes(labels))
        })
    };
    let sets = partial.into_iter().filter(|(set, labels)| !set.is_empty() && feasible(set, labels));
    Ok(sets.map(|(set, _)| set).collect())
}

fn too_many(bindings: impl Iterator<Item = String>) -> Problem {
    let bindings: BTreeSet<String> = bindings.collect();
    Problem {
        bindings: bindings.into_iter().collect(),
        reason: "TooManyCells",
        message: format!(
            "the pod selectors of these bindings overlap in more than {MAX_CELLS} ways; make them disjoint"
        ),
    }
}

fn cell(members: &[&BoundPolicy], namespaces: Vec<String>, problems: &mut Vec<Problem>) -> Cell {
    let policies = || members.iter().map(|bound| bound.policy.as_ref());
    let name = cell_name(
        policies().flat_map(|policy| &policy.packs),
        policies().flat_map(|policy| &policy.variants),
    );
    let bindings: Vec<String> = members.iter().map(|bound| bound.binding.clone()).collect();
    let enforced: Vec<Policy> = members
        .iter()
        .filter(|bound| bound.stage == Stage::Enforce)
        .map(|bound| bound.policy.as_ref().clone())
        .collect();
    let mut problem = |reason, message: String| {
        problems.push(Problem { bindings: bindings.clone(), reason, message });
        None
    };
    let effective = if enforced.is_empty() {
        None
    } else {
        match meet(enforced) {
            Err(conflicts) => {
                let all: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
                problem("PacksConflict", all.join("; "))
            }
            Ok(mut met) => {
                // The label of the pods, even while some of the bindings are not enforced yet.
                met.policy.cell.clone_from(&name);
                match bundle::write(&met.policy) {
                    Err(error) => problem("BundleTooLarge", error.to_string()),
                    Ok(bundle) => {
                        let digest = bundle::digest(&bundle);
                        Some(Effective { policy: met.policy, bundle, digest })
                    }
                }
            }
        }
    };
    Cell { name, bindings, namespaces, effective }
}
