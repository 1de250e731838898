//! What evaluations spend over inputs: on the API server, whose estimate is to bound it, and here, in fuel.
//!
//! Terms. *Estimate*: the most that the API server expects, and we with it. *Spent*: what its evaluation then counted, against which it
//! limits a policy that runs. *Fuel*: what our evaluation counted (`docs/adr/0032-fuel-is-no-cost-of-the-api-server.md`).

use std::sync::{Arc, OnceLock};

use bailiwick_compiler::cel::cost::{Range, Sizes};
use bailiwick_compiler::cel::{Object, Record, Type};
use bailiwick_policy::json::Json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::celgo::COSTS;
use super::evaluation::Environment;
use super::expressions::{Dice, Kind, Term, kinds};
use super::judgement::{Judged, Verdict};

/// How much longer inputs are made than the plain values that they stand for.
const SCALES: [usize; 2] = [1, 60];
const EXPRESSIONS: usize = 4_000;
const DEPTH: u32 = 2;
const SEED: u64 = 11;

/// How many times its estimate the API server spends at most. It counts selections that the estimate leaves out, and joined texts twice.
const BEYOND: u64 = 2;
/// The estimate assumes patterns of 128 characters, and the longest of the named formats has more.
const LONG_PATTERN: &str = "format.named(";

/// How many times what the API server spends fuel is at most.
pub(crate) const TIMES: u64 = 10;
/// A small cost of either is no multiple of the other.
const LEAST: u64 = 10;
/// What fuel prices and the API server does not: making the automaton of a pattern, and each search that may read on to the end; the elements
/// of lists that are joined, compared, looked through or formatted.
const PRICED: [&str; 9] =
    ["matches(", "find(", "findAll(", "validate(", " + ", ".min()", ".max()", "ndexOf(", ".format("];

/// An expression that reads `object`, and what that is.
#[derive(Debug, Serialize)]
pub(crate) struct Fed {
    expr: String,
    object: Map<String, Value>,
    /// Whether the types of what `object` holds are known.
    typed: bool,
}

/// What the API server estimates for one, and what it spends.
#[derive(Debug, Deserialize)]
pub(crate) struct Spent {
    at: usize,
    min: u64,
    max: u64,
    spent: u64,
}

/// What all came to.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    /// Rows of the tables.
    pub(crate) of_tables: usize,
    /// Expressions over inputs of known types. Where a type is not known, the estimate is no bound: it leaves out selections and sizes.
    pub(crate) of_inputs: usize,
    /// Those of both in which the API server spends more than it estimates.
    pub(crate) beyond: usize,
    /// Those of the inputs with more fuel than what the API server spends, and with more than [`TIMES`] as much.
    pub(crate) more_fuel: usize,
    pub(crate) much_more_fuel: usize,
    /// What is beyond what is known and explained here.
    pub(crate) wrong: Vec<String>,
}

impl Spending {
    /// A row of a table.
    pub(crate) fn row(&mut self, expr: &str, estimate: u64, spent: u64) {
        self.of_tables += 1;
        self.bounded(expr, estimate, spent);
    }

    /// An expression over inputs; its estimate is judged as those of the tables.
    pub(crate) fn input(&mut self, row: &Spent, costs: &mut Judged) {
        let fed = &all()[row.at];
        let expected = Range::new(row.min, row.max);
        let verdict = match fed.environment().cost(&fed.expr, fed) {
            Ok(cost) if cost == expected => Verdict::Agrees,
            other => Verdict::Disagrees(format!("`{}` costs {other:?}, not {expected:?}", fed.expr)),
        };
        let part = if fed.typed { "inputs of known types" } else { "inputs of unknown types" };
        costs.add(&format!("{COSTS}{part}/{}", fed.expr), verdict);
        if fed.typed {
            self.of_inputs += 1;
            self.bounded(&fed.expr, row.max, row.spent);
            self.fuel(fed, row.spent);
        }
    }

