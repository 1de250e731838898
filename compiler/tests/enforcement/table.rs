//! `docs/enforcement-table.md`: every field of the language, and the test or the BW05xx code that stands for it.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::check::code;
use bailiwick_crds::schema;
use serde_json::Value;

use super::calls;
use super::fields::FIELDS;

/// Fields that are read and checked but refused, with the code that refuses them; with all that lies below them.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("spec.images[].require[].attestation", "BW0507"),
    ("spec.network.egress[].http", "BW0505"),
    ("spec.network.egress[].tls", "BW0505"),
    ("spec.network.egress[].to.hosts", "BW0505"),
    ("spec.network.proxy", "BW0506"),
    ("spec.tools.definitions[].run.http", "BW0516"),
    ("spec.tools.definitions[].run.mcp", "BW0516"),
];

/// Words of accepted fields that are refused.
pub(super) const REFUSED_WORDS: &[(&str, &str, &str)] = &[
    ("spec.audit.admission", "Required", "BW0524"),
    ("spec.pools[].backend", "Pod", "BW0525"),
    ("spec.sandboxes[].filesystem.workspace.durable", "true", "BW0522"),
    ("spec.sandboxes[].filesystem.workspace.lifetime", "Call", "BW0522"),
    ("spec.sandboxes[].network.egress", "any name", "BW0521"),
    ("spec.sandboxes[].runtime.lifetime", "Session", "BW0510"),
    ("spec.sandboxes[].runtime.preload", "any name", "BW0509"),
];

/// Every field below `spec`; whether it has members of its own.
fn walk(node: &Value, at: &str, out: &mut BTreeMap<String, bool>) {
    for (name, member) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let mut at = format!("{at}.{name}");
        let mut inner = member;
        let place = at.clone();
        while let Some(items) = inner.get("items") {
            at.push_str("[]");
            inner = items;
        }
        out.insert(place, inner.get("properties").is_some());
        walk(inner, &at, out);
    }
}

pub(super) fn fields() -> BTreeMap<String, bool> {
    let mut out = BTreeMap::new();
    walk(schema::pack().pointer("/properties/spec").expect("a pack has a spec"), "spec", &mut out);
    out
}

/// The longest refused field that this is or lies below.
pub(super) fn refusal(field: &str) -> Option<&'static str> {
    let below = |outer: &str| {
        field.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    REFUSED
        .iter()
        .filter(|(outer, _)| below(outer))
        .max_by_key(|(outer, _)| outer.len())
        .map(|(_, code)| *code)
}

fn test_of(field: &str) -> Option<&'static str> {
    FIELDS.iter().chain(calls::FIELDS).find(|(_, fields)| fields.contains(&field)).map(|(name, _)| *name)
}

fn table() -> Result<String, String> {
    let mut page = String::from(
        "# What becomes of every field\n\nGenerated from the CRDs' schemas and the tests; `UPDATE_EXPECT=1 cargo test -p bailiwick-compiler --test\n\
         enforcement` and `-p bailiwick --test cli case_fields` write it anew. A field that only holds others is what its members are.\n\n\
         ## PolicyPack\n\nA field is enforced, as the named test of `compiler/tests/enforcement/` shows, or refused with the named code.\n\n| Field | Enforced, as this test shows | Refused with |\n|---|---|---|\n",
    );
    let mut missing = Vec::new();
    for (field, holds) in fields() {
        let words = REFUSED_WORDS.iter().find(|(place, ..)| *place == field);
        let row = match (test_of(&field), refusal(&field)) {
            (Some(_), Some(code)) => return Err(format!("`{field}` has a test and {code}")),
            (Some(test), None) => match words {
                Some((_, word, code)) => format!("| `{field}` | `{test}` | `{word}`: {code} |\n"),
                None => format!("| `{field}` | `{test}` | |\n"),
            },
            (None, Some(code)) => format!("| `{field}` | | {code} |\n"),
            (None, None) if holds => continue,
            (None, None) => {
                missing.push(field);
                continue;
            }
        };
        page.push_str(&row);
    }
    if missing.is_empty() { Ok(page) } else { Err(format!("neither test nor code: {}", missing.join(", "))) }
}

#[test]
fn every_field_is_enforced_or_refused() {
    let page = table().unwrap_or_else(|error| panic!("{error}"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/enforcement-table.md");
    let found = std::fs::read_to_string(path).unwrap_or_default();
    // The section about tests is the command line's, which carries them out (`compiler/cli/tests/cli/case_fields.rs`).
    let (own, tests) = found.split_once("\n## PolicyTest\n").unwrap_or((&found, ""));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, format!("{page}\n## PolicyTest\n{tests}")).expect("docs/ is writable");
    } else {
        assert!(own == page, "docs/enforcement-table.md is stale: run with UPDATE_EXPECT=1");
    }
}

#[test]
fn the_lists_name_fields_and_codes_that_are_there() {
    let known: BTreeSet<String> = fields().into_keys().collect();
    for (name, fields) in FIELDS.iter().chain(calls::FIELDS) {
        for field in *fields {
            assert!(known.contains(*field), "{name}: `{field}` is no field");
        }
    }
    for (field, id) in REFUSED.iter().copied().chain(REFUSED_WORDS.iter().map(|(field, _, id)| (*field, *id)))
    {
        assert!(known.contains(field), "`{field}` is no field");
        assert!(id.starts_with("BW05") && code(id).is_some(), "{id} is no code");
    }
    // Exactly these are refused: a code that nothing of this list needs would refuse something else.
    let used: BTreeSet<&str> =
        REFUSED.iter().map(|(_, id)| *id).chain(REFUSED_WORDS.iter().map(|(.., id)| *id)).collect();
    let all: BTreeSet<&str> = (505..=507)
        .chain([509, 510, 516])
        .chain([521, 522, 524, 525])
        .map(|number| code(&format!("BW0{number}")).expect("a code").id())
        .collect();
    assert_eq!(used, all);
}
