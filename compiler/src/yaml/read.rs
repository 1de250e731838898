//! Reads bytes into trees, within limits.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::raw::{Key, Placed, Raw, Taker, parse};
use super::refused::{explain, whole_file};
use super::{Entry, Node, Span, Text, Value};
use crate::check::{bw0101_invalid_yaml, bw0103_limit_exceeded, bw0105_not_utf8, bw0106_boolean_key};
use crate::diagnostic::{Diagnostic, FieldPath, Place, Segment};

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
    if diagnostics.iter().any(|found| found.code != bw0106_boolean_key::CODE) {
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
                written if is_boolean(written) || written.starts_with('!') => Value::Bool(value),
                written => Value::Str(written.to_owned()),
            },
            Raw::Int(value) => Value::Int(value),
            Raw::Float(value) => Value::Float(value),
            Raw::Str(text) => Value::Str(text.into_owned()),
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
                Value::Map(entries)
            }
        };
        Node { value, span, parameter: None }
    }

    fn entry(&mut self, key: Placed<Key<'_>>, value: Placed<Raw<'_>>, at: &Here<'_>) -> Entry {
        let key_span = self.span(&key);
        let Key(key) = key.value;
        let here = Here::Member(at, &key);
        // The source of a quoted key includes its quotes, so it never equals a bare word.
        if is_boolean(self.written(key_span)) && !matches!(&*key, "true" | "false") {
            let means = matches!(key.to_ascii_lowercase().as_str(), "y" | "yes" | "on" | "true");
            let place = Place { file: self.name.to_string(), bytes: key_span.range() };
            let message = format!("key `{key}` is a boolean in YAML: kubectl reads it as `\"{means}\"`");
            self.diagnostics.push(
                Diagnostic::new(bw0106_boolean_key::CODE, here.path(), message)
                    .about_key()
                    .with_help(format!("write `\"{key}\"`"))
                    .with_place(place),
            );
        }
        let value = self.node(value, &here);
        Entry { value, key: key.into_owned(), key_span }
    }
}

