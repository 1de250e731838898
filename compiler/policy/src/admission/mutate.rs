//! What is written into objects: authored mutations, in order, and then what `/mutate` adds itself.
//!
//! It adds to governed pods at CREATE: an absent `runtimeClassName` (the policy's default), an absent
//! pod-level `seccompProfile` (RuntimeDefault), an absent `automountServiceAccountToken` (false) and, always,
//! the cell label. Setting `automountServiceAccountToken` also removes the token volume that the
//! ServiceAccount plugin added: the plugin runs before webhooks and would otherwise already have decided.
//!
//! Refused: two writers of one field that disagree, whichever came first, and writing fields that identify or
//! place the pod. An existing pod's spec is immutable except for a few fields; on UPDATE a mutation of the
//! other fields is left out, because the API server would reject the whole request (see [`super::changeable`]).

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::authorization::Questions;
use crate::cel::Prepared;
use crate::decision::{Effect, Finding, PatchOp};
use crate::json::{Json, Map};
use crate::policy::{Action, AdmissionRule, MutateWhen, Mutation, PodSecurityLevel, ServiceAccountToken};

use super::changeable::Changeable;
use super::patch::{between, leaves};
use super::pointer::{escape, get, position, segments, set};
use super::ready::ReadyRule;
use super::reviewer::Bound;
use super::rules::{Budget, Cause, Failure, Inputs, Session, within_reach};
use super::sections::{CONTAINER_LISTS, Statement};
use super::templates::Place;
use super::{CELL_LABEL, apply, json_patch, targets};

/// Where the ServiceAccount plugin mounts a token, and how it names the volume.
/// <https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/admission/serviceaccount/admission.go>
const TOKEN_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_VOLUME: &str = "kube-api-access-";

/// An object that is being mutated.
pub(super) struct Draft<'m> {
    original: &'m Json<'m>,
    pub(super) object: Json<'m>,
    place: Option<Place>,
    changeable: Changeable<'m>,
    writes: BTreeMap<String, Write>,
    own: BTreeMap<String, (Json<'static>, String)>,
    pub(super) findings: Vec<Finding>,
}

/// The last value that was written to a leaf.
struct Write {
    /// `None`: removed.
    value: Option<Json<'static>>,
    /// `pack/rule`.
    writer: String,
}

/// Why a mutation was refused.
struct Refusal {
    message: String,
    /// As findings write it; empty: the object as a whole.
    field: String,
    cause: Cause,
}

impl Refusal {
    /// The mutation cannot apply to this object.
    const fn at(field: String, message: String) -> Self {
        Self { message, field, cause: Cause::Meaning }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { message: failure.message, field: String::new(), cause: failure.cause }
    }
}

/// The context of the object.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'m> {
    pub(super) old_object: Option<&'m Json<'m>>,
    pub(super) request: &'m Json<'m>,
    pub(super) namespace_object: Option<&'m Json<'m>>,
    pub(super) authorizer: &'m Questions<'m>,
    /// All policies in force: no policy's mutation may write a label that another policy's selector reads.
    pub(super) policies: &'m [Bound],
    pub(super) budget: &'m Budget,
}

