//! `bailiwick explain`: the page of a diagnostic code, a rule of some packs, or with `--effective` every
//! statement of their effective policy. Each statement comes with its origin and the layers that enforce it.
//! With `--call`, `--review` or `--log`, it takes a decision apart.
//!
//! The statements are those of the enforcement report, so that explanation and report agree.

mod call;
mod decision;
mod parts;
mod recorded;
mod review;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bailiwick_compiler::check;
use bailiwick_compiler::diagnostic::FieldPath;
use bailiwick_compiler::emit::{self, EmitOptions, Enforcement, Statement};
use bailiwick_compiler::nearest;
use bailiwick_policy::bundle;
use serde::Serialize;
use serde_json::json;

use crate::args::{ExplainOptions, Format};
use crate::effective::Effective;
use crate::load::{self, Loaded};
use crate::outcome::Outcome;
use crate::places::{Places, dedented, shown};
use crate::plain::plain;
use crate::print::out;
use crate::render::JSON_VERSION;

/// Most lines shown of a rule's text.
const MAX_LINES: usize = 40;

/// The statements that are explained.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    version: u32,
    packs: Vec<String>,
    statements: Vec<Said>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    id: String,
    says: String,
    from: Vec<Origin>,
    enforced: Enforcement,
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize)]
struct Layer {
    layer: String,
    enforcement: Enforcement,
    note: String,
}

/// A field of a pack, with its place if the pack's text is available.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Origin {
    pack: String,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip)]
    text: Option<String>,
}

pub(crate) fn run(options: &ExplainOptions) -> Result<Outcome> {
    if options.call.is_some() || options.review.is_some() || options.log.is_some() {
        return decision(options);
    }
    if options.effective {
        return policy(None, &options.words, options);
    }
    match options.words.split_first() {
        Some((word, [])) => code(word, options.format),
        Some((rule, packs)) => policy(Some(rule), packs, options),
        None => bail!("name a diagnostic code, or a rule and a pack, or `--effective` and a pack"),
    }
}

/// Takes a decision of packs apart.
fn decision(options: &ExplainOptions) -> Result<Outcome> {
    let packs: Vec<PathBuf> = options.words.iter().map(PathBuf::from).collect();
    let choices = load::choices(&options.bindings);
    let Some(effective) = Effective::read(&packs, options.library.as_deref(), &choices)? else {
        return Ok(Outcome::Findings);
    };
    match (&options.call, &options.review, &options.log, options.record) {
        (Some(call), ..) => call::run(call, &effective, options.format),
        (None, Some(file), ..) => review::run(file, &effective, options),
        (None, None, Some(log), Some(seq)) => recorded::run(log, seq, &effective, options),
        _ => bail!("name the record that is to be explained: `--record SEQ`"),
    }
}

fn code(word: &str, format: Format) -> Result<Outcome> {
    let Some(code) = check::code(word) else {
        let near = check::codes()
            .map(|code| code.id())
            .filter(|id| id.get(..4) == word.to_ascii_uppercase().get(..4));
        let near: Vec<_> = near.collect();
        if near.is_empty() {
            bail!(
                "no diagnostic `{word}`; codes look like BW0104, and docs/diagnostics.md lists them. A rule is explained with its pack: \
                 `bailiwick explain {word} PACK`"
            );
        }
        bail!("no diagnostic `{word}`; there are {}", near.join(", "));
    };
    match format {
        Format::Human => {
            out!(
                "{}[{}]: {}\n\n{}",
                code.severity(),
                code.id(),
                code.title(),
                code.documentation().trim_end()
            );
        }
        Format::Json => {
            let page = json!({
                "version": JSON_VERSION,
                "code": code.id(),
                "severity": code.severity().to_string(),
                "title": code.title(),
                "documentation": code.documentation(),
            });
            out!("{}", serde_json::to_string_pretty(&page)?);
        }
    }
    Ok(Outcome::Holds)
}

