//! ValidatingAdmissionPolicies with their bindings, and Kyverno's ValidatingPolicies, namespaced or not: all are
//! rules in Kubernetes' CEL.
//!
//! Each policy and binding makes one rule, or two where it denies CREATE and UPDATE. A pack's rule for both
//! only warns about an UPDATE that leaves a violation as it was, which the sources deny; a rule for UPDATE
//! alone denies it too. A policy without a binding is in force nowhere, but becomes a rule all the same.
//! Parameter objects are not available when a pack decides, so expressions that read them are denied
//! (`prune`).

use serde_json::{Value, json};

use super::object;
use super::objects::{Losses, Object, Widens, label};

/// The four operations that `*` stands for.
const OPERATIONS: [&str; 4] = ["CREATE", "UPDATE", "DELETE", "CONNECT"];

pub(super) fn of_kubernetes(objects: &[Object<'_>], losses: &mut Losses) -> Value {
    let bindings: Vec<Object<'_>> =
        objects.iter().copied().filter(|one| one.kind() == "ValidatingAdmissionPolicyBinding").collect();
    let mut rules = Rules::default();
    for policy in objects.iter().copied().filter(|one| one.kind() == "ValidatingAdmissionPolicy") {
        let spec = policy.at("/spec").unwrap_or(&Value::Null);
        let known = [
            "matchConstraints",
            "matchConditions",
            "variables",
            "validations",
            "auditAnnotations",
            "failurePolicy",
            "paramKind",
        ];
        losses.unknown(policy, spec, "spec", &known);
        if policy.at("/spec/paramKind").is_some() {
            let reason = "parameters are not read from objects; a validation that uses them is denied";
            losses.add(policy, "spec.paramKind", reason, Widens::No);
        }
        let of_policy = bindings.iter().copied().filter(|binding| {
            binding.at("/spec/policyName").and_then(Value::as_str) == Some(policy.own_name())
        });
        let of_policy: Vec<Object<'_>> = of_policy.collect();
        if of_policy.is_empty() {
            let reason = "no binding was given, so it is in force nowhere; the pack denies by it in every namespace that it is put in force for";
            losses.add(policy, "", reason, Widens::No);
            rules.push(policy, None, "Deny", losses);
        }
        for binding in of_policy {
            let spec = binding.at("/spec").unwrap_or(&Value::Null);
            losses.unknown(
                binding,
                spec,
                "spec",
                &["policyName", "validationActions", "matchResources", "paramRef"],
            );
            let action = action(binding, losses);
            rules.push(policy, Some(binding), action, losses);
        }
    }
    for binding in bindings {
        let name = binding.at("/spec/policyName").and_then(Value::as_str).unwrap_or_default();
        let is_there =
            objects.iter().any(|one| one.kind() == "ValidatingAdmissionPolicy" && one.own_name() == name);
        if !is_there {
            losses.add(binding, "spec.policyName", format!("the policy `{name}` was not given"), Widens::Yes);
        }
    }
    rules.spec(objects, losses)
}

pub(super) fn of_kyverno(objects: &[Object<'_>], losses: &mut Losses) -> Value {
    let mut rules = Rules::default();
    for policy in objects.iter().copied() {
        let spec = policy.at("/spec").unwrap_or(&Value::Null);
        let known = [
            "matchConstraints",
            "matchConditions",
            "variables",
            "validations",
            "auditAnnotations",
            "failurePolicy",
            "validationActions",
            "autogen",
            "evaluation",
            "webhookConfiguration",
        ];
        losses.unknown(policy, spec, "spec", &known);
        if policy.at("/spec/evaluation/admission/enabled") == Some(&Value::Bool(false)) {
            let reason = "it only reports on what is there; the pack judges what is sent";
            losses.add(policy, "spec.evaluation.admission", reason, Widens::No);
        }
        if policy.at("/spec/evaluation/mode").is_some_and(|mode| mode != "Kubernetes") {
            let reason = "it judges documents that are not requests; the pack judges requests";
            losses.add(policy, "spec.evaluation.mode", reason, Widens::Yes);
        }
        if policy.at("/spec/webhookConfiguration").is_some() {
            losses.add(policy, "spec.webhookConfiguration", "the webhook is set up elsewhere", Widens::No);
        }
        let action = action(policy, losses);
        rules.push(policy, None, action, losses);
    }
    rules.spec(objects, losses)
}

/// The strictest of the actions of a binding, or of a policy of Kyverno. Without any, both deny.
fn action(object: Object<'_>, losses: &mut Losses) -> &'static str {
    let actions = object.at("/spec/validationActions").and_then(Value::as_array);
    let actions: &[Value] = actions.map_or(&[], Vec::as_slice);
    let has = |word: &str| actions.iter().any(|one| one == word);
    let strictest = match (has("Deny"), has("Warn"), has("Audit")) {
        (true, ..) => "Deny",
        (_, true, _) => "Warn",
        (_, _, true) => "Audit",
        _ => "Deny",
    };
    if actions.len() > 1 {
        let reason =
            format!("a rule has one action: {strictest}, the strictest; every decision is on record");
        losses.add(object, "spec.validationActions", reason, Widens::No);
    }
    strictest
}

/// Rules under construction.
#[derive(Default)]
struct Rules {
    names: Vec<String>,
    all: Vec<Value>,
}

impl Rules {
    /// The pack's spec. The sources say where they hold by bindings and selectors, a pack by its `subjects`.
    fn spec(self, objects: &[Object<'_>], losses: &mut Losses) -> Value {
        if let Some(first) = objects.first() {
            let reason = "the pack has no `subjects`, so it is in force for nobody: bind a pack that extends it and has them";
            losses.add(*first, "", reason, Widens::Yes);
        }
        json!({"admission": {"rules": self.all}})
    }

    fn push(&mut self, policy: Object<'_>, binding: Option<Object<'_>>, action: &str, losses: &mut Losses) {
        let name = match binding {
            Some(binding) if binding.own_name() != policy.own_name() => binding.own_name(),
            _ => policy.own_name(),
        };
        let name = label(name, &self.names);
        losses.made([&name], policy);
        if policy.at("/spec/failurePolicy") == Some(&json!("Ignore")) {
            let reason = "an expression that cannot be evaluated is denied";
            losses.add(policy, "spec.failurePolicy", reason, Widens::No);
        }
        let list = |path: &str, members: &[&str]| {
            let items = policy.at(path).and_then(Value::as_array)?;
            Some(Value::from(items.iter().map(|item| only(item, members)).collect::<Vec<_>>()))
        };
        let mut rule = object([
            ("name", name.clone().into()),
            ("match", matching(policy, binding, losses)),
            ("podTemplates", if governs_templates(policy, losses) { true.into() } else { Value::Null }),
            ("variables", list("/spec/variables", &["name", "expression"]).unwrap_or_default()),
            (
                "validations",
                list("/spec/validations", &["expression", "message", "messageExpression", "reason"])
                    .unwrap_or_else(|| json!([])),
            ),
            (
                "auditAnnotations",
                list("/spec/auditAnnotations", &["key", "valueExpression"]).unwrap_or_default(),
            ),
            ("action", action.into()),
        ]);
        self.names.push(name.clone());
        let updates = (action == "Deny").then(|| of_updates_alone(&mut rule)).flatten();
        self.all.push(rule);
        if let Some(mut updates) = updates {
            let name = label(&format!("{name}-update"), &self.names);
            if let Some(members) = updates.as_object_mut() {
                members.insert("name".to_owned(), name.clone().into());
            }
            losses.made([&name], policy);
            self.names.push(name);
            self.all.push(updates);
        }
        if action == "Deny" && resource_rules(policy).iter().any(|rule| is_asked_of(rule, "UPDATE")) {
            what_updates_pass(policy, losses);
        }
    }
}

/// Moves UPDATE out of a rule that also applies to CREATE, into a rule of its own. That rule does not apply
/// to templates: these are judged as pods that are created.
fn of_updates_alone(rule: &mut Value) -> Option<Value> {
    let mut updates = rule.clone();
    let of_both = rule.pointer_mut("/match/resources")?.as_array_mut()?;
    let has = |all: &[Value], operation: &str| all.iter().any(|one| is_asked_of(one, operation));
    if !has(of_both, "CREATE") || !has(of_both, "UPDATE") {
        return None;
    }
    let keep = |all: &mut Vec<Value>, is_kept: &dyn Fn(&Value) -> bool| {
        let each = all.iter_mut().filter_map(|one| one.get_mut("operations")?.as_array_mut());
        each.for_each(|operations| operations.retain(is_kept));
        all.retain(|one| one["operations"].as_array().is_some_and(|operations| !operations.is_empty()));
    };
    keep(of_both, &|operation| operation != "UPDATE");
    keep(updates.pointer_mut("/match/resources")?.as_array_mut()?, &|operation| operation == "UPDATE");
    updates.as_object_mut()?.remove("podTemplates");
    Some(updates)
}

/// Updates that the source denies and the pack does not.
fn what_updates_pass(policy: Object<'_>, losses: &mut Losses) {
    let at = "spec.matchConstraints.resourceRules";
    let reason = "an UPDATE of an object that is being deleted passes where it changes metadata alone, so that finalizers can be taken off";
    losses.add(policy, at, reason, Widens::Yes);
    if governs_templates(policy, &mut Losses::default()) {
        let reason = "an UPDATE of what makes pods that leaves a violation of its template as it was is warned of, not denied";
        losses.add(policy, "spec.autogen", reason, Widens::Yes);
    }
}

/// Whether a rule over resources applies to an operation.
fn is_asked_of(rule: &Value, operation: &str) -> bool {
    let operations = rule.get("operations").and_then(Value::as_array);
    operations.is_none_or(|all| all.iter().any(|one| one == operation || one == "*"))
}

/// The policy's resource rules.
fn resource_rules(policy: Object<'_>) -> &[Value] {
    policy.at("/spec/matchConstraints/resourceRules").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether Kyverno applies a rule to pod controllers too: where it matches only pods, unless its list of
/// controllers is empty. The pack applies it to every controller that it knows.
fn governs_templates(policy: Object<'_>, losses: &mut Losses) -> bool {
    let controllers = policy.at("/spec/autogen/podControllers/controllers").and_then(Value::as_array);
    let rules = resource_rules(policy);
    let is_wanted =
        policy.kind() != "ValidatingAdmissionPolicy" && controllers.is_none_or(|all| !all.is_empty());
    let all = |name: &str, is_one: &dyn Fn(&str) -> bool| {
        let is_all = |list: &Vec<Value>| list.iter().all(|one| one.as_str().is_some_and(is_one));
        let holds = |rule: &Value| rule.get(name).and_then(Value::as_array).is_some_and(is_all);
        !rules.is_empty() && rules.iter().all(holds)
    };
    if !is_wanted || !all("resources", &|one| one == "pods" || one.starts_with("pods/")) {
        return false;
    }
    let is_known =
        |one: &str| matches!(one, "pods" | "pods/ephemeralcontainers" | "pods/resize" | "pods/status");
    if all("resources", &is_known)
        && all("apiGroups", &str::is_empty)
        && all("apiVersions", &|one| one == "v1")
    {
        return true;
    }
    let reason = "the rule is not asked of what makes pods: it matches more than pods of v1";
    losses.add(policy, "spec.autogen", reason, Widens::Yes);
    false
}

/// An object with only these members.
fn only(of: &Value, members: &[&str]) -> Value {
    let there = members.iter().filter_map(|name| Some(((*name).to_owned(), of.get(*name)?.clone())));
    Value::Object(there.collect())
}

/// A selector of the namespace that a namespaced policy is in, which alone it governs.
fn own_namespace(policy: Object<'_>) -> Option<Value> {
    let namespace = policy.at("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
    let of_one = || json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    (policy.kind() == "NamespacedValidatingPolicy").then(of_one)
}

fn matching(policy: Object<'_>, binding: Option<Object<'_>>, losses: &mut Losses) -> Value {
    let known =
        ["resourceRules", "excludeResourceRules", "namespaceSelector", "objectSelector", "matchPolicy"];
    let mut conditions: Vec<Value> = Vec::new();
    if let Some(constraints) = policy.at("/spec/matchConstraints") {
        losses.unknown(policy, constraints, "spec.matchConstraints", &known);
    }
    for item in policy.at("/spec/matchConditions").and_then(Value::as_array).into_iter().flatten() {
        let mut one = only(item, &["name", "expression"]);
        let name = free(&conditions, item.get("name").and_then(Value::as_str).unwrap_or("condition"));
        if let Some(members) = one.as_object_mut() {
            members.insert("name".to_owned(), name.into());
        }
        conditions.push(one);
    }
    let resources = resources(policy, "/spec/matchConstraints/resourceRules", Some(&mut conditions), losses);
    let excluded = resources_excluded(policy, losses);
    let mut selectors = Vec::new();
    for name in ["namespaceSelector", "objectSelector"] {
        let own = policy.at(&format!("/spec/matchConstraints/{name}"));
        let mut of_binding = binding.and_then(|binding| binding.at(&format!("/spec/matchResources/{name}")));
        if name == "objectSelector"
            && let Some(condition) = apart(policy, own, of_binding)
        {
            let name = free(&conditions, "object-selector");
            conditions.push(json!({"name": name, "expression": condition}));
            of_binding = None;
        }
        let selector = both(own, of_binding);
        let at_home = (name == "namespaceSelector").then(|| own_namespace(policy)).flatten();
        selectors.push(both(selector.as_ref(), at_home.as_ref()));
    }
    if let Some(binding) = binding {
        for name in ["resourceRules", "excludeResourceRules"] {
            if binding.at(&format!("/spec/matchResources/{name}")).is_some() {
                let reason = "the rule is asked of all that the policy names";
                losses.add(binding, &format!("spec.matchResources.{name}"), reason, Widens::No);
            }
        }
        if binding.at("/spec/paramRef").is_some() {
            let reason = "parameters are not read from objects; a validation that uses them is denied";
            losses.add(binding, "spec.paramRef", reason, Widens::No);
        }
    }
    let mut selectors = selectors.into_iter();
    object([
        ("resources", resources),
        ("excludeResources", excluded),
        ("namespaceSelector", selectors.next().flatten().unwrap_or_default()),
        ("objectSelector", selectors.next().flatten().unwrap_or_default()),
        ("conditions", if conditions.is_empty() { Value::Null } else { conditions.into() }),
    ])
}

/// Resource rules in a pack's form. Object names become a condition if there is only one rule.
fn resources(
    policy: Object<'_>,
    path: &str,
    conditions: Option<&mut Vec<Value>>,
    losses: &mut Losses,
) -> Value {
    let rules = policy.at(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let shown = path.trim_start_matches('/').replace('/', ".");
    if let (Some(conditions), [only]) = (conditions, rules.as_slice())
        && let Some(names) = resource_names(only)
    {
        // A JSON list of strings is also valid CEL.
        conditions.push(json!({"name": "resource-names", "expression": format!("request.name in {names}")}));
    } else if rules.iter().any(|rule| resource_names(rule).is_some()) {
        let reason = "the rule is asked of objects of any name";
        losses.add(policy, &format!("{shown}[].resourceNames"), reason, Widens::No);
    }
    let made = rules.iter().map(|rule| {
        if rule.get("scope").is_some_and(|scope| scope != "*") {
            losses.add(policy, &format!("{shown}[].scope"), "the rule is asked in any scope", Widens::No);
        }
        resource(rule)
    });
    made.collect()
}

/// The object names that a rule applies to; `None` for every name, which an empty list means too.
fn resource_names(rule: &Value) -> Option<&Value> {
    rule.get("resourceNames").filter(|names| names.as_array().is_some_and(|all| !all.is_empty()))
}

fn resource(rule: &Value) -> Value {
    let list = |name: &str| rule.get(name).cloned().unwrap_or_else(|| json!(["*"]));
    let mut operations = list("operations");
    if operations.as_array().is_some_and(|all| all.iter().any(|one| one == "*")) {
        operations = json!(OPERATIONS);
    }
    json!({
        "apiGroups": list("apiGroups"), "apiVersions": list("apiVersions"), "resources": list("resources"),
        "operations": operations,
    })
}

/// A pack cannot exclude objects by name, so they are judged.
fn resources_excluded(policy: Object<'_>, losses: &mut Losses) -> Value {
    let path = "/spec/matchConstraints/excludeResourceRules";
    let rules = policy.at(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut made = Vec::new();
    for rule in &rules {
        let narrows = resource_names(rule).is_some() || rule.get("scope").is_some_and(|scope| scope != "*");
        if narrows {
            let reason = "an exclusion by name or scope is not made";
            losses.add(policy, "spec.matchConstraints.excludeResourceRules", reason, Widens::No);
        } else {
            made.push(resource(rule));
        }
    }
    if made.is_empty() { Value::Null } else { made.into() }
}

/// A name that none of these conditions has.
fn free(conditions: &[Value], wanted: &str) -> String {
    let names: Vec<String> =
        conditions.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect();
    label(wanted, &names)
}

/// The binding's object selector as a condition, where it cannot be one selector with the policy's: of an UPDATE each
/// selects the new or the old labels by itself, so that one may select the new and the other the old.
fn apart(policy: Object<'_>, own: Option<&Value>, of_binding: Option<&Value>) -> Option<String> {
    let is_update = resource_rules(policy).iter().any(|rule| is_asked_of(rule, "UPDATE"));
    let selector = of_binding.filter(|_| is_update && own.is_some_and(|own| !selects_all(own)))?;
    let new = holds_of("object", selector)?;
    let old = holds_of("oldObject", selector)?;
    Some(format!("object != null && {new} || oldObject != null && {old}"))
}

/// That a selector selects the labels of an object, in CEL. A JSON string of ASCII, and a list of such, is also CEL.
/// `None`: it selects everything, or is no selector.
fn holds_of(object: &str, selector: &Value) -> Option<String> {
    let parts = expressions(selector).into_iter().map(|one| {
        let key = one.get("key").filter(|key| key.as_str().is_some_and(str::is_ascii))?;
        let label = format!("{object}.?metadata.?labels[?{key}]");
        let values = one.get("values").filter(|values| values.to_string().is_ascii());
        Some(match one.get("operator").and_then(Value::as_str)? {
            "In" => format!("{label}.optMap(value, value in {}).orValue(false)", values?),
            "NotIn" => format!("{label}.optMap(value, !(value in {})).orValue(true)", values?),
            "Exists" => format!("{label}.hasValue()"),
            "DoesNotExist" => format!("!{label}.hasValue()"),
            _ => return None,
        })
    });
    let parts: Vec<String> = parts.collect::<Option<_>>()?;
    (!parts.is_empty()).then(|| parts.join(" && "))
}

fn selects_all(selector: &Value) -> bool {
    selector.as_object().is_some_and(|members| {
        members.values().all(|value| value.as_object().is_none_or(serde_json::Map::is_empty))
            && members.values().all(|value| value.as_array().is_none_or(Vec::is_empty))
    })
}

/// What both selectors select; `None` for everything.
fn both(one: Option<&Value>, other: Option<&Value>) -> Option<Value> {
    match (one.filter(|one| !selects_all(one)), other.filter(|other| !selects_all(other))) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (Some(one), Some(other)) => {
            let mut wanted = expressions(one);
            wanted.extend(expressions(other));
            Some(json!({"matchExpressions": wanted}))
        }
    }
}

/// A selector as expressions only.
fn expressions(selector: &Value) -> Vec<Value> {
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let mut all: Vec<Value> =
        labels.map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]})).collect();
    all.extend(selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten().cloned());
    all
}
