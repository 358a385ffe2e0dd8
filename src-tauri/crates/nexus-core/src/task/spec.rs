//! What a task was asked to be.

use super::Limits;
use crate::{Permissions, Plan, Priority, ProjectId, TaskId, Usd};
use serde::{Deserialize, Serialize};

/// Who carries the task out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Team {
    /// Claude Code agents.
    Claude,
    /// A recorded run on the bundled sample. Practice, no AI.
    Practice,
}

/// Who makes the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannerKind {
    /// The built-in pipeline.
    Standard,
    /// An OpenAI-compatible model.
    Openai,
    /// Claude Code itself.
    Claude,
}

/// How the task is gone about, beyond the wish itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// The plan is shown and waits for a yes before any agent begins.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plan_first: bool,
    /// How many agents of one role may work side by side. `None` for
    /// [`Terms::SEATS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seats: Option<u32>,
    /// What has to be true of the result: judged by Beta and by the person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<String>,
    /// Tasks that have to be done before this one is begun.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<TaskId>,
    /// What those tasks handed over is told to this team.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shares_context: bool,
    /// The name of the template it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The plan of that template; taken where no planner is asked, or none can plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<Plan>>,
}

impl Terms {
    /// How many agents of one role work side by side in a task when nothing else is said.
    pub const SEATS: u32 = 3;
    /// So many others a task may wait for: what all of them hand over has to fit into a prompt.
    pub const MOST_BEFORE: usize = 32;
    /// The most that can be asked of a result.
    pub const LONGEST_CHECKLIST: usize = 100;
}

/// What the person wants, where, and within which bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Counts the tasks of this data folder; people call the task `T-<number>`.
    pub number: u32,
    pub project: ProjectId,
    pub project_name: String,
    /// The person's folder, absolute.
    pub folder: String,
    pub title: String,
    /// The wish, whole, in the person's words.
    pub text: String,
    pub team: Team,
    pub planner: PlannerKind,
    pub permissions: Permissions,
    pub priority: Priority,
    /// The task pauses when it has cost this much.
    pub budget: Option<Usd>,
    /// The other caps.
    #[serde(default)]
    pub limits: Limits,
    /// A question that nobody answers within so many seconds is answered with no.
    #[serde(default = "a_day")]
    pub answer_within: u64,
    /// Stands for the commands of the folder that the person trusted for this task. Others do
    /// not run.
    pub fingerprint: String,
    /// Somebody can answer questions. When not, what would be asked is denied and reported.
    pub attended: bool,
    #[serde(default)]
    pub terms: Terms,
}

/// A person may sleep over a question, and it costs nothing to wait.
pub const ANSWER_WITHIN: u64 = 24 * 60 * 60;

fn a_day() -> u64 {
    ANSWER_WITHIN
}

/// Why a task cannot be made from what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    #[error("the task is empty: say what you want done")]
    Empty,
    #[error(
        "the task text has {bytes} bytes, at most {} fit: put long material into a file of the project and name it",
        TaskSpec::TEXT_LIMIT
    )]
    TooLong { bytes: usize },
    #[error(
        "the title has {letters} characters, at most {} fit",
        TaskSpec::TITLE_LIMIT
    )]
    TitleTooLong { letters: usize },
    #[error("the task text contains a NUL character: remove it")]
    Nul,
    #[error("the cost cap has to be more than zero")]
    NoBudget,
    #[error("a limit has to be more than zero")]
    NoLimit,
    #[error("a question needs at least a second to be answered")]
    NoTimeToAnswer,
    #[error(
        "the task is to wait for {tasks} others, at most {} are possible: name those that come last",
        Terms::MOST_BEFORE
    )]
    TooManyBefore { tasks: usize },
    #[error("an item of the checklist says nothing: say what has to be true, or leave it out")]
    EmptyItem,
    #[error(
        "the checklist has {items} items, at most {} fit",
        Terms::LONGEST_CHECKLIST
    )]
    TooManyItems { items: usize },
}

impl TaskSpec {
    /// Longest task text, in bytes.
    pub const TEXT_LIMIT: usize = 256 * 1024;
    /// Longest title, in characters.
    pub const TITLE_LIMIT: usize = 200;
    /// Longest title taken from the text, in characters.
    const OWN_TITLE: usize = 80;

    /// Checks what a person typed.
    pub fn check(&self) -> Result<(), BadSpec> {
        if self.text.trim().is_empty() {
            return Err(BadSpec::Empty);
        }
        if self.text.len() > Self::TEXT_LIMIT {
            return Err(BadSpec::TooLong {
                bytes: self.text.len(),
            });
        }
        let letters = self.title.chars().count();
        if letters > Self::TITLE_LIMIT {
            return Err(BadSpec::TitleTooLong { letters });
        }
        if self.text.contains('\0') || self.title.contains('\0') {
            return Err(BadSpec::Nul);
        }
        if self.budget == Some(Usd::ZERO) {
            return Err(BadSpec::NoBudget);
        }
        let limits = &self.limits;
        if limits.tokens == Some(0) || limits.seconds == Some(0) || limits.turns == Some(0) {
            return Err(BadSpec::NoLimit);
        }
        if self.answer_within == 0 {
            return Err(BadSpec::NoTimeToAnswer);
        }
        let tasks = self.terms.after.len();
        if tasks > Terms::MOST_BEFORE {
            return Err(BadSpec::TooManyBefore { tasks });
        }
        let checklist = &self.terms.checklist;
        if checklist.iter().any(|item| item.trim().is_empty()) {
            return Err(BadSpec::EmptyItem);
        }
        if checklist.len() > Terms::LONGEST_CHECKLIST {
            return Err(BadSpec::TooManyItems {
                items: checklist.len(),
            });
        }
        Ok(())
    }

    /// The plan where no planner makes one: that of the task's template, else the standard one.
    pub(super) fn own_plan(&self) -> Plan {
        let given = self.terms.plan.as_deref().cloned();
        given.unwrap_or_else(|| Plan::standard(&self.title))
    }

    /// A title for a task that was given none: the first line of its text, cut at a word.
    pub fn title_from(text: &str) -> String {
        let line = text.trim().lines().next().unwrap_or_default().trim();
        if line.chars().count() <= Self::OWN_TITLE {
            return line.to_owned();
        }
        let cut: String = line.chars().take(Self::OWN_TITLE).collect();
        let whole = cut
            .rsplit_once(' ')
            .map_or(cut.as_str(), |(words, _)| words);
        format!("{whole}…")
    }

    /// `T-14`.
    pub fn name(&self) -> String {
        format!("T-{}", self.number)
    }
}
