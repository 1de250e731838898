//! The content of the rendered chart, without a cluster.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::helm::{Helm, images, said};

/// Kinds served by the cluster; a `PolicyTest` is a file next to a pack.
const KINDS: [&str; 4] =
    ["policypacks.yaml", "policybindings.yaml", "policyexceptions.yaml", "sandboxpools.yaml"];

#[test]
fn the_kinds_are_those_of_the_crate() {
    let folder = Helm::chart().join("files/crds");
    let made = bailiwick_crds::schema::crds().expect("kinds");
    for name in KINDS {
        let (_, text) = made.iter().find(|(file, _)| *file == name).expect("a kind");
        let path = folder.join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, text).expect("written");
        }
        let there = std::fs::read_to_string(&path).expect("a kind in the chart");
        assert!(there == *text, "{} is stale: make bless", path.display());
    }
    let there: BTreeSet<String> = std::fs::read_dir(&folder)
        .expect("the chart's kinds")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    assert_eq!(there, KINDS.map(str::to_owned).into());
}

/// The oldest version of Kubernetes that the chart accepts.
fn oldest_minor() -> u32 {
    let text = std::fs::read_to_string(Helm::chart().join("Chart.yaml")).expect("Chart.yaml");
    let chart: Value = serde_saphyr::from_str(&text).expect("YAML");
    let accepted = chart["kubeVersion"].as_str().expect("a version").to_owned();
    let minor = accepted.strip_prefix(">=1.").and_then(|rest| rest.strip_suffix(".0-0"));
    minor.and_then(|minor| minor.parse().ok()).unwrap_or_else(|| panic!("{accepted}"))
}

#[test]
fn everything_that_names_a_version_of_kubernetes_names_the_same() {
    let (oldest, root) = (oldest_minor(), Helm::chart().join("../.."));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect(path);
    for page in ["docs/guide/cluster.md", "charts/bailiwick/README.md"] {
        assert!(read(page).contains(&format!("Kubernetes 1.{oldest} or newer")), "{page}");
    }
    // What is tested is what the test cluster is, and no older than what is accepted.
    let go = read("conformance/cluster/go.mod");
    let tested =
        go.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v1.")).expect("go.mod");
    let tested: u32 = tested.split('.').next().and_then(|minor| minor.parse().ok()).expect("a version");
    assert!(tested >= oldest);
    assert!(read("docs/guide/cluster.md").contains(&format!("(tested with 1.{tested})")));
    // Pods of pools are judged by this version; an older server takes it for its own.
    let pools = read("charts/bailiwick/templates/pools.yaml");
    assert!(pools.contains(&format!("pod-security.kubernetes.io/enforce-version: v1.{oldest}\n")), "{pools}");
}

/// Helm refuses the chart for a cluster that is too old.
fn old_clusters_are_refused(helm: &Helm, chart: &str) {
    let images = images();
    let render = |version: u32| {
        let version = format!("1.{version}.0");
        let fixed = ["template", "bailiwick", chart, "-n", "bailiwick-system", "--kube-version", &version];
        let images: Vec<&str> = images.iter().map(String::as_str).collect();
        helm.run(None, &[&fixed[..], &images].concat())
    };
    let accepted = render(oldest_minor());
    assert!(accepted.status.success(), "{}", said(&accepted));
    let refused = render(oldest_minor() - 1);
    assert!(!refused.status.success() && said(&refused).contains("kubeVersion"), "{}", said(&refused));
}

