//! The supported requests, each answered from the current text.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use lsp_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, CompletionList, CompletionParams,
    CreateFile, CreateFileOptions, DocumentChangeOperation, DocumentChanges, GotoDefinitionParams, Hover,
    HoverContents, HoverParams, Location, MarkupContent, MarkupKind, NumberOrString, OneOf,
    OptionalVersionedTextDocumentIdentifier, Position, Range, ReferenceParams, ResourceOp, TextDocumentEdit,
    TextDocumentPositionParams, TextEdit, Uri, WorkspaceEdit,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::analysis::Analysis;
use crate::definition::{self, Target};
use crate::documents::Document;
use crate::fixes::{Fix, fixes};
use crate::rpc::Refusal;
use crate::view::{Source, View};
use crate::{complete, hover, paths};

/// The input of a request.
#[derive(Clone, Debug)]
pub struct Look {
    /// The document.
    pub document: Document,
    /// Its outline and text.
    pub source: Arc<Source>,
    /// The files of its pack, including the document.
    pub view: View,
    /// The compiler's last analysis of the pack.
    pub analysis: Option<Arc<Analysis>>,
}

/// Provides what requests need.
pub trait Desk {
    /// The input for a document; `None` if it is not open, too large, or not part of a pack.
    fn look(&mut self, uri: &Uri) -> Option<Look>;
    /// Whether the editor can create a file.
    fn makes_files(&self) -> bool;
}

/// Answers a request.
///
/// # Errors
/// The method is unknown, or its parameters are wrong.
pub fn answer(method: &str, params: Json, desk: &mut dyn Desk) -> Result<Json, Refusal> {
    match method {
        "textDocument/completion" => with(params, |params| completion(&params, desk)),
        "textDocument/hover" => with(params, |params| hovered(&params, desk)),
        "textDocument/definition" => with(params, |params| defined(&params, desk)),
        "textDocument/references" => with(params, |params| referred(&params, desk)),
        "textDocument/codeAction" => with(params, |params| actions(&params, desk)),
        other => Err(Refusal::new(Refusal::UNKNOWN_METHOD, format!("no method `{other}`"))),
    }
}

/// Reads parameters.
///
/// # Errors
/// They do not fit the method.
pub fn parameters<P: DeserializeOwned>(params: Json) -> Result<P, Refusal> {
    serde_json::from_value(params).map_err(|error| Refusal::new(Refusal::INVALID_PARAMS, error.to_string()))
}

fn with<P: DeserializeOwned, R: Serialize>(
    params: Json,
    answer: impl FnOnce(P) -> R,
) -> Result<Json, Refusal> {
    let answered = answer(parameters(params)?);
    serde_json::to_value(answered).map_err(|error| Refusal::new(Refusal::INTERNAL, error.to_string()))
}

fn at(place: &TextDocumentPositionParams, desk: &mut dyn Desk) -> Option<(Look, usize)> {
    let look = desk.look(&place.text_document.uri)?;
    let offset = look.document.lines.offset(&look.document.text, place.position);
    Some((look, offset))
}

fn completion(params: &CompletionParams, desk: &mut dyn Desk) -> Option<CompletionList> {
    let (look, offset) = at(&params.text_document_position, desk)?;
    let language = look.source.language?;
    // The document itself is read with the mark at the cursor.
    let mut others = look.view.clone();
    others.sources.retain(|source| source.path != look.source.path);
    let Document { text, lines, .. } = &look.document;
    let items = complete::items(text, lines, offset, language, &others);
    Some(CompletionList { is_incomplete: false, items })
}

fn hovered(params: &HoverParams, desk: &mut dyn Desk) -> Option<Hover> {
    let (look, offset) = at(&params.text_document_position_params, desk)?;
    // What lines compile to is known only for the text that was compiled.
    let current = look
        .analysis
        .as_deref()
        .filter(|analysis| analysis.versions.get(&look.source.path) == Some(&look.document.version));
    let (value, bytes) = hover::hover(&look.source, offset, &look.view, current)?;
    Some(Hover {
        contents: HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value }),
        range: Some(look.source.lines.span(&look.source.text, &bytes)),
    })
}

