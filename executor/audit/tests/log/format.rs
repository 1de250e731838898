//! The document of the format: its example is a good log, and the verifier that was written from the document
//! alone agrees with ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bailiwick_audit::{Entry, Event, Hash, Known, Mode, Options, Report, Status, Writer, note};
use serde_json::json;

use crate::stage::{
    Lived, all_lines, deny, folder, forge, known, lines, lived, open, options, run, segment, verify,
    write_lines,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

const DOCUMENT: &str = "docs/formats/audit-log.md";

/// The example: the log of one refused call.
fn example() -> Vec<String> {
    let dir = folder();
    let options = Options { policy_digest: Some("5f".repeat(32)), ..options() };
    let writer = Writer::open(dir.path(), &options).unwrap().0;
    let entry = Entry {
        subject: Some(json!({"uid": 1000})),
        session: Some("review".to_owned()),
        call: Some("c1".to_owned()),
        tool: Some("shell.exec".to_owned()),
        arguments: Some(json!({"command": "git push --force"})),
        policy_digest: Some("5f".repeat(32)),
        rules: Some(json!(["no-force-push"])),
        effect: Some("deny".to_owned()),
        reason: Some("history is kept".to_owned()),
        values: Mode::Plain,
        ..Entry::default()
    };
    writer.append(Event::Decision, entry).unwrap();
    writer.seal("drain").unwrap();
    lines(dir.path(), 1)
}

/// The end of the document, from its example on.
fn written(lines: &[String]) -> String {
    let id = Hash::leaf(lines[0].as_bytes());
    let mut text = format!(
        "## An example\nThe whole log of one refused call. Its id is `{id}`.\n\n```jsonl\n{}\n```\n\n\
         | Record | Leaf | Chain after it |\n| --- | --- | --- |\n",
        lines.join("\n")
    );
    let mut chain = Hash::ZERO;
    for (seq, line) in lines.iter().enumerate() {
        let leaf = Hash::leaf(line.as_bytes());
        chain = chain.link(&leaf);
        text += &format!("| {seq} | `{leaf}` | `{chain}` |\n");
    }
    text
}

#[test]
fn the_example_of_the_document_is_a_good_log() {
    let path = root().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, after) = text.split_at(text.find("## An example").unwrap());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{before}{}", written(&example()))).unwrap();
        return;
    }
    let block = after.split_once("```jsonl\n").unwrap().1.split_once("\n```").unwrap().0;
    let lines: Vec<String> = block.lines().map(str::to_owned).collect();
    assert_eq!(after, written(&lines));
    let dir = folder();
    write_lines(dir.path(), &lines);
    let known = Known { log: Some(Hash::leaf(lines[0].as_bytes())), ..Known::default() };
    let report = verify(dir.path(), &known);
    assert_eq!(report.status, Status::Intact, "{report:?}");
}

/// Copies of a log, each damaged in a different way.
pub(crate) struct Fixtures {
    base: PathBuf,
    into: tempfile::TempDir,
    made: Vec<(String, PathBuf)>,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

impl Fixtures {
    pub(crate) fn of(base: &Path) -> Self {
        Self { base: base.to_owned(), into: folder(), made: Vec::new() }
    }

    /// The folders of the copies.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.made.iter().map(|(_, dir)| dir.as_path())
    }

    pub(crate) fn add(&mut self, what: String, change: impl FnOnce(&Path)) {
        let dir = self.into.path().join(self.made.len().to_string());
        for part in ["segments", "disclosures", "blobs"] {
            copy(&self.base.join(part), &dir.join(part));
        }
        change(&dir);
        self.made.push((what, dir));
    }

    /// The bytes at these places flipped, and the segment cut there.
    fn add_bytes(&mut self, number: u32, places: impl IntoIterator<Item = usize>) {
        let good = std::fs::read(segment(&self.base, number)).unwrap();
        for at in places {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            self.add(format!("byte {at} of {number} flipped"), |dir| {
                std::fs::write(segment(dir, number), bad).unwrap();
            });
            self.add(format!("{number} cut at {at}"), |dir| {
                std::fs::write(segment(dir, number), &good[..at]).unwrap();
            });
        }
    }

