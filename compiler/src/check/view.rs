//! What a check sees: one pack as written and as lowered, and the packs that it extends, whose names it may use.

use bailiwick_crds::admission::AdmissionRule;
use bailiwick_crds::network::EgressRule;
use bailiwick_crds::pack::{PolicyPackSpec, RuntimeClass, RuntimeKind};
use bailiwick_crds::sandbox::{Pool, Sandbox};
use bailiwick_crds::scalar::{Duration, Quantity};
use bailiwick_crds::tools::{Tool, ToolRule};
use bailiwick_policy::cel::{Quantity as Amount, parse_duration};
use bailiwick_policy::policy::Policy;

use crate::diagnostic::{Diagnostic, FieldPath};

/// One pack under check.
pub(crate) struct View<'a> {
    /// As written.
    pub(crate) spec: &'a PolicyPackSpec,
    /// As lowered, alone.
    pub(crate) policy: &'a Policy,
    /// The packs that it extends, directly or not.
    pub(crate) ancestors: Vec<&'a PolicyPackSpec>,
}

impl<'a> View<'a> {
    /// The pack itself, then those that it extends.
    pub(crate) fn family(&self) -> impl Iterator<Item = &'a PolicyPackSpec> {
        std::iter::once(self.spec).chain(self.ancestors.iter().copied())
    }

    /// Names that any pack of the family defines.
    pub(crate) fn names<I: Iterator<Item = &'a str>>(
        &self,
        of: impl Fn(&'a PolicyPackSpec) -> I,
    ) -> Vec<&'a str> {
        self.family().flat_map(of).collect()
    }

    /// This pack's sandboxes and where they stand.
    pub(crate) fn sandboxes(&self) -> impl Iterator<Item = (FieldPath, &'a Sandbox)> {
        placed(FieldPath::spec().member("sandboxes"), self.spec.sandboxes.as_deref().unwrap_or_default())
    }

    /// The family's sandbox of this name.
    pub(crate) fn sandbox(&self, name: &str) -> Option<&'a Sandbox> {
        self.family().flat_map(|spec| spec.sandboxes.iter().flatten()).find(|sandbox| sandbox.name == name)
    }

    /// The family's pool of this name, and where it stands.
    pub(crate) fn pool(&self, name: &str) -> Option<(FieldPath, &'a Pool)> {
        let at = FieldPath::spec().member("pools");
        self.family()
            .flat_map(|spec| placed(at.clone(), spec.pools.as_deref().unwrap_or_default()))
            .find(|(_, pool)| pool.name == name)
    }

    /// What the family says of a RuntimeClass, pack by pack.
    pub(crate) fn runtime_classes(&self, name: &str) -> impl Iterator<Item = &'a RuntimeClass> {
        let classes = self.family().filter_map(|spec| spec.isolation.as_ref()?.runtime_class.as_ref());
        classes.flat_map(|rules| &rules.classes).filter(move |class| class.name == name)
    }

    /// What the family says that a RuntimeClass is; `None` if it does not define it.
    pub(crate) fn runtime_kind(&self, name: &str) -> Option<RuntimeKind> {
        self.runtime_classes(name).map(|class| class.kind).next()
    }

    /// The pool that a sandbox of the family runs in; `None` also for a ceiling, which runs nowhere.
    pub(crate) fn pool_of(&self, sandbox: &Sandbox) -> Option<(FieldPath, &'a Pool)> {
        self.pool(sandbox.pool.as_deref()?)
    }

    /// This pack's egress rules and where they stand.
    pub(crate) fn egress(&self) -> impl Iterator<Item = (FieldPath, &'a EgressRule)> {
        let rules = self.spec.network.as_ref().map_or(&[][..], |network| &network.egress);
        placed(FieldPath::spec().member("network").member("egress"), rules)
    }

    /// This pack's tools and where they stand.
    pub(crate) fn tools(&self) -> impl Iterator<Item = (FieldPath, &'a Tool)> {
        let tools = self.spec.tools.as_ref().map_or(&[][..], |tools| &tools.definitions);
        placed(FieldPath::spec().member("tools").member("definitions"), tools)
    }

    /// This pack's tool rules and where they stand.
    pub(crate) fn tool_rules(&self) -> impl Iterator<Item = (FieldPath, &'a ToolRule)> {
        let rules = self.spec.tools.as_ref().map_or(&[][..], |tools| &tools.rules);
        placed(FieldPath::spec().member("tools").member("rules"), rules)
    }

    /// This pack's admission rules and where they stand.
    pub(crate) fn admission_rules(&self) -> impl Iterator<Item = (FieldPath, &'a AdmissionRule)> {
        let rules = self.spec.admission.as_ref().map_or(&[][..], |admission| &admission.rules);
        placed(FieldPath::spec().member("admission").member("rules"), rules)
    }

    /// Where an expression of this text stands in the rule of this origin; the rule itself if it is not found.
    pub(crate) fn place(&self, origin: &str, source: &str) -> FieldPath {
        let rule: FieldPath = origin.parse().unwrap_or_default();
        let wire = self.admission_rules().find(|(at, _)| *at == rule).map(|(_, wire)| wire);
        let Some(wire) = wire else { return rule };
        let validations =
            placed(rule.member("validations"), &wire.validations).map(|(at, one)| (at, &one.expression));
        let conditions = placed(rule.member("match").member("conditions"), &wire.matches.conditions);
        let conditions = conditions.map(|(at, one)| (at, &one.expression));
        let found = validations.chain(conditions).find(|(_, text)| *text == source);
        found.map_or(rule.clone(), |(at, _)| at.member("expression"))
    }
}

