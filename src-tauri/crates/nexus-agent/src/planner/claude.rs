//! Plans and rulings from the person's own Claude Code, in a session without a seat.
//!
//! Prime may look around in the copy of the project and do nothing else: it has no other
//! tools, and what asks for a permission is refused unless the policy lets every reader do it.
//! Its answer comes as text and is read like any other model's.

use super::{
    Case, Judged, NoPlan, PlanBrief, Planned, Planner, Thinks,
    asking::{Spent, Talk, settle, within},
    form::{Form, read_judgement, read_plan},
    shape::shape,
    words::{Sight, judge_matter, judge_rules, plan_matter, plan_rules},
};
use crate::{
    Backend, CallReply, Recorded, Session, SessionCommand, SessionEvent, SessionSpec, ToolDecision,
};
use async_trait::async_trait;
use nexus_core::{
    AgentCall, Permissions, Role, SeatId, TaskId, ToolRequest, TurnOutcome, TurnUpdate,
    policy::{Ground, Judgement, Place, judge},
};
use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;
use uuid::Uuid;

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// How long the process may take to end. The backend takes less, whatever the program does.
const LEAVING_LIMIT: Duration = Duration::from_secs(30);

/// A planner that asks Claude Code.
#[derive(Clone, Debug)]
pub struct ClaudePlanner {
    backend: Arc<dyn Backend>,
    time_limit: Duration,
    silence_limit: Duration,
}

impl ClaudePlanner {
    /// What stands for the model, which the program chooses itself.
    pub const MODEL: &str = "claude-code";
    /// Ten minutes: it reads the project before it answers.
    pub const TIME_LIMIT: Duration = Duration::from_secs(600);
    /// Two minutes without a word, a thought or a tool.
    pub const SILENCE_LIMIT: Duration = Duration::from_secs(120);

    /// A planner whose sessions this backend carries.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self {
            backend,
            time_limit: Self::TIME_LIMIT,
            silence_limit: Self::SILENCE_LIMIT,
        }
    }

    /// The same with another limit on how long a plan or a ruling may take, everything included
    /// but the end of the process.
    #[must_use]
    pub fn within(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    fn conversation<'a>(
        &'a self,
        place: &Path,
        rules: String,
        form: &Form,
        thinks: &'a Thinks,
    ) -> Conversation<'a> {
        let schema = &form.schema;
        Conversation {
            planner: self,
            thinks,
            place: place.to_owned(),
            // The program holds its model to no form, so it is told.
            rules: format!("{rules}\n\n## The JSON schema of your answer\n{schema}"),
            session: None,
            spent: Spent::default(),
        }
    }
}

#[async_trait]
impl Planner for ClaudePlanner {
    async fn plan(&self, brief: &PlanBrief, thinks: &Thinks) -> Result<Planned, NoPlan> {
        let place = brief.workspace.as_ref().unwrap_or(&brief.folder);
        let rules = plan_rules(brief.seats, Sight::Reads);
        let mut talk = self.conversation(place, rules, &Form::plan(), thinks);
        let looked_at = brief.clone();
        let work = async {
            let looking = tokio::task::spawn_blocking(move || shape(&looked_at));
            let shape = looking.await.map_err(|_| "NEXUS is shutting down")?;
            settle(&mut talk, plan_matter(brief, &shape), read_plan).await
        };
        let plan = within(self.time_limit, work).await;
        talk.leave().await.planned(plan, Self::MODEL)
    }

    async fn judge(&self, case: &Case, thinks: &Thinks) -> Result<Judged, NoPlan> {
        let no_place = || NoPlan::unasked("there is no copy of the project to judge the step in");
        let place = case.workspace.as_ref().ok_or_else(no_place)?;
        let rules = judge_rules(Sight::Reads);
        let mut talk = self.conversation(place, rules, &Form::ruling(), thinks);
        let read = |answer: &str| read_judgement(answer, case);
        let work = settle(&mut talk, judge_matter(case), read);
        let judgement = within(self.time_limit, work).await;
        talk.leave().await.judged(judgement, Self::MODEL)
    }
}

