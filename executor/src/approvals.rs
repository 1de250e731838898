//! Open questions and the signatures collected for them.
//!
//! A signature is verified here and recorded before it counts. When the call is repeated, the policy decides
//! whether the signatures suffice, and whether the call is still the one that was asked about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bailiwick_policy::tool::{ApprovalRequest, VerifiedApproval};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};

use crate::calls::weight;
use crate::refusal::Refusal;
use crate::wire::{ApprovalGroup, ApprovalSubmission, OpenQuestion};

/// Most questions at one time; the policy bounds those of one session.
const MAX_QUESTIONS: usize = 4096;

/// Most bytes of what all questions bind, as JSON: each shows its call's arguments, which may be as large as
/// a request.
const MAX_QUESTION_BYTES: usize = 64 << 20;

/// Most bytes that all of that takes in memory: a number in an array takes many times its text.
const MAX_QUESTION_MEMORY: usize = 128 << 20;

/// Most bytes of a question besides what it binds: ids, groups, and the keys that signed.
const QUESTION_FRAME_BYTES: usize = 8 << 10;

/// Longest list of all open questions: an approver must be able to read it, whatever agents ask for.
pub(crate) const MAX_LIST_BYTES: usize = MAX_QUESTION_BYTES + MAX_QUESTIONS * QUESTION_FRAME_BYTES;

/// A question that waits for approvers.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub request: ApprovalRequest,
    /// The session that asks.
    pub session: String,
    /// The attempt that asked.
    pub call: String,
    /// Everything that the call hash binds.
    pub binds: Value,
    /// Keys that signed, in hex, with their ids.
    signed: BTreeMap<String, String>,
    /// Length of `binds` as JSON.
    size: usize,
    /// What `binds` takes in memory.
    weight: usize,
}

impl Question {
    /// A question that has no signature yet.
    #[must_use]
    pub fn new(request: ApprovalRequest, session: String, call: String, binds: Value) -> Self {
        let (size, weight) = (binds.to_string().len(), weight(&binds));
        Self { request, session, call, binds, signed: BTreeMap::new(), size, weight }
    }

    /// The question as approvers see it.
    #[must_use]
    pub fn view(&self) -> OpenQuestion {
        OpenQuestion {
            id: self.request.id.clone(),
            call_hash: self.request.call_hash.clone(),
            expires_ms: self.request.expires_ms,
            groups: groups(&self.request),
            approved: self.signed.values().cloned().collect(),
            binds: self.binds.clone(),
        }
    }

    /// Verifies a signature; returns the key in hex.
    fn verify(&self, submission: &ApprovalSubmission) -> Result<String, Refusal> {
        let bad = |why: &str| Refusal::BadApproval(why.to_owned());
        let bytes = STANDARD.decode(&submission.signature).map_err(|_| bad("the signature is not base64"))?;
        let signature =
            Signature::from_slice(&bytes).map_err(|_| bad("an Ed25519 signature has 64 bytes"))?;
        let keys = self.request.requirements.iter().flat_map(|requirement| &requirement.keys);
        let named: BTreeSet<&str> =
            keys.filter(|key| key.id == submission.key).map(|key| key.ed25519.as_str()).collect();
        if named.is_empty() {
            let key = submission.key.escape_debug();
            return Err(Refusal::BadApproval(format!(
                "`{key}` is not the key of somebody who may approve this call; whoever takes part in it may not"
            )));
        }
        let message = self.request.message();
        let valid = |hex: &&&str| {
            let key =
                bailiwick_audit::unhex::<32>(hex).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
            key.is_some_and(|key| key.verify_strict(&message, &signature).is_ok())
        };
        let signer = named.iter().find(valid);
        signer
            .map(|hex| (*hex).to_owned())
            .ok_or_else(|| bad("the signature is not one of this key over this question"))
    }
}

/// The groups of a question.
#[must_use]
pub fn groups(request: &ApprovalRequest) -> Vec<ApprovalGroup> {
    let group = |requirement: &bailiwick_policy::tool::Requirement| ApprovalGroup {
        name: format!("{}/{}", requirement.pack, requirement.group),
        quorum: requirement.quorum,
    };
    request.requirements.iter().map(group).collect()
}

/// All open questions, by id.
#[derive(Debug, Default)]
pub struct Questions {
    by_id: Mutex<BTreeMap<String, Question>>,
}

impl Questions {
    /// Adds a question.
    ///
    /// # Errors
    /// Too many are open, or they show too much together.
    pub fn add(&self, question: Question) -> Result<(), Refusal> {
        let mut by_id = self.lock();
        if by_id.len() >= MAX_QUESTIONS {
            return Err(Refusal::Busy(format!("limit of {MAX_QUESTIONS} open questions reached")));
        }
        let held: usize = by_id.values().map(|question| question.size).sum();
        let weight: usize = by_id.values().map(|question| question.weight).sum();
        if held.saturating_add(question.size) > MAX_QUESTION_BYTES
            || weight.saturating_add(question.weight) > MAX_QUESTION_MEMORY
        {
            return Err(Refusal::Busy(
                "the open questions have reached the memory limit; answer some, or wait until they lapse"
                    .to_owned(),
            ));
        }
        by_id.insert(question.request.id.clone(), question);
        Ok(())
    }

