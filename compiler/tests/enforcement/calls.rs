//! The fields of tools, sandboxes, pools and audit: what becomes of a call, and what the policy holds a sandbox to. That kernel and log do
//! as the policy says is shown with the executor.

use super::support::Probe;

/// Everything that a tool needs to run in.
fn sandbox(filesystem: &str, syscalls: &str, limits: &str, rest: &str) -> String {
    format!("{POOL}
sandboxes:
- {{name: shell, pool: warm, filesystem: {{readOnly: [/usr, /bin]{filesystem}}}, syscalls: {syscalls}, limits: {{wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi{limits}}}{rest}}}")
}

const POOL: &str = "pools: [{name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36}, userNamespace: Required, cgroup: Writable, resources: {cpus: '2', memory: 1Gi}}]";

fn pool(change: &str, to: &str) -> String {
    let pool = POOL.replace(change, to);
    assert_ne!(pool, POOL, "`{change}` is not there");
    sandbox(", proc: Own", "{profile: Shell}", "", "").replace(POOL, &pool)
}

fn files(rest: &str) -> String {
    sandbox(&format!(", {rest}"), "{profile: Shell}", "", "")
}

fn syscalls(list: &str) -> String {
    sandbox("", list, "", "")
}

fn limits(rest: &str) -> String {
    sandbox("", "{profile: Shell}", &format!(", {rest}"), "")
}

fn boxed(rest: &str) -> String {
    sandbox("", "{profile: Shell}", "", &format!(", {rest}"))
}

const RUN: &str = "run: {sandbox: shell, argv: [{value: /bin/cat}, {value: '--'}, {arg: file}]}";
const ALLOW: &str = "rules: [{name: readable, tools: [files.read], allow: {}}]";
const KEYS: &str = "approvers: [{name: oncall, keys: [{id: alice, principal: alice@example.org, ed25519: 'MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE='}, {id: bob, principal: bob@example.org, ed25519: 'MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo='}]}]";

/// A tool `files.read` with what is said of it, and the rest of the section.
fn tool(definition: &str, rest: &str) -> String {
    let input = "{type: object, additionalProperties: false, properties: {file: {type: string}}}";
    format!(
        "{}\ntools:\n  definitions: [{{name: files.read, input: {input}, {definition}}}]\n  {}",
        boxed("environment: []"),
        rest.replace('\n', "\n  ")
    )
}

fn rules(list: &str) -> String {
    tool(RUN, &format!("{KEYS}\nstate: {{counters: [{{name: reads}}, {{name: others}}]}}\nrules: [{list}]"))
}

/// Calls are let through until their session is tainted.
fn labelled(definition: &str, more: &str) -> String {
    tool(
        &format!("{RUN}, {definition}"),
        &format!(
            "state: {{labels: [{{name: tainted}}, {{name: other}}]}}\nrules: [{{name: readable, tools: [files.read], allow: {{}}}}, \
             {{name: outward, tools: [files.read], when: \"'tainted' in session.labels\", deny: {{}}}}{more}]"
        ),
    )
}

/// Rules where there is another sandbox, `quiet`, with fewer processes.
fn narrowing(list: &str) -> String {
    let shell = rules(list);
    let one = shell.lines().find(|line| line.starts_with("- {name: shell")).expect("the sandbox");
    let quiet = one.replace("name: shell", "name: quiet").replace("processes: 64", "processes: 8");
    shell.replace("sandboxes:\n", &format!("sandboxes:\n{quiet}\n"))
}

fn state(list: &str) -> String {
    tool(
        RUN,
        &format!(
            "state: {list}\nrules: [{{name: readable, tools: [files.read], allow: {{}}}}, {{name: rate, tools: [files.read], throttle: {{counter: reads, max: 1}}}}]"
        ),
    )
}

fn budget(list: &str) -> String {
    tool(RUN, &format!("state: {{budgets: [{list}]}}\n{ALLOW}"))
}

fn asks(ask: &str, group: &str) -> String {
    tool(&format!("{RUN}, otherwise: {{ask: {{{ask}}}}}"), &KEYS.replace("oncall", group))
}

fn audit(rest: &str) -> String {
    format!("audit: {{{rest}}}")
}

/// One call of `files.read`, and another one after it.
const C: Probe = Probe::Call(0);
const AGAIN: Probe = Probe::Call(1);
const POLICY: Probe = Probe::Policy;

fields! {
    pools_have_names: ["spec.pools[].name"], Probe::Findings,
        POOL.replace("name: warm", "name: cold") + "\nsandboxes: [{name: s, pool: warm, filesystem: {}, syscalls: {profile: Shell}, limits: {wallClock: 1s, memory: 1Mi, processes: 1, output: 1Mi}}]" => "BW0407",
        POOL.to_owned() + "\nsandboxes: [{name: s, pool: warm, filesystem: {}, syscalls: {profile: Shell}, limits: {wallClock: 1s, memory: 1Mi, processes: 1, output: 1Mi}}]" => "";
    pools_are_native: ["spec.pools[].backend"], Probe::Findings,
        pool("backend: Native", "backend: Pod") => "BW0525",
        pool("runtimeClass: runc", "runtimeClass: other") => "";
    pools_are_in_known_runtime_classes: ["spec.pools[].runtimeClass"], Probe::Findings,
        pool("runtimeClass: runc", "runtimeClass: other") + "\nisolation: {runtimeClass: {classes: [{name: runc, handler: runc, kind: Runc}]}}" => "BW0417",
        POOL.to_owned() + "\nisolation: {runtimeClass: {classes: [{name: runc, handler: runc, kind: Runc}]}}" => "";
    pools_have_a_level_on_their_namespaces: ["spec.pools[].podSecurity.level"], Probe::File("pool-namespaces"),
        POOL => "enforce: baseline\n",
        pool("level: Baseline", "level: Privileged") => "enforce: privileged\n";
    pools_have_a_version_on_their_namespaces: ["spec.pools[].podSecurity.version"], Probe::File("pool-namespaces"),
        POOL => "enforce-version: v1.36\n",
        pool("version: v1.36", "version: v1.35") => "enforce-version: v1.35\n";
    pools_have_a_level_that_gives_proc: ["spec.pools[].podSecurity.level"], Probe::Findings,
        pool("level: Baseline", "level: Restricted") => "BW0405",
        pool("level: Baseline", "level: Privileged") => "";
    pools_have_a_version_that_gives_proc: ["spec.pools[].podSecurity.version"], Probe::Findings,
        pool("version: v1.36", "version: v1.34") => "BW0405",
        pool("version: v1.36", "version: v1.35") => "";
    pools_have_a_user_namespace_that_gives_proc: ["spec.pools[].userNamespace"], Probe::Findings,
        pool("userNamespace: Required", "userNamespace: Optional") => "BW0405",
        POOL => "";
    pools_have_a_cgroup_that_holds_limits: ["spec.pools[].cgroup"], Probe::Findings,
        pool("cgroup: Writable", "cgroup: ReadOnly") => "BW0413",
        POOL => "";
    pools_have_cpus_for_their_sandboxes: ["spec.pools[].resources.cpus"], Probe::Findings,
        pool("cpus: '2'", "cpus: 900m") => "spec.sandboxes[0].limits.cpus: limit `1` is above the `900m`",
        pool("cpus: '2'", "cpus: '1'") => "";
    pools_have_memory_for_their_sandboxes: ["spec.pools[].resources.memory"], Probe::Findings,
        pool("memory: 1Gi", "memory: 256Mi") => "spec.sandboxes[0].limits.memory: limit `512Mi` is above the `256Mi`",
        pool("memory: 1Gi", "memory: 512Mi") => "";

    sandboxes_have_names: ["spec.sandboxes[].name", "spec.tools.definitions[].run.sandbox"], C,
        tool(RUN, ALLOW) => "sandbox: \"shell\"",
        tool(RUN, ALLOW).replace("shell", "other") => "sandbox: \"other\"";
    calls_add_labels: ["spec.tools.definitions[].mayAdd"], AGAIN,
        labelled("mayAdd: [tainted]", "") => "effect\":{\"deny\"",
        labelled("mayAdd: [other]", "") => "effect\":\"allow\"";
    tool_rules_add_labels: ["spec.tools.rules[].label.add", "spec.tools.state.labels[].name"], AGAIN,
        labelled("stdin: Forbidden", ", {name: taints, tools: [files.read], label: {add: [tainted]}}") => "effect\":{\"deny\"",
        labelled("stdin: Forbidden", ", {name: taints, tools: [files.read], label: {add: [other]}}") => "effect\":\"allow\"";
    tool_rules_take_labels_away: ["spec.tools.rules[].label.remove"], POLICY,
        labelled("mayAdd: [other]", ", {name: clears, tools: [files.read], label: {remove: [tainted]}}") => "\"remove\":[\"tainted\"]",
        labelled("mayAdd: [other]", ", {name: clears, tools: [files.read], label: {remove: [other]}}") => "\"remove\":[\"other\"]";
    labels_are_described: ["spec.tools.state.labels[].description"], POLICY,
        labelled("mayAdd: [tainted]", "").replace("{name: tainted}", "{name: tainted, description: it has read secrets}") => "it has read secrets",
        labelled("mayAdd: [tainted]", "").replace("{name: tainted}", "{name: tainted, description: it has read mail}") => "it has read mail";
    results_are_redacted: ["spec.tools.rules[].transform.result"], POLICY,
        rules("{name: keys, tools: [files.read], phase: Result, transform: {result: \"{'stdout': 'a'}\"}}") => "\"redact\":{\"source\":\"{'stdout': 'a'}\"",
        rules("{name: keys, tools: [files.read], phase: Result, transform: {result: \"{'stdout': 'b'}\"}}") => "\"redact\":{\"source\":\"{'stdout': 'b'}\"";
    texts_of_results_have_names: ["spec.tools.rules[].transform.result"], Probe::Findings,
        rules("{name: keys, tools: [files.read], phase: Result, transform: {result: \"{'stdouts': 'a'}\"}}") => "`stdouts` is not a text of a result",
        rules("{name: keys, tools: [files.read], phase: Result, transform: {result: \"{'stdout': 'a'}\"}}") => "";
    results_that_are_withheld_are_not_redacted: ["spec.tools.rules[].transform.result"], Probe::Findings,
        rules("{name: keys, tools: [files.read], phase: Result, deny: {}, transform: {result: \"{'stdout': 'a'}\"}}") => "BW0434",
        rules("{name: keys, tools: [files.read], phase: Result, transform: {result: \"{'stdout': 'a'}\"}}") => "";
    results_are_known_to_rules_over_them: ["spec.tools.rules[].phase"], Probe::Findings,
        rules("{name: keys, tools: [files.read], when: \"result.stdout == ''\", deny: {}}") => "BW0303",
        rules("{name: keys, tools: [files.read], phase: Result, when: \"result.stdout == ''\", deny: {}}") => "";
    tools_are_hidden: ["spec.tools.rules[].phase"], C,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: shy, tools: [files.read], phase: Call, deny: {}}") => "effect\":{\"deny\"",
        rules("{name: readable, tools: [files.read], allow: {}}, {name: shy, tools: [files.read], phase: List, deny: {}}") => "effect\":\"allow\"";

    sandboxes_are_placed_in_pools: ["spec.sandboxes[].pool"], Probe::Findings,
        tool(RUN, ALLOW).replace("pool: warm, ", "") => "BW0430",
        tool(RUN, ALLOW) => "";
    sandboxes_have_a_language: ["spec.sandboxes[].runtime.language"], POLICY,
        boxed("runtime: {language: Python}").replace("profile: Shell", "profile: Python") => r#""runtime":"Python""#,
        boxed("environment: []") => r#""runtime":null"#;
    sandboxes_read_files: ["spec.sandboxes[].filesystem.readOnly"], POLICY,
        files("devices: []") => r#""readOnly":["/bin","/usr"]"#,
        files("devices: []").replace("[/usr, /bin]", "[/bin, /opt]") => r#""readOnly":["/bin","/opt"]"#;
    sandboxes_write_areas: ["spec.sandboxes[].filesystem.writable[].path"], POLICY,
        files("writable: [{path: /tmp, size: 1Mi}]") => r#""path":"/tmp""#,
        files("writable: [{path: /var/tmp, size: 1Mi}]") => r#""path":"/var/tmp""#;
    areas_have_sizes: ["spec.sandboxes[].filesystem.writable[].size"], POLICY,
        files("writable: [{path: /tmp, size: 1Mi}]") => r#""sizeBytes":1048576"#,
        files("writable: [{path: /tmp, size: 2Mi}]") => r#""sizeBytes":2097152"#;
    areas_hold_files: ["spec.sandboxes[].filesystem.writable[].inodes"], POLICY,
        files("writable: [{path: /tmp, size: 1Mi}]") => r#""inodes":256"#,
        files("writable: [{path: /tmp, size: 1Mi, inodes: 77}]") => r#""inodes":77"#;
    workspaces_have_a_path: ["spec.sandboxes[].filesystem.workspace.path"], POLICY,
        files("workspace: {path: /work, size: 1Mi, lifetime: Session}") => r#""path":"/work""#,
        files("workspace: {path: /home, size: 1Mi, lifetime: Session}") => r#""path":"/home""#;
    workspaces_have_a_size: ["spec.sandboxes[].filesystem.workspace.size"], POLICY,
        files("workspace: {path: /work, size: 1Mi, lifetime: Session}") => r#""sizeBytes":1048576"#,
        files("workspace: {path: /work, size: 2Mi, lifetime: Session}") => r#""sizeBytes":2097152"#;
    workspaces_hold_files: ["spec.sandboxes[].filesystem.workspace.inodes"], POLICY,
        files("workspace: {path: /work, size: 1Mi, lifetime: Session}") => r#""inodes":256"#,
        files("workspace: {path: /work, size: 1Mi, lifetime: Session, inodes: 77}") => r#""inodes":77"#;
    workspaces_live_for_a_session: ["spec.sandboxes[].filesystem.workspace.lifetime"], Probe::Findings,
        files("workspace: {path: /work, size: 1Mi, lifetime: Call}") => "BW0522",
        files("workspace: {path: /work, size: 1Mi, lifetime: Session}") => "";
    workspaces_end_with_their_session: ["spec.sandboxes[].filesystem.workspace.durable"], Probe::Findings,
        files("workspace: {path: /work, size: 1Mi, lifetime: Session, durable: true}") => "BW0522",
        files("workspace: {path: /work, size: 1Mi, lifetime: Session, durable: false}") => "";
    sandboxes_have_no_network: ["spec.sandboxes[].network.egress"], Probe::Findings,
        format!("{}\nnetwork: {{egress: [{{name: web, to: {{cidr: 192.0.2.0/24}}, ports: [{{port: 443}}]}}]}}", boxed("network: {egress: [web]}")) => "BW0521",
        boxed("network: {egress: []}") => "";
    interpreters_live_for_a_call: ["spec.sandboxes[].runtime.lifetime"], Probe::Findings,
        boxed("runtime: {language: Python, lifetime: Session}").replace("profile: Shell", "profile: Python") => "BW0510",
        boxed("runtime: {language: Python, lifetime: Call}").replace("profile: Shell", "profile: Python") => "";
    interpreters_have_nothing_loaded: ["spec.sandboxes[].runtime.preload"], Probe::Findings,
        boxed("runtime: {language: Python, preload: [json]}").replace("profile: Shell", "profile: Python") => "BW0509",
        boxed("runtime: {language: Python, preload: []}").replace("profile: Shell", "profile: Python") => "";
    sandboxes_have_their_proc: ["spec.sandboxes[].filesystem.proc"], POLICY,
        files("proc: Own") => r#""proc":"Own""#,
        files("proc: None") => r#""proc":"None""#;
    sandboxes_have_devices: ["spec.sandboxes[].filesystem.devices"], POLICY,
        files("devices: [zero, 'null']") => r#""devices":["null","zero"]"#,
        files("proc: None") => r#""devices":[]"#;
    profiles_give_system_calls: ["spec.sandboxes[].syscalls.profile"], Probe::Findings,
        boxed("runtime: {language: Python}") => "BW0419",
        boxed("runtime: {language: Python}").replace("profile: Shell", "profile: Python") => "";
    system_calls_are_added: ["spec.sandboxes[].syscalls.add"], POLICY,
        syscalls("{profile: Shell, add: [sched_setscheduler]}") => r#""name":"sched_setscheduler""#,
        syscalls("{profile: Shell}") => "";
    system_calls_are_removed: ["spec.sandboxes[].syscalls.remove"], POLICY,
        syscalls("{profile: Shell}") => r#""name":"mkdirat""#,
        syscalls("{profile: Shell, remove: [mkdirat]}") => "";
    limits_hold_time: ["spec.sandboxes[].limits.wallClock"], POLICY,
        syscalls("{profile: Shell}") => r#""wallClockMs":30000"#,
        syscalls("{profile: Shell}").replace("wallClock: 30s", "wallClock: 1500ms") => r#""wallClockMs":1500"#;
    limits_hold_cpu_time: ["spec.sandboxes[].limits.cpuTime"], POLICY,
        limits("cpus: '2'") => r#""cpuTimeMs":60000"#,
        limits("cpus: '2', cpuTime: 7s") => r#""cpuTimeMs":7000"#;
    limits_hold_cpus: ["spec.sandboxes[].limits.cpus"], POLICY,
        limits("cpus: 1500m") => r#""cpusMilli":1500"#,
        limits("cpuTime: 7s") => r#""cpusMilli":1000"#;
    limits_hold_memory: ["spec.sandboxes[].limits.memory"], POLICY,
        syscalls("{profile: Shell}") => r#""memoryBytes":536870912"#,
        syscalls("{profile: Shell}").replace("memory: 512Mi", "memory: 128Mi") => r#""memoryBytes":134217728"#;
    limits_hold_processes: ["spec.sandboxes[].limits.processes"], POLICY,
        syscalls("{profile: Shell}") => r#""processes":64"#,
        syscalls("{profile: Shell}").replace("processes: 64", "processes: 3") => r#""processes":3"#;
    limits_hold_open_files: ["spec.sandboxes[].limits.openFiles"], POLICY,
        limits("openFiles: 99") => r#""openFiles":99"#,
        limits("cpuTime: 7s") => r#""openFiles":256"#;
    limits_hold_file_sizes: ["spec.sandboxes[].limits.fileSize"], POLICY,
        limits("fileSize: 1Mi") => r#""fileSizeBytes":1048576"#,
        limits("cpuTime: 7s") => r#""fileSizeBytes":536870912"#;
    limits_hold_output: ["spec.sandboxes[].limits.output"], POLICY,
        syscalls("{profile: Shell}") => r#""outputBytes":1048576"#,
        syscalls("{profile: Shell}").replace("output: 1Mi", "output: 2Mi") => r#""outputBytes":2097152"#;
    weaker_ways_are_written: ["spec.sandboxes[].atLeast.memory", "spec.sandboxes[].atLeast.processes", "spec.sandboxes[].atLeast.cpus",
        "spec.sandboxes[].atLeast.cpuTime", "spec.sandboxes[].atLeast.proc"], POLICY,
        boxed("atLeast: {memory: Rlimit, processes: Rlimit, cpus: BestEffort, cpuTime: Rlimit, proc: None}")
            => r#""atLeast":{"memory":"Rlimit","processes":"Rlimit","cpus":"BestEffort","cpuTime":"Rlimit","proc":"None"}"#,
        boxed("environment: []") => r#""atLeast":{"memory":"Exact","processes":"Exact","cpus":"Exact","cpuTime":"Exact","proc":"Exact"}"#;
    sandboxes_have_an_environment: ["spec.sandboxes[].environment[].name", "spec.sandboxes[].environment[].value"], POLICY,
        boxed("environment: [{name: LANG, value: C}]") => r#""environment":[["LANG","C"]]"#,
        boxed("environment: [{name: TZ, value: UTC}]") => r#""environment":[["TZ","UTC"]]"#;

    tools_have_names: ["spec.tools.definitions[].name"], C,
        tool(RUN, ALLOW) => "\"effect\":\"allow\"",
        tool(RUN, ALLOW).replace("files.read", "files.list") => "unknown-tool";
    tools_are_described: ["spec.tools.definitions[].description"], POLICY,
        tool(&format!("description: Reads a file., {RUN}"), ALLOW) => r#""description":"Reads a file.""#,
        tool(RUN, ALLOW) => r#""description":"""#;
    arguments_match_a_schema: ["spec.tools.definitions[].input"], C,
        tool(RUN, ALLOW) => "\"effect\":\"allow\"",
        tool(RUN, ALLOW).replace("file: {type: string}", "file: {type: string, maxLength: 2}") => r#""reason":"arguments""#;
    commands_are_run: ["spec.tools.definitions[].run.argv[].value"], C,
        tool(RUN, ALLOW) => "/bin/cat",
        tool(RUN, ALLOW).replace("/bin/cat", "/bin/ls") => "/bin/ls";
    commands_take_arguments: ["spec.tools.definitions[].run.argv[].arg"], C,
        tool(RUN, ALLOW) => "\"--\", \"notes.txt\"",
        tool(RUN, ALLOW).replace("{arg: file}", "{value: fixed}") => "\"--\", \"fixed\"";
    code_is_run: ["spec.tools.definitions[].run.code.arg", "spec.tools.definitions[].run.code.value"], C,
        tool("run: {sandbox: shell, code: {arg: file}}", ALLOW).replace("profile: Shell}", "profile: Python}, runtime: {language: Python}") => "Code(\"notes.txt\"",
        tool("run: {sandbox: shell, code: {value: print(1)}}", ALLOW).replace("profile: Shell}", "profile: Python}, runtime: {language: Python}") => "Code(\"print(1)\"";
    facts_are_derived_of_command_lines: ["spec.tools.definitions[].derive[].shell"], Probe::Findings,
        tool(RUN, "rules: [{name: lists, tools: [files.read], when: \"facts.shell.onlyRuns(['ls'])\", allow: {}}]") => "BW0306",
        tool(&format!("{RUN}, derive: [{{shell: file}}]"), "rules: [{name: lists, tools: [files.read], when: \"facts.shell.onlyRuns(['ls'])\", allow: {}}]") => "";
    facts_are_derived_of_paths: ["spec.tools.definitions[].derive[].path"], Probe::Findings,
        tool(RUN, "rules: [{name: lists, tools: [files.read], when: \"facts.path.name == 'x'\", allow: {}}]") => "BW0306",
        tool(&format!("{RUN}, derive: [{{path: file}}]"), "rules: [{name: lists, tools: [files.read], when: \"facts.path.name == 'x'\", allow: {}}]") => "";
    facts_are_derived_of_urls: ["spec.tools.definitions[].derive[].url"], Probe::Findings,
        tool(RUN, "rules: [{name: lists, tools: [files.read], when: \"facts.url.host == 'x'\", allow: {}}]") => "BW0306",
        tool(&format!("{RUN}, derive: [{{url: file}}]"), "rules: [{name: lists, tools: [files.read], when: \"facts.url.host == 'x'\", allow: {}}]") => "";
    facts_are_derived_of_git: ["spec.tools.definitions[].derive[].git"], Probe::Findings,
        tool(RUN, "rules: [{name: lists, tools: [files.read], when: \"facts.git.subcommand == 'x'\", allow: {}}]") => "BW0306",
        tool(&format!("{RUN}, derive: [{{git: file}}]"), "rules: [{name: lists, tools: [files.read], when: \"facts.git.subcommand == 'x'\", allow: {}}]") => "";
    otherwise_people_are_asked: ["spec.tools.definitions[].otherwise.ask.approvers", "spec.tools.approvers[].name"], C,
        asks("approvers: oncall", "oncall") => r#""group":"oncall""#,
        asks("approvers: leads", "leads") => r#""group":"leads""#;
    otherwise_a_quorum_is_asked: ["spec.tools.definitions[].otherwise.ask.quorum"], C,
        asks("approvers: oncall", "oncall") => r#""quorum":1"#,
        asks("approvers: oncall, quorum: 2", "oncall") => r#""quorum":2"#;
    otherwise_questions_expire: ["spec.tools.definitions[].otherwise.ask.expires"], C,
        asks("approvers: oncall", "oncall") => r#""expiresMs":1600000"#,
        asks("approvers: oncall, expires: 1m", "oncall") => r#""expiresMs":1060000"#;
    otherwise_calls_are_denied: ["spec.tools.definitions[].otherwise.deny.reason", "spec.tools.definitions[].otherwise.deny.remedy"], C,
        tool(&format!("{RUN}, otherwise: {{deny: {{reason: not yet, remedy: ask the owner}}}}"), "rules: []") => "ask the owner",
        tool(&format!("{RUN}, otherwise: {{deny: {{reason: not yet}}}}"), "rules: []") => r#""remedy":null"#;
    calls_may_read_their_caller: ["spec.tools.definitions[].stdin"], POLICY,
        tool(&format!("{RUN}, stdin: Stream"), ALLOW) => r#""stdin":"Stream""#,
        tool(RUN, ALLOW) => r#""stdin":"Forbidden""#;
    approvers_sign_with_keys: ["spec.tools.approvers[].keys[].ed25519"], C,
        asks("approvers: oncall", "oncall") => r#""ed25519":"19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1""#,
        asks("approvers: oncall", "oncall").replace("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=", "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=") => r#""ed25519":"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c""#;
    approvers_have_keys: ["spec.tools.approvers[].keys[].id", "spec.tools.approvers[].keys[].principal"], C,
        asks("approvers: oncall", "oncall") => r#"{"id":"alice","principal":"alice@example.org","ed25519":"19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"}"#,
        asks("approvers: oncall", "oncall").replace("alice", "carol") => r#"{"id":"carol","principal":"carol@example.org","ed25519":"19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"}"#;

    counters_count: ["spec.tools.state.counters[].name"], C,
        state("{counters: [{name: reads}]}") => r#""name":"counter/example/reads""#,
        state("{counters: [{name: calls}]}").replace("counter: reads", "counter: calls") => r#""name":"counter/example/calls""#;
    counters_have_windows: ["spec.tools.state.counters[].window"], C,
        state("{counters: [{name: reads, window: 1m}]}") => r#""windowMs":60000"#,
        state("{counters: [{name: reads}]}") => r#""windowMs":null"#;
    counters_have_a_scope: ["spec.tools.state.counters[].scope"], C,
        state("{counters: [{name: reads, scope: Session}]}") => r#""owner":{"session":"s"}"#,
        state("{counters: [{name: reads}]}") => r#""owner":{"subject":"#;
    budgets_have_names: ["spec.tools.state.budgets[].name"], C,
        budget("{name: day, resource: Calls, limit: 9}") => r#""name":"budget/example/day""#,
        budget("{name: week, resource: Calls, limit: 9}") => r#""name":"budget/example/week""#;
    budgets_are_of_a_resource: ["spec.tools.state.budgets[].resource"], C,
        budget("{name: day, resource: CpuSeconds, limit: 100}") => r#""amountMilli":30000"#,
        budget("{name: day, resource: Calls, limit: 100}") => r#""amountMilli":1000"#;
    budgets_have_a_limit: ["spec.tools.state.budgets[].limit"], AGAIN,
        budget("{name: day, resource: Calls, limit: 1}") => "budget-exhausted",
        budget("{name: day, resource: Calls, limit: 2}") => "\"effect\":\"allow\"";
    budgets_have_windows: ["spec.tools.state.budgets[].window"], C,
        budget("{name: day, resource: Calls, limit: 9, window: 24h}") => r#""windowMs":86400000"#,
        budget("{name: day, resource: Calls, limit: 9}") => r#""windowMs":null"#;
    budgets_have_a_scope: ["spec.tools.state.budgets[].scope"], C,
        budget("{name: day, resource: Calls, limit: 9, scope: Session}") => r#""owner":{"session":"s"}"#,
        budget("{name: day, resource: Calls, limit: 9}") => r#""owner":{"subject":"#;

    tool_rules_have_names: ["spec.tools.rules[].name"], C,
        rules("{name: readable, tools: [files.read], allow: {}}") => r#""rule":"readable""#,
        rules("{name: other, tools: [files.read], allow: {}}") => r#""rule":"other""#;
    tool_rules_are_about_tools: ["spec.tools.rules[].tools", "spec.tools.rules[].allow"], C,
        rules("{name: readable, tools: [files.*], allow: {}}") => "\"effect\":\"allow\"",
        rules("{name: readable, tools: [workspace.*], allow: {}}") => "no-rule";
    tool_rules_have_conditions: ["spec.tools.rules[].when"], C,
        rules("{name: readable, tools: [files.read], allow: {}, when: \"call.args.file == 'notes.txt'\"}") => "\"effect\":\"allow\"",
        rules("{name: readable, tools: [files.read], allow: {}, when: \"call.args.file == 'other.txt'\"}") => "no-rule";
    tool_rules_ask_a_group: ["spec.tools.rules[].ask.approvers"], C,
        rules("{name: asked, tools: [files.read], ask: {approvers: oncall}}") => r#""group":"oncall""#,
        rules("{name: asked, tools: [files.read], ask: {approvers: oncall}}").replace("oncall", "leads") => r#""group":"leads""#;
    tool_rules_ask: ["spec.tools.rules[].ask.quorum", "spec.tools.rules[].ask.expires"], C,
        rules("{name: asked, tools: [files.read], ask: {approvers: oncall, quorum: 2, expires: 1m}}") => r#""expiresMs":1060000,"requirements":[{"pack":"example@1.0.0","group":"oncall","quorum":2"#,
        rules("{name: asked, tools: [files.read], ask: {approvers: oncall}}") => r#""expiresMs":1600000,"requirements":[{"pack":"example@1.0.0","group":"oncall","quorum":1"#;
    tool_rules_deny: ["spec.tools.rules[].deny.reason", "spec.tools.rules[].deny.remedy"], C,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: closed, tools: [files.read], deny: {reason: closed today, remedy: come tomorrow}}") => "come tomorrow",
        rules("{name: readable, tools: [files.read], allow: {}}, {name: closed, tools: [files.read], deny: {reason: closed for good}}") => "closed for good";
    tool_rules_throttle: ["spec.tools.rules[].throttle.max"], AGAIN,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: rate, tools: [files.read], throttle: {counter: reads, max: 1}}") => "throttled",
        rules("{name: readable, tools: [files.read], allow: {}}, {name: rate, tools: [files.read], throttle: {counter: reads, max: 2}}") => "\"effect\":\"allow\"";
    throttles_name_a_counter: ["spec.tools.rules[].throttle.counter"], C,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: rate, tools: [files.read], throttle: {counter: reads, max: 1}}") => "counter/example/reads",
        rules("{name: readable, tools: [files.read], allow: {}}, {name: rate, tools: [files.read], throttle: {counter: others, max: 1}}") => "counter/example/others";
    tool_rules_give_other_arguments: ["spec.tools.rules[].transform.args"], C,
        rules("{name: readable, tools: [files.read], allow: {}, transform: {args: \"{'file': 'other.txt'}\"}}") => r#""arguments":{"file":"other.txt"}}"#,
        rules("{name: readable, tools: [files.read], allow: {}, transform: {args: \"{'file': call.args.file + '.bak'}\"}}") => "transform-unstable";
    tool_rules_narrow: ["spec.tools.rules[].narrow.sandbox"], C,
        narrowing("{name: readable, tools: [files.read], allow: {}}, {name: quieter, tools: [files.read], narrow: {sandbox: quiet}}") => "sandbox: \"quiet\"",
        narrowing("{name: readable, tools: [files.read], allow: {}}, {name: quieter, tools: [files.read], narrow: {sandbox: shell}}") => "sandbox: \"shell\"";
    tool_rules_in_shadow_have_no_effect: ["spec.tools.rules[].mode"], C,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: closed, tools: [files.read], mode: Shadow, deny: {}}") => r#""effect":"allow","rules":[{"pack":"example@1.0.0","rule":"readable","kind":"allow","outcome":"applied"},{"pack":"example@1.0.0","rule":"closed","kind":"deny","outcome":"applied","mode":"Shadow"}]"#,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: closed, tools: [files.read], mode: Enforce, deny: {}}") => "rule `closed` denies";
    tool_rules_confirm_with_a_group: ["spec.tools.rules[].confirm.approvers"], C,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: sure, tools: [files.read], confirm: {approvers: oncall}}") => r#""group":"oncall""#,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: sure, tools: [files.read], confirm: {approvers: oncall}}").replace("oncall", "leads") => r#""group":"leads""#;
    tool_rules_confirm: ["spec.tools.rules[].confirm.quorum", "spec.tools.rules[].confirm.expires"], C,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: sure, tools: [files.read], confirm: {approvers: oncall, quorum: 2, expires: 1m}}") => r#""expiresMs":1060000,"requirements":[{"pack":"example@1.0.0","group":"oncall","quorum":2"#,
        rules("{name: readable, tools: [files.read], allow: {}}, {name: sure, tools: [files.read], confirm: {approvers: oncall}}") => r#""expiresMs":1600000,"requirements":[{"pack":"example@1.0.0","group":"oncall","quorum":1"#;

    arguments_are_kept: ["spec.audit.arguments"], POLICY,
        audit("arguments: Plain") => r#""arguments":"Plain""#,
        audit("results: Drop") => r#""arguments":"Commit""#;
    results_are_kept: ["spec.audit.results"], POLICY,
        audit("results: Drop") => r#""results":"Drop""#,
        audit("arguments: Plain") => r#""results":"Commit""#;
    records_are_kept_for_a_time: ["spec.audit.retention"], POLICY,
        audit("retention: 24h") => r#""retentionMs":86400000"#,
        audit("results: Drop") => r#""retentionMs":null"#;
    a_record_of_admissions_cannot_be_required: ["spec.audit.admission"], Probe::Findings,
        audit("admission: Required") => "BW0524",
        audit("admission: Optional") => "";
}
