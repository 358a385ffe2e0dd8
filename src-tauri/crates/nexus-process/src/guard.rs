//! The guard: the process that stands between NEXUS and one program.
//!
//! It is the host's own executable, run again with a hidden argument. It starts the program,
//! is its parent, and becomes the parent of everything that loses its own parent below it. When
//! the program ends, when NEXUS asks, or when NEXUS is gone (the control socket closes), it
//! kills and reaps until nothing is left, and only then says so and ends.
//!
//! It reads none of the program's output: the program has the pipes themselves.

mod exec;

use crate::{
    launch::Shortage,
    ledger::{self, ProcessIdentity, identity_of},
    procfs,
    wire::{self, Order, Report, Start},
};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process};
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    io::{self, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    signal::unix::{Signal as SignalStream, SignalKind, signal},
    time::{Instant, sleep, sleep_until},
};

/// Makes the process a guard. Its stdin is the control socket.
pub(crate) const GUARD_ARGUMENT: &str = "__guard";
/// Makes the process the short-lived stage that becomes the program.
const EXEC_ARGUMENT: &str = "__guard-exec";

/// How long the program has to end by itself after NEXUS is gone.
pub(crate) const GRACE_WITHOUT_NEXUS: Duration = Duration::from_secs(2);

/// How often the guard looks for new children while it is killing them. It is woken by every
/// child that ends; this is for those that come to it without one ending.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long killing may take before NEXUS hears what withstands it. Less than NEXUS waits for
/// a word of a guard that it ordered to kill.
const REPORT_AFTER: Duration = Duration::from_secs(2);
/// How often the guard tries again from then on.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Runs the guard if this process was started to be one. A host calls it first thing in `main`,
/// before it starts a thread or a runtime, and ends with the exit code if there is one.
#[must_use = "when there is an exit code, the process was a guard and has to end with it"]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let first = args.next()?;
    if first == GUARD_ARGUMENT {
        // The guard has nobody to tell: when it fails, NEXUS sees that it is gone.
        Some(guard().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
    } else if first == EXEC_ARGUMENT {
        Some(exec::become_the_program(args.next().as_deref()))
    } else {
        None
    }
}

/// The executable that is running, as a path that still works after its file was replaced.
pub(crate) fn own_executable() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

fn guard() -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    leave_the_hosts_surroundings();
    let Some((start, fds)) = wire::receive(&control)? else {
        return Ok(());
    };
    // Whatever else was open by inheritance ends here, so the program gets only what it is
    // sent. After the receiving, because not every system marks received ones by itself.
    close_fds::set_fds_cloexec(3, &[]);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(watch_over(control, start, fds))
}

/// A session of its own, so that signals for the terminal or for NEXUS's group miss the guard.
fn leave_the_hosts_surroundings() {
    // Fails only for a group leader, which a freshly forked process is not.
    let _ = rustix::process::setsid();
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::thread::set_name(c"nexus-guard");
        // Without it, what loses its parent would go to init. The kernel always grants it.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
}

async fn watch_over(control: UnixStream, start: Start, fds: Vec<OwnedFd>) -> io::Result<()> {
    control.set_nonblocking(true)?;
    let (orders, reports) = tokio::net::UnixStream::from_std(control)?.into_split();
    let mut reports = Reports(reports);
    // Caught and dropped: the guard ends when its work is done, whoever asks for less. Caught
    // and not ignored, because the program would inherit that. Kept until the end of the guard.
    let _deaf = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
        signal(SignalKind::quit())?,
    ];
    let child_ended = signal(SignalKind::child())?;

    let mut orders = BufReader::new(orders).lines();

    let stage = start_stage(&start, fds);
    let (pid, status) = match stage {
        Ok(started) => started,
        Err(e) => {
            let exhausted = Shortage::of(&e).and(e.raw_os_error());
            let reason = format!("the guard failed: {e}");
            reports
                .send(&Report::CouldNotStart { reason, exhausted })
                .await;
            return Ok(());
        }
    };
    let mut program = Program {
        pid,
        end: None,
        child_ended,
    };
    let refusal = tokio::select! {
        refusal = has_become_the_program(status) => refusal,
        // Nobody gives orders before the start is reported: NEXUS is gone, or gave up.
        _ = orders.next_line() => Some("NEXUS is gone".to_owned()),
    };
    if let Some(reason) = refusal {
        let exhausted = None;
        reports
            .send(&Report::CouldNotStart { reason, exhausted })
            .await;
        program.kill_the_rest(&mut reports).await;
        return Ok(());
    }
    reports.send(&Report::Started(program.identity())).await;
    program.until_its_end(orders).await;
    if let Some(end) = &program.end {
        reports.send(end).await;
    }
    program.kill_the_rest(&mut reports).await;
    reports.send(&Report::Gone).await;
    Ok(())
}

/// Waits for the exec stage. `None` when it is the program now; otherwise why it is not, for
/// people.
async fn has_become_the_program(status: UnixStream) -> Option<String> {
    let mut reason = String::new();
    let read = async {
        status.set_nonblocking(true)?;
        let mut status = tokio::net::UnixStream::from_std(status)?;
        // The stage's end of the socket closes when it becomes the program; before that it
        // writes why it could not.
        status.read_to_string(&mut reason).await
    };
    match read.await {
        Ok(_) => Some(reason).filter(|reason| !reason.is_empty()),
        Err(e) => Some(format!("the guard failed: {e}")),
    }
}

