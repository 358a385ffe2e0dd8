//! What a recording is made of. The data files beside the samples have this form.

use super::Sample;
use nexus_core::{AgentCall, Role};
use serde::{Deserialize, Deserializer};
use std::{io, path::Path, time::Duration};

/// A recorded run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    aria: Scenes,
    code: Scenes,
    alpha: Scenes,
    beta: Scenes,
}

/// What one agent can play.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenes {
    /// Its turn in the story.
    play: Vec<Step>,
    /// Played when there is nothing left of the story to play.
    again: Vec<Step>,
    /// Played when the workspace is not, or cannot be made, as it was recorded.
    #[serde(default)]
    otherwise: Vec<Step>,
}

/// The part of one agent in the story.
#[derive(Clone, Debug)]
pub(super) struct Part {
    scenes: Scenes,
    /// What has to be in the workspace before it comes on.
    before: Vec<Alteration>,
    /// What it adds.
    own: Vec<Alteration>,
    /// Everything the whole team changes.
    all: Vec<Alteration>,
    role: Role,
}

/// One thing an agent does.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// Lets this many milliseconds pass.
    #[serde(deserialize_with = "milliseconds")]
    Wait(Duration),
    Thinking(String),
    Text(String),
    /// Reads this file of the workspace, as it is now.
    Read(String),
    /// A search. Its result is recorded.
    Grep(Grep),
    /// A command. It is not run; its output is recorded.
    Bash(Bash),
    Edit(Edit),
    Write(Write),
    Call(AgentCall),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grep {
    pub(super) pattern: String,
    pub(super) path: String,
    #[serde(deserialize_with = "lines")]
    pub(super) found: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bash {
    pub(super) command: String,
    pub(super) description: String,
    /// How many milliseconds it runs.
    #[serde(deserialize_with = "milliseconds")]
    pub(super) takes: Duration,
    #[serde(deserialize_with = "lines")]
    pub(super) output: String,
}

/// Replaces a piece of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    pub(super) path: String,
    #[serde(deserialize_with = "lines")]
    pub(super) old: String,
    #[serde(deserialize_with = "lines")]
    pub(super) new: String,
}

/// Writes a whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Write {
    pub(super) path: String,
    #[serde(deserialize_with = "lines")]
    pub(super) content: String,
}

/// A change of a file.
#[derive(Clone, Debug)]
pub(super) enum Alteration {
    Edit(Edit),
    Write(Write),
}

impl Recording {
    /// The recording of a sample. The error is a sentence; a test shows that there is none.
    pub(super) fn of(sample: Sample) -> Result<Self, String> {
        let text = match sample {
            Sample::Python => include_str!("../../practice/python.json"),
            Sample::Node => include_str!("../../practice/node.json"),
        };
        serde_json::from_str(text)
            .map_err(|error| format!("the recording of the practice team is damaged: {error}"))
    }

    /// The part of an agent; `None` for Prime, who is no agent.
    pub(super) fn part(self, role: Role) -> Option<Part> {
        let seat = Role::AGENTS.iter().position(|agent| *agent == role)?;
        let scenes = [self.aria, self.code, self.alpha, self.beta];
        let alterations: Vec<_> = scenes.iter().map(Scenes::alterations).collect();
        Some(Part {
            before: alterations.get(..seat)?.concat(),
            own: alterations.get(seat)?.clone(),
            all: alterations.concat(),
            scenes: scenes.into_iter().nth(seat)?,
            role,
        })
    }
}

impl Scenes {
    fn alterations(&self) -> Vec<Alteration> {
        self.play.iter().filter_map(Step::alteration).collect()
    }
}

impl Step {
    pub(super) fn alteration(&self) -> Option<Alteration> {
        match self {
            Self::Edit(edit) => Some(Alteration::Edit(edit.clone())),
            Self::Write(write) => Some(Alteration::Write(write.clone())),
            Self::Wait(_)
            | Self::Thinking(_)
            | Self::Text(_)
            | Self::Read(_)
            | Self::Grep(_)
            | Self::Bash(_)
            | Self::Call(_) => None,
        }
    }
}

impl Part {
    /// What the agent plays in this round, on the workspace as it is.
    pub(super) fn scene(&self, round: u32, workspace: &Path) -> &[Step] {
        let are_in = |alterations: &[Alteration]| alterations.iter().all(|a| a.is_in(workspace));
        let nothing_left = match self.role {
            // Aria comes first: when all is there before her, the story was played before.
            Role::Aria => are_in(&self.all),
            // A repeated first round is played again whole, which changes nothing twice.
            Role::Code | Role::Alpha | Role::Beta | Role::Prime => round > 1 && are_in(&self.own),
        };
        if !are_in(&self.before) {
            &self.scenes.otherwise
        } else if nothing_left {
            &self.scenes.again
        } else {
            &self.scenes.play
        }
    }

    /// What follows a change that was refused or could not be made.
    pub(super) fn otherwise(&self) -> &[Step] {
        &self.scenes.otherwise
    }
}

impl Alteration {
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Edit(edit) => &edit.path,
            Self::Write(write) => &write.path,
        }
    }

    /// Was it made in this workspace?
    fn is_in(&self, workspace: &Path) -> bool {
        let Ok(text) = std::fs::read_to_string(workspace.join(self.path())) else {
            return false;
        };
        match self {
            Self::Edit(edit) => text.contains(&edit.new) && !text.contains(&edit.old),
            Self::Write(write) => text == write.content,
        }
    }

    /// Makes it. One that was made before stays as it is.
    pub(super) fn make(&self, workspace: &Path) -> io::Result<()> {
        if self.is_in(workspace) {
            return Ok(());
        }
        let path = workspace.join(self.path());
        match self {
            Self::Edit(edit) => {
                let text = std::fs::read_to_string(&path)?;
                if !text.contains(&edit.old) {
                    let what = "the text to be replaced is not in it";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                std::fs::write(path, text.replacen(&edit.old, &edit.new, 1))
            }
            Self::Write(write) => {
                path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                std::fs::write(path, &write.content)
            }
        }
    }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}

/// Text as a list of its lines. Text that ends with a line end has an empty last line.
fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Vec::<String>::deserialize(deserializer).map(|lines| lines.join("\n"))
}
