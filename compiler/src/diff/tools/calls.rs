//! The calls of one tool that both policies decide: made from the wishes of their rules, the limits of the
//! schemas, throttles, and the tests' own calls.

use std::collections::BTreeSet;

use bailiwick_policy::ir::Root;
use bailiwick_policy::policy::tools::{Derive, Phase, RuleEffect, ToolLayer, ToolRule};
use serde_json::{Map, Value};

use super::super::shape;
use super::super::throttles::MAX_BEFORE;
use super::super::wishes::{FRESH, Place, Reader, Step, Want, Way, Wish, own_first, together};
use super::line::{Facts, is_fact};
use super::{BUILT_IN, Side, arguments, identity};
use crate::policy_test::{CaseSession, CaseSubject, PriorCall, TestCase, ToolCallCase};

/// Ways of a rule that differs that are combined with those of other rules. More than these have no room among
/// the calls.
const MAX_DIFFERING: usize = 512;
/// Ways of another rule that are combined with those. The others were tried by themselves.
const MAX_COMBINED: usize = 8;
/// Calls that are combined with the limits of schemas and throttles.
const MAX_GRANTED: usize = 8;
/// The command of a command line if no rule wishes a name.
const FALLBACK_COMMAND: &str = "true";

/// Calls that were made up.
pub(super) struct Calls<'p> {
    pub(super) tool: &'p str,
    schemas: &'p [Value],
    sides: [&'p Side<'p>; 2],
    most: usize,
    seen: BTreeSet<String>,
    pub(super) found: Vec<ToolCallCase>,
    /// The rules that they were made from.
    pub(super) wishing: Vec<Wishing>,
    /// Whether something was left out.
    pub(super) is_cut: bool,
}

/// A rule with its wishes.
pub(super) struct Wishing {
    name: String,
    pub(super) phase: Phase,
    is_grant: bool,
    /// Whether the other policy lacks it.
    pub(super) is_new: bool,
    pub(super) holds: Vec<Way>,
    pub(super) fails: Vec<Way>,
    /// Texts that its redaction searches for.
    pub(super) texts: Vec<String>,
}

impl<'p> Calls<'p> {
    pub(super) fn new(tool: &'p str, schemas: &'p [Value], sides: [&'p Side<'p>; 2], most: usize) -> Self {
        let (seen, found, wishing) = (BTreeSet::new(), Vec::new(), Vec::new());
        Self { tool, schemas, sides, most, seen, found, wishing, is_cut: false }
    }

    /// A call with these arguments.
    pub(super) fn add_arguments(&mut self, args: Value) {
        self.add(ToolCallCase { args: Some(args), ..self.call(&[]) });
    }

    /// The calls of test cases.
    pub(super) fn add_seeds(&mut self, seeds: &[TestCase]) {
        let of_tool = |case: &&ToolCallCase| case.tool == self.tool;
        let calls: Vec<ToolCallCase> =
            seeds.iter().filter_map(|seed| seed.tool_call.as_ref()).filter(of_tool).cloned().collect();
        calls.into_iter().for_each(|call| self.add(call));
    }

    /// Adds everything that is made from rules and schemas.
    pub(super) fn add_all(&mut self) {
        self.wish(&[]);
        let rules = self.rules();
        for rule in &rules {
            rule.holds.iter().chain(&rule.fails).for_each(|way| self.wish(way));
        }
        self.combine(&rules);
        self.edges(&rules);
        self.repeat(&rules);
        self.wishing = rules;
    }

    /// Whether a rule over results is in only one of the policies.
    pub(super) fn differs_over_results(&self) -> bool {
        self.wishing.iter().any(|rule| rule.is_new && rule.phase == Phase::Result)
    }

    /// Ways in which a grant holds, up to a limit.
    pub(super) fn granted(&self, most: usize) -> Vec<Way> {
        granted(&self.wishing).into_iter().take(most).collect()
    }

