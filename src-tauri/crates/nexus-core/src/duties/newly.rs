//! Tells what a change brings from what it only moves about.

use super::change::{File, Side};
use super::language::{Line, squeeze};
use std::collections::HashMap;

/// A line of one side of a change that bears a mark.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    pub(super) file: usize,
    pub(super) line: usize,
    text: String,
}

impl Marked {
    pub(super) fn new(file: usize, line: usize, text: &str) -> Self {
        Self {
            file,
            line,
            text: squeeze(text),
        }
    }
}

/// The added lines that bear a mark which was not there before.
pub(super) fn new_marks(
    files: &[File<'_>],
    is_marked: impl Fn(&File<'_>, &Line<'_>) -> bool,
) -> Vec<Marked> {
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for (index, file) in files.iter().enumerate() {
        let marks = |side: &Side<'_>, found: &mut Vec<Marked>| {
            let lines = side.lines.iter().enumerate();
            let marked = lines.filter(|(_, line)| is_marked(file, line));
            found.extend(marked.map(|(at, line)| Marked::new(index, at, line.raw)));
        };
        marks(&file.removed, &mut removed);
        marks(&file.added, &mut added);
    }
    newly(removed, added)
}

/// The added marks that were not there before: no removed line of the same file has to make room
/// for them, and no line of the same text was removed from another.
pub(super) fn newly(removed: Vec<Marked>, added: Vec<Marked>) -> Vec<Marked> {
    let mut same: HashMap<(usize, String), Vec<Marked>> = HashMap::new();
    for marked in removed {
        same.entry((marked.file, marked.text.clone()))
            .or_default()
            .push(marked);
    }
    let unmatched: Vec<Marked> = added
        .into_iter()
        .filter(|marked| {
            let same = same.get_mut(&(marked.file, marked.text.clone()));
            same.and_then(Vec::pop).is_none()
        })
        .collect();
    let mut in_file: HashMap<usize, Vec<Marked>> = HashMap::new();
    let mut left: Vec<Marked> = same.into_values().flatten().collect();
    left.sort_by_key(|marked| std::cmp::Reverse((marked.file, marked.line)));
    for marked in left {
        in_file.entry(marked.file).or_default().push(marked);
    }
    let mut unmatched = unmatched;
    unmatched.retain(|marked| in_file.get_mut(&marked.file).and_then(Vec::pop).is_none());
    let mut anywhere: HashMap<String, usize> = HashMap::new();
    for marked in in_file.into_values().flatten() {
        *anywhere.entry(marked.text).or_default() += 1;
    }
    unmatched.retain(|marked| match anywhere.get_mut(&marked.text) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    unmatched
}
