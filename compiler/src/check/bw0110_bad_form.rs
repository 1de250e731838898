//! A text has not the form that its field asks for: a name, a version, a quantity, a duration, a CIDR.
//!
//! ```yaml
//! spec: {pack: Code_Interpreter, version: "1.0"}    # names are DNS labels, versions have three numbers
//! ```
//!
//! Write it in the form that the message names. Durations are those of Go (`1h30m`), quantities those of Kubernetes
//! (`64Mi`), versions semantic versions without build metadata.
//!
//! Remedy: write it in the form that the message names; names are lower-case letters, digits and `-`

use crate::diagnostic::{Code, Severity};

/// Text of the wrong form.
pub const CODE: Code = Code::new("BW0110", "text of the wrong form", Severity::Error, include_str!("bw0110_bad_form.rs"));
