//! What the sections of the policy other than `admission` contribute to the floor: Pod Security,
//! RuntimeClass, token, host network, images, and the treatment of pods that nothing selects.

use bailiwick_policy::policy::{Action, LabelSelector, Origin, ServiceAccountToken, Subject, Unmatched};

use crate::emit::cell::Cell;
use crate::emit::namespace::level_name;
use crate::emit::{UnmatchedFloor, selector, statements, webhooks};

use super::closed::labelling;
use super::{
    Check, FloorRule, MatchSet, Standing, container_variables, governed, images, labels_of, pod_security,
    ratchet, status,
};

/// The pods that sections judge.
pub(super) struct Judged {
    pub(super) matches: MatchSet,
    /// The variable that says whether the policy governed the old pod, with its expression; `None`: it governs
    /// every pod.
    was_governed: Option<(String, String)>,
}

impl Judged {
    /// The variables that checks of pods use.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        container_variables().into_iter().chain(self.was_governed.clone()).collect()
    }

    /// A check of the pod that is skipped on UPDATE if the old pod was governed and already fails it. In
    /// `template`, `@pod` is the pod and `@containers` all its containers.
    pub(super) fn check(&self, template: &str) -> String {
        let on =
            |pod: &str, containers: &str| template.replace("@pod", pod).replace("@containers", containers);
        let was: Vec<String> =
            self.was_governed.iter().map(|(variable, _)| format!("variables.{variable}")).collect();
        format!(
            "({}) || ({} && !({}))",
            on("object", "variables.containers"),
            ratchet::on_update(&was),
            on("oldObject", "variables.oldContainers")
        )
    }
}

/// The statement, what it contributes, and how much of it that enforces.
pub(super) type Contribution = (String, Option<FloorRule>, Standing);

/// The check of one section: its name, a template with `@pod` and `@containers`, and the fault of a pod that
/// fails.
struct Demand {
    section: &'static str,
    template: String,
    fault: String,
    remedy: String,
}

pub(super) fn rules(cell: &Cell<'_>) -> Vec<Contribution> {
    let isolation = &cell.policy.isolation;
    let mut out = Vec::new();
    let (Some(subject), Some(judged)) = (&cell.policy.subject, judged(cell)) else { return out };
    let matches = &judged.matches;
    let mut add = |statement: String, from: &[Origin], demands: Vec<Demand>| {
        out.push((statement, Some(rule(&judged, from, &demands)), Standing::full()));
    };
    for stated in &isolation.pod_security {
        let level = stated.value;
        let name = format!("{}:v1.{}", level_name(level.level), level.minor);
        let demands = pod_security::checks(level)
            .into_iter()
            .map(|check| Demand {
                section: "podSecurity",
                template: check.expression,
                fault: format!("the pod {} ({}, check {})", check.fault, name, check.id),
                remedy: format!("meet Pod Security level {name}"),
            })
            .collect::<Vec<_>>();
        if !demands.is_empty() {
            add(statements::pod_security(level), &stated.from, demands);
        }
    }
    if let Some(stated) = &isolation.runtime_class {
        let names = stated.value.classes.iter().map(|class| class.name.as_str());
        let list: Vec<&str> = names.clone().collect();
        let template = format!("@pod.spec.?runtimeClassName.orValue('') in {}", selector::cel_list(names));
        let fault = format!("the pod's runtimeClassName is none of {}", list.join(", "));
        let remedy = "set spec.runtimeClassName to an allowed class".to_owned();
        let demand = Demand { section: "runtimeClass", template, fault, remedy };
        add(statements::RUNTIME_CLASS.to_owned(), &stated.from, vec![demand]);
    }
    if let Some(stated) = &isolation.service_account_token
        && stated.value == ServiceAccountToken::Forbidden
    {
        add(statements::SERVICE_ACCOUNT_TOKEN.to_owned(), &stated.from, token());
    }
    if let Some(network) = &cell.policy.network {
        let demand = Demand {
            section: "network",
            template: "!@pod.spec.?hostNetwork.orValue(false)".to_owned(),
            fault: "the pod uses the host's network, which no NetworkPolicy can hold".to_owned(),
            remedy: "remove spec.hostNetwork".to_owned(),
        };
        add(statements::HOST_NETWORK.to_owned(), &network.from, vec![demand]);
    }
    for (index, layer) in cell.policy.images.iter().enumerate() {
        out.push(images::contribution(index, layer, &judged));
    }
    // In a cluster, other bindings may select such a pod; `closed` is the policy over all of them.
    if cell.options.unmatched == UnmatchedFloor::Own {
        out.extend(unmatched(cell, subject, matches));
        out.extend(unlabelled(cell, subject, matches));
    }
    out.extend(kept(cell, subject, matches));
    out
}

/// Binding a pod to a node must not label it. In a cluster, `closed` says so.
fn unlabelled(cell: &Cell<'_>, subject: &Subject, matches: &MatchSet) -> Option<Contribution> {
    cell.pods()?;
    let (check, message) = labelling();
    let check =
        Check { expression: check, message, message_expression: None, reason: "Forbidden".to_owned() };
    let matches =
        MatchSet { resources: webhooks::binding_rules(), conditions: Vec::new(), ..matches.clone() };
    let rule = FloorRule {
        action: Action::Deny,
        matches,
        variables: Vec::new(),
        checks: vec![check],
        audit: Vec::new(),
        from: subject.from.clone(),
    };
    Some((statements::LABELS.to_owned(), Some(rule), Standing::partial(CELL_LABEL_NOTE)))
}

