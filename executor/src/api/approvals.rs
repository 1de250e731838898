//! `/v1/approvals`, on the admin socket: the open questions, and approvers' signed answers to them.

use axum::Json;
use axum::extract::State;

use super::{App, Body, Named, blocking};
use crate::refusal::Refusal;
use crate::wire::{ApprovalSubmission, OpenQuestion};

pub(super) async fn list(State(app): State<App>) -> Json<Vec<OpenQuestion>> {
    Json(app.questions())
}

pub(super) async fn get(
    State(app): State<App>,
    Named(id): Named<String>,
) -> Result<Json<OpenQuestion>, Refusal> {
    app.question(&id).map(Json)
}

pub(super) async fn submit(
    State(app): State<App>,
    Named(id): Named<String>,
    body: Body,
) -> Result<Json<OpenQuestion>, Refusal> {
    let submission: ApprovalSubmission = body.json()?;
    blocking(&app, move |app| app.approve(&id, &submission)).await.map(Json)
}