/// Explains one rule of the effective policy, or all of it.
fn policy(rule: Option<&String>, packs: &[String], options: &ExplainOptions) -> Result<Outcome> {
    if packs.is_empty() {
        bail!("name the packs whose effective policy is to be explained");
    }
    let packs: Vec<PathBuf> = packs.iter().map(PathBuf::from).collect();
    let loaded = Loaded::read_all(&packs, options.library.as_deref())?;
    let choices = load::choices(&options.bindings);
    choices.check_names(&loaded.packs)?;
    let compiled = loaded.compile(&choices);
    if compiled.failed() {
        load::draw_compiled(&loaded, &compiled);
        return Ok(Outcome::Findings);
    }
    let texts = loaded.places(&compiled);
    let policy = compiled.policy.context("the packs have no effective policy")?;
    let digest = bundle::digest(&bundle::write(&policy)?);
    let report = emit::artifacts(&policy, &digest, &EmitOptions::default())?.report;
    let meant = meant(&report.statements, rule);
    let statements: Vec<Said> = meant.into_iter().map(|one| said(one, &texts)).collect();
    if let Some(rule) = rule.filter(|_| statements.is_empty()) {
        let known: Vec<&str> = report.statements.iter().map(|statement| statement.id.as_str()).collect();
        let parts = known.iter().flat_map(|id| [*id].into_iter().chain(id.rsplit('/').next()));
        let near = nearest(rule, parts).map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
        bail!("no statement `{rule}` in the effective policy{near}; there are {}", known.join(", "));
    }
    let explained = Explained { version: JSON_VERSION, packs: report.packs, statements };
    match options.format {
        Format::Json => out!("{}", serde_json::to_string_pretty(&explained)?),
        Format::Human => {
            out!("effective policy of {}", explained.packs.join(", "));
            explained.statements.iter().for_each(|one| show(one, rule.is_some()));
        }
    }
    Ok(Outcome::Holds)
}

/// The statements with this id or with an id that begins with it (`network`); if there are none, those whose
/// id ends with it (`memory-limits`).
fn meant<'s>(all: &'s [Statement], rule: Option<&String>) -> Vec<&'s Statement> {
    let Some(rule) = rule else { return all.iter().collect() };
    let by = |is_meant: &dyn Fn(&str) -> bool| -> Vec<&'s Statement> {
        all.iter().filter(|statement| is_meant(&statement.id)).collect()
    };
    let section = by(&|id| id == rule || id.starts_with(&format!("{rule}/")));
    if section.is_empty() { by(&|id| id.split('/').any(|part| part == rule)) } else { section }
}

fn said(statement: &Statement, texts: &BTreeMap<String, Places>) -> Said {
    let origins = statement.from.iter().map(|from| {
        let field = from.at.parse::<FieldPath>().ok();
        let places = texts.get(&from.pack);
        let place = field.as_ref().and_then(|field| places?.find(field, None));
        Origin {
            pack: from.pack.clone(),
            at: from.at.clone(),
            file: place.as_ref().map(|place| place.path.display().to_string()),
            line: place.as_ref().map(|place| place.line),
            column: place.map(|place| place.column),
            text: field.and_then(|field| places?.written(&field)),
        }
    });
    let layers = statement.layers.iter().map(|layer| Layer {
        layer: layer.layer.clone(),
        enforcement: layer.enforcement,
        note: layer.note.clone(),
    });
    Said {
        id: statement.id.clone(),
        says: statement.says.clone(),
        from: origins.collect(),
        enforced: statement.enforced,
        layers: layers.collect(),
    }
}

fn show(said: &Said, at_length: bool) {
    out!("\n{}", plain(&said.id));
    out!("  {}", plain(&said.says));
    for origin in &said.from {
        let place = match (&origin.file, origin.line, origin.column) {
            (Some(file), Some(line), Some(column)) => format!(" ({})", plain(&shown(file, line, column))),
            _ => String::new(),
        };
        out!("  from {} {}{place}", plain(&origin.pack), plain(&origin.at));
    }
    if !at_length {
        return;
    }
    for layer in &said.layers {
        let note = if layer.note.is_empty() { String::new() } else { format!(": {}", layer.note) };
        let how = match layer.enforcement {
            Enforcement::Full => "fully",
            Enforcement::Partial => "in part",
            Enforcement::None => "not",
        };
        out!("  enforced {how} by {}{}", layer.layer, plain(&note));
    }
    for origin in &said.from {
        let Some(text) = &origin.text else { continue };
        out!("");
        for line in dedented(text, origin.column.unwrap_or(1)).take(MAX_LINES) {
            out!("    {}", plain(line));
        }
    }
}
