//! Takes what looks like a secret out of text that is quoted to a model.
//!
//! There is no telling for sure, so it rather takes too much: a planner does not need the
//! words that go missing. Three things give a secret away: the name it is given, the form in
//! which services write theirs, and letters that no language puts together.

use std::ops::Range;

/// What stands for a secret.
const MASK: &str = "(masked)";

/// The text without what looks like a secret.
pub(super) fn masked(text: &str) -> String {
    let text = without_blocks(text);
    text.split_inclusive('\n').map(masked_line).collect()
}

/// How `text` begins, in at most `limit` bytes and without what looks like a secret. Says
/// whether it goes on.
pub(super) fn masked_beginning(text: &str, limit: usize) -> (String, bool) {
    let looked_at = &text[..text.floor_char_boundary(limit + LOOK_BEYOND)];
    let mut told = masked(looked_at);
    let goes_on = told.len() > limit || looked_at.len() < text.len();
    told.truncate(told.floor_char_boundary(limit));
    (told, goes_on)
}

/// So much more than what is told is looked at, so that half a secret at its end is known.
pub(super) const LOOK_BEYOND: usize = 1024;

/// Without PEM blocks. One that has no end in this text goes on to the text's end.
fn without_blocks(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    const DASHES: &str = "-----";
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, block)) = rest.split_once(BEGIN) {
        kept.push_str(before);
        kept.push_str(MASK);
        let after = block.split_once(END).map(|(_, label)| label);
        rest = after
            .and_then(|label| label.split_once(DASHES))
            .map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

fn masked_line(line: &str) -> String {
    let mut found = named(line);
    found.extend(logins(line));
    found.extend(bearers(line));
    found.extend(tokens(line));
    found.sort_by_key(|range| range.start);
    let mut text = String::new();
    let mut told = 0;
    for range in found {
        if range.start >= told {
            text.push_str(&line[told..range.start]);
            text.push_str(MASK);
        }
        told = told.max(range.end);
    }
    text.push_str(&line[told..]);
    text
}

// ---- what has the name of a secret ------------------------------------------------------

/// What a name says of its value, wherever it is in the name; without case and signs.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "authkey",
    "accountkey",
    "sharedkey",
    "connectionstring",
    "authorization",
];
/// What a name says of its value at its end.
const NAME_ENDINGS: &[&str] = &["token", "pwd"];
/// Values that are no secrets whatever they are called.
const PLAIN_VALUES: &[&str] = &["true", "false", "null", "none", "nil", "undefined"];
/// So many words before a name still make a line that is about it.
const LEADING_WORDS: usize = 4;

/// Values whose name is that of a secret: `NAME=value`, `"name": "value"`, `--name value`,
/// `<name>value</name>`.
fn named(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, sign) in line.char_indices() {
        if !matches!(sign, ':' | '=' | '>' | ' ') {
            continue;
        }
        let Some(name) = name_before(line, at) else {
            continue;
        };
        let opened = &line[..name.start];
        let is_path = line[at + 1..].starts_with(':') || line[..at].ends_with(':');
        let fits = match sign {
            ':' => !is_path,
            ' ' => opened.ends_with("--"),
            '>' => opened.ends_with('<'),
            _ => true,
        };
        if !fits || !is_secret(&line[name.clone()]) {
            continue;
        }
        if sign == '>' {
            let rest = &line[at + 1..];
            let end = rest.find('<').unwrap_or(rest.trim_end().len());
            found.push(at + 1..at + 1 + end);
            continue;
        }
        let leads = sign != ' ' && is_leading(opened);
        found.extend(values(line, at + 1, leads));
    }
    found.retain(|range| !range.is_empty());
    found
}

/// The name that ends before `at`, as far as quotes and the like do not part them.
fn name_before(line: &str, at: usize) -> Option<Range<usize>> {
    let closing = |letter: char| matches!(letter, ' ' | '\t' | '"' | '\'' | '`' | ']' | ')' | '*');
    let end = if line[at..].starts_with(' ') {
        at
    } else {
        line[..at].trim_end_matches(closing).len()
    };
    let part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    let start = line[..end].trim_end_matches(part).len();
    // The dashes of an option are no part of its name.
    let start = start + line[start..end].len() - line[start..end].trim_start_matches('-').len();
    (start < end).then_some(start..end)
}

