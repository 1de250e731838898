//! The same expression as text for the API server's ValidatingAdmissionPolicy.
//!
//! Only what the API server lacks is replaced, in place: `pod.allContainers` by a variable, `params.x` by its
//! value, `object` of a pod template rule by a variable. Everything else stays as the author wrote it. The
//! result is checked again in the API server's environment, where `object` has no static type, so that
//! nothing is emitted that the API server would reject.

use std::collections::BTreeMap;

use bailiwick_policy::ir::Const;

use super::ast::{Ast, Node, Span};
use super::context::{Context, Dialect};
use super::error::{CelError, CelErrorKind};
use super::intern::Interner;
use super::overloads;
use super::types::Type;
use super::{check, compile, guard, macros, parse, spans};

/// Replacements for our own variables, as CEL text. `None` means that the rule cannot use it.
#[derive(Clone, Debug, Default)]
pub struct ServerNames {
    /// For `object`; `None` leaves it as it is.
    pub object: Option<String>,
    /// For `oldObject`; `None` leaves it as it is.
    pub old_object: Option<String>,
    /// For `pod.allContainers`.
    pub all_containers: Option<String>,
    /// For `pod.mainContainers`.
    pub main_containers: Option<String>,
    /// New names of authored variables: one server policy may hold rules whose authors chose the same name.
    /// Other variables keep their names.
    pub variables: BTreeMap<String, String>,
}

/// The API server's environment of one rule.
#[derive(Clone, Debug)]
pub struct ApiServer<'a> {
    authored: &'a Context,
    names: ServerNames,
    server: Context,
}

impl<'a> ApiServer<'a> {
    /// The API server's environment for a rule whose authored expressions were compiled in `authored`.
    #[must_use]
    pub fn new(authored: &'a Context, names: ServerNames) -> Self {
        let mut server = Context::admission(Type::Dyn);
        server.namespace_object = Type::Dyn;
        server.dialect = Dialect::ApiServer;
        Self { authored, names, server }
    }

    /// Declares a variable by its text for the API server, such as those that [`ServerNames`] refers to.
    ///
    /// # Errors
    /// Text that the API server would reject.
    pub fn declare(&mut self, name: &str, text: &str) -> Result<(), Vec<CelError>> {
        let (_, of) = compile(text, &self.server, &mut Interner::default())?;
        self.server.declare(name, of, 0);
        Ok(())
    }

    /// The text of an authored `variables` entry, which is declared for those that follow.
    ///
    /// # Errors
    /// What the API server cannot express, at places of `source`.
    pub fn variable(&mut self, name: &str, source: &str) -> Result<String, Vec<CelError>> {
        let (text, of) = self.rewritten(source)?;
        let name = self.names.variables.get(name).map_or(name, String::as_str).to_owned();
        self.server.declare(&name, of, 0);
        Ok(text)
    }

    /// The text of an authored expression that must have this type. The API server requires a static type, so
    /// a type that is known only at evaluation is made certain.
    ///
    /// # Errors
    /// What the API server cannot express, at places of `source`.
    pub fn expression(&self, source: &str, expected: &Type) -> Result<String, Vec<CelError>> {
        let (text, of) = self.rewritten(source)?;
        Ok(match (of, expected) {
            (Type::Dyn, Type::Bool) => format!("({text}\n) == true"),
            (Type::Dyn, Type::String) => format!("string({text}\n)"),
            _ => text,
        })
    }

