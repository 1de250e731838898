//! Networks: containment, and the address ranges that a wide allow rule must not reach.
//!
//! A *special* range is one where an agent finds credentials or the inside of the cluster: metadata services,
//! link-local and private networks. A block reaches a special range only if it equals that range or is inside
//! it, since then its author named it. From a larger block, such as `0.0.0.0/0`, the special ranges are
//! excepted.

use std::net::IpAddr;

use super::EmitError;

/// Metadata services of cloud providers, link-local, private and NAT64 ranges, in the order in which they are
/// excepted. Sources: RFC 1918, 3927, 4193, 4291, 6052, 6598; AWS IMDS, ECS and EKS Pod Identity, Azure
/// WireServer, Alibaba metadata, and Google's metadata server for machines with IPv6 alone.
pub(super) const SPECIAL: [(&str, &str); 17] = [
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared address space"),
    ("100.100.100.200/32", "metadata"),
    ("168.63.129.16/32", "metadata"),
    ("169.254.0.0/16", "link-local"),
    ("169.254.169.254/32", "metadata"),
    ("169.254.170.2/32", "metadata"),
    ("169.254.170.23/32", "metadata"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("127.0.0.0/8", "loopback"),
    ("64:ff9b::/96", "NAT64"),
    ("fc00::/7", "private"),
    ("fd00:ec2::23/128", "metadata"),
    ("fd00:ec2::254/128", "metadata"),
    ("fd20:ce::254/128", "metadata"),
    ("fe80::/10", "link-local"),
];

/// A network: family, address and prefix length, host bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Network {
    v6: bool,
    /// IPv4 in the upper 32 bits, so that both families share the arithmetic.
    bits: u128,
    prefix: u8,
}

impl Network {
    /// Reads canonical `address/prefix`.
    pub(super) fn parse(text: &str) -> Result<Self, EmitError> {
        Self::read(text).ok_or_else(|| EmitError::Cidr { cidr: text.to_owned() })
    }

    fn read(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let prefix: u8 = prefix.parse().ok()?;
        let (v6, bits, width) = match address.parse().ok()? {
            IpAddr::V4(address) => (false, u128::from(address.to_bits()) << 96, 32),
            IpAddr::V6(address) => (true, address.to_bits(), 128),
        };
        let network = Self { v6, bits, prefix };
        (prefix <= width && bits & !network.mask() == 0).then_some(network)
    }

    fn mask(self) -> u128 {
        // Shifting by the full width is undefined; a prefix of 0 keeps no bits.
        u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// Whether every address of `other` is in `self`.
    pub(super) fn contains(self, other: Self) -> bool {
        self.v6 == other.v6 && self.prefix <= other.prefix && other.bits & self.mask() == self.bits
    }
}

/// A block in the form in which it may be emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The excepted networks: each strictly inside the block, none inside another, sorted.
    pub(super) except: Vec<String>,
    /// The special ranges among them that the policy did not itself except, as "range (kind)".
    pub(super) added: Vec<String>,
}

/// Computes what to except from `cidr`. `None`: nothing of it is left.
pub(super) fn block(
    cidr: &str,
    except: &[String],
    special: &[(&str, &str)],
) -> Result<Option<Block>, EmitError> {
    let whole = Network::parse(cidr)?;
    let mut out: Vec<(Network, String)> = Vec::new();
    for text in except {
        let network = Network::parse(text)?;
        if network.contains(whole) {
            return Ok(None);
        }
        if whole.contains(network) {
            out.push((network, text.clone()));
        }
    }
    let mut added = Vec::new();
    for (text, kind) in special {
        let network = Network::parse(text)?;
        if !whole.contains(network)
            || network == whole
            || out.iter().any(|(other, _)| other.contains(network))
        {
            continue;
        }
        added.push(format!("{text} ({kind})"));
        out.push((network, (*text).to_owned()));
    }
    out.sort();
    out.dedup();
    let all: Vec<Network> = out.iter().map(|(network, _)| *network).collect();
    out.retain(|(network, _)| !all.iter().any(|other| other != network && other.contains(*network)));
    Ok(Some(Block { except: out.into_iter().map(|(_, text)| text).collect(), added }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excepted(cidr: &str, except: &[&str]) -> Option<Vec<String>> {
        let except: Vec<String> = except.iter().map(|text| (*text).to_owned()).collect();
        block(cidr, &except, &SPECIAL).unwrap().map(|block| block.except)
    }

    #[test]
    fn every_special_range_is_a_network() {
        for (text, _) in SPECIAL {
            Network::parse(text).unwrap();
        }
    }

    #[test]
    fn a_world_wide_block_loses_the_special_ranges_of_its_family() {
        assert_eq!(
            excepted("0.0.0.0/0", &[]).unwrap(),
            [
                "10.0.0.0/8",
                "100.64.0.0/10",
                "127.0.0.0/8",
                "168.63.129.16/32",
                "169.254.0.0/16",
                "172.16.0.0/12",
                "192.168.0.0/16",
            ]
        );
        assert_eq!(excepted("::/0", &[]).unwrap(), ["64:ff9b::/96", "fc00::/7", "fe80::/10"]);
    }

    #[test]
    fn halves_of_the_world_do_not_bring_metadata_back() {
        assert!(excepted("128.0.0.0/1", &[]).unwrap().contains(&"169.254.0.0/16".to_owned()));
        assert!(excepted("169.254.0.0/16", &[]).unwrap().contains(&"169.254.169.254/32".to_owned()));
        assert_eq!(excepted("fd20::/16", &[]).unwrap(), ["fd20:ce::254/128"]);
    }

    #[test]
    fn a_range_that_the_author_named_stays() {
        assert_eq!(excepted("169.254.20.10/32", &[]).unwrap(), Vec::<String>::new());
        assert_eq!(excepted("169.254.169.254/32", &[]).unwrap(), Vec::<String>::new());
        assert_eq!(excepted("10.0.0.0/8", &["10.1.0.0/16", "10.1.2.0/24"]).unwrap(), ["10.1.0.0/16"]);
    }

    #[test]
    fn a_block_that_is_wholly_excepted_is_nothing() {
        assert_eq!(excepted("10.0.0.0/8", &["10.0.0.0/8"]), None);
        assert_eq!(excepted("10.0.0.0/8", &["0.0.0.0/0"]), None);
    }

    #[test]
    fn host_bits_and_long_prefixes_are_refused() {
        for text in ["10.0.0.1/8", "10.0.0.0/33", "::1/64", "10.0.0.0", "x/8", "10.0.0.0/-1"] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }
}
