//! Bindings: from each one to the policy that it puts in force, and what stays in force if that fails.
//!
//! A binding whose new version does not compile keeps the last one that did. After a restart, only the API
//! server remembers that version: the binding's status names it, and it is compiled again, since packs do not
//! change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_crds::binding::{
    Chosen, PackReference, PolicyBindingSpec, PolicyBindingStatus, Rollout, Stage as WireStage,
};
use bailiwick_crds::selector::LabelSelector as WireSelector;
use bailiwick_policy::admission::{self, Exception, Stage};
use bailiwick_policy::bundle::{self, Bundle};
use bailiwick_policy::policy::{LabelSelector, Policy, cell_name};
use semver::{Version, VersionReq};
use serde_json::json;

use super::asked::{Answers, Asked};
use super::packs::ClusterPacks;
use crate::diagnostic::Diagnostic;
use crate::library::Library;
use crate::lower::plain_selector;
use crate::parameters::Bindings;
use crate::reach::labels::{self, Labels};
use crate::resolve::digest;

/// A `PolicyBinding` object.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// The binding's spec.
    pub spec: &'a PolicyBindingSpec,
    /// What was in force when its status was written; `None`: nothing yet.
    pub status: Option<&'a PolicyBindingStatus>,
}

/// One published pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackId {
    /// Name without version.
    pub name: String,
    /// Version.
    pub version: Version,
    /// SHA-256 (hex) of the canonical JSON of its spec.
    pub digest: String,
}

/// The policy that a binding puts in force.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundPolicy {
    /// Name of the binding.
    pub binding: String,
    /// The pack.
    pub pack: PackId,
    /// What the binding chose.
    pub chosen: Chosen,
    /// How strictly it is enforced.
    pub stage: Stage,
    /// The pack, met with what it extends, for the subjects of the binding; shared, since it is large.
    pub policy: Arc<Policy>,
    /// SHA-256 (hex) of the policy's bundle.
    pub digest: String,
    /// The packs that it was met with by a requirement.
    pub taken: Vec<Taken>,
}

impl BoundPolicy {
    /// Whether the policy governs pods in a namespace with these labels, which include its name.
    #[must_use]
    pub fn reaches(&self, namespace: &BTreeMap<String, String>) -> bool {
        let selectors = self.policy.subject.as_ref().map(|subject| &subject.namespaces);
        selectors.and_then(Labels::all_of).is_some_and(|selected| selected.matches(namespace))
    }

    /// The same version of the same pack with the same values, compiled over these packs.
    fn again(&self, packs: &ClusterPacks) -> Option<Self> {
        let spec = PolicyBindingSpec {
            pack: PackReference {
                name: self.pack.name.clone(),
                version: None,
                digest: Some(self.pack.digest.clone()),
            },
            parameters: self.chosen.parameters.clone(),
            narrow_to: self.chosen.narrow_to.clone(),
            stage: WireStage::default(),
            rollout: Rollout::default(),
            hold: None,
        };
        compile(&Binding { name: &self.binding, spec: &spec, status: None }, &Asked::new(packs)).1
    }
}

/// A pack that a policy takes by a requirement and not by a lock: a newer version that meets it is taken as
/// soon as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Name of the pack that is taken.
    pub name: String,
    /// The versions that would do.
    pub requirement: VersionReq,
    /// The one that is taken, the newest.
    pub version: Version,
}

/// Why a binding is or is not in force, as a condition's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It compiles.
    Compiled,
    /// The cluster has no pack of this name.
    UnknownPack,
    /// It has the pack, in other versions.
    UnknownVersion,
    /// It has the pack, with other digests.
    UnknownDigest,
    /// The pack does not compile, or does not with these values.
    DoesNotCompile,
    /// `narrowTo` can select nothing, or is not a selector.
    BadSelector,
    /// The pack has no `subjects`: it is a ceiling for others and governs no pods by itself.
    GovernsNobody,
}

impl Reason {
    /// The reason as a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compiled => "Compiled",
            Self::UnknownPack => "UnknownPack",
            Self::UnknownVersion => "UnknownVersion",
            Self::UnknownDigest => "UnknownDigest",
            Self::DoesNotCompile => "DoesNotCompile",
            Self::BadSelector => "BadSelector",
            Self::GovernsNobody => "GovernsNobody",
        }
    }
}

