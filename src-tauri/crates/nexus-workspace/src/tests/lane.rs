//! Workspaces branched from that of a task.

use super::{Place, contents, path, run_git, set_mode, symlink, write};
use crate::{
    Merge, MergeLabels, NotCopiedReason, Workspace, WorkspaceError, copy::CopyLimit,
    remove_workspace,
};
use nexus_core::TreeId;
use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixListener},
    path::{Path, PathBuf},
};

/// The workspace of a task, and where its lanes are.
struct Task {
    place: Place,
    workspace: Workspace,
}

impl Task {
    /// A project of a text that is tracked, and packages that are not.
    fn new() -> Self {
        let place = Place::git();
        place
            .write(".gitignore", "node_modules/\n.env\n*.log\n")
            .write("src/a.txt", "a\r\n");
        place.commit_all();
        place
            .write("node_modules/m/cli.js", "#!/usr/bin/env node\n")
            .write(".env", "X=1");
        let workspace = place.workspace_with(&["node_modules", ".env"]);
        Self { place, workspace }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.place.path("data/lanes").join(name)
    }

    fn branch(&self, name: &str, tree: &TreeId) -> Workspace {
        let lane = self.workspace.branch(tree, &self.dir(name)).unwrap();
        assert_eq!(&lane.snapshot("as branched").unwrap().tree, tree);
        lane
    }

    /// The content of the workspace as it is now.
    fn tree(&self) -> TreeId {
        self.workspace.snapshot("now").unwrap().tree
    }

    fn git(&self, folder: &Path, args: &[&str]) -> String {
        run_git(folder, &self.place.path("home"), args)
    }
}

fn read(folder: &Path, path: &str) -> String {
    fs::read_to_string(folder.join(path)).unwrap()
}

fn not_copied(lane: &Workspace) -> Vec<(&str, NotCopiedReason)> {
    let named = lane.not_copied().iter();
    named.map(|n| (n.path.as_str(), n.reason)).collect()
}

#[test]
fn a_lane_has_the_content_it_is_given_and_what_the_task_works_with() {
    let task = Task::new();
    let files = task.workspace.path();
    let before = task.tree();
    write(&files, "src/a.txt", "changed\r\n");
    write(&files, "src/new.txt", "n");
    let tree = task.tree();
    // What set-up and checks left in the workspace.
    write(&files, ".venv/pyvenv.cfg", "home = /usr/bin\n");
    let script = format!("#!{}/.venv/bin/python\n", files.display());
    write(&files, ".venv/bin/tool", script);
    symlink(files.join("src"), files.join(".venv/src")).unwrap();
    write(&files, "logs/x.log", "x");
    write(&files, ".git/hooks/theirs", "");
    // Lanes need nothing of the person's folder.
    fs::remove_dir_all(&task.place.project).unwrap();

    let lane = task.branch("1", &tree);
    assert_eq!(lane.base(), task.workspace.base());
    assert_eq!(lane.base_tree(), &before);
    let lane_files = lane.path();
    assert_eq!(lane_files.file_name(), files.file_name());
    assert_eq!(read(&lane_files, "src/a.txt"), "changed\r\n");
    assert_eq!(
        read(&lane_files, "node_modules/m/cli.js"),
        "#!/usr/bin/env node\n"
    );
    assert_eq!(read(&lane_files, ".env"), "X=1");
    assert_eq!(read(&lane_files, "logs/x.log"), "x");
    let script = format!("#!{}/.venv/bin/python\n", lane_files.display());
    assert_eq!(read(&lane_files, ".venv/bin/tool"), script);
    let link = fs::read_link(lane_files.join(".venv/src")).unwrap();
    assert_eq!(link, lane_files.join("src"));
    assert_eq!(not_copied(&lane), []);

    assert!(!lane_files.join(".git/hooks").exists());
    assert_eq!(task.git(&lane_files, &["status", "--porcelain"]), "");
    assert_eq!(
        task.git(&lane_files, &["log", "--format=%s"]),
        "NEXUS base\n"
    );
    write(&lane_files, "src/a.txt", "again\n");
    let status = task.git(&lane_files, &["status", "--porcelain"]);
    assert_eq!(status, " M src/a.txt\n");
    assert_eq!(task.tree(), tree);
    assert_eq!(read(&files, "src/a.txt"), "changed\r\n");
}

