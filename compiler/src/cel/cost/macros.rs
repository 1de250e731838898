//! What macros cost: the loops that cel-go expands them to, each with its condition, step and result.

use super::super::ast::{Ast, Name, Node};
use super::super::macros::{Shape, shape};
use super::super::types::Type;
use super::range::{LIST, MAP, ONE, Range};
use super::walk::{Costed, Entries, Heavy, Variable, Walk, both};
use bailiwick_policy::ir::MacroKind;

/// A loop over a range, by the parts that cost.
struct Loop {
    /// Making the initial result.
    begin: Range,
    /// Checking whether it continues.
    condition: Range,
    step: Range,
    result: Range,
    entries: Option<Entries>,
    /// Whether it makes a list or map with as many elements as the range.
    is_collected: bool,
}

/// The contents of an empty list or map.
const EMPTY: Entries = Entries { key: ONE, value: Range::ZERO };

impl Walk<'_> {
    /// A macro; `None` if the call is not one.
    pub(super) fn expanded(
        &mut self,
        ast: &Ast,
        target: Option<&Ast>,
        name: &Name,
        arguments: &[Ast],
    ) -> Option<Costed> {
        let Some(target) = target else {
            let [Ast { node: Node::Select(operand, _), .. }] = arguments else { return None };
            // Checking that a field is present costs nothing: the API server keeps it so
            // (`PresenceTestHasCost(false)`).
            return (name.text == "has").then(|| {
                let operand = self.node(operand);
                self.made(ast, operand.cost, None, None)
            });
        };
        let is_bind = matches!(&target.node, Node::Ident(root) if root == "cel") && name.text == "bind";
        if let (true, [variable, init, body]) = (is_bind, arguments) {
            let init = self.node(init);
            return Some(self.bound(ast, variable, &init, LIST.add(init.cost), body));
        }
        let shape = shape(&name.text, arguments.len())?;
        let (names, rest) = arguments.split_at_checked(shape.variables)?;
        let (filters, bodies) = rest.split_at_checked(shape.filtered)?;
        let body = bodies.first()?;
        if matches!(shape.kind, MacroKind::OptMap | MacroKind::OptFlatMap) {
            return Some(self.of_optional(ast, target, names.first()?, body, shape.kind));
        }
        let range = self.node(target);
        let outer = self.variables.len();
        self.depth += 1;
        self.bind(&range, names);
        let filter = filters.first().map(|filter| self.node(filter));
        let lowered = self.node(body);
        let element = names.first().map(|name| self.node(name));
        self.variables.truncate(outer);
        self.depth -= 1;
        let made = turns(&shape, filter.as_ref(), &lowered, element.as_ref());
        let count = range.size();
        let cost =
            range.cost.add(made.begin).add(made.result).add(count.times(made.step.add(made.condition)));
        self.note(|depth| Heavy {
            span: ast.span,
            is_loop: true,
            depth,
            cost: cost.max,
            over: target.span,
            place: range.place.clone(),
            of: range.of.clone(),
        });
        let size = if made.is_collected { count } else { ONE };
        Some(self.made(ast, cost, Some(size), made.entries))
    }

    /// The variables of a loop over a range.
    fn bind(&mut self, range: &Costed, names: &[Ast]) {
        let is_list = matches!(range.of, Type::List(_));
        let key = range.entries.map(|entries| entries.key);
        let value = range.entries.map(|entries| entries.value);
        let each: &[(&str, Option<Range>)] = match (names.len(), is_list) {
            (1, true) => &[("@items", value)],
            (1, false) => &[("@keys", key)],
            (_, true) => &[("@indices", key), ("@items", value)],
            (_, false) => &[("@keys", key), ("@values", value)],
        };
        for (name, (step, size)) in names.iter().zip(each) {
            let Node::Ident(name) = &name.node else { continue };
            let place = range.within(step);
            self.variables.push(Variable { name: name.clone(), place, size: *size, entries: None });
        }
    }

    /// A name for a value, and the expression that uses it.
    fn bound(&mut self, ast: &Ast, variable: &Ast, init: &Costed, before: Range, body: &Ast) -> Costed {
        let name = match &variable.node {
            Node::Ident(name) => name.clone(),
            _ => String::new(),
        };
        let (place, size) = (init.place.clone(), init.size);
        self.variables.push(Variable { name, place, size, entries: init.entries });
        let body = self.node(body);
        self.variables.pop();
        self.made(ast, before.add(body.cost), body.size, body.entries)
    }

    /// `target.hasValue() ? optional.of(cel.bind(name, target.value(), body)) : optional.none()`.
    fn of_optional(&mut self, ast: &Ast, target: &Ast, name: &Ast, body: &Ast, kind: MacroKind) -> Costed {
        let target = self.node(target);
        let asked = target.cost.add(ONE);
        let inner = match &target.of {
            Type::Optional(inner) => (**inner).clone(),
            _ => Type::Dyn,
        };
        let value =
            Costed { cost: asked, size: self.known(None, &inner), entries: None, place: None, of: inner };
        let bound = self.bound(ast, name, &value, LIST.add(value.cost), body).cost;
        let then = if kind == MacroKind::OptMap { bound.add(ONE) } else { bound };
        self.made(ast, asked.add(then.union(ONE)), None, None)
    }
}

/// The loop of a macro; `element`: the variable of a filter, when read.
fn turns(shape: &Shape, filter: Option<&Costed>, body: &Costed, element: Option<&Costed>) -> Loop {
    // `@result`.
    let so_far = ONE;
    // `filter ? step : @result`.
    let if_wanted = |step: Range| match filter {
        Some(filter) => filter.cost.add(step.union(so_far)),
        None => step,
    };
    let of_bool = |condition: Range| Loop {
        begin: Range::ZERO,
        condition,
        // `@result && body`: the body at most.
        step: Range::new(so_far.min, so_far.add(body.cost).max),
        result: so_far,
        entries: None,
        is_collected: false,
    };
    let collected = |begin: Range, step: Range, entries: Option<Entries>| Loop {
        begin,
        condition: Range::ZERO,
        step,
        result: so_far,
        entries,
        is_collected: true,
    };
    // `@result + [one]`.
    let appended = |one: &Costed| so_far.add(LIST.add(one.cost)).add(ONE);
    let holding = |one: &Costed| both(Some(EMPTY), Some(Entries { key: ONE, value: one.size() }));
    match shape.kind {
        // `@not_strictly_false(@result)`, and that of its negation.
        MacroKind::All => of_bool(so_far.add(ONE)),
        MacroKind::Exists => of_bool(so_far.add(ONE).add(ONE)),
        // `body ? @result + 1 : @result`, then `@result == 1`.
        MacroKind::ExistsOne => Loop {
            condition: Range::ZERO,
            step: body.cost.add(so_far.add(ONE).union(so_far)),
            result: so_far.add(ONE),
            ..of_bool(Range::ZERO)
        },
        MacroKind::Filter => {
            let element = element.unwrap_or(body);
            collected(LIST, body.cost.add(appended(element).union(so_far)), holding(element))
        }
        MacroKind::TransformMap => collected(MAP, if_wanted(so_far.add(ONE).add(body.cost).add(ONE)), None),
        MacroKind::TransformMapEntry => collected(MAP, if_wanted(so_far.add(body.cost).add(ONE)), None),
        // The API server has no `sortBy`; its keys are mapped first.
        MacroKind::Map | MacroKind::SortBy | MacroKind::OptMap | MacroKind::OptFlatMap => {
            collected(LIST, if_wanted(appended(body)), holding(body))
        }
    }
}
