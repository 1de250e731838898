//! An expression that is being written: its words, the receiver before a dot, the macros around a position,
//! and the resulting type.
//!
//! The types come from the compiler: the receiver is compiled inside the macros around it, so that
//! `pod.mainContainers.all(c, c.` requests the type of `pod.mainContainers.map(c, c)`.

use std::ops::Range;

use bailiwick_compiler::cel::{self, Context, Interner, MAX_SOURCE_BYTES, Type};

/// Most macros around a position. The compiler nests no deeper.
const MAX_MACROS: usize = 16;

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Name,
    Number,
    Text { is_closed: bool },
    Sign(u8),
}

#[derive(Clone, Debug)]
struct Word {
    kind: Kind,
    span: Range<usize>,
}

/// Where in an expression the cursor is.
#[derive(Debug, PartialEq, Eq)]
pub struct Spot {
    /// The typed part of a name.
    pub prefix: String,
    /// The expression before the dot, if there is a dot.
    pub receiver: Option<String>,
    /// The enclosing macros, outermost first.
    pub around: Vec<Around>,
}

/// A macro around a position, which binds its variables there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    /// Its name: `all`, `bind`.
    pub name: String,
    /// Its receiver; for `cel.bind` the bound value.
    pub on: String,
    /// The variables.
    pub variables: Vec<String>,
}

/// The spot at the end of a text; `None` inside a string or a number.
#[must_use]
pub fn spot(before: &str) -> Option<Spot> {
    let mut words = words(before);
    let mut prefix = String::new();
    match words.last() {
        Some(Word { kind: Kind::Name, span }) if span.end == before.len() => {
            prefix = before.get(span.clone())?.to_owned();
            words.pop();
        }
        Some(Word { kind: Kind::Text { is_closed: false } | Kind::Number, span })
            if span.end == before.len() =>
        {
            return None;
        }
        _ => {}
    }
    let mut end = words.len();
    // `.?name` selects as `.name` does.
    if matches!(words.get(end.wrapping_sub(1)).map(|word| word.kind), Some(Kind::Sign(b'?')))
        && matches!(words.get(end.wrapping_sub(2)).map(|word| word.kind), Some(Kind::Sign(b'.')))
    {
        end -= 1;
    }
    let receiver = match words.get(end.wrapping_sub(1)).map(|word| word.kind) {
        Some(Kind::Sign(b'.')) => {
            let last = end.checked_sub(2)?;
            let first = chain(&words, last)?;
            Some(text(before, &words, first, last)?)
        }
        _ => None,
    };
    Some(Spot { prefix, receiver, around: around(before, &words) })
}

/// The name at an offset with the chain that ends in it, and whether it is called there.
#[must_use]
pub fn name_at(source: &str, offset: usize) -> Option<(Range<usize>, String, bool)> {
    let all = words(source);
    let at = all
        .iter()
        .position(|word| word.kind == Kind::Name && word.span.start <= offset && offset <= word.span.end)?;
    let word = all.get(at)?;
    let is_called = matches!(all.get(at + 1).map(|next| next.kind), Some(Kind::Sign(b'(')));
    let first = chain(&all, at)?;
    Some((word.span.clone(), text(source, &all, first, at)?, is_called))
}

/// The macros around an offset.
#[must_use]
pub fn macros_at(source: &str, offset: usize) -> Vec<Around> {
    let before = source.get(..offset).unwrap_or(source);
    around(before, &words(before))
}

/// The type of an expression inside macros; `None` if it has none.
#[must_use]
pub fn type_of(expression: &str, around: &[Around], context: &Context) -> Option<Type> {
    let mut text = expression.to_owned();
    for one in around.iter().rev() {
        let variables = one.variables.join(", ");
        let on = &one.on;
        text = match (one.name.as_str(), one.variables.len()) {
            ("bind", _) => format!("cel.bind({variables}, {on}, {text})"),
            ("optMap" | "optFlatMap", _) => format!("{on}.optMap({variables}, {text})"),
            (_, 1) => format!("{on}.map({variables}, {text})"),
            _ => format!("{on}.transformList({variables}, {text})"),
        };
    }
    let context = context.expecting(Type::Dyn);
    let (_, mut of) = cel::compile(&text, &context, &mut Interner::default()).ok()?;
    for one in around {
        of = match (one.name.as_str(), of) {
            ("bind", of) => of,
            (_, Type::List(inner) | Type::Optional(inner)) => (*inner).clone(),
            (_, _) => return None,
        };
    }
    Some(of)
}

