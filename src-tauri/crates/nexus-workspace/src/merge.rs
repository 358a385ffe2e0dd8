//! Merges two trees that come from the same one.
//!
//! Files are compared whole, by their objects. Only a file that both sides changed is looked
//! into: text is merged line by line by git, in a folder that nobody works in. Everything else
//! that both changed is a conflict. No workspace and no index of one is touched, and a file
//! that moved is one deleted and one added.

use crate::{GitError, Repository, git::Blobs, plain_file::Head, snapshot::ONE_SYNC};
use nexus_core::{BlobId, FileContent, FileKind, FileOperation, ProjectPath, TreeId};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::Path,
};
use tempfile::TempDir;

/// A larger file is not merged line by line: that takes memory and time without a bound.
const TEXT_LIMIT: u64 = 4 * 1024 * 1024;

/// How far git looks for a NUL to tell that a file is no text.
const BINARY_LIMIT: usize = 8000;

/// How much of a file is searched for conflict marks: both sides of a conflict in the largest
/// files that are merged, so that none of our own marks is out of reach.
const MARKS_LIMIT: u64 = 2 * TEXT_LIMIT + 1024 * 1024;

/// The longest name of a side in conflict marks, in characters.
const LABEL_LIMIT: usize = 80;

/// What the two sides are called in conflict marks.
#[derive(Clone, Copy, Debug)]
pub struct MergeLabels<'a> {
    pub ours: &'a str,
    pub theirs: &'a str,
}

/// What came of merging two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Both changes are in the tree.
    Clean { tree: TreeId },
    /// Both changes are in the tree, but for these files.
    Conflicted {
        tree: TreeId,
        /// By path, each once.
        files: Vec<MergeConflict>,
    },
}

/// A file in which two changes are in each other's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeConflict {
    pub path: ProjectPath,
    pub what: MergeConflictKind,
}

/// How two changes are in each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeConflictKind {
    /// Both changed the same lines. The tree has both, between conflict marks.
    BothChanged,
    /// Both made it, differently. The tree has both, between conflict marks.
    BothAdded,
    /// One side changed it, the other deleted it. The tree has the changed file.
    OneDeleted,
    /// It is no text, or too large to be merged as one. The tree has our file.
    Binary,
    /// Both made the link lead elsewhere. The tree has our link.
    Link,
    /// One side has a file where the other has a folder or a link, or an executable one where
    /// the other has a plain one. The tree has what we have.
    Kind,
}

impl MergeConflictKind {
    /// Does the tree have both contents, between conflict marks?
    pub fn is_marked(self) -> bool {
        match self {
            Self::BothChanged | Self::BothAdded => true,
            Self::OneDeleted | Self::Binary | Self::Link | Self::Kind => false,
        }
    }
}

impl fmt::Display for MergeConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BothChanged => "both changed the same lines",
            Self::BothAdded => "both added it, differently",
            Self::OneDeleted => "one side changed it and the other deleted it",
            Self::Binary => "both changed it, and it cannot be merged line by line",
            Self::Link => "both changed where the link leads",
            Self::Kind => "each side made it something of another kind",
        })
    }
}

impl Repository {
    /// Brings what turned `base` into `theirs` into `ours`.
    ///
    /// What only one side changed is as that side has it, byte by byte; what both changed in
    /// the same way is no conflict. Which files conflict does not depend on which side is
    /// which.
    pub fn merge(
        &self,
        base: &TreeId,
        ours: &TreeId,
        theirs: &TreeId,
        labels: MergeLabels<'_>,
    ) -> Result<Merge, GitError> {
        let ours_did = self.operations(base, ours)?.into_iter();
        let mut merging = Merging {
            repository: self,
            labels,
            ours_did: ours_did.map(|o| (o.path.clone(), o)).collect(),
            changes: BTreeMap::new(),
            conflicts: BTreeMap::new(),
            workbench: None,
        };
        for operation in self.operations(base, theirs)? {
            merging.take_over(operation)?;
        }
        merging.part_files_from_folders();
        let tree = self.changed_tree(ours, &merging.changes)?;
        let files: Vec<_> = merging
            .conflicts
            .into_iter()
            .map(|(path, what)| MergeConflict { path, what })
            .collect();
        Ok(if files.is_empty() {
            Merge::Clean { tree }
        } else {
            Merge::Conflicted { tree, files }
        })
    }

