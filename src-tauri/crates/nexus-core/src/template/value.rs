//! What a field is filled with, read as its kind asks.

use super::FieldKind;
use crate::{CommandLine, Priority, ProjectPath};
use serde_json::{Value as Json, json};

/// What a field is filled with. An empty field has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Words(String),
    Lines(Vec<String>),
    Priority(Priority),
    Time { words: String, seconds: u64 },
}

impl Value {
    /// Reads what was given, `None` when it says nothing, or says what is wrong with it.
    pub(super) fn read(kind: &FieldKind, given: &str) -> Result<Option<Self>, String> {
        let given = given.trim();
        if given.is_empty() {
            return Ok(None);
        }
        if given.contains('\0') {
            return Err("it contains a NUL character: remove it".to_owned());
        }
        let value = match kind {
            FieldKind::Text => Self::Words(given.to_owned()),
            FieldKind::Lines => Self::Lines(lines(given)),
            FieldKind::Choice { options } => Self::Words(chosen(options, given)?),
            FieldKind::Folder => Self::Words(path(given)?),
            FieldKind::Files => {
                let lines = lines(given);
                let paths = lines.iter().map(|line| path(line));
                Self::Lines(paths.collect::<Result<_, _>>()?)
            }
            FieldKind::Priority => Self::Priority(priority(given)?),
            FieldKind::Duration => Self::Time {
                words: given.to_owned(),
                seconds: seconds(given).ok_or_else(|| {
                    format!("`{given}` is no time: write `90 min`, `2 hours` or `1 h 30 min`")
                })?,
            },
            FieldKind::Command => {
                CommandLine::parse(given).map_err(|bad| bad.to_string())?;
                Self::Words(given.to_owned())
            }
        };
        Ok(Some(value).filter(|value| value.length() > 0))
    }

    /// How often a line that names it is there; `None` for a field that has no lines.
    pub(super) fn times(&self) -> Option<usize> {
        match self {
            Self::Lines(lines) => Some(lines.len()),
            Self::Words(_) | Self::Priority(_) | Self::Time { .. } => None,
        }
    }

    /// What stands in the place of a hole, in this copy of the line.
    pub(super) fn at(&self, copy: usize) -> &str {
        match self {
            Self::Words(words) | Self::Time { words, .. } => words,
            Self::Lines(lines) => lines.get(copy).map_or("", String::as_str),
            Self::Priority(priority) => word(*priority),
        }
    }

    /// The most bytes that stand in the place of a hole.
    pub(super) fn longest(&self) -> usize {
        let copies = 0..self.times().unwrap_or(1);
        copies.map(|copy| self.at(copy).len()).max().unwrap_or(0)
    }

    /// All its bytes.
    pub(super) fn length(&self) -> usize {
        let copies = 0..self.times().unwrap_or(1);
        copies.map(|copy| self.at(copy).len()).sum()
    }

    pub(super) fn json(&self) -> Json {
        match self {
            Self::Words(words) | Self::Time { words, .. } => json!(words),
            Self::Lines(lines) => json!(lines),
            Self::Priority(priority) => json!(word(*priority)),
        }
    }
}

/// The lines that say something, without the marks of a list.
fn lines(given: &str) -> Vec<String> {
    let unmarked = |line: &str| {
        let line = line.trim();
        let item = ["- ", "* ", "• "]
            .iter()
            .find_map(|mark| line.strip_prefix(mark));
        item.unwrap_or(line).trim().to_owned()
    };
    let lines = given.lines().map(unmarked);
    lines.filter(|line| !line.is_empty()).collect()
}

fn chosen(options: &[String], given: &str) -> Result<String, String> {
    let found = options
        .iter()
        .find(|option| option.eq_ignore_ascii_case(given));
    let all = || format!("`{given}` is none of {}", options.join(", "));
    found.cloned().ok_or_else(all)
}

fn path(given: &str) -> Result<String, String> {
    let given = given.trim_end_matches('/');
    let given = given.strip_prefix("./").unwrap_or(given);
    let inside = ProjectPath::parse(given);
    let path = inside
        .map_err(|bad| format!("{bad}: name it from the project's folder on, such as src/auth"))?;
    Ok(path.as_str().to_owned())
}

