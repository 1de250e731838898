//! The server's main loop: one thread reads, one compiles, and this one keeps the documents and answers.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use lsp_types::{
    CancelParams, CodeActionKind, CodeActionOptions, CodeActionProviderCapability, CompletionOptions,
    DidChangeTextDocumentParams, DidChangeWatchedFilesParams, DidCloseTextDocumentParams,
    DidOpenTextDocumentParams, DidSaveTextDocumentParams, HoverProviderCapability, InitializeParams,
    InitializeResult, OneOf, PositionEncodingKind, ServerCapabilities, ServerInfo,
    TextDocumentSyncCapability, TextDocumentSyncKind, TextDocumentSyncOptions, TextDocumentSyncSaveOptions,
    Uri, WorkspaceFoldersServerCapabilities, WorkspaceServerCapabilities,
};
use serde_json::{Value as Json, json};

use crate::analysis::Analysis;
use crate::documents::{Document, Documents, Overlay};
use crate::frame::{self, FrameError};
use crate::kept::Kept;
use crate::limits::{MAX_CANCELLED, MAX_WAITING};
use crate::packs::{self, Home, Reach};
use crate::paths;
use crate::published::Published;
use crate::requests::{self, Desk, Look};
use crate::roots::Roots;
use crate::rpc::{self, Id, Incoming, Refusal};
use crate::schema::Language;
use crate::view::{Owner, Source};
use crate::waiting::Waiting;
use crate::worker::{Haste, Outcome, Worker};

/// An event for the server.
enum Event {
    /// A message, with its length in bytes.
    Message(Incoming, usize),
    /// A message that cannot be read.
    Refused(Refusal),
    Compiled(Outcome),
    /// The end of the input, with the error that caused it, if any.
    End(Option<FrameError>),
}

/// Requests that the client cancelled.
type Cancelled = Arc<Mutex<BTreeSet<String>>>;

/// Serves the standard streams until the client sends `exit`, or disconnects.
#[must_use]
pub fn serve() -> ExitCode {
    let (sender, events) = sync_channel(MAX_WAITING);
    let cancelled = Cancelled::default();
    let to_worker = sender.clone();
    let worker = Worker::start(move |outcome| to_worker.send(Event::Compiled(outcome)).is_ok());
    let waiting = Arc::new(Waiting::default());
    let (noted, filled) = (Arc::clone(&cancelled), Arc::clone(&waiting));
    let reader =
        std::thread::Builder::new().name("read".to_owned()).spawn(move || listen(&sender, &noted, &filled));
    let (Ok(worker), Ok(_)) = (worker, reader) else {
        eprintln!("bailiwick-lsp: cannot start a thread");
        return ExitCode::FAILURE;
    };
    let server = Server {
        output: io::stdout(),
        worker,
        cancelled,
        waiting,
        documents: Documents::default(),
        roots: Roots::default(),
        analyses: Kept::default(),
        published: Published::default(),
        read: Kept::default(),
        phase: Phase::Fresh,
        makes_files: false,
    };
    server.run(&events)
}

/// Reads messages until the end. A cancellation is noted as soon as it is read, before waiting messages are
/// answered.
fn listen(events: &SyncSender<Event>, cancelled: &Cancelled, waiting: &Waiting) {
    let mut input = BufReader::new(io::stdin());
    loop {
        let event = match frame::read(&mut input) {
            Ok(Some(bytes)) => match rpc::parse(&bytes) {
                Ok(Incoming::Notification { method, params }) if method == "$/cancelRequest" => {
                    if let Ok(CancelParams { id }) = serde_json::from_value(params) {
                        let mut noted = cancelled.lock().unwrap_or_else(PoisonError::into_inner);
                        if noted.len() < MAX_CANCELLED {
                            noted.insert(key(&id));
                        }
                    }
                    continue;
                }
                Ok(message) => {
                    waiting.add(bytes.len());
                    Event::Message(message, bytes.len())
                }
                Err(refusal) => Event::Refused(refusal),
            },
            Ok(None) => Event::End(None),
            Err(error @ FrameError::TooLarge { .. }) => {
                Event::Refused(Refusal::new(Refusal::INVALID_REQUEST, error.to_string()))
            }
            Err(error) => Event::End(Some(error)),
        };
        let is_last = matches!(event, Event::End(_));
        if events.send(event).is_err() || is_last {
            return;
        }
    }
}

fn key(id: &Id) -> String {
    match id {
        Id::Number(number) => number.to_string(),
        Id::String(text) => format!("'{text}"),
    }
}

