//! Children of this process that it never learned of. Holders and workers are its children, but their
//! launcher makes them and hands them over; a launcher that is killed between the two leaves orphans. They
//! end by themselves, because their lifelines are closed. But until this process waits for the worker, its
//! holder does not end either (`zap_pid_ns_processes` of Linux), and the group of both stays busy.
//!
//! An orphan is recognized by its name and by the absence of a pidfd for it. Children that other code in this
//! process has started have other names.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use crate::call::process;

/// The names of a launcher (and of what it has just made), a holder and a worker. The kernel keeps 15 bytes
/// of a name. A worker that has become a program has been handed over.
const NAMES: [&str; 3] = ["bailiwick-launc", "bailiwick-hold", "bailiwick-work"];

/// Longest wait. A process that does not end in time is still an orphan when the next launcher is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(1);

/// Waits for the current orphans, after their launcher has ended. A child of another launcher that is handed
/// over meanwhile is not an orphan any more.
pub(crate) fn reap() {
    let deadline = Instant::now() + PATIENCE;
    let mut left = orphans();
    while !left.is_empty() && Instant::now() < deadline {
        left.iter().copied().for_each(process::reap_ended);
        let still = orphans();
        left.retain(|pid| still.contains(pid));
        if !left.is_empty() {
            std::thread::sleep(PAUSE);
        }
    }
}

fn orphans() -> BTreeSet<i32> {
    // In this order: a child that is handed over between the two is known.
    let mut children = children();
    for pid in known() {
        children.remove(&pid);
    }
    children
}

/// Children with one of the names.
fn children() -> BTreeSet<i32> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parse(&stat).is_some_and(|(name, parent)| parent == own && NAMES.contains(&name))
    })
    .collect()
}

/// Name and parent from a line of `proc_pid_stat(5)`. A name may hold anything, parentheses too.
fn parse(stat: &str) -> Option<(&str, u32)> {
    let (before, after) = stat.rsplit_once(") ")?;
    Some((before.split_once('(')?.1, after.split(' ').nth(1)?.parse().ok()?))
}

/// Processes for which this process holds a pidfd (`proc_pid_fdinfo(5)`).
fn known() -> BTreeSet<i32> {
    let entries = fs::read_dir("/proc/self/fdinfo").into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_name_may_look_like_what_follows_it() {
        assert_eq!(parse("12 (sh) S 7 12 0"), Some(("sh", 7)));
        assert_eq!(parse("12 (a) S 1 (b) Z 7 12 0"), Some(("a) S 1 (b", 7)));
        assert_eq!(parse(""), None);
    }
}
