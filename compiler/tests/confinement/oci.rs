//! The OCI files against the policy and against the executor's filters: a small evaluator of the specification's form, written from its text and
//! from libseccomp's behaviour, must decide every (architecture, number, class of arguments) as the policy and as the compiled program do.

use std::collections::BTreeMap;
use std::process::Command;

use bailiwick_compiler::syscalls::with_builder;
use bailiwick_crds::sandbox::SyscallProfile::{Python, Shell};
use bailiwick_policy::policy::sandboxes::{SyscallNumbers, Syscalls};
use bailiwick_sys::seccomp::{Action, Architecture, Call, Policy, Rule, Test, compile, interpret, verify};
use expect_test::expect;
use serde::Deserialize;

use crate::names::{Numbers, numbers};
use crate::policies::{calls, emitted, policy, text};

/// `LinuxSeccomp`; a member that is not listed here is none that we mean to write.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: String,
    default_errno_ret: u16,
    architectures: Vec<String>,
    syscalls: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: usize,
    value: u64,
    value_two: u64,
    op: String,
}

impl Entry {
    fn action(&self) -> Action {
        match (self.action.as_str(), self.errno_ret) {
            ("SCMP_ACT_ALLOW", None) => Action::Allow,
            ("SCMP_ACT_ERRNO", Some(errno)) => Action::Errno(errno),
            other => panic!("{other:?}"),
        }
    }

    fn holds(&self, arguments: &[u64; 6]) -> bool {
        self.args.iter().all(|test| {
            assert_eq!(test.op, "SCMP_CMP_MASKED_EQ");
            // As runtimes do: all 64 bits.
            arguments[test.index] & test.value == test.value_two
        })
    }
}

impl Profile {
    fn decide(&self, names: &Numbers, number: u32, arguments: &[u64; 6]) -> Action {
        let named = |entry: &&Entry| entry.names.iter().any(|name| names.get(name) == Some(&number));
        let found = self.syscalls.iter().filter(named).find(|entry| entry.holds(arguments));
        found.map_or(Action::Errno(self.default_errno_ret), Entry::action)
    }
}

/// As the executor maps a policy.
fn filter(calls: &Syscalls, architecture: Architecture) -> Policy {
    let number = |numbers: &SyscallNumbers| match architecture {
        Architecture::X86_64 => numbers.x86_64,
        Architecture::Aarch64 => numbers.aarch64,
    };
    let allowed = calls.allowed.iter().filter_map(|call| {
        let test = |test: &bailiwick_policy::policy::sandboxes::ArgumentTest| Test {
            index: test.index,
            mask: test.mask,
            value: test.value,
        };
        let when = call.when.iter().map(|tests| tests.iter().map(test).collect()).collect();
        Some((number(&call.numbers)?, Rule { when, then: Action::Allow }))
    });
    let refused = calls.refused.iter().filter_map(|call| {
        Some((number(&call.numbers)?, Rule { when: Vec::new(), then: Action::Errno(call.errno) }))
    });
    Policy { architecture, rules: allowed.chain(refused).collect(), otherwise: Action::Errno(1) }
}

/// For each test of a call: arguments at which it just holds and just does not, also by high bits.
fn arguments(rule: Option<&Rule>) -> Vec<[u64; 6]> {
    let mut out = vec![[0; 6], [u64::MAX; 6], [1 << 32; 6]];
    for tests in rule.into_iter().flat_map(|rule| &rule.when) {
        let mut exact = [0u64; 6];
        for test in tests {
            exact[usize::from(test.index)] = test.value.into();
        }
        out.push(exact);
        for test in tests {
            for change in [1, 2, 16, 1 << 28, 1 << 31, 1 << 32, 1 << 63] {
                let mut near = exact;
                near[usize::from(test.index)] ^= change;
                out.push(near);
            }
        }
    }
    out
}

const ARCHITECTURES: [(&str, &str, Architecture); 2] = [
    ("x86_64", "SCMP_ARCH_X86_64", Architecture::X86_64),
    ("aarch64", "SCMP_ARCH_AARCH64", Architecture::Aarch64),
];

