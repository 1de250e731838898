//! Opaque values: there, but not fully understood by any parser. Whatever would need to know such a value is an error.
//!
//! A word of a shell command may stand for any number of words, so an opaque element also hides how long its list is and
//! where the elements behind it stand. What can be told without knowing it may be told: that `x in [x, opaque]`.

use super::functions::no_overload;
use super::value::{List, Value};
use super::{EvalError, Fuel};
use crate::facts::Fact;
use crate::ir::Func;

type Result<T> = std::result::Result<T, EvalError>;

/// Elements that are asked for one unit whether they are opaque: the tag of each is read, and nothing else.
const LOOKS_PER_UNIT: usize = 8;

/// `isOpaque`, `onlyRuns`.
pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Result<Value<'a>> {
    match (function, args) {
        (Func::IsOpaque, [value]) => Ok(Value::Bool(matches!(value, Value::Opaque))),
        (Func::OnlyRuns, [Value::Shell(shell), Value::List(allowed)]) => {
            let commands = shell.line().map_or(0, |line| line.commands.len());
            fuel.spend_elements(commands.saturating_mul(allowed.len()))?;
            // An element that is no string names no command.
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

/// Refuses arguments that are opaque or lists with opaque elements. `in` looks at elements by itself.
pub(super) fn refuse(function: Func, args: &[Value<'_>], fuel: &mut Fuel) -> Result<()> {
    match (function, args) {
        (Func::IsOpaque, _) => Ok(()),
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

/// Refuses a list with an opaque element, in lists within it too. Only lists that were made can have one.
pub(super) fn refuse_list(list: &List<'_>, fuel: &mut Fuel) -> Result<()> {
    let List::Owned(items) = list else { return Ok(()) };
    spend_looks(items.len(), fuel)?;
    for item in items.iter() {
        // One list may stand in another many times over, and so on inwards: each costs something, however short.
        if matches!(item, Value::List(List::Owned(_)) | Value::Optional(Some(_))) {
            fuel.spend(1)?;
        }
        refuse_value(item, fuel)?;
    }
    Ok(())
}

/// Refuses to say what stands at a position behind an opaque element.
pub(super) fn refuse_before(list: &List<'_>, position: usize, fuel: &mut Fuel) -> Result<()> {
    let List::Owned(items) = list else { return Ok(()) };
    spend_looks(position.min(items.len()), fuel)?;
    items.iter().take(position).try_for_each(known_ref)
}

/// Charges for asking that many elements whether they are opaque.
const fn spend_looks(elements: usize, fuel: &mut Fuel) -> Result<()> {
    fuel.spend_elements(elements / LOOKS_PER_UNIT)
}

/// A value that is kept in another one.
pub(super) fn known(value: Value<'_>) -> Result<Value<'_>> {
    known_ref(&value)?;
    Ok(value)
}

/// Refuses an opaque value.
pub(super) const fn known_ref(value: &Value<'_>) -> Result<()> {
    match value {
        Value::Opaque => Err(EvalError::Opaque),
        _ => Ok(()),
    }
}