/// The result for one binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Name of the binding.
    pub binding: String,
    /// Why it is in force as requested, or not.
    pub reason: Reason,
    /// The same for human readers.
    pub message: String,
    /// The findings of the compiler, including warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// What is in force: what the binding asks for, or the last that compiled, or nothing.
    pub in_force: Option<PackId>,
}

impl Verdict {
    /// Whether what is in force is what the binding asks for.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.reason == Reason::Compiled
    }

    /// Whether something was in force and no longer is, so that it is unknown what governs its pods. A
    /// webhook is then not ready.
    #[must_use]
    pub fn is_lost(&self, binding: &Binding<'_>) -> bool {
        self.in_force.is_none() && binding.status.is_some_and(|status| status.version.is_some())
    }
}

/// The bindings in force: for each, the last policy that compiled.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    bound: BTreeMap<String, Kept>,
    compilations: u64,
}

#[derive(Clone, Debug)]
struct Kept {
    /// What the binding asked for. While this and the answers of the packs are the same, so is the verdict.
    key: String,
    answers: Answers,
    verdict: Verdict,
    policy: Option<BoundPolicy>,
}

impl InForce {
    /// Compiles what is new and keeps what works. Bindings that are not listed are no longer in force.
    pub fn update(&mut self, bindings: &[Binding<'_>], packs: &ClusterPacks) -> Vec<Verdict> {
        self.update_beside(bindings, &BTreeSet::new(), packs)
    }

    /// As [`Self::update`], if some bindings exist but cannot be read: what those have in force stays.
    pub fn update_beside(
        &mut self,
        bindings: &[Binding<'_>],
        unreadable: &BTreeSet<&str>,
        packs: &ClusterPacks,
    ) -> Vec<Verdict> {
        let listed: BTreeSet<&str> = bindings.iter().map(|binding| binding.name).collect();
        self.bound.retain(|name, _| listed.contains(name.as_str()) || unreadable.contains(name.as_str()));
        let mut verdicts = Vec::with_capacity(bindings.len());
        for binding in bindings {
            let key = digest(&json!(binding.spec));
            let before = self.bound.remove(binding.name);
            let kept = match before {
                Some(kept) if kept.key == key && kept.answers.hold(packs) => kept,
                before => {
                    self.compilations += 1;
                    let asked = Asked::new(packs);
                    let previous = before.and_then(|kept| kept.policy);
                    let (mut verdict, policy) = compile(binding, &asked);
                    let policy = policy.or(previous).or_else(|| remembered(binding, &asked));
                    verdict.in_force = policy.as_ref().map(|policy| policy.pack.clone());
                    Kept { key, answers: asked.answers(), verdict, policy }
                }
            };
            verdicts.push(kept.verdict.clone());
            self.bound.insert(binding.name.to_owned(), kept);
        }
        verdicts
    }

    /// Puts the policy of a bundle in force for a binding that has none. What is said of the binding stays.
    pub fn recall(&mut self, policy: BoundPolicy) {
        // Of a binding that cannot be read, nothing else is known. No key is empty, so it is compiled once it can.
        let unread = || Kept {
            key: String::new(),
            answers: Answers::default(),
            verdict: Verdict {
                binding: policy.binding.clone(),
                reason: Reason::DoesNotCompile,
                message: String::new(),
                diagnostics: Vec::new(),
                in_force: None,
            },
            policy: None,
        };
        let kept = self.bound.entry(policy.binding.clone()).or_insert_with(unread);
        kept.verdict.in_force = Some(policy.pack.clone());
        kept.policy = Some(policy);
    }

    /// How many times bindings were compiled so far; a change recompiles only what it affects.
    #[must_use]
    pub const fn compilations(&self) -> u64 {
        self.compilations
    }

    /// The policies in force, by binding name.
    pub fn policies(&self) -> impl Iterator<Item = &BoundPolicy> {
        self.bound.values().filter_map(|kept| kept.policy.as_ref())
    }

    /// The policy of a binding.
    #[must_use]
    pub fn policy(&self, binding: &str) -> Option<&BoundPolicy> {
        self.bound.get(binding)?.policy.as_ref()
    }

    /// The policies that contain pack `name` and would change if the cluster held `packs`.
    pub fn renewed<'a>(
        &'a self,
        name: &'a str,
        packs: &'a ClusterPacks,
    ) -> impl Iterator<Item = &'a BoundPolicy> {
        self.policies()
            .filter(move |bound| bound.policy.packs.iter().any(|pack| pack.name == name))
            .filter(move |bound| bound.again(packs).is_some_and(|policy| policy.digest != bound.digest))
    }

