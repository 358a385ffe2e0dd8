//! What tests assert, read from the changed lines of one side of a patch.
//!
//! This file finds where an assertion begins and ends and takes it apart; `strength` says how
//! much it proves.

use super::language::{Language, Line, is_word_letter, squeeze, words};
use super::strength::{Strength, Text, Weighed, chain, condition, matcher};

/// One assertion.
#[derive(Debug)]
pub(super) struct Assertion {
    /// All of it, in the way it would be written without white space: the same assertion has
    /// the same key wherever it stands.
    pub(super) key: String,
    pub(super) weighed: Weighed,
    /// Where it begins.
    pub(super) line: usize,
    /// All of it on one line, where its first line says too little.
    pub(super) joined: Option<String>,
    pub(super) kind: Kind,
}

/// In what way something is asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Plain,
    /// The condition in front of a failure, as Go writes it. When it is gone, the failure is
    /// gone with it, and that is seen by itself.
    Guard,
    /// A row of a test that is run for each row of a table.
    Row,
}

/// Lines that are joined to read one assertion, and bytes.
const LONGEST: usize = 80;
const LARGEST: usize = 8_000;

/// The assertions in these lines, in their order.
pub(super) fn assertions(language: Language, lines: &[Line<'_>]) -> Vec<Assertion> {
    if language == Language::Shell {
        return lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| shell(at, line))
            .collect();
    }
    let opens: Vec<Option<usize>> = lines
        .iter()
        .map(|line| next_opener(language, &line.blank, 0).map(|(at, _)| at))
        .collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if let Some(from) = opens[at] {
            let (statement, next) = joined(lines, &opens, at, from);
            statement.read(language, at, &mut found);
            at = next;
            continue;
        }
        found.extend(row(language, at, &lines[at]));
        found.extend(guard(language, at, &lines[at]));
        at += 1;
    }
    found
}

/// Lines of a patch that belong together, as one text.
struct Statement {
    code: String,
    blank: String,
    /// The first of the lines.
    first: String,
}

