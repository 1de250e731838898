//! What calls cost apart from their arguments: `EstimateCallCost` of the API server where it names a
//! function, else cel-go's own estimate by the types of the arguments. If the types leave several forms open,
//! the range spans them all.

use bailiwick_policy::ir::Func;

use super::super::types::Type;
use super::range::{LIST, ONE, PER_CHARACTER, PER_PATTERN_CHARACTER, Range};
use super::walk::{Costed, Walk};

/// The cost of a call, and the size of its result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Called {
    pub(super) cost: Range,
    pub(super) size: Option<Range>,
}

impl Called {
    pub(super) const fn costs(cost: Range) -> Self {
        Self { cost, size: None }
    }

    const fn gives(cost: Range, size: Range) -> Self {
        Self { cost, size: Some(size) }
    }

    /// Spans both; if one size is unknown, the other applies, as in cel-go.
    fn or(self, other: Self) -> Self {
        let size = match (self.size, other.size) {
            (Some(one), Some(other)) => Some(one.union(other)),
            (one, other) => one.or(other),
        };
        Self { cost: self.cost.union(other.cost), size }
    }
}

/// Cost of a query to the API server's authorizer: one expression may make at most two.
const CHECK: u64 = 350_000;
/// Length of the longest pattern of a named format.
const FORMAT_PATTERN: f64 = 128.0;
/// Size of a named format in a comparison.
const FORMAT_SIZE: u64 = 64;
/// Bytes of an IP address.
const ADDRESS: Range = Range::new(4, 16);
/// Cost of one requirement of a selector: a list and an object.
const REQUIREMENT: f64 = 50.0;

/// Whether a value of one type may be of another.
fn may(of: &Type, one: &Type) -> bool {
    matches!(of, Type::Dyn) || of == one
}

const fn may_be_list(of: &Type) -> bool {
    matches!(of, Type::Dyn | Type::List(_))
}

/// Combines several forms into one.
fn any(forms: impl IntoIterator<Item = Option<Called>>) -> Called {
    forms.into_iter().flatten().reduce(Called::or).unwrap_or(Called::costs(ONE))
}

/// An operator.
pub(super) fn operator(func: Func, parts: &[Costed]) -> Called {
    let [one, other] = parts else { return Called::costs(ONE) };
    let are = |kind: &Type| may(&one.of, kind) && may(&other.of, kind);
    let is_long = are(&Type::String) || are(&Type::Bytes);
    let is_other = are(&Type::Dyn) || !is_long;
    let plain = Some(Called::costs(ONE));
    match func {
        Func::Equal => constant_equality(one, other).unwrap_or_else(|| Called::costs(compared(one, other))),
        Func::NotEqual => Called::costs(compared(one, other)),
        Func::Less | Func::LessEqual | Func::Greater | Func::GreaterEqual => {
            any([is_long.then(|| Called::costs(compared(one, other))), plain.filter(|_| is_other)])
        }
        Func::Add => {
            let size = one.size().add(other.size());
            let lists = may_be_list(&one.of) && may_be_list(&other.of);
            any([
                is_long.then(|| Called::gives(size.by(PER_CHARACTER), size)),
                lists.then_some(Called::gives(ONE, size)),
                plain.filter(|_| is_other && !(lists && one.of != Type::Dyn)),
            ])
        }
        Func::In => any([
            may_be_list(&other.of).then(|| Called::costs(other.size().by(1.0))),
            plain.filter(|_| !matches!(other.of, Type::List(_))),
        ]),
        _ => Called::costs(ONE),
    }
}

/// Up to the length of the shorter one.
fn compared(one: &Costed, other: &Costed) -> Range {
    let most = one.size().max.min(other.size().max);
    Range::new(u64::from(most > 0), most).by(PER_CHARACTER)
}

/// Kubernetes' own types are compared as a whole.
fn constant_equality(one: &Costed, other: &Costed) -> Option<Called> {
    if one.of != other.of {
        return None;
    }
    match one.of {
        Type::Ip | Type::Cidr | Type::Quantity | Type::Semver => Some(Called::costs(ONE)),
        Type::Authorizer | Type::PathCheck | Type::GroupCheck | Type::ResourceCheck | Type::Decision => {
            Some(Called::costs(ONE))
        }
        Type::NamedFormat => Some(Called::costs(Range::new(1, FORMAT_SIZE).by(PER_CHARACTER))),
        Type::Url => {
            let most = other.size.map_or(1, |size| size.max);
            Some(Called::costs(Range::new(1, most).by(PER_CHARACTER)))
        }
        _ => None,
    }
}

