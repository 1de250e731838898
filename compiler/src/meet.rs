//! The meet: the one policy that allows what every one of several policies allows.
//!
//! Allow-lists intersect, deny-lists unite, requirements add up, and the stricter level wins. A section that
//! a policy does not have constrains nothing. Laws (property tests in `tests/meet_laws.rs`): commutative,
//! associative, idempotent, and never widening: each policy allows what the meet allows. The result is in
//! canonical form, so the same policies in another order give the same bytes.
//!
//! ```text
//! policies ► provenance (one list of packs) ► section by section ► canonical form ► Met { policy, narrowed }
//! ```
//!
//! Terms. *Conflict*: the policies cannot hold together at all. *Narrowed*: the meet is tighter than the
//! exact intersection, because the target cannot express that.

mod admission;
mod isolation;
mod network;
mod provenance;
mod sandboxes;
mod syscalls;
mod tools;

use std::collections::BTreeSet;
use std::fmt;

use bailiwick_policy::policy::{FORMAT_VERSION, Policy, Subject, Unmatched, cell_name};

pub use crate::reach::rules::Narrowed;
pub(crate) use admission::each_node;
pub(crate) use isolation::as_strict;

/// The result of a meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Met {
    /// The effective policy, in canonical form.
    pub policy: Policy,
    /// Where the policy is tighter than the exact intersection; origins index `policy.packs`.
    pub narrowed: Vec<Narrowed>,
}

/// Why policies cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Conflict {
    /// Nothing to meet: the meet of no policies would allow everything.
    #[error("there is no policy to meet")]
    Nothing,
    /// Another format.
    #[error("a policy of format version {0} cannot be met with ones of version {FORMAT_VERSION}")]
    FormatVersion(u32),
    /// One published version with two different contents.
    #[error("pack `{name}` is defined twice in version `{version}` with different contents")]
    TwoContents {
        /// The pack.
        name: String,
        /// Its version.
        version: String,
    },
    /// More packs than an origin can number.
    #[error("more than 65,535 packs")]
    TooManyPacks,
    /// A pool, sandbox or tool that two policies define incompatibly.
    #[error("{} `{name}` is defined twice with different {what}", what.owner())]
    Differs {
        /// Its name.
        name: String,
        /// What differs.
        what: Property,
    },
    /// A variable of a sandbox's environment on which the policies do not agree.
    #[error("sandbox `{sandbox}`: {fault} `{variable}`")]
    Variable {
        /// The sandbox.
        sandbox: String,
        /// The variable.
        variable: String,
        /// Why not.
        fault: VariableFault,
    },
}

impl Conflict {
    /// What to do about it. Another name is no remedy where a pack limits what the other one defines: its limits
    /// would then apply to nothing.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Differs { what, .. } => what.help(),
            Self::Variable { fault, .. } => fault.help(),
            Self::TwoContents { .. } => "give the changed pack a version of its own",
            Self::FormatVersion(_) => "compile it again with this version",
            Self::Nothing | Self::TooManyPacks => "name fewer packs, but at least one",
        }
    }
}

/// A property without an order, which policies can only agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// What runs the sandboxes of a pool.
    Backend,
    /// The RuntimeClass of a pool.
    RuntimeClass,
    /// The version of Pod Security of a pool.
    PodSecurityVersion,
    /// The pool of a sandbox.
    Pool,
    /// The language of a sandbox.
    Runtime,
    /// What a tool runs.
    Run,
    /// The facts that a tool derives.
    Derive,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backend => "backends",
            Self::RuntimeClass => "RuntimeClasses",
            Self::PodSecurityVersion => "versions of Pod Security",
            Self::Pool => "pools",
            Self::Runtime => "runtimes",
            Self::Run => "`run`",
            Self::Derive => "`derive`",
        })
    }
}

impl Property {
    const fn owner(self) -> &'static str {
        match self {
            Self::Backend | Self::RuntimeClass | Self::PodSecurityVersion => "pool",
            Self::Pool | Self::Runtime => "sandbox",
            Self::Run | Self::Derive => "tool",
        }
    }

    const fn help(self) -> &'static str {
        match self {
            Self::Backend => "write the same `backend` in each pack",
            Self::RuntimeClass => "write the same `runtimeClass` in each pack",
            Self::PodSecurityVersion => "write the same `podSecurity.version` in each pack",
            Self::Pool => {
                "write the same `pool` in each pack, or take `pool` out of the packs that only limit the sandbox"
            }
            Self::Runtime => "write the same `runtime` in each pack, also where it only limits the sandbox",
            Self::Run | Self::Derive => {
                "define the tool in one pack: rules of the others apply to it by its name; or give another tool another name"
            }
        }
    }
}

