//! What a snapshot holds, and when none is taken.

use super::{Place, make_pipe, path, run_git, set_mode, write};
use crate::{Limits, SkipReason, SnapshotError, Source, TooMuch};
use nexus_core::ChangeKind;
use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::{ffi::OsStrExt, net::UnixListener},
};

#[test]
fn a_plain_folder_is_held_with_hidden_files_and_without_ignored_ones() {
    let place = Place::plain();
    place
        .write("a.txt", "a")
        .write(".hidden", "h")
        .write("sub/.gitignore", "*.log\n!keep.log\n/only-here\n")
        .write("sub/x.log", "")
        .write("sub/keep.log", "")
        .write("sub/only-here", "")
        .write("sub/deep/only-here", "")
        .write("sub/deep/y.log", "")
        .write("x.log", "")
        // These are for other tools.
        .write(".ignore", "a.txt\n")
        .write(".rgignore", "a.txt\n");
    assert_eq!(
        place.snapshot_paths(),
        [
            ".hidden",
            ".ignore",
            ".rgignore",
            "a.txt",
            "sub/.gitignore",
            "sub/deep/only-here",
            "sub/keep.log",
            "x.log"
        ]
    );
}

#[test]
fn tracked_untracked_ignored_and_tracked_but_ignored() {
    let place = Place::git();
    place
        .write(".gitignore", "*.bin\nbuild/\n")
        .write("tracked.txt", "1")
        .write("forced.bin", "1")
        .write("build/forced/deep.txt", "1");
    place.commit_all();
    place.run_git(&["add", "--force", "forced.bin", "build/forced/deep.txt"]);
    place
        .write("untracked.txt", "1")
        .write("other.bin", "1")
        .write("build/other.txt", "1")
        .write("excluded.txt", "1")
        .write(".git/info/exclude", "/excluded.txt\n");
    assert_eq!(
        place.snapshot_paths(),
        [
            ".gitignore",
            "build/forced/deep.txt",
            "forced.bin",
            "tracked.txt",
            "untracked.txt"
        ]
    );
    // What is tracked and gone is gone.
    fs::remove_dir_all(place.at("build")).unwrap();
    assert!(!place.snapshot_paths().join(" ").contains("build"));
}

#[test]
fn a_folder_inside_a_repository_follows_the_rules_above_it() {
    let outer = Place::git();
    outer
        .write(
            ".gitignore",
            "*.log\n/app/secret\n/app/sub/generated\nignored/\n",
        )
        .write(".git/info/exclude", "*.private\n")
        .write("app/main.py", "")
        .write("app/x.log", "")
        .write("app/tracked.log", "")
        .write("app/secret", "")
        .write("app/sub/generated", "")
        .write("app/sub/note.private", "")
        .write("ignored/own.txt", "")
        .write("ignored/own.log", "");
    outer.run_git(&["add", "--force", "app/tracked.log"]);
    let paths = |folder: &str| {
        let source = Source::new(&outer.at(folder), &[], Limits::default()).unwrap();
        let repository = outer.repository();
        let snapshot = repository.snapshot(&source, "test").unwrap();
        repository.paths_of(&snapshot.tree).unwrap()
    };
    assert_eq!(paths("app"), ["main.py", "tracked.log"]);
    // A folder that its repository ignores is a project of its own.
    assert_eq!(paths("ignored"), ["own.log", "own.txt"]);
}

