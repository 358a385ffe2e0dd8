//! Caps on what a task, or a day, may use up, and what was used.

use super::{Event, PauseReason, Phase, Task};
use crate::{Timestamp, Usage, Usd};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Caps beside the one on money. `None` means no cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// All tokens, cached ones included.
    pub tokens: Option<u64>,
    /// Time at work: waiting for the person or for a usage limit does not count.
    pub seconds: Option<u64>,
    /// Prompts to agents.
    pub turns: Option<u32>,
}

impl Limits {
    /// The concept document's `task_timeout`, in seconds.
    pub const TASK_TIMEOUT: u64 = 7200;
}

/// Caps on one day's work of all tasks together. A day is a day in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DayCaps {
    pub money: Option<Usd>,
    pub limits: Limits,
}

/// What was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Spent {
    /// As far as prices are known.
    pub money: Usd,
    /// Something was used whose price is not known.
    pub unpriced: bool,
    pub tokens: u64,
    pub millis: u64,
    pub turns: u32,
}

impl Spent {
    /// Adds a turn's use.
    pub fn add(&mut self, usage: Usage, took_millis: u64) {
        self.tokens = self.tokens.saturating_add(usage.tokens());
        self.millis += took_millis;
        match usage.cost {
            Some(cost) => self.money = self.money + cost,
            None => self.unpriced |= usage.tokens() > 0,
        }
    }

    /// The first cap that is reached.
    pub fn over(&self, money: Option<Usd>, limits: Limits) -> Option<PauseReason> {
        let reached = [
            (
                money.is_some_and(|cap| self.money >= cap),
                PauseReason::Budget,
            ),
            (
                limits.tokens.is_some_and(|cap| self.tokens >= cap),
                PauseReason::Tokens,
            ),
            (
                limits.seconds.is_some_and(|cap| self.millis / 1000 >= cap),
                PauseReason::Time,
            ),
            (
                limits.turns.is_some_and(|cap| self.turns >= cap),
                PauseReason::Turns,
            ),
        ];
        reached
            .into_iter()
            .find_map(|(is_reached, why)| is_reached.then_some(why))
    }
}

/// How much of a silence between two facts counts as work at most: longer ones are a machine
/// that slept or a clock that was set.
const LONGEST_GAP: Duration = Duration::from_secs(20 * 60);

impl Task {
    /// What it used so far. The time is that of the last recorded fact.
    pub fn spent(&self) -> Spent {
        let usage = self.usage();
        Spent {
            money: self.money_spent,
            unpriced: usage.cost.is_none() || self.is_partly_uncounted(),
            tokens: usage.tokens(),
            millis: self.worked_millis,
            turns: self.turns_taken,
        }
    }

    /// The cap it has reached.
    pub(super) fn cap_reached(&self, now: Timestamp) -> Option<PauseReason> {
        let mut spent = self.spent();
        spent.millis += self.ticking(now);
        spent.over(self.budget, self.limits)
    }

    /// Is its time used up? Whatever is under way stops then, and not only the next turn.
    pub(super) fn time_is_up(&self, now: Timestamp) -> bool {
        let millis = self.worked_millis + self.ticking(now);
        self.limits.seconds.is_some_and(|cap| millis / 1000 >= cap)
    }

    /// When its time will be used up if nothing interrupts it.
    pub(super) fn time_runs_out(&self) -> Option<Timestamp> {
        let cap = self.limits.seconds.filter(|_| self.clock_runs())?;
        let left = cap.saturating_mul(1000).saturating_sub(self.worked_millis);
        let left = Duration::from_millis(left);
        // No more than that counts of one silence, so it cannot run out before the next fact.
        (left <= LONGEST_GAP).then(|| self.clock_at.after(left))
    }

    /// Lets the time since the last fact count, if the team was at work.
    pub(super) fn run_clock(&mut self, at: Timestamp) {
        self.worked_millis += self.ticking(at);
        self.clock_at = at;
    }

    fn ticking(&self, now: Timestamp) -> u64 {
        if !self.clock_runs() {
            return 0;
        }
        let gap = now.since(self.clock_at).min(LONGEST_GAP);
        u64::try_from(gap.as_millis()).unwrap_or(u64::MAX)
    }

    /// Nobody but the team is waited for.
    fn clock_runs(&self) -> bool {
        self.phase == Phase::Active && self.hold.is_none() && self.approvals.is_empty()
    }

    /// The facts of a cap that was reached.
    pub(super) fn stop_at_cap(&self, why: PauseReason) -> Vec<Event> {
        self.withdrawals()
            .chain([Event::TaskPaused { why }])
            .collect()
    }
}
