//! Authored admission rules on the floor.

use crate::emit::EmitError;
use crate::emit::cell::Cell;
use crate::emit::statements;

use super::Standing;
use super::sections::Contribution;

pub(super) fn rules(cell: &Cell<'_>) -> Result<Vec<Contribution>, EmitError> {
    let mut out = Vec::new();
    for rule in &cell.policy.admission.rules {
        let statement = statements::rule(cell.pack(rule.origin.pack)?, &rule.name);
        out.push((statement, None, Standing::none("not carried over")));
    }
    Ok(out)
}
