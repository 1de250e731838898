//! The compiled program against the definition, against seccompiler, and against the kernel's checks.

use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::*;

const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);

const fn is(index: u8, mask: u32, value: u32) -> Test {
    Test { index, mask, value }
}

fn rule(when: &[&[Test]], then: Action) -> Rule {
    Rule { when: when.iter().map(|all| all.to_vec()).collect(), then }
}

/// Calls of x86_64 with tests of several kinds: flags, single values, values of several arguments, values at
/// both ends.
fn sample(architecture: Architecture) -> Policy {
    let all = u32::MAX;
    let mut rules: BTreeMap<u32, Rule> =
        (0..32).chain(60..101).map(|number| (number, rule(&[], Action::Allow))).collect();
    rules.insert(
        16,
        rule(&[&[is(1, all, 0x5401)], &[is(1, all, 0x541b)], &[is(1, all, 0x5421)]], Action::Allow),
    );
    rules.insert(56, rule(&[&[is(0, 0x7e02_0000, 0)]], Action::Allow));
    rules.insert(135, rule(&[&[is(0, all, 0)], &[is(0, all, all)]], Action::Allow));
    rules.insert(
        41,
        rule(
            &[
                &[is(0, all, 1), is(1, 0xf, 1)],
                &[is(0, all, 2), is(1, 0xf, 1), is(2, all, 0)],
                &[is(0, all, 2), is(1, 0xf, 2), is(2, all, 17)],
                &[is(0, all, 10), is(1, 0xf, 1), is(2, all, 0)],
                &[is(3, 0xff00, 0x1200)],
            ],
            Action::Allow,
        ),
    );
    rules.insert(435, rule(&[], ENOSYS));
    rules.insert(425, rule(&[], ENOSYS));
    Policy { architecture, rules, otherwise: EPERM }
}

fn call(architecture: u32, number: u32, arguments: [u64; 6]) -> Call {
    Call { number, architecture, instruction_pointer: 0x7fff_0000_1234, arguments }
}

/// Every value that some test of the rule names, each with neighbours and with high bits, so that each test
/// holds and fails.
fn arguments_of(rule: Option<&Rule>) -> Vec<[u64; 6]> {
    let mut out = vec![[0; 6], [u64::MAX; 6], [1 << 32; 6]];
    for alternative in rule.into_iter().flat_map(|rule| &rule.when) {
        let mut exact = [0u64; 6];
        for test in alternative {
            exact[usize::from(test.index)] = u64::from(test.value);
        }
        out.push(exact);
        for test in alternative {
            let at = usize::from(test.index);
            for change in [1, 1 << 31, 1 << 32, 1 << 63, u64::from(!test.mask), u64::from(test.mask)] {
                let mut near = exact;
                near[at] ^= change;
                out.push(near);
            }
        }
    }
    out
}

/// The program decides as the policy does: over all numbers up to 600 and some beyond, for every argument
/// that a test can distinguish.
fn assert_same(policy: &Policy) {
    let program = compile(policy).expect("a policy that can be meant");
    assert_eq!(verify(&program), Ok(()));
    let native = policy.architecture.audit_value();
    let large = [0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0x4000_0027, 0x8000_0000, u32::MAX];
    for number in (0..=600).chain(large).chain(policy.rules.keys().copied()) {
        for arguments in arguments_of(policy.rules.get(&number)) {
            let call = call(native, number, arguments);
            assert_eq!(interpret(&program, &call), Ok(policy.decide(&call)), "{call:x?}");
        }
    }
    // i386, ARM, x86_64 and aarch64: all but one are foreign.
    for architecture in [0x4000_0003, 0x4000_0028, 0xc000_003e, 0xc000_00b7, 0] {
        let call = call(architecture, 0, [0; 6]);
        let expected = policy.decide(&call);
        assert_eq!(interpret(&program, &call), Ok(expected));
        assert!(architecture == native || expected == Action::KillProcess);
    }
}

#[test]
fn a_program_decides_as_its_policy() {
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        assert_same(&sample(architecture));
    }
}

#[test]
fn the_smallest_policies_compile() {
    for otherwise in [EPERM, Action::Allow, Action::KillProcess] {
        for architecture in [Architecture::X86_64, Architecture::Aarch64] {
            let mut policy = Policy { architecture, rules: BTreeMap::new(), otherwise };
            assert_same(&policy);
            policy.rules.insert(0, rule(&[], otherwise));
            assert_same(&policy);
            policy.rules.insert(0x3fff_ffff, rule(&[&[is(5, 0, 0)]], Action::Allow));
            assert_same(&policy);
        }
    }
}

