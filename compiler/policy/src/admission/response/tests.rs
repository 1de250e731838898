//! The bytes of responses.

use super::*;
use crate::decision::{PatchOp, PatchOperation};
use expect_test::expect;

fn finding(effect: Effect, rule: &str, field: &str) -> Finding {
    Finding {
        effect,
        pack: "p@1.0.0".into(),
        rule: rule.into(),
        message: "it is wrong".into(),
        field: field.into(),
        remedy: Some("fix it".into()),
        reason: "Invalid".into(),
    }
}

fn text(decision: &Decision) -> String {
    String::from_utf8(write("u-1", decision)).unwrap()
}

#[test]
fn a_denial_lists_findings_with_their_fields() {
    let findings = vec![
        finding(Effect::Deny, "a", "spec.x"),
        finding(Effect::Deny, "a", "spec.y"),
        finding(Effect::Deny, "b", ""),
        finding(Effect::Warn, "c", "spec.z"),
        finding(Effect::Audit, "d", ""),
    ];
    let audit_annotations = vec![("cell".into(), "0123".into())];
    let decision = Decision { allowed: false, findings, audit_annotations, ..Decision::default() };
    expect![[r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u-1","allowed":false,"status":{"status":"Failure","message":"p@1.0.0/a: it is wrong (spec.x, spec.y); fix it\np@1.0.0/b: it is wrong; fix it","reason":"Invalid","code":422,"details":{"causes":[{"reason":"a","message":"p@1.0.0/a: it is wrong; fix it","field":"spec.x"},{"reason":"a","message":"p@1.0.0/a: it is wrong; fix it","field":"spec.y"},{"reason":"b","message":"p@1.0.0/b: it is wrong; fix it"}]}},"warnings":["p@1.0.0/c: it is wrong (spec.z); fix it"],"auditAnnotations":{"cell":"0123"}}}"#]]
    .assert_eq(&text(&decision));
}

#[test]
fn a_patch_is_base64_and_comes_with_its_type() {
    let patch = vec![PatchOperation { op: PatchOp::Add, path: "/a".into(), value: Some(1.into()) }];
    let allowed = Decision { allowed: true, patch, ..Decision::default() };
    expect![[r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u-1","allowed":true,"patchType":"JSONPatch","patch":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL2EiLCJ2YWx1ZSI6MX1d"}}"#]]
    .assert_eq(&text(&allowed));
    let denied = Decision { allowed: false, ..allowed };
    assert!(!text(&denied).contains("patch"), "a denial carries no patch");
}

#[test]
fn warnings_keep_to_the_api_servers_limits() {
    let mut long = finding(Effect::Warn, "w", "");
    long.message = format!("line\nbreak {}", "ü".repeat(1000));
    let decision = Decision { allowed: true, findings: vec![long; 40], ..Decision::default() };
    let warnings = warnings(&decision.findings);
    assert!(warnings.iter().all(|one| one.chars().count() <= MAX_WARNING && !one.contains('\n')));
    assert_eq!(warnings.iter().map(|one| one.chars().count()).sum::<usize>(), MAX_WARNINGS);
}

#[test]
fn messages_and_causes_are_bounded() {
    let findings: Vec<_> = (0..5000).map(|at| finding(Effect::Deny, &format!("rule-{at}"), "spec")).collect();
    let text = text(&Decision { allowed: false, findings, ..Decision::default() });
    assert!(text.len() < 64 * 1024, "{}", text.len());
    assert!(text.contains("\\nand 4"));
}

#[test]
fn a_refusal_says_why() {
    let text = String::from_utf8(refuse("u", 400, "`request` is missing")).unwrap();
    expect![[r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u","allowed":false,"status":{"status":"Failure","message":"`request` is missing","reason":"BadRequest","code":400}}}"#]]
    .assert_eq(&text);
}

#[test]
fn the_first_denial_gives_reason_and_code() {
    for (reason, code) in [
        ("Unauthorized", 401),
        ("Forbidden", 403),
        ("RequestEntityTooLarge", 413),
        ("Invalid", 422),
        ("Other", 403),
    ] {
        let mut first = finding(Effect::Deny, "a", "");
        first.reason = reason.to_owned();
        let findings = vec![finding(Effect::Warn, "w", ""), first, finding(Effect::Deny, "b", "")];
        let text = text(&Decision { allowed: false, findings, ..Decision::default() });
        let said = if reason == "Other" { "Forbidden" } else { reason };
        assert!(text.contains(&format!(r#""reason":"{said}","code":{code}"#)), "{text}");
    }
}

#[test]
fn whoever_refuses_is_named_however_long_the_message_is() {
    let fields = (0..2000).map(|at| finding(Effect::Deny, "a", &format!("spec.containers[{at}]")));
    let text = text(&Decision { allowed: false, findings: fields.collect(), ..Decision::default() });
    assert!(text.contains("p@1.0.0/a: it is wrong (spec.containers[0], "), "{text:.300}");
    assert!(text.contains("spec.containers[4] and 1995 more); fix it"), "{text:.600}");
    let mut long = finding(Effect::Deny, "a", "spec");
    long.remedy = Some("ü".repeat(MAX_MESSAGE));
    let other = finding(Effect::Deny, "b", "");
    let message = message(&[&long, &other]);
    assert!(message.starts_with("p@1.0.0/a: it is wrong (spec); ü"), "{message:.80}");
    assert!(message.ends_with("\nand 1 more") && message.len() < MAX_MESSAGE + 20);
}
