//! Finds for removed assertions what took their place in the same file.

use super::assertion::{Assertion, Kind};
use super::change::File;
use super::language::{is_word_letter, squeeze};
use super::proof::{At, Missing};
use super::strength::{Strength, is_literal};
use super::{Flag, FlagKind};
use std::collections::{HashMap, HashSet, VecDeque};

/// The added assertions that may have taken a place.
pub(super) struct Matching<'a> {
    files: &'a [File<'a>],
    /// Those that have not been given to a removed one.
    free: HashSet<At>,
    /// Those of new tests.
    of_new: HashSet<At>,
    /// By what they are about.
    about: HashMap<Key<'a>, Shelf>,
    /// By what the thing they are about is a part of.
    about_part_of: HashMap<Key<'a>, Shelf>,
    /// Things that are compared with one value as a whole.
    exactly: HashSet<Key<'a>>,
    tables: Tables,
}

/// In which file, in what way, about what.
type Key<'a> = (usize, Kind, &'a str);

impl<'a> Matching<'a> {
    /// Reads the files in which something is missing.
    pub(super) fn of(
        files: &'a [File<'a>],
        missing: &[Missing<'_>],
        usable: impl Fn(At) -> Use,
    ) -> Self {
        let mut matching = Self {
            files,
            free: HashSet::new(),
            of_new: HashSet::new(),
            about: HashMap::new(),
            about_part_of: HashMap::new(),
            exactly: HashSet::new(),
            tables: Tables::default(),
        };
        let mut scopes: Vec<usize> = missing.iter().map(|missing| missing.scope).collect();
        scopes.dedup();
        scopes.sort_unstable();
        scopes.dedup();
        for scope in scopes {
            for (index, assertion) in files[scope].added.assertions.iter().enumerate() {
                let at = At { file: scope, index };
                match usable(at) {
                    Use::Anything => matching.take_in(at, assertion),
                    Use::SameThing => matching.take_in_of_new(at, assertion),
                    Use::Nothing => {}
                }
            }
            matching.tables.take_in_values(scope, &files[scope]);
        }
        matching
    }

    fn take_in(&mut self, at: At, assertion: &'a Assertion) {
        let strength = assertion.weighed.strength;
        self.free.insert(at);
        self.tables.take_in_form(at.file, assertion);
        for side in assertion.weighed.sides() {
            let key = |side| (at.file, assertion.kind, side);
            self.about.entry(key(side)).or_default().put(strength, at);
            for whole in wholes(side) {
                self.about_part_of
                    .entry(key(whole))
                    .or_default()
                    .put(strength, at);
            }
            if strength == Strength::Exact {
                self.exactly.insert(key(side));
            }
        }
    }

    /// A new test shows something new. Only where it asks for the very thing that a removed
    /// assertion asked for, it stands for that one.
    fn take_in_of_new(&mut self, at: At, assertion: &'a Assertion) {
        self.free.insert(at);
        self.of_new.insert(at);
        for side in assertion.weighed.sides().filter(|side| is_a_question(side)) {
            let shelf = self
                .about
                .entry((at.file, assertion.kind, side))
                .or_default();
            shelf.put(assertion.weighed.strength, at);
        }
    }

    /// Flags what nothing took the place of, or something that proves less.
    pub(super) fn flags(mut self, missing: &[Missing<'a>]) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut left = Vec::new();
        for one in missing {
            match self.about_the_same(one) {
                Found::AsStrong => {}
                Found::Weaker(strength) => flags.push(self.flag(weaker(strength), one)),
                Found::Nothing => left.push(one),
            }
        }
        let mut places = Places::of(self.files, self.free.difference(&self.of_new));
        for one in left {
            let kind = match one.assertion.kind {
                // Without the failure behind it a condition is nothing, and that has a flag.
                Kind::Guard => continue,
                Kind::Row => FlagKind::TestDeleted,
                Kind::Plain => FlagKind::AssertionDeleted,
            };
            if !self.tables.hold(one) && !places.take(one) {
                flags.push(self.flag(kind, one));
            }
        }
        flags
    }

    fn flag(&self, kind: FlagKind, missing: &Missing<'_>) -> Flag {
        let file = &self.files[missing.at.file];
        let line = file.removed.lines[missing.assertion.line].raw;
        let line = missing.assertion.joined.as_deref().unwrap_or(line);
        Flag::new(kind, &file.patch.path, line)
    }

    fn about_the_same(&mut self, missing: &Missing<'a>) -> Found {
        let weighed = &missing.assertion.weighed;
        let key = |side| (missing.scope, missing.assertion.kind, side);
        for side in weighed.sides() {
            for shelves in [&mut self.about, &mut self.about_part_of] {
                let shelf = shelves.get_mut(&key(side));
                let found = shelf.and_then(|s| s.take(weighed.strength, &mut self.free));
                if found.is_some() {
                    return Found::AsStrong;
                }
            }
        }
        let as_a_whole = |side| wholes(side).any(|whole| self.exactly.contains(&key(whole)));
        if weighed.sides().any(as_a_whole) {
            return Found::AsStrong;
        }
        for side in weighed.sides() {
            let shelf = self.about.get_mut(&key(side));
            let found = shelf.and_then(|s| s.take(Strength::Nothing, &mut self.free));
            if let Some(strength) = found {
                return Found::Weaker(strength);
            }
        }
        Found::Nothing
    }
}

/// What an added assertion may have taken the place of.
pub(super) enum Use {
    Anything,
    /// Only of one about the same.
    SameThing,
    /// It was there before.
    Nothing,
}

/// A call with arguments: `add(1,2)` is told from others by them, `result` is not.
fn is_a_question(side: &str) -> bool {
    let open = side.find('(');
    open.is_some_and(|at| at > 0 && !side[at + 1..].starts_with(')'))
}

enum Found {
    AsStrong,
    Weaker(Strength),
    Nothing,
}

/// Something is still compared, or nothing that would say anything.
fn weaker(strength: Strength) -> FlagKind {
    match strength {
        Strength::Loose => FlagKind::ThresholdLoosened,
        Strength::Nothing | Strength::Exists | Strength::Truth | Strength::Exact => {
            FlagKind::AssertionDeleted
        }
    }
}

/// Assertions by how much they prove.
#[derive(Default)]
struct Shelf([VecDeque<At>; 5]);

impl Shelf {
    fn put(&mut self, strength: Strength, at: At) {
        self.0[strength as usize].push_back(at);
    }

