//! The audit log: a chain of records that cannot be changed unnoticed.
#![forbid(unsafe_code)]
