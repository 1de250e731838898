//! Policies for the tests of the emitters, built by hand so that no other part of the compiler is involved.

use std::collections::BTreeMap;

use bailiwick_policy::bundle;
use bailiwick_policy::ir::Const;
use bailiwick_policy::policy::*;

pub(crate) const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The policy digest.
pub(crate) fn digest(policy: &Policy) -> String {
    bundle::digest(&bundle::write(policy).unwrap())
}

pub(crate) fn origin(at: &str) -> Origin {
    Origin { pack: 0, at: at.to_owned() }
}

pub(crate) fn stated<T>(value: T, at: &str) -> Stated<T> {
    Stated { value, from: vec![origin(at)] }
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> LabelSelector {
    let match_labels: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    LabelSelector { match_labels, match_expressions: Vec::new() }
}

pub(crate) fn expression(key: &str, operator: LabelOperator, values: &[&str]) -> LabelSelector {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let requirement = LabelRequirement { key: key.to_owned(), operator, values };
    LabelSelector { match_labels: BTreeMap::new(), match_expressions: vec![requirement] }
}

/// A policy with nothing but its subject.
pub(crate) fn bare() -> Policy {
    Policy {
        format_version: FORMAT_VERSION,
        packs: vec![PackSource {
            name: "sample".to_owned(),
            version: "1.2.3".to_owned(),
            digest: DIGEST.to_owned(),
            parameters_digest: DIGEST.to_owned(),
            parameters: Const::Map(Vec::new()),
        }],
        cell: "00112233445566aa".to_owned(),
        subject: Some(Subject {
            namespaces: vec![labels(&[("bailiwick.dev/zone", "agents")])],
            pods: vec![labels(&[("app", "agent")]), expression("tier", LabelOperator::In, &["a", "b"])],
            exclusive: true,
            unmatched: Unmatched::Deny,
            from: vec![origin("spec.subjects")],
        }),
        isolation: Isolation::default(),
        network: None,
        images: Vec::new(),
        admission: Admission::default(),
        ..Policy::top(Vec::new())
    }
}

fn class(name: &str, handler: &str, kind: RuntimeKind) -> RuntimeClass {
    RuntimeClass { name: name.to_owned(), handler: handler.to_owned(), kind }
}

pub(crate) fn rule(name: &str, peers: Vec<Peer>, ports: &[(Protocol, u16, u16)]) -> NetworkRule {
    let ports = ports.iter().map(|(protocol, first, last)| PortRange {
        protocol: *protocol,
        first: *first,
        last: *last,
    });
    NetworkRule {
        name: name.to_owned(),
        peers,
        ports: ports.collect(),
        from: vec![origin(&format!("spec.network.{name}"))],
    }
}

pub(crate) fn cidr(cidr: &str, except: &[&str]) -> Peer {
    Peer::Cidr { cidr: cidr.to_owned(), except: except.iter().map(|text| (*text).to_owned()).collect() }
}

/// A policy with every section.
pub(crate) fn full() -> Policy {
    let mut policy = bare();
    policy.isolation = Isolation {
        pod_security: vec![stated(
            PodSecurity { level: PodSecurityLevel::Restricted, minor: 36 },
            "spec.isolation.podSecurity",
        )],
        runtime_class: Some(stated(
            RuntimeClasses {
                classes: vec![
                    class("gvisor", "runsc", RuntimeKind::GVisor),
                    class("runc", "runc", RuntimeKind::Runc),
                ],
                defaults: vec!["gvisor".to_owned()],
            },
            "spec.isolation.runtimeClass",
        )),
        service_account_token: Some(stated(
            ServiceAccountToken::Forbidden,
            "spec.isolation.serviceAccountToken",
        )),
    };
    let dns = Peer::Pods {
        namespaces: Some(vec![labels(&[("kubernetes.io/metadata.name", "kube-system")])]),
        pods: vec![labels(&[("k8s-app", "kube-dns")])],
    };
    policy.network = Some(Network {
        egress: vec![
            rule(
                "dns",
                vec![dns, cidr("169.254.20.10/32", &[])],
                &[(Protocol::Udp, 53, 53), (Protocol::Tcp, 53, 53)],
            ),
            rule(
                "world",
                vec![cidr("0.0.0.0/0", &["203.0.113.0/24"]), cidr("::/0", &[])],
                &[(Protocol::Tcp, 443, 443)],
            ),
        ],
        ingress: vec![rule(
            "metrics",
            vec![Peer::Pods { namespaces: None, pods: vec![] }, cidr("192.0.2.0/24", &[])],
            &[(Protocol::Tcp, 9000, 9100)],
        )],
        from: vec![origin("spec.network")],
    });
    policy.images = vec![ImageLayer {
        entries: vec![
            ImageEntry {
                patterns: vec!["registry.example.org/agents/**".to_owned()],
                effect: ImageEffect::Allow,
                digest: ImageDigest::Any,
                require: vec![],
                at: "spec.images[0]".to_owned(),
            },
            ImageEntry {
                patterns: vec!["registry.example.org/agents/old-*".to_owned()],
                effect: ImageEffect::Deny,
                digest: ImageDigest::Any,
                require: vec![],
                at: "spec.images[1]".to_owned(),
            },
        ],
        trust_roots: vec![],
        from: origin("spec.images"),
    }];
    policy
}
