//! The fuzz entry points under a mutating driver. The seeds are real packs, expressions and reviews, mutated
//! at random from fixed seeds, so that a failure is reproducible. It runs for a few seconds; `make fuzz`
//! drives the same entries for longer with libFuzzer.

#[path = "../../fuzz/entries.rs"]
mod entries;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use entries::{Entry, entries};

/// Mutants of each seed.
const MUTANTS: usize = 150;

/// Mutants of an entry, all its seeds together: the corpora have well over a thousand lines, and the tests a
/// few seconds.
const MAX_MUTANTS: usize = 60_000;

/// Mutants of each seed, for this many seeds.
fn mutants(seeds: usize) -> usize {
    (MAX_MUTANTS / seeds.max(1)).clamp(1, MUTANTS)
}

/// xorshift64*: a generator whose sequence is fixed for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Fragments that parsers often fail on.
const PIECES: &[&[u8]] = &[
    b"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"&a [*a,*a]",
    b"<<: *a",
    b"---\n",
    b"((((((((",
    b"[[[[[[[[",
    b"{{{{{{{{",
    b"!!!!!!!!",
    b"a.b.c.d.e",
    b"9223372036854775808",
    b"-0",
    b"1e999",
    b".nan",
    b"0644",
    b"on: 1",
    b"${x}",
    b"'''",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"null",
    b"true || ",
    b".all(x, x",
    b".map(i, v, ",
    b"matches('(a*)*b')",
    b"\t",
    b"\r\n",
    b"|+\n  ",
    b"? ",
    b"%YAML 9.9\n",
    b"endless",
    b"$(",
    b"`",
    b"<<E\n",
    b"$((",
    b"\\",
    b"{a,b}",
    b"%2e",
    b"[::",
];

fn mutate(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(64)).min(bytes.len());
        match random.below(5) {
            0 => drop(bytes.splice(at..end, [])),
            1 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            2 => {
                let piece = bytes[at..end].repeat(1 + random.below(16));
                bytes.splice(at..end, piece);
            }
            3 if at < bytes.len() => bytes[at] = (random.next() & 0xff) as u8,
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

/// Returns the number of mutants that an entry processed. A mutant that it fails on is printed.
fn drive(entry: &Entry) -> usize {
    let Entry { target, run, seeds } = entry;
    assert!(!seeds.is_empty(), "`{target}` has no seeds");
    let mut random = Random(0x1234_5678_9abc_def1);
    let take = |bytes: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
            panic!("`{target}` fails on b\"{}\"", bytes.escape_ascii());
        }
    };
    for seed in seeds {
        take(seed);
        (0..mutants(seeds.len())).for_each(|_| take(&mutate(seed, &mut random)));
    }
    seeds.len() * mutants(seeds.len())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the root of the workspace")
}

#[test]
fn every_entry_takes_what_mutation_makes_of_its_seeds() {
    let entries = entries(root());
    let next = AtomicUsize::new(0);
    // The entries differ widely in length: a thread that is free takes the next one.
    let work = || {
        let mut taken = 0;
        while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
            taken += drive(entry);
        }
        taken
    };
    let taken: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no entry fails")).sum()
    });
    let wanted = entries.iter().map(|entry| entry.seeds.len() * mutants(entry.seeds.len()));
    assert_eq!(taken, wanted.sum::<usize>());
}

/// Where `make fuzz` expects the seeds: one folder for each target. What libFuzzer found in earlier runs
/// stays there.
const CORPUS: &str = "BAILIWICK_FUZZ_CORPUS";

#[test]
fn seeds_are_written_where_libfuzzer_begins() {
    let kept = tempfile::tempdir().expect("a folder");
    let corpus = std::env::var_os(CORPUS).map_or_else(|| kept.path().to_owned(), PathBuf::from);
    for Entry { target, seeds, .. } in entries(root()) {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).expect("a folder for the target");
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed");
        }
        let written = std::fs::read_dir(&folder).expect("the seeds").count();
        assert!(written >= seeds.len() && written > 0, "{target}: {written} seeds");
    }
}

/// Crates that have no entry, and why none is needed.
const WITHOUT: &[(&str, &str)] = &[
    ("bailiwick", "reads files by the compiler and the audit log's reader"),
    ("bailiwick-conformance", "is these tests"),
    ("bailiwick-crds", "has types alone, which the compiler reads"),
    (
        "bailiwick-executor",
        "reads requests by serde into types, and what they ask for by the policy's reader",
    ),
    ("bailiwick-operator", "reads objects that an API server checked, and packs by the compiler"),
    ("bailiwick-sys", "reads messages of its own processes, of one length"),
    ("bailiwick-webhook", "reads reviews by the policy's reader, and images by their own"),
];

/// Every crate of the workspace, as paths name it, and its sources.
fn crates() -> Vec<(String, PathBuf)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--no-deps"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    packages
        .map(|one| (text(&one["name"]), PathBuf::from(text(&one["manifest_path"])).with_file_name("src")))
        .collect()
}

