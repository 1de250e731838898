//! Reading an AdmissionReview (admission.k8s.io/v1).
//!
//! Everything is borrowed from the text. `metadata.managedFields` is skipped while reading: it is a third of
//! a typical object, and no rule may read it (the compiler rejects one that does). A review with a missing or
//! ill-typed part is an error with the field's name; the caller answers it with a refusal.
//!
//! Term. *Attributes*: the request without its objects, which is what CEL's `request` sees.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::json::{Json, Key, Map};

use super::unread::Unread;

mod ordinary;

/// The longest review that is read, in bytes: an object and an old object of etcd's 1.5 MiB each, inflated by
/// JSON, as controller-runtime allows.
pub const MAX_REVIEW_BYTES: usize = 7 * 1024 * 1024;

/// The request of an AdmissionReview.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmissionRequest<'a> {
    /// Echoed in the answer.
    pub uid: Cow<'a, str>,
    /// The operation.
    pub operation: Operation,
    /// Group, version and kind of `object`.
    pub kind: GroupVersionKind<'a>,
    /// Group, version and plural of the resource.
    pub resource: GroupVersionResource<'a>,
    /// `ephemeralcontainers`, `exec` and so on; empty for the resource itself.
    pub sub_resource: Cow<'a, str>,
    /// The object's name; empty if it is yet to be generated.
    pub name: Cow<'a, str>,
    /// Empty for cluster-scoped objects; for a Namespace, its own name.
    pub namespace: Cow<'a, str>,
    /// The object; `None` for DELETE.
    pub object: Option<Json<'a>>,
    /// The object before the operation; for UPDATE and DELETE.
    pub old_object: Option<Json<'a>>,
    /// The request without its objects, as CEL's `request` sees it.
    pub attributes: Json<'a>,
}

/// Operations of admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// As on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// The operation of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Connect].into_iter().find(|one| one.name() == name)
    }
}

/// A kind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub struct GroupVersionKind<'a> {
    pub group: Cow<'a, str>,
    pub version: Cow<'a, str>,
    pub kind: Cow<'a, str>,
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub struct GroupVersionResource<'a> {
    pub group: Cow<'a, str>,
    pub version: Cow<'a, str>,
    pub resource: Cow<'a, str>,
}

