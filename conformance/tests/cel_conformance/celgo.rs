//! cel-go in the API server's environment, the implementation that clusters run: its cost tables, and what it
//! says about random expressions, both their cost and their value.
//!
//! The test runs a copy of the package `pkg/cel/library` of `k8s.io/apiserver`, with a Go test that prints
//! instead of comparing (`conformance/cel/costs`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use bailiwick_compiler::cel::Type;
use bailiwick_compiler::cel::cost::{Range, Sizes};
use bailiwick_conformance::go_module::go_module;
use bailiwick_policy::cel::Value;
use serde::Deserialize;

use super::evaluation::Environment;
use super::expressions::{Dice, Term, kinds};
use super::judgement::{Judged, Verdict};
use super::kube;
use super::kubernetes::{MODULE, VERSION};
use super::spent::{self, Spending};

/// The prefix of cost names in the committed list.
pub(crate) const COSTS: &str = "costs/";
/// The prefix of value names.
pub(crate) const VALUES: &str = "cel-go/";

/// Random expressions.
pub(crate) const EXPRESSIONS: usize = 12_000;
/// How many costs must be compared at least; the other expressions need functions that the other side lacks.
const LEAST_COSTS: usize = 3_000;
pub(crate) const LEAST_VALUES: usize = 10_000;
const DEPTH: u32 = 2;
const SEED: u64 = 7;

/// An estimate by the API server.
#[derive(Debug, Deserialize)]
struct Estimate {
    name: String,
    expr: String,
    min: u64,
    max: u64,
    /// By its evaluation.
    spent: u64,
}

/// cel-go's results for an expression.
#[derive(Debug, Deserialize)]
struct Outcome {
    expr: String,
    value: String,
}

/// The sizes that the tables assume: strings and bytes have at most twelve.
struct OfTheTables;

impl Sizes for OfTheTables {
    fn of(&self, _: Option<&[String]>, of: &Type) -> Option<Range> {
        matches!(of, Type::String | Type::Bytes).then_some(Range::new(0, 12))
    }
}

/// Costs and values, judged once.
#[derive(Debug, Default)]
pub(crate) struct OfCelGo {
    pub(crate) costs: Judged,
    /// What evaluations spend.
    pub(crate) spent: Spending,
    /// Only the differences, each by its smallest part.
    pub(crate) values: Judged,
    /// How many values were compared, and how many are the same.
    pub(crate) compared: usize,
    pub(crate) agreeing: usize,
    /// How many of the same expressions give the same in `kube-cel`.
    pub(crate) as_kube: usize,
    /// Those that do not, where cel-go agrees with us: by what differs, and by the form of the smallest expression that does.
    pub(crate) kube_alone: BTreeMap<&'static str, usize>,
    pub(crate) kube_forms: BTreeMap<String, usize>,
    /// Expressions in which we are alone: cel-go and `kube-cel` agree, and we differ.
    pub(crate) alone: Vec<String>,
}

/// `None` where Go is missing and this is not CI.
pub(crate) fn judged() -> Option<&'static OfCelGo> {
    static JUDGED: OnceLock<Option<OfCelGo>> = OnceLock::new();
    JUDGED
        .get_or_init(|| {
            let module = go_module(MODULE, VERSION).unwrap()?;
            let mut judged = OfCelGo::default();
            let mut outcomes: Vec<Outcome> = Vec::new();
            for line in run(&module.join("pkg/cel/library")).lines() {
                if let Some(row) = line.strip_prefix("SPENT ") {
                    judged.spent.input(&serde_json::from_str(row).unwrap(), &mut judged.costs);
                } else if let Some(row) = line.strip_prefix("COST ") {
                    judged.cost(&serde_json::from_str(row).unwrap());
                } else if let Some(row) = line.strip_prefix("VALUE ") {
                    outcomes.push(serde_json::from_str(row).unwrap());
                }
            }
            judged.values(&outcomes);
            Some(judged)
        })
        .as_ref()
}