    /// Those of these files in which conflict marks are left: a line that opens a conflict and
    /// one further down that closes one. The first few MiB of each are looked at; a link and a
    /// file that is not in the tree have none.
    pub fn marks_in(
        &self,
        tree: &TreeId,
        paths: &[ProjectPath],
    ) -> Result<Vec<ProjectPath>, GitError> {
        let asked: BTreeSet<&ProjectPath> = paths.iter().collect();
        let mut blobs = Blobs::open(&self.git, &self.dir)?;
        let mut marked = Vec::new();
        for (path, file) in self.files_of(tree)? {
            let is_asked = asked.contains(&path) && file.kind != FileKind::Link;
            if is_asked && has_marks(&blobs.head(file.blob.as_str(), MARKS_LIMIT)?.bytes) {
                marked.push(path);
            }
        }
        Ok(marked)
    }

    /// The tree after these changes; `None` removes a file.
    pub(crate) fn changed_tree(
        &self,
        tree: &TreeId,
        changes: &BTreeMap<ProjectPath, Option<FileContent>>,
    ) -> Result<TreeId, GitError> {
        if changes.is_empty() {
            return Ok(tree.clone());
        }
        let dir = self.aside()?;
        let index = dir.path().join("index");
        let call = |args: &[&str]| self.git.call(&self.dir, args).index(&index);
        call(&["read-tree", tree.as_str()]).run()?;
        // Removals first, so that nothing stands in the way of a new file.
        let (gone, put): (Vec<_>, Vec<_>) = changes.iter().partition(|(_, new)| new.is_none());
        let mut lines = Vec::new();
        for (path, new) in gone.into_iter().chain(put) {
            lines.extend_from_slice(index_line(path, new.as_ref()).as_bytes());
        }
        let args = ["update-index", "--add", "--replace", "-z", "--index-info"];
        call(&args).input(lines).run()?;
        let printed = call(&["write-tree"]).text()?;
        TreeId::parse(&printed).ok_or_else(|| unexpected("write-tree"))
    }

    /// A folder of ours that goes away with what is put into it.
    fn aside(&self) -> Result<TempDir, GitError> {
        let made = tempfile::Builder::new()
            .prefix("merge-")
            .tempdir_in(self.dir.join("nexus"));
        made.map_err(|error| cannot_write(&self.dir.join("nexus"), &error))
    }
}

/// A line of `update-index --index-info`, with its NUL.
fn index_line(path: &ProjectPath, new: Option<&FileContent>) -> String {
    let Some(FileContent { blob, kind }) = new else {
        return format!("0 {:040}\t{path}\0", 0);
    };
    let mode = match kind {
        FileKind::Plain => "100644",
        FileKind::Executable => "100755",
        FileKind::Link => "120000",
    };
    format!("{mode} {blob}\t{path}\0")
}