    /// The argument of `Reviewer::with_rego`, with the exceptions that name rules of these packs.
    #[must_use]
    pub fn reviewable(&self, exceptions: &[Exception]) -> Vec<admission::InForce> {
        self.policies()
            .map(|bound| admission::InForce {
                bundle: Bundle { policy: (*bound.policy).clone(), digest: bound.digest.clone() },
                stage: bound.stage,
                exceptions: exceptions
                    .iter()
                    .filter(|one| bound.policy.packs.iter().any(|pack| pack.name == one.pack))
                    .cloned()
                    .collect(),
            })
            .collect()
    }
}

/// Compiles what a binding asks for now.
fn compile(binding: &Binding<'_>, packs: &Asked<'_>) -> (Verdict, Option<BoundPolicy>) {
    let verdict = |reason, message: String, diagnostics| Verdict {
        binding: binding.name.to_owned(),
        reason,
        message,
        diagnostics,
        in_force: None,
    };
    let pack = match find(&binding.spec.pack, packs) {
        Ok(pack) => pack,
        Err((reason, message)) => return (verdict(reason, message, Vec::new()), None),
    };
    let chosen = Bindings { values: binding.spec.parameters.clone().into_iter().collect() };
    let Some(compiled) = packs.compile(&pack.name, &pack.version, chosen) else {
        return (verdict(Reason::UnknownVersion, format!("`{}` is gone", pack.name), Vec::new()), None);
    };
    let diagnostics: Vec<Diagnostic> = compiled.all().cloned().collect();
    let Some(policy) = compiled.policy else {
        let first = diagnostics.iter().find(|one| one.severity == crate::diagnostic::Severity::Error);
        let message = first.map_or_else(|| "it does not compile".to_owned(), ToString::to_string);
        return (verdict(Reason::DoesNotCompile, message, diagnostics), None);
    };
    match narrowed(policy, binding.spec) {
        Ok(policy) => {
            let message = format!("`{}` {} compiles", pack.name, pack.version);
            match bundle::write(&policy) {
                Ok(bytes) => {
                    let bound = BoundPolicy {
                        binding: binding.name.to_owned(),
                        pack,
                        chosen: Chosen {
                            parameters: binding.spec.parameters.clone(),
                            narrow_to: binding.spec.narrow_to.clone(),
                        },
                        stage: stage(binding.spec.stage),
                        digest: bundle::digest(&bytes),
                        taken: packs.taken(&policy),
                        policy: Arc::new(policy),
                    };
                    (verdict(Reason::Compiled, message, diagnostics), Some(bound))
                }
                Err(error) => (verdict(Reason::DoesNotCompile, error.to_string(), diagnostics), None),
            }
        }
        Err((reason, message)) => (verdict(reason, message, diagnostics), None),
    }
}

/// Compiles again what the binding's status says was in force.
fn remembered(binding: &Binding<'_>, packs: &Asked<'_>) -> Option<BoundPolicy> {
    let status = binding.status?;
    let version = status.version.clone()?;
    let digest = status.digest.clone()?;
    // What the binding asks for now may be what does not compile.
    let chosen = status.chosen.clone().unwrap_or_else(|| Chosen {
        parameters: binding.spec.parameters.clone(),
        narrow_to: binding.spec.narrow_to.clone(),
    });
    let spec = PolicyBindingSpec {
        pack: PackReference { name: binding.spec.pack.name.clone(), version: Some(version), digest: None },
        stage: status.stage.unwrap_or(binding.spec.stage),
        parameters: chosen.parameters,
        narrow_to: chosen.narrow_to,
        ..binding.spec.clone()
    };
    compile(&Binding { spec: &spec, ..*binding }, packs).1.filter(|bound| bound.pack.digest == digest)
}

