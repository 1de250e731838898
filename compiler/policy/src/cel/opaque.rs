//! Opaque values: present, but not fully understood by any parser. Any operation that would need to know such
//! a value is an error.
//!
//! A word of a shell command may expand to any number of words, so an opaque element also hides the length of
//! its list and the positions of the elements after it. Operations whose result does not depend on it are
//! allowed, such as `x in [x, opaque]`.

use super::functions::no_overload;
use super::value::{List, Value};
use super::{EvalError, Fuel};
use crate::facts::Fact;
use crate::ir::Func;

type Result<T> = std::result::Result<T, EvalError>;

/// How many elements one unit checks for opaqueness: the tag of each is read, and nothing else.
const LOOKS_PER_UNIT: usize = 8;

/// `onlyRuns`.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Result<Value<'a>> {
    match (function, args) {
        (Func::OnlyRuns, [Value::Shell(shell), Value::List(allowed)]) => {
            let commands = shell.line().map_or(0, |line| line.commands.len());
            fuel.spend_elements(commands.saturating_mul(allowed.len()))?;
            // An element that is not a string does not name a command.
            let items: Vec<Value<'a>> = allowed.iter().collect();
            let names: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            match shell.only_runs(&names) {
                Fact::Known(holds) => Ok(Value::Bool(holds)),
                Fact::Opaque => Err(EvalError::Opaque),
            }
        }
        _ => no_overload(function),
    }
}

/// Rejects arguments that are opaque or lists with opaque elements. `in` checks elements itself.
pub(super) fn refuse(function: Func, args: &[Value<'_>], fuel: &mut Fuel) -> Result<()> {
    match (function, args) {
        (Func::In, [wanted, within]) => known_ref(wanted).and(known_ref(within)),
        _ => args.iter().try_for_each(|arg| refuse_value(arg, fuel)),
    }
}

fn refuse_value(value: &Value<'_>, fuel: &mut Fuel) -> Result<()> {
    match value {
        Value::Opaque => Err(EvalError::Opaque),
        Value::List(list) => refuse_list(list, fuel),
        Value::Optional(Some(inner)) => refuse_value(inner, fuel),
        _ => Ok(()),
    }
}

/// Rejects a list with an opaque element, also in nested lists. Only constructed lists can have one.
pub(super) fn refuse_list(list: &List<'_>, fuel: &mut Fuel) -> Result<()> {
    let List::Owned(items) = list else { return Ok(()) };
    spend_looks(items.len(), fuel)?;
    for item in items.iter() {
        // One list may occur many times in another, and so on inwards: each occurrence has a cost, however
        // short it is.
        if matches!(item, Value::List(List::Owned(_)) | Value::Optional(Some(_))) {
            fuel.spend(1)?;
        }
        refuse_value(item, fuel)?;
    }
    Ok(())
}

/// Rejects access to a position behind an opaque element.
pub(super) fn refuse_before(list: &List<'_>, position: usize, fuel: &mut Fuel) -> Result<()> {
    let List::Owned(items) = list else { return Ok(()) };
    spend_looks(position.min(items.len()), fuel)?;
    items.iter().take(position).try_for_each(known_ref)
}

/// Charges for checking that many elements for opaqueness.
const fn spend_looks(elements: usize, fuel: &mut Fuel) -> Result<()> {
    fuel.spend_elements(elements / LOOKS_PER_UNIT)
}

/// A value that is stored in another one.
pub(super) fn known(value: Value<'_>) -> Result<Value<'_>> {
    known_ref(&value)?;
    Ok(value)
}

/// Rejects an opaque value.
pub(super) const fn known_ref(value: &Value<'_>) -> Result<()> {
    match value {
        Value::Opaque => Err(EvalError::Opaque),
        _ => Ok(()),
    }
}
