//! Answers demands: from the cache, from a flight in progress, or from the registry.
//!
//! The cache holds verified signatures, never verdicts and never what a tag points to: each decision resolves
//! its tags again and judges the facts again. The key is the repository, the digest and the signers that were
//! looked for: keys and trust roots, the parts of a policy that affect the evidence. A changed policy uses
//! another key. Whether what is cached suffices, only the decision knows: if not, it asks again, and is answered
//! with what is there now. Terms. *Flight*: one fetch, shared by all callers that need the same answer while it
//! runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_policy::admission::evidence::{Demand, ImageFacts, Signatures, Signers, Wants};
use bailiwick_policy::admission::images::Reference;
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::cache::Cache;
use crate::evidence::{Attached, Verify, attached, brief};
use crate::limits::{BOARDINGS, CACHED, DEMANDS, IMAGE_TIME, SIGNED_TIME, UNSIGNED_TIME};
use crate::reader::{Allowance, ReadError, Reader, digest_of};
use crate::settings::Settings;
use crate::verify::{TrustRoots, verify};

/// Answers demands about images.
pub struct Checker {
    reader: Arc<Reader>,
    trust_roots: Arc<TrustRoots>,
    kept: Mutex<Cache<Key, Kept>>,
    flights: Mutex<BTreeMap<Key, Flight>>,
    hits: AtomicU64,
    fetched: AtomicU64,
}

/// What a checker has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Requests to registries, not counting those for tokens.
    pub requests: u64,
    /// Images whose signatures were fetched and verified.
    pub fetched: u64,
    /// Images whose signatures were in the cache.
    pub hits: u64,
    /// Images whose signatures are in the cache.
    pub kept: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: String,
    digest: String,
    /// SHA-256 over [`Signers`].
    asked: [u8; 32],
}

/// Cached signatures.
#[derive(Clone)]
struct Kept {
    found: Arc<Signatures>,
    since: std::time::Instant,
}

/// Which cached signatures are an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recall {
    /// All.
    Any,
    /// Those that were found within [`UNSIGNED_TIME`].
    Recent,
}

type Flight = Arc<OnceCell<Result<Arc<Signatures>, Failed>>>;

/// Why a flight ended without an answer, for all that wait for it.
#[derive(Clone)]
struct Failed {
    reason: String,
    /// The leader ran out of time; a caller with more time may try again.
    late: bool,
}

