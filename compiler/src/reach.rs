//! Sets that network rules and subjects are made of, with exact algebra: addresses ([`cidr`]), label sets ([`labels`]), ports
//! ([`ports`]) and the connections that they span ([`rules`]). Intersection and inclusion only; what is not provably included
//! is not included. No policy language here and no diagnostics.

pub(crate) mod cidr;
pub(crate) mod labels;
pub(crate) mod ports;
pub(crate) mod rules;
