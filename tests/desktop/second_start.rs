//! One window and one engine for each person, however often NEXUS is started.
#![expect(
    clippy::disallowed_methods,
    reason = "the second start ends by itself, or is killed when the test fails"
)]

use crate::webdriver::{Window, at_work, id};
use nexus_tests::env::{TestEnv, good_team, greet, rules, seat, submit, until};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_nexus-desktop");

/// The program, started again in the session of a window that is there.
struct SecondStart(Child);

impl SecondStart {
    fn beside(window: u32) -> Self {
        let mut command = Command::new(PROGRAM);
        command.env_clear().envs(variables_of(window));
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(quiet.spawn().unwrap())
    }

    fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        until("the second start has ended", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }
}

impl Drop for SecondStart {
    fn drop(&mut self) {
        // It is gone already when it was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process ids of the windows of this test.
fn windows(env: &TestEnv) -> Vec<u32> {
    let program = Path::new(PROGRAM).canonicalize().unwrap();
    // A process may be gone before it is looked at. Guards are the same program.
    let is_window = |pid: &u32| {
        let runs = fs::read_link(format!("/proc/{pid}/exe"));
        let called = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        runs.is_ok_and(|path| path == program) && !called.contains("__guard")
    };
    let pids = env.processes().into_iter().map(|process| process.pid);
    pids.filter(is_window).collect()
}

/// The variables that a running process was started with.
fn variables_of(pid: u32) -> Vec<(OsString, OsString)> {
    let block = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let pairs = block.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((text(&pair[..at]), text(&pair[at + 1..])))
    });
    pairs.collect()
}

/// A team whose Code waits for a file.
fn team_that_waits(go: &Path) -> Value {
    let steps = json!([
        {"say": "Looking at the greeting."},
        {"wait_for": go},
        greet("hello world"),
        submit("mended it")
    ]);
    let mut team = good_team();
    let code = team.iter_mut().find(|rule| rule["when"]["role"] == "code");
    *code.unwrap() = seat("code", steps);
    rules(team)
}

#[test]
fn a_second_start_ends_and_the_command_line_is_a_client_of_the_window() {
    let env = TestEnv::new();
    let go = env.root().join("go");
    env.script(&team_that_waits(&go));
    let project = env.project("shop");
    let window = Window::open(&env, &[]);
    window.wait_for(&id("empty-board"));
    let [first] = windows(&env)[..] else {
        panic!("not one window: {:?}", windows(&env))
    };

    // What the command line starts is at work in the window's engine, and on its board.
    let client = env.start_execute(&project, &[]);
    window.wait_for("[data-testid='column-working'] [data-testid='card-T-1']");
    window.wait_for(&at_work("T-1-code"));
    let status = env.run(["status", "--json"]).expect(0);
    let board: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(board["tasks"][0]["name"], "T-1", "{board}");
    assert_eq!(board["tasks"][0]["state"], "working", "{board}");

    window.run("window.wasHere = true", &[]);
    let ended = SecondStart::beside(first).wait();
    assert!(ended.success(), "{ended}");
    assert_eq!(windows(&env), [first]);
    assert_eq!(window.run("return window.wasHere", &[]), true);

    // The task is not disturbed, and outlives the command that started it.
    fs::write(&go, "").unwrap();
    client.wait().expect(0);
    window.wait_for("[data-testid='column-review'] [data-testid='card-T-1']");
    window.close();
    env.assert_nothing_runs();
}
