//! Reads bytes into trees, within limits.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::raw::{Key, Placed, Raw, Taker, parse};
use super::refused::{explain, whole_file};
use super::{Entry, Node, Span, Text, Value, words};
use crate::check::{
    bw0101_invalid_yaml, bw0102_duplicate_key, bw0103_limit_exceeded, bw0105_not_utf8, bw0106_not_text,
};
use crate::diagnostic::{Code, Diagnostic, FieldPath, Place, Segment};

/// What reading one file may cost. A file beyond it is rejected, in bounded time and memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Depth of nesting.
    pub depth: usize,
    /// Keys and values, counted with aliases expanded.
    pub nodes: usize,
    /// Documents in one file.
    pub documents: usize,
}

impl Limits {
    /// For a pack: twice what an API server stores in one object (1.5 MiB), and room for 10,000 rules.
    pub const PACK: Self = Self { bytes: 4 << 20, depth: 64, nodes: 1_000_000, documents: 64 };
    /// For manifests: a rendered chart holds hundreds of objects.
    pub const MANIFESTS: Self = Self { bytes: 16 << 20, depth: 64, nodes: 2_000_000, documents: 10_000 };
}

/// How many documents may wait for their consumer at once.
const AHEAD: usize = 16;

/// Reads every document of a file; empty ones are left out. `file` is the index that the spans will carry.
///
/// Findings already have their places. On an error, no document is returned.
#[must_use]
pub fn documents(file: u32, name: &str, bytes: &[u8], limits: &Limits) -> (Vec<Node>, Text, Vec<Diagnostic>) {
    let mut nodes = Vec::new();
    let (text, diagnostics) = each_document(file, name, bytes, limits, |node| nodes.push(node));
    if diagnostics.iter().any(|found| found.code != bw0106_not_text::CODE) {
        nodes.clear();
    }
    (nodes, Text { name: name.to_owned(), text: text.to_owned() }, diagnostics)
}

/// As [`documents`], but passes on each document as soon as it is read, while the next ones are being read. A
/// file of a thousand manifests is thus never held as a thousand trees. On an error, the documents before it
/// have already been passed on, so the receiver must not do anything lasting with them until this returns.
/// Returns the text, which is empty if the file is rejected.
pub fn each_document<'t>(
    file: u32,
    name: &str,
    bytes: &'t [u8],
    limits: &Limits,
    take: impl FnMut(Node),
) -> (&'t str, Vec<Diagnostic>) {
    if bytes.len() > limits.bytes {
        let message = format!("`{name}` has {} bytes; {} are read at most", bytes.len(), limits.bytes);
        return ("", vec![whole_file(bw0103_limit_exceeded::CODE, name, message)]);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let byte = bytes.get(at).copied().unwrap_or_default();
            let message = format!("`{name}` is not UTF-8: byte {at} is 0x{byte:02x}");
            let mut diagnostic = whole_file(bw0105_not_utf8::CODE, name, message);
            diagnostic.place = Some(Place { file: name.to_owned(), bytes: at..at.saturating_add(1) });
            return ("", vec![diagnostic.with_help("save the file as UTF-8")]);
        }
    };
    (text, on_its_own_stack(file, &Source { name, text }, limits, take))
}

/// The file that is being read.
pub(super) struct Source<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
}

/// Stack of the thread that reads. serde-saphyr recurses, and one level of an unoptimised build takes some 40
/// KiB: 64 of them overflow the 2 MiB of an ordinary thread, which would end the process.
const STACK: usize = 64 << 20;

fn on_its_own_stack(
    file: u32,
    source: &Source<'_>,
    limits: &Limits,
    take: impl FnMut(Node),
) -> Vec<Diagnostic> {
    let failed = |why: &str| {
        let message = format!("the reader of YAML failed: {why}");
        vec![whole_file(bw0101_invalid_yaml::CODE, source.name, message)]
    };
    let (sender, made) = sync_channel(AHEAD);
    let reader = Reader { file, name: source.name.into(), text: source.text.into(), diagnostics: Vec::new() };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).name("yaml".to_owned());
        match thread.spawn_scoped(scope, move || read(source, limits, reader, sender)) {
            Ok(reading) => {
                made.into_iter().for_each(take);
                reading.join().unwrap_or_else(|_| failed("it panicked"))
            }
            Err(error) => failed(&error.to_string()),
        }
    })
}

