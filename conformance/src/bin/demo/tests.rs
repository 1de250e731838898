//! The demo's judgement of every step: it takes the right answer, and no other. So a program that answers wrongly,
//! at whatever step, ends the demo with a failure.

use anyhow::Result;
use bailiwick_conformance::http::Answer;
use base64::Engine as _;
use serde_json::{Value, json};

use crate::calls::{ATTEMPTS, Made, approved, question, session};
use crate::records::{Story, intact, tampered, told};
use crate::steps::{Tally, admitted, bad_ones, controls, helped, refused, under_the_ceiling, written_in};

/// The right answer passes; each other is a deviation that says this.
#[track_caller]
fn judges<T>(right: Result<T>, wrong: impl IntoIterator<Item = (Result<T>, &'static str)>) {
    assert!(right.is_ok(), "the right answer: {:#}", right.err().unwrap());
    let mut count = 0;
    for (judged, says) in wrong {
        let Err(error) = judged else { panic!("a wrong answer passes that should end with `{says}`") };
        assert!(format!("{error:#}").contains(says), "expected `{says}`: {error:#}");
        count += 1;
    }
    assert!(count > 0, "no wrong answer");
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

#[test]
fn the_pack_must_become_every_control() {
    let listed = "bundle.json kubernetes/admission-policies.yaml kubernetes/network-policies.yaml kubernetes/runtime-classes.yaml \
                  kubernetes/webhooks.yaml seccomp/python.x86_64.json report.md";
    let report = "# Who enforces what\n\nEnforced: Full";
    let without = listed.split(' ').filter(|part| !part.is_empty()).map(|part| listed.replace(part, ""));
    judges(controls(listed, report), without.map(|listed| (controls(&listed, report), "was not compiled")));
    judges(
        controls(listed, report),
        [
            (controls(listed, ""), "the report is empty"),
            (controls(listed, "# Who enforces what"), "the report is empty"),
        ],
    );
}

#[test]
fn the_good_pod_must_be_completed_and_admitted() {
    let mutated = |allowed: bool, patch: &str| {
        let patch = base64::engine::general_purpose::STANDARD.encode(patch);
        written_in(&json!({ "allowed": allowed, "patch": patch }))
    };
    let whole = r#"["gvisor", "RuntimeDefault", "automountServiceAccountToken"]"#;
    judges(
        mutated(true, whole),
        [
            (mutated(false, whole), "refused by /mutate"),
            (written_in(&json!({ "allowed": true })), "no patch came back"),
            (mutated(true, "{"), "not JSON"),
            (
                mutated(true, r#"["RuntimeDefault", "automountServiceAccountToken"]"#),
                "does not write `gvisor`",
            ),
            (
                mutated(true, r#"["gvisor", "automountServiceAccountToken"]"#),
                "does not write `RuntimeDefault`",
            ),
            (mutated(true, r#"["gvisor", "RuntimeDefault"]"#), "write `automountServiceAccountToken`"),
        ],
    );
    let (whole, refused) = (
        json!({ "allowed": true, "auditAnnotations": { "policy": "x" } }),
        json!({ "allowed": false, "auditAnnotations": { "policy": "x" } }),
    );
    let ungoverned = json!({ "allowed": true });
    judges(
        admitted(&whole),
        [
            (admitted(&refused), "was refused"),
            (admitted(&ungoverned), "under no policy"),
            (admitted(&Value::Null), "was refused"),
        ],
    );
}

#[test]
fn every_bad_pod_must_be_refused_for_its_fault_with_a_remedy() {
    for bad in bad_ones() {
        let [rule, field, remedy] = bad.expected;
        let causes = |allowed: bool, [rule, field, message]: [&str; 3]| {
            let cause = json!({ "reason": rule, "field": field, "message": message });
            refused(&json!({ "allowed": allowed, "status": { "details": { "causes": [cause] } } }), &bad)
        };
        let message = format!("it is forbidden; {remedy}");
        judges(
            causes(false, [rule, field, &message]),
            [
                (causes(true, [rule, field, &message]), "was admitted"),
                (refused(&json!({ "allowed": true }), &bad), "was admitted"),
                (refused(&json!({}), &bad), "was admitted"),
                (refused(&json!({ "allowed": false }), &bad), "a refusal without causes"),
                (causes(false, ["other", field, &message]), "no cause is"),
                (causes(false, ["", field, &message]), "a cause without its rule"),
                (causes(false, [rule, "spec.hostPID", &message]), "no cause is"),
                (causes(false, [rule, field, "it is forbidden"]), "does not say what to do"),
                (causes(false, [rule, field, "it is forbidden; ask somebody"]), "no cause is"),
            ],
        );
    }
}

#[test]
fn the_change_must_turn_the_verdict_and_fail_no_request() {
    let before = |response: &Value| under_the_ceiling(response).map(str::to_owned);
    judges(
        before(&json!({ "allowed": false, "status": { "message": "too much" } })),
        [
            (before(&json!({ "allowed": true, "status": { "message": "too much" } })), "was admitted"),
            (before(&json!({ "allowed": false })), "without a message"),
        ],
    );
    let verdict = |allowed: bool| answer(200, &json!({ "response": { "allowed": allowed } }));
    let during = |answers: &[Option<Answer>]| {
        let tally = Tally::default();
        for answer in answers {
            tally.count(answer.as_ref());
        }
        tally.is_changed()
    };
    assert!(!during(&[Some(verdict(false))]).unwrap(), "the old verdict is not the new one");
    assert!(during(&[Some(verdict(false)), Some(verdict(true))]).unwrap());
    let failed = "1 of 2 requests failed";
    judges(
        during(&[Some(verdict(false)), Some(verdict(true))]),
        [
            (during(&[None, Some(verdict(true))]), failed),
            (
                during(&[
                    Some(answer(500, &json!({ "response": { "allowed": true } }))),
                    Some(verdict(true)),
                ]),
                failed,
            ),
            (during(&[Some(answer(200, &json!({}))), Some(verdict(true))]), failed),
            (during(&[Some(verdict(true)), Some(answer(429, &json!({})))]), failed),
        ],
    );
}

#[test]
fn the_typo_must_be_found_with_its_help() {
    let shown = "unknown field `isolaton`; did you mean `isolation`?";
    judges(
        helped(Some(3), shown),
        [
            (helped(Some(0), shown), "ended with Some(0)"),
            (helped(None, shown), "ended with None"),
            (helped(Some(3), "unknown field `isolaton`"), "does not help"),
            (helped(Some(3), ""), "does not help"),
        ],
    );
}

#[test]
fn approvers_must_be_asked_before_the_call_runs() {
    let opened = |status: u16, body: &Value| session(&answer(status, body));
    judges(
        opened(201, &json!({ "id": "s1" })),
        [(opened(200, &json!({ "id": "s1" })), "no session"), (opened(201, &json!({})), "no id")],
    );
    let asked = |status: u16, call: &Value| question(status, call).map(str::to_owned);
    let call = json!({ "decision": { "approval": { "id": "q1" } } });
    judges(
        asked(202, &call),
        [(asked(200, &call), "nobody is asked"), (asked(202, &json!({ "decision": {} })), "nobody is asked")],
    );
    judges(
        approved(200, &call),
        [(approved(202, &call), "did not run"), (approved(403, &call), "did not run")],
    );
}

/// What a record says of a call that ended like this.
fn ended(outcome: Value, printed: &str) -> Story {
    Story { effects: vec!["Allow".to_owned()], outcome, printed: printed.to_owned(), ..Story::default() }
}

/// Every way in which a call of the demo should end, in the order of the calls.
fn right_stories() -> Vec<Story> {
    let exited = |printed: &str| ended(json!({ "kind": "Exited", "code": 1 }), printed);
    vec![
        ended(json!({ "kind": "Exited", "code": 0 }), "500000500000\n"),
        ended(json!({ "kind": "ProcessesExceeded" }), ""),
        ended(json!({ "kind": "MemoryExceeded" }), ""),
        ended(json!({ "kind": "TimedOut" }), ""),
        exited("PermissionError: [Errno 1] Operation not permitted"),
        exited("cat: /etc/shadow: No such file or directory"),
        Story {
            effects: vec!["Deny".to_owned()],
            rules: vec!["restricted-agent@0.2.0/no-forced-push".to_owned()],
            ..Story::default()
        },
    ]
}

#[test]
fn every_call_must_end_on_record_as_it_should() {
    let stories = right_stories();
    assert_eq!(stories.len(), ATTEMPTS.len());
    for (index, attempt) in ATTEMPTS.iter().enumerate() {
        let made = |signed_by| Made {
            id: "c1".to_owned(),
            tool: attempt.tool,
            text: attempt.text,
            ends: attempt.ends,
            signed_by,
        };
        let signed = Story { signed_by: Some("alice".to_owned()), ..stories[index].clone() };
        let others = stories.iter().enumerate().filter(|(other, _)| *other != index);
        let mut wrong: Vec<_> =
            others.map(|(_, story)| (told(&made(None), story), "the record of")).collect();
        wrong.extend([
            // It did what it attempted.
            (told(&made(None), &ended(json!({ "kind": "Exited", "code": 0 }), "done")), "the record of"),
            // It was allowed, and nothing says how it ended.
            (told(&made(None), &ended(Value::Null, "")), "the record of"),
            (told(&made(Some("alice")), &stories[index]), "is signed by None"),
            (told(&made(None), &signed), "is signed by Some"),
        ]);
        judges(told(&made(None), &stories[index]), wrong);
        assert!(told(&made(Some("alice")), &signed).is_ok());
    }
}

#[test]
fn the_log_must_verify_and_a_changed_byte_be_found() {
    judges(
        intact(Some(0), "intact\n"),
        [
            (intact(Some(6), "intact\n"), "does not verify"),
            (intact(Some(0), "open\n"), "does not verify"),
            (intact(None, ""), "does not verify"),
        ],
    );
    let said = "tampered\nfirst bad record: 7 (its hash)";
    judges(
        tampered(Some(4), said, "7"),
        [
            (tampered(Some(0), said, "7"), "a changed log verifies"),
            (tampered(Some(4), said, "8"), "names another record"),
            (tampered(Some(4), "tampered", "7"), "names another record"),
        ],
    );
}
