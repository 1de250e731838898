//! The shell around [`plan`]: fetches forms, writes, and gives the answers to the mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, StreamExt as _};
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tracing::{info, warn};

use super::created;
use super::plan::{Forms, Plan, Why, Write, plan};
use crate::kind::{Kind, Share};
use crate::lease::{Fence, Shut};
use crate::limits::{FIELD_MANAGER, WRITE_TIMEOUT, WRITES_AT_ONCE};
use crate::metrics::{Metrics, Verb};
use crate::mirror::{Mirror, Sent};
use crate::object::{Drift, Key, Live, Wanted};
use crate::status::both_ends;

/// The name under which forms are fetched; no object of that name is ever stored.
const FORM_NAME: &str = "bailiwick-form-of-an-object";

/// Longest message of the API server that is passed on, in bytes.
const MAX_SAID: usize = 2 << 10;

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Shut(#[from] Shut),
    #[error("no answer within {WRITE_TIMEOUT:?}")]
    Timeout,
    #[error("{}", said(.0))]
    Api(#[from] kube::Error),
    #[error("the API server does not keep it as it was written")]
    NotKept,
}

fn said(error: &kube::Error) -> String {
    match error {
        // It quotes what it refuses, however long that is, and says at its end what is wrong with it.
        kube::Error::Api(status) => both_ends(&status.message, MAX_SAID),
        other => other.to_string(),
    }
}

impl WriteError {
    fn code(&self) -> u16 {
        match self {
            Self::Api(kube::Error::Api(status)) => status.code,
            _ => 0,
        }
    }

    /// Another client wrote first: comparing again is enough, and nothing is wrong.
    fn is_race(&self) -> bool {
        matches!(self.code(), 409 | 404)
    }
}

/// A write that failed.
#[derive(Debug)]
pub struct Failure {
    /// The object.
    pub key: Key,
    /// Why it failed.
    pub error: WriteError,
    /// Whether it was in place, and somebody changed it since.
    pub drifted: bool,
}

/// What a pass did.
#[derive(Debug, Default)]
pub struct Pass {
    /// Writes that were stored.
    pub written: usize,
    /// Drift that was repaired, with the object.
    pub mended: Vec<(Key, Drift)>,
    /// Writes that failed.
    pub failures: Vec<Failure>,
    /// Objects that another client changed during the pass, to be compared again soon.
    pub raced: Vec<Key>,
    /// Objects that are being deleted and that a finalizer still holds; a watch event reports when they are
    /// gone.
    pub ending: Vec<Key>,
}

impl Pass {
    /// The objects that are not as wanted yet.
    fn unwritten(&self) -> BTreeSet<&Key> {
        self.failures.iter().map(|one| &one.key).chain(&self.raced).collect()
    }
}

/// Writes, and remembers forms.
pub struct Engine {
    client: Client,
    mirror: Arc<Mirror>,
    fence: Arc<Fence>,
    metrics: Arc<Metrics>,
    owner: String,
    forms: Forms,
    /// Objects of writes of which the mirror cannot tell what became of them.
    unsure: Mutex<Vec<Key>>,
}

/// What came of bringing an object into its form.
#[derive(Debug, Default)]
struct Brought {
    /// Its form, if the write revealed it.
    form: Option<Map<String, Value>>,
    /// Whether it was created or replaced. Where neither was necessary, what was missing had only not been
    /// seen yet.
    changed: bool,
}

impl Engine {
    /// `owner` is the namespace of the operator.
    #[must_use]
    pub fn new(
        client: Client,
        mirror: Arc<Mirror>,
        fence: Arc<Fence>,
        metrics: Arc<Metrics>,
        owner: String,
    ) -> Self {
        Self { client, mirror, fence, metrics, owner, forms: Forms::default(), unsure: Mutex::default() }
    }

    /// Brings the cluster one pass closer to the desired state. `seen`: objects as they were when their
    /// desired state was decided. One that has changed or gone since is not written. `awaits`: whether an object
    /// that is not wanted stays until these are written.
    pub async fn pass(
        &mut self,
        wanted: &BTreeMap<Key, Wanted>,
        seen: &[Arc<Live>],
        keep: impl Fn(&Live) -> bool,
        awaits: impl Fn(&Live, &BTreeSet<&Key>) -> bool,
    ) -> Pass {
        let mut pass = Pass::default();
        self.forms.keep_only(wanted);
        let owned = self.owned(wanted);
        let unknown: Vec<Wanted> =
            plan(wanted, &owned, &self.forms, &keep).unknown.into_iter().cloned().collect();
        self.learn(&unknown, &mut pass).await;
        let mut owned = self.owned(wanted);
        owned.extend(seen.iter().map(|live| (live.key.clone(), Arc::clone(live))));
        let Plan { mut writes, ending, .. } = plan(wanted, &owned, &self.forms, &keep);
        let first_seen = unknown.iter().map(|one| &one.key).collect();
        writes.iter_mut().for_each(|write| write.own_change(&first_seen));
        pass.ending = ending;
        let mut learned = Vec::new();
        for group in groups(&writes) {
            // Applies come before removals, so by then it is known what could not be written.
            let missing = pass.unwritten();
            let is_due = |write: &&Write<'_>| match write {
                Write::Delete(live) => !awaits(live, &missing),
                Write::Apply { .. } | Write::Release(_) => true,
            };
            let due: Vec<_> = group.iter().filter(is_due).collect();
            let results: Vec<_> = stream::iter(due.into_iter().map(|write| self.write(write)))
                .buffer_unordered(WRITES_AT_ONCE)
                .collect()
                .await;
            for (write, result) in results {
                self.took(write, result, &mut pass, &mut learned);
            }
        }
        for (wanted, form) in learned {
            self.forms.learn(wanted, form);
        }
        pass.raced.append(&mut self.unsure.lock().unwrap_or_else(PoisonError::into_inner));
        pass
    }

    /// The operator's objects, and any object that has the name of a wanted one.
    fn owned(&self, wanted: &BTreeMap<Key, Wanted>) -> BTreeMap<Key, Arc<Live>> {
        let view = self.mirror.view();
        view.all()
            .filter(|live| live.owned_by(&self.owner) || wanted.contains_key(&live.key))
            .map(|live| (live.key.clone(), Arc::clone(live)))
            .collect()
    }

    async fn learn(&mut self, unknown: &[Wanted], pass: &mut Pass) {
        let engine = &*self;
        let asked = unknown.iter().map(|one| async move { (one, engine.form(one).await) });
        let answers: Vec<_> = stream::iter(asked).buffer_unordered(WRITES_AT_ONCE).collect().await;
        for (wanted, answer) in answers {
            match answer {
                Ok(form) => self.forms.learn(wanted, form),
                Err(error) => self.failed(&wanted.key, error, false, pass),
            }
        }
    }

    fn failed(&self, key: &Key, error: WriteError, drifted: bool, pass: &mut Pass) {
        self.metrics.failures.inc();
        pass.failures.push(Failure { key: key.clone(), error, drifted });
    }

    fn took<'w>(
        &self,
        write: &Write<'w>,
        result: Result<Brought, WriteError>,
        pass: &mut Pass,
        learned: &mut Vec<(&'w Wanted, Map<String, Value>)>,
    ) {
        match (write, result) {
            (Write::Apply { wanted, why, .. }, Ok(Brought { form, changed })) => {
                pass.written += 1;
                if let Some(form) = form {
                    learned.push((*wanted, form));
                }
                if let Why::Drift(drift) = why
                    && (changed || *drift != Drift::Deleted)
                {
                    self.metrics.drift(wanted.key.kind, *drift);
                    pass.mended.push((wanted.key.clone(), *drift));
                    warn!(object = %wanted.key, ?drift, "somebody changed it; it is back as wanted");
                }
            }
            (Write::Delete(_) | Write::Release(_), Ok(_)) => pass.written += 1,
            (write, Err(error)) if error.is_race() => pass.raced.push(write.key().clone()),
            (write, Err(error)) => {
                let drifted = matches!(write, Write::Apply { why: Why::Drift(_), .. });
                self.failed(write.key(), error, drifted, pass);
            }
        }
    }

    /// Performs one write.
    async fn write<'p, 'w>(&self, write: &'p Write<'w>) -> (&'p Write<'w>, Result<Brought, WriteError>) {
        let result = match write {
            Write::Apply { wanted, live, .. } => self.bring(wanted, live.as_deref()).await,
            Write::Delete(live) => self.delete(live).await.map(|()| Brought::default()),
            Write::Release(live) => self.release(live).await.map(|()| Brought::default()),
        };
        (write, result)
    }

    /// Applies the object. If it is then not in its form, because another manager owns fields of it, replaces
    /// it; if it cannot be changed, deletes and creates it again.
    async fn bring(&self, wanted: &Wanted, live: Option<&Live>) -> Result<Brought, WriteError> {
        if wanted.key.kind.share() == Share::Labels {
            self.apply(wanted, live).await?;
            return Ok(Brought::default());
        }
        let (applied, is_new) = match self.apply(wanted, live).await {
            Ok(applied) => applied,
            // Immutable and not as wanted: another client created a different object of that name.
            Err(error) if error.code() == 422 => {
                // Without our label it is not in the watch.
                let Some(there) = self.find(&wanted.key).await? else { return Err(error) };
                if wanted.key.kind.share() == Share::Made && !there.owned_by(&self.owner) {
                    return Err(error);
                }
                // A manifest that is refused under every name cannot take the place of what stands.
                if self.form(wanted).await.is_err() {
                    return Err(error);
                }
                info!(object = %wanted.key, %error, "it cannot be changed and is made anew");
                self.delete(&there).await?;
                self.apply(wanted, None).await?
            }
            Err(error) => return Err(error),
        };
        let learned = match self.forms.get(wanted) {
            Some(_) => None,
            // Nothing was there before: how it is stored is its form, and a dry run would only say it again.
            None if is_new => return Ok(Brought { form: Some(applied.body), changed: true }),
            None => Some(self.form(wanted).await?),
        };
        let form = self.forms.get(wanted).or(learned.as_ref()).ok_or(WriteError::NotKept)?;
        let differs = applied.body != *form;
        if differs {
            let replaced = self.replace(wanted, &applied).await?;
            if replaced.body != *form {
                return Err(WriteError::NotKept);
            }
        }
        Ok(Brought { form: learned, changed: is_new || differs })
    }

    fn api(&self, key: &Key) -> Api<DynamicObject> {
        let resource = key.kind.resource();
        match &key.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn find(&self, key: &Key) -> Result<Option<Live>, WriteError> {
        let api = self.api(key);
        let found =
            timeout(WRITE_TIMEOUT, api.get_opt(&key.name)).await.map_err(|_| WriteError::Timeout)??;
        Ok(found.map(|object| Live::new(key.kind, object)))
    }

    /// How the API server stores a manifest that no other client modifies.
    async fn form(&self, wanted: &Wanted) -> Result<Map<String, Value>, WriteError> {
        let mut manifest = wanted.manifest.clone();
        if let Some(metadata) = manifest.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".to_owned(), Value::String(FORM_NAME.to_owned()));
        }
        let params = PatchParams::apply(FIELD_MANAGER).force().dry_run();
        let api = self.api(&wanted.key);
        let patch = Patch::Apply(&manifest);
        let asked = api.patch(FORM_NAME, &params, &patch);
        let object = timeout(WRITE_TIMEOUT, asked).await.map_err(|_| WriteError::Timeout)??;
        Ok(Live::new(wanted.key.kind, object).body)
    }

    /// The object as it is stored, and whether this created it.
    async fn apply(&self, wanted: &Wanted, live: Option<&Live>) -> Result<(Live, bool), WriteError> {
        if live.is_none() && wanted.key.kind.share() == Share::Made {
            return Ok((self.create(wanted).await?, true));
        }
        self.fence.check()?;
        let mut manifest = wanted.manifest.clone();
        if let (Some(metadata), Some(live)) =
            (manifest.pointer_mut("/metadata").and_then(Value::as_object_mut), live)
        {
            metadata.insert("resourceVersion".to_owned(), Value::String(live.version.to_string()));
            metadata.insert("uid".to_owned(), Value::String(live.uid.clone()));
        }
        let api = self.api(&wanted.key);
        let before = self.mirror.sending(wanted.key.kind);
        let sent = created::apply(&self.client, &api, &wanted.key.name, &manifest);
        let (object, is_new) = timeout(WRITE_TIMEOUT, sent).await.map_err(|_| WriteError::Timeout)??;
        Ok((self.stored(wanted.key.kind, Verb::apply, object, before), is_new))
    }

    /// Creates an object; one that another client has created meanwhile is not taken over.
    async fn create(&self, wanted: &Wanted) -> Result<Live, WriteError> {
        self.fence.check()?;
        let object: DynamicObject =
            serde_json::from_value(wanted.manifest.clone()).map_err(kube::Error::SerdeError)?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api = self.api(&wanted.key);
        let before = self.mirror.sending(wanted.key.kind);
        let sent = api.create(&params, &object);
        let object = timeout(WRITE_TIMEOUT, sent).await.map_err(|_| WriteError::Timeout)??;
        Ok(self.stored(wanted.key.kind, Verb::apply, object, before))
    }

    async fn replace(&self, wanted: &Wanted, live: &Live) -> Result<Live, WriteError> {
        self.fence.check()?;
        let mut manifest = wanted.manifest.clone();
        if let Some(metadata) = manifest.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), Value::String(live.version.to_string()));
            metadata.insert("uid".to_owned(), Value::String(live.uid.clone()));
        }
        let object: DynamicObject = serde_json::from_value(manifest).map_err(kube::Error::SerdeError)?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let api = self.api(&wanted.key);
        let before = self.mirror.sending(wanted.key.kind);
        let sent = api.replace(&wanted.key.name, &params, &object);
        let object = timeout(WRITE_TIMEOUT, sent).await.map_err(|_| WriteError::Timeout)??;
        Ok(self.stored(wanted.key.kind, Verb::replace, object, before))
    }

    async fn delete(&self, live: &Live) -> Result<(), WriteError> {
        self.fence.check()?;
        let params = DeleteParams::background().preconditions(Preconditions {
            resource_version: Some(live.version.to_string()),
            uid: Some(live.uid.clone()),
        });
        let api = self.api(&live.key);
        let sent = api.delete(&live.key.name, &params);
        timeout(WRITE_TIMEOUT, sent).await.map_err(|_| WriteError::Timeout)??;
        self.metrics.wrote(live.key.kind, Verb::delete);
        self.mirror.note_deleted(&live.key, &live.uid);
        info!(object = %live.key, "removed: not wanted any more");
        Ok(())
    }

    /// Applies an empty configuration, which removes everything that we had applied.
    async fn release(&self, live: &Live) -> Result<(), WriteError> {
        self.fence.check()?;
        let resource = live.key.kind.resource();
        let manifest = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": { "name": live.key.name, "uid": live.uid },
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api(&live.key);
        let patch = Patch::Apply(&manifest);
        let before = self.mirror.sending(live.key.kind);
        let sent = api.patch(&live.key.name, &params, &patch);
        let object = timeout(WRITE_TIMEOUT, sent).await.map_err(|_| WriteError::Timeout)??;
        self.stored(live.key.kind, Verb::apply, object, before);
        Ok(())
    }

    fn stored(&self, kind: Kind, verb: Verb, object: DynamicObject, before: Sent) -> Live {
        self.metrics.wrote(kind, verb);
        let live = Live::new(kind, object);
        if !self.mirror.note(live.clone(), before) {
            self.unsure.lock().unwrap_or_else(PoisonError::into_inner).push(live.key.clone());
        }
        live
    }

    /// Writes a status, if it says anything new. The write does not require the object's version: its spec
    /// may have changed meanwhile, and the status names the generation that it describes.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn status(&self, live: &Live, status: &Value) -> Result<(), WriteError> {
        self.fence.check()?;
        let resource = live.key.kind.resource();
        let (name, uid) = (&live.key.name, &live.uid);
        let metadata = match &live.key.namespace {
            Some(namespace) => json!({ "name": name, "uid": uid, "namespace": namespace }),
            None => json!({ "name": name, "uid": uid }),
        };
        let manifest = json!({
            "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api(&live.key);
        let patch = Patch::Apply(&manifest);
        let before = self.mirror.sending(live.key.kind);
        let sent = api.patch_status(&live.key.name, &params, &patch);
        let object = timeout(WRITE_TIMEOUT, sent).await.map_err(|_| WriteError::Timeout)??;
        self.stored(live.key.kind, Verb::status, object, before);
        Ok(())
    }
}

/// Writes grouped by kind, in the order of the kinds.
fn groups<'p, 'w>(writes: &'p [Write<'w>]) -> Vec<&'p [Write<'w>]> {
    let kind = |write: &Write<'_>| match write {
        Write::Apply { wanted, .. } => (false, wanted.key.kind),
        Write::Delete(live) | Write::Release(live) => (true, live.key.kind),
    };
    writes.chunk_by(|a, b| kind(a) == kind(b)).collect()
}
