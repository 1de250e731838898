//! The files as they stand, their list, and what is refused.

use bailiwick_compiler::emit::{EmitError, EmitOptions, NSJAIL_VERSION, artifacts};
use bailiwick_crds::sandbox::SyscallProfile;
use bailiwick_policy::bundle;
use expect_test::{expect, expect_file};
use serde_json::Value;

use crate::policies::{emitted, policy, sandbox, text};

#[test]
fn the_files_are_those_committed() {
    let artifacts = emitted(&policy());
    expect_file!["golden/python.x86_64.json"].assert_eq(&text(&artifacts, "seccomp/python.x86_64.json"));
    expect_file!["golden/python.aarch64.json"].assert_eq(&text(&artifacts, "seccomp/python.aarch64.json"));
    expect_file!["golden/pool-warm.x86_64.json"]
        .assert_eq(&text(&artifacts, "seccomp/pool-warm.x86_64.json"));
    // The digest changes with everything that a bundle holds, and says nothing here.
    let config = text(&artifacts, "nsjail/python.cfg");
    let digest = bundle::digest(&bundle::write(&policy()).expect("a bundle"));
    assert!(config.contains(&format!("# Policy digest: sha256:{digest}\n")));
    expect_file!["golden/python.cfg"].assert_eq(&config.replace(&digest, "DIGEST"));
}

#[test]
fn each_placed_sandbox_and_each_native_pool_has_its_files_listed_with_their_origin() {
    let artifacts = emitted(&policy());
    let list: Value = serde_json::from_str(&text(&artifacts, "artifacts.json")).expect("JSON");
    let files = list["files"].as_array().expect("a list").iter();
    let ours = files.filter(|file| file["target"] == "seccomp" || file["target"] == "nsjail");
    let line = |file: &Value| {
        let from = file["from"].as_array().expect("a list").iter();
        let from: Vec<_> = from.map(|field| format!(" {} {}", field["pack"], field["at"])).collect();
        format!("{} {}{}\n", file["path"], file["target"], from.concat()).replace('"', "")
    };
    let lines: Vec<_> = ours.map(line).collect();
    expect![[r#"
        nsjail/lone.cfg nsjail fixture@1.2.3 spec.sandboxes[0]
        nsjail/python.cfg nsjail fixture@1.2.3 spec.sandboxes[0]
        nsjail/shell.cfg nsjail fixture@1.2.3 spec.sandboxes[0]
        seccomp/lone.aarch64.json seccomp fixture@1.2.3 spec.sandboxes[0]
        seccomp/lone.x86_64.json seccomp fixture@1.2.3 spec.sandboxes[0]
        seccomp/pool-warm.aarch64.json seccomp fixture@1.2.3 spec.pools[0] fixture@1.2.3 spec.sandboxes[0]
        seccomp/pool-warm.x86_64.json seccomp fixture@1.2.3 spec.pools[0] fixture@1.2.3 spec.sandboxes[0]
        seccomp/python.aarch64.json seccomp fixture@1.2.3 spec.sandboxes[0]
        seccomp/python.x86_64.json seccomp fixture@1.2.3 spec.sandboxes[0]
        seccomp/shell.aarch64.json seccomp fixture@1.2.3 spec.sandboxes[0]
        seccomp/shell.x86_64.json seccomp fixture@1.2.3 spec.sandboxes[0]
    "#]]
    .assert_eq(&lines.concat());
}

#[test]
fn the_head_names_pack_digest_and_nsjail() {
    let config = text(&emitted(&policy()), "nsjail/shell.cfg");
    let head: String = config.lines().take_while(|line| line.starts_with('#')).collect();
    for part in ["fixture@1.2.3", "sha256:", NSJAIL_VERSION, "--experimental_mnt new"] {
        assert!(head.contains(part), "{part} is not in {head}");
    }
}

fn refused(change: impl FnOnce(&mut bailiwick_policy::policy::Policy)) -> EmitError {
    let mut policy = policy();
    change(&mut policy);
    let digest = bundle::digest(&bundle::write(&policy).expect("a bundle"));
    artifacts(&policy, &digest, &EmitOptions::default()).expect_err("refused")
}

#[test]
fn two_controls_are_never_one_file() {
    let error = refused(|policy| policy.sandboxes.push(sandbox("pool-warm", "pods", SyscallProfile::Shell)));
    assert!(matches!(error, EmitError::SamePath { path } if path == "seccomp/pool-warm.x86_64.json"));
}

/// google/nsjail#292: a destination with `..` was mounted outside of the jail.
#[test]
fn a_path_that_climbs_is_refused() {
    for bad in ["/usr/../etc", "/usr/./lib", "usr", "//usr", "/usr/", "/.."] {
        for place in 0..3 {
            let error = refused(|policy| {
                let files = &mut policy.sandboxes[1].filesystem;
                match place {
                    0 => files.read_only = vec![bad.to_owned()],
                    1 => files.writable[0].path = bad.to_owned(),
                    _ => files.workspace.as_mut().expect("a workspace").path = bad.to_owned(),
                }
            });
            assert!(matches!(&error, EmitError::SandboxPath { path, .. } if path == bad), "{bad}: {error}");
        }
    }
}
