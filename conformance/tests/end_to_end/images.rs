//! Signed images, with the real programs: a real registry, images that a real cosign signed, the webhook, and
//! the API server.

use std::process::Command;
use std::sync::Arc;

use bailiwick_conformance::cluster::Cluster;
use bailiwick_conformance::guest::Guest;
use bailiwick_conformance::patience::until;
use bailiwick_conformance::programs::{self, Webhook};
use bailiwick_conformance::registry::{self, Api, Registry};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::stage::Stage;

const SUBJECT: &str = "https://git.example.org/agents/.workflows/release.yml@refs/tags/v1";

/// A pack whose pods run images of one registry, by an entry with these further fields.
fn pack(host: &str, entry: &str) -> String {
    pack_of(&[(host, entry)])
}

/// The same of several registries, each with its entry's fields.
fn pack_of(entries: &[(&str, &str)]) -> String {
    let entry = |(host, fields): &(&str, &str)| format!("  - {{match: ['{host}/agents/**'], {fields}}}\n");
    let entries: String = entries.iter().map(entry).collect();
    format!(
        "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nmetadata: {{name: signed-1.0.0}}\nspec:\n  pack: signed\n  version: 1.0.0\n  \
         subjects:\n    namespaces: {{selector: {{matchLabels: {{bailiwick.dev/zone: agents}}}}}}\n    unmatched: Deny\n  \
         images:\n{entries}"
    )
}

fn signed_by_key() -> String {
    let pem = std::fs::read_to_string(registry::content().join("ours.pub")).expect("a key");
    let key = json!(pem).to_string();
    format!("digest: Resolve, require: [{{signature: {{identity: {{publicKey: {key}}}}}}}]")
}

fn signed_by_identity() -> String {
    let root = std::fs::read_to_string(registry::content().join("trust-root.json")).expect("a trust root");
    let root = json!(root).to_string();
    format!(
        "digest: Resolve, require: [{{signature: {{identity: {{issuer: 'https://issuer.example.org', subject: '{SUBJECT}', trustRoot: {root}}}}}}}]"
    )
}

fn by_key(host: &str) -> String {
    pack(host, &signed_by_key())
}

fn by_identity(host: &str) -> String {
    pack(host, &signed_by_identity())
}

fn settings(hosts: &[&str]) -> String {
    let of = |host: &&str| json!({"host": host, "plainHttp": true, "addresses": ["127.0.0.1"]});
    json!({"registries": hosts.iter().map(of).collect::<Vec<_>>()}).to_string()
}

/// The webhook with a pack, configured to talk to the registry.
fn serve(pack: &str, registry: &Registry) -> (Stage, Webhook) {
    serve_of(pack, &[registry.host()])
}

fn serve_of(pack: &str, hosts: &[&str]) -> (Stage, Webhook) {
    let stage = Stage::of_pack(pack);
    std::fs::write(stage.path().join("registries.json"), settings(hosts)).expect("the settings");
    let webhook = stage.webhook();
    (stage, webhook)
}

fn pod(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "agents"}, "spec": spec})
}

fn running(images: &[&str]) -> Value {
    let containers =
        images.iter().enumerate().map(|(at, image)| json!({"name": format!("c{at}"), "image": image}));
    pod(&json!({"containers": containers.collect::<Vec<_>>()}))
}

/// The answer of one of the endpoints for the creation of an object.
fn ask(webhook: &Webhook, path: &str, object: &Value) -> Value {
    let (group, resource) = match object["kind"].as_str() {
        Some("Deployment") => ("apps", "deployments"),
        _ => ("", "pods"),
    };
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": "CREATE", "namespace": "agents", "name": "p", "userInfo": {"username": "admin"},
        "kind": {"group": group, "version": "v1", "kind": object["kind"]},
        "resource": {"group": group, "version": "v1", "resource": resource}, "object": object}});
    let mut client = webhook.client().expect("a connection");
    let answer =
        client.post(&format!("{path}?timeout=5s"), review.to_string().as_bytes()).expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    answer["response"].clone()
}

