//! The HTTP API: two routers, one for callers and one for administrators, over Unix sockets that no sandbox can see.
//!
//! ```text
//! call socket    /v1/sessions, /v1/sessions/{id}/calls, …, /v1/tools, /healthz, /readyz, /metrics
//! admin socket   /v1/approvals, /healthz, /readyz, /metrics
//! ```
//! Handlers read a request, ask [`crate::executor::Executor`] and write the answer. Whoever asks is fixed for the call socket; subject
//! fields in requests are refused as unknown fields.

mod approvals;
mod calls;
pub mod listen;
pub mod problem;
mod sessions;
mod status;
mod tools;
pub mod wire;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

use crate::executor::Executor;
use problem::Refusal;

/// What handlers work with.
pub(crate) type App = Arc<Executor>;

/// The router of the call socket.
pub fn calls_router(app: App) -> Router {
    let limit = app.limits().max_body_bytes;
    Router::new()
        .route("/v1/sessions", post(sessions::open))
        .route("/v1/sessions/{session}", get(sessions::get).delete(sessions::close))
        .route("/v1/sessions/{session}/calls", post(calls::start))
        .route("/v1/sessions/{session}/calls/{call}", get(calls::get))
        .route("/v1/sessions/{session}/calls/{call}/stdin", post(calls::stdin))
        .route("/v1/sessions/{session}/calls/{call}/signal", post(calls::signal))
        .route("/v1/sessions/{session}/calls/{call}/cancel", post(calls::cancel))
        .route("/v1/tools", get(tools::list))
        .merge(status::router())
        .fallback(async || Refusal::NoSuchPath)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(DefaultBodyLimit::max(limit))
        .with_state(app)
}

/// The router of the admin socket.
pub fn admin_router(app: App) -> Router {
    let limit = app.limits().max_body_bytes;
    Router::new()
        .route("/v1/approvals", get(approvals::list))
        .route("/v1/approvals/{approval}", get(approvals::get).post(approvals::submit))
        .merge(status::router())
        .fallback(async || Refusal::NoSuchPath)
        .method_not_allowed_fallback(async || Refusal::Method)
        .layer(DefaultBodyLimit::max(limit))
        .with_state(app)
}

/// A body that came whole, in time and within the limit.
pub(crate) struct Body(pub(crate) Bytes);

impl FromRequest<App> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let limits = app.limits();
        let read = tokio::time::timeout(limits.read_timeout(), Bytes::from_request(request, app));
        match read.await {
            Err(_) => Err(Refusal::TooSlow),
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Refusal::TooLarge { limit: limits.max_body_bytes })
            }
            Ok(Err(rejection)) => Err(Refusal::Malformed(rejection.body_text())),
        }
    }
}

impl Body {
    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.0)
            .map_err(|error| Refusal::Malformed(format!("the body is not what is expected here: {error}")))
    }
}

/// Runs what waits for a disk or a kernel on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&App) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let app = Arc::clone(app);
    match tokio::task::spawn_blocking(move || work(&app)).await {
        Ok(done) => done,
        // A fault of ours; what was being done is not known to be done.
        Err(error) => Err(Refusal::NotRecorded(format!("a fault in the executor: {error}"))),
    }
}
