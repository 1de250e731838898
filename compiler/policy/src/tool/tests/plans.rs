//! Point 10, and the first half of the path from a decision to a process: what a permit holds.

use serde_json::json;

use super::build::*;
use crate::policy::tools::{Program, RuleEffect, Stdin, ToolPattern, ToolRule, Word};
use crate::tool::{
    DenyReason, Effect, MAX_ARGUMENT_BYTES, MAX_FILE_BYTES, Plan, PlannedProgram, ToolDecision,
    WorkspaceOperation,
};

fn allow_all() -> ToolRule {
    ToolRule { tools: vec![ToolPattern::Prefix(String::new())], ..rule("allow", RuleEffect::Allow) }
}

#[track_caller]
fn plan(decision: ToolDecision) -> Plan {
    match decision.effect {
        Effect::Allow(permit) => permit.into_inner().plan().clone(),
        other => panic!("expected Allow, got {other:?}"),
    }
}

fn argv(words: &[&str]) -> Plan {
    Plan::Sandbox {
        sandbox: "shell".to_owned(),
        program: PlannedProgram::Argv(words.iter().map(|word| (*word).to_owned()).collect()),
        stdin: Stdin::Forbidden,
    }
}

#[test]
fn a_command_is_made_of_values_and_arguments_and_an_absent_one_leaves_its_word_out() {
    let mut world = World::new(vec![defining([allow_all()])]);
    assert_eq!(plan(world.run("ls -l")), argv(&["/bin/bash", "--", "ls -l"]));
    let noted = call_with("n1", "shell.exec", json!({"command": "ls", "note": ""}));
    assert_eq!(plan(world.decide(&noted, None)), argv(&["/bin/bash", "--", "ls", ""]));
}

#[test]
fn a_permit_holds_the_call_that_was_decided() {
    let mut world = World::new(vec![defining([allow_all()])]);
    let decision = world.run("ls");
    let Effect::Allow(permit) = &decision.effect else { panic!("{decision:?}") };
    assert_eq!(permit.get().call(), &call("c1", "ls"));
}

#[test]
fn what_cannot_be_executed_is_denied() {
    let mut world = World::new(vec![defining([allow_all()])]);
    denial(&world.run("ls\0"), DenyReason::Plan);
    assert_eq!(shown(&world.run(&"x".repeat(MAX_ARGUMENT_BYTES))), "Allow");
    denial(&world.run(&"x".repeat(MAX_ARGUMENT_BYTES + 1)), DenyReason::Plan);
    let mut wide = defining([allow_all()]);
    let many = std::iter::repeat_n(Word::Arg("command".to_owned()), 9);
    wide.definitions[0].run.program =
        Program::Argv([Word::Value("/bin/echo".to_owned())].into_iter().chain(many).collect());
    let mut world = World::new(vec![wide]);
    assert_eq!(shown(&world.run(&"x".repeat(100_000))), "Allow");
    denial(&world.run(&"x".repeat(120_000)), DenyReason::Plan);
}

#[test]
fn an_argument_of_another_type_cannot_become_a_word() {
    let mut layer = defining([allow_all()]);
    layer.definitions[0].input["properties"]["command"] = json!({"type": "integer"});
    layer.definitions[0].derive.clear();
    let mut world = World::new(vec![layer]);
    denial(&world.decide(&call_with("c1", "shell.exec", json!({"command": 1})), None), DenyReason::Plan);
}

#[test]
fn source_text_goes_to_the_runtime_and_must_be_there() {
    let mut layer = defining([allow_all()]);
    layer.definitions[0].run.program = Program::Code(Word::Arg("note".to_owned()));
    layer.definitions[0].stdin = Stdin::Stream;
    let mut world = World::new(vec![layer.clone()]);
    let code = |note: &str| {
        call_with(&format!("n{}", note.len()), "shell.exec", json!({"command": "", "note": note}))
    };
    let planned = plan(world.decide(&code("print(1)"), None));
    let program = PlannedProgram::Code("print(1)".to_owned());
    assert_eq!(
        planned,
        Plan::Sandbox { sandbox: "shell".into(), program: program.clone(), stdin: Stdin::Stream }
    );
    denial(&world.run("ls"), DenyReason::Plan);
    denial(&world.decide(&code("a\0"), None), DenyReason::Plan);
    // Of two definitions the stricter one applies.
    let mut strict = layer.clone();
    strict.definitions[0].stdin = Stdin::Forbidden;
    let mut world = World::new(vec![layer, strict]);
    let planned = plan(world.decide(&code("print(1)"), None));
    assert_eq!(planned, Plan::Sandbox { sandbox: "shell".into(), program, stdin: Stdin::Forbidden });
}

#[test]
fn files_are_calls_that_need_a_grant() {
    let mut world = World::new(vec![ruling([])]);
    let read = call_with("r1", "workspace.read", json!({"path": "a/b"}));
    // No layer names it: no layer granted it.
    denial(&world.decide(&read, None), DenyReason::NoRule);
    let mut world = World::new(vec![ruling([allow_all()])]);
    let mut run = |id: &str, tool: &str, args| world.decide(&call_with(id, tool, args), None);
    let path = || "a/b".to_owned();
    let planned = plan(run("r1", "workspace.read", json!({"path": "a/b"})));
    assert_eq!(planned, Plan::Workspace(WorkspaceOperation::Read { path: path() }));
    let planned = plan(run("r2", "workspace.list", json!({"path": "a/b"})));
    assert_eq!(planned, Plan::Workspace(WorkspaceOperation::List { path: path() }));
    let written = |content: &[u8]| {
        Plan::Workspace(WorkspaceOperation::Write { path: path(), content: content.to_vec() })
    };
    let planned = plan(run("r3", "workspace.write", json!({"path": "a/b", "content": "é"})));
    assert_eq!(planned, written("é".as_bytes()));
    let base64 = json!({"path": "a/b", "content": "/wA=", "encoding": "base64"});
    assert_eq!(plan(run("r4", "workspace.write", base64)), written(&[255, 0]));
    for (args, reason) in [
        (json!({"path": "", "content": ""}), DenyReason::Arguments),
        (json!({"path": "a", "content": "", "encoding": "hex"}), DenyReason::Arguments),
        (json!({"path": "a\0", "content": ""}), DenyReason::Plan),
        (json!({"path": "a", "content": "?", "encoding": "base64"}), DenyReason::Plan),
        (json!({"path": "a", "content": "x".repeat(MAX_FILE_BYTES + 1)}), DenyReason::Plan),
        (json!({"content": ""}), DenyReason::Arguments),
    ] {
        denial(&run("r5", "workspace.write", args), reason);
    }
}
