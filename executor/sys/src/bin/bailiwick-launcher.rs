//! The program that makes sandboxes and keeps workspaces; everything it does is in `bailiwick_sys::launcher`.
//! It is not run by hand: the executor starts it and talks to it over a socket.
//!
//! A release links it statically, because forking a small, static process is cheapest; the executor also
//! works with a dynamic one. The flag applies to this program alone:
//!
//! ```text
//! cargo rustc --package bailiwick-sys --bin bailiwick-launcher --release -- -C target-feature=+crt-static
//! ```
//!
//! It does not begin in Rust's runtime. That would give each thread a second stack, to report an overflow of the
//! first on it, and every sandbox would copy these mappings twice; a process of this program that overflows its
//! stack ends all the same.

#![cfg_attr(not(test), no_main)]

// SAFETY: the C library calls the one function of this name, and a panic ends the process here. The arguments,
// which it passes as well, are those that `std::env::args` has.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    let arguments: Vec<String> = std::env::args().collect();
    bailiwick_sys::launcher::run(&arguments)
}
