//! An outpost: a launcher or keeper, a process of ours in its own user namespace, and the channel to it. This
//! module starts it and waits for it; the requests to it are in `sandbox` and `keeper`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::call::{Errno, file, process, socket};
use crate::host::Host;
use crate::profile::Profile;
use crate::step::{Fault, Step, attempt};
use crate::wire::{self, Boot, MAX_MESSAGE};

/// Longest wait for one answer. Building takes about a millisecond, and a loaded machine may need seconds.
/// After that, something is stuck and the outpost is given up.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// The role of an outpost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Launcher,
    Keeper,
}

impl Role {
    fn argument(self) -> &'static str {
        match self {
            Role::Launcher => "launcher",
            Role::Keeper => "keeper",
        }
    }
}

/// One outpost. Dropping it ends the process.
pub(crate) struct Outpost {
    channel: OwnedFd,
    process: OwnedFd,
    child: Child,
    /// It owes an answer. Whoever asked has stopped waiting, if anybody else can see this; a late answer would be
    /// taken for the answer to another request.
    owes_answer: bool,
}

impl Outpost {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(host: &Host, role: Role, profile: Option<&Profile>) -> Result<Self, Fault> {
        let (channel, theirs) = attempt(Step::ProcessStart, c"", socket::pair)?;
        let child = attempt(Step::ProcessStart, c"", || {
            let mut command = Command::new(&host.launcher);
            command.env_clear();
            #[cfg(feature = "fault-injection")]
            inject(&mut command, profile);
            command
                .arg(role.argument())
                .current_dir("/")
                .stdin(Stdio::from(theirs))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
        })
        .map_err(|failure| Fault { about: host.launcher.display().to_string(), ..failure.into() })?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        let process = attempt(Step::ProcessStart, c"", || process::open_process(pid));
        let mut outpost = match process {
            Ok(process) => Self { channel, process, child, owes_answer: false },
            Err(failure) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                return Err(failure.into());
            }
        };
        outpost.boot(host, profile, pid)?;
        Ok(outpost)
    }

    /// The conversation at start; see `launcher::start` for the other side.
    fn boot(&mut self, host: &Host, profile: Option<&Profile>, pid: i32) -> Result<(), Fault> {
        self.expect(wire::LEFT_HOST, Step::ProcessStart)?;
        attempt(Step::ProcessMaps, c"", || {
            if let Some(cgroups) = &host.cgroups {
                cgroups.admit(pid)?;
            }
            write_maps(host, pid)?;
            socket::send(self.channel.as_fd(), &[wire::MAPS_WRITTEN, u8::from(host.many_ids())])
        })?;
        self.expect(wire::READY, Step::ProcessIdentity)?;
        attempt(Step::ProcessProfile, c"", || {
            let boot = boot_message(host, profile)?;
            socket::send_with(self.channel.as_fd(), &[wire::READY], &[boot.as_fd()])
        })?;
        self.expect(wire::READY, Step::ProcessProfile)
    }

    /// Waits for a one-byte message of the outpost.
    fn expect(&mut self, word: u8, step: Step) -> Result<(), Fault> {
        let mut message = [0; MAX_MESSAGE];
        let (length, _) = self.receive(&mut message, step)?;
        match message.get(..length) {
            Some([said]) if *said == word => Ok(()),
            other => Err(wire::parse_failure(other.unwrap_or_default(), step)),
        }
    }

    /// Sends a request, whose answer must be received before the next one.
    pub(crate) fn request(&mut self, message: &[u8], passed: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        socket::send_with(self.channel.as_fd(), message, passed)?;
        self.owes_answer = true;
        Ok(())
    }

    /// Waits for an answer within the deadline. Zero bytes: it has ended.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], step: Step) -> Result<(usize, Vec<OwnedFd>), Fault> {
        let fault = |errno| Fault { step, errno, about: String::new() };
        if !readable_within(self.channel.as_fd(), ANSWER_DEADLINE).map_err(fault)? {
            let _ = self.child.kill();
            return Err(fault(Errno::ETIMEDOUT));
        }
        let received = socket::receive_with(self.channel.as_fd(), buffer).map_err(fault)?;
        self.owes_answer = false;
        Ok(received)
    }

    /// Whether it can take no more requests.
    pub(crate) fn has_ended(&self) -> bool {
        self.owes_answer || !matches!(readable_within(self.process.as_fd(), Duration::ZERO), Ok(false))
    }

    /// Ends it for good, and waits for its end: it makes nothing any more.
    pub(crate) fn bury(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl Drop for Outpost {
    fn drop(&mut self) {
        // Killed without a request to end: it holds nothing that would need an orderly end.
        self.bury();
    }
}

/// In tests, names the step to a launcher or keeper that must fail, and the layers that are left out.
#[cfg(feature = "fault-injection")]
fn inject(command: &mut Command, profile: Option<&Profile>) {
    use crate::step::injection::{FAIL_STEP, SHARED, failing};
    if let Some(step) = failing() {
        command.env(FAIL_STEP, (step as u8).to_string());
    }
    if let Some(profile) = profile {
        command.env(SHARED, crate::launcher::shared(profile).to_string());
    }
}

/// Whether a descriptor becomes readable, or its other side ends, within a time.
pub(crate) fn readable_within(fd: BorrowedFd<'_>, limit: Duration) -> Result<bool, Errno> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let mut entry = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        match process::poll(&mut entry, timeout) {
            Ok(0) if Instant::now() < deadline => {}
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(other) => return Err(other),
        }
    }
}

