//! What the API server accepts in one policy, and the policies that a group of rules needs for it: 64 match
//! conditions, 20 audit annotations, and 5 KiB of expression for each of these.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/admissionregistration/validation/validation.go>

use super::FloorRule;

/// Audit annotations that a policy may have.
const MAX_ANNOTATIONS: usize = 20;

/// Most bytes of the expression of an annotation.
pub(super) const MAX_ANNOTATION: usize = 5 * 1024;

/// The rules of a group in as few policies as their annotations allow, in their order. A rule with more
/// annotations than a policy may have is followed by policies with the others.
pub(super) fn parts(rules: &[FloorRule]) -> Vec<Vec<FloorRule>> {
    let mut parts: Vec<(usize, Vec<FloorRule>)> = vec![(0, Vec::new())];
    for rule in rules {
        for piece in pieces(rule) {
            let more = piece.audit.len();
            match parts.last_mut() {
                Some((annotations, part)) if *annotations + more <= MAX_ANNOTATIONS => {
                    *annotations += more;
                    part.push(piece);
                }
                _ => parts.push((more, vec![piece])),
            }
        }
    }
    parts.into_iter().map(|(_, part)| part).filter(|part| !part.is_empty()).collect()
}

/// The rule with as many annotations as a policy may have, and the others without its checks.
fn pieces(rule: &FloorRule) -> Vec<FloorRule> {
    let (first, others) = rule.audit.split_at(rule.audit.len().min(MAX_ANNOTATIONS));
    let whole = FloorRule { audit: first.to_vec(), ..rule.clone() };
    let others = others.chunks(MAX_ANNOTATIONS).map(|audit| FloorRule {
        audit: audit.to_vec(),
        checks: Vec::new(),
        ..rule.clone()
    });
    let says_something = |piece: &FloorRule| !piece.checks.is_empty() || !piece.audit.is_empty();
    std::iter::once(whole).chain(others).filter(says_something).collect()
}

#[cfg(test)]
mod tests {
    use bailiwick_policy::policy::{Action, LabelSelector};

    use super::*;
    use crate::emit::floor::{Check, MatchSet};

    fn rule(name: &str, annotations: usize) -> FloorRule {
        let check = Check {
            expression: name.to_owned(),
            message: String::new(),
            message_expression: None,
            reason: String::new(),
        };
        FloorRule {
            action: Action::Deny,
            matches: MatchSet {
                resources: Vec::new(),
                exclude: Vec::new(),
                namespaces: LabelSelector::default(),
                objects: None,
                conditions: Vec::new(),
            },
            variables: Vec::new(),
            checks: vec![check],
            audit: (0..annotations).map(|at| (format!("{name}{at}"), "''".to_owned())).collect(),
            from: Vec::new(),
        }
    }

    /// Checks and annotations of each policy.
    fn sizes(rules: &[FloorRule]) -> Vec<(usize, usize)> {
        let sum = |part: &[FloorRule], of: fn(&FloorRule) -> usize| part.iter().map(of).sum();
        let size =
            |part: Vec<FloorRule>| (sum(&part, |one| one.checks.len()), sum(&part, |one| one.audit.len()));
        parts(rules).into_iter().map(size).collect()
    }

    #[test]
    fn no_policy_has_more_annotations_than_the_api_server_takes_and_none_is_lost() {
        assert_eq!(sizes(&[rule("a", 10), rule("b", 10), rule("c", 0)]), [(3, 20)]);
        assert_eq!(sizes(&[rule("a", 10), rule("b", 11), rule("c", 1)]), [(1, 10), (2, 12)]);
        assert_eq!(sizes(&[rule("a", 45), rule("b", 1)]), [(1, 20), (0, 20), (1, 6)]);
        assert_eq!(sizes(&[rule("a", 0)]), [(1, 0)]);
        // All that it had is too long for the API server.
        assert_eq!(sizes(&[FloorRule { checks: Vec::new(), ..rule("a", 0) }]), []);
    }
}
