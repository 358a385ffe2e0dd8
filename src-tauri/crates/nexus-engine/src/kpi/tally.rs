//! What is counted while the log is read, and the figures that come of it.

use super::{Kpi, KpiShare, Target, coverage};
use nexus_core::{
    CheckRun, CheckTime, Event, ProcessEnd, ProjectId, Role, RoundReason, StepId, StepKind, TaskId,
    Team, Timestamp, TurnId, TurnOutcome,
};
use nexus_store::StoredEvent;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many turns of an agent its response time is taken from: the latest.
const LATEST: usize = 10_000;

/// What is counted over all tasks.
#[derive(Default)]
pub(super) struct Tally {
    tasks: BTreeMap<TaskId, Course>,
    responses: BTreeMap<Role, Responses>,
    up: Uptime,
    hand_overs: u64,
    returns: u64,
    found_by_team: u64,
    found_by_person: u64,
    turns: u64,
    turns_lost: u64,
    /// The latest that a check of each project reported.
    coverage: BTreeMap<ProjectId, (String, f64)>,
}

/// Where one task is.
struct Course {
    project: ProjectId,
    project_name: String,
    ending: Ending,
    kinds: BTreeMap<StepId, (Role, StepKind)>,
    turns: BTreeMap<TurnId, Open>,
    /// Processes that run, since when.
    processes: BTreeMap<Role, Timestamp>,
    /// Seats whose process was lost while the task was under way, since when.
    down: BTreeMap<Role, Timestamp>,
    /// The moment of its latest fact.
    seen: Timestamp,
}

/// How a task stands at the end of the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It may still go either way.
    Open,
    UnderWay,
    Accepted,
    Failed,
    /// By the person, who may also have discarded it.
    Cancelled,
}

/// A turn that has not ended.
struct Open {
    role: Role,
    started: Timestamp,
    first_word: Option<Timestamp>,
    /// It asked the person something, so its time is not the agent's.
    asked: bool,
}

/// How long an agent took, in milliseconds, for each of its latest turns.
#[derive(Default)]
struct Responses {
    whole: VecDeque<u64>,
    to_first_word: VecDeque<u64>,
}

/// How long agents' processes were there, and were not when they should have been.
#[derive(Default)]
struct Uptime {
    processes: u64,
    up_millis: u64,
    down_millis: u64,
}

impl Tally {
    /// Takes one event of the log into account.
    pub(super) fn see(&mut self, stored: &StoredEvent) {
        let Ok(id) = stored.stream.parse::<TaskId>() else {
            return;
        };
        // Messages and results are large, and nothing is counted of them.
        if matches!(stored.kind.as_str(), "message_posted" | "result_submitted") {
            return;
        }
        if let Ok(event) = serde_json::from_str(&stored.body) {
            self.take(id, &event, stored.at);
        }
    }

    fn take(&mut self, id: TaskId, event: &Event, at: Timestamp) {
        if let Event::TaskCreated { spec } = event {
            if spec.team != Team::Practice {
                let course = Course::new(spec.project, spec.project_name.clone(), at);
                self.tasks.insert(id, course);
            }
            return;
        }
        let Some(mut course) = self.tasks.remove(&id) else {
            return;
        };
        self.count(&mut course, event, at);
        course.seen = at;
        self.tasks.insert(id, course);
    }

