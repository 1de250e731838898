//! Connections to a pod: `exec`, `attach`, `portforward`, `proxy`. The review does not contain the pod, so it
//! is fetched once. There is no cache, since a label that was changed a moment ago must count.

use bailiwick_policy::admission::{AdmissionRequest, Facts, LEARNING_ROUNDS, Moment};
use bailiwick_policy::decision::Decision;
use bailiwick_policy::json::Json;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::time::{Instant, timeout};

use super::authorizer;
use super::{Cluster, patience};
use crate::snapshot::Snapshot;
use crate::user::UserInfo;

/// Decides on a connection.
///
/// # Errors
/// Why it cannot be judged; it is then refused.
pub(crate) async fn connect(
    cluster: &Cluster,
    snapshot: &Snapshot,
    request: &AdmissionRequest<'_>,
    now: Moment,
    until: Instant,
) -> Result<Decision, String> {
    if !snapshot.reviewer.governs_namespace(&request.namespace) {
        return judged(cluster, snapshot, request, &Json::Null, now, until).await;
    }
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &request.namespace);
    let name = request.name.as_ref();
    let found = timeout(patience(until), api.get_opt(name)).await;
    let pod = match found {
        Err(_) => return Err(format!("the API server did not say in time which labels pod `{name}` has")),
        Ok(Err(error)) => {
            return Err(format!("the API server does not say which labels pod `{name}` has: {error}"));
        }
        // The pod does not exist, which the API server reports better.
        Ok(Ok(None)) => return judged(cluster, snapshot, request, &Json::Null, now, until).await,
        Ok(Ok(Some(pod))) => serde_json::to_vec(&pod).map_err(|error| error.to_string())?,
    };
    let pod = Json::parse(&pod).map_err(|error| error.to_string())?;
    judged(cluster, snapshot, request, &pod, now, until).await
}

/// Decides, and between decisions asks the authorizer what the rules need to know.
async fn judged(
    cluster: &Cluster,
    snapshot: &Snapshot,
    request: &AdmissionRequest<'_>,
    pod: &Json<'_>,
    now: Moment,
    until: Instant,
) -> Result<Decision, String> {
    let mut facts = Facts::default();
    for _ in 0..LEARNING_ROUNDS {
        let wanted = snapshot.reviewer.review_connect(request, pod, now, &facts).wanted;
        if wanted.questions.is_empty() {
            break;
        }
        let user = UserInfo::of(request)?;
        authorizer::answer(cluster, &user, wanted.questions, until, &mut facts.answers).await;
    }
    Ok(snapshot.reviewer.review_connect(request, pod, now, &facts).decision)
}
