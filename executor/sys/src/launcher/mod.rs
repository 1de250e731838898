//! The launcher: the process that makes sandboxes of one profile. It is the program `bailiwick-launcher`,
//! executed inside its own user namespace; its root is the template root, and the executor sends it requests
//! over a socket. It has every capability inside that namespace and none outside, and handles no hostile
//! bytes: programs never talk to it.
//!
//! ```text
//! executor ──build──► launcher ──clone3──► holder   pid 1 of the sandbox: sets up, reaps, holds
//!                          └─thread──clone3──► worker   joins the holder's namespaces, parks, becomes the program
//! ```
//!
//! All of them work at the same time. The worker waits for the holder at one point: it enters the namespaces
//! when everything is mounted. The executor has a sandbox once the launcher has heard from the holder and the
//! executor from the worker that each has done its whole part.
//!
//! Holder and worker are children of the executor (`CLONE_PARENT`), so the executor waits for them itself and
//! gets their usage directly. There are two threads, because a thread that has entered a holder's pid
//! namespace cannot create another one (`clone3` gives EINVAL). A third thread makes network namespaces ahead
//! (`networks`).

/// Whether a layer is left out: never outside test builds.
macro_rules! removed {
    ($prepared:expr, $layer:ident) => {{
        #[cfg(feature = "fault-injection")]
        let removed = !$prepared.profile.has(crate::profile::Layer::$layer);
        #[cfg(not(feature = "fault-injection"))]
        let removed = {
            let _ = &$prepared;
            false
        };
        removed
    }};
}

mod holder;
mod networks;
mod precedence;
mod prepared;
mod rules;
mod start;
mod template;
mod worker;

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::call::process::Cloned;
use crate::call::{Errno, file, process, socket};
use crate::step::{Fault, Step, attempt};
use crate::wire::{self, BuildMessage, MAX_MESSAGE, RequestBuffer};

use networks::Networks;
use prepared::{INSIDE_ID, Prepared};

pub use start::run;
pub(crate) use worker::NOT_EXECUTED;

/// The namespaces of a sandbox that its holder is cloned into. Its network namespace exists before; the
/// cgroup namespace follows once the holder is in the group that becomes its root.
const NAMESPACES: libc::c_int =
    libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// Namespaces that a sandbox shares with the host: none.
#[cfg(not(feature = "fault-injection"))]
pub(crate) fn shared(_: &crate::profile::Profile) -> libc::c_int {
    0
}

/// Namespaces that a sandbox shares with the host, because a test leaves the layer out.
#[cfg(feature = "fault-injection")]
pub(crate) fn shared(profile: &crate::profile::Profile) -> libc::c_int {
    use crate::profile::Layer;
    let left_out = |layer, namespace| if profile.has(layer) { 0 } else { namespace };
    left_out(Layer::NetworkNamespace, libc::CLONE_NEWNET) | left_out(Layer::IpcNamespace, libc::CLONE_NEWIPC)
}

/// Ids in the launcher's namespace: its own, and that of every holder's root.
const HOLDER_ID: u32 = 1;

/// The descriptors of one sandbox, in the order in which they are passed. The executor holds the other ends.
struct Channels {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    control: OwnedFd,
    lifeline: OwnedFd,
    /// How many groups to enter.
    entered_groups: usize,
    cgroup_directory: Option<OwnedFd>,
    workspace: Option<OwnedFd>,
}

impl Channels {
    fn parse(message: BuildMessage, fds: Vec<OwnedFd>) -> Option<Self> {
        let mut fds = fds.into_iter();
        let channels = Self {
            stdin: fds.next()?,
            stdout: fds.next()?,
            stderr: fds.next()?,
            control: fds.next()?,
            lifeline: fds.next()?,
            entered_groups: usize::from(message.entered_groups),
            cgroup_directory: if message.cgroup_directory { Some(fds.next()?) } else { None },
            workspace: if message.workspace { Some(fds.next()?) } else { None },
        };
        fds.next().is_none().then_some(channels)
    }
}

/// The processes that one build has started; passed to the executor, their parent, whether the build
/// succeeded or not.
#[derive(Default)]
struct Born {
    holder: Option<(i32, OwnedFd)>,
    worker: Option<(i32, OwnedFd)>,
    /// The holder's mount namespace, for the executor to keep until it clears the sandbox away: its last user
    /// takes the mounts down, for which the kernel waits, and a call that was killed would wait for it.
    mounts: Option<OwnedFd>,
}