/// A function; `limit`: its second argument, if that is a literal number.
pub(super) fn call(
    function: &str,
    target: Option<&Costed>,
    arguments: &[Costed],
    limit: Option<u64>,
    walk: &Walk<'_>,
) -> Called {
    let through = |part: &Costed, factor: f64| part.size().by(factor * PER_CHARACTER);
    match (function, target, arguments) {
        ("check", ..) => Called::costs(Range::exactly(CHECK)),
        ("fieldSelector" | "labelSelector", _, [selector]) => Called::costs(selector_cost(selector.size())),
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "includes", Some(target), _) => {
            Called::costs(each(function, target, walk))
        }
        ("url" | "jsonpatch.escapeKey", _, [text]) => Called::gives(through(text, 1.0), text.size()),
        ("lowerAscii" | "upperAscii" | "substring" | "trim", Some(target), _) => {
            Called::gives(through(target, 1.0), target.size())
        }
        ("replace", Some(target), [old, new, ..]) => {
            Called::gives(through(target, 2.0), replaced(target.size(), old.size(), new.size()))
        }
        ("split", Some(target), _) => {
            Called::gives(through(target, 2.0), Range::new(0, limit.unwrap_or(target.size().max)))
        }
        ("join", Some(target), _) => {
            let size = joined(target, arguments.first(), walk);
            Called::gives(size.by(PER_CHARACTER), size)
        }
        ("find" | "findAll", Some(target), [pattern, ..]) => {
            Called::gives(searched(target, pattern), Range::new(0, target.size().max))
        }
        ("ip", Some(_), _) => Called::costs(ONE),
        (
            "ip" | "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver",
            _,
            [text, ..],
        ) => Called::costs(through(text, 1.0)),
        ("ip.isCanonical", _, [text, ..]) => Called::costs(through(text, 2.0)),
        ("containsIP" | "containsCIDR", Some(_), [other, ..]) => Called::costs(contains(function, other)),
        ("validate", _, [text, ..]) => {
            Called::costs(through(text, 1.0).by(FORMAT_PATTERN * PER_PATTERN_CHARACTER))
        }
        ("sets.contains" | "sets.intersects", None, [one, other]) => {
            Called::costs(one.size().times(other.size()).add(ONE))
        }
        ("sets.equivalent", None, [one, other]) => {
            Called::costs(one.size().times(other.size()).by(2.0).add(ONE))
        }
        _ => standard(function, target, arguments),
    }
}

/// cel-go's own estimate.
fn standard(function: &str, target: Option<&Costed>, arguments: &[Costed]) -> Called {
    let plain = Called::costs(ONE);
    match (function, target, arguments) {
        ("format", Some(target), _) => Called::costs(target.size().by(PER_CHARACTER)),
        ("bytes", None, [text]) => {
            let size = text.size();
            // A character takes at most four bytes.
            let bytes = Range::new(size.min, size.max.saturating_mul(4));
            let converted =
                may(&text.of, &Type::String).then(|| Called::gives(size.by(PER_CHARACTER), bytes));
            any([converted, (text.of != Type::String).then_some(plain)])
        }
        ("string", None, [bytes]) => {
            let size = bytes.size();
            let text = Range::new(size.min / 4, size.max);
            let converted = may(&bytes.of, &Type::Bytes).then(|| Called::gives(size.by(PER_CHARACTER), text));
            any([converted, (bytes.of != Type::Bytes).then_some(plain)])
        }
        ("strings.quote", None, [text]) => {
            let size = text.size();
            // Every character may be escaped; the quotes are two more.
            let quoted = Range::new(size.min.saturating_add(2), size.max.saturating_mul(2).saturating_add(2));
            Called::gives(size.by(PER_CHARACTER), quoted)
        }
        ("startsWith" | "endsWith", Some(_), [part]) => Called::costs(part.size().by(PER_CHARACTER)),
        ("contains", Some(text), [part]) => {
            Called::costs(text.size().by(PER_CHARACTER).times(part.size().by(PER_CHARACTER)))
        }
        ("matches", Some(text), [pattern]) | ("matches", None, [text, pattern]) => {
            Called::costs(searched(text, pattern))
        }
        _ => plain,
    }
}

