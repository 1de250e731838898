//! The steps of the demo, in order, and those that are about pods. Each prints what happened and checks that
//! it is what should happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bailiwick_conformance::http::Answer;
use base64::Engine as _;
use serde_json::Value;

use crate::stage::Stage;
use crate::{calls, heading, records, reviews};

/// How long the new bundle may take to be in force: far longer than a second, for a busy machine.
const RELOAD: Duration = Duration::from_secs(60);

pub(crate) fn run(stage: &mut Stage) -> Result<()> {
    compile(stage)?;
    admit_the_good_pod(stage)?;
    refuse_the_bad_ones(stage)?;
    change_the_pack_under_load(stage)?;
    show_a_typo(stage)?;
    let made = calls::run(stage)?;
    records::run(stage, &made)
}

/// Compiles the copied pack and puts its bundle into the webhook's folder.
fn build_bundle(stage: &Stage) -> Result<String> {
    let output = stage.bailiwick(&["compile", "packs/code-interpreter", "--out", "dist"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "`bailiwick compile` failed:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cell = std::fs::read_dir(stage.path("dist"))?.next().context("nothing was compiled")??.path();
    std::fs::create_dir_all(stage.path("bundles"))?;
    // Written next to the old one and renamed: the webhook never sees half a file.
    std::fs::copy(cell.join("bundle.json"), stage.path("bundle.new"))?;
    std::fs::rename(stage.path("bundle.new"), stage.path("bundles/code-interpreter.json"))?;
    std::fs::copy(cell.join("report.md"), stage.path("report.md"))?;
    Ok(text)
}

fn compile(stage: &mut Stage) -> Result<()> {
    heading("One pack becomes its controls")?;
    println!("$ bailiwick compile packs/code-interpreter --out dist");
    let listed = build_bundle(stage)?;
    print!("{listed}");
    let report = std::fs::read_to_string(stage.path("report.md"))?;
    controls(&listed, &report)?;
    println!("\nreport.md begins:");
    for line in report.lines().take(24) {
        println!("  {line}");
    }
    std::fs::write(stage.path("namespaces.yaml"), reviews::NAMESPACES)?;
    stage.start_webhook()
}

/// Whether the pack became every kind of control, and a report on them.
pub(crate) fn controls(listed: &str, report: &str) -> Result<()> {
    for artifact in [
        "bundle.json",
        "kubernetes/admission-policies.yaml",
        "kubernetes/network-policies.yaml",
        "kubernetes/runtime-classes.yaml",
        "kubernetes/webhooks.yaml",
        "seccomp/python.x86_64.json",
        "report.md",
    ] {
        ensure!(listed.contains(artifact), "`{artifact}` was not compiled");
    }
    ensure!(
        report.starts_with("# Who enforces what") && report.contains("Enforced: "),
        "the report is empty"
    );
    Ok(())
}

/// The webhook's answer to one review.
fn ask(stage: &Stage, path: &str, review: &[u8]) -> Result<Value> {
    let answer = stage.client()?.post(path, review)?;
    ensure!(
        answer.status == 200,
        "{path} answered {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    let mut review: Value = serde_json::from_slice(&answer.body).context("the answer is not JSON")?;
    Ok(review["response"].take())
}

fn admit_the_good_pod(stage: &Stage) -> Result<()> {
    heading("A good pod is admitted, with what it left out written in")?;
    let response = ask(stage, "/mutate", &reviews::review(&reviews::good_pod(), None, None))?;
    let patch = written_in(&response)?;
    for operation in patch.as_array().context("the patch is not a list")? {
        println!(
            "  {:7} {} {}",
            operation["op"].as_str().unwrap_or_default(),
            operation["path"].as_str().unwrap_or_default(),
            operation["value"]
        );
    }
    let mut pod = reviews::good_pod();
    patch_as_the_api_server_does(&mut pod, &patch)?;
    let response = ask(stage, "/validate", &reviews::review(&pod, None, None))?;
    println!("  allowed, under {}", admitted(&response)?);
    Ok(())
}

/// The patch of `/mutate`, which must write everything that the good pod leaves out.
pub(crate) fn written_in(response: &Value) -> Result<Value> {
    ensure!(response["allowed"] == true, "the good pod was refused by /mutate: {response}");
    let patch = response["patch"].as_str().context("no patch came back")?;
    let patch = base64::engine::general_purpose::STANDARD.decode(patch).context("the patch is not base64")?;
    let patch: Value = serde_json::from_slice(&patch).context("the patch is not JSON")?;
    let written = patch.to_string();
    for part in ["gvisor", "RuntimeDefault", "automountServiceAccountToken"] {
        ensure!(written.contains(part), "the patch does not write `{part}`: {written}");
    }
    Ok(patch)
}

/// The policies under which the good pod was admitted.
pub(crate) fn admitted(response: &Value) -> Result<&Value> {
    ensure!(response["allowed"] == true, "the good pod was refused: {response}");
    let under = &response["auditAnnotations"];
    ensure!(under.as_object().is_some_and(|under| !under.is_empty()), "admitted under no policy: {response}");
    Ok(under)
}

/// Applies the `add` and `replace` operations of a JSON Patch; the webhook adds no others to a new pod.
fn patch_as_the_api_server_does(object: &mut Value, patch: &Value) -> Result<()> {
    for operation in patch.as_array().context("the patch is not a list")? {
        let path = operation["path"].as_str().context("an operation has no path")?;
        let (parent, member) = path.rsplit_once('/').context("not a JSON Pointer")?;
        let parent = object.pointer_mut(parent).with_context(|| format!("`{parent}` is not there"))?;
        let parent = parent.as_object_mut().with_context(|| format!("`{path}` lies in no object"))?;
        let member = member.replace("~1", "/").replace("~0", "~");
        match operation["op"].as_str() {
            Some("add" | "replace") => parent.insert(member, operation["value"].clone()),
            other => bail!("a patch with `{}`", other.unwrap_or_default()),
        };
    }
    Ok(())
}

/// A pod or template that must be refused: the request, and what must be among the causes, namely the rule, the
/// field, and the beginning of the remedy.
pub(crate) struct Bad {
    pub(crate) what: &'static str,
    review: Vec<u8>,
    pub(crate) expected: [&'static str; 3],
}

pub(crate) fn bad_ones() -> [Bad; 4] {
    let (debugged, running) = reviews::debugged_pod();
    let create = |object: &Value| reviews::review(object, None, None);
    let privileged = "remove privileged, or set it to false";
    [
        Bad {
            what: "A privileged pod",
            review: create(&reviews::privileged_pod()),
            expected: ["podSecurity", "spec.containers[0].securityContext.privileged", privileged],
        },
        Bad {
            what: "A pod with a hostPath",
            review: create(&reviews::host_path_pod()),
            expected: ["podSecurity", "spec.volumes[0].hostPath", "use configMap"],
        },
        Bad {
            what: "A debugging container that escapes",
            review: reviews::review(&debugged, Some(&running), Some("ephemeralcontainers")),
            expected: ["podSecurity", "spec.ephemeralContainers[0].securityContext.privileged", privileged],
        },
        Bad {
            what: "A Deployment with the same faults",
            review: create(&reviews::bad_deployment()),
            expected: [
                "podSecurity",
                "spec.template.spec.containers[0].securityContext.privileged",
                privileged,
            ],
        },
    ]
}

fn refuse_the_bad_ones(stage: &Stage) -> Result<()> {
    for bad in bad_ones() {
        heading(&format!("{} is refused", bad.what))?;
        for line in refused(&ask(stage, "/validate", &bad.review)?, &bad)? {
            println!("{line}");
        }
    }
    Ok(())
}

/// A line for each cause of a denial. All must name their rule and a remedy, and one must be the expected cause.
pub(crate) fn refused(response: &Value, bad: &Bad) -> Result<Vec<String>> {
    ensure!(response["allowed"] == false, "{} was admitted", bad.what);
    let [rule, field, remedy] = bad.expected;
    let causes = response["status"]["details"]["causes"].as_array().context("a refusal without causes")?;
    let mut is_there = false;
    let mut lines = Vec::new();
    for cause in causes {
        let text = |member: &str| cause[member].as_str().unwrap_or_default();
        ensure!(!text("reason").is_empty(), "a cause without its rule: {cause}");
        let (message, help) = text("message")
            .split_once("; ")
            .with_context(|| format!("a cause that does not say what to do: {cause}"))?;
        lines.push(format!("  {}  {}\n      {message}\n      do: {help}", text("reason"), text("field")));
        is_there |= text("reason") == rule && text("field") == field && help.starts_with(remedy);
    }
    ensure!(is_there, "no cause is {rule} at {field} with `{remedy}`: {response}");
    Ok(lines)
}

/// Requests during a change: how many were sent, how many failed, and the last answer.
#[derive(Default)]
pub(crate) struct Tally {
    asked: AtomicU64,
    failed: AtomicU64,
    allowed: AtomicBool,
    stop: AtomicBool,
}

impl Tally {
    /// Counts an answer; whether it was one.
    pub(crate) fn count(&self, answer: Option<&Answer>) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = answer.filter(|answer| answer.status == 200);
        let verdict = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
        match verdict.and_then(|verdict| verdict["response"]["allowed"].as_bool()) {
            Some(allowed) => self.allowed.store(allowed, Ordering::Relaxed),
            None => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
        }
        self.failed.load(Ordering::Relaxed) == 0
    }

    /// Whether the change is in force, and no request failed until now.
    pub(crate) fn is_changed(&self) -> Result<bool> {
        let (asked, failed) = (self.asked.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        ensure!(failed == 0, "{failed} of {asked} requests failed during the change");
        Ok(self.allowed.load(Ordering::Relaxed))
    }
}

fn change_the_pack_under_load(stage: &Stage) -> Result<()> {
    heading("The pack changes while requests run")?;
    let review = reviews::review(&reviews::pod_with_memory("4Gi"), None, None);
    println!("  before: {}", under_the_ceiling(&ask(stage, "/validate", &review)?)?);
    let tally = Arc::new(Tally::default());
    let mut client = stage.client()?;
    let worker = std::thread::spawn({
        let tally = Arc::clone(&tally);
        move || {
            while !tally.stop.load(Ordering::Relaxed) {
                if !tally.count(client.post("/validate", &review).ok().as_ref()) {
                    return; // the connection is gone; one failure is a deviation already
                }
            }
        }
    });
    let changed = raise_the_ceiling(stage).and_then(|()| await_the_new_verdict(&tally));
    tally.stop.store(true, Ordering::Relaxed);
    if worker.join().is_err() {
        bail!("the thread of requests ended badly");
    }
    let took = changed?;
    ensure!(tally.is_changed()?, "the old verdict came back");
    println!(
        "  after {} ms: allowed; {} requests were asked meanwhile, 0 failed",
        took.as_millis(),
        tally.asked.load(Ordering::Relaxed)
    );
    Ok(())
}

/// Why the pod is refused before the change.
pub(crate) fn under_the_ceiling(response: &Value) -> Result<&str> {
    ensure!(response["allowed"] == false, "a pod of 4Gi was admitted under a ceiling of 2Gi");
    response["status"]["message"].as_str().context("a refusal without a message")
}

fn raise_the_ceiling(stage: &Stage) -> Result<()> {
    let pack = stage.path("packs/code-interpreter/pack.yaml");
    let text = std::fs::read_to_string(&pack)?;
    let changed = text.replace("default: 2Gi", "default: 4Gi");
    ensure!(changed != text, "the pack has no ceiling of 2Gi to raise");
    println!("  memoryCeiling: 2Gi -> 4Gi");
    std::fs::write(&pack, changed)?;
    build_bundle(stage).map(drop)
}

fn await_the_new_verdict(tally: &Tally) -> Result<Duration> {
    let begin = Instant::now();
    while !tally.is_changed()? {
        ensure!(begin.elapsed() < RELOAD, "the new bundle is not in force after {} s", RELOAD.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(begin.elapsed())
}

fn show_a_typo(stage: &Stage) -> Result<()> {
    heading("A typo in a pack")?;
    let pack = stage.path("packs/code-interpreter/pack.yaml");
    let text = std::fs::read_to_string(&pack)?;
    std::fs::write(&pack, text.replace("  isolation:", "  isolaton:"))?;
    println!("$ bailiwick check packs/code-interpreter");
    let output = stage.bailiwick(&["check", "packs/code-interpreter"])?;
    let shown =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{shown}");
    helped(output.status.code(), &shown)
}

/// Whether the typo was found, and its message names what was meant.
pub(crate) fn helped(code: Option<i32>, shown: &str) -> Result<()> {
    ensure!(code == Some(3), "`bailiwick check` ended with {code:?}");
    ensure!(shown.contains("isolaton") && shown.contains("`isolation`"), "the message does not help");
    Ok(())
}
