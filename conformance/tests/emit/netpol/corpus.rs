//! Random policies, the same ones in every run.

use bailiwick_policy::policy::{LabelOperator, LabelSelector, Network, NetworkRule, Peer, Policy, Protocol};

use crate::policies::{bare, cidr, expression, labels, origin, rule};

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A policy on the governed pods of the simulated cluster, with up to three rules for each direction.
pub(crate) fn policy(random: &mut Random) -> Policy {
    let mut policy = bare();
    let mut rules =
        |kind: &str| (0..random.below(4)).map(|n| a_rule(random, &format!("{kind}-{n}"))).collect::<Vec<_>>();
    let (egress, ingress) = (rules("out"), rules("in"));
    policy.network = Some(Network { egress, ingress, from: vec![origin("spec.network")] });
    policy
}

fn a_rule(random: &mut Random, name: &str) -> NetworkRule {
    let peers = (0..random.below(4)).map(|_| peer(random)).collect();
    rule(name, peers, &ports(random))
}

/// A rule of wide blocks that name no special range.
pub(crate) fn wide_rule(random: &mut Random, index: usize) -> NetworkRule {
    const WIDE: [&str; 8] = [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "168.0.0.0/6",
        "96.0.0.0/3",
        "fc00::/6",
        "8000::/1",
    ];
    let first = WIDE[index * 2 % WIDE.len()];
    let peers = vec![cidr(first, &[]), cidr(WIDE[random.below(WIDE.len())], &[])];
    rule(&format!("wide-{index}"), peers, &[(Protocol::Tcp, 1, 65535)])
}

fn ports(random: &mut Random) -> Vec<(Protocol, u16, u16)> {
    const RANGES: [(u16, u16); 6] =
        [(53, 53), (443, 443), (8000, 8100), (8080, 8080), (1, 65535), (0, 65535)];
    (0..random.below(3))
        .map(|_| {
            let (first, last) = *random.pick(&RANGES);
            (*random.pick(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp]), first, last)
        })
        .collect()
}

fn peer(random: &mut Random) -> Peer {
    const BLOCKS: [(&str, &[&str]); 12] = [
        ("0.0.0.0/0", &[]),
        ("0.0.0.0/0", &["198.51.100.0/24", "10.244.0.0/16"]),
        ("::/0", &["2001:db8::/32"]),
        ("198.51.100.0/24", &["198.51.100.0/28"]),
        ("198.51.100.0/24", &["198.51.100.0/24"]),
        ("10.244.0.0/16", &["10.244.0.4/30"]),
        ("10.0.0.0/8", &[]),
        ("169.254.20.10/32", &[]),
        ("169.254.0.0/16", &[]),
        ("fd00:10:244::/64", &[]),
        ("2001:db8::/32", &["2001:db8:1::/48"]),
        ("128.0.0.0/1", &[]),
    ];
    if random.below(2) == 0 {
        let (block, except) = random.pick(&BLOCKS);
        return cidr(block, except);
    }
    let namespaces = match random.below(3) {
        0 => None,
        _ => Some((0..random.below(3)).map(|_| of_namespaces(random)).collect()),
    };
    Peer::Pods { namespaces, pods: (0..random.below(3)).map(|_| of_pods(random)).collect() }
}

fn of_namespaces(random: &mut Random) -> LabelSelector {
    random
        .pick(&[
            labels(&[("bailiwick.dev/zone", "agents")]),
            labels(&[("kubernetes.io/metadata.name", "other")]),
            expression("kubernetes.io/metadata.name", LabelOperator::In, &["agents-a", "other"]),
            expression("bailiwick.dev/zone", LabelOperator::NotIn, &["agents"]),
            expression("nothing", LabelOperator::DoesNotExist, &[]),
        ])
        .clone()
}

fn of_pods(random: &mut Random) -> LabelSelector {
    random
        .pick(&[
            labels(&[("role", "server")]),
            labels(&[("role", "client")]),
            labels(&[("app", "agent")]),
            expression("tier", LabelOperator::In, &["a", "c"]),
            expression("tier", LabelOperator::NotIn, &["a"]),
            expression("k8s-app", LabelOperator::Exists, &[]),
        ])
        .clone()
}
