//! A record that the double of the agent program keeps of what it was told and did, which
//! nothing of NEXUS reads or writes.
//!
//! Each line is appended and synced before the double goes on, so that it is there however the
//! double ends. What the log of NEXUS says of a task is held against it.

use nexus_core::Role;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// Where the lines are kept.
#[derive(Clone, Debug)]
pub struct Ledger(PathBuf);

/// One line: who did what, in which turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    #[serde(flatten)]
    pub turn: LedgerTurn,
    pub did: Deed,
}

/// A turn as the double knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerTurn {
    /// Made up for this turn; `{{once}}` in the script's texts.
    pub once: Uuid,
    pub session: String,
    pub role: Option<Role>,
    /// The workspace, by which tasks are told apart.
    pub cwd: PathBuf,
    /// The words of the prompt that say step, round and attempt.
    pub step: String,
    pub pid: u32,
}

/// What the double was told or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It was prompted.
    Began,
    /// It changed this file.
    Wrote(String),
    /// It is about to call this tool of NEXUS.
    Calls(String),
    /// The call was answered, and not with an error.
    Answered(String),
    /// It is about to say that the turn is over.
    Ends,
}

impl Ledger {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Adds a line that stays.
    pub fn add(&self, turn: &LedgerTurn, did: Deed) -> io::Result<()> {
        let turn = turn.clone();
        let mut line = serde_json::to_vec(&Entry { turn, did })?;
        line.push(b'\n');
        let mut file = File::options().create(true).append(true).open(&self.0)?;
        file.write_all(&line)?;
        file.sync_all()
    }

    /// All lines, in order; none when nobody wrote yet.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        read(&self.0)
    }
}

fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    text.lines()
        .map(|line| serde_json::from_str(line).map_err(io::Error::from))
        .collect()
}

/// The line of a prompt that says which step it is, without the title of the task.
pub(crate) fn step_of(prompt: &str) -> &str {
    let line = prompt.lines().nth(1).unwrap_or_default();
    line.rfind("(round ").map_or(line, |at| &line[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::at(folder.path().join("ledger"));
        assert_eq!(ledger.entries().unwrap(), []);
        let turn = LedgerTurn {
            once: Uuid::from_u128(1),
            session: "s".to_owned(),
            role: Some(Role::Code),
            cwd: "/w".into(),
            step: step_of("You are Code\nTake this: Mend (a) (round 1, attempt 2).\n").to_owned(),
            pid: 7,
        };
        assert_eq!(turn.step, "(round 1, attempt 2).");
        ledger.add(&turn, Deed::Began).unwrap();
        ledger.add(&turn, Deed::Wrote("a".to_owned())).unwrap();
        let deeds: Vec<_> = ledger.entries().unwrap();
        assert_eq!(
            deeds,
            [Deed::Began, Deed::Wrote("a".to_owned())].map(|did| Entry {
                turn: turn.clone(),
                did
            })
        );
    }
}
