//! The class that is written into pods which name none must be one that pods may name, else every such pod is refused
//! after it was changed.
//!
//! ```yaml fails
//! isolation:
//!   runtimeClass: {classes: [{name: gvisor, handler: runsc, kind: GVisor}], default: runc}
//! ```
//!
//! ```text
//! error[BW0220] at spec.isolation.runtimeClass.default: the default RuntimeClass `runc` is not one of `classes`
//!   help: add it to `classes`, or choose one of `gvisor`
//! ```
//!
//! ```yaml passes
//! isolation:
//!   runtimeClass: {classes: [{name: gvisor, handler: runsc, kind: GVisor}], default: gvisor}
//! ```
//!
//! Remedy: add the class to `classes`, or choose one of them

use crate::diagnostic::{Code, Severity};

/// Default RuntimeClass not allowed.
pub const CODE: Code = Code::new("BW0220", "default RuntimeClass not allowed", Severity::Error, include_str!("bw0220_runtime_class_default.rs"));
