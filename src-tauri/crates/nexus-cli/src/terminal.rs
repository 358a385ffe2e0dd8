//! The terminal: what is printed where, and made harmless first.

#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

use std::io::{self, BufRead, IsTerminal, Write};

/// A line of data, on stdout.
pub(crate) fn say(line: &str) {
    // A reader that has gone away wants no more.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A line of progress, on stderr.
pub(crate) fn tell(line: &str) {
    eprintln!("{line}");
}

/// An error, on stderr.
pub(crate) fn complain(error: &str) {
    eprintln!("nexus: {}", clean(error));
}

/// Text of others without anything that a terminal would obey: control characters, escape
/// sequences, direction marks.
pub(crate) fn clean(text: &str) -> String {
    let obeyed = |letter: char| {
        (letter.is_control() && letter != '\n' && letter != '\t')
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars()
        .map(|letter| if obeyed(letter) { '\u{fffd}' } else { letter })
        .collect()
}

/// The first line of a text, made harmless and short.
pub(crate) fn line(text: &str, limit: usize) -> String {
    let text = clean(text.lines().next().unwrap_or_default());
    if text.chars().count() <= limit {
        return text;
    }
    text.chars()
        .take(limit.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Is a person there who can be asked?
pub(crate) fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks the person and waits for a line. `None` when they closed the terminal.
pub(crate) fn ask(question: &str) -> Option<String> {
    eprint!("{question} ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(answer.trim().to_owned()),
    }
}

/// Reads a secret: hidden when typed, else the first line of stdin.
pub(crate) fn ask_secret(question: &str) -> io::Result<String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(question);
    }
    let mut value = String::new();
    io::stdin().lock().read_line(&mut value)?;
    Ok(value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_of_what_an_agent_says() {
        let hostile = "a\u{1b}]52;c;aGk=\u{7}b\u{1b}[2Jc\u{202e}d\u{9b}e\rf";
        let shown = clean(hostile);
        assert!(!shown.chars().any(|c| c.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
        assert_eq!(clean("two\nlines\tand a tab"), "two\nlines\tand a tab");
    }

    #[test]
    fn a_line_is_cut_at_its_limit() {
        assert_eq!(line("abcdef\nsecond", 4), "abc…");
        assert_eq!(line("abc", 4), "abc");
    }
}
