//! What this crate promises, shown with real git on real folders.

mod apply;
mod detect;
mod folder;
mod history;
mod hostile;
mod lane;
mod merge;
mod patches;
mod snapshot;
mod templates;
mod trees;
mod workspace;

use crate::{Limits, Repository, Snapshot, Source, Workspace};
use nexus_core::{ProjectPath, TreeId};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// A project's folder with NEXUS's data beside it.
struct Place {
    dir: TempDir,
    project: PathBuf,
}

impl Place {
    /// An empty folder.
    fn plain() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().canonicalize().unwrap().join("project");
        fs::create_dir(&project).unwrap();
        Self { dir, project }
    }

    /// An empty git checkout.
    fn git() -> Self {
        let place = Self::plain();
        place.run_git(&["init", "--quiet"]);
        place
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.project.join(path)
    }

    /// Writes a file and the folders it lies in.
    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        write(&self.project, path, content);
        self
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn link(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.at(path)).unwrap();
        self
    }

    /// Runs the person's own git in the project.
    fn run_git(&self, args: &[&str]) -> String {
        run_git(&self.project, &self.path("home"), args)
    }

    fn commit_all(&self) {
        self.run_git(&["add", "--all"]);
        self.run_git(&["commit", "--quiet", "--allow-empty", "-m", "state"]);
    }

    fn repository(&self) -> Repository {
        Repository::open(&self.path("data/git")).unwrap()
    }

    fn source(&self) -> Source {
        Source::new(&self.project, &[], Limits::default()).unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        self.repository().snapshot(&self.source(), "test").unwrap()
    }

    /// The paths in a fresh snapshot.
    fn snapshot_paths(&self) -> Vec<String> {
        self.repository().paths_of(&self.snapshot().tree).unwrap()
    }

    /// A workspace with the project as it is now.
    fn workspace(&self) -> Workspace {
        self.workspace_with(&[])
    }

    fn workspace_with(&self, copy: &[&str]) -> Workspace {
        let copy: Vec<_> = copy.iter().map(|p| path(p)).collect();
        let snapshot = self.snapshot();
        let dir = self.path("data/workspaces/task");
        self.repository()
            .check_out(&self.source(), &snapshot.id, &dir, &copy)
            .unwrap()
    }

    /// The tree of a folder that holds just these files.
    fn tree_of(&self, files: &[(&str, &str)]) -> TreeId {
        let place = Self::plain();
        for (path, content) in files {
            place.write(path, content);
        }
        self.repository()
            .snapshot(&place.source(), "tree")
            .unwrap()
            .tree
    }
}

fn path(text: &str) -> ProjectPath {
    ProjectPath::parse(text).unwrap()
}

fn write(folder: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// Runs git as a person would, with a home folder of its own.
fn run_git(folder: &Path, home: &Path, args: &[&str]) -> String {
    let output = git_output(folder, home, args);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test plays the person, whose git is none of ours"
)]
fn git_output(folder: &Path, home: &Path, args: &[&str]) -> Output {
    Command::new("git")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("GIT_AUTHOR_NAME", "Test")
        .env("GIT_AUTHOR_EMAIL", "test@localhost")
        .env("GIT_COMMITTER_NAME", "Test")
        .env("GIT_COMMITTER_EMAIL", "test@localhost")
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the standard library cannot make a pipe with a name"
)]
fn make_pipe(place: &Place, name: &str) {
    let mut command = Command::new("mkfifo");
    assert!(command.arg(place.at(name)).status().unwrap().success());
}

/// Everything below a folder: kind, rights and content by path.
fn contents(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = metadata.permissions().mode() & 0o777;
            let about = if metadata.is_symlink() {
                format!("link to {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                format!("folder {mode:o}")
            } else if metadata.is_file() {
                let content = fs::read(&path).unwrap();
                format!(
                    "file {mode:o} {:?} {}",
                    metadata.modified().unwrap(),
                    content.escape_ascii()
                )
            } else {
                "special".to_owned()
            };
            if metadata.is_dir() {
                pending.push(path.clone());
            }
            let path = path.strip_prefix(folder).unwrap();
            all.insert(path.to_string_lossy().into_owned(), about);
        }
    }
    all
}
