//! The log: what it says about each call, that it verifies, and that a changed byte is found. Everything
//! shown here is read from the state directory alone.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use bailiwick_audit::{disclosed, fold};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::calls::Made;
use crate::heading;
use crate::stage::Stage;

/// The log's content about a call: the members of its records, and the opening of its result.
#[derive(Clone, Default)]
pub(crate) struct Story {
    pub(crate) numbers: Vec<u64>,
    pub(crate) effects: Vec<String>,
    pub(crate) rules: Vec<String>,
    pub(crate) signed_by: Option<String>,
    pub(crate) outcome: Value,
    pub(crate) usage: Value,
    pub(crate) printed: String,
}

/// Shows the log and compares it with what should have happened.
pub(crate) fn run(stage: &mut Stage, made: &[Made]) -> Result<()> {
    let key = stage.end_executor()?;
    heading("What the records say: who decided, and what stopped it")?;
    let stories = stories(stage)?;
    for call in made {
        let story = stories.get(&call.id).with_context(|| format!("no record of {}", call.text))?;
        println!("{}", told(call, story)?);
    }
    verify(stage, &key)?;
    change_a_byte(stage, &key)
}

/// What the records say of a call, which must be what should have happened.
pub(crate) fn told(call: &Made, story: &Story) -> Result<String> {
    let numbers: Vec<String> = story.numbers.iter().map(u64::to_string).collect();
    let mut said = format!(
        "\n  {}  {}\n      {} {}: {} by {}",
        call.tool,
        call.text.replace('\n', "; "),
        if numbers.len() == 1 { "record" } else { "records" },
        numbers.join(", "),
        story.effects.join(", then "),
        story.rules.join(", ")
    );
    if let Some(key) = &story.signed_by {
        said += &format!("\n      approved by the signature of key `{key}`");
    }
    let end = end(story);
    ensure!(end.contains(call.ends), "the record of `{}` says `{end}`, not `{}`", call.text, call.ends);
    let signed_by = story.signed_by.as_deref();
    ensure!(signed_by == call.signed_by, "the record of `{}` is signed by {signed_by:?}", call.text);
    Ok(said + "\n      " + &end)
}

/// The records of every call.
fn stories(stage: &Stage) -> Result<BTreeMap<String, Story>> {
    let dir = stage.path("state");
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    let folded = fold::<Infallible>(&dir, None, |record, behind| {
        let Some(call) = &record.call else { return Ok(()) };
        let story = stories.entry(call.clone()).or_default();
        story.numbers.push(record.seq);
        story.effects.extend(record.effect.clone());
        for rule in record.rules.iter().flat_map(|rules| rules.as_array().into_iter().flatten()) {
            let words = [&rule["pack"], &rule["rule"]].map(|word| word.as_str().unwrap_or_default());
            let name = words.join("/");
            // A limit that was not reached did not decide anything.
            if rule["outcome"] == "applied" && !story.rules.contains(&name) {
                story.rules.push(name);
            }
        }
        if let Some(key) = record.approval.as_ref().and_then(|said| said["key"].as_str()) {
            story.signed_by = Some(key.to_owned());
        }
        if let (Some(outcome), Some(usage)) = (&record.outcome, &record.usage) {
            (story.outcome, story.usage) = (outcome.clone(), usage.clone());
            let openings = disclosed(&dir, behind.segment, record.seq);
            let result = openings.into_iter().find(|opening| opening.field == "result");
            let result = result.and_then(|opening| opening.value().ok()).unwrap_or_default();
            let text =
                |name: &str| STANDARD.decode(result[name].as_str().unwrap_or_default()).unwrap_or_default();
            story.printed = String::from_utf8_lossy(&[text("stdout"), text("stderr")].concat()).into_owned();
        }
        Ok(())
    });
    folded.context("the log cannot be read back")?;
    for story in stories.values_mut().filter(|story| story.rules.is_empty()) {
        story.rules.push("the tool's `otherwise`".to_owned());
    }
    Ok(stories)
}

