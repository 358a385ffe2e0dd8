//! Whole turns, driven as the engine drives them.

use super::*;
use crate::{CallReply, RequestKey, SessionCommand, SessionEvent, ToolDecision};
use nexus_core::{
    AgentCall, Role, SessionId, StepResult, TaskId, ToolRequest, TurnUpdate, Usage, Usd, Verdict,
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

/// A copy of a sample.
struct Copy {
    sample: Sample,
    dir: TempDir,
}

/// What a turn showed, and how it ended.
#[derive(Debug, Default)]
struct Turn {
    updates: Vec<TurnUpdate>,
    asked: Vec<ToolRequest>,
    calls: Vec<AgentCall>,
    withdrawn: Vec<RequestKey>,
    outcome: Option<TurnOutcome>,
    usage: Usage,
}

impl Copy {
    fn of(sample: Sample) -> Self {
        let dir = tempfile::tempdir().unwrap();
        sample.write_to(dir.path()).unwrap();
        Self { sample, dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    async fn open(&self, role: Role, pace: Pace) -> Session {
        let opened = Practice::new(pace).open(spec(role, self.path())).await;
        opened.unwrap()
    }

    /// A turn in a session of its own.
    async fn turn(&self, role: Role, round: u32, decision: ToolDecision) -> Turn {
        let mut session = self.open(role, Pace::Fast).await;
        let turn = turn(&mut session, role, round, decision).await;
        close(session).await;
        turn
    }

    /// Every file that the sample or its recording has, with its text.
    fn text(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("__pycache__") {
                    folders.push(path);
                } else if path.is_file() {
                    let text = fs::read_to_string(&path).unwrap();
                    found.push((path, text));
                }
            }
        }
        found.sort();
        found
    }

    /// Do the checks that the sample names succeed? They are really run.
    fn is_green(&self) -> bool {
        let config = fs::read_to_string(self.path().join(".nexus/config.toml")).unwrap();
        let (_, rest) = config.split_once("commands = [\"").unwrap();
        let (command, _) = rest.split_once("\"]").unwrap();
        let mut words = command.split(' ');
        assert_eq!(words.clone().next(), Some(self.sample.program()));
        #[expect(
            clippy::disallowed_methods,
            reason = "the check of the sample has to be seen without anything of NEXUS"
        )]
        let mut program = std::process::Command::new(words.next().unwrap());
        let run = program
            .args(words)
            .current_dir(self.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("NODE_TEST_CONTEXT");
        run.output().unwrap().status.success()
    }
}

fn spec(role: Role, workspace: &Path) -> SessionSpec {
    SessionSpec {
        task: TaskId::new(Uuid::from_u128(1)),
        role,
        session: SessionId::new(Uuid::from_u128(2)),
        resume: false,
        workspace: workspace.to_owned(),
        system_prompt: String::new(),
        budget: None,
        silence_limit: Duration::from_secs(60),
        recorded: crate::Recorded::default(),
    }
}

fn prompt(role: Role, round: u32) -> String {
    let title = role.title();
    format!("You are {title}\nTake this step of the task: Mend it (round {round}, attempt 1).\n")
}

/// Plays one turn, answering everything at once.
async fn turn(session: &mut Session, role: Role, round: u32, decision: ToolDecision) -> Turn {
    let order = SessionCommand::Prompt(prompt(role, round));
    session.commands.send(order).await.unwrap();
    let mut turn = Turn::default();
    while turn.outcome.is_none() {
        match session.events.recv().await.unwrap() {
            SessionEvent::ToolAsked { request, tool } => {
                turn.asked.push(tool);
                let decision = decision.clone();
                let order = SessionCommand::Decide { request, decision };
                session.commands.send(order).await.unwrap();
            }
            SessionEvent::Called { call, body } => {
                turn.calls.push(body);
                let text = "done".to_owned();
                let reply = CallReply::Done { text };
                let order = SessionCommand::Reply { call, reply };
                session.commands.send(order).await.unwrap();
            }
            other @ (SessionEvent::Update(_)
            | SessionEvent::Withdrawn { .. }
            | SessionEvent::TurnEnded { .. }
            | SessionEvent::ProcessEnded { .. }
            | SessionEvent::Closed { .. }) => turn.hear(other),
        }
    }
    turn
}

