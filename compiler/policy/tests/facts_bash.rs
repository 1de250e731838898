//! The parser of command lines against bash: what it calls known is what bash runs.

#[path = "facts/attacks.rs"]
mod attacks;
#[path = "facts/oracle.rs"]
mod oracle;

use bailiwick_policy::facts::Fact;
use bailiwick_policy::facts::shell::{self, Shell};
use oracle::{Oracle, assert_explained, explains};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// Lines that were understood and run by bash, for each of the two properties.
const CASES: usize = 1_000;
/// Lines that are generated for each of them at most.
const ATTEMPTS_PER_CASE: usize = 20;

/// Words without commands in them.
fn plain_word() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "-v",
        "--x=y",
        "'x y'",
        "\"q  r\"",
        "$'\\x41\\n'",
        "$'\\''",
        "\\e",
        "\\ ",
        "\\\\",
        "\"\\$\\`\\\"\\q\"",
        "''",
        "\"\"",
        "{a,b}",
        "{1..3}",
        "{a}",
        "{",
        "}",
        "{a\",\"b}",
        "a=b",
        "@",
        "%",
        "^",
        "é",
        "\u{a0}",
        "ｌs",
        "[a]",
        "[",
        "]",
        "*",
        "?",
        "~",
        "x:~",
        "!",
        "#",
        "a#b",
        "$",
        "$.",
        "-",
        "=",
        ",",
        "..",
        "1",
        "23",
        "\"a\\\nb\"",
        "+",
        "\"#\"",
        "'\n'",
        "$\"t\"",
        "\\*",
        "\\~",
        "'*'",
        "in",
        "a[",
        "if",
        "{}",
        "@{1}",
        "\\\t",
    ]);
    vec(piece, 1..4).prop_map(|pieces| pieces.concat())
}

/// Words that hold expansions or commands as well.
fn word() -> impl Strategy<Value = String> {
    let expansion = prop::sample::select(vec![
        "$x",
        "\"$x\"",
        "${x}",
        "${x:-d}",
        "\"${x:-$(git in)}\"",
        "${#x}",
        "${x%.*}",
        "${x:1:2}",
        "$(ls a)",
        "\"$(cat 'b c')\"",
        "`cat b`",
        "\"`ls \\\"q\\\"`\"",
        "$((1+2))",
        "$((x))",
        "$((x=2))",
        "$((x[0]))",
        "<(ls p)",
        "<()",
        ">(# c\n)",
        "${x[$(evil i)]}",
        "${!x}",
        "${x@P}",
        "$?",
        "$#",
        "$@",
        "\"$@\"",
        "$(<in)",
        "$(cat <<E\nt $(ls h)\nE\n)",
        "${x:=y}",
        "${PATH:=y}",
        "$1",
        "$_",
        "$((_))",
        "$((RANDOM))",
        "$(( $(ls n) ))",
        "${x//a/$(git r)}",
        "$[1]",
        "a$x",
        "$(# c\nls k)",
        "$(case a in a) ls m;; esac)",
        "$((ls) )",
        "`echo \\`ls n\\``",
    ]);
    prop_oneof![3 => plain_word(), 2 => expansion.prop_map(str::to_owned), 1 => (plain_word(), expansion_or_plain()).prop_map(|(a, b)| a + &b)]
}

fn expansion_or_plain() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["$x", "\"$x\"", "$(ls z)", "*", "'*'", "b", "`wc y`"]).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "ls",
        "cat",
        "grep",
        "git",
        "wc",
        "l\\s",
        "'ls'",
        "\"cat\"",
        "g''it",
        "$'\\x6cs'",
        "$x",
        "f",
        "a",
        "if",
        "l$x",
        "{ls,a}",
        "env",
        "nosuch",
    ]);
    prop_oneof![6 => fixed.prop_map(str::to_owned), 1 => plain_word()]
}

