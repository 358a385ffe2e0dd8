//! What the rules of both doubles have in common: patterns, and templates for replies.

use nexus_core::Role;
use regex::Regex;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use std::collections::BTreeMap;

/// A regular expression, compiled when the script is read, so that a bad one stops the test.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Regex::new(&format!("(?s){text}"))
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl Pattern {
    /// Is it found in `text`?
    pub fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// What its groups caught in `text`, by number.
    pub fn groups(&self, text: &str) -> BTreeMap<String, String> {
        let Some(caught) = self.0.captures(text) else {
            return BTreeMap::new();
        };
        let groups = caught.iter().enumerate().skip(1);
        groups
            .filter_map(|(number, group)| Some((number.to_string(), group?.as_str().to_owned())))
            .collect()
    }
}

/// The seat that a system prompt speaks to, by its line `You are …`.
pub fn role_of(system_prompt: &str) -> Option<Role> {
    let speaks_to = |role: &Role| {
        let line = format!("You are {}", role.title());
        system_prompt.lines().any(|other| other.trim() == line)
    };
    Role::AGENTS.into_iter().find(speaks_to)
}

/// Values for the `{{names}}` in a reply.
pub type Values = BTreeMap<String, String>;

/// `text` with each `{{name}}` replaced; an unknown one stays as it is.
pub fn fill(text: &str, values: &Values) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    })
}

/// The same in every string inside `value`.
pub fn fill_all(value: &Value, values: &Values) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, values)),
        Value::Array(items) => items.iter().map(|item| fill_all(item, values)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), fill_all(value, values)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_template_takes_what_the_pattern_caught() {
        let pattern: Pattern = serde_json::from_value(json!(r"write (\S+) in (\w+)")).unwrap();
        let mut values = pattern.groups("please write a.txt in Rust");
        values.insert("cwd".to_owned(), "/home/me".to_owned());
        let reply = json!({"path": "{{cwd}}/{{1}}", "n": 1, "all": ["{{2}}", "{{3}}"]});
        assert_eq!(
            fill_all(&reply, &values),
            json!({"path": "/home/me/a.txt", "n": 1, "all": ["Rust", "{{3}}"]})
        );
    }

    #[test]
    fn the_persona_says_who_is_spoken_to() {
        assert_eq!(role_of("intro\nYou are Beta\nmore"), Some(Role::Beta));
        assert_eq!(role_of("You are Betamax"), None);
    }
}
