//! The two ends of the double's conversation with its host.

use super::Cut;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, BufRead, Write},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

/// Stdin, read by a thread of its own, and stdout.
pub(super) struct Pipe {
    input: Receiver<Value>,
    /// Prompts that came while something else was awaited.
    prompts: RefCell<VecDeque<Value>>,
    requests: Cell<u32>,
}

impl Pipe {
    pub(super) fn of_this_process() -> Self {
        let (tell, input) = channel();
        thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                // The real program ends at an unreadable line. So does this, by ending its
                // own input.
                let Ok(line) = serde_json::from_str(&line) else {
                    return;
                };
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            input,
            prompts: RefCell::default(),
            requests: Cell::new(0),
        }
    }

    pub(super) fn write(&self, line: &Value) {
        self.write_raw(&line.to_string());
    }

    pub(super) fn write_raw(&self, line: &str) {
        let mut stdout = io::stdout().lock();
        // A host that reads no more ends the input as well.
        let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    }

    /// Writes these bytes so many times and adds nothing.
    pub(super) fn pour(&self, bytes: &[u8], times: usize) {
        let mut stdout = io::stdout().lock();
        for _ in 0..times {
            // As above.
            let _ = stdout.write_all(bytes);
        }
        let _ = stdout.flush();
    }

    /// The next prompt or request of the host, between turns. `None` at the end of the input.
    pub(super) fn next(&self) -> Option<Value> {
        let kept = self.prompts.borrow_mut().pop_front();
        kept.or_else(|| self.input.recv().ok())
    }

    /// Looks whether there is an interrupt, for up to `limit`.
    pub(super) fn pause(&self, limit: Duration) -> Result<(), Cut> {
        match self.input.recv_timeout(limit) {
            Ok(line) => self.meanwhile(line),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Cut::InputClosed),
        }
    }

    /// Asks the host for something and waits for the answer.
    pub(super) fn ask(&self, request: &Value) -> Result<Value, Cut> {
        self.requests.set(self.requests.get() + 1);
        let id = format!("request-{}", self.requests.get());
        self.write(&json!({"type": "control_request", "request_id": id, "request": request}));
        loop {
            let line = self.input.recv().map_err(|_| Cut::InputClosed)?;
            if line["type"] == "control_response" && line["response"]["request_id"] == id.as_str() {
                return Ok(line["response"].clone());
            }
            if let Err(cut) = self.meanwhile(line) {
                self.write(&json!({"type": "control_cancel_request", "request_id": id}));
                return Err(cut);
            }
        }
    }

    /// Something that the host says while a turn runs.
    fn meanwhile(&self, line: Value) -> Result<(), Cut> {
        match line["type"].as_str() {
            Some("control_request") => {
                let id = &line["request_id"];
                self.answer(id, &json!({"still_queued": []}));
                if line["request"]["subtype"] == "interrupt" {
                    return Err(Cut::Interrupted);
                }
            }
            Some("user") => self.prompts.borrow_mut().push_back(line),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn answer(&self, id: &Value, response: &Value) {
        self.write(&json!({"type": "control_response", "response":
            {"subtype": "success", "request_id": id, "response": response}}));
    }
}
