//! Running a command that is killed at some moment, or comes to its end.
#![expect(
    clippy::unwrap_used,
    reason = "what a test sets up works, or the test has to stop"
)]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// No command takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(90);

/// So long after so many lines were printed.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub line: usize,
    pub after: Duration,
}

/// What a command came to.
#[derive(Debug)]
pub struct Ended {
    /// By a signal that nothing can catch.
    pub killed: bool,
    /// `None` after a signal.
    pub code: Option<i32>,
    /// What it printed, as far as it is JSON.
    pub lines: Vec<Value>,
    /// What it said on stderr.
    pub said: String,
}

/// Runs a command whose stdout is a pipe, and kills it at that moment, it alone.
pub fn run(mut command: Command, moment: Option<Moment>) -> Ended {
    let complaints = tempfile::NamedTempFile::new().unwrap();
    command.stderr(Stdio::from(File::create(complaints.path()).unwrap()));
    let mut child = command.spawn().unwrap();
    let (tell, printed) = channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || {
        let mut lines = stdout.lines();
        while lines
            .next()
            .is_some_and(|line| tell.send(line.unwrap()).is_ok())
        {}
    });
    let mut output = Output {
        printed,
        lines: Vec::new(),
    };
    if let Some(Moment { line, after }) = moment
        && output.wait_for(line, PATIENCE)
    {
        output.wait_for(usize::MAX, after);
        // It is not waited for yet, so the number is still its own.
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    }
    let gone = !output.wait_for(usize::MAX, PATIENCE);
    if !gone {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let said = fs::read_to_string(complaints.path()).unwrap();
    assert!(gone, "{command:?} does not end: {said} {:#?}", output.lines);
    let parse = |line: &String| serde_json::from_str(line).ok();
    Ended {
        killed: status.signal() == Some(9),
        code: status.code(),
        lines: output.lines.iter().filter_map(parse).collect(),
        said,
    }
}

/// What a command prints, line by line.
struct Output {
    printed: Receiver<String>,
    lines: Vec<String>,
}

impl Output {
    /// Waits until there are so many lines. `false` when the output ended before; `true` also
    /// when the time is over.
    fn wait_for(&mut self, lines: usize, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.lines.len() < lines {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.printed.recv_timeout(left) {
                Ok(line) => self.lines.push(line),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }
}
