//! The types of expressions, and when one may stand for another.
//!
//! Gradual, as in CEL: `dyn` matches everything and is checked at evaluation.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bailiwick_policy::admission::schema;

/// The type of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// Known only at evaluation.
    Dyn,
    /// The type of `null`.
    Null,
    /// Booleans.
    Bool,
    /// Integers with sign.
    Int,
    /// Integers without sign.
    Uint,
    /// Floating-point numbers.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// `google.protobuf.Duration`.
    Duration,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `kubernetes.Quantity`.
    Quantity,
    /// `net.IP`.
    Ip,
    /// `net.CIDR`.
    Cidr,
    /// `kubernetes.URL`.
    Url,
    /// `kubernetes.Semver`.
    Semver,
    /// `kubernetes.NamedFormat`.
    NamedFormat,
    /// `kubernetes.authorization.Authorizer`.
    Authorizer,
    /// `kubernetes.authorization.PathCheck`.
    PathCheck,
    /// `kubernetes.authorization.GroupCheck`.
    GroupCheck,
    /// `kubernetes.authorization.ResourceCheck`.
    ResourceCheck,
    /// `kubernetes.authorization.Decision`.
    Decision,
    /// The type of types.
    Type,
    /// A list.
    List(Arc<Type>),
    /// A map.
    Map(Arc<Type>, Arc<Type>),
    /// An optional.
    Optional(Arc<Type>),
    /// An object with known fields.
    Object(Object),
    /// The content of an empty list, map or optional: any type. Only inside another type; by itself it is
    /// `dyn`.
    Free,
    /// A type parameter of a function's signature.
    Var(u8),
}

/// An object type.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// One of Kubernetes' own.
    Kubernetes(schema::TypeId),
    /// One declared for an expression's environment.
    Record(Arc<Record>),
}

/// An object type that is declared here.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Name, for messages.
    pub name: String,
    /// Fields.
    pub fields: BTreeMap<String, Type>,
}

impl Type {
    /// A list of elements of this type.
    #[must_use]
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// A map.
    #[must_use]
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    /// An optional of this type; an optional of an optional stays nested.
    #[must_use]
    pub fn optional(inner: Type) -> Self {
        Self::Optional(Arc::new(inner))
    }

