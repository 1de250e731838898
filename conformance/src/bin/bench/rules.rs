//! The sixteen rules of the peers' benches (the restricted profile, one rule for each control) over a pod,
//! and the pod.

use serde_json::{Value, json};

/// Name and expression.
pub(crate) const RULES: [(&str, &str); 16] = [
    (
        "host-process",
        "!object.spec.?securityContext.?windowsOptions.?hostProcess.orValue(false) && \
         object.spec.containers.all(c, !c.?securityContext.?windowsOptions.?hostProcess.orValue(false))",
    ),
    (
        "host-namespaces",
        "!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && \
         !object.spec.?hostIPC.orValue(false)",
    ),
    ("privileged", "object.spec.containers.all(c, !c.?securityContext.?privileged.orValue(false))"),
    ("host-path", "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))"),
    ("host-ports", "object.spec.containers.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))"),
    (
        "host-probes",
        "object.spec.containers.all(c, \
         c.?livenessProbe.?httpGet.?host.orValue('') == '' && c.?livenessProbe.?tcpSocket.?host.orValue('') == '' && \
         c.?readinessProbe.?httpGet.?host.orValue('') == '' && c.?readinessProbe.?tcpSocket.?host.orValue('') == '' && \
         c.?startupProbe.?httpGet.?host.orValue('') == '' && c.?startupProbe.?tcpSocket.?host.orValue('') == '' && \
         c.?lifecycle.?postStart.?httpGet.?host.orValue('') == '' && c.?lifecycle.?preStop.?httpGet.?host.orValue('') == '')",
    ),
    (
        "app-armor",
        "object.spec.?securityContext.?appArmorProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost'] && \
         object.spec.containers.all(c, c.?securityContext.?appArmorProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost'])",
    ),
    (
        "se-linux",
        "object.spec.containers.all(s, \
         s.?securityContext.?seLinuxOptions.?type.orValue('') in ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'] && \
         s.?securityContext.?seLinuxOptions.?user.orValue('') == '' && s.?securityContext.?seLinuxOptions.?role.orValue('') == '')",
    ),
    (
        "proc-mount",
        "object.spec.containers.all(c, c.?securityContext.?procMount.orValue('Default') == 'Default')",
    ),
    (
        "sysctls",
        "object.spec.?securityContext.?sysctls.orValue([]).all(s, s.name in ['kernel.shm_rmid_forced', \
         'net.ipv4.ip_local_port_range', 'net.ipv4.ip_unprivileged_port_start', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range'])",
    ),
    (
        "volume-types",
        "object.spec.?volumes.orValue([]).all(v, has(v.configMap) || has(v.csi) || has(v.downwardAPI) || has(v.emptyDir) || \
         has(v.ephemeral) || has(v.persistentVolumeClaim) || has(v.projected) || has(v.secret))",
    ),
    (
        "privilege-escalation",
        "object.spec.containers.all(c, c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false)",
    ),
    (
        "run-as-non-root",
        "object.spec.containers.all(c, c.?securityContext.?runAsNonRoot.orValue(\
         object.spec.?securityContext.?runAsNonRoot.orValue(false)) == true)",
    ),
    (
        "run-as-user",
        "object.spec.?securityContext.?runAsUser.orValue(1) != 0 && \
         object.spec.containers.all(c, c.?securityContext.?runAsUser.orValue(1) != 0)",
    ),
    (
        "seccomp",
        "object.spec.?securityContext.?seccompProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost'] && \
         object.spec.containers.all(c, c.?securityContext.?seccompProfile.?type.orValue(\
         object.spec.?securityContext.?seccompProfile.?type.orValue('')) in ['RuntimeDefault', 'Localhost'])",
    ),
    (
        "capabilities",
        "object.spec.containers.all(c, c.?securityContext.?capabilities.?drop.orValue([]).exists(d, d == 'ALL') && \
         c.?securityContext.?capabilities.?add.orValue([]).all(a, a == 'NET_BIND_SERVICE'))",
    ),
];

