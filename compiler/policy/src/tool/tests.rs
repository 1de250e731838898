//! Decisions as the language page says.
