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
mod body;
mod calls;
mod drain;
pub mod listen;
mod problem;
mod sessions;
mod status;
mod tools;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

pub(crate) use body::Body;

use crate::executor::Executor;
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

/// What the variable parts of a URL's path name.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let read = Path::from_request_parts(parts, app).await;
        read.map(|Path(names)| Self(names)).map_err(|error| Refusal::Malformed(error.body_text()))
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::path::Path;

    use axum::Extension;
    use axum::body::Body as HttpBody;
    use axum::http::{Request, StatusCode};
    use bailiwick_audit::record::{Kind, Record};
    use http_body_util::BodyExt as _;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use serde_json::Value;
    use tokio::net::UnixStream;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::connection::Connection;
    use crate::limits::{MAX_ARGUMENTS_DEPTH, MAX_IDEMPOTENCY_KEY, MAX_TOOL_NAME};
    use crate::run::tests::executor;

    /// The answer to a request of somebody who connects to the call socket.
    async fn answer(app: &App, request: Request<HttpBody>) -> (StatusCode, Value) {
        let (socket, _client) = UnixStream::pair().unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let client = Arc::new(Connection::new(&socket, place).unwrap());
        let router = calls_router(Arc::clone(app)).layer(Extension(client));
        let answered = TowerToHyperService::new(router).call(request).await.unwrap();
        let status = answered.status();
        let body = answered.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The kinds of the log's records, without checkpoints.
    fn records(state: &Path) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let each = |record: &Record, _| {
            kinds.extend(Some(record.kind).filter(|kind| *kind != Kind::Checkpoint));
            Ok::<_, Infallible>(())
        };
        bailiwick_audit::fold(state, None, each).unwrap();
        kinds
    }

    /// A call, with these idempotency keys.
    fn call(session: &str, keys: &[&str], body: &str) -> Request<HttpBody> {
        let request = Request::post(format!("/v1/sessions/{session}/calls"));
        let request = keys.iter().fold(request, |request, key| request.header("idempotency-key", *key));
        request.body(HttpBody::from(body.to_owned())).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_no_document_names_is_refused_with_a_problem() {
        let state = tempfile::tempdir().unwrap();
        let app = executor(state.path());
        let session = tokio::task::block_in_place(|| app.open_session().unwrap().id);
        let before = records(state.path());
        let known = r#"{"tool": "argv", "args": {"text": "ls"}}"#;
        let long = format!(r#"{{"tool": "{}"}}"#, "x".repeat(1025));
        let deep = format!(r#"{{"tool": "argv", "args": {{"text": {}{}}}}}"#, "[".repeat(64), "]".repeat(64));
        for (keys, body) in [
            (&[][..], r#"["argv", {"text": "ls"}]"#),
            (&[], ""),
            (&[], "null"),
            (&[], &long),
            (&[], &deep),
            (&["a", "b"], known),
            (&["a", "a"], known),
        ] {
            let (status, problem) = answer(&app, call(&session, keys, body)).await;
            assert_eq!((status, &problem["error"]), (StatusCode::BAD_REQUEST, &"malformed".into()), "{body}");
        }
        for path in ["/v1/sessions/%ff", &format!("/v1/sessions/{session}/calls/%ff")] {
            let request = Request::get(path).body(HttpBody::empty()).unwrap();
            let (status, problem) = answer(&app, request).await;
            assert_eq!((status, &problem["error"]), (StatusCode::BAD_REQUEST, &"malformed".into()), "{path}");
        }
        // The log holds nothing of them, as the guide says, and accepts records as before.
        assert_eq!(records(state.path()), before);
        let guide = include_str!("../../../docs/guide/tool-calls.md");
        for limit in [
            format!("more than {MAX_TOOL_NAME} bytes"),
            format!("nested more than {MAX_ARGUMENTS_DEPTH} deep"),
            format!("more than {MAX_IDEMPOTENCY_KEY} characters"),
        ] {
            assert!(guide.replace("\n  ", " ").contains(&limit), "{limit}");
        }
        let (status, _) = answer(&app, call(&session, &["a"], &format!(" {known}"))).await;
        assert_eq!(status, StatusCode::OK);
        app.all_ended().await;
        let (status, _) = answer(&app, call(&session, &["b"], &deep.replacen("[]", "0", 1))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "decided, and denied");
        let kinds = records(state.path()).split_off(before.len());
        assert_eq!(kinds, [Kind::Intent, Kind::Result, Kind::Decision]);
    }
}
