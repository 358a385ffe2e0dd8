//! Words about a task's copy of the project, and about what it changed.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the hexadecimal object name that git printed; `None` if it is not one.
            pub fn parse(text: &str) -> Option<Self> {
                let hex = text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit());
                hex.then(|| Self(text.to_ascii_lowercase()))
            }

            /// The object name in hexadecimal.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Enough of the name for a person to tell two apart.
            pub fn short(&self) -> &str {
                &self.0[..10]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

object_id! {
    /// The content of a whole folder, by hash. Equal trees are equal content.
    TreeId
}
object_id! {
    /// A kept snapshot: a tree with its history, in NEXUS's own git directory.
    SnapshotId
}
object_id! {
    /// The content of one file, by hash.
    BlobId
}

/// A path inside a project, relative, with `/` between its parts.
///
/// Never absolute, never with `.` or `..`, so that it cannot name anything outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectPath(String);

/// A text that names no place inside a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a path inside the project")]
pub struct NotInProject(String);

impl ProjectPath {
    /// Takes a relative path with `/` between its parts.
    pub fn parse(text: &str) -> Result<Self, NotInProject> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let inside = !text.contains('\0') && text.split('/').all(plain);
        if inside {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotInProject(text.to_owned()))
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ProjectPath {
    type Error = NotInProject;
    fn try_from(text: String) -> Result<Self, NotInProject> {
        Self::parse(&text)
    }
}

impl From<ProjectPath> for String {
    fn from(path: ProjectPath) -> Self {
        path.0
    }
}

/// What happened to a file between two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One changed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    pub path: ProjectPath,
    pub change: ChangeKind,
    /// Lines added and removed; `None` for a binary file.
    pub lines: Option<LineCount>,
}

/// Lines added to and removed from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCount {
    pub added: u32,
    pub removed: u32,
}

/// What was done to one file, line by line, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePatch {
    pub path: ProjectPath,
    pub change: ChangeKind,
    /// Without line endings, in the order of the file. Empty for a binary file.
    pub removed: Vec<String>,
    pub added: Vec<String>,
    /// There was more than is kept here, or the file is binary.
    pub cut: bool,
}

/// One file operation of an accept: turn this content of the person's file into that one.
///
/// `None` is "no such file". The operation is done when the file already has `new`, due when
/// it has `old`, and a conflict otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOperation {
    pub path: ProjectPath,
    pub old: Option<FileContent>,
    pub new: Option<FileContent>,
}

/// Content and kind of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    pub blob: BlobId,
    pub kind: FileKind,
}

/// What sort of file it is, as far as a snapshot keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    Plain,
    Executable,
    /// A symbolic link; its content is the path it points to.
    Link,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_path_cannot_leave_the_project() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/./b",
            "a\0b",
            "a/",
        ] {
            assert!(ProjectPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<ProjectPath>("\"../x\"").is_err());
        assert_eq!(
            ProjectPath::parse("src/main.rs").unwrap().as_str(),
            "src/main.rs"
        );
    }
}
