//! `bailiwick compile`: the artifacts of one effective policy, written or compared; or the lock of a pack.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::Compiled;
use bailiwick_compiler::diagnostic::has_errors;
use bailiwick_compiler::emit::{self, Artifacts, EmitOptions, WebhookClient};
use bailiwick_policy::bundle;
use serde_json::json;

use crate::args::{CompileOptions, Format, Require};
use crate::files;
use crate::load::{self, Loaded};
use crate::outcome::Outcome;
use crate::render;

pub(crate) fn run(options: &CompileOptions) -> Result<Outcome> {
    let loaded = Loaded::read_all(&options.packs.packs, options.packs.library.as_deref())?;
    if options.lock {
        return write_locks(&loaded, options);
    }
    let compiled = loaded.compile(&load::choices(&options.packs.bindings)?);
    load::draw_compiled(&loaded, &compiled);
    if compiled.failed() {
        return Ok(Outcome::Findings);
    }
    let policy = compiled.policy.context("the packs have no effective policy")?;
    let bundle = bundle::write(&policy)?;
    let digest = bundle::digest(&bundle);
    let artifacts = emit::artifacts(&policy, &digest, &emit_options(options)?)?;
    let gaps = options.require == Some(Require::NoGaps) && name_gaps(&artifacts);
    let outcome = match &options.check {
        Some(folder) => compare(&artifacts, folder)?,
        None => {
            let folder = options.out.join(&policy.cell);
            write(&artifacts, &folder)?;
            say(&artifacts, &folder, (&policy.cell, &digest), options.format)?;
            Outcome::Holds
        }
    };
    Ok(if gaps { Outcome::Findings } else { outcome })
}

fn emit_options(options: &CompileOptions) -> Result<EmitOptions> {
    let webhook = match &options.webhook_url {
        Some(url) => WebhookClient::Url(url.trim_end_matches('/').to_owned()),
        None => {
            let Some((namespace, name)) = options.webhook_service.split_once('/') else {
                bail!("`--webhook-service {}`: write NAMESPACE/NAME", options.webhook_service);
            };
            WebhookClient::Service { namespace: namespace.to_owned(), name: name.to_owned(), port: 443 }
        }
    };
    let ca_bundle = options.ca_bundle.as_deref().map(files::read).transpose()?;
    Ok(EmitOptions { namespaces: options.namespaces.clone(), webhook, ca_bundle, ..EmitOptions::default() })
}

/// Writes every artifact and removes what an earlier run left in the folder, so that a withdrawn control does not linger.
fn write(artifacts: &Artifacts, folder: &Path) -> Result<()> {
    for (path, artifact) in &artifacts.files {
        files::write(&folder.join(path), &artifact.bytes)?;
    }
    for path in files::list(folder)? {
        if !artifacts.files.keys().any(|ours| Path::new(ours) == path) {
            std::fs::remove_file(folder.join(&path))
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn say(artifacts: &Artifacts, folder: &Path, (cell, digest): (&str, &str), format: Format) -> Result<()> {
    match format {
        Format::Human => {
            anstream::println!(
                "{}: {} artifacts of policy {digest}",
                folder.display(),
                artifacts.files.len()
            );
            for (path, artifact) in &artifacts.files {
                anstream::println!("  {path:42} {:>7} bytes", artifact.bytes.len());
            }
        }
        Format::Json => {
            let paths: Vec<&String> = artifacts.files.keys().collect();
            let report = json!({
                "version": render::JSON_VERSION, "folder": folder, "cell": cell, "digest": digest, "artifacts": paths,
            });
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
    }
    Ok(())
}

/// Compares with a folder of artifacts and names each file that differs.
fn compare(artifacts: &Artifacts, folder: &Path) -> Result<Outcome> {
    let mut differ = BTreeSet::new();
    for (path, artifact) in &artifacts.files {
        let there = folder.join(path);
        if !there.is_file() {
            differ.insert(format!("missing  {path}"));
        } else if files::read(&there)? != artifact.bytes {
            differ.insert(format!("differs  {path}"));
        }
    }
    for path in files::list(folder)? {
        if !artifacts.files.keys().any(|ours| Path::new(ours) == path) {
            differ.insert(format!("too many {}", path.display()));
        }
    }
    for line in &differ {
        anstream::println!("{line}");
    }
    if differ.is_empty() {
        anstream::println!("{}: no drift", folder.display());
        return Ok(Outcome::Holds);
    }
    anstream::println!(
        "{}: {} files drifted; compile anew and look at the difference",
        folder.display(),
        differ.len()
    );
    Ok(Outcome::Findings)
}

/// Names the statements that no layer enforces fully; whether there are any.
fn name_gaps(artifacts: &Artifacts) -> bool {
    let gaps = &artifacts.report.gaps;
    for gap in gaps {
        anstream::eprintln!(
            "{}: no layer enforces {} fully: {}",
            render::error_word(),
            gap.statement,
            gap.why
        );
    }
    !gaps.is_empty()
}

fn write_locks(loaded: &Loaded, options: &CompileOptions) -> Result<Outcome> {
    for (path, pack) in options.packs.packs.iter().zip(&loaded.packs) {
        if !path.is_dir() {
            bail!("{} is a single file; a lock lies in the folder of a pack", path.display());
        }
        let (lock, diagnostics) = bailiwick_compiler::resolve::make_lock(&pack.sources, loaded.library());
        let failed = has_errors(&diagnostics);
        load::draw_compiled(loaded, &Compiled { policy: None, diagnostics: vec![diagnostics] });
        let Some(lock) = lock.filter(|_| !failed) else { return Ok(Outcome::Findings) };
        let file = path.join("pack.lock");
        files::write(&file, lock.as_bytes())?;
        anstream::println!("{} is written", file.display());
    }
    Ok(Outcome::Holds)
}
