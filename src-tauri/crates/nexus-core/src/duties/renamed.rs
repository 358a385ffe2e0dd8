//! Finds lost tests again that only have another name now.

use super::cases::Case;
use super::change::File;
use super::language::small_words;
use super::proof::{At, added_of, removed_of};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};

/// New tests that may be lost ones under another name.
pub(super) struct Candidates {
    /// In each file, and without one in all of them.
    by_word: HashMap<(Option<usize>, String), Vec<At>>,
    /// Without a body in the patch: only the line with the name was changed.
    bare: HashMap<usize, VecDeque<At>>,
    taken: HashSet<At>,
}

/// A word that so many names have tells nothing about one of them.
const COMMON: usize = 16;

impl Candidates {
    pub(super) fn of(files: &[File<'_>], new: &HashSet<At>) -> Self {
        let mut candidates = Self {
            by_word: HashMap::new(),
            bare: HashMap::new(),
            taken: HashSet::new(),
        };
        let mut new: Vec<At> = new.iter().copied().collect();
        new.sort();
        for at in new {
            candidates.take_in(files, at);
        }
        candidates
    }

    fn take_in(&mut self, files: &[File<'_>], at: At) {
        for word in name_words(&files[at.file].added.cases[at.index]) {
            for file in [Some(at.file), None] {
                let places = self.by_word.entry((file, word.clone())).or_default();
                places.push(at);
            }
        }
        if added_of(files, at).next().is_none() {
            self.bare.entry(at.file).or_default().push_back(at);
        }
    }

    /// What this lost test is called now, and where. It is looked for in one file first.
    pub(super) fn take_for(&mut self, files: &[File<'_>], lost: At, scope: usize) -> Option<At> {
        let found = self
            .similar(files, lost, scope)
            .or_else(|| self.next_bare(files, lost, scope))
            .or_else(|| self.longer_anywhere(files, lost))?;
        self.taken.insert(found);
        Some(found)
    }

    /// A test with nearly the same words in its name, about the same things.
    fn similar(&self, files: &[File<'_>], lost: At, scope: usize) -> Option<At> {
        let words = name_words(&files[lost.file].removed.cases[lost.index]);
        let (at, same) = self.nearest(&words, Some(scope))?;
        let others = name_words(&files[at.file].added.cases[at.index]).len();
        let is_similar = same * 3 > words.len().min(others) * 2;
        (is_similar && is_about_the_same(files, lost, at)).then_some(at)
    }

    /// A test in any file that has all the words of this name, and some more.
    fn longer_anywhere(&self, files: &[File<'_>], lost: At) -> Option<At> {
        let words = name_words(&files[lost.file].removed.cases[lost.index]);
        let (at, same) = self.nearest(&words, None)?;
        let is_longer = same == words.len() && words.len() > 2;
        (is_longer && is_about_the_same(files, lost, at)).then_some(at)
    }

    /// The test with the most words of these, and how many.
    fn nearest(&self, words: &[String], scope: Option<usize>) -> Option<(At, usize)> {
        let mut votes: HashMap<At, usize> = HashMap::new();
        for word in words {
            let places = self.by_word.get(&(scope, word.clone()));
            let telling = places.filter(|places| places.len() <= COMMON);
            for at in telling.into_iter().flatten() {
                *votes.entry(*at).or_default() += 1;
            }
        }
        let free = votes.into_iter().filter(|(at, _)| !self.taken.contains(at));
        free.max_by_key(|(at, same)| (*same, Reverse(*at)))
    }

    fn next_bare(&mut self, files: &[File<'_>], lost: At, scope: usize) -> Option<At> {
        let is_bare = removed_of(files, lost).next().is_none();
        let places = self.bare.get_mut(&scope).filter(|_| is_bare)?;
        std::iter::from_fn(|| places.pop_front()).find(|at| !self.taken.contains(at))
    }
}

/// The words of a test's name that tell it from others.
fn name_words(case: &Case) -> Vec<String> {
    let mut words = small_words(case.name.as_deref().unwrap_or_default());
    let fillers = ["test", "tests", "it", "should", "the", "a", "an"];
    words.retain(|word| !fillers.contains(&word.as_str()));
    words.sort();
    words.dedup();
    words
}

/// One of the two asserts nothing that can be seen, or both assert something of one thing.
fn is_about_the_same(files: &[File<'_>], lost: At, new: At) -> bool {
    let of_new: HashSet<&str> = added_of(files, new)
        .flat_map(|assertion| assertion.weighed.sides())
        .collect();
    let mut of_lost = removed_of(files, lost).peekable();
    let nothing_seen = of_lost.peek().is_none() || added_of(files, new).next().is_none();
    nothing_seen
        || of_lost.any(|assertion| {
            let mut sides = assertion.weighed.sides();
            sides.any(|side| of_new.contains(side))
        })
}
