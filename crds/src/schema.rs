//! The schemas of the language, made from the wire types.
//!
//! Two forms. [`pack()`] and [`policy_test()`] are what the compiler checks documents against: with closed sets of words and our
//! own `x-bailiwick-…` marks. [`crds()`] holds what an API server gets: structural, without our marks, with a status, and wherever a
//! parameter may stand, open for `"${name}"`. No parameter stands in the kinds of a cluster ([`binding()`], [`exception()`], [`sandbox_pool()`]).
//!
//! Our marks: `x-bailiwick-format` (form of a text), `x-bailiwick-words` (what each word means), `x-bailiwick-default` (the word that stands for an absent field), `x-bailiwick-one-of` (of
//! these groups of members exactly one is there), `x-bailiwick-some-of` (at least one of these), `x-bailiwick-at-most-one-of` (of these members, or groups,
//! at most one is there),
//! `x-bailiwick-requires` (a member that needs another), `x-bailiwick-plain` (an integer in whose place no text may stand),
//! `x-bailiwick-date-time` (a text that the API server reads as RFC 3339).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::binding::{
    PolicyBinding, PolicyBindingSpec, PolicyBindingStatus, PolicyException, PolicyExceptionSpec,
    PolicyExceptionStatus,
};
use crate::pack::{PolicyPack, PolicyPackSpec};
use crate::policy_test::{PolicyTest, PolicyTestSpec};
use crate::sandbox_pool::{SandboxPool, SandboxPoolSpec, SandboxPoolStatus};
use crate::status::PolicyPackStatus;

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

/// Schema of a whole PolicyBinding document, `metadata` and `status` excepted.
#[must_use]
pub fn binding() -> Value {
    document(
        "PolicyBinding",
        "Puts a pack in force: with values for its parameters, for some of its subjects, at a stage.",
        spec::<PolicyBindingSpec>(),
    )
}

/// Schema of a whole PolicyException document, `metadata` and `status` excepted.
#[must_use]
pub fn exception() -> Value {
    document(
        "PolicyException",
        "Excepts named objects from one rule of a pack, for a time. Stands in the policy namespace only.",
        spec::<PolicyExceptionSpec>(),
    )
}

/// Schema of a whole SandboxPool document, `metadata` and `status` excepted.
#[must_use]
pub fn sandbox_pool() -> Value {
    document(
        "SandboxPool",
        "Keeps executor pods that run the tool calls of one pack.",
        spec::<SandboxPoolSpec>(),
    )
}

/// The document with the status that controllers write.
fn with_status<T: JsonSchema>(mut document: Value) -> Value {
    if let Some(properties) = document.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("status".to_owned(), spec::<T>());
    }
    document
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

/// The schema as an API server gets it; `sections`: whether a parameter may stand in those of the spec.
fn for_api_server(mut schema: Value, sections: Parameters) -> Value {
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
                    if WITHOUT_PARAMETERS.contains(&name) { Parameters::Closed } else { sections };
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
    let plain = object.contains_key("x-bailiwick-plain");
    if object.contains_key("x-bailiwick-date-time") {
        object.insert("format".to_owned(), json!("date-time"));
    }
    strip(object);
    if plain {
        object.insert("format".to_owned(), json!("int64"));
    } else if object.get("type") == Some(&json!("integer")) {
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
    ($($root:ident => $schema:expr),+ $(,)?) => {
        $(impl JsonSchema for $root {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($root).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                Schema::try_from($schema).unwrap_or_default()
            }
        })+

        /// Every kind with its definition and its schema as the API server gets it.
        fn kinds() -> Vec<(CustomResourceDefinition, Value)> {
            vec![$(($root::crd(), $schema)),+]
        }
    };
}

root_schema! {
    PolicyPack => for_api_server(with_status::<PolicyPackStatus>(pack()), Parameters::Open),
    PolicyTest => for_api_server(policy_test(), Parameters::Open),
    PolicyBinding => for_api_server(with_status::<PolicyBindingStatus>(binding()), Parameters::Closed),
    PolicyException => for_api_server(with_status::<PolicyExceptionStatus>(exception()), Parameters::Closed),
    SandboxPool => for_api_server(with_status::<SandboxPoolStatus>(sandbox_pool()), Parameters::Closed),
}

/// The CustomResourceDefinitions with the names of their files, as YAML.
///
/// # Errors
/// A definition that cannot be written as YAML.
pub fn crds() -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    kinds()
        .into_iter()
        .map(|(definition, schema)| {
            let file = format!("{}.yaml", definition.spec.names.plural);
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
        for (definition, schema) in kinds() {
            assert_structural(&schema, &definition.spec.names.kind);
        }
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
        for (name, schema) in [("binding", binding()), ("exception", exception()), ("pool", sandbox_pool())] {
            collect(&schema, name, &mut found);
        }
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
                "binding.spec.parameters.additionalProperties",
                "pool.spec.parameters.additionalProperties",
                "test.spec.cases.items.admission.object",
                "test.spec.cases.items.admission.oldObject",
                "test.spec.cases.items.expect.args",
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
        for (definition, mut schema) in kinds() {
            // The API server has a description of its own for `metadata`.
            schema["properties"].as_object_mut().expect("members").remove("metadata");
            walk(&schema, &definition.spec.names.kind);
        }
    }
}
