//! What becomes of a team that does not do as it should, as the person sees it: the state of the
//! task and the words on its card.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_tests::{
    env::{TestEnv, good_team, greet, on, rules, seat, submit, write_file},
    scripted_api::ScriptedApi,
};
use serde_json::{Value, json};

/// A step as a planner gives it.
fn step(kind: &str, title: &str, after: &[u32]) -> Value {
    json!({
        "kind": kind, "title": title, "description": title,
        "requirements": {"input_data": [], "expected_output": [], "constraints": []},
        "after": after, "priority": "normal", "paths": [], "checks": [],
        "estimate_minutes": null, "estimate_usd": null,
    })
}

/// A planner that makes this plan, and cannot judge.
async fn planner(env: &mut TestEnv, steps: &[Value]) -> ScriptedApi {
    let plan = json!({"steps": steps}).to_string();
    let judging = json!({"when": {"api": "chat", "hit": 2}, "reply": {"text": "?"}});
    let planning = json!({"when": {"api": "chat"}, "times": 1, "reply": {"text": plan}});
    let api = ScriptedApi::with(json!({"rules": [planning, judging]})).await;
    env.set("NEXUS_OPENAI_BASE_URL", format!("{}/v1", api.url()));
    env.set("OPENAI_API_KEY", "dummy-key");
    api
}

fn note(task: &Value) -> &str {
    task["card"]["note"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_change_the_same_line_are_put_together_by_a_third_step() {
    let mut env = TestEnv::new();
    let _api = planner(
        &mut env,
        &[
            step("implementation", "left", &[]),
            step("implementation", "right", &[]),
            step("validation", "judge", &[1, 2]),
        ],
    )
    .await;
    let title = |title: &str| json!({"role": "code", "prompt": format!("of the task: {title} ")});
    let meet = |own: &str, other: &str| {
        let sign = |name: &str| env.root().join(name);
        json!([
            {"use": {"tool": "Write", "input": {"file_path": sign(own), "content": ""}}},
            {"wait_for": sign(other)},
        ])
    };
    // Neither is merged before both have written.
    let side = |own: &str, other: &str, greeting: &str| {
        let mut all = vec![greet(greeting), write_file(&format!("{own}.txt"), "mine\n")];
        all.extend(meet(own, other).as_array().unwrap().iter().skip(1).cloned());
        all.push(submit(own));
        json!(all)
    };
    let mut team = vec![
        on(title("left"), side("left", "go", "hello left")),
        on(title("right"), side("right", "go", "hello right")),
        on(
            title("Put together"),
            json!([greet("hello world"), submit("both")]),
        ),
    ];
    team.extend(good_team());
    env.script(&rules(team));
    let project = env.project("demo");
    let running = env.start_execute(&project, &["--planner", "openai"]);
    nexus_tests::env::until("both have begun", || env.prompts("code").len() == 2);
    env.write("go", "");
    running.wait().expect(0);
    let task = env.task("T-1");
    assert_eq!(task["card"]["state"], "review", "{task:#}");
    assert_eq!(note(&task), "checks green");
    let mending = task["steps"].as_array().unwrap().last().unwrap();
    assert!(
        mending["title"]
            .as_str()
            .unwrap()
            .starts_with("Put together")
    );
    assert_eq!(mending["state"], "done");
    assert!(mending["mends"].is_u64());
    let timeline = env.run(["task", "show", "T-1"]).stdout;
    assert!(timeline.contains("greeting.txt"), "{timeline}");
}

#[test]
fn a_test_that_code_made_weaker_is_on_the_card_however_green_the_checks_are() {
    let env = TestEnv::new();
    let weaker = "def test_greeting():\n    assert True\n";
    let project = env.project("demo");
    env.write(
        "demo/tests/test_greeting.py",
        "def test_greeting():\n    assert greeting() == 'hello world'\n",
    );
    let mut team = vec![seat(
        "code",
        json!([
            greet("hello world"),
            write_file("tests/test_greeting.py", weaker),
            submit("mended it")
        ]),
    )];
    team.extend(good_team());
    env.script(&rules(team));
    env.execute(&project, &[]).expect(0);
    let task = env.task("T-1");
    assert_eq!(
        (&task["card"]["state"], &task["card"]["standing"]),
        (&json!("review"), &json!("green"))
    );
    assert_eq!(
        note(&task),
        "checks green, but look at tests/test_greeting.py (Code): A test asserts less than it did."
    );
    assert_eq!(task["flags"][0]["kind"], "assertion_deleted");
    let told = &env.prompts("beta")[0];
    assert!(
        told.contains("What NEXUS noticed") && told.contains("test_greeting.py"),
        "{told}"
    );
    let shown = env.run(["task", "show", "T-1"]).stdout;
    assert!(
        shown.contains("look at tests/test_greeting.py (Code, round 1)"),
        "{shown}"
    );
}

#[test]
fn a_beta_that_says_pass_over_red_checks_is_not_believed() {
    let env = TestEnv::new();
    let mut team = vec![seat(
        "code",
        json!([write_file("greeting.txt", "wrong\n"), submit("mended it")]),
    )];
    team.extend(good_team());
    env.script(&rules(team));
    let project = env.project("demo");
    // Red now, and green before: so the change broke it.
    env.write("demo/greeting.txt", "hello world\n");
    env.execute(&project, &[]);
    let task = env.task("T-1");
    assert_eq!(task["card"]["state"], "review", "{task:#}");
    assert_eq!(task["card"]["standing"], "broken_by_us");
    assert_eq!(
        note(&task),
        "Beta says pass, but not so: checks red, broken by this change"
    );
    assert_eq!(task["round"], 4, "it went back three times");
    let accepted = env.run(["task", "accept", "T-1"]);
    assert_eq!(accepted.code, 3, "{accepted:?}");
}

#[test]
fn an_aria_that_says_nothing_is_stopped_tried_again_and_given_up_with_the_reason() {
    let mut env = TestEnv::new();
    env.set("NEXUS_SILENCE_LIMIT", "1");
    let mut team = vec![seat(
        "aria",
        json!([{"wait_for": env.root().join("never")}]),
    )];
    team.extend(good_team());
    env.script(&rules(team));
    let project = env.project("demo");
    let running = env.start_execute(&project, &[]);
    nexus_tests::env::until("it was tried again", || env.prompts("aria").len() >= 2);
    let card = env.task("T-1");
    assert_eq!(card["card"]["state"], "working", "{card:#}");
    running.wait();
    let task = env.task("T-1");
    assert_eq!(task["card"]["state"], "failed", "{task:#}");
    let note = note(&task);
    assert!(
        note.starts_with("Aria failed 4 times at \"Analysis:"),
        "{note}"
    );
    assert!(
        note.contains("said nothing for 1 s and was stopped"),
        "{note}"
    );
    env.assert_nothing_runs();
}
