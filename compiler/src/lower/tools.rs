//! Lowers tools, the rules over their calls and their audit settings to one layer of the policy, in base
//! units.
//!
//! Features that are rejected elsewhere (`BW05xx`) are left out here: a rule whose only effect is not
//! implemented has no effect.

mod approvers;
mod arguments;

use std::collections::BTreeSet;

use bailiwick_crds::pack::{AuditAdmission as WireAuditAdmission, Keep as WireKeep};
use bailiwick_crds::scalar::Duration;
use bailiwick_crds::tools::{
    Argument, Ask as WireAsk, Deny as WireDeny, Derive as WireDerive, Mode as WireMode,
    Otherwise as WireOtherwise, Phase as WirePhase, Resource as WireResource, Run as WireRun,
    Scope as WireScope, State as WireState, StateLabel as WireLabel, Stdin as WireStdin, Tool as WireTool,
    ToolRule as WireRule, Tools as WireTools,
};
use bailiwick_policy::ir::{Cel, Const, Expr};
use bailiwick_policy::policy::Stated;
use bailiwick_policy::policy::tools::{
    Ask, Audit, AuditAdmission, Budget, Counter, Deny, Derive, Keep, Label, Mode, Otherwise, Phase, Program,
    Resource, RuleEffect, Run, Scope, Stdin, Tool, ToolLayer, ToolPattern, ToolRule, Word,
};

use bailiwick_policy::tool::{LONGEST_WINDOW_MS, RESERVED_PREFIX};

use super::costs::Costs;
use super::expressions::Expressions;
use super::{Findings, Pack, base, origin};
use crate::cel::{Context, Interner, Type};
use crate::check::{bw0232_tool_name, bw0235_base_value, bw0304_cel_type};
use crate::diagnostic::{Diagnostic, FieldPath};

/// `ask.expires` when absent.
const DEFAULT_EXPIRES_MS: u64 = 10 * 60 * 1_000;
/// The texts of a result that `transform.result` can replace.
const RESULT_TEXTS: &[&str] = &["content", "stderr", "stdout"];
/// The executor's own tools.
pub(crate) const BUILT_IN: &[&str] = &["workspace.list", "workspace.read", "workspace.write"];

pub(super) fn lower(pack: &Pack, out: &mut Findings<'_>) -> Option<ToolLayer> {
    let wire = pack.spec.tools.as_ref()?;
    let at = FieldPath::spec().member("tools");
    let mut definitions: Vec<Tool> = Vec::with_capacity(wire.definitions.len());
    for (index, tool) in wire.definitions.iter().enumerate() {
        definitions.extend(definition(tool, &at.member("definitions").index(index), out));
    }
    definitions.sort_by(|a, b| a.name.cmp(&b.name));
    let state = wire.state.clone().unwrap_or_default();
    let counters = counters(&state, &at.member("state").member("counters"), out);
    let budgets = budgets(&state, &at.member("state").member("budgets"), out);
    let mut labels: Vec<Label> = state.labels.iter().map(label).collect();
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    let mut interner = Interner::default();
    let mut rules = Vec::with_capacity(wire.rules.len());
    for (index, rule) in wire.rules.iter().enumerate() {
        let mut context = arguments::context(wire, rule, &counters, &budgets);
        if rule.phase == WirePhase::Result {
            context = context.with_result();
        }
        context.params = pack.parameters.clone();
        context.pack = (pack.source.name.clone(), pack.source.version.clone()).into();
        rules.extend(lower_rule(rule, context, &at.member("rules").index(index), &mut interner, out));
    }
    let (_, regexes) = interner.into_parts();
    Some(ToolLayer {
        pack: 0,
        definitions,
        approvers: approvers::lower(&wire.approvers, &at.member("approvers"), out),
        counters,
        budgets,
        labels,
        rules,
        regexes,
    })
}

