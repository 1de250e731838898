//! A mutation that would never be carried out. The webhook writes into objects when they are created or updated, and of subresources
//! only through those that change the spec of a pod: through `pods/resize` what can be resized, through `pods/ephemeralcontainers`
//! the debugging containers that are new. A mutation of any other subresource, or of requests that bring no object to write into,
//! is refused, because its author would believe that it holds.
//!
//! ```yaml fails
//! admission:
//!   rules:
//!   - name: example
//!     match:
//!       resources:
//!       - {apiGroups: [apps], apiVersions: [v1], resources: [deployments, deployments/scale], operations: [CREATE, UPDATE]}
//!     mutations: [{field: spec.replicas, value: 1}]
//!   - name: other
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [DELETE]}]}
//!     mutations: [{field: spec.hostUsers, value: false}]
//! ```
//!
//! ```text
//! error[BW0527] at spec.admission.rules[0].match.resources[0].resources[1]: the mutations of rule `example` are not carried out on `deployments/scale`
//!   help: take it out of this rule, and refuse what is wrong there by the validations of another one
//! error[BW0527] at spec.admission.rules[1].mutations: the mutations of rule `other` are not carried out on any of its operations
//!   help: add CREATE or UPDATE to the operations, or take the mutations out
//! ```
//!
//! ```yaml passes
//! admission:
//!   rules:
//!   - name: example
//!     match: {resources: [{apiGroups: [""], apiVersions: [v1], resources: [pods, pods/resize], operations: [CREATE, UPDATE]}]}
//!     mutations: [{field: "spec.containers[*].resources.limits.memory", value: 1Gi}]
//!   - name: scale
//!     match: {resources: [{apiGroups: [apps], apiVersions: [v1], resources: [deployments/scale], operations: [UPDATE]}]}
//!     validations: [{expression: "object.spec.replicas == 1"}]
//! ```
//!
//! Remedy: take the subresource out of the rule, and refuse what is wrong there by the validations of another one

use crate::diagnostic::{Code, Severity};

/// A mutation that is never carried out.
pub const CODE: Code =
    Code::new("BW0527", "mutation that is never carried out", Severity::Error, include_str!("bw0527_unwritten_mutation.rs"));
