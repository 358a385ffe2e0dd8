//! Reads `.nexus/config.toml`, in which a project says how it is checked and set up.

use crate::plain_file::read_head;
use nexus_core::{CommandLine, ProjectPath};
use serde::{Deserialize, Deserializer, de::Error};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

const FILE: &str = ".nexus/config.toml";
const FILE_LIMIT: u64 = 256 * 1024;
/// The longest time a project may give its checks: a day.
const LONGEST_TIMEOUT: u64 = 24 * 60 * 60;

/// What a project says about itself. What it does not say is detected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectConfig {
    /// The commands that check the project; an empty list means that it has none. `None` if
    /// they are to be detected.
    pub checks: Option<Vec<CommandLine>>,
    /// How long each check may take.
    pub check_timeout: Option<Duration>,
    pub setup: SetupCommand,
    /// What is copied into a workspace though it is ignored. `None` if it is to be detected.
    pub copy: Option<Vec<ProjectPath>>,
    /// What is left out of snapshots, as patterns of a `.gitignore` file.
    pub exclude: Vec<String>,
    /// Commands that agents may run, each with any further arguments.
    pub allow_commands: Vec<CommandLine>,
}

/// The command that prepares a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SetupCommand {
    /// The project does not say.
    #[default]
    Detect,
    /// The project says that it needs none, with an empty text.
    Nothing,
    Run(CommandLine),
}

/// Why a project's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read {}: {source}; make it readable for you", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("read {}: it is longer than {FILE_LIMIT} bytes; shorten it", path.display())]
    TooLong { path: PathBuf },
    #[error("understand {} at line {line}, `{text}`: {problem}", path.display())]
    Wrong {
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The line as it stands there.
        text: String,
        problem: String,
    },
}

impl ProjectConfig {
    /// Reads the configuration of the project in `folder`; all unsaid if it has none.
    pub fn read(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join(FILE);
        match read_head(&path, FILE_LIMIT) {
            Ok(None) => Ok(Self::default()),
            Ok(Some(head)) if head.truncated => Err(ConfigError::TooLong { path }),
            Ok(Some(head)) => Self::parse(&path, &head.text()),
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.get(..at).unwrap_or_default().matches('\n').count();
            ConfigError::Wrong {
                path: path.to_owned(),
                line: line + 1,
                text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
                problem: error.message().to_owned(),
            }
        })?;
        Ok(Self {
            checks: file.checks.commands.map(unwrap),
            check_timeout: file.checks.timeout_seconds,
            setup: file.setup.command,
            copy: file.setup.copy,
            exclude: file.workspace.exclude,
            allow_commands: unwrap(file.permissions.allow_commands),
        })
    }
}

fn unwrap(commands: Vec<CommandText>) -> Vec<CommandLine> {
    commands.into_iter().map(|c| c.0).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    checks: Checks,
    #[serde(default)]
    setup: Setup,
    #[serde(default)]
    workspace: Workspace,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checks {
    commands: Option<Vec<CommandText>>,
    #[serde(default, deserialize_with = "timeout")]
    timeout_seconds: Option<Duration>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setup {
    #[serde(default, deserialize_with = "setup_command")]
    command: SetupCommand,
    copy: Option<Vec<ProjectPath>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Workspace {
    #[serde(default)]
    exclude: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Permissions {
    #[serde(default)]
    allow_commands: Vec<CommandText>,
}

/// A command, written as one would type it.
struct CommandText(CommandLine);

impl<'de> Deserialize<'de> for CommandText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        CommandLine::parse(&text)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

fn setup_command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SetupCommand, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Ok(SetupCommand::Nothing);
    }
    let command = CommandLine::parse(&text).map_err(D::Error::custom)?;
    Ok(SetupCommand::Run(command))
}

fn timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    if (1..=LONGEST_TIMEOUT).contains(&seconds) {
        return Ok(Some(Duration::from_secs(seconds)));
    }
    let problem = format!("`timeout_seconds` is between 1 and {LONGEST_TIMEOUT}");
    Err(D::Error::custom(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ProjectConfig, ConfigError> {
        ProjectConfig::parse(Path::new(FILE), text)
    }

    #[test]
    fn everything_that_can_be_said_is_read() {
        let config = parse(
            r#"
            [checks]
            commands = ["cargo test -p 'my lib'", "npm test"]
            timeout_seconds = 900
            [setup]
            command = "npm ci"
            copy = ["node_modules", "data/models"]
            [workspace]
            exclude = ["recordings/", "*.iso"]
            [permissions]
            allow_commands = ["npm run lint"]
            "#,
        )
        .unwrap();
        assert_eq!(
            config,
            ProjectConfig {
                checks: Some(vec![
                    CommandLine::new("cargo", ["test", "-p", "my lib"]),
                    CommandLine::new("npm", ["test"]),
                ]),
                check_timeout: Some(Duration::from_secs(900)),
                setup: SetupCommand::Run(CommandLine::new("npm", ["ci"])),
                copy: Some(vec![
                    ProjectPath::parse("node_modules").unwrap(),
                    ProjectPath::parse("data/models").unwrap(),
                ]),
                exclude: vec!["recordings/".to_owned(), "*.iso".to_owned()],
                allow_commands: vec![CommandLine::new("npm", ["run", "lint"])],
            }
        );
        assert_eq!(parse("").unwrap(), ProjectConfig::default());
        let none = parse("checks.commands = []\nsetup.command = ''").unwrap();
        assert_eq!(none.checks, Some(Vec::new()));
        assert_eq!(none.setup, SetupCommand::Nothing);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let cases = [
            ("\n[chekcs]\n", 2, "unknown field `chekcs`"),
            ("[checks]\ncomands = []\n", 2, "unknown field `comands`"),
            ("[checks]\ncommands = [\"a 'b\"]\n", 2, "is not a command"),
            (
                "[checks]\n\ntimeout_seconds = 0\n",
                3,
                "between 1 and 86400",
            ),
            (
                "[checks]\ntimeout_seconds = \"x\"\n",
                2,
                "invalid type: string",
            ),
            (
                "[setup]\ncopy = [\"../x\"]\n",
                2,
                "not a path inside the project",
            ),
            ("[workspace]\nexclude = 3\n", 2, "invalid type: integer"),
            (
                "[permissions]\nallow_commands = [\"\"]\n",
                2,
                "is not a command",
            ),
            ("[checks\n", 1, "unclosed table"),
        ];
        for (text, line, problem) in cases {
            let error = parse(text).unwrap_err();
            let ConfigError::Wrong { line: at, .. } = &error else {
                panic!("{error}");
            };
            assert_eq!(*at, line, "{text:?}: {error}");
            let error = error.to_string();
            assert!(error.contains(problem), "{text:?}: {error}");
            assert!(error.contains(".nexus/config.toml"), "{error}");
        }
    }
}