#[test]
fn what_checks_leave_behind_is_no_part_of_the_project() {
    let place = Place::plain();
    place
        .write("pkg/__pycache__/m.pyc", "")
        .write("pkg/m.py", "")
        .write("node_modules/x/index.js", "")
        .write("ui/node_modules/x/index.js", "")
        .write("Cargo.toml", "")
        .write("target/debug/x", "")
        .write("docs/target/aim.md", "")
        .write(".venv/bin/python", "")
        .write("venv/pyvenv.cfg", "")
        .write("venv/bin/python", "")
        .write("src/venv/code.py", "")
        .write(".DS_Store", "")
        .write(".nexus/local.toml", "")
        .write(".nexus/config.toml", "");
    assert_eq!(
        place.snapshot_paths(),
        [
            ".nexus/config.toml",
            "Cargo.toml",
            "docs/target/aim.md",
            "pkg/m.py",
            "src/venv/code.py"
        ]
    );
    // But what a project tracks is part of it.
    let place = Place::git();
    place.write("node_modules/vendored.js", "");
    assert_eq!(place.snapshot_paths(), [] as [&str; 0]);
    place.commit_all();
    assert_eq!(place.snapshot_paths(), ["node_modules/vendored.js"]);
}

#[test]
fn the_configuration_excludes_even_what_is_tracked() {
    let place = Place::git();
    place
        .write("data/big.csv", "")
        .write("src/a", "")
        .write("x.iso", "");
    place.commit_all();
    let exclude = ["/data/".to_owned(), "*.iso".to_owned()];
    let source = Source::new(&place.project, &exclude, Limits::default()).unwrap();
    let repository = place.repository();
    let snapshot = repository.snapshot(&source, "test").unwrap();
    assert_eq!(repository.paths_of(&snapshot.tree).unwrap(), ["src/a"]);

    let bad = Source::new(&place.project, &["[z-a]".to_owned()], Limits::default());
    assert!(matches!(bad, Err(SnapshotError::BadPattern(_))), "{bad:?}");
}

#[test]
fn bytes_modes_and_links_are_held_as_they_are() {
    let place = Place::git();
    let attributes = "* text=auto eol=crlf ident working-tree-encoding=UTF-16\n*.txt filter=lfs diff=lfs -diff\n";
    let bytes = b"$Id$ one\r\ntwo\nthree\r\n\xff\x00";
    place
        .write(".gitattributes", attributes)
        .write("mixed.txt", bytes)
        .write("mixed.dat", bytes)
        .write("back\\slash", "b")
        .write("new\nline \"quote\" \t~ ünï", "n")
        .write("tool.sh", "#!/bin/sh\n");
    set_mode(&place.at("tool.sh"), 0o755);
    place
        .link("inside", "mixed.txt")
        .link("outside", "/etc/hostname")
        .link("dangling", "nowhere")
        .link("up", "..");
    let snapshot = place.snapshot();
    let repository = place.repository();
    let read = |name: &str| {
        let content = repository.read_file(&snapshot.tree, &path(name)).unwrap();
        content.unwrap_or_else(|| panic!("no {name}"))
    };
    assert_eq!(read("mixed.txt"), bytes);
    assert_eq!(read("mixed.dat"), bytes);
    assert_eq!(read("back\\slash"), b"b");
    assert_eq!(read("new\nline \"quote\" \t~ ünï"), b"n");
    assert_eq!(read("outside"), b"/etc/hostname");
    assert_eq!(read("up"), b"..");
    assert_eq!(snapshot.files, 10);

    // And they come back the same.
    let workspace = place.workspace();
    for name in ["mixed.txt", "mixed.dat", ".gitattributes", "back\\slash"] {
        let original = fs::read(place.at(name)).unwrap();
        assert_eq!(fs::read(workspace.path().join(name)).unwrap(), original);
    }
    let link = |name| fs::read_link(workspace.path().join(name)).unwrap();
    assert_eq!(link("outside").to_str(), Some("/etc/hostname"));
    assert_eq!(link("dangling").to_str(), Some("nowhere"));
    assert_ne!(super::mode_of(&workspace.path().join("tool.sh")) & 0o100, 0);
    assert_eq!(workspace.snapshot("same").unwrap().tree, snapshot.tree);
}