fn placed<T>(at: FieldPath, items: &[T]) -> impl Iterator<Item = (FieldPath, &T)> {
    items.iter().enumerate().map(move |(index, item)| (at.index(index), item))
}

/// Every CEL text of a rule.
pub(super) fn expressions(rule: &AdmissionRule) -> impl Iterator<Item = &str> {
    let validations = rule.validations.iter();
    let validations =
        validations.flat_map(|one| [Some(&one.expression), one.message_expression.as_ref()]).flatten();
    let patches =
        rule.mutations.iter().filter_map(|one| one.json_patch.as_ref().or(one.apply_configuration.as_ref()));
    let variables = rule.variables.iter().map(|one| &one.expression);
    let conditions = rule.matches.conditions.iter().map(|one| &one.expression);
    let annotations = rule.audit_annotations.iter().map(|one| &one.value_expression);
    let patches = patches.map(|one| &one.expression);
    validations.chain(patches).chain(variables).chain(conditions).chain(annotations).map(String::as_str)
}

/// With the nearest known name as help, or all of them if they are few.
pub(super) fn suggest(diagnostic: Diagnostic, wanted: &str, known: &[&str]) -> Diagnostic {
    let near = known.iter().map(|name| (strsim::damerau_levenshtein(wanted, name), *name)).min();
    match near {
        Some((distance, name)) if distance <= wanted.len().div_ceil(3) => {
            diagnostic.with_help(format!("did you mean `{name}`?"))
        }
        Some(_) if known.len() <= 5 => diagnostic.with_help(format!("there is `{}`", known.join("`, `"))),
        _ => diagnostic,
    }
}

/// Whether the first quantity is the larger one; texts that are none compare as not.
pub(super) fn exceeds(one: &Quantity, other: &Quantity) -> bool {
    let parsed = Amount::parse(one.as_str()).zip(Amount::parse(other.as_str()));
    parsed.is_some_and(|(one, other)| one.compare(&other).is_gt())
}

/// Nanoseconds of a duration.
pub(super) fn nanos(text: &Duration) -> Option<i64> {
    parse_duration(text.as_str()).ok()
}