/// Joins the lines from one with an assertion on until its brackets are closed. Parts of it may
/// be missing in the patch, so another assertion ends it too.
fn joined(
    lines: &[Line<'_>],
    opens: &[Option<usize>],
    at: usize,
    from: usize,
) -> (Statement, usize) {
    let first = &lines[at];
    let mut statement = Statement {
        code: first.code.clone(),
        blank: first.blank.clone(),
        first: first.code.trim_end().to_owned(),
    };
    let mut depth = depth(&first.blank[from..]);
    let mut goes_on = first.code.ends_with('\\');
    let mut next = at + 1;
    while next < lines.len() && next - at < LONGEST && statement.code.len() < LARGEST {
        let line = &lines[next];
        let trimmed = line.code.trim_start();
        let is_chained = [".", "->", "?."]
            .iter()
            .any(|sign| trimmed.starts_with(sign));
        if opens[next].is_some() || !(depth > 0 || goes_on || (depth == 0 && is_chained)) {
            break;
        }
        depth += self::depth(&line.blank);
        goes_on = line.code.ends_with('\\');
        statement.code.push(' ');
        statement.code.push_str(&line.code);
        statement.blank.push(' ');
        statement.blank.push_str(&line.blank);
        next += 1;
    }
    (statement, next)
}

/// Brackets opened less brackets closed.
fn depth(blank: &str) -> i64 {
    let worth = |letter| match letter {
        b'(' | b'[' | b'{' => 1,
        b')' | b']' | b'}' => -1,
        _ => 0,
    };
    blank.bytes().map(worth).sum()
}

impl Statement {
    fn read(&self, language: Language, line: usize, found: &mut Vec<Assertion>) {
        let mut from = 0;
        while let Some((start, word)) = next_opener(language, &self.blank, from) {
            let (weighed, begin, end) = self.assertion(language, from, start, word);
            let end = end.clamp(start + word.len(), self.code.len());
            let key = squeeze(&self.code[begin..end]);
            let key = key.trim_end_matches(';').to_owned();
            found.push(Assertion {
                key,
                weighed,
                line,
                joined: self.joined(),
                kind: Kind::Plain,
            });
            from = end;
        }
    }

    /// The statement on one line, where its first line ends in the middle.
    fn joined(&self) -> Option<String> {
        let cut = self.first.ends_with(['(', '[', '{']) && self.first.len() < self.code.len();
        let words = || self.code.split_whitespace().collect::<Vec<_>>().join(" ");
        cut.then(words)
    }

    fn text(&self, from: usize, to: usize) -> Text<'_> {
        Text {
            code: &self.code[from..to],
            blank: &self.blank[from..to],
        }
    }

    /// What the assertion that opens here proves, and where it begins and ends: behind the one
    /// before it.
    fn assertion(
        &self,
        language: Language,
        after: usize,
        start: usize,
        word: &str,
    ) -> (Weighed, usize, usize) {
        if word == "assert" && matches!(language, Language::Python | Language::Jvm) {
            let from = start + word.len();
            let end = self.end_of_expression(from, b";");
            let first = self.text(from, end).split().swap_remove(0);
            return (condition(first), start, end);
        }
        if word == "Should" {
            return self.fluent(after, start, word);
        }
        let (name, at) = self.full_name(start, word);
        let (arguments, end) = self.arguments(at);
        if is_chain_head(name) && self.is_chained(language, end) {
            let subject = arguments
                .first()
                .map_or_else(String::new, |text| squeeze(text.code));
            let stop = self.end_of_expression(end, b";,");
            return (chain(language, subject, self.text(end, stop)), start, stop);
        }
        (matcher(language, name, &arguments), start, end)
    }

    /// `result.Should().Be(1)`: what is asserted stands in front.
    fn fluent(&self, after: usize, start: usize, word: &str) -> (Weighed, usize, usize) {
        let before = &self.blank[after..start];
        let begin = after + before.rfind([';', '{', '}']).map_or(0, |at| at + 1);
        let subject = squeeze(self.code[begin..start].trim_end_matches('.'));
        let from = (start + word.len() + "()".len()).min(self.blank.len());
        let end = self.end_of_expression(from, b";");
        (
            chain(Language::CSharp, subject, self.text(from, end)),
            begin,
            end,
        )
    }

    /// The name of `assert.equal`, `Assert.That` or `pytest.raises` is their last word; of a
    /// macro, the one in front of the `!`. Also where its arguments begin.
    fn full_name(&self, start: usize, word: &str) -> (&str, usize) {
        let mut name = start..start + word.len();
        while let Some(next) = self.blank[name.end..].strip_prefix('.') {
            let length = next
                .bytes()
                .take_while(|letter| is_word_letter(*letter))
                .count();
            if length == 0 {
                break;
            }
            name = name.end + 1..name.end + 1 + length;
        }
        let mut at = name.end;
        let rest = &self.blank[at..];
        if rest.starts_with('!') {
            at += 1;
        } else if rest.starts_with('<') {
            at += rest
                .find(">(")
                .or_else(|| rest.find("> {"))
                .map_or(0, |close| close + 1);
        }
        at += self.blank[at..].len() - self.blank[at..].trim_start().len();
        (&self.blank[name], at)
    }

    /// The arguments in the bracket that opens here, or without one to the end.
    fn arguments(&self, at: usize) -> (Vec<Text<'_>>, usize) {
        if self.blank[at..].starts_with(['(', '[', '{']) {
            let close = self.end_of_expression(at + 1, b"");
            let inside = self.text(at + 1, close);
            return (inside.split(), (close + 1).min(self.blank.len()));
        }
        let end = self.end_of_expression(at, b";");
        (self.text(at, end).split(), end)
    }

    fn is_chained(&self, language: Language, end: usize) -> bool {
        let rest = self.blank[end..].trim_start();
        rest.starts_with('.') || rest.starts_with("->") || language == Language::Ruby
    }

    /// Where a bracket is closed that was opened before, or one of these signs stands outside
    /// of all brackets.
    fn end_of_expression(&self, from: usize, signs: &[u8]) -> usize {
        let mut depth = 0_u32;
        for (at, letter) in self.blank.bytes().enumerate().skip(from) {
            match letter {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' if depth == 0 => return at,
                b')' | b']' | b'}' => depth -= 1,
                letter if depth == 0 && signs.contains(&letter) => return at,
                _ => {}
            }
        }
        self.blank.len()
    }
}

