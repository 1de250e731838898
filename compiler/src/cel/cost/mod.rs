//! The least and the most that an expression costs on the API server, computed from its text and its types.
//! This is the estimate that cel-go and Kubernetes make (`checker/cost.go` of cel-go v0.29,
//! `pkg/cel/library/cost.go` of the API server 1.37).
//!
//! Not our fuel, which is counted while our own evaluator runs. One unit is some 50 ns of an API server.
//!
//! ```text
//! text ► ast ► check (a type for each node) ► one walk: cost, size, size of entries of each node ► Range
//! ```
//!
//! Terms. *Size*: characters of a text, bytes, elements of a list, entries of a map. *Place*: where in the
//! environment's variables a value is, `object.spec.containers.@items`; a computed value has no place.

mod functions;
mod macros;
mod range;
mod walk;

use super::ast::Ast;
use super::check::Types;
use super::types::Type;
pub use range::Range;
use walk::{Heavy, Walk};

/// Cost limit for one evaluation of an expression of a ValidatingAdmissionPolicy: `PerCallLimit` in
/// `pkg/apis/cel` of the API server.
pub const MAX_OF_ONE: u64 = 1_000_000;
/// The same for all expressions of a policy together: `RuntimeCELCostBudget`.
pub const MAX_OF_POLICY: u64 = 10_000_000;
/// The same for all its match conditions: `RuntimeCELCostBudgetMatchConditions`.
pub const MAX_OF_CONDITIONS: u64 = 2_500_000;

/// The sizes of values that are not known.
pub trait Sizes {
    /// The size of the value at a place, or of any value of its type if it has no place; `None` if unlimited.
    fn of(&self, place: Option<&[String]>, of: &Type) -> Option<Range>;
}

/// An expression whose cost can be estimated. Made by [`super::compile_and_cost`].
#[derive(Debug)]
pub struct Estimator {
    /// `types` identifies nodes by their address.
    ast: Box<Ast>,
    types: Types,
}

/// The part that dominates a cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Dominant {
    /// A macro or a call: bytes of the text.
    pub bytes: std::ops::Range<usize>,
    /// The depth of nested loops there, itself included; zero for a call.
    pub loops: usize,
    /// The list, map or text by whose size it costs: the range of a loop, the longest operand of a call.
    pub over: std::ops::Range<usize>,
    /// Where in the environment that is.
    pub place: Option<Vec<String>>,
    /// Its type.
    pub of: Type,
}

impl Estimator {
    pub(super) const fn new(ast: Box<Ast>, types: Types) -> Self {
        Self { ast, types }
    }

    /// The cost if values have these sizes.
    #[must_use]
    pub fn cost(&self, sizes: &dyn Sizes) -> Range {
        Walk::new(&self.types, sizes).node(&self.ast).cost
    }

    /// The type of the whole.
    #[must_use]
    pub fn of(&self) -> Type {
        self.types.of(&self.ast)
    }

    /// The most expensive loop or call outside any loop, if there is one.
    #[must_use]
    pub fn dominant(&self, sizes: &dyn Sizes) -> Option<Dominant> {
        let heavy = Walk::new(&self.types, sizes).heavy(&self.ast);
        let most = heavy.iter().filter(|one| one.depth == 0).max_by_key(|one| one.cost)?;
        let inside =
            |one: &&Heavy| one.is_loop && most.span.start <= one.span.start && one.span.end <= most.span.end;
        let depths = heavy.iter().filter(inside).map(|one| one.depth.saturating_add(1));
        Some(Dominant {
            bytes: most.span.start..most.span.end,
            loops: if most.is_loop { depths.max().unwrap_or_default() } else { 0 },
            over: most.over.start..most.over.end,
            place: most.place.clone(),
            of: most.of.clone(),
        })
    }
}
