//! What was put aside, and the way back.
//!
//! Each thing has a folder of its own in `trash` in the data folder, named for the moment. In it
//! lies the thing under its own name, and beside it a note that says where it was and why. Things
//! are renamed, never copied, followed or deleted, and nothing here empties the trash.

use crate::{DataDir, EngineError, ErrorKind, data_dir::private_dir, dispatcher::now};
use nexus_core::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
};

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

/// The note beside a thing in the trash.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    at: Timestamp,
    code: String,
    /// Only what is text can be written down, so nothing else is put aside.
    from: PathBuf,
    /// The name of the thing beside the note, below the item's folder.
    name: PathBuf,
    why: String,
}

const NOTE: &str = "manifest.json";
/// In it lies the thing, so that none can be mistaken for the note.
const THING: &str = "was";

impl DataDir {
    fn trash_folder(&self) -> PathBuf {
        self.root().join("trash")
    }

    /// What is in the trash, the newest first.
    pub fn trash(&self) -> Result<Vec<Trashed>, EngineError> {
        let folder = self.trash_folder();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(EngineError::data_dir(&folder, error)),
        };
        let mut items = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| EngineError::data_dir(&folder, error))?;
            // What has no note, or nothing beside it, was cut short before it was moved.
            items.extend(read_item(&entry.path()));
        }
        items.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(items)
    }

    /// Puts something of the trash back where it was, if nothing is there now.
    pub fn restore_trashed(&self, id: &str) -> Result<Trashed, EngineError> {
        let items = self.trash()?;
        let found = items.into_iter().find(|item| item.id == id);
        let item = found.ok_or_else(|| {
            let message =
                format!("there is no `{id}` in the trash; `nexus trash list` shows what is");
            EngineError::new(ErrorKind::NotFound, message)
        })?;
        if let Some(parent) = item.from.parent() {
            private_dir(parent)?;
        }
        move_only(&item.path, &item.from).map_err(|error| cannot_return(&item, &error))?;
        let folder = self.trash_folder().join(&item.id);
        // What stays of it is an empty folder with a note, which no list shows.
        let _ = fs::remove_file(folder.join(NOTE));
        let _ = item.path.parent().map(fs::remove_dir);
        let _ = fs::remove_dir(folder.join(THING));
        let _ = fs::remove_dir(&folder);
        Ok(item)
    }

    /// Puts `thing` aside. It is renamed as it is: a link stays a link.
    pub(crate) fn put_aside(
        &self,
        thing: &Path,
        code: &str,
        why: &str,
    ) -> Result<Trashed, EngineError> {
        let failed = |error: io::Error| EngineError::data_dir(thing, error);
        let name = thing.file_name().map(PathBuf::from);
        let name = name.ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        self.make_item(thing, &name, code, why, |place| {
            move_only(thing, &place.join(&name)).map_err(failed)?;
            Ok(place.join(&name))
        })
    }

    /// Makes an item for `from` and has `fill` move the thing into its folder. `fill` says
    /// where it is then, which has to be `name` below that folder.
    pub(crate) fn make_item(
        &self,
        from: &Path,
        name: &Path,
        code: &str,
        why: &str,
        fill: impl FnOnce(&Path) -> Result<PathBuf, EngineError>,
    ) -> Result<Trashed, EngineError> {
        let at = now();
        let (id, folder) = self.new_item(at)?;
        let note = Note {
            at,
            code: code.to_owned(),
            from: from.to_owned(),
            name: name.to_owned(),
            why: why.to_owned(),
        };
        // The note is on the disk before anything moves: nothing lies there without its origin.
        write_note(&folder, &note).map_err(|error| EngineError::data_dir(&folder, error))?;
        match fill(&folder.join(THING)) {
            Ok(path) => Ok(Trashed {
                id,
                at,
                code: note.code,
                from: note.from,
                path,
                why: note.why,
            }),
            Err(error) => {
                let _ = fs::remove_file(folder.join(NOTE));
                let _ = fs::remove_dir(folder.join(THING));
                let _ = fs::remove_dir(&folder);
                Err(error)
            }
        }
    }

    /// A folder for one thing that nothing had before.
    fn new_item(&self, at: Timestamp) -> Result<(String, PathBuf), EngineError> {
        let trash = self.trash_folder();
        private_dir(&trash)?;
        let stamp = at.to_string().replace(['-', ':'], "");
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        for number in 1_u32.. {
            let id = if number == 1 {
                stamp.clone()
            } else {
                format!("{stamp}-{number}")
            };
            let folder = trash.join(&id);
            match builder.create(&folder) {
                Ok(()) => {
                    let made = builder.create(folder.join(THING));
                    made.map_err(|error| EngineError::data_dir(&folder, error))?;
                    return Ok((id, folder));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(EngineError::data_dir(&folder, error)),
            }
        }
        Err(EngineError::data_dir(
            &trash,
            io::ErrorKind::AlreadyExists.into(),
        ))
    }
}

