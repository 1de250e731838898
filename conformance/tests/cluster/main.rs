//! Bindings in a real cluster, as far as the webhook: it takes its policies from the cluster, the operator's
//! objects are applied to it, and every known way around a webhook is tried.
#![forbid(unsafe_code)]

mod bound;
mod bypass;
mod choice;
mod meet;
mod stage;
