//! Names of sessions and calls, and the hash that identifies a repeated request.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// A name that cannot be guessed, because knowing a session's name suffices to call in it: 128 random bits.
#[must_use]
pub(crate) fn fresh(prefix: &str) -> String {
    let mut bytes = [0_u8; 16];
    let mut text = format!("{prefix}-");
    if getrandom::fill(&mut bytes).is_err() {
        // The kernel's generator does not fail once it was seeded, which happened before any program ran; a
        // guessable name is never made.
        std::process::abort();
    }
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Identifies a request: tool, arguments as they were sent, approval.
#[must_use]
pub(crate) fn request(tool: &str, arguments: &str, approval: Option<&str>) -> String {
    let mut hash = Sha256::new();
    for part in [tool, arguments, approval.unwrap_or_default()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    bailiwick_audit::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_requests_are_told_apart() {
        assert_ne!(fresh("s"), fresh("s"));
        assert_eq!(fresh("s").len(), 34);
        assert_eq!(request("a", "{}", None), request("a", "{}", None));
        assert_ne!(request("a", "{}", None), request("a{", "}", None));
        assert_ne!(request("a", "{}", None), request("a", "{}", Some("x")));
    }
}