/// The object after `/mutate`, or why there is none.
fn mutated(webhook: &Webhook, object: &Value) -> Result<Value, String> {
    let response = ask(webhook, "/mutate", object);
    if response["allowed"] != true {
        return Err(message(&response));
    }
    let mut object = object.clone();
    let patch = response["patch"].as_str().unwrap_or("W10=");
    let patch = base64::prelude::BASE64_STANDARD.decode(patch).expect("base64");
    let patch: Value = serde_json::from_slice(&patch).expect("a patch");
    for operation in patch.as_array().expect("a list") {
        let path = operation["path"].as_str().expect("a path");
        let (parent, last) = path.rsplit_once('/').expect("a pointer");
        let last = last.replace("~1", "/").replace("~0", "~");
        match object.pointer_mut(parent).expect("the parent") {
            Value::Object(members) => drop(members.insert(last, operation["value"].clone())),
            other => panic!("{operation} in {other}"),
        }
    }
    Ok(object)
}

/// What the API server would do: mutate, then validate. `Ok`: the object that is stored.
fn admit(webhook: &Webhook, object: &Value) -> Result<Value, String> {
    let object = mutated(webhook, object)?;
    let response = ask(webhook, "/validate", &object);
    if response["allowed"] == true { Ok(object) } else { Err(message(&response)) }
}

fn message(response: &Value) -> String {
    response["status"]["message"].as_str().unwrap_or_default().to_owned()
}

fn first_image(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default()
}

fn metric(webhook: &Webhook, name: &str) -> u64 {
    let answer = webhook.client().expect("a connection").get("/metrics").expect("metrics");
    let text = String::from_utf8(answer.body).expect("UTF-8");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().parse().expect("a number")
}

#[test]
fn what_was_signed_is_admitted_by_digest_and_nothing_else_is() {
    for api in [Api::Tags, Api::Referrers] {
        let Some(registry) = Registry::start(api).expect("a registry") else { return };
        let image = |tag: &str| format!("{}/agents/app:{tag}", registry.host());
        let cases = [
            (by_key(registry.host()), "signed", None),
            (by_key(registry.host()), "both", None),
            (by_key(registry.host()), "other-key", Some("is signed by none of the keys that count")),
            (by_key(registry.host()), "unsigned", Some("is not signed by the key")),
            (by_key(registry.host()), "attested", Some("is an attestation of type")),
            (by_key(registry.host()), "identity", Some("is signed by a certificate")),
            (by_key(registry.host()), "absent", Some("is not in registry")),
            (by_identity(registry.host()), "identity", None),
            (by_identity(registry.host()), "both", None),
            (
                by_identity(registry.host()),
                "other-identity",
                Some(
                    "it is signed by `https://git.example.org/agents/.workflows/release.yml@refs/heads/feature`",
                ),
            ),
            (by_identity(registry.host()), "signed", Some("is signed by none of the keys that count")),
            (by_identity(registry.host()), "unsigned", Some("is not signed by")),
        ];
        for (text, tag, refusal) in cases {
            let (_stage, webhook) = serve(&text, &registry);
            let admitted = admit(&webhook, &running(&[&image(tag)]));
            match (refusal, admitted) {
                (None, Ok(pod)) => {
                    assert_eq!(
                        first_image(&pod),
                        format!("{}@{}", image(tag), registry.digest(tag)),
                        "{api:?}"
                    );
                }
                (Some(expected), Err(said)) => assert!(said.contains(expected), "{api:?} {tag}: {said}"),
                (expected, found) => panic!("{api:?} {tag}: {expected:?}, {found:?}"),
            }
        }
    }
}