    /// Each difference, with what makes it visible: a restriction shows only where something grants the call,
    /// a grant only where nothing restricts it.
    fn combine(&mut self, rules: &[Wishing]) {
        let short = |ways: &[Way]| ways.iter().take(MAX_COMBINED).cloned().collect::<Vec<Way>>();
        let grants: Vec<Way> =
            rules.iter().filter(|rule| rule.is_grant).flat_map(|rule| short(&rule.holds)).collect();
        let avoided: Vec<Way> =
            rules.iter().filter(|rule| !rule.is_grant).flat_map(|rule| short(&rule.fails)).collect();
        let suspects: Vec<&Wishing> = rules.iter().filter(|rule| rule.is_new).collect();
        // So that each of many rules gets its share.
        let share = (self.most / suspects.len().max(1)).max(MAX_COMBINED);
        for suspect in &suspects {
            // An edited rule: one form holds where the other does not.
            let forms: Vec<&&Wishing> = suspects
                .iter()
                .filter(|other| other.name == suspect.name && !std::ptr::eq(**other, *suspect))
                .collect();
            let holds = own_first(&suspect.holds, forms.iter().flat_map(|form| &form.holds));
            let fails = own_first(&suspect.fails, forms.iter().flat_map(|form| &form.fails));
            self.is_cut |= holds.len() > MAX_DIFFERING || fails.len() > MAX_DIFFERING;
            let ways = [&holds, &fails].into_iter().flat_map(|ways| ways.iter().take(MAX_DIFFERING));
            let all: Vec<Way> = ways.cloned().collect();
            let holds = short(&holds);
            let edited: Vec<Way> = forms
                .iter()
                .flat_map(|other| product(&holds, &short(&other.fails)).collect::<Vec<Way>>())
                .collect();
            let combined: Box<dyn Iterator<Item = Way>> = if suspect.is_grant {
                Box::new(product(&edited, &avoided).chain(product(&all, &avoided)))
            } else {
                let over = product(&grants, &edited).chain(product(&grants, &all));
                Box::new(over.chain(product(&all, &grants)).chain(product(&avoided, &all)))
            };
            let mut ways = edited.iter().cloned().chain(combined);
            let calls: Vec<ToolCallCase> = ways.by_ref().take(share).map(|way| self.call(&way)).collect();
            self.is_cut |= ways.next().is_some();
            calls.into_iter().for_each(|call| self.add(call));
        }
    }

