//! Parses text and tokens to [`Ast`], with the `cel` crate's parser.
//!
//! The parser recurses deeply, so it runs on one thread of its own with a large stack, which also drops the
//! parser's tree. The limits on tokens ([`super::guard`]) ensure that this stack suffices. The thread lives
//! as long as the process and takes one text after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock};

use super::ast::{Ast, Span};
use super::convert;
use super::error::{CelError, CelErrorKind};
use super::guard::Token;

/// Stack size of the parser's thread, in bytes.
const STACK_BYTES: usize = 64 * 1024 * 1024;

type Answer = Result<Ast, Vec<CelError>>;

struct Job {
    source: String,
    tokens: Vec<Token>,
    answer: SyncSender<Answer>,
}

/// Parses a text that passed the guard.
pub(super) fn parse(source: &str, tokens: &[Token]) -> Answer {
    let failed = |message: &str| vec![CelError::new(CelErrorKind::Internal, 0, source.len(), message)];
    let (answer, result) = sync_channel(1);
    let job = Job { source: source.to_owned(), tokens: tokens.to_vec(), answer };
    let sender = worker().map_err(|error| failed(&error))?;
    sender.send(job).map_err(|_| failed("the CEL parser's thread is gone"))?;
    result.recv().unwrap_or_else(|_| Err(failed("the CEL parser gave no answer")))
}

/// The sending end of the parser's thread, which starts on first use.
fn worker() -> Result<std::sync::mpsc::Sender<Job>, String> {
    static WORKER: OnceLock<Result<Mutex<std::sync::mpsc::Sender<Job>>, String>> = OnceLock::new();
    let started = WORKER.get_or_init(|| {
        let (sender, jobs) = channel();
        std::thread::Builder::new()
            .name("cel-parser".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || work(&jobs))
            .map(|_handle| Mutex::new(sender))
            .map_err(|error| format!("cannot start the CEL parser's thread: {error}"))
    });
    match started {
        Ok(sender) => Ok(sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()),
        Err(error) => Err(error.clone()),
    }
}

fn work(jobs: &Receiver<Job>) {
    let env = cel::Env::default();
    for job in jobs {
        // A panic of the parser fails this text, not later ones.
        let outcome = catch_unwind(AssertUnwindSafe(|| parse_here(&env, &job.source, &job.tokens)));
        let answer = outcome.unwrap_or_else(|_| {
            Err(vec![CelError::new(
                CelErrorKind::Internal,
                0,
                job.source.len(),
                "the CEL parser failed on this text",
            )])
        });
        // If the receiver is gone, the answer is not needed.
        let _gone = job.answer.send(answer);
    }
}

/// Parses and converts on this thread.
fn parse_here(env: &cel::Env, source: &str, tokens: &[Token]) -> Answer {
    match env.parser().enable_ident_escape_syntax(true).parse_with_source_info(source) {
        Ok((tree, positions)) => convert::convert(&tree, &positions, source, tokens),
        Err(errors) => Err(syntax_errors(&errors, source, tokens)),
    }
}

fn syntax_errors(errors: &cel::ParseErrors, source: &str, tokens: &[Token]) -> Vec<CelError> {
    let mut found: Vec<CelError> = Vec::new();
    for error in &errors.errors {
        let offset = offset_of(source, error.pos);
        let token = tokens.iter().find(|token| token.span.end > offset);
        let span = token.map_or(Span { start: source.len(), end: source.len() }, |token| token.span);
        let text = source.get(span.start..span.end).unwrap_or_default();
        let message = match error.msg.strip_prefix("Syntax error: ") {
            Some(rest) if rest.starts_with("token recognition") => format!("`{text}` is not a valid literal"),
            Some(_) if text.is_empty() => "the expression ends too early".to_owned(),
            Some(_) => format!("unexpected `{text}`"),
            None if error.msg.starts_with("reserved identifier") => format!("`{text}` is a reserved word"),
            None if text.is_empty() => error.msg.clone(),
            None => format!("{}: `{text}`", error.msg.to_lowercase()),
        };
        // The parser continues after an error and fails again at the same place.
        if !found.iter().any(|other| other.offset == span.start) {
            found.push(CelError::new(CelErrorKind::Syntax, span.start, span.end - span.start, message));
        }
    }
    if found.is_empty() {
        found.push(CelError::new(CelErrorKind::Syntax, 0, source.len(), "the expression cannot be parsed"));
    }
    found.sort_by_key(|error| error.offset);
    found
}

