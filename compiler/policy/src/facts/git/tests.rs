//! git command lines and the facts about them.

use super::options::Arity;
use super::*;

fn git(text: &str) -> Git {
    match parse(text) {
        Fact::Known(git) => git,
        Fact::Opaque => panic!("{text} is opaque"),
    }
}

fn destinations(git: &Git) -> Vec<Option<&str>> {
    git.refs.iter().map(|spec| spec.destination.known().map(String::as_str)).collect()
}

#[test]
fn a_push_tells_where_and_whether_by_force() {
    for (text, remote, refs, force) in [
        ("git push", None, vec![], false),
        ("push origin main", Some("origin"), vec![Some("main")], false),
        ("git push origin refs/heads/main", Some("origin"), vec![Some("main")], false),
        ("git push -u origin a:b c", Some("origin"), vec![Some("b"), Some("c")], false),
        ("git push origin HEAD", Some("origin"), vec![None], false),
        ("git push origin HEAD:main", Some("origin"), vec![Some("main")], false),
        ("git push --force", None, vec![], true),
        ("git push -f origin main", Some("origin"), vec![Some("main")], true),
        ("git push origin main -f", Some("origin"), vec![Some("main")], true),
        ("git push -uf origin main", Some("origin"), vec![Some("main")], true),
        ("git push origin +main", Some("origin"), vec![Some("main")], true),
        ("git push origin +a:main", Some("origin"), vec![Some("main")], true),
        ("git push origin :main", Some("origin"), vec![Some("main")], true),
        ("git push --delete origin main", Some("origin"), vec![Some("main")], true),
        ("git push --mirror origin", Some("origin"), vec![], true),
        ("git push --force-with-lease=main:abc origin main", Some("origin"), vec![Some("main")], true),
        ("git push '--for''ce' origin", Some("origin"), vec![], true),
        ("git push origin heads/main", Some("origin"), vec![None], false),
        ("git push ../r.git HEAD:heads/main", Some("../r.git"), vec![None], false),
        ("git push origin HEAD:tags/v1", Some("origin"), vec![None], false),
        ("git push origin HEAD:remotes/o/main", Some("origin"), vec![None], false),
        ("git push origin HEAD:meta/config", Some("origin"), vec![None], false),
        ("git push origin notes/commits", Some("origin"), vec![None], false),
        ("git push origin x:pull/1/head", Some("origin"), vec![None], false),
        ("git push origin x:merge-requests/1/head", Some("origin"), vec![None], false),
        ("git push origin HEAD:changes/01/1/1", Some("origin"), vec![None], false),
        ("git push origin HEAD:for/main", Some("origin"), vec![None], false),
        ("git push origin x:replace/y", Some("origin"), vec![None], false),
        ("git push origin x:stash", Some("origin"), vec![None], false),
        ("git push origin x:refs/meta/config", Some("origin"), vec![Some("refs/meta/config")], false),
        ("git push origin x:refs/heads/notes/x", Some("origin"), vec![Some("notes/x")], false),
        ("git push origin x:notes", Some("origin"), vec![Some("notes")], false),
        ("git push origin refs/heads/heads/main", Some("origin"), vec![Some("heads/main")], false),
        ("git push origin HEAD:feature/x", Some("origin"), vec![Some("feature/x")], false),
        ("git push -- origin main", Some("origin"), vec![Some("main")], false),
        ("g\\it push --for\\ce".trim_start_matches("g\\it "), None, vec![], true),
        ("git -C /work --no-pager push --repo=other", Some("other"), vec![], false),
    ] {
        let found = git(text);
        assert_eq!(found.subcommand, "push", "{text}");
        assert_eq!(
            (found.remote.as_deref(), destinations(&found), found.force),
            (remote, refs, force),
            "{text}"
        );
        assert!(!found.runs_program, "{text}");
    }
}

