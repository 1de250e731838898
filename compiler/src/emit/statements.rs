//! The statements of a policy, as listed in the report: an id that the floor and the report share, and the
//! statement in words.

use bailiwick_policy::policy::{
    Action, AdmissionRule, ImageDigest, ImageEffect, ImageLayer, LabelSelector, NetworkRule, Origin, Peer,
    PodSecurity, Policy, PortRange, Protocol, ServiceAccountToken, Unmatched,
};

use super::calls::{self, Rests};
use super::cell::Cell;
use super::namespace::level_name;
use super::{EmitError, selector};

pub(super) const RUNTIME_CLASS: &str = "isolation/runtimeClass";
pub(super) const SERVICE_ACCOUNT_TOKEN: &str = "isolation/serviceAccountToken";
pub(super) const HOST_NETWORK: &str = "network/hostNetwork";
pub(super) const NETWORK: &str = "network";
pub(super) const LABELS: &str = "subjects/labels";
pub(super) const UNMATCHED: &str = "subjects/unmatched";

pub(super) fn pod_security(level: PodSecurity) -> String {
    format!("isolation/podSecurity/{}:v1.{}", level_name(level.level), level.minor)
}

pub(super) fn images(layer: usize) -> String {
    format!("images/{layer}")
}

pub(super) fn rule(pack: &str, name: &str) -> String {
    format!("admission/{pack}/{name}")
}

pub(super) fn mutations(pack: &str, name: &str) -> String {
    format!("admission/{pack}/{name}/mutations")
}

/// Which kind of layer can enforce a statement, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By judging pods.
    Pods,
    /// By judging pods; the API server's Pod Security plugin does so too.
    PodSecurity {
        /// Whether the emitted label is the statement's own level.
        labelled: bool,
    },
    /// By judging pods; the RuntimeClass must exist.
    RuntimeClass,
    /// By filtering packets.
    Packets,
    /// By judging whatever an authored rule matches.
    Authored,
    /// By mutating objects.
    Mutation,
    /// By deciding, confining and recording tool calls.
    Executor(Rests),
}

/// One statement, before layers are assigned.
pub(super) struct Said {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) says: String,
    pub(super) from: Vec<Origin>,
}

/// Every statement of the policy, in the order of its sections.
pub(super) fn all(cell: &Cell<'_>) -> Result<Vec<Said>, EmitError> {
    let policy = cell.policy;
    let mut out = Vec::new();
    if let Some(subject) = policy.subject.as_ref().filter(|subject| subject.unmatched == Unmatched::Deny) {
        out.push(Said {
            id: UNMATCHED.to_owned(),
            kind: Kind::Pods,
            says: "A pod of a governed namespace that no pack selects is refused.".to_owned(),
            from: subject.from.clone(),
        });
    }
    if let Some(subject) = &policy.subject
        && cell.pods().is_some_and(|pods| pods != LabelSelector::default())
    {
        out.push(Said {
            id: LABELS.to_owned(),
            kind: Kind::Pods,
            says: "An update leaves a governed pod the labels that make it governed, and its cell."
                .to_owned(),
            from: subject.from.clone(),
        });
    }
    out.extend(isolation(policy));
    out.extend(network(policy));
    for (index, layer) in policy.images.iter().enumerate() {
        let from = vec![layer.from.clone()];
        out.push(Said { id: images(index), kind: Kind::Pods, says: image_words(layer), from });
    }
    for authored in &policy.admission.rules {
        out.extend(admission(authored, cell.pack(authored.origin.pack)?));
    }
    out.extend(calls::all(policy));
    Ok(out)
}

fn isolation(policy: &Policy) -> Vec<Said> {
    let mut out = Vec::new();
    for (index, stated) in policy.isolation.pod_security.iter().enumerate() {
        let level = stated.value;
        out.push(Said {
            id: pod_security(level),
            kind: Kind::PodSecurity { labelled: index == 0 },
            says: format!(
                "Each governed pod meets Pod Security level {} of version v1.{}.",
                level_name(level.level),
                level.minor
            ),
            from: stated.from.clone(),
        });
    }
    if let Some(stated) = &policy.isolation.runtime_class {
        let names: Vec<_> = stated.value.classes.iter().map(|class| class.name.as_str()).collect();
        let default = match stated.value.default_class() {
            Some(class) => format!("a pod that names none gets {}", class.name),
            None => "a pod that names none is refused".to_owned(),
        };
        out.push(Said {
            id: RUNTIME_CLASS.to_owned(),
            kind: Kind::RuntimeClass,
            says: format!(
                "Each governed pod runs in one of these RuntimeClasses: {}; {default}.",
                none_if_empty(&names)
            ),
            from: stated.from.clone(),
        });
    }
    if let Some(stated) = &policy.isolation.service_account_token
        && stated.value == ServiceAccountToken::Forbidden
    {
        out.push(Said {
            id: SERVICE_ACCOUNT_TOKEN.to_owned(),
            kind: Kind::Pods,
            says: "No governed pod holds a service account token.".to_owned(),
            from: stated.from.clone(),
        });
    }
    out
}

