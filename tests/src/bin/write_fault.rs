//! Runs a program and strikes at one of its system calls that write: the program is killed just
//! before it, or the call fails with an error of the disk and is not made.
//!
//! `write-fault REPORT HOW NUMBER PROGRAM [ARG…]`: HOW is `kill`, `eio` or `enospc`, NUMBER counts
//! from 1 over all threads of the program, and 0 strikes at nothing. What the program starts is
//! not touched. REPORT gets a line for each writing call, `name path`, and `STRUCK` before the
//! one that was struck. The exit code is the program's, 137 when it was killed.
//!
//! `strace` could inject the same, but counts for each thread by itself, so that with several
//! threads no number names one call.

use nix::{
    errno::Errno,
    sys::{
        ptrace::{self, Options},
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use std::{
    collections::HashSet,
    env,
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    process::{Command, ExitCode, Stdio},
};

#[expect(clippy::print_stderr, reason = "this is a small program for tests")]
fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("write-fault: failed to trace a program: {error}");
            ExitCode::from(99)
        }
    }
}

fn run() -> Result<u8, Box<dyn std::error::Error>> {
    let mut args = env::args_os().skip(1);
    let mut next = || args.next().ok_or("too few arguments");
    let report = BufWriter::new(File::create(next()?)?);
    let how = match next()?.to_str() {
        Some("kill") => How::Kill,
        Some("eio") => How::Fail(Errno::EIO),
        Some("enospc") => How::Fail(Errno::ENOSPC),
        _ => return Err("HOW has to be kill, eio or enospc".into()),
    };
    let number = next()?
        .to_str()
        .ok_or("NUMBER has to be a number")?
        .parse()?;
    let root = start(args.collect())?;
    let mut tracer = Tracer {
        root,
        how,
        number,
        report,
        count: 0,
        failing: HashSet::new(),
    };
    let code = tracer.follow()?;
    tracer.report.flush()?;
    Ok(code)
}

/// Starts the program under trace, from its first instruction on.
#[expect(
    clippy::disallowed_methods,
    reason = "this program stands outside of NEXUS and only looks at it"
)]
fn start(program: Vec<std::ffi::OsString>) -> Result<Pid, Box<dyn std::error::Error>> {
    // The shell waits until it is traced, and becomes the program.
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read go; exec \"$0\" \"$@\" < /dev/null"])
        .args(program)
        .stdin(Stdio::piped())
        .spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options)?;
    ptrace::interrupt(pid)?;
    waitpid(pid, None)?;
    ptrace::syscall(pid, None)?;
    let mut go = child.stdin.take().ok_or("no way to tell it to go")?;
    go.write_all(b"\n")?;
    Ok(pid)
}

#[derive(Clone, Copy, Debug)]
enum How {
    Kill,
    Fail(Errno),
}

struct Tracer {
    root: Pid,
    how: How,
    number: usize,
    report: BufWriter<File>,
    /// Writing calls so far.
    count: usize,
    /// Threads whose present call is not made and has to end with the error.
    failing: HashSet<Pid>,
}

impl Tracer {
    /// Follows all threads until the program has ended; its exit code.
    fn follow(&mut self) -> Result<u8, Box<dyn std::error::Error>> {
        loop {
            let (thread, signal) = match waitpid(None, Some(WaitPidFlag::__WALL))? {
                WaitStatus::Exited(pid, code) if pid == self.root => {
                    return Ok(u8::try_from(code)?);
                }
                WaitStatus::Signaled(pid, signal, _) if pid == self.root => {
                    return Ok(128 + signal as u8);
                }
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => continue,
                WaitStatus::PtraceSyscall(thread) => {
                    gone_is_fine(self.at_call(thread))?;
                    (thread, None)
                }
                WaitStatus::PtraceEvent(thread, ..) => (thread, None),
                WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
                WaitStatus::Continued(_) | WaitStatus::StillAlive => continue,
            };
            gone_is_fine(ptrace::syscall(thread, signal).map_err(io::Error::from))?;
        }
    }

