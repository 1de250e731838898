//! Cases carried out: an admission request, a connection, an image, a call of a tool, a system call, access to a file. Each is judged by the
//! code that judges the real thing, or from the policy's own statement of it.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use bailiwick_compiler::policy_test::{AdmissionCase, CaseNamespace, Evidence, ImageCase, TestCase};
use bailiwick_compiler::rego::Regorus;
use bailiwick_policy::admission::{AdmissionRequest, ManifestContext, Namespaces, Operation, Reviewer};
use bailiwick_policy::bundle::Bundle;
use bailiwick_policy::cel::Watching;
use bailiwick_policy::decision::{Decision, Effect};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::{LabelOperator, LabelSelector, Policy, Subject, Unmatched};
use bailiwick_policy::tool::LoadedPolicy;
use serde_json::{Value, json};

use super::outcome::Happened;
use super::suite::manifest;
use super::{connection, evidence, sandbox, tool_call};
use crate::load;

/// Name of the namespace of objects that name none.
const NAMESPACE: &str = "governed";

/// A policy made ready for cases. What cases share is made when the first one needs it.
pub(super) struct Bench {
    policy: Policy,
    watching: Watching,
    bundle: OnceCell<Result<Bundle, String>>,
    /// One for each namespace that a request was made in.
    reviewers: RefCell<BTreeMap<Place, Rc<Reviewer>>>,
    tools: OnceCell<Result<LoadedPolicy, String>>,
    /// The same policy with its images section alone.
    images_only: OnceCell<Box<Bench>>,
}

/// Name and labels of a namespace.
type Place = (String, BTreeMap<String, String>);

impl Bench {
    /// A pack that names no subject is a base for others; its own tests hold every pod to it.
    pub(super) fn new(mut policy: Policy, watching: Watching) -> Self {
        policy.subject.get_or_insert_with(|| Subject {
            namespaces: Vec::new(),
            pods: Vec::new(),
            exclusive: false,
            unmatched: Unmatched::Allow,
            from: Vec::new(),
        });
        Self {
            policy,
            watching,
            bundle: OnceCell::new(),
            reviewers: RefCell::default(),
            tools: OnceCell::new(),
            images_only: OnceCell::new(),
        }
    }

    /// The same of an edited policy, which is never shipped: its bytes are not made.
    pub(super) fn of_edit(policy: Policy) -> Self {
        let bench = Self::new(policy, Watching::Off);
        let _ = bench.bundle.set(Ok(Bundle { policy: bench.policy.clone(), digest: String::new() }));
        bench
    }

    /// The reviewers that requests were made to; one at least, so that what they watch is known even if none was.
    pub(super) fn reviewers(&self) -> Vec<Rc<Reviewer>> {
        if self.reviewers.borrow().is_empty() {
            // What cannot be put in force was said by each case.
            let _ = self.reviewer((NAMESPACE.to_owned(), BTreeMap::new()));
        }
        self.reviewers.borrow().values().cloned().collect()
    }

    /// The policy over tool calls; `None` if it cannot be made ready.
    pub(super) fn tools(&self) -> Option<&LoadedPolicy> {
        self.tool_policy().ok()
    }

    /// Carries out one case; `folder` is where its files lie. `Err`: why it cannot be.
    pub(super) fn carry_out(&self, case: &TestCase, folder: &Path) -> Result<Happened, String> {
        if let Some(case) = &case.admission {
            self.admit(case, None, folder)
        } else if let Some(case) = &case.connection {
            connection::judge(&self.policy, case)
        } else if let Some(case) = &case.image {
            self.run_image(case)
        } else if let Some(case) = &case.tool_call {
            tool_call::judge(self.tool_policy()?, case)
        } else if let Some(case) = &case.syscall {
            sandbox::system_call(&self.policy, case)
        } else if let Some(case) = &case.filesystem {
            sandbox::file(&self.policy, case)
        } else {
            // The schema asks for one of them.
            Err("the case says nothing that happens".to_owned())
        }
    }