#[test]
fn a_lane_that_is_there_is_put_to_other_content_in_the_same_folder() {
    let task = Task::new();
    let files = task.workspace.path();
    let first = task.tree();
    let lane = task.branch("1", &first);
    let lane_files = lane.path();
    let folder = fs::metadata(&lane_files).unwrap().ino();
    write(&lane_files, "src/a.txt", "unfinished");
    write(&lane_files, "junk", "j");
    write(&lane_files, "node_modules/m/own", "o");
    fs::remove_file(lane_files.join(".env")).unwrap();
    task.git(&lane_files, &["commit", "-qam", "mine"]);
    write(&lane_files, ".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n");
    set_mode(&lane_files.join(".git/hooks/pre-commit"), 0o755);

    write(&files, "src/a.txt", "merged");
    write(&files, "node_modules/later/x", "x");
    write(&files, "fresh.log", "f");
    let second = task.tree();
    let lane = task.branch("1", &second);
    assert_eq!(lane.path(), lane_files);
    assert_eq!(fs::metadata(&lane_files).unwrap().ino(), folder);
    assert_eq!(read(&lane_files, "src/a.txt"), "merged");
    assert!(!lane_files.join("junk").exists());
    // What is missing comes, what is there stays.
    assert_eq!(read(&lane_files, ".env"), "X=1");
    assert_eq!(read(&lane_files, "fresh.log"), "f");
    assert_eq!(read(&lane_files, "node_modules/m/own"), "o");
    assert!(!lane_files.join("node_modules/later").exists());
    assert_eq!(
        task.git(&lane_files, &["log", "--format=%s"]),
        "NEXUS base\n"
    );
    assert_eq!(task.git(&lane_files, &["status", "--porcelain"]), "");
    assert!(!lane_files.join(".git/hooks").exists());
}

#[test]
fn a_lane_that_a_crash_or_an_agent_left_unusable_is_made_anew() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 7] = [
        ("no files", |dir| {
            fs::remove_dir_all(dir.join("project")).unwrap();
        }),
        ("a link in the place of the files", |dir| {
            fs::rename(dir.join("project"), dir.join("elsewhere")).unwrap();
            symlink(dir.join("../../../outside"), dir.join("project")).unwrap();
        }),
        ("half made", |dir| {
            fs::rename(dir, dir.with_extension("partial")).unwrap();
        }),
        ("half removed", |dir| {
            fs::create_dir(dir.with_extension("partial")).unwrap();
            let private = dir.with_extension("partial").join(".nexus-workspace");
            fs::rename(dir.join(".nexus-workspace"), private).unwrap();
            fs::remove_dir_all(dir).unwrap();
        }),
        ("of another task", |dir| {
            let record = dir.join(".nexus-workspace/workspace.json");
            let text = fs::read_to_string(&record).unwrap();
            fs::write(record, text.replace("\"files\": 100000", "\"files\": 9")).unwrap();
        }),
        ("more than a snapshot may hold", |dir| {
            let huge = fs::File::create(dir.join("project/huge")).unwrap();
            huge.set_len(1 << 30).unwrap();
        }),
        ("half copied", |dir| {
            write(dir, ".nexus-workspace/incoming/0/m/half", "");
            fs::write(dir.join(".nexus-workspace/index"), "rubbish").unwrap();
            fs::remove_dir_all(dir.join("project/node_modules")).unwrap();
        }),
    ];
    let task = Task::new();
    let outside = task.place.path("outside");
    write(&outside, "theirs", "t");
    for (what, harm) in harms {
        let tree = task.tree();
        let lane = task.branch("1", &tree);
        let whole = contents(&lane.path().join("node_modules"));
        harm(&task.dir("1"));
        let lane = task.branch("1", &tree);
        assert_eq!(contents(&lane.path().join("node_modules")), whole, "{what}");
        assert_eq!(read(&outside, "theirs"), "t", "{what}");
        let private = fs::read_dir(task.dir("1").join(".nexus-workspace")).unwrap();
        let private: Vec<_> = private.map(|e| e.unwrap().file_name()).collect();
        assert!(!private.contains(&"incoming".into()), "{what}: {private:?}");
    }
}

