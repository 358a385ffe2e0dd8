//! What the care of NEXUS shows: what the doctor found, what is in the trash, and how well
//! NEXUS does.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What `doctor` found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DoctorView {
    /// Everything a Claude task needs is there.
    pub ready: bool,
    pub checks: Vec<DoctorCheck>,
    /// Where what NEXUS has on record and what is there differ.
    pub differences: Vec<DifferenceView>,
    /// Another NEXUS runs with this data folder. Then the doctor only looks: repairing waits
    /// until it is closed.
    pub owned: bool,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DoctorCheck {
    /// Stable name: `git`, `claude`, `login`, `keychain`, `data_folder`…
    pub code: String,
    pub title: String,
    pub state: DoctorState,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when all is well.
    pub fix: String,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DoctorState {
    Ok,
    /// Works, with something missing.
    Warning,
    Broken,
}

/// A difference between what NEXUS has on record and what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DifferenceView {
    /// Stable name. Each has a section in `docs/doctor.md`.
    pub code: String,
    pub severity: DifferenceSeverity,
    /// The thing: a path, a task's short name, a session's id, a process number.
    pub what: String,
    /// What was found there.
    pub found: String,
    /// What it means.
    pub explanation: String,
    /// What `nexus doctor --fix` does about it. `null` when that is for a person to do; the
    /// explanation then says what.
    pub fix: Option<String>,
    /// It was repaired just now.
    pub fixed: bool,
}

/// How much a difference matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceSeverity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// Something is not as it should be, and nothing is lost.
    Warning,
    /// NEXUS cannot go on, or work may be lost.
    Error,
}

/// Something that was put aside and can be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrashView {
    pub id: String,
    /// When it was put aside.
    pub at: DateTime<Utc>,
    /// The code of the difference for which it was.
    pub code: String,
    /// Where it was.
    pub from: String,
    /// Where it is.
    pub path: String,
    /// Why it was put aside.
    pub why: String,
}

/// A key figure, computed from the log and from nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KpiView {
    /// Stable name: `task_completion_rate`, `response_time`…
    pub code: String,
    pub title: String,
    /// How it is computed, in words.
    pub formula: String,
    /// What it should be, such as `> 95 %`.
    pub target: String,
    /// `null` when it was not measured yet. It is never estimated.
    pub value: Option<f64>,
    /// `%`, `s` or another unit of `value`.
    pub unit: String,
    /// Whether the target is met; `null` when there is no value.
    pub met: Option<bool>,
    /// How many cases `value` is computed from.
    pub sample: u64,
    /// The value in words, or that it was not measured yet and what is missing.
    pub text: String,
    /// What it is made of, such as a line for each agent.
    pub parts: Vec<KpiPart>,
}

/// A part of a key figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KpiPart {
    pub title: String,
    pub value: f64,
    pub unit: String,
    pub sample: u64,
}