    fn bundle(&self) -> Result<&Bundle, String> {
        let made = || load::bundle_of(&self.policy).map_err(|error| error.to_string());
        self.bundle.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    fn tool_policy(&self) -> Result<&LoadedPolicy, String> {
        let made = || {
            let (policy, digest) = (self.policy.clone(), self.bundle()?.digest.clone());
            let made = match self.watching {
                Watching::Off => LoadedPolicy::new(policy, digest),
                Watching::On => LoadedPolicy::watching(policy, digest),
            };
            made.map_err(|error| error.to_string())
        };
        self.tools.get_or_init(made).as_ref().map_err(Clone::clone)
    }

    fn reviewer(&self, place: Place) -> Result<Rc<Reviewer>, String> {
        if let Some(made) = self.reviewers.borrow().get(&place) {
            return Ok(Rc::clone(made));
        }
        let bundle = self.bundle()?.clone();
        let namespaces = Namespaces::new(BTreeMap::from([place.clone()]));
        let made = match self.watching {
            Watching::Off => Reviewer::with_rego([bundle], namespaces, &Regorus),
            Watching::On => Reviewer::watching(bundle, namespaces, &Regorus),
        };
        let made = Rc::new(made.map_err(|error| error.to_string())?);
        self.reviewers.borrow_mut().insert(place, Rc::clone(&made));
        Ok(made)
    }

    fn admit(
        &self,
        case: &AdmissionCase,
        evidence: Option<&Evidence>,
        folder: &Path,
    ) -> Result<Happened, String> {
        let operation = Operation::of(case.operation.as_str()).ok_or("an unknown operation")?;
        let object = case.object.as_ref().map(|object| manifest(object, folder)).transpose()?;
        let old = case.old_object.as_ref().map(|object| manifest(object, folder)).transpose()?;
        let shown = object.as_ref().or(old.as_ref()).ok_or("an admission case needs an `object`")?;
        let (namespace, labels) = self.place(case.namespace.as_ref(), shown);
        let user =
            case.user_info.as_ref().map(|user| json!({"username": user.username, "groups": user.groups}));
        let mut shown = shown.clone();
        // A case that names a namespace means it, whatever the manifest says.
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
            sub_resource: case.subresource.as_deref().unwrap_or_default().into(),
            ..ManifestContext::default()
        };
        let request = AdmissionRequest::from_manifest(Json::from(&shown), context)
            .map_err(|error| error.to_string())?;
        let admitted = self.reviewer((namespace.clone(), labels))?.admit_with(&request, |demand, facts| {
            if let Some(evidence) = evidence {
                evidence::learn(demand, evidence, facts);
            }
        });
        let object = match &admitted.object {
            Some(object) => serde_json::to_value(object).ok(),
            None => Some(shown.clone()),
        };
        Ok(happened(admitted.decision(), object))
    }

    /// Name and labels of the namespace: the case's, else one that the pack governs.
    fn place(&self, case: Option<&CaseNamespace>, object: &Value) -> (String, BTreeMap<String, String>) {
        let own = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or(NAMESPACE);
        match case {
            Some(case) => (case.name.clone().unwrap_or_else(|| own.to_owned()), case.labels.clone()),
            None => {
                let selectors = self.policy.subject.iter().flat_map(|subject| &subject.namespaces);
                (own.to_owned(), selectors.flat_map(satisfying).collect())
            }
        }
    }

    /// A pod that differs from nothing but in its image: whatever the images section says of it counts, nothing else.
    fn run_image(&self, case: &ImageCase) -> Result<Happened, String> {
        let bench = self.images_only.get_or_init(|| {
            let mut images_only = self.policy.clone();
            images_only.isolation = Default::default();
            images_only.network = None;
            images_only.admission = Default::default();
            Box::new(Self::new(images_only, Watching::Off))
        });
        let selectors = self.policy.subject.iter().flat_map(|subject| &subject.pods);
        let labels: BTreeMap<String, String> = selectors.flat_map(satisfying).collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "case", "labels": labels},
            "spec": {"containers": [{"name": "main", "image": case.reference}]}
        });
        let admission = AdmissionCase { object: Some(pod), ..AdmissionCase::default() };
        bench.admit(&admission, case.evidence.as_ref(), Path::new(""))
    }
}

/// Labels that a selector accepts.
fn satisfying(selector: &LabelSelector) -> Vec<(String, String)> {
    let mut labels: Vec<_> = selector.match_labels.clone().into_iter().collect();
    for wanted in &selector.match_expressions {
        match wanted.operator {
            LabelOperator::In => {
                labels.extend(wanted.values.first().map(|value| (wanted.key.clone(), value.clone())))
            }
            LabelOperator::Exists => labels.push((wanted.key.clone(), "true".to_owned())),
            LabelOperator::NotIn | LabelOperator::DoesNotExist => {}
        }
    }
    labels
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
        ..Happened::new(decision.allowed)
    }
}