const PRIORITIES: [Priority; 4] = [
    Priority::Critical,
    Priority::High,
    Priority::Normal,
    Priority::Low,
];

fn word(priority: Priority) -> &'static str {
    match priority {
        Priority::Critical => "critical",
        Priority::High => "high",
        Priority::Normal => "normal",
        Priority::Low => "low",
    }
}

fn priority(given: &str) -> Result<Priority, String> {
    let is_meant = |priority: &Priority| word(*priority).eq_ignore_ascii_case(given);
    let found = PRIORITIES.into_iter().find(is_meant);
    found.ok_or_else(|| format!("`{given}` is none of {}", PRIORITIES.map(word).join(", ")))
}

/// Numbers with their units, added up; `None` for anything else, and for no time at all.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |letter| !letter.is_ascii_digit());
        let (unit, after) = split_where(after.trim_start(), |letter| !letter.is_ascii_alphabetic());
        let unit = match unit.to_ascii_lowercase().as_str() {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 60 * 60,
            "d" | "day" | "days" => 24 * 60 * 60,
            _ => return None,
        };
        let part = number.parse::<u64>().ok()?.checked_mul(unit)?;
        total = total.checked_add(part)?;
        rest = after.trim_start_matches([' ', ',']);
    }
    (total > 0).then_some(total)
}

fn split_where(text: &str, ends: impl FnMut(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_numbers_with_units() {
        for (text, want) in [
            ("90 min", Some(5400)),
            ("2 hours", Some(7200)),
            ("1h30m", Some(5400)),
            ("1 Hour, 30 Minutes", Some(5400)),
            ("1 day", Some(86400)),
            ("45", None),
            ("two hours", None),
            ("1.5 h", None),
            ("0 min", None),
            ("-1 h", None),
            ("99999999999999999999 s", None),
            ("9999999999999999999 d", None),
            ("1 fortnight", None),
        ] {
            assert_eq!(seconds(text), want, "{text}");
        }
    }

    #[test]
    fn a_value_is_read_as_its_kind_asks() {
        let read = |kind: &FieldKind, given: &str| {
            let value = Value::read(kind, given)?;
            let lines = |value: Value| {
                let copies = 0..value.times().unwrap_or(1);
                copies
                    .map(|copy| value.at(copy).to_owned())
                    .collect::<Vec<_>>()
            };
            Ok::<_, String>(value.map(|value| lines(value).join("|")))
        };
        let choice = FieldKind::Choice {
            options: vec!["speed".to_owned(), "memory".to_owned()],
        };
        for (kind, given, want) in [
            (&FieldKind::Text, " a\n b ", Some("a\n b")),
            (&FieldKind::Text, " \n ", None),
            (
                &FieldKind::Lines,
                "- a\n\n  * b\r\n-5 %\n",
                Some("a|b|-5 %"),
            ),
            (&FieldKind::Lines, "-\n", Some("-")),
            (&choice, "Speed", Some("speed")),
            (&FieldKind::Folder, "./src/auth/", Some("src/auth")),
            (
                &FieldKind::Files,
                "a.py\nsub dir/b.py",
                Some("a.py|sub dir/b.py"),
            ),
            (&FieldKind::Priority, "HIGH", Some("high")),
            (&FieldKind::Duration, "2 hours", Some("2 hours")),
            (
                &FieldKind::Command,
                "make bench 'a b'",
                Some("make bench 'a b'"),
            ),
        ] {
            assert_eq!(
                read(kind, given),
                Ok(want.map(str::to_owned)),
                "{kind:?} {given:?}"
            );
        }
        for (kind, given) in [
            (&FieldKind::Text, "a\0b"),
            (&choice, "looks"),
            (&FieldKind::Folder, "/etc"),
            (&FieldKind::Folder, "../other"),
            (&FieldKind::Files, "a.py\n/etc/passwd"),
            (&FieldKind::Priority, "soon"),
            (&FieldKind::Duration, "soon"),
            (&FieldKind::Command, "make 'bench"),
        ] {
            assert!(read(kind, given).is_err(), "{kind:?} {given:?}");
        }
    }
}
