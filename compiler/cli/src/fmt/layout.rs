//! The canonical layout of a file: sections in the order of the language, two columns for each level, and
//! lists under their key. No trailing blanks, and at most one blank line in a row.
//!
//! Lines are moved, never rewritten: comments, quotes and what shares a line stay as the author wrote them.
//! The pack reader says where things are; after each step it reads the text again. Mistakes of a step are
//! caught at the end: a text that means something else, or that lost a line, is refused, and the file is left
//! alone.

use bailiwick_compiler::yaml::{Entry, Limits, Node, SourceMap, Value};
use thiserror::Error;

/// Most steps for one file; each step moves one node with its contents into place and reads the text again.
/// What remains after that stays as it is.
const MAX_STEPS: usize = 2_000;
/// Indentation of one level.
const STEP: usize = 2;

/// Why a file is left as it is.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Refused {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it is not valid YAML: {0}")]
    Invalid(String),
    #[error("it cannot be laid out without changing what it means; it is left as it is")]
    Unsound,
}

/// Members of the document.
const DOCUMENT: &[&str] = &["apiVersion", "kind", "metadata", "spec"];
/// Members of a pack's `spec`; others follow them.
const PACK: &[&str] = &[
    "pack",
    "version",
    "description",
    "extends",
    "parameters",
    "subjects",
    "isolation",
    "network",
    "images",
    "pools",
    "sandboxes",
    "tools",
    "audit",
    "admission",
];
/// Members of a test's `spec`.
const TEST: &[&str] = &["parameters", "cases"];

/// The file in its canonical layout.
pub(super) fn laid_out(text: &str) -> Result<String, Refused> {
    let before = read(text)?;
    let mut lines = lines_of(&text.replace("\r\n", "\n"));
    for _ in 0..MAX_STEPS {
        let joined = join(&lines);
        let documents = reread(&joined)?;
        let mut step = None;
        for document in &documents {
            step = step.or_else(|| next_step(document, &joined, &lines));
        }
        match step {
            Some(step) => step.take(&mut lines),
            None => break,
        }
    }
    let laid_out = tidy(&join(&lines))?;
    let is_sound = meaning(&before) == meaning(&reread(&laid_out)?) && words(text) == words(&laid_out);
    if is_sound { Ok(laid_out) } else { Err(Refused::Unsound) }
}

fn read(text: &str) -> Result<Vec<SourceMap>, Refused> {
    let (documents, wrong) = SourceMap::read("", text.as_bytes(), &Limits::PACK);
    match wrong.first() {
        Some(first) => Err(Refused::Invalid(first.message.clone())),
        None => Ok(documents),
    }
}

/// Reads the laid out text again. Errors in it are not the author's, such as an alias that now comes before
/// its anchor.
fn reread(text: &str) -> Result<Vec<SourceMap>, Refused> {
    read(text).map_err(|_| Refused::Unsound)
}

fn meaning(documents: &[SourceMap]) -> Vec<serde_json::Value> {
    documents.iter().map(|document| document.root().to_json()).collect()
}

