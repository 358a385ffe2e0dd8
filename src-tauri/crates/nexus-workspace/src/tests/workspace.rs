//! What a workspace is, and that it comes and goes whole.

use super::{Place, contents, mode_of, path, run_git, set_mode, symlink, write};
use crate::{Merge, MergeLabels, NotCopiedReason, WorkspaceError, remove_workspace};
use nexus_core::ChangeKind;
use std::{
    fs,
    time::{Duration, SystemTime},
};

#[test]
fn a_workspace_is_the_project_with_a_throw_away_git() {
    let place = Place::git();
    place
        .write(".gitignore", "*.log\nnode_modules/\n")
        .write("src/a.rs", "a\r\n")
        .write(".gitattributes", "* text=auto eol=lf\n*.rs filter=x\n");
    place.commit_all();
    place
        .write("untracked.txt", "u")
        .write("x.log", "")
        .write("node_modules/m/i.js", "");
    let workspace = place.workspace_with(&["node_modules"]);
    let files = workspace.path();
    assert_eq!(files.file_name().unwrap(), "project");
    assert!(!files.join("x.log").exists());
    assert!(files.join("node_modules/m/i.js").exists());

    let home = place.path("home");
    let git = |args: &[&str]| run_git(&files, &home, args);
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert_eq!(git(&["log", "--format=%s"]), "NEXUS base\n");
    write(&files, "src/a.rs", "b\r\n");
    assert_eq!(git(&["status", "--porcelain"]), " M src/a.rs\n");
    assert!(git(&["diff"]).contains("-a\r\n+b\r\n"));
    git(&["commit", "-aqm", "mine"]);
    git(&["checkout", "-q", "HEAD~1"]);
    assert_eq!(fs::read(files.join("src/a.rs")).unwrap(), b"a\r\n");
    assert_eq!(mode_of(&place.path("data/workspaces/task")), 0o700);
}

#[test]
fn a_workspace_keeps_to_the_rules_of_the_project() {
    let place = Place::git();
    place
        .write(".gitignore", "*.log\n")
        .write(".git/info/exclude", "/private\n")
        .write("tracked.log", "1")
        .write("a", "1");
    place.run_git(&["add", "--force", "."]);
    let workspace = place.workspace();
    let files = workspace.path();
    let before = workspace.snapshot("before").unwrap();
    assert_eq!(&before.tree, workspace.base_tree());

    write(&files, "private", "");
    write(&files, "x.log", "");
    write(&files, "m/__pycache__/x.pyc", "");
    write(&files, "node_modules/y", "");
    assert_eq!(workspace.snapshot("ignored").unwrap().tree, before.tree);
    // Whatever becomes of its git.
    fs::remove_dir_all(files.join(".git")).unwrap();
    assert_eq!(workspace.snapshot("no git").unwrap().tree, before.tree);
    // A file of the base stays part of it, even if it is ignored.
    write(&files, "tracked.log", "2");
    write(&files, "a", "2");
    write(&files, ".gitignore", "*\n");
    let after = workspace.snapshot("changed").unwrap();
    let changes = place.repository().diff(&before.tree, &after.tree).unwrap();
    let paths: Vec<_> = changes.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(paths, [".gitignore", "a", "tracked.log"]);
    // It can be opened again, and still knows.
    let again = place
        .repository()
        .open_workspace(&place.path("data/workspaces/task"));
    assert_eq!(again.unwrap().snapshot("again").unwrap().tree, after.tree);
}

#[test]
fn a_restore_puts_everything_back_exactly() {
    let place = Place::git();
    place
        .write(".gitignore", "cache/\n")
        .write("a", "1")
        .write("dir/b", "1")
        .write("tool", "1")
        .write("gone", "1");
    set_mode(&place.at("tool"), 0o755);
    place.link("link", "a");
    let workspace = place.workspace();
    let files = workspace.path();
    let outside = place.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("b"), "theirs").unwrap();

    write(&files, "a", "2");
    write(&files, "cache/keep", "k");
    write(&files, "new/deep/file", "n");
    set_mode(&files.join("tool"), 0o644);
    fs::remove_file(files.join("gone")).unwrap();
    write(&files, "gone/now/a/folder", "x");
    fs::remove_file(files.join("link")).unwrap();
    symlink("/etc", files.join("link")).unwrap();
    // Put a link in the place of a folder, so that a careless write would go through it.
    fs::remove_dir_all(files.join("dir")).unwrap();
    symlink(&outside, files.join("dir")).unwrap();
    // Rules that hide files, and go away with the restore.
    write(&files, ".gitignore", "cache/\nhidden/\n");
    write(&files, "hidden/x", "h");
    let changed = workspace.snapshot("changed").unwrap().tree;

    workspace.restore(workspace.base_tree()).unwrap();
    assert_eq!(
        &workspace.snapshot("restored").unwrap().tree,
        workspace.base_tree()
    );
    assert_eq!(fs::read_to_string(files.join("dir/b")).unwrap(), "1");
    assert_eq!(fs::read_to_string(outside.join("b")).unwrap(), "theirs");
    assert_eq!(fs::read_to_string(files.join("cache/keep")).unwrap(), "k");
    assert!(!files.join("new").exists() && !files.join("hidden").exists());
    assert_ne!(mode_of(&files.join("tool")) & 0o100, 0);

    workspace.restore(&changed).unwrap();
    assert_eq!(workspace.snapshot("and back").unwrap().tree, changed);
    assert_eq!(fs::read_to_string(outside.join("b")).unwrap(), "theirs");
}

