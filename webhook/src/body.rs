//! Reads a request's body within its limits: its own size, the bytes held by all requests together, and time.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::limits::{BODY_RESERVE_BYTES, DISCARD_FACTOR, Limits, REQUEST_BYTES};
use crate::shares::Share;

/// A whole body; its share of the held bytes is returned when it is dropped.
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _share: Share,
}

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Larger than the limit. The beginning is kept, since it holds the request's uid.
    #[error("the body is larger than {limit} bytes, more than the API server sends; make the object smaller")]
    TooLarge { limit: usize, beginning: Bytes },
    /// The client's share of the bytes that are held for reviews is used up.
    #[error("this client has as many bytes of reviews held as it may have; try again")]
    Busy,
    /// It did not arrive completely in time.
    #[error("the body did not arrive in time")]
    TimedOut,
    /// The connection or its framing broke.
    #[error("the body was cut off: {0}")]
    Broken(hyper::Error),
}

/// Reads the body until `until`. A body that arrives in one piece, the common case, is not copied. `share`:
/// what the peer holds for this request, still empty.
pub(crate) async fn read(
    mut body: Incoming,
    limits: &Limits,
    mut share: Share,
    until: Instant,
) -> Result<Held, BodyError> {
    if !share.grow(REQUEST_BYTES) {
        return Err(BodyError::Busy);
    }
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let Some(first) = next_data(&mut body, until).await? else {
        return Ok(Held { bytes: Bytes::new(), _share: share });
    };
    if declared > limits.max_body_bytes || first.len() > limits.max_body_bytes {
        discard(&mut body, first.len(), limits, until).await;
        return Err(BodyError::TooLarge { limit: limits.max_body_bytes, beginning: first });
    }
    if !share.grow(first.len()) {
        discard(&mut body, first.len(), limits, until).await;
        return Err(BodyError::Busy);
    }
    if body.is_end_stream() {
        return Ok(Held { bytes: first, _share: share });
    }
    let mut whole = Vec::with_capacity(declared.clamp(first.len(), BODY_RESERVE_BYTES.max(first.len())));
    whole.extend_from_slice(&first);
    drop(first);
    while let Some(data) = next_data(&mut body, until).await? {
        if whole.len() + data.len() > limits.max_body_bytes {
            let seen = whole.len() + data.len();
            discard(&mut body, seen, limits, until).await;
            return Err(BodyError::TooLarge { limit: limits.max_body_bytes, beginning: whole.into() });
        }
        if !share.grow(data.len()) {
            // The held bytes are released before the rest is read and discarded; the request still counts.
            drop(std::mem::take(&mut whole));
            share.shrink_to(REQUEST_BYTES);
            discard(&mut body, 0, limits, until).await;
            return Err(BodyError::Busy);
        }
        whole.extend_from_slice(&data);
    }
    Ok(Held { bytes: whole.into(), _share: share })
}

/// The next piece of data; `None` at the end. Trailers are ignored.
async fn next_data(body: &mut Incoming, until: Instant) -> Result<Option<Bytes>, BodyError> {
    loop {
        match timeout_at(until, body.frame()).await {
            Err(_) => return Err(BodyError::TimedOut),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(BodyError::Broken(error)),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads and discards the rest, so that a client that is still sending gets to read the answer.
async fn discard(body: &mut Incoming, mut seen: usize, limits: &Limits, until: Instant) {
    while seen <= limits.max_body_bytes.saturating_mul(DISCARD_FACTOR) {
        match next_data(body, until).await {
            Ok(Some(data)) => seen = seen.saturating_add(data.len()),
            Ok(None) | Err(_) => return,
        }
    }
}