    fn add_ends(&mut self, number: u32) {
        let good = std::fs::read(segment(&self.base, number)).unwrap();
        for (name, tail) in [("x", &b"x"[..]), ("zeros", &[0; 9]), ("its own end", &good[good.len() - 900..])]
        {
            self.add(format!("{name} behind {number}"), |dir| {
                std::fs::write(segment(dir, number), [&good, tail].concat()).unwrap();
            });
        }
        self.add(format!("{number} removed"), |dir| std::fs::remove_file(segment(dir, number)).unwrap());
        self.add(format!("{number} doubled beyond"), |dir| {
            std::fs::copy(segment(dir, number), segment(dir, 77)).unwrap();
        });
    }

    fn add_records(&mut self, strange: &[String]) {
        let good = all_lines(&self.base);
        let denial = strange.iter().find(|line| line.contains("\"kind\":\"decision\"")).unwrap();
        for at in 0..=good.len() {
            let mut lines = good.clone();
            lines.insert(at, denial.clone());
            self.add_lines(&format!("a strange record at {at}"), &lines);
        }
        for at in 0..good.len() {
            for other in at + 1..good.len() {
                let mut lines = good.clone();
                lines.swap(at, other);
                self.add_lines(&format!("{at} and {other} swapped"), &lines);
            }
            let mut changed = Vec::new();
            let mut lines = good.clone();
            lines.remove(at);
            changed.push(("removed", lines));
            let mut lines = good.clone();
            lines.insert(at, good[at].clone());
            changed.push(("doubled", lines));
            let mut lines = good.clone();
            lines[at] = lines[at].replacen("\"time\":1", "\"time\":2", 1);
            changed.push(("edited", lines));
            let mut lines = good.clone();
            lines[at] = lines[at].replacen("\"time\":1", "\"unknown\":1", 1);
            changed.push(("given an unknown member", lines));
            let mut lines = good.clone();
            lines[at] =
                lines[at].replacen("\"effect\":\"", "\"approval\":{\"a\":1,\"\\u0061\":2},\"effect\":\"", 1);
            changed.push(("given a member twice", lines));
            changed.push(("spliced", [&good[..at], &strange[at.min(strange.len())..]].concat()));
            for (how, lines) in changed {
                self.add_lines(&format!("{at} {how}"), &lines);
            }
        }
    }

    /// These lines as they are, and with links and sums made consistent again.
    fn add_lines(&mut self, what: &str, lines: &[String]) {
        self.add(format!("{what}, forged"), |dir| write_lines(dir, &forge(lines)));
        self.add(what.to_owned(), |dir| write_lines(dir, lines));
    }

    fn add_openings(&mut self) {
        let good = std::fs::read_to_string(self.base.join("disclosures/00000001.jsonl")).unwrap();
        for (number, line) in good.lines().enumerate() {
            let changed = good.replacen(line, &line.replacen("salt\":\"", "salt\":\"0", 1), 1);
            let edited = good.replacen(line, &line.replacen("text\":\"", "text\":\" ", 1), 1);
            for (how, text) in [("is none", changed), ("edited", edited)] {
                self.add(format!("opening {number} {how}"), |dir| {
                    std::fs::write(dir.join("disclosures/00000001.jsonl"), text).unwrap();
                });
            }
        }
    }

    fn add_blobs(&mut self) {
        let names =
            std::fs::read_dir(self.base.join("blobs")).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = names.collect();
        assert!(!names.is_empty(), "the log has blobs");
        for name in names {
            let path = |dir: &Path| dir.join("blobs").join(&name);
            let good = std::fs::read(path(&self.base)).unwrap();
            let mut edited = good.clone();
            edited[good.len() / 2] ^= 1;
            for (how, bytes) in [("edited", edited), ("cut", good[1..].to_vec()), ("emptied", Vec::new())] {
                self.add(format!("blob {} {how}", name.display()), |dir| {
                    std::fs::write(path(dir), bytes).unwrap()
                });
            }
            self.add(format!("blob {} deleted", name.display()), |dir| {
                std::fs::remove_file(path(dir)).unwrap()
            });
        }
    }