/// The words of a text, by CEL's rules, without comments. Empty for a text longer than any expression.
fn words(source: &str) -> Vec<Word> {
    let bytes = if source.len() > MAX_SOURCE_BYTES { &[] } else { source.as_bytes() };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        let start = at;
        let kind = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = end_of(bytes, at, |byte| byte != b'\n');
                continue;
            }
            b'"' | b'\'' => {
                let (end, is_closed) = quoted(bytes, at, is_raw(&found, source, at));
                at = end;
                Kind::Text { is_closed }
            }
            b'0'..=b'9' => {
                at = end_of(bytes, at, |byte| byte.is_ascii_alphanumeric() || byte == b'.');
                Kind::Number
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                at = end_of(bytes, at, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                Kind::Name
            }
            other => {
                at += 1;
                Kind::Sign(other)
            }
        };
        if !source.is_char_boundary(at) {
            at = source.ceil_char_boundary(at);
        }
        found.push(Word { kind, span: start..at });
    }
    found
}

fn end_of(bytes: &[u8], start: usize, goes_on: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !goes_on(*byte)).unwrap_or(rest.len())
}

/// Whether the quote at `at` follows an `r`, which makes backslashes literal.
fn is_raw(found: &[Word], source: &str, at: usize) -> bool {
    found.last().is_some_and(|word| {
        word.kind == Kind::Name
            && word.span.end == at
            && source.get(word.span.clone()).is_some_and(|name| name.contains(['r', 'R']) && name.len() <= 2)
    })
}

/// The end of the string that begins here, and whether it is closed.
fn quoted(bytes: &[u8], start: usize, is_raw: bool) -> (usize, bool) {
    let quote = bytes.get(start).copied().unwrap_or_default();
    let is_triple = bytes.get(start..start + 3).is_some_and(|three| three.iter().all(|byte| *byte == quote));
    let closing = if is_triple { 3 } else { 1 };
    let mut at = start + closing;
    while let Some(byte) = bytes.get(at).copied() {
        if byte == b'\\' && !is_raw {
            at += 2;
            continue;
        }
        if bytes.get(at..at + closing).is_some_and(|next| next.iter().all(|byte| *byte == quote)) {
            return (at + closing, true);
        }
        at += 1;
    }
    (bytes.len(), false)
}

fn text(source: &str, words: &[Word], first: usize, last: usize) -> Option<String> {
    source.get(words.get(first)?.span.start..words.get(last)?.span.end).map(str::to_owned)
}

fn sign(words: &[Word], at: usize) -> Option<u8> {
    match words.get(at)?.kind {
        Kind::Sign(sign) => Some(sign),
        _ => None,
    }
}

/// Whether an index may follow this kind of word.
const fn is_operand(kind: Kind) -> bool {
    matches!(kind, Kind::Name | Kind::Text { .. } | Kind::Sign(b')' | b']' | b'}'))
}

/// The first word of the chain `a.b(c)[d].e` whose last word is `last`.
fn chain(words: &[Word], last: usize) -> Option<usize> {
    let mut at = last;
    loop {
        match words.get(at)?.kind {
            Kind::Sign(b')' | b']' | b'}') => {
                let open = opening(words, at)?;
                let before = open.checked_sub(1).and_then(|before| words.get(before)).map(|word| word.kind);
                let follows = match sign(words, open) {
                    Some(b'(') => before == Some(Kind::Name),
                    Some(b'[') => before.is_some_and(is_operand),
                    _ => false,
                };
                if !follows {
                    return Some(open);
                }
                at = open - 1;
            }
            Kind::Name | Kind::Text { .. } | Kind::Number => {
                let mut dot = at.checked_sub(1);
                if dot.and_then(|dot| sign(words, dot)) == Some(b'?') {
                    dot = dot.and_then(|dot| dot.checked_sub(1));
                }
                let Some(dot) = dot.filter(|dot| sign(words, *dot) == Some(b'.')) else { return Some(at) };
                let Some(before) = dot.checked_sub(1) else { return Some(at) };
                at = before;
            }
            Kind::Sign(_) => return None,
        }
    }
}

