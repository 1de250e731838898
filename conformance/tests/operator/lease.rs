//! One operator acts, however many run.

use crate::packs::{binding, pack};
use crate::stage::{SYSTEM, Stage, until};

fn holder(stage: &Stage) -> String {
    let lease = stage.get("lease", "bailiwick-operator", Some(SYSTEM)).expect("the lease");
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn of_two_operators_one_writes_and_the_other_takes_over() {
    let stage = Stage::new();
    let first = stage.operator(&["--identity", "first"]).leads();
    let second = stage.operator(&["--identity", "second"]);
    stage.namespace("two-a", "two");
    stage.apply(&pack("two", "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding("two", "two", "1.0.0", ""));
    stage.condition("policybinding", "two", None, "Enforced", "True");
    assert!(holder(&stage).starts_with("first-"), "{}", holder(&stage));
    assert_eq!((first.metric("leading", ""), second.metric("leading", "")), (1, 0));
    assert_eq!(second.metric("writes_total", ""), 0);
    assert_eq!(second.ask("/readyz").expect("an answer").0, 200, "it knows the cluster all the same");

    // Killed: the lease must run out.
    drop(first);
    let second = second.leads();
    assert!(holder(&stage).starts_with("second-"));
    stage.kubectl(&["delete", "networkpolicies", "--all", "-n", "two-a"]);
    until("the second mends", || (stage.ours("networkpolicies").len() == 2).then_some(()));

    // Ended in an orderly way: the lease is given back, and no operator has to wait.
    let third = stage.operator(&["--identity", "third", "--lease-duration", "60"]);
    second.stop();
    let third = third.leads();
    assert!(holder(&stage).starts_with("third-"));
    third.stop();
    assert_eq!(holder(&stage), "");
}

#[test]
fn one_that_slept_past_its_lease_ends_and_writes_nothing() {
    let stage = Stage::new();
    let mut sleeper = stage.operator(&["--identity", "sleeper"]).leads();
    stage.namespace("slept-a", "slept");
    stage.apply(&pack("slept", "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding("slept", "slept", "1.0.0", ""));
    stage.condition("policybinding", "slept", None, "Enforced", "True");
    sleeper.signal("STOP");
    let successor = stage.operator(&["--identity", "successor"]).leads();
    // While it is suspended the cluster changes; what it remembers is outdated by then.
    stage.apply(&pack("slept", "2.0.0", "198.51.100.0/28"));
    stage.apply(&binding("slept", "slept", "2.0.0", ""));
    let moved = || {
        let all = format!("{:?}", stage.list("networkpolicies", Some("slept-a")));
        (all.contains("198.51.100.0/28") && !all.contains("192.0.2.0/28")).then_some(())
    };
    until("the successor applies the new version", moved);
    sleeper.signal("CONT");
    assert!(!sleeper.ended().success(), "it must say that something is wrong");
    assert!(sleeper.log().contains("ending at once"), "{}", sleeper.log());
    assert!(moved().is_some());
    assert_eq!(successor.metric("drift_repaired_total", ""), 0, "nobody wrote against it");
    assert!(holder(&stage).starts_with("successor-"));
    successor.stop();
}

#[test]
fn an_operator_whose_lease_is_taken_or_deleted_ends() {
    let stage = Stage::new();
    let mut robbed = stage.operator(&["--identity", "robbed"]).leads();
    stage.kubectl(&[
        "patch",
        "lease",
        "bailiwick-operator",
        "-n",
        SYSTEM,
        "--type=merge",
        "-p",
        r#"{"spec": {"holderIdentity": "thief"}}"#,
    ]);
    assert!(!robbed.ended().success());
    assert!(robbed.log().contains("held by `thief`"), "{}", robbed.log());
    let mut bereft = stage.operator(&["--identity", "bereft"]).leads();
    stage.kubectl(&["delete", "lease", "bailiwick-operator", "-n", SYSTEM]);
    assert!(!bereft.ended().success());
    assert!(bereft.log().contains("the lease was deleted"), "{}", bereft.log());
}
