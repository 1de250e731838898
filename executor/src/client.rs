//! A small HTTP client over a Unix socket, for the commands that talk to a running executor.

use std::path::Path;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::approvals::MAX_LIST_BYTES;

/// Largest answer that is read: a list of questions with their arguments, or a call with all its output.
const MAX_ANSWER_BYTES: usize = MAX_LIST_BYTES;

/// Sends one request and returns status and body.
///
/// # Errors
/// No process listens on the socket, or the answer does not arrive whole.
pub(crate) async fn ask(
    socket: &Path,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!("cannot connect to `{}`; does an executor serve there?", socket.display())
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "executor")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await.context("the executor did not answer")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    connection.abort();
    match body {
        Ok(body) => Ok((status, body.to_bytes())),
        Err(error) => bail!("the answer did not come whole: {error}"),
    }
}
