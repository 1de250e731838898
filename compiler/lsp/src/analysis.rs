//! What the compiler says about one pack: findings by file, what each line compiles to, and the texts that it
//! read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_compiler::check::{bw0103_limit_exceeded, bw0207_unknown_pack};
use bailiwick_compiler::compile::compile_with;
use bailiwick_compiler::diagnostic::{About, Diagnostic, FieldPath, Place, Severity};
use bailiwick_compiler::emit::{self, Artifacts, EmitOptions, Enforcement};
use bailiwick_compiler::library::Library;
use bailiwick_compiler::resolve;
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_compiler::yaml::SourceMap;
use bailiwick_compiler::{Bindings, Compiled, fragments, policy_test};
use bailiwick_policy::bundle;
use bailiwick_policy::policy::Policy;
use lsp_types::{DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString};

use crate::limits::{MAX_FINDINGS, MAX_KEPT_BYTES};
use crate::packs::{self, Home, Loaded, Reach, load, text_of};
use crate::paths;
use crate::schema::Language;
use crate::view::{Owner, Source, View};

/// One finding, in the form that is published and in the form that the server uses.
#[derive(Clone, Debug)]
pub struct Finding {
    /// For the editor.
    pub diagnostic: lsp_types::Diagnostic,
    /// Its byte range.
    pub bytes: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// The field in question.
    pub at: FieldPath,
}

/// A statement of the policy or a generated file, with one of the places that it comes from.
#[derive(Clone, Debug)]
pub struct Meant {
    /// The file of the place.
    pub file: PathBuf,
    /// Its byte range.
    pub bytes: Range<usize>,
    /// What it says, in Markdown.
    pub says: Arc<str>,
    /// For a statement, the aspect of its field: the last word of its id, such as `limits` of
    /// `sandboxes/python/limits`.
    pub about: String,
    /// Whether it is a file, not a statement.
    pub is_file: bool,
}

/// What is known about a pack.
#[derive(Debug)]
pub struct Analysis {
    /// Which pack.
    pub home: Home,
    /// The versions of the open documents that were read.
    pub versions: BTreeMap<PathBuf, i32>,
    /// Findings by file.
    pub findings: BTreeMap<PathBuf, Vec<Finding>>,
    /// What its lines compile to.
    pub meant: Vec<Meant>,
    /// Its files and those of its parents.
    pub view: View,
    /// The lock that the pack should have, if its own differs or is missing.
    pub lock: Option<String>,
    /// What could not be read.
    pub problems: Vec<String>,
}

/// Compiles a pack.
#[must_use]
pub fn analyse(home: &Home, reach: &Reach) -> Analysis {
    let loaded = load(home, reach);
    if !loaded.too_much.is_empty() {
        return refused(home, &loaded, reach);
    }
    let packs = [(&loaded.sources, Bindings::default())];
    let compiled = compile_with(&packs, &loaded.library, &loaded.kinds);
    let view = view(home, &loaded, &compiled);
    let own = fragments::identity(&loaded.sources).map(|(name, _)| name);
    let mut findings =
        Findings { home, own, loaded: &loaded, compiled: &compiled, view: &view, by_file: BTreeMap::new() };
    for diagnostic in compiled.all() {
        findings.add(diagnostic);
    }
    for diagnostic in &policy_test::read(&loaded.tests).1 {
        findings.add(diagnostic);
    }
    let findings = findings.by_file;
    let meant =
        compiled.policy.as_ref().map(|policy| meant(policy, &loaded, &compiled, home)).unwrap_or_default();
    let versions = view.sources.iter().filter_map(|source| {
        reach.overlay.get(&source.path).map(|(version, _)| (source.path.clone(), *version))
    });
    let is_about_the_lock =
        |diagnostic: &Diagnostic| ["BW0209", "BW0210", "BW0211"].contains(&diagnostic.code.id());
    let lock =
        compiled.all().any(is_about_the_lock).then(|| resolve::make_lock(&loaded.sources, &loaded.library).0);
    Analysis {
        home: home.clone(),
        versions: versions.collect(),
        findings,
        meant,
        lock: lock.flatten(),
        problems: loaded.problems.clone(),
        view,
    }
}

/// The only finding about a pack that is too large to read.
fn refused(home: &Home, loaded: &Loaded, reach: &Reach) -> Analysis {
    let one = |path: &PathBuf| {
        let diagnostic = Diagnostic::new(bw0103_limit_exceeded::CODE, FieldPath::root(), packs::beyond());
        let help = diagnostic.help.clone();
        let finding = Finding {
            diagnostic: published(&diagnostic, &diagnostic.message, &help),
            bytes: 0..0,
            message: diagnostic.message,
            help,
            at: diagnostic.at,
        };
        (path.clone(), vec![finding])
    };
    let versions = loaded.too_much.iter().filter_map(|path| {
        let (version, _) = reach.overlay.get(path)?;
        Some((path.clone(), *version))
    });
    Analysis {
        home: home.clone(),
        versions: versions.collect(),
        findings: loaded.too_much.iter().map(one).collect(),
        meant: Vec::new(),
        view: View::default(),
        lock: None,
        problems: loaded.problems.clone(),
    }
}

