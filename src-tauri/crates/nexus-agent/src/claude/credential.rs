//! With what Claude Code proves who pays.

use crate::BaseUrl;
use nexus_core::TurnOutcome;
use secrecy::{ExposeSecret, SecretString};
use std::{
    borrow::Cow,
    io::{self, Write},
    os::fd::OwnedFd,
};

/// With what the agent program proves itself to the model service.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The login that the person made with the program itself. NEXUS never sees it.
    Login,
    /// A key from the keychain.
    ApiKey(SecretString),
}

/// Longer than any key, and less than every pipe holds, so that writing it never waits.
const KEY_LIMIT: usize = 4096;
/// What is shorter is no key, and may be part of any word.
const SHORTEST_KEY: usize = 8;

impl Credential {
    /// A login belongs to the usual service: sent to another address it would be stolen.
    pub(crate) fn check(&self, base_url: Option<&BaseUrl>) -> Result<(), TurnOutcome> {
        match (self, base_url) {
            (Self::Login, Some(url)) => Err(TurnOutcome::AuthRequired {
                message: format!(
                    "the Claude login is never sent to another address, and the base URL is set to {url}; give NEXUS a key for it, or take the base URL away"
                ),
            }),
            (Self::Login, None) | (Self::ApiKey(_), _) => Ok(()),
        }
    }

    /// A pipe with the key in it and nothing after it; `None` for a login.
    ///
    /// This way the key is in no argument, no environment and no file, and the tools that the
    /// agent starts cannot read it: the program empties and closes the pipe first.
    pub(crate) fn pipe(&self) -> io::Result<Option<OwnedFd>> {
        let Self::ApiKey(key) = self else {
            return Ok(None);
        };
        let key = key.expose_secret().trim();
        if key.is_empty() || key.len() > KEY_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the saved key is empty or far too long; save it again",
            ));
        }
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(key.as_bytes())?;
        Ok(Some(reader.into()))
    }

    /// What the program said, without the key: a service's complaint may repeat it, and what
    /// the program says is recorded and shown.
    pub(crate) fn without_key<'a>(&self, said: &'a str) -> Cow<'a, str> {
        let Self::ApiKey(key) = self else {
            return said.into();
        };
        let key = key.expose_secret().trim();
        if key.len() < SHORTEST_KEY || !said.contains(key) {
            return said.into();
        }
        said.replace(key, "(the key)").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, io::Read};

    #[test]
    fn a_login_goes_to_no_other_address_and_a_key_may() {
        let elsewhere: BaseUrl = "https://gateway.example".parse().unwrap();
        let refused = Credential::Login.check(Some(&elsewhere)).unwrap_err();
        assert!(matches!(refused, TurnOutcome::AuthRequired { .. }));
        assert!(refused.describe().contains("https://gateway.example"));
        assert!(Credential::Login.check(None).is_ok());
        let key = Credential::ApiKey("dummy-key".into());
        assert!(key.check(Some(&elsewhere)).is_ok());
    }

    #[test]
    fn the_pipe_holds_the_key_and_then_ends() {
        let key = Credential::ApiKey("dummy-key\n".into());
        let mut text = String::new();
        let pipe = key.pipe().unwrap().unwrap();
        File::from(pipe).read_to_string(&mut text).unwrap();
        assert_eq!(text, "dummy-key");
        assert!(Credential::Login.pipe().unwrap().is_none());
        assert!(Credential::ApiKey(" ".into()).pipe().is_err());
        assert!(!format!("{key:?}").contains("dummy"));
    }

    #[test]
    fn what_repeats_the_key_is_passed_on_without_it() {
        let key = Credential::ApiKey("dummy-key\n".into());
        let said = r#"{"result":"no such key: dummy-key"}"#;
        assert_eq!(
            key.without_key(said),
            r#"{"result":"no such key: (the key)"}"#
        );
        assert_eq!(key.without_key("dummy"), "dummy");
        assert_eq!(Credential::Login.without_key(said), said);
        assert_eq!(Credential::ApiKey("key".into()).without_key(said), said);
    }
}
