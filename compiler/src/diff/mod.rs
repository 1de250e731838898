//! What a changed policy newly allows, and what it no longer allows: a semantic comparison, by layer, each
//! difference with a witness.
//!
//! A *witness* is a concrete input (a connection, a call, a pod) on which both policies were evaluated, by
//! the functions that decide the real thing ([`crate::cases`]). Without one, nothing is claimed. The
//! comparison is not a proof of equality where inputs are unlimited: such layers are searched within named
//! limits, and [`Diff::bounds`] lists what each limit cut off.
//!
//! ```text
//! old, new ► what they test (prefixes, ports, names, constants) ► one input for each class ► both decide ► Change
//! ```
//!
//! Terms. *Widened*: the new policy allows what the old one denies, or on fewer conditions. *Narrowed*: the
//! reverse. *Changed*: both allow it, and neither is stricter. *Atom*: something that a policy compares an
//! input with.

mod admission;
mod filesystem;
mod images;
mod limits;
mod network;
mod rooms;
mod samples;
mod sandboxes;
mod settings;
mod shape;
mod sides;
mod syscalls;
mod tables;
mod throttles;
mod tools;
mod wishes;

use bailiwick_policy::policy::Policy;
use serde::Serialize;

use crate::policy_test::TestCase;
use sides::Sides;

/// The differences between two policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// The differences, by layer; within a layer, wider ones first.
    pub changes: Vec<Change>,
    /// What the search left out, if anything; a layer without an entry was compared exactly.
    pub bounds: Vec<Bound>,
    /// Differences that are not judged.
    pub notes: Vec<String>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The layer.
    pub layer: Layer,
    /// The direction.
    pub direction: Direction,
    /// The class of inputs that differ, in words.
    pub what: String,
    /// One of them.
    pub witness: Witness,
    /// The old policy's verdict on the witness.
    pub old: Verdict,
    /// The new policy's verdict on the witness.
    pub new: Verdict,
}

/// The layers of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Layer {
    /// Requests to the API server.
    Admission,
    /// Images of pods.
    Images,
    /// Calls of tools.
    Tools,
    /// Connections of governed pods.
    Network,
    /// Files in sandboxes.
    Filesystem,
    /// System calls in sandboxes.
    Syscalls,
    /// Amounts: limits of sandboxes, sizes, budgets.
    Limits,
}

impl Layer {
    /// The layers in reporting order.
    pub const ALL: [Self; 7] = [
        Self::Admission,
        Self::Images,
        Self::Tools,
        Self::Network,
        Self::Filesystem,
        Self::Syscalls,
        Self::Limits,
    ];

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admission => "admission",
            Self::Images => "images",
            Self::Tools => "tools",
            Self::Network => "network",
            Self::Filesystem => "filesystem",
            Self::Syscalls => "syscalls",
            Self::Limits => "limits",
        }
    }
}

/// The direction of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// The new policy allows more.
    Widened,
    /// The new policy allows something else.
    Changed,
    /// The new policy allows less.
    Narrowed,
}

/// An input on which the two policies were evaluated.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Witness {
    /// A case as a PolicyTest writes it; `expect` is what the new policy does.
    Case(Box<TestCase>),
    /// An amount that a command or a session uses.
    Amount(Amount),
    /// The value of a setting.
    Setting {
        /// Its name: `pools.warm.cgroup`.
        of: String,
        /// Its value.
        value: String,
    },
}

/// An amount of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// What is counted: `sandboxes.shell.limits.memory`.
    pub of: String,
    /// How much.
    pub value: u64,
    /// The unit; empty for a count.
    pub unit: &'static str,
}

/// A policy's verdict on an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// In a word or two: `allowed`, `denied`, `asks`.
    pub verdict: String,
    /// The rules that decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Their messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
}

/// A layer that was not searched completely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// The layer.
    pub layer: Layer,
    /// What was left out, and by which limit.
    pub what: String,
}

impl Diff {
    /// The number of differences in one direction.
    #[must_use]
    pub fn count(&self, direction: Direction) -> usize {
        self.changes.iter().filter(|change| change.direction == direction).count()
    }

    fn bound(&mut self, layer: Layer, what: impl Into<String>) {
        self.bounds.push(Bound { layer, what: what.into() });
    }
}

/// Differences that no input shows, or that have no direction.
fn unjudged(old: &Policy, new: &Policy, out: &mut Diff) {
    let mut note = |differs: bool, what: &str| {
        if differs {
            out.notes.push(format!("{what}, which is not judged"));
        }
    };
    let audit = |policy: &Policy| {
        let stated = policy.audit.as_ref().map(|stated| stated.value);
        stated.map(|audit| (audit.arguments, audit.results, audit.retention_ms))
    };
    note(audit(old) != audit(new), "audit: what is kept of calls, or how long, differs");
    let governs =
        |policy: &Policy| policy.subject.as_ref().map(|one| (one.namespaces.clone(), one.pods.clone()));
    note(
        governs(old) != governs(new),
        "subjects: whom the policies govern differs; network, images and sandboxes are compared for what both govern, and what only one of them governs",
    );
}

/// Compares two policies. `seeds`: further inputs that are worth trying, such as the cases of the packs'
/// tests, with their objects read in. If neither policy names a subject, both apply to every pod, as in their
/// own tests.
///
/// # Errors
/// A policy that cannot be put in force.
pub fn diff(old: &Policy, new: &Policy, seeds: &[TestCase]) -> Result<Diff, String> {
    let sides = Sides::new(old, new);
    let mut out = Diff::default();
    admission::compare(&sides, seeds, &mut out)?;
    images::compare(&sides, seeds, &mut out)?;
    network::compare(&sides, &mut out)?;
    sandboxes::compare(&sides, &mut out)?;
    limits::state(&sides, &mut out);
    tools::compare(&sides, seeds, &mut out)?;
    tools::unexplained(&sides, &mut out)?;
    unjudged(old, new, &mut out);
    out.changes.sort_by(|a, b| (a.layer, a.direction, &a.what).cmp(&(b.layer, b.direction, &b.what)));
    out.notes.sort();
    out.notes.dedup();
    Ok(out)
}
