//! A secret that crosses the limit of a sandbox's output: its first bytes are kept, without the text that a
//! rule looks for.

use bailiwick_conformance::programs::Executor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::phases::with_rules;
use crate::stage::Caller;

/// Three bytes fewer than the limit for the output of `shell.exec`, followed by a secret on one of the two
/// streams.
fn astride(stream: u8) -> String {
    format!("head -c 65533 /dev/zero | tr '\\0' x; printf hunter2 >&{stream}")
}

/// What a client received of both streams, one after the other: from the events of a stream, or from a call.
fn decoded<'v>(got: impl IntoIterator<Item = &'v Value>) -> Vec<u8> {
    let texts = got.into_iter().flat_map(|one| [&one["data"], &one["stdout"], &one["stderr"]]);
    let texts = texts.filter_map(Value::as_str);
    texts.flat_map(|text| STANDARD.decode(text).expect("base64")).collect()
}

/// Every way to read a call's output: the stream, polls from the beginning and from an offset, the answer,
/// its repeat, and the repeat as a stream.
fn every_way(executor: &Executor, command: &str) -> Vec<(&'static str, Vec<u8>)> {
    let caller = Caller::new(executor);
    let running = caller.start(executor, "shell.exec", json!({ "command": command }));
    let path = running.path.clone();
    let events = running.rest();
    let mut got = vec![("the stream", decoded(&events))];
    let get = |query: &str| -> Value {
        let answer = executor.client().expect("a connection").get(&format!("{path}{query}"));
        serde_json::from_slice(&answer.expect("an answer").body).expect("JSON")
    };
    got.push(("a poll", decoded([&get("")])));
    got.push(("a poll from an offset", decoded([&get("?stdout=65530")])));
    let body = json!({ "tool": "shell.exec", "args": { "command": command } }).to_string();
    for (what, query) in [("the answer", ""), ("its repeat", ""), ("its repeat as a stream", "?stream=true")]
    {
        let headers = [("content-type", "application/json"), ("idempotency-key", "once")];
        let calls = format!("/v1/sessions/{}/calls{query}", caller.session);
        let mut client = executor.client().expect("a connection");
        let answer = client.request("POST", &calls, &headers, body.as_bytes()).expect("an answer");
        let text = String::from_utf8(answer.body).expect("UTF-8");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        got.push((what, decoded(&lines)));
    }
    got
}

#[test]
fn a_secret_astride_the_limit_of_the_output_reaches_nobody_where_a_rule_withholds_it() {
    let deny = "    - {name: no-keys, tools: [shell.exec], phase: Result, deny: {}, when: \"[result.stdout, result.stderr].exists(text, text.contains('hunter2'))\"}\n";
    let redact = "    - {name: no-keys, tools: [shell.exec], phase: Result, transform: {result: \"{'stdout': result.stdout.replace('hunter2', '***'), \
        'stderr': result.stderr.replace('hunter2', '***')}\"}}\n";
    for rules in ["", deny, redact] {
        let stage = with_rules(rules);
        let executor = stage.start(&[]);
        for stream in [1, 2] {
            for (what, got) in every_way(&executor, &astride(stream)) {
                if rules.is_empty() {
                    assert!(
                        got.ends_with(b"hun"),
                        "without a rule {what} has the leading part: {} bytes",
                        got.len()
                    );
                } else {
                    assert!(got.is_empty(), "{what}, stream {stream}: {} bytes", got.len());
                }
            }
        }
        let mut caller = Caller::new(&executor);
        let call = caller.shell(&astride(1));
        assert_eq!(call["outcome"]["outputDropped"], 4, "{}", call["outcome"]);
        if !rules.is_empty() {
            let reason = call["resultDecision"]["reason"].as_str().expect("a reason");
            assert!(reason.contains("was cut"), "{reason}");
            // Where nothing is cut, all of it is delivered.
            let whole = caller.shell("printf 'hunter'");
            assert_eq!(decoded([&whole]), b"hunter", "{whole}");
        }
    }
}
