//! The part of a pass about certificates: read at start, made where missing, rotated when due (`certificates`
//! says when).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use serde_json::Value;
use tokio::time::timeout;
use tracing::info;

use super::{Operator, PassError};
use crate::arming::{KINDS, Recorded};
use crate::certificates::{AUTHORITY_SECRET, Certificates, LEAF_SECRET, Step};
use crate::clock::Tick;
use crate::limits::WRITE_TIMEOUT;

impl Operator {
    /// Reads the certificates at start, makes what is missing, and takes the step that is due.
    pub(super) async fn certify(&mut self, now: Timestamp) -> Result<(), PassError> {
        let now = now.as_second();
        let mut certificates = match self.certificates.take() {
            Some(certificates) => certificates,
            None => match self.stored(now).await? {
                Some(certificates) => certificates,
                None => {
                    info!("made a certificate authority for the webhook");
                    Certificates::new(&self.settings.profile, now)?
                }
            },
        };
        let trusted = self.trusts(&certificates.bundle());
        while let Some(step) = certificates.advance(&self.settings.profile, now, trusted)? {
            info!(?step, "the webhook's certificates moved on");
            // The next authority must be trusted first.
            if step == Step::Introduced {
                break;
            }
        }
        if let Some(expires) = certificates.expires() {
            self.shared.metrics.certificate_expires.set(expires);
        }
        self.certificates = Some(certificates);
        Ok(())
    }

    /// Whether every existing webhook configuration has had this bundle for a while.
    fn trusts(&mut self, bundle: &str) -> bool {
        let view = self.shared.mirror.view();
        let standing: Vec<_> = KINDS.into_iter().flat_map(|kind| view.of(kind)).collect();
        if standing.is_empty() {
            return self.recorded != Recorded::Armed;
        }
        let encoded = Value::String(STANDARD.encode(bundle));
        let has = |hook: &Value| hook.pointer("/clientConfig/caBundle") == Some(&encoded);
        let all = standing.iter().all(|live| {
            live.body.get("webhooks").and_then(Value::as_array).is_some_and(|hooks| hooks.iter().all(has))
        });
        if !all {
            self.trusted = None;
            return false;
        }
        match &self.trusted {
            Some((known, since)) if known == bundle => {
                Tick::now().since(*since) >= self.settings.profile.settle
            }
            _ => {
                self.trusted = Some((bundle.to_owned(), Tick::now()));
                false
            }
        }
    }

    /// The certificates in the cluster, whatever their labels.
    async fn stored(&self, now: i64) -> Result<Option<Certificates>, PassError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.settings.options.namespace);
        let mut data = Vec::new();
        for name in [AUTHORITY_SECRET, LEAF_SECRET] {
            let found = timeout(WRITE_TIMEOUT, secrets.get_opt(name)).await;
            let found = found.map_err(|_| PassError::Secrets("no answer".to_owned()))?;
            let secret = found.map_err(|error| PassError::Secrets(error.to_string()))?;
            let value = secret.and_then(|secret| serde_json::to_value(secret.data).ok());
            data.push(value.unwrap_or_default());
        }
        let [authority, leaf] = data.as_slice() else { return Ok(None) };
        Ok(Certificates::read(authority, leaf, now))
    }
}
