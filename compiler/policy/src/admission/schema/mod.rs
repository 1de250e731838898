//! The types of Kubernetes' own objects: fields, their types, defaults and list keys, of Kubernetes v1.37.1.
//!
//! A committed table (`kubernetes.txt`, made by `conformance/openapi/generate.go` from the OpenAPI documents
//! of the API server), read once on first use. Not a validator: it says what a field is, not which values are
//! valid. Custom resources are not here.
//!
//! The table's lines:
//!
//! ```text
//! @GROUP VERSION KIND TYPE        a kind and its object type; the core group is `-`
//! =TYPE                           an object type; its fields follow, sorted by name
//! FIELD NOTATION[ KEYS][ =JSON]   a field, the keys of a list that is a map, the default
//! ```
//!
//! Notation: `s` string, `i` int, `d` double, `b` bool, `q` quantity, `x` int or string, `t` timestamp, `y`
//! bytes (base64 text), `*` anything, `[T` list of T, `{T` map from string to T, else the name of an object
//! type.

use std::collections::BTreeMap;
use std::sync::LazyLock;

const TABLE: &str = include_str!("kubernetes.txt");

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(TABLE));

/// An object type of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(u16);

/// The type of a field, an element or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// A string.
    String,
    /// An integer of 32 or 64 bits.
    Int,
    /// A floating-point number.
    Double,
    /// A boolean.
    Bool,
    /// A `resource.Quantity`: a string or a number in JSON.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// RFC 3339 text.
    Timestamp,
    /// Base64 text.
    Bytes,
    /// Anything.
    Dyn,
    /// A list.
    List(&'static Type),
    /// A map from strings.
    Map(&'static Type),
    /// An object with known fields.
    Object(TypeId),
}

/// A field of an object type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// Name in JSON.
    pub name: &'static str,
    /// Type.
    pub ty: Type,
    /// The OpenAPI default, as JSON text; the API server writes it where the field is absent.
    pub default: Option<&'static str>,
    /// `x-kubernetes-list-map-keys` joined by commas; empty when the list is not a map.
    pub list_keys: &'static str,
}

/// The object type of a kind; the core group is the empty string.
#[must_use]
pub fn root(group: &str, version: &str, kind: &str) -> Option<TypeId> {
    let roots = &SCHEMA.roots;
    let at = roots
        .binary_search_by(|root| (root.kind, root.group, root.version).cmp(&(kind, group, version)))
        .ok()?;
    roots.get(at).map(|root| root.ty)
}

/// Every kind of the table as group, version, kind and type, sorted by kind.
pub fn roots() -> impl Iterator<Item = (&'static str, &'static str, &'static str, TypeId)> {
    SCHEMA.roots.iter().map(|root| (root.group, root.version, root.kind, root.ty))
}

/// An object type by its name, such as `core.v1.PodSpec`.
#[must_use]
pub fn named(name: &str) -> Option<TypeId> {
    SCHEMA.names.get(name).copied()
}

/// Every object type of the table.
pub fn types() -> impl Iterator<Item = TypeId> {
    (0..=u16::MAX).zip(&SCHEMA.objects).map(|(id, _)| TypeId(id))
}

/// The name of an object type, such as `core.v1.PodSpec`.
#[must_use]
pub fn name(ty: TypeId) -> &'static str {
    SCHEMA.objects.get(usize::from(ty.0)).map_or("", |object| object.name)
}

/// The field of this name.
#[must_use]
pub fn field(ty: TypeId, name: &str) -> Option<Field> {
    let fields = fields(ty);
    let at = fields.binary_search_by(|field| field.name.cmp(name)).ok()?;
    fields.get(at).copied()
}

/// All fields of an object type, sorted by name.
#[must_use]
pub fn fields(ty: TypeId) -> &'static [Field] {
    SCHEMA.objects.get(usize::from(ty.0)).map_or(&[], |object| &object.fields)
}

/// The type at a path of member names; `*` or `[*]` steps into the elements of a list or the values of a map.
#[must_use]
pub fn at(ty: TypeId, path: &[&str]) -> Option<Type> {
    path.iter().try_fold(Type::Object(ty), |here, step| match (here, *step) {
        (Type::List(element) | Type::Map(element), "*" | "[*]") => Some(*element),
        (Type::Map(value), _) => Some(*value),
        (Type::Object(object), name) => field(object, name).map(|field| field.ty),
        (Type::Dyn, _) => Some(Type::Dyn),
        _ => None,
    })
}

struct Schema {
    /// Sorted by kind, group, version.
    roots: Vec<Root>,
    names: BTreeMap<&'static str, TypeId>,
    objects: Vec<Object>,
}

