//! The six Markdown files of a task: messages, projected so that people and agents can read
//! them. A projection only: state is never recovered from these texts.

use crate::{Message, Recipient, Role, StepResult};
use std::fmt::Write;

/// One of the six files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scratchpad {
    AriaToCode,
    CodeToAlpha,
    AlphaToBeta,
    BetaToAria,
    SharedContext,
    OrchestratorFeedback,
}

impl Scratchpad {
    /// All six, in the order of the pipeline.
    pub const ALL: [Self; 6] = [
        Self::AriaToCode,
        Self::CodeToAlpha,
        Self::AlphaToBeta,
        Self::BetaToAria,
        Self::SharedContext,
        Self::OrchestratorFeedback,
    ];

    /// The file's name.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::AriaToCode => "aria_to_code.md",
            Self::CodeToAlpha => "code_to_alpha.md",
            Self::AlphaToBeta => "alpha_to_beta.md",
            Self::BetaToAria => "beta_to_aria.md",
            Self::SharedContext => "shared_context.md",
            Self::OrchestratorFeedback => "orchestrator_feedback.md",
        }
    }

    /// The file a message belongs into.
    pub fn of(message: &Message) -> Self {
        match message {
            Message::Assignment(_) => Self::OrchestratorFeedback,
            Message::Response(response) => Self::handed_over_by(response.from.role()),
            Message::Note(note) => match (note.from.role(), note.to) {
                (Some(Role::Aria), Recipient::Code) => Self::AriaToCode,
                (Some(Role::Code), Recipient::Alpha) => Self::CodeToAlpha,
                (Some(Role::Alpha), Recipient::Beta) => Self::AlphaToBeta,
                (Some(Role::Beta), Recipient::Aria) => Self::BetaToAria,
                (Some(Role::Prime), _) => Self::OrchestratorFeedback,
                _ => Self::SharedContext,
            },
        }
    }

    fn handed_over_by(role: Option<Role>) -> Self {
        match role {
            Some(Role::Aria) => Self::AriaToCode,
            Some(Role::Code) => Self::CodeToAlpha,
            Some(Role::Alpha) => Self::AlphaToBeta,
            Some(Role::Beta) => Self::BetaToAria,
            Some(Role::Prime) | None => Self::SharedContext,
        }
    }

    /// The whole file for these messages, in their order. Messages only ever follow, so an
    /// earlier text is always the beginning of a later one.
    pub fn render<'a>(self, messages: impl IntoIterator<Item = &'a Message>) -> String {
        let mut text = format!("# {}\n", self.title());
        for message in messages {
            if Self::of(message) == self {
                text.push_str(&entry(message));
            }
        }
        text
    }

    fn title(self) -> &'static str {
        match self {
            Self::AriaToCode => "Aria to Code",
            Self::CodeToAlpha => "Code to Alpha",
            Self::AlphaToBeta => "Alpha to Beta",
            Self::BetaToAria => "Beta to Aria",
            Self::SharedContext => "Shared context",
            Self::OrchestratorFeedback => "Instructions of NEXUS Prime",
        }
    }
}

/// A message as an entry of a scratchpad.
fn entry(message: &Message) -> String {
    let mut text = format!("\n## {} · {}\n\n", message.id(), message.timestamp());
    text.push_str(&body(message));
    text
}

/// A message in Markdown, without its heading.
pub fn body(message: &Message) -> String {
    let mut text = String::new();
    match message {
        Message::Assignment(m) => {
            let task = &m.payload.task;
            let to = m.to.role().map_or("?", Role::title);
            let _ = writeln!(
                text,
                "**To {to}: {}** ({})\n\n{}",
                task.title, task.kind, task.description
            );
            for (name, value) in &task.requirements.input_data {
                let shown = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                let _ = writeln!(text, "\n*{}*: {shown}", name.replace('_', " "));
            }
        }
        Message::Response(m) => {
            let from = m.from.role().map_or("?", Role::title);
            let form = if m.structured {
                ""
            } else {
                " · unstructured: the agent only wrote text"
            };
            let _ = writeln!(
                text,
                "**From {from}**, in answer to {}, after {:.1} s{form}\n",
                m.response_to, m.execution_time_seconds
            );
            text.push_str(&result(&m.payload.task_result));
        }
        Message::Note(m) => {
            let from = m.from.role().map_or("the person", Role::title);
            let _ = writeln!(text, "**Note from {from}**\n\n{}", m.text);
        }
    }
    text
}

fn result(result: &StepResult) -> String {
    let mut text = format!("{}\n", result.summary.trim_end());
    if let Some(verdict) = result.verdict {
        let _ = writeln!(text, "\nVerdict: {verdict:?}");
    }
    for finding in &result.findings {
        let place = finding
            .location
            .as_deref()
            .map(|l| format!(" ({l})"))
            .unwrap_or_default();
        let _ = writeln!(text, "- {:?}: {}{place}", finding.severity, finding.problem);
    }
    if !result.checklist.is_empty() {
        let _ = writeln!(text, "\nChecklist:");
    }
    for judged in &result.checklist {
        let mark = if judged.met { 'x' } else { ' ' };
        let _ = writeln!(text, "- [{mark}] {}: {}", judged.item, judged.why);
    }
    for (name, value) in &result.deliverables {
        let shown = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let _ = writeln!(
            text,
            "\n### {}\n\n{}",
            name.replace('_', " "),
            shown.trim_end()
        );
    }
    if !result.recommendations.is_empty() {
        let _ = writeln!(text, "\nRecommendations:");
        for recommendation in &result.recommendations {
            let _ = writeln!(text, "- {recommendation}");
        }
    }
    if let Some(confidence) = result.confidence_score {
        let _ = writeln!(text, "\nConfidence by its own account: {confidence}");
    }
    text
}
