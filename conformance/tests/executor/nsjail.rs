//! One policy run in two ways: a probe reports from inside nsjail, with the compiled configuration, and from
//! inside the executor's own sandbox. `docs/nsjail.md` lists where the two differ, each difference with its
//! reason. A difference that is not listed fails the test, and so does a listed one that no longer exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bailiwick_conformance::{nsjail, programs};
use bailiwick_executor::confine;
use bailiwick_executor::host::Host;
use bailiwick_policy::bundle;
use bailiwick_policy::policy::sandboxes::Sandbox;
use bailiwick_sys::drain::{CallLimits, Excess, complete};
use bailiwick_sys::keeper::Keeper;
use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::{Build, Launcher, Request};
use serde_json::Value;

use crate::stage::{Stage, said, shipped};

const PROBE: &str = include_str!("../../../compiler/tests/confinement/probe.py");
const LIST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/nsjail.md");
const PYTHON: &str = "/usr/bin/python3";

/// Field, what nsjail says, what the executor's sandbox says.
type Difference = (String, String, String);

/// Each field of a report by its path.
fn fields(report: &Value) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (section, value) in report.as_object().expect("an object") {
        match value {
            Value::Object(entries) => {
                out.extend(
                    entries.iter().map(|(name, value)| (format!("{section} {name}"), value.to_string())),
                );
            }
            value => {
                out.insert(section.clone(), value.to_string());
            }
        }
    }
    out
}

fn differences(nsjail: &Value, native: &Value) -> BTreeSet<Difference> {
    let (nsjail, native) = (fields(nsjail), fields(native));
    let names: BTreeSet<&String> = nsjail.keys().chain(native.keys()).collect();
    let said = |report: &BTreeMap<String, String>, name: &String| {
        report.get(name).map_or("none", String::as_str).replace('"', "")
    };
    names
        .into_iter()
        .map(|name| (name.clone(), said(&nsjail, name), said(&native, name)))
        .filter(|(_, one, other)| one != other)
        .collect()
}

/// The words in the document's cells and their values: limits of a sandbox, and one of this process, which
/// sandboxes inherit.
fn words(sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    let seconds = sandbox.limits.cpu_time_ms.div_ceil(1000);
    let own = std::fs::read_to_string("/proc/self/limits").expect("limits");
    let own = own.lines().find_map(|line| line.strip_prefix("Max processes")).expect("a limit on processes");
    let own: Vec<_> = own.split_whitespace().take(2).map(|limit| limit.replace("unlimited", "-1")).collect();
    vec![
        ("cpuTime+2", (seconds + 2).to_string()),
        ("cpuTime+1", (seconds + 1).to_string()),
        ("processes", sandbox.limits.processes.to_string()),
        ("inherited", own.join(",")),
    ]
}

/// The rows of the document's table of fields, with words for what differs between sandboxes. A cell `any`
/// covers what depends on the machine.
fn listed() -> Vec<Difference> {
    let text = std::fs::read_to_string(LIST).expect("the document");
    let (_, table) = text.split_once("| Field | nsjail | Executor | Why |\n").expect("the table of fields");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<_> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [field, nsjail, native, why] = cells.as_slice() else { panic!("not four cells: {line}") };
        assert!(!why.is_empty(), "no reason: {line}");
        (field.clone(), nsjail.clone(), native.clone())
    };
    rows.map(row).collect()
}

fn covers(row: &Difference, found: &Difference, words: &[(&str, String)]) -> bool {
    let meant =
        |listed: &str| words.iter().fold(listed.to_owned(), |text, (word, value)| text.replace(word, value));
    let cell = |listed: &str, found: &str| listed == "any" || meant(listed) == found;
    row.0 == found.0 && cell(&row.1, &found.1) && cell(&row.2, &found.2)
}

