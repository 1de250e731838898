//! What may take anything away from an audit log: each place is known, with what it takes. A pack says how long
//! records are kept at least (`spec.audit.retention`), and the answer is that nothing removes one.

use crate::documents::read;
use crate::source_files;

/// Calls that take a file or a part of it away.
const TAKING: &[&str] = &["remove_file(", "remove_dir", "set_len(", ".truncate(true)", "fs::write("];

/// Where they stand, and how often; none of them holds a record.
const KNOWN: &[(&str, usize, &str)] = &[
    (
        "commit.rs",
        2,
        "a segment that was made ahead and holds zeros, and one for a group that failed, of which nothing is acknowledged",
    ),
    ("dir.rs", 1, "a new version of a small file, before it takes the old one's name"),
    ("disclosures.rs", 3, "openings of a group that was not recorded; once in what only tests call"),
    ("keys.rs", 1, "private keys, once the log has ended"),
    (
        "open.rs",
        2,
        "segments that no course leads to, and what is behind the last record once it is kept elsewhere",
    ),
    ("segment.rs", 2, "a segment that could not be made, and zeros behind the last record"),
];

#[test]
fn nothing_removes_a_record() {
    let files = source_files().into_iter().filter(|path| path.starts_with("executor/audit/src/"));
    let mut found = Vec::new();
    for path in files
        .filter(|path| path.ends_with(".rs") && !path.ends_with("/tests.rs") && !path.contains("/tests/"))
    {
        let text = read(&path);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let count: usize = TAKING.iter().map(|call| code.matches(call).count()).sum();
        if count > 0 {
            found.push((path.trim_start_matches("executor/audit/src/").to_owned(), count));
        }
    }
    let known: Vec<(String, usize)> =
        KNOWN.iter().map(|(file, count, _)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, known, "say in this list what is taken away, and that it is no record");
}
