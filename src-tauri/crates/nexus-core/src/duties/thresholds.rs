//! Limits that a change moves to where more passes: coverage that is asked for, tolerances,
//! timeouts, retries.
//!
//! In tests a number is compared with the one on the removed line that is otherwise the same.
//! In configuration it is compared by its name, and a limit that is gone is a limit loosened.

use super::change::{File, Side};
use super::checks::Config;
use super::language::{Language, Line, small_words, squeeze};
use super::newly::{Marked, new_marks};
use super::numbers::{Number, Place, numbers, place, skeleton};
use super::{Flag, FlagKind};
use crate::ChangeKind;
use std::collections::{HashMap, HashSet, VecDeque};

/// Flags for limits that let more pass than before.
pub(super) fn loosened(files: &[File<'_>]) -> Vec<Flag> {
    let mut flags = Vec::new();
    let named: HashSet<String> = files
        .iter()
        .flat_map(|file| limits(file, &file.added))
        .map(|l| l.name)
        .collect();
    for file in files {
        if file.config.is_some() {
            flags.extend(in_config(file, &named));
        }
        if file.may_run_tests() {
            flags.extend(in_tests(file));
        }
    }
    flags.extend(left_out_of_coverage(files));
    flags.extend(retried(files));
    flags
}

fn flag(file: &File<'_>, side: &Side<'_>, line: usize) -> Flag {
    Flag::new(
        FlagKind::ThresholdLoosened,
        &file.patch.path,
        side.lines[line].raw,
    )
}

/// In which direction more passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looser {
    Up,
    Down,
}

impl Looser {
    fn is(self, before: f64, now: f64) -> bool {
        match self {
            Self::Up => now > before,
            Self::Down => now < before,
        }
    }
}

/// Numbers that changed on lines that are otherwise the same.
fn in_tests(file: &File<'_>) -> Vec<Flag> {
    let mut before: HashMap<String, VecDeque<(usize, Vec<Number>)>> = HashMap::new();
    let of_interest = |side: &Side<'_>, at: usize| file.has_tests || is_asserting(&side.lines[at]);
    for at in 0..file.removed.lines.len() {
        let line = &file.removed.lines[at];
        let numbers = numbers(&line.blank);
        if !numbers.is_empty() && of_interest(&file.removed, at) {
            before
                .entry(skeleton(&line.code, &numbers))
                .or_default()
                .push_back((at, numbers));
        }
    }
    let mut flags = Vec::new();
    let now: Vec<(usize, Vec<Number>)> = changed(file, &mut before);
    for (at, numbers) in now {
        let line = &file.added.lines[at];
        let old = before
            .get_mut(&skeleton(&line.code, &numbers))
            .and_then(VecDeque::pop_front);
        let Some((_, old)) = old else { continue };
        let is_loosened = old.iter().zip(&numbers).any(|(old, now)| {
            let looser = in_test(file.language, line, now);
            looser.is_some_and(|looser| looser.is(old.value, now.value))
        });
        if is_loosened {
            flags.push(flag(file, &file.added, at));
        }
    }
    flags
}

/// The added lines with numbers; those that were there with the same numbers are taken out on
/// both sides.
fn changed(
    file: &File<'_>,
    before: &mut HashMap<String, VecDeque<(usize, Vec<Number>)>>,
) -> Vec<(usize, Vec<Number>)> {
    let mut same: HashMap<String, usize> = HashMap::new();
    for line in &file.added.lines {
        *same.entry(squeeze(&line.code)).or_default() += 1;
    }
    let mut taken: HashMap<String, usize> = HashMap::new();
    for places in before.values_mut() {
        places.retain(|(at, _)| {
            let text = squeeze(&file.removed.lines[*at].code);
            match same.get_mut(&text) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    *taken.entry(text).or_default() += 1;
                    false
                }
                _ => true,
            }
        });
    }
    let mut now = Vec::new();
    for (at, line) in file.added.lines.iter().enumerate() {
        let numbers = numbers(&line.blank);
        if numbers.is_empty() {
            continue;
        }
        match taken.get_mut(&squeeze(&line.code)) {
            Some(left) if *left > 0 => *left -= 1,
            _ => now.push((at, numbers)),
        }
    }
    now
}

