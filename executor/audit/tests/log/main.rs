//! The log as its users see it: written, opened again, verified and folded, and every kind of tampering with
//! its files.

mod crafted;
mod format;
mod life;
mod properties;
mod stage;
mod tamper;
