//! What the double remembers in the home folder.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// The folder `.fake-claude` in a home folder.
#[derive(Debug)]
pub(super) struct Memory(PathBuf);

/// What a session had before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) prompts: Vec<String>,
    /// In dollars, over the whole session.
    pub(super) cost: f64,
}

impl Memory {
    pub(super) fn in_home(home: &Path) -> Self {
        let folder = home.join(".fake-claude");
        for name in ["sessions", "attempts"] {
            // Where that fails, nothing is remembered, and the test sees it.
            let _ = fs::create_dir_all(folder.join(name));
        }
        Self(folder)
    }

    pub(super) fn recall(&self, session: &str) -> Option<Past> {
        let text = fs::read_to_string(self.session(session)).ok()?;
        serde_json::from_str(&text).ok()
    }

    pub(super) fn keep(&self, session: &str, past: &Past) {
        if let Ok(text) = serde_json::to_string(past) {
            let _ = fs::write(self.session(session), text);
        }
    }

    fn session(&self, session: &str) -> PathBuf {
        self.0.join("sessions").join(format!("{session}.json"))
    }

    /// How often this was asked of this rule, this time included. Right also when several
    /// processes ask at once, because only one of them can make each file.
    pub(super) fn attempt(&self, rule: usize) -> usize {
        let folder = self.0.join("attempts");
        let is_new =
            |count: &usize| File::create_new(folder.join(format!("{rule}.{count}"))).is_ok();
        (1..10_000).find(is_new).unwrap_or(1)
    }

    /// Adds a line to the log.
    pub(super) fn log(&self, entry: &Value) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.0.join("log.jsonl"));
        if let Ok(mut log) = log {
            let _ = log.write_all(format!("{entry}\n").as_bytes());
        }
    }
}
