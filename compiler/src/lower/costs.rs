//! Finds what would cost the API server too much, and the smallest size of lists at which it would stop evaluating: one expression, or all those of
//! the rules that it evaluates together.
//!
//! *Together*: rules with one action over the same requests are one policy of the floor, with one budget.

mod sizes;

use std::ops::Range as Bytes;

use crate::cel::Type;
use crate::cel::cost::{Dominant, Estimator, MAX_OF_CONDITIONS, MAX_OF_ONE, MAX_OF_POLICY};
use crate::check::bw0526_api_server_cost;
use crate::diagnostic::{Diagnostic, FieldPath};

use sizes::Assumed;
pub(super) use sizes::Known;

/// Largest list size worth a note. Objects with longer lists are rejected by the API server for their size,
/// or are not real pods.
const MAX_ELEMENTS: u64 = 1_000;
/// The same for all expressions of a policy at once. Lists within lists of more elements make an object of more bytes than
/// the API server stores (1.5 MB), and a list of as many containers is no real pod's.
const MAX_ELEMENTS_TOGETHER: u64 = 500;

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
        let all = vec![(source, estimator, &self.known)];
        let spending = Spending { all, budget: MAX_OF_ONE, most_elements: MAX_ELEMENTS };
        let least = spending.least()?;
        let message = format!(
            "on the API server this may cost more than one expression is given{}",
            where_lists(least)
        );
        let note = Diagnostic::new(bw0526_api_server_cost::CODE, at.clone(), message);
        let note = match spending.help(least) {
            None => note,
            Some((dominant, help)) => note.with_range(dominant.bytes).with_help(help),
        };
        self.noted = Some(self.noted.map_or(least, |noted| noted.min(least)));
        Some(note)
    }
}

/// A note for each budget that the expressions of rules that are one policy may exceed together, although none does so alone.
pub(super) fn together(rules: &[Costs], at: &FieldPath) -> Vec<Diagnostic> {
    let spent = rules.iter().flat_map(|rule| rule.spent.iter().map(|one| placed(one, &rule.known)));
    // All have the same.
    let conditions = rules.first().into_iter();
    let conditions = conditions.flat_map(|rule| rule.conditions.iter().map(|one| placed(one, &rule.known)));
    let noted = rules.iter().filter_map(|rule| rule.noted).min();
    let budgets = [
        (spent.collect(), MAX_OF_POLICY, "expressions", "the rules that are one policy are"),
        (conditions.collect(), MAX_OF_CONDITIONS, "match conditions", "those of one policy are"),
    ];
    let over = budgets.into_iter().filter_map(|(all, budget, what, whose)| {
        let spending = Spending { all, budget, most_elements: MAX_ELEMENTS_TOGETHER };
        let least = spending.least()?;
        if noted.is_some_and(|noted| noted <= least) {
            return None;
        }
        let message = format!(
            "on the API server these {} {what} together may cost more than {whose} given{}",
            spending.all.len(),
            where_lists(least)
        );
        let note = Diagnostic::new(bw0526_api_server_cost::CODE, at.clone(), message);
        Some(match spending.help(least) {
            None => note,
            Some((_, help)) => note.with_help(help),
        })
    });
    over.collect()
}

/// An expression with its text, and what is known where it stands.
type Placed<'c> = (&'c str, &'c Estimator, &'c Known);

fn placed<'c>((source, estimator): &'c (String, Estimator), known: &'c Known) -> Placed<'c> {
    (source, estimator, known)
}

/// Expressions with one budget.
struct Spending<'c> {
    all: Vec<Placed<'c>>,
    budget: u64,
    /// Largest size of lists worth a note.
    most_elements: u64,
}

impl Spending<'_> {
    fn exceeds(&self, elements: u64, characters: u64) -> bool {
        let sum = self.all.iter().fold(0_u64, |sum, (_, estimator, known)| {
            sum.saturating_add(estimator.cost(&Assumed { elements, characters, known }).max)
        });
        sum > self.budget
    }

    /// The least size of lists at which they cost too much.
    fn least(&self) -> Option<u64> {
        least(self.most_elements, |elements| self.exceeds(elements, u64::MAX))
    }

    /// What costs most at a size of lists, and the bound that mends it.
    fn help(&self, elements: u64) -> Option<(Dominant, String)> {
        let cost = |(_, estimator, known): &&Placed<'_>| estimator.cost(&known.assuming(elements)).max;
        let (source, estimator, known) = self.all.iter().max_by_key(cost)?;
        let dominant = estimator.dominant(&known.assuming(elements))?;
        let is_text = matches!(dominant.of, Type::String | Type::Bytes);
        let help = help(known, source, &dominant, self.fitting(is_text, elements));
        Some((dominant, help))
    }

    /// The largest size of lists, or of bounded texts, with which they still fit, if others do not: `elements` of lists.
    fn fitting(&self, is_text: bool, elements: u64) -> Option<u64> {
        let too_many = match is_text {
            false => elements,
            true => least(u64::from(u32::MAX), |characters| self.exceeds(self.most_elements, characters))?,
        };
        too_many.checked_sub(1).filter(|fits| *fits > 0)
    }
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

