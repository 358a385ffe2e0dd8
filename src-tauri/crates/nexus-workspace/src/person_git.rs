//! Reads the git repository that a project belongs to: what it tracks, what it excludes, and
//! which commit is checked out.
//!
//! Files are read one by one and no git looks at them, so that nothing the repository
//! configures can run and nothing in it is written, not even a timestamp.

use crate::{person_index::tracked_paths, plain_file::hint};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// `HEAD`, `.git` files, `commondir`: one line each.
const LINE_LIMIT: u64 = 64 * 1024;
/// For `info/exclude`, and for `shallow`.
const EXCLUDE_LIMIT: u64 = 1024 * 1024;
/// For `packed-refs`.
const REFS_LIMIT: u64 = 64 * 1024 * 1024;
/// How many names may lead to each other before one leads to a commit.
const REF_STEPS: usize = 5;

/// A project's git repository that git could not work with either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "read the git repository at {}: {what}; repair it (`git status` there says more), or move it away to use the folder without git",
    path.display()
)]
pub struct BrokenGit {
    pub path: PathBuf,
    pub what: String,
}

/// The git repository that a folder belongs to.
#[derive(Clone, Debug)]
pub(crate) struct PersonGit {
    /// The top of the checkout: the folder itself or one above it.
    pub(crate) top: PathBuf,
    /// What belongs to this checkout: `HEAD`, the index.
    git_dir: PathBuf,
    /// What all checkouts of the repository share: objects, refs, `info/exclude`.
    common_dir: PathBuf,
}

impl PersonGit {
    /// Finds the repository of a canonical folder path; `None` for a plain folder.
    ///
    /// A broken repository in the folder itself is an error, as the person surely meant it to
    /// be one. Above the folder it is passed over, as git does.
    pub(crate) fn around(folder: &Path) -> Result<Option<Self>, BrokenGit> {
        for top in folder.ancestors() {
            let dot_git = top.join(".git");
            if fs::symlink_metadata(&dot_git).is_err() {
                continue;
            }
            match Self::open(top, &dot_git) {
                Ok(found) => return Ok(Some(found)),
                Err(what) if top == folder => {
                    return Err(BrokenGit {
                        path: dot_git,
                        what,
                    });
                }
                Err(_) => {}
            }
        }
        Ok(None)
    }

    fn open(top: &Path, dot_git: &Path) -> Result<Self, String> {
        let git_dir = match dot_git.metadata() {
            Ok(metadata) if metadata.is_dir() => dot_git.to_owned(),
            Ok(_) => linked_git_dir(top, dot_git)?,
            Err(error) => return Err(error.to_string()),
        };
        let common_dir = match hint(&git_dir.join("commondir"), LINE_LIMIT) {
            Some(line) => git_dir.join(line.trim()),
            None => git_dir.clone(),
        };
        check_head(&git_dir)?;
        for needed in ["objects", "refs"] {
            if !common_dir.join(needed).is_dir() {
                return Err(format!("its `{needed}` folder is missing"));
            }
        }
        Ok(Self {
            top: top.to_owned(),
            git_dir,
            common_dir,
        })
    }

    /// The lines of `.git/info/exclude`.
    pub(crate) fn exclude_text(&self) -> String {
        hint(&self.common_dir.join("info/exclude"), EXCLUDE_LIMIT).unwrap_or_default()
    }

    /// The object name of the commit that is checked out. `None` if there is none yet, and
    /// where it cannot be told.
    pub(crate) fn head_commit(&self) -> Option<String> {
        let mut text = hint(&self.git_dir.join("HEAD"), LINE_LIMIT)?;
        for _ in 0..REF_STEPS {
            let line = text.trim_end();
            match line.strip_prefix("ref:") {
                None => return is_object_name(line).then(|| line.to_owned()),
                Some(name) => text = self.reference(name.trim())?,
            }
        }
        None
    }

    /// What stands under the name of a branch.
    fn reference(&self, name: &str) -> Option<String> {
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
        if !name.starts_with("refs/") || !name.split('/').all(plain) {
            return None;
        }
        let own = hint(&self.common_dir.join(name), LINE_LIMIT);
        own.or_else(|| {
            let packed = hint(&self.common_dir.join("packed-refs"), REFS_LIMIT)?;
            let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
            let (id, _) = lines.find(|(_, packed)| *packed == name)?;
            Some(id.to_owned())
        })
    }

    /// Where the repository keeps its objects.
    pub(crate) fn objects(&self) -> PathBuf {
        self.common_dir.join("objects")
    }

    /// The commits at which the history of a shallow clone ends, one a line.
    pub(crate) fn shallow(&self) -> String {
        let text = hint(&self.common_dir.join("shallow"), EXCLUDE_LIMIT).unwrap_or_default();
        let ends = text.lines().filter(|line| is_object_name(line));
        ends.map(|line| format!("{line}\n")).collect()
    }

    /// The paths of all tracked files, from the top of the checkout, as git spells them.
    pub(crate) fn tracked(&self) -> Result<Vec<String>, BrokenGit> {
        tracked_paths(&self.git_dir).map_err(|what| BrokenGit {
            path: self.git_dir.join("index"),
            what,
        })
    }
}

/// Where a `.git` file points to, as linked worktrees and submodules have one.
fn linked_git_dir(top: &Path, dot_git: &Path) -> Result<PathBuf, String> {
    let text = hint(dot_git, LINE_LIMIT).ok_or("it is neither a folder nor a short file")?;
    let target = text
        .strip_prefix("gitdir:")
        .ok_or("it does not begin with `gitdir:`")?
        .trim();
    let git_dir = top.join(target);
    if git_dir.is_dir() {
        Ok(git_dir)
    } else {
        Err(format!("it points to `{target}`, which is not a folder"))
    }
}

fn check_head(git_dir: &Path) -> Result<(), String> {
    let head = git_dir.join("HEAD");
    // A very old git made HEAD a link to the branch.
    if fs::symlink_metadata(&head).is_ok_and(|m| m.is_symlink()) {
        return Ok(());
    }
    let text = hint(&head, LINE_LIMIT).ok_or("its `HEAD` is missing")?;
    let text = text.trim_end();
    if is_object_name(text) || text.starts_with("ref: refs/") {
        Ok(())
    } else {
        Err("its `HEAD` names neither a branch nor a commit".to_owned())
    }
}

fn is_object_name(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