/// A conversation about one plan or ruling. Dropped in the middle, it closes its session.
struct Conversation<'a> {
    planner: &'a ClaudePlanner,
    thinks: &'a Thinks,
    /// Where the program is started.
    place: PathBuf,
    rules: String,
    session: Option<Session>,
    spent: Spent,
}

#[async_trait]
impl Talk for Conversation<'_> {
    async fn answer(&mut self, words: String) -> Result<String, String> {
        if self.session.is_none() {
            let opened = self.planner.backend.open(self.spec()).await;
            self.session = Some(opened.map_err(|outcome| no_answer(&outcome))?);
        }
        self.spent.calls += 1;
        self.order(SessionCommand::Prompt(words)).await?;
        let mut last_text = String::new();
        loop {
            let session = self.session.as_mut().ok_or_else(gone)?;
            match session.events.recv().await.ok_or_else(gone)? {
                SessionEvent::Update(update) => self.show(update, &mut last_text),
                SessionEvent::ToolAsked { request, tool } => {
                    let decision = decide(&tool, &self.place);
                    let decide = SessionCommand::Decide { request, decision };
                    self.order(decide).await?;
                }
                SessionEvent::Called { call, body } => {
                    let reply = self.reply(&body);
                    self.order(SessionCommand::Reply { call, reply }).await?;
                }
                SessionEvent::TurnEnded { outcome, usage, .. } => {
                    self.spent.used(usage);
                    return answer_of(outcome, last_text);
                }
                SessionEvent::Closed { how } => return Err(no_answer(&how)),
                SessionEvent::Withdrawn { .. } | SessionEvent::ProcessEnded { .. } => {}
            }
        }
    }
}

impl Conversation<'_> {
    /// A session that nobody else has and nobody carries on.
    fn spec(&self) -> SessionSpec {
        let task = TaskId::new(Uuid::new_v4());
        SessionSpec {
            task,
            role: Role::Prime,
            session: task.session(SeatId::first(Role::Prime), 0),
            resume: false,
            workspace: self.place.clone(),
            system_prompt: self.rules.clone(),
            budget: None,
            silence_limit: self.planner.silence_limit,
            recorded: Recorded::default(),
        }
    }

    async fn order(&self, command: SessionCommand) -> Result<(), String> {
        let session = self.session.as_ref().ok_or_else(gone)?;
        session.commands.send(command).await.map_err(|_| gone())
    }

    fn show(&self, update: TurnUpdate, last_text: &mut String) {
        let words = match update {
            TurnUpdate::TextDelta { text } | TurnUpdate::Thinking { text } => text,
            TurnUpdate::Text { text } => {
                *last_text = text;
                return;
            }
            TurnUpdate::ToolStarted { tool, object, .. } => format!("\n[{tool} {object}]\n"),
            TurnUpdate::ToolEnded { .. }
            | TurnUpdate::Retrying { .. }
            | TurnUpdate::RateLimit { .. }
            | TurnUpdate::Context { .. }
            | TurnUpdate::Note { .. }
            | TurnUpdate::Unknown { .. } => return,
        };
        self.think(words);
    }

    fn think(&self, words: String) {
        if !words.is_empty() {
            // Nobody has to watch, and who watches slowly misses something.
            let _ = self.thinks.try_send(words);
        }
    }

    /// The `nexus` tools are for agents at work. There is nobody yet to speak to.
    fn reply(&self, call: &AgentCall) -> CallReply {
        match call {
            AgentCall::ReportProgress { note } => {
                self.think(format!("\n{note}\n"));
                CallReply::Done {
                    text: "noted".to_owned(),
                }
            }
            AgentCall::PostMessage { .. }
            | AgentCall::ReadMessages
            | AgentCall::AskPerson { .. }
            | AgentCall::SubmitResult { .. } => CallReply::Failed {
                reason: "this is not for planning: give your answer as text".to_owned(),
            },
        }
    }

    /// Ends the session and waits until its process is gone. Says what all of it cost.
    async fn leave(mut self) -> Spent {
        let Some(mut session) = self.session.take() else {
            return self.spent;
        };
        let leaving = async {
            // One that takes no more orders is leaving already.
            let _ = session.commands.send(SessionCommand::Close).await;
            while let Some(event) = session.events.recv().await {
                match event {
                    SessionEvent::TurnEnded { usage, .. } => self.spent.used(usage),
                    SessionEvent::Closed { .. } => break,
                    SessionEvent::Update(_)
                    | SessionEvent::ToolAsked { .. }
                    | SessionEvent::Withdrawn { .. }
                    | SessionEvent::Called { .. }
                    | SessionEvent::ProcessEnded { .. } => {}
                }
            }
        };
        if timeout(LEAVING_LIMIT, leaving).await.is_err() {
            tracing::warn!("a planner's session did not end and is left to its backend");
        }
        self.spent
    }
}

