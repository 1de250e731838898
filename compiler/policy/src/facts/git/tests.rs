//! git command lines and what is known of them.

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