fn is_asserting(line: &Line<'_>) -> bool {
    let signs = [
        "assert", "expect", "EXPECT_", "ASSERT_", "CHECK", "REQUIRE", "Assert", "Should",
    ];
    signs.iter().any(|sign| line.blank.contains(sign))
}

/// In which direction a number of a test lets more pass.
fn in_test(language: Language, line: &Line<'_>, number: &Number) -> Option<Looser> {
    let text = line.blank.as_str();
    match place(text, number.from) {
        Place::Below => compared(language, line, Looser::Up),
        Place::Above => compared(language, line, Looser::Down),
        Place::Named(name) => by_name(&name),
        Place::Argument { of, index } => {
            by_argument(language, line, &of, index, &text[number.from..number.to])
        }
        Place::LastOfTest if language == Language::Script => Some(Looser::Up),
        Place::LastOfTest | Place::Other => None,
    }
}

/// An upper bound passes more when it grows. What makes a test of Go fail is the opposite.
fn compared(language: Language, line: &Line<'_>, looser: Looser) -> Option<Looser> {
    let is_guard = language == Language::Go && line.blank.trim_start().starts_with("if ");
    match looser {
        Looser::Up if is_guard => Some(Looser::Down),
        Looser::Down if is_guard => Some(Looser::Up),
        Looser::Up | Looser::Down => {
            (is_asserting(line) || language == Language::Shell).then_some(looser)
        }
    }
}

/// The small words of a name, to be asked for.
struct Words(Vec<String>);

impl Words {
    fn of(name: &str) -> Self {
        Self(small_words(name))
    }

    fn has(&self, any: &[&str]) -> bool {
        self.0.iter().any(|word| any.contains(&word.as_str()))
    }

    /// How often something is tried again, and not how long it waits before.
    fn say_again(&self) -> bool {
        self.has(&["retries", "retry", "reruns", "flaky"])
            && !self.has(&["after", "delay", "interval", "backoff"])
    }
}

const LEAST: &[&str] = &["min", "minimum"];
const MOST: &[&str] = &["max", "maximum", "limit", "budget"];
const TIMES: &[&str] = &[
    "ms",
    "millis",
    "millisecond",
    "milliseconds",
    "sec",
    "secs",
    "second",
    "seconds",
    "duration",
    "elapsed",
    "latency",
    "time",
];
const SCORES: &[&str] = &[
    "coverage",
    "accuracy",
    "score",
    "confidence",
    "recall",
    "precision",
    "ratio",
    "rate",
    "throughput",
    "fps",
    "percent",
    "percentage",
    "covered",
    "msi",
    "mutation",
    "lines",
    "branches",
    "functions",
    "statements",
];

fn by_name(name: &str) -> Option<Looser> {
    let words = Words::of(name);
    let plain = words.0.join("_");
    let tolerates = words.has(&[
        "timeout",
        "timeouts",
        "deadline",
        "tolerance",
        "tol",
        "epsilon",
        "eps",
        "atol",
        "rtol",
        "ulps",
    ]) || matches!(
        plain.as_str(),
        "delta" | "abs" | "rel" | "max_relative" | "max_runs"
    );
    if tolerates || words.say_again() || (words.has(MOST) && words.has(TIMES)) {
        return Some(Looser::Up);
    }
    let asks = words.has(&["threshold", "thresholds", "coverage"])
        || matches!(plain.as_str(), "places" | "decimal" | "significant_digits");
    let down = asks || is_fail_under(&words) || (words.has(LEAST) && words.has(SCORES));
    down.then_some(Looser::Down)
}

fn is_fail_under(words: &Words) -> bool {
    words.has(&["fail"]) && words.has(&["under"])
}

