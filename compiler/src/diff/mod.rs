//! What a changed policy lets through that it refused before, and the reverse: semantic, by layer, each with a witness.
//!
//! A *witness* is a concrete input (a connection, a call, a pod) that both policies were asked about, by the functions that decide the real
//! thing ([`crate::cases`]); nothing is claimed without one. Not a proof of equality where an input has no end of values: such layers are
//! searched within named limits, and [`Diff::bounds`] says which limits cut off what.
//!
//! ```text
//! old, new ► what they test (prefixes, ports, names, constants) ► one input for each class ► both decide ► Change
//! ```
//!
//! Terms. *Widened*: the new policy lets it through and the old one does not, or with fewer conditions. *Narrowed*: the reverse. *Changed*: both
//! let it through, and neither is the stricter. *Atom*: something that a policy compares an input with.

mod admission;
mod filesystem;
mod images;
mod limits;
mod network;
mod samples;
mod sandboxes;
mod settings;
mod shape;
mod sides;
mod syscalls;
mod tools;
mod wishes;

use bailiwick_policy::policy::Policy;
use serde::Serialize;

use crate::policy_test::TestCase;
use sides::Sides;

/// What differs between two policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diff {
    /// What differs, by layer; within one, what is wider first.
    pub changes: Vec<Change>,
    /// What the search left out, if anything; a layer that has no entry was compared exactly.
    pub bounds: Vec<Bound>,
    /// What differs and is not judged.
    pub notes: Vec<String>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Where.
    pub layer: Layer,
    /// Which way.
    pub direction: Direction,
    /// The class of inputs that it is about, in words.
    pub what: String,
    /// One of them.
    pub witness: Witness,
    /// What the old policy says of the witness.
    pub old: Verdict,
    /// What the new policy says of the witness.
    pub new: Verdict,
}

/// What is compared.
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
    /// The layers in the order in which they are told.
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

/// Which way something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// More is let through.
    Widened,
    /// Something else is let through.
    Changed,
    /// Less is let through.
    Narrowed,
}

/// An input that the two policies were asked about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Witness {
    /// A case as a PolicyTest writes it; `expect` is what the new policy does.
    Case(Box<TestCase>),
    /// What a command or a session uses.
    Amount(Amount),
    /// How something is set up.
    Setting {
        /// What: `pools.warm.cgroup`.
        of: String,
        /// How.
        value: String,
    },
}

/// An amount of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// Of what: `sandboxes.shell.limits.memory`.
    pub of: String,
    /// How much.
    pub value: u64,
    /// In which unit; empty for a number of things.
    pub unit: &'static str,
}

/// What a policy says of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// In a word or two: `allowed`, `denied`, `asks`.
    pub verdict: String,
    /// The rules that decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What they said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
}

/// Something that was not searched to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// Where.
    pub layer: Layer,
    /// What was left out, and by which limit.
    pub what: String,
}

impl Diff {
    /// How many differences go one way.
    #[must_use]
    pub fn count(&self, direction: Direction) -> usize {
        self.changes.iter().filter(|change| change.direction == direction).count()
    }

    fn bound(&mut self, layer: Layer, what: impl Into<String>) {
        self.bounds.push(Bound { layer, what: what.into() });
    }
}

/// Differences that no input shows, or that say nothing of which way.
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

/// Compares two policies. `seeds`: inputs that are worth trying as well, as the cases of the packs' tests; their objects are written out.
/// Where neither policy names a subject, both are held against every pod, as their own tests hold them.
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
