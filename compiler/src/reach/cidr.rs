//! Address ranges in CIDR notation, and sets of the form "a range without some ranges inside it".
//!
//! Two ranges are nested or disjoint, which makes intersection and inclusion exact. IPv4 and IPv6 ranges are
//! always disjoint: a NetworkPolicy's `ipBlock` applies to its own family only.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address whose host bits are zero, and a prefix length. Ordered by family, address, length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cidr {
    family: Family,
    bits: u128,
    length: u8,
}

/// Address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// 32-bit addresses.
    V4,
    /// 128-bit addresses.
    V6,
}

impl Family {
    const fn width(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

/// Why a text is not a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CidrError {
    /// Not `address/length`.
    #[error("`{0}` is not a network in CIDR notation")]
    Syntax(String),
    /// Host bits are set, so readers may disagree about the meaning.
    #[error("`{text}` has bits set behind its prefix; the network is `{network}`")]
    HostBits {
        /// As written.
        text: String,
        /// The network that contains it.
        network: Cidr,
    },
    /// An IPv4-mapped IPv6 address: data planes disagree about the family it belongs to.
    #[error("`{0}` is an IPv4-mapped IPv6 network; write it as IPv4")]
    Mapped(String),
}

impl Cidr {
    /// Reads `10.0.0.0/8` or `fd00::/8`.
    ///
    /// # Errors
    /// Other texts, set host bits, IPv4-mapped addresses and prefix lengths with leading zeros.
    pub(crate) fn parse(text: &str) -> Result<Self, CidrError> {
        let syntax = || CidrError::Syntax(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(syntax)?;
        let address: IpAddr = address.parse().map_err(|_| syntax())?;
        let plain =
            length.bytes().all(|digit| digit.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
        let length: u8 = length.parse().ok().filter(|_| plain).ok_or_else(syntax)?;
        let (family, bits) = match address {
            IpAddr::V4(v4) => (Family::V4, u128::from(u32::from(v4))),
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                return Err(CidrError::Mapped(text.to_owned()));
            }
            IpAddr::V6(v6) => (Family::V6, u128::from(v6)),
        };
        if length > family.width() {
            return Err(syntax());
        }
        let network = Self { family, bits: bits & mask(family, length), length };
        if network.bits == bits {
            Ok(network)
        } else {
            Err(CidrError::HostBits { text: text.to_owned(), network })
        }
    }

    /// The address family.
    #[must_use]
    pub(crate) const fn family(self) -> Family {
        self.family
    }

    /// The prefix length in bits.
    #[must_use]
    pub(crate) const fn length(self) -> u8 {
        self.length
    }

    /// Whether every address of `other` is in this network.
    #[must_use]
    pub(crate) fn contains(self, other: Self) -> bool {
        self.family == other.family
            && self.length <= other.length
            && other.bits & mask(self.family, self.length) == self.bits
    }

    /// The intersection: the smaller network, if they are nested.
    #[must_use]
    pub(crate) fn intersect(self, other: Self) -> Option<Self> {
        if self.contains(other) {
            Some(other)
        } else if other.contains(self) {
            Some(self)
        } else {
            None
        }
    }

    /// The first and the last address, as numbers.
    #[must_use]
    pub(crate) fn bounds(self) -> (u128, u128) {
        (self.bits, self.bits | (all(self.family) & !mask(self.family, self.length)))
    }

    /// The networks that together cover a range of addresses, given as numbers.
    #[must_use]
    pub(crate) fn cover(family: Family, first: u128, last: u128) -> Vec<Self> {
        let mut out = Vec::new();
        let mut next = Some(first);
        let last = last.min(all(family));
        while let Some(from) = next.filter(|from| *from <= last) {
            // The shortest prefix that begins here and does not end beyond the range.
            let fits = |length: &u8| {
                let network = Self { family, bits: from, length: *length };
                from & mask(family, *length) == from && network.bounds().1 <= last
            };
            let length = (0..=family.width()).find(fits).unwrap_or(family.width());
            let network = Self { family, bits: from, length };
            out.push(network);
            next = network.bounds().1.checked_add(1);
        }
        out
    }

    /// The network with a prefix one bit shorter, of which this one is half.
    fn parent(self) -> Option<Self> {
        let length = self.length.checked_sub(1)?;
        Some(Self { family: self.family, bits: self.bits & mask(self.family, length), length })
    }
}

/// The last address of a family.
const fn all(family: Family) -> u128 {
    match family {
        Family::V4 => u32::MAX as u128,
        Family::V6 => u128::MAX,
    }
}

const fn mask(family: Family, length: u8) -> u128 {
    let width = family.width();
    let all = all(family);
    match (width as u32).checked_sub(length as u32) {
        Some(host) if host < 128 => (all >> host) << host,
        _ => 0,
    }
}

/// An address of a family, from its number.
#[must_use]
pub(crate) fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(bits).unwrap_or(u32::MAX))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bits)),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", address(self.family, self.bits), self.length)
    }
}

/// A network without some networks inside it, in canonical form: the excepted ones are strictly inside, do
/// not overlap, are merged where two make up their parent, and are sorted. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    cidr: Cidr,
    except: Vec<Cidr>,
}