fn write_note(folder: &Path, note: &Note) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(note).map_err(io::Error::other)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(NOTE))?;
    file.write_all(&text)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

fn read_item(folder: &Path) -> Option<Trashed> {
    if !fs::symlink_metadata(folder).ok()?.is_dir() {
        return None;
    }
    let id = folder.file_name()?.to_str()?.to_owned();
    let note: Note = serde_json::from_slice(&fs::read(folder.join(NOTE)).ok()?).ok()?;
    let below = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !note.name.components().all(below) {
        return None;
    }
    let path = folder.join(THING).join(&note.name);
    fs::symlink_metadata(&path).ok()?;
    Some(Trashed {
        id,
        at: note.at,
        code: note.code,
        from: note.from,
        path,
        why: note.why,
    })
}

/// Gives `from` the name `to`, which nothing may have.
fn move_only(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot promise it.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        moved => Ok(moved?),
    }
}

fn cannot_return(item: &Trashed, error: &io::Error) -> EngineError {
    let (from, path) = (item.from.display(), item.path.display());
    if error.kind() == io::ErrorKind::AlreadyExists {
        let message = format!(
            "failed to put {path} back: something is at {from}; move that away, then try again"
        );
        return EngineError::new(ErrorKind::WrongState, message);
    }
    let message = format!("failed to put {path} back to {from}: {error}");
    EngineError::new(ErrorKind::DataFolder, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_was_put_aside_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        assert_eq!(data.trash().unwrap(), []);
        let folder = dir.path().join("manifest.json");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "content").unwrap();
        let link = dir.path().join("link");
        symlink(&folder, &link).unwrap();

        let first = data.put_aside(&folder, "a_code", "because").unwrap();
        let second = data.put_aside(&link, "a_code", "because").unwrap();
        assert!(!folder.exists() && fs::symlink_metadata(&link).is_err());
        let listed = data.trash().unwrap();
        assert!(
            listed.contains(&first) && listed.contains(&second),
            "{listed:?}"
        );

        fs::write(&folder, "another one").unwrap();
        let refused = data.restore_trashed(&first.id).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::WrongState, "{refused}");
        assert_eq!(fs::read_to_string(&folder).unwrap(), "another one");
        fs::remove_file(&folder).unwrap();

        data.restore_trashed(&first.id).unwrap();
        data.restore_trashed(&second.id).unwrap();
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "content");
        assert_eq!(fs::read_link(&link).unwrap(), folder);
        assert_eq!(data.trash().unwrap(), []);
        assert_eq!(fs::read_dir(data.trash_folder()).unwrap().count(), 0);
        let gone = data.restore_trashed(&first.id).unwrap_err();
        assert_eq!(gone.kind, ErrorKind::NotFound);
    }

    #[test]
    fn what_cannot_be_moved_stays_and_leaves_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        data.put_aside(&dir.path().join("missing"), "a_code", "because")
            .unwrap_err();
        assert_eq!(data.trash().unwrap(), []);
        assert_eq!(fs::read_dir(data.trash_folder()).unwrap().count(), 0);
    }
}
