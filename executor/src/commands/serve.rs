//! `serve`: from the first file read to the last call ended.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tracing::info;

use super::{ClockArgs, Outcome};
use crate::api::listen::{Patience, Socket};
use crate::api::{admin_router, calls_router};
use crate::docket::DocketError;
use crate::executor::{Executor, Settings};
use crate::limits::Limits;
use crate::logging::Log;

/// Serve tool calls on a Unix socket, and approvals on another.
///
/// Every call is decided by the bundle's policy, recorded in the audit log of the state directory, and only then run, in a sandbox of its own. Who calls is
/// fixed by --subject: whoever may connect to the socket is that subject. Keep the sockets in directories of their own, the admin socket in one
/// that agents cannot enter.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  bailiwick compile policy-packs/code-interpreter --out dist\n  \
        bailiwick-executor serve --bundle dist/*/bundle.json --state state --socket run/call.sock --admin-socket admin/admin.sock &\n  \
        curl --unix-socket run/call.sock -X POST http://executor/v1/sessions")]
pub struct Serve {
    /// The compiled policy
    #[arg(long, value_name = "FILE")]
    pub bundle: PathBuf,
    /// Refuse a bundle with another digest
    #[arg(long, value_name = "SHA256")]
    pub expect_digest: Option<String>,
    /// Directory of the audit log; made if it is not there. One executor at a time
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Where callers connect
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// Where approvers connect
    #[arg(long, value_name = "PATH")]
    pub admin_socket: PathBuf,
    /// Who calls: JSON with agent, user, namespace, groups, labels, chain; without it the user that runs the executor
    #[arg(long, value_name = "FILE")]
    pub subject: Option<PathBuf>,
    /// The packs that bind the subject's agent and each principal of its chain: JSON as {"PRINCIPAL": ["PACK", …]}. Refuse a bundle that is not of all of them,
    /// a subject of whom somebody is not there, and a name that is not the subject's
    #[arg(long, value_name = "FILE")]
    pub links: Option<PathBuf>,
    /// Sandboxes kept ready, for each sandbox of the policy
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub warm: usize,
    /// End the log with the executor: nothing can be added to it any more. For a state directory that goes away with this executor, as that of a pod;
    /// without it the next one goes on with the log, which until then is open and not intact
    #[arg(long)]
    pub seal: bool,
    #[command(flatten)]
    pub clock: ClockArgs,
    #[command(flatten)]
    pub limits: Limits,
    #[command(flatten)]
    pub log: Log,
}

pub(super) fn serve(serve: &Serve) -> anyhow::Result<Outcome> {
    serve.log.start();
    let executor = Executor::start(&Settings {
        bundle: serve.bundle.clone(),
        expect_digest: serve.expect_digest.clone(),
        state: serve.state.clone(),
        subject: serve.subject.clone(),
        links: serve.links.clone(),
        warm: serve.warm,
        clock: serve.clock.into(),
        limits: serve.limits.clone(),
    })?;
    let executor = Arc::new(executor);
    let blocking = waiting_threads(&serve.limits);
    let runtime = Builder::new_multi_thread().max_blocking_threads(blocking).enable_all().build()?;
    let lost = runtime.block_on(live(&executor, serve))?;
    // The runtime's threads end before the last handle of the executor is dropped, and the holder of that
    // handle closes the log.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(lost) = lost {
        return Err(lost).context("restart the executor, which recovers the log");
    }
    executor.close().context("cannot close the audit log")?;
    if serve.seal {
        executor.docket().seal("drain").context("cannot seal the audit log")?;
    }
    Ok(Outcome::Holds)
}

/// How many threads wait for a turn, a disk or a sandbox at one time at most, so that nobody waits for a thread: one for
/// each call that has its place, whose client may have gone; one that closes the session of such a call and waits for
/// its end, whose client may have gone too; one for each connection, which has one request at a time; and one that
/// sweeps. Pools have threads of their own, which are not of the runtime.
fn waiting_threads(limits: &Limits) -> usize {
    let (calls, closers) = (limits.max_calls, limits.max_calls);
    calls.saturating_add(closers).saturating_add(limits.max_connections).saturating_add(ADMIN_CONNECTIONS + 1)
}

/// Serves until it is told to end, or until nothing will ever be recorded again: returns why, if that is so.
async fn live(executor: &Arc<Executor>, serve: &Serve) -> anyhow::Result<Option<DocketError>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let calls = Socket::bind(&serve.socket)?;
    let admin = Socket::bind(&serve.admin_socket)?;
    let (stop, stopped) = watch::channel(false);
    let drain = Duration::from_secs(serve.limits.drain_s);
    let patience = Patience { headers: serve.limits.read_timeout(), writes: serve.limits.write_timeout() };
    // Callers that hold all their connections do not shut out administrators.
    let seats = Arc::new(Semaphore::new(serve.limits.max_connections));
    let admin_seats = Arc::new(Semaphore::new(ADMIN_CONNECTIONS));
    let serving = tokio::spawn(calls.serve(
        calls_router(Arc::clone(executor)),
        seats,
        patience,
        stopped.clone(),
        drain,
    ));
    let serving_admin =
        tokio::spawn(admin.serve(admin_router(Arc::clone(executor)), admin_seats, patience, stopped, drain));
    let sweeping = tokio::spawn(sweep(Arc::clone(executor)));
    {
        let mut out = io::stdout();
        // The parent process may have closed its end; the executor is useful all the same.
        let _ = writeln!(out, "listening on {}", serve.socket.display()).and_then(|()| out.flush());
    }
    let lost = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        why = lost(executor) => Some(why),
    };
    info!("ending: no new calls");
    executor.drain();
    let _ = stop.send(true);
    let _ = serving.await;
    let _ = serving_admin.await;
    sweeping.abort();
    executor.cancel_all(drain).await;
    Ok(lost)
}

/// Waits until the log is lost to a fault. An executor that went on would refuse everything, for ever; one that ends is
/// started again by whatever supervises it, and then finds what is on the disk.
async fn lost(executor: &Executor) -> DocketError {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tick.tick().await;
        if let Some(why) = executor.needs_restart() {
            return why;
        }
    }
}

/// Connections of the admin socket: people and their programs.
const ADMIN_CONNECTIONS: usize = 16;

/// How often is looked for sessions without calls and questions without answers: no clock of a pack is finer than a second.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

async fn sweep(executor: Arc<Executor>) {
    let mut tick = tokio::time::interval(SWEEP_EVERY);
    loop {
        tick.tick().await;
        let executor = Arc::clone(&executor);
        let sweep = move || {
            executor.record_closings();
            executor.close_idle_sessions();
            executor.tell_of_openings();
            executor.withdraw_lapsed_questions();
        };
        let _ = tokio::task::spawn_blocking(sweep).await;
    }
}