#[test]
fn no_lane_is_made_where_something_else_stands() {
    let task = Task::new();
    let tree = task.tree();
    write(&task.dir("theirs"), "x", "x");
    let refused = task.workspace.branch(&tree, &task.dir("theirs"));
    assert!(
        matches!(refused, Err(WorkspaceError::NotAWorkspace(_))),
        "{refused:?}"
    );
    assert_eq!(read(&task.dir("theirs"), "x"), "x");
    let own = task.place.path("data/workspaces/task");
    let refused = task.workspace.branch(&tree, &own);
    assert!(
        matches!(refused, Err(WorkspaceError::Exists(_))),
        "{refused:?}"
    );
    // And none is left that could not be made.
    let no_tree = TreeId::parse(&"0".repeat(40)).unwrap();
    let failed = task.workspace.branch(&no_tree, &task.dir("1"));
    assert!(matches!(failed, Err(WorkspaceError::Git(_))), "{failed:?}");
    assert!(!task.dir("1").exists());
}

#[test]
fn what_is_copied_into_a_lane_has_a_bound_and_what_is_beyond_it_is_named() {
    let task = Task::new();
    let files = task.workspace.path();
    for n in 0..20 {
        write(&files, &format!(".venv/{n}"), "12345");
    }
    let target = fs::File::create(files.join("big.log")).unwrap();
    target.set_len(1 << 30).unwrap();
    let _socket = UnixListener::bind(files.join("socket.log")).unwrap();
    let limit = CopyLimit {
        files: 15,
        bytes: 1 << 20,
    };
    let tree = task.tree();
    let lane = task
        .workspace
        .branch_within(limit, &tree, &task.dir("1"))
        .unwrap();
    use NotCopiedReason::{Special, TooMuch};
    assert_eq!(
        not_copied(&lane),
        [
            (".venv", TooMuch),
            ("big.log", TooMuch),
            ("socket.log", Special)
        ]
    );
    for (name, there) in [
        (".env", true),
        ("node_modules/m/cli.js", true),
        (".venv", false),
        ("big.log", false),
    ] {
        assert_eq!(lane.path().join(name).exists(), there, "{name}");
    }

    // The lightest come first, so that one heavy thing does not keep the others out.
    let room_for_one = CopyLimit {
        files: 1,
        bytes: 1 << 20,
    };
    let lane = task
        .workspace
        .branch_within(room_for_one, &tree, &task.dir("2"))
        .unwrap();
    assert!(lane.path().join(".env").exists());
    assert!(!lane.path().join("node_modules").exists());
}

#[test]
fn nothing_is_copied_into_a_lane_that_would_become_part_of_its_result() {
    let task = Task::new();
    let files = task.workspace.path();
    write(&files, ".gitignore", ".env\n");
    let few_rules = task.tree();
    write(&files, ".gitignore", "node_modules/\n.env\n*.log\nbuild/\n");
    write(&files, "Cargo.toml", "");
    write(&files, "target/debug/x", "x");
    write(&files, "build/out", "o");
    write(&files, "x.log", "x");
    write(&files, "sub/venv/pyvenv.cfg", "");

    // `branch` compares the lane's snapshot with the tree.
    let lane = task.branch("1", &few_rules).path();
    for (name, there) in [
        (".env", true),
        ("node_modules", true),
        ("sub/venv/pyvenv.cfg", true),
        ("target", false),
        ("build", false),
        ("x.log", false),
    ] {
        assert_eq!(lane.join(name).exists(), there, "{name}");
    }
    let lane = task.branch("1", &task.tree()).path();
    for name in ["target/debug/x", "build/out", "x.log"] {
        assert!(lane.join(name).exists(), "{name}");
    }
}

#[test]
fn an_ignored_folder_with_files_of_the_project_is_copied_around_them() {
    let place = Place::git();
    place
        .write(".gitignore", "build/\n*.bin\n")
        .write("build/forced/deep.txt", "tracked")
        .write("gone.bin", "tracked");
    place.run_git(&["add", "--force", "."]);
    let workspace = place.workspace();
    let task = Task { place, workspace };
    let files = task.workspace.path();
    fs::remove_file(files.join("gone.bin")).unwrap();
    let tree = task.tree();
    // It is part of the task, though not of the tree.
    write(&files, "gone.bin", "back");
    write(&files, "build/forced/deep.txt", "changed");
    write(&files, "build/forced/cache", "c");
    write(&files, "build/forced/.git/config", "g");
    write(&files, "build/other/x", "o");

    let lane = task.branch("1", &tree).path();
    assert_eq!(read(&lane, "build/forced/deep.txt"), "tracked");
    assert_eq!(read(&lane, "build/forced/cache"), "c");
    assert_eq!(read(&lane, "build/other/x"), "o");
    assert!(!lane.join("gone.bin").exists());
    assert!(!lane.join("build/forced/.git").exists());
}

