//! A permit is made by a decision and by nothing else.

use bailiwick_policy::tool::{Permit, PlannedCall};

fn forge(call: PlannedCall) -> Permit<PlannedCall> {
    Permit(call)
}

fn main() {}
