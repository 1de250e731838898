//! Every field of the language does something or is refused. For each field that is accepted, a test compiles packs that
//! differ in it and shows what becomes different: a decision, an artifact, or what the compiler says. `docs/enforcement-table.md` is
//! generated from these tests and from the CRD's schema; a field with neither test nor BW05xx code fails `table`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod example;
#[cfg(test)]
mod fields;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod support;
#[cfg(test)]
mod table;