/// Why policies do not agree on a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VariableFault {
    /// A ceiling has it, the pack that places the sandbox does not.
    OnlyInCeiling,
    /// Several packs place the sandbox, and not all of them name it.
    NotInEveryPlacer,
    /// It has several values.
    Values,
}

impl fmt::Display for VariableFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyInCeiling => "the pack that places it does not name",
            Self::NotInEveryPlacer => "of the packs that place it, not all name",
            Self::Values => "packs give different values to",
        })
    }
}

impl VariableFault {
    /// What to do about it.
    const fn help(self) -> &'static str {
        match self {
            Self::OnlyInCeiling => "add the variable there, or take it out of the ceiling",
            Self::NotInEveryPlacer => "name the variable in each of them, or in none",
            Self::Values => "give it the same value in each pack",
        }
    }
}

/// Meets policies.
///
/// # Errors
/// Every [`Conflict`], sorted.
pub fn meet(policies: Vec<Policy>) -> Result<Met, Vec<Conflict>> {
    let (packs, mut policies) = provenance::unite(policies)?;
    policies.sort_by(provenance::by_packs);
    let mut narrowed = BTreeSet::new();
    let mut conflicts: Vec<Conflict> =
        sandboxes::conflicts(&policies).into_iter().chain(tools::conflicts(&policies)).collect();
    if !conflicts.is_empty() {
        conflicts.sort();
        conflicts.dedup();
        return Err(conflicts);
    }
    let mut policies = policies.into_iter();
    let Some(first) = policies.next() else { return Err(vec![Conflict::Nothing]) };
    let mut met = policies.fold(first, |a, b| pair(a, b, &mut narrowed));
    met.packs = packs;
    met.cell = cell_name(&met.packs, &met.variants);
    Ok(Met { policy: canonical(met), narrowed: narrowed.into_iter().collect() })
}

fn pair(a: Policy, b: Policy, narrowed: &mut BTreeSet<Narrowed>) -> Policy {
    Policy {
        subject: both(a.subject, b.subject, subjects),
        isolation: isolation::meet(a.isolation, b.isolation),
        network: both(a.network, b.network, |a, b| network::meet(&a, &b, narrowed)),
        images: a.images.into_iter().chain(b.images).collect(),
        admission: admission::unite(a.admission, b.admission),
        pools: sandboxes::pools(a.pools, b.pools),
        sandboxes: sandboxes::meet(a.sandboxes, b.sandboxes),
        tools: a.tools.into_iter().chain(b.tools).collect(),
        audit: both(a.audit, b.audit, tools::audit),
        variants: a.variants.into_iter().chain(b.variants).collect(),
        ..Policy::top(Vec::new())
    }
}

/// Meets a section that may be absent; an absent section constrains nothing.
fn both<T>(a: Option<T>, b: Option<T>, meet: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(meet(a, b)),
        (one, other) => one.or(other),
    }
}

/// The meet governs what both policies govern.
fn subjects(a: Subject, b: Subject) -> Subject {
    Subject {
        namespaces: a.namespaces.into_iter().chain(b.namespaces).collect(),
        pods: a.pods.into_iter().chain(b.pods).collect(),
        // Namespace-wide controls may be emitted only if each pack says that nothing else runs there.
        exclusive: a.exclusive && b.exclusive,
        unmatched: if a.unmatched == Unmatched::Deny { Unmatched::Deny } else { b.unmatched },
        from: provenance::united(a.from, b.from),
    }
}

/// Brings the policy into canonical form: lists sorted and without duplicates, unused entries removed.
fn canonical(mut policy: Policy) -> Policy {
    policy.variants.sort();
    policy.variants.dedup();
    if let Some(subject) = &mut policy.subject {
        for selectors in [&mut subject.namespaces, &mut subject.pods] {
            selectors.sort();
            selectors.dedup();
        }
        subject.from = provenance::united(std::mem::take(&mut subject.from), Vec::new());
    }
    policy.isolation = isolation::canonical(policy.isolation);
    policy.network = policy.network.map(network::canonical);
    policy.images.sort_by(|a, b| provenance::order(&a.from, &b.from));
    policy.images.dedup();
    policy.admission = admission::canonical(policy.admission);
    sandboxes::canonical(&mut policy);
    tools::canonical(&mut policy);
    policy
}
