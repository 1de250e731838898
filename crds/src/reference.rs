//! The reference pages of the language, `docs/formats/pack.md`, and of what puts packs in force, `docs/formats/cluster.md`: every field with its type and
//! meaning, made from the schemas.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::members::MemberRules;

const HEAD: &str = "# The format of packs and tests\n\n\
Made from the types in `crds/src` and from `complete.yaml`; `UPDATE_EXPECT=1 cargo test -p bailiwick-crds` writes it anew.\n\n\
A pack is one object of the kind `PolicyPack`; its tests are objects of the kind `PolicyTest`. `bailiwick check`, the CLI's other \
commands and a cluster read the same text. What expressions may name stands in `expressions.md`, what puts packs in force in `cluster.md`, what enforces each field \
in `docs/enforcement-table.md`.\n\n\
- **Names** are DNS labels. In the lists marked *by name* they are unique.\n\
- **Parameters**: `\"${name}\"` may stand wherever a text, a number or a word may, never for a boolean, a whole list, an object, CEL, or \
in `pack`, `version`, `description` and `parameters`. In a list `[\"${name}\"]` splices a list parameter in.\n\
- **Durations** are Go's (`1h30m`), **quantities** Kubernetes' (`64Mi`, `500m`), **versions** semantic versions without build metadata.\n\
- **Peers** of a network rule are hosts, or one CIDR with exceptions, or pods by the labels of namespaces and pods. `namespaces` \
alone: all pods of these namespaces; `pods` alone: pods of the pod's own namespace; both: these pods of these namespaces.\n\
- **CEL**: `expressions.md` says what an expression may name and call. `authorizer` and `authorizer.requestResource` of admission rules ask the API \
server's authorizer, as in an admission policy, in everything but messages: \
`authorizer.group('').resource('secrets').namespace(request.namespace).check('list').allowed()`. In a cluster the webhook asks by SubjectAccessReview, \
at most 16 questions for one request, each 300 ms; without an answer the expression is an error, which denies. `bailiwick review` and a webhook over \
files ask nobody. A case of a PolicyTest says the answers under `admission.authorizer`.\n\
- **Rego**: a rule names a file of the folder `rego/` beside the pack and a set in it; what the set holds is a violation each. `input` has \
`object`, `oldObject`, `request` (also `review`), `params` (also `parameters`) and `namespaceObject`; `docs/guide/rego.md` says the rest.\n\
- **Fragments**: further `*.yaml` beside `pack.yaml` hold parts of the same object (`apiVersion` and `kind` repeated). Objects are merged, lists \
by name are joined, and stating a thing twice is an error.\n\
- **`pack.lock`** has one list `packs` of `name`, `version` and `digest`: SHA-256 (hex) of the canonical JSON (RFC 8785) of the spec as authored, the texts of its Rego in it. \
`bailiwick compile --lock` writes it.\n\n\
A field in **bold** must be there.\n";

const COMPLETE: &str = "\n# A complete pack\n\n\
It shows every section, and so also what is read and checked but not supported, which is refused with its diagnostic: `network.proxy`, peers by `hosts`, \
`runtime.preload` and egress of a sandbox. `docs/enforcement-table.md` names them all; the packs of `policy-packs/` compile.\n\n";

const CLUSTER_HEAD: &str = "# What puts packs in force in a cluster\n\n\
Made from the types in `crds/src`; `UPDATE_EXPECT=1 cargo test -p bailiwick-crds` writes it anew.\n\n\
The operator and the webhook read these objects; `docs/guide/cluster.md` shows them at work, and examples of each stand in `docs/guide/cluster/`. A pack itself is a `PolicyPack` \
(`pack.md`). What became of an object stands in its status: `kubectl describe`, `kubectl bailiwick status`.\n\n\
A field in **bold** must be there.\n";

/// The page about a cluster's objects.
#[must_use]
pub fn cluster_page() -> String {
    let mut out = CLUSTER_HEAD.to_owned();
    sections(&crate::schema::binding(), "PolicyBinding", "", &mut out);
    sections(&crate::schema::exception(), "PolicyException", "", &mut out);
    sections(&crate::schema::sandbox_pool(), "SandboxPool", "", &mut out);
    out
}

/// The page about packs and tests.
#[must_use]
pub fn page(example: &str) -> String {
    let mut out = HEAD.to_owned();
    sections(&crate::schema::pack(), "PolicyPack", example, &mut out);
    sections(&crate::schema::policy_test(), "PolicyTest", "", &mut out);
    let _ = write!(out, "{COMPLETE}```yaml\n{example}```\n");
    out
}

fn sections(document: &Value, kind: &str, example: &str, out: &mut String) {
    let _ = write!(out, "\n# {kind}\n");
    let Some(spec) = document.pointer("/properties/spec").and_then(Value::as_object) else { return };
    let _ = write!(out, "\n{}\n", text(spec, "description"));
    let none = Map::new();
    for (name, section) in spec.get("properties").and_then(Value::as_object).unwrap_or(&none) {
        let Some(section) = section.as_object() else { continue };
        let _ = write!(out, "\n## `spec.{name}`\n\n{}\n\n", text(section, "description"));
        if let Some(lines) = slice(example, name) {
            let _ = write!(out, "```yaml\n{lines}```\n\n");
        }
        let required = is_required(spec, name);
        out.push_str("| Field | Type | Meaning |\n|---|---|---|\n");
        row(&format!("spec.{name}"), section, required, out);
        fields(&format!("spec.{name}"), section, out);
    }
}

