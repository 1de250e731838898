//! What may be written at a place of an expression: the names of an environment, the members and methods of a
//! type, and functions with their signatures. For editors; nothing is checked here.

use super::context::{AuthorizerAccess, Context, Dialect, PodAccess, Subject};
use super::overloads::{self, Overloads, Signature};
use super::types::Type;
use super::{calls, macros, names};

/// The kind of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferKind {
    /// A variable of the environment.
    Variable,
    /// A field of an object.
    Field,
    /// A method of a value.
    Method,
    /// A function.
    Function,
    /// A macro: looks like a call, but binds variables.
    Macro,
}

/// One thing that may be written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// The kind.
    pub kind: OfferKind,
    /// Its type, or its signatures, one per line.
    pub detail: String,
}

impl Offer {
    fn new(name: &str, kind: OfferKind, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), kind, detail: detail.into() }
    }
}

/// The variables of an environment.
#[must_use]
pub fn roots(context: &Context) -> Vec<Offer> {
    let of = |name: &str| -> Option<String> {
        Some(match (&context.subject, name) {
            (Subject::Admission, "object") => context.object.to_string(),
            (Subject::Admission, "oldObject") => context.old_object.to_string(),
            (Subject::Admission, "request") => context.request.to_string(),
            (Subject::Admission, "namespaceObject") => context.namespace_object.to_string(),
            (Subject::Admission, "authorizer") if context.authorizer == AuthorizerAccess::Available => {
                Type::Authorizer.to_string()
            }
            (Subject::Admission, "variables") => "the variables of the rule that stand before".to_owned(),
            (Subject::Admission, "pod") if context.pod == PodAccess::Available => {
                "the containers of the pod".to_owned()
            }
            (Subject::Admission, "pod") => return None,
            (Subject::ToolCall(types), "call") => types.call.to_string(),
            (Subject::ToolCall(types), "subject") => types.subject.to_string(),
            (Subject::ToolCall(types), "session") => types.session.to_string(),
            (Subject::ToolCall(types), "facts") => types.facts.to_string(),
            (Subject::ToolCall(types), "result") => types.result.as_ref()?.to_string(),
            (Subject::ToolCall(_), "now") => Type::Timestamp.to_string(),
            (_, "params") => "the parameters of the pack".to_owned(),
            (_, "pack") => "name and version of the pack".to_owned(),
            _ => return None,
        })
    };
    let all = names::roots(&context.subject);
    all.iter().filter_map(|name| Some(Offer::new(name, OfferKind::Variable, of(name)?))).collect()
}

/// What may follow `NAME.` if that is not a value but a name of the environment: `params`, `variables`,
/// `pod`, `pack`.
#[must_use]
pub fn members_of_root(root: &str, context: &Context) -> Vec<Offer> {
    let field = |name: &str, of: &Type| Offer::new(name, OfferKind::Field, of.to_string());
    let containers = Type::list(Type::named("core.v1.Container"));
    match (root, &context.subject) {
        ("params", _) => context.params.iter().map(|(name, one)| field(name, &one.of)).collect(),
        ("pack", _) => ["name", "version"].iter().map(|name| field(name, &Type::String)).collect(),
        ("variables", Subject::Admission) => {
            let mut all: Vec<Offer> = context
                .variable_names()
                .filter_map(|name| context.variable(name).map(|(of, _)| field(name, of)))
                .collect();
            all.sort();
            all.dedup();
            all
        }
        ("pod", Subject::Admission) if context.pod == PodAccess::Available => {
            ["allContainers", "mainContainers"].iter().map(|name| field(name, &containers)).collect()
        }
        _ => Vec::new(),
    }
}

/// What may follow the dot after a value of this type: fields, methods, macros.
#[must_use]
pub fn members(of: &Type, context: &Context) -> Vec<Offer> {
    let mut all = Vec::new();
    let holder = match of {
        Type::Optional(inner) => inner,
        other => other,
    };
    if let Type::Object(object) = holder {
        all.extend(
            object
                .fields()
                .into_iter()
                .filter_map(|name| Some(Offer::new(name, OfferKind::Field, object.field(name)?.to_string()))),
        );
    }
    if *of == Type::Authorizer {
        let detail = Type::ResourceCheck.to_string();
        all.push(Offer::new("requestResource", OfferKind::Field, detail));
    }
    for (name, signatures) in by_name(context) {
        if name.contains('.') {
            continue;
        }
        let fits = signatures.iter().filter(|one| one.takes_receiver(of));
        let shown: Vec<String> = fits.map(|one| one.show_with_result(name)).collect();
        if !shown.is_empty() {
            all.push(Offer::new(name, OfferKind::Method, shown.join("\n")));
        }
    }
    if matches!(of, Type::List(_) | Type::Map(..) | Type::Dyn) {
        all.extend(COMPREHENSIONS.iter().map(|(name, form)| Offer::new(name, OfferKind::Macro, *form)));
    }
    if matches!(of, Type::Optional(_)) {
        let of_optionals = [("optMap", "optMap(x, EXPRESSION)"), ("optFlatMap", "optFlatMap(x, OPTIONAL)")];
        all.extend(of_optionals.iter().map(|(name, form)| Offer::new(name, OfferKind::Macro, *form)));
    }
    all
}

