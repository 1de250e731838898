//! The webhook configurations of a cluster: one webhook for each set of governed namespaces, and one for
//! changes to what is governed.
//!
//! etcd limits the size of one configuration, so they stay small in two ways. Selectors that differ only in
//! the values of one label become one selector of all these values, which selects exactly the same. Beyond
//! [`MAX_SELECTORS`] there are several configurations. A hash of a webhook's purpose chooses its
//! configuration, so that one binding more or less moves few webhooks.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::{LabelOperator, LabelRequirement, LabelSelector, ResourceRule};
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhook,
    ValidatingWebhookConfiguration,
};

use super::artifact::{Target, sha256};
use super::cell::Cell;
use super::cluster::{ClusterOptions, Objects, ours_named, short};
use super::{EmitError, EmitOptions, selector, webhooks as hooks};
use crate::cluster::InForce;

/// Most selectors in one configuration. Each makes up to four webhooks of about a kilobyte, with two
/// authorities during a rotation, and the API server records the manager of each field. Together that is less
/// than a third of the 1.5 MiB that etcd accepts, so the old and the new state fit next to each other.
pub const MAX_SELECTORS: usize = 32;

/// Most configurations of a kind, a power of two; beyond that, each configuration grows.
const MAX_CONFIGURATIONS: usize = 256;

/// Name of a configuration of either kind; the first has no number.
#[must_use]
pub fn configuration_name(at: usize) -> String {
    if at == 0 { "bailiwick".to_owned() } else { format!("bailiwick-{at}") }
}

/// The requests that the API server sends for the namespaces of a selector: to `/mutate`, and to `/validate`
/// and `/connect`.
type Asked = (BTreeSet<ResourceRule>, BTreeSet<ResourceRule>);

/// A webhook that is to be emitted.
struct Hook {
    namespaces: LabelSelector,
    /// Its identity: the first of the selectors that it combines.
    id: String,
    /// How many selectors it combines.
    of: usize,
    asked: Asked,
}

/// Emits the webhook configurations.
///
/// # Errors
/// As for [`super::objects`].
pub fn webhooks(in_force: &InForce, options: &ClusterOptions) -> Result<Objects, EmitError> {
    let emit = options.emit();
    let mut asked: BTreeMap<LabelSelector, Asked> = BTreeMap::new();
    for bound in in_force.policies() {
        let cell = Cell::new(&bound.policy, &bound.digest, &emit);
        let Some(namespaces) = cell.hooked_namespaces() else { continue };
        let (mutated, validated) = asked.entry(namespaces).or_default();
        mutated.extend(hooks::mutated(&cell));
        // Always, to write the label.
        mutated.insert(hooks::rule("", "v1", &["pods"], &["CREATE"]));
        validated.extend(hooks::validated(&cell));
        validated.extend(hooks::pod_rules());
    }
    configurations(asked, &emit)
}

/// The configurations that make the API server send these requests.
fn configurations(asked: BTreeMap<LabelSelector, Asked>, emit: &EmitOptions) -> Result<Objects, EmitError> {
    let mut out = Objects::default();
    for (at, hooks) in parts(united(asked)).into_iter().enumerate() {
        // Each kind has a path of its own, so that requests whose decision needs the API server are known
        // before they are read.
        let (mut mutating, mut validating) = match at {
            0 => (vec![own_mutating(emit)], vec![own_validating(emit)]),
            _ => (Vec::new(), Vec::new()),
        };
        for hook in hooks {
            mutating.push(mutate(&hook, emit));
            validating.extend(validate(&hook, emit));
        }
        let metadata = ours_named(&configuration_name(at));
        let configuration =
            MutatingWebhookConfiguration { metadata: metadata.clone(), webhooks: Some(mutating) };
        out.push(&configuration, Target::Webhook, &[])?;
        let configuration = ValidatingWebhookConfiguration { metadata, webhooks: Some(validating) };
        out.push(&configuration, Target::Webhook, &[])?;
    }
    Ok(out)
}

