//! Starting a program under a guard.

use crate::{
    guard::{GUARD_ARGUMENT, own_executable},
    ledger::{ProcessIdentity, identity_of},
    process::{Process, give_up, supervise},
    wire::{self, MAX_FDS, Report, Start},
};
use rustix::io::Errno;
use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    os::fd::{AsFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixStream, unix::pipe},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

/// The highest number that a descriptor given to a program may have there.
pub(crate) const MAX_FD_TARGET: RawFd = 63;

/// How long a guard may take to start its program, on a machine that is very busy.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Starts programs, each under a guard of its own. Clones know of each other's programs.
#[derive(Clone, Debug)]
pub struct Launcher {
    guard: PathBuf,
    /// How many programs are being started or are not gone yet.
    there: Arc<watch::Sender<usize>>,
}

/// Counts one program among those that are not gone, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<watch::Sender<usize>>);

impl Counted {
    fn among(there: &Arc<watch::Sender<usize>>) -> Self {
        there.send_modify(|count| *count += 1);
        Self(Arc::clone(there))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// What is to be started. Its `Debug` text leaves out the values of the environment.
pub struct Spawn {
    /// An absolute path, or a bare name that is looked up in the `PATH` of `env`.
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// The whole environment: nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// An absolute path.
    pub cwd: PathBuf,
    pub stdin: Stdin,
    pub output: Output,
    /// More descriptors for the program, each with the number it has there, from 3 to 63.
    /// It gets these, 0, 1 and 2, and no others.
    pub extra_fds: Vec<(RawFd, OwnedFd)>,
    /// By this the program and its descendants are found when their guard is lost.
    pub tag: Option<Tag>,
}

/// An environment variable that only this one program and its descendants have. Everything that
/// carries it is killed when the guard is lost, so two programs must never share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub name: OsString,
    pub value: OsString,
}

/// What the program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    Null,
    /// What is written to [`Process::stdin`].
    Piped,
}

/// Where the program's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nowhere.
    Null,
    /// To [`Process::stdout`] and [`Process::stderr`].
    Separate,
    /// Both to [`Process::stdout`], in the order they were written.
    Merged,
}

impl Spawn {
    /// Without arguments and environment, reading nothing, its output in two pipes.
    pub fn new(program: impl Into<PathBuf>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: cwd.into(),
            stdin: Stdin::Null,
            output: Output::Separate,
            extra_fds: Vec::new(),
            tag: None,
        }
    }
}

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Spawn")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .field("stdin", &self.stdin)
            .field("output", &self.output)
            .field("extra_fds", &self.extra_fds)
            .field("tag", &self.tag)
            .finish()
    }
}

/// Why a program was not started. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("find the program `{0}` in PATH: install it, or give its full path")]
    NotInPath(String),
    #[error("use the program path {}: give an absolute one", .0.display())]
    RelativeProgram(PathBuf),
    #[error("use the folder {}: give an absolute path", .0.display())]
    RelativeFolder(PathBuf),
    #[error("pass file descriptors: each needs a number of its own from 3 to {MAX_FD_TARGET}, and there may be {} of them", MAX_FDS - 3)]
    BadDescriptors,
    #[error("start the program: {0}")]
    Refused(String),
    #[error("start the guard {}: {source}", guard.display())]
    NoGuard { guard: PathBuf, source: io::Error },
    #[error("hear from the guard {}: it is not a NEXUS executable, or was stopped", .0.display())]
    SilentGuard(PathBuf),
    #[error("talk to the guard: {0}")]
    Guard(io::Error),
    #[error("start the program: {0}")]
    Exhausted(Shortage),
}

/// What the system has too little of just now. Starting again later may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    #[error("NEXUS has too many files open; let a task end, or raise the limit (`ulimit -n`)")]
    OpenFiles,
    #[error("the system has too many files open; close a program")]
    OpenFilesOfSystem,
    #[error("there are too many processes; let a task end, or raise the limit (`ulimit -u`)")]
    Processes,
    #[error("there is too little memory; close a program")]
    Memory,
}

impl Shortage {
    /// The shortage that an error tells of, if it does.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.raw_os_error().and_then(Self::of_number)
    }

    fn of_number(number: i32) -> Option<Self> {
        match Errno::from_raw_os_error(number) {
            Errno::MFILE => Some(Self::OpenFiles),
            Errno::NFILE => Some(Self::OpenFilesOfSystem),
            Errno::AGAIN => Some(Self::Processes),
            Errno::NOMEM => Some(Self::Memory),
            _ => None,
        }
    }
}

