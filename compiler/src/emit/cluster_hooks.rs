//! The webhook configurations of a cluster: one webhook for each set of governed namespaces, and one for
//! changes to what is governed.
//!
//! etcd limits the size of one configuration, and the API server the length of one condition. Selectors that
//! differ only in the values of one label become one selector of all these values, which selects exactly the
//! same; if its condition grows too long, it is split by values again. Beyond [`MAX_SELECTORS`] or
//! [`MAX_BYTES`] there are several configurations. A hash of a webhook's purpose chooses its configuration,
//! and a hash of a value its part, so that one binding more or less moves few webhooks.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_policy::policy::{LabelOperator, LabelRequirement, LabelSelector, ResourceRule};
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhook,
    ValidatingWebhookConfiguration,
};

use super::artifact::{Target, sha256};
use super::cell::hooked;
use super::cluster::{ClusterOptions, Objects, ours_named, short};
use super::cluster_selectors::{Terms, selecting, unite};
use super::lost::IfLost;
use super::{EmitError, EmitOptions, selector, webhooks as hooks};
use crate::cluster::{InForce, Problem};

/// Most selectors in one configuration. Each makes up to four webhooks of about a kilobyte, with two
/// authorities during a rotation, and the API server records the manager of each field. Together that is less
/// than a third of the 1.5 MiB that etcd accepts, so the old and the new state fit next to each other.
pub const MAX_SELECTORS: usize = 32;

/// Most bytes of one configuration as JSON, with two authorities. A third of what etcd accepts, so that the
/// old and the new state fit next to each other, with the managers of their fields.
/// <https://etcd.io/docs/v3.6/dev-guide/limit/>
const MAX_BYTES: usize = 512 << 10;

/// Most characters of the condition of one webhook. The API server accepts 100,000
/// (<https://github.com/google/cel-go/blob/master/parser/parser.go>), and at a third of that three webhooks
/// with their selectors fit into a configuration.
const MAX_CONDITION: usize = 32_000;

/// Most configurations of a kind, a power of two; beyond that, each configuration grows.
const MAX_CONFIGURATIONS: usize = 256;

/// Most parts of one selector, a power of two: a million names.
const MAX_PARTS: usize = 1024;

/// PEM of two authorities. Counted instead of those in force, so that their rotation moves nothing.
const AUTHORITIES: usize = 1_536;

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
    /// Its identity: the first of the selectors that it combines, and which part of them it is.
    id: String,
    /// What it selects.
    extent: Extent,
    asked: Asked,
}

/// What a hook selects of the bindings' selectors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// One of them.
    One,
    /// Several, or some values of one: a namespace that another hook takes over is still governed.
    Shared,
}

/// Emits the webhook configurations.
///
/// # Errors
/// As for [`super::objects`].
pub fn webhooks(in_force: &InForce, options: &ClusterOptions) -> Result<Objects, EmitError> {
    let emit = options.emit();
    let mut asked: BTreeMap<LabelSelector, Asked> = BTreeMap::new();
    let known = in_force.policies().filter_map(IfLost::of);
    let lost = options.left.lost.values().map(|one| one.clone().unwrap_or_else(IfLost::unknown));
    for one in known.chain(lost) {
        let (mutated, validated) = asked.entry(hooked(one.namespaces, &emit)).or_default();
        mutated.extend(one.mutates);
        validated.extend(one.judges);
    }
    configurations(asked, &emit)
}