/// bash's own commands, with what makes them dangerous.
const BUILTINS: &[&str] = &[
    "printf -v 'x[$(evil 1)]' a",
    "printf '%s' a",
    "printf \"$x\"",
    "printf -v x 'a[$(evil 2)]'",
    "test -v 'x[$(evil 3)]'",
    "test -v x",
    "[ -f in ]",
    "[ \"$x\" = a ]",
    "[ $x = a ]",
    "[ \"$x\" \"$x\" ]",
    "[[ $x -eq 1 ]]",
    "[[ -v x ]]",
    "[[ -v 'x[$(evil 4)]' ]]",
    "[[ a =~ ^(a|b)$ ]]",
    "[[ $x == a* && 1 -lt 2 ]]",
    "(( x ))",
    "(( 1 < 2 ))",
    "(( x++ ))",
    "let x=1",
    "let 'x[$(evil 5)]=1'",
    "read x <in",
    "read -r x <<<'a[$(evil 6)]'",
    "unset x",
    "unset 'x[$(evil 7)]'",
    "export x=1",
    "declare -i x='a[$(evil 8)]'",
    "declare x=1",
    "alias ls=evil",
    "eval 'ls(){ evil 9; }'",
    "set -x",
    "set -- 'a[$(evil 10)]'",
    "shopt -s extglob",
    "trap 'evil 11' DEBUG",
    "trap - DEBUG",
    "hash -p $PWD/in ls",
    "command ls k",
    "command -v ls",
    "builtin printf -v 'x[$(evil 12)]' a",
    "exec 3>&1",
    "getopts a: x -a b",
    "mapfile -C 'evil 13' -c 1 x <in",
    "mapfile -t x <in",
    "wait",
    "cd .",
    "x=1",
    "x='a[$(evil 14)]'",
    "x=(1 2)",
    "x=([0]=1)",
    "x[0]=1",
    "x+=1",
    "PATH=/nosuch",
    "IFS=:",
    "x=$(ls v)",
    "x=$((1+1))",
    "RANDOM='a[$(evil 15)]'",
    "PS4='$(evil 16)'",
    "x=1 ls p",
    "PATH=/nosuch ls q",
    "LC_ALL=C ls r",
    "IFS= read -r x <in",
    "true",
    "false",
    "echo a >out",
    ": ${x:=1}",
    "time ls t",
    "coproc ls c",
    "f() { ls f; }",
    "ls() { evil 17; }",
    "function g { git g; }",
    "{x}>out",
    ">out",
    "<in",
    "enable -n echo",
    "local x=1",
    "readonly y='a[$(evil 18)]'",
    "[[ ${x-} -gt 0 ]]",
    "[ -n \"$x\" -a \"$x\" ]",
    "[ ! \"$x\" ]",
    "declare -n z=x",
    "z='x[$(evil 19)]'",
    "type ls",
    "umask",
    "compgen -W '$(evil 20)' x",
    "for x in 'a[$(evil 21)]'; do echo $((x)); done",
    "printf -vx a",
    "wait $!",
    "ulimit -c",
    "HISTCMD='x[$(evil 22)]'",
    "OPTIND='x[$(evil 23)]'",
    "typeset -i q",
    "SECONDS='x[$(evil 24)]'",
    "x='q v[$(evil)]'",
    "x='q -Cevil -c1'",
    "x='1 b[$(evil)]=2'",
    "x='q PATH'",
    "read -d $x y <in",
    "read -d \"$x\" y <in",
    "read -n $x y <in",
    "mapfile -d $x y <in",
    "mapfile -t -n 1 y <in",
    "declare a=$x",
    "declare 'a'=$x",
    "declare a={$x,1}",
    "declare a={1..2}$x",
    "declare a=1{b,c}",
    "declare a+=$x",
    "\\declare a=$x",
    "command declare a=$x",
    "builtin typeset a=$x",
    "export a=$x b=\"$x\"",
    "readonly y$x=1",
    "local \"a=$x\"",
    "unset $x",
    "let $x",
    "getopts $x y -a",
    "getopts a y $x",
    "getopts -- a PATH -a",
    "wait $x",
    "test -f $x",
    "printf -- $x",
    "printf %s $x",
    "coproc q [[ $x -eq 1 ]]",
    "coproc 'q r' [[ $x -eq 1 ]]",
    "{x[1]}>out",
    "{x[1]}<in",
    "{x}<&-",
    "exec {x}>out",
    "(\\\n(x))",
    "ls $(\\\n(x))",
    "ls $\\\n((x))",
    "cat <<\\\n-'E'\nx\nE\nevil\n-E\n",
    "cat <<-\\\nE\nx\nE\n",
    "ls &\\\n& ls",
    "ls |\\\n& ls",
    "ls >\\\n>out",
    "ls \\\n k",
    "x1='a[$(evil 42)]'",
    "(( x$x ))",
    "x=$((x$#))",
    "y=$((1$x))",
    "x=(1)#c; evil 31",
    "x=(1)2",
    "x=(1) #c; evil 32",
    "[[ a == @(#) ]]; evil 33\n]]",
    "[[ a =~ $x(#) ]]; evil 34\n]]",
    "[[ a =~ \"x\"||#y ]]; evil 35\nb ]]",
    "[[ a =~ 'x'|#y ]]; evil 36\nb ]]",
    "[[ (a) && (b)#c ]]\n]]",
    "[[ a =~ x #b ]]; evil 37\n]]",
    "[[ a && #b ]]\nb ]]",
    "(ls)#c; evil 38",
    "((1))#c; evil 39",
    "ls 2>&-#c; evil 40",
    "case a in a)#c; evil 41\nls;; esac",
    "ls {a$',b'}{a$'\\x2c'b}",
    "ls $`ls q`",
];

