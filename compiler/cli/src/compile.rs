//! `bailiwick compile`: writes or compares the artifacts of one effective policy, or writes the lock of a
//! pack.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::diagnostic::has_errors;
use bailiwick_compiler::emit::{self, Artifacts, EmitOptions, WebhookClient};
use bailiwick_compiler::{fragments, modules, resolve};
use bailiwick_policy::bundle;
use bailiwick_policy::policy::Policy;
use serde_json::json;

use crate::args::{CompileOptions, Format, Require};
use crate::files;
use crate::load::{self, Loaded};
use crate::outcome::Outcome;
use crate::plain::plain;
use crate::print::{note, out};
use crate::render;

/// Folders of `--out` that are searched for other versions of the same packs; a guard against the wrong
/// folder.
const MAX_FOLDERS: usize = 256;

/// Where the NetworkPolicies are written.
const NETWORK_POLICIES: &str = "kubernetes/network-policies.yaml";

/// The warning about NetworkPolicies that would land in whatever namespace kubectl uses by default.
const UNPLACED: &str = "the NetworkPolicies carry no namespace: compile with `--namespace NAME` for each that the pack governs, or apply them with \
                        `kubectl apply -n NAME`";

pub(crate) fn run(options: &CompileOptions) -> Result<Outcome> {
    let loaded = Loaded::read_all(&options.packs.packs, options.packs.library.as_deref())?
        .with_schemas(&options.packs.schemas)?;
    if options.lock {
        return write_locks(&loaded, options);
    }
    let choices = load::choices(&options.packs.bindings);
    choices.check_names(&loaded.packs)?;
    let compiled = loaded.compile(&choices);
    load::draw_compiled(&loaded, &compiled);
    if compiled.failed() {
        return Ok(Outcome::Findings);
    }
    if options.as_resource {
        return print_resources(&loaded);
    }
    let policy = compiled.policy.context("the packs have no effective policy")?;
    let bundle = bundle::write(&policy)?;
    let digest = bundle::digest(&bundle);
    let artifacts = emit::artifacts(&policy, &digest, &emit_options(options, &loaded)?)?;
    let gaps = options.require == Some(Require::NoGaps) && name_gaps(&artifacts);
    let outcome = match &options.check {
        Some(folder) => compare(&artifacts, folder, options.format)?,
        None => {
            let folder = options.out.join(&policy.cell);
            write(&artifacts, &folder)?;
            // First what may need action: a reader that takes only the first lines of the list ends the
            // program.
            if options.namespaces.is_empty() && artifacts.files.contains_key(NETWORK_POLICIES) {
                note!("note: {UNPLACED}");
            }
            tell_of_others(&options.out, &policy);
            say(&artifacts, &folder, (&policy.cell, &digest), options.format)?;
            Outcome::Holds
        }
    };
    Ok(if gaps { Outcome::Findings } else { outcome })
}

/// One JSON document after another, as `kubectl apply -f -` reads them.
fn print_resources(loaded: &Loaded) -> Result<Outcome> {
    for pack in &loaded.packs {
        let object = modules::as_resource(&pack.sources).context("the pack cannot be read")?;
        out!("{}", serde_json::to_string_pretty(&object)?);
    }
    Ok(Outcome::Holds)
}

fn emit_options(options: &CompileOptions, loaded: &Loaded) -> Result<EmitOptions> {
    let webhook = match &options.webhook_url {
        Some(url) => WebhookClient::Url(url.trim_end_matches('/').to_owned()),
        None => {
            let (namespace, name) = options.webhook_service.clone();
            WebhookClient::Service { namespace, name, port: 443 }
        }
    };
    let ca_bundle = options.ca_bundle.as_deref().map(files::read).transpose()?;
    let first = loaded.packs.first();
    let pack = first.and_then(|pack| fragments::identity(&pack.sources)).map(|(name, _)| name);
    let namespaces = options.namespaces.clone();
    Ok(EmitOptions { namespaces, pack, webhook, ca_bundle, ..EmitOptions::default() })
}

