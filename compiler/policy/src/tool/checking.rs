//! What is checked before a policy decides tool calls: names, order and bounds of the bundle's contents,
//! since a bundle may have been edited.

use std::collections::BTreeSet;

use thiserror::Error;

use super::builtin::RESERVED_PREFIX;
use super::loaded::{Layer, PreparedRule};
use super::narrowing::MAX_TARGETS;
use super::tally::LONGEST_WINDOW_MS;
use crate::arguments::ArgumentsSchema;
use crate::cel;
use crate::policy::Policy;
use crate::policy::tools::{
    ApproverGroup, Ask, Derive, Otherwise, Phase, Program, RuleEffect, Run, Tool, ToolLayer, ToolPattern,
    ToolRule, Word,
};

/// Why a policy cannot decide tool calls.
#[derive(Debug, Error)]
#[error("tools[{layer}].{place}: {problem}")]
pub struct LoadError {
    /// Index of the layer.
    pub layer: usize,
    /// Where in the layer.
    pub place: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a layer.
#[derive(Debug, Error)]
pub enum Problem {
    /// A name that does not resolve.
    #[error("there is no {what} `{name}`")]
    Unknown {
        /// Of what kind.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// An index that does not resolve.
    #[error("there is no pack {0}")]
    UnknownPack(u16),
    /// Names that are out of order or repeated.
    #[error("names are not sorted, or one stands twice, at `{0}`")]
    Order(String),
    /// A value outside its bounds.
    #[error("{what} must be {expected}")]
    Bound {
        /// Of what.
        what: &'static str,
        /// The bound.
        expected: &'static str,
    },
    /// A schema that does not compile.
    #[error("{0}")]
    Schema(String),
    /// A pattern that does not compile.
    #[error(transparent)]
    Pattern(#[from] cel::LoadError),
}

/// A layer that is being checked.
struct Checking<'p> {
    policy: &'p Policy,
    layer: &'p ToolLayer,
    at: usize,
}

/// Checks a layer, and prepares it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn layer(policy: &Policy, layer: &ToolLayer, at: usize) -> Result<Layer, LoadError> {
    Checking { policy, layer, at }.layer()
}

impl Checking<'_> {
    fn refuse(&self, place: impl Into<String>, problem: Problem) -> LoadError {
        LoadError { layer: self.at, place: place.into(), problem }
    }

    fn layer(&self) -> Result<Layer, LoadError> {
        let layer = self.layer;
        let Some(pack) = self.policy.packs.get(usize::from(layer.pack)) else {
            return Err(self.refuse("pack", Problem::UnknownPack(layer.pack)));
        };
        let earlier = self.policy.tools.iter().take(self.at).map(|layer| layer.pack);
        if earlier.max().is_some_and(|earlier| earlier >= layer.pack) {
            return Err(self.refuse("pack", Problem::Order(pack.name.clone())));
        }
        self.sorted("definitions", layer.definitions.iter().map(|tool| tool.name.as_str()))?;
        self.sorted("approvers", layer.approvers.iter().map(|group| group.name.as_str()))?;
        self.sorted("counters", layer.counters.iter().map(|counter| counter.name.as_str()))?;
        self.sorted("labels", layer.labels.iter().map(|label| label.name.as_str()))?;
        self.sorted("budgets", layer.budgets.iter().map(|budget| budget.name.as_str()))?;
        let mut rules = BTreeSet::new();
        if let Some(rule) = layer.rules.iter().find(|rule| !rules.insert(&rule.name)) {
            return Err(self.refuse("rules", Problem::Order(rule.name.clone())));
        }
        layer.approvers.iter().try_for_each(|group| self.group(group))?;
        self.windows()?;
        layer.rules.iter().try_for_each(|rule| self.rule(rule))?;
        let schemas = layer.definitions.iter().map(|tool| self.tool(tool)).collect::<Result<_, _>>()?;
        let expressions = cel::Loaded::of_patterns(&layer.regexes)
            .map_err(|error| self.refuse("regexes", Problem::Pattern(error)))?;
        let rules = layer.rules.iter().map(|rule| PreparedRule::new(rule, &expressions)).collect();
        Ok(Layer {
            label: format!("{}@{}", pack.name, pack.version),
            pack: pack.name.clone(),
            expressions,
            rules,
            schemas,
        })
    }

