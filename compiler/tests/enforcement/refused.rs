//! Each field that the table calls refused, in a pack that uses it and would be accepted without: it is refused, with the code of the table,
//! at that field or around it.

use bailiwick_compiler::diagnostic::Severity;
use expect_test::expect;

use super::support::{compiled, document};
use super::table::{REFUSED, Refused, fields, refusal};

const POOL: &str = "pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}]";

fn sandbox(more: &str) -> String {
    format!(
        "{POOL}\nsandboxes:\n- {{name: shell, pool: warm, filesystem: {{readOnly: [/usr, /bin], proc: Own}}, syscalls: {{profile: Python}}, limits: {{wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}{more}}}"
    )
}

fn tools(tool: &str, rest: &str) -> String {
    format!(
        "{}\ntools:\n  definitions:\n  - name: files.read\n    input: {{type: object, additionalProperties: false, properties: {{file: {{type: string}}}}}}\n    {tool}\n{rest}",
        sandbox("")
    )
}

fn egress(to: &str, rest: &str) -> String {
    format!("network:\n  proxy: Gateway\n  egress: [{{name: web, to: {to}, ports: [{{port: 443}}]{rest}}}]")
}

/// Sections of a pack that use a field. One for each refused field; more do no harm, so that a field can be built without this list.
fn samples() -> Vec<(&'static str, String)> {
    let hosts = "{hosts: [packages.example.org]}";
    let images = |rest: &str| format!("images: [{{match: ['registry.example.org/**'], {rest}}}]");
    vec![
        ("spec.audit.admission", "audit: {admission: Required}".to_owned()),
        (
            "spec.images[].require[].attestation",
            images(
                "digest: Resolve, require: [{attestation: {predicateType: 'https://slsa.dev/provenance/v1', identity: {issuer: 'https://issuer.example.org', subject: release}}}]",
            ),
        ),
        ("spec.network.egress[].http", egress(hosts, ", tls: Terminate, http: [{methods: [GET]}]")),
        ("spec.network.egress[].tls", egress(hosts, ", tls: Terminate")),
        ("spec.network.egress[].to.hosts", egress(hosts, "")),
        ("spec.network.proxy", egress("{cidr: 192.0.2.0/24}", "")),
        ("spec.pools[].backend", POOL.replace("Native", "Pod")),
        (
            "spec.sandboxes[].filesystem.workspace.durable",
            sandbox("").replace(
                "proc: Own",
                "workspace: {path: /work, size: 1Mi, lifetime: Session, durable: true}",
            ),
        ),
        (
            "spec.sandboxes[].filesystem.workspace.lifetime",
            sandbox("").replace("proc: Own", "workspace: {path: /work, size: 1Mi, lifetime: Call}"),
        ),
        (
            "spec.sandboxes[].network.egress",
            format!(
                "{}\nnetwork: {{egress: [{{name: web, to: {{cidr: 192.0.2.0/24}}, ports: [{{port: 443}}]}}]}}",
                sandbox(", network: {egress: [web]}")
            ),
        ),
        ("spec.sandboxes[].runtime.lifetime", sandbox(", runtime: {language: Python, lifetime: Session}")),
        ("spec.sandboxes[].runtime.preload", sandbox(", runtime: {language: Python, preload: [json]}")),
    ]
    .into_iter()
    .chain(tool_samples())
    .collect()
}

fn tool_samples() -> Vec<(&'static str, String)> {
    vec![
        (
            "spec.tools.definitions[].run.http",
            tools("run: {http: {method: GET, url: 'https://api.example.org/'}}", ""),
        ),
        (
            "spec.tools.definitions[].run.mcp",
            tools(&format!("run: {{mcp: {{server: one, tool: two, sha256: '{}'}}}}", "0".repeat(64)), ""),
        ),
    ]
}

#[test]
fn every_refused_field_is_refused_with_its_code() {
    let samples = samples();
    let mut wrong = Vec::new();
    for Refused { field, code, .. } in REFUSED {
        let Some((_, sections)) = samples.iter().find(|(sample, _)| sample == field) else {
            wrong.push(format!("`{field}` has no sample"));
            continue;
        };
        let compiled = compiled(&document("example", sections));
        let place: String = field.replace("[]", "[0]");
        let found: Vec<_> = compiled.all().filter(|one| one.severity == Severity::Error).collect();
        let refused = found.iter().any(|one| {
            let at = one.at.to_string();
            // `http` and `tls` belong to the host that the code points at.
            one.code.id() == *code && (place.starts_with(&at) || at.starts_with(&place) || *code == "BW0505")
        });
        if compiled.policy.is_some() || !refused {
            let said: Vec<_> = found.iter().map(ToString::to_string).collect();
            wrong.push(format!("`{field}` is not refused with {code}: {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is refused, field by field, so that nothing is refused or accepted unseen: a pack that uses one of these does not compile.
#[test]
fn exactly_these_fields_and_words_are_refused() {
    let known = fields();
    let whole = known.keys().filter_map(|field| Some(format!("{field} {}", refusal(field)?)));
    let words = REFUSED
        .iter()
        .filter_map(|refused| Some(format!("{}: {} {}", refused.field, refused.word?, refused.code)));
    let mut found: Vec<String> = whole.chain(words).collect();
    found.sort();
    expect![[r#"
        spec.audit.admission: Required BW0524
        spec.images[].require[].attestation BW0507
        spec.images[].require[].attestation.identity BW0507
        spec.images[].require[].attestation.identity.issuer BW0507
        spec.images[].require[].attestation.identity.publicKey BW0507
        spec.images[].require[].attestation.identity.subject BW0507
        spec.images[].require[].attestation.identity.subjectPattern BW0507
        spec.images[].require[].attestation.identity.trustRoot BW0507
        spec.images[].require[].attestation.predicateType BW0507
        spec.images[].require[].attestation.when BW0507
        spec.network.egress[].http BW0505
        spec.network.egress[].http[].methods BW0505
        spec.network.egress[].http[].paths BW0505
        spec.network.egress[].tls BW0505
        spec.network.egress[].to.hosts BW0505
        spec.network.proxy BW0506
        spec.pools[].backend: Pod BW0525
        spec.sandboxes[].filesystem.workspace.durable: true BW0522
        spec.sandboxes[].filesystem.workspace.lifetime: Call BW0522
        spec.sandboxes[].network.egress: any name BW0521
        spec.sandboxes[].runtime.lifetime: Session BW0510
        spec.sandboxes[].runtime.preload: any name BW0509
        spec.tools.definitions[].run.http BW0516
        spec.tools.definitions[].run.http.body BW0516
        spec.tools.definitions[].run.http.body.arg BW0516
        spec.tools.definitions[].run.http.body.value BW0516
        spec.tools.definitions[].run.http.method BW0516
        spec.tools.definitions[].run.http.url BW0516
        spec.tools.definitions[].run.mcp BW0516
        spec.tools.definitions[].run.mcp.server BW0516
        spec.tools.definitions[].run.mcp.sha256 BW0516
        spec.tools.definitions[].run.mcp.tool BW0516
    "#]]
    .assert_eq(&(found.join("\n") + "\n"));
}
