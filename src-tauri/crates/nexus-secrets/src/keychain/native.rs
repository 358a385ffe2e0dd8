//! The keychains of macOS and Windows, which are always there.

use super::SERVICE;
use crate::{ExposeSecret, SecretError, SecretName, SecretString};
use keyring::{Entry, Error};

/// Access to the logged-in person's keychain.
pub(super) struct Open;

impl Open {
    pub(super) fn connect() -> Result<Self, SecretError> {
        match Entry::store_status() {
            Ok(()) => Ok(Self),
            Err(error) => Err(SecretError::NoService {
                detail: error.to_string(),
            }),
        }
    }

    pub(super) fn get(&self, name: SecretName) -> Result<Option<SecretString>, SecretError> {
        match entry(name)?.get_password() {
            Ok(text) => Ok(Some(text.into())),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(refused(name, &error)),
        }
    }

    pub(super) fn set(&self, name: SecretName, value: &SecretString) -> Result<(), SecretError> {
        entry(name)?
            .set_password(value.expose_secret())
            .map_err(|error| refused(name, &error))
    }

    pub(super) fn remove(&self, name: SecretName) -> Result<(), SecretError> {
        match entry(name)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(refused(name, &error)),
        }
    }
}

fn entry(name: SecretName) -> Result<Entry, SecretError> {
    Entry::new(SERVICE, name.as_str()).map_err(|error| refused(name, &error))
}

fn refused(name: SecretName, error: &Error) -> SecretError {
    if let Error::NoStorageAccess(_) = error {
        return SecretError::Locked {
            detail: error.to_string(),
        };
    }
    // These two carry the value that could not be read.
    if let Error::BadEncoding(_) | Error::BadDataFormat(..) = error {
        return SecretError::Other {
            detail: format!("the {name} key in it is not text"),
        };
    }
    SecretError::Other {
        detail: error.to_string(),
    }
}
