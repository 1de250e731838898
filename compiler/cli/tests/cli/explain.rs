//! `bailiwick explain` on decisions: about calls, about manifests, and about records of an audit log.

use std::collections::BTreeSet;

use bailiwick_audit::{Mode, Opening};
use serde_json::Value;

use crate::book::{Book, compiled, shell};
use crate::json::members;
use crate::replay::edited;
use crate::stage::{PACK, Stage, printed, root};

fn explained(stage: &Stage, args: &[&str]) -> (Option<i32>, Value) {
    let output = stage.run(&[&["explain", "--format", "json"], args].concat());
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", printed(&output)));
    (output.status.code(), said)
}

fn rule<'a>(said: &'a Value, name: &str) -> &'a Value {
    let rules = said["rules"].as_array().expect("rules");
    rules.iter().find(|rule| rule["rule"] == name).unwrap_or_else(|| panic!("no `{name}` in {said:#}"))
}

fn parts(rule: &Value) -> Vec<&Value> {
    let expressions = rule["expressions"].as_array().expect("expressions");
    expressions.iter().flat_map(|one| one["parts"].as_array().expect("parts")).collect()
}

/// The values of the part with this text.
fn values(rule: &Value, text: &str) -> Value {
    let found = parts(rule).into_iter().find(|part| part["text"] == text);
    found.unwrap_or_else(|| panic!("no part `{text}` in {rule:#}"))["values"].clone()
}

#[test]
fn a_call_shows_every_part_with_its_value_and_the_rule_that_decides() {
    let stage = Stage::new();
    let (code, said) =
        explained(&stage, &["--call", "{tool: shell.exec, args: {command: git push -f}}", PACK]);
    assert_eq!((code, &said["verdict"]), (Some(4), &Value::from("Deny")));
    assert_eq!(said["because"][0]["rule"], "no-forced-push");
    let deciding: Vec<&Value> =
        said["rules"].as_array().expect("rules").iter().filter(|rule| rule["decides"] == true).collect();
    assert_eq!(deciding.len(), 1, "{said:#}");
    assert_eq!(deciding[0]["rule"], "no-forced-push");
    let push = rule(&said, "no-forced-push");
    let truth = |text: &str| serde_json::json!([{"value": {"type": "bool", "text": text}}]);
    assert_eq!(values(push, "'push' in c.args"), truth("true"));
    assert_eq!(values(push, "c.name")[0]["value"]["text"], "\"git\"");
    let ranged = values(push, "a.matches('^([+:]|--(for|m($|i)|de|pru|std)|-[^-mo]*[dDf])')");
    assert_eq!(ranged.as_array().map(Vec::len), Some(2), "one for each argument: {ranged}");
    assert_eq!(rule(&said, "read-only-shell")["outcome"], "its condition is false");
    assert_eq!(rule(&said, "shell-rate")["outcome"], "within its limit");
    // Rules over other tools do not apply.
    assert!(said["rules"].as_array().expect("rules").iter().all(|rule| rule["rule"] != "run-python"));
}

const RESULTS: &str = r#"apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {name: results-1.0.0}
spec:
  pack: results
  version: 1.0.0
  subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}, unmatched: Deny}
  pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}]
  sandboxes:
  - {name: shell, pool: warm, filesystem: {readOnly: [/usr, /bin], writable: [{path: /tmp, size: 1Mi}]}, syscalls: {profile: Shell}, limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}
  tools:
    definitions:
    - {name: files.list, input: {type: object, additionalProperties: false, properties: {}}, run: {sandbox: shell, argv: [{value: /bin/ls}]}}
    rules:
    - {name: closed, tools: [files.list], when: "subject.agent == 'mallory'", deny: {}}
    - {name: open, tools: [files.list], allow: {}}
    - {name: keys, tools: [files.list], phase: Result, transform: {result: "{'stdout': result.stdout.replace('key', '***')}"}}
    - {name: failed, tools: [files.list], phase: Result, when: "result.exitCode == 7", deny: {reason: it failed}}
"#;

