//! Kinds of custom resources, from the CustomResourceDefinitions that an author supplies, used to check rules
//! over such resources.
//!
//! They only serve to check. The compiled policy is the same with and without them, since a compilation in a
//! cluster has none.
//!
//! A *structural* schema gives the type of everything and has no references (`apiextensions.k8s.io/v1`), so
//! the types are as large as the text.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use thiserror::Error;

use crate::cel::{Object, Record, Type};

/// Deepest level of a schema that gets types; everything below is `dyn`.
const MAX_DEPTH: u32 = 32;
/// The only version of CustomResourceDefinitions that API servers since 1.22 accept.
const API_VERSION: &str = "apiextensions.k8s.io/v1";

/// Custom resources by group, version and plural.
#[derive(Clone, Debug, Default)]
pub struct CustomKinds {
    known: BTreeMap<(String, String, String), CustomKind>,
}

/// One version of a custom resource.
#[derive(Clone, Debug)]
pub(crate) struct CustomKind {
    /// `Widget`.
    pub(crate) kind: String,
    /// The type of `object`.
    pub(crate) of: Type,
    /// How large its parts may be.
    pub(crate) bounds: Arc<Bounds>,
}

/// `maxItems`, `maxProperties` and `maxLength` by the path from the object, on which a list's elements are `@items` and a map's values `@values`.
pub(crate) type Bounds = BTreeMap<Vec<String>, u64>;

/// Why the schemas of a CustomResourceDefinition cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CustomKindError {
    /// An older form.
    #[error(
        "the CustomResourceDefinition is of `{0}`; convert it to `{API_VERSION}`, which keeps a schema in each version"
    )]
    Version(String),
    /// A required field of a definition is missing.
    #[error("the CustomResourceDefinition has no `{0}`")]
    Missing(&'static str),
    /// A version without a schema.
    #[error("version `{0}` of the CustomResourceDefinition has no `schema.openAPIV3Schema`")]
    NoSchema(String),
}

impl CustomKinds {
    /// Adds what an object declares; `false` if it is not a CustomResourceDefinition.
    ///
    /// # Errors
    /// It is one whose schemas cannot be read. Then nothing of it is added.
    pub fn add(&mut self, object: &Json) -> Result<bool, CustomKindError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str);
        if text("/kind") != Some("CustomResourceDefinition") {
            return Ok(false);
        }
        let version = text("/apiVersion").unwrap_or_default();
        if version != API_VERSION {
            return Err(CustomKindError::Version(version.to_owned()));
        }
        let group = text("/spec/group").ok_or(CustomKindError::Missing("spec.group"))?;
        let kind = text("/spec/names/kind").ok_or(CustomKindError::Missing("spec.names.kind"))?;
        let plural = text("/spec/names/plural").ok_or(CustomKindError::Missing("spec.names.plural"))?;
        let versions = object.pointer("/spec/versions").and_then(Json::as_array);
        let mut found = Vec::new();
        for version in versions.ok_or(CustomKindError::Missing("spec.versions"))? {
            let name = version.get("name").and_then(Json::as_str);
            let name = name.ok_or(CustomKindError::Missing("spec.versions[].name"))?;
            let schema = version.pointer("/schema/openAPIV3Schema");
            let schema = schema.ok_or_else(|| CustomKindError::NoSchema(name.to_owned()))?;
            let key = (group.to_owned(), name.to_owned(), plural.to_owned());
            let mut all = Bounds::new();
            bounds(schema, &mut Vec::new(), &mut all);
            let bounds = Arc::new(all);
            found.push((key, CustomKind { kind: kind.to_owned(), of: root(schema, kind), bounds }));
        }
        self.known.extend(found);
        Ok(true)
    }

    /// Whether no custom resources are known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A resource, by its plural.
    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<&CustomKind> {
        self.known.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// Plurals and kinds of the resources of a group.
    pub(crate) fn of_group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let own = self.known.iter().filter(move |((of, ..), _)| of == group);
        own.map(|((.., plural), custom)| (plural.as_str(), custom.kind.as_str()))
    }
}

/// The type of a whole object; fields that every object has may be absent from its schema.
fn root(schema: &Json, kind: &str) -> Type {
    let Type::Object(Object::Record(own)) = type_of(schema, kind, 0) else { return Type::Dyn };
    let mut fields = own.fields.clone();
    fields.insert("apiVersion".to_owned(), Type::String);
    fields.insert("kind".to_owned(), Type::String);
    fields.insert("metadata".to_owned(), Type::named("meta.v1.ObjectMeta"));
    record(kind, fields)
}

fn record(name: &str, fields: BTreeMap<String, Type>) -> Type {
    Type::Object(Object::Record(Arc::new(Record { name: name.to_owned(), fields })))
}

