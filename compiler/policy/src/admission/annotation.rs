//! Names of audit annotations: names that the API server accepts, whatever names a pack gives.

use crate::bundle::digest;

/// The most characters of a name. The API server drops an annotation whose name is longer.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set>
const MAX_NAME: usize = 63;
/// How much of a hash replaces what is cut off.
const HASH: usize = 10;

/// A name made of others, of at most 63 characters: a longer name ends in a hash of the whole, so that
/// different names stay different.
#[must_use]
pub fn annotation_name(whole: &str) -> String {
    if whole.len() <= MAX_NAME {
        return whole.to_owned();
    }
    let hash: String = digest(whole.as_bytes()).chars().take(HASH).collect();
    let kept: String = whole.chars().take(MAX_NAME - 1 - HASH).collect();
    format!("{kept}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::annotation_name;

    #[test]
    fn a_long_name_keeps_its_start_and_stays_its_own() {
        assert_eq!(annotation_name("rule.key"), "rule.key");
        let [one, other] =
            ["x", "y"].map(|end| annotation_name(&format!("{}.{}{end}", "r".repeat(63), "k".repeat(62))));
        assert_eq!(one.len(), 63);
        assert!(one.starts_with(&"r".repeat(52)));
        assert_ne!(one, other);
    }
}