/// What `bailiwick test` says of a result, with the values of the rules about it.
#[test]
fn a_result_shows_what_the_caller_gets_and_why() {
    let stage = Stage::new();
    stage.write("results/pack.yaml", RESULTS);
    let of = |rest: &str| {
        explained(&stage, &["--call", &format!("{{tool: files.list, args: {{}}, {rest}}}"), "results"])
    };
    let (code, said) = of("result: {stdout: a key}");
    assert_eq!((code, &said["verdict"]), (Some(0), &Value::from("Delivered")), "{said:#}");
    assert_eq!(said["about"], "the result of files.list");
    assert_eq!(said["notes"][0], "standard output becomes \"a ***\"");
    assert_eq!(rule(&said, "keys")["decides"], true);
    assert_eq!(rule(&said, "failed")["outcome"], "its condition is false");
    assert!(said["rules"].as_array().expect("rules").iter().all(|rule| rule["rule"] != "open"), "{said:#}");
    let (code, said) = of("result: {stdout: a key, exitCode: 7}");
    assert_eq!((code, &said["verdict"]), (Some(4), &Value::from("Withheld")), "{said:#}");
    assert_eq!(said["because"][0]["rule"], "failed");
    let truth = serde_json::json!([{"value": {"type": "bool", "text": "true"}}]);
    assert_eq!(values(rule(&said, "failed"), "result.exitCode == 7"), truth);
    assert_eq!(rule(&said, "failed")["decides"], true);
    // A call that is not allowed has no result.
    let (code, said) = of("subject: {agent: mallory}, result: {stdout: x}");
    assert_eq!((code, &said["verdict"]), (Some(4), &Value::from("Deny")), "{said:#}");
    assert_eq!(said["notes"][0], "the call is not allowed, so it has no result");
}

/// Every node of a condition but its constants is there once, in the order and the depth of the text, with what it came to each time.
#[test]
fn a_condition_is_shown_with_all_its_parts() {
    let condition = "subject.groups.size() > 1 + 1 ? call.tool.contains('x') : !(subject.agent == 'mallory') && [1, 2].exists(i, i == session.calls) || has(subject.labels.team)";
    let stage = Stage::new();
    stage.write("results/pack.yaml", &RESULTS.replace("subject.agent == 'mallory'", condition));
    let (_, said) = explained(&stage, &["--call", "{tool: files.list, args: {}}", "results"]);
    let shown = |part: &&Value| {
        let values = part["values"].as_array().expect("values").iter();
        let values: Vec<&str> = values.filter_map(|one| one["value"]["text"].as_str()).collect();
        // Whole variables are long; their members follow.
        let values = if values.iter().any(|value| value.starts_with('{')) {
            "{…}".to_owned()
        } else {
            values.join(", ")
        };
        format!("{} {} = {values}", part["depth"], part["text"].as_str().expect("a text"))
    };
    let found: Vec<String> = parts(rule(&said, "closed")).iter().map(shown).collect();
    let (_, otherwise) = condition.split_once(" : ").expect("two branches");
    let (both, _) = otherwise.split_once(" || ").expect("two operands");
    let expected = [
        format!("0 {condition} = false"),
        "1 subject.groups.size() > 1 + 1 = false".to_owned(),
        "2 subject.groups.size() = 0".to_owned(),
        "3 subject.groups = []".to_owned(),
        "4 subject = {…}".to_owned(),
        // Not evaluated.
        "1 call.tool.contains('x') = ".to_owned(),
        "2 call.tool = ".to_owned(),
        "3 call = ".to_owned(),
        format!("1 {otherwise} = false"),
        format!("2 {both} = false"),
        "3 !(subject.agent == 'mallory') = true".to_owned(),
        "4 (subject.agent == 'mallory') = false".to_owned(),
        "5 subject.agent = \"\"".to_owned(),
        "6 subject = {…}".to_owned(),
        "3 [1, 2].exists(i, i == session.calls) = false".to_owned(),
        "4 i == session.calls = false, false".to_owned(),
        "5 i = 1, 2".to_owned(),
        "5 session.calls = 0, 0".to_owned(),
        "6 session = {…}".to_owned(),
        "2 has(subject.labels.team) = false".to_owned(),
        "3 subject.labels = {…}".to_owned(),
        "4 subject = {…}".to_owned(),
    ];
    assert_eq!(found, expected);
}