impl OfCelGo {
    fn cost(&mut self, row: &Estimate) {
        if row.expr.starts_with("jsonpatch.") {
            let why = "ask for `jsonpatch.escapeKey`, which the API server offers only to mutating admission policies and packs do not have";
            *self.costs.skipped.entry(why).or_default() += 1;
            return;
        }
        let expected = Range::new(row.min, row.max);
        let verdict = match Environment::of([].into()).cost(&row.expr, &OfTheTables) {
            Ok(cost) if cost == expected => Verdict::Agrees,
            other => Verdict::Disagrees(format!("`{}` costs {other:?}, not {expected:?}", row.expr)),
        };
        self.costs.add(&format!("{COSTS}{}/{}", row.name, row.expr), verdict);
        if row.name != "random" {
            self.spent.row(&row.expr, row.max, row.spent);
        }
    }

    fn values(&mut self, rows: &[Outcome]) {
        let terms: BTreeMap<String, Term> = random().into_iter().map(|term| (term.text(), term)).collect();
        kube::ask(|kube| {
            let mut known = BTreeMap::new();
            for row in rows {
                let theirs = kube(&row.expr);
                let ours = evaluated(&row.expr);
                self.value(row, &ours, &theirs);
                if let (true, Some(term)) = (ours == row.value && ours != theirs, terms.get(&row.expr)) {
                    *self.kube_alone.entry(difference(&ours, &theirs)).or_default() += 1;
                    *self.kube_forms.entry(form(term, &mut known, kube)).or_default() += 1;
                }
            }
        });
    }

    fn value(&mut self, row: &Outcome, ours: &str, kube: &str) {
        self.compared += 1;
        self.as_kube += usize::from(ours == kube);
        if ours != kube && kube == row.value {
            self.alone.push(row.expr.clone());
        }
        if ours == row.value {
            self.agreeing += 1;
        } else {
            let what = format!("ours {ours}, cel-go's {}", row.value);
            self.values.add(&format!("{VALUES}{}", row.expr), Verdict::Disagrees(what));
        }
    }
}

fn evaluated(expr: &str) -> String {
    let ours = Environment::of([].into()).evaluate(expr, |value| shown(&value));
    ours.unwrap_or_else(|_| "error".to_owned())
}

/// How `kube-cel` differs from a result on which cel-go and we agree.
fn difference(ours: &str, theirs: &str) -> &'static str {
    match (ours, theirs) {
        (_, "a panic") => "it panics",
        ("error", _) => "it gives a value for an error",
        (_, "error") => "it gives an error for a value",
        _ => "it gives another value",
    }
}

/// The form of the smallest part of an expression in which `kube-cel` differs from us. To find one takes as long as a hundred comparisons: an
/// expression that contains one found before is not made smaller again.
fn form(term: &Term, known: &mut BTreeMap<String, String>, kube: &dyn Fn(&str) -> String) -> String {
    let whole = term.text();
    if let Some((_, form)) = known.iter().find(|(text, _)| whole.contains(text.as_str())) {
        return form.clone();
    }
    let smallest = term.clone().smallest(&|text| evaluated(text) != kube(text));
    let form = smallest.form();
    // A plain value is a part of too much.
    if form.contains('…') {
        known.insert(smallest.text(), form.clone());
    }
    form
}

