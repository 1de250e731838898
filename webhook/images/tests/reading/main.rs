//! The reader and verifier against registries that behave, and ones that do not.

mod hostile;
mod login;
mod signatures;
mod stub;
mod tls;