#[test]
fn helm_renders_what_was_meant() {
    let Some(helm) = Helm::new() else { return };
    let chart = Helm::chart();
    let chart = chart.to_str().expect("UTF-8");
    old_clusters_are_refused(&helm, chart);
    values_that_are_refused(&helm, chart);
    let lint: Vec<String> =
        ["lint", "--strict", chart].map(str::to_owned).into_iter().chain(images()).collect();
    let lint: Vec<&str> = lint.iter().map(String::as_str).collect();
    let linted = helm.run(None, &lint);
    assert!(linted.status.success(), "{}", said(&linted));

    let objects = helm.render(&["--set", "poolNamespaces={agents-pool}"]);
    kinds_are_whole(&objects);
    roles_are_narrow(&objects);
    pods_are_confined(&objects);
    let of = |kind: &str, name: &str| {
        let found = objects.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let webhook = of("Deployment", "bailiwick-webhook");
    assert!(webhook["spec"]["replicas"].as_u64() >= Some(2), "{webhook}");
    assert_eq!(webhook["spec"]["template"]["spec"]["priorityClassName"], "system-cluster-critical");
    for name in ["bailiwick-webhook", "bailiwick-operator"] {
        assert_eq!(of("PodDisruptionBudget", name)["spec"]["maxUnavailable"], 1, "{name}");
    }
    what_the_operator_is_told(&helm);
    assert_eq!(
        of("Namespace", "agents-pool")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "baseline"
    );
    // On nodes with IPv4, with IPv6 and with both.
    for name in ["bailiwick-webhook", "bailiwick-operator"] {
        let args = &of("Deployment", name)["spec"]["template"]["spec"]["containers"][0]["args"];
        let listens: Vec<&str> =
            args.as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
        assert!(listens.iter().any(|arg| arg.starts_with("--listen=[::]:")), "{name}: {listens:?}");
    }
    // A closed namespace is closed completely.
    let closed = of("NetworkPolicy", "bailiwick-pools");
    assert_eq!(closed["spec"], json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }));

    who_reaches_the_webhook(&helm, of("NetworkPolicy", "bailiwick-webhook"));

    let kept = helm.render(&["--set", "crds.keep=true", "--set", "node.installer=false"]);
    let crds = kept.iter().filter(|one| one["kind"] == "CustomResourceDefinition");
    assert!(crds.clone().all(|one| one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"));
    assert_eq!(crds.count(), KINDS.len());
    assert!(!kept.iter().any(|one| one["kind"] == "DaemonSet"));
}

/// Values for the operator come as its arguments, by default with its own defaults; one replica has no budget.
fn what_the_operator_is_told(helm: &Helm) {
    let told = |sets: &[&str]| {
        let objects = helm.render(sets);
        let budgets = objects.iter().filter(|one| one["kind"] == "PodDisruptionBudget").count();
        let operator = objects
            .iter()
            .find(|one| one["kind"] == "Deployment" && one["metadata"]["name"] == "bailiwick-operator");
        let args =
            operator.expect("the operator")["spec"]["template"]["spec"]["containers"][0]["args"].clone();
        let args: Vec<String> = serde_json::from_value(args).expect("arguments");
        (
            args.into_iter()
                .filter(|arg| arg.contains("-webhook-") || arg.contains("-pool-"))
                .collect::<Vec<_>>(),
            budgets,
        )
    };
    let plain = ["--min-webhook-replicas=2", "--pool-user-namespaces=on", "--pool-state-bytes=10737418240"];
    assert_eq!(told(&[]), (plain.map(str::to_owned).to_vec(), 2));
    let set = "webhook.replicas=3,webhook.minReplicas=3,pools.userNamespaces=false,pools.stateGiB=100,operator.replicas=1";
    let set_so =
        ["--min-webhook-replicas=3", "--pool-user-namespaces=off", "--pool-state-bytes=107374182400"];
    assert_eq!(told(&["--set", set]), (set_so.map(str::to_owned).to_vec(), 1));
}

/// Everybody, or only the operator and the addresses that are named.
fn who_reaches_the_webhook(helm: &Helm, open: &Value) {
    let rule = json!([{ "ports": [{ "port": 8443, "protocol": "TCP" }] }]);
    assert_eq!(open["spec"]["ingress"], rule);
    let named = helm.render(&["--set", "webhook.callers={192.0.2.0/28,2001:db8::/64}"]);
    let closed = named
        .iter()
        .find(|one| one["metadata"]["name"] == open["metadata"]["name"] && one["kind"] == open["kind"]);
    let closed = &closed.expect("the same policy")["spec"]["ingress"];
    assert_eq!(closed[0]["ports"], rule[0]["ports"]);
    let operator =
        json!({ "podSelector": { "matchLabels": { "app.kubernetes.io/component": "bailiwick-operator" } } });
    let block = |cidr: &str| json!({ "ipBlock": { "cidr": cidr } });
    assert_eq!(closed[0]["from"], json!([operator, block("192.0.2.0/28"), block("2001:db8::/64")]));
    assert_eq!(closed.as_array().map(Vec::len), Some(1));
}

fn values_that_are_refused(helm: &Helm, chart: &str) {
    let digest = "0".repeat(64);
    for (set, says) in [
        // A tag may be moved.
        ("images.webhook=localhost/webhook:latest".to_owned(), "images/webhook"),
        (format!("images.webhook=localhost/webhook@sha256:{digest},webhook.replicas=1"), "replicas"),
        ("webhook.replica=3".to_owned(), "replica"),
        ("webhook.minReplicas=3".to_owned(), "webhook.minReplicas"),
        ("webhook.minReplicas=0".to_owned(), "minReplicas"),
        ("pools.userNamespaces=on".to_owned(), "userNamespaces"),
        ("pools.stateGiB=0".to_owned(), "stateGiB"),
        ("poolNamespaces={Agents}".to_owned(), "poolNamespaces"),
        ("webhook.callers={api.example.org}".to_owned(), "callers"),
    ] {
        let mut args: Vec<String> = ["template", "bailiwick", chart].map(str::to_owned).into();
        args.extend(images());
        args.extend(["--set".to_owned(), set.clone()]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = helm.run(None, &args);
        assert!(!output.status.success() && said(&output).contains(says), "{set}: {}", said(&output));
    }
}

#[test]
fn scripts_find_an_api_server_by_either_kind_of_address() {
    for script in ["uninstall", "seccomp_installer"] {
        for (host, url) in
            [("192.0.2.1", "https://192.0.2.1:443"), ("2001:db8::1", "https://[2001:db8::1]:443")]
        {
            let output = std::process::Command::new("python3")
                .args(["-B", "-c", &format!("import {script}; print({script}.server())")])
                .current_dir(Helm::chart().join("files"))
                .env("PYTHONPATH", ".")
                .env("KUBERNETES_SERVICE_HOST", host)
                .env("KUBERNETES_SERVICE_PORT", "443")
                .env("BAILIWICK_NAMESPACE", "bailiwick-system")
                .output()
                .expect("python3 runs");
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), url, "{script}: {}", said(&output));
        }
    }
}

