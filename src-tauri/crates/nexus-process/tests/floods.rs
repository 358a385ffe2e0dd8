//! A program that floods costs neither memory nor the attention that others are owed.

#![expect(clippy::expect_used, reason = "what a test sets up has to work")]

use nexus_process::{Ended, Launcher, Line, Lines, Process, Spawn, Stdin};
use std::{
    ffi::OsString,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt},
    task::JoinHandle,
};

const FIXTURE: &str = env!("CARGO_BIN_EXE_nexus-guard-fixture");
const MB: u64 = 1_000_000;

/// What each of four streams carries: together 1 GB.
const SHARE: u64 = 250 * MB;
/// This process may hold so much memory.
const MOST_KB: u64 = 100 * 1024;
/// Another program's line may take so long, on a machine that is busy with the flood.
const PROMPT: Duration = Duration::from_secs(2);

async fn start(args: &[&str]) -> Process {
    let spawn = Spawn {
        args: args.iter().map(OsString::from).collect(),
        stdin: Stdin::Piped,
        ..Spawn::new(FIXTURE, "/")
    };
    let launcher = Launcher::new(FIXTURE.into());
    launcher.spawn(spawn).await.expect("starting")
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    lines: u64,
    overlong: u64,
    bytes: u64,
}

fn count(stream: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<Seen> {
    tokio::spawn(async move {
        let mut lines = Lines::new(stream);
        let mut seen = Seen::default();
        while let Some(line) = lines.next().await.expect("reading") {
            match line {
                Line::Text(text) => {
                    seen.lines += 1;
                    seen.bytes += text.len() as u64 + 1;
                }
                Line::Overlong { start, bytes } => {
                    assert!(start.len() < 20_000, "only the start is kept");
                    seen.overlong += 1;
                    seen.bytes += bytes;
                }
            }
        }
        seen
    })
}

/// One endless line, many short lines, lines of the longest kind, and what is no text.
#[tokio::test]
async fn a_gigabyte_leaves_this_process_small_and_others_prompt() {
    let began = Instant::now();
    let mut endless = start(&["pour", "endless", "short", &SHARE.to_string()]).await;
    let mut binary = start(&["pour", "long", "binary", &SHARE.to_string()]).await;
    let streams = [&mut endless, &mut binary].map(|process| {
        let stdout = process.stdout.take().expect("a pipe");
        let stderr = process.stderr.take().expect("a pipe");
        (count(stdout), count(stderr))
    });

    let all = async {
        let [(one, two), (three, four)] = streams;
        let seen = tokio::try_join!(one, two, three, four).expect("counting");
        let ended = (endless.wait().await, binary.wait().await);
        (seen, ended)
    };
    let (mut other, mut answers, mut largest) = (Echo::start().await, Vec::new(), 0);
    tokio::pin!(all);
    let ((one, two, three, four), ended) = loop {
        tokio::select! {
            done = &mut all => break done,
            took = other.answer() => answers.push(took),
        }
        largest = largest.max(resident_kb());
    };
    let took = began.elapsed();
    answers.sort_unstable();
    let slowest = answers.last().copied().unwrap_or_default();
    let middle = answers.get(answers.len() / 2).copied().unwrap_or_default();
    println!(
        "flood: {} MB in {took:.1?}; at most {} MB of memory; {} lines of another program, p50 {middle:.1?}, slowest {slowest:.1?}",
        (one.bytes + two.bytes + three.bytes + four.bytes) / MB,
        largest / 1024,
        answers.len(),
    );

    assert_eq!(
        ended,
        (Ended::Exited { code: 0 }, Ended::Exited { code: 0 })
    );
    let overlong = |overlong| Seen {
        lines: 0,
        overlong,
        bytes: SHARE,
    };
    assert_eq!(one, overlong(1));
    assert_eq!(
        (two.lines, two.overlong, two.bytes),
        (SHARE / 100, 0, SHARE)
    );
    assert_eq!((three.lines, three.overlong, three.bytes), (50, 0, SHARE));
    // Whatever it says, it is told in the number of bytes that came.
    assert_eq!(four, overlong(1));
    assert!(largest < MOST_KB, "{largest} KB");
    assert!(
        answers.len() > 20,
        "the other program was heard: {answers:?}"
    );
    assert!(slowest < PROMPT, "the other program waited: {slowest:?}");
}

/// A program that says a line for each that it is told.
struct Echo {
    process: Process,
    lines: Lines<tokio::net::unix::pipe::Receiver>,
    asked: Option<Instant>,
}

impl Echo {
    async fn start() -> Self {
        let mut process = start(&["echo"]).await;
        let lines = Lines::new(process.stdout.take().expect("a pipe"));
        Self {
            process,
            lines,
            asked: None,
        }
    }

    /// How long an answer took, its question included.
    async fn answer(&mut self) -> Duration {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if self.asked.is_none() {
            let stdin = self.process.stdin.as_mut().expect("a pipe");
            self.asked = Some(Instant::now());
            stdin.write_all(b"there?\n").await.expect("asking");
        }
        let answer = self.lines.next().await.expect("reading");
        assert_eq!(answer, Some(Line::Text("there?".to_owned())));
        self.asked.take().expect("asked").elapsed()
    }
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("own status");
    let resident = status.lines().find(|line| line.starts_with("VmRSS:"));
    let resident = resident.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    resident.expect("a number")
}
