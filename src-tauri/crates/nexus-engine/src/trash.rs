//! What was put aside, and the way back.

use crate::{DataDir, EngineError, ErrorKind};
use nexus_core::Timestamp;
use std::path::PathBuf;

/// Something that was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    pub id: String,
    pub at: Timestamp,
    /// The code of the difference for which it was.
    pub code: String,
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub path: PathBuf,
    pub why: String,
}

impl DataDir {
    /// What is in the trash, the newest first.
    pub fn trash(&self) -> Result<Vec<Trashed>, EngineError> {
        Ok(Vec::new())
    }

    /// Puts something of the trash back where it was, where nothing is now.
    pub fn restore_trashed(&self, id: &str) -> Result<Trashed, EngineError> {
        let message = format!("there is no `{id}` in the trash; `nexus trash list` shows what is");
        Err(EngineError::new(ErrorKind::NotFound, message))
    }
}
