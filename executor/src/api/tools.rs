//! `/v1/tools`: what an agent may be told that it can call.

use axum::Json;
use axum::extract::State;

use super::App;
use super::wire::Tool;

pub(super) async fn list(State(app): State<App>) -> Json<Vec<Tool>> {
    Json(app.tools())
}
