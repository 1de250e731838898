//! Options of the subcommands that are understood. After the manual of git 2.47; an option that is missing
//! here makes a line opaque, so a table may be incomplete but not wrong. A letter may take a value with one
//! subcommand and not with another (`-x`, `-m`, `-s`, `-e`): each subcommand has its own table, and a test
//! checks every row against git itself.

/// How many values an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    None,
    /// One, attached or the next word.
    One,
    /// One if it is attached.
    Optional,
}

/// The options of a subcommand. Each is `--long`, or `x--long` with its letter.
pub(super) struct Options {
    none: &'static [&'static str],
    one: &'static [&'static str],
    optional: &'static [&'static str],
    /// `-3` is a number of entries.
    pub(super) numbered: bool,
}

const PLAIN: Options = Options { none: &[], one: &[], optional: &[], numbered: false };

const LOG: Options = Options {
    none: &[
        "--oneline",
        "p--patch",
        "--stat",
        "--all",
        "--graph",
        "--decorate",
        "--name-only",
        "--name-status",
        "--no-merges",
        "--merges",
        "--reverse",
        "--follow",
        "--no-color",
        "--no-patch",
        "s--no-patch",
        "--shortstat",
        "--numstat",
        "--summary",
        "--cached",
        "--staged",
        "w--ignore-all-space",
        "b--ignore-space-change",
        "--ext-diff",
        "--textconv",
        "--no-ext-diff",
        "--check",
        "--quiet",
        "--exit-code",
        "--raw",
        "--first-parent",
        "--no-textconv",
    ],
    one: &[
        "n--max-count",
        "--since",
        "--until",
        "--after",
        "--before",
        "--author",
        "--grep",
        "--format",
        "L--line-range",
        "S--pickaxe",
        "G--pickaxe-regex",
        "--diff-filter",
        "--skip",
    ],
    optional: &["--pretty", "--color", "U--unified", "M--find-renames", "--word-diff", "--abbrev"],
    numbered: true,
};

const PUSH: Options = Options {
    none: &[
        "f--force",
        "u--set-upstream",
        "--force-if-includes",
        "d--delete",
        "--tags",
        "--follow-tags",
        "--all",
        "--branches",
        "--mirror",
        "--prune",
        "n--dry-run",
        "q--quiet",
        "v--verbose",
        "--porcelain",
        "--atomic",
        "--no-verify",
        "--progress",
        "--no-progress",
        "4--ipv4",
        "6--ipv6",
        "--thin",
        "--no-thin",
        "--verify",
        "--no-force",
    ],
    one: &["--receive-pack", "--exec", "--repo", "o--push-option", "--recurse-submodules"],
    optional: &["--force-with-lease", "--signed"],
    numbered: false,
};

const FETCH: Options = Options {
    none: &[
        "p--prune",
        "P--prune-tags",
        "t--tags",
        "n--no-tags",
        "--all",
        "f--force",
        "q--quiet",
        "v--verbose",
        "--unshallow",
        "--dry-run",
        "a--append",
        "--progress",
        "k--keep",
        "4--ipv4",
        "6--ipv6",
        "--no-auto-gc",
        "--no-recurse-submodules",
    ],
    one: &[
        "--depth",
        "--deepen",
        "--shallow-since",
        "--upload-pack",
        "j--jobs",
        "--refmap",
        "o--server-option",
        "--filter",
    ],
    optional: &["--recurse-submodules"],
    numbered: false,
};

const PULL: Options = Options {
    none: &[
        "q--quiet",
        "v--verbose",
        "--no-rebase",
        "--ff",
        "--no-ff",
        "--ff-only",
        "--squash",
        "--no-commit",
        "--commit",
        "--autostash",
        "--no-autostash",
        "--stat",
        "n--no-stat",
        "p--prune",
        "t--tags",
        "--no-tags",
        "--all",
        "f--force",
        "--no-edit",
        "e--edit",
        "--no-verify",
        "--allow-unrelated-histories",
        "--progress",
        "4--ipv4",
        "6--ipv6",
        "--no-recurse-submodules",
    ],
    one: &["--depth", "--upload-pack", "s--strategy", "X--strategy-option"],
    optional: &["r--rebase", "S--gpg-sign", "--recurse-submodules", "j--jobs"],
    numbered: false,
};

const CLONE: Options = Options {
    none: &[
        "q--quiet",
        "v--verbose",
        "n--no-checkout",
        "--bare",
        "--mirror",
        "l--local",
        "--no-local",
        "--no-hardlinks",
        "s--shared",
        "--single-branch",
        "--no-single-branch",
        "--no-tags",
        "--progress",
        "--sparse",
        "--shallow-submodules",
        "4--ipv4",
        "6--ipv6",
    ],
    one: &[
        "o--origin",
        "b--branch",
        "u--upload-pack",
        "c--config",
        "--depth",
        "--template",
        "--reference",
        "--separate-git-dir",
        "j--jobs",
        "--filter",
        "--shallow-since",
    ],
    optional: &["--recurse-submodules", "--recursive"],
    numbered: false,
};

