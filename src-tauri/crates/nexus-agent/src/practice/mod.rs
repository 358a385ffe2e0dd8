//! The practice team: a backend that plays a recorded run on a sample project of its own.
//!
//! There is no AI, no program, no key and no network behind it, and every agent says so. What
//! is real: the files it reads and changes, and with them the checks that NEXUS runs.
//! `sample` is the project, `recording` the data of a run, `player` carries one session.

mod player;
mod recording;
mod sample;

pub use sample::Sample;

use crate::{Backend, Session, SessionSpec};
use async_trait::async_trait;
use nexus_core::TurnOutcome;
use player::Player;
use recording::Recording;
use std::time::Duration;
use tokio::sync::mpsc;

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So that a person can follow: about half a minute for the whole run.
    Watch,
    /// Without any waiting.
    Fast,
}

impl Pace {
    fn of(self, recorded: Duration) -> Duration {
        match self {
            Self::Watch => recorded,
            Self::Fast => Duration::ZERO,
        }
    }
}

/// The practice backend.
#[derive(Clone, Copy, Debug)]
pub struct Practice {
    pace: Pace,
}

impl Practice {
    pub fn new(pace: Pace) -> Self {
        Self { pace }
    }
}

/// How many untold events may wait before the player waits for its listener.
const EVENTS: usize = 256;

#[async_trait]
impl Backend for Practice {
    fn starts_processes(&self) -> bool {
        false
    }

    /// Refuses every folder but a copy of the sample.
    async fn open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome> {
        let sample = Sample::of_folder(&spec.workspace).ok_or_else(only_its_sample)?;
        let part = Recording::of(sample)
            .map_err(|message| TurnOutcome::CouldNotStart { message })?
            .part(spec.role)
            .ok_or_else(|| no_part(spec.role.title()))?;
        let (commands, orders) = mpsc::channel(16);
        let (tell, events) = mpsc::channel(EVENTS);
        let player = Player::new(self.pace, spec, part, orders, tell);
        tokio::spawn(player.run());
        Ok(Session {
            process: None,
            commands,
            events,
        })
    }
}

fn only_its_sample() -> TurnOutcome {
    let message = "the practice team only knows its own sample project; open that, or give this \
                   task to a team of real agents";
    TurnOutcome::Refused {
        message: message.to_owned(),
    }
}

fn no_part(who: &str) -> TurnOutcome {
    let message = format!("the practice recording has no part for {who}");
    TurnOutcome::Refused { message }
}

#[cfg(test)]
mod tests;
