//! `bailiwick import` of the settings of Claude Code: rules over the tools of a pack.

use bailiwick_compiler::Bindings;
use bailiwick_compiler::cases::{Bench, Happened};
use bailiwick_compiler::library::MemoryLibrary;
use bailiwick_compiler::source::{PackSources, SourceFile};
use bailiwick_policy::cel::Watching;
use serde_json::{Value, json};

use crate::import::{imported, losses};
use crate::stage::Stage;

const SETTINGS: &str = r#"{
  "model": "x",
  "permissions": {
    "allow": ["Bash(git status)", "Bash(npm run test:*)", "Read", "Edit(./src/**)", "mcp__github__get_issue", "Bash(git * main)"],
    "ask": ["Bash(npm publish:*)"],
    "deny": ["Bash(curl:*)", "Read(./secrets/**)", "Read(~/.ssh/**)", "WebFetch"],
    "defaultMode": "acceptEdits"
  }
}"#;

/// The decision of the imported pack on a call, met with a pack that grants every command and file.
fn met_with_everything(stage: &Stage) -> impl Fn(Value) -> String {
    let shipped = stage.path("policy-packs");
    let read = |path: &str| std::fs::read(stage.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let pack = String::from_utf8(read("policy-packs/code-interpreter/pack.yaml")).expect("text");
    let open =
        pack.replace("      when: \"facts.shell.onlyRuns(['ls', 'cat', 'head', 'wc', 'grep'])\"\n", "");
    assert_ne!(pack, open);
    let lock = SourceFile::new("pack.lock", read("policy-packs/code-interpreter/pack.lock"));
    let mut library = MemoryLibrary::default();
    for pack in std::fs::read_dir(shipped).expect("the packs") {
        let pack = std::fs::read(pack.expect("a pack").path().join("pack.yaml")).expect("the pack");
        library.add(PackSources::single(pack));
    }
    let open = PackSources { lock: Some(lock), ..PackSources::single(open) };
    let imported = PackSources::single(read("out/pack.yaml"));
    let packs = [(&open, Bindings::default()), (&imported, Bindings::default())];
    let compiled = bailiwick_compiler::compile(&packs, &library);
    let policy = compiled.policy.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let bench = Bench::new(policy, Watching::Off);
    move |call: Value| {
        let call = serde_json::from_value(call).expect("a call");
        let happened =
            Happened::of_call(&bench.staged(&call).and_then(|staged| staged.decide()).expect("a decision"));
        format!("{:?}", happened.effect.expect("an effect"))
    }
}

#[test]
fn settings_of_claude_code_are_rules_over_the_tools_of_a_pack() {
    let stage = Stage::new();
    let (_, report) = imported(&stage, SETTINGS, &[]);
    assert_eq!(report["kind"], "claude-settings");
    let widening = losses(&report, "\"widens\":true");
    assert_eq!(widening.len(), 2, "a tool without a name here, what a command may reach: {report:#}");
    for field in ["permissions.deny[3]", "may reach denied files"] {
        assert_eq!(losses(&report, field)[0]["widens"], true, "{field}: {report:#}");
    }
    for field in [
        "model",
        "permissions.allow[4]",
        "permissions.allow[5]",
        "permissions.ask[0]",
        "permissions.deny[3]",
        "permissions.defaultMode",
    ] {
        assert_eq!(losses(&report, field).len(), 1, "{field}: {report:#}");
    }
    let decide = met_with_everything(&stage);
    let bash = |command: &str| json!({"tool": "shell.exec", "args": {"command": command}});
    let file = |tool: &str, path: &str| match tool {
        "workspace.write" => json!({"tool": tool, "args": {"path": path, "content": ""}}),
        _ => json!({"tool": tool, "args": {"path": path}}),
    };
    for (call, verdict) in [
        (bash("git status"), "Allow"),
        (bash("git status --short"), "Deny"),
        (bash("npm run test unit"), "Allow"),
        (bash("npm run test && git status"), "Allow"),
        (bash("npm run test && curl x"), "Deny"),
        (bash("npm run test > out"), "Deny"),
        (bash("npm publish"), "Deny"),
        (bash("curl example.org"), "Deny"),
        (bash("/usr/bin/curl example.org"), "Deny"),
        (bash("git merge main"), "Deny"),
        (bash("git $(echo status)"), "Deny"),
        (file("workspace.read", "src/a.rs"), "Allow"),
        (file("workspace.read", "secrets/key"), "Deny"),
        (file("workspace.read", "./src/../secrets/key"), "Deny"),
        (file("workspace.write", "src/a.rs"), "Allow"),
        (file("workspace.write", "other.rs"), "Deny"),
        // In a sandbox the home is the workspace.
        (file("workspace.read", ".ssh/id_ed25519"), "Deny"),
        (file("workspace.read", "docs/.ssh"), "Allow"),
        // A name may contain the end of a line; as a path it is opaque, and the pack it is met with grants none.
        (file("workspace.read", "secrets/a\nb"), "Deny"),
        (bash("npm run test 'secrets/a\nb'"), "Deny"),
        (file("workspace.write", "src/a\nb.rs"), "Deny"),
        (bash("npm run test secrets/key"), "Deny"),
        (bash("npm run test --config=./secrets/key"), "Deny"),
        (bash("npm run test < secrets/key"), "Deny"),
        (bash("npm run test /srv/.ssh/id"), "Deny"),
        (bash("npm run test ~/.ssh/id"), "Deny"),
        (bash("npm run test secretsmanager"), "Allow"),
    ] {
        assert_eq!(decide(call.clone()), verdict, "{call}");
    }
}

#[test]
fn what_settings_do_not_allow_is_denied_and_what_they_may_restrict_besides_widens() {
    let stage = Stage::new();
    let shell = json!({"tool": "shell.exec", "args": {"command": "ls"}});
    let read = json!({"tool": "workspace.read", "args": {"path": "a"}});
    let list = json!({"tool": "workspace.list", "args": {"path": "a"}});
    let write = json!({"tool": "workspace.write", "args": {"path": "a", "content": ""}});
    let all = [&shell, &read, &list, &write];
    for (permissions, verdicts) in [
        (r#"{"deny": ["Bash(curl:*)"]}"#, ["Deny", "Deny", "Deny", "Deny"]),
        (r#"{"allow": ["Bash"]}"#, ["Allow", "Deny", "Deny", "Deny"]),
        (r#"{"allow": ["Bash(git * main)", "Read"]}"#, ["Deny", "Allow", "Allow", "Deny"]),
        (r#"{"allow": ["Bash", "Read", "Edit"], "defaultMode": "plan"}"#, ["Deny", "Allow", "Allow", "Deny"]),
    ] {
        imported(&stage, &format!(r#"{{"permissions": {permissions}}}"#), &[]);
        let decide = met_with_everything(&stage);
        assert_eq!(all.map(|call| decide(call.clone())), verdicts, "{permissions}");
    }
    imported(
        &stage,
        r#"{"permissions": {"allow": ["Bash", "Read"], "deny": ["Read(//etc/shadow)", "Read(//**/*.pem)", "Read(../other/**)"]}}"#,
        &[],
    );
    let decide = met_with_everything(&stage);
    let bash = |command: &str| json!({"tool": "shell.exec", "args": {"command": command}});
    for (call, verdict) in [
        (bash("cat /etc/hostname"), "Allow"),
        (bash("cat /etc/shadow"), "Deny"),
        (bash("cat < /etc/shadow"), "Deny"),
        (bash("cat a/x.pem"), "Deny"),
        (bash("cat ../other/x"), "Deny"),
        (bash("cat $FILE"), "Deny"),
        (json!({"tool": "workspace.read", "args": {"path": "a/x.pem"}}), "Deny"),
        (json!({"tool": "workspace.read", "args": {"path": "etc/shadow"}}), "Allow"),
    ] {
        assert_eq!(decide(call.clone()), verdict, "{call}");
    }
    imported(&stage, r#"{"permissions": {"allow": ["Bash"], "deny": ["Read(./config/prod.key)"]}}"#, &[]);
    let decide = met_with_everything(&stage);
    for command in [
        "cat config/prod.key",
        "cat config//prod.key",
        "cat config/./prod.key",
        "cat config/x/../prod.key",
        "cat < config//prod.key",
        "cat 'config'/./\"prod.key\"",
        "cat --number config/x/../prod.key",
        "grep -fconfig/prod.key x",
        "grep -nfconfig/prod.key x",
        "config//prod.key",
        "tar -T config/../config/prod.key",
    ] {
        assert_eq!(decide(bash(command)), "Deny", "{command}");
    }
    for command in ["cat config/dev.key", "./build.sh", "git log main..next", "curl https://example.org/a"] {
        assert_eq!(decide(bash(command)), "Allow", "{command}");
    }
    let text = r#"{"theme": "dark", "hooks": {}, "sandbox": {"enabled": true}, "fresh": 1, "permissions": {
        "allow": ["Bash", "Edit"], "deny": ["Bash(curl:*)", "Edit(//**/.env)", "Edit(../x)"], "defaultMode": "fresh"}}"#;
    let (_, report) = imported(&stage, text, &[]);
    for word in ["hooks", "sandbox", "fresh", "deny[2]", "may reach denied files", "timeout", "defaultMode"] {
        let found = losses(&report, word);
        assert!(found.iter().any(|loss| loss["widens"] == true), "{word}: {report:#}");
    }
    assert_eq!(losses(&report, "theme")[0]["widens"], false, "{report:#}");
    let (_, report) = imported(&stage, r#"{"permissions": {"allow": ["Bash(find:*)"]}}"#, &[]);
    assert_eq!(losses(&report, "`find`")[0]["widens"], true, "{report:#}");
}

/// A program is granted by its name. A path or an assignment in its place would be a grant that nothing
/// matches, without any report.
#[test]
fn what_is_no_name_of_a_program_is_a_loss_and_no_grant() {
    let stage = Stage::empty();
    for pattern in ["./build.sh:*", "/usr/bin/git status", "FOO=1 npm test"] {
        let text = format!(r#"{{"permissions": {{"allow": ["Bash({pattern})", "Read"]}}}}"#);
        let (_, report) = imported(&stage, &text, &[]);
        let found = losses(&report, "allow[0]");
        assert!(found.iter().any(|loss| loss["widens"] == false), "{pattern}: {report:#}");
        let pack = std::fs::read_to_string(stage.path("out/pack.yaml")).expect("the pack");
        assert!(
            !pack.contains("build.sh") && !pack.contains("/usr/bin/git") && !pack.contains("FOO"),
            "{pack}"
        );
    }
}
