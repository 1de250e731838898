//! A field that the language does not have. Kubernetes would drop it without a word and enforce something else than
//! you wrote, so it is an error here.
//!
//! ```yaml
//! spec:
//!   netwrok: {egress: []}      # unknown field `netwrok`
//! ```
//!
//! Write the right name; the help line gives the nearest one that may stand there. `docs/formats/pack.md` lists
//! them all.
//!
//! Remedy: take the field out, or write one that `docs/formats/pack.md` lists for this place

use crate::diagnostic::{Code, Severity};

/// Unknown field.
pub const CODE: Code = Code::new("BW0104", "unknown field", Severity::Error, include_str!("bw0104_unknown_field.rs"));