/// What may follow a construct without a blank, and continue it or not.
const GLUE: &[&str] = &[
    "#c; ls G",
    "#c ]]; ls G\n]]",
    "(#)",
    "|#c",
    "||#c; ls G\nls",
    "x",
    "'x'",
    "(x)",
    "$(ls G)",
    ">out",
    "&",
    ")",
    "}",
    "[",
    "=(x)",
    "{a,b}",
];

fn builtin() -> impl Strategy<Value = String> {
    prop::sample::select(BUILTINS).prop_map(str::to_owned)
}

fn redirect() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        ">out",
        ">>out",
        "2>/dev/null",
        "2>&1",
        ">&2",
        "<in",
        "<<<w",
        "&>out",
        ">|out",
        "3<in",
        ">&-",
        "<<E\nt $x `ls hd`\nE\n",
        "<<'E'\n$(evil 30)\nE\n",
        "<<-E\n\tx\n\tE\n",
        "<>out",
        ">$x",
        "<<<$(ls hs)",
        ">&out",
        "2>out",
        ">&'$(evil 46)'",
        "2>&'$(evil 47)'",
        "<&'$(evil 48)'",
        ">'$(evil 49)'",
        "&>'`evil 50`'",
        "<<<'$(evil 51)'",
        ">&$x",
        "1>&\"$x\"",
        ">&1-",
    ])
    .prop_map(str::to_owned)
}

fn simple() -> impl Strategy<Value = String> {
    let args = vec(word(), 0..4).prop_map(|words| words.join(" "));
    let plain = (name(), args).prop_map(|(name, args)| format!("{name} {args}")).boxed();
    let redirected = (plain.clone(), redirect()).prop_map(|(command, redirect)| {
        // The text of a here-document ends the line.
        format!("{command} {redirect}")
    });
    prop_oneof![5 => plain, 2 => redirected, 4 => builtin()]
}

