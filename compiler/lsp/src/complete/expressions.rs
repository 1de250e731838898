//! Completion within expressions.

use bailiwick_compiler::cel::Context;
use bailiwick_compiler::cel::offer::{self, Offer, OfferKind};
use lsp_types::CompletionItemKind;

use super::{Candidate, candidate};
use crate::contexts;
use crate::expression::{self, Around};
use crate::place::{Cursor, Writes};
use crate::view::View;

pub(super) fn candidates(text: &str, offset: usize, cursor: &Cursor, view: &View) -> Vec<Candidate> {
    let Writes::Value { decoded, mark, .. } = &cursor.writes else { return Vec::new() };
    let Some(spot) = decoded.text.get(..*mark).and_then(expression::spot) else { return Vec::new() };
    let Some(root) = cursor.root() else { return Vec::new() };
    let Some(context) = contexts::of(&cursor.path, root, &cursor.marked, view) else { return Vec::new() };
    let offers = match &spot.receiver {
        None => at_the_beginning(&spot.around, &context),
        Some(receiver) => after_a_dot(receiver, &spot.around, &context),
    };
    // No character of a name is escaped in quotes, so the rest of the name after the cursor can be replaced
    // too.
    let after = text.get(offset..).unwrap_or_default();
    let rest = after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let replaces = offset.saturating_sub(spot.prefix.len())..offset + rest;
    let found = offers.into_iter().map(|offer| of(offer, cursor));
    found.map(|found| Candidate { replaces: replaces.clone(), ..found }).collect()
}

fn at_the_beginning(around: &[Around], context: &Context) -> Vec<Offer> {
    let mut found = offer::roots(context);
    found.extend(offer::functions(context));
    for (depth, one) in around.iter().enumerate() {
        for variable in &one.variables {
            let inside = around.get(..=depth).unwrap_or_default();
            let of =
                expression::type_of(variable, inside, context).map_or_else(String::new, |of| of.to_string());
            found.push(Offer { name: variable.clone(), kind: OfferKind::Variable, detail: of });
        }
    }
    found
}

fn after_a_dot(receiver: &str, around: &[Around], context: &Context) -> Vec<Offer> {
    let is_bound = around.iter().any(|one| one.variables.iter().any(|variable| variable == receiver));
    let of_root = offer::members_of_root(receiver, context);
    if !is_bound && !of_root.is_empty() {
        return of_root;
    }
    // `math.`, `cel.`: functions of a namespace.
    let namespace = format!("{receiver}.");
    let inside = offer::functions(context).into_iter().filter_map(|one| {
        let name = one.name.strip_prefix(&namespace)?.to_owned();
        Some(Offer { name, ..one })
    });
    let inside: Vec<Offer> = inside.collect();
    if !is_bound && !inside.is_empty() {
        return inside;
    }
    expression::type_of(receiver, around, context).map_or_else(Vec::new, |of| offer::members(&of, context))
}

fn of(offer: Offer, cursor: &Cursor) -> Candidate {
    let (kind, rank) = match offer.kind {
        OfferKind::Variable => (CompletionItemKind::VARIABLE, 0),
        OfferKind::Field => (CompletionItemKind::FIELD, 1),
        OfferKind::Method => (CompletionItemKind::METHOD, 3),
        OfferKind::Macro => (CompletionItemKind::KEYWORD, 2),
        OfferKind::Function => (CompletionItemKind::FUNCTION, 4),
    };
    let (first, rest) = offer.detail.split_once('\n').unwrap_or((&offer.detail, ""));
    Candidate {
        detail: first.to_owned(),
        documentation: if rest.is_empty() {
            String::new()
        } else {
            format!("```text\n{}\n```", offer.detail)
        },
        rank,
        ..candidate(cursor, &offer.name, kind)
    }
}
