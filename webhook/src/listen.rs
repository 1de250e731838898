//! Accepts connections, serves TLS and HTTP on them, watches them, and drains them at the end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::activity::{Activity, Expired, Protocol, Watched};
use crate::http;
use crate::limits::{DRAIN_TICK, HTTP2_STREAMS, WATCHDOG_TICK};
use crate::metrics::RefusedLabel;
use crate::shares::Share;
use crate::state::State;

/// The pause after a failed accept, such as without free file descriptors, to let some become free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` is set. Then no new connection is accepted, and open ones end after their request in
/// progress.
pub(crate) async fn accept(listener: TcpListener, state: Arc<State>, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (tcp, peer) = match accepted {
            Ok((tcp, address)) => (tcp, address.ip()),
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let mut share = state.connections.of(peer);
        if !share.grow(1) {
            state.metrics.refused(RefusedLabel::connections);
            continue;
        }
        tokio::spawn(connection(tcp, peer, Arc::clone(&state), stop.clone(), share));
    }
}

/// Waits until all connections are closed, at most this long; returns whether they are.
pub(crate) async fn drained(state: &State, wait: Duration) -> bool {
    let closed = async {
        while state.connections.now() > 0 {
            sleep(DRAIN_TICK).await;
        }
    };
    timeout(wait, closed).await.is_ok()
}

async fn connection(
    tcp: TcpStream,
    peer: IpAddr,
    state: Arc<State>,
    stop: watch::Receiver<bool>,
    _share: Share,
) {
    state.metrics.connections.inc();
    // Answers are small and written whole: waiting to fill a segment would only delay them.
    let _ = tcp.set_nodelay(true);
    let acceptor = TlsAcceptor::from(state.tls.load_full());
    match timeout(state.limits.handshake_timeout, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => converse(tls, peer, &state, stop).await,
        Ok(Err(error)) => {
            debug!(%error, "no TLS");
            state.metrics.refused(RefusedLabel::handshake);
        }
        Err(_) => state.metrics.refused(RefusedLabel::handshake),
    }
    state.metrics.connections.dec();
}

/// Serves the requests of one connection.
async fn converse(tls: TlsStream<TcpStream>, peer: IpAddr, state: &Arc<State>, stop: watch::Receiver<bool>) {
    let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Watched { stream: tls, activity: Arc::clone(&activity) });
    let (shared, progress) = (Arc::clone(state), Arc::clone(&activity));
    let service = service_fn(move |request| {
        let (state, in_request) = (Arc::clone(&shared), progress.begin());
        async move {
            let answer = http::answer(&state, peer, request).await;
            drop(in_request);
            Ok::<_, Infallible>(answer)
        }
    });
    let limits = &state.limits;
    if http2 {
        let served = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
            .serve_connection(io, service);
        watch_over(served, state, &activity, stop, Protocol::Http2).await;
    } else {
        let served = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(limits.max_header_bytes)
            .serve_connection(io, service);
        watch_over(served, state, &activity, stop, Protocol::Http1).await;
    }
}

/// Drives a connection to its end: by the client, by the watchdog, or after the request in progress when the
/// server stops.
async fn watch_over<C>(
    served: C,
    state: &State,
    activity: &Activity,
    mut stop: watch::Receiver<bool>,
    protocol: Protocol,
) where
    C: GracefulConnection,
    C::Error: std::fmt::Display,
{
    let limits = &state.limits;
    let mut served = std::pin::pin!(served);
    let mut tick = interval(WATCHDOG_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    debug!(%error, "connection ended early");
                }
                return;
            }
            _ = stop.changed(), if !stopping => {
                stopping = true;
                served.as_mut().graceful_shutdown();
            }
            _ = tick.tick() => match activity.expired(protocol, limits.header_timeout, limits.idle_timeout) {
                None => {}
                Some(Expired::Idle) => return,
                Some(Expired::Headers) => {
                    state.metrics.refused(RefusedLabel::headers_timeout);
                    return;
                }
            }
        }
    }
}
