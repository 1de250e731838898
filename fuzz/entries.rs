//! Every fuzz entry point with its seeds: real packs, expressions, reviews, command lines, logs. The stable driver of the tests
//! (`conformance/tests/fuzz.rs`) mutates them for some seconds; libFuzzer (`make fuzz`) begins with them.

use std::path::{Path, PathBuf};

use base64::Engine as _;

/// An entry point.
pub(crate) struct Entry {
    /// Name of its libFuzzer target.
    pub(crate) target: &'static str,
    /// What takes the bytes.
    pub(crate) run: fn(&[u8]),
    /// Where mutation begins.
    pub(crate) seeds: Vec<Vec<u8>>,
}

/// All of them.
pub(crate) fn entries(root: &Path) -> Vec<Entry> {
    let entry = |target, run, seeds| Entry { target, run, seeds };
    vec![
        entry("arguments", bailiwick_policy::arguments::fuzz, texts(ARGUMENTS)),
        entry("audit_log", bailiwick_audit::fuzz, vec![audit_log()]),
        entry("bundle", bailiwick_policy::bundle::fuzz, of_packs(root, &["expected/bundle.json"])),
        entry("command_line", bailiwick_policy::facts::shell::fuzz, facts(root, "shell")),
        entry("expression", bailiwick_compiler::cel::fuzz, texts(EXPRESSIONS)),
        entry("git", bailiwick_policy::facts::git::fuzz, facts(root, "git")),
        entry("image_access", bailiwick_images::fuzz::access::fuzz, texts(CHALLENGES)),
        entry("image_bundle", bailiwick_images::fuzz::bundle::fuzz, bundles(root)),
        entry("image_headers", bailiwick_images::fuzz::headers::fuzz, texts(HEADERS)),
        entry("image_listing", bailiwick_images::fuzz::listing::fuzz, listings(root)),
        entry("import", bailiwick_compiler::import::fuzz, texts(OF_OTHERS)),
        entry("outline", bailiwick_lsp::fuzz::fuzz, texts(BEING_WRITTEN)),
        entry("pack", bailiwick_compiler::compile::fuzz, packs(root)),
        entry("pack_text", bailiwick_compiler::fuzz::fuzz, pack_texts(root)),
        entry("path", bailiwick_policy::facts::path::fuzz, facts(root, "path")),
        entry("rego", bailiwick_compiler::rego::fuzz, texts(MODULES)),
        entry("review", bailiwick_policy::admission::fuzz, reviews()),
        entry("tool_call", bailiwick_policy::tool::fuzz, texts(TOOL_CALLS)),
        entry("url", bailiwick_policy::facts::url::fuzz, facts(root, "url")),
    ]
}

/// Challenges of registries, realms, tokens.
const CHALLENGES: &[&str] = &[
    r#"Bearer realm="https://registry.example.org/token",service="registry",scope="repository:agents/app:pull",error=invalid_token"#,
    "Basic realm=\"registry\"",
    "https://registry.example.org/token?a=b",
    "http://registry.example.org@evil.example/token",
    r#"{"token": "abc", "access_token": "abc", "expires_in": 300, "issued_at": "2026-01-01T00:00:00Z"}"#,
];

/// Links, locations, hosts, references.
const HEADERS: &[&str] = &[
    r#"</v2/agents/app/referrers/x?n=10&last=y>; rel="next""#,
    "https://blobs.example.org:8443/blob?signature=z",
    "/v2/agents/app/blobs/x",
    "[2001:db8::1]:5000",
    "registry.example.org:5000/agents/app:1.2@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "nginx",
];

/// A schema and arguments for it.
const ARGUMENTS: &[&str] = &[
    r#"[{"type": "object", "required": ["code"], "properties": {"code": {"type": "string", "maxLength": 9, "pattern": "^[a-z]+$"}}}, {"code": "abc"}]"#,
    r#"[{"type": "object", "properties": {"x": {"type": ["array", "null"], "items": {"enum": [1, 2.5, "a"]}, "uniqueItems": true, "maxItems": 3}}}, {"x": [1, "a", 1.0]}]"#,
];

