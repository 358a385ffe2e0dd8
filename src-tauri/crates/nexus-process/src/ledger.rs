//! Knowing a process again later: for the ledger of what NEXUS started, and for clearing away
//! what an earlier NEXUS left behind.
//!
//! A process number alone is not enough, since numbers are used again. Number and start time
//! together are, within one boot of the machine. Outside Linux no start time is known; there
//! nothing counts as recognised and nothing is killed.

use crate::{
    launch::Tag,
    procfs::{self, Stat},
};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    time::{Duration, Instant},
};

/// A process that cannot be mistaken for another, even after its number was used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    pub pid: u32,
    /// Start time in clock ticks since boot, as `/proc/PID/stat` has it; zero where unknown.
    pub start_ticks: u64,
}

impl From<Stat> for ProcessIdentity {
    fn from(stat: Stat) -> Self {
        Self {
            pid: stat.pid,
            start_ticks: stat.start_ticks,
        }
    }
}

/// The identity of the process that has this number now.
pub fn identity_of(pid: u32) -> Option<ProcessIdentity> {
    procfs::stat(pid).map(ProcessIdentity::from)
}

/// A text that is new with every boot of the machine. Identities from another boot mean nothing.
pub fn boot_id() -> Option<String> {
    procfs::boot_id()
}

/// Does this very process still run? One that ended and waits to be reaped does not.
pub fn is_alive(identity: ProcessIdentity) -> bool {
    procfs::stat(identity.pid)
        .is_some_and(|stat| !stat.dead && ProcessIdentity::from(stat) == identity)
}

/// The living processes whose environment, as they were started, has `name` set to `value`.
/// The calling process is never among them.
pub fn find_tagged(name: &OsStr, value: &OsStr) -> Vec<ProcessIdentity> {
    procfs::pids()
        .filter(|pid| *pid != std::process::id())
        .filter_map(identity_of)
        .filter(|found| procfs::has_variable(found.pid, name, value))
        // Asked after the look into its environment, so that the number cannot have passed
        // from one process to another in between.
        .filter(|found| is_alive(*found))
        .collect()
}

/// The living processes that were started with `name` in their environment, each with its value,
/// from one look at all of them. The calling process is never among them.
pub fn find_all_tagged(name: &OsStr) -> Vec<(ProcessIdentity, OsString)> {
    procfs::pids()
        .filter(|pid| *pid != std::process::id())
        .filter_map(identity_of)
        .filter_map(|found| Some((found, procfs::variable(found.pid, name)?)))
        // As in `find_tagged`.
        .filter(|(found, _)| is_alive(*found))
        .collect()
}

/// What became of processes that were to be killed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// None of them was running any more.
    NothingThere,
    /// They and their descendants are gone; so many were killed.
    Killed { processes: usize },
    /// These could not be killed: they belong to another user or hang in the kernel.
    Survived { processes: Vec<ProcessIdentity> },
}

/// Kills these processes, as far as they are the ones they were, with all their descendants,
/// and waits up to five seconds until they are gone. Blocks; call it off the async threads.
pub fn kill_leftover(roots: &[ProcessIdentity]) -> Leftover {
    kill_all(&|| roots.iter().copied().collect())
}

/// As [`kill_leftover`], and with them whatever carries the tag and its descendants: what lost
/// its parents, and what starts again while it is being killed.
pub fn kill_tagged(roots: &[ProcessIdentity], tag: &Tag) -> Leftover {
    kill_all(&|| {
        let tagged = find_tagged(&tag.name, &tag.value);
        roots.iter().copied().chain(tagged).collect()
    })
}

/// How long killing may take.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long one round of killing waits before it looks again.
const ROUND: Duration = Duration::from_millis(500);
/// How often one round looks for what was started while it was stopping the rest.
const MOST_LOOKS: u32 = 50;