impl<'m> Draft<'m> {
    /// A draft of an object. `place`: where its pod is.
    pub(super) fn new(original: &'m Json<'m>, place: Option<Place>, changeable: Changeable<'m>) -> Self {
        Self {
            original,
            object: original.clone(),
            place,
            changeable,
            writes: BTreeMap::new(),
            own: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// Applies the mutations of one rule, if its conditions hold.
    pub(super) fn author(&mut self, bound: &'m Bound, ready: ReadyRule<'m>, around: Surroundings<'m>) {
        let rule = ready.rule;
        if !rule.mutations.iter().any(|mutation| self.changeable.concerns(mutation)) {
            return;
        }
        let applies = Session::new(bound, self.inputs(around), around.budget).applies(ready);
        match applies {
            Ok(true) => {}
            Ok(false) => return,
            Err(failure) => return self.fail(bound, rule, failure.into()),
        }
        for (mutation, expression) in rule.mutations.iter().zip(&ready.ready.expressions.mutations) {
            if let Err(refusal) = self.mutate(bound, rule, (mutation, expression.as_ref()), around) {
                self.fail(bound, rule, refusal);
            }
        }
    }

    fn inputs<'s>(&'s self, around: Surroundings<'s>) -> Inputs<'s> {
        Inputs {
            object: &self.object,
            old_object: around.old_object,
            request: around.request,
            namespace_object: around.namespace_object,
            authorizer: around.authorizer,
            pod: (self.place == Some(Place::Pod)).then_some(&self.object),
        }
    }

    fn fail(&mut self, bound: &Bound, rule: &AdmissionRule, refusal: Refusal) {
        let Refusal { message, field, cause } = refusal;
        let mut finding = Finding {
            effect: match rule.action {
                Action::Deny => Effect::Deny,
                Action::Warn => Effect::Warn,
                Action::Audit => Effect::Audit,
            },
            pack: bound.pack_name(rule.origin.pack),
            rule: rule.name.clone(),
            message,
            field,
            remedy: None,
            reason: "Invalid".to_owned(),
        };
        bound.temper(&mut finding);
        self.findings.push(within_reach(finding, cause));
    }

    fn mutate(
        &mut self,
        bound: &'m Bound,
        rule: &'m AdmissionRule,
        (mutation, expression): (&'m Mutation, Option<&'m Prepared>),
        around: Surroundings<'m>,
    ) -> Result<(), Refusal> {
        let writer = format!("{}/{}", bound.pack_name(rule.origin.pack), rule.name);
        match mutation {
            Mutation::Field { path, when, value, .. } => {
                let after = self.with_field(path, *when, value, &writer)?;
                self.replace(after, &writer, around)
            }
            Mutation::JsonPatch { .. } => {
                let operations = self.evaluated(bound, expression, around)?;
                if !self.changeable.takes_some(&operations) {
                    return Ok(());
                }
                let mut after = self.object.clone();
                json_patch::apply(&mut after, &operations)
                    .map_err(|message| Refusal::at(String::new(), message))?;
                self.replace(after, &writer, around)
            }
            Mutation::ApplyConfiguration { .. } => {
                let partial = self.changeable.pruned(self.evaluated(bound, expression, around)?);
                let mut after = self.object.clone();
                match apply::merge(&mut after, partial) {
                    Ok(()) => self.replace(after, &writer, around),
                    // What cannot be merged there could not be written there either.
                    Err((_, path)) if !self.changeable.takes(&path) => Ok(()),
                    Err((message, path)) => Err(Refusal::at(targets::field(&path), message)),
                }
            }
        }
    }

    /// The value of a mutation's expression.
    fn evaluated(
        &self,
        bound: &'m Bound,
        expression: Option<&'m Prepared>,
        around: Surroundings<'m>,
    ) -> Result<Json<'static>, Refusal> {
        let nothing = || Refusal::at(String::new(), "the mutation has no expression".to_owned());
        let expression = expression.ok_or_else(nothing)?;
        let mut session = Session::new(bound, self.inputs(around), around.budget);
        Ok(session.mutation(expression)?)
    }

    /// The object with a value at every target of a field path.
    fn with_field(
        &self,
        path: &[String],
        when: MutateWhen,
        value: &'m serde_json::Value,
        writer: &str,
    ) -> Result<Json<'m>, Refusal> {
        let present = |object: &Json<'m>, target: &[String]| {
            get(object, target).is_some_and(|value| *value != Json::Null)
        };
        let mut after = self.object.clone();
        for target in targets::expand(&self.object, path) {
            let value = Json::from(value);
            if when == MutateWhen::Absent && present(&self.object, &target) {
                if !present(self.original, &target) && get(&self.object, &target) != Some(&value) {
                    return Err(self.disagreement(&target, writer));
                }
            } else if self.changeable.takes(&target) {
                set(&mut after, &target, value)
                    .map_err(|error| Refusal::at(targets::field(&target), error.to_string()))?;
            }
        }
        Ok(after)
    }

    /// Accepts a mutated object if its writer may write what it changes.
    fn replace(&mut self, after: Json<'m>, writer: &str, around: Surroundings<'m>) -> Result<(), Refusal> {
        let after = self.changeable.kept(&self.object, after);
        let changes = changes(&self.object, &after);
        if matches!(self.changeable, Changeable::StoredPod)
            && changes.iter().any(|(path, _)| targets::immutable_in_stored_pod(path))
        {
            return Ok(());
        }
        let selected = |label: &str| around.policies.iter().any(|bound| bound.selects_by(label));
        for (path, _) in &changes {
            if let Some(why) = targets::forbidden(path, self.place, selected) {
                return Err(Refusal::at(targets::field(path), format!("no mutation may write {why}")));
            }
        }
        for (pointer, write) in &self.writes {
            let path = segments(pointer).unwrap_or_default();
            if write.writer != writer && get(&after, &path) != write.value.as_ref() {
                return Err(self.disagreement(&path, writer));
            }
        }
        for (path, value) in changes {
            let pointer: String = path.iter().map(|segment| format!("/{}", escape(segment))).collect();
            // A list that became shorter: nobody wrote into the positions that it no longer has.
            if value.is_none() && is_past_end(&after, &path) {
                self.writes.remove(&pointer);
                continue;
            }
            self.writes.insert(pointer, Write { value, writer: writer.to_owned() });
        }
        self.object = after;
        Ok(())
    }

    fn disagreement(&self, target: &[String], writer: &str) -> Refusal {
        let pointer: String = target.iter().map(|segment| format!("/{}", escape(segment))).collect();
        let under = format!("{pointer}/");
        let other = self.writes.iter().find(|(path, _)| **path == pointer || path.starts_with(&under));
        let other = other.map_or("another mutation", |(_, write)| write.writer.as_str());
        Refusal::at(targets::field(target), format!("`{writer}` and `{other}` write different values"))
    }

    /// What `/mutate` adds itself for one policy.
    pub(super) fn own(&mut self, bound: &Bound) {
        let isolation = &bound.policy.isolation;
        if let Some(stated) = &isolation.runtime_class
            && let Some(class) = stated.value.default_class()
        {
            if self.text_at(&["spec", "runtimeClassName"]).is_some_and(str::is_empty) {
                let _ = set(&mut self.object, &owned(&["spec", "runtimeClassName"]), Json::Null);
            }
            let name = Json::Str(Cow::Owned(class.name.clone()));
            self.own_default(bound, "runtimeClass", &["spec", "runtimeClassName"], name);
        }
        let confined =
            isolation.pod_security.iter().any(|one| one.value.level != PodSecurityLevel::Privileged);
        // The API server rejects Linux security fields in a Windows pod.
        if confined && self.text_at(&["spec", "os", "name"]) != Some("windows") {
            let kind = (Cow::Borrowed("type"), Json::Str(Cow::Borrowed("RuntimeDefault")));
            let profile = Json::Map(std::iter::once(kind).collect());
            self.own_default(bound, "podSecurity", &["spec", "securityContext", "seccompProfile"], profile);
        }
        let token = isolation.service_account_token.as_ref().map(|stated| stated.value);
        if token == Some(ServiceAccountToken::Forbidden) {
            let path = ["spec", "automountServiceAccountToken"];
            if self.own_default(bound, "serviceAccountToken", &path, Json::Bool(false)) == Wrote::Yes {
                remove_token_volumes(&mut self.object);
            }
        }
    }

    fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.object.at(path).and_then(Json::as_str)
    }

    /// Writes a default of our own into an absent field. A value that another policy wrote there must be the
    /// same.
    fn own_default(
        &mut self,
        bound: &Bound,
        rule: &'static str,
        path: &[&str],
        value: Json<'static>,
    ) -> Wrote {
        let writer = format!("{}/{rule}", bound.pack_labels().collect::<Vec<_>>().join(", "));
        let path = owned(path);
        let field = targets::field(&path);
        if get(&self.object, &path).is_some_and(|present| *present != Json::Null) {
            if let Some((other, by)) = self.own.get(&field).filter(|(other, _)| *other != value) {
                let message = format!(
                    "`{writer}` and `{by}` write different values: {} and {}",
                    shown(&value),
                    shown(other)
                );
                let statement = Statement { rule, message, field, remedy: "write the field yourself" };
                self.findings.push(bound.denial(&[], statement));
            }
            return Wrote::No;
        }
        match set(&mut self.object, &path, value.clone()) {
            Ok(()) => {
                self.own.insert(field, (value, writer));
                Wrote::Yes
            }
            Err(error) => {
                let statement = Statement { rule, message: error.to_string(), field, remedy: "" };
                self.findings.push(bound.denial(&[], statement));
                Wrote::No
            }
        }
    }

    /// Stamps the cell. A pod cannot choose another: a label that it brings is replaced.
    pub(super) fn stamp(&mut self, cell: &str) {
        let path = owned(&["metadata", "labels", CELL_LABEL]);
        // Cannot fail for a pod whose shape was checked: metadata and labels are objects or absent.
        let _ = set(&mut self.object, &path, Json::Str(Cow::Owned(cell.to_owned())));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrote {
    Yes,
    No,
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|segment| (*segment).to_owned()).collect()
}