/// The pack that a reference names.
fn find(reference: &PackReference, packs: &Asked<'_>) -> Result<PackId, (Reason, String)> {
    let name = &reference.name;
    if !packs.knows(name) {
        return Err((Reason::UnknownPack, format!("the cluster has no pack `{name}`")));
    }
    let held = || {
        let mut versions = packs.versions(name);
        versions.sort();
        versions.iter().map(|version| format!("`{version}`")).collect::<Vec<_>>().join(", ")
    };
    match (&reference.version, &reference.digest) {
        (Some(written), _) => {
            let unknown = || {
                let message =
                    format!("the cluster has `{name}` in no version `{written}`, only in {}", held());
                (Reason::UnknownVersion, message)
            };
            let version = Version::parse(written.as_str()).map_err(|_| unknown())?;
            let digest = packs.digest(name, &version).ok_or_else(unknown)?.to_owned();
            Ok(PackId { name: name.clone(), version, digest })
        }
        (None, Some(digest)) => {
            let version = packs.with_digest(name, digest).ok_or_else(|| {
                (Reason::UnknownDigest, format!("no version of `{name}` has digest `{digest}`"))
            })?;
            Ok(PackId { name: name.clone(), version: version.clone(), digest: digest.clone() })
        }
        (None, None) => Err((Reason::UnknownVersion, format!("name a version of `{name}`: {}", held()))),
    }
}

/// The policy for the subjects that the binding leaves; what the binding adds becomes part of its cell's
/// name.
fn narrowed(mut policy: Policy, spec: &PolicyBindingSpec) -> Result<Policy, (Reason, String)> {
    let Some(subject) = &mut policy.subject else {
        let message = "the pack has no `subjects`; bind a pack that extends it".to_owned();
        return Err((Reason::GovernsNobody, message));
    };
    if let Some(narrow) = &spec.narrow_to {
        for (member, wire, into) in [
            ("namespaces", &narrow.namespaces, &mut subject.namespaces),
            ("pods", &narrow.pods, &mut subject.pods),
        ] {
            let Some(wire) = wire else { continue };
            into.push(
                selector(wire).map_err(|why| (Reason::BadSelector, format!("narrowTo.{member}: {why}")))?,
            );
            into.sort();
            into.dedup();
            if Labels::all_of(into.iter()).is_none() {
                let message = format!("narrowTo.{member} has nothing in common with the pack's subjects");
                return Err((Reason::BadSelector, message));
            }
        }
        // This pack no longer governs the other pods of the namespaces.
        subject.exclusive &= narrow.pods.is_none();
    }
    if let Some(message) = subject.pods.iter().find_map(labels::of_nodes) {
        return Err((Reason::BadSelector, message));
    }
    for (member, selectors) in [("namespaces", &subject.namespaces), ("pods", &subject.pods)] {
        let written: usize = selectors.iter().map(characters).sum();
        if written > MAX_SELECTOR {
            let message = format!(
                "the selector of {member} lists {written} characters of labels, and the API server takes conditions over {MAX_SELECTOR} at most; select by a label that they have in common"
            );
            return Err((Reason::BadSelector, message));
        }
    }
    if !spec.parameters.is_empty() || spec.narrow_to.is_some() {
        let pack = &spec.pack.name;
        policy.variants = vec![digest(&json!([pack, spec.parameters, spec.narrow_to]))];
        policy.cell = cell_name(&policy.packs, &policy.variants);
    }
    Ok(policy)
}

/// Most characters in the selectors of one policy. A condition of the floor holds a selector twice, once for
/// the old and once for the new object, and the API server accepts 100,000 characters.
const MAX_SELECTOR: usize = 40_000;

/// The characters of a selector in an expression.
fn characters(selector: &LabelSelector) -> usize {
    /// Of a literal: its quotes, a comma and a space.
    const QUOTED: usize = 4;
    /// Of a requirement: where the labels are found, and the operators.
    const AROUND: usize = 128;
    let labels = selector.match_labels.iter().map(|(key, value)| AROUND + 2 * key.len() + value.len());
    let values = |of: &[String]| of.iter().map(|value| value.len() + QUOTED).sum::<usize>();
    let expressions =
        selector.match_expressions.iter().map(|one| AROUND + 2 * one.key.len() + values(&one.values));
    labels.chain(expressions).sum()
}

fn selector(wire: &WireSelector) -> Result<LabelSelector, String> {
    let (selector, found) = plain_selector(wire);
    match found.first() {
        None => Ok(selector),
        Some(first) => Err(first.message.clone()),
    }
}

pub(crate) const fn stage(wire: WireStage) -> Stage {
    match wire {
        WireStage::Audit => Stage::Audit,
        WireStage::Warn => Stage::Warn,
        WireStage::Enforce => Stage::Enforce,
    }
}