/// The first word from a place on that opens an assertion.
fn next_opener(language: Language, blank: &str, from: usize) -> Option<(usize, &str)> {
    let rest = blank.get(from..)?;
    words(rest)
        .map(|(at, word)| (from + at, word))
        .find(|(at, word)| opens(language, &blank[..*at], word, &blank[at + word.len()..]))
}

/// Does this word open an assertion, with what stands around it?
fn opens(language: Language, before: &str, word: &str, after: &str) -> bool {
    let called = after.starts_with('(');
    let of = |owners: &[&str]| owners.iter().any(|owner| is_owned_by(before, owner));
    match language {
        Language::Rust => {
            // `assert_eq!(…)`, and what a project calls so itself.
            let asserts = word.starts_with("assert") || word.starts_with("prop_assert");
            asserts && (after.starts_with('!') || (called && !is_declared(before)))
        }
        Language::Python => python_opens(before, word, after),
        Language::Script => {
            let asserts = word.starts_with("assert") && (called || after.starts_with('.'));
            let expects = matches!(word, "expect" | "expectTypeOf") && called;
            let softly = word == "expect"
                && [".soft(", ".poll(", ".element("]
                    .iter()
                    .any(|way| after.starts_with(way));
            (asserts || expects || softly) && !is_declared(before)
        }
        Language::Go => {
            let fails = ["Error", "Errorf", "Fatal", "Fatalf", "Fail", "FailNow"].contains(&word);
            called
                && ((fails && of(&["t", "b", "tb", "f"]))
                    || (word != "New" && of(&["assert", "require"])))
        }
        Language::Jvm => jvm_opens(before, word, after),
        Language::CSharp => {
            (word == "Assert" && after.starts_with('.'))
                || (word == "Should" && called && of(&[""]))
        }
        Language::Ruby => ruby_opens(before, word, after),
        Language::Php => {
            let known = word.starts_with("assert") || word.starts_with("expectException");
            called && (known || word == "expect") && !is_declared(before)
        }
        Language::C => {
            let known = [
                "EXPECT_",
                "ASSERT_",
                "BOOST_CHECK",
                "BOOST_REQUIRE",
                "CHECK_",
                "REQUIRE_",
            ];
            let plain = ["assert", "CHECK", "REQUIRE", "FAIL"];
            called
                && (known.iter().any(|start| word.starts_with(start)) || plain.contains(&word))
                && !before.trim_start().starts_with("#define")
        }
        Language::Shell | Language::Other => false,
    }
}

/// Is the word before the last `.` this one? An empty owner stands for any.
pub(super) fn is_owned_by(before: &str, owner: &str) -> bool {
    let Some(before) = before
        .strip_suffix('.')
        .and_then(|before| before.strip_suffix(owner))
    else {
        return false;
    };
    owner.is_empty() || !before.bytes().next_back().is_some_and(is_word_letter)
}

/// A function that has the name of an assertion is none where it is declared.
fn is_declared(before: &str) -> bool {
    let before = before.trim_end();
    ["fn", "def", "function", "func", "fun", "void", "async"]
        .iter()
        .any(|word| before.ends_with(word))
}

/// Does a statement begin here?
fn begins_statement(before: &str) -> bool {
    let before = before.trim_end();
    before.is_empty() || before.ends_with([':', ';', '{', '}', '>'])
}

fn python_opens(before: &str, word: &str, after: &str) -> bool {
    let called = after.starts_with('(');
    match word {
        "assert" => after.starts_with([' ', '(']) && begins_statement(before),
        "raises" | "warns" | "fail" => {
            called && (is_owned_by(before, "pytest") || is_owned_by(before, "self"))
        }
        word => called && word.starts_with("assert") && !is_declared(before),
    }
}