/// A number that has its meaning by its place in a call.
fn by_argument(
    language: Language,
    line: &Line<'_>,
    of: &str,
    index: usize,
    number: &str,
) -> Option<Looser> {
    let words = Words::of(of);
    let plain = words.0.join("_");
    let up = |counts: bool| counts.then_some(Looser::Up);
    let down = |counts: bool| counts.then_some(Looser::Down);
    match plain.as_str() {
        "to_be_close_to" => return down(index == 1),
        // `Assert.Equal(want, got, digits)`.
        "equal" if language == Language::CSharp => return down(index == 2),
        "assert_equals" | "are_equal" => return up(index == 2 && number.contains(['.', 'e'])),
        _ => {}
    }
    if words.has(&["almost"]) {
        return down(index == 2);
    }
    if words.has(&["timeout", "retries", "flaky"]) || plain == "retry_times" {
        return up(index == 0);
    }
    // The rest are common words, which mean something only in an assertion.
    let is_first = plain.starts_with("to_be") || plain.starts_with("is");
    if !is_asserting(line) && !plain.starts_with("to_be") {
        None
    } else if words.has(&[
        "delta",
        "epsilon",
        "near",
        "close",
        "approx",
        "approximately",
    ]) {
        up(index > 0)
    } else if words.has(&["within", "offset"]) {
        up(index == 0)
    } else if words.has(&["less", "most", "lt", "le", "below"]) {
        up(is_first || index > 0 || matches!(plain.as_str(), "below" | "most"))
    } else if words.has(&["greater", "least", "gt", "ge", "above"]) {
        down(is_first || index > 0 || matches!(plain.as_str(), "above" | "least"))
    } else {
        None
    }
}

/// A limit in a file of configuration.
struct Limit {
    name: String,
    value: f64,
    line: usize,
    looser: Looser,
}

fn limits(file: &File<'_>, side: &Side<'_>) -> Vec<Limit> {
    let Some(config) = file.config else {
        return Vec::new();
    };
    let mut limits = Vec::new();
    for (at, line) in side.lines.iter().enumerate() {
        for number in numbers(&line.code)
            .into_iter()
            .filter(|n| !n.is_quoted(&line.code))
        {
            let Place::Named(name) = place(&line.code, number.from) else {
                continue;
            };
            if let Some(looser) = in_configuration(config, file.patch.path.as_str(), &name) {
                let plain = small_words(&name).join("");
                let value = number.value * number.unit(&line.code);
                limits.push(Limit {
                    name: plain,
                    value,
                    line: at,
                    looser,
                });
            }
        }
    }
    limits
}

fn in_configuration(config: Config, path: &str, name: &str) -> Option<Looser> {
    let words = Words::of(name);
    let of_service = path.contains("codecov");
    if of_service && words.has(&["threshold"]) {
        // There it is by how much coverage may drop.
        return Some(Looser::Up);
    }
    let of_checks = [
        "warnings",
        "errors",
        "failures",
        "violations",
        "issues",
        "diff",
        "skipped",
    ];
    let up = (words.has(MOST) && words.has(&of_checks))
        || words.say_again()
        || words.has(&["tolerance"])
        || (config.runs_tests() && words.has(&["timeout", "timeouts"]));
    if up {
        return Some(Looser::Up);
    }
    let is_measure = matches!(
        name.trim_matches('-'),
        "branches" | "functions" | "lines" | "statements"
    );
    let down = is_fail_under(&words)
        || words.has(&["coverage", "threshold", "thresholds"])
        || (words.has(LEAST) && words.has(SCORES))
        || (config.runs_tests() && is_measure)
        || (of_service && words.has(&["target"]));
    down.then_some(Looser::Down)
}

