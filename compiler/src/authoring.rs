//! What an editor needs for a pack that is being written: the environments of its expressions, derived from
//! parts of its text, and the words that only the compiler knows.
//!
//! Nothing here judges. The parts come as JSON from a lenient reader; missing or ill-typed parts count as
//! absent.

use bailiwick_crds::admission::{Operation, ResourceRule};
pub use bailiwick_crds::members::MemberRules;
use serde_json::Value as Json;

use crate::cel::{Context, Parameter, Type};
use crate::compile::{constant, type_of};
use crate::custom_kinds::CustomKinds;
use crate::lower::admission::kinds;

/// What the expressions of an admission rule may name, from the list `match.resources`, before parameters and
/// variables. `custom`: the custom resources whose schemas are known.
#[must_use]
pub fn admission_context(resources: &Json, custom: &CustomKinds) -> Context {
    let rules: Vec<ResourceRule> = resources.as_array().into_iter().flatten().map(rule).collect();
    let kinds = kinds::of(&rules, custom);
    let mut context = Context::admission(kinds.object);
    context.pod = kinds.pod;
    context
}

fn rule(written: &Json) -> ResourceRule {
    let words = |member: &str| -> Vec<String> {
        let list = written.get(member).and_then(Json::as_array);
        list.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
    };
    ResourceRule {
        api_groups: words("apiGroups"),
        api_versions: words("apiVersions"),
        resources: words("resources"),
        operations: vec![Operation::All],
    }
}

/// A parameter as expressions see it, from its declared type and its default, if it has one.
#[must_use]
pub fn parameter(declared: &str, default: Option<&Json>) -> Parameter {
    let of = if declared.is_empty() { Type::Dyn } else { type_of(declared) };
    Parameter { of, value: constant(default.unwrap_or(&Json::Null)) }
}

/// Group, version, plural and kind of the resources that rules most often match.
pub fn resources() -> impl Iterator<Item = (&'static str, &'static str, &'static str, &'static str)> {
    kinds::RESOURCES.iter().copied()
}

/// The built-in tools of every executor.
#[must_use]
pub const fn built_in_tools() -> &'static [&'static str] {
    crate::lower::tools::BUILT_IN
}
