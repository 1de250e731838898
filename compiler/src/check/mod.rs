//! The diagnostic codes, one file each, and the checks that live with them.
//!
//! A file `bwNNNN_name.rs` begins with `//!` lines: the title, the problem, an example, the remedy. They are what
//! `bailiwick explain BWNNNN` prints and what `docs/diagnostics.md` is made of. It defines `pub const CODE: Code`.
//! 01xx syntax and schema, 02xx references and composition, 03xx CEL and Rego, 04xx a layer contradicts another, 05xx a
//! target cannot express it, 06xx no effect, 07xx risky.

use crate::diagnostic::Code;

/// Declares the modules of a hundred and lists their codes.
macro_rules! codes {
    ($list:ident: $($module:ident),* $(,)?) => {
        $(pub mod $module;)*
        const $list: &[Code] = &[$($module::CODE),*];
    };
}

// Syntax and schema.
codes! { SYNTAX:
    bw0101_invalid_yaml,
    bw0102_duplicate_key,
    bw0103_limit_exceeded,
    bw0104_unknown_field,
    bw0105_not_utf8,
    bw0106_boolean_key,
    bw0107_wrong_type,
    bw0108_missing_field,
    bw0109_unknown_word,
    bw0110_bad_form,
    bw0111_out_of_range,
    bw0112_duplicate_name,
    bw0113_members,
    bw0114_wrong_document,
    bw0115_object_name,
}

// References and composition.
codes! { COMPOSITION:
    bw0201_fragment_clash,
    bw0202_unknown_parameter,
    bw0203_parameter_domain,
    bw0204_bad_parameter,
    bw0205_not_bindable,
    bw0206_unset_parameter,
    bw0207_unknown_pack,
    bw0208_no_version,
    bw0209_lock_missing,
    bw0210_lock_stale,
    bw0211_lock_digest,
    bw0212_extends_cycle,
    bw0213_parameter_place,
}

// CEL and Rego.
codes! { EXPRESSIONS:
}

// A layer contradicts another.
codes! { LAYERS:
}

// A target cannot express it, or it is not built yet.
codes! { TARGETS:
}

// No effect.
codes! { EFFECT:
    bw0601_unused_parameter,
}

// Risky.
codes! { RISK:
}

/// Every code, in the order of the numbers.
pub fn codes() -> impl Iterator<Item = Code> {
    [SYNTAX, COMPOSITION, EXPRESSIONS, LAYERS, TARGETS, EFFECT, RISK].into_iter().flatten().copied()
}

/// The code of this name, in any case: `BW0104`, `bw0104`.
#[must_use]
pub fn code(id: &str) -> Option<Code> {
    codes().find(|code| code.id().eq_ignore_ascii_case(id))
}

/// The reference page of all codes, `docs/diagnostics.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Diagnostics\n\nGenerated from `compiler/src/check/`; `UPDATE_EXPECT=1 cargo test -p bailiwick-compiler check` writes it anew.\n\
         01xx syntax and schema, 02xx references and composition, 03xx CEL and Rego, 04xx a layer contradicts another,\n\
         05xx a target cannot express it, 06xx no effect, 07xx risky.\n",
    );
    for code in codes() {
        page.push_str(&format!("\n## {} ({}): {}\n\n{}", code.id(), code.severity(), code.title(), code.documentation()));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_unique_and_documented() {
        let ids: Vec<_> = codes().map(Code::id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        for code in codes() {
            let text = code.documentation();
            assert!(text.contains("```"), "{code}: show an example");
            assert!(text.lines().count() >= 5, "{code}: say what the problem is and what to do");
        }
    }

    #[test]
    fn the_page_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/diagnostics.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, page()).expect("docs/ is writable");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == page(), "docs/diagnostics.md is stale: run with UPDATE_EXPECT=1");
    }
}
