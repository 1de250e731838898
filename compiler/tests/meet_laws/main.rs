//! The laws of the meet and of the comparison of two policies as property tests, and a pair of packs for each layer that is compared.
#![forbid(unsafe_code)]

#[cfg(test)]
mod ceilings;
#[cfg(test)]
mod diff_alternatives;
#[cfg(test)]
mod diff_gates;
#[cfg(test)]
mod diff_laws;
#[cfg(test)]
mod diff_pairs;
#[cfg(test)]
mod diff_unshown;
#[cfg(test)]
mod generators;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod meaning;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod sandboxes;
#[cfg(test)]
mod tools;