/// Kills what is found, with its descendants, until nothing is found.
fn kill_all(roots: &dyn Fn() -> BTreeSet<ProcessIdentity>) -> Leftover {
    let deadline = Instant::now() + KILL_LIMIT;
    let mut killed = BTreeSet::new();
    loop {
        // Without descriptors to look with, nothing is seen, which does not mean that nothing is
        // there.
        let could_see = procfs::can_be_read();
        let found = freeze(&|| killed.union(&roots()).copied().collect());
        let seen = could_see && procfs::can_be_read();
        if found.is_empty() && seen {
            return match killed.len() {
                0 => Leftover::NothingThere,
                processes => Leftover::Killed { processes },
            };
        }
        if Instant::now() >= deadline {
            let processes = if seen {
                found.into_iter().collect()
            } else {
                killed.union(&roots()).copied().collect()
            };
            return Leftover::Survived { processes };
        }
        if !seen {
            std::thread::sleep(ROUND);
        }
        for process in &found {
            signal(*process, Signal::KILL);
        }
        still_alive_after(&found, ROUND);
        killed.extend(found);
    }
}

/// The roots and all their descendants, alive, that are running now.
pub(crate) fn tree(roots: &BTreeSet<ProcessIdentity>) -> BTreeSet<ProcessIdentity> {
    let own = std::process::id();
    let living: Vec<Stat> = procfs::all()
        .into_iter()
        .filter(|stat| !stat.dead && stat.pid != own)
        .collect();
    let mut found: BTreeSet<ProcessIdentity> = living
        .iter()
        .map(|stat| ProcessIdentity::from(*stat))
        .filter(|identity| roots.contains(identity))
        .collect();
    loop {
        let parents: BTreeSet<u32> = found.iter().map(|identity| identity.pid).collect();
        let before = found.len();
        found.extend(
            living
                .iter()
                .filter(|stat| parents.contains(&stat.parent))
                .map(|stat| ProcessIdentity::from(*stat)),
        );
        if found.len() == before {
            return found;
        }
    }
}

/// Stops the whole tree before any of it is killed: what is stopped starts nothing new, and a
/// dead parent would no longer lead to its children. The living that it found.
pub(crate) fn freeze(roots: &dyn Fn() -> BTreeSet<ProcessIdentity>) -> BTreeSet<ProcessIdentity> {
    let mut frozen = BTreeSet::new();
    // A tree that grows faster than it is looked at is killed as far as it is known.
    for _ in 0..MOST_LOOKS {
        let known: BTreeSet<_> = frozen.union(&roots()).copied().collect();
        let now = tree(&known);
        let fresh: Vec<_> = now.difference(&frozen).copied().collect();
        if fresh.is_empty() {
            return now;
        }
        for process in &fresh {
            signal(*process, Signal::STOP);
        }
        frozen.extend(fresh);
    }
    frozen
}

/// Sends a signal to this very process; one that is gone gets none.
#[cfg(target_os = "linux")]
pub(crate) fn signal(identity: ProcessIdentity, signal: Signal) {
    if let Some(handle) = handle(identity) {
        // Fails when it is gone by now or belongs to another user; both show afterwards.
        let _ = rustix::process::pidfd_send_signal(handle, signal);
    }
}

/// Those that are still alive when the time is over.
#[cfg(target_os = "linux")]
pub(crate) fn still_alive_after(
    processes: &BTreeSet<ProcessIdentity>,
    limit: Duration,
) -> Vec<ProcessIdentity> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let deadline = Instant::now() + limit;
    for process in processes {
        let Some(handle) = handle(*process) else {
            continue;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        // Readable when the process has ended. An error here shows as a survivor below.
        let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], timeout.as_ref());
    }
    let alive = processes.iter().copied();
    alive.filter(|process| is_alive(*process)).collect()
}

/// Holds on to this very process: its number cannot pass to another while it is being used.
#[cfg(target_os = "linux")]
fn handle(identity: ProcessIdentity) -> Option<std::os::fd::OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = Pid::from_raw(i32::try_from(identity.pid).ok()?)?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    is_alive(identity).then_some(handle)
}

/// Nothing is recognised here, so nothing is signalled.
#[cfg(not(target_os = "linux"))]
pub(crate) fn signal(_: ProcessIdentity, _: Signal) {}

/// Nothing is recognised here, so nothing is alive.
#[cfg(not(target_os = "linux"))]
pub(crate) fn still_alive_after(
    _: &BTreeSet<ProcessIdentity>,
    _: Duration,
) -> Vec<ProcessIdentity> {
    Vec::new()
}
