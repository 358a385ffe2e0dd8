//! A running program, seen from NEXUS: its pipes, ending it, and how it ended.

use crate::{
    guard::GRACE_WITHOUT_NEXUS,
    launch::{Counted, Guard, Tag},
    ledger::{self, Leftover, ProcessIdentity, find_tagged},
    wire::{self, Order, Report},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, io, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedWriteHalf, pipe},
    },
    process::Child,
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

/// How long a guard that has to kill may say nothing before it is taken for lost itself.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long NEXUS waits, when a guard is lost, before it tries again to kill what is there.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// How a program ended. By then everything it started is gone too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ended {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// Its guard was killed or did not answer, so the ending is not known. NEXUS itself has
    /// killed what was left.
    GuardLost,
}

/// These processes of a program could not be killed: they hang in the kernel, or belong to
/// another user. The program is not gone, and killing it is tried again and again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("end the processes {}: they withstand being killed; look at them with `ps`, and end what they wait for", numbers(.processes))]
pub struct StillThere {
    pub processes: Vec<ProcessIdentity>,
}

fn numbers(processes: &[ProcessIdentity]) -> String {
    let numbers: Vec<_> = processes.iter().map(|one| one.pid.to_string()).collect();
    numbers.join(", ")
}

/// What is known of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Running,
    StillThere(StillThere),
    Gone(Ended),
}

/// A running program. Dropping it kills the program and all that it started.
#[derive(Debug)]
pub struct Process {
    identity: ProcessIdentity,
    guard: Option<ProcessIdentity>,
    /// Where [`Stdin::Piped`](crate::Stdin::Piped) was asked for. Dropping it closes the pipe.
    pub stdin: Option<pipe::Sender>,
    /// Where output was asked for.
    pub stdout: Option<pipe::Receiver>,
    /// Where output was asked for separately.
    pub stderr: Option<pipe::Receiver>,
    orders: mpsc::UnboundedSender<Order>,
    standing: watch::Receiver<Standing>,
}

impl Process {
    /// The program, for the ledger.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Its guard, for the ledger. `None` where start times are not known.
    pub fn guard_identity(&self) -> Option<ProcessIdentity> {
        self.guard
    }

    /// Asks the program to end (SIGTERM). What it had started is killed when it has.
    pub fn terminate(&self) {
        // When nobody takes orders any more, it is gone already.
        let _ = self.orders.send(Order::Term);
    }

    /// Kills the program and all that it started.
    pub fn kill_tree(&self) {
        let _ = self.orders.send(Order::Kill);
    }

    /// Waits until the program and all that it started are gone, however long that takes. May
    /// be asked again and again, by several at once. Somebody has to read the output meanwhile:
    /// a program whose pipe is full does not end.
    pub async fn wait(&self) -> Ended {
        let mut standing = self.standing.clone();
        let gone = standing.wait_for(|standing| matches!(standing, Standing::Gone(_)));
        match gone.await.as_deref() {
            Ok(Standing::Gone(ended)) => *ended,
            // The watching task ends early only when the runtime does.
            Ok(Standing::Running | Standing::StillThere(_)) | Err(_) => Ended::GuardLost,
        }
    }

    /// As [`wait`](Self::wait), but does not wait for what withstands being killed.
    pub async fn settled(&self) -> Result<Ended, StillThere> {
        let mut standing = self.standing.clone();
        let settled = standing.wait_for(|standing| *standing != Standing::Running);
        match settled.await.as_deref() {
            Ok(Standing::Gone(ended)) => Ok(*ended),
            Ok(Standing::StillThere(there)) => Err(there.clone()),
            Ok(Standing::Running) | Err(_) => Ok(Ended::GuardLost),
        }
    }

    /// What withstands being killed, as far as it was tried.
    pub fn still_there(&self) -> Option<StillThere> {
        match &*self.standing.borrow() {
            Standing::StillThere(there) => Some(there.clone()),
            Standing::Running | Standing::Gone(_) => None,
        }
    }

