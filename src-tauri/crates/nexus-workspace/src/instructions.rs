//! Reads the instructions that a project has for agents.
//!
//! They are text to be quoted, never configuration.

use crate::plain_file::read_head;
use crate::{GitError, Repository};
use nexus_core::{ProjectPath, TreeId};
use std::path::Path;

/// How much of each file is read, in bytes.
pub const INSTRUCTION_LIMIT: u64 = 32 * 1024;

const FILES: &[&str] = &["CLAUDE.md", "AGENTS.md"];

/// What a project tells those who work in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub path: ProjectPath,
    /// What is not UTF-8 is replaced.
    pub text: String,
    /// The file goes on after [`INSTRUCTION_LIMIT`] bytes.
    pub truncated: bool,
}

/// The instructions at the top of a folder. A link is not followed, so that nothing outside
/// the project is quoted; a file that cannot be read or says nothing is none.
pub fn instructions(folder: &Path) -> Vec<Instruction> {
    let found = FILES.iter().filter_map(|name| {
        let head = read_head(&folder.join(name), INSTRUCTION_LIMIT).ok()??;
        let text = head.text();
        let says_something = !text.trim().is_empty();
        says_something.then_some(Instruction {
            path: ProjectPath::parse(name).ok()?,
            text,
            truncated: head.truncated,
        })
    });
    found.collect()
}

impl Repository {
    /// The instructions at the top of a tree. Of a link this is where it points to.
    pub fn instructions(&self, tree: &TreeId) -> Result<Vec<Instruction>, GitError> {
        let mut found = Vec::new();
        for name in FILES {
            let Ok(path) = ProjectPath::parse(name) else {
                continue;
            };
            let Some(bytes) = self.read_file(tree, &path)? else {
                continue;
            };
            let limit = usize::try_from(INSTRUCTION_LIMIT).unwrap_or(usize::MAX);
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(limit)]).into_owned();
            if !text.trim().is_empty() {
                found.push(Instruction {
                    path,
                    text,
                    truncated: bytes.len() > limit,
                });
            }
        }
        Ok(found)
    }
}