impl Checker {
    /// A checker with an empty cache.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            reader: Arc::new(Reader::new(settings)),
            trust_roots: Arc::default(),
            kept: Mutex::new(Cache::new(CACHED)),
            flights: Mutex::default(),
            hits: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
        }
    }

    /// What the checker has done so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            requests: self.reader.requests(),
            fetched: self.fetched.load(Relaxed),
            hits: self.hits.load(Relaxed),
            kept: locked(&self.kept).len(),
        }
    }

    /// Adds to `facts` what the demands need, or why it could not be obtained. Returns before the deadline.
    pub async fn answer(
        self: &Arc<Self>,
        demands: Vec<Demand>,
        deadline: std::time::Instant,
        facts: &mut ImageFacts,
    ) {
        let deadline = Instant::from_std(deadline).min(Instant::now() + IMAGE_TIME);
        let mut under_way = JoinSet::new();
        for (at, demand) in demands.into_iter().enumerate() {
            if at >= DEMANDS {
                let reason = format!("more than {DEMANDS} images in one review are not looked at");
                refuse(demand, reason, facts);
                continue;
            }
            let recall = match facts.signatures(&demand.reference) {
                Some(Ok(known)) if known.remembered => Recall::Recent,
                _ => Recall::Any,
            };
            // A cached answer needs no task.
            if let Wants::Signatures(signers) = &demand.wants
                && let Some(known) =
                    Key::of(&demand.reference, signers).and_then(|key| self.known(&key, recall))
            {
                facts.learn_signatures(&demand.reference, signers.clone(), Ok(known));
                continue;
            }
            let checker = Arc::clone(self);
            under_way.spawn(async move {
                let found = checker.one(&demand, recall, deadline).await;
                (demand, found)
            });
        }
        while let Some(joined) = under_way.join_next().await {
            // A task that panicked leaves its demand open, which denies.
            let Ok((demand, found)) = joined else { continue };
            match (demand.wants, found) {
                (Wants::Digest, Ok(Found::Digest(digest))) => {
                    facts.learn_digest(&demand.reference, Ok(digest))
                }
                (Wants::Signatures(signers), Ok(Found::Signatures(found))) => {
                    facts.learn_signatures(&demand.reference, signers, Ok(found));
                }
                (wants, found) => {
                    let reason = found.err().unwrap_or_default();
                    not_found(Demand { reference: demand.reference, wants }, reason, facts);
                }
            }
        }
    }

    async fn one(&self, demand: &Demand, recall: Recall, deadline: Instant) -> Result<Found, String> {
        match &demand.wants {
            Wants::Digest => self.digest(&demand.reference, deadline).await.map(Found::Digest),
            Wants::Signatures(signers) => {
                self.signatures(&demand.reference, signers, recall, deadline).await.map(Found::Signatures)
            }
        }
    }

    /// The digest that a tag points to now, computed from the received bytes, whatever the registry claims.
    async fn digest(&self, reference: &Reference, deadline: Instant) -> Result<String, String> {
        let words = |error: ReadError| brief(&error.to_string());
        let at = self.reader.repository(reference).map_err(words)?;
        let tag = reference.tag.as_deref().unwrap_or("latest");
        let bytes = self.reader.tagged(&at, tag, Allowance { deadline }).await.map_err(words)?;
        Ok(digest_of(&bytes))
    }

    fn known(&self, key: &Key, recall: Recall) -> Option<Signatures> {
        let now = std::time::Instant::now();
        let Kept { found, since } = locked(&self.kept).get(key, now)?;
        let remembered = now.duration_since(since) >= UNSIGNED_TIME;
        if remembered && recall == Recall::Recent {
            return None;
        }
        self.hits.fetch_add(1, Relaxed);
        Some(Signatures { remembered, ..Signatures::clone(&found) })
    }

    async fn signatures(
        &self,
        reference: &Reference,
        signers: &Signers,
        recall: Recall,
        deadline: Instant,
    ) -> Result<Signatures, String> {
        let key = Key::of(reference, signers).ok_or_else(|| "it has no digest".to_owned())?;
        let mut reason = "it was not fetched in time".to_owned();
        for _ in 0..BOARDINGS {
            if let Some(known) = self.known(&key, recall) {
                return Ok(known);
            }
            let boarding = Boarding::new(self, &key);
            let flying = boarding.flight.get_or_init(|| self.fetch(reference, signers, &key, deadline));
            let Ok(landed) = timeout_at(deadline, flying).await else {
                return Err(reason);
            };
            match landed {
                Ok(found) => return Ok(Signatures::clone(found)),
                Err(failed) if failed.late && Instant::now() < deadline => reason.clone_from(&failed.reason),
                Err(failed) => return Err(failed.reason.clone()),
            }
        }
        Err(reason)
    }

    async fn fetch(
        &self,
        reference: &Reference,
        signers: &Signers,
        key: &Key,
        deadline: Instant,
    ) -> Result<Arc<Signatures>, Failed> {
        self.fetched.fetch_add(1, Relaxed);
        let verify: Arc<Verify> = {
            let (digest, signers) = (key.digest.clone(), signers.clone());
            let trust_roots = Arc::clone(&self.trust_roots);
            Arc::new(move |bundle| {
                verify(bundle, &digest, &signers, &trust_roots).map_err(|unverified| unverified.to_string())
            })
        };
        let attached = attached(&self.reader, reference, Allowance { deadline }, &verify).await;
        let Attached { verified, passed_over, incomplete } = attached.map_err(|error| Failed {
            late: matches!(error, ReadError::TimedOut { .. } | ReadError::Busy { .. }),
            reason: brief(&error.to_string()),
        })?;
        let found = Arc::new(Signatures { verified, passed_over, incomplete, remembered: false });
        if found.incomplete.is_none() {
            let time: Duration = if found.verified.is_empty() { UNSIGNED_TIME } else { SIGNED_TIME };
            let now = std::time::Instant::now();
            locked(&self.kept).put(key.clone(), Kept { found: Arc::clone(&found), since: now }, now + time);
        }
        Ok(found)
    }
}

