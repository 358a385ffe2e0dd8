//! Programs that check NEXUS, installed at pinned versions under the target folder.
//!
//! The pins, with the hashes of what is downloaded, are the files in this crate's `tools/`.

use crate::program::{Done, Failure, Program};
use crate::{node, place};
use std::fs;
use std::path::PathBuf;

const CHECKS: &str = include_str!("../tools/checks.txt");
const CLAUDE_PACKAGE: &str = include_str!("../tools/claude/package.json");
const CLAUDE_LOCK: &str = include_str!("../tools/claude/package-lock.json");

/// Installs `cargo-deny` and `typos`.
pub(crate) fn ensure_checks() -> Done {
    let folder = place::tools().join("checks");
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == CHECKS) {
        return Ok(());
    }
    println!("Installing cargo-deny (dependency rules) and typos (spelling) in the target folder");
    fs::create_dir_all(&folder)?;
    let pins = folder.join("checks.txt");
    fs::write(&pins, CHECKS)?;
    Program::new("python3")
        .args(["-m", "venv"])
        .args([&folder])
        .show()?;
    Program::new(folder.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args([
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--requirement",
        ])
        .args([pins])
        .show()?;
    Ok(fs::write(stamp, CHECKS)?)
}

/// One of the programs of [`ensure_checks`].
pub(crate) fn check(name: &str) -> Program {
    Program::new(place::tools().join("checks/bin").join(name))
}

/// Installs the Claude Code command line that the contract tests run, and gives its path.
pub(crate) fn ensure_claude() -> Done<PathBuf> {
    let folder = place::tools().join("claude");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), CLAUDE_PACKAGE)?;
    fs::write(folder.join("package-lock.json"), CLAUDE_LOCK)?;
    node::install(
        &folder,
        "the pinned Claude Code that the contract tests run",
    )?;
    claude().ok_or_else(|| {
        Failure::new(
            "the pinned Claude Code has no package for this system: the contract tests run on \
             Linux with glibc, on x86-64 and 64-bit ARM",
        )
    })
}

/// The pinned Claude Code, when it is installed.
pub(crate) fn claude() -> Option<PathBuf> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        _ => return None,
    };
    let package = format!("@anthropic-ai/claude-code-linux-{architecture}");
    let modules = place::tools().join("claude/node_modules");
    let program = modules.join(package).join("claude");
    program.is_file().then_some(program)
}
