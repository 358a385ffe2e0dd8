//! A change, read once: the lines of every file, and the tests and assertions in them.

use super::assertion::{Assertion, assertions};
use super::cases::{Case, cases, is_mark, owners};
use super::checks::Config;
use super::is_test_file;
use super::language::{Comments, Language, Line};
use crate::{ChangeKind, FilePatch};

/// One changed file.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) patch: &'a FilePatch,
    pub(super) language: Language,
    /// Tests are kept here: it is a file of tests, or the patch shows the mark of one.
    pub(super) has_tests: bool,
    /// Part of what says how the project is checked.
    pub(super) config: Option<Config>,
    pub(super) removed: Side<'a>,
    pub(super) added: Side<'a>,
}

/// The removed or the added lines of a file.
#[derive(Debug, Default)]
pub(super) struct Side<'a> {
    pub(super) lines: Vec<Line<'a>>,
    pub(super) cases: Vec<Case>,
    /// For each line the innermost test it belongs to.
    pub(super) owners: Vec<Option<usize>>,
    pub(super) assertions: Vec<Assertion>,
}

impl<'a> File<'a> {
    pub(super) fn read(patch: &'a FilePatch) -> Self {
        let language = Language::of(&patch.path);
        let comments = Comments::of(&patch.path);
        let config = Config::of(&patch.path);
        let is_read = language != Language::Other || config.is_some();
        let lines = |texts: &'a [String]| -> Vec<Line<'a>> {
            let texts = if is_read { texts } else { &[] };
            texts
                .iter()
                .map(|text| Line::read(text, language, comments))
                .collect()
        };
        let (removed, added) = (lines(&patch.removed), lines(&patch.added));
        let marks = |lines: &[Line<'_>]| {
            lines.iter().any(|line| is_mark(language, line))
                || (language == Language::C && !cases(language, lines).is_empty())
        };
        let has_tests = is_test_file(&patch.path) || marks(&removed) || marks(&added);
        Self {
            removed: Side::read(language, has_tests, removed),
            added: Side::read(language, has_tests, added),
            patch,
            language,
            has_tests,
            config,
        }
    }

    /// May there be tests in it? In Rust any file may hold some.
    pub(super) fn may_run_tests(&self) -> bool {
        self.has_tests || self.language == Language::Rust
    }

    /// May this removed line be one of a test inside a source file? Rust keeps tests so, and a
    /// patch does not always show their marks. They stand in a module, further to the right
    /// than the body of most functions.
    pub(super) fn is_inline_test(&self, removed: usize) -> bool {
        self.language == Language::Rust && self.removed.lines[removed].indent() > 4
    }

    pub(super) fn is_gone(&self) -> bool {
        self.patch.change == ChangeKind::Deleted
    }

    /// Its content is not lines of text.
    pub(super) fn is_binary(&self) -> bool {
        self.patch.cut && self.patch.removed.is_empty() && self.patch.added.is_empty()
    }
}

impl<'a> Side<'a> {
    fn read(language: Language, has_tests: bool, lines: Vec<Line<'a>>) -> Self {
        let cases = if has_tests {
            cases(language, &lines)
        } else {
            Vec::new()
        };
        Self {
            owners: owners(&lines, &cases),
            // Assertions that moved out of the tests are looked for everywhere.
            assertions: assertions(language, &lines),
            cases,
            lines,
        }
    }
}
