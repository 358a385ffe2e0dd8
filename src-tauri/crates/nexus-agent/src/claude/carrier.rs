//! The task that carries one session: it alone holds the process and its pipes.
//!
//! It moves lines and commands into the [`Conversation`] and does what comes out of it. It
//! never waits for one thing only: a program that does not read is still read from, and an
//! engine that does not listen can still give orders.

use super::{
    conversation::{Act, Conversation, Past, Program},
    credential::Credential,
};
use crate::{Session, SessionCommand, SessionEvent, SessionSpec};
use nexus_core::TurnOutcome;
use nexus_process::{Ended, Line, Lines, Process};
use std::{
    collections::VecDeque,
    future::{Future, pending},
    io,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};
use uuid::Uuid;

/// How many untold events may wait before reading stops. The program then waits too.
const EVENTS: usize = 256;
/// How much of the end of stderr is kept, in bytes.
const STDERR_TAIL: usize = 4 * 1024;
/// How long output is still read after the process is gone, in case a stranger holds the pipe.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Takes over a process that has just started, and returns when it accepts prompts.
pub(crate) async fn open(
    mut process: Process,
    spec: &SessionSpec,
    program: Program,
    past: Past,
    credential: Credential,
) -> Result<Session, TurnOutcome> {
    let identity = process.identity();
    let (conversation, first) = Conversation::open(spec, program, past, Instant::now());
    let (commands, orders) = mpsc::channel(16);
    let (tell, events) = mpsc::channel(EVENTS);
    let (opened, is_open) = oneshot::channel();
    let carrier = Carrier {
        stdin: process.stdin.take(),
        stdout: process.stdout.take().map(Lines::new),
        stderr: process.stderr.take(),
        process,
        credential,
        conversation,
        outbox: VecDeque::new(),
        untold: VecDeque::new(),
        stderr_tail: VecDeque::new(),
        opened: Some(opened),
        tell: Some(tell),
        orders: Some(orders),
        closing_input: false,
        received: 0,
    };
    tokio::spawn(carrier.run(first));
    let gone = || TurnOutcome::CouldNotStart {
        message: "NEXUS is shutting down".to_owned(),
    };
    is_open.await.map_err(|_| gone())??;
    Ok(Session {
        process: Some(identity),
        commands,
        events,
    })
}

struct Carrier {
    process: Process,
    /// Taken out of everything that the program says.
    credential: Credential,
    conversation: Conversation,
    stdin: Option<pipe::Sender>,
    stdout: Option<Lines<pipe::Receiver>>,
    stderr: Option<pipe::Receiver>,
    /// Bytes that are still to be written to the process.
    outbox: VecDeque<u8>,
    untold: VecDeque<SessionEvent>,
    stderr_tail: VecDeque<u8>,
    /// Taken when the session is open, or will never be.
    opened: Option<oneshot::Sender<Result<(), TurnOutcome>>>,
    /// `None` when nobody listens any more.
    tell: Option<mpsc::Sender<SessionEvent>>,
    /// `None` when nobody gives orders any more.
    orders: Option<mpsc::Receiver<SessionCommand>>,
    closing_input: bool,
    /// How much of its output had come when that was looked at last.
    received: u64,
}

/// One thing that happened.
enum Happening {
    Ordered(Option<SessionCommand>),
    Said(io::Result<Option<Line>>),
    Complained(io::Result<usize>),
    Written(io::Result<usize>),
    Heard,
    NobodyListens,
    Due,
    Gone(Ended),
}