    /// An object type with these fields.
    #[must_use]
    pub fn record(name: &str, fields: impl IntoIterator<Item = (&'static str, Type)>) -> Self {
        let fields = fields.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
        Self::Object(Object::Record(Arc::new(Record { name: name.to_owned(), fields })))
    }

    /// The type of a built-in kind; `dyn` for every other kind. The core group is the empty string.
    #[must_use]
    pub fn of_kind(group: &str, version: &str, kind: &str) -> Self {
        schema::root(group, version, kind).map_or(Self::Dyn, |id| Self::Object(Object::Kubernetes(id)))
    }

    /// The type of a named object type of Kubernetes, such as `core.v1.Container`.
    pub(crate) fn named(name: &str) -> Self {
        schema::named(name).map_or(Self::Dyn, |id| Self::Object(Object::Kubernetes(id)))
    }

    /// The type of a field as expressions see it: an object comes as JSON, in which times and bytes are
    /// strings.
    fn of_schema(of: schema::Type) -> Self {
        match of {
            schema::Type::String | schema::Type::Quantity | schema::Type::Timestamp | schema::Type::Bytes => {
                Self::String
            }
            schema::Type::Int => Self::Int,
            schema::Type::Double => Self::Double,
            schema::Type::Bool => Self::Bool,
            schema::Type::IntOrString | schema::Type::Dyn => Self::Dyn,
            schema::Type::List(element) => Self::list(Self::of_schema(*element)),
            schema::Type::Map(value) => Self::map(Self::String, Self::of_schema(*value)),
            schema::Type::Object(id) => Self::Object(Object::Kubernetes(id)),
        }
    }

    /// Whether values of the two types may be compared, or one may stand where the other is required.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn | Self::Free, _) | (_, Self::Dyn | Self::Free) => true,
            (Self::Null, of) | (of, Self::Null) => !of.is_scalar(),
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.fits(b),
            (Self::Map(k, v), Self::Map(l, w)) => k.fits(l) && v.fits(w),
            (Self::Object(_), Self::Map(key, _)) | (Self::Map(key, _), Self::Object(_)) => {
                key.fits(&Self::String)
            }
            (a, b) => a == b,
        }
    }

    const fn is_scalar(&self) -> bool {
        matches!(
            self,
            Self::Bool | Self::Int | Self::Uint | Self::Double | Self::String | Self::Bytes | Self::Type
        )
    }

    /// Whether it is a number, or may be one.
    pub(super) const fn may_be_number(&self) -> bool {
        matches!(self, Self::Dyn | Self::Int | Self::Uint | Self::Double)
    }

    /// Whether the two are one type; the content of an empty list matches any.
    pub(super) fn is_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Free, _) | (_, Self::Free) => true,
            (Self::List(a), Self::List(b)) | (Self::Optional(a), Self::Optional(b)) => a.is_the_same(b),
            (Self::Map(k, v), Self::Map(l, w)) => k.is_the_same(l) && v.is_the_same(w),
            (a, b) => a == b,
        }
    }

    /// The type of a value that has one of the two types; `None` if they do not match.
    pub(super) fn join(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Self::Free, of) | (of, Self::Free) => Some(of.clone()),
            (Self::Dyn, _) | (_, Self::Dyn) => Some(Self::Dyn),
            (Self::Null, of) | (of, Self::Null) => (!of.is_scalar()).then(|| of.clone()),
            (Self::List(a), Self::List(b)) => a.join(b).map(Self::list),
            (Self::Optional(a), Self::Optional(b)) => a.join(b).map(Self::optional),
            (Self::Map(k, v), Self::Map(l, w)) => Some(Self::map(k.join(l)?, v.join(w)?)),
            (a, b) => a.fits(b).then_some(Self::Dyn),
        }
    }
}

impl Object {
    /// The type of a field.
    pub(crate) fn field(&self, name: &str) -> Option<Type> {
        match self {
            Self::Kubernetes(id) => schema::field(*id, name).map(|field| Type::of_schema(field.ty)),
            Self::Record(record) => record.fields.get(name).cloned(),
        }
    }

    /// The names of all fields.
    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::Kubernetes(id) => schema::fields(*id).iter().map(|field| field.name).collect(),
            Self::Record(record) => record.fields.keys().map(String::as_str).collect(),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Kubernetes(id) => schema::name(*id).rsplit('.').next().unwrap_or_default(),
            Self::Record(record) => &record.name,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(element) => write!(out, "list({element})"),
            Self::Map(key, value) => write!(out, "map({key}, {value})"),
            Self::Optional(inner) => write!(out, "optional({inner})"),
            Self::Object(object) => object.fmt(out),
            Self::Var(index) => write!(out, "{}", char::from(b'A' + index)),
            Self::Dyn | Self::Free => out.write_str("dyn"),
            Self::Null => out.write_str("null"),
            Self::Bool => out.write_str("bool"),
            Self::Int => out.write_str("int"),
            Self::Uint => out.write_str("uint"),
            Self::Double => out.write_str("double"),
            Self::String => out.write_str("string"),
            Self::Bytes => out.write_str("bytes"),
            Self::Duration => out.write_str("duration"),
            Self::Timestamp => out.write_str("timestamp"),
            Self::Quantity => out.write_str("quantity"),
            Self::Ip => out.write_str("ip"),
            Self::Cidr => out.write_str("cidr"),
            Self::Url => out.write_str("url"),
            Self::Semver => out.write_str("semver"),
            Self::NamedFormat => out.write_str("format"),
            Self::Authorizer => out.write_str("authorizer"),
            Self::PathCheck => out.write_str("pathCheck"),
            Self::GroupCheck => out.write_str("groupCheck"),
            Self::ResourceCheck => out.write_str("resourceCheck"),
            Self::Decision => out.write_str("decision"),
            Self::Type => out.write_str("type"),
        }
    }
}