/// An order to the thread that makes workers. It answers with the worker, or the reason for its absence.
struct Order {
    holder: OwnedFd,
    channels: Channels,
    /// Where the holder says that the namespaces may be entered.
    opening: OwnedFd,
}

type Delivered = Result<(i32, OwnedFd), Fault>;

/// Serves build requests until the executor closes the channel.
fn serve(channel: BorrowedFd<'_>, prepared: Prepared) -> Result<(), Fault> {
    let broken = |errno| Fault { step: Step::BuildRequest, errno, about: String::new() };
    let prepared = Arc::new(prepared);
    let (orders, inbox) = sync_channel::<Order>(1);
    let (outbox, deliveries) = sync_channel::<Delivered>(1);
    let for_workers = Arc::clone(&prepared);
    std::thread::Builder::new()
        .spawn(move || make_workers(&for_workers, &inbox, &outbox))
        .map_err(|_| broken(Errno::EAGAIN))?;
    let mut networks = Networks::start(&prepared).map_err(broken)?;
    socket::send(channel, &[wire::READY]).map_err(broken)?;
    let mut message = [0; MAX_MESSAGE];
    loop {
        let (length, fds) = socket::receive_with(channel, &mut message).map_err(broken)?;
        if length == 0 {
            return Ok(());
        }
        let mut born = Born::default();
        let request = message.get(..length).and_then(BuildMessage::parse);
        let outcome = request
            .and_then(|request| Some((request, Channels::parse(request, fds)?)))
            .ok_or(Fault { step: Step::BuildRequest, errno: Errno::EBADMSG, about: String::new() })
            .and_then(|(request, channels)| {
                build((&prepared, &mut networks), request, channels, &mut born, (&orders, &deliveries))
            });
        attempt(Step::BuildReply, c"", || reply(channel, outcome, &born))?;
        networks.replace_taken();
    }
}

