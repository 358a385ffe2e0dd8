//! Cuts a byte stream into server-sent events, in bounded memory.
//!
//! Written out by hand because there is little to it: lines that end in CR, LF or both, of
//! which `data` and `event` matter, and an empty line behind each event.

/// The longest event that is read, in bytes.
const EVENT_LIMIT: usize = 2 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Empty where the stream names none.
    pub(super) name: String,
    pub(super) data: String,
}

/// An event is longer than what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overlong;

/// What came of a stream so far.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The line that is coming. Cut into text only when it is whole: pieces of a stream part
    /// letters.
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    /// The last byte was a CR; an LF behind it belongs to it.
    after_cr: bool,
    begun: bool,
}

impl Events {
    /// The events that are whole, now that these bytes came.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Overlong> {
        let mut whole = Vec::new();
        for byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, *byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => whole.extend(self.end_line()),
                byte => self.line.push(*byte),
            }
            if self.line.len() + self.event.data.len() > EVENT_LIMIT {
                return Err(Overlong);
            }
        }
        Ok(whole)
    }

    /// The last event, which some services leave without its empty line.
    pub(super) fn finish(mut self) -> Option<Event> {
        self.end_line().or_else(|| self.end_line())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let begun = std::mem::replace(&mut self.begun, true);
        let line = match line.strip_prefix('\u{feff}') {
            Some(rest) if !begun => rest,
            Some(_) | None => &line,
        };
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            // A comment, or a field that nobody asks for.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.event);
        std::mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events_of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
        let mut events = Events::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(events.take(piece).unwrap());
        }
        all.extend(events.finish());
        all
    }

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn a_stream_is_cut_into_its_events_wherever_its_pieces_part_it() {
        let stream = "\u{feff}: hello\r\n\r\ndata: {\"a\": \"größer 🦀\"}\n\nevent: x.y\rdata:one\rdata:  two\r\rid: 7\nretry\n\nevent: nothing\n\ndata\n\ndata: last";
        let want = [
            event("", "{\"a\": \"größer 🦀\"}"),
            event("x.y", "one\n two"),
            event("", ""),
            event("", "last"),
        ];
        let bytes = stream.as_bytes();
        assert_eq!(events_of([bytes]), want);
        assert_eq!(events_of(bytes.chunks(1)), want);
        for at in 0..bytes.len() {
            assert_eq!(events_of([&bytes[..at], &bytes[at..]]), want, "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_stream_has_no_events() {
        assert_eq!(events_of([&b"<html>\n<body>\n\n</html>"[..]]), []);
        assert_eq!(events_of([&b"\xff\xfe\n\n"[..]]), []);
        assert_eq!(events_of([]), []);
    }

    #[test]
    fn an_event_without_end_is_not_kept() {
        let flood = vec![b'x'; EVENT_LIMIT / 2];
        let mut events = Events::default();
        assert_eq!(events.take(&flood), Ok(Vec::new()));
        assert_eq!(events.take(&flood), Ok(Vec::new()));
        assert_eq!(events.take(&flood), Err(Overlong));
        let mut events = Events::default();
        let line = b"data: and one more line of it\n".repeat(EVENT_LIMIT / 20);
        assert_eq!(events.take(&line), Err(Overlong));
    }
}