/// Modules of the crates of this workspace that have an entry point: `pub fn fuzz(` with the path of its
/// file.
fn entry_points() -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (name, folder) in crates() {
        let mut folders = vec![(folder, vec![name.replace('-', "_")])];
        while let Some((folder, module)) = folders.pop() {
            for file in std::fs::read_dir(folder).expect("a folder of sources") {
                let path = file.expect("a file").path();
                let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
                let within = [module.clone(), vec![stem.clone()]].concat();
                if path.is_dir() {
                    folders.push((path, within));
                } else if std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\npub fn fuzz(")) {
                    found.insert(if ["lib", "mod"].contains(&&*stem) { module.clone() } else { within });
                }
            }
        }
    }
    found
}

#[test]
fn every_crate_has_an_entry_or_a_reason() {
    let with: BTreeSet<String> =
        entry_points().into_iter().filter_map(|point| point.into_iter().next()).collect();
    let crates: BTreeSet<String> = crates().into_iter().map(|(name, _)| name).collect();
    let without: BTreeSet<String> =
        crates.iter().filter(|name| !with.contains(&name.replace('-', "_"))).cloned().collect();
    let reasons: BTreeSet<String> = WITHOUT.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(without, reasons, "crates without an entry, and those for which `WITHOUT` says why");
}

/// An entry may be re-exported by a module above its own, and each module re-exports one.
#[test]
fn every_entry_point_has_a_target_and_seeds() {
    let mut paths = BTreeSet::new();
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(root().join("fuzz/targets")).expect("the targets") {
        let path = file.expect("a target").path();
        let text = std::fs::read_to_string(&path).expect("a target");
        let (_, rest) = text.split_once("fuzz_target!(|data: &[u8]| ").expect("a target");
        let entry = rest.split_once("(data)").expect("a target").0;
        paths
            .insert(entry.strip_suffix("::fuzz").expect("an entry").split("::").map(str::to_owned).collect());
        names.insert(path.file_stem().expect("a name").to_string_lossy().into_owned());
    }
    let points = entry_points();
    for point in &points {
        let shows = |path: &&Vec<String>| point.starts_with(path);
        let target = paths.iter().filter(shows).max_by_key(|path| path.len()).cloned();
        let target: Vec<String> =
            target.unwrap_or_else(|| panic!("{point:?}: no file in `fuzz/targets` drives it"));
        assert!(paths.remove(&target), "{point:?}: its target drives another entry");
    }
    assert!(paths.is_empty(), "targets without an entry: {paths:?}");
    let seeded: BTreeSet<String> = entries(root()).iter().map(|entry| entry.target.to_owned()).collect();
    assert_eq!(seeded, names, "`fuzz/entries.rs` and `fuzz/targets` differ");
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("the manifest");
    for name in &names {
        assert!(
            manifest.contains(&format!("[[bin]]\nname = \"{name}\"\npath = \"targets/{name}.rs\"\n")),
            "{name}"
        );
    }
}

/// Name and version of the packages of a lock file.
fn locked(path: &str) -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(root().join(path)).expect("a lock file");
    let value = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let lines: Vec<&str> = text.lines().collect();
    lines
        .windows(2)
        .filter_map(|two| Some((value(two[0], "name = ")?, value(two[1], "version = ")?)))
        .collect()
}

/// `fuzz/` is not a member of the workspace, but must drive what the workspace builds.
#[test]
fn what_libfuzzer_drives_has_the_versions_of_the_workspace() {
    let own = ["arbitrary", "bailiwick-fuzz", "libfuzzer-sys"];
    let (fuzz, workspace) = (locked("fuzz/Cargo.lock"), locked("Cargo.lock"));
    assert!(fuzz.len() > 50, "{fuzz:?}");
    let other: Vec<_> =
        fuzz.difference(&workspace).filter(|(name, _)| !own.contains(&name.as_str())).collect();
    assert!(
        other.is_empty(),
        "{other:?}: `cargo update --precise` in `fuzz/`, or begin with the workspace's Cargo.lock"
    );
}

/// A seed that cannot be parsed would start every mutation at the first line of the parser.
#[test]
fn seeds_of_reviews_and_bundles_are_read() {
    let mut read = std::collections::BTreeMap::from([("review", 0), ("bundle", 0)]);
    for Entry { target, seeds, .. } in entries(root()) {
        for seed in seeds {
            read.entry(target).and_modify(|count| *count += 1);
            let shown = || String::from_utf8_lossy(&seed).into_owned();
            match target {
                "review" => drop(
                    bailiwick_policy::admission::AdmissionRequest::parse(&seed)
                        .unwrap_or_else(|error| panic!("{error}: {}", shown())),
                ),
                "bundle" => drop(
                    bailiwick_policy::bundle::load(&seed)
                        .unwrap_or_else(|error| panic!("{error}: {}", shown())),
                ),
                _ => {}
            }
        }
    }
    assert!(read.values().all(|count| *count > 0), "{read:?}");
}
