//! The `kube-cel` crate: programs compiled beforehand, the object converted beforehand. Its `cel` is an older one than [`crate::peer_cel`]'s, whose
//! values share what they hold, so that binding a loop variable copies a pointer.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::{KubeCelExt, cel};

fn convert(json: &serde_json::Value) -> cel::Value {
    use serde_json::Value as J;
    match json {
        J::Null => cel::Value::Null,
        J::Bool(value) => cel::Value::Bool(*value),
        J::Number(number) => match number.as_i64() {
            Some(number) => cel::Value::Int(number),
            None => cel::Value::Float(number.as_f64().unwrap_or_default()),
        },
        J::String(text) => cel::Value::String(Arc::new(text.clone())),
        J::Array(items) => cel::Value::List(Arc::new(items.iter().map(convert).collect())),
        J::Object(members) => {
            let members: HashMap<String, cel::Value> =
                members.iter().map(|(key, value)| (key.clone(), convert(value))).collect();
            cel::Value::Map(members.into())
        }
    }
}

/// The rules, ready to run over one object.
pub(crate) struct Rules {
    programs: Vec<cel::Program>,
    context: cel::Context<'static>,
}

impl Rules {
    pub(crate) fn new<'r>(
        rules: impl Iterator<Item = &'r str>,
        object: &serde_json::Value,
    ) -> anyhow::Result<Self> {
        let programs = rules
            .map(|rule| cel::Program::compile(rule).map_err(|error| anyhow::anyhow!("`{rule}`: {error}")))
            .collect::<anyhow::Result<_>>()?;
        let mut context = cel::Context::default().with_all();
        context.add_variable_from_value("object", convert(object));
        let rules = Self { programs, context };
        for program in &rules.programs {
            let verdict = program.execute(&rules.context);
            anyhow::ensure!(
                matches!(verdict, Ok(cel::Value::Bool(true))),
                "{:?}: {verdict:?}",
                program.expression()
            );
        }
        Ok(rules)
    }

    /// Whether every rule is true.
    pub(crate) fn allow(&self) -> bool {
        self.programs
            .iter()
            .all(|program| matches!(program.execute(&self.context), Ok(cel::Value::Bool(true))))
    }
}