/// Whatever is JSON there has actions: a pod can ask for each file as its profile, and a runtime takes `{}` for none.
/// A namespace that does not answer keeps no profile of another from the node, and of those there its own alone. That
/// survives a new start of the program.
#[test]
fn profiles_are_installed_and_removed_by_what_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "\
import json, os, platform, urllib.error
import seccomp_installer as installer
installer.FOLDER = os.environ['FOLDER']
def profile(name):
    path = {'bailiwick.dev/profile-path': f'bailiwick/{name}.json'}
    return {'metadata': {'name': f'bailiwick-seccomp-{name}', 'annotations': path}, 'data': {f'{platform.machine()}.json': '{}' if name == 'empty' else '{\"defaultAction\": \"SCMP_ACT_ERRNO\"}'}}
def is_json(name):
    try: json.loads(open(f'{installer.FOLDER}/{name}').read())
    except ValueError: return False
    return True
def there(**lists):
    def listed(namespace):
        if lists[namespace] is None:
            raise urllib.error.HTTPError('', 403, 'Forbidden', None, None)
        return [profile(name) for name in lists[namespace]]
    installer.listed = listed
    installer.install(installer.published())
    print(sorted(name[:-5] for name in filter(is_json, os.listdir(installer.FOLDER))))
os.environ['BAILIWICK_POOL_NAMESPACES'] = 'null'
there(null=[])
os.environ['BAILIWICK_POOL_NAMESPACES'] = 'a b'
there(a=['empty', 'one', 'same'], b=['two', 'same'])
there(a=None, b=['two', 'three', 'same'])
there(a=None, b=['three'])
there(a=None, b=[])
there(a=['four'], b=['three'])
os.unlink(f'{installer.FOLDER}/.named')
there(a=None, b=['five'])
there(a=None, b=[])
there(a=[], b=[])
";
    let output = std::process::Command::new("python3")
        .args(["-B", "-c", script])
        .env("PYTHONPATH", Helm::chart().join("files"))
        .env("FOLDER", folder.path())
        .env("BAILIWICK_POOL_NAMESPACES", "a b")
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let folders: Vec<&str> = told.lines().filter(|line| line.starts_with('[')).collect();
    let expected = [
        // The name of that namespace is JSON, and stands there alone.
        "[]",
        "['one', 'same', 'two']",
        "['one', 'same', 'three', 'two']",
        // It does not answer, and the other goes on.
        "['one', 'same', 'three']",
        "['one', 'same']",
        "['four', 'three']",
        // Nothing is known of it, so it may name what is there.
        "['five', 'four', 'three']",
        "['four', 'three']",
        "[]",
    ];
    assert_eq!(folders, expected, "{}", said(&output));
    assert!(said(&output).contains("a does not answer and keeps its profiles"), "{}", said(&output));
}

/// Not one byte of a kind is lost on its way through Helm.
fn kinds_are_whole(objects: &[Value]) {
    for (file, text) in bailiwick_crds::schema::crds().expect("kinds") {
        if KINDS.contains(&file.as_str()) {
            let kind: Value = serde_saphyr::from_str(&text).expect("YAML");
            assert!(objects.contains(&kind), "{file} is not rendered as it is");
        }
    }
}

