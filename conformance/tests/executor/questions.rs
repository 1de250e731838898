//! Unanswered questions: they end on record when their time is over, and release their places.

use std::sync::Arc;

use bailiwick_conformance::patience::until;
use bailiwick_executor::clock::BehindLog;
use bailiwick_executor::docket::Docket;
use bailiwick_policy::bundle;
use bailiwick_policy::tool::{EffectRecord, LoadedPolicy, MAX_PENDING, Subject, ToolCall};
use serde_json::json;

use crate::stage::{Caller, Stage, own_pack};

fn subject() -> Subject {
    Subject { agent: "coder".to_owned(), user: "dana@example.org".to_owned(), ..Subject::default() }
}

fn asking(number: usize) -> ToolCall {
    let word = "abcdefghijklmnopqrstuvwxyz".get(number..=number).expect("a letter");
    let arguments = json!({ "word": word }).to_string();
    ToolCall::parse(&format!("c-{number}"), "s-1", subject(), "asked.run", arguments.as_bytes())
        .expect("a call")
}

#[test]
fn a_question_ends_at_its_time_and_its_place_is_free_again() {
    let stage = Stage::new(&own_pack());
    let bundle = std::fs::read(stage.path().join("bundle.json")).expect("the bundle");
    let policy = LoadedPolicy::of_bundle(bundle::load(&bundle).expect("a bundle")).expect("a policy");
    let docket = Docket::open(&stage.path().join("state"), Arc::new(policy), None, BehindLog::Refused);
    let docket = docket.expect("a docket");
    docket.open_session("s-1", &subject()).expect("a session");
    let mut expires_ms = 0;
    for number in 0..MAX_PENDING {
        let ruling = docket.rule(&asking(number), None, None).expect("a ruling");
        let EffectRecord::Ask(request) = ruling.record.effect else {
            panic!("not asked: {:?}", ruling.record)
        };
        expires_ms = request.expires_ms;
    }
    let ruling = docket.rule(&asking(MAX_PENDING), None, None).expect("a ruling");
    assert!(matches!(ruling.record.effect, EffectRecord::Deny(_)), "every place is taken");
    // The first questions were asked before the last one, so some may lapse earlier; none does a minute
    // before.
    assert_eq!(docket.withdraw_lapsed(expires_ms - 60_000).expect("recorded"), Vec::<String>::new());
    let mut withdrawn = docket.withdraw_lapsed(expires_ms).expect("recorded");
    withdrawn.dedup();
    assert_eq!(withdrawn.len(), MAX_PENDING);
    assert_eq!(docket.withdraw_lapsed(expires_ms).expect("recorded"), Vec::<String>::new(), "once");
    let ruling = docket.rule(&asking(MAX_PENDING + 1), None, None).expect("a ruling");
    assert!(matches!(ruling.record.effect, EffectRecord::Ask(_)), "{:?}", ruling.record);
    drop(docket);
    let records = stage.records();
    let ends = records.iter().filter(|record| record["kind"] == "approval" && record["effect"] == "Deny");
    assert_eq!(ends.clone().count(), MAX_PENDING);
    assert!(ends.clone().all(|end| end["outcome"] == "nobody approved in time"), "{ends:?}");
    assert!(matches!(stage.verify().0, Some(0 | 6)), "{}", stage.verify().1);
    let replayed = stage.bailiwick(&["audit", "replay", "state", "--bundle", "bundle.json"]);
    assert_eq!(
        replayed.status.code(),
        Some(0),
        "the fold takes withdrawals: {}",
        crate::stage::said(&replayed)
    );
}

#[test]
fn a_server_withdraws_what_nobody_answers() {
    let stage = Stage::new(&own_pack());
    let executor = stage.start(&[]);
    let mut caller = Caller::new(&executor);
    let (status, asked) = caller.call("asked.briefly", json!({}));
    assert_eq!(status, 202, "{asked}");
    let id = asked["decision"]["approval"]["id"].as_str().expect("an id").to_owned();
    let ended = until("the question is withdrawn on record", || {
        let records = stage.records();
        records
            .into_iter()
            .find(|record| record["kind"] == "approval" && record["approval"]["id"] == json!(id))
    });
    let ended = ended.expect("a record");
    assert_eq!((&ended["effect"], &ended["call"]), (&json!("Deny"), &asked["id"]), "{ended}");
    let (status, refused) = caller.send(json!({ "tool": "asked.briefly", "args": {}, "approval": id }), "");
    assert_eq!((status, &refused["error"]), (404, &json!("unknown-approval")), "{refused}");
    assert_eq!(caller.call("asked.briefly", json!({})).0, 202, "it is asked anew");
}
