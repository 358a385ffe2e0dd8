//! The Secret Service: gnome-keyring, KWallet, KeePassXC, over the session's bus.
//!
//! Spoken directly, because what is wrong shows in which step failed. Items carry the
//! attributes that the keyring crates give theirs, so that either finds them.

use super::SERVICE;
use crate::{ExposeSecret, SecretError, SecretName, SecretString};
use secret_service::{
    EncryptionType, Error,
    blocking::{Item, SecretService},
};
use std::collections::HashMap;

/// A session with the service.
pub(super) struct Open(SecretService<'static>);

impl Open {
    pub(super) fn connect() -> Result<Self, SecretError> {
        let bus =
            zbus::blocking::Connection::session().map_err(|error| SecretError::NoSession {
                detail: error.to_string(),
            })?;
        SecretService::connect_with_existing(EncryptionType::Dh, bus)
            .map(Self)
            .map_err(|error| SecretError::NoService {
                detail: error.to_string(),
            })
    }

    pub(super) fn get(&self, name: SecretName) -> Result<Option<SecretString>, SecretError> {
        let Some(item) = self.items(name)?.into_iter().next() else {
            return self.nothing_is_hidden().map(|()| None);
        };
        let bytes = item.get_secret().map_err(refused)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => Err(SecretError::Other {
                detail: format!("the {name} key in it is not text"),
            }),
        }
    }

    pub(super) fn set(&self, name: SecretName, value: &SecretString) -> Result<(), SecretError> {
        // Unlocks an earlier item first, which could not be replaced otherwise.
        self.items(name)?;
        let keyring = self.0.get_default_collection().map_err(refused)?;
        if keyring.is_locked().map_err(refused)? {
            keyring.unlock().map_err(refused)?;
        }
        let label = format!("NEXUS: {name} API key");
        let secret = value.expose_secret().as_bytes();
        keyring
            .create_item(&label, attributes(name), secret, true, "text/plain")
            .map(drop)
            .map_err(refused)
    }

    pub(super) fn remove(&self, name: SecretName) -> Result<(), SecretError> {
        let items = self.items(name)?;
        if items.is_empty() {
            return self.nothing_is_hidden();
        }
        items
            .iter()
            .try_for_each(|item| item.delete().map_err(refused))
    }

    /// The items of `name`, unlocked; the person may be asked for that.
    fn items(&self, name: SecretName) -> Result<Vec<Item<'_>>, SecretError> {
        let found = self.0.search_items(attributes(name)).map_err(refused)?;
        let locked: Vec<_> = found.locked.iter().collect();
        if !locked.is_empty() {
            self.0.unlock_all(&locked).map_err(refused)?;
        }
        Ok(found.unlocked.into_iter().chain(found.locked).collect())
    }

    /// A locked keyring may answer as if it were empty, so nothing found counts only when it
    /// is open, or when there is none that could hold anything.
    fn nothing_is_hidden(&self) -> Result<(), SecretError> {
        match self.0.get_default_collection() {
            Ok(keyring) if keyring.is_locked().map_err(refused)? => Err(SecretError::Locked {
                detail: "what it holds cannot be seen".to_owned(),
            }),
            Ok(_) | Err(Error::NoResult) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }
}

fn attributes(name: SecretName) -> HashMap<&'static str, &'static str> {
    HashMap::from([("service", SERVICE), ("username", name.as_str())])
}

fn refused(error: Error) -> SecretError {
    let detail = error.to_string();
    let locked = matches!(
        error,
        Error::Locked | Error::Prompt | Error::PromptDisconnected | Error::NoResult
    );
    if locked {
        SecretError::Locked { detail }
    } else {
        SecretError::Other { detail }
    }
}