/// Closes a session. Nothing but its end may come.
async fn close(mut session: Session) {
    session.commands.send(SessionCommand::Close).await.unwrap();
    assert!(matches!(
        session.events.recv().await,
        Some(SessionEvent::Closed { .. })
    ));
    assert!(session.events.recv().await.is_none());
}

impl Turn {
    fn hear(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Update(update) => self.updates.push(update),
            SessionEvent::Withdrawn { request } => self.withdrawn.push(request),
            SessionEvent::TurnEnded { outcome, usage, .. } => {
                self.outcome = Some(outcome);
                self.usage = usage;
            }
            other @ (SessionEvent::ToolAsked { .. }
            | SessionEvent::Called { .. }
            | SessionEvent::ProcessEnded { .. }
            | SessionEvent::Closed { .. }) => panic!("{other:?}"),
        }
    }

    fn result(&self) -> &StepResult {
        let mut results = self.calls.iter().filter_map(|call| match call {
            AgentCall::SubmitResult { result } => Some(result),
            AgentCall::PostMessage { .. }
            | AgentCall::ReadMessages
            | AgentCall::ReportProgress { .. }
            | AgentCall::AskPerson { .. } => None,
        });
        let result = results.next().unwrap();
        assert!(results.next().is_none(), "one result a turn");
        result
    }

    fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        for update in &self.updates {
            if let TurnUpdate::Text { text } = update {
                texts.push(text.as_str());
            }
        }
        texts
    }

    fn streamed(&self) -> String {
        let mut streamed = String::new();
        for update in &self.updates {
            if let TurnUpdate::TextDelta { text } = update {
                streamed.push_str(text);
            }
        }
        streamed
    }

    /// What holds of every turn that was played to its end.
    fn check(&self) {
        let Some(TurnOutcome::Completed { text, .. }) = &self.outcome else {
            panic!("{:?}", self.outcome);
        };
        let texts = self.texts();
        assert_eq!(texts.last(), Some(&text.as_str()));
        assert_eq!(texts.concat(), self.streamed());
        let notices = texts.iter().filter(|text| text.contains("no AI")).count();
        assert_eq!(notices, 1, "it is said once that this is practice");
        assert!(!self.result().summary.is_empty());
        let (mut open, mut outputs) = (Vec::new(), 0);
        for update in &self.updates {
            if let TurnUpdate::ToolStarted { call, .. } = update {
                open.push(call);
            } else if let TurnUpdate::ToolEnded { call, output, .. } = update {
                assert_eq!(open.pop(), Some(call));
                outputs += usize::from(!output.is_empty());
            }
        }
        assert!(open.is_empty() && outputs > 0);
        assert_eq!(self.usage.cost, Some(Usd::ZERO));
        assert_eq!(self.usage.tokens(), 0);
    }
}

async fn the_run_mends(sample: Sample) {
    let copy = Copy::of(sample);
    let untouched = copy.text();
    assert!(!copy.is_green(), "the sample begins with a failing case");

    let aria = copy.turn(Role::Aria, 1, ToolDecision::Allow).await;
    assert_eq!(copy.text(), untouched, "Aria changes nothing");
    let code = copy.turn(Role::Code, 1, ToolDecision::Allow).await;
    assert!(copy.is_green(), "the change mends the failing case");
    let mended = copy.text();
    let alpha = copy.turn(Role::Alpha, 1, ToolDecision::Allow).await;
    assert!(copy.is_green(), "the new tests pass");
    let tested = copy.text();
    assert_eq!(tested.len(), mended.len() + 1);
    let beta = copy.turn(Role::Beta, 1, ToolDecision::Allow).await;
    assert_eq!(copy.text(), tested, "Beta changes nothing");

    for turn in [&aria, &code, &alpha, &beta] {
        turn.check();
    }
    assert!(aria.asked.is_empty() && beta.asked.is_empty());
    assert_eq!(beta.result().verdict, Some(Verdict::Pass));
    let notes = aria.calls.iter().chain(&code.calls).chain(&alpha.calls);
    let notes = notes.filter(|call| matches!(call, AgentCall::PostMessage { .. }));
    assert!(notes.count() > 0, "the agents leave notes for each other");
    for asked in code.asked.iter().chain(&alpha.asked) {
        let path = Path::new(asked.object());
        assert!(path.starts_with(copy.path()) && path.exists(), "{asked:?}");
    }

    the_new_tests_can_fail(&copy, &untouched);
}

