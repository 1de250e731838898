//! The arguments of every call are matched against the tool's JSON Schema before any rule is asked. Its keywords are a closed set, each of
//! which is enforced; patterns are matched in linear time; there is no `$ref`. A schema with anything else would promise what is not held.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string, format: uri}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//! ```
//!
//! ```text
//! error[BW0233] at spec.tools.definitions[0].input.properties.file.format: this schema cannot be enforced: the keyword `format` is not enforced, so it may not stand here; known are type, properties, required, additionalProperties, items, enum, const, minimum, maximum, minLength, maxLength, pattern, minItems, maxItems, uniqueItems, description, title, default
//!   help: take the keyword out, or write the constraint with one that is enforced
//! ```
//!
//! ```yaml passes
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /bin], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! tools:
//!   definitions:
//!   - name: files.read
//!     input: {type: object, additionalProperties: false, properties: {file: {type: string}}}
//!     run: {sandbox: shell, argv: [{value: /bin/cat}, {value: "--"}, {arg: file}]}
//! ```
//!
//! Remedy: take the keyword out, or write the constraint with one that is enforced

use crate::diagnostic::{Code, Severity};

/// Input schema that cannot be enforced.
pub const CODE: Code =
    Code::new("BW0233", "input schema that cannot be enforced", Severity::Error, include_str!("bw0233_tool_input.rs"));
