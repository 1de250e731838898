//! Spellings of addresses and names.

use proptest::prelude::*;

use super::*;

fn url(text: &str) -> Url {
    match parse(text) {
        Fact::Known(url) => url,
        Fact::Opaque => panic!("{text} is opaque"),
    }
}

#[test]
fn parts_are_told_apart() {
    assert_eq!(
        url("HTTPS://User:pw@Example.COM:8443/a/./b/../c%2e?q=1/../2#frag"),
        Url {
            scheme: "https".to_owned(),
            host: "example.com".to_owned(),
            port: Some(8443),
            path: "/a/c.".to_owned(),
            query: Some("q=1/../2".to_owned()),
            has_userinfo: true,
            is_private: false,
        }
    );
    let plain = url("http://example.org");
    assert_eq!((plain.port, plain.path.as_str(), plain.has_userinfo), (Some(80), "/", false));
    assert_eq!(url("unknown://example.org").port, None);
    assert_eq!(url("http://example.org:/").port, Some(80));
    assert_eq!(url("http://example.org/a/..").path, "/");
    assert_eq!(url("http://example.org/a/%2e%2E/b").path, "/b");
    assert_eq!(url("http://example.org/%61dmin/%7e%2d%3b%2561").path, "/admin/~-%3B%2561");
    assert_eq!(url("http://example.org/é%c3%a9").path, "/%C3%A9%C3%A9");
}

/// The metadata service in every spelling: payload 59 of the reference.
const METADATA: &[&str] = &[
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518",
    "169.16689662",
    "169.0376.0xa9fe",
    "0xA9FEA9FE",
    "025177524776",
    "0000251.254.169.254",
    "169.254.169.254.",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:FFFF:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[::ffff:0:169.254.169.254]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[2002:a9fe:a9fe::1]",
    "169%2e254%2e169%2e254",
    "%31%36%39.254.169.254",
    "１６９.254.169.254",
    "169。254。169。254",
    "169．254．169．254",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "169.254.1\u{ad}69.254",
    "𝟏𝟔𝟗.254.169.254",
    "¹⁶⁹.254.169.254",
];

