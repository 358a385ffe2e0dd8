//! How much an assertion proves, and of what.
//!
//! Only forms that plainly prove little are known by name. Whatever else is asserted counts as
//! exact, so that a form nobody thought of is not held against anybody.

use super::language::{Language, begins_with_one_of, is_one_of, squeeze, words};

/// How much an assertion proves, from nothing on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Strength {
    /// It holds whatever the program does.
    Nothing,
    /// There is something.
    Exists,
    /// What it says is true, whatever that is.
    Truth,
    /// A bound, a part, or anything but one value.
    Loose,
    /// One value.
    Exact,
}

impl Strength {
    /// The strength seen beside an assertion about something else: a condition may then be as
    /// exact as a comparison.
    pub(super) fn apart(self) -> Self {
        match self {
            Self::Truth | Self::Exact => Self::Exact,
            Self::Nothing | Self::Exists | Self::Loose => self,
        }
    }
}

/// What an assertion says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weighed {
    /// What it is about, squeezed; empty where that is not to be seen.
    pub(super) subject: String,
    /// What it is compared with.
    pub(super) expected: String,
    pub(super) strength: Strength,
}

impl Weighed {
    pub(super) fn bare(strength: Strength) -> Self {
        Self {
            subject: String::new(),
            expected: String::new(),
            strength,
        }
    }

    fn of(subject: String, expected: String, strength: Strength) -> Self {
        Self {
            subject,
            expected,
            strength,
        }
    }

    /// Both sides of a comparison that stand for something of the program.
    pub(super) fn sides(&self) -> impl Iterator<Item = &str> {
        let sides = [self.subject.as_str(), self.expected.as_str()];
        sides
            .into_iter()
            .filter(|side| !side.is_empty() && !is_literal(side))
    }
}

/// A piece of code, and the same with its strings masked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) code: &'a str,
    pub(super) blank: &'a str,
}

impl<'a> Text<'a> {
    fn part(self, from: usize, to: usize) -> Self {
        Self {
            code: &self.code[from..to],
            blank: &self.blank[from..to],
        }
    }

    fn trim(self) -> Self {
        let from = self.blank.len() - self.blank.trim_start().len();
        self.part(from, from + self.blank.trim().len())
    }

    fn squeezed(self) -> String {
        squeeze(self.code).trim_start_matches('&').to_owned()
    }

    /// The parts between commas that stand outside of all brackets; at least one.
    pub(super) fn split(self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut from = 0;
        for at in self.top_level() {
            if self.blank.as_bytes()[at] == b',' {
                parts.push(self.part(from, at));
                from = at + 1;
            }
        }
        let last = self.part(from, self.blank.len());
        if parts.is_empty() || !last.blank.trim().is_empty() {
            parts.push(last);
        }
        parts
    }

    /// The places outside of all brackets.
    fn top_level(self) -> impl Iterator<Item = usize> {
        let mut depth = 0_u32;
        self.blank
            .bytes()
            .enumerate()
            .filter_map(move |(at, letter)| {
                match letter {
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' => {
                        depth = depth.saturating_sub(1);
                        return None;
                    }
                    _ => {}
                }
                let opens = matches!(letter, b'(' | b'[' | b'{');
                (depth == 0 || (depth == 1 && opens)).then_some(at)
            })
    }

    /// The first of these signs outside of all brackets.
    fn find(self, signs: &[&'static str]) -> Option<(usize, &'static str)> {
        let bytes = self.blank.as_bytes();
        self.top_level().find_map(|at| {
            let sign = signs
                .iter()
                .find(|sign| bytes[at..].starts_with(sign.as_bytes()))?;
            Some((at, *sign))
        })
    }

    /// Around a sign.
    fn around(self, at: usize, sign: &str) -> (Self, Self) {
        let right = self.part(at + sign.len(), self.blank.len());
        (self.part(0, at).trim(), right.trim())
    }

    /// `(a == b)` is `a == b`.
    fn without_brackets(self) -> Self {
        let mut text = self.trim();
        while text.blank.starts_with('(') && text.closes_at_the_end() {
            text = text.part(1, text.blank.len() - 1).trim();
        }
        text
    }

    /// Is the bracket that opens this text closed by its last letter?
    fn closes_at_the_end(self) -> bool {
        self.blank.len() > 1 && self.closing() == Some(self.blank.len() - 1)
    }

    /// Where the bracket that opens this text is closed.
    fn closing(self) -> Option<usize> {
        let mut depth = 0_i64;
        self.blank.bytes().position(|letter| {
            match letter {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth -= 1,
                _ => {}
            }
            depth == 0
        })
    }

    /// The last call outside of all brackets, if nothing follows it: what stands in front of
    /// its bracket, and what is in it.
    fn last_call(self) -> Option<(Self, Self)> {
        let text = self.trim();
        let bytes = text.blank.as_bytes();
        let open = text.top_level().filter(|at| bytes[*at] == b'(').last()?;
        let call = text.part(open, text.blank.len());
        call.closes_at_the_end().then(|| {
            let inside = call.part(1, call.blank.len() - 1);
            (text.part(0, open), inside)
        })
    }
}

