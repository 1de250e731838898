//! A policy made ready to decide tool calls: schemas and patterns compiled, names resolved, rules indexed by
//! tool. Built once.

use std::collections::{BTreeMap, BTreeSet};

use super::builtin::Builtin;
use super::checking::{self, LoadError};
use super::narrowing::Proofs;
use crate::arguments::ArgumentsSchema;
use crate::bundle::{self, Bundle, BundleError};
use crate::cel;
use crate::ir::{Expr, Root};
use crate::policy::Policy;
use crate::policy::sandboxes::Limits;
use crate::policy::tools::{Derive, Phase, Resource, RuleEffect, Tool, ToolLayer, ToolRule};

/// A policy that is ready.
#[derive(Debug)]
pub struct LoadedPolicy {
    pub(super) policy: Policy,
    pub(super) digest: String,
    pub(super) tools: Tools,
}

/// The prepared parts.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(super) layers: Vec<Layer>,
    /// By name; every tool that some layer defines, and the built-in ones.
    pub(super) index: BTreeMap<String, Entry>,
    /// Which variables any rule reads: the others are not built.
    pub(super) reads_subject: bool,
    pub(super) reads_session: bool,
    pub(super) reads_facts: bool,
}

/// A layer's prepared parts.
#[derive(Debug)]
pub(super) struct Layer {
    /// `name@version`.
    pub(super) label: String,
    /// Name of the pack, without its version.
    pub(super) pack: String,
    pub(super) expressions: cel::Loaded,
    /// Of each rule.
    pub(super) rules: Vec<PreparedRule>,
    /// Of each definition.
    pub(super) schemas: Vec<ArgumentsSchema>,
}

/// A rule's prepared expressions.
#[derive(Debug)]
pub(super) struct PreparedRule {
    /// Its condition.
    pub(super) when: Option<cel::Prepared>,
    /// The arguments that it gives.
    pub(super) transform: Option<cel::Prepared>,
    /// What it replaces parts of a result with.
    pub(super) redact: Option<cel::Prepared>,
    /// Whether it decides by the texts of a result without checking whether they are complete.
    pub(super) trusts_texts: bool,
}

impl PreparedRule {
    pub(super) fn new(rule: &ToolRule, expressions: &cel::Loaded) -> Self {
        let prepare = |cel: &Option<_>| cel.as_ref().map(|cel| expressions.prepare(cel));
        Self {
            when: prepare(&rule.when),
            transform: prepare(&rule.transform),
            redact: prepare(&rule.redact),
            trusts_texts: trusts_texts(rule),
        }
    }
}

/// Whether a rule that withholds or redacts reads `stdout`, `stderr` or `content` of the result, but not
/// `dropped`. A rule that takes the whole of `result`, as in `cel.bind(r, result, …)`, counts as reading the
/// texts.
fn trusts_texts(rule: &ToolRule) -> bool {
    if rule.phase != Phase::Result || !matches!(rule.effect, RuleEffect::Deny(_) | RuleEffect::Redact) {
        return false;
    }
    let is_result = |operand: &Expr| matches!(operand, Expr::Root(Root::Result));
    let (mut mentions, mut members, mut texts, mut dropped) = (0_u32, 0_u32, false, false);
    for cel in rule.expressions() {
        cel.expr.walk(&mut |node| match node {
            Expr::Root(Root::Result) => mentions += 1,
            Expr::Has(operand, _) if is_result(operand) => members += 1,
            Expr::Select(operand, name) | Expr::OptSelect(operand, name) if is_result(operand) => {
                members += 1;
                texts |= matches!(name.as_str(), "stdout" | "stderr" | "content");
                dropped |= name == "dropped";
            }
            _ => {}
        });
    }
    (texts || mentions > members) && !dropped
}

/// A tool, in all layers.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) builtin: Option<Builtin>,
    /// One for each layer, in their order.
    pub(super) layers: Vec<LayerEntry>,
    /// Every fact that some definition derives, sorted.
    pub(super) derives: Vec<Derive>,
    /// Those that all definitions derive, for layers that define nothing.
    pub(super) common: Vec<Derive>,
    /// The most that a call may use; `None` for the built-in tools.
    pub(super) limits: Option<Limits>,
    /// The sandboxes that rules narrow its calls to and that provably allow no more than its own; none for
    /// the built-in tools.
    pub(super) narrower: BTreeSet<String>,
    /// Where relative paths start.
    pub(super) workspace: Option<String>,
}

