//! The result that the log is owed for an intent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bailiwick_audit::{AppendError, Recorded};
use bailiwick_policy::tool::{Permit, PlannedCall};

use super::{Docket, DocketError, End, takes_a_bare_record};

/// The right to run a call, with the debt that comes with it: a result on record. Dropped without one, because
/// the thread that ran the call has panicked or nobody has run it, the result is `Unknown` and the call charged in
/// full: its command may have run.
#[derive(Debug)]
pub struct OwedResult {
    docket: Arc<Docket>,
    cleared: Recorded<Permit<PlannedCall>>,
    is_settled: bool,
}

impl OwedResult {
    /// The debt of a call that was cleared.
    #[must_use]
    pub fn new(docket: &Arc<Docket>, cleared: Recorded<Permit<PlannedCall>>) -> Self {
        Self { docket: Arc::clone(docket), cleared, is_settled: false }
    }

    /// The right to run the call.
    pub const fn cleared(&self) -> &Recorded<Permit<PlannedCall>> {
        &self.cleared
    }

    /// The call.
    #[must_use]
    pub const fn planned(&self) -> &PlannedCall {
        self.cleared.permit().get()
    }

    /// Records how the call ended, and waits until that is durable.
    ///
    /// # Errors
    /// See [`Docket::settle`].
    pub fn settle(&mut self, end: End) -> Result<(), DocketError> {
        let settled = self.docket.settle(self.planned().call(), self.cleared.at(), end);
        // Not reached by a panic, which leaves the debt.
        self.is_settled = is_queued(&settled);
        settled
    }

    /// Records that nothing is known of the call's end, unless its end was recorded. No panic leaves this: it may
    /// run because of one.
    pub(crate) fn give_up(&mut self) {
        if self.is_settled {
            return;
        }
        let call = self.planned().call().id().to_owned();
        let settled = catch_unwind(AssertUnwindSafe(|| self.settle(End::bare("Unknown"))));
        self.is_settled = true;
        match settled {
            Ok(Ok(())) => tracing::error!(
                call,
                "the end of a call was not recorded; its outcome is recorded as unknown"
            ),
            Ok(Err(error)) => {
                tracing::error!(call, %error, "the end of a call was not recorded, nor can it be recorded as unknown")
            }
            Err(_) => tracing::error!(
                call,
                "the end of a call was not recorded, and a fault kept it from being recorded as unknown"
            ),
        }
    }
}

impl Drop for OwedResult {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Whether the log was given a result, be it a bare one ([`Docket::settle`]).
fn is_queued(settled: &Result<(), DocketError>) -> bool {
    match settled {
        Ok(()) | Err(DocketError::Append(AppendError::NotYet(_))) => true,
        Err(DocketError::Append(error)) => takes_a_bare_record(error),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_was_not_given_to_the_log_is_still_owed() {
        let append = |error| is_queued(&Err(DocketError::Append(error)));
        assert!(!is_queued(&Err(DocketError::Form("no JSON".to_owned()))));
        assert!(!append(AppendError::Busy));
        assert!(is_queued(&Ok(())));
        assert!(append(AppendError::TooLong { bytes: 2, limit: 1 }), "a bare one was given");
    }
}
