//! The steps between webhook configurations: which are in force, which a pass asks for, which step follows.
//! Pure.
//!
//! Rules may move from one configuration to another, and the API server takes one configuration at a time.
//! In between, every request that was covered before and is covered afterwards must be covered. What was in
//! force is therefore remembered, and read from the cluster after a restart. But what stands proves nothing: it
//! may have been edited while no operator ran. So it is only kept beside the newest, for the step to them, and
//! these are asked for even while not enough replicas decide by them.
//!
//! ```text
//!                 in force            asked for
//!  first pass     1: a, b             1: a, before-b   2: b     each keeps its rules beside the new ones
//!  second pass    1: a, before-b  2: b     1: a   2: b          all of the newest are there: they alone
//! ```
//!
//! Terms. *Newest*: the configurations that cover everything that is in force now.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Stance;
use crate::kind::Kind;
use crate::mirror::View;
use crate::object::{Key, Wanted};

/// The kinds of webhook configurations. Each configuration exists once of each kind.
pub const KINDS: [Kind; 2] = [Kind::MutatingWebhookConfiguration, Kind::ValidatingWebhookConfiguration];

/// The webhook configurations in force, as far as this operator knows. Empty while none is, and until
/// [`Configurations::take_up`] after a restart.
#[derive(Debug, Default)]
pub struct Configurations {
    in_force: BTreeMap<Key, Wanted>,
    /// Whether those are what stood in the cluster when this operator started.
    found: bool,
}

impl Configurations {
    /// Whether none is known to be in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.in_force.is_empty()
    }

    /// The keys of those in force.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.in_force.keys()
    }

    /// After a restart, takes up those that exist in the cluster: no step may skip what they ask about.
    pub fn take_up(&mut self, view: &View, newest: &BTreeMap<Key, Wanted>, owner: &str) {
        if self.in_force.is_empty() {
            self.in_force = standing(view, newest, owner);
            self.found = true;
        }
    }

    /// The configurations that a pass asks for. Without a stance that wants them, none stays in force.
    pub fn ask(
        &mut self,
        stance: Stance,
        newest: &BTreeMap<Key, Wanted>,
        owner: &str,
    ) -> BTreeMap<Key, Wanted> {
        match stance {
            Stance::Away(_) => self.in_force.clear(),
            Stance::Newest => return step(&self.in_force, newest, owner),
            Stance::Before if self.found => return step(&self.in_force, newest, owner),
            Stance::Before => self.in_force = with_bundle(&self.in_force, newest, owner),
        }
        self.in_force.clone()
    }

    /// The step towards the newest was written. Returns whether a pass must follow: for the next step, or
    /// for the record, which counts the configurations only when they exist.
    pub fn stepped(&mut self, newest: &BTreeMap<Key, Wanted>, owner: &str) -> bool {
        let stand = step(&self.in_force, newest, owner);
        let follows = self.in_force.len() != stand.len() || stand != *newest;
        (self.in_force, self.found) = (stand, false);
        follows
    }

    /// What was asked for where those in force are to stay was written.
    pub fn renewed(&mut self, newest: &BTreeMap<Key, Wanted>, owner: &str) {
        if self.found {
            self.stepped(newest, owner);
        }
    }

    /// How many of each kind exist from before this pass until after it: one that is missing was deleted by
    /// hand.
    #[must_use]
    pub fn throughout(&self, stance: Stance, newest: &BTreeMap<Key, Wanted>) -> usize {
        let of_each = |of: &BTreeMap<Key, Wanted>| {
            let number = |kind| of.keys().filter(|key| key.kind == kind).count();
            KINDS.map(number).into_iter().max().unwrap_or_default()
        };
        let stand = of_each(&self.in_force);
        if stance == Stance::Newest { stand.min(of_each(newest)) } else { stand }
    }

    /// Whether there are some, each in both kinds. Those of an operator that wrote one kind and died, or had no
    /// answer for the other, are not: to call them armed would make the missing one a deletion by hand.
    #[must_use]
    pub fn are_whole(&self) -> bool {
        let known = |key: &Key, kind| self.in_force.contains_key(&Key { kind, ..key.clone() });
        !self.is_empty() && self.keys().all(|key| KINDS.into_iter().all(|kind| known(key, kind)))
    }

    /// Whether the newest are fewer. Fewer are taken for a deletion by hand until the record counts them.
    #[must_use]
    pub fn shrink_to(&self, newest: &BTreeMap<Key, Wanted>) -> bool {
        self.in_force.len() > newest.len()
    }
}

/// The configurations that were in force, with the authorities that are trusted now: these change whatever
/// the replicas decide by.
fn with_bundle(
    before: &BTreeMap<Key, Wanted>,
    newest: &BTreeMap<Key, Wanted>,
    owner: &str,
) -> BTreeMap<Key, Wanted> {
    let bundle = newest.values().find_map(|one| one.manifest.pointer("/webhooks/0/clientConfig/caBundle"));
    let renewed = before.values().filter_map(|one| {
        let mut manifest = one.manifest.clone();
        for hook in manifest.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
            if let (Some(client), Some(bundle)) =
                (hook.get_mut("clientConfig").and_then(Value::as_object_mut), bundle)
            {
                client.insert("caBundle".to_owned(), bundle.clone());
            }
        }
        Wanted::new(manifest, owner).ok()
    });
    renewed.map(|one| (one.key.clone(), one)).collect()
}

