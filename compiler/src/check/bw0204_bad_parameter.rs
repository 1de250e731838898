//! The declaration of a parameter contradicts itself: a domain that does not fit its type, a bound that is not of
//! its type, a default outside the domain.
//!
//! ```yaml
//! parameters: [{name: size, type: quantity, default: 1Gi, maximum: 256Mi}]
//! ```
//!
//! Fix the declaration. `enum` and `pattern` fit texts, `minimum` and `maximum` fit `int`, `quantity` and
//! `duration`, `subsetOf` and `maxItems` fit lists.
//!
//! Remedy: fix the declaration: the default, the bounds and the domain must fit the type and one another

use crate::diagnostic::{Code, Severity};

/// Parameter declared wrongly.
pub const CODE: Code = Code::new("BW0204", "parameter declared wrongly", Severity::Error, include_str!("bw0204_bad_parameter.rs"));
