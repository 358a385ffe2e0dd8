//! The built desktop program in a real window: what a person does with the mouse, done by
//! WebDriver, and what is on disk afterwards.
//!
//! Each test has a display, a session bus and a home of its own. Pictures of what was seen are
//! left in the target folder, under `tmp/window/`.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

mod practice;
mod second_start;
mod team;
mod webdriver;

use nexus_tests::env::{TestEnv, good_team, greet, rules, seat, submit, until};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use webdriver::{Window, at_work, id};

fn greeting(project: &Path) -> String {
    fs::read_to_string(project.join("greeting.txt")).unwrap()
}

/// A team whose Code waits for a file, and then wants to run something that has to be allowed.
fn team_that_asks(go: &Path) -> Vec<Value> {
    let command = json!({"use": {"tool": "Bash", "input": {"command": "touch /tmp/elsewhere"}}});
    let steps = json!([
        {"say": "Looking at the greeting."},
        {"wait_for": go},
        command,
        greet("hello world"),
        submit("mended it")
    ]);
    let mut team = good_team();
    let code = team.iter_mut().find(|rule| rule["when"]["role"] == "code");
    *code.unwrap() = seat("code", steps);
    team
}

/// What the page does when the system's file manager drops this path on the window: what Tauri
/// itself runs in the page then.
fn drop_on(window: &Window, path: &Path) {
    window.run(
        "const listeners = window.__internal_unstable_listeners_object_id__['tauri://drag-drop'];
         window.__internal_unstable_listeners_function_id__(
           { event: 'tauri://drag-drop',
             payload: { paths: [arguments[0]], position: { x: 400, y: 300 } } },
           Object.getOwnPropertyNames(listeners));",
        &[json!(path)],
    );
}

#[test]
fn a_dropped_folder_becomes_a_task_that_asks_is_accepted_and_changes_the_folder() {
    let env = TestEnv::new();
    let go = env.root().join("go");
    env.script(&rules(team_that_asks(&go)));
    let project = env.project("shop");
    let window = Window::open(&env, &[]);

    window.wait_for(&id("empty-board"));
    window.picture("1-empty");
    drop_on(&window, &project);
    let asked = window.wait_for(&id("trust-sheet"));
    assert!(asked.contains("sh check.sh"), "{asked}");
    window.picture("2-trust");
    window.click(&id("trust-folder"));

    window.type_into(&id("composer-text"), "Mend the greeting");
    window.click(&id("composer-start"));
    let in_column =
        |column: &str| format!("[data-testid='column-{column}'] [data-testid='card-T-1']");
    window.wait_for(&in_column("working"));
    window.wait_for(&at_work("T-1-code"));
    window.picture("3-working");

    fs::write(&go, "").unwrap();
    window.wait_for(&in_column("needs_you"));
    window.picture("4-needs-you");
    window.click(&format!("{} a", id("card-T-1")));
    let question = window.wait_for(&id("question"));
    assert!(question.contains("touch /tmp/elsewhere"), "{question}");
    window.picture("5-question");
    // It takes no answer in its first moment, so that nobody answers by accident.
    window.click(&format!("{}[aria-disabled='false']", id("allow")));

    window.wait_for(&id("accept"));
    window.click(&id("tab-changes"));
    let diff = window.wait_for_text(&id("diff"), "hello world");
    assert!(diff.contains("hello wrld"), "{diff}");
    window.picture("6-changes");
    assert_eq!(greeting(&project), "hello wrld\n");

    window.click(&id("accept"));
    window.click(&id("accept-confirm"));
    window.wait_for_text(&id("task-state"), "Done");
    assert_eq!(greeting(&project), "hello world\n");
    window.picture("7-done");

    window.close();
    env.assert_nothing_runs();
}

#[test]
fn the_practice_task_needs_nothing_and_says_what_it_is() {
    let mut env = TestEnv::new();
    env.set("NEXUS_CLAUDE_PROGRAM", "/nowhere/claude");
    let window = Window::open(&env, &["--demo"]);
    let card = window.wait_for(&id("card-T-1"));
    assert!(card.contains("practice, no AI"), "{card}");
    window.picture("practice-working");
    window.wait_for("[data-testid='column-review'] [data-testid='card-T-1']");
    let card = window.text(&id("card-T-1")).unwrap();
    assert!(card.contains("Checks pass"), "{card}");
    window.picture("practice-review");
    window.close();
    env.assert_nothing_runs();
}

