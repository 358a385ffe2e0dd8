//! Where things are in this repository, and in its target folder.

use std::path::{Path, PathBuf};

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    // The crate is three folders below the top: src-tauri/crates/xtask.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(3).unwrap_or(here).to_owned()
}

/// Cargo's target folder, wherever the person put it.
pub(crate) fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    root().join(named.unwrap_or_else(|| "target".into()))
}

/// Where xtask installs the programs it needs, outside of version control.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// Where xtask keeps the output of its steps.
pub(crate) fn logs() -> PathBuf {
    target().join("xtask")
}

/// A program of this repository as `cargo build` leaves it.
pub(crate) fn built(profile: &str, name: &str) -> PathBuf {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    target().join(profile).join(name)
}

/// The user interface.
pub(crate) fn ui() -> PathBuf {
    root().join("ui")
}
