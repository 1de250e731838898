//! How a policy is in force: at which stage, and with which temporary exceptions.
//!
//! Neither is part of a policy: a bundle says what is allowed, a binding how strictly it is enforced. A stage
//! changes the effect of a finding and never what is found. An exception applies only until it expires, by
//! the caller's clock.

use crate::bundle::Bundle;
use crate::decision::{Effect, Finding};
use crate::json::Json;
use crate::policy::AdmissionRule;

use super::request::AdmissionRequest;
use super::reviewer::Bound;

/// A bundle and how it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// The policy.
    pub bundle: Bundle,
    /// How strictly it is enforced.
    pub stage: Stage,
    /// Exceptions from its rules.
    pub exceptions: Vec<Exception>,
}

impl From<Bundle> for InForce {
    fn from(bundle: Bundle) -> Self {
        Self { bundle, stage: Stage::Enforce, exceptions: Vec::new() }
    }
}

/// How strictly a policy is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Would-be denials are recorded.
    Audit,
    /// The client is warned as well.
    Warn,
    /// Denials take effect.
    Enforce,
}

impl Stage {
    /// As a binding names it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Audit => "Audit",
            Self::Warn => "Warn",
            Self::Enforce => "Enforce",
        }
    }
}

/// A time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// After everything: every exception has expired.
    pub const END: Self = Self(i64::MAX);
}

/// Named objects to which one rule of a pack does not apply, until a given time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Namespace and name of the object that defines it, for the record.
    pub name: String,
    /// Name of the pack, without version.
    pub pack: String,
    /// Name of an admission rule, which must be `exceptable`.
    pub rule: String,
    /// For which objects.
    pub objects: Vec<Excepted>,
    /// When it ends.
    pub expires: Moment,
    /// Who made it, for the record.
    pub approver: String,
}

/// Objects of one resource in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Excepted {
    /// Plural: `pods`.
    pub resource: String,
    /// Their namespace.
    pub namespace: String,
    /// A name, or a prefix of names.
    pub name: String,
    /// Whether `name` is a prefix.
    pub prefix: bool,
}

impl Exception {
    fn covers(&self, request: &AdmissionRequest<'_>, name: &str) -> bool {
        self.objects.iter().any(|one| {
            one.resource == request.resource.resource
                && one.namespace == request.namespace
                && (if one.prefix { name.starts_with(&one.name) } else { name == one.name })
        })
    }
}

impl Bound {
    /// Reduces a denial to what the stage makes of it.
    pub(super) fn temper(&self, finding: &mut Finding) {
        finding.effect = match (finding.effect, self.stage) {
            (Effect::Deny | Effect::Warn, Stage::Audit) => Effect::Audit,
            (Effect::Deny, Stage::Warn) => Effect::Warn,
            (effect, _) => effect,
        };
    }

    /// Relaxes the denial of a rule that an exception covers.
    pub(super) fn except(
        &self,
        rule: &AdmissionRule,
        request: &AdmissionRequest<'_>,
        object: &Json<'_>,
        now: Moment,
        finding: &mut Finding,
    ) {
        if !rule.exceptable || finding.effect != Effect::Deny {
            return;
        }
        let pack = self.policy.packs.get(usize::from(rule.origin.pack)).map(|pack| pack.name.as_str());
        // A generated name is in the object by the time of validation, and never in the request.
        let named = object.at(&["metadata", "name"]).and_then(Json::as_str).filter(|name| !name.is_empty());
        let name = if request.name.is_empty() { named.unwrap_or_default() } else { &request.name };
        let holds = |one: &&Exception| {
            now < one.expires
                && Some(one.pack.as_str()) == pack
                && one.rule == rule.name
                && !name.is_empty()
                && one.covers(request, name)
        };
        if let Some(exception) = self.exceptions.iter().find(holds) {
            finding.effect = Effect::Warn;
            finding.message = format!(
                "{} (excepted by `{}`, approved by `{}`)",
                finding.message, exception.name, exception.approver
            );
        }
    }
}