impl Carrier {
    async fn run(mut self, first: Vec<Act>) {
        self.perform(first);
        let ended = loop {
            let happening = self.next().await;
            if let Some(ended) = self.take(happening) {
                break ended;
            }
        };
        self.last_words().await;
        let stderr = String::from_utf8_lossy(self.stderr_tail.make_contiguous()).into_owned();
        let stderr = self.credential.without_key(&stderr);
        let acts = self.conversation.gone(ended, &stderr, Instant::now());
        self.perform(acts);
        if let Some(tell) = self.tell.take() {
            for event in std::mem::take(&mut self.untold) {
                if tell.send(event).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn next(&mut self) -> Happening {
        let mut complaint = [0; 4096];
        let deadline = self.conversation.deadline();
        let room = self.untold.len() < EVENTS;
        let happening = tokio::select! {
            order = next_order(&mut self.orders) => Happening::Ordered(order),
            line = next_line(&mut self.stdout), if room => Happening::Said(line),
            read = read_some(&mut self.stderr, &mut complaint) => Happening::Complained(read),
            written = write_some(&mut self.stdin, &self.outbox), if !self.outbox.is_empty() => {
                Happening::Written(written)
            }
            told = tell_next(self.tell.as_ref(), &mut self.untold), if !self.untold.is_empty() => {
                if told { Happening::Heard } else { Happening::NobodyListens }
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                Happening::Due
            }
            ended = self.process.wait() => Happening::Gone(ended),
        };
        if let Happening::Complained(Ok(length)) = &happening {
            self.keep_complaint(&complaint[..*length]);
        }
        happening
    }

    /// Acts on what happened. Says how the process ended, when it was that.
    fn take(&mut self, happening: Happening) -> Option<Ended> {
        let now = Instant::now();
        match happening {
            Happening::Ordered(Some(order)) => {
                let acts = self.conversation.command(order, Uuid::new_v4(), now);
                self.perform(acts);
            }
            Happening::Ordered(None) => {
                self.orders = None;
                self.close(now);
            }
            Happening::NobodyListens => {
                self.tell = None;
                self.untold.clear();
                self.close(now);
            }
            Happening::Said(Ok(Some(line))) => {
                self.has_received();
                self.hear(&line, now);
            }
            Happening::Said(Ok(None) | Err(_)) => self.stdout = None,
            Happening::Complained(Ok(0) | Err(_)) => self.stderr = None,
            Happening::Written(Ok(length)) => {
                self.outbox.drain(..length);
                self.close_input_when_due();
            }
            // It reads no more. Its end, or the watchdog, says what became of it.
            Happening::Written(Err(_)) => {
                self.stdin = None;
                self.outbox.clear();
            }
            Happening::Due => {
                // A long line that is still coming is no silence.
                if self.has_received() {
                    self.conversation.sign_of_life(now);
                }
                let acts = self.conversation.due(now);
                self.perform(acts);
            }
            Happening::Complained(Ok(_)) => self.conversation.sign_of_life(now),
            Happening::Heard => {}
            Happening::Gone(ended) => return Some(ended),
        }
        None
    }

    /// Did anything come since this was asked last?
    fn has_received(&mut self) -> bool {
        let received = self.stdout.as_ref().map_or(0, Lines::received);
        std::mem::replace(&mut self.received, received) < received
    }

    fn hear(&mut self, line: &Line, now: Instant) {
        let acts = match line {
            Line::Text(text) => {
                let text = self.credential.without_key(text);
                self.conversation.line(&text, now)
            }
            Line::Overlong { start, bytes } => {
                tracing::warn!(bytes, "the agent program wrote an overlong line");
                let start = self.credential.without_key(start);
                self.conversation.overlong(&start, now)
            }
        };
        self.perform(acts);
    }

    fn close(&mut self, now: Instant) {
        let acts = self
            .conversation
            .command(SessionCommand::Close, Uuid::new_v4(), now);
        self.perform(acts);
    }

    fn perform(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Write(line) if self.stdin.is_some() && !self.closing_input => {
                    self.outbox.extend(line.as_bytes());
                    self.outbox.push_back(b'\n');
                }
                Act::Write(_) => {}
                Act::Opened(how) => {
                    if let Some(opened) = self.opened.take() {
                        // Nobody waits when the caller gave up; then its orders end too.
                        let _ = opened.send(how);
                    }
                }
                Act::Tell(event) if self.tell.is_some() => self.untold.push_back(event),
                Act::Tell(_) => {}
                Act::CloseInput => {
                    self.closing_input = true;
                    self.close_input_when_due();
                }
                Act::Terminate => self.process.terminate(),
                Act::Kill => self.process.kill_tree(),
            }
        }
    }

    fn close_input_when_due(&mut self) {
        if self.closing_input && self.outbox.is_empty() {
            self.stdin = None;
        }
    }

    /// Reads what the process wrote before it ended.
    async fn last_words(&mut self) {
        let reading = async {
            while let Some(lines) = &mut self.stdout {
                match lines.next().await {
                    Ok(Some(line)) => self.hear(&line, Instant::now()),
                    Ok(None) | Err(_) => self.stdout = None,
                }
            }
            let mut complaint = [0; 4096];
            while let Some(stderr) = &mut self.stderr {
                match stderr.read(&mut complaint).await {
                    Ok(0) | Err(_) => self.stderr = None,
                    Ok(length) => self.keep_complaint(&complaint[..length]),
                }
            }
        };
        // What a stranger may still write into the pipe is not waited for.
        let _ = timeout(LAST_WORDS, reading).await;
    }

    fn keep_complaint(&mut self, bytes: &[u8]) {
        self.stderr_tail.extend(bytes);
        let surplus = self.stderr_tail.len().saturating_sub(STDERR_TAIL);
        self.stderr_tail.drain(..surplus);
    }
}

async fn next_order(orders: &mut Option<mpsc::Receiver<SessionCommand>>) -> Option<SessionCommand> {
    match orders {
        Some(orders) => orders.recv().await,
        None => never().await,
    }
}

async fn next_line(lines: &mut Option<Lines<pipe::Receiver>>) -> io::Result<Option<Line>> {
    match lines {
        Some(lines) => lines.next().await,
        None => never().await,
    }
}

async fn read_some(stream: &mut Option<pipe::Receiver>, into: &mut [u8]) -> io::Result<usize> {
    match stream {
        Some(stream) => stream.read(into).await,
        None => never().await,
    }
}

async fn write_some(stream: &mut Option<pipe::Sender>, from: &VecDeque<u8>) -> io::Result<usize> {
    match stream {
        Some(stream) => stream.write(from.as_slices().0).await,
        None => never().await,
    }
}

/// Hands over the first event. `false` when nobody listens.
async fn tell_next(
    tell: Option<&mpsc::Sender<SessionEvent>>,
    untold: &mut VecDeque<SessionEvent>,
) -> bool {
    let Some(tell) = tell else {
        return never().await;
    };
    let Ok(place) = tell.reserve().await else {
        return false;
    };
    if let Some(event) = untold.pop_front() {
        place.send(event);
    }
    true
}

fn never<T>() -> impl Future<Output = T> {
    pending()
}
