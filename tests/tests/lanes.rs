//! A plan whose steps work side by side, carried out by the real Claude Code in lanes of their
//! own, against a scripted model service on this machine.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_tests::{env::TestEnv, scripted_api::ScriptedApi};
use serde_json::{Value, json};
use std::fs;

/// How long the model thinks about the work of each step.
const THINKS_MS: u64 = 20_000;

/// Kind, title and what it waits for: eight steps, of which three of Code's and two of Alpha's
/// may be at work at the same time.
const PLAN: [(&str, &str, &[u32]); 8] = [
    ("analysis", "look", &[]),
    ("implementation", "part one", &[1]),
    ("implementation", "part two", &[1]),
    ("implementation", "part three", &[1]),
    ("tests", "test one", &[2]),
    ("tests", "test two", &[3]),
    ("implementation", "join", &[2, 3, 4]),
    ("validation", "judge", &[5, 6, 7]),
];

fn planned() -> Value {
    let step = |(kind, title, after): &(&str, &str, &[u32])| {
        json!({
            "kind": kind, "title": title, "description": format!("do {title}"),
            "requirements": {"input_data": [], "expected_output": [], "constraints": []},
            "after": after, "priority": "normal", "paths": [], "checks": [],
            "estimate_minutes": 1, "estimate_usd": null,
        })
    };
    json!({"steps": PLAN.iter().map(step).collect::<Vec<_>>()})
}

/// What the model does in a step of this title: thinks, writes a file if it has one to write,
/// and hands the step in.
fn step_rules(title: &str, file: Option<&str>, result: Value) -> Vec<Value> {
    let said = format!("Take this step of the task: {title} ");
    let rule = |step: usize, reply: Value| json!({"when": {"api": "messages", "last_user": said, "step": step}, "reply": reply});
    let submit = json!([{"name": "mcp__nexus__submit_result", "input": result}]);
    match file {
        Some(file) => {
            let path = format!("{{{{cwd}}}}/{file}");
            let input = json!({"file_path": path, "content": format!("{title}\n")});
            let write = json!([{"name": "Write", "input": input}]);
            vec![
                rule(1, json!({"tools": write, "delay_ms": THINKS_MS})),
                rule(2, json!({"tools": submit})),
            ]
        }
        None => vec![rule(1, json!({"tools": submit, "delay_ms": THINKS_MS}))],
    }
}

fn team() -> Vec<Value> {
    let done = |summary: &str| json!({"summary": summary});
    let mut rules =
        vec![json!({"when": {"api": "chat"}, "reply": {"text": planned().to_string()}})];
    for (kind, title, _) in PLAN {
        let file = format!("{}.txt", title.replace(' ', "-"));
        let (file, result) = match kind {
            "analysis" => (None, done("it is empty")),
            "validation" => (None, json!({"summary": "all there", "verdict": "pass"})),
            _ => (Some(file), done(title)),
        };
        rules.extend(step_rules(title, file.as_deref(), result));
    }
    rules
}

/// How long the agents were at it: each step's own time, as it is on record.
fn millis(task: &Value) -> Vec<u64> {
    let steps = task["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| step["duration_ms"].as_u64().unwrap())
        .collect()
}

/// The longest chain of steps that wait for each other.
fn critical_path(millis: &[u64]) -> u64 {
    let mut ends = Vec::new();
    for ((_, _, after), took) in PLAN.iter().zip(millis) {
        let begins = after.iter().map(|before| ends[*before as usize - 1]).max();
        ends.push(begins.unwrap_or(0) + took);
    }
    ends.into_iter().max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_steps_in_three_lanes_take_little_more_than_their_critical_path() {
    let script = json!({"rules": team(), "otherwise": {"text": "Done."}});
    let api = ScriptedApi::with(script).await;
    let mut env = TestEnv::with_real_claude();
    env.set("NEXUS_ANTHROPIC_BASE_URL", api.url());
    env.set("NEXUS_OPENAI_BASE_URL", format!("{}/v1", api.url()));
    env.set("ANTHROPIC_API_KEY", "dummy-key");
    env.set("OPENAI_API_KEY", "dummy-key");
    env.write("parts/README.md", "Parts, to be made.\n");
    let project = env.root().join("parts");
    let ended = env.execute(&project, &["--planner", "openai"]).expect(0);
    let task = env.task("T-1");
    assert_eq!(task["card"]["state"], "review", "{}", ended.stdout);

    // Who worked where, and that all of it came together.
    let steps = task["steps"].as_array().unwrap();
    let lanes: Vec<_> = steps.iter().filter(|step| step["lane"] == true).collect();
    assert!(lanes.len() >= 5, "{steps:?}");
    let files = task["files"].as_array().unwrap();
    let files: Vec<_> = files
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "join.txt",
            "part-one.txt",
            "part-three.txt",
            "part-two.txt",
            "test-one.txt",
            "test-two.txt"
        ]
    );
    assert_eq!(task["prime"]["calls"], 1);

    // From the first turn to the review, against what the agents' own time allows.
    let millis = millis(&task);
    let (sum, critical) = (millis.iter().sum::<u64>(), critical_path(&millis));
    let took = time_at_work(&ended.stdout);
    let share = |part: u64| {
        f64::from(u32::try_from(took).unwrap()) / f64::from(u32::try_from(part).unwrap())
    };
    println!(
        "figures: eight steps in three lanes of the real program: {took} ms, critical path {critical} ms ({:.2} times), sum {sum} ms ({:.2} times)",
        share(critical),
        share(sum)
    );
    assert!(share(critical) <= 1.1, "{took} of {critical}");
    env.run(["task", "accept", "T-1"]).expect(0);
    assert_eq!(
        fs::read_to_string(project.join("join.txt")).unwrap(),
        "join\n"
    );
    env.assert_nothing_runs();
}

/// Milliseconds from the first line of a turn to the review.
fn time_at_work(lines: &str) -> u64 {
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let at = |line: &Value| {
        let text = line["at"].as_str()?;
        text.parse::<chrono::DateTime<chrono::Utc>>().ok()
    };
    let lines: Vec<_> = lines.collect();
    let begun = lines
        .iter()
        .find(|line| line["text"] == "Begins")
        .and_then(at);
    let ended = lines
        .iter()
        .find(|line| line["text"] == "Ready for your review")
        .and_then(at);
    let took = ended.unwrap() - begun.unwrap();
    took.num_milliseconds().try_into().unwrap()
}
