//! The executor as its users meet it: a compiled pack, two sockets, a log. Every test starts its own.

mod api;
mod approvals;
mod bounds;
mod calls;
mod guards;
mod cut;
mod delegation;
mod guide;
mod narrowing;
mod nsjail;
mod phases;
mod privileges;
mod questions;
mod records;
mod sessions;
mod replays;
mod stage;
