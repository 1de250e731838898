//! Settings: compared directly, one value with the other. The witness is a value.

use super::{Change, Direction, Layer, Verdict, Witness};

/// The difference between two settings, of which the later in their order is the laxer: the stricter policy
/// rejects the laxer one.
pub(super) fn ordered<T: Copy + Ord>(
    layer: Layer,
    of: &str,
    old: T,
    new: T,
    word: impl Fn(T) -> String,
) -> Option<Change> {
    let direction = match old.cmp(&new) {
        std::cmp::Ordering::Less => Direction::Widened,
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => Direction::Narrowed,
    };
    let lax = old.max(new);
    let verdict = |asked: T| Verdict {
        messages: vec![format!("`{}` will do", word(asked))],
        ..Verdict::word(if lax <= asked { "allowed" } else { "denied" })
    };
    let witness = Witness::Setting { of: of.to_owned(), value: word(lax) };
    Some(Change { layer, direction, what: of.to_owned(), witness, old: verdict(old), new: verdict(new) })
}

/// Two values of the setting `of`, neither of which is known to be the laxer; nothing if they are the same.
pub(super) fn other(layer: Layer, of: &str, old: String, new: String) -> Option<Change> {
    (old != new).then(|| {
        let what = format!("{of} differs, and neither is known to be the stricter");
        stated(layer, Direction::Changed, what, of, (old, new))
    })
}

/// A difference that is evident from the texts of the policies, in words: the value of each.
pub(super) fn stated(
    layer: Layer,
    direction: Direction,
    what: String,
    of: &str,
    (old, new): (String, String),
) -> Change {
    let witness = Witness::Setting { of: of.to_owned(), value: new.clone() };
    Change { layer, direction, what, witness, old: Verdict::word(old), new: Verdict::word(new) }
}
