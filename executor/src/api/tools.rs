//! `/v1/tools`: the tools that an agent may learn it can call.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{App, Params, blocking};
use crate::refusal::Refusal;
use crate::wire::Tool;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// A session, for rules that read session state; without one they hide nothing.
    #[serde(default)]
    session: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Vec<Tool>>, Refusal> {
    // The semaphore is never closed.
    let _turn = app.listings().acquire().await;
    blocking(&app, move |app| app.tools(query.session.as_deref())).await.map(Json)
}
