//! A leased sandbox is useless without a permit and a record.

use bailiwick_executor::warm::{Home, Sandboxes};

fn run(sandboxes: &Sandboxes, home: &mut Home) {
    if let Ok(lease) = sandboxes.lease("shell", home) {
        drop(lease.parked);
    }
}

fn main() {}
