//! What differs between two trees, and what a tree holds.

use crate::{GitError, Repository, git::EMPTY_TREE};
use nexus_core::{
    BlobId, ChangeKind, FileChange, FileContent, FileKind, FileOperation, LineCount, ProjectPath,
    TreeId,
};
use std::collections::BTreeMap;

/// The longest patch that is made, in bytes.
pub const PATCH_LIMIT: u64 = 4 * 1024 * 1024;

/// A unified diff, as `git diff` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Whole lines. What is not UTF-8 in them is replaced; a binary file is one line.
    pub text: String,
    /// The patch goes on after [`PATCH_LIMIT`] bytes.
    pub truncated: bool,
}

impl Repository {
    /// The files that differ, by path. A file that moved is one deleted and one added.
    pub fn diff(&self, base: &TreeId, tree: &TreeId) -> Result<Vec<FileChange>, GitError> {
        let lines = self.line_counts(base, tree)?;
        let operations = self.operations(base, tree)?;
        let change = |operation: FileOperation| FileChange {
            change: kind_of(&operation),
            lines: lines.get(operation.path.as_str()).copied(),
            path: operation.path,
        };
        Ok(operations.into_iter().map(change).collect())
    }

    /// The difference as text, of one file or of all.
    pub fn patch(
        &self,
        base: &TreeId,
        tree: &TreeId,
        path: Option<&ProjectPath>,
    ) -> Result<Patch, GitError> {
        let mut args = diff_args(base, tree, &["-p", "--no-color", "--histogram"]);
        if let Some(path) = path {
            args.extend(["--", path.as_str()]);
        }
        let call = self.git.call(&self.dir, args);
        let (mut bytes, truncated) = call.bytes_up_to(PATCH_LIMIT)?;
        if truncated {
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
            bytes.truncate(whole);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Patch { text, truncated })
    }

    /// The content of a file in a tree; where a link points to. `None` if the tree has no
    /// such file.
    pub fn read_file(
        &self,
        tree: &TreeId,
        path: &ProjectPath,
    ) -> Result<Option<Vec<u8>>, GitError> {
        let listed = self.git.call(
            &self.dir,
            ["ls-tree", "-z", tree.as_str(), "--", path.as_str()],
        );
        let listed = listed.bytes()?;
        let listed = String::from_utf8_lossy(&listed);
        let about = listed.split('\t').next().unwrap_or_default();
        let mut words = about.split(' ').skip(1);
        let (Some("blob"), Some(blob)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let call = self.git.call(&self.dir, ["cat-file", "blob", blob]);
        call.bytes().map(Some)
    }

    /// What turns `base` into `tree`, file by file, by path.
    pub(crate) fn operations(
        &self,
        base: &TreeId,
        tree: &TreeId,
    ) -> Result<Vec<FileOperation>, GitError> {
        let call = self.git.call(&self.dir, diff_args(base, tree, &["--raw"]));
        parse_raw(&call.bytes()?).ok_or_else(unexpected)
    }

    /// All files of a tree, by path.
    pub(crate) fn files_of(
        &self,
        tree: &TreeId,
    ) -> Result<Vec<(ProjectPath, FileContent)>, GitError> {
        let empty = TreeId::parse(EMPTY_TREE).ok_or_else(unexpected)?;
        let files = self.operations(&empty, tree)?.into_iter();
        let files = files.filter_map(|file| Some((file.path, file.new?)));
        Ok(files.collect())
    }

    fn line_counts(
        &self,
        base: &TreeId,
        tree: &TreeId,
    ) -> Result<BTreeMap<String, LineCount>, GitError> {
        let args = diff_args(base, tree, &["--numstat", "-z"]);
        let printed = self.git.call(&self.dir, args).bytes()?;
        let records = printed.split(|b| *b == 0).filter(|r| !r.is_empty());
        let counts = records.filter_map(|record| {
            let mut fields = std::str::from_utf8(record).ok()?.splitn(3, '\t');
            let added = fields.next()?.parse().ok()?;
            let removed = fields.next()?.parse().ok()?;
            Some((fields.next()?.to_owned(), LineCount { added, removed }))
        });
        Ok(counts.collect())
    }

    /// The paths of all files of a tree.
    pub(crate) fn paths_of(&self, tree: &TreeId) -> Result<Vec<String>, GitError> {
        let args = ["ls-tree", "-r", "-z", "--name-only", tree.as_str()];
        let printed = self.git.call(&self.dir, args).bytes()?;
        let names = printed.split(|b| *b == 0).filter(|n| !n.is_empty());
        let names = names.map(|n| String::from_utf8(n.to_vec()).ok());
        names.collect::<Option<_>>().ok_or_else(unexpected)
    }
}

/// What an operation does to its file.
pub(crate) fn kind_of(operation: &FileOperation) -> ChangeKind {
    match (&operation.old, &operation.new) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Deleted,
        (Some(_), Some(_)) => ChangeKind::Modified,
    }
}

pub(crate) fn unexpected() -> GitError {
    GitError::Unexpected {
        operation: "diff-tree".to_owned(),
    }
}

pub(crate) fn diff_args<'a>(base: &'a TreeId, tree: &'a TreeId, form: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![
        "diff-tree",
        "-r",
        "--no-renames",
        "--no-ext-diff",
        "--no-textconv",
    ];
    args.extend(form);
    if form.contains(&"--raw") {
        args.push("-z");
    }
    args.extend([base.as_str(), tree.as_str()]);
    args
}

/// Reads `:oldmode newmode oldid newid status NUL path NUL`, repeated. `None` if it is not that.
fn parse_raw(printed: &[u8]) -> Option<Vec<FileOperation>> {
    let mut fields = printed.split(|b| *b == 0);
    let mut operations = Vec::new();
    while let Some(about) = fields.next().filter(|f| !f.is_empty()) {
        let about = std::str::from_utf8(about).ok()?.strip_prefix(':')?;
        let path = std::str::from_utf8(fields.next()?).ok()?;
        let words: Vec<&str> = about.split(' ').collect();
        let [old_mode, new_mode, old_id, new_id, _status] = words.as_slice() else {
            return None;
        };
        operations.push(FileOperation {
            path: ProjectPath::parse(path).ok()?,
            old: content(old_mode, old_id)?,
            new: content(new_mode, new_id)?,
        });
    }
    Some(operations)
}

/// What a mode and an object name say: `Some(None)` is no file, `None` is nothing that a
/// snapshot of ours can hold.
fn content(mode: &str, id: &str) -> Option<Option<FileContent>> {
    let kind = match mode {
        "000000" => return Some(None),
        "100644" => FileKind::Plain,
        "100755" => FileKind::Executable,
        "120000" => FileKind::Link,
        _ => return None,
    };
    let blob = BlobId::parse(id)?;
    Some(Some(FileContent { blob, kind }))
}
