//! Texts that a regular expression matches.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

use bailiwick_policy::cel::compile_pattern;

/// Alternatives of one pattern that have a sample. A list of programs or domains has some hundred; a pattern
/// of more is one of those that a search does not exhaust.
const MAX_ALTERNATIVES: usize = 512;
/// Texts that combine alternatives in other ways, once each has a sample.
const MAX_FURTHER: usize = 8;
/// Most members of a class that are all sampled.
const MAX_MEMBERS: usize = 4;
/// Longest sample, in bytes: even if a pattern requires a thousand characters, a longer command line shows
/// nothing more.
const MAX_SAMPLE_BYTES: usize = 512;

/// Texts that a pattern matches.
#[derive(Debug)]
pub(super) struct Samples {
    /// One for each of its alternatives, then some more of its classes and combinations.
    pub(super) texts: Vec<String>,
    /// Whether an alternative has none.
    pub(super) is_cut: bool,
}

/// Texts that a pattern of a pack matches.
pub(super) fn matching(pattern: &str) -> Samples {
    // RE2's meaning in this parser's syntax.
    let parsed = compile_pattern(pattern)
        .ok()
        .and_then(|regex| regex_syntax::parse(regex.as_str()).ok().map(|hir| (regex, hir)));
    let Some((regex, hir)) = parsed else { return Samples { texts: Vec::new(), is_cut: true } };
    let (simple, classes) = (of(&hir, 1).capped(), of(&hir, usize::MAX).capped());
    let is_cut = simple.is_cut || classes.is_cut;
    let mut seen = BTreeSet::new();
    let mut texts: Vec<String> = [simple, classes].into_iter().flat_map(Made::all).collect();
    texts.retain(|text| regex.is_match(text) && seen.insert(text.clone()));
    Samples { texts, is_cut }
}

/// Texts of a part of a pattern.
#[derive(Default)]
struct Made {
    /// All of its alternatives at least once.
    each: Vec<String>,
    /// Other combinations of them.
    further: Vec<String>,
    is_cut: bool,
}

impl Made {
    fn one(text: String) -> Self {
        Self { each: vec![text], ..Self::default() }
    }

    fn all(self) -> impl Iterator<Item = String> {
        self.each.into_iter().chain(self.further)
    }

    fn map(self, change: impl Fn(String) -> String) -> Self {
        let changed = |texts: Vec<String>| texts.into_iter().map(&change).collect();
        Self { each: changed(self.each), further: changed(self.further), is_cut: self.is_cut }
    }

    fn capped(mut self) -> Self {
        let many = self.each.len();
        self.each.truncate(MAX_ALTERNATIVES);
        self.each.retain(|text| text.len() <= MAX_SAMPLE_BYTES);
        self.is_cut |= self.each.len() < many;
        self.further.truncate(MAX_FURTHER);
        self
    }
}

/// `most`: members of each class.
fn of(hir: &Hir, most: usize) -> Made {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Made::one(String::new()),
        HirKind::Literal(literal) => Made::one(String::from_utf8_lossy(&literal.0).into_owned()),
        HirKind::Class(class) => {
            let each = members(class).into_iter().take(most).map(String::from).collect();
            Made { each, ..Made::default() }
        }
        HirKind::Capture(capture) => of(&capture.sub, most),
        HirKind::Repetition(repetition) => {
            let mut one = of(&repetition.sub, most);
            let least = usize::try_from(repetition.min).unwrap_or(usize::MAX);
            if least == 0 {
                one.each.insert(0, String::new());
                return one;
            }
            one.map(|text| {
                let times = if text.is_empty() { 1 } else { least.min(MAX_SAMPLE_BYTES / text.len()) };
                text.repeat(times)
            })
        }
        HirKind::Concat(parts) => {
            let begun = Made::one(String::new());
            parts.iter().fold(begun, |begun, part| joined(&begun, &of(part, most)).capped())
        }
        HirKind::Alternation(all) => any(all.iter().map(|one| of(one, most)).collect()).capped(),
    }
}

/// The first text of each alternative, then the second of each, and so on.
fn any(alternatives: Vec<Made>) -> Made {
    let is_cut = alternatives.iter().any(|one| one.is_cut);
    let (each, further) = alternatives.into_iter().map(|one| (one.each, one.further)).unzip();
    Made { each: in_turn(each), further: in_turn(further), is_cut }
}

fn in_turn(texts: Vec<Vec<String>>) -> Vec<String> {
    let longest = texts.iter().map(Vec::len).max().unwrap_or_default();
    (0..longest).flat_map(|at| texts.iter().filter_map(move |one| one.get(at).cloned())).collect()
}

/// Each beginning and each end at least once, then other pairs.
fn joined(begun: &Made, part: &Made) -> Made {
    let longest = match begun.each.is_empty() || part.each.is_empty() {
        true => 0,
        false => begun.each.len().max(part.each.len()),
    };
    let joined = |(begin, end): (&String, &String)| format!("{begin}{end}");
    let each: Vec<String> =
        begun.each.iter().cycle().zip(part.each.iter().cycle()).take(longest).map(joined).collect();
    let pairs = begun
        .each
        .iter()
        .chain(&begun.further)
        .flat_map(|begin| part.each.iter().chain(&part.further).map(move |end| (begin, end)));
    let further = pairs.map(joined).filter(|text| !each.contains(text)).take(MAX_FURTHER).collect();
    Made { each, further, is_cut: begun.is_cut || part.is_cut }
}

