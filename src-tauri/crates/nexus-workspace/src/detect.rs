//! Finds out how a project is checked and what a copy of it needs, from its files alone.

use crate::{
    ProjectConfig, SetupCommand,
    person_git::PersonGit,
    plain_file::hint,
    rules::{Matcher, Rules},
};
use nexus_core::{CommandLine, ProjectPath};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Larger than any manifest or test file that is worth a look.
const FILE_LIMIT: u64 = 512 * 1024;
/// How many test files are looked into, at most, and how many levels of folders.
const TEST_FILES: usize = 200;
const TEST_DEPTH: usize = 4;

/// Ignored things that checks commonly need.
const COPIED: &[&str] = &["node_modules", ".venv", "venv", ".env", ".env.local"];

/// What makes a workspace ready for the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Run in the workspace before anything else.
    pub command: Option<CommandLine>,
    /// Copied from the project's folder.
    pub copy: Vec<ProjectPath>,
}

/// The checks of a project: those its configuration names, else those its files suggest.
pub fn checks(folder: &Path, config: &ProjectConfig) -> Vec<CommandLine> {
    match &config.checks {
        Some(commands) => commands.clone(),
        None => detect_checks(folder),
    }
}

/// The set-up of a project: what its configuration says, and for the rest what its files
/// suggest.
pub fn setup(folder: &Path, config: &ProjectConfig) -> Setup {
    let detected = detect_setup(folder);
    Setup {
        command: match &config.setup {
            SetupCommand::Detect => detected.command,
            SetupCommand::Nothing => None,
            SetupCommand::Run(command) => Some(command.clone()),
        },
        copy: config.copy.clone().unwrap_or(detected.copy),
    }
}

/// The checks that the files of a project suggest. A `Makefile` is asked only if nothing else
/// speaks, because its `test` commonly calls what was found already.
pub fn detect_checks(folder: &Path) -> Vec<CommandLine> {
    let mut found = Vec::new();
    if is_file(&folder.join("Cargo.toml")) {
        found.push(CommandLine::new("cargo", ["test"]));
    }
    if has_npm_test(folder) {
        found.push(CommandLine::new("npm", ["test"]));
    }
    found.extend(python_checks(folder));
    if is_file(&folder.join("go.mod")) {
        found.push(CommandLine::new("go", ["test", "./..."]));
    }
    if found.is_empty() && has_make_test(folder) {
        found.push(CommandLine::new("make", ["test"]));
    }
    found
}

/// The set-up that the files of a project suggest.
pub fn detect_setup(folder: &Path) -> Setup {
    let git = PersonGit::around(folder).ok().flatten();
    let matcher = Rules::of(folder, git.as_ref(), Vec::new()).matcher();
    let is_ignored = |name: &str| {
        let Ok(metadata) = fs::symlink_metadata(folder.join(name)) else {
            return false;
        };
        let left_out = |m: &Matcher| m.leaves_out_path(folder, name, metadata.is_dir());
        !metadata.is_symlink() && matcher.as_ref().is_ok_and(left_out)
    };
    let copied = COPIED.iter().filter(|name| is_ignored(name));
    let modules = folder.join("node_modules");
    let needs_modules = is_file(&folder.join("package-lock.json")) && !modules.is_dir();
    Setup {
        command: needs_modules.then(|| CommandLine::new("npm", ["ci"])),
        copy: copied.flat_map(|name| ProjectPath::parse(name)).collect(),
    }
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_file())
}

/// A test script, and not the one that `npm init` writes to say that there is none.
fn has_npm_test(folder: &Path) -> bool {
    let Some(text) = hint(&folder.join("package.json"), FILE_LIMIT) else {
        return false;
    };
    let Ok(package) = serde_json::from_str::<Value>(&text) else {
        return false;
    };
    let script = package["scripts"]["test"].as_str().unwrap_or_default();
    !script.trim().is_empty() && !script.contains("no test specified")
}

fn has_make_test(folder: &Path) -> bool {
    let names = ["GNUmakefile", "makefile", "Makefile"];
    let found = names
        .iter()
        .find_map(|name| hint(&folder.join(name), FILE_LIMIT));
    let is_test_target = |line: &str| {
        let Some((targets, rest)) = line.split_once(':') else {
            return false;
        };
        // `test := x` sets a variable; an indented line is part of a recipe.
        let is_rule = !rest.starts_with('=') && !line.starts_with([' ', '\t', '#', '.']);
        is_rule && targets.split_whitespace().any(|target| target == "test")
    };
    found.is_some_and(|text| text.lines().any(is_test_target))
}

