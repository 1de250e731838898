//! Injects faults with strace: each call by which a scripted run changes its folder or opens a file there
//! fails once, or the process is killed in it. Also covers a disk that fails for a while.
//!
//! The run is this test program again, with `script` as its only test. It prints what was acknowledged to it:
//! `ack SEQ CHAIN` represents a tool call that ran.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_audit::{
    AppendError, Appended, Entry, Event, Intent, Known, MAX_INLINE_BYTES, Mode, OpenError, Options, Pending,
    Prepare, ReadError, Recorded, Report, Status, Writer, fold, note, verify,
};
use serde_json::json;

/// Where the script finds its folder.
const FOLDER: &str = "BAILIWICK_AUDIT_SCRIPT";

/// How long the script keeps trying with a log that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The system calls by which the log changes the disk.
const CALLS: [&str; 8] =
    ["pwrite64", "fdatasync", "fsync", "rename", "ftruncate", "openat", "mkdir", "unlink"];

fn options() -> Options {
    Options {
        segment_bytes: 64 * 1024,
        result_room_bytes: 2 * 1024,
        checkpoint_every: Duration::from_secs(3600),
        linger: Duration::from_secs(3600),
        prepare: Prepare::OnDemand,
        ..Options::default()
    }
}

/// The executor's configuration: the attendant makes segments ahead, flushes results and openings, and writes
/// the checkpoints that are due.
fn attended() -> Options {
    Options {
        checkpoint_every: Duration::from_millis(20),
        linger: Duration::from_millis(1),
        prepare: Prepare::Ahead,
        ..options()
    }
}

/// A decision with a value that is too large for a record.
fn with_blob() -> Entry {
    let arguments = Some("b".repeat(MAX_INLINE_BYTES + 1).into());
    Entry { values: Mode::Plain, arguments, effect: Some("deny".to_owned()), ..Entry::default() }
}

/// A record of nearly 8 KiB, so that a few of them fill a segment.
fn large() -> Entry {
    let values = Mode::Plain;
    let (facts, arguments) = (Some("f".repeat(3_800).into()), Some("a".repeat(3_800).into()));
    Entry { values, facts, arguments, effect: Some("deny".to_owned()), ..Entry::default() }
}

fn small() -> Entry {
    Entry { call: Some("c".to_owned()), arguments: Some(json!({"a": 1})), ..Entry::default() }
}

