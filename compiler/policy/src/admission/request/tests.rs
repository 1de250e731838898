//! Reading reviews: what is required, what is skipped, what is rejected.

use super::*;

fn review(request: &str) -> String {
    format!(r#"{{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {{{request}}}}}"#)
}

const HEAD: &str = r#""uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "n", "name": "p", "userInfo": {"username": "alice"}"#;

#[test]
fn managed_fields_are_skipped_and_the_rest_is_borrowed() {
    let object = r#"{"metadata": {"name": "p", "managedFields": [{"fieldsV1": {"f:a": {}}}], "labels": {"a": "b"}}, "spec": {"managedFields": 1}}"#;
    let text =
        review(&format!(r#"{HEAD}, "operation": "UPDATE", "object": {object}, "oldObject": {object}"#));
    let request = AdmissionRequest::parse(text.as_bytes()).unwrap();
    for object in [request.object.as_ref().unwrap(), request.old_object.as_ref().unwrap()] {
        assert_eq!(object.at(&["metadata", "managedFields"]), None);
        assert_eq!(object.at(&["spec", "managedFields"]), Some(&Json::Int(1)));
        assert!(matches!(object.at(&["metadata", "labels", "a"]), Some(Json::Str(Cow::Borrowed("b")))));
    }
    assert_eq!(
        (request.uid.as_ref(), request.operation, request.namespace.as_ref()),
        ("u-1", Operation::Update, "n")
    );
    assert_eq!(request.attributes.at(&["userInfo", "username"]).unwrap().as_str(), Some("alice"));
    assert_eq!(request.attributes.get("object"), None);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let whole = |request: &str| review(request);
    let of = |member: &str| whole(&format!("{HEAD}, {member}"));
    for (text, want) in [
        ("[]".to_owned(), None),
        ("{}".to_owned(), Some("`apiVersion` is missing")),
        (r#"{"apiVersion": 1}"#.to_owned(), Some("`apiVersion` is not a string")),
        (
            r#"{"apiVersion": "admission.k8s.io/v1beta1"}"#.to_owned(),
            Some("apiVersion `admission.k8s.io/v1beta1` is not `admission.k8s.io/v1`"),
        ),
        (
            r#"{"apiVersion": "admission.k8s.io/v1", "kind": "Pod"}"#.to_owned(),
            Some("kind `Pod` is not `AdmissionReview`"),
        ),
        (
            r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#.to_owned(),
            Some("`request` is missing"),
        ),
        (whole(r#""kind": {}"#), Some("`request.uid` is missing")),
        (whole(r#""uid": """#), Some("`request.uid` is missing")),
        (whole(r#""uid": "u", "operation": "CREATE""#), Some("`request.kind.version` is missing")),
        (
            of(r#""operation": "PATCH""#),
            Some("operation `PATCH` is not one of CREATE, UPDATE, DELETE, CONNECT"),
        ),
        (of(r#""operation": "CREATE""#), Some("`request.object` is missing")),
        (of(r#""operation": "CREATE", "object": null"#), Some("`request.object` is missing")),
        (of(r#""operation": "UPDATE", "object": {}"#), Some("`request.oldObject` is missing")),
        (of(r#""operation": "DELETE""#), Some("`request.oldObject` is missing")),
        (
            of(r#""operation": "CREATE", "object": {}, "subResource": 1"#),
            Some("`request.subResource` is not a string"),
        ),
        (of(r#""operation": "CREATE", "object": []"#), None),
        (of(r#""operation": "CREATE", "object": {"a": 1, "a": 2}"#), None),
        (of(r#""operation": "CREATE", "object": {"metadata": {"a": 1, "a": 2}}"#), None),
        (of(r#""operation": "CREATE", "object": {"a": 9223372036854775808}"#), None),
        (format!("{} x", of(r#""operation": "CREATE", "object": {}"#)), None),
        (String::new(), None),
    ] {
        let error = AdmissionRequest::parse(text.as_bytes()).unwrap_err().to_string();
        match want {
            Some(want) => assert_eq!(error, want, "{text}"),
            None => assert!(error.starts_with("the review is not well-formed: "), "{error}: {text}"),
        }
    }
}

#[test]
fn connections_need_no_object() {
    let text = review(&format!(r#"{HEAD}, "operation": "CONNECT", "subResource": "exec", "object": null"#));
    assert_eq!(AdmissionRequest::parse(text.as_bytes()).unwrap().object, None);
}

#[test]
fn hostile_reviews_end_in_an_error() {
    let big = vec![b' '; MAX_REVIEW_BYTES + 1];
    assert!(matches!(AdmissionRequest::parse(&big), Err(ParseError::TooLong { .. })));
    let deep = review(&format!(
        r#"{HEAD}, "operation": "CREATE", "object": {{"a": {}{}}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    ));
    assert!(AdmissionRequest::parse(deep.as_bytes()).unwrap_err().to_string().contains("recursion limit"));
    let invalid = [review("").as_bytes(), b"\xff"].concat();
    assert!(AdmissionRequest::parse(&invalid).is_err());
    // Half a million members, the last of them twice: compared by hash, not pairwise.
    let members: Vec<_> = (0..400_000).map(|at| format!(r#""{at}":0"#)).collect();
    for (open, close) in [("{", "}"), (r#"{"metadata": {"#, "}}"), (r#"{"data": {"#, "}}")] {
        let object = format!(r#"{open}{},"7":1{close}"#, members.join(","));
        let text = review(&format!(r#"{HEAD}, "operation": "CREATE", "object": {object}"#));
        assert!(
            AdmissionRequest::parse(text.as_bytes()).unwrap_err().to_string().contains("duplicate key `7`")
        );
    }
}