    fn rules(&mut self) -> Vec<Wishing> {
        let of = |side: &Side<'_>| -> BTreeSet<String> {
            side.rules.iter().map(|(layer, rule)| identity(side.policy, layer, rule).to_string()).collect()
        };
        let known = self.sides.map(of);
        let mut rules = Vec::new();
        let mut told = BTreeSet::new();
        for (side, others) in self.sides.into_iter().zip(known.iter().rev()) {
            for (layer, rule) in &side.rules {
                let identity = identity(side.policy, layer, rule).to_string();
                if !told.insert(identity.clone()) {
                    continue;
                }
                let is_new = !others.contains(&identity);
                rules.push(self.wishing(layer, rule, is_new));
            }
        }
        rules
    }

    fn wishing(&mut self, layer: &ToolLayer, rule: &ToolRule, is_new: bool) -> Wishing {
        let reader = Reader::new(&[], &layer.regexes);
        let ways = |wanted: bool| match &rule.when {
            Some(when) => reader.ways(&when.expr, wanted),
            None if wanted => vec![Way::new()],
            None => Vec::new(),
        };
        let (mut holds, fails) = (ways(true), ways(false));
        // A label that is to be removed from a session must be on it.
        if let RuleEffect::Label { remove, .. } = &rule.effect {
            let labels = Place { root: Root::Session, steps: vec![Step::Member("labels".to_owned())] };
            let on = remove.iter().map(|name| (labels.clone(), Want::Holds(Value::from(name.as_str()))));
            let on: Way = on.collect();
            holds.iter_mut().for_each(|way| way.extend(on.iter().cloned()));
        }
        let texts = rule.redact.as_ref().map(|redact| reader.texts(&redact.expr)).unwrap_or_default();
        self.is_cut |= reader.cut.get();
        let (name, phase) = (rule.name.clone(), rule.phase);
        Wishing { name, phase, is_grant: rule.grants(), is_new, holds, fails, texts }
    }

    /// Arguments at the limits of the schemas, combined with the wishes of grants.
    fn edges(&mut self, rules: &[Wishing]) {
        let granted = granted(rules);
        let schemas = self.schemas;
        for schema in schemas {
            for name in arguments::names(schema) {
                let Some(property) = arguments::property(schema, name) else { continue };
                let (values, is_cut) = arguments::edges(property);
                self.is_cut |= is_cut;
                for value in values {
                    for way in &granted {
                        let mut call = self.call(way);
                        let Some(Value::Object(args)) = &mut call.args else { continue };
                        match &value {
                            None => drop(args.remove(name)),
                            // A text that only needs length keeps what a grant wishes for it.
                            Some(Value::String(text)) if text.len() > MAX_SHORT => {
                                let begun = args.get(name).and_then(Value::as_str).unwrap_or_default();
                                let padded =
                                    format!("{begun}{}", " ".repeat(text.len().saturating_sub(begun.len())));
                                args.insert(name.clone(), Value::from(padded));
                            }
                            Some(value) => drop(args.insert(name.clone(), value.clone())),
                        }
                        self.add(call);
                    }
                }
            }
            // A property that the schema does not declare.
            let mut call = self.call(&[]);
            if let Some(Value::Object(args)) = &mut call.args {
                args.insert(FRESH.to_owned(), Value::from(1));
            }
            self.add(call);
        }
    }

    /// The same calls after as many as the throttles of either side admit.
    fn repeat(&mut self, rules: &[Wishing]) {
        let throttles =
            self.sides.into_iter().flat_map(|side| &side.rules).filter_map(|(_, rule)| match rule.effect {
                RuleEffect::Throttle { max, .. } => Some(max),
                _ => None,
            });
        let times: BTreeSet<u64> = throttles.collect();
        self.is_cut |= times.iter().any(|times| *times > MAX_BEFORE);
        for times in times.into_iter().filter(|times| *times <= MAX_BEFORE) {
            for way in granted(rules) {
                let mut call = self.call(&way);
                let times = i64::try_from(times).ok();
                let before =
                    PriorCall { tool: call.tool.clone(), args: call.args.clone(), times, effect: None };
                let session = call.session.get_or_insert_with(CaseSession::default);
                session.before.push(before);
                self.add(call);
            }
        }
    }

    fn wish(&mut self, way: &[Wish]) {
        let call = self.call(way);
        let lines: Vec<ToolCallCase> = if way.iter().any(|(place, _)| is_fact(place)) {
            self.sides
                .iter()
                .flat_map(|side| &side.derives)
                .flat_map(|derive| longer(&call, derive))
                .collect()
        } else {
            Vec::new()
        };
        self.add(call);
        lines.into_iter().for_each(|call| self.add(call));
    }

    fn add(&mut self, call: ToolCallCase) {
        if self.found.len() >= self.most {
            self.is_cut = true;
            return;
        }
        if self.seen.insert(serde_json::to_string(&call).unwrap_or_default()) {
            self.found.push(call);
        }
    }

    /// The call that a way wishes.
    pub(super) fn call(&self, way: &[Wish]) -> ToolCallCase {
        let mut args = self.schemas.iter().map(arguments::smallest).fold(Map::new(), |mut all, value| {
            all.extend(value.as_object().cloned().unwrap_or_default());
            all
        });
        let mut call = ToolCallCase {
            tool: self.tool.to_owned(),
            args: None,
            subject: None,
            session: None,
            now: None,
            result: None,
        };
        let mut facts = Facts::default();
        let wishes_facts = way.iter().any(|(place, _)| is_fact(place));
        for wish in way {
            let (place, want) = wish;
            match place.root {
                Root::Facts => facts.wish(wish),
                Root::Subject => subject(call.subject.get_or_insert_with(CaseSubject::default), place, want),
                Root::Session => session(call.session.get_or_insert_with(CaseSession::default), place, want),
                Root::Now => call.now = now(place, want).or(call.now.take()),
                _ => {}
            }
        }
        let derives: Vec<&Derive> = self.sides.iter().flat_map(|side| &side.derives).collect();
        for derive in derives {
            let (name, text) = match derive {
                Derive::Shell(name) => (name, facts.shell(FALLBACK_COMMAND)),
                Derive::Url(name) => (name, facts.url()),
                Derive::Path(name) => (name, facts.path(self.tool.starts_with(BUILT_IN))),
                Derive::Git(name) => (name, facts.git()),
            };
            if wishes_facts || args.contains_key(name) {
                args.insert(name.clone(), Value::from(text));
            }
        }
        let mut args = Value::Object(args);
        for (place, want) in way.iter().filter(|(place, _)| place.root == Root::Call) {
            if let Some((Step::Member(first), rest)) = place.steps.split_first()
                && first == "args"
            {
                shape::put(&mut args, rest, want);
            }
        }
        call.args = Some(args);
        call
    }
}

