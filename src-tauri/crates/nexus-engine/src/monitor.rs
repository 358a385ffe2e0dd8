//! What each agent does right now, by what last came from its program. In memory alone:
//! nothing of it is recorded, and nothing is decided by it.

use nexus_core::{SeatId, TaskId, Timestamp, TurnId, TurnUpdate};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// An agent that says nothing for this long is shown as stalled. The concept document's
/// `feedback_frequency`.
pub const FEEDBACK_FREQUENCY: Duration = Duration::from_secs(30);

/// The heartbeat of a running turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    pub turn: TurnId,
    pub started_at: Timestamp,
    /// When something last came from the agent's program.
    pub heard_at: Timestamp,
    /// The tool that is being used, with the program's name of the call.
    pub tool: Option<ToolInUse>,
    /// How long its conversation is, as of its latest request to the model.
    pub context_tokens: Option<u64>,
    /// Nothing came for [`FEEDBACK_FREQUENCY`], and nobody else is waited for.
    pub stalled: bool,
}

/// A tool that an agent uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolInUse {
    call: String,
    pub tool: String,
    /// What it is applied to.
    pub object: String,
}

/// The pulses of all agents at work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Monitor(Arc<Mutex<BTreeMap<(TaskId, SeatId), Pulse>>>);

impl Monitor {
    /// A turn begins.
    pub(crate) fn begins(&self, task: TaskId, seat: SeatId, turn: TurnId, at: Timestamp) {
        let pulse = Pulse {
            turn,
            started_at: at,
            heard_at: at,
            tool: None,
            context_tokens: None,
            stalled: false,
        };
        self.pulses().insert((task, seat), pulse);
    }

    /// Something came from the agent's program.
    pub(crate) fn heard(&self, task: TaskId, seat: SeatId, at: Timestamp) {
        if let Some(pulse) = self.pulses().get_mut(&(task, seat)) {
            pulse.heard_at = at;
            pulse.stalled = false;
        }
    }

    /// It showed something.
    pub(crate) fn shown(&self, task: TaskId, seat: SeatId, update: &TurnUpdate) {
        let mut pulses = self.pulses();
        let Some(pulse) = pulses.get_mut(&(task, seat)) else {
            return;
        };
        match update {
            TurnUpdate::ToolStarted {
                call, tool, object, ..
            } => {
                pulse.tool = Some(ToolInUse {
                    call: call.clone(),
                    tool: tool.clone(),
                    object: object.clone(),
                });
            }
            TurnUpdate::ToolEnded { call, .. } => {
                pulse.tool.take_if(|tool| tool.call == *call);
            }
            TurnUpdate::Context { tokens } => pulse.context_tokens = Some(*tokens),
            TurnUpdate::TextDelta { .. }
            | TurnUpdate::Text { .. }
            | TurnUpdate::Thinking { .. }
            | TurnUpdate::Retrying { .. }
            | TurnUpdate::RateLimit { .. }
            | TurnUpdate::Note { .. }
            | TurnUpdate::Unknown { .. } => {}
        }
    }

    /// Nothing has come for too long.
    pub(crate) fn stalls(&self, task: TaskId, seat: SeatId) {
        if let Some(pulse) = self.pulses().get_mut(&(task, seat)) {
            pulse.stalled = true;
        }
    }

    /// The turn is over.
    pub(crate) fn ends(&self, task: TaskId, seat: SeatId) {
        self.pulses().remove(&(task, seat));
    }

    /// All of them, as they are now.
    pub(crate) fn now(&self) -> BTreeMap<(TaskId, SeatId), Pulse> {
        self.pulses().clone()
    }

    fn pulses(&self) -> MutexGuard<'_, BTreeMap<(TaskId, SeatId), Pulse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_core::Role;
    use uuid::Uuid;

    fn started(call: &str) -> TurnUpdate {
        TurnUpdate::ToolStarted {
            call: call.into(),
            tool: "Bash".into(),
            object: call.into(),
            input: serde_json::Value::Null,
        }
    }

    fn ended(call: &str) -> TurnUpdate {
        TurnUpdate::ToolEnded {
            call: call.into(),
            ok: true,
            output: String::new(),
        }
    }

    #[test]
    fn a_pulse_shows_the_tool_in_use_and_ends_with_its_turn() {
        let monitor = Monitor::default();
        let (task, seat) = (TaskId::new(Uuid::from_u128(1)), SeatId::first(Role::Code));
        let pulse = || monitor.now().remove(&(task, seat));
        let at = Timestamp::from_millis;
        monitor.heard(task, seat, at(1));
        assert_eq!(pulse(), None, "nothing is made of a late word");
        monitor.begins(task, seat, TurnId(4), at(2));
        monitor.shown(task, seat, &started("a"));
        monitor.shown(task, seat, &started("b"));
        monitor.shown(task, seat, &ended("a"));
        let tool = pulse().unwrap().tool.unwrap();
        assert_eq!(tool.object, "b", "an older call that ends changes nothing");
        monitor.shown(task, seat, &ended("b"));
        monitor.shown(task, seat, &TurnUpdate::Context { tokens: 1200 });
        monitor.stalls(task, seat);
        assert!(pulse().unwrap().stalled);
        monitor.heard(task, seat, at(9));
        let now = pulse().unwrap();
        assert_eq!(
            (now.tool, now.heard_at, now.context_tokens, now.stalled),
            (None, at(9), Some(1200), false)
        );
        monitor.ends(task, seat);
        assert_eq!(pulse(), None);
    }
}
