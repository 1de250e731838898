//! Holds the emitted artifacts to oracles that do not share a line with the emitters.

mod cluster;
mod files;
mod generated;
mod imported;
mod netpol;
mod policies;
mod rules;