    fn rewritten(&self, source: &str) -> Result<(String, Type), Vec<CelError>> {
        let tokens = guard::tokens(source)?;
        let ast = parse::parse(source, &tokens)?;
        let mut walk = Walk { rule: self, locals: Vec::new(), edits: Vec::new(), errors: Vec::new() };
        walk.node(&ast);
        if !walk.errors.is_empty() {
            return Err(walk.errors);
        }
        let mut edits = walk.edits;
        edits.sort_by_key(|(span, _)| span.start);
        let mut text = apply(source, &edits);
        for _ in 0..MAX_WRAPPINGS {
            match compile(&text, &self.server, &mut Interner::default()) {
                Ok((_, of)) => return Ok((text, of)),
                Err(errors) => match self.unmixed(&text)? {
                    Some(wrapped) => text = wrapped,
                    None => {
                        return Err(errors
                            .into_iter()
                            .map(|error| relocate(error, &edits, source.len()))
                            .collect());
                    }
                },
            }
        }
        let message = format!("its literals mix types within each other more than {MAX_WRAPPINGS} times");
        Err(vec![CelError::new(CelErrorKind::Type, 0, source.len(), message)])
    }

    /// The text with `dyn(…)` around the contents of literals with several types, which the API server
    /// otherwise rejects; `None` if there is no such literal.
    fn unmixed(&self, text: &str) -> Result<Option<String>, Vec<CelError>> {
        let tokens = guard::tokens(text)?;
        let ast = parse::parse(text, &tokens)?;
        let mut edits = Vec::new();
        for span in check::mixed(&ast, &self.server) {
            let mut bytes = span.start..span.end;
            spans::close(&mut bytes, &tokens);
            // Edits that begin at one place open from the outside in; those that end there close from the
            // inside out.
            edits.push((bytes.start, bytes.end, "dyn("));
            edits.push((bytes.end, bytes.start, ")"));
        }
        if edits.is_empty() {
            return Ok(None);
        }
        edits.sort_by_key(|(at, other, _)| (*at, std::cmp::Reverse(*other)));
        let mut wrapped = String::with_capacity(text.len() + edits.len() * 4);
        let mut done = 0;
        for (at, _, added) in edits {
            wrapped.push_str(text.get(done..at).unwrap_or_default());
            wrapped.push_str(added);
            done = at;
        }
        wrapped.push_str(text.get(done..).unwrap_or_default());
        Ok(Some(wrapped))
    }
}

/// How often a text is searched for literals of several types. Nested ones are wrapped at once; a second
/// round is needed if a type is known only after something was wrapped.
const MAX_WRAPPINGS: usize = 4;

/// The source with each span replaced; spans are sorted and do not overlap.
fn apply(source: &str, edits: &[(Span, String)]) -> String {
    let mut text = String::with_capacity(source.len());
    let mut done = 0;
    for (span, replacement) in edits {
        text.push_str(source.get(done..span.start).unwrap_or_default());
        text.push_str(replacement);
        done = span.end;
    }
    text.push_str(source.get(done..).unwrap_or_default());
    text
}

/// Moves an error in the replaced text to the place of the source that it comes from.
fn relocate(error: CelError, edits: &[(Span, String)], source_len: usize) -> CelError {
    // The offset between replaced text and source before the error's place.
    let mut ahead = 0_isize;
    for (span, replacement) in edits {
        let start = span.start.saturating_add_signed(ahead);
        if start + replacement.len() > error.offset {
            if start <= error.offset {
                return CelError { offset: span.start, len: span.end - span.start, ..error };
            }
            break;
        }
        ahead += replacement.len().cast_signed() - (span.end - span.start).cast_signed();
    }
    let offset = error.offset.saturating_add_signed(-ahead).min(source_len);
    CelError { offset, len: error.len.min(source_len - offset), ..error }
}

/// Walks the authored tree and collects the replacements.
struct Walk<'a> {
    rule: &'a ApiServer<'a>,
    locals: Vec<String>,
    edits: Vec<(Span, String)>,
    errors: Vec<CelError>,
}

