//! What a module must satisfy beyond being valid Rego: it calls only functions that exist and are allowed, it
//! reads only documents that exist, and its entry is a set of messages.
//!
//! In Rego a name that refers to nothing is undefined, and a rule over it gives no message, so it would
//! silently admit everything. Every reference whose root is known is therefore resolved here.

use std::collections::BTreeSet;

use bailiwick_policy::admission::rego::RegoReads;
use regorus::{Engine, Rc};

use super::builtins;
use super::guard::{guard, long_lines, says_if};
use super::operators;
use super::reach::{self, Meaning, Names};
use super::sites::{Site, sites};
use super::tree::{Key, Kind, RuleOf, Step, Tree, Use};
use super::{Fault, ROOTS, RegoError, stack};

/// Most errors that are reported for one module.
const MAX_ERRORS: usize = 32;

/// A module that can be evaluated.
pub(super) struct Checked {
    pub(super) engine: Engine,
    pub(super) reads: RegoReads,
}

/// Checks a rule of a module. `parameters`: those that the pack declares.
pub(crate) fn check(text: &str, rule: &str, parameters: &[&str]) -> Result<(), Vec<RegoError>> {
    let parameters: Vec<String> = parameters.iter().map(|&name| name.to_owned()).collect();
    read(text, rule, Some(parameters)).map(|_| ())
}

/// Reads a module for one of its rules. Without `parameters`, references to them are not resolved.
pub(super) fn read(
    text: &str,
    rule: &str,
    parameters: Option<Vec<String>>,
) -> Result<Checked, Vec<RegoError>> {
    guard(text).map_err(|error| vec![error])?;
    let (length, text, rule) = (text.len(), text.to_owned(), rule.to_owned());
    let read = stack::run(move || here(&text, &rule, parameters));
    read.unwrap_or_else(|failure| Err(vec![RegoError::new(Fault::Limit, 0..length, failure)]))
}

fn here(text: &str, rule: &str, parameters: Option<Vec<String>>) -> Result<Checked, Vec<RegoError>> {
    let mut engine = parse(text).map_err(|error| vec![error])?;
    let tree = match engine.get_modules().first() {
        Some(module) => Tree::of(module),
        None => return Err(vec![RegoError::new(Fault::Syntax, 0..0, "there is no module")]),
    };
    if let Some(bytes) = &tree.too_deep {
        let error = RegoError::new(Fault::Limit, bytes.clone(), "the expression is nested too deeply");
        return Err(vec![error.with_help("move a part of it into a rule or function of its own")]);
    }
    if let Some(bytes) = &tree.computed_default {
        let message = "a default is a constant or a comprehension";
        let error = RegoError::new(Fault::Syntax, bytes.clone(), message);
        return Err(vec![error.with_help("write the value itself, or end the rule with `else := …`")]);
    }
    let names = Names::new(&tree);
    let mut check = Check { names: &names, tree: &tree, parameters, errors: Vec::new() };
    check.imports();
    tree.rules.iter().for_each(|one| check.uses(one));
    let entry = check.entry(rule, text.len());
    let reached = match entry.map(|entry| reach::reached(&names, entry)) {
        Some(Ok(reached)) => reached,
        Some(Err(error)) => {
            check.errors.push(error);
            BTreeSet::new()
        }
        None => BTreeSet::new(),
    };
    if !check.errors.is_empty() {
        check.errors.sort_by_key(|error| (error.bytes.start, error.bytes.end));
        check.errors.dedup();
        check.errors.truncate(MAX_ERRORS);
        return Err(check.errors);
    }
    let reads = reach::reads(&names, &reached);
    let sites = match engine.get_modules().first() {
        Some(module) => sites(module)?,
        None => Vec::new(),
    };
    let prepared = engine.compile_with_entrypoint(&Rc::from(rule));
    prepared.map_err(|error| vec![told(&error.to_string(), text, Fault::Reference)])?;
    if !sites.is_empty() {
        engine = charged(text, &sites, rule).map_err(|error| vec![error])?;
    }
    Ok(Checked { engine, reads })
}