fn shown(value: &Json<'_>) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The leaves that differ, with their new value; `None` for removed ones.
fn changes(before: &Json<'_>, after: &Json<'_>) -> Vec<(Vec<String>, Option<Json<'static>>)> {
    let mut found = BTreeMap::new();
    for operation in between(before, after) {
        let Ok(path) = segments(&operation.path) else {
            continue;
        };
        if operation.op != PatchOp::Add
            && let Some(value) = get(before, &path)
        {
            for (leaf, value) in leaves(&operation.path, value) {
                let leaf = segments(&leaf).unwrap_or_default();
                if get(after, &leaf) != Some(value) {
                    found.insert(leaf, None);
                }
            }
        }
        if operation.op != PatchOp::Remove
            && let Some(value) = get(after, &path)
        {
            for (leaf, value) in leaves(&operation.path, value) {
                let leaf = segments(&leaf).unwrap_or_default();
                if get(before, &leaf) != Some(value) {
                    found.insert(leaf, Some(value.clone().into_owned()));
                }
            }
        }
    }
    found.into_iter().collect()
}

/// Whether a path runs through a position that its list does not have.
fn is_past_end(object: &Json<'_>, path: &[String]) -> bool {
    let mut here = object;
    for segment in path {
        let next = match here {
            Json::Map(members) => members.get(segment),
            Json::List(items) => match position(segment) {
                Some(at) if at >= items.len() => return true,
                at => at.and_then(|at| items.get(at)),
            },
            _ => None,
        };
        let Some(next) = next else { return false };
        here = next;
    }
    false
}

/// Removes the volumes of the ServiceAccount plugin and their mounts.
fn remove_token_volumes(pod: &mut Json<'_>) {
    let Some(Json::Map(spec)) = pod_spec(pod) else {
        return;
    };
    let mut removed = Vec::new();
    retain(spec, "volumes", |volume| {
        let name = volume.get("name").and_then(Json::as_str).unwrap_or_default();
        let token = volume.at(&["projected", "sources"]).is_some_and(|sources| {
            sources.items().iter().any(|source| source.get("serviceAccountToken").is_some())
        });
        let plugins = token && name.starts_with(TOKEN_VOLUME);
        if plugins {
            removed.push(name.to_owned());
        }
        !plugins
    });
    for list in CONTAINER_LISTS {
        let Some(Json::List(containers)) = spec.get_mut(list) else {
            continue;
        };
        for container in containers {
            if let Json::Map(container) = container {
                retain(container, "volumeMounts", |mount| {
                    let name = mount.get("name").and_then(Json::as_str).unwrap_or_default();
                    let path = mount.get("mountPath").and_then(Json::as_str).unwrap_or_default();
                    !(path == TOKEN_MOUNT && removed.iter().any(|one| one == name))
                });
            }
        }
    }
}

fn pod_spec<'j, 'a>(pod: &'j mut Json<'a>) -> Option<&'j mut Json<'a>> {
    match pod {
        Json::Map(members) => members.get_mut("spec"),
        _ => None,
    }
}

/// Filters a member list; a list that becomes empty is removed, as the API server would not have stored one.
fn retain(map: &mut Map<'_>, member: &str, keep: impl FnMut(&Json<'_>) -> bool) {
    let Some(Json::List(items)) = map.get_mut(member) else {
        return;
    };
    let before = items.len();
    items.retain(keep);
    if items.is_empty() && before > 0 {
        map.remove(member);
    }
}
