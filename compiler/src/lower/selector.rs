//! Lowers label selectors. Rules of keys and values:
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>

use bailiwick_crds::selector::{LabelOperator as WireOperator, LabelSelector as WireSelector};
use bailiwick_policy::policy::{LabelOperator, LabelRequirement, LabelSelector};

use super::Findings;
use crate::check::bw0222_selector;
use crate::diagnostic::{Diagnostic, FieldPath};
use crate::reach::labels::Labels;

pub(super) fn lower(wire: &WireSelector, at: &FieldPath, out: &mut Findings<'_>) -> LabelSelector {
    for (key, value) in &wire.match_labels {
        let at = at.member("matchLabels").member(key);
        check_key(key, &at, out);
        check_value(value, &at, out);
    }
    let mut match_expressions = Vec::with_capacity(wire.match_expressions.len());
    for (index, wire) in wire.match_expressions.iter().enumerate() {
        let at = at.member("matchExpressions").index(index);
        check_key(&wire.key, &at.member("key"), out);
        for (index, value) in wire.values.iter().enumerate() {
            check_value(value, &at.member("values").index(index), out);
        }
        let operator = match wire.operator {
            WireOperator::In => LabelOperator::In,
            WireOperator::NotIn => LabelOperator::NotIn,
            WireOperator::Exists => LabelOperator::Exists,
            WireOperator::DoesNotExist => LabelOperator::DoesNotExist,
        };
        let listing = matches!(operator, LabelOperator::In | LabelOperator::NotIn);
        if listing == wire.values.is_empty() {
            let wants = if listing { "needs `values`" } else { "takes no `values`" };
            let message = format!("operator `{}` {wants}", wire.operator.as_str());
            out.push(Diagnostic::new(bw0222_selector::CODE, at, message));
        }
        match_expressions.push(LabelRequirement {
            key: wire.key.clone(),
            operator,
            values: wire.values.clone(),
        });
    }
    let selector = LabelSelector { match_labels: wire.match_labels.clone(), match_expressions };
    if Labels::all_of([&selector]).is_none() {
        let message = "no labels can match all of this selector";
        out.push(Diagnostic::new(bw0222_selector::CODE, at.clone(), message));
    }
    selector
}

fn is_name(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn check_key(key: &str, at: &FieldPath, out: &mut Findings<'_>) {
    let good = match key.split_once('/') {
        Some((prefix, name)) => prefix.len() <= 253 && prefix.split('.').all(is_dns_label) && is_name(name),
        None => is_name(key),
    };
    if !good {
        out.push(Diagnostic::new(bw0222_selector::CODE, at.clone(), format!("`{key}` is not a label key")));
    }
}

fn check_value(value: &str, at: &FieldPath, out: &mut Findings<'_>) {
    if !value.is_empty() && !is_name(value) {
        out.push(Diagnostic::new(
            bw0222_selector::CODE,
            at.clone(),
            format!("`{value}` is not a label value"),
        ));
    }
}

fn is_dns_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