fn under_nsjail(program: &Path, config: &Path) -> Value {
    let output = Command::new(program)
        .arg("--config")
        .arg(config)
        .args(["--quiet", "--experimental_mnt", "new", "--", PYTHON, "-I", "-c", PROBE])
        .env("SECRET", "of the caller")
        .output()
        .expect("nsjail runs");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

fn in_the_executors_sandbox(host: &Host, sandbox: &Sandbox) -> Value {
    let profile = confine::profile(sandbox, host).unwrap_or_else(|error| panic!("{error}"));
    let launcher = Launcher::spawn(host.sys(), &profile).unwrap_or_else(|error| panic!("{error}"));
    let identity = host.sys().identity().expect("ids are left");
    let keeper = Keeper::spawn(host.sys()).expect("a keeper");
    let workspace = sandbox.filesystem.workspace.as_ref().map(|rule| {
        keeper.create(&identity, rule.size_bytes, rule.inodes).unwrap_or_else(|error| panic!("{error}"))
    });
    let parked = launcher
        .build(&Build { identity, workspace: workspace.as_ref() })
        .unwrap_or_else(|error| panic!("{error}"));
    let request = Request {
        program: PYTHON.into(),
        arguments: [PYTHON, "-I", "-c", PROBE].map(str::to_owned).to_vec(),
        ..Request::default()
    };
    let running = parked.run(&request).unwrap_or_else(|error| panic!("{error}"));
    let limits =
        CallLimits { wall: Duration::from_secs(60), cpu: None, output_bytes: 1 << 20, excess: Excess::Drop };
    let done = complete(running, b"", &limits);
    let text = String::from_utf8_lossy(&done.stdout.bytes).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr.bytes).into_owned();
    assert_eq!(done.exit.outcome, Outcome::Exited { code: 0 }, "{text}{errors}");
    done.remains.clear().expect("cleared away");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"))
}

#[test]
fn nsjail_and_the_executor_differ_where_the_document_says() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/nsjail/bin/nsjail");
    let root = std::fs::read_to_string("/proc/self/status").expect("a status").contains("\nUid:\t0\t0\t");
    if !program.exists() || !root {
        assert!(std::env::var_os("CI").is_none() || !root, "nsjail is missing: run `make setup`");
        eprintln!("SKIPPED: the comparison with nsjail needs root and `make setup`");
        return;
    }
    let launcher = programs::find("bailiwick-launcher").expect("it is built");
    let group = format!("bailiwick-compared-{}", std::process::id());
    let host = Host::with(launcher, &group).expect("a host");
    let _groups = nsjail::Groups::make().expect("groups");
    let (listed, mut gone) = (listed(), BTreeSet::new());
    gone.extend(&listed);
    let (mut compared, mut unlisted) = (0, Vec::new());
    for pack in ["code-interpreter", "build-runner"] {
        let stage = Stage::new(&shipped(pack));
        let bytes = std::fs::read(stage.path().join("bundle.json")).expect("the bundle");
        let policy = bundle::load(&bytes).expect("a bundle").policy;
        let cell = std::fs::read_dir(stage.path().join("dist")).expect("dist").next().expect("a cell");
        let cell = cell.expect("a folder").path();
        for sandbox in policy.sandboxes.iter().filter(|sandbox| sandbox.pool.is_some()) {
            let config = cell.join(format!("nsjail/{}.cfg", sandbox.name));
            let native = in_the_executors_sandbox(&host, sandbox);
            let found = differences(&under_nsjail(&program, &config), &native);
            let words = words(sandbox);
            for difference in &found {
                let rows: Vec<_> = listed.iter().filter(|row| covers(row, difference, &words)).collect();
                if rows.is_empty() {
                    unlisted.push((pack, sandbox.name.clone(), difference.clone()));
                }
                gone.retain(|row| !rows.contains(row));
            }
            compared += 1;
        }
    }
    assert!(compared >= 4, "each pack has two sandboxes");
    assert!(unlisted.is_empty(), "not in docs/nsjail.md: {unlisted:#?}");
    assert!(gone.is_empty(), "docs/nsjail.md lists what is not so: {gone:#?}");
}
