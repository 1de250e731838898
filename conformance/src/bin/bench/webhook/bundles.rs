//! The measured bundles: the sixteen rules of `conformance/bench/sixteen-rules/pack.yaml`, and the same with
//! 984 more rules over config maps, which never arrive. The latter shows the cost of a loaded rule that does
//! not apply.

use std::path::Path;

use anyhow::Context as _;
use bailiwick_compiler::cel::{self, Context, Interner, PodAccess, Type};
use bailiwick_policy::bundle;
use bailiwick_policy::ir::Const;
use bailiwick_policy::policy::{
    Action, Admission, AdmissionRule, LabelSelector, Match, Origin, PackSource, Policy, ResourceRule,
    Subject, Unmatched, Validation,
};
use serde::Deserialize;

/// The cell of the policy; pods carry it as a label.
pub(crate) const CELL: &str = "0123456789abcdef";

/// The parts of the pack's file that this bench reads.
#[derive(Deserialize)]
struct Pack {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    admission: Rules,
}

#[derive(Deserialize)]
struct Rules {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    name: String,
    variables: Vec<Variable>,
    validations: Vec<Check>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    expression: String,
}

#[derive(Deserialize)]
struct Check {
    expression: String,
    message: String,
}

fn read() -> anyhow::Result<Vec<Rule>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/sixteen-rules/pack.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let pack: Pack = serde_saphyr::from_str(&text)?;
    Ok(pack.spec.admission.rules)
}

/// Name, expression and message of the sixteen; each has one validation.
pub(super) fn sixteen() -> anyhow::Result<Vec<(String, String, String)>> {
    let mut found = Vec::new();
    for Rule { name, validations, .. } in read()? {
        let [Check { expression, message }] = validations
            .try_into()
            .map_err(|_: Vec<Check>| anyhow::anyhow!("`{name}` has not one validation"))?;
        found.push((name, expression, message));
    }
    Ok(found)
}

/// The bundle of this many rules: the sixteen over pods, the others over config maps.
pub(crate) fn bundle(count: usize) -> anyhow::Result<Vec<u8>> {
    let sixteen = read()?;
    let mut interner = Interner::default();
    let mut rules = Vec::with_capacity(count);
    for (number, rule) in sixteen.iter().cycle().take(count).enumerate() {
        let (resource, object) = if number < sixteen.len() {
            ("pods", Type::of_kind("", "v1", "Pod"))
        } else {
            ("configmaps", Type::Dyn)
        };
        let name = if number < sixteen.len() {
            rule.name.clone()
        } else {
            format!("{}-c{}", rule.name, number / sixteen.len())
        };
        rules.push(lower(rule, name, resource, Context::admission(object), &mut interner)?);
    }
    let (shared, regexes) = interner.into_parts();
    let policy = Policy {
        cell: CELL.to_owned(),
        subject: Some(Subject {
            namespaces: vec![LabelSelector::default()],
            pods: vec![LabelSelector::default()],
            exclusive: false,
            unmatched: Unmatched::Allow,
            from: vec![Origin { pack: 0, at: "spec.subjects".to_owned() }],
        }),
        admission: Admission { shared, regexes, rego: Vec::new(), rules },
        ..Policy::top(vec![PackSource {
            name: "sixteen-rules".to_owned(),
            version: "1.0.0".to_owned(),
            digest: "0".repeat(64),
            parameters_digest: "0".repeat(64),
            parameters: Const::Map(Vec::new()),
        }])
    };
    Ok(bundle::write(&policy)?)
}

fn lower(
    rule: &Rule,
    name: String,
    resource: &str,
    mut context: Context,
    interner: &mut Interner,
) -> anyhow::Result<AdmissionRule> {
    let wrong = |source: &str, errors: Vec<cel::CelError>| {
        let messages: Vec<_> = errors.into_iter().map(|error| error.message).collect();
        anyhow::anyhow!("`{source}`: {}", messages.join("; "))
    };
    context.pod = PodAccess::Available;
    let mut variables = Vec::new();
    for variable in &rule.variables {
        let source = &variable.expression;
        let index = cel::compile_variable(&variable.name, source, &mut context, interner)
            .map_err(|errors| wrong(source, errors))?;
        variables.push((variable.name.clone(), index));
    }
    let context = context.expecting(Type::Bool);
    let mut validations = Vec::new();
    for check in &rule.validations {
        let source = &check.expression;
        let (expression, _) =
            cel::compile(source, &context, interner).map_err(|errors| wrong(source, errors))?;
        validations.push(Validation {
            expression,
            message: Some(check.message.clone()),
            message_expression: None,
            reason: "Invalid".to_owned(),
            remedy: None,
        });
    }
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    Ok(AdmissionRule {
        name,
        origin: Origin { pack: 0, at: "spec.admission.rules".to_owned() },
        matches: Match {
            resources: vec![ResourceRule {
                api_groups: list(&[""]),
                api_versions: list(&["v1"]),
                resources: list(&[resource]),
                operations: list(&["CREATE", "UPDATE"]),
            }],
            ..Match::default()
        },
        pod_templates: resource == "pods",
        variables,
        validations,
        mutations: Vec::new(),
        audit_annotations: Vec::new(),
        action: Action::Deny,
        exceptable: false,
        rego: None,
    })
}
