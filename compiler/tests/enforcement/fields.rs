//! One test for each field that is accepted, and the list of them.

use super::support::{KEY, Probe, check};

const TOKEN: &str = "isolation: {serviceAccountToken: Forbidden}";

fn subject(rest: &str) -> String {
    format!(
        "subjects:\n  namespaces: {{selector: {{matchLabels: {{zone: agents}}}}}}\n  unmatched: Deny\n{rest}"
    )
}

fn governed(subjects: &str) -> String {
    format!("subjects: {subjects}\nisolation: {{podSecurity: {{level: Restricted, version: v1.36}}}}")
}

fn isolation(rest: &str) -> String {
    subject(&format!("isolation: {rest}"))
}

fn egress(to: &str, port: &str) -> String {
    subject(&format!("network: {{egress: [{{name: rule-one, to: {to}, ports: [{port}]}}]}}"))
}

fn ingress(from: &str, port: &str) -> String {
    subject(&format!("network: {{ingress: [{{name: rule-one, from: {from}, ports: [{port}]}}]}}"))
}

fn images(rest: &str) -> String {
    subject(&format!("images: [{rest}]"))
}

const PINNED: Probe =
    Probe::Image("@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
const OTHER_ROOT: &str = r#"{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1", "certificateAuthorities": [{}], "tlogs": [{}]}"#;

fn signed(identity: &str) -> String {
    images(&format!(
        r#"{{match: ["registry.example.org/**"], digest: Resolve, require: [{{signature: {{identity: {{{identity}}}}}}}]}}"#
    ))
}

fn pem(key: &str) -> String {
    format!("-----BEGIN PUBLIC KEY-----{key}-----END PUBLIC KEY-----")
}

const PODS: &str =
    r#"resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]"#;
const FAILS: &str = r#"validations: [{expression: "object.spec.hostname == 'q'", message: wrong}]"#;

fn rule(matches: &str, rest: &str) -> String {
    subject(&format!(
        "admission:\n  rules:\n  - name: rule-one\n    match: {{{matches}}}\n    {}",
        rest.replace('\n', "\n    ")
    ))
}

fn resources(list: &str) -> String {
    rule(&format!("resources: [{list}]"), FAILS)
}

/// A rule over pods that excludes some resources.
fn excluding(group: &str, version: &str, resource: &str, operation: &str) -> String {
    let matches = format!(
        "{PODS}, excludeResources: [{{apiGroups: [{group}], apiVersions: [{version}], resources: [{resource}], operations: [{operation}]}}]"
    );
    rule(&matches, FAILS)
}

fn parameter(declared: &str) -> String {
    format!("parameters: [{declared}]\n{TOKEN}")
}

fn extends(one: &str) -> String {
    format!("extends: [{one}]\n{}", subject(TOKEN))
}

const SERVICE: &str = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "agents"}, "spec": {}}"#;
const DEPLOYMENT: &str = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "agents"},
    "spec": {"selector": {"matchLabels": {"component": "agent"}}, "template": {"metadata": {"labels": {"component": "agent"}},
    "spec": {"hostname": "p", "containers": [{"name": "c", "image": "registry.example.org/agents/x:1"}]}}}}"#;
const P: Probe = Probe::Pod("", "");

