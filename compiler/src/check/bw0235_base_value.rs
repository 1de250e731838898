//! Sandboxes are held by a kernel, which counts bytes, milliseconds, files and thousandths of a CPU, mounts absolute paths and knows five
//! devices. A value that has no such form, or that would leave nothing to run with, is refused rather than rounded.
//!
//! ```yaml fails
//! pools:
//! - {name: warm, backend: Native, runtimeClass: runc, podSecurity: {level: Baseline, version: v1.36},
//!    userNamespace: Required, cgroup: Writable, resources: {cpus: "2", memory: 1Gi}}
//! sandboxes:
//! - name: shell
//!   pool: warm
//!   filesystem: {readOnly: [/usr, /usr/../etc], proc: Own}
//!   syscalls: {profile: Shell}
//!   limits: {wallClock: 30s, memory: 512Mi, processes: 64, output: 1Mi}
//! ```
//!
//! ```text
//! error[BW0235] at spec.sandboxes[0].filesystem.readOnly[1]: `/usr/../etc` is not an absolute path in canonical form
//!   help: write it from `/`, without `.`, `..`, `//` and a last `/`; `/` itself is too wide
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
//! ```
//!
//! Remedy: write a value that the kernel can hold: absolute paths, no zero bytes, sizes and limits above zero

use crate::diagnostic::{Code, Severity};

/// Value that cannot be enforced as written.
pub const CODE: Code =
    Code::new("BW0235", "value that cannot be enforced as written", Severity::Error, include_str!("bw0235_base_value.rs"));