/// Combines selectors with the same requests that differ only in the values of one label.
fn united(asked: BTreeMap<LabelSelector, Asked>) -> Vec<Hook> {
    let mut alike: BTreeMap<Asked, Vec<LabelSelector>> = BTreeMap::new();
    for (namespaces, asked) in asked {
        alike.entry(asked).or_default().push(namespaces);
    }
    let mut all = Vec::new();
    for (asked, selectors) in alike {
        for (terms, of) in unite(selectors) {
            let Some(first) = of.first() else { continue };
            let namespaces = if of.len() == 1 { first.clone() } else { selecting(terms) };
            let id = short(&serde_json::to_string(first).unwrap_or_default());
            all.push(Hook { namespaces, id, of: of.len(), asked: asked.clone() });
        }
    }
    all.sort_by(|a, b| a.namespaces.cmp(&b.namespaces));
    all
}

/// Requirements on labels that must all hold.
type Terms = BTreeSet<LabelRequirement>;

/// By terms, the selectors that they combine, sorted.
fn unite(selectors: Vec<LabelSelector>) -> BTreeMap<Terms, BTreeSet<LabelSelector>> {
    let mut all: BTreeMap<Terms, BTreeSet<LabelSelector>> = BTreeMap::new();
    for selector in selectors {
        all.entry(terms(&selector)).or_default().insert(selector);
    }
    // Each round leaves fewer selectors, or is the last.
    loop {
        let before = all.len();
        let mut bearers: BTreeMap<String, usize> = BTreeMap::new();
        for term in all.keys().flatten() {
            *bearers.entry(term.key.clone()).or_default() += 1;
        }
        // A label that one selector alone names unites nothing, and each binding may bring one of its own.
        for key in bearers.into_iter().filter(|(_, bearers)| *bearers > 1).map(|(key, _)| key) {
            all = unite_by(&key, all);
        }
        if all.len() == before {
            return all;
        }
    }
}

/// `(rest and key in A) or (rest and key in B)` is `rest and key in A ∪ B`.
fn unite_by(
    key: &str,
    all: BTreeMap<Terms, BTreeSet<LabelSelector>>,
) -> BTreeMap<Terms, BTreeSet<LabelSelector>> {
    let mut by_rest: BTreeMap<Terms, (BTreeSet<String>, BTreeSet<LabelSelector>)> = BTreeMap::new();
    let mut out: BTreeMap<Terms, BTreeSet<LabelSelector>> = BTreeMap::new();
    for (terms, of) in all {
        let one_of = |term: &&LabelRequirement| term.key == key && term.operator == LabelOperator::In;
        let mut choices = terms.iter().filter(one_of);
        let (Some(choice), None) = (choices.next(), choices.next()) else {
            out.entry(terms).or_default().extend(of);
            continue;
        };
        let rest: Terms = terms.iter().filter(|term| *term != choice).cloned().collect();
        let (values, known) = by_rest.entry(rest).or_default();
        values.extend(choice.values.iter().cloned());
        known.extend(of);
    }
    for (mut terms, (values, of)) in by_rest {
        let values = values.into_iter().collect();
        terms.insert(LabelRequirement { key: key.to_owned(), operator: LabelOperator::In, values });
        out.entry(terms).or_default().extend(of);
    }
    out
}

fn terms(selector: &LabelSelector) -> Terms {
    let labels = selector.match_labels.iter().map(|(key, value)| LabelRequirement {
        key: key.clone(),
        operator: LabelOperator::In,
        values: vec![value.clone()],
    });
    let expressions = selector.match_expressions.iter().cloned().map(|mut term| {
        term.values.sort();
        term.values.dedup();
        term
    });
    labels.chain(expressions).collect()
}

fn selecting(terms: Terms) -> LabelSelector {
    LabelSelector { match_expressions: terms.into_iter().collect(), ..LabelSelector::default() }
}

