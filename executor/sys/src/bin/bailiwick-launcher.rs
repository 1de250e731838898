//! The program that makes sandboxes and keeps workspaces; everything it does is in `bailiwick_sys::launcher`.
//! It is not run by hand: the executor starts it and talks to it over a socket.
//!
//! A release links it statically, because forking a small, static process is cheapest; the executor also
//! works with a dynamic one. The flag applies to this program alone:
//!
//! ```text
//! cargo rustc --package bailiwick-sys --bin bailiwick-launcher --profile dist -- -C target-feature=+crt-static
//! ```

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    std::process::exit(bailiwick_sys::launcher::run(&arguments));
}
