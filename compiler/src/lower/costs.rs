//! Finds what would cost the API server too much, and the smallest size of lists at which it would stop evaluating: one expression, or all those of
//! the rules that it evaluates together.
//!
//! *Together*: rules with one action over the same requests are one policy of the floor, with one budget.

use std::collections::BTreeMap;
use std::ops::Range as Bytes;
use std::sync::Arc;

use bailiwick_policy::ir::Const;

use crate::cel::cost::{Dominant, Estimator, MAX_OF_CONDITIONS, MAX_OF_ONE, MAX_OF_POLICY, Range, Sizes};
use crate::cel::{Parameter, Type};
use crate::check::bw0526_api_server_cost;
use crate::custom_kinds::Bounds;
use crate::diagnostic::{Diagnostic, FieldPath};

/// Largest list size worth a note. Objects with longer lists are rejected by the API server for their size,
/// or are not real pods.
const MAX_ELEMENTS: u64 = 1_000;
/// The same for all expressions of a policy at once. Lists within lists of more elements make an object of more bytes than
/// the API server stores (1.5 MB), and a list of as many containers is no real pod's.
const MAX_ELEMENTS_TOGETHER: u64 = 500;
/// Assumed characters of a string in the object; names and images are shorter.
const CHARACTERS: u64 = 64;

/// What is known of sizes.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// What the schema of the rule's custom resource allows.
    pub(super) bounds: Option<Arc<Bounds>>,
    /// The values of the parameters.
    pub(super) params: Arc<BTreeMap<String, Parameter>>,
}

/// The expressions of a rule.
#[derive(Debug, Default)]
pub(super) struct Costs {
    known: Known,
    /// Those that match conditions are, with their texts.
    conditions: Vec<(String, Estimator)>,
    /// All others.
    spent: Vec<(String, Estimator)>,
    /// The smallest size of lists in a note about one expression.
    noted: Option<u64>,
}

/// Assumes that every list and map has this many elements, or fewer where it may not have as many.
struct Assumed<'a> {
    elements: u64,
    /// The same for texts that are known to be bounded.
    characters: u64,
    known: &'a Known,
}

impl Sizes for Assumed<'_> {
    fn of(&self, place: Option<&[String]>, of: &Type) -> Option<Range> {
        let (bound, value) = place.map_or((None, None), |place| self.known.at(place));
        let most = match of {
            Type::List(_) | Type::Map(..) | Type::Dyn => {
                value.unwrap_or_else(|| bound.map_or(self.elements, |bound| bound.min(self.elements)))
            }
            Type::String | Type::Bytes => {
                value.unwrap_or_else(|| bound.map_or(CHARACTERS, |bound| bound.min(self.characters)))
            }
            _ => return None,
        };
        Some(Range::new(0, most))
    }
}

impl Known {
    /// What the schema allows at a place, and the size of the parameter's value there.
    fn at(&self, place: &[String]) -> (Option<u64>, Option<u64>) {
        match place {
            [root, path @ ..] if root == "object" || root == "oldObject" => {
                (self.bounds.as_ref().and_then(|bounds| bounds.get(path)).copied(), None)
            }
            [root, name, path @ ..] if root == "params" => {
                (None, self.params.get(name).and_then(|parameter| size(&parameter.value, path)))
            }
            _ => (None, None),
        }
    }

    fn assuming(&self, elements: u64) -> Assumed<'_> {
        Assumed { elements, characters: u64::MAX, known: self }
    }
}

/// The size of the largest part of a constant at a path.
fn size(value: &Const, path: &[String]) -> Option<u64> {
    let Some((step, path)) = path.split_first() else {
        return match value {
            Const::Str(text) => Some(text.chars().count() as u64),
            Const::List(items) => Some(items.len() as u64),
            Const::Map(entries) => Some(entries.len() as u64),
            _ => None,
        };
    };
    match value {
        Const::List(items) => items.iter().filter_map(|item| size(item, path)).max(),
        Const::Map(entries) if step == "@keys" => entries.iter().filter_map(|(key, _)| size(key, path)).max(),
        Const::Map(entries) => entries.iter().filter_map(|(_, value)| size(value, path)).max(),
        _ => None,
    }
}

impl Costs {
    /// Nothing yet, of a rule of which this is known.
    pub(super) fn of(known: Known) -> Self {
        Self { known, ..Self::default() }
    }

    /// Adds an expression of the rule.
    pub(super) fn spend(&mut self, source: &str, estimator: Estimator) {
        self.spent.push((source.to_owned(), estimator));
    }

    /// Adds a match condition of the rule.
    pub(super) fn ask(&mut self, source: &str, estimator: Estimator) {
        self.conditions.push((source.to_owned(), estimator));
    }

