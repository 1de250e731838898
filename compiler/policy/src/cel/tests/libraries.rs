//! The function libraries. Cases named "apiserver" are those of `k8s.io/apiserver/pkg/cel/library/*_test.go`
//! v0.37.2 that concern evaluation; the others are cel-spec's and cel-go's.

use super::build::{IntoExpr, call, fails, map, select};
use super::quantities::quantity;
use super::{Const, Expr, World, show};

#[test]
fn addresses_of_the_apiserver() {
    let ip = |text: &str| call!(Ip, text);
    assert_eq!(show(ip("192.168.0.1")), "192.168.0.1");
    assert!(
        show(ip("192.168.0.1.0"))
            .contains("IP Address \"192.168.0.1.0\" parse error during conversion from string")
    );
    assert!(show(ip("2001:db8:::68")).contains("parse error during conversion from string"));
    for (text, is) in [
        ("192.168.0.1", true),
        ("192.168.0.1.0", false),
        ("2001:db8::68", true),
        ("2001:db8:::68", false),
        ("::ffff:1.2.3.4", false),
        ("fe80::1%eth0", false),
        ("010.0.0.1", false),
    ] {
        assert_eq!(show(call!(IsIp, text)), is.to_string(), "{text}");
    }
    assert_eq!(show(call!(IpIsCanonical, "127.0.0.1")), "true");
    assert_eq!(show(call!(IpIsCanonical, "2001:db8::68")), "true");
    assert_eq!(show(call!(IpIsCanonical, "2001:DB8::68")), "false");
    assert!(show(call!(IpIsCanonical, "127.0.0.1.0")).starts_with("error: "));
    assert_eq!(show(call!(Family, ip("192.168.0.1"))), "4");
    assert_eq!(show(call!(Family, ip("2001:db8::68"))), "6");
    for (text, unspecified, loopback, link_multicast, link_unicast, global) in [
        ("0.0.0.0", true, false, false, false, false),
        ("127.0.0.1", false, true, false, false, false),
        ("224.0.0.1", false, false, true, false, false),
        ("224.0.1.1", false, false, false, false, false),
        ("169.254.169.254", false, false, false, true, false),
        ("192.168.0.1", false, false, false, false, true),
        ("255.255.255.255", false, false, false, false, false),
        ("::", true, false, false, false, false),
        ("::1", false, true, false, false, false),
        ("2001:db8::abcd", false, false, false, false, true),
        ("ff02::1", false, false, true, false, false),
        ("fd00::1", false, false, false, false, true),
        ("fe80::1", false, false, false, true, false),
        ("ff00::1", false, false, false, false, false),
    ] {
        assert_eq!(show(call!(IsUnspecified, ip(text))), unspecified.to_string(), "{text}");
        assert_eq!(show(call!(IsLoopback, ip(text))), loopback.to_string(), "{text}");
        assert_eq!(show(call!(IsLinkLocalMulticast, ip(text))), link_multicast.to_string(), "{text}");
        assert_eq!(show(call!(IsLinkLocalUnicast, ip(text))), link_unicast.to_string(), "{text}");
        assert_eq!(show(call!(IsGlobalUnicast, ip(text))), global.to_string(), "{text}");
    }
    assert_eq!(show(call!(ToString, ip("192.168.0.1"))), "192.168.0.1");
    assert_eq!(
        show(call!(Equal, call!(TypeOf, ip("::1")), Expr::Const(Const::Type("net.IP".into())))),
        "true"
    );
}

