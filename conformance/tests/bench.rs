//! `bench check`: every goal is compared, and a missed goal means exit code 3.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Map, Value, json};

/// A goal as `docs/benchmarks.md` has it.
struct Goal {
    bench: String,
    key: String,
    /// `at most 10`, `at least 10` or `no goal`.
    text: String,
}

impl Goal {
    /// The bound, and a figure beyond it; nothing for a figure without a goal.
    fn bound(&self) -> Option<(f64, f64)> {
        let (order, bound) = self.text.strip_prefix("at ")?.split_once(' ').unwrap();
        let bound: f64 = bound.parse().unwrap();
        Some((bound, if order == "least" { bound * 0.99 - 1e-6 } else { bound * 1.01 + 1e-6 }))
    }
}

/// The keys that the benches promise: none of them may vanish from the program.
fn promised() -> Vec<Goal> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let goals = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        Goal { bench: cells[1].to_owned(), key: cells[2].to_owned(), text: cells[3].to_owned() }
    });
    goals.collect()
}

fn check(folder: &Path) -> (Output, Vec<String>) {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("check").arg(folder).output().unwrap();
    let lines = String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect();
    (output, lines)
}

/// Writes reports in which every goal is just met, except one that is just missed, or not there if it has no goal.
fn write(folder: &Path, goals: &[Goal], missed: Option<usize>) {
    let mut metrics: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (at, goal) in goals.iter().enumerate() {
        let is_missed = missed == Some(at);
        let figure = match goal.bound() {
            Some((_, beyond)) if is_missed => beyond,
            None if is_missed => continue,
            bound => bound.unwrap_or_default().0,
        };
        metrics.entry(&goal.bench).or_default().insert(goal.key.clone(), json!(figure));
    }
    for (name, metrics) in metrics {
        let report = json!({"name": name, "metrics": metrics, "samples": {}, "machine": {}, "versions": {}});
        std::fs::write(folder.join(format!("{name}.json")), report.to_string()).unwrap();
    }
}

#[test]
fn a_missed_goal_is_named_and_exits_3() {
    let folder = tempfile::tempdir().unwrap();
    let (output, lines) = check(folder.path());
    assert_eq!(output.status.code(), Some(3), "nothing was measured");
    let goals = promised();
    assert!(goals.len() >= 40, "only {} keys are promised", goals.len());
    let missed =
        goals.iter().map(|Goal { bench, key, text }| format!("MISSED {bench} {key} not measured ({text})"));
    assert_eq!(
        lines,
        missed.collect::<Vec<_>>(),
        "docs/benchmarks.md lists other keys or goals than `bench check`"
    );

    write(folder.path(), &goals, None);
    let (output, lines) = check(folder.path());
    assert_eq!(output.status.code(), Some(0), "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("met ")), "{lines:#?}");

    for at in 0..goals.len() {
        write(folder.path(), &goals, Some(at));
        let (output, lines) = check(folder.path());
        assert_eq!(output.status.code(), Some(3), "{}", goals[at].key);
        let missed: Vec<&String> = lines.iter().filter(|line| line.starts_with("MISSED")).collect();
        assert_eq!(missed.len(), 1, "{lines:#?}");
        assert!(missed[0].contains(&format!(" {} {} ", goals[at].bench, goals[at].key)), "{missed:?}");
    }

    // A figure without a goal may be absent for a reason; one with a goal may not.
    for goal in &goals {
        write(folder.path(), &goals, goals.iter().position(|other| other.key == goal.key));
        let path = folder.path().join(format!("{}.json", goal.bench));
        let mut report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        report["metrics"].as_object_mut().unwrap().remove(&goal.key);
        report["absent"] = json!({ &goal.key: "there is none here" });
        std::fs::write(&path, report.to_string()).unwrap();
        let expected = if goal.bound().is_none() { 0 } else { 3 };
        assert_eq!(check(folder.path()).0.status.code(), Some(expected), "{}", goal.key);
    }

    std::fs::write(folder.path().join("engine.json"), "{").unwrap();
    let (output, _) = check(folder.path());
    assert_eq!(output.status.code(), Some(1), "a broken report is no missed goal");
}