#[test]
fn a_nested_repository_is_held_by_its_content() {
    let place = Place::git();
    place.write("vendor/lib/code.c", "c").write("a", "");
    run_git(
        &place.at("vendor/lib"),
        &place.path("home"),
        &["init", "-q"],
    );
    run_git(&place.at("vendor/lib"), &place.path("home"), &["add", "."]);
    let args = ["commit", "-q", "-m", "x"];
    run_git(&place.at("vendor/lib"), &place.path("home"), &args);
    // To git this is a link to a commit, and no content.
    place.commit_all();
    place.write("vendor/lib/new.c", "n");
    assert_eq!(
        place.snapshot_paths(),
        ["a", "vendor/lib/code.c", "vendor/lib/new.c"]
    );
    // `.git` is never part of it, in any spelling.
    place.write("odd/.GIT/config", "");
    assert_eq!(place.snapshot_paths().len(), 3);
}

#[test]
fn a_linked_worktree_and_a_split_or_sparse_index_are_understood() {
    let place = Place::git();
    place
        .write(".gitignore", "*.log\n")
        .write("a/x.log", "")
        .write("b/y.log", "");
    place.run_git(&["add", "--force", "."]);
    place.commit_all();
    let tree = place.path("tree");
    place.run_git(&["worktree", "add", "-q", tree.to_str().unwrap()]);
    write(&place.project, ".git/info/exclude", "/private\n");
    write(&tree, "private", "");
    let repository = place.repository();
    let paths = |folder| {
        let source = Source::new(folder, &[], Limits::default()).unwrap();
        let snapshot = repository.snapshot(&source, "test").unwrap();
        repository.paths_of(&snapshot.tree).unwrap()
    };
    assert_eq!(paths(&tree), [".gitignore", "a/x.log", "b/y.log"]);

    place.run_git(&["update-index", "--split-index"]);
    assert_eq!(paths(&place.project), [".gitignore", "a/x.log", "b/y.log"]);
    place.run_git(&["update-index", "--no-split-index"]);

    place.run_git(&["sparse-checkout", "set", "--sparse-index", "a"]);
    assert_eq!(paths(&place.project), [".gitignore", "a/x.log"]);
}

#[test]
fn a_repository_with_sha256_is_understood() {
    let place = Place::plain();
    place.run_git(&["init", "--quiet", "--object-format=sha256"]);
    place.write(".gitignore", "*.log\n").write("x.log", "");
    place.run_git(&["add", "--force", "."]);
    assert_eq!(place.snapshot_paths(), [".gitignore", "x.log"]);
}

#[test]
fn a_broken_repository_is_a_clear_error() {
    type Harm = fn(&Place);
    let cases: [(Harm, &str); 7] = [
        (
            |p| fs::remove_file(p.at(".git/HEAD")).unwrap(),
            "its `HEAD` is missing",
        ),
        (
            |p| fs::write(p.at(".git/HEAD"), "rubbish").unwrap(),
            "names neither a branch",
        ),
        (
            |p| fs::remove_dir_all(p.at(".git/objects")).unwrap(),
            "its `objects` folder is missing",
        ),
        (
            |p| fs::write(p.at(".git/index"), "DIRC garbage").unwrap(),
            "index",
        ),
        (
            |p| {
                let index = fs::read(p.at(".git/index")).unwrap();
                fs::write(p.at(".git/index"), &index[..index.len() / 2]).unwrap();
            },
            "index",
        ),
        (
            |p| {
                fs::remove_dir_all(p.at(".git")).unwrap();
                fs::write(p.at(".git"), [0xff; 40]).unwrap();
            },
            "does not begin with `gitdir:`",
        ),
        (
            |p| {
                fs::remove_dir_all(p.at(".git")).unwrap();
                fs::write(p.at(".git"), "gitdir: ../gone\n").unwrap();
            },
            "`../gone`, which is not a folder",
        ),
    ];
    for (harm, problem) in cases {
        let place = Place::git();
        place.write("a.txt", "a");
        place.commit_all();
        let repository = place.repository();
        harm(&place);
        let source = Source::new(&place.project, &[], Limits::default());
        let error = source
            .and_then(|s| repository.snapshot(&s, "test"))
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, SnapshotError::BrokenGit(_)), "{text}");
        assert!(text.contains(problem), "{text}");
        assert!(
            text.contains("move it away to use the folder without git"),
            "{text}"
        );
    }
}

