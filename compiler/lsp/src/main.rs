//! `bailiwick-lsp`: serves the protocol on standard input until the client sends `exit`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

const USAGE: &str = "usage: bailiwick-lsp [--stdio]\n\n\
    The language server of Bailiwick. It is started by an editor and speaks the Language Server Protocol on\n\
    standard input and output; docs/guide/editor.md says how to set editors up.";

fn main() -> ExitCode {
    for word in std::env::args().skip(1) {
        match word.as_str() {
            // Editors pass this to select the standard streams.
            "--stdio" => {}
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "--version" | "-V" => {
                println!("bailiwick-lsp {}", env!("CARGO_PKG_VERSION"));
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("bailiwick-lsp: unknown argument `{other}`\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    bailiwick_lsp::server::serve()
}