/// The state of the session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before `initialize`.
    Fresh,
    Running,
    /// After `shutdown`.
    Done,
}

struct Server {
    output: io::Stdout,
    worker: Worker,
    cancelled: Cancelled,
    waiting: Arc<Waiting>,
    documents: Documents,
    roots: Roots,
    analyses: Kept<Home, Analysis>,
    published: Published,
    /// Outlines of open documents, by name, until their texts change.
    read: Kept<String, Source>,
    phase: Phase,
    makes_files: bool,
}

impl Server {
    fn run(mut self, events: &Receiver<Event>) -> ExitCode {
        while let Ok(event) = events.recv() {
            let weight = match &event {
                Event::Message(_, bytes) => *bytes,
                _ => 0,
            };
            let sent = match event {
                Event::Message(Incoming::Request { id, method, params }, _) => {
                    let outcome = self.request(&id, &method, params);
                    self.send(&rpc::answer(Some(&id), &outcome))
                }
                Event::Message(Incoming::Notification { method, .. }, _) if method == "exit" => {
                    return if self.phase == Phase::Done { ExitCode::SUCCESS } else { ExitCode::FAILURE };
                }
                Event::Message(Incoming::Notification { method, params }, _) => {
                    // A notification that fails is reported like a request that fails, and the server
                    // continues.
                    let told = catch_unwind(AssertUnwindSafe(|| self.notification(&method, params)));
                    told.unwrap_or_else(|_| {
                        self.log(&format!("`{method}` failed; this is a bug of bailiwick-lsp"))
                    })
                }
                Event::Message(Incoming::Response, _) => Ok(()),
                Event::Refused(refusal) => self.send(&rpc::answer(None, &Err(refusal))),
                Event::Compiled(outcome) => self.compiled(outcome),
                Event::End(why) => {
                    // A client that disconnects without `exit`.
                    if let Some(error) = why {
                        eprintln!("bailiwick-lsp: {error}");
                    }
                    return ExitCode::FAILURE;
                }
            };
            self.waiting.remove(weight);
            if sent.is_err() {
                // Nothing reads the output any more.
                return ExitCode::FAILURE;
            }
        }
        ExitCode::FAILURE
    }

    fn send(&mut self, message: &Json) -> io::Result<()> {
        let bytes = serde_json::to_vec(message).map_err(io::Error::other)?;
        let mut output = self.output.lock();
        frame::write(&mut output, &bytes)?;
        output.flush()
    }

    fn log(&mut self, text: &str) -> io::Result<()> {
        // 1: an error, for the editor's log.
        self.send(&rpc::notification("window/logMessage", json!({ "type": 1, "message": text })))
    }

    fn request(&mut self, id: &Id, method: &str, params: Json) -> Result<Json, Refusal> {
        let mut cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        if cancelled.remove(&key(id)) {
            return Err(Refusal::new(Refusal::CANCELLED, "the client took it back"));
        }
        drop(cancelled);
        match (self.phase, method) {
            (Phase::Fresh, "initialize") => {
                let answer = self.initialize(params)?;
                self.phase = Phase::Running;
                Ok(answer)
            }
            (Phase::Fresh, _) => Err(Refusal::new(Refusal::NOT_INITIALIZED, "`initialize` comes first")),
            (Phase::Running, "initialize") => {
                Err(Refusal::new(Refusal::INVALID_REQUEST, "it is initialized already"))
            }
            (Phase::Running, "shutdown") => {
                self.phase = Phase::Done;
                Ok(Json::Null)
            }
            (Phase::Running, _) => {
                let answered = catch_unwind(AssertUnwindSafe(|| requests::answer(method, params, self)));
                answered.unwrap_or_else(|_| {
                    Err(Refusal::new(Refusal::INTERNAL, "it failed; this is a bug of bailiwick-lsp"))
                })
            }
            (Phase::Done, _) => Err(Refusal::new(Refusal::INVALID_REQUEST, "the server is shut down")),
        }
    }