/// How a project's Python tests are written.
struct PythonTests {
    pytest: bool,
    /// Test files at the top, or in a package below it.
    unittest_at_top: bool,
    /// A test folder that is no package, where discovery has to start.
    unittest_in: Option<&'static str>,
}

fn python_checks(folder: &Path) -> Vec<CommandLine> {
    let tests = look_at_python_tests(folder);
    let python = python_of(folder);
    if tests.pytest {
        return vec![CommandLine::new(python, ["-m", "pytest"])];
    }
    let mut found = Vec::new();
    if tests.unittest_at_top {
        found.push(CommandLine::new(python, ["-m", "unittest", "discover"]));
    }
    if let Some(dir) = tests.unittest_in {
        let args = ["-m", "unittest", "discover", "-s", dir];
        found.push(CommandLine::new(python, args));
    }
    found
}

/// The project's own Python, which has the packages that its tests import; else the one on
/// the `PATH`.
fn python_of(folder: &Path) -> &'static str {
    let own = [".venv/bin/python", "venv/bin/python"];
    let own = own.into_iter().find(|python| folder.join(python).is_file());
    own.unwrap_or("python3")
}

fn look_at_python_tests(folder: &Path) -> PythonTests {
    let at_top = test_files(folder, Below::Packages);
    let mut tests = PythonTests {
        pytest: has_pytest_config(folder) || at_top.iter().any(TestFile::needs_pytest),
        unittest_at_top: at_top.iter().any(TestFile::is_discovered),
        unittest_in: None,
    };
    for dir in ["tests", "test"] {
        let files = test_files(&folder.join(dir), Below::Everything);
        tests.pytest |= files.iter().any(TestFile::needs_pytest);
        let is_package = is_file(&folder.join(dir).join("__init__.py"));
        if !is_package && files.iter().any(TestFile::is_discovered) {
            tests.unittest_in = tests.unittest_in.or(Some(dir));
        }
    }
    tests
}

fn has_pytest_config(folder: &Path) -> bool {
    let says = |file: &str, section: &str| {
        let text = hint(&folder.join(file), FILE_LIMIT).unwrap_or_default();
        text.lines().any(|line| line.trim().starts_with(section))
    };
    let files = [
        "pytest.ini",
        ".pytest.ini",
        "conftest.py",
        "tests/conftest.py",
        "test/conftest.py",
    ];
    files.iter().any(|file| is_file(&folder.join(file)))
        || says("pyproject.toml", "[tool.pytest")
        || says("setup.cfg", "[tool:pytest]")
        || says("tox.ini", "[pytest]")
}

/// Which folders below the first are looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Packages,
    Everything,
}

/// A Python file with the name of a test.
struct TestFile {
    text: String,
    /// `unittest discover` would find it from where the search began: it is called `test…`, and
    /// every folder on the way is a package.
    in_reach: bool,
}

/// The Python test files in a folder and below it.
fn test_files(dir: &Path, below: Below) -> Vec<TestFile> {
    let mut found = Vec::new();
    let mut pending = vec![(dir.to_owned(), TEST_DEPTH, true)];
    while let Some((dir, depth, in_packages)) = pending.pop() {
        for path in entries_of(&dir) {
            if found.len() >= TEST_FILES {
                return found;
            }
            if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
                let is_package = is_file(&path.join("__init__.py"));
                if depth > 1 && (is_package || below == Below::Everything) {
                    pending.push((path, depth - 1, in_packages && is_package));
                }
            } else if let Some(name) = test_name(&path)
                && let Some(text) = hint(&path, FILE_LIMIT)
            {
                let in_reach = in_packages && name.starts_with("test");
                found.push(TestFile { text, in_reach });
            }
        }
    }
    found
}

/// What lies in a folder, in order; nothing if it is none.
fn entries_of(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn test_name(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".py")?;
    (stem.starts_with("test") || stem.ends_with("_test")).then_some(name)
}

impl TestFile {
    /// Imports pytest, or has bare test functions, which only pytest runs.
    fn needs_pytest(&self) -> bool {
        self.text.lines().any(|line| {
            let imports = line.trim_start();
            imports.starts_with("import pytest")
                || imports.starts_with("from pytest")
                || line.starts_with("def test_")
                || line.starts_with("async def test_")
        })
    }

    /// Uses unittest, where `unittest discover` finds it.
    fn is_discovered(&self) -> bool {
        let mut lines = self.text.lines().map(str::trim_start);
        self.in_reach
            && lines.any(|l| l.starts_with("import unittest") || l.starts_with("from unittest"))
    }
}
