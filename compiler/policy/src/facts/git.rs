//! git command lines: the operation, its remote and refs, and whether an option makes git run a program.
//!
//! Not git: it looks at no repository, so it does not know what a bare `git push` pushes. git accepts any
//! unambiguous prefix of a long option for it, and treats an unknown subcommand as an alias. Both are opaque
//! here, as is every option outside the tables of [`options`].

mod options;

#[cfg(test)]
mod tests;

use super::Fact;
use super::shell::{self, Args, Command, Shell};

use options::{Arity, Options};

/// A git command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Git {
    /// The subcommand, such as `push`.
    pub subcommand: String,
    /// The remote's name, address or path, for `push`, `fetch`, `pull`, `clone` and `ls-remote`; `None` if
    /// none is written.
    pub remote: Option<String>,
    /// What is pushed or fetched, and where to, in order.
    pub refs: Vec<RefSpec>,
    /// The operands of other subcommands, and those after `--`.
    pub operands: Vec<String>,
    /// The options of the subcommand in their long form without values, sorted (`--force` for `-f`).
    pub options: Vec<String>,
    /// Whether history on the other side may be overwritten or removed: `--force` in any form, `+ref`,
    /// `--mirror`, `--prune`, `--delete`, `:ref`, or a setting such as `remote.origin.push=+main`.
    pub force: bool,
    /// Settings for this call (`-c`, `--config`), such as `core.sshCommand=…`.
    pub config: Vec<String>,
    /// Whether an option, a setting or the kind of address makes git run a program that it names, or look
    /// elsewhere for its own programs.
    pub runs_program: bool,
    /// The folder (`-C`, `--git-dir`, `--work-tree`), if the line names one; a command with several is
    /// opaque.
    pub folder: Option<String>,
}

/// `[+]source[:destination]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefSpec {
    /// As written; empty when something is removed.
    pub source: String,
    /// The ref that is written, without `refs/heads/`; opaque where it depends on the repository (`HEAD`,
    /// patterns, `heads/main`, which is `refs/heads/main` if the other side has that, and [`FOLDERS`]).
    pub destination: Fact<String>,
}

/// Parses one git command line, with or without the word `git` before it.
#[must_use]
pub fn parse(text: &str) -> Fact<Git> {
    let with_name = match text.trim_start().strip_prefix("git") {
        Some(rest) if rest.starts_with([' ', '\t']) => text.to_owned(),
        _ => format!("git {text}"),
    };
    let Shell::Parsed(line) = shell::parse(&with_name) else {
        return Fact::Opaque;
    };
    match line.commands.as_slice() {
        [command] if command.redirects.is_empty() && command.assignments.is_empty() && !line.assigns => {
            of_command(command)
        }
        _ => Fact::Opaque,
    }
}

/// The facts of a command, if it is `git` and all its words are known. By another name (`git-push`, a path) it may
/// be another program.
fn of_command(command: &Command) -> Fact<Git> {
    let Args::Exact(words) = &command.args else {
        return Fact::Opaque;
    };
    let words: Option<Vec<&str>> = words.iter().map(|word| word.known().map(String::as_str)).collect();
    match (command.name.known().map(String::as_str), words) {
        (Some("git"), Some(words)) => read(&words).map_or(Fact::Opaque, Fact::Known),
        _ => Fact::Opaque,
    }
}