/// `remote.origin.push=+main` forces, `remote.origin.mirror=true` removes, and an included file may hold either.
#[test]
fn a_push_with_a_setting_may_be_by_force() {
    for text in [
        "git -c remote.o.push=+HEAD:refs/heads/main push o",
        "git -c remote.o.mirror=true push o",
        "git --config-env=include.path=X push o",
        "git --config-env include.path=X push o",
        "git -c Remote.o.mirror push o",
        "git -c includeIf.gitdir:/.path=/work/x push o",
    ] {
        assert!(git(text).force, "{text}");
    }
    for text in [
        "git -c user.name=x push origin feature",
        "git -c http.version=HTTP/1.1 push origin feature",
        "git --config-env=http.extraHeader=HEADER push origin feature",
        "git -c remote.o.prune=true fetch o",
    ] {
        assert!(!git(text).force, "{text}");
    }
    for text in ["git -c alias.p='push --force' p", "git --config-env=alias.p=X p"] {
        assert_eq!(parse(text), Fact::Opaque, "{text}");
    }
}

/// Other ways to the same push: settings in the environment, the programs that `git push` is made of, git's own
/// programs by their names, and those of another folder.
#[test]
fn a_push_by_other_ways_is_opaque_or_said_to_run_a_program() {
    for text in [
        "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=remote.o.push GIT_CONFIG_VALUE_0=+main git push o",
        "GIT_CONFIG_PARAMETERS=\"'remote.o.push'='+main'\" git push o",
        "GIT_CONFIG_GLOBAL=/work/x git push o",
        "export GIT_CONFIG_COUNT=1; git push o",
        "git send-pack --force o main",
        "git http-push --force o main",
        "git-push --force o main",
        "/usr/lib/git-core/git-push --force o main",
        "/usr/bin/git push --force o main",
        "git -c alias.x='!git push -f' x",
        "git --exec-path push --force o",
        "git --exec-path status",
    ] {
        assert_eq!(parse(text), Fact::Opaque, "{text}");
    }
    for text in ["git --exec-path=/work/bin push o", "git --exec-path= status"] {
        assert!(git(text).runs_program, "{text}");
    }
}

#[test]
fn what_makes_git_run_a_program_is_told() {
    for text in [
        "git -c core.sshCommand=evil fetch origin",
        "git -c alias.status='!evil' status",
        "git --config-env=core.pager=EVIL log",
        "git --exec-path=/work/bin status",
        "git fetch --upload-pack=evil origin",
        "git fetch --upload-pack evil origin",
        "git ls-remote --upload-pack=evil origin",
        "git clone -u evil https://example.org/x",
        "git clone -c core.hooksPath=x https://example.org/x",
        "git clone --template=/work/t https://example.org/x",
        "git push --receive-pack=evil origin",
        "git push --exec=evil origin",
        "git fetch 'ext::sh -c evil'",
        "git clone ext::evil x",
        "git rebase -x evil main",
        "git rebase -m -x evil main",
        "git rebase -i HEAD~2",
        "git merge -s evil topic",
        "git cherry-pick --strategy=evil topic",
        "git pull --rebase=interactive",
        "git pull -ri",
        "git add -e a",
        "git cherry-pick -s -e topic",
        "git cherry-pick -x -e topic",
        "git init --template=/work/t x",
        "git clone evil://example.org/x",
        "git pull -j ext::evil",
        "git clone --recursive https://example.org/x",
        "git push --signed origin",
        "git log -p --ext-diff",
    ] {
        assert!(git(text).runs_program, "{text}");
    }
}

#[test]
fn other_subcommands_have_operands_and_options() {
    let commit = git("git commit -am 'a message' --no-verify");
    assert_eq!(commit.options, ["--all", "--message", "--no-verify"]);
    assert!(commit.operands.is_empty());
    assert_eq!(git("git diff HEAD~1 -- a b").operands, ["HEAD~1", "a", "b"]);
    assert_eq!(git("git log --oneline -5").options, ["--oneline"]);
    assert_eq!(
        git("git clone --depth 1 https://example.org/x.git y").remote.as_deref(),
        Some("https://example.org/x.git")
    );
    assert_eq!(git("git checkout -b topic").options, ["--new-branch"]);
    assert_eq!(git("git -C sub status --short").folder.as_deref(), Some("sub"));
}

