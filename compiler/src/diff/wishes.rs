//! What an input must look like for a condition to be true or false, read from the condition's expression.
//!
//! ```text
//! a.x == 'p' && (b > 5 || c.exists(i, i.k == 'q'))   ► [x is p, b is 6], [x is p, c holds {k: q}], …
//! ```
//!
//! A *wish* is a value at a *place* of the input; a *way* is a list of wishes that should suffice together.
//! Ways are guesses based on the commonest functions. They may be wrong and are not complete, since their
//! users evaluate the policy itself afterwards. A function that is unknown here still assigns its constants
//! to its places.

mod reading;
mod ways;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use bailiwick_policy::ir::{Cel, Const, Root};
use serde_json::{Number, Value};

use super::samples::Samples;

/// Ways that are kept for one expression. Lists of programs or domains have some hundred.
const MAX_WAYS: usize = 512;
/// Wishes of one way. An expression that names another twice doubles them, and no condition that a person
/// writes has as many parts.
const MAX_WISHES: usize = 1024;
/// Steps for reading one expression. A shared expression is read again wherever it is named, so without a
/// limit some dozens that name each other twice would take forever.
const MAX_STEPS: u32 = 100_000;
/// So many wishes are copied for a step.
const WISHES_A_STEP: usize = 64;
/// A text that no pack contains.
pub(super) const FRESH: &str = "any-other";

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A member of an object.
    Member(String),
    /// An element of a list.
    Element,
}

/// A place of the input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) root: Root,
    pub(super) steps: Vec<Step>,
}

/// The wished content of a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// This value; for an element of a list, next to the existing ones.
    Is(Value),
    /// Nothing.
    Absent,
    /// Anything.
    Present,
    /// A list or map that contains this.
    Holds(Value),
    /// A list or map that does not.
    Lacks(Value),
    /// A text or list of this length.
    Size(usize),
}

/// A value at a place.
pub(super) type Wish = (Place, Want);
/// Wishes that should suffice together, the later ones over the earlier ones.
pub(super) type Way = Vec<Wish>;

/// What expressions of one policy may refer to.
pub(super) struct Reader<'p> {
    shared: &'p [Cel],
    regexes: &'p [String],
    /// Whether something was left out.
    pub(super) cut: Cell<bool>,
    /// Steps left for the current expression.
    left: Cell<u32>,
    /// Texts that patterns match, by their index: to compile a pattern takes longer than all else here.
    samples: RefCell<BTreeMap<u32, Samples>>,
}

impl<'p> Reader<'p> {
    pub(super) const fn new(shared: &'p [Cel], regexes: &'p [String]) -> Self {
        Self {
            shared,
            regexes,
            cut: Cell::new(false),
            left: Cell::new(0),
            samples: RefCell::new(BTreeMap::new()),
        }
    }
}

impl Place {
    /// A member of a result.
    pub(super) fn of_result(name: &str) -> Self {
        Self { root: Root::Result, steps: vec![Step::Member(name.to_owned())] }
    }

    fn member(mut self, name: &str) -> Self {
        self.steps.push(Step::Member(name.to_owned()));
        self
    }

    fn element(mut self) -> Self {
        self.steps.push(Step::Element);
        self
    }

    /// The names of the members on the way, without the elements.
    pub(super) fn names(&self) -> Vec<&str> {
        self.steps
            .iter()
            .filter_map(|step| match step {
                Step::Member(name) => Some(name.as_str()),
                Step::Element => None,
            })
            .collect()
    }
}

/// One way with another over it; and where both wish a text for one place, the two texts in a row: one may be
/// about its beginning and the other about its end.
pub(super) fn together<'w>(under: &'w [Wish], over: &'w [Wish]) -> impl Iterator<Item = Way> + use<'w> {
    let text = |(place, want): &'w Wish| match want {
        Want::Is(Value::String(text)) if !matches!(place.steps.last(), Some(Step::Element)) => {
            Some((place, text))
        }
        _ => None,
    };
    let in_a_row = |wish: &'w Wish| {
        let (place, end) = text(wish)?;
        let mut begun = under.iter().filter_map(text).filter(|(other, _)| *other == place);
        let (_, begin) = begun.next_back().filter(|(_, begin)| *begin != end)?;
        Some((place.clone(), Want::Is(Value::from(format!("{begin}{end}")))))
    };
    let changed = over.iter().any(|wish| in_a_row(wish).is_some());
    let row = changed.then(|| {
        let row = over.iter().map(|wish| in_a_row(wish).unwrap_or_else(|| wish.clone()));
        under.iter().cloned().chain(row).collect()
    });
    std::iter::once([under, over].concat()).chain(row)
}

/// The ways of a rule, first those that its other forms do not have: the forms differ in these.
pub(super) fn own_first<'w>(ways: &[Way], others: impl Iterator<Item = &'w Way> + Clone) -> Vec<Way> {
    let is_shared = |way: &&Way| others.clone().any(|other| other == *way);
    let (shared, own): (Vec<&Way>, Vec<&Way>) = ways.iter().partition(is_shared);
    own.into_iter().chain(shared).cloned().collect()
}

/// A constant as JSON; `None` for what JSON does not have.
pub(super) fn value(constant: &Const) -> Option<Value> {
    Some(match constant {
        Const::Null => Value::Null,
        Const::Bool(value) => Value::Bool(*value),
        Const::Int(value) => Value::from(*value),
        Const::Uint(value) => Value::from(*value),
        Const::Double(value) => Value::Number(Number::from_f64(*value)?),
        Const::Str(text) => Value::from(text.as_str()),
        Const::List(items) => Value::Array(items.iter().map(value).collect::<Option<_>>()?),
        Const::Map(entries) => {
            let entry = |(key, of): &(Const, Const)| match key {
                Const::Str(key) => Some((key.clone(), value(of)?)),
                _ => None,
            };
            Value::Object(entries.iter().map(entry).collect::<Option<_>>()?)
        }
        Const::Bytes(_) | Const::Type(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::ir::Expr;

    use super::*;

    /// Each names the one before it twice, as variables of a rule can.
    #[test]
    fn shared_expressions_that_double_are_read_in_bounded_steps() {
        let cel = |expr| Cel { source: String::new(), expr, slots: 0 };
        let mut shared = vec![cel(Expr::Select(Box::new(Expr::Root(Root::Object)), "a".to_owned()))];
        shared.extend((0..60).map(|before| cel(Expr::And(vec![Expr::Shared(before), Expr::Shared(before)]))));
        let reader = Reader::new(&shared, &[]);
        assert!(!reader.ways(&Expr::Shared(1), true).is_empty());
        assert!(!reader.cut.get());
        assert!(reader.ways(&Expr::Shared(60), true).iter().all(|way| way.len() <= MAX_WISHES));
        assert!(reader.cut.get());
        // What was left out is said even where the steps suffice.
        let reader = Reader::new(&shared, &[]);
        assert!(reader.ways(&Expr::Shared(12), true).iter().all(|way| way.len() <= MAX_WISHES));
        assert!(reader.cut.get());
    }
}
