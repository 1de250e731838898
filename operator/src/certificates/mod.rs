//! The webhook's certificates: one authority, one leaf, and the bundle of authorities that the API server
//! trusts. Only the operator makes them.
//!
//! ```text
//!  authority at two thirds of its life ─► next authority: bundle = current + next
//!      bundle in every webhook configuration for a while ─► next becomes current, leaf signed by it: bundle = current + previous
//!      previous expires ─► bundle = current
//! ```
//!
//! Guarantees: the leaf in the Secret is at all times covered by the bundle in force. It changes its
//! authority only when the new one has been trusted everywhere for a while or the old one is over, and the old
//! one is trusted until it expires. Private keys of authorities are in a Secret of their own that no webhook mounts. A Secret that
//! is lost or damaged is written again from memory; one that is damaged when the operator starts is replaced
//! by new certificates.
//!
//! Terms. *Bundle*: PEM of all authorities that are trusted now; `caBundle` of the webhook configurations.

mod make;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub use read::{Facts, ReadError};

/// Secret with the authorities and their keys.
pub const AUTHORITY_SECRET: &str = "bailiwick-ca";
/// Secret that the webhook serves from: `tls.crt`, `tls.key`, and `ca.crt` for clients that probe it.
pub const LEAF_SECRET: &str = "bailiwick-webhook-tls";

/// Seconds since 1970.
pub type UnixTime = i64;

/// A certificate and its private key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// How long certificates live, and for which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Life of an authority.
    pub authority: Duration,
    /// Life of a leaf.
    pub leaf: Duration,
    /// How long a new bundle must have been in force everywhere before a leaf relies on it.
    pub settle: Duration,
    /// DNS names and addresses of the webhook.
    pub names: Vec<String>,
}

/// Everything that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// Signs leaves.
    pub current: Pair,
    /// Already trusted, and the next to sign.
    pub next: Option<Pair>,
    /// Certificates of earlier authorities that are still trusted.
    pub previous: Vec<String>,
    /// The certificate that the webhook serves.
    pub leaf: Pair,
}

/// A change, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new authority is trusted from now on.
    Introduced,
    /// The next authority signs from now on, and has signed a leaf.
    Promoted,
    /// A new leaf.
    Renewed,
    /// An expired authority is no longer trusted.
    Dropped,
}

