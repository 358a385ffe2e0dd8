//! The way back into the person's folder.

use super::{Place, contents, mode_of, path, set_mode, symlink, write};
use crate::{ApplyError, Conflict, ConflictKind, Repository};
use nexus_core::{FileContent, FileKind, FileOperation};
use std::fs;

/// A project, and the operations of a change to it.
struct Change {
    place: Place,
    operations: Vec<FileOperation>,
}

impl Change {
    fn new(before: &[(&str, &str)], after: &[(&str, &str)]) -> Self {
        let place = Place::git();
        for (path, content) in before {
            place.write(path, content);
        }
        place.commit_all();
        let base = place.tree_of(before);
        let tree = place.tree_of(after);
        let operations = place.repository().plan_apply(&base, &tree).unwrap();
        Self { place, operations }
    }

    fn apply(&self) -> Result<(), ApplyError> {
        let repository = self.place.repository();
        repository.apply(&self.place.project, &self.operations)
    }

    fn conflicts(&self) -> Vec<Conflict> {
        let repository = self.place.repository();
        let found = repository.find_conflicts(&self.place.project, &self.operations);
        found.unwrap()
    }

    /// Applies, and expects these conflicts and no change at all.
    fn refused(&self, expected: &[(&str, ConflictKind)]) {
        let before = contents(&self.place.project);
        let found = self.conflicts();
        let seen: Vec<_> = found.iter().map(|c| (c.path.as_str(), c.what)).collect();
        assert_eq!(seen, expected);
        let refused = self.apply();
        assert!(
            matches!(&refused, Err(ApplyError::Conflicts(c)) if *c == found),
            "{refused:?}"
        );
        assert_eq!(contents(&self.place.project), before);
    }

    /// The files of the project, without git's.
    fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for path in contents(&self.place.project).into_keys() {
            let full = self.place.at(&path);
            if !path.starts_with(".git/") && full.is_file() {
                files.push((path, fs::read_to_string(full).unwrap()));
            }
        }
        files
    }
}

fn owned(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(p, c): &(&str, &str)| ((*p).to_owned(), (*c).to_owned());
    files.iter().map(own).collect()
}

const BEFORE: &[(&str, &str)] = &[
    ("becomes-file/x", "1"),
    ("becomes-folder", "1"),
    ("delete/all/of/it", "1"),
    ("delete/one", "1"),
    ("delete/stays", "1"),
    ("edit", "1"),
    ("same", "1"),
];
const AFTER: &[(&str, &str)] = &[
    ("becomes-file", "2"),
    ("becomes-folder/y/z", "2"),
    ("delete/stays", "1"),
    ("edit", "2"),
    ("new/deep/file", "2"),
    ("same", "1"),
];

#[test]
fn a_change_is_applied_and_taken_back() {
    let change = Change::new(BEFORE, AFTER);
    let git = contents(&change.place.at(".git"));
    assert_eq!(change.conflicts(), []);
    change.apply().unwrap();
    assert_eq!(change.files(), owned(AFTER));
    assert!(!change.place.at("delete/all").exists());
    // Again is nothing.
    let after = contents(&change.place.project);
    change.apply().unwrap();
    assert_eq!(contents(&change.place.project), after);

    let repository = change.place.repository();
    repository
        .take_back(&change.place.project, &change.operations)
        .unwrap();
    assert_eq!(change.files(), owned(BEFORE));
    assert!(!change.place.at("new").exists());
    assert_eq!(contents(&change.place.at(".git")), git);
}

#[test]
fn an_apply_that_was_cut_short_anywhere_rolls_forward() {
    let count = Change::new(BEFORE, AFTER).operations.len();
    assert_eq!(count, 8);
    for done in 0..=count {
        let change = Change::new(BEFORE, AFTER);
        let repository = change.place.repository();
        repository
            .apply(&change.place.project, &change.operations[..done])
            .unwrap();
        change.apply().unwrap();
        assert_eq!(change.files(), owned(AFTER), "after {done}");
    }
}

