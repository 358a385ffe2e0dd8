//! Running a command to its end and keeping what it printed: for checks and set-up.

use crate::{
    Ended, Launcher, Output, Process, ProcessIdentity, Spawn, StartError, Stdin, StillThere,
};
use sha2::{Digest, Sha256};
use std::{
    collections::VecDeque,
    fmt::Write,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::pin,
    time::{Duration, Instant},
};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
};

/// A command to be run to its end.
#[derive(Debug)]
pub struct Run {
    /// Its `stdin` and `output` are not looked at: the command reads nothing, and its stdout and
    /// stderr are kept as they came.
    pub spawn: Spawn,
    /// The file for what it prints; made anew, readable only to the person.
    pub output: PathBuf,
    /// How much of that is kept in the file, in bytes. The rest is still hashed and counted.
    pub output_limit: u64,
    /// How much of the end is reported, in bytes.
    pub tail_limit: usize,
    /// How long it may run.
    pub deadline: Duration,
}

impl Run {
    /// What the output file may hold unless told otherwise.
    pub const OUTPUT_LIMIT: u64 = 64 * 1024 * 1024;
    /// What a command that is stopped has to end by itself.
    pub const GRACE: Duration = Duration::from_secs(2);
}

/// How the run ended. Unless it says otherwise, nothing that the command started is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// It ran past its deadline and was stopped.
    TimedOut,
    /// The caller wanted it stopped.
    Stopped,
    /// There was no such program or it could not be run.
    CouldNotStart {
        reason: String,
    },
    /// Its guard was killed, so the ending is not known.
    GuardLost,
    /// It ended or had to be stopped, and these of its processes cannot be killed. It is tried
    /// again and again.
    StillThere(StillThere),
}

/// What a run leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    pub end: RunEnd,
    /// SHA-256 of everything that it printed, in lower-case hexadecimal.
    pub output_sha256: String,
    /// How much it printed.
    pub output_bytes: u64,
    /// The end of what it printed, at most [`Run::tail_limit`] bytes. What is not UTF-8 in it
    /// is replaced, and a character cut at its start is left out.
    pub tail: String,
    /// From the start of the command until all of it was gone.
    pub duration: Duration,
}

/// What kept a run from being recorded. The command is stopped then.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("write the output file {}: {source}", path.display())]
    OutputFile { path: PathBuf, source: io::Error },
    #[error("read the output of the command: {0}")]
    Output(io::Error),
}

impl Launcher {
    /// Runs a command until it ends, its deadline passes or `stop` resolves (which may be
    /// [`std::future::pending`]). Dropping the returned future kills the command.
    pub async fn run_to_end(
        &self,
        run: Run,
        stop: impl Future<Output = ()>,
    ) -> Result<RunReport, RunError> {
        self.begin(run).await?.finish(stop).await
    }

    /// The first half of [`run_to_end`](Self::run_to_end), for callers that note in a ledger
    /// what runs. Dropping what it returns kills the command.
    pub async fn begin(&self, run: Run) -> Result<Running, RunError> {
        let record = Record::open(&run).await?;
        let started = Instant::now();
        let spawn = Spawn {
            stdin: Stdin::Null,
            output: Output::Merged,
            ..run.spawn
        };
        Ok(Running {
            process: self.spawn(spawn).await,
            record,
            started,
            deadline: run.deadline,
        })
    }
}

/// A run that has begun.
#[derive(Debug)]
pub struct Running {
    process: Result<Process, StartError>,
    record: Record,
    started: Instant,
    deadline: Duration,
}

impl Running {
    /// The command, for the ledger. `None` when it could not be started.
    pub fn identity(&self) -> Option<ProcessIdentity> {
        self.process.as_ref().ok().map(Process::identity)
    }

    /// The second half of [`run_to_end`](Launcher::run_to_end). The deadline counts from here.
    pub async fn finish(mut self, stop: impl Future<Output = ()>) -> Result<RunReport, RunError> {
        let end = match self.process {
            Ok(process) => self.record.follow(process, self.deadline, stop).await?,
            Err(error) => RunEnd::CouldNotStart {
                reason: reason_of(&error),
            },
        };
        self.record.close(end, self.started.elapsed()).await
    }
}

/// The error as a sentence of its own.
fn reason_of(error: &StartError) -> String {
    format!("failed to {error}")
}

