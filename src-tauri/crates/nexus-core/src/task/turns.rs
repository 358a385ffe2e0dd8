//! What the end of a turn means: its work is handed over, or its trouble is dealt with.

use super::{Delay, Event, Failure, FailureKind, PauseReason, Phase, Step, Task, Turn};
use crate::{
    Approval, Hold, Message, MessagePrefix, Party, Response, ResponsePayload, ResponseStatus,
    SeatId, StepResult, Timestamp, TurnOutcome, TurnReport, Verdict,
};
use std::{sync::Arc, time::Duration};

/// Longest first wait before a failed step is tried again; doubled with every further failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);
/// Longest wait before a failed step is tried again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);

impl Task {
    pub(super) fn turn_ended(&self, report: &TurnReport, now: Timestamp) -> Vec<Event> {
        let Some(turn) = self.turns.get(&report.turn) else {
            return Vec::new();
        };
        let Some(step) = self.step(turn.step) else {
            return Vec::new();
        };
        let mut events = self.close_questions(turn, &report.outcome);
        if let TurnOutcome::Completed { text, .. } = &report.outcome {
            events.extend(self.hand_over(turn, step, report, text, now));
            return events;
        }
        events.push(Event::TurnEnded {
            report: report.clone(),
        });
        if self.phase == Phase::Active {
            events.extend(self.trouble(turn, step, &report.outcome, now));
        }
        events
    }

    /// What becomes of the questions of a turn that is over. One that our own end cut off is
    /// taken again, and the same question is expected again.
    fn close_questions(&self, turn: &Turn, outcome: &TurnOutcome) -> Vec<Event> {
        let taken_again = self.phase == Phase::Active && is_our_end(outcome);
        let concerns = |open: &&Arc<Approval>| match open.turn {
            Some(asked_in) => asked_in == turn.id,
            // It was not asked again after all.
            None => open.step == Some(turn.step),
        };
        let open = self.approvals.values().filter(concerns);
        open.filter(|open| !(taken_again && open.turn.is_none()))
            .map(|open| match taken_again {
                true => Event::ApprovalDetached { id: open.id },
                false => Event::ApprovalWithdrawn { id: open.id },
            })
            .collect()
    }

    /// The step is done: its claim, as submitted or put together from its last words, goes to
    /// the others as the response to its assignment.
    fn hand_over(
        &self,
        turn: &Turn,
        step: &Step,
        report: &TurnReport,
        text: &str,
        now: Timestamp,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let structured = step.result.is_some();
        let result = step
            .result
            .as_deref()
            .cloned()
            .unwrap_or_else(|| StepResult {
                summary: if text.trim().is_empty() {
                    "(the agent said nothing)".to_owned()
                } else {
                    text.to_owned()
                },
                ..StepResult::default()
            });
        if !structured {
            let result = Box::new(result.clone());
            events.push(Event::ResultSubmitted {
                turn: turn.id,
                result,
                structured: false,
            });
        }
        if let Some(assignment) = &step.assignment {
            let duration = step.duration_ms + report.duration_ms;
            #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
            let seconds = duration as f64 / 1000.0;
            let response = Response {
                message_id: self.mint(MessagePrefix::Response, now),
                response_to: assignment.clone(),
                timestamp: now,
                from: Party::agent(turn.role(), Some(turn.session)),
                status: match result.verdict {
                    Some(Verdict::Fail) => ResponseStatus::Failed,
                    Some(Verdict::Pass) | None => ResponseStatus::Completed,
                },
                execution_time_seconds: seconds,
                payload: ResponsePayload {
                    task_result: result.clone(),
                },
                structured,
            };
            let message = Box::new(Message::Response(Box::new(response)));
            events.push(Event::MessagePosted { message });
        }
        events.push(Event::TurnEnded {
            report: report.clone(),
        });
        // A cancelled task keeps what was said, but the step does not count as done.
        if !matches!(self.phase, Phase::Cancelled { .. }) {
            events.extend(self.handed_in(turn, step, &result, structured, now));
        }
        events
    }