/// The module with calls at its sites.
fn charged(text: &str, sites: &[Site], rule: &str) -> Result<Engine, RegoError> {
    let mut engine = parse_charged(&operators::as_calls(text, sites)?, text)?;
    match engine.compile_with_entrypoint(&Rc::from(rule)) {
        Ok(_) => Ok(engine),
        // It compiles as written: `=` there gives a name its value that has one here from nowhere else.
        Err(_) => Err(operators::unreadable(0..text.len())),
    }
}

/// Parses Rego v1, or else v0, which Gatekeeper's templates use.
fn parse(text: &str) -> Result<Engine, RegoError> {
    let parsed = |v0: bool| {
        let mut engine = Engine::new();
        engine.set_rego_v0(v0);
        engine.add_policy(FILE.to_owned(), text.to_owned()).map(|_package| engine)
    };
    let error = match parsed(false) {
        Ok(engine) => return Ok(engine),
        Err(error) => error,
    };
    let error = told(&error.to_string(), text, Fault::Syntax);
    // A text with `if` is v1 with an error. It would not parse as v0 either, and regorus would warn about it
    // on standard error.
    if says_if(text) && !text.contains("import future.keywords") {
        return Err(error);
    }
    parsed(true).map_err(|_| error)
}

/// Parses a module whose operators are written as calls. `text`: as the author wrote it.
fn parse_charged(calls: &str, text: &str) -> Result<Engine, RegoError> {
    long_lines(calls).map_err(|error| {
        let before = calls.get(..error.bytes.start).unwrap_or_default();
        let start = offset(text, before.matches('\n').count() + 1, 1);
        RegoError::new(Fault::Limit, start..start, "the line is too long, its operators written as calls")
    })?;
    let mut engine = parse(calls).map_err(|_| operators::unreadable(0..text.len()))?;
    let left = engine.get_modules().first().map(|module| sites(module));
    let is_charged = left.is_some_and(|left| left.is_ok_and(|left| left.is_empty()));
    if is_charged { Ok(engine) } else { Err(operators::unreadable(0..text.len())) }
}

/// The name of the module in regorus' messages, by which positions are found in them.
const FILE: &str = "module.rego";

