//! Names and the parts of values: variables, fields, indices.

use bailiwick_policy::ir::{Const, Expr, PodContainers, Root};

use super::ast::{Ast, Name, Node, Span};
use super::check::{Checker, Typed};
use super::context::{AuthorizerAccess, Dialect, PodAccess, Subject};
use super::error::{CelError, CelErrorKind, did_you_mean};
use super::types::Type;

/// The variables of an admission rule.
const ADMISSION_ROOTS: &[&str] = &[
    "object",
    "oldObject",
    "request",
    "params",
    "namespaceObject",
    "authorizer",
    "variables",
    "pack",
    "pod",
];

/// The variables of a tool rule.
const TOOL_ROOTS: &[&str] = &["call", "subject", "session", "facts", "now", "params", "pack"];

/// The variables of a tool rule over results.
const RESULT_ROOTS: &[&str] = &["call", "subject", "session", "facts", "now", "result", "params", "pack"];

const AUTHORIZER: &str = "authorizer";

/// The message for it in rules over tools.
const NO_REQUEST: &str =
    "only admission rules may ask the authorizer: a call of a tool is not a request to the API server";

/// Names of types, as `type(x)` returns them.
/// <https://github.com/google/cel-spec/blob/master/doc/langdef.md#types>
const TYPE_NAMES: &[&str] = &[
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "optional_type",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
    "kubernetes.Quantity",
    "net.IP",
    "net.CIDR",
    "kubernetes.URL",
    "kubernetes.Semver",
    "kubernetes.NamedFormat",
    "kubernetes.authorization.Authorizer",
    "kubernetes.authorization.PathCheck",
    "kubernetes.authorization.GroupCheck",
    "kubernetes.authorization.ResourceCheck",
    "kubernetes.authorization.Decision",
];

/// The variables that an environment may have.
pub(super) fn roots(subject: &Subject) -> &'static [&'static str] {
    match subject {
        Subject::Admission => ADMISSION_ROOTS,
        Subject::ToolCall(types) if types.result.is_some() => RESULT_ROOTS,
        Subject::ToolCall(_) => TOOL_ROOTS,
    }
}

