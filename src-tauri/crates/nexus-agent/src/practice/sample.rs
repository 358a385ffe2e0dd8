//! The sample project of the practice team: a small library with one failing case, told once
//! in Python and once in JavaScript, so that its checks run on most machines.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
};

/// A sample project that comes with NEXUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Checked with the unittest module of `python3`.
    Python,
    /// Checked with the test runner of `node`, version 18 or later.
    Node,
}

/// Where a sample says what it is, in its first line.
const MARKED: &str = ".nexus/config.toml";
const MARK: &str = "# NEXUS practice sample: ";

/// The files of a sample, as path and text.
type Files = &'static [(&'static str, &'static str)];

macro_rules! files {
    ($sample:literal: $($path:literal),* $(,)?) => {
        &[$((
            $path,
            include_str!(concat!("../../practice/", $sample, "/", $path)),
        )),*]
    };
}

const PYTHON: Files = files!("python":
    ".gitignore",
    ".nexus/config.toml",
    "README.md",
    "invoices/__init__.py",
    "invoices/invoice.py",
    "invoices/money.py",
    "tests/__init__.py",
    "tests/test_invoice.py",
);

const NODE: Files = files!("node":
    ".nexus/config.toml",
    "README.md",
    "package.json",
    "src/index.js",
    "src/invoice.js",
    "src/money.js",
    "test/invoice.test.js",
);

impl Sample {
    /// Every sample, the one that is preferred first.
    pub const ALL: [Self; 2] = [Self::Python, Self::Node];

    /// The first sample whose checks run with the programs on `path_env`, a value of `PATH`.
    pub fn choose(path_env: &OsStr) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|sample| is_on_path(sample.program(), path_env))
    }

    /// The sample of which `dir` is a copy, however much it was changed since. `None` for any
    /// other folder.
    pub fn of_folder(dir: &Path) -> Option<Self> {
        let marked = File::open(dir.join(MARKED)).ok()?;
        let mut first = String::new();
        // Another project's file may be anything, so only its beginning is read.
        BufReader::new(marked.take(256))
            .read_line(&mut first)
            .ok()?;
        let name = first.strip_prefix(MARK)?.trim();
        Self::ALL.into_iter().find(|sample| sample.name() == name)
    }

    /// The short lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
        }
    }

    /// The program that runs its checks.
    pub fn program(self) -> &'static str {
        match self {
            Self::Python => "python3",
            Self::Node => "node",
        }
    }

    /// The task that the recording carries out, in a person's words; its title is the first line.
    pub fn task_text(self) -> &'static str {
        "The tax on an invoice is sometimes a cent too low\n\
         One test fails because of it. Find out why and mend it, for credit notes too."
    }

    /// Writes the sample into `dir`, which is made if it is not there. A folder that holds
    /// anything is refused with [`io::ErrorKind::DirectoryNotEmpty`] and left as it is.
    pub fn write_to(self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        if fs::read_dir(dir)?.next().is_some() {
            let what = format!("{} is not empty: choose a new folder", dir.display());
            return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, what));
        }
        for (path, text) in self.files() {
            let path = dir.join(path);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create_new(path)?.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    fn files(self) -> Files {
        match self {
            Self::Python => PYTHON,
            Self::Node => NODE,
        }
    }
}

fn is_on_path(program: &str, path_env: &OsStr) -> bool {
    let file = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(path_env)
        .filter(|dir| dir.is_absolute())
        .any(|dir| is_program(&dir.join(&file)))
}

fn is_program(path: &Path) -> bool {
    // Windows has empty stand-ins on its path that only offer to install the program.
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0 && may_run(&file))
}

#[cfg(unix)]
fn may_run(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn may_run(_: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, path::PathBuf};

    fn files_below(dir: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files_below(&path, root, found);
            } else {
                let inside = path.strip_prefix(root).unwrap();
                found.insert(inside.to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn a_written_sample_is_whole_and_knows_itself() {
        for sample in Sample::ALL {
            let dir = tempfile::tempdir().unwrap();
            let copy = dir.path().join("deep/sample");
            sample.write_to(&copy).unwrap();
            assert_eq!(Sample::of_folder(&copy), Some(sample));

            let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("practice")
                .join(sample.name());
            let (mut original, mut written) = (BTreeSet::new(), BTreeSet::new());
            files_below(&kept, &kept, &mut original);
            files_below(&copy, &copy, &mut written);
            assert_eq!(written, original);
        }
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine.txt"), "mine").unwrap();
        let refused = Sample::Python.write_to(dir.path()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::DirectoryNotEmpty);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(Sample::of_folder(dir.path()), None);
    }

    #[test]
    fn another_project_is_no_sample_whatever_its_configuration_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".nexus")).unwrap();
        for other in [
            "",
            "[checks]\ncommands = []\n",
            "# NEXUS practice sample: cobol\n",
            "\n# NEXUS practice sample: python\n",
        ] {
            fs::write(dir.path().join(MARKED), other).unwrap();
            assert_eq!(Sample::of_folder(dir.path()), None, "{other:?}");
        }
        fs::write(dir.path().join(MARKED), [0xff; 512]).unwrap();
        assert_eq!(Sample::of_folder(dir.path()), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_sample_is_chosen_by_what_the_machine_can_run() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("1"), dir.path().join("2"));
        let path_env = env::join_paths([&first, &second]).unwrap();
        let install = |dir: &Path, name: &str, mode| {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join(name), "#!/bin/sh\n").unwrap();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        assert_eq!(Sample::choose(&path_env), None);
        install(&second, "python3", 0o644);
        assert_eq!(Sample::choose(&path_env), None);
        install(&second, "node", 0o755);
        assert_eq!(Sample::choose(&path_env), Some(Sample::Node));
        install(&first, "python3", 0o755);
        assert_eq!(Sample::choose(&path_env), Some(Sample::Python));
        assert_eq!(Sample::choose(OsStr::new("")), None);
    }
}
