//! Unix sockets and the connections on them: the file system decides who may connect; this module limits how
//! long and how much.
//!
//! A socket is in a directory that only its group may enter; the admin socket belongs in a different
//! directory from the call socket. An existing file at the path is removed only if it is a socket that no
//! process listens on.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::connection::Connection;
use crate::limits::MAX_HEADER_BYTES;

/// After an `accept` that failed for lack of descriptors or memory: long enough for others to be released.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the socket cannot be listened on.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ListenError {
    #[error("`{}` is in use by another process", path.display())]
    InUse { path: PathBuf },
    #[error("`{}` is there and is not a socket", path.display())]
    NotASocket { path: PathBuf },
    #[error("cannot listen on `{}`: {source}", path.display())]
    Bind { path: PathBuf, source: io::Error },
}

/// How long a connection waits for its client.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the headers of a request.
    pub headers: Duration,
    /// Until there is room for more of a pending answer: a socket has room once most of its content was read.
    pub writes: Duration,
}

/// A socket with its file, which is removed with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // If the file is found later, no process listens on it; it does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Listens on a path; only owner and group may connect.
    ///
    /// # Errors
    /// A path that is in use, is not a socket, or cannot be bound.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { path: path.to_owned(), source };
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(there) if !there.file_type().is_socket() => {
                return Err(ListenError::NotASocket { path: path.to_owned() });
            }
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => return Err(ListenError::InUse { path: path.to_owned() }),
                Err(_) => std::fs::remove_file(path).map_err(failed)?,
            },
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves a router until `stop` is signalled; then allows requests in progress to end for `drain`.
    pub async fn serve(
        self,
        router: Router,
        connections: Arc<Semaphore>,
        patience: Patience,
        mut stop: watch::Receiver<bool>,
        drain: Duration,
    ) {
        let mut open = JoinSet::new();
        loop {
            // Callers that occupy every place must not keep the executor from ending.
            let place = tokio::select! {
                place = Arc::clone(&connections).acquire_owned() => place,
                () = told(&mut stop) => break,
            };
            let Ok(permit) = place else { break };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = told(&mut stop) => break,
            };
            match accepted {
                Ok((stream, _)) => match Connection::new(&stream, permit) {
                    Ok(client) => {
                        open.spawn(connection(stream, client, router.clone(), patience, stop.clone()));
                    }
                    Err(error) => later(&error).await,
                },
                Err(error) => later(&error).await,
            }
            while open.try_join_next().is_some() {}
        }
        let _ = tokio::time::timeout(drain, async { while open.join_next().await.is_some() {} }).await;
    }
}

async fn later(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn connection(
    stream: UnixStream,
    client: Connection,
    router: Router,
    patience: Patience,
    mut stop: watch::Receiver<bool>,
) {
    let client = Arc::new(client);
    let router = router.layer(Extension(Arc::clone(&client)));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(MAX_HEADER_BYTES.max(8192));
    let stream = TokioIo::new(Impatient { stream, client, patience: patience.writes, stalled: None });
    let connection = builder.serve_connection(stream, TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = told(&mut stop) => None,
    };
    if let Some(ended) = ended {
        return said(ended);
    }
    connection.as_mut().graceful_shutdown();
    said(connection.await);
}

/// A stream whose client must make room for more of what is written within a time limit. Otherwise a client
/// that sends requests and never reads would hold its place among the connections, and the answers pending
/// for it, for ever.
struct Impatient {
    stream: UnixStream,
    client: Arc<Connection>,
    patience: Duration,
    /// Runs since a write had to wait.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    /// Completes a write, waits with it, or gives up.
    fn within<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut UnixStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let done = write(Pin::new(&mut self.stream), context);
        self.client.begin_rest();
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.patience)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.within(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.within(context, |stream, context| stream.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is buffered in the stream itself, so a flush says nothing about the client.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Waits until a stop is signalled, or until no sender is left.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn said(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