/// What the command printed so far.
#[derive(Debug)]
struct Record {
    path: PathBuf,
    file: File,
    /// How much the file may still take.
    room: u64,
    hash: Sha256,
    bytes: u64,
    tail: VecDeque<u8>,
    tail_limit: usize,
}

impl Record {
    async fn open(run: &Run) -> Result<Self, RunError> {
        let path = run.output.clone();
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .await;
        Ok(Self {
            file: file.map_err(|source| unwritable(&path, source))?,
            path,
            room: run.output_limit,
            hash: Sha256::new(),
            bytes: 0,
            tail: VecDeque::new(),
            tail_limit: run.tail_limit,
        })
    }

    /// Records until everything is gone.
    async fn follow(
        &mut self,
        mut process: Process,
        deadline: Duration,
        stop: impl Future<Output = ()>,
    ) -> Result<RunEnd, RunError> {
        let stdout = process.stdout.take();
        let mut copying = pin!(self.copy(stdout, &process));
        let why = tokio::select! {
            copied = &mut copying => return copied.map(RunEnd::of),
            () = tokio::time::sleep(deadline) => RunEnd::TimedOut,
            () = stop => RunEnd::Stopped,
        };
        // The output is still taken in meanwhile, since a command whose pipe is full does not
        // end.
        let (stopped, copied) = tokio::join!(process.stop(Run::GRACE), copying);
        let settled = stopped.and(copied?);
        Ok(settled.map_or_else(RunEnd::StillThere, |_| why))
    }

    /// Takes in the output until the process and all that it started are gone, or cannot be
    /// killed.
    async fn copy(
        &mut self,
        stdout: Option<pipe::Receiver>,
        process: &Process,
    ) -> Result<Result<Ended, StillThere>, RunError> {
        let Some(mut stdout) = stdout else {
            return Ok(process.settled().await);
        };
        let mut buffer = vec![0; 64 * 1024];
        let mut gone = pin!(process.settled());
        let ended = loop {
            tokio::select! {
                biased;
                read = stdout.read(&mut buffer) => match read.map_err(RunError::Output)? {
                    0 => break gone.await,
                    length => self.take(&buffer[..length]).await?,
                },
                // Somebody outside the tree still holds the pipe. What was written before is
                // in it and was read, since reading comes first.
                ended = &mut gone => break ended,
            }
        };
        Ok(ended)
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        let kept = usize::try_from(self.room).map_or(bytes.len(), |room| bytes.len().min(room));
        self.room -= kept as u64;
        let written = self.file.write_all(&bytes[..kept]).await;
        written.map_err(|source| unwritable(&self.path, source))?;
        self.tail.extend(bytes);
        let surplus = self.tail.len().saturating_sub(self.tail_limit);
        self.tail.drain(..surplus);
        Ok(())
    }

    async fn close(mut self, end: RunEnd, duration: Duration) -> Result<RunReport, RunError> {
        let flushed = self.file.flush().await;
        flushed.map_err(|source| unwritable(&self.path, source))?;
        let cut = self.bytes > self.tail.len() as u64;
        Ok(RunReport {
            end,
            output_sha256: hexadecimal(&self.hash.finalize()),
            output_bytes: self.bytes,
            tail: text_of(self.tail.make_contiguous(), cut),
            duration,
        })
    }
}

impl RunEnd {
    fn of(ended: Result<Ended, StillThere>) -> Self {
        match ended {
            Ok(Ended::Exited { code }) => Self::Exited { code },
            Ok(Ended::Signalled { signal }) => Self::Signalled { signal },
            Ok(Ended::GuardLost) => Self::GuardLost,
            Err(there) => Self::StillThere(there),
        }
    }
}

fn unwritable(path: &Path, source: io::Error) -> RunError {
    RunError::OutputFile {
        path: path.to_owned(),
        source,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A tail that was cut may begin inside a character; that rest of it is left out.
fn text_of(bytes: &[u8], cut: bool) -> String {
    let rest_of_character = bytes.iter().take(3).take_while(|b| (**b & 0xC0) == 0x80);
    let from = if cut { rest_of_character.count() } else { 0 };
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_does_not_begin_with_half_a_character() {
        let bytes = "äb".as_bytes();
        assert_eq!(text_of(&bytes[1..], true), "b");
        assert_eq!(text_of(bytes, true), "äb");
        assert_eq!(text_of(&bytes[1..], false), "\u{fffd}b");
    }
}
