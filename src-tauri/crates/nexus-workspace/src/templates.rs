//! Reads a project's own templates of tasks, in `.nexus/templates/`.
//!
//! They are text that a person chooses, and nothing of them runs: a folder need not be trusted to
//! have them listed.

use crate::plain_file::{is_absent, read_head};
use nexus_core::{Template, TemplateSource};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

const FOLDERS: [&str; 2] = [".nexus", ".nexus/templates"];
const FILE_LIMIT: u64 = 64 * 1024;
const MOST_FILES: usize = 50;

/// A file among a project's templates that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenTemplate {
    /// Its path in the project.
    pub file: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

/// The templates of the project in `folder`, by name, and the files that are none. One that is
/// broken hides no other. No link is followed.
pub fn templates(folder: &Path) -> (Vec<Template>, Vec<BrokenTemplate>) {
    let (mut templates, mut broken) = (Vec::new(), Vec::new());
    let (names, left_out) = match names(folder) {
        Ok(found) => found,
        Err(unusable) => return (templates, vec![unusable]),
    };
    for name in names {
        match read(folder, &name) {
            Ok(template) => templates.push(template),
            Err(problem) => broken.push(BrokenTemplate {
                file: path(&name).to_string_lossy().into_owned(),
                problem,
            }),
        }
    }
    if left_out > 0 {
        let problem = format!(
            "it holds {left_out} more than the {MOST_FILES} files that are read; put the others elsewhere"
        );
        broken.push(BrokenTemplate {
            file: FOLDERS[1].to_owned(),
            problem,
        });
    }
    (templates, broken)
}

/// The first names of files, in order, and how many there are beyond them.
fn names(folder: &Path) -> Result<(BTreeSet<OsString>, usize), BrokenTemplate> {
    let (mut names, mut left_out) = (BTreeSet::new(), 0);
    for place in FOLDERS {
        let unusable = |problem: String| BrokenTemplate {
            file: place.to_owned(),
            problem,
        };
        match fs::symlink_metadata(folder.join(place)) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(unusable(
                    "it is no folder; put the folder itself there".to_owned(),
                ));
            }
            Err(error) if is_absent(&error) => return Ok((names, left_out)),
            Err(error) => return Err(unusable(unreadable(&error))),
        }
    }
    let place = folder.join(FOLDERS[1]);
    let unusable = |error: io::Error| BrokenTemplate {
        file: FOLDERS[1].to_owned(),
        problem: unreadable(&error),
    };
    for entry in fs::read_dir(place).map_err(unusable)? {
        let name = entry.map_err(unusable)?.file_name();
        if Path::new(&name)
            .extension()
            .is_some_and(|end| end == "toml")
        {
            names.insert(name);
        }
        if names.len() > MOST_FILES {
            names.pop_last();
            left_out += 1;
        }
    }
    Ok((names, left_out))
}

fn read(folder: &Path, name: &OsString) -> Result<Template, String> {
    let head =
        read_head(&folder.join(path(name)), FILE_LIMIT).map_err(|error| unreadable(&error))?;
    let head = head.ok_or("it is a link or no plain file; put the file itself there")?;
    if head.truncated {
        return Err(format!("it is longer than {FILE_LIMIT} bytes; shorten it"));
    }
    let name = Path::new(name).file_stem().unwrap_or_default();
    let parsed = Template::parse(
        &name.to_string_lossy(),
        &head.text(),
        TemplateSource::Project,
    );
    parsed.map_err(|error| error.to_string())
}

fn path(name: &OsString) -> PathBuf {
    Path::new(FOLDERS[1]).join(name)
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}; make it readable for you")
}