impl Block {
    /// The addresses of `cidr` that are in none of `except`; `None` if there are none.
    #[must_use]
    pub(crate) fn new(cidr: Cidr, except: impl IntoIterator<Item = Cidr>) -> Option<Self> {
        let except = minimised(except.into_iter().filter_map(|taken| cidr.intersect(taken)).collect());
        (except.first() != Some(&cidr)).then_some(Self { cidr, except })
    }

    /// The network.
    #[must_use]
    pub(crate) const fn cidr(&self) -> Cidr {
        self.cidr
    }

    /// The excepted networks.
    #[must_use]
    pub(crate) fn except(&self) -> &[Cidr] {
        &self.except
    }

    /// The addresses in both.
    #[must_use]
    pub(crate) fn intersect(&self, other: &Self) -> Option<Self> {
        let cidr = self.cidr.intersect(other.cidr)?;
        Self::new(cidr, self.except.iter().chain(&other.except).copied())
    }

    /// Whether every address of `other` is in this block.
    #[must_use]
    pub(crate) fn includes(&self, other: &Self) -> bool {
        // `except` is minimised, so a range covered by its union is within a single one of them.
        self.cidr.contains(other.cidr)
            && self
                .except
                .iter()
                .filter_map(|taken| taken.intersect(other.cidr))
                .all(|hole| other.except.iter().any(|taken| taken.contains(hole)))
    }

    /// Whether any address of `range` is in this block.
    #[must_use]
    pub(crate) fn touches(&self, range: Cidr) -> bool {
        Self::new(range, []).is_some_and(|range| self.intersect(&range).is_some())
    }
}

/// The same addresses in as few networks as possible, sorted.
#[must_use]
pub(crate) fn minimised(mut ranges: Vec<Cidr>) -> Vec<Cidr> {
    loop {
        ranges.sort();
        let mut out: Vec<Cidr> = Vec::with_capacity(ranges.len());
        let mut merged = false;
        for range in ranges {
            match out.last().copied() {
                Some(last) if last.contains(range) => {}
                Some(last)
                    if last.length == range.length
                        && last.parent().is_some()
                        && last.parent() == range.parent() =>
                {
                    out.pop();
                    out.extend(range.parent());
                    merged = true;
                }
                _ => out.push(range),
            }
        }
        if !merged {
            return out;
        }
        ranges = out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap()
    }

    #[test]
    fn reads_canonical_networks_only() {
        for good in ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "::/0", "fd00::/8", "2001:db8::1/128"] {
            assert_eq!(cidr(good).to_string(), good);
        }
        for bad in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "example.org/8",
            "010.0.0.0/8",
            "",
        ] {
            assert!(matches!(Cidr::parse(bad), Err(CidrError::Syntax(_))), "{bad}");
        }
        assert_eq!(
            Cidr::parse("10.1.0.0/8"),
            Err(CidrError::HostBits { text: "10.1.0.0/8".to_owned(), network: cidr("10.0.0.0/8") })
        );
        assert!(matches!(Cidr::parse("::ffff:10.0.0.0/104"), Err(CidrError::Mapped(_))));
    }

    #[test]
    fn families_never_meet() {
        assert_eq!(cidr("0.0.0.0/0").intersect(cidr("::/0")), None);
    }

    #[test]
    fn halves_are_merged_and_what_is_inside_is_dropped() {
        let ranges = ["10.0.0.0/9", "10.128.0.0/10", "10.192.0.0/10", "10.1.0.0/16"].map(cidr).to_vec();
        assert_eq!(minimised(ranges), [cidr("10.0.0.0/8")]);
    }

    #[test]
    fn a_range_is_made_up_of_its_networks() {
        let ranges = ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31"].map(cidr).to_vec();
        let (first, last) = (ranges[0].bounds().0, ranges[2].bounds().1);
        assert_eq!(Cidr::cover(Family::V4, first, last), ranges);
        assert_eq!(Cidr::cover(Family::V6, 0, u128::MAX), [cidr("::/0")]);
        assert_eq!(Cidr::cover(Family::V4, 0, u128::MAX), [cidr("0.0.0.0/0")]);
        assert_eq!(Cidr::cover(Family::V4, u32::MAX.into(), u32::MAX.into()), [cidr("255.255.255.255/32")]);
    }

    #[test]
    fn a_block_that_is_all_holes_is_nothing() {
        assert_eq!(Block::new(cidr("10.0.0.0/8"), [cidr("10.0.0.0/9"), cidr("10.128.0.0/9")]), None);
        assert_eq!(Block::new(cidr("10.0.0.0/8"), [cidr("0.0.0.0/0")]), None);
    }

    #[test]
    fn inclusion_looks_into_the_holes() {
        let world = Block::new(cidr("0.0.0.0/0"), [cidr("10.0.0.0/8")]).unwrap();
        assert!(world.includes(&Block::new(cidr("0.0.0.0/0"), [cidr("10.0.0.0/7")]).unwrap()));
        assert!(!world.includes(&Block::new(cidr("0.0.0.0/0"), [cidr("10.0.0.0/9")]).unwrap()));
        assert!(!world.includes(&Block::new(cidr("10.1.0.0/16"), []).unwrap()));
        assert!(world.includes(&Block::new(cidr("11.0.0.0/8"), []).unwrap()));
    }
}
