//! What a caller's input came to: the part that was delivered to the command, for the record of its end.
//!
//! Delivered is what was written into the pipe that the command reads. What the command left in the pipe unread, at
//! most the pipe's 64 KiB, counts as delivered; what it never made room for does not.

use bailiwick_policy::tool::MAX_ARGUMENTS_BYTES;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How many bytes are kept, from the first on: as many as a call's arguments may have.
pub(crate) const MAX_KEPT_BYTES: usize = MAX_ARGUMENTS_BYTES;

/// Input that was delivered to a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered {
    /// How many bytes, all of them.
    bytes: u64,
    /// Over all of them.
    hash: Sha256,
    /// The first ones.
    kept: Vec<u8>,
}

impl Delivered {
    /// Adds bytes that were delivered.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.hash.update(bytes);
        let room = MAX_KEPT_BYTES.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Adds to a usage how many bytes they are, which is no secret.
    pub(crate) fn count_in(&self, usage: &mut Value) {
        if let Some(members) = usage.as_object_mut() {
            members.insert("stdinBytes".to_owned(), json!(self.bytes));
        }
    }

    /// What the log keeps of it. The hash has no salt and is as secret as the bytes, since a short text can be
    /// guessed by its hash.
    pub(crate) fn recorded(self) -> Value {
        json!({ "stdin": {
            "bytes": self.bytes,
            "sha256": bailiwick_audit::hex(&self.hash.finalize()),
            "data": STANDARD.encode(&self.kept),
        } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_over_all_that_was_delivered_and_the_copy_is_bounded() {
        let mut delivered = Delivered::default();
        let part = vec![b'x'; MAX_KEPT_BYTES - 1];
        for part in [part.as_slice(), b"yz"] {
            delivered.add(part);
        }
        let mut usage = json!({ "wallUs": 1 });
        delivered.count_in(&mut usage);
        assert_eq!(usage, json!({ "wallUs": 1, "stdinBytes": MAX_KEPT_BYTES + 1 }));
        let recorded = delivered.recorded();
        let all = [part.as_slice(), b"yz"].concat();
        assert_eq!(recorded["stdin"]["bytes"], all.len());
        assert_eq!(recorded["stdin"]["sha256"], bailiwick_audit::hex(&Sha256::digest(&all)));
        let kept = STANDARD.decode(recorded["stdin"]["data"].as_str().unwrap()).unwrap();
        assert!(kept == all[..MAX_KEPT_BYTES], "the first {MAX_KEPT_BYTES} bytes");
    }

    #[test]
    fn input_that_never_came_is_told_as_such() {
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let recorded = Delivered::default().recorded();
        assert_eq!(recorded, json!({ "stdin": { "bytes": 0, "sha256": hash, "data": "" } }));
    }
}