    /// A note, if the expression would cost too much with lists of a size that objects may have.
    pub(super) fn note(&mut self, source: &str, estimator: &Estimator, at: &FieldPath) -> Option<Diagnostic> {
        let cost = |elements| estimator.cost(&self.known.assuming(elements)).max;
        let least = least(MAX_ELEMENTS, |elements| cost(elements) > MAX_OF_ONE)?;
        self.noted = Some(self.noted.map_or(least, |noted| noted.min(least)));
        let message = format!(
            "on the API server this may cost more than one expression is given{}",
            where_lists(least)
        );
        let note = Diagnostic::new(bw0526_api_server_cost::CODE, at.clone(), message);
        Some(match estimator.dominant(&self.known.assuming(least)) {
            None => note,
            Some(dominant) => {
                let help = self.known.help(source, estimator, &dominant, least);
                note.with_range(dominant.bytes).with_help(help)
            }
        })
    }
}

/// A note for each budget that the expressions of rules that are one policy may exceed together, although none does so alone.
pub(super) fn together(rules: &[Costs], at: &FieldPath) -> Vec<Diagnostic> {
    let spent = rules.iter().flat_map(|rule| rule.spent.iter().map(move |one| (one, &rule.known)));
    // All have the same.
    let conditions =
        rules.iter().take(1).flat_map(|rule| rule.conditions.iter().map(move |one| (one, &rule.known)));
    let noted = rules.iter().filter_map(|rule| rule.noted).min();
    let budgets = [
        (
            spent.collect::<Vec<Placed<'_>>>(),
            MAX_OF_POLICY,
            "expressions",
            "the rules that are one policy are",
        ),
        (conditions.collect(), MAX_OF_CONDITIONS, "match conditions", "those of one policy are"),
    ];
    let over = budgets.into_iter().filter_map(|(all, budget, what, whose)| {
        let sum = |elements| all.iter().fold(0_u64, |sum, one| sum.saturating_add(cost(*one, elements)));
        let least = least(MAX_ELEMENTS_TOGETHER, |elements| sum(elements) > budget)?;
        if noted.is_some_and(|noted| noted <= least) {
            return None;
        }
        let message = format!(
            "on the API server these {} {what} together may cost more than {whose} given{}",
            all.len(),
            where_lists(least)
        );
        let note = Diagnostic::new(bw0526_api_server_cost::CODE, at.clone(), message);
        let ((source, estimator), known) = all.iter().max_by_key(|one| cost(**one, least))?;
        Some(match estimator.dominant(&known.assuming(least)) {
            None => note,
            Some(dominant) => note.with_help(known.help(source, estimator, &dominant, least)),
        })
    });
    over.collect()
}

/// An expression with its text, and what is known where it stands.
type Placed<'c> = (&'c (String, Estimator), &'c Known);

fn cost(((_, estimator), known): Placed<'_>, elements: u64) -> u64 {
    estimator.cost(&known.assuming(elements)).max
}

fn where_lists(least: u64) -> String {
    match least {
        0 => String::new(),
        1 => " where lists have one element".to_owned(),
        least => format!(" where lists have {least} elements"),
    }
}

