//! The commonest tests of all, taken in one step: a chain of accesses over the request compared with a constant, as in
//! `c.?securityContext.?privileged.orValue(false) == true`.
//!
//! Only ever gives what the evaluator at large gives, and for the same fuel, to the unit. Whatever else it meets (an error, a value of another kind,
//! fuel or depth that may not last) it leaves alone: `None`, nothing spent, and the evaluator at large begins afresh. A law in
//! the tests holds the two against each other. It never looks into operands of `&&` and `||`, so what is tried in vain is a chain's length at most.

use super::Scope;
use super::value::{Map, Value};
use crate::ir::{Const, Expr, Func, MAX_EVAL_DEPTH};
use crate::json::{self, Json};

/// How much deeper than its own node the evaluator at large may go for a test of this form.
const DEPTH: u32 = 4;

/// The value of a test.
pub(super) fn test<'a>(expr: &'a Expr, scope: &mut Scope<'a>) -> Option<bool> {
    if scope.depth + DEPTH > MAX_EVAL_DEPTH {
        return None;
    }
    #[cfg(test)]
    if scope.takes_the_long_way {
        return None;
    }
    let mut probe = Probe { scope, cost: 0 };
    let value = match expr {
        Expr::Not(operand) => !probe.test(operand)?,
        _ => probe.test(expr)?,
    };
    // The nodes of the test, and of its negation.
    let cost = probe.cost + 1 + u64::from(matches!(expr, Expr::Not(_)));
    scope.fuel.spend_exactly(cost).then_some(value)
}

/// Where a value stands.
#[derive(Clone, Copy)]
enum Spot<'a> {
    Json(&'a Json<'a>),
    Const(&'a Const),
    Text(&'a str),
}

/// Where a chain ended.
enum End<'a> {
    Plain(&'a Json<'a>),
    Held(&'a Json<'a>),
    Absent,
}

/// A look at the request, and what the evaluator at large would have spent on it.
struct Probe<'s, 'a> {
    scope: &'s Scope<'a>,
    cost: u64,
}

impl<'a> Probe<'_, 'a> {
    fn test(&mut self, expr: &'a Expr) -> Option<bool> {
        match expr {
            Expr::Call(function @ (Func::Equal | Func::NotEqual), args) => match args.as_slice() {
                [left, Expr::Const(right)] => Some(self.same(left, right)? == (*function == Func::Equal)),
                _ => None,
            },
            Expr::Call(Func::OrValue, _) => match self.spot(expr)? {
                Spot::Json(Json::Bool(value)) | Spot::Const(Const::Bool(value)) => Some(*value),
                _ => None,
            },
            Expr::InConst(operand, constants) => {
                let text = self.spot(operand)?.as_str()?;
                self.cost += (constants.len() / 4) as u64;
                Some(constants.iter().any(|one| matches!(one, Const::Str(known) if known == text)))
            }
            Expr::Has(operand, field) => match self.root(operand) {
                Some(map) => Some(map.get(field).is_some()),
                None => match self.chain(operand)? {
                    End::Plain(Json::Map(map)) | End::Held(Json::Map(map)) => Some(map.get(field).is_some()),
                    End::Absent => Some(false),
                    End::Plain(_) | End::Held(_) => None,
                },
            },
            _ => None,
        }
    }

    /// `left == right`, for strings, booleans and integers on both sides.
    fn same(&mut self, left: &'a Expr, right: &'a Const) -> Option<bool> {
        let left = self.spot(left)?;
        self.cost += 1;
        match (right, left) {
            (Const::Str(right), left) => {
                let left = left.as_str()?;
                self.cost += super::Fuel::of_bytes(left.len().min(right.len()));
                Some(left == right)
            }
            (Const::Bool(right), Spot::Json(Json::Bool(left)) | Spot::Const(Const::Bool(left))) => {
                Some(left == right)
            }
            (Const::Int(right), Spot::Json(Json::Int(left)) | Spot::Const(Const::Int(left))) => {
                Some(left == right)
            }
            _ => None,
        }
    }

    /// The value of a chain, of a chain with an alternative, or of a variable that holds a string.
    fn spot(&mut self, expr: &'a Expr) -> Option<Spot<'a>> {
        match expr {
            Expr::Select(..) => match self.chain(expr)? {
                End::Plain(json) => Some(Spot::Json(json)),
                End::Held(_) | End::Absent => None,
            },
            Expr::Call(Func::OrValue, args) => {
                let [optional @ Expr::OptSelect(..), alternative] = args.as_slice() else { return None };
                match self.chain(optional)? {
                    End::Held(json) => Some(Spot::Json(json)),
                    End::Absent => {
                        // Only one alternative is looked into: a chain of them would go deeper than `DEPTH`.
                        self.cost += 1;
                        match alternative {
                            Expr::Const(constant) => {
                                self.cost += 1;
                                Some(Spot::Const(constant))
                            }
                            Expr::Call(Func::OrValue, args) => self.last_alternative(args),
                            _ => None,
                        }
                    }
                    End::Plain(_) => None,
                }
            }
            Expr::Slot(slot) => match self.scope.slot(*slot) {
                Ok(Value::Str(text)) => {
                    self.cost += 1;
                    Some(Spot::Text(text))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// `chain.orValue(constant)` where it is itself an alternative.
    fn last_alternative(&mut self, args: &'a [Expr]) -> Option<Spot<'a>> {
        let [optional @ Expr::OptSelect(..), Expr::Const(constant)] = args else { return None };
        match self.chain(optional)? {
            End::Held(json) => Some(Spot::Json(json)),
            End::Absent => {
                self.cost += 2;
                Some(Spot::Const(constant))
            }
            End::Plain(_) => None,
        }
    }

    /// Follows a chain, one unit for each access, as [`super::path::follow`].
    fn chain(&mut self, expr: &'a Expr) -> Option<End<'a>> {
        let (operand, field, optional) = match expr {
            Expr::Select(operand, field) => (operand.as_ref(), field, false),
            Expr::OptSelect(operand, field) => (operand.as_ref(), field, true),
            _ => return None,
        };
        self.cost += 1;
        let (map, held) = match operand {
            Expr::Select(..) | Expr::OptSelect(..) => match self.chain(operand)? {
                End::Plain(Json::Map(map)) => (map, optional),
                End::Held(Json::Map(map)) => (map, true),
                End::Absent => return Some(End::Absent),
                End::Plain(_) | End::Held(_) => return None,
            },
            root => (self.root(root)?, optional),
        };
        match map.get(field) {
            Some(json) if held => Some(End::Held(json)),
            Some(json) => Some(End::Plain(json)),
            None if held => Some(End::Absent),
            None => None,
        }
    }

    /// The object of the request that a chain starts at, if it is known already.
    fn root(&self, root: &Expr) -> Option<&'a json::Map<'a>> {
        let value = match root {
            Expr::Slot(slot) => self.scope.slot(*slot).ok()?,
            Expr::Shared(index) => self.scope.known(*index)?,
            Expr::Root(root) => return self.scope.json(*root).and_then(Json::as_map),
            _ => return None,
        };
        match value {
            Value::Map(Map::Json(map)) => Some(map),
            _ => None,
        }
    }
}

impl<'a> Spot<'a> {
    fn as_str(self) -> Option<&'a str> {
        match self {
            Spot::Json(Json::Str(text)) => Some(text),
            Spot::Const(Const::Str(text)) => Some(text),
            Spot::Text(text) => Some(text),
            Spot::Json(_) | Spot::Const(_) => None,
        }
    }
}
