//! Turns of large reviews: what these are read into is many times as large, so no more bytes of them are judged at
//! one time than one may have.
//!
//! A client that has many of them must not keep those of others waiting behind all of its own. So each client's
//! reviews wait for each other first, and no more of them than may be judged at one time wait beside those of others:
//! whoever comes finds at most one round of each other client before it. Term. *Peer*: an IP address.
//!
//! ```text
//! reviews of peer A ► its own turns ┐
//! reviews of peer B ► its own turns ┴► turns of all ► judged
//! ```

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns, in bytes.
pub(crate) struct Turns {
    bytes: u32,
    all: Arc<Semaphore>,
    /// Of each peer that has a review here.
    by: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A review's turn; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    // In this order, so that the peer's next review comes after those of others that wait.
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl Turns {
    /// So many bytes at one time.
    pub(crate) fn new(bytes: usize) -> Self {
        let bytes = u32::try_from(bytes.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self { bytes, all: Self::semaphore(bytes), by: Mutex::default() }
    }

    fn semaphore(bytes: u32) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(usize::try_from(bytes).unwrap_or(Semaphore::MAX_PERMITS)))
    }

    /// Waits for the turn of a review of a peer; `None` only if there are no more turns. An IPv4 address is the same
    /// peer in both of its forms.
    pub(crate) async fn of(&self, peer: IpAddr, bytes: usize) -> Option<Turn> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes);
        let own = self.of_peer(peer.to_canonical()).acquire_many_owned(bytes).await.ok()?;
        let all = Arc::clone(&self.all).acquire_many_owned(bytes).await.ok()?;
        Some(Turn { _all: all, _own: own })
    }

    fn of_peer(&self, peer: IpAddr) -> Arc<Semaphore> {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or has a turn holds one of these, too.
        by.retain(|_, turns| Arc::strong_count(turns) > 1);
        Arc::clone(by.entry(peer).or_insert_with(|| Self::semaphore(self.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn peer(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    #[test]
    fn a_peer_waits_for_one_round_of_another_and_not_for_all_of_its_reviews() {
        let turns = Turns::new(8);
        let first = turns.of(peer(1), 8).now_or_never().expect("its turn").expect("a turn");
        // Many more of the same peer wait; some of one byte.
        let mut more: Vec<_> =
            (0..100).map(|at| Box::pin(turns.of(peer(1), if at == 0 { 8 } else { 1 }))).collect();
        assert!(more.iter_mut().all(|one| one.now_or_never().is_none()));
        let mut other = Box::pin(turns.of(peer(2), 8));
        let mut long = Box::pin(turns.of("::ffff:127.0.0.2".parse().expect("an address"), 1));
        assert!((&mut other).now_or_never().is_none() && (&mut long).now_or_never().is_none());
        drop(first);
        assert!(more.iter_mut().all(|one| one.now_or_never().is_none()), "it came first a second time");
        let second = (&mut other).now_or_never().expect("the other's turn").expect("a turn");
        assert!((&mut long).now_or_never().is_none(), "the same address is another peer");
        drop(second);
        let third = more.remove(0).now_or_never().expect("its turn again").expect("a turn");
        assert_eq!(turns.by.lock().expect("no panic").len(), 2);
        drop((third, more, other, long));
        // Nothing is kept of peers that are gone.
        drop(turns.of_peer(peer(3)));
        assert_eq!(turns.by.lock().expect("no panic").len(), 1);
        assert_eq!(turns.all.available_permits(), 8);
    }

    #[test]
    fn a_peer_alone_has_all_turns() {
        let turns = Turns::new(8);
        let take = |bytes| turns.of(peer(1), bytes).now_or_never().flatten();
        let all = [take(3), take(3), take(2)];
        assert!(all.iter().all(Option::is_some) && take(1).is_none());
        drop(all);
        // A review that is larger than all turns together takes all of them.
        assert!(take(usize::MAX).is_some());
    }
}
