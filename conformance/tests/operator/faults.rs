//! What happens when a process dies halfway.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::packs::{binding, pack};
use crate::stage::{Stage, until, until_ok};

/// Rounds in which an operator may be too fast to be killed in the middle.
const ROUNDS: usize = 6;

const CONTROLS: &str = "networkpolicies,validatingadmissionpolicies,validatingadmissionpolicybindings";

fn apply(stage: &Stage, name: &str, namespaces: usize) {
    for index in 0..namespaces {
        stage.namespace(&format!("{name}-{index}"), name);
    }
    stage.apply(&pack(name, "1.0.0", "192.0.2.0/28"));
    stage.apply(&binding(name, name, "1.0.0", ""));
}

#[test]
fn killed_between_two_writes_its_successor_ends_the_work() {
    let stage = Stage::new();
    // It is killed as soon as something exists. If everything existed by then, nothing was tested, and
    // another pack is tried.
    let killed = (0..ROUNDS).map(|round| format!("killed-{round}")).find(|name| {
        let policies = || {
            let all = stage.ours("networkpolicies");
            all.iter().filter(|one| one.contains(&format!(" {name}-"))).count()
        };
        let first = stage.operator(&[]).leads();
        apply(&stage, name, 12);
        until("something stands", || (policies() > 0).then_some(()));
        drop(first);
        let left = policies() < 24;
        if !left {
            stage.kubectl(&["delete", "policybinding", name]);
        }
        left
    });
    let killed = killed.expect("a round in which work was left");
    let successor = stage.operator(&[]).leads();
    stage.condition("policybinding", &killed, None, "Enforced", "True");
    until("what earlier rounds bound is gone", || (stage.ours("networkpolicies").len() <= 24).then_some(()));
    let there = stage.ours(CONTROLS);
    assert_eq!(there.iter().filter(|one| one.starts_with("NetworkPolicy")).count(), 24, "{there:?}");
    // Half of it deleted while no operator runs: the same again.
    successor.stop();
    stage.kubectl(&["delete", "networkpolicies", "--all", "-n", &format!("{killed}-3")]);
    stage.kubectl(&[
        "delete",
        "validatingadmissionpolicybindings",
        "-l",
        "app.kubernetes.io/managed-by=bailiwick",
    ]);
    let last = stage.operator(&[]).leads();
    until("everything is back", || (stage.ours(CONTROLS) == there).then_some(()));
    last.stop();
}

/// The API server's process, stopped and started again with the same arguments; `None` if the cluster is not
/// ours to stop.
pub(crate) fn restart_api_server(stage: &Stage, between: impl FnOnce()) -> Option<()> {
    let folder = stage.kubeconfig().parent()?;
    let id = std::fs::read_to_string(folder.join("pids/kube-apiserver")).ok()?;
    let id = id.split_whitespace().next()?.to_owned();
    let arguments = std::fs::read(format!("/proc/{id}/cmdline")).expect("its arguments");
    let arguments: Vec<String> = arguments
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let directory = std::fs::read_link(format!("/proc/{id}/cwd")).expect("its folder");
    let program = std::fs::read_link(format!("/proc/{id}/exe")).expect("its program");
    assert!(Command::new("kill").args(["-KILL", &id]).status().expect("kill runs").success());
    until("the API server ends", || {
        let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let gone =
            state.is_empty() || state.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z'));
        gone.then_some(())
    });
    between();
    let log = folder.join("logs/kube-apiserver.log");
    let start = || {
        let stderr = File::options().append(true).create(true).open(&log).expect("its log");
        let mut command = Command::new(&program);
        // The multi-call binary looks at the name in its first argument.
        std::os::unix::process::CommandExt::arg0(&mut command, &arguments[0]);
        command.args(&arguments[1..]).current_dir(&directory);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().expect("it starts");
        let state = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("its state");
        let since = state.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
        // In the scripts' notation, so that they end it.
        let noted = format!("{} {}\n", child.id(), since.expect("a start time"));
        std::fs::write(folder.join("pids/kube-apiserver"), noted).expect("its id");
        child
    };
    let mut child = start();
    until_ok("the API server is back", || {
        // Threads of the killed process may outlive its first one, and keep the port.
        if child.try_wait().expect("its status").is_some() {
            child = start();
        }
        let answer = stage.api().ask("GET", "/readyz", "text/plain", "");
        answer.ok().filter(|(status, _)| *status == 200).ok_or_else(|| {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.lines().rev().take(20).collect::<Vec<_>>().join("\n")
        })
    });
    Some(())
}

#[test]
fn an_api_server_that_is_restarted_is_reconciled_as_before() {
    let stage = Stage::new();
    let operator = stage.operator(&["--lease-duration", "120"]).leads();
    // It is killed as soon as something exists. If everything was written by then, nothing was tested, and
    // another pack is tried.
    let mut left = None;
    for name in (0..ROUNDS).map(|round| format!("restarted-{round}")) {
        let written = || operator.metric("writes_total", "kind=\"NetworkPolicy\",verb=\"apply\"");
        let before = written();
        apply(&stage, &name, 12);
        until("something stands", || (written() > before).then_some(()));
        let halfway = || left = (written() < before + 24).then(|| name.clone());
        if restart_api_server(&stage, halfway).is_none() {
            eprintln!("skipped: the cluster of KUBECONFIG is not restarted");
            return;
        }
        if left.is_some() {
            break;
        }
        stage.kubectl(&["delete", "policybinding", &name]);
    }
    let restarted = left.expect("a round in which work was left");
    stage.condition("policybinding", &restarted, None, "Enforced", "True");
    until("what earlier rounds bound is gone", || (stage.ours("networkpolicies").len() <= 24).then_some(()));
    let there = stage.ours(CONTROLS);
    assert_eq!(there.iter().filter(|one| one.starts_with("NetworkPolicy")).count(), 24, "{there:?}");
    // Later changes are seen again: no watch is dead.
    stage.kubectl(&["delete", "networkpolicies", "--all", "-n", &format!("{restarted}-3")]);
    until("they are back", || (stage.ours(CONTROLS) == there).then_some(()));
    stage.kubectl(&["delete", "policybinding", &restarted]);
    until("everything is pruned", || stage.ours(CONTROLS).is_empty().then_some(()));
    operator.stop();
}
