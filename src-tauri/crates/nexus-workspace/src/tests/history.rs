//! What the last commits of the person's repository are called.

use super::{Place, contents, make_pipe, run_git, symlink, write};
use crate::{history::subjects_within, recent_subjects};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// A checkout with these commits, the oldest first.
fn with_commits(subjects: &[&str]) -> Place {
    let place = Place::git();
    for (n, subject) in subjects.iter().enumerate() {
        place.write("a", n.to_string());
        place.run_git(&["add", "--all"]);
        commit(&place, subject);
    }
    place
}

fn commit(place: &Place, message: &str) {
    let args = [
        "commit",
        "-q",
        "--allow-empty",
        "--allow-empty-message",
        "-m",
    ];
    place.run_git(&[&args[..], &[message]].concat());
}

#[test]
fn the_last_subjects_come_first_each_on_one_line() {
    let long = "ä".repeat(150);
    let place = with_commits(&[
        "first",
        "second\nline\n\nbody",
        &long,
        "",
        "tab\tand \u{1b}[31mred",
    ]);
    assert_eq!(
        recent_subjects(&place.project, 9),
        ["tab and  [31mred", &"ä".repeat(100), "second line", "first"]
    );
    assert_eq!(recent_subjects(&place.project, 1), ["tab and  [31mred"]);
    assert_eq!(recent_subjects(&place.project, 0), [] as [&str; 0]);
}

#[test]
fn a_history_is_read_wherever_git_keeps_it() {
    let place = with_commits(&["one", "two"]);
    let expected = ["two", "one"];
    let reads = |folder: &Path| assert_eq!(recent_subjects(folder, 9), expected);
    fs::create_dir(place.at("sub")).unwrap();
    reads(&place.at("sub"));

    let home = place.path("home");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let tree = place.path("tree");
    place.run_git(&["worktree", "add", "-q", &text(&tree)]);
    reads(&tree);
    let shared = place.path("shared");
    let args = [
        "clone",
        "-q",
        "--shared",
        &text(&place.project),
        &text(&shared),
    ];
    run_git(&place.project, &home, &args);
    reads(&shared);

    place.run_git(&["gc", "-q"]);
    assert!(!place.at(".git/refs/heads/tree").exists());
    reads(&place.project);
    place.run_git(&["checkout", "-q", "--detach"]);
    reads(&place.project);

    let shallow = place.path("shallow");
    let url = format!("file://{}", text(&place.project));
    run_git(
        &place.project,
        &home,
        &["clone", "-q", "--depth", "1", &url, &text(&shallow)],
    );
    assert_eq!(recent_subjects(&shallow, 9), ["two"]);
}

#[test]
fn where_anything_is_off_there_is_no_history() {
    let none = |place: &Place, what: &str| {
        let read = recent_subjects(&place.project, 9);
        assert_eq!(read, [] as [&str; 0], "{what}");
    };
    none(&Place::plain(), "a plain folder");
    none(&Place::git(), "no commit");
    let sha256 = Place::plain();
    sha256.run_git(&["init", "-q", "--object-format=sha256"]);
    commit(&sha256, "x");
    none(&sha256, "objects of another kind");

    type Harm = fn(&Place);
    let harms: [(&str, Harm); 5] = [
        ("no objects", |p| {
            fs::remove_dir_all(p.at(".git/objects")).unwrap();
            fs::create_dir(p.at(".git/objects")).unwrap();
        }),
        ("a broken repository", |p| {
            fs::write(p.at(".git/HEAD"), "rubbish").unwrap();
        }),
        ("a branch that leads to itself", |p| {
            fs::write(p.at(".git/HEAD"), "ref: refs/heads/x\n").unwrap();
            fs::write(p.at(".git/refs/heads/x"), "ref: refs/heads/x\n").unwrap();
        }),
        ("a branch outside of the repository", |p| {
            let id = p.run_git(&["rev-parse", "HEAD"]);
            fs::write(p.path("id"), id).unwrap();
            fs::write(p.at(".git/HEAD"), "ref: refs/../../../id\n").unwrap();
        }),
        ("a branch that is a link", |p| {
            let id = p.run_git(&["rev-parse", "HEAD"]);
            fs::write(p.path("id"), id).unwrap();
            symlink(p.path("id"), p.at(".git/refs/heads/x")).unwrap();
            fs::write(p.at(".git/HEAD"), "ref: refs/heads/x\n").unwrap();
        }),
    ];
    for (what, harm) in harms {
        let place = with_commits(&["one"]);
        assert_eq!(recent_subjects(&place.project, 9), ["one"]);
        harm(&place);
        none(&place, what);
    }
}

#[test]
fn a_project_that_its_repository_ignores_has_no_history_of_it() {
    let place = with_commits(&["about something else"]);
    place.write(".gitignore", "own/\n").write("own/a", "");
    assert_eq!(recent_subjects(&place.at("own"), 9), [] as [&str; 0]);
}

#[test]
fn a_repository_that_keeps_git_waiting_is_passed_over() {
    let place = with_commits(&["one"]);
    let id = place.run_git(&["rev-parse", "HEAD"]);
    let (folder, name) = id.trim().split_at(2);
    let commit = format!(".git/objects/{folder}/{name}");
    fs::remove_file(place.at(&commit)).unwrap();
    make_pipe(&place, &commit);
    let (began, deadline) = (Instant::now(), Duration::from_millis(300));
    assert_eq!(subjects_within(deadline, &place.project, 9), None);
    assert!(began.elapsed() >= deadline);
}

#[test]
fn reading_a_history_writes_nothing_and_takes_no_word_of_the_repository() {
    let place = with_commits(&["one"]);
    place.run_git(&["config", "i18n.logOutputEncoding", "UTF-16"]);
    place.run_git(&["config", "log.showSignature", "true"]);
    place.run_git(&["config", "format.pretty", "%an"]);
    // A replacement of the commit, and notes on it.
    let tree = place.run_git(&["rev-parse", "HEAD^{tree}"]);
    let other = place.run_git(&["commit-tree", tree.trim(), "-m", "replaced"]);
    place.run_git(&["replace", "HEAD", other.trim()]);
    place.run_git(&["notes", "add", "-m", "a note"]);
    write(&place.project, ".git/info/grafts", "rubbish");
    let before = contents(&place.at(".git"));
    assert_eq!(recent_subjects(&place.project, 9), ["one"]);
    assert_eq!(contents(&place.at(".git")), before);
}