/// A text searched for a pattern: one character more, so that a costly pattern over an empty text still costs
/// something.
fn searched(text: &Costed, pattern: &Costed) -> Range {
    let text = text.size().add(ONE).by(PER_CHARACTER);
    text.times(pattern.size().by(PER_PATTERN_CHARACTER))
}

fn selector_cost(size: Range) -> Range {
    // The shortest requirement takes two characters.
    LIST.add(size.by(PER_CHARACTER)).add(size.by(0.5).by(REQUIREMENT))
}

/// Every element once, and each character of string elements.
fn each(function: &str, target: &Costed, walk: &Walk<'_>) -> Range {
    let Some((element, of)) = element(target, walk) else {
        return if function == "includes" { target.size() } else { target.size().by(PER_CHARACTER) };
    };
    let one = match of {
        Type::String | Type::Bytes => ONE.add(element.by(PER_CHARACTER)),
        _ => ONE,
    };
    target.size().times(one)
}

/// The size and type of a list's elements, by place; a map is represented by its keys, as in the API server.
fn element(list: &Costed, walk: &Walk<'_>) -> Option<(Range, Type)> {
    let of = match &list.of {
        Type::List(element) | Type::Optional(element) => (**element).clone(),
        Type::Map(key, _) => (**key).clone(),
        _ => return None,
    };
    let of = if of == Type::Free { Type::Dyn } else { of };
    let size = walk.sizes.of(list.within("@items").as_deref(), &of).unwrap_or(Range::ANY);
    Some((size, of))
}

fn joined(list: &Costed, separator: Option<&Costed>, walk: &Walk<'_>) -> Range {
    let size = list.size();
    let texts = element(list, walk).map_or(Range::ZERO, |(element, _)| size.times(element));
    let Some(separator) = separator else { return texts };
    let between = Range::new(size.min.saturating_sub(1), size.max.saturating_sub(1));
    texts.add(separator.size().times(between))
}

/// The length of a text after one text in it was replaced by another.
fn replaced(text: Range, old: Range, new: Range) -> Range {
    let at_most = |of: u64, by: u64| of.div_ceil(by.max(1));
    // An empty text matches around every character.
    let (most, kept) = if old.min == 0 {
        (text.max.saturating_add(1), text.max)
    } else if new.max <= old.min {
        (0, text.max)
    } else {
        (at_most(text.max, old.min), 0)
    };
    let (least, kept_least) = if old.max == 0 {
        (text.min.saturating_add(1), text.min)
    } else if old.max <= new.min {
        (0, text.min)
    } else {
        (at_most(text.min, old.max), 0)
    };
    Range::new(least, most).times(new).add(Range::new(kept_least, kept))
}

fn contains(function: &str, other: &Costed) -> Range {
    let mut cost = ADDRESS.add(ADDRESS).by(PER_CHARACTER);
    if function == "containsCIDR" {
        // The network is masked, and the lengths are compared.
        cost = cost.add(ADDRESS.by(PER_CHARACTER)).add(ONE);
    }
    let parsed = cost.add(other.size().by(PER_CHARACTER));
    match other.of {
        Type::String => parsed,
        Type::Dyn => cost.union(parsed),
        _ => cost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of `TestSize` in `cost_test.go` of the API server.
    #[test]
    fn replaced_texts_are_as_long_as_the_api_server_thinks() {
        let is = Range::exactly;
        for (text, old, new, expected) in [
            (is(3), is(0), is(1), is(7)),
            (is(3), is(1), is(0), Range::new(0, 3)),
            (is(4), is(2), is(4), Range::new(4, 8)),
            (is(4), Range::new(0, 1), Range::new(0, 2), Range::new(0, 14)),
            (is(4), is(1), Range::new(1, 2), Range::new(4, 8)),
            (is(4), Range::new(1, 2), is(1), Range::new(2, 4)),
        ] {
            assert_eq!(replaced(text, old, new), expected);
        }
    }
}
