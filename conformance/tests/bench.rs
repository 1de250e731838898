//! `bench check`: every goal is compared, and a missed goal means exit code 3.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Map, Value, json};

/// A goal as `bench check` prints it.
struct Goal {
    bench: String,
    key: String,
    bound: f64,
    at_least: bool,
}

fn check(folder: &Path) -> (Output, Vec<String>) {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("check").arg(folder).output().unwrap();
    let lines = String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect();
    (output, lines)
}

/// `MISSED engine some_key not measured (at most 10)`.
fn goal(line: &str) -> Goal {
    let (told, bound) = line.trim_end_matches(')').split_once(" (at ").unwrap();
    let mut words = told.split_whitespace().skip(1).map(str::to_owned);
    let (order, bound) = bound.split_once(' ').unwrap();
    Goal {
        bench: words.next().unwrap(),
        key: words.next().unwrap(),
        bound: bound.parse().unwrap(),
        at_least: order == "least",
    }
}

/// Writes reports in which every goal is just met, except one that is just missed.
fn write(folder: &Path, goals: &[Goal], missed: Option<usize>) {
    let mut metrics: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (at, goal) in goals.iter().enumerate() {
        let worse = if goal.at_least { goal.bound * 0.99 - 1e-6 } else { goal.bound * 1.01 + 1e-6 };
        let figure = if missed == Some(at) { worse } else { goal.bound };
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
    assert!(lines.len() >= 20 && lines.iter().all(|line| line.starts_with("MISSED")), "{lines:#?}");
    let goals: Vec<Goal> = lines.iter().map(|line| goal(line)).collect();

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
        assert!(missed[0].contains(&goals[at].key), "{missed:?}");
    }

    std::fs::write(folder.path().join("engine.json"), "{").unwrap();
    let (output, _) = check(folder.path());
    assert_eq!(output.status.code(), Some(1), "a broken report is no missed goal");
}
