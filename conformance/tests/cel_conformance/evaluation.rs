//! An expression on the same path as a rule: guard, parser, checker, lowering, evaluation with the default
//! fuel.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bailiwick_compiler::cel::cost::{Range, Sizes};
use bailiwick_compiler::cel::{Context, Dialect, Interner, Parameter, Type, compile, compile_and_cost};
use bailiwick_policy::cel::{Env, EvalError, Fuel, Loaded, Scope, Value, eval};
use bailiwick_policy::json::Json;
use bailiwick_policy::policy::Admission;

/// The environment of an expression.
#[derive(Clone, Debug)]
pub(crate) struct Environment(Context);

/// Where an expression without a value failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The compiler rejects it.
    Refused(String),
    /// Its evaluation is an error.
    Error(EvalError),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(why) => write!(out, "refused: {why}"),
            Failure::Error(error) => write!(out, "error: {error}"),
        }
    }
}

impl Environment {
    /// Only these constants.
    pub(crate) fn of(constants: BTreeMap<String, Parameter>) -> Self {
        let mut context = Context::admission(Type::Dyn);
        context.constants = Arc::new(constants);
        Self(context)
    }

    /// An `object` of this type.
    pub(crate) fn about(object: Type) -> Self {
        Self(Context::admission(object))
    }

    /// The same environment without a type checker.
    pub(crate) fn unchecked(mut self) -> Self {
        self.0.dialect = Dialect::Unchecked;
        self
    }

    /// The type that the checker finds.
    pub(crate) fn type_of(&self, source: &str) -> Result<Type, Failure> {
        let (_, of) = compile(source, &self.0, &mut Interner::default()).map_err(refused)?;
        Ok(of)
    }

    /// Its cost on the API server.
    pub(crate) fn cost(&self, source: &str, sizes: &dyn Sizes) -> Result<Range, Failure> {
        let (_, estimator) = compile_and_cost(source, &self.0, &mut Interner::default()).map_err(refused)?;
        Ok(estimator.cost(sizes))
    }

    /// The fuel that it takes where `object` is this, whatever comes out.
    pub(crate) fn fuel(&self, source: &str, object: &Json<'_>) -> Result<u64, Failure> {
        let mut interner = Interner::default();
        let (cel, _) = compile(source, &self.0, &mut interner).map_err(refused)?;
        let (shared, regexes) = interner.into_parts();
        let loaded = Loaded::new(&Admission { shared, regexes, ..Admission::default() }).unwrap();
        let prepared = loaded.prepare(&cel);
        let mut scope = Scope::new(&loaded, Env::of(object, &Json::Null), Fuel::new(u64::MAX));
        let _ = eval(&prepared, &mut scope);
        Ok(u64::MAX - scope.fuel().left())
    }

    /// Passes the value to `look`.
    pub(crate) fn evaluate<T>(&self, source: &str, look: impl FnOnce(Value<'_>) -> T) -> Result<T, Failure> {
        let mut interner = Interner::default();
        let (cel, _) = compile(source, &self.0, &mut interner).map_err(refused)?;
        let (shared, regexes) = interner.into_parts();
        let loaded = Loaded::new(&Admission { shared, regexes, ..Admission::default() }).unwrap();
        let nothing = Json::Null;
        let env = Env::of(&nothing, &nothing);
        let prepared = loaded.prepare(&cel);
        let mut scope = Scope::new(&loaded, env, Fuel::new(Fuel::DEFAULT));
        eval(&prepared, &mut scope).map(look).map_err(Failure::Error)
    }
}

fn refused(errors: Vec<bailiwick_compiler::cel::CelError>) -> Failure {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::Refused(texts.join("; "))
}
