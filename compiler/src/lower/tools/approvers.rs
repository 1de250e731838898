//! Lowers groups of approvers and their keys. <https://datatracker.ietf.org/doc/html/rfc8410#section-4>

use bailiwick_crds::tools::Approvers as WireApprovers;
use bailiwick_policy::policy::tools::{ApproverGroup, ApproverKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;

use super::super::Findings;
use crate::check::bw0234_approver_key;
use crate::diagnostic::{Diagnostic, FieldPath};

pub(super) fn lower(wire: &[WireApprovers], at: &FieldPath, out: &mut Findings<'_>) -> Vec<ApproverGroup> {
    let mut groups: Vec<ApproverGroup> = Vec::with_capacity(wire.len());
    for (index, group) in wire.iter().enumerate() {
        let at = at.index(index).member("keys");
        let mut keys: Vec<ApproverKey> = Vec::with_capacity(group.keys.len());
        for (index, key) in group.keys.iter().enumerate() {
            let at = at.index(index);
            match decode(&key.ed25519) {
                Ok(ed25519) => {
                    keys.push(ApproverKey { id: key.id.clone(), principal: key.principal.clone(), ed25519 })
                }
                Err(what) => {
                    let message = format!("key `{}` is {what}", key.id);
                    let help =
                        "write what `openssl pkey -pubin -outform DER | base64` prints for an Ed25519 key";
                    let at = at.member("ed25519");
                    out.push(Diagnostic::new(bw0234_approver_key::CODE, at, message).with_help(help));
                }
            }
            if key.principal.trim().is_empty() {
                let at = at.member("principal");
                out.push(Diagnostic::new(bw0234_approver_key::CODE, at, "a key belongs to somebody"));
            }
        }
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        groups.push(ApproverGroup { name: group.name.clone(), keys });
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    groups
}

/// The 32 bytes of a key, in hex.
fn decode(text: &str) -> Result<String, &'static str> {
    let der = BASE64_STANDARD.decode(text).map_err(|_| "not base64")?;
    let key = VerifyingKey::from_public_key_der(&der).map_err(|_| "no Ed25519 SubjectPublicKeyInfo")?;
    // Anyone can forge signatures for a key of small order: <https://eprint.iacr.org/2020/1244>.
    if key.is_weak() {
        return Err("a key of small order, for which anybody can sign");
    }
    Ok(key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}
