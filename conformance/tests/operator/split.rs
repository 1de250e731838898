//! Webhook configurations that do not fit into one of a kind (`docs/adr/0029-webhook-configurations-that-fit.md`):
//! two real webhooks, and requests all the time while bindings come, change and go.
//!
//! Only the webhooks can deny here: the rule is in Rego, which no admission policy evaluates. So a request that
//! all configurations miss for a moment is admitted, and the test fails. While a pack changes its version, the
//! policy on cells may deny too ([`denied_by`]); for that moment the history of the configurations decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bailiwick_compiler::emit::MAX_SELECTORS;
use bailiwick_conformance::api::Api;
use bailiwick_conformance::programs::Running;
use serde_json::{Value, json};

use crate::packs::binding;
use crate::stage::{Operator, SYSTEM, Stage, condition, until, until_ok};
use crate::webhooks::{Webhook, hooks, operator, ports, state, take_certificate};

/// Packs that are bound; each binding of one has a label of its own.
const PACKS: usize = 3;
/// Bindings before the split: with room for none.
const FEW: usize = MAX_SELECTORS;
/// Bindings after it.
const MANY: usize = MAX_SELECTORS + 8;

const CONTROLS: &str = "networkpolicies,validatingadmissionpolicies,validatingadmissionpolicybindings";

