//! `kubectl bailiwick`: requests from the owner of a cluster to a running operator.
//!
//! It writes no control itself. A request goes into the record's ConfigMap (`arming`); the operator takes it,
//! and the command waits until it has. Permission to patch that ConfigMap is permission to request, and the
//! API server's own audit log records who did.
//!
//! Not here: the way out of an emergency in which no operator runs (`docs/operations/emergency.md`).

use std::path::PathBuf;
use std::time::Duration;

use bailiwick_crds::binding::PolicyBinding;
use bailiwick_policy::cel::parse_duration;
use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::arming::{MAX_DISARMAMENT_S, MAX_REASON, REASON, RECORD, REQUEST, UNTIL};
use crate::object::OWNER_LABEL;

/// Between two looks at what the operator did.
const LOOK: Duration = Duration::from_millis(200);

/// Name in `managedFields`.
const MANAGER: &str = "kubectl-bailiwick";

/// Arms and disarms the admission webhook, and says what is in force.
#[derive(Parser)]
#[command(name = "kubectl-bailiwick", bin_name = "kubectl bailiwick", version, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where the operator is
    #[arg(short, long, global = true, value_name = "NAME", default_value = "bailiwick-system")]
    namespace: String,
    /// How to reach the API server; without it KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
}

/// What can be asked.
#[derive(Subcommand)]
pub enum Command {
    /// Say whether the webhook is armed, and what became of each binding.
    Status,
    /// Register the webhook again, once enough of its replicas answer.
    Arm(Wait),
    #[expect(missing_docs, reason = "documented at its type; a text here would replace the command's")]
    Disarm(Disarm),
}

/// How long to wait.
#[derive(Args)]
pub struct Wait {
    /// How long the operator may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// Take the webhook's registration away.
///
/// Without `--for` the admission policies stay, and it stays away until `arm`. With it they are withdrawn as well, and both come back by themselves.
#[derive(Args)]
#[command(
    after_help = "Example:\n  kubectl bailiwick disarm --for 1h --reason 'pods of the ingress do not start'"
)]
pub struct Disarm {
    /// Why, for whoever reads statuses and events
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// For how long, as 30m or 1h; 24 hours at most
    #[arg(long = "for", value_name = "DURATION", value_parser = leave)]
    leave: Option<Duration>,
    #[command(flatten)]
    wait: Wait,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum PluginError {
    #[error("cannot read the kubeconfig: {0}")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("cannot find an API server: {0}")]
    Config(#[from] kube::config::InferConfigError),
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    #[error("no operator has been in namespace `{0}`: it has no ConfigMap `{RECORD}`")]
    NoRecord(String),
    #[error(
        "the operator did not {what} within {seconds} s; it says `{state}`. docs/operations/emergency.md says what to do without it"
    )]
    Late { what: &'static str, seconds: u64, state: String },
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    #[error("another cryptography provider is in use already")]
    Provider,
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why".to_owned()),
        // The rest is reserved for the requester's name.
        text if text.len() > MAX_REASON / 2 => Err(format!("more than {} bytes", MAX_REASON / 2)),
        text => Ok(text.to_owned()),
    }
}

fn leave(text: &str) -> Result<Duration, String> {
    let nanos = parse_duration(text).map_err(|_| "write it as 30m or 1h".to_owned())?;
    let seconds = nanos / 1_000_000_000;
    if !(1..=MAX_DISARMAMENT_S).contains(&seconds) {
        return Err("from one second to 24 hours".to_owned());
    }
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

/// Does what is asked; what is to be printed.
///
/// # Errors
/// See [`PluginError`].
pub fn run(arguments: &Arguments) -> Result<String, PluginError> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| PluginError::Provider)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let owner = Owner { client: client(arguments).await?, namespace: arguments.namespace.clone() };
        match &arguments.command {
            Command::Status => owner.status().await,
            Command::Arm(wait) => owner.arm(wait).await,
            Command::Disarm(disarm) => owner.disarm(disarm).await,
        }
    })
}

async fn client(arguments: &Arguments) -> Result<Client, PluginError> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    let config = match &arguments.kubeconfig {
        Some(path) => Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?,
        None if options.context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await?,
    };
    Ok(Client::try_from(config)?)
}

/// Who asks, and of which operator.
struct Owner {
    client: Client,
    namespace: String,
}

impl Owner {
    fn maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A member of the record; empty if it has none.
    async fn record(&self) -> Result<impl Fn(&str) -> String, PluginError> {
        let found = self.maps().get_opt(RECORD).await?;
        let data =
            found.ok_or_else(|| PluginError::NoRecord(self.namespace.clone()))?.data.unwrap_or_default();
        Ok(move |member: &str| data.get(member).cloned().unwrap_or_default())
    }

