//! Records approvers' answers, and questions that lapse unanswered.

use bailiwick_audit::{Entry, Event};
use bailiwick_policy::tool::{ApprovalRequest, State};
use serde_json::{Value, json};

use super::{Docket, DocketError};

/// Questions withdrawn per pass; each has a record of its own, and the caller waits for its flush.
const LAPSED_PER_LOOK: usize = 64;

impl Docket {
    /// Records an approver's answer.
    ///
    /// # Errors
    /// See [`DocketError`].
    pub fn record_approval(&self, session: &str, call: &str, approval: Value) -> Result<u64, DocketError> {
        let book = self.book()?;
        let now_ms = self.clock.now_ms(book.state().now_ms())?;
        let entry = Entry {
            time_ms: Some(now_ms),
            session: Some(session.to_owned()),
            call: Some(call.to_owned()),
            policy_digest: Some(self.policy.digest().to_owned()),
            approval: Some(approval),
            ..Entry::default()
        };
        let said = self.writer.begin(Event::Approval, entry, book.failures())?;
        drop(book);
        said.wait()?;
        Ok(now_ms)
    }

    /// Withdraws the questions that no approver has answered in time, at most [`LAPSED_PER_LOOK`] of them,
    /// each on record; returns their ids. A question that stayed open would hold one of its session's few
    /// places for good.
    ///
    /// # Errors
    /// See [`DocketError`]; the remaining questions stay open, and cannot be approved.
    pub fn withdraw_lapsed(&self, now_ms: u64) -> Result<Vec<String>, DocketError> {
        let lapsed: Vec<(String, String, ApprovalRequest)> = {
            let book = self.book()?;
            let lapsed = book.state().pending().filter(|(_, _, request)| request.expires_ms <= now_ms);
            let owned = |(session, call, request): (&str, &str, &ApprovalRequest)| {
                (session.to_owned(), call.to_owned(), request.clone())
            };
            lapsed.take(LAPSED_PER_LOOK).map(owned).collect()
        };
        let mut withdrawn = Vec::new();
        for (session, call, request) in lapsed {
            if self.withdraw(&session, &call, &request, "nobody approved in time", now_ms)? {
                withdrawn.push(request.id);
            }
        }
        Ok(withdrawn)
    }

    /// Withdraws one question, unless it was answered or withdrawn meanwhile. The record has effect `Deny`,
    /// because that is the outcome for its call.
    ///
    /// # Errors
    /// See [`DocketError`]; the question stays open.
    pub fn withdraw(
        &self,
        session: &str,
        call: &str,
        request: &ApprovalRequest,
        why: &str,
        now_ms: u64,
    ) -> Result<bool, DocketError> {
        let book = self.book()?;
        let is_known = |(of, by, known): (&str, &str, &ApprovalRequest)| {
            (of, by) == (session, call) && known.id == request.id
        };
        let is_open = book.state().pending().any(is_known);
        if !is_open {
            return Ok(false);
        }
        let now_ms = now_ms.max(book.state().now_ms());
        let delta = State::withdraw(session, call, now_ms);
        let entry = Entry {
            call: Some(call.to_owned()),
            effect: Some("Deny".to_owned()),
            approval: Some(json!({ "id": request.id, "callHash": request.call_hash, "withdrawn": true })),
            ..self.session_entry(session, why, &delta)?
        };
        self.record(book, Event::Approval, entry, delta)?;
        Ok(true)
    }
}