/// An error of regorus: `\n--> module.rego:3:5\n … \nerror: expected …`.
fn told(message: &str, text: &str, fault: Fault) -> RegoError {
    let what = match message.rsplit_once("\nerror: ") {
        Some((_, what)) => what,
        None => message,
    };
    let what = what.lines().next().unwrap_or_default().trim().trim_end_matches('.').replace(['"'], "`");
    let place = message.split(FILE).nth(1).and_then(|rest| rest.strip_prefix(':')).and_then(|rest| {
        let mut numbers = rest.split(|char: char| !char.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    let start = place.map_or(0, |(line, column)| offset(text, line, column));
    let rest = text.get(start..).unwrap_or_default();
    let word =
        rest.chars().take_while(|char| char.is_alphanumeric() || *char == '_').map(char::len_utf8).sum();
    let length = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
    RegoError::new(fault, start..start + length, what)
}

/// Byte offset of a line and column, both counted from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let here = text.get(before..).unwrap_or_default();
    let within: usize = here.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
    (before + within).min(text.len())
}

/// The position of a runtime error of regorus, for human readers: `line 3: …`. The column is left out: it
/// refers to the text in which operators are calls.
pub(super) fn told_at_run(message: &str) -> String {
    let what = message.rsplit_once("\nerror: ").map_or(message, |(_, what)| what);
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let place = message.rsplit_once(FILE).and_then(|(_, rest)| {
        let mut numbers = rest.strip_prefix(':')?.split(|char: char| !char.is_ascii_digit());
        numbers.next()?.parse::<u32>().ok()
    });
    match place {
        Some(line) => format!("line {line} of its Rego: {what}"),
        None => what,
    }
}

struct Check<'t> {
    names: &'t Names<'t>,
    tree: &'t Tree,
    parameters: Option<Vec<String>>,
    errors: Vec<RegoError>,
}

impl<'t> Check<'t> {
    fn push(&mut self, error: RegoError) {
        self.errors.push(error);
    }

    /// A name that is reserved for an operator.
    fn taken(&mut self, name: &str, bytes: std::ops::Range<usize>) {
        let error = RegoError::new(Fault::Reference, bytes, format!("`{name}` stands for an operator here"));
        self.push(error.with_help("give it another name"));
    }

    fn imports(&mut self) {
        let mut names = BTreeSet::new();
        for import in &self.tree.imports {
            if operators::is_taken(&import.name) {
                self.taken(&import.name, import.bytes.clone());
            }
            // Of two imports with one name the interpreter uses the last, whichever one these checks read.
            let is_of_values = import.path.first().is_some_and(|root| root == "input" || root == "data");
            if is_of_values && !names.insert(import.name.as_str()) {
                let message = format!("two imports have the name `{}`", import.name);
                let error = RegoError::new(Fault::Reference, import.bytes.clone(), message);
                self.push(error.with_help("give one of them another name by `as`"));
            }
            let known = match import.path.first().map(String::as_str) {
                Some("rego" | "future") => true,
                Some("input") => {
                    let steps: Vec<Step> = import.path.iter().skip(1).cloned().map(Step::Member).collect();
                    self.input(&steps, import.bytes.clone());
                    true
                }
                Some("data") => {
                    let steps: Vec<Step> = import.path.iter().skip(1).cloned().map(Step::Member).collect();
                    self.names.meaning("data", &steps) != Meaning::Elsewhere
                }
                _ => false,
            };
            if !known {
                let message = format!(
                    "`{}` is not there: a rule sees its own module and its input",
                    import.path.join(".")
                );
                let error = RegoError::new(Fault::Reference, import.bytes.clone(), message);
                self.push(
                    error.with_help("copy what is used into this file, or hand values over as parameters"),
                );
            }
        }
    }

    fn uses(&mut self, rule: &RuleOf) {
        if operators::is_taken(&rule.name) {
            self.taken(&rule.name, rule.bytes.clone());
        }
        for one in &rule.uses {
            match one {
                Use::Call { name, arguments, bytes } => self.call(name, arguments, bytes.clone()),
                Use::Reference { root, steps, bytes } => match self.names.meaning(root, steps) {
                    Meaning::Input(steps) => self.input(&steps, bytes.clone()),
                    Meaning::Elsewhere => {
                        let message = "a rule sees its own module and its input, and this is neither";
                        let error = RegoError::new(Fault::Reference, bytes.clone(), message);
                        self.push(error.with_help(
                            "copy what is used into this file, or hand values over as parameters",
                        ));
                    }
                    Meaning::Rule(_) | Meaning::Package | Meaning::Other => {}
                },
                Use::With { bytes } => {
                    let message = "`with` puts another input or function in place of the true one";
                    let error = RegoError::new(Fault::Builtin, bytes.clone(), message);
                    self.push(error.with_help("hand the value to a function as an argument"));
                }
            }
        }
    }

    fn call(&mut self, name: &str, arguments: &[Option<String>], bytes: std::ops::Range<usize>) {
        let known = self.names;
        // A rule named like a family of built-ins does not replace it: `numbers := 1` leaves `numbers.range`
        // unchanged.
        let own = match known.called(name) {
            Meaning::Rule(rule) => known.rules.get(rule.as_str()).and_then(|rules| rules.first().copied()),
            _ => None,
        };
        if let Some(own) = own
            && !builtins::exists(name)
            && builtins::refused(name).is_none()
        {
            return self.arity(name, own.arity, arguments.len(), bytes);
        }
        if let Some(refused) = builtins::refused(name) {
            let error = RegoError::new(Fault::Builtin, bytes, format!("`{name}` {}", refused.why));
            return self.push(error.with_help(refused.help));
        }
        if !builtins::exists(name) {
            let error = RegoError::new(Fault::Reference, bytes, format!("there is no function `{name}`"));
            let built_in = builtins::names().map(|name| -> &str { name });
            let names = known.rules.keys().copied().chain(built_in);
            return self.push(match crate::nearest::nearest(name, names) {
                Some(near) => error.with_help(format!("did you mean `{near}`?")),
                None => error,
            });
        }
        self.arity(name, builtins::arity(name), arguments.len(), bytes.clone());
        for at in builtins::written_out(name) {
            if arguments.get(at).is_some_and(Option::is_none) {
                let message = format!("argument {} of `{name}` must be written out", at + 1);
                let error = RegoError::new(Fault::Builtin, bytes.clone(), message);
                self.push(error.with_help("a value of the object could make the result of any length"));
            }
        }
        if name == "sprintf" && arguments.first().is_some_and(|format| format.as_deref().is_some_and(is_wide))
        {
            let message = "the format asks for more than 99 places";
            self.push(RegoError::new(Fault::Builtin, bytes, message));
        }
    }

    /// One argument too many is compared with the result, which neither the text nor a charge shows.
    fn arity(&mut self, name: &str, arity: usize, given: usize, bytes: std::ops::Range<usize>) {
        if given > arity {
            let message = format!("`{name}` has {given} arguments here, and takes {arity}");
            let error = RegoError::new(Fault::Syntax, bytes, message);
            self.push(error.with_help("give the result a name: `x := f(…)`"));
        }
    }

    fn input(&mut self, steps: &[Step], bytes: std::ops::Range<usize>) {
        let Some(Step::Member(root)) = steps.first() else { return };
        if !ROOTS.contains(&root.as_str()) {
            let error = RegoError::new(Fault::Reference, bytes, format!("`input` has no member `{root}`"));
            let near = crate::nearest::nearest(root, ROOTS);
            return self.push(match near {
                Some(near) => error.with_help(format!("did you mean `{near}`?")),
                None => {
                    error.with_help(format!("it has {}", ROOTS.map(|root| format!("`{root}`")).join(", ")))
                }
            });
        }
        if let ("params" | "parameters", Some(Step::Member(name)), Some(declared)) =
            (root.as_str(), steps.get(1), &self.parameters)
            && !declared.contains(name)
        {
            let error =
                RegoError::new(Fault::Reference, bytes, format!("the pack has no parameter `{name}`"));
            let near = crate::nearest::nearest(name, declared.iter().map(String::as_str)).map(str::to_owned);
            self.push(match near {
                Some(near) => error.with_help(format!("did you mean `{near}`?")),
                None => error.with_help("declare it under `spec.parameters`"),
            });
        }
    }

    /// The name of the entry, if it is a rule of the module.
    fn entry(&mut self, rule: &str, end: usize) -> Option<&'t str> {
        let package = format!("data.{}", self.tree.package.join("."));
        let known = self.names;
        let name = rule.strip_prefix(&package).and_then(|rest| rest.strip_prefix('.'));
        let found = name.and_then(|name| known.rules.get_key_value(name));
        let Some((&name, definitions)) = found else {
            let error =
                RegoError::new(Fault::Convention, end..end, format!("the module has no rule `{rule}`"));
            let names = known.rules.keys().map(|name| format!("{package}.{name}"));
            let names: Vec<String> = names.collect();
            let near = crate::nearest::nearest(rule, names.iter().map(String::as_str)).map(str::to_owned);
            self.push(match near {
                Some(near) => error.with_help(format!("did you mean `{near}`?")),
                None => error.with_help(format!("its package is `{package}`")),
            });
            return None;
        };
        for definition in definitions {
            let wrong = match &definition.kind {
                Kind::Set(Key::Object(members)) if !members.iter().any(|one| one == "msg") => {
                    Some("an element that is an object has its message as `msg`")
                }
                Kind::Set(Key::NoMessage) => Some("an element is a message, or an object with `msg`"),
                Kind::Set(_) => None,
                Kind::Value | Kind::Function => Some("the rule must be a set of messages"),
            };
            if let Some(wrong) = wrong {
                let error = RegoError::new(Fault::Convention, definition.bytes.clone(), wrong);
                self.push(error.with_help(format!(
                    "write `{name} contains msg if {{ … }}`, or in Rego v0 `{name}[msg] {{ … }}`"
                )));
            }
        }
        Some(name)
    }
}

/// Whether a format of `sprintf` has a width or precision of more than two digits.
fn is_wide(format: &str) -> bool {
    format.split('%').skip(1).any(|verb| {
        let digits =
            verb.chars().take_while(|char| char.is_ascii_digit() || matches!(char, '.' | '-' | '+' | '0'));
        digits.filter(char::is_ascii_digit).count() > 2
    })
}
