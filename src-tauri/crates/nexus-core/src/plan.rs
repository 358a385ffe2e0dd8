//! A plan: steps, who takes them, and what each waits for.

use crate::{Priority, ProjectPath, Requirements, Role, StepId, Usd};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    Analysis,
    Implementation,
    Tests,
    Validation,
}

impl StepKind {
    /// The word used in messages and on the board.
    pub fn name(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::Implementation => "implementation",
            Self::Tests => "tests",
            Self::Validation => "validation",
        }
    }

    /// The seat that takes steps of this kind.
    pub fn role(self) -> Role {
        match self {
            Self::Analysis => Role::Aria,
            Self::Implementation => Role::Code,
            Self::Tests => Role::Alpha,
            Self::Validation => Role::Beta,
        }
    }
}

/// One step as it is planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    pub id: StepId,
    pub kind: StepKind,
    pub role: Role,
    pub title: String,
    pub description: String,
    #[serde(default)]
    pub requirements: Requirements,
    /// Steps that have to be done first.
    #[serde(default)]
    pub after: Vec<StepId>,
    #[serde(default)]
    pub priority: Priority,
    /// Files and folders it may touch, relative to the project; a folder stands for all that
    /// is in it. Empty where it may touch anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Checks that prove it, as command lines. Told to the agent; NEXUS itself runs only the
    /// checks that the person trusted the folder with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// What the planner thinks it will take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// How often a failed attempt is tried again, where the plan says otherwise than the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

/// What a step is thought to take. A guess, and shown as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Working time of its agent.
    pub seconds: u64,
    /// `None` where no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
}

impl PlannedStep {
    /// A step of this kind with nothing but its words: it waits for nothing and may touch
    /// anything.
    pub fn new(id: StepId, kind: StepKind, title: String, description: String) -> Self {
        Self {
            id,
            kind,
            role: kind.role(),
            title,
            description,
            requirements: Requirements::default(),
            after: Vec::new(),
            priority: Priority::Normal,
            paths: Vec::new(),
            checks: Vec::new(),
            estimate: None,
            max_retries: None,
        }
    }
}

/// A plan whose steps can all be reached. A new one is made by [`Plan::new`] alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<PlannedStep>", into = "Vec<PlannedStep>")]
pub struct Plan {
    steps: Vec<PlannedStep>,
}

/// Everything that is wrong with a plan, all at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plan cannot be used: {}", .0.join("; "))]
pub struct BadPlan(pub Vec<String>);

impl Plan {
    /// Longest plan that is taken.
    pub const MAX_STEPS: usize = 64;

    /// Checks the steps: there are some and not too many, ids are unique, dependencies exist,
    /// nothing waits for itself or for a judgement of the finished work, and every role fits its
    /// kind of step. Paths stay inside the project.
    pub fn new(steps: Vec<PlannedStep>) -> Result<Self, BadPlan> {
        let mut problems = problems(&steps);
        problems.extend(judged_too_early(&steps));
        problems.extend(leading_out(&steps));
        Self::unless(problems, steps)
    }

    fn unless(problems: Vec<String>, steps: Vec<PlannedStep>) -> Result<Self, BadPlan> {
        if problems.is_empty() {
            Ok(Self { steps })
        } else {
            Err(BadPlan(problems))
        }
    }

    /// The pipeline used without a planner: analysis → implementation → tests → validation.
    pub fn standard(title: &str) -> Self {
        let step = |id: u32, kind: StepKind, description: &str| {
            let title = format!("{}: {title}", capitalised(kind.name()));
            PlannedStep {
                after: (id > 1).then(|| StepId(id - 1)).into_iter().collect(),
                ..PlannedStep::new(StepId(id), kind, title, description.to_owned())
            }
        };
        let steps = vec![
            step(
                1,
                StepKind::Analysis,
                "Read the project and the wish. Say what has to change, where, what could go wrong, and how it will be seen to work. Change nothing.",
            ),
            step(
                2,
                StepKind::Implementation,
                "Make the change that the analysis asks for, as small as it can be, and leave the project building.",
            ),
            step(
                3,
                StepKind::Tests,
                "Write tests that fail without the change and pass with it, and cover its edges.",
            ),
            step(
                4,
                StepKind::Validation,
                "Judge the change against the wish, with the evidence of the checks. Say pass or fail, and for a fail what has to be mended.",
            ),
        ];
        Self { steps }
    }

    /// A step by its number.
    pub fn step(&self, id: StepId) -> Option<&PlannedStep> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// What all steps together are thought to take; `None` unless each has an estimate. The
    /// cost is known only while all of them have one.
    pub fn estimate(&self) -> Option<Estimate> {
        let each: Option<Vec<Estimate>> = self.steps.iter().map(|step| step.estimate).collect();
        let costs = |each: &[Estimate]| each.iter().map(|one| one.cost).sum::<Option<Usd>>();
        each.map(|each| Estimate {
            seconds: each.iter().map(|one| one.seconds).sum(),
            cost: costs(&each),
        })
    }

    /// Does `late` wait for `early`, at once or through others?
    pub fn is_before(&self, early: StepId, late: StepId) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![late];
        while let Some(id) = waiting.pop() {
            let step = self.steps.iter().find(|step| step.id == id);
            for before in step.map(|step| step.after.as_slice()).unwrap_or_default() {
                if *before == early {
                    return true;
                }
                if seen.insert(*before) {
                    waiting.push(*before);
                }
            }
        }
        false
    }

    /// The same plan with one more step, which waits for nothing that is not there.
    #[must_use]
    pub(crate) fn with(&self, step: PlannedStep) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        Self { steps }
    }

    /// The steps in the order they were planned.
    pub fn steps(&self) -> &[PlannedStep] {
        &self.steps
    }
}