    /// The open questions.
    #[must_use]
    pub fn list(&self, now_ms: u64) -> Vec<OpenQuestion> {
        self.lock()
            .values()
            .filter(|question| question.request.expires_ms > now_ms)
            .map(Question::view)
            .collect()
    }

    /// The call that a question of a session is about, even when the question has lapsed: the decision
    /// reports that.
    ///
    /// # Errors
    /// There is no such question.
    pub fn call_of(&self, session: &str, id: &str) -> Result<String, Refusal> {
        let by_id = self.lock();
        let question = by_id.get(id).filter(|question| question.session == session);
        question.map(|question| question.call.clone()).ok_or(Refusal::UnknownApproval)
    }

    /// One question.
    ///
    /// # Errors
    /// It is not open.
    pub fn get(&self, id: &str, now_ms: u64) -> Result<Question, Refusal> {
        let by_id = self.lock();
        let question = by_id.get(id).filter(|question| question.request.expires_ms > now_ms);
        question.cloned().ok_or(Refusal::UnknownApproval)
    }

    /// Accepts a signature: verified, recorded by `record`, and only then counted.
    ///
    /// # Errors
    /// No such question, a bad signature, or an error of `record`.
    pub fn sign(
        &self,
        id: &str,
        submission: &ApprovalSubmission,
        now_ms: u64,
        record: impl FnOnce(&Question, Value) -> Result<(), Refusal>,
    ) -> Result<OpenQuestion, Refusal> {
        let question = self.get(id, now_ms)?;
        let key = question.verify(submission)?;
        let said = json!({
            "id": id, "callHash": question.request.call_hash, "key": submission.key, "ed25519": key,
            "signature": submission.signature,
        });
        record(&question, said)?;
        let mut by_id = self.lock();
        let question = by_id.get_mut(id).ok_or(Refusal::UnknownApproval)?;
        question.signed.insert(key, submission.key.clone());
        Ok(question.view())
    }

    /// The signatures so far for a question of a session; `None`: there is no such question.
    #[must_use]
    pub fn approval(&self, session: &str, id: &str) -> Option<VerifiedApproval> {
        let by_id = self.lock();
        let question = by_id.get(id).filter(|question| question.session == session)?;
        Some(VerifiedApproval {
            id: question.request.id.clone(),
            call_hash: question.request.call_hash.clone(),
            policy_digest: question.request.policy_digest.clone(),
            expires_ms: question.request.expires_ms,
            keys: question.signed.keys().cloned().collect(),
        })
    }

    /// Removes a question: it was answered, or its session is gone.
    pub fn withdraw(&self, id: &str) {
        self.lock().remove(id);
    }

    /// Removes the questions of a session.
    pub fn forget(&self, session: &str) {
        self.lock().retain(|_, question| question.session != session);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Question>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For signers: what the question shows must be what its hash binds.
pub mod binding {
    use bailiwick_policy::tool::{approval_message, bound_call_hash};

    use crate::wire::OpenQuestion;

    /// The bytes to sign, if the question's hash is that of what it shows.
    #[must_use]
    pub fn message(question: &OpenQuestion) -> Option<Vec<u8>> {
        let hash = bound_call_hash(&question.binds)?;
        let digest = question.binds.get("policyDigest")?.as_str()?;
        (hash == question.call_hash)
            .then(|| approval_message(&question.id, &question.call_hash, digest, question.expires_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(id: String, shown: &str) -> Question {
        let request = ApprovalRequest {
            id,
            call_hash: String::new(),
            policy_digest: String::new(),
            expires_ms: u64::MAX,
            requirements: Vec::new(),
        };
        Question::new(request, "s".to_owned(), "c".to_owned(), json!(shown))
    }

    #[test]
    fn questions_take_no_more_memory_than_the_bound_together() {
        let questions = Questions::default();
        // Two bytes of text each, and sixteen times as much in memory: a bit more than a quarter of the bound.
        let numbers = Value::from(vec![0; MAX_QUESTION_MEMORY / 4 / size_of::<Value>()]);
        let asked = |id: &str| {
            let Question { request, session, call, .. } = question(id.to_owned(), "");
            questions.add(Question::new(request, session, call, numbers.clone()))
        };
        for id in ["0", "1", "2"] {
            asked(id).unwrap();
        }
        assert!(matches!(asked("late"), Err(Refusal::Busy(_))));
        questions.withdraw("1");
        asked("late").unwrap();
    }

    #[test]
    fn questions_show_no_more_than_the_bound_together() {
        let questions = Questions::default();
        // Including its two quotation marks, a quarter of the bound.
        let shown = "x".repeat(MAX_QUESTION_BYTES / 4 - 2);
        for number in 0..4 {
            questions.add(question(format!("{number}"), &shown)).unwrap();
        }
        let one_byte_more = || questions.add(question("late".to_owned(), ""));
        assert!(matches!(one_byte_more(), Err(Refusal::Busy(_))));
        assert_eq!(questions.list(0).len(), 4, "what was refused is not shown");
        questions.withdraw("2");
        one_byte_more().unwrap();
    }

    #[test]
    fn there_are_no_more_questions_than_the_bound() {
        let questions = Questions::default();
        for number in 0..MAX_QUESTIONS {
            questions.add(question(format!("{number}"), "")).unwrap();
        }
        let late = || questions.add(question("late".to_owned(), ""));
        assert!(matches!(late(), Err(Refusal::Busy(_))));
        questions.forget("s");
        late().unwrap();
    }
}
