//! The ways in which an expression gets the wanted value, by the meaning of its operators and of the
//! commonest functions.

use bailiwick_policy::ir::{Bind, Const, Expr, Func, Macro, MacroKind};
use serde_json::Value;

use super::reading::{At, Bound, Scope};
use super::{
    FRESH, MAX_STEPS, MAX_WAYS, MAX_WISHES, Place, Reader, Step, WISHES_A_STEP, Want, Way, together, value,
};

impl Reader<'_> {
    /// Ways in which an expression may get the wanted value.
    pub(in crate::diff) fn ways(&self, expr: &Expr, wanted: bool) -> Vec<Way> {
        self.left.set(MAX_STEPS);
        self.truth(expr, wanted, &At { scope: Scope::new(), depth: 0 })
    }

    fn capped(&self, mut ways: Vec<Way>) -> Vec<Way> {
        if ways.len() > MAX_WAYS {
            self.cut.set(true);
            ways.truncate(MAX_WAYS);
        }
        ways
    }

    /// Charges what is copied or compared: otherwise a step of an expression with long ways or lists takes a
    /// thousand times as long.
    fn charge(&self, wishes: usize) {
        let steps = u32::try_from(wishes / WISHES_A_STEP).unwrap_or(u32::MAX);
        self.left.set(self.left.get().saturating_sub(steps));
    }

    /// A way for each value, at half a step.
    fn members(&self, place: &Place, values: &[Const], wanted: bool) -> Vec<Way> {
        self.charge(values.len() * WISHES_A_STEP / 2);
        member_of(place, values, wanted)
    }

    /// Both: every way of one with every way of the other.
    fn both(&self, one: &[Way], other: &[Way]) -> Vec<Way> {
        let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
        let fits = |(a, b): &(&Way, &Way)| a.len() + b.len() <= MAX_WISHES;
        let (short, long): (Vec<_>, Vec<_>) = pairs.take(MAX_WAYS + 1).partition(fits);
        if !long.is_empty() {
            self.cut.set(true);
        }
        let cost = |(a, b): &(&Way, &Way)| (a.len() + b.len()).max(a.len() * b.len() / WISHES_A_STEP);
        self.charge(short.iter().map(cost).sum());
        self.capped(short.into_iter().flat_map(|(a, b)| together(a, b)).collect())
    }

    fn all<'e>(&self, operands: &'e [Expr], wanted: bool, at: &At<'e>) -> Vec<Way> {
        operands.iter().fold(vec![Way::new()], |ways, operand| {
            let more = self.truth(operand, wanted, at);
            // An operand without known ways must not hide the others.
            if more.is_empty() { ways } else { self.both(&ways, &more) }
        })
    }

    fn any<'e>(&self, operands: &'e [Expr], wanted: bool, at: &At<'e>) -> Vec<Way> {
        self.capped(operands.iter().flat_map(|operand| self.truth(operand, wanted, at)).collect())
    }

    fn truth<'e>(&self, expr: &'e Expr, wanted: bool, at: &At<'e>) -> Vec<Way> {
        let Some(at) = self.deeper(at) else { return Vec::new() };
        let at = &at;
        match expr {
            Expr::Const(Const::Bool(value)) if *value == wanted => vec![Way::new()],
            Expr::Const(_) => Vec::new(),
            Expr::And(operands) if wanted => self.all(operands, true, at),
            Expr::Or(operands) if !wanted => self.all(operands, false, at),
            Expr::And(operands) | Expr::Or(operands) => self.any(operands, wanted, at),
            Expr::Not(operand) => self.truth(operand, !wanted, at),
            Expr::Cond(condition, then, otherwise) => {
                let yes = self.both(&self.truth(condition, true, at), &self.truth(then, wanted, at));
                let no = self.both(&self.truth(condition, false, at), &self.truth(otherwise, wanted, at));
                self.capped(yes.into_iter().chain(no).collect())
            }
            Expr::Shared(index) => {
                self.share(*index).map_or_else(Vec::new, |expr| self.truth(expr, wanted, &at.anew()))
            }
            Expr::Slot(slot) => match at.scope.get(slot).cloned() {
                Some(Bound::Expr(expr)) => self.truth(expr, wanted, at),
                _ => self.is_true(expr, wanted, at),
            },
            Expr::Bind(bind) => {
                let Bind { slot, init, body } = bind.as_ref();
                self.truth(body, wanted, &at.with(*slot, self.bound(init, at)))
            }
            Expr::Macro(of) => self.quantified(of, wanted, at),
            Expr::Has(operand, field) => {
                let Some(place) = self.place(operand, at) else { return Vec::new() };
                vec![vec![(place.member(field), if wanted { Want::Present } else { Want::Absent })]]
            }
            Expr::InConst(operand, values) => match self.place(operand, at) {
                Some(place) => self.members(&place, values, wanted),
                None => self.guess(expr, at),
            },
            Expr::Matches(operand, index) => match self.place(operand, at) {
                Some(place) => self.capped(texts(&place, &self.matching(*index), wanted)),
                None => Vec::new(),
            },
            Expr::Call(func, operands) => self.call(*func, operands, expr, wanted, at),
            _ => self.is_true(expr, wanted, at),
        }
    }

    /// A place that is itself a boolean.
    fn is_true<'e>(&self, expr: &'e Expr, wanted: bool, at: &At<'e>) -> Vec<Way> {
        let Some(place) = self.place(expr, at) else { return self.guess(expr, at) };
        vec![vec![(place.clone(), Want::Is(Value::Bool(wanted)))], vec![(place, Want::Absent)]]
    }

    fn call<'e>(
        &self,
        func: Func,
        operands: &'e [Expr],
        whole: &'e Expr,
        wanted: bool,
        at: &At<'e>,
    ) -> Vec<Way> {
        match (func, operands) {
            (Func::Equal, [a, b]) => self.equal(a, b, wanted, at),
            (Func::NotEqual, [a, b]) => self.equal(a, b, !wanted, at),
            (
                Func::Less
                | Func::LessEqual
                | Func::Greater
                | Func::GreaterEqual
                | Func::IsGreaterThan
                | Func::IsLessThan,
                [a, b],
            ) => {
                let both = [(a, b), (b, a)]
                    .into_iter()
                    .find_map(|(one, other)| Some(self.around(one, &self.constant(other, at)?, at)));
                both.unwrap_or_else(|| self.guess(whole, at))
            }
            (Func::Contains | Func::StartsWith | Func::EndsWith, [of, text]) => {
                match (self.place(of, at), self.constant(text, at)) {
                    (Some(place), Some(Const::Str(text))) => {
                        let more = match func {
                            Func::StartsWith => format!("{text}{FRESH}"),
                            _ => format!("{FRESH}{text}"),
                        };
                        texts(&place, &[text, more], wanted)
                    }
                    _ => self.guess(whole, at),
                }
            }
            (Func::In, [one, of]) => match (self.place(one, at), self.constant(of, at)) {
                (Some(place), Some(Const::List(values))) => self.members(&place, &values, wanted),
                _ => match (self.constant(one, at).as_ref().and_then(value), self.place(of, at)) {
                    (Some(value), Some(place)) if wanted => vec![vec![(place, Want::Holds(value))]],
                    (Some(value), Some(place)) => vec![vec![(place, Want::Lacks(value))]],
                    _ => self.guess(whole, at),
                },
            },
            (Func::OnlyRuns, [shell, names]) => match (self.place(shell, at), self.constant(names, at)) {
                (Some(place), Some(Const::List(names))) => {
                    let name = Place {
                        root: place.root,
                        steps: vec![
                            Step::Member("commands".to_owned()),
                            Step::Element,
                            Step::Member("name".to_owned()),
                        ],
                    };
                    member_of(&name, &names, wanted)
                }
                _ => Vec::new(),
            },
            (Func::HasValue, [optional]) => match self.place(optional, at) {
                Some(place) => vec![vec![(place, if wanted { Want::Present } else { Want::Absent })]],
                None => Vec::new(),
            },
            _ => self.is_true(whole, wanted, at),
        }
    }

    fn equal<'e>(&self, a: &'e Expr, b: &'e Expr, wanted: bool, at: &At<'e>) -> Vec<Way> {
        for (one, other) in [(a, b), (b, a)] {
            let Some(constant) = self.constant(other, at) else { continue };
            match (one, &constant) {
                (Expr::Call(Func::Size, operands), Const::Int(size)) => {
                    let Some(of) = operands.first() else { continue };
                    // Most rules check whether a list is empty.
                    let mut ways = self.empty(of, (*size == 0) == wanted, at);
                    ways.extend(self.sizes(of, *size, at));
                    return self.capped(ways);
                }
                (Expr::Call(Func::CompareTo, operands), _) => {
                    let [left, right] = operands.as_slice() else { continue };
                    if let Some(constant) = self.constant(right, at) {
                        return self.around(left, &constant, at);
                    }
                }
                (_, Const::Bool(value)) => return self.truth(one, *value == wanted, at),
                (_, Const::List(values)) if values.is_empty() => return self.empty(one, wanted, at),
                _ => {}
            }
            let Some(place) = self.place(one, at) else { continue };
            return member_of(&place, std::slice::from_ref(&constant), wanted);
        }
        self.guess(a, at).into_iter().chain(self.guess(b, at)).collect()
    }

    /// Values below, at and above a constant.
    fn around(&self, expr: &Expr, constant: &Const, at: &At<'_>) -> Vec<Way> {
        if let (Expr::Call(Func::Size, operands), Const::Int(size)) = (expr, constant) {
            let Some(of) = operands.first() else { return Vec::new() };
            return self.sizes(of, *size, at);
        }
        let Some(place) = self.place(expr, at) else { return Vec::new() };
        let values: Vec<Value> = match constant {
            Const::Int(one) => [one.saturating_sub(1), *one, one.saturating_add(1)].map(Value::from).to_vec(),
            Const::Uint(one) => {
                [one.saturating_sub(1), *one, one.saturating_add(1)].map(Value::from).to_vec()
            }
            Const::Double(one) => [one - 1.0, *one, one + 1.0].map(Value::from).to_vec(),
            // A quantity, a duration or a version: a leading digit makes it larger.
            Const::Str(text) => ["1".to_owned(), text.clone(), format!("9{text}")].map(Value::from).to_vec(),
            _ => Vec::new(),
        };
        let is = values.into_iter().map(|value| vec![(place.clone(), Want::Is(value))]);
        is.chain([vec![(place.clone(), Want::Absent)]]).collect()
    }

    fn sizes(&self, of: &Expr, size: i64, at: &At<'_>) -> Vec<Way> {
        let Some(place) = self.place(of, at) else { return Vec::new() };
        let sizes = [size.saturating_sub(1), size, size.saturating_add(1)];
        let sizes = sizes.into_iter().filter_map(|size| usize::try_from(size).ok());
        sizes.map(|size| vec![(place.clone(), Want::Size(size))]).collect()
    }

    /// Ways in which a list is empty, or is not.
    fn empty<'e>(&self, expr: &'e Expr, wanted: bool, at: &At<'e>) -> Vec<Way> {
        let Some(at) = self.deeper(at) else { return Vec::new() };
        let at = &at;
        match expr {
            Expr::List(items) => self.known(items.is_empty() == wanted),
            Expr::Const(Const::List(items)) => self.known(items.is_empty() == wanted),
            Expr::Call(Func::Add, operands) if wanted => operands
                .iter()
                .fold(vec![Way::new()], |ways, operand| self.both(&ways, &self.empty(operand, true, at))),
            Expr::Call(Func::Add, operands) => {
                self.capped(operands.iter().flat_map(|operand| self.empty(operand, false, at)).collect())
            }
            Expr::Cond(condition, then, otherwise) => {
                let yes = self.both(&self.truth(condition, true, at), &self.empty(then, wanted, at));
                let no = self.both(&self.truth(condition, false, at), &self.empty(otherwise, wanted, at));
                self.capped(yes.into_iter().chain(no).collect())
            }
            Expr::Shared(index) => {
                self.share(*index).map_or_else(Vec::new, |expr| self.empty(expr, wanted, &at.anew()))
            }
            Expr::Bind(bind) => {
                let Bind { slot, init, body } = bind.as_ref();
                self.empty(body, wanted, &at.with(*slot, self.bound(init, at)))
            }
            Expr::Macro(of) if of.kind == MacroKind::Filter => {
                let exists = Macro { kind: MacroKind::Exists, ..of.as_ref().clone() };
                self.quantified(&exists, !wanted, at)
            }
            Expr::Macro(of) if of.kind == MacroKind::Map => self.empty(&of.range, wanted, at),
            _ => match self.place(expr, at) {
                Some(place) if wanted => vec![vec![(place, Want::Absent)]],
                Some(place) => vec![vec![(place, Want::Size(1))]],
                None => Vec::new(),
            },
        }
    }

    fn known(&self, holds: bool) -> Vec<Way> {
        if holds { vec![Way::new()] } else { Vec::new() }
    }

    /// `all` and `exists` over a place or over constants.
    fn quantified<'e>(&self, of: &'e Macro, wanted: bool, at: &At<'e>) -> Vec<Way> {
        let some = match of.kind {
            MacroKind::Exists | MacroKind::ExistsOne => wanted,
            MacroKind::All => !wanted,
            _ => return Vec::new(),
        };
        // What one element must be: true for `exists`, false for a counterexample to `all`.
        let inner = of.kind != MacroKind::All;
        let slot = of.slot2.unwrap_or(of.slot);
        if let Some(Const::List(values)) = self.constant(&of.range, at) {
            let each = values.into_iter().map(|value| at.with(slot, Bound::Const(value)));
            let each: Vec<Vec<Way>> = each.map(|at| self.truth(&of.body, inner == some, &at)).collect();
            return match some {
                true => self.capped(each.into_iter().flatten().collect()),
                false => each.iter().fold(vec![Way::new()], |ways, more| self.both(&ways, more)),
            };
        }
        let Some(range) = self.place(&of.range, at) else {
            let range = match &of.range {
                Expr::Shared(index) => self.share(*index),
                other => Some(other),
            };
            return match range {
                // `filter(…).exists(…)`: what the filter requires as well.
                Some(Expr::Macro(inner_of)) if inner_of.kind == MacroKind::Filter && some => {
                    let filtered = Macro { kind: MacroKind::Exists, ..inner_of.as_ref().clone() };
                    let filtered = self.quantified(&filtered, true, at);
                    let over = Macro { range: inner_of.range.clone(), ..of.clone() };
                    self.both(&filtered, &self.quantified(&over, wanted, at))
                }
                _ => Vec::new(),
            };
        };
        let at = at.with(slot, Bound::Place(range.clone().element()));
        let mut ways = self.truth(&of.body, if some { inner } else { !inner }, &at);
        if !some {
            ways.insert(0, vec![(range, Want::Absent)]);
        }
        self.capped(ways)
    }

    /// Every constant of an expression at every place of it.
    fn guess(&self, expr: &Expr, at: &At<'_>) -> Vec<Way> {
        let mut places: Vec<Place> = Vec::new();
        let mut constants: Vec<Value> = Vec::new();
        expr.walk(&mut |node| match node {
            Expr::Const(Const::List(values)) => constants.extend(values.iter().filter_map(value)),
            Expr::Const(constant) => constants.extend(value(constant)),
            Expr::InConst(_, values) => constants.extend(values.iter().filter_map(value)),
            Expr::Matches(_, index) => {
                constants.extend(self.matching(*index).into_iter().map(Value::from));
            }
            node => {
                if let Some(place) = self.place(node, at).filter(|place| !place.steps.is_empty()) {
                    // Of places that lead to one another, the longest.
                    if !places.iter().any(|other| other.steps.starts_with(&place.steps)) {
                        places.push(place);
                    }
                }
            }
        });
        let is = |place: &Place| {
            let place = place.clone();
            constants.iter().map(move |value| vec![(place.clone(), Want::Is(value.clone()))])
        };
        let mut ways: Vec<Way> = places.iter().flat_map(is).take(MAX_WAYS + 1).collect();
        ways.extend(places.iter().map(|place| vec![(place.clone(), Want::Absent)]));
        ways.extend(places.iter().map(|place| vec![(place.clone(), Want::Is(Value::from(FRESH)))]));
        self.capped(ways)
    }
}

