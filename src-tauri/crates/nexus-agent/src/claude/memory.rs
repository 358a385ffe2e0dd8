//! What a session's file says the program will remember.
//!
//! Owns the marker that NEXUS puts into every prompt and the reading of the file in which it
//! has to be found again. Where that file is, and what becomes of a session without memory, is
//! said elsewhere. The file's form is the program's own affair, so nothing is demanded of it
//! but what `docs/design/0008-session-memory.md` found to hold.

use super::{
    translate,
    wire::{MessageUsage, ModelUsage},
};
use crate::Recorded;
use nexus_core::{SessionId, Usage, Usd};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead},
};

/// Begins the marker; the session's id follows.
const MARKER: &str = "NEXUS session ";
/// Between the session's id and the turn's number.
const TURN: &str = ", turn ";

/// `prompt` with the line by which its session is known again. Turns are counted from 1, and a
/// turn that did not complete is counted again, so that the number is the one NEXUS records.
pub(crate) fn marked(prompt: &str, session: SessionId, turn: u32) -> String {
    // The program's own form of a note that nobody has to answer.
    format!(
        "{prompt}\n\n<system-reminder>\nThis is {MARKER}{session}{TURN}{turn}. There is nothing to do \
         about this note: NEXUS looks for it when it carries the conversation on.\n</system-reminder>"
    )
}

/// The turn that a prompt of this session says it is.
fn turn_of(text: &str, session: &str) -> Option<u32> {
    // What others wrote is quoted before our note, so the last one is ours.
    let (_, after) = text.rsplit_once(MARKER)?;
    let number = after.strip_prefix(session)?.strip_prefix(TURN)?;
    let end = number.find(|c: char| !c.is_ascii_digit());
    number[..end.unwrap_or(number.len())].parse().ok()
}

/// What a resumed session will know.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// A prompt of NEXUS for this session is in the conversation.
    pub(crate) marked: bool,
    /// The last turn whose prompt and answer are in the conversation.
    reaches: u32,
    /// The conversation leads back to its beginning without a gap.
    whole: bool,
    /// The tokens of every answer in the file.
    answered: Usage,
    /// The last turn whose prompt is in the conversation.
    asked: u32,
    /// What the program has written down as used in all, the last time it ended in order.
    counted: Option<Usage>,
    /// That was after everything else.
    ended_in_order: bool,
}

/// What was used in a session and never recorded, because a process or NEXUS itself was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unrecorded {
    /// Its cost is known only where the program's own count covers all of it.
    pub(crate) used: Usage,
    /// Nothing else of the session's past is missing on record.
    pub(crate) is_all: bool,
}

impl Memory {
    /// Reads a session's file. Lines that cannot be read are passed over, as the program does.
    pub(crate) fn read(mut file: impl BufRead, session: SessionId) -> io::Result<Self> {
        let session = session.to_string();
        let mut found = Found::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line)? == 0 {
                return Ok(found.remembered());
            }
            found.line(&line, &session);
        }
    }

    /// Why a session is not the one that NEXUS has on record, if it is not.
    pub(crate) fn objection(&self, recorded: &Recorded) -> Option<String> {
        if !self.whole {
            return Some("its file has no conversation without a gap".to_owned());
        }
        if !self.marked {
            return Some("its file holds another conversation than that of NEXUS".to_owned());
        }
        (self.reaches < recorded.turns).then(|| {
            format!(
                "its file knows turns up to {}, and {} were completed",
                self.reaches, recorded.turns
            )
        })
    }

    /// What was used in this session beyond what is on record.
    pub(crate) fn unrecorded(&self, recorded: &Recorded) -> Unrecorded {
        let Some(before) = recorded.used else {
            return Unrecorded::default();
        };
        let used = self.used_since(&before);
        let exact = self.ended_in_order && (used.cost.is_some() || used == Usage::default());
        // A turn that nobody saw the end of has to be there, or it may be missing here too.
        let is_there = used.tokens() > 0 || self.asked > recorded.turns;
        Unrecorded {
            used,
            is_all: exact && is_there,
        }
    }

    fn used_since(&self, recorded: &Usage) -> Usage {
        let counted = self.counted.filter(|counted| {
            // The count is written when a process ends in order. Behind that it has a hole.
            counted.tokens() >= self.answered.tokens()
        });
        let known = counted.unwrap_or(self.answered);
        let free = recorded.tokens() == 0;
        let before = recorded.cost.or(free.then_some(Usd::ZERO));
        let rest = Usage {
            input_tokens: known.input_tokens.saturating_sub(recorded.input_tokens),
            output_tokens: known.output_tokens.saturating_sub(recorded.output_tokens),
            cache_read_tokens: known
                .cache_read_tokens
                .saturating_sub(recorded.cache_read_tokens),
            cache_write_tokens: known
                .cache_write_tokens
                .saturating_sub(recorded.cache_write_tokens),
            cost: known.cost.zip(before).map(|(all, before)| {
                Usd::from_micros(all.as_micros().saturating_sub(before.as_micros()))
            }),
        };
        let nothing = rest.tokens() == 0 && rest.cost.unwrap_or_default() == Usd::ZERO;
        if nothing { Usage::default() } else { rest }
    }
}