    /// Asks the program to end, and kills it with all that it started when it has not within
    /// `grace`. Returns when everything is gone, or with what cannot be killed.
    pub async fn stop(&self, grace: Duration) -> Result<Ended, StillThere> {
        self.terminate();
        if let Ok(settled) = timeout(grace, self.settled()).await {
            return settled;
        }
        self.kill_tree();
        self.settled().await
    }
}

/// Takes over a program that has just started: passes on orders and waits for its end.
pub(crate) fn supervise(
    identity: ProcessIdentity,
    guard: Guard,
    tag: Option<Tag>,
    talk: BufReader<UnixStream>,
    (stdin, stdout, stderr): (
        Option<pipe::Sender>,
        Option<pipe::Receiver>,
        Option<pipe::Receiver>,
    ),
    counted: Counted,
) -> Process {
    let (orders, obeyed) = mpsc::unbounded_channel();
    let (tell, standing) = watch::channel(Standing::Running);
    let process = Process {
        identity,
        guard: guard.identity,
        stdin,
        stdout,
        stderr,
        orders,
        standing,
    };
    tokio::spawn(async move {
        let ended = watch_guard(identity, guard, tag, talk, obeyed, &tell).await;
        tell.send_replace(Standing::Gone(ended));
        drop(counted);
    });
    process
}

/// Ends when the whole tree is gone, also when the [`Process`] was dropped long before.
async fn watch_guard(
    identity: ProcessIdentity,
    mut guard: Guard,
    tag: Option<Tag>,
    talk: BufReader<UnixStream>,
    orders: mpsc::UnboundedReceiver<Order>,
    tell: &watch::Sender<Standing>,
) -> Ended {
    match listen(talk, orders, tell).await {
        Ok(ended) => {
            reap(&mut guard.child).await;
            ended
        }
        Err(Lost { ended, killing }) => {
            tracing::warn!(pid = identity.pid, "the guard of a program was lost");
            let grace = if killing {
                Duration::ZERO
            } else {
                GRACE_WITHOUT_NEXUS
            };
            clear_away(&[identity], guard, tag, grace, tell).await;
            ended.unwrap_or(Ended::GuardLost)
        }
    }
}

/// Ends a guard that never said that its program runs, with whatever it has started.
pub(crate) async fn give_up(guard: Guard, tag: Option<Tag>) {
    let (tell, _) = watch::channel(Standing::Running);
    clear_away(&[], guard, tag, Duration::ZERO, &tell).await;
}

/// Waits for a guard that has ended or is about to.
async fn reap(guard: &mut Child) {
    match timeout(KILL_LIMIT, guard.wait()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "could not wait for a guard"),
        Err(_) => tracing::warn!("a guard does not end"),
    }
}

/// The guard is gone or hangs without having said that everything is gone.
struct Lost {
    /// What it had said by then.
    ended: Option<Ended>,
    /// It had to kill everything, so nothing has to be given time any more.
    killing: bool,
}

