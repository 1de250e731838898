//! Where an expression would cost the API server too much: the smallest lists from which on it may not be evaluated any more.

use crate::cel::Type;
use crate::cel::cost::{Estimator, MAX_OF_ONE, Range, Sizes};
use crate::check::bw0526_api_server_cost;
use crate::diagnostic::{Diagnostic, FieldPath};

/// Elements of a list up to which it is worth knowing. Objects with more are refused by the API server for their size, or are nobody's pods.
const MAX_ELEMENTS: u64 = 1_000;
/// Characters of a text in the object: names and images are shorter.
const CHARACTERS: u64 = 64;

/// Every list and map has this many elements.
struct Elements(u64);

impl Sizes for Elements {
    fn of(&self, _: Option<&[String]>, of: &Type) -> Option<Range> {
        match of {
            Type::List(_) | Type::Map(..) | Type::Dyn => Some(Range::new(0, self.0)),
            Type::String | Type::Bytes => Some(Range::new(0, CHARACTERS)),
            _ => None,
        }
    }
}

/// A note, if lists that an object may have cost too much.
pub(super) fn note(source: &str, estimator: &Estimator, at: &FieldPath) -> Option<Diagnostic> {
    let exceeds = |elements: u64| estimator.cost(&Elements(elements)).max > MAX_OF_ONE;
    if !exceeds(MAX_ELEMENTS) {
        return None;
    }
    let (mut fits, mut least) = (0, MAX_ELEMENTS);
    while least - fits > 1 {
        let middle = fits + (least - fits) / 2;
        if exceeds(middle) {
            least = middle;
        } else {
            fits = middle;
        }
    }
    let message = format!(
        "on the API server this may cost more than one expression is given where lists have {least} elements"
    );
    let note = Diagnostic::new(bw0526_api_server_cost::CODE, at.clone(), message);
    let Some(dominant) = estimator.dominant(&Elements(least)) else { return Some(note) };
    let loops = match dominant.loops {
        1 => "the loop".to_owned(),
        loops => format!("{loops} loops inside each other"),
    };
    let what = source.get(dominant.bytes.clone()).unwrap_or(source);
    let help = format!(
        "{loops} in `{}` cost most: look at less in each turn, or let `size(LIST) <= {fits} && …` refuse longer lists first",
        shortened(what)
    );
    Some(note.with_range(dominant.bytes).with_help(help))
}

/// Characters of an expression that a help shows.
const SHOWN: usize = 60;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
