//! The data folder itself: who may read it, its socket, and folders that nobody asked for.

use super::{DifferenceCode as Code, Look, store::Record, why};
use nexus_core::TaskId;
use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

/// What others than the owner may do.
const OTHERS: u32 = 0o077;

impl Look<'_> {
    pub(super) fn at_permissions(&mut self) {
        // The folder may be reached by a link.
        let Ok(root) = self.data.root().canonicalize() else {
            return;
        };
        let mut places = vec![root.clone()];
        for folder in [root.clone(), root.join("backups")] {
            let files = entries(&folder).into_iter();
            places.extend(files.filter(|path| is(path, fs::FileType::is_file)));
        }
        for place in places {
            let Ok(meta) = fs::symlink_metadata(&place) else {
                continue;
            };
            let mode = meta.permissions().mode() & 0o777;
            if mode & OTHERS == 0 {
                continue;
            }
            let closed = mode & !OTHERS;
            self.mend(
                Code::PermissionsLoose,
                place.display(),
                format!("its mode is {mode:03o}"),
                format!("sets its mode to {closed:03o}"),
                || fs::set_permissions(&place, Permissions::from_mode(closed)).map_err(why),
            );
        }
    }

    pub(super) fn at_socket(&mut self) {
        let socket = self.data.socket();
        let Ok(meta) = fs::symlink_metadata(&socket) else {
            if self.owned {
                let found = "its lock is held and its socket is not there";
                self.tell(Code::OwnerSilent, self.data.root().display(), found);
            }
            return;
        };
        if !meta.file_type().is_socket() {
            self.tell(Code::SocketForeign, socket.display(), "it is no socket");
        } else if self.owned {
            if let Err(error) = UnixStream::connect(&socket) {
                let found = format!("its lock is held and its socket does not answer: {error}");
                self.tell(Code::OwnerSilent, self.data.root().display(), found);
            }
        } else {
            let found = "nobody owns the data folder";
            let fix = "removes the socket";
            self.mend(Code::SocketStale, socket.display(), found, fix, || {
                fs::remove_file(&socket).map_err(why)
            });
        }
    }

    pub(super) fn at_set_aside(&mut self) {
        for place in entries(&self.data.root().join("set-aside")) {
            let held = entries(&place);
            let names: Vec<_> = held.iter().filter_map(|file| file.file_name()).collect();
            let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
            let found = format!("it holds {}", names.join(", "));
            self.tell(Code::SetAsidePresent, place.display(), found);
        }
    }

    /// Folders of tasks and projects that are not on record.
    pub(super) fn at_folders(&mut self, record: &Record) {
        for place in entries(&self.data.root().join("tasks")) {
            let named = place.file_name().and_then(|name| name.to_str());
            let id = named.and_then(|name| name.parse::<TaskId>().ok());
            match id {
                Some(id) if record.desk.tasks.contains_key(&id) => {}
                Some(id) if is(&place, fs::FileType::is_dir) => {
                    self.at_unknown_task(record, id, &place);
                }
                Some(_) | None => {
                    self.tell(
                        Code::FolderForeign,
                        place.display(),
                        "it has no task's name",
                    );
                }
            }
        }
        for place in entries(&self.data.root().join("projects")) {
            let named = place.file_name().and_then(|name| name.to_str());
            let known = named.and_then(|name| name.parse().ok());
            match known {
                Some(id) if record.desk.floor.projects.contains_key(&id) => {}
                Some(_) => {
                    let found = "no project has this id";
                    self.tell(Code::RepositoryOrphan, place.display(), found);
                }
                None => {
                    self.tell(
                        Code::FolderForeign,
                        place.display(),
                        "it has no project's name",
                    );
                }
            }
        }
    }

    fn at_unknown_task(&mut self, record: &Record, id: TaskId, place: &Path) {
        let workspace = self.data.workspace(id);
        let copies = [&workspace, &partial(&workspace)].map(|it| fs::symlink_metadata(it).is_ok());
        if copies.contains(&true) {
            self.at_unwanted_copy(record, None, &workspace, place);
            return;
        }
        let strangers: Vec<PathBuf> = entries(place)
            .into_iter()
            .filter(|it| !is_ours(it))
            .collect();
        if let Some(stranger) = strangers.first() {
            let found = "it lies in the folder of a task that is not on record";
            self.tell(Code::FolderForeign, stranger.display(), found);
            return;
        }
        self.set_aside(Code::TranscriptOrphan, place, "no task has this id");
    }

    /// Moves something into the trash.
    pub(super) fn set_aside(&mut self, code: Code, thing: &Path, found: &str) {
        let data = self.data.clone();
        let fix = "moves it to the trash, from where `nexus trash restore` brings it back";
        self.mend(code, thing.display(), found, fix, || {
            let moved = data.put_aside(thing, code.as_str(), found);
            moved.map(drop).map_err(why)
        });
    }
}

/// Is this one of the folders that NEXUS makes for a task?
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let known = ["transcripts", "checks", "scratchpads"];
    name.is_some_and(|name| known.contains(&name)) && is(path, fs::FileType::is_dir)
}

/// Where a copy is while it is being made or removed.
pub(super) fn partial(workspace: &Path) -> PathBuf {
    let mut name = workspace.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// What is in a folder, in order; nothing where it cannot be looked into. Follows no link.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    if !is(folder, fs::FileType::is_dir) {
        return Vec::new();
    }
    let listed = fs::read_dir(folder).and_then(|all| {
        all.map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()
    });
    let mut paths = listed.unwrap_or_default();
    paths.sort();
    paths
}

/// Is this itself, and not what a link leads to, of that sort?
pub(super) fn is(path: &Path, sort: impl Fn(&fs::FileType) -> bool) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| sort(&meta.file_type()))
}