fn gone() -> String {
    "Claude Code gave no answer: its session ended. Plan again".to_owned()
}

fn no_answer(outcome: &TurnOutcome) -> String {
    format!("Claude Code gave no answer: {}", outcome.describe())
}

fn answer_of(outcome: TurnOutcome, last_text: String) -> Result<String, String> {
    let TurnOutcome::Completed { text, .. } = outcome else {
        return Err(no_answer(&outcome));
    };
    let answer = if text.trim().is_empty() {
        last_text
    } else {
        text
    };
    if answer.len() > ANSWER_LIMIT {
        return Err(format!(
            "Claude Code answered with more than {ANSWER_LIMIT} bytes"
        ));
    }
    Ok(answer)
}

/// Only what any reader may do without being asked, with one of Prime's own tools.
fn decide(tool: &ToolRequest, place: &Path) -> ToolDecision {
    let is_own = Role::Prime.tools().contains(&tool.tool.as_str());
    let ground = Ground {
        role: Role::Prime,
        permissions: Permissions::Workspace,
        checks: &[],
        allowed_commands: &[],
        place: place_of(tool, place),
    };
    let reason = match judge(tool, &ground) {
        Judgement::Allow if is_own => return ToolDecision::Allow,
        Judgement::Allow => "a planner has only Read, Glob and Grep".to_owned(),
        Judgement::Deny { reason } => reason,
        // Nobody is asked while a plan is made.
        Judgement::Ask { why } => why,
    };
    ToolDecision::Deny { reason }
}

/// Where the request's paths lead. Whatever could lead out is said to do so.
fn place_of(tool: &ToolRequest, place: &Path) -> Place {
    let text = |name: &str| tool.input.get(name)?.as_str();
    let paths = ["file_path", "notebook_path", "path"];
    let paths = paths.iter().filter_map(|name| text(name));
    // A pattern of file names can lead out like a path; one of words cannot.
    let pattern = (tool.tool == "Glob").then(|| text("pattern")).flatten();
    let named: Vec<_> = paths.chain(pattern).collect();
    if named.is_empty() {
        return Place::Unnamed;
    }
    if named.into_iter().all(|named| stays_inside(named, place)) {
        Place::Inside
    } else {
        Place::Outside
    }
}

/// Does the path stay in `place`, with all links followed?
fn stays_inside(named: &str, place: &Path) -> bool {
    let goes_up = Path::new(named)
        .components()
        .any(|part| part == Component::ParentDir);
    // The agent program cuts blanks off and takes `~` for the home folder.
    if goes_up || named != named.trim() || named.starts_with('~') || named.contains('\0') {
        return false;
    }
    let Ok(place) = place.canonicalize() else {
        return false;
    };
    let path = place.join(named);
    // Of what is not there, the folder that would hold it counts.
    let real = path.ancestors().find_map(|path| path.canonicalize().ok());
    real.is_some_and(|real| real.starts_with(&place))
}