/// The words that kubectl's YAML 1.1 reads as booleans.
fn is_boolean(word: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    WORDS.iter().any(|known| {
        word.eq_ignore_ascii_case(known) && {
            let mut letters = word.bytes();
            let first = letters.next().is_some_and(|first| first.is_ascii_uppercase());
            // `on`, `On` or `ON`; never `oN`.
            let lower = letters.clone().all(|rest| rest.is_ascii_lowercase());
            lower || (first && letters.all(|rest| rest.is_ascii_uppercase()))
        }
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &[u8], expected: &Expect) {
        let (nodes, source, diagnostics) = documents(0, "x.yaml", text, &Limits::PACK);
        let mut out = String::new();
        for node in &nodes {
            out.push_str(&format!("{}\n", node.to_json()));
        }
        for diagnostic in &diagnostics {
            let place = diagnostic.place.clone().expect("has a place");
            let (line, column) = super::super::line_and_column(&source.text, place.bytes.start);
            let shown = source.text.get(place.bytes).unwrap_or_default();
            out.push_str(&format!("{line}:{column} {shown:?} {diagnostic}\n"));
        }
        expected.assert_eq(&out);
    }

    #[test]
    fn scalars_are_read_as_kubectl_reads_them() {
        check(
            b"a: 0644\nb: on\nc: y\nd: 'on'\ne: 0x10\nf: 1_000\ng: 1e3\nh: 1.5\ni: ~\nj:\nk: tRuE\nl: 2001-01-01\nm: 1.10\nn: 0o14\no: !!str 12\n",
            &expect![[r#"
                {"a":420,"b":true,"c":true,"d":"on","e":16,"f":1000,"g":1000,"h":1.5,"i":null,"j":null,"k":"tRuE","l":"2001-01-01","m":1.1,"n":12,"o":"12"}
                14:1 "n" error[BW0106] at n: key `n` is a boolean in YAML: kubectl reads it as `"false"`
                  help: write `"n"`
            "#]],
        );
    }

    #[test]
    fn anchors_merges_and_several_documents() {
        check(
            b"a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n---\n---\ne: *x\n",
            &expect![[r#"
                5:4 "*x" error[BW0101]: not valid YAML: alias references unknown anchor
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n---\n---\ne: 1\n",
            &expect![[r#"
            {"a":{"b":1,"c":2},"d":{"b":1,"c":3}}
            {"e":1}
        "#]],
        );
    }

    #[test]
    fn what_is_refused_has_a_place() {
        check(
            b"a: 1\nb: 2\na: 3\n",
            &expect![[r#"
            3:1 "a" error[BW0102]: key `a` stands here twice
              help: keep one of them: readers disagree about which one counts
        "#]],
        );
        check(
            b"a: [1, 2\nb: 3\n",
            &expect![[r#"
                2:2 ": 3" error[BW0101]: not valid YAML: illegal placement of ':' indicator
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"a:\n\t- b\n",
            &expect![[r#"
                2:2 "- b" error[BW0101]: not valid YAML: tabs disallowed within this context (block indentation)
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"a: b: c\n",
            &expect![[r#"
                1:5 ": c" error[BW0101]: not valid YAML: mapping values are not allowed in this context
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"a: 9223372036854775808\n",
            &expect![[r#"
                1:4 "9223372036854775808" error[BW0101]: not valid YAML: integer `9223372036854775808` is beyond 64 bits with sign
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"on: 1\n'off': 2\n",
            &expect![[r#"
            {"off":2,"on":1}
            1:1 "on" error[BW0106] at on: key `on` is a boolean in YAML: kubectl reads it as `"true"`
              help: write `"on"`
        "#]],
        );
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        check(
            b"a: caf\xe9\n",
            &expect![[r#"
            1:1 "" error[BW0105]: `x.yaml` is not UTF-8: byte 6 is 0xe9
              help: save the file as UTF-8
        "#]],
        );
        check(
            b"a: *nowhere\n",
            &expect![[r#"
                1:4 "*nowhere" error[BW0101]: not valid YAML: alias references unknown anchor
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"a: !wat 1\n",
            &expect![[r#"
                1:9 "1" error[BW0101]: not valid YAML: unsupported tag `!wat`
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"a: .inf\n",
            &expect![[r#"
                1:4 ".inf" error[BW0101]: not valid YAML: non-finite float `.inf` rejected by the configured policy
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"? [a, b]\n: 1\n",
            &expect![[r#"
                1:3 "[" error[BW0101]: not valid YAML: expected string scalar
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
        check(
            b"a: \"\\ud800\"\n",
            &expect![[r#"
                1:4 "\"\\ud800\"" error[BW0101]: not valid YAML: while parsing a quoted scalar, found high surrogate without following low surrogate
                  help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
            "#]],
        );
    }

    #[test]
    fn a_byte_order_mark_shifts_no_place() {
        check(
            "\u{feff}on: 1\nb: 2\nb: 3\n".as_bytes(),
            &expect![[r#"
            3:1 "b" error[BW0102]: key `b` stands here twice
              help: keep one of them: readers disagree about which one counts
        "#]],
        );
        check(
            "\u{feff}on: 1\n".as_bytes(),
            &expect![[r#"
            {"on":1}
            1:2 "on" error[BW0106] at on: key `on` is a boolean in YAML: kubectl reads it as `"true"`
              help: write `"on"`
        "#]],
        );
    }

    #[test]
    fn bombs_are_refused() {
        let (_, _, diagnostics) = documents(0, "x.yaml", "[".repeat(100_000).as_bytes(), &Limits::PACK);
        assert_eq!(diagnostics[0].code.id(), "BW0103");
        let (_, _, diagnostics) = documents(0, "x.yaml", "a:\n".repeat(100_000).as_bytes(), &Limits::PACK);
        assert!(!diagnostics.is_empty());
        let huge = vec![b'#'; Limits::PACK.bytes + 1];
        let (_, _, diagnostics) = documents(0, "x.yaml", &huge, &Limits::PACK);
        assert_eq!(diagnostics[0].code.id(), "BW0103");
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..10 {
            let before = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(",")));
        }
        let (nodes, _, diagnostics) = documents(0, "x.yaml", bomb.as_bytes(), &Limits::PACK);
        assert!(nodes.is_empty());
        assert_eq!(diagnostics[0].code.id(), "BW0103");
    }

    #[test]
    fn every_node_knows_its_bytes() {
        let text = "a:\n  b: [x, 'y']\n  c: |\n    one\n    two\n  d: {e: \"f\"}\n  g:\n  - h: 1\n    i: 2\nj: plain  # comment\n";
        let (maps, _) = super::super::SourceMap::read("x.yaml", text.as_bytes(), &Limits::PACK);
        let mut out = String::new();
        for path in
            ["a", "a.b", "a.b[1]", "a.c", "a.d", "a.d.e", "a.g", "a.g[0]", "a.g[0].i", "j", "a.nothing.here"]
        {
            let path: FieldPath = path.parse().expect("a path");
            let value = maps[0].place(&path, crate::diagnostic::About::Value, None).expect("a place");
            let key = maps[0].place(&path, crate::diagnostic::About::Key, None).expect("a place");
            out.push_str(&format!(
                "{path}: {:?} {:?}\n",
                text.get(key.bytes).unwrap_or_default(),
                text.get(value.bytes).unwrap_or_default()
            ));
        }
        expect![[r#"
            a: "a" "b: [x, 'y']\n  c: |\n    one\n    two\n  d: {e: \"f\"}\n  g:\n  - h: 1\n    i: 2"
            a.b: "b" "[x, 'y']"
            a.b[1]: "'y'" "'y'"
            a.c: "c" "one\n    two\n  "
            a.d: "d" "{e: \"f\"}"
            a.d.e: "e" "\"f\""
            a.g: "g" "h: 1\n    i: 2"
            a.g[0]: "h: 1\n    i: 2" "h: 1\n    i: 2"
            a.g[0].i: "i" "2"
            j: "j" "plain"
            a.nothing.here: "a" "a"
        "#]]
        .assert_eq(&out);
    }
}
