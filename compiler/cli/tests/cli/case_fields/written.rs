//! What the tests write: packs, and cases from the parts in which they differ.

pub(super) const KEY: &str = "-----BEGIN PUBLIC KEY-----MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=-----END PUBLIC KEY-----";
pub(super) const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Rules over pods of namespaces with the label `zone: agents`.
pub(super) const ADMISSION: &str = r#"parameters: [{name: host, type: string, default: p, bindable: true, enum: [p, q]}]
subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}, unmatched: Deny}
admission:
  rules:
  - name: hostnames
    match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
    validations: [{expression: "object.spec.?hostname.orValue('') == params.host", message: wrong host}]
    mutations: [{field: spec.subdomain, value: sub, whenAbsent: true}]
  - name: users
    match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
    validations: [{expression: "request.userInfo.?username.orValue('') != 'mallory' && !('banned' in request.userInfo.?groups.orValue([]))"}]
  - name: places
    match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
    validations: [{expression: "object.metadata.namespace != 'closed'"}]
  - name: kept
    match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [DELETE]}]}
    validations: [{expression: "oldObject.metadata.name != 'kept'"}]
  - name: debugging
    match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods/ephemeralcontainers], operations: [UPDATE]}]}
    validations: [{expression: "object.metadata.name != 'p'"}]
  - name: odd
    match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
    action: Warn
    validations: [{expression: "object.metadata.name != 'odd'", message: an odd name}]"#;

/// A rule over a resource whose name does not follow from its kind.
pub(super) const GATES: &str = r#"subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}, unmatched: Deny}
admission:
  rules:
  - name: gates
    match: {resources: [{apiGroups: [gateway.networking.k8s.io], apiVersions: [v1], resources: [gateways], operations: [CREATE]}]}
    validations: [{expression: "false"}]"#;

/// The creation of a gateway that is to be denied, plus further fields of the case.
pub(super) fn gate(rest: &str) -> String {
    let object = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}}";
    cases(&format!("admission: {{object: {object}{rest}}}"), "allowed: false, rule: gates")
}

/// A rule that checks whether the requester may scale a Deployment, and its message.
pub(super) const ASKS: &str = r#"subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}, unmatched: Deny}
admission:
  rules:
  - name: scales
    match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
    variables:
    - name: said
      expression: >-
        authorizer.group('apps').resource('deployments').subresource('scale').namespace('web').name('front')
        .fieldSelector('a=b').labelSelector('c=d').check('update')
    validations:
    - {expression: "variables.said.allowed() && variables.said.reason() != 'guess' && !variables.said.errored()", message: who asks may not}"#;

/// A rule that checks whether a service account may get a path.
pub(super) const ASKS_FOR_AN_ACCOUNT: &str = r#"subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}, unmatched: Deny}
admission:
  rules:
  - name: gets
    match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
    validations:
    - {expression: "authorizer.serviceAccount('agents', 'robot').path('/urgent').check('get').allowed()", message: the robot may not}"#;

/// A network, a sandbox, tools.
pub(super) const CALLS: &str = r#"subjects: {namespaces: {selector: {matchLabels: {zone: agents}}}, unmatched: Deny}
network:
  egress:
  - {name: web, to: {cidr: 192.0.2.0/24}, ports: [{port: 443}]}
  - {name: names, to: {cidr: 192.0.2.53/32}, ports: [{port: 53, protocol: UDP}]}
  - {name: data, to: {namespaces: {matchLabels: {team: red}}, pods: {matchLabels: {app: db}}}, ports: [{port: 5432}]}
  - {name: own, to: {pods: {matchLabels: {app: cache}}}, ports: [{port: 5432}]}
  ingress: [{name: inside, from: {cidr: 198.51.100.0/24}, ports: [{port: 8080}]}]
pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}]
sandboxes:
- {name: shell, pool: warm, filesystem: {readOnly: [/usr, /bin], writable: [{path: /tmp, size: 1Mi}]}, syscalls: {profile: Shell}, limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}
- {name: python, pool: warm, runtime: {language: Python}, filesystem: {readOnly: [/usr, /bin, /opt]}, syscalls: {profile: Python, add: [sched_setscheduler]}, limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}}
- {name: quiet, pool: warm, filesystem: {readOnly: [/usr, /bin], writable: [{path: /tmp, size: 1Mi}]}, syscalls: {profile: Shell}, limits: {wallClock: 30s, memory: 512Mi, processes: 8, output: 1Mi}}
tools:
  definitions:
  - {name: files.read, input: {type: object, additionalProperties: false, properties: {file: {type: string}}}, run: {sandbox: shell, argv: [{value: /bin/cat}, {value: '--'}, {arg: file}]}}
  - {name: files.list, input: {type: object, additionalProperties: false, properties: {file: {type: string}}}, run: {sandbox: shell, argv: [{value: /bin/ls}, {value: '--'}, {arg: file}]}}
  approvers: [{name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=}]}]
  state: {labels: [{name: tainted}, {name: other}], counters: [{name: reads}], budgets: [{name: few, resource: Calls, limit: 5}]}
  rules:
  - {name: readable, tools: [files.read, files.list], allow: {}}
  - {name: secrets, tools: [files.read], when: "call.args.?file.orValue('') == 'secret'", deny: {}}
  - {name: renamed, tools: [files.list], when: "call.args.?file.orValue('') in ['old', 'new']", allow: {}, transform: {args: "{'file': 'new'}"}}
  - {name: quieter, tools: [files.read], when: "call.args.?file.orValue('') == 'quiet'", narrow: {sandbox: quiet}}
  - {name: rate, tools: [files.read], throttle: {counter: reads, max: 2}}
  - {name: agents, tools: ['*'], when: "subject.agent == 'mallory'", deny: {}}
  - {name: users, tools: ['*'], when: "subject.user == 'mallory'", deny: {}}
  - {name: places, tools: ['*'], when: "subject.namespace == 'closed'", deny: {}}
  - {name: groups, tools: ['*'], when: "'banned' in subject.groups", deny: {}}
  - {name: labels, tools: ['*'], when: "'suspect' in subject.labels", deny: {}}
  - {name: chains, tools: ['*'], when: "'mallory' in subject.chain", deny: {}}
  - {name: aged, tools: ['*'], when: "session.age > duration('1h')", deny: {}}
  - {name: long, tools: ['*'], when: "session.calls > 3", deny: {}}
  - {name: keys, tools: [files.read], phase: Result, transform: {result: "{'stdout': result.stdout.replace('key', '***'), 'stderr': result.stderr.replace('key', '***'), 'content': result.content.replace('key', '***')}"}}
  - {name: odd, tools: [files.read], phase: Result, when: "result.outcome == 'TimedOut' || result.exitCode == 7 || result.signal == 9 || result.content == 'odd' || 'odd' in result.paths", deny: {}}
  - {name: marks, tools: [files.read], when: "call.args.?file.orValue('') == 'mark'", label: {add: [other]}}
  - {name: cleans, tools: [files.list], when: "call.args.?file.orValue('') == 'clean'", confirm: {approvers: oncall, quorum: 1, expires: 10m}}
  - {name: cleaned, tools: [files.list], when: "call.args.?file.orValue('') == 'clean'", label: {remove: [other]}}
  - {name: tainted, tools: ['*'], when: "'tainted' in session.labels", deny: {}}
  - {name: late, tools: ['*'], when: "now > timestamp('2030-01-01T00:00:00Z')", deny: {}}"#;

/// Images of one registry, signed by a key or by a subject.
pub(super) fn images(identity: &str) -> String {
    format!(
        "subjects: {{namespaces: {{selector: {{matchLabels: {{zone: agents}}}}}}, unmatched: Deny}}\n\
         images: [{{match: ['registry.example.org/**'], digest: Resolve, require: [{{signature: {{identity: {{{identity}}}}}}}]}}]"
    )
}

