//! Questions to the API server's authorizer and its answers: facts that a caller fetched, passed to a
//! decision as an argument.
//!
//! Not an authorizer and not a client of one. An expression `authorizer…check(verb)` makes a [`Question`]. If
//! its answer is known, that is the value; if not, the evaluation is an error and [`Questions`] keeps the
//! question for the caller to ask.
//!
//! ```text
//! expression ► Questions::ask ─┬ known ► Answer
//!                           └ open  ► an error, and a question for the API server (a SubjectAccessReview)
//! ```

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The most distinct questions of one decision. The API server's cost model lets an expression ask two, so
/// this is eight such expressions over one request. It bounds the requests to the API server that one request
/// can cause.
pub const MAX_QUESTIONS: usize = 16;

/// The longest question, in bytes of all its parts: names in Kubernetes have up to 253, and a selector some
/// more.
pub const MAX_QUESTION_BYTES: usize = 4 << 10;

/// Whether a user may do something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Who.
    pub who: Who,
    /// On what.
    pub what: What,
    /// Which action: a verb of the API (`create`), or of HTTP in lower case (`get`) for a path.
    pub verb: String,
}

/// Who would do it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The sender of the request under review.
    Requester,
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What the action would be on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A path that is not a resource, such as `/healthz`.
    Path(String),
    /// A resource.
    Resource(Resource),
}

/// A resource of the API. An empty field is unspecified; an empty group is the core one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub struct Resource {
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub field_selector: String,
    pub label_selector: String,
}

/// What the authorizer said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether it allows it. "No opinion" is no.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// What went wrong while it decided; empty: nothing.
    pub error: String,
}

/// Why a question has no answer.
pub type Refusal = String;

/// The answers that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<Question, Result<Answer, Refusal>>);

impl Answers {
    /// Records an answer, or why there is none.
    pub fn learn(&mut self, question: Question, answer: Result<Answer, Refusal>) {
        self.0.insert(question, answer);
    }
}

/// What is known, and what one decision asked for without getting it.
#[derive(Debug)]
pub struct Questions<'f> {
    known: &'f Answers,
    open: RefCell<BTreeSet<Question>>,
}

impl<'f> Questions<'f> {
    /// Nothing was asked yet.
    #[must_use]
    pub const fn new(known: &'f Answers) -> Self {
        Self { known, open: RefCell::new(BTreeSet::new()) }
    }

    /// The answer to a question.
    ///
    /// # Errors
    /// Why it is not known. A question that is asked for the first time is noted, as long as there are not
    /// too many.
    pub fn ask(&self, question: Question) -> Result<&'f Answer, Refusal> {
        match self.known.0.get(&question) {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(refusal)) => return Err(format!("it is not known whether {question}: {refusal}")),
            None => {}
        }
        if question.bytes() > MAX_QUESTION_BYTES {
            return Err(format!("the authorizer is asked nothing longer than {MAX_QUESTION_BYTES} bytes"));
        }
        let mut open = self.open.borrow_mut();
        if self.known.0.len().saturating_add(open.len()) >= MAX_QUESTIONS && !open.contains(&question) {
            return Err(format!(
                "it is not known whether {question}: one request asks the authorizer {MAX_QUESTIONS} questions at the most"
            ));
        }
        let why = format!("it is not known whether {question}: the authorizer was not asked");
        open.insert(question);
        Err(why)
    }

    /// What was asked and is not known, sorted.
    #[must_use]
    pub fn open(&self) -> Vec<Question> {
        self.open.borrow().iter().cloned().collect()
    }
}

impl Question {
    fn bytes(&self) -> usize {
        let who = match &self.who {
            Who::Requester => 0,
            Who::ServiceAccount { namespace, name } => namespace.len() + name.len(),
        };
        let what = match &self.what {
            What::Path(path) => path.len(),
            What::Resource(of) => {
                let texts = [&of.group, &of.resource, &of.subresource, &of.namespace, &of.name];
                let selectors = [&of.field_selector, &of.label_selector];
                texts.into_iter().chain(selectors).map(String::len).sum()
            }
        };
        who + what + self.verb.len()
    }
}

impl fmt::Display for Question {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Requester => write!(out, "who asks may `{}` ", self.verb)?,
            Who::ServiceAccount { namespace, name } => {
                write!(out, "service account `{namespace}/{name}` may `{}` ", self.verb)?;
            }
        }
        match &self.what {
            What::Path(path) => write!(out, "the path `{path}`"),
            What::Resource(resource) => resource.fmt(out),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![self.resource.as_str(), ".", &self.group];
        if self.group.is_empty() {
            parts.truncate(1);
        }
        write!(out, "`{}", parts.concat())?;
        if !self.subresource.is_empty() {
            write!(out, "/{}", self.subresource)?;
        }
        out.write_str("`")?;
        for (what, text) in [
            ("named", &self.name),
            ("in namespace", &self.namespace),
            ("with fields", &self.field_selector),
            ("with labels", &self.label_selector),
        ] {
            if !text.is_empty() {
                write!(out, " {what} `{text}`")?;
            }
        }
        Ok(())
    }
}