/// Policies of others, one of each kind that is imported.
const OF_OTHERS: &[&str] = &[
    "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: a}\nspec:\n  failurePolicy: Ignore\n  matchConstraints:\n    \
     resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments], resourceNames: [x], scope: '*'}]\n    \
     objectSelector: {matchLabels: {a: b}}\n  matchConditions: [{name: c, expression: 'true'}]\n  variables: [{name: v, expression: '5'}]\n  \
     validations: [{expression: object.spec.replicas <= variables.v, messageExpression: \"'m'\"}]\n---\napiVersion: admissionregistration.k8s.io/v1\n\
     kind: ValidatingAdmissionPolicyBinding\nmetadata: {name: b}\nspec: {policyName: a, validationActions: [Deny], matchResources: {objectSelector: {}}}\n",
    "apiVersion: policies.kyverno.io/v1\nkind: ValidatingPolicy\nmetadata: {name: k}\nspec:\n  autogen: {podControllers: {controllers: []}}\n  evaluation: {mode: JSON}\n  \
     matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods, pods/status]}]}\n  validations: [{expression: 'false'}]\n",
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: n, labels: {pod-security.kubernetes.io/enforce: restricted, pod-security.kubernetes.io/enforce-version: v1.30}}\n",
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: n, namespace: s}\nspec:\n  podSelector: {matchLabels: {app: web}}\n  policyTypes: [Ingress, Egress]\n  \
     ingress: [{from: [{namespaceSelector: {}, podSelector: {}}], ports: [{port: 80, endPort: 90}, {port: x}]}]\n  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]\n",
    r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}]}"#,
    r#"{"permissions": {"allow": ["Bash(npm run *)", "Read", "Edit(./a[b]/**)"], "ask": ["Bash(x:*)"], "deny": ["Read(~/.ssh/**)", "Edit(//etc/x)", "Read(**/it's)"], "defaultMode": "plan"}}"#,
];

/// A namespace, and a definition of a custom resource.
const DECLARED: &[&str] = &[
    "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a, labels: {x: y}}}\n",
    "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: widgets.example.org}\nspec:\n  group: example.org\n  \
     names: {kind: Widget, plural: widgets}\n  versions:\n  - name: v1\n    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, additionalProperties: {type: array, items: {type: string, nullable: true}}}}}}\n",
];

/// Packs that are being written: short, so that a mutation is likely to hit what matters.
const BEING_WRITTEN: &[&str] = &[
    "apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyPack\nspec:\n  parameters: [{name: a, type: int, default: 3}]\n  admission:\n    rules:\n    - name: x\n      \
     match: {resources: [{apiGroups: [\"\"], apiVersions: [v1], resources: [pods]}]}\n      variables:\n      - {name: v, expression: object.spec.containers}\n      \
     validations:\n      - expression: |\n          variables.v.all(c, c.image.startsWith('r/') && params.a > 1)\n      - {expression: \"pod.mainContainers.all(c, c.\n",
    "spec:\n  pools: [{name: warm}]\n  sandboxes:\n  - name: 's'\n    pool: \"warm\"\n    limits: {memory: \"${a}\",\n      wall\n  tools:\n    definitions:\n    - name: t\n      \
     input: {type: object, properties: {x: {type: string}}}\n      run: {sandbox: s, argv: [{arg: x}]}\n    rules:\n    - {name: r, tools: [t], when: \"call.args.x == 'ä😀'\", thr\n",
    "Content-Length: 45\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"shutdown\"}\n",
    r#"{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {"uri": "file:///p/pack.yaml", "text": "spec: {"}}}"#,
    "\u{feff}spec:\r\n  audit:\r\n    arg: &a !t\r\n  - x\r\n---\r\nkind: >-\r\n  two\r\n  lines\r\n...\r\n\"q\" : 'it''s'\r\n",
];

const EXPRESSIONS: &[&str] = &[
    "pod.mainContainers.all(c, 'memory' in c.?resources.?limits.orValue({}))",
    "object.metadata.labels.exists(k, v, k.startsWith('a') && v.matches('^[a-z]+$'))",
    "quantity('1Gi').isGreaterThan(quantity(params.max)) ? [1, 2.0, 3u].map(x, string(x)).join(',') : 'no'",
    "cel.bind(x, {'a': [?object.?spec.?b, b'\\x00']}, x.a.size() + 1 < 10 || !has(object.c))",
    "lists.range(30).map(i, string(i % 7)).sort().distinct().all(i, v, v != object.metadata.labels.a[i - i])",
    "call.args.a.startsWith('b') && !isOpaque(facts) && session.calls < 9 && subject.agent in ['coder']",
    "object.spec.containers.sortBy(c, c.name).transformMap(i, c, c.name.findAll('[a-z]+')).exists(k, v, k > 0 && v.size() < 9)",
];

