//! The entry point for fuzzers over text that is being written, and over the messages of a client.

use std::sync::Arc;

use crate::complete;
use crate::expression;
use crate::outline::{Node, Outline, Value, decode};
use crate::place;
use crate::position::Lines;
use crate::schema::Language;
use crate::view::{Owner, Source, View};
use crate::{definition, frame, hover, rpc};

/// Positions that are tried in one text.
const PLACES: usize = 8;

/// Bytes that are read: for larger texts only their size matters.
const MAX_BYTES: usize = 16 << 10;

/// Reads arbitrary bytes as a text that is being written, and makes requests about positions in it; also as messages
/// on a stream and as one message. For any bytes, this must return, and its results must be within the text and on
/// character boundaries.
///
/// # Panics
/// If it does not; that is a bug.
pub fn fuzz(bytes: &[u8]) {
    messages(bytes);
    let Ok(text) = std::str::from_utf8(bytes.get(..MAX_BYTES.min(bytes.len())).unwrap_or_default()) else {
        return;
    };
    let outline = Outline::read(text);
    for root in &outline.documents {
        holds_together(root, text);
    }
    let lines = Lines::of(text);
    let source = Source::new("/pack/pack.yaml".into(), Arc::from(text), Some(Language::Pack), Owner::Own);
    let view = View { sources: vec![Arc::new(source)], ..View::default() };
    let Some(source) = view.sources.first() else { return };
    let step = (text.len() / PLACES).max(1);
    for offset in (0..=text.len()).step_by(step) {
        let position = lines.position(text, offset);
        assert!(lines.offset(text, position) <= text.len(), "{position:?} is outside");
        if let Some(cursor) = place::cursor(text, offset) {
            assert!(text.get(cursor.replaces.clone()).is_some(), "{:?} is not inside", cursor.replaces);
        }
        for candidate in complete::candidates(text, offset, Language::Pack, &View::default()) {
            assert!(text.get(candidate.replaces.clone()).is_some(), "{candidate:?}");
        }
        if let Some((_, range)) = hover::hover(source, offset, &view, None) {
            assert!(text.get(range.clone()).is_some(), "{range:?} is not inside");
        }
        for target in definition::definitions(source, offset, &view) {
            assert!(text.get(target.bytes.clone()).is_some(), "{target:?}");
        }
        if let Some(before) = text.get(..offset) {
            let _ = expression::spot(before);
            let _ = expression::name_at(text, offset);
        }
    }
}

/// Reads all messages of a stream, and the bytes as the content of one.
fn messages(bytes: &[u8]) {
    let mut input = bytes;
    loop {
        match frame::read(&mut input) {
            Ok(Some(message)) => drop(rpc::parse(&message)),
            Err(frame::FrameError::TooLarge { .. }) => {}
            Ok(None) | Err(_) => break,
        }
    }
    let _ = rpc::parse(bytes);
}

fn holds_together(node: &Node, text: &str) {
    assert!(text.get(node.span.clone()).is_some(), "{:?} is not inside the text", node.span);
    match &node.value {
        Value::Absent => {}
        Value::Scalar(style) => {
            let decoded = decode(text, &node.span, *style);
            for offset in 0..=decoded.text.len() {
                let at = decoded.source(offset);
                assert!(at.is_some_and(|at| at <= text.len()), "{at:?} of {offset} is not inside");
            }
        }
        Value::List(items) => items.iter().for_each(|item| holds_together(item, text)),
        Value::Map(map) => {
            for entry in &map.entries {
                assert!(
                    text.get(entry.key_span.clone()).is_some(),
                    "{:?} is not inside the text",
                    entry.key_span
                );
                holds_together(&entry.value, text);
            }
        }
    }
}