struct Root {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    ty: TypeId,
}

struct Object {
    name: &'static str,
    fields: Vec<Field>,
}

impl Schema {
    /// Reads the table. Lines that do not parse are skipped; a test checks that there are none.
    fn read(table: &'static str) -> Self {
        let names = names(table);
        let mut schema = Self { roots: Vec::new(), names, objects: Vec::new() };
        for line in table.lines() {
            if let Some(root) = line.strip_prefix('@') {
                schema.roots.extend(read_root(root, &schema.names));
            } else if let Some(name) = line.strip_prefix('=') {
                schema.objects.push(Object { name, fields: Vec::new() });
            } else if let Some(object) = schema.objects.last_mut() {
                object.fields.extend(read_field(line, &schema.names));
            }
        }
        schema.roots.sort_by_key(|root| (root.kind, root.group, root.version));
        schema
    }
}

/// Object types in the order of the table.
fn names(table: &'static str) -> BTreeMap<&'static str, TypeId> {
    let lines = table.lines().filter_map(|line| line.strip_prefix('='));
    (0..=u16::MAX).zip(lines).map(|(id, name)| (name, TypeId(id))).collect()
}

fn read_root(line: &'static str, names: &BTreeMap<&'static str, TypeId>) -> Option<Root> {
    let mut words = line.split(' ');
    let group = words.next().map(|group| if group == "-" { "" } else { group })?;
    let (version, kind) = (words.next()?, words.next()?);
    Some(Root { group, version, kind, ty: *names.get(words.next()?)? })
}

fn read_field(line: &'static str, names: &BTreeMap<&'static str, TypeId>) -> Option<Field> {
    let (line, default) = line.split_once(" =").map_or((line, None), |(head, default)| (head, Some(default)));
    let mut words = line.split(' ');
    let (name, notation) = (words.next()?, words.next()?);
    Some(Field { name, ty: read_type(notation, names)?, default, list_keys: words.next().unwrap_or("") })
}

fn read_type(notation: &'static str, names: &BTreeMap<&'static str, TypeId>) -> Option<Type> {
    if let Some(element) = notation.strip_prefix('[') {
        return read_type(element, names).map(|element| Type::List(kept(element)));
    }
    if let Some(value) = notation.strip_prefix('{') {
        return read_type(value, names).map(|value| Type::Map(kept(value)));
    }
    Some(match notation {
        "s" => Type::String,
        "i" => Type::Int,
        "d" => Type::Double,
        "b" => Type::Bool,
        "q" => Type::Quantity,
        "x" => Type::IntOrString,
        "t" => Type::Timestamp,
        "y" => Type::Bytes,
        "*" => Type::Dyn,
        name => Type::Object(*names.get(name)?),
    })
}

/// The table lives as long as the process and is read once: about 200 element types stay allocated for good.
fn kept(ty: Type) -> &'static Type {
    match ty {
        Type::String => &Type::String,
        Type::Int => &Type::Int,
        Type::Dyn => &Type::Dyn,
        other => Box::leak(Box::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        let fields: usize = SCHEMA.objects.iter().map(|object| object.fields.len()).sum();
        assert_eq!(SCHEMA.roots.len() + SCHEMA.objects.len() + fields, lines);
        for object in &SCHEMA.objects {
            assert!(object.fields.is_sorted_by(|a, b| a.name < b.name), "{}", object.name);
            for field in &object.fields {
                if let Some(default) = field.default {
                    serde_json::from_str::<serde_json::Value>(default).unwrap();
                }
            }
        }
    }

    #[test]
    fn finds_kinds_and_fields() {
        let pod = root("", "v1", "Pod").unwrap();
        assert_eq!(name(pod), "core.v1.Pod");
        assert_eq!(root("apps", "v1", "Pod"), None);
        assert_eq!(root("", "v2", "Pod"), None);
        let image = at(pod, &["spec", "initContainers", "*", "image"]);
        assert_eq!(image, Some(Type::String));
        assert_eq!(at(pod, &["metadata", "labels", "anything"]), Some(Type::String));
        assert_eq!(at(pod, &["spec", "containers", "*", "resources", "limits", "*"]), Some(Type::Quantity));
        assert_eq!(at(pod, &["metadata", "creationTimestamp"]), Some(Type::Timestamp));
        assert_eq!(at(pod, &["spec", "containers", "image"]), None);
        let port = field(named("core.v1.ContainerPort").unwrap(), "protocol").unwrap();
        assert_eq!(port.default, Some("\"TCP\""));
        let ports = field(named("core.v1.Container").unwrap(), "ports").unwrap();
        assert_eq!(ports.list_keys, "containerPort,protocol");
    }
}