/// A pack that denies pods with its own label.
fn pack(of: usize, version: &str) -> String {
    format!(
        "\
apiVersion: bailiwick.dev/v1alpha1
kind: PolicyPack
metadata: {{name: p{of}-{version}}}
spec:
  pack: p{of}
  version: {version}
  subjects:
    namespaces: {{selector: {{matchLabels: {{bailiwick.dev/zone: split}}}}}}
  admission:
    rules:
    - name: never
      match: {{resources: [{{apiGroups: [\"\"], apiVersions: [v1], resources: [pods], operations: [CREATE]}}]}}
      rego:
        rule: data.never.deny
        source: |
          package never

          deny contains \"a pod says no\" if input.object.metadata.labels[\"no-p{of}\"]
"
    )
}

/// The pack of a binding.
const fn pack_of(one: usize) -> usize {
    one % PACKS
}

/// A binding of one namespace's own label, which no other binding has.
fn bind(stage: &Stage, one: usize, version: &str, team: &str) {
    let narrow = format!(", narrowTo: {{namespaces: {{matchLabels: {{own-{one}: {team}}}}}}}");
    stage.apply(&binding(&format!("b{one}"), &format!("p{}", pack_of(one)), version, &narrow));
}

/// A namespace that these bindings govern.
fn namespace(stage: &Stage, name: &str, bindings: &[usize]) {
    let mut labels = String::from("bailiwick.dev/zone: split");
    for one in bindings {
        write!(labels, ", own-{one}: here").expect("a text");
    }
    stage.apply(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}"
    ));
    // Pods need it, and the controller manager may not have made it yet.
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    let path = format!("/api/v1/namespaces/{name}/serviceaccounts");
    let (status, said) =
        stage.api().ask("POST", &path, "application/json", &account.to_string()).expect("an answer");
    assert!(matches!(status, 201 | 409), "{said}");
}

/// Requests a pod that every pack denies, as a dry run. Returns the packs that denied it, none if an admission
/// policy did; `None`: it was admitted.
fn denied_by(api: &Api, namespace: &str) -> Option<BTreeSet<usize>> {
    let labels: serde_json::Map<String, Value> =
        (0..PACKS).map(|of| (format!("no-p{of}"), json!("x"))).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "p-", "labels": labels },
        "spec": { "automountServiceAccountToken": false, "containers": [{ "name": "main", "image": "registry.example.org/x:1" }] },
    });
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    let (status, answer) = api.ask("POST", &path, "application/json", &pod.to_string()).expect("an answer");
    if status == 201 {
        return None;
    }
    let said = answer["message"].as_str().unwrap_or_default();
    // While a pack changes its version, webhook and admission policies may name a pod's cell differently for a
    // moment; then nobody gets in.
    // So it is while the webhook has not heard of a new namespace.
    if said.contains("is not the pod's own") || said.contains("is not known, so nobody can say") {
        return Some(BTreeSet::new());
    }
    assert!(said.contains("a pod says no"), "{namespace}: {status} {answer}");
    Some((0..PACKS).filter(|of| said.contains(&format!("p{of}@"))).collect())
}

/// The names of the configurations of one kind.
fn configurations(stage: &Stage) -> BTreeSet<String> {
    hooks(stage).iter().map(|one| one["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

fn bound(stage: &Stage, range: std::ops::Range<usize>) {
    for one in range {
        stage.condition("policybinding", &format!("b{one}"), None, "Ready", "True");
    }
}

/// Requests in turn in all namespaces of the first bindings, which are governed all the time.
struct Watch {
    stop: AtomicBool,
    asked: AtomicUsize,
}

/// As many as find a gap of a few milliseconds often, and few enough for a busy machine.
const ASKING: usize = 2;

impl Watch {
    /// Returns what went wrong.
    fn run(&self, api: &Api, from: usize) -> Vec<String> {
        let mut wrong = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            for one in (from..FEW).step_by(ASKING) {
                match denied_by(api, &format!("split-{one}")) {
                    None => wrong.push(format!("split-{one} admitted it")),
                    Some(packs) if !packs.is_empty() && !packs.contains(&pack_of(one)) => {
                        wrong.push(format!("split-{one} was judged by {packs:?}"));
                    }
                    Some(_) => {}
                }
                self.asked.fetch_add(1, Ordering::Relaxed);
            }
        }
        wrong
    }

    /// Waits until each namespace was asked about once more.
    fn round(&self) {
        let before = self.asked.load(Ordering::Relaxed);
        until("another round of requests", || {
            (self.asked.load(Ordering::Relaxed) >= before + 2 * FEW).then_some(())
        });
    }
}

/// Whether a webhook is called for the creation of every pod in the namespace of a binding, at this path, and
/// denies it without an answer.
fn asks_about_pods(hook: &Value, path: &str, one: usize) -> bool {
    let empty =
        |member: &str| hook.get(member).is_none_or(|value| *value == json!({}) || *value == json!([]));
    let has = |of: &Value, word: &str| of.as_array().is_some_and(|all| all.contains(&json!(word)));
    let creates = |rule: &Value| {
        has(&rule["operations"], "CREATE")
            && has(&rule["resources"], "pods")
            && has(&rule["apiGroups"], "")
            && has(&rule["apiVersions"], "v1")
            && rule["scope"] == "*"
    };
    hook["failurePolicy"] == "Fail"
        && hook["clientConfig"]["url"].as_str().is_some_and(|url| url.ends_with(path))
        && empty("objectSelector")
        && empty("matchConditions")
        && hook["rules"].as_array().expect("rules").iter().any(creates)
        && selects(&hook["namespaceSelector"], one)
}

/// Whether a selector selects the namespace of a binding.
fn selects(selector: &Value, one: usize) -> bool {
    let labels = BTreeMap::from([
        ("bailiwick.dev/zone".to_owned(), "split".to_owned()),
        (format!("own-{one}"), "here".to_owned()),
        ("kubernetes.io/metadata.name".to_owned(), format!("split-{one}")),
    ]);
    let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.all(|(key, value)| labels.get(key).is_some_and(|label| value == label))
        && terms.all(|term| {
            let label = labels.get(term["key"].as_str().expect("a key"));
            let listed = label.is_some_and(|label| {
                term["values"].as_array().is_some_and(|values| values.contains(&json!(label)))
            });
            match term["operator"].as_str().expect("an operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => label.is_some(),
                "DoesNotExist" => label.is_none(),
                other => panic!("{other}"),
            }
        })
}

/// Every state that the configurations of a kind go through, as the API server tells it to its own watch, and
/// so in the order in which it obeys them.
struct History {
    _running: Running,
    kind: &'static str,
    file: PathBuf,
}

impl History {
    fn of(stage: &Stage, kind: &'static str) -> Self {
        let file = stage.folder.path().join(kind);
        let mut command = stage.cluster().kubectl_command();
        command.args(["get", kind, "--watch", "--output-watch-events", "--output", "json"]);
        let running =
            Running::start(command.stdin(Stdio::null()).stdout(File::create(&file).expect("a file")));
        let history = Self { _running: running.expect("kubectl runs"), kind, file };
        until("the watch tells of what there is", || history.events().first().map(drop));
        history
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).expect("the events");
        // The last may not be whole yet.
        serde_json::Deserializer::from_str(&text).into_iter().map_while(Result::ok).collect()
    }

    /// In each state some configuration asks about pods of each of the first bindings. Returns how many states
    /// there were.
    fn is_whole(&self, path: &str) -> usize {
        let (mut state, events) = (BTreeMap::new(), self.events());
        for event in &events {
            let name = event["object"]["metadata"]["name"].as_str().expect("a name");
            match event["type"].as_str() {
                Some("DELETED") => drop(state.remove(name)),
                _ => drop(state.insert(name, &event["object"]["webhooks"])),
            }
            let asks = |one: usize| {
                let mut hooks = state.values().flat_map(|hooks| hooks.as_array().expect("webhooks"));
                hooks.any(|asked| asks_about_pods(asked, path, one))
            };
            let missed: Vec<usize> = (0..FEW).filter(|one| !asks(*one)).collect();
            assert!(missed.is_empty(), "{}: {missed:?} after {} {name}", self.kind, event["type"]);
        }
        events.len()
    }
}

/// Everything armed with as many bindings as one configuration holds.
fn armed(stage: &Stage, ports: [u16; 2]) -> (Operator, [Webhook; 2]) {
    let operator = operator(stage, ports, &["--lease-duration", "120"]).leads();
    take_certificate(stage, stage.folder.path());
    for of in 0..PACKS {
        stage.apply(&pack(of, "1.0.0"));
    }
    for one in 0..MANY {
        namespace(stage, &format!("split-{one}"), &[one]);
    }
    for one in 0..FEW {
        bind(stage, one, "1.0.0", "here");
    }
    let webhooks = ports.map(|port| Webhook::start(stage, port));
    until("it is armed", || (state(stage)? == "armed").then_some(()));
    bound(stage, 0..FEW);
    (operator, webhooks)
}

#[test]
fn bindings_come_change_and_go_and_no_governed_namespace_is_unjudged_for_a_moment() {
    let stage = Stage::new();
    let ports = ports();
    let (operator, _webhooks) = armed(&stage, ports);
    assert_eq!(configurations(&stage), ["bailiwick".to_owned()].into());
    let judges = |namespace: &str, packs: &[usize]| {
        let expected: BTreeSet<usize> = packs.iter().copied().collect();
        until_ok(&format!("{namespace} is judged by {expected:?}"), || {
            let packs = denied_by(stage.api(), namespace);
            if packs.as_ref() == Some(&expected) { Ok(()) } else { Err(format!("by {packs:?}")) }
        });
    };
    for one in 0..FEW {
        judges(&format!("split-{one}"), &[pack_of(one)]);
    }
    let watch = Watch { stop: AtomicBool::new(false), asked: AtomicUsize::new(0) };
    let histories =
        [("mutatingwebhookconfigurations", "/mutate"), ("validatingwebhookconfigurations", "/validate")];
    let histories = histories.map(|(kind, path)| (History::of(&stage, kind), path));
    let wrong = std::thread::scope(|scope| {
        let (api, watch) = (stage.api(), &watch);
        let running: Vec<_> = (0..ASKING).map(|from| scope.spawn(move || watch.run(api, from))).collect();
        // A failure must end the requests, or the threads are waited for.
        let ran = catch_unwind(AssertUnwindSafe(|| come_change_and_go(&stage, watch, &judges)));
        watch.stop.store(true, Ordering::Relaxed);
        let wrong: Vec<String> =
            running.into_iter().flat_map(|one| one.join().expect("the requests")).collect();
        ran.unwrap_or_else(|panic| resume_unwind(panic));
        wrong
    });
    assert!(
        wrong.is_empty(),
        "{} of {}: {:?}",
        wrong.len(),
        watch.asked.load(Ordering::Relaxed),
        wrong.first()
    );
    for (history, path) in &histories {
        // Split in two steps at least, and united in as many.
        assert!(history.is_whole(path) >= 6, "{:?}", history.events().len());
    }
    nothing_is_left(&stage);
    operator.stop();
}

fn come_change_and_go(stage: &Stage, watch: &Watch, judges: &dyn Fn(&str, &[usize])) {
    watch.round();
    // One more than one configuration holds, and then more: half of the webhooks move to another one.
    for one in FEW..MANY {
        bind(stage, one, "1.0.0", "here");
    }
    bound(stage, 0..MANY);
    let several = configurations(stage);
    assert!(several.contains("bailiwick-1"), "{several:?}");
    for one in 0..MANY {
        judges(&format!("split-{one}"), &[pack_of(one)]);
    }
    // Each webhook is in one configuration.
    let names: Vec<String> = hooks(stage)
        .iter()
        .flat_map(|one| one["webhooks"].as_array().expect("webhooks").clone())
        .map(|hook| hook["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{names:?}");
    assert!(names.iter().all(|name| !name.starts_with("before-")), "{names:?}");
    // A namespace of several bindings, whose webhooks are in different configurations, is judged by all.
    namespace(stage, "split-both", &[0, 1, FEW, FEW + 1]);
    judges("split-both", &[0, 1, pack_of(FEW), pack_of(FEW + 1)]);
    watch.round();

    // Another version of a pack, other values of a selector, and other requests that a pack asks about.
    stage.apply(&pack(0, "2.0.0").replace("resources: [pods]", "resources: [pods, services]"));
    for one in (0..MANY).filter(|one| pack_of(*one) == 0) {
        bind(stage, one, "2.0.0", "here");
    }
    bind(stage, MANY - 1, "1.0.0", "other");
    bound(stage, 0..MANY);
    until("a namespace that is governed no more", || {
        denied_by(stage.api(), &format!("split-{}", MANY - 1)).is_none().then_some(())
    });
    watch.round();

    // Back into one configuration, with the namespaces of the watch governed all the time.
    let going: Vec<String> = (FEW..MANY).map(|one| format!("b{one}")).collect();
    let going: Vec<&str> = going.iter().map(String::as_str).collect();
    stage.kubectl(&[&["delete", "policybinding"][..], &going].concat());
    until("one configuration is left", || (configurations(stage).len() == 1).then_some(()));
    assert_eq!(state(stage).as_deref(), Some("armed"), "fewer configurations are no deletion by hand");
    bound(stage, 0..FEW);
    watch.round();
}

/// After the last binding has gone, what is left asks about our own kinds alone.
fn nothing_is_left(stage: &Stage) {
    stage.kubectl(&["delete", "policybindings", "--all"]);
    until("everything is pruned", || stage.ours(CONTROLS).is_empty().then_some(()));
    let own = |hook: &Value| hook["name"].as_str().is_some_and(|name| name.contains("-own."));
    until("nothing is asked about", || {
        let hooks = hooks(stage);
        let mut all = hooks.iter().flat_map(|one| one["webhooks"].as_array().expect("webhooks"));
        (hooks.len() == 2 && all.all(own)).then_some(())
    });
    for one in [0, FEW - 1, FEW] {
        assert_eq!(denied_by(stage.api(), &format!("split-{one}")), None);
    }
    let record = stage.get("configmap", "bailiwick-arming", Some(SYSTEM)).expect("the record");
    assert_eq!(record["data"], json!({ "state": "armed" }));
    let pack = stage.condition("policypack", "p0-1.0.0", None, "Compiled", "True");
    assert!(condition(&pack, "Compiled").is_some());
}

/// The check of the history does see a webhook that leaves something out.
#[test]
fn a_webhook_that_leaves_requests_out_is_not_taken_for_one_that_asks() {
    let good = json!({
        "failurePolicy": "Fail", "clientConfig": { "url": "https://127.0.0.1:1/mutate" }, "objectSelector": {},
        "namespaceSelector": { "matchLabels": { "bailiwick.dev/zone": "split" }, "matchExpressions": [
            { "key": "own-1", "operator": "In", "values": ["here", "there"] },
            { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] },
        ] },
        "rules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "*",
        }],
    });
    assert!(asks_about_pods(&good, "/mutate", 1) && !asks_about_pods(&good, "/mutate", 2));
    for (at, value) in [
        ("/failurePolicy", json!("Ignore")),
        ("/clientConfig/url", json!("https://127.0.0.1:1/own/validate")),
        ("/objectSelector", json!({ "matchLabels": { "a": "b" } })),
        ("/namespaceSelector/matchLabels", json!({ "bailiwick.dev/zone": "other" })),
        ("/namespaceSelector/matchExpressions/0/values", json!(["there"])),
        ("/namespaceSelector/matchExpressions/0/operator", json!("DoesNotExist")),
        ("/rules/0/operations", json!(["UPDATE"])),
        ("/rules/0/resources", json!(["pods/status"])),
        ("/rules/0/scope", json!("Cluster")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(at).expect("a member") = value;
        assert!(!asks_about_pods(&bad, "/mutate", 1), "{at}");
    }
}
