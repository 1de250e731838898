//! The lowered form of a CEL expression: plain data that travels in the bundle and is evaluated without any
//! parser.
//!
//! Made by `bailiwick-compiler` (parse, check, lower), read by [`crate::cel`]. Names are resolved: a variable
//! of a macro is a slot, a root is an enum, a function is an enum. Macros are nodes of their own and not
//! folds, so that evaluation, coverage and explanation see what the author wrote.
//!
//! Terms. *Root*: a variable that the environment provides (`object`, `now`). *Slot*: a variable that a
//! macro binds, numbered from 0 within one expression, by depth. *Shared*: a `variables.NAME` expression; the
//! policy keeps each distinct one once and evaluates it at most once for a request. A node is identified by
//! its position in the pre-order of its expression.

use serde::{Deserialize, Serialize};

/// How deep the nodes of one expression may nest. The compiler rejects deeper source, and the loader a deeper
/// bundle. Reading, checking, evaluating and dropping an expression are recursive and must fit the smallest
/// stack that runs them (2 MiB).
pub const MAX_DEPTH: u32 = 100;

/// How deep an evaluation may nest, including the shared expressions that it uses.
pub const MAX_EVAL_DEPTH: u32 = 200;

/// One authored expression with everything that evaluation and explanation need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cel {
    /// The author's text, as written in the pack after parameters were bound.
    pub source: String,
    /// The lowered expression.
    pub expr: Expr,
    /// How many slots evaluation needs.
    pub slots: u16,
}

/// A variable that the environment provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Root {
    /// The object under review (for `podTemplates` rules: the pod that the template makes).
    Object,
    /// The object before an UPDATE; `null` otherwise.
    OldObject,
    /// The admission request: `kind`, `resource`, `operation`, `userInfo`, `namespace`, `name`, `dryRun` and
    /// so on.
    Request,
    /// The namespace of the object, or null.
    NamespaceObject,
    /// The API server's authorizer, for the sender of the request.
    Authorizer,
    /// The same, for the resource of the request.
    RequestResource,
    /// A tool call: `tool` and `args`.
    Call,
    /// The caller: `agent`, `user`, `namespace`, `groups`, `labels`, `chain`.
    Subject,
    /// The session of the call: `id`, `age`, `calls`, `counters`, `budgets`, `labels`.
    Session,
    /// What was derived from the call's arguments: `commands`, `shell`, `path`, `url`, `git`; opaque where
    /// nothing was derived.
    Facts,
    /// When the call is decided.
    Now,
    /// The result of the call: `outcome`, `exitCode`, `signal`, `stdout`, `stderr`, `content`, `paths`, their
    /// sizes and what was dropped. Available only to rules of phase `Result`.
    Result,
}

impl Root {
    /// Whether expressions over tool calls have this variable.
    #[must_use]
    pub const fn of_calls(self) -> bool {
        match self {
            Root::Call | Root::Subject | Root::Session | Root::Facts | Root::Now => true,
            Root::Object | Root::OldObject | Root::Request | Root::NamespaceObject | Root::Result => false,
            Root::Authorizer | Root::RequestResource => false,
        }
    }

    /// Whether expressions over results of tool calls have this variable.
    #[must_use]
    pub const fn of_results(self) -> bool {
        self.of_calls() || matches!(self, Root::Result)
    }

    /// Whether expressions over admission requests have this variable.
    #[must_use]
    pub const fn of_admission(self) -> bool {
        match self {
            Root::Object | Root::OldObject | Root::Request | Root::NamespaceObject => true,
            Root::Authorizer | Root::RequestResource => true,
            Root::Call | Root::Subject | Root::Session | Root::Facts | Root::Now | Root::Result => false,
        }
    }
}

/// A node of a lowered expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expr {
    /// A literal or a folded constant.
    Const(Const),
    /// A root variable.
    Root(Root),
    /// A variable bound by a macro.
    Slot(u16),
    /// `variables.NAME`: index into the policy's shared expressions.
    Shared(u32),
    /// `pod.allContainers` / `pod.mainContainers` of the object under review.
    PodContainers(PodContainers),
    /// `operand.field`; an absent field is an error.
    Select(Box<Expr>, String),
    /// `operand.?field`: an optional.
    OptSelect(Box<Expr>, String),
    /// `has(operand.field)`.
    Has(Box<Expr>, String),
    /// `operand[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// `operand[?index]`: an optional.
    OptIndex(Box<Expr>, Box<Expr>),
    /// `a && b && …`, flattened; errors are absorbed as CEL says.
    And(Vec<Expr>),
    /// `a || b || …`, flattened; errors are absorbed as CEL says.
    Or(Vec<Expr>),
    /// `!a`.
    Not(Box<Expr>),
    /// `condition ? then : otherwise`.
    Cond(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A list; the flag says that an element was written `?element` (optional).
    List(Vec<(Expr, bool)>),
    /// A map of key, value and whether the entry was written `?key: value`.
    Map(Vec<(Expr, Expr, bool)>),
    /// A macro over a list or map.
    Macro(Box<Macro>),
    /// `cel.bind(slot, init, body)`.
    Bind(Box<Bind>),
    /// A function or operator; a receiver is the first argument.
    Call(Func, Vec<Expr>),
    /// `matches` with a constant pattern: index into the policy's regexes, compiled once when the policy is
    /// loaded.
    Matches(Box<Expr>, u32),
    /// `a in [constants]`, the commonest test, kept apart so that it needs no list.
    InConst(Box<Expr>, Vec<Const>),
}

