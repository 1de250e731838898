//! What a parsed line says, and its limits. The corpora (`tests/facts`) say which lines are understood and
//! how; `tests/facts_bash.rs` compares them with bash.

use proptest::prelude::*;

use super::*;

fn line(text: &str) -> Line {
    match parse(text) {
        Shell::Parsed(line) => line,
        Shell::Opaque(reason) => panic!("{text:?} is opaque: {reason}"),
    }
}

fn reason(text: &str) -> Reason {
    match parse(text) {
        Shell::Opaque(reason) => reason,
        Shell::Parsed(line) => panic!("{text:?} is understood: {line:#?}"),
    }
}

fn known(text: &str) -> Word {
    Fact::Known(text.to_owned())
}

#[test]
fn a_command_has_a_name_arguments_redirections_and_assignments() {
    assert_eq!(
        line("TZ=UTC CI= 2>>e date +%F \"$x\" <in 'a b' >&2").commands,
        [Command {
            name: known("date"),
            args: Args::Exact(vec![known("+%F"), Fact::Opaque, known("a b")]),
            redirects: vec![
                Redirect { descriptor: Some(2), kind: RedirectKind::Append, target: known("e") },
                Redirect { descriptor: None, kind: RedirectKind::Read, target: known("in") },
                Redirect { descriptor: None, kind: RedirectKind::Duplicate, target: known("2") },
            ],
            assignments: vec![
                Assignment { name: "TZ".to_owned(), value: known("UTC") },
                Assignment { name: "CI".to_owned(), value: known("") },
            ],
        }]
    );
    assert_eq!(line("git a $x b").commands[0].args, Args::Open(vec![known("a"), Fact::Opaque, known("b")]));
}

/// bash takes the `-` by itself: what follows it is an argument, and a rule that looks for it must find it.
#[test]
fn what_follows_a_closed_descriptor_is_an_argument() {
    for text in ["git push >&---force", "git push 2>&---force", "git push <&---force", "git push >& ---force"]
    {
        assert_eq!(line(text).commands[0].args, Args::Exact(vec![known("push"), known("--force")]), "{text}");
    }
    let moved = line("ls 3>&1- 4<&- f");
    assert_eq!(moved.commands[0].args, Args::Exact(vec![known("f")]));
    assert_eq!(moved.commands[0].redirects.len(), 2);
}

#[test]
fn a_line_that_ends_on_errors_still_has_names() {
    for text in ["set -e; ls", "set -euo pipefail; ls", "set -e -u -o pipefail\nls", "set +e; ls"] {
        assert_eq!(line(text).commands[1].name, known("ls"), "{text}");
    }
    for text in [
        "set; ls",
        "set -; ls",
        "set -x; ls",
        "set -o posix; ls",
        "set -eo xtrace; ls",
        "set -e $x; ls",
        "set -o; ls",
        "set ls; ls",
        "set -- -e; ls",
    ] {
        assert_eq!(line(text).commands[1].name, Fact::Opaque, "{text}");
    }
}

#[test]
fn only_runs_has_three_answers() {
    let names = ["ls", "cat"];
    for (text, expected) in [
        ("ls", Fact::Known(true)),
        ("ls -la $x *.rs | cat; cat <f && ls 2>/dev/null", Fact::Known(true)),
        ("ls >/dev/null 2>&1", Fact::Known(true)),
        ("cat <<E\n$x\nE", Fact::Known(true)),
        ("cat <<<x", Fact::Known(true)),
        ("if ls; then cat f; fi", Fact::Known(true)),
        ("", Fact::Known(false)),
        ("# ls", Fact::Known(false)),
        ("<f", Fact::Known(false)),
        ("git", Fact::Known(false)),
        ("/bin/ls", Fact::Known(false)),
        ("git; $x", Fact::Known(false)),
        ("ls; $x; git", Fact::Opaque),
        ("ls >f", Fact::Known(false)),
        ("ls >$x", Fact::Known(false)),
        ("ls $(cat f)", Fact::Known(false)),
        ("cat <(ls)", Fact::Known(false)),
        ("x=1", Fact::Known(false)),
        ("for f in a; do cat f; done", Fact::Known(false)),
        ("cat </dev/tcp/a/80", Fact::Known(false)),
        ("TZ=UTC ls", Fact::Known(false)),
        ("cat <$x", Fact::Opaque),
        ("ls <&$x", Fact::Opaque),
        ("$x", Fact::Opaque),
        ("l?", Fact::Opaque),
        ("ls; eval cat", Fact::Known(false)),
        ("ls(", Fact::Opaque),
    ] {
        assert_eq!(parse(text).only_runs(&names), expected, "{text:?}");
    }
    assert_eq!(parse("ls").only_runs::<&str>(&[]), Fact::Known(false));
    assert_eq!(parse("\"\"").only_runs(&[""]), Fact::Known(false));
    assert_eq!(parse("a/b").only_runs(&["a/b"]), Fact::Known(false));
    assert_eq!(parse("eval ls; ls").only_runs(&["eval", "ls"]), Fact::Opaque);
}

