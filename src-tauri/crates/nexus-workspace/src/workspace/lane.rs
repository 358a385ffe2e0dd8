//! Lanes: workspaces branched from that of a task, in which steps work side by side.
//!
//! A lane has the rules, the limits and the base of the task's workspace, and what is ignored
//! in there and needed for work. Its folder stays the same for as long as there is work for it:
//! each branch puts other content into it.

use super::{
    DisposableGit, PRIVATE, Workspace, WorkspaceError, clear_partial, is_dir, mark, partial,
    remove, remove_workspace, storage,
};
use crate::{
    copy::{CopyLimit, Move, NotCopied, NotCopiedReason, copy_within},
    plain_file::is_absent,
    repository::create_private_dir,
    rules::{Level, Matcher, is_git_dir},
};
use nexus_core::{ProjectPath, TreeId};
use std::{collections::BTreeSet, fs, io, path::Path, rc::Rc};

/// How much of what is ignored is copied into a lane.
const LIMIT: CopyLimit = CopyLimit {
    files: 200_000,
    bytes: 2 * 1024 * 1024 * 1024,
};

/// How many things that were not copied are named.
const NAMED: usize = 100;

/// How many ignored things are named to the lane's git besides the rules, which already say most
/// of it. Git tries every name on every file.
const EXCLUDED: usize = 1000;

/// Where things are put together before they are put into the lane.
const INCOMING: &str = "incoming";

impl Workspace {
    /// Makes a lane at `dir` with the content `tree`, or puts the content into the lane that is
    /// there already. What it then holds is exactly `tree`; the folder to work in has the same
    /// path each time, and a new throw-away `.git` with one commit.
    ///
    /// What this workspace ignores and has, such as installed packages, is copied, unless the
    /// lane has something of that name. There is a bound to it; [`Workspace::not_copied`] names
    /// what was left behind, up to a hundred of it. What is ignored in a lane that was there
    /// stays. A lane that cannot be put right is made anew. Nothing else may work in the lane
    /// meanwhile.
    pub fn branch(&self, tree: &TreeId, dir: &Path) -> Result<Self, WorkspaceError> {
        self.branch_within(LIMIT, tree, dir)
    }

    pub(crate) fn branch_within(
        &self,
        limit: CopyLimit,
        tree: &TreeId,
        dir: &Path,
    ) -> Result<Self, WorkspaceError> {
        if dir == self.dir {
            return Err(WorkspaceError::Exists(dir.to_owned()));
        }
        if !is_dir(&self.path()) {
            return Err(WorkspaceError::NotAWorkspace(self.path()));
        }
        if let Some(lane) = self.lane_at(dir)
            && let Ok(lane) = self.fill(lane, tree, limit)
        {
            return Ok(lane);
        }
        remove_workspace(dir)?;
        let filled = self
            .empty_lane(dir)
            .and_then(|lane| self.fill(lane, tree, limit));
        if filled.is_err() {
            // The reason it failed says more than that clearing up failed as well.
            drop(remove_workspace(dir));
        }
        filled
    }

    /// A lane of this workspace that was made before.
    fn lane_at(&self, dir: &Path) -> Option<Self> {
        let lane = self.repository.open_workspace(dir).ok()?;
        let is_ours = lane.record == self.record && is_dir(&lane.path());
        is_ours.then_some(lane)
    }

    fn empty_lane(&self, dir: &Path) -> Result<Self, WorkspaceError> {
        let partial = partial(dir);
        clear_partial(&partial)?;
        mark(&partial, &self.record).map_err(storage(&partial))?;
        let files = partial.join(&self.record.name);
        fs::create_dir(&files).map_err(storage(&files))?;
        fs::rename(&partial, dir).map_err(storage(dir))?;
        Ok(Self {
            repository: self.repository.clone(),
            dir: dir.to_owned(),
            record: self.record.clone(),
            not_copied: Vec::new(),
        })
    }

    /// Brings a lane from whatever it holds to where work can begin. What was cut short in
    /// here is done again.
    fn fill(&self, lane: Self, tree: &TreeId, limit: CopyLimit) -> Result<Self, WorkspaceError> {
        lane.restore(tree)?;
        let ignored = self.ignored(&lane)?;
        lane.renew_git(tree, &ignored.paths)?;
        let mut not_copied = ignored.not_utf8;
        not_copied.extend(self.copy_into(&lane, ignored.paths, limit)?);
        not_copied.truncate(NAMED);
        Ok(Self { not_copied, ..lane })
    }

    /// Takes away whatever the last one who worked here made of the `.git`.
    fn renew_git(&self, tree: &TreeId, ignored: &[ProjectPath]) -> Result<(), WorkspaceError> {
        let dot_git = self.path().join(".git");
        remove_if_there(&dot_git).map_err(storage(&dot_git))?;
        let git = DisposableGit {
            repository: &self.repository,
            files: &self.path(),
            index: &self.index(),
            tree,
            rules: &self.record.rules,
        };
        git.make(ignored.iter().take(EXCLUDED))
    }