    fn count(&mut self, course: &mut Course, event: &Event, at: Timestamp) {
        match event {
            Event::PlanMade { plan } => {
                let steps = plan.steps().iter();
                course.kinds = steps
                    .map(|step| (step.id, (step.role, step.kind)))
                    .collect();
            }
            Event::StepStarted { step, turn, .. } => course.begin(*step, *turn, at),
            Event::TurnStreaming { turn } => {
                if let Some(open) = course.turns.get_mut(turn) {
                    open.first_word.get_or_insert(at);
                }
            }
            Event::ApprovalRequested { approval } => {
                let turn = approval.turn.and_then(|turn| course.turns.get_mut(&turn));
                if let Some(open) = turn {
                    open.asked = true;
                }
            }
            Event::TurnEnded { report } => {
                if let Some(open) = course.turns.remove(&report.turn) {
                    self.turn_ended(&open, &report.outcome, at);
                }
            }
            Event::StepEnded { step, .. } => {
                let kind = course.kinds.get(step).map(|(_, kind)| *kind);
                self.hand_overs += u64::from(kind.is_some_and(|it| it != StepKind::Validation));
            }
            Event::RoundBegan { why, .. } => {
                course.set(Ending::UnderWay, at, &mut self.up);
                match why {
                    RoundReason::Findings { findings } => {
                        self.returns += 1;
                        self.found_by_team += findings.len().max(1) as u64;
                    }
                    RoundReason::Person { .. } => self.found_by_person += 1,
                }
            }
            Event::ChecksRan { run, .. } => self.checked(course, run),
            Event::ProcessStarted { role, .. } => course.process_started(*role, at, &mut self.up),
            Event::ProcessEnded { role, end, .. } => {
                course.process_ended(*role, *end, at, &mut self.up);
            }
            Event::TaskStarted => course.set(Ending::UnderWay, at, &mut self.up),
            Event::Accepted => course.set(Ending::Accepted, at, &mut self.up),
            Event::TaskFailed { .. } => course.set(Ending::Failed, at, &mut self.up),
            Event::CancelRequested | Event::Discarded => {
                course.set(Ending::Cancelled, at, &mut self.up);
            }
            Event::TaskPaused { .. }
            | Event::TaskResumed
            | Event::ReviewReached { .. }
            | Event::Restored => course.set(Ending::Open, at, &mut self.up),
            Event::TaskCreated { .. }
            | Event::TaskQueued
            | Event::PlannerFailed { .. }
            | Event::PlanRevised { .. }
            | Event::PrimeAsked { .. }
            | Event::FileTouched { .. }
            | Event::WorkAudited { .. }
            | Event::TurnCalledOff { .. }
            | Event::MessagesRead { .. }
            | Event::StepHandedIn { .. }
            | Event::Decided { .. }
            | Event::MergePlanned { .. }
            | Event::Merged { .. }
            | Event::WorkspacePrepared { .. }
            | Event::SetupRan { .. }
            | Event::BaseTaken { .. }
            | Event::WorkspaceReset { .. }
            | Event::ProcessStarting { .. }
            | Event::WorkKept { .. }
            | Event::WentOutward { .. }
            | Event::MessagePosted { .. }
            | Event::ProgressReported { .. }
            | Event::AttemptVerified { .. }
            | Event::ResultSubmitted { .. }
            | Event::ApprovalAnswered { .. }
            | Event::ApprovalDetached { .. }
            | Event::ApprovalReattached { .. }
            | Event::GrantRevoked { .. }
            | Event::ApprovalWithdrawn { .. }
            | Event::StepDelayed { .. }
            | Event::SessionReplaced { .. }
            | Event::Held { .. }
            | Event::HoldLifted
            | Event::BudgetChanged { .. }
            | Event::LimitsChanged { .. }
            | Event::PriorityChanged { .. }
            | Event::ContextShared { .. }
            | Event::Unchained
            | Event::AcceptBegan { .. }
            | Event::AcceptPlanned { .. }
            | Event::AcceptConflicted { .. }
            | Event::AcceptFailed { .. }
            | Event::WorkspaceDropped { .. }
            | Event::WorkspaceRestored { .. } => {}
        }
    }

    fn turn_ended(&mut self, open: &Open, outcome: &TurnOutcome, at: Timestamp) {
        self.turns += 1;
        self.turns_lost += u64::from(*outcome == TurnOutcome::OutputLost);
        if open.asked || !matches!(outcome, TurnOutcome::Completed { .. }) {
            return;
        }
        let responses = self.responses.entry(open.role).or_default();
        push(&mut responses.whole, millis(at, open.started));
        if let Some(first) = open.first_word {
            push(&mut responses.to_first_word, millis(first, open.started));
        }
    }

    fn checked(&mut self, course: &Course, run: &CheckRun) {
        if !matches!(run.time, CheckTime::After { .. }) {
            return;
        }
        let mut outputs = run.evidence.iter().map(|evidence| &evidence.output_tail);
        if let Some(share) = outputs.find_map(|output| coverage::reported(output)) {
            let latest = (course.project_name.clone(), share);
            self.coverage.insert(course.project, latest);
        }
    }
}

impl Course {
    fn new(project: ProjectId, project_name: String, at: Timestamp) -> Self {
        Self {
            project,
            project_name,
            ending: Ending::Open,
            kinds: BTreeMap::new(),
            turns: BTreeMap::new(),
            processes: BTreeMap::new(),
            down: BTreeMap::new(),
            seen: at,
        }
    }

    fn begin(&mut self, step: StepId, turn: TurnId, at: Timestamp) {
        let Some((role, _)) = self.kinds.get(&step) else {
            return;
        };
        let open = Open {
            role: *role,
            started: at,
            first_word: None,
            asked: false,
        };
        self.turns.insert(turn, open);
    }

    /// From now on it stands so. A seat is missed only while its task is under way.
    fn set(&mut self, ending: Ending, at: Timestamp, up: &mut Uptime) {
        self.ending = ending;
        if ending != Ending::UnderWay {
            for (_, since) in std::mem::take(&mut self.down) {
                up.down_millis += millis(at, since);
            }
        }
    }

    fn process_started(&mut self, role: Role, at: Timestamp, up: &mut Uptime) {
        up.processes += 1;
        if let Some(since) = self.down.remove(&role) {
            up.down_millis += millis(at, since);
        }
        self.processes.insert(role, at);
    }

