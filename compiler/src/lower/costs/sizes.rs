//! What is known of the sizes of lists and texts that an expression reads, and what is assumed of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_policy::ir::Const;

use crate::cel::cost::{Range, Sizes};
use crate::cel::{Parameter, Type};
use crate::custom_kinds::Bounds;

/// Assumed characters of a string in the object; names and images are shorter.
const CHARACTERS: u64 = 64;

/// What is known of sizes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// What the schema of the rule's custom resource allows.
    pub(crate) bounds: Option<Arc<Bounds>>,
    /// The values of the parameters.
    pub(crate) params: Arc<BTreeMap<String, Parameter>>,
}

/// Assumes that every list and map has this many elements, or fewer where it may not have as many.
pub(super) struct Assumed<'a> {
    pub(super) elements: u64,
    /// The same for texts that are known to be bounded.
    pub(super) characters: u64,
    pub(super) known: &'a Known,
}

impl Sizes for Assumed<'_> {
    fn of(&self, place: Option<&[String]>, of: &Type) -> Option<Range> {
        let (bound, value) = place.map_or((None, None), |place| self.known.at(place));
        let most = match of {
            Type::List(_) | Type::Map(..) | Type::Dyn => {
                value.unwrap_or_else(|| bound.map_or(self.elements, |bound| bound.min(self.elements)))
            }
            Type::String | Type::Bytes => {
                value.unwrap_or_else(|| bound.map_or(CHARACTERS, |bound| bound.min(self.characters)))
            }
            _ => return None,
        };
        Some(Range::new(0, most))
    }
}

impl Known {
    /// What the schema allows at a place, and the size of the parameter's value there.
    fn at(&self, place: &[String]) -> (Option<u64>, Option<u64>) {
        match place {
            [root, path @ ..] if root == "object" || root == "oldObject" => {
                (self.bounds.as_ref().and_then(|bounds| bounds.get(path)).copied(), None)
            }
            [root, name, path @ ..] if root == "params" => {
                (None, self.params.get(name).and_then(|parameter| size(&parameter.value, path)))
            }
            _ => (None, None),
        }
    }

    /// Texts are as long as they are known to be at most.
    pub(super) fn assuming(&self, elements: u64) -> Assumed<'_> {
        Assumed { elements, characters: u64::MAX, known: self }
    }
}

/// The size of the largest part of a constant at a path.
fn size(value: &Const, path: &[String]) -> Option<u64> {
    let Some((step, path)) = path.split_first() else {
        return match value {
            Const::Str(text) => Some(text.chars().count() as u64),
            Const::List(items) => Some(items.len() as u64),
            Const::Map(entries) => Some(entries.len() as u64),
            _ => None,
        };
    };
    match value {
        Const::List(items) => items.iter().filter_map(|item| size(item, path)).max(),
        Const::Map(entries) if step == "@keys" => entries.iter().filter_map(|(key, _)| size(key, path)).max(),
        Const::Map(entries) => entries.iter().filter_map(|(_, value)| size(value, path)).max(),
        _ => None,
    }
}
