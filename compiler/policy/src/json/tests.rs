//! The tree and its two readers: types of numbers, duplicate keys, borrowed strings, large objects.

use super::*;

#[test]
fn integers_are_int_fractions_are_double_and_larger_ones_are_refused() {
    assert_eq!(
        Json::parse(b"[1, -1, 1.0, 1e2]").unwrap().items(),
        [Json::Int(1), Json::Int(-1), Json::Double(1.0), Json::Double(100.0)]
    );
    assert!(Json::parse(b"9223372036854775808").is_err());
}

#[test]
fn integers_beyond_every_integer_type_are_refused_and_doubles_as_large_are_not() {
    for text in
        ["18446744073709551616", "-9223372036854775809", r#"{"a": ["\\\"", 1e30, 99999999999999999999]}"#]
    {
        let error = Json::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("is beyond 64 bits"), "{text}: {error}");
    }
    assert_eq!(Json::parse(b"1e30").unwrap(), Json::Double(1e30));
    assert_eq!(Json::parse(br#"[18446744073709551616.0, "18446744073709551616"]"#).unwrap().items().len(), 2);
    assert!(serde_json::from_str::<Json>("18446744073709551616").is_err());
}

#[test]
fn objects_of_many_members_are_objects_like_others() {
    let member = |at: usize| format!("\"key{}\": {at}", at * 7919 % 100_000);
    let text = (0..100_000).map(member).collect::<Vec<_>>().join(",");
    let mut json = Json::parse(format!("{{{text}}}").as_bytes()).unwrap().into_owned();
    assert_eq!(json.get("key7919"), Some(&Json::Int(1)));
    assert_eq!(json.get("key100000"), None);
    let Json::Map(map) = &mut json else { panic!("an object") };
    assert_eq!(map.at(1), Some(("key7919", &Json::Int(1))));
    assert_eq!(map.insert("key7919".into(), Json::Null), Some(Json::Int(1)));
    assert_eq!(map.insert("new".into(), Json::Int(5)), None);
    assert_eq!(map.remove("key0"), Some(Json::Int(0)));
    assert_eq!(map.get("key0"), None);
    assert_eq!(map.get("new"), Some(&Json::Int(5)));
    assert_eq!(map.get("key7919"), Some(&Json::Null));
    assert_eq!(map.len(), 100_000);
    let repeated = format!("{{{text}, \"key5\": 0}}");
    assert!(Json::parse(repeated.as_bytes()).unwrap_err().to_string().contains("duplicate key `key5`"));
}

#[test]
fn duplicate_keys_are_refused_and_order_does_not_matter_for_equality() {
    assert!(Json::parse(br#"{"a": 1, "a": 2}"#).is_err());
    assert!(Json::parse(br#"{"a": 1, "\u0061": 2}"#).is_err());
    let many = |last: usize| {
        let members: Vec<_> = (0..last).map(|at| format!("\"k{at}\":{at}")).collect();
        format!("{{{},\"k3\":0}}", members.join(","))
    };
    assert!(Json::parse(many(3).as_bytes()).is_ok());
    for count in [4, 31, 32, 33, 100_000] {
        let error = Json::parse(many(count).as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("duplicate key `k3`"), "{count}: {error}");
    }
    assert_eq!(Json::parse(br#"{"a": 1, "b": 2}"#).unwrap(), Json::parse(br#"{"b": 2, "a": 1}"#).unwrap());
}

#[test]
fn strings_are_borrowed_unless_escaped() {
    let json = Json::parse(br#"{"plain": "x", "escaped": "\n"}"#).unwrap();
    assert!(matches!(json.get("plain"), Some(Json::Str(Cow::Borrowed("x")))));
    assert!(matches!(json.get("escaped"), Some(Json::Str(Cow::Owned(_)))));
}

/// The fast reader must give what the general one gives; returns whether it gave anything.
fn read_by_both(text: &[u8]) -> bool {
    let general = Json::parse_generally(text);
    let Some(ordinary) = Json::parse_ordinary(text) else { return false };
    let general = general.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)));
    assert_eq!(ordinary, general, "{}", String::from_utf8_lossy(text));
    // Equality of objects ignores the order of members, and equality of doubles the sign of zero; the text
    // shows both.
    assert_eq!(serde_json::to_string(&ordinary).unwrap(), serde_json::to_string(&general).unwrap());
    true
}

#[test]
fn ordinary_text_is_read_as_by_the_general_reader() {
    for text in [
        r#"{"a": [1, -2, 0, true, false, null, {}, [], "x"], "b": {"c": "\u00e9\"\\"}, "": "eight by", "n": 123456789012345678}"#,
        " [ 1.5 , 1e3 , -0 , 9223372036854775807 , -9223372036854775808 ] ",
        r#""a string longer than eight bytes, with \n escapes \ud83d\ude00 and é""#,
        "0",
    ] {
        assert!(read_by_both(text.as_bytes()), "{text}");
    }
}

#[test]
fn what_is_not_json_is_left_to_the_general_reader() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\" 1}",
        "{a:1}",
        "[1 2]",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "--1",
        "1-1",
        "tru",
        "nul",
        "[1]]",
        "1 2",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\u{1}\"",
        "\"\\\"",
        "{\"a\":1,\"a\":2}",
        "9223372036854775808",
        "[}",
        "{]",
        "1e999",
    ] {
        assert!(Json::parse_ordinary(text.as_bytes()).is_none(), "{text}");
        assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
    }
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Json::parse_ordinary(nested(100).as_bytes()).is_some());
    for (depth, is_read) in [(101, true), (127, true), (128, false), (100_000, false)] {
        assert!(Json::parse_ordinary(nested(depth).as_bytes()).is_none());
        assert_eq!(Json::parse(nested(depth).as_bytes()).is_ok(), is_read, "{depth}");
    }
    assert!(Json::parse_ordinary(b"\"\xff\"").is_none());
}

proptest::proptest! {
    /// Pieces of JSON in any order, and JSON with a byte changed: the fast reader reads nothing that the
    /// general reader rejects or reads differently.
    #[test]
    fn no_text_is_read_otherwise_than_by_the_general_reader(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..24),
        at in 0_usize..64,
        byte in proptest::prelude::any::<u8>(),
    ) {
        let text = pieces.concat();
        read_by_both(text.as_bytes());
        let mut whole = format!(r#"{{"k": [{{"a": "text \u00e9 of it", "b": 12}}, {text} -3.5e2, true], "l": null}}"#).into_bytes();
        read_by_both(&whole);
        if let Some(place) = whole.get_mut(at) {
            *place = byte;
        }
        read_by_both(&whole);
    }
}

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\"",
    "\"a\"",
    "\"a\":",
    "\"b\": 1,",
    "\\",
    "\\u0041",
    "\\ud83d",
    "0",
    "-",
    "1",
    "12345678",
    ".",
    "e",
    "+",
    "true",
    "null",
    "é",
    "\t",
    "\u{1}",
    "[]",
    "{}",
    "\"longer than eight\"",
];