    fn process_ended(&mut self, role: Role, end: ProcessEnd, at: Timestamp, up: &mut Uptime) {
        // What is swept had ended when the engine did, of which the task's last fact is the
        // latest sign. From then on nobody was there to miss it, until now.
        let last_seen = if end == ProcessEnd::Swept {
            self.seen
        } else {
            at
        };
        if let Some(since) = self.processes.remove(&role) {
            up.up_millis += millis(last_seen, since);
        }
        if !matches!(end, ProcessEnd::Closed | ProcessEnd::NotStarted)
            && self.ending == Ending::UnderWay
        {
            self.down.insert(role, at);
        }
    }
}

impl Tally {
    /// The figures, in the order of the concept.
    pub(super) fn figures(&self) -> Vec<Kpi> {
        vec![
            self.completion(),
            self.response_time(),
            self.uptime(),
            self.collaboration(),
            unmeasured(
                "code_quality_score",
                "Code quality score",
                "a score from 0 to 10 by a measure of the project's own",
                Target::Above(8.5),
                "",
                "no check reports one, and an agent's opinion is not a measurement",
            ),
            self.test_coverage(),
            self.bug_detection(),
            unmeasured(
                "documentation_completeness",
                "Documentation completeness",
                "documented ÷ all public items, as a check reports it",
                Target::Above(85.0),
                "%",
                "no check reports it",
            ),
            unmeasured(
                "understanding_accuracy",
                "Task understanding accuracy",
                "tasks understood as they were meant ÷ tasks, as the person says",
                Target::Above(92.0),
                "%",
                "nobody was asked",
            ),
            unmeasured(
                "user_satisfaction",
                "User satisfaction",
                "mean of the ratings from 1 to 5 that the person gave",
                Target::Above(4.5),
                "",
                "nobody was asked",
            ),
            self.reliability(),
        ]
    }

    fn completion(&self) -> Kpi {
        let count = |ending| {
            let so = self.tasks.values().filter(|course| course.ending == ending);
            so.count() as u64
        };
        let accepted = count(Ending::Accepted);
        let (failed, cancelled) = (count(Ending::Failed), count(Ending::Cancelled));
        share(
            Shape {
                code: "task_completion_rate",
                title: "Task completion rate",
                formula: "accepted ÷ (accepted + failed + cancelled or discarded by the person), by how each task stands now",
                target: Target::Above(95.0),
                missing: "no task has come to its end",
            },
            accepted,
            accepted + failed + cancelled,
            format!("{accepted} accepted, {failed} failed, {cancelled} cancelled"),
        )
    }

    fn response_time(&self) -> Kpi {
        let all = || {
            self.responses
                .values()
                .flat_map(|it| it.whole.iter().copied())
        };
        let sample = all().count() as u64;
        let roles = self.responses.iter();
        let parts = roles.flat_map(|(role, responses)| responses.parts(*role));
        Kpi {
            code: "response_time",
            title: "Response time per agent",
            formula: "mean time from the start of a step's turn to its end, over the latest 10,000 turns of each agent that finished and asked the person nothing",
            target: Target::Below(30.0),
            unit: "s",
            value: mean(all()),
            sample,
            note: if sample == 0 {
                "no turn has finished".to_owned()
            } else {
                format!("mean of {sample} turns")
            },
            parts: parts.collect(),
        }
    }

    fn uptime(&self) -> Kpi {
        let mut up = self.up.up_millis;
        let mut down = self.up.down_millis;
        for course in self.tasks.values() {
            let to_now = |since: &Timestamp| millis(course.seen, *since);
            up += course.processes.values().map(to_now).sum::<u64>();
            down += course.down.values().map(to_now).sum::<u64>();
        }
        let measured = self.up.processes > 0 && up + down > 0;
        Kpi {
            code: "session_uptime",
            title: "Session uptime",
            formula: "up ÷ (up + down): up is the time agents' processes ran; down is the time from an end nobody asked for, while the task was under way, to the seat's next process or the task's rest",
            target: Target::Above(99.9),
            unit: "%",
            value: measured.then(|| per_cent(up, up + down)),
            sample: self.up.processes,
            note: if measured {
                format!(
                    "{} processes ran {:.1} s and were missed {:.1} s",
                    self.up.processes,
                    seconds(up),
                    seconds(down)
                )
            } else {
                "no agent's process has run".to_owned()
            },
            parts: Vec::new(),
        }
    }

    fn collaboration(&self) -> Kpi {
        // Each return sends one hand-over back, and none is sent back twice.
        let used = self.hand_overs.saturating_sub(self.returns);
        share(
            Shape {
                code: "collaboration_efficiency",
                title: "Agent collaboration efficiency",
                formula: "hand-overs between agents that findings did not send back to Code ÷ all of them",
                target: Target::Above(90.0),
                missing: "no agent has handed anything over",
            },
            used,
            self.hand_overs,
            format!(
                "{} hand-overs, {} returned to Code",
                self.hand_overs, self.returns
            ),
        )
    }