    /// What to do about a turn that did not finish.
    fn trouble(
        &self,
        turn: &Turn,
        step: &Step,
        outcome: &TurnOutcome,
        now: Timestamp,
    ) -> Vec<Event> {
        let cut_off = is_our_end(outcome)
            || matches!(
                outcome,
                TurnOutcome::TimedOut { .. }
                    | TurnOutcome::BadProtocol { .. }
                    | TurnOutcome::Exited { .. }
                    | TurnOutcome::Signalled { .. }
            );
        if cut_off && !step.outward.is_empty() {
            return vec![Event::TaskPaused {
                why: PauseReason::Unsure,
            }];
        }
        let fail = |kind| {
            let message = format!("{}: {}", turn.role().title(), outcome.describe());
            vec![Event::TaskFailed {
                failure: Failure { kind, message },
            }]
        };
        match outcome {
            // Ours to stop and ours to start again; the state says when.
            TurnOutcome::Completed { .. } | TurnOutcome::Interrupted | TurnOutcome::OutputLost => {
                Vec::new()
            }
            TurnOutcome::BudgetExhausted => vec![Event::TaskPaused {
                why: PauseReason::Budget,
            }],
            TurnOutcome::AuthRequired { .. }
            | TurnOutcome::CreditExhausted { .. }
            | TurnOutcome::Refused { .. } => fail(FailureKind::Provider),
            TurnOutcome::CouldNotStart { .. } => fail(FailureKind::Environment),
            TurnOutcome::RateLimited { until, message } => {
                let hold = Hold::at_limit(*until, message, now);
                let hold = self.spread_out(&hold);
                vec![Event::Held { hold }]
            }
            TurnOutcome::SessionLost { .. } | TurnOutcome::ContextExhausted { .. } => {
                let mut events = vec![self.replace_session(turn.seat, outcome)];
                events.extend(self.retry(turn, step, outcome, now));
                events
            }
            TurnOutcome::Overloaded { .. } => {
                if step.failures < step.max_retries() {
                    self.retry(turn, step, outcome, now)
                } else {
                    fail(FailureKind::Provider)
                }
            }
            TurnOutcome::TimedOut { .. }
            | TurnOutcome::BadProtocol { .. }
            | TurnOutcome::Exited { .. }
            | TurnOutcome::Signalled { .. } => self.retry(turn, step, outcome, now),
        }
    }

    fn retry(&self, turn: &Turn, step: &Step, outcome: &TurnOutcome, now: Timestamp) -> Vec<Event> {
        let failure = step.failures + 1;
        let of = step.max_retries();
        let trouble = outcome.describe();
        if failure > of {
            let message = format!(
                "{} failed {failure} times at \"{}\": {trouble}. Look at its timeline, then resume the task or cancel it",
                turn.role().title(),
                step.planned.title
            );
            let failure = Failure {
                kind: FailureKind::Agent,
                message,
            };
            return vec![Event::TaskFailed { failure }];
        }
        let longest = FIRST_BACKOFF
            .saturating_mul(1 << (failure - 1).min(10))
            .min(LONGEST_BACKOFF);
        // Full jitter: tasks that failed together do not try again together.
        let wait = self.id.spread(&format!("retry {}", turn.id), longest);
        vec![Event::StepDelayed {
            step: step.planned.id,
            until: now.after(wait),
            why: Delay::Retry {
                failure,
                of,
                trouble,
            },
        }]
    }

    fn replace_session(&self, seat: SeatId, outcome: &TurnOutcome) -> Event {
        let generation = self
            .sessions
            .get(&seat)
            .map_or(0, |session| session.generation + 1);
        Event::SessionReplaced {
            role: seat.role,
            session: self.id.session(seat, generation),
            why: outcome.describe(),
            // One that became too long still tells what it did; a lost one tells nothing.
            reset: matches!(outcome, TurnOutcome::SessionLost { .. }),
            seat: seat.number,
        }
    }
}

/// Was the turn cut off by the end of NEXUS itself, in good order or not?
fn is_our_end(outcome: &TurnOutcome) -> bool {
    matches!(outcome, TurnOutcome::OutputLost | TurnOutcome::Interrupted)
}
