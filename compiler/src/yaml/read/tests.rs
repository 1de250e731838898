//! What texts are read as, and what is refused with which place.

use super::*;
use expect_test::{Expect, expect};

fn check(text: &[u8], expected: &Expect) {
    let (nodes, source, diagnostics) = documents(0, "x.yaml", text, &Limits::PACK);
    let mut out = String::new();
    for node in &nodes {
        out.push_str(&format!("{}\n", node.to_json()));
    }
    for diagnostic in &diagnostics {
        let place = diagnostic.place.clone().expect("has a place");
        let (line, column) = crate::yaml::line_and_column(&source.text, place.bytes.start);
        let shown = source.text.get(place.bytes).unwrap_or_default();
        out.push_str(&format!("{line}:{column} {shown:?} {diagnostic}\n"));
    }
    expected.assert_eq(&out);
}

#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    check(
        b"a: 0644\nb: on\nc: y\nd: 'on'\ne: 0x10\nf: 1_000\ng: 1e3\nh: 1.5\ni: ~\nj:\nk: tRuE\nl: 2001-01-01\nm: 1.10\nn: 0o14\no: !!str 12\n",
        &expect![[r#"
            {"a":420,"b":true,"c":true,"d":"on","e":16,"f":1000,"g":1000,"h":1.5,"i":null,"j":null,"k":"tRuE","l":"2001-01-01","m":1.1,"n":12,"o":"12"}
            14:1 "n" error[BW0106] at n: key `n` is a boolean in YAML: kubectl reads it as `"false"`
              help: write `"n"`
        "#]],
    );
}

