//! Gathers what a model says in one answer, whole or as it comes.

use super::{
    PlannerSettings,
    key::{Key, Pieces},
    trouble::Trouble,
};
use crate::planner::Thinks;
use nexus_core::Usage;

/// The longest answer that is read, in bytes.
pub(super) const ANSWER_LIMIT: usize = 1024 * 1024;
/// How much of a refusal is kept, in bytes.
const REFUSAL_LIMIT: usize = 4 * 1024;

/// How a model's answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It had said all it wanted to.
    Whole,
    /// It may say no more at once.
    Limit,
    /// The service held the rest back.
    Filtered,
}

/// What was heard of an answer so far.
#[derive(Debug)]
pub(super) struct Hearing<'a> {
    key: &'a Key,
    pub(super) settings: &'a PlannerSettings,
    thinks: &'a Thinks,
    text: String,
    refusal: String,
    saying: Pieces,
    thinking: Pieces,
    pub(super) usage: Usage,
    ending: Option<Ending>,
    /// Something came that belongs to an answer.
    understood: bool,
}

impl<'a> Hearing<'a> {
    pub(super) fn new(key: &'a Key, settings: &'a PlannerSettings, thinks: &'a Thinks) -> Self {
        Self {
            key,
            settings,
            thinks,
            text: String::new(),
            refusal: String::new(),
            saying: Pieces::default(),
            thinking: Pieces::default(),
            usage: Usage::default(),
            ending: None,
            understood: false,
        }
    }

    /// More of the answer.
    pub(super) fn said(&mut self, piece: &str) -> Result<(), Trouble> {
        let piece = self.saying.pass(self.key, piece);
        self.keep(piece)
    }

    fn keep(&mut self, piece: String) -> Result<(), Trouble> {
        if self.text.len() + piece.len() > ANSWER_LIMIT {
            return Err(Trouble::TooLong);
        }
        self.text.push_str(&piece);
        self.show(piece);
        Ok(())
    }

    /// More of what the model thinks before it answers.
    pub(super) fn thought(&mut self, piece: &str) {
        let piece = self.thinking.pass(self.key, piece);
        self.show(piece);
    }

    fn show(&self, piece: String) {
        if !piece.is_empty() {
            // Nobody has to watch, and who watches slowly misses something.
            let _ = self.thinks.try_send(piece);
        }
    }

    /// More of a refusal.
    pub(super) fn refused(&mut self, piece: &str) {
        let room = REFUSAL_LIMIT.saturating_sub(self.refusal.len());
        self.refusal
            .push_str(&piece[..piece.floor_char_boundary(room)]);
    }

    pub(super) fn ended(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }

    /// This belongs to an answer, whatever it says.
    pub(super) fn understands(&mut self) {
        self.understood = true;
    }

    /// The answer was said to be over.
    pub(super) fn is_over(&self) -> bool {
        self.ending.is_some()
    }

    /// Something came that belongs to an answer.
    pub(super) fn is_understood(&self) -> bool {
        self.understood
    }

    /// The model has said something, or why it will not.
    pub(super) fn has_words(&self) -> bool {
        !self.text.is_empty() || !self.saying.is_empty() || !self.refusal.is_empty()
    }

    /// The service complains instead of going on.
    pub(super) fn trouble(&self, error: &serde_json::Value) -> Trouble {
        Trouble::of_error(error, self.key, self.settings)
    }

    pub(super) fn malformed(&self) -> Trouble {
        Trouble::Malformed {
            api: self.settings.api,
        }
    }

    /// The answer, if it was one.
    pub(super) fn conclude(mut self) -> Result<String, Trouble> {
        if !self.refusal.is_empty() {
            return Err(Trouble::declined(&self.refusal, self.key));
        }
        match self.ending {
            Some(Ending::Whole) => {}
            Some(Ending::Limit) => {
                let model = self.settings.model.clone();
                return Err(Trouble::EndedAtLimit { model });
            }
            Some(Ending::Filtered) => return Err(Trouble::Filtered),
            None if self.understood => return Err(Trouble::CutOff),
            None => return Err(self.malformed()),
        }
        let rest = self.saying.rest();
        self.keep(rest)?;
        Ok(self.text)
    }
}
