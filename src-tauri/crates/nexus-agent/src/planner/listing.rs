//! The names of a project's files, for a planner that cannot look for itself.
//!
//! What is hidden or ignored, what tools generate, and what is named like a key or a list of
//! secrets is not even named.

use ignore::{DirEntry, WalkBuilder};
use std::{fmt::Write, path::Path};

/// How much is told, in bytes, and how many entries are looked at for it.
const TEXT_LIMIT: usize = 8 * 1024;
const LOOK_LIMIT: usize = 10_000;
const DEPTH_LIMIT: usize = 8;

/// Folders that tools fill, in projects that do not ignore them.
const GENERATED: &[&str] = &[
    "node_modules",
    "target",
    "dist",
    "build",
    "out",
    "vendor",
    "venv",
    "coverage",
    "__pycache__",
];

/// How files that hold secrets are commonly named.
const SECRET_ENDINGS: &[&str] = &[".env", ".pem", ".key", ".p12", ".pfx", ".kdbx"];

/// The files of a project that may be named.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Those near the top first.
    names: Vec<String>,
    /// What lies in the folder itself, whole however many files there are below.
    top: Vec<String>,
}

impl Listing {
    /// Looks through the folder. Blocks while it reads folders.
    pub(super) fn of(folder: &Path) -> Self {
        Self {
            names: names(folder, DEPTH_LIMIT),
            top: names(folder, 1),
        }
    }

    /// The paths, with `/` between their parts.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Is there a file of this name in the folder itself?
    pub(super) fn has(&self, name: &str) -> bool {
        self.top.iter().any(|top| top == name)
    }

    /// One path a line, with a last line that says whether there are more.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut told = 0;
        for name in &self.names {
            if text.len() + name.len() > TEXT_LIMIT {
                break;
            }
            let _ = writeln!(text, "{name}");
            told += 1;
        }
        let more = self.names.len() - told;
        if more > 0 {
            let _ = writeln!(text, "(and at least {more} more files)");
        }
        text
    }
}

fn names(folder: &Path, depth: usize) -> Vec<String> {
    let mut walk = WalkBuilder::new(folder);
    walk.max_depth(Some(depth))
        .parents(false)
        .git_global(false)
        .require_git(false)
        .filter_entry(|entry| entry.depth() == 0 || is_told(entry));
    let files = walk
        .build()
        .take(LOOK_LIMIT)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    let mut names: Vec<_> = files
        .filter_map(|file| Some((file.depth(), name_below(folder, &file)?)))
        .collect();
    names.sort();
    names.into_iter().map(|(_, name)| name).collect()
}

fn is_told(entry: &DirEntry) -> bool {
    // Names that are no text cannot be told.
    let Some(name) = entry.file_name().to_str() else {
        return false;
    };
    let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
    let lower = name.to_ascii_lowercase();
    if is_dir {
        !GENERATED.contains(&lower.as_str())
    } else {
        !SECRET_ENDINGS.iter().any(|end| lower.ends_with(end))
    }
}

/// The path below `folder`. `None` for one that would not stay on its line.
fn name_below(folder: &Path, file: &DirEntry) -> Option<String> {
    let name = file.path().strip_prefix(folder).ok()?.to_str()?;
    let name = name.replace('\\', "/");
    (!name.contains(char::is_control)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn only_names_that_may_be_told_are_told() {
        let dir = folder(&[
            "src/deep/b.rs",
            "src/a.rs",
            "README.md",
            ".env",
            "prod.env",
            "cert/server.PEM",
            ".git/config",
            ".hidden/x",
            "node_modules/x/index.js",
            "secret-data/customers.csv",
            "new\nline.txt",
        ]);
        fs::write(dir.path().join(".gitignore"), "secret-data/\n").unwrap();
        let told = Listing::of(dir.path());
        assert!(told.has("README.md"));
        assert!(!told.has(".env") && !told.has("a.rs"));
        assert_eq!(told.text(), "README.md\nsrc/a.rs\nsrc/deep/b.rs\n");
    }

    #[test]
    fn a_large_project_is_told_from_its_top_within_the_limit() {
        let dir = folder(&["a/one.txt", "z.txt"]);
        for number in 0..2000 {
            fs::write(dir.path().join(format!("a/file-{number:04}.txt")), "").unwrap();
        }
        let told = Listing::of(dir.path()).text();
        assert!(told.starts_with("z.txt\na/file-0000.txt\n"), "{told}");
        assert!(told.len() < TEXT_LIMIT + 100, "{}", told.len());
        let lines = told.lines().count() - 1;
        let last = format!("(and at least {} more files)\n", 2002 - lines);
        assert!(told.ends_with(&last), "{told}");
    }

    #[test]
    fn a_folder_that_is_gone_has_no_names() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Listing::of(&dir.path().join("nothing")).text(), "");
    }
}
