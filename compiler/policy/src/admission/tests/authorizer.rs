//! Questions to the authorizer: which are asked, and the decision with and without their answers.

use super::rules::{cel, with_rule};
use super::*;
use crate::admission::{Facts, Moment, Reviewed};
use crate::authorization::{Answer, MAX_QUESTION_BYTES, MAX_QUESTIONS, Question};
use crate::ir::{Const, Expr, Func, Root};
use crate::policy::Action;

fn text(text: &str) -> Expr {
    Expr::Const(Const::Str(text.to_owned()))
}

/// `authorizer.path(path).check('get').allowed()`.
fn may(path: Expr) -> Expr {
    let path = Expr::Call(Func::Path, vec![Expr::Root(Root::Authorizer), path]);
    Expr::Call(Func::Allowed, vec![Expr::Call(Func::Check, vec![path, text("get")])])
}

fn reviewed(policy: Policy, request: &AdmissionRequest<'_>, facts: &Facts) -> Reviewed {
    reviewer(vec![policy]).review_with(request, Phase::Validate, Moment::END, facts)
}

fn asked(reviewed: &Reviewed) -> Vec<String> {
    reviewed.wanted.questions.iter().map(ToString::to_string).collect()
}

/// What `yes` says applies to every user.
fn answered(questions: Vec<Question>, yes: impl Fn(&Question) -> bool) -> Facts {
    let mut facts = Facts::default();
    for question in questions {
        let answer = Answer { allowed: yes(&question), ..Answer::default() };
        facts.answers.learn(question, Ok(answer));
    }
    facts
}

#[test]
fn a_rule_denies_until_its_question_is_answered_and_then_by_the_answer() {
    let policy = || with_rule(may(text("/a")), |_| {});
    let request = create(pod("{}", "{}"));
    let open = reviewed(policy(), &request, &Facts::default());
    assert_eq!(asked(&open), ["who asks may `get` the path `/a`"]);
    assert_eq!(
        shown(&open.decision),
        "denied\ndeny probe@1.0.0/memory-limits: cannot be evaluated: it is not known whether who asks may `get` the path `/a`: the authorizer was not asked (); try again; the webhook asks the API server in a cluster and nowhere else, and a test says the answer under `authorizer` of its case"
    );
    for yes in [true, false] {
        let facts = answered(open.wanted.questions.clone(), |_| yes);
        let settled = reviewed(policy(), &request, &facts);
        assert!(settled.wanted.is_empty());
        assert_eq!(settled.decision.allowed, yes, "{}", shown(&settled.decision));
        // The answer says who may, so the denial comes from the rule itself.
        assert_eq!(shown(&settled.decision).contains("it is wrong"), !yes);
    }
    let mut facts = Facts::default();
    for question in open.wanted.questions {
        facts.answers.learn(question, Err("the API server did not say in time".to_owned()));
    }
    let failed = reviewed(policy(), &request, &facts);
    assert!(!failed.decision.allowed && failed.wanted.is_empty());
    assert!(shown(&failed.decision).contains("the path `/a`: the API server did not say in time"));
    // A pack that only warns also only warns about what it does not know.
    let warns = with_rule(may(text("/a")), |rule| rule.action = Action::Warn);
    let decision = reviewed(warns, &request, &Facts::default()).decision;
    assert!(decision.allowed && decision.findings.len() == 1, "{}", shown(&decision));
}

