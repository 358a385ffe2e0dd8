//! Talk: what the person and the agents say to each other, and whether it was read.

use super::{Command, Event, Phase, Rejection, Task, Turn};
use crate::{
    Message, MessageId, MessageKind, MessagePrefix, Note, Party, Recipient, Role, StepState,
    Timestamp, TurnId,
};

/// A message reached the agent of a turn: it was in its prompt, or the agent looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub turn: TurnId,
    pub at: Timestamp,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is for no agent: the person reads it, or Prime when it next decides.
    Shown,
    Read(Receipt),
    /// Its agent gets it when it looks, or with its next prompt.
    Waiting,
    /// Its agent has nothing left to do, so nobody will read it unless that changes.
    Nobody,
}

impl Task {
    /// The longest message of a person, in bytes.
    pub const MESSAGE_LIMIT: usize = 64 * 1024;

    pub(super) fn say(
        &self,
        to: Recipient,
        text: &str,
        urgent: bool,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        if text.trim().is_empty() {
            return Err(Rejection::EmptyMessage);
        }
        if text.len() > Self::MESSAGE_LIMIT {
            return Err(Rejection::MessageTooLong {
                bytes: text.len(),
                most: Self::MESSAGE_LIMIT,
            });
        }
        match to {
            Recipient::Person => return Err(Rejection::NoRecipient),
            Recipient::Prime
            | Recipient::Aria
            | Recipient::Code
            | Recipient::Alpha
            | Recipient::Beta
            | Recipient::Team => {}
        }
        if matches!(self.phase, Phase::Done | Phase::Cancelled { .. }) {
            return Err(self.refuse(command));
        }
        let note = Note {
            message_id: self.mint(MessagePrefix::Message, now),
            timestamp: now,
            from: Party::person(),
            to,
            message_type: MessageKind::Note,
            text: text.to_owned(),
            response_to: None,
        };
        let posted = Event::MessagePosted {
            message: Box::new(Message::Note(note)),
        };
        let concerned = |turn: &&Turn| {
            let all = to == Recipient::Team;
            urgent && (all || to.role() == Some(turn.role())) && !self.called_off.contains(&turn.id)
        };
        let called_off = self.turns.values().filter(concerned);
        let called_off = called_off.map(|turn| Event::TurnCalledOff { turn: turn.id });
        Ok(std::iter::once(posted).chain(called_off).collect())
    }

    /// What somebody said to the agent of this turn while it ran, and it has not read. What
    /// another of its role has read it has still to hear.
    pub(super) fn unheard(&self, turn: &Turn) -> Option<String> {
        let said: Vec<_> = self
            .unseen(turn)
            .filter(|note| note.from.is_person())
            .map(|note| note.text.as_str())
            .collect();
        (!said.is_empty()).then(|| {
            format!(
                "while you worked the person wrote to you: {}",
                said.join("\n")
            )
        })
    }

    pub(super) fn read(&self, turn: TurnId) -> Vec<Event> {
        let count = self.messages.len();
        match self.turns.get(&turn) {
            Some(turn) if self.unseen(turn).next().is_some() => vec![Event::MessagesRead {
                turn: turn.id,
                count,
            }],
            Some(_) | None => Vec::new(),
        }
    }

    /// Notes for the agent of this turn that came after its prompt and after it looked last.
    fn unseen(&self, turn: &Turn) -> impl Iterator<Item = &Note> {
        let role = turn.role();
        let new = self.messages.iter().skip(turn.seen);
        new.filter_map(move |message| match message.as_ref() {
            Message::Note(note) if message.concerns(role) => Some(note),
            Message::Note(_) | Message::Assignment(_) | Message::Response(_) => None,
        })
    }

    /// Who has read a note.
    pub fn readers(&self, id: &MessageId) -> impl Iterator<Item = (Role, Receipt)> {
        let read = Role::AGENTS.map(|role| Some((role, *self.receipts.get(&(id.clone(), role))?)));
        read.into_iter().flatten()
    }

    /// The agent of a turn has read what concerns it of the first `count` messages.
    pub(super) fn take_receipts(&mut self, turn: TurnId, count: usize, at: Timestamp) {
        let Some(reader) = self.turns.get_mut(&turn) else {
            return;
        };
        let role = reader.role();
        reader.seen = reader.seen.max(count);
        let read = self.messages.iter().take(count);
        let read = read.filter(|message| message.concerns(role) && is_note(message));
        let ids: Vec<MessageId> = read.map(|message| message.id().clone()).collect();
        for id in ids {
            self.receipts
                .entry((id, role))
                .or_insert(Receipt { turn, at });
        }
    }

    /// What became of a message.
    pub fn delivery(&self, message: &Message) -> Delivery {
        if let Some((_, receipt)) = self.readers(message.id()).next() {
            return Delivery::Read(receipt);
        }
        let has_work = |role: Role| {
            let mut steps = self.steps.iter();
            let over = matches!(self.phase, Phase::Done | Phase::Cancelled { .. });
            !over
                && (self.plan.is_none()
                    || steps.any(|step| step.planned.role == role && step.state != StepState::Done))
        };
        let waits = match message {
            Message::Assignment(_) | Message::Response(_) => return Delivery::Shown,
            Message::Note(note) => match note.to {
                Recipient::Person | Recipient::Prime => return Delivery::Shown,
                Recipient::Team => Role::AGENTS.into_iter().any(has_work),
                Recipient::Aria | Recipient::Code | Recipient::Alpha | Recipient::Beta => {
                    note.to.role().is_some_and(has_work)
                }
            },
        };
        if waits {
            Delivery::Waiting
        } else {
            Delivery::Nobody
        }
    }
}

fn is_note(message: &Message) -> bool {
    matches!(message, Message::Note(_))
}
