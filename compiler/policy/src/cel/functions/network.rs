//! IP addresses and networks, as in Kubernetes' ip and cidr libraries: no zones, no IPv4-mapped IPv6
//! addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::EvalError;
use super::super::value::Value;
use super::{Outcome, no_overload};
use crate::ir::Func;

/// A network: an address (host bits may be set) and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// The address as written.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub length: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.length)
    }
}

/// Reads an address.
///
/// # Errors
/// Text that is not an address, has a zone, or is IPv4 mapped into IPv6.
pub fn parse_ip(text: &str) -> Result<IpAddr, EvalError> {
    if text.contains('%') {
        return Err(EvalError::invalid(format!("IP address \"{text}\" with zone value is not allowed")));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        EvalError::invalid(format!("IP Address \"{text}\" parse error during conversion from string"))
    })?;
    match address {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            Err(EvalError::invalid(format!("IPv4-mapped IPv6 address \"{text}\" is not allowed")))
        }
        address => Ok(address),
    }
}

/// Reads `address/length`.
///
/// # Errors
/// As for [`parse_ip`], and a prefix that is missing, too long, or written with a sign or leading zeros.
pub fn parse_cidr(text: &str) -> Result<Cidr, EvalError> {
    let wrong =
        || EvalError::invalid(format!("network address parse error during conversion from string: `{text}`"));
    let (address, length) = text.rsplit_once('/').ok_or_else(wrong)?;
    let address = parse_ip(address)?;
    let plain =
        length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
    let length: u8 = length.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    if length > bits(address) {
        return Err(wrong());
    }
    Ok(Cidr { address, length })
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl Cidr {
    /// The network with its host bits zero.
    #[must_use]
    pub fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, ..self }
    }

    /// Whether an address is in the network. An address of the other family never is.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        bits(self.address) == bits(address)
            && Self { address, length: self.length }.masked().address == self.masked().address
    }

    /// Whether a whole network is in this one.
    #[must_use]
    pub fn contains_network(self, other: Self) -> bool {
        self.length <= other.length && self.contains(other.address)
    }
}

/// `ip` and the functions of an address.
pub(super) fn address<'a>(function: Func, args: &[Value<'a>]) -> Outcome<'a> {
    if let [Value::Ip(address)] = args {
        return of_address(function, *address);
    }
    // `cidr.ip()` may be called under the name that it shares with `ip(string)`.
    if let (Func::Ip, [Value::Cidr(network)]) = (function, args) {
        return Ok(Value::Ip(network.address));
    }
    let [text] = args else {
        return no_overload(function);
    };
    let Some(text) = text.as_str() else {
        return no_overload(function);
    };
    Ok(match function {
        Func::Ip => Value::Ip(parse_ip(text)?),
        Func::IsIp => Value::Bool(parse_ip(text).is_ok()),
        Func::IpIsCanonical => Value::Bool(parse_ip(text)?.to_string() == text),
        Func::IsPrivate => Value::Bool(!is_public(parse_ip(text)?)),
        _ => return no_overload(function),
    })
}

fn of_address<'a>(function: Func, address: IpAddr) -> Outcome<'a> {
    Ok(match function {
        Func::Family => Value::Int(if address.is_ipv4() { 4 } else { 6 }),
        Func::IsUnspecified => Value::Bool(address.is_unspecified()),
        Func::IsLoopback => Value::Bool(address.is_loopback()),
        Func::IsLinkLocalMulticast => Value::Bool(is_link_local_multicast(address)),
        Func::IsLinkLocalUnicast => Value::Bool(is_link_local(address)),
        // Go's `netip.Addr.IsGlobalUnicast`: private addresses count as global.
        Func::IsGlobalUnicast => Value::Bool(
            !address.is_unspecified()
                && !address.is_loopback()
                && !address.is_multicast()
                && !is_link_local(address)
                && address != IpAddr::V4(Ipv4Addr::BROADCAST),
        ),
        Func::IsPrivate => Value::Bool(!is_public(address)),
        _ => return no_overload(function),
    })
}

const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

const fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
    }
}

/// Whether an address is reachable on the whole Internet: outside every special-purpose block of IANA's
/// registries (RFC 6890 and its updates), none that a cloud uses like one, and outside every form that embeds
/// an IPv4 address which is not.
pub(crate) fn is_public(address: IpAddr) -> bool {
    const NOT_PUBLIC_V4: &[(u32, u32)] = &[
        (0x0000_0000, 8),  // this network
        (0x0a00_0000, 8),  // private
        (0x6440_0000, 10), // shared (carrier NAT)
        (0x7f00_0000, 8),  // loopback
        (0xa83f_8110, 32), // the services of Azure's hosts, in every virtual network
        (0xa9fe_0000, 16), // link local, where metadata services live
        (0xac10_0000, 12), // private
        (0xc000_0000, 24), // IETF protocol assignments
        (0xc000_0200, 24), // documentation
        (0xc058_6300, 24), // former 6to4 relays
        (0xc0a8_0000, 16), // private
        (0xc612_0000, 15), // benchmarks
        (0xc633_6400, 24), // documentation
        (0xcb00_7100, 24), // documentation
        (0xe000_0000, 4),  // multicast
        (0xf000_0000, 4),  // reserved, broadcast
    ];
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            !NOT_PUBLIC_V4.iter().any(|(network, length)| bits >> (32 - length) == network >> (32 - length))
        }
        IpAddr::V6(address) => match address.segments() {
            // NAT64 and 6to4 reach the IPv4 address that they embed.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                is_public(IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))))
            }
            // Teredo, documentation (2001:db8::/32, 3fff::/20), ORCHID and the rest of 2001::/23.
            [0x2001, second, ..] => second > 0x01ff && second != 0x0db8,
            [0x3fff, second, ..] => second > 0x0fff,
            // Only 2000::/3 is assigned as global unicast.
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
}

/// `cidr` and the functions of a network.
pub(super) fn prefix<'a>(function: Func, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(match (function, args) {
        (Func::CidrIp, [Value::Cidr(network)]) => Value::Ip(network.address),
        (Func::Masked, [Value::Cidr(network)]) => Value::Cidr(network.masked()),
        (Func::PrefixLength, [Value::Cidr(network)]) => Value::Int(network.length.into()),
        (Func::ContainsIp, [Value::Cidr(network), Value::Ip(address)]) => {
            Value::Bool(network.contains(*address))
        }
        (Func::ContainsCidr, [Value::Cidr(network), Value::Cidr(other)]) => {
            Value::Bool(network.contains_network(*other))
        }
        (_, [Value::Cidr(network), other]) => match (function, other.as_str()) {
            (Func::ContainsIp, Some(text)) => Value::Bool(network.contains(parse_ip(text)?)),
            (Func::ContainsCidr, Some(text)) => Value::Bool(network.contains_network(parse_cidr(text)?)),
            _ => return no_overload(function),
        },
        (_, [text]) => match (function, text.as_str()) {
            (Func::Cidr, Some(text)) => Value::Cidr(parse_cidr(text)?),
            (Func::IsCidr, Some(text)) => Value::Bool(parse_cidr(text).is_ok()),
            _ => return no_overload(function),
        },
        _ => return no_overload(function),
    })
}
