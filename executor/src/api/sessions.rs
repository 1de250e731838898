//! `/v1/sessions`: a session is one conversation of an agent, with its workspace, its counters and the order
//! of its calls.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::{App, Body, Named, blocking};
use crate::refusal::Refusal;
use crate::wire::Session;

/// A caller chooses nothing when it opens a session: the listener and the bundle fix the subject and the
/// policy.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {}

pub(super) async fn open(State(app): State<App>, body: Body) -> Result<(StatusCode, Json<Session>), Refusal> {
    if !body.bytes.is_empty() {
        let Open {} = body.json()?;
    }
    let session = blocking(&app, |app| app.open_session()).await?;
    Ok((StatusCode::CREATED, Json(session)))
}

pub(super) async fn get(State(app): State<App>, Named(id): Named<String>) -> Result<Json<Session>, Refusal> {
    app.session(&id).map(Json)
}

pub(super) async fn close(State(app): State<App>, Named(id): Named<String>) -> Result<StatusCode, Refusal> {
    blocking(&app, move |app| app.close_session(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
