//! Sandboxes on the real kernel: what a program inside finds, and how its end is told.

#[path = "../ground/mod.rs"]
mod ground;

mod isolation;
