//! The parser of command lines against bash: what it calls known is what bash runs.

#[path = "facts/attacks.rs"]
mod attacks;
#[path = "facts/generators.rs"]
mod generators;
#[path = "facts/oracle.rs"]
mod oracle;

use bailiwick_policy::facts::Fact;
use bailiwick_policy::facts::shell::{self, Shell};
use generators::{PIECES, line, straight_line};
use oracle::{Oracle, assert_explained, explains};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// Lines that were understood and run by bash, for each of the two properties.
const CASES: usize = 1_000;
/// Lines that are generated for each of them at most.
const ATTEMPTS_PER_CASE: usize = 20;

/// Generates lines until enough of them were understood.
fn lines(strategy: impl Strategy<Value = String>, mut check: impl FnMut(&str, &shell::Line)) {
    // `FACTS_CASES=100000`: a longer search, another one each time.
    let more: Option<usize> = std::env::var("FACTS_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = more.unwrap_or(CASES);
    let mut runner = if more.is_some() { TestRunner::default() } else { TestRunner::deterministic() };
    let mut understood = 0;
    for _ in 0..ATTEMPTS_PER_CASE * cases {
        let line = strategy.new_tree(&mut runner).expect("a line").current();
        if let Shell::Parsed(parsed) = shell::parse(&line) {
            check(&line, &parsed);
            understood += 1;
        }
        if understood == cases {
            return;
        }
    }
    panic!("only {understood} lines of {cases} were understood: the test proves too little");
}

#[test]
fn bash_runs_nothing_that_the_parser_does_not_know_of() {
    let Some(mut oracle) = Oracle::new() else { return };
    let names = ["ls", "cat", "grep"];
    lines(line(), |text, parsed| {
        let (runs, left) = oracle.run(text);
        assert_explained(text, parsed, &runs);
        if Shell::Parsed(parsed.clone()).only_runs(&names) == Fact::Known(true) {
            assert!(left.is_empty(), "{text:?} left {left:?}");
            assert!(runs.iter().all(|run| names.contains(&run.name.as_str())), "{text:?} ran {runs:?}");
        }
    });
}

#[test]
fn bash_runs_nothing_else_when_pieces_stand_in_any_order() {
    let Some(mut oracle) = Oracle::new() else { return };
    let pieces = vec(prop::sample::select(PIECES), 1..9).prop_map(|pieces| pieces.concat());
    let line =
        (pieces, prop::sample::select(vec!["", "", "\nevil 45", "; evil 45\n", "\n]]", " }\nls", ")"]));
    lines(line.prop_map(|(pieces, end)| pieces + end), |text, parsed| {
        let (runs, _) = oracle.run(text);
        assert_explained(text, parsed, &runs);
    });
}

#[test]
fn words_that_are_known_are_the_arguments_that_bash_passes() {
    let Some(mut oracle) = Oracle::new() else { return };
    lines(straight_line(), |text, parsed| {
        let (runs, _) = oracle.run(text);
        assert_eq!(runs.len(), parsed.commands.len(), "{text:?}\n{runs:?}\n{parsed:#?}");
        for (command, run) in parsed.commands.iter().zip(&runs) {
            assert!(explains(command, run), "{text:?}\n{run:?}\n{command:#?}");
        }
    });
}

/// By each of these bash runs a command that stands nowhere in the line as one: the attacks work, and no line is taken for harmless.
#[test]
fn lines_that_make_bash_evaluate_values_are_not_understood() {
    let Some(mut oracle) = Oracle::new() else { return };
    for line in attacks::EVALUATED {
        let (runs, _) = oracle.run(line);
        assert!(
            runs.iter().any(|run| run.name == "evil"),
            "{line}: bash runs {runs:?}, so this proves nothing"
        );
        assert!(matches!(shell::parse(line), Shell::Opaque(_)), "{line}: {:#?}", shell::parse(line));
    }
}

/// Where bash does not begin a comment: what stands behind `#` runs, and a rule that looks for it must find it.
#[test]
fn no_command_hides_behind_what_is_no_comment() {
    let Some(mut oracle) = Oracle::new() else { return };
    for line in [
        "x=(1)#c; evil",
        "x=([0]=1)#c; evil",
        "x+=()#; evil",
        "[[ a == @(#) ]]; evil\n]]",
        "[[ a != !(#) ]]; evil\n]]",
        "[[ a =~ $x(#) ]]; evil\n]]",
        "[[ a =~ \"x\"(#) ]]; evil\n]]",
        "[[ a =~ \"x\"||#y ]]; evil\nb ]]",
        "ls a#b; evil",
        "ls \"\"#b; evil",
        "ls $x#b; evil",
        "ls ${x#b}; evil",
        "ls $#; evil",
        "ls \\#; evil",
    ] {
        let (runs, _) = oracle.run(line);
        assert!(
            runs.iter().any(|run| run.name == "evil"),
            "{line}: bash runs {runs:?}, so this proves nothing"
        );
        if let Shell::Parsed(parsed) = shell::parse(line) {
            assert_explained(line, &parsed, &runs);
        }
    }
}

/// What changes the meaning of later names: bash runs `evil` or nothing for `ls`, and the name is opaque.
#[test]
fn names_that_were_changed_are_opaque() {
    let Some(mut oracle) = Oracle::new() else { return };
    for line in [
        "ls() { evil; }; ls",
        "function ls { evil; }\nls",
        "g() { ls; }; ls() { evil; }; g",
        "eval 'ls() { evil; }'; ls",
        "eval 'alias ls=evil; shopt -s expand_aliases'\nls",
        "hash -p \"${PATH%/*}/stubs/evil\" ls; ls",
        "trap evil DEBUG; ls",
        "PS4='$(evil)'; set -x; ls",
        "shopt -s expand_aliases\nalias ls=evil\nls",
        "command eval 'ls() { evil; }'; ls",
        "for i in 1 2; do ls; eval 'ls() { evil; }'; done",
    ] {
        let (runs, _) = oracle.run(line);
        assert!(
            runs.iter().any(|run| run.name == "evil"),
            "{line}: bash runs {runs:?}, so this proves nothing"
        );
        if let Shell::Parsed(parsed) = shell::parse(line) {
            assert!(
                parsed.commands.iter().all(|command| command.name.known().is_none_or(|name| name != "ls")),
                "{line}: {parsed:#?}"
            );
        }
    }
}
