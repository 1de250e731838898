//! `run`: one call, decided, recorded and run like any other, through an executor that serves a socket or
//! without one.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::probe::Format;
use super::{ClockArgs, Outcome};
use crate::client::ask;
use crate::executor::{Executor, Settings, Started};
use crate::limits::Limits;
use crate::wire::CallRequest;

/// Run one tool call: decided by the policy, recorded in the audit log, confined.
///
/// With --socket an executor that serves there makes the call, in a session of its own; with --bundle and --state this program does. The command's output
/// goes to standard output and standard error. Exit codes: 0 it ended well, 4 the policy denies or asks, 5 the command failed or was ended by a limit.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  bailiwick-executor run --bundle dist/*/bundle.json --state state --tool shell.exec --args '{\"command\": \"ls /usr | wc -l\"}'\n  \
        bailiwick-executor run --socket run/call.sock --tool shell.exec --args '{\"command\": \"ls /usr | wc -l\"}'"
)]
pub struct Run {
    /// Where an executor serves calls
    #[arg(long, value_name = "PATH", conflicts_with_all = ["bundle", "state", "subject"])]
    pub socket: Option<PathBuf>,
    /// The compiled policy
    #[arg(long, value_name = "FILE", required_unless_present = "socket")]
    pub bundle: Option<PathBuf>,
    /// Directory of the audit log; made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "socket")]
    pub state: Option<PathBuf>,
    /// Name of the tool
    #[arg(long, value_name = "NAME")]
    pub tool: String,
    /// Its arguments, a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub args: String,
    /// Who calls: JSON, as for `serve`
    #[arg(long, value_name = "FILE")]
    pub subject: Option<PathBuf>,
    /// The packs that bind its agent and each principal of its chain: JSON, as for `serve`
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub links: Option<PathBuf>,
    /// Form of the answer: the command's own output, or the call as the API gives it
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    #[command(flatten)]
    pub clock: ClockArgs,
    #[command(flatten)]
    pub limits: Limits,
}

/// What is read of a call as the API gives it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    decision: Decided,
    outcome: Option<Ended>,
    stdout: String,
    stderr: String,
    result: Option<Value>,
    result_decision: Option<Decided>,
}

#[derive(Deserialize)]
struct Decided {
    effect: String,
    rules: Vec<String>,
    reason: Option<String>,
    remedy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    kind: String,
    code: Option<i32>,
    signal: Option<i32>,
    step: Option<String>,
    output_dropped: u64,
}

impl Answered {
    /// Why a workspace tool gave nothing, if that is all that it says.
    fn failure(&self) -> Option<&str> {
        match self.result.as_ref()?.as_object() {
            Some(members) if members.len() == 1 => members.get("error")?.as_str(),
            _ => None,
        }
    }

    /// The decision by which what the call gave was withheld.
    fn withheld(&self) -> Option<&Decided> {
        self.result_decision.as_ref().filter(|decision| decision.effect == "Withhold")
    }
}

pub(super) fn run(run: &Run) -> anyhow::Result<Outcome> {
    let args: Box<RawValue> = serde_json::from_str(&run.args)
        .context("--args is not JSON; it takes an object as {\"command\": \"ls\"}")?;
    let call = match (&run.socket, &run.bundle, &run.state) {
        (Some(socket), ..) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(there(run, &args, socket))?,
        (None, Some(bundle), Some(state)) => here(run, args, bundle, state)?,
        (None, ..) => bail!("--bundle and --state, or --socket"),
    };
    let answered = Answered::deserialize(&call).context("the answer is not a call")?;
    match run.format {
        Format::Human => human(&answered)?,
        Format::Json => println!("{}", serde_json::to_string_pretty(&call)?),
    }
    Ok(judge(&answered))
}

/// The call, by an executor that lives for it alone.
fn here(run: &Run, args: Box<RawValue>, bundle: &Path, state: &Path) -> anyhow::Result<Value> {
    let executor = Arc::new(Executor::start(&Settings {
        bundle: bundle.to_owned(),
        expect_digest: None,
        state: state.to_owned(),
        subject: run.subject.clone(),
        links: run.links.clone(),
        warm: 0,
        clock: run.clock.into(),
        limits: run.limits.clone(),
    })?);
    let request = CallRequest {
        tool: run.tool.clone(),
        args: Some(args),
        approval: None,
        wait_for_result_record: true,
    };
    let session = executor.open_session().map_err(refused)?;
    let Started { call, job } = executor.start_call(&session.id, &request, None).map_err(refused)?;
    if let Some(job) = job {
        job.run(None).finish();
    }
    let view = serde_json::to_value(executor.view(&call, &call.output().all()))?;
    executor.close().context("cannot close the session on record")?;
    Ok(view)
}

