//! A task's past and present as lines: recorded facts, and what running turns show.

use super::{
    card, facts, holds, message, one_line, projects, question_text, role, time, today, verdict_name,
};
use crate::view::{ChangeView, RoleView, TimelineItem, TimelineKind};
use nexus_core::{
    Author, CheckTime, Event, Evidence, Message, Party, PrimePurpose, ProcessEnd, Recipient, Role,
    Ruling, StepId, StepResult, Task, Timestamp, TurnId, TurnUpdate, Verdict,
};
use nexus_engine::{Change, TimelineEntry};

/// A change as the wire has it.
pub fn change(change: &Change) -> ChangeView {
    match change {
        Change::Fact {
            seq,
            at,
            task,
            event,
        } => ChangeView::Event {
            seq: *seq,
            task_id: task.id.uuid(),
            item: fact(*seq, *at, event, task),
            card: Box::new(card(task)),
        },
        Change::Thinking {
            seq, task, text, ..
        } => ChangeView::Thinking {
            seq: *seq,
            task_id: task.id.uuid(),
            text: text.clone(),
        },
        Change::Floor { seq, floor } => ChangeView::Projects {
            seq: *seq,
            projects: projects(floor),
            holds: holds(floor),
            today: today(floor),
        },
        Change::Live { seq, at, live } => {
            let id = match live.line {
                Some(line) => format!("t{}.{line}", live.turn),
                None => format!("t{}.live", live.turn),
            };
            let item = shown(id, *at, live.turn, &live.update, &live.task);
            ChangeView::Live {
                seq: *seq,
                task_id: live.task.id.uuid(),
                items: item.into_iter().collect(),
            }
        }
    }
}

/// A task's past as lines.
pub fn timeline(task: &Task, entries: &[TimelineEntry]) -> Vec<TimelineItem> {
    let line = |entry: &TimelineEntry| match entry {
        TimelineEntry::Fact { seq, at, event } => Some(fact(*seq, *at, event, task)),
        TimelineEntry::Shown {
            turn,
            line,
            at,
            update,
        } => shown(format!("t{turn}.{line}"), *at, *turn, update, task),
    };
    entries.iter().filter_map(line).collect()
}

