//! What each turn showed, line by line, in a file of its own: for people to look back at.
//!
//! Best effort: no state is recovered from here, nothing waits for the disk, and a torn last
//! line is passed over. Each line carries its number, so that a page in the middle of a large
//! file is found by bisection, and memory stays bounded whatever the agents print.

use crate::{StoreError, place};
use nexus_core::{TaskId, Timestamp, TurnId, TurnUpdate};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Where a transcript ends, however much the turn goes on to say.
const TRANSCRIPT_LIMIT: u64 = 256 * 1024 * 1024;
/// Longest line kept whole.
const LINE_LIMIT: usize = 1024 * 1024;
/// How much is kept of a longer one.
const EXCERPT: usize = 64 * 1024;
/// How much a writer gathers before it writes by itself.
const BUFFER: usize = 64 * 1024;
/// Where a page ends, even if fewer lines were asked for than fit.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Kept free at the end for the line that says that there is no more.
const LAST_LINE: u64 = 512;
/// From here on, reading through is cheaper than seeking.
const BISECT_UNTIL: u64 = 64 * 1024;
/// What each line begins with, before its number.
const PREFIX: &[u8] = b"{\"n\":";

/// The transcripts of all turns, under the data folder.
#[derive(Clone, Debug)]
pub struct Transcripts {
    data: PathBuf,
    tasks: PathBuf,
    limit: u64,
}

/// Something a turn showed, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptLine {
    pub at: Timestamp,
    pub update: TurnUpdate,
}

/// A line with its place in the transcript, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberedLine {
    pub number: u64,
    pub line: TranscriptLine,
}

/// A part of a transcript.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TranscriptPage {
    pub lines: Vec<NumberedLine>,
    /// Where the next page begins; `None` when this one reaches the end so far.
    pub next_line: Option<u64>,
    /// The turn went on to say more than a transcript may hold. The last line says so too.
    pub truncated: bool,
    /// How many lines were left out then, as far as is known while the turn runs.
    pub left_out: u64,
}

/// Writes one turn's transcript. What was flushed stays, whatever becomes of the writer.
#[derive(Debug)]
pub struct TranscriptWriter {
    file: File,
    path: PathBuf,
    /// Whole lines that are not in the file yet.
    buffer: Vec<u8>,
    /// Bytes of whole lines in the file.
    written: u64,
    /// The number of the next line.
    next: u64,
    limit: u64,
    /// What the transcript could not hold, once it is full.
    full: Option<LeftOut>,
}

/// What follows the end of a full transcript.
#[derive(Clone, Copy, Debug)]
struct LeftOut {
    lines: u64,
    since: Timestamp,
    /// Whether the file says this number.
    said: bool,
}

/// A line as it is stored: with an update, or marking the end of what is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    // First, because bisection reads only the number.
    n: u64,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    update: Option<TurnUpdate>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

/// [`Stored`] with the update borrowed, for writing.
#[derive(Serialize)]
struct Storing<'a> {
    n: u64,
    at: Timestamp,
    update: &'a TurnUpdate,
}

impl Transcripts {
    /// The transcripts under the data folder `dir`. Touches nothing.
    pub fn new(dir: &Path) -> Self {
        Self {
            data: dir.to_owned(),
            tasks: dir.join("tasks"),
            limit: TRANSCRIPT_LIMIT,
        }
    }

    /// The same, ending each transcript after `bytes`.
    #[must_use]
    pub fn limited_to(self, bytes: u64) -> Self {
        Self {
            limit: bytes,
            ..self
        }
    }

    /// Opens the transcript of `turn` for writing behind what it already holds, less a torn
    /// last line.
    pub fn writer(&self, task: TaskId, turn: TurnId) -> Result<TranscriptWriter, StoreError> {
        let path = self.path(task, turn);
        let open = || {
            // A data folder that is gone must not come back with nothing but a transcript.
            self.data.metadata()?;
            place::private_dir(path.parent().unwrap_or(&self.tasks))?;
            let mut file = place::private_file()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            let end = End::of(&mut file)?;
            if end.full.is_none() {
                file.set_len(end.bytes)?;
                file.seek(SeekFrom::Start(end.bytes))?;
            }
            Ok((file, end))
        };
        let (file, end) = open().map_err(|error: io::Error| StoreError::io(&path, &error))?;
        Ok(TranscriptWriter {
            file,
            path,
            buffer: Vec::new(),
            written: end.bytes,
            // The line that says that it is full will be written over.
            next: end.last_line + u64::from(end.full.is_none()),
            limit: self.limit,
            full: end.full,
        })
    }

    /// At most `limit` lines from number `from_line` on; fewer when they are long. Empty when
    /// the turn has no transcript.
    pub fn read_page(
        &self,
        task: TaskId,
        turn: TurnId,
        from_line: u64,
        limit: usize,
    ) -> Result<TranscriptPage, StoreError> {
        self.read(task, turn, |file| page(file, from_line, limit))
    }