/// The call, by an executor that serves a socket.
async fn there(run: &Run, args: &RawValue, socket: &Path) -> anyhow::Result<Value> {
    let (status, body) = ask(socket, Method::POST, "/v1/sessions", Vec::new()).await?;
    let session: Value = answer(status, &body, &[StatusCode::CREATED])?;
    let Some(id) = session.get("id").and_then(Value::as_str) else { bail!("the executor gave no session") };
    let body = json!({ "tool": run.tool, "args": args, "waitForResultRecord": true });
    let (status, body) =
        ask(socket, Method::POST, &format!("/v1/sessions/{id}/calls"), serde_json::to_vec(&body)?).await?;
    let decided =
        [StatusCode::OK, StatusCode::ACCEPTED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    let call = answer(status, &body, &decided);
    // What is left of the session goes with its idle time if this fails.
    let _ = ask(socket, Method::DELETE, &format!("/v1/sessions/{id}"), Vec::new()).await;
    call
}

fn answer(status: StatusCode, body: &[u8], expected: &[StatusCode]) -> anyhow::Result<Value> {
    let value: Value = serde_json::from_slice(body).context("the answer is not JSON")?;
    let told =
        |field: &str| value.get(field).and_then(Value::as_str).map(|text| text.escape_debug().to_string());
    match told("message") {
        // A problem, whatever its status.
        Some(message) if value.get("error").is_some() => bail!("the executor refused ({status}): {message}"),
        _ if expected.contains(&status) => Ok(value),
        _ => bail!("the executor answered {status}"),
    }
}

fn refused(refusal: crate::refusal::Refusal) -> anyhow::Error {
    anyhow::anyhow!("{refusal}")
}

fn judge(call: &Answered) -> Outcome {
    if call.withheld().is_some() {
        return Outcome::Denied;
    }
    match &call.outcome {
        None if call.result.is_some() => Outcome::Holds,
        None => Outcome::Denied,
        Some(_) if call.failure().is_some() => Outcome::Failed,
        Some(outcome) if outcome.kind == "Exited" && outcome.code == Some(0) => Outcome::Holds,
        Some(_) => Outcome::Failed,
    }
}

fn human(call: &Answered) -> anyhow::Result<()> {
    io::stdout().write_all(&STANDARD.decode(&call.stdout)?)?;
    io::stderr().write_all(&STANDARD.decode(&call.stderr)?)?;
    io::stdout().flush()?;
    if let Some(error) = call.failure() {
        eprintln!("failed: {}", error.escape_debug());
    } else if let Some(result) = &call.result {
        println!("{}", serde_json::to_string_pretty(result)?);
    }
    match (judge(call), &call.outcome) {
        (Outcome::Denied, _) => say(call.withheld().unwrap_or(&call.decision)),
        (Outcome::Failed, Some(outcome)) if call.failure().is_none() => {
            let about = match (outcome.code, outcome.signal, &outcome.step) {
                (Some(code), ..) => format!(" with code {code}"),
                (_, Some(signal), _) => format!(" by signal {signal}"),
                (.., Some(step)) => format!(": {step}"),
                _ => String::new(),
            };
            eprintln!("{}{}", outcome.kind, about.escape_debug());
            if outcome.output_dropped > 0 {
                eprintln!("{} bytes of output were thrown away", outcome.output_dropped);
            }
        }
        (Outcome::Holds | Outcome::Failed, _) => {}
    }
    Ok(())
}

fn say(decision: &Decided) {
    match decision.effect.as_str() {
        "Ask" => eprintln!(
            "not before people approve; `run` keeps no session to come back to, so use `serve` for calls that are asked about"
        ),
        "Withhold" => eprintln!(
            "withheld: {}",
            decision.reason.as_deref().unwrap_or("the policy withholds it").escape_debug()
        ),
        _ => eprintln!(
            "denied: {}",
            decision.reason.as_deref().unwrap_or("the policy denies it").escape_debug()
        ),
    }
    if let Some(remedy) = &decision.remedy {
        eprintln!("help: {}", remedy.escape_debug());
    }
    if !decision.rules.is_empty() {
        eprintln!("rules: {}", decision.rules.join(", "));
    }
}
