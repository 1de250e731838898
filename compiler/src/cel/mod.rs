//! CEL at compile time: from the author's text to a typed, lowered expression, and to the text for the API
//! server.
//!
//! Nothing here evaluates rules; `bailiwick_policy::cel` does, and also folds constants.
//!
//! ```text
//! text ► guard (tokens, limits) ► parse (cel crate, own thread) ► ast ► check + lower ► ir::Cel
//!                └────────────────────────────────────────────────► rewrite ► text for ValidatingAdmissionPolicy
//! ```
//!
//! Terms. *Root*: a variable of the environment (`object`). *Local*: a variable that a macro binds. *Shared*:
//! a `variables.NAME`, compiled once for the pack and used by index. *Fold*: to compute a constant subtree at
//! compile time.

mod ast;
mod calls;
mod check;
mod context;
mod convert;
pub mod cost;
mod error;
mod facts;
mod fold;
mod guard;
mod intern;
mod macros;
mod names;
pub mod offer;
#[cfg(test)]
mod opaque_operands;
mod overloads;
mod parse;
#[cfg(test)]
mod reference;
mod rewrite;
mod spans;
#[cfg(test)]
mod tests;
mod tools;
mod types;
mod wrappers;

use bailiwick_policy::cel::{Arguments, CallEnv, Env, Fuel, Loaded, Scope, Value, eval};
use bailiwick_policy::ir::Cel;
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::Admission;

pub use context::{AuthorizerAccess, Context, Dialect, Parameter, PodAccess, Subject, ToolCall};
pub use error::{CelError, CelErrorKind};
pub use guard::{MAX_NESTING, MAX_SELECTORS, MAX_SOURCE_BYTES};
pub use intern::Interner;
pub use rewrite::{ApiServer, ServerNames, literal};
pub use spans::spans;
pub use tools::tool_context;
pub use types::{Object, Record, Type};

/// Compiles one expression: parses it, checks its types and lowers it.
///
/// Patterns go into `interner`; `variables.NAME` are those that `context` declares.
///
/// # Errors
/// All errors of the text, in its order; never empty.
pub fn compile(
    source: &str,
    context: &Context,
    interner: &mut Interner,
) -> Result<(Cel, Type), Vec<CelError>> {
    let tokens = guard::tokens(source)?;
    let ast = parse::parse(source, &tokens)?;
    let checked = check::check(&ast, context, interner, false)?;
    Ok((Cel { source: source.to_owned(), expr: checked.expr, slots: checked.slots }, checked.of))
}

/// The same, with its cost on the API server.
///
/// # Errors
/// As [`compile`].
pub fn compile_and_cost(
    source: &str,
    context: &Context,
    interner: &mut Interner,
) -> Result<(Cel, cost::Estimator), Vec<CelError>> {
    let tokens = guard::tokens(source)?;
    let ast = Box::new(parse::parse(source, &tokens)?);
    let checked = check::check(&ast, context, interner, true)?;
    let cel = Cel { source: source.to_owned(), expr: checked.expr, slots: checked.slots };
    Ok((cel, cost::Estimator::new(ast, checked.types)))
}

/// Compiles a `variables` entry, interns it, and declares it in `context` for the expressions that follow.
/// Its index is that of `Admission::shared`.
///
/// # Errors
/// As [`compile`].
pub fn compile_variable(
    name: &str,
    source: &str,
    context: &mut Context,
    interner: &mut Interner,
) -> Result<u32, Vec<CelError>> {
    let (cel, of) = compile(source, &context.expecting(Type::Dyn), interner)?;
    let index = interner.share(cel);
    context.declare(name, of, index);
    Ok(index)
}

/// For fuzzing: takes any bytes as CEL text, compiles them, and evaluates the result over a small object and over a
/// call, with the fuel of a rule. Must return, whatever the bytes.
pub fn fuzz(data: &[u8]) {
    let Ok(source) = std::str::from_utf8(data) else { return };
    fuzz_call(source);
    let mut interner = Interner::default();
    let Ok((cel, _)) = compile(source, &Context::admission(Type::Dyn), &mut interner) else { return };
    let admission = Admission {
        regexes: interner.regexes().to_vec(),
        shared: interner.shared().to_vec(),
        ..Admission::default()
    };
    let (Ok(loaded), Ok(object), Ok(request)) =
        (Loaded::new(&admission), Json::parse(FUZZED_OBJECT), Json::parse(FUZZED_REQUEST))
    else {
        return;
    };
    let env = Env { old_object: Some(&object), pod: Some(&object), ..Env::of(&object, &request) };
    let mut scope = Scope::new(&loaded, env, Fuel::new(Fuel::DEFAULT));
    let prepared = loaded.prepare(&cel);
    let outcome = eval(&prepared, &mut scope);
    // Exhausted fuel is an error whatever the outcome; callers check it as well.
    let _written = outcome.ok().filter(|value| value.fits(FUZZED_BYTES)).map(|value| value.to_json());
}

/// The same as the condition of a tool rule, over a call of which one fact is opaque.
fn fuzz_call(source: &str) {
    let mut interner = Interner::default();
    let context = Context::tool(Type::Dyn, Type::Dyn, Type::Dyn);
    let Ok((cel, _)) = compile(source, &context, &mut interner) else { return };
    let (Ok(loaded), Ok(call)) = (Loaded::of_patterns(interner.regexes()), Json::parse(FUZZED_CALL)) else {
        return;
    };
    let arguments = call.get("args").map_or(Value::Null, Value::from);
    let env = CallEnv {
        call: &call,
        arguments: Arguments::Known,
        subject: arguments.clone(),
        session: arguments.clone(),
        facts: Value::list(vec![arguments.clone(), Value::Opaque]),
        now: Value::Null,
        result: Value::Null,
    };
    let mut scope = Scope::of_call(&loaded, env, Fuel::new(Fuel::DEFAULT));
    let prepared = loaded.prepare(&cel);
    let _ = eval(&prepared, &mut scope);
}

/// The call over which [`fuzz`] evaluates conditions.
const FUZZED_CALL: &[u8] =
    br#"{"tool": "t", "args": {"a": "b", "labels": {"x": [1, 2.5, null]}, "calls": 3, "agent": "coder"}}"#;

/// Longest JSON output of a value, limited as callers do: a text can occur in it a million times.
const FUZZED_BYTES: usize = 1 << 20;

/// The object over which [`fuzz`] evaluates expressions.
const FUZZED_OBJECT: &[u8] = br#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b", "c": "0101"}},
    "spec": {"hostname": "h", "containers": [{"name": "c", "image": "r.example/i:1", "resources": {"limits": {"memory": "1Gi"}}}, {"name": "d"}]}}"#;
/// The request around it.
const FUZZED_REQUEST: &[u8] =
    br#"{"operation": "UPDATE", "userInfo": {"username": "u", "groups": ["g"]}, "namespace": "n"}"#;