/// Splits hooks into parts within the limit. Their number is the smallest sufficient power of two, so a part
/// that grows is halved and no other part changes.
fn parts(hooks: Vec<Hook>) -> Vec<Vec<Hook>> {
    let place = |hook: &Hook, parts: usize| {
        let hash = sha256(hook.id.as_bytes());
        usize::from_str_radix(hash.get(..8).unwrap_or_default(), 16).unwrap_or(0) % parts
    };
    let mut count = 1;
    while count < MAX_CONFIGURATIONS {
        let mut sizes = vec![0_usize; count];
        for hook in &hooks {
            if let Some(size) = sizes.get_mut(place(hook, count)) {
                *size += 1;
            }
        }
        if sizes.iter().all(|size| *size <= MAX_SELECTORS) {
            break;
        }
        count *= 2;
    }
    let mut parts: Vec<Vec<Hook>> = (0..count).map(|_| Vec::new()).collect();
    for hook in hooks {
        let at = place(&hook, count);
        if let Some(part) = parts.get_mut(at) {
            part.push(hook);
        }
    }
    parts
}

fn mutate(hook: &Hook, emit: &EmitOptions) -> MutatingWebhook {
    MutatingWebhook {
        name: format!("mutate-{}.bailiwick.dev", hook.id),
        client_config: hooks::client(emit, "/mutate"),
        namespace_selector: Some(selector::kubernetes(&hook.namespaces)),
        rules: hooks::with_operations(hook.asked.0.clone()),
        ..own_mutating(emit)
    }
}

fn validate(hook: &Hook, emit: &EmitOptions) -> Vec<ValidatingWebhook> {
    let id = &hook.id;
    let (connecting, validated) = parted(hook.asked.1.clone());
    let mut all = Vec::new();
    for (kind, path, rules) in [("validate", "/validate", validated), ("connect", "/connect", connecting)] {
        let Some(rules) = hooks::with_operations(rules) else { continue };
        all.push(ValidatingWebhook {
            name: format!("{kind}-{id}.bailiwick.dev"),
            client_config: hooks::client(emit, path),
            namespace_selector: Some(selector::kubernetes(&hook.namespaces)),
            rules: Some(rules),
            ..own_validating(emit)
        });
    }
    all.push(leaving(hook, emit));
    all
}

/// Separates connections from the rest: for a connection, the webhook has to fetch the object that it goes
/// to.
fn parted(rules: BTreeSet<ResourceRule>) -> (BTreeSet<ResourceRule>, BTreeSet<ResourceRule>) {
    const CONNECT: &str = "CONNECT";
    let (mut connecting, mut others) = (BTreeSet::new(), BTreeSet::new());
    for rule in rules {
        let wild = rule.operations.iter().any(|one| one == "*");
        let (connect, rest): (Vec<_>, Vec<_>) =
            rule.operations.iter().filter(|&one| one != "*").cloned().partition(|one| one == CONNECT);
        let all = || ["CREATE", "UPDATE", "DELETE"].map(str::to_owned).to_vec();
        let rest = if wild { all() } else { rest };
        if wild || !connect.is_empty() {
            connecting.insert(ResourceRule { operations: vec![CONNECT.to_owned()], ..rule.clone() });
        }
        if !rest.is_empty() {
            others.insert(ResourceRule { operations: rest, ..rule });
        }
    }
    (connecting, others)
}

fn ours(resources: &[&str], operations: &[&str]) -> BTreeSet<ResourceRule> {
    BTreeSet::from([hooks::rule("bailiwick.dev", "v1alpha1", resources, operations)])
}

