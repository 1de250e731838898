//! Approvals: what approvers are asked, what they sign, and whether that is enough.
//!
//! The executor verifies signatures. This module defines what is signed ([`approval_message`]) and who must
//! sign it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::{Subject, ToolCall};
use super::decision::DenyReason;
use crate::policy::tools::{ApproverGroup, ApproverKey, Ask};
use crate::{bundle, canonical};

/// The prefix of what is hashed, so that no other hash of the product can replace it.
const CALL_CONTEXT: &[u8] = b"bailiwick/call/v1\n";
/// The prefix of what is signed, so that a signature over anything else does not count as an approval.
const APPROVAL_CONTEXT: &str = "bailiwick/approval/v1";

/// What approvers are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRequest {
    /// Name of the question: 32 hex digits of a hash over call, attempt and time.
    pub id: String,
    /// What the approval binds, see [`bound_call_hash`].
    pub call_hash: String,
    /// Digest of the policy that asks.
    pub policy_digest: String,
    /// When the question expires, in milliseconds since 1970.
    pub expires_ms: u64,
    /// All of these must be met. Sorted by pack and group.
    pub requirements: Vec<Requirement>,
}

/// A group from which a quorum must approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// `name@version` of the pack that has the group.
    pub pack: String,
    /// Name of the group.
    pub group: String,
    /// How many people of it.
    pub quorum: u32,
    /// The keys whose owners may approve this call: those of the group, except principals of the subject's
    /// chain.
    pub keys: Vec<ApproverKey>,
}

/// An approval whose signatures the caller has verified over [`approval_message`] of exactly these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifiedApproval {
    /// [`ApprovalRequest::id`].
    pub id: String,
    /// [`ApprovalRequest::call_hash`].
    pub call_hash: String,
    /// [`ApprovalRequest::policy_digest`].
    pub policy_digest: String,
    /// [`ApprovalRequest::expires_ms`].
    pub expires_ms: u64,
    /// The Ed25519 public keys that signed, in lower-case hex. Keys instead of names, because two packs may
    /// give one name to two keys.
    pub keys: BTreeSet<String>,
}

/// The bytes that an approver signs with Ed25519: five lines, each ended by a line feed.
///
/// ```text
/// bailiwick/approval/v1
/// ID            32 hex digits
/// CALL HASH     64 hex digits
/// POLICY DIGEST 64 hex digits
/// EXPIRES       milliseconds since 1970, decimal
/// ```
#[must_use]
pub fn approval_message(id: &str, call_hash: &str, policy_digest: &str, expires_ms: u64) -> Vec<u8> {
    format!("{APPROVAL_CONTEXT}\n{id}\n{call_hash}\n{policy_digest}\n{expires_ms}\n").into_bytes()
}

impl ApprovalRequest {
    /// The bytes that an approver signs.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        approval_message(&self.id, &self.call_hash, &self.policy_digest, self.expires_ms)
    }

    /// Whether an approval fully answers this question.
    ///
    /// # Errors
    /// Why it is not an answer to this question.
    pub(super) fn is_met_by(&self, approval: &VerifiedApproval) -> Result<bool, DenyReason> {
        let same = approval.id == self.id
            && approval.call_hash == self.call_hash
            && approval.policy_digest == self.policy_digest
            && approval.expires_ms == self.expires_ms;
        if !same {
            return Err(DenyReason::ApprovalStale);
        }
        Ok(self.requirements.iter().all(|requirement| requirement.is_met_by(approval)))
    }
}

impl Requirement {
    fn is_met_by(&self, approval: &VerifiedApproval) -> bool {
        let signed = self.keys.iter().filter(|key| approval.keys.contains(&key.ed25519));
        persons(signed) >= self.quorum as usize
    }

    /// Whether enough people remain who may approve.
    pub(super) fn can_be_met(&self) -> bool {
        persons(self.keys.iter()) >= self.quorum as usize
    }
}