/// What a letter means, and whether it takes a value, differs between subcommands.
#[test]
fn a_letter_is_read_as_its_subcommand_reads_it() {
    assert_eq!(git("git pull -j 4 main").remote.as_deref(), Some("4"));
    assert_eq!(git("git push --recurse-submodules no origin").remote.as_deref(), Some("origin"));
    assert_eq!(git("git cherry-pick -x -s abc").operands, ["abc"]);
    assert_eq!(git("git cherry-pick -m 1 abc").operands, ["abc"]);
    assert_eq!(git("git rebase -m main").operands, ["main"]);
    assert_eq!(git("git merge -s ours topic").options, ["--strategy"]);
    assert!(!git("git merge -s ours topic").runs_program);
    assert_eq!(git("git switch -ctopic").options, ["--create"]);
    assert_eq!(git("git branch -c a b").operands, ["a", "b"]);
    assert_eq!(git("git branch --contains abc").operands, [] as [&str; 0]);
    assert_eq!(git("git clean -e '*.o' -f").options, ["--exclude", "--force"]);
    assert_eq!(git("git status -uno").options, ["--untracked-files"]);
    assert_eq!(git("git status --porcelain=v2").options, ["--porcelain"]);
    assert!(!git("git commit -t message.txt").runs_program);
    assert!(!git("git clone git+ssh://example.org/x").runs_program);
}

/// One line of `git SUBCOMMAND -h`: letter, long name, values.
fn listed(line: &str) -> Option<(Option<char>, Option<String>, Arity)> {
    let text = line.strip_prefix("    -")?;
    let (letter, rest) = match text.strip_prefix('-') {
        Some(_) => (None, format!("-{text}")),
        None => (text.chars().next(), text.chars().skip(1).collect()),
    };
    let rest = rest.strip_prefix(", ").unwrap_or(&rest);
    let long = rest.strip_prefix("--").map(|long| long.strip_prefix("[no-]").unwrap_or(long));
    let name: Option<String> = long
        .map(|long| long.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '-').collect());
    let after = match (&name, long) {
        (Some(name), Some(long)) => &long[name.len()..],
        _ => rest,
    };
    let arity = match after.as_bytes() {
        [b'[', ..] => Arity::Optional,
        [b'=', ..] => Arity::One,
        [b' ', next, ..] if *next != b' ' => Arity::One,
        _ => Arity::None,
    };
    Some((letter, name.map(|name| format!("--{name}")), arity))
}

/// git itself says which options take values. A table that disagrees takes an option for a value, or a value
/// for an operand.
#[test]
fn git_agrees_about_its_options() {
    let Ok(version) = std::process::Command::new("git").arg("--version").output() else {
        assert!(std::env::var_os("CI").is_none(), "git is missing; install the package git");
        eprintln!("SKIPPED: git is missing; install the package git");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let mut compared = 0;
    for subcommand in options::subcommands() {
        let output = std::process::Command::new("git").args([subcommand, "-h"]).output().expect("git runs");
        let text = [output.stdout, output.stderr].concat();
        let known = options::of(subcommand).expect("a table");
        for (letter, long, arity) in String::from_utf8_lossy(&text).lines().filter_map(listed) {
            // The table may list an option with an optional attached value as having none: with a value it is
            // then opaque.
            let agrees = |found: Arity| found == arity || (found == Arity::None && arity == Arity::Optional);
            if let Some((name, found)) = letter.and_then(|letter| known.short(letter)) {
                assert!(agrees(found), "{version}: git {subcommand} {letter:?}");
                assert!(long.as_ref().is_none_or(|long| long == name), "{version}: git {subcommand} {name}");
                compared += 1;
            }
            if let Some((name, found)) = long.as_ref().and_then(|long| known.long(long)) {
                assert!(agrees(found), "{version}: git {subcommand} {name}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 200, "{version}: only {compared} options were compared");
}

#[test]
fn what_is_not_understood_is_opaque() {
    for text in [
        "git",
        "",
        "git push --forc origin",
        "git frobnicate",
        "git push $REMOTE",
        "git push *",
        "git push origin; ls",
        "git push origin > f",
        "X=1 git push",
        "git push `x`",
        "git --unknown push",
        "git push --frobnicate",
        "git push -Z",
        "git push origin tag v1",
        "git push origin ^main",
        "git bisect run evil",
        "git submodule foreach evil",
        "git push --force=yes",
        "git push -o",
        "sudo git push",
        "git -c",
        "git fetch --multiple a b",
        "git push {a,b}",
        "git push \"$x\"",
    ] {
        assert_eq!(parse(text), Fact::Opaque, "{text:?}");
    }
}