fn unexpected(operation: &str) -> GitError {
    GitError::Unexpected {
        operation: operation.to_owned(),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> GitError {
    GitError::Failed {
        operation: "merge-file".to_owned(),
        message: format!("cannot write {}: {error}", path.display()),
    }
}

/// A merge under way.
struct Merging<'a> {
    repository: &'a Repository,
    labels: MergeLabels<'a>,
    ours_did: BTreeMap<ProjectPath, FileOperation>,
    /// What to do to our tree.
    changes: BTreeMap<ProjectPath, Option<FileContent>>,
    conflicts: BTreeMap<ProjectPath, MergeConflictKind>,
    workbench: Option<Workbench>,
}

impl Merging<'_> {
    /// Does to our tree what they did to one file.
    fn take_over(&mut self, did: FileOperation) -> Result<(), GitError> {
        let FileOperation { path, old, new } = did;
        let ours = match self.ours_did.get(&path) {
            None => {
                self.changes.insert(path, new);
                return Ok(());
            }
            Some(ours) if ours.new == new => return Ok(()),
            Some(ours) => ours.new.clone(),
        };
        let (Some(ours), Some(theirs)) = (ours.clone(), new.clone()) else {
            // What is deleted here comes back, as somebody works on it.
            if ours.is_none() {
                self.changes.insert(path.clone(), new);
            }
            self.conflict(path, MergeConflictKind::OneDeleted);
            return Ok(());
        };
        match (ours.kind, theirs.kind) {
            (FileKind::Link, FileKind::Link) => self.conflict(path, MergeConflictKind::Link),
            (FileKind::Link, FileKind::Plain | FileKind::Executable)
            | (FileKind::Plain | FileKind::Executable, FileKind::Link) => {
                self.conflict(path, MergeConflictKind::Kind);
            }
            (FileKind::Plain | FileKind::Executable, FileKind::Plain | FileKind::Executable) => {
                let base = old.filter(|base| base.kind != FileKind::Link);
                self.merge_files(path, base.as_ref(), &ours, &theirs)?;
            }
        }
        Ok(())
    }

    fn conflict(&mut self, path: ProjectPath, what: MergeConflictKind) {
        self.conflicts.insert(path, what);
    }

    /// Merges two files, content and right to run apart from each other.
    fn merge_files(
        &mut self,
        path: ProjectPath,
        base: Option<&FileContent>,
        ours: &FileContent,
        theirs: &FileContent,
    ) -> Result<(), GitError> {
        let kind = pick(base.map(|b| &b.kind), &ours.kind, &theirs.kind);
        let text = match pick(base.map(|b| &b.blob), &ours.blob, &theirs.blob) {
            Some(blob) => Text::Clean(blob.clone()),
            None => self.merge_texts(base, ours, theirs)?,
        };
        let (blob, conflict) = match (text, kind, base) {
            (Text::Clean(blob), Some(_), _) => (blob, None),
            (Text::Clean(_), None, _) => (ours.blob.clone(), Some(MergeConflictKind::Kind)),
            (Text::Marked(blob), _, Some(_)) => (blob, Some(MergeConflictKind::BothChanged)),
            (Text::Marked(blob), _, None) => (blob, Some(MergeConflictKind::BothAdded)),
            (Text::None, _, _) => {
                self.conflict(path, MergeConflictKind::Binary);
                return Ok(());
            }
        };
        let kind = *kind.unwrap_or(&ours.kind);
        let merged = Some(FileContent { blob, kind });
        self.changes.insert(path.clone(), merged);
        if let Some(what) = conflict {
            self.conflict(path, what);
        }
        Ok(())
    }

    fn merge_texts(
        &mut self,
        base: Option<&FileContent>,
        ours: &FileContent,
        theirs: &FileContent,
    ) -> Result<Text, GitError> {
        let bench = match self.workbench.take() {
            Some(bench) => bench,
            None => Workbench::open(self.repository)?,
        };
        let bench = self.workbench.insert(bench);
        let has_base = match base {
            Some(base) => bench.lay_out("base", Some(&base.blob))?,
            None => bench.lay_out("base", None)?,
        };
        let all = has_base
            && bench.lay_out("ours", Some(&ours.blob))?
            && bench.lay_out("theirs", Some(&theirs.blob))?;
        if !all {
            return Ok(Text::None);
        }
        let (merged, clean) = bench.merge(self.repository, self.labels)?;
        let args = ["hash-object", "-w", "--no-filters", "--stdin"];
        let call = self.repository.git.call(&self.repository.dir, args);
        let blob = call.settings(ONE_SYNC).input(merged).text()?;
        let blob = BlobId::parse(&blob).ok_or_else(|| unexpected("hash-object"))?;
        Ok(if clean {
            Text::Clean(blob)
        } else {
            Text::Marked(blob)
        })
    }

    /// Finds files of one side that have the name of a folder of the other, and keeps what is
    /// ours. Only changed paths can be among them: an unchanged one is on both sides.
    fn part_files_from_folders(&mut self) {
        let ours = self.ours_did.iter().map(|(path, o)| (path, &o.new));
        let mut files: BTreeMap<&ProjectPath, &Option<FileContent>> = ours.collect();
        files.extend(&self.changes);
        let files: BTreeSet<&str> = files
            .into_iter()
            .filter(|(_, new)| new.is_some())
            .map(|(path, _)| path.as_str())
            .collect();
        let clashes: Vec<(ProjectPath, ProjectPath)> = files
            .iter()
            .flat_map(|path| {
                path.match_indices('/')
                    .map(|(slash, _)| (&path[..slash], *path))
            })
            .filter(|(folder, _)| files.contains(folder))
            .filter_map(|(file, below)| {
                Some((
                    ProjectPath::parse(file).ok()?,
                    ProjectPath::parse(below).ok()?,
                ))
            })
            .collect();
        for (file, below) in clashes {
            let file_is_ours = self.ours_did.get(&file).is_some_and(|o| o.new.is_some());
            self.changes
                .remove(if file_is_ours { &below } else { &file });
            self.conflicts.remove(&below);
            self.conflict(file, MergeConflictKind::Kind);
        }
    }
}