/// The same rules in the same order without optionals, as `has` chains, for the comparison with cel 0.15.
/// There, over a tree with shared containers,
/// `c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false` is false although the field is
/// false, and rules that one side does not evaluate correctly compare nothing.
pub(crate) fn plain_rules() -> Vec<String> {
    let every = |check: String| format!("object.spec.containers.all(c, {check})");
    let whole_and_every = |field: &str, check: &str| {
        let whole = absent_or("object.spec", field, check);
        format!("{whole} && {}", every(absent_or("c", field, check)))
    };
    let known = "in ['RuntimeDefault', 'Localhost']";
    let types = "in ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']";
    let sysctls = "['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.ip_unprivileged_port_start', \
                   'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range']";
    let all = |checks: &[(&str, &str)]| {
        let checks: Vec<_> = checks.iter().map(|(field, check)| absent_or("c", field, check)).collect();
        every(checks.join(" && "))
    };
    let volumes = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let volumes = volumes.map(|kind| format!("has(v.{kind})")).join(" || ");
    let hosts = [
        "livenessProbe.httpGet",
        "livenessProbe.tcpSocket",
        "readinessProbe.httpGet",
        "readinessProbe.tcpSocket",
        "startupProbe.httpGet",
        "startupProbe.tcpSocket",
        "lifecycle.postStart.httpGet",
        "lifecycle.preStop.httpGet",
    ]
    .map(|probe| absent_or("c", &format!("{probe}.host"), "== ''"))
    .join(" && ");
    let namespaces =
        ["hostNetwork", "hostPID", "hostIPC"].map(|field| absent_or("object.spec", field, "== false"));
    vec![
        whole_and_every("securityContext.windowsOptions.hostProcess", "== false"),
        namespaces.join(" && "),
        all(&[("securityContext.privileged", "== false")]),
        absent_or("object.spec", "volumes", ".all(v, !has(v.hostPath))"),
        all(&[("ports", ".all(p, !has(p.hostPort) || p.hostPort == 0)")]),
        every(hosts),
        whole_and_every("securityContext.appArmorProfile.type", known),
        all(&[
            ("securityContext.seLinuxOptions.type", types),
            ("securityContext.seLinuxOptions.user", "== ''"),
            ("securityContext.seLinuxOptions.role", "== ''"),
        ]),
        all(&[("securityContext.procMount", "== 'Default'")]),
        absent_or("object.spec", "securityContext.sysctls", &format!(".all(s, s.name in {sysctls})")),
        absent_or("object.spec", "volumes", &format!(".all(v, {volumes})")),
        every(present_and("securityContext.allowPrivilegeEscalation", "== false")),
        every(present_and("securityContext.runAsNonRoot", "== true")),
        whole_and_every("securityContext.runAsUser", "!= 0"),
        every(present_and("securityContext.seccompProfile.type", known)),
        every(format!(
            "{} && {}",
            present_and("securityContext.capabilities.drop", ".exists(d, d == 'ALL')"),
            absent_or("c", "securityContext.capabilities.add", ".all(a, a == 'NET_BIND_SERVICE')")
        )),
    ]
}

/// `!has(base.a) || !has(base.a.b) || base.a.b check`.
fn absent_or(base: &str, path: &str, check: &str) -> String {
    let guards: Vec<_> = prefixes(base, path).iter().map(|prefix| format!("!has({prefix}) || ")).collect();
    format!("({}{base}.{path}{}{check})", guards.concat(), gap(check))
}

/// `has(c.a) && has(c.a.b) && c.a.b check`.
fn present_and(path: &str, check: &str) -> String {
    let guards: Vec<_> = prefixes("c", path).iter().map(|prefix| format!("has({prefix}) && ")).collect();
    format!("({}c.{path}{}{check})", guards.concat(), gap(check))
}

/// A method follows its receiver without a space.
fn gap(check: &str) -> &'static str {
    if check.starts_with('.') { "" } else { " " }
}

/// `base.a`, `base.a.b`, and so on.
fn prefixes(base: &str, path: &str) -> Vec<String> {
    let mut prefix = base.to_owned();
    path.split('.')
        .map(|field| {
            prefix = format!("{prefix}.{field}");
            prefix.clone()
        })
        .collect()
}

/// A pod of ten containers, about 8 kB of JSON, that meets every rule.
pub(crate) fn pod() -> Value {
    let container = |number: u16| {
        json!({
            "name": format!("c{number}"),
            "image": format!("registry.example.com/team/image{number}@sha256:{}", "0123456789abcdef".repeat(4)),
            "command": ["sh", "-c", "exec serve --port 8080"],
            "env": [
                {"name": "MODE", "value": "production"},
                {"name": "LEVEL", "value": "info"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "value"}}}
            ],
            "ports": [{"containerPort": 8080 + number, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            "securityContext": {
                "runAsNonRoot": true, "allowPrivilegeEscalation": false, "privileged": false,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}
            },
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"},
                {"name": "account", "mountPath": "/var/run/secrets", "readOnly": true}
            ],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web", "team": "shop"}},
        "spec": {
            "serviceAccountName": "web", "hostNetwork": false,
            "containers": (0..10).map(container).collect::<Vec<_>>(),
            "volumes": [{"name": "tmp", "emptyDir": {}}]
        }
    })
}
