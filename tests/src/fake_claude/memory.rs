//! What the double remembers in the home folder.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The folder `.fake-claude` in a home folder, and the one with the conversations.
#[derive(Debug)]
pub(super) struct Memory {
    own: PathBuf,
    /// The conversations of the folder that it was started in.
    project: PathBuf,
}

/// What a session had before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) prompts: Vec<String>,
    /// In dollars, over the whole session.
    pub(super) cost: f64,
    /// The last line of the conversation.
    #[serde(default)]
    pub(super) leaf: Option<Uuid>,
}

impl Memory {
    pub(super) fn in_home(home: &Path) -> Self {
        let folder = home.join(".fake-claude");
        for name in ["sessions", "attempts"] {
            // Where that fails, nothing is remembered, and the test sees it.
            let _ = fs::create_dir_all(folder.join(name));
        }
        let config = env::var_os("CLAUDE_CONFIG_DIR").map(PathBuf::from);
        let config = config.unwrap_or_else(|| home.join(".claude"));
        let cwd = env::current_dir().unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = cwd.to_string_lossy().chars().map(plain).collect();
        Self {
            own: folder,
            project: config.join("projects").join(name),
        }
    }

    /// What a session had before, if a prompt can be found in its file.
    pub(super) fn recall(&self, session: &str) -> Option<Past> {
        let file = fs::read(self.conversation(session)).ok()?;
        let mut lines = file.split(|byte| *byte == b'\n');
        lines.find_map(|line| {
            let line = serde_json::from_slice::<Value>(line).ok()?;
            (line["type"] == "user").then_some(())
        })?;
        let text = fs::read_to_string(self.session(session)).unwrap_or_default();
        Some(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Whether there is a file for this session, whatever is in it.
    pub(super) fn exists(&self, session: &str) -> bool {
        self.conversation(session).exists()
    }

    fn conversation(&self, session: &str) -> PathBuf {
        self.project.join(format!("{session}.jsonl"))
    }

    /// Adds a line to the session's conversation, below its last one.
    pub(super) fn append(&self, session: &str, past: &mut Past, kind: &str, message: &Value) {
        let uuid = Uuid::new_v4();
        let line = json!({"type": kind, "uuid": uuid, "parentUuid": past.leaf,
            "isSidechain": false, "sessionId": session, "message": message});
        // Where that fails, nothing is remembered, and the test sees it.
        let _ = fs::create_dir_all(&self.project);
        let path = self.conversation(session);
        let file = File::options().create(true).append(true).open(path);
        if let Ok(mut file) = file {
            let _ = file.write_all(format!("{line}\n").as_bytes());
            past.leaf = Some(uuid);
        }
    }

    pub(super) fn keep(&self, session: &str, past: &Past) {
        if let Ok(text) = serde_json::to_string(past) {
            let _ = fs::write(self.session(session), text);
        }
    }

    fn session(&self, session: &str) -> PathBuf {
        self.own.join("sessions").join(format!("{session}.json"))
    }

    /// How often this was asked of this rule, this time included. Right also when several
    /// processes ask at once, because only one of them can make each file.
    pub(super) fn attempt(&self, rule: usize) -> usize {
        let folder = self.own.join("attempts");
        let is_new =
            |count: &usize| File::create_new(folder.join(format!("{rule}.{count}"))).is_ok();
        (1..10_000).find(is_new).unwrap_or(1)
    }

    /// Adds a line to the log.
    pub(super) fn log(&self, entry: &Value) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.own.join("log.jsonl"));
        if let Ok(mut log) = log {
            let _ = log.write_all(format!("{entry}\n").as_bytes());
        }
    }
}