fn is_secret(name: &str) -> bool {
    let bare: String = name
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let last = name.rsplit(|letter: char| !letter.is_alphanumeric()).next();
    NAMES.iter().any(|part| bare.contains(part))
        || NAME_ENDINGS.iter().any(|end| bare.ends_with(end))
        || last.is_some_and(|last| last.eq_ignore_ascii_case("pass"))
        || name == "_auth"
}

/// Is the name the first thing that its line is about? Then the value is all that follows.
fn is_leading(before: &str) -> bool {
    let signs = [':', '=', ',', '{', '(', '?', '&', '/', '<'];
    !before.contains(signs) && before.split_whitespace().count() <= LEADING_WORDS
}

/// The values behind a name, up to the end of the line where the line is about it.
fn values(line: &str, from: usize, leads: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut next = Some(from);
    while let Some(start) = next {
        let start = start + blanks(&line[start..], &[' ', '\t', '=', '>', ':']);
        let value = value_at(line, start, leads);
        let after = line[value.end..].trim_start_matches(['"', '\'', '`', ' ']);
        let words = &line[value.clone()];
        // `password: str = "…"`, `Authorization: Bearer …`
        let goes_on = after.starts_with('=') || is_scheme(words);
        next = (goes_on && !value.is_empty()).then_some(value.end);
        if !is_plain(words) {
            found.push(value);
        }
    }
    found
}

/// How many bytes of these signs are at the beginning of `text`.
fn blanks(text: &str, signs: &[char]) -> usize {
    text.len() - text.trim_start_matches(signs).len()
}

fn value_at(line: &str, start: usize, leads: bool) -> Range<usize> {
    let rest = &line[start..];
    let mut letters = rest.chars();
    let first = letters.next();
    let quote = first.filter(|letter| matches!(letter, '"' | '\'' | '`'));
    let whole_line = start..start + rest.trim_end().len();
    match quote {
        // Three of them begin a text of several lines.
        Some(quote) if rest.starts_with(&[quote, quote, quote].iter().collect::<String>()) => {
            whole_line
        }
        Some(quote) => {
            let inside = start + 1;
            inside..inside + closing_quote(letters.as_str(), quote)
        }
        None if leads => whole_line,
        None => {
            let ends = |letter: char| letter.is_whitespace() || ",;&)}]\"'`<>|".contains(letter);
            let end = rest.find(ends).unwrap_or(rest.len());
            start..start + end
        }
    }
}

/// Where the quote ends; at the end of the line if it is not closed.
fn closing_quote(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at,
            _ => {}
        }
    }
    text.len()
}

fn is_scheme(words: &str) -> bool {
    ["bearer", "basic", "token"]
        .iter()
        .any(|scheme| words.eq_ignore_ascii_case(scheme))
}

/// Nothing, a word that keeps no secret, or where the value is to be found.
fn is_plain(value: &str) -> bool {
    let value = value.trim_end_matches([',', ';']);
    let is_name = |name: &str| {
        let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        !name.is_empty() && name.chars().all(part)
    };
    let braced = |name: &str| Some(name.strip_prefix('{')?.strip_suffix('}')?.to_owned());
    let reference = value.strip_prefix('$').map(|name| {
        let name = braced(name).unwrap_or_else(|| name.to_owned());
        is_name(&name)
    });
    value.is_empty()
        || reference == Some(true)
        || PLAIN_VALUES
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word))
}

// ---- what is in an address or a header --------------------------------------------------

/// Names and passwords in addresses: `scheme://name:password@host`.
fn logins(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, sign) in line.match_indices("://") {
        let start = at + sign.len();
        let ends = |letter: char| letter.is_whitespace() || "/?#\"'`<>".contains(letter);
        let authority = line[start..].split(ends).next().unwrap_or_default();
        let login = authority.rsplit_once('@').map(|(login, _)| login);
        // A bare short name, as in `ssh://git@host`, is no secret.
        if let Some(login) = login
            && (login.contains(':') || login.len() >= SHORTEST_TOKEN)
        {
            found.push(start..start + login.len());
        }
    }
    found
}

/// Shorter words are no tokens.
const SHORTEST_TOKEN: usize = 16;

/// The word after `Bearer`, where it is none of a language.
fn bearers(line: &str) -> Vec<Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for (at, word) in lower.match_indices("bearer ") {
        let start = at + word.len();
        let length = line[start..].bytes().take_while(is_token_byte).count();
        if length >= SHORTEST_TOKEN {
            found.push(start..start + length);
        }
    }
    found
}

