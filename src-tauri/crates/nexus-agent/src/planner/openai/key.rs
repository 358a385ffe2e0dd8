//! The key of a model service, and keeping it out of what the service says.

use secrecy::{ExposeSecret, SecretString};
use std::borrow::Cow;

/// What is shorter is no key, and may be part of any word.
const SHORTEST_KEY: usize = 8;
/// What stands for the key.
const MARK: &str = "(the key)";

/// A key that goes to its service and nowhere else.
#[derive(Clone, Debug)]
pub(super) struct Key(SecretString);

impl Key {
    pub(super) fn new(key: SecretString) -> Self {
        Self(key)
    }

    /// The key itself, for the one header it is sent in.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The text without the key.
    pub(super) fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let key = self.expose();
        if key.len() < SHORTEST_KEY || !text.contains(key) {
            return text.into();
        }
        text.replace(key, MARK).into()
    }

    /// How many bytes at the end of `text` may be the beginning of the key.
    fn begun(&self, text: &str) -> usize {
        let key = self.expose();
        if key.len() < SHORTEST_KEY {
            return 0;
        }
        let beginnings = key.char_indices().rev().map(|(end, _)| &key[..end]);
        let mut ending = beginnings.filter(|beginning| text.ends_with(beginning));
        ending.next().map_or(0, str::len)
    }
}

/// A text that comes in pieces, without the key even where the pieces part it.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// What may be the beginning of the key, and is not passed on before that is known.
    held: String,
}

impl Pieces {
    /// What can be passed on, now that this piece came.
    pub(super) fn pass(&mut self, key: &Key, piece: &str) -> String {
        self.held.push_str(piece);
        let mut text = key.hide(&self.held).into_owned();
        self.held = text.split_off(text.len() - key.begun(&text));
        text
    }

    /// Is nothing held back?
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What was held back, now that nothing more comes.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(key: &str, pieces: &[&str]) -> Vec<String> {
        let key = Key::new(key.into());
        let mut passing = Pieces::default();
        let mut all: Vec<_> = pieces
            .iter()
            .map(|piece| passing.pass(&key, piece))
            .collect();
        all.push(passing.rest());
        all
    }

    #[test]
    fn a_key_that_comes_in_pieces_is_not_passed_on() {
        let key = "dummy-key";
        let text = "a dummy-key, dummy-dummy-key and dumm";
        for first in 0..text.len() {
            for second in first..text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                let whole = passed(key, &pieces).concat();
                assert_eq!(whole, "a (the key), dummy-(the key) and dumm", "{pieces:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_the_key_is_passed_on_at_once() {
        assert_eq!(passed("dummy-key", &["so dum", "b"]), ["so ", "dumb", ""]);
        assert_eq!(
            passed("schlüssel", &["schlü", "ssen"]),
            ["", "schlüssen", ""]
        );
        assert_eq!(passed("", &["a", "b"]), ["a", "b", ""]);
        assert_eq!(passed("short", &["sh", "ort"]), ["sh", "ort", ""]);
    }

    #[test]
    fn nothing_that_can_be_printed_holds_the_key() {
        let key = Key::new("dummy-key".into());
        assert!(!format!("{key:?}").contains("dummy"));
    }
}