#[test]
fn an_apply_that_was_cut_short_and_meets_a_conflict_leaves_nothing_half() {
    let count = Change::new(BEFORE, AFTER).operations.len();
    let mut tried = 0;
    for done in 1..count {
        let change = Change::new(BEFORE, AFTER);
        let path = change.operations[done].path.as_str().to_owned();
        // In the others' places something else of the change stands by then.
        if path != "edit" && path != "new/deep/file" {
            continue;
        }
        let (repository, folder) = (change.place.repository(), &change.place.project);
        repository
            .apply(folder, &change.operations[..done])
            .unwrap();
        change.place.write(&path, "mine");
        let refused = repository.apply(folder, &change.operations);
        assert!(matches!(refused, Err(ApplyError::Conflicts(_))), "{done}");
        let left = repository.roll_back(folder, &change.operations).unwrap();
        assert!(left.is_empty(), "{done}: {left:?}");
        let mut wanted = owned(BEFORE);
        wanted.retain(|(known, _)| *known != path);
        wanted.push((path, "mine".to_owned()));
        wanted.sort();
        assert_eq!(change.files(), wanted, "after {done}");
        tried += 1;
    }
    assert_eq!(tried, 2);
}

#[test]
fn what_was_so_before_is_the_persons_and_is_not_undone() {
    let change = Change::new(&[("a", "1"), ("b", "1")], &[("a", "2"), ("b", "2")]);
    let (repository, folder) = (change.place.repository(), &change.place.project);
    change.place.write("a", "2");
    let due = repository
        .outstanding(folder, change.operations.clone())
        .unwrap();
    assert_eq!(due.len(), 1);
    change.place.write("b", "mine");
    assert!(repository.apply(folder, &due).is_err());
    assert!(repository.roll_back(folder, &due).unwrap().is_empty());
    assert_eq!(change.files(), owned(&[("a", "2"), ("b", "mine")]));
}

#[test]
fn what_a_crash_left_beside_a_file_is_cleared() {
    let change = Change::new(&[("a", "1")], &[("a", "2"), ("d/b", "2")]);
    let temporary = |p: &str| crate::apply::temporary_name(&path(p));
    // Before the exchange of `a`; and after the new file got its name.
    change.place.write(&temporary("a"), "half");
    change.place.write("d/b", "2");
    change.place.write(&format!("d/{}", temporary("d/b")), "2");
    change.apply().unwrap();
    assert_eq!(change.files(), owned(&[("a", "2"), ("d/b", "2")]));
}

#[test]
fn every_kind_of_conflict_is_found_first_and_stops_everything() {
    use ConflictKind::{
        AppearedMeanwhile, ChangedMeanwhile, DeletedMeanwhile, NotAFile, ParentIsLink,
        ParentIsNotAFolder,
    };
    let before = &[
        ("edit", "1"),
        ("delete", "1"),
        ("dir/x", "1"),
        ("free", "1"),
    ];
    let after = &[
        ("edit", "2"),
        ("dir/x", "2"),
        ("new", "2"),
        ("fresh/n", "2"),
        ("free", "2"),
    ];
    let change = || Change::new(before, after);

    let c = change();
    c.place.write("edit", "mine");
    c.refused(&[("edit", ChangedMeanwhile)]);

    let c = change();
    set_mode(&c.place.at("edit"), 0o755);
    c.refused(&[("edit", ChangedMeanwhile)]);

    let c = change();
    fs::remove_file(c.place.at("edit")).unwrap();
    c.place.link("edit", "free");
    c.refused(&[("edit", ChangedMeanwhile)]);

    let c = change();
    fs::remove_file(c.place.at("edit")).unwrap();
    c.refused(&[("edit", DeletedMeanwhile)]);

    let c = change();
    c.place.write("delete", "mine");
    c.place.write("new", "mine");
    c.refused(&[("delete", ChangedMeanwhile), ("new", AppearedMeanwhile)]);

    let c = change();
    c.place.link("new", "/nowhere");
    c.refused(&[("new", AppearedMeanwhile)]);

    let c = change();
    fs::create_dir(c.place.at("new")).unwrap();
    c.refused(&[("new", NotAFile)]);

    let c = change();
    fs::rename(c.place.at("dir"), c.place.path("outside")).unwrap();
    symlink(c.place.path("outside"), c.place.at("dir")).unwrap();
    c.refused(&[("dir/x", ParentIsLink)]);
    assert_eq!(fs::read_to_string(c.place.path("outside/x")).unwrap(), "1");

    let c = change();
    fs::create_dir(c.place.path("outside")).unwrap();
    symlink(c.place.path("outside"), c.place.at("fresh")).unwrap();
    c.refused(&[("fresh/n", ParentIsLink)]);

    let c = change();
    c.place.write("fresh", "mine");
    c.refused(&[("fresh/n", ParentIsNotAFolder)]);
}

