//! Which paths of a sandbox contain which.

pub(crate) use bailiwick_policy::policy::narrower::below;

/// The paths that are within no other one, sorted.
pub(crate) fn outermost(mut paths: Vec<String>) -> Vec<String> {
    paths.sort();
    paths.dedup();
    let all = paths.clone();
    paths.retain(|path| !all.iter().any(|other| other != path && below(path, other)));
    paths
}