impl Walk<'_> {
    fn is_local(&self, name: &str) -> bool {
        self.locals.iter().any(|local| local == name)
    }

    fn node(&mut self, ast: &Ast) {
        match &ast.node {
            Node::Literal(_) => {}
            Node::Message(_, fields) => fields.iter().for_each(|(_, value, _)| self.node(value)),
            Node::Ident(name) if !self.is_local(name) => self.root(name.trim_start_matches('.'), ast.span),
            Node::Ident(_) => {}
            Node::Select(operand, name) => {
                if !self.special(operand, &name.text, operand.span.to(name.span)) {
                    self.node(operand);
                }
            }
            Node::OptSelect(operand, _) | Node::Not(operand) => self.node(operand),
            Node::Index(operand, index) | Node::OptIndex(operand, index) => {
                self.node(operand);
                self.node(index);
            }
            Node::And(parts) | Node::Or(parts) | Node::Operator(_, parts) => {
                parts.iter().for_each(|part| self.node(part));
            }
            Node::Cond(condition, then, otherwise) => {
                [condition, then, otherwise].into_iter().for_each(|part| self.node(part));
            }
            Node::List(items) => items.iter().for_each(|(item, _)| self.node(item)),
            Node::Map(entries) => entries.iter().for_each(|(key, value, _)| {
                self.node(key);
                self.node(value);
            }),
            Node::Call(target, name, arguments) => self.call(target.as_deref(), &name.text, arguments),
        }
    }

    /// A call: names that a macro binds are not ours, and a namespace is not a variable.
    fn call(&mut self, target: Option<&Ast>, name: &str, arguments: &[Ast]) {
        let Some(target) = target else {
            arguments.iter().for_each(|argument| self.node(argument));
            return;
        };
        let namespace = target
            .root()
            .filter(|root| !self.is_local(root))
            .and_then(|_| target.dotted())
            .is_some_and(|space| space == "cel" || overloads::is_qualified(&format!("{space}.{name}")));
        if !namespace {
            self.node(target);
        }
        let variables =
            macros::shape(name, arguments.len()).filter(|_| !namespace).map_or(0, |shape| shape.variables);
        let depth = self.locals.len();
        for (index, argument) in arguments.iter().enumerate() {
            match &argument.node {
                Node::Ident(local) if index < variables => self.locals.push(local.clone()),
                _ => self.node(argument),
            }
        }
        self.locals.truncate(depth);
    }

    /// A root by itself.
    fn root(&mut self, name: &str, span: Span) {
        let names = &self.rule.names;
        let replacement = match name {
            "object" => names.object.clone(),
            "oldObject" => names.old_object.clone(),
            "params" => {
                let entry = |(name, parameter): (&String, &super::Parameter)| {
                    (Const::Str(name.clone()), parameter.value.clone())
                };
                Some(literal(&Const::Map(self.rule.authored.params.iter().map(entry).collect())))
            }
            _ => None,
        };
        self.edits.extend(replacement.map(|text| (span, text)));
    }

    /// Handles our own names that are written like a field; returns whether it was one.
    fn special(&mut self, operand: &Ast, field: &str, span: Span) -> bool {
        let Node::Ident(root) = &operand.node else { return false };
        if self.is_local(root) {
            return false;
        }
        let rule = self.rule;
        let pack = &rule.authored.pack;
        let text = match (root.trim_start_matches('.'), field) {
            ("params", name) => rule.authored.params.get(name).map(|parameter| literal(&parameter.value)),
            ("pack", "name") => Some(literal(&Const::Str(pack.0.clone()))),
            ("pack", "version") => Some(literal(&Const::Str(pack.1.clone()))),
            ("pod", "allContainers") => rule.names.all_containers.clone(),
            ("pod", "mainContainers") => rule.names.main_containers.clone(),
            ("variables", name) => match rule.names.variables.get(name) {
                Some(new) => Some(format!("variables.{new}")),
                None => return true,
            },
            _ => return false,
        };
        match text {
            Some(text) => self.edits.push((span, text)),
            None => self.errors.push(CelError::new(
                CelErrorKind::Reference,
                span.start,
                span.end - span.start,
                format!("`{root}.{field}` has no form for the API server here"),
            )),
        }
        true
    }
}