    fn initialize(&mut self, params: Json) -> Result<Json, Refusal> {
        let params: InitializeParams = requests::parameters(params)?;
        self.roots = Roots::of(&params);
        let edits = params.capabilities.workspace.and_then(|workspace| workspace.workspace_edit);
        self.makes_files = edits.is_some_and(|edits| {
            let makes = edits.resource_operations.unwrap_or_default();
            edits.document_changes == Some(true) && makes.contains(&lsp_types::ResourceOperationKind::Create)
        });
        let result = InitializeResult {
            capabilities: capabilities(),
            server_info: Some(ServerInfo {
                name: "bailiwick-lsp".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        };
        serde_json::to_value(result).map_err(|error| Refusal::new(Refusal::INTERNAL, error.to_string()))
    }

    fn notification(&mut self, method: &str, params: Json) -> io::Result<()> {
        if self.phase != Phase::Running {
            return Ok(());
        }
        let said = match method {
            "textDocument/didOpen" => requests::parameters(params).map(|params| self.opened(params)),
            "textDocument/didChange" => requests::parameters(params).map(|params| self.changed(params)),
            "textDocument/didSave" => {
                requests::parameters(params).map(|params: DidSaveTextDocumentParams| {
                    self.compile_again(&params.text_document.uri, Haste::Now);
                    Ok(())
                })
            }
            "textDocument/didClose" => requests::parameters(params).map(|params| self.closed(params)),
            "workspace/didChangeWorkspaceFolders" => requests::parameters(params).map(|params| {
                self.roots.change(&params);
                self.compile_all();
                Ok(())
            }),
            "workspace/didChangeWatchedFiles" => requests::parameters(params).map(|params| {
                self.changed_on_disk(&params);
                Ok(())
            }),
            // The server ignores other notifications, and a client may send any.
            _ => Ok(Ok(())),
        };
        said.unwrap_or_else(|refusal| self.log(&format!("`{method}`: {}", refusal.message)))
    }

    fn opened(&mut self, params: DidOpenTextDocumentParams) -> io::Result<()> {
        let document = params.text_document;
        let uri = document.uri.clone();
        if !self.documents.open(document.uri, document.version, document.text) {
            return self.log(&format!("{} is not looked at: too much is open", uri.as_str()));
        }
        self.compile_again(&uri, Haste::Now);
        Ok(())
    }

    fn changed(&mut self, params: DidChangeTextDocumentParams) -> io::Result<()> {
        let uri = params.text_document.uri;
        let (overlay, before) = (self.documents.overlay(), self.documents.get(&uri).cloned());
        if !self.documents.change(&uri, params.text_document.version, params.content_changes) {
            // Findings in its former text do not hold for this one.
            if let Some(document) = before {
                self.forget(&document, &overlay)?;
            }
            return self
                .log(&format!("{} is not looked at: it is not open, or has grown too large", uri.as_str()));
        }
        self.compile_again(&uri, Haste::Rest);
        Ok(())
    }

    fn closed(&mut self, params: DidCloseTextDocumentParams) -> io::Result<()> {
        let overlay = self.documents.overlay();
        let Some(document) = self.documents.close(&params.text_document.uri) else { return Ok(()) };
        self.forget(&document, &overlay)
    }

    /// Retracts the findings caused by a document that is no longer read; `overlay`: the texts while it still
    /// was.
    fn forget(&mut self, document: &Document, overlay: &Overlay) -> io::Result<()> {
        self.read.remove(&document.uri.as_str().to_owned());
        let home = document.path.as_deref().and_then(|path| packs::home(path, &document.text, overlay));
        let Some((home, _)) = home else { return Ok(()) };
        let is_open =
            self.documents.all().any(|other| self.home(other).is_some_and(|(other, _)| other == home));
        if is_open {
            self.worker.submit(&home, &self.reach(), Haste::Now);
            return Ok(());
        }
        self.worker.withdraw(&home);
        self.analyses.remove(&home);
        let empty = self.published.withdraw(&home);
        empty.iter().try_for_each(|one| self.send(&rpc::notification(PUBLISH, one)))
    }

    fn changed_on_disk(&mut self, params: &DidChangeWatchedFilesParams) {
        let paths: Vec<_> = params.changes.iter().filter_map(|change| paths::path(&change.uri)).collect();
        let reach = self.reach();
        for (home, _) in self.analyses.iter() {
            let library = home.library().unwrap_or(home.folder());
            if paths.iter().any(|path| path.starts_with(library)) {
                self.worker.submit(home, &reach, Haste::Rest);
            }
        }
    }

    /// What may be read now.
    fn reach(&self) -> Arc<Reach> {
        Arc::new(Reach { overlay: self.documents.overlay(), roots: self.roots.clone() })
    }

    /// Requests compilation of every pack that has an open document.
    fn compile_all(&self) {
        let (reach, homes) = (self.reach(), self.documents.all().filter_map(|one| self.home(one)));
        let homes: BTreeSet<Home> = homes.map(|(home, _)| home).collect();
        homes.iter().for_each(|home| self.worker.submit(home, &reach, Haste::Now));
    }

    /// Requests compilation of the pack of a document, and of every pack that reads it.
    fn compile_again(&mut self, uri: &Uri, haste: Haste) {
        let Some(document) = self.documents.get(uri) else { return };
        let own = self.home(document).map(|(home, _)| home);
        let reads = |path: &Path, analysis: &Analysis| {
            analysis.view.sources.iter().any(|source| source.path == path && source.of == Owner::Parent)
        };
        let path = document.path.clone();
        let children =
            self.analyses.iter().filter(|(_, one)| path.as_ref().is_some_and(|path| reads(path, one)));
        let all: BTreeSet<Home> = children.map(|(home, _)| home.clone()).chain(own).collect();
        let reach = self.reach();
        all.iter().for_each(|home| self.worker.submit(home, &reach, haste));
    }

    fn home(&self, document: &Document) -> Option<(Home, Option<Language>)> {
        packs::home(document.path.as_deref()?, &document.text, &self.documents.overlay())
    }

    fn compiled(&mut self, outcome: Outcome) -> io::Result<()> {
        let analysis = match outcome {
            Outcome::Analysed(analysis) => analysis,
            Outcome::Failed(home) => {
                let text =
                    format!("compiling {} failed; this is a bug of Bailiwick", home.main_file().display());
                // The findings for the current text are unknown.
                let empty = self.published.withdraw(&home);
                empty.iter().try_for_each(|one| self.send(&rpc::notification(PUBLISH, one)))?;
                return self.log(&text);
            }
        };
        let overlay: Overlay = self.documents.overlay();
        let is_open =
            self.documents.all().any(|one| self.home(one).is_some_and(|(home, _)| home == analysis.home));
        if !is_open {
            return Ok(());
        }
        for problem in &analysis.problems {
            self.log(problem)?;
        }
        let said = self.published.next(&analysis, &overlay);
        let weight = analysis.view.weight();
        self.analyses.insert(analysis.home.clone(), Arc::from(analysis), weight);
        let said = said.unwrap_or_default();
        said.iter().try_for_each(|one| self.send(&rpc::notification(PUBLISH, one)))
    }
}

const PUBLISH: &str = "textDocument/publishDiagnostics";

impl Desk for Server {
    fn look(&mut self, uri: &Uri) -> Option<Look> {
        let document = self.documents.get(uri).filter(|document| document.is_readable())?.clone();
        let (home, _) = self.home(&document)?;
        let analysis = self.analyses.get(&home);
        let mut view = analysis.as_ref().map(|analysis| analysis.view.clone()).unwrap_or_default();
        let overlay = self.documents.overlay();
        let open: Vec<_> = self.documents.all().filter(|one| one.is_readable()).cloned().collect();
        for one in open {
            let Some(path) = one.path.clone() else { continue };
            let known = view.sources.iter().position(|source| source.path == path);
            let belongs = packs::home(&path, &one.text, &overlay).filter(|(other, _)| *other == home);
            let (language, of) = match (known.and_then(|at| view.sources.get(at)), &belongs) {
                (Some(source), _) => (source.language, source.of),
                (None, Some((_, language))) => (*language, Owner::Own),
                (None, None) => continue,
            };
            let name = one.uri.as_str().to_owned();
            let known_text = self.read.get(&name).filter(|source| Arc::ptr_eq(&source.text, &one.text));
            let fresh = known_text.unwrap_or_else(|| {
                let fresh = Arc::new(Source::new(path, Arc::clone(&one.text), language, of));
                self.read.insert(name, Arc::clone(&fresh), fresh.weight());
                fresh
            });
            match known.and_then(|at| view.sources.get_mut(at)) {
                Some(place) => *place = fresh,
                None => view.sources.push(fresh),
            }
        }
        let source =
            view.sources.iter().find(|source| Some(&source.path) == document.path.as_ref()).cloned()?;
        Some(Look { document, source, view, analysis })
    }

    fn makes_files(&self) -> bool {
        self.makes_files
    }
}

fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        position_encoding: Some(PositionEncodingKind::UTF16),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::Supported(true)),
            ..TextDocumentSyncOptions::default()
        })),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([".", "$", "{"].map(str::to_owned).to_vec()),
            ..CompletionOptions::default()
        }),
        workspace: Some(WorkspaceServerCapabilities {
            workspace_folders: Some(WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(OneOf::Left(true)),
            }),
            ..WorkspaceServerCapabilities::default()
        }),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        ..ServerCapabilities::default()
    }
}
