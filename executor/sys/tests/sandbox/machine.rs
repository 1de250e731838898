//! What a sandbox takes of what the whole machine has, besides memory and processors: children of the executor,
//! huge pages, pending signals, watches of files. Whatever its filter lets through, there is enough left for
//! others.

use std::mem::ManuallyDrop;

use bailiwick_sys::drain::{Completed, complete};
use bailiwick_sys::profile::Layer;
use bailiwick_sys::{Launcher, Remains};

use crate::ground::{ample, build, host, profile, program, python, run, run_in};

/// `clone` with `CLONE_PARENT`: the new process is a child of the executor, which does not know of it.
fn sibling() -> String {
    format!(
        "import ctypes, os\n\
         pid = ctypes.CDLL(None).syscall({}, 0x8000 | 17, 0, 0, 0, 0)\n\
         if pid == 0: os._exit(0)\n\
         print('made' if pid > 0 else 'refused')",
        libc::SYS_clone
    )
}

/// The kernel keeps the first process of a sandbox until somebody waits for the sibling, and nobody would.
#[test]
fn a_program_makes_no_children_of_the_executor() {
    let host = host();
    let launcher = Launcher::spawn(&host, &profile()).unwrap();
    let running = build(&host, &launcher).run(&python(&sibling())).unwrap();
    let Completed { stdout, remains, .. } = complete(running, b"", &ample());
    // If this fails, the sandbox cannot be cleared away.
    let remains: ManuallyDrop<Remains> = ManuallyDrop::new(remains);
    assert_eq!(String::from_utf8_lossy(&stdout.bytes), "refused\n");
    ManuallyDrop::into_inner(remains).clear().unwrap();
}

/// `MAP_NORESERVE`: it succeeds although this machine may have no huge pages.
const HUGE: &str = "
import errno, mmap, os
def attempt(act):
    try: act(); print('taken')
    except OSError as error: print(errno.errorcode[error.errno])
attempt(lambda: mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000 | 0x40000))
attempt(lambda: os.memfd_create('x', 4))";

#[test]
fn huge_pages_of_the_machine_are_not_given_to_sandboxes() {
    assert_eq!(run(&profile(), &python(HUGE)).ok(), "ENOMEM\nENOMEM\n");
    let mut open = profile();
    open.without.insert(Layer::Filter);
    let taken = run(&open, &python(HUGE));
    if taken.ok() != "taken\ntaken\n" {
        eprintln!("SKIPPED: this kernel has no huge pages: {}", taken.stdout);
    }
}

/// Queues signals to itself until it is refused.
const QUEUE: &str = "
import ctypes, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
libc, count = ctypes.CDLL(None), 0
while count < 5000 and libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None) == 0: count += 1
print(count)";

/// The limit on pending signals in a process's `limits`, soft and hard.
fn pending(process: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max pending signals")).unwrap();
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_sandbox_queues_few_signals_and_all_sandboxes_leave_half_to_others() {
    let host = host();
    let launcher = Launcher::spawn(&host, &profile()).unwrap();
    let most = 1024.min(pending("self")[1] / 2);
    let queued: u64 = run_in(build(&host, &launcher), &python(QUEUE)).ok().trim().parse().unwrap();
    assert!(queued > 0 && queued <= most, "{queued} of {most}");
    let all = (16 * 1024).min(pending("self")[1] / 2);
    assert_eq!(pending(&launcher.process_id().to_string()), [all, all]);
}

/// Watches a folder that every sandbox sees, while a program in it is run.
const WATCH: &str = "
import ctypes, errno, os, subprocess
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.inotify_init1(0)
if fd < 0: print(errno.errorcode[ctypes.get_errno()])
else:
    libc.inotify_add_watch(fd, b'/usr/bin', 0x20)
    subprocess.run(['/usr/bin/id'], stdout=subprocess.DEVNULL)
    print('seen' if b'id' in os.read(fd, 4096) else 'nothing')";

#[test]
fn a_sandbox_does_not_see_which_programs_others_run() {
    assert_eq!(run(&profile(), &python(WATCH)).ok(), "ENOSYS\n");
    let mut open = profile();
    open.without.insert(Layer::Filter);
    assert_eq!(run(&open, &python(WATCH)).ok(), "seen\n", "it is an attack");
}

/// A sandbox of an executor with a nice value; `None`: it may not have it.
fn nice_inside(value: i32) -> Option<String> {
    // The value is that of a thread, and of what it starts.
    let begun = std::thread::spawn(move || {
        // SAFETY: takes three integers and touches no memory.
        if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) } != 0 {
            return None;
        }
        Some(run(&profile(), &program("/usr/bin/nice", &[])).ok().to_owned())
    });
    begun.join().unwrap()
}

#[test]
fn a_program_does_not_inherit_the_precedence_of_the_executor() {
    assert_eq!(nice_inside(5).as_deref(), Some("5\n"), "less is inherited");
    match nice_inside(-5) {
        Some(inside) => assert_eq!(inside, "0\n"),
        None => eprintln!("SKIPPED: only root has precedence"),
    }
}