#[test]
fn the_page_can_do_what_is_listed_and_nothing_else() {
    let env = TestEnv::new();
    let window = Window::open(&env, &[]);
    window.wait_for(&id("empty-board"));

    let board = json!({ "method": "GET", "path": "/api/v1/board", "body": null });
    let board = window.invoke("api", &json!({ "request": board })).unwrap();
    assert_eq!(board["status"], 200);
    for (command, arguments) in [
        (
            "plugin:shell|execute",
            json!({ "program": "id", "args": [] }),
        ),
        (
            "plugin:shell|open",
            json!({ "path": "https://example.com" }),
        ),
        (
            "plugin:opener|open_url",
            json!({ "url": "https://example.com" }),
        ),
        ("plugin:dialog|open", json!({ "options": {} })),
        ("plugin:store|load", json!({ "path": "other.json" })),
        ("plugin:fs|read_file", json!({ "path": "/etc/passwd" })),
        ("plugin:window|close", json!({})),
        ("plugin:event|emit", json!({ "event": "any", "payload": 1 })),
        ("no_such_command", json!({})),
    ] {
        let refused = window.invoke(command, &arguments).unwrap_err();
        assert!(refused.contains("not allowed"), "{command}: {refused}");
    }
    let link = window.invoke("open_link", &json!({ "url": "file:///etc/passwd" }));
    assert!(link.unwrap_err().contains("not opened"));

    let home = window.address();
    window.run("location.href = 'https://example.com/'", &[]);
    assert_eq!(
        window.run("return String(window.open('https://example.com/'))", &[]),
        "null"
    );
    let fetched = "return fetch('https://example.com/').then(() => 'fetched', () => 'refused')";
    assert_eq!(window.run(fetched, &[]), "refused");
    let evaluated = "try { return new Function('return 1')() } catch { return 'refused' }";
    assert_eq!(window.run(evaluated, &[]), "refused");
    assert_eq!(
        window.run("return Object.isFrozen(Object.prototype)", &[]),
        true
    );
    for change in [
        "Object.prototype.own = 1",
        "Object.prototype.toString = () => 'mine'",
        "delete Object.prototype.toString",
        "({}).__proto__.constructor = Array",
    ] {
        let tried = format!("'use strict'; try {{ {change} }} catch {{ return 'refused' }}");
        assert_eq!(window.run(&tried, &[]), "refused", "{change}");
    }
    // What an object has of its own is not everybody's.
    let own = "'use strict'; const one = {}; one.toString = () => 'mine'; return `${one} ${{}}`";
    assert_eq!(window.run(own, &[]), "mine [object Object]");
    assert_eq!(window.address(), home);
    window.close();
}

#[test]
fn a_second_engine_in_the_data_folder_is_shared_and_then_inherited() {
    let env = TestEnv::new();
    let go = env.root().join("go");
    env.script(&rules(team_that_asks(&go)));
    let project = env.project("shop");
    // The command line owns the engine; the window is its client.
    let owner = env.start_execute(&project, &["--permissions", "all"]);
    until("the owner has a task", || {
        env.data().join("nexus.sock").exists() && !env.prompts("code").is_empty()
    });
    let window = Window::open(&env, &[]);
    window.wait_for("[data-testid='column-working'] [data-testid='card-T-1']");
    fs::write(&go, "").unwrap();
    owner.wait().expect(0);
    // It has left with its task in review, and the window carries on as the owner. A card that
    // is on its way to another column takes no click.
    window.wait_for("[data-testid='column-review'] [data-testid='card-T-1']");
    window.click_for(&format!("{} a", id("card-T-1")), &id("accept"));
    window.click_for(&id("accept"), &id("accept-confirm"));
    window.click(&id("accept-confirm"));
    window.wait_for_text(&id("task-state"), "Done");
    assert_eq!(greeting(&project), "hello world\n");
    window.close();
    env.assert_nothing_runs();
}