/// What the floor of one policy cannot say of the labels.
const CELL_LABEL_NOTE: &str =
    "the selected labels are frozen; the cell label, which may join several policies, is the webhook's alone";

/// An update must not take a pod out of the policy's reach.
fn kept(cell: &Cell<'_>, subject: &Subject, matches: &MatchSet) -> Option<Contribution> {
    let pods = cell.pods().filter(|pods| pods != &LabelSelector::default())?;
    let new = selector::cel(&pods, &labels_of("object"));
    let old = selector::cel(&pods, &labels_of("oldObject"));
    let check = Check {
        expression: format!("request.operation != 'UPDATE' || !({old}) || ({new})"),
        message: "subjects: an update may not take a pod out of the policy's reach; keep the labels that the pack selects".to_owned(),
        message_expression: None,
        reason: "Forbidden".to_owned(),
    };
    let rule = FloorRule {
        action: Action::Deny,
        matches: MatchSet { resources: webhooks::label_rules(), ..matches.clone() },
        variables: Vec::new(),
        checks: vec![check],
        audit: Vec::new(),
        from: subject.from.clone(),
    };
    Some((statements::LABELS.to_owned(), Some(rule), Standing::partial(CELL_LABEL_NOTE)))
}

fn token() -> Vec<Demand> {
    let demand = |template: &str, fault: &str, remedy: &str| Demand {
        section: "serviceAccountToken",
        template: template.to_owned(),
        fault: fault.to_owned(),
        remedy: remedy.to_owned(),
    };
    vec![
        demand(
            "!@pod.spec.?automountServiceAccountToken.orValue(true)",
            "the pod may mount a service account token",
            "set spec.automountServiceAccountToken to false",
        ),
        demand(
            "@pod.spec.?volumes.orValue([]).all(v, v.?projected.?sources.orValue([]).all(s, !has(s.serviceAccountToken)))",
            "the pod projects a service account token",
            "remove the projected volume's serviceAccountToken",
        ),
    ]
}

/// What every section judges: governed pods, on creation and change. `None` if nothing can be governed.
fn judged(cell: &Cell<'_>) -> Option<Judged> {
    let pods = cell.pods()?;
    let namespaces = cell.hooked_namespaces()?;
    if !selector::can_match(&pods) || !selector::can_match(&namespaces) {
        return None;
    }
    let mut conditions: Vec<_> = governed(&pods).into_iter().collect();
    let mut resources = webhooks::pod_rules();
    if !conditions.is_empty() {
        // A label may bring a pod into the policy's reach.
        resources = webhooks::label_rules();
        conditions.push(status::changes_metadata());
    }
    let matches = MatchSet { resources, exclude: Vec::new(), namespaces, objects: None, conditions };
    Some(Judged { matches, was_governed: ratchet::was_governed(&pods) })
}

fn rule(judged: &Judged, from: &[Origin], demands: &[Demand]) -> FloorRule {
    let checks = demands
        .iter()
        .map(|demand| Check {
            expression: judged.check(&demand.template),
            message: format!("{}: {}; {}", demand.section, demand.fault, demand.remedy),
            message_expression: None,
            reason: "Forbidden".to_owned(),
        })
        .collect();
    FloorRule {
        action: Action::Deny,
        matches: judged.matches.clone(),
        variables: judged.variables(),
        checks,
        audit: Vec::new(),
        from: from.to_vec(),
    }
}

/// Denies pods of governed namespaces that are not selected. Only for exclusive namespaces: elsewhere another
/// policy may select them, and one admission policy cannot know about another.
fn unmatched(cell: &Cell<'_>, subject: &Subject, matches: &MatchSet) -> Option<Contribution> {
    if subject.unmatched == Unmatched::Allow {
        return None;
    }
    let statement = statements::UNMATCHED.to_owned();
    let pods = cell.pods()?;
    if pods == LabelSelector::default() {
        return Some((statement, None, Standing::full()));
    }
    if !subject.exclusive {
        let why = "another policy may select such a pod, and the API server's own policies do not know of one another; only exclusive namespaces have a floor for this";
        return Some((statement, None, Standing::none(why)));
    }
    let new = selector::cel(&pods, &labels_of("object"));
    let old = selector::cel(&pods, &labels_of("oldObject"));
    let check = Check {
        // A pod older than the policy may still be changed, as long as it does not leave the selector.
        expression: format!("({new}) || (request.operation == 'UPDATE' && !({old}))"),
        message: "subjects: no policy pack selects this pod, and its namespace is closed to other pods; give it the labels that a pack selects".to_owned(),
        message_expression: None,
        reason: "Forbidden".to_owned(),
    };
    let rule = FloorRule {
        action: Action::Deny,
        matches: MatchSet { resources: webhooks::pod_rules(), conditions: Vec::new(), ..matches.clone() },
        variables: Vec::new(),
        checks: vec![check],
        audit: Vec::new(),
        from: subject.from.clone(),
    };
    Some((statement, Some(rule), Standing::full()))
}