/// Each part is where the output says it is.
#[test]
fn the_place_of_a_part_is_where_its_text_is() {
    let stage = Stage::new();
    let (_, said) = explained(&stage, &["--call", "{tool: shell.exec, args: {command: ls}}", PACK]);
    assert_eq!(said["verdict"], "Allow", "{said:#}");
    let mut looked = 0;
    for rule in said["rules"].as_array().expect("rules") {
        for expression in rule["expressions"].as_array().expect("expressions") {
            let file = expression["file"].as_str().expect("a file");
            let text = std::fs::read_to_string(stage.path(file)).expect("the file");
            for part in expression["parts"].as_array().expect("parts") {
                let number = |name: &str| part[name].as_u64().expect("a number") as usize;
                let line = text.lines().nth(number("line") - 1).expect("the line");
                let there: String = line.chars().skip(number("column") - 1).collect();
                let word = part["text"].as_str().expect("a text").split(' ').next().expect("a word");
                assert!(there.starts_with(word), "{file}: `{word}` but `{there}`");
                looked += 1;
            }
        }
    }
    assert!(looked > 10, "only {looked} parts");
}

#[test]
fn opaque_values_and_errors_are_shown_as_such_and_what_was_not_reached_too() {
    let stage = Stage::new();
    let (code, said) =
        explained(&stage, &["--call", "{tool: shell.exec, args: {command: $X --force}}", PACK]);
    assert_eq!(code, Some(4), "{said:#}");
    let push = rule(&said, "no-forced-push");
    let shown: Vec<String> = parts(push).iter().map(|part| part["values"].to_string()).collect();
    assert!(shown.iter().any(|values| values.contains("\"opaque\"")), "{push:#}");
    assert!(shown.iter().any(|values| values.contains("\"error\":\"the value is opaque\"")), "{push:#}");
    assert!(
        push["outcome"].as_str().is_some_and(|outcome| outcome.starts_with("cannot be evaluated")),
        "{push:#}"
    );
    let human =
        printed(&stage.run(&["explain", "--call", "{tool: shell.exec, args: {command: $X --force}}", PACK]));
    assert!(human.contains("(error: the value is opaque)") && human.contains("(opaque)"), "{human}");
    let (_, said) = explained(&stage, &["--call", "{tool: shell.exec, args: {command: ls}}", PACK]);
    let push = rule(&said, "no-forced-push");
    assert_eq!(values(push, "'push' in c.args"), serde_json::json!([]), "behind a false operand");
}

#[test]
fn a_manifest_is_taken_apart_as_the_webhook_judges_it() {
    let stage = Stage::new();
    let namespaces = format!("{PACK}/tests/cluster/namespaces.yaml");
    let review = |pod: &str| {
        let pod = format!("{PACK}/tests/pods/{pod}.yaml");
        explained(&stage, &["--review", &pod, "--namespaces", &namespaces, PACK])
    };
    let (code, said) = review("too-large");
    assert_eq!((code, &said["verdict"]), (Some(4), &Value::from("Deny")));
    let ceiling = rule(&said, "memory-ceiling");
    assert_eq!(ceiling["decides"], true);
    assert_eq!(values(ceiling, "variables.tooLarge.size() == 0")[0]["value"]["text"], "false");
    let variable = &ceiling["expressions"].as_array().expect("expressions")[0];
    assert_eq!(variable["variable"], "tooLarge");
    assert_eq!(values(ceiling, "quantity(params.memoryCeiling)")[0]["value"]["text"], "2Gi");
    let (code, said) = review("good");
    assert_eq!((code, &said["verdict"]), (Some(0), &Value::from("Allow")), "{said:#}");
    assert!(said["rules"].as_array().expect("rules").iter().all(|rule| rule["decides"] == false));
}