    /// The last `n` lines so far, the oldest first; the first of them when they are long.
    pub fn tail(&self, task: TaskId, turn: TurnId, n: usize) -> Result<TranscriptPage, StoreError> {
        self.read(task, turn, |file| {
            let last = End::of(file)?.last_line;
            let n_lines = u64::try_from(n).unwrap_or(u64::MAX);
            page(file, (last + 1).saturating_sub(n_lines), n)
        })
    }

    fn read(
        &self,
        task: TaskId,
        turn: TurnId,
        part: impl FnOnce(&mut File) -> io::Result<TranscriptPage>,
    ) -> Result<TranscriptPage, StoreError> {
        let path = self.path(task, turn);
        match File::open(&path).and_then(|mut file| part(&mut file)) {
            Ok(page) => Ok(page),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(TranscriptPage::default()),
            Err(error) => Err(StoreError::io(&path, &error)),
        }
    }

    fn path(&self, task: TaskId, turn: TurnId) -> PathBuf {
        self.tasks
            .join(task.to_string())
            .join("transcripts")
            .join(format!("{turn}.jsonl"))
    }
}

impl TranscriptWriter {
    /// Adds `line` and returns its number; `None` when the transcript is full and it is not
    /// kept. It is in the file after the next [`flush`](Self::flush) at the latest.
    pub fn append(&mut self, line: &TranscriptLine) -> Result<Option<u64>, StoreError> {
        if self.full.is_some() {
            self.leave_out()?;
            return Ok(None);
        }
        let number = self.next;
        let bytes = render(number, line).map_err(|error| StoreError::io(&self.path, &error))?;
        let size = self.written + (self.buffer.len() + bytes.len()) as u64;
        if size + LAST_LINE > self.limit {
            self.flush()?;
            self.full = Some(LeftOut {
                lines: 0,
                since: line.at,
                said: false,
            });
            self.leave_out()?;
            return Ok(None);
        }
        self.buffer.extend(bytes);
        self.next += 1;
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(Some(number))
    }

    /// Counts a line that is not kept. A flood must not become one of rewritten last lines, so
    /// the file is told only now and then, and by the drop.
    fn leave_out(&mut self) -> Result<(), StoreError> {
        if let Some(full) = &mut self.full {
            full.lines += 1;
            full.said = false;
            if full.lines.is_power_of_two() {
                self.say_left_out()?;
            }
        }
        Ok(())
    }

    /// Writes behind the kept lines that there is no more, over what was said of it before.
    fn say_left_out(&mut self) -> Result<(), StoreError> {
        let Some(full) = &mut self.full else {
            return Ok(());
        };
        let last = last_line(self.next, full, self.limit);
        let say = || {
            self.file.set_len(self.written)?;
            self.file.seek(SeekFrom::Start(self.written))?;
            self.file.write_all(&last?)
        };
        say().map_err(|error| StoreError::io(&self.path, &error))?;
        full.said = true;
        Ok(())
    }

    /// Hands what was gathered to the operating system. After an error those lines are lost,
    /// and later ones are written behind the last whole line.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        let gathered = std::mem::take(&mut self.buffer);
        if let Err(error) = self.file.write_all(&gathered) {
            let end = self.written;
            let cut = self.file.set_len(end);
            let cut = cut.and_then(|()| self.file.seek(SeekFrom::Start(end)));
            if let Err(error) = cut {
                tracing::warn!(path = %self.path.display(), %error, "a torn line stays");
            }
            return Err(StoreError::io(&self.path, &error));
        }
        self.written += gathered.len() as u64;
        Ok(())
    }
}

impl Drop for TranscriptWriter {
    fn drop(&mut self) {
        let said = self.full.is_none_or(|full| full.said);
        let ended = self.flush();
        let ended = ended.and_then(|()| if said { Ok(()) } else { self.say_left_out() });
        if let Err(error) = ended {
            tracing::warn!(%error, "the end of a transcript is lost");
        }
    }
}

fn render(number: u64, line: &TranscriptLine) -> io::Result<Vec<u8>> {
    let mut json = bounded_json(number, line.at, &line.update)?;
    if json.full {
        json.kept.truncate(EXCERPT);
        let line_start = String::from_utf8_lossy(&json.kept).into_owned();
        let excerpt = TurnUpdate::Unknown { line: line_start };
        json = bounded_json(number, line.at, &excerpt)?;
    }
    json.kept.push(b'\n');
    Ok(json.kept)
}

/// The line as JSON, or its beginning where it is too long.
fn bounded_json(n: u64, at: Timestamp, update: &TurnUpdate) -> io::Result<Bounded> {
    let mut json = Bounded::default();
    match serde_json::to_writer(&mut json, &Storing { n, at, update }) {
        Err(error) if !json.full => Err(error.into()),
        Ok(()) | Err(_) => Ok(json),
    }
}