#[test]
fn a_moved_tag_changes_nothing_that_was_judged_and_everything_that_was_not() {
    let Some(registry) = Registry::start(Api::Tags).expect("a registry") else { return };
    let image = format!("{}/agents/app:release", registry.host());
    registry.tag("release", registry.digest("signed")).expect("a tag");
    let (_stage, webhook) = serve(&by_key(registry.host()), &registry);
    let before = mutated(&webhook, &running(&[&image])).expect("mutated");
    // Between the two webhooks, an attacker moves the tag to another image.
    registry.tag("release", registry.digest("unsigned")).expect("a tag");
    assert_eq!(first_image(&before), format!("{image}@{}", registry.digest("signed")));
    assert_eq!(ask(&webhook, "/validate", &before)["allowed"], true, "the digest was judged, not the tag");
    // A pod that is created after the tag was moved gets the new image, and is denied.
    let said = admit(&webhook, &running(&[&image])).unwrap_err();
    assert!(said.contains(registry.digest("unsigned")) && said.contains("is not signed"), "{said}");
    // Without /mutate, an image by tag is not admitted.
    let said = message(&ask(&webhook, "/validate", &running(&[&image])));
    assert!(said.contains("is not pinned by a digest"), "{said}");
    // Without the control the attack succeeds: the same pods under a pack that requires nothing.
    let (_stage, lax) = serve(&pack(registry.host(), "digest: Any"), &registry);
    assert_eq!(first_image(&admit(&lax, &running(&[&image])).expect("admitted")), image);
    let (_stage, pinned) = serve(&pack(registry.host(), "digest: Resolve"), &registry);
    assert!(admit(&pinned, &running(&[&image])).is_ok(), "unsigned, but pinned");
}

#[test]
fn every_image_of_a_pod_and_of_a_template_is_judged() {
    let Some(registry) = Registry::start(Api::Referrers).expect("a registry") else { return };
    let image = |tag: &str| format!("{}/agents/app:{tag}", registry.host());
    let (_stage, webhook) = serve(&by_key(registry.host()), &registry);
    let places = |other: &str| {
        let good = json!({"name": "a", "image": image("signed")});
        let container = json!({"name": "b", "image": image(other)});
        [
            json!({"containers": [good, container]}),
            json!({"containers": [good], "initContainers": [container]}),
            json!({"containers": [good], "ephemeralContainers": [container]}),
            json!({"containers": [good], "volumes": [{"name": "v", "image": {"reference": image(other)}}]}),
        ]
    };
    let deployment = |spec: &Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "p", "namespace": "agents"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}})
    };
    for (good, bad) in places("both").iter().zip(places("unsigned")) {
        let stored = admit(&webhook, &pod(good)).unwrap_or_else(|said| panic!("{good}: {said}"));
        let tags = stored.to_string().matches(":both@sha256:").count();
        assert_eq!(tags, 1, "its digest was written in: {stored}");
        let said = admit(&webhook, &pod(&bad)).unwrap_err();
        assert!(said.contains("is not signed"), "{bad}: {said}");
        // A template is judged and left as it is.
        assert_eq!(ask(&webhook, "/validate", &deployment(good))["allowed"], true, "{good}");
        assert!(message(&ask(&webhook, "/validate", &deployment(&bad))).contains("is not signed"), "{bad}");
    }
}

#[test]
fn eight_containers_with_one_image_are_one_verification() {
    let Some(registry) = Registry::start(Api::Referrers).expect("a registry") else { return };
    let image = format!("{}/agents/app:signed", registry.host());
    let (_stage, webhook) = serve(&by_key(registry.host()), &registry);
    admit(&webhook, &running(&[image.as_str(); 8])).expect("admitted");
    assert_eq!(metric(&webhook, "bailiwick_webhook_image_evidence_total{source=\"registry\"}"), 1);
    // Four requests: the tag's manifest, the list, the referrer, the bundle.
    assert_eq!(metric(&webhook, "bailiwick_webhook_registry_requests_total"), 4);
}

#[test]
fn without_its_registry_an_image_is_refused_unless_its_digest_is_known() {
    let Some(mut registry) = Registry::start(Api::Referrers).expect("a registry") else { return };
    let image = |tag: &str| format!("{}/agents/app:{tag}", registry.host());
    let (signed, both) = (image("signed"), image("both"));
    let pinned_both = format!("{both}@{}", registry.digest("both"));
    let (_stage, webhook) = serve(&by_key(registry.host()), &registry);
    let stored = admit(&webhook, &running(&[&signed])).expect("admitted");
    registry.stop();
    // What was verified stays verified; a tag, and an image that was never checked, are unknown.
    assert_eq!(ask(&webhook, "/validate", &stored)["allowed"], true);
    let said = admit(&webhook, &running(&[&signed])).unwrap_err();
    assert!(said.contains("the digest of image") && said.contains("cannot be reached"), "{said}");
    let said = message(&ask(&webhook, "/validate", &running(&[&pinned_both])));
    assert!(said.contains("are not known") && said.contains("cannot be reached"), "{said}");
    assert!(!said.contains("is not signed"), "unknown is not unsigned: {said}");
}

