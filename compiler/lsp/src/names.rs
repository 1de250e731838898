//! Which fields declare a name, and which fields refer to one.

use std::ops::Range;

use bailiwick_compiler::diagnostic::Segment;

use crate::outline::{Node, Value};
use crate::schema::Language;
use crate::view::{Owner, Source, View, members};

/// The kind of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Approvers,
    Argument,
    Budget,
    Counter,
    Egress,
    Label,
    Pack,
    Parameter,
    Pool,
    RegoFile,
    Resource,
    Rule,
    RuntimeClass,
    Sandbox,
    Syscall,
    Tool,
}

/// Fields of a pack that refer to a name.
const IN_PACKS: &[(&str, Kind)] = &[
    ("spec.admission.rules[].match.excludeResources[].resources[]", Kind::Resource),
    ("spec.admission.rules[].match.resources[].resources[]", Kind::Resource),
    ("spec.admission.rules[].rego.file", Kind::RegoFile),
    ("spec.extends[].name", Kind::Pack),
    ("spec.isolation.runtimeClass.default", Kind::RuntimeClass),
    ("spec.pools[].runtimeClass", Kind::RuntimeClass),
    ("spec.sandboxes[].network.egress[]", Kind::Egress),
    ("spec.sandboxes[].pool", Kind::Pool),
    ("spec.sandboxes[].syscalls.add[]", Kind::Syscall),
    ("spec.sandboxes[].syscalls.remove[]", Kind::Syscall),
    ("spec.tools.definitions[].derive[].git", Kind::Argument),
    ("spec.tools.definitions[].derive[].path", Kind::Argument),
    ("spec.tools.definitions[].derive[].shell", Kind::Argument),
    ("spec.tools.definitions[].derive[].url", Kind::Argument),
    ("spec.tools.definitions[].input.required[]", Kind::Argument),
    ("spec.tools.definitions[].mayAdd[]", Kind::Label),
    ("spec.tools.definitions[].otherwise.ask.approvers", Kind::Approvers),
    ("spec.tools.definitions[].run.argv[].arg", Kind::Argument),
    ("spec.tools.definitions[].run.code.arg", Kind::Argument),
    ("spec.tools.definitions[].run.http.body.arg", Kind::Argument),
    ("spec.tools.definitions[].run.sandbox", Kind::Sandbox),
    ("spec.tools.rules[].ask.approvers", Kind::Approvers),
    ("spec.tools.rules[].confirm.approvers", Kind::Approvers),
    ("spec.tools.rules[].label.add[]", Kind::Label),
    ("spec.tools.rules[].label.remove[]", Kind::Label),
    ("spec.tools.rules[].narrow.sandbox", Kind::Sandbox),
    ("spec.tools.rules[].throttle.counter", Kind::Counter),
    ("spec.tools.rules[].tools[]", Kind::Tool),
];

/// Fields of a test that refer to a name.
const IN_TESTS: &[(&str, Kind)] = &[
    ("spec.cases[].connection.sandbox", Kind::Sandbox),
    ("spec.cases[].expect.rule", Kind::Rule),
    ("spec.cases[].filesystem.sandbox", Kind::Sandbox),
    ("spec.cases[].syscall.name", Kind::Syscall),
    ("spec.cases[].syscall.sandbox", Kind::Sandbox),
    ("spec.cases[].toolCall.session.before[].tool", Kind::Tool),
    ("spec.cases[].toolCall.tool", Kind::Tool),
];

/// Lists of a pack whose elements declare their `name`.
const DECLARED: &[(&str, Kind)] = &[
    ("spec.admission.rules", Kind::Rule),
    ("spec.isolation.runtimeClass.classes", Kind::RuntimeClass),
    ("spec.network.egress", Kind::Egress),
    ("spec.parameters", Kind::Parameter),
    ("spec.pools", Kind::Pool),
    ("spec.sandboxes", Kind::Sandbox),
    // Tests name the rule that decides, from any section.
    ("spec.network.egress", Kind::Rule),
    ("spec.network.ingress", Kind::Rule),
    ("spec.tools.approvers", Kind::Approvers),
    ("spec.tools.definitions", Kind::Tool),
    ("spec.tools.rules", Kind::Rule),
    ("spec.tools.state.budgets", Kind::Budget),
    ("spec.tools.state.counters", Kind::Counter),
    ("spec.tools.state.labels", Kind::Label),
];

/// A path with its indices left out: `spec.tools.rules[].name`.
#[must_use]
pub fn shape(path: &[Segment]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Segment::Index(_) => text.push_str("[]"),
            Segment::Member(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
        }
    }
    text
}

/// The kind that a field refers to.
#[must_use]
pub fn referred(language: Language, path: &[Segment]) -> Option<Kind> {
    let table = match language {
        Language::Pack => IN_PACKS,
        Language::Test => IN_TESTS,
    };
    let shape = shape(path);
    table.iter().find(|(field, _)| *field == shape).map(|(_, kind)| *kind)
}

/// The kind that a field declares; a network rule counts as a rule.
#[must_use]
pub fn declared(language: Language, path: &[Segment]) -> Vec<Kind> {
    let shape = shape(path);
    let list = shape.strip_suffix("[].name").filter(|_| language == Language::Pack);
    DECLARED.iter().filter(|(field, _)| Some(*field) == list).map(|(_, kind)| *kind).collect()
}

/// A declaration.
#[derive(Clone, Debug)]
pub struct Named<'v> {
    /// The name.
    pub name: String,
    /// The file.
    pub source: &'v Source,
    /// The byte range of the name.
    pub span: Range<usize>,
    /// The node that has the name.
    pub node: &'v Node,
}

/// Every declaration of a kind that the pack may refer to.
#[must_use]
pub fn all(view: &View, kind: Kind) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    for (list, _) in DECLARED.iter().filter(|(_, of)| *of == kind) {
        let path = members(list);
        for (source, root) in view.roots(Language::Pack) {
            if source.of == Owner::Parent && !is_inherited(kind) {
                continue;
            }
            for node in root.at(&path).into_iter().flat_map(Node::items) {
                let Some(name) = node.get("name") else { continue };
                let Some(text) = name.text(&source.text) else { continue };
                found.push(Named { name: text, source, span: name.span.clone(), node });
            }
        }
    }
    found
}

/// Whether a pack may name declarations of the packs that it extends.
const fn is_inherited(kind: Kind) -> bool {
    matches!(kind, Kind::Egress | Kind::Pool | Kind::Rule | Kind::RuntimeClass | Kind::Sandbox)
}

/// Visits every scalar of a tree with its path. The recursion is as deep as an outline.
pub fn scalars<'n>(node: &'n Node, path: &mut Vec<Segment>, visit: &mut dyn FnMut(&[Segment], &'n Node)) {
    match &node.value {
        Value::Absent => {}
        Value::Scalar(_) => visit(path, node),
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Segment::Index(index));
                scalars(item, path, visit);
                path.pop();
            }
        }
        Value::Map(map) => {
            for entry in &map.entries {
                path.push(Segment::Member(entry.key.clone()));
                scalars(&entry.value, path, visit);
                path.pop();
            }
        }
    }
}