    /// A thread is about to make a call, or has made one.
    fn at_call(&mut self, thread: Pid) -> io::Result<()> {
        let mut registers = ptrace::getregs(thread)?;
        if self.failing.remove(&thread) {
            if let How::Fail(error) = self.how {
                registers.rax = (-i64::from(error as i32)).cast_unsigned();
                ptrace::setregs(thread, registers)?;
            }
            return Ok(());
        }
        // Before a call the kernel has put this error where its result will be.
        let begins = registers.rax == (-i64::from(Errno::ENOSYS as i32)).cast_unsigned();
        let args = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
        let Some((name, path)) = begins
            .then(|| writing(thread, registers.orig_rax, args))
            .flatten()
        else {
            return Ok(());
        };
        self.count += 1;
        if self.count == self.number {
            writeln!(self.report, "STRUCK")?;
        }
        writeln!(self.report, "{name} {path}")?;
        if self.count != self.number {
            return Ok(());
        }
        match self.how {
            How::Kill => kill(self.root, Signal::SIGKILL)?,
            How::Fail(_) => {
                registers.orig_rax = u64::MAX;
                ptrace::setregs(thread, registers)?;
                self.failing.insert(thread);
            }
        }
        Ok(())
    }
}

/// A thread that died meanwhile is reported by itself.
fn gone_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| match error.raw_os_error() {
        Some(number) if number == Errno::ESRCH as i32 => Ok(()),
        _ => Err(error),
    })
}

/// The name and the file of a call that writes to a disk; `None` for every other call.
fn writing(thread: Pid, number: u64, args: [u64; 4]) -> Option<(&'static str, String)> {
    let (name, file) = match number {
        1 => ("write", Target::Open(args[0])),
        18 => ("pwrite64", Target::Open(args[0])),
        20 => ("writev", Target::Open(args[0])),
        74 => ("fsync", Target::Open(args[0])),
        75 => ("fdatasync", Target::Open(args[0])),
        76 => ("truncate", Target::Named(args[0])),
        77 => ("ftruncate", Target::Open(args[0])),
        82 => ("rename", Target::Named(args[1])),
        83 => ("mkdir", Target::Named(args[0])),
        84 => ("rmdir", Target::Named(args[0])),
        86 => ("link", Target::Named(args[1])),
        87 => ("unlink", Target::Named(args[0])),
        88 => ("symlink", Target::Named(args[1])),
        257 if args[2] & (CREATE | TRUNCATE) != 0 => ("openat", Target::Named(args[1])),
        258 => ("mkdirat", Target::Named(args[1])),
        263 => ("unlinkat", Target::Named(args[1])),
        264 => ("renameat", Target::Named(args[3])),
        265 => ("linkat", Target::Named(args[3])),
        266 => ("symlinkat", Target::Named(args[2])),
        285 => ("fallocate", Target::Open(args[0])),
        316 => ("renameat2", Target::Named(args[3])),
        326 => ("copy_file_range", Target::Open(args[2])),
        _ => return None,
    };
    let path = match file {
        Target::Open(fd) => fs::read_link(format!("/proc/{thread}/fd/{fd}")).ok()?,
        Target::Named(at) => text_at(thread, at)?.into(),
    };
    let on_disk = !["/dev", "/proc", "/sys"]
        .iter()
        .any(|pseudo| path.starts_with(pseudo));
    // A pipe or a socket is named `pipe:[…]`.
    let is_file = matches!(file, Target::Named(_)) || path.is_absolute();
    (on_disk && is_file).then(|| (name, path.display().to_string()))
}

const CREATE: u64 = 0o100;
const TRUNCATE: u64 = 0o1000;

/// Which file a call is about.
#[derive(Clone, Copy)]
enum Target {
    Open(u64),
    /// Where its name is in the thread's memory.
    Named(u64),
}

fn text_at(thread: Pid, at: u64) -> Option<String> {
    let memory = File::open(format!("/proc/{thread}/mem")).ok()?;
    let mut text = [0; 4096];
    let read = memory.read_at(&mut text, at).ok()?;
    let end = text[..read].iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&text[..end]).into_owned())
}