#[test]
fn a_copy_into_a_lane_follows_no_link() {
    let task = Task::new();
    let files = task.workspace.path();
    let outside = task.place.path("outside");
    let python = format!("#!{}/x\n", files.display());
    write(&outside, "venv/pyvenv.cfg", &python);
    write(&outside, "venv/bin/tool", &python);
    write(&outside, "lib/theirs", "t");
    symlink(outside.join("venv"), files.join("venv.log")).unwrap();
    symlink(outside.join("lib"), files.join("node_modules/lib")).unwrap();
    // In the lane this folder is a link.
    symlink(&outside, files.join("data")).unwrap();
    let tree = task.tree();
    fs::remove_file(files.join("data")).unwrap();
    write(&files, "data/lib/x.log", "x");
    write(&files, "data/y.log", "y");
    let before = contents(&outside);

    let lane = task.branch("1", &tree);
    assert_eq!(not_copied(&lane), []);
    let lane = lane.path();
    let link = fs::read_link(lane.join("venv.log")).unwrap();
    assert_eq!(link, outside.join("venv"));
    let link = fs::read_link(lane.join("node_modules/lib")).unwrap();
    assert_eq!(link, outside.join("lib"));
    assert!(lane.join("data").is_symlink());
    assert_eq!(contents(&outside), before);

    // A workspace that was exchanged for a link is not looked through.
    fs::rename(&files, files.with_file_name("elsewhere")).unwrap();
    symlink(&outside, &files).unwrap();
    let refused = task.workspace.branch(&tree, &task.dir("2"));
    assert!(
        matches!(refused, Err(WorkspaceError::NotAWorkspace(_))),
        "{refused:?}"
    );
}

#[test]
fn names_that_cannot_be_said_are_left_behind_and_named() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let task = Task::new();
    let files = task.workspace.path();
    fs::write(files.join(OsStr::from_bytes(b"caf\xe9.log")), "").unwrap();
    write(&files, "new\nline.log", "n");
    let inside = files.join("node_modules");
    fs::write(inside.join(OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    let lane = task.branch("1", &task.tree());
    let expected = ("caf\u{fffd}.log", NotCopiedReason::NotUtf8);
    assert_eq!(not_copied(&lane), [expected]);
    assert_eq!(read(&lane.path(), "new\nline.log"), "n");
    let inside = lane.path().join("node_modules");
    assert!(inside.join(OsStr::from_bytes(b"caf\xe9")).exists());
}

#[test]
fn lanes_work_side_by_side_and_their_results_come_together() {
    let task = Task::new();
    let repository = task.place.repository();
    let start = task.tree();
    let results: Vec<TreeId> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (task, start) = (&task, &start);
                scope.spawn(move || {
                    let lane = task.branch(&n.to_string(), start);
                    write(&lane.path(), &format!("result-{n}"), n.to_string());
                    write(&lane.path(), &format!("out-{n}.log"), "");
                    lane.snapshot("done").unwrap().tree
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let labels = MergeLabels {
        ours: "o",
        theirs: "t",
    };
    for result in &results {
        let merged = repository.merge(&start, &task.tree(), result, labels);
        let Merge::Clean { tree } = merged.unwrap() else {
            panic!("each lane has files of its own");
        };
        task.workspace.restore(&tree).unwrap();
    }
    let files = task.workspace.path();
    for n in 0..4 {
        assert_eq!(read(&files, &format!("result-{n}")), n.to_string());
        assert!(!files.join(format!("out-{n}.log")).exists());
    }
    let lane = task.branch("0", &task.tree());
    assert_eq!(read(&lane.path(), "result-3"), "3");
    assert!(lane.path().join("out-0.log").exists());
}

#[test]
fn a_lane_is_removed_like_any_workspace_and_takes_nothing_else() {
    let task = Task::new();
    let files = task.workspace.path();
    write(&files, "node_modules/readonly/x", "x");
    let tree = task.tree();
    let lane = task.branch("1", &tree);
    set_mode(&lane.path().join("node_modules/readonly"), 0o500);
    let before = contents(&files);
    remove_workspace(&task.dir("1")).unwrap();
    remove_workspace(&task.dir("1")).unwrap();
    assert!(!task.dir("1").exists());
    assert_eq!(contents(&files), before);
    let opened = task.place.repository().open_workspace(&task.dir("1"));
    assert!(opened.is_err());
    assert_eq!(task.branch("1", &tree).path(), lane.path());
    let kept = task.place.repository().read_file(&tree, &path("src/a.txt"));
    assert_eq!(kept.unwrap().unwrap(), b"a\r\n");
}
