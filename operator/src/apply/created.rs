//! Server-side apply that tells whether there was nothing before: the API server answers 201 if it created the
//! object, and 200 if it changed one. `kube` drops that status.
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/>
//!
//! Nothing in an object itself proves that it is new: whoever creates one chooses the name of its field manager.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::client::{Body, Client};
use kube::core::{Request, Status};
use serde_json::Value;

use crate::limits::FIELD_MANAGER;

/// The object as it is stored, and whether this created it.
pub(super) async fn apply(
    client: &Client,
    api: &Api<DynamicObject>,
    name: &str,
    manifest: &Value,
) -> kube::Result<(DynamicObject, bool)> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let request = Request::new(api.resource_url())
        .patch(name, &params, &Patch::Apply(manifest))
        .map_err(kube::Error::BuildRequest)?;
    let response = client.send(request.map(Body::from)).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        return Err(refused(status, &body));
    }
    let object = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
    Ok((object, status == StatusCode::CREATED))
}

/// What a server that refused said; a proxy before it may answer with something else than a `Status`.
fn refused(status: StatusCode, body: &Bytes) -> kube::Error {
    let said = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| {
        Status::failure(String::from_utf8_lossy(body).trim(), "not a Status").with_code(status.as_u16())
    });
    kube::Error::Api(said.boxed())
}