/// Writes who approved an exception.
fn own_mutating(options: &EmitOptions) -> MutatingWebhook {
    MutatingWebhook {
        admission_review_versions: vec!["v1".to_owned()],
        client_config: hooks::client(options, "/own/mutate"),
        failure_policy: Some("Fail".to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        name: "mutate-own.bailiwick.dev".to_owned(),
        // A later mutator may add a container; our webhook is idempotent and is called once more then.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: hooks::with_operations(ours(&["policyexceptions"], &["CREATE", "UPDATE"])),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(hooks::TIMEOUT_S),
        ..MutatingWebhook::default()
    }
}

/// Judges our own kinds: what is bound, and by whom.
fn own_validating(options: &EmitOptions) -> ValidatingWebhook {
    let mut rules = ours(&["policypacks", "policybindings"], &["CREATE", "UPDATE", "DELETE"]);
    rules.extend(ours(&["policyexceptions", "sandboxpools"], &["CREATE", "UPDATE"]));
    ValidatingWebhook {
        admission_review_versions: vec!["v1".to_owned()],
        client_config: hooks::client(options, "/own/validate"),
        failure_policy: Some("Fail".to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        name: "validate-own.bailiwick.dev".to_owned(),
        rules: hooks::with_operations(rules),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(hooks::TIMEOUT_S),
        ..ValidatingWebhook::default()
    }
}

/// Judges label changes by which a namespace leaves. A namespace is matched by its new labels, so a selector
/// cannot express this; the match condition keeps all other namespaces from waiting for the webhook. Where a
/// hook combines several selectors, a namespace may leave one of them and be selected by another, so there
/// the webhook judges every change to a label that they use.
fn leaving(hook: &Hook, options: &EmitOptions) -> ValidatingWebhook {
    let labels = |of: &str| format!("{of}.metadata.?labels.orValue({{}})");
    let selects = |of: &str| selector::cel(&hook.namespaces, &labels(of));
    let expression = if hook.of == 1 {
        format!("({}) && !({})", selects("oldObject"), selects("object"))
    } else {
        let of = |of: &str, key: &str| format!("{of}.metadata.?labels[?{}]", selector::cel_string(key));
        let keys: BTreeSet<&str> =
            hook.namespaces.match_expressions.iter().map(|term| term.key.as_str()).collect();
        let changes: Vec<String> =
            keys.iter().map(|key| format!("{} != {}", of("oldObject", key), of("object", key))).collect();
        format!("({}) && ({})", selects("oldObject"), changes.join(" || "))
    };
    ValidatingWebhook {
        name: format!("namespaces-{}.bailiwick.dev", hook.id),
        rules: hooks::with_operations(hooks::namespace_rules().into_iter().collect()),
        match_conditions: Some(vec![MatchCondition { name: "leaves".to_owned(), expression }]),
        ..own_validating(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::labels::Labels;

    fn term(key: &str, operator: LabelOperator, values: &[&str]) -> LabelRequirement {
        LabelRequirement {
            key: key.to_owned(),
            operator,
            values: values.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    /// All labels over two keys, each absent or with one of a few values.
    fn everything() -> Vec<BTreeMap<String, String>> {
        let values = [None, Some("1"), Some("2"), Some("3")];
        let both = values.iter().flat_map(|a| values.iter().map(move |b| [("a", *a), ("b", *b)]));
        let set = |pair: [(&str, Option<&str>); 2]| {
            pair.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
        };
        both.map(set).collect()
    }

    #[test]
    fn selectors_that_are_one_select_what_each_of_them_selected_and_nothing_else() {
        let terms = [
            term("a", LabelOperator::In, &["1"]),
            term("a", LabelOperator::In, &["2", "3"]),
            term("a", LabelOperator::NotIn, &["1"]),
            term("a", LabelOperator::Exists, &[]),
            term("b", LabelOperator::In, &["1"]),
            term("b", LabelOperator::In, &["2"]),
            term("b", LabelOperator::DoesNotExist, &[]),
        ];
        let chosen = |of: usize| -> LabelSelector {
            let some = terms.iter().enumerate().filter(|(at, _)| (of >> at) & 1 == 1);
            let match_expressions = some.map(|(_, term)| term.clone()).collect();
            LabelSelector { match_expressions, ..LabelSelector::default() }
        };
        let mut all: Vec<LabelSelector> = (0..1 << terms.len()).map(chosen).collect();
        all.push(LabelSelector {
            match_labels: [("a".to_owned(), "3".to_owned())].into(),
            match_expressions: vec![term("b", LabelOperator::In, &["3"])],
        });
        let matches = |selector: &LabelSelector, labels: &BTreeMap<String, String>| {
            Labels::all_of([selector]).is_some_and(|selected| selected.matches(labels))
        };
        // Windows over the list give sets of selectors of all kinds.
        let mut fewer = 0;
        for of in [2, 5, 9, all.len()] {
            for some in all.windows(of) {
                let united = unite(some.to_vec());
                let parts: BTreeSet<&LabelSelector> = united.values().flatten().collect();
                assert_eq!(parts, some.iter().collect(), "each is in one of them");
                fewer += some.len() - united.len();
                let united: Vec<LabelSelector> = united.into_keys().map(selecting).collect();
                for labels in everything() {
                    let each = some.iter().any(|selector| matches(selector, &labels));
                    assert_eq!(united.iter().any(|one| matches(one, &labels)), each, "{labels:?} {some:?}");
                }
            }
        }
        assert!(fewer > 100, "{fewer}");
        let teams = (0..1000).map(|team| LabelSelector {
            match_labels: [("zone".to_owned(), "a".to_owned()), ("team".to_owned(), format!("t{team}"))]
                .into(),
            ..LabelSelector::default()
        });
        assert_eq!(unite(teams.collect()).len(), 1);
    }

    /// A certificate authority's PEM has some seven hundred bytes, and there are two during a rotation.
    const AUTHORITIES: usize = 1_500;
    /// etcd accepts 1.5 MiB, the old state is briefly stored next to the new one, and the API server records
    /// field managers.
    const MOST_BYTES: usize = 512 << 10;

    #[test]
    fn a_thousand_bindings_fit_into_configurations_that_are_stored() {
        let own = |labels: [(String, String); 1]| LabelSelector {
            match_labels: labels.into(),
            match_expressions: vec![term("zone", LabelOperator::In, &["agents"])],
        };
        let teams = (0..500).map(|one| own([("team".to_owned(), format!("t{one}"))]));
        // These have no label in common.
        let others = (0..500).map(|one| own([(format!("own-{one}"), "yes".to_owned())]));
        let connect = hooks::rule("", "v1", &["pods/exec"], &["CONNECT"]);
        let mutated = BTreeSet::from([hooks::rule("", "v1", &["pods"], &["CREATE"])]);
        let validated: BTreeSet<_> = hooks::pod_rules().into_iter().chain([connect]).collect();
        let asked = teams.chain(others).map(|one| (one, (mutated.clone(), validated.clone())));
        let emit = EmitOptions { ca_bundle: Some(vec![b'x'; AUTHORITIES]), ..EmitOptions::default() };
        let out = configurations(asked.collect(), &emit).unwrap();
        assert!(out.problems.is_empty() && out.objects.len() > 2, "{}", out.objects.len());
        let mut names = Vec::new();
        let mut of_teams = 0;
        for object in &out.objects {
            let bytes = object.json.to_string().len();
            assert!(bytes < MOST_BYTES, "{} {} has {bytes} bytes", object.kind, object.name);
            for hook in object.json["webhooks"].as_array().unwrap() {
                names.push(hook["name"].as_str().unwrap().to_owned());
                of_teams += usize::from(hook["namespaceSelector"].to_string().contains("\"t499\""));
            }
        }
        // Once each: 500 and the one for all teams, and two for our own kinds.
        for (start, count) in [("mutate-", 502), ("validate-", 502), ("connect-", 501), ("namespaces-", 501)]
        {
            let of: BTreeSet<&String> = names.iter().filter(|name| name.starts_with(start)).collect();
            assert_eq!(of.len(), count, "{start}");
        }
        assert_eq!(names.len(), 2 * 502 + 2 * 501);
        assert_eq!(
            of_teams, 3,
            "one mutates, one validates and one is about connections, for all five hundred"
        );
    }
}
