//! One try at a step, and the four facts about it that are never mixed: what became of the
//! process, how the turn ended, what the agent claims, and what was verified.

use super::{Event, StepState, Task};
use crate::{
    CheckRun, Role, SessionId, Standing, StepId, StepKind, StepResult, Timestamp, TurnId,
    TurnOutcome, TurnReport, Verdict,
};
use serde::{Deserialize, Serialize};

/// One try at a step. A step that is interrupted is tried again under the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub turn: TurnId,
    /// Counts from 1 within the step.
    pub number: u32,
    pub round: u32,
    pub session: SessionId,
    pub started_at: Timestamp,
    pub process: ProcessFact,
    pub course: TurnFact,
    pub claim: Claim,
    pub verified: Verified,
}

/// What is known of the process that carries the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessFact {
    NotStarted,
    /// Alive, as far as the log says. It may carry the session's next turns as well.
    Running,
    Ended {
        end: ProcessEnd,
    },
}

/// How the process of a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProcessEnd {
    /// It left when it was asked to.
    Closed,
    /// It never came to be.
    NotStarted,
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// It had to be killed with everything it had started.
    Killed,
    /// It ended with an earlier NEXUS; the next start made sure that it is gone.
    Swept,
}

/// Where the turn is, whatever the process does and the agent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnFact {
    Starting,
    Streaming,
    Ended {
        /// The name of its [`TurnOutcome`].
        outcome: &'static str,
    },
}

/// What the agent says of its step. Never a reason to call a task done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    Nothing,
    /// It only wrote text.
    Text,
    /// It handed in a result.
    Done,
    /// It handed in a judgement.
    Judged(Verdict),
}

/// What NEXUS found out itself about the attempt's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The checks have not run on it yet.
    Pending,
    /// The turn did not finish, so there is nothing to verify.
    NotReached,
    /// A step that changes nothing; checks say nothing about it.
    NotApplicable,
    /// What the checks say about the content this attempt left.
    Checked(Standing),
}

impl ProcessFact {
    /// The fact in one word, as it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Running => "running",
            Self::Ended { end } => end.name(),
        }
    }
}

impl ProcessEnd {
    /// The ending in one word, as it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NotStarted => "not_started",
            Self::Exited { .. } => "exited",
            Self::Signalled { .. } => "signalled",
            Self::Killed => "killed",
            Self::Swept => "swept",
        }
    }
}

impl TurnFact {
    /// The fact in one word, as it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Streaming => "streaming",
            Self::Ended { outcome } => outcome,
        }
    }
}

impl Claim {
    fn of(result: &StepResult) -> Self {
        result.verdict.map_or(Self::Done, Self::Judged)
    }

    /// The claim in one word, as it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Text => "text",
            Self::Done => "done",
            Self::Judged(Verdict::Pass) => "pass",
            Self::Judged(Verdict::Fail) => "fail",
        }
    }
}

impl Verified {
    /// The fact in one word, as it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::NotReached => "not_reached",
            Self::NotApplicable => "not_applicable",
            Self::Checked(Standing::NoChecks) => "no_checks",
            Self::Checked(Standing::Green) => "green",
            Self::Checked(Standing::BrokenByUs) => "broken_by_us",
            Self::Checked(Standing::RedBefore) => "red_before",
        }
    }
}

/// The process of a session, from its start until its end was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveProcess {
    pub role: Role,
    /// `None` while it is being started.
    pub pid: Option<u32>,
    pub since: Timestamp,
}

impl Task {
    /// The attempt a turn was.
    pub fn attempt(&self, turn: TurnId) -> Option<&Attempt> {
        let step = self.step(*self.turn_steps.get(&turn)?)?;
        step.history.iter().rfind(|attempt| attempt.turn == turn)
    }

    pub(super) fn attempt_mut(&mut self, turn: TurnId) -> Option<&mut Attempt> {
        let step = *self.turn_steps.get(&turn)?;
        let history = &mut self.step_mut(step)?.history;
        history.iter_mut().rfind(|attempt| attempt.turn == turn)
    }