fn fact(seq: u64, at: Timestamp, event: &Event, task: &Task) -> TimelineItem {
    let mut item = TimelineItem {
        id: format!("e{seq}"),
        at: time(at),
        role: None,
        step: None,
        turn: None,
        kind: TimelineKind::Fact,
        text: String::new(),
        detail: None,
        ok: None,
        call: None,
        attempt: None,
        facts: None,
    };
    match event {
        Event::TaskCreated { .. } => item.text = "Task created".into(),
        Event::TaskQueued => item.text = "Waits for a free place".into(),
        Event::TaskStarted => item.text = "Started".into(),
        Event::PlanMade { plan } => {
            item.role = Some(RoleView::Prime);
            item.text = format!("Plan made: {} steps", plan.steps().len());
            let titles: Vec<_> = plan
                .steps()
                .iter()
                .map(|s| format!("{}. {}", s.id, s.title))
                .collect();
            item.detail = Some(titles.join("\n"));
        }
        Event::PlannerFailed { reason } => {
            item.role = Some(RoleView::Prime);
            item.ok = Some(false);
            item.text =
                format!("The planner could not plan ({reason}); the standard pipeline is used");
        }
        Event::PlanRevised {
            version,
            plan,
            by,
            why,
        } => {
            item.role = (*by == Author::Prime).then_some(RoleView::Prime);
            let steps = plan.steps().len();
            item.text = format!("Plan {version} by {}: {steps} steps ({why})", author(*by));
        }
        Event::PrimeAsked {
            purpose,
            model,
            calls,
            usage,
        } => {
            item.role = Some(RoleView::Prime);
            let what = match purpose {
                PrimePurpose::Plan => "for a plan",
                PrimePurpose::Judgement => "about a step",
            };
            let tokens = usage.tokens();
            item.text = format!("Asked {model} {what}: {tokens} tokens in {calls} calls");
        }
        Event::FileTouched { turn, path } => {
            item.turn = Some(turn.0);
            item.text = format!("Writes {path}");
        }
        Event::WorkAudited {
            turn,
            changes,
            flags,
        } => {
            item.turn = Some(turn.0);
            item.kind = TimelineKind::Check;
            item.ok = (!flags.is_empty()).then_some(false);
            item.text = match flags.len() {
                0 => format!("Changed {} files; nothing stands out", changes.len()),
                n => format!("Changed {} files; {n} things to look at", changes.len()),
            };
            let lines: Vec<_> = flags
                .iter()
                .map(|flag| format!("{}: {} {}", flag.path, flag.kind.describe(), flag.line))
                .collect();
            item.detail = (!lines.is_empty()).then(|| lines.join("\n"));
        }
        Event::TurnCalledOff { turn } => {
            item.turn = Some(turn.0);
            item.text = "Interrupted, to be told something".into();
        }
        Event::MessagesRead { turn, .. } => {
            item.turn = Some(turn.0);
            item.text = "Has read its messages".into();
        }
        Event::StepHandedIn { step, .. } => {
            item.step = Some(step.0);
            item.text = "Handed in".into();
        }
        Event::Decided {
            step,
            turn,
            ruling,
            reason,
            by,
        } => {
            item.step = Some(step.0);
            item.turn = Some(turn.0);
            item.ok = Some(!matches!(ruling, Ruling::Retry { .. }));
            let what = match ruling {
                Ruling::Accept => "Accepted",
                Ruling::Retry { .. } => "Sent back",
                Ruling::Replan { .. } => "Accepted, and the rest is planned anew",
                Ruling::Ask { .. } => "Put to you",
            };
            item.text = format!("{what} by {}: {}", author(*by), one_line(reason));
            item.detail = (reason.lines().count() > 1).then(|| reason.clone());
        }
        Event::MergePlanned {
            step, conflicts, ..
        } => {
            item.step = Some(step.0);
            item.ok = Some(conflicts.is_empty());
            item.text = if conflicts.is_empty() {
                "Goes together with the work of the others".into()
            } else {
                format!(
                    "Conflicts with the work of others in {} files",
                    conflicts.len()
                )
            };
            let files: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
            item.detail = (!files.is_empty()).then(|| files.join("\n"));
        }
        Event::Merged { step } => {
            item.step = Some(step.0);
            item.text = "Put into the task's workspace".into();
        }
        Event::WorkspacePrepared { workspace } => {
            item.text = format!("Copied the project: {} files", workspace.files);
            item.detail = (!workspace.notes.is_empty()).then(|| workspace.notes.join("\n"));
        }
        Event::SetupRan { evidence } => {
            check_line(&mut item, "Set-up", std::slice::from_ref(evidence))
        }
        Event::ChecksRan { run, .. } => {
            let when = match run.time {
                CheckTime::Baseline => "Checks before the work",
                CheckTime::After { .. } => "Checks after the work",
            };
            check_line(&mut item, when, &run.evidence);
        }
        Event::StepStarted {
            step,
            turn,
            attempt,
            round,
            ..
        } => {
            item.step = Some(step.0);
            item.turn = Some(turn.0);
            item.text = match (*attempt, *round) {
                (1, 1) => "Begins".to_owned(),
                (attempt, 1) => format!("Tries again (attempt {attempt})"),
                (attempt, round) => format!("Round {round}, attempt {attempt}"),
            };
        }
        Event::ProcessStarting { role: seat, .. } => {
            item.role = Some(role(*seat));
            item.text = "Its process is being started".into();
        }
        Event::ProcessStarted {
            role: seat, pid, ..
        } => {
            item.role = Some(role(*seat));
            item.text = format!("Its process was started (pid {pid})");
        }
        Event::ProcessEnded {
            role: seat, end, ..
        } => {
            item.role = Some(role(*seat));
            item.ok =
                (!matches!(end, ProcessEnd::Closed | ProcessEnd::NotStarted)).then_some(false);
            item.text = process_end(*end);
        }
        Event::BaseTaken { step, turn, .. } => {
            item.step = Some(step.0);
            item.turn = Some(turn.0);
            item.text = "The workspace is remembered as it is before this step".into();
        }
        Event::WorkspaceReset {
            step, turn, kept, ..
        } => {
            item.step = Some(step.0);
            item.turn = Some(turn.0);
            item.text = format!(
                "What a lost conversation had begun was undone; it is kept as {}",
                kept.short()
            );
        }
        Event::WorkKept { turn, snapshot } => {
            item.turn = Some(turn.0);
            item.text = format!("Kept before stopping, as {}", snapshot.short());
        }
        Event::WentOutward { turn, command } => {
            item.turn = Some(turn.0);
            item.text = format!("May reach beyond the workspace: {}", one_line(command));
        }
        Event::TurnStreaming { turn } => {
            item.turn = Some(turn.0);
            item.text = "At work".into();
        }
        Event::MessagePosted { message: posted } => {
            item.kind = TimelineKind::Message;
            item.role = posted.from().role().map(role);
            let view = message(task, posted);
            item.text = match posted.as_ref() {
                Message::Assignment(m) => {
                    format!("Assigns to {}: {}", party(&m.to), m.payload.task.title)
                }
                Message::Response(_) => "Hands over".to_owned(),
                Message::Note(m) => format!("Note to {}: {}", recipient(m.to), one_line(&m.text)),
            };
            item.detail = Some(view.text);
        }
        Event::ProgressReported { turn, note } => {
            item.turn = Some(turn.0);
            item.text.clone_from(note);
        }
        Event::ResultSubmitted { turn, result, .. } => {
            item.turn = Some(turn.0);
            result_line(&mut item, result);
        }
        Event::ApprovalRequested { approval } => {
            item.kind = TimelineKind::Question;
            item.role = Some(role(approval.role));
            item.turn = approval.turn.map(|turn| turn.0);
            item.text = question_text(approval);
        }
        Event::ApprovalAnswered { answer, by, .. } => {
            item.kind = TimelineKind::Question;
            let who = match by {
                nexus_core::AnsweredBy::Person => "You answered",
                nexus_core::AnsweredBy::NobodyThere => "Nobody was there to answer",
                nexus_core::AnsweredBy::EarlierAnswer => "Answered as before",
                nexus_core::AnsweredBy::Rule => "Answered by your rule",
                nexus_core::AnsweredBy::Expired => "Nobody answered in time",
            };
            let (what, ok) = match answer {
                nexus_core::Answer::Allow => ("allowed once".to_owned(), true),
                nexus_core::Answer::AllowForTask => ("allowed for this task".to_owned(), true),
                nexus_core::Answer::AllowForProject => ("allowed in this project".to_owned(), true),
                nexus_core::Answer::AllowAlways => ("always allowed".to_owned(), true),
                nexus_core::Answer::Deny { .. } => ("denied".to_owned(), false),
                nexus_core::Answer::Text { text } => (text.clone(), true),
            };
            item.ok = Some(ok);
            item.text = format!("{who}: {what}");
        }
        Event::ApprovalDetached { .. } => {
            item.kind = TimelineKind::Question;
            item.text = "The question stays open; its agent was interrupted".into();
        }
        Event::ApprovalReattached { turn, .. } => {
            item.kind = TimelineKind::Question;
            item.turn = Some(turn.0);
            item.text = "The same question was asked again".into();
        }
        Event::GrantRevoked { .. } => {
            item.kind = TimelineKind::Question;
            item.text = "You took a permission back".into();
        }
        Event::ApprovalWithdrawn { .. } => {
            item.kind = TimelineKind::Question;
            item.text = "The question was withdrawn".into();
        }
        Event::TurnEnded { report } => {
            item.turn = Some(report.turn.0);
            let finished = matches!(report.outcome, nexus_core::TurnOutcome::Completed { .. });
            item.ok = Some(finished);
            item.text = format!("Turn {}", report.outcome.describe());
        }
        Event::AttemptVerified {
            step,
            turn,
            standing,
        } => {
            item.step = Some(step.0);
            item.turn = Some(turn.0);
            item.kind = TimelineKind::Check;
            item.ok = Some(standing.allows_accept());
            item.text = format!("Verified: {}", standing.describe());
        }
        Event::StepEnded { step, structured } => {
            item.step = Some(step.0);
            item.ok = Some(true);
            item.text = if *structured {
                "Step handed over"
            } else {
                "Step handed over as plain text"
            }
            .into();
        }
        Event::StepDelayed { step, until, why } => {
            item.step = Some(step.0);
            item.kind = match why {
                nexus_core::Delay::Retry { .. } => TimelineKind::Retry,
                nexus_core::Delay::Limit { .. } => TimelineKind::Limit,
            };
            item.text = match why {
                nexus_core::Delay::Retry {
                    failure,
                    of,
                    trouble,
                } => {
                    format!("Failure {failure} of {of} ({trouble}); tries again at {until}")
                }
                nexus_core::Delay::Limit { message } => format!("{message}; goes on at {until}"),
            };
        }
        Event::SessionReplaced {
            role: seat, why, ..
        } => {
            item.role = Some(role(*seat));
            item.ok = Some(false);
            item.text = format!(
                "Its conversation was lost; a new one is begun and told from the journal: {why}"
            );
        }
        Event::Held { hold } => {
            item.kind = TimelineKind::Limit;
            item.ok = Some(false);
            item.text = format!("Waits: {}", hold.describe());
        }
        Event::HoldLifted => {
            item.kind = TimelineKind::Limit;
            item.text = "Goes on after waiting".into();
        }
        Event::RoundBegan { round, why } => match why {
            nexus_core::RoundReason::Findings { findings } => {
                item.role = Some(RoleView::Prime);
                item.text = format!("Round {round}: goes back to Code");
                item.detail = Some(findings.join("\n"));
            }
            nexus_core::RoundReason::Person { text } => {
                item.text = format!("Round {round}: you asked for changes");
                item.detail = Some(text.clone());
            }
        },
        Event::ReviewReached { verdict_failed } => {
            item.ok = Some(!verdict_failed);
            item.text = "Ready for your review".into();
        }
        Event::TaskPaused { why } => {
            item.text = match why {
                nexus_core::PauseReason::Person => "Paused".into(),
                nexus_core::PauseReason::Budget => "Paused: the cost cap is reached".into(),
                nexus_core::PauseReason::Tokens => "Paused: the cap on tokens is reached".into(),
                nexus_core::PauseReason::Time => {
                    "Paused: the cap on working time is reached".into()
                }
                nexus_core::PauseReason::Turns => "Paused: the cap on turns is reached".into(),
                nexus_core::PauseReason::Day => "Paused: today's cap is reached".into(),
                nexus_core::PauseReason::Plan => "Paused: you did not say yes to the plan".into(),
                nexus_core::PauseReason::Unsure => {
                    "Paused: a command may have run whose effects nobody saw".into()
                }
            };
        }
        Event::TaskResumed => item.text = "Resumed".into(),
        Event::CancelRequested => item.text = "Cancelled".into(),
        Event::TaskFailed { failure } => {
            item.ok = Some(false);
            item.text.clone_from(&failure.message);
        }
        Event::BudgetChanged { budget } => {
            item.text = match budget {
                Some(cap) => format!("Cost cap set to {cap}"),
                None => "Cost cap removed".to_owned(),
            };
        }
        Event::LimitsChanged { .. } => item.text = "Limits changed".into(),
        Event::PriorityChanged { priority } => {
            item.text = format!("Priority set to {}", priority.name());
        }
        Event::ContextShared { name, text, .. } => {
            item.text = format!("Told what {name} handed over");
            item.detail = Some(text.clone());
        }
        Event::Unchained => item.text = "Waits for no other task any more".into(),
        Event::AcceptBegan { although_red: true } => {
            item.text = "Accepted although red; applying".into()
        }
        Event::AcceptBegan {
            although_red: false,
        } => item.text = "Accepted; applying".into(),
        Event::AcceptPlanned { operations } => {
            item.text = format!("Applying {} files", operations.len());
        }
        Event::AcceptConflicted { conflicts } => {
            item.ok = Some(false);
            item.text = "Not applied: your folder changed meanwhile".into();
            item.detail = Some(conflicts.join("\n"));
        }
        Event::AcceptFailed { reason } => {
            item.ok = Some(false);
            item.text = format!("Not applied: {reason}");
        }
        Event::Accepted => {
            item.ok = Some(true);
            item.text = "Applied to your folder".into();
        }
        Event::Discarded => item.text = "Discarded; it can be brought back".into(),
        Event::WorkspaceDropped { .. } => {
            item.text = "Workspace put away; its content is kept".into()
        }
        Event::Restored => item.text = "Brought back".into(),
        Event::WorkspaceRestored { .. } => item.text = "Workspace made anew".into(),
    }
    place(&mut item, task);
    item
}