/// What is gathered while the file is read.
#[derive(Default)]
struct Found {
    entries: HashMap<String, Entry>,
    /// The last message of the main conversation: it is what the program goes on from.
    last: Option<String>,
    usage: HashMap<String, MessageUsage>,
    counted: Option<Usage>,
    ended_in_order: bool,
}

struct Entry {
    parent: Option<String>,
    /// The parent, where the program made the conversation shorter.
    shortened: Option<String>,
    turn: Option<u32>,
    answers: bool,
}

/// The fields that all lines have in common, as far as they have them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    r#type: String,
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default)]
    parent_uuid: Option<String>,
    #[serde(default)]
    logical_parent_uuid: Option<String>,
    #[serde(default)]
    is_sidechain: bool,
}

#[derive(Deserialize)]
struct Prompted {
    message: PromptedMessage,
}

#[derive(Deserialize)]
struct PromptedMessage {
    content: Value,
}

#[derive(Deserialize)]
struct Answered {
    message: AnsweredMessage,
}

#[derive(Deserialize)]
struct AnsweredMessage {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    usage: MessageUsage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CostState {
    #[serde(rename = "totalCostUSD")]
    total_cost_usd: f64,
    model_usage: BTreeMap<String, ModelUsage>,
    #[serde(default)]
    has_unknown_model_cost: bool,
}

/// The model of messages that the program made up itself.
const MADE_UP: &str = "<synthetic>";

impl Found {
    fn line(&mut self, line: &[u8], session: &str) {
        let Ok(head) = serde_json::from_slice::<Head>(line) else {
            return;
        };
        let mut entry = Entry {
            parent: head.parent_uuid,
            shortened: head.logical_parent_uuid,
            turn: None,
            answers: false,
        };
        match head.r#type.as_str() {
            "user" => {
                let Ok(said) = serde_json::from_slice::<Prompted>(line) else {
                    return;
                };
                entry.turn = turn_of(&own_text(&said.message.content), session);
            }
            "assistant" => {
                let Ok(said) = serde_json::from_slice::<Answered>(line) else {
                    return;
                };
                if said.message.model != MADE_UP {
                    entry.answers = true;
                    self.usage.insert(said.message.id, said.message.usage);
                }
            }
            "cost-state" => {
                if let Ok(state) = serde_json::from_slice::<CostState>(line) {
                    self.counted = Some(state.used());
                    self.ended_in_order = true;
                }
                return;
            }
            _ => {}
        }
        let speaks = matches!(head.r#type.as_str(), "user" | "assistant");
        let Some(uuid) = head.uuid.filter(|_| !head.is_sidechain) else {
            return;
        };
        if speaks {
            self.last = Some(uuid.clone());
            self.ended_in_order = false;
        }
        self.entries.insert(uuid, entry);
    }

    /// Goes back from the last message to the first, as the program does: what does not lie
    /// on that way is in the file, but not in its memory.
    fn remembered(self) -> Memory {
        let mut memory = Memory {
            answered: self.answered(),
            counted: self.counted,
            ended_in_order: self.ended_in_order,
            ..Memory::default()
        };
        let mut next = self.last;
        let mut answered = false;
        // A circle would have no end.
        for _ in 0..self.entries.len() {
            let Some(entry) = next.as_ref().and_then(|uuid| self.entries.get(uuid)) else {
                return memory;
            };
            answered |= entry.answers;
            if let Some(turn) = entry.turn {
                memory.marked = true;
                memory.asked = memory.asked.max(turn);
                if std::mem::take(&mut answered) {
                    memory.reaches = memory.reaches.max(turn);
                }
            }
            let shortened = entry.shortened.as_ref();
            let shortened = shortened.filter(|uuid| self.entries.contains_key(*uuid));
            next = entry.parent.as_ref().or(shortened).cloned();
            if next.is_none() {
                memory.whole = true;
                return memory;
            }
        }
        memory
    }

    fn answered(&self) -> Usage {
        let nothing = Usage::default();
        self.usage.values().fold(nothing, |sum, used| {
            sum.plus(Usage {
                input_tokens: used.input_tokens,
                output_tokens: used.output_tokens,
                cache_read_tokens: used.cache_read_input_tokens,
                cache_write_tokens: used.cache_creation_input_tokens,
                cost: None,
            })
        })
    }
}

impl CostState {
    fn used(&self) -> Usage {
        let cost = Usd::from_dollars(self.total_cost_usd);
        Usage {
            cost: cost.filter(|_| !self.has_unknown_model_cost),
            ..translate::by_model(&self.model_usage)
        }
    }
}

/// The text of a prompt. Results of tools are others' words and do not count.
fn own_text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks
            .iter()
            .filter_map(|block| block.get("text").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

#[cfg(test)]
mod tests;
