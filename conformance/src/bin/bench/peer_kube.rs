//! The crate `kube-cel`: the API server's functions over an older `cel`. Programs are compiled and the object
//! is converted beforehand.

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Program, Value};

/// The rules, ready to run over one object.
pub(crate) struct Rules {
    programs: Vec<Program>,
    context: Context<'static>,
}

impl Rules {
    pub(crate) fn new<'r>(
        rules: impl Iterator<Item = &'r str>,
        object: &serde_json::Value,
    ) -> anyhow::Result<Self> {
        let compile = |rule| Program::compile(rule).map_err(|error| anyhow::anyhow!("`{rule}`: {error:?}"));
        let programs = rules.map(compile).collect::<anyhow::Result<_>>()?;
        let mut context = Context::default().with_all();
        context.add_variable_from_value("object", convert(object));
        let rules = Self { programs, context };
        for (index, program) in rules.programs.iter().enumerate() {
            let verdict = program.execute(&rules.context);
            anyhow::ensure!(matches!(verdict, Ok(Value::Bool(true))), "rule {index}: {verdict:?}");
        }
        Ok(rules)
    }

    /// Whether every rule is true.
    pub(crate) fn allow(&self) -> bool {
        self.programs.iter().all(|program| matches!(program.execute(&self.context), Ok(Value::Bool(true))))
    }
}

fn convert(json: &serde_json::Value) -> Value {
    use serde_json::Value as J;
    match json {
        J::Null => Value::Null,
        J::Bool(value) => Value::Bool(*value),
        J::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        J::String(text) => Value::String(Arc::new(text.clone())),
        J::Array(items) => Value::List(Arc::new(items.iter().map(convert).collect())),
        J::Object(members) => {
            let members = members.iter().map(|(key, value)| (Key::from(key.clone()), convert(value)));
            Value::Map(Map { map: Arc::new(members.collect::<HashMap<_, _>>()) })
        }
    }
}
