//! A comparison as text for a terminal.

use bailiwick_compiler::diff::{Change, Diff, Direction, Layer, Verdict};
use clap::builder::styling::{AnsiColor, Color, Style};

use super::{Side, line, sign, tally};
use crate::plain::plain;
use crate::print::out;

pub(super) fn print(old: &Side, new: &Side, found: &Diff) {
    for layer in Layer::ALL {
        let mut of = found.changes.iter().filter(|change| change.layer == layer).peekable();
        if of.peek().is_some() {
            out!("{}", layer.as_str());
        }
        of.for_each(print_change);
    }
    for note in &found.notes {
        out!("note: {}", plain(note));
    }
    for bound in &found.bounds {
        out!("bounded: {}: {}", bound.layer.as_str(), plain(&bound.what));
    }
    out!("{} -> {}: {}", plain(&old.path), plain(&new.path), tally(found));
}

fn print_change(change: &Change) {
    let style = style(change.direction);
    out!("  {style}{} {}{style:#}", sign(change.direction), plain(&change.what));
    out!("      witness: {}", plain(&line(&change.witness)));
    out!("      old: {}", said(&change.old));
    out!("      new: {}", said(&change.new));
}

/// The worse the direction, the louder the style.
fn style(direction: Direction) -> Style {
    let colour = match direction {
        Direction::Widened => AnsiColor::BrightRed,
        Direction::Changed => AnsiColor::Yellow,
        Direction::Narrowed => AnsiColor::BrightGreen,
    };
    Style::new().bold().fg_color(Some(Color::Ansi(colour)))
}

/// A verdict on one line, with its rules and their messages.
pub(super) fn said(verdict: &Verdict) -> String {
    let rules =
        if verdict.rules.is_empty() { String::new() } else { format!(" by {}", verdict.rules.join(", ")) };
    let messages = if verdict.messages.is_empty() {
        String::new()
    } else {
        format!(": {}", verdict.messages.join("; "))
    };
    let text = plain(&format!("{}{rules}{messages}", verdict.verdict));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