impl Expr {
    /// The direct operands, in the order of the pre-order.
    #[must_use]
    pub fn operands(&self) -> Vec<&Expr> {
        match self {
            Expr::Const(_) | Expr::Root(_) | Expr::Slot(_) | Expr::Shared(_) | Expr::PodContainers(_) => {
                Vec::new()
            }
            Expr::Select(operand, _)
            | Expr::OptSelect(operand, _)
            | Expr::Has(operand, _)
            | Expr::Not(operand)
            | Expr::Matches(operand, _)
            | Expr::InConst(operand, _) => vec![operand],
            Expr::Index(operand, index) | Expr::OptIndex(operand, index) => vec![operand, index],
            Expr::And(operands) | Expr::Or(operands) | Expr::Call(_, operands) => operands.iter().collect(),
            Expr::Cond(condition, then, otherwise) => vec![condition, then, otherwise],
            Expr::List(items) => items.iter().map(|(item, _)| item).collect(),
            Expr::Map(entries) => entries.iter().flat_map(|(key, value, _)| [key, value]).collect(),
            Expr::Macro(of) => {
                let mut operands = vec![&of.range];
                operands.extend(&of.filter);
                operands.push(&of.body);
                operands
            }
            Expr::Bind(bind) => vec![&bind.init, &bind.body],
        }
    }

    /// Visits every node in pre-order, without recursion.
    pub fn walk<'e>(&'e self, visit: &mut impl FnMut(&'e Expr)) {
        let mut pending = vec![self];
        while let Some(node) = pending.pop() {
            visit(node);
            pending.extend(node.operands().into_iter().rev());
        }
    }

    /// How deep the nodes nest; a leaf is 1.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth_with(&|_| 0)
    }

    /// How deep the nodes nest if a node has as many levels below it as `below` says.
    pub(crate) fn depth_with(&self, below: &dyn Fn(&Expr) -> u32) -> u32 {
        let mut deepest = 0;
        let mut pending = vec![(self, 1_u32)];
        while let Some((node, depth)) = pending.pop() {
            deepest = deepest.max(depth.saturating_add(below(node)));
            pending.extend(node.operands().into_iter().map(|operand| (operand, depth.saturating_add(1))));
        }
        deepest
    }
}

/// Which containers of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodContainers {
    /// Init, regular and ephemeral ones, in this order.
    All,
    /// Init and regular ones.
    Main,
}

/// A constant. Doubles compare by value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Const {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer (`1u`).
    Uint(u64),
    /// A double; not-a-number and the infinities cannot be written as constants.
    Double(f64),
    /// A string.
    Str(String),
    /// Bytes (`b"…"`).
    Bytes(Vec<u8>),
    /// A list of constants.
    List(Vec<Const>),
    /// A map of constants.
    Map(Vec<(Const, Const)>),
    /// A type name, such as `int` in `type(x) == int`.
    Type(String),
}

/// A comprehension over a list (elements) or a map (keys).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Macro {
    /// Which one.
    pub kind: MacroKind,
    /// What is walked.
    pub range: Expr,
    /// The slot of the first variable: element of a list, key of a map; with two variables the index or key.
    pub slot: u16,
    /// With two variables: the slot of the element or value.
    pub slot2: Option<u16>,
    /// The filter of a three-argument `map`/`transformList`; absent otherwise.
    pub filter: Option<Expr>,
    /// Predicate or result.
    pub body: Expr,
}

/// The kinds of comprehension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MacroKind {
    /// `all`.
    All,
    /// `exists`.
    Exists,
    /// `exists_one` / `existsOne`.
    ExistsOne,
    /// `map`, `transformList`.
    Map,
    /// `filter`.
    Filter,
    /// `transformMap`.
    TransformMap,
    /// `transformMapEntry`.
    TransformMapEntry,
    /// `optMap` on an optional.
    OptMap,
    /// `optFlatMap` on an optional.
    OptFlatMap,
    /// `sortBy`.
    SortBy,
}

/// `cel.bind(x, init, body)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bind {
    /// The slot of the variable.
    pub slot: u16,
    /// Its value.
    pub init: Expr,
    /// Where it is visible.
    pub body: Expr,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// Every function and operator, by the name in its CEL definition. Evaluation selects overloads by
        /// argument types; arity and types were checked at compile time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Func { $($(#[$doc])* #[serde(rename = $name)] #[doc = concat!("`", $name, "`.")] $variant),+ }
        impl Func {
            /// All functions.
            pub const ALL: &'static [Func] = &[$(Func::$variant),+];
            /// The name in CEL; operators as in the CEL definition (`_+_`).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Func::$variant => $name),+ }
            }
        }
    };
}

