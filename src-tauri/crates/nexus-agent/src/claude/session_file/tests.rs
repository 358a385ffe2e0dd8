use super::*;
use crate::claude::memory;
use serde_json::json;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

fn session() -> SessionId {
    "07aeca62-6702-448f-b829-3faa6ea349c5".parse().unwrap()
}

/// The folder of a program, with one project.
fn bench() -> (TempDir, SessionFiles) {
    let home = tempfile::tempdir().unwrap();
    let environment = Environment::of([("HOME".into(), home.path().into())]);
    let files = SessionFiles::of(&environment).unwrap();
    fs::create_dir_all(files.projects.join("-home-me-my-copy")).unwrap();
    (home, files)
}

fn ours() -> String {
    let prompt = memory::marked("go", session(), 1);
    let user = json!({"type": "user", "uuid": "a", "message": {"content": prompt}});
    let said = json!({"type": "assistant", "uuid": "b", "parentUuid": "a", "message": {}});
    format!("{user}\n{said}\n")
}

fn put(files: &SessionFiles, text: &str) -> PathBuf {
    let path = files.usual_path(session(), Path::new("/home/me/my copy"));
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_programs_folder_is_below_the_home_folder_unless_it_was_moved() {
    let of = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(n, v)| (n.into(), v.into()));
        SessionFiles::of(&Environment::of(variables)).map(|files| files.projects)
    };
    assert_eq!(of(&[]), None);
    assert_eq!(
        of(&[("HOME", "/home/me")]),
        Some("/home/me/.claude/projects".into())
    );
    let moved = of(&[("HOME", "/home/me"), ("CLAUDE_CONFIG_DIR", "/etc/c")]);
    assert_eq!(moved, Some("/etc/c/projects".into()));
}

#[test]
fn a_session_is_found_wherever_it_began() {
    let (_home, files) = bench();
    assert_eq!(files.find(session()).unwrap(), []);
    let path = put(&files, &ours());
    let found = files.find(session()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].path, path);
    assert_eq!(found[0].bytes, ours().len() as u64);
    assert!(found[0].marked && found[0].changed.is_some());
    for workspace in ["/home/me/my copy", "/somewhere/else"] {
        let known = files.recollect(session(), Path::new(workspace));
        assert!(matches!(known, Recollection::Memory(_)), "{known:?}");
    }
    fs::create_dir(files.projects.join("other")).unwrap();
    fs::copy(
        &path,
        files
            .projects
            .join("other/")
            .join(path.file_name().unwrap()),
    )
    .unwrap();
    assert_eq!(files.find(session()).unwrap().len(), 2);
    let elsewhere = files.recollect(session(), Path::new("/somewhere/else"));
    assert_eq!(elsewhere, Recollection::Unknown, "which one is not known");
}

#[test]
fn without_a_file_nothing_is_known_and_a_folder_or_link_is_no_file() {
    let (home, files) = bench();
    let workspace = Path::new("/home/me/my copy");
    assert_eq!(files.recollect(session(), workspace), Recollection::Unknown);
    let path = files.usual_path(session(), workspace);
    let target = home.path().join("target");
    fs::write(&target, ours()).unwrap();
    symlink(&target, &path).unwrap();
    let linked = files.recollect(session(), workspace);
    assert!(matches!(linked, Recollection::NoFile(_)), "{linked:?}");
    assert!(!files.find(session()).unwrap()[0].marked);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let folder = files.recollect(session(), workspace);
    assert!(
        folder.objection(&Recorded::default()).is_some(),
        "{folder:?}"
    );
}

#[test]
fn what_is_ours_is_moved_and_nothing_is_overwritten() {
    let (home, files) = bench();
    let trash = home.path().join("data/trash");
    let mut places = Vec::new();
    for _ in 0..2 {
        let path = put(&files, &ours());
        let found = files.find(session()).unwrap();
        places.push(files.move_aside(&found[0], &trash).unwrap());
        assert!(!path.exists());
    }
    assert_ne!(places[0], places[1]);
    for place in places {
        assert!(place.starts_with(&trash));
        assert_eq!(fs::read_to_string(place).unwrap(), ours());
    }
}

#[test]
fn what_is_not_proved_to_be_ours_stays() {
    let (home, files) = bench();
    let trash = home.path().join("trash");
    let refused = |file: &SessionFile| {
        let kept = files.move_aside(file, &trash);
        assert!(matches!(kept, Err(NotMoved::NotOurs(_))), "{kept:?}");
        assert!(
            fs::symlink_metadata(&file.path).is_ok(),
            "it is still there"
        );
    };
    let path = put(&files, "{\"type\":\"user\"}\n");
    let mut file = files.find(session()).unwrap().remove(0);
    refused(&file);
    // Somebody else's session with our words in it.
    fs::write(&path, ours().replace("07aeca62", "17aeca62")).unwrap();
    refused(&file);
    // A link to ours, in the file's place and in its folder's.
    let outside = home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.join(path.file_name().unwrap());
    fs::write(&target, ours()).unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&target, &path).unwrap();
    refused(&file);
    let linked = files.projects.join("linked");
    symlink(&outside, &linked).unwrap();
    file.path = linked.join(path.file_name().unwrap());
    refused(&file);
    file.path = target;
    refused(&file);
    assert!(!trash.exists(), "nothing was begun");
}
