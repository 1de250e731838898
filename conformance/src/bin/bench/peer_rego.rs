//! regorus at its best: the rules are compiled beforehand for its register machine, and the machine and the
//! converted object are kept.

use std::sync::Arc;

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::program::Program;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Value};

const RULES: &str = include_str!("../../../bench/sixteen-rules.rego");
const ENTRY: &str = "data.bench.allow";

/// The rules, ready to run.
pub(crate) struct Rules {
    program: Arc<Program>,
}

/// The rules, ready to run over one object.
pub(crate) struct Over {
    machine: RegoVM,
    object: Value,
}

impl Rules {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut engine = Engine::new();
        engine.add_policy("sixteen-rules.rego".to_owned(), RULES.to_owned())?;
        let policy = engine.compile_with_entrypoint(&ENTRY.into())?;
        Ok(Self { program: Compiler::compile_from_policy(&policy, &[ENTRY])? })
    }

    pub(crate) fn over(&self, object: &serde_json::Value) -> anyhow::Result<Over> {
        let mut machine = RegoVM::new();
        machine.load_program(Arc::clone(&self.program));
        Ok(Over { machine, object: Value::from_json_str(&object.to_string())? })
    }
}

impl Over {
    /// Whether every rule holds.
    pub(crate) fn allow(&mut self) -> anyhow::Result<bool> {
        self.machine.set_input(self.object.clone());
        match self.machine.execute() {
            Ok(Value::Bool(allowed)) => Ok(allowed),
            Ok(other) => anyhow::bail!("regorus gives {other} where a boolean is meant"),
            Err(error) => anyhow::bail!("regorus: {error}"),
        }
    }
}