/// The least number up to a limit for which something holds that holds for every larger one, too.
fn least(limit: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    if !holds(limit) {
        return None;
    }
    let (mut from, mut to) = (0, limit);
    while from < to {
        let middle = from + (to - from) / 2;
        if holds(middle) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    Some(to)
}

impl Known {
    /// What dominates, and the bound that mends it.
    fn help(&self, source: &str, estimator: &Estimator, dominant: &Dominant, least: u64) -> String {
        let text = |bytes: &Bytes<usize>| shortened(source.get(bytes.clone()).unwrap_or(source));
        let what = text(&dominant.bytes);
        let costs = match dominant.loops {
            0 => format!("`{what}` costs most:"),
            1 => format!("the loop `{what}` costs most: look at less in each turn, or"),
            loops => format!(
                "{loops} loops inside each other in `{what}` cost most: look at less in each turn, or"
            ),
        };
        let over = text(&dominant.over);
        let (root, path) = dominant.place.as_deref().and_then(<[String]>::split_first).unzip();
        let is_text = matches!(dominant.of, Type::String | Type::Bytes);
        match (root.map(String::as_str), path, self.fitting(estimator, is_text, least)) {
            (Some("params"), Some([name, ..]), _) => {
                format!("{costs} give the parameter `{name}` a smaller `maxItems`")
            }
            (Some("object" | "oldObject"), Some(path @ [first, ..]), Some(fits))
                if self.bounds.is_some() && first != "metadata" =>
            {
                let bound = match dominant.of {
                    Type::String | Type::Bytes => "maxLength",
                    Type::Map(..) => "maxProperties",
                    _ => "maxItems",
                };
                let field = path.join(".").replace(".@items", "[]").replace(".@values", "[]");
                format!("{costs} have `{bound}: {fits}` for `{field}` in its schema")
            }
            (.., Some(fits)) => format!(
                "{costs} let `size({over}) <= {fits} && …` refuse longer {} first",
                if is_text { "texts" } else { "lists" }
            ),
            (.., None) => format!("{costs} ask for less; no bound of `{over}` alone mends that"),
        }
    }

    /// The largest size of lists, or of bounded texts, that still fits one expression.
    fn fitting(&self, estimator: &Estimator, is_text: bool, least_elements: u64) -> Option<u64> {
        if !is_text {
            return least_elements.checked_sub(1).filter(|fits| *fits > 0);
        }
        let exceeds = |characters| {
            let sizes = Assumed { elements: MAX_ELEMENTS, characters, known: self };
            estimator.cost(&sizes).max > MAX_OF_ONE
        };
        least(u64::from(u32::MAX), exceeds)?.checked_sub(1).filter(|fits| *fits > 0)
    }
}

/// Characters of an expression that the help text shows.
const SHOWN: usize = 60;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cel::{Context, Interner, compile_and_cost};
    use crate::custom_kinds::CustomKinds;

    const LOOPS: &str =
        "object.spec.items.all(a, object.spec.items.all(b, a == b || object.spec.items.exists(c, c == a)))";

    /// The costs of a rule over widgets whose `spec.items` has this schema.
    fn costs(items: serde_json::Value) -> (Context, Costs) {
        let mut kinds = CustomKinds::default();
        let spec = json!({"type": "object", "properties": {"items": items, "name": {"type": "string", "maxLength": 50_000_000}}});
        kinds
            .add(&json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "spec": {
                    "group": "example.org",
                    "names": {"kind": "Widget", "plural": "widgets"},
                    "versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}}],
                },
            }))
            .unwrap();
        let kind = kinds.get("example.org", "v1", "widgets").unwrap();
        let known = Known { bounds: Some(Arc::clone(&kind.bounds)), params: Arc::default() };
        (Context::admission(kind.of.clone()), Costs::of(known))
    }

    fn estimator(source: &str, context: &Context) -> Estimator {
        compile_and_cost(source, context, &mut Interner::default()).unwrap().1
    }

    fn note(source: &str, context: &Context, costs: &mut Costs) -> Option<String> {
        let note = costs.note(source, &estimator(source, context), &FieldPath::spec())?;
        Some(format!("{} ({})", note.message, note.help))
    }

    #[test]
    fn the_bound_of_a_schema_is_the_size_and_a_missing_one_is_named() {
        let (context, mut costs) = costs(json!({"type": "array", "items": {"type": "string"}}));
        let said = note(LOOPS, &context, &mut costs).unwrap();
        assert!(said.contains("3 loops inside each other in `object.spec.items.all(a, "), "{said}");
        assert!(said.contains("`maxItems: ") && said.ends_with("for `spec.items` in its schema)"), "{said}");
        let (context, mut bounded) =
            self::costs(json!({"type": "array", "maxItems": 8, "items": {"type": "string"}}));
        assert_eq!(note(LOOPS, &context, &mut bounded), None);
        // Elements of eight million characters are as bad as many elements.
        let long =
            json!({"type": "array", "maxItems": 8, "items": {"type": "string", "maxLength": 8_000_000}});
        let (context, mut long) = self::costs(long);
        assert!(note(LOOPS, &context, &mut long).is_some());
    }

    #[test]
    fn a_call_that_dominates_is_named_and_not_taken_for_a_loop() {
        let (context, mut costs) = costs(json!({"type": "array", "items": {"type": "string"}}));
        let said = note("object.spec.name.matches('^a+$')", &context, &mut costs).unwrap();
        assert!(
            said.contains("`object.spec.name.matches('^a+$')` costs most") && !said.contains("loop"),
            "{said}"
        );
        assert!(said.contains("`maxLength: ") && said.contains("for `spec.name` in its schema"), "{said}");
    }

    #[test]
    fn a_long_parameter_is_named() {
        let (mut context, mut costs) = costs(json!({"type": "array", "items": {"type": "string"}}));
        let value = Const::List((0..300).map(|number| Const::Str(number.to_string())).collect());
        let of = Type::list(Type::String);
        context.params = Arc::new([("names".to_owned(), Parameter { of, value })].into());
        costs.known.params = Arc::clone(&context.params);
        let source = "params.names.all(a, params.names.all(b, params.names.exists(c, c == a && c == b)))";
        let said = note(source, &context, &mut costs).unwrap();
        assert!(said.contains("give the parameter `names` a smaller `maxItems`"), "{said}");
    }

    #[test]
    fn what_none_spends_alone_all_may_spend_together() {
        let source = "object.spec.items.all(a, object.spec.items.all(b, a != b))";
        let rules = |count: usize| -> Vec<Costs> {
            let one = |_| {
                let bounded = json!({"type": "array", "maxItems": 120, "items": {"type": "string"}});
                let (context, mut costs) = costs(bounded);
                assert_eq!(note(source, &context, &mut costs), None);
                costs.spend(source, estimator(source, &context));
                costs.ask(source, estimator(source, &context));
                costs
            };
            (0..count).map(one).collect()
        };
        assert!(together(&rules(2), &FieldPath::spec()).is_empty());
        let notes = together(&rules(200), &FieldPath::spec());
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(note.message.contains("these 200 expressions together"), "{}", note.message);
        assert!(note.help.contains("`spec.items` in its schema"), "{}", note.help);
    }
}