impl StartError {
    fn guard(error: io::Error) -> Self {
        Shortage::of(&error).map_or(Self::Guard(error), Self::Exhausted)
    }
}

impl Launcher {
    /// With `guard` as the guard: an executable that calls
    /// [`run_if_asked`](crate::guard::run_if_asked).
    pub fn new(guard: PathBuf) -> Self {
        let (there, _) = watch::channel(0);
        Self {
            guard,
            there: Arc::new(there),
        }
    }

    /// With the running executable as the guard.
    pub fn from_current_exe() -> io::Result<Self> {
        own_executable().map(Self::new)
    }

    /// Starts a program and returns when it runs.
    ///
    /// A caller that gives up in the middle leaves nothing behind: what it wanted is killed as
    /// soon as it runs. [`all_gone`](Self::all_gone) says when that was.
    pub async fn spawn(&self, spawn: Spawn) -> Result<Process, StartError> {
        let launcher = self.clone();
        let counted = Counted::among(&self.there);
        // A task of its own, so that a start is never broken off half-way. When nobody waits
        // for the process any more, it is dropped here, and by that killed.
        let started = tokio::spawn(async move { launcher.start(spawn, counted).await });
        let gone = |_| {
            Err(StartError::Guard(io::Error::other(
                "NEXUS is shutting down",
            )))
        };
        started.await.unwrap_or_else(gone)
    }

    /// Waits until nothing is left of all that was started, also of what was dropped and of
    /// starts that were given up.
    pub async fn all_gone(&self) {
        let mut there = self.there.subscribe();
        // The sender lives as long as this launcher does.
        let _ = there.wait_for(|count| *count == 0).await;
    }

    async fn start(&self, spawn: Spawn, counted: Counted) -> Result<Process, StartError> {
        let program = resolve(&spawn)?;
        if !spawn.cwd.is_absolute() {
            return Err(StartError::RelativeFolder(spawn.cwd));
        }
        let ends = Ends::open(&spawn).map_err(StartError::guard)?;
        let tag = spawn.tag.clone();
        let (start, fds) = message(program, spawn, ends.theirs)?;
        let (guard, control) = self.start_guard(tag.as_ref())?;
        let talk = BufReader::new(control);
        let talked = match timeout(START_LIMIT, hand_over(talk, &start, fds)).await {
            Ok(talked) => talked.map_err(StartError::guard),
            Err(_) => Err(StartError::SilentGuard(self.guard.clone())),
        };
        let refused = match talked {
            Ok((talk, Some(Report::Started(identity)))) => {
                let streams = (ends.stdin, ends.stdout, ends.stderr);
                return Ok(supervise(identity, guard, tag, talk, streams, counted));
            }
            Ok((_, Some(Report::CouldNotStart { reason, exhausted }))) => exhausted
                .and_then(Shortage::of_number)
                .map_or(StartError::Refused(reason), StartError::Exhausted),
            Ok((_, Some(_) | None)) => StartError::SilentGuard(self.guard.clone()),
            Err(error) => error,
        };
        give_up(guard, tag).await;
        Err(refused)
    }

    /// The guard gets the tag too, so that a search at the next start finds one that hangs.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that all others start programs through"
    )]
    fn start_guard(&self, tag: Option<&Tag>) -> Result<(Guard, UnixStream), StartError> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(StartError::guard)?;
        ours.set_nonblocking(true).map_err(StartError::guard)?;
        let control = UnixStream::from_std(ours).map_err(StartError::guard)?;
        let mut command = Command::new(&self.guard);
        command
            .arg0("nexus-guard")
            .arg(GUARD_ARGUMENT)
            .env_clear()
            .envs(tag.map(|tag| (&tag.name, &tag.value)))
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let no_guard = |source| StartError::NoGuard {
            guard: self.guard.clone(),
            source,
        };
        let child = command.spawn();
        let child = child.map_err(|source| {
            Shortage::of(&source).map_or_else(|| no_guard(source), StartError::Exhausted)
        })?;
        let identity = child.id().and_then(identity_of);
        Ok((Guard { child, identity }, control))
    }
}