#[test]
fn the_command_line_says_what_the_webhook_says() {
    let Some(registry) = Registry::start(Api::Tags).expect("a registry") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let registries = folder.path().join("registries.json");
    std::fs::write(&registries, settings(&[registry.host()])).expect("the settings");
    let content = registry::content();
    let verify = |tag: &str, more: &[&str]| {
        let output = Command::new(programs::find("bailiwick-image").expect("the program is built"))
            .arg("verify")
            .arg(format!("{}/agents/app:{tag}", registry.host()))
            .args(more)
            .arg("--registries")
            .arg(&registries)
            .current_dir(&content)
            .output()
            .expect("it runs");
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let identity = |subject: &'static str| {
        ["--issuer", "https://issuer.example.org", "--subject", subject, "--trust-root", "trust-root.json"]
    };
    for (tag, more, code, says) in [
        ("signed", &["--key", "ours.pub"][..], 0, "signed by the key"),
        ("signed", &["--key", "theirs.pub"], 4, "is signed by none of the keys"),
        ("unsigned", &["--key", "ours.pub"], 4, "not signed by the one asked for"),
        ("identity", &identity(SUBJECT), 0, SUBJECT),
        ("identity", &identity("somebody"), 4, SUBJECT),
        ("absent", &["--key", "ours.pub"], 6, "is not in registry"),
        ("signed", &["--key", "no-such-file"], 1, "cannot read"),
        ("signed", &[], 2, "--key"),
        ("signed", &["--issuer", "https://issuer.example.org"], 2, "--subject"),
    ] {
        let (found, text) = verify(tag, more);
        assert_eq!(found, Some(code), "{tag} {more:?}: {text}");
        assert!(text.contains(says), "{tag} {more:?}: {text}");
    }
}