#[test]
fn a_profile_means_what_the_policy_says_and_what_the_filter_does() {
    let artifacts = emitted(&policy());
    let (python, shell) = (calls(Python), calls(Shell));
    let pool = with_builder(&[&python, &shell]);
    for (name, calls) in [("python", &python), ("shell", &shell), ("lone", &shell), ("pool-warm", &pool)] {
        for (suffix, oci, architecture) in ARCHITECTURES {
            let file = text(&artifacts, &format!("seccomp/{name}.{suffix}.json"));
            let profile: Profile = serde_json::from_str(&file).expect("the OCI form");
            assert_eq!((profile.default_action.as_str(), profile.default_errno_ret), ("SCMP_ACT_ERRNO", 1));
            assert_eq!(profile.architectures, [oci]);
            let names = numbers(suffix);
            let filter = filter(calls, architecture);
            let program = compile(&filter).expect("compiles");
            for number in (0..=600).chain([0x3fff_ffff]) {
                for arguments in arguments(filter.rules.get(&number)) {
                    let call = Call {
                        number,
                        architecture: architecture.audit_value(),
                        instruction_pointer: 0,
                        arguments,
                    };
                    let expected = filter.decide(&call);
                    assert_eq!(profile.decide(&names, number, &arguments), expected, "{name} {call:x?}");
                    assert_eq!(interpret(&program, &call), Ok(expected), "{name} {call:x?}");
                }
            }
        }
    }
}

#[test]
fn every_name_exists_and_no_rule_tests_an_argument_twice() {
    let artifacts = emitted(&policy());
    let profiles: Vec<_> = artifacts.files.iter().filter(|(path, _)| path.starts_with("seccomp/")).collect();
    assert!(profiles.len() >= 4, "{profiles:?}");
    for (path, file) in profiles {
        let profile: Profile = serde_json::from_slice(&file.bytes).expect("the OCI form");
        let names = numbers(if path.contains("x86_64") { "x86_64" } else { "aarch64" });
        for entry in &profile.syscalls {
            assert!(!entry.names.is_empty());
            for name in &entry.names {
                assert!(names.contains_key(name), "{path} names `{name}`");
            }
            let indexes: BTreeMap<_, _> = entry.args.iter().map(|test| (test.index, ())).collect();
            assert_eq!(indexes.len(), entry.args.len(), "{path}: {:?}", entry.names);
            assert!(entry.args.iter().all(|test| test.value <= u64::from(u32::MAX)));
        }
    }
}

/// Without tests of arguments a filter has at most 110 instructions, where a list of comparisons would have two for each call.
#[test]
fn a_filter_is_a_small_tree() {
    let mut lines = String::new();
    for profile in [Python, Shell] {
        for (suffix, _, architecture) in ARCHITECTURES {
            let whole = filter(&calls(profile), architecture);
            let mut bare = whole.clone();
            bare.rules.values_mut().for_each(|rule| rule.when.clear());
            let length = |policy| {
                let program = compile(policy).expect("compiles");
                assert_eq!(verify(&program), Ok(()));
                program.0.len()
            };
            let (tree, all) = (length(&bare), length(&whole));
            assert!(tree <= 110 && all <= 140, "{profile:?} {suffix}: {tree}, {all}");
            lines += &format!(
                "{profile:?} {suffix}: {} calls, {tree} instructions, {all} with tests\n",
                whole.rules.len()
            );
        }
    }
    expect![[r#"
        Python x86_64: 238 calls, 73 instructions, 135 with tests
        Python aarch64: 203 calls, 72 instructions, 135 with tests
        Shell x86_64: 240 calls, 75 instructions, 139 with tests
        Shell aarch64: 205 calls, 74 instructions, 138 with tests
    "#]]
    .assert_eq(&lines);
}

/// libseccomp, which runtimes use, takes the rules of each file, without a warning that our own reading would miss.
#[test]
fn libseccomp_takes_every_profile() {
    let how = "install the Debian package python3-seccomp";
    let python = "/usr/bin/python3";
    let there = Command::new(python)
        .args(["-c", "import seccomp"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{how}");
        eprintln!("SKIPPED: {how}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let artifacts = emitted(&policy());
    let mut taken = 0;
    for (path, file) in artifacts.files.iter().filter(|(path, _)| path.ends_with(".x86_64.json")) {
        let file_name = folder.path().join("profile.json");
        std::fs::write(&file_name, &file.bytes).expect("written");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/confinement/libseccomp.py");
        let output = Command::new(python).arg(script).arg(&file_name).output().expect("python runs");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.trim_end() == "ok", "{path}: {said}");
        taken += 1;
    }
    assert!(taken >= 2, "only {taken} profiles");
}