/// Texts up to this length are values; longer ones only have length.
const MAX_SHORT: usize = 32;

/// Every way of one with every way of the other over it.
fn product<'w>(under: &'w [Way], over: &'w [Way]) -> impl Iterator<Item = Way> + use<'w> {
    over.iter().flat_map(|over| under.iter().flat_map(move |under| together(under, over)))
}

/// The same command line with more commands: a condition over some commands says nothing about the others.
fn longer(call: &ToolCallCase, derive: &Derive) -> Vec<ToolCallCase> {
    let Derive::Shell(name) = derive else { return Vec::new() };
    let line = call.args.as_ref().and_then(|args| args.get(name)).and_then(Value::as_str).unwrap_or_default();
    let lines = [format!("{line}; {FRESH}"), format!("{line} > {FRESH}")];
    let with = |line: String| {
        let mut call = call.clone();
        if let Some(Value::Object(args)) = &mut call.args {
            args.insert(name.clone(), Value::from(line));
        }
        call
    };
    lines.into_iter().map(with).collect()
}

/// Ways in which a grant holds, for what is tried apart from rules.
fn granted(rules: &[Wishing]) -> Vec<Way> {
    let grants = rules.iter().filter(|rule| rule.is_grant);
    let mut ways: Vec<Way> =
        grants.flat_map(|rule| rule.holds.iter().take(2)).take(MAX_GRANTED).cloned().collect();
    if ways.is_empty() {
        ways.push(Way::new());
    }
    ways
}

fn subject(subject: &mut CaseSubject, place: &Place, want: &Want) {
    let text = match want {
        Want::Is(Value::String(text)) | Want::Holds(Value::String(text)) => Some(text.clone()),
        _ => None,
    };
    match (place.names().as_slice(), text) {
        (["agent"], text) => subject.agent = text,
        (["user"], text) => subject.user = text,
        (["namespace"], text) => subject.namespace = text,
        (["groups"], Some(text)) => subject.groups.push(text),
        (["chain"], Some(text)) => subject.chain.push(text),
        (["labels"], Some(key)) => drop(subject.labels.insert(key, "a".to_owned())),
        (["labels", key], Some(value)) => drop(subject.labels.insert((*key).to_owned(), value)),
        _ => {}
    }
}

fn session(session: &mut CaseSession, place: &Place, want: &Want) {
    let number = match want {
        Want::Is(value) => value.as_i64(),
        _ => None,
    };
    match (place.names().as_slice(), want, number) {
        (["calls"], _, number) => session.calls = number.filter(|calls| (0..=1_000).contains(calls)),
        (["age"], Want::Is(Value::String(text)), _) => {
            session.age = Some(bailiwick_crds::scalar::Duration(text.clone()));
        }
        (["counters", name], _, Some(number)) => {
            session.counters.extend([((*name).to_owned(), number.max(0))])
        }
        (["labels"], Want::Holds(Value::String(name)), _) => session.labels.push(name.clone()),
        (["budgets", name, _], _, Some(number)) => {
            session.budgets.extend([((*name).to_owned(), number.max(0))])
        }
        _ => {}
    }
}

/// A time with a wished part.
fn now(place: &Place, want: &Want) -> Option<String> {
    let number = match want {
        Want::Is(Value::String(text)) if text.contains('T') => return Some(text.clone()),
        Want::Is(value) => value.as_i64()?,
        _ => return None,
    };
    match place.names().as_slice() {
        ["getHours"] if (0..24).contains(&number) => Some(format!("2026-01-05T{number:02}:30:00Z")),
        // 2026-01-04 is a Sunday, and CEL counts from Sunday.
        ["getDayOfWeek"] if (0..7).contains(&number) => Some(format!("2026-01-{:02}T12:00:00Z", 4 + number)),
        ["getMonth"] if (0..12).contains(&number) => Some(format!("2026-{:02}-05T12:00:00Z", number + 1)),
        ["getFullYear"] if (1970..=9999).contains(&number) => Some(format!("{number:04}-01-05T12:00:00Z")),
        _ => None,
    }
}
