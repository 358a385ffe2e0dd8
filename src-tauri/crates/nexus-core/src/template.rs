//! Templates of tasks: what a person is asked for, and what is made of the answers: the wish, a
//! checklist, and where it matters a plan.
//!
//! Those that come with NEXUS are data files in `templates/`; a project may have more. A file is
//! opened elsewhere: here its text is read ([`Template::parse`]) and filled in
//! ([`Template::fill`]).

mod file;
mod fill;
mod text;
mod value;

pub use file::BadTemplate;
pub use fill::{BadFields, Filled};

use crate::{Plan, Priority};

/// A template that can be filled in: every field that its texts name is there, and its plan is
/// one.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The name that orders give it, such as `bug-fix`: that of its file.
    pub name: String,
    /// The name people read.
    pub title: String,
    pub description: String,
    /// What the person is asked for, in this order.
    pub fields: Vec<Field>,
    /// What the title of a task is made of. Without it the title comes from the text.
    pub task_title: Option<String>,
    /// What the wish is made of, with `{{field}}` where a field goes.
    pub text: String,
    /// What has to be true of the result. An item that names a field of several lines is an item
    /// for each of them.
    pub checklist: Vec<String>,
    /// The plan of its tasks, whose words may name fields; without one they are planned like any
    /// other.
    pub plan: Option<Plan>,
    /// How urgent its tasks are, where no field asks.
    pub priority: Priority,
    /// Its tasks prove little in a project without checks.
    pub needs_checks: bool,
    pub source: TemplateSource,
}

/// Where a template comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateSource {
    /// With NEXUS.
    BuiltIn,
    /// From the project's `.nexus/templates/`.
    Project,
}

/// One thing that a person is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// How the texts name it: `{{name}}`.
    pub name: String,
    /// The name people read.
    pub label: String,
    /// What to put there, as a request: "Say what goes wrong".
    pub help: String,
    pub kind: FieldKind,
    pub required: bool,
    /// What is taken when nothing is given.
    pub default: Option<String>,
    /// It bounds the work, and is told to agents as a constraint and not as material.
    pub constraint: bool,
}

/// What may stand in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Any words.
    Text,
    /// Any words on each line; an empty line says nothing.
    Lines,
    /// One of these.
    Choice { options: Vec<String> },
    /// A folder of the project.
    Folder,
    /// Files or folders of the project, one on each line.
    Files,
    /// How urgent the task is.
    Priority,
    /// How long the task may be at work, such as `90 min`.
    Duration,
    /// A command line.
    Command,
}

impl FieldKind {
    /// The word that a template's file uses.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Lines => "lines",
            Self::Choice { .. } => "choice",
            Self::Folder => "folder",
            Self::Files => "files",
            Self::Priority => "priority",
            Self::Duration => "duration",
            Self::Command => "command",
        }
    }

    /// Does a text that names it say the same for each of its lines?
    fn has_lines(&self) -> bool {
        matches!(self, Self::Lines | Self::Files)
    }
}

impl Template {
    /// The templates that come with NEXUS.
    pub fn built_in() -> Vec<Self> {
        let parse = |(name, text)| Self::parse(name, text, TemplateSource::BuiltIn).ok();
        BUILT_IN.into_iter().filter_map(parse).collect()
    }

    /// The templates that come with NEXUS, with those of a project. One of the project takes the
    /// place of the one of its name.
    pub fn with_own(own: Vec<Self>) -> Vec<Self> {
        let mut all = Self::built_in();
        for template in own {
            match all.iter_mut().find(|known| known.name == template.name) {
                Some(known) => *known = template,
                None => all.push(template),
            }
        }
        all
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

const BUILT_IN: [(&str, &str); 5] = [
    (
        "web-application",
        include_str!("../templates/web-application.toml"),
    ),
    ("bug-fix", include_str!("../templates/bug-fix.toml")),
    (
        "review-and-optimise",
        include_str!("../templates/review-and-optimise.toml"),
    ),
    ("writing", include_str!("../templates/writing.toml")),
    ("blank", include_str!("../templates/blank.toml")),
];

#[cfg(test)]
mod tests;