fn read(words: &[&str]) -> Option<Git> {
    let mut git = Git::default();
    let mut forces = false;
    let mut words = words.iter().copied();
    loop {
        let word = words.next()?;
        let Some((option, attached)) = word.starts_with('-').then(|| split_value(word)) else {
            git.subcommand = word.to_owned();
            break;
        };
        let mut value = || attached.or_else(|| words.next()).map(str::to_owned);
        match option {
            // With several, each is relative to the one before, or contradicts it.
            "-C" | "--git-dir" | "--work-tree" if git.folder.is_none() => git.folder = Some(value()?),
            "-c" => {
                let setting = value()?;
                forces |= may_force(&setting);
                git.config.push(setting);
            }
            "--config-env" => {
                forces |= may_force(&value()?);
                git.runs_program = true;
            }
            // Without a folder, git only prints where its programs are, whatever follows.
            "--exec-path" if attached.is_some() => git.runs_program = true,
            "-p" | "--paginate" => git.runs_program = true,
            "-P"
            | "--no-pager"
            | "--bare"
            | "--no-replace-objects"
            | "--literal-pathspecs"
            | "--no-optional-locks"
                if attached.is_none() => {}
            _ => return None,
        }
    }
    let operands = git.read_options(options::of(&git.subcommand)?, words)?;
    git.place(operands)?;
    git.runs_program |= !git.config.is_empty();
    git.force |= forces && git.subcommand == "push";
    git.options.sort_unstable();
    git.options.dedup();
    Some(git)
}

/// Whether a setting may make a push forced: `remote.NAME.push` and `.mirror` do, and an included file may set
/// either. git ignores the case of a section's name. An alias is no matter here: its name is an unknown
/// subcommand, and git's own subcommands come before aliases.
fn may_force(setting: &str) -> bool {
    let section = setting.split('.').next().unwrap_or_default().to_ascii_lowercase();
    matches!(section.as_str(), "include" | "includeif" | "push" | "remote")
}

/// `--option=value`.
fn split_value(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((option, value)) if word.starts_with("--") => (option, Some(value)),
        _ => (word, None),
    }
}

impl Git {
    /// Reads the options of the subcommand and returns its operands.
    fn read_options<'w>(
        &mut self,
        known: &Options,
        mut words: impl Iterator<Item = &'w str>,
    ) -> Option<Vec<String>> {
        let mut operands = Vec::new();
        while let Some(word) = words.next() {
            if word == "--" {
                operands.extend(words.map(str::to_owned));
                break;
            }
            if !word.starts_with('-') || word == "-" {
                operands.push(word.to_owned());
                continue;
            }
            if word.starts_with("--") {
                let (option, attached) = split_value(word);
                let (name, arity) = known.long(option)?;
                let value = match (arity, attached) {
                    (Arity::None, Some(_)) => return None,
                    (Arity::None | Arity::Optional, value) => value,
                    (Arity::One, value) => Some(value.or_else(|| words.next())?),
                };
                self.option(name, value);
                continue;
            }
            // `-fu` is `-f -u`, `-mtext` is `-m text`, `-3` a number of entries.
            let mut letters = word.get(1..)?;
            if letters.bytes().all(|byte| byte.is_ascii_digit()) && known.numbered {
                continue;
            }
            while let Some(letter) = letters.chars().next() {
                letters = letters.get(letter.len_utf8()..)?;
                let (name, arity) = known.short(letter)?;
                match arity {
                    Arity::None => self.option(name, None),
                    Arity::Optional => {
                        self.option(name, Some(letters));
                        break;
                    }
                    Arity::One => {
                        let value = if letters.is_empty() { words.next()? } else { letters };
                        self.option(name, Some(value));
                        break;
                    }
                }
            }
        }
        Some(operands)
    }

    fn option(&mut self, name: &str, value: Option<&str>) {
        self.options.push(name.to_owned());
        let pushes = self.subcommand == "push";
        self.force |=
            pushes && matches!(name, "--force" | "--force-with-lease" | "--mirror" | "--prune" | "--delete");
        self.runs_program |= match name {
            "--upload-pack"
            | "--receive-pack"
            | "--exec"
            | "--ext-diff"
            | "--textconv"
            | "--edit"
            | "--recurse-submodules"
            | "--recursive"
            | "--gpg-sign"
            | "--signed" => true,
            // The hooks in it run; the template of a message is text.
            "--template" => self.subcommand != "commit",
            // git-merge-NAME.
            "--strategy" => value.is_none_or(|name| !STRATEGIES.contains(&name)),
            // An editor receives the list of commands.
            "--interactive" => self.subcommand == "rebase",
            "--rebase" => value.is_some_and(|value| value.starts_with('i')),
            _ => false,
        };
        match (name, value) {
            ("--config", Some(value)) => self.config.push(value.to_owned()),
            ("--repo", Some(value)) => self.remote = Some(value.to_owned()),
            _ => {}
        }
    }

    /// Gives the operands their meaning.
    fn place(&mut self, operands: Vec<String>) -> Option<()> {
        match self.subcommand.as_str() {
            "push" | "fetch" | "pull" => {
                let mut operands = operands.into_iter();
                if let Some(remote) = operands.next() {
                    self.remote = Some(remote);
                }
                for operand in operands {
                    let (spec, forced) = ref_spec(&operand, &self.subcommand)?;
                    let removes =
                        spec.source.is_empty() || self.options.iter().any(|option| option == "--delete");
                    self.force |= self.subcommand == "push" && (forced || removes);
                    self.refs.push(spec);
                }
            }
            "clone" | "ls-remote" => {
                let mut operands = operands.into_iter();
                self.remote = operands.next();
                self.operands = operands.collect();
            }
            _ => self.operands = operands,
        }
        self.runs_program |= self.remote.as_ref().is_some_and(|remote| names_program(remote));
        Some(())
    }
}