#[test]
fn a_recorded_decision_is_made_again_from_its_record() {
    let stage = Stage::new();
    let bundle = compiled(&stage, &[PACK], "dist");
    let mut book = Book::new(&stage, &bundle, Mode::Commit);
    book.open("s");
    book.call("s", "one", "shell.exec", &shell("ls /work"));
    let denied = book.call("s", "two", "shell.exec", &shell("git push --force")).to_string();
    book.seal();
    let recorded = |pack: &str, more: &[&str]| {
        explained(&stage, &[&["--log", "log", "--record", &denied][..], more, &[pack]].concat())
    };
    let (code, said) = recorded(PACK, &[]);
    assert_eq!((code, &said["verdict"]), (Some(4), &Value::from("Deny")));
    assert_eq!((&said["record"]["samePolicy"], &said["record"]["sameEffect"]), (&true.into(), &true.into()));
    assert_eq!(values(rule(&said, "no-forced-push"), "'push' in c.args")[0]["value"]["text"], "true");
    assert_eq!(recorded(&bundle, &[]).1["record"]["samePolicy"], true);
    // If the text is missing, there is no place, but the parts are still shown.
    assert!(values(rule(&recorded(&bundle, &[]).1, "no-forced-push"), "c.name").is_array());

    // Without its opening the record shows no value, and the output says what is missing.
    let kept = std::fs::read_to_string(stage.path("log/disclosures/00000001.jsonl")).expect("openings");
    std::fs::remove_dir_all(stage.path("log/disclosures")).expect("openings");
    let (code, said) = recorded(PACK, &[]);
    assert_eq!(code, Some(6), "{said:#}");
    assert!(said["argumentsCommitment"].is_string() && said["record"]["effect"] == "Deny", "{said:#}");
    assert!(!said.to_string().contains("push --force"), "{said:#}");

    // A user who has the arguments can supply them; the salt proves that they are the same.
    let openings = kept.lines().filter_map(|line| serde_json::from_str::<Opening>(line).ok());
    let mut openings = openings.filter(|one| one.seq.to_string() == denied && one.field == "arguments");
    let salt = openings.next().expect("an opening of the arguments").salt.to_string();
    let given = r#"{"command": "git push --force"}"#;
    let (code, said) = recorded(PACK, &["--args", given, "--salt", &salt]);
    assert_eq!((code, &said["record"]["sameEffect"]), (Some(4), &true.into()), "{said:#}");
    assert!(!said["notes"].to_string().contains("not proved"), "{said:#}");
    let (_, said) = recorded(PACK, &["--args", given]);
    assert!(said["notes"].to_string().contains("not proved"), "{said:#}");
    let other = stage.run(&[
        "explain",
        "--log",
        "log",
        "--record",
        &denied,
        "--args",
        r#"{"command": "ls"}"#,
        "--salt",
        &salt,
        PACK,
    ]);
    assert_eq!(other.status.code(), Some(1));
    assert!(printed(&other).contains("not the arguments of record"), "{}", printed(&other));
}

#[test]
fn the_counters_of_a_rebuilt_call_are_the_sum_of_the_records_before() {
    let stage = Stage::new();
    let bundle = compiled(&stage, &[PACK], "dist");
    let mut book = Book::new(&stage, &bundle, Mode::Drop);
    book.open("s");
    let mut last = 0;
    for call in 0..21 {
        last = book.call("s", &format!("call-{call}"), "shell.exec", &shell("ls"));
    }
    book.seal();
    let last = last.to_string();
    let args = ["--log", "log", "--record", &last, "--args", "{command: ls}", PACK];
    let (code, said) = explained(&stage, &args);
    assert_eq!((code, &said["because"][0]["reason"]), (Some(4), &Value::from("throttled")), "{said:#}");
    assert_eq!(rule(&said, "shell-rate")["decides"], true);
    assert!(said["notes"].to_string().contains("it keeps none"), "{said:#}");
}

#[test]
fn every_member_of_an_explanation_is_documented() {
    let stage = Stage::new();
    let page = std::fs::read_to_string(root().join("docs/formats/json.md")).expect("docs/formats/json.md");
    let namespaces = format!("{PACK}/tests/cluster/namespaces.yaml");
    let pod = format!("{PACK}/tests/pods/too-large.yaml");
    let mut seen = BTreeSet::new();
    for args in [
        &["--call", "{tool: shell.exec, args: {command: git push -f}}", PACK][..],
        &["--review", &pod, "--namespaces", &namespaces, PACK],
    ] {
        let mut said = explained(&stage, args).1;
        assert_eq!(said["version"], 1);
        // Facts are those of the language.
        said.as_object_mut().expect("an object").remove("facts");
        members(&said, &mut seen);
    }
    for member in seen {
        let (alone, within) = (format!("`{member}`"), format!(".{member}`"));
        assert!(page.contains(&alone) || page.contains(&within), "docs/formats/json.md lacks `{member}`");
    }
}

