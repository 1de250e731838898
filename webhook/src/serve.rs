//! The command `serve`: its arguments, and the life of the server from reading the first file to closing the
//! last connection.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bailiwick_images::{Checker, Settings, SettingsError};
use bailiwick_policy::admission::{Namespaces, Reviewer};
use clap::{ArgGroup, Args, ValueEnum};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::cluster::Cluster;
use crate::follow::follow;
use crate::limits::{ACCEPT_BACKLOG, BLOCKING_THREADS, Limits};
use crate::listen;
use crate::reload::{self, Baseline, Sources};
use crate::snapshot::{Snapshot, SnapshotError};
use crate::state::State;
use crate::tls::{self, TlsError};

/// Serve admission reviews over TLS.
///
/// Reads the compiled bundles of a folder, or with `--cluster` what is bound in a cluster, and decides every AdmissionReview
/// by them. What changes, certificates too, is taken into force within a second, without a failed request; SIGHUP does it at
/// once for files. What cannot be taken into force is refused loudly and the old stays.
#[derive(Args, Clone, Debug)]
#[command(
    group = ArgGroup::new("certificate").required(true).args(["tls_cert", "self_signed"]),
    group = ArgGroup::new("policies").required(true).args(["bundles", "cluster"]),
    after_help = "Example:\n  bailiwick compile policy-packs/code-interpreter --out out/\n  \
        kubectl get namespaces -o yaml > namespaces.yaml\n  \
        bailiwick-webhook serve --bundles out/ --namespaces namespaces.yaml --listen 127.0.0.1:8443 --self-signed --write-ca ca.pem"
)]
pub struct Serve {
    /// Folder of compiled bundles
    #[arg(long, value_name = "DIR", requires = "namespaces")]
    pub bundles: Option<PathBuf>,
    /// Namespaces and their labels, as `kubectl get namespaces -o yaml` (or json) prints them
    #[arg(long, value_name = "FILE", requires = "bundles")]
    pub namespaces: Option<PathBuf>,
    /// Take packs, bindings, exceptions and namespaces from the cluster that this runs in, or that KUBECONFIG names
    #[arg(long)]
    pub cluster: bool,
    /// The namespace in which exceptions hold
    #[arg(long, value_name = "NAME", default_value = "bailiwick-system", requires = "cluster")]
    pub policy_namespace: String,
    /// Address and port; port 0 takes a free one, which the first line of output names
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Serving certificate and its chain, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Make a certificate at start, for loopback and the address listened on, good for 90 days
    #[arg(long)]
    pub self_signed: bool,
    /// Further DNS names or addresses of the self-signed certificate
    #[arg(long, value_name = "NAME", requires = "self_signed")]
    pub self_signed_name: Vec<String>,
    /// Write the self-signed certificate's authority here, for `caBundle`
    #[arg(long, value_name = "FILE", requires = "self_signed")]
    pub write_ca: Option<PathBuf>,
    /// Credentials, private authorities and addresses of registries, JSON (docs/guide/images.md); read at start
    #[arg(long, value_name = "FILE")]
    pub registries: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type; a text here would replace the command's")]
    pub limits: Limits,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type; a text here would replace the command's")]
    pub log: Log,
}

/// How to log, to standard error.
#[derive(Args, Clone, Debug)]
pub struct Log {
    /// Form of log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to log: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "info", env = "BAILIWICK_LOG")]
    pub log: String,
}

/// Forms of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the server could not start, or ended.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ServeError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Registries(#[from] SettingsError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    #[error("cannot talk to the API server: {0}")]
    Cluster(String),
}

impl Log {
    /// Starts logging for the process. A filter that cannot be read is said and replaced by `info`.
    pub fn start(&self) {
        let (filter, wrong) = match EnvFilter::try_new(&self.log) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new("info"), Some(error)),
        };
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(false)
            .with_target(false);
        match self.log_format {
            LogFormat::Text => log.init(),
            LogFormat::Json => log.json().flatten_event(true).init(),
        }
        if let Some(error) = wrong {
            warn!(%error, "unreadable log filter; `info` is used");
        }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Anything that keeps the server from starting: unreadable or unenforceable files, an address in use.
