//! `ready`: whether an executor accepts calls, for the system that starts and stops it.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use hyper::{Method, StatusCode};

use super::Outcome;
use crate::client::ask;

/// Ask a running executor whether it decides, records and runs calls now. Exit code 1 if it does not.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  bailiwick-executor ready --socket run/call.sock")]
pub struct Ready {
    /// Where it serves calls
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
}

pub(super) fn ready(ready: &Ready) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (status, body) = runtime.block_on(ask(&ready.socket, Method::GET, "/readyz", Vec::new()))?;
    if status != StatusCode::OK {
        bail!("not ready: {}", String::from_utf8_lossy(&body).trim().escape_debug());
    }
    Ok(Outcome::Holds)
}
