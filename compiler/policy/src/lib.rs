//! The compiled policy: its data, its CEL evaluator, and the decisions made with it.
//!
//! Everything here is a pure function of its arguments. There is no clock, file, network, CEL parser or YAML
//! parser here: those are in `bailiwick-compiler` and in the programs. What cannot be decided is denied with
//! a reason.
//!
//! ```text
//! bundle.json ► bundle::load ► policy::Policy ┐
//! AdmissionReview ► json::Json ► admission::… ┼► admission::Reviewer::review ► decision::Decision
//! tool::ToolCall, tool::State ────────────────┴► tool::decide_tool_call ► tool::ToolDecision
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "admission")]
pub mod admission;
pub mod arguments;
pub mod authorization;
pub mod bundle;
pub mod canonical;
pub mod cel;
pub mod decision;
pub mod facts;
pub mod ir;
pub mod json;
pub mod policy;
pub mod tool;

mod same;