/// The bracket that opens the pair closed at `close`.
fn opening(words: &[Word], close: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..=close).rev() {
        match sign(words, at) {
            Some(b')' | b']' | b'}') => depth += 1,
            Some(b'(' | b'[' | b'{') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The macros whose brackets are open at the end of the words, outermost first.
fn around(source: &str, words: &[Word]) -> Vec<Around> {
    let mut open: Vec<usize> = Vec::new();
    for at in 0..words.len() {
        match sign(words, at) {
            Some(b'(' | b'[' | b'{') => open.push(at),
            Some(b')' | b']' | b'}') => drop(open.pop()),
            _ => {}
        }
    }
    let found = open.into_iter().filter(|at| sign(words, *at) == Some(b'('));
    found.filter_map(|at| bound_by(source, words, at)).take(MAX_MACROS).collect()
}

/// The macro whose bracket opens at `open`, if it binds variables before the end of the words.
fn bound_by(source: &str, words: &[Word], open: usize) -> Option<Around> {
    let name_at = open.checked_sub(1)?;
    let name = source.get(words.get(name_at)?.span.clone())?;
    let dot = name_at.checked_sub(1).filter(|dot| sign(words, *dot) == Some(b'.'))?;
    let last = dot.checked_sub(1)?;
    let parts = arguments(words, open);
    let complete = parts.len().saturating_sub(1);
    let plain = |index: usize| -> Option<String> {
        let part = parts.get(index)?;
        let word = words.get(part.start).filter(|word| part.len() == 1 && word.kind == Kind::Name)?;
        source.get(word.span.clone()).map(str::to_owned)
    };
    let on = text(source, words, chain(words, last)?, last)?;
    if name == "bind" && on == "cel" {
        let value = parts.get(1).filter(|_| complete >= 2)?;
        let value = text(source, words, value.start, value.end.checked_sub(1)?)?;
        return Some(Around { name: name.to_owned(), on: value, variables: vec![plain(0)?] });
    }
    let (least, most) = match name {
        "all" | "exists" | "exists_one" | "existsOne" => (1, 2),
        "map" | "filter" | "sortBy" | "optMap" | "optFlatMap" => (1, 1),
        "transformList" | "transformMap" | "transformMapEntry" => (2, 2),
        _ => return None,
    };
    let variables: Vec<String> = (0..complete.min(most)).map_while(plain).collect();
    (variables.len() >= least).then(|| Around { name: name.to_owned(), on, variables })
}

/// The arguments after a bracket, as ranges of words; the last one is incomplete.
fn arguments(words: &[Word], open: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (open + 1, 0_usize);
    for at in open + 1..words.len() {
        match sign(words, at) {
            Some(b'(' | b'[' | b'{') => depth += 1,
            Some(b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            Some(b',') if depth == 0 => {
                parts.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(start..words.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(text: &str) -> Option<String> {
        spot(text).unwrap().receiver
    }

    #[test]
    fn what_stands_before_the_dot() {
        assert_eq!(receiver("a && object.spec.con").as_deref(), Some("object.spec"));
        assert_eq!(receiver("x.filter(c, c.y == 1)[0].").as_deref(), Some("x.filter(c, c.y == 1)[0]"));
        assert_eq!(receiver("['a', 'b'].").as_deref(), Some("['a', 'b']"));
        assert_eq!(receiver("!('a' in c.?resources.?").as_deref(), Some("c.?resources"));
        assert_eq!(receiver("(a + b).").as_deref(), Some("(a + b)"));
        assert_eq!(receiver("'a.b'.").as_deref(), Some("'a.b'"));
        assert_eq!(receiver("a + b"), None);
        assert!(spot("object.x == 'some te").is_none());
        assert!(spot("1.").is_none());
        assert_eq!(spot("").unwrap().prefix, "");
    }

    #[test]
    fn which_macros_are_around() {
        let around = spot("a.all(c, b.exists(d, f(c, d.").unwrap().around;
        let shown: Vec<_> = around.iter().map(|one| (one.on.as_str(), one.variables.join(","))).collect();
        assert_eq!(shown, [("a", "c".to_owned()), ("b", "d".to_owned())]);
        assert_eq!(spot("a.all(c, c.x) && ").unwrap().around, []);
        assert_eq!(spot("a.all(k, v, v.").unwrap().around[0].variables, ["k", "v"]);
        assert_eq!(spot("a.all(c").unwrap().around, []);
        assert_eq!(spot("cel.bind(x, a.b, x.").unwrap().around[0].on, "a.b");
    }

    #[test]
    fn types_are_those_inside_of_the_macros() {
        let mut context = Context::admission(Type::of_kind("", "v1", "Pod"));
        context.pod = cel::PodAccess::Available;
        let of = |before: &str| {
            let spot = spot(before).unwrap();
            type_of(&spot.receiver.unwrap(), &spot.around, &context).map(|of| of.to_string())
        };
        assert_eq!(of("object.").as_deref(), Some("Pod"));
        assert_eq!(of("pod.mainContainers.all(c, c.").as_deref(), Some("Container"));
        assert_eq!(of("pod.mainContainers.all(c, c.ports.exists(p, p.").as_deref(), Some("ContainerPort"));
        assert_eq!(of("pod.mainContainers.all(i, c, c.securityContext.").as_deref(), Some("SecurityContext"));
        assert_eq!(of("cel.bind(s, object.spec, s.").as_deref(), Some("PodSpec"));
        assert_eq!(of("object.metadata.?labels.optMap(l, l.").as_deref(), Some("map(string, string)"));
        assert_eq!(of("nothing."), None);
    }

    #[test]
    fn whatever_the_text_is_it_ends() {
        for text in [
            "", ".", "..", ")", ").", "(((", "a.(", "'", "\"\"\"", "ä.", "a.ä", "r'\\", "?.", "a.?.", "{}.",
            "]]].",
        ] {
            let _ = spot(text);
            let _ = name_at(text, 0);
        }
    }
}