/// Makes one sandbox. On a failure, `born` contains the processes started by then.
fn build(
    (prepared, networks): (&Prepared, &mut Networks),
    request: BuildMessage,
    channels: Channels,
    born: &mut Born,
    (orders, deliveries): (&SyncSender<Order>, &Receiver<Delivered>),
) -> Result<(), Fault> {
    let (status, holders_end) = attempt(Step::HolderClone, c"", socket::pair)?;
    let (opening, opened_by) = attempt(Step::HolderClone, c"", socket::pipe)?;
    let cloned = attempt(Step::HolderClone, c"", || {
        let directory = channels.cgroup_directory.as_ref().map(AsFd::as_fd);
        let owned = if removed!(prepared, NetworkOwner) { libc::CLONE_NEWNET } else { 0 };
        let namespaces = (NAMESPACES | owned) & !shared(&prepared.profile);
        networks.within(|| {
            // SAFETY: the child returns from here, which closes a descriptor, and calls `hold`, which neither
            // allocates nor locks nor returns.
            unsafe { process::clone(namespaces | libc::CLONE_PARENT, directory) }
        })
    })?;
    let (pid, holder) = match cloned {
        Cloned::Child => holder::hold(prepared, &channels, &holders_end, &opened_by),
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((holders_end, opened_by));
    let again = holder.try_clone();
    born.holder = Some((pid, holder));
    attempt(Step::HolderMaps, c"", || write_maps(prepared, pid, request.worker_id))
        .map_err(|failure| earlier_failure(status.as_fd()).unwrap_or(failure.into()))?;
    // A holder that has already failed has sent the reason; that is read below.
    let _ = socket::send(status.as_fd(), &[wire::MAPS_WRITTEN]);
    born.mounts = mount_namespace(prepared, pid);
    let lost = |_| Fault { step: Step::WorkerNamespace, errno: Errno::EPIPE, about: String::new() };
    let holder = again.map_err(|_| Fault {
        step: Step::WorkerNamespace,
        errno: Errno::EMFILE,
        about: String::new(),
    })?;
    // The worker is made while the holder sets up.
    orders.send(Order { holder, channels, opening }).map_err(|_| lost(()))?;
    let delivered = deliveries.recv().map_err(|_| lost(()))?;
    // There is no way into the namespaces of a holder that has failed.
    born.worker = Some(delivered.map_err(|fault| earlier_failure(status.as_fd()).unwrap_or(fault))?);
    expect_ready(status.as_fd(), Step::HolderClone)
}

/// The failure that a holder sent before it died, if that is why something cannot be done with it.
fn earlier_failure(status: BorrowedFd<'_>) -> Option<Fault> {
    let mut message = [0; MAX_MESSAGE];
    let length = socket::receive_now(status, &mut message).ok()?;
    match message.get(..length) {
        Some(said @ [wire::FAILED, ..]) => Some(wire::parse_failure(said, Step::HolderClone)),
        _ => None,
    }
}

/// Waits until the other side is ready, or has sent why it is not. A side that died without a message closes
/// its end of the channel.
fn expect_ready(status: BorrowedFd<'_>, step: Step) -> Result<(), Fault> {
    let mut message = [0; MAX_MESSAGE];
    match socket::receive(status, &mut message) {
        Ok(length) => match message.get(..length) {
            Some([wire::READY]) => Ok(()),
            other => Err(wire::parse_failure(other.unwrap_or_default(), step)),
        },
        Err(errno) => Err(Fault { step, errno, about: String::new() }),
    }
}

/// Maps the ids of a holder's user namespace. Inside, programs are always 1000; outside, they have the id
/// that the build names. Where only one id is available it is that one, and `setgroups` was denied for good
/// when the launcher's own map was written.
fn write_maps(prepared: &Prepared, pid: i32, worker_id: u32) -> Result<(), Errno> {
    let map = match prepared.many_ids {
        true => format!("0 {HOLDER_ID} 1\n{INSIDE_ID} {worker_id} 1\n"),
        false => format!("{INSIDE_ID} 0 1\n"),
    };
    for name in ["uid_map", "gid_map"] {
        let path = prepared::text(format!("{pid}/{name}"))?;
        file::put(prepared.host_proc.as_fd(), &path, map.as_bytes())?;
    }
    Ok(())
}

/// The mount namespace of a holder. Without it a sandbox is only slower to end, so a failure is none.
fn mount_namespace(prepared: &Prepared, pid: i32) -> Option<OwnedFd> {
    let path = prepared::text(format!("{pid}/ns/mnt")).ok()?;
    file::open(prepared.host_proc.as_fd(), &path, libc::O_RDONLY, 0).ok()
}

/// The second thread: enters one holder after another and leaves a worker in each.
fn make_workers(prepared: &Prepared, inbox: &Receiver<Order>, outbox: &SyncSender<Delivered>) {
    let mut buffer = RequestBuffer::new();
    for order in inbox {
        let delivered = make_worker(prepared, &order, &mut buffer);
        drop(order);
        if outbox.send(delivered).is_err() {
            return;
        }
    }
}

fn make_worker(prepared: &Prepared, order: &Order, buffer: &mut RequestBuffer) -> Delivered {
    attempt(Step::WorkerNamespace, c"", || process::join(order.holder.as_fd(), libc::CLONE_NEWPID))?;
    let cloned = attempt(Step::WorkerClone, c"", || {
        let directory = order.channels.cgroup_directory.as_ref().map(AsFd::as_fd);
        // SAFETY: the child calls only `park`, which neither allocates nor locks nor returns.
        unsafe { process::clone(libc::CLONE_PARENT, directory) }
    })?;
    match cloned {
        Cloned::Child => worker::park(prepared, order, buffer),
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
    }
}

/// Answers a build: the processes started, and the failure if there is one. The executor is their parent, so
/// it must always learn of them.
fn reply(channel: BorrowedFd<'_>, outcome: Result<(), Fault>, born: &Born) -> Result<(), Errno> {
    let all = [&born.holder, &born.worker];
    let processes = all.iter().filter_map(|b| b.as_ref()).map(|(_, fd)| fd.as_fd());
    let mounts = born.mounts.iter().filter(|_| outcome.is_ok()).map(AsFd::as_fd);
    let fds: Vec<BorrowedFd<'_>> = processes.chain(mounts).collect();
    let mut message = [0; MAX_MESSAGE];
    let length = match outcome {
        Ok(()) => {
            let mut length = 0;
            let pids = all.iter().map(|b| b.as_ref().map_or(0, |(pid, _)| *pid).to_le_bytes());
            for byte in std::iter::once(wire::BUILT).chain(pids.flatten()) {
                if let Some(place) = message.get_mut(length) {
                    *place = byte;
                    length += 1;
                }
            }
            length
        }
        Err(fault) => {
            let about = prepared::text(fault.about)?;
            let about: &CStr = &about;
            let failure = crate::step::Failure { step: fault.step, errno: fault.errno, about };
            wire::failure_bytes(&failure, &mut message)
        }
    };
    socket::send_with(channel, message.get(..length).unwrap_or_default(), &fds)
}
