//! The HTTP API: two routers, one for callers and one for administrators, over Unix sockets that no sandbox
//! can see.
//!
//! ```text
//! call socket    /v1/sessions, /v1/sessions/{id}/calls, …, /v1/tools, /healthz, /readyz, /metrics
//! admin socket   /v1/approvals, /v1/drain, /healthz, /readyz, /metrics
//! ```
//! Handlers read a request, call [`crate::executor::Executor`] and write the answer. The subject is fixed for
//! the call socket; subject fields in requests are refused as unknown fields.

mod approvals;
mod calls;
mod drain;
pub mod listen;
mod problem;
mod sessions;
mod status;
mod tools;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use crate::executor::Executor;
use crate::limits::MAX_UNHEARD_BYTES;
use crate::refusal::Refusal;

/// What handlers work with.
pub(crate) type App = Arc<Executor>;

/// The router of the call socket.
pub fn calls_router(app: App) -> Router {
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
        // Reads the body: a client that still writes when the connection is closed never sees the answer.
        .fallback(async |_: Body| Refusal::NoSuchPath)
        .method_not_allowed_fallback(async |_: Body| Refusal::Method)
        .with_state(app)
}

/// The router of the admin socket.
pub fn admin_router(app: App) -> Router {
    Router::new()
        .route("/v1/approvals", get(approvals::list))
        .route("/v1/approvals/{approval}", get(approvals::get).post(approvals::submit))
        .route("/v1/drain", post(drain::drain))
        .merge(status::router())
        // Reads the body: a client that still writes when the connection is closed never sees the answer.
        .fallback(async |_: Body| Refusal::NoSuchPath)
        .method_not_allowed_fallback(async |_: Body| Refusal::Method)
        .with_state(app)
}

/// A body that arrived whole, in time and within the limit.
pub(crate) struct Body(pub(crate) Bytes);

impl FromRequest<App> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let limits = app.limits();
        let read = tokio::time::timeout(limits.read_timeout(), whole(request, limits.max_body_bytes));
        read.await.unwrap_or(Err(Refusal::TooSlow)).map(Self)
    }
}

/// The parameters of a URL's query.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let read = Query::from_request_parts(parts, app).await;
        read.map(|Query(query)| Self(query)).map_err(|error| Refusal::Malformed(error.body_text()))
    }
}

/// Reads a body. One that is too large is read within a bound and discarded: a client that still writes when
/// the connection is closed sees a broken pipe and never the answer.
async fn whole(request: Request, limit: usize) -> Result<Bytes, Refusal> {
    let mut body = request.into_body();
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::Malformed(format!("the body breaks off: {error}")))?;
        let Ok(part) = frame.into_data() else { continue };
        length = length.saturating_add(part.len());
        if length <= limit {
            kept.extend_from_slice(&part);
        } else if length - limit <= MAX_UNHEARD_BYTES {
            kept = Vec::new();
        } else {
            break;
        }
    }
    if length <= limit { Ok(kept.into()) } else { Err(Refusal::TooLarge { limit }) }
}

impl Body {
    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.0)
            .map_err(|error| Refusal::Malformed(format!("the body is not what is expected here: {error}")))
    }
}

/// Runs blocking work, on a disk or the kernel, on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&App) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let app = Arc::clone(app);
    match tokio::task::spawn_blocking(move || work(&app)).await {
        Ok(done) => done,
        // A fault of ours; the work is not known to be done.
        Err(_) => Err(Refusal::Fault),
    }
}
