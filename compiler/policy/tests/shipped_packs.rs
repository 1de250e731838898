//! The corpora under every shipped pack that decides calls, as its golden bundle decides: no evasion is allowed by any tool whose facts are derived
//! from it, built-in ones included, and no line that people write ends in an error of evaluation. Evasions of URLs meet no shipped pack, since
//! none has a tool that takes one.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bailiwick_policy::bundle;
use bailiwick_policy::tool::{
    DenyReason, Effect, LoadedPolicy, State, Subject, ToolCall, ToolDecision, decide_tool_call,
};
use serde_json::{Value, json};

const NOW_MS: u64 = 1_700_000_000_000;

/// A tool, and the argument that a kind of facts is derived from.
struct Derived {
    tool: String,
    kind: String,
    argument: String,
}

struct Pack {
    name: String,
    policy: LoadedPolicy,
    derived: Vec<Derived>,
    state: State,
    subject: Subject,
}

impl Pack {
    fn of(name: &str, bundle: &Value) -> Self {
        let bytes = bailiwick_policy::canonical::to_vec(bundle).expect("canonical JSON");
        let loaded = bundle::load(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let subject = Subject { agent: "agent".to_owned(), ..Subject::default() };
        let mut state = State::default();
        state.apply(&State::open("session", &subject, NOW_MS)).expect("a session");
        Self {
            name: name.to_owned(),
            policy: LoadedPolicy::of_bundle(loaded).expect("a policy"),
            derived: derived(bundle),
            state,
            subject,
        }
    }

    fn decide(&self, tool: &str, argument: &str, text: &str) -> ToolDecision {
        let mut args = json!({ argument: text });
        if tool == "workspace.write" {
            args["content"] = json!("x");
        }
        let args = args.to_string();
        let call = ToolCall::parse("call", "session", self.subject.clone(), tool, args.as_bytes());
        decide_tool_call(&self.policy, &call.expect("a call"), &self.state, NOW_MS, None)
    }

    /// The lines of a kind that a tool of this pack allows, each with the tool.
    fn allowed<'l>(&self, lines: &'l [(String, String)]) -> Vec<(&str, &'l str)> {
        let pairs = self.derived.iter().flat_map(|derived| {
            lines
                .iter()
                .filter(|(kind, _)| *kind == derived.kind)
                .map(move |(_, text)| (derived, text.as_str()))
        });
        pairs
            .filter(|(derived, text)| {
                matches!(self.decide(&derived.tool, &derived.argument, text).effect, Effect::Allow(_))
            })
            .map(|(derived, text)| (derived.tool.as_str(), text))
            .collect()
    }
}

/// The facts that the tools of a bundle are decided by, those that it defines and those that every bundle has.
fn derived(bundle: &Value) -> Vec<Derived> {
    let layers = bundle["tools"].as_array().expect("layers");
    let tools = layers.iter().flat_map(|layer| layer["definitions"].as_array().expect("tools"));
    let built_in = ["workspace.read", "workspace.write", "workspace.list"].map(|tool| Derived {
        tool: tool.to_owned(),
        kind: "path".to_owned(),
        argument: "path".to_owned(),
    });
    let defined = tools.flat_map(|tool| {
        let name = tool["name"].as_str().expect("a name").to_owned();
        let entries = tool["derive"].as_array().expect("facts");
        entries.iter().flat_map(|entry| entry.as_object().expect("a fact")).map(move |(kind, argument)| {
            let argument = argument.as_str().expect("an argument").to_owned();
            Derived { tool: name.clone(), kind: kind.clone(), argument }
        })
    });
    defined.chain(built_in).collect()
}

fn packs_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy-packs")
}

/// The golden bundle of a shipped pack.
fn golden(name: &str) -> Value {
    let path = packs_folder().join(name).join("expected/bundle.json");
    serde_json::from_slice(&std::fs::read(path).expect("the golden bundle")).expect("JSON")
}

/// Every shipped pack whose tools are called.
fn packs() -> Vec<Pack> {
    let folders = std::fs::read_dir(packs_folder()).expect("the packs");
    let mut names: Vec<String> = folders
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| packs_folder().join(name).join("pack.yaml").is_file())
        .collect();
    names.sort();
    let defines = |bundle: &Value| {
        bundle["tools"]
            .as_array()
            .is_some_and(|layers| layers.iter().any(|layer| layer["definitions"] != json!([])))
    };
    let bundles = names.iter().map(|name| (name, golden(name))).filter(|(_, bundle)| defines(bundle));
    bundles.map(|(name, bundle)| Pack::of(name, &bundle)).collect()
}

