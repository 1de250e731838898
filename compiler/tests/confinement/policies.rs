//! The policy of these tests: one Native pool with a Python and a shell sandbox, and a sandbox in a pool of pods.

use bailiwick_compiler::emit::{Artifacts, EmitOptions, artifacts};
use bailiwick_compiler::syscalls::lower;
use bailiwick_crds::sandbox::SyscallProfile;
use bailiwick_policy::bundle;
use bailiwick_policy::ir::Const;
use bailiwick_policy::policy::sandboxes::{
    AtLeast, Backend, CgroupAccess, Enforcement, Filesystem, Language, Lifetime, Limits, Pool, Proc, Sandbox,
    Syscalls, Tmpfs, UserNamespace, Workspace,
};
use bailiwick_policy::policy::{Origin, PackSource, PodSecurity, PodSecurityLevel, Policy};

pub(crate) fn calls(profile: SyscallProfile) -> Syscalls {
    lower(profile, &[], &[]).expect("a profile")
}

fn origin(at: &str) -> Vec<Origin> {
    vec![Origin { pack: 0, at: at.to_owned() }]
}

fn pool(name: &str, backend: Backend) -> Pool {
    Pool {
        name: name.to_owned(),
        backend,
        runtime_class: "runc".to_owned(),
        pod_security: PodSecurity { level: PodSecurityLevel::Baseline, minor: 36 },
        user_namespace: UserNamespace::Required,
        cgroup: CgroupAccess::Writable,
        cpus_milli: 2_000,
        memory_bytes: 1 << 30,
        from: origin("spec.pools[0]"),
    }
}

pub(crate) fn sandbox(name: &str, pool: &str, profile: SyscallProfile) -> Sandbox {
    let exact = Enforcement::Exact;
    Sandbox {
        name: name.to_owned(),
        pool: Some(pool.to_owned()),
        runtime: (profile == SyscallProfile::Python).then_some(Language::Python),
        filesystem: Filesystem {
            read_only: ["/bin", "/etc/alternatives", "/lib", "/lib64", "/usr"].map(str::to_owned).to_vec(),
            writable: vec![Tmpfs { path: "/tmp".to_owned(), size_bytes: 16 << 20, inodes: 1_024 }],
            workspace: Some(Workspace {
                path: "/work".to_owned(),
                size_bytes: 8 << 20,
                inodes: 512,
                lifetime: Lifetime::Session,
                durable: false,
            }),
            proc: Proc::Own,
            devices: ["full", "null", "random", "urandom", "zero"].map(str::to_owned).to_vec(),
        },
        egress: Vec::new(),
        syscalls: calls(profile),
        limits: Limits {
            wall_clock_ms: 19_500,
            cpu_time_ms: 8_000,
            cpus_milli: 1_000,
            memory_bytes: 256 << 20,
            processes: 48,
            open_files: 96,
            file_size_bytes: 4 << 20,
            output_bytes: 1 << 20,
        },
        at_least: AtLeast { memory: exact, processes: exact, cpus: exact, cpu_time: exact, proc: exact },
        environment: vec![
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("NOTE".to_owned(), "a \"b\" \\ ü".to_owned()),
        ],
        from: origin("spec.sandboxes[0]"),
    }
}

pub(crate) fn policy() -> Policy {
    let mut policy = Policy::top(vec![PackSource {
        name: "fixture".to_owned(),
        version: "1.2.3".to_owned(),
        digest: "0".repeat(64),
        parameters_digest: "0".repeat(64),
        parameters: Const::Null,
    }]);
    policy.cell = "0123456789abcdef".to_owned();
    policy.pools = vec![pool("pods", Backend::Pod), pool("warm", Backend::Native)];
    policy.sandboxes = vec![
        sandbox("lone", "pods", SyscallProfile::Shell),
        sandbox("python", "warm", SyscallProfile::Python),
        sandbox("shell", "warm", SyscallProfile::Shell),
    ];
    // A ceiling that no pack has placed: nothing runs there.
    let mut ceiling = sandbox("ceiling", "warm", SyscallProfile::Shell);
    ceiling.pool = None;
    policy.sandboxes.insert(0, ceiling);
    policy
}

pub(crate) fn emitted(policy: &Policy) -> Artifacts {
    let digest = bundle::digest(&bundle::write(policy).expect("a bundle"));
    artifacts(policy, &digest, &EmitOptions::default()).expect("artifacts")
}

pub(crate) fn text(artifacts: &Artifacts, path: &str) -> String {
    let file = artifacts.files.get(path).unwrap_or_else(|| panic!("no `{path}`"));
    String::from_utf8(file.bytes.clone()).expect("UTF-8")
}
