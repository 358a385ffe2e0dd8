//! A running program, seen from NEXUS: its pipes, ending it, and how it ended.

use crate::{
    guard::GRACE_WITHOUT_NEXUS,
    launch::{Guard, Tag},
    ledger::{self, Leftover, ProcessIdentity, find_tagged, kill_leftover},
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
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

/// How long a guard has to kill everything before it is taken for lost itself.
const KILL_LIMIT: Duration = Duration::from_secs(5);

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
    /// killed what was left; what could not be killed is in the log.
    GuardLost,
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
    ended: watch::Receiver<Option<Ended>>,
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

    /// Waits until the program and all that it started are gone. May be asked again and again,
    /// by several at once. Somebody has to read the output meanwhile: a program whose pipe is
    /// full does not end.
    pub async fn wait(&self) -> Ended {
        let mut ended = self.ended.clone();
        let known = ended.wait_for(Option::is_some).await;
        // The watching task ends early only when the runtime does.
        known
            .ok()
            .and_then(|ended| *ended)
            .unwrap_or(Ended::GuardLost)
    }

    /// Asks the program to end, and kills it with all that it started when it has not within
    /// `grace`. Returns when everything is gone.
    pub async fn stop(&self, grace: Duration) -> Ended {
        self.terminate();
        match timeout(grace, self.wait()).await {
            Ok(ended) => ended,
            Err(_) => {
                self.kill_tree();
                self.wait().await
            }
        }
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
) -> Process {
    let (orders, obeyed) = mpsc::unbounded_channel();
    let (tell, ended) = watch::channel(None);
    let process = Process {
        identity,
        guard: guard.identity,
        stdin,
        stdout,
        stderr,
        orders,
        ended,
    };
    tokio::spawn(async move {
        let ended = watch_guard(identity, guard, tag, talk, obeyed).await;
        // Nobody may be left to hear it.
        let _ = tell.send(Some(ended));
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
) -> Ended {
    let last_word = listen(talk, orders).await;
    if last_word.is_err() {
        // It is most likely dead; if not, then it no longer does its work.
        let _ = guard.child.start_kill();
    }
    if let Err(e) = guard.child.wait().await {
        tracing::warn!(error = %e, "could not wait for a guard");
    }
    match last_word {
        Ok(ended) => ended,
        Err(Lost { ended }) => {
            tracing::warn!(pid = identity.pid, "the guard of a program was lost");
            clear_away(identity, tag).await;
            ended.unwrap_or(Ended::GuardLost)
        }
    }
}

/// The guard is gone or hangs without having said that everything is gone.
struct Lost {
    /// What it had said by then.
    ended: Option<Ended>,
}

/// Talks with the guard until its last word.
async fn listen(
    talk: BufReader<UnixStream>,
    mut orders: mpsc::UnboundedReceiver<Order>,
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
                    (Some(Report::Gone), Some(ended)) => return Ok(ended),
                    (Some(Report::Gone | Report::Started(_) | Report::CouldNotStart { .. }), _)
                    | (None, _) => return Err(Lost { ended }),
                }
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
                return Err(Lost { ended });
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

/// Ends what a lost guard left. The kernel has sent SIGTERM to the program; like a guard without
/// NEXUS, this waits a moment for it to end its own tools, then kills all.
async fn clear_away(identity: ProcessIdentity, tag: Option<Tag>) {
    let cleared = tokio::task::spawn_blocking(move || {
        let known = everything_of(identity, tag.as_ref(), BTreeSet::new());
        ledger::still_alive_after(&known, GRACE_WITHOUT_NEXUS);
        let known = everything_of(identity, tag.as_ref(), known);
        let known: Vec<_> = known.into_iter().collect();
        kill_leftover(&known)
    });
    match cleared.await {
        Ok(Leftover::NothingThere | Leftover::Killed { .. }) => {}
        Ok(Leftover::Survived { processes }) => {
            tracing::warn!(?processes, "processes of a program could not be killed");
        }
        Err(e) => tracing::warn!(error = %e, "could not clear away a program"),
    }
}

/// What is known to belong to the program, its descendants and its tag.
fn everything_of(
    identity: ProcessIdentity,
    tag: Option<&Tag>,
    mut known: BTreeSet<ProcessIdentity>,
) -> BTreeSet<ProcessIdentity> {
    known.insert(identity);
    known.extend(tag.map_or_else(Vec::new, |tag| find_tagged(&tag.name, &tag.value)));
    known.extend(ledger::tree(&known));
    known
}
