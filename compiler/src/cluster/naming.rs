//! The names of cells while a binding's policy takes the place of another.
//!
//! A pod's label is written and checked by several webhooks and by the API server's admission policies, and none
//! of them learns of a new version at the same moment as the others. So a binding's status says what it is named
//! by, and the operator changes that in steps. What is the pod's own is always one of two names: the one that
//! stands and the one that comes.
//!
//! ```text
//! status: current   former   new pods get   accepted
//!         1.0.0     -        1.0.0          1.0.0 and, once 2.0.0 is bound, 2.0.0      the admission policies learn of it
//!         2.0.0     1.0.0    2.0.0          both                                       the webhooks learn of it
//!         2.0.0     -        2.0.0          2.0.0
//! ```
//!
//! Only for policies with the same subject: otherwise the two do not select the same pods.

use bailiwick_policy::admission::Standing;
use bailiwick_policy::policy::CellPart;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::BoundPolicy;
use crate::resolve::digest;

/// What the status of a binding says of the names of cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Naming {
    /// SHA-256 (hex) of the subject.
    subject: String,
    /// What new pods are named by.
    current: CellPart,
    /// What they were named by before, as long as that may still be written; at most one.
    former: Vec<CellPart>,
}

impl Naming {
    /// The naming by a policy and nothing else.
    #[must_use]
    pub fn of(bound: &BoundPolicy) -> Self {
        let subject = digest(&json!(bound.policy.subject));
        Self { subject, current: CellPart::of(&bound.policy), former: Vec::new() }
    }

    /// What pods of the policy are named by beside it; `None`: nothing.
    #[must_use]
    pub fn standing(&self, bound: &BoundPolicy) -> Option<Standing> {
        let own = Self::of(bound);
        let stamped = self.current != own.current;
        let part = self.former.first().unwrap_or(&self.current);
        (self.subject == own.subject && *part != own.current)
            .then(|| Standing { part: part.clone(), stamped })
    }

    /// The next step towards the policy, taken when everything that reads this knows the last one.
    #[must_use]
    pub fn next(&self, bound: &BoundPolicy) -> Self {
        let own = Self::of(bound);
        match self.standing(bound) {
            Some(Standing { part, stamped: true }) => Self { former: vec![part], ..own },
            _ => own,
        }
    }
}
