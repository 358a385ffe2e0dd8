//! What is checked, in which order, and what has to be installed for it.

use crate::program::{Done, Program};
use crate::steps::{self, Lane, Step, Verdict};
use crate::{client, node, place, system, tools};
use std::fs::File;

/// What is built, tested and linted: all crates, with the tests that need a keychain of their
/// own. Always the same words, so that cargo builds everything once.
const EVERYTHING: [&str; 3] = [
    "--locked",
    "--workspace",
    "--features=nexus-secrets/keychain-test",
];

/// `cargo xtask test`.
pub(crate) fn everything(only: Option<&str>, nightly: bool, list: bool) -> Done {
    let mut steps = all_steps();
    if nightly {
        for step in steps.iter_mut().filter(|step| step.name == "tests") {
            step.about = "all Rust tests, their loops at full size";
            step.work = nightly_tests;
        }
    }
    perform(steps, only, list)
}

/// `cargo xtask check`: the steps that run no test.
pub(crate) fn quick(only: Option<&str>, list: bool) -> Done {
    let quick = [
        "format",
        "spelling",
        "dependencies",
        "ui-build",
        "ui-check",
        "lints",
    ];
    let steps = all_steps()
        .into_iter()
        .filter(|step| quick.contains(&step.name));
    perform(steps.collect(), only, list)
}

fn perform(steps: Vec<Step>, only: Option<&str>, list: bool) -> Done {
    if list {
        steps::list(&steps);
        return Ok(());
    }
    let steps = steps::choose(steps, only)?;
    prepare(&steps)?;
    steps::run(&steps)
}

fn all_steps() -> Vec<Step> {
    use Lane::{Interface, Rust};
    let step = |name, lane, needs, about, work| Step {
        name,
        about,
        lane,
        needs,
        work,
    };
    vec![
        step(
            "ui-build",
            Interface,
            &[],
            "build the user interface",
            |log| ui("build", log),
        ),
        step(
            "ui-check",
            Interface,
            &[],
            "its format, lints and types",
            |log| ui("check", log),
        ),
        step("ui-test", Interface, &[], "its tests", |log| {
            ui("test", log)
        }),
        step(
            "ui-size",
            Interface,
            &["ui-build"],
            "its size budget",
            |log| ui("size", log),
        ),
        step("format", Rust, &[], "Rust formatting", format),
        step("spelling", Rust, &[], "words in code and text", spelling),
        step(
            "dependencies",
            Rust,
            &[],
            "bans, licences, sources",
            dependencies,
        ),
        step(
            "advisories",
            Rust,
            &[],
            "known holes in dependencies",
            advisories,
        ),
        step(
            "build",
            Rust,
            &["ui-build"],
            "all programs and tests",
            build,
        ),
        step("tests", Rust, &["build"], "all Rust tests", tests),
        step(
            "client",
            Rust,
            &["build"],
            "the types made from the API",
            client,
        ),
        step(
            "lints",
            Rust,
            &["ui-build"],
            "clippy, warnings are errors",
            lints,
        ),
    ]
}

/// Installs what the chosen steps need, and nothing else.
fn prepare(chosen: &[Step]) -> Done {
    let any = |names: &[&str]| chosen.iter().any(|step| names.contains(&step.name));
    let compiles = any(&["build", "lints"]);
    let checks = any(&["spelling", "dependencies", "advisories"]);
    if compiles {
        system::ensure(&[system::HEADLESS, system::WINDOW])?;
    }
    if checks || any(&["tests"]) {
        system::ensure(&[system::TESTS])?;
    }
    if checks {
        tools::ensure_checks()?;
    }
    if chosen.iter().any(|step| step.lane == Lane::Interface) {
        node::ensure()?;
        node::install(&place::ui(), "the user interface")?;
    }
    if any(&["client"]) {
        client::ensure()?;
    }
    if any(&["tests"]) {
        node::ensure()?;
        tools::ensure_claude()?;
    }
    Ok(())
}

/// Everything that is set up for any step.
pub(crate) fn prepare_all() -> Done {
    prepare(&all_steps())
}

fn good(outcome: Done) -> Done<Verdict> {
    outcome.map(|()| Verdict::Good)
}

fn ui(script: &str, log: &File) -> Done<Verdict> {
    good(node::ui_script(script).log(log))
}

fn format(log: &File) -> Done<Verdict> {
    good(Program::cargo().args(["fmt", "--all", "--check"]).log(log))
}

fn spelling(log: &File) -> Done<Verdict> {
    good(tools::check("typos").log(log))
}

fn dependencies(log: &File) -> Done<Verdict> {
    let rules = ["bans", "licenses", "sources"];
    good(
        tools::check("cargo-deny")
            .args(["--log-level=error", "--locked", "check"])
            .args(rules)
            .log(log),
    )
}

/// The database of advisories is on the network, in a place that not every machine reaches.
fn advisories(log: &File) -> Done<Verdict> {
    let fetched = tools::check("cargo-deny").args(["fetch", "db"]).log(log);
    if fetched.is_err() {
        return Ok(Verdict::NotPossible(
            "their database cannot be reached from here",
        ));
    }
    let without_network = ["check", "advisories", "--disable-fetch"];
    good(
        tools::check("cargo-deny")
            .args(["--locked"])
            .args(without_network)
            .log(log),
    )
}

fn client(log: &File) -> Done<Verdict> {
    good(client::is_up_to_date(log))
}

fn lints(log: &File) -> Done<Verdict> {
    good(
        Program::cargo()
            .args(["clippy", "--all-targets"])
            .args(EVERYTHING)
            .args(["--", "-D", "warnings"])
            .log(log),
    )
}

/// Programs and tests in one go: building them apart would compile shared crates twice, with
/// different features.
fn build(log: &File) -> Done<Verdict> {
    good(
        Program::cargo()
            .args(["build", "--all-targets"])
            .args(EVERYTHING)
            .log(log),
    )
}

/// Tests that need a display, a session bus or a keychain start one for themselves.
fn tests(log: &File) -> Done<Verdict> {
    good(runner("--profile=ci").log(log))
}

/// The same with every loop at its full size, and with the time that takes.
fn nightly_tests(log: &File) -> Done<Verdict> {
    let runner = runner("--profile=nightly");
    good(runner.env("NEXUS_NIGHTLY", "1").log(log))
}

fn runner(profile: &str) -> Program {
    let runner = if has_nextest() {
        Program::cargo()
            .args(["nextest", "run", profile])
            .args(EVERYTHING)
    } else {
        // What passed is shown as well, for its figures.
        Program::cargo()
            .args(["test", "--no-fail-fast"])
            .args(EVERYTHING)
            .args(["--", "--show-output"])
    };
    with_programs(runner)
}

fn has_nextest() -> bool {
    Program::cargo()
        .args(["nextest", "--version"])
        .read()
        .is_some()
}

/// Tells the tests where the programs are that they start.
fn with_programs(mut runner: Program) -> Program {
    let built = [
        ("NEXUS_TEST_NEXUS", "nexus"),
        ("NEXUS_TEST_DESKTOP", "nexus-desktop"),
        ("NEXUS_TEST_FAKE_CLAUDE", "fake-claude"),
        ("NEXUS_TEST_FAKE_OPENAI", "fake-openai"),
        ("NEXUS_TEST_SCRIPTED_API", "scripted-api"),
    ];
    for (variable, name) in built {
        runner = runner.env(variable, place::built("debug", name));
    }
    match tools::claude() {
        Some(claude) => runner.env("NEXUS_TEST_CLAUDE", claude),
        None => runner,
    }
}