fn in_config(file: &File<'_>, named: &HashSet<String>) -> Vec<Flag> {
    let mut now: HashMap<String, VecDeque<Limit>> = HashMap::new();
    for limit in limits(file, &file.added) {
        now.entry(limit.name.clone()).or_default().push_back(limit);
    }
    let mut before = limits(file, &file.removed);
    // What was only put into another order is no change.
    before.retain(|old| {
        let same = now.get_mut(&old.name).and_then(|limits| {
            let at = limits
                .iter()
                .take(64)
                .position(|limit| limit.value == old.value)?;
            limits.remove(at)
        });
        same.is_none()
    });
    let mut flags = Vec::new();
    for old in before {
        match now.get_mut(&old.name).and_then(VecDeque::pop_front) {
            Some(limit) if old.looser.is(old.value, limit.value) => {
                flags.push(flag(file, &file.added, limit.line));
            }
            Some(_) => {}
            None if is_missed(&old) && !named.contains(&old.name) => {
                flags.push(flag(file, &file.removed, old.line));
            }
            None => {}
        }
    }
    flags
}

/// Is nothing limited any more without it? A timeout or retries that are gone make a check
/// stricter.
fn is_missed(limit: &Limit) -> bool {
    limit.looser == Looser::Down || limit.name.contains("max")
}

/// Comments and marks that leave code out of what coverage counts.
fn left_out_of_coverage(files: &[File<'_>]) -> Vec<Flag> {
    by_mark(files, |file, line| {
        if file.language == Language::Other {
            return false;
        }
        let comment = line.comment.to_ascii_lowercase();
        let in_comment = [
            "pragma: no cover",
            "istanbul ignore",
            "c8 ignore",
            "v8 ignore",
            "codecoverageignore",
            "lcov_excl",
            ":nocov:",
            "coverage:ignore",
        ];
        let in_code = [
            "coverage(off)",
            "[ExcludeFromCodeCoverage",
            "[CoverageIgnore",
        ];
        (!comment.is_empty() && in_comment.iter().any(|text| comment.contains(text)))
            || in_code.iter().any(|text| line.blank.contains(text))
    })
}

/// Tests that are taken again until they succeed, where they were not before. A new file has
/// nothing that was stricter.
fn retried(files: &[File<'_>]) -> Vec<Flag> {
    by_mark(files, |file, line| {
        let is_new = file.patch.change == ChangeKind::Added;
        !is_new && (is_retrying_test(file, line) || is_retrying_config(file, line))
    })
}

fn is_retrying_test(file: &File<'_>, line: &Line<'_>) -> bool {
    let signs = [
        "this.retries(",
        "jest.retryTimes(",
        "mark.flaky",
        "@flaky",
        "@Retry",
        "@RetryingTest",
        "@RepeatedIfExceptionsTest",
        "[Retry",
        "retry: ",
        "retries: ",
    ];
    let is_declaration = ["it", "test", "describe", "specify"]
        .iter()
        .any(|word| super::cases::head(line).0.first() == Some(word));
    let found = signs.iter().position(|sign| line.blank.contains(sign));
    // An option is one of a test only where the test is declared.
    let counts = |sign: usize| sign < signs.len() - 2 || is_declaration;
    file.has_tests && found.is_some_and(counts) && !line.blank.contains("retries: 0")
}

fn is_retrying_config(file: &File<'_>, line: &Line<'_>) -> bool {
    let is_again = |number: &Number| match place(&line.code, number.from) {
        Place::Named(name) => Words::of(&name).say_again(),
        Place::Below | Place::Above | Place::Argument { .. } | Place::LastOfTest | Place::Other => {
            false
        }
    };
    let by_condition = line.code.trim_start().starts_with("retries") && line.code.contains('?');
    let counts = numbers(&line.code)
        .iter()
        .any(|number| number.value > 0.0 && !number.is_quoted(&line.code) && is_again(number));
    file.config.is_some() && (counts || by_condition)
}

/// Flags for lines with a mark that were not there before.
fn by_mark(files: &[File<'_>], is_marked: impl Fn(&File<'_>, &Line<'_>) -> bool) -> Vec<Flag> {
    let new = new_marks(files, is_marked);
    let file = |marked: &Marked| &files[marked.file];
    new.iter()
        .map(|marked| flag(file(marked), &file(marked).added, marked.line))
        .collect()
}
