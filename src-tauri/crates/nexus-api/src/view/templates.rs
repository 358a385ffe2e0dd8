//! Templates of tasks: what they ask for, and what is made of the answers; and a task's
//! checklist.

use super::{PlanStepView, PriorityView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The templates for work in a folder.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TemplatesView {
    pub templates: Vec<TemplateView>,
    /// Files of the project that were to be templates and are none.
    pub broken: Vec<BrokenTemplateView>,
}

/// What a task can be made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TemplateView {
    /// How it is named in orders: `bug-fix`.
    pub name: String,
    pub title: String,
    pub description: String,
    /// What to ask the person for, in this order.
    pub fields: Vec<FieldView>,
    /// What has to be true of the result, with `{{field}}` where a field goes.
    pub checklist: Vec<String>,
    /// The plan of its tasks, with `{{field}}` in its words; `null` where they are planned like
    /// any other.
    pub plan: Option<Vec<PlanStepView>>,
    /// How urgent its tasks are, where no field asks.
    pub priority: PriorityView,
    /// Its tasks prove little in a project without checks.
    pub needs_checks: bool,
    pub source: TemplateSourceView,
}

/// Where a template comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TemplateSourceView {
    /// With NEXUS.
    BuiltIn,
    /// From the project's `.nexus/templates/`.
    Project,
}

/// One thing that a template asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldView {
    pub name: String,
    pub label: String,
    /// What to put there, as a request: "Say what goes wrong".
    pub help: String,
    pub kind: FieldKindView,
    /// What may stand in a `choice`; empty for other kinds.
    pub options: Vec<String>,
    pub required: bool,
    /// What is taken when nothing is given.
    pub default: Option<String>,
}

/// What may stand in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldKindView {
    /// Any words.
    Text,
    /// Any words on each line.
    Lines,
    /// One of the `options`.
    Choice,
    /// A folder of the project.
    Folder,
    /// Files or folders of the project, one on each line.
    Files,
    /// `critical`, `high`, `normal` or `low`.
    Priority,
    /// How long the task may be at work, such as `90 min`.
    Duration,
    /// A command line.
    Command,
}

/// A file among a project's templates that is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrokenTemplateView {
    /// Its path in the project.
    pub file: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

/// What a template is filled in with.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FillBody {
    /// The folder of the task, for the project's own templates; `null` for any.
    #[serde(default)]
    pub folder: Option<String>,
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

/// A template with its fields filled in: what a task would be made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FilledView {
    /// `null` where the title is to be taken from the text.
    pub title: Option<String>,
    /// The wish.
    pub text: String,
    /// What has to be true of the result.
    pub checklist: Vec<String>,
    pub priority: PriorityView,
    /// After how much time at work the task pauses, where a field says it.
    pub max_seconds: Option<u64>,
    /// `null` where the task is to be planned like any other.
    pub plan: Option<Vec<PlanStepView>>,
}

/// An item of a task's checklist, with Beta's judgement of it: a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChecklistItemView {
    pub item: String,
    /// `null` while nobody has judged it in this round.
    pub met: Option<bool>,
    /// What was seen of it. Untrusted text.
    pub why: Option<String>,
}
