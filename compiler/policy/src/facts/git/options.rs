//! Options of the subcommands that are understood. After the manual of git 2.47; an option that is missing here makes a line opaque, so
//! a table may be short but not wrong.

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
    one: &["--receive-pack", "--exec", "--repo", "o--push-option"],
    optional: &["--force-with-lease", "--signed", "--recurse-submodules"],
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
    one: &["--depth", "--upload-pack", "s--strategy", "X--strategy-option", "j--jobs"],
    optional: &["r--rebase", "S--gpg-sign", "--recurse-submodules"],
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

const BRANCHES: Options = Options {
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
        "c--create",
        "C--force-create",
        "--detach",
        "--no-track",
        "--show-current",
        "--guess",
        "--no-guess",
        "--ours",
        "--theirs",
        "--merge",
        "--discard-changes",
        "p--patch",
        "--unset-upstream",
        "S--staged",
        "W--worktree",
        "--staged",
        "--worktree",
    ],
    one: &[
        "b--new-branch",
        "B--force-new-branch",
        "u--set-upstream-to",
        "--orphan",
        "s--source",
        "--sort",
        "--format",
    ],
    optional: &["t--track", "--contains", "--merged", "--no-merged", "--color", "--abbrev"],
    numbered: false,
};

const HISTORY: Options = Options {
    none: &[
        "q--quiet",
        "v--verbose",
        "--abort",
        "--continue",
        "--skip",
        "--quit",
        "--no-ff",
        "--ff",
        "--ff-only",
        "--squash",
        "--no-commit",
        "--no-edit",
        "e--edit",
        "i--interactive",
        "--autostash",
        "--no-autostash",
        "--hard",
        "--soft",
        "--mixed",
        "--keep",
        "--autosquash",
        "f--force",
        "n--no-stat",
        "--no-verify",
        "--root",
        "--allow-unrelated-histories",
        "--stat",
    ],
    one: &["m--message", "x--exec", "--onto", "s--strategy", "X--strategy-option"],
    optional: &["S--gpg-sign"],
    numbered: false,
};

const TREE: Options = Options {
    none: &[
        "A--all",
        "u--update",
        "f--force",
        "n--dry-run",
        "v--verbose",
        "p--patch",
        "N--intent-to-add",
        "i--interactive",
        "r--recursive",
        "--cached",
        "q--quiet",
        "s--short",
        "b--branch",
        "--porcelain",
        "d--directories",
        "x--ignored-too",
        "X--only-ignored",
        "k--skip-errors",
        "--show-stash",
        "z--null",
        "l--list",
        "a--annotate",
        "--ignored",
        "--long",
    ],
    one: &["e--exclude", "--chmod", "--pathspec-from-file", "m--message"],
    optional: &["--untracked-files", "--column"],
    numbered: false,
};

const QUERY: Options = Options {
    none: &[
        "q--quiet",
        "--heads",
        "--branches",
        "--tags",
        "t--tags",
        "--refs",
        "--symref",
        "--get-url",
        "--verify",
        "--show-toplevel",
        "--git-dir",
        "--is-inside-work-tree",
        "--show-prefix",
        "h--heads",
        "--exit-code",
        "--bare",
        "--symbolic-full-name",
    ],
    one: &["--upload-pack", "--sort", "--initial-branch", "o--server-option"],
    optional: &["--short", "--abbrev-ref"],
    numbered: false,
};

/// The options of a subcommand; `None`: it is not understood.
pub(super) fn of(subcommand: &str) -> Option<&'static Options> {
    Some(match subcommand {
        "push" => &PUSH,
        "fetch" => &FETCH,
        "pull" => &PULL,
        "clone" => &CLONE,
        "commit" => &COMMIT,
        "log" | "diff" | "show" => &LOG,
        "branch" | "checkout" | "switch" | "restore" => &BRANCHES,
        "merge" | "rebase" | "reset" | "cherry-pick" | "revert" => &HISTORY,
        "add" | "rm" | "mv" | "clean" | "status" => &TREE,
        "ls-remote" | "rev-parse" | "init" => &QUERY,
        "ls-files" | "blame" | "version" | "help" => &PLAIN,
        _ => return None,
    })
}

impl Options {
    fn all(&self) -> impl Iterator<Item = (&'static str, Arity)> {
        let none = self.none.iter().map(|option| (*option, Arity::None));
        let one = self.one.iter().map(|option| (*option, Arity::One));
        none.chain(one).chain(self.optional.iter().map(|option| (*option, Arity::Optional)))
    }

    /// An option by its whole long name.
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