/// Says which step and seat a line belongs to, as far as its turn tells.
fn place(item: &mut TimelineItem, task: &Task) {
    let of_turn = |turn: u32| task.turn_steps.get(&TurnId(turn)).map(|step| step.0);
    item.step = item.step.or_else(|| of_turn(item.turn?));
    let seat = |step: u32| task.step(StepId(step)).map(|step| role(step.planned.role));
    item.role = item.role.or_else(|| seat(item.step?));
    let about = match item.turn {
        Some(turn) => task.attempt(TurnId(turn)),
        None => item
            .step
            .and_then(|step| task.step(StepId(step))?.history.last()),
    };
    item.attempt = about.map(|attempt| attempt.number);
    item.facts = about.map(facts);
}

fn author(author: Author) -> &'static str {
    match author {
        Author::Rules => "the rules",
        Author::Prime => "NEXUS Prime",
        Author::Person => "you",
    }
}

fn process_end(end: ProcessEnd) -> String {
    match end {
        ProcessEnd::Closed => "Its process has left".to_owned(),
        ProcessEnd::NotStarted => "Its process was not started".to_owned(),
        ProcessEnd::Exited { code } => format!("Its process ended by itself with code {code}"),
        ProcessEnd::Signalled { signal } => {
            format!("Its process was ended by signal {signal}")
        }
        ProcessEnd::Killed => "Its process was killed with everything it had started".to_owned(),
        ProcessEnd::Swept => {
            "NEXUS had ended; its process and everything it had started is gone".to_owned()
        }
    }
}