fn definition(wire: &WireTool, at: &FieldPath, out: &mut Findings<'_>) -> Option<Tool> {
    if wire.name.starts_with(RESERVED_PREFIX) {
        let message = format!("`{}` is among the executor's own tools", wire.name);
        let help = "write rules about them; a tool of the pack has another prefix";
        out.push(Diagnostic::new(bw0232_tool_name::CODE, at.member("name"), message).with_help(help));
    }
    arguments::check(&wire.input, &at.member("input"), out);
    Some(Tool {
        name: wire.name.clone(),
        description: wire.description.clone().unwrap_or_default(),
        input: wire.input.clone(),
        run: run(&wire.run)?,
        derive: wire.derive.iter().filter_map(derive).collect(),
        otherwise: otherwise(wire.otherwise.as_ref(), &at.member("otherwise"), out),
        stdin: match wire.stdin {
            WireStdin::Forbidden => Stdin::Forbidden,
            WireStdin::Stream => Stdin::Stream,
        },
        may_add: sorted(&wire.may_add),
        at: at.to_string(),
    })
}

fn label(wire: &WireLabel) -> Label {
    Label { name: wire.name.clone(), description: wire.description.clone().unwrap_or_default() }
}

/// Names in order, without duplicates.
fn sorted(names: &[String]) -> Vec<String> {
    let names: BTreeSet<&String> = names.iter().collect();
    names.into_iter().cloned().collect()
}

/// `None`: the tool runs nothing, or runs elsewhere; checks report both.
fn run(wire: &WireRun) -> Option<Run> {
    let sandbox = wire.sandbox.clone()?;
    let program = match &wire.code {
        Some(code) => Program::Code(word(code)?),
        None if wire.argv.is_empty() => return None,
        None => Program::Argv(wire.argv.iter().filter_map(word).collect()),
    };
    Some(Run { sandbox, program })
}

fn word(wire: &Argument) -> Option<Word> {
    let value = wire.value.clone().map(Word::Value);
    value.or_else(|| wire.arg.clone().map(Word::Arg))
}

fn derive(wire: &WireDerive) -> Option<Derive> {
    None.or_else(|| wire.shell.clone().map(Derive::Shell))
        .or_else(|| wire.path.clone().map(Derive::Path))
        .or_else(|| wire.url.clone().map(Derive::Url))
        .or_else(|| wire.git.clone().map(Derive::Git))
}

fn otherwise(wire: Option<&WireOtherwise>, at: &FieldPath, out: &mut Findings<'_>) -> Otherwise {
    let ask = wire.and_then(|wire| wire.ask.as_ref());
    match ask {
        Some(wire) => Otherwise::Ask(ask_of(wire, &at.member("ask"), out)),
        None => Otherwise::Deny(wire.and_then(|wire| wire.deny.as_ref()).map(deny).unwrap_or_default()),
    }
}

fn deny(wire: &WireDeny) -> Deny {
    Deny { reason: wire.reason.clone(), remedy: wire.remedy.clone() }
}

fn ask_of(wire: &WireAsk, at: &FieldPath, out: &mut Findings<'_>) -> Ask {
    let quorum = wire.quorum.map_or(1, |quorum| base::count(quorum, &at.member("quorum"), out));
    Ask {
        approvers: wire.approvers.clone(),
        quorum: u32::try_from(quorum).unwrap_or(u32::MAX),
        expires_ms: match &wire.expires {
            Some(expires) => base::millis(expires, &at.member("expires"), out),
            None => DEFAULT_EXPIRES_MS,
        },
    }
}

const fn scope(wire: WireScope) -> Scope {
    match wire {
        WireScope::Subject => Scope::Subject,
        WireScope::Session => Scope::Session,
    }
}

fn window(wire: &Duration, at: &FieldPath, out: &mut Findings<'_>) -> u64 {
    let millis = base::millis(wire, at, out);
    if millis > LONGEST_WINDOW_MS {
        let message = format!("a window of `{wire}` is longer than anything is counted: 366 days");
        out.push(
            Diagnostic::new(bw0235_base_value::CODE, at.clone(), message)
                .with_help("leave `window` out: everything counts"),
        );
    }
    millis
}

fn counters(wire: &WireState, at: &FieldPath, out: &mut Findings<'_>) -> Vec<Counter> {
    let of = |(index, wire): (usize, &bailiwick_crds::tools::Counter)| Counter {
        name: wire.name.clone(),
        window_ms: wire.window.as_ref().map(|one| window(one, &at.index(index).member("window"), out)),
        scope: scope(wire.scope),
    };
    let mut counters: Vec<Counter> = wire.counters.iter().enumerate().map(of).collect();
    counters.sort_by(|a, b| a.name.cmp(&b.name));
    counters
}