    /// What is here and would be ignored in the lane, which has its content already.
    fn ignored(&self, lane: &Self) -> Result<Ignored, WorkspaceError> {
        let mut held = self.tracked()?;
        held.extend(lane.tracked()?);
        let matcher = self.record.rules.matcher();
        let mut search = Search {
            from: &self.path(),
            lane: &lane.path(),
            matcher: &matcher.map_err(crate::SnapshotError::from)?,
            held,
            ignored: Ignored::default(),
            pending: vec![(String::new(), Above::Rules(None))],
        };
        while let Some((base, above)) = search.pending.pop() {
            search.read_folder(&base, above)?;
        }
        search.ignored.paths.sort();
        Ok(search.ignored)
    }

    fn copy_into(
        &self,
        lane: &Self,
        ignored: Vec<ProjectPath>,
        limit: CopyLimit,
    ) -> Result<Vec<NotCopied>, WorkspaceError> {
        let (from, to) = (self.path(), lane.path());
        let incoming = lane.dir.join(PRIVATE).join(INCOMING);
        remove_if_there(&incoming).map_err(storage(&incoming))?;
        create_private_dir(&incoming).map_err(storage(&incoming))?;
        let project = Move {
            from: &from,
            to: &to,
        };
        let not_copied = copy_within(limit, ignored, &to, &incoming, &project)?;
        remove_if_there(&incoming).map_err(storage(&incoming))?;
        Ok(not_copied)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The top-most entries that are ignored and hold nothing of a tree.
#[derive(Default)]
struct Ignored {
    paths: Vec<ProjectPath>,
    not_utf8: Vec<NotCopied>,
}

/// Looks through the task's workspace by the rules of the lane: they decide what belongs to the
/// lane's own snapshots, into which nothing copied may get.
struct Search<'a> {
    from: &'a Path,
    lane: &'a Path,
    matcher: &'a Matcher,
    /// The files that are part of either workspace even if they are ignored.
    held: BTreeSet<String>,
    ignored: Ignored,
    /// Folders yet to be read; empty for the top, else with a `/` at the end.
    pending: Vec<(String, Above)>,
}

/// What decides about the entries of a folder.
enum Above {
    Rules(Option<Rc<Level>>),
    /// The folder is ignored itself, and only read because it holds files of the tree.
    Ignored,
}

impl Search<'_> {
    fn read_folder(&mut self, base: &str, above: Above) -> Result<(), WorkspaceError> {
        let level = match above {
            Above::Rules(above) => Some(Level::read(self.lane, base, above)),
            Above::Ignored => None,
        };
        let dir = self.from.join(base);
        let entries = match fs::read_dir(&dir) {
            // It went away since the folder above it was read.
            Err(error) if is_absent(&error) && !base.is_empty() => return Ok(()),
            other => other.map_err(storage(&dir))?,
        };
        for entry in entries {
            let name = entry.map_err(storage(&dir))?.file_name();
            if !is_git_dir(&name.to_string_lossy()) {
                self.read_entry(base, Path::new(&name), level.as_ref())?;
            }
        }
        Ok(())
    }

    fn read_entry(
        &mut self,
        base: &str,
        name: &Path,
        level: Option<&Rc<Level>>,
    ) -> Result<(), WorkspaceError> {
        let exact = Path::new(base).join(name);
        let is_dir = is_dir(&self.from.join(&exact));
        let is_ignored = level.is_none_or(|level| {
            let (from, to) = (self.from, self.lane);
            self.matcher
                .would_leave_out(from, to, level, &exact, is_dir)
        });
        let path = exact.to_string_lossy().into_owned();
        if is_dir && (!is_ignored || self.holds_below(&path)) {
            // Where the lane has a file or a link of that name, nothing can be put into it.
            let there = fs::symlink_metadata(self.lane.join(&exact));
            if there.is_ok_and(|there| !there.is_dir()) {
                return Ok(());
            }
            let above = match level.filter(|_| !is_ignored) {
                Some(level) => Above::Rules(Some(Rc::clone(level))),
                None => Above::Ignored,
            };
            self.pending.push((path + "/", above));
        } else if is_ignored && !self.held.contains(&path) {
            self.add(&exact, path);
        }
        Ok(())
    }

    /// Does a folder hold files that are part of a workspace?
    fn holds_below(&self, folder: &str) -> bool {
        let inside = format!("{folder}/");
        let next = self.held.range(inside.clone()..).next();
        next.is_some_and(|path| path.starts_with(&inside))
    }

    fn add(&mut self, exact: &Path, path: String) {
        let Ok(path) = ProjectPath::parse(&path) else {
            return;
        };
        if exact.to_str().is_some() {
            self.ignored.paths.push(path);
        } else {
            let reason = NotCopiedReason::NotUtf8;
            self.ignored.not_utf8.push(NotCopied { path, reason });
        }
    }
}
