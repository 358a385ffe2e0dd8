//! The planner that is Claude Code, with a backend that has no process.

use super::*;
use crate::{
    Backend, CallReply, RequestKey, Session, SessionCommand, SessionEvent, SessionSpec,
    ToolDecision,
};
use nexus_core::{AgentCall, Role, ToolRequest, TurnOutcome, TurnUpdate, Usd};
use std::{
    collections::VecDeque,
    os::unix::fs::symlink,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// What happens in a turn.
#[derive(Clone, Debug)]
enum Act {
    Show(TurnUpdate),
    Ask(ToolRequest),
    Call(AgentCall),
    End(TurnOutcome),
    /// The process is gone.
    Vanish,
}

/// A backend that plays turns, and notes what it was told.
#[derive(Debug)]
struct Stage {
    turns: Arc<Mutex<VecDeque<Vec<Act>>>>,
    notes: Arc<Mutex<Notes>>,
    /// How many sessions are open.
    open: watch::Sender<usize>,
    refuses: Option<TurnOutcome>,
}

#[derive(Debug, Default)]
struct Notes {
    specs: Vec<SessionSpec>,
    prompts: Vec<String>,
    decisions: Vec<ToolDecision>,
    replies: Vec<CallReply>,
}

/// What each turn is said to have used.
fn used(turns: u64) -> Usage {
    Usage {
        input_tokens: 10 * turns,
        output_tokens: 5 * turns,
        cost: Some(Usd::from_micros(7 * turns)),
        ..Usage::default()
    }
}

fn says(text: &str) -> Vec<Act> {
    vec![Act::End(completed(text))]
}

fn completed(text: &str) -> TurnOutcome {
    TurnOutcome::Completed {
        text: text.to_owned(),
        denials: Vec::new(),
    }
}

impl Stage {
    fn with(turns: impl IntoIterator<Item = Vec<Act>>) -> Arc<Self> {
        Arc::new(Self {
            turns: Arc::new(Mutex::new(turns.into_iter().collect())),
            notes: Arc::default(),
            open: watch::Sender::new(0),
            refuses: None,
        })
    }

    fn planner(self: &Arc<Self>) -> ClaudePlanner {
        ClaudePlanner::new(Arc::clone(self) as Arc<dyn Backend>)
    }

    async fn plan(self: &Arc<Self>) -> Result<Planned, NoPlan> {
        let project = project();
        let (thinks, _watched) = mpsc::channel(100);
        let planned = self.planner().plan(&brief(project.path()), &thinks).await;
        assert_eq!(*self.open.borrow(), 0, "no session is left");
        planned
    }
}

#[async_trait]
impl Backend for Stage {
    async fn open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome> {
        if let Some(outcome) = &self.refuses {
            return Err(outcome.clone());
        }
        self.notes.lock().unwrap().specs.push(spec);
        self.open.send_modify(|open| *open += 1);
        let (commands, orders) = mpsc::channel(16);
        let (tell, events) = mpsc::channel(16);
        let (turns, notes) = (Arc::clone(&self.turns), Arc::clone(&self.notes));
        let open = self.open.clone();
        tokio::spawn(async move {
            play(&turns, &notes, orders, &tell).await;
            open.send_modify(|open| *open -= 1);
            let how = TurnOutcome::Interrupted;
            let _ = tell.send(SessionEvent::Closed { how }).await;
        });
        Ok(Session {
            process: None,
            commands,
            events,
        })
    }
}

/// Plays turns until the session is closed, dropped or gone.
async fn play(
    turns: &Mutex<VecDeque<Vec<Act>>>,
    notes: &Mutex<Notes>,
    mut orders: mpsc::Receiver<SessionCommand>,
    tell: &mpsc::Sender<SessionEvent>,
) {
    let mut acts = VecDeque::new();
    let mut running = false;
    loop {
        let key = RequestKey("1".to_owned());
        match acts.pop_front() {
            Some(Act::Show(update)) => {
                let _ = tell.send(SessionEvent::Update(update)).await;
                continue;
            }
            Some(Act::Ask(tool)) => {
                let asked = SessionEvent::ToolAsked { request: key, tool };
                let _ = tell.send(asked).await;
            }
            Some(Act::Call(body)) => {
                let _ = tell.send(SessionEvent::Called { call: key, body }).await;
            }
            Some(Act::End(outcome)) => {
                running = false;
                let _ = tell.send(ended(outcome)).await;
            }
            Some(Act::Vanish) => return,
            None => {}
        }
        match orders.recv().await {
            Some(SessionCommand::Prompt(prompt)) => {
                notes.lock().unwrap().prompts.push(prompt);
                acts = turns.lock().unwrap().pop_front().unwrap().into();
                running = true;
            }
            Some(SessionCommand::Decide { decision, .. }) => {
                notes.lock().unwrap().decisions.push(decision);
            }
            Some(SessionCommand::Reply { reply, .. }) => {
                notes.lock().unwrap().replies.push(reply);
            }
            Some(SessionCommand::Close | SessionCommand::Interrupt) | None => {
                if running {
                    let _ = tell.send(ended(TurnOutcome::Interrupted)).await;
                }
                return;
            }
        }
    }
}

fn ended(outcome: TurnOutcome) -> SessionEvent {
    SessionEvent::TurnEnded {
        outcome,
        usage: used(1),
        covers_lost: false,
        duration: Duration::ZERO,
    }
}

#[tokio::test]
async fn an_answer_in_words_becomes_a_plan() {
    let words = format!("I looked at {{main.rs}}.\n```json\n{}\n```", good());
    let stage = Stage::with([says(&words)]);
    let planned = stage.plan().await.unwrap();
    assert_eq!(planned.plan.steps().len(), 3);
    assert_eq!((planned.calls, planned.usage), (1, used(1)));
    assert_eq!(planned.model, ClaudePlanner::MODEL);
}

#[tokio::test]
async fn the_text_that_was_shown_last_counts_where_the_outcome_has_none() {
    let text = TurnUpdate::Text { text: good() };
    let stage = Stage::with([vec![Act::Show(text), Act::End(completed(""))]]);
    assert!(stage.plan().await.is_ok());
}

#[tokio::test]
async fn a_planner_sits_in_the_copy_with_a_session_of_its_own() {
    let (project, copy) = (project(), project());
    let stage = Stage::with([says(&good()), says(&good())]);
    let (thinks, _watched) = mpsc::channel(100);
    let in_copy = PlanBrief {
        workspace: Some(copy.path().to_owned()),
        ..brief(project.path())
    };
    let without = brief(project.path());
    for brief in [&in_copy, &without] {
        stage.planner().plan(brief, &thinks).await.unwrap();
    }
    let notes = stage.notes.lock().unwrap();
    let [first, second] = &notes.specs[..] else {
        panic!("{:?}", notes.specs);
    };
    assert_eq!((first.role, first.resume), (Role::Prime, false));
    assert_eq!(first.workspace, copy.path());
    assert_eq!(second.workspace, project.path());
    assert_ne!(first.session, second.session);
    for part in ["You are NEXUS Prime", "Read, Glob and Grep", "\"steps\""] {
        assert!(first.system_prompt.contains(part), "{part}");
    }
    assert!(notes.prompts[0].contains("Please mend the sums."));
}

#[tokio::test]
async fn a_bad_plan_is_sent_back_twice_in_the_same_session() {
    let stage = Stage::with([says("No."), says(&bad()), says(&good())]);
    let planned = stage.plan().await.unwrap();
    assert_eq!((planned.calls, planned.usage), (3, used(3)));
    assert_eq!(stage.notes.lock().unwrap().specs.len(), 1);
    let complaint = stage.notes.lock().unwrap().prompts[2].clone();
    for problem in ["step 1 waits for step 9", "step 2 waits for step 8"] {
        assert!(complaint.contains(problem), "{complaint}");
    }
    let stage = Stage::with([says("No."), says(&bad()), says("Never.")]);
    let no_plan = stage.plan().await.unwrap_err();
    assert!(no_plan.reason.contains("not a JSON object"), "{no_plan}");
    assert_eq!((no_plan.calls, no_plan.usage), (3, used(3)));
}

#[tokio::test]
async fn only_reading_inside_the_copy_is_allowed() {
    let (copy, outside) = (project(), project());
    symlink(outside.path(), copy.path().join("out")).unwrap();
    let inside = copy.path().join("main.rs");
    let elsewhere = outside.path().join("main.rs");
    let cases = [
        ("Read", json!({ "file_path": inside }), true),
        ("Read", json!({ "file_path": "src/not-there.rs" }), true),
        ("Grep", json!({ "pattern": "../x" }), true),
        ("Grep", json!({ "pattern": "x", "path": "." }), true),
        ("Glob", json!({ "pattern": "**/*.rs" }), true),
        ("Read", json!({ "file_path": elsewhere }), false),
        ("Read", json!({ "file_path": "out/main.rs" }), false),
        ("Read", json!({ "file_path": "out/not-there" }), false),
        ("Read", json!({ "file_path": "../x" }), false),
        ("Read", json!({ "file_path": "~/.ssh/id_rsa" }), false),
        ("Read", json!({ "file_path": " /etc/passwd" }), false),
        ("Grep", json!({ "pattern": "x", "path": "/etc" }), false),
        ("Glob", json!({ "pattern": "../../**" }), false),
        ("Glob", json!({ "pattern": "/home/**" }), false),
        (
            "Write",
            json!({ "file_path": inside, "content": "" }),
            false,
        ),
        ("Edit", json!({ "file_path": inside }), false),
        ("Bash", json!({ "command": "ls" }), false),
        ("LS", json!({ "path": "." }), false),
        ("WebFetch", json!({ "url": "https://host.example" }), false),
        ("mcp__nexus__submit_result", json!({}), false),
        ("Task", json!({}), false),
    ];
    let ask = |(tool, input, _): &(&str, Value, bool)| {
        Act::Ask(ToolRequest {
            tool: (*tool).to_owned(),
            input: input.clone(),
        })
    };
    let mut turn: Vec<_> = cases.iter().map(ask).collect();
    turn.push(Act::End(completed(&good())));
    let stage = Stage::with([turn]);
    let (thinks, _watched) = mpsc::channel(100);
    let brief = PlanBrief {
        workspace: Some(copy.path().to_owned()),
        ..brief(copy.path())
    };
    stage.planner().plan(&brief, &thinks).await.unwrap();
    let decisions = &stage.notes.lock().unwrap().decisions;
    assert_eq!(decisions.len(), cases.len());
    for ((tool, input, allowed), decision) in cases.iter().zip(decisions) {
        let is_allowed = *decision == ToolDecision::Allow;
        assert_eq!(is_allowed, *allowed, "{tool} {input}: {decision:?}");
    }
}

#[tokio::test]
async fn nobody_is_asked_and_nothing_is_handed_in_while_a_plan_is_made() {
    let call = |body| Act::Call(body);
    let stage = Stage::with([vec![
        call(AgentCall::ReportProgress {
            note: "Reading.".to_owned(),
        }),
        call(AgentCall::AskPerson {
            question: "Which?".to_owned(),
            options: Vec::new(),
        }),
        call(AgentCall::SubmitResult {
            result: StepResult::default(),
        }),
        call(AgentCall::ReadMessages),
        Act::End(completed(&good())),
    ]]);
    stage.plan().await.unwrap();
    let notes = stage.notes.lock().unwrap();
    let done: Vec<_> = notes
        .replies
        .iter()
        .map(|reply| matches!(reply, CallReply::Done { .. }))
        .collect();
    assert_eq!(done, [true, false, false, false]);
}

#[tokio::test]
async fn whoever_watches_sees_words_thoughts_and_what_is_read() {
    let show = |update| Act::Show(update);
    let stage = Stage::with([vec![
        show(TurnUpdate::Thinking {
            text: "Hm. ".to_owned(),
        }),
        show(TurnUpdate::ToolStarted {
            call: "1".to_owned(),
            tool: "Read".to_owned(),
            object: "main.rs".to_owned(),
            input: Value::Null,
        }),
        show(TurnUpdate::TextDelta {
            text: "So: ".to_owned(),
        }),
        Act::End(completed(&good())),
    ]]);
    let project = project();
    let (thinks, watched) = mpsc::channel(100);
    let brief = brief(project.path());
    stage.planner().plan(&brief, &thinks).await.unwrap();
    assert_eq!(heard(watched), "Hm. \n[Read main.rs]\nSo: ");
}

#[tokio::test]
async fn every_other_end_of_a_turn_is_a_reason_and_is_paid_for() {
    let message = "why".to_owned();
    for (outcome, part) in [
        (
            TurnOutcome::RateLimited {
                until: None,
                message: message.clone(),
            },
            "usage limit reached: why",
        ),
        (
            TurnOutcome::TimedOut { silent_seconds: 9 },
            "nothing for 9 s",
        ),
        (
            TurnOutcome::ContextExhausted {
                message: message.clone(),
            },
            "too long",
        ),
        (TurnOutcome::Refused { message }, "refused: why"),
    ] {
        let stage = Stage::with([says(&bad()), vec![Act::End(outcome)]]);
        let no_plan = stage.plan().await.unwrap_err();
        assert!(no_plan.reason.contains(part), "{no_plan}");
        assert_eq!((no_plan.calls, no_plan.usage), (2, used(2)));
    }
    let stage = Stage::with([vec![Act::Vanish]]);
    let no_plan = stage.plan().await.unwrap_err();
    assert!(
        no_plan.reason.contains("Claude Code gave no answer"),
        "{no_plan}"
    );
    assert_eq!(no_plan.calls, 1);
    let flood = Stage::with([says(&"x".repeat(2_000_000))]);
    assert!(flood.plan().await.unwrap_err().reason.contains("more than"));
}

#[tokio::test]
async fn a_session_that_cannot_be_opened_is_a_reason() {
    let stage = Arc::new(Stage {
        refuses: Some(TurnOutcome::AuthRequired {
            message: "no login".to_owned(),
        }),
        ..Arc::into_inner(Stage::with([])).unwrap()
    });
    let no_plan = stage.plan().await.unwrap_err();
    assert!(
        no_plan.reason.contains("not logged in: no login"),
        "{no_plan}"
    );
    assert_eq!((no_plan.calls, no_plan.usage), (0, Usage::default()));
}

#[tokio::test(start_paused = true)]
async fn a_planner_that_takes_too_long_is_stopped_and_paid_for() {
    let stage = Stage::with([says(&bad()), Vec::new()]);
    let planner = stage.planner().within(Duration::from_secs(5));
    let project = project();
    let (thinks, _watched) = mpsc::channel(100);
    let no_plan = planner.plan(&brief(project.path()), &thinks).await;
    let no_plan = no_plan.unwrap_err();
    assert!(no_plan.reason.contains("within 5 s"), "{no_plan}");
    assert_eq!((no_plan.calls, no_plan.usage), (2, used(2)));
    assert_eq!(*stage.open.borrow(), 0);
}

#[tokio::test]
async fn a_planner_that_nobody_waits_for_any_more_closes_its_session() {
    let stage = Stage::with([Vec::new()]);
    let mut open = stage.open.subscribe();
    let planner = stage.planner();
    let asking = tokio::spawn(async move {
        let project = project();
        let (thinks, _watched) = mpsc::channel(100);
        planner.plan(&brief(project.path()), &thinks).await
    });
    open.wait_for(|open| *open == 1).await.unwrap();
    asking.abort();
    open.wait_for(|open| *open == 0).await.unwrap();
}

#[tokio::test]
async fn a_step_is_judged_in_its_copy_and_nowhere_else() {
    let copy = project();
    let left = json!([numbered(1, "analysis", &[])]);
    let stage = Stage::with([
        says(&ruling("replan", &left)),
        says(&ruling("retry", &Value::Null)),
    ]);
    let (thinks, _watched) = mpsc::channel(100);
    let planner = stage.planner();
    let case_here = case(Some(copy.path().to_owned()));
    let judged = planner.judge(&case_here, &thinks).await.unwrap();
    let feedback = "Use cents.".to_owned();
    assert_eq!(judged.ruling, Ruling::Retry { feedback });
    assert_eq!((judged.calls, judged.usage), (2, used(2)));
    {
        let notes = stage.notes.lock().unwrap();
        assert_eq!(notes.specs[0].workspace, copy.path());
        assert!(notes.prompts[1].contains("step 1 is done"));
    }
    let nowhere = planner.judge(&case(None), &thinks).await.unwrap_err();
    assert!(nowhere.reason.contains("no copy"), "{nowhere}");
    assert_eq!(nowhere.calls, 0);
}
