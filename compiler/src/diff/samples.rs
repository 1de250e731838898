//! Texts that a regular expression matches, and texts near a constant.

use regex_syntax::hir::{Class, Hir, HirKind};

use bailiwick_policy::cel::compile_pattern;

/// Most texts for one pattern, twice over.
const MAX_SAMPLES: usize = 8;
/// Most members of a class that are all sampled.
const MAX_MEMBERS: usize = 4;
/// Longest sample, in bytes: even if a pattern requires a thousand characters, a longer command line shows
/// nothing more.
const MAX_SAMPLE_BYTES: usize = 512;

/// Some texts that a pattern of a pack matches, one for each of its alternatives, and then some more of its
/// classes.
pub(super) fn matching(pattern: &str) -> Vec<String> {
    // RE2's meaning in this parser's syntax.
    let Ok(regex) = compile_pattern(pattern) else { return Vec::new() };
    let Ok(hir) = regex_syntax::parse(regex.as_str()) else { return Vec::new() };
    let mut texts: Vec<String> = Vec::new();
    for text in [1, MAX_MEMBERS].into_iter().flat_map(|most| of(&hir, most)) {
        if !texts.contains(&text) && regex.is_match(&text) {
            texts.push(text);
        }
    }
    texts
}

/// `most`: members of each class.
fn of(hir: &Hir, most: usize) -> Vec<String> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![String::new()],
        HirKind::Literal(literal) => vec![String::from_utf8_lossy(&literal.0).into_owned()],
        HirKind::Class(class) => members(class).into_iter().take(most).map(String::from).collect(),
        HirKind::Capture(capture) => of(&capture.sub, most),
        HirKind::Repetition(repetition) => {
            let one = of(&repetition.sub, most);
            let least = usize::try_from(repetition.min).unwrap_or(usize::MAX);
            let repeated = |text: &String| {
                let times = if text.is_empty() { 1 } else { least.min(MAX_SAMPLE_BYTES / text.len()) };
                text.repeat(times)
            };
            let mut texts: Vec<String> = one.iter().map(repeated).collect();
            if least == 0 {
                texts = vec![String::new()];
                texts.extend(one);
            }
            texts
        }
        HirKind::Concat(parts) => {
            parts.iter().fold(vec![String::new()], |begun, part| joined(&begun, &of(part, most)))
        }
        HirKind::Alternation(all) => in_turn(all.iter().map(|one| of(one, most)).collect()),
    }
}

/// The first text of each alternative, then the second of each, and so on: an alternative with many texts
/// leaves room for those behind it.
fn in_turn(alternatives: Vec<Vec<String>>) -> Vec<String> {
    let mut left: Vec<_> = alternatives.into_iter().map(Vec::into_iter).collect();
    let mut texts = Vec::new();
    while texts.len() < MAX_SAMPLES {
        let round: Vec<String> = left.iter_mut().filter_map(Iterator::next).collect();
        if round.is_empty() {
            break;
        }
        texts.extend(round);
    }
    texts.truncate(MAX_SAMPLES);
    texts
}

/// Each beginning and each end at least once, then the other pairs.
fn joined(begun: &[String], part: &[String]) -> Vec<String> {
    let steps = if begun.is_empty() || part.is_empty() { 0 } else { begun.len().max(part.len()) };
    let once = begun.iter().cycle().zip(part.iter().cycle()).take(steps);
    let pairs = begun.iter().flat_map(|begin| part.iter().map(move |end| (begin, end)));
    let mut texts: Vec<String> = Vec::new();
    for text in once.chain(pairs).map(|(begin, end)| format!("{begin}{end}")) {
        if text.len() <= MAX_SAMPLE_BYTES && texts.len() < MAX_SAMPLES && !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// The members of a small class, as `a|b` is one. Of a larger one a letter or a digit if it contains one, and
/// the first printable character of each other range: another class of that many ranges has others.
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
    let within = |char: char| ranges.iter().position(|(first, last)| *first <= char && char <= *last);
    let preferred = ['a', '1', 'A'].into_iter().chain('!'..='~').find_map(|char| Some((char, within(char)?)));
    let Some((preferred, own)) = preferred else {
        return ranges.first().map(|(first, _)| *first).into_iter().collect();
    };
    let others = ranges.iter().enumerate().filter(|(at, _)| *at != own).map(|(_, range)| range);
    let printable = |(first, last): &(char, char)| ('!'..='~').find(|char| first <= char && char <= last);
    std::iter::once(preferred).chain(others.filter_map(printable)).take(MAX_MEMBERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alternative_has_a_sample_that_matches() {
        assert_eq!(matching("(^|/)git$"), ["git", "/git"]);
        assert_eq!(
            matching("^([+]|--for|--mir|-[A-Za-z0-9]*f)"),
            ["+", "--for", "--mir", "-f", "-af", "-0f", "-Af"]
        );
        assert_eq!(matching("^[0-9]{3}x?$"), ["111", "111x"]);
        // The parser makes a class of these.
        assert_eq!(matching("^(a|b)$"), ["a", "b"]);
        // And of these one range more than the other.
        assert_eq!(matching("^[a-z]$"), ["a"]);
        assert_eq!(matching("^[a-z0-9_]$"), ["a", "0", "_"]);
        assert!(matching("(").is_empty());
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
            let texts = matching(pattern);
            assert!(texts.iter().any(|one| one == text), "{pattern}: no {text} in {texts:?}");
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

    /// The texts that members of classes add.
    fn of_classes(pattern: &str) -> Vec<String> {
        of(&regex_syntax::parse(pattern).expect("a pattern"), MAX_MEMBERS)
    }
}
