//! The precedence that an operator may have given the executor: a negative nice value, a real-time policy, a part of
//! the memory that the kernel spares when there is none left. It is the executor's, and a launcher or keeper gives it
//! up before anything is made: every program would inherit it, and come before what else runs on the machine.

use crate::call::{Errno, file, identity};

/// Where the kernel says and takes it.
const STAT: &str = "/proc/self/stat";
const SPARED: &str = "/proc/self/oom_score_adj";

/// `SCHED_FIFO`, `SCHED_RR` and `SCHED_DEADLINE` (`sched(7)`).
const REAL_TIME: [u32; 3] = [1, 2, 6];

/// What a process has.
#[derive(Debug, PartialEq, Eq)]
struct Precedence {
    nice: i32,
    policy: u32,
}

/// Gives up whatever of it the calling process has. What is ordinary or less stays.
pub(super) fn give_up() -> Result<(), Errno> {
    let text = std::fs::read_to_string(STAT).map_err(|_| Errno::EIO)?;
    let Precedence { nice, policy } = parse(&text).ok_or(Errno::EIO)?;
    if REAL_TIME.contains(&policy) {
        identity::schedule_ordinarily()?;
    }
    if nice < 0 {
        identity::set_nice(0)?;
    }
    let spared = std::fs::read_to_string(SPARED).ok().and_then(|score| score.trim().parse().ok());
    if spared.is_some_and(|score: i32| score < 0) {
        file::put(file::CWD, c"/proc/self/oom_score_adj", b"0")?;
    }
    Ok(())
}

/// Fields 19 and 41 of `proc_pid_stat(5)`. The name, which is the second, may hold anything.
fn parse(stat: &str) -> Option<Precedence> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    Some(Precedence { nice: fields.get(16)?.parse().ok()?, policy: fields.get(38)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Precedence, parse};

    #[test]
    fn precedence_is_read_behind_the_name() {
        let fields: Vec<String> =
            (3..=52).map(|field| if field == 19 { -7 } else { field }.to_string()).collect();
        let stat = format!("12 (a) S 1 (b) {}", fields.join(" "));
        assert_eq!(parse(&stat), Some(Precedence { nice: -7, policy: 41 }));
        assert_eq!(parse("12 (a) S 1"), None);
        assert!(parse(&std::fs::read_to_string("/proc/self/stat").unwrap()).is_some());
    }
}
