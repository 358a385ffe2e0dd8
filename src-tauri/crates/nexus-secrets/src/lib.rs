//! The keys that pay for model use: where they are kept, and that nobody else sees them.
//!
//! They live in the operating system's keychain and in memory, nowhere else. Nothing here
//! prints or formats a value; it can only be taken out on purpose, with
//! [`ExposeSecret::expose_secret`].

mod error;
mod keychain;
mod name;
mod source;
mod value;

pub use error::SecretError;
pub use keychain::Patience;
pub use name::SecretName;
pub use secrecy::{ExposeSecret, SecretString};
pub use source::{SavedSecret, SecretSource, SourceKind};
