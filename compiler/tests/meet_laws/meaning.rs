//! What a policy allows, worked out from the meaning of its data. Shares nothing with the meet that is judged by it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bailiwick_policy::ir::Expr;
use bailiwick_policy::policy::{
    ImageDigest, ImageEffect, ImageEntry, ImageSigner, LabelOperator, LabelRequirement, LabelSelector,
    NetworkRule, Peer, PodSecurityLevel, Policy, Protocol, ServiceAccountToken, Unmatched,
};

use crate::generators::{ADDRESSES, PORTS};

type LabelMap = BTreeMap<String, String>;

pub(super) fn holds(cidr: &str, address: &str) -> bool {
    let (network, length) = cidr.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    let bits = |text: &str| match text.parse::<IpAddr>().unwrap() {
        IpAddr::V4(v4) => (32, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (128, u128::from(v6)),
    };
    let ((width, network), (other, address)) = (bits(network), bits(address));
    width == other && (length == 0 || (network ^ address) >> (width - length) == 0)
}

fn selects(selector: &LabelSelector, labels: &LabelMap) -> bool {
    selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && selector.match_expressions.iter().all(
            |LabelRequirement { key, operator, values }| match operator {
                LabelOperator::In => labels.get(key).is_some_and(|value| values.contains(value)),
                LabelOperator::NotIn => labels.get(key).is_none_or(|value| !values.contains(value)),
                LabelOperator::Exists => labels.contains_key(key),
                LabelOperator::DoesNotExist => !labels.contains_key(key),
            },
        )
}

fn all_select(selectors: &[LabelSelector], labels: &LabelMap) -> bool {
    selectors.iter().all(|selector| selects(selector, labels))
}

fn label_maps() -> Vec<LabelMap> {
    let values = [None, Some("x"), Some("z")];
    let map = |a: &Option<&str>, b: &Option<&str>| {
        [("a", a), ("b", b)]
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value.as_ref()?.to_string())))
            .collect()
    };
    values.iter().flat_map(|a| values.iter().map(move |b| map(a, b))).collect()
}

/// The far end of a connection.
#[derive(Clone, Debug)]
pub(super) struct End {
    own_namespace: bool,
    namespace: LabelMap,
    pod: LabelMap,
    address: &'static str,
    /// `None`: as packets are, a pod also has an address. `Some`: only peers of one kind are looked at, as the meet does.
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Own,
    Pods,
    Address,
}

/// The rules that name this end as a peer.
fn naming<'a>(rules: &'a [NetworkRule], end: &End) -> Vec<&'a NetworkRule> {
    let is = |kind| end.kind.is_none_or(|only| only == kind);
    let named = |peer: &Peer| match peer {
        Peer::Pods { namespaces: None, pods } => {
            is(Kind::Own) && end.own_namespace && all_select(pods, &end.pod)
        }
        Peer::Pods { namespaces: Some(namespaces), pods } => {
            // Pods of all namespaces are also those of the own one.
            let of_kind = is(Kind::Pods)
                || (is(Kind::Own) && label_maps().iter().all(|labels| all_select(namespaces, labels)));
            of_kind && all_select(namespaces, &end.namespace) && all_select(pods, &end.pod)
        }
        Peer::Cidr { cidr, except } => {
            is(Kind::Address)
                && holds(cidr, end.address)
                && !except.iter().any(|taken| holds(taken, end.address))
        }
    };
    rules.iter().filter(|rule| rule.peers.iter().any(named)).collect()
}

fn opens(rule: &NetworkRule, protocol: Protocol, port: u16) -> bool {
    rule.ports.iter().any(|range| range.protocol == protocol && range.first <= port && port <= range.last)
}

/// Whether a policy lets a pod connect to an end, or an end to a pod, at a port. One without a section of the network does.
pub(super) fn connects(policy: &Policy, end: &End, outwards: bool, protocol: Protocol, port: u16) -> bool {
    policy.network.as_ref().is_none_or(|network| {
        let rules = if outwards { &network.egress } else { &network.ingress };
        naming(rules, end).iter().any(|rule| opens(rule, protocol, port))
    })
}

pub(super) fn ends(kinds: &[Option<Kind>]) -> Vec<End> {
    let maps = label_maps();
    let mut out = Vec::new();
    for kind in kinds {
        for (at, pod) in maps.iter().enumerate() {
            for (ns_at, namespace) in maps.iter().enumerate() {
                let address = ADDRESSES[(at + ns_at) % ADDRESSES.len()];
                let own_namespace = *kind == Some(Kind::Own) || (kind.is_none() && ns_at % 2 == 0);
                out.push(End {
                    own_namespace,
                    namespace: namespace.clone(),
                    pod: pod.clone(),
                    address,
                    kind: *kind,
                });
            }
        }
    }
    out
}