#[test]
fn what_the_person_did_the_same_way_is_no_conflict() {
    let change = Change::new(&[("a", "1"), ("b", "1")], &[("a", "2"), ("c", "2")]);
    change.place.write("a", "2").write("c", "2");
    fs::remove_file(change.place.at("b")).unwrap();
    assert_eq!(change.conflicts(), []);
    change.apply().unwrap();
    assert_eq!(change.files(), owned(&[("a", "2"), ("c", "2")]));
}

#[test]
fn a_folder_with_something_of_the_persons_in_it_is_not_replaced() {
    let change = Change::new(&[("x/a", "1")], &[("x", "2")]);
    change.place.write("x/ignored.log", "mine");
    change.refused(&[("x", ConflictKind::NotAFile)]);
    // Nor removed, when the change only deletes.
    let change = Change::new(&[("x/a", "1"), ("y", "1")], &[("y", "1")]);
    change.place.write("x/ignored.log", "mine");
    change.apply().unwrap();
    assert_eq!(change.place.read("x/ignored.log"), "mine");
}

#[test]
fn a_conflict_that_appears_in_the_middle_undoes_what_was_done() {
    let change = Change::new(
        &[("a", "1"), ("gone", "1")],
        &[("a", "2"), ("d/e/new", "2")],
    );
    let mut operations = change.operations.clone();
    // An operation that passes the first look, as its folder is to be removed by another, and
    // fails when it is its turn, as that other is missing from what is done.
    change.place.write("z", "mine");
    let last = FileOperation {
        path: path("z/below"),
        old: None,
        new: operations.last().unwrap().new.clone(),
    };
    operations.push(last);
    let before = contents(&change.place.project);
    let repository = change.place.repository();
    let mut target = crate::apply::Target::open(&repository, &change.place.project).unwrap();
    let failed = target.apply(&operations);
    assert!(
        matches!(&failed, Err(ApplyError::Conflicts(c)) if c.len() == 1 && c[0].path.as_str() == "z/below"),
        "{failed:?}"
    );
    let names = |all: std::collections::BTreeMap<String, String>| {
        let plain = all.into_iter().filter(|(p, _)| !p.starts_with(".git"));
        plain.map(|(p, _)| p).collect::<Vec<_>>()
    };
    assert_eq!(names(contents(&change.place.project)), names(before));
    assert_eq!(change.place.read("a"), "1");
    assert_eq!(change.place.read("gone"), "1");
}

#[test]
fn git_directories_are_never_touched() {
    let change = Change::new(&[("a", "1")], &[("a", "2")]);
    let new = change.operations[0].new.clone();
    for hidden in [
        ".git/config",
        ".git/hooks/pre-commit",
        "sub/.GIT/config",
        ".git",
    ] {
        let operation = FileOperation {
            path: path(hidden),
            old: None,
            new: new.clone(),
        };
        let repository = change.place.repository();
        let refused = repository
            .apply(&change.place.project, &[operation])
            .unwrap_err();
        assert!(
            matches!(&refused, ApplyError::Conflicts(c) if c[0].what == ConflictKind::InsideGit),
            "{refused}"
        );
    }
}

