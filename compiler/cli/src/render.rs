//! Diagnostics for a person, with the span drawn under its line, and for a program, as versioned JSON.
//!
//! Colours are always written, and `anstream` removes them where the output is not a terminal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use bailiwick_compiler::diagnostic::{Diagnostic, Place, Severity};
use bailiwick_compiler::source::SourceFile;
use serde::Serialize;

use crate::plain::plain;

/// Version of every JSON document that the commands print. A field may be added within a version; nothing
/// else changes.
pub(crate) const JSON_VERSION: u32 = 1;

/// Longest line that is drawn, in bytes. For a longer one (a pack written on one line, a hostile one) only
/// the place is given.
const MAX_DRAWN_LINE: usize = 400;

/// The texts that places point into: those of the pack under compilation, and those of the packs that it
/// extends, by name.
#[derive(Debug, Default)]
pub(crate) struct Texts(BTreeMap<Option<String>, Files>);

/// The files of one pack.
#[derive(Debug, Default)]
struct Files {
    /// The prefix of their names: the folder as the user named it.
    folder: String,
    /// Where the folder is.
    real: PathBuf,
    texts: BTreeMap<String, String>,
}

/// A place, for a reader that opens the file. Lines and columns count from 1, columns in characters; the end
/// is exclusive.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    /// Relative to the working folder if it is below it.
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) end_line: usize,
    pub(crate) end_column: usize,
}

impl Texts {
    /// Adds the files of a pack; `None` for the one under compilation. What is not UTF-8 is drawn with
    /// replacement characters, at the places that they shift to.
    pub(crate) fn insert<'f>(
        &mut self,
        pack: Option<String>,
        folder: impl Into<String>,
        real: &Path,
        files: impl IntoIterator<Item = &'f SourceFile>,
    ) {
        let text = |file: &SourceFile| String::from_utf8_lossy(&file.bytes).into_owned();
        let texts = files.into_iter().map(|file| (file.name.clone(), text(file))).collect();
        self.0.insert(pack, Files { folder: folder.into(), real: real.to_owned(), texts });
    }

    /// The text that a place of a pack points into, and its display name.
    fn get(&self, pack: &Option<String>, place: &Place) -> Option<(&str, String)> {
        let Files { folder, texts, .. } = self.0.get(pack)?;
        Some((texts.get(&place.file)?, shown(folder, &place.file)))
    }

    /// The location on disk of a place of a pack.
    pub(crate) fn location(&self, pack: &Option<String>, place: &Place) -> Option<Location> {
        let Files { real, texts, .. } = self.0.get(pack)?;
        let text = texts.get(&place.file)?;
        let (line, column) = line_and_column(text, place.bytes.start);
        let (end_line, end_column) = line_and_column(text, place.bytes.end);
        Some(Location { path: from_here(&real.join(&place.file)), line, column, end_line, end_column })
    }
}

/// The path relative to the working folder, if it is below it.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    below.unwrap_or_else(|| path.to_owned())
}

/// The word that begins an error of the program itself.
pub(crate) fn error_word() -> String {
    let style = anstyle_of(Severity::Error);
    format!("{style}error{style:#}")
}

fn anstyle_of(severity: Severity) -> clap::builder::styling::Style {
    use clap::builder::styling::{AnsiColor, Color, Style};
    let colour = match severity {
        Severity::Error => AnsiColor::BrightRed,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Note => AnsiColor::BrightGreen,
    };
    Style::new().bold().fg_color(Some(Color::Ansi(colour)))
}

/// One diagnostic as drawn text, ending in a line feed.
pub(crate) fn draw(diagnostic: &Diagnostic, texts: &Texts) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = match &diagnostic.pack {
        Some(pack) => format!("{} (in `{pack}`)", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let mut group = Group::with_title(level.primary_title(plain(&title)).id(diagnostic.code.id()));
    let field = plain(&diagnostic.at.to_string());
    match diagnostic.place.as_ref().and_then(|place| Some((place, texts.get(&diagnostic.pack, place)?))) {
        Some((place, (text, file))) if drawable(text, place) => {
            let span = clamp(text, place);
            group = group.element(
                Snippet::source(text)
                    .path(file)
                    .fold(true)
                    .annotation(AnnotationKind::Primary.span(span).label(field)),
            );
        }
        Some((place, (text, file))) => {
            let (line, column) = line_and_column(text, place.bytes.start);
            let what = if field.is_empty() { String::new() } else { format!(": {field}") };
            group = group.element(Level::NOTE.message(format!("at {file}:{line}:{column}{what}")));
        }
        None if !field.is_empty() => group = group.element(Level::NOTE.message(format!("at {field}"))),
        None => {}
    }
    for related in &diagnostic.related {
        let place = related.place.as_ref().and_then(|place| Some((place, texts.get(&related.pack, place)?)));
        group = match place {
            Some((place, (text, file))) if drawable(text, place) => {
                group.element(Snippet::source(text).path(file).fold(true).annotation(
                    AnnotationKind::Context.span(clamp(text, place)).label(plain(&related.message)),
                ))
            }
            _ => group.element(Level::NOTE.message(plain(&format!("{}: {}", related.at, related.message)))),
        };
    }
    group = group.element(Level::HELP.message(plain(&diagnostic.help)));
    let mut text = Renderer::styled().decor_style(DecorStyle::Ascii).render(&[group]);
    text.push('\n');
    text
}

fn shown(folder: &str, file: &str) -> String {
    plain(&if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") })
}

fn drawable(text: &str, place: &Place) -> bool {
    let span = clamp(text, place);
    let begin = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(span.end..).and_then(|after| after.find('\n')).map_or(text.len(), |at| span.end + at);
    text.get(begin..end).is_some_and(|lines| lines.split('\n').all(|line| line.len() <= MAX_DRAWN_LINE))
}

/// The span clamped to the text and to character boundaries, whatever a reader of broken text reported.
fn clamp(text: &str, place: &Place) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(place.bytes.start.min(text.len()));
    let end = text.ceil_char_boundary(place.bytes.end.clamp(start, text.len()));
    start..end
}

/// Line and column, from 1; columns count characters.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// A diagnostic in `--format json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsonDiagnostic {
    code: &'static str,
    severity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<String>,
    field: String,
    message: String,
    help: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<JsonPlace>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related: Vec<JsonRelated>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonPlace {
    file: String,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonRelated {
    field: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<JsonPlace>,
}

fn json_place(pack: &Option<String>, place: Option<&Place>, texts: &Texts) -> Option<JsonPlace> {
    let place = place?;
    let (text, file) = texts.get(pack, place)?;
    let (line, column) = line_and_column(text, place.bytes.start);
    let (end_line, end_column) = line_and_column(text, place.bytes.end);
    Some(JsonPlace { file, line, column, end_line, end_column })
}

/// One diagnostic for a program.
pub(crate) fn json(diagnostic: &Diagnostic, texts: &Texts) -> JsonDiagnostic {
    JsonDiagnostic {
        code: diagnostic.code.id(),
        severity: diagnostic.severity.to_string(),
        pack: diagnostic.pack.clone(),
        field: diagnostic.at.to_string(),
        message: diagnostic.message.clone(),
        help: diagnostic.help.clone(),
        place: json_place(&diagnostic.pack, diagnostic.place.as_ref(), texts),
        related: diagnostic
            .related
            .iter()
            .map(|related| JsonRelated {
                field: related.at.to_string(),
                message: related.message.clone(),
                place: json_place(&related.pack, related.place.as_ref(), texts),
            })
            .collect(),
    }
}
