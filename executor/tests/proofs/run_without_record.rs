//! A decision alone runs nothing.

use std::sync::Arc;

use bailiwick_executor::calls::CallState;
use bailiwick_executor::docket::OwedResult;
use bailiwick_executor::executor::Executor;
use bailiwick_executor::room::Share;
use bailiwick_executor::run::Job;
use bailiwick_executor::sessions::{SessionState, Turn};
use bailiwick_policy::tool::{Permit, PlannedCall};
use tokio::sync::OwnedSemaphorePermit;

fn run(
    executor: Arc<Executor>,
    call: Arc<CallState>,
    session: Arc<SessionState>,
    permit: Permit<PlannedCall>,
    turn: Turn,
    seat: OwnedSemaphorePermit,
    share: Share,
) {
    let owed = OwedResult::new(executor.docket(), permit);
    Job { executor, call, session, owed, turn, seat, share }.run(None);
}

fn main() {}