fn defined(params: &GotoDefinitionParams, desk: &mut dyn Desk) -> Option<Vec<Location>> {
    let (look, offset) = at(&params.text_document_position_params, desk)?;
    Some(locations(&definition::definitions(&look.source, offset, &look.view), &look.view))
}

fn referred(params: &ReferenceParams, desk: &mut dyn Desk) -> Option<Vec<Location>> {
    let (look, offset) = at(&params.text_document_position, desk)?;
    let with_declaration = params.context.include_declaration;
    let found = definition::references(&look.source, offset, &look.view, with_declaration);
    Some(locations(&found, &look.view))
}

fn locations(targets: &[Target], view: &View) -> Vec<Location> {
    let location = |target: &Target| {
        let source = view.sources.iter().find(|source| source.path == target.path);
        let range = source.map(|source| source.lines.span(&source.text, &target.bytes)).unwrap_or_default();
        Some(Location { uri: paths::uri(&target.path)?, range })
    };
    targets.iter().filter_map(location).collect()
}

fn actions(params: &CodeActionParams, desk: &mut dyn Desk) -> Option<Vec<CodeActionOrCommand>> {
    let wanted = params.context.only.as_ref();
    let is_wanted = |kind: &CodeActionKind| kind.as_str().is_empty() || *kind == CodeActionKind::QUICKFIX;
    if wanted.is_some_and(|kinds| !kinds.iter().any(is_wanted)) {
        return Some(Vec::new());
    }
    let look = desk.look(&params.text_document.uri)?;
    let analysis = look.analysis.as_deref()?;
    if analysis.versions.get(&look.source.path) != Some(&look.document.version) {
        // Its findings belong to an older text.
        return Some(Vec::new());
    }
    let touches = |range: &Range| range.start <= params.range.end && params.range.start <= range.end;
    let findings = analysis.findings.get(&look.source.path).into_iter().flatten();
    let mut found = Vec::new();
    for finding in findings.filter(|finding| touches(&finding.diagnostic.range)) {
        let code = match &finding.diagnostic.code {
            Some(NumberOrString::String(code)) => code.as_str(),
            _ => "",
        };
        for fix in fixes(&look.source, finding, code, analysis) {
            let Some(edit) = edit(&fix, &look.view, desk.makes_files()) else { continue };
            found.push(CodeActionOrCommand::CodeAction(CodeAction {
                title: fix.title,
                kind: Some(CodeActionKind::QUICKFIX),
                diagnostics: Some(vec![finding.diagnostic.clone()]),
                edit: Some(edit),
                is_preferred: Some(true),
                ..CodeAction::default()
            }));
        }
    }
    Some(found)
}

fn edit(fix: &Fix, view: &View, makes_files: bool) -> Option<WorkspaceEdit> {
    let uri = paths::uri(&fix.path)?;
    let source = view.sources.iter().find(|source| source.path == fix.path);
    let range = range(fix, source.map(|source| &**source));
    let edit = TextEdit { range, new_text: fix.text.clone() };
    if source.is_some() || !makes_files || is_there(&fix.path) {
        return Some(WorkspaceEdit {
            changes: Some(HashMap::from([(uri, vec![edit])])),
            ..WorkspaceEdit::default()
        });
    }
    let options = CreateFileOptions { overwrite: Some(false), ignore_if_exists: Some(true) };
    let create = CreateFile { uri: uri.clone(), options: Some(options), annotation_id: None };
    let change = TextDocumentEdit {
        text_document: OptionalVersionedTextDocumentIdentifier { uri, version: None },
        edits: vec![OneOf::Left(edit)],
    };
    let operations =
        vec![DocumentChangeOperation::Op(ResourceOp::Create(create)), DocumentChangeOperation::Edit(change)];
    Some(WorkspaceEdit {
        document_changes: Some(DocumentChanges::Operations(operations)),
        ..WorkspaceEdit::default()
    })
}

fn is_there(path: &Path) -> bool {
    path.is_file()
}

fn range(fix: &Fix, source: Option<&Source>) -> Range {
    match (source, &fix.bytes) {
        (Some(source), Some(bytes)) => source.lines.span(&source.text, bytes),
        (Some(source), None) => source.lines.span(&source.text, &(0..source.text.len())),
        (None, _) => Range { start: Position::default(), end: Position::default() },
    }
}