fn read(source: &Source<'_>, limits: &Limits, reader: Reader, sender: SyncSender<Node>) -> Vec<Diagnostic> {
    GIVING.with(|giving| giving.replace(Some((reader, sender))));
    let read = parse::<Giving>(source.text, limits);
    // The sender is dropped with it, so that the receiver does not wait for more.
    let left = GIVING.with(RefCell::take);
    match read {
        Err(error) => vec![explain(&error, source, limits)],
        Ok(_) => left.map(|(reader, _)| reader.diagnostics).unwrap_or_default(),
    }
}

thread_local! {
    /// State of the reading thread: the reader that turns documents into nodes, and the channel that they go
    /// to. The parser constructs its collection itself, so neither can be passed in.
    static GIVING: RefCell<Option<(Reader, SyncSender<Node>)>> = const { RefCell::new(None) };
}

/// Turns documents into nodes and sends them on.
#[derive(Default)]
struct Giving;

impl<'t> Taker<'t> for Giving {
    fn take(&mut self, document: Placed<Raw<'t>>) {
        GIVING.with_borrow_mut(|giving| {
            if let Some((reader, sender)) = giving {
                let node = reader.node(document, &Here::Root);
                // The receiver may be gone; then the rest is read only for its errors.
                let _gone = sender.send(node);
            }
        });
    }
}

/// The reader's current position. It becomes a [`FieldPath`] only when there is something to report.
enum Here<'a> {
    Root,
    Member(&'a Here<'a>, &'a str),
    Index(&'a Here<'a>, usize),
}

impl Here<'_> {
    fn path(&self) -> FieldPath {
        match self {
            Self::Root => FieldPath::root(),
            Self::Member(parent, name) => parent.path().member(*name),
            Self::Index(parent, index) => parent.path().join(Segment::Index(*index)),
        }
    }
}

/// Turns serde-saphyr's values into nodes.
struct Reader {
    file: u32,
    name: Box<str>,
    text: Box<str>,
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn span<T>(&self, placed: &Placed<T>) -> Span {
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let start = placed.start.min(end);
        Span { file: self.file, start, end: start.saturating_add(placed.len).min(end) }
    }