/// Removes what an earlier run left in the folder, so that a withdrawn control does not linger, then writes
/// every artifact. In this order, because a link in the place of one of our folders leads somewhere else.
fn write(artifacts: &Artifacts, folder: &Path) -> Result<()> {
    let there = if folder.is_dir() { files::list(folder)? } else { Vec::new() };
    for path in there {
        if !artifacts.files.keys().any(|ours| Path::new(ours) == path) {
            std::fs::remove_file(folder.join(&path))
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    for (path, artifact) in &artifacts.files {
        files::write(&folder.join(path), &artifact.bytes)?;
    }
    Ok(())
}

/// Names the folders next to this one that hold the same packs under another version or with other bindings.
/// What was applied from them is still in force, and its NetworkPolicies add to what the new ones allow.
fn tell_of_others(out: &Path, policy: &Policy) {
    let names = |policy: &Policy| policy.packs.iter().map(|pack| pack.name.clone()).collect::<BTreeSet<_>>();
    let ours = names(policy);
    let mut folders: Vec<_> =
        std::fs::read_dir(out).into_iter().flatten().flatten().map(|one| one.path()).collect();
    folders.sort();
    for folder in folders.into_iter().take(MAX_FOLDERS) {
        let Some(other) =
            files::read(&folder.join("bundle.json")).ok().and_then(|bytes| bundle::load(&bytes).ok())
        else {
            continue;
        };
        if other.policy.cell != policy.cell && names(&other.policy) == ours {
            let cell = plain(&other.policy.cell);
            note!(
                "note: {} holds the same packs as another cell; what was applied of it stays in force until it is deleted, by its label \
                 bailiwick.dev/cell={cell} (docs/guide/first-pack.md)",
                plain(&folder.display().to_string())
            );
        }
    }
}

fn say(artifacts: &Artifacts, folder: &Path, (cell, digest): (&str, &str), format: Format) -> Result<()> {
    match format {
        Format::Human => {
            out!("{}: {} artifacts of policy {digest}", folder.display(), artifacts.files.len());
            for (path, artifact) in &artifacts.files {
                out!("  {path:42} {:>7} bytes", artifact.bytes.len());
            }
        }
        Format::Json => {
            let paths: Vec<&String> = artifacts.files.keys().collect();
            let report = json!({
                "version": render::JSON_VERSION, "folder": folder, "cell": cell, "digest": digest, "artifacts": paths,
            });
            out!("{}", serde_json::to_string_pretty(&report)?);
        }
    }
    Ok(())
}

/// Compares with a folder of artifacts and names each file that differs.
fn compare(artifacts: &Artifacts, folder: &Path, format: Format) -> Result<Outcome> {
    let mut differ = BTreeSet::new();
    for (path, artifact) in &artifacts.files {
        let there = folder.join(path);
        if !there.is_file() {
            differ.insert(("missing", path.clone()));
        } else if files::read(&there)? != artifact.bytes {
            differ.insert(("differs", path.clone()));
        }
    }
    for path in files::list(folder)? {
        if !artifacts.files.keys().any(|ours| Path::new(ours) == path) {
            differ.insert(("surplus", path.display().to_string()));
        }
    }
    let drifted = !differ.is_empty();
    if format == Format::Json {
        let drift: Vec<_> = differ.iter().map(|(how, path)| json!({"path": path, "how": how})).collect();
        let report = json!({"version": render::JSON_VERSION, "folder": folder, "drift": drift});
        out!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        for (how, path) in &differ {
            out!("{how:8} {path}");
        }
        match differ.len() {
            0 => out!("{}: no drift", folder.display()),
            count => {
                out!("{}: {count} files drifted; compile anew and look at the difference", folder.display())
            }
        }
    }
    Ok(if drifted { Outcome::Findings } else { Outcome::Holds })
}

/// Names the statements that no layer enforces fully; returns whether there are any.
fn name_gaps(artifacts: &Artifacts) -> bool {
    let gaps = &artifacts.report.gaps;
    for gap in gaps {
        let said = plain(&format!("no layer enforces {} fully: {}", gap.statement, gap.why));
        note!("{}: {said}", render::error_word());
    }
    !gaps.is_empty()
}

fn write_locks(loaded: &Loaded, options: &CompileOptions) -> Result<Outcome> {
    let mut written = Vec::new();
    for (path, pack) in options.packs.packs.iter().zip(&loaded.packs) {
        if !path.is_dir() {
            bail!("{} is a single file; a lock lies in the folder of a pack", path.display());
        }
        let (lock, diagnostics, taken) = resolve::make_lock(&pack.sources, loaded.library());
        let failed = has_errors(&diagnostics);
        load::draw_findings(loaded.findings_of(pack, &diagnostics, &taken));
        let Some(lock) = lock.filter(|_| !failed) else { return Ok(Outcome::Findings) };
        let file = path.join("pack.lock");
        files::write(&file, lock.as_bytes())?;
        written.push(file);
    }
    match options.format {
        Format::Human => written.iter().for_each(|file| out!("{} is written", file.display())),
        Format::Json => {
            let report = json!({"version": render::JSON_VERSION, "locks": written});
            out!("{}", serde_json::to_string_pretty(&report)?);
        }
    }
    Ok(Outcome::Holds)
}
