//! Where the nodes of a lowered expression are in the author's text.
//!
//! The lowered form is part of bundles and has no spans. Here the text is parsed again and matched with it.
//! Folding and flattening have changed some nodes; a node without a counterpart in the text has no span.

use std::collections::BTreeMap;
use std::ops::Range;

use bailiwick_policy::ir::{Cel, Expr};

use super::ast::{Ast, Node};
use super::guard::{self, Token};
use super::parse;

/// The bytes of each node in the expression's source, by its position in the pre-order; `None` if the text
/// has no such node.
#[must_use]
pub fn spans(cel: &Cel) -> Vec<Option<Range<usize>>> {
    let tokens = guard::tokens(&cel.source).unwrap_or_default();
    let mut found = BTreeMap::new();
    if let Ok(ast) = parse::parse(&cel.source, &tokens) {
        lay(&ast, &cel.expr, &mut found);
    }
    found.values_mut().for_each(|span| close(span, &tokens));
    let mut spans = Vec::new();
    cel.expr.walk(&mut |node| spans.push(found.get(&std::ptr::from_ref(node)).cloned()));
    spans
}

/// Nodes by their address: the expression does not move in the meantime.
type Found = BTreeMap<*const Expr, Range<usize>>;

/// Extends the span to the partners of its brackets: a node ends with its last operand, whatever encloses
/// that operand.
pub(super) fn close(span: &mut Range<usize>, tokens: &[Token]) {
    let begin = tokens.partition_point(|token| token.span.start < span.start);
    let inside = tokens.iter().skip(begin).take_while(|token| token.span.end <= span.end);
    let partners = inside.filter_map(|token| tokens.get(token.partner?));
    let (start, end) = partners.fold((span.start, span.end), |(start, end), partner| {
        (start.min(partner.span.start), end.max(partner.span.end))
    });
    (span.start, span.end) = (start, end);
}

/// Recurses as deep as the expression nests, which the loader limits.
fn lay(ast: &Ast, expr: &Expr, found: &mut Found) {
    found.insert(std::ptr::from_ref(expr), ast.span.start..ast.span.end);
    let operands = expr.operands();
    let counterparts = counterparts(ast, expr);
    if counterparts.len() == operands.len() {
        for (ast, expr) in counterparts.into_iter().zip(operands) {
            lay(ast, expr, found);
        }
    }
}

/// The nodes of the text for the operands, in order; of a different number if that cannot be determined.
fn counterparts<'a>(ast: &'a Ast, expr: &Expr) -> Vec<&'a Ast> {
    match (&ast.node, expr) {
        (Node::And(_), Expr::And(_)) | (Node::Or(_), Expr::Or(_)) => flat(ast),
        (Node::Not(operand), Expr::Not(_))
        | (Node::Select(operand, _), Expr::Select(..))
        | (Node::OptSelect(operand, _), Expr::OptSelect(..)) => vec![operand],
        (Node::Index(operand, index), Expr::Index(..))
        | (Node::OptIndex(operand, index), Expr::OptIndex(..)) => {
            vec![operand, index]
        }
        (Node::Cond(condition, then, otherwise), Expr::Cond(..)) => vec![condition, then, otherwise],
        (Node::List(items), Expr::List(_)) => items.iter().map(|(item, _)| item).collect(),
        (Node::Map(entries), Expr::Map(_)) => {
            entries.iter().flat_map(|(key, value, _)| [key, value]).collect()
        }
        (Node::Operator(_, parts), Expr::Call(..)) => parts.iter().collect(),
        // `x in [constants]`: the list is not an operand of its own.
        (Node::Operator(_, parts), Expr::InConst(..)) => parts.iter().take(1).collect(),
        (Node::Call(target, _, arguments), _) => of_call(target.as_deref(), arguments, expr),
        _ => Vec::new(),
    }
}

/// `a && (b && c)` has three operands.
fn flat(ast: &Ast) -> Vec<&Ast> {
    let (Node::And(parts) | Node::Or(parts)) = &ast.node else { return vec![ast] };
    let same = |part: &Ast| std::mem::discriminant(&part.node) == std::mem::discriminant(&ast.node);
    parts.iter().flat_map(|part| if same(part) { flat(part) } else { vec![part] }).collect()
}

