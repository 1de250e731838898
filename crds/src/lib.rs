//! The wire types of the pack language and of the kinds that put packs in force in a cluster, `bailiwick.dev/v1alpha1`, and the
//! CustomResourceDefinitions made from them.
//!
//! A pack as stored may hold parameters (`"${name}"`) where these types have numbers and words: whoever reads one reads it as
//! JSON, hands it to `bailiwick-compiler`, and gets these types back with the parameters substituted. What the fields mean
//! together is the compiler's business.
#![forbid(unsafe_code)]

pub mod admission;
pub mod binding;
pub mod members;
pub mod network;
pub mod pack;
pub mod pod_security;
pub mod policy_test;
pub mod reference;
pub mod sandbox;
pub mod sandbox_pool;
pub mod scalar;
pub mod schema;
pub mod selector;
pub mod status;
pub mod tools;

/// `apiVersion` of every kind of the language.
pub const API_VERSION: &str = "bailiwick.dev/v1alpha1";
