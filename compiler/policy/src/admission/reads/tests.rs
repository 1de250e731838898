//! What counts as read, and when two objects agree in it.

use super::*;

fn object(path: &[&str]) -> Expr {
    path.iter()
        .fold(Expr::Root(Root::Object), |here, field| Expr::Select(Box::new(here), (*field).to_owned()))
}

fn reads(expr: Expr) -> Reads {
    SharedReads::new(&[]).of(&Cel { source: String::new(), expr, slots: 4 })
}

fn agree(expr: Expr, one: &str, other: &str) -> bool {
    let (one, other) = (Json::parse(one.as_bytes()).unwrap(), Json::parse(other.as_bytes()).unwrap());
    reads(expr).agree(&one, &other)
}

fn each(range: Expr, body: Expr) -> Expr {
    Expr::Macro(Box::new(Macro { kind: MacroKind::All, range, slot: 0, slot2: None, filter: None, body }))
}

#[test]
fn only_what_is_read_counts() {
    let image = || {
        each(Expr::PodContainers(PodContainers::Main), Expr::Select(Box::new(Expr::Slot(0)), "image".into()))
    };
    let pod = |container: &str| format!(r#"{{"spec": {{"containers": [{container}]}}}}"#);
    assert!(agree(image(), &pod(r#"{"image": "a"}"#), &pod(r#"{"image": "a", "name": "n"}"#)));
    assert!(!agree(image(), &pod(r#"{"image": "a"}"#), &pod(r#"{"image": "b"}"#)));
    assert!(!agree(image(), &pod(r#"{"image": "a"}"#), &pod(r#"{"image": "a"}, {"image": "b"}"#)));
    assert!(!agree(image(), &pod(""), r#"{"spec": {}}"#));
    assert!(agree(image(), r#"{"spec": {"x": 1}}"#, r#"{"spec": {"x": 2}}"#));
}

#[test]
fn a_parent_that_goes_is_a_difference() {
    // `has(object.a.b)` is false over the first and an error over the second.
    let has = || Expr::Has(Box::new(object(&["a"])), "b".into());
    assert!(!agree(has(), r#"{"a": {}}"#, "{}"));
    assert!(agree(has(), r#"{"a": {"c": 1}}"#, r#"{"a": {"c": 2}}"#));
    assert!(!agree(has(), r#"{"a": null}"#, "{}"));
}

#[test]
fn defaults_and_joined_lists_keep_the_way_to_their_elements() {
    let lists = Expr::Call(
        Func::Add,
        vec![
            object(&["spec", "containers"]),
            Expr::Call(
                Func::OrValue,
                vec![
                    Expr::OptSelect(Box::new(object(&["spec"])), "initContainers".into()),
                    Expr::Const(Const::List(vec![])),
                ],
            ),
        ],
    );
    let expr = || each(lists.clone(), Expr::Has(Box::new(Expr::Slot(0)), "resources".into()));
    let pod = |init: &str| {
        format!(r#"{{"spec": {{"containers": [{{"image": "a"}}], "initContainers": [{init}]}}}}"#)
    };
    assert!(agree(expr(), &pod(r#"{"image": "a"}"#), &pod(r#"{"image": "b"}"#)));
    assert!(!agree(expr(), &pod(r#"{"image": "a"}"#), &pod(r#"{"resources": {}}"#)));
}

#[test]
fn what_is_mapped_is_read_whole() {
    let map = Macro {
        kind: MacroKind::Map,
        range: object(&["l"]),
        slot: 0,
        slot2: None,
        filter: None,
        body: Expr::Select(Box::new(Expr::Slot(0)), "a".into()),
    };
    let expr = || each(Expr::Macro(Box::new(map.clone())), Expr::Select(Box::new(Expr::Slot(0)), "b".into()));
    assert!(!agree(expr(), r#"{"l": [{"a": {"b": 1}}]}"#, r#"{"l": [{"a": {"b": 2}}]}"#));
    assert!(agree(expr(), r#"{"l": [{"a": 1, "c": 1}]}"#, r#"{"l": [{"a": 1, "c": 2}]}"#));
}

#[test]
fn sizes_are_shapes_and_keys_count_their_values() {
    let size = || Expr::Call(Func::Size, vec![object(&["l"])]);
    assert!(agree(size(), r#"{"l": [1]}"#, r#"{"l": [2]}"#));
    assert!(!agree(size(), r#"{"l": [1]}"#, r#"{"l": [1, 2]}"#));
    assert!(!agree(size(), r#"{"l": "a"}"#, r#"{"l": "b"}"#));
    let keys = || each(object(&["m"]), Expr::Slot(0));
    assert!(!agree(keys(), r#"{"m": {"a": 1}}"#, r#"{"m": {"b": 1}}"#));
}

#[test]
fn the_request_and_the_old_object_are_foreign_also_through_variables() {
    for root in [Root::Request, Root::OldObject] {
        assert!(!reads(Expr::And(vec![object(&["a"]), Expr::Root(root)])).only_object());
        let shared = [Cel { source: String::new(), expr: Expr::Root(root), slots: 0 }];
        let through =
            Cel { source: String::new(), expr: Expr::And(vec![object(&["a"]), Expr::Shared(0)]), slots: 0 };
        assert!(!SharedReads::new(&shared).of(&through).only_object());
    }
    assert!(reads(object(&["a"])).only_object());
    assert!(!reads(Expr::Root(Root::NamespaceObject)).only_object());
    // A variable bound to a path keeps it.
    let shared = [Cel { source: String::new(), expr: object(&["spec"]), slots: 0 }];
    let select = Expr::Select(Box::new(Expr::Shared(0)), "x".into());
    let reads = SharedReads::new(&shared).of(&Cel { source: String::new(), expr: select, slots: 0 });
    let json = |text: &'static str| Json::parse(text.as_bytes()).unwrap();
    assert!(reads.agree(&json(r#"{"spec": {"x": 1, "y": 1}}"#), &json(r#"{"spec": {"x": 1, "y": 2}}"#)));
    assert!(!reads.agree(&json(r#"{"spec": {"x": 1}}"#), &json(r#"{"spec": {"x": 2}}"#)));
}
