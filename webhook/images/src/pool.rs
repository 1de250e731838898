//! Requests over kept connections: one at a time on each, HTTP/1.1.
//!
//! This is not a general client: it only sends GET, never follows a redirect and never sends a body. A
//! connection returns to the pool once its answer has been read to the end, and is closed otherwise, so that
//! no request reads the answer to another. It is kept for requests with the same registry's settings: those
//! say which private addresses may be reached, and a kept connection has reached its address already.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::limits::{IDLE_CONNECTIONS, IDLE_REGISTRIES, IDLE_TIME, READING_BYTES, REQUESTS};
use crate::net::{ConnectError, Origin, connect};
use crate::settings::Registry;

type Sender = SendRequest<Empty<Bytes>>;

/// Idle connections, and how many requests, with how many bytes of answers, may be in progress.
pub(crate) struct Pool {
    idle: Mutex<BTreeMap<Kept, Vec<(Sender, Instant)>>>,
    permits: Semaphore,
    bytes: Semaphore,
}

/// Where a connection leads, and by whose settings it was allowed to: the host that they are listed under.
type Kept = (Origin, Option<String>);

/// A request.
pub(crate) struct Get<'g> {
    pub(crate) origin: &'g Origin,
    pub(crate) registry: Option<&'g Registry>,
    /// Path and query.
    pub(crate) target: &'g str,
    pub(crate) accept: &'g str,
    pub(crate) authorization: Option<&'g HeaderValue>,
    /// The largest body; a larger one is an error.
    pub(crate) cap: usize,
    pub(crate) deadline: Instant,
}

/// An answer; its body is read to the end if the status is 200.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Not read for a status other than 200.
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GetError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("`{host}` did not answer in time")]
    TimedOut { host: String },
    #[error("the answer of `{host}` is larger than {cap} bytes")]
    TooLarge { host: String, cap: usize },
    #[error("the connection to `{host}` broke: {source}")]
    Broken { host: String, source: hyper::Error },
    #[error("`{0}` cannot be asked for")]
    Target(String),
}

impl Get<'_> {
    fn kept(&self) -> Kept {
        (self.origin.clone(), self.registry.map(|registry| registry.host.clone()))
    }
}

impl Pool {
    pub(crate) fn new() -> Self {
        let (permits, bytes) = (Semaphore::new(REQUESTS), Semaphore::new(READING_BYTES));
        Self { idle: Mutex::default(), permits, bytes }
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn get(&self, get: &Get<'_>) -> Result<Answer, GetError> {
        let late = || GetError::TimedOut { host: get.origin.host.clone() };
        let permit = timeout_at(get.deadline, self.permits.acquire()).await.map_err(|_| late())?;
        let most = u32::try_from(get.cap.min(READING_BYTES)).unwrap_or(u32::MAX);
        let bytes = timeout_at(get.deadline, self.bytes.acquire_many(most)).await.map_err(|_| late())?;
        let asked = timeout_at(get.deadline, self.ask(get)).await.map_err(|_| late())?;
        drop((permit, bytes));
        asked
    }

    async fn ask(&self, get: &Get<'_>) -> Result<Answer, GetError> {
        let broken = |source| GetError::Broken { host: get.origin.host.clone(), source };
        // The other side may have closed a kept connection; a request that was not sent over it can be sent
        // over a new one.
        while let Some(mut sender) = self.take(&get.kept()) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request(get)?).await {
                Ok(response) => return self.read(get, sender, response).await,
                // The request came back unsent, or the connection ended before any answer: GET may be sent
                // again.
                Err(_) => continue,
            }
        }
        let stream = connect(get.origin, get.registry, get.deadline).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Ends when the sender is dropped; its errors are also errors of the request.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let response = sender.send_request(request(get)?).await.map_err(broken)?;
        self.read(get, sender, response).await
    }

    async fn read(
        &self,
        get: &Get<'_>,
        sender: Sender,
        response: Response<Incoming>,
    ) -> Result<Answer, GetError> {
        let (head, mut body) = response.into_parts();
        let too_large = || GetError::TooLarge { host: get.origin.host.clone(), cap: get.cap };
        let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if head.status == StatusCode::OK && declared > get.cap {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| GetError::Broken { host: get.origin.host.clone(), source })?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > get.cap {
                // The body of an error is of no use; the connection is given up instead of reading it.
                if head.status == StatusCode::OK {
                    return Err(too_large());
                }
                return Ok(Answer { status: head.status, headers: head.headers, body: Bytes::new() });
            }
            bytes.extend_from_slice(&data);
        }
        self.keep(get.kept(), sender);
        Ok(Answer { status: head.status, headers: head.headers, body: bytes.into() })
    }

    fn take(&self, of: &Kept) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(of)?;
        while let Some((sender, since)) = kept.pop() {
            if since.elapsed() < IDLE_TIME && !sender.is_closed() {
                return Some(sender);
            }
        }
        idle.remove(of);
        None
    }

    fn keep(&self, of: Kept, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !idle.contains_key(&of) && idle.len() >= IDLE_REGISTRIES {
            idle.clear();
        }
        let kept = idle.entry(of).or_default();
        if kept.len() < IDLE_CONNECTIONS {
            kept.push((sender, Instant::now()));
        }
    }
}

fn request(get: &Get<'_>) -> Result<Request<Empty<Bytes>>, GetError> {
    let wrong = |_| GetError::Target(get.target.to_owned());
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(get.target)
        .header(HOST, get.origin.authority())
        .header(ACCEPT, get.accept)
        .header(USER_AGENT, concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(wrong)?;
    if let Some(authorization) = get.authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}