fn network(policy: &Policy) -> Vec<Said> {
    let Some(network) = &policy.network else { return Vec::new() };
    let mut out = vec![
        Said {
            id: HOST_NETWORK.to_owned(),
            kind: Kind::Pods,
            says: "No governed pod uses the host's network.".to_owned(),
            from: network.from.clone(),
        },
        Said {
            id: NETWORK.to_owned(),
            kind: Kind::Packets,
            says:
                "Governed pods connect to nobody and are reached from no other node, unless a rule allows it."
                    .to_owned(),
            from: network.from.clone(),
        },
    ];
    for (direction, preposition, rules) in
        [("egress", "to", &network.egress), ("ingress", "from", &network.ingress)]
    {
        for rule in rules {
            out.push(Said {
                id: format!("network/{direction}/{}", rule.name),
                kind: Kind::Packets,
                says: rule_words(direction, preposition, rule),
                from: rule.from.clone(),
            });
        }
    }
    out
}

fn rule_words(direction: &str, preposition: &str, rule: &NetworkRule) -> String {
    let peers: Vec<_> = rule.peers.iter().map(peer_words).collect();
    let ports: Vec<_> = rule.ports.iter().map(port_words).collect();
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
    format!("{direction} {preposition} {} at {} is allowed.", none_if_empty(&peers), none_if_empty(&ports))
}

fn peer_words(peer: &Peer) -> String {
    match peer {
        Peer::Cidr { cidr, except } if except.is_empty() => cidr.clone(),
        Peer::Cidr { cidr, except } => format!("{cidr} without {}", except.join(", ")),
        Peer::Pods { namespaces, pods } => {
            let pods = selector_words(&selector::conjoin(pods));
            match namespaces {
                None => format!("pods ({pods}) of the same namespace"),
                Some(namespaces) => {
                    format!(
                        "pods ({pods}) of namespaces ({})",
                        selector_words(&selector::conjoin(namespaces))
                    )
                }
            }
        }
    }
}

pub(super) fn selector_words(selector: &LabelSelector) -> String {
    let mut words: Vec<String> =
        selector.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    for expression in &selector.match_expressions {
        let operator = format!("{:?}", expression.operator);
        let values = if expression.values.is_empty() {
            String::new()
        } else {
            format!(" [{}]", expression.values.join(", "))
        };
        words.push(format!("{} {operator}{values}", expression.key));
    }
    if words.is_empty() { "all".to_owned() } else { words.join(", ") }
}

fn port_words(range: &PortRange) -> String {
    let protocol = match range.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    match (range.first, range.last) {
        (0 | 1, u16::MAX) => format!("all {protocol} ports"),
        (first, last) if first == last => format!("{protocol} {first}"),
        (first, last) => format!("{protocol} {first}-{last}"),
    }
}

fn none_if_empty(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn image_words(layer: &ImageLayer) -> String {
    let of = |wanted: ImageEffect, required: bool| {
        let entries = layer
            .entries
            .iter()
            .filter(move |entry| entry.effect == wanted && (!required || entry.digest != ImageDigest::Any));
        entries.flat_map(|entry| entry.patterns.iter().map(String::as_str)).collect::<Vec<_>>()
    };
    let mut says = format!("Images match one of: {}", none_if_empty(&of(ImageEffect::Allow, false)));
    let (refused, pinned) = (of(ImageEffect::Deny, false), of(ImageEffect::Allow, true));
    if !refused.is_empty() {
        says.push_str(&format!("; and none of: {}", refused.join(", ")));
    }
    if !pinned.is_empty() {
        says.push_str(&format!("; with a digest where they match: {}", pinned.join(", ")));
    }
    let signed = layer.entries.iter().filter(|entry| !entry.require.is_empty());
    let signed: Vec<&str> = signed.flat_map(|entry| entry.patterns.iter().map(String::as_str)).collect();
    if !signed.is_empty() {
        says.push_str(&format!("; signed where they match: {}", signed.join(", ")));
    }
    says.push('.');
    says
}

fn admission(rule: &AdmissionRule, pack: &str) -> Vec<Said> {
    let mut out = Vec::new();
    let from = vec![rule.origin.clone()];
    if !rule.validations.is_empty() || rule.rego.is_some() {
        let does = match rule.action {
            Action::Deny => "refuses",
            Action::Warn => "warns of",
            Action::Audit => "records",
        };
        let what: Vec<_> =
            rule.validations.iter().map(|validation| validation.expression.source.trim()).collect();
        let mut against = Vec::new();
        if !what.is_empty() {
            against.push(format!("does not satisfy: {}", what.join(" && ")));
        }
        against.extend(rule.rego.as_ref().map(|rego| format!("{} in Rego gives a message for", rego.rule)));
        out.push(Said {
            id: self::rule(pack, &rule.name),
            kind: Kind::Authored,
            says: format!("Rule {} {does} what {}", rule.name, against.join(", and what ")),
            from: from.clone(),
        });
    }
    if !rule.mutations.is_empty() {
        let says = format!("Rule {} writes {} change(s) into the object.", rule.name, rule.mutations.len());
        out.push(Said { id: mutations(pack, &rule.name), kind: Kind::Mutation, says, from });
    }
    out
}
