//! Reading a program's output line by line in bounded memory.

use std::io;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// One line of output, without its line ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line. What is not UTF-8 in it is replaced.
    Text(String),
    /// A line longer than the limit. Only its start is kept, for showing.
    Overlong {
        start: String,
        /// The length of the whole line.
        bytes: u64,
    },
}

/// The lines of a stream. Never holds more than one line and one buffer.
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    /// What has been read of the current line, as far as it is kept.
    kept: Vec<u8>,
    /// How long the current line is so far.
    length: u64,
    received: u64,
}

/// How much of an overlong line is kept, in bytes.
const START_OF_OVERLONG: usize = 4 * 1024;

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The longest line that is read whole, in bytes.
    pub const LIMIT: usize = 8 * 1024 * 1024;

    /// Lines of up to [`Self::LIMIT`] bytes.
    pub fn new(stream: R) -> Self {
        Self::with_limit(stream, Self::LIMIT)
    }

    /// Lines of up to `limit` bytes.
    pub fn with_limit(stream: R, limit: usize) -> Self {
        Self {
            reader: BufReader::with_capacity(64 * 1024, stream),
            limit,
            kept: Vec::new(),
            length: 0,
            received: 0,
        }
    }

    /// How many bytes came so far, those of a line that is not complete included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The next line; a last one without a line ending counts. `None` at the end.
    ///
    /// Cancel safe: a line half read is carried on by the next call.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let buffer = self.reader.fill_buf().await?;
            if buffer.is_empty() {
                return Ok((self.length > 0).then(|| self.finish()));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let part = &buffer[..end.unwrap_or(buffer.len())];
            let room = self.limit.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&part[..part.len().min(room)]);
            self.length += part.len() as u64;
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            self.received += used as u64;
            if end.is_some() {
                return Ok(Some(self.finish()));
            }
        }
    }

    fn finish(&mut self) -> Line {
        let mut kept = std::mem::take(&mut self.kept);
        let length = std::mem::take(&mut self.length);
        if length > self.limit as u64 {
            kept.truncate(START_OF_OVERLONG);
            return Line::Overlong {
                start: String::from_utf8_lossy(&kept).into_owned(),
                bytes: length,
            };
        }
        if kept.last() == Some(&b'\r') {
            kept.pop();
        }
        Line::Text(match String::from_utf8(kept) {
            Ok(text) => text,
            Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines_of(bytes: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::with_limit(bytes, limit);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.expect("reading from memory") {
            all.push(line);
        }
        all
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[tokio::test]
    async fn lines_come_without_their_endings_and_the_last_needs_none() {
        let all = lines_of(b"one\n\ntwo\r\nlast", 100).await;
        assert_eq!(all, [text("one"), text(""), text("two"), text("last")]);
    }

    #[tokio::test]
    async fn bytes_that_are_not_text_are_replaced() {
        assert_eq!(lines_of(b"a\xffb\n", 100).await, [text("a\u{fffd}b")]);
    }

    #[tokio::test]
    async fn a_line_at_the_limit_is_whole_and_one_over_it_is_cut() {
        let all = lines_of(b"12345\n123456\nok\n", 5).await;
        let cut = Line::Overlong {
            start: "12345".to_owned(),
            bytes: 6,
        };
        assert_eq!(all, [text("12345"), cut, text("ok")]);
    }

    #[tokio::test]
    async fn a_flood_without_line_ending_is_not_kept() {
        use tokio::io::AsyncReadExt;
        let flood = tokio::io::repeat(b'x').take(50_000_000);
        let mut lines = Lines::with_limit(flood.chain(&b"\nafter"[..]), 1000);
        let Some(Line::Overlong { start, bytes }) = lines.next().await.expect("reading") else {
            panic!("the flood is one overlong line");
        };
        assert_eq!((start.len(), bytes), (1000, 50_000_000));
        assert!(lines.kept.capacity() < 10_000);
        assert_eq!(lines.received(), 50_000_001);
        assert_eq!(lines.next().await.expect("reading"), Some(text("after")));
        assert_eq!(lines.next().await.expect("reading"), None);
    }
}
