//! A permit is leave to run once: it cannot be copied.

use bailiwick_policy::tool::{Permit, PlannedCall};

fn twice(permit: Permit<PlannedCall>) -> (Permit<PlannedCall>, Permit<PlannedCall>) {
    (permit.clone(), permit)
}

fn main() {}
