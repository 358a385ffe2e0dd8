//! Following one task until it comes to rest: progress, questions, acceptance, Ctrl-C.

use crate::{
    exit,
    host::{self, Failure},
    output::{Output, change_lines, print_task, result_line, role_title, spelled},
    terminal,
};
use futures::{StreamExt, stream::BoxStream};
use nexus_agent::Pace;
use nexus_api::{CallError, Client, Connection, view::*};
use std::collections::HashSet;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How a task is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follow {
    pub(crate) output: Output,
    /// Apply the change when the checks are green or there are none.
    pub(crate) accept: bool,
    /// A person can be asked.
    pub(crate) attended: bool,
    /// Of the practice team, should this process have to carry it.
    pub(crate) pace: Pace,
}

/// Follows `task` from `since` until nothing more happens to it by itself. Returns the exit
/// code.
///
/// When the owner of the data folder leaves in the middle, `connection` becomes the next one
/// and the task goes on.
pub(crate) async fn follow(
    connection: &mut Connection,
    task: Uuid,
    since: u64,
    how: Follow,
) -> Result<u8, Failure> {
    let mut follower = Follower {
        client: connection.client(),
        task,
        how,
        seen: since,
        asked: HashSet::new(),
        accepted: false,
        asleep: false,
    };
    let end = loop {
        match follower.until_end().await {
            Err(CallError::Gone) if matches!(connection, Connection::Client(_)) => {
                *connection = host::connect(how.pace).await?;
                follower.client = connection.client();
                // What was asked or ordered over the old way may not have arrived.
                follower.asked.clear();
                follower.accepted = false;
                follower.asleep = true;
            }
            ended => break ended?,
        }
    };
    let (view, code) = match end {
        End::Rest(view) => {
            let code = exit::of_task(&view, how.accept);
            (view, code)
        }
        End::Interrupted(view) => (view, exit::INTERRUPTED),
    };
    match how.output {
        Output::Text => print_task(&view),
        Output::Ndjson => terminal::say(&result_line(&view).to_string()),
    }
    if code == exit::INTERRUPTED {
        terminal::complain(&interruption(&view));
    }
    Ok(code)
}

/// Why following a task ended, and where the task was then.
enum End {
    /// Nothing more happens to it by itself.
    Rest(Box<TaskView>),
    /// Ctrl-C.
    Interrupted(Box<TaskView>),
}

/// What Ctrl-C left, and how to go on.
fn interruption(view: &TaskView) -> String {
    let name = &view.card.name;
    if view.card.state == TaskStateView::Paused {
        return format!("interrupted; go on with `nexus resume {name}`");
    }
    format!("interrupted; {name} is in `{}`", spelled(view.card.state))
}

struct Follower {
    client: Client,
    task: Uuid,
    how: Follow,
    seen: u64,
    /// Questions that are on the terminal or were answered there.
    asked: HashSet<Uuid>,
    accepted: bool,
    /// The owner that carried the task has gone.
    asleep: bool,
}

impl Follower {
    async fn until_end(&mut self) -> Result<End, CallError> {
        if self.asleep {
            self.wake().await?;
        }
        let (answers, mut answered) = mpsc::channel(1);
        let mut changes = self.client.changes(self.seen).await?;
        // One future for all turns of the loop: a signal between two would be lost.
        let mut interrupted = Box::pin(tokio::signal::ctrl_c());
        let mut look = true;
        loop {
            if std::mem::take(&mut look) {
                let view = self.view().await?;
                if self.is_at_rest(&view, &answers).await? {
                    self.show_the_rest(&mut changes).await?;
                    return Ok(End::Rest(Box::new(view)));
                }
            }
            tokio::select! {
                change = changes.next() => look = self.heard(change, &mut changes).await?,
                Some((question, answer)) = answered.recv() => {
                    self.answer(question, answer).await?;
                    look = true;
                }
                signal = &mut interrupted => {
                    if signal.is_ok() {
                        let view = self.interrupt(changes).await?;
                        return Ok(End::Interrupted(Box::new(view)));
                    }
                }
            }
        }
    }

    /// A new owner works on what it is given orders about, so this gives one.
    async fn wake(&mut self) -> Result<(), CallError> {
        self.asleep = false;
        if self.view().await?.card.state == TaskStateView::Paused {
            return Ok(());
        }
        let path = format!("/tasks/{}/resume", self.task);
        match self.client.post::<TaskCard>(&path, None::<&()>).await {
            // Refused is what it is at rest, or when somebody else woke it.
            Ok(_) | Err(CallError::Refused(_)) => Ok(()),
            Err(CallError::Gone) => Err(CallError::Gone),
        }
    }

    async fn view(&self) -> Result<TaskView, CallError> {
        self.client.get(&format!("/tasks/{}", self.task)).await
    }

