//! Logs that no writer writes, with links and sums that hold: what a hostile writer could leave. Both verifiers say the
//! same of each, and a reader of records reads what they call good.

use std::path::Path;

use bailiwick_audit::{Hash, Known, fold, note};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::format::{Fixtures, has_python};
use crate::stage::{crc32, folder, verify, write_lines};

/// The private key of the crafted logs.
fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A line with its sum.
fn sealed(said: &str) -> String {
    format!("{said},\"sum\":\"{:08x}\"}}", crc32(said.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const NONCE: &str = "abababababababababababababababababababababababababababababababab";

/// A genesis with these members.
fn genesis(members: &str) -> String {
    let zero = Hash::ZERO;
    sealed(&format!("{{\"seq\":0,\"group\":0,\"prev\":\"{zero}\",\"kind\":\"genesis\",{members}"))
}

fn plain_genesis() -> String {
    let public = hex(key().verifying_key().as_bytes());
    genesis(&format!(
        "\"genesis\":{{\"format\":\"bailiwick.dev/audit/v1\",\"nonce\":\"{NONCE}\",\"public\":\"{public}\"}}"
    ))
}

/// The chain after these lines.
fn chain(lines: &[String]) -> Hash {
    lines.iter().fold(Hash::ZERO, |chain, line| chain.link(&Hash::leaf(line.as_bytes())))
}

/// Adds a record: `PREV` stands for the chain.
fn add(lines: &mut Vec<String>, said: &str) {
    let said = said.replace("PREV", &chain(lines).to_string());
    lines.push(sealed(&said));
}

/// The genesis and a record that begins with the usual envelope.
fn with(body: &str) -> Vec<String> {
    let mut lines = vec![plain_genesis()];
    add(&mut lines, &format!("{{\"seq\":1,\"group\":1,\"prev\":\"PREV\",\"kind\":{body}"));
    lines
}

/// The genesis and a checkpoint of it, whose note is made of what is signed and of the signature.
fn checkpointed(note: impl FnOnce(&str, &str, &str) -> String) -> Vec<String> {
    let first = plain_genesis();
    let leaf = Hash::leaf(first.as_bytes());
    let origin = format!("bailiwick.dev/log/{leaf}");
    let text = format!("{origin}\n1\n{}\n", STANDARD.encode(leaf.as_bytes()));
    let signed = key().sign(text.as_bytes()).to_bytes();
    let id = Hash::of(&[origin.as_bytes(), b"\n\x01", key().verifying_key().as_bytes()]);
    let signature = STANDARD.encode([&id.as_bytes()[..4], &signed].concat());
    let note = serde_json::to_string(&note(&text, &origin, &signature)).unwrap();
    let mut lines = vec![first];
    let body = format!("\"checkpoint\",\"open\":[],\"peaks\":[\"{leaf}\"],\"note\":{note}");
    add(&mut lines, &format!("{{\"seq\":1,\"group\":1,\"prev\":\"PREV\",\"kind\":{body}"));
    lines
}

/// What follows `"kind":`, and whether that is a good record.
const BODIES: &[(&str, bool)] = &[
    (r#""decision""#, true),
    (r#""decision","subject":null,"time":18446744073709551615"#, true),
    (r#""decision","rules":[-0.0,1e308,-1E-400,1e-07,1e-0,"\u001f\\\""]"#, true),
    (r#""decision","rules":1e309"#, false),
    (r#""decision","rules":-0"#, false),
    (r#""decision","rules":NaN"#, false),
    (r#""decision","rules":[1, 2]"#, false),
    (r#""decision" ,"tool":"x""#, false),
    (r#""decision","tool":"\u0041""#, false),
    (r#""decision","tool":"\/""#, false),
    (r#""decision","tool":"\ud83d\ude00""#, false),
    (r#""decision","tool":"\ud83d""#, false),
    (r#""decision","t\u006fol":"x""#, false),
    (r#""d\u0065cision""#, false),
    (r#""decision","tool":null"#, false),
    (r#""decision","tool":1"#, false),
    (r#""decision","time":-1"#, false),
    (r#""decision","time":true"#, false),
    (r#""decision","time":1.0"#, false),
    (r#""decision","time":18446744073709551616"#, false),
    (r#""decision","arguments":"dropped""#, true),
    (r#""decision","arguments":{"plain":null}"#, true),
    (r#""decision","arguments":["plain"]"#, false),
    (r#""decision","arguments":{"plain":1,"blob":1}"#, false),
    (r#""decision","arguments":null"#, false),
    (r#""decision","note":null"#, false),
    (r#""decision","seal":"x""#, false),
    (r#""recovered","recovered":{"cause":"open"}"#, true),
    (r#""recovered","recovered":{"cause":"open","lost":[]}"#, true),
    (r#""recovered","recovered":{"cause":"open","cuts":[[1,2,3,"NONCE"]]}"#, false),
    (
        r#""recovered","recovered":{"cause":"open","cuts":[{"segment":1,"offset":2,"bytes":3,"sha256":"NONCE"}]}"#,
        true,
    ),
    (
        r#""recovered","recovered":{"cause":"open","cuts":[{"segment":4294967296,"offset":2,"bytes":3,"sha256":"NONCE"}]}"#,
        false,
    ),
    (r#""recovered","recovered":{}"#, false),
    (r#""recovered","recovered":{"cause":"open","lost":null}"#, false),
    (r#""recovered","recovered":{"cause":"open","new":1}"#, false),
    (r#""recovered","recovered":["open"]"#, false),
    (r#""recovered","recovered":{"cause":"open"},"note":null"#, false),
    (r#""recovered","recovered":{"cause":"open"},"tool":null"#, false),
    (r#""recovered","recovered":{"cause":"open"},"usage":null"#, true),
    (r#""seal","seal":null"#, false),
    (r#""seal","seal":"x""#, true),
    (r#""seal""#, false),
];

/// Envelopes, and whether they are good.
const ENVELOPES: &[(&str, bool)] = &[
    (r#"{"seq":1,"group":1,"prev":"PREV","kind":"decision""#, true),
    (r#"{"seq":1,"group":0,"prev":"PREV","kind":"decision""#, true),
    (r#"{ "seq":1,"group":1,"prev":"PREV","kind":"decision""#, false),
    (r#"{"seq": 1,"group":1,"prev":"PREV","kind":"decision""#, false),
    (r#"{"seq":1,"group":1,"prev":"PREV","kind":"decision" "#, false),
    (r#"{"seq":1.0,"group":1,"prev":"PREV","kind":"decision""#, false),
    (r#"{"seq":true,"group":1,"prev":"PREV","kind":"decision""#, false),
    (r#"{"seq":1,"group":-0,"prev":"PREV","kind":"decision""#, false),
    (r#"{"group":1,"seq":1,"prev":"PREV","kind":"decision""#, false),
    (r#"{"seq":1,"group":1,"prev":"PREV","kind":"decision","sum":"00000000""#, false),
];

/// Records behind a genesis.
fn records() -> Vec<(Vec<String>, bool)> {
    let nested = |depth: usize| format!("\"decision\",\"rules\":{}1{}", "[".repeat(depth), "]".repeat(depth));
    let long = |digits: usize| format!("\"decision\",\"rules\":{}", "9".repeat(digits));
    let made = [(nested(126), true), (nested(127), false), (long(308), true), (long(309), false)];
    let given = BODIES.iter().map(|(body, good)| (body.replace("NONCE", NONCE), *good));
    given.chain(made).map(|(body, good)| (with(&body), good)).collect()
}

/// Records in other envelopes.
fn envelopes() -> Vec<(Vec<String>, bool)> {
    let log = |said| {
        let mut lines = vec![plain_genesis()];
        add(&mut lines, said);
        lines
    };
    ENVELOPES.iter().map(|(said, good)| (log(said), *good)).collect()
}

/// Beginnings, and what they say of keys.
fn beginnings() -> Vec<(Vec<String>, bool)> {
    let public = hex(key().verifying_key().as_bytes());
    // y = 1 is the neutral point; y = 2 is no point; y = p + 3 is a point in its second encoding.
    let encoded = |y: u8| hex(&[&[y][..], &[0; 31]].concat());
    let twice = hex(&[&[0xF0][..], &[0xFF; 30], &[0x7F]].concat());
    let fixed = format!("\"format\":\"bailiwick.dev/audit/v1\",\"nonce\":\"{NONCE}\"");
    let with_public = |public: &str| format!("\"genesis\":{{{fixed},\"public\":\"{public}\"}}");
    let with_origin =
        |origin: &str| format!("\"genesis\":{{{fixed},\"public\":\"{public}\",\"origin\":{origin}}}");
    let first = [
        (with_public(&public), true),
        (with_public(&public.to_uppercase()), false),
        (with_public(&encoded(1)), false),
        (with_public(&encoded(2)), false),
        (with_public(&twice), false),
        (with_origin("\"example.com/log\""), true),
        (with_origin("\"\""), false),
        (with_origin("\"a b\""), false),
        (with_origin("\"a+b\""), false),
        (with_origin("\"a\\u001bb\""), false),
        (with_origin(&format!("\"{}\"", "x".repeat(257))), false),
        (with_origin("null"), false),
        (with_origin("\"example.com/log\",\"more\":1"), false),
        (format!("\"genesis\":[\"bailiwick.dev/audit/v1\",\"{NONCE}\",\"{public}\"]"), false),
        (
            format!(
                "\"genesis\":{{\"format\":\"bailiwick.dev/audit/v2\",\"nonce\":\"{NONCE}\",\"public\":\"{public}\"}}"
            ),
            false,
        ),
        (format!("{},\"key\":null", with_public(&public)), false),
        ("\"tool\":\"x\"".to_owned(), false),
    ];
    first.into_iter().map(|(members, good)| (vec![genesis(&members)], good)).collect()
}

/// The Base64 of the same bytes with other bits behind the last.
fn with_loose_bits(text: &str) -> String {
    let (head, last) = text.trim_end_matches('=').split_at(text.trim_end_matches('=').len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    format!("{head}{next}{}", &text[head.len() + 1..])
}

/// Checkpoints and keys, signed.
fn signed() -> Vec<(Vec<String>, bool)> {
    let id = |note: &str| note.to_owned();
    let usual =
        |text: &str, origin: &str, signature: &str| format!("{text}\n\u{2014} {origin} {signature}\n");
    let with_key = |change: &dyn Fn(&str) -> String, public: [u8; 32]| {
        let mut lines = vec![plain_genesis()];
        let (log, prev) = (Hash::leaf(lines[0].as_bytes()), chain(&lines));
        let numbers = |number: u64| number.to_be_bytes();
        let message =
            [&b"bailiwick/key/v1\n"[..], log.as_bytes(), &numbers(1), prev.as_bytes(), &numbers(2), &public];
        let signature = change(&STANDARD.encode(key().sign(&message.concat()).to_bytes()));
        let (public, previous) = (hex(&public), hex(key().verifying_key().as_bytes()));
        let body = format!(
            "\"key\",\"key\":{{\"epoch\":2,\"public\":\"{public}\",\"previous\":\"{previous}\",\"signature\":\"{signature}\"}}"
        );
        add(&mut lines, &format!("{{\"seq\":1,\"group\":1,\"prev\":\"PREV\",\"kind\":{body}"));
        lines
    };
    let next = *SigningKey::from_bytes(&[8; 32]).verifying_key().as_bytes();
    let mut weak = [0; 32];
    weak[0] = 1;
    vec![
        (checkpointed(usual), true),
        (checkpointed(|text, origin, signed| usual(text, origin, &format!("{signed}\r"))), false),
        (checkpointed(|text, origin, signed| usual(text, origin, &format!("{signed} x"))), false),
        (checkpointed(|text, origin, signed| usual(text, origin, &signed.replace('=', ""))), false),
        (checkpointed(|text, origin, signed| usual(text, origin, &with_loose_bits(signed))), false),
        (checkpointed(|text, origin, signed| usual(text, &format!("{origin}x"), signed)), false),
        (checkpointed(|text, origin, signed| usual(text, origin, signed).trim_end().to_owned()), false),
        (checkpointed(|text, origin, signed| usual(text, origin, signed).repeat(2)), false),
        (with_key(&id, next), true),
        (with_key(&|signature| signature.replace("==", ""), next), false),
        (with_key(&|signature| format!("{signature} "), next), false),
        (with_key(&id, weak), false),
    ]
}

#[test]
fn both_verifiers_say_the_same_of_what_no_writer_writes() {
    if !has_python() {
        return;
    }
    let base = folder();
    for part in ["segments", "disclosures", "blobs"] {
        std::fs::create_dir(base.path().join(part)).unwrap();
    }
    let mut fixtures = Fixtures::of(base.path());
    let mut expected = Vec::new();
    for (lines, good) in [records(), envelopes(), beginnings(), signed()].concat() {
        let what = lines.last().cloned().unwrap_or_default();
        expected.push((what.clone(), good));
        fixtures.add(what, |dir| write_lines(dir, &lines));
    }
    for ((what, good), dir) in expected.iter().zip(fixtures.dirs()) {
        let report = verify(dir, &Known::default());
        // A first line that is none is what a crash may leave.
        let is_good = report.damage.is_none() && report.tails.is_empty();
        assert_eq!(is_good, *good, "{what}: {report:?}");
        assert_eq!(reads(dir), *good, "what is good can be read: {what}");
    }
    let compared = fixtures.compare(&note::verifier_key("log", &key().verifying_key()), &of_key());
    assert_eq!(compared, expected.len());
}

fn of_key() -> Known {
    Known { log_key: Some(key().verifying_key()), ..Known::default() }
}

/// Whether a fold reads every line of it.
fn reads(dir: &Path) -> bool {
    let mut records = 0;
    let whole = fold::<std::convert::Infallible>(dir, None, |_, _| {
        records += 1;
        Ok(())
    });
    let lines = std::fs::read_to_string(dir.join("segments/00000001.jsonl")).unwrap().lines().count();
    whole.is_ok() && records == lines
}

/// Whoever can write in the folder may add openings, and none of them may look like damage unless it is an opening.
#[test]
fn both_verifiers_skip_the_same_lines_beside_the_log() {
    if !has_python() {
        return;
    }
    let base = folder();
    for part in ["segments", "disclosures", "blobs"] {
        std::fs::create_dir(base.path().join(part)).unwrap();
    }
    let commitment = "cd".repeat(32);
    write_lines(
        base.path(),
        &with(&format!("\"decision\",\"arguments\":{{\"commitment\":\"{commitment}\"}}")),
    );
    let mut fixtures = Fixtures::of(base.path());
    let opening = |seq: &str, field: &str, text: &str| {
        format!("{{\"seq\":{seq},\"field\":{field},\"salt\":\"{commitment}\",\"text\":{text}}}")
    };
    let lines = [
        (opening("1", "\"arguments\"", "\"x\""), true),
        (format!(" {}\r", opening("1", "\"arguments\"", "\"x\"")), true),
        (opening("\"1\"", "\"arguments\"", "\"x\""), false),
        (opening("1.0", "\"arguments\"", "\"x\""), false),
        (opening("true", "\"arguments\"", "\"x\""), false),
        (opening("1", "7", "\"x\""), false),
        (opening("1", "\"arguments\"", "7"), false),
        (opening("1", "\"arguments\"", "\"\\ud800\""), false),
        (opening("1", "\"arguments\"", "\"x\",\"text\":\"y\""), false),
        (format!("\u{feff}{}", opening("1", "\"arguments\"", "\"x\"")), false),
        (format!("[1,\"arguments\",\"{commitment}\",\"x\"]"), false),
    ];
    let mut expected = Vec::new();
    for (line, opens) in lines {
        expected.push((line.clone(), opens));
        fixtures
            .add(line.clone(), |dir| std::fs::write(dir.join("disclosures/00000001.jsonl"), line).unwrap());
    }
    for ((line, opens), dir) in expected.iter().zip(fixtures.dirs()) {
        let report = verify(dir, &Known::default());
        assert_eq!(report.damage.is_some(), *opens, "{line}: {report:?}");
    }
    fixtures.compare(&note::verifier_key("log", &key().verifying_key()), &of_key());
}

/// It says nothing that could be wrong, so nothing matches it.
#[test]
fn a_checkpoint_of_no_records_identifies_no_log() {
    let crate::stage::Lived { dir, .. } = crate::stage::lived();
    let nothing = format!(
        "elsewhere\n0\n{}\n\n\u{2014} elsewhere AAAAAAAA\n",
        STANDARD.encode(Hash::of(&[]).as_bytes())
    );
    let known = Known { checkpoints: vec![nothing.clone()], ..Known::default() };
    let report = verify(dir.path(), &known);
    assert_eq!(report.status, bailiwick_audit::Status::Incomplete, "{report:?}");
    let path = dir.path().join("nothing");
    std::fs::write(&path, nothing).unwrap();
    if has_python() {
        let output = crate::format::python().arg("--pinned").arg(&path).arg(dir.path()).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).starts_with("incomplete"), "{output:?}");
    }
}

/// What is no note says nothing of a log, so it is no damage of one: it cannot be used.
#[test]
fn both_verifiers_use_the_same_notes() {
    let crate::stage::Lived { dir, pinned, .. } = crate::stage::lived();
    let good = &pinned.checkpoints[0];
    let size = good.lines().nth(1).unwrap();
    let spelt = |other: &str| good.replacen(&format!("\n{size}\n"), &format!("\n{other}\n"), 1);
    let with = |line: &str| format!("{good}{line}\n");
    let path = dir.path().join("note");
    for (note, usable) in [
        (good.clone(), true),
        (with("\u{2014} example.com/witness AAAAAAAA"), true),
        (with("\u{2014} example.com/witness AAAA"), false),
        (with("\u{2014} example.com/witness AAAAAAA"), false),
        (with("\u{2014} example.com/witness AAAAAAAA "), false),
        (with("\u{2014} example.com/witness"), false),
        (with("- example.com/witness AAAAAAAA"), false),
        (with(""), false),
        (with("\u{2014} example.com/witness AAAAAAAA\r"), false),
        (with(&format!("\u{2014} example.com/witness {}", "A".repeat(32 * 1024))), false),
        (good.trim_end().to_owned(), false),
        (good.replacen("=\n\n", "\n\n", 1), false),
        (spelt(&format!(" {size}")), false),
        (spelt(&format!("0{size}")), false),
        (spelt("18446744073709551616"), false),
        (String::new(), false),
    ] {
        let parsed = note::Checkpoint::parse(&note);
        assert_eq!(parsed.is_ok(), usable, "{note}: {parsed:?}");
        if has_python() {
            std::fs::write(&path, &note).unwrap();
            let output = crate::format::python().arg("--pinned").arg(&path).arg(dir.path()).output().unwrap();
            let (code, said) = (output.status.code(), String::from_utf8_lossy(&output.stdout));
            let intact = (code == Some(0), said.starts_with("intact"));
            assert_eq!((intact, code == Some(1)), ((usable, usable), !usable), "{note}: {output:?}");
        }
    }
}

#[test]
fn a_record_that_wrongly_continues_a_segment_is_the_one_that_is_named() {
    let continues = |hash: &str| {
        let from = format!("{{\"segment\":1,\"offset\":OFFSET,\"hash\":\"{hash}\"}}");
        let mut lines = with("\"decision\"");
        let offset: usize = lines.iter().map(|line| line.len() + 1).sum();
        let said = "{\"seq\":2,\"group\":2,\"prev\":\"PREV\",\"kind\":\"decision\",\"continues\":";
        add(&mut lines, &format!("{said}{}", from.replace("OFFSET", &offset.to_string())));
        add(&mut lines, "{\"seq\":3,\"group\":3,\"prev\":\"PREV\",\"kind\":\"decision\"");
        lines
    };
    let base = folder();
    for part in ["segments", "disclosures", "blobs"] {
        std::fs::create_dir(base.path().join(part)).unwrap();
    }
    let mut fixtures = Fixtures::of(base.path());
    fixtures.add("in the middle".to_owned(), |dir| {
        write_lines(dir, &[]);
        let lines = continues("PREV").join("\n") + "\n";
        std::fs::write(crate::stage::segment(dir, 1), lines).unwrap();
    });
    fixtures.add("another hash".to_owned(), |dir| write_lines(dir, &continues(NONCE)));
    for dir in fixtures.dirs() {
        let report = verify(dir, &Known::default());
        assert_eq!(crate::stage::named(&report), Some(("continues", 2)), "{report:?}");
    }
    fixtures.add("as it should be".to_owned(), |dir| write_lines(dir, &continues("PREV")));
    if has_python() {
        fixtures.compare(&note::verifier_key("log", &key().verifying_key()), &of_key());
    }
}
