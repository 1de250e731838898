//! A tool call as it was requested, and its caller.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::json::{Json, Map};

/// The longest text of a call's arguments that is read, in bytes. A file is written in pieces; the executor's
/// bodies are smaller.
pub const MAX_ARGUMENTS_BYTES: usize = 4 << 20;
/// The longest identifier of a call or a session, in bytes.
const MAX_ID_BYTES: usize = 128;

/// A call: the caller's allegation until it is decided. Never changed (a transform makes another one), and
/// shared by decision, plan and record.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall(Arc<Alleged>);

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alleged {
    /// Name of this attempt, unique in the log.
    id: String,
    /// The session that it belongs to.
    session: String,
    /// The caller; from the listener or a verified token, never from the request.
    subject: Subject,
    /// The caller's [`Subject::key`], which every counter of a decision reads.
    #[serde(skip)]
    key: String,
    /// An object with `tool` and `args`, as expressions see it.
    call: Json<'static>,
}

/// The caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// The agent.
    pub agent: String,
    /// The person that it works for.
    pub user: String,
    /// The namespace that it runs in.
    pub namespace: String,
    /// Groups of the user.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Labels of the agent.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Principals through which the call was delegated, the first one first.
    #[serde(default)]
    pub chain: Vec<String>,
}

/// Why an input is not a call.
#[derive(Debug, Error)]
pub enum CallError {
    /// An identifier that is empty, too long, or has characters other than letters, digits, `-`, `_` and `.`.
    #[error("`{0}` is not an identifier: up to {MAX_ID_BYTES} letters, digits, `-`, `_` and `.`")]
    Identifier(String),
    /// The arguments are longer than the limit.
    #[error("the arguments have {0} bytes, more than {MAX_ARGUMENTS_BYTES}")]
    TooLarge(usize),
    /// The arguments are not JSON.
    #[error("the arguments are not JSON: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The arguments are JSON, but not an object.
    #[error("the arguments are not an object")]
    NotAnObject,
}

impl ToolCall {
    /// Reads the arguments of a call. Whether the tool exists and accepts them is decided later.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn parse(
        id: &str,
        session: &str,
        subject: Subject,
        tool: &str,
        arguments: &[u8],
    ) -> Result<Self, CallError> {
        if arguments.len() > MAX_ARGUMENTS_BYTES {
            return Err(CallError::TooLarge(arguments.len()));
        }
        Self::new(id, session, subject, tool, Json::parse(arguments)?.into_owned())
    }

    /// A call with arguments that were read before.
    ///
    /// # Errors
    /// As for [`ToolCall::parse`], except for text.
    pub fn new(
        id: &str,
        session: &str,
        subject: Subject,
        tool: &str,
        arguments: Json<'static>,
    ) -> Result<Self, CallError> {
        for name in [id, session] {
            if !is_identifier(name) {
                return Err(CallError::Identifier(name.chars().take(MAX_ID_BYTES).collect()));
            }
        }
        if arguments.as_map().is_none() {
            return Err(CallError::NotAnObject);
        }
        let mut call = Map::new();
        call.insert(Cow::Borrowed("tool"), Json::Str(Cow::Owned(tool.to_owned())));
        call.insert(Cow::Borrowed("args"), arguments);
        let (id, session, key) = (id.to_owned(), session.to_owned(), subject.key());
        Ok(Self(Arc::new(Alleged { id, session, subject, key, call: Json::Map(call) })))
    }

    /// The same call with other arguments, an object.
    pub(super) fn with_arguments(&self, arguments: Json<'static>) -> Self {
        let mut call = Map::new();
        call.insert(Cow::Borrowed("tool"), Json::Str(Cow::Owned(self.tool().to_owned())));
        call.insert(Cow::Borrowed("args"), arguments);
        let Alleged { id, session, subject, key, call: _ } = &*self.0;
        let (id, session, subject, key) = (id.clone(), session.clone(), subject.clone(), key.clone());
        Self(Arc::new(Alleged { id, session, subject, key, call: Json::Map(call) }))
    }

    /// Name of this attempt.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The session that it belongs to.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.0.session
    }

    /// The caller.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// The identity under which it is counted: [`Subject::key`] of the caller.
    pub(super) fn subject_key(&self) -> &str {
        &self.0.key
    }

    /// Name of the tool.
    #[must_use]
    pub fn tool(&self) -> &str {
        self.0.call.get("tool").and_then(Json::as_str).unwrap_or_default()
    }

    /// The arguments, an object.
    #[must_use]
    pub fn arguments(&self) -> &Json<'static> {
        self.0.call.get("args").unwrap_or(&Json::Null)
    }

    /// The arguments, for a record.
    pub(super) fn arguments_value(&self) -> serde_json::Value {
        // Numbers were finite when they were read or made.
        serde_json::to_value(self.arguments()).unwrap_or_default()
    }

    /// `call` of expressions.
    pub(super) fn root(&self) -> &Json<'static> {
        &self.0.call
    }

    /// An argument that is a string.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.arguments().get(name).and_then(Json::as_str)
    }
}

/// Identifiers are used in file names, headers and keys of the state.
fn is_identifier(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= MAX_ID_BYTES && text.bytes().all(plain)
}

impl Serialize for ToolCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ToolCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Written {
            id: String,
            session: String,
            subject: Subject,
            call: Arguments,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Arguments {
            tool: String,
            args: serde_json::Value,
        }
        let written = Written::deserialize(deserializer)?;
        // Through text, so that an integer beyond 64 bits is rejected here too.
        let text = serde_json::to_vec(&written.call.args).map_err(serde::de::Error::custom)?;
        Self::parse(&written.id, &written.session, written.subject, &written.call.tool, &text)
            .map_err(serde::de::Error::custom)
    }
}

impl Subject {
    /// The identity under which calls are counted together: agent, user and namespace. Groups, labels and the
    /// chain change from call to call, and a new delegation must not give new budgets.
    #[must_use]
    pub fn key(&self) -> String {
        // Strings are always JSON.
        serde_json::to_string(&[&self.namespace, &self.agent, &self.user]).unwrap_or_default()
    }

    /// Every principal of the call; none of them may approve it.
    pub fn principals(&self) -> impl Iterator<Item = &str> {
        [self.agent.as_str(), self.user.as_str()].into_iter().chain(self.chain.iter().map(String::as_str))
    }
}
