//! A permit allows one run: it cannot be copied.

use bailiwick_policy::tool::{Permit, PlannedCall};

fn twice(permit: Permit<PlannedCall>) -> (Permit<PlannedCall>, Permit<PlannedCall>) {
    (permit.clone(), permit)
}

fn main() {}
