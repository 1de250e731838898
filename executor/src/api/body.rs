//! The body of a request: whole, in time, within the limit, and with its share of the room that all requests have
//! together ([`crate::room`]).

use std::sync::Arc;

use axum::body::{Body as HttpBody, Bytes, HttpBody as _};
use axum::extract::{FromRequest, Request};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

use super::App;
use crate::limits::MAX_UNHEARD_BYTES;
use crate::refusal::Refusal;
use crate::room::{Room, SMALL_BODY, Share};

/// A body that arrived whole, in time and within the limit.
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    /// The room that it takes.
    pub(crate) share: Share,
}

impl FromRequest<App> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let limits = app.limits();
        // One for which there would never be room is too large, too.
        let limit = limits.max_body_bytes.min(app.room().longest_body());
        let read = whole(request.into_body(), limit, app.room());
        tokio::time::timeout(limits.read_timeout(), read).await.unwrap_or(Err(Refusal::TooSlow))
    }
}

impl Body {
    /// The body as a JSON object. Serde would also take a list of its members in order, which no document names.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if !self.bytes.trim_ascii_start().starts_with(b"{") {
            return Err(Refusal::Malformed("the body is not a JSON object".to_owned()));
        }
        serde_json::from_slice(&self.bytes)
            .map_err(|error| Refusal::Malformed(format!("the body is not what is expected here: {error}")))
    }
}

/// Reads a body. The rest of one that is refused is read within a bound and discarded: a client that still writes
/// when the connection is closed sees a broken pipe and never the answer.
async fn whole(mut body: HttpBody, limit: usize, room: &Arc<Room>) -> Result<Body, Refusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut kept = Kept { bytes: Vec::new(), share: Share::empty(room), limit };
    let mut refused = kept.make_room(announced).err();
    let mut unheard = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::Malformed(format!("the body breaks off: {error}")))?;
        let Ok(part) = frame.into_data() else { continue };
        if refused.is_none() {
            refused = kept.add(&part).err();
        }
        if refused.is_some() {
            kept = Kept { bytes: Vec::new(), share: Share::empty(room), limit };
            unheard = unheard.saturating_add(part.len());
        }
        if unheard > MAX_UNHEARD_BYTES {
            break;
        }
    }
    match refused {
        Some(refusal) => Err(refusal),
        None => Ok(Body { bytes: kept.bytes.into(), share: kept.share }),
    }
}

/// What has arrived of a body.
struct Kept {
    bytes: Vec<u8>,
    share: Share,
    limit: usize,
}

impl Kept {
    fn add(&mut self, part: &[u8]) -> Result<(), Refusal> {
        let length = self.bytes.len().saturating_add(part.len());
        if length > self.bytes.capacity() {
            // Doubled, so that a body of unknown length is not copied for each of its parts.
            let most = if length <= SMALL_BODY { SMALL_BODY.min(self.limit) } else { self.limit };
            self.make_room(length.max(length.saturating_mul(2).min(most)))?;
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// Makes room for a body of this length, before its bytes are there.
    fn make_room(&mut self, length: usize) -> Result<(), Refusal> {
        if length > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        if length > SMALL_BODY {
            self.share.grow_to(length)?;
        }
        self.bytes.reserve_exact(length.saturating_sub(self.bytes.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    /// A body that is announced as this long, or not at all.
    async fn read(length: usize, announced: bool, room: &Arc<Room>) -> Result<Body, Refusal> {
        let body = HttpBody::from(vec![b'x'; length]);
        let body = if announced { body } else { HttpBody::new(body.map_frame(|frame| frame)) };
        whole(body, LIMIT, room).await
    }

    #[tokio::test]
    async fn large_bodies_take_room_and_small_ones_none() {
        let room = Room::new(2 * LIMIT, "requests");
        for announced in [true, false] {
            let first = read(LIMIT, announced, &room).await.unwrap();
            let second = read(LIMIT, announced, &room).await.unwrap();
            let third = read(SMALL_BODY + 1, announced, &room).await;
            assert!(matches!(third, Err(Refusal::Busy(_))));
            assert_eq!(read(SMALL_BODY, announced, &room).await.unwrap().bytes.len(), SMALL_BODY);
            drop((first, second));
            assert_eq!(read(LIMIT, announced, &room).await.unwrap().bytes.len(), LIMIT);
            let larger = read(LIMIT + 1, announced, &room).await;
            assert_eq!(larger.err(), Some(Refusal::TooLarge { limit: LIMIT }));
        }
    }

    /// It is refused before a byte of it was kept.
    #[tokio::test]
    async fn room_is_taken_by_what_is_announced() {
        let room = Room::new(LIMIT / 2, "requests");
        let mut kept = Kept { bytes: Vec::new(), share: Share::empty(&room), limit: LIMIT };
        assert!(matches!(kept.make_room(LIMIT), Err(Refusal::Busy(_))));
        assert_eq!(kept.bytes.capacity(), 0);
    }
}
