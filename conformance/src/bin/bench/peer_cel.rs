//! The `cel` crate at its best: programs are compiled beforehand, and the object is converted beforehand into
//! a borrowed tree with shared containers, so that binding a loop variable copies a pointer and not a
//! container.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::traits::{Container, Indexer, Iterable, Sizer};
use cel::common::types::{self, CelBool, CelDouble, CelInt, CelList, CelMap, CelString, Type};
use cel::common::value::{BuiltinRef, Val};
use cel::{Context, Env, Program, Value};

macro_rules! shared {
    ($name:ident, $inner:ident, $variant:ident, $of:expr) => {
        #[derive(Debug, Clone)]
        struct $name<'v>(Arc<$inner<'v>>);

        impl<'x> Val for $name<'x> {
            fn get_type(&self) -> &Type {
                &$of
            }
            fn cel_type() -> &'static Type {
                &$of
            }
            fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
            where
                Self: 'v,
            {
                self.0.as_indexer()
            }
            fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
            where
                Self: 'v,
            {
                self.0.as_iterable()
            }
            fn as_container(&self) -> Option<&dyn Container> {
                self.0.as_container()
            }
            fn as_sizer(&self) -> Option<&dyn Sizer> {
                self.0.as_sizer()
            }
            fn equals(&self, other: &dyn Val) -> bool {
                self.0.equals(other)
            }
            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                Box::new($name(self.0.clone()))
            }
            fn as_builtin<'b, 'v>(&'b self) -> BuiltinRef<'b, 'v>
            where
                Self: 'v,
            {
                BuiltinRef::$variant(&self.0)
            }
        }
    };
}

shared!(SharedList, CelList, List, types::LIST_TYPE);
shared!(SharedMap, CelMap, Map, types::MAP_TYPE);

fn convert<'v>(json: &'v serde_json::Value) -> Box<dyn Val + 'v> {
    use serde_json::Value as J;
    match json {
        J::Null => Box::new(types::CelNull),
        J::Bool(value) => Box::new(CelBool::from(*value)),
        J::Number(number) => match number.as_i64() {
            Some(number) => Box::new(CelInt::from(number)),
            None => Box::new(CelDouble::from(number.as_f64().unwrap_or_default())),
        },
        J::String(text) => Box::new(CelString::from(text.as_str())),
        J::Array(items) => {
            let list: CelList<'_> = items.iter().map(convert).collect::<Vec<_>>().into();
            Box::new(SharedList(Arc::new(list)))
        }
        J::Object(members) => {
            let map: CelMap<'_> = members
                .iter()
                .map(|(key, value)| (key.as_str().into(), convert(value)))
                .collect::<HashMap<_, _>>()
                .into();
            Box::new(SharedMap(Arc::new(map)))
        }
    }
}

/// The rules, ready to run over one object.
pub(crate) struct Rules<'o> {
    programs: Vec<Program>,
    context: Context<'o, 'o>,
}

impl<'o> Rules<'o> {
    pub(crate) fn new<'r>(
        rules: impl Iterator<Item = &'r str>,
        object: &'o serde_json::Value,
    ) -> anyhow::Result<Self> {
        let env = Arc::new(Env::stdlib());
        let programs = rules
            .map(|rule| env.compile(rule).map_err(|error| anyhow::anyhow!("`{rule}`: {error}")))
            .collect::<anyhow::Result<_>>()?;
        let mut context = Context::with_env(env);
        context.add_variable_as_val("object", convert(object));
        let rules = Self { programs, context };
        for program in &rules.programs {
            let verdict = program.execute(&rules.context);
            anyhow::ensure!(
                matches!(verdict, Ok(Value::Bool(true))),
                "{:?}: {verdict:?}",
                program.expression()
            );
        }
        Ok(rules)
    }

    /// Whether every rule is true.
    pub(crate) fn allow(&self) -> bool {
        self.programs.iter().all(|program| matches!(program.execute(&self.context), Ok(Value::Bool(true))))
    }
}
