//! The fuzz entry points under a mutating driver: seeds that are real packs, expressions and reviews, changed at random from fixed
//! seeds, so that a failure happens again. Some seconds of it; `cargo fuzz` drives the same entries for longer where it can be had.

use std::path::Path;

/// Mutants of each seed.
const MUTANTS: usize = 150;

/// xorshift64*: a generator whose sequence is fixed for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Pieces that parsers stumble over.
const PIECES: &[&[u8]] = &[
    b"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"&a [*a,*a]",
    b"<<: *a",
    b"---\n",
    b"((((((((",
    b"[[[[[[[[",
    b"{{{{{{{{",
    b"!!!!!!!!",
    b"a.b.c.d.e",
    b"9223372036854775808",
    b"-0",
    b"1e999",
    b".nan",
    b"0644",
    b"on: 1",
    b"${x}",
    b"'''",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"null",
    b"true || ",
    b".all(x, x",
    b".map(i, v, ",
    b"matches('(a*)*b')",
    b"\t",
    b"\r\n",
    b"|+\n  ",
    b"? ",
    b"%YAML 9.9\n",
    b"endless",
    b"$(",
    b"`",
    b"<<E\n",
    b"$((",
    b"\\",
    b"{a,b}",
    b"%2e",
    b"[::",
];

fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(64)).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.splice(at..end, [])),
            1 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            2 => {
                let piece = bytes[at..end].repeat(1 + random.below(16));
                bytes.splice(at..end, piece);
            }
            3 if at < bytes.len() => bytes[at] = (random.next() & 0xff) as u8,
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

fn drive(seeds: &[Vec<u8>], entry: fn(&[u8])) {
    assert!(!seeds.is_empty());
    let mut random = Random(0x1234_5678_9abc_def1);
    for seed in seeds {
        entry(seed);
        for _ in 0..MUTANTS {
            entry(&mutate(seed, &mut random));
        }
    }
}

fn packs() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy-packs");
    let entries = std::fs::read_dir(folder).expect("the packs");
    let texts = entries.filter_map(|entry| std::fs::read(entry.ok()?.path().join("pack.yaml")).ok());
    texts.collect()
}

#[test]
fn pack_text() {
    drive(&packs(), bailiwick_compiler::packs::fuzz);
}

#[test]
fn expressions() {
    let seeds = [
        "pod.mainContainers.all(c, 'memory' in c.?resources.?limits.orValue({}))",
        "object.metadata.labels.exists(k, v, k.startsWith('a') && v.matches('^[a-z]+$'))",
        "quantity('1Gi').isGreaterThan(quantity(params.max)) ? [1, 2.0, 3u].map(x, string(x)).join(',') : 'no'",
        "cel.bind(x, {'a': [?object.?spec.?b, b'\\x00']}, x.a.size() + 1 < 10 || !has(object.c))",
    ];
    drive(&seeds.map(|seed| seed.as_bytes().to_vec()), bailiwick_compiler::cel::fuzz);
}

#[test]
fn reviews() {
    let review = br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"group":"","version":"v1","kind":"Pod"},
        "resource":{"group":"","version":"v1","resource":"pods"},"namespace":"agents","operation":"CREATE","userInfo":{"username":"a"},
        "object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"app":"x"},"managedFields":[{}]},
        "spec":{"containers":[{"name":"c","image":"i","securityContext":{"privileged":true}}],"volumes":[{"name":"v","hostPath":{"path":"/"}}]}}}}"#;
    let update = String::from_utf8_lossy(review).replace("\"CREATE\"", "\"UPDATE\"").replace(
        "\"object\":",
        "\"oldObject\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{}},\"object\":",
    );
    drive(&[review.to_vec(), update.into_bytes()], bailiwick_policy::admission::fuzz);
}

/// Seeds that stand in the corpora of the facts: one text of each line, as JSON.
fn facts(kind: &str) -> Vec<Vec<u8>> {
    let corpora = ["evasions.txt", "benign.txt"].map(|name| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compiler/policy/tests/facts").join(name);
        std::fs::read_to_string(file).expect("the corpus")
    });
    let lines = corpora.iter().flat_map(|corpus| corpus.lines());
    let fields = lines.filter_map(|line| line.split_once('\t')).filter(|(of, _)| *of == kind);
    let texts = fields.filter_map(|(_, rest)| serde_json::from_str(rest.rsplit('\t').next()?).ok());
    texts.map(String::into_bytes).collect()
}

#[test]
fn command_lines() {
    drive(&facts("shell"), bailiwick_policy::facts::shell::fuzz);
}

#[test]
fn urls_paths_and_git() {
    drive(&facts("url"), bailiwick_policy::facts::url::fuzz);
    drive(&facts("path"), bailiwick_policy::facts::path::fuzz);
    drive(&facts("git"), bailiwick_policy::facts::git::fuzz);
}

#[test]
fn argument_schemas() {
    let seeds = [
        r#"[{"type": "object", "required": ["code"], "properties": {"code": {"type": "string", "maxLength": 9, "pattern": "^[a-z]+$"}}}, {"code": "abc"}]"#,
        r#"[{"type": "object", "properties": {"x": {"type": ["array", "null"], "items": {"enum": [1, 2.5, "a"]}, "uniqueItems": true, "maxItems": 3}}}, {"x": [1, "a", 1.0]}]"#,
    ];
    drive(&seeds.map(|seed| seed.as_bytes().to_vec()), bailiwick_policy::arguments::fuzz);
}

#[test]
fn tool_calls() {
    let text = br#"{"text": "git push --force origin 'a b' $X > /dev/null && curl http://2130706433/", "number": 7, "list": ["a", "ab"]}"#;
    let file = br#"{"path": "../src//a", "content": "aGVsbG8=", "encoding": "base64"}"#;
    let inputs = br#"{"call": {"id": "1", "session": "s", "subject": {"agent": "a", "user": "u", "namespace": "n"}, "call": {"tool": "argv",
        "args": {"text": "ls"}}}, "nowMs": 5, "session": {"openedMs": 1, "calls": 2, "generation": 3, "running": 0, "pending": 0},
        "tallies": {"counter/a/calls": {"sum": 4, "fallsAfterMs": 10}}, "pending": null, "approval": null}"#;
    drive(&[text.to_vec(), file.to_vec(), inputs.to_vec()], bailiwick_policy::tool::fuzz);
}

#[test]
fn audit_logs() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = bailiwick_audit::Options::default();
    let writer = bailiwick_audit::Writer::open(folder.path(), &options).expect("a log").0;
    let entry = bailiwick_audit::Entry {
        arguments: Some(serde_json::json!({"command": "ls"})),
        reason: Some("it is allowed".to_owned()),
        ..bailiwick_audit::Entry::default()
    };
    let intent = bailiwick_audit::Intent::from(entry.clone());
    let recorded = writer.append_intent((), intent).expect("an intent");
    writer.append_result(recorded.at(), entry, bailiwick_audit::Wait::Durable).expect("a result");
    writer.seal("drain").expect("a seal");
    let log = std::fs::read(folder.path().join("segments/00000001.jsonl")).expect("the segment");
    drive(&[log], bailiwick_audit::fuzz);
}