/// Everything that a policy allows, as comparable facts.
#[derive(Debug, PartialEq)]
pub(super) struct Meaning {
    pub(super) connections: Option<BTreeSet<String>>,
    pub(super) demands: BTreeSet<(PodSecurityLevel, u16)>,
    pub(super) classes: Option<BTreeSet<(String, String)>>,
    pub(super) default: Option<Option<String>>,
    pub(super) token_forbidden: bool,
    pub(super) images: BTreeSet<(String, bool, &'static str)>,
    pub(super) subject: Option<(BTreeSet<String>, BTreeSet<String>, bool, Unmatched)>,
    pub(super) rules: BTreeSet<String>,
}

pub(super) fn connections(policy: &Policy, kinds: &[Option<Kind>]) -> Option<BTreeSet<String>> {
    let network = policy.network.as_ref()?;
    let mut out = BTreeSet::new();
    for (at, end) in ends(kinds).iter().enumerate() {
        for (name, rules) in [("to", &network.egress), ("from", &network.ingress)] {
            let rules = naming(rules, end);
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                for port in PORTS.iter().filter(|port| rules.iter().any(|rule| opens(rule, protocol, **port)))
                {
                    out.insert(format!("{name} {at} {protocol:?} {port}"));
                }
            }
        }
    }
    Some(out)
}

/// By whom an image is signed.
const SIGNED: [&str; 5] = ["", "one", "two", "root one", "root two"];

/// `signed`: by which key, or under which trust root by the subject.
fn image_allowed(policy: &Policy, image: &str, digest: bool, signed: &str) -> bool {
    policy.images.iter().all(|layer| {
        let hit = |entry: &&ImageEntry| {
            entry.patterns.iter().any(|pattern| image.starts_with(pattern.trim_end_matches("**")))
        };
        let hits: Vec<_> = layer.entries.iter().filter(hit).collect();
        !hits.is_empty()
            && hits.iter().all(|entry| {
                let signed = entry.require.iter().all(|signer| match signer {
                    ImageSigner::Key(key) => key == signed,
                    ImageSigner::Identity { trust_root, .. } => {
                        layer.trust_roots[*trust_root as usize] == signed
                    }
                });
                entry.effect == ImageEffect::Allow && (digest || entry.digest == ImageDigest::Any) && signed
            })
    })
}

/// The expression with everything that it points to written in.
fn inlined(expr: &Expr, policy: &Policy) -> String {
    match expr {
        Expr::Shared(at) => {
            format!("({})", inlined(&policy.admission.shared[*at as usize].expr, policy))
        }
        Expr::Matches(of, at) => {
            format!("{} matches {}", inlined(of, policy), policy.admission.regexes[*at as usize])
        }
        Expr::And(all) => all.iter().map(|one| inlined(one, policy)).collect::<Vec<_>>().join(" && "),
        other => format!("{other:?}"),
    }
}

pub(super) fn meaning(policy: &Policy) -> Meaning {
    let connections = connections(policy, &[Some(Kind::Own), Some(Kind::Pods), Some(Kind::Address)]);
    Meaning { connections, ..meaning_but_connections(policy) }
}

/// The same without the connections, of which there are thousands.
pub(super) fn meaning_but_connections(policy: &Policy) -> Meaning {
    let isolation = &policy.isolation;
    let classes = isolation.runtime_class.as_ref().map(|stated| &stated.value);
    let below = [PodSecurityLevel::Baseline, PodSecurityLevel::Restricted];
    let images = ["r/a/x", "r/b/x", "r/c", "q"];
    let selected = |selectors: &[LabelSelector]| {
        label_maps()
            .iter()
            .filter(|labels| all_select(selectors, labels))
            .map(|labels| format!("{labels:?}"))
            .collect()
    };
    Meaning {
        connections: None,
        demands: isolation
            .pod_security
            .iter()
            .flat_map(|stated| {
                below
                    .iter()
                    .filter(|level| **level <= stated.value.level)
                    .map(|level| (*level, stated.value.minor))
            })
            .collect(),
        classes: classes.map(|value| {
            value.classes.iter().map(|class| (class.name.clone(), class.handler.clone())).collect()
        }),
        default: classes.map(|value| value.default_class().map(|class| class.name.clone())),
        token_forbidden: isolation
            .service_account_token
            .as_ref()
            .is_some_and(|stated| stated.value == ServiceAccountToken::Forbidden),
        images: images
            .iter()
            .flat_map(|image| [true, false].map(|digest| (*image, digest)))
            .flat_map(|(image, digest)| SIGNED.map(|signed| (image, digest, signed)))
            .filter(|(image, digest, signed)| image_allowed(policy, image, *digest, signed))
            .map(|(image, digest, signed)| (image.to_owned(), digest, signed))
            .collect(),
        subject: policy.subject.as_ref().map(|subject| {
            (selected(&subject.namespaces), selected(&subject.pods), subject.exclusive, subject.unmatched)
        }),
        rules: policy
            .admission
            .rules
            .iter()
            .map(|rule| {
                let pack = &policy.packs[usize::from(rule.origin.pack)].name;
                let text = inlined(&rule.validations[0].expression.expr, policy);
                let variable = inlined(&Expr::Shared(rule.variables[0].1), policy);
                format!("{pack} {} {text} with {variable} {:?}", rule.origin.at, rule.action)
            })
            .collect(),
    }
}