#[test]
fn a_real_api_server_stores_digests_and_refuses_what_is_not_signed() {
    let Some(registry) = Registry::start(Api::Referrers).expect("a registry") else { return };
    let Some(of_identities) = Registry::start(Api::Tags).expect("a registry") else { return };
    let busy = busy_registry();
    let cluster = Arc::new(Cluster::start().expect("an API server"));
    let guest = Guest::of(&cluster);
    let (key, identity) = (signed_by_key(), signed_by_identity());
    let text = pack_of(&[(registry.host(), &key), (of_identities.host(), &identity), (&busy, &key)]);
    let (stage, webhook) = serve_of(&text, &[registry.host(), of_identities.host(), &busy]);
    let url = format!("https://{}", webhook.address());
    std::fs::remove_dir_all(stage.path().join("dist")).expect("dist");
    std::fs::create_dir(stage.path().join("pack")).expect("a folder");
    std::fs::write(stage.path().join("pack/pack.yaml"), &text).expect("the pack");
    stage.compile_pack("pack", &["--webhook-url", &url, "--ca-bundle", "ca.pem"]);
    let namespace =
        "{apiVersion: v1, kind: Namespace, metadata: {name: agents, labels: {bailiwick.dev/zone: agents}}}";
    guest.bring(&["apply"], namespace).expect("a namespace");
    cluster.await_namespace("agents").expect("pods can be made");
    for pod in ["attack", "good"] {
        guest.makes("v1", "Pod", "agents", pod);
    }
    let apply_from = |host: &str, name: &str, tag: &str| {
        let mut pod = running(&[&format!("{host}/agents/app:{tag}")]);
        pod["metadata"]["name"] = name.into();
        let output = cluster.kubectl_raw(["apply", "-f", "-"], &pod.to_string()).expect("kubectl runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let apply = |name: &str, tag: &str| apply_from(registry.host(), name, tag);
    let delete = |name: &str| {
        let args =
            ["delete", "pod", name, "-n", "agents", "--ignore-not-found", "--grace-period=0", "--force"];
        drop(cluster.kubectl(args, ""));
    };
    // Without the webhook the attack succeeds.
    assert!(apply("attack", "unsigned").0);
    delete("attack");
    let configuration =
        std::fs::read_to_string(stage.artifact("kubernetes/webhooks.yaml")).expect("webhooks");
    guest.bring(&["apply"], &configuration).expect("the configuration is accepted");
    let refused = until("the API server asks the webhook", || {
        let (admitted, said) = apply("attack", "unsigned");
        if admitted {
            delete("attack");
        }
        (!admitted).then_some(said)
    });
    let said = refused.expect("a refusal");
    assert!(
        said.contains("signed@1.0.0") && said.contains("images") && said.contains("is not signed"),
        "{said}"
    );
    others_are_refused(&registry, &of_identities, &busy, &apply_from, &delete);
    let (admitted, said) = apply("good", "signed");
    assert!(admitted, "{said}");
    let expected = format!("{}/agents/app:signed@{}", registry.host(), registry.digest("signed"));
    assert_eq!(stored(&cluster, ".spec.containers[0].image"), expected);
    a_running_pod_gets_only_what_is_signed(&cluster, &registry);
}

/// A wrong key, another identity, a registry that is too busy and a moved tag: the API server says no, and why.
/// The first registry's images must be signed by the key, as the busy one's, the second's by the identity.
fn others_are_refused(
    keys: &Registry,
    identities: &Registry,
    busy: &str,
    apply: &dyn Fn(&str, &str, &str) -> (bool, String),
    delete: &dyn Fn(&str),
) {
    for (host, tag, says) in [
        (keys.host(), "other-key", "is signed by none of the keys that count"),
        (identities.host(), "other-identity", "release.yml@refs/heads/feature"),
        (identities.host(), "signed", "is signed by none of the keys that count"),
        (busy, "signed", "429"),
    ] {
        let (admitted, said) = apply(host, "attack", tag);
        let unknown = said.contains("is not known") && !said.contains("is not signed");
        assert!(!admitted && said.contains(says) && unknown == (says == "429"), "{tag} of {host}: {said}");
    }
    // A tag that is moved to an unsigned image.
    keys.tag("release", keys.digest("signed")).expect("a tag");
    let (admitted, said) = apply(keys.host(), "attack", "release");
    assert!(admitted, "{said}");
    delete("attack");
    keys.tag("release", keys.digest("unsigned")).expect("a tag");
    let (admitted, said) = apply(keys.host(), "attack", "release");
    assert!(!admitted && said.contains(keys.digest("unsigned")), "{said}");
    let (admitted, said) = apply(identities.host(), "attack", "identity");
    assert!(admitted, "{said}");
    delete("attack");
}

/// The address of a registry that is always too busy; it ends with the process.
fn busy_registry() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let answer = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = std::io::Write::write_all(&mut stream, answer);
        }
    });
    host
}

fn stored(cluster: &Cluster, path: &str) -> String {
    let path = format!("jsonpath={{{path}}}");
    cluster.kubectl(["get", "pod", "good", "-n", "agents", "-o", &path], "").expect("a pod")
}

/// By an update of its image, and by a debugging container.
fn a_running_pod_gets_only_what_is_signed(cluster: &Cluster, registry: &Registry) {
    let patch = |sub: &[&str], tag: &str| {
        let image = format!("{}/agents/app:{tag}", registry.host());
        let (list, name) =
            if sub.is_empty() { ("containers", "c0") } else { ("ephemeralContainers", "debug") };
        let patch = json!({"spec": {list: [{"name": name, "image": image}]}}).to_string();
        let args = ["patch", "pod", "good", "-n", "agents", "--type=strategic", "-p", &patch];
        let output =
            cluster.kubectl_raw(args.iter().copied().chain(sub.iter().copied()), "").expect("kubectl");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for sub in [&[][..], &["--subresource=ephemeralcontainers"]] {
        let (admitted, said) = patch(sub, "unsigned");
        assert!(!admitted && said.contains("is not signed"), "{sub:?}: {said}");
        let (admitted, said) = patch(sub, "both");
        assert!(admitted, "{sub:?}: {said}");
    }
    let both = format!("{}/agents/app:both@{}", registry.host(), registry.digest("both"));
    assert_eq!(stored(cluster, ".spec.containers[0].image"), both);
    assert_eq!(stored(cluster, ".spec.ephemeralContainers[0].image"), both);
}
