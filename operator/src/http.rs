//! `/metrics`, `/livez` and `/readyz` over plain HTTP: their content is not secret, and they accept no
//! commands.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::limits::{MAX_CONNECTIONS, PROBE_TIMEOUT};

/// The state that is served.
pub trait Health: Send + Sync + 'static {
    /// The OpenMetrics text.
    fn metrics(&self) -> String;
    /// Whether the process is working.
    ///
    /// # Errors
    /// Why it is not.
    fn live(&self) -> Result<(), String>;
    /// Whether it knows the cluster.
    ///
    /// # Errors
    /// What it does not know yet.
    fn ready(&self) -> Result<(), String>;
}

/// Serves until the process ends.
///
/// # Errors
/// Accepting failed.
pub async fn serve<H: Health>(listener: TcpListener, health: Arc<H>) -> io::Result<()> {
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let (stream, _) = listener.accept().await?;
        // A surplus connection is closed: the scraper will try again.
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            let _seat = seat;
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer(health.as_ref(), &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PROBE_TIMEOUT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                debug!(%error, "a connection broke");
            }
        });
    }
}

fn answer<H: Health, B>(health: &H, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD here\n".to_owned());
    }
    let said = |result: Result<(), String>| match result {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    };
    match request.uri().path() {
        "/livez" => said(health.live()),
        "/readyz" => said(health.ready()),
        "/metrics" => {
            let mut answer = text(StatusCode::OK, health.metrics());
            let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            answer.headers_mut().insert(CONTENT_TYPE, kind);
            answer
        }
        _ => text(StatusCode::NOT_FOUND, "no such path; there are /livez, /readyz and /metrics\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
