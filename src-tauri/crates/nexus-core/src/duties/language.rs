//! How a language writes comments and strings, so that a word in one of them is not taken for
//! code.

use crate::ProjectPath;

/// What a file is written in, as far as tests of that language are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Python,
    /// JavaScript and TypeScript.
    Script,
    Go,
    /// Java, Kotlin and Groovy.
    Jvm,
    CSharp,
    Ruby,
    Php,
    Shell,
    /// C and C++.
    C,
    Other,
}

impl Language {
    pub(super) fn of(path: &ProjectPath) -> Self {
        match path.as_str().rsplit('.').next().unwrap_or_default() {
            "rs" => Self::Rust,
            "py" | "pyi" => Self::Python,
            "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts" => Self::Script,
            "go" => Self::Go,
            "java" | "kt" | "kts" | "groovy" => Self::Jvm,
            "cs" => Self::CSharp,
            "rb" => Self::Ruby,
            "php" => Self::Php,
            "sh" | "bash" | "zsh" | "bats" => Self::Shell,
            "c" | "cc" | "cpp" | "cxx" | "h" | "hh" | "hpp" | "mm" => Self::C,
            _ => Self::Other,
        }
    }

    /// Is `'` the sign of a single letter, and not of a text?
    fn has_letters(self) -> bool {
        match self {
            Self::Rust | Self::Go | Self::Jvm | Self::CSharp | Self::C => true,
            Self::Python | Self::Script | Self::Ruby | Self::Php | Self::Shell | Self::Other => {
                false
            }
        }
    }
}

/// How comments are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comments {
    /// `// …` and `/* … */`.
    Slashes,
    /// `# …`, even right behind code.
    Hash,
    /// `# …` behind white space: elsewhere the sign means something else.
    SpacedHash,
    SlashesAndHash,
    None,
}

impl Comments {
    pub(super) fn of(path: &ProjectPath) -> Self {
        match Language::of(path) {
            Language::Rust
            | Language::Script
            | Language::Go
            | Language::Jvm
            | Language::CSharp
            | Language::C => Self::Slashes,
            Language::Python => Self::Hash,
            Language::Ruby | Language::Shell => Self::SpacedHash,
            Language::Php => Self::SlashesAndHash,
            Language::Other => Self::by_extension(path.as_str()),
        }
    }

    fn by_extension(path: &str) -> Self {
        let file = path.rsplit('/').next().unwrap_or_default();
        match file.rsplit('.').next().unwrap_or_default() {
            "json" | "md" | "mdx" | "txt" | "xml" | "html" | "rst" | "snap" | "csv" => Self::None,
            "scala" | "swift" | "dart" | "gradle" | "Jenkinsfile" | "json5" | "jsonc" | "css"
            | "scss" | "vue" | "svelte" | "zig" => Self::Slashes,
            _ => Self::SpacedHash,
        }
    }

    /// How many bytes of comment begin here.
    fn at(self, rest: &[u8], before: Option<u8>) -> Option<usize> {
        let spaced = before.is_none_or(|letter| letter.is_ascii_whitespace());
        match self {
            Self::Slashes => slashes(rest),
            Self::Hash => (rest[0] == b'#').then_some(rest.len()),
            Self::SpacedHash => (spaced && rest[0] == b'#').then_some(rest.len()),
            Self::SlashesAndHash => {
                let hash = spaced && rest[0] == b'#' && rest.get(1) != Some(&b'[');
                slashes(rest).or(hash.then_some(rest.len()))
            }
            Self::None => None,
        }
    }

    fn has_blocks(self) -> bool {
        matches!(self, Self::Slashes | Self::SlashesAndHash)
    }
}

fn slashes(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"//") {
        return Some(rest.len());
    }
    let inside = rest.strip_prefix(b"/*")?;
    let end = inside.windows(2).position(|pair| pair == b"*/");
    Some(end.map_or(rest.len(), |end| end + 4))
}

/// A line of a patch, with its code and its comment told apart.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) raw: &'a str,
    /// The line with white space where its comments are.
    pub(super) code: String,
    /// As `code`, byte for byte, with `_` for what is inside of strings.
    pub(super) blank: String,
    /// The last comment of the line.
    pub(super) comment: &'a str,
}

/// A longer line was made by a program; its beginning tells enough.
const LONGEST_LINE: usize = 4_000;

impl<'a> Line<'a> {
    pub(super) fn read(raw: &'a str, language: Language, comments: Comments) -> Self {
        let raw = &raw[..raw.floor_char_boundary(LONGEST_LINE)];
        if comments.has_blocks() && is_inside_block(raw) {
            return Self {
                raw,
                code: String::new(),
                blank: String::new(),
                comment: raw,
            };
        }
        let bytes = raw.as_bytes();
        let mut line = Masks {
            code: bytes.to_vec(),
            blank: bytes.to_vec(),
        };
        let mut comment = "";
        let mut at = 0;
        while at < bytes.len() {
            let before = at.checked_sub(1).map(|at| bytes[at]);
            if let Some(length) = comments.at(&bytes[at..], before) {
                line.wipe(at, at + length);
                comment = raw.get(at..at + length).unwrap_or_default();
                at += length;
            } else if let Some(end) = string_end(bytes, at, language) {
                line.mask(at + 1, end);
                at = end + 1;
            } else {
                at += 1;
            }
        }
        Self {
            raw,
            code: text(line.code),
            blank: text(line.blank),
            comment,
        }
    }