/// A constant as CEL text, valid wherever a name is.
#[must_use]
pub fn literal(value: &Const) -> String {
    let negative = |text: String| if text.starts_with('-') { format!("({text})") } else { text };
    match value {
        Const::Null => "null".to_owned(),
        Const::Bool(value) => value.to_string(),
        Const::Int(value) => negative(value.to_string()),
        Const::Uint(value) => format!("{value}u"),
        Const::Double(value) if value.is_nan() => "double('NaN')".to_owned(),
        Const::Double(value) if value.is_infinite() => {
            if *value > 0.0 { "double('Infinity')" } else { "double('-Infinity')" }.to_owned()
        }
        Const::Double(value) => negative(format!("{value:?}")),
        Const::Str(text) => format!("'{}'", text.chars().map(escaped).collect::<String>()),
        Const::Bytes(bytes) => {
            format!("b'{}'", bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>())
        }
        Const::List(items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Const::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| format!("{}: {}", literal(key), literal(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Const::Type(name) => name.clone(),
    }
}

fn escaped(char: char) -> String {
    match char {
        '\\' => "\\\\".to_owned(),
        '\'' => "\\'".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        char if char.is_control() => format!("\\u{:04x}", u32::from(char)),
        char => char.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Parameter, PodAccess};
    use std::sync::Arc;

    fn authored() -> Context {
        let mut context = Context::admission(Type::of_kind("", "v1", "Pod"));
        context.pod = PodAccess::Available;
        context.pack = Arc::new(("web".to_owned(), "1.0.0".to_owned()));
        let hostile = Const::Str("it's\n\\ \"${x}\" // ä\u{1}".to_owned());
        context.params = Arc::new(
            [
                ("text".to_owned(), Parameter { of: Type::String, value: hostile }),
                ("least".to_owned(), Parameter { of: Type::Int, value: Const::Int(i64::MIN) }),
            ]
            .into(),
        );
        context
    }

    fn names() -> ServerNames {
        ServerNames {
            object: Some("variables.pod".to_owned()),
            old_object: None,
            all_containers: Some("variables.allContainers".to_owned()),
            main_containers: None,
            variables: [("mine".to_owned(), "theirs".to_owned())].into(),
        }
    }

    fn rewritten(source: &str) -> Result<String, String> {
        let context = authored();
        let mut server = ApiServer::new(&context, names());
        server.declare("pod", "object.spec.template").unwrap();
        server.declare("allContainers", "variables.pod.spec.containers").unwrap();
        server.variable("mine", "object.metadata").unwrap();
        server.expression(source, &Type::Bool).map_err(|errors| {
            let show = |error: &CelError| {
                format!("[{}] {}", source.get(error.offset..error.offset + error.len).unwrap(), error.message)
            };
            errors.iter().map(show).collect::<Vec<_>>().join("; ")
        })
    }

    #[test]
    fn only_what_is_ours_is_replaced() {
        let cases = [
            ("pod.allContainers.all(c, has(c.image))", "variables.allContainers.all(c, has(c.image))"),
            ("( pod ) . allContainers == []", "variables.allContainers == []"),
            (
                "object.metadata.name == 'object' // object",
                "variables.pod.metadata.name == 'object' // object",
            ),
            ("[object].all(object, object.x == 1)", "[variables.pod].all(object, object.x == 1)"),
            (
                "[1].all(params, params == 1) && object.params == 1",
                "[1].all(params, params == 1) && variables.pod.params == 1",
            ),
            ("{'object': object}.object == oldObject", "{'object': variables.pod}.object == oldObject"),
            ("params.text == pack.name", "'it\\'s\\n\\\\ \"${x}\" // ä\\u0001' == 'web'"),
            ("1 -params.least>0", "1 -(-9223372036854775808)>0"),
            ("variables.mine.object == 1", "variables.theirs.object == 1"),
            (
                "has(object.spec.`a-b`) || object.?x.hasValue()",
                "has(variables.pod.spec.`a-b`) || variables.pod.?x.hasValue()",
            ),
            ("object.x", "(variables.pod.x\n) == true"),
            (
                "format.dns1123Label().validate(object.x).hasValue() && url(object.y).getHost() == 'x'",
                "format.dns1123Label().validate(variables.pod.x).hasValue() && url(variables.pod.y).getHost() == 'x'",
            ),
            ("object.x // why", "(variables.pod.x // why\n) == true"),
            ("[1, 'a'] == object.x", "[dyn(1), dyn('a')] == variables.pod.x"),
            (
                "object.x in [1, (2 + 3), object.y.size()]",
                "variables.pod.x in [1, (2 + 3), variables.pod.y.size()]",
            ),
            (
                "object.x in [(1 + 2) * 3, string(object.y), object.z]",
                "variables.pod.x in [dyn((1 + 2) * 3), dyn(string(variables.pod.y)), dyn(variables.pod.z)]",
            ),
            (
                "[[1], ['a', 2]] == object.x || {'a': 1, 'b': {'c': [true]}}.size() == 2",
                "[dyn([1]), dyn([dyn('a'), dyn(2)])] == variables.pod.x || {'a': dyn(1), 'b': dyn({'c': [true]})}.size() == 2",
            ),
            ("{1: 'a', 'b': 'c'} == object.x", "{dyn(1): 'a', dyn('b'): 'c'} == variables.pod.x"),
            (
                "authorizer.requestResource.check('use').allowed() && authorizer.path(object.x).check('get').allowed()",
                "authorizer.requestResource.check('use').allowed() && authorizer.path(variables.pod.x).check('get').allowed()",
            ),
        ];
        for (source, expected) in cases {
            assert_eq!(rewritten(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_written_literal_reads_back_as_the_same_value() {
        let context = authored();
        for (name, parameter) in context.params.iter() {
            let text = literal(&parameter.value);
            let (cel, _) = compile(&text, &context, &mut Interner::default()).unwrap();
            assert_eq!(cel.expr, bailiwick_policy::ir::Expr::Const(parameter.value.clone()), "{name}");
        }
        let all = Const::List(vec![
            Const::Double(-1e300),
            Const::Double(0.1),
            Const::Uint(u64::MAX),
            Const::Bytes((0..=255).collect()),
            Const::Map(vec![(Const::Bool(true), Const::Null)]),
            Const::Str((0..0x300).chain(0x2000..0x2040).filter_map(char::from_u32).collect()),
        ]);
        let (cel, _) = compile(&literal(&all), &context, &mut Interner::default()).unwrap();
        assert_eq!(cel.expr, bailiwick_policy::ir::Expr::Const(all));
    }

    #[test]
    fn what_the_api_server_lacks_is_refused_with_its_place() {
        let cases = [
            (
                "object.x == 1 && isPrivate('10.0.0.1')",
                "[isPrivate('10.0.0.1')] the API server has no function `isPrivate`",
            ),
            (
                "pod.allContainers == [] && cel.bind(x, 1, x == 1)",
                "[cel.bind(x, 1, x == 1)] the API server has no `cel.bind`",
            ),
            (
                "math.greatest(1, 2) == 2",
                "[math.greatest(1, 2)] the API server has no function `math.greatest`",
            ),
            ("'ab'.reverse() == 'ba'", "['ab'.reverse()] the API server has no function `reverse`"),
            ("['a', ?object.?x] == [1]", "[object] this element is dyn, those before it are string"),
            (
                "pod.mainContainers == []",
                "[pod.mainContainers] `pod.mainContainers` has no form for the API server here",
            ),
        ];
        for (source, expected) in cases {
            assert_eq!(rewritten(source), Err(expected.to_owned()), "{source}");
        }
        assert!(rewritten("[2, 1].reverse() == [1, 2]").is_ok());
    }
}