fn budgets(wire: &WireState, at: &FieldPath, out: &mut Findings<'_>) -> Vec<Budget> {
    let mut budgets = Vec::with_capacity(wire.budgets.len());
    for (index, wire) in wire.budgets.iter().enumerate() {
        let at = at.index(index);
        let limit_milli = base::count(wire.limit, &at.member("limit"), out).checked_mul(1_000);
        if limit_milli.is_none() {
            let message = format!("a budget of {} is beyond what can be counted in thousandths", wire.limit);
            out.push(Diagnostic::new(bw0235_base_value::CODE, at.member("limit"), message));
        }
        budgets.push(Budget {
            name: wire.name.clone(),
            resource: match wire.resource {
                WireResource::CpuSeconds => Resource::CpuSeconds,
                WireResource::Calls => Resource::Calls,
                WireResource::OutputBytes => Resource::OutputBytes,
            },
            limit_milli: limit_milli.unwrap_or(u64::MAX),
            window_ms: wire.window.as_ref().map(|one| window(one, &at.member("window"), out)),
            scope: scope(wire.scope),
        });
    }
    budgets.sort_by(|a, b| a.name.cmp(&b.name));
    budgets
}

fn lower_rule(
    wire: &WireRule,
    context: Context,
    at: &FieldPath,
    interner: &mut Interner,
    out: &mut Findings<'_>,
) -> Option<ToolRule> {
    let tools = wire.tools.iter().enumerate();
    let tools = tools.filter_map(|(index, text)| pattern(text, &at.member("tools").index(index), out));
    let tools = tools.collect();
    let mut cel = Expressions { context, interner, out, costs: Costs::default() };
    // A rule with an invalid condition must not become one without a condition.
    let when = match &wire.when {
        None => None,
        Some(source) => Some(cel.compile(source, Type::Bool, &at.member("when"))?),
    };
    let transform = wire.transform.clone().unwrap_or_default();
    let place = at.member("transform");
    let redact = match &transform.result {
        None => None,
        Some(source) => Some(redact(source, &mut cel, &place.member("result"))?),
    };
    let transform = match &transform.args {
        None => None,
        Some(source) => Some(cel.arguments(source, &place.member("args"))?),
    };
    let effect = effect(wire, at, out)?;
    let mode = match wire.mode {
        WireMode::Enforce => Mode::Enforce,
        WireMode::Shadow => Mode::Shadow,
    };
    Some(ToolRule {
        name: wire.name.clone(),
        at: at.to_string(),
        phase: phase(wire.phase),
        tools,
        when,
        effect,
        transform,
        redact,
        mode,
    })
}

const fn phase(wire: WirePhase) -> Phase {
    match wire {
        WirePhase::Call => Phase::Call,
        WirePhase::Result => Phase::Result,
        WirePhase::List => Phase::List,
    }
}

const fn constant(expr: &Expr) -> Option<&Const> {
    match expr {
        Expr::Const(constant) => Some(constant),
        _ => None,
    }
}

/// What is delivered instead of a result. Its members are known before any call if they are written out.
fn redact(source: &str, cel: &mut Expressions<'_, '_>, at: &FieldPath) -> Option<Cel> {
    let made = cel.compile(source, Type::map(Type::String, Type::String), at)?;
    let keys: Vec<&Const> = match &made.expr {
        Expr::Const(Const::Map(entries)) => entries.iter().map(|(key, _)| key).collect(),
        Expr::Map(entries) => entries.iter().filter_map(|(key, ..)| constant(key)).collect(),
        _ => Vec::new(),
    };
    let is_text = |key: &str| RESULT_TEXTS.contains(&key);
    let unknown = keys.into_iter().find_map(|key| match key {
        Const::Str(key) if !is_text(key) => Some(key.clone()),
        _ => None,
    });
    let Some(unknown) = unknown else { return Some(made) };
    let message = format!("`{}` is not a text of a result", unknown.escape_debug());
    let diagnostic = Diagnostic::new(bw0304_cel_type::CODE, at.clone(), message);
    cel.out.push(diagnostic.with_help(format!("there is `{}`", RESULT_TEXTS.join("`, `"))));
    None
}