    /// Is there nothing but white space and comments?
    pub(super) fn is_bare(&self) -> bool {
        self.code.trim().is_empty()
    }

    /// How far the line is from the left; a tab counts as four.
    pub(super) fn indent(&self) -> usize {
        let white = self.raw.chars().take_while(|letter| letter.is_whitespace());
        white.map(|letter| if letter == '\t' { 4 } else { 1 }).sum()
    }
}

struct Masks {
    code: Vec<u8>,
    blank: Vec<u8>,
}

impl Masks {
    fn wipe(&mut self, from: usize, to: usize) {
        self.code[from..to].fill(b' ');
        self.blank[from..to].fill(b' ');
    }

    fn mask(&mut self, from: usize, to: usize) {
        let to = to.min(self.blank.len());
        if from < to {
            self.blank[from..to].fill(b'_');
        }
    }
}

/// Only whole letters are masked, so nothing is lost here.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A line of a comment that began above: ` * text`.
fn is_inside_block(raw: &str) -> bool {
    let rest = raw.trim_start().strip_prefix('*');
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '/', '*']))
}

/// Where the string that begins here ends: the place of its closing quote, or the end of the
/// line. `None` if no string begins here.
fn string_end(bytes: &[u8], at: usize, language: Language) -> Option<usize> {
    let quote = bytes[at];
    let before = at.checked_sub(1).map(|at| bytes[at]);
    let in_word = before.is_some_and(|letter| letter.is_ascii_alphanumeric());
    let opens = match quote {
        b'"' => true,
        b'\'' if language.has_letters() => return letter_end(bytes, at),
        // An apostrophe in a word opens nothing; in Python a word may stand before a string.
        b'\'' => language == Language::Python || !in_word,
        b'`' => matches!(language, Language::Script | Language::Go),
        _ => false,
    };
    opens.then(|| {
        let mut end = at + 1;
        while end < bytes.len() && bytes[end] != quote {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        end.min(bytes.len())
    })
}

/// The end of `'x'` or `'\n'`; a lifetime is no letter.
fn letter_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at + 1..];
    let escaped = rest.first() == Some(&b'\\');
    let from = if escaped { 2 } else { 1 };
    let reach = if escaped { 12 } else { 4 };
    let near = rest.get(from..rest.len().min(from + reach))?;
    let end = near.iter().position(|letter| *letter == b'\'')?;
    // More than one byte between the quotes is one letter only if it is not plain text.
    let one_letter = escaped || end == 0 || !rest[0].is_ascii();
    one_letter.then_some(at + 1 + from + end)
}

/// The words of a text, each with its place: letters, digits and `_`, not beginning with a digit.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let from = at;
            while at < bytes.len() && is_word_letter(bytes[at]) {
                at += 1;
            }
            if at == from {
                at += 1;
            } else if !bytes[from].is_ascii_digit() {
                return Some((from, &text[from..at]));
            }
        }
        None
    })
}

pub(super) fn is_word_letter(letter: u8) -> bool {
    letter.is_ascii_alphanumeric() || letter == b'_'
}

/// A text without white space, with one kind of quote, and without commas that close nothing
/// off: what is left when somebody only reformats.
pub(super) fn squeeze(text: &str) -> String {
    let mut squeezed = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_whitespace()) {
        match letter {
            '\'' | '`' => squeezed.push('"'),
            ')' | ']' | '}' => {
                if squeezed.ends_with(',') {
                    squeezed.pop();
                }
                squeezed.push(letter);
            }
            letter => squeezed.push(letter),
        }
    }
    squeezed
}

/// The small words in a name: `maxDiff_pixels` has `max`, `diff` and `pixels`.
pub(super) fn small_words(name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut before = ' ';
    for letter in name.chars() {
        let is_part = letter.is_alphanumeric();
        let begins = !before.is_alphanumeric() || (letter.is_uppercase() && before.is_lowercase());
        if is_part && begins {
            found.push(String::new());
        }
        if is_part && let Some(word) = found.last_mut() {
            word.extend(letter.to_lowercase());
        }
        before = letter;
    }
    found
}

/// Is this word in a list of words with white space between?
pub(super) fn is_one_of(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == word)
}

/// Does a text begin with a word of such a list?
pub(super) fn begins_with_one_of(list: &str, text: &str) -> bool {
    list.split_ascii_whitespace()
        .any(|known| text.starts_with(known))
}
