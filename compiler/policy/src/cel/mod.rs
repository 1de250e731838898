//! The evaluator of lowered CEL expressions ([`crate::ir`]) over borrowed JSON.
//!
//! Not a parser and not a type checker: those are in the compiler. An operation that a checked expression
//! cannot contain is still an error here and never a panic, because a bundle may come from anywhere.
//!
//! ```text
//! Cel ► Loaded::prepare ► Prepared ───────────────┐
//! patterns, shared expressions ► Loaded           ├► eval(&Prepared, &mut Scope) ► Value | EvalError
//! request or call ► Env or CallEnv (roots) ► Scope┤
//! limits ► Fuel ──────────────────────────────────┘
//! ```
//!
//! Terms. *Fuel*: what an evaluation may still spend; each node costs one, work over strings, lists and
//! patterns costs in proportion. *Limit error*: fuel or depth ran out; no `||` absorbs it, see [`eval`].
//! *Absorption*: CEL's rule that `error || true` is true and `error && false` is false. *Opaque*: a value
//! that exists but that no parser fully understood; every use of it except `isOpaque(x)` is an error. Of every
//! absorbed error of a call one is remembered, see [`Scope::absorbed`].

mod access;
mod access_path;
mod aggregate;
mod comprehension;
mod condition;
mod error;
mod eval;
mod fuel;
mod functions;
mod loaded;
mod opaque;
mod prepared;
mod quick;
mod scope;
mod text;
mod trace;
mod value;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

pub use error::EvalError;
pub use eval::eval;
pub use fuel::Fuel;
pub use functions::authorizer::Authorization;
pub use functions::named_formats::NamedFormat;
pub(crate) use functions::network::is_public;
pub use functions::network::{Cidr, parse_cidr, parse_ip};
pub use functions::quantity::Quantity;
pub use functions::regexes::{PatternError, as_crate_pattern, compile_computed, compile_pattern};
pub use functions::semver::Semver;
pub use functions::time::{Timestamp, parse_duration, parse_timestamp};
pub use functions::urls::Url;
pub use loaded::{LoadError, Loaded};
pub use prepared::Prepared;
pub use scope::{Arguments, CallEnv, Env, Scope};
pub use trace::{Came, MAX_VALUE_CHARS, MAX_VALUES, Traced};
pub use value::{List, Map, Value};
pub use watch::{Outcomes, Part, Watching};