/// Retries until the outcome is something other than a disk failure.
fn insist<T>(mut act: impl FnMut() -> Result<T, AppendError>) -> T {
    let begun = Instant::now();
    loop {
        match act() {
            Ok(done) => return done,
            Err(error @ (AppendError::Io(_) | AppendError::NotYet(_))) => println!("refused {error}"),
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < PATIENCE, "the log did not recover by itself");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn acknowledge(at: &Appended) {
    println!("ack {} {}", at.seq, at.next.chain);
}

fn open(dir: &Path, options: &Options) -> Writer {
    let begun = Instant::now();
    loop {
        match Writer::open(dir, options) {
            Ok((writer, _)) => {
                println!("key {}", writer.log_key());
                return writer;
            }
            Err(OpenError::Io(error) | OpenError::Read(ReadError::Io { error, .. })) => {
                println!("refused {error}");
            }
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < PATIENCE, "the log does not open");
    }
}

fn intend(writer: &Writer) -> Result<Recorded<()>, AppendError> {
    writer.begin_intent((), Intent::from(small()), writer.failures())?.wait()
}

fn call(writer: &Writer) {
    let recorded = insist(|| intend(writer));
    acknowledge(recorded.at());
    match writer.begin_result(recorded.at(), small()).and_then(Pending::wait) {
        Ok(at) => acknowledge(&at),
        // It is kept; the next append that succeeds writes it too.
        Err(AppendError::NotYet(error)) => println!("refused {error}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn script() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let dir = Path::new(&dir);
    let writer = open(dir, &options());
    call(&writer);
    for _ in 0..8 {
        acknowledge(&insist(|| writer.append(Event::Decision, large())));
    }
    println!("lost {}", insist(|| intend(&writer)).at().seq);
    drop(writer);
    let writer = open(dir, &options());
    call(&writer);
    acknowledge(&insist(|| writer.append(Event::Decision, small())));
    insist(|| writer.seal("drain"));
    println!("sealed");
}

/// The results that [`script`] appends, each with an opening.
const RESULTS_OF_SCRIPT: usize = 2;

#[test]
fn attended_script() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let dir = Path::new(&dir);
    // The test's name comes before it, on the same line.
    println!();
    let writer = open(dir, &attended());
    let recorded = insist(|| intend(&writer));
    acknowledge(recorded.at());
    // It is waited for at the end.
    let queued = writer.begin_result(recorded.at(), small());
    if let Err(error) = &queued {
        println!("refused {error}");
    }
    acknowledge(&insist(|| writer.append(Event::Decision, with_blob())));
    for _ in 0..5 {
        acknowledge(&insist(|| writer.append(Event::Decision, large())));
    }
    // Beyond half a segment the next one is made; two records without a checkpoint are too many after a
    // while.
    let begun = Instant::now();
    let segments = || std::fs::read_dir(dir.join("segments")).map_or(0, Iterator::count);
    let checkpoints = || all_lines(dir).matches("\"kind\":\"checkpoint\"").count();
    while segments() < 2 || checkpoints() < 2 {
        assert!(begun.elapsed() < PATIENCE, "the attendant does nothing");
        std::thread::sleep(Duration::from_millis(2));
    }
    insist(|| writer.seal("drain"));
    println!("sealed");
}

/// Records with openings, one after another, before any checkpoint is due.
#[test]
fn openings_script() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let writer = open(Path::new(&dir), &options());
    for _ in 0..OPENED {
        acknowledge(&insist(|| writer.append(Event::Decision, small())));
    }
}

/// What [`openings_script`] appends.
const OPENED: usize = 40;

/// The result of a run.
struct Run {
    dir: tempfile::TempDir,
    printed: String,
    traced: String,
    succeeded: bool,
}

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

/// Runs the script under strace, which traces the calls and applies `inject` to them.
fn run(inject: Option<&str>) -> Run {
    run_script("script", &CALLS, inject)
}

fn run_script(script: &str, calls: &[&str], inject: Option<&str>) -> Run {
    let dir = folder();
    let trace = dir.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-e", "signal=none", "-e", &format!("trace={}", calls.join(","))]);
    command.arg("-o").arg(&trace);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(std::env::current_exe().expect("this program"));
    command.args(["--exact", script, "--nocapture", "--test-threads=1"]);
    let output = command.env(FOLDER, dir.path().join("log")).output().expect("strace runs");
    let traced = std::fs::read_to_string(&trace).expect("a trace");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let succeeded = output.status.success();
    Run { dir, printed, traced, succeeded }
}

/// Whether strace is installed and permitted to trace.
fn can_trace() -> bool {
    let tries = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    if tries.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let how = "strace is missing or may not trace: `make setup` installs it";
    assert!(std::env::var_os("CI").is_none(), "{how}");
    eprintln!("SKIPPED: {how}");
    false
}

/// Which calls with this name, counted from 1 in each thread as strace does, concern the log in a run without
/// faults: those of the thread that has most of them. The others belong to the dynamic linker and the test
/// program.
fn places(traced: &str, call: &str) -> Vec<usize> {
    places_of_threads(traced, call).into_values().max_by_key(Vec::len).unwrap_or_default()
}

/// The same for each thread that has some.
fn places_of_threads<'t>(traced: &'t str, call: &str) -> BTreeMap<&'t str, Vec<usize>> {
    let mut threads = BTreeMap::<&str, (usize, Vec<usize>)>::new();
    for line in traced.lines().filter(|line| line.contains(&format!(" {call}("))) {
        let (count, places) = threads.entry(line.split(' ').next().unwrap_or_default()).or_default();
        *count += 1;
        if line.contains("/log/") || line.contains("/log\"") || line.contains("/log>") {
            places.push(*count);
        }
    }
    let places = threads.into_iter().map(|(thread, (_, places))| (thread, places));
    places.filter(|(_, places)| !places.is_empty()).collect()
}

impl Run {
    fn log(&self) -> std::path::PathBuf {
        self.dir.path().join("log")
    }

    fn known(&self) -> Known {
        let key = self.printed.lines().find_map(|line| line.strip_prefix("key "));
        Known { log_key: key.map(|key| note::parse_verifier_key(key).expect("a key")), ..Known::default() }
    }

    fn verify(&self) -> Report {
        verify(&self.log(), &self.known()).expect("the log can be read")
    }

    /// Asserts that each acknowledged record is in the log, with all records before it unchanged.
    fn assert_all_acknowledged_are_there(&self, what: &str) {
        let mut chains = BTreeMap::new();
        fold(&self.log(), None, |record, behind| {
            chains.insert(record.seq.to_string(), behind.chain.to_string());
            Ok::<_, std::convert::Infallible>(())
        })
        .unwrap_or_else(|error| panic!("{what}: {error}"));
        for line in self.printed.lines().filter_map(|line| line.strip_prefix("ack ")) {
            let (seq, chain) = line.split_once(' ').expect("a number and a chain");
            assert_eq!(chains.get(seq).map(String::as_str), Some(chain), "{what}: record {seq}");
        }
    }
}

