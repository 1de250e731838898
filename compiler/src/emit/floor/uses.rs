//! What a lowered expression uses, as far as that decides where in an admission policy it may go.

use bailiwick_policy::ir::{Expr, Root};

/// What an expression uses, including through `variables`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// Whether it uses the object.
    pub(super) object: bool,
    /// Whether it uses what may differ between two requests about equal objects: the request itself, or the
    /// old object.
    pub(super) other_than_object: bool,
    /// Whether it uses what the API server's match conditions do not know: `variables`, `namespaceObject`.
    pub(super) beyond_conditions: bool,
}

impl Uses {
    /// What one expression uses; `shared` are the policy's shared expressions.
    pub(super) fn of(expr: &Expr, shared: &[bailiwick_policy::ir::Cel]) -> Self {
        let mut uses = Self::default();
        let mut pending = vec![expr];
        // A shared expression uses only earlier ones; each is visited once.
        let mut seen = vec![false; shared.len()];
        while let Some(expr) = pending.pop() {
            match expr {
                Expr::Root(Root::OldObject | Root::Request | Root::Authorizer | Root::RequestResource) => {
                    uses.other_than_object = true;
                }
                Expr::Root(Root::Object) | Expr::PodContainers(_) => uses.object = true,
                Expr::Root(Root::NamespaceObject) => uses.beyond_conditions = true,
                Expr::Shared(index) => {
                    uses.beyond_conditions = true;
                    let index = usize::try_from(*index).unwrap_or(usize::MAX);
                    if let (Some(seen), Some(cel)) = (seen.get_mut(index), shared.get(index))
                        && !std::mem::replace(seen, true)
                    {
                        pending.push(&cel.expr);
                    }
                }
                other => children(other, &mut pending),
            }
        }
        uses
    }
}

fn children<'e>(expr: &'e Expr, into: &mut Vec<&'e Expr>) {
    match expr {
        Expr::Const(_) | Expr::Root(_) | Expr::Slot(_) | Expr::Shared(_) | Expr::PodContainers(_) => {}
        Expr::Select(operand, _)
        | Expr::OptSelect(operand, _)
        | Expr::Has(operand, _)
        | Expr::Not(operand)
        | Expr::Matches(operand, _)
        | Expr::InConst(operand, _) => into.push(operand),
        Expr::Index(operand, index) | Expr::OptIndex(operand, index) => into.extend([&**operand, index]),
        Expr::And(parts) | Expr::Or(parts) | Expr::Call(_, parts) => into.extend(parts),
        Expr::Cond(condition, then, otherwise) => into.extend([&**condition, then, otherwise]),
        Expr::List(items) => into.extend(items.iter().map(|(item, _)| item)),
        Expr::Map(entries) => into.extend(entries.iter().flat_map(|(key, value, _)| [key, value])),
        Expr::Macro(of) => {
            into.extend([&of.range, &of.body]);
            into.extend(&of.filter);
        }
        Expr::Bind(bind) => into.extend([&bind.init, &bind.body]),
    }
}
