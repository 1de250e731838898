//! The activity of a connection: atomics that its tasks update and its watchdog reads.
//!
//! A timer for each wait would cost every request; a watchdog that looks twice a second costs none of them
//! anything.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The activity of a connection. Times are in milliseconds since it was opened.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    /// Requests whose headers were read and whose answers are not yet handed over.
    open_requests: AtomicU32,
    /// When a request last began or ended.
    last_request_ms: AtomicU64,
    /// When the first bytes of the next request arrived; 0: none have.
    headers_since_ms: AtomicU64,
}

/// Why the watchdog closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// The headers of a request did not arrive completely in time.
    Headers,
    /// No request for too long.
    Idle,
}

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl Activity {
    /// The activity of a connection that is opened now.
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            open_requests: AtomicU32::new(0),
            last_request_ms: AtomicU64::new(0),
            headers_since_ms: AtomicU64::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        // Never 0, which means "none".
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Records that a request's headers were read; it is in progress until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InRequest {
        self.open_requests.fetch_add(1, Relaxed);
        self.headers_since_ms.store(0, Relaxed);
        InRequest(Arc::clone(self))
    }

    fn bytes_came(&self) {
        if self.open_requests.load(Relaxed) == 0 && self.headers_since_ms.load(Relaxed) == 0 {
            self.headers_since_ms.store(self.now_ms(), Relaxed);
        }
    }

    /// Whether the connection is past one of its timeouts. HTTP/2 also has frames outside of requests (pings,
    /// settings), so for it only the pause between requests counts.
    pub(crate) fn expired(&self, protocol: Protocol, headers: Duration, idle: Duration) -> Option<Expired> {
        if self.open_requests.load(Relaxed) > 0 {
            return None;
        }
        let over = |since_ms: u64, limit: Duration| {
            u128::from(self.now_ms().saturating_sub(since_ms)) > limit.as_millis()
        };
        let since = self.headers_since_ms.load(Relaxed);
        if protocol == Protocol::Http1 && since != 0 && over(since, headers) {
            return Some(Expired::Headers);
        }
        over(self.last_request_ms.load(Relaxed), idle).then_some(Expired::Idle)
    }
}

/// A request in progress.
pub(crate) struct InRequest(Arc<Activity>);

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.last_request_ms.store(self.0.now_ms(), Relaxed);
        self.0.open_requests.fetch_sub(1, Relaxed);
    }
}

/// A stream that reports arriving bytes to the connection's [`Activity`].
pub(crate) struct Watched<S> {
    pub(crate) stream: S,
    pub(crate) activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT: Duration = Duration::from_secs(3600);

    #[test]
    fn only_a_connection_without_requests_expires() {
        let activity = Arc::new(Activity::new());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(activity.expired(Protocol::Http1, NOT, NOT), None);
        assert_eq!(activity.expired(Protocol::Http1, NOT, Duration::ZERO), Some(Expired::Idle));
        activity.bytes_came();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(activity.expired(Protocol::Http1, Duration::ZERO, NOT), Some(Expired::Headers));
        assert_eq!(activity.expired(Protocol::Http2, Duration::ZERO, NOT), None);
        let request = activity.begin();
        assert_eq!(activity.expired(Protocol::Http1, Duration::ZERO, Duration::ZERO), None);
        drop(request);
        assert_eq!(activity.expired(Protocol::Http1, Duration::ZERO, NOT), None);
    }
}
