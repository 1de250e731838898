//! `/healthz`, `/readyz`, `/metrics`: for those who operate the executor.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use super::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Ready while calls can be decided, recorded and run.
async fn ready(State(app): State<App>) -> (StatusCode, String) {
    match app.readiness() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", why.escape_debug())),
    }
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    app.metrics().calls.set(i64::try_from(app.seated()).unwrap_or(i64::MAX));
    let text = app.metrics().text();
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
