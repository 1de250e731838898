//! Every command that a document shows is run, and prints what the document shows.
//!
//! A fenced block marked `console` holds commands after `$ ` and their output. A line `…` matches any lines.
//! With `UPDATE_EXPECT=1`, blocks without `…` are rewritten.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::stage::{Stage, printed, root};

fn documents() -> Vec<PathBuf> {
    let mut documents = vec![root().join("README.md")];
    let guide = std::fs::read_dir(root().join("docs/guide")).expect("the guides");
    let pages = guide.map(|entry| entry.expect("a file").path());
    documents.extend(pages.filter(|path| path.extension().is_some_and(|e| e == "md")));
    documents.sort();
    documents
}

/// A command of a block and the lines under it.
#[derive(Debug)]
struct Shown {
    command: String,
    lines: Vec<String>,
}

/// The text in pieces: what is copied, and the `console` blocks.
enum Piece {
    Text(String),
    Block(Vec<Shown>),
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = vec![Piece::Text(String::new())];
    let mut inside = false;
    for line in text.lines() {
        match pieces.last_mut().expect("there is always a piece") {
            Piece::Block(_) if inside && line == "```" => {
                inside = false;
                pieces.push(Piece::Text("```\n".to_owned()));
            }
            Piece::Block(shown) => match line.strip_prefix("$ ") {
                Some(command) => shown.push(Shown { command: command.to_owned(), lines: Vec::new() }),
                None => shown.last_mut().expect("a block begins with a command").lines.push(line.to_owned()),
            },
            Piece::Text(text) => {
                text.push_str(line);
                text.push('\n');
                if line == "```console" {
                    inside = true;
                    pieces.push(Piece::Block(Vec::new()));
                }
            }
        }
    }
    assert!(!inside, "a console block is not closed");
    pieces
}

/// Whether the printed lines match those shown, where `…` matches any.
fn agrees(shown: &[String], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=printed.len()).any(|skip| agrees(rest, &printed[skip..]))
        }
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(line, others)| line == first && agrees(rest, others))
        }
    }
}

/// How long another executor may hold the machine's cgroup.
const PATIENCE: Duration = Duration::from_secs(300);

/// The output of a command; an executor command waits until no other executor holds the machine's cgroup.
fn run(stage: &Stage, command: &str) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let output = printed(&stage.shell(command));
        let is_taken = command.starts_with("bailiwick-executor") && output.contains("the cgroup root `");
        if !is_taken || Instant::now() >= end {
            return output;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether an ordinary user has no cgroup here, so that the executor refuses the packs' exact limits. Root
/// has one.
fn cannot_confine(output: &str) -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    output.contains("a cgroup that it may write") && !is_root
}

/// The steps that the guide of a first pack promises, in this order: a guide that lost one would still show what its commands print.
#[test]
fn the_guide_of_a_first_pack_has_every_step() {
    let text = std::fs::read_to_string(root().join("docs/guide/first-pack.md")).expect("the guide");
    let blocks = pieces(&text).into_iter().filter_map(|piece| match piece {
        Piece::Block(shown) => Some(shown),
        Piece::Text(_) => None,
    });
    let mut steps = blocks.flatten();
    for (command, output) in [
        ("bailiwick init ", "pack.yaml is written"),
        ("bailiwick check ", "did you mean `podTemplates`?"),
        ("bailiwick explain BW0104", "error[BW0104]: unknown field"),
        ("podTemplates:/' policy-packs/scratch/pack.yaml && bailiwick check ", ": ok"),
        ("bailiwick test --coverage ", "never false"),
        ("bailiwick test --coverage ", "passed, 0 failed"),
        ("bailiwick test --mutate ", "1 SURVIVE"),
        ("bailiwick test --mutate ", "15 edits, 14 noticed, 1 refused"),
        ("bailiwick diff ", "widened"),
    ] {
        let found = steps.any(|shown| {
            shown.command.contains(command) && shown.lines.iter().any(|line| line.contains(output))
        });
        assert!(found, "no `{command}` that prints `{output}`, in its place");
    }
}

#[test]
fn documents_show_what_the_commands_print() {
    let mut commands = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("the document is readable");
        let stage = Stage::new();
        let mut anew = String::new();
        for piece in pieces(&text) {
            let block = match piece {
                Piece::Text(text) => {
                    anew.push_str(&text);
                    continue;
                }
                Piece::Block(block) => block,
            };
            let mut is_skipped = false;
            for shown in block {
                let output = run(&stage, &shown.command);
                is_skipped |= cannot_confine(&output);
                if is_skipped {
                    assert!(
                        std::env::var_os("CI").is_none(),
                        "`{}` needs root under CI: {output}",
                        shown.command
                    );
                    eprintln!("SKIPPED: `{}`: this machine holds no sandbox: {output}", shown.command);
                    anew.push_str(&format!("$ {}\n", shown.command));
                    shown.lines.iter().for_each(|line| anew.push_str(&format!("{line}\n")));
                    continue;
                }
                let lines: Vec<&str> = output.lines().map(str::trim_end).collect();
                let bless = std::env::var_os("UPDATE_EXPECT").is_some()
                    && !shown.lines.iter().any(|line| line == "…");
                anew.push_str(&format!("$ {}\n", shown.command));
                if bless {
                    lines.iter().for_each(|line| anew.push_str(&format!("{line}\n")));
                } else {
                    shown.lines.iter().for_each(|line| anew.push_str(&format!("{line}\n")));
                    assert!(
                        agrees(&shown.lines, &lines),
                        "{}: `{}` prints\n{output}",
                        document.display(),
                        shown.command
                    );
                }
                commands += 1;
            }
        }
        if anew != text {
            std::fs::write(&document, anew).expect("the document is writable");
        }
    }
    assert!(commands >= 5, "only {commands} commands were found in the documents");
}

#[test]
fn the_tour_of_the_readme_is_short() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("README.md is readable");
    let (_, tour) = text.split_once("## A tour").expect("README.md has a tour");
    let tour = tour.split("\n## ").next().unwrap_or(tour);
    assert!(tour.lines().count() <= 60, "the tour has {} lines, more than 60", tour.lines().count());
}