/// Every non-blank line without its indentation, sorted: none may be lost, comments included.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    words.sort_unstable();
    words
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn join(lines: &[String]) -> String {
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// Something out of place, and how to move it into place.
enum Step {
    /// Lines that move to the right or, if negative, to the left.
    Shift { first: usize, end: usize, by: isize },
    /// Lines, in another order.
    Replace { first: usize, end: usize, with: Vec<String> },
}

impl Step {
    fn take(self, lines: &mut Vec<String>) {
        match self {
            Step::Shift { first, end, by } => {
                for line in lines.iter_mut().take(end).skip(first).filter(|line| !line.trim().is_empty()) {
                    let indent = indent_of(line).saturating_add_signed(by);
                    *line = format!("{}{}", " ".repeat(indent), line.trim_start_matches(' '));
                }
            }
            Step::Replace { first, end, with } => {
                lines.splice(first..end.min(lines.len()), with);
            }
        }
    }
}

fn next_step(document: &SourceMap, text: &str, lines: &[String]) -> Option<Step> {
    let root = document.root();
    let page = Page::of(text, lines);
    let is_test = root.get("kind").and_then(Node::as_str) == Some("PolicyTest");
    let spec_order = if is_test { TEST } else { PACK };
    let spec = root.entry("spec").and_then(|entry| {
        let parent = page.line(entry.key_span.start as usize);
        page.reorder(&entry.value, spec_order, Some(parent))
    });
    page.reorder(root, DOCUMENT, None).or(spec).or_else(|| page.indent(root))
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_remark(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// Excludes the `---` between documents.
fn is_element(line: &str) -> bool {
    let line = line.trim();
    line == "-" || line.starts_with("- ")
}

/// A text and its lines, as the reader saw them.
struct Page<'t> {
    text: &'t str,
    lines: &'t [String],
    /// The first byte of each line.
    starts: Vec<usize>,
}

impl<'t> Page<'t> {
    fn of(text: &'t str, lines: &'t [String]) -> Self {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, lines, starts: std::iter::once(0).chain(after).collect() }
    }

    /// The line of a byte, from 0.
    fn line(&self, byte: usize) -> usize {
        self.starts.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    /// The text before a byte on its line.
    fn before(&self, byte: usize) -> &str {
        let start = self.starts.get(self.line(byte)).copied().unwrap_or_default();
        self.text.get(start..byte).unwrap_or_default()
    }

    fn get(&self, line: usize) -> &str {
        self.lines.get(line).map_or("", String::as_str)
    }

    /// The lines of the keys of a mapping in block style, none of them after a list dash; `None` for another
    /// node.
    fn keys(&self, node: &Node) -> Option<Vec<usize>> {
        let is_first =
            |entry: &Entry| self.before(entry.key_span.start as usize).bytes().all(|byte| byte == b' ');
        (self.is_block(node) && node.entries().iter().all(is_first))
            .then(|| node.entries().iter().map(|entry| self.line(entry.key_span.start as usize)).collect())
    }

    /// Whether each key of a mapping begins its line in the same column; the first may follow dashes.
    fn is_block(&self, node: &Node) -> bool {
        let mut known: Option<(usize, usize)> = None;
        node.entries().iter().all(|entry| {
            let before = self.before(entry.key_span.start as usize);
            let (line, column) = (self.line(entry.key_span.start as usize), before.len());
            let begins = before.bytes().all(|byte| byte == b' ' || known.is_none() && byte == b'-');
            let follows = known.is_none_or(|(last, same)| line > last && column == same);
            known = Some((line, column));
            begins && follows
        })
    }

    /// The line after everything that is indented below `column` from `first` on, without the comments that
    /// lead to what follows.
    fn end(&self, first: usize, column: usize, is_list: bool) -> usize {
        let belongs = |line: &str| {
            is_remark(line)
                || indent_of(line) > column
                || indent_of(line) == column && is_list && is_element(line)
        };
        let count = self.lines.iter().skip(first).take_while(|line| belongs(line)).count();
        let mut end = first + count;
        while end > first
            && is_remark(self.get(end - 1))
            && (self.get(end - 1).trim().is_empty() || indent_of(self.get(end - 1)) <= column)
        {
            end -= 1;
        }
        end
    }

    /// The first line of the comments that lead to a line, not above `limit`.
    fn lead(&self, line: usize, limit: usize) -> usize {
        let mut first = line;
        while first > limit && is_remark(self.get(first - 1)) {
            first -= 1;
        }
        first
    }

    /// The same for a key after another key. What is indented deeper than the key belongs to what is above
    /// it, and so does a commented-out list element directly after another element.
    fn lead_of_key(&self, line: usize, limit: usize, column: usize) -> usize {
        let is_ours = |line: &str| line.trim().is_empty() || is_remark(line) && indent_of(line) <= column;
        let mut first = line;
        while first > limit && is_ours(self.get(first - 1)) {
            first -= 1;
        }
        let is_behind = first > limit && indent_of(self.get(first - 1)) >= column;
        if is_behind && is_element(self.get(first).trim_start().trim_start_matches('#')) {
            while first < line && !self.get(first).trim().is_empty() {
                first += 1;
            }
        }
        first
    }

    /// Puts the members of a mapping in order. `parent`: the line of its key. Comments above a document's
    /// first member belong to the document.
    fn reorder(&self, node: &Node, order: &[&str], parent: Option<usize>) -> Option<Step> {
        let keys = self.keys(node)?;
        let rank = |key: &str| order.iter().position(|known| *known == key).unwrap_or(order.len());
        let ranks: Vec<usize> = node.entries().iter().map(|entry| rank(&entry.key)).collect();
        if ranks.is_sorted() {
            return None;
        }
        let column = indent_of(self.get(*keys.first()?));
        let mut starts = Vec::new();
        for (index, line) in keys.iter().enumerate() {
            starts.push(match index.checked_sub(1).and_then(|before| keys.get(before)) {
                Some(before) => self.lead_of_key(*line, before + 1, column),
                None => self.lead(*line, parent.map_or(*line, |parent| parent + 1)),
            });
        }
        let end = self.end(keys.last()? + 1, column, true);
        let ends = starts.iter().skip(1).copied().chain([end]);
        let mut chunks: Vec<(usize, Vec<String>)> = ranks
            .iter()
            .zip(starts.iter().zip(ends))
            .map(|(rank, (start, end))| (*rank, self.lines.get(*start..end).unwrap_or_default().to_vec()))
            .collect();
        chunks.sort_by_key(|(rank, _)| *rank);
        if let Some((_, first)) = chunks.first_mut() {
            let blank = first.iter().take_while(|line| line.trim().is_empty()).count();
            first.drain(..blank);
        }
        let with = chunks.into_iter().flat_map(|(_, lines)| lines).collect();
        Some(Step::Replace { first: *starts.first()?, end, with })
    }

    /// The first node, from the outside in, that is not where its key requires.
    fn indent(&self, node: &Node) -> Option<Step> {
        match &node.value {
            Value::Map(entries) => {
                let is_block = self.is_block(node);
                entries.iter().find_map(|entry| {
                    let key = entry.key_span.start as usize;
                    let own = is_block
                        .then(|| self.misplaced(&entry.value, self.line(key), self.before(key).len()));
                    own.flatten().or_else(|| self.indent(&entry.value))
                })
            }
            Value::List(items) => items.iter().find_map(|item| self.indent(item)),
            _ => None,
        }
    }

    fn misplaced(&self, value: &Node, key_line: usize, key_column: usize) -> Option<Step> {
        let (first, wanted, is_list) = match &value.value {
            Value::Map(_) => (*self.keys(value)?.first()?, key_column + STEP, false),
            Value::List(items) => {
                let first = self.line(items.first()?.span.start as usize);
                (is_element(self.get(first)).then_some(first)?, key_column, true)
            }
            _ => return None,
        };
        let column = indent_of(self.get(first));
        if first <= key_line || column == wanted {
            return None;
        }
        let by = isize::try_from(wanted).ok()?.checked_sub(isize::try_from(column).ok()?)?;
        let deeper = if is_list { column } else { column.checked_sub(1)? };
        let end = self.end(first, deeper, is_list);
        Some(Step::Shift { first: self.lead(first, key_line + 1), end, by })
    }
}

/// Removes trailing blanks, repeated blank lines, and blank lines at both ends of the file. Multi-line
/// scalars are left untouched.
fn tidy(text: &str) -> Result<String, Refused> {
    let mut held = vec![false; text.lines().count() + 1];
    let page = Page::of(text, &[]);
    for document in reread(text)? {
        hold(document.root(), &page, &mut held);
    }
    let mut out = String::with_capacity(text.len());
    let mut blank = true;
    for (line, held) in text.lines().zip(&held) {
        let line = if *held { line } else { line.trim_end() };
        if line.is_empty() && blank && !held {
            continue;
        }
        blank = line.is_empty();
        out.push_str(line);
        out.push('\n');
    }
    // Blank lines at the end of a scalar that keeps them are part of it.
    if !held.get(text.lines().count().saturating_sub(1)).copied().unwrap_or(false) {
        let kept = out.trim_end_matches('\n').len();
        out.truncate(kept);
        out.push('\n');
    }
    Ok(out)
}

/// Marks the lines of multi-line scalars.
fn hold(node: &Node, page: &Page<'_>, held: &mut [bool]) {
    match &node.value {
        Value::Map(entries) => entries.iter().for_each(|entry| hold(&entry.value, page, held)),
        Value::List(items) => items.iter().for_each(|item| hold(item, page, held)),
        Value::Str(_) => {
            let (first, last) = (page.line(node.span.start as usize), page.line(node.span.end as usize));
            held.iter_mut().take(last + 1).skip(first).filter(|_| last > first).for_each(|held| *held = true);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIDY: &str = "# What it is.\napiVersion: v1   \nspec:\n    # Who.\n    subjects:\n        pods: {a: b}   # all\n\n\n    pack: x\n    rules:\n      # First.\n      - name: one\n        when: >-\n          a &&\n\n          b\n      - name: two\n    extends: [ {name: y} ]\nkind: PolicyPack\n\n";

    #[test]
    fn sections_levels_and_blanks_are_put_in_place() {
        let laid_out = laid_out(UNTIDY).unwrap();
        let expected = "# What it is.\napiVersion: v1\nkind: PolicyPack\nspec:\n  pack: x\n  extends: [ {name: y} ]\n  # Who.\n  subjects:\n    pods: {a: b}   # all\n  rules:\n  # First.\n  - name: one\n    when: >-\n      a &&\n\n      b\n  - name: two\n";
        assert_eq!(laid_out, expected);
        assert_eq!(super::laid_out(&laid_out).as_deref(), Ok(expected), "it is not idempotent");
        assert_eq!(super::laid_out(&UNTIDY.replace('\n', "\r\n")).as_deref(), Ok(expected));
    }

    #[test]
    fn what_is_commented_out_stays_in_its_section() {
        let text = "kind: PolicyPack\nspec:\n  admission:\n    rules:\n    - name: a\n    # - name: b\n    #   action: Deny\n  # Who.\n  subjects: {a: b}\n";
        let expected = "kind: PolicyPack\nspec:\n  # Who.\n  subjects: {a: b}\n  admission:\n    rules:\n    - name: a\n    # - name: b\n    #   action: Deny\n";
        assert_eq!(laid_out(text).as_deref(), Ok(expected));
        // In the column of the keys, directly after an element.
        let text = "kind: PolicyPack\nspec:\n  pools:\n  - {name: a}\n  # - {name: b}\n  #   more of it\n\n  # Who.\n  subjects: {a: b}\n";
        let expected = "kind: PolicyPack\nspec:\n  # Who.\n  subjects: {a: b}\n  pools:\n  - {name: a}\n  # - {name: b}\n  #   more of it\n";
        assert_eq!(laid_out(text).as_deref(), Ok(expected));
        // A scalar whose last line looks like a comment.
        let text = "kind: PolicyPack\nspec:\n  description: |\n    a\n    # b\n  pack: x\n";
        let expected = "kind: PolicyPack\nspec:\n  pack: x\n  description: |\n    a\n    # b\n";
        assert_eq!(laid_out(text).as_deref(), Ok(expected));
        assert_eq!(laid_out(expected).as_deref(), Ok(expected));
    }

    #[test]
    fn an_alias_that_would_come_before_its_anchor_is_refused_as_unsound() {
        let text = "kind: PolicyPack\nspec:\n  subjects: &who {a: b}\n  pack: *who\n";
        assert_eq!(laid_out(text), Err(Refused::Unsound));
    }

    #[test]
    fn what_cannot_be_read_is_left_alone() {
        assert!(matches!(laid_out("a: ["), Err(Refused::Invalid(_))));
        // A scalar whose trailing blanks are part of it.
        let text = "a: |\n  x  \n\n\n  y\n";
        assert_eq!(laid_out(text).as_deref(), Ok(text));
    }
}
