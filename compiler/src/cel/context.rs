//! What an expression may name: roots with their types, parameters, the pack, `variables`; and its required
//! type.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_policy::ir::Const;

use super::types::Type;

/// A bound parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its type, as declared.
    pub of: Type,
    /// Its value.
    pub value: Const,
}

/// Whether `pod.allContainers` and `pod.mainContainers` are available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodAccess {
    /// The rule matches only pods or pod templates.
    Available,
    /// The rule may apply to other objects.
    Absent,
}

/// Whether `authorizer` is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizerAccess {
    /// It is available.
    Available,
    /// The expression makes a message: the API server's admission policies do not allow queries there.
    Absent,
}

/// The environment that an expression is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Our evaluator.
    Bailiwick,
    /// The API server's, Kubernetes 1.37: fewer functions, and no list or map literal of mixed types.
    ApiServer,
    /// Ours without the type checker, as CEL's own test data requires: type errors surface at evaluation. No
    /// pack is compiled this way.
    Unchecked,
}

/// The variables of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A request to the API server: `object`, `oldObject`, `request`, `namespaceObject`, `authorizer`, `pod`.
    Admission,
    /// A call of a tool: `call`, `subject`, `session`, `facts`, `now`.
    ToolCall(Arc<ToolCall>),
}

/// The types of what a tool rule may name.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// `call`.
    pub call: Type,
    /// `subject`.
    pub subject: Type,
    /// `session`.
    pub session: Type,
    /// `facts`.
    pub facts: Type,
    /// `result`, for rules over results.
    pub result: Option<Type>,
}

/// What an expression may name. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// The kind of request.
    pub subject: Subject,
    /// Type of `object`; for rules over pod templates, that of a pod.
    pub object: Type,
    /// Type of `oldObject`.
    pub old_object: Type,
    /// Type of `request`.
    pub request: Type,
    /// Type of `namespaceObject`.
    pub namespace_object: Type,
    /// `params`, by name.
    pub params: Arc<BTreeMap<String, Parameter>>,
    /// Constants that an expression names directly, by their whole names (`a.b`). Packs have none; CEL's own
    /// test data does.
    pub constants: Arc<BTreeMap<String, Parameter>>,
    /// Name and version of the pack, for `pack.name` and `pack.version`.
    pub pack: Arc<(String, String)>,
    /// Whether `pod` is available.
    pub pod: PodAccess,
    /// Whether `authorizer` is available.
    pub authorizer: AuthorizerAccess,
    /// The required type of the expression; `dyn` accepts anything.
    pub expected: Type,
    /// The environment.
    pub dialect: Dialect,
    variables: Vec<(String, Type, u32)>,
}

impl Context {
    /// The environment of an admission rule over objects of this type (`dyn` for rules that match several
    /// kinds).
    #[must_use]
    pub fn admission(object: Type) -> Self {
        Self {
            subject: Subject::Admission,
            old_object: object.clone(),
            object,
            request: request(),
            namespace_object: Type::of_kind("", "v1", "Namespace"),
            params: Arc::default(),
            constants: Arc::default(),
            pack: Arc::default(),
            pod: PodAccess::Absent,
            authorizer: AuthorizerAccess::Available,
            expected: Type::Dyn,
            dialect: Dialect::Bailiwick,
            variables: Vec::new(),
        }
    }

    /// The environment of a rule over tool calls: the types of `call.args`, `session.counters` and
    /// `session.budgets`.
    #[must_use]
    pub fn tool(arguments: Type, counters: Type, budgets: Type) -> Self {
        let subject = Type::record(
            "Subject",
            [
                ("agent", Type::String),
                ("user", Type::String),
                ("namespace", Type::String),
                ("groups", Type::list(Type::String)),
                ("labels", Type::map(Type::String, Type::String)),
                ("chain", Type::list(Type::String)),
            ],
        );
        let session = Type::record(
            "Session",
            [
                ("id", Type::String),
                ("age", Type::Duration),
                ("calls", Type::Int),
                ("counters", counters),
                ("budgets", budgets),
                ("labels", Type::list(Type::String)),
            ],
        );
        let call = ToolCall {
            call: Type::record("Call", [("tool", Type::String), ("args", arguments)]),
            subject,
            session,
            facts: super::facts::facts(),
            result: None,
        };
        Self { subject: Subject::ToolCall(Arc::new(call)), ..Self::admission(Type::Dyn) }
    }

    /// The same for a rule over results of tool calls.
    #[must_use]
    pub fn with_result(mut self) -> Self {
        if let Subject::ToolCall(types) = &mut self.subject {
            let texts = ["outcome", "stdout", "stderr", "content"].map(|name| (name, Type::String));
            let sizes = ["stdoutSize", "stderrSize", "contentSize", "dropped"].map(|name| (name, Type::Int));
            // Null if missing.
            let numbers = ["exitCode", "signal"].map(|name| (name, Type::Dyn));
            let paths = [("paths", Type::list(Type::String))];
            let fields = texts.into_iter().chain(sizes).chain(numbers).chain(paths);
            Arc::make_mut(types).result = Some(Type::record("Result", fields));
        }
        self
    }

    /// The same for an expression that must have this type.
    #[must_use]
    pub fn expecting(&self, expected: Type) -> Self {
        Self { expected, ..self.clone() }
    }

    /// The same for an expression that makes a message.
    #[must_use]
    pub fn for_message(&self) -> Self {
        Self { authorizer: AuthorizerAccess::Absent, ..self.clone() }
    }

    /// Declares `variables.NAME`, the shared expression of this index.
    pub fn declare(&mut self, name: &str, of: Type, index: u32) {
        self.variables.push((name.to_owned(), of, index));
    }

    /// The last declared variable of this name.
    pub(super) fn variable(&self, name: &str) -> Option<(&Type, u32)> {
        self.variables.iter().rev().find(|(known, ..)| known == name).map(|(_, of, index)| (of, *index))
    }

    /// The names of all variables.
    pub(super) fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|(name, ..)| name.as_str())
    }
}

/// `admission.k8s.io/v1 AdmissionRequest` as expressions see it: without `object` and `oldObject`, which are
/// roots of their own. <https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/>
fn request() -> Type {
    let kind = || {
        Type::record(
            "GroupVersionKind",
            [("group", Type::String), ("version", Type::String), ("kind", Type::String)],
        )
    };
    let resource = || {
        Type::record(
            "GroupVersionResource",
            [("group", Type::String), ("version", Type::String), ("resource", Type::String)],
        )
    };
    let user = Type::record(
        "UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", Type::list(Type::String)),
            ("extra", Type::map(Type::String, Type::list(Type::String))),
        ],
    );
    Type::record(
        "AdmissionRequest",
        [
            ("uid", Type::String),
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", Type::String),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}
