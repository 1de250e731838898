//! The kernel side of a sandbox: namespaces, mounts, cgroups, filters. It uses no other crate of Bailiwick:
//! what it enforces comes in as plain data of its own types (`profile`), and nothing here decides whether a
//! call may run. Blocking, without async; the only crate with `unsafe` code.
//!
//! ```text
//!  this library, in the executor          bailiwick-launcher, one for each profile          one sandbox, single use
//!  ┌───────────────────────────────┐       ┌─────────────────────────────────────┐          ┌──────────────────────────┐
//!  │ Launcher::build ► Parked      │──ask──►│ launcher: template root, read-only   │──clone──►│ holder: pid 1, namespaces │
//!  │ Parked::run ► Running         │       │  own user namespace, no network      │──clone──►│ worker: parked, confined  │
//!  │ Running::finish ► Exit        │◄── pidfds, pipes ───────────────────────────────────────┤   ► becomes the program   │
//!  └──────────────┬────────────────┘       ┌─────────────────────────────────────┐          │ workspace, lent           │
//!                 └─────────ask───────────►│ keeper: one tmpfs for each session   │─────────►└──────────────────────────┘
//! ```
//!
//! What must stay true:
//! 1. If any step of a set-up fails, nothing runs. No sandbox is built with a step left out.
//! 2. A sandbox runs one program, once. What is left of it is killed and removed, whatever happened.
//! 3. Nothing survives the executor: every holder ends when the executor's end of a socket to it closes.
//! 4. The executor does not fork. Launchers and keepers are started as ordinary programs, and they fork.
//!
//! Start reading at `sandbox`, then `launcher`.

mod call;
mod cgroup;
pub mod clerk;
pub mod drain;
mod host;
pub mod keeper;
pub mod launcher;
mod orphans;
pub mod outcome;
mod outpost;
mod pool;
pub mod privileges;
pub mod probe;
pub mod profile;
pub mod sandbox;
pub mod seccomp;
pub mod step;
mod wire;

pub use call::Errno;
pub use cgroup::{CgroupError, CgroupRoot, CgroupVersion, Found};
pub use host::{DEFAULT_ID_BASE, Host, ID_COUNT, Identity, Ids};
pub use pool::Pool;
pub use sandbox::{Build, Launcher, Parked, Remains, Request, Running, SandboxError};
pub use wire::{MAX_REQUEST_BYTES, MAX_STRINGS};
