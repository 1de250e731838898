//! `docs/enforcement-table.md`: every field of the language, and the test or the BW05xx code that stands for it.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_compiler::check::code;
use bailiwick_crds::schema;
use serde_json::Value;

use super::calls;
use super::fields::FIELDS;

/// A field that is read and checked but refused, with all that lies below it; or one word of an accepted field.
pub(super) struct Refused {
    pub(super) field: &'static str,
    /// The word that is refused; `None`: whatever the field says.
    pub(super) word: Option<&'static str>,
    /// The code that refuses it.
    pub(super) code: &'static str,
    /// Why it cannot be enforced as things are.
    why: &'static str,
    /// What would enforce it.
    awaits: &'static str,
}

const PROXY: &str = "a proxy for egress, at the nodes or as a gateway";
const ADDRESSES: &str =
    "a NetworkPolicy names addresses and labels; nothing sees the host or the request of a connection";

/// In the order of the fields.
pub(super) const REFUSED: &[Refused] = &[
    Refused {
        field: "spec.audit.admission",
        word: Some("Required"),
        code: "BW0524",
        why: "the webhook keeps no log that it could flush before it answers; the API server's audit log holds its decisions",
        awaits: "an audit log of each webhook",
    },
    Refused {
        field: "spec.images[].require[].attestation",
        word: None,
        code: "BW0507",
        why: "of the evidence about an image only signatures are read and judged",
        awaits: "reading and judging attestations",
    },
    Refused {
        field: "spec.network.egress[].http",
        word: None,
        code: "BW0505",
        why: ADDRESSES,
        awaits: PROXY,
    },
    Refused { field: "spec.network.egress[].tls", word: None, code: "BW0505", why: ADDRESSES, awaits: PROXY },
    Refused {
        field: "spec.network.egress[].to.hosts",
        word: None,
        code: "BW0505",
        why: ADDRESSES,
        awaits: PROXY,
    },
    Refused {
        field: "spec.network.proxy",
        word: None,
        code: "BW0506",
        why: "there is no proxy to place",
        awaits: PROXY,
    },
    Refused {
        field: "spec.pools[].backend",
        word: Some("Pod"),
        code: "BW0525",
        why: "nothing makes a pod for a call and runs the call in it; the executor's sandboxes are processes of its own pod",
        awaits: "a backend of the executor that makes pods",
    },
    Refused {
        field: "spec.sandboxes[].filesystem.workspace.durable",
        word: Some("true"),
        code: "BW0522",
        why: "a workspace lives in memory, and nothing saves it before a result is told",
        awaits: "storage for workspaces",
    },
    Refused {
        field: "spec.sandboxes[].filesystem.workspace.lifetime",
        word: Some("Call"),
        code: "BW0522",
        why: "a workspace is made with its session and is there for the next call",
        awaits: "workspaces that are made for a call",
    },
    Refused {
        field: "spec.sandboxes[].network.egress",
        word: Some("any name"),
        code: "BW0521",
        why: "a sandbox has a network of its own with nothing in it",
        awaits: PROXY,
    },
    Refused {
        field: "spec.sandboxes[].runtime.lifetime",
        word: Some("Session"),
        code: "BW0510",
        why: "an interpreter is started for each call and ends with it",
        awaits: "runtimes that are kept between the calls of a session",
    },
    Refused {
        field: "spec.sandboxes[].runtime.preload",
        word: Some("any name"),
        code: "BW0509",
        why: "every interpreter starts afresh; none is forked from one that has loaded modules",
        awaits: "runtimes that are forked from a loaded one",
    },
    Refused {
        field: "spec.tools.definitions[].run.http",
        word: None,
        code: "BW0516",
        why: "the executor runs programs in sandboxes and speaks to no server",
        awaits: "a gateway to tools that run elsewhere",
    },
    Refused {
        field: "spec.tools.definitions[].run.mcp",
        word: None,
        code: "BW0516",
        why: "the executor runs programs in sandboxes and speaks to no server",
        awaits: "a gateway to tools that run elsewhere",
    },
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
        .filter(|refused| refused.word.is_none() && below(refused.field))
        .max_by_key(|refused| refused.field.len())
        .map(|refused| refused.code)
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
        let words = REFUSED.iter().find(|refused| refused.word.is_some() && refused.field == field);
        let row = match (test_of(&field), refusal(&field)) {
            (Some(_), Some(code)) => return Err(format!("`{field}` has a test and {code}")),
            (Some(test), None) => match words {
                Some(Refused { word, code, .. }) => {
                    format!("| `{field}` | `{test}` | `{}`: {code} |\n", word.unwrap_or_default())
                }
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
    page.push_str(
        "\n### Why fields are refused\n\nA pack that uses one of these does not compile: it would promise what nothing enforces. Each stands for all that lies \
         below it.\n\n| Field | Word | Code | Why | What it waits for |\n|---|---|---|---|---|\n",
    );
    for Refused { field, word, code, why, awaits } in REFUSED {
        let word = word.map(|word| format!("`{word}`")).unwrap_or_default();
        page.push_str(&format!("| `{field}` | {word} | {code} | {why} | {awaits} |\n"));
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
    for Refused { field, code: id, why, awaits, .. } in REFUSED {
        assert!(known.contains(*field), "`{field}` is no field");
        assert!(id.starts_with("BW05") && code(id).is_some(), "{id} is no code");
        assert!(
            why.split(' ').count() >= 5 && awaits.split(' ').count() >= 3,
            "`{field}` is refused without a reason"
        );
    }
    assert!(REFUSED.is_sorted_by_key(|refused| refused.field));
    // Exactly these are refused: a code that nothing of this list needs would refuse something else.
    let used: BTreeSet<&str> = REFUSED.iter().map(|refused| refused.code).collect();
    let all: BTreeSet<&str> = (505..=507)
        .chain([509, 510, 516])
        .chain([521, 522, 524, 525])
        .map(|number| code(&format!("BW0{number}")).expect("a code").id())
        .collect();
    assert_eq!(used, all);
}