#[test]
fn limits_make_a_line_opaque() {
    assert!(matches!(parse(&"a".repeat(MAX_BYTES)), Shell::Parsed(_)));
    assert_eq!(reason(&"a".repeat(MAX_BYTES + 1)), Reason::TooLong);
    assert_eq!(line(&"a;".repeat(MAX_COMMANDS)).commands.len(), MAX_COMMANDS);
    assert_eq!(reason(&"a;".repeat(MAX_COMMANDS + 1)), Reason::TooMany);
    assert_eq!(reason(&"a ".repeat(MAX_COMMANDS + 1)), Reason::TooMany);
    let nested =
        |before: &str, after: &str, depth: usize| format!("{}a{}", before.repeat(depth), after.repeat(depth));
    for (before, after) in [
        ("$(", ")"),
        ("( ", ")"),
        ("{ ", "\n}"),
        ("if ", "\nthen a; fi"),
        ("\"$(", ")\""),
        ("${x:-", "}"),
        ("<(", ")"),
        ("f() { ", "\n}"),
        ("case $(", ") in a) a;; esac"),
    ] {
        assert_eq!(reason(&nested(before, after, 200)), Reason::TooDeep, "{before}");
        assert!(matches!(parse(&nested(before, after, 5)), Shell::Parsed(_)), "{before}");
    }
    for char in ['\0', '\r', '\u{1}', '\u{1b}', '\u{7f}', '\u{85}'] {
        assert_eq!(reason(&format!("a{char}b")), Reason::ControlCharacter);
    }
}

/// No input within the limits makes the parser read the text over and over: otherwise this would not end.
#[test]
fn hostile_lines_end() {
    for piece in [
        "$((",
        "`",
        "\\`",
        "((",
        "${x:-",
        "<<E ",
        "<<E\n",
        "[[ ",
        "{a,",
        "$(",
        "\"`",
        "case ",
        "f()",
        "f() {",
        "$((1))",
        "a[",
        "\\\n",
        "'",
        "\"\"",
        "!",
        "time ",
        "! time ",
        "for x in ",
        "${",
        "$'\\",
        "command ",
        "<(",
        "#\n",
        "\n\n",
        ";;",
        "&",
        "x=(",
        "[ $x ",
    ] {
        let _ = parse(&piece.repeat(MAX_BYTES / piece.len()));
        let _ = parse(&format!("{}a", piece.repeat(MAX_BYTES / piece.len() / 2)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_text_has_an_answer(text in "([ -~]|\\n|\\PC|\\$\\(|\\$\\{|<<E\\n|\\(\\(|if |then |fi|do |done|case |esac|x=|\\[\\[ ){0,40}") {
        fuzz(text.as_bytes());
    }

    /// A word in single quotes is that word, whatever it contains.
    #[test]
    fn quoted_words_are_known(words in proptest::collection::vec("[ -&(-~é\\n]{0,12}", 1..5)) {
        let text = words.iter().fold("ls".to_owned(), |text, word| format!("{text} '{word}'"));
        let expected = words.iter().map(|word| Fact::Known(word.clone())).collect();
        prop_assert_eq!(&line(&text).commands[0].args, &Args::Exact(expected));
    }
}
