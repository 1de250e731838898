//! What reading a review for `/validate` leaves out of a pod, and that no decision depends on it.

use super::*;
use crate::admission::unread::CANDIDATES;
use crate::admission::{response, sections};

/// Values that a section would fail on if it read them: of every type, with names that sections look for.
const ODD: [&str; 5] = [
    "null",
    "7",
    r#"["--privileged"]"#,
    r#"[{"name": "x", "hostPath": {"path": "/"}}]"#,
    r#"{"privileged": true, "limits": {}}"#,
];

fn answers(reviewer: &Reviewer, review: &[u8]) -> [Vec<u8>; 2] {
    let whole = AdmissionRequest::parse(review).unwrap();
    let lean = reviewer.read_to_validate(review).unwrap();
    [whole, lean].map(|request| response::write(&request.uid, &reviewer.review(&request, Phase::Validate)))
}

fn container<'r>(request: &'r AdmissionRequest<'_>, list: &str) -> &'r Json<'r> {
    request.object.as_ref().unwrap().at(&["spec", list]).unwrap().items().first().unwrap()
}

#[test]
fn sections_do_not_read_what_is_left_out() {
    let reviewer = reviewer(vec![policy()]);
    let mut denied = 0;
    for list in sections::CONTAINER_LISTS {
        for field in CANDIDATES {
            for value in ODD {
                for pod in [
                    stored("{}", "{}"),
                    stored("{}", r#"{"securityContext": {"allowPrivilegeEscalation": null}}"#),
                ] {
                    let fault = json(&format!(
                        r#"[{{"name": "n", "image": "{IMAGE}", "{field}": {value}, "ports": [{{"hostPort": 1}}]}}]"#
                    ));
                    let pod = replaced(pod, &["spec", list], fault);
                    let review = create(pod).to_review().unwrap();
                    let [whole, lean] = answers(&reviewer, &review);
                    assert_eq!(String::from_utf8(whole).unwrap(), String::from_utf8(lean.clone()).unwrap());
                    denied += usize::from(!String::from_utf8(lean).unwrap().contains(r#""allowed":true"#));
                }
            }
        }
    }
    assert!(denied > 0, "no section said anything, so this compares nothing");
}

#[test]
fn what_no_rule_reads_is_left_out_of_a_new_pod() {
    let reviewer = reviewer(vec![policy()]);
    let filled = r#"{"env": [{"name": "A", "value": "b"}], "args": ["x"], "volumeMounts": [], "resources": {"limits": {"memory": "1Gi"}}}"#;
    let review = create(stored("{}", filled)).to_review().unwrap();
    let request = reviewer.read_to_validate(&review).unwrap();
    let container = container(&request, "containers");
    for field in ["env", "args", "volumeMounts"] {
        assert_eq!(container.get(field), None, "{field}");
    }
    // A rule of the policy reads limits.
    assert!(container.at(&["resources", "limits", "memory"]).is_some());
    let [whole, lean] = answers(&reviewer, &review);
    assert_eq!(whole, lean);
}

#[test]
fn everything_else_is_read_whole() {
    let reviewer = reviewer(vec![policy()]);
    let pod = || stored("{}", r#"{"env": [{"name": "A", "value": "b"}]}"#);
    let template = json(&format!(
        r#"{{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": "d", "namespace": "agents"}},
            "spec": {{"containers": [{{"env": []}}], "template": {{"spec": {}}}}}}}"#,
        serde_json::to_string(pod().get("spec").unwrap()).unwrap()
    ));
    for request in [update(pod(), pod()), create(template)] {
        let review = request.to_review().unwrap();
        assert_eq!(reviewer.read_to_validate(&review).unwrap(), AdmissionRequest::parse(&review).unwrap());
    }
    // The object before the operation is known: read whole, with the same decision.
    let review = String::from_utf8(create(pod()).to_review().unwrap()).unwrap();
    let late = review.replacen(r#""operation":"CREATE","#, "", 1).replacen(
        r#""oldObject":null"#,
        r#""oldObject":null,"operation":"CREATE""#,
        1,
    );
    assert_ne!(late, review);
    let request = reviewer.read_to_validate(late.as_bytes()).unwrap();
    assert!(container(&request, "containers").get("env").is_some());
}

#[test]
fn what_is_left_out_must_have_been_readable() {
    let reviewer = reviewer(vec![policy()]);
    let review =
        String::from_utf8(create(stored("{}", r#"{"env": ["PLACE"]}"#)).to_review().unwrap()).unwrap();
    let deep = "[".repeat(200) + &"]".repeat(200);
    for hostile in [
        r#"{"a": 1, "a": 2}"#,
        r#"{"a": 1, "\u0061": 2}"#,
        "99999999999999999999",
        "tru",
        "[1,]",
        r#""\ud800""#,
        "\"\u{1}\"",
        "1e999",
        deep.as_str(),
        "1 2",
        r#"1], "env": ["#,
    ] {
        let text = review.replacen(r#""PLACE""#, hostile, 1);
        let lean = reviewer.read_to_validate(text.as_bytes()).map_err(|error| error.to_string());
        let whole = AdmissionRequest::parse(text.as_bytes()).map_err(|error| error.to_string());
        assert!(whole.is_err(), "{hostile}");
        assert_eq!(lean, whole, "{hostile}");
    }
}

#[test]
fn a_rule_that_takes_a_container_whole_or_by_its_keys_keeps_every_field() {
    use crate::ir::{Cel, Expr, Func, Macro, MacroKind, PodContainers};
    for body in [
        Expr::Call(Func::Size, vec![Expr::Slot(0)]),
        Expr::Call(Func::Equal, vec![Expr::Slot(0), Expr::Slot(0)]),
    ] {
        let every = Macro {
            kind: MacroKind::All,
            range: Expr::PodContainers(PodContainers::All),
            slot: 0,
            slot2: None,
            filter: None,
            body,
        };
        let mut policy = policy();
        let rule = policy.admission.rules.iter_mut().find(|rule| !rule.validations.is_empty()).unwrap();
        for validation in &mut rule.validations {
            validation.expression =
                Cel { source: String::new(), expr: Expr::Macro(Box::new(every.clone())), slots: 1 };
        }
        let reviewer = reviewer(vec![policy]);
        let review = create(stored("{}", r#"{"env": []}"#)).to_review().unwrap();
        let request = reviewer.read_to_validate(&review).unwrap();
        assert!(container(&request, "containers").get("env").is_some());
    }
}
