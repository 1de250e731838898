//! Parts of a case that would have no effect, or that nothing real can have: each is refused, since a case that
//! says more than it tests looks like a better test than it is.
//!
//! What needs the policy to be judged, such as the name of a counter, is refused when the case is carried out.

use bailiwick_policy::tool::CallResult;

use super::{CaseResult, ConnectionCase, EvidenceSignature, TestCase, signing_key};
use crate::check::{
    bw0108_missing_field, bw0109_unknown_word, bw0111_out_of_range, bw0113_members, bw0236_image_signer,
};
use crate::diagnostic::{Diagnostic, FieldPath};

/// Exit codes that a process can end with: the kernel keeps eight bits.
const EXIT_CODES: std::ops::RangeInclusive<i64> = 0..=255;

/// Refuses what has no effect in a case.
pub(super) fn refuse(case: &TestCase, at: &FieldPath, found: &mut Vec<Diagnostic>) {
    if let Some(connection) = &case.connection {
        found.extend(port(connection, &at.member("connection")));
    }
    if let Some(result) = case.tool_call.as_ref().and_then(|call| call.result.as_ref()) {
        let at = at.member("toolCall").member("result");
        found.extend(outcome(result, &at).into_iter().chain(exit_code(result, &at)));
    }
    let evidence = case.image.as_ref().and_then(|image| image.evidence.as_ref());
    for (index, signature) in evidence.into_iter().flat_map(|evidence| &evidence.signatures).enumerate() {
        let at = at.member("image").member("evidence").member("signatures").index(index);
        found.extend(signer(signature, &at));
    }
}

fn port(connection: &ConnectionCase, at: &FieldPath) -> Option<Diagnostic> {
    let (Some(to), Some(port)) = (&connection.to, connection.port) else { return None };
    let message = format!("`port` is that of a governed pod, and this connection goes to `{to}`");
    let help = format!("take `port: {port}` out; `to` names the port, as in `192.0.2.1:443`");
    Some(Diagnostic::new(bw0113_members::CODE, at.member("port"), message).with_help(help))
}

fn outcome(result: &CaseResult, at: &FieldPath) -> Option<Diagnostic> {
    let outcome = result.outcome.as_deref()?;
    if CallResult::OUTCOMES.contains(&outcome) {
        return None;
    }
    let message = format!("no call ends as `{outcome}`");
    let help = format!("write one of {}", CallResult::OUTCOMES.join(", "));
    Some(Diagnostic::new(bw0109_unknown_word::CODE, at.member("outcome"), message).with_help(help))
}

fn exit_code(result: &CaseResult, at: &FieldPath) -> Option<Diagnostic> {
    let code = result.exit_code.filter(|code| !EXIT_CODES.contains(code))?;
    let message = format!("no program ends with the exit code {code}");
    let help = format!("write {} to {}", EXIT_CODES.start(), EXIT_CODES.end());
    Some(Diagnostic::new(bw0111_out_of_range::CODE, at.member("exitCode"), message).with_help(help))
}

/// A signature that nobody could have made, or whose issuer or subject would be passed over.
fn signer(signature: &EvidenceSignature, at: &FieldPath) -> Option<Diagnostic> {
    if signature.public_key.as_deref().is_some_and(|key| signing_key(key).is_none()) {
        let message = "this is no key that signs images: not an Ed25519 or ECDSA P-256 public key in PEM";
        let help = "write the key of the pack's `images[].require[]`, as `cosign public-key` prints it";
        let at = at.member("publicKey");
        return Some(Diagnostic::new(bw0236_image_signer::CODE, at, message).with_help(help));
    }
    let named = |name: &Option<String>| name.as_deref().is_some_and(|name| !name.is_empty());
    let missing = match (named(&signature.issuer), named(&signature.subject)) {
        (true, true) => return None,
        (true, false) => "subject",
        (false, true) => "issuer",
        (false, false) if signature.public_key.is_some() => return None,
        (false, false) => {
            let message = "a signature of nobody counts for nothing";
            let help = "name the `publicKey`, or the `issuer` and the `subject`";
            return Some(Diagnostic::new(bw0108_missing_field::CODE, at.clone(), message).with_help(help));
        }
    };
    let message =
        format!("an identity without its `{missing}` is nobody, so the signature counts for nothing");
    let help = "name both `issuer` and `subject`, or only the `publicKey`";
    Some(Diagnostic::new(bw0108_missing_field::CODE, at.member(missing), message).with_help(help))
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::*;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=-----END PUBLIC KEY-----";

    /// Whether reading a file with this case says all of these.
    fn check(case: &str, expected: &[&str]) {
        let said = found(&format!("  - {{name: a, {case}}}\n"));
        let all = said.len() == usize::from(!expected.is_empty());
        assert!(all && expected.iter().all(|part| said[0].contains(part)), "{case}: {said:?}");
    }

    #[test]
    fn a_port_beside_the_one_in_to_is_refused() {
        let case = |rest: &str| format!("connection: {{{rest}}}, expect: {{allowed: false}}");
        check(
            &case("to: '10.0.0.1:53', port: 9"),
            &["BW0113", "spec.cases[0].connection.port", "take `port: 9` out"],
        );
        check(&case("to: '10.0.0.1:53'"), &[]);
        check(&case("from: 10.0.0.1, port: 9"), &[]);
    }

    #[test]
    fn a_result_that_no_call_gives_is_refused() {
        let case =
            |rest: &str| format!("toolCall: {{tool: x, result: {{{rest}}}}}, expect: {{effect: Deny}}");
        let at = "spec.cases[0].toolCall.result.";
        check(&case("outcome: Nonsense"), &["BW0109", &format!("{at}outcome"), "`Nonsense`"]);
        for code in [-1, 256, 7_777_777] {
            check(
                &case(&format!("exitCode: {code}")),
                &["BW0111", &format!("{at}exitCode"), &code.to_string()],
            );
        }
        for outcome in CallResult::OUTCOMES {
            check(&case(&format!("outcome: {outcome}, exitCode: 255")), &[]);
        }
    }

    #[test]
    fn a_signature_of_nobody_is_refused() {
        let case = |rest: &str| {
            format!(
                "image: {{reference: x, evidence: {{signatures: [{{{rest}}}]}}}}, expect: {{allowed: false}}"
            )
        };
        let at = "spec.cases[0].image.evidence.signatures[0]";
        check(
            &case("publicKey: garbage"),
            &["BW0236", &format!("{at}.publicKey"), "no key that signs images"],
        );
        check(&case("issuer: x"), &["BW0108", &format!("{at}.subject"), "without its `subject`"]);
        check(&case("subject: x, issuer: ''"), &["BW0108", &format!("{at}.issuer"), "without its `issuer`"]);
        check(&case(""), &["BW0108", at, "a signature of nobody"]);
        let key = format!("publicKey: '{KEY}'");
        check(&case(&format!("{key}, issuer: x")), &["BW0108", "without its `subject`"]);
        check(&case(&key), &[]);
        check(&case("issuer: x, subject: z"), &[]);
    }
}
