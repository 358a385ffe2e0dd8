//! Checks that NEXUS ran itself, and what they prove.

use crate::{Timestamp, TreeId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A program with its arguments, started without a shell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandLine {
    pub program: String,
    pub args: Vec<String>,
}

/// A command text that does not split into words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a command: close its quotes and name a program")]
pub struct BadCommand(String);

impl CommandLine {
    /// A program and its arguments.
    pub fn new<'a>(program: &str, args: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            program: program.to_owned(),
            args: args.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Splits `text` into words as a POSIX shell would, without expanding anything.
    pub fn parse(text: &str) -> Result<Self, BadCommand> {
        let mut words = shell_words::split(text)
            .map_err(|_| BadCommand(text.to_owned()))?
            .into_iter();
        let program = words.next().ok_or_else(|| BadCommand(text.to_owned()))?;
        Ok(Self {
            program,
            args: words.collect(),
        })
    }

    /// Program and arguments in order.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.program.as_str()).chain(self.args.iter().map(String::as_str))
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shell_words::join(self.words()))
    }
}

/// When in a task's life the checks ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "when")]
pub enum CheckTime {
    /// On the untouched copy, before Code starts.
    Baseline,
    /// After the work of this round.
    After { round: u32 },
}

/// How a command that NEXUS ran ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum CommandEnd {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// Ran longer than `seconds` and was stopped with everything it had started.
    TimedOut {
        seconds: u64,
    },
    /// The program does not exist or cannot be run.
    CouldNotStart,
}

impl CommandEnd {
    /// Did it exit with 0?
    pub fn is_success(self) -> bool {
        self == Self::Exited { code: 0 }
    }

    /// The exit code as a shell would give it: 128 + n for signal n, 124 for a timeout,
    /// 127 for a program that could not be started.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited { code } => code,
            Self::Signalled { signal } => 128 + signal,
            Self::TimedOut { .. } => 124,
            Self::CouldNotStart => 127,
        }
    }
}

/// One check that NEXUS ran: the only thing that proves anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub command: CommandLine,
    pub end: CommandEnd,
    /// SHA-256 over everything it printed, stdout and stderr as they came.
    pub output_sha256: String,
    /// The end of what it printed, at most [`Evidence::TAIL_LIMIT`] bytes.
    pub output_tail: String,
    /// The content it ran on.
    pub tree: TreeId,
    pub started_at: Timestamp,
    pub duration_ms: u64,
}

impl Evidence {
    /// How much of a check's output is kept with the evidence, in bytes. The whole output is
    /// in a file beside the transcripts.
    pub const TAIL_LIMIT: usize = 8 * 1024;
}

/// All checks of one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    pub time: CheckTime,
    pub tree: TreeId,
    /// Empty when the project has no checks.
    pub evidence: Vec<Evidence>,
}

impl CheckRun {
    /// Did every check succeed? True of no checks at all, so ask [`Standing`] first.
    pub fn is_green(&self) -> bool {
        self.evidence.iter().all(|e| e.end.is_success())
    }
}

/// What the checks say about the work, told apart from what was so before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The project has no checks; nothing is proved.
    NoChecks,
    /// Every check succeeds.
    Green,
    /// Something fails now that did not fail on the untouched copy.
    BrokenByUs,
    /// What fails now failed on the untouched copy already.
    RedBefore,
}

impl Standing {
    /// Compares the checks after the work with those before it, command by command.
    pub fn of(baseline: Option<&CheckRun>, after: &CheckRun) -> Self {
        if after.evidence.is_empty() {
            return Self::NoChecks;
        }
        if after.is_green() {
            return Self::Green;
        }
        let failed_before = |command: &CommandLine| {
            baseline.is_some_and(|run| {
                let same = |e: &&Evidence| e.command == *command;
                run.evidence
                    .iter()
                    .find(same)
                    .is_some_and(|e| !e.end.is_success())
            })
        };
        let mut red = after.evidence.iter().filter(|e| !e.end.is_success());
        if red.all(|e| failed_before(&e.command)) {
            Self::RedBefore
        } else {
            Self::BrokenByUs
        }
    }

    /// May the change be applied without the person overriding the checks?
    pub fn allows_accept(self) -> bool {
        matches!(self, Self::NoChecks | Self::Green)
    }

    /// The standing in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NoChecks => "no checks: the project has none that NEXUS could find",
            Self::Green => "checks green",
            Self::BrokenByUs => "checks red, broken by this change",
            Self::RedBefore => "checks red before, red after",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(results: &[(&str, i32)]) -> CheckRun {
        let tree = TreeId::parse(&"a".repeat(40)).unwrap();
        let evidence = results.iter().map(|(command, code)| Evidence {
            command: CommandLine::parse(command).unwrap(),
            end: CommandEnd::Exited { code: *code },
            output_sha256: String::new(),
            output_tail: String::new(),
            tree: tree.clone(),
            started_at: Timestamp::from_millis(0),
            duration_ms: 1,
        });
        CheckRun {
            time: CheckTime::Baseline,
            evidence: evidence.collect(),
            tree: tree.clone(),
        }
    }

    #[test]
    fn red_before_is_told_apart_from_broken_by_us() {
        let cases = [
            (
                vec![("make test", 0)],
                vec![("make test", 0)],
                Standing::Green,
            ),
            (
                vec![("make test", 0)],
                vec![("make test", 2)],
                Standing::BrokenByUs,
            ),
            (
                vec![("make test", 1)],
                vec![("make test", 2)],
                Standing::RedBefore,
            ),
            (
                vec![("make test", 1)],
                vec![("make test", 0)],
                Standing::Green,
            ),
            (
                vec![("a", 1), ("b", 0)],
                vec![("a", 1), ("b", 1)],
                Standing::BrokenByUs,
            ),
            (
                vec![("a", 1)],
                vec![("a", 1), ("b", 1)],
                Standing::BrokenByUs,
            ),
            (vec![], vec![], Standing::NoChecks),
        ];
        for (before, after, want) in cases {
            assert_eq!(
                Standing::of(Some(&run(&before)), &run(&after)),
                want,
                "{before:?} {after:?}"
            );
        }
        assert_eq!(Standing::of(None, &run(&[("a", 1)])), Standing::BrokenByUs);
    }

    #[test]
    fn a_command_is_words_and_never_a_shell_line() {
        let command = CommandLine::parse("cargo test -- 'a b' $HOME").unwrap();
        assert_eq!(command.args, ["test", "--", "a b", "$HOME"]);
        assert!(CommandLine::parse("").is_err());
        assert!(CommandLine::parse("echo 'open").is_err());
    }
}
