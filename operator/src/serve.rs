//! The command `serve`: its arguments, and the life of the operator from the first request to giving back the
//! lease.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_compiler::emit::ClusterOptions;
use bailiwick_compiler::emit::WebhookClient;
use clap::{Args, ValueEnum};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::certificates::Profile;
use crate::derive::Options;
use crate::events::EventRecorder;
use crate::http;
use crate::lease::{Election, Fence, Stop, Terms};
use crate::limits::{LOOK_EVERY, WRITE_TIMEOUT};
use crate::metrics::Metrics;
use crate::mirror::Mirror;
use crate::operator::{Operator, Settings, Shared};
use crate::pools::{PodSettings, UserNamespaces};
use crate::probe::{Prober, Replicas};
use crate::watch as watches;

/// Compile packs and bindings, apply what they become, keep it in place, prune what nobody wants any more.
///
/// Several may run: one of them acts, the one that holds the Lease `bailiwick-operator`. An operator that loses the lease ends at once and
/// is to be started again.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example, from outside of a cluster:\n  bailiwick-operator serve --kubeconfig ~/.kube/config --namespace bailiwick-system"
)]
pub struct Serve {
    /// How to reach the API server; without it KUBECONFIG, and within a pod its service account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where the operator and the webhook are, and where exceptions hold
    #[arg(long, value_name = "NAME", default_value = "bailiwick-system", env = "BAILIWICK_NAMESPACE")]
    pub namespace: String,
    /// Name in the lease, to which something is added that no other process has
    #[arg(long, value_name = "NAME", default_value = "operator", env = "POD_NAME")]
    pub identity: String,
    /// Address and port of /metrics, /livez and /readyz; port 0 takes a free one, which the first line of output names
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    pub listen: SocketAddr,
    /// How long a lease holds without being renewed
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(6..=300))]
    pub lease_duration: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type; a text here would replace the command's")]
    pub webhook: Webhook,
    /// Namespaces, besides kube-system and the own one, that neither webhook nor admission policies may ever hold up
    #[arg(long = "exempt-namespace", value_name = "NAME")]
    pub exempt_namespaces: Vec<String>,
    /// Whether the pods of pools get user namespaces where a pack leaves that open
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub pool_user_namespaces: Switch,
    /// Most bytes of the state of a pool's pod, above all its log. Before it has so many, it takes no more calls: the kubelet would evict it, and its log would be lost
    #[arg(long, value_name = "BYTES", default_value_t = 10 << 30, value_parser = clap::value_parser!(u64).range(64 << 20..))]
    pub pool_state_bytes: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type; a text here would replace the command's")]
    pub log: Log,
}

/// Where the webhook is, and its certificates.
#[derive(Args, Clone, Debug)]
pub struct Webhook {
    /// Service of the webhook
    #[arg(long, value_name = "NAME", default_value = "bailiwick-webhook")]
    pub webhook_service: String,
    /// Port of that Service
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub webhook_port: u16,
    /// Where the API server finds a webhook that runs outside of the cluster
    #[arg(long, value_name = "URL", requires = "webhook_replicas")]
    pub webhook_url: Option<String>,
    /// Addresses of its replicas, of a webhook outside of the cluster
    #[arg(long = "webhook-replica", value_name = "ADDR", requires = "webhook_url")]
    pub webhook_replicas: Vec<SocketAddr>,
    /// Further names and addresses of the webhook's certificate
    #[arg(long = "webhook-name", value_name = "NAME")]
    pub webhook_names: Vec<String>,
    /// How many replicas must decide by what is in force before the webhook is registered
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub min_webhook_replicas: u16,
    /// Life of the webhook's certificate authority, in hours; a new one is introduced after two thirds
    #[arg(long, value_name = "HOURS", default_value_t = 5 * 365 * 24, value_parser = clap::value_parser!(u64).range(1..=876_000))]
    pub ca_lifetime: u64,
    /// Life of the webhook's certificate, in hours; it is renewed after two thirds
    #[arg(long, value_name = "HOURS", default_value_t = 90 * 24, value_parser = clap::value_parser!(u64).range(1..=876_000))]
    pub leaf_lifetime: u64,
    /// How long a new authority is trusted before the certificate relies on it, in seconds; an API server takes a changed webhook configuration into use
    /// within a second or two
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=3600))]
    pub authority_settle: u64,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
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