/// A tool, in one layer.
#[derive(Debug)]
pub(super) struct LayerEntry {
    /// Whether the layer defines the tool or a grant of it matches; a grant in shadow does not count.
    pub(super) names: bool,
    /// Index of its definition.
    pub(super) defines: Option<usize>,
    /// Indices of the rules on calls of the tool, in the order of the text.
    pub(super) rules: Vec<usize>,
    /// Indices of the rules on its results, including those in shadow.
    pub(super) results: Vec<usize>,
    /// Whether one of them has an effect.
    pub(super) judges_results: bool,
    /// Indices of the rules on listing it.
    pub(super) listing: Vec<usize>,
}

impl LoadedPolicy {
    /// Makes a policy ready.
    ///
    /// # Errors
    /// Whatever [`bundle::validate`] rejects in its tools.
    pub fn new(policy: Policy, digest: String) -> Result<Self, BundleError> {
        let tools = bundle::check_tools(&policy)?;
        Ok(Self { policy, digest, tools })
    }

    /// Makes a bundle's policy ready.
    ///
    /// # Errors
    /// As for [`LoadedPolicy::new`].
    pub fn of_bundle(bundle: Bundle) -> Result<Self, BundleError> {
        Self::new(bundle.policy, bundle.digest)
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The tools that a caller can name, by name, with their description and the JSON Schema of their
    /// arguments. A tool that two layers define has the description of the first; arguments must match the
    /// schemas of all.
    pub fn tools(&self) -> impl Iterator<Item = (&str, String, serde_json::Value)> {
        self.tools.index.iter().filter_map(|(name, entry)| {
            if let Some(builtin) = entry.builtin {
                return Some((name.as_str(), builtin.description().to_owned(), builtin.input()));
            }
            let (_, tool) = self.definitions(entry).next()?;
            Some((name.as_str(), tool.description.clone(), tool.input.clone()))
        })
    }

    /// The definitions of a tool and the indices of their layers.
    pub(super) fn definitions<'p>(&'p self, entry: &'p Entry) -> impl Iterator<Item = (usize, &'p Tool)> {
        entry
            .layers
            .iter()
            .zip(&self.policy.tools)
            .enumerate()
            .filter_map(|(at, (entry, layer))| Some((at, layer.definitions.get(entry.defines?)?)))
    }

    /// Whether two layers define the tool and disagree about what it runs.
    pub(super) fn differs(&self, entry: &Entry) -> bool {
        let mut definitions = self.definitions(entry).map(|(_, tool)| tool);
        definitions.next().is_some_and(|first| definitions.any(|other| other.run != first.run))
    }

    /// The schemas that the arguments of a tool must match.
    pub(super) fn schemas<'p>(&'p self, entry: &'p Entry) -> impl Iterator<Item = &'p ArgumentsSchema> {
        let defined = entry
            .layers
            .iter()
            .zip(&self.tools.layers)
            .filter_map(|(entry, layer)| layer.schemas.get(entry.defines?));
        defined.chain(entry.builtin.and_then(Builtin::schema))
    }
}

impl Tools {
    /// Prepares a policy whose expressions are known to be within bounds.
    pub(crate) fn new(policy: &Policy) -> Result<Self, LoadError> {
        let mut tools = Self::default();
        for (at, layer) in policy.tools.iter().enumerate() {
            let checked = checking::layer(policy, layer, at)?;
            tools.layers.push(checked);
        }
        checking::narrowings(policy)?;
        let rules = policy.tools.iter().flat_map(|layer| &layer.rules);
        for cel in rules.flat_map(ToolRule::expressions) {
            cel.expr.walk(&mut |node| match node {
                Expr::Root(Root::Subject) => tools.reads_subject = true,
                Expr::Root(Root::Session) => tools.reads_session = true,
                Expr::Root(Root::Facts) => tools.reads_facts = true,
                _ => {}
            });
        }
        let defined = policy.tools.iter().flat_map(|layer| &layer.definitions).map(|tool| tool.name.as_str());
        let names: BTreeSet<&str> = defined.chain(Builtin::ALL.map(Builtin::name)).collect();
        let mut proofs = Proofs::new(policy);
        let entries = names.into_iter().map(|name| (name.to_owned(), Entry::of(policy, name, &mut proofs)));
        tools.index = entries.collect();
        Ok(tools)
    }
}

