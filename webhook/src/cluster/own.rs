//! Reviews of the objects that decide who is governed: packs, bindings, exceptions, pools, and namespaces
//! that leave a pack's reach.
//!
//! An object that is invalid in itself is denied. A reference to something that does not exist yet is only a
//! warning, so that objects may be applied in any order; the operator's conditions report it later. A change
//! that may allow what was denied before needs the verb `widen` on the pack, which the webhook checks with
//! the API server for the requesting user.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_compiler::cluster::{
    Asked, Binding, BoundPolicy, InForce, LOCK_ANNOTATION, MAX_EXCEPTION_S, Reason, Widening, opens, widens,
};
use bailiwick_compiler::diagnostic::{Diagnostic, Severity};
use bailiwick_crds::binding::{PolicyBindingSpec, PolicyExceptionSpec};
use bailiwick_crds::sandbox_pool::SandboxPoolSpec;
use bailiwick_policy::admission::{AdmissionRequest, Moment, Operation, Phase};
use bailiwick_policy::decision::{Decision, Effect, Finding, PatchOp, PatchOperation};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use super::authorizer;
use super::{Cluster, Held, Known};
use crate::user::UserInfo;

/// The source of findings that belong to no pack.
const US: &str = "bailiwick";

/// The label that the API server keeps equal to a namespace's name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Codes of findings about other packs, which may be added later.
const UNRESOLVED: [&str; 5] = ["BW0206", "BW0207", "BW0208", "BW0209", "BW0210"];

/// The largest object that etcd stores, by its default `--max-request-bytes`. A larger pack is not compiled, which would
/// take three hundred times its size.
const MAX_STORED: usize = 1_572_864;

/// The fields of the request that are read here.
struct Request<'a> {
    kind: &'a str,
    operation: Operation,
    name: &'a str,
    namespace: &'a str,
    object: Option<Json>,
    old: Option<Json>,
    user: UserInfo,
}

impl Request<'_> {
    /// The object's name. When a collection is deleted as a whole, the API server sends each object, but no
    /// name.
    fn name(&self) -> &str {
        let told = [&self.old, &self.object].into_iter().flatten();
        let mut named = told.filter_map(|object| object.pointer("/metadata/name")?.as_str());
        if self.name.is_empty() { named.next().unwrap_or_default() } else { self.name }
    }
}

/// The findings so far.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    patch: Vec<PatchOperation>,
}

impl Found {
    fn say(&mut self, effect: Effect, pack: &str, rule: &str, field: &str, message: String, remedy: &str) {
        self.findings.push(Finding {
            effect,
            pack: pack.to_owned(),
            rule: rule.to_owned(),
            message,
            field: field.to_owned(),
            remedy: (!remedy.is_empty()).then(|| remedy.to_owned()),
            reason: "Forbidden".to_owned(),
        });
    }

    fn deny(&mut self, rule: &str, field: &str, message: String, remedy: &str) {
        self.say(Effect::Deny, US, rule, field, message, remedy);
    }

    fn warn(&mut self, rule: &str, field: &str, message: String) {
        self.say(Effect::Warn, US, rule, field, message, "");
    }

    fn decision(mut self) -> Decision {
        self.findings.sort_by_key(|finding| finding.effect);
        let allowed = !self.findings.iter().any(|finding| finding.effect == Effect::Deny);
        let patch = if allowed { self.patch } else { Vec::new() };
        Decision { allowed, cells: Vec::new(), findings: self.findings, audit_annotations: Vec::new(), patch }
    }
}

/// Decides on a request about our own kinds or a namespace.
///
/// # Errors
/// Why it cannot be judged; it is then refused.
pub(crate) async fn own(
    cluster: &Cluster,
    request: &AdmissionRequest<'_>,
    phase: Phase,
    now: Moment,
    by: By,
) -> Result<Decision, String> {
    let json = |json: &bailiwick_policy::json::Json<'_>| serde_json::to_value(json).unwrap_or_default();
    let user = UserInfo::of(request)?;
    let request = Request {
        kind: &request.resource.resource,
        operation: request.operation,
        name: &request.name,
        namespace: &request.namespace,
        object: request.object.as_ref().map(json),
        old: request.old_object.as_ref().map(json),
        user,
    };
    let mut found = Found::default();
    if phase == Phase::Mutate {
        stamped(&request, &mut found);
        return Ok(found.decision());
    }
    let known = cluster.known();
    let judge = Judge { cluster, known: &known, request: &request, by };
    match request.kind {
        "policypacks" => judge.pack(&mut found).await?,
        "policybindings" => judge.binding(&mut found).await?,
        "policyexceptions" => judge.exception(now, &mut found)?,
        "sandboxpools" => judge.pool(&mut found)?,
        "namespaces" => judge.namespace(&mut found).await?,
        other => return Err(format!("nothing is known of `{other}` here")),
    }
    Ok(found.decision())
}

