//! An authored rule made ready for evaluation: its expressions prepared, and what each of them reads.

use crate::cel::{Loaded, Prepared};
use crate::ir::Cel;
use crate::policy::{AdmissionRule, Mutation};

use super::reads::{Reads, SharedReads};
use super::rego::RegoRule;

/// What is prepared from a rule when its policy is put in force; all lists in the order of the rule's own.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) expressions: Expressions,
    /// The rule's Rego.
    pub(super) rego: Option<Box<dyn RegoRule>>,
    pub(super) reads: RuleReads,
}

/// The expressions of a rule.
#[derive(Debug)]
pub(super) struct Expressions {
    pub(super) conditions: Vec<Prepared>,
    /// Of each validation, with that of its message.
    pub(super) validations: Vec<(Prepared, Option<Prepared>)>,
    pub(super) annotations: Vec<Prepared>,
    /// Of each mutation that is an expression.
    pub(super) mutations: Vec<Option<Prepared>>,
}

/// What the expressions of a rule read.
#[derive(Debug)]
pub(super) struct RuleReads {
    pub(super) validations: Vec<Reads>,
    /// Of its Rego.
    pub(super) rego: Option<Reads>,
    pub(super) conditions: Vec<Reads>,
    /// Of messages and audit annotations.
    pub(super) words: Vec<Reads>,
}

/// A rule and what was prepared from it.
#[derive(Clone, Copy)]
pub(super) struct ReadyRule<'r> {
    pub(super) rule: &'r AdmissionRule,
    pub(super) ready: &'r Ready,
}

impl Ready {
    pub(super) fn new(
        rule: &AdmissionRule,
        loaded: &Loaded,
        shared: &SharedReads,
        rego: Option<Box<dyn RegoRule>>,
    ) -> Self {
        let mut reads = RuleReads::new(rule, shared);
        reads.rego = rego.as_ref().map(|rego| Reads::from(rego.reads()));
        Self { expressions: Expressions::new(rule, loaded), rego, reads }
    }
}

impl Expressions {
    fn new(rule: &AdmissionRule, loaded: &Loaded) -> Self {
        let prepare = |cel: &Cel| loaded.prepare(cel);
        let of_mutation = |mutation: &Mutation| match mutation {
            Mutation::Field { .. } => None,
            Mutation::JsonPatch { expression, .. } | Mutation::ApplyConfiguration { expression, .. } => {
                Some(prepare(expression))
            }
        };
        let validations = rule.validations.iter();
        Self {
            conditions: rule.matches.conditions.iter().map(|(_, cel)| prepare(cel)).collect(),
            validations: validations
                .map(|one| (prepare(&one.expression), one.message_expression.as_ref().map(prepare)))
                .collect(),
            annotations: rule.audit_annotations.iter().map(|(_, cel)| prepare(cel)).collect(),
            mutations: rule.mutations.iter().map(of_mutation).collect(),
        }
    }
}

impl RuleReads {
    fn new(rule: &AdmissionRule, shared: &SharedReads) -> Self {
        let messages = rule.validations.iter().filter_map(|one| one.message_expression.as_ref());
        let words = messages.chain(rule.audit_annotations.iter().map(|(_, cel)| cel));
        Self {
            validations: rule.validations.iter().map(|one| shared.of(&one.expression)).collect(),
            rego: None,
            conditions: rule.matches.conditions.iter().map(|(_, cel)| shared.of(cel)).collect(),
            words: words.map(|cel| shared.of(cel)).collect(),
        }
    }

    /// Everything that the rule reads during evaluation.
    pub(super) fn all(&self) -> impl Iterator<Item = &Reads> {
        self.validations.iter().chain(&self.rego).chain(&self.conditions).chain(&self.words)
    }
}