#[test]
fn the_script_makes_every_kind_of_call() {
    if !can_trace() {
        return;
    }
    let run = run(None);
    assert!(run.succeeded && run.printed.contains("sealed"), "{}", run.printed);
    for call in CALLS {
        assert!(!places(&run.traced, call).is_empty(), "no {call}");
    }
    let report = run.verify();
    assert_eq!(report.status, Status::Intact, "{report:?}");
    assert_eq!((report.epoch, report.lost), (2, 1), "{report:?}");
    assert_eq!(run.printed.lines().filter(|line| line.starts_with("ack ")).count(), 13);
    run.assert_all_acknowledged_are_there("no fault");
}

#[test]
fn openings_are_not_flushed_with_each_record() {
    if !can_trace() {
        return;
    }
    let run = run_script("openings_script", &["fdatasync"], None);
    assert!(run.succeeded, "{}", run.printed);
    let flushes = |folder: &str| run.traced.lines().filter(|line| line.contains(folder)).count();
    assert!(flushes("/log/segments/") >= OPENED, "each record has a flush of its own");
    assert_eq!(flushes("/log/disclosures/"), 1, "{}", run.traced);
    let report = run.verify();
    assert_eq!((report.opened, report.unopened), (OPENED as u64, 0), "{report:?}");
}

#[test]
fn killed_in_any_call_it_verifies_and_goes_on() {
    if !can_trace() {
        return;
    }
    let clean = run(None).traced;
    let mut left = Left::default();
    for call in CALLS {
        for when in places(&clean, call) {
            let what = format!("killed in {call} {when}");
            let run = run(Some(&format!("{call}:signal=KILL:when={when}")));
            assert!(!run.succeeded, "{what}: it lived");
            if !run.log().join("segments").is_dir() {
                continue;
            }
            let report = run.verify();
            assert_ne!(report.status, Status::Tampered, "{what}: {report:?}");
            run.assert_all_acknowledged_are_there(&what);
            left.keep(&run.log(), &what);
            match Writer::open(&run.log(), &options()) {
                Ok((writer, recovered)) => {
                    assert_eq!(recovered.is_new, report.records == 0, "{what}");
                    call_and_seal(&writer, &what);
                    let text = all_lines(&run.log());
                    let is_there = text.contains("\"recovered\":{\"cause\":\"open\"");
                    assert!(is_there || recovered.is_new, "{what}: no `recovered` record");
                }
                Err(OpenError::Sealed) => assert!(run.verify().is_sealed, "{what}"),
                Err(error) => panic!("{what}: {error}"),
            }
            let report = verify(&run.log(), &run.known()).expect("the log can be read");
            assert!(report.is_sealed && report.damage.is_none(), "{what}: {report:?}");
            run.assert_all_acknowledged_are_there(&what);
        }
    }
    left.assert_that_the_other_verifier_agrees();
}

/// Copies of the logs of runs that were killed.
#[derive(Default)]
struct Left(Vec<(String, tempfile::TempDir)>);

impl Left {
    fn keep(&mut self, log: &Path, what: &str) {
        let copy = folder();
        for part in ["segments", "disclosures", "blobs"] {
            let (from, to) = (log.join(part), copy.path().join(part));
            std::fs::create_dir(&to).expect("a folder");
            // The run was killed before it was made.
            let Ok(entries) = std::fs::read_dir(from) else { continue };
            for entry in entries.map(|entry| entry.expect("a name")) {
                std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
            }
        }
        self.0.push((what.to_owned(), copy));
    }

    /// The verifier that was written from the document alone agrees about each, without any knowledge from
    /// elsewhere.
    fn assert_that_the_other_verifier_agrees(&self) {
        let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/audit-log/verify.py");
        let dirs = self.0.iter().map(|(_, dir)| dir.path());
        let output = match Command::new("python3").arg("-B").arg(verifier).args(dirs).output() {
            Ok(output) => output,
            Err(error) => {
                let how = format!("python3 is missing ({error}): install the package python3");
                assert!(std::env::var_os("CI").is_none(), "{how}");
                return eprintln!("SKIPPED: {how}");
            }
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.lines().count(), self.0.len(), "{}", String::from_utf8_lossy(&output.stderr));
        for ((what, dir), said) in self.0.iter().zip(said.lines()) {
            let report = verify(dir.path(), &Known::default()).expect("the log can be read");
            let ours = match &report.damage {
                Some(damage) => format!("tampered {}", damage.seq),
                None => format!("incomplete {}", report.records),
            };
            assert_eq!(said, ours, "{what}: {report:?}");
        }
    }
}