/// Writes the requesting user's name into an exception.
fn stamped(request: &Request<'_>, found: &mut Found) {
    if request.kind == "policyexceptions" && request.operation == Operation::Create {
        let value = Some(json!(request.user.username));
        found.patch.push(PatchOperation { op: PatchOp::Add, path: "/spec/approver".to_owned(), value });
    }
}

/// The spec of an object as its kind.
fn spec<T: DeserializeOwned>(object: Option<&Json>) -> Result<Option<T>, String> {
    let Some(spec) = object.and_then(|object| object.get("spec")) else { return Ok(None) };
    serde_json::from_value(spec.clone())
        .map(Some)
        .map_err(|error| format!("the spec cannot be read: {error}"))
}

/// A string in an object's spec; empty if it is not a string.
fn text<'a>(object: Option<&'a Json>, member: &str) -> &'a str {
    let spec = object.and_then(|object| object.get("spec"));
    spec.and_then(|spec| spec.get(member)).and_then(Json::as_str).unwrap_or_default()
}

/// The lock of a pack, as stored.
fn lock(pack: &Json) -> Option<&Json> {
    pack.pointer("/metadata/annotations")?.get(LOCK_ANNOTATION)
}

/// The result of compiling a pack that is to be published.
struct Published {
    /// Its errors.
    errors: Vec<Diagnostic>,
    /// Packs and bindings whose policies would change with it.
    renewed: BTreeSet<(String, String)>,
}

impl Published {
    /// # Errors
    /// It could not be bound at all.
    fn of(known: &Known, object: &Json) -> Result<Self, String> {
        let mut packs = known.packs.clone();
        packs.add(object).map_err(|error| error.to_string())?;
        let (name, version) = (text(Some(object), "pack"), text(Some(object), "version"));
        let compiled = Asked::new(&packs).check(name, version);
        let found = compiled.iter().flat_map(|compiled| compiled.all());
        let errors = found.filter(|one| one.severity == Severity::Error).cloned().collect();
        let renewed = known.in_force.renewed(name, &packs);
        let renewed = renewed.map(|bound| (bound.pack.name.clone(), bound.binding.clone())).collect();
        Ok(Self { errors, renewed })
    }
}

struct Judge<'a> {
    cluster: &'a Cluster,
    known: &'a Arc<Known>,
    request: &'a Request<'a>,
    by: By,
}

/// Until when a review is judged, and what it holds.
pub(super) struct By {
    pub(super) until: Instant,
    pub(super) held: Option<Arc<Held>>,
}

