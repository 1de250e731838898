//! The kernel side of a sandbox. Sees nothing of ours: what is to be enforced comes in as plain data of its own types.

pub mod seccomp;