pub(super) fn by_key() -> String {
    images(&format!("publicKey: '{KEY}'"))
}

pub(super) fn by_subject() -> String {
    images("issuer: 'https://issuer.example.org', subject: release")
}

pub(super) fn file(rest: &str) -> String {
    format!("apiVersion: bailiwick.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  {rest}\n")
}

pub(super) fn cases(one: &str, expect: &str) -> String {
    file(&format!("cases: [{{name: the case, {one}, expect: {{{expect}}}}}]"))
}

/// A pod with this name and hostname.
pub(super) fn pod(name: &str, hostname: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{hostname: {hostname}, containers: [{{name: c, image: i}}]}}}}"
    )
}

/// The creation of a valid pod, plus further fields of the case.
pub(super) fn created(rest: &str, expect: &str) -> String {
    cases(&format!("admission: {{object: {}{rest}}}", pod("p", "p")), expect)
}

/// An operation on the pod `kept`, as it was and as it is to be.
pub(super) fn kept(operation: &str, old: &str, expect: &str) -> String {
    let (object, old) = (pod("p", "p"), pod(old, "p"));
    cases(&format!("admission: {{operation: {operation}, object: {object}, oldObject: {old}}}"), expect)
}

/// The creation of a valid pod, where the authorizer allows only what matches this entry.
pub(super) fn allowed_by(entry: &str) -> String {
    created(&format!(", authorizer: [{{{entry}, allowed: true}}, {{allowed: false}}]"), "allowed: true")
}

/// The same, where the authorizer gives this answer to every question.
pub(super) fn said(entry: &str) -> String {
    created(&format!(", authorizer: [{{{entry}}}]"), "allowed: true")
}

pub(super) fn updated(rest: &str) -> String {
    let object = pod("p", "p");
    let admission = format!("admission: {{operation: UPDATE, object: {object}, oldObject: {object}{rest}}}");
    cases(&admission, "allowed: false, rule: debugging")
}

/// A call of `files.read` that returns this result, plus what is expected.
pub(super) fn gave(result: &str, expect: &str) -> String {
    call(&format!(", result: {{{result}}}"), expect)
}

pub(super) fn call(rest: &str, expect: &str) -> String {
    cases(&format!("toolCall: {{tool: files.read, args: {{file: notes.txt}}{rest}}}"), expect)
}

pub(super) fn denied_by(rule: &str, rest: &str) -> String {
    call(rest, &format!("effect: Deny, rule: {rule}"))
}

pub(super) fn subject(rule: &str, subject: &str) -> String {
    denied_by(rule, &format!(", subject: {{{subject}}}"))
}

pub(super) fn after(rule: &str, session: &str) -> String {
    denied_by(rule, &format!(", session: {{{session}}}"))
}

pub(super) fn connection(rest: &str) -> String {
    cases(&format!("connection: {{{rest}}}"), "allowed: true")
}

pub(super) fn peer(rest: &str) -> String {
    connection(&format!("to: '203.0.113.1:5432', peer: {{{rest}}}"))
}

pub(super) fn syscall(rest: &str, action: &str) -> String {
    cases(&format!("syscall: {{{rest}}}"), &format!("action: {action}"))
}

pub(super) fn path(rest: &str) -> String {
    cases(&format!("filesystem: {{{rest}}}"), "allowed: true")
}

pub(super) fn image(reference: &str, evidence: &str) -> String {
    cases(&format!("image: {{reference: '{reference}', evidence: {{{evidence}}}}}"), "allowed: true")
}

/// An image by its digest, with one signature.
pub(super) fn signed(signature: &str) -> String {
    image(&format!("registry.example.org/a@{DIGEST}"), &format!("signatures: [{{{signature}}}]"))
}