// ---- what looks like nothing else -------------------------------------------------------

/// How services begin their secrets, and how many letters at least follow.
const PREFIXES: &[(&str, usize)] = &[
    ("sk-", 16),
    ("sk_live_", 10),
    ("sk_test_", 10),
    ("rk_live_", 10),
    ("rk_test_", 10),
    ("whsec_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("xoxa-", 10),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xoxr-", 10),
    ("xoxs-", 10),
    ("xapp-", 10),
    ("hf_", 20),
    ("gsk_", 20),
    ("xai-", 20),
    ("npm_", 30),
    ("pypi-", 30),
    ("SG.", 30),
    ("dop_v1_", 30),
    ("shpat_", 20),
    ("lin_api_", 20),
    ("AGE-SECRET-KEY-", 20),
    // The header of a JSON web token, `{"`, in base 64.
    ("eyJ", 30),
];

fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+/=.~".contains(byte)
}

/// Words in the form of a service's secrets, and long words that no person would write.
fn tokens(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for word in line.split(|letter: char| !u8::try_from(letter).is_ok_and(|b| is_token_byte(&b))) {
        let inside = prefixed(word).into_iter().chain(random(word));
        found.extend(inside.map(|part| start + part.start..start + part.end));
        let after = &line[start + word.len()..];
        start += word.len() + after.chars().next().map_or(0, char::len_utf8);
    }
    found
}

fn prefixed(word: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (prefix, least) in PREFIXES {
        for (at, _) in word.match_indices(prefix) {
            let after_word = word[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric());
            let tail = word[at + prefix.len()..]
                .bytes()
                .take_while(|byte| is_token_byte(byte) && *byte != b'/')
                .count();
            if !after_word && tail >= *least {
                found.push(at..at + prefix.len() + tail);
            }
        }
    }
    found
}

/// Parts of a path are looked at one by one, and only then the whole.
fn random(word: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for part in word.split(['/', '.']) {
        parts.push(start..start + part.len());
        start += part.len() + 1;
    }
    if parts.iter().any(|part| looks_random(&word[part.clone()])) {
        // What is beside it may be more of the same.
        parts.retain(|part| Letters::of(&word[part.clone()]).kinds > 0);
        return parts;
    }
    looks_random(word)
        .then_some(0..word.len())
        .into_iter()
        .collect()
}

/// What the letters of a word are like.
#[derive(Default)]
struct Letters {
    count: usize,
    digits: bool,
    small: bool,
    capital: bool,
    /// Neighbours, and among them a digit beside a letter, and a capital behind a small letter.
    /// The small letter behind a capital that begins a word is no sign of chance.
    pairs: usize,
    kinds: usize,
    cases: usize,
}

impl Letters {
    fn of(word: &str) -> Self {
        let mut letters = Self::default();
        let mut before = b'-';
        for byte in word.bytes() {
            if !byte.is_ascii_alphanumeric() {
                before = byte;
                continue;
            }
            letters.count += 1;
            letters.digits |= byte.is_ascii_digit();
            letters.small |= byte.is_ascii_lowercase();
            letters.capital |= byte.is_ascii_uppercase();
            if before.is_ascii_alphanumeric() {
                letters.pairs += 1;
                let other_kind = before.is_ascii_digit() != byte.is_ascii_digit();
                let other_case = before.is_ascii_lowercase() && byte.is_ascii_uppercase();
                letters.kinds += usize::from(other_kind);
                letters.cases += usize::from(other_case);
            }
            before = byte;
        }
        letters
    }
}

