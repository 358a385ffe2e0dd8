//! Where keys come from: the keychain, the environment of a machine without one, or memory.

use crate::{
    SecretError, SecretName, SecretString,
    keychain::{Keychain, Patience},
    value,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Gives, saves and removes keys. Cheap to clone; clones share what they hold.
#[derive(Clone, Debug)]
pub struct SecretSource(Arc<Source>);

#[derive(Debug)]
enum Source {
    Keychain(Keychain),
    /// Taken once at the start and never changed.
    Environment(Held),
    Memory(Mutex<Held>),
}

type Held = BTreeMap<SecretName, SecretString>;

/// Where a key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Keychain,
    Environment,
    Memory,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keychain => "keychain",
            Self::Environment => "environment",
            Self::Memory => "memory",
        })
    }
}

/// What may be shown of a key that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSecret {
    pub name: SecretName,
    pub last_four: String,
    pub source: SourceKind,
}

impl SecretSource {
    /// The source that the person chose with `NEXUS_SECRETS`, whose value is `setting`.
    ///
    /// `variable` looks up an environment variable. It is asked once for each key and only
    /// when the choice is `env`; the host should then remove those from what it passes on.
    pub fn choose(
        setting: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SecretError> {
        match setting.unwrap_or_default() {
            "" => Ok(Self::keychain(Patience::default())),
            "env" => Self::environment(|name| variable(name.variable())),
            other => Err(SecretError::UnknownSetting {
                value: other.chars().take(40).collect(),
            }),
        }
    }

    /// The keychain of whoever is logged in. Nothing is opened before the first use, and each
    /// use opens it anew, so that trying again after a failure can succeed.
    pub fn keychain(patience: Patience) -> Self {
        Self(Arc::new(Source::Keychain(Keychain::new(patience))))
    }

    /// The keys that `given` has now. An empty one counts as absent.
    pub fn environment(given: impl Fn(SecretName) -> Option<String>) -> Result<Self, SecretError> {
        let mut held = Held::new();
        for name in SecretName::ALL {
            let Some(text) = given(name).filter(|text| !text.trim().is_empty()) else {
                continue;
            };
            held.insert(name, value::checked(name, &text.into())?);
        }
        Ok(Self(Arc::new(Source::Environment(held))))
    }

    /// Keys that are forgotten with the last clone of this.
    pub fn memory() -> Self {
        Self(Arc::new(Source::Memory(Mutex::default())))
    }

    /// Where the keys are kept.
    pub fn kind(&self) -> SourceKind {
        match &*self.0 {
            Source::Keychain(_) => SourceKind::Keychain,
            Source::Environment(_) => SourceKind::Environment,
            Source::Memory(_) => SourceKind::Memory,
        }
    }

    /// The key, or `None` when none is saved. Read it once and keep it: the keychain may ask
    /// the person, and takes its time.
    pub async fn get(&self, name: SecretName) -> Result<Option<SecretString>, SecretError> {
        match &*self.0 {
            Source::Keychain(keychain) => keychain.get(name).await,
            Source::Environment(held) => Ok(held.get(&name).cloned()),
            Source::Memory(held) => Ok(lock(held).get(&name).cloned()),
        }
    }

    /// Saves `value` without the white space around it, over an earlier one.
    pub async fn set(&self, name: SecretName, value: SecretString) -> Result<(), SecretError> {
        let value = value::checked(name, &value)?;
        match &*self.0 {
            Source::Keychain(keychain) => keychain.set(name, value).await,
            Source::Environment(_) => Err(SecretError::FromEnvironment { name }),
            Source::Memory(held) => {
                lock(held).insert(name, value);
                Ok(())
            }
        }
    }

    /// Removes the key. That there was none is fine.
    pub async fn remove(&self, name: SecretName) -> Result<(), SecretError> {
        match &*self.0 {
            Source::Keychain(keychain) => keychain.remove(name).await,
            Source::Environment(_) => Err(SecretError::FromEnvironment { name }),
            Source::Memory(held) => {
                lock(held).remove(&name);
                Ok(())
            }
        }
    }

    /// The keys that are there, with what may be shown of them.
    pub async fn list(&self) -> Result<Vec<SavedSecret>, SecretError> {
        let mut saved = Vec::new();
        for name in SecretName::ALL {
            if let Some(value) = self.get(name).await? {
                saved.push(SavedSecret {
                    name,
                    last_four: value::last_four(&value),
                    source: self.kind(),
                });
            }
        }
        Ok(saved)
    }
}

fn lock(held: &Mutex<Held>) -> std::sync::MutexGuard<'_, Held> {
    // A map of keys is whole even if a thread panicked while it held the lock.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExposeSecret;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    async fn text(source: &SecretSource, name: SecretName) -> Option<String> {
        let value = source.get(name).await.unwrap();
        value.map(|value| value.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn memory_keeps_replaces_lists_and_removes() {
        let source = SecretSource::memory();
        let name = SecretName::Anthropic;
        assert_eq!(text(&source, name).await, None);
        source.set(name, secret(" dummy-key-1111\n")).await.unwrap();
        source
            .clone()
            .set(name, secret("dummy-key-2222"))
            .await
            .unwrap();
        assert_eq!(text(&source, name).await.as_deref(), Some("dummy-key-2222"));
        assert_eq!(
            source.list().await.unwrap(),
            [SavedSecret {
                name,
                last_four: "2222".to_owned(),
                source: SourceKind::Memory,
            }]
        );
        source.remove(name).await.unwrap();
        source.remove(name).await.unwrap();
        assert!(source.list().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_bad_value_leaves_the_saved_one() {
        let source = SecretSource::memory();
        source
            .set(SecretName::OpenAi, secret("dummy-key"))
            .await
            .unwrap();
        let error = source
            .set(SecretName::OpenAi, secret("dum my"))
            .await
            .unwrap_err();
        assert!(matches!(error, SecretError::Invalid { .. }), "{error}");
        assert_eq!(
            text(&source, SecretName::OpenAi).await.as_deref(),
            Some("dummy-key")
        );
    }

    #[tokio::test]
    async fn the_environment_is_read_once_and_cannot_be_changed() {
        let asked = Mutex::new(Vec::new());
        let source = SecretSource::choose(Some("env"), |variable| {
            asked.lock().unwrap().push(variable.to_owned());
            (variable == "ANTHROPIC_API_KEY").then(|| "dummy-key".to_owned())
        })
        .unwrap();
        let name = SecretName::Anthropic;
        assert_eq!(text(&source, name).await.as_deref(), Some("dummy-key"));
        assert_eq!(text(&source, SecretName::OpenAi).await, None);
        assert_eq!(
            *asked.lock().unwrap(),
            ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]
        );

        for refused in [
            source.set(name, secret("dummy-key-2")).await,
            source.remove(name).await,
        ] {
            assert_eq!(refused, Err(SecretError::FromEnvironment { name }));
        }
        assert_eq!(
            source.list().await.unwrap()[0].source,
            SourceKind::Environment
        );
    }

    #[test]
    fn an_empty_variable_counts_as_absent_and_a_broken_one_is_named() {
        SecretSource::environment(|_| Some(" ".to_owned())).unwrap();
        let error = SecretSource::environment(|_| Some("dummy key".to_owned())).unwrap_err();
        assert!(matches!(error, SecretError::Invalid { .. }), "{error}");
    }

    #[test]
    fn without_the_setting_the_keychain_is_the_only_source() {
        for setting in [None, Some("")] {
            let never = |_: &str| panic!("the environment was looked at");
            let source = SecretSource::choose(setting, never).unwrap();
            assert_eq!(source.kind(), SourceKind::Keychain);
        }
        let error = SecretSource::choose(Some("file"), |_| None).unwrap_err();
        assert!(error.to_string().contains("set it to env"), "{error}");
    }

    #[tokio::test]
    async fn nothing_that_can_be_printed_holds_the_value() {
        let canary = "dummy-canary-value";
        let given = SecretSource::environment(|_| Some(canary.to_owned())).unwrap();
        let saved = SecretSource::memory();
        saved.set(SecretName::OpenAi, secret(canary)).await.unwrap();
        let value = saved.get(SecretName::OpenAi).await.unwrap();
        let printed = format!(
            "{given:?} {given:#?} {saved:?} {saved:#?} {value:?} {:?} {:?}",
            saved.list().await.unwrap(),
            saved
                .set(SecretName::OpenAi, secret(&format!("{canary} ")))
                .await,
        );
        assert!(printed.contains("REDACTED"), "{printed}");
        assert!(!printed.contains("canary"), "{printed}");
        let refused = saved
            .set(SecretName::OpenAi, secret("canary canary"))
            .await
            .unwrap_err();
        assert!(
            !format!("{refused} {refused:?}").contains("canary"),
            "{refused:?}"
        );
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in SecretName::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        let error = "google".parse::<SecretName>().unwrap_err();
        assert!(
            error.to_string().contains("anthropic and openai"),
            "{error}"
        );
    }
}