impl Checker<'_> {
    /// Whether a macro binds this name here.
    pub(super) fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|local| local.name == name)
    }

    fn reference(&mut self, span: Span, message: String, help: Option<String>) -> Typed {
        let mut error = CelError::new(CelErrorKind::Reference, span.start, span.end - span.start, message);
        error.help = help;
        self.report(error)
    }

    pub(super) fn ident(&mut self, name: &str, span: Span) -> Typed {
        let absolute = name.strip_prefix('.');
        let slot = self.locals.iter().rposition(|local| local.name == name);
        if let Some((slot, local)) = slot.and_then(|slot| Some((slot, self.locals.get(slot)?))) {
            return Typed::new(Expr::Slot(u16::try_from(slot).unwrap_or(u16::MAX)), local.of.clone());
        }
        let context = self.context;
        if let Some(constant) = self.constant(absolute.unwrap_or(name)) {
            return constant;
        }
        if let Some(given) = given(absolute.unwrap_or(name), &context.subject) {
            return given;
        }
        let roots = roots(&context.subject);
        match absolute.unwrap_or(name) {
            plain if TYPE_NAMES.contains(&plain) => {
                Typed::new(Expr::Const(Const::Type(plain.to_owned())), Type::Type)
            }
            plain if !roots.contains(&plain) => {
                let locals = self.locals.iter().map(|local| local.name.as_str());
                let help = did_you_mean(plain, locals.chain(roots.iter().copied()));
                let help = help.or_else(|| {
                    let is_variable = context.variable(plain).is_some();
                    let is_parameter = context.params.contains_key(plain);
                    (is_variable || is_parameter).then(|| {
                        format!("write `{}.{plain}`", if is_variable { "variables" } else { "params" })
                    })
                });
                let help = help.or_else(|| (plain == AUTHORIZER).then(|| NO_REQUEST.to_owned()));
                self.reference(span, format!("`{plain}` is not declared"), help)
            }
            "object" => Typed::new(Expr::Root(Root::Object), context.object.clone()),
            "oldObject" => Typed::new(Expr::Root(Root::OldObject), context.old_object.clone()),
            "request" => Typed::new(Expr::Root(Root::Request), context.request.clone()),
            "namespaceObject" => {
                Typed::new(Expr::Root(Root::NamespaceObject), context.namespace_object.clone())
            }
            AUTHORIZER => self.authorizer(Root::Authorizer, Type::Authorizer, span),
            // The API server's `params` is an object of the cluster, which packs do not use.
            "params" | "pack" | "pod" if context.dialect == Dialect::ApiServer => {
                self.reference(span, format!("the API server has no `{name}`"), None)
            }
            // An empty map would make `has(params.x)` false without a word.
            "params" if context.params.is_empty() => {
                let help = "declare one under `parameters`".to_owned();
                self.reference(span, "this pack declares no parameters".to_owned(), Some(help))
            }
            // The remaining roots. Under another name, or as `dyn(params)`, an undeclared parameter would be
            // absent without a word.
            plain => {
                let help = match plain {
                    "pod" => "write `pod.allContainers` or `pod.mainContainers`",
                    "pack" => "write `pack.name` or `pack.version`",
                    "params" => "write `params.NAME`",
                    _ => "write `variables.NAME`",
                };
                self.reference(span, format!("`{name}` is not a value by itself"), Some(help.to_owned()))
            }
        }
    }

    /// What a key or a field is looked up in: any value, and also `params` and `pack`, whose names are known.
    pub(super) fn looked_up_in(&mut self, operand: &Ast) -> Typed {
        let Node::Ident(root) = &operand.node else { return self.node(operand) };
        let text = |text: &str| Const::Str(text.to_owned());
        let context = self.context;
        if self.is_local(root) || context.dialect == Dialect::ApiServer {
            return self.node(operand);
        }
        let (entries, of) = match root.trim_start_matches('.') {
            "params" if !context.params.is_empty() => {
                let entries = context.params.iter().map(|(name, one)| (text(name), one.value.clone()));
                (entries.collect(), Type::Dyn)
            }
            "pack" => {
                let (name, version) = &*context.pack;
                (vec![(text("name"), text(name)), (text("version"), text(version))], Type::String)
            }
            _ => return self.node(operand),
        };
        Typed::new(Expr::Const(Const::Map(entries)), Type::map(Type::String, of))
    }

    /// Queries to the API server's authorizer.
    fn authorizer(&mut self, root: Root, of: Type, span: Span) -> Typed {
        if self.context.authorizer == AuthorizerAccess::Absent {
            let help =
                "ask in a validation or a condition: to its messages the API server gives no authorizer";
            return self.reference(
                span,
                "a message cannot ask the authorizer".to_owned(),
                Some(help.to_owned()),
            );
        }
        Typed::new(Expr::Root(root), of)
    }

    /// A constant of the environment.
    fn constant(&self, name: &str) -> Option<Typed> {
        let constant = self.context.constants.get(name)?;
        Some(Typed::new(Expr::Const(constant.value.clone()), constant.of.clone()))
    }

    pub(super) fn select(&mut self, operand: &Ast, name: &Name) -> Typed {
        if let Some(special) = self.special(operand, name) {
            return special;
        }
        let Typed { expr, of } = self.node(operand);
        let of = self.field_type(&of, name);
        Typed::new(super::fold::constant(Expr::Select(Box::new(expr), name.text.clone())), of)
    }

    /// What is written like a field but is not one: `params.x`, `variables.x`, `pod.x`, names of types.
    fn special(&mut self, operand: &Ast, name: &Name) -> Option<Typed> {
        let root = operand.root()?;
        if self.is_local(root) {
            return None;
        }
        let context = self.context;
        let dotted = format!("{}.{}", operand.dotted()?, name.text);
        if let Some(constant) = self.constant(&dotted) {
            return Some(constant);
        }
        if TYPE_NAMES.contains(&dotted.as_str()) {
            return Some(Typed::new(Expr::Const(Const::Type(dotted)), Type::Type));
        }
        let Node::Ident(root) = &operand.node else { return None };
        let admission = context.subject == Subject::Admission;
        if admission && root.trim_start_matches('.') == AUTHORIZER && name.text == "requestResource" {
            let span = operand.span.to(name.span);
            return Some(self.authorizer(Root::RequestResource, Type::ResourceCheck, span));
        }
        if context.dialect == Dialect::ApiServer && root != "variables" {
            return None;
        }
        match root.trim_start_matches('.') {
            "params" => Some(match context.params.get(&name.text) {
                Some(parameter) => Typed::new(Expr::Const(parameter.value.clone()), parameter.of.clone()),
                None => {
                    let help = did_you_mean(&name.text, context.params.keys().map(String::as_str));
                    self.reference(name.span, format!("no parameter `{}`", name.text), help)
                }
            }),
            "variables" if admission => Some(match context.variable(&name.text) {
                Some((of, index)) => Typed::new(Expr::Shared(index), of.clone()),
                None => {
                    let help = did_you_mean(&name.text, context.variable_names());
                    let help =
                        help.or_else(|| Some("a variable sees only those that stand before it".to_owned()));
                    self.reference(name.span, format!("no variable `{}`", name.text), help)
                }
            }),
            "pack" => Some(match name.text.as_str() {
                "name" => Typed::new(Expr::Const(Const::Str(context.pack.0.clone())), Type::String),
                "version" => Typed::new(Expr::Const(Const::Str(context.pack.1.clone())), Type::String),
                other => self.reference(
                    name.span,
                    format!("`pack` has no `{other}`"),
                    Some("it has `name` and `version`".to_owned()),
                ),
            }),
            "pod" if admission => Some(self.containers(name)),
            _ => None,
        }
    }

    /// Reports `params.name` and `pack.name` of a name that is not declared, whose absence would be no error
    /// within `has`.
    pub(super) fn must_be_declared(&mut self, operand: &Ast, name: &Name) {
        let Node::Ident(root) = &operand.node else { return };
        match root.trim_start_matches('.') {
            "params" if self.context.params.is_empty() => {}
            "params" | "pack" => drop(self.special(operand, name)),
            _ => {}
        }
    }

    /// The same for the constant text of `params[…]`, `params[?…]` and `… in params`.
    pub(super) fn key_must_be_declared(&mut self, operand: &Ast, key: &Expr, span: Span) {
        if let Expr::Const(Const::Str(text)) = key {
            self.must_be_declared(operand, &Name { text: text.clone(), span });
        }
    }

    fn containers(&mut self, name: &Name) -> Typed {
        let which = match name.text.as_str() {
            "allContainers" => PodContainers::All,
            "mainContainers" => PodContainers::Main,
            other => {
                let help = did_you_mean(other, ["allContainers", "mainContainers"]);
                let help = help.or_else(|| Some("other fields are those of `object`".to_owned()));
                return self.reference(name.span, format!("`pod` has no `{other}`"), help);
            }
        };
        if self.context.pod == PodAccess::Absent {
            let help = "match pods only, or set `podTemplates: true`".to_owned();
            return self.reference(
                name.span,
                "this rule may be asked about objects that are not pods".to_owned(),
                Some(help),
            );
        }
        Typed::new(Expr::PodContainers(which), Type::list(Type::named("core.v1.Container")))
    }

    /// The type of `operand.name`; through an optional it is optional.
    pub(super) fn field_type(&mut self, operand: &Type, name: &Name) -> Type {
        match operand {
            Type::Dyn | Type::Free => Type::Dyn,
            Type::Map(key, value) if key.fits(&Type::String) => (**value).clone(),
            Type::Optional(inner) => match self.field_type(inner, name) {
                optional @ Type::Optional(_) => optional,
                of => Type::optional(of),
            },
            Type::Object(object) => match object.field(&name.text) {
                Some(of) => of,
                None => {
                    let help = did_you_mean(&name.text, object.fields());
                    self.reference(name.span, format!("{object} has no field `{}`", name.text), help).of
                }
            },
            other => self.type_error(name.span, format!("{other} has no fields")).of,
        }
    }

    pub(super) fn opt_select(&mut self, operand: &Ast, name: &Name) -> Typed {
        if self.special(operand, name).is_some() {
            return self.type_error(name.span, format!("`{}` is always there: write `.`", name.text));
        }
        let Typed { expr, of } = self.node(operand);
        let of = match self.field_type(&of, name) {
            optional @ Type::Optional(_) => optional,
            of => Type::optional(of),
        };
        Typed::new(Expr::OptSelect(Box::new(expr), name.text.clone()), of)
    }

    pub(super) fn index(&mut self, operand: &Ast, index: &Ast, span: Span) -> Typed {
        let index_node = self.node(index);
        self.key_must_be_declared(operand, &index_node.expr, index.span);
        let operand = self.looked_up_in(operand);
        let of = self.element_type(&operand.of, &index_node, index.span, span);
        Typed::new(super::fold::constant(Expr::Index(Box::new(operand.expr), Box::new(index_node.expr))), of)
    }

    pub(super) fn opt_index(&mut self, operand: &Ast, index: &Ast) -> Typed {
        let span = operand.span.to(index.span);
        let index_node = self.node(index);
        self.key_must_be_declared(operand, &index_node.expr, index.span);
        let operand = self.looked_up_in(operand);
        let of = match self.element_type(&operand.of, &index_node, index.span, span) {
            optional @ Type::Optional(_) => optional,
            of => Type::optional(of),
        };
        // For the API server, a value found in something unknown may still become any type, depending on the
        // alternative.
        let of = match of {
            Type::Optional(inner) if self.context.dialect == Dialect::ApiServer && *inner == Type::Dyn => {
                Type::optional(Type::Free)
            }
            of => of,
        };
        Typed::new(Expr::OptIndex(Box::new(operand.expr), Box::new(index_node.expr)), of)
    }

    fn element_type(&mut self, operand: &Type, index: &Typed, at: Span, span: Span) -> Type {
        match (operand, &index.of) {
            (Type::Dyn | Type::Free, _) => Type::Dyn,
            // Kubernetes' environments accept any number whose value is an integer.
            (Type::List(element), of) if of.may_be_number() => (**element).clone(),
            (Type::Map(key, value), of) if key.fits(of) || (key.may_be_number() && of.may_be_number()) => {
                (**value).clone()
            }
            (Type::Object(_), Type::String) => match &index.expr {
                Expr::Const(Const::Str(text)) => {
                    self.field_type(operand, &Name { text: text.clone(), span: at })
                }
                _ => Type::Dyn,
            },
            (Type::Object(_), Type::Dyn) => Type::Dyn,
            (Type::Optional(inner), _) => match self.element_type(inner, index, at, span) {
                optional @ Type::Optional(_) => optional,
                of => Type::optional(of),
            },
            (operand, index) => self.type_error(span, format!("{operand} cannot be indexed with {index}")).of,
        }
    }
}

/// A variable of a tool rule.
fn given(name: &str, subject: &Subject) -> Option<Typed> {
    let Subject::ToolCall(types) = subject else { return None };
    let (root, of) = match name {
        "call" => (Root::Call, &types.call),
        "subject" => (Root::Subject, &types.subject),
        "session" => (Root::Session, &types.session),
        "facts" => (Root::Facts, &types.facts),
        "now" => (Root::Now, &Type::Timestamp),
        "result" => (Root::Result, types.result.as_ref()?),
        _ => return None,
    };
    Some(Typed::new(Expr::Root(root), of.clone()))
}
