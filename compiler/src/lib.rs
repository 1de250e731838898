//! From the text of a policy pack to diagnostics, the compiled policy and every artifact. This crate does no
//! I/O: files come in as bytes and go out as bytes.
//!
//! ```text
//! PackSources ► yaml ► schema_check ► resolve (fragments, parameters, extends) ► lower, meet ► policy::Policy ► emit
//! ```
#![forbid(unsafe_code)]

mod ancestors;
mod assemble;
pub mod authoring;
pub mod cases;
mod ceiling;
pub mod cel;
pub mod check;
pub mod cluster;
pub mod compile;
pub mod custom_kinds;
pub mod diagnostic;
pub mod diff;
mod effective;
pub mod emit;
mod findings;
pub mod fragments;
pub mod fuzz;
pub mod import;
pub mod library;
mod lock;
pub mod lower;
pub mod meet;
pub mod modules;
pub mod namespaces;
mod nearest;
pub mod parameters;
mod paths;
pub mod policy_test;
mod reach;
pub mod rego;
pub mod resolve;
mod salvage;
pub mod schema_check;
pub mod source;
pub mod syscalls;
pub mod yaml;

pub use compile::{Compiled, compile};
pub use nearest::nearest;
pub use parameters::Bindings;