/// A finding in the protocol's form, at the beginning of its file.
fn published(diagnostic: &Diagnostic, message: &str, help: &str) -> lsp_types::Diagnostic {
    lsp_types::Diagnostic {
        severity: Some(severity(diagnostic.severity)),
        code: Some(NumberOrString::String(diagnostic.code.id().to_owned())),
        source: Some("bailiwick".to_owned()),
        message: format!("{message}\nhelp: {help}"),
        ..lsp_types::Diagnostic::default()
    }
}

/// The files of a pack and of those that it extends.
fn view(home: &Home, loaded: &Loaded, compiled: &Compiled) -> View {
    let (mut sources, mut weight) = (Vec::new(), 0_usize);
    let mut add = |folder: &Path, files: &mut dyn Iterator<Item = &SourceFile>, language, of| {
        for file in files {
            let path = folder.join(&file.name);
            let source = Source::new(path, text_of(file), language, of);
            weight = weight.saturating_add(source.weight());
            // Beyond this limit, findings are shown without their places.
            if weight <= MAX_KEPT_BYTES {
                sources.push(Arc::new(source));
            }
        }
    };
    let folder = home.folder();
    let PackSources { files, lock, rego } = &loaded.sources;
    add(folder, &mut files.iter(), Some(Language::Pack), Owner::Own);
    add(folder, &mut loaded.tests.iter(), Some(Language::Test), Owner::Own);
    add(folder, &mut lock.iter().chain(rego), None, Owner::Own);
    for (name, version) in compiled.taken.iter().flatten() {
        let folder = loaded.folders.get(&(name.clone(), version.clone()));
        if let (Some(folder), Some(parent)) = (folder, loaded.library.sources(name, version)) {
            add(folder, &mut parent.files.iter(), Some(Language::Pack), Owner::Parent);
            add(folder, &mut parent.rego.iter(), None, Owner::Parent);
        }
    }
    let mut library: Vec<_> =
        loaded.folders.iter().map(|((name, _), folder)| (name.clone(), folder.clone())).collect();
    library.dedup_by(|a, b| a.0 == b.0);
    View { sources, library: Arc::new(library), kinds: Arc::clone(&loaded.kinds) }
}

struct Findings<'a> {
    home: &'a Home,
    /// Its name.
    own: Option<String>,
    loaded: &'a Loaded,
    compiled: &'a Compiled,
    view: &'a View,
    by_file: BTreeMap<PathBuf, Vec<Finding>>,
}

impl Findings<'_> {
    /// The file that contains a place of a pack.
    fn source(&self, pack: Option<&str>, place: Option<&Place>) -> Option<&Source> {
        let place = place?;
        let folder = match pack {
            Some(name) if self.own.as_deref() != Some(name) => {
                let version = self.compiled.taken.first()?.get(name)?;
                self.loaded.folders.get(&(name.to_owned(), version.clone()))?.as_path()
            }
            _ => self.home.folder(),
        };
        let path = folder.join(&place.file);
        self.view.sources.iter().find(|source| source.path == path).map(|source| &**source)
    }

    fn add(&mut self, diagnostic: &Diagnostic) {
        let there = self.source(diagnostic.pack.as_deref(), diagnostic.place.as_ref());
        let of_parent = there.is_some_and(|source| source.of == Owner::Parent);
        let main = self.home.main_file();
        let mut related = self.related(diagnostic);
        let mut message = diagnostic.message.clone();
        if let Some(pack) = &diagnostic.pack {
            message.push_str(&format!(" (in `{pack}`)"));
        }
        // An error in a parent is reported where the pack extends it: the parent's own file reports it by
        // itself.
        let (path, bytes) = match (there, &diagnostic.place) {
            (Some(source), Some(place)) if !of_parent => (source.path.clone(), place.bytes.clone()),
            (Some(source), Some(place)) => {
                related.insert(0, information(source, &place.bytes, "it is said of this"));
                (main, self.extended(diagnostic.pack.as_deref()).unwrap_or(0..0))
            }
            _ => (main, 0..0),
        };
        let lines = self.view.sources.iter().find(|source| source.path == path);
        let range = lines.map(|source| source.lines.span(&source.text, &bytes)).unwrap_or_default();
        let help = match &self.loaded.closed {
            Some(folder) if diagnostic.code == bw0207_unknown_pack::CODE => closed(folder),
            _ => diagnostic.help.clone(),
        };
        let finding = Finding {
            diagnostic: lsp_types::Diagnostic {
                range,
                related_information: Some(related.into_iter().flatten().collect()),
                ..published(diagnostic, &message, &help)
            },
            bytes,
            message: diagnostic.message.clone(),
            help,
            at: diagnostic.at.clone(),
        };
        let list = self.by_file.entry(path).or_default();
        if list.len() < MAX_FINDINGS {
            list.push(finding);
        }
    }

    fn related(&self, diagnostic: &Diagnostic) -> Vec<Option<DiagnosticRelatedInformation>> {
        let one = |related: &bailiwick_compiler::diagnostic::Related| {
            let place = related.place.as_ref();
            let source = self.source(related.pack.as_deref(), place)?;
            information(source, &place?.bytes, &related.message)
        };
        diagnostic.related.iter().map(one).collect()
    }

    /// Where the pack under compilation extends another: directly, or through the first pack that it extends.
    fn extended(&self, pack: Option<&str>) -> Option<Range<usize>> {
        let main = self.home.main_file();
        let source = self.view.sources.iter().find(|source| source.path == main)?;
        let list = source.outline.documents.iter().find_map(|root| root.get("spec")?.get("extends"))?;
        let name = |item: &crate::outline::Node| item.get("name").and_then(|name| name.text(&source.text));
        let item = list.items().iter().find(|item| name(item).as_deref() == pack);
        item.or(list.items().first()).map(|item| item.span.clone())
    }
}