/// The configurations that exist in the cluster. They are made to fail closed, to leave out no object and to ask
/// this webhook, however they were edited while no operator ran.
fn standing(view: &View, newest: &BTreeMap<Key, Wanted>, owner: &str) -> BTreeMap<Key, Wanted> {
    let live = KINDS.into_iter().flat_map(|kind| view.of(kind)).filter(|live| live.owned_by(owner));
    let stand = live.filter_map(|live| {
        let one = newest.values().find(|one| one.key.kind == live.key.kind)?;
        let mut webhooks = live.body.get("webhooks")?.clone();
        for hook in webhooks.as_array_mut()?.iter_mut().filter_map(Value::as_object_mut) {
            hook.insert("failurePolicy".to_owned(), json!("Fail"));
            hook.insert("matchPolicy".to_owned(), json!("Equivalent"));
            hook.remove("objectSelector");
            // A default, which ours do not state.
            if hook.get("namespaceSelector") == Some(&json!({})) {
                hook.remove("namespaceSelector");
            }
            let rules = hook.get_mut("rules").and_then(Value::as_array_mut);
            for rule in rules.into_iter().flatten().filter_map(Value::as_object_mut) {
                rule.remove("scope");
            }
            let client = client(hook.get("name").and_then(Value::as_str).unwrap_or_default(), one)?;
            hook.insert("clientConfig".to_owned(), client);
        }
        let mut manifest = one.manifest.clone();
        manifest.as_object_mut()?.insert("webhooks".to_owned(), webhooks);
        manifest.pointer_mut("/metadata")?.as_object_mut()?.insert("name".to_owned(), json!(live.key.name));
        Wanted::new(manifest, owner).ok()
    });
    stand.map(|one| (one.key.clone(), one)).collect()
}

/// The next step towards the newest configurations. A single configuration is written in one step. Of several
/// that change, each at first keeps its current rules next to the new ones: otherwise, rules that move from
/// one configuration to another would for a moment be in neither.
fn step(
    before: &BTreeMap<Key, Wanted>,
    newest: &BTreeMap<Key, Wanted>,
    owner: &str,
) -> BTreeMap<Key, Wanted> {
    let is_there = |key: &Key, hook: &Value| {
        before.get(key).is_some_and(|one| webhooks(one).any(|old| is_same(old, hook)))
    };
    let alone = before.len().max(newest.len()) <= KINDS.len();
    let all_there = || newest.iter().all(|(key, one)| webhooks(one).all(|hook| is_there(key, hook)));
    if before.is_empty() || alone || all_there() {
        return newest.clone();
    }
    let mut step = newest.clone();
    for (key, one) in before {
        let Some(new) = newest.get(key) else {
            step.insert(key.clone(), one.clone());
            continue;
        };
        let mut all: Vec<Value> = webhooks(new).cloned().collect();
        for old in webhooks(one).filter(|old| !webhooks(new).any(|hook| is_same(old, hook))) {
            let mut old = old.clone();
            let name = old.get("name").and_then(Value::as_str).unwrap_or_default();
            let name = format!("before-{}", name.trim_start_matches("before-"));
            if all.iter().all(|hook| hook.get("name").and_then(Value::as_str) != Some(name.as_str())) {
                set(&mut old, "name", json!(name));
                all.push(old);
            }
        }
        let mut manifest = new.manifest.clone();
        set(&mut manifest, "webhooks", Value::Array(all));
        if let Ok(both) = Wanted::new(manifest, owner) {
            step.insert(key.clone(), both);
        }
    }
    step
}

fn webhooks(of: &Wanted) -> impl Iterator<Item = &Value> {
    of.manifest.get("webhooks").and_then(Value::as_array).into_iter().flatten()
}

fn set(of: &mut Value, member: &str, value: Value) {
    if let Some(members) = of.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}

/// Whether two webhooks are the same except for the authorities that they trust.
fn is_same(a: &Value, b: &Value) -> bool {
    let without = |hook: &Value| {
        let mut hook = hook.clone();
        if let Some(client) = hook.get_mut("clientConfig") {
            set(client, "caBundle", Value::Null);
        }
        hook
    };
    without(a) == without(b)
}

/// Where a webhook is reached: like the newest ones, at the path of its purpose, which its name begins with.
fn client(name: &str, newest: &Wanted) -> Option<Value> {
    let mut client = webhooks(newest).next()?.get("clientConfig")?.clone();
    let (purpose, rest) = name.trim_start_matches("before-").split_once('-').unwrap_or(("", name));
    let path = match (purpose, rest.starts_with("own.")) {
        ("mutate", true) => "/own/mutate",
        ("mutate", false) => "/mutate",
        ("connect", _) => "/connect",
        ("namespaces", _) | (_, true) => "/own/validate",
        _ => "/validate",
    };
    if let Some(at) = client.pointer_mut("/service/path") {
        *at = json!(path);
    } else if let Some(url) = client.get_mut("url") {
        // The longer ones first: they end like the shorter ones.
        let paths = ["/own/mutate", "/own/validate", "/connect", "/mutate", "/validate"];
        let base = paths.iter().find_map(|path| url.as_str()?.strip_suffix(path))?;
        *url = json!(format!("{base}{path}"));
    }
    Some(client)
}

#[cfg(test)]
mod tests;
