//! Decisions as the language page says, sentence by sentence.

mod absorbed;
mod approvals;
mod build;
mod grants;
mod labels;
mod laws;
mod listing;
mod loading;
mod narrowing;
mod plans;
mod results;
mod shadow;
mod state;
mod transforms;
