//! The promise, seen from the command line: what was interrupted is carried on, with the four
//! facts of every attempt, and everything that was allowed can be listed and taken back.

use nexus_tests::env::{Ended, TestEnv};
use serde_json::Value;
use std::fs;

/// Something that stays the same for every line about one attempt.
fn facts(line: &Value) -> Option<[String; 4]> {
    let fact = |name: &str| Some(line[name].as_str()?.to_owned());
    Some([
        fact("process")?,
        fact("turn")?,
        fact("claim")?,
        fact("verified")?,
    ])
}

/// The facts told last about each step.
fn last_facts(ended: &Ended, step: u64) -> [String; 4] {
    let lines = ended.lines();
    let mut about = lines.iter().rev().filter(|line| line["step"] == step);
    let told = about.find_map(facts);
    told.unwrap_or_else(|| panic!("nothing is told of step {step}: {ended:?}"))
}

#[test]
fn what_a_kill_interrupted_is_brought_to_its_end_by_one_command() {
    let env = TestEnv::new();
    let project = env.project("shop");
    let go = env.hold_at("code");
    let running = env.start_execute(&project, &[]);
    env.await_prompt("code");
    running.signal("KILL");
    let killed = running.wait();
    assert!(
        !killed.lines().iter().any(|line| line["type"] == "result"),
        "{killed:?}"
    );
    env.assert_nothing_runs();
    fs::write(go, "").unwrap();

    let doctor = env.run(["doctor", "--json"]);
    let found: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let codes: Vec<_> = found["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["code"].as_str().unwrap().to_owned())
        .collect();
    assert!(codes.contains(&"task_interrupted".to_owned()), "{codes:?}");

    let ended = env.run(["resume", "--output", "ndjson"]).expect(0);
    let result = ended.result();
    assert_eq!(
        (&result["name"], &result["state"]),
        (&"T-1".into(), &"review".into())
    );
    let code = &result["steps"][1]["history"];
    assert_eq!(
        (&code[0]["process"], &code[0]["turn"], &code[0]["verified"]),
        (
            &"swept".into(),
            &"output_lost".into(),
            &"not_reached".into()
        )
    );
    assert_eq!(
        (&code[1]["attempt"], &code[1]["turn"], &code[1]["verified"]),
        (&1.into(), &"completed".into(), &"green".into()),
        "an interruption uses no attempt up"
    );
    let [_, turn, claim, verified] = last_facts(&ended, 2);
    assert_eq!([turn, claim, verified], ["completed", "done", "green"]);
    env.assert_nothing_runs();

    let again = env.run(["resume", "--output", "ndjson"]).expect(0);
    assert_eq!(
        again.result()["task_id"],
        Value::Null,
        "nothing is left to do"
    );
    let mended: Value =
        serde_json::from_str(&env.run(["doctor", "--json", "--fix"]).stdout).unwrap();
    let left = mended["differences"].as_array().unwrap();
    assert!(
        left.iter()
            .all(|found| found["fixed"] == true || found["fix"].is_null()),
        "{left:?}"
    );
}

#[test]
fn orders_may_be_given_twice() {
    let env = TestEnv::new();
    let project = env.project("shop");
    let go = env.hold_at("code");
    let running = env.start_execute(&project, &[]);
    env.await_prompt("code");
    env.run(["task", "pause", "T-1"]).expect(0);
    running.wait().expect(4);
    env.run(["task", "pause", "T-1"]).expect(0);
    env.run(["stop"]).expect(0);
    env.run(["task", "cancel", "T-1"]).expect(0);
    env.run(["task", "cancel", "T-1"]).expect(0);
    assert_eq!(env.tasks()[0]["state"], "cancelled");
    fs::write(go, "").unwrap();
    env.assert_nothing_runs();
}

#[test]
fn a_cap_on_turns_pauses_and_raising_it_goes_on() {
    let env = TestEnv::new();
    let project = env.project("shop");
    let ended = env.execute(&project, &["--max-turns", "2"]).expect(5);
    let result = ended.result();
    assert_eq!(
        (&result["state"], &result["paused"]),
        (&"paused".into(), &"turns".into())
    );
    env.run(["resume", "T-1"]).expect(9);
    env.run(["task", "limits", "T-1", "--max-turns", "9"])
        .expect(0);
    let resumed = env.run(["resume", "T-1", "--output", "ndjson"]).expect(0);
    assert_eq!(resumed.result()["state"], "review");
    let today = env.run(["limits", "--json"]).expect(0);
    let today: Value = serde_json::from_str(&today.stdout).unwrap();
    assert_eq!(today["spent"]["turns"], 4);
}