/// The beginning of what is written to it, however much that is.
#[derive(Default)]
struct Bounded {
    kept: Vec<u8>,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LINE_LIMIT - self.kept.len();
        self.kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
        if bytes.len() > room {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line that says that there is no more, and how much there would be.
fn last_line(number: u64, full: &LeftOut, limit: u64) -> io::Result<Vec<u8>> {
    let text = format!(
        "The transcript of this turn is full at {limit} bytes; {} more lines were left out.",
        full.lines
    );
    let mut bytes = serde_json::to_vec(&Stored {
        n: number,
        at: full.since,
        update: Some(TurnUpdate::Note { text }),
        truncated: true,
        left_out: Some(full.lines),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The lines of `file` from number `from` on.
fn page(file: &mut File, from: u64, limit: usize) -> io::Result<TranscriptPage> {
    let start = find(file, from)?;
    file.seek(SeekFrom::Start(start))?;
    let mut lines = WholeLines::new(file);
    let mut page = TranscriptPage::default();
    let mut bytes = 0;
    while let Some(text) = lines.next()? {
        let Ok(stored) = serde_json::from_slice::<Stored>(text) else {
            continue;
        };
        if stored.n < from {
            continue;
        }
        if page.lines.len() >= limit || bytes >= PAGE_BYTES {
            page.next_line = Some(stored.n);
            return Ok(page);
        }
        bytes += text.len();
        page.truncated |= stored.truncated;
        page.left_out = stored.left_out.unwrap_or(page.left_out);
        if let Some(update) = stored.update {
            let at = stored.at;
            page.lines.push(NumberedLine {
                number: stored.n,
                line: TranscriptLine { at, update },
            });
        }
    }
    Ok(page)
}

/// A line start at or before line `from`, and near to it.
fn find(file: &mut File, from: u64) -> io::Result<u64> {
    let (mut low, mut high) = (0, file.metadata()?.len());
    while high - low > BISECT_UNTIL {
        let middle = low + (high - low) / 2;
        match numbered_line_after(file, middle)? {
            Some((start, number)) if start < high && number <= from => low = start,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// Where the first readable line that starts after byte `offset` starts, and its number.
fn numbered_line_after(file: &mut File, offset: u64) -> io::Result<Option<(u64, u64)>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::new(file);
    let mut start = offset;
    loop {
        start += reader.skip_until(b'\n')? as u64;
        let mut text = Vec::new();
        let mut head = reader.by_ref().take(32);
        if head.read_until(b',', &mut text)? == 0 {
            return Ok(None);
        }
        if let Some(number) = number(&text) {
            return Ok(Some((start, number)));
        }
        start += text.len() as u64;
    }
}

/// The number that the line beginning with `text` carries.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text
        .strip_prefix(PREFIX)?
        .split(|&byte| byte == b',')
        .next()?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Where the whole lines of a transcript end, before the one that says that it is full.
#[derive(Debug, Default)]
struct End {
    bytes: u64,
    /// The number of the last line; 0 when there is none.
    last_line: u64,
    full: Option<LeftOut>,
}

impl End {
    /// Reads backwards only as far as the last whole line reaches.
    fn of(file: &mut File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let mut window = 4096;
        loop {
            let start = len.saturating_sub(window);
            file.seek(SeekFrom::Start(start))?;
            let mut tail = Vec::new();
            Read::take(&mut *file, len - start).read_to_end(&mut tail)?;
            if let Some(end) = Self::within(&tail, start) {
                return Ok(end);
            }
            window *= 4;
        }
    }

    /// The end, if `tail`, which begins at byte `start`, holds a whole readable line or is all.
    fn within(tail: &[u8], start: u64) -> Option<Self> {
        let whole = tail
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let bytes = start + whole as u64;
        let lines = tail[..whole].split_inclusive(|&byte| byte == b'\n').rev();
        let last = lines
            .map(|line| (line.len(), serde_json::from_slice::<Stored>(line)))
            .find_map(|(length, read)| Some((length as u64, read.ok()?)));
        match last {
            Some((length, last)) if last.truncated => Some(Self {
                bytes: bytes - length,
                last_line: last.n,
                full: Some(LeftOut {
                    lines: last.left_out.unwrap_or(1),
                    since: last.at,
                    said: true,
                }),
            }),
            Some((_, last)) => Some(Self {
                bytes,
                last_line: last.n,
                full: None,
            }),
            None if start == 0 => Some(Self {
                bytes,
                ..Self::default()
            }),
            None => None,
        }
    }
}

/// Reads line by line, leaving out a last one without its end and what no writer would write.
struct WholeLines<'a> {
    reader: BufReader<&'a mut File>,
    line: Vec<u8>,
}

impl<'a> WholeLines<'a> {
    fn new(file: &'a mut File) -> Self {
        Self {
            reader: BufReader::new(file),
            line: Vec::new(),
        }
    }

    /// The next whole line without its end.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            self.line.clear();
            let longest = 2 * LINE_LIMIT as u64;
            let mut bounded = self.reader.by_ref().take(longest);
            if bounded.read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            if self.line.pop_if(|byte| *byte == b'\n').is_some() {
                return Ok(Some(&self.line));
            }
            // Too long, or torn: go on behind it, where there may be nothing.
            self.reader.skip_until(b'\n')?;
        }
    }
}
