//! The operator on a real API server: what it applies, keeps and prunes, what it reports, and what happens
//! when things break.

mod arming;
mod borrowed;
mod certificates;
mod enforced;
mod faults;
mod lease;
mod load;
mod lost;
mod packs;
mod pools;
mod refused;
mod selectors;
mod split;
mod stage;
mod webhooks;
