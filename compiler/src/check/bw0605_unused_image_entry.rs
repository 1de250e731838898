//! Every image that this entry allows is refused by another entry: one that denies wins.
//!
//! ```yaml fails
//! images:
//! - {match: ["registry.example.org/a/**"], digest: Required}
//! - {match: ["registry.example.org/**"], deny: true}
//! ```
//!
//! ```text
//! warning[BW0605] at spec.images[0]: every image that this entry allows is refused
//!   help: remove the entry, or narrow the one that denies
//!   spec.images[1]: by this entry
//! ```
//!
//! ```yaml passes
//! images:
//! - {match: ["registry.example.org/**"], digest: Required}
//! - {match: ["registry.example.org/a/**"], deny: true}
//! ```
//!
//! Remedy: remove the entry, or narrow the one that denies

use crate::diagnostic::{Code, Diagnostic, FieldPath, Severity};
use crate::findings::Findings;
use crate::lower::pattern::within;
use super::View;

/// Image entry without effect.
pub const CODE: Code = Code::new("BW0605", "image entry without effect", Severity::Warning, include_str!("bw0605_unused_image_entry.rs"));

pub(super) fn check(view: &View<'_>, out: &mut Findings<'_>) {
    let images = view.spec.images.as_deref().unwrap_or_default();
    let at = FieldPath::spec().member("images");
    let denied = |pattern: &String| {
        let entries = images.iter().enumerate().filter(|(_, entry)| entry.deny);
        entries.filter(|(_, entry)| entry.matches.iter().any(|outer| within(pattern, outer))).map(|(index, _)| index).next()
    };
    for (index, image) in images.iter().enumerate().filter(|(_, image)| !image.deny) {
        let denials: Vec<Option<usize>> = image.matches.iter().map(denied).collect();
        if let (true, Some(Some(first))) = (denials.iter().all(Option::is_some), denials.first()) {
            let diagnostic = Diagnostic::new(CODE, at.index(index), "every image that this entry allows is refused");
            out.push(diagnostic.with_related(at.index(*first), "by this entry"));
        }
    }
}