/// Certificates could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate: {0}")]
pub struct MakeError(#[from] rcgen::Error);

impl Certificates {
    /// Makes the first certificates.
    ///
    /// # Errors
    /// A name that no certificate can have, or a failing source of randomness.
    pub fn new(profile: &Profile, now: UnixTime) -> Result<Self, MakeError> {
        let current = make::authority(profile.authority, now)?;
        let leaf = make::leaf(&current, profile, now)?;
        Ok(Self { current, next: None, previous: Vec::new(), leaf })
    }

    /// Takes the next step that is due; `None` if none is. `trusted`: the bundle has been in force everywhere
    /// for [`Profile::settle`].
    ///
    /// # Errors
    /// As for [`Certificates::new`].
    pub fn advance(
        &mut self,
        profile: &Profile,
        now: UnixTime,
        trusted: bool,
    ) -> Result<Option<Step>, MakeError> {
        let before = self.previous.len();
        self.previous.retain(|one| Facts::of(one).is_ok_and(|facts| facts.not_after > now));
        if self.previous.len() < before {
            return Ok(Some(Step::Dropped));
        }
        let due = |certificate: &str, life: Duration| match Facts::of(certificate) {
            Ok(facts) => facts.is_old(now, life),
            Err(_) => true,
        };
        let is_over = |one: &Pair| Facts::of(&one.certificate).is_ok_and(|facts| facts.not_after <= now);
        match &self.next {
            // Nobody can verify a leaf of an authority that is over, so there is nothing to wait for.
            Some(next) if trusted || is_over(&self.current) => {
                self.leaf = make::leaf(next, profile, now)?;
                let next = next.clone();
                self.next = None;
                let last = std::mem::replace(&mut self.current, next);
                self.previous.push(last.certificate);
                return Ok(Some(Step::Promoted));
            }
            None if due(&self.current.certificate, profile.authority) => {
                self.next = Some(make::authority(profile.authority, now)?);
                return Ok(Some(Step::Introduced));
            }
            Some(_) | None => {}
        }
        let leaf_fits = read::fits(&self.leaf, &self.current, &profile.names)
            && Facts::of(&self.leaf.certificate).is_ok_and(|leaf| {
                leaf.not_after - leaf.not_before <= seconds(profile.leaf) + 2 * make::SKEW_S
            });
        if !leaf_fits || self.is_leaf_due(profile.leaf, now) {
            self.leaf = make::leaf(&self.current, profile, now)?;
            return Ok(Some(Step::Renewed));
        }
        Ok(None)
    }

    /// Whether a new leaf is due. One that ends with its authority is as long as a new one would be: at the end of
    /// an authority's life no leaf would ever be new enough.
    fn is_leaf_due(&self, life: Duration, now: UnixTime) -> bool {
        let facts = |certificate: &str| Facts::of(certificate);
        let (Ok(leaf), Ok(authority)) = (facts(&self.leaf.certificate), facts(&self.current.certificate))
        else {
            return true;
        };
        leaf.is_old(now, life) && (now < leaf.not_before || leaf.not_after < authority.not_after)
    }

    /// PEM of all trusted authorities, beginning with the one that signs.
    #[must_use]
    pub fn bundle(&self) -> String {
        let mut all = vec![self.current.certificate.as_str()];
        all.extend(self.next.iter().map(|next| next.certificate.as_str()));
        all.extend(self.previous.iter().map(String::as_str));
        all.iter().map(|pem| format!("{}\n", pem.trim_end())).collect()
    }

    /// When the leaf expires.
    #[must_use]
    pub fn expires(&self) -> Option<UnixTime> {
        Facts::of(&self.leaf.certificate).ok().map(|facts| facts.not_after)
    }

    /// Reads back what [`Certificates::secrets`] wrote; `None` if anything is missing, damaged, expired or
    /// mismatched.
    #[must_use]
    pub fn read(authority: &Value, leaf: &Value, now: UnixTime) -> Option<Self> {
        let text = |secret: &Value, member: &str| {
            let encoded = secret.get(member)?.as_str()?;
            String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
        };
        let pair = |secret: &Value, certificate: &str, key: &str| {
            let pair = Pair { certificate: text(secret, certificate)?, key: text(secret, key)? };
            (read::belongs(&pair) && Facts::of(&pair.certificate).is_ok_and(|facts| facts.not_after > now))
                .then_some(pair)
        };
        let current = pair(authority, "ca.crt", "ca.key")?;
        let next = pair(authority, "next.crt", "next.key");
        let previous = text(authority, "previous.crt").map(|pem| read::split(&pem)).unwrap_or_default();
        // The next step replaces an unusable leaf.
        let leaf = pair(leaf, "tls.crt", "tls.key")
            .unwrap_or_else(|| Pair { certificate: String::new(), key: String::new() });
        Some(Self { current, next, previous, leaf })
    }

    /// The manifests of both Secrets.
    #[must_use]
    pub fn secrets(&self, namespace: &str) -> [Value; 2] {
        let encoded = |text: &str| Value::String(STANDARD.encode(text));
        let mut authority = BTreeMap::from([
            ("ca.crt", encoded(&self.current.certificate)),
            ("ca.key", encoded(&self.current.key)),
        ]);
        if let Some(next) = &self.next {
            authority.insert("next.crt", encoded(&next.certificate));
            authority.insert("next.key", encoded(&next.key));
        }
        if !self.previous.is_empty() {
            authority.insert("previous.crt", encoded(&self.previous.join("\n")));
        }
        let leaf = BTreeMap::from([
            ("tls.crt", encoded(&self.leaf.certificate)),
            ("tls.key", encoded(&self.leaf.key)),
            ("ca.crt", encoded(&self.bundle())),
        ]);
        let secret = |name: &str, kind: &str, data: BTreeMap<&str, Value>| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": kind,
                "metadata": {
                    "name": name, "namespace": namespace,
                    "labels": { "app.kubernetes.io/managed-by": "bailiwick" },
                },
                "data": data,
            })
        };
        [secret(AUTHORITY_SECRET, "Opaque", authority), secret(LEAF_SECRET, "kubernetes.io/tls", leaf)]
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
