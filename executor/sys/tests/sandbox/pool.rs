//! The stock of parked sandboxes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_sys::outcome::Outcome;
use bailiwick_sys::{Launcher, Pool, Request};

use crate::ground::{build, host, is_root, profile, program, python, run_in, shell};

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
    // More at once than the stock has.
    let taken: Vec<_> = (0..5).map(|_| pool.take().unwrap()).collect();
    let users: BTreeSet<u32> = taken.iter().map(bailiwick_sys::Parked::outer_uid).collect();
    assert_eq!(users.len(), if crate::ground::is_root() { 5 } else { 1 }, "each has an identity of its own");
    for parked in taken {
        run_in(parked, &program("/bin/true", &[])).ok();
    }
    stocked(&pool, 2);
}

/// Longer than this test may take: a refill within it has another reason.
const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn a_stock_is_refilled_once_calls_have_ended_and_a_burst_does_not_wait_for_that() {
    let host = Arc::new(host());
    let launcher = Arc::new(Launcher::spawn(&host, &profile()).unwrap());
    let pool = |depth, most| Pool::deferring(Arc::clone(&host), Arc::clone(&launcher), depth, most).unwrap();
    let calm = pool(4, NEVER);
    stocked(&calm, 4);
    let running = calm.take().unwrap().run(&program("/bin/true", &[])).unwrap();
    let completed = bailiwick_sys::drain::complete(running, b"", &crate::ground::ample());
    // Each of these waits for its turn at the launcher, as a refill would.
    for _ in 0..4 {
        drop(build(&host, &launcher));
    }
    assert_eq!(calm.ready(), 3, "a call is not cleared away, and more than half is left");
    completed.remains.clear().unwrap();
    stocked(&calm, 4);

    let taken: Vec<_> = (0..3).map(|_| calm.take().unwrap()).collect();
    stocked(&calm, 2);
    drop(taken);
    stocked(&calm, 4);

    let single = pool(1, NEVER);
    stocked(&single, 1);
    let both = [single.take().unwrap(), single.take().unwrap()];
    stocked(&single, 1);
    drop(both);

    // However long a call runs.
    let hasty = pool(4, Duration::ZERO);
    stocked(&hasty, 4);
    let taken = hasty.take().unwrap();
    stocked(&hasty, 4);
    drop(taken);
}

/// Consecutive leases of one pool, as many as the design requires.
const LEASES: usize = 1000;

/// One in this many leases checks more deeply, with Python, which takes a while.
const DEEPER: usize = 25;

/// What a lease looks for and then leaves: a file, a process that goes on, its own name in its environment.
/// It uses only shell built-ins, so that a thousand take seconds.
const CANARY: &str = "echo /tmp/* $$; for p in /proc/[0-9]*; do read name < $p/comm; echo $name; done; export -p; \
                      echo canary > /tmp/canary; (sleep 1000 &)";

/// The same for shared memory, and for everything visible with the name of a lease.
const DEEP_CANARY: &str = "import ctypes, os
libc = ctypes.CDLL(None)
seen = [entry for entry in os.listdir('/tmp') + list(os.environ) + open('/proc/mounts').read().split() if 'canary' in entry]
print(seen, libc.shmget(77, 0, 0), len([name for name in os.listdir('/proc') if name.isdigit()]))
open('/tmp/canary', 'w').write('canary')
libc.shmget(77, 4096, 0o1666)
";

#[test]
fn nothing_of_one_lease_is_seen_in_another() {
    let host = Arc::new(host());
    let launcher = Arc::new(Launcher::spawn(&host, &profile()).unwrap());
    let pool = Pool::new(Arc::clone(&host), launcher, 2).unwrap();
    let mut answers = BTreeSet::new();
    // The run as an ordinary user is in addition to root's.
    let leases = if is_root() { LEASES } else { LEASES / 5 };
    for lease in 0..leases {
        let own = format!("CANARY_{lease}");
        let request = if lease % DEEPER == 0 {
            python(DEEP_CANARY)
        } else {
            Request { environment: vec![(own.clone(), "x".to_owned())], ..shell(CANARY) }
        };
        let running = pool.take().unwrap().run(&request).unwrap();
        let completed = bailiwick_sys::drain::complete(running, b"", &crate::ground::ample());
        assert_eq!(completed.exit.outcome, Outcome::Exited { code: 0 });
        let said = String::from_utf8(completed.stdout.bytes).unwrap();
        assert!(lease % DEEPER == 0 || said.contains(&own), "{said}");
        answers.insert(said.lines().filter(|line| !line.contains(&own)).collect::<Vec<_>>().join("|"));
        pool.discard(completed.remains);
    }
    assert_eq!(answers.len(), 2, "a lease saw another one: {answers:?}");
    assert!(answers.contains("[] -1 2"), "{answers:?}");
    assert!(answers.iter().any(|said| said.starts_with("/tmp/* 2|bailiwick-hold|sh|export")), "{answers:?}");
}

#[test]
fn a_killed_launcher_is_started_anew() {
    let host = Arc::new(host());
    let launcher = Arc::new(Launcher::spawn(&host, &profile()).unwrap());
    let ready = build(&host, &launcher);
    let first = launcher.process_id();
    let confined = shell("grep -cE '^(NoNewPrivs:.1|Seccomp:.2|CapEff:.0*$)' /proc/self/status");
    assert_eq!(run_in(build(&host, &launcher), &confined).ok(), "3\n");
    kill_and_wait(first);
    // A sandbox that was built before is still whole.
    assert_eq!(run_in(ready, &confined).ok(), "3\n");
    assert_eq!(run_in(build(&host, &launcher), &confined).ok(), "3\n");
    assert_ne!(launcher.process_id(), first);
    // The same under a pool, which builds ahead.
    let pool = Pool::new(Arc::clone(&host), Arc::clone(&launcher), 2).unwrap();
    for _ in 0..3 {
        stocked(&pool, 2);
        kill_and_wait(launcher.process_id());
        for _ in 0..4 {
            assert_eq!(run_in(pool.take().unwrap(), &confined).ok(), "3\n");
        }
    }
}

/// Kills a process of ours and waits until it has ended; it stays a zombie until its launcher is replaced.
fn kill_and_wait(pid: u32) {
    // SAFETY: sends a signal; the process is our child and not reaped yet, so the number is still its own.
    assert_eq!(unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) }, 0);
    let deadline = Instant::now() + Duration::from_secs(30);
    let stat = format!("/proc/{pid}/stat");
    while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
}