/// The lines of the example that are about a section: from its key to the next one of the same depth.
fn slice(example: &str, section: &str) -> Option<String> {
    let starts = |line: &str| {
        line.strip_prefix("  ").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()))
    };
    let mut lines = example.lines().skip_while(|line| !line.starts_with(&format!("  {section}:")));
    let first = lines.next()?;
    let rest = lines.take_while(|line| !starts(line));
    Some([first].into_iter().chain(rest).filter(|line| !line.is_empty()).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line.strip_prefix("  ").unwrap_or(line));
            all.push('\n');
            all
        },
    ))
}

fn text<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_required(schema: &Map<String, Value>, name: &str) -> bool {
    schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|names| names.iter().any(|known| known == name))
}

fn is_selector(schema: &Map<String, Value>) -> bool {
    schema
        .get("properties")
        .is_some_and(|known| known.get("matchLabels").is_some() && known.get("matchExpressions").is_some())
}

/// Rows of everything within a field.
fn fields(at: &str, schema: &Map<String, Value>, out: &mut String) {
    if is_selector(schema) {
        return;
    }
    if let Some(items) = schema.get("items").and_then(Value::as_object) {
        fields(&format!("{at}[]"), items, out);
    }
    for (name, child) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let Some(child) = child.as_object() else { continue };
        let at = format!("{at}.{name}");
        row(&at, child, is_required(schema, name), out);
        fields(&at, child, out);
    }
}

fn row(at: &str, schema: &Map<String, Value>, required: bool, out: &mut String) {
    let name = if required { format!("**`{at}`**") } else { format!("`{at}`") };
    let mut meaning = text(schema, "description").to_owned();
    for (word, about) in schema.get("x-bailiwick-words").and_then(Value::as_object).into_iter().flatten() {
        let default = schema.get("x-bailiwick-default").and_then(|words| words.get(0)) == Some(&json!(word));
        let mark = if default { " (default)" } else { "" };
        let _ = write!(meaning, "<br>`{word}`{mark}: {}", about.as_str().unwrap_or_default().trim());
    }
    let items = schema.get("items").and_then(Value::as_object);
    let (own, of_items) = (MemberRules::of(schema), items.map(MemberRules::of).unwrap_or_default());
    for (lead, own, of_items) in [
        ("Exactly one of", own.exactly_one, of_items.exactly_one),
        ("At least one of", own.at_least_one, of_items.at_least_one),
        ("At most one of", own.at_most_one, of_items.at_most_one),
    ] {
        let groups = if own.is_empty() { of_items } else { own };
        if !groups.is_empty() {
            let _ = write!(meaning, "<br>{lead} {}.", groups_text(&groups));
        }
    }
    let _ = writeln!(out, "| {name} | {} | {} |", kind(schema), meaning.replace('|', "\\|"));
}

fn groups_text(groups: &[Vec<&str>]) -> String {
    let group =
        |names: &Vec<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join("/");
    groups.iter().map(group).collect::<Vec<_>>().join(", ")
}

fn kind(schema: &Map<String, Value>) -> String {
    if is_selector(schema) {
        return "label selector".to_owned();
    }
    if schema.contains_key("x-bailiwick-words") {
        return "word".to_owned();
    }
    let format = text(schema, "x-bailiwick-format");
    if !format.is_empty() {
        return match format {
            "cel" => "CEL".to_owned(),
            "rego" => "Rego".to_owned(),
            other => other.replace('-', " "),
        };
    }
    let range = match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!(" {least} to {most}"),
        (Some(least), None) => format!(" from {least}"),
        _ => String::new(),
    };
    match text(schema, "type") {
        "" => "any".to_owned(),
        "integer" => format!("integer{range}"),
        "array" => {
            let element = schema.get("items").and_then(Value::as_object).map(kind).unwrap_or_default();
            let keys = schema.get("x-kubernetes-list-map-keys");
            let by =
                keys.and_then(|keys| keys.get(0)).and_then(Value::as_str).map(|key| format!(", by {key}"));
            format!("list of {element}{}", by.unwrap_or_default())
        }
        "object"
            if schema
                .get("additionalProperties")
                .is_some_and(|values| values.get("type") == Some(&json!("string"))) =>
        {
            "map of texts".to_owned()
        }
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_fresh() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats");
        let example =
            std::fs::read_to_string(format!("{folder}/complete.yaml")).expect("the example is there");
        let page = super::page(&example);
        let path = format!("{folder}/pack.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &page).expect("docs/ is writable");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == page, "docs/formats/pack.md is stale: run with UPDATE_EXPECT=1");
    }

    #[test]
    fn the_page_about_a_cluster_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/formats/cluster.md");
        let page = super::cluster_page();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, &page).expect("docs/ is writable");
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == page, "docs/formats/cluster.md is stale: run with UPDATE_EXPECT=1");
    }

    #[test]
    fn every_section_of_the_language_stands_in_the_example() {
        let page = super::page(include_str!("../../docs/formats/complete.yaml"));
        let pack = page.split("# PolicyTest").next().expect("there");
        for section in pack.split("\n## `spec.").skip(1) {
            assert!(
                section.contains("```yaml"),
                "no example: {}",
                section.lines().next().unwrap_or_default()
            );
        }
    }
}