    /// Shows a change, and says whether it may have changed where the task stands.
    async fn heard(
        &mut self,
        change: Option<ChangeView>,
        changes: &mut BoxStream<'static, ChangeView>,
    ) -> Result<bool, CallError> {
        let Some(change) = change else {
            // Too slow, or the owner has gone: come back for what was missed.
            *changes = self.client.changes(self.seen).await?;
            return Ok(true);
        };
        self.show(&change);
        Ok(matches!(&change, ChangeView::Event { task_id, .. } if *task_id == self.task))
    }

    /// The task came to rest with its last facts, some of which are still on their way.
    async fn show_the_rest(
        &mut self,
        changes: &mut BoxStream<'static, ChangeView>,
    ) -> Result<(), CallError> {
        let last = self.client.get::<Board>("/board").await?.seq;
        while self.seen < last {
            match changes.next().await {
                Some(change) => self.show(&change),
                None => break,
            }
        }
        Ok(())
    }

    fn show(&mut self, change: &ChangeView) {
        // What a turn shows may overtake the facts before it, so only facts are counted.
        if !matches!(change, ChangeView::Live { .. }) {
            self.seen = self.seen.max(nexus_api::seq_of(change));
        }
        let (task, items) = match change {
            ChangeView::Event { task_id, item, .. } => (task_id, std::slice::from_ref(item)),
            ChangeView::Live { task_id, items, .. } => (task_id, items.as_slice()),
            ChangeView::Thinking { .. } | ChangeView::Projects { .. } => return,
        };
        if *task != self.task {
            return;
        }
        match self.how.output {
            Output::Ndjson => {
                for line in change_lines(change) {
                    terminal::say(&line.to_string());
                }
            }
            Output::Text => items
                .iter()
                .filter_map(progress)
                .for_each(|line| terminal::tell(&line)),
        }
    }

    /// Will nothing more happen to it by itself? If it should, sees to it that it does.
    async fn is_at_rest(
        &mut self,
        view: &TaskView,
        answers: &mpsc::Sender<(Uuid, Option<AnswerBody>)>,
    ) -> Result<bool, CallError> {
        match view.card.state {
            TaskStateView::Done
            | TaskStateView::Failed
            | TaskStateView::Cancelled
            | TaskStateView::Paused => Ok(true),
            TaskStateView::Review if view.card.actions.contains(&ActionView::Discard) => {
                if !self.how.accept || self.accepted || !may_accept(view) {
                    return Ok(true);
                }
                self.accepted = true;
                let path = format!("/tasks/{}/accept", self.task);
                let body = AcceptBody {
                    although_red: false,
                };
                match self.client.post::<TaskCard>(&path, Some(&body)).await {
                    Ok(_) => Ok(false),
                    Err(CallError::Refused(problem)) if self.is_leaving(&problem) => {
                        Err(CallError::Gone)
                    }
                    Err(CallError::Refused(_)) => Ok(true),
                    Err(CallError::Gone) => Err(CallError::Gone),
                }
            }
            TaskStateView::NeedsYou if !self.how.attended => Ok(true),
            TaskStateView::NeedsYou => {
                self.ask(view, answers);
                Ok(false)
            }
            TaskStateView::Review
            | TaskStateView::Backlog
            | TaskStateView::Planning
            | TaskStateView::Working => Ok(waits_for_person(view)),
        }
    }

    /// Does the owner refuse because it is about to go?
    fn is_leaving(&self, problem: &Problem) -> bool {
        matches!(self.client, Client::Socket(_)) && problem.code == "stopping"
    }

    /// Puts a question on the terminal, one at a time.
    fn ask(&mut self, view: &TaskView, answers: &mpsc::Sender<(Uuid, Option<AnswerBody>)>) {
        let Some(question) = view.questions.first().cloned() else {
            return;
        };
        if !self.asked.insert(question.id) {
            return;
        }
        let answers = answers.clone();
        // Reading a terminal cannot be given up, so it gets a thread of its own.
        std::thread::spawn(move || {
            let answer = ask_on_terminal(&question).map(|answer| AnswerBody {
                digest: Some(question.digest.clone()),
                ..answer
            });
            let _ = answers.blocking_send((question.id, answer));
        });
    }

    async fn answer(&self, question: Uuid, answer: Option<AnswerBody>) -> Result<(), CallError> {
        let answer = answer.unwrap_or(AnswerBody {
            reason: "the terminal was closed".into(),
            ..AnswerBody::plain(AnswerKindView::Deny)
        });
        let path = format!("/approvals/{question}");
        match self.client.post::<TaskCard>(&path, Some(&answer)).await {
            Ok(_) => Ok(()),
            // Answered elsewhere, or withdrawn meanwhile.
            Err(CallError::Refused(problem)) => {
                terminal::complain(&problem.detail);
                Ok(())
            }
            Err(CallError::Gone) => Err(CallError::Gone),
        }
    }

