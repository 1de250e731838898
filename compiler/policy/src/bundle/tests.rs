//! What is written can be read again; anything tampered with is rejected.

use super::*;
use crate::ir::{Func, Root};
use crate::policy::{Action, AdmissionRule, Match, PackSource, Validation};

fn cel(expr: Expr) -> Cel {
    Cel { source: "source".to_owned(), expr, slots: 2 }
}

fn policy(expr: Expr) -> Policy {
    Policy {
        cell: "0123456789abcdef".to_owned(),
        admission: Admission {
            shared: vec![cel(Expr::Root(Root::Object))],
            regexes: vec!["^a$".to_owned()],
            rego: Vec::new(),
            rules: vec![AdmissionRule {
                name: "rule".to_owned(),
                origin: Origin { pack: 0, at: "spec.admission.rules[0]".to_owned() },
                matches: Match::default(),
                pod_templates: false,
                variables: vec![("object".to_owned(), 0)],
                validations: vec![Validation {
                    expression: cel(expr),
                    message: None,
                    message_expression: None,
                    reason: "Invalid".to_owned(),
                    remedy: None,
                }],
                mutations: Vec::new(),
                audit_annotations: Vec::new(),
                action: Action::Deny,
                exceptable: false,
                rego: None,
            }],
        },
        ..Policy::top(vec![PackSource {
            name: "pack".to_owned(),
            version: "1.0.0".to_owned(),
            digest: "0".repeat(64),
            parameters_digest: "0".repeat(64),
            parameters: Const::Map(vec![(Const::Str("limit".to_owned()), Const::Double(1.5))]),
        }])
    }
}

fn refused(expr: Expr) -> String {
    validate(&policy(expr)).unwrap_err().to_string()
}

fn nested(depth: u32) -> Expr {
    (1..depth).fold(Expr::Const(Const::Bool(true)), |expr, _| Expr::List(vec![(expr, false)]))
}

#[test]
fn what_is_written_is_read_again() {
    let policy = policy(Expr::Call(
        Func::Equal,
        vec![Expr::Const(Const::Uint(u64::MAX)), Expr::Const(Const::Bytes(vec![0, 255]))],
    ));
    let bytes = write(&policy).unwrap();
    let bundle = load(&bytes).unwrap();
    assert_eq!(bundle.policy, policy);
    assert_eq!(bundle.digest, digest(&bytes));
    assert_eq!(load_expecting(&bytes, &bundle.digest).unwrap(), bundle);
    assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn every_changed_byte_changes_the_digest_and_none_panics() {
    let bytes = write(&policy(Expr::Shared(0))).unwrap();
    let expected = digest(&bytes);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(matches!(load_expecting(&changed, &expected), Err(BundleError::Digest { .. })));
        // Without a known digest a change may give another valid policy, but never a crash or the same
        // digest.
        assert!(load(&changed).map_or(true, |bundle| bundle.digest != expected));
        assert!(load(&bytes[..at]).is_err());
    }
}