fn jvm_opens(before: &str, word: &str, after: &str) -> bool {
    let called = after.starts_with(['(', '<']) || after.starts_with(" {");
    match word {
        "assert" => after.starts_with([' ', '(']) && begins_statement(before),
        "verify" | "fail" => after.starts_with('(') && begins_statement(before),
        word => called && word.starts_with("assert") && !is_declared(before),
    }
}

fn ruby_opens(before: &str, word: &str, after: &str) -> bool {
    let called = after.starts_with(['(', ' ']);
    match word {
        "expect" => {
            after.starts_with(['(', '{']) || after.starts_with(" {") || after.starts_with(" do")
        }
        "is_expected" => after.starts_with('.'),
        word => {
            let known = word == "assert"
                || word == "refute"
                || word.starts_with("assert_")
                || word.starts_with("refute_");
            called && known && begins_statement(before) && !is_declared(before)
        }
    }
}

fn is_chain_head(name: &str) -> bool {
    matches!(
        name,
        "expect"
            | "soft"
            | "poll"
            | "element"
            | "assertThat"
            | "assertThatThrownBy"
            | "assertThatCode"
            | "assertThatExceptionOfType"
            | "expectTypeOf"
            | "is_expected"
    )
}

/// `#[case(1, 2)]`, `[InlineData(1, 2)]`: one row of a test's table.
fn row(language: Language, at: usize, line: &Line<'_>) -> Option<Assertion> {
    let signs: &[&str] = match language {
        Language::Rust => &["#[case(", "#[case::", "#[test_case("],
        Language::CSharp => &["[InlineData(", "[TestCase(", "[DataRow("],
        Language::Python
        | Language::Script
        | Language::Go
        | Language::Jvm
        | Language::Ruby
        | Language::Php
        | Language::Shell
        | Language::C
        | Language::Other => &[],
    };
    let is_row = signs
        .iter()
        .any(|sign| line.code.trim_start().starts_with(sign));
    is_row.then(|| Assertion {
        key: squeeze(&line.code),
        weighed: Weighed::bare(Strength::Exact),
        line: at,
        joined: None,
        kind: Kind::Row,
    })
}

/// `if got != want {` of Go: what makes a test fail is the opposite of what it asserts.
fn guard(language: Language, at: usize, line: &Line<'_>) -> Option<Assertion> {
    let rest = line.blank.trim_start().strip_prefix("if ")?;
    if language != Language::Go {
        return None;
    }
    let rest = rest.trim_end().strip_suffix('{')?;
    let from = line.blank.find("if ")? + "if ".len() + rest.rfind(';').map_or(0, |at| at + 1);
    let to = line.blank.rfind('{')?;
    let text = Text {
        code: line.code.get(from..to)?,
        blank: line.blank.get(from..to)?,
    };
    Some(Assertion {
        key: squeeze(&line.code),
        weighed: super::strength::opposite(text)?,
        line: at,
        joined: None,
        kind: Kind::Guard,
    })
}

/// Commands of a shell that decide over the end of a test.
fn shell(at: usize, line: &Line<'_>) -> Option<Assertion> {
    let code = line.code.trim();
    let mut tokens = code.split_whitespace();
    let first = tokens.next()?;
    let fails = [
        "|| exit",
        "|| fail",
        "|| return",
        "|| die",
        "|| abort",
        "&& exit",
        "&& fail",
    ];
    let ends_red = matches!(first, "exit" | "return")
        && tokens
            .clone()
            .next()
            .is_some_and(|end| end.trim_end_matches(';') != "0");
    let is_test = matches!(first, "[" | "[[" | "test" | "cmp" | "fail")
        || first.starts_with("assert")
        || ends_red
        || fails.iter().any(|way| code.contains(way));
    let is_declared = code.contains("()") && code.ends_with('{');
    if !is_test || is_declared || code.ends_with("|| true") || code.ends_with("|| exit 0") {
        return None;
    }
    let weighed = super::strength::shell_test(first, tokens);
    Some(Assertion {
        key: squeeze(code),
        weighed,
        line: at,
        joined: None,
        kind: Kind::Plain,
    })
}
