//! Which tests and assertions a change takes away, and which it makes prove less.
//!
//! An assertion that stands somewhere else, looks different or expects another value is still
//! there. The rest is matched in three passes, from the surest sign on: the same assertion
//! anywhere, another one about the same thing, and last any other in the same file that proves
//! as much. An assertion in a new test replaces none, unless it asks the same thing.

use super::assertion::{Assertion, Kind};
use super::cases::Case;
use super::change::{File, Side};
use super::language::squeeze;
use super::matching::{Matching, Use};
use super::newly::{Marked, newly};
use super::renamed::Candidates;
use super::strength::Strength;
use super::{Flag, FlagKind};
use std::collections::{HashMap, HashSet, VecDeque};

/// A place in a list of one side of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct At {
    pub(super) file: usize,
    pub(super) index: usize,
}

/// Flags for tests and assertions that are gone or weaker. Where whole tests may be taken away,
/// each of their assertions is looked at instead, in files that were there before.
pub(super) fn lost(files: &[File<'_>], tests_may_go: bool) -> Vec<Flag> {
    let keys = Keys::of(files);
    let fates = Fates::of(files, &keys);
    let mut flags = if tests_may_go {
        Vec::new()
    } else {
        fates.flags(files)
    };
    let is_said = |at: At, assertion: &Assertion| {
        let owner = files[at.file].removed.owners[assertion.line];
        !tests_may_go && fates.is_gone(at.file, owner)
    };
    let mut missing = missing(files, &keys, &fates);
    missing.retain(|missing| !is_said(missing.at, missing.assertion));
    let usable = |at: At| fates.usable(files, &keys, at);
    let mut unmatched = Matching::of(files, &missing, usable).flags(&missing);
    if tests_may_go {
        // A row of a table is what such a test asserts.
        for flag in unmatched
            .iter_mut()
            .filter(|flag| flag.kind == FlagKind::TestDeleted)
        {
            flag.kind = FlagKind::AssertionDeleted;
        }
    }
    flags.extend(unmatched);
    flags
}

/// A removed assertion that stands nowhere any more.
pub(super) struct Missing<'a> {
    pub(super) at: At,
    /// The file in which it would be.
    pub(super) scope: usize,
    pub(super) assertion: &'a Assertion,
}

fn missing<'a>(files: &'a [File<'_>], keys: &Keys<'_>, fates: &Fates) -> Vec<Missing<'a>> {
    let mut missing = Vec::new();
    for (index, file) in files.iter().enumerate() {
        for (place, assertion) in file.removed.assertions.iter().enumerate() {
            let proves = assertion.weighed.strength > Strength::Nothing;
            let in_test = file.has_tests || file.is_inline_test(assertion.line);
            if proves && in_test && !keys.lives_on(assertion) {
                let at = At {
                    file: index,
                    index: place,
                };
                let owner = file.removed.owners[assertion.line];
                missing.push(Missing {
                    at,
                    scope: fates.scope_of(index, owner),
                    assertion,
                });
            }
        }
    }
    missing
}

/// The assertions of both sides, by key.
struct Keys<'a> {
    removed: HashSet<&'a str>,
    added: HashSet<&'a str>,
    /// Those that stand where tests run.
    in_tests: HashSet<&'a str>,
}

impl<'a> Keys<'a> {
    fn of(files: &'a [File<'_>]) -> Self {
        fn keys<'s>(side: &'s Side<'_>) -> impl Iterator<Item = &'s str> {
            side.assertions
                .iter()
                .map(|assertion| assertion.key.as_str())
        }
        let running = files.iter().filter(|file| file.may_run_tests());
        Self {
            removed: files.iter().flat_map(|file| keys(&file.removed)).collect(),
            added: files.iter().flat_map(|file| keys(&file.added)).collect(),
            in_tests: running.flat_map(|file| keys(&file.added)).collect(),
        }
    }

    /// The same assertion is written somewhere by this change.
    fn lives_on(&self, assertion: &Assertion) -> bool {
        self.added.contains(assertion.key.as_str())
    }

    /// The same, and tests run there.
    fn runs_on(&self, assertion: &Assertion) -> bool {
        self.in_tests.contains(assertion.key.as_str())
    }

    /// The same assertion was somewhere before this change.
    fn is_old(&self, assertion: &Assertion) -> bool {
        self.removed.contains(assertion.key.as_str())
    }
}

/// What became of the tests.
#[derive(Default)]
struct Fates {
    /// Tests that are nowhere any more.
    gone: HashSet<At>,
    /// Files of tests that are gone with all that was in them.
    gone_files: HashSet<usize>,
    /// Tests that were not there before.
    new: HashSet<At>,
    /// Where tests are now that were in another file.
    moved: HashMap<At, usize>,
    /// Where the tests of a deleted file are now.
    home: HashMap<usize, usize>,
}