#[test]
fn anchors_merges_and_several_documents() {
    check(
        b"a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n---\n---\ne: *x\n",
        &expect![[r#"
            5:4 "*x" error[BW0101]: not valid YAML: alias references unknown anchor
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n---\n---\ne: 1\n",
        &expect![[r#"
        {"a":{"b":1,"c":2},"d":{"b":1,"c":3}}
        {"e":1}
    "#]],
    );
}

/// kubectl takes members in the order of the text, so that those of a `<<` replace what stands before it.
#[test]
fn a_key_before_a_merge_of_it_is_refused() {
    check(
        b"d: {c: 3, <<: {c: 2}}\n",
        &expect![[r#"
        1:5 "c" error[BW0102] at d.c: key `c` stands before a `<<` that brings it too: to kubectl it has the value that comes from there
          help: write `<<` before it
    "#]],
    );
    check(
        b"d: {c: [3], <<: {b: 1, c: [3]}}\n",
        &expect![[r#"
        {"d":{"b":1,"c":[3]}}
    "#]],
    );
    check(
        b"a: &a {b: 1, c: 1}\nd: &d {<<: *a, b: 2}\ne: {<<: [*d, *a, {f: 9}], f: 3}\n",
        &expect![[r#"
            {"a":{"b":1,"c":1},"d":{"b":2,"c":1},"e":{"b":2,"c":1,"f":3}}
        "#]],
    );
    check(
        b"a: {<<: {b: 1}, <<: {b: 2}}\n",
        &expect![[r#"
        1:17 "<<" error[BW0102]: key `<<` stands here twice
          help: keep one of them: readers disagree about which one counts
    "#]],
    );
    check(
        b"a: {\"<<\": {b: 1}, b: 2}\n",
        &expect![[r#"
        {"a":{"<<":{"b":1},"b":2}}
    "#]],
    );
    check(
        b"a: {<<: [{b: 1}, 2]}\nc: {<<: }\n",
        &expect![[r#"
        1:5 "<<" error[BW0101] at a['<<']: `<<` takes an object or a list of them, not an integer
          help: name an object: `<<: *anchor`
        2:5 "<<" error[BW0101] at c['<<']: `<<` takes an object or a list of them, not null
          help: name an object: `<<: *anchor`
    "#]],
    );
}

#[test]
fn words_that_only_kubectl_reads_as_numbers_are_refused() {
    check(
        b"a: 0_\nb: '0_'\nc: {1_000: x, 80: y, '1_0': z}\nd: [1_0.5, 1_2_x]\n",
        &expect![[r#"
        {"a":"0_","b":"0_","c":{"1_0":"z","1_000":"x","80":true},"d":["1_0.5","1_2_x"]}
        1:4 "0_" error[BW0106] at a: `0_` is a number to kubectl and a text to other readers
          help: take the `_` away, or put a text in quotes
        3:5 "1_000" error[BW0106] at c.1_000: key `1_000` is a number in YAML: kubectl writes it in another way
          help: write `"1_000"`
        4:5 "1_0.5" error[BW0106] at d[0]: `1_0.5` is a number to kubectl and a text to other readers
          help: take the `_` away, or put a text in quotes
    "#]],
    );
}

#[test]
fn tags_make_booleans_of_texts() {
    check(
        b"a: !!bool \"true\"\nb: !!bool 'off'\nc: !!bool on\nd: !!str on\ne: &e tRuE\nf: *e\ng: &g True\nh: *g\n",
        &expect![[r#"
            {"a":true,"b":false,"c":true,"d":"on","e":"tRuE","f":"tRuE","g":true,"h":true}
        "#]],
    );
}

#[test]
fn what_is_refused_has_a_place() {
    check(
        b"a: 1\nb: 2\na: 3\n",
        &expect![[r#"
        3:1 "a" error[BW0102]: key `a` stands here twice
          help: keep one of them: readers disagree about which one counts
    "#]],
    );
    check(
        b"a: [1, 2\nb: 3\n",
        &expect![[r#"
            2:2 ": 3" error[BW0101]: not valid YAML: illegal placement of ':' indicator
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"a:\n\t- b\n",
        &expect![[r#"
            2:2 "- b" error[BW0101]: not valid YAML: tabs disallowed within this context (block indentation)
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"a: b: c\n",
        &expect![[r#"
            1:5 ": c" error[BW0101]: not valid YAML: mapping values are not allowed in this context
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"a: 9223372036854775808\n",
        &expect![[r#"
            1:4 "9223372036854775808" error[BW0101]: not valid YAML: integer `9223372036854775808` is beyond 64 bits with sign
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"on: 1\n'off': 2\n",
        &expect![[r#"
        {"off":2,"on":1}
        1:1 "on" error[BW0106] at on: key `on` is a boolean in YAML: kubectl reads it as `"true"`
          help: write `"on"`
    "#]],
    );
}

#[test]
fn what_json_cannot_say_is_refused() {
    check(
        b"a: caf\xe9\n",
        &expect![[r#"
        1:1 "" error[BW0105]: `x.yaml` is not UTF-8: byte 6 is 0xe9
          help: save the file as UTF-8
    "#]],
    );
    check(
        b"a: *nowhere\n",
        &expect![[r#"
            1:4 "*nowhere" error[BW0101]: not valid YAML: alias references unknown anchor
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"a: !wat 1\n",
        &expect![[r#"
            1:9 "1" error[BW0101]: not valid YAML: unsupported tag `!wat`
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"a: .inf\n",
        &expect![[r#"
            1:4 ".inf" error[BW0101]: not valid YAML: non-finite float `.inf` rejected by the configured policy
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"? [a, b]\n: 1\n",
        &expect![[r#"
            1:3 "[" error[BW0101]: not valid YAML: expected string scalar
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
    check(
        b"a: \"\\ud800\"\n",
        &expect![[r#"
            1:4 "\"\\ud800\"" error[BW0101]: not valid YAML: while parsing a quoted scalar, found high surrogate without following low surrogate
              help: fix the syntax at this place: close brackets and quotes, indent with spaces, quote texts with `: ` in them
        "#]],
    );
}

#[test]
fn a_byte_order_mark_shifts_no_place() {
    check(
        "\u{feff}on: 1\nb: 2\nb: 3\n".as_bytes(),
        &expect![[r#"
        3:1 "b" error[BW0102]: key `b` stands here twice
          help: keep one of them: readers disagree about which one counts
    "#]],
    );
    check(
        "\u{feff}on: 1\n".as_bytes(),
        &expect![[r#"
        {"on":1}
        1:2 "on" error[BW0106] at on: key `on` is a boolean in YAML: kubectl reads it as `"true"`
          help: write `"on"`
    "#]],
    );
}

#[test]
fn bombs_are_refused() {
    let (_, _, diagnostics) = documents(0, "x.yaml", "[".repeat(100_000).as_bytes(), &Limits::PACK);
    assert_eq!(diagnostics[0].code.id(), "BW0103");
    let (_, _, diagnostics) = documents(0, "x.yaml", "a:\n".repeat(100_000).as_bytes(), &Limits::PACK);
    assert!(!diagnostics.is_empty());
    let huge = vec![b'#'; Limits::PACK.bytes + 1];
    let (_, _, diagnostics) = documents(0, "x.yaml", &huge, &Limits::PACK);
    assert_eq!(diagnostics[0].code.id(), "BW0103");
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(",")));
    }
    let (nodes, _, diagnostics) = documents(0, "x.yaml", bomb.as_bytes(), &Limits::PACK);
    assert!(nodes.is_empty());
    assert_eq!(diagnostics[0].code.id(), "BW0103");
}

#[test]
fn every_node_knows_its_bytes() {
    let text = "a:\n  b: [x, 'y']\n  c: |\n    one\n    two\n  d: {e: \"f\"}\n  g:\n  - h: 1\n    i: 2\nj: plain  # comment\n";
    let (maps, _) = crate::yaml::SourceMap::read("x.yaml", text.as_bytes(), &Limits::PACK);
    let mut out = String::new();
    for path in
        ["a", "a.b", "a.b[1]", "a.c", "a.d", "a.d.e", "a.g", "a.g[0]", "a.g[0].i", "j", "a.nothing.here"]
    {
        let path: FieldPath = path.parse().expect("a path");
        let value = maps[0].place(&path, crate::diagnostic::About::Value, None).expect("a place");
        let key = maps[0].place(&path, crate::diagnostic::About::Key, None).expect("a place");
        out.push_str(&format!(
            "{path}: {:?} {:?}\n",
            text.get(key.bytes).unwrap_or_default(),
            text.get(value.bytes).unwrap_or_default()
        ));
    }
    expect![[r#"
        a: "a" "b: [x, 'y']\n  c: |\n    one\n    two\n  d: {e: \"f\"}\n  g:\n  - h: 1\n    i: 2"
        a.b: "b" "[x, 'y']"
        a.b[1]: "'y'" "'y'"
        a.c: "c" "one\n    two\n  "
        a.d: "d" "{e: \"f\"}"
        a.d.e: "e" "\"f\""
        a.g: "g" "h: 1\n    i: 2"
        a.g[0]: "h: 1\n    i: 2" "h: 1\n    i: 2"
        a.g[0].i: "i" "2"
        j: "j" "plain"
        a.nothing.here: "a" "a"
    "#]]
    .assert_eq(&out);
}
