//! What is known about images: facts that a caller fetched and verified, passed to the decision as an
//! argument.
//!
//! Not a registry client, and it does no cryptography: a decision reads no clock and opens no connection.
//! Along with its answer, a decision returns the facts that it lacks ([`Demand`]). The caller fetches them
//! and asks for the decision again; an answer with open demands is never a permission.
//!
//! ```text
//! review(request, facts) ► Decision + demands ─┐
//!          ▲                                   ▼
//!          └── facts ◄── registry, signatures (bailiwick-images)
//! ```
//!
//! Terms. *Digest*: of the bytes of an image's manifest or index, hashed by the fetcher. *Signature*:
//! verified over such a digest, with its signer; a signature that does not verify is not a fact. *Refusal*:
//! why something could not be learned, in words for the author of the manifest.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::images::Reference;

/// A fact that a decision lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    /// The image.
    pub reference: Reference,
    /// What about it.
    pub wants: Wants,
}

/// What must be known about an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wants {
    /// The digest that its tag points to at this moment.
    Digest,
    /// The signatures over its digest, as far as these signers can have made them.
    Signatures(Signers),
}

/// Whose signatures are requested.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signers {
    /// Public keys: DER of SubjectPublicKeyInfo, base64.
    pub keys: BTreeSet<String>,
    /// Roots of trust whose certificates vouch for identities.
    pub trust_roots: BTreeSet<Arc<TrustRoot>>,
}

impl Signers {
    fn add(&mut self, more: &Self) {
        self.keys.extend(more.keys.iter().cloned());
        self.trust_roots.extend(more.trust_roots.iter().cloned());
    }
}

/// A Sigstore trusted root (`application/vnd.dev.sigstore.trustedroot+json`), pinned in the policy.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrustRoot {
    /// SHA-256 of the text, hex.
    pub digest: String,
    /// The text, JSON.
    pub json: String,
}

impl TrustRoot {
    /// From its text.
    #[must_use]
    pub fn new(json: &str) -> Self {
        let digest = Sha256::digest(json.as_bytes());
        Self { digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(), json: json.to_owned() }
    }
}

/// A verified signature over an image's digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// Who made it.
    pub signer: Signer,
    /// When, in seconds since 1970, by every clock that was verified (timestamp authorities, logs). Empty for
    /// a bare key.
    pub times_s: Vec<i64>,
}

/// Who made a signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signer {
    /// The holder of this key: one of the demanded [`Signers::keys`].
    Key(String),
    /// A holder of this subject, attested by the issuer in a certificate under the trust root of this digest.
    Identity {
        /// [`TrustRoot::digest`].
        trust_root: String,
        /// The OIDC issuer.
        issuer: String,
        /// An address or URI.
        subject: String,
    },
}

/// What was found out about signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures {
    /// Verified.
    pub verified: Vec<Signature>,
    /// What else was attached, and why it does not count; for the answer, never for the decision.
    pub passed_over: Vec<String>,
    /// Why there may be more than was found; missing signatures are then unknown, not absent.
    pub incomplete: Option<Refusal>,
    /// Whether they were found some time ago, so that more may have been attached since. If one is missing, they
    /// are asked for again.
    pub remembered: bool,
}

/// Why something could not be learned.
pub type Refusal = String;

/// What is known about images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// By `name:tag`.
    digests: BTreeMap<String, Result<String, Refusal>>,
    /// By `name@digest`.
    signatures: BTreeMap<String, Known>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// Whose signatures were looked for.
    asked: Signers,
    found: Result<Signatures, Refusal>,
}

impl ImageFacts {
    /// Records which digest a tag points to, or why that is not known.
    pub fn learn_digest(&mut self, reference: &Reference, digest: Result<String, Refusal>) {
        if let Some(key) = tagged(reference) {
            self.digests.insert(key, digest);
        }
    }

    /// The digest that a tag points to, if it was looked up.
    #[must_use]
    pub fn digest(&self, reference: &Reference) -> Option<Result<&str, &str>> {
        let known = self.digests.get(&tagged(reference)?)?;
        Some(known.as_deref().map_err(String::as_str))
    }

