//! The program that makes sandboxes and keeps workspaces; everything it does is in `bailiwick_sys::launcher`. Not for people: it is started by
//! the executor and speaks over a socket.

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    std::process::exit(bailiwick_sys::launcher::run(&arguments));
}