    /// Both verdicts for all of them.
    pub(crate) fn compare(&self, key: &str, known: &Known) -> usize {
        let mut command = python();
        command.args(["--log-key", key]);
        for (number, note) in known.checkpoints.iter().enumerate() {
            let path = self.into.path().join(format!("note-{number}"));
            std::fs::write(&path, note).unwrap();
            command.arg("--pinned").arg(path);
        }
        let output = command.args(self.made.iter().map(|(_, dir)| dir)).output().expect("python3 runs");
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().count(), self.made.len(), "{errors}");
        let mut wrong = Vec::new();
        for ((what, dir), said) in self.made.iter().zip(said.lines()) {
            let report = verify(dir, known);
            if verdict(&report) != said {
                wrong.push(format!(
                    "{what}: we say {}, {:?}; it says {said}",
                    verdict(&report),
                    report.damage
                ));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), self.made.len(), wrong.join("\n"));
        self.made.len()
    }
}

/// The verifier that was written from the document.
pub(crate) fn python() -> Command {
    let mut command = Command::new("python3");
    command.arg("-B").arg(root().join("conformance/audit-log/verify.py"));
    command
}

fn verdict(report: &Report) -> String {
    match (&report.damage, report.status) {
        (Some(damage), _) => format!("tampered {}", damage.seq),
        (None, Status::Intact) => format!("intact {}", report.records),
        (None, _) => format!("incomplete {}", report.records),
    }
}

/// Whether there is a Python to verify with; without one, a test fails under CI.
pub(crate) fn has_python() -> bool {
    let python = Command::new("python3").arg("--version").output();
    if python.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let how = "python3 is missing: install the package python3";
    assert!(std::env::var_os("CI").is_none(), "{how}");
    eprintln!("SKIPPED: {how}");
    false
}

#[test]
fn the_verifier_written_from_the_document_agrees_on_every_fixture() {
    if !has_python() {
        return;
    }
    let Lived { dir, known: with_key, pinned } = lived();
    let strange = lived();
    let key = note::verifier_key("log", &with_key.log_key.unwrap());
    let mut fixtures = Fixtures::of(dir.path());
    fixtures.add("as it was written".to_owned(), |_| ());
    for number in [1, 2] {
        let length = std::fs::read(segment(dir.path(), number)).unwrap().len();
        fixtures.add_bytes(number, (0..length).step_by(149));
        fixtures.add_ends(number);
    }
    fixtures.add_records(&all_lines(strange.dir.path()));
    fixtures.add_openings();
    fixtures.add_blobs();
    let sealed = fixtures.compare(&key, &with_key) + fixtures.compare(&key, &pinned);

    let dir = folder();
    let writer = open(dir.path());
    for number in 0..150 {
        deny(&writer, &format!("c{number}"));
    }
    let with_key = known(&writer);
    let key = writer.log_key();
    drop(writer);
    let mut fixtures = Fixtures::of(dir.path());
    fixtures.add("as it was written".to_owned(), |_| ());
    for number in 1..=3 {
        let length = std::fs::read(segment(dir.path(), number)).unwrap().len();
        fixtures.add_bytes(number, (0..length).step_by(3001));
        fixtures.add(format!("{number} removed"), |dir| std::fs::remove_file(segment(dir, number)).unwrap());
        fixtures.add(format!("{number} empty"), |dir| std::fs::write(segment(dir, number), "").unwrap());
    }
    let open = fixtures.compare(&key, &with_key);
    assert!(sealed + open > 300, "only {} fixtures", sealed + open);
}