#[test]
fn x32_and_int_0x80_kill() {
    let policy = sample(Architecture::X86_64);
    let program = compile(&policy).expect("compiles");
    for call in [call(0xc000_003e, 0x4000_0000 | 39, [0; 6]), call(0x4000_0003, 20, [0; 6])] {
        assert_eq!(interpret(&program, &call), Ok(Action::KillProcess));
    }
}

#[test]
fn high_bits_of_an_int_argument_do_not_hide_it() {
    const TIOCSTI: u64 = 0x5412;
    let program = compile(&sample(Architecture::X86_64)).expect("compiles");
    let decide =
        |number, arguments| interpret(&program, &call(0xc000_003e, number, arguments)).expect("an answer");
    assert_eq!(decide(16, [0, TIOCSTI | 1 << 32, 0, 0, 0, 0]), EPERM);
    assert_eq!(decide(56, [0x1000_0000 | 1 << 40, 0, 0, 0, 0, 0]), EPERM);
    assert_eq!(decide(41, [40 | 1 << 32, 1, 0, 0, 0, 0]), EPERM);
    assert_eq!(decide(41, [1 | 1 << 32, 1, 0, 0, 0, 0]), Action::Allow);
}

/// Far more targets than 8 bits can reach: every call has its own tests.
#[test]
fn targets_out_of_reach_get_stand_ins() {
    let mut policy = Policy { architecture: Architecture::Aarch64, rules: BTreeMap::new(), otherwise: EPERM };
    for number in 0..400 {
        let value = number * 7 + 1;
        let when: &[&[Test]] =
            &[&[is(0, u32::MAX, value), is(1, 0xff, value % 256)], &[is(2, u32::MAX, value)]];
        policy.rules.insert(number * 2, rule(when, if number % 3 == 0 { ENOSYS } else { Action::Allow }));
    }
    let program = compile(&policy).expect("compiles");
    assert!(program.0.len() > 2 * 256, "{} instructions are all within reach", program.0.len());
    assert!(program.0.iter().any(|one| one.code == operation::JUMP));
    assert_same(&policy);
}