fields! {
    the_name_of_the_pack_stands_in_findings: ["spec.pack", "spec.version"], Probe::Pod(r#""hostNetwork": true"#, ""),
        isolation("{podSecurity: {level: Baseline, version: v1.36}}") => "example@1.0.0 podSecurity",
        subject("images: []") => "example@1.0.0 images";
    a_description_changes_nothing_else: ["spec.description"], Probe::Findings,
        "description: nothing else is here" => "constrains nothing",
        TOKEN => "";
    an_extended_pack_is_met: ["spec.extends[].name"], Probe::File("network-policies"),
        extends(r#"{name: base, version: "^1.0"}"#) => "192.0.2.0/24",
        subject(TOKEN) => "";
    an_extended_version_must_fit: ["spec.extends[].version"], Probe::Findings,
        extends(r#"{name: base, version: "^2.0"}"#) => "BW0208",
        extends(r#"{name: nobody, version: "^1.0"}"#) => "BW0207";
    an_extended_pack_takes_parameters: ["spec.extends[].parameters"], Probe::File("network-policies"),
        extends(r#"{name: base, version: "^1.0", parameters: {port: 8443}}"#) => "port: 8443",
        extends(r#"{name: base, version: "^1.0"}"#) => "port: 443";

    parameters_have_names: ["spec.parameters[].name"], Probe::Findings,
        parameter("{name: 1x, type: int, default: 1}") => "BW0110",
        parameter("{name: x, type: int, default: 1}") => "";
    parameters_have_types: ["spec.parameters[].type", "spec.parameters[].default"], Probe::Findings,
        parameter("{name: x, type: int, default: many}") => "error[BW0204]",
        parameter("{name: x, type: string, default: many}") => "";
    parameters_are_described: ["spec.parameters[].description"], Probe::Findings,
        parameter("{name: x, type: int, default: 1, description: a number}") => "BW0608",
        parameter("{name: x, type: int, default: 1, descripton: a number}") => "BW0104";
    parameters_are_bindable: ["spec.parameters[].bindable"], Probe::Findings,
        extends(r#"{name: base, version: "^1.0", parameters: {fixed: 2}}"#) => "BW0205",
        extends(r#"{name: base, version: "^1.0", parameters: {port: 443}}"#) => "";
    a_domain_may_list_values: ["spec.parameters[].enum"], Probe::Findings,
        parameter("{name: x, type: int, default: 3, enum: [1, 2]}") => "BW0204",
        parameter("{name: x, type: int, default: 2, enum: [1, 2]}") => "";
    a_domain_may_be_a_pattern: ["spec.parameters[].pattern"], Probe::Findings,
        parameter("{name: x, type: string, default: b, pattern: '^a$'}") => "BW0204",
        parameter("{name: x, type: string, default: a, pattern: '^a$'}") => "";
    a_domain_may_be_a_set: ["spec.parameters[].subsetOf"], Probe::Findings,
        parameter("{name: x, type: list(int), default: [3], subsetOf: [1, 2]}") => "BW0204",
        parameter("{name: x, type: list(int), default: [2], subsetOf: [1, 2]}") => "";
    a_domain_has_a_minimum: ["spec.parameters[].minimum"], Probe::Findings,
        parameter("{name: x, type: int, default: 3, minimum: 4}") => "BW0204",
        parameter("{name: x, type: int, default: 4, minimum: 4}") => "";
    a_domain_has_a_maximum: ["spec.parameters[].maximum"], Probe::Findings,
        parameter("{name: x, type: int, default: 3, maximum: 2}") => "BW0204",
        parameter("{name: x, type: int, default: 2, maximum: 2}") => "";
    a_domain_bounds_lists: ["spec.parameters[].maxItems"], Probe::Findings,
        parameter("{name: x, type: list(int), default: [1, 2], maxItems: 1}") => "BW0204",
        parameter("{name: x, type: list(int), default: [1], maxItems: 1}") => "";

    namespaces_are_selected_by_label: ["spec.subjects.namespaces.selector.matchLabels"], P,
        governed("{namespaces: {selector: {matchLabels: {zone: agents}}}, unmatched: Deny}") => "denied\n",
        governed("{namespaces: {selector: {matchLabels: {zone: web}}}, unmatched: Deny}") => "allowed\n";
    namespaces_are_selected_by_expression: ["spec.subjects.namespaces.selector.matchExpressions[].key",
        "spec.subjects.namespaces.selector.matchExpressions[].operator", "spec.subjects.namespaces.selector.matchExpressions[].values"], P,
        governed("{namespaces: {selector: {matchExpressions: [{key: zone, operator: In, values: [agents]}]}}, unmatched: Deny}") => "denied\n",
        governed("{namespaces: {selector: {matchExpressions: [{key: zone, operator: NotIn, values: [agents]}]}}, unmatched: Deny}") => "allowed\n";
    exclusive_namespaces_are_labelled: ["spec.subjects.namespaces.exclusive"], Probe::File("namespace"),
        governed("{namespaces: {selector: {matchLabels: {zone: agents}}, exclusive: true}, unmatched: Deny}") => "pod-security.kubernetes.io/enforce:",
        governed("{namespaces: {selector: {matchLabels: {zone: agents}}}, unmatched: Deny}") => "";
    pods_are_selected_by_label: ["spec.subjects.pods.matchLabels"], P,
        governed("{namespaces: {selector: {}}, pods: {matchLabels: {component: agent}}}") => "denied\n",
        governed("{namespaces: {selector: {}}, pods: {matchLabels: {component: web}}}") => "allowed\n";
    pods_are_selected_by_expression: ["spec.subjects.pods.matchExpressions[].key", "spec.subjects.pods.matchExpressions[].operator",
        "spec.subjects.pods.matchExpressions[].values"], P,
        governed("{namespaces: {selector: {}}, pods: {matchExpressions: [{key: component, operator: In, values: [agent]}]}}") => "denied\n",
        governed("{namespaces: {selector: {}}, pods: {matchExpressions: [{key: component, operator: DoesNotExist}]}}") => "allowed\n";
    unmatched_pods_are_denied: ["spec.subjects.unmatched"], Probe::Pod("", r#"{"component": "other"}"#),
        governed("{namespaces: {selector: {}}, pods: {matchLabels: {component: agent}}, unmatched: Deny}") => "denied\n",
        governed("{namespaces: {selector: {}}, pods: {matchLabels: {component: agent}}, unmatched: Allow}") => "allowed\n";

    the_level_of_pod_security_is_enforced: ["spec.isolation.podSecurity.level"], P,
        isolation("{podSecurity: {level: Restricted, version: v1.36}}") => "denied\n",
        isolation("{podSecurity: {level: Baseline, version: v1.36}}") => "allowed\n";
    the_version_of_pod_security_counts: ["spec.isolation.podSecurity.version"],
        Probe::Pod(r#""securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}"#, ""),
        isolation("{podSecurity: {level: Baseline, version: v1.31}}") => "denied\n",
        isolation("{podSecurity: {level: Baseline, version: v1.32}}") => "allowed\n";
    runtime_classes_are_enforced: ["spec.isolation.runtimeClass.classes[].name"], Probe::Pod(r#""runtimeClassName": "runc""#, ""),
        isolation("{runtimeClass: {classes: [{name: gvisor, handler: runsc, kind: GVisor}]}}") => "denied\n",
        isolation("{runtimeClass: {classes: [{name: runc, handler: runc, kind: Runc}]}}") => "allowed\n";
    runtime_classes_have_handlers: ["spec.isolation.runtimeClass.classes[].handler"], Probe::File("runtime-classes"),
        isolation("{runtimeClass: {classes: [{name: gvisor, handler: runsc, kind: GVisor}]}}") => "handler: runsc",
        isolation("{runtimeClass: {classes: [{name: gvisor, handler: other, kind: GVisor}]}}") => "handler: other";
    the_kind_of_a_class_decides_what_is_inert: ["spec.isolation.runtimeClass.classes[].kind"], Probe::Findings,
        "isolation: {runtimeClass: {classes: [{name: a, handler: a, kind: GVisor}]}}
pools: [{name: warm, backend: Pod, runtimeClass: a, podSecurity: {level: Baseline, version: v1.36}, resources: {cpus: '1', memory: 1Gi}}]
sandboxes: [{name: s, pool: warm, filesystem: {}, syscalls: {profile: Shell}, limits: {wallClock: 1s, memory: 1Mi, processes: 1, output: 1Mi}}]"
            => "BW0418",
        "isolation: {runtimeClass: {classes: [{name: a, handler: a, kind: Runc}]}}
pools: [{name: warm, backend: Pod, runtimeClass: a, podSecurity: {level: Baseline, version: v1.36}, resources: {cpus: '1', memory: 2Gi}}]
sandboxes: [{name: t, pool: warm, filesystem: {}, syscalls: {profile: Shell}, limits: {wallClock: 1s, memory: 3Gi, processes: 1, output: 1Mi}}]"
            => "BW0410";
    an_exempted_class_holds_no_pool_to_a_level: ["spec.isolation.runtimeClass.classes[].podSecurityExempt"], Probe::Findings,
        "isolation: {runtimeClass: {classes: [{name: a, handler: a, kind: Runc, podSecurityExempt: true}]}}
pools: [{name: warm, backend: Native, runtimeClass: a, podSecurity: {level: Baseline, version: v1.36}, resources: {cpus: '1', memory: 1Gi}}]"
            => "BW0435",
        "isolation: {runtimeClass: {classes: [{name: a, handler: a, kind: Runc, podSecurityExempt: false}]}}
pools: [{name: warm, backend: Native, runtimeClass: b, podSecurity: {level: Baseline, version: v1.36}, resources: {cpus: '1', memory: 1Gi}}]"
            => "BW0417";
    the_default_class_is_written_in: ["spec.isolation.runtimeClass.default"], P,
        isolation("{runtimeClass: {classes: [{name: gvisor, handler: runsc, kind: GVisor}], default: gvisor}}") => r#""value":"gvisor""#,
        isolation("{runtimeClass: {classes: [{name: gvisor, handler: runsc, kind: GVisor}]}}") => "denied\n";
    service_account_tokens_are_forbidden: ["spec.isolation.serviceAccountToken"], Probe::Pod(r#""automountServiceAccountToken": true"#, ""),
        isolation("{serviceAccountToken: Forbidden}") => "denied\n",
        isolation("{serviceAccountToken: Allowed}") => "allowed\n";

    egress_rules_have_names: ["spec.network.egress[].name"], Probe::File("network-policies"),
        egress("{cidr: 192.0.2.0/24}", "{port: 443}") => "rule-one",
        subject("network: {egress: []}") => "";
    egress_to_networks: ["spec.network.egress[].to.cidr"], Probe::File("network-policies"),
        egress("{cidr: 192.0.2.0/24}", "{port: 443}") => "192.0.2.0/24",
        egress("{cidr: 198.51.100.0/24}", "{port: 443}") => "198.51.100.0/24";
    egress_excepts_networks: ["spec.network.egress[].to.except"], Probe::File("network-policies"),
        egress("{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}", "{port: 443}") => "192.0.2.128/25",
        egress("{cidr: 192.0.2.0/24, except: [192.0.2.64/26]}", "{port: 443}") => "192.0.2.64/26";
    egress_to_namespaces: ["spec.network.egress[].to.namespaces.matchLabels"], Probe::File("network-policies"),
        egress("{namespaces: {matchLabels: {team: red}}}", "{port: 443}") => "team: red",
        egress("{namespaces: {matchLabels: {team: blue}}}", "{port: 443}") => "team: blue";
    egress_to_namespaces_by_expression: ["spec.network.egress[].to.namespaces.matchExpressions[].key",
        "spec.network.egress[].to.namespaces.matchExpressions[].operator", "spec.network.egress[].to.namespaces.matchExpressions[].values"], Probe::File("network-policies"),
        egress("{namespaces: {matchExpressions: [{key: team, operator: NotIn, values: [red]}]}}", "{port: 443}") => "operator: NotIn",
        egress("{namespaces: {matchExpressions: [{key: team, operator: In, values: [red, blue]}]}}", "{port: 443}") => "- blue";
    egress_to_pods: ["spec.network.egress[].to.pods.matchLabels"], Probe::File("network-policies"),
        egress("{pods: {matchLabels: {app: red}}}", "{port: 443}") => "app: red",
        egress("{pods: {matchLabels: {app: blue}}}", "{port: 443}") => "app: blue";
    egress_to_pods_by_expression: ["spec.network.egress[].to.pods.matchExpressions[].key",
        "spec.network.egress[].to.pods.matchExpressions[].operator", "spec.network.egress[].to.pods.matchExpressions[].values"], Probe::File("network-policies"),
        egress("{pods: {matchExpressions: [{key: app, operator: NotIn, values: [red]}]}}", "{port: 443}") => "operator: NotIn",
        egress("{pods: {matchExpressions: [{key: app, operator: In, values: [red, blue]}]}}", "{port: 443}") => "- blue";
    egress_to_ports: ["spec.network.egress[].ports[].port", "spec.network.egress[].ports[].endPort"], Probe::File("network-policies"),
        egress("{cidr: 192.0.2.0/24}", "{port: 8000}") => "port: 8000\n",
        egress("{cidr: 192.0.2.0/24}", "{port: 9000, endPort: 9005}") => "endPort: 9005";
    egress_by_protocol: ["spec.network.egress[].ports[].protocol"], Probe::File("network-policies"),
        egress("{cidr: 192.0.2.0/24}", "{port: 53, protocol: UDP}") => "protocol: UDP",
        egress("{cidr: 192.0.2.0/24}", "{port: 53, protocol: SCTP}") => "protocol: SCTP";
    ingress_rules_have_names: ["spec.network.ingress[].name"], Probe::File("network-policies"),
        ingress("{cidr: 192.0.2.0/24}", "{port: 443}") => "rule-one",
        subject("network: {ingress: []}") => "";
    ingress_from_networks: ["spec.network.ingress[].from.cidr"], Probe::File("network-policies"),
        ingress("{cidr: 192.0.2.0/24}", "{port: 443}") => "192.0.2.0/24",
        ingress("{cidr: 198.51.100.0/24}", "{port: 443}") => "198.51.100.0/24";
    ingress_excepts_networks: ["spec.network.ingress[].from.except"], Probe::File("network-policies"),
        ingress("{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}", "{port: 443}") => "192.0.2.128/25",
        ingress("{cidr: 192.0.2.0/24, except: [192.0.2.64/26]}", "{port: 443}") => "192.0.2.64/26";
    ingress_from_namespaces: ["spec.network.ingress[].from.namespaces.matchLabels"], Probe::File("network-policies"),
        ingress("{namespaces: {matchLabels: {team: red}}}", "{port: 443}") => "team: red",
        ingress("{namespaces: {matchLabels: {team: blue}}}", "{port: 443}") => "team: blue";
    ingress_from_namespaces_by_expression: ["spec.network.ingress[].from.namespaces.matchExpressions[].key",
        "spec.network.ingress[].from.namespaces.matchExpressions[].operator", "spec.network.ingress[].from.namespaces.matchExpressions[].values"], Probe::File("network-policies"),
        ingress("{namespaces: {matchExpressions: [{key: team, operator: NotIn, values: [red]}]}}", "{port: 443}") => "operator: NotIn",
        ingress("{namespaces: {matchExpressions: [{key: team, operator: In, values: [red, blue]}]}}", "{port: 443}") => "- blue";
    ingress_from_pods: ["spec.network.ingress[].from.pods.matchLabels"], Probe::File("network-policies"),
        ingress("{pods: {matchLabels: {app: red}}}", "{port: 443}") => "app: red",
        ingress("{pods: {matchLabels: {app: blue}}}", "{port: 443}") => "app: blue";
    ingress_from_pods_by_expression: ["spec.network.ingress[].from.pods.matchExpressions[].key",
        "spec.network.ingress[].from.pods.matchExpressions[].operator", "spec.network.ingress[].from.pods.matchExpressions[].values"], Probe::File("network-policies"),
        ingress("{pods: {matchExpressions: [{key: app, operator: NotIn, values: [red]}]}}", "{port: 443}") => "operator: NotIn",
        ingress("{pods: {matchExpressions: [{key: app, operator: In, values: [red, blue]}]}}", "{port: 443}") => "- blue";
    ingress_to_ports: ["spec.network.ingress[].ports[].port", "spec.network.ingress[].ports[].endPort"], Probe::File("network-policies"),
        ingress("{cidr: 192.0.2.0/24}", "{port: 8000}") => "port: 8000\n",
        ingress("{cidr: 192.0.2.0/24}", "{port: 9000, endPort: 9005}") => "endPort: 9005";
    ingress_by_protocol: ["spec.network.ingress[].ports[].protocol"], Probe::File("network-policies"),
        ingress("{cidr: 192.0.2.0/24}", "{port: 53, protocol: UDP}") => "protocol: UDP",
        ingress("{cidr: 192.0.2.0/24}", "{port: 53, protocol: SCTP}") => "protocol: SCTP";

    images_are_matched: ["spec.images[].match"], P,
        images(r#"{match: ["registry.example.org/other/**"], digest: Any}"#) => "denied\n",
        images(r#"{match: ["registry.example.org/agents/**"], digest: Any}"#) => "allowed\n";
    images_are_denied: ["spec.images[].deny"], P,
        images(r#"{match: ["registry.example.org/**"], digest: Any}, {match: ["registry.example.org/agents/*"], deny: true}"#) => "denied\n",
        images(r#"{match: ["registry.example.org/**"], digest: Any}, {match: ["registry.example.org/agents/*"], digest: Any}"#) => "allowed\n";
    images_need_digests: ["spec.images[].digest"], P,
        images(r#"{match: ["registry.example.org/**"], digest: Required}"#) => "denied\n",
        images(r#"{match: ["registry.example.org/**"], digest: Any}"#) => "allowed\n";

    tags_get_their_digest: ["spec.images[].digest"], Probe::Image(":1"),
        images(r#"{match: ["registry.example.org/**"], digest: Resolve}"#) => "registry.example.org/agents/x:1@sha256:aaaa",
        images(r#"{match: ["registry.example.org/**"], digest: Any}"#) => "Validate: allowed";
    images_are_signed_by_a_key: ["spec.images[].require[].signature.identity.publicKey"], PINNED,
        signed(&format!("publicKey: '{}'", pem(KEY))) => "Validate: allowed",
        signed(&format!("publicKey: '{}'", pem("MCowBQYDK2VwAyEAsGPTRXbEft6Zy1dqxjSCPEfqhLTaHR/LFxcGARJ1XD0="))) => "is not signed by the key";
    images_are_signed_by_a_subject: ["spec.images[].require[].signature.identity.issuer", "spec.images[].require[].signature.identity.subject"], PINNED,
        signed("issuer: 'https://issuer.example.org', subject: release@example.org") => "Validate: allowed",
        signed("issuer: 'https://issuer.example.org', subject: release@example.org.evil.example") => "is not signed by `release@example.org.evil.example`",
        signed("issuer: 'https://other.example.org', subject: release@example.org") => "of `https://other.example.org`";
    images_are_signed_by_a_kind_of_subject: ["spec.images[].require[].signature.identity.subjectPattern"], PINNED,
        signed("issuer: 'https://issuer.example.org', subjectPattern: '^release@example[.]org$'") => "Validate: allowed",
        // Not anchored, but the whole subject has to match.
        signed("issuer: 'https://issuer.example.org', subjectPattern: 'release@example'") => "is not signed by `release@example`";
    images_are_signed_under_a_trust_root: ["spec.images[].require[].signature.identity.trustRoot"], PINNED,
        signed("issuer: 'https://issuer.example.org', subject: release@example.org") => "Validate: allowed",
        signed(&format!("issuer: 'https://issuer.example.org', subject: release@example.org, trustRoot: '{OTHER_ROOT}'")) => "is not signed by `release@example.org`";

    rules_have_names: ["spec.admission.rules[].name", "spec.admission.rules[].validations[].expression"], P,
        rule(PODS, FAILS) => "rule-one: wrong",
        rule(PODS, r#"validations: [{expression: "object.spec.hostname == 'p'"}]"#) => "allowed\n";
    rules_match_resources: ["spec.admission.rules[].match.resources[].resources"], P,
        resources(r#"{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}"#) => "denied\n",
        resources(r#"{apiGroups: [""], apiVersions: [v1], resources: ["pods/resize"], operations: [CREATE]}"#) => "allowed\n";
    rules_match_groups: ["spec.admission.rules[].match.resources[].apiGroups"], P,
        resources(r#"{apiGroups: ["*"], apiVersions: ["*"], resources: [pods], operations: [CREATE]}"#) => "denied\n",
        resources(r#"{apiGroups: [apps], apiVersions: ["*"], resources: [pods], operations: [CREATE]}"#) => "allowed\n";
    rules_match_versions: ["spec.admission.rules[].match.resources[].apiVersions"], P,
        resources(r#"{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}"#) => "denied\n",
        resources(r#"{apiGroups: [""], apiVersions: [v2], resources: [pods], operations: [CREATE]}"#) => "allowed\n";
    rules_match_operations: ["spec.admission.rules[].match.resources[].operations"], Probe::Delete,
        rule(r#"resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [DELETE]}]"#, "validations: [{expression: 'request.operation != \"DELETE\"'}]") => "denied\n",
        rule(PODS, "validations: [{expression: 'request.operation != \"DELETE\"'}]") => "allowed\n";
    rules_exclude_operations: ["spec.admission.rules[].match.excludeResources[].operations"], P,
        excluding("\"\"", "v1", "pods", "UPDATE") => "denied\n",
        excluding("\"\"", "v1", "pods", "CREATE") => "allowed\n";
    rules_exclude_groups: ["spec.admission.rules[].match.excludeResources[].apiGroups"], P,
        excluding("apps", "v1", "pods", "CREATE") => "denied\n",
        excluding("'*'", "v1", "pods", "CREATE") => "allowed\n";
    rules_exclude_versions: ["spec.admission.rules[].match.excludeResources[].apiVersions"], P,
        excluding("\"\"", "v2", "pods", "CREATE") => "denied\n",
        excluding("\"\"", "'*'", "pods", "CREATE") => "allowed\n";
    rules_exclude_resources: ["spec.admission.rules[].match.excludeResources[].resources"], P,
        excluding("\"\"", "v1", "services", "CREATE") => "denied\n",
        excluding("\"\"", "v1", "'*'", "CREATE") => "allowed\n";
    rules_select_namespaces: ["spec.admission.rules[].match.namespaceSelector.matchLabels"], P,
        rule(&format!("{PODS}, namespaceSelector: {{matchLabels: {{tier: gold}}}}"), FAILS) => "denied\n",
        rule(&format!("{PODS}, namespaceSelector: {{matchLabels: {{tier: silver}}}}"), FAILS) => "allowed\n";
    rules_select_namespaces_by_expression: ["spec.admission.rules[].match.namespaceSelector.matchExpressions[].key",
        "spec.admission.rules[].match.namespaceSelector.matchExpressions[].operator", "spec.admission.rules[].match.namespaceSelector.matchExpressions[].values"], P,
        rule(&format!("{PODS}, namespaceSelector: {{matchExpressions: [{{key: tier, operator: In, values: [gold]}}]}}"), FAILS) => "denied\n",
        rule(&format!("{PODS}, namespaceSelector: {{matchExpressions: [{{key: tier, operator: NotIn, values: [gold]}}]}}"), FAILS) => "allowed\n";
    rules_select_objects: ["spec.admission.rules[].match.objectSelector.matchLabels"], P,
        rule(&format!("{PODS}, objectSelector: {{matchLabels: {{component: agent}}}}"), FAILS) => "denied\n",
        rule(&format!("{PODS}, objectSelector: {{matchLabels: {{component: web}}}}"), FAILS) => "allowed\n";
    rules_select_objects_by_expression: ["spec.admission.rules[].match.objectSelector.matchExpressions[].key",
        "spec.admission.rules[].match.objectSelector.matchExpressions[].operator", "spec.admission.rules[].match.objectSelector.matchExpressions[].values"], P,
        rule(&format!("{PODS}, objectSelector: {{matchExpressions: [{{key: component, operator: In, values: [agent]}}]}}"), FAILS) => "denied\n",
        rule(&format!("{PODS}, objectSelector: {{matchExpressions: [{{key: component, operator: DoesNotExist}}]}}"), FAILS) => "allowed\n";
    rules_have_conditions: ["spec.admission.rules[].match.conditions[].name", "spec.admission.rules[].match.conditions[].expression"], P,
        rule(&format!("{PODS}, conditions: [{{name: named, expression: \"object.metadata.name == 'p'\"}}]"), FAILS) => "denied\n",
        rule(&format!("{PODS}, conditions: [{{name: named, expression: \"object.metadata.name == 'q'\"}}]"), FAILS) => "allowed\n";
    rules_judge_pod_templates: ["spec.admission.rules[].podTemplates"], Probe::Object(DEPLOYMENT),
        rule(PODS, &format!("podTemplates: true\n{FAILS}")) => "denied\n",
        rule(PODS, FAILS) => "allowed\n";
    rules_have_variables: ["spec.admission.rules[].variables[].name", "spec.admission.rules[].variables[].expression"], P,
        rule(PODS, "variables: [{name: wanted, expression: \"'q'\"}]\nvalidations: [{expression: \"object.spec.hostname == variables.wanted\"}]") => "denied\n",
        rule(PODS, "variables: [{name: wanted, expression: \"'p'\"}]\nvalidations: [{expression: \"object.spec.hostname == variables.wanted\"}]") => "allowed\n";
    validations_have_messages: ["spec.admission.rules[].validations[].message", "spec.admission.rules[].validations[].messageExpression"], P,
        rule(PODS, "validations: [{expression: \"object.spec.hostname == 'q'\", message: written}]") => "written",
        rule(PODS, "validations: [{expression: \"object.spec.hostname == 'q'\", messageExpression: \"'computed for ' + object.metadata.name\"}]") => "computed for p";
    validations_have_reasons: ["spec.admission.rules[].validations[].reason"], P,
        rule(PODS, "validations: [{expression: \"object.spec.hostname == 'q'\", reason: Forbidden}]") => "(Forbidden)",
        rule(PODS, "validations: [{expression: \"object.spec.hostname == 'q'\"}]") => "(Invalid)";
    validations_have_remedies: ["spec.admission.rules[].validations[].remedy"], P,
        rule(PODS, "validations: [{expression: \"object.spec.hostname == 'q'\", remedy: call it q}]") => "call it q",
        rule(PODS, "validations: [{expression: \"object.spec.hostname == 'q'\"}]") => "None";
    rules_may_be_in_rego: ["spec.admission.rules[].rego.file"], P,
        rule(PODS, "rego: {file: names.rego, rule: data.names.deny}") => "a p",
        rule(PODS, "rego: {file: others.rego, rule: data.names.deny}") => "allowed\n";
    rules_name_a_rule_of_a_module: ["spec.admission.rules[].rego.rule"], P,
        rule(PODS, "rego: {file: names.rego, rule: data.names.deny}") => "denied\n",
        rule(PODS, "rego: {file: names.rego, rule: data.names.none}") => "allowed\n";
    rules_may_hold_a_module: ["spec.admission.rules[].rego.source"], P,
        rule(PODS, "rego: {source: 'package a\n\n  deny contains \"a p\" if input.object.metadata.name == \"p\"', rule: data.a.deny}") => "a p",
        rule(PODS, "rego: {source: 'package a\n\n  deny contains \"a q\" if input.object.metadata.name == \"q\"', rule: data.a.deny}") => "allowed\n";
    exceptions_relax_only_rules_that_may_be_relaxed: ["spec.admission.rules[].exceptable"], Probe::Excepted,
        rule(PODS, &format!("exceptable: true\n{FAILS}")) => "excepted by `policies/old`",
        rule(PODS, FAILS) => "denied\n";
    rules_have_actions: ["spec.admission.rules[].action"], P,
        rule(PODS, FAILS) => "denied\nDeny",
        rule(PODS, &format!("action: Warn\n{FAILS}")) => "allowed\nWarn",
        rule(PODS, &format!("action: Audit\n{FAILS}")) => "allowed\nAudit";
    rules_annotate_the_audit_log: ["spec.admission.rules[].auditAnnotations[].key", "spec.admission.rules[].auditAnnotations[].valueExpression"], P,
        rule(PODS, "validations: [{expression: 'has(object.spec)'}]\nauditAnnotations: [{key: seen, valueExpression: \"'name ' + object.metadata.name\"}]") => "name p",
        rule(PODS, "validations: [{expression: 'has(object.spec)'}]") => "";
    mutations_write_fields: ["spec.admission.rules[].mutations[].field", "spec.admission.rules[].mutations[].value"], P,
        rule(PODS, "mutations: [{field: spec.subdomain, value: sub}]") => r#""value":"sub""#,
        rule(PODS, "mutations: [{field: spec.subdomain, value: dom}]") => r#""value":"dom""#;
    mutations_may_keep_what_is_there: ["spec.admission.rules[].mutations[].whenAbsent"], P,
        rule(PODS, "mutations: [{field: spec.hostname, value: other, whenAbsent: true}]") => "",
        rule(PODS, "mutations: [{field: spec.hostname, value: other}]") => r#""value":"other""#;
    mutations_may_be_patches: ["spec.admission.rules[].mutations[].jsonPatch.expression"], P,
        rule(PODS, "mutations: [{jsonPatch: {expression: \"[{'op': 'add', 'path': '/spec/subdomain', 'value': 'sub'}]\"}}]") => r#""value":"sub""#,
        rule(PODS, "mutations: [{jsonPatch: {expression: \"[{'op': 'add', 'path': '/spec/subdomain', 'value': 'dom'}]\"}}]") => r#""value":"dom""#;
    mutations_may_be_partial_objects: ["spec.admission.rules[].mutations[].applyConfiguration.expression"], P,
        rule(PODS, "mutations: [{applyConfiguration: {expression: \"{'spec': {'subdomain': 'sub'}}\"}}]") => r#""value":"sub""#,
        rule(PODS, "mutations: [{applyConfiguration: {expression: \"{'spec': {'subdomain': 'dom'}}\"}}]") => r#""value":"dom""#;
    mutations_override_others: ["spec.admission.rules[].mutations[].overrides"], Probe::Findings,
        rule(PODS, "mutations: [{field: spec.subdomain, value: sub}, {field: spec.subdomain, value: dom, overrides: [rule-one]}]") => "",
        rule(PODS, "mutations: [{field: spec.subdomain, value: sub}, {field: spec.subdomain, value: dom}]") => "BW0425";
    what_overrides_is_written: ["spec.admission.rules[].mutations[].overrides"], P,
        rule(PODS, "mutations: [{field: spec.subdomain, value: sub}, {field: spec.subdomain, value: dom, overrides: [rule-one]}]") => r#""value":"dom""#,
        rule(PODS, "mutations: [{field: spec.subdomain, value: dom}, {field: spec.subdomain, value: sub, overrides: [rule-one]}]") => r#""value":"sub""#;
}

#[test]
fn services_are_reached_by_their_rules() {
    let services =
        r#"resources: [{apiGroups: [""], apiVersions: [v1], resources: [services], operations: [CREATE]}]"#;
    check(
        &Probe::Object(SERVICE),
        &[
            (&rule(services, "validations: [{expression: \"object.metadata.name == 'q'\"}]"), "denied\n"),
            (&rule(services, "validations: [{expression: \"object.metadata.name == 's'\"}]"), "allowed\n"),
        ],
    );
}