fn check_line(item: &mut TimelineItem, when: &str, evidence: &[Evidence]) {
    item.kind = TimelineKind::Check;
    if evidence.is_empty() {
        item.text = format!("{when}: the project has none");
        return;
    }
    let green = evidence.iter().all(|e| e.end.is_success());
    item.ok = Some(green);
    let results: Vec<_> = evidence
        .iter()
        .map(|e| {
            let result = if e.end.is_success() { "green" } else { "red" };
            format!(
                "{} {result} (exit code {}, {} ms)",
                e.command,
                e.end.code(),
                e.duration_ms
            )
        })
        .collect();
    item.text = format!("{when}: {}", results.join(", "));
    let tails: Vec<_> = evidence.iter().map(|e| e.output_tail.clone()).collect();
    item.detail = Some(tails.join("\n"));
}

fn result_line(item: &mut TimelineItem, result: &StepResult) {
    item.text = match result.verdict {
        Some(verdict) => format!("Hands in: {}", verdict_name(verdict)),
        None => "Hands in its result".to_owned(),
    };
    item.ok = result.verdict.map(|verdict| verdict == Verdict::Pass);
    item.detail = Some(result.summary.clone());
}

/// What a turn showed, as a line; nothing for the calls of our own tools, which speak for
/// themselves in the facts they lead to.
fn shown(
    id: String,
    at: Timestamp,
    turn: TurnId,
    update: &TurnUpdate,
    task: &Task,
) -> Option<TimelineItem> {
    let mut item = TimelineItem {
        id,
        at: time(at),
        role: None,
        step: None,
        turn: Some(turn.0),
        kind: TimelineKind::Text,
        text: String::new(),
        detail: None,
        ok: None,
        call: None,
        attempt: None,
        facts: None,
    };
    match update {
        TurnUpdate::TextDelta { text } => {
            item.kind = TimelineKind::TextDelta;
            item.text.clone_from(text);
        }
        TurnUpdate::Text { text } => item.text.clone_from(text),
        TurnUpdate::Thinking { text } => {
            item.kind = TimelineKind::Thinking;
            item.text = "thinking".into();
            item.detail = (!text.is_empty()).then(|| text.clone());
        }
        TurnUpdate::ToolStarted {
            call,
            tool,
            object,
            input,
        } => {
            item.kind = TimelineKind::ToolStarted;
            if tool.starts_with(OWN_TOOLS) {
                return None;
            }
            let object = without_workspace(object, task);
            item.text = format!("{tool} {object}").trim_end().to_owned();
            item.detail = serde_json::to_string_pretty(input).ok();
            item.call = Some(call.clone());
        }
        TurnUpdate::ToolEnded { call, ok, output } => {
            item.kind = TimelineKind::ToolEnded;
            item.ok = Some(*ok);
            item.text = one_line(output);
            item.detail = Some(output.clone());
            item.call = Some(call.clone());
        }
        TurnUpdate::Retrying {
            attempt,
            max,
            delay_ms,
            status,
            error,
        } => {
            item.kind = TimelineKind::Retry;
            let status = status.map(|s| format!(" {s}")).unwrap_or_default();
            item.text = format!(
                "The model service failed ({error}{status}); try {attempt} of {max} in {delay_ms} ms"
            );
        }
        TurnUpdate::RateLimit {
            rejected,
            until,
            utilization,
        } => {
            item.kind = TimelineKind::Limit;
            let used = utilization
                .map(|u| format!(", {:.0} % used", u * 100.0))
                .unwrap_or_default();
            let until = until.map(|u| format!(" until {u}")).unwrap_or_default();
            let what = if *rejected {
                "Usage limit reached"
            } else {
                "Usage limit near"
            };
            item.text = format!("{what}{used}{until}");
        }
        // A number for the monitor.
        TurnUpdate::Context { .. } => return None,
        TurnUpdate::Note { text } => {
            item.kind = TimelineKind::Unknown;
            item.text.clone_from(text);
        }
        TurnUpdate::Unknown { line } => {
            item.kind = TimelineKind::Unknown;
            item.text = "a line this version does not know".into();
            item.detail = Some(line.clone());
        }
    }
    place(&mut item, task);
    Some(item)
}

/// How the agent program names our tools.
const OWN_TOOLS: &str = "mcp__nexus__";

/// A path as it is inside the project.
fn without_workspace(object: &str, task: &Task) -> String {
    match task.workspace.prepared() {
        Some(prepared) => object
            .replace(&format!("{}/", prepared.path), "")
            .replace(&prepared.path, "."),
        None => object.to_owned(),
    }
}

fn party(party: &Party) -> &'static str {
    party.role().map_or("the person", Role::title)
}

fn recipient(to: Recipient) -> &'static str {
    match to {
        Recipient::Team => "the team",
        Recipient::Person => "you",
        Recipient::Prime
        | Recipient::Aria
        | Recipient::Code
        | Recipient::Alpha
        | Recipient::Beta => to.role().map_or("the team", Role::title),
    }
}
