//! What a pool's pod does, and what it rejects if a documented setting is missing.

use serde_json::{Value, json};

use crate::stage::{NAMESPACE, Stage, probed, ready, said};

/// Both in one test: a node is started once.
#[test]
#[ignore = "needs a node: make test-cluster"]
fn a_pool_pod_runs_calls_decided_and_recorded() {
    let stage = Stage::new();
    stage.apply(&stage.pod("good"));
    for (name, change) in changes() {
        let mut pod = stage.pod(name);
        change(&mut pod);
        stage.apply(&pod);
    }
    serves(&stage);
    refuses(&stage);
}

fn serves(stage: &Stage) {
    let pod = stage.wait("good", "ready", ready);
    let found = probed(&pod).expect("a report in the pod's status");
    assert_eq!((&found["tier"], &found["cgroup"]), (&json!("PodUserNs"), &Value::Null), "{found}");
    let sandboxes = found["sandboxes"].as_array().expect("sandboxes");
    assert!(sandboxes.len() == 2 && sandboxes.iter().all(|one| one["refused"].is_null()), "{found}");

    let call = |tool: &str, args: Value, more: &[&str]| {
        let args = args.to_string();
        let fixed = ["run", "--socket", "/run/bailiwick/call/call.sock", "--tool", tool, "--args", &args];
        stage.executor("good", &[&fixed[..], more].concat())
    };
    let listed = call("shell.exec", json!({ "command": "ls / | cat; id" }), &[]);
    assert_eq!(listed.status.code(), Some(0), "{}", said(&listed));
    let text = said(&listed);
    assert!(text.contains("uid=1000") && text.contains("work"), "{text}");
    // Neither the program nor its state and sockets are visible inside.
    assert!(!text.contains("bailiwick") && !text.contains("var"), "{text}");

    let code = "import os, socket\nprint(len([p for p in os.listdir('/proc') if p.isdigit()]))\n\
        try:\n    socket.create_connection(('10.96.0.1', 443), 2)\n    print('connected')\nexcept OSError as error:\n    print('no network')\n";
    let python = call("python.run", json!({ "code": code }), &["--format", "json"]);
    let answer: Value = serde_json::from_slice(&python.stdout).expect("JSON");
    assert_eq!(
        (&answer["decision"]["effect"], &answer["outcome"]["code"]),
        (&json!("Allow"), &json!(0)),
        "{answer}"
    );
    assert_eq!(answer["decision"]["policyDigest"], json!(stage.policy));
    assert_eq!(answer["durable"], json!("result"));
    let printed = crate::stage::decoded(&answer["stdout"]);
    let mut lines = printed.lines();
    let processes: u32 = lines.next().and_then(|line| line.parse().ok()).expect("a number");
    assert!(processes <= 3, "the sandbox sees {processes} processes");
    assert_eq!(lines.next(), Some("no network"));

    let denied = call("shell.exec", json!({ "command": "rm -rf /work" }), &[]);
    assert!(said(&denied).contains("denied: ") && !denied.status.success(), "{}", said(&denied));

    recorded(stage);

    // The same user outside would be one of the machine's.
    let map = stage
        .cluster
        .kubectl(["exec", "-n", NAMESPACE, "good", "-c", "executor", "--", "cat", "/proc/self/uid_map"], "");
    let map = map.expect("a map");
    let outside: u64 = map.split_whitespace().nth(1).and_then(|id| id.parse().ok()).expect("an id");
    assert!(outside >= 65_536, "{map}");
}

/// The log that the pod wrote, copied out of the pod.
fn recorded(stage: &Stage) {
    let state = stage.copy_state("good");
    // 6: the executor still writes, so the log has no seal.
    let verified = stage.verify(&state);
    assert!(matches!(verified.status.code(), Some(0 | 6)), "{}", said(&verified));
    let segments: Vec<_> = std::fs::read_dir(state.join("segments"))
        .expect("segments")
        .map(|entry| entry.expect("a segment").path())
        .collect();
    let text: String =
        segments.iter().map(|path| std::fs::read_to_string(path).expect("a segment")).collect();
    for part in ["shell.exec", "python.run", stage.policy.as_str()] {
        assert!(text.contains(part), "`{part}` is not on record");
    }
    let segment = segments.first().expect("a segment");
    let changed =
        std::fs::read_to_string(segment).expect("a segment").replacen("python.run", "python.ran", 1);
    std::fs::write(segment, changed).expect("written");
    assert_eq!(stage.verify(&state).status.code(), Some(4));
}

type Change = fn(&mut Value);

/// Pods that lack one setting each.
fn changes() -> [(&'static str, Change); 4] {
    let unmask: Change = |pod| {
        for container in ["initContainers", "containers"] {
            pod["spec"][container][0]["securityContext"]["procMount"] = json!("Default");
        }
    };
    [
        ("default-filter", |pod| {
            pod["spec"]["securityContext"]["seccompProfile"] = json!({ "type": "RuntimeDefault" })
        }),
        ("masked-proc", unmask),
        ("another-digest", |pod| {
            let args = pod["spec"]["containers"][0]["args"].as_array_mut().expect("arguments");
            for arg in args {
                if arg.as_str().is_some_and(|arg| arg.starts_with("--expect-digest")) {
                    *arg = json!(format!("--expect-digest={}", "0".repeat(64)));
                }
            }
        }),
        ("no-profile", |pod| {
            pod["spec"]["securityContext"]["seccompProfile"]["localhostProfile"] =
                json!("bailiwick/nowhere.json");
        }),
    ]
}

fn refuses(stage: &Stage) {
    let waits = |name: &str, says: &str| {
        stage.wait(name, says, |pod| probed(pod).is_some() && !ready(pod));
        let pod = stage.wait(name, says, |pod| probed(pod).is_some());
        let found = probed(&pod).expect("a report").to_string();
        assert!(found.contains(says), "{name}: {found}");
        assert!(
            !ready(&pod) && pod["status"]["containerStatuses"][0]["started"] != json!(true),
            "{name} serves"
        );
    };
    waits("default-filter", "process-start");
    waits("masked-proc", "procMount: Unmasked");
    // Its probe finds nothing wrong; the executor itself rejects the bundle.
    let ended = |pod: &Value| {
        let status = &pod["status"]["containerStatuses"][0];
        ["state", "lastState"].iter().any(|at| status[*at]["terminated"]["exitCode"] == json!(1))
    };
    let pod = stage.wait("another-digest", "refused", ended);
    assert!(!ready(&pod));
    let log = stage.cluster.kubectl_raw(["logs", "-n", NAMESPACE, "another-digest"], "").expect("a log");
    assert!(said(&log).contains(&stage.policy), "{}", said(&log));
    let waiting = |pod: &Value| {
        pod["status"]["initContainerStatuses"][0]["state"]["waiting"]["reason"]
            == json!("CreateContainerError")
    };
    stage.wait("no-profile", "refused", waiting);
}