/// Maps the ids of a process that has left the host. With a single id the kernel requires that `setgroups` is
/// denied first.
fn write_maps(host: &Host, pid: i32) -> Result<(), Errno> {
    let (users, groups) = host.ids.maps();
    let mut entries = vec![("uid_map", users), ("gid_map", groups)];
    if !host.many_ids() {
        entries.insert(0, ("setgroups", "deny".to_owned()));
    }
    for (name, text) in entries {
        let path = std::ffi::CString::new(format!("/proc/{pid}/{name}")).map_err(|_| Errno::EINVAL)?;
        file::put(file::CWD, &path, text.as_bytes())?;
    }
    Ok(())
}

/// The profile as a sealed memory file.
fn boot_message(host: &Host, profile: Option<&Profile>) -> Result<OwnedFd, Errno> {
    let boot = Boot {
        profile: profile.cloned(),
        many_ids: host.many_ids(),
        #[cfg(feature = "fault-injection")]
        failing: crate::step::injection::failing(),
    };
    let json = serde_json::to_vec(&boot).map_err(|_| Errno::EINVAL)?;
    let memory = file::memory_file(c"bailiwick-profile")?;
    let mut rest = json.as_slice();
    while !rest.is_empty() {
        let written = file::write(memory.as_fd(), rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    file::seal(memory.as_fd())?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// An outpost that does nothing, and its end of the channel.
    fn outpost() -> (Outpost, OwnedFd) {
        let (channel, theirs) = socket::pair().unwrap();
        let child = Command::new("/bin/sleep").arg("600").spawn().unwrap();
        let process = process::open_process(i32::try_from(child.id()).unwrap()).unwrap();
        (Outpost { channel, process, child, owes_answer: false }, theirs)
    }

    /// The next request would get the answer to this one: a sandbox that was built for another session.
    #[test]
    fn an_outpost_whose_answer_was_not_received_takes_no_more_requests() {
        let (mut outpost, theirs) = outpost();
        let mut reply = [0; MAX_MESSAGE];
        outpost.request(b"first", &[]).unwrap();
        socket::send(theirs.as_fd(), b"answer").unwrap();
        assert_eq!(outpost.receive(&mut reply, Step::BuildRequest).unwrap().0, 6);
        assert!(!outpost.has_ended());
        let asked = catch_unwind(AssertUnwindSafe(|| {
            outpost.request(b"second", &[]).unwrap();
            panic!("before the answer is received");
        }));
        assert!(asked.is_err() && outpost.has_ended());
    }
}