enum Found {
    Digest(String),
    Signatures(Signatures),
}

/// What could not be fetched. Signatures that are known already stay: they still verify, and another rule may be
/// satisfied by them; that others may be there is no more than what an incomplete answer says.
fn not_found(demand: Demand, reason: String, facts: &mut ImageFacts) {
    let known = match facts.signatures(&demand.reference) {
        Some(Ok(known)) if known.remembered => known.clone(),
        _ => return refuse(demand, reason, facts),
    };
    if let Wants::Signatures(signers) = demand.wants {
        let known = Signatures { remembered: false, incomplete: Some(reason), ..known };
        facts.learn_signatures(&demand.reference, signers, Ok(known));
    }
}

fn refuse(demand: Demand, reason: String, facts: &mut ImageFacts) {
    match demand.wants {
        Wants::Digest => facts.learn_digest(&demand.reference, Err(reason)),
        Wants::Signatures(signers) => facts.learn_signatures(&demand.reference, signers, Err(reason)),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Key {
    /// `None` for a reference without a digest, for which nothing can be cached.
    fn of(reference: &Reference, signers: &Signers) -> Option<Self> {
        let mut hash = Sha256::new();
        for key in &signers.keys {
            hash.update(b"key\0");
            hash.update(key.as_bytes());
            hash.update(b"\0");
        }
        for root in &signers.trust_roots {
            hash.update(b"root\0");
            hash.update(root.digest.as_bytes());
            hash.update(b"\0");
        }
        let digest = reference.digest.clone()?;
        Some(Self { name: reference.name.clone(), digest, asked: hash.finalize().into() })
    }
}

/// A place on a flight. The last to leave, or the first to leave after it has landed, takes it off the list:
/// a flight whose waiters all gave up must not stay, and a failed one must not be joined.
struct Boarding<'c> {
    checker: &'c Checker,
    key: &'c Key,
    flight: Flight,
}

impl<'c> Boarding<'c> {
    fn new(checker: &'c Checker, key: &'c Key) -> Self {
        let flight = Arc::clone(locked(&checker.flights).entry(key.clone()).or_default());
        Self { checker, key, flight }
    }
}

impl Drop for Boarding<'_> {
    fn drop(&mut self) {
        let mut flights = locked(&self.checker.flights);
        let listed = flights.get(self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight));
        // Two references: the list's and this one.
        if listed && (self.flight.initialized() || Arc::strong_count(&self.flight) <= 2) {
            flights.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds to the facts what is known of an image's signatures.
    async fn asked(checker: &Arc<Checker>, reference: &Reference, facts: &mut ImageFacts) {
        let demand = Demand { reference: reference.clone(), wants: Wants::Signatures(Signers::default()) };
        let deadline = std::time::Instant::now() + IMAGE_TIME;
        checker.answer(vec![demand], deadline, facts).await;
    }

    #[tokio::test]
    async fn what_is_remembered_is_fetched_again_for_a_review_that_it_does_not_suffice() {
        // Without settings, no address of this machine is asked for anything.
        let image = format!("127.0.0.1:9/a/b@{}", digest_of(b"x"));
        let reference = Reference::parse(&image).expect("a reference");
        let checker = Arc::new(Checker::new(Settings::default()));
        let now = std::time::Instant::now();
        for (age, is_remembered) in [(Duration::ZERO, false), (UNSIGNED_TIME, true)] {
            let since = now.checked_sub(age).expect("a machine that runs for some seconds");
            let key = Key::of(&reference, &Signers::default()).expect("a digest");
            let kept = Kept { found: Arc::default(), since };
            locked(&checker.kept).put(key, kept, now + SIGNED_TIME);
            let mut facts = ImageFacts::default();
            asked(&checker, &reference, &mut facts).await;
            let found = facts.signatures(&reference).expect("an answer").expect("from the cache");
            assert_eq!(found.remembered, is_remembered, "{age:?}");
            asked(&checker, &reference, &mut facts).await;
            // What was known stays, beside the reason why no more is.
            let again = facts.signatures(&reference).expect("an answer").expect("what was known");
            assert!(!again.remembered && again.incomplete.is_some() == is_remembered, "{age:?}: {again:?}");
        }
        assert_eq!(checker.figures().fetched, 1);
    }
}