    /// The signatures over a digest, if they were looked for.
    #[must_use]
    pub fn signatures(&self, reference: &Reference) -> Option<Result<&Signatures, &str>> {
        let known = self.signatures.get(&pinned(reference)?)?;
        Some(known.found.as_ref().map_err(String::as_str))
    }

    /// Records the signatures over a digest, or why they are not known.
    pub fn learn_signatures(
        &mut self,
        reference: &Reference,
        asked: Signers,
        found: Result<Signatures, Refusal>,
    ) {
        if let Some(key) = pinned(reference) {
            self.signatures.insert(key, Known { asked, found });
        }
    }
}

fn tagged(reference: &Reference) -> Option<String> {
    Some(format!("{}:{}", reference.name, reference.tag.as_deref()?))
}

fn pinned(reference: &Reference) -> Option<String> {
    Some(format!("{}@{}", reference.name, reference.digest.as_deref()?))
}

/// The reason given for what was never looked up.
const NOT_FETCHED: &str = "nothing was fetched about it";
/// The reason given for what was looked up too long ago.
const NOT_RENEWED: &str = "they were read some time ago, and not again";

/// What is known, and what one decision asked for without getting it.
#[derive(Debug)]
pub(super) struct Inquiry<'f> {
    facts: &'f ImageFacts,
    /// Tags whose digest is wanted.
    digests: RefCell<BTreeSet<Reference>>,
    /// Whose signatures are wanted, by image: the requests of all layers for one image are joined, so that it
    /// is fetched once.
    signatures: RefCell<BTreeMap<Reference, Signers>>,
}

impl<'f> Inquiry<'f> {
    pub(super) const fn new(facts: &'f ImageFacts) -> Self {
        Self { facts, digests: RefCell::new(BTreeSet::new()), signatures: RefCell::new(BTreeMap::new()) }
    }

    /// What was asked for and is not known, sorted.
    pub(super) fn wanted(&self) -> Vec<Demand> {
        let digests = self.digests.borrow();
        let digests =
            digests.iter().map(|reference| Demand { reference: reference.clone(), wants: Wants::Digest });
        let signatures = self.signatures.borrow();
        let signatures = signatures.iter().map(|(reference, signers)| Demand {
            reference: reference.clone(),
            wants: Wants::Signatures(signers.clone()),
        });
        digests.chain(signatures).collect()
    }

    /// The digest that a tag points to.
    pub(super) fn digest(&self, reference: &Reference) -> Result<&'f str, Refusal> {
        match tagged(reference).and_then(|key| self.facts.digests.get(&key)) {
            Some(known) => known.as_deref().map_err(Clone::clone),
            None => {
                self.digests.borrow_mut().insert(reference.clone());
                Err(NOT_FETCHED.to_owned())
            }
        }
    }

    /// The signatures over a digest, as far as these signers can have made them.
    pub(super) fn signatures(
        &self,
        reference: &Reference,
        signers: &Signers,
    ) -> Result<&'f Signatures, Refusal> {
        let known = pinned(reference).and_then(|key| self.facts.signatures.get(&key));
        let all = |known: &Known| {
            signers.keys.is_subset(&known.asked.keys)
                && signers.trust_roots.is_subset(&known.asked.trust_roots)
        };
        match known {
            Some(known) if all(known) => known.found.as_ref().map_err(Clone::clone),
            _ => {
                let mut wanted = self.signatures.borrow_mut();
                wanted.entry(reference.clone()).or_default().add(signers);
                Err(NOT_FETCHED.to_owned())
            }
        }
    }

    /// Asks again for known signatures, for all signers that they were asked for before: what is learnt takes the
    /// place of what is known.
    pub(super) fn signatures_anew(&self, reference: &Reference) -> Refusal {
        if let Some(known) = pinned(reference).and_then(|key| self.facts.signatures.get(&key)) {
            let mut wanted = self.signatures.borrow_mut();
            wanted.entry(reference.clone()).or_default().add(&known.asked);
        }
        NOT_RENEWED.to_owned()
    }
}