#[test]
fn every_spelling_of_an_address_is_one() {
    for host in METADATA {
        let found = url(&format!("http://{host}/latest"));
        assert_eq!((found.host.as_str(), found.is_private), ("169.254.169.254", true), "{host}");
    }
    for (host, expected) in [
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0x7f.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[0:0::0:1]", "::1"),
        ("[::]", "::"),
        ("[fd00::0001]", "fd00::1"),
        ("[FE80::1]", "fe80::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("100.64.0.1", "100.64.0.1"),
        ("localhost", "localhost"),
        ("LOCALHOST.", "localhost"),
        ("kubernetes", "kubernetes"),
        ("metadata.google.internal", "metadata.google.internal"),
        ("printer.local", "printer.local"),
        ("localhost.localdomain", "localhost.localdomain"),
        ("wiki.intranet", "wiki.intranet"),
        ("kubernetes.default", "kubernetes.default"),
        ("kubernetes.default.svc", "kubernetes.default.svc"),
        ("224.0.0.1", "224.0.0.1"),
        ("[ff02::1]", "ff02::1"),
        ("kubernetes.default.svc.cluster.local", "kubernetes.default.svc.cluster.local"),
        ("192.168.257", "192.168.1.1"),
    ] {
        let found = url(&format!("https://{host}/"));
        assert_eq!((found.host.as_str(), found.is_private), (expected, true), "{host}");
    }
    for (host, expected) in [
        ("1.1.1.1", "1.1.1.1"),
        ("16843009", "1.1.1.1"),
        ("[2606:4700::1111]", "2606:4700::1111"),
        ("[64:ff9b::8.8.8.8]", "8.8.8.8"),
        ("Example.ORG.", "example.org"),
        ("xn--bcher-kva.example.org", "xn--bcher-kva.example.org"),
        ("ｅxample.org", "example.org"),
        ("a_b.example.org", "a_b.example.org"),
        ("127.0.0.1.nip.io", "127.0.0.1.nip.io"),
    ] {
        let found = url(&format!("https://{host}/"));
        assert_eq!((found.host.as_str(), found.is_private), (expected, false), "{host}");
    }
}

#[test]
fn what_readers_disagree_about_is_opaque() {
    for text in [
        "",
        "example.org",
        "//example.org/",
        "http:example.org",
        "http:/example.org",
        "http:///example.org",
        "http://",
        "http://@",
        "http://:80/",
        "1http://example.org/",
        "http://a@b@c/",
        "http://example.org\\@evil.org/",
        "http://[::1]@evil.org@x/",
        "http://exa mple.org/",
        "http://example.org\t/",
        "http://exam\nple.org/",
        "http://example.org\0/",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:8 0/",
        "http://example.org:80:80/",
        "http://example.org:+80/",
        "http://example.org:0x50/",
        "http://256.256.256.256/",
        "http://1.2.3.4.5/",
        "http://1.2.3.256/",
        "http://4294967296/",
        "http://0x/",
        "http://08.1.1.1/",
        "http://1..2/",
        "http://a..b/",
        "http://.a/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[fe80::1%25eth0]/",
        "http://[::g]/",
        "http://[127.0.0.1]/",
        "http://::1/",
        "http://a%00b/",
        "http://a%2fb/",
        "http://a%40b/",
        "http://a%zz/",
        "http://аpple.com/",
        "http://exämple.org/",
        "http://example.org/%2f..",
        "http://example.org/a%5c..",
        "http://example.org/..",
        "http://example.org/%00",
        "http://example.org/%g",
        "http://-a.org/",
        "http://a-.org/",
        "http://ab--cd.org/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http://ⓔxample。0/",
        "http://a\u{202e}b/",
        "http://user[::1]@example.org/",
        "http://example.org#@169.254.169.254/",
        "http://example.org?@169.254.169.254/",
        "http://example.org%/",
    ] {
        assert_eq!(parse(text), Fact::Opaque, "{text:?}");
    }
    assert_eq!(parse(&format!("http://{}.org/", "a".repeat(64))), Fact::Opaque);
    assert_eq!(parse(&format!("http://example.org/{}", "a".repeat(MAX_BYTES))), Fact::Opaque);
}

/// ISATAP (RFC 5214): the network before the address may be anyone's.
#[test]
fn addresses_in_the_network_of_anyone_are_opaque() {
    for host in ["2001:41d0::5efe:192.0.2.1", "2001:41d0::200:5efe:203.0.113.9", "fe80::5efe:169.254.169.254"]
    {
        assert_eq!(parse(&format!("http://[{host}]/")), Fact::Opaque, "{host}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_canonical_url_is_its_own(text in "(http|x)://(u@)?[a-c0-9x.%\\[\\]:-]{0,14}(/|\\.|%2[eEfF]|a|\\?|#){0,8}") {
        fuzz(text.as_bytes());
    }

    /// Every 32-bit number, written as one number, in three bases and in parts.
    #[test]
    fn numbers_are_addresses(bits in any::<u32>()) {
        let address = std::net::Ipv4Addr::from_bits(bits);
        let [a, b, c, d] = address.octets();
        for host in [format!("{bits}"), format!("0x{bits:x}"), format!("0{bits:o}"), format!("{a}.{}", bits & 0xff_ffff), format!("0x{a:x}.0{b:o}.{c}.{d}"),
            format!("[::ffff:{address}]"), format!("[64:ff9b::{address}]")] {
            let expected = address.to_string();
            prop_assert_eq!(url(&format!("http://{host}/")).host, expected);
        }
    }
}

/// The canonical form of this address is longer than what is parsed.
#[test]
fn an_address_may_grow_beyond_what_is_parsed() {
    let address = [b"h://a/".as_slice(), &[0xff; MAX_BYTES / 3 - 8]].concat();
    assert!(
        matches!(parse(&String::from_utf8_lossy(&address)), Fact::Known(url) if url.path.len() > MAX_BYTES)
    );
    fuzz(&address);
}
