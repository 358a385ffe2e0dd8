//! The plan, the agents at work and what is said to them.

use crate::{
    team_that_asks,
    webdriver::{Window, id},
};
use nexus_tests::env::{TestEnv, rules, until};
use std::fs;

#[test]
fn what_is_said_in_the_window_reaches_the_agent_at_work() {
    let env = TestEnv::new();
    let go = env.root().join("go");
    env.script(&rules(team_that_asks(&go)));
    let owner = env.start_execute(&env.project("shop"), &["--permissions", "all"]);
    until("Code is at work", || !env.prompts("code").is_empty());
    let window = Window::open(&env, &[]);

    window.click_for(&format!("{} a", id("card-T-1")), &id("tab-plan"));
    window.click_for(&id("tab-plan"), &id("plan-list"));
    let plan = window.wait_for_text(&id("plan-list"), "running");
    for name in ["Aria", "Code", "Alpha", "Beta"] {
        assert!(plan.contains(name), "{plan}");
    }
    window.wait_for(&format!("{} .react-flow__node", id("plan-graph")));
    window.picture("team-plan");

    window.click_for(&id("tab-messages"), &id("say-text"));
    window.type_into(&id("say-text"), "Greet the whole world");
    window.click(&id("say-send"));
    let newest = format!("article:last-of-type {}", id("delivery"));
    window.wait_for_text("article:last-of-type", "Greet the whole world");
    window.wait_for_text(&newest, "waiting");
    window.picture("team-said");

    window.click_for("nav a[href*='/agents']", &id("team"));
    window.wait_for_text(&id("seat-T-1-code"), "heard");
    window.picture("team-agents");

    fs::write(&go, "").unwrap();
    owner.wait().expect(0);
    let prompts = env.prompts("code");
    assert!(
        prompts
            .iter()
            .any(|prompt| prompt.contains("Greet the whole world")),
        "{prompts:?}"
    );
    window.close();
    env.assert_nothing_runs();
}