/// Modules whose rule `data.fuzz.deny` is asked.
const MODULES: &[&str] = &[
    "package fuzz\nimport rego.v1\ndeny contains msg if {\n\tsome c in input.object.spec.containers\n\tnot good(c.image)\n\tmsg := sprintf(\"%v: %v\", [c.name, c.image])\n}\ngood(image) if startswith(image, \"r/\")\ngood(image) if image in {\"a\", \"b\"}\n",
    "package fuzz\ndeny[{\"msg\": msg}] {\n\tc := input.review.object.spec.containers[_]\n\tvalues := [v | v := c[k]; k != \"name\"]\n\tcount(values) > 0\n\tmsg := concat(\", \", values)\n}\n",
    "package fuzz\nimport rego.v1\nall := {k: v | some k, v in input.object.metadata.labels}\ndeny contains k if {\n\tsome k, v in all\n\tevery c in input.object.spec.containers { to_number(v) + count(c) > 1 }\n\tregex.match(`^[a-z]+$`, k)\n}\n",
];

/// Arguments, and the inputs of a decision.
const TOOL_CALLS: &[&str] = &[
    r#"{"text": "git push --force origin 'a b' $X > /dev/null && curl http://2130706433/", "number": 7, "list": ["a", "ab"]}"#,
    r#"{"path": "../src//a", "content": "aGVsbG8=", "encoding": "base64"}"#,
    r#"{"call": {"id": "1", "session": "s", "subject": {"agent": "a", "user": "u", "namespace": "n"}, "call": {"tool": "argv",
        "args": {"text": "ls"}}}, "nowMs": 5, "session": {"openedMs": 1, "calls": 2, "generation": 3, "running": 0, "pending": 0},
        "tallies": {"counter/a/calls": {"sum": 4, "fallsAfterMs": 10}}, "pending": null, "approval": null}"#,
];

const REVIEW: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"group":"","version":"v1","kind":"Pod"},
        "resource":{"group":"","version":"v1","resource":"pods"},"namespace":"agents","operation":"CREATE","userInfo":{"username":"a"},
        "object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"app":"x"},"managedFields":[{}]},
        "spec":{"containers":[{"name":"c","image":"i","securityContext":{"privileged":true}}],"volumes":[{"name":"v","hostPath":{"path":"/"}}]}}}}"#;

fn texts(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

/// Reviews of every shape: pods and what makes them, sub-resources, and the operations that have no object.
fn reviews() -> Vec<Vec<u8>> {
    let old =
        |review: &str, old: &str| review.replace("\"object\":", &format!("\"oldObject\":{old},\"object\":"));
    let bare = r#"{"apiVersion":"v1","kind":"Pod","metadata":{}}"#;
    let update = old(&REVIEW.replace("\"CREATE\"", "\"UPDATE\""), bare);
    let of_sub_resource =
        |name: &str| update.replace("\"namespace\":", &format!("\"subResource\":\"{name}\",\"namespace\":"));
    let debugged =
        of_sub_resource("ephemeralcontainers").replace("\"containers\"", "\"ephemeralContainers\"");
    let (before, object) = REVIEW.split_once("\"object\":").expect("the object");
    let object = object.strip_suffix("}}").expect("the end of the review");
    let delete =
        format!("{}\"object\":null,\"oldObject\":{object}}}}}", before.replace("\"CREATE\"", "\"DELETE\""));
    let connect = format!(
        r#"{}"name":"a","subResource":"exec","object":{{"apiVersion":"v1","kind":"PodExecOptions","stdin":true,"container":"c","command":["sh"]}}}}}}"#,
        before.replace("\"CREATE\"", "\"CONNECT\"")
    );
    let workload = |group: &str, kind: &str, spec: &str| {
        let plural = format!("{}s", kind.to_lowercase());
        let before = before
            .replace("\"group\":\"\"", &format!("\"group\":\"{group}\""))
            .replace("\"Pod\"", &format!("\"{kind}\""))
            .replace("\"pods\"", &format!("\"{plural}\""));
        format!(
            r#"{before}"object":{{"apiVersion":"{group}/v1","kind":"{kind}","metadata":{{"name":"w"}},"spec":{spec}}}}}}}"#
        )
    };
    let deployment = workload("apps", "Deployment", &format!("{{\"replicas\":2,\"template\":{object}}}"));
    let cron =
        workload("batch", "CronJob", &format!("{{\"jobTemplate\":{{\"spec\":{{\"template\":{object}}}}}}}"));
    let scaled = old(&deployment.replace("\"CREATE\"", "\"UPDATE\""), bare);
    let (resized, status) = (of_sub_resource("resize"), of_sub_resource("status"));
    [REVIEW.to_owned(), update.clone(), debugged, resized, status, delete, connect, deployment, cron, scaled]
        .map(String::into_bytes)
        .into()
}

/// Files of the shipped packs, by their path in the pack.
fn of_packs(root: &Path, files: &[&str]) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(root.join("policy-packs")).expect("the packs");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("a pack").path()).collect();
    folders.sort();
    let paths = folders.iter().flat_map(|folder| files.iter().map(move |file| folder.join(file)));
    paths.filter_map(|path| std::fs::read(path).ok()).collect()
}

