//! Carries out test cases: an admission request, a connection, an image, a tool call, a system call, access
//! to a file. Each is judged by the code that judges the real thing, or by the policy's own statement about
//! it.
//!
//! `bailiwick test` compares the result with the expectation; [`crate::diff`] compares the results under two
//! policies. This module reads no files: the caller supplies the text of manifests that cases name.

mod answers;
mod connection;
mod evidence;
mod sandbox;
mod stage;
#[cfg(test)]
mod tests;
mod tool_call;

pub use tool_call::Staged;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bailiwick_policy::admission::{AdmissionRequest, ManifestContext, Namespaces, Operation, Reviewer};
use bailiwick_policy::bundle::{self, Bundle};
use bailiwick_policy::cel::Watching;
use bailiwick_policy::decision::{Decision, Effect};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{Policy, Subject, Unmatched};
use bailiwick_policy::tool::{LoadedPolicy, ToolDecision};
use serde_json::{Value, json};

use crate::emit::selector::labels_meeting;
use crate::policy_test::{
    self, AdmissionCase, CaseNamespace, Evidence, ImageCase, SyscallAction, TestCase, ToolCallCase,
};
use crate::rego::Regorus;

/// Namespace of objects that name none.
const NAMESPACE: &str = "governed";
/// Prepared policies that are kept, one for each namespace of the cases; consecutive cases mostly share one.
const MAX_REVIEWERS: usize = 16;

/// The result of a case, in the terms of an expectation.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// Whether it was allowed.
    pub allowed: bool,
    /// The rules that decided: those that denied, or for a connection the one that allowed.
    pub rules: Vec<String>,
    /// The messages of these rules.
    pub messages: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// The object after mutation.
    pub object: Option<Value>,
    /// Of a tool call: the effect.
    pub effect: Option<policy_test::Effect>,
    /// Of a tool call: whether the tool is listed, and what hides it.
    pub listed: Option<Result<(), String>>,
    /// Of a tool call that runs or needs approval: the sandbox.
    pub sandbox: Option<String>,
    /// Of such a call: its arguments, as transformed by rules.
    pub args: Option<Value>,
    /// Of a tool call with a result: what is delivered of it; nothing if it is withheld.
    pub delivered: Option<policy_test::Delivered>,
    /// Of a tool call whose case expects them: the labels that its session gains and loses.
    pub labels: Option<Relabelled>,
    /// Of a system call: what the kernel does.
    pub action: Option<SyscallAction>,
    /// Of an admission request: whether the policy governs it at all.
    pub governed: Option<bool>,
}

/// Labels that a session gains and loses, each as `PACK/NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relabelled {
    /// Labels that it did not have before.
    pub added: BTreeSet<String>,
    /// Labels that it had before.
    pub removed: BTreeSet<String>,
}

impl Happened {
    /// The result of a call.
    #[must_use]
    pub fn of_call(decision: &ToolDecision) -> Self {
        tool_call::happened(decision)
    }

    /// Allowed or not, without further details.
    #[must_use]
    pub const fn new(allowed: bool) -> Self {
        Self {
            allowed,
            rules: Vec::new(),
            messages: Vec::new(),
            warnings: Vec::new(),
            object: None,
            effect: None,
            listed: None,
            sandbox: None,
            args: None,
            delivered: None,
            labels: None,
            action: None,
            governed: None,
        }
    }
}

/// Finds the manifests that cases name: their text as JSON, or why it is missing.
pub type Manifests<'m> = &'m dyn Fn(&str) -> Result<Value, String>;

/// For cases that name no file.
///
/// # Errors
/// Always: there are no files.
pub fn no_manifests(name: &str) -> Result<Value, String> {
    Err(format!("there is no file `{name}` here"))
}

/// A policy prepared for cases. What cases share is built when the first one needs it.
pub struct Bench {
    policy: Policy,
    watching: Watching,
    bundle: OnceCell<Result<Bundle, String>>,
    tools: OnceCell<Result<LoadedPolicy, String>>,
    reviewers: RefCell<Vec<(Placed, Rc<Reviewer>)>>,
    /// The same policy with its images section alone.
    images: OnceCell<Box<Bench>>,
}

/// Name and labels of a namespace.
type Placed = (String, BTreeMap<String, String>);

impl Bench {
    /// A pack without a subject is a base for others; its own tests apply it to every pod.
    #[must_use]
    pub fn new(mut policy: Policy, watching: Watching) -> Self {
        policy.subject.get_or_insert_with(|| Subject {
            namespaces: Vec::new(),
            pods: Vec::new(),
            exclusive: false,
            unmatched: Unmatched::Allow,
            from: Vec::new(),
        });
        Self { watching, ..Self::as_it_is(policy) }
    }

    /// As `new`, for an edited policy that is never shipped, so its bytes are not made.
    #[must_use]
    pub fn of_edit(policy: Policy) -> Self {
        let bench = Self::new(policy, Watching::Off);
        let _ = bench.bundle.set(Ok(Bundle { policy: bench.policy.clone(), digest: String::new() }));
        bench
    }