#[test]
fn rights_follow_the_person_and_only_the_executable_bit_the_change() {
    let place = Place::plain();
    place
        .write("private", "1")
        .write("script", "1")
        .write("was-script", "1")
        .write("dir/x", "1");
    set_mode(&place.at("private"), 0o600);
    set_mode(&place.at("script"), 0o640);
    set_mode(&place.at("was-script"), 0o750);
    set_mode(&place.at("dir"), 0o750);
    let workspace = place.workspace();
    let files = workspace.path();
    write(&files, "private", "2");
    set_mode(&files.join("script"), 0o755);
    set_mode(&files.join("was-script"), 0o644);
    write(&files, "dir/sub/new", "2");
    write(&files, "dir/new-tool", "2");
    set_mode(&files.join("dir/new-tool"), 0o755);
    symlink("../private", files.join("dir/link")).unwrap();
    symlink("/absolute/nowhere", files.join("out")).unwrap();
    let tree = workspace.snapshot("done").unwrap().tree;
    let repository = place.repository();
    let operations = repository.plan_apply(workspace.base_tree(), &tree).unwrap();
    repository.apply(&place.project, &operations).unwrap();

    let mode = |p: &str| format!("{:o}", mode_of(&place.at(p)));
    assert_eq!(mode("private"), "600");
    assert_eq!(mode("script"), "750");
    assert_eq!(mode("was-script"), "640");
    assert_eq!(mode("dir/sub"), "750");
    assert_eq!(mode("dir/sub/new"), "640");
    assert_eq!(mode("dir/new-tool"), "750");
    assert_eq!(
        fs::read_link(place.at("dir/link")).unwrap().to_str(),
        Some("../private")
    );
    assert_eq!(
        fs::read_link(place.at("out")).unwrap().to_str(),
        Some("/absolute/nowhere")
    );
    assert_eq!(place.snapshot().tree, tree);
}

#[test]
fn content_that_cannot_be_read_changes_nothing() {
    let change = Change::new(&[("a", "1"), ("b", "1")], &[("a", "2"), ("b", "2")]);
    let repository = change.place.repository();
    let before = contents(&change.place.project);
    let mut operations = change.operations.clone();
    operations[1].new = Some(FileContent {
        blob: nexus_core::BlobId::parse(&"0".repeat(40)).unwrap(),
        kind: FileKind::Plain,
    });
    let failed = repository.apply(&change.place.project, &operations);
    assert!(matches!(failed, Err(ApplyError::Git(_))), "{failed:?}");
    assert_eq!(contents(&change.place.project), before);

    let missing = repository.apply(&change.place.path("absent"), &operations);
    assert!(
        matches!(missing, Err(ApplyError::Folder { .. })),
        "{missing:?}"
    );
}

/// Two threads exchange a folder for a link to the outside and back while files are written
/// into it.
#[test]
fn a_folder_that_turns_into_a_link_in_the_middle_leads_nowhere() {
    let place = Place::plain();
    place.write("d/seed", "1");
    let repository: Repository = place.repository();
    let base = place.tree_of(&[("d/seed", "1")]);
    let files: Vec<String> = (0..20).map(|n| format!("d/f{n}")).collect();
    let mut all: Vec<(&str, &str)> = files.iter().map(|f| (f.as_str(), "2")).collect();
    all.push(("d/seed", "1"));
    let operations = repository.plan_apply(&base, &place.tree_of(&all)).unwrap();
    let outside = place.path("outside");
    fs::create_dir(&outside).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                fs::rename(place.at("d"), place.at("aside")).unwrap();
                // The apply may make the folder anew in between.
                if symlink(&outside, place.at("d")).is_ok() {
                    fs::remove_file(place.at("d")).unwrap();
                }
                while fs::rename(place.at("aside"), place.at("d")).is_err() {
                    drop(fs::rename(place.at("d"), place.at(&format!("junk{n}"))));
                }
            }
        });
        for _ in 0..30 {
            // It may succeed or meet a conflict; it must not leave the folder.
            drop(repository.apply(&place.project, &operations));
            drop(repository.take_back(&place.project, &operations));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(contents(&outside).len(), 0);
}