#[test]
fn networks_of_the_apiserver() {
    let cidr = |text: &str| call!(Cidr, text);
    assert_eq!(show(cidr("192.168.0.0/24")), "192.168.0.0/24");
    for text in [
        "192.168.0.0/",
        "2001:db8::/",
        "192.168.0.0",
        "1.2.3.4/33",
        "1.2.3.4/024",
        "1.2.3.4/+8",
        "::ffff:1.2.3.4/96",
    ] {
        assert!(show(cidr(text)).starts_with("error: "), "{text}");
        assert_eq!(show(call!(IsCidr, text)), "false");
    }
    for (network, address, inside) in [
        ("192.168.0.0/24", "192.168.0.1", true),
        ("192.168.0.0/24", "192.168.1.1", false),
        ("2001:db8::/32", "2001:db8::1", true),
        ("2001:db8::/32", "2001:dc8::1", false),
        ("0.0.0.0/0", "::1", false),
        ("::/0", "1.2.3.4", false),
        ("0.0.0.0/0", "255.255.255.255", true),
    ] {
        assert_eq!(show(call!(ContainsIp, cidr(network), address)), inside.to_string());
        assert_eq!(show(call!(ContainsIp, cidr(network), call!(Ip, address))), inside.to_string());
    }
    for (network, other, inside) in [
        ("192.168.0.0/24", "192.168.0.0/25", true),
        ("192.168.0.0/24", "192.168.0.1/32", true),
        ("192.168.0.0/24", "192.168.0.0/23", false),
        ("192.168.0.0/24", "192.169.0.1/32", false),
        ("2001:db8::/32", "2001:db8::/33", true),
        ("2001:db8::/32", "2001:db8::/31", false),
    ] {
        assert_eq!(show(call!(ContainsCidr, cidr(network), other)), inside.to_string());
        assert_eq!(show(call!(ContainsCidr, cidr(network), cidr(other))), inside.to_string());
    }
    assert_eq!(show(call!(CidrIp, cidr("192.168.0.0/24"))), "192.168.0.0");
    assert_eq!(show(call!(Masked, cidr("192.168.0.1/24"))), "192.168.0.0/24");
    assert_eq!(show(call!(Masked, cidr("2001:db8:1::/32"))), "2001:db8::/32");
    assert_eq!(show(call!(PrefixLength, cidr("2001:db8::/32"))), "32");
    assert_eq!(show(call!(Equal, cidr("192.168.0.1/24"), cidr("192.168.0.0/24"))), "false");
}

#[test]
fn private_addresses_are_those_that_the_internet_cannot_reach() {
    for (text, private) in [
        ("10.1.2.3", true),
        ("169.254.169.254", true),
        ("100.64.0.1", true),
        ("8.8.8.8", false),
        ("2606:4700::1111", false),
        ("fd00::1", true),
        ("2001:db8::1", true),
        ("64:ff9b::7f00:1", true),
        ("64:ff9b::808:808", false),
        ("2002:a00:1::", true),
        ("::1", true),
        ("ff02::1", true),
    ] {
        assert_eq!(show(call!(IsPrivate, call!(Ip, text))), private.to_string(), "{text}");
    }
}

#[test]
fn strings_are_cut_and_searched_by_code_points() {
    assert_eq!(show(call!(Size, "ta©o😀")), "5");
    assert_eq!(show(call!(CharAt, "ta©o©αT", 2_i64)), "©");
    assert_eq!(show(call!(CharAt, "tacocat", 7_i64)), "");
    assert_eq!(show(call!(CharAt, "tacocat", 30_i64)), "error: index out of range: 30");
    assert_eq!(show(call!(CharAt, "tacocat", -1_i64)), "error: index out of range: -1");
    for (text, part, first, last) in [
        ("tacocat", "", "0", "7"),
        ("tacocat", "ac", "1", "1"),
        ("tacocat", "none", "-1", "-1"),
        ("ta©o©αT", "©", "2", "4"),
        ("ta©o©αT", "©α", "4", "4"),
        ("ta©o©αT", "©o©", "2", "2"),
        ("", "a", "-1", "-1"),
    ] {
        assert_eq!(show(call!(IndexOf, text, part)), first, "{text} {part}");
        assert_eq!(show(call!(LastIndexOf, text, part)), last, "{text} {part}");
    }
    assert_eq!(show(call!(IndexOf, "tacocat", "a", 3_i64)), "5");
    assert_eq!(show(call!(IndexOf, "ta©o©αT", "©", 3_i64)), "4");
    assert_eq!(show(call!(IndexOf, "tacocat", "", 8_i64)), "7");
    assert_eq!(show(call!(IndexOf, "tacocat", "a", 30_i64)), "-1");
    assert_eq!(show(call!(IndexOf, "tacocat", "a", -1_i64)), "error: index out of range: -1");
    assert_eq!(show(call!(LastIndexOf, "tacocat", "at", 3_i64)), "-1");
    assert_eq!(show(call!(LastIndexOf, "tacocat", "a", 3_i64)), "1");
    assert_eq!(show(call!(LastIndexOf, "ta©o©αT", "©", 3_i64)), "2");
    assert_eq!(show(call!(LastIndexOf, "tacocat", "", 3_i64)), "3");
    assert_eq!(show(call!(Substring, "ta©o©αT", 2_i64, 6_i64)), "©o©α");
    assert_eq!(show(call!(Substring, "tacocat", 4_i64)), "cat");
    assert_eq!(show(call!(Substring, "tacocat", 7_i64)), "");
    assert_eq!(
        show(call!(Substring, "tacocat", 1_i64, 0_i64)),
        "error: invalid substring range. start: 1, end: 0"
    );
    assert_eq!(show(call!(Substring, "tacocat", 40_i64)), "error: index out of range: 40");
}

