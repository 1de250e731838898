//! Variables that bash and programs treat specially. After bash's manual, "Shell Variables", ld.so(8) and
//! environ(7).

/// What an assignment does in addition to setting a variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// Later commands may be other programs, run other code, or be parsed differently.
    ChangesNames,
    /// bash evaluates the assigned value, or gives the variable a special meaning: known only for an integer.
    Evaluates,
}

/// Whether a text is the name of a variable.
pub(super) fn is_name(text: &[u8]) -> bool {
    text.first().is_some_and(|first| first.is_ascii_alphabetic() || *first == b'_')
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Variables that bash turns into integers, or that hold what it treats as its own data.
const EVALUATES: &[&str] = &[
    "RANDOM",
    "SRANDOM",
    "SECONDS",
    "LINENO",
    "HISTCMD",
    "EPOCHSECONDS",
    "EPOCHREALTIME",
    "UID",
    "EUID",
    "PPID",
    "BASHPID",
    "DIRSTACK",
    "FUNCNAME",
    "GROUPS",
    "PIPESTATUS",
    "OPTARG",
    "OPTIND",
    "OPTERR",
    "PS0",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "PROMPT_COMMAND",
    "PROMPT_DIRTRIM",
    "MAILPATH",
    "MAILCHECK",
    "FCEDIT",
    "FIGNORE",
    "HISTFILE",
    "HISTSIZE",
    "HISTFILESIZE",
    "HISTCONTROL",
    "HISTIGNORE",
    "HISTTIMEFORMAT",
    "COMPREPLY",
    "CHILD_MAX",
    "COPROC",
    "_",
];

/// Variables by which bash or the loader finds programs, or that nearly every environment has.
const CHANGES_NAMES: &[&str] = &[
    "PATH",
    "IFS",
    "ENV",
    "CDPATH",
    "HOME",
    "PWD",
    "OLDPWD",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "SHLVL",
    "POSIXLY_CORRECT",
    "GLOBIGNORE",
    "EXECIGNORE",
    "TMPDIR",
    "TIMEFORMAT",
    "INPUTRC",
    "LOCPATH",
    "NLSPATH",
    "GCONV_PATH",
    "TEXTDOMAIN",
    "TEXTDOMAINDIR",
    "LANG",
    "LANGUAGE",
    "PAGER",
    "EDITOR",
    "VISUAL",
    "BROWSER",
    "SSH_ASKPASS",
    "CC",
    "CXX",
    "MAKEFLAGS",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "CLASSPATH",
];

/// Prefixes of such names.
const CHANGING_PREFIXES: &[&str] = &[
    "LD_",
    "BASH",
    "LC_",
    "GIT_",
    "PYTHON",
    "PERL",
    "RUBY",
    "NODE_",
    "npm_",
    "NPM_",
    "JAVA_",
    "JDK_",
    "LESS",
    "MALLOC_",
    "GLIBC_",
    "DYLD_",
    "CARGO_",
    "SUDO_",
    "READLINE_",
    "COMP_",
    "DOCKER_",
    "KUBE",
    "AWS_",
    "SSH_",
];

/// Variables that always hold an integer: bash keeps other values out of them, or the assignment is rejected
/// above.
const NUMBERS: &[&str] =
    &["RANDOM", "SRANDOM", "SECONDS", "LINENO", "EPOCHSECONDS", "UID", "EUID", "PPID", "BASHPID"];

/// Variables that change what a program prints and not what it runs.
const HARMLESS: &[&str] = &[
    "LC_ALL",
    "LC_CTYPE",
    "LC_COLLATE",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_TIME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "COLUMNS",
    "LINES",
    "TERM",
    "CI",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "CARGO_TERM_COLOR",
    "NODE_ENV",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONIOENCODING",
    "PYTHONUTF8",
    "DEBIAN_FRONTEND",
    "GIT_TERMINAL_PROMPT",
    "GOOS",
    "GOARCH",
    "CGO_ENABLED",
    "DEBUG",
    "VERBOSE",
    "LOG_LEVEL",
    "PORT",
];

pub(super) fn effect(name: &str) -> Effect {
    if EVALUATES.contains(&name) || name.starts_with("BASH_") || name.starts_with("COMP_") {
        Effect::Evaluates
    } else if CHANGES_NAMES.contains(&name) || CHANGING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    {
        Effect::ChangesNames
    } else {
        Effect::None
    }
}

/// Whether bash itself sets a variable, to text that the executed commands may choose: `[[ $x =~ .* ]]` sets
/// `BASH_REMATCH`, every command sets `_`. An integer assigned in the line says nothing about its later
/// value.
pub(super) fn is_set_by_bash(name: &str) -> bool {
    effect(name) == Effect::Evaluates && !is_number(name)
}

/// Whether a variable holds an integer whatever happens.
pub(super) fn is_number(name: &str) -> bool {
    NUMBERS.contains(&name)
}

/// Whether a variable in the environment of a command changes only what it prints: by its name, with a value
/// that is not a path, an option or a list of anything.
pub(super) fn is_harmless(name: &str, value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@');
    HARMLESS.contains(&name) && value.bytes().all(plain) && !value.starts_with('-')
}
