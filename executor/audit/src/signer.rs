//! What the writer's key signs: checkpoints, and the record that hands the log over to the next key.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, VerifyingKey};

use crate::hash::Hash;
use crate::keys::Key;
use crate::note::Checkpoint;
use crate::record::{KeyChange, Kind, Record};
use crate::tip::{Identity, Tip};

/// Signs checkpoints of the records that are durable.
pub(crate) struct Signer {
    pub(crate) key: Key,
    pub(crate) identity: Arc<Identity>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Signer {
    pub(crate) fn sign(&self, size: u64, root: Hash) -> String {
        Checkpoint { origin: self.identity.origin.clone(), size, root }.sign(&self.key.signing)
    }

    /// The body of the record that hands the log over to another key, at the tip.
    pub(crate) fn hand_over(&self, tip: &Tip, next: &VerifyingKey) -> Result<Vec<u8>, serde_json::Error> {
        let (epoch, public) = (self.key.epoch.saturating_add(1), Hash::new(next.to_bytes()));
        let message = KeyChange::message(&self.identity.log, tip.seq, &tip.chain, epoch, &public);
        let signature = STANDARD.encode(self.key.signing.sign(&message).to_bytes());
        let previous = Hash::new(self.key.public().to_bytes());
        let change = KeyChange { epoch, public, previous, signature };
        Record { time: Some(crate::entry::now_ms()), key: Some(change), ..Record::new(Kind::Key) }.body()
    }
}