/// The calls by which the script with an attendant writes; reading the folder does not matter here.
const WRITES: [&str; 4] = ["pwrite64", "fdatasync", "fsync", "rename"];

/// Every place in any thread in a run without faults; also asserts that more than one thread writes.
fn attended_places(call: &str) -> Vec<usize> {
    let clean = run_script("attended_script", &WRITES, None);
    assert!(clean.succeeded && clean.printed.contains("sealed"), "{}", clean.printed);
    let report = clean.verify();
    assert_eq!(report.status, Status::Intact, "{report:?}");
    let writing: BTreeSet<&str> =
        WRITES.iter().flat_map(|call| places_of_threads(&clean.traced, call).into_keys()).collect();
    assert!(writing.len() > 1, "the attendant writes nothing:\n{}", clean.traced);
    assert!(clean.traced.contains("/log/blobs/"), "no blob is written:\n{}", clean.traced);
    let all: BTreeSet<usize> = places_of_threads(&clean.traced, call).into_values().flatten().collect();
    all.into_iter().collect()
}

/// Fails each write in the executor's configuration once, whichever thread makes it. The attendant's work has
/// no caller to report a failure to.
fn fail_each_attended(call: &str, error: &str) {
    if !can_trace() {
        return;
    }
    let mut injected = 0;
    for when in attended_places(call) {
        let what = format!("{error} from {call} {when} of any thread");
        let run = run_script("attended_script", &WRITES, Some(&format!("{call}:error={error}:when={when}")));
        assert!(run.succeeded && run.printed.contains("sealed"), "{what}: {}", run.printed);
        let report = run.verify();
        assert_eq!(report.status, Status::Intact, "{what}: {report:?}");
        assert_eq!(report.unopened, 0, "{what}: an opening is lost");
        run.assert_all_acknowledged_are_there(&what);
        injected += usize::from(run.traced.contains("(INJECTED)"));
    }
    assert!(injected > 0, "no {call} failed");
}

#[test]
fn failed_writes_of_a_log_with_its_attendant_lose_nothing_acknowledged() {
    fail_each_attended("pwrite64", "ENOSPC");
}

#[test]
fn failed_flushes_of_a_log_with_its_attendant_lose_nothing_acknowledged() {
    fail_each_attended("fdatasync", "EIO");
    fail_each_attended("fsync", "EIO");
    fail_each_attended("rename", "EIO");
}

#[test]
fn killed_with_its_attendant_at_work_it_verifies_and_goes_on() {
    if !can_trace() {
        return;
    }
    for call in ["pwrite64", "fdatasync", "fsync"] {
        for when in attended_places(call) {
            let what = format!("killed in {call} {when} of any thread");
            let run =
                run_script("attended_script", &WRITES, Some(&format!("{call}:signal=KILL:when={when}")));
            if !run.log().join("segments").is_dir() {
                continue;
            }
            let report = run.verify();
            assert_ne!(report.status, Status::Tampered, "{what}: {report:?}");
            run.assert_all_acknowledged_are_there(&what);
            match Writer::open(&run.log(), &attended()) {
                Ok((writer, _)) => call_and_seal(&writer, &what),
                Err(OpenError::Sealed) => {}
                Err(error) => panic!("{what}: {error}"),
            }
            let report = verify(&run.log(), &run.known()).expect("the log can be read");
            assert!(report.is_sealed && report.damage.is_none(), "{what}: {report:?}");
            run.assert_all_acknowledged_are_there(&what);
        }
    }
}

fn call_and_seal(writer: &Writer, what: &str) {
    let recorded = intend(writer).expect(what);
    writer.begin_result(recorded.at(), small()).and_then(Pending::wait).expect(what);
    writer.seal("drain").expect(what);
}

fn all_lines(dir: &Path) -> String {
    let files = std::fs::read_dir(dir.join("segments")).expect("segments");
    let read = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry.expect("a name").path());
    files.map(|entry| String::from_utf8_lossy(&read(entry).expect("a segment")).into_owned()).collect()
}

/// Whether a failed call must be reported to a caller.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    /// If it concerns a segment: what it was for is not acknowledged.
    IfSegment,
    /// At least once: the other failures cost nothing that was acknowledged.
    Sometimes,
    /// Never: the call frees room, and only that is lost.
    Never,
}

