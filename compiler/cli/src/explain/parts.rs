//! The parts of an expression with the values of each: maps the evaluator's traced nodes to places in the
//! pack's text.

use bailiwick_compiler::cel::spans;
use bailiwick_policy::cel::{Came, Traced};
use bailiwick_policy::ir::{Cel, Expr};
use serde::Serialize;

use crate::effective::Effective;
use crate::plain::plain;
use crate::print::out;

/// Longest text of a part that is shown to a person, in characters.
const MAX_SHOWN: usize = 72;
/// Most values of a part that are shown to a person.
const MAX_SHOWN_VALUES: usize = 6;
/// Longest text of all values together, in characters.
const MAX_SHOWN_CHARS: usize = 120;

/// An expression that was evaluated.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Expression {
    /// The field of the pack that holds it.
    field: String,
    /// For a variable that rules share: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<String>,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    parts: Vec<Part>,
}

/// A part of an expression, except constants, in the order of the text: a whole before its parts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    /// How many parts enclose it.
    depth: usize,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// In the order of evaluation, up to a limit; empty if the part was not evaluated.
    values: Vec<Said>,
    /// How often it was evaluated.
    times: u64,
    /// A variable of the environment: what is read from it is a part of its own.
    #[serde(skip)]
    is_root: bool,
}

/// The value of a part.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Said {
    Value { r#type: &'static str, text: String },
    Opaque,
    Error(String),
}

impl From<Came> for Said {
    fn from(came: Came) -> Self {
        match came {
            Came::Value(r#type, text) => Self::Value { r#type, text },
            Came::Opaque => Self::Opaque,
            Came::Failed(error) => Self::Error(error.to_string()),
        }
    }
}

impl Expression {
    /// The expression of a field of a pack, with the values of its nodes.
    pub(super) fn of(effective: &Effective, pack: &str, field: &str, cel: &Cel, traced: &[Traced]) -> Self {
        let spans = spans(cel);
        let mut parts = Vec::new();
        for (at, (node, depth)) in nodes(&cel.expr).into_iter().enumerate() {
            let Some(traced) = traced.iter().find(|traced| traced.at() as usize == at) else { continue };
            // Nodes that folding made have no place in the text.
            let Some(Some(span)) = spans.get(at).cloned() else { continue };
            if matches!(node, Expr::Const(_)) {
                continue;
            }
            let place = effective.place(pack, field, Some(span.clone()));
            let (values, times) = traced.came_to();
            parts.push(Part {
                depth,
                text: one_line(cel.source.get(span).unwrap_or_default()),
                line: place.as_ref().map(|place| place.line),
                column: place.map(|place| place.column),
                values: values.into_iter().map(Said::from).collect(),
                times,
                is_root: matches!(node, Expr::Root(_)),
            });
        }
        let file = effective.place(pack, field, None).map(|place| place.path.display().to_string());
        Self { field: field.to_owned(), variable: None, source: cel.source.clone(), file, parts }
    }

    pub(super) fn of_variable(mut self, name: &str) -> Self {
        self.variable = Some(name.to_owned());
        self
    }

    pub(super) const fn is_variable(&self) -> bool {
        self.variable.is_some()
    }

    /// Whether any part was evaluated.
    pub(super) fn was_reached(&self) -> bool {
        self.parts.first().is_some_and(|part| part.times > 0)
    }

    /// For a person: shows a part that was never reached as a whole, and omits a part that adds nothing.
    pub(super) fn show(&self) {
        if let Some(variable) = &self.variable {
            out!("  variables.{}", plain(variable));
        }
        let mut shown: Vec<(&str, &[Said])> = Vec::new();
        let mut unreached = None;
        for part in &self.parts {
            let is_within_unreached = unreached.is_some_and(|depth| part.depth > depth);
            let says = (part.text.as_str(), part.values.as_slice());
            if part.is_root || is_within_unreached || shown.contains(&says) {
                continue;
            }
            unreached = (part.times == 0).then_some(part.depth);
            shown.push(says);
            let place = match (part.line, part.column) {
                (Some(line), Some(column)) => format!("{line}:{column}"),
                _ => String::new(),
            };
            let indent = "  ".repeat(part.depth);
            out!(
                "    {place:<8} {indent}{} = {}",
                plain(&cut(&part.text, MAX_SHOWN)),
                plain(&part.shown_values())
            );
        }
    }
}

impl Part {
    fn shown_values(&self) -> String {
        if self.values.is_empty() {
            return "(not evaluated)".to_owned();
        }
        let shown = self.values.iter().take(MAX_SHOWN_VALUES).map(|value| match value {
            Said::Value { text, .. } => text.clone(),
            Said::Opaque => "(opaque)".to_owned(),
            Said::Error(error) => format!("(error: {error})"),
        });
        let shown: Vec<String> = shown.collect();
        let more = self.times > shown.len() as u64;
        let more = if more { format!("; … ({} times)", self.times) } else { String::new() };
        format!("{}{more}", cut(&shown.join("; "), MAX_SHOWN_CHARS))
    }
}

/// Every node with its depth, in pre-order, without recursion.
fn nodes(expr: &Expr) -> Vec<(&Expr, usize)> {
    let mut all = Vec::new();
    let mut pending = vec![(expr, 0)];
    while let Some((node, depth)) = pending.pop() {
        all.push((node, depth));
        pending.extend(node.operands().into_iter().rev().map(|operand| (operand, depth + 1)));
    }
    all
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
