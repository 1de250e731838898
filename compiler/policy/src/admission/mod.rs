//! Judging Kubernetes objects at admission: what the API server would ask, answered from a compiled policy alone.
//!
//! Not a server and not a client: requests and namespaces come in as values, decisions go out.

pub mod pod_security;
pub mod schema;
