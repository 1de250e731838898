//! Limits of the server, each with its reason: those of [`Limits`] can be set on the command line, the constants
//! cannot. Further constants stand in the modules that use them.

use std::time::Duration;

use clap::Args;

use crate::deadline::parse_duration;

/// Bounds on what clients can make the server hold or wait for. Of bytes, reviews and connections, one client address gets
/// what it leaves free for the others at most, so half: a single API server has 256 reviews in progress, of 128 KiB each, over
/// 512 connections.
///
/// The defaults fit one API server with its usual 30 s ceiling on webhook calls; units are bytes, counts and durations
/// as Go writes them (`1.5s`, `200ms`, `1m30s`).
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Largest review. The API server's own requests end at 3 MiB, but a review carries the object twice and as JSON
    #[arg(long, value_name = "BYTES", default_value_t = 7 << 20)]
    pub max_body_bytes: usize,
    /// Bytes of reviews held at one time, over all connections; more are answered with 429
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub max_held_bytes: usize,
    /// Largest request line and headers; the API server sends less than 1 kB
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 10)]
    pub max_header_bytes: usize,
    /// Reviews judged at one time; more are answered with 429 and asked to come again in a second
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub max_in_flight: usize,
    /// Open connections; further ones are closed at once, so that those that are served keep their memory
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub max_connections: usize,
    /// Time for a TLS handshake
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub handshake_timeout: Duration,
    /// Time from the first byte of a request to the end of its headers
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub header_timeout: Duration,
    /// Time for the body; the review's own deadline ends it sooner
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub body_timeout: Duration,
    /// How long a connection may rest between requests: longer than the 90 s after which Go's client closes it, so that a
    /// request never meets a closing connection
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = parse_duration)]
    pub idle_timeout: Duration,
    /// After SIGTERM: how long to go on serving while `/readyz` says no, so that the endpoint is withdrawn first
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    pub drain_delay: Duration,
    /// After that: how long to wait for requests in progress
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
}

/// What a request is counted with before any byte of its body has come: its headers, its task and its buffers. So the limit
/// of held bytes also bounds how many requests wait for their bodies.
pub(crate) const REQUEST_BYTES: usize = 32 << 10;

/// Kept back of a review's time for the judgement after the evidence.
pub(crate) const EVIDENCE_MARGIN: Duration = Duration::from_millis(200);

/// Bodies up to this size are judged where they were read: parsing and evaluating 256 KiB takes some milliseconds. Larger
/// ones go to the blocking pool, so that a 7 MiB review does not delay the small ones behind it. They are judged in turns, no
/// more bytes at a time than one review may have: a list of `{}` is read into forty times its size, and the chart gives 512 MiB. Those of
/// Bailiwick's own objects are judged one at a time, since a pack is read several times over.
pub(crate) const INLINE_BODY_BYTES: usize = 256 << 10;

/// After a review that took longer than this, all reviews are judged in the blocking pool for [`SLOW_FOR`], so that the deadline is kept
/// for them. Rules are bounded by fuel, but fuel is counted in nodes, not in time.
pub(crate) const SLOW_REVIEW: Duration = Duration::from_millis(10);

/// How long a slow review is remembered. Not for good: on a busy machine any review may be slow once, and the pool costs two switches
/// of threads for each review.
pub(crate) const SLOW_FOR: Duration = Duration::from_secs(1);

/// Threads that judge large or slow reviews. More would only take turns on the same cores.
pub(crate) const BLOCKING_THREADS: usize = 16;

/// Connections waiting to be accepted, the kernel's customary ceiling.
pub(crate) const ACCEPT_BACKLOG: u32 = 1024;

/// Streams of one HTTP/2 connection, as RFC 9113 §6.5.2 recommends at least.
pub(crate) const HTTP2_STREAMS: u32 = 100;

/// How often a connection's watchdog looks; timeouts of headers and idle connections are late by at most this.
pub(crate) const WATCHDOG_TICK: Duration = Duration::from_millis(500);

/// How often it is looked whether the last connection is closed, at the end.
pub(crate) const DRAIN_TICK: Duration = Duration::from_millis(20);

/// How much of a body that is too large is read and thrown away, as a multiple of the limit: a client that is still
/// sending would otherwise get a reset in place of the answer.
pub(crate) const DISCARD_FACTOR: usize = 2;

/// How much memory is reserved on the word of a Content-Length header before any byte has come.
pub(crate) const BODY_RESERVE_BYTES: usize = 64 << 10;
