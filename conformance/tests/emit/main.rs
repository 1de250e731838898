//! Compares the emitted artifacts with oracles that share no code with the emitters.

mod cluster;
mod erring;
mod files;
mod generated;
mod imported;
mod netpol;
mod policies;
mod rules;