/// Talks with the guard until its last word.
async fn listen(
    talk: BufReader<UnixStream>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    tell: &watch::Sender<Standing>,
) -> Result<Ended, Lost> {
    let (mut reports, mut to_guard) = split(talk);
    let mut ended = None;
    let mut dropped = false;
    let mut overdue: Option<Instant> = None;
    loop {
        tokio::select! {
            line = reports.next_line() => {
                let report = line.ok().flatten().and_then(|line| wire::parse(&line).ok());
                match (report, ended) {
                    (Some(Report::Exited { code }), _) => ended = Some(Ended::Exited { code }),
                    (Some(Report::Signalled { signal }), _) => {
                        ended = Some(Ended::Signalled { signal });
                    }
                    (Some(Report::StillThere(processes)), _) => {
                        tracing::warn!(?processes, "processes withstand being killed");
                        tell.send_replace(Standing::StillThere(StillThere { processes }));
                    }
                    (Some(Report::Gone), Some(ended)) => return Ok(ended),
                    (Some(Report::Gone | Report::Started(_) | Report::CouldNotStart { .. }), _)
                    | (None, _) => {
                        let killing = overdue.is_some();
                        return Err(Lost { ended, killing });
                    }
                }
                // Whatever it was, from now on the guard kills and has more to say.
                overdue = Some(Instant::now() + KILL_LIMIT);
            }
            order = orders.recv(), if !dropped => {
                dropped = order.is_none();
                let order = order.unwrap_or(Order::Kill);
                if order == Order::Kill {
                    overdue.get_or_insert_with(|| Instant::now() + KILL_LIMIT);
                }
                if let Ok(line) = wire::line(&order) {
                    // A guard that no longer listens has ended or is about to: its last words
                    // are still to be read.
                    let _ = to_guard.write_all(&line).await;
                }
            }
            () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => {
                return Err(Lost { ended, killing: true });
            }
        }
    }
}

/// The reports by line, what was read of them already included, and the way to the guard.
fn split(
    talk: BufReader<UnixStream>,
) -> (
    tokio::io::Lines<impl AsyncBufReadExt + Unpin>,
    OwnedWriteHalf,
) {
    let buffered = io::Cursor::new(talk.buffer().to_vec());
    let (reports, to_guard) = talk.into_inner().into_split();
    let reports = BufReader::new(buffered.chain(reports));
    (reports.lines(), to_guard)
}

/// Ends a lost guard and what it left, and returns when all of it is gone. When a guard dies,
/// the kernel sends SIGTERM to the program; like a guard without NEXUS, this gives it `grace`
/// to end its own tools, then kills all.
async fn clear_away(
    programs: &[ProcessIdentity],
    mut guard: Guard,
    tag: Option<Tag>,
    grace: Duration,
    tell: &watch::Sender<Standing>,
) {
    let roots: BTreeSet<_> = programs.iter().copied().chain(guard.identity).collect();
    let tag = tag.as_ref();
    // Before the guard is killed: afterwards nothing leads from it to its children.
    let mut known = everything_of(roots, tag).await;
    // It is most likely dead; if not, then it no longer does its work.
    let _ = guard.child.start_kill();
    reap(&mut guard.child).await;
    if !grace.is_zero() {
        known = everything_of(known, tag).await;
        let waited_for = known.clone();
        off_thread(move || ledger::still_alive_after(&waited_for, grace)).await;
        known = everything_of(known, tag).await;
    }
    while let Some(Leftover::Survived { processes }) = kill(&known, tag).await {
        tracing::warn!(?processes, "processes withstand being killed");
        known.extend(&processes);
        tell.send_replace(Standing::StillThere(StillThere { processes }));
        sleep(TRY_AGAIN).await;
    }
}

/// What is known to belong to a program, its descendants and what carries its tag.
async fn everything_of(
    known: BTreeSet<ProcessIdentity>,
    tag: Option<&Tag>,
) -> BTreeSet<ProcessIdentity> {
    let (mut found, tag) = (known.clone(), tag.cloned());
    let found = off_thread(move || {
        found.extend(tag.map_or_else(Vec::new, |tag| find_tagged(&tag.name, &tag.value)));
        found.extend(ledger::tree(&found));
        found
    });
    found.await.unwrap_or(known)
}

/// Kills these, their descendants and what carries the tag.
async fn kill(known: &BTreeSet<ProcessIdentity>, tag: Option<&Tag>) -> Option<Leftover> {
    let (roots, tag): (Vec<_>, _) = (known.iter().copied().collect(), tag.cloned());
    off_thread(move || match tag {
        Some(tag) => ledger::kill_tagged(&roots, &tag),
        None => ledger::kill_leftover(&roots),
    })
    .await
}

/// Looks at the process table. `None` when the runtime ends.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