    pub(super) fn begin_attempt(&mut self, step: StepId, turn: TurnId, number: u32, at: Timestamp) {
        let round = self.round;
        let Some(running) = self.turns.get(&turn) else {
            return;
        };
        let session = running.session;
        let carried = self.processes.get(&session);
        let process = if carried.is_some_and(|process| process.pid.is_some()) {
            ProcessFact::Running
        } else {
            ProcessFact::NotStarted
        };
        let attempt = Attempt {
            turn,
            number,
            round,
            session,
            started_at: at,
            process,
            course: TurnFact::Starting,
            claim: Claim::Nothing,
            verified: Verified::Pending,
        };
        if let Some(step) = self.step_mut(step) {
            step.history.push(attempt);
        }
    }

    pub(super) fn process_started(
        &mut self,
        role: Role,
        session: SessionId,
        pid: Option<u32>,
        at: Timestamp,
    ) {
        let since = at;
        self.processes
            .insert(session, LiveProcess { role, pid, since });
        if pid.is_none() {
            return;
        }
        for attempt in self.attempts_of(session) {
            let waits = matches!(attempt.course, TurnFact::Starting | TurnFact::Streaming);
            if waits && attempt.process == ProcessFact::NotStarted {
                attempt.process = ProcessFact::Running;
            }
        }
    }

    pub(super) fn process_ended(&mut self, session: SessionId, end: ProcessEnd) {
        self.processes.remove(&session);
        for attempt in self.attempts_of(session) {
            if attempt.process == ProcessFact::Running {
                attempt.process = ProcessFact::Ended { end };
            }
        }
    }

    fn attempts_of(&mut self, session: SessionId) -> impl Iterator<Item = &mut Attempt> {
        self.steps
            .iter_mut()
            .flat_map(|step| &mut step.history)
            .filter(move |attempt| attempt.session == session)
    }

    pub(super) fn claimed(&mut self, turn: TurnId, result: &StepResult, structured: bool) {
        if let Some(attempt) = self.attempt_mut(turn) {
            attempt.claim = if structured {
                Claim::of(result)
            } else {
                Claim::Text
            };
        }
    }

    /// The turn is over. What it left is verified later, where there is something to verify.
    pub(super) fn end_attempt(&mut self, report: &TurnReport) {
        let standing = self.standing();
        let kind = self
            .turn_steps
            .get(&report.turn)
            .and_then(|step| self.step(*step))
            .map(|step| step.planned.kind);
        let finished = matches!(report.outcome, TurnOutcome::Completed { .. });
        let Some(attempt) = self.attempt_mut(report.turn) else {
            return;
        };
        attempt.course = TurnFact::Ended {
            outcome: report.outcome.name(),
        };
        attempt.verified = match (finished, kind) {
            (false, _) => Verified::NotReached,
            (true, Some(StepKind::Analysis) | None) => Verified::NotApplicable,
            (true, Some(StepKind::Implementation | StepKind::Tests)) => Verified::Pending,
            // It judged content that was checked before it began.
            (true, Some(StepKind::Validation)) => {
                standing.map_or(Verified::Pending, Verified::Checked)
            }
        };
    }

    /// What checks that ran on what the attempts left mean for each of them.
    pub(super) fn verifications(&self, run: &CheckRun) -> Vec<Event> {
        let standing = Standing::of(self.baseline.as_deref(), run);
        let done = self
            .steps
            .iter()
            .filter(|step| step.state == StepState::Done);
        let attempts = done.flat_map(|step| {
            let pending = step.history.iter();
            pending
                .filter(|attempt| attempt.verified == Verified::Pending)
                .map(|attempt| (step.planned.id, attempt.turn))
        });
        attempts
            .map(|(step, turn)| Event::AttemptVerified {
                step,
                turn,
                standing,
            })
            .collect()
    }

    pub(super) fn attempt_verified(&mut self, turn: TurnId, standing: Standing) {
        if let Some(attempt) = self.attempt_mut(turn) {
            attempt.verified = Verified::Checked(standing);
        }
    }
}