impl Fates {
    fn of(files: &[File<'_>], keys: &Keys<'_>) -> Self {
        let mut fates = Self::default();
        let mut lost = fates.match_names(files);
        fates.new.retain(|at| !is_made_of_old(files, keys, *at));
        lost.retain(|at| !is_mostly_elsewhere(files, keys, *at));
        fates.match_renamed(files, &mut lost);
        fates.gone.extend(lost);
        fates.find_gone_files(files);
        fates
    }

    /// Tests that have no test of the same name on the other side. What is left over of the
    /// removed ones is returned.
    fn match_names(&mut self, files: &[File<'_>]) -> Vec<At> {
        let mut added: HashMap<&str, VecDeque<At>> = HashMap::new();
        for (file, index, case) in all_cases(files, false) {
            if let Some(name) = &case.name {
                added.entry(name).or_default().push_back(At { file, index });
                self.new.insert(At { file, index });
            }
        }
        let mut lost = Vec::new();
        for (file, index, case) in all_cases(files, true) {
            let Some(name) = &case.name else { continue };
            let same = added
                .get_mut(name.as_str())
                .and_then(|places| take_near(places, file));
            match same {
                Some(at) => {
                    self.new.remove(&at);
                    self.moved.insert(At { file, index }, at.file);
                    if files[file].is_gone() {
                        self.home.entry(file).or_insert(at.file);
                    }
                }
                None => lost.push(At { file, index }),
            }
        }
        lost
    }

    /// Takes from the lost tests those that only have another name now.
    fn match_renamed(&mut self, files: &[File<'_>], lost: &mut Vec<At>) {
        let mut candidates = Candidates::of(files, &self.new);
        lost.retain(|at| {
            let scope = self.scope(at.file);
            let renamed = candidates.take_for(files, *at, scope);
            if let Some(now) = renamed {
                self.new.remove(&now);
                self.moved.insert(*at, now.file);
            }
            renamed.is_none()
        });
    }

    /// The file in which something that was in this one is looked for.
    fn scope(&self, file: usize) -> usize {
        self.home.get(&file).copied().unwrap_or(file)
    }

    /// The same for what was in this test of it.
    fn scope_of(&self, file: usize, owner: Option<usize>) -> usize {
        let moved = owner.and_then(|index| self.moved.get(&At { file, index }));
        moved.copied().unwrap_or_else(|| self.scope(file))
    }

    fn find_gone_files(&mut self, files: &[File<'_>]) {
        let lines = AddedLines::of(files);
        for (index, file) in files
            .iter()
            .enumerate()
            .filter(|(_, file)| is_gone_test(file))
        {
            let mut cases = (0..file.removed.cases.len()).map(|case| At {
                file: index,
                index: case,
            });
            let is_gone = if file.removed.cases.is_empty() {
                !lines.hold_most_of(file)
            } else {
                cases.all(|at| self.gone.contains(&at))
            };
            if is_gone {
                self.gone_files.insert(index);
            }
        }
    }

    fn flags(&self, files: &[File<'_>]) -> Vec<Flag> {
        let mut flags = Vec::new();
        for (index, file) in files.iter().enumerate() {
            if self.gone_files.contains(&index) {
                flags.push(Flag::new(FlagKind::TestDeleted, &file.patch.path, ""));
            }
        }
        let named = self
            .gone
            .iter()
            .map(|at| (at.file, files[at.file].removed.cases[at.index].line));
        let marks = lost_marks(files)
            .into_iter()
            .map(|mark| (mark.file, mark.line));
        let mut lines: Vec<(usize, usize)> = named.chain(marks).collect();
        lines.sort_unstable();
        for (index, line) in lines {
            let file = &files[index];
            if !self.gone_files.contains(&index) {
                let line = file.removed.lines[line].raw;
                flags.push(Flag::new(FlagKind::TestDeleted, &file.patch.path, line));
            }
        }
        flags
    }

    /// May this added assertion have taken the place of a removed one?
    fn usable(&self, files: &[File<'_>], keys: &Keys<'_>, at: At) -> Use {
        let side = &files[at.file].added;
        let assertion = &side.assertions[at.index];
        let is_new = |index| {
            self.new.contains(&At {
                file: at.file,
                index,
            })
        };
        if keys.is_old(assertion) {
            Use::Nothing
        } else if side.owners[assertion.line].is_some_and(is_new) {
            Use::SameThing
        } else {
            Use::Anything
        }
    }

    fn is_gone(&self, file: usize, owner: Option<usize>) -> bool {
        let is_gone = |index| self.gone.contains(&At { file, index });
        self.gone_files.contains(&file) || owner.is_some_and(is_gone)
    }
}

fn is_gone_test(file: &File<'_>) -> bool {
    file.is_gone() && super::is_test_file(&file.patch.path)
}

/// The tests of one side of all files.
fn all_cases<'a>(
    files: &'a [File<'_>],
    removed: bool,
) -> impl Iterator<Item = (usize, usize, &'a Case)> {
    files.iter().enumerate().flat_map(move |(file, read)| {
        let side = if removed { &read.removed } else { &read.added };
        side.cases
            .iter()
            .enumerate()
            .map(move |(index, case)| (file, index, case))
    })
}

/// The one in the same file, else the first.
fn take_near(places: &mut VecDeque<At>, file: usize) -> Option<At> {
    match places.front() {
        Some(first) if first.file != file => {
            let near = places.iter().take(64).position(|at| at.file == file);
            places.remove(near.unwrap_or(0))
        }
        _ => places.pop_front(),
    }
}

/// Marks of tests that were taken from above functions that stay.
fn lost_marks(files: &[File<'_>]) -> Vec<Marked> {
    let marks = |removed: bool| {
        let nameless = all_cases(files, removed).filter(|(_, _, case)| case.name.is_none());
        let marked = nameless.map(|(file, _, case)| {
            let read = &files[file];
            let side = if removed { &read.removed } else { &read.added };
            Marked::new(file, case.line, side.lines[case.line].raw)
        });
        marked.collect()
    };
    // What is new on the way back is lost on the way there.
    newly(marks(false), marks(true))
}

/// So many assertions are enough to know a test again.
const ENOUGH: usize = 64;

/// The assertions in one test.
fn assertions_of<'a>(
    assertions: &'a [Assertion],
    owners: &'a [Option<usize>],
    case: usize,
    line: usize,
) -> impl Iterator<Item = &'a Assertion> {
    let from = assertions.partition_point(|assertion| assertion.line < line);
    let is_owned = move |assertion: &&Assertion| owners[assertion.line] == Some(case);
    assertions[from..].iter().take_while(is_owned)
}

/// What a test that was there asserts.
pub(super) fn removed_of<'a>(files: &'a [File<'_>], at: At) -> impl Iterator<Item = &'a Assertion> {
    let side = &files[at.file].removed;
    let line = side.cases[at.index].from;
    let all = assertions_of(&side.assertions, &side.owners, at.index, line);
    all.take(ENOUGH)
        .filter(|a| a.kind == Kind::Plain && a.weighed.strength > Strength::Nothing)
}

/// What a test asserts that is there now.
pub(super) fn added_of<'a>(files: &'a [File<'_>], at: At) -> impl Iterator<Item = &'a Assertion> {
    let side = &files[at.file].added;
    let line = side.cases[at.index].from;
    assertions_of(&side.assertions, &side.owners, at.index, line).take(ENOUGH)
}

/// A test that takes over an assertion is an old test under another name.
fn is_made_of_old(files: &[File<'_>], keys: &Keys<'_>, at: At) -> bool {
    added_of(files, at).any(|assertion| keys.is_old(assertion))
}

/// Half of its assertions or more are written again in tests: it has another name, or is part of another
/// test now.
fn is_mostly_elsewhere(files: &[File<'_>], keys: &Keys<'_>, at: At) -> bool {
    let (mut all, mut living) = (0, 0);
    for assertion in removed_of(files, at) {
        all += 1;
        living += usize::from(keys.runs_on(assertion));
    }
    living > 0 && living * 2 >= all
}

/// The lines that the change adds anywhere, to find a moved file by.
struct AddedLines<'a> {
    lines: HashSet<(&'a str, String)>,
    binaries: HashSet<&'a str>,
}

impl<'a> AddedLines<'a> {
    /// Only read where a file of tests is gone.
    fn of(files: &'a [File<'_>]) -> Self {
        let mut added = Self {
            lines: HashSet::new(),
            binaries: HashSet::new(),
        };
        if !files.iter().any(is_gone_test) {
            return added;
        }
        for file in files.iter().filter(|file| !file.is_gone()) {
            let path = file.patch.path.as_str();
            if file.is_binary() {
                added.binaries.insert(name_of(path));
            }
            for line in file.patch.added.iter().filter(|line| says_something(line)) {
                added.lines.insert((extension_of(path), squeeze(line)));
            }
        }
        added
    }

    /// Is at least half of the file somewhere else now, in a file of its kind?
    fn hold_most_of(&self, file: &File<'_>) -> bool {
        let path = file.patch.path.as_str();
        if file.is_binary() {
            return self.binaries.contains(name_of(path));
        }
        let (mut all, mut living) = (0, 0);
        for line in file
            .patch
            .removed
            .iter()
            .filter(|line| says_something(line))
        {
            all += 1;
            living += usize::from(self.lines.contains(&(extension_of(path), squeeze(line))));
        }
        living * 2 >= all
    }
}

fn says_something(line: &str) -> bool {
    line.bytes().filter(u8::is_ascii_alphanumeric).count() > 2
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn extension_of(path: &str) -> &str {
    name_of(path).rsplit('.').next().unwrap_or_default()
}