#[test]
fn what_is_no_decision_is_not_explained() {
    let stage = Stage::new();
    let bundle = compiled(&stage, &[PACK], "dist");
    let mut book = Book::new(&stage, &bundle, Mode::Plain);
    book.open("s");
    let seq = book.call("s", "one", "shell.exec", &shell("ls")).to_string();
    drop(book);
    let run = |args: &[&str]| stage.run(&[&["explain"], args].concat());
    for (args, said) in [
        (&["--log", "log", "--record", "1", PACK][..], "nothing was decided in record 1"),
        (&["--log", "log", "--record", "999", PACK], "no record 999"),
        (&["--call", "{tol: x}", PACK], "the call is not what"),
        (&["--review", "nowhere.yaml", PACK], "cannot open"),
        (&["--call", "{tool: x}"], "required"),
        (
            &["--call", "{tool: shell.exec, args: {command: ls}, session: {labels: [nowhere]}}", PACK],
            "no pack has a label `nowhere`",
        ),
        (
            &["--call", "{tool: shell.exec, args: {command: ls}, session: {before: [{tool: other}]}}", PACK],
            "defines `other`",
        ),
        (
            &[
                "--call",
                "{tool: shell.exec, args: {command: ls}, session: {before: [{tool: shell.exec, args: {command: git push -f}}]}}",
                PACK,
            ],
            "`session.before[0]` (`shell.exec`) is denied by restricted-agent@0.2.0/no-forced-push",
        ),
    ] {
        let output = run(args);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {}", printed(&output));
        assert!(printed(&output).contains(said), "{args:?}: {}", printed(&output));
    }
    // A record that was changed is not explained.
    let path = stage.path("log/segments/00000001.jsonl");
    let text = std::fs::read_to_string(&path).expect("the segment");
    std::fs::write(&path, text.replacen("\"Allow\"", "\"Allou\"", 1)).expect("it is written");
    let output = run(&["--log", "log", "--record", &seq, PACK]);
    assert!(printed(&output).contains("the log is damaged"), "{}", printed(&output));
    assert_eq!(output.status.code(), Some(1));
}

/// The record's policy has no counter of this name, so its tallies do not help.
#[test]
fn under_other_packs_counters_are_counted_along_the_log_or_it_is_said_that_they_are_not() {
    let stage = Stage::new();
    let bundle = compiled(&stage, &[PACK], "dist");
    let mut book = Book::new(&stage, &bundle, Mode::Commit);
    book.open("s");
    let mut last = 0;
    for call in 0..5 {
        last = book.call("s", &format!("ls-{call}"), "shell.exec", &shell("ls /work"));
    }
    book.seal();
    let other = edited(
        &stage,
        &[
            ("counters: [{name: shellCalls, window: 60s}]", "counters: [{name: fewer, scope: Session}]"),
            ("throttle: {counter: shellCalls, max: 20}", "throttle: {counter: fewer, max: 3}"),
        ],
    );
    let last = last.to_string();
    let under = |pack: &str| {
        explained(&stage, &["--log", "log", "--record", &last, "--library", "policy-packs", pack])
    };
    let (code, said) = under(PACK);
    assert_eq!(
        (code, &said["verdict"], &said["notes"]),
        (Some(0), &"Allow".into(), &Value::from(Vec::<Value>::new()))
    );
    let (code, said) = under(other);
    assert_eq!((code, &said["verdict"]), (Some(4), &"Deny".into()), "{said:#}");
    assert_eq!(said["because"][0]["reason"], "throttled", "{said:#}");
    assert!(said["notes"][0].as_str().is_some_and(|note| note.contains("counted along the log")), "{said:#}");
    // Without the inputs of an earlier call that cannot be counted.
    let path = stage.path("log/disclosures/00000001.jsonl");
    let text = std::fs::read_to_string(&path).expect("the openings");
    let seq = |line: &str| serde_json::from_str::<Value>(line).expect("an opening")["seq"].as_u64();
    let first = text.lines().filter(|line| line.contains("\"inputs\\\"")).filter_map(seq).min();
    let kept = text.lines().filter(|line| seq(line) != first).map(|line| format!("{line}\n"));
    std::fs::write(&path, kept.collect::<String>()).expect("they are written");
    let (code, said) = under(other);
    assert_eq!((code, &said["verdict"]), (Some(0), &"Allow".into()), "{said:#}");
    let note = said["notes"][0].as_str().expect("a note");
    assert!(note.contains("not what these packs would have counted"), "{note}");
}