/// Takes the change back and leaves the tests.
fn the_new_tests_can_fail(copy: &Copy, untouched: &[(PathBuf, String)]) {
    let failing = |text: &str| !untouched.iter().any(|(_, before)| before == text);
    let new_test = copy
        .text()
        .into_iter()
        .find(|(path, text)| failing(text) && path.to_str().unwrap().contains("rounding"));
    let (new_test, text) = new_test.unwrap();
    for (path, text) in untouched {
        fs::write(path, text).unwrap();
        if path.to_str().unwrap().contains("invoice.test") || path.ends_with("test_invoice.py") {
            fs::remove_file(path).unwrap();
        }
    }
    assert!(!copy.is_green(), "the new tests fail without the change");
    assert_eq!(fs::read_to_string(new_test).unwrap(), text);
}

#[tokio::test]
async fn the_python_run_goes_from_red_to_green() {
    the_run_mends(Sample::Python).await;
}

#[tokio::test]
async fn the_node_run_goes_from_red_to_green() {
    the_run_mends(Sample::Node).await;
}

#[tokio::test]
async fn a_refused_change_is_not_made_and_not_claimed() {
    for sample in Sample::ALL {
        let copy = Copy::of(sample);
        let untouched = copy.text();
        let reason = "not in this test".to_owned();
        let code = copy
            .turn(Role::Code, 1, ToolDecision::Deny { reason })
            .await;
        code.check();
        assert_eq!(copy.text(), untouched);
        let Some(TurnOutcome::Completed { denials, .. }) = &code.outcome else {
            panic!("{:?}", code.outcome);
        };
        assert_eq!(denials.len(), 1);
        assert!(code.texts().iter().any(|t| t.contains("not in this test")));
        assert!(code.result().summary.contains("was not made"));

        let alpha = copy.turn(Role::Alpha, 1, ToolDecision::Allow).await;
        let beta = copy.turn(Role::Beta, 1, ToolDecision::Allow).await;
        for turn in [&alpha, &beta] {
            turn.check();
            assert!(turn.asked.is_empty());
            assert!(turn.result().summary.contains("was not made"));
        }
        assert_eq!(beta.result().verdict, None, "nothing to give a verdict on");
        assert_eq!(copy.text(), untouched);

        // The person may think again: a later round plays what is missing.
        copy.turn(Role::Code, 2, ToolDecision::Allow).await.check();
        copy.turn(Role::Alpha, 2, ToolDecision::Allow).await.check();
        let beta = copy.turn(Role::Beta, 2, ToolDecision::Allow).await;
        assert_eq!(beta.result().verdict, Some(Verdict::Pass));
        assert!(copy.is_green());
    }
}

#[tokio::test]
async fn a_follow_up_is_answered_honestly_and_changes_nothing() {
    for sample in Sample::ALL {
        let copy = Copy::of(sample);
        for role in Role::AGENTS {
            copy.turn(role, 1, ToolDecision::Allow).await.check();
        }
        let before = copy.text();
        for role in [Role::Code, Role::Alpha, Role::Beta] {
            let turn = copy.turn(role, 2, ToolDecision::Allow).await;
            turn.check();
            assert!(turn.asked.is_empty(), "{role}");
            let honest = "can only play its recording";
            assert!(turn.result().summary.contains(honest), "{role}");
        }
        assert_eq!(copy.text(), before);
        let aria = copy.turn(Role::Aria, 1, ToolDecision::Allow).await;
        aria.check();
        assert!(aria.result().summary.contains("fresh sample"));
    }
}

#[tokio::test]
async fn a_turn_that_is_repeated_changes_nothing_twice() {
    for sample in Sample::ALL {
        let copy = Copy::of(sample);
        for role in [Role::Code, Role::Alpha] {
            let first = copy.turn(role, 1, ToolDecision::Allow).await;
            let after = copy.text();
            let again = copy.turn(role, 1, ToolDecision::Allow).await;
            assert_eq!(copy.text(), after);
            assert_eq!(again.outcome, first.outcome);
            assert_eq!(again.calls, first.calls);
        }
    }
}

#[tokio::test]
async fn a_change_that_does_not_fit_the_file_is_told() {
    let copy = Copy::of(Sample::Python);
    fs::write(copy.path().join("invoices/money.py"), "def share(): pass\n").unwrap();
    let code = copy.turn(Role::Code, 1, ToolDecision::Allow).await;
    code.check();
    assert!(code.result().summary.contains("was not made"));
    let failed = code.updates.iter().any(|update| {
        matches!(update, TurnUpdate::ToolEnded { ok: false, output, .. } if output.contains("not in it"))
    });
    assert!(failed);
}