fn line() -> impl Strategy<Value = String> {
    let joined = simple().prop_recursive(3, 12, 3, |inner| {
        let join =
            prop::sample::select(vec!["; ", " | ", " && ", " || ", "\n", " & ", " |& ", " # c\n", ";\n"]);
        prop_oneof![
            4 => (inner.clone(), join, inner.clone()).prop_map(|(a, join, b)| format!("{a}{join}{b}")),
            1 => (inner.clone(), group()).prop_map(|(a, (before, after))| format!("{before}{a}{after}")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("if {a}\nthen {b}\nelse ls e\nfi")),
        ]
    });
    let noise = prop::sample::select(vec![
        "'", "\"", "\\", "`", "$", "(", ")", "#", "\n", ";", "&", "|", "<", ">", "{", "}", "!", " ", "\\\n",
        "$(", "((", "))", "]]",
    ]);
    let glued = (joined.clone(), prop::sample::select(GLUE), joined.clone())
        .prop_map(|(before, glue, after)| format!("{before}{glue}\n{after}"));
    prop_oneof![
        3 => joined.clone(),
        1 => glued,
        1 => (joined, any::<prop::sample::Index>(), noise).prop_map(|(mut text, at, noise)| {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            if !places.is_empty() {
                text.insert_str(places[at.index(places.len())], noise);
            }
            text
        }),
    ]
}

fn group() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("(", ")"),
        ("{ ", "\n}"),
        ("{ ", "\n} >out"),
        ("for x in a 1; do ", "\ndone"),
        ("while ! ls w; do ", "\ndone"),
        ("case a in a|b) ", "\n;; esac"),
        ("f() { ", "\n}; f"),
        ("g() (", "\n); g x"),
        ("! ", ""),
        ("time ", ""),
        ("$(", "\n)"),
        ("`", "`"),
        ("eval '", "'"),
        ("ls \"$(", "\n)\""),
        ("for ((x=0;x<2;x++)); do ", "\ndone"),
        ("until ls u; do ", "\ndone"),
        ("ls <(", "\n)"),
        ("coproc ", ""),
        ("(( 1 )) && ", ""),
        ("((", "))"),
    ])
}

/// Pieces of the grammar, for lines in which they stand in any order. No loop without an end and no function, which could call itself.
const PIECES: &[&str] = &[
    " ",
    " ",
    " ",
    " ",
    "\n",
    "\n",
    ";",
    "; ",
    "&",
    "|",
    "&&",
    "||",
    "(",
    ")",
    "{ ",
    "; }",
    "((",
    "))",
    "[[ ",
    " ]]",
    "#",
    "#",
    "\\\n",
    "\\",
    "'",
    "\"",
    "`",
    "$",
    "$(",
    "<(",
    ">",
    "<",
    "<<E",
    "<<-E",
    "<<'E'",
    "\nE\n",
    "<<<",
    "ls",
    "ls ",
    "cat ",
    "git ",
    "evil",
    "evil ",
    "x",
    "x=",
    "x=(",
    "x+=",
    "x[",
    "]",
    "a",
    "1",
    "=",
    "!",
    "! ",
    "if ls",
    "; then ",
    "; fi",
    "for x in ",
    "; do ",
    "; done",
    "case a in ",
    "a) ",
    ";; ",
    " esac",
    "${x",
    "}",
    ":-",
    " =~ ",
    " == ",
    "@(",
    "-v ",
    " -eq ",
    "-",
    "2>",
    ">&",
    "&>",
    "{a,b}",
    "{x}",
    "time ",
    "declare ",
    "export ",
    "read ",
    "printf ",
    "test ",
    "$x",
    "\"$x\"",
    "$((",
    "'a[$(evil 44)]'",
    ",",
    "~",
    "*",
    "$'",
    "$\"",
    ">&-",
    "in ",
    "coproc ",
];

/// Lines of simple commands one after the other, in which nothing but quoting happens.
fn straight_line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["ls", "cat", "g\\it", "'wc'", "gr\"ep\"", "$'\\x6cs'"]);
    let command =
        (name, vec(plain_word(), 0..5)).prop_map(|(name, words)| format!("{name} {}", words.join(" ")));
    let join = prop::sample::select(vec!["; ", "\n", ";\n", " # 'c\n", "\n\n"]);
    vec((command, join), 1..4)
        .prop_map(|commands| commands.into_iter().map(|(command, join)| command + join).collect())
}

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