#[test]
fn a_restore_wins_over_ignored_files_that_are_in_the_way() {
    let place = Place::plain();
    place
        .write("out", "file")
        .write("lib/x", "1")
        .write(".gitignore", "");
    let workspace = place.workspace();
    let files = workspace.path();
    fs::remove_file(files.join("out")).unwrap();
    fs::remove_dir_all(files.join("lib")).unwrap();
    write(&files, ".gitignore", "*.tmp\nlib\n");
    write(&files, "out/x.tmp", "");
    write(&files, "lib", "");
    workspace.restore(workspace.base_tree()).unwrap();
    assert_eq!(fs::read_to_string(files.join("out")).unwrap(), "file");
    assert_eq!(fs::read_to_string(files.join("lib/x")).unwrap(), "1");
}

#[test]
fn a_tree_with_files_that_its_own_rules_leave_out_is_restored_and_stays_whole() {
    let place = Place::plain();
    place.write("a", "1").write(".gitignore", "cache\n");
    let workspace = place.workspace();
    let files = workspace.path();
    write(&files, "seed.db", "1");
    write(&files, "deep/seed.db", "1");
    let added = workspace.snapshot("a file").unwrap().tree;
    workspace.restore(workspace.base_tree()).unwrap();
    write(&files, ".gitignore", "cache\n*.db\n");
    let ruled = workspace.snapshot("a rule").unwrap().tree;
    let labels = MergeLabels {
        ours: "o",
        theirs: "t",
    };
    let merged = place
        .repository()
        .merge(workspace.base_tree(), &added, &ruled, labels);
    let Merge::Clean { tree } = merged.unwrap() else {
        panic!("a file and a rule are in nobody's way");
    };
    write(&files, "ignored.db", "stays");

    workspace.restore(&tree).unwrap();
    assert_eq!(workspace.snapshot("again").unwrap().tree, tree);
    assert!(files.join("ignored.db").exists());
    write(&files, "seed.db", "2");
    fs::remove_file(files.join("deep/seed.db")).unwrap();
    let changed = workspace.snapshot("changed").unwrap().tree;
    let changes = place.repository().diff(&tree, &changed).unwrap();
    let changes: Vec<_> = changes
        .iter()
        .map(|c| (c.path.as_str(), c.change))
        .collect();
    assert_eq!(
        changes,
        [
            ("deep/seed.db", ChangeKind::Deleted),
            ("seed.db", ChangeKind::Modified)
        ]
    );
    workspace.restore(workspace.base_tree()).unwrap();
    assert!(!files.join("seed.db").exists());
    workspace.restore(&changed).unwrap();
    assert_eq!(fs::read_to_string(files.join("seed.db")).unwrap(), "2");
}

#[test]
fn a_restore_does_not_follow_a_link_in_the_place_of_the_copy() {
    let place = Place::plain();
    place.write("a", "1");
    let workspace = place.workspace();
    let outside = place.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("theirs"), "").unwrap();
    fs::remove_dir_all(workspace.path()).unwrap();
    symlink(&outside, workspace.path()).unwrap();
    let refused = workspace.restore(workspace.base_tree());
    assert!(
        matches!(refused, Err(WorkspaceError::NotAWorkspace(_))),
        "{refused:?}"
    );
    assert!(outside.join("theirs").exists() && !outside.join("a").exists());
}

