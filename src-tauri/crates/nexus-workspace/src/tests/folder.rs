//! What may be a project, and how a project says what it is.

use super::{Place, symlink};
use crate::{
    FolderError, INSTRUCTION_LIMIT, ProjectConfig, Surroundings, inspect_folder, instructions,
};
use std::{fs, path::Path};

fn inspect(place: &Place, path: &Path) -> Result<crate::Folder, FolderError> {
    let home = place.path("home");
    let data = place.path("data");
    fs::create_dir_all(&home).unwrap();
    fs::create_dir_all(&data).unwrap();
    let around = Surroundings {
        home: Some(&home),
        data: &data,
    };
    inspect_folder(path, around)
}

#[test]
fn a_folder_is_told_from_a_git_checkout() {
    let plain = Place::plain();
    let folder = inspect(&plain, &plain.project.join("../project")).unwrap();
    assert_eq!(folder.path, plain.project);
    assert_eq!((folder.name.as_str(), folder.is_git), ("project", false));

    let git = Place::git();
    git.write("src/lib.rs", "");
    assert!(inspect(&git, &git.project).unwrap().is_git);
    assert!(inspect(&git, &git.at("src")).unwrap().is_git);

    // A link to a project is that project.
    let link = git.path("link");
    symlink(&git.project, &link).unwrap();
    assert_eq!(inspect(&git, &link).unwrap().path, git.project);
}

#[test]
fn what_is_no_project_is_refused_by_name() {
    let place = Place::plain();
    place.write("file", "");
    fs::create_dir_all(place.path("data/workspaces/x")).unwrap();
    fs::create_dir_all(place.path("home/project")).unwrap();
    let cases = [
        (place.at("absent"), "no such folder"),
        (place.at("file"), "it is a file"),
        (place.at("file/below"), "it is a file"),
        (Path::new("/").to_owned(), "the whole file system"),
        (place.path("home"), "it is your home folder"),
        (place.path("data"), "part of NEXUS's own data"),
        (place.path("data/workspaces/x"), "part of NEXUS's own data"),
        (place.path(""), "it holds your home folder"),
    ];
    for (path, problem) in cases {
        let error = inspect(&place, &path).unwrap_err().to_string();
        assert!(error.contains(problem), "{}: {error}", path.display());
    }
    assert!(inspect(&place, &place.path("home/project")).is_ok());
}

#[test]
fn a_folder_around_the_data_is_refused() {
    let place = Place::plain();
    let data = place.at(".nexus-data");
    let around = Surroundings {
        home: None,
        data: &data,
    };
    // Before the data folder exists, and after.
    for _ in 0..2 {
        let error = inspect_folder(&place.project, around).unwrap_err();
        assert!(matches!(error, FolderError::AboveData { .. }), "{error}");
        fs::create_dir_all(&data).unwrap();
    }
}

#[test]
fn the_configuration_is_read_from_the_folder_only() {
    let place = Place::plain();
    assert_eq!(
        ProjectConfig::read(&place.project).unwrap(),
        ProjectConfig::default()
    );
    place.write(".nexus/config.toml", "[checks]\nmistake = 1\n");
    let error = ProjectConfig::read(&place.project).unwrap_err().to_string();
    let expected = "config.toml at line 2, `mistake = 1`: unknown field `mistake`";
    assert!(error.contains(expected), "{error}");

    fs::remove_file(place.at(".nexus/config.toml")).unwrap();
    fs::write(place.path("elsewhere.toml"), "checks.commands = []").unwrap();
    place.link(".nexus/config.toml", "../../elsewhere.toml");
    assert_eq!(
        ProjectConfig::read(&place.project).unwrap(),
        ProjectConfig::default()
    );
}

#[test]
fn instructions_are_quoted_up_to_a_limit_and_never_from_outside() {
    let place = Place::plain();
    assert_eq!(instructions(&place.project), []);

    let limit = usize::try_from(INSTRUCTION_LIMIT).unwrap();
    place.write("AGENTS.md", "a".repeat(limit + 1));
    place.write("CLAUDE.md", "Use tabs.\n");
    let found = instructions(&place.project);
    let seen: Vec<_> = found
        .iter()
        .map(|i| (i.path.as_str(), i.text.len(), i.truncated))
        .collect();
    assert_eq!(seen, [("CLAUDE.md", 10, false), ("AGENTS.md", limit, true)]);

    fs::write(place.path("secret.md"), "not yours").unwrap();
    fs::remove_file(place.at("CLAUDE.md")).unwrap();
    fs::remove_file(place.at("AGENTS.md")).unwrap();
    place.link("CLAUDE.md", "../secret.md");
    place.write("AGENTS.md", " \n");
    assert_eq!(instructions(&place.project), []);
}
