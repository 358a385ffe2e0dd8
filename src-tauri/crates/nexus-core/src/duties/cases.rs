//! Where tests begin and end in one side of a patch, and what they are called.
//!
//! Only changed lines are known, so an end is judged by the indentation: a test ends before
//! the next line that is no further to the right than the test itself.

use super::language::{Language, Line, is_word_letter, squeeze, words};

/// A test of one side of a patch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// `None` where only the mark of a test is in the patch, and the test it stood on is not.
    pub(super) name: Option<String>,
    /// Where it begins: at the first of its marks.
    pub(super) from: usize,
    /// Where it is declared.
    pub(super) line: usize,
    /// It is declared in a way that keeps it from running.
    pub(super) skipped: bool,
}

/// The tests in these lines.
pub(super) fn cases(language: Language, lines: &[Line<'_>]) -> Vec<Case> {
    match language {
        Language::Rust | Language::Jvm | Language::CSharp => marked(language, lines),
        Language::Php => {
            let mut cases = marked(language, lines);
            cases.extend(named(language, lines));
            cases.sort_by_key(|case| case.from);
            cases.dedup_by(|later, first| later.line == first.line);
            cases
        }
        Language::Python
        | Language::Script
        | Language::Go
        | Language::Ruby
        | Language::Shell
        | Language::C => named(language, lines),
        Language::Other => Vec::new(),
    }
}

/// For each line, the innermost test it belongs to.
pub(super) fn owners(lines: &[Line<'_>], cases: &[Case]) -> Vec<Option<usize>> {
    let mut owners = Vec::with_capacity(lines.len());
    let mut open: Vec<usize> = Vec::new();
    let mut coming = cases.iter().enumerate().peekable();
    for (at, line) in lines.iter().enumerate() {
        if !line.raw.trim().is_empty() && !continues(line) {
            let indent = line.indent();
            let ends = |case: &mut usize| {
                let declared = cases[*case].line;
                declared < at && indent <= lines[declared].indent()
            };
            while open.pop_if(ends).is_some() {}
        }
        while let Some((case, _)) = coming.next_if(|(_, case)| case.from <= at) {
            open.push(case);
        }
        owners.push(open.last().copied());
    }
    owners
}

/// The second line of a declaration, which ends nothing although it is as far to the left.
fn continues(line: &Line<'_>) -> bool {
    line.raw.trim_start().starts_with(['{', ')', ']'])
}

/// Languages that declare a test by its first line alone.
fn named(language: Language, lines: &[Line<'_>]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let next = lines.get(at + 1);
        let declared = match language {
            Language::Script => script(line, next),
            Language::Python => named_by(line, &["def"], |name| {
                name.starts_with("test") && name != "test"
            }),
            Language::Go => go(line),
            Language::Ruby => ruby(line),
            Language::Php => php(line, next),
            Language::Shell => shell(line),
            Language::C => c(line),
            Language::Rust | Language::Jvm | Language::CSharp | Language::Other => None,
        };
        if let Some((name, skipped)) = declared {
            cases.push(Case {
                name: Some(name),
                from: at,
                line: at,
                skipped,
            });
        }
    }
    cases
}

/// A name, and whether the test is kept from running.
type Declared = Option<(String, bool)>;

/// `def test_x`, `function testX`: a keyword, then a name that says it is a test.
fn named_by(line: &Line<'_>, keywords: &[&str], is_test: impl Fn(&str) -> bool) -> Declared {
    let mut all = words(&line.blank).map(|(_, word)| word);
    all.by_ref().find(|word| keywords.contains(word))?;
    let name = all.next().filter(|name| is_test(name))?;
    Some((name.to_owned(), false))
}

/// The words with which a line of `it.skip("…", …)` begins, and where they end.
pub(super) fn head<'l>(line: &'l Line<'_>) -> (Vec<&'l str>, usize) {
    let bytes = line.blank.as_bytes();
    let mut at = line.blank.len() - line.blank.trim_start().len();
    let mut found = Vec::new();
    loop {
        let from = at;
        while bytes.get(at).is_some_and(|b| is_word_letter(*b)) {
            at += 1;
        }
        if from == at {
            return (found, at);
        }
        found.push(&line.blank[from..at]);
        if bytes.get(at) != Some(&b'.') {
            return (found, at);
        }
        at += 1;
    }
}

/// Words that make a group, a step or a setting of what would be a test.
const NO_TESTS: &[&str] = &[
    "describe",
    "beforeEach",
    "beforeAll",
    "afterEach",
    "afterAll",
    "before",
    "after",
    "step",
    "use",
    "extend",
    "setTimeout",
    "configure",
    "info",
    "slow",
];

fn script(line: &Line<'_>, next: Option<&Line<'_>>) -> Declared {
    let (chain, end) = head(line);
    let rest = &line.blank[end..];
    if chain.is_empty() {
        return table_of_tests(line);
    }
    let is_test = ["it", "test", "specify", "xit", "xtest", "xspecify", "fit"].contains(&chain[0]);
    let is_call = rest.starts_with('(') || rest.starts_with('`');
    if !is_test || !is_call || chain[1..].iter().any(|word| NO_TESTS.contains(word)) {
        return None;
    }
    let is_table = chain.last() == Some(&"each");
    let code = &line.code[end..];
    let name = if is_table {
        text_after(code, rest, rest.find(")(")?)?
    } else {
        let quoted = rest[1..].trim_start().starts_with(QUOTES);
        text_after(code, rest, 0)
            .filter(|_| quoted)
            .or_else(|| named_below(rest, next))?
    };
    let off = |word: &&str| matches!(*word, "skip" | "todo" | "fixme" | "skipIf" | "runIf");
    Some((
        name,
        chain[0].starts_with('x') || chain[1..].iter().any(off),
    ))
}

/// `])("adds %i and %i", …`: the name of tests made from a table.
fn table_of_tests(line: &Line<'_>) -> Declared {
    let rest = line.code.trim_start();
    let begins = ["])(", "`(", ")("]
        .iter()
        .any(|sign| rest.starts_with(sign));
    let open = line.blank.find('(').filter(|_| begins)?;
    Some((text_after(&line.code, &line.blank, open)?, false))
}

const QUOTES: [char; 3] = ['"', '\'', '`'];

/// The first text in quotes from a place on.
fn text_after(code: &str, blank: &str, from: usize) -> Option<String> {
    let open = from + blank[from..].find(QUOTES)?;
    let quote = &blank[open..=open];
    let close = blank[open + 1..]
        .find(quote)
        .map_or(blank.len(), |at| open + 1 + at);
    Some(code[open + 1..close].trim().to_owned())
}

/// The name on the next line, or the expression that is the name.
fn named_below(rest: &str, next: Option<&Line<'_>>) -> Option<String> {
    let argument = rest[1..].split(',').next().unwrap_or_default().trim();
    if !argument.is_empty() {
        return Some(squeeze(argument));
    }
    let next = next?;
    let quoted = next.code.trim_start().starts_with(QUOTES);
    text_after(&next.code, &next.blank, 0).filter(|_| quoted)
}

fn go(line: &Line<'_>) -> Declared {
    let is_test = |name: &str| {
        ["Test", "Fuzz", "Example", "Benchmark"]
            .iter()
            .any(|w| name.starts_with(w))
    };
    if line.blank.starts_with("func ") {
        let name = words(&line.blank)
            .map(|(_, word)| word)
            .find(|word| is_test(word))?;
        let is_declared = line.blank.contains(&format!("{name}("));
        return is_declared.then(|| (name.to_owned(), false));
    }
    let (chain, end) = head(line);
    let is_part = matches!(chain.as_slice(), ["t" | "b" | "s", "Run"]);
    if !is_part || !line.blank[end..].starts_with("(\"") {
        return None;
    }
    Some((text_after(&line.code[end..], &line.blank[end..], 0)?, false))
}

fn ruby(line: &Line<'_>) -> Declared {
    let in_class = named_by(line, &["def"], |name| name.starts_with("test_"));
    if in_class.is_some() {
        return in_class;
    }
    let (chain, end) = head(line);
    let known = [
        "it", "specify", "test", "scenario", "example", "xit", "xspecify", "fit", "its",
    ];
    let rest = &line.blank[end..];
    let begins = [" ", "(", "{"].iter().any(|sign| rest.starts_with(sign));
    let has_body = rest.contains(" do") || rest.contains('{') || rest.contains(QUOTES);
    if chain.len() != 1 || !known.contains(&chain[0]) || !begins || !has_body {
        return None;
    }
    let name = text_after(&line.code[end..], rest, 0);
    let name = name.unwrap_or_else(|| squeeze(&line.code[end..]));
    Some((name, chain[0].starts_with('x')))
}

fn php(line: &Line<'_>, next: Option<&Line<'_>>) -> Declared {
    let in_class = named_by(line, &["function"], |name| name.starts_with("test"));
    in_class.or_else(|| script(line, next))
}

fn shell(line: &Line<'_>) -> Declared {
    let code = line.code.trim_start();
    if code.starts_with("@test ") {
        return Some((text_after(&line.code, &line.blank, 0)?, false));
    }
    let code = code.strip_prefix("function ").unwrap_or(code);
    let (_, name) = words(code).next().filter(|(at, _)| *at == 0)?;
    let rest = code[name.len()..].trim_start();
    let is_test = name.starts_with("test_") || name.starts_with("test") && rest.starts_with("()");
    let is_function = rest.starts_with("()") || code.len() < line.code.trim_start().len();
    (is_test && is_function).then(|| (name.to_owned(), false))
}

/// `TEST(Suite, Name)` and its relatives.
fn c(line: &Line<'_>) -> Declared {
    let (chain, end) = head(line);
    let known = [
        "TEST",
        "TEST_F",
        "TEST_P",
        "TYPED_TEST",
        "TYPED_TEST_P",
        "TEST_CASE",
        "SCENARIO",
        "BOOST_AUTO_TEST_CASE",
        "BOOST_FIXTURE_TEST_CASE",
    ];
    if chain.len() != 1 || !known.contains(&chain[0]) || !line.blank[end..].starts_with('(') {
        return None;
    }
    let close = line.blank[end..]
        .find(')')
        .map_or(line.blank.len(), |at| end + at);
    let name = squeeze(&line.code[end + 1..close]);
    let skipped = name.contains("DISABLED_");
    Some((name.replace("DISABLED_", ""), skipped))
}

/// Languages that put a mark above a function to make a test of it.
fn marked(language: Language, lines: &[Line<'_>]) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut mark: Option<usize> = None;
    // A patch that takes the last of several tests away may show its function first, and the
    // mark of the next test behind it.
    let mut unmarked: Option<(usize, String)> = None;
    for (at, line) in lines.iter().enumerate() {
        let here = is_mark(language, line);
        if here && let Some(before) = mark.replace(at) {
            cases.push(nameless(before));
        }
        let name = function_name(language, line, mark.is_some());
        if let (Some(from), Some(name)) = (mark, &name) {
            mark = None;
            unmarked = None;
            cases.push(Case {
                name: Some(name.clone()),
                from,
                line: at,
                skipped: false,
            });
        } else if here {
            let ended = at > 0 && matches!(lines[at - 1].raw.trim(), "" | "}");
            unmarked = unmarked.filter(|_| ended);
        } else if let Some(name) = name {
            unmarked = Some((at, name));
        } else if let Some(lonely) = mark
            && !is_between(language, line)
        {
            mark = None;
            cases.push(of_lonely_mark(lonely, unmarked.take()));
        }
    }
    if let Some(lonely) = mark {
        cases.push(of_lonely_mark(lonely, unmarked));
    }
    cases.sort_by_key(|case| case.from);
    cases
}

fn nameless(line: usize) -> Case {
    Case {
        name: None,
        from: line,
        line,
        skipped: false,
    }
}

fn of_lonely_mark(mark: usize, unmarked: Option<(usize, String)>) -> Case {
    match unmarked {
        Some((line, name)) => Case {
            name: Some(name),
            from: line,
            line,
            skipped: false,
        },
        None => nameless(mark),
    }
}

/// What may stand between the mark and its function: other marks, comments, nothing.
fn is_between(language: Language, line: &Line<'_>) -> bool {
    let code = line.code.trim();
    let sign = match language {
        Language::Rust | Language::Php => "#[",
        Language::CSharp => "[",
        Language::Jvm => "@",
        Language::Python
        | Language::Script
        | Language::Go
        | Language::Ruby
        | Language::Shell
        | Language::C
        | Language::Other => return false,
    };
    code.is_empty() || code.starts_with(sign) || code.starts_with([')', ']', '"'])
}

/// Does this line make a test of the next function?
pub(super) fn is_mark(language: Language, line: &Line<'_>) -> bool {
    let code = line.blank.trim();
    match language {
        Language::Rust => code.strip_prefix("#[").is_some_and(|attribute| {
            let end = attribute.find(['(', ']', '=']).unwrap_or(attribute.len());
            let last = attribute[..end]
                .trim()
                .rsplit("::")
                .next()
                .unwrap_or_default();
            matches!(
                last,
                "test" | "rstest" | "proptest" | "quickcheck" | "wasm_bindgen_test"
            )
        }),
        Language::Jvm => code.strip_prefix('@').is_some_and(|annotation| {
            let name = words(annotation).next().map_or("", |(_, name)| name);
            matches!(
                name,
                "Test" | "ParameterizedTest" | "RepeatedTest" | "TestFactory" | "Property"
            )
        }),
        Language::CSharp => code.strip_prefix('[').is_some_and(|attribute| {
            let name = words(attribute).next().map_or("", |(_, name)| name);
            matches!(
                name,
                "Fact" | "Theory" | "Test" | "TestMethod" | "DataTestMethod"
            )
        }),
        Language::Php => code.starts_with("#[Test") || line.comment.contains("@test"),
        Language::Python
        | Language::Script
        | Language::Go
        | Language::Ruby
        | Language::Shell
        | Language::C
        | Language::Other => false,
    }
}

/// The function this line declares. Below the mark of a test any head of a function is taken.
fn function_name(language: Language, line: &Line<'_>, below_mark: bool) -> Option<String> {
    let after = |keyword: &str| {
        let mut all = words(&line.blank).map(|(_, word)| word);
        all.by_ref().find(|word| *word == keyword)?;
        Some(all.next()?.to_owned())
    };
    match language {
        Language::Rust => after("fn"),
        Language::Php => after("function"),
        Language::Jvm => after_fun(line).or_else(|| method(line, below_mark)),
        Language::CSharp => method(line, below_mark),
        Language::Python
        | Language::Script
        | Language::Go
        | Language::Ruby
        | Language::Shell
        | Language::C
        | Language::Other => None,
    }
}

/// Kotlin's ``fun `a name with spaces`()`` or `fun name()`.
fn after_fun(line: &Line<'_>) -> Option<String> {
    let (at, _) = words(&line.blank).find(|(_, word)| *word == "fun")?;
    let rest = line.code[at + "fun".len()..].trim_start();
    let end = rest.find('(').filter(|end| *end > 0)?;
    Some(squeeze(&rest[..end]))
}

/// The method that a line of Java or C# declares.
fn method(line: &Line<'_>, below_mark: bool) -> Option<String> {
    let blank = line.blank.trim();
    // What stands in the brackets of a mark on the same line is no method.
    let blank = match blank.strip_prefix('[') {
        Some(attribute) => &attribute[attribute.rfind(']').map_or(attribute.len(), |at| at + 1)..],
        None => blank,
    };
    let blank = match blank.strip_prefix('@') {
        Some(annotation) => annotation.split_once(' ').map_or("", |(_, rest)| rest),
        None => blank,
    };
    let (before, _) = blank.split_once('(')?;
    let head: Vec<&str> = words(before).map(|(_, word)| word).collect();
    let name = head.last()?;
    let returns_nothing = head
        .iter()
        .any(|word| matches!(*word, "void" | "Task" | "ValueTask"));
    let is_head = head.len() > 1 && !blank.ends_with(';');
    (is_head && (below_mark || returns_nothing)).then(|| (*name).to_owned())
}
