//! `bailiwick audit prove` and `check-proof`: single records of a log, for whoever has a checkpoint of it and must not
//! see the rest.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bailiwick_audit::Proof;
use bailiwick_audit::note::{self, Checkpoint};

use super::{inspect, json_line, known_key, shown};
use crate::args::audit::{AuditCheckProofOptions, AuditProveOptions};
use crate::files;
use crate::outcome::Outcome;
use crate::print::out;

pub(crate) fn prove(options: &AuditProveOptions) -> Result<Outcome> {
    let checkpoint = checkpoint(&options.checkpoint)?;
    let (found, damage) = inspect::find(&options.dir, &options.what)?;
    if found.is_empty() {
        if let Some(damage) = damage {
            let damage = shown(&damage.to_string());
            bail!("the log is damaged before `{}` was found: {damage}", shown(&options.what));
        }
        bail!("the log has no call and no record `{}`", shown(&options.what));
    }
    let seqs: Vec<u64> = found.iter().map(|found| found.record.seq).collect();
    for proof in bailiwick_audit::prove(&options.dir, &seqs, &checkpoint)? {
        out!("{}", json_line(&proof)?);
    }
    Ok(Outcome::Holds)
}

pub(crate) fn check(options: &AuditCheckProofOptions) -> Result<Outcome> {
    let checkpoint = checkpoint(&options.checkpoint)?;
    let key = known_key(options.log_key.as_deref())?.log_key;
    let text = read(&options.proof)?;
    let is_proof = || format!("{} is not what `prove` prints", options.proof.display());
    let proofs: Vec<Proof> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().with_context(is_proof)?;
    if proofs.is_empty() {
        bail!(is_proof());
    }
    if let Some(key) = &key
        && let Err(error) = note::verify(&read(&options.checkpoint)?, &checkpoint.origin, key)
    {
        out!("nothing is proven: the checkpoint: {}", shown(&error.to_string()));
        return Ok(Outcome::Tampered);
    }
    for proof in proofs {
        let record = match proof.check(&checkpoint) {
            Ok(record) => record,
            Err(error) => {
                out!("record {} is not proven: {}", proof.seq, shown(&error.to_string()));
                return Ok(Outcome::Tampered);
            }
        };
        out!("among the first {} records of {}:", proof.size, shown(&proof.origin));
        inspect::show(None, &record, proof.openings);
    }
    if key.is_none() {
        out!("who signed the checkpoint was not checked: give --log-key");
    }
    Ok(Outcome::Holds)
}

fn checkpoint(path: &Path) -> Result<Checkpoint> {
    Checkpoint::parse(&read(path)?).with_context(|| format!("cannot use {}", path.display()))
}

fn read(path: &Path) -> Result<String> {
    String::from_utf8(files::read(path)?).with_context(|| format!("{} is not UTF-8", path.display()))
}