/// `None`: an effect that is not implemented.
fn effect(wire: &WireRule, at: &FieldPath, out: &mut Findings<'_>) -> Option<RuleEffect> {
    Some(if wire.allow.is_some() {
        RuleEffect::Allow
    } else if let Some(ask) = &wire.ask {
        RuleEffect::Ask(ask_of(ask, &at.member("ask"), out))
    } else if let Some(wire) = &wire.deny {
        RuleEffect::Deny(deny(wire))
    } else if let Some(throttle) = &wire.throttle {
        // Zero is a valid limit: it closes the tool without denying it by name.
        let max = u64::try_from(throttle.max).unwrap_or(0);
        RuleEffect::Throttle { counter: throttle.counter.clone(), max }
    } else if let Some(labels) = &wire.label {
        RuleEffect::Label { add: sorted(&labels.add), remove: sorted(&labels.remove) }
    } else if let Some(narrow) = &wire.narrow {
        RuleEffect::Narrow { sandbox: narrow.sandbox.clone() }
    } else if wire.confirm.is_none() && wire.transform.as_ref().is_some_and(|one| one.result.is_some()) {
        RuleEffect::Redact
    } else {
        RuleEffect::Confirm(ask_of(wire.confirm.as_ref()?, &at.member("confirm"), out))
    })
}

/// A tool's name, `prefix.*` or `*`.
fn pattern(text: &str, at: &FieldPath, out: &mut Findings<'_>) -> Option<ToolPattern> {
    if text == "*" {
        return Some(ToolPattern::Prefix(String::new()));
    }
    let (name, is_prefix) = text.strip_suffix(".*").map_or((text, false), |name| (name, true));
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    if !name.split('.').all(part) || !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        let message = format!("`{}` is neither a tool's name nor `prefix.*`", text.escape_debug());
        let help = "write `shell.exec`, `shell.*`, or `*` for every tool";
        out.push(Diagnostic::new(bw0232_tool_name::CODE, at.clone(), message).with_help(help));
        return None;
    }
    Some(if is_prefix {
        ToolPattern::Prefix(format!("{name}."))
    } else {
        ToolPattern::Exact(name.to_owned())
    })
}

/// What the audit log keeps of calls and admissions.
pub(super) fn audit(pack: &Pack, out: &mut Findings<'_>) -> Option<Stated<Audit>> {
    let wire = pack.spec.audit.as_ref()?;
    let at = FieldPath::spec().member("audit");
    let keep = |wire: Option<WireKeep>| match wire {
        None | Some(WireKeep::Commit) => Keep::Commit,
        Some(WireKeep::Plain) => Keep::Plain,
        Some(WireKeep::Drop) => Keep::Drop,
    };
    let value = Audit {
        arguments: keep(wire.arguments),
        results: keep(wire.results),
        retention_ms: wire
            .retention
            .as_ref()
            .map(|retention| base::millis(retention, &at.member("retention"), out)),
        admission: match wire.admission {
            None | Some(WireAuditAdmission::Optional) => AuditAdmission::Optional,
            Some(WireAuditAdmission::Required) => AuditAdmission::Required,
        },
    };
    Some(Stated { value, from: vec![origin(&at)] })
}

/// The pack's definitions that a rule's patterns match; `None` if the patterns may also match tools that
/// other packs define.
fn matched<'a>(wire: &'a WireTools, rule: &WireRule) -> Option<Vec<&'a WireTool>> {
    let of = |name: &String| wire.definitions.iter().find(|tool| tool.name == *name);
    rule.tools.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::policy::Policy;
    use bailiwick_policy::tool::LoadedPolicy;

    use super::BUILT_IN;

    #[test]
    fn the_executors_own_tools_are_these() {
        let policy = LoadedPolicy::new(Policy::top(Vec::new()), String::new()).unwrap();
        assert_eq!(policy.tools().map(|(name, ..)| name).collect::<Vec<_>>(), BUILT_IN);
    }
}