const COMMIT: Options = Options {
    none: &[
        "a--all",
        "q--quiet",
        "v--verbose",
        "--amend",
        "--no-edit",
        "e--edit",
        "n--no-verify",
        "--allow-empty",
        "--allow-empty-message",
        "s--signoff",
        "--dry-run",
        "--short",
        "--porcelain",
        "i--include",
        "o--only",
        "--reset-author",
        "--no-gpg-sign",
        "p--patch",
    ],
    one: &[
        "m--message",
        "F--file",
        "C--reuse-message",
        "--author",
        "--date",
        "--fixup",
        "--squash",
        "--cleanup",
        "t--template",
        "--trailer",
    ],
    optional: &["S--gpg-sign"],
    numbered: false,
};

const BRANCH: Options = Options {
    none: &[
        "f--force",
        "q--quiet",
        "v--verbose",
        "a--all",
        "r--remotes",
        "l--list",
        "d--delete",
        "D--force-delete",
        "m--move",
        "M--force-move",
        "c--copy",
        "C--force-copy",
        "--show-current",
        "--no-track",
        "--unset-upstream",
    ],
    one: &["u--set-upstream-to", "--contains", "--merged", "--no-merged", "--sort", "--format"],
    optional: &["t--track", "--color", "--abbrev"],
    numbered: false,
};

const CHECKOUT: Options = Options {
    none: &[
        "f--force",
        "q--quiet",
        "m--merge",
        "d--detach",
        "--no-track",
        "--guess",
        "--no-guess",
        "--ours",
        "--theirs",
        "p--patch",
        "--progress",
    ],
    one: &["b--new-branch", "B--force-new-branch", "--orphan"],
    optional: &["t--track"],
    numbered: false,
};

const SWITCH: Options = Options {
    none: &[
        "f--force",
        "q--quiet",
        "m--merge",
        "d--detach",
        "--no-track",
        "--guess",
        "--no-guess",
        "--discard-changes",
        "--progress",
    ],
    one: &["c--create", "C--force-create", "--orphan"],
    optional: &["t--track"],
    numbered: false,
};

const RESTORE: Options = Options {
    none: &[
        "q--quiet",
        "m--merge",
        "S--staged",
        "W--worktree",
        "--ours",
        "--theirs",
        "p--patch",
        "--progress",
    ],
    one: &["s--source"],
    optional: &[],
    numbered: false,
};

const MERGE: Options = Options {
    none: &[
        "q--quiet",
        "v--verbose",
        "n--no-stat",
        "--stat",
        "--squash",
        "--commit",
        "--no-commit",
        "e--edit",
        "--no-edit",
        "--ff",
        "--no-ff",
        "--ff-only",
        "--autostash",
        "--no-autostash",
        "--abort",
        "--continue",
        "--quit",
        "--no-verify",
        "--signoff",
        "--allow-unrelated-histories",
    ],
    one: &["m--message", "F--file", "s--strategy", "X--strategy-option"],
    optional: &["S--gpg-sign"],
    numbered: false,
};

const REBASE: Options = Options {
    none: &[
        "q--quiet",
        "v--verbose",
        "n--no-stat",
        "m--merge",
        "i--interactive",
        "f--force-rebase",
        "--no-ff",
        "--autosquash",
        "--autostash",
        "--no-autostash",
        "--abort",
        "--continue",
        "--skip",
        "--quit",
        "--root",
        "--no-verify",
        "--signoff",
        "--keep-base",
    ],
    one: &["x--exec", "--onto", "s--strategy", "X--strategy-option"],
    optional: &["S--gpg-sign"],
    numbered: false,
};

const RESET: Options = Options {
    none: &["q--quiet", "--hard", "--soft", "--mixed", "--merge", "--keep", "p--patch", "N--intent-to-add"],
    one: &[],
    optional: &[],
    numbered: false,
};

const CHERRY_PICK: Options = Options {
    none: &[
        "n--no-commit",
        "e--edit",
        "s--signoff",
        "x--append-name",
        "--ff",
        "--allow-empty",
        "--abort",
        "--continue",
        "--skip",
        "--quit",
    ],
    one: &["m--mainline", "--strategy", "X--strategy-option"],
    optional: &["S--gpg-sign"],
    numbered: false,
};

const REVERT: Options = Options {
    none: &[
        "n--no-commit",
        "e--edit",
        "--no-edit",
        "s--signoff",
        "--abort",
        "--continue",
        "--skip",
        "--quit",
    ],
    one: &["m--mainline", "--strategy", "X--strategy-option"],
    optional: &["S--gpg-sign"],
    numbered: false,
};