/// How many people hold these keys. Names that differ only in case belong to one person.
fn persons<'k>(keys: impl Iterator<Item = &'k ApproverKey>) -> usize {
    keys.map(|key| key.principal.to_ascii_lowercase()).collect::<BTreeSet<_>>().len()
}

/// The approvals that a decision needs: each group once, with the highest quorum and the shortest time.
#[derive(Clone, Debug, Default)]
pub(super) struct Asks {
    groups: BTreeMap<(String, String), Requirement>,
    expires_after_ms: Option<u64>,
}

impl Asks {
    /// Adds one question of a layer.
    pub(super) fn add(&mut self, pack: &str, group: &ApproverGroup, ask: &Ask, subject: &Subject) {
        let takes_part =
            |principal: &str| subject.principals().any(|other| other.eq_ignore_ascii_case(principal));
        let requirement =
            self.groups.entry((pack.to_owned(), group.name.clone())).or_insert_with(|| Requirement {
                pack: pack.to_owned(),
                group: group.name.clone(),
                quorum: 0,
                keys: group.keys.iter().filter(|key| !takes_part(&key.principal)).cloned().collect(),
            });
        requirement.quorum = requirement.quorum.max(ask.quorum).max(1);
        let shortest = self.expires_after_ms.map_or(ask.expires_ms, |known| known.min(ask.expires_ms));
        self.expires_after_ms = Some(shortest);
    }

    /// Whether a pack, as `name@version`, is among those that ask.
    pub(super) fn are_of(&self, pack: &str) -> bool {
        self.groups.keys().any(|(asking, _)| asking == pack)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The question that these requirements make for a call.
    pub(super) fn request(
        &self,
        call: &ToolCall,
        call_hash: String,
        policy_digest: &str,
        now_ms: u64,
    ) -> ApprovalRequest {
        let material = format!("{APPROVAL_CONTEXT}/id\n{}\n{call_hash}\n{now_ms}\n", call.id());
        ApprovalRequest {
            id: bundle::digest(material.as_bytes()).chars().take(32).collect(),
            call_hash,
            policy_digest: policy_digest.to_owned(),
            expires_ms: now_ms.saturating_add(self.expires_after_ms.unwrap_or(0)),
            requirements: self.groups.values().cloned().collect(),
        }
    }
}

/// What an approval binds in addition to the arguments.
#[derive(Debug)]
pub(super) struct Binding<'b> {
    pub(super) sandbox: Option<&'b str>,
    pub(super) facts: &'b serde_json::Value,
    pub(super) policy_digest: &'b str,
    pub(super) generation: u64,
    /// Labels that the session loses.
    pub(super) removes: &'b BTreeSet<String>,
}

/// Everything that an approval binds: `{arguments, facts, generation, policyDigest, sandbox, session,
/// subject, tool}`, and `removesLabels` if the call removes labels from its session.
pub(super) fn bound(call: &ToolCall, binding: &Binding<'_>) -> serde_json::Value {
    let mut bound = json!({
        "arguments": call.arguments(),
        "facts": binding.facts,
        "generation": binding.generation,
        "policyDigest": binding.policy_digest,
        "sandbox": binding.sandbox,
        "session": call.session(),
        "subject": call.subject(),
        "tool": call.tool(),
    });
    if let (false, Some(members)) = (binding.removes.is_empty(), bound.as_object_mut()) {
        members.insert("removesLabels".to_owned(), json!(binding.removes));
    }
    bound
}

/// The hash of what an approval binds ([`super::ToolDecision::binds`]): SHA-256 over `bailiwick/call/v1`, a
/// line feed, and the canonical JSON (RFC 8785), in lower-case hex. `None`: there is no canonical form;
/// values read from JSON always have one. Signers compute it from what they are shown.
#[must_use]
pub fn bound_call_hash(bound: &serde_json::Value) -> Option<String> {
    let mut bytes = CALL_CONTEXT.to_vec();
    bytes.extend(canonical::to_vec(bound).ok()?);
    Some(bundle::digest(&bytes))
}
