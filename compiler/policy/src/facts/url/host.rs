//! Hosts: addresses in every spelling, and names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name of a host, in bytes (RFC 1035), and of one label.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The host of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An address. An IPv6 address that embeds an IPv4 address is that one, because that host answers.
    Address(IpAddr),
    /// A name in lower case, ASCII, without a trailing dot.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => write!(out, "{address}"),
            Host::Name(name) => out.write_str(name),
        }
    }
}

impl Host {
    /// Whether the host is outside the public Internet. Private names: those without a dot; those under
    /// top-level names that are never assigned (RFC 6761, RFC 6762 with its appendix G, RFC 8375, RFC 9476,
    /// ICANN's `internal`, the `localdomain` of hosts(5)); and names of a cluster's Services that end in
    /// `svc` or in a namespace that every cluster has (a pod's resolver tries its search domains first). A
    /// public name may still resolve to a private address.
    #[must_use]
    pub fn is_private(&self) -> bool {
        const PRIVATE: &[&str] = &[
            "localhost",
            "local",
            "internal",
            "test",
            "example",
            "invalid",
            "onion",
            "alt",
            "arpa",
            "lan",
            "home",
            "corp",
            "intranet",
            "private",
            "localdomain",
            "svc",
            "default",
            "kube-system",
        ];
        match self {
            Host::Address(address) => super::is_private(*address),
            Host::Name(name) => match name.rsplit_once('.') {
                Some((_, top)) => PRIVATE.contains(&top),
                None => true,
            },
        }
    }
}

/// Parses a host; IPv6 in brackets.
#[must_use]
pub fn parse_host(text: &str) -> Option<Host> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        // A zone names an interface of this machine.
        let address: Ipv6Addr = if inner.contains('%') { return None } else { inner.parse().ok()? };
        return carried(address).map(Host::Address);
    }
    let name = to_ascii(&unescape(text)?)?;
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name.is_empty() || name.len() > MAX_NAME {
        return None;
    }
    // Every client reads a name whose last label is a number as an address, or as an error.
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        return ipv4(name).map(|address| Host::Address(IpAddr::V4(address)));
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
            // Punycode hides letters that were not checked here; rules only compare its own letters.
            && label.get(2..4).is_none_or(|mark| mark != "--" || label.starts_with("xn--"))
    };
    name.split('.').all(label).then(|| Host::Name(name.to_owned()))
}

fn is_number(label: &str) -> bool {
    let hex =
        label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    !label.is_empty() && (hex || label.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The IPv4 address embedded in an IPv6 address: mapped, compatible, translated (RFC 2765), NAT64 (RFC 6052) and
/// 6to4. `None` for one of ISATAP (RFC 5214): there a tunnel may lead to the IPv4 address, or whoever has the network
/// answers, who may write any address into the last half.
fn carried(address: Ipv6Addr) -> Option<IpAddr> {
    let [.., high, low] = address.segments();
    let last = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    Some(match address.segments() {
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => IpAddr::V6(address),
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            IpAddr::V4(last)
        }
        [0x2002, high, low, ..] => IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        [.., 0 | 0x200, 0x5efe, _, _] => return None,
        _ => IpAddr::V6(address),
    })
}

/// One to four numbers, decimal, octal or hexadecimal; the last fills the remaining bytes (inet_aton(3),
/// WHATWG).
fn ipv4(name: &str) -> Option<Ipv4Addr> {
    let mut numbers = Vec::new();
    for part in name.split('.') {
        let part = part.to_ascii_lowercase();
        let (digits, radix) = match part.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None if part.len() > 1 && part.starts_with('0') => (part.get(1..)?, 8),
            None => (part.as_str(), 10),
        };
        // `0x` alone is zero to browsers and not a number to others.
        if digits.is_empty() || numbers.len() == 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        numbers.push(u64::from_str_radix(digits, radix).ok()?);
    }
    let (last, bytes) = numbers.split_last()?;
    if bytes.iter().any(|byte| *byte > 0xff) || *last >= 1 << (8 * (4 - bytes.len())) {
        return None;
    }
    let high = bytes.iter().zip([24, 16, 8]).fold(0, |sum, (byte, shift)| sum | byte << shift);
    Some(Ipv4Addr::from_bits(u32::try_from(high | last).ok()?))
}

/// Decodes percent escapes. The escaped text must be allowed in a name.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char == '%' {
            bytes.push(escaped_byte(&mut chars)?);
        } else {
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    // Escapes that decode to more escapes or delimiters are read in different ways.
    let delimiter =
        |char: char| char.is_control() || char.is_whitespace() || "%/\\?#@:[]<>\"`{}|^".contains(char);
    (!text.contains(delimiter)).then_some(text)
}

/// The two hexadecimal digits after a `%`.
pub(super) fn escaped_byte(chars: &mut std::str::Chars<'_>) -> Option<u8> {
    let high = chars.next()?.to_digit(16)?;
    let low = chars.next()?.to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

/// The mapping of UTS 46 for what looks like ASCII: full-width letters and digits, the dots of East Asian
/// scripts, circled and mathematical digits, soft hyphens that vanish. Other letters are opaque: the name
/// that they make depends on the tables of a version.
fn to_ascii(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        let code = char as u32;
        let mapped = match char {
            '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => '.',
            char if char.is_ascii() => char.to_ascii_lowercase(),
            // Ignored by UTS 46.
            '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' => continue,
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(code - 0xfee0)?.to_ascii_lowercase(),
            '\u{24ea}' => '0',
            '\u{2460}'..='\u{2468}' => char::from_u32(code - 0x2460 + u32::from(b'1'))?,
            '\u{24b6}'..='\u{24cf}' => char::from_u32(code - 0x24b6 + u32::from(b'a'))?,
            '\u{24d0}'..='\u{24e9}' => char::from_u32(code - 0x24d0 + u32::from(b'a'))?,
            '\u{2070}' => '0',
            '\u{b9}' => '1',
            '\u{b2}' => '2',
            '\u{b3}' => '3',
            '\u{2074}'..='\u{2079}' => char::from_u32(code - 0x2070 + u32::from(b'0'))?,
            '\u{2080}'..='\u{2089}' => char::from_u32(code - 0x2080 + u32::from(b'0'))?,
            '\u{1d7ce}'..='\u{1d7ff}' => char::from_u32((code - 0x1d7ce) % 10 + u32::from(b'0'))?,
            _ => return None,
        };
        out.push(mapped);
    }
    Some(out)
}