/// A guard that was started.
#[derive(Debug)]
pub(crate) struct Guard {
    pub child: Child,
    pub identity: Option<ProcessIdentity>,
}

/// Both ends of the program's standard streams.
struct Ends {
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    /// 0, 1 and 2 of the program.
    theirs: [OwnedFd; 3],
}

impl Ends {
    fn open(spawn: &Spawn) -> io::Result<Self> {
        let (stdin, their_stdin) = match spawn.stdin {
            Stdin::Null => (None, null()?),
            Stdin::Piped => {
                let (reader, writer) = io::pipe()?;
                let ours = pipe::Sender::from_owned_fd(writer.into())?;
                (Some(ours), reader.into())
            }
        };
        let (stdout, their_stdout) = match spawn.output {
            Output::Null => (None, null()?),
            Output::Separate | Output::Merged => output_pipe()?,
        };
        let (stderr, their_stderr) = match spawn.output {
            Output::Null => (None, null()?),
            Output::Separate => output_pipe()?,
            Output::Merged => (None, their_stdout.try_clone()?),
        };
        Ok(Self {
            stdin,
            stdout,
            stderr,
            theirs: [their_stdin, their_stdout, their_stderr],
        })
    }
}

fn null() -> io::Result<OwnedFd> {
    let file = std::fs::File::options();
    Ok(file
        .clone()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into())
}

fn output_pipe() -> io::Result<(Option<pipe::Receiver>, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let ours = pipe::Receiver::from_owned_fd(reader.into())?;
    Ok((Some(ours), writer.into()))
}

/// The start message, and the descriptors that go with it.
fn message(
    program: PathBuf,
    spawn: Spawn,
    standard: [OwnedFd; 3],
) -> Result<(Start, Vec<OwnedFd>), StartError> {
    let mut targets = vec![0, 1, 2];
    let mut fds = Vec::from(standard);
    for (target, fd) in spawn.extra_fds {
        if targets.contains(&target) || !(0..=MAX_FD_TARGET).contains(&target) {
            return Err(StartError::BadDescriptors);
        }
        targets.push(target);
        fds.push(fd);
    }
    if fds.len() > MAX_FDS {
        return Err(StartError::BadDescriptors);
    }
    let mut env = spawn.env;
    if let Some(tag) = spawn.tag {
        env.push((tag.name, tag.value));
    }
    let start = Start {
        program: program.into_os_string(),
        args: spawn.args,
        env,
        cwd: spawn.cwd.into_os_string(),
        targets,
    };
    Ok((start, fds))
}

/// Sends the start message and waits for the answer. Our copies of the descriptors are closed
/// on the way, so that a pipe ends when the program's end of it does.
async fn hand_over(
    mut talk: BufReader<UnixStream>,
    start: &Start,
    fds: Vec<OwnedFd>,
) -> io::Result<(BufReader<UnixStream>, Option<Report>)> {
    let message = wire::encode(start)?;
    let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
    let sent = wire::send_length(talk.get_ref(), &message, &borrowed);
    drop(borrowed);
    drop(fds);
    let asked = async {
        sent?;
        talk.get_mut().write_all(&message).await
    };
    match asked.await {
        Ok(()) => {}
        // It ended without reading: the missing answer says what is to be said.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        Err(e) => return Err(e),
    }
    let mut line = String::new();
    let report = match talk.read_line(&mut line).await {
        Ok(0) => None,
        Ok(_) => Some(wire::parse(&line)?),
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => None,
        Err(e) => return Err(e),
    };
    Ok((talk, report))
}

/// The absolute path of the program. The current directory never has a say in it.
fn resolve(spawn: &Spawn) -> Result<PathBuf, StartError> {
    let program = &spawn.program;
    if program.is_absolute() {
        return Ok(program.clone());
    }
    if program.components().count() != 1 || program.file_name() != Some(program.as_os_str()) {
        return Err(StartError::RelativeProgram(program.clone()));
    }
    let path = spawn.env.iter().rev().find(|(name, _)| name == "PATH");
    path.and_then(|(_, path)| find_program(program.as_os_str(), path))
        .ok_or_else(|| StartError::NotInPath(program.display().to_string()))
}

/// The first executable file called `name` in the absolute folders of `path`. Relative and
/// empty entries are passed over, since they would let the current folder decide.
pub fn find_program(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
