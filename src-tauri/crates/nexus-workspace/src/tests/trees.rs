//! Trees that are made from nothing, without a folder.

use super::{Place, path};
use crate::Repository;
use nexus_core::{BlobId, FileContent, FileKind, TreeId};
use std::{collections::BTreeMap, fmt};

/// The paths of a tree with what they hold.
pub(super) type Files = BTreeMap<String, File>;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) kind: FileKind,
    pub(super) bytes: Vec<u8>,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.bytes.escape_ascii())
    }
}

pub(super) fn plain(bytes: impl AsRef<[u8]>) -> File {
    File {
        kind: FileKind::Plain,
        bytes: bytes.as_ref().to_vec(),
    }
}

pub(super) fn executable(bytes: &str) -> File {
    File {
        kind: FileKind::Executable,
        ..plain(bytes)
    }
}

pub(super) fn link(to: &str) -> File {
    File {
        kind: FileKind::Link,
        ..plain(to)
    }
}

pub(super) fn files<const N: usize>(files: [(&str, File); N]) -> Files {
    files.map(|(path, file)| (path.to_owned(), file)).into()
}

/// A git directory in which trees are made from nothing.
pub(super) struct Trees {
    pub(super) repository: Repository,
    pub(super) empty: TreeId,
    /// What goes away with the trees.
    _place: Place,
}

impl Trees {
    pub(super) fn new() -> Self {
        let place = Place::plain();
        Self {
            repository: place.repository(),
            empty: place.tree_of(&[]),
            _place: place,
        }
    }

    pub(super) fn tree(&self, files: &Files) -> TreeId {
        let changes = files.iter().map(|(at, file)| {
            let blob = self.blob(&file.bytes);
            let kind = file.kind;
            (path(at), Some(FileContent { blob, kind }))
        });
        let changes = changes.collect();
        self.repository.changed_tree(&self.empty, &changes).unwrap()
    }

    pub(super) fn blob(&self, bytes: &[u8]) -> BlobId {
        let args = ["hash-object", "-w", "--stdin"];
        let call = self.repository.git.call(&self.repository.dir, args);
        BlobId::parse(&call.input(bytes.to_vec()).text().unwrap()).unwrap()
    }

    pub(super) fn read(&self, tree: &TreeId) -> Files {
        let files = self.repository.files_of(tree).unwrap().into_iter();
        let files = files.map(|(path, content)| {
            let bytes = self.repository.read_file(tree, &path).unwrap();
            let file = File {
                kind: content.kind,
                bytes: bytes.unwrap(),
            };
            (path.to_string(), file)
        });
        files.collect()
    }
}