fn packs(root: &Path) -> Vec<Vec<u8>> {
    of_packs(root, &["pack.yaml"])
}

/// The entry reads its bytes as a pack, as a lock and as tests.
fn pack_texts(root: &Path) -> Vec<Vec<u8>> {
    let tests = std::fs::read_dir(root.join("policy-packs/restricted-agent/tests")).expect("the tests");
    let mut tests: Vec<PathBuf> = tests.map(|entry| entry.expect("a test").path()).collect();
    tests.sort();
    let tests = tests.iter().filter(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    let mut seeds = of_packs(root, &["pack.yaml", "pack.lock"]);
    seeds.extend(texts(DECLARED));
    seeds.extend(tests.map(|path| std::fs::read(path).expect("a test")));
    seeds
}

/// From the corpora of the facts: one text of each line, as JSON.
fn facts(root: &Path, kind: &str) -> Vec<Vec<u8>> {
    let corpora = ["evasions.txt", "benign.txt"].map(|name| {
        std::fs::read_to_string(root.join("compiler/policy/tests/facts").join(name)).expect("the corpus")
    });
    let lines = corpora.iter().flat_map(|corpus| corpus.lines());
    let fields = lines.filter_map(|line| line.split_once('\t')).filter(|(of, _)| *of == kind);
    let texts = fields.filter_map(|(_, rest)| serde_json::from_str(rest.rsplit('\t').next()?).ok());
    texts.map(String::into_bytes).collect()
}

/// What a real cosign signed, as a registry would serve it: blobs that are JSON.
fn signed(root: &Path) -> Vec<(String, serde_json::Value)> {
    let entries =
        std::fs::read_dir(root.join("conformance/images/content/blobs")).expect("the signed images");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a blob").path()).collect();
    files.sort();
    let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    texts.filter_map(|text| serde_json::from_str(&text).ok().map(|value| (text, value))).collect()
}

/// A list of referrers, and manifests that refer to an image.
fn listings(root: &Path) -> Vec<Vec<u8>> {
    let index = r#"{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:aa", "size": 667},
        {"artifactType": "application/vnd.example+json", "digest": "sha256:bb"}]}"#;
    let manifests = signed(root).into_iter().filter(|(_, value)| value.get("subject").is_some());
    let manifests = manifests.take(6).map(|(text, _)| text.into_bytes());
    std::iter::once(index.into()).chain(manifests).collect()
}

/// The digest that a bundle's statement is about, and the bundle; by a key, by a certificate.
fn bundles(root: &Path) -> Vec<Vec<u8>> {
    let signed = signed(root);
    let bundle = |(text, value): &(String, serde_json::Value)| {
        let payload = value.pointer("/dsseEnvelope/payload")?.as_str()?;
        let statement = base64::engine::general_purpose::STANDARD.decode(payload).ok()?;
        let statement: serde_json::Value = serde_json::from_slice(&statement).ok()?;
        let digest = statement.pointer("/subject/0/digest/sha256")?.as_str()?;
        let certified = value.pointer("/verificationMaterial/certificate").is_some();
        Some((certified, format!("sha256:{digest}\n{text}").into_bytes()))
    };
    let found: Vec<(bool, Vec<u8>)> = signed.iter().filter_map(bundle).collect();
    let of = |kind: bool| found.iter().filter(move |(certified, _)| *certified == kind).take(2);
    of(true).chain(of(false)).map(|(_, seed)| seed.clone()).collect()
}

/// A log of a call, sealed.
fn audit_log() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let options = bailiwick_audit::Options { segment_bytes: 64 * 1024, ..Default::default() };
    let writer = bailiwick_audit::Writer::open(folder.path(), &options).expect("a log").0;
    let entry = bailiwick_audit::Entry {
        arguments: Some(serde_json::json!({"command": "ls"})),
        reason: Some("it is allowed".to_owned()),
        ..bailiwick_audit::Entry::default()
    };
    let intent = bailiwick_audit::Intent::from(entry.clone());
    let intent = writer.begin_intent((), intent, writer.failures());
    let recorded = intent.and_then(bailiwick_audit::PendingIntent::wait).expect("an intent");
    let result = writer.begin_result(recorded.at(), entry);
    result.and_then(bailiwick_audit::Pending::wait).expect("a result");
    writer.seal("drain").expect("a seal");
    std::fs::read(folder.path().join("segments/00000001.jsonl")).expect("the segment")
}