pub fn serve(settings: &Serve) -> Result<(), ServeError> {
    let sources = Sources {
        policies: settings.bundles.clone().zip(settings.namespaces.clone()),
        certificate: settings.tls_cert.clone().zip(settings.tls_key.clone()),
    };
    let baseline = Baseline::of(&sources);
    let snapshot = match &sources.policies {
        Some((bundles, namespaces)) => Snapshot::load(bundles, namespaces)?,
        // Refuses everything until it is replaced: see `Cluster::is_ready`.
        None => Snapshot::of(
            Reviewer::of(Vec::new(), Namespaces::default()).map_err(SnapshotError::from)?,
            Vec::new(),
        ),
    };
    let tls = match &sources.certificate {
        Some((cert, key)) => tls::from_files(cert, key)?,
        None => {
            tls::self_signed(&settings.self_signed_name, settings.listen.ip(), settings.write_ca.as_deref())?
        }
    };
    for bundle in &snapshot.bundles {
        info!(file = ?bundle.file, digest = bundle.digest, cell = bundle.cell, "bundle in force");
    }
    let registries = settings.registries.as_deref().map(Settings::load).transpose()?.unwrap_or_default();
    let runtime = runtime()?;
    let cluster = if settings.cluster {
        Some(Arc::new(runtime.block_on(connected(&settings.policy_namespace))?))
    } else {
        None
    };
    let images = Checker::new(registries);
    let state = Arc::new(State::new(settings.limits.clone(), snapshot, tls, cluster, images));
    runtime.block_on(live(state, sources, baseline, settings.listen))
}

/// A client of the cluster that this runs in, or that KUBECONFIG names.
async fn connected(policy_namespace: &str) -> Result<Cluster, ServeError> {
    // Used by the whole process. It fails only if it was set before, to the same provider.
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = kube::Config::infer().await.map_err(|error| ServeError::Cluster(error.to_string()))?;
    let client = kube::Client::try_from(config).map_err(|error| ServeError::Cluster(error.to_string()))?;
    Ok(Cluster::new(client, policy_namespace.to_owned()))
}

/// On one core there is nobody to steal work from: the single-threaded runtime spares each request the bookkeeping.
fn runtime() -> io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut builder = if cores == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if cores > 1 {
        builder.worker_threads(cores);
    }
    builder.max_blocking_threads(BLOCKING_THREADS).enable_all().build()
}

async fn live(
    state: Arc<State>,
    sources: Sources,
    baseline: Baseline,
    address: SocketAddr,
) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = bind(address).map_err(|source| ServeError::Listen { address, source })?;
    let bound = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let watching = tokio::spawn(reload::watch(Arc::clone(&state), sources, baseline, hangup));
    let following = state.cluster.clone().map(|cluster| tokio::spawn(follow(Arc::clone(&state), cluster)));
    let accepting = tokio::spawn(listen::accept(listener, Arc::clone(&state), stopped));
    {
        let mut out = io::stdout();
        // The parent process may have closed its end; the server is useful all the same.
        let _ = writeln!(out, "listening on https://{bound}").and_then(|()| out.flush());
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("ending: no longer ready, still serving");
    state.draining.store(true, Relaxed);
    tokio::time::sleep(state.limits.drain_delay).await;
    let _ = stop.send(true);
    let _ = accepting.await;
    watching.abort();
    if let Some(following) = following {
        following.abort();
    }
    if listen::drained(&state, state.limits.drain_timeout).await {
        info!("ended");
    } else {
        warn!("ended with requests still in progress");
    }
    Ok(())
}

/// Every address of a machine without IPv6 is every address of IPv4.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match listening(address) {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() => {
            listening(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()))).map_err(|_| error)
        }
        result => result,
    }
}

fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A successor may take the port while connections of its predecessor linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_BACKLOG)
}