#[test]
fn what_is_copied_keeps_its_links_and_times_and_follows_none_out() {
    let place = Place::git();
    place
        .write(".gitignore", "node_modules\n.env\ndata\nlinked\n")
        .write("node_modules/m/cli.js", "#!/usr/bin/env node\n")
        .write(".env", "X=1")
        .write("a", "");
    set_mode(&place.at("node_modules/m/cli.js"), 0o755);
    fs::create_dir(place.at("node_modules/.bin")).unwrap();
    place.link("node_modules/.bin/m", "../m/cli.js");
    let inside = place.at("a");
    symlink(&inside, place.at("node_modules/absolute")).unwrap();
    let old = SystemTime::now() - Duration::from_secs(86_400);
    let file = fs::File::options()
        .write(true)
        .open(place.at(".env"))
        .unwrap();
    file.set_modified(old).unwrap();
    fs::create_dir(place.path("outside")).unwrap();
    fs::write(place.path("outside/secret"), "s").unwrap();
    symlink(place.path("outside"), place.at("linked")).unwrap();
    symlink(place.path("outside"), place.at("data")).unwrap();

    let list = [
        "node_modules",
        ".env",
        "linked",
        "data/secret",
        "absent",
        "a",
    ];
    let workspace = place.workspace_with(&list);
    let files = workspace.path();
    let link = |name| fs::read_link(files.join(name)).unwrap();
    assert_eq!(link("node_modules/.bin/m").to_str(), Some("../m/cli.js"));
    // A link into the project leads into the copy.
    assert_eq!(link("node_modules/absolute"), files.join("a"));
    assert_eq!(mode_of(&files.join("node_modules/m/cli.js")), 0o755);
    assert_eq!(
        fs::metadata(files.join(".env"))
            .unwrap()
            .modified()
            .unwrap(),
        old
    );
    let not_copied: Vec<_> = workspace
        .not_copied()
        .iter()
        .map(|n| (n.path.as_str(), n.reason))
        .collect();
    assert_eq!(
        not_copied,
        [
            ("linked", NotCopiedReason::Link),
            ("data/secret", NotCopiedReason::Link),
            ("absent", NotCopiedReason::Absent),
        ]
    );
    assert!(!files.join("linked").exists() && !files.join("data").exists());
    assert_eq!(
        &workspace.snapshot("same").unwrap().tree,
        workspace.base_tree()
    );
}

#[test]
fn a_python_environment_leads_into_the_copy() {
    let place = Place::git();
    let project = place.project.display().to_string();
    let packages = ".venv/lib/python3.11/site-packages";
    place
        .write(".gitignore", ".venv\n")
        .write("src/lib.py", "")
        .write(".venv/pyvenv.cfg", "home = /usr/bin\n")
        .write(".venv/bin/tool", format!("#!{project}/.venv/bin/python\n"))
        .write(
            &format!("{packages}/__editable__.lib-1.pth"),
            format!("{project}/src\n"),
        )
        .write(
            &format!("{packages}/lib/x.py"),
            format!("'{project}/src'\n"),
        );
    set_mode(&place.at(".venv/bin/tool"), 0o755);
    symlink("/usr/bin/python3", place.at(".venv/bin/python")).unwrap();

    let workspace = place.workspace_with(&[".venv"]);
    let files = workspace.path();
    let read = |name: &str| fs::read_to_string(files.join(name)).unwrap();
    let copy = files.display();
    assert_eq!(
        read(".venv/bin/tool"),
        format!("#!{copy}/.venv/bin/python\n")
    );
    let editable = read(&format!("{packages}/__editable__.lib-1.pth"));
    assert_eq!(editable, format!("{copy}/src\n"));
    assert_eq!(mode_of(&files.join(".venv/bin/tool")), 0o755);
    // What is not about where things are is left alone.
    assert_eq!(
        read(&format!("{packages}/lib/x.py")),
        format!("'{project}/src'\n")
    );
    let original = place.read(".venv/bin/tool");
    assert_eq!(original, format!("#!{project}/.venv/bin/python\n"));
}

#[test]
fn a_python_environment_with_links_in_it_is_not_adjusted_through_them() {
    let place = Place::git();
    let project = place.project.display().to_string();
    let outside = place.path("outside");
    let packages = "lib/python3.11/site-packages";
    write(
        &outside,
        "bin/tool",
        format!("#!{project}/.venv/bin/python\n"),
    );
    write(
        &outside,
        &format!("{packages}/x.pth"),
        format!("{project}/src\n"),
    );
    place
        .write(".gitignore", "env-*\n")
        .write("env-1/pyvenv.cfg", "")
        .write("env-2/pyvenv.cfg", "")
        .write("env-2/lib/x", "")
        .write("env-3/pyvenv.cfg", "")
        .write("env-3/lib/python3.11/x", "");
    for (at, to) in [
        ("env-1/bin", "bin"),
        ("env-1/lib", "lib"),
        ("env-2/lib/python3.11", "lib/python3.11"),
        ("env-3/lib/python3.11/site-packages", packages),
    ] {
        symlink(outside.join(to), place.at(at)).unwrap();
    }
    let before = contents(&outside);
    let workspace = place.workspace_with(&["env-1", "env-2", "env-3"]);
    assert!(workspace.path().join("env-1/bin").is_symlink());
    assert_eq!(contents(&outside), before);
}

