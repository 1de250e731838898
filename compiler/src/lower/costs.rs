//! Finds expressions that would cost the API server too much, and the smallest list size at which it would
//! stop evaluating them.

use crate::cel::Type;
use crate::cel::cost::{Estimator, MAX_OF_ONE, Range, Sizes};
use crate::check::bw0526_api_server_cost;
use crate::diagnostic::{Diagnostic, FieldPath};

/// Largest list size worth a note. Objects with longer lists are rejected by the API server for their size,
/// or are not real pods.
const MAX_ELEMENTS: u64 = 1_000;
/// Assumed characters of a string in the object; names and images are shorter.
const CHARACTERS: u64 = 64;

/// Assumes that every list and map has this many elements.
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

/// A note, if lists of a size that objects may have would cost too much.
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

/// Characters of an expression that the help text shows.
const SHOWN: usize = 60;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
