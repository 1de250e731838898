//! The laws of the meet, over generated policies: commutative, associative, idempotent, never widening. Judged by evaluators
//! that are written here from the meaning of the data and share nothing with the meet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bailiwick_compiler::meet::{Conflict, meet};
use bailiwick_policy::ir::{Cel, Const, Expr, Root};
use bailiwick_policy::policy::{
    Action, Admission, AdmissionRule, ImageDigest, ImageEffect, ImageEntry, ImageLayer, ImageSigner,
    Isolation, LabelOperator, LabelRequirement, LabelSelector, Match, Network, NetworkRule, Origin,
    PackSource, Peer, PodSecurity, PodSecurityLevel, Policy, PortRange, Protocol, RuntimeClass,
    RuntimeClasses, RuntimeKind, ServiceAccountToken, Stated, Subject, SubjectMatch, Unmatched, Validation,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;

type LabelMap = BTreeMap<String, String>;

// ---- generators ------------------------------------------------------------------------------------------------------------

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
const ADDRESSES: &[&str] = &[
    "1.1.1.1",
    "10.0.0.1",
    "10.1.2.3",
    "10.1.9.9",
    "10.200.0.1",
    "169.254.169.254",
    "2001:db8::1",
    "fd00:ec2::254",
];
const PORTS: &[u16] = &[1, 79, 80, 81, 443, 8443, 65535];

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

fn network_rules() -> impl Strategy<Value = Vec<NetworkRule>> {
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

fn origin(at: &str) -> Origin {
    Origin { pack: 0, at: format!("spec.{at}") }
}

fn stated<T>(value: T) -> Stated<T> {
    Stated { value, from: vec![origin("isolation")] }
}

fn isolation() -> impl Strategy<Value = Isolation> {
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

fn images() -> impl Strategy<Value = Vec<ImageLayer>> {
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
fn admission() -> impl Strategy<Value = Admission> {
    let leaf = |shared: u32| {
        let fixed = select(vec![
            Expr::Root(Root::Object),
            Expr::Root(Root::Params),
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
    (cel(0), cel(1), cel(2), subsequence(vec!["^a$", "^b$", "^c$"], 2), rules).prop_map(
        |(a, b, c, regexes, rules)| Admission {
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
    }
}

fn subject() -> impl Strategy<Value = Subject> {
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

fn policy(name: &'static str) -> impl Strategy<Value = Policy> {
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

fn pack(name: &str, digest: &str) -> PackSource {
    PackSource {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        digest: digest.to_owned(),
        parameters_digest: String::new(),
        parameters: Const::Map(Vec::new()),
    }
}

// ---- evaluators ------------------------------------------------------------------------------------------------------------

fn holds(cidr: &str, address: &str) -> bool {
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
struct End {
    own_namespace: bool,
    namespace: LabelMap,
    pod: LabelMap,
    address: &'static str,
    /// `None`: as packets are, a pod also has an address. `Some`: only peers of one kind are looked at, as the meet does.
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
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

fn ends(kinds: &[Option<Kind>]) -> Vec<End> {
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
struct Meaning {
    connections: Option<BTreeSet<String>>,
    demands: BTreeSet<(PodSecurityLevel, u16)>,
    classes: Option<BTreeSet<(String, String)>>,
    default: Option<Option<String>>,
    token_forbidden: bool,
    images: BTreeSet<(String, bool, &'static str)>,
    subject: Option<(BTreeSet<String>, BTreeSet<String>, bool, Unmatched)>,
    rules: BTreeSet<String>,
}

fn connections(policy: &Policy, kinds: &[Option<Kind>]) -> Option<BTreeSet<String>> {
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

/// The expression with everything that it points to written in; what reads the pack's own values names the pack.
fn inlined(expr: &Expr, policy: &Policy, pack: &str) -> String {
    match expr {
        Expr::Shared(at) => {
            format!("({})", inlined(&policy.admission.shared[*at as usize].expr, policy, pack))
        }
        Expr::Matches(of, at) => {
            format!("{} matches {}", inlined(of, policy, pack), policy.admission.regexes[*at as usize])
        }
        Expr::And(all) => all.iter().map(|one| inlined(one, policy, pack)).collect::<Vec<_>>().join(" && "),
        Expr::Root(Root::Params) => format!("params of {pack}"),
        other => format!("{other:?}"),
    }
}

fn meaning(policy: &Policy) -> Meaning {
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
        connections: connections(policy, &[Some(Kind::Own), Some(Kind::Pods), Some(Kind::Address)]),
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
                let text = inlined(&rule.validations[0].expression.expr, policy, pack);
                let variable = inlined(&Expr::Shared(rule.variables[0].1), policy, pack);
                format!("{pack} {} {text} with {variable} {:?}", rule.origin.at, rule.action)
            })
            .collect(),
    }
}

fn met(policies: &[&Policy]) -> Policy {
    meet(policies.iter().map(|policy| (*policy).clone()).collect()).unwrap().policy
}

/// `inner ⊆ outer`, where `None` of a section allows everything.
fn within<T: Ord>(inner: Option<&BTreeSet<T>>, outer: Option<&BTreeSet<T>>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.is_subset(outer),
    }
}

// ---- laws ------------------------------------------------------------------------------------------------------------------

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commutative_to_the_byte(a in policy("a"), b in policy("b"), c in policy("c")) {
        let bytes = |policies: &[&Policy]| serde_json::to_string(&met(policies)).unwrap();
        prop_assert_eq!(bytes(&[&a, &b, &c]), bytes(&[&c, &a, &b]));
        prop_assert_eq!(bytes(&[&a, &b]), bytes(&[&b, &a]));
    }

    #[test]
    fn associative(a in policy("a"), b in policy("b"), c in policy("c")) {
        let left = met(&[&met(&[&a, &b]), &c]);
        let right = met(&[&a, &met(&[&b, &c])]);
        prop_assert_eq!(meaning(&left), meaning(&right));
        prop_assert_eq!(meaning(&left), meaning(&met(&[&a, &b, &c])));
        prop_assert_eq!(left.packs, right.packs);
        prop_assert_eq!(left.cell, right.cell);
    }

    #[test]
    fn idempotent(a in policy("a"), b in policy("b")) {
        prop_assert_eq!(meaning(&met(&[&a, &a])), meaning(&a));
        let ab = met(&[&a, &b]);
        prop_assert_eq!(meaning(&met(&[&ab, &a])), meaning(&ab));
        prop_assert_eq!(serde_json::to_string(&met(&[&ab])).unwrap(), serde_json::to_string(&ab).unwrap());
    }

    #[test]
    fn never_widening(a in policy("a"), b in policy("b")) {
        let both = met(&[&a, &b]);
        let meaning_of_both = meaning(&both);
        for one in [&a, &b] {
            let alone = meaning(one);
            // As packets are: a pod has an address too.
            prop_assert!(within(connections(&both, &[None]).as_ref(), connections(one, &[None]).as_ref()));
            prop_assert!(within(meaning_of_both.classes.as_ref(), alone.classes.as_ref()));
            prop_assert!(alone.demands.is_subset(&meaning_of_both.demands));
            prop_assert!(meaning_of_both.token_forbidden || !alone.token_forbidden);
            prop_assert!(meaning_of_both.images.is_subset(&alone.images));
            prop_assert!(alone.rules.is_subset(&meaning_of_both.rules));
            if let Some((namespaces, pods, _, unmatched)) = &alone.subject {
                let (met_namespaces, met_pods, _, met_unmatched) = meaning_of_both.subject.as_ref().unwrap();
                prop_assert!(met_namespaces.is_subset(namespaces) && met_pods.is_subset(pods) && met_unmatched >= unmatched);
            }
        }
    }

    /// Exact: nothing that both allow is lost, as long as peers of one kind are looked at.
    #[test]
    fn exact_within_a_kind_of_peer(a in policy("a"), b in policy("b")) {
        let kinds = [Some(Kind::Own), Some(Kind::Pods), Some(Kind::Address)];
        let (left, right) = (connections(&a, &kinds), connections(&b, &kinds));
        let expected = match (left, right) {
            (Some(left), Some(right)) => Some(&left & &right),
            (one, other) => one.or(other),
        };
        prop_assert_eq!(connections(&met(&[&a, &b]), &kinds), expected);
    }
}

#[test]
fn the_meet_of_nothing_is_refused() {
    assert_eq!(meet(Vec::new()), Err(vec![Conflict::Nothing]));
}

#[test]
fn a_version_with_two_contents_is_refused() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let a = policy("a").new_tree(&mut runner).unwrap().current();
    let other = Policy { packs: vec![pack("a", "another")], ..a.clone() };
    assert_eq!(
        meet(vec![a, other]),
        Err(vec![Conflict::TwoContents { name: "a".to_owned(), version: "1.0.0".to_owned() }])
    );
}

#[test]
fn what_cannot_be_said_is_named() {
    let rule = |name: &str, peer: Peer, at: &str| NetworkRule {
        name: name.to_owned(),
        peers: vec![peer],
        ports: vec![PortRange { protocol: Protocol::Tcp, first: 443, last: 443 }],
        from: vec![origin(at)],
    };
    let with = |name: &'static str, rule: NetworkRule| Policy {
        network: Some(Network { egress: vec![rule], ingress: Vec::new(), from: Vec::new() }),
        ..Policy::top(vec![pack(name, "digest")])
    };
    let a = with("a", rule("pods", Peer::Pods { namespaces: None, pods: Vec::new() }, "network.egress[0]"));
    let b = with(
        "b",
        rule("web", Peer::Cidr { cidr: "10.0.0.0/8".to_owned(), except: Vec::new() }, "network.egress[3]"),
    );
    let met = meet(vec![b, a]).unwrap();
    assert_eq!(met.policy.network.unwrap().egress, []);
    assert_eq!(met.narrowed.len(), 1);
    assert_eq!(met.narrowed[0].left.at, "spec.network.egress[0]");
    assert_eq!(met.narrowed[0].right.at, "spec.network.egress[3]");
}