    fn written(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Extends a container to the end of its last child, if that comes after its beginning (an alias's end
    /// does not), and to its closing bracket.
    fn cover(&self, span: &mut Span, last: Option<Span>) {
        if let Some(last) = last.filter(|last| last.start >= span.start) {
            span.end = span.end.max(last.end);
        }
        let close = match self.text.get(span.start as usize..).and_then(|text| text.chars().next()) {
            Some('[') => ']',
            Some('{') => '}',
            _ => return,
        };
        let rest = self.text.get(span.end as usize..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start_matches([' ', '\n', '\r', ',']).len();
        if rest.get(blank..).is_some_and(|rest| rest.starts_with(close)) {
            span.end = span.end.saturating_add(u32::try_from(blank).unwrap_or(0)).saturating_add(1);
        }
    }

    fn node(&mut self, raw: Placed<Raw<'_>>, at: &Here<'_>) -> Node {
        let mut span = self.span(&raw);
        let value = match raw.value {
            Raw::Null => Value::Null,
            // serde-saphyr accepts any mixture of cases; kubectl reads the mixed ones as strings.
            Raw::Bool(value) => match self.written(span) {
                written if words::is_mixed(written) => Value::Str(written.to_owned()),
                _ => Value::Bool(value),
            },
            Raw::Int(value) => Value::Int(value),
            Raw::Float(value) => Value::Float(value),
            Raw::Str(text) => {
                self.must_be_text(&text, span, at);
                Value::Str(text.into_owned())
            }
            Raw::List(items) => {
                let items: Vec<_> = items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| self.node(item, &Here::Index(at, index)))
                    .collect();
                self.cover(&mut span, items.last().map(|item| item.span));
                Value::List(items)
            }
            Raw::Map(entries) => {
                let entries: Vec<_> =
                    entries.into_iter().map(|(key, value)| self.entry(key, value, at)).collect();
                self.cover(&mut span, entries.last().map(|entry| entry.value.span));
                Value::Map(self.merged(entries, at))
            }
        };
        Node { value, span, parameter: None }
    }

    fn entry(&mut self, key: Placed<Key<'_>>, value: Placed<Raw<'_>>, at: &Here<'_>) -> Entry {
        let key_span = self.span(&key);
        let Key(key) = key.value;
        let here = Here::Member(at, &key);
        // The source of a quoted key includes its quotes, so it never equals a bare word.
        if let Some(what) = words::other_than_text(self.written(key_span)) {
            let message = format!("key `{key}` is {what}");
            let found = self.finding(bw0106_not_text::CODE, &here, key_span, message);
            self.diagnostics.push(found.about_key().with_help(format!("write `\"{key}\"`")));
        }
        let value = self.node(value, &here);
        Entry { value, key: key.into_owned(), key_span }
    }

    fn finding(&self, code: Code, at: &Here<'_>, span: Span, message: String) -> Diagnostic {
        let place = Place { file: self.name.to_string(), bytes: span.range() };
        Diagnostic::new(code, at.path(), message).with_place(place)
    }

    /// Reports a bare word that serde-saphyr takes for text and kubectl for a number: they differ about `_`.
    fn must_be_text(&mut self, text: &str, span: Span, at: &Here<'_>) {
        if text.contains('_') && words::is_number(text) && self.written(span) == text {
            let message = format!("`{text}` is a number to kubectl and a text to other readers");
            let found = self.finding(bw0106_not_text::CODE, at, span, message);
            self.diagnostics.push(found.with_help("take the `_` away, or put a text in quotes"));
        }
    }

    /// The members with those that `<<` brings. A member after it replaces one of these. For kubectl, they replace a
    /// member before it; for other readers they do not, so this is an error.
    fn merged(&mut self, entries: Vec<Entry>, at: &Here<'_>) -> Vec<Entry> {
        let merges = |entry: &Entry| entry.key == MERGE && self.written(entry.key_span) == MERGE;
        let Some(place) = entries.iter().position(merges) else { return entries };
        let mut before = entries;
        let after = before.split_off(place + 1);
        let Some(merge) = before.pop() else { return after };
        let here = Here::Member(at, MERGE);
        let mut brought: BTreeMap<String, Entry> = BTreeMap::new();
        let sources = match merge.value.value {
            Value::List(items) => items,
            _ => vec![merge.value],
        };
        for source in sources {
            let Value::Map(members) = source.value else {
                let message = format!("`<<` takes an object or a list of them, not {}", source.kind());
                let found = self.finding(bw0101_invalid_yaml::CODE, &here, merge.key_span, message);
                self.diagnostics.push(found.with_help("name an object: `<<: *anchor`"));
                continue;
            };
            // Of several objects, the first one counts.
            for member in members {
                brought.entry(member.key.clone()).or_insert(member);
            }
        }
        let mut found = Vec::new();
        for entry in &before {
            let Some(other) = brought.remove(&entry.key) else { continue };
            if other.value.to_json() != entry.value.to_json() {
                let message = format!(
                    "key `{}` stands before a `<<` that brings it too: to kubectl it has the value that comes from there",
                    entry.key
                );
                let place = Here::Member(at, &entry.key);
                let one = self.finding(bw0102_duplicate_key::CODE, &place, entry.key_span, message);
                found.push(one.about_key().with_help("write `<<` before it"));
            }
        }
        self.diagnostics.extend(found);
        for entry in &after {
            brought.remove(&entry.key);
        }
        before.into_iter().chain(after).chain(brought.into_values()).collect()
    }
}

/// The key by which an object takes the members of others.
const MERGE: &str = "<<";

/// Reads a file of independent documents, each with a map of its own.
impl super::SourceMap {
    /// Every document of a file.
    #[must_use]
    pub fn read(name: &str, bytes: &[u8], limits: &Limits) -> (Vec<Self>, Vec<Diagnostic>) {
        let (nodes, text, diagnostics) = documents(0, name, bytes, limits);
        let texts: Arc<[Text]> = Arc::from([text]);
        (nodes.into_iter().map(|node| Self::new(Arc::clone(&texts), node)).collect(), diagnostics)
    }
}