    fn sorted<'n>(&self, place: &str, names: impl Iterator<Item = &'n str>) -> Result<(), LoadError> {
        let mut last: Option<&str> = None;
        for name in names {
            if last.is_some_and(|last| last >= name) {
                return Err(self.refuse(place, Problem::Order(name.to_owned())));
            }
            last = Some(name);
        }
        Ok(())
    }

    fn group(&self, group: &ApproverGroup) -> Result<(), LoadError> {
        let place = || format!("approvers.{}", group.name);
        self.sorted(&place(), group.keys.iter().map(|key| key.id.as_str()))?;
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_key = |text: &str| text.len() == 64 && text.bytes().all(hex);
        if group.keys.iter().all(|key| is_key(&key.ed25519) && !key.principal.is_empty()) {
            return Ok(());
        }
        let expected = "a public key of 64 lower-case hex digits and a principal";
        Err(self.refuse(place(), Problem::Bound { what: "an approver", expected }))
    }

    fn windows(&self) -> Result<(), LoadError> {
        let counters = self.layer.counters.iter().map(|counter| (&counter.name, counter.window_ms));
        let budgets = self.layer.budgets.iter().map(|budget| (&budget.name, budget.window_ms));
        let within = |window: u64| (1..=LONGEST_WINDOW_MS).contains(&window);
        match counters.chain(budgets).find(|(_, window)| window.is_some_and(|window| !within(window))) {
            None => Ok(()),
            Some((name, _)) => Err(self.refuse(
                format!("state.{name}"),
                Problem::Bound { what: "a window", expected: "between a millisecond and 366 days" },
            )),
        }
    }

    fn ask(&self, place: &str, ask: &Ask) -> Result<(), LoadError> {
        if !self.layer.approvers.iter().any(|group| group.name == ask.approvers) {
            let what = "group of approvers";
            return Err(self.refuse(place, Problem::Unknown { what, name: ask.approvers.clone() }));
        }
        if ask.quorum == 0 {
            return Err(self.refuse(place, Problem::Bound { what: "a quorum", expected: "at least one" }));
        }
        Ok(())
    }

    fn rule(&self, rule: &ToolRule) -> Result<(), LoadError> {
        let place = format!("rules.{}", rule.name);
        let open = |pattern: &ToolPattern| match pattern {
            ToolPattern::Exact(_) => false,
            ToolPattern::Prefix(prefix) => !prefix.is_empty() && !prefix.ends_with('.'),
        };
        if rule.tools.is_empty() || rule.tools.iter().any(open) {
            let expected = "at least one, and a prefix ends in a dot";
            return Err(self.refuse(place, Problem::Bound { what: "the patterns of tools", expected }));
        }
        self.phase(&place, rule)?;
        match &rule.effect {
            RuleEffect::Ask(ask) | RuleEffect::Confirm(ask) => self.ask(&place, ask),
            RuleEffect::Throttle { counter, .. }
                if !self.layer.counters.iter().any(|known| &known.name == counter) =>
            {
                let problem = Problem::Unknown { what: "counter", name: counter.clone() };
                Err(self.refuse(place, problem))
            }
            RuleEffect::Label { add, remove } => self.labels(&place, add.iter().chain(remove)),
            RuleEffect::Narrow { sandbox }
                if !self.policy.sandboxes.iter().any(|known| &known.name == sandbox) =>
            {
                let problem = Problem::Unknown { what: "sandbox", name: sandbox.clone() };
                Err(self.refuse(place, problem))
            }
            RuleEffect::Allow
            | RuleEffect::Deny(_)
            | RuleEffect::Redact
            | RuleEffect::Throttle { .. }
            | RuleEffect::Narrow { .. } => Ok(()),
        }
    }

    /// Checks that a rule's effect fits its phase.
    fn phase(&self, place: &str, rule: &ToolRule) -> Result<(), LoadError> {
        let (what, expected, holds) = match rule.phase {
            Phase::Call => {
                if rule.transform.is_some() && !matches!(rule.effect, RuleEffect::Allow | RuleEffect::Ask(_))
                {
                    let what = "a rule that transforms arguments";
                    return Err(self.refuse(place, Problem::Bound { what, expected: "a grant" }));
                }
                let of_results = matches!(rule.effect, RuleEffect::Redact) || rule.redact.is_some();
                ("a rule of phase `Call`", "one that redacts nothing", !of_results)
            }
            Phase::Result => {
                let holds = match &rule.effect {
                    _ if rule.transform.is_some() => false,
                    RuleEffect::Deny(_) => true,
                    RuleEffect::Label { remove, .. } => remove.is_empty(),
                    RuleEffect::Redact => rule.redact.is_some(),
                    _ => false,
                };
                ("a rule of phase `Result`", "one that denies, redacts or adds labels", holds)
            }
            Phase::List => {
                let holds = matches!(rule.effect, RuleEffect::Deny(_))
                    && rule.transform.is_none()
                    && rule.redact.is_none();
                ("a rule of phase `List`", "one that denies", holds)
            }
        };
        if holds { Ok(()) } else { Err(self.refuse(place, Problem::Bound { what, expected })) }
    }

    fn labels<'n>(&self, place: &str, mut names: impl Iterator<Item = &'n String>) -> Result<(), LoadError> {
        let unknown = |name: &&String| self.layer.labels.iter().all(|label| label.name != **name);
        match names.find(unknown) {
            None => Ok(()),
            Some(name) => Err(self.refuse(place, Problem::Unknown { what: "label", name: name.clone() })),
        }
    }

    fn tool(&self, tool: &Tool) -> Result<ArgumentsSchema, LoadError> {
        let place = format!("definitions.{}", tool.name);
        if tool.name.starts_with(RESERVED_PREFIX) {
            let expected = "another one than that of the built-in tools, `workspace.`";
            return Err(self.refuse(place, Problem::Bound { what: "the prefix", expected }));
        }
        if let Otherwise::Ask(ask) = &tool.otherwise {
            self.ask(&place, ask)?;
        }
        let schema = ArgumentsSchema::compile(&tool.input).map_err(|errors| {
            let texts: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
            self.refuse(&place, Problem::Schema(texts.join("; ")))
        })?;
        self.run(&place, &tool.run)?;
        self.labels(&place, tool.may_add.iter())?;
        let derived = tool.derive.iter().map(|derive| match derive {
            Derive::Shell(name) | Derive::Path(name) | Derive::Url(name) | Derive::Git(name) => name,
        });
        for name in derived.chain(arguments(&tool.run)) {
            if !schema.properties.contains_key(name) {
                return Err(self.refuse(place, Problem::Unknown { what: "argument", name: name.clone() }));
            }
        }
        Ok(schema)
    }

    fn run(&self, place: &str, run: &Run) -> Result<(), LoadError> {
        let Some(sandbox) = self.policy.sandboxes.iter().find(|sandbox| sandbox.name == run.sandbox) else {
            let problem = Problem::Unknown { what: "sandbox", name: run.sandbox.clone() };
            return Err(self.refuse(place, problem));
        };
        let (what, expected, holds) = match &run.program {
            Program::Code(_) => ("the sandbox", "one with a runtime", sandbox.runtime.is_some()),
            Program::Argv(words) => {
                let absolute = matches!(words.first(), Some(Word::Value(path)) if path.starts_with('/'));
                ("the first word", "an absolute path", absolute)
            }
        };
        if holds { Ok(()) } else { Err(self.refuse(place, Problem::Bound { what, expected })) }
    }
}

/// The arguments that a program is made from.
fn arguments(run: &Run) -> impl Iterator<Item = &String> {
    let words = match &run.program {
        Program::Argv(words) => words.as_slice(),
        Program::Code(word) => std::slice::from_ref(word),
    };
    words.iter().filter_map(|word| match word {
        Word::Arg(name) => Some(name),
        Word::Value(_) => None,
    })
}

/// Checks that the rules narrow calls to no more sandboxes than can be compared.
pub(super) fn narrowings(policy: &Policy) -> Result<(), LoadError> {
    let mut targets = BTreeSet::new();
    for (layer, of) in policy.tools.iter().enumerate() {
        for rule in &of.rules {
            targets.extend(rule.narrows_to());
            if targets.len() > MAX_TARGETS {
                let (what, expected) = ("the number of sandboxes that rules narrow calls to", "at most 64");
                let place = format!("rules.{}", rule.name);
                return Err(LoadError { layer, place, problem: Problem::Bound { what, expected } });
            }
        }
    }
    Ok(())
}
