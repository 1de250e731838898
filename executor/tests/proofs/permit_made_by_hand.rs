//! Only a decision makes a permit.

use bailiwick_policy::tool::{Permit, PlannedCall};

fn forge(call: PlannedCall) -> Permit<PlannedCall> {
    Permit(call)
}

fn main() {}