/// What to do about what dominates: `fits` is the largest size of it, if any, that mends it alone.
fn help(known: &Known, source: &str, dominant: &Dominant, fits: Option<u64>) -> String {
    let text = |bytes: &Bytes<usize>| shortened(source.get(bytes.clone()).unwrap_or(source));
    let what = text(&dominant.bytes);
    let costs = match dominant.loops {
        0 => format!("`{what}` costs most:"),
        1 => format!("the loop `{what}` costs most: look at less in each turn, or"),
        loops => {
            format!("{loops} loops inside each other in `{what}` cost most: look at less in each turn, or")
        }
    };
    let over = text(&dominant.over);
    let (root, path) = dominant.place.as_deref().and_then(<[String]>::split_first).unzip();
    let is_text = matches!(dominant.of, Type::String | Type::Bytes);
    match (root.map(String::as_str), path, fits) {
        (Some("params"), Some([name, ..]), _) => {
            format!("{costs} give the parameter `{name}` a smaller `maxItems`")
        }
        (Some("object" | "oldObject"), Some(path @ [first, ..]), Some(fits))
            if known.bounds.is_some() && first != "metadata" =>
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
    use std::sync::Arc;

    use bailiwick_policy::ir::Const;
    use serde_json::json;

    use super::*;
    use crate::cel::{Context, Interner, Parameter, compile_and_cost};
    use crate::custom_kinds::CustomKinds;

    const LOOPS: &str =
        "object.spec.items.all(a, object.spec.items.all(b, a == b || object.spec.items.exists(c, c == a)))";

    /// The costs of a rule over widgets whose `spec.items` has this schema.
    fn costs(items: serde_json::Value) -> (Context, Costs) {
        of_widgets(items, 50_000_000)
    }

    /// The same with the longest `spec.name`.
    fn of_widgets(items: serde_json::Value, longest: u64) -> (Context, Costs) {
        let mut kinds = CustomKinds::default();
        let spec = json!({"type": "object", "properties": {"items": items, "name": {"type": "string", "maxLength": longest}}});
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

    /// That many rules with one expression over such widgets, of which none costs too much.
    fn rules(count: usize, source: &str, items: &serde_json::Value, longest: u64) -> Vec<Costs> {
        let one = |_| {
            let (context, mut costs) = of_widgets(items.clone(), longest);
            assert_eq!(note(source, &context, &mut costs), None);
            costs.spend(source, estimator(source, &context));
            costs.ask(source, estimator(source, &context));
            costs
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn what_none_spends_alone_all_may_spend_together() {
        let source = "object.spec.items.all(a, object.spec.items.all(b, a != b))";
        let items = json!({"type": "array", "maxItems": 120, "items": {"type": "string"}});
        assert!(together(&rules(2, source, &items, 1), &FieldPath::spec()).is_empty());
        let notes = together(&rules(200, source, &items, 1), &FieldPath::spec());
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(note.message.contains("these 200 expressions together"), "{}", note.message);
        assert!(note.help.contains("`spec.items` in its schema"), "{}", note.help);
    }

    #[test]
    fn the_bound_that_is_named_mends_what_all_spend_together() {
        let source = "object.spec.name.matches('^a+$')";
        let items = json!({"type": "array", "items": {"type": "string"}});
        let notes = together(&rules(200, source, &items, 1_000_000), &FieldPath::spec());
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        let (_, bound) = note.help.split_once("`maxLength: ").unwrap_or_else(|| panic!("{}", note.help));
        let bound: u64 = bound.split('`').next().unwrap().parse().unwrap();
        assert!(bound < 1_000_000, "{bound}");
        assert!(together(&rules(200, source, &items, bound), &FieldPath::spec()).is_empty(), "{bound}");
    }

    #[test]
    fn metadata_is_bounded_by_no_schema() {
        let (context, mut costs) = costs(json!({"type": "array", "items": {"type": "string"}}));
        let source = LOOPS.replace("spec.items", "metadata.annotations");
        let said = note(&source, &context, &mut costs).unwrap();
        assert!(
            said.contains("`size(object.metadata.annotations) <= ") && !said.contains("schema"),
            "{said}"
        );
    }
}
