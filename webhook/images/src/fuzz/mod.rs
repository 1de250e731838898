//! Fuzz entries for everything that is read from a registry. Each accepts any bytes, never panics, and
//! asserts what must hold for all of them.
//!
//! Terms. *Entry*: `pub fn fuzz(&[u8])`. Its seeds are in `fuzz/entries.rs`, its libFuzzer target in
//! `fuzz/targets`.

pub mod access;
pub mod bundle;
pub mod headers;
pub mod listing;
