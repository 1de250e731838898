//! That something is on record is said by the log's writer and by nobody else.

use bailiwick_audit::{Appended, Recorded};
use bailiwick_policy::tool::{Permit, PlannedCall};

fn forge(permit: Permit<PlannedCall>, at: Appended) -> Recorded<Permit<PlannedCall>> {
    Recorded { permit, at }
}

fn main() {}