/// What three-way merging makes of a value that is one of a kind. `None` if both changed it.
fn pick<'a, T: PartialEq>(base: Option<&T>, ours: &'a T, theirs: &'a T) -> Option<&'a T> {
    if ours == theirs || base == Some(theirs) {
        Some(ours)
    } else if base == Some(ours) {
        Some(theirs)
    } else {
        None
    }
}

fn has_marks(content: &[u8]) -> bool {
    let mut lines = content.split(|b| *b == b'\n');
    lines.any(|line| line.starts_with(b"<<<<<<< ")) && lines.any(|l| l.starts_with(b">>>>>>> "))
}

/// What came of merging two contents.
enum Text {
    Clean(BlobId),
    Marked(BlobId),
    /// They are not text, or too long.
    None,
}

/// Where git finds the three contents of a file that is merged.
struct Workbench {
    dir: TempDir,
    blobs: Blobs,
}

impl Workbench {
    fn open(repository: &Repository) -> Result<Self, GitError> {
        Ok(Self {
            dir: repository.aside()?,
            blobs: Blobs::open(&repository.git, &repository.dir)?,
        })
    }

    /// Puts a content down under a name, or an empty one; false if it cannot be merged as text.
    fn lay_out(&mut self, name: &str, blob: Option<&BlobId>) -> Result<bool, GitError> {
        let content = match blob {
            Some(blob) => self.blobs.head(blob.as_str(), TEXT_LIMIT)?,
            None => Head {
                bytes: Vec::new(),
                truncated: false,
            },
        };
        let beginning = &content.bytes[..content.bytes.len().min(BINARY_LIMIT)];
        if content.truncated || beginning.contains(&0) {
            return Ok(false);
        }
        let path = self.dir.path().join(name);
        let written = fs::write(&path, &content.bytes);
        written.map_err(|error| cannot_write(&path, &error))?;
        Ok(true)
    }

    /// The merged content; true if there are no conflict marks in it.
    fn merge(
        &self,
        repository: &Repository,
        labels: MergeLabels<'_>,
    ) -> Result<(Vec<u8>, bool), GitError> {
        let path = |name| self.dir.path().join(name).into_os_string();
        let mut args: Vec<_> = ["merge-file", "-p"].map(Into::into).to_vec();
        for label in [labels.ours, "base", labels.theirs] {
            args.extend(["-L".into(), one_line(label).into()]);
        }
        args.extend([path("ours"), path("base"), path("theirs")]);
        let call = repository.git.call(&repository.dir, args);
        call.settings(TWO_SIDES).answer()
    }
}

/// Conflict marks show the two sides and not what was before.
const TWO_SIDES: &[&str] = &["merge.conflictStyle=merge"];

/// A name as it can stand behind a mark.
fn one_line(label: &str) -> String {
    let plain = label.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LABEL_LIMIT).collect()
}