    /// Ctrl-C: stops the agents and keeps everything. A second one does not wait.
    async fn interrupt(
        &self,
        mut changes: BoxStream<'static, ChangeView>,
    ) -> Result<TaskView, CallError> {
        terminal::tell("stopping… everything is kept; press Ctrl-C again to leave at once");
        let stopped = async {
            let path = format!("/tasks/{}/pause", self.task);
            // A task that is at rest already cannot be paused and need not be.
            let paused = self.client.post::<TaskCard>(&path, None::<&()>).await;
            // It is called paused once its agents have really stopped.
            while paused.is_ok() && self.view().await?.card.state != TaskStateView::Paused {
                if changes.next().await.is_none() {
                    break;
                }
            }
            Ok::<_, CallError>(())
        };
        tokio::select! {
            done = stopped => done?,
            _ = tokio::signal::ctrl_c() => {}
        }
        self.view().await
    }
}

/// Held until somebody logs in or pays, with nothing of it running.
fn waits_for_person(view: &TaskView) -> bool {
    let held = view.card.hold.as_ref();
    held.is_some_and(|hold| hold.until.is_none()) && view.card.active_role.is_none()
}

/// May it be applied without a person looking at it?
fn may_accept(view: &TaskView) -> bool {
    let proved = matches!(
        view.card.standing,
        Some(StandingView::Green | StandingView::NoChecks)
    );
    proved && !view.verdict_failed && !view.files.is_empty()
}

/// A line of progress, for people; nothing for what is too fine.
fn progress(item: &TimelineItem) -> Option<String> {
    let fine = matches!(
        item.kind,
        TimelineKind::TextDelta | TimelineKind::Thinking | TimelineKind::ToolEnded
    );
    if fine || item.text.is_empty() {
        return None;
    }
    let who = item.role.map_or("NEXUS", role_title);
    let mark = if item.ok == Some(false) { "✗ " } else { "" };
    Some(format!(
        "{who:>11}  {mark}{}",
        terminal::line(&item.text, 160)
    ))
}

fn ask_on_terminal(question: &ApprovalView) -> Option<AnswerBody> {
    terminal::tell("");
    terminal::tell(&terminal::clean(&question.text));
    if question.detail != question.text {
        terminal::tell(&terminal::clean(&question.detail));
    }
    if !question.why.is_empty() {
        terminal::tell(&format!("({})", terminal::clean(&question.why)));
    }
    match question.kind {
        QuestionKindView::Open => {
            for option in &question.options {
                terminal::tell(&format!("  - {}", terminal::clean(option)));
            }
            let text = terminal::ask("your answer:")?;
            Some(if text.is_empty() {
                AnswerBody {
                    reason: "the person gave no answer".into(),
                    ..AnswerBody::plain(AnswerKindView::Deny)
                }
            } else {
                AnswerBody {
                    text,
                    ..AnswerBody::plain(AnswerKindView::Text)
                }
            })
        }
        QuestionKindView::Tool => choose(
            "[a]llow once, in this [t]ask, in this [p]roject, al[w]ays, [d]eny?",
            &[
                ("a", AnswerKindView::Allow),
                ("t", AnswerKindView::AllowForTask),
                ("p", AnswerKindView::AllowForProject),
                ("w", AnswerKindView::AllowAlways),
                ("d", AnswerKindView::Deny),
            ],
        ),
        QuestionKindView::Rounds => choose(
            "another round? [y]es, [n]o",
            &[("y", AnswerKindView::Allow), ("n", AnswerKindView::Deny)],
        ),
        QuestionKindView::Plan => choose(
            "carry the plan out? [y]es, [n]o",
            &[("y", AnswerKindView::Allow), ("n", AnswerKindView::Deny)],
        ),
        QuestionKindView::HandedIn => choose(
            "go on from it? [y]es, [n]o",
            &[("y", AnswerKindView::Allow), ("n", AnswerKindView::Deny)],
        ),
    }
}

/// Asks until one of the letters is given; nothing at all means no.
fn choose(prompt: &str, letters: &[(&str, AnswerKindView)]) -> Option<AnswerBody> {
    loop {
        let said = terminal::ask(prompt)?;
        let said = if said.is_empty() { "n" } else { said.as_str() };
        let known = letters.iter().find(|(letter, _)| *letter == said);
        match known {
            Some((_, kind)) => return Some(AnswerBody::plain(*kind)),
            None if said == "n" => return Some(AnswerBody::plain(AnswerKindView::Deny)),
            None => {}
        }
    }
}