/// One of some values, or none of them.
fn member_of(place: &Place, values: &[Const], wanted: bool) -> Vec<Way> {
    let is = |value: Value| vec![(place.clone(), Want::Is(value))];
    if wanted {
        // Absence often counts as one of them.
        let absent = vec![(place.clone(), Want::Absent)];
        return values.iter().filter_map(value).map(is).chain([absent]).collect();
    }
    let other = values.first().and_then(other);
    other.into_iter().map(is).chain([vec![(place.clone(), Want::Absent)]]).collect()
}

fn texts(place: &Place, matching: &[String], wanted: bool) -> Vec<Way> {
    let is = |text: &str| vec![(place.clone(), Want::Is(Value::from(text)))];
    if wanted {
        matching.iter().map(|text| is(text)).collect()
    } else {
        vec![is(FRESH), vec![(place.clone(), Want::Absent)]]
    }
}

/// A value of the same kind that is not this one.
fn other(constant: &Const) -> Option<Value> {
    Some(match constant {
        Const::Bool(value) => Value::Bool(!value),
        Const::Int(value) => Value::from(value.saturating_add(1)),
        Const::Uint(value) => Value::from(value.saturating_add(1)),
        Const::Double(value) => Value::from(value + 1.0),
        Const::Str(_) | Const::Null => Value::from(FRESH),
        _ => return None,
    })
}