    /// The policy as it is put in force: without a subject it governs no pods.
    #[must_use]
    pub const fn as_it_is(policy: Policy) -> Self {
        Self {
            policy,
            watching: Watching::Off,
            bundle: OnceCell::new(),
            tools: OnceCell::new(),
            reviewers: RefCell::new(Vec::new()),
            images: OnceCell::new(),
        }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Carries out one case.
    ///
    /// # Errors
    /// Why it cannot be carried out.
    pub fn carry_out(&self, case: &TestCase, manifests: Manifests<'_>) -> Result<Happened, String> {
        let expected = &case.expect;
        if let Some(case) = &case.admission {
            self.admit(case, None, manifests)
        } else if let Some(case) = &case.connection {
            connection::judge(&self.policy, case)
        } else if let Some(case) = &case.image {
            self.run_image(case)
        } else if let Some(case) = &case.tool_call {
            let staged = self.staged(case)?;
            staged.refuse_unknown()?;
            let listed = expected.listed.map(|_| staged.listed()).transpose()?;
            let decision = staged.decide()?;
            let labels = expected.labels.as_ref().map(|_| staged.relabelled(&decision)).transpose()?;
            let happened = Happened { listed, labels, ..Happened::of_call(&decision) };
            staged.judged(&decision, happened)
        } else if let Some(case) = &case.syscall {
            sandbox::system_call(&self.policy, case)
        } else if let Some(case) = &case.filesystem {
            sandbox::file(&self.policy, case)
        } else {
            // The schema requires one of them.
            Err("the case says nothing that happens".to_owned())
        }
    }

    /// Makes up the session that a case of a tool call describes.
    ///
    /// # Errors
    /// Why it cannot be made up.
    pub fn staged<'c>(&'c self, case: &'c ToolCallCase) -> Result<Staged<'c>, String> {
        Staged::new(self.tool_policy()?, case)
    }

    /// The tools that a caller can name, with the JSON Schemas of their arguments.
    ///
    /// # Errors
    /// Why the policy cannot decide calls.
    pub fn tools(&self) -> Result<Vec<(String, Value)>, String> {
        Ok(self.tool_policy()?.tools().map(|(name, _, input)| (name.to_owned(), input)).collect())
    }

    /// The policy over tool calls.
    ///
    /// # Errors
    /// Why the policy cannot decide calls.
    pub fn tool_policy(&self) -> Result<&LoadedPolicy, String> {
        let made = || {
            let (policy, digest) = (self.policy.clone(), self.bundle()?.digest.clone());
            let made = match self.watching {
                Watching::Off => LoadedPolicy::new(policy, digest),
                Watching::On => LoadedPolicy::watching(policy, digest),
                Watching::Values => LoadedPolicy::tracing(policy, digest),
            };
            made.map_err(|error| error.to_string())
        };
        self.tools.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    /// The reviewers that judged requests; always at least one, so that what they watch is known even without
    /// requests.
    #[must_use]
    pub fn reviewers(&self) -> Vec<Rc<Reviewer>> {
        if self.reviewers.borrow().is_empty() {
            // A policy that cannot be put in force was reported by each case.
            let _ = self.reviewer((NAMESPACE.to_owned(), BTreeMap::new()));
        }
        self.reviewers.borrow().iter().map(|(_, reviewer)| Rc::clone(reviewer)).collect()
    }

    /// Goes through the bytes, so that the cases use exactly what would be shipped.
    fn bundle(&self) -> Result<&Bundle, String> {
        let made = || {
            let bytes = bundle::write(&self.policy).map_err(|error| error.to_string())?;
            bundle::load(&bytes).map_err(|error| format!("the compiled policy cannot be read back: {error}"))
        };
        self.bundle.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    /// The policy prepared for objects of one namespace.
    fn reviewer(&self, place: Placed) -> Result<Rc<Reviewer>, String> {
        let mut kept = self.reviewers.borrow_mut();
        if let Some((_, reviewer)) = kept.iter().find(|(other, _)| *other == place) {
            return Ok(Rc::clone(reviewer));
        }
        let bundle = self.bundle()?.clone();
        let namespaces = Namespaces::new(BTreeMap::from([place.clone()]));
        let made = match self.watching {
            Watching::Off => Reviewer::with_rego([bundle], namespaces, &Regorus),
            Watching::On => Reviewer::watching(bundle, namespaces, &Regorus),
            Watching::Values => Reviewer::tracing(bundle, namespaces, &Regorus),
        };
        let reviewer = Rc::new(made.map_err(|error| error.to_string())?);
        // Watched reviewers must be kept.
        if matches!(self.watching, Watching::Off) && kept.len() >= MAX_REVIEWERS {
            kept.remove(0);
        }
        kept.push((place, Rc::clone(&reviewer)));
        Ok(reviewer)
    }

    fn admit(
        &self,
        case: &AdmissionCase,
        evidence: Option<&Evidence>,
        manifests: Manifests<'_>,
    ) -> Result<Happened, String> {
        let operation = Operation::of(case.operation.as_str()).ok_or("an unknown operation")?;
        let object = case.object.as_ref().map(|object| manifest(object, manifests)).transpose()?;
        let old = case.old_object.as_ref().map(|object| manifest(object, manifests)).transpose()?;
        let shown = object.as_ref().or(old.as_ref()).ok_or("an admission case needs an `object`")?;
        let (namespace, labels) = self.place(case.namespace.as_ref(), shown);
        let user =
            case.user_info.as_ref().map(|user| json!({"username": user.username, "groups": user.groups}));
        let mut shown = shown.clone();
        // A namespace that the case names takes precedence over the manifest's.
        if case.namespace.as_ref().is_some_and(|one| one.name.is_some()) {
            let metadata = shown.pointer_mut("/metadata").and_then(Value::as_object_mut);
            let metadata = metadata.ok_or("the object has no `metadata` to put the namespace in")?;
            metadata.insert("namespace".to_owned(), Value::from(namespace.as_str()));
        }
        let context = ManifestContext {
            operation,
            old: old.as_ref().map(Json::from),
            namespace: Some(namespace.as_str().into()),
            user_info: user.as_ref().map(Json::from),
            resource: case.resource.as_deref().map(Into::into),
            sub_resource: case.subresource.as_deref().unwrap_or_default().into(),
            ..ManifestContext::default()
        };
        let request = AdmissionRequest::from_manifest(Json::from(&shown), context)
            .map_err(|error| error.to_string())?;
        let mut unanswered = None;
        let admitted = self.reviewer((namespace.clone(), labels))?.admit_with(&request, |wanted, facts| {
            if let Some(evidence) = evidence {
                wanted.images.iter().for_each(|demand| evidence::learn(demand, evidence, &mut facts.images));
            }
            for question in &wanted.questions {
                match answers::answer(question, &case.authorizer) {
                    Ok(answer) => facts.answers.learn(question.clone(), Ok(answer)),
                    Err(why) => drop(unanswered.get_or_insert(why)),
                }
            }
        });
        if let Some(why) = unanswered {
            return Err(why);
        }
        // An object that nothing was written into has the API server's defaults too.
        let object = match admitted.object.as_ref().or(request.object.as_ref()) {
            Some(object) => serde_json::to_value(object).ok(),
            None => Some(shown.clone()),
        };
        Ok(happened(admitted.decision(), object))
    }

    /// Name and labels of the namespace: the case's, or else one that the pack governs.
    fn place(&self, case: Option<&CaseNamespace>, object: &Value) -> (String, BTreeMap<String, String>) {
        let own = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(NAMESPACE);
        match case {
            Some(case) => (case.name.clone().unwrap_or_else(|| own.to_owned()), case.labels.clone()),
            None => {
                let selectors = self.policy.subject.as_ref().map_or(&[][..], |subject| &subject.namespaces);
                (own.to_owned(), labels_meeting(selectors))
            }
        }
    }

    /// A pod in which only the image matters: only findings of the images section count.
    fn run_image(&self, case: &ImageCase) -> Result<Happened, String> {
        let bench = self.images.get_or_init(|| {
            let mut images_only = self.policy.clone();
            images_only.isolation = Default::default();
            images_only.network = None;
            images_only.admission = Default::default();
            Box::new(Self::as_it_is(images_only))
        });
        let labels = labels_meeting(self.policy.subject.as_ref().map_or(&[], |subject| &subject.pods));
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "case", "labels": labels},
            "spec": {"containers": [{"name": "main", "image": case.reference}]}
        });
        let admission = AdmissionCase { object: Some(pod), ..AdmissionCase::default() };
        bench.admit(&admission, case.evidence.as_ref(), &no_manifests)
    }
}

/// An object of a case: written out, or `{file: NAME}` for a manifest.
///
/// # Errors
/// A name that is not a string, and the errors of `manifests`.
pub fn manifest(object: &Value, manifests: Manifests<'_>) -> Result<Value, String> {
    let file =
        object.as_object().filter(|members| members.len() == 1).and_then(|members| members.get("file"));
    let Some(file) = file else { return Ok(object.clone()) };
    manifests(file.as_str().ok_or("`file` is the name of a file")?)
}

fn happened(decision: &Decision, object: Option<Value>) -> Happened {
    let with = |effect| decision.findings.iter().filter(move |finding| finding.effect == effect);
    Happened {
        rules: with(Effect::Deny).map(|finding| format!("{}/{}", finding.pack, finding.rule)).collect(),
        messages: with(Effect::Deny)
            .map(|finding| format!("{} {}", finding.field, finding.message).trim_start().to_owned())
            .collect(),
        warnings: with(Effect::Warn).map(|finding| finding.message.clone()).collect(),
        object,
        governed: Some(!decision.cells.is_empty()),
        ..Happened::new(decision.allowed)
    }
}
