//! Only the log's writer can state that something is on record.

use bailiwick_audit::{Appended, Recorded};
use bailiwick_policy::tool::{Permit, PlannedCall};

fn forge(permit: Permit<PlannedCall>, at: Appended) -> Recorded<Permit<PlannedCall>> {
    Recorded { permit, at }
}

fn main() {}