    fn bounded(&mut self, expr: &str, estimate: u64, spent: u64) {
        self.beyond += usize::from(spent > estimate);
        if spent > estimate.saturating_mul(BEYOND) && !expr.contains(LONG_PATTERN) {
            self.wrong.push(format!("`{expr}` spends {spent}, estimated {estimate}"));
        }
    }

    fn fuel(&mut self, fed: &Fed, spent: u64) {
        let text = serde_json::to_vec(&fed.object).unwrap();
        let fuel = fed.environment().fuel(&fed.expr, &Json::parse(&text).unwrap()).unwrap();
        self.more_fuel += usize::from(fuel > spent);
        if fuel > TIMES * (spent + LEAST) {
            self.much_more_fuel += 1;
            if !PRICED.iter().any(|priced| fed.expr.contains(priced)) {
                self.wrong
                    .push(format!("`{}` takes {fuel} of fuel, and the API server spends {spent}", fed.expr));
            }
        }
    }
}

impl Fed {
    /// The term with its plain values read from `object`, where JSON has them.
    fn of(term: &Term, scale: usize, typed: bool) -> Self {
        let mut object = Map::new();
        let expr = term.text_with(&mut |kind, literal| {
            let value = input(kind, literal, scale)?;
            let name = format!("v{}", object.len());
            let read = format!("object.{name}");
            object.insert(name, value);
            Some(read)
        });
        Self { expr, object, typed }
    }

    fn environment(&self) -> Environment {
        if !self.typed {
            return Environment::of([].into());
        }
        let fields = self.object.iter().map(|(name, value)| (name.clone(), type_of(value))).collect();
        Environment::about(Type::Object(Object::Record(Arc::new(Record {
            name: "Input".to_owned(),
            fields,
        }))))
    }
}

/// As `typeOf` in `conformance/cel/costs`.
fn type_of(value: &Value) -> Type {
    match value {
        Value::Bool(_) => Type::Bool,
        Value::Number(_) => Type::Int,
        Value::String(_) => Type::String,
        Value::Array(items) => Type::list(type_of(&items[0])),
        _ => panic!("no input: {value}"),
    }
}

/// As `EstimateSize` in `conformance/cel/costs`.
impl Sizes for Fed {
    fn of(&self, place: Option<&[String]>, _: &Type) -> Option<Range> {
        let [root, name, inside @ ..] = place? else { return None };
        let value = self.object.get(name).filter(|_| root == "object")?;
        let characters = |value: &Value| value.as_str().map_or(1, |text| text.chars().count());
        let longest = match value {
            Value::Array(items) if inside.is_empty() => items.len(),
            Value::Array(items) => items.iter().map(characters).max().unwrap_or(1),
            value => characters(value),
        };
        Some(Range::new(0, longest as u64))
    }
}

/// What stands for a plain value: texts and lists that are longer by this factor.
fn input(kind: &Kind, literal: &str, scale: usize) -> Option<Value> {
    let text =
        || Environment::of([].into()).evaluate(literal, |value| value.as_str().map(str::to_owned)).ok()?;
    Some(match kind {
        Kind::Bool | Kind::Int => serde_json::from_str(literal).ok()?,
        Kind::Text => text()?.repeat(scale).into(),
        Kind::Word(_) => text()?.into(),
        Kind::List(of) => {
            let item = |at: usize| match **of {
                Kind::Int => Some((at * 7 % 5).into()),
                Kind::Text => Some(format!("{:03}", at * 7 % 5).into()),
                _ => None,
            };
            Value::Array((0..3 * scale).map(item).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// Each expression over inputs of each scale.
pub(crate) fn all() -> &'static [Fed] {
    static ALL: OnceLock<Vec<Fed>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut dice = Dice::of_kubernetes(SEED);
        let terms: Vec<Term> = kinds()
            .iter()
            .cycle()
            .take(EXPRESSIONS)
            .map(|kind| Term::random(kind, DEPTH, &mut dice))
            .collect();
        let forms = SCALES.iter().flat_map(|scale| [(*scale, true), (*scale, false)]);
        forms.flat_map(|(scale, typed)| terms.iter().map(move |term| Fed::of(term, scale, typed))).collect()
    })
}
