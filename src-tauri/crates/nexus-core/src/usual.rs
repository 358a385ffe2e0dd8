//! What steps usually take, by the history of this data folder, and what that means for a plan.

use crate::{Plan, StepId, StepKind, StepState, Task, Team, Usd};
use std::{collections::BTreeMap, sync::Arc};

/// What steps of one kind took: the middle one of all that were finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usual {
    pub seconds: u64,
    /// `None` where no step has a known price.
    pub cost: Option<Usd>,
    /// How many finished steps it is the middle of.
    pub samples: u32,
}

/// What a whole plan is thought to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanTakes {
    /// Working time of agents, all steps added up.
    pub seconds: u64,
    /// The longest chain of steps that wait for each other.
    pub critical_seconds: u64,
    pub cost: Option<Usd>,
    /// Finished steps that it is guessed from; 0 for the planner's own guess.
    pub samples: u32,
}

/// What finished steps of a team took, by kind. Kinds without one are not there.
pub fn usual<'a>(
    tasks: impl Iterator<Item = &'a Arc<Task>>,
    team: Team,
) -> BTreeMap<StepKind, Usual> {
    let mut took: BTreeMap<StepKind, (Vec<u64>, Vec<Usd>)> = BTreeMap::new();
    for task in tasks.filter(|task| task.spec.team == team) {
        let done = task.steps.iter().filter(|s| s.state == StepState::Done);
        for step in done.filter(|step| step.duration_ms > 0) {
            let (seconds, costs) = took.entry(step.planned.kind).or_default();
            seconds.push(step.duration_ms.div_ceil(1000));
            costs.extend(step.usage.cost.filter(|_| step.usage.tokens() > 0));
        }
    }
    let usual = took.into_iter().map(|(kind, (seconds, costs))| {
        let samples = u32::try_from(seconds.len()).unwrap_or(u32::MAX);
        let usual = Usual {
            seconds: middle(seconds).unwrap_or(0),
            cost: middle(costs),
            samples,
        };
        (kind, usual)
    });
    usual.collect()
}

fn middle<T: Ord + Copy>(mut all: Vec<T>) -> Option<T> {
    all.sort_unstable();
    all.get(all.len() / 2).copied()
}

impl Plan {
    /// What the plan takes by its own estimates; `None` unless each step has one.
    pub fn takes_by_estimate(&self) -> Option<PlanTakes> {
        let all = self.estimate()?;
        let of = |id| self.step(id).and_then(|step| step.estimate);
        Some(PlanTakes {
            seconds: all.seconds,
            critical_seconds: self.longest(|id| of(id).map_or(0, |estimate| estimate.seconds)),
            cost: all.cost,
            samples: 0,
        })
    }

    /// What the plan takes if its steps take what such steps usually do; `None` unless each
    /// kind was seen before.
    pub fn takes_as_usual(&self, usual: &BTreeMap<StepKind, Usual>) -> Option<PlanTakes> {
        let each: Option<Vec<&Usual>> = self.steps().iter().map(|s| usual.get(&s.kind)).collect();
        let each = each?;
        let of = |id| self.step(id).and_then(|step| usual.get(&step.kind));
        let samples = usual.iter().filter(|(kind, _)| {
            let mut steps = self.steps().iter();
            steps.any(|step| step.kind == **kind)
        });
        Some(PlanTakes {
            seconds: each.iter().map(|usual| usual.seconds).sum(),
            critical_seconds: self.longest(|id| of(id).map_or(0, |usual| usual.seconds)),
            cost: each.iter().map(|usual| usual.cost).sum(),
            samples: samples.map(|(_, usual)| usual.samples).sum(),
        })
    }

    /// The longest way through the plan, where each step is as long as `length` says.
    pub fn longest(&self, length: impl Fn(StepId) -> u64) -> u64 {
        let mut ends: BTreeMap<StepId, u64> = BTreeMap::new();
        // A plan has no circle, so each pass settles at least one more step.
        for _ in self.steps() {
            for step in self.steps() {
                let before = step.after.iter().filter_map(|id| ends.get(id));
                let begins = before.max().copied().unwrap_or(0);
                ends.insert(step.id, begins.saturating_add(length(step.id)));
            }
        }
        ends.into_values().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlannedStep;

    fn plan(arrows: &[(u32, &[u32])]) -> Plan {
        let step = |(id, after): &(u32, &[u32])| PlannedStep {
            after: after.iter().copied().map(StepId).collect(),
            ..PlannedStep::new(
                StepId(*id),
                StepKind::Implementation,
                "x".into(),
                String::new(),
            )
        };
        Plan::new(arrows.iter().map(step).collect()).unwrap()
    }

    #[test]
    fn the_longest_way_goes_through_what_waits_for_each_other() {
        // Listed before what they wait for, on purpose.
        let plan = plan(&[(4, &[2, 3]), (3, &[1]), (2, &[1]), (1, &[])]);
        let length = |id: StepId| [0, 10, 5, 30, 7][id.0 as usize];
        assert_eq!(plan.longest(length), 47);
        assert_eq!(plan.longest(|_| 0), 0);
    }

    #[test]
    fn a_guess_needs_every_kind_and_says_what_it_is_made_from() {
        let plan = plan(&[(1, &[]), (2, &[]), (3, &[1])]);
        let mut known = BTreeMap::new();
        assert_eq!(plan.takes_as_usual(&known), None);
        let usual = Usual {
            seconds: 40,
            cost: Some(Usd::from_micros(5)),
            samples: 9,
        };
        known.insert(StepKind::Implementation, usual);
        known.insert(StepKind::Tests, usual);
        let takes = plan.takes_as_usual(&known).unwrap();
        assert_eq!((takes.seconds, takes.critical_seconds), (120, 80));
        assert_eq!((takes.cost, takes.samples), (Some(Usd::from_micros(15)), 9));
        assert_eq!(plan.takes_by_estimate(), None, "no step has an estimate");
    }
}
