//! Policies as proptest makes them: small alphabets, so that two of them speak of the same things.

use bailiwick_policy::ir::{Cel, Const, Expr, Root};
use bailiwick_policy::policy::{
    Action, Admission, AdmissionRule, ImageDigest, ImageEffect, ImageEntry, ImageLayer, ImageSigner,
    Isolation, LabelOperator, LabelRequirement, LabelSelector, Match, Network, NetworkRule, Origin,
    PackSource, Peer, PodSecurity, PodSecurityLevel, Policy, PortRange, Protocol, RegoRule, RuntimeClass,
    RuntimeClasses, RuntimeKind, ServiceAccountToken, Stated, Subject, SubjectMatch, Unmatched, Validation,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::meaning::holds;

const CIDRS: &[&str] = &[
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/9",
    "10.128.0.0/9",
    "10.1.0.0/16",
    "10.1.2.3/32",
    "169.254.0.0/16",
    "::/0",
    "fc00::/7",
    "fd00:ec2::254/128",
];
pub(super) const ADDRESSES: &[&str] = &[
    "1.1.1.1",
    "10.0.0.1",
    "10.1.2.3",
    "10.1.9.9",
    "10.200.0.1",
    "169.254.169.254",
    "2001:db8::1",
    "fd00:ec2::254",
];
pub(super) const PORTS: &[u16] = &[1, 79, 80, 81, 443, 8443, 65535];

fn text(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(values).prop_map(str::to_owned)
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    use LabelOperator::{DoesNotExist, Exists, In, NotIn};
    let requirement = (
        text(&["a", "b"]),
        select(&[In, NotIn, Exists, DoesNotExist][..]),
        subsequence(vec!["x", "y"], 1..=2),
    )
        .prop_map(|(key, operator, values)| LabelRequirement {
            key,
            operator,
            values: match operator {
                In | NotIn => values.into_iter().map(str::to_owned).collect(),
                Exists | DoesNotExist => Vec::new(),
            },
        });
    (btree_map(text(&["a", "b"]), text(&["x", "y"]), 0..2), vec(requirement, 0..2))
        .prop_map(|(match_labels, match_expressions)| LabelSelector { match_labels, match_expressions })
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![
        (option::of(vec(selector(), 0..2)), vec(selector(), 0..2))
            .prop_map(|(namespaces, pods)| Peer::Pods { namespaces, pods }),
        (text(CIDRS), subsequence(CIDRS.to_vec(), 0..3)).prop_map(|(cidr, except)| {
            let inside = |inner: &&&str| {
                inner.contains(':') == cidr.contains(':') && holds(&cidr, inner.split('/').next().unwrap())
            };
            Peer::Cidr { except: except.iter().filter(inside).map(|text| (*text).to_owned()).collect(), cidr }
        }),
    ]
}

fn port_range() -> impl Strategy<Value = PortRange> {
    (select(&[Protocol::Tcp, Protocol::Udp][..]), select(PORTS), select(PORTS))
        .prop_map(|(protocol, a, b)| PortRange { protocol, first: a.min(b), last: a.max(b) })
}

pub(super) fn network_rules() -> impl Strategy<Value = Vec<NetworkRule>> {
    vec((vec(peer(), 0..3), vec(port_range(), 0..3)), 0..4).prop_map(|rules| {
        let name = |at: usize| ["dns", "web", "db", "ldap"].get(at).copied().unwrap_or_default().to_owned();
        rules
            .into_iter()
            .enumerate()
            .map(|(at, (peers, ports))| NetworkRule {
                name: name(at),
                peers,
                ports,
                from: vec![origin(&format!("egress[{at}]"))],
            })
            .collect()
    })
}

pub(super) fn origin(at: &str) -> Origin {
    Origin { pack: 0, at: format!("spec.{at}") }
}

fn stated<T>(value: T) -> Stated<T> {
    Stated { value, from: vec![origin("isolation")] }
}

pub(super) fn isolation() -> impl Strategy<Value = Isolation> {
    use PodSecurityLevel::{Baseline, Privileged, Restricted};
    let level = (select(&[Privileged, Baseline, Restricted][..]), 35_u16..38)
        .prop_map(|(level, minor)| stated(PodSecurity { level, minor }));
    let classes = (
        subsequence(vec!["runc", "gvisor", "kata"], 0..=3),
        btree_set(text(&["runc", "gvisor", "kata"]), 0..2),
        any::<bool>(),
    );
    let classes = classes.prop_map(|(names, defaults, other)| {
        let class = |name: &str| RuntimeClass {
            name: name.to_owned(),
            handler: if other && name == "kata" { "kata-qemu" } else { name }.to_owned(),
            kind: RuntimeKind::Runc,
        };
        stated(RuntimeClasses {
            classes: names.into_iter().map(class).collect(),
            defaults: defaults.into_iter().collect(),
        })
    });
    let token = select(&[ServiceAccountToken::Allowed, ServiceAccountToken::Forbidden][..]).prop_map(stated);
    (vec(level, 0..2), option::of(classes), option::of(token)).prop_map(
        |(pod_security, runtime_class, service_account_token)| Isolation {
            pod_security,
            runtime_class,
            service_account_token,
        },
    )
}

pub(super) fn images() -> impl Strategy<Value = Vec<ImageLayer>> {
    let signer = select(vec![
        ImageSigner::Key("one".to_owned()),
        ImageSigner::Key("two".to_owned()),
        ImageSigner::Identity {
            issuer: "issuer".to_owned(),
            subject: SubjectMatch::Exact("subject".to_owned()),
            trust_root: 0,
        },
    ]);
    let entry = (
        subsequence(vec!["r/a/**", "r/b/**", "r/**"], 1..3),
        any::<bool>(),
        select(vec![ImageDigest::Any, ImageDigest::Required, ImageDigest::Resolve]),
        vec(signer, 0..2),
    )
        .prop_map(|(patterns, deny, digest, require)| ImageEntry {
            patterns: patterns.into_iter().map(str::to_owned).collect(),
            effect: if deny { ImageEffect::Deny } else { ImageEffect::Allow },
            digest,
            require,
            at: "spec.images[0]".to_owned(),
        });
    (option::of(vec(entry, 0..3)), select(vec!["root one", "root two"])).prop_map(|(layer, root)| {
        let trust_roots = vec![root.to_owned()];
        layer.map(|entries| ImageLayer { entries, trust_roots, from: origin("images") }).into_iter().collect()
    })
}

/// Small expressions that point into the tables: `shared` has three entries, each using earlier ones only; `regexes` two.
pub(super) fn admission() -> impl Strategy<Value = Admission> {
    let leaf = |shared: u32| {
        let fixed = select(vec![
            Expr::Root(Root::Object),
            // A parameter: other packs with the same text have another value.
            Expr::Const(Const::Int(1)),
            Expr::Const(Const::Int(2)),
            Expr::Matches(Box::new(Expr::Root(Root::Object)), 0),
            Expr::Matches(Box::new(Expr::Root(Root::OldObject)), 1),
        ]);
        prop_oneof![
            fixed,
            (0..=shared).prop_map(move |at| if at == shared {
                Expr::Const(Const::Bool(true))
            } else {
                Expr::Shared(at)
            })
        ]
    };
    let cel = move |shared: u32| {
        vec(leaf(shared), 1..3).prop_map(|all| Cel {
            source: format!("{all:?}").replace(char::is_numeric, "#"),
            expr: Expr::And(all),
            slots: 0,
        })
    };
    let rules = vec((cel(3), select(&[Action::Deny, Action::Warn][..])), 0..12);
    let modules = subsequence(vec!["package a", "package b", "package c"], 2);
    (cel(0), cel(1), cel(2), subsequence(vec!["^a$", "^b$", "^c$"], 2), modules, rules).prop_map(
        |(a, b, c, regexes, modules, rules)| Admission {
            rego: modules.into_iter().map(str::to_owned).collect(),
            shared: vec![a, b, c],
            regexes: regexes.into_iter().map(str::to_owned).collect(),
            rules: rules
                .into_iter()
                .enumerate()
                .map(|(at, (expression, action))| rule(at, expression, action))
                .collect(),
        },
    )
}

fn rule(at: usize, expression: Cel, action: Action) -> AdmissionRule {
    AdmissionRule {
        name: format!("rule-{at}"),
        origin: origin(&format!("admission.rules[{at}]")),
        matches: Match::default(),
        pod_templates: false,
        variables: vec![("v".to_owned(), 1)],
        validations: vec![Validation {
            expression,
            message: None,
            message_expression: None,
            reason: "Invalid".to_owned(),
            remedy: None,
        }],
        mutations: Vec::new(),
        audit_annotations: Vec::new(),
        action,
        exceptable: false,
        rego: u32::try_from(at % 3)
            .ok()
            .filter(|module| *module < 2)
            .map(|module| RegoRule { module, rule: "data.a.deny".to_owned() }),
    }
}

pub(super) fn subject() -> impl Strategy<Value = Subject> {
    (
        vec(selector(), 0..2),
        vec(selector(), 0..2),
        any::<bool>(),
        select(&[Unmatched::Allow, Unmatched::Deny][..]),
    )
        .prop_map(|(namespaces, pods, exclusive, unmatched)| Subject {
            namespaces,
            pods,
            exclusive,
            unmatched,
            from: vec![origin("subjects")],
        })
}

pub(super) fn policy(name: &'static str) -> impl Strategy<Value = Policy> {
    let network = option::of((network_rules(), network_rules())).prop_map(|both| {
        both.map(|(egress, ingress)| Network { egress, ingress, from: vec![origin("network")] })
    });
    (option::of(subject()), isolation(), network, images(), admission()).prop_map(
        move |(subject, isolation, network, images, admission)| Policy {
            subject,
            isolation,
            network,
            images,
            admission,
            ..Policy::top(vec![pack(name, "digest")])
        },
    )
}

pub(super) fn pack(name: &str, digest: &str) -> PackSource {
    PackSource {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        digest: digest.to_owned(),
        parameters_digest: String::new(),
        parameters: Const::Map(Vec::new()),
    }
}