impl Judge<'_> {
    async fn compiled<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        self.cluster.compiled(self.by.until, self.by.held.clone(), work).await
    }

    /// A pack that is invalid in itself, or that changes or is deleted while bound.
    async fn pack(&self, found: &mut Found) -> Result<(), String> {
        let request = self.request;
        if request.operation == Operation::Delete {
            if let Some(bound) = self.bound_to(request.old.as_ref()) {
                let message = format!("binding `{}` keeps this pack in force", bound.binding);
                let remedy = "bind another version or delete the binding first";
                found.deny("bound", "metadata.name", message, remedy);
            }
            return Ok(());
        }
        let Some(object) = &request.object else { return Ok(()) };
        if let Some(old) = &request.old {
            if old.get("spec") != object.get("spec") {
                let message = "the spec of a published version does not change".to_owned();
                found.deny("immutable", "spec", message, "publish another version");
            } else if lock(old) != lock(object)
                && let Some(bound) = self.bound_to(Some(old))
            {
                let message = format!(
                    "binding `{}` keeps this pack in force, and the lock says which packs it is met with",
                    bound.binding
                );
                found.deny("immutable", "metadata.annotations", message, "publish another version");
            }
            return Ok(());
        }
        let length = serde_json::to_vec(object).map_or(usize::MAX, |json| json.len());
        if length > MAX_STORED {
            let message = format!("it has {length} bytes, and the API server stores {MAX_STORED} at most");
            found.deny("pack", "spec", message, "split it, and let one pack extend the others");
            return Ok(());
        }
        let (known, published) = (Arc::clone(self.known), object.clone());
        let published = self.compiled(move || Published::of(&known, &published)).await?;
        let published = match published {
            Ok(published) => published,
            Err(error) => {
                found.deny("pack", "spec", error, "publish another version");
                return Ok(());
            }
        };
        for diagnostic in published.errors {
            let (rule, at) = (diagnostic.code.id(), diagnostic.at.to_string());
            if UNRESOLVED.contains(&rule) || diagnostic.pack.is_some() {
                found.warn(rule, &at, diagnostic.message.clone());
            } else {
                found.deny(rule, &at, diagnostic.message.clone(), &diagnostic.help);
            }
        }
        for (pack, binding) in published.renewed {
            let why = format!("binding `{binding}` would take this version, since `{pack}` extends it");
            self.may_widen(&pack, "widen", "spec", &why, found).await?;
        }
        Ok(())
    }

    /// The policy in force that a pack is a part of. An object that only claims to be that version is a part of none.
    fn bound_to(&self, pack: Option<&Json>) -> Option<&BoundPolicy> {
        if pack.is_some_and(|pack| self.known.packs.is_another(pack)) {
            return None;
        }
        let (name, version) = (text(pack, "pack"), text(pack, "version"));
        self.known
            .in_force
            .policies()
            .find(|bound| bound.policy.packs.iter().any(|pack| pack.name == name && pack.version == version))
    }

    /// A binding that widens, or that names what does not exist.
    async fn binding(&self, found: &mut Found) -> Result<(), String> {
        let request = self.request;
        let (old, new): (Option<PolicyBindingSpec>, Option<PolicyBindingSpec>) =
            (spec(request.old.as_ref())?, spec(request.object.as_ref())?);
        let pack = old.as_ref().or(new.as_ref()).map(|spec| spec.pack.name.clone()).unwrap_or_default();
        // Deleting a binding that was never in force removes nothing.
        let in_force = self.known.in_force.policy(request.name()).is_some();
        if let Widening::Perhaps(why) = widens(old.as_ref(), new.as_ref())
            && in_force
        {
            self.may_widen(
                &pack,
                "widen",
                "spec",
                &format!("{why}, which may let through what `{pack}` refuses"),
                found,
            )
            .await?;
        }
        let Some(new) = &new else { return Ok(()) };
        let (known, name, spec) = (Arc::clone(self.known), request.name().to_owned(), new.clone());
        let compiling = move || {
            let mut alone = InForce::default();
            let verdicts = alone.update(&[Binding { name: &name, spec: &spec, status: None }], &known.packs);
            // A policy that already governs the same subjects opens nothing for them.
            let before = known.in_force.policy(&name).map(|bound| &bound.policy.subject);
            let now = alone.policy(&name).filter(|new| before != Some(&new.policy.subject));
            let opened = now.and_then(|new| opens(&known.in_force, new)).map(str::to_owned);
            (verdicts, opened)
        };
        let (verdicts, opened) = self.compiled(compiling).await?;
        for verdict in verdicts {
            match verdict.reason {
                Reason::Compiled => {
                    if let Some(pack) = opened.as_deref() {
                        let why = format!(
                            "`{pack}` denies pods of its namespaces that nothing selects, and this selects some"
                        );
                        self.may_widen(pack, "widen", "spec", &why, found).await?;
                    }
                }
                Reason::UnknownPack | Reason::UnknownVersion | Reason::UnknownDigest => {
                    found.warn(verdict.reason.as_str(), "spec.pack", verdict.message);
                }
                Reason::BadSelector => {
                    found.deny(
                        "BadSelector",
                        "spec.narrowTo",
                        verdict.message,
                        "narrow to a part of the pack's subjects",
                    );
                }
                Reason::GovernsNobody => {
                    found.deny(
                        "GovernsNobody",
                        "spec.pack",
                        verdict.message,
                        "bind a pack that has `subjects`",
                    );
                }
                Reason::DoesNotCompile => self.choices(&verdict.diagnostics, verdict.message, found),
            }
        }
        Ok(())
    }

    /// Values that the pack does not accept are errors of the binding; the pack's own errors are reported in
    /// its status.
    fn choices(&self, diagnostics: &[Diagnostic], message: String, found: &mut Found) {
        let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error);
        let chosen: Vec<_> = errors.filter(|one| one.at.to_string().starts_with("bindings")).collect();
        if chosen.is_empty() {
            found.warn(Reason::DoesNotCompile.as_str(), "spec.pack", message);
        }
        for one in chosen {
            let field = one.at.to_string().replacen("bindings", "spec.parameters", 1);
            found.deny(one.code.id(), &field, one.message.clone(), &one.help);
        }
    }

    /// An exception must be in its namespace, end within its allowed time, and carry the name of the user who
    /// made it.
    fn exception(&self, now: Moment, found: &mut Found) -> Result<(), String> {
        let request = self.request;
        let Some(new) = spec::<PolicyExceptionSpec>(request.object.as_ref())? else { return Ok(()) };
        let home = &self.cluster.policy_namespace;
        if request.namespace != home {
            let message = format!("exceptions hold in namespace `{home}` only");
            found.deny("exceptions", "metadata.namespace", message, "ask whoever may make them there");
        }
        if request.operation != Operation::Create {
            return Ok(());
        }
        if new.approver.as_deref() != Some(request.user.username.as_str()) {
            let message = "the approver is not who asks".to_owned();
            found.deny("exceptions", "spec.approver", message, "leave the field away; admission writes it");
        }
        let ends = new.expires.parse::<k8s_openapi::jiff::Timestamp>().map(|time| time.as_second());
        match ends {
            Err(_) => {
                let message = format!("`{}` is not an RFC 3339 time", new.expires);
                found.deny("exceptions", "spec.expires", message, "write it as RFC 3339 does");
            }
            Ok(ends) if ends <= now.0 => {
                found.deny(
                    "exceptions",
                    "spec.expires",
                    "it has ended already".to_owned(),
                    "name a time to come",
                );
            }
            Ok(ends) if ends - now.0 > MAX_EXCEPTION_S => {
                let message = "it ends in more than 30 days".to_owned();
                found.deny("exceptions", "spec.expires", message, "name an earlier time, or change the pack");
            }
            Ok(_) => {}
        }
        self.excepted(&new, found);
        Ok(())
    }

    fn excepted(&self, new: &PolicyExceptionSpec, found: &mut Found) {
        let packs = self.known.in_force.policies().flat_map(|bound| {
            let named = bound.policy.packs.iter().position(|pack| pack.name == new.pack);
            named.map(|index| (bound, index))
        });
        let mut rules = packs.flat_map(|(bound, index)| {
            let of =
                move |rule: &&bailiwick_policy::policy::AdmissionRule| usize::from(rule.origin.pack) == index;
            bound.policy.admission.rules.iter().filter(of)
        });
        match rules.find(|rule| rule.name == new.rule) {
            Some(rule) if !rule.exceptable => {
                let message = format!("rule `{}` of `{}` is not exceptable", new.rule, new.pack);
                found.deny(
                    "exceptions",
                    "spec.rule",
                    message,
                    "only the author of the pack can open it, with `exceptable: true`",
                );
            }
            Some(_) => {}
            None => {
                let message = format!("no pack in force has rule `{}` of `{}`", new.rule, new.pack);
                found.warn("exceptions", "spec.rule", message);
            }
        }
    }

    /// A pool that names what does not exist.
    fn pool(&self, found: &mut Found) -> Result<(), String> {
        let Some(new) = spec::<SandboxPoolSpec>(self.request.object.as_ref())? else { return Ok(()) };
        let bound = self.known.in_force.policies().find(|bound| bound.pack.name == new.pack.name);
        match bound {
            None => {
                let message = format!("no binding puts pack `{}` in force", new.pack.name);
                found.warn("pools", "spec.pack", message);
            }
            Some(bound) if !bound.policy.pools.iter().any(|pool| pool.name == new.pool) => {
                let message =
                    format!("pack `{}` {} has no pool `{}`", bound.pack.name, bound.pack.version, new.pool);
                found.warn("pools", "spec.pool", message);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// A namespace whose labels change so that a pack no longer governs it.
    async fn namespace(&self, found: &mut Found) -> Result<(), String> {
        let labels = |object: Option<&Json>| -> BTreeMap<String, String> {
            let labels = object.and_then(|object| object.pointer("/metadata/labels")).cloned();
            let mut labels: BTreeMap<String, String> =
                serde_json::from_value(labels.unwrap_or_default()).unwrap_or_default();
            labels.insert(NAME_LABEL.to_owned(), self.request.name().to_owned());
            labels
        };
        let (old, new) = (labels(self.request.old.as_ref()), labels(self.request.object.as_ref()));
        let leaves: Vec<String> = self
            .known
            .in_force
            .policies()
            .filter(|bound| bound.reaches(&old) && !bound.reaches(&new))
            .map(|bound| bound.pack.name.clone())
            .collect();
        for pack in leaves {
            let why = format!("without these labels `{pack}` no longer governs the namespace");
            self.may_widen(&pack, "subjects", "metadata.labels", &why, found).await?;
        }
        Ok(())
    }

    /// Denies unless the requesting user has the verb `widen` on the pack.
    async fn may_widen(
        &self,
        pack: &str,
        rule: &str,
        field: &str,
        why: &str,
        found: &mut Found,
    ) -> Result<(), String> {
        let user = &self.request.user;
        if !authorizer::may_widen(self.cluster, user, pack, self.by.until).await? {
            let remedy = format!("ask somebody with the verb `widen` on policypacks.bailiwick.dev/{pack}");
            let message = format!("{why}, and `{}` may not widen it", user.username);
            found.say(Effect::Deny, pack, rule, field, message, &remedy);
        }
        Ok(())
    }
}
