//! Approvals: open questions, what approvers sign, and questions that lapse unanswered.
//!
//! A question is open in the state, which the log holds, and is shown here to approvers. Both end together:
//! when its call is allowed or denied, when its session ends, or when it lapses.

use bailiwick_policy::tool::ToolCall;

use super::{Executor, refused};
use crate::approvals::Question;
use crate::docket::Ruling;
use crate::refusal::Refusal;
use crate::sessions::SessionState;
use crate::wire::{ApprovalSubmission, OpenQuestion};
use crate::{clock, view};

impl Executor {
    /// The open questions.
    #[must_use]
    pub fn questions(&self) -> Vec<OpenQuestion> {
        self.questions.list(clock::unwatched_ms())
    }

    /// One open question.
    ///
    /// # Errors
    /// It is not open.
    pub fn question(&self, id: &str) -> Result<OpenQuestion, Refusal> {
        self.questions.get(id, clock::unwatched_ms()).map(|question| question.view())
    }

    /// Accepts an approver's signature.
    ///
    /// # Errors
    /// The question is not open, the signature is not valid, or it could not be recorded.
    pub fn approve(&self, id: &str, submission: &ApprovalSubmission) -> Result<OpenQuestion, Refusal> {
        let now_ms = self.docket.now_ms().map_err(|error| refused(&error.into()))?;
        self.questions.sign(id, submission, now_ms, |question, said| {
            let recorded = self.docket.record_approval(&question.session, &question.call, said);
            recorded.map(drop).map_err(|error| self.unrecorded(&error))
        })
    }

    /// Keeps the question that a decision raises, or removes the one that it has ended.
    pub(super) fn note_question(
        &self,
        session: &SessionState,
        call: &ToolCall,
        ruling: &Ruling,
        answered: Option<&str>,
    ) -> Result<(), Refusal> {
        let (Some(request), Some(binds)) = (view::question(&ruling.record), &ruling.binds) else {
            // Allowed or denied: either way the question is settled.
            if let Some(id) = answered {
                self.questions.withdraw(id);
            }
            return Ok(());
        };
        if answered == Some(request.id.as_str()) {
            return Ok(());
        }
        let question =
            Question::new(request.clone(), session.id.clone(), call.id().to_owned(), binds.clone());
        let full = self.questions.add(question);
        if full.is_err() {
            let at_ms = ruling.record.delta.at_ms;
            let withdrawn =
                self.docket.withdraw(&session.id, call.id(), request, "too many questions", at_ms);
            withdrawn.map_err(|error| self.unrecorded(&error))?;
        }
        full
    }

    /// Ends the questions that no approver has answered in time.
    pub fn withdraw_lapsed_questions(&self) {
        let withdrawn =
            self.docket.now_ms().map_err(Into::into).and_then(|now_ms| self.docket.withdraw_lapsed(now_ms));
        match withdrawn {
            Ok(ids) => ids.iter().for_each(|id| self.questions.withdraw(id)),
            Err(error) => tracing::warn!(%error, "cannot record that questions have lapsed"),
        }
    }
}