/// The help for packs whose neighbours are not read.
fn closed(folder: &Path) -> String {
    format!(
        "the packs in {} are not read, because that is no folder that is open in the editor: open it, or one that holds it",
        folder.display()
    )
}

fn information(source: &Source, bytes: &Range<usize>, message: &str) -> Option<DiagnosticRelatedInformation> {
    let location = Location { uri: paths::uri(&source.path)?, range: source.lines.span(&source.text, bytes) };
    Some(DiagnosticRelatedInformation { location, message: message.to_owned() })
}

const fn severity(severity: Severity) -> DiagnosticSeverity {
    match severity {
        Severity::Error => DiagnosticSeverity::ERROR,
        Severity::Warning => DiagnosticSeverity::WARNING,
        Severity::Note => DiagnosticSeverity::INFORMATION,
    }
}

/// What the fields of the pack become: the statements of the enforcement report, and the files made from
/// them.
fn meant(policy: &Policy, loaded: &Loaded, compiled: &Compiled, home: &Home) -> Vec<Meant> {
    let Some(made) = made(policy) else { return Vec::new() };
    let maps = maps(loaded, compiled, home);
    let mut all = Vec::new();
    let mut place = |from: &[emit::FieldRef], says: String, about: &str, is_file: bool| {
        let says: Arc<str> = says.into();
        for field in from {
            let (Some((folder, map)), Ok(at)) = (maps.get(&field.pack), field.at.parse::<FieldPath>()) else {
                continue;
            };
            if let Some(Place { file, bytes }) = map.place(&at, About::Value, None) {
                let (file, says, about) = (folder.join(file), Arc::clone(&says), about.to_owned());
                all.push(Meant { file, bytes, says, about, is_file });
            }
        }
    };
    for statement in &made.report.statements {
        let about = statement.id.rsplit('/').next().unwrap_or_default();
        place(&statement.from, statement_text(statement), about, false);
    }
    for (path, artifact) in &made.files {
        if !matches!(artifact.target, emit::Target::Bundle | emit::Target::Report) {
            place(&artifact.from, format!("`{path}`"), "", true);
        }
    }
    all
}

fn made(policy: &Policy) -> Option<Artifacts> {
    let digest = bundle::digest(&bundle::write(policy).ok()?);
    emit::artifacts(policy, &digest, &EmitOptions::default()).ok()
}

fn statement_text(statement: &emit::Statement) -> String {
    let mut text = format!("{} (`{}`)", statement.says, statement.id);
    for layer in &statement.layers {
        let how = match layer.enforcement {
            Enforcement::Full => "fully",
            Enforcement::Partial => "in part",
            Enforcement::None => "not",
        };
        text.push_str(&format!("\n  - enforced {how} by {}", layer.layer));
        if !layer.note.is_empty() {
            text.push_str(&format!(": {}", layer.note));
        }
    }
    text
}

/// The places of fields, by `name@version` of the pack, with the folder of its files.
fn maps(loaded: &Loaded, compiled: &Compiled, home: &Home) -> BTreeMap<String, (PathBuf, SourceMap)> {
    let map = |sources: &PackSources| {
        let merged = fragments::merge(sources);
        merged.root.map(|root| SourceMap::new(merged.texts.into(), root))
    };
    let own = fragments::identity(&loaded.sources).map(|identity| (identity, home.folder().to_owned()));
    let own = own.and_then(|(identity, folder)| Some((identity, (folder, map(&loaded.sources)?))));
    let parents = compiled.taken.iter().flatten().filter_map(|(name, version)| {
        let identity = (name.clone(), version.clone());
        let folder = loaded.folders.get(&identity)?.clone();
        let map = map(&loaded.library.sources(name, version)?)?;
        Some((identity, (folder, map)))
    });
    parents.chain(own).map(|((name, version), found)| (format!("{name}@{version}"), found)).collect()
}
