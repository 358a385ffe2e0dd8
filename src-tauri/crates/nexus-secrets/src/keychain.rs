//! The operating system's keychain, used from a thread that may be left behind.
//!
//! A keychain answers when it likes: it may start a program first, or ask the person. So each
//! use has a thread of its own and a deadline. The thread is not one of tokio's, because tokio
//! waits for those at its end, and a keychain that never answers would keep NEXUS from ending.

#[cfg(all(unix, not(target_os = "macos")))]
#[path = "keychain/secret_service.rs"]
mod system;

#[cfg(not(all(unix, not(target_os = "macos"))))]
#[path = "keychain/native.rs"]
mod system;

use crate::{SecretError, SecretName, SecretString};
use std::{thread, time::Duration};
use tokio::{sync::oneshot, time};

/// The service's name in the keychain; a key's own name is the account.
const SERVICE: &str = "dev.nexus.app";

/// How long the keychain is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until it is there. It may have to be started.
    pub connect: Duration,
    /// Until it has done what was asked. It may have to ask the person.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            answer: Duration::from_secs(120),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Keychain {
    patience: Patience,
}

impl Keychain {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience }
    }

    pub(crate) async fn get(&self, name: SecretName) -> Result<Option<SecretString>, SecretError> {
        self.ask(move |keychain| keychain.get(name)).await
    }

    pub(crate) async fn set(
        &self,
        name: SecretName,
        value: SecretString,
    ) -> Result<(), SecretError> {
        self.ask(move |keychain| keychain.set(name, &value)).await
    }

    pub(crate) async fn remove(&self, name: SecretName) -> Result<(), SecretError> {
        self.ask(move |keychain| keychain.remove(name)).await
    }

    /// Opens the keychain anew and puts `question` to it.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&system::Open) -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, SecretError> {
        let keychain = within(self.patience.connect, system::Open::connect).await?;
        within(self.patience.answer, move || question(&keychain)).await
    }
}

/// Runs `work` on a thread of its own and waits for it, but no longer than `deadline`.
async fn within<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> Result<T, SecretError> + Send + 'static,
) -> Result<T, SecretError> {
    let (sender, answer) = oneshot::channel();
    thread::Builder::new()
        .name("keychain".to_owned())
        .spawn(move || {
            // Nobody listens any more when the deadline has passed.
            let _ = sender.send(work());
        })
        .map_err(|error| SecretError::Other {
            detail: format!("no thread could be started for it: {error}"),
        })?;
    match time::timeout(deadline, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(SecretError::Other {
            detail: "using it ended in a panic".to_owned(),
        }),
        Err(_) => Err(SecretError::NoAnswer {
            seconds: deadline.as_secs(),
        }),
    }
}
