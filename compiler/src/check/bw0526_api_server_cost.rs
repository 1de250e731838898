//! The ValidatingAdmissionPolicy of the rule is evaluated by the API server, which gives one expression 1,000,000 units of cost and refuses the request
//! when they are spent; all expressions of the rules with one action over the same requests get 10,000,000 together, their match conditions
//! 2,500,000. At the worst they take more where lists and maps of the object are as long as the note says and texts have 64 characters; where a
//! definition given with `--schema` has `maxItems`, `maxProperties` or `maxLength`, those count, and of a parameter its value. The estimate is the
//! API server's own for CRDs; the webhook has a budget of its own.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations:
//!     - expression: "object.spec.containers.all(c, object.spec.containers.all(d, object.spec.containers.all(e, c.name != d.name || d.name != e.name)))"
//! ```
//!
//! ```text
//! note[BW0526] at spec.admission.rules[0].validations[0].expression (0..129): on the API server this may cost more than one expression is given where lists have 35 elements
//!   help: 3 loops inside each other in `object.spec.containers.all(c, object.spec.containers.all(d, …` cost most: look at less in each turn, or let `size(object.spec.containers) <= 34 && …` refuse longer lists first
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]}
//!     validations:
//!     - expression: "object.spec.containers.all(c, c.name != 'debug')"
//! ```
//!
//! Remedy: look at less in each turn of the loop, or bound the list: by `maxItems` in its schema, or by `size(object.spec.containers) <= 50 && …`

use crate::diagnostic::{Code, Severity};

/// Too costly for the API server.
pub const CODE: Code = Code::new("BW0526", "too costly for the API server", Severity::Note, include_str!("bw0526_api_server_cost.rs"));