/// Byte offset of a line and column, both counted from 1 in characters.
fn offset_of(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let before: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let here = source.get(before..).unwrap_or_default();
    before + here.chars().take(column).map(char::len_utf8).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::ast::Node;
    use crate::cel::guard;

    fn parsed(source: &str) -> Answer {
        parse(source, &guard::tokens(source)?)
    }

    /// The text that the span of the root and of its operands covers.
    fn spans(source: &str) -> Vec<&str> {
        let ast = parsed(source).unwrap();
        let text = |ast: &Ast| source.get(ast.span.start..ast.span.end).unwrap();
        let mut found = vec![text(&ast)];
        match &ast.node {
            Node::Operator(_, parts) | Node::And(parts) | Node::Or(parts) => {
                found.extend(parts.iter().map(text))
            }
            Node::Select(operand, name) => {
                found.extend([text(operand), source.get(name.span.start..name.span.end).unwrap()]);
            }
            Node::Call(target, _, arguments) => {
                found.extend(target.iter().map(|target| text(target)));
                found.extend(arguments.iter().map(text));
            }
            Node::Index(a, b) => found.extend([text(a), text(b)]),
            Node::List(items) => found.extend(items.iter().map(|(item, _)| text(item))),
            Node::Map(entries) => {
                found.extend(entries.iter().flat_map(|(key, value, _)| [text(key), text(value)]))
            }
            _ => {}
        }
        found
    }

    #[test]
    fn spans_cover_what_was_written() {
        assert_eq!(spans("(a + b) * c "), ["(a + b) * c", "(a + b)", "c"]);
        assert_eq!(spans("'ä€😀' + -5"), ["'ä€😀' + -5", "'ä€😀'", "-5"]);
        assert_eq!(spans(" a.b . c"), ["a.b . c", "a.b", "c"]);
        assert_eq!(spans("f(g(x), (1))"), ["f(g(x), (1))", "g(x)", "(1)"]);
        assert_eq!(spans("a.f( b )"), ["a.f( b )", "a", "b"]);
        assert_eq!(spans("a[b[1]]"), ["a[b[1]]", "a", "b[1]"]);
        assert_eq!(spans("[1, [2]]"), ["[1, [2]]", "1", "[2]"]);
        assert_eq!(spans("{'a': {}}"), ["{'a': {}}", "'a'", "{}"]);
        assert_eq!(spans("a && (b && c)\n&& d"), ["a && (b && c)\n&& d", "a", "b", "c", "d"]);
    }

    #[test]
    fn syntax_errors_have_place_and_words() {
        let error = |source: &str| {
            let errors = parsed(source).unwrap_err();
            let first = errors.first().unwrap();
            format!("{}+{} {}", first.offset, first.len, first.message)
        };
        assert_eq!(error("1 +"), "3+0 the expression ends too early");
        assert_eq!(error("'ä' 1"), "5+1 unexpected `1`");
        assert_eq!(error("a\n  for"), "4+3 unexpected `for`");
        assert_eq!(error("for + 1"), "0+3 `for` is a reserved word");
        assert_eq!(error("99999999999999999999"), "0+20 invalid int literal: `99999999999999999999`");
        assert_eq!(error("a = 1"), "2+1 character `=` has no meaning in CEL");
        assert_eq!(error("a + 'x"), "4+2 string is not closed");
        assert_eq!(error("(a]"), "2+1 `]` closes no `[`");
        assert_eq!(error(""), "0+0 the expression is empty");
    }
}
