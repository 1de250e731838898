//! `run`: one call, decided, recorded and run like any other, without a server.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::Outcome;
use super::probe::Format;
use crate::api::wire::{CallRequest, Decision};
use crate::calls::CallState;
use crate::executor::{Executor, Settings};
use crate::limits::Limits;

/// Run one tool call on this machine: decided by the bundle's policy, recorded in the state directory, confined.
///
/// The command's output goes to standard output and standard error. Exit codes: 0 it ended well, 4 the policy denies or asks, 5 the command failed or was
/// ended by a limit.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  bailiwick-executor run --bundle dist/*/bundle.json --state state --tool shell.exec --args '{\"command\": \"ls /usr | wc -l\"}'"
)]
pub struct Run {
    /// The compiled policy
    #[arg(long, value_name = "FILE")]
    pub bundle: PathBuf,
    /// Directory of the audit log; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Name of the tool
    #[arg(long, value_name = "NAME")]
    pub tool: String,
    /// Its arguments, a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub args: String,
    /// Who calls: JSON, as for `serve`
    #[arg(long, value_name = "FILE")]
    pub subject: Option<PathBuf>,
    /// Form of the answer: the command's own output, or the call as the API gives it
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    #[command(flatten)]
    pub limits: Limits,
}

pub(super) fn run(run: &Run) -> anyhow::Result<Outcome> {
    let args: Box<serde_json::value::RawValue> = serde_json::from_str(&run.args)
        .context("--args is not JSON; it takes an object as {\"command\": \"ls\"}")?;
    let executor = Arc::new(Executor::start(&Settings {
        bundle: run.bundle.clone(),
        expect_digest: None,
        state: run.state.clone(),
        subject: run.subject.clone(),
        warm: 0,
        limits: run.limits.clone(),
    })?);
    let request = CallRequest {
        tool: run.tool.clone(),
        args: Some(args),
        approval: None,
        wait_for_result_record: true,
    };
    let session = executor.open_session().map_err(refused)?;
    let call = executor.start_call(&session.id, &request, None).map_err(refused)?;
    tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
        call.ended().await;
        call.result_recorded().await;
    });
    let outcome = match run.format {
        Format::Human => human(&call)?,
        Format::Json => {
            let view = executor.view(&call, &call.output().all());
            println!("{}", serde_json::to_string_pretty(&view)?);
            judge(&call)
        }
    };
    executor.close().context("cannot close the session on record")?;
    Ok(outcome)
}

fn refused(refusal: crate::api::problem::Refusal) -> anyhow::Error {
    anyhow::anyhow!("{refusal}")
}

fn judge(call: &CallState) -> Outcome {
    match call.how_it_ended().and_then(|ended| ended.outcome) {
        None => Outcome::Denied,
        Some(outcome) if outcome.kind == "Exited" && outcome.code == Some(0) => Outcome::Holds,
        Some(_) => Outcome::Failed,
    }
}

fn human(call: &CallState) -> anyhow::Result<Outcome> {
    let part = call.output().all();
    io::stdout().write_all(&part.stdout)?;
    io::stderr().write_all(&part.stderr)?;
    io::stdout().flush()?;
    let ended = call.how_it_ended();
    if let Some(result) = ended.as_ref().and_then(|ended| ended.result.as_ref()) {
        println!("{}", serde_json::to_string_pretty(result)?);
    }
    match (judge(call), ended.and_then(|ended| ended.outcome)) {
        (Outcome::Denied, _) => say(call.decision()),
        (Outcome::Failed, Some(outcome)) => {
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
    Ok(judge(call))
}

fn say(decision: &Decision) {
    match decision.effect {
        "Ask" => eprintln!(
            "not before people approve; `run` keeps no session to come back to, so use `serve` for calls that are asked about"
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