#[test]
fn missing_objects_and_refs_do_not_matter() {
    let place = Place::git();
    place.write("a.txt", "a");
    place.commit_all();
    fs::remove_dir_all(place.at(".git/objects")).unwrap();
    fs::create_dir(place.at(".git/objects")).unwrap();
    fs::write(place.at(".git/refs/heads/master"), "rubbish").unwrap();
    fs::write(place.at(".git/config"), "[[[ rubbish").unwrap();
    assert_eq!(place.snapshot_paths(), ["a.txt"]);
}

#[test]
fn pipes_and_sockets_are_passed_over_and_named() {
    let place = Place::plain();
    place.write("a.txt", "a");
    let _socket = UnixListener::bind(place.at("socket")).unwrap();
    // Neither of these may be waited on, though they have names that are read.
    for name in ["pipe", ".gitignore", ".gitattributes", "CLAUDE.md"] {
        make_pipe(&place, name);
    }
    let snapshot = place.snapshot();
    let mut skipped: Vec<_> = snapshot
        .skipped
        .iter()
        .map(|s| (s.path.as_str(), s.reason))
        .collect();
    skipped.sort_by_key(|(path, _)| *path);
    assert_eq!(
        skipped,
        [
            (".gitattributes", SkipReason::Pipe),
            (".gitignore", SkipReason::Pipe),
            ("CLAUDE.md", SkipReason::Pipe),
            ("pipe", SkipReason::Pipe),
            ("socket", SkipReason::Socket),
        ]
    );
    assert_eq!(snapshot.files, 1);
    assert_eq!(crate::instructions(&place.project), []);
}

#[test]
fn a_name_that_is_not_utf8_is_refused_unless_it_is_ignored() {
    let place = Place::plain();
    let name = OsStr::from_bytes(b"caf\xe9.txt");
    fs::write(place.project.join(name), "").unwrap();
    let error = place
        .repository()
        .snapshot(&place.source(), "test")
        .unwrap_err();
    assert!(matches!(error, SnapshotError::NotUtf8(_)), "{error}");
    assert!(
        error.to_string().contains("a pattern like `caf*.txt`"),
        "{error}"
    );

    place.write(".gitignore", "caf*.txt\n");
    assert_eq!(place.snapshot_paths(), [".gitignore"]);
}

#[test]
fn a_file_over_the_limit_stops_the_snapshot_before_anything_is_copied() {
    let place = Place::plain();
    place.write("small", "").write("logs/x", "");
    let sparse = |name: &str, bytes| {
        let file = File::create(place.at(name)).unwrap();
        file.set_len(bytes).unwrap();
    };
    sparse("disk.img", 2 << 30);
    sparse("logs/huge.log", 3 << 30);
    let error = place
        .repository()
        .snapshot(&place.source(), "test")
        .unwrap_err();
    let SnapshotError::TooBig(too_big) = &error else {
        panic!("{error}");
    };
    assert_eq!(too_big.limit, TooMuch::FileBytes { limit: 512 << 20 });
    assert_eq!(
        error.to_string(),
        "copy the folder: files over 512 MiB: logs/huge.log (3 GiB), disk.img (2 GiB); leave out what the task does not need with a line in .gitignore, or with `exclude` under [workspace] in .nexus/config.toml"
    );
    // Ignored ones do not count.
    place.write(".gitignore", "*.img\nlogs/\n");
    assert_eq!(place.snapshot_paths(), [".gitignore", "small"]);
}

