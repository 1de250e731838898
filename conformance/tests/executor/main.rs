//! The executor as its users see it: a compiled pack, two sockets, a log. Every test starts its own.

mod api;
mod approvals;
mod bounds;
mod calls;
mod cut;
mod delegation;
mod faults;
mod guards;
mod guide;
mod kept;
mod narrowing;
mod nsjail;
mod phases;
mod privileges;
mod questions;
mod records;
mod replays;
mod room;
mod sessions;
mod stage;
