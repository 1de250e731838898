//! Scalars of the language: texts with a form of their own, closed sets of words, and the schemas of what Rust's own types
//! cannot say. The form is checked by the compiler, which knows `x-bailiwick-format`; an API server sees a string.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Names of things in a pack: a DNS label, as Kubernetes names are.
pub const NAME_PATTERN: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";

/// Names that stand in CEL expressions as members.
pub const IDENTIFIER_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// Names of tools: `python.run`.
pub const TOOL_PATTERN: &str = "^[a-zA-Z][a-zA-Z0-9_-]*(\\.[a-zA-Z0-9_-]+)*$";

/// A semantic version without build metadata, which object names cannot hold. <https://semver.org>
const VERSION_PATTERN: &str =
    "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9a-z]+([.-][0-9a-z]+)*)?$";

/// Types of parameters.
const PARAMETER_TYPE_PATTERN: &str =
    "^(string|quantity|duration|int|bool|list\\((string|int)\\)|enum\\([^,()]+(,[^,()]+)*\\))$";

/// A text as YAML has it: quantities may be written as numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(i64),
    Text(String),
}

/// Declares a text with a form of its own.
macro_rules! text {
    ($(#[doc = $doc:literal])* $name:ident, { $($schema:tt)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "Written", into = "String")]
        pub struct $name(pub String);

        impl $name {
            /// The text as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl From<Written> for $name {
            fn from(written: Written) -> Self {
                match written {
                    Written::Text(text) => Self(text),
                    Written::Number(number) => Self(number.to_string()),
                }
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ $($schema)* })
            }
        }
    };
}

text! {
    /// A span of time as Go writes it: `1h30m`, `500ms`. <https://pkg.go.dev/time#ParseDuration>
    Duration, { "type": "string", "x-bailiwick-format": "duration" }
}
text! {
    /// A quantity as Kubernetes writes it: `64Mi`, `500m`; a number is read as its text.
    /// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
    Quantity, { "x-kubernetes-int-or-string": true, "x-bailiwick-format": "quantity" }
}
text! {
    /// A network in CIDR notation: `192.0.2.0/24`, `2001:db8::/32`.
    Cidr, { "type": "string", "x-bailiwick-format": "cidr" }
}
text! {
    /// A semantic version without build metadata: `1.0.0`, `1.1.0-rc.1`.
    Version, { "type": "string", "pattern": VERSION_PATTERN, "maxLength": 63 }
}
text! {
    /// Versions that will do, in Cargo's notation: `^1.0`.
    VersionRequirement, { "type": "string", "maxLength": 128, "x-bailiwick-format": "version-requirement" }
}
text! {
    /// `string`, `quantity`, `duration`, `int`, `bool`, `list(string)`, `list(int)` or `enum(a,b)`.
    ParameterType, { "type": "string", "pattern": PARAMETER_TYPE_PATTERN }
}

/// Declares a closed set of words, written as given.
macro_rules! closed {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident { $($(#[doc = $about:literal])* $variant:ident = $wire:literal,)+ }
        $(default $default:ident)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[doc = $about])* #[serde(rename = $wire)] $variant,)+
        }

        impl $name {
            /// The word as written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)+
                }
            }
        }

        $(
            impl Default for $name {
                fn default() -> Self {
                    Self::$default
                }
            }
        )?

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "enum": [$($wire),+],
                    "x-bailiwick-words": { $($wire: concat!($($about),*)),+ },
                    "x-bailiwick-default": [$(Self::$default.as_str())?],
                })
            }
        }
    };
}
pub(crate) use closed;

/// Whether a field has its default, and so need not be written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Any integer, or a parameter.
pub(crate) fn int(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer" })
}

/// An integer from 0, or a parameter.
pub(crate) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 0 })
}

/// A port, or a parameter.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": 65535 })
}

/// Any value.
pub(crate) fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// Any object.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// An object whose members are any values.
pub(crate) fn any_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": { "x-kubernetes-preserve-unknown-fields": true } })
}

/// A list of any values.
pub(crate) fn any_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "x-kubernetes-preserve-unknown-fields": true } })
}
