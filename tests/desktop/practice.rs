//! The practice task from its button to the change on disk, in the light and in the dark.

use crate::webdriver::{Window, at_work, id};
use nexus_tests::env::{TestEnv, files_under, until};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every text file below the folder, by its path.
fn texts(folder: &Path) -> BTreeMap<String, String> {
    let read = |path: String| Some((path.clone(), fs::read_to_string(folder.join(path)).ok()?));
    files_under(folder).into_iter().filter_map(read).collect()
}

/// The paths and the added lines of the diff that is shown.
fn shown_changes(window: &Window) -> BTreeMap<String, Vec<String>> {
    let script = "const files = document.querySelectorAll('[data-testid=diff] section');
        return Object.fromEntries([...files].map((file) => [
          file.getAttribute('aria-label'),
          [...file.querySelectorAll('tr[data-kind=added] td:last-child')]
            .map((line) => line.textContent),
        ]))";
    serde_json::from_value(window.run(script, &[])).unwrap()
}

fn choose_appearance(window: &Window, scheme: &str) {
    window.click("button[data-testid='main-menu']");
    window.click(&format!("[role='menu'] [data-testid='look-{scheme}']"));
    window.wait_for(&format!("html[data-mantine-color-scheme='{scheme}']"));
    until("the menu is gone", || {
        window.text("[role='menu']").is_none()
    });
}

fn in_both_appearances(window: &Window, name: &str) {
    choose_appearance(window, "dark");
    window.picture(&format!("{name}-dark"));
    choose_appearance(window, "light");
    window.picture(&format!("{name}-light"));
}

#[test]
fn the_practice_task_is_started_by_a_button_and_accepted_into_its_sample() {
    let mut env = TestEnv::new();
    env.set("NEXUS_CLAUDE_PROGRAM", "/nowhere/claude");
    let window = Window::open(&env, &[]);
    let in_column =
        |column: &str| format!("[data-testid='column-{column}'] [data-testid='card-T-1']");

    window.wait_for(&id("empty-board"));
    window.click(&id("empty-practice"));
    let card = window.wait_for(&in_column("working"));
    assert!(card.contains("practice, no AI"), "{card}");
    let sample = env.root().join("data-practice/sample-1");
    let before = texts(&sample);
    window.wait_for(&at_work("T-1-code"));
    in_both_appearances(&window, "board-working");

    window.wait_for(&in_column("review"));
    window.click_for(&format!("{} a", id("card-T-1")), &id("tab-changes"));
    let added = format!("{} tr[data-kind='added']", id("diff"));
    window.click_for(&id("tab-changes"), &added);
    in_both_appearances(&window, "task-changes");
    let shown = shown_changes(&window);
    assert_eq!(
        texts(&sample),
        before,
        "nothing changes before it is accepted"
    );

    window.click_for(&id("accept"), &id("accept-confirm"));
    window.click(&id("accept-confirm"));
    window.wait_for_text(&id("task-state"), "Done");
    window.click("nav[aria-label='Where you are'] a");
    let card = window.wait_for(&in_column("done"));
    assert!(card.contains("practice, no AI"), "{card}");
    in_both_appearances(&window, "board-done");

    let mut after = texts(&sample);
    after.retain(|path, text| before.get(path) != Some(text));
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        shown.keys().collect::<Vec<_>>(),
        "the files that were shown have changed, and no others"
    );
    for (path, lines) in shown {
        assert!(!lines.is_empty(), "{path}");
        for line in lines {
            assert!(after[&path].contains(&line), "{line:?} is not in {path}");
        }
    }
    window.close();
    env.assert_nothing_runs();
}