#[test]
fn a_bundle_is_the_one_that_is_listed_beside_it() {
    let bytes = write(&policy(Expr::Shared(0))).unwrap();
    let list =
        format!(r#"{{"formatVersion":1,"files":[{{"path":"bundle.json","sha256":"{}"}}]}}"#, digest(&bytes));
    let load = |bytes: &[u8], name, list: &str| artifacts::load_listed(bytes, name, Some(list.as_bytes()));
    assert!(load(&bytes, "bundle.json", &list).is_ok());
    // Another policy in canonical form: only the list tells it from the compiled one.
    let other = String::from_utf8(bytes.clone()).unwrap().replace("1.0.0", "1.0.1");
    assert_ne!(other.as_bytes(), bytes);
    assert!(artifacts::load_listed(other.as_bytes(), "bundle.json", None).is_ok());
    assert!(matches!(load(other.as_bytes(), "bundle.json", &list), Err(BundleError::Digest { .. })));
    // A list of other files says nothing about it; an unreadable list causes a rejection.
    assert!(load(other.as_bytes(), "other.bundle.json", &list).is_ok());
    assert!(matches!(load(&bytes, "bundle.json", "{}"), Err(BundleError::List(_))));
}

#[test]
fn other_texts_of_the_same_policy_are_refused() {
    let bytes = write(&policy(Expr::Shared(0))).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let refused = |text: String| load(text.as_bytes()).unwrap_err().to_string();
    assert!(refused(format!("{text}\n")).contains("not canonical"));
    assert!(refused(text.replacen("\"cell\"", " \"cell\"", 1)).contains("not canonical"));
    assert!(refused(text.replacen("\"pack\"", "\"\\u0070ack\"", 1)).contains("not canonical"));
    assert!(
        refused(text.replacen("\"cell\"", "\"unknown\":1,\"cell\"", 1)).contains("unknown field `unknown`")
    );
    let version = |version: u32| format!("\"formatVersion\":{version}");
    let newer =
        text.replacen(&version(FORMAT_VERSION), &(version(FORMAT_VERSION + 1) + ",\"novel\":true"), 1);
    let said =
        format!("the bundle has format version {}, this program reads {FORMAT_VERSION}", FORMAT_VERSION + 1);
    assert!(refused(newer).starts_with(&said));
    assert!(refused("x".repeat(MAX_BYTES + 1)).contains("more than 16777216"));
}

#[test]
fn indices_to_what_is_not_there_are_refused() {
    let text = || Box::new(Expr::Const(Const::Str("a".to_owned())));
    assert_eq!(refused(Expr::Slot(2)), "admission.rules[0].validations: slot 2 is not there");
    assert_eq!(
        refused(Expr::Shared(1)),
        "admission.rules[0].validations: earlier shared expression 1 is not there"
    );
    assert_eq!(refused(Expr::Matches(text(), 1)), "admission.rules[0].validations: pattern 1 is not there");
    assert!(validate(&policy(Expr::Matches(text(), 0))).is_ok());
    let mut itself = policy(Expr::Shared(0));
    itself.admission.shared = vec![cel(Expr::Shared(0))];
    assert!(matches!(validate(&itself), Err(BundleError::OutOfRange { .. })));
    let mut foreign = policy(Expr::Shared(0));
    foreign.admission.rules[0].origin.pack = 1;
    assert_eq!(validate(&foreign).unwrap_err().to_string(), "admission: pack 1 is not there");
    let mut bomb = policy(Expr::Shared(0));
    bomb.admission.regexes = vec!["(a{1000}){1000}".to_owned()];
    assert!(
        validate(&bomb)
            .unwrap_err()
            .to_string()
            .starts_with("pattern 0: the compiled pattern would be larger")
    );
}

/// The compiler writes their values; a variable that only hand-made bundles could read would be tested by nobody.
#[test]
fn parameters_and_the_pack_are_constants() {
    let text = String::from_utf8(write(&policy(Expr::Root(Root::Object))).unwrap()).unwrap();
    assert!(load(text.as_bytes()).is_ok());
    for root in ["params", "pack"] {
        let read = text.replacen(r#"{"root":"object"}"#, &format!(r#"{{"root":"{root}"}}"#), 1);
        let refused = load(read.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains(&format!("unknown variant `{root}`")), "{refused}");
    }
}

#[test]
fn the_deepest_bundle_is_read_on_a_small_stack_and_a_deeper_one_is_refused() {
    let run = || {
        let deepest = write(&policy(nested(MAX_DEPTH))).unwrap();
        assert!(load(&deepest).is_ok());
        assert!(refused(nested(MAX_DEPTH + 1)).contains("nested deeper than 100 levels"));
        let text = String::from_utf8(write(&policy(Expr::Shared(0))).unwrap()).unwrap();
        let replace = |with: String| text.replacen("{\"shared\":0}", &with, 1);
        let hostile = |depth: usize| {
            replace(format!("{}{{\"shared\":0}}{}", "{\"not\":".repeat(depth), "}".repeat(depth)))
        };
        for depth in [101, 300, 330, 1_000, 1_000_000] {
            let error = load(hostile(depth).as_bytes()).unwrap_err().to_string();
            assert!(error.contains("nested deeper than 100 levels"), "{depth}: {error}");
        }
        let constant = |depth: usize| {
            replace(format!(
                "{}{{\"int\":0}}{}",
                "{\"const\":{\"list\":[".to_owned() + &"{\"list\":[".repeat(depth),
                "]}".repeat(depth) + "]}}"
            ))
        };
        assert!(load(constant(50).as_bytes()).is_ok());
        assert!(load(constant(120).as_bytes()).unwrap_err().to_string().contains("nested deeper"));
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_chain_of_shared_expressions_is_bounded_as_a_whole() {
    let mut chained = policy(Expr::Shared(0));
    chained.admission.shared = vec![cel(nested(90))];
    for index in 0..3 {
        chained.admission.shared.push(cel(Expr::List(vec![(Expr::Shared(index), false); 2])));
    }
    assert!(validate(&chained).is_ok());
    let deep = (0..90).fold(Expr::Shared(3), |expr, _| Expr::Not(Box::new(expr)));
    chained.admission.shared.push(cel(deep.clone()));
    assert!(validate(&chained).is_ok());
    chained.admission.shared.push(cel((0..90).fold(Expr::Shared(4), |expr, _| Expr::Not(Box::new(expr)))));
    assert!(validate(&chained).unwrap_err().to_string().contains("nested deeper than 200 levels"));
}