    async fn ask(&self, data: Value) -> Result<(), PluginError> {
        // The record must exist: without it, no operator ever ran, and none would read the request.
        drop(self.record().await?);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.maps().patch(RECORD, &params, &Patch::Merge(json!({ "data": data }))).await?;
        Ok(())
    }

    /// Whether the webhook's configurations stand.
    async fn registered(&self) -> Result<bool, PluginError> {
        let ours = ListParams::default().labels(&format!("{OWNER_LABEL}={}", self.namespace));
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(self.client.clone());
        Ok(!mutating.list(&ours).await?.items.is_empty() || !validating.list(&ours).await?.items.is_empty())
    }

    async fn until(&self, what: &'static str, state: &str, wait: &Wait) -> Result<(), PluginError> {
        let end = Instant::now() + Duration::from_secs(wait.timeout);
        loop {
            let record = self.record().await?;
            let done = record("state") == state && record(REQUEST).is_empty();
            if done && self.registered().await? == (state == "armed") {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(PluginError::Late { what, seconds: wait.timeout, state: record("state") });
            }
            sleep(LOOK).await;
        }
    }

    async fn arm(&self, wait: &Wait) -> Result<String, PluginError> {
        self.ask(json!({ REQUEST: "arm", UNTIL: null, REASON: null })).await?;
        self.until("arm the webhook", "armed", wait).await?;
        Ok("armed: the webhook's configurations are in force\n".to_owned())
    }

    async fn disarm(&self, disarm: &Disarm) -> Result<String, PluginError> {
        let until = disarm
            .leave
            .and_then(|leave| Timestamp::now().checked_add(SignedDuration::try_from(leave).ok()?).ok());
        let until = until.and_then(|until| Timestamp::from_second(until.as_second()).ok());
        let until = until.map(|until| until.to_string());
        let reason = match self.name().await {
            Some(name) => format!("{} (asked by {name})", disarm.reason),
            None => disarm.reason.clone(),
        };
        self.ask(json!({ REQUEST: "disarm", UNTIL: until, REASON: reason })).await?;
        self.until("disarm the webhook", "disarmed", &disarm.wait).await?;
        Ok(match until {
            Some(until) => {
                format!(
                    "disarmed until {until}, with the admission policies over pods; both come back by themselves\n"
                )
            }
            None => "disarmed until `kubectl bailiwick arm`; the admission policies stay\n".to_owned(),
        })
    }

    /// Who asks, as the API server knows them. For the record's readers; what counts is the API server's audit log.
    async fn name(&self) -> Option<String> {
        let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &SelfSubjectReview::default()).await.ok()?;
        answer.status?.user_info?.username
    }

    async fn status(&self) -> Result<String, PluginError> {
        let record = self.record().await?;
        let (until, why) = (record(UNTIL), record(REASON));
        let webhook = match record("state").as_str() {
            "disarmed" if until.is_empty() => format!("disarmed until `kubectl bailiwick arm`: {why}"),
            "disarmed" => format!("disarmed until {until}, with the admission policies over pods: {why}"),
            "armed" => "armed".to_owned(),
            _ => "not armed yet: too few replicas decide by what is bound".to_owned(),
        };
        let mut lines = vec![format!("webhook: {webhook}")];
        let bindings: Api<PolicyBinding> = Api::all(self.client.clone());
        for binding in bindings.list(&ListParams::default()).await?.items {
            let name = binding.metadata.name.unwrap_or_default();
            let Some(status) = binding.status else {
                lines.push(format!("binding {name}: not looked at yet"));
                continue;
            };
            let version = status.version.map_or_else(|| "nothing".to_owned(), |version| version.to_string());
            let stage =
                status.stage.map(|stage| format!(" at stage {}", json!(stage).as_str().unwrap_or_default()));
            lines.push(format!("binding {name}: {version} in force{}", stage.unwrap_or_default()));
            let open = status.conditions.iter().filter(|one| one.status != "True");
            lines.extend(
                open.map(|one| format!("  {} is {}, {}: {}", one.type_, one.status, one.reason, one.message)),
            );
        }
        Ok(lines.join("\n") + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_bounded() {
        assert_eq!(leave("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "0s", "-1h", "25h", "1", "an hour", "500ms"] {
            assert!(leave(wrong).is_err(), "{wrong}");
        }
        assert_eq!(reason(" why "), Ok("why".to_owned()));
        assert!(reason("  ").is_err() && reason(&"x".repeat(MAX_REASON)).is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["kubectl-bailiwick", "disarm"]).is_err(), "without a reason");
    }
}
