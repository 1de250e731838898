//! The program that makes sandboxes and keeps workspaces; everything it does is in `bailiwick_sys::launcher`. Not for people: it is started by
//! the executor and speaks over a socket.
//!
//! A release links it statically, because a fork of a small, static process is the cheapest; the executor works with a dynamic one as well:
//! `cargo rustc --package bailiwick-sys --bin bailiwick-launcher --profile dist -- -C target-feature=+crt-static`. The flag goes to this program alone.

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    std::process::exit(bailiwick_sys::launcher::run(&arguments));
}
