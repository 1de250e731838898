//! Writing the answer to an AdmissionReview (admission.k8s.io/v1).
//!
//! One function for the webhook and for `bailiwick review --format json`: equal decisions give equal bytes.
//! The limits are the API server's: warnings of 256 runes, 4096 in all
//! (`apiserver/pkg/endpoints/filters/warning.go`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::decision::{Decision, Effect, Finding};

use super::request::{REVIEW_API_VERSION, REVIEW_KIND};

/// Runes of one warning.
const MAX_WARNING: usize = 256;
/// Runes of all warnings.
const MAX_WARNINGS: usize = 4096;
/// Bytes of the message, all of which a terminal shows.
const MAX_MESSAGE: usize = 8 * 1024;
/// Causes of a status; enough even for a pod with more faults.
const MAX_CAUSES: usize = 200;
/// Fields that one line of the message names; the causes name the others.
const MAX_FIELDS: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'a str, &'a str>,
}

/// `metav1.Status`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    status: &'static str,
    message: String,
    reason: &'static str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

#[derive(Serialize)]
struct Details<'a> {
    causes: Vec<Cause<'a>>,
}

/// `metav1.StatusCause`; `reason` is the rule that made the finding.
#[derive(Serialize)]
struct Cause<'a> {
    reason: &'a str,
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    field: &'a str,
}

/// The AdmissionReview that answers the request with this uid.
#[must_use]
pub fn write(uid: &str, decision: &Decision) -> Vec<u8> {
    let denials: Vec<&Finding> = decision.findings.iter().filter(|one| one.effect == Effect::Deny).collect();
    let (reason, code) = reason(&denials);
    let status = (!decision.allowed).then(|| Status {
        status: "Failure",
        message: message(&denials),
        reason,
        code,
        details: Some(Details { causes: denials.iter().take(MAX_CAUSES).map(|one| cause(one)).collect() }),
    });
    let patch = (decision.allowed && !decision.patch.is_empty())
        .then(|| serde_json::to_vec(&decision.patch).ok())
        .flatten()
        .map(|patch| STANDARD.encode(patch));
    let annotations = decision.audit_annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    bytes(Response {
        uid,
        allowed: decision.allowed,
        status,
        patch_type: patch.is_some().then_some("JSONPatch"),
        patch,
        warnings: warnings(&decision.findings),
        audit_annotations: annotations.collect(),
    })
}

/// Reason and code of the first denial, as the API server uses those of the first validation that fails.
/// <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>
fn reason(denials: &[&Finding]) -> (&'static str, u16) {
    match denials.first().map(|first| first.reason.as_str()) {
        Some("Unauthorized") => ("Unauthorized", 401),
        Some("Invalid") => ("Invalid", 422),
        Some("RequestEntityTooLarge") => ("RequestEntityTooLarge", 413),
        _ => ("Forbidden", 403),
    }
}

/// The answer to a request that could not be judged: a refusal with an HTTP status code and a readable
/// reason.
#[must_use]
pub fn refuse(uid: &str, code: u16, message: &str) -> Vec<u8> {
    let reason = match code {
        400 => "BadRequest",
        413 => "RequestEntityTooLarge",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status = Status { status: "Failure", message: message.to_owned(), reason, code, details: None };
    bytes(Response {
        uid,
        allowed: false,
        status: Some(status),
        patch_type: None,
        patch: None,
        warnings: Vec::new(),
        audit_annotations: BTreeMap::new(),
    })
}

fn bytes(response: Response<'_>) -> Vec<u8> {
    let review = Review { api_version: REVIEW_API_VERSION, kind: REVIEW_KIND, response };
    // Strings, numbers and string-keyed maps always serialise; an empty answer would be a failed call, hence
    // a refusal.
    serde_json::to_vec(&review).unwrap_or_default()
}

/// `pack/rule: message (field); remedy`, one line each. The same message about several fields is written
/// once.
fn message(denials: &[&Finding]) -> String {
    let mut lines: Vec<(&Finding, Vec<&str>)> = Vec::new();
    for finding in denials {
        let same = |one: &Finding| {
            (&one.pack, &one.rule, &one.message, &one.remedy)
                == (&finding.pack, &finding.rule, &finding.message, &finding.remedy)
        };
        match lines.iter_mut().find(|(one, _)| same(one)) {
            Some((_, fields)) => fields.push(&finding.field),
            None => lines.push((finding, vec![&finding.field])),
        }
    }
    let mut out = String::new();
    for (at, (finding, fields)) in lines.iter().enumerate() {
        let line = line(finding, fields);
        // The first denial is always included, as far as it fits: without it the message would not say which
        // rule denies.
        if at == 0 {
            out.push_str(cut(&line));
        } else if out.len() + line.len() > MAX_MESSAGE {
            out.push_str(&format!("\nand {} more", lines.len() - at));
            break;
        } else {
            out.push('\n');
            out.push_str(&line);
        }
    }
    out
}

/// The start of a line, at most as long as a whole message.
fn cut(line: &str) -> &str {
    let end = (0..=MAX_MESSAGE.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    line.get(..end).unwrap_or_default()
}

/// One finding with the fields that it names.
fn line(finding: &Finding, fields: &[&str]) -> String {
    let fields: Vec<&str> = fields.iter().copied().filter(|field| !field.is_empty()).collect();
    let named: Vec<&str> = fields.iter().copied().take(MAX_FIELDS).collect();
    let place = match fields.len() {
        0 => String::new(),
        all if all <= MAX_FIELDS => format!(" ({})", named.join(", ")),
        all => format!(" ({} and {} more)", named.join(", "), all - MAX_FIELDS),
    };
    let remedy = finding.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    format!("{}/{}: {}{place}{remedy}", finding.pack, finding.rule, finding.message)
}

fn cause(finding: &Finding) -> Cause<'_> {
    let remedy = finding.remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    Cause {
        reason: &finding.rule,
        message: format!("{}/{}: {}{remedy}", finding.pack, finding.rule, finding.message),
        field: &finding.field,
    }
}

/// Warnings, cut to what the API server passes on. It would drop warnings with control characters.
fn warnings(findings: &[Finding]) -> Vec<String> {
    let mut left = MAX_WARNINGS;
    let mut out = Vec::new();
    for finding in findings.iter().filter(|one| one.effect == Effect::Warn) {
        let text = line(finding, &[&finding.field]);
        let printable = text.chars().map(|one| if one.is_control() { ' ' } else { one });
        let cut: String = printable.take(MAX_WARNING.min(left)).collect();
        left -= cut.chars().count();
        if cut.is_empty() {
            break;
        }
        out.push(cut);
    }
    out
}

#[cfg(test)]
mod tests;
