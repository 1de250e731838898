//! The schemas of the language, made from the wire types.
//!
//! Two forms. [`pack`] and [`policy_test`] are what the compiler checks documents against: with closed sets of words and our
//! own `x-bailiwick-…` marks. [`crds`] holds what an API server gets: structural, without our marks, and wherever a
//! parameter may stand, open for `"${name}"`.
//!
//! Our marks: `x-bailiwick-format` (form of a text), `x-bailiwick-words` (what each word means), `x-bailiwick-default` (the word that stands for an absent field), `x-bailiwick-one-of` (of
//! these groups of members exactly one is there), `x-bailiwick-some-of` (at least one of these), `x-bailiwick-at-most-one-of`,
//! `x-bailiwick-requires` (a member that needs another).

use kube::CustomResourceExt;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::pack::{PolicyPack, PolicyPackSpec};
use crate::policy_test::{PolicyTest, PolicyTestSpec};

/// A parameter in the place of a value.
const PARAMETER: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}";

/// Schema of a whole PolicyPack document, `metadata` excepted.
#[must_use]
pub fn pack() -> Value {
    document(
        "PolicyPack",
        "A policy pack: one human-authored source for every control of a subject's pods, sandboxes and tools.",
        spec::<PolicyPackSpec>(),
    )
}

/// Schema of a whole PolicyTest document, `metadata` excepted.
#[must_use]
pub fn policy_test() -> Value {
    document(
        "PolicyTest",
        "Tests of a policy pack: cases, each with what is expected.",
        spec::<PolicyTestSpec>(),
    )
}

fn document(kind: &str, description: &str, spec: Value) -> Value {
    json!({
        "type": "object",
        "description": description,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": { "type": "string", "enum": ["bailiwick.dev/v1alpha1"], "description": "`bailiwick.dev/v1alpha1`." },
            "kind": { "type": "string", "enum": [kind], "description": format!("`{kind}`.") },
            "metadata": { "type": "object", "description": "Name, labels and annotations, as of every object." },
            "spec": spec,
        },
    })
}

fn spec<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    clean(&mut schema);
    schema
}

/// Members of a schema object that are schemas themselves.
fn subschemas(schema: &mut Map<String, Value>, mut visit: impl FnMut(&str, &mut Value)) {
    for (name, child) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        visit(name, child);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = schema.get_mut(key) {
            visit(key, child);
        }
    }
}

