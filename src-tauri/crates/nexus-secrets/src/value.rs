//! What can be a key at all.

use crate::{ExposeSecret, SecretError, SecretName, SecretString};
use std::ops::RangeInclusive;

/// Shorter is a slip of the hand, longer is some other text.
const LENGTH: RangeInclusive<usize> = 8..=512;

/// `value` without the white space around it, if it can be a key.
pub(crate) fn checked(name: SecretName, value: &SecretString) -> Result<SecretString, SecretError> {
    let text = value.expose_secret().trim();
    let refuse = |why| Err(SecretError::Invalid { name, why });
    if text.is_empty() {
        return refuse("it is empty");
    }
    // A key goes into a header, which holds visible ASCII and nothing else.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return refuse("it has a space, a line break or a control character in it");
    }
    if !text.is_ascii() {
        return refuse("it has a character in it that no key has");
    }
    if text.len() < *LENGTH.start() {
        return refuse("it is shorter than 8 characters");
    }
    if text.len() > *LENGTH.end() {
        return refuse("it is longer than 512 characters");
    }
    Ok(text.to_owned().into())
}

/// What a person may see of a key, to tell it from another.
pub(crate) fn last_four(value: &SecretString) -> String {
    let text = value.expose_secret();
    let start = text.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, String> {
        match checked(SecretName::OpenAi, &text.to_owned().into()) {
            Ok(value) => Ok(value.expose_secret().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn white_space_around_a_key_is_not_part_of_it() {
        assert_eq!(check("  dummy-key\r\n"), Ok("dummy-key".to_owned()));
        assert_eq!(check(&"x".repeat(512)), Ok("x".repeat(512)));
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_with_the_reason_and_not_repeated() {
        for (text, why) in [
            ("", "it is empty"),
            (" \n\t ", "it is empty"),
            ("dummy key", "a space"),
            ("dummy\nkey", "a line break"),
            ("dummy\u{1b}[0mkey", "a control character"),
            ("dummy\u{a0}key", "a space"),
            ("dummy\u{2011}key", "no key has"),
            ("dummy", "shorter than 8"),
            (&"x".repeat(513), "longer than 512"),
        ] {
            let refusal = check(text).unwrap_err();
            assert!(refusal.starts_with("take the openai key: "), "{refusal}");
            assert!(refusal.contains(why), "{text:?}: {refusal}");
            assert!(
                text.trim().is_empty() || !refusal.contains(text),
                "{refusal}"
            );
        }
    }

    #[test]
    fn four_characters_are_shown() {
        assert_eq!(last_four(&"dummy-key-1234".to_owned().into()), "1234");
        assert_eq!(last_four(&"abc".to_owned().into()), "abc");
    }
}
