//! How a policy is in force: at which stage, and what is excepted from it for a time.
//!
//! Neither is part of a policy: a bundle says what is allowed, a binding how far that is insisted on. A stage changes what a finding does and
//! never what is found; an exception takes part only while the caller's clock says so.

use crate::bundle::Bundle;
use crate::decision::{Effect, Finding};
use crate::json::Json;
use crate::policy::AdmissionRule;

use super::request::AdmissionRequest;
use super::reviewer::Bound;

/// A bundle with how it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// The policy.
    pub bundle: Bundle,
    /// How far it is insisted on.
    pub stage: Stage,
    /// What is excepted from its rules.
    pub exceptions: Vec<Exception>,
}

impl From<Bundle> for InForce {
    fn from(bundle: Bundle) -> Self {
        Self { bundle, stage: Stage::Enforce, exceptions: Vec::new() }
    }
}

/// How far a policy is insisted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What it would deny is recorded.
    Audit,
    /// Who asks is warned as well.
    Warn,
    /// What it denies is refused.
    Enforce,
}

/// A time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Moment {
    /// After everything: no exception holds any more.
    pub const END: Self = Self(i64::MAX);
}

/// Named objects that one rule of a pack does not hold for, until a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Namespace and name of the object that says so, for the record.
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
    /// A name, or how names begin.
    pub name: String,
    /// Whether `name` is only how names begin.
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
    /// Turns what would be a denial into what the stage makes of it.
    pub(super) fn temper(&self, finding: &mut Finding) {
        finding.effect = match (finding.effect, self.stage) {
            (Effect::Deny | Effect::Warn, Stage::Audit) => Effect::Audit,
            (Effect::Deny, Stage::Warn) => Effect::Warn,
            (effect, _) => effect,
        };
    }

    /// Relaxes the denial of a rule that an exception holds for.
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
        // A name that is to be generated stands in the object by the time that it is validated, and in the request never.
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