/// The configurations that make the API server send these requests.
fn configurations(asked: BTreeMap<LabelSelector, Asked>, emit: &EmitOptions) -> Result<Objects, EmitError> {
    let mut out = Objects::default();
    let counted = EmitOptions { ca_bundle: Some(vec![b'-'; AUTHORITIES]), ..emit.clone() };
    let sized = united(asked).into_iter().map(|hook| (bytes(&hook, &counted), hook)).collect();
    let parts = parts(sized);
    let sizes = parts.iter().map(|part| part.iter().map(|(bytes, _)| bytes).sum());
    out.problems.extend(sizes.max().and_then(crowded));
    for (at, hooks) in parts.into_iter().enumerate() {
        // Each kind has a path of its own, so that requests whose decision needs the API server are known
        // before they are read.
        let (mut mutating, mut validating) = match at {
            0 => (vec![own_mutating(emit)], vec![own_validating(emit)]),
            _ => (Vec::new(), Vec::new()),
        };
        for (_, hook) in hooks {
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
            let first = serde_json::to_string(first).unwrap_or_default();
            let alone = of.first().filter(|_| of.len() == 1).cloned();
            let extent = if alone.is_some() { Extent::One } else { Extent::Shared };
            let whole = Hook {
                namespaces: alone.unwrap_or_else(|| selecting(terms.clone())),
                id: short(&first),
                extent,
                asked: asked.clone(),
            };
            if left(&whole).len() <= MAX_CONDITION {
                all.push(whole);
                continue;
            }
            for (at, namespaces) in split(&terms).into_iter().enumerate() {
                let id = if at == 0 { whole.id.clone() } else { short(&format!("{first} {at}")) };
                all.push(Hook { namespaces, id, extent: Extent::Shared, asked: asked.clone() });
            }
        }
    }
    all.sort_by(|a, b| a.namespaces.cmp(&b.namespaces));
    all
}

/// Splits a selector by the values of the label that has most of them, until the conditions are short
/// enough: `key in A ∪ B` is `key in A or key in B`. One that lists no values stays whole.
fn split(terms: &Terms) -> Vec<LabelSelector> {
    let list = terms.iter().filter(|term| term.operator == LabelOperator::In);
    let Some(longest) = list.max_by_key(|term| term.values.len()) else {
        return vec![selecting(terms.clone())];
    };
    let rest: Terms = terms.iter().filter(|term| *term != longest).cloned().collect();
    let mut count = 2;
    loop {
        let mut values: Vec<Vec<String>> = vec![Vec::new(); count];
        for value in &longest.values {
            if let Some(part) = values.get_mut(place(value, count)) {
                part.push(value.clone());
            }
        }
        let part = |values| {
            let term = LabelRequirement { values, ..longest.clone() };
            selecting(rest.iter().cloned().chain([term]).collect())
        };
        let parts: Vec<LabelSelector> =
            values.into_iter().filter(|values| !values.is_empty()).map(part).collect();
        let fits = |part: &LabelSelector| was_selected(part).len() + changed(part).len() <= MAX_CONDITION;
        if count >= MAX_PARTS || parts.iter().all(fits) {
            return parts;
        }
        count *= 2;
    }
}

/// Which of so many parts something belongs to.
fn place(name: &str, parts: usize) -> usize {
    let hash = sha256(name.as_bytes());
    usize::from_str_radix(hash.get(..8).unwrap_or_default(), 16).unwrap_or(0) % parts
}

/// Splits hooks, each with its bytes, into parts within the limits. Their number is the smallest sufficient power of two, so a part
/// that grows is halved and no other part changes.
fn parts(hooks: Vec<(usize, Hook)>) -> Vec<Vec<(usize, Hook)>> {
    let mut count = 1;
    while count < MAX_CONFIGURATIONS {
        let mut sizes = vec![(0_usize, 0_usize); count];
        for (bytes, hook) in &hooks {
            if let Some((selectors, all)) = sizes.get_mut(place(&hook.id, count)) {
                *selectors += 1;
                *all += bytes;
            }
        }
        if sizes.iter().all(|(selectors, bytes)| *selectors <= MAX_SELECTORS && *bytes <= MAX_BYTES) {
            break;
        }
        count *= 2;
    }
    let mut parts: Vec<Vec<(usize, Hook)>> = (0..count).map(|_| Vec::new()).collect();
    for (bytes, hook) in hooks {
        if let Some(part) = parts.get_mut(place(&hook.id, count)) {
            part.push((bytes, hook));
        }
    }
    parts
}

/// What to say if the largest configuration is too large to be changed: the old and the new state together
/// no longer fit into etcd.
fn crowded(bytes: usize) -> Option<Problem> {
    let message = format!(
        "the namespace selectors of all bindings together do not fit into {MAX_CONFIGURATIONS} webhook configurations; let bindings differ in the values of one label"
    );
    (bytes > 2 * MAX_BYTES).then(|| Problem { bindings: Vec::new(), reason: "TooManySelectors", message })
}

