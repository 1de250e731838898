//! Of some members exactly one must be there, or one needs another.
//!
//! ```yaml
//! to: {hosts: [example.org], cidr: 192.0.2.0/24}    # one peer, two descriptions
//! ```
//!
//! Keep those that the message names; write two rules where you mean both.
//!
//! Remedy: keep exactly the members that the message asks for; where you mean both, write two entries

use crate::diagnostic::{Code, Severity};

/// Members that do not go together.
pub const CODE: Code = Code::new("BW0113", "members that do not go together", Severity::Error, include_str!("bw0113_members.rs"));