/// The merge strategies that are built into git; any other is a program.
const STRATEGIES: &[&str] = &["ort", "recursive", "resolve", "octopus", "ours", "subtree"];

/// The address schemes that are built into git or come with it; for any other it runs `git-remote-SCHEME`
/// (gitremote-helpers(7)).
const SCHEMES: &[&str] = &["https", "http", "ssh", "git", "file", "ftp", "ftps", "git+ssh", "ssh+git"];

/// Folders of `refs/` that git, GitHub, GitLab, Bitbucket and Gerrit use. The list is not complete: any server
/// may have `refs/NAME`, and git then writes that for `NAME`. With every name that has a slash, `feature/x`
/// would be opaque too.
const FOLDERS: &[&str] = &[
    "bisect",
    "changes",
    "drafts",
    "environments",
    "for",
    "heads",
    "keep-around",
    "merge-requests",
    "meta",
    "notes",
    "original",
    "pipelines",
    "pull",
    "pull-requests",
    "remotes",
    "replace",
    "stash",
    "tags",
    "users",
    "worktree",
];

/// Whether a remote is an address that names a program: `ext::sh -c …`, `helper://…`.
fn names_program(remote: &str) -> bool {
    remote.contains("::") || remote.split_once("://").is_some_and(|(scheme, _)| !SCHEMES.contains(&scheme))
}

fn ref_spec(text: &str, subcommand: &str) -> Option<(RefSpec, bool)> {
    let (spec, forced) = match text.strip_prefix('+') {
        Some(spec) => (spec, true),
        None => (text, false),
    };
    // `^ref` excludes, `tag NAME` is two words.
    if spec.starts_with('^') || spec == "tag" {
        return None;
    }
    let (source, destination) = match spec.split_once(':') {
        Some((source, destination)) => (source, destination),
        None if subcommand == "push" => (spec, spec),
        None => (spec, ""),
    };
    // gitrevisions(7): git looks for `refs/NAME` before `refs/heads/NAME`.
    let depends = destination.is_empty()
        || destination == "HEAD"
        || destination.contains(['*', '@', '~', '^', ':'])
        || destination == "stash"
        || destination.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder));
    let destination = match destination.strip_prefix("refs/heads/").unwrap_or(destination) {
        _ if depends => Fact::Opaque,
        name => Fact::Known(name.to_owned()),
    };
    Some((RefSpec { source: source.to_owned(), destination }, forced))
}

/// The fuzzing entry point: any bytes get an answer.
pub fn fuzz(data: &[u8]) {
    let _ = parse(&String::from_utf8_lossy(data));
}
