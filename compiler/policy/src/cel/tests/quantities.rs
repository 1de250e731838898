//! Kubernetes quantities: read, written, compared and computed with as Go does.

use super::build::{call, over, slot};
use super::{Expr, MacroKind, show};

pub(super) fn quantity(text: &str) -> Expr {
    call!(Quantity, text)
}

#[test]
fn quantities_of_the_apiserver() {
    let not_one = |text: &str| show(quantity(text)).contains("is not a quantity");
    assert_eq!(show(quantity("12Mi")), "12Mi");
    assert!(not_one("10Mo"));
    assert!(not_one("10Mm"));
    for (text, is) in [("20", true), ("20M", true), ("20Mi", true), ("20Mo", false), ("10Mm", false)] {
        assert_eq!(show(call!(IsQuantity, text)), is.to_string(), "{text}");
    }
    assert_eq!(show(call!(IsQuantity, [1_i64, 2, 3])), "error: no such overload: isQuantity");
    for (left, right, equal) in [
        ("200M", "200M", true),
        ("200M", "0.2G", true),
        ("2M", "0.002G", true),
        ("2000k", "2M", true),
        ("0.002G", "2000k", true),
        ("200M", "0.3G", false),
    ] {
        assert_eq!(show(call!(Equal, quantity(left), quantity(right))), equal.to_string(), "{left} {right}");
    }
    for (left, right, order) in [
        ("50M", "50Mi", "-1"),
        ("50M", "100M", "-1"),
        ("100M", "50M", "1"),
        ("50Mi", "50M", "1"),
        ("150Mi", "100Mi", "1"),
        ("200M", "0.2G", "0"),
    ] {
        assert_eq!(show(call!(CompareTo, quantity(left), quantity(right))), order, "{left} {right}");
        assert_eq!(show(call!(IsLessThan, quantity(left), quantity(right))), (order == "-1").to_string());
        assert_eq!(show(call!(IsGreaterThan, quantity(left), quantity(right))), (order == "1").to_string());
    }
}

#[test]
fn quantity_arithmetic_of_the_apiserver() {
    let same = |left: Expr, right: &str| show(call!(Equal, left, quantity(right)));
    assert_eq!(same(call!(QuantityAdd, quantity("50k"), quantity("20")), "50.02k"), "true");
    assert_eq!(same(call!(QuantityAdd, quantity("50k"), 20_i64), "50020"), "true");
    assert_eq!(same(call!(QuantitySub, quantity("50k"), quantity("20")), "49.98k"), "true");
    assert_eq!(same(call!(QuantitySub, quantity("50k"), 20_i64), "49980"), "true");
    let less = || call!(QuantitySub, call!(QuantityAdd, quantity("50k"), 20_i64), quantity("100k"));
    assert_eq!(show(call!(AsInteger, less())), "-49980");
    assert_eq!(show(call!(AsInteger, call!(QuantitySub, less(), -50_000_i64))), "20");
    assert_eq!(show(call!(Sign, less())), "-1");
    assert_eq!(show(call!(AsInteger, quantity("50k"))), "50000");
    let huge = "9999999999999999999999999999999999999";
    assert_eq!(
        show(call!(AsInteger, quantity(&format!("{huge}G")))),
        "error: cannot convert value to integer"
    );
    assert_eq!(show(call!(IsInteger, quantity(&format!("{huge}G")))), "false");
    assert_eq!(show(call!(IsInteger, quantity("50"))), "true");
    assert_eq!(show(call!(AsApproximateFloat, quantity("50.703k"))), "50703");
    let plus = |by: &str| call!(QuantityAdd, slot(0), quantity(by));
    let apart = call!(Equal, call!(CompareTo, plus("1"), plus("2")), -1_i64);
    assert_eq!(show(over(MacroKind::All, [quantity(huge)], apart)), "true");
}

/// Agreement with `resource.ParseQuantity` where its reading is surprising. The first table was run through
/// apimachinery v0.37.1 (canonical text: after adding 0, which makes Go forget the original text); the bounds
/// at the end are ours.
#[test]
fn quantities_are_read_and_written_as_go_does() {
    for (text, written, integer) in [
        ("1500m", "1500m", None),
        ("0.5", "500m", None),
        ("1e3", "1e3", Some(1_000)),
        ("1E3", "1e3", Some(1_000)),
        ("1E", "1E", Some(1_000_000_000_000_000_000)),
        ("1.5Gi", "1536Mi", None),
        ("1Gi", "1Gi", Some(1 << 30)),
        ("0.1n", "1n", None),
        ("-0.1n", "-1n", None),
        ("16Ei", "9223372036854775807", None),
        ("+5", "5", Some(5)),
        (".5Gi", "512Mi", None),
        ("1.", "1", Some(1)),
        ("0.0", "0", None),
        ("2000m", "2", None),
    ] {
        assert_eq!(show(quantity(text)), written, "{text}");
        let expected = integer.map_or_else(
            || "error: cannot convert value to integer".to_owned(),
            |value: i64| value.to_string(),
        );
        assert_eq!(show(call!(AsInteger, quantity(text))), expected, "{text}");
    }
    for text in ["", " 1", "1 ", "1KI", "1ki", "0x10", "1e", "--1", "1_000", "١"] {
        assert_eq!(show(call!(IsQuantity, text)), "false", "{text:?}");
    }
    // Far apart, and hostile.
    let order = |left: &str, right: &str| show(call!(CompareTo, quantity(left), quantity(right)));
    assert_eq!(order("1e900", "1n"), "1");
    assert_eq!(order("-1e900", "1n"), "-1");
    assert_eq!(order("1e900", "2e900"), "-1");
    assert_eq!(order("1e100", "0"), "1");
    assert_eq!(show(call!(IsQuantity, "1e2147483647")), "false");
}
