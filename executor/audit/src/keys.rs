//! The private key on disk, and its rotation each time the log is opened.
//!
//! ```text
//! keys/next written ► `key` record, signed by keys/current, durable ► keys/next renamed over keys/current
//! ```
//! After a crash at any point, one of the two files holds the key that the log says is in force. The rename
//! deletes the old key, so an attacker who copies the disk later cannot sign earlier records. A process that
//! runs with the writer's uid holds the key in force.

use std::io;

use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::dir::{self, Dir};
use crate::field::random;
use crate::hash::Hash;

/// Names of the two files.
pub(crate) const CURRENT: &str = "current";
pub(crate) const NEXT: &str = "next";

/// A key file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    secret: Hash,
    epoch: u64,
    previous: Option<Hash>,
}

/// A private key, and which key it follows.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) signing: SigningKey,
    /// The epoch in which it signs.
    pub(crate) epoch: u64,
    /// The key that hands over to it.
    pub(crate) previous: Option<VerifyingKey>,
}

impl Key {
    /// A fresh key.
    pub(crate) fn generate(epoch: u64, previous: Option<VerifyingKey>) -> io::Result<Self> {
        let secret = random().map_err(io::Error::other)?;
        Ok(Self { signing: SigningKey::from_bytes(&secret), epoch, previous })
    }

    /// Its public half.
    pub(crate) fn public(&self) -> VerifyingKey {
        self.signing.verifying_key()
    }

    /// Reads a key file; `None` if it is not there or holds no key.
    pub(crate) fn read(dir: &Dir, name: &str) -> io::Result<Option<Self>> {
        let bytes = match dir::read_small(&dir.key(name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(file) = serde_json::from_slice::<KeyFile>(&bytes) else { return Ok(None) };
        let previous = file.previous.and_then(|key| VerifyingKey::from_bytes(key.as_bytes()).ok());
        Ok(Some(Self {
            signing: SigningKey::from_bytes(file.secret.as_bytes()),
            epoch: file.epoch,
            previous,
        }))
    }

    /// Writes the key file durably.
    pub(crate) fn write(&self, dir: &Dir, name: &str) -> io::Result<()> {
        let file = KeyFile {
            secret: Hash::new(self.signing.to_bytes()),
            epoch: self.epoch,
            previous: self.previous.map(|key| Hash::new(key.to_bytes())),
        };
        dir::write_whole(&dir.key(name), &serde_json::to_vec(&file)?)
    }
}

/// Makes `keys/next` the current key, which deletes the one before.
pub(crate) fn install(dir: &Dir) -> io::Result<()> {
    dir::rename(&dir.key(NEXT), &dir.key(CURRENT))
}

/// Deletes the private keys of a log that has ended.
pub(crate) fn destroy(dir: &Dir) -> io::Result<()> {
    for name in [NEXT, CURRENT] {
        match std::fs::remove_file(dir.key(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    dir::sync_dir(dir.key(NEXT).parent().unwrap_or(&dir.key(NEXT)))
}