/// The macros over lists and maps, as they are written.
const COMPREHENSIONS: &[(&str, &str)] = &[
    ("all", "all(x, CONDITION): bool"),
    ("exists", "exists(x, CONDITION): bool"),
    ("exists_one", "exists_one(x, CONDITION): bool"),
    ("filter", "filter(x, CONDITION)"),
    ("map", "map(x, EXPRESSION), map(x, CONDITION, EXPRESSION)"),
    ("sortBy", "sortBy(x, KEY)"),
    ("transformList", "transformList(i, x, EXPRESSION)"),
    ("transformMap", "transformMap(k, v, EXPRESSION)"),
];

/// Functions without a receiver, and macros; those of a namespace by their whole names.
#[must_use]
pub fn functions(context: &Context) -> Vec<Offer> {
    let mut all = vec![
        Offer::new("has", OfferKind::Macro, "has(OBJECT.FIELD): bool"),
        Offer::new("cel.bind", OfferKind::Macro, "cel.bind(x, VALUE, EXPRESSION)"),
    ];
    for (name, signatures) in by_name(context) {
        let shown: Vec<String> = signatures
            .iter()
            .filter(|one| one.receiver.is_none())
            .map(|one| one.show_with_result(name))
            .collect();
        if !shown.is_empty() {
            all.push(Offer::new(name, OfferKind::Function, shown.join("\n")));
        }
    }
    all
}

/// The signatures of everything with this name, one per line.
#[must_use]
pub fn signatures(name: &str, context: &Context) -> Option<String> {
    let found: Vec<String> = by_name(context)
        .into_iter()
        .filter(|(known, _)| *known == name)
        .flat_map(|(known, all)| all.into_iter().map(move |one| one.show_with_result(known)))
        .collect();
    let of_macro = || {
        let form =
            COMPREHENSIONS.iter().find(|(known, _)| *known == name).map(|(_, form)| (*form).to_owned());
        form.or_else(|| macros::NAMES.contains(&name).then(|| format!("{name}(…)")))
    };
    if found.is_empty() { of_macro() } else { Some(found.join("\n")) }
}

/// Every function that an environment has, with all its signatures.
pub(super) fn by_name(context: &Context) -> Vec<(&'static str, Vec<&'static Signature>)> {
    let is_there = |one: &Overloads| {
        calls::is_there(one.func, &context.subject)
            && (context.dialect != Dialect::ApiServer || overloads::on_api_server(one.func, None))
    };
    let mut names: Vec<&'static str> = overloads::names().collect();
    names.sort_unstable();
    names.dedup();
    let all = names.into_iter().map(|name| {
        let known = overloads::named(name).filter(|one| is_there(one));
        (name, known.flat_map(|one| &one.signatures).collect())
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(offers: &[Offer]) -> Vec<&str> {
        offers.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn what_is_offered_of_a_type_compiles() {
        let mut context = Context::admission(Type::of_kind("", "v1", "Pod"));
        context.pod = PodAccess::Available;
        let of_pod = members(&context.object, &context);
        assert!(names(&of_pod).contains(&"spec") && !names(&of_pod).contains(&"startsWith"), "{of_pod:?}");
        for field in of_pod.iter().filter(|one| one.kind == OfferKind::Field) {
            let source = format!("object.{}", field.name);
            let mut interner = super::super::Interner::default();
            let (_, of) = super::super::compile(&source, &context, &mut interner).expect("it is offered");
            assert_eq!(of.to_string(), field.detail);
        }
        let of_text = members(&Type::String, &context);
        assert!(names(&of_text).contains(&"startsWith") && !names(&of_text).contains(&"all"), "{of_text:?}");
        assert!(names(&members(&Type::list(Type::String), &context)).contains(&"all"));
        assert_eq!(names(&members_of_root("pod", &context)), ["allContainers", "mainContainers"]);
    }

    #[test]
    fn only_rules_over_calls_are_offered_what_only_they_may_ask() {
        let calls = Context::tool(Type::Dyn, Type::Dyn, Type::Dyn);
        let admission = Context::admission(Type::Dyn);
        assert!(names(&functions(&calls)).contains(&"isOpaque"));
        assert!(!names(&functions(&admission)).contains(&"isOpaque"));
        assert!(names(&roots(&calls)).contains(&"facts") && !names(&roots(&admission)).contains(&"facts"));
        assert!(!names(&roots(&admission)).contains(&"pod"), "rules over anything");
        assert!(
            signatures("startsWith", &admission)
                .is_some_and(|text| text.contains("string.startsWith(string): bool"))
        );
    }
}