/// The whole of a small log, in two segments and sealed: no byte of it may part the two verifiers.
#[test]
fn the_verifier_written_from_the_document_agrees_on_every_byte_of_a_small_log() {
    if !has_python() {
        return;
    }
    let dir = folder();
    let writer = open(dir.path());
    run(&writer, "c1");
    drop(writer);
    let writer = open(dir.path());
    let (key, known) = (writer.log_key(), known(&writer));
    let last = writer.seal("drain").unwrap();
    let pinned = Known { checkpoints: vec![last.to_string()], ..known.clone() };
    let mut compared = 0;
    for number in [1, 2] {
        let good = std::fs::read(segment(dir.path(), number)).unwrap();
        let places: Vec<usize> = (0..good.len()).collect();
        // So many at once as a small `/dev/shm` has room for.
        for places in places.chunks(1000) {
            let mut fixtures = Fixtures::of(dir.path());
            fixtures.add_bytes(number, places.iter().copied());
            compared += fixtures.compare(&key, if number == 1 { &known } else { &pinned });
        }
    }
    let bytes: usize = all_lines(dir.path()).iter().map(|line| line.len() + 1).sum();
    assert_eq!(compared, 2 * bytes, "each byte flipped, and cut there");
}

/// What ends within a minute; a reader that waits for a pipe never does.
fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, when_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(done.send(work())));
    when_done.recv_timeout(Duration::from_secs(60)).expect("it ends")
}

/// Verdicts of both verifiers about a log; `unread` where ours cannot read it.
fn both(dir: &Path, known: &Known, key: &str) -> (String, String) {
    let (of, and) = (dir.to_owned(), known.clone());
    let ours = ends(move || bailiwick_audit::verify(&of, &and).map(|report| verdict(&report)));
    let mut python = python();
    python.args(["--log-key", key]).arg(dir);
    let output = ends(move || python.output().expect("python3 runs"));
    let said = String::from_utf8(output.stdout).unwrap();
    (ours.unwrap_or_else(|_| "unread".to_owned()), said.trim_end().to_owned())
}

/// Whoever can write in the folder may put there what is not a file.
#[test]
fn a_pipe_or_a_link_in_place_of_a_file_is_not_read() {
    if !has_python() {
        return;
    }
    let Lived { dir, known, .. } = lived();
    let key = verify(dir.path(), &known).log_key.unwrap();
    let records = all_lines(dir.path()).len();
    let large = all_lines(dir.path()).iter().position(|line| line.contains("{\"blob\":")).unwrap();
    let blob = std::fs::read_dir(dir.path().join("blobs")).unwrap().next().unwrap().unwrap().path();
    let tampered = format!("tampered {large}");
    let aside = dir.path().join("aside");
    for (path, ours, theirs) in [
        (segment(dir.path(), 1), "unread", "tampered 0".to_owned()),
        (segment(dir.path(), 2), "unread", "tampered 0".to_owned()),
        (dir.path().join("disclosures/00000001.jsonl"), "", format!("intact {records}")),
        (blob, "", tampered),
    ] {
        let ours = if ours.is_empty() { theirs.clone() } else { ours.to_owned() };
        std::fs::rename(&path, &aside).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
        let expected = (ours, theirs);
        assert_eq!(both(dir.path(), &known, &key), expected, "a pipe: {}", path.display());
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&aside, &path).unwrap();
        assert_eq!(both(dir.path(), &known, &key), expected, "a link: {}", path.display());
        std::fs::rename(&aside, &path).unwrap();
    }
    let intact = format!("intact {records}");
    assert_eq!(both(dir.path(), &known, &key), (intact.clone(), intact));
}

/// Whoever wants to trust it reads it whole. Ed25519 beside it is RFC 8032's, and not the format's.
#[test]
fn the_verifier_stays_short() {
    let lines = |name| {
        std::fs::read_to_string(root().join("conformance/audit-log").join(name)).unwrap().lines().count()
    };
    assert!(lines("verify.py") <= 150, "{} lines", lines("verify.py"));
    assert!(lines("ed25519.py") <= 30, "{} lines", lines("ed25519.py"));
}
