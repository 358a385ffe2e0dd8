//! `nexus task plan`: see a task's plan, and plan anew what is not begun yet.

use super::{print_json, task::path};
use crate::{
    exit,
    host::{self, Failure},
    output::{money, role_title, spelled},
    terminal::{clean, say},
};
use clap::Args;
use nexus_agent::Pace;
use nexus_api::view::*;
use std::path::PathBuf;

/// See a task's plan, or set it.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    task: String,
    /// Set the plan from a file, as `--json` prints it; `-` reads it from stdin. Steps that
    /// were begun stay as they are.
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let plan = match &self.set {
            None => host::look().await?.get(&path(&self.task, "plan")).await?,
            Some(file) => set(&self.task, &read(file)?).await?,
        };
        if self.json {
            print_json(&plan);
        } else {
            print_plan(&plan);
        }
        Ok(exit::OK)
    }
}

fn read(file: &PathBuf) -> Result<PlanBody, Failure> {
    let failed = |why: String| {
        let name = file.display();
        Failure::new(
            exit::USAGE,
            format!("failed to read the plan in {name}: {why}"),
        )
    };
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.map_err(|error| failed(error.to_string()))?;
    // What was printed has more in it than what is set.
    let plan: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let body = serde_json::json!({ "version": plan["version"], "steps": plan["steps"] });
    serde_json::from_value(body).map_err(|error| failed(error.to_string()))
}

async fn set(task: &str, plan: &PlanBody) -> Result<PlanView, Failure> {
    let connection = host::connect(Pace::Watch).await?;
    let client = connection.client();
    let set = client.call("PUT", &path(task, "plan"), Some(plan)).await;
    super::execute::close(connection).await;
    Ok(set?)
}

fn print_plan(plan: &PlanView) {
    if plan.steps.is_empty() {
        say("no plan yet");
        return;
    }
    let waits = if plan.waiting {
        "  waits for your yes: nexus approvals list"
    } else {
        ""
    };
    say(&format!(
        "plan {}, {} steps{waits}",
        plan.version,
        plan.steps.len()
    ));
    for step in &plan.steps {
        let who = step.role.map(role_title).unwrap_or_default();
        let after: Vec<_> = step.after.iter().map(ToString::to_string).collect();
        let after = match after.as_slice() {
            [] => String::new(),
            after => format!("  after {}", after.join(", ")),
        };
        let begun = if step.begun { "  (begun)" } else { "" };
        say(&format!(
            "  {:>2}. {who:<5} {}{after}{begun}",
            step.id,
            clean(&step.title)
        ));
        if !step.paths.is_empty() {
            say(&format!("      touches {}", clean(&step.paths.join(", "))));
        }
    }
    if let Some(estimate) = &plan.estimate {
        say(&format!("  thought to take {}", words(estimate)));
    }
    match &plan.usual {
        Some(usual) => say(&format!(
            "  usually takes {}, by {} finished steps",
            words(usual),
            usual.samples
        )),
        None => say("  what it usually takes is not known yet"),
    }
}

fn words(estimate: &EstimateView) -> String {
    let minutes = |seconds: u64| format!("{} min", seconds.div_ceil(60));
    format!(
        "{} of work, {} from end to end, {}",
        minutes(estimate.seconds),
        minutes(estimate.critical_seconds),
        money(estimate.cost_usd)
    )
}

/// What was decided in a task, noticed in its changes, and used by NEXUS Prime.
pub(crate) fn print_course(task: &TaskView) {
    for flag in &task.flags {
        let line = match flag.line.as_str() {
            "" => String::new(),
            line => format!(": {}", clean(line)),
        };
        say(&format!(
            "  look at {} ({}, round {}): {}{line}",
            clean(&flag.path),
            role_title(flag.role),
            flag.round,
            flag.text
        ));
    }
    for decision in task.decisions.iter().filter(|made| made.ruling != "accept") {
        say(&format!(
            "  step {} {} by {}: {}",
            decision.step,
            decision.ruling,
            spelled(decision.by),
            clean(&decision.reason)
        ));
    }
    if task.prime.calls > 0 {
        say(&format!(
            "  NEXUS Prime: {} tokens in {} calls, {}; the rules: 0 tokens",
            task.prime.tokens,
            task.prime.calls,
            money(task.prime.cost_usd)
        ));
    }
}
