//! Bare words that kubectl's YAML 1.1 does not read as text.

use std::sync::LazyLock;

use regex::Regex;

/// Numbers of YAML 1.1 as kubectl reads them, without `_` and in any base.
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let based = "0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+";
    let decimal = r"(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?";
    Regex::new(&format!(r"^(?:[-+]?(?:{based}|{decimal}|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))$")).ok()
});

/// Whether it is a number. `_` may stand anywhere behind the first character.
pub(super) fn is_number(word: &str) -> bool {
    let begins = word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.'));
    begins && NUMBER.as_ref().is_some_and(|number| number.is_match(&word.replace('_', "")))
}

/// Whether it is a boolean.
pub(super) fn is_boolean(word: &str) -> bool {
    const WORDS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];
    WORDS.iter().any(|known| {
        word.eq_ignore_ascii_case(known) && {
            let mut letters = word.bytes();
            let first = letters.next().is_some_and(|first| first.is_ascii_uppercase());
            // `on`, `On` or `ON`; never `oN`.
            let lower = letters.clone().all(|rest| rest.is_ascii_lowercase());
            lower || (first && letters.all(|rest| rest.is_ascii_uppercase()))
        }
    })
}

/// Whether it is a boolean only in a mixture of cases that kubectl does not know. What stands in quotes behind a
/// tag is no word.
pub(super) fn is_mixed(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphabetic()) && !is_boolean(word)
}

/// What a key is to kubectl, if that stores another text for it.
pub(super) fn other_than_text(key: &str) -> Option<String> {
    if is_boolean(key) && !matches!(key, "true" | "false") {
        let means = matches!(key.to_ascii_lowercase().as_str(), "y" | "yes" | "on" | "true");
        return Some(format!("a boolean in YAML: kubectl reads it as `\"{means}\"`"));
    }
    let differs = is_number(key) && !is_its_own_text(key);
    differs.then(|| "a number in YAML: kubectl writes it in another way".to_owned())
}

/// Whether kubectl writes a number as it stands: an integer, or a fraction that needs no exponent and no more than 32
/// bits, in which it writes keys.
fn is_its_own_text(number: &str) -> bool {
    let plain = |value: &f32| (1e-4..1e6).contains(&value.abs());
    number.parse::<i64>().is_ok_and(|value| value.to_string() == number)
        || number.parse().ok().filter(plain).is_some_and(|value: f32| value.to_string() == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `kubectl create --dry-run=client` reads them.
    #[test]
    fn numbers_are_kubectls() {
        for word in [
            "0", "-7", "+7", "010", "08", "0o17", "0O17", "0b11", "-0b1_1", "0x1F", "0X1f", "0x_1f", "1_",
            "1__0", "+_1", "-1__0", "0__7", "1_.5", "5._0", ".5_0", "1_e3", "1.", ".5", "1.e3", "1E-3",
            "1_2_3", ".inf", "-.INF", ".NaN",
        ] {
            assert!(is_number(word), "{word}");
        }
        for word in [
            "",
            "-",
            ".",
            "_1",
            "0x",
            "0b2",
            "0o8",
            "0x1.8p1",
            "1e",
            "1.2.3",
            "1-2",
            "12:30",
            "2001-01-01",
            "1f",
            "inf",
            "-.nan",
            ".iNf",
            "١",
            "--1",
            "0x-1",
            "e3",
        ] {
            assert!(!is_number(word), "{word}");
        }
    }

    #[test]
    fn keys_that_kubectl_writes_as_they_stand_are_texts() {
        for key in [
            "80",
            "0",
            "-7",
            "1.5",
            "0.25",
            "1.2.3.4",
            "true",
            "a1",
            "9223372036854775807",
            "0x",
            "_1",
            "100000.5",
        ] {
            assert_eq!(other_than_text(key), None, "{key}");
        }
        for key in [
            "080",
            "+7",
            "-0",
            "1.10",
            "1.0",
            "1.",
            ".5",
            "1e3",
            "1_000",
            "0x1F",
            "9223372036854775808",
            "1000000.5",
            "0.00001",
            ".inf",
            "y",
            "True",
            "OFF",
        ] {
            assert!(other_than_text(key).is_some(), "{key}");
        }
    }
}
