//! The planners: one against a small service on this machine, the other against a backend
//! without a process, which both answer as they are told.

mod claude;
mod failures;
mod openai;
mod service;

use super::*;
use nexus_core::{Plan, StepId};
use serde_json::{Value, json};
use std::{fs, path::Path};

const KEY: &str = "dummy-key";

/// A folder with a file to name, one to quote, and one to say nothing of.
fn project() -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("main.rs", "the content"),
        ("README.md", "It adds sums.\nAPI_KEY=hunter2\n"),
        (".env", "PASSWORD=x"),
    ] {
        fs::write(project.path().join(name), text).unwrap();
    }
    project
}

fn brief(folder: &Path) -> PlanBrief {
    PlanBrief {
        title: "Mend it".to_owned(),
        wish: "Please mend the sums.".to_owned(),
        folder: folder.to_owned(),
        seats: 3,
        ..PlanBrief::default()
    }
}

/// The implementation of the standard plan was handed in.
fn case(workspace: Option<PathBuf>) -> Case {
    Case {
        wish: "Please mend the sums.".to_owned(),
        workspace,
        plan: Plan::standard("Mend it").steps().to_vec(),
        done: vec![StepId(1)],
        step: StepId(2),
        result: StepResult {
            summary: "It adds cents now.".to_owned(),
            ..StepResult::default()
        },
        doubts: vec!["No check covers it.".to_owned()],
        feedback_left: 1,
    }
}

fn step(kind: &str, after: &[i32]) -> Value {
    json!({
        "kind": kind, "title": format!("Do the\n {kind}"), "description": "größer 🦀",
        "requirements": { "input_data": [], "expected_output": [], "constraints": [] },
        "after": after, "priority": "normal", "paths": [], "checks": [],
        "estimate_minutes": 5, "estimate_usd": null,
    })
}

/// A plan that can be used.
fn good() -> String {
    let steps = [
        step("analysis", &[]),
        step("implementation", &[1]),
        step("validation", &[1, 2]),
    ];
    json!({ "steps": steps }).to_string()
}

/// A plan that cannot, for two reasons.
fn bad() -> String {
    json!({ "steps": [step("analysis", &[9]), step("tests", &[8])] }).to_string()
}

fn ruling(ruling: &str, steps: &Value) -> String {
    let said = json!({
        "ruling": ruling, "reason": "For\na reason.", "feedback": "Use cents.",
        "question": "Which tax?", "steps": steps,
    });
    said.to_string()
}

/// A step that says its own number.
fn numbered(id: u32, kind: &str, after: &[i32]) -> Value {
    let mut step = step(kind, after);
    step["id"] = json!(id);
    step
}

/// What was heard of a model's words.
fn heard(mut watched: mpsc::Receiver<String>) -> String {
    let mut words = String::new();
    while let Ok(piece) = watched.try_recv() {
        words.push_str(&piece);
    }
    words
}
