//! The environment of an expression that is being written, from the readable parts of the pack.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_compiler::authoring;
use bailiwick_compiler::cel::{Context, Interner, Parameter, Type, compile_variable, tool_context};
use bailiwick_compiler::diagnostic::Segment;
use serde_json::Value as Json;

use crate::outline::Node;
use crate::view::{View, members};

/// What the expression at `path` may name. `root` is the document that contains it, as it is being written;
/// `text` is that document's text, and `view` the other files of the pack. `None` if no rule encloses it.
#[must_use]
pub fn of(path: &[Segment], root: &Node, text: &str, view: &View) -> Option<Context> {
    let (rule_path, rest) = path.split_at_checked(4)?;
    let rule = root.at(rule_path)?;
    let mut context = match crate::names::shape(rule_path).as_str() {
        "spec.tools.rules[]" => {
            let context = of_tools(rule, root, text, view);
            let phase = rule.get("phase").and_then(|phase| phase.text(text));
            if phase.as_deref() == Some("Result") { context.with_result() } else { context }
        }
        "spec.admission.rules[]" => {
            let resources = rule.get("match").and_then(|matched| matched.get("resources"));
            let resources = resources.map(|list| list.to_json(text)).unwrap_or_default();
            authoring::admission_context(&resources, &view.kinds)
        }
        _ => return None,
    };
    context.params = parameters(root, text, view);
    if let Some(spec) = root.get("spec") {
        let word = |name: &str| spec.get(name).and_then(|node| node.text(text)).unwrap_or_default();
        context.pack = (word("pack"), word("version")).into();
    }
    let before = match rest {
        // A variable sees those before it.
        [Segment::Member(list), Segment::Index(index), ..] if list == "variables" => *index,
        _ => usize::MAX,
    };
    declare(&mut context, rule, text, before);
    Some(context)
}

fn of_tools(rule: &Node, root: &Node, text: &str, view: &View) -> Context {
    let named = |list: &str| -> Vec<(String, Json)> {
        let path = members(list);
        let of = |node: &Node, text: &str| -> Vec<(String, Json)> {
            let item = |item: &Node| Some((item.get("name")?.text(text)?, item.to_json(text)));
            node.items().iter().filter_map(item).collect()
        };
        let here = root.at(&path).map(|node| of(node, text)).unwrap_or_default();
        let elsewhere = view.of_pack(&path).flat_map(|(source, node)| of(node, &source.text));
        here.into_iter().chain(elsewhere).collect()
    };
    let tools = named("spec.tools.definitions");
    let wanted = rule.get("tools").map(Node::items).unwrap_or_default();
    let inputs: Option<Vec<&Json>> = wanted
        .iter()
        .map(|name| {
            let name = name.text(text)?;
            tools.iter().find(|(known, _)| *known == name)?.1.get("input")
        })
        .collect();
    let (counters, budgets) = (named("spec.tools.state.counters"), named("spec.tools.state.budgets"));
    let names = |list: &[(String, Json)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let (counters, budgets) = (names(&counters), names(&budgets));
    tool_context(
        inputs.unwrap_or_default(),
        counters.iter().map(String::as_str),
        budgets.iter().map(String::as_str),
    )
}

/// The parameters of the pack, with the values of their defaults.
fn parameters(root: &Node, text: &str, view: &View) -> Arc<BTreeMap<String, Parameter>> {
    let path = members("spec.parameters");
    let mut all = BTreeMap::new();
    let mut take = |list: &Node, text: &str| {
        for item in list.items() {
            let Some(name) = item.get("name").and_then(|name| name.text(text)) else { continue };
            let of = item.get("type").and_then(|of| of.text(text)).unwrap_or_default();
            let default = item.get("default").map(|default| default.to_json(text));
            all.entry(name).or_insert_with(|| authoring::parameter(&of, default.as_ref()));
        }
    };
    root.at(&path).into_iter().for_each(|list| take(list, text));
    let own = view.of_pack(&path).filter(|(source, _)| source.of == crate::view::Owner::Own);
    own.for_each(|(source, list)| take(list, &source.text));
    Arc::new(all)
}

/// Declares the variables of a rule that precede the one of this index.
fn declare(context: &mut Context, rule: &Node, text: &str, before: usize) {
    let mut interner = Interner::default();
    let variables = rule.get("variables").map(Node::items).unwrap_or_default();
    for variable in variables.iter().take(before) {
        let word = |name: &str| variable.get(name).and_then(|node| node.text(text));
        let Some(name) = word("name") else { continue };
        let source = word("expression").unwrap_or_default();
        if compile_variable(&name, &source, context, &mut interner).is_err() {
            context.declare(&name, Type::Dyn, u32::MAX);
        }
    }
}
