//! The laws of the meet as property tests.
#![forbid(unsafe_code)]

#[cfg(test)]
mod generators;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod meaning;
#[cfg(test)]
mod sandboxes;
