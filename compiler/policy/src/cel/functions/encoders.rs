//! `base64.encode` and `base64.decode`: the standard alphabet, padded; decoding also accepts unpadded input,
//! as in cel-go.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::super::value::Value;
use super::super::{EvalError, Fuel};
use super::{Outcome, no_overload};
use crate::ir::Func;

pub(super) fn call<'a>(function: Func, args: &[Value<'a>], fuel: &mut Fuel) -> Outcome<'a> {
    match (function, args) {
        (Func::Base64Encode, [value]) => {
            let Some(bytes) = value.as_bytes() else {
                return no_overload(function);
            };
            fuel.spend_bytes(bytes.len().saturating_mul(2))?;
            Ok(Value::string(STANDARD.encode(bytes)))
        }
        (Func::Base64Decode, [value]) => {
            let Some(text) = value.as_str() else {
                return no_overload(function);
            };
            fuel.spend_bytes(text.len())?;
            STANDARD
                .decode(text)
                .or_else(|_| STANDARD_NO_PAD.decode(text))
                .map(|bytes| Value::OwnedBytes(bytes.into()))
                .map_err(|error| EvalError::invalid(format!("illegal base64 data: {error}")))
        }
        _ => no_overload(function),
    }
}