/// Why the operator could not start, or ended.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ServeError {
    #[error("cannot read the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("cannot find an API server: {0}")]
    Config(#[from] kube::config::InferConfigError),
    #[error("cannot use the API server: {0}")]
    Client(#[from] kube::Error),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    #[error("ended at once: {0}")]
    Lease(#[from] Stop),
    #[error("another cryptography provider is in use already")]
    Provider,
    #[error("cannot read random bytes")]
    Random,
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

/// Serves until SIGTERM or SIGINT, or until the lease is lost.
///
/// # Errors
/// Whatever keeps it from starting, and the loss of the lease.
pub fn serve(settings: &Serve) -> Result<(), ServeError> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| ServeError::Provider)?;
    // Two threads: one for the passes, which compile, and one for the lease, which must not wait for them.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(live(settings))
}

async fn live(settings: &Serve) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listen = |source| ServeError::Listen { address: settings.listen, source };
    let listener = bind(settings.listen).await.map_err(listen)?;
    let bound = listener.local_addr()?;
    let client = client(settings).await?;
    let (mirror, bell, fence) =
        (Arc::new(Mirror::default()), Arc::new(Notify::new()), Arc::new(Fence::default()));
    let terms = Terms {
        duration: Duration::from_secs(settings.lease_duration),
        // Several attempts fit into the time that is left before the fence shuts, and a lease that was given
        // back is noticed soon.
        retry: (Duration::from_secs(settings.lease_duration).saturating_sub(WRITE_TIMEOUT) / 6)
            .min(LOOK_EVERY),
    };
    let identity = format!("{}-{}", settings.identity, nonce()?);
    let recorder = EventRecorder::start(client.clone(), &identity);
    let election =
        Arc::new(Election::new(client.clone(), &settings.namespace, identity, terms, Arc::clone(&fence)));
    let shared =
        Arc::new(Shared::new(Arc::new(Metrics::default()), Arc::clone(&mirror), Arc::clone(&election)));
    let usage = Arc::clone(&shared.usage);
    let prober = settings.prober(client.clone());
    let mut operator = Operator::new(
        client.clone(),
        settings.settings(),
        Arc::clone(&shared),
        Arc::clone(&bell),
        fence,
        prober,
        recorder,
    );
    let _watches = watches::start(&client, &settings.namespace, &mirror, &usage, &bell, &shared.metrics);
    let serving = tokio::spawn(http::serve(listener, shared));
    {
        let mut out = io::stdout();
        // The parent process may have closed its end; the operator is useful all the same.
        let _ = writeln!(out, "listening on http://{bound}").and_then(|()| out.flush());
    }
    let (stop, stopped) = watch::channel(false);
    let leading = election.leading();
    // On this thread, while the election has another.
    let mut acting = std::pin::pin!(operator.run(leading, stopped));
    let electing = tokio::spawn({
        let election = Arc::clone(&election);
        async move { election.run().await }
    });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = &mut acting => {}
        lost = electing => {
            // Fail-stop: the fence is shut, and nothing that has begun may continue.
            let lost = lost.unwrap_or(Stop::RanOut);
            error!(%lost, "ending at once");
            return Err(lost.into());
        }
    }
    info!("ending: no new pass, then the lease is given back");
    let _ = stop.send(true);
    acting.await;
    election.give_back().await;
    serving.abort();
    Ok(())
}

/// Every address of a machine without IPv6 is every address of IPv4.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.is_ipv6() && address.ip().is_unspecified() => {
            let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            TcpListener::bind(all).await.map_err(|_| error)
        }
        result => result,
    }
}

/// Something that no other process has, so that an operator never takes another's lease for its own.
fn nonce() -> Result<String, ServeError> {
    let mut bytes = [0; 5];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| ServeError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn client(settings: &Serve) -> Result<Client, ServeError> {
    let mut config = match &settings.kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path)?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await?,
    };
    // A retry inside the client would bypass the fence.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

impl Serve {
    fn settings(&self) -> Settings {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let mut exempt = vec![self.namespace.clone(), "kube-system".to_owned()];
        exempt.extend(self.exempt_namespaces.iter().cloned());
        let users = match self.pool_user_namespaces {
            Switch::On => UserNamespaces::On,
            Switch::Off => UserNamespaces::Off,
        };
        Settings {
            options: Options {
                namespace: self.namespace.clone(),
                cluster: ClusterOptions {
                    webhook: self.webhook_client(),
                    exempt_namespaces: exempt,
                    ..ClusterOptions::default()
                },
                pods: PodSettings { users, state_bytes: self.pool_state_bytes },
            },
            profile: Profile {
                authority: hours(self.webhook.ca_lifetime),
                leaf: hours(self.webhook.leaf_lifetime),
                settle: Duration::from_secs(self.webhook.authority_settle),
                names: self.names(),
            },
            enough: usize::from(self.webhook.min_webhook_replicas),
        }
    }

    fn server_name(&self) -> String {
        format!("{}.{}.svc", self.webhook.webhook_service, self.namespace)
    }

    fn names(&self) -> Vec<String> {
        let mut names = vec![self.server_name(), format!("{}.cluster.local", self.server_name())];
        names.extend(self.webhook.webhook_names.iter().cloned());
        names
    }

    fn webhook_client(&self) -> WebhookClient {
        match &self.webhook.webhook_url {
            Some(url) => WebhookClient::Url(url.clone()),
            None => WebhookClient::Service {
                namespace: self.namespace.clone(),
                name: self.webhook.webhook_service.clone(),
                port: self.webhook.webhook_port,
            },
        }
    }

    fn prober(&self, client: Client) -> Prober {
        let replicas = if self.webhook.webhook_replicas.is_empty() {
            Replicas::Service {
                namespace: self.namespace.clone(),
                name: self.webhook.webhook_service.clone(),
            }
        } else {
            Replicas::At(self.webhook.webhook_replicas.clone())
        };
        Prober::new(client, replicas, self.server_name())
    }
}
