//! What is bound in a real cluster, held to there: the webhook takes its policies from it, the objects of the operator are applied to it, and every
//! known way around a webhook is tried.
#![forbid(unsafe_code)]

mod bound;
mod bypass;
mod choice;
mod meet;
mod stage;