/// Letters and digits change places more often than in any word or name.
fn looks_random(word: &str) -> bool {
    const MIXED_LENGTH: usize = 24;
    const LENGTH: usize = 32;
    let letters = Letters::of(word);
    let changes = letters.kinds + letters.cases;
    match (letters.digits, letters.small, letters.capital) {
        (true, true, true) => {
            letters.count >= MIXED_LENGTH
                && (letters.kinds >= 4 || changes * 10 >= letters.pairs * 3)
        }
        (true, true, false) | (true, false, true) => {
            letters.count >= LENGTH && letters.kinds * 5 >= letters.pairs
        }
        (false, _, _) | (true, false, false) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a language's words, without being anybody's key.
    fn chance(length: usize) -> String {
        "q7RtZ0aW4kVx9LmB2sYe8HfD3uJc6NpG5iKo1TgE"
            .chars()
            .cycle()
            .take(length)
            .collect()
    }

    #[test]
    fn the_value_of_a_name_that_is_a_secrets_is_masked() {
        let cases = [
            ("DB_PASSWORD=hunter2", "DB_PASSWORD=(masked)"),
            ("export API_KEY='a b c'", "export API_KEY='(masked)'"),
            ("password: correct horse battery", "password: (masked)"),
            (
                "  clientSecret: \"x\\\"y\",",
                "  clientSecret: \"(masked)\",",
            ),
            (
                "\"apiKey\" : \"abc\", \"n\": 1",
                "\"apiKey\" : \"(masked)\", \"n\": 1",
            ),
            (
                "{\"a\":1,\"token\":\"t0\",\"b\":2}",
                "{\"a\":1,\"token\":\"(masked)\",\"b\":2}",
            ),
            (
                "config['secret_key'] = 'x'",
                "config['secret_key'] = '(masked)'",
            ),
            (
                "curl 'x.example/?access_token=abc&n=1'",
                "curl 'x.example/?access_token=(masked)&n=1'",
            ),
            (
                "mysql --user me --password hunter2 -h x",
                "mysql --user me --password (masked) -h x",
            ),
            ("tool --auth-token=abc run", "tool --auth-token=(masked)"),
            ("- **Password**: `hunter2`", "- **Password**: `(masked)`"),
            (
                "The admin password is: hunter2",
                "The admin password is: hunter2",
            ),
            (
                "The admin password: hunter2",
                "The admin password: (masked)",
            ),
            (
                "<password>hunter2</password>",
                "<password>(masked)</password>",
            ),
            ("Authorization: Basic bWU6aGk=", "Authorization: (masked)"),
            (
                "curl -H \"Authorization: Basic bWU6aGk=\"",
                "curl -H \"Authorization: (masked)",
            ),
            (
                "fetch(x, {authorization: Token abc})",
                "fetch(x, {authorization: (masked) (masked)})",
            ),
            (
                "def open(host, password: str = \"x\"):",
                "def open(host, password: (masked) = \"(masked)\"):",
            ),
            ("_auth=bWU6aGk=", "_auth=(masked)"),
            (
                "//host.example/:_authToken=abc",
                "//host.example/:_authToken=(masked)",
            ),
            (
                "SECRET_KEY_BASE => \"abc\"",
                "SECRET_KEY_BASE => \"(masked)\"",
            ),
            ("let pwd := \"abc\"", "let pwd := \"(masked)\""),
            ("smtp.pass = abc", "smtp.pass = (masked)"),
            ("passphrase = \"\"\"one", "passphrase = (masked)"),
            ("PASSWORD=\"open, never closed", "PASSWORD=\"(masked)"),
            ("passwort: geheim", "passwort: geheim"),
            ("PRIVATE_KEY=größer\nx", "PRIVATE_KEY=(masked)\nx"),
        ];
        for (text, told) in cases {
            assert_eq!(masked(text), told, "{text}");
        }
    }

    #[test]
    fn what_only_sounds_like_a_secret_stays() {
        for text in [
            "max_tokens: 4096",
            "tokenizer = \"bpe\"",
            "compass: north",
            "PASSWORD=$DB_PASSWORD",
            "password: ${DB_PASSWORD}",
            "password = \"\"",
            "\"token\": null,",
            "requires_password: true",
            "We store no passwords.",
            "The Bearer token goes into the header.",
            "see https://host.example/docs?page=2#top",
            "git clone ssh://git@host.example/team/project.git",
            "write to me@host.example",
            "src/components/dashboard/UserProfileEditor2/EditUserById.tsx",
            "x86_64-unknown-linux-gnu and aarch64-apple-darwin",
            "fn getUserByIdAndNameOrNothingAtAll()",
            "2024-05-06-how-we-moved-all-of-our-sums-to-cents.md",
            "use secret_service::SecretService::connect;",
            "a-very-long-name-of-a-branch-that-nobody-wants-to-type-2",
            "risk-free and task-based, sk-learn and AKIA alone",
            "=================================================",
            "| 000000000000000000000000000000000001 |",
            "größer, schöner, weiter: über 10 Straßen",
            "",
            "\n\n",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn what_a_service_would_write_is_masked_without_a_name() {
        for prefix in [
            "sk-",
            "sk-proj-",
            "sk-ant-api03-",
            "sk_live_",
            "ghp_",
            "gho_",
            "ghs_",
            "github_pat_",
            "glpat-",
            "AIza",
            "xoxb-",
            "hf_",
            "npm_",
            "pypi-",
            "SG.",
            "shpat_",
            "eyJ",
        ] {
            let secret = format!("{prefix}{}", chance(40));
            for around in [
                "x",
                "`x`",
                "use x, then",
                "(x)",
                "key/x/more",
                "k=x",
                "ä x ä",
            ] {
                let text = around.replace('x', &secret);
                let told = masked(&text);
                assert!(!told.contains(&chance(12)), "{text}: {told}");
                assert!(told.contains(MASK), "{text}: {told}");
            }
        }
        let key = format!("AKIA{}", "ABCD2345".repeat(2));
        assert_eq!(masked(&format!("id {key}.")), "id (masked)");
        let slowly = format!("sk-{}", "a1".repeat(10));
        assert_eq!(masked(&slowly), MASK);
    }

    #[test]
    fn a_long_word_without_sense_is_masked() {
        let base64 = format!("{}/{}+{}==", chance(10), chance(9), chance(17));
        for secret in [
            chance(24),
            chance(64),
            "9f86d081884c7d659a2feaa0c55ad015".to_owned(),
            "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B".to_owned(),
            "MZXW6YTBOJRGC6LPNFQXG3DPOJSW4Y3U".to_owned(),
        ] {
            assert_eq!(masked(&format!("it is {secret}\n")), "it is (masked)\n");
            assert_eq!(masked(&format!("({secret}, x)")), "((masked), x)");
        }
        assert_eq!(masked(&base64), "(masked)/(masked)");
        let path = format!("assets/{}/index.js", chance(32));
        assert_eq!(masked(&path), "assets/(masked)/index.js");
    }

    #[test]
    fn names_and_passwords_in_addresses_are_masked() {
        let cases = [
            (
                "postgres://me:pw@db.example:5432/x",
                "postgres://(masked)@db.example:5432/x",
            ),
            (
                "https://me:p@ss@host.example/x",
                "https://(masked)@host.example/x",
            ),
            ("amqp://:pw@host", "amqp://(masked)@host"),
            (
                "https://abcdefghijklmnopq@host.example",
                "https://(masked)@host.example",
            ),
        ];
        for (text, told) in cases {
            assert_eq!(masked(text), told);
        }
        let text = format!("curl -H 'X: bearer {}' y", "ab-cd.ef".repeat(3));
        assert_eq!(masked(&text), "curl -H 'X: bearer (masked)' y");
    }

    #[test]
    fn a_block_is_masked_whole_and_one_without_end_to_the_last_letter() {
        let block = "-----BEGIN RSA PRIVATE KEY-----\nabc\ndef\n-----END RSA PRIVATE KEY-----";
        assert_eq!(masked(&format!("a\n{block}\nb")), "a\n(masked)\nb");
        let twice = format!("{block} and {block}");
        assert_eq!(masked(&twice), "(masked) and (masked)");
        let quoted = block.replace('\n', "\\n");
        assert_eq!(masked(&format!("k = \"{quoted}\"")), "k = \"(masked)\"");
        let (open, _) = block.split_once("-----END").unwrap();
        assert_eq!(masked(&format!("a\n{open}ghi")), "a\n(masked)");
        assert_eq!(masked("-----BEGIN X-----\n-----END X"), "(masked)");
    }

    #[test]
    fn a_beginning_does_not_end_with_half_a_secret() {
        let secret = format!("sk-{}", chance(40));
        let text = format!("{} {secret}", "ä".repeat(50));
        for limit in 0..text.len() {
            let (told, goes_on) = masked_beginning(&text, limit);
            assert!(told.len() <= limit && !told.contains("sk-"), "{told}");
            assert_eq!(goes_on, limit < masked(&text).len());
        }
        let flood = "word ".repeat(100_000);
        assert_eq!(masked_beginning(&flood, 7), ("word wo".to_owned(), true));
    }

    #[test]
    fn masking_what_is_masked_changes_nothing() {
        let text = format!("PASSWORD=x\nsk-{}\nhttps://a:b@c.example\n", chance(30));
        let once = masked(&text);
        assert_eq!(masked(&once), once);
    }
}
