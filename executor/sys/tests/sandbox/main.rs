//! Sandboxes on the real kernel: what a program inside finds, how its end is reported, and what is left of
//! it.

#[path = "../ground/mod.rs"]
mod ground;

mod ending;
mod isolation;
mod machine;
mod network;
mod ordinary;
mod owner;
mod places;
mod pool;
mod workspace;
