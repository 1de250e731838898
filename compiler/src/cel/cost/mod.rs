//! What an expression costs on the API server at the least and at the most, worked out from its text and its types: the estimate that cel-go and
//! Kubernetes make (`checker/cost.go` of cel-go v0.29, `pkg/cel/library/cost.go` of the API server 1.37).
//!
//! Not our fuel, which is counted while our own evaluator runs. One unit is some 50 ns of an API server.
//!
//! ```text
//! text ► ast ► check (a type for each node) ► one walk: cost, size, size of entries of each node ► Range
//! ```
//!
//! Terms. *Size*: characters of a text, bytes, elements of a list, entries of a map. *Place*: where in the environment's variables a value lies,
//! `object.spec.containers.@items`; of what is computed there is none.

mod functions;
mod macros;
mod range;
mod walk;

use super::ast::Ast;
use super::check::Types;
use super::types::Type;
pub use range::Range;
use walk::Walk;

/// What one expression of a ValidatingAdmissionPolicy may cost when it is evaluated. `PerCallLimit` in `pkg/apis/cel` of the API server.
pub const MAX_OF_ONE: u64 = 1_000_000;

/// How large values are that nobody has seen.
pub trait Sizes {
    /// The size of what lies at a place, or of any value of its type where it lies at none; `None`: it can be any.
    fn of(&self, place: Option<&[String]>, of: &Type) -> Option<Range>;
}

/// An expression whose cost can be asked for. Made by [`super::compile_and_cost`].
#[derive(Debug)]
pub struct Estimator {
    /// Where its nodes lie is what `types` knows them by.
    ast: Box<Ast>,
    types: Types,
}

/// What dominates a cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dominant {
    /// A macro, a call: bytes of the text.
    pub bytes: std::ops::Range<usize>,
    /// How many loops stand inside each other there, itself included.
    pub loops: usize,
}

impl Estimator {
    pub(super) const fn new(ast: Box<Ast>, types: Types) -> Self {
        Self { ast, types }
    }

    /// The cost where values have these sizes.
    #[must_use]
    pub fn cost(&self, sizes: &dyn Sizes) -> Range {
        Walk::new(&self.types, sizes).node(&self.ast).cost
    }

    /// The loop that costs most, if there is one.
    #[must_use]
    pub fn dominant(&self, sizes: &dyn Sizes) -> Option<Dominant> {
        let mut walk = Walk::new(&self.types, sizes);
        walk.node(&self.ast);
        let (span, ..) = *walk.loops.iter().filter(|one| one.1 == 0).max_by_key(|one| one.2)?;
        let inside = walk.loops.iter().filter(|one| span.start <= one.0.start && one.0.end <= span.end);
        let deepest = inside.map(|one| one.1).max().unwrap_or_default();
        Some(Dominant { bytes: span.start..span.end, loops: deepest.saturating_add(1) })
    }
}
