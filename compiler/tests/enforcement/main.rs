//! Every field of the language does something or is refused. For each field that is accepted, a test compiles packs that
//! differ in it and shows what becomes different: a decision, an artifact, or what the compiler says. `docs/enforcement-table.md` is
//! generated from these tests and from the CRD's schema; a field with neither test nor BW05xx code fails `table`.
#![forbid(unsafe_code)]

/// Declares tests and lists, for each, the fields that it shows.
#[cfg(test)]
macro_rules! fields {
    ($($name:ident: [$($field:literal),+], $probe:expr, $($pack:expr => $expected:literal),+;)+) => {
        $(#[test] fn $name() { $crate::support::check(&$probe, &[$((&$pack, $expected)),+]); })+
        /// Name of the test, fields.
        pub(crate) const FIELDS: &[(&str, &[&str])] = &[$((stringify!($name), &[$($field),+])),+];
    };
}

#[cfg(test)]
mod calls;
#[cfg(test)]
mod ceilings;
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
#[cfg(test)]
mod updates;