/// The members of a small class, as `a|b` is one. Of a larger one a letter or a digit if it contains one, and
/// both printable ends of each range: a class of other ranges has other ends.
fn members(class: &Class) -> Vec<char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) => {
            class.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
        }
    };
    let each = || ranges.iter().flat_map(|(first, last)| *first..=*last);
    if each().nth(MAX_MEMBERS).is_none() {
        let mut all: Vec<char> = each().collect();
        all.sort_by_key(|char| !char.is_ascii_graphic());
        return all;
    }
    let within = |char: &char| ranges.iter().any(|(first, last)| first <= char && char <= last);
    let Some(preferred) = ['a', '1', 'A'].into_iter().chain('!'..='~').find(within) else {
        return ranges.first().map(|(first, _)| *first).into_iter().collect();
    };
    let ends = |(first, last): &(char, char)| {
        let printable = |char: &char| first <= char && char <= last;
        [('!'..='~').find(printable), ('!'..='~').rev().find(printable)]
    };
    let mut all = vec![preferred];
    for end in ranges.iter().flat_map(ends).flatten() {
        if !all.contains(&end) {
            all.push(end);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alternative_has_a_sample_that_matches() {
        assert_eq!(texts("(^|/)git$"), ["git", "/git"]);
        assert_eq!(
            texts("^([+]|--for|--mir|-[A-Za-z0-9]*f)"),
            ["+", "--for", "--mir", "-f", "-af", "-0f", "-9f", "-Af", "-Zf", "-zf"]
        );
        assert_eq!(texts("^[0-9]{3}x?$"), ["111", "111x", "000x", "999", "000", "999x"]);
        // The parser makes a class of these.
        assert_eq!(texts("^(a|b)$"), ["a", "b"]);
        // And of these one range more than the other.
        assert_eq!(texts("^[a-z]$"), ["a", "z"]);
        assert_eq!(texts("^[a-z0-9_]$"), ["a", "0", "9", "_", "z"]);
        assert!(texts("(").is_empty());
    }

    #[test]
    fn an_alternative_with_many_texts_leaves_room_for_the_others() {
        for (pattern, text) in [
            ("(?i)^(curl|wget)$", "WGET"),
            ("(?i)^(curl|wget)$", "CURL"),
            ("^(aa|bb)(cc|dd)(ee|ff)(--force|--mirror)$", "bbddff--mirror"),
            ("^(curl|wget) (aa|bb|cc|dd|ee|ff|gg|hh)$", "wget hh"),
            ("^((aa|bb)(cc|dd)(ee|ff)|wget)$", "wget"),
            ("^git(| --force| --mirror)$", "git --mirror"),
            ("^git( --force| --mirror)?$", "git --mirror"),
        ] {
            let texts = texts(pattern);
            assert!(texts.iter().any(|one| one == text), "{pattern}: no {text} in {texts:?}");
        }
        // However many there are, nested ones and letters that the parser makes a class of, too.
        for (pattern, last) in [
            ("^(aa|bb|cc|dd|ee|ff|gg|hh|ii|jj)$", "jj"),
            ("^((aa|bb|cc|dd|ee|ff|gg|hh|ii|jj)xx|yy)$", "jjxx"),
            ("^(kk|ll) (aa|bb|cc|dd|ee|ff|gg|hh|ii|jj)( zz)?$", "ll jj zz"),
            ("^(a|b|c|d|e|f|g|h|i|j)$", "j"),
        ] {
            let texts = texts(pattern);
            assert!(texts.iter().any(|one| one == last), "{pattern}: no {last} in {texts:?}");
        }
        for (pattern, end) in [
            ("^[ab][ab][ab](--force|--mirror)$", "--mirror"),
            ("^[ab][ab][ab](--force|--mirror)$", "--force"),
        ] {
            assert!(of_classes(pattern).iter().any(|text| text.ends_with(end)), "{pattern}: {end}");
        }
        let lower = of_classes("(?i)^(curl|wget)$");
        assert!(lower.iter().any(|text| text.eq_ignore_ascii_case("wget")), "{lower:?}");
    }

    #[test]
    fn what_has_no_sample_is_told() {
        let of = |count: usize| {
            let all: Vec<String> = (0..count).map(|one| format!("x{one}y")).collect();
            matching(&format!("^({})$", all.join("|")))
        };
        let (all, some) = (of(MAX_ALTERNATIVES), of(MAX_ALTERNATIVES + 1));
        assert_eq!((all.texts.len(), all.is_cut), (MAX_ALTERNATIVES, false));
        assert_eq!((some.texts.len(), some.is_cut), (MAX_ALTERNATIVES, true));
        assert!(matching(&"ab".repeat(MAX_SAMPLE_BYTES)).is_cut);
    }

    fn texts(pattern: &str) -> Vec<String> {
        matching(pattern).texts
    }

    /// The texts that members of classes add.
    fn of_classes(pattern: &str) -> Vec<String> {
        of(&regex_syntax::parse(pattern).expect("a pattern"), usize::MAX).all().collect()
    }
}
