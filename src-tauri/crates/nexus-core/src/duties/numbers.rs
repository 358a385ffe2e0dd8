//! Numbers in a line, and what their place in it says about them.

use super::language::{is_one_of, is_word_letter, small_words};

/// A number of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) value: f64,
}

impl Number {
    /// A number in quotes of its own is the version of something.
    pub(super) fn is_quoted(&self, line: &str) -> bool {
        let quotes = ['"', '\''];
        line[..self.from].ends_with(quotes) && line[self.to..].starts_with(quotes)
    }

    /// How many seconds the unit behind it is; 1 where there is none.
    pub(super) fn unit(&self, line: &str) -> f64 {
        let rest = &line[self.to..];
        let length = rest
            .bytes()
            .take_while(|letter| is_word_letter(*letter))
            .count();
        match &rest[..length] {
            "ms" => 0.001,
            "m" | "min" | "mins" => 60.0,
            "h" => 3600.0,
            _ => 1.0,
        }
    }
}

/// The numbers of a line, in their order. Versions, and digits that are part of a word, are none.
pub(super) fn numbers(line: &str) -> Vec<Number> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            // The digits of a word belong to it.
            let word = bytes[at..]
                .iter()
                .take_while(|letter| is_word_letter(**letter))
                .count();
            at += word.max(1);
            continue;
        }
        let to = number_end(bytes, at);
        let digits = line[at..to].replace('_', "");
        let is_part = |letter: Option<&u8>| letter == Some(&b'.');
        let is_version = is_part(at.checked_sub(1).and_then(|before| bytes.get(before)))
            || (is_part(bytes.get(to)) && bytes.get(to + 1).is_some_and(u8::is_ascii_digit));
        if let (Ok(value), false) = (digits.parse(), is_version) {
            found.push(Number {
                from: at,
                to,
                value,
            });
        }
        at = to;
        while is_version_rest(bytes, at) && is_version {
            at += 1;
        }
    }
    found
}

fn is_version_rest(bytes: &[u8], at: usize) -> bool {
    bytes
        .get(at)
        .is_some_and(|letter| letter.is_ascii_digit() || *letter == b'.')
}

fn number_end(bytes: &[u8], from: usize) -> usize {
    let digits = |mut at: usize| {
        while bytes
            .get(at)
            .is_some_and(|b| b.is_ascii_digit() || *b == b'_')
        {
            at += 1;
        }
        at
    };
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut to = digits(from);
    if bytes.get(to) == Some(&b'.') && is_digit(to + 1) {
        to = digits(to + 1);
    }
    if matches!(bytes.get(to), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(to + 1), Some(b'+' | b'-')));
        if is_digit(to + 1 + sign) {
            to = digits(to + 1 + sign);
        }
    }
    to
}

/// A line without white space and with its numbers taken out.
pub(super) fn skeleton(line: &str, numbers: &[Number]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut from = 0;
    for number in numbers {
        text.extend(
            line[from..number.from]
                .chars()
                .filter(|c| !c.is_whitespace()),
        );
        text.push('#');
        from = number.to;
    }
    text.extend(line[from..].chars().filter(|c| !c.is_whitespace()));
    text
}

/// Where a number stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Something is asked to be less.
    Below,
    /// Something is asked to be more.
    Above,
    /// Behind a name: `timeout: 5`, `fail_under = 90`, `--max-warnings 0`.
    Named(String),
    /// An argument of a call, counted from 0.
    Argument {
        of: String,
        index: usize,
    },
    /// Behind the body of a test: `}, 5000)`.
    LastOfTest,
    Other,
}

/// Where the number that begins here stands.
pub(super) fn place(line: &str, at: usize) -> Place {
    let before = without_units(line[..at].trim_end_matches(['"', '\'', '\\', ' ', '\t']));
    let spaced = before.len() < at;
    let arrow = before.strip_suffix("=>");
    if let Some(named) = arrow.or_else(|| assigned(before)) {
        return name_at_end(named).map_or(Place::Other, Place::Named);
    }
    for (sign, place) in [
        ("->", Place::Other),
        ("==", Place::Other),
        ("!=", Place::Other),
        ("<=", Place::Below),
        (">=", Place::Above),
        ("<", Place::Below),
        (">", Place::Above),
        ("-lt", Place::Below),
        ("-le", Place::Below),
        ("-gt", Place::Above),
        ("-ge", Place::Above),
    ] {
        if before.ends_with(sign) {
            return place;
        }
    }
    if before.trim_start().starts_with('}') && before.trim_start()[1..].trim() == "," {
        return Place::LastOfTest;
    }
    if before.ends_with(['(', ',']) {
        return argument(before);
    }
    let named = name_at_end(before).filter(|_| spaced);
    named.map_or(Place::Other, Place::Named)
}

/// What stands in front of a single `=` or a `:`.
fn assigned(before: &str) -> Option<&str> {
    let compares = ["==", "!=", "<=", ">="]
        .iter()
        .any(|sign| before.ends_with(sign));
    before.strip_suffix(['=', ':']).filter(|_| !compares)
}

/// The name that ends a text, with the dashes of an option.
fn name_at_end(text: &str) -> Option<String> {
    let text = text.trim_end_matches(['"', '\'', '\\', ' ', '\t', '=', ':']);
    let is_part = |letter: &u8| is_word_letter(*letter) || *letter == b'-';
    let length = text.bytes().rev().take_while(is_part).count();
    let name = &text[text.len() - length..];
    name.bytes()
        .any(|letter| letter.is_ascii_alphabetic())
        .then(|| name.to_owned())
}

/// How far back the call is looked for that a number is an argument of, in bytes.
const LOOK_BACK: usize = 400;

/// The call around the end of a text, and how many of its arguments are behind us.
fn argument(before: &str) -> Place {
    let bytes = before.as_bytes();
    let (mut depth, mut index) = (0_u32, 0);
    for at in (bytes.len().saturating_sub(LOOK_BACK)..bytes.len()).rev() {
        match bytes[at] {
            b')' | b']' | b'}' => depth += 1,
            b'(' if depth == 0 => {
                let of = name_at_end(before[..at].trim_end_matches('!'));
                return of.map_or(Place::Other, |of| Place::Argument { of, index });
            }
            b'[' | b'{' if depth == 0 => return Place::Other,
            b'(' | b'[' | b'{' => depth -= 1,
            b',' if depth == 0 => index += 1,
            _ => {}
        }
    }
    Place::Other
}

/// Words that only say what kind of number follows.
const UNITS: &str = "\
    from of millis milliseconds millisecond ms secs sec seconds second duration timespan \
    time minutes minute mins hours hour some new nanos micros std core chrono float number";

/// A text without the units, brackets and factors that end it: `timeout = Duration::from_secs(`
/// is `timeout =`.
fn without_units(before: &str) -> &str {
    let mut text = before;
    // More than a few of them are no unit.
    for _ in 0..4 {
        let rest = text.trim_end();
        let Some(inner) = rest.strip_suffix(['(', '*']) else {
            return rest;
        };
        let inner = inner.trim_end();
        let is_part = |letter: &u8| is_word_letter(*letter) || *letter == b':' || *letter == b'.';
        let length = inner.bytes().rev().take_while(is_part).count();
        let (outer, unit) = inner.split_at(inner.len() - length);
        let is_number = unit.bytes().all(|b| b.is_ascii_digit() || b == b'_');
        let is_unit = small_words(unit).iter().all(|word| is_one_of(UNITS, word));
        if unit.is_empty() || !(is_unit || (is_number && rest.ends_with('*'))) {
            return rest;
        }
        text = outer;
    }
    text.trim_end()
}