/// Why a text is not a review.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Longer than [`MAX_REVIEW_BYTES`].
    #[error("the review is {len} bytes long, more than {MAX_REVIEW_BYTES}; make the object smaller")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// Not JSON, or JSON that two readers could read differently.
    #[error("the review is not well-formed: {0}; send one whole AdmissionReview as JSON")]
    Json(#[from] serde_json::Error),
    /// `apiVersion` is not the expected one.
    #[error("apiVersion `{0}` is not `admission.k8s.io/v1`")]
    ApiVersion(String),
    /// `kind` is not the expected one.
    #[error("kind `{0}` is not `AdmissionReview`")]
    Kind(String),
    /// A required field is absent.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field has the wrong type.
    #[error("`{field}` is not {expected}")]
    Type {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// An operation that admission does not have.
    #[error("operation `{0}` is not one of CREATE, UPDATE, DELETE, CONNECT")]
    Operation(String),
}

impl<'a> AdmissionRequest<'a> {
    /// Reads the request of a review.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(text: &'a [u8]) -> Result<Self, ParseError> {
        Self::parse_without(text, &Unread::default())
    }

    /// Like [`AdmissionRequest::parse`], but leaves out the parts of a created pod that are not read.
    pub(super) fn parse_without(text: &'a [u8], unread: &Unread) -> Result<Self, ParseError> {
        if text.len() > MAX_REVIEW_BYTES {
            return Err(ParseError::TooLong { len: text.len() });
        }
        // Text that is UTF-8 as a whole need not be checked string by string; the error for other text says
        // where.
        let mut review = match str::from_utf8(text) {
            Ok(text) => match ordinary::review(text, unread) {
                Some(review) => review,
                None => members(serde_json::Deserializer::from_str(text))?,
            },
            Err(_) => members(serde_json::Deserializer::from_slice(text))?,
        };
        let mut member = |name: &str| review.remove(name).unwrap_or_default();
        let api_version = string(member("apiVersion"), "apiVersion")?;
        if api_version != REVIEW_API_VERSION {
            return Err(ParseError::ApiVersion(api_version.into_owned()));
        }
        let kind = string(member("kind"), "kind")?;
        if kind != REVIEW_KIND {
            return Err(ParseError::Kind(kind.into_owned()));
        }
        let Json::Map(mut attributes) = member("request") else {
            return Err(ParseError::Missing("request"));
        };
        let (object, old_object) = (attributes.remove("object"), attributes.remove("oldObject"));
        Self::new(Json::Map(attributes), object, old_object)
    }

    /// From the request's attributes and its objects; the last step of both readers, of reviews and of
    /// manifests.
    pub(super) fn new(
        attributes: Json<'a>,
        object: Option<Json<'a>>,
        old_object: Option<Json<'a>>,
    ) -> Result<Self, ParseError> {
        let uid = text(&attributes, &["uid"], "request.uid")?;
        let operation = text(&attributes, &["operation"], "request.operation")?;
        let operation =
            Operation::of(&operation).ok_or_else(|| ParseError::Operation(operation.into_owned()))?;
        let kind = GroupVersionKind {
            group: optional(&attributes, &["kind", "group"], "request.kind.group")?,
            version: text(&attributes, &["kind", "version"], "request.kind.version")?,
            kind: text(&attributes, &["kind", "kind"], "request.kind.kind")?,
        };
        let resource = GroupVersionResource {
            group: optional(&attributes, &["resource", "group"], "request.resource.group")?,
            version: text(&attributes, &["resource", "version"], "request.resource.version")?,
            resource: text(&attributes, &["resource", "resource"], "request.resource.resource")?,
        };
        let request = Self {
            uid,
            operation,
            kind,
            resource,
            sub_resource: optional(&attributes, &["subResource"], "request.subResource")?,
            name: optional(&attributes, &["name"], "request.name")?,
            namespace: optional(&attributes, &["namespace"], "request.namespace")?,
            object: map(object, "request.object")?,
            old_object: map(old_object, "request.oldObject")?,
            attributes,
        };
        request.check_objects()?;
        Ok(request)
    }

    fn check_objects(&self) -> Result<(), ParseError> {
        let (new, old) = match self.operation {
            Operation::Create => (true, false),
            Operation::Update => (true, true),
            Operation::Delete => (false, true),
            Operation::Connect => (false, false),
        };
        if new && self.object.is_none() {
            return Err(ParseError::Missing("request.object"));
        }
        if old && self.old_object.is_none() {
            return Err(ParseError::Missing("request.oldObject"));
        }
        Ok(())
    }

    /// The same request with another object; for judging what a mutation made.
    #[must_use]
    pub(super) fn with_object(&self, object: Json<'a>) -> Self {
        Self { object: Some(object), ..self.clone() }
    }

    /// The bytes of the AdmissionReview that the API server would send for this request.
    ///
    /// # Errors
    /// Never for a request that was read: serde_json fails only on a map with keys that are not strings.
    #[cfg(test)]
    pub(super) fn to_review(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut request = self.attributes.clone();
        if let Json::Map(members) = &mut request {
            members.insert(Cow::Borrowed("object"), self.object.clone().unwrap_or_default());
            members.insert(Cow::Borrowed("oldObject"), self.old_object.clone().unwrap_or_default());
        }
        let review = [
            (Cow::Borrowed("apiVersion"), Json::Str(Cow::Borrowed(REVIEW_API_VERSION))),
            (Cow::Borrowed("kind"), Json::Str(Cow::Borrowed(REVIEW_KIND))),
            (Cow::Borrowed("request"), request),
        ];
        serde_json::to_vec(&Json::Map(review.into_iter().collect()))
    }
}

