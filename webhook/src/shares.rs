//! Who holds how much of what is limited: connections, bytes, reviews in progress.
//!
//! The API server shows no certificate unless it is told to, so whoever reaches the port is served. One such
//! client must not be able to shut the API server out. So no peer may hold more than it leaves free for the
//! others: the first gets half at most, a second one a quarter. Of connections and places, whoever has none may
//! take the last one. Term. *Peer*: an IP address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Something limited, and how much of it each peer holds.
#[derive(Debug)]
pub(crate) struct Shares {
    limit: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// A part that a peer holds; returned when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<Shares>,
    peer: IpAddr,
    amount: usize,
}

impl Shares {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::default() })
    }

    /// How much is held now.
    pub(crate) fn now(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    /// An empty share of a peer. An IPv4 address is the same peer in both of its forms.
    pub(crate) fn of(self: &Arc<Self>, peer: IpAddr) -> Share {
        Share { of: Arc::clone(self), peer: peer.to_canonical(), amount: 0 }
    }
}

impl Share {
    /// Takes more; `false` if the peer may not have it, and then the share is as before.
    #[must_use]
    pub(crate) fn grow(&mut self, by: usize) -> bool {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.all.saturating_add(by);
        let peers = taken.by.get(&self.peer).copied().unwrap_or(0).saturating_add(by);
        if all > self.of.limit || peers > (self.of.limit - all).max(1) {
            return false;
        }
        taken.all = all;
        taken.by.insert(self.peer, peers);
        self.amount += by;
        true
    }

    /// Returns all but this much.
    pub(crate) fn shrink_to(&mut self, amount: usize) {
        let by = self.amount.saturating_sub(amount);
        self.amount -= by;
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= by;
        if let Some(peers) = taken.by.get_mut(&self.peer) {
            *peers -= by;
            if *peers == 0 {
                taken.by.remove(&self.peer);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    #[test]
    fn a_peer_leaves_to_the_others_as_much_as_it_holds() {
        let shares = Shares::new(8);
        let mut first = shares.of(peer(1));
        assert!(first.grow(4) && !first.grow(1));
        // Another share of the same peer, and the same address in its longer form.
        assert!(!shares.of(peer(1)).grow(1));
        assert!(!shares.of("::ffff:127.0.0.1".parse().unwrap()).grow(1));
        let mut second = shares.of(peer(2));
        assert!(!second.grow(3) && second.grow(2));
        let mut third = shares.of(peer(3));
        assert!(third.grow(1) && !third.grow(1));
        let mut fourth = shares.of(peer(4));
        assert!(fourth.grow(1) && !fourth.grow(1) && !shares.of(peer(5)).grow(1));
        assert_eq!(shares.now(), 8);
        first.shrink_to(3);
        assert_eq!(shares.now(), 7);
        drop(first);
        assert_eq!(shares.now(), 4);
        assert!(third.grow(1));
        drop((second, third, fourth));
        assert_eq!((shares.now(), shares.taken.lock().unwrap().by.len()), (0, 0));
        assert!(!shares.of(peer(1)).grow(usize::MAX));
    }
}
