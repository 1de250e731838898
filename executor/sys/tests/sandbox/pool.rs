//! The stock of parked sandboxes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::{Launcher, Pool};

use crate::ground::{host, profile, program, run_in, shell};

fn stocked(pool: &Pool, depth: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while pool.ready() < depth {
        assert!(Instant::now() < deadline, "the pool is not filled");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_pool_is_filled_refilled_and_never_empty() {
    let host = Arc::new(host());
    let launcher = Arc::new(Launcher::spawn(&host, &profile()).unwrap());
    let pool = Pool::new(Arc::clone(&host), Arc::clone(&launcher), 2).unwrap();
    stocked(&pool, 2);
    // More at once than there are.
    let taken: Vec<_> = (0..5).map(|_| pool.take().unwrap()).collect();
    let users: BTreeSet<u32> = taken.iter().map(bailiwick_sys::Parked::outer_uid).collect();
    assert_eq!(users.len(), if crate::ground::is_root() { 5 } else { 1 }, "each has an identity of its own");
    for parked in taken {
        run_in(parked, &program("/bin/true", &[])).ok();
    }
    stocked(&pool, 2);
}

#[test]
fn nothing_of_one_lease_is_seen_in_another() {
    let host = Arc::new(host());
    let launcher = Arc::new(Launcher::spawn(&host, &profile()).unwrap());
    let pool = Pool::new(Arc::clone(&host), launcher, 2).unwrap();
    let leave = "ls -A /tmp; ipcs -m | grep -c 0x; env | grep -c canary; cat /proc/[0-9]*/comm | grep -c sleep; \
                 echo canary > /tmp/canary; ipcmk -M 64 >/dev/null; (setsid sleep 1000 &) ";
    let mut answers = BTreeSet::new();
    for _ in 0..40 {
        let mut request = shell(leave);
        request.environment.push(("SECRET".to_owned(), "canary-not-inherited".to_owned()));
        request.arguments[2] = format!("unset SECRET; {leave}");
        let running = pool.take().unwrap().run(&request).unwrap();
        let completed = bailiwick_sys::drain::complete(running, b"", &crate::ground::ample());
        assert_eq!(completed.exit.outcome, Outcome::Exited { code: 0 });
        answers.insert(String::from_utf8(completed.stdout.bytes).unwrap());
        pool.discard(completed.remains);
    }
    assert_eq!(answers.len(), 1, "a lease saw another one: {answers:?}");
    assert!(answers.first().unwrap().starts_with("0\n0\n0\n"), "{answers:?}");
}