/// The members of a whole review.
fn members<'a, R: serde_json::de::Read<'a>>(
    mut reader: serde_json::Deserializer<R>,
) -> Result<Map<'a>, serde_json::Error> {
    let review = reader.deserialize_map(Members(Level::Review, PhantomData))?;
    reader.end()?;
    Ok(review)
}

pub(super) const REVIEW_API_VERSION: &str = "admission.k8s.io/v1";
pub(super) const REVIEW_KIND: &str = "AdmissionReview";

fn string<'a>(value: Json<'a>, field: &'static str) -> Result<Cow<'a, str>, ParseError> {
    match value {
        Json::Null => Err(ParseError::Missing(field)),
        Json::Str(text) => Ok(text),
        _ => Err(ParseError::Type { field, expected: "a string" }),
    }
}

fn text<'a>(attributes: &Json<'a>, path: &[&str], field: &'static str) -> Result<Cow<'a, str>, ParseError> {
    let text = string(attributes.at(path).cloned().unwrap_or_default(), field)?;
    if text.is_empty() { Err(ParseError::Missing(field)) } else { Ok(text) }
}

fn optional<'a>(
    attributes: &Json<'a>,
    path: &[&str],
    field: &'static str,
) -> Result<Cow<'a, str>, ParseError> {
    match attributes.at(path) {
        None | Some(Json::Null) => Ok(Cow::Borrowed("")),
        Some(Json::Str(text)) => Ok(text.clone()),
        Some(_) => Err(ParseError::Type { field, expected: "a string" }),
    }
}

fn map<'a>(object: Option<Json<'a>>, field: &'static str) -> Result<Option<Json<'a>>, ParseError> {
    match object {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Map(members)) => Ok(Some(Json::Map(members))),
        Some(_) => Err(ParseError::Type { field, expected: "an object" }),
    }
}

/// Which object is being read, so that the path to `metadata.managedFields` is known.
#[derive(Clone, Copy)]
enum Level {
    Review,
    Request,
    Object,
    Metadata,
}

impl Level {
    /// The level of a member, unless it is plain JSON.
    fn below(self, key: &str) -> Option<Self> {
        match (self, key) {
            (Self::Review, "request") => Some(Self::Request),
            (Self::Request, "object" | "oldObject") => Some(Self::Object),
            (Self::Object, "metadata") => Some(Self::Metadata),
            _ => None,
        }
    }
}

/// Reads the members of an object, skipping managed fields.
struct Members<'a>(Level, PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
    type Value = Map<'a>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Map<'a>, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = access.next_key_seed(Key::new())? {
            if matches!((self.0, key.as_ref()), (Level::Metadata, "managedFields")) {
                access.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = match self.0.below(&key) {
                Some(level) => access.next_value_seed(Value(level, PhantomData))?,
                None => access.next_value()?,
            };
            members.push((key, value));
        }
        Map::of_read(members).map_err(de::Error::custom)
    }
}

/// A member at a level: an object, `null`, or a wrong type that the caller names.
struct Value<'a>(Level, PhantomData<&'a ()>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for Value<'a> {
    type Value = Json<'a>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'a>, D::Error> {
        struct Either<'a>(Members<'a>);
        impl<'de: 'a, 'a> Visitor<'de> for Either<'a> {
            type Value = Json<'a>;
            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str("an object or null")
            }
            fn visit_unit<E>(self) -> Result<Json<'a>, E> {
                Ok(Json::Null)
            }
            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Json<'a>, A::Error> {
                self.0.visit_map(access).map(Json::Map)
            }
        }
        deserializer.deserialize_any(Either(Members(self.0, PhantomData)))
    }
}

#[cfg(test)]
mod tests;
