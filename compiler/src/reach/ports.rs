//! Sets of ports: ranges per transport protocol in canonical form (sorted, disjoint, not adjacent).

use bailiwick_policy::policy::{PortRange, Protocol};

/// A set of ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ports(Vec<PortRange>);

impl Ports {
    /// The ports of all these ranges.
    #[must_use]
    pub(crate) fn new(ranges: impl IntoIterator<Item = PortRange>) -> Self {
        let mut ranges: Vec<PortRange> =
            ranges.into_iter().filter(|range| range.first <= range.last).collect();
        ranges.sort();
        let mut out: Vec<PortRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match out.last_mut() {
                Some(last)
                    if last.protocol == range.protocol && range.first <= last.last.saturating_add(1) =>
                {
                    last.last = last.last.max(range.last);
                }
                _ => out.push(range),
            }
        }
        Self(out)
    }

    /// Every port of every protocol.
    #[must_use]
    pub(crate) fn all() -> Self {
        Self::new([Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|protocol| PortRange {
            protocol,
            first: 1,
            last: u16::MAX,
        }))
    }

    /// Whether the set is empty.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges.
    #[must_use]
    pub(crate) fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// The ports in both.
    #[must_use]
    pub(crate) fn intersect(&self, other: &Self) -> Self {
        Self::new(self.0.iter().flat_map(|a| {
            other.0.iter().filter(|b| a.protocol == b.protocol).map(|b| PortRange {
                protocol: a.protocol,
                first: a.first.max(b.first),
                last: a.last.min(b.last),
            })
        }))
    }

    /// The ports in either.
    #[must_use]
    pub(crate) fn unite(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&other.0).cloned())
    }

    /// Whether every port of `other` is in this set.
    #[must_use]
    pub(crate) fn includes(&self, other: &Self) -> bool {
        other.0.iter().all(|b| {
            self.0.iter().any(|a| a.protocol == b.protocol && a.first <= b.first && b.last <= a.last)
        })
    }
}
