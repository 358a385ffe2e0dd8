//! Tests that are kept from running, in the ways their languages have for it.

use super::assertion::is_owned_by;
use super::cases::{Case, head};
use super::change::{File, Side};
use super::language::{Language, Line, is_word_letter, squeeze, words};
use super::newly::{Marked, newly};
use super::{Flag, FlagKind};
use crate::ChangeKind;
use std::collections::HashSet;

/// Flags for tests that the change keeps from running.
pub(super) fn added(files: &[File<'_>]) -> Vec<Flag> {
    let (mut removed, mut added, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for (index, file) in files.iter().enumerate() {
        let ran = names_that_ran(&file.removed);
        removed.extend(marks(index, file, &file.removed));
        let (turned_off, others): (Vec<_>, Vec<_>) = marks(index, file, &file.added)
            .into_iter()
            .partition(|marked| is_one_of(&file.added, marked.line, &ran));
        found.extend(turned_off);
        added.extend(others);
    }
    found.extend(newly(removed, added));
    let flag = |marked: &Marked| {
        let file = &files[marked.file];
        Flag::new(
            FlagKind::SkipAdded,
            &file.patch.path,
            file.added.lines[marked.line].raw,
        )
    };
    found.sort_by_key(|marked| (marked.file, marked.line));
    found.iter().map(flag).collect()
}

/// Tests that were there and ran.
fn names_that_ran<'a>(removed: &'a Side<'_>) -> HashSet<&'a str> {
    let ran = removed.cases.iter().filter(|case| !case.skipped);
    ran.filter_map(|case| case.name.as_deref()).collect()
}

/// Does this line declare one of these tests in a way that keeps it from running? Then no other
/// test that runs again makes up for it.
fn is_one_of(side: &Side<'_>, line: usize, ran: &HashSet<&str>) -> bool {
    let is_ran = |case: &Case| case.name.as_deref().is_some_and(|name| ran.contains(name));
    let found = side.cases.binary_search_by_key(&line, |case| case.line);
    found.is_ok_and(|case| side.cases[case].skipped && is_ran(&side.cases[case]))
}

fn marks(index: usize, file: &File<'_>, side: &Side<'_>) -> Vec<Marked> {
    if !file.may_run_tests() {
        return Vec::new();
    }
    let is_marked = |at: &usize| is_skip(file, side, *at);
    let lines = (0..side.lines.len()).filter(is_marked);
    lines
        .map(|line| Marked::new(index, line, &side.lines[line].code))
        .collect()
}

fn is_skip(file: &File<'_>, side: &Side<'_>, at: usize) -> bool {
    let line = &side.lines[at];
    let next = side.lines.get(at + 1);
    if line.is_bare() {
        return is_empty_block(line, next) || is_left_out_of_the_build(file.language, line);
    }
    match file.language {
        Language::Rust => rust(line) || fails_now(&side.lines, at),
        Language::Python => python(line),
        Language::Script => script(line),
        Language::Go => go(line),
        Language::Jvm => jvm(line),
        Language::CSharp => csharp(line),
        Language::Ruby => ruby(line),
        Language::Php => php(line),
        Language::Shell => shell(file, line),
        Language::C => c(line),
        Language::Other => false,
    }
}

/// A comment that begins and ends around lines that were there before.
fn is_empty_block(line: &Line<'_>, next: Option<&Line<'_>>) -> bool {
    line.raw.trim() == "/*" && next.is_some_and(|next| next.raw.trim() == "*/")
}

fn is_left_out_of_the_build(language: Language, line: &Line<'_>) -> bool {
    let raw = line.raw.trim();
    language == Language::Go && (raw == "//go:build ignore" || raw == "// +build ignore")
}

/// Is one of these texts in the code, beginning a word?
fn has(line: &Line<'_>, texts: &[&str]) -> bool {
    texts.iter().any(|text| {
        line.blank.match_indices(text).any(|(at, _)| {
            let before = line.blank[..at].bytes().next_back();
            let is_word = text.bytes().next().is_some_and(is_word_letter);
            !(is_word && before.is_some_and(is_word_letter))
        })
    })
}

fn rust(line: &Line<'_>) -> bool {
    let squeezed = squeeze(&line.blank);
    let never = ["[cfg(any())]", "[cfg(false)]", "[cfg(FALSE)]"];
    let sometimes =
        squeezed.contains("[cfg_attr(") && words(&line.blank).any(|(_, w)| w == "ignore");
    has(line, &["#[ignore"]) || sometimes || never.iter().any(|text| squeezed.contains(text))
}

/// A test that was there is expected to fail from now on. In a new test this is how one says
/// what it shows.
fn fails_now(lines: &[Line<'_>], at: usize) -> bool {
    if !has(&lines[at], &["#[should_panic"]) {
        return false;
    }
    let is_mark = |line: &&Line<'_>| line.is_bare() || line.code.trim_start().starts_with("#[");
    let below = lines[at + 1..].iter().find(|line| !is_mark(line));
    !below.is_some_and(|line| has(line, &["fn "])) && !has(&lines[at], &["fn "])
}

fn python(line: &Line<'_>) -> bool {
    has(
        line,
        &[
            "mark.skip",
            "mark.xfail",
            "pytest.skip(",
            "pytest.xfail(",
            "unittest.skip",
            "@skip",
            "@expectedFailure",
            "unittest.expectedFailure",
            "skipTest(",
            "raise SkipTest",
            "raise unittest.SkipTest",
            "importorskip(",
            "__test__ = False",
            "collect_ignore",
        ],
    )
}

/// What stands behind `it.` or `describe.` and keeps that test, or all others, from running.
const OFF: &[&str] = &[
    "skip", "todo", "only", "fixme", "failing", "fails", "skipIf", "runIf",
];

const SCRIPT_TESTS: &[&str] = &["it", "test", "describe", "context", "suite", "specify"];

fn script(line: &Line<'_>) -> bool {
    let off = words(&line.blank).any(|(at, word)| {
        let path = path_before(&line.blank[..at]);
        let root = path.split('.').next().unwrap_or_default();
        let of_test = SCRIPT_TESTS.contains(&root) || matches!(path, "this." | "t." | "ctx.");
        OFF.contains(&word) && path.ends_with('.') && of_test
    });
    off || is_crossed_out(line) || is_off_by_option(line)
}

/// The words and dots that end a text.
fn path_before(before: &str) -> &str {
    let letters = before
        .bytes()
        .rev()
        .take_while(|b| is_word_letter(*b) || *b == b'.');
    &before[before.len() - letters.count()..]
}

/// `xit("…")`, `fdescribe("…")`.
fn is_crossed_out(line: &Line<'_>) -> bool {
    let (chain, end) = head(line);
    let known = [
        "xit",
        "xtest",
        "xdescribe",
        "xcontext",
        "xspecify",
        "fit",
        "fdescribe",
        "fcontext",
    ];
    let rest = line.blank[end..].trim_start_matches(['(', ' ']);
    chain.len() == 1 && known.contains(&chain[0]) && rest.starts_with(['"', '\'', '`'])
}

/// `test("…", { skip: true }, …)`.
fn is_off_by_option(line: &Line<'_>) -> bool {
    let (chain, _) = head(line);
    let squeezed = squeeze(&line.blank);
    let options = [
        "{skip:true",
        ",skip:true",
        "{only:true",
        "{todo:true",
        "{skip:\"",
    ];
    chain
        .first()
        .is_some_and(|first| SCRIPT_TESTS.contains(first))
        && options.iter().any(|option| squeezed.contains(option))
}

fn go(line: &Line<'_>) -> bool {
    let skips = words(&line.blank).any(|(at, word)| {
        let before = &line.blank[..at];
        let of_test = ["t", "b", "tb", "f", "T()"]
            .iter()
            .any(|owner| is_owned_by(before, owner));
        matches!(word, "Skip" | "Skipf" | "SkipNow") && of_test
    });
    skips
        || has(
            line,
            &[
                "XIt(",
                "PIt(",
                "FIt(",
                "XDescribe(",
                "PDescribe(",
                "FDescribe(",
            ],
        )
}

fn jvm(line: &Line<'_>) -> bool {
    let off_by_option = has(line, &["enabled = false", "enabled=false"]);
    has(
        line,
        &[
            "@Disabled",
            "@Ignore",
            "@EnabledIf",
            "@EnabledOn",
            "assumeTrue(",
            "assumeFalse(",
            "assumeThat(",
            "abort(",
        ],
    ) || off_by_option
}

fn csharp(line: &Line<'_>) -> bool {
    let is_mark = line.blank.trim_start().starts_with('[');
    let off = has(
        line,
        &["Skip =", "Skip=", "[Ignore", "[Explicit", "Ignore("],
    );
    (is_mark && off) || has(line, &["Assert.Ignore(", "Assert.Inconclusive(", "Skip.If"])
}

fn ruby(line: &Line<'_>) -> bool {
    let (chain, end) = head(line);
    let rest = &line.blank[end..];
    let is_call = !rest.trim_start().starts_with('=') && !rest.starts_with([':', '?']);
    let skips = matches!(chain.as_slice(), ["skip" | "pending"]) && is_call;
    let groups = [
        "it", "describe", "context", "specify", "scenario", "feature", "RSpec",
    ];
    let by_option = has(
        line,
        &[
            "skip: true",
            "pending: true",
            "focus: true",
            ":skip",
            ":focus",
        ],
    ) || has(line, &["skip: \"", "skip: '", ":pending"]);
    let is_group = chain.first().is_some_and(|first| groups.contains(first));
    skips || is_crossed_out(line) || (is_group && by_option)
}

fn php(line: &Line<'_>) -> bool {
    let begins = ["}", "it(", "test("]
        .iter()
        .any(|start| line.blank.trim_start().starts_with(start));
    let chained = has(line, &["->skip(", "->todo(", "->only("]);
    has(line, &["markTestSkipped(", "markTestIncomplete("]) || (begins && chained)
}

fn shell(file: &File<'_>, line: &Line<'_>) -> bool {
    let code = line.code.trim();
    let skips = code == "skip" || code.starts_with("skip \"") || code.starts_with("skip '");
    // A new script may well end in success; in one that was there what follows is not reached.
    let leaves = code == "exit 0" && file.patch.change == ChangeKind::Modified;
    skips || leaves
}

fn c(line: &Line<'_>) -> bool {
    let code = line.code.trim();
    let left_out = matches!(code, "#if 0" | "#if false");
    let declares = ["TEST", "TYPED_TEST", "INSTANTIATE_"]
        .iter()
        .any(|start| code.starts_with(start));
    left_out
        || (declares && code.contains("DISABLED_"))
        || has(
            line,
            &["GTEST_SKIP(", "SKIP(", "doctest::skip(", "DOCTEST_SKIP"],
        )
}
