//! Reads what the last commits of the person's own repository are called.
//!
//! Only git can read its objects. It is given a git directory of ours that borrows them, and
//! so sees nothing else of the person's repository: no configuration, no hooks, no attributes.
//! What is checked out is found by reading files, as all else about the repository is.

use crate::{
    Git, Limits, Source,
    person_git::PersonGit,
    repository::{Layout, lay_out},
};
use std::{fs, path::Path, time::Duration};

/// The longest subject, in bytes.
const SUBJECT_LIMIT: usize = 200;

/// How much of what git prints is read.
const PRINTED_LIMIT: u64 = 1024 * 1024;

/// A repository on which git takes longer is passed over, as is one that keeps it waiting.
const DEADLINE: Duration = Duration::from_secs(10);

/// Without indexes that are only there to be faster, and that a repository can fill with
/// anything.
const OBJECTS_ALONE: &[&str] = &["core.commitGraph=false", "core.multiPackIndex=false"];

/// The subjects of the last commits in the repository that `folder` belongs to, the newest
/// first, at most `count`, each on one line and at most 200 bytes long. They are text of
/// whoever wrote them.
///
/// For hints only: empty if there is no repository, and when anything about it is off.
pub fn recent_subjects(folder: &Path, count: usize) -> Vec<String> {
    subjects_within(DEADLINE, folder, count).unwrap_or_default()
}

pub(crate) fn subjects_within(
    deadline: Duration,
    folder: &Path,
    count: usize,
) -> Option<Vec<String>> {
    let source = Source::new(folder, &[], Limits::default()).ok()?;
    let theirs = source.person_git()?;
    let head = theirs.head_commit()?;
    let dir = tempfile::tempdir().ok()?;
    borrow(theirs, dir.path())?;
    let count = format!("--max-count={count}");
    let args = [
        "log",
        &count,
        "--format=%s",
        // Nothing is converted: a commit says by itself which encoding it is in.
        "--encoding=none",
        "--no-mailmap",
        "--no-notes",
        "--no-show-signature",
        "--no-color",
        &head,
        "--",
    ];
    let git = Git::find().ok()?;
    let call = git.call(dir.path(), args).settings(OBJECTS_ALONE);
    let (printed, _) = call.within(deadline).bytes_up_to(PRINTED_LIMIT).ok()?;
    let lines = printed.split(|b| *b == b'\n').map(one_line);
    Some(lines.filter(|line| !line.is_empty()).collect())
}

/// Makes a git directory with the objects of the repository and nothing else of it.
fn borrow(theirs: &PersonGit, dir: &Path) -> Option<()> {
    let objects = theirs.objects().canonicalize().ok()?;
    let layout = Layout::Disposable {
        objects: &objects,
        exclude: &[],
    };
    lay_out(dir, layout).ok()?;
    fs::write(dir.join("shallow"), theirs.shallow()).ok()
}

/// A subject as it can be shown. What is not UTF-8 is replaced.
fn one_line(subject: &[u8]) -> String {
    let text = String::from_utf8_lossy(subject);
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line = plain.collect::<String>().trim().to_owned();
    line.truncate(line.floor_char_boundary(SUBJECT_LIMIT));
    line.truncate(line.trim_end().len());
    line
}
