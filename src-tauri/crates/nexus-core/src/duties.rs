//! Who may change what, and whether a change makes tests or checks prove less.
//!
//! Alpha owns the tests. A change is read line by line, and what it does to the proof of the
//! work is found without asking a model, which the change itself could talk round.
//! This file owns the rules for each role and what is said about a breach; the files below
//! it know tests, assertions and checks of the usual languages. Patches show changed lines
//! alone, so everything here is a sign, and somebody looks at it. Where a patch is cut, what
//! was kept is read.

mod assertion;
mod cases;
mod change;
mod checks;
mod language;
mod matching;
mod newly;
mod numbers;
mod paths;
mod proof;
mod renamed;
mod skips;
mod strength;
#[cfg(test)]
mod tests;
mod thresholds;

pub use paths::{covers, is_test_file, overlap};

use crate::{FilePatch, ProjectPath, Role, Writes};
use change::File;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Something in a change that its author should not have done, or that somebody has to look at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Flag {
    pub kind: FlagKind,
    pub path: ProjectPath,
    /// The line that shows it, cut at 200 bytes; empty where it is about the whole file. An
    /// assertion that only begins on its first line is shown with those that follow.
    pub line: String,
}

impl Flag {
    /// Longest line that is kept, in bytes.
    pub const LINE_LIMIT: usize = 200;

    fn new(kind: FlagKind, path: &ProjectPath, line: &str) -> Self {
        let line = line.trim();
        let end = line.floor_char_boundary(Self::LINE_LIMIT);
        Self {
            kind,
            path: path.clone(),
            line: line[..end].to_owned(),
        }
    }
}

/// What a flag is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// Code changed a file that Alpha wrote or last changed in this task.
    TestsOfAnother,
    /// A test file, a test or a row of its table is gone, and none of the same name came.
    TestDeleted,
    /// An assertion is gone, or says nothing any more.
    AssertionDeleted,
    /// A test is kept from running, or is expected to fail.
    SkipAdded,
    /// A limit or a comparison lets more pass than before.
    ThresholdLoosened,
    /// What checks the project checks less, or cannot fail any more.
    CheckWeakened,
    /// A file outside of the paths that the plan gave the step; for a role that changes
    /// nothing, any file.
    OutsidePaths,
    /// The marks of a conflict were left in a file.
    ConflictMarks,
}

impl FlagKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::TestsOfAnother,
        Self::TestDeleted,
        Self::AssertionDeleted,
        Self::SkipAdded,
        Self::ThresholdLoosened,
        Self::CheckWeakened,
        Self::OutsidePaths,
        Self::ConflictMarks,
    ];

    /// The word used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::TestsOfAnother => "tests_of_another",
            Self::TestDeleted => "test_deleted",
            Self::AssertionDeleted => "assertion_deleted",
            Self::SkipAdded => "skip_added",
            Self::ThresholdLoosened => "threshold_loosened",
            Self::CheckWeakened => "check_weakened",
            Self::OutsidePaths => "outside_paths",
            Self::ConflictMarks => "conflict_marks",
        }
    }

    /// A sentence for the person.
    pub fn describe(self) -> &'static str {
        match self {
            Self::TestsOfAnother => "Code changes tests that Alpha wrote.",
            Self::TestDeleted => "A test is deleted, and no other takes its place.",
            Self::AssertionDeleted => "A test asserts less than it did.",
            Self::SkipAdded => "A test is kept from running or is expected to fail.",
            Self::ThresholdLoosened => "A limit or a comparison lets more pass than it did.",
            Self::CheckWeakened => "The project's checks check less, or cannot fail any more.",
            Self::OutsidePaths => "A file is changed that this step was not to touch.",
            Self::ConflictMarks => "The marks of a conflict are left in a file.",
        }
    }

    /// Does it mean that tests or checks prove less than before?
    pub fn weakens_proof(self) -> bool {
        match self {
            Self::TestDeleted
            | Self::AssertionDeleted
            | Self::SkipAdded
            | Self::ThresholdLoosened
            | Self::CheckWeakened => true,
            Self::TestsOfAnother | Self::OutsidePaths | Self::ConflictMarks => false,
        }
    }
}

/// What one step changed, and who took it.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    pub role: Role,
    /// What the plan declared for the step; empty where it may touch anything.
    pub paths: &'a [String],
    /// Files that Alpha wrote in this task.
    pub alphas: &'a BTreeSet<ProjectPath>,
    pub patches: &'a [FilePatch],
}

/// Most flags of one kind for one file: enough to see what it is about.
const MOST_OF_A_KIND: usize = 20;

/// Everything in this work that somebody has to look at, ordered by path.
///
/// The same work gives the same flags. Takes time in proportion to the lines of the patches.
pub fn review(work: &Work<'_>) -> Vec<Flag> {
    let mut flags = match work.role.writes() {
        Writes::Nothing => work.patches.iter().map(outside).collect(),
        Writes::Workspace => review_writer(work),
    };
    flags.sort_by(|a, b| (&a.path, a.kind).cmp(&(&b.path, b.kind)));
    let mut seen = HashSet::new();
    flags.retain(|flag| seen.insert(flag.clone()));
    let mut kept: HashMap<(ProjectPath, FlagKind), usize> = HashMap::new();
    flags.retain(|flag| {
        let count = kept.entry((flag.path.clone(), flag.kind)).or_default();
        *count += 1;
        *count <= MOST_OF_A_KIND
    });
    flags
}

fn outside(patch: &FilePatch) -> Flag {
    Flag::new(FlagKind::OutsidePaths, &patch.path, "")
}

fn review_writer(work: &Work<'_>) -> Vec<Flag> {
    let is_alpha = work.role == Role::Alpha;
    let files: Vec<File<'_>> = work.patches.iter().map(File::read).collect();
    let mut flags = misplaced(work);
    flags.extend(conflict_marks(work.patches));
    flags.extend(checks::weakened(&files));
    flags.extend(thresholds::loosened(&files));
    flags.extend(skips::added(&files));
    // Which tests there are is Alpha's to decide; what the old ones showed is not.
    flags.extend(proof::lost(&files, is_alpha));
    flags
}

/// Files that were not this step's to change.
fn misplaced(work: &Work<'_>) -> Vec<Flag> {
    let mut flags = Vec::new();
    for patch in work.patches {
        let is_declared = work
            .paths
            .iter()
            .any(|declared| covers(declared, &patch.path));
        if !work.paths.is_empty() && !is_declared {
            flags.push(outside(patch));
        }
        if work.role != Role::Alpha && work.alphas.contains(&patch.path) {
            flags.push(Flag::new(FlagKind::TestsOfAnother, &patch.path, ""));
        }
    }
    flags
}

/// Marks of a conflict that the change leaves in a file, unless they only moved.
fn conflict_marks(patches: &[FilePatch]) -> Vec<Flag> {
    let is_mark = |line: &&String| {
        let rest = line
            .strip_prefix("<<<<<<<")
            .or_else(|| line.strip_prefix(">>>>>>>"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let old: BTreeSet<&String> = patches
        .iter()
        .flat_map(|p| &p.removed)
        .filter(is_mark)
        .collect();
    let mut flags = Vec::new();
    for patch in patches {
        for line in patch
            .added
            .iter()
            .filter(is_mark)
            .filter(|line| !old.contains(line))
        {
            flags.push(Flag::new(FlagKind::ConflictMarks, &patch.path, line));
        }
    }
    flags
}
