//! Fuzz entries over what is read of a registry: each takes any bytes, panics on none, and asserts what must hold whatever they are.
//!
//! Terms. *Entry*: `pub fn fuzz(&[u8])`; its seeds stand in `fuzz/entries.rs`, its libFuzzer target in `fuzz/targets`.

pub mod access;
pub mod bundle;
pub mod headers;
pub mod listing;
