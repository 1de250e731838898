//! The facts of a call: what the parsers make of the arguments that the tool's definition names.

use serde_json::json;

use super::call::ToolCall;
use super::environment::map;
use crate::cel::Value;
use crate::policy::tools::Derive;

/// Facts, each derived once.
#[derive(Debug)]
pub(super) struct Facts {
    derived: Vec<(Derive, Fact)>,
}

/// One fact.
#[derive(Debug)]
enum Fact {
    Opaque,
}

impl Facts {
    /// Derives all that some definition names.
    pub(super) fn of(derives: &[Derive], _call: &ToolCall) -> Self {
        Self { derived: derives.iter().map(|derive| (derive.clone(), Fact::Opaque)).collect() }
    }

    /// `facts` for a layer that may read these; everything else is opaque, and so is what would be derived from two arguments.
    pub(super) fn values<'a>(&'a self, derives: &[Derive]) -> Value<'a> {
        let _ = derives;
        map(["commands", "shell", "path", "url", "git"].map(|name| (name, Value::Opaque)))
    }

    /// All facts, for the record and for what an approval binds.
    pub(super) fn to_json(&self) -> serde_json::Value {
        self.derived.iter().map(|(derive, fact)| json!({"derive": derive, "fact": fact.to_json()})).collect()
    }
}

impl Fact {
    fn to_json(&self) -> serde_json::Value {
        match self {
            Fact::Opaque => json!("opaque"),
        }
    }
}
