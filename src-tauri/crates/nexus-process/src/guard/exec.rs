//! The exec stage: a process that prepares itself and then becomes the program.
//!
//! What has to be set inside the new process between fork and exec would need unsafe code in
//! the guard. Here it is ordinary code: a process of its own sets it for itself, then execs.

use crate::wire::{self, Start};
use command_fds::{CommandFdExt, FdMapping};
use rustix::{
    io::fcntl_dupfd_cloexec,
    process::{Resource, Rlimit},
};
use std::{
    ffi::OsStr,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{Command, ExitCode, Stdio},
};

/// Above every number that the program's own descriptors may have, so that giving it those
/// cannot overwrite the way back to the guard.
const STATUS_FD: i32 = crate::launch::MAX_FD_TARGET + 1;

/// Becomes the program that the socket on stdin names. Returns only when that failed; the guard
/// has been told why then.
pub(super) fn become_the_program(guard: Option<&OsStr>) -> ExitCode {
    let Ok(status) = fcntl_dupfd_cloexec(io::stdin().as_fd(), STATUS_FD) else {
        return ExitCode::FAILURE;
    };
    let status = UnixStream::from(status);
    let reason = try_to(&status, guard);
    // The guard reads until this closes; when it is gone, nobody needs the reason.
    let _ = (&status).write_all(reason.as_bytes());
    ExitCode::FAILURE
}

/// Says why it did not become the program.
fn try_to(status: &UnixStream, guard: Option<&OsStr>) -> String {
    if let Err(e) = limit_ourselves(guard) {
        return format!("the guard could not prepare the process: {e}");
    }
    let (start, fds) = match wire::receive(status) {
        Ok(Some(received)) => received,
        Ok(None) => return "the guard is gone".to_owned(),
        Err(e) => return format!("the guard was not understood: {e}"),
    };
    // Those received, too: the program gets copies under the numbers that are meant for it.
    close_fds::set_fds_cloexec(3, &[]);
    if let Err(e) = std::env::set_current_dir(&start.cwd) {
        return format!("its folder {} cannot be used: {e}", start.cwd.display());
    }
    match command(&start, fds) {
        Ok(mut command) => format!("{}: {}", start.program.display(), command.exec()),
        Err(e) => e,
    }
}

fn command(start: &Start, fds: Vec<OwnedFd>) -> Result<Command, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place where nexus-process becomes the program"
    )]
    let mut command = Command::new(&start.program);
    command
        .args(&start.args)
        .env_clear()
        .envs(start.env.iter().map(|(name, value)| (name, value)));
    let mut others = Vec::new();
    for (target, fd) in start.targets.iter().zip(fds) {
        match *target {
            0 => drop(command.stdin(Stdio::from(fd))),
            1 => drop(command.stdout(Stdio::from(fd))),
            2 => drop(command.stderr(Stdio::from(fd))),
            child_fd => others.push(FdMapping {
                parent_fd: fd,
                child_fd,
            }),
        }
    }
    command
        .fd_mappings(others)
        .map_err(|e| format!("its file descriptors: {e}"))?;
    Ok(command)
}

/// A session of its own (so that a signal the program sends to its group misses the guard), no
/// core files with secrets in them, no way to more rights, and an end with the guard.
fn limit_ourselves(guard: Option<&OsStr>) -> io::Result<()> {
    rustix::process::setsid()?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        rustix::thread::set_no_new_privs(true)?;
        // SIGTERM and not SIGKILL: agents end their own tools on it, and when only the guard is
        // gone NEXUS still kills what remains.
        set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    // The guard may have died before the signal was asked for.
    let parent = std::os::unix::process::parent_id().to_string();
    if guard == Some(OsStr::new(&parent)) {
        Ok(())
    } else {
        Err(io::Error::other("the guard is gone"))
    }
}
