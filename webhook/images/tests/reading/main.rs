//! The reader and the verifier against registries that behave, and registries that do not.

mod hostile;
mod log;
mod login;
mod loopback;
mod signatures;
mod tls;