/// No role can do anything that it does not name, nor give itself more rights. What the operator writes
/// outside of admission, it writes only where a RoleBinding allows it.
fn roles_are_narrow(objects: &[Value]) {
    let roles = objects.iter().filter(|one| one["kind"] == "ClusterRole" || one["kind"] == "Role");
    let mut seen = 0;
    for role in roles {
        for rule in role["rules"].as_array().expect("rules") {
            seen += 1;
            let words = |member: &str| {
                rule[member].as_array().expect("a list").iter().map(|one| one.as_str().expect("a word"))
            };
            let all: Vec<&str> = words("apiGroups").chain(words("resources")).chain(words("verbs")).collect();
            for never in [
                "*",
                "escalate",
                "bind",
                "impersonate",
                "deletecollection",
                "pods/exec",
                "clusterroles",
                "rolebindings",
            ] {
                assert!(!all.contains(&never), "{}: {rule}", role["metadata"]["name"]);
            }
            if role["kind"] == "ClusterRole" {
                assert!(!all.contains(&"secrets"), "{}: {rule}", role["metadata"]["name"]);
            }
        }
    }
    assert!(seen > 15, "{seen} rules");
    what_is_only_watched_is_not_asked_for(objects);
    what_pools_need_is_bound_for_pools_alone(objects);
    let wide = objects
        .iter()
        .find(|one| one["kind"] == "ClusterRole" && one["metadata"]["name"] == "bailiwick-operator");
    for rule in wide.expect("the operator's role")["rules"].as_array().expect("rules") {
        let has = |member: &str, word: &str| {
            rule[member].as_array().is_some_and(|list| list.contains(&json!(word)))
        };
        if has("resources", "configmaps") || has("resources", "deployments") {
            assert!(!has("verbs", "create") && !has("verbs", "patch"), "{rule}");
        }
    }
}

/// The operator may write Deployments and ConfigMaps in namespaces of pools, and in no other; and there alone the nodes
/// may list ConfigMaps.
fn what_pools_need_is_bound_for_pools_alone(objects: &[Value]) {
    for role in ["bailiwick-operator-pools", "bailiwick-node"] {
        let bindings = |kind: &str| {
            objects
                .iter()
                .filter(|one| one["kind"] == kind && one["roleRef"]["name"] == role)
                .map(|one| &one["metadata"]["namespace"])
                .collect::<Vec<_>>()
        };
        assert!(bindings("ClusterRoleBinding").is_empty(), "{role}");
        assert_eq!(bindings("RoleBinding"), ["agents-pool"], "{role}");
    }
}

/// No role may get objects one by one that its program does not read so: the webhook gets the pod of a
/// connection, and no other of these.
fn what_is_only_watched_is_not_asked_for(objects: &[Value]) {
    let watched = ["namespaces", "pods", "policypacks", "policybindings", "policyexceptions", "sandboxpools"];
    for role in objects.iter().filter(|one| one["kind"] == "ClusterRole" || one["kind"] == "Role") {
        let name = role["metadata"]["name"].as_str().expect("a name");
        for rule in role["rules"].as_array().expect("rules") {
            let has =
                |member: &str, word: &str| rule[member].as_array().expect("a list").contains(&json!(word));
            let watched = watched.iter().filter(|one| has("resources", one));
            let got: Vec<_> = watched.filter(|_| has("verbs", "get")).collect();
            if ["bailiwick-operator", "bailiwick-webhook"].contains(&name) {
                let connects = name == "bailiwick-webhook" && got == [&"pods"];
                assert!(got.is_empty() || connects, "{name}: {rule}");
            }
        }
    }
}

/// Every container of the chart is confined, and every image is by digest.
fn pods_are_confined(objects: &[Value]) {
    let templates = objects.iter().filter_map(|one| Some((one, one["spec"]["template"].get("spec")?)));
    let mut seen = 0;
    for (object, pod) in templates {
        let name = &object["metadata"]["name"];
        for container in pod["containers"].as_array().expect("containers") {
            seen += 1;
            let security = &container["securityContext"];
            assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
            assert_eq!(security["allowPrivilegeEscalation"], json!(false), "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], json!(true), "{name}");
            assert!(container["image"].as_str().is_some_and(|image| image.contains("@sha256:")), "{name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        }
        let only_the_installer = object["kind"] == "DaemonSet";
        assert_eq!(pod["securityContext"]["runAsNonRoot"] == json!(true), !only_the_installer, "{name}");
        assert!(pod.get("hostNetwork").is_none() && pod.get("hostPID").is_none(), "{name}");
    }
    assert_eq!(seen, 4);
}