#[test]
fn a_program_longer_than_the_kernel_takes_is_refused() {
    let mut policy = Policy { architecture: Architecture::X86_64, rules: BTreeMap::new(), otherwise: EPERM };
    for number in 0..1_000 {
        let when: Vec<_> = (0..4).map(|at| vec![is(at, u32::MAX, number * 4 + u32::from(at))]).collect();
        policy.rules.insert(number, Rule { when, then: Action::Allow });
    }
    assert!(matches!(compile(&policy), Err(CompileError::TooLong { length: 4097.. })));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let refused = |number, when: Vec<Vec<Test>>, then| {
        let rules = BTreeMap::from([(number, Rule { when, then })]);
        let policy = Policy { architecture: Architecture::X86_64, rules, otherwise: EPERM };
        compile(&policy).expect_err("refused").to_string()
    };
    let messages = [
        refused(0x4000_0000, vec![], Action::Allow),
        refused(7, vec![vec![is(6, 1, 1)]], Action::Allow),
        refused(7, vec![vec![is(0, 0xf0, 0x11)]], Action::Allow),
        refused(7, vec![vec![is(0, 0xff, 0x11)]; 257], Action::Allow),
        refused(7, vec![], Action::Errno(4096)),
    ];
    expect![[r#"
        no system call has the number 0x40000000
        call 7 has no argument 6
        call 7: 0x11 is not within the mask 0xf0
        call 7 has more than 256 alternatives
        4096 is not an errno"#]]
    .assert_eq(&messages.join("\n"));
}

#[test]
fn what_the_kernel_refuses_is_refused() {
    let answer = Instruction { code: operation::RETURN, jt: 0, jf: 0, k: 0 };
    let one = |code, jt, jf, k| Program(vec![Instruction { code, jt, jf, k }, answer]);
    let jump = Err(Refusal::Jump { at: 0 });
    for (program, expected) in [
        (Program(vec![]), Err(Refusal::Length { length: 0 })),
        (Program(vec![answer; 4_097]), Err(Refusal::Length { length: 4_097 })),
        (Program(vec![answer; 4_096]), Ok(())),
        (one(operation::LOAD, 0, 0, 64), Err(Refusal::Load { at: 0, offset: 64 })),
        (one(operation::LOAD, 0, 0, 2), Err(Refusal::Load { at: 0, offset: 2 })),
        (one(operation::JUMP, 0, 0, 1), jump),
        (one(operation::JUMP, 0, 0, u32::MAX), jump),
        (one(operation::IF_EQUAL, 1, 0, 0), jump),
        (one(operation::IF_ANY_BIT, 0, 1, 0), jump),
        (one(0x16, 0, 0, 0), Err(Refusal::Operation { at: 0, code: 0x16 })),
        (Program(vec![answer, Instruction { code: operation::AND, jt: 0, jf: 0, k: 0 }]), Err(Refusal::End)),
    ] {
        assert_eq!(verify(&program), expected);
        // Whatever is refused faults at the latest when it is run to its end; nothing panics.
        let _ = interpret(&program, &call(0, 0, [0; 6]));
    }
}

#[test]
fn a_returned_value_means_what_the_kernel_makes_of_it() {
    for value in (0..=u16::MAX).map(|high| (u32::from(high) << 16) | 5) {
        let action = Action::from_return(value);
        let known = [0u32, 0x3, 0x5, 0x7fc0, 0x7ff0, 0x7ffc, 0x7fff].contains(&(value >> 16));
        assert!(known || action == Action::KillProcess, "{value:#x}");
        assert_eq!(Action::from_return(action.to_return()), action);
    }
}

/// The allow-list of a policy as seccompiler writes it: two actions, no x32, no calls with an errno of their
/// own.
fn seccompiler_program(policy: &Policy) -> Program {
    let allowed = policy.rules.iter().filter(|(_, rule)| rule.then == Action::Allow);
    let rules = allowed.map(|(number, rule)| {
        let alternatives = rule.when.iter().map(|all| {
            let conditions = all.iter().map(|test| {
                let holds = SeccompCmpOp::MaskedEq(test.mask.into());
                SeccompCondition::new(test.index, SeccompCmpArgLen::Dword, holds, test.value.into())
                    .expect("a condition")
            });
            SeccompRule::new(conditions.collect()).expect("a rule")
        });
        (i64::from(*number), alternatives.collect())
    });
    let target = match policy.architecture {
        Architecture::X86_64 => TargetArch::x86_64,
        Architecture::Aarch64 => TargetArch::aarch64,
    };
    let filter = SeccompFilter::new(rules.collect(), SeccompAction::Errno(1), SeccompAction::Allow, target);
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    Program(
        program.iter().map(|one| Instruction { code: one.code, jt: one.jt, jf: one.jf, k: one.k }).collect(),
    )
}

/// Where seccompiler can express the policy, both programs decide alike.
fn assert_like_seccompiler(policy: &Policy) {
    let (ours, theirs) = (compile(policy).expect("compiles"), seccompiler_program(policy));
    assert_eq!(verify(&theirs), Ok(()));
    for number in (0..=600).chain([0x3fff_ffff]) {
        let rule = policy.rules.get(&number);
        if rule.is_some_and(|rule| rule.then != Action::Allow) {
            continue;
        }
        for arguments in arguments_of(rule) {
            let call = call(policy.architecture.audit_value(), number, arguments);
            assert_eq!(interpret(&ours, &call), interpret(&theirs, &call), "{call:x?}");
        }
    }
    let foreign = call(0x4000_0003, 0, [0; 6]);
    assert_eq!(interpret(&ours, &foreign), interpret(&theirs, &foreign));
}

#[test]
fn seccompiler_decides_alike() {
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        assert_like_seccompiler(&sample(architecture));
    }
}

fn tests() -> impl Strategy<Value = Vec<Test>> {
    // Few masks and values, so that alternatives share them; each argument once, as the compiled policy has
    // it.
    let masks = prop::sample::select(vec![u32::MAX, 0xf, 0x7e02_0000, 0x8000_0001, 0]);
    let one = (masks, prop::sample::select(vec![0u32, 1, 2, 5, 0x8000_0000, u32::MAX]));
    prop::collection::btree_map(0u8..6, one, 1..4).prop_map(|tests| {
        tests.into_iter().map(|(index, (mask, value))| is(index, mask, value & mask)).collect()
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    let action = prop::sample::select(vec![Action::Allow, Action::Allow, EPERM, ENOSYS, Action::KillProcess]);
    let rules = (prop::collection::vec(tests(), 0..6), action).prop_map(|(when, then)| Rule { when, then });
    let numbers = prop_oneof![4 => 0u32..600, 1 => 0u32..0x4000_0000];
    (prop::bool::ANY, prop::collection::btree_map(numbers, rules, 0..80)).prop_map(|(x86_64, rules)| Policy {
        architecture: if x86_64 { Architecture::X86_64 } else { Architecture::Aarch64 },
        rules,
        otherwise: EPERM,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_program_decides_as_its_policy(policy in policies()) {
        assert_same(&policy);
    }

    #[test]
    fn every_allow_list_is_like_that_of_seccompiler(policy in policies()) {
        assert_like_seccompiler(&policy);
    }

    #[test]
    fn arbitrary_instructions_never_panic(raw in prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>()), 0..40)) {
        let program = Program(raw.into_iter().map(|(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect());
        let result = interpret(&program, &call(1, 2, [3; 6]));
        prop_assert!(verify(&program).is_err() || result.is_ok());
    }
}

/// A filter of this machine's architecture with one more rule than what every program has.
fn network_sockets(call: libc::c_long, its: Option<Rule>, otherwise: Action) -> bool {
    let architecture = reach::OWN;
    let number = u32::try_from(call).unwrap();
    let rules = its.into_iter().map(|its| (number, its)).chain([(0, rule(&[], Action::Allow))]);
    let policy = Policy { architecture, rules: rules.collect(), otherwise };
    makes_network_sockets(&compile(&policy).unwrap())
}

#[test]
fn a_filter_that_lets_network_sockets_be_made_is_known() {
    let unix: &[Test] = &[is(0, u32::MAX, 1)];
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let made = |when: &[&[Test]], then| network_sockets(call, Some(rule(when, then)), EPERM);
        assert!(!network_sockets(call, None, EPERM) && !made(&[unix], Action::Allow));
        assert!(!made(&[&[is(0, u32::MAX, 1), is(1, 0xf, 2)]], Action::Allow));
        assert!(network_sockets(call, None, Action::Allow) && made(&[], Action::Allow));
        for family in [2, 10, 16, 38, 45] {
            assert!(made(&[unix, &[is(0, u32::MAX, family), is(1, 0xf, 2)]], Action::Allow), "{family}");
        }
        // Two families that differ in the bits that are not tested.
        assert!(made(&[&[is(0, 1, 1)]], Action::Allow));
        assert!(made(&[], Action::Log) && made(&[], Action::Notify) && made(&[], Action::Trace(1)));
        assert!(!made(&[], Action::Trap(1)) && !made(&[], ENOSYS) && !made(&[], Action::KillThread));
    }
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter] {
        assert!(network_sockets(call, Some(rule(&[], Action::Allow)), EPERM));
        assert!(!network_sockets(call, Some(rule(&[], ENOSYS)), EPERM));
    }
}

#[test]
fn a_filter_that_does_not_ask_for_the_architecture_lets_network_sockets_be_made() {
    let at = |code: u16, jt: u8, k: u32| Instruction { code, jt, jf: 0, k };
    let (socket, refused, allowed) =
        (u32::try_from(libc::SYS_socket).unwrap(), EPERM.to_return(), Action::Allow.to_return());
    // 32-bit programs make sockets by another number.
    let only_numbers = [
        at(operation::LOAD, 0, offset::NUMBER),
        at(operation::IF_EQUAL, 1, socket),
        at(operation::RETURN, 0, allowed),
        at(operation::RETURN, 0, refused),
    ];
    assert!(makes_network_sockets(&Program(only_numbers.to_vec())));
    assert!(makes_network_sockets(&Program(vec![at(operation::RETURN, 0, allowed)])));
    assert!(!makes_network_sockets(&Program(vec![at(operation::RETURN, 0, refused)])));
    assert!(makes_network_sockets(&Program(Vec::new())), "it is none that the kernel takes");
}

proptest! {
    /// The walk finds what the policy says.
    #[test]
    fn network_sockets_are_known_of_every_filter(
        families in prop::collection::vec(0_u32..48, 0..4),
        kind in prop::option::of(1_u32..4),
    ) {
        let all = |family| {
            let kind = kind.map(|kind| is(1, 0xf, kind));
            [is(0, u32::MAX, family)].into_iter().chain(kind).collect::<Vec<_>>()
        };
        let when: Vec<Vec<Test>> = families.iter().map(|family| all(*family)).collect();
        let alternatives: Vec<&[Test]> = when.iter().map(Vec::as_slice).collect();
        let rules = if alternatives.is_empty() { None } else { Some(rule(&alternatives, Action::Allow)) };
        let made = families.iter().any(|family| *family != 1);
        prop_assert_eq!(network_sockets(libc::SYS_socket, rules, EPERM), made);
    }
}