fn of_call<'a>(target: Option<&'a Ast>, arguments: &'a [Ast], expr: &Expr) -> Vec<&'a Ast> {
    let last = arguments.last();
    match expr {
        // `has(operand.field)`.
        Expr::Has(..) => match arguments {
            [Ast { node: Node::Select(operand, _), .. }] => vec![operand],
            _ => Vec::new(),
        },
        // `range.all(x, body)`, `range.map(x, filter, body)`.
        Expr::Macro(of) => {
            let filter = of.filter.as_ref().and_then(|_| arguments.iter().nth_back(1));
            target.into_iter().chain(filter).chain(last).collect()
        }
        // `cel.bind(x, init, body)`.
        Expr::Bind(_) => arguments.iter().skip(1).collect(),
        // `text.matches('constant')`, `matches(text, 'constant')`.
        Expr::Matches(..) => target.or(arguments.first()).into_iter().collect(),
        // `target.name(arguments)`; in `math.least(arguments)` the target is part of the name.
        Expr::Call(_, operands) if operands.len() == arguments.len() + 1 => {
            target.into_iter().chain(arguments).collect()
        }
        Expr::Call(..) => arguments.iter().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Context, Interner, PodAccess, Type, compile};

    /// Expressions as packs have them, and those that folding and flattening change.
    const SOURCES: &[&str] = &[
        "object.spec.replicas < 3 && (object.kind == 'a' || !(object.kind in ['b', 'c']) && has(object.spec.x))",
        "object.a && (object.b && (object.c && object.d))",
        "pod.mainContainers.all(c, 'memory' in c.?resources.?limits.orValue({}) && c.name.startsWith('a'))",
        "pod.allContainers.filter(c, c.?securityContext.?privileged.orValue(false)).map(c, c.name).size() == 0",
        "object.items.map(i, i.ok, i.name)[0].matches('^a+$') ? object.x[?'k'].orValue(1 + 2) > 1 : math.greatest(object.a, object.b) >= 2",
        "cel.bind(x, object.a, x == 1 || x.contains('b')) || {'k': object.v, 'l': [object.w == 2]}.size() > 1",
        "1 + 1 == 2 && object.a == 'b'",
    ];

    /// The text of a span is the node: compiled by itself, it gives the same. Nodes that use a variable of a
    /// macro cannot be compiled by themselves.
    #[test]
    fn a_span_holds_the_text_of_its_node() {
        let mut with_spans = 0;
        for source in SOURCES {
            let mut context = Context::admission(Type::Dyn);
            context.pod = PodAccess::Available;
            let mut interner = Interner::default();
            let (cel, _) = compile(source, &context, &mut interner).unwrap();
            let spans = spans(&cel);
            let mut nodes = Vec::new();
            cel.expr.walk(&mut |node| nodes.push(node));
            assert_eq!(nodes.len(), spans.len());
            for (node, span) in nodes.into_iter().zip(spans) {
                let Some(span) = span else { continue };
                with_spans += 1;
                let text = source.get(span).unwrap();
                let mut is_open = false;
                node.walk(&mut |inner| is_open |= matches!(inner, Expr::Slot(_)));
                if is_open {
                    continue;
                }
                let (alone, _) = compile(text, &context, &mut interner)
                    .unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
                assert_eq!(&alone.expr, node, "{text}");
            }
        }
        assert!(with_spans > 80, "only {with_spans} nodes have spans");
    }

    #[test]
    fn parts_of_a_macro_have_spans() {
        let source = "object.items.exists(i, i.a == 1 || i.b == 2)";
        let (cel, _) = compile(source, &Context::admission(Type::Dyn), &mut Interner::default()).unwrap();
        let texts: Vec<&str> =
            spans(&cel).into_iter().flatten().filter_map(|span| source.get(span)).collect();
        for text in [source, "i.a == 1 || i.b == 2", "i.a == 1", "i.b == 2"] {
            assert!(texts.contains(&text), "{text} is not among {texts:?}");
        }
    }
}