/// Kind and text of every line of a corpus; a line of expansions is one of the shell too.
fn corpus(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts").join(name);
    let content = std::fs::read_to_string(path).expect("the corpus");
    let line = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let kind = if fields[0] == "names" { "shell" } else { fields[0] };
        (kind.to_owned(), serde_json::from_str(fields[2]).expect("a JSON string"))
    };
    content.lines().map(line).collect()
}

#[test]
fn no_evasion_is_allowed_by_a_shipped_pack() {
    let lines = corpus("evasions.txt");
    let count = |wanted: &str| lines.iter().filter(|(kind, _)| kind == wanted).count();
    assert!(count("shell") >= 300 && count("path") >= 60, "{} and {}", count("shell"), count("path"));
    let packs = packs();
    let derived = packs.iter().flat_map(|pack| &pack.derived);
    let kinds: BTreeSet<&str> = derived.map(|derived| derived.kind.as_str()).collect();
    assert_eq!(Vec::from_iter(kinds), ["git", "path", "shell"]);
    let names: Vec<&str> = packs.iter().map(|pack| pack.name.as_str()).collect();
    assert_eq!(names, ["build-runner", "code-interpreter"]);
    for pack in &packs {
        assert_eq!(pack.allowed(&lines), [], "{}", pack.name);
    }
}

/// Without the condition of the rule that they try to slip past, they are allowed: the test above can fail.
#[test]
fn the_evasions_slip_through_a_pack_without_its_condition() {
    let lines = corpus("evasions.txt");
    for (name, at_least) in [("read-only-shell", 500), ("files", 150)] {
        let mut bundle = golden("code-interpreter");
        let rules = bundle["tools"][0]["rules"].as_array_mut().expect("rules");
        let rule = rules.iter_mut().find(|rule| rule["name"] == name).expect("the rule");
        rule["when"] = Value::Null;
        let allowed = Pack::of("code-interpreter", &bundle).allowed(&lines).len();
        assert!(allowed >= at_least, "only {allowed} evasions are allowed without the condition of {name}");
    }
}

/// Whatever tool the line is given to that takes it.
#[test]
fn no_benign_line_ends_in_an_error() {
    let lines = corpus("benign.txt");
    assert!(lines.len() >= 200, "{} lines", lines.len());
    let mut judged = Vec::new();
    for pack in packs() {
        let tools: BTreeSet<(&str, &str)> =
            pack.derived.iter().map(|derived| (derived.tool.as_str(), derived.argument.as_str())).collect();
        for (tool, argument) in tools {
            let taken = lines.iter().filter(|(_, line)| {
                let Effect::Deny(denial) = pack.decide(tool, argument, line).effect else { return true };
                let is_error =
                    [DenyReason::EvaluationError, DenyReason::FuelExhausted].contains(&denial.reason);
                assert!(!is_error, "{} {tool}: {line}: {denial:?}", pack.name);
                denial.reason != DenyReason::Arguments
            });
            judged.push((pack.name.clone(), tool.to_owned(), taken.count()));
        }
    }
    let git = lines.iter().filter(|(_, line)| line.starts_with("git ")).count();
    assert!(git >= 50, "{git} lines of git");
    // As a path, any line is a name.
    let tools = ["shell.exec", "workspace.list", "workspace.read", "workspace.write"];
    let all = |pack: &'static str| tools.map(|tool| (pack.to_owned(), tool.to_owned(), lines.len()));
    let mut expected = vec![("build-runner".to_owned(), "git.run".to_owned(), git)];
    expected.extend(all("build-runner"));
    expected.extend(all("code-interpreter"));
    assert_eq!(judged, expected);
}

/// Reading is what most of them are, and needs nobody's answer.
#[test]
fn benign_lines_that_read_are_allowed() {
    let lines: Vec<(String, String)> =
        corpus("benign.txt").into_iter().map(|(_, text)| ("shell".to_owned(), text)).collect();
    let allowed = Pack::of("code-interpreter", &golden("code-interpreter")).allowed(&lines).len();
    assert!(allowed >= 30, "{allowed} benign lines are allowed");
}