#[test]
fn too_many_files_or_bytes_stop_the_snapshot_and_name_the_folders() {
    let place = Place::plain();
    for n in 0..30 {
        place.write(&format!("data/raw/{n}"), "12345");
    }
    place.write("src/main.rs", "fn main() {}");
    let refused = |limits: Limits| {
        let source = Source::new(&place.project, &[], limits).unwrap();
        let refused = place.repository().snapshot(&source, "test");
        refused.unwrap_err().to_string()
    };
    let files = refused(Limits {
        files: 20,
        ..Limits::default()
    });
    let expected =
        "it has 31 files, and 20 is the limit; most are in data/raw/ (30 files), src/ (1 files)";
    assert!(files.contains(expected), "{files}");
    let bytes = refused(Limits {
        total_bytes: 100,
        ..Limits::default()
    });
    let expected = "it has 162 bytes, and 100 bytes is the limit; most is in data/raw/ (150 bytes)";
    assert!(bytes.contains(expected), "{bytes}");
    // Tracked files count, also where they are ignored.
    let place = Place::git();
    place.write("a.bin", "12345").write("b.bin", "12345");
    place.commit_all();
    place.write(".gitignore", "*.bin\n");
    let limits = Limits {
        files: 2,
        ..Limits::default()
    };
    let source = Source::new(&place.project, &[], limits).unwrap();
    let refused = place.repository().snapshot(&source, "test");
    assert!(
        matches!(refused, Err(SnapshotError::TooBig(_))),
        "{refused:?}"
    );
}

#[test]
fn a_repeated_snapshot_sees_every_kind_of_change() {
    let place = Place::plain();
    place
        .write("edit", "1")
        .write("delete", "1")
        .write("file-to-folder", "1")
        .write("folder-to-file/x", "1")
        .write("to-link", "1")
        .write("mode", "1")
        .write("same-size", "aaaa");
    let first = place.snapshot();
    assert_eq!(place.snapshot().tree, first.tree);

    place
        .write("edit", "2")
        .write("same-size", "bbbb")
        .write("new", "1");
    for gone in ["delete", "file-to-folder", "to-link"] {
        fs::remove_file(place.at(gone)).unwrap();
    }
    fs::remove_dir_all(place.at("folder-to-file")).unwrap();
    place
        .write("file-to-folder/x", "1")
        .write("folder-to-file", "1")
        .link("to-link", "edit");
    set_mode(&place.at("mode"), 0o755);
    let second = place.snapshot();
    let changes = place.repository().diff(&first.tree, &second.tree).unwrap();
    let changes: Vec<_> = changes
        .iter()
        .map(|c| (c.path.as_str(), c.change))
        .collect();
    use ChangeKind::{Added, Deleted, Modified};
    assert_eq!(
        changes,
        [
            ("delete", Deleted),
            ("edit", Modified),
            ("file-to-folder", Deleted),
            ("file-to-folder/x", Added),
            ("folder-to-file", Added),
            ("folder-to-file/x", Deleted),
            ("mode", Modified),
            ("new", Added),
            ("same-size", Modified),
            ("to-link", Modified),
        ]
    );
}

#[test]
fn a_damaged_memory_of_the_last_snapshot_is_made_anew() {
    let place = Place::plain();
    place.write("a", "1");
    let first = place.snapshot();
    let memory = place.repository().path().join("nexus");
    for entry in fs::read_dir(memory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some(OsStr::new("index")) {
            fs::write(&path, "rubbish").unwrap();
            // As if git had been killed while it wrote.
            fs::write(path.with_extension("index.lock"), "").unwrap();
        }
    }
    assert_eq!(place.snapshot().tree, first.tree);
}

#[test]
fn an_empty_folder_can_be_held() {
    let place = Place::plain();
    let snapshot = place.snapshot();
    assert_eq!((snapshot.files, snapshot.bytes), (0, 0));
    let workspace = place.workspace();
    write(&workspace.path(), "first", "1");
    let tree = workspace.snapshot("one").unwrap().tree;
    let repository = place.repository();
    assert_eq!(repository.diff(&snapshot.tree, &tree).unwrap().len(), 1);
}

