//! Whether a test file could fail at all: every statement of the policy is removed in turn, and if no case
//! notices any removal, the file proves nothing.

use bailiwick_compiler::syscalls;
use bailiwick_policy::policy::Policy;
use bailiwick_policy::policy::sandboxes::AllowedSyscall;

/// For each statement, its name and the policy without it.
pub(super) fn weakened(policy: &Policy) -> Vec<(String, Policy)> {
    let mut all = Vec::new();
    let mut without = |name: String, take: &dyn Fn(&mut Policy)| {
        let mut weaker = policy.clone();
        take(&mut weaker);
        if weaker != *policy {
            all.push((name, weaker));
        }
    };
    without("subjects".to_owned(), &|policy| policy.subject = None);
    without("podSecurity".to_owned(), &|policy| policy.isolation.pod_security.clear());
    without("runtimeClass".to_owned(), &|policy| policy.isolation.runtime_class = None);
    without("serviceAccountToken".to_owned(), &|policy| policy.isolation.service_account_token = None);
    without("network".to_owned(), &|policy| policy.network = None);
    without("images".to_owned(), &|policy| policy.images.clear());
    for index in 0..policy.network.as_ref().map_or(0, |network| network.egress.len()) {
        without(format!("network.egress[{index}]"), &|policy| {
            if let Some(network) = &mut policy.network {
                network.egress.remove(index);
            }
        });
    }
    for index in 0..policy.network.as_ref().map_or(0, |network| network.ingress.len()) {
        without(format!("network.ingress[{index}]"), &|policy| {
            if let Some(network) = &mut policy.network {
                network.ingress.remove(index);
            }
        });
    }
    for (index, rule) in policy.admission.rules.iter().enumerate() {
        without(rule.name.clone(), &|policy| {
            policy.admission.rules.remove(index);
        });
    }
    for (index, sandbox) in policy.sandboxes.iter().enumerate() {
        without(format!("sandboxes.{}.filesystem", sandbox.name), &|policy| {
            if let Some(sandbox) = policy.sandboxes.get_mut(index) {
                let files = &mut sandbox.filesystem;
                (files.read_only, files.writable, files.workspace) = (Vec::new(), Vec::new(), None);
            }
        });
        without(format!("sandboxes.{}.syscalls", sandbox.name), &|policy| {
            if let Some(sandbox) = policy.sandboxes.get_mut(index) {
                sandbox.syscalls.allowed = everything();
                sandbox.syscalls.refused.clear();
            }
        });
    }
    tools(policy, &mut without);
    all
}

/// Removes a statement of this name from a policy.
type Without<'w> = &'w mut dyn FnMut(String, &dyn Fn(&mut Policy));

/// The same for the statements over tools.
fn tools(policy: &Policy, without: Without<'_>) {
    for (at, layer) in policy.tools.iter().enumerate() {
        for (index, rule) in layer.rules.iter().enumerate() {
            without(rule.name.clone(), &|policy| {
                if let Some(layer) = policy.tools.get_mut(at) {
                    layer.rules.remove(index);
                }
            });
        }
        for (index, tool) in layer.definitions.iter().enumerate() {
            without(format!("{}.mayAdd", tool.name), &|policy| {
                let layer = policy.tools.get_mut(at);
                if let Some(tool) = layer.and_then(|layer| layer.definitions.get_mut(index)) {
                    tool.may_add.clear();
                }
            });
        }
        for (index, budget) in layer.budgets.iter().enumerate() {
            without(budget.name.clone(), &|policy| {
                if let Some(layer) = policy.tools.get_mut(at) {
                    layer.budgets.remove(index);
                }
            });
        }
    }
}

/// Every system call, whatever its arguments.
fn everything() -> Vec<AllowedSyscall> {
    let call = |name: &str| {
        let numbers = syscalls::numbers(name)?;
        Some(AllowedSyscall { name: name.to_owned(), numbers, when: Vec::new() })
    };
    syscalls::all().filter_map(call).collect()
}
