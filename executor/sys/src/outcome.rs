//! How a call ended: one word, derived from the worker's exit status, from its cgroup's counters, and from
//! the reason why it was killed, if it was. Pure: no file is read here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::process::Death;
use crate::cgroup::Facts;
use crate::step::Fault;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program ended by itself.
    Exited {
        /// Its exit code, 0 to 255.
        code: i32,
    },
    /// A signal that we did not send ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The deadline passed.
    TimedOut,
    /// It used more processor time than its limit.
    CpuTimeExceeded,
    /// The kernel killed it for lack of memory.
    MemoryExceeded,
    /// It failed after forks were refused.
    ProcessesExceeded,
    /// It wrote more than its limit.
    OutputExceeded,
    /// It made a system call that the filter answers with death, or sent itself the same signal. The two
    /// cannot be distinguished, because the kernel keeps only the signal's number of the end of a process.
    SyscallDenied,
    /// The caller cancelled it.
    Cancelled,
    /// It never ran.
    SetupFailed {
        /// The step that failed and why.
        fault: Fault,
    },
}

/// Why a running call is killed by its executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the outcome of the same name")]
pub enum Cause {
    TimedOut = 1,
    CpuTimeExceeded = 2,
    OutputExceeded = 3,
    Cancelled = 4,
}

impl Cause {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let all = [Self::TimedOut, Self::CpuTimeExceeded, Self::OutputExceeded, Self::Cancelled];
        all.into_iter().find(|cause| *cause as u8 == number)
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::TimedOut => Outcome::TimedOut,
            Self::CpuTimeExceeded => Outcome::CpuTimeExceeded,
            Self::OutputExceeded => Outcome::OutputExceeded,
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}

/// The source of a usage figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The cgroup: everything in the sandbox.
    Cgroup,
    /// `waitid`: the program and those of its children that it waited for.
    Rusage,
}

/// What a call has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// From the request to the end of the program.
    pub wall: Duration,
    /// Processor time.
    pub cpu: Duration,
    /// Its source.
    pub cpu_source: Source,
    /// Most memory at one time, in bytes: of the sandbox, or of its largest process.
    pub peak_memory_bytes: u64,
    /// Its source.
    pub memory_source: Source,
    /// Processes that the kernel killed for lack of memory.
    pub oom_kills: u64,
    /// Forks that were refused by the limit on processes.
    pub refused_forks: u64,
}

/// How a call ended and what it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
}

/// Processor time that a call has used, by the highest of all counts, and the limit of each of its processes
/// (`RLIMIT_CPU`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) limit: Option<Duration>,
}

impl Spent {
    /// Whether the limit can be what ended the program. The kernel compares the limit with a count of its
    /// ticks. The measured time may be much less where many programs share a processor and this one happens
    /// to run when the clock ticks, so half of the limit suffices. A program that sends itself the signal
    /// after using that much only changes a word.
    fn all(self) -> bool {
        self.limit.is_some_and(|limit| self.cpu >= limit / 2)
    }
}

/// Chooses the word. A death by SIGKILL is ours when we killed, otherwise the kernel's when its group counts
/// a kill for memory; one by SIGXCPU is the kernel's when the time has been used. Everything else is the
/// program's own, even when we were about to kill it.
pub(crate) fn classify(death: Death, cause: Option<Cause>, facts: &Facts, spent: Spent) -> Outcome {
    match (death, cause) {
        (Death::Signaled(libc::SIGKILL), Some(cause)) => cause.outcome(),
        (Death::Signaled(libc::SIGKILL), None) if facts.oom_kills > 0 => Outcome::MemoryExceeded,
        (Death::Signaled(libc::SIGSYS), _) => Outcome::SyscallDenied,
        (Death::Signaled(libc::SIGXCPU), _) if spent.all() => Outcome::CpuTimeExceeded,
        (Death::Exited(0), _) => Outcome::Exited { code: 0 },
        _ if facts.refused_forks > 0 => Outcome::ProcessesExceeded,
        (Death::Exited(code), _) => Outcome::Exited { code },
        (Death::Signaled(signal), _) => Outcome::Signaled { signal },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_its_word() {
        let calm = Facts::default();
        let hungry = Facts { oom_kills: 1, ..calm };
        let crowded = Facts { refused_forks: 3, ..calm };
        let killed = Death::Signaled(libc::SIGKILL);
        let cases = [
            (Death::Exited(0), None, calm, Outcome::Exited { code: 0 }),
            (Death::Exited(7), None, calm, Outcome::Exited { code: 7 }),
            (Death::Exited(0), Some(Cause::TimedOut), calm, Outcome::Exited { code: 0 }),
            (killed, None, calm, Outcome::Signaled { signal: libc::SIGKILL }),
            (killed, Some(Cause::TimedOut), calm, Outcome::TimedOut),
            (killed, Some(Cause::TimedOut), hungry, Outcome::TimedOut),
            (killed, Some(Cause::CpuTimeExceeded), calm, Outcome::CpuTimeExceeded),
            (killed, Some(Cause::OutputExceeded), calm, Outcome::OutputExceeded),
            (killed, Some(Cause::Cancelled), calm, Outcome::Cancelled),
            (killed, None, hungry, Outcome::MemoryExceeded),
            // A child was killed for memory and the program handled it.
            (Death::Exited(0), None, hungry, Outcome::Exited { code: 0 }),
            (Death::Signaled(libc::SIGSYS), None, calm, Outcome::SyscallDenied),
            (Death::Exited(254), None, crowded, Outcome::ProcessesExceeded),
            (Death::Exited(0), None, crowded, Outcome::Exited { code: 0 }),
            (Death::Signaled(libc::SIGSEGV), None, calm, Outcome::Signaled { signal: libc::SIGSEGV }),
        ];
        for (death, cause, facts, expected) in cases {
            let word = classify(death, cause, &facts, Spent::default());
            assert_eq!(word, expected, "{death:?} {cause:?} {facts:?}");
        }
    }

    #[test]
    fn who_has_not_used_the_time_was_not_ended_for_it() {
        let limit = Some(Duration::from_secs(8));
        let after = |cpu, limit| {
            let spent = Spent { cpu: Duration::from_millis(cpu), limit };
            classify(Death::Signaled(libc::SIGXCPU), None, &Facts::default(), spent)
        };
        let own = Outcome::Signaled { signal: libc::SIGXCPU };
        assert_eq!(
            [after(9000, limit), after(4000, limit)],
            [Outcome::CpuTimeExceeded, Outcome::CpuTimeExceeded]
        );
        assert_eq!([after(3999, limit), after(0, limit), after(9000, None)], [own.clone(), own.clone(), own]);
    }

    #[test]
    fn causes_have_numbers_of_their_own() {
        for number in 0..=u8::MAX {
            assert!(Cause::from_number(number).is_none_or(|cause| cause as u8 == number));
        }
        assert_eq!(Cause::from_number(0), None);
        assert_eq!(Cause::from_number(4), Some(Cause::Cancelled));
    }
}