/// A value with its kind, as `shown` in `conformance/cel/costs` writes it.
fn shown(value: &Value<'_>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => format!("{value}u"),
        Value::Double(value) if value.is_nan() => "NaN".to_owned(),
        Value::Double(value) => format!("d{:016x}", value.to_bits()),
        Value::Bytes(_) | Value::OwnedBytes(_) => format!("b{}", hex(value.as_bytes().unwrap_or_default())),
        Value::Str(_) | Value::OwnedStr(_) => {
            format!("s{}", hex(value.as_str().unwrap_or_default().as_bytes()))
        }
        Value::List(items) => {
            format!("[{}]", items.iter().map(|item| shown(&item)).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entry = |(key, value): (Value<'_>, Value<'_>)| format!("{}: {}", shown(&key), shown(&value));
            let mut entries: Vec<String> = entries.iter().map(entry).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => format!("a {}", other.type_name()),
    }
}

fn random() -> Vec<Term> {
    let mut dice = Dice::of_kubernetes(SEED);
    kinds().iter().cycle().take(EXPRESSIONS).map(|kind| Term::random(kind, DEPTH, &mut dice)).collect()
}

/// The output of the copied package's test.
fn run(library: &Path) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("cel/costs");
    let stage = tempfile::tempdir().unwrap();
    let package = stage.path().join("library");
    fs::create_dir(&package).unwrap();
    for file in ["go.mod", "go.sum"] {
        fs::copy(here.join(file), stage.path().join(file)).unwrap();
    }
    for entry in fs::read_dir(library).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() && !name.ends_with("_test.go") {
            fs::write(package.join(name), fs::read(&path).unwrap()).unwrap();
        }
    }
    let tables = fs::read_to_string(library.join("cost_test.go")).unwrap();
    let compares = "expectRuntimeCost uint64) {\n";
    assert_eq!(tables.matches(compares).count(), 1, "the tables are compared otherwise");
    let prints = format!(
        "{compares}\tif true {{\n\t\tprintCost(t.Name(), expr, expectEsimatedCost, expectRuntimeCost)\n\t\treturn\n\t}}\n"
    );
    let needed = ["bytes", "encoding/json", "math", "os", "sort", "strings"]
        .map(|name| format!("\t\"{name}\"\n"))
        .concat();
    let traits = "\t\"github.com/google/cel-go/common/types/traits\"\n";
    let tables = tables.replace(compares, &prints).replacen(
        "\t\"context\"\n",
        &format!("\t\"context\"\n{needed}{traits}"),
        1,
    );
    let added = fs::read_to_string(here.join("estimates.go.txt")).unwrap();
    fs::write(package.join("cost_test.go"), tables + &added).unwrap();
    let expressions: Vec<String> = random().iter().map(Term::text).collect();
    fs::write(package.join("expressions.json"), serde_json::to_vec(&expressions).unwrap()).unwrap();
    fs::write(package.join("inputs.json"), serde_json::to_vec(spent::all()).unwrap()).unwrap();
    let output = Command::new("go")
        .args(["test", "-vet=off", "-v", "-run", "Cost|Library|Estimates", "./library"])
        .current_dir(stage.path())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let wrong = || {
        text.lines().filter(|line| !line.contains("COST ") && !line.contains("=== RUN")).collect::<Vec<_>>()
    };
    assert!(output.status.success(), "conformance/cel/costs failed: {:?}", wrong());
    text
}

#[test]
fn costs_are_what_the_api_server_estimates() {
    let Some(judged) = judged() else { return };
    let random = format!("{COSTS}random/");
    let made = judged.costs.verdicts.keys().filter(|name| name.starts_with(&random)).count();
    assert!(made >= LEAST_COSTS, "{made} expressions made at random");
    let of_tables = judged.costs.verdicts.len() - made;
    assert!(of_tables > 200, "{of_tables} rows of tables");
    judged.costs.check(COSTS);
}

#[test]
fn what_the_api_server_spends_is_bounded_by_its_estimate_and_fuel_by_that() {
    let Some(OfCelGo { spent, .. }) = judged() else { return };
    println!("{spent:?}");
    assert!(spent.of_tables > 200 && spent.of_inputs > 5_000, "{spent:?}");
    assert!(spent.wrong.is_empty(), "{:#?}", spent.wrong);
}

#[test]
fn values_are_what_cel_go_gives() {
    let Some(judged) = judged() else { return };
    println!("{} of {} expressions agree", judged.agreeing, judged.compared);
    assert!(judged.compared >= LEAST_VALUES, "{} expressions made at random", judged.compared);
    judged.values.check(VALUES);
    let listed = |expr: &String| judged.values.verdicts.contains_key(&format!("{VALUES}{expr}"));
    println!("{} of {} as in kube-cel", judged.as_kube, judged.compared);
    assert!(judged.alone.iter().all(listed), "{:?}", judged.alone);
    assert!(judged.as_kube * 100 >= judged.compared * 89, "fewer than 89 % as in kube-cel");
    let rest = judged.compared - judged.as_kube - judged.alone.len();
    let differ: usize = judged.kube_alone.values().sum();
    assert!(
        differ <= rest && rest - differ <= judged.values.verdicts.len(),
        "{differ} of {rest} are explained"
    );
}