/// Takes out what Rust's types bring along: `null` beside every optional member, defaults, formats of machine integers.
fn clean(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(choices)) = object.remove("anyOf") {
        let chosen = choices.into_iter().filter_map(|choice| match choice {
            Value::Object(choice) if choice.get("type") != Some(&json!("null")) => Some(choice),
            _ => None,
        });
        for (key, value) in chosen.flatten() {
            object.entry(key).or_insert(value);
        }
    }
    if let Some(Value::Array(types)) = object.get("type") {
        let kept = types.iter().find(|name| *name != "null").cloned();
        object.insert("type".to_owned(), kept.unwrap_or(Value::Null));
    }
    for key in ["$schema", "title", "default", "format"] {
        object.remove(key);
    }
    if object.get("additionalProperties") == Some(&Value::Bool(false)) {
        object.remove("additionalProperties");
    }
    if let Some(text) = object.get("description").and_then(Value::as_str) {
        object.insert("description".to_owned(), json!(text.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    subschemas(object, |_, child| clean(child));
}

/// Members of `spec` whose texts are what they are: no parameter may stand in them.
const WITHOUT_PARAMETERS: [&str; 5] = ["pack", "version", "description", "extends", "parameters"];

/// The schema as an API server gets it.
fn for_api_server(mut schema: Value) -> Value {
    let Some(root) = schema.as_object_mut() else { return schema };
    subschemas(root, |name, child| {
        if name == "metadata" {
            // An API server has a schema of its own for it and takes nothing beside the type.
            *child = json!({ "type": "object" });
        } else if name == "spec" {
            let Some(spec) = child.as_object_mut() else { return };
            strip(spec);
            subschemas(spec, |name, section| {
                let parameters =
                    if WITHOUT_PARAMETERS.contains(&name) { Parameters::Closed } else { Parameters::Open };
                open(section, parameters);
            });
        } else {
            open(child, Parameters::Closed);
        }
    });
    schema
}

/// Whether a parameter may stand for a value.
#[derive(Clone, Copy, PartialEq)]
enum Parameters {
    Open,
    Closed,
}

fn strip(schema: &mut Map<String, Value>) {
    if let Some(Value::Object(words)) = schema.remove("x-bailiwick-words") {
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let mut text = description.to_owned();
        for (word, about) in &words {
            text.push_str(&format!(" `{word}`: {}", about.as_str().unwrap_or_default().trim()));
        }
        schema.insert("description".to_owned(), json!(text));
    }
    schema.retain(|key, _| !key.starts_with("x-bailiwick-"));
}

fn open(schema: &mut Value, parameters: Parameters) {
    let Some(object) = schema.as_object_mut() else { return };
    strip(object);
    if object.get("type") == Some(&json!("integer")) {
        object.remove("type");
        object.insert("x-kubernetes-int-or-string".to_owned(), Value::Bool(true));
    }
    if parameters == Parameters::Open {
        if let Some(Value::Array(words)) = object.remove("enum") {
            let words: Vec<_> =
                words.iter().filter_map(Value::as_str).map(|word| word.replace('*', r"\*")).collect();
            object.insert("pattern".to_owned(), json!(format!("^(?:{}|{PARAMETER})$", words.join("|"))));
        } else if let Some(pattern) = object.get("pattern").and_then(Value::as_str) {
            let pattern = format!("{pattern}|^{PARAMETER}$");
            object.insert("pattern".to_owned(), json!(pattern));
        }
    }
    subschemas(object, |_, child| open(child, parameters));
}

macro_rules! root_schema {
    ($root:ty, $schema:expr) => {
        impl JsonSchema for $root {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($root).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                Schema::try_from(for_api_server($schema)).unwrap_or_default()
            }
        }
    };
}

root_schema!(PolicyPack, pack());
root_schema!(PolicyTest, policy_test());

/// The CustomResourceDefinitions with the names of their files, as YAML.
///
/// # Errors
/// A definition that cannot be written as YAML.
pub fn crds() -> Result<Vec<(&'static str, String)>, serde_saphyr::ser::Error> {
    let definitions = [
        ("policypacks.yaml", PolicyPack::crd(), for_api_server(pack())),
        ("policytests.yaml", PolicyTest::crd(), for_api_server(policy_test())),
    ];
    definitions
        .into_iter()
        .map(|(file, definition, schema)| {
            let mut value = json!(definition);
            // kube's own rewriting of schemas knows nothing of ours: what stands in the file is exactly what was made here.
            if let Some(place) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
                *place = schema;
            }
            let text = serde_saphyr::to_string(&value)?;
            Ok((file, format!("# Made by crdgen from the types in crds/src. Do not edit.\n{text}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_fresh() {
        for (file, text) in crds().expect("writes") {
            let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&path, &text).expect("crds/ is writable");
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(found == text, "{file} is stale: run `cargo run -p bailiwick-crds --bin crdgen`");
        }
    }

    /// Rules of structural schemas: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>
    fn assert_structural(schema: &Value, at: &str) {
        let object = schema.as_object().expect("a schema is an object");
        let preserved = object.contains_key("x-kubernetes-preserve-unknown-fields");
        let either = object.contains_key("x-kubernetes-int-or-string");
        assert!(object.contains_key("type") || preserved || either, "{at}: no type");
        assert!(object.get("type").is_none_or(Value::is_string), "{at}: a union of types");
        for key in ["anyOf", "oneOf", "allOf", "not", "$ref", "nullable", "default"] {
            assert!(!object.contains_key(key), "{at}: {key}");
        }
        assert!(!object.keys().any(|key| key.starts_with("x-bailiwick")), "{at}: our own mark");
        let mut object = object.clone();
        subschemas(&mut object, |name, child| assert_structural(child, &format!("{at}.{name}")));
    }

    #[test]
    fn the_schemas_are_structural() {
        assert_structural(&for_api_server(pack()), "PolicyPack");
        assert_structural(&for_api_server(policy_test()), "PolicyTest");
    }

    #[test]
    fn unknown_fields_are_kept_only_where_the_language_is_open() {
        fn collect(schema: &Value, at: &str, found: &mut Vec<String>) {
            if schema.get("x-kubernetes-preserve-unknown-fields").is_some() {
                found.push(at.to_owned());
            }
            let mut object = schema.as_object().expect("an object").clone();
            subschemas(&mut object, |name, child| collect(child, &format!("{at}.{name}"), found));
        }
        let mut found = Vec::new();
        collect(&pack(), "", &mut found);
        collect(&policy_test(), "test", &mut found);
        found.sort();
        expect_test::expect![[r#"
            [
                ".spec.admission.rules.items.mutations.items.value",
                ".spec.extends.items.parameters.additionalProperties",
                ".spec.parameters.items.default",
                ".spec.parameters.items.enum.items",
                ".spec.parameters.items.maximum",
                ".spec.parameters.items.minimum",
                ".spec.parameters.items.subsetOf.items",
                ".spec.tools.definitions.items.input",
                "test.spec.cases.items.admission.object",
                "test.spec.cases.items.admission.oldObject",
                "test.spec.cases.items.expect.fields.items.value",
                "test.spec.cases.items.image.evidence.attestations.items.predicate",
                "test.spec.cases.items.toolCall.args",
                "test.spec.cases.items.toolCall.session.before.items.args",
                "test.spec.parameters.additionalProperties",
            ]
        "#]]
        .assert_debug_eq(&found);
    }

    #[test]
    fn every_field_has_a_description() {
        fn walk(schema: &Value, at: &str) {
            let mut object = schema.as_object().expect("an object").clone();
            subschemas(&mut object, |name, child| {
                let listed = matches!(name, "items" | "additionalProperties");
                assert!(listed || child.get("description").is_some(), "{at}.{name}");
                walk(child, &format!("{at}.{name}"));
            });
        }
        walk(&pack(), "PolicyPack");
        walk(&policy_test(), "PolicyTest");
    }
}
