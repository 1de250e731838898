//! The sets that network rules and subjects are made of, with exact algebra: addresses ([`cidr`]), label sets
//! ([`labels`]), ports ([`ports`]) and the connections between them ([`rules`]). Intersection and inclusion
//! only; whatever is not provably included counts as not included. This module knows neither the policy
//! language nor diagnostics.

pub(crate) mod cidr;
pub(crate) mod labels;
pub(crate) mod ports;
pub(crate) mod rules;