functions! {
    Equal = "_==_", NotEqual = "_!=_", Less = "_<_", LessEqual = "_<=_", Greater = "_>_", GreaterEqual = "_>=_",
    Add = "_+_", Subtract = "_-_", Multiply = "_*_", Divide = "_/_", Modulo = "_%_", Negate = "-_", In = "@in",
    Size = "size", Contains = "contains", StartsWith = "startsWith", EndsWith = "endsWith", MatchesDynamic = "matches",
    ToInt = "int", ToUint = "uint", ToDouble = "double", ToString = "string", ToBool = "bool", ToBytes = "bytes",
    ToDuration = "duration", ToTimestamp = "timestamp", TypeOf = "type", Dyn = "dyn",
    GetFullYear = "getFullYear", GetMonth = "getMonth", GetDate = "getDate", GetDayOfMonth = "getDayOfMonth",
    GetDayOfWeek = "getDayOfWeek", GetDayOfYear = "getDayOfYear", GetHours = "getHours", GetMinutes = "getMinutes",
    GetSeconds = "getSeconds", GetMilliseconds = "getMilliseconds",
    OptionalOf = "optional.of", OptionalNone = "optional.none", OptionalOfNonZero = "optional.ofNonZeroValue",
    HasValue = "hasValue", Value = "value", Or = "or", OrValue = "orValue", OptionalUnwrap = "unwrapOpt",
    CharAt = "charAt", IndexOf = "indexOf", LastIndexOf = "lastIndexOf", LowerAscii = "lowerAscii",
    UpperAscii = "upperAscii", Replace = "replace", Split = "split", Substring = "substring", Trim = "trim",
    Join = "join", Reverse = "reverse", Quote = "strings.quote", Format = "format",
    Find = "find", FindAll = "findAll",
    IsSorted = "isSorted", Sum = "sum", Min = "min", Max = "max", Slice = "slice", Flatten = "flatten", Distinct = "distinct",
    Sort = "sort", Range = "lists.range", First = "first", Last = "last",
    Includes = "includes",
    SetsContains = "sets.contains", SetsEquivalent = "sets.equivalent", SetsIntersects = "sets.intersects",
    Quantity = "quantity", IsQuantity = "isQuantity", IsInteger = "isInteger", AsInteger = "asInteger",
    AsApproximateFloat = "asApproximateFloat", Sign = "sign", IsGreaterThan = "isGreaterThan", IsLessThan = "isLessThan",
    CompareTo = "compareTo", QuantityAdd = "add", QuantitySub = "sub",
    Ip = "ip", IsIp = "isIP", IpIsCanonical = "ip.isCanonical", Family = "family", IsUnspecified = "isUnspecified",
    IsLoopback = "isLoopback", IsLinkLocalMulticast = "isLinkLocalMulticast", IsLinkLocalUnicast = "isLinkLocalUnicast",
    IsGlobalUnicast = "isGlobalUnicast",
    Cidr = "cidr", IsCidr = "isCIDR", ContainsIp = "containsIP", ContainsCidr = "containsCIDR", CidrIp = "cidr.ip",
    Masked = "masked", PrefixLength = "prefixLength",
    Url = "url", IsUrl = "isURL", GetScheme = "getScheme", GetHost = "getHost", GetHostname = "getHostname", GetPort = "getPort",
    GetEscapedPath = "getEscapedPath", GetQuery = "getQuery",
    Semver = "semver", IsSemver = "isSemver", Major = "major", Minor = "minor", Patch = "patch",
    FormatNamed = "format.named", Validate = "validate",
    /// Ours: whether an address is in a private, link-local, loopback or otherwise non-global range.
    IsPrivate = "isPrivate",
    Greatest = "math.greatest", Least = "math.least", Ceil = "math.ceil", Floor = "math.floor", Abs = "math.abs",
    Round = "math.round", Trunc = "math.trunc", MathSign = "math.sign", IsNan = "math.isNaN", IsInf = "math.isInf",
    IsFinite = "math.isFinite", Sqrt = "math.sqrt", BitAnd = "math.bitAnd", BitOr = "math.bitOr", BitXor = "math.bitXor",
    BitNot = "math.bitNot", BitShiftLeft = "math.bitShiftLeft", BitShiftRight = "math.bitShiftRight",
    Base64Encode = "base64.encode", Base64Decode = "base64.decode",
    Path = "path", Group = "group", ServiceAccount = "serviceAccount", Resource = "resource", Subresource = "subresource",
    InNamespace = "namespace", Named = "name", FieldSelector = "fieldSelector", LabelSelector = "labelSelector",
    Check = "check", Allowed = "allowed", Errored = "errored", ErrorOf = "error", Reason = "reason",
    /// Ours: whether a value is one that no parser fully understood; the only function that takes such a
    /// value.
    IsOpaque = "isOpaque",
    /// Ours, on `facts.shell`: whether a command line runs nothing but commands of a list, and at least one.
    OnlyRuns = "onlyRuns",
}