#[test]
fn an_answer_may_lead_to_another_question() {
    // `may(/a) ? may(/b) : may(/c)`.
    let either = Expr::Cond(Box::new(may(text("/a"))), Box::new(may(text("/b"))), Box::new(may(text("/c"))));
    let reviewer = reviewer(vec![with_rule(either, |rule| {
        rule.matches.conditions = vec![("first".to_owned(), cel(may(text("/0"))))];
    })]);
    let mut rounds = Vec::new();
    let admitted = reviewer.admit_with(&create(pod("{}", "{}")), |wanted, facts| {
        rounds.push(wanted.questions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        for question in &wanted.questions {
            facts.answers.learn(question.clone(), Ok(Answer { allowed: true, ..Answer::default() }));
        }
    });
    assert!(admitted.decision().allowed, "{}", shown(admitted.decision()));
    assert_eq!(rounds, ["/0", "/a", "/b"].map(|path| format!("who asks may `get` the path `{path}`")));
}

#[test]
fn one_request_asks_a_bounded_number_of_questions_of_a_bounded_length() {
    let many = |count: usize| Expr::And((0..count).map(|at| may(text(&format!("/{at:02}")))).collect());
    let request = create(pod("{}", "{}"));
    for count in [MAX_QUESTIONS, MAX_QUESTIONS + 1] {
        let policy = || with_rule(many(count), |_| {});
        let open = reviewed(policy(), &request, &Facts::default());
        assert_eq!(open.wanted.questions.len(), MAX_QUESTIONS);
        let settled = reviewed(policy(), &request, &answered(open.wanted.questions, |_| true));
        assert!(settled.wanted.is_empty(), "what goes beyond is never asked");
        assert_eq!(settled.decision.allowed, count == MAX_QUESTIONS, "{}", shown(&settled.decision));
        assert_eq!(shown(&settled.decision).contains("16 questions at the most"), count > MAX_QUESTIONS);
    }
    let long = with_rule(may(text(&"a".repeat(MAX_QUESTION_BYTES))), |_| {});
    let open = reviewed(long, &request, &Facts::default());
    assert!(open.wanted.is_empty() && !open.decision.allowed, "{}", shown(&open.decision));
}

/// Each webhook has the full number of questions, and so does a review of a manifest in one go.
#[test]
fn what_mutations_asked_leaves_as_many_questions_to_validations() {
    let all = |of: &str, count: usize| {
        Expr::And((0..count).map(|at| may(text(&format!("/{of}/{at:02}")))).collect())
    };
    let labels = ["metadata", "labels"]
        .iter()
        .fold(Expr::Root(Root::Object), |here, field| Expr::Select(Box::new(here), (*field).to_owned()));
    let stamped = Expr::Has(Box::new(labels), crate::admission::CELL_LABEL.to_owned());
    let condition = Expr::Or(vec![stamped, all("mutate", MAX_QUESTIONS)]);
    let policy = with_rule(all("validate", MAX_QUESTIONS), |rule| {
        rule.matches.conditions = vec![("first".to_owned(), cel(condition))];
        let path = ["metadata", "annotations", "by"].map(str::to_owned).to_vec();
        let (when, value) = (crate::policy::MutateWhen::Always, "policy".into());
        rule.mutations = vec![crate::policy::Mutation::Field { path, when, value, at: "m".into() }];
    });
    let mut asked = Vec::new();
    let admitted = reviewer(vec![policy]).admit_with(&create(pod("{}", "{}")), |wanted, facts| {
        asked.push(wanted.questions.len());
        for question in &wanted.questions {
            facts.answers.learn(question.clone(), Ok(Answer { allowed: true, ..Answer::default() }));
        }
    });
    assert_eq!(asked, [MAX_QUESTIONS, MAX_QUESTIONS]);
    assert!(admitted.decision().allowed, "{}", shown(admitted.decision()));
}

#[test]
fn a_mutation_that_nobody_answered_says_what_helps() {
    let asks = || {
        with_rule(Expr::Const(Const::Bool(true)), |rule| {
            let annotations = Expr::Map(vec![(text("by"), may(text("/a")), false)]);
            let metadata = Expr::Map(vec![(text("annotations"), annotations, false)]);
            let partial = Expr::Map(vec![(text("metadata"), metadata, false)]);
            rule.mutations = vec![crate::policy::Mutation::ApplyConfiguration {
                expression: cel(partial),
                at: "m".into(),
            }];
        })
    };
    let decision = reviewer(vec![asks()]).review(&create(pod("{}", "{}")), Phase::Mutate);
    assert!(shown(&decision).ends_with(
        "it is not known whether who asks may `get` the path `/a`: the authorizer was not asked (); try again; the webhook asks the API server in a cluster and nowhere else, and a test says the answer under `authorizer` of its case"
    ), "{}", shown(&decision));
}

#[test]
fn who_updates_is_asked_about_whoever_made_it() {
    // The object says where to ask, and already did before: the violation belongs to the current requester
    // and is not old.
    let path = Expr::Select(
        Box::new(Expr::Select(Box::new(Expr::Root(Root::Object)), "metadata".to_owned())),
        "name".to_owned(),
    );
    let policy = || with_rule(may(path.clone()), |_| {});
    let old = stored("{}", "{}");
    let touched = with(old.clone(), r#"{"metadata": {"annotations": {"touched": "1"}}}"#);
    let request = update(old, touched);
    let open = reviewed(policy(), &request, &Facts::default());
    let settled = reviewed(policy(), &request, &answered(open.wanted.questions, |_| false));
    assert!(!settled.decision.allowed, "{}", shown(&settled.decision));
}
