//! bash itself as the oracle: runs a line with stubs for programs and tells what was run with which arguments.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bailiwick_policy::facts::Fact;
use bailiwick_policy::facts::shell::{self, Args, Line};

/// The shell that the packs run.
const BASH: &str = "/bin/bash";
/// What the stubs are written for.
const DASH: &str = "/bin/dash";
/// Ends what bash does not.
const TIMEOUT: &str = "/usr/bin/timeout";

/// The program that notes what bash did not find.
const MISSING: &str = "missing";

/// Programs that the stubs stand for.
pub(crate) const STUBS: &[&str] =
    &["ls", "cat", "grep", "git", "wc", "env", "rm", "sh", "evil", "f", "a", "b", "if", "time"];

/// bash's own commands that run other commands. What they run need not stand in the line as a command.
const RUNNERS: &[&str] =
    &["command", "builtin", "exec", "eval", "source", ".", "trap", "mapfile", "compgen", "jobs"];

/// One program that bash started, or looked for in vain.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
}

/// A folder of stubs and one to run in.
pub(crate) struct Oracle {
    folder: tempfile::TempDir,
    runs: usize,
}

impl Oracle {
    /// `None`, loudly, where one of the shells is missing; under CI that is a failure.
    pub(crate) fn new() -> Option<Self> {
        if let Some(shell) = [BASH, DASH].into_iter().find(|shell| !Path::new(shell).exists()) {
            let missing = format!("{shell} is missing; install the package of this name");
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("SKIPPED: {missing}");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder for the stubs");
        let stubs = folder.path().join("stubs");
        std::fs::create_dir(&stubs).expect("the folder can be written");
        // One write per run, so that runs side by side do not mix: dash writes what a `printf` prints at once, bash
        // writes at every end of a line.
        for name in STUBS {
            write_program(
                &stubs.join(name),
                &format!("#!{DASH}\nprintf '%s\\0' \"$#\" \"${{0##*/}}\" \"$@\" >>\"$STUB_LOG\"\n"),
            );
        }
        write_program(
            &folder.path().join(MISSING),
            &format!("#!{DASH}\nprintf '%s\\0' \"$(($# - 1))\" \"$@\" >>\"$STUB_LOG\"\n"),
        );
        Some(Self { folder, runs: 0 })
    }

    /// What bash runs for a line, and the files that it left behind.
    pub(crate) fn run(&mut self, line: &str) -> (Vec<Run>, Vec<PathBuf>) {
        self.runs += 1;
        let folder = self.folder.path().join(format!("run{}", self.runs));
        let log = self.folder.path().join(format!("log{}", self.runs));
        let missing = self.folder.path().join(MISSING);
        std::fs::create_dir(&folder).expect("the folder can be written");
        std::fs::write(folder.join("in"), "a[$(evil file)]\n").expect("the folder can be written");
        // Both outputs are pipes, read to their ends: every process that bash left behind has ended then.
        let output = Command::new(TIMEOUT)
            .args(["-s", "KILL", "5", BASH, "--noprofile", "--norc", "-c", "--", line])
            .env_clear()
            .env("PATH", self.folder.path().join("stubs"))
            .env("STUB_LOG", &log)
            .env("BASH_FUNC_command_not_found_handle%%", format!("() {{ {} \"$@\"; }}", missing.display()))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        drop(output);
        let text = std::fs::read(&log).unwrap_or_default();
        let left = std::fs::read_dir(&folder).expect("the folder can be read");
        let left =
            left.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !path.ends_with("in")).collect();
        let _ = std::fs::remove_dir_all(&folder);
        let _ = std::fs::remove_file(&log);
        (read(&String::from_utf8_lossy(&text)), left)
    }
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("the stub can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .expect("the stub can be made a program");
}

fn read(log: &str) -> Vec<Run> {
    let mut fields = log.split('\0');
    let mut runs = Vec::new();
    while let Some(count) = fields.next().and_then(|count| count.parse::<usize>().ok()) {
        let name = fields.next().unwrap_or_default().to_owned();
        runs.push(Run { name, args: fields.by_ref().take(count).map(str::to_owned).collect() });
    }
    runs
}

/// Whether a command of the line, as it was understood, may have been this run.
pub(crate) fn explains(command: &shell::Command, run: &Run) -> bool {
    let named = match &command.name {
        Fact::Known(name) => *name == run.name || RUNNERS.contains(&name.as_str()),
        Fact::Opaque => return true,
    };
    if command.name.known().is_some_and(|name| RUNNERS.contains(&name.as_str())) {
        return named;
    }
    named && arguments_agree(&command.args, &run.args)
}

fn arguments_agree(args: &Args, run: &[String]) -> bool {
    match args {
        Args::Exact(words) => {
            words.len() == run.len()
                && words.iter().zip(run).all(|(word, run)| word.known().is_none_or(|word| word == run))
        }
        Args::Open(words) => {
            let leading = words.iter().take_while(|word| word.known().is_some());
            let placed = leading.enumerate().all(|(at, word)| word.known() == run.get(at));
            placed && words.iter().filter_map(Fact::known).all(|word| run.contains(word))
        }
    }
}

/// Every run stands in the line as a command with these arguments.
pub(crate) fn assert_explained(text: &str, line: &Line, runs: &[Run]) {
    for run in runs {
        assert!(
            line.commands.iter().any(|command| explains(command, run)),
            "bash ran what the parser does not know of\nline: {text:?}\nrun: {run:?}\nparsed: {line:#?}"
        );
    }
}