    fn test_coverage(&self) -> Kpi {
        let shares: BTreeSet<_> = self.coverage.keys().collect();
        let sample = shares.len() as u64;
        let sum: f64 = self.coverage.values().map(|(_, share)| share).sum();
        let parts = self.coverage.values().map(|(name, share)| KpiShare {
            title: name.clone(),
            value: *share,
            unit: "%",
            sample: 1,
        });
        Kpi {
            code: "test_coverage",
            title: "Test coverage",
            formula: "covered ÷ all lines, as the latest check that says so reported it, averaged over the projects",
            target: Target::Above(90.0),
            unit: "%",
            value: (sample > 0).then(|| sum / sample as f64),
            sample,
            note: if sample == 0 {
                "no check's output reports it".to_owned()
            } else {
                format!("reported by the checks of {sample} projects")
            },
            parts: parts.collect(),
        }
    }

    fn bug_detection(&self) -> Kpi {
        let (team, person) = (self.found_by_team, self.found_by_person);
        share(
            Shape {
                code: "bug_detection_rate",
                title: "Bug detection rate",
                formula: "defects that the checks or Beta found before the accept ÷ those and the person's requests for changes",
                target: Target::Above(95.0),
                missing: "nobody has found a defect",
            },
            team,
            team + person,
            format!("{team} found by the checks and Beta, {person} by the person"),
        )
    }

    fn reliability(&self) -> Kpi {
        share(
            Shape {
                code: "system_reliability",
                title: "System reliability",
                formula: "turns whose end NEXUS saw ÷ all turns that are over; the others were lost because NEXUS itself ended",
                target: Target::Above(99.5),
                missing: "no turn is over",
            },
            self.turns - self.turns_lost,
            self.turns,
            format!("{} of {} turns lost", self.turns_lost, self.turns),
        )
    }
}

impl Responses {
    fn parts(&self, role: Role) -> Vec<KpiShare> {
        let mut sorted: Vec<_> = self.whole.iter().copied().collect();
        sorted.sort_unstable();
        let lines = [
            ("mean", mean(self.whole.iter().copied()), self.whole.len()),
            ("median", quantile(&sorted, 50), sorted.len()),
            ("95 of 100 within", quantile(&sorted, 95), sorted.len()),
            (
                "mean to its first word",
                mean(self.to_first_word.iter().copied()),
                self.to_first_word.len(),
            ),
        ];
        let parts = lines.into_iter().filter_map(|(what, value, sample)| {
            Some(KpiShare {
                title: format!("{role}: {what}"),
                value: value?,
                unit: "s",
                sample: sample as u64,
            })
        });
        parts.collect()
    }
}

/// What is the same of a figure whatever was counted.
struct Shape {
    code: &'static str,
    title: &'static str,
    formula: &'static str,
    target: Target,
    missing: &'static str,
}

/// A share in per cent, without a value when there is nothing to share.
fn share(shape: Shape, part: u64, whole: u64, counted: String) -> Kpi {
    Kpi {
        code: shape.code,
        title: shape.title,
        formula: shape.formula,
        target: shape.target,
        unit: "%",
        value: (whole > 0).then(|| per_cent(part, whole)),
        sample: whole,
        note: if whole > 0 {
            counted
        } else {
            shape.missing.to_owned()
        },
        parts: Vec::new(),
    }
}

fn unmeasured(
    code: &'static str,
    title: &'static str,
    formula: &'static str,
    target: Target,
    unit: &'static str,
    missing: &str,
) -> Kpi {
    Kpi {
        code,
        title,
        formula,
        target,
        unit,
        value: None,
        sample: 0,
        note: missing.to_owned(),
        parts: Vec::new(),
    }
}

fn push(latest: &mut VecDeque<u64>, value: u64) {
    if latest.len() == LATEST {
        latest.pop_front();
    }
    latest.push_back(value);
}

fn millis(at: Timestamp, since: Timestamp) -> u64 {
    u64::try_from(at.since(since).as_millis()).unwrap_or(u64::MAX)
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

fn per_cent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

fn mean(millis: impl Iterator<Item = u64>) -> Option<f64> {
    let (sum, count) = millis.fold((0_u64, 0_u64), |(sum, count), next| (sum + next, count + 1));
    (count > 0).then(|| seconds(sum) / count as f64)
}

/// The smallest value that `per_hundred` of a hundred do not exceed.
fn quantile(sorted: &[u64], per_hundred: usize) -> Option<f64> {
    let rank = (sorted.len() * per_hundred).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied().map(seconds)
}
