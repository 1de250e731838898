//! A comparison as Markdown, for a comment in a code review.
//!
//! All text that comes from a pack is in code spans and blocks, fenced by more backticks than it holds. So a
//! pack cannot mention people, close the block or write markup.

use std::fmt::Write as _;

use bailiwick_compiler::diff::{Change, Diff, Layer};

use super::text::said;
use super::{Side, line, sign, tally};
use crate::plain::plain;

/// Longest comment, in bytes. GitHub accepts 65,536 characters, and the text after the changes needs some of
/// them.
const MAX_CHANGES_BYTES: usize = 50_000;
/// Longest witness that is shown, in bytes. Longer ones are in `--format json`.
const MAX_WITNESS_BYTES: usize = 4_000;

pub(super) fn write(old: &Side, new: &Side, found: &Diff) -> String {
    let mut out = String::from("### What this change of the policy permits\n\n");
    let _ = writeln!(out, "{} → {}: **{}**", code(&packs(old)), code(&packs(new)), tally(found));
    let mut left_out = 0;
    for layer in Layer::ALL {
        let of: Vec<&Change> = found.changes.iter().filter(|change| change.layer == layer).collect();
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n#### {}\n", layer.as_str());
        for change in of {
            let block = block(change);
            if out.len() + block.len() > MAX_CHANGES_BYTES {
                left_out += 1;
            } else {
                out.push_str(&block);
            }
        }
    }
    if left_out > 0 {
        let _ = writeln!(out, "\n{left_out} more do not fit into a comment: `bailiwick diff` shows them.");
    }
    if !found.notes.is_empty() || !found.bounds.is_empty() {
        out.push('\n');
    }
    let bounds =
        found.bounds.iter().map(|bound| format!("bounded: {}: {}", bound.layer.as_str(), bound.what));
    for text in found.notes.iter().map(|note| format!("note: {note}")).chain(bounds) {
        let _ = writeln!(out, "- {}", code(&text));
    }
    out.trim_end().to_owned()
}

fn packs(side: &Side) -> String {
    side.packs.join(", ")
}

fn block(change: &Change) -> String {
    let mut witness = line(&change.witness);
    if witness.len() > MAX_WITNESS_BYTES {
        witness.truncate(witness.floor_char_boundary(MAX_WITNESS_BYTES));
        witness.push_str(" …");
    }
    let lines = [
        format!("witness: {witness}"),
        format!("old: {}", said(&change.old)),
        format!("new: {}", said(&change.new)),
    ];
    let text = plain(&lines.join("\n"));
    let fence = fence(&text, 3);
    let indented: String = text.lines().map(|line| format!("  {line}\n")).collect();
    format!("- **{}** {}\n\n  {fence}\n{indented}  {fence}\n", sign(change.direction), code(&change.what))
}

/// Text as an inline code span.
fn code(text: &str) -> String {
    let text = plain(text).replace(['\n', '\r'], " ");
    let fence = fence(&text, 1);
    // Markdown strips one space from both ends of a span.
    if text.contains('`') { format!("{fence} {text} {fence}") } else { format!("{fence}{text}{fence}") }
}

/// More backticks in a row than the text contains.
fn fence(text: &str, least: usize) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(least.max(longest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_code() {
        assert_eq!(code("a @team"), "`a @team`");
        assert_eq!(code("sandbox `shell`"), "`` sandbox `shell` ``");
        assert_eq!(code("x```\n# title"), "```` x``` # title ````");
        assert_eq!(fence("```` in a block", 3), "`````");
    }
}
