//! Converts the parser's tree to ours: operators become functions, chains of `&&` and `||` become flat, and
//! spans are rebuilt from operator positions and tokens. Runs on the parser's thread.

use bailiwick_policy::ir::{Const, Func, MAX_DEPTH};
use cel::common::ast::{
    CallExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SourceInfo, StructExpr, operators,
};

use super::ast::{Ast, Name, Node, Span};
use super::error::{CelError, CelErrorKind};
use super::guard::{Token, TokenKind};

/// Converts a whole tree.
pub(super) fn convert(
    tree: &IdedExpr,
    positions: &SourceInfo,
    source: &str,
    tokens: &[Token],
) -> Result<Ast, Vec<CelError>> {
    Converter { positions, source, tokens }.node(tree, 0).map_err(|error| vec![error])
}

struct Converter<'a> {
    positions: &'a SourceInfo,
    source: &'a str,
    tokens: &'a [Token],
}

impl Converter<'_> {
    /// The index of the token at which a node was made.
    fn token(&self, id: u64) -> Option<usize> {
        let (start, _) = self.positions.offset_for(id)?;
        let start = usize::try_from(start).ok()?;
        self.tokens.binary_search_by_key(&start, |token| token.span.start).ok()
    }

    fn span_of(&self, index: Option<usize>) -> Option<Span> {
        index.and_then(|index| self.tokens.get(index)).map(|token| token.span)
    }

    /// The span from a bracket to its partner.
    fn bracket(&self, index: Option<usize>) -> Span {
        let partner = index.and_then(|index| self.tokens.get(index)).and_then(|token| token.partner);
        let open = self.span_of(index).unwrap_or_default();
        self.span_of(partner).map_or(open, |close| open.to(close))
    }

    /// The span with the parentheses that directly enclose it, unless they belong to a call.
    fn with_parentheses(&self, span: Span) -> Span {
        let mut first = self.tokens.partition_point(|token| token.span.start < span.start);
        let mut grown = span;
        while let Some(open) = first.checked_sub(1) {
            let called =
                open.checked_sub(1).and_then(|before| self.tokens.get(before)).is_some_and(|before| {
                    before.kind == TokenKind::Identifier && before.text(self.source) != "in"
                });
            let Some(token) = self.tokens.get(open).filter(|token| token.is("(") && !called) else { break };
            let close =
                token.partner.and_then(|partner| self.tokens.get(partner).map(|token| (partner, token.span)));
            let Some((partner, close)) = close else { break };
            let last = partner.checked_sub(1).and_then(|last| self.tokens.get(last));
            if last.is_none_or(|last| last.span.end != grown.end) {
                break;
            }
            grown = token.span.to(close);
            first = open;
        }
        grown
    }

    fn node(&self, tree: &IdedExpr, depth: u32) -> Result<Ast, CelError> {
        let at = self.token(tree.id);
        let span = self.span_of(at).unwrap_or_default();
        if depth >= MAX_DEPTH {
            let message = format!("the expression is deeper than {MAX_DEPTH}");
            return Err(CelError::new(CelErrorKind::Limit, span.start, span.end - span.start, message)
                .help("move a part of it into `variables`"));
        }
        let depth = depth + 1;
        let ast = match &tree.expr {
            Expr::Ident(name) => Ast { span, node: Node::Ident(name.clone()) },
            Expr::Literal(value) => self.literal(value, at, span),
            Expr::Select(select) => {
                let operand = self.node(&select.operand, depth)?;
                let name = self.field(at, &select.field);
                Ast { span: operand.span.to(name.span), node: Node::Select(Box::new(operand), name) }
            }
            Expr::Call(call) => self.call(call, at, depth)?,
            Expr::List(list) => Ast { span: self.bracket(at), node: self.list(list, depth)? },
            Expr::Map(map) => Ast { span: self.bracket(at), node: self.map(map, depth)? },
            Expr::Struct(message) => self.message(message, at, depth)?,
            Expr::Comprehension(_) | Expr::Unspecified => {
                return Err(CelError::new(
                    CelErrorKind::Internal,
                    span.start,
                    span.end - span.start,
                    "the parser gave an incomplete tree",
                ));
            }
        };
        Ok(Ast { span: self.with_parentheses(ast.span), node: ast.node })
    }

    fn literal(&self, value: &LiteralValue, at: Option<usize>, span: Span) -> Ast {
        let (value, negative) = match value {
            LiteralValue::Boolean(value) => (Const::Bool(*value.inner()), false),
            LiteralValue::Bytes(value) => (Const::Bytes(value.inner().to_vec()), false),
            LiteralValue::Double(value) => (Const::Double(*value.inner()), value.inner().is_sign_negative()),
            LiteralValue::Int(value) => (Const::Int(*value.inner()), *value.inner() < 0),
            LiteralValue::Null => (Const::Null, false),
            LiteralValue::String(value) => (Const::Str(value.inner().to_owned()), false),
            LiteralValue::UInt(value) => (Const::Uint(*value.inner()), false),
        };
        // The position of a negative number is that of its digits.
        let sign = at.filter(|_| negative).and_then(|at| at.checked_sub(1));
        let span = self.span_of(sign).map_or(span, |sign| sign.to(span));
        Ast { span, node: Node::Literal(value) }
    }

    /// The name after a `.` or `.?`.
    fn field(&self, dot: Option<usize>, text: &str) -> Name {
        let next = dot.map(|dot| dot + 1);
        let optional = next.and_then(|next| self.tokens.get(next)).is_some_and(|token| token.is("?"));
        let span = self.span_of(next.map(|next| next + usize::from(optional))).unwrap_or_default();
        Name { text: text.to_owned(), span }
    }

    fn list(&self, list: &ListExpr, depth: u32) -> Result<Node, CelError> {
        let mut items = Vec::with_capacity(list.elements.len());
        let mut optional = list.optional_indices.iter().peekable();
        for (index, element) in list.elements.iter().enumerate() {
            let marked = optional.next_if(|next| **next == index).is_some();
            items.push((self.node(element, depth)?, marked));
        }
        Ok(Node::List(items))
    }

    fn map(&self, map: &MapExpr, depth: u32) -> Result<Node, CelError> {
        let mut entries = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            if let EntryExpr::MapEntry(entry) = &entry.expr {
                entries.push((
                    self.node(&entry.key, depth)?,
                    self.node(&entry.value, depth)?,
                    entry.optional,
                ));
            }
        }
        Ok(Node::Map(entries))
    }

    /// `a.b{…}`, which the parser made at its brace.
    fn message(&self, message: &StructExpr, brace: Option<usize>, depth: u32) -> Result<Ast, CelError> {
        let mut fields = Vec::with_capacity(message.entries.len());
        for entry in &message.entries {
            if let EntryExpr::StructField(field) = &entry.expr {
                fields.push((field.field.clone(), self.node(&field.value, depth)?, field.optional));
            }
        }
        let name = &message.type_name;
        let names = name.split('.').filter(|part| !part.is_empty()).count();
        let tokens = names.saturating_add(name.matches('.').count());
        let first = self.span_of(brace.and_then(|brace| brace.checked_sub(tokens)));
        let span = self.bracket(brace);
        let span = first.map_or(span, |first| first.to(span));
        Ok(Ast { span, node: Node::Message(name.clone(), fields) })
    }

    fn call(&self, call: &CallExpr, at: Option<usize>, depth: u32) -> Result<Ast, CelError> {
        if call.func_name == operators::LOGICAL_AND || call.func_name == operators::LOGICAL_OR {
            return self.chain(call, depth);
        }
        let target = call.target.as_ref().map(|target| self.node(target, depth)).transpose()?;
        let mut arguments =
            call.args.iter().map(|part| self.node(part, depth)).collect::<Result<Vec<_>, _>>()?;
        let operator = self.span_of(at).unwrap_or_default();
        let around = arguments.iter().fold(operator, |span, part| span.to(part.span));
        let is_operator =
            call.target.is_none() && !self.tokens.get(at.unwrap_or(usize::MAX)).is_some_and(|t| t.is("("));
        if !is_operator {
            let name_span = self.span_of(at.and_then(|at| at.checked_sub(1))).unwrap_or_default();
            let span = self.bracket(at).to(name_span);
            let span = target.as_ref().map_or(span, |target| span.to(target.span));
            let name = Name { text: call.func_name.clone(), span: name_span };
            return Ok(Ast { span, node: Node::Call(target.map(Box::new), name, arguments) });
        }
        let mut take = || (!arguments.is_empty()).then(|| Box::new(arguments.remove(0)));
        let node = match call.func_name.as_str() {
            operators::INDEX | operators::OPT_INDEX => {
                let close = self.bracket(at);
                let (Some(operand), Some(index)) = (take(), take()) else {
                    return Err(self.incomplete(around));
                };
                let node = if call.func_name == operators::INDEX {
                    Node::Index(operand, index)
                } else {
                    Node::OptIndex(operand, index)
                };
                return Ok(Ast { span: around.to(close), node });
            }
            operators::OPT_SELECT => {
                let (Some(operand), Some(field)) = (take(), take()) else {
                    return Err(self.incomplete(around));
                };
                let Node::Literal(Const::Str(text)) = &field.node else {
                    return Err(self.incomplete(around));
                };
                let name = self.field(at, text);
                return Ok(Ast { span: operand.span.to(name.span), node: Node::OptSelect(operand, name) });
            }
            operators::CONDITIONAL => {
                let (Some(condition), Some(then), Some(otherwise)) = (take(), take(), take()) else {
                    return Err(self.incomplete(around));
                };
                Node::Cond(condition, then, otherwise)
            }
            operators::LOGICAL_NOT => Node::Not(take().ok_or_else(|| self.incomplete(around))?),
            name => match Func::ALL.iter().find(|func| func.name() == name) {
                Some(func) => Node::Operator(*func, arguments),
                None => return Err(self.incomplete(around)),
            },
        };
        Ok(Ast { span: around, node })
    }

    /// Flattens the balanced tree that the parser makes from a chain.
    fn chain(&self, call: &CallExpr, depth: u32) -> Result<Ast, CelError> {
        let mut parts = Vec::new();
        self.terms(call, &mut parts, depth)?;
        let span =
            parts.iter().skip(1).fold(parts.first().map(|p| p.span).unwrap_or_default(), |s, p| s.to(p.span));
        let node = if call.func_name == operators::LOGICAL_AND { Node::And(parts) } else { Node::Or(parts) };
        Ok(Ast { span: self.with_parentheses(span), node })
    }

    fn terms(&self, call: &CallExpr, parts: &mut Vec<Ast>, depth: u32) -> Result<(), CelError> {
        for part in &call.args {
            match &part.expr {
                Expr::Call(inner) if inner.func_name == call.func_name && inner.target.is_none() => {
                    self.terms(inner, parts, depth)?;
                }
                _ => parts.push(self.node(part, depth)?),
            }
        }
        Ok(())
    }

    fn incomplete(&self, span: Span) -> CelError {
        CelError::new(
            CelErrorKind::Internal,
            span.start,
            span.end - span.start,
            "the parser gave an incomplete call",
        )
    }
}