/// The bytes of a hook's webhooks of both kinds; either kind has fewer.
fn bytes(hook: &Hook, emit: &EmitOptions) -> usize {
    let written = serde_json::to_string(&(mutate(hook, emit), validate(hook, emit)));
    written.map_or(0, |text| text.len())
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
    let condition = MatchCondition { name: "leaves".to_owned(), expression: left(hook) };
    ValidatingWebhook {
        name: format!("namespaces-{}.bailiwick.dev", hook.id),
        rules: hooks::with_operations(hooks::namespace_rules().into_iter().collect()),
        match_conditions: Some(vec![condition]),
        ..own_validating(options)
    }
}

/// The condition of [`leaving`].
fn left(hook: &Hook) -> String {
    match hook.extent {
        Extent::One => {
            format!("({}) && !({})", was_selected(&hook.namespaces), selected(&hook.namespaces, "object"))
        }
        Extent::Shared => {
            format!("({}) && ({})", was_selected(&hook.namespaces), changed(&hook.namespaces))
        }
    }
}

fn was_selected(namespaces: &LabelSelector) -> String {
    selected(namespaces, "oldObject")
}

fn selected(namespaces: &LabelSelector, of: &str) -> String {
    selector::cel(namespaces, &format!("{of}.metadata.?labels.orValue({{}})"))
}

