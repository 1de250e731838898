//! Evaluation as the specification says, on expressions built by hand.

use super::{Env, Fuel, Loaded, Scope, Value, Watching, eval};
use crate::ir::{Cel, Const, Expr, Func, Macro, MacroKind, Root};
use crate::json::Json;
use crate::policy::Admission;

pub(crate) mod build;
mod core;
mod laws;
mod libraries;
mod opaque;
mod prices;
mod quantities;
mod watch;

/// What an evaluation runs against: an object, its shared expressions, a budget.
pub(super) struct World {
    pub(super) object: String,
    pub(super) admission: Admission,
    pub(super) fuel: u64,
    pub(super) takes_the_long_way: bool,
    pub(super) watching: Watching,
}

impl Default for World {
    fn default() -> Self {
        Self {
            object: "{}".to_owned(),
            admission: Admission::default(),
            fuel: Fuel::DEFAULT,
            takes_the_long_way: false,
            watching: Watching::Off,
        }
    }
}

impl World {
    /// A world whose object is this JSON.
    pub(super) fn of(object: &str) -> Self {
        Self { object: object.to_owned(), ..Self::default() }
    }

    /// Evaluates and shows the result: `display` of a scalar, JSON of the rest, `error: …` of an error.
    pub(super) fn show(&self, expr: Expr) -> String {
        self.show_and_spend(expr).0
    }

    /// The same, and the fuel that was left.
    pub(super) fn show_and_spend(&self, expr: Expr) -> (String, u64) {
        let object = Json::parse(self.object.as_bytes()).unwrap();
        let request = Json::Null;
        let loaded = Loaded::watching(&self.admission, self.watching).unwrap();
        let env = Env { pod: Some(&object), ..Env::of(&object, &request) };
        let mut scope = Scope::new(&loaded, env, Fuel::new(self.fuel));
        scope.takes_the_long_way = self.takes_the_long_way;
        let prepared = loaded.prepare(&Cel { source: String::new(), expr, slots: 8 });
        let outcome = match eval(&prepared, &mut scope) {
            Ok(value) => shown(&value),
            Err(error) => format!("error: {error}"),
        };
        (outcome, scope.fuel().left())
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Optional(None) => "none".to_owned(),
        Value::Optional(Some(inner)) => format!("some({})", shown(inner)),
        Value::List(list) => {
            format!("[{}]", list.iter().map(|item| shown(&item)).collect::<Vec<_>>().join(", "))
        }
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", shown(&key), shown(&value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Bytes(_) | Value::OwnedBytes(_) => format!("{:?}", value.as_bytes().unwrap()),
        value => super::functions::convert::display(value).unwrap_or_else(|| value.type_name().to_owned()),
    }
}

/// Evaluates without an object.
pub(super) fn show(expr: Expr) -> String {
    World::default().show(expr)
}
