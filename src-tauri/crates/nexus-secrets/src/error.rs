//! Why a key could not be read or saved, as the person reads it.

use crate::SecretName;

/// Reads after "failed to". Carries no part of any key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// There is no session bus: a server, a container, a remote shell.
    #[error(
        "reach the keychain: there is no desktop session here ({detail}); log in to a desktop, \
         or start NEXUS with NEXUS_SECRETS=env and the key in ANTHROPIC_API_KEY or OPENAI_API_KEY"
    )]
    NoSession { detail: String },

    /// There is a session, and nothing in it that keeps secrets.
    #[error(
        "reach the keychain: no program here keeps secrets ({detail}); install gnome-keyring, \
         KWallet or KeePassXC and log in again, or start NEXUS with NEXUS_SECRETS=env and the \
         key in ANTHROPIC_API_KEY or OPENAI_API_KEY"
    )]
    NoService { detail: String },

    /// The keychain is locked and was not unlocked, or there is none to unlock yet.
    #[error(
        "open the keychain: it is locked ({detail}); unlock it in your password manager, then \
         try again; without a desktop, start NEXUS with NEXUS_SECRETS=env"
    )]
    Locked { detail: String },

    /// The keychain, or the person it asked, did not answer in time.
    #[error(
        "use the keychain: it did not answer within {seconds} s; look for a window that asks \
         to unlock it, then try again"
    )]
    NoAnswer { seconds: u64 },

    /// The value cannot be a key.
    #[error("take the {name} key: {why}; copy it again from the provider's console")]
    Invalid { name: SecretName, why: &'static str },

    /// No key goes by this name.
    #[error("find a key named {name:?}: the names are anthropic and openai")]
    UnknownName { name: String },

    /// Keys from the environment are neither saved nor removed.
    #[error(
        "change the {name} key: keys come from the environment (NEXUS_SECRETS=env); change {}, \
         then start NEXUS again",
        name.variable()
    )]
    FromEnvironment { name: SecretName },

    /// `NEXUS_SECRETS` says something else than `env`.
    #[error(
        "choose where keys are kept: NEXUS_SECRETS is {value:?}; set it to env, or leave it out \
         to use the keychain"
    )]
    UnknownSetting { value: String },

    /// The keychain failed in some other way.
    #[error("use the keychain: {detail}; restart your password manager, then try again")]
    Other { detail: String },
}
