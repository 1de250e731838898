//! The log as its users see it: written, opened again, verified, folded; and everything that can be done to its files.

mod format;
mod life;
mod properties;
mod stage;
mod tamper;