impl TryFrom<Vec<PlannedStep>> for Plan {
    type Error = BadPlan;
    /// Reads a plan that was recorded. It may be older than a rule of [`Plan::new`].
    fn try_from(steps: Vec<PlannedStep>) -> Result<Self, BadPlan> {
        let problems = problems(&steps);
        Self::unless(problems, steps)
    }
}

impl From<Plan> for Vec<PlannedStep> {
    fn from(plan: Plan) -> Self {
        plan.steps
    }
}

fn problems(steps: &[PlannedStep]) -> Vec<String> {
    let mut problems = Vec::new();
    if steps.is_empty() {
        problems.push("it has no steps".to_owned());
    }
    if steps.len() > Plan::MAX_STEPS {
        problems.push(format!(
            "it has {} steps, at most {} fit",
            steps.len(),
            Plan::MAX_STEPS
        ));
    }
    let mut known = BTreeMap::new();
    for step in steps {
        if known.insert(step.id, step).is_some() {
            problems.push(format!("step {} is there twice", step.id));
        }
        if step.role != step.kind.role() {
            problems.push(format!(
                "step {} is {}, which {} does not do",
                step.id,
                step.kind.name(),
                step.role.title()
            ));
        }
        if step.title.trim().is_empty() {
            problems.push(format!("step {} has no title", step.id));
        }
    }
    for step in steps {
        for before in &step.after {
            if !known.contains_key(before) {
                problems.push(format!(
                    "step {} waits for step {before}, which is not there",
                    step.id
                ));
            }
        }
    }
    if problems.is_empty() {
        problems.extend(cycle(&known));
    }
    problems
}

/// Steps that wait for a validation, which itself waits for the checks on all other work.
fn judged_too_early(steps: &[PlannedStep]) -> Vec<String> {
    let judges = |id: &StepId| {
        let mut steps = steps.iter();
        steps.any(|step| step.id == *id && step.kind == StepKind::Validation)
    };
    let work = steps
        .iter()
        .filter(|step| step.kind != StepKind::Validation);
    let early = work.filter_map(|step| Some((step, step.after.iter().find(|id| judges(id))?)));
    let problems = early.map(|(step, judge)| {
        let step = step.id;
        format!("step {step} waits for step {judge}, which judges the work when all of it is done")
    });
    problems.collect()
}

/// Paths that name nothing inside the project.
fn leading_out(steps: &[PlannedStep]) -> Vec<String> {
    let out = |path: &&String| {
        let plain = path.trim_end_matches('/');
        ProjectPath::parse(plain).is_err()
    };
    let mut problems = Vec::new();
    for step in steps {
        for path in step.paths.iter().filter(out) {
            let id = step.id;
            problems.push(format!(
                "step {id} names the path `{path}`, which is none inside the project"
            ));
        }
    }
    problems
}

/// Takes away steps whose dependencies are gone until none can be; what is left is a cycle.
fn cycle(steps: &BTreeMap<StepId, &PlannedStep>) -> Option<String> {
    let mut left = steps.clone();
    loop {
        let free: Vec<_> = left
            .values()
            .filter(|step| !step.after.iter().any(|before| left.contains_key(before)))
            .map(|step| step.id)
            .collect();
        if free.is_empty() {
            break;
        }
        for id in free {
            left.remove(&id);
        }
    }
    let names: Vec<_> = left.keys().map(ToString::to_string).collect();
    (!left.is_empty()).then(|| format!("steps {} wait for each other", names.join(", ")))
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(arrows: &[(u32, &[u32])]) -> Vec<PlannedStep> {
        let template = Plan::standard("x").steps[1].clone();
        arrows
            .iter()
            .map(|(id, after)| PlannedStep {
                id: StepId(*id),
                after: after.iter().copied().map(StepId).collect(),
                ..template.clone()
            })
            .collect()
    }

    #[test]
    fn a_plan_with_a_cycle_a_gap_or_a_double_cannot_exist() {
        let bad = [
            steps(&[]),
            steps(&[(1, &[2]), (2, &[1])]),
            steps(&[(1, &[1])]),
            steps(&[(1, &[]), (1, &[])]),
            steps(&[(1, &[7])]),
        ];
        for plan in bad {
            assert!(Plan::new(plan.clone()).is_err(), "{plan:?}");
            let text = serde_json::to_string(&plan).unwrap();
            assert!(serde_json::from_str::<Plan>(&text).is_err());
        }
        assert!(Plan::new(steps(&[(2, &[1]), (1, &[])])).is_ok());
    }

    #[test]
    fn no_work_waits_for_its_own_judgement() {
        let mut early = Plan::standard("x").steps;
        early[0].after = vec![StepId(4)];
        early[1].after.clear();
        assert!(Plan::new(early.clone()).is_err());
        // One that was recorded before this was a rule can still be read.
        let text = serde_json::to_string(&early).unwrap();
        assert!(serde_json::from_str::<Plan>(&text).is_ok());
    }

    #[test]
    fn the_standard_plan_is_a_plan() {
        let plan = Plan::standard("Fix the login");
        assert_eq!(Plan::new(plan.steps().to_vec()), Ok(plan));
    }
}