const ADD: Options = Options {
    none: &[
        "A--all",
        "u--update",
        "f--force",
        "n--dry-run",
        "v--verbose",
        "p--patch",
        "e--edit",
        "N--intent-to-add",
        "i--interactive",
    ],
    one: &["--chmod", "--pathspec-from-file"],
    optional: &[],
    numbered: false,
};

const RM: Options = Options {
    none: &["r--recursive", "f--force", "n--dry-run", "q--quiet", "--cached", "--ignore-unmatch"],
    one: &["--pathspec-from-file"],
    optional: &[],
    numbered: false,
};

const MV: Options = Options {
    none: &["f--force", "n--dry-run", "v--verbose", "k--skip-errors"],
    one: &[],
    optional: &[],
    numbered: false,
};

const CLEAN: Options = Options {
    none: &[
        "f--force",
        "n--dry-run",
        "q--quiet",
        "d--directories",
        "i--interactive",
        "x--ignored-too",
        "X--only-ignored",
    ],
    one: &["e--exclude"],
    optional: &[],
    numbered: false,
};

const STATUS: Options = Options {
    none: &["s--short", "b--branch", "v--verbose", "z--null", "--show-stash", "--long"],
    one: &[],
    optional: &["u--untracked-files", "--ignored", "--porcelain", "--column"],
    numbered: false,
};

const LS_REMOTE: Options = Options {
    none: &[
        "q--quiet",
        "h--heads",
        "--branches",
        "t--tags",
        "--refs",
        "--symref",
        "--get-url",
        "--exit-code",
    ],
    one: &["--upload-pack", "--sort", "o--server-option"],
    optional: &[],
    numbered: false,
};

const REV_PARSE: Options = Options {
    none: &[
        "q--quiet",
        "--verify",
        "--show-toplevel",
        "--git-dir",
        "--is-inside-work-tree",
        "--show-prefix",
        "--symbolic-full-name",
        "--branches",
        "--tags",
    ],
    one: &[],
    optional: &["--short", "--abbrev-ref"],
    numbered: false,
};

const INIT: Options = Options {
    none: &["q--quiet", "--bare"],
    one: &["b--initial-branch", "--template", "--separate-git-dir"],
    optional: &[],
    numbered: false,
};

/// The subcommands that are understood, those with the same options together.
const TABLE: &[(&[&str], &Options)] = &[
    (&["push"], &PUSH),
    (&["fetch"], &FETCH),
    (&["pull"], &PULL),
    (&["clone"], &CLONE),
    (&["commit"], &COMMIT),
    (&["log", "diff", "show"], &LOG),
    (&["branch"], &BRANCH),
    (&["checkout"], &CHECKOUT),
    (&["switch"], &SWITCH),
    (&["restore"], &RESTORE),
    (&["merge"], &MERGE),
    (&["rebase"], &REBASE),
    (&["reset"], &RESET),
    (&["cherry-pick"], &CHERRY_PICK),
    (&["revert"], &REVERT),
    (&["add"], &ADD),
    (&["rm"], &RM),
    (&["mv"], &MV),
    (&["clean"], &CLEAN),
    (&["status"], &STATUS),
    (&["ls-remote"], &LS_REMOTE),
    (&["rev-parse"], &REV_PARSE),
    (&["init"], &INIT),
    (&["ls-files", "blame", "version", "help"], &PLAIN),
];

/// The options of a subcommand; `None`: it is not understood.
pub(super) fn of(subcommand: &str) -> Option<&'static Options> {
    TABLE.iter().find(|(names, _)| names.contains(&subcommand)).map(|(_, options)| *options)
}

/// Every subcommand whose options are known.
#[cfg(test)]
pub(super) fn subcommands() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|(names, _)| names.iter().copied())
}

impl Options {
    fn all(&self) -> impl Iterator<Item = (&'static str, Arity)> {
        let none = self.none.iter().map(|option| (*option, Arity::None));
        let one = self.one.iter().map(|option| (*option, Arity::One));
        none.chain(one).chain(self.optional.iter().map(|option| (*option, Arity::Optional)))
    }

    /// An option by its full long name.
    pub(super) fn long(&self, name: &str) -> Option<(&'static str, Arity)> {
        let name_of = |option: &'static str| option.trim_start_matches(|char: char| char != '-');
        self.all().map(|(option, arity)| (name_of(option), arity)).find(|(long, _)| *long == name)
    }

    /// An option by its letter.
    pub(super) fn short(&self, letter: char) -> Option<(&'static str, Arity)> {
        let of = |option: &'static str| option.strip_prefix(letter).filter(|rest| rest.starts_with("--"));
        self.all().find_map(|(option, arity)| Some((of(option)?, arity)))
    }
}