    /// Takes the first one that is free and proves no less than this.
    fn take(&mut self, least: Strength, free: &mut HashSet<At>) -> Option<Strength> {
        let all = [
            Strength::Nothing,
            Strength::Exists,
            Strength::Truth,
            Strength::Loose,
            Strength::Exact,
        ];
        all.into_iter()
            .filter(|strength| *strength >= least)
            .find(|strength| {
                let row = &mut self.0[*strength as usize];
                std::iter::from_fn(|| row.pop_front()).any(|at| free.remove(&at))
            })
    }
}

/// How many added assertions of each strength are left in a file, whatever they are about.
struct Places(HashMap<(usize, Kind, Strength), usize>);

impl Places {
    fn of<'f>(files: &[File<'_>], free: impl Iterator<Item = &'f At>) -> Self {
        let mut places = HashMap::new();
        for at in free {
            let assertion = &files[at.file].added.assertions[at.index];
            let key = (at.file, assertion.kind, assertion.weighed.strength.apart());
            *places.entry(key).or_default() += 1;
        }
        Self(places)
    }

    /// Takes one that proves no less; of several the one that proves least.
    fn take(&mut self, missing: &Missing<'_>) -> bool {
        let least = missing.assertion.weighed.strength.apart();
        let strengths = [Strength::Exists, Strength::Loose, Strength::Exact];
        strengths
            .into_iter()
            .filter(|strength| *strength >= least)
            .any(|strength| {
                match self
                    .0
                    .get_mut(&(missing.scope, missing.assertion.kind, strength))
                {
                    Some(left) if *left > 0 => {
                        *left -= 1;
                        true
                    }
                    _ => false,
                }
            })
    }
}

/// Several assertions that became one over the rows of a table: the values are in the rows, and
/// the assertion names none.
#[derive(Default)]
struct Tables {
    files: HashSet<usize>,
    forms: HashSet<(usize, String)>,
    values: HashSet<(usize, String)>,
}

impl Tables {
    fn take_in_form(&mut self, file: usize, assertion: &Assertion) {
        let form = Form::of(&assertion.key);
        if form.values.is_empty() {
            self.files.insert(file);
            self.forms.insert((file, form.text));
        }
    }

    fn take_in_values(&mut self, index: usize, file: &File<'_>) {
        if self.files.contains(&index) {
            for line in &file.added.lines {
                let values = Form::of(&squeeze(&line.code)).values;
                self.values
                    .extend(values.into_iter().map(|value| (index, value)));
            }
        }
    }

    fn hold(&self, missing: &Missing<'_>) -> bool {
        let form = Form::of(&missing.assertion.key);
        let mut values = form.values.into_iter().peekable();
        values.peek().is_some()
            && self.forms.contains(&(missing.scope, form.text))
            && values.all(|value| self.values.contains(&(missing.scope, value)))
    }
}

/// A text with `_` in place of its names and values, except for names of what is called.
struct Form {
    text: String,
    values: Vec<String>,
}

impl Form {
    fn of(squeezed: &str) -> Self {
        let mut form = Self {
            text: String::new(),
            values: Vec::new(),
        };
        let mut rest = squeezed;
        while let Some(first) = rest.chars().next() {
            let length = if first == '"' {
                rest[1..].find('"').map_or(rest.len(), |close| close + 2)
            } else {
                let word = rest
                    .bytes()
                    .take_while(|b| is_word_letter(*b) || *b == b'.');
                word.count().max(first.len_utf8())
            };
            let (piece, after) = rest.split_at(length);
            form.push(piece, after);
            rest = after;
        }
        form
    }

    fn push(&mut self, piece: &str, after: &str) {
        let is_word = piece.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if is_literal(piece) {
            self.values.push(piece.to_owned());
            self.text.push('_');
        } else if is_word && !after.starts_with(['(', '!']) {
            self.text.push('_');
        } else if piece != "&" {
            self.text.push_str(piece);
        }
    }
}

/// What a thing is a part of: `user` and `user.name` for `user.name.first`.
fn wholes(side: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let places = side.bytes().enumerate().filter_map(move |(at, letter)| {
        let is_outside = depth == 0 && at > 0;
        match letter {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (is_outside && matches!(letter, b'.' | b'[' | b'?')).then_some(at)
    });
    places.take(8).map(|at| &side[..at])
}