/// The type that expressions see for a schema: an object comes as JSON, in which times and bytes are strings.
fn type_of(schema: &Json, name: &str, depth: u32) -> Type {
    let marked = |mark: &str| schema.get(mark).and_then(Json::as_bool) == Some(true);
    let open = [
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
        "x-kubernetes-embedded-resource",
    ];
    if depth > MAX_DEPTH || open.into_iter().any(marked) {
        return Type::Dyn;
    }
    let scalar = |of: Type| if marked("nullable") { Type::Dyn } else { of };
    match schema.get("type").and_then(Json::as_str) {
        Some("string") => scalar(Type::String),
        Some("boolean") => scalar(Type::Bool),
        Some("integer") => scalar(Type::Int),
        Some("array") => {
            Type::list(schema.get("items").map_or(Type::Dyn, |items| type_of(items, name, depth + 1)))
        }
        Some("object") => object(schema, name, depth),
        // This includes `number`, since `2` and `2.0` have different types.
        _ => Type::Dyn,
    }
}

fn object(schema: &Json, name: &str, depth: u32) -> Type {
    if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
        let fields = properties.iter().map(|(member, schema)| {
            (member.clone(), type_of(schema, &format!("{name}.{member}"), depth + 1))
        });
        return record(name, fields.collect());
    }
    let values = schema.get("additionalProperties").filter(|values| values.is_object());
    Type::map(Type::String, values.map_or(Type::Dyn, |values| type_of(values, name, depth + 1)))
}

/// Collects what a schema and those below it say of sizes.
fn bounds(schema: &Json, path: &mut Vec<String>, all: &mut Bounds) {
    if u32::try_from(path.len()).is_ok_and(|depth| depth > MAX_DEPTH) {
        return;
    }
    let most =
        ["maxItems", "maxProperties", "maxLength"].into_iter().find_map(|name| schema.get(name)?.as_u64());
    all.extend(most.map(|most| (path.clone(), most)));
    let properties = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    let within = [("@items", "items"), ("@values", "additionalProperties")];
    let within = within.into_iter().filter_map(|(step, member)| Some((step, schema.get(member)?)));
    for (step, schema) in properties.map(|(name, schema)| (name.as_str(), schema)).chain(within) {
        path.push(step.to_owned());
        bounds(schema, path, all);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn definition(schema: &Json) -> Json {
        json!({
            "apiVersion": API_VERSION,
            "kind": "CustomResourceDefinition",
            "spec": {
                "group": "example.org",
                "names": {"kind": "Widget", "plural": "widgets"},
                "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
            },
        })
    }

    fn spec(schema: &Json) -> Type {
        let mut kinds = CustomKinds::default();
        let whole = json!({"type": "object", "properties": {"spec": schema}});
        assert_eq!(kinds.add(&definition(&whole)), Ok(true));
        let Type::Object(object) = &kinds.get("example.org", "v1", "widgets").unwrap().of else { panic!() };
        assert_eq!(object.field("metadata"), Some(Type::named("meta.v1.ObjectMeta")));
        object.field("spec").unwrap()
    }

    #[test]
    fn each_form_of_a_schema_has_its_type() {
        for (schema, expected) in [
            (json!({"type": "string", "format": "date-time"}), Type::String),
            (json!({"type": "boolean"}), Type::Bool),
            (json!({"type": "integer", "format": "int64"}), Type::Int),
            (json!({"type": "number"}), Type::Dyn),
            (json!({"type": "integer", "nullable": true}), Type::Dyn),
            (json!({"x-kubernetes-int-or-string": true}), Type::Dyn),
            (json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}), Type::Dyn),
            (json!({"type": "object"}), Type::map(Type::String, Type::Dyn)),
            (
                json!({"type": "object", "additionalProperties": {"type": "integer"}}),
                Type::map(Type::String, Type::Int),
            ),
            (json!({"type": "array", "items": {"type": "string"}}), Type::list(Type::String)),
        ] {
            assert_eq!(spec(&schema), expected, "{schema}");
        }
        let Type::Object(object) =
            spec(&json!({"type": "object", "properties": {"size": {"type": "integer"}}}))
        else {
            panic!()
        };
        assert_eq!((object.to_string().as_str(), object.field("size")), ("Widget.spec", Some(Type::Int)));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_what_is_something_else_is_passed_over() {
        let mut kinds = CustomKinds::default();
        assert_eq!(kinds.add(&json!({"kind": "Deployment"})), Ok(false));
        let mut old = definition(&json!({"type": "object"}));
        old["apiVersion"] = json!("apiextensions.k8s.io/v1beta1");
        let error = CustomKindError::Version("apiextensions.k8s.io/v1beta1".to_owned());
        assert_eq!(kinds.add(&old), Err(error));
        let mut bare = definition(&json!({"type": "object"}));
        bare["spec"]["versions"][0] = json!({"name": "v1"});
        assert_eq!(kinds.add(&bare), Err(CustomKindError::NoSchema("v1".to_owned())));
        bare["spec"]["versions"] = json!(null);
        assert_eq!(kinds.add(&bare), Err(CustomKindError::Missing("spec.versions")));
        assert!(kinds.is_empty());
    }

    #[test]
    fn a_schema_deeper_than_is_typed_is_dyn_at_its_depth() {
        let mut schema = json!({"type": "string"});
        for _ in 0..100 {
            schema = json!({"type": "array", "items": schema});
        }
        let mut of = spec(&schema);
        let mut depth = 0;
        while let Type::List(inner) = of {
            (of, depth) = ((*inner).clone(), depth + 1);
        }
        assert_eq!((of, depth), (Type::Dyn, 32));
    }
}
