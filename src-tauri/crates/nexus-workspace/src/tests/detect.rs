//! What is found out about a project from its files.

use super::Place;
use crate::{ProjectConfig, checks, detect_checks, detect_setup, setup};
use nexus_core::CommandLine;

fn detected(files: &[(&str, &str)]) -> Vec<String> {
    let place = Place::plain();
    for (path, content) in files {
        place.write(path, content);
    }
    let found = detect_checks(&place.project);
    found.iter().map(CommandLine::to_string).collect()
}

const UNITTEST: &str =
    "import unittest\n\nclass T(unittest.TestCase):\n    def test_a(self):\n        pass\n";
const PYTEST: &str = "def test_a():\n    assert 1\n";

#[test]
fn checks_are_detected() {
    let npm = |script: &str| format!(r#"{{"scripts":{{"test":{script:?}}}}}"#);
    let real = npm("vitest run");
    let placeholder = npm("echo \"Error: no test specified\" && exit 1");
    let make = "CFLAGS := -O\nall: x\n\tcc\nlint test: all\n\techo\n";
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(Files<'_>, &[&str])] = &[
        (&[], &[]),
        (&[("README.md", "test:")], &[]),
        (&[("Cargo.toml", "[package]")], &["cargo test"]),
        (&[("sub/Cargo.toml", "[package]")], &[]),
        (&[("package.json", &real)], &["npm test"]),
        (&[("package.json", &placeholder)], &[]),
        (&[("package.json", "{}")], &[]),
        (&[("package.json", "not json")], &[]),
        (&[("go.mod", "module x")], &["go test ./..."]),
        (&[("pytest.ini", "")], &["python3 -m pytest"]),
        (
            &[("pyproject.toml", "[tool.pytest.ini_options]\n")],
            &["python3 -m pytest"],
        ),
        (&[("pyproject.toml", "[project]\n")], &[]),
        (&[("setup.cfg", "[tool:pytest]\n")], &["python3 -m pytest"]),
        (&[("tests/conftest.py", "")], &["python3 -m pytest"]),
        (&[("tests/unit/test_a.py", PYTEST)], &["python3 -m pytest"]),
        (&[("a_test.py", "import pytest\n")], &["python3 -m pytest"]),
        (
            &[("test_a.py", UNITTEST)],
            &["python3 -m unittest discover"],
        ),
        (
            &[("tests/test_a.py", UNITTEST)],
            &["python3 -m unittest discover -s tests"],
        ),
        (
            &[("tests/__init__.py", ""), ("tests/test_a.py", UNITTEST)],
            &["python3 -m unittest discover"],
        ),
        (
            &[("pkg/__init__.py", ""), ("pkg/test_a.py", UNITTEST)],
            &["python3 -m unittest discover"],
        ),
        // Discovery does not look there, and would report success over nothing.
        (&[("tests/unit/test_a.py", UNITTEST)], &[]),
        (&[("tests/a_test.py", UNITTEST)], &[]),
        (
            &[("test_a.py", UNITTEST), ("tests/test_b.py", UNITTEST)],
            &[
                "python3 -m unittest discover",
                "python3 -m unittest discover -s tests",
            ],
        ),
        (
            &[("venv/bin/python", ""), ("pytest.ini", "")],
            &["venv/bin/python -m pytest"],
        ),
        (&[("Makefile", make)], &["make test"]),
        (
            &[("Makefile", "test := x\n.PHONY: test\n\ttest: no\n")],
            &[],
        ),
        (&[("Makefile", make), ("go.mod", "")], &["go test ./..."]),
        (
            &[("Cargo.toml", ""), ("package.json", &real)],
            &["cargo test", "npm test"],
        ),
    ];
    for (files, expected) in cases {
        assert_eq!(detected(files), *expected, "{files:?}");
    }
}

/// Runs what is detected, where the program is one that every machine here has.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the commands of this test come from this test"
)]
fn the_detected_unittest_commands_find_the_tests() {
    let importing = format!("import lib\n{UNITTEST}");
    let layouts: &[&[(&str, &str)]] = &[
        &[("lib.py", ""), ("test_a.py", &importing)],
        &[("lib.py", ""), ("tests/test_a.py", &importing)],
        &[
            ("lib.py", ""),
            ("tests/__init__.py", ""),
            ("tests/test_a.py", &importing),
        ],
    ];
    for files in layouts {
        let place = Place::plain();
        for (path, content) in *files {
            place.write(path, content);
        }
        let found = detect_checks(&place.project);
        assert_eq!(found.len(), 1);
        let output = std::process::Command::new(&found[0].program)
            .args(&found[0].args)
            .current_dir(&place.project)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && printed.contains("Ran 1 test"),
            "{files:?}: {printed}"
        );
    }
}

#[test]
fn the_set_up_is_what_is_ignored_and_there() {
    let place = Place::git();
    place
        .write(".gitignore", ".env\n")
        .write(".env", "")
        .write(".env.local", "")
        .write("package-lock.json", "{}");
    let found = detect_setup(&place.project);
    let copy = |found: &crate::Setup| {
        found
            .copy
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(copy(&found), [".env"]);
    assert_eq!(found.command, Some(CommandLine::new("npm", ["ci"])));

    place
        .write("node_modules/x", "")
        .write(".venv/pyvenv.cfg", "")
        .write("venv/pyvenv.cfg", "");
    let found = detect_setup(&place.project);
    assert_eq!(copy(&found), ["node_modules", ".venv", "venv", ".env"]);
    assert_eq!(found.command, None);
}

#[test]
fn what_is_configured_beats_what_is_detected() {
    let place = Place::plain();
    place
        .write("Cargo.toml", "")
        .write("package-lock.json", "{}");
    let configured = |text: &str| {
        place.write(".nexus/config.toml", text);
        let config = ProjectConfig::read(&place.project).unwrap();
        let checks = checks(&place.project, &config);
        let setup = setup(&place.project, &config);
        let setup = setup.command.map(|c| c.to_string());
        (
            checks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            setup,
        )
    };
    let detected = (vec!["cargo test".to_owned()], Some("npm ci".to_owned()));
    assert_eq!(configured(""), detected);
    assert_eq!(
        configured("checks.commands = []\nsetup.command = ''"),
        (vec![], None)
    );
    let own = (vec!["make check".to_owned()], Some("make deps".to_owned()));
    let text = "checks.commands = ['make check']\nsetup.command = 'make deps'";
    assert_eq!(configured(text), own);
}
