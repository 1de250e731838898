//! Outlines of valid texts and of texts that are being written.

use super::*;

/// A tree on one line: `{key: 'text', list: [..], half~}`.
fn shown(node: &Node, text: &str) -> String {
    match &node.value {
        Value::Absent => "-".to_owned(),
        Value::Scalar(_) => format!("'{}'", node.text(text).unwrap()),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|item| shown(item, text)).collect::<Vec<_>>().join(", "))
        }
        Value::Map(map) => {
            let member = |entry: &Entry| match entry.has_colon {
                true => format!("{}: {}", entry.key, shown(&entry.value, text)),
                false => format!("{}~", entry.key),
            };
            format!("{{{}}}", map.entries.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}

fn check(text: &str, expected: &str) {
    let outline = Outline::read(text);
    let all: Vec<_> = outline.documents.iter().map(|root| shown(root, text)).collect();
    assert_eq!(all.join(" --- "), expected, "{text}");
}

#[test]
fn good_texts() {
    check(
        "a: 1\nb:\n  c: x y # no\n  d:\n  - e\n  - f: g\n    h: i\n",
        "{a: '1', b: {c: 'x y', d: ['e', {f: 'g', h: 'i'}]}}",
    );
    check("- a\n- - b\n  - c\n-\n  d: e\n", "['a', ['b', 'c'], {d: 'e'}]");
    check("{a: [b, {c: 'd'}], \"e f\": g, h: }", "{a: ['b', {c: 'd'}], e f: 'g', h: -}");
    check("a: {b: c,\n  d: [e,\n  f]}\ng: h", "{a: {b: 'c', d: ['e', 'f']}, g: 'h'}");
    check("a: |\n  x: y\n    z\n\nb: >-\n  one\n  two\n", "{a: 'x: y\n  z\n\n', b: 'one two '}");
    check("a: \"x\\n\\u00e4\\\"\"\nb: 'it''s'\n", "{a: 'x\nä\"', b: 'it's'}");
    check("a: one\n  two\nb: \"x\n  y\"\n", "{a: 'one two', b: 'x y'}");
    check("---\na: b\n---\nc: d\n...\n", "{a: 'b'} --- {c: 'd'}");
    check("\u{feff}a: &x b\r\nc: !t\r\n  d: e\r\n", "{a: 'b', c: {d: 'e'}}");
    check("a.b/c: d:e\nurl: http://x:1/y#z\n", "{a.b/c: 'd:e', url: 'http://x:1/y#z'}");
    check("", "");
}

#[test]
fn texts_that_are_being_written() {
    check("a: b\nha\n", "{a: 'b', ha~}");
    check("ha\na: b\n", "{ha~, a: 'b'}");
    check("a:\n  b: c\n  ha\nd: e\n", "{a: {b: 'c', ha~}, d: 'e'}");
    check("a:\n  ha\n  b: c\nd: e\n", "{a: {ha~, b: 'c'}, d: 'e'}");
    check("a:\n- b: c\n  ha\n- d: e\n", "{a: [{b: 'c', ha~}, {d: 'e'}]}");
    check("a: [b, c\nd: e\n", "{a: ['b', 'c'], d: 'e'}");
    check("a: {b: c, ha\nd: e\n", "{a: {b: 'c', ha~}, d: 'e'}");
    check("a: \"b\nc: d\n", "{a: 'b', c: 'd'}");
    check("a: {b: \"c, d: e}\nf: g\n", "{a: {b: 'c, d: e}'}, f: 'g'}");
    check("a:\n    b: c\n  d: e\nf: g\n", "{a: {b: 'c', d: 'e'}, f: 'g'}");
    check("a:\n- b\n c: d\ne: f\n", "{a: [{b~, c: 'd'}], e: 'f'}");
    check("a: ]}\nb: c\n", "{a: ']}', b: 'c'}");
    check("]}\nb: c\n", "{]}~, b: 'c'}");
}

#[test]
fn each_offset_has_a_path() {
    let text = "spec:\n  tools:\n    rules:\n    - {name: a, when: \"call.x\"}\n";
    let outline = Outline::read(text);
    let at = |needle: &str| {
        let spot = outline.at(text.find(needle).unwrap()).unwrap();
        bailiwick_compiler::diagnostic::FieldPath::from(spot.path).to_string()
    };
    assert_eq!(at("rules"), "spec.tools.rules");
    assert_eq!(at("a,"), "spec.tools.rules[0].name");
    assert_eq!(at("call"), "spec.tools.rules[0].when");
}

#[test]
fn a_text_of_nothing_but_brackets_or_quotes_costs_no_more_than_its_length() {
    for piece in [
        "[", "{", "- ", "a:\n ", "\"\n", "- \"\n", "[\"\n", "'", "? ", "&a ", "!", "|\n", "a: [", "]", "{a: ",
    ] {
        let text = piece.repeat(100_000);
        let _ = Outline::read(&text);
    }
}

#[test]
fn of_good_packs_it_reads_what_the_compiler_reads() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy-packs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path().join("pack.yaml")).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let limits = bailiwick_compiler::yaml::Limits::PACK;
        let (documents, _, _) = bailiwick_compiler::yaml::documents(0, "pack.yaml", text.as_bytes(), &limits);
        let outline = Outline::read(&text);
        assert_eq!(documents.len(), outline.documents.len());
        for (strict, lenient) in documents.iter().zip(&outline.documents) {
            same(strict, lenient, &text);
        }
    }
}

fn same(strict: &bailiwick_compiler::yaml::Node, lenient: &Node, text: &str) {
    use bailiwick_compiler::yaml::Value as Strict;
    match &strict.value {
        Strict::Map(entries) => {
            let keys: Vec<_> = lenient.entries().iter().map(|entry| entry.key.as_str()).collect();
            assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), keys);
            for (a, b) in entries.iter().zip(lenient.entries()) {
                assert_eq!(a.key_span.range(), b.key_span, "{}", a.key);
                same(&a.value, &b.value, text);
            }
        }
        Strict::List(items) => {
            assert_eq!(items.len(), lenient.items().len());
            items.iter().zip(lenient.items()).for_each(|(a, b)| same(a, b, text));
        }
        // Editors do not ask how a block ends (`>-`, `|+`).
        Strict::Str(expected) => {
            assert_eq!(
                lenient.text(text).map(|text| text.trim_end().to_owned()).as_deref(),
                Some(expected.trim_end())
            );
        }
        _ => assert!(matches!(lenient.value, Value::Absent | Value::Scalar(_))),
    }
}