/// Starts the exec stage and hands it the program's descriptors, keeping none.
fn start_stage(start: &Start, fds: Vec<OwnedFd>) -> io::Result<(Pid, UnixStream)> {
    let (status, theirs) = UnixStream::pair()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where nexus-process starts programs"
    )]
    let mut command = Command::new(own_executable()?);
    command
        .arg0("nexus-guard")
        .args([OsStr::new(EXEC_ARGUMENT), &own_pid()])
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let stage = command.spawn()?;
    drop(command);
    let message = wire::encode(start)?;
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    wire::send_length(&status, &message, &borrowed)?;
    (&status).write_all(&message)?;
    status.shutdown(Shutdown::Write)?;
    // Reaped with everything else, by number, and not through this handle.
    let pid = i32::try_from(stage.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the system gave no process number"))?;
    Ok((pid, status))
}

fn own_pid() -> OsString {
    OsString::from(std::process::id().to_string())
}

/// The program under guard.
struct Program {
    /// Not signalled any more once `end` is known, since the number is free then.
    pid: Pid,
    end: Option<Report>,
    child_ended: SignalStream,
}

impl Program {
    fn identity(&self) -> ProcessIdentity {
        let pid = self.pid.as_raw_nonzero().get().unsigned_abs();
        identity_of(pid).unwrap_or(ProcessIdentity {
            pid,
            start_ticks: 0,
        })
    }

    /// Waits until the program has ended or has to be killed, and obeys orders meanwhile.
    async fn until_its_end(&mut self, mut orders: Lines<BufReader<OwnedReadHalf>>) {
        let mut abandoned: Option<Instant> = None;
        self.reap();
        while self.end.is_none() {
            tokio::select! {
                _ = self.child_ended.recv() => {
                    self.reap();
                }
                order = orders.next_line(), if abandoned.is_none() => {
                    match order.ok().flatten().map(|line| wire::parse(&line)) {
                        Some(Ok(Order::Term)) => self.terminate(),
                        Some(Ok(Order::Kill)) => return,
                        // NEXUS is gone, or is something that we do not understand.
                        Some(Err(_)) | None => {
                            self.terminate();
                            abandoned = Some(Instant::now() + GRACE_WITHOUT_NEXUS);
                        }
                    }
                }
                () = sleep_until(abandoned.unwrap_or_else(Instant::now)), if abandoned.is_some() => {
                    return;
                }
            }
        }
    }

    /// Asks the program to end. A stopped one has to be woken to hear it.
    fn terminate(&self) {
        for signal in [Signal::TERM, Signal::CONT] {
            // Fails only for a program that changed its user; the kill that follows says more.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Kills everything below the guard until there is nothing. What loses its parent comes to
    /// the guard, so this is everything that the program started, directly or not. Meanwhile
    /// NEXUS is told of what withstands it.
    async fn kill_the_rest(&mut self, reports: &mut Reports) {
        let began = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            self.kill_what_is_there();
            let ended_before = self.end.is_some();
            let left = self.reap();
            if let (false, Some(end)) = (ended_before, &self.end) {
                reports.send(end).await;
            }
            if left == Children::None {
                return;
            }
            let late = began.elapsed() >= REPORT_AFTER;
            if late && told.is_none_or(|told| told.elapsed() >= REPORT_AFTER) {
                let living: Vec<_> = ledger::tree(&own_children()).into_iter().collect();
                if living.is_empty() {
                    // Dead, and only kept from being reaped, as a debugger does with them.
                    return;
                }
                reports.send(&Report::StillThere(living)).await;
                told = Some(Instant::now());
            }
            tokio::select! {
                _ = self.child_ended.recv() => {}
                () = sleep(if late { TRY_AGAIN } else { LOOK_AGAIN }) => {}
            }
        }
    }

    /// Kills everything below the guard once. All of it is stopped before any of it is killed,
    /// since what sees another one die may start it again.
    fn kill_what_is_there(&self) {
        if !cfg!(target_os = "linux") {
            self.kill_group();
        }
        let direct = procfs::own_children();
        // Before anything else, because looking at the whole process table takes its time.
        for pid in &direct {
            if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                // One that has ended already is only to be reaped.
                let _ = kill_process(pid, Signal::STOP);
            }
        }
        if !direct.is_empty() {
            for process in ledger::freeze(&own_children) {
                ledger::signal(process, Signal::KILL);
            }
        }
    }

    /// Where the guard cannot become the parent of orphans, the program's group is what it can
    /// reach. What left the group escapes.
    fn kill_group(&self) {
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
    }

    /// Reaps whatever has ended, and notes how the program did.
    fn reap(&mut self) -> Children {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid => {
                    self.end = report_of(status).or_else(|| self.end.take());
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return Children::Some,
                Err(_) => return Children::None,
            }
        }
    }
}

/// The children of the guard, ended ones included.
fn own_children() -> BTreeSet<ProcessIdentity> {
    procfs::own_children()
        .into_iter()
        .filter_map(identity_of)
        .collect()
}

#[derive(PartialEq, Eq)]
enum Children {
    Some,
    None,
}

fn report_of(status: WaitStatus) -> Option<Report> {
    let exited = status.exit_status().map(|code| Report::Exited { code });
    let signal = status.terminating_signal();
    exited.or(signal.map(|signal| Report::Signalled { signal }))
}

/// The way to NEXUS.
struct Reports(OwnedWriteHalf);

impl Reports {
    /// Tells NEXUS, if it still listens. The guard's work does not depend on it.
    async fn send(&mut self, report: &Report) {
        if let Ok(line) = wire::line(report) {
            let _ = self.0.write_all(&line).await;
        }
    }
}