/// Whether one of the labels changes that the selector uses.
fn changed(namespaces: &LabelSelector) -> String {
    let of = |of: &str, key: &str| format!("{of}.metadata.?labels[?{}]", selector::cel_string(key));
    let keys: BTreeSet<&str> = namespaces.match_expressions.iter().map(|term| term.key.as_str()).collect();
    let changes: Vec<String> =
        keys.iter().map(|key| format!("{} != {}", of("oldObject", key), of("object", key))).collect();
    changes.join(" || ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// A certificate authority's PEM has some seven hundred bytes, and there are two during a rotation.
    const PEM_BYTES: usize = 1_500;
    /// etcd accepts 1.5 MiB, the old state is briefly stored next to the new one, and the API server records
    /// field managers.
    const MOST_BYTES: usize = 512 << 10;

    fn one_of(key: &str, values: impl IntoIterator<Item = String>) -> LabelSelector {
        let values = values.into_iter().collect();
        let term = LabelRequirement { key: key.to_owned(), operator: LabelOperator::In, values };
        LabelSelector { match_expressions: vec![term], ..LabelSelector::default() }
    }

    /// The configurations for these selectors, each of which asks for the same.
    fn emitted(selectors: impl IntoIterator<Item = LabelSelector>) -> Objects {
        let connect = hooks::rule("", "v1", &["pods/exec"], &["CONNECT"]);
        let mutated = BTreeSet::from([hooks::rule("", "v1", &["pods"], &["CREATE"])]);
        let validated: BTreeSet<_> = hooks::pod_rules().into_iter().chain([connect]).collect();
        let asked = selectors.into_iter().map(|one| (one, (mutated.clone(), validated.clone())));
        let emit = EmitOptions { ca_bundle: Some(vec![b'x'; PEM_BYTES]), ..EmitOptions::default() };
        configurations(asked.collect(), &emit).unwrap()
    }

    /// All webhooks by name, after a look at what the API server and etcd accept.
    fn accepted(out: &Objects) -> BTreeMap<String, Value> {
        assert!(out.problems.is_empty(), "{:?}", out.problems);
        let mut all = BTreeMap::new();
        for object in &out.objects {
            let bytes = object.json.to_string().len();
            assert!(bytes < MOST_BYTES, "{} {} has {bytes} bytes", object.kind, object.name);
            for hook in object.json["webhooks"].as_array().unwrap() {
                for condition in hook["matchConditions"].as_array().into_iter().flatten() {
                    let length = condition["expression"].as_str().unwrap().chars().count();
                    assert!(length <= 100_000, "{length} characters");
                }
                let name = hook["name"].as_str().unwrap().to_owned();
                assert!(all.insert(name.clone(), hook.clone()).is_none(), "{name} twice");
            }
        }
        all
    }

    #[test]
    fn a_thousand_bindings_fit_into_configurations_that_are_stored() {
        let own = |labels: [(String, String); 1]| LabelSelector {
            match_labels: labels.into(),
            ..one_of("zone", ["agents".to_owned()])
        };
        let teams = (0..500).map(|one| own([("team".to_owned(), format!("t{one}"))]));
        // These have no label in common.
        let others = (0..500).map(|one| own([(format!("own-{one}"), "yes".to_owned())]));
        let out = emitted(teams.chain(others));
        assert!(out.objects.len() > 2, "{}", out.objects.len());
        let hooks = accepted(&out);
        let teams = |hook: &&Value| hook["namespaceSelector"].to_string().contains("\"t499\"");
        // Once each: 500 and the one for all teams, and two for our own kinds.
        for (start, count) in [("mutate-", 502), ("validate-", 502), ("connect-", 501), ("namespaces-", 501)]
        {
            assert_eq!(hooks.keys().filter(|name| name.starts_with(start)).count(), count, "{start}");
        }
        assert_eq!(
            hooks.values().filter(teams).count(),
            3,
            "one mutates, one validates and one is about connections, for all five hundred"
        );
    }

    /// Which names the webhooks that mutate select, by the webhook.
    fn selected_names(hooks: &BTreeMap<String, Value>) -> BTreeMap<&String, BTreeSet<String>> {
        let mutating = hooks.iter().filter(|(name, _)| name.starts_with("mutate-"));
        let values = |hook: &Value| -> BTreeSet<String> {
            let values = &hook["namespaceSelector"]["matchExpressions"][0]["values"];
            serde_json::from_value(values.clone()).unwrap_or_default()
        };
        mutating.map(|(name, hook)| (name, values(hook))).collect()
    }

    #[test]
    fn names_beyond_what_one_condition_may_list_are_split_and_each_is_selected_once() {
        let name = |at: usize| format!("{at:0>63}");
        // As many bindings, or one that lists them all.
        let many = emitted((0..5_000).map(|at| one_of("team", [name(at)])));
        let alone = emitted([one_of("team", (0..5_000).map(name))]);
        for out in [&many, &alone] {
            let hooks = accepted(out);
            let parts = selected_names(&hooks);
            assert!(parts.len() > 10, "{}", parts.len());
            assert_eq!(parts.values().map(BTreeSet::len).sum::<usize>(), 5_000);
            assert_eq!(parts.values().flatten().collect::<BTreeSet<_>>().len(), 5_000);
            let leaves = hooks.iter().filter(|(name, _)| name.starts_with("namespaces-"));
            for (_, hook) in leaves.filter(|(name, _)| *name != "validate-own.bailiwick.dev") {
                let condition = hook["matchConditions"][0]["expression"].as_str().unwrap();
                assert!(
                    condition.ends_with(
                        "(oldObject.metadata.?labels[?'team'] != object.metadata.?labels[?'team'])"
                    )
                );
            }
        }
        // One more changes one part.
        let more = accepted(&emitted((0..=5_000).map(|at| one_of("team", [name(at)]))));
        let before = accepted(&many);
        let (more, before) = (selected_names(&more), selected_names(&before));
        let changed = more.iter().filter(|(name, values)| before.get(*name) != Some(values));
        assert_eq!(changed.count(), 1);
    }

    #[test]
    fn what_is_short_enough_stays_one() {
        let out = emitted((0..400).map(|at| one_of("team", [format!("{at:0>63}")])));
        assert_eq!(selected_names(&accepted(&out)).len(), 2, "and the one for our own kinds");
    }

    #[test]
    fn more_than_fits_at_all_is_said() {
        assert_eq!(crowded(2 * MAX_BYTES), None);
        let problem = crowded(2 * MAX_BYTES + 1).expect("a problem");
        assert!(problem.bindings.is_empty() && problem.reason == "TooManySelectors", "{problem:?}");
    }
}
