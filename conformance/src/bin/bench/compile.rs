//! `bench compile`: the command line as a whole process, from cold start to verdict. The times are those of
//! one machine; only their order of magnitude is compared with the goals.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bailiwick_conformance::programs;
use serde_json::Value;

use crate::editor;
use crate::manifests::{self, Manifests};
use crate::report::Report;
use crate::sampling::median;

/// Runs of each command.
const RUNS: usize = 11;

/// Manifests that are judged.
const MANIFESTS: usize = 1000;

pub(crate) fn run() -> Result<Report> {
    let folder = std::env::temp_dir().join(format!("bailiwick-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure(folder: &Path) -> Result<Report> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let hundred = folder.join("hundred.yaml");
    std::fs::write(&hundred, hundred_rules()?)?;
    // Each rule has another constant: all hundred differ.
    let [old, next] = ["old.yaml", "next.yaml"].map(|name| folder.join(name));
    std::fs::write(&old, half_and_half(0)?)?;
    std::fs::write(&next, half_and_half(1)?)?;
    let sixteen = root.join("conformance/bench/sixteen-rules");
    let (manifests, namespaces) = (folder.join("manifests.yaml"), folder.join("namespaces.yaml"));
    let made = manifests::manifests(MANIFESTS)?;
    std::fs::write(&manifests, &made.yaml)?;
    std::fs::write(&namespaces, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}\n")?;

    let mut five: Vec<PathBuf> = vec!["check".into(), "--library".into(), root.join("policy-packs")];
    five.extend(
        ["restricted-agent", "code-interpreter", "pod-security-restricted"]
            .map(|name| root.join("policy-packs").join(name)),
    );
    five.extend([sixteen.clone(), hundred.clone()]);
    let compared = ["diff".into(), old, next, "--fail-on".into(), "any".into()];
    let review = ["review".into(), sixteen, "--namespaces".into(), namespaces, "-f".into(), manifests];

    check_findings(&review, &made)?;

    let mut report = Report::new("compile");
    for (key, args, code) in [
        ("five_packs_cold_ms", &five[..], 0),
        ("pack_100_rules_ms", &["check".into(), hundred][..], 0),
        ("diff_100_rules_ms", &compared[..], 3),
        ("check_1000_manifests_ms", &review[..], 4),
    ] {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let begin = Instant::now();
            let (ended, _) = once(args)?;
            times.push(begin.elapsed().as_secs_f64() * 1000.0);
            ensure!(ended == Some(code), "{key}: the command ended with {ended:?} and not {code}");
        }
        times.sort_by(f64::total_cmp);
        report.set(key, median(&times), RUNS);
    }
    let (_, peak_kb) = once(&review)?;
    report.set("check_rss_mb", peak_kb as f64 / 1024.0, 1);
    let (slowest, requests) = editor::completion(folder, editor::REQUESTS)?;
    report.set("completion_2000_lines_ms", slowest, requests);
    Ok(report)
}

/// Runs `bailiwick`; returns its exit code and the largest resident set that was observed, in kB.
fn once(args: &[PathBuf]) -> Result<(Option<i32>, u64)> {
    let program = programs::find("bailiwick")?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run bailiwick")?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        if let Some(seen) = peak_of(&status) {
            peak = peak.max(seen);
        }
        if let Some(ended) = child.try_wait()? {
            return Ok((ended.code(), peak));
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

fn peak_of(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A pack of a hundred rules.
fn hundred_rules() -> Result<String> {
    let mut text = String::from(HEAD);
    admission_rules(&mut text, 100, 0)?;
    Ok(text)
}

/// A pack of fifty rules over pods and of fifty over the calls of ten tools.
fn half_and_half(more: usize) -> Result<String> {
    let mut text = String::from(HEAD);
    admission_rules(&mut text, 50, more)?;
    text.push_str(SANDBOX);
    for tool in 0..10 {
        writeln!(
            text,
            "    - {{name: tool.t{tool}, input: {{type: object, required: [text], additionalProperties: false, properties: {{text: {{type: string, maxLength: 99}}, stage: {{type: string, enum: [dev, live]}}}}}}, \
             run: {{sandbox: shell, argv: [{{value: /bin/echo}}, {{value: \"--\"}}, {{arg: text}}]}}}}"
        )?;
    }
    text.push_str("    rules:\n");
    for number in 0..50 {
        let (tool, size) = (number / 5, number + more);
        let effect = if number % 5 == 0 { "allow" } else { "deny" };
        writeln!(
            text,
            "    - {{name: call-{number}, tools: [tool.t{tool}], when: \"call.args.text.startsWith('a{size}') || call.args.?stage.orValue('dev') == 'live' && call.args.text.size() > {size}\", {effect}: {{}}}}"
        )?;
    }
    Ok(text)
}

/// How a pack of many rules begins.
const HEAD: &str = "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {name: hundred-1.0.0}\nspec:\n  pack: hundred\n  version: 1.0.0\n  \
     subjects: {namespaces: {selector: {matchExpressions: [{key: bailiwick.dev/pool, operator: DoesNotExist}]}}, pods: {}, unmatched: Allow}\n";

/// Where its tools run, and how they begin.
const SANDBOX: &str = "  pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: \"2\", memory: 1Gi}}]
  sandboxes:
  - {name: shell, pool: warm, filesystem: {readOnly: [/usr, /bin]}, syscalls: {profile: Shell}, limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}
  tools:
    definitions:
";

/// So many rules over pods, each with a variable and two expressions.
fn admission_rules(text: &mut String, count: usize, more: usize) -> Result<()> {
    text.push_str("  admission:\n    rules:\n");
    for number in 0..count {
        let size = number + more;
        write!(
            text,
            "    - name: rule-{number}\n      match: {{resources: [{{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}}\n      \
             variables: [{{name: large, expression: \"pod.mainContainers.filter(c, c.name.size() > {size})\"}}]\n      \
             validations: [{{expression: \"variables.large.all(c, c.image != 'i{number}')\", messageExpression: \"'image: ' + string(variables.large.size())\"}}]\n"
        )?;
    }
    Ok(())
}

/// Runs before anything is measured: the findings must be exactly the broken rules, rule by rule.
fn check_findings(review: &[PathBuf], made: &Manifests) -> Result<()> {
    let output =
        Command::new(programs::find("bailiwick")?).args(review).args(["--format", "json"]).output()?;
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut answers = 0;
    for line in String::from_utf8(output.stdout)?.lines() {
        let answer: Value = serde_json::from_str(line)?;
        answers += 1;
        let causes = answer.pointer("/response/status/details/causes").and_then(Value::as_array);
        for cause in causes.into_iter().flatten() {
            let rule = cause.get("reason").and_then(Value::as_str).unwrap_or_default();
            *found.entry(rule.to_owned()).or_default() += 1;
        }
    }
    let broken: BTreeMap<String, usize> =
        made.broken.iter().map(|(rule, count)| ((*rule).to_owned(), *count)).collect();
    ensure!(answers == MANIFESTS, "{answers} answers to {MANIFESTS} manifests");
    ensure!(found == broken, "found {found:?}, broken were {broken:?}");
    Ok(())
}
