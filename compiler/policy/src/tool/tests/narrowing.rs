//! `narrow`: every matching one applies to the call, and a sandbox that is not provably narrower denies.

use super::build::*;
use crate::policy::tools::{Resource, RuleEffect, ToolPattern, ToolRule};
use crate::tool::{Change, DenyReason, Effect, RuleKind, RuleOutcome, ToolDecision, VerifiedApproval};

fn allow() -> ToolRule {
    rule("allow", RuleEffect::Allow)
}

/// Where an allowed call runs, or else the reason of the denial.
fn place(decision: &ToolDecision) -> String {
    match &decision.effect {
        Effect::Allow(permit) => permit.get().plan().sandbox().unwrap().to_owned(),
        _ => shown(decision),
    }
}

/// Where a call runs under these rules, which narrow it.
fn narrowed<const N: usize>(names: [&str; N]) -> String {
    let mut layer = defining([allow()]);
    layer.rules.extend(names.iter().enumerate().map(|(at, name)| rule(&format!("r{at}"), narrow(name))));
    place(&World::new(vec![layer]).run("ls"))
}

#[test]
fn the_narrowest_is_where_the_call_runs() {
    assert_eq!(narrowed([]), "shell");
    assert_eq!(narrowed(["quiet"]), "quiet");
    // Its own sandbox is neither narrower nor wider.
    assert_eq!(narrowed(["shell"]), "shell");
    for names in
        [["shell", "quiet", "quietest"], ["quietest", "small", "quiet"], ["small", "quietest", "small"]]
    {
        let expected = "quietest";
        assert_eq!(narrowed(names), expected, "{names:?}");
    }
}

#[test]
fn sandboxes_that_cannot_be_compared_deny() {
    assert_eq!(narrowed(["quiet", "small"]), "NarrowConflict");
    assert_eq!(narrowed(["small", "quiet"]), "NarrowConflict");
    // Also across two packs.
    let layers =
        || vec![defining([allow(), rule("q", narrow("quiet"))]), ruling([rule("s", narrow("small"))])];
    let decision = World::new(layers()).run("ls");
    let denied = denial(&decision, DenyReason::NarrowConflict);
    assert_eq!(denied.message, "none of the sandboxes `quiet`, `small` is narrower than the others");
    assert!(decision.rules.iter().all(|report| report.outcome == RuleOutcome::Applied));
    let mut world = World::new(vec![
        defining([allow(), rule("q", narrow("quiet"))]),
        ruling([rule("s", narrow("quietest"))]),
    ]);
    assert_eq!(place(&world.run("ls")), "quietest");
}

#[test]
fn a_sandbox_that_is_not_provably_narrower_denies() {
    let decision = World::new(vec![defining([allow(), rule("wide", narrow("other"))])]).run("ls");
    let denied = denial(&decision, DenyReason::NarrowConflict);
    assert_eq!(denied.rule.as_deref(), Some("wide"));
    // The executor's own tools do not run in a sandbox of a policy.
    let everything =
        |effect| ToolRule { tools: vec![ToolPattern::Prefix(String::new())], ..rule("all", effect) };
    let mut layer = ruling([everything(RuleEffect::Allow)]);
    let list = call_with("l1", "workspace.list", serde_json::json!({"path": "."}));
    assert_eq!(shown(&World::new(vec![layer.clone()]).decide(&list, None)), "Allow");
    layer.rules.push(ToolRule { name: "narrow".to_owned(), ..everything(narrow("quiet")) });
    denial(&World::new(vec![layer]).decide(&list, None), DenyReason::NarrowConflict);
}

/// Rules have judged a relative path as one below the workspace.
#[test]
fn a_sandbox_without_the_workspace_is_no_narrower() {
    let mut policy = policy(vec![defining([allow(), rule("quiet", narrow("quiet"))])]);
    policy.sandboxes.iter_mut().find(|one| one.name == "quiet").unwrap().filesystem.workspace = None;
    let loaded = crate::tool::LoadedPolicy::new(policy, "0".repeat(64)).unwrap();
    let decision = crate::tool::decide_tool_call(&loaded, &call("c1", "ls"), &opened(), START_MS, None);
    denial(&decision, DenyReason::NarrowConflict);
}