impl Entry {
    fn of<'p>(policy: &'p Policy, name: &str, proofs: &mut Proofs<'p>) -> Self {
        let layers: Vec<LayerEntry> = policy.tools.iter().map(|layer| LayerEntry::of(layer, name)).collect();
        let builtin = Builtin::ALL.into_iter().find(|builtin| builtin.name() == name);
        if builtin.is_some() {
            // The clerk sees the workspace as the root.
            let (derives, workspace) = (vec![Derive::Path("path".to_owned())], Some("/".to_owned()));
            let (common, narrower) = (derives.clone(), BTreeSet::new());
            return Self { builtin, layers, common, derives, limits: None, narrower, workspace };
        }
        let defined = layers.iter().zip(&policy.tools);
        let definitions: Vec<&Tool> =
            defined.filter_map(|(entry, layer)| layer.definitions.get(entry.defines?)).collect();
        let mut derives: Vec<Derive> = definitions.iter().flat_map(|tool| &tool.derive).cloned().collect();
        derives.sort();
        derives.dedup();
        let by_all = |derive: &&Derive| definitions.iter().all(|tool| tool.derive.contains(derive));
        let common = derives.iter().filter(by_all).cloned().collect();
        let sandbox = definitions
            .first()
            .and_then(|tool| policy.sandboxes.iter().find(|sandbox| sandbox.name == tool.run.sandbox));
        let limits = sandbox.map(|sandbox| sandbox.limits);
        let rules = layers
            .iter()
            .zip(&policy.tools)
            .flat_map(|(entry, layer)| entry.rules.iter().filter_map(|at| layer.rules.get(*at)));
        let narrower = sandbox.map(|own| proofs.narrower(rules, &own.name)).unwrap_or_default();
        let workspace = sandbox.and_then(|sandbox| sandbox.filesystem.workspace.as_ref());
        let workspace = workspace.map(|workspace| workspace.path.clone());
        Self { builtin: None, layers, derives, common, limits, narrower, workspace }
    }
}

impl Entry {
    /// Whether any layer has a rule in effect on results of the tool.
    pub(super) fn judges_results(&self) -> bool {
        self.layers.iter().any(|layer| layer.judges_results)
    }

    /// Whether any layer has a rule on results of the tool, even in shadow.
    pub(super) fn asks_of_results(&self) -> bool {
        self.layers.iter().any(|layer| !layer.results.is_empty())
    }
}

impl LayerEntry {
    fn of(layer: &ToolLayer, name: &str) -> Self {
        let defines = layer.definitions.iter().position(|tool| tool.name == name);
        let about = |rule: &ToolRule| rule.tools.iter().any(|pattern| pattern.matches(name));
        let of = |phase: Phase| -> Vec<usize> {
            let rules = layer.rules.iter().enumerate();
            rules.filter(|(_, rule)| rule.phase == phase && about(rule)).map(|(at, _)| at).collect()
        };
        let (rules, results) = (of(Phase::Call), of(Phase::Result));
        let grants = |at: &usize| layer.rules.get(*at).is_some_and(ToolRule::grants);
        let is_enforced = |at: &usize| layer.rules.get(*at).is_some_and(ToolRule::is_enforced);
        Self {
            names: defines.is_some() || rules.iter().any(grants),
            defines,
            rules,
            judges_results: results.iter().any(is_enforced),
            results,
            listing: of(Phase::List),
        }
    }
}

/// The most that a call may use of a resource, in thousandths.
pub(super) const fn reserved_milli(limits: Option<Limits>, resource: Resource) -> u64 {
    match (resource, limits) {
        (Resource::Calls, _) => 1_000,
        (Resource::CpuSeconds, Some(limits)) => limits.cpu_time_ms,
        (Resource::CpuSeconds, None) => super::builtin::CLERK_CPU_MS,
        (Resource::OutputBytes, Some(limits)) => limits.output_bytes.saturating_mul(1_000),
        (Resource::OutputBytes, None) => super::builtin::CLERK_OUTPUT_BYTES.saturating_mul(1_000),
    }
}