/// What a build needs is not stopped: reading by a shell, and git that stays at home.
#[test]
fn the_build_runner_allows_what_its_rules_are_for() {
    let pack = Pack::of("build-runner", &golden("build-runner"));
    let lines: Vec<(String, String)> =
        corpus("benign.txt").into_iter().map(|(_, text)| ("shell".to_owned(), text)).collect();
    let allowed = pack.allowed(&lines);
    for (tool, line) in [
        ("shell.exec", "ls -la src"),
        ("shell.exec", "cat f | grep x | head -1"),
        ("shell.exec", "ls 2>/dev/null"),
        ("shell.exec", "diff -u a b"),
        ("git.run", "git status --short"),
        ("git.run", "git log --oneline -5"),
        ("git.run", "git diff -- src/main.rs"),
        ("git.run", "git checkout -b topic"),
        ("git.run", "git add -A"),
        ("git.run", "git commit -am \"x; y | z > w\""),
    ] {
        assert!(allowed.contains(&(tool, line)), "{tool} does not allow {line:?}");
    }
    assert!(allowed.len() >= 60, "only {} of {} benign lines are allowed", allowed.len(), lines.len());
    assert!(!allowed.iter().any(|(_, line)| line.starts_with("git push")), "a push is a remote's");
}

/// Runs a line of bash in a folder, with the environment of a sandbox or without; says whether `ran` was made there.
fn runs(folder: &Path, environment: &[(String, String)], line: &str) -> bool {
    let made = folder.join("ran");
    let _ = std::fs::remove_file(&made);
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", line]).current_dir(folder).env_clear();
    bash.envs([("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent"), ("GIT_CONFIG_NOSYSTEM", "1")]);
    bash.envs(environment.iter().cloned()).output().expect("bash");
    made.exists()
}

/// What the settings of a repository name runs at the most harmless command, and not in the sandbox of `build-runner`.
#[test]
fn settings_of_a_repository_run_no_program_in_the_sandbox_of_git() {
    if std::process::Command::new("git").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "git is missing; install the package git");
        eprintln!("SKIPPED: git is missing; install the package git");
        return;
    }
    let bundle = golden("build-runner");
    let sandboxes = bundle["sandboxes"].as_array().expect("sandboxes");
    let shell = sandboxes.iter().find(|one| one["name"] == "shell").expect("the sandbox");
    let environment: Vec<(String, String)> =
        serde_json::from_value(shell["environment"].clone()).expect("names and values");
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::write(folder.join("evil"), "#!/bin/sh\ntouch \"${0%/*}/ran\"\n").expect("a program");
    runs(
        folder,
        &[],
        "chmod +x evil; git init -q; git config user.name a; git config user.email a@example.org",
    );
    // No settings outlast their case but those of the last one: there the workspace is the repository, without a folder `.git`.
    for (settings, command, reset) in [
        ("git config core.fsmonitor \"$PWD/evil\"", "git status", "git config --unset core.fsmonitor"),
        (
            "git config core.hooksPath \"$PWD\"; cp evil pre-commit",
            "git commit --allow-empty -m x",
            "git config --unset core.hooksPath",
        ),
        (
            "git config gpg.program \"$PWD/evil\"; git config commit.gpgSign true",
            "git commit --allow-empty -m x",
            "git config --unset commit.gpgSign",
        ),
        (
            "git cat-file commit HEAD | sed '/^committer/a gpgsig -----BEGIN PGP SIGNATURE-----\\n \\n iQ==\\n -----END PGP SIGNATURE-----' >signed; \
             git update-ref HEAD $(git hash-object -t commit -w signed); git config gpg.openpgp.program \"$PWD/evil\"",
            "git log -1 --format=%G?",
            "git config --unset gpg.openpgp.program",
        ),
        (
            "git config core.bare false; git config core.worktree \"$PWD\"; git config core.fsmonitor \"$PWD/evil\"; mv .git/* .; rmdir .git",
            "git status",
            "",
        ),
    ] {
        runs(folder, &[], settings);
        assert!(runs(folder, &[], command), "`{command}` does not run what `{settings}` names");
        assert!(!runs(folder, &environment, command), "`{command}` runs what `{settings}` names");
        runs(folder, &[], reset);
    }
}