/// How a call ended, and which layer ended it.
fn end(story: &Story) -> String {
    let number = |name: &str| story.usage[name].as_u64().unwrap_or_default();
    let denied = |words: &str| story.printed.contains(words);
    match story.outcome["kind"].as_str() {
        None if story.effects == ["Deny"] => {
            format!("stopped by the policy: {} denied it, and nothing ran", story.rules.join(", "))
        }
        None => format!(
            "{} by {}, and no result is on record",
            story.effects.join(", then "),
            story.rules.join(", ")
        ),
        Some("Exited") if story.outcome["code"] == 0 => {
            format!("it ran to its end and printed `{}`", story.printed.trim_end())
        }
        Some("ProcessesExceeded") => {
            format!("stopped by the cgroup's limit of processes: {} forks refused", number("refusedForks"))
        }
        Some("MemoryExceeded") => {
            format!(
                "stopped by the cgroup's limit of memory: killed at {} MiB",
                number("peakMemoryBytes") >> 20
            )
        }
        Some("TimedOut") => format!("stopped by the executor's clock after {} ms", number("wallUs") / 1000),
        Some("CpuTimeExceeded") => {
            format!("stopped by the executor's clock after {} ms of CPU time", number("cpuUs") / 1000)
        }
        Some("Exited") if denied("Operation not permitted") => {
            "stopped by the system-call filter: no socket can be made".to_owned()
        }
        Some("Exited") if denied("No such file or directory") => {
            "stopped by the sandbox's file system: the file is not there".to_owned()
        }
        Some(kind) => format!("{kind}: {}", story.printed.lines().last().unwrap_or_default()),
    }
}

/// Runs the verifier; returns its exit code and its output.
fn verifier(stage: &Stage, key: &str) -> Result<(Option<i32>, String)> {
    println!("$ bailiwick audit verify state --log-key {key}");
    let output = stage.bailiwick(&["audit", "verify", "state", "--log-key", key])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code(), said))
}

fn verify(stage: &Stage, key: &str) -> Result<()> {
    heading("The log verifies")?;
    let (code, said) = verifier(stage, key)?;
    intact(code, &said)
}

/// Whether the verifier found every record as it was written.
pub(crate) fn intact(code: Option<i32>, said: &str) -> Result<()> {
    ensure!(code == Some(0) && said.starts_with("intact"), "the log does not verify: {code:?}");
    Ok(())
}

/// Whether the verifier found the change, and where it is.
pub(crate) fn tampered(code: Option<i32>, said: &str, record: &str) -> Result<()> {
    ensure!(code == Some(4), "a changed log verifies: {code:?}");
    ensure!(said.contains(&format!("first bad record: {record} ")), "the verifier names another record");
    Ok(())
}

/// Changes one bit of a recorded denial.
fn change_a_byte(stage: &Stage, key: &str) -> Result<()> {
    heading("One byte of it is changed")?;
    let mut segments: Vec<PathBuf> =
        fs::read_dir(stage.path("state/segments"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    segments.sort();
    for segment in segments {
        let text = fs::read_to_string(&segment)?;
        let word = "\"effect\":\"Deny\"";
        let Some((before, _)) = text.split_once(word) else { continue };
        let record = before.lines().last().and_then(|line| line.split([':', ',']).nth(1)).unwrap_or_default();
        let mut bytes = text.clone().into_bytes();
        let at = before.len() + word.len() - "Deny\"".len();
        let byte = bytes.get_mut(at).context("the record is cut")?;
        *byte ^= 1;
        fs::write(&segment, bytes)?;
        println!("  record {record}: {word} becomes \"effect\":\"Eeny\"");
        let (code, said) = verifier(stage, key)?;
        return tampered(code, &said, record);
    }
    bail!("no denial is on record")
}