#[test]
fn a_narrow_is_a_restriction() {
    // It grants nothing, applies when its condition holds, and denies when that cannot be evaluated.
    assert_eq!(place(&World::new(vec![defining([rule("q", narrow("quiet"))])]).run("ls")), "NoRule");
    let conditional = |condition| defining([allow(), when(rule("q", narrow("quiet")), condition)]);
    assert_eq!(place(&World::new(vec![conditional(command_is("ls"))]).run("ls")), "quiet");
    assert_eq!(place(&World::new(vec![conditional(command_is("rm"))]).run("ls")), "shell");
    assert_eq!(place(&World::new(vec![conditional(fails())]).run("ls")), "EvaluationError");
    let decision = World::new(vec![defining([allow(), rule("q", narrow("quiet"))])]).run("ls");
    assert_eq!(
        (decision.rules[1].kind, &decision.rules[1].outcome),
        (RuleKind::Narrow, &RuleOutcome::Applied)
    );
    // In shadow it is only reported.
    let mut layer = defining([allow(), shadow(rule("q", narrow("quiet")))]);
    assert_eq!(place(&World::new(vec![layer.clone()]).run("ls")), "shell");
    layer.rules.push(shadow(rule("wide", narrow("other"))));
    assert_eq!(place(&World::new(vec![layer]).run("ls")), "shell");
}

#[test]
fn an_approval_binds_the_narrowed_sandbox() {
    let layer = || defining([rule("ask", RuleEffect::Ask(ask(1))), rule("q", narrow("quiet"))]);
    let mut world = World::new(vec![layer()]);
    let asked = world.decide(&call("c1", "ls"), None);
    assert_eq!(asked.binds.as_ref().unwrap()["sandbox"], "quiet");
    let Effect::Ask(request) = &asked.effect else { panic!("{asked:?}") };
    let approval = VerifiedApproval {
        id: request.id.clone(),
        call_hash: request.call_hash.clone(),
        policy_digest: request.policy_digest.clone(),
        expires_ms: request.expires_ms,
        keys: [key('a')].into(),
    };
    assert_eq!(place(&world.decide(&call("c1", "ls"), Some(&approval))), "quiet", "also after approval");
    // An approval of the same call in the tool's own sandbox is for something else.
    let mut wide = layer();
    wide.rules.pop();
    let other = World::new(vec![wide]).decide(&call("c1", "ls"), None);
    let Effect::Ask(other) = &other.effect else { panic!("{other:?}") };
    assert_ne!(other.call_hash, request.call_hash);
}

#[test]
fn budgets_reserve_what_the_narrowed_sandbox_may_use() {
    let reserved = |rules: Vec<ToolRule>, resource, limit| {
        let mut layer = defining([allow()]);
        layer.rules.extend(rules);
        layer.budgets = vec![budget("few", resource, limit, None)];
        let decision = World::new(vec![layer]).run("ls");
        let amounts: Vec<u64> = decision
            .delta
            .changes
            .iter()
            .flat_map(|change| match change {
                Change::Admitted { reserved, .. } => reserved.iter().map(|one| one.amount_milli).collect(),
                _ => Vec::new(),
            })
            .collect();
        (shown(&decision), amounts)
    };
    let to = |name: &str| vec![rule("q", narrow(name))];
    assert_eq!(reserved(vec![], Resource::CpuSeconds, 9_000), ("Allow".to_owned(), vec![8_000]));
    assert_eq!(reserved(to("quiet"), Resource::CpuSeconds, 9_000), ("Allow".to_owned(), vec![4_000]));
    // A budget too small for the tool's own sandbox may suffice for the narrower one.
    assert_eq!(reserved(vec![], Resource::CpuSeconds, 5_000).0, "BudgetExhausted");
    assert_eq!(reserved(to("quiet"), Resource::CpuSeconds, 5_000).0, "Allow");
    assert_eq!(reserved(to("small"), Resource::OutputBytes, 600_000).1, [500_000]);
}
