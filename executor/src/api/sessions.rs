//! `/v1/sessions`: a session is one conversation of an agent: its workspace, its counters, the order of its calls.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::{App, Body, blocking};
use crate::refusal::Refusal;
use crate::wire::Session;

/// Nothing is chosen when a session is opened: who calls and what holds is fixed by the listener and the bundle.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {}

pub(super) async fn open(State(app): State<App>, body: Body) -> Result<(StatusCode, Json<Session>), Refusal> {
    if !body.0.is_empty() {
        let Open {} = body.json()?;
    }
    let session = blocking(&app, |app| app.open_session()).await?;
    Ok((StatusCode::CREATED, Json(session)))
}

pub(super) async fn get(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Session>, Refusal> {
    app.session(&id).map(Json)
}

pub(super) async fn close(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    blocking(&app, move |app| app.close_session(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