#[test]
fn strings_are_replaced_split_and_joined_as_in_go() {
    assert_eq!(show(call!(Replace, "12 days 12 hours", "{0}", "2")), "12 days 12 hours");
    assert_eq!(show(call!(Replace, "{0} days {0} hours", "{0}", "2", 1_i64)), "2 days {0} hours");
    assert_eq!(show(call!(Replace, "1 ©αT taco", "αT", "o©α")), "1 ©o©α taco");
    assert_eq!(show(call!(Replace, "ab", "", "-")), "-a-b-");
    assert_eq!(show(call!(Replace, "aaa", "a", "b", 0_i64)), "aaa");
    assert_eq!(show(call!(Split, "hello world", " ")), "[hello, world]");
    assert_eq!(show(call!(Split, "o©o", "")), "[o, ©, o]");
    assert_eq!(show(call!(Split, "abc", "", 2_i64)), "[a, bc]");
    assert_eq!(show(call!(Split, "", "")), "[]");
    assert_eq!(show(call!(Size, call!(Split, "", ","))), "1");
    assert_eq!(show(call!(Split, "a,b,c", ",", 0_i64)), "[]");
    assert_eq!(show(call!(Split, "a,b,c", ",", 1_i64)), "[a,b,c]");
    assert_eq!(show(call!(Split, "a,b,c", ",", 2_i64)), "[a, b,c]");
    assert_eq!(show(call!(Split, "a,b,c", ",", -1_i64)), "[a, b, c]");
    assert_eq!(show(call!(Join, ["x", "y"])), "xy");
    assert_eq!(show(call!(Join, ["x", "y"], "-")), "x-y");
    assert_eq!(show(call!(Join, [1_i64])), "error: join: invalid input: a int");
    assert_eq!(show(call!(LowerAscii, "TacoCÆt")), "tacocÆt");
    assert_eq!(show(call!(UpperAscii, "tacoCαt")), "TACOCαT");
    assert_eq!(show(call!(Trim, "\u{2000}\t text \u{85}")), "text");
    assert_eq!(show(call!(Reverse, "ta©o")), "o©at");
    assert_eq!(show(call!(Quote, "a\n\"\\\u{7}")), r#""a\n\"\\\a""#);
}

#[test]
fn formats_follow_cel_go() {
    let format = |template: &str, args: Expr| show(call!(Format, template, args));
    assert_eq!(format("%d %s %%", [1_i64.expr(), "x".expr()].expr()), "1 x %");
    assert_eq!(format("%.3f %f", [1.2345, 2.5].expr()), "1.234 2.500000");
    assert_eq!(format("%e", [2.5].expr()), "2.500000e+00");
    assert_eq!(format("%.2e", [0.000012].expr()), "1.20e-05");
    assert_eq!(format("%b %o %x %X", [5_i64, 11, 255, -255].expr()), "101 13 ff -FF");
    assert_eq!(format("%x", ["Hi©".expr()].expr()), "4869c2a9");
    assert_eq!(format("%b", [true].expr()), "1");
    assert_eq!(format("%s", [1.0].expr()), "1");
    assert_eq!(format("%s", [["a", "b"].expr()].expr()), "[a, b]");
    let entries = map([("b".expr(), 2_i64.expr()), ("a".expr(), [true].expr())]);
    assert_eq!(format("%s", Expr::List(vec![(entries, false)])), "{a: [true], b: 2}");
    assert_eq!(format("%s", [call!(ToDuration, "1h1.5s")].expr()), "3601.5s");
    assert_eq!(
        format("%d", ["x".expr()].expr()),
        "error: decimal clause can only be used on ints, uints, and doubles, was given string"
    );
    assert_eq!(format("%d", Expr::List(vec![])), "error: index 0 out of range");
    assert_eq!(format("%", [1_i64].expr()), "error: unexpected end of string");
    assert_eq!(format("%z", [1_i64].expr()), "error: unrecognized formatting clause \"z\"");
    assert_eq!(
        format("%.1001f", [1.0].expr()),
        "error: precision 1001 exceeds maximum allowed precision 1000"
    );
}

#[test]
fn lists_of_kubernetes_and_of_cel_go() {
    assert_eq!(show(call!(IsSorted, [1_i64, 2, 2])), "true");
    assert_eq!(show(call!(IsSorted, ["b", "a"])), "false");
    assert_eq!(show(call!(Sum, [1_i64, 3])), "4");
    assert_eq!(show(call!(Sum, [call!(ToDuration, "1m"), call!(ToDuration, "1s")])), "61s");
    assert_eq!(show(call!(Sum, [i64::MAX, 1])), "error: integer overflow");
    assert_eq!(show(call!(Min, [3_i64, 1, 2])), "1");
    assert_eq!(show(call!(Max, ["a", "c", "b"])), "c");
    assert_eq!(show(call!(Max, Expr::List(vec![]))), "error: max called on empty list");
    assert_eq!(show(call!(IndexOf, [1_i64, 2, 2], 2_i64)), "1");
    assert_eq!(show(call!(LastIndexOf, [1_i64, 2, 2], 2_i64)), "2");
    assert_eq!(show(call!(IndexOf, [1_i64], 2_i64)), "-1");
    assert_eq!(show(call!(Slice, [1_i64, 2, 3, 4], 1_i64, 3_i64)), "[2, 3]");
    assert_eq!(show(call!(Slice, [1_i64], 0_i64, 2_i64)), "error: cannot slice(0, 2), list is length 1");
    assert_eq!(show(call!(Flatten, [[1_i64.expr(), [2_i64].expr()].expr()])), "[1, [2]]");
    assert_eq!(show(call!(Flatten, [[1_i64.expr(), [2_i64].expr()].expr()], 2_i64)), "[1, 2]");
    assert_eq!(show(call!(Flatten, [1_i64], -1_i64)), "error: level must be non-negative");
    assert_eq!(show(call!(Distinct, [1.0.expr(), 1_i64.expr(), "a".expr()])), "[1, a]");
    assert_eq!(show(call!(Sort, ["c", "a", "b"])), "[a, b, c]");
    assert_eq!(show(call!(Sort, [1_i64.expr(), "a".expr()])), "error: list elements must have the same type");
    assert_eq!(show(call!(Reverse, [1_i64, 2])), "[2, 1]");
    assert_eq!(show(call!(Range, 3_i64)), "[0, 1, 2]");
    assert_eq!(show(call!(First, [1_i64, 2])), "some(1)");
    assert_eq!(show(call!(Last, Expr::List(vec![]))), "none");
    assert_eq!(show(call!(Includes, [1_i64, 2], 2_i64)), "true");
    assert_eq!(show(call!(Includes, "a", "a")), "true");
}

#[test]
fn sets_optionals_math_and_base64() {
    assert_eq!(show(call!(SetsContains, [1_i64, 2, 3], [2.0, 3.0])), "true");
    assert_eq!(show(call!(SetsContains, [1_i64], [2_i64])), "false");
    assert_eq!(show(call!(SetsEquivalent, [1_i64, 1], [1_i64])), "true");
    assert_eq!(show(call!(SetsIntersects, [1_i64], Expr::List(vec![]))), "false");
    assert_eq!(show(call!(OptionalOfNonZero, "")), "none");
    assert_eq!(show(call!(Value, call!(OptionalNone))), "error: optional.none() dereference");
    assert_eq!(show(call!(HasValue, call!(OptionalOf, 0_i64))), "true");
    assert_eq!(show(call!(Or, call!(OptionalOf, 1_i64), fails())), "some(1)");
    assert_eq!(show(call!(OptionalUnwrap, [call!(OptionalOf, 1_i64), call!(OptionalNone)])), "[1]");
    assert_eq!(show(call!(Greatest, [1_i64.expr(), 2.5.expr()])), "2.5");
    assert_eq!(show(call!(Least, 1_i64, 2_i64, -3.0)), "-3");
    assert_eq!(show(call!(Ceil, 1.2)), "2");
    assert_eq!(show(call!(Round, -1.5)), "-2");
    assert_eq!(show(call!(Abs, i64::MIN)), "error: integer overflow");
    assert_eq!(show(call!(BitShiftRight, -1_i64, 1_i64)), i64::MAX.to_string());
    assert_eq!(show(call!(BitShiftLeft, 1_i64, 64_i64)), "0");
    assert_eq!(show(call!(Base64Encode, call!(ToBytes, "hello"))), "aGVsbG8=");
    assert_eq!(show(call!(ToString, call!(Base64Decode, "aGVsbG8"))), "hello");
    assert!(show(call!(Base64Decode, "a*b")).starts_with("error: illegal base64"));
}

#[test]
fn conversions_hold_their_ranges() {
    assert_eq!(show(call!(ToInt, "-5")), "-5");
    assert_eq!(show(call!(ToInt, 1e99)), "error: integer overflow");
    assert_eq!(show(call!(ToInt, -9_223_372_036_854_775_808.0)), "error: integer overflow");
    assert_eq!(show(call!(ToInt, -1.9)), "-1");
    assert_eq!(show(call!(ToUint, -1_i64)), "error: unsigned integer overflow");
    assert_eq!(show(call!(ToDouble, "1e3")), "1000");
    assert_eq!(show(call!(ToBool, "True")), "true");
    assert!(show(call!(ToBool, "yes")).starts_with("error: type conversion error from 'string' to 'bool'"));
    assert_eq!(show(call!(ToString, 123_456_789.0)), "1.23456789e+08");
    assert_eq!(show(call!(ToString, 0.00001234)), "1.234e-05");
    assert_eq!(show(call!(ToString, 123.456)), "123.456");
    assert_eq!(
        show(call!(ToString, Expr::Const(Const::Bytes(vec![0xff])))),
        "error: invalid UTF-8 in bytes, cannot convert to string"
    );
    assert_eq!(show(call!(TypeOf, 1_i64)), "int");
    let world = World::of(r#"{"replicas": 2}"#);
    let replicas = || select(super::build::object(), "replicas");
    assert_eq!(
        world.show(call!(Equal, call!(TypeOf, replicas()), Expr::Const(Const::Type("int".into())))),
        "true"
    );
}

#[test]
fn patterns_are_re2_s() {
    let matches = |text: &str, pattern: &str| show(call!(MatchesDynamic, text, pattern));
    assert_eq!(matches("hello", "l+"), "true");
    assert_eq!(matches("hello", "^l"), "false");
    // `\d` is ASCII in RE2: it must not match a Unicode digit.
    assert_eq!(matches("\u{661}", r"^\d$"), "false");
    assert_eq!(matches("\u{661}", r"^[\d]$"), "false");
    assert_eq!(matches("\u{661}", r"^\D$"), "true");
    // A class in a class begins no range, as in Go's `regexp`.
    for (text, pattern, is_match) in [
        ("a$(b)", r"^[\w\s-.]+$", "false"),
        ("a-b. c", r"^[\w\s-.]+$", "true"),
        ("A0!", r"^[\s-a-z]+$", "false"),
        ("a-b", r"^[\w-z]+$", "true"),
        ("`", r"^[\w-z]+$", "false"),
        ("5-a", r"^[\w-\d]+$", "true"),
        ("-4", r"^[-\d]+$", "true"),
        ("4-", r"^[\d-]+$", "true"),
        ("/", r"^[\d--:]$", "true"),
    ] {
        assert_eq!(matches(text, pattern), is_match, "{text} {pattern}");
    }
    assert!(matches("5", r"^[!-\d]$").contains("unknown escape"), "{}", matches("5", r"^[!-\d]$"));
    assert_eq!(matches("é", r"^\w$"), "false");
    assert_eq!(matches("a b", r"^\w\s\w$"), "true");
    assert_eq!(matches("\u{b}", r"\s"), "false");
    assert_eq!(matches("éa", r"\ba"), "true");
    assert_eq!(matches("[", "^[[]$"), "true");
    assert_eq!(matches("&", "^[a&&b]$"), "true");
    assert_eq!(matches("]", "^[]]$"), "true");
    assert_eq!(matches("x", "^[^]]$"), "true");
    assert_eq!(matches("a.b", r"^\Qa.b\E$"), "true");
    assert_eq!(matches("Q", "^[[:upper:]]$"), "true");
    // `\B` uses ASCII words too, and escapes that only the crate has are invalid.
    assert_eq!(matches("aé", r"a\Bé"), "false");
    assert_eq!(matches("éé", r"é\Bé"), "true");
    assert_eq!(matches("<a>", r"^\<a\>$"), "true");
    assert_eq!(matches("a_b", r"^a\_b\x2e?$"), "true");
    assert!(matches("A", r"\u0041").starts_with("error: unknown escape `\\u`"));
    assert!(matches("a", r"\ba\b{start}").starts_with("error: invalid pattern"));
    assert!(matches("a", "(?x)a b").starts_with("error: unknown flag `x`"));
    assert!(matches("a", "(").starts_with("error: invalid pattern"));
    assert!(matches("a", "(a{1000}){1000}").contains("compiled pattern would be larger"));
    assert_eq!(show(call!(Find, "abc 123", "[0-9]*$")), "123");
    assert_eq!(show(call!(Find, "abc", "[0-9]+")), "");
    assert_eq!(show(call!(FindAll, "123 abc 456", "[0-9]+")), "[123, 456]");
    assert_eq!(show(call!(FindAll, "1 2 3", "[0-9]", 2_i64)), "[1, 2]");
    assert_eq!(show(call!(FindAll, "1 2 3", "[0-9]", 0_i64)), "[]");
    // Computed patterns are smaller, and compiling them is not free.
    assert!(matches("a", r"(?i)\pL{20}").contains("larger than 131072 bytes"));
    let many = Expr::Or((0..500).map(|_| call!(MatchesDynamic, "b", "a")).collect());
    assert_eq!(show(many), "error: the expression cost more than its budget");
    let long = "a".repeat(100_000);
    assert_eq!(show(call!(FindAll, long.as_str(), "a")), "error: the expression cost more than its budget");
}

#[test]
fn times_are_those_of_go() {
    let timestamp = |text: &str| call!(ToTimestamp, text);
    let at = || timestamp("2009-02-13T23:31:30.123456789Z");
    assert_eq!(show(call!(GetFullYear, at())), "2009");
    assert_eq!(show(call!(GetMonth, at())), "1");
    assert_eq!(show(call!(GetDate, at())), "13");
    assert_eq!(show(call!(GetDayOfMonth, at())), "12");
    assert_eq!(show(call!(GetDayOfWeek, at())), "5");
    assert_eq!(show(call!(GetDayOfYear, at())), "43");
    assert_eq!(show(call!(GetMilliseconds, at())), "123");
    assert_eq!(show(call!(GetDate, at(), "Australia/Sydney")), "14");
    assert_eq!(show(call!(GetMinutes, at(), "Asia/Kathmandu")), "16");
    assert_eq!(show(call!(GetHours, at(), "-02:30")), "21");
    assert_eq!(show(call!(GetMinutes, at(), "-02:30")), "1");
    assert_eq!(show(call!(GetHours, at(), "Nowhere/City")), "error: unknown time zone `Nowhere/City`");
    assert_eq!(show(call!(ToString, timestamp("2009-02-13T23:31:30+01:00"))), "2009-02-13T22:31:30Z");
    assert_eq!(show(call!(ToInt, at())), "1234567890");
    let last = || timestamp("9999-12-31T23:59:59.999999999Z");
    assert_eq!(show(call!(ToString, last())), "9999-12-31T23:59:59.999999999Z");
    assert_eq!(show(call!(GetDate, last())), "31");
    assert_eq!(show(call!(GetDate, last(), "America/New_York")), "31");
    assert_eq!(show(call!(GetDate, last(), "+01:00")), "error: timestamp overflow");
    assert_eq!(show(call!(ToString, timestamp("1969-12-31T23:59:59.5Z"))), "1969-12-31T23:59:59.5Z");
    assert_eq!(show(call!(ToInt, timestamp("0001-01-01T00:00:00Z"))), "-62135596800");
    for text in [
        "2009-02-13",
        "2009-02-13 23:31:30Z",
        "2009-02-13t23:31:30Z",
        "2009-02-13T23:31:30",
        "0000-01-01T00:00:00Z",
        "2009-02-30T00:00:00Z",
        "2009-02-13T23:31:60Z",
        "2009-02-13T23:31:30Z[UTC]",
        "10000-01-01T00:00:00Z",
    ] {
        assert!(show(timestamp(text)).starts_with("error: "), "{text}");
    }
    assert!(
        show(call!(Add, timestamp("9999-12-31T23:59:59Z"), call!(ToDuration, "1s"))).contains("overflow")
    );
    assert_eq!(
        show(call!(Subtract, timestamp("2009-02-13T23:31:30Z"), timestamp("2009-02-13T23:31:00Z"))),
        "30s"
    );
    for (text, nanos) in [
        ("1h30m", 5_400_000_000_000_i64),
        ("-1.5s", -1_500_000_000),
        ("100ms", 100_000_000),
        ("0", 0),
        ("1us1ns", 1_001),
    ] {
        assert_eq!(show(call!(ToInt, call!(ToDuration, text))), nanos.to_string());
    }
    for text in ["", "1", "s", "1d", ".s", "1h-1m", "300y", "9223372036855s", "99999999999999999999h"] {
        assert!(show(call!(ToDuration, text)).starts_with("error: "), "{text}");
    }
    assert_eq!(show(call!(GetHours, call!(ToDuration, "10000s"))), "2");
    assert_eq!(show(call!(GetMilliseconds, call!(ToDuration, "123.321456789s"))), "123321");
}

fn asks_the_authorizer(function: crate::ir::Func) -> bool {
    use crate::ir::Func as F;
    matches!(function, F::Path | F::Group | F::ServiceAccount | F::Resource | F::Subresource | F::InNamespace)
        || matches!(function, F::Named | F::FieldSelector | F::LabelSelector | F::Check)
        || matches!(function, F::Allowed | F::Errored | F::ErrorOf | F::Reason)
}

/// Every function has an implementation: with arguments that it accepts, none falls through to "no such
/// overload".
#[test]
fn every_function_is_reached() {
    use crate::ir::Func;
    let samples: Vec<Vec<Expr>> = {
        let list = || [1_i64, 2].expr();
        let texts = || ["a", "b"].expr();
        let ip = || call!(Ip, "10.0.0.1");
        let cidr = || call!(Cidr, "10.0.0.0/8");
        let time = || call!(ToTimestamp, 0_i64);
        let url = || call!(Url, "/a");
        let semver = || call!(Semver, "1.2.3");
        let one = [
            1_i64.expr(),
            1.5.expr(),
            true.expr(),
            "a".expr(),
            "1".expr(),
            "1s".expr(),
            "1970-01-01T00:00:00Z".expr(),
            "true".expr(),
            "10.0.0.1".expr(),
            "10.0.0.0/8".expr(),
            "YQ==".expr(),
            list(),
            texts(),
            ip(),
            cidr(),
            time(),
            quantity("1"),
            call!(OptionalOf, 1_i64),
            [call!(OptionalOf, 1_i64)].expr(),
            call!(ToBytes, "a"),
            "/a".expr(),
            "1.2.3".expr(),
            url(),
            semver(),
        ];
        let two = [
            [1_i64.expr(), 2_i64.expr()],
            ["a".expr(), "b".expr()],
            [list(), list()],
            [1_i64.expr(), list()],
            [list(), 1_i64.expr()],
            ["a".expr(), 0_i64.expr()],
            [cidr(), ip()],
            [cidr(), cidr()],
            [quantity("1"), quantity("2")],
            [call!(OptionalOf, 1_i64), call!(OptionalOf, 1_i64)],
            ["%d%d".expr(), list()],
            [call!(Value, call!(FormatNamed, "uri")), "/a".expr()],
        ];
        let three = [["a".expr(), "b".expr(), "c".expr()], [list(), 0_i64.expr(), 1_i64.expr()]];
        std::iter::once(vec![])
            .chain(one.map(|arg| vec![arg]))
            .chain(two.map(Vec::from))
            .chain(three.map(Vec::from))
            .collect()
    };
    // No expression makes a shell command line: `super::opaque` has its tests. The same is true of an
    // authorizer, whose tests are those of admission.
    let apart = |function: &Func| *function == Func::OnlyRuns || asks_the_authorizer(*function);
    for function in Func::ALL.iter().filter(|function| !apart(function)) {
        let reached =
            samples.iter().any(|args| !show(Expr::Call(*function, args.clone())).starts_with("error: "));
        assert!(reached, "{}", function.name());
    }
}
