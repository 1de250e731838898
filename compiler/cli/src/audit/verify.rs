//! `bailiwick audit verify`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bailiwick_audit::{Damage, Known, Report, Status, note, verify};
use serde_json::json;

use super::{json_line, shown};
use crate::args::Format;
use crate::args::audit::AuditVerifyOptions;
use crate::files;
use crate::outcome::Outcome;
use crate::print::out;
use crate::render::JSON_VERSION;

pub(crate) fn run(options: &AuditVerifyOptions) -> Result<Outcome> {
    if !options.dir.join("segments").is_dir() {
        bail!("{} is not an audit log: it has no folder `segments`", options.dir.display());
    }
    let report = verify(&options.dir, &known(options)?)?;
    match options.format {
        Format::Json => out!("{}", json_line(&as_json(&report))?),
        Format::Human => print(&report),
    }
    Ok(match report.status {
        Status::Intact => Outcome::Holds,
        Status::Tampered => Outcome::Tampered,
        Status::Incomplete => Outcome::Incomplete,
    })
}

/// A key that is known from elsewhere.
pub(crate) fn known_key(key: Option<&str>) -> Result<Known> {
    let mut known = Known::default();
    if let Some(key) = key {
        let text = if Path::new(key).is_file() { read(key)? } else { key.to_owned() };
        let key = note::parse_verifier_key(&text)
            .with_context(|| format!("cannot use the log key `{}`", shown(key)))?;
        known.log_key = Some(key);
    }
    Ok(known)
}

/// What the arguments say is known from elsewhere.
fn known(options: &AuditVerifyOptions) -> Result<Known> {
    let mut known = known_key(options.log_key.as_deref())?;
    for pinned in &options.pinned {
        match pinned.parse() {
            Ok(log) if known.log.is_some_and(|other| other != log) => bail!("two log ids are given"),
            Ok(log) => known.log = Some(log),
            Err(_) => {
                let note = read(pinned)?;
                note::Checkpoint::parse(&note).with_context(|| format!("cannot use {pinned}"))?;
                known.checkpoints.push(note);
            }
        }
    }
    Ok(known)
}

fn read(path: &str) -> Result<String> {
    String::from_utf8(files::read(Path::new(path))?).with_context(|| format!("{path} is not UTF-8"))
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Intact => "intact",
        Status::Incomplete => "incomplete",
        Status::Tampered => "tampered",
    }
}

fn print(report: &Report) {
    out!("{}", word(report.status));
    if let Some(damage) = &report.damage {
        let Damage { kind, seq, segment, offset } = damage;
        out!("  first bad record: {seq} (segment {segment}, offset {offset})");
        out!("  damage: {}: {}", kind.name(), shown(&kind.to_string()));
    }
    for remark in &report.remarks {
        out!("  {}", shown(remark));
    }
    if let Some(log) = report.log {
        out!("  log {log}, writer {}", report.epoch);
    }
    if let Some(key) = &report.log_key {
        out!("  first key {}", shown(key));
    }
    out!("  {} records, {} of them under the last checkpoint", report.records, report.covered);
    out!("  root {}", report.root);
    if report.lost > 0 {
        out!("  {} calls whose result was lost", report.lost);
    }
    out!("  {} values can be shown, {} can not any more", report.opened, report.unopened);
}

/// Damage, for a program.
pub(super) fn damage_json(damage: &Damage) -> serde_json::Value {
    json!({"kind": damage.kind.name(), "message": damage.kind.to_string(), "seq": damage.seq,
           "segment": damage.segment, "offset": damage.offset})
}

fn as_json(report: &Report) -> serde_json::Value {
    let damage = report.damage.as_ref().map(damage_json);
    json!({
        "version": JSON_VERSION, "status": word(report.status), "damage": damage, "remarks": report.remarks,
        "log": report.log, "logKey": report.log_key, "records": report.records, "covered": report.covered,
        "root": report.root, "epoch": report.epoch, "sealed": report.is_sealed, "open": report.open,
        "lost": report.lost, "tails": report.tails, "opened": report.opened, "unopened": report.unopened,
    })
}
