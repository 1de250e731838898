//! Prepares rules and evaluates them.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_policy::admission::rego::{Documents, RegoEngine, RegoFailure, RegoReads, RegoRule};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError};

use super::check::{read, told_at_run};
use super::{RegoError, convert, guarded, made, operators, stack};

/// Step limit of one rule over one object. A rule that loops over the containers of a pod takes about a dozen
/// for each.
const MAX_STEPS: NonZeroU32 = match NonZeroU32::new(200_000) {
    Some(steps) => steps,
    None => NonZeroU32::MIN,
};

/// Steps are counted, not timed, so that one rule over one object has one result on every machine: the
/// interpreter checks its clock after each interval of steps, and with a limit of zero the first check ends
/// it.
pub(super) const LIMIT: ExecutionTimerConfig =
    ExecutionTimerConfig { limit: Duration::ZERO, check_interval: MAX_STEPS };

/// The interpreter of Rego.
#[derive(Clone, Copy, Debug, Default)]
pub struct Regorus;

impl RegoEngine for Regorus {
    fn prepare(&self, module: &str, rule: &str) -> Result<Box<dyn RegoRule>, String> {
        let checked = read(module, rule, None).map_err(|errors| sentence(&errors))?;
        let mut engine = checked.engine;
        engine.set_execution_timer_config(LIMIT);
        // Otherwise an error of a built-in would be undefined, and the rule over it silent.
        engine.set_strict_builtin_errors(true);
        guarded::install(&mut engine)?;
        made::install(&mut engine)?;
        operators::install(&mut engine)?;
        Ok(Box::new(Ready { engine: Arc::new(engine), rule: rule.to_owned(), reads: checked.reads }))
    }
}

fn sentence(errors: &[RegoError]) -> String {
    let all: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    format!("its Rego is not accepted: {}", all.join("; "))
}

/// A prepared rule. The engine never changes: each evaluation uses a copy, which shares the module.
struct Ready {
    engine: Arc<Engine>,
    rule: String,
    reads: RegoReads,
}

impl fmt::Debug for Ready {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Ready")
            .field("rule", &self.rule)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}

impl RegoRule for Ready {
    fn messages(&self, documents: Documents<'_>) -> Result<Vec<String>, RegoFailure> {
        let input = convert::input(documents);
        let (engine, rule) = (Arc::clone(&self.engine), self.rule.clone());
        let outcome = stack::run(move || {
            made::begin();
            let mut engine = Engine::clone(&engine);
            engine.set_input(input);
            let outcome = engine.eval_rule(rule);
            if made::is_exhausted() {
                let limit = made::MAX_MADE >> 20;
                return Err(RegoFailure::Limit(format!("it makes or goes through more than {limit} MiB")));
            }
            match outcome {
                Ok(result) => convert::messages(&result).map_err(RegoFailure::Evaluation),
                Err(error) => Err(failure(error.downcast_ref(), &error.to_string())),
            }
        });
        outcome.unwrap_or_else(|failure| Err(RegoFailure::Evaluation(failure)))
    }

    fn reads(&self) -> RegoReads {
        self.reads.clone()
    }
}

/// Classifies a failure; a limit reached inside a function is reported only as text.
fn failure(limit: Option<&LimitError>, text: &str) -> RegoFailure {
    if matches!(limit, Some(LimitError::TimeLimitExceeded { .. })) || text.contains("exceeded time limit") {
        return RegoFailure::Limit(format!("it takes more than {MAX_STEPS} steps"));
    }
    if limit.is_some() || text.contains("exceeded size limit") {
        return RegoFailure::Limit("a regular expression is too large".to_owned());
    }
    RegoFailure::Evaluation(told_at_run(text))
}

/// The fuzz entry's rule and pod.
pub(super) fn fuzz(text: &str) {
    use bailiwick_policy::ir::Const;
    use bailiwick_policy::json::Json;
    const RULE: &str = "data.fuzz.deny";
    const POD: &[u8] =
        br#"{"metadata":{"name":"a","labels":{"x":"1e3"}},"spec":{"containers":[{"name":"c","image":"i"}]}}"#;
    let Ok(rule) = Regorus.prepare(text, RULE) else { return };
    let (Ok(object), Ok(request)) = (Json::parse(POD), Json::parse(br#"{"operation":"CREATE"}"#)) else {
        return;
    };
    let params = Const::Map(Vec::new());
    let documents = Documents {
        object: &object,
        old_object: None,
        request: &request,
        params: &params,
        namespace_object: None,
    };
    let first = rule.messages(documents);
    assert_eq!(first, rule.messages(documents), "one rule over one object has one result");
}