/// A number, a text, or one of the words that stand for themselves.
pub(super) fn is_literal(squeezed: &str) -> bool {
    let number = squeezed
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit())
        && squeezed
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b));
    let inside = squeezed
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let word = matches!(
        squeezed,
        "true"
            | "false"
            | "True"
            | "False"
            | "TRUE"
            | "FALSE"
            | "null"
            | "None"
            | "nil"
            | "NULL"
            | "nullptr"
            | "undefined"
            | "[]"
            | "{}"
            | "()"
    );
    number || word || inside.is_some_and(|inside| !inside.contains('"'))
}

fn is_true(squeezed: &str) -> bool {
    matches!(squeezed, "true" | "True" | "TRUE" | ":true")
}

fn is_nothing(squeezed: &str) -> bool {
    matches!(
        squeezed,
        "null" | "None" | "nil" | "NULL" | "nullptr" | "undefined"
    )
}

/// `assert_eq!(a, b)`, `assertThat(a, is(b))`, `require.NoError(t, err)`: an assertion by name.
pub(super) fn matcher(language: Language, name: &str, arguments: &[Text<'_>]) -> Weighed {
    // Go hands over the test first.
    let is_test = |text: &Text<'_>| matches!(text.code.trim(), "t" | "b" | "s.T()");
    let skip = language == Language::Go && arguments.first().is_some_and(is_test);
    let arguments = &arguments[usize::from(skip)..];
    let first = arguments.first().copied().unwrap_or(Text {
        code: "",
        blank: "",
    });
    let second = arguments.get(1).map(|text| text.squeezed());
    let (core, negated) = core(name);
    let is_identity = matches!(name, "assertIs" | "assertIsNot" | "assert_is");
    if core == "error" && skip {
        return Weighed::of(first.squeezed(), String::new(), Strength::Exists);
    }
    if core.is_empty() && negated && !is_identity {
        return denied(first);
    }
    match meaning(&core, negated) {
        Meaning::Same if core.is_empty() && !is_identity => match (name, arguments) {
            ("assertThat" | "That" | "assert_that", [subject, how, ..]) => {
                hamcrest(subject.squeezed(), *how)
            }
            _ => condition(first),
        },
        Meaning::Same => equality(first.squeezed(), second.unwrap_or_default()),
        Meaning::True => condition(first),
        Meaning::False => denied(first),
        Meaning::Fails => failure(first.squeezed(), arguments),
        Meaning::Other(strength) => {
            Weighed::of(first.squeezed(), second.unwrap_or_default(), strength)
        }
    }
}

fn denied(text: Text<'_>) -> Weighed {
    Weighed::of(
        format!("!{}", text.squeezed()),
        String::new(),
        Strength::Truth,
    )
}

/// That something fails: how exactly is said by the kind of failure and its text.
fn failure(subject: String, arguments: &[Text<'_>]) -> Weighed {
    let is_broad = arguments
        .iter()
        .any(|text| is_broad_failure(&text.squeezed()));
    let strength = if is_broad {
        Strength::Exists
    } else {
        Strength::Exact
    };
    let expected = arguments
        .get(1)
        .map(|text| text.squeezed())
        .unwrap_or_default();
    Weighed::of(subject, expected, strength)
}

/// Kinds of failure that nearly every failure is one of.
fn is_broad_failure(squeezed: &str) -> bool {
    let kind = squeezed
        .trim_end_matches(".class")
        .trim_end_matches("::class");
    matches!(
        kind,
        "Exception"
            | "BaseException"
            | "Throwable"
            | "Error"
            | "StandardError"
            | "std::exception"
            | "System.Exception"
            | "\\Exception"
            | "\\Throwable"
    )
}

/// `is(notNullValue())`, `Is.EqualTo(1)`: how something is matched, as a value.
fn hamcrest(subject: String, how: Text<'_>) -> Weighed {
    let how = how.trim();
    let (named, inside) = how.last_call().unwrap_or((how, how.part(0, 0)));
    let (core, negated) = core(named.code);
    // `is(…)` and `not(…)` say nothing by themselves.
    let wraps = matches!(core.as_str(), "" | "allof" | "anyof");
    let nested = wraps && inside.blank.len() < LONGEST && inside.last_call().is_some();
    if nested {
        let within = hamcrest(subject, inside);
        let strength = if negated {
            within.strength.min(Strength::Loose)
        } else {
            within.strength
        };
        return Weighed { strength, ..within };
    }
    by_meaning(meaning(&core, negated), subject, inside)
}

/// `.toBe(1)`, `.to.not.equal(1)`, `.to eq 1`, `.isNotNull().isEqualTo(1)`: what follows a
/// subject. Of several, the one that proves most.
pub(super) fn chain(language: Language, subject: String, chain: Text<'_>) -> Weighed {
    if language == Language::Ruby {
        return rspec(subject, chain);
    }
    let mut best = Weighed::bare(Strength::Nothing);
    let mut from = 0;
    let opens: Vec<usize> = chain
        .top_level()
        .filter(|at| chain.blank.as_bytes()[*at] == b'(')
        .collect();
    for open in opens {
        let rest = chain.part(open, chain.blank.len());
        let close = rest
            .closing()
            .map_or(chain.blank.len(), |close| open + close);
        let inside = chain.part(open + 1, close.max(open + 1));
        let weighed = link(chain.part(from, open), subject.clone(), inside);
        if weighed.strength >= best.strength {
            best = weighed;
        }
        from = (close + 1).min(chain.blank.len());
    }
    let rest = chain.part(from, chain.blank.len());
    if words(rest.blank).next().is_some() {
        let weighed = link(rest, subject, chain.part(0, 0));
        if weighed.strength >= best.strength {
            best = weighed;
        }
    }
    best
}

fn link(named: Text<'_>, subject: String, inside: Text<'_>) -> Weighed {
    let (core, negated) = core(named.blank);
    by_meaning(meaning(&core, negated), subject, inside)
}

/// RSpec writes the matcher behind a space.
fn rspec(subject: String, chain: Text<'_>) -> Weighed {
    let chain = chain.trim();
    // A block is the subject of `expect { … }`, and was read as its argument.
    let Some((at, how)) =
        words(chain.blank).find(|(_, w)| matches!(*w, "to" | "not_to" | "to_not"))
    else {
        return Weighed::bare(Strength::Exact);
    };
    let rest = chain.part(at + how.len(), chain.blank.len()).trim();
    let end = rest.blank.find([' ', '(']).unwrap_or(rest.blank.len());
    let (core, negated) = core(&rest.blank[..end]);
    let negated = negated != (how != "to");
    let inside = rest.part(end, rest.blank.len()).without_brackets();
    // `be >= 3` compares.
    let is_bound = core.is_empty() && inside.blank.starts_with(['<', '>']);
    let meaning = if is_bound {
        Meaning::Other(Strength::Loose)
    } else {
        meaning(&core, negated)
    };
    by_meaning(meaning, subject, inside)
}

fn by_meaning(meaning: Meaning, subject: String, inside: Text<'_>) -> Weighed {
    let first = inside.split().swap_remove(0).squeezed();
    match meaning {
        Meaning::Same => equality(subject, first),
        Meaning::True if is_literal(&subject) => Weighed::bare(Strength::Nothing),
        Meaning::True => Weighed::of(subject, first, Strength::Truth),
        Meaning::False => Weighed::of(format!("!{subject}"), first, Strength::Truth),
        Meaning::Fails if first.is_empty() || is_broad_failure(&first) => {
            Weighed::of(subject, first, Strength::Loose)
        }
        Meaning::Fails => Weighed::of(subject, first, Strength::Exact),
        Meaning::Other(strength) => Weighed::of(subject, first, strength),
    }
}

fn equality(left: String, right: String) -> Weighed {
    let both_fixed = is_literal(&left) && is_literal(&right);
    // The same call twice shows that it gives the same twice, which is something.
    let the_same = left == right && !left.contains('(');
    if both_fixed || the_same {
        return Weighed::bare(Strength::Nothing);
    }
    if is_true(&right) {
        return Weighed::of(left, String::new(), Strength::Truth);
    }
    if is_true(&left) {
        return Weighed::of(right, String::new(), Strength::Truth);
    }
    let strength = if is_about(&left) || is_about(&right) {
        Strength::Loose
    } else {
        Strength::Exact
    };
    Weighed::of(left, right, strength)
}

/// Values that are equal to many.
fn is_about(squeezed: &str) -> bool {
    let signs = [
        "approx(",
        "anything(",
        "expect.any(",
        "Containing(",
        "containing(",
        "StringMatching(",
        "stringMatching(",
        "mock.ANY",
        "closeTo(",
    ];
    squeezed == "ANY" || signs.iter().any(|sign| squeezed.contains(sign))
}

/// What the name of a matcher means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Same,
    True,
    False,
    Fails,
    Other(Strength),
}

fn meaning(core: &str, negated: bool) -> Meaning {
    let other = |plain, negated_is| Meaning::Other(if negated { negated_is } else { plain });
    match core {
        "" | "eq" | "eql" | "equal" | "equals" | "equalto" | "same" | "sameas" | "strictequal"
        | "deepequal" | "deepstrictequal" | "identical" | "streq" => {
            if negated {
                Meaning::Other(Strength::Loose)
            } else {
                Meaning::Same
            }
        }
        "true" | "ok" | "truthy" | "succeeds" => {
            if negated {
                Meaning::False
            } else {
                Meaning::True
            }
        }
        "false" | "falsy" | "falsey" => {
            if negated {
                Meaning::True
            } else {
                Meaning::False
            }
        }
        "null" | "nil" | "none" | "undefined" | "empty" | "nullvalue" | "blank" => {
            other(Strength::Exact, Strength::Exists)
        }
        "defined" | "exist" | "exists" | "present" | "some" | "called" | "invoked" => {
            other(Strength::Exists, Strength::Exact)
        }
        "nothrow" | "noexception" | "nothingraised" | "nothingthrown" => {
            Meaning::Other(Strength::Exists)
        }
        core if is_failure(core) && negated => Meaning::Other(Strength::Exists),
        core if is_failure(core) => Meaning::Fails,
        core if is_loose(core) || negated => Meaning::Other(Strength::Loose),
        _ => Meaning::Other(Strength::Exact),
    }
}

fn is_failure(core: &str) -> bool {
    let signs = ["throw", "raise", "exception", "reject", "panic"];
    core == "fails" || core == "failswith" || signs.iter().any(|sign| core.starts_with(sign))
}

fn is_loose(core: &str) -> bool {
    let is_match =
        core.starts_with("match") && !core.contains("snapshot") && !core.contains("array");
    is_one_of(LOOSE, core) || begins_with_one_of(BEGINS_LOOSE, core) || is_match
}

/// Matchers of a bound, a part or a kind.
const LOOSE: &str = "in a an ne gt ge gte lt le lte least most item";

/// The same, with more words behind.
const BEGINS_LOOSE: &str = "\
    contain include greater less above below near almost close approx within between like regex \
    startwith startswith startingwith endwith endswith endingwith subset superset subsequence \
    anyof oneof any instance aninstance subclass kindof typeof allclose delta indelta inepsilon \
    atleast atmost property key";

/// Words that only make a matcher read well; a longer one comes before its own beginning.
const FILLERS: &str = "\
    prop boost assert expect check require that to is been be are have has does rejects resolves \
    eventually and with";

/// A matcher's name without the words that only make it read well, and whether it says "not".
fn core(name: &str) -> (String, bool) {
    let mut joined: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    let mut negated = false;
    loop {
        let is_whole = ["between", "rejects", "exception", "within"].contains(&joined.as_str())
            || joined.starts_with("without");
        if is_whole {
            return (joined, negated);
        }
        // `notNull` is "not null", and `nothrow` is a word of its own.
        let not = ["refute", "not", "never"]
            .into_iter()
            .find(|no| joined.starts_with(no));
        if let Some(not) = not.filter(|_| !joined.starts_with("nothing")) {
            if joined == "nothrow" {
                return (joined, negated);
            }
            negated = !negated;
            joined.drain(..not.len());
            continue;
        }
        let mut fillers = FILLERS.split_ascii_whitespace();
        match fillers.find(|filler| joined.starts_with(filler)) {
            Some(filler) => joined.drain(..filler.len()),
            None => return (joined, negated),
        };
    }
}

/// A longer condition is not taken apart, in bytes.
const LONGEST: usize = 1_000;

/// What a condition says that has to be true.
pub(super) fn condition(text: Text<'_>) -> Weighed {
    if text.blank.len() > LONGEST {
        return Weighed::bare(Strength::Exact);
    }
    let text = text.without_brackets();
    let whole = text.squeezed();
    let always = is_true(&whole) || (is_literal(&whole) && !is_nothing(&whole) && whole != "0");
    if always {
        return Weighed::bare(Strength::Nothing);
    }
    if let Some((at, sign)) = text.find(&["||", " or "]) {
        let (left, right) = text.around(at, sign);
        let (left, right) = (condition(left), condition(right));
        let weaker = left.strength.min(right.strength).min(Strength::Loose);
        return Weighed {
            strength: weaker,
            ..left
        };
    }
    if let Some((at, sign)) = text.find(&["&&", " and "]) {
        return condition(text.around(at, sign).0);
    }
    compared(text)
        .or_else(|| by_last_call(text))
        .unwrap_or_else(|| Weighed::of(whole, String::new(), Strength::Truth))
}

const COMPARISONS: &[&str] = &[
    "===",
    "!==",
    "==",
    "!=",
    ">=",
    "<=",
    "=~",
    " < ",
    " > ",
    " is not ",
    " is ",
    " not in ",
    " in ",
    " instanceof ",
];

/// A comparison of two sides.
fn compared(text: Text<'_>) -> Option<Weighed> {
    let (at, sign) = text.find(COMPARISONS)?;
    let (left, right) = text.around(at, sign);
    let (left, right) = (left.squeezed(), right.squeezed());
    Some(match sign {
        "==" | "===" | " is " => equality(left, right),
        "!=" | "!==" | " is not " if is_nothing(&right) => {
            Weighed::of(left, right, Strength::Exists)
        }
        " in " | " not in " => Weighed::of(right, left, Strength::Loose),
        _ if is_literal(&left) && is_literal(&right) => Weighed::bare(Strength::Nothing),
        _ => Weighed::of(left, right, Strength::Loose),
    })
}

/// `x.is_some()`, `text.contains("a")`, `isinstance(x, T)`.
fn by_last_call(text: Text<'_>) -> Option<Weighed> {
    let (before, inside) = text.last_call()?;
    let (owner, name) = match before.blank.rfind('.') {
        Some(at) => (before.part(0, at), &before.blank[at + 1..]),
        None => (before.part(0, 0), before.blank),
    };
    let mut arguments = inside.split().into_iter();
    let first = arguments
        .next()
        .map_or_else(String::new, |text| text.squeezed());
    let second = arguments
        .next()
        .map_or_else(String::new, |text| text.squeezed());
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    let about_owner = owner
        .blank
        .chars()
        .next()
        .is_some_and(|letter| letter != '!');
    let (subject, expected) = match owner.blank {
        "" | "strings" | "bytes" | "slices" => (first, second),
        _ => (owner.squeezed(), first),
    };
    let exists = ["issome", "isok", "iserr", "ispresent", "issuccess"];
    let parts = [
        "contains",
        "includes",
        "include",
        "startswith",
        "endswith",
        "matches",
        "ismatch",
        "contain",
        "match",
        "containskey",
        "hasattr",
        "isinstance",
        "strcontains",
        "inarray",
        "hasprefix",
        "hassuffix",
    ];
    if about_owner && exists.contains(&plain.as_str()) {
        return Some(Weighed::of(subject, expected, Strength::Exists));
    }
    let is_part = parts.contains(&plain.as_str());
    is_part.then(|| Weighed::of(subject, expected, Strength::Loose))
}

/// What is asserted by failing when this is true.
pub(super) fn opposite(text: Text<'_>) -> Option<Weighed> {
    let text = text.trim();
    if let Some((at, sign)) = text.find(&["==", "!=", ">=", "<=", " < ", " > "]) {
        let (left, right) = text.around(at, sign);
        let (left, right) = (left.squeezed(), right.squeezed());
        let strength = match sign {
            "!=" => Strength::Exact,
            "==" if is_nothing(&right) => Strength::Exists,
            _ => Strength::Loose,
        };
        return Some(Weighed::of(left, right, strength));
    }
    let denied = text.blank.strip_prefix('!')?;
    let text = text.part(text.blank.len() - denied.len(), text.blank.len());
    let (named, inside) = text.last_call()?;
    let mut arguments = inside.split().into_iter();
    let first = arguments.next()?.squeezed();
    let second = arguments
        .next()
        .map_or_else(String::new, |text| text.squeezed());
    let is_equal = named.blank.ends_with("Equal");
    let strength = if is_equal {
        Strength::Exact
    } else {
        Strength::Loose
    };
    Some(Weighed::of(first, second, strength))
}

/// `[ "$got" = "$want" ]` of a shell.
pub(super) fn shell_test<'a>(first: &str, mut tokens: impl Iterator<Item = &'a str>) -> Weighed {
    if !matches!(first, "[" | "[[" | "test") {
        return Weighed::bare(Strength::Exact);
    }
    let one = tokens.next().unwrap_or_default();
    let two = tokens.next().unwrap_or_default();
    let three = tokens.next().unwrap_or_default();
    // `"$x"` is no text but a value.
    let plain = |word: &str| squeeze(word).trim_matches('"').to_owned();
    let of = |subject: &str, expected: &str, strength| {
        Weighed::of(plain(subject), plain(expected), strength)
    };
    match (one, two) {
        ("-n" | "-e" | "-f" | "-d" | "-s", subject) => of(subject, "", Strength::Exists),
        (subject, "=" | "==" | "-eq") if three.contains('*') => of(subject, three, Strength::Loose),
        (subject, "=" | "==" | "-eq") => equality(plain(subject), plain(three)),
        (subject, "!=" | "-ne" | "-ge" | "-le" | "-gt" | "-lt" | "=~") => {
            of(subject, three, Strength::Loose)
        }
        _ => Weighed::bare(Strength::Exact),
    }
}
