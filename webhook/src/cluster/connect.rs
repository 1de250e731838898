//! Connections. The review of one to a pod (`exec`, `attach`, `portforward`, `proxy`) does not contain the pod,
//! so it is fetched once. There is no cache, since a label that was changed a moment ago must count.
//!
//! What no pod is known for is governed by its namespace alone, as `/validate` judges it: a connection to
//! something else (`services/proxy`, `nodes/proxy`), and one to a pod that does not exist yet. The API server
//! looks for the pod only after admission, so it may be there by then.

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
    let name = match pod_name(request) {
        Some(name) if snapshot.reviewer.governs_namespace(&request.namespace) => name,
        _ => return judged(cluster, snapshot, request, None, now, until).await,
    };
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &request.namespace);
    let found = timeout(patience(until), api.get_opt(name)).await;
    let pod = match found {
        Err(_) => return Err(format!("the API server did not say in time which labels pod `{name}` has")),
        Ok(Err(error)) => {
            return Err(format!("the API server does not say which labels pod `{name}` has: {error}"));
        }
        Ok(Ok(None)) => return judged(cluster, snapshot, request, None, now, until).await,
        Ok(Ok(Some(pod))) => serde_json::to_vec(&pod).map_err(|error| error.to_string())?,
    };
    let pod = Json::parse(&pod).map_err(|error| error.to_string())?;
    judged(cluster, snapshot, request, Some(&pod), now, until).await
}

/// The name of the pod that a connection goes to. `pods/proxy` also takes `name:port` and `scheme:name:port`;
/// a pod's own name has no colon.
/// <https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/util/net/port_split.go>
fn pod_name<'r>(request: &'r AdmissionRequest<'_>) -> Option<&'r str> {
    if (request.resource.group.as_ref(), request.resource.resource.as_ref()) != ("", "pods") {
        return None;
    }
    let parts: Vec<&str> = request.name.split(':').collect();
    match *parts {
        [name] | [name, _] | [_, name, _] if !name.is_empty() => Some(name),
        _ => None,
    }
}

/// Decides, and between decisions asks the authorizer what the rules need to know.
async fn judged(
    cluster: &Cluster,
    snapshot: &Snapshot,
    request: &AdmissionRequest<'_>,
    pod: Option<&Json<'_>>,
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