#[test]
fn a_workspace_that_cannot_be_made_leaves_nothing() {
    let place = Place::git();
    place
        .write("a", "1")
        .write(".gitignore", "dep\n")
        .write("dep/x", "");
    let snapshot = place.snapshot();
    let repository = place.repository();
    let dir = place.path("data/workspaces/task");
    // The object of the file is gone, so it cannot be written.
    let blob = repository
        .operations(&place.tree_of(&[]), &snapshot.tree)
        .unwrap();
    let blob = blob.iter().find(|o| o.path.as_str() == "a").unwrap();
    let blob = blob.new.as_ref().unwrap().blob.to_string();
    let object = repository
        .path()
        .join("objects")
        .join(&blob[..2])
        .join(&blob[2..]);
    fs::remove_file(object).unwrap();
    let failed = repository.check_out(&place.source(), &snapshot.id, &dir, &[path("dep")]);
    assert!(matches!(failed, Err(WorkspaceError::Git(_))), "{failed:?}");
    let left: Vec<_> = fs::read_dir(place.path("data/workspaces"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_a_crash_left_half_made_is_replaced() {
    let place = Place::plain();
    place.write("a", "1");
    let made = place.workspace();
    drop(made);
    let dir = place.path("data/workspaces/task");
    fs::rename(&dir, place.path("data/workspaces/task.partial")).unwrap();
    place.workspace();
    let partial = place.path("data/workspaces/task.partial");
    assert!(!partial.exists());
    // Or before it could be told as ours.
    for left in ["", ".nexus-workspace", ".nexus-workspace/workspace.json"] {
        remove_workspace(&dir).unwrap();
        write(&partial, "x", "");
        fs::remove_file(partial.join("x")).unwrap();
        if left.ends_with(".json") {
            write(&partial, left, "{ half");
        } else {
            fs::create_dir_all(partial.join(left)).unwrap();
        }
        place.workspace();
        assert!(!partial.exists(), "{left}");
    }
    // But what is not ours stays.
    remove_workspace(&dir).unwrap();
    write(&partial, "mine", "m");
    let refused = place
        .repository()
        .check_out(&place.source(), &place.snapshot().id, &dir, &[]);
    assert!(
        matches!(refused, Err(WorkspaceError::NotAWorkspace(_))),
        "{refused:?}"
    );
    fs::remove_dir_all(&partial).unwrap();
    place.workspace();

    let again = place
        .repository()
        .check_out(&place.source(), &place.snapshot().id, &dir, &[]);
    assert!(matches!(again, Err(WorkspaceError::Exists(_))), "{again:?}");
}

#[test]
fn removing_a_workspace_follows_no_link_and_takes_nothing_else() {
    let place = Place::plain();
    place.write("a", "1");
    let workspace = place.workspace();
    let files = workspace.path();
    fs::create_dir(place.path("outside")).unwrap();
    fs::write(place.path("outside/keep"), "k").unwrap();
    symlink(place.path("outside"), files.join("link")).unwrap();
    fs::hard_link(place.path("outside/keep"), files.join("hard")).unwrap();
    write(&files, "readonly/deep/x", "");
    set_mode(&files.join("readonly/deep"), 0o555);
    set_mode(&files.join("readonly"), 0o500);
    let outside = contents(&place.path("outside"));

    let dir = place.path("data/workspaces/task");
    let refused = |dir: &str| {
        let refused = remove_workspace(&place.path(dir));
        assert!(
            matches!(refused, Err(WorkspaceError::NotAWorkspace(_))),
            "{dir}: {refused:?}"
        );
    };
    symlink(&dir, place.path("alias")).unwrap();
    refused("alias");
    refused("outside");
    refused("outside/keep");
    refused("project");
    refused("data/workspaces/task/project");

    remove_workspace(&dir).unwrap();
    assert!(!dir.exists());
    remove_workspace(&dir).unwrap();
    assert_eq!(contents(&place.path("outside")), outside);
}

#[test]
fn a_discarded_change_can_be_brought_back() {
    let place = Place::plain();
    place.write("a", "1");
    let workspace = place.workspace();
    write(&workspace.path(), "a", "2");
    let kept = workspace.snapshot("discarded").unwrap();
    let repository = place.repository();
    repository.keep("trash/task", &kept.id).unwrap();
    let dir = place.path("data/workspaces/task");
    remove_workspace(&dir).unwrap();

    let kept = repository.kept("trash/task").unwrap().unwrap();
    let back = repository
        .check_out(&place.source(), &kept, &dir, &[])
        .unwrap();
    assert_eq!(fs::read_to_string(back.path().join("a")).unwrap(), "2");
}