#[tokio::test(start_paused = true)]
async fn the_whole_run_can_be_watched_in_half_a_minute() {
    for sample in Sample::ALL {
        let copy = Copy::of(sample);
        let begun = Instant::now();
        for role in Role::AGENTS {
            let mut session = copy.open(role, Pace::Watch).await;
            turn(&mut session, role, 1, ToolDecision::Allow).await;
        }
        let seconds = begun.elapsed().as_secs();
        assert!((25..=35).contains(&seconds), "{seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_ends_the_turn_at_once_and_the_session_stays() {
    let copy = Copy::of(Sample::Python);
    let mut session = copy.open(Role::Code, Pace::Watch).await;
    let order = SessionCommand::Prompt(prompt(Role::Code, 1));
    session.commands.send(order).await.unwrap();
    assert!(matches!(
        session.events.recv().await,
        Some(SessionEvent::Update(TurnUpdate::TextDelta { .. }))
    ));
    let asked_at = Instant::now();
    session
        .commands
        .send(SessionCommand::Interrupt)
        .await
        .unwrap();
    let mut stopped = Turn::default();
    while stopped.outcome.is_none() {
        stopped.hear(session.events.recv().await.unwrap());
    }
    assert_eq!(stopped.outcome, Some(TurnOutcome::Interrupted));
    assert!(asked_at.elapsed() < Duration::from_millis(50));

    turn(&mut session, Role::Code, 1, ToolDecision::Allow)
        .await
        .check();
    assert!(copy.is_green());
    close(session).await;
}

/// Prompts Code and waits until it asks for its edit.
async fn waiting_for_a_decision(copy: &Copy) -> (Session, RequestKey) {
    let mut session = copy.open(Role::Code, Pace::Fast).await;
    let order = SessionCommand::Prompt(prompt(Role::Code, 1));
    session.commands.send(order).await.unwrap();
    loop {
        let event = session.events.recv().await.unwrap();
        if let SessionEvent::ToolAsked { request, .. } = event {
            return (session, request);
        }
    }
}

#[tokio::test]
async fn a_question_is_taken_back_when_the_turn_is_stopped() {
    for order in [SessionCommand::Interrupt, SessionCommand::Close] {
        let copy = Copy::of(Sample::Node);
        let untouched = copy.text();
        let closing = matches!(order, SessionCommand::Close);
        let (mut session, request) = waiting_for_a_decision(&copy).await;
        // An answer to something else is no answer.
        let decision = ToolDecision::Allow;
        let other = RequestKey("something else".to_owned());
        let stray = SessionCommand::Decide {
            request: other,
            decision,
        };
        session.commands.send(stray).await.unwrap();
        session.commands.send(order).await.unwrap();
        let mut stopped = Turn::default();
        while stopped.outcome.is_none() {
            stopped.hear(session.events.recv().await.unwrap());
        }
        assert_eq!(stopped.withdrawn, [request]);
        assert_eq!(stopped.outcome, Some(TurnOutcome::Interrupted));
        assert_eq!(copy.text(), untouched);
        if closing {
            let end = session.events.recv().await;
            assert!(matches!(end, Some(SessionEvent::Closed { .. })));
        } else {
            close(session).await;
        }
    }
}

#[tokio::test]
async fn a_session_that_nobody_holds_ends() {
    let copy = Copy::of(Sample::Node);
    let (session, _) = waiting_for_a_decision(&copy).await;
    let Session {
        commands,
        mut events,
        ..
    } = session;
    drop(commands);
    let mut last = None;
    while let Some(event) = events.recv().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(SessionEvent::Closed { .. })));
}

#[tokio::test]
async fn any_other_folder_is_refused_with_the_reason() {
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("README.md"), "# invoices\n").unwrap();
    let refused = Practice::new(Pace::Fast)
        .open(spec(Role::Aria, other.path()))
        .await;
    let Err(TurnOutcome::Refused { message }) = refused else {
        panic!("{refused:?}");
    };
    assert!(message.contains("only knows its own sample"), "{message}");

    let copy = Copy::of(Sample::Python);
    let refused = Practice::new(Pace::Fast)
        .open(spec(Role::Prime, copy.path()))
        .await;
    assert!(matches!(refused, Err(TurnOutcome::Refused { .. })));
}
