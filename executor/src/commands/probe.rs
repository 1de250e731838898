//! `probe`: which of a policy's sandboxes this machine can enforce, and what would be refused here.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use bailiwick_policy::bundle;
use bailiwick_policy::policy::sandboxes::Sandbox;
use bailiwick_sys::probe::{Missing, Refusal};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Outcome;
use crate::confine::profile;
use crate::executor::read_bundle;
use crate::host::Host;
use crate::warm::Sandboxes;

/// What helps where this machine makes sandboxes, but not this one.
const STEP_NAMED: &str = "what the refused step needs; its error is the kernel's";

/// Say what this machine can enforce, and what of a policy it would refuse. Exit code 4 if it refuses anything.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  bailiwick-executor probe --bundle dist/*/bundle.json")]
pub struct Probe {
    /// The compiled policy whose sandboxes are tried; without it only the machine is looked at
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Write the answer as JSON to a file as well: in a pod to the container's termination log, from where it comes into the pod's status
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs; the form is versioned.
    Json,
}

/// What became of one sandbox.
struct Tried {
    name: String,
    refused: Option<Unavailable>,
}

/// Why a sandbox cannot be had here, and the setting that helps.
struct Unavailable {
    why: String,
    remedy: String,
}

pub(super) fn probe(probe: &Probe) -> anyhow::Result<Outcome> {
    let host = Host::look()?;
    let bundle = probe.bundle.as_deref().map(|path| read_bundle(path, None)).transpose()?;
    let tried: Vec<Tried> = bundle.iter().flat_map(|bundle| try_all(bundle, &host)).collect();
    let answer =
        serde_json::to_string_pretty(&answer(&host, &tried)).context("the answer has no JSON form")?;
    if let Some(report) = &probe.report {
        fs::write(report, &answer).with_context(|| format!("cannot write `{}`", report.display()))?;
    }
    match probe.format {
        Format::Human => human(&host, &tried),
        Format::Json => println!("{answer}"),
    }
    let refused = tried.iter().any(|tried| tried.refused.is_some());
    Ok(if refused { Outcome::Denied } else { Outcome::Holds })
}

fn answer(host: &Host, tried: &[Tried]) -> Value {
    let sandboxes: Vec<_> = tried
        .iter()
        .map(|Tried { name, refused }| {
            let (why, remedy) = refused.as_ref().map(|it| (&it.why, &it.remedy)).unzip();
            json!({ "name": name, "refused": why, "remedy": remedy })
        })
        .collect();
    let found = host.found();
    json!({
        "version": 1,
        "tier": found.tier,
        "kernel": found.kernel,
        "cgroup": found.cgroup,
        "cgroupRefused": found.refusal(Missing::Cgroup).map(|refusal| &refusal.why),
        "ownProc": found.own_proc,
        "landlock": found.landlock,
        "refusals": found.refusals,
        "sandboxes": sandboxes,
    })
}

/// Builds each sandbox that calls run in, once: a probe that only reads settings would promise what the kernel then refuses.
fn try_all(bundle: &bundle::Bundle, host: &Host) -> Vec<Tried> {
    bundle
        .policy
        .used_sandboxes()
        .into_iter()
        .map(|sandbox| Tried { name: sandbox.name.clone(), refused: try_one(sandbox, host).err() })
        .collect()
}

fn try_one(sandbox: &Sandbox, host: &Host) -> Result<(), Unavailable> {
    profile(sandbox, host)
        .map_err(|refused| Unavailable { why: refused.to_string(), remedy: refused.remedy() })?;
    // The policy requires nothing that is missing here, so a failure to build it is the machine's.
    let unbuilt = |why: String| {
        let (_, remedy) = host.refusal(Missing::Sandboxes);
        let known = !remedy.is_empty();
        Unavailable { why, remedy: if known { remedy } else { STEP_NAMED.to_owned() } }
    };
    let one = std::slice::from_ref(sandbox);
    let size = sandbox.filesystem.workspace.as_ref().map_or(0, |workspace| workspace.size_bytes);
    let built = Sandboxes::start(host.clone(), one, 0, size).map_err(|error| unbuilt(error.to_string()))?;
    let mut home = crate::warm::Home::default();
    built.lease(&sandbox.name, &mut home).map(drop).map_err(|error| unbuilt(error.to_string()))
}

fn human(host: &Host, tried: &[Tried]) {
    let found = host.found();
    println!("tier: {:?}", found.tier);
    match found.cgroup {
        Some(version) => {
            println!("cgroup: {version:?}, memory, processes and CPUs are limited for a sandbox as a whole")
        }
        None => println!("cgroup: none"),
    }
    println!("own /proc: {}", if found.own_proc { "yes" } else { "no" });
    match found.landlock {
        Some(version) => println!("Landlock: version {version}"),
        None => println!("Landlock: no"),
    }
    for Refusal { what, why, remedy } in &found.refusals {
        println!("missing: {what:?} ({why})\n  remedy: {remedy}");
    }
    for Tried { name, refused } in tried {
        match refused {
            None => println!("sandbox {name}: built and torn down"),
            Some(Unavailable { why, remedy }) => {
                println!("sandbox {name}: refused\n  {why}\n  remedy: {remedy}");
            }
        }
    }
}