#[test]
fn snapshots_are_kept_by_name() {
    let place = Place::plain();
    place.write("a", "1");
    let snapshot = place.snapshot();
    let repository = place.repository();
    assert_eq!(repository.kept("trash/1").unwrap(), None);
    repository.keep("trash/1", &snapshot.id).unwrap();
    assert_eq!(
        repository.kept("trash/1").unwrap(),
        Some(snapshot.id.clone())
    );
    assert_eq!(repository.kept("trash").unwrap(), None);
    assert_eq!(repository.tree_of(&snapshot.id).unwrap(), snapshot.tree);
    repository.forget("trash/1").unwrap();
    assert_eq!(repository.kept("trash/1").unwrap(), None);
    assert!(repository.keep("../heads/x", &snapshot.id).is_err());
}

#[test]
fn a_patch_reads_like_one() {
    let place = Place::plain();
    place
        .write("a.txt", "one\ntwo\n")
        .write("b.bin", b"\x00\x01")
        .write("c.txt", "c\n");
    place.write(".gitattributes", "*.txt -diff\n");
    let base = place.snapshot().tree;
    place
        .write("a.txt", "one\nthree\n")
        .write("b.bin", b"\x00\x02");
    fs::remove_file(place.at("c.txt")).unwrap();
    let tree = place.snapshot().tree;
    let repository = place.repository();
    let whole = repository.patch(&base, &tree, None).unwrap();
    assert!(!whole.truncated);
    for part in [
        "-two\n+three\n",
        "Binary files a/b.bin and b/b.bin differ",
        "deleted file mode 100644",
    ] {
        assert!(whole.text.contains(part), "{}", whole.text);
    }
    let one = repository
        .patch(&base, &tree, Some(&path("a.txt")))
        .unwrap();
    assert!(
        one.text.starts_with("diff --git a/a.txt b/a.txt\n"),
        "{}",
        one.text
    );
    assert!(!one.text.contains("b.bin"));

    let lines: Vec<_> = repository
        .diff(&base, &tree)
        .unwrap()
        .iter()
        .map(|c| c.lines.map(|l| (l.added, l.removed)))
        .collect();
    assert_eq!(lines, [Some((1, 1)), None, Some((0, 1))]);

    place.write("long", "x".repeat(99).as_str().to_owned() + "\n");
    place.write("long", (String::from("0123456789\n")).repeat(500_000));
    let tree = place.snapshot().tree;
    let long = repository.patch(&base, &tree, None).unwrap();
    assert!(long.truncated && long.text.ends_with('\n'));
    assert!(long.text.len() as u64 <= crate::PATCH_LIMIT);
}

#[test]
fn every_version_of_an_index_lists_the_same() {
    let place = Place::git();
    place.write(".gitignore", "*.log\n");
    for name in ["a", "aa/b", "aa/bb/ccc", "aa/bb/cccc", "z"] {
        place.write(&format!("{name}.log"), name);
    }
    place.write(&format!("{}.log", "long/".repeat(60)), "");
    place.run_git(&["add", "--force", "."]);
    place.run_git(&["add", "--intent-to-add", "--force", "."]);
    let listed = place.run_git(&["ls-files"]);
    let listed: Vec<_> = listed.lines().collect();
    for version in ["2", "3", "4"] {
        place.run_git(&["update-index", "--index-version", version]);
        assert_eq!(place.snapshot_paths(), listed, "version {version}");
    }
}

#[test]
fn snapshots_at_the_same_time_do_not_disturb_each_other() {
    let place = Place::plain();
    for n in 0..50 {
        place.write(&format!("{n}"), format!("{n}"));
    }
    let expected = place.tree_of(&[("a", "1")]);
    let trees: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| place.snapshot().tree))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(
        trees
            .iter()
            .all(|tree| *tree == trees[0] && *tree != expected)
    );
    assert_eq!(place.repository().paths_of(&trees[0]).unwrap().len(), 50);
}