/// Fails each call once with this error.
fn fail_each(calls: &[&str], error: &str, told: Told) {
    if !can_trace() {
        return;
    }
    let clean = run(None).traced;
    for call in calls {
        let (mut refused, mut openings, mut told_openings) = (0, 0, 0);
        for when in places(&clean, call) {
            let what = format!("{error} from {call} {when}");
            let run = run(Some(&format!("{call}:error={error}:when={when}")));
            assert!(run.succeeded && run.printed.contains("sealed"), "{what}: {}", run.printed);
            let report = run.verify();
            assert_eq!(report.status, Status::Intact, "{what}: {report:?}");
            assert_eq!(report.unopened, 0, "{what}: an opening is lost");
            run.assert_all_acknowledged_are_there(&what);
            let injected =
                run.traced.lines().find(|line| line.contains("(INJECTED)")).expect("it was injected");
            let was_refused = run.printed.contains("refused ");
            // Openings are written before their record: without them it is not written. A result is the
            // exception: it is written, and its openings follow. No thread waits for their flush; the log
            // accepts no more until it has succeeded.
            let is_opening = *call == "pwrite64" && injected.contains("/disclosures/");
            openings += usize::from(is_opening);
            told_openings += usize::from(is_opening && was_refused);
            if told == Told::IfSegment && injected.contains("/segments/") {
                assert!(was_refused, "{what} was not told to anybody: {injected}");
            }
            refused += usize::from(was_refused);
        }
        assert_eq!(refused > 0, told != Told::Never, "{refused} failures of {call} were told");
        let results = RESULTS_OF_SCRIPT;
        assert!(
            *call != "pwrite64" || openings > results && told_openings >= openings - results,
            "{told_openings} of {openings}"
        );
    }
}

#[test]
fn a_failed_write_refuses_and_the_log_recovers_by_itself() {
    fail_each(&["pwrite64"], "ENOSPC", Told::IfSegment);
}

#[test]
fn a_failed_flush_refuses_and_the_log_recovers_by_itself() {
    fail_each(&["fdatasync", "fsync"], "EIO", Told::IfSegment);
}

#[test]
fn a_write_that_fails_with_an_io_error_refuses_too() {
    fail_each(&["pwrite64"], "EIO", Told::IfSegment);
}

/// Where blocks are allocated late, a full disk appears only in the flush.
#[test]
fn a_flush_that_finds_the_disk_full_refuses_too() {
    fail_each(&["fdatasync", "fsync"], "ENOSPC", Told::IfSegment);
}

#[test]
fn names_that_cannot_be_changed_refuse_and_the_log_recovers_by_itself() {
    fail_each(&["rename", "mkdir", "unlink"], "EIO", Told::Sometimes);
}

#[test]
fn a_file_that_cannot_be_opened_refuses_and_the_log_recovers_by_itself() {
    fail_each(&["openat"], "EMFILE", Told::Sometimes);
}

#[test]
fn room_that_cannot_be_given_back_is_all_that_is_lost() {
    fail_each(&["ftruncate"], "EIO", Told::Never);
}

/// A dozen failures one after another, from the first append to some later one.
#[test]
fn a_disk_that_fails_for_a_while_refuses_all_that_time_and_then_takes_records_again() {
    if !can_trace() {
        return;
    }
    let clean = run(None).traced;
    for (call, error) in [("pwrite64", "ENOSPC"), ("fdatasync", "EIO")] {
        let first = places(&clean, call)[3];
        let what = format!("{error} from {call} {first} and the next eleven");
        let run = run(Some(&format!("{call}:error={error}:when={first}..{}", first + 11)));
        assert!(run.succeeded && run.printed.contains("sealed"), "{what}: {}", run.printed);
        let refused = run.printed.lines().filter(|line| line.starts_with("refused ")).count();
        let injected = run.traced.lines().filter(|line| line.contains("(INJECTED)")).count();
        assert!(refused >= 2 && injected >= 12, "{what}: {refused} refused, {injected} injected");
        let report = run.verify();
        assert_eq!(report.status, Status::Intact, "{what}: {report:?}");
        run.assert_all_acknowledged_are_there(&what);
        // Two of the thirteen are results; if the disk fails, they are kept and written later, and nothing is
        // reported.
        let acknowledged = run.printed.lines().filter(|line| line.starts_with("ack ")).count();
        assert!(acknowledged >= 11, "{what}: {acknowledged}");
    }
}
