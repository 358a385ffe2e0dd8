//! One process's conversation with us, as a state machine without input or output.
//!
//! Owns which turn a line belongs to, who waits for an answer, and how a turn or the whole
//! process is brought to an end step by step. It is told what happened and when, and answers
//! what is to be done; `carrier` does it. So every ending, and every wait, is tested without
//! a process and without a clock.

use super::{
    install::Version,
    mcp,
    memory::{self, Unrecorded},
    translate::{self, Seen, Totals},
    wire::{
        Account, Answer, ApiRetry, Asked, CommandState, Content, ContextUsage, ControlAnswer, Line,
        Prompt, Request, ResultLine, Said, Spoken, System,
    },
};
use crate::{CallReply, RequestKey, SessionCommand, SessionEvent, SessionSpec, ToolDecision};
use nexus_core::{ProcessEnd, SessionId, ToolRequest, TurnOutcome, TurnUpdate, Usage};
use nexus_process::Ended;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{borrow::Cow, collections::HashMap, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// How long a process may take to accept its first prompt. A first start after an
/// installation reads the program from a cold disk and takes several seconds.
const OPENING_LIMIT: Duration = Duration::from_secs(60);
/// How long a resumed process may take to say what it remembers. It counts tokens with the
/// model service for that, which may be out of reach.
const PROBE_LIMIT: Duration = Duration::from_secs(15);
/// How long an interrupt may take. It is answered in well under a second by an idle machine.
const INTERRUPT_GRACE: Duration = Duration::from_secs(5);
/// How long the process may take to end after its input was closed.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// How long the process may take to end after SIGTERM.
const TERMINATE_GRACE: Duration = Duration::from_secs(5);

/// Our name for the request that opens the conversation.
const INITIALIZE: &str = "initialize";
const INTERRUPT: &str = "interrupt";
/// Our name for the question what the program remembers.
const PROBE: &str = "memory";

/// Something the carrier has to do.
#[derive(Debug)]
pub(crate) enum Act {
    /// Write this line to the process.
    Write(String),
    /// The process accepts prompts now; or it never will, and is gone.
    Opened(Result<(), TurnOutcome>),
    Tell(SessionEvent),
    CloseInput,
    /// SIGTERM to the process.
    Terminate,
    /// End the process and everything it started.
    Kill,
}

/// What matters about the program and how it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// A login's token may be refreshed after a refusal; a key stays refused.
    pub(crate) by_login: bool,
    pub(crate) version: Version,
}

/// What is known of the session's past when its process starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Past {
    /// The process was told to carry on an earlier conversation.
    pub(crate) resumed: bool,
    /// Nothing says yet whether it remembers that, so it is asked.
    pub(crate) unproved: bool,
    pub(crate) unrecorded: Unrecorded,
}

#[derive(Debug)]
pub(crate) struct Conversation {
    session: SessionId,
    silence_limit: Duration,
    program: Program,
    past: Past,
    /// How many turns of the session completed; the next prompt has the next number.
    completed: u32,
    /// Told with the next turn.
    note: Option<String>,
    server: mcp::Server,
    state: State,
    stop: Option<Stop>,
    /// Questions that wait for our answer.
    waiting: HashMap<RequestKey, Waiting>,
    totals: Totals,
    /// Used by turns nobody asked for; added to the next turn of ours.
    unasked: Usage,
    /// With that, all of the session's past is paid for.
    covers_lost: bool,
    /// The program says which prompt it works on. Older versions do not.
    has_lifecycle: bool,
}

#[derive(Debug)]
enum State {
    Opening {
        until: Instant,
    },
    /// It is open, and was asked what it remembers.
    Probing {
        until: Instant,
    },
    Idle,
    Turn(Turn),
    /// It never accepted a prompt; that is told when the process is gone.
    NeverOpened,
    /// Not usable any more; only the end of the process is awaited.
    Leaving,
}

#[derive(Debug)]
struct Turn {
    prompt: Uuid,
    /// The program has begun to work on the prompt.
    begun: bool,
    started: Instant,
    last_sign: Instant,
    seen: Seen,
}

/// Something is being brought to an end.
#[derive(Debug)]
struct Stop {
    why: TurnOutcome,
    /// The process is to end, and not only the turn.
    process: bool,
    next: Option<(Instant, Measure)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Terminate,
    Kill,
}

#[derive(Debug)]
enum Waiting {
    /// May this tool be used with this input?
    Tool { input: Value },
    /// A `nexus` tool call with its JSON-RPC id.
    Call { id: Value },
}

impl Conversation {
    /// The conversation of a process that was just started, with the first line to write.
    pub(crate) fn open(
        spec: &SessionSpec,
        program: Program,
        past: Past,
        now: Instant,
    ) -> (Self, Vec<Act>) {
        let initialize = Said::ControlRequest {
            request_id: INITIALIZE,
            request: Request::Initialize {
                append_system_prompt: &spec.system_prompt,
                sdk_mcp_servers: &[mcp::SERVER],
            },
        };
        let conversation = Self {
            session: spec.session,
            silence_limit: spec.silence_limit,
            program,
            past,
            completed: spec.recorded.turns,
            note: None,
            server: mcp::Server::new(),
            state: State::Opening {
                until: now + OPENING_LIMIT,
            },
            stop: None,
            waiting: HashMap::new(),
            totals: Totals::default(),
            // What a kill kept from being recorded is paid for by the next turn.
            unasked: past.unrecorded.used,
            covers_lost: past.unrecorded.is_all,
            has_lifecycle: false,
        };
        (conversation, vec![write(&initialize)])
    }

    /// The engine wants something. `prompt` is a fresh id, in case it is a prompt.
    pub(crate) fn command(
        &mut self,
        command: SessionCommand,
        prompt: Uuid,
        now: Instant,
    ) -> Vec<Act> {
        match command {
            SessionCommand::Prompt(text) => self.begin(&text, prompt, now),
            SessionCommand::Interrupt => self.stop_turn(TurnOutcome::Interrupted, now),
            SessionCommand::Decide { request, decision } => self.decide(&request, decision, now),
            SessionCommand::Reply { call, reply } => self.reply(&call, &reply, now),
            SessionCommand::Close => self.close(now),
        }
    }

    fn begin(&mut self, text: &str, prompt: Uuid, now: Instant) -> Vec<Act> {
        if !matches!(self.state, State::Idle) {
            tracing::warn!(session = %self.session, "a prompt came while none can be taken");
            return Vec::new();
        }
        self.state = State::Turn(Turn {
            prompt,
            begun: false,
            started: now,
            last_sign: now,
            seen: Seen::default(),
        });
        let content = inert(text, self.program.version);
        let content = memory::marked(&content, self.session, self.completed.saturating_add(1));
        let note = self.note.take().map(|text| TurnUpdate::Note { text });
        let note = note.map(|note| Act::Tell(SessionEvent::Update(note)));
        let prompt = write(&Said::User {
            message: Prompt {
                role: "user",
                content: &content,
            },
            parent_tool_use_id: None,
            uuid: prompt,
            client_composed: true,
        });
        [prompt].into_iter().chain(note).collect()
    }

    /// Asks the program to stop its turn; SIGTERM and the kill follow when it does not.
    fn stop_turn(&mut self, why: TurnOutcome, now: Instant) -> Vec<Act> {
        if !matches!(self.state, State::Turn(_)) || self.stop.is_some() {
            return Vec::new();
        }
        self.stop = Some(Stop {
            why,
            process: false,
            next: Some((now + INTERRUPT_GRACE, Measure::Terminate)),
        });
        vec![interrupt()]
    }

    fn close(&mut self, now: Instant) -> Vec<Act> {
        if self.stop.as_ref().is_some_and(|stop| stop.process) {
            return Vec::new();
        }
        let why = match self.stop.take() {
            Some(stop) => stop.why,
            None => TurnOutcome::Interrupted,
        };
        self.stop = Some(Stop {
            why,
            process: true,
            next: Some((now + CLOSE_GRACE, Measure::Terminate)),
        });
        // A running turn would be finished first, and might never be.
        let interrupt = matches!(self.state, State::Turn(_)).then(interrupt);
        interrupt.into_iter().chain([Act::CloseInput]).collect()
    }

    fn decide(&mut self, key: &RequestKey, decision: ToolDecision, now: Instant) -> Vec<Act> {
        let Some(Waiting::Tool { input }) = self.waiting.remove(key) else {
            return Vec::new();
        };
        self.sign_of_life(now);
        let response = match decision {
            // The input goes back as it came, so that what runs is what was decided on.
            ToolDecision::Allow => json!({"behavior": "allow", "updatedInput": input}),
            ToolDecision::Deny { reason } => json!({"behavior": "deny", "message": reason}),
            ToolDecision::Answered { answers } => {
                json!({"behavior": "allow", "updatedInput": with_answers(input, answers)})
            }
        };
        vec![answer(&key.0, response)]
    }

    fn reply(&mut self, key: &RequestKey, reply: &CallReply, now: Instant) -> Vec<Act> {
        let Some(Waiting::Call { id }) = self.waiting.remove(key) else {
            return Vec::new();
        };
        self.sign_of_life(now);
        let response = match reply {
            CallReply::Done { text } => mcp::done(&id, text),
            CallReply::Failed { reason } => mcp::failed(&id, reason),
        };
        vec![answer_mcp(&key.0, &response)]
    }

    /// The process wrote a line.
    pub(crate) fn line(&mut self, raw: &str, now: Instant) -> Vec<Act> {
        if raw.trim().is_empty() {
            return Vec::new();
        }
        self.sign_of_life(now);
        match serde_json::from_str::<Line>(raw) {
            Ok(line) => self.understood(&line, raw, now),
            Err(_) => self.unreadable(raw, now),
        }
    }

    fn understood(&mut self, line: &Line, raw: &str, now: Instant) -> Vec<Act> {
        let mut acts = self.show(line, raw);
        acts.extend(match line {
            Line::Result(result) => self.result(result, raw, now),
            Line::ControlRequest {
                request_id,
                request,
            } => self.asked(request_id, request),
            Line::ControlCancelRequest { request_id } => {
                self.withdraw(&RequestKey(request_id.clone()))
            }
            Line::ControlResponse { response } => self.answered(response, now),
            Line::System(System::Init { session_id }) => self.turn_begins(session_id, now),
            Line::System(System::ApiRetry(retry)) if is_refusal(retry) => {
                self.refused_login(retry, now)
            }
            Line::RateLimitEvent { rate_limit_info } => {
                if let State::Turn(turn) = &mut self.state
                    && translate::is_rejected(rate_limit_info)
                {
                    turn.seen.limit = Some(translate::limit_until(rate_limit_info));
                }
                Vec::new()
            }
            Line::CommandLifecycle {
                command_uuid,
                state,
            } => {
                self.has_lifecycle = true;
                if let State::Turn(turn) = &mut self.state
                    && *state == CommandState::Started
                    && *command_uuid == turn.prompt.to_string()
                {
                    turn.begun = true;
                }
                Vec::new()
            }
            Line::Assistant(spoken) => {
                self.remember(spoken);
                Vec::new()
            }
            Line::System(_)
            | Line::User(_)
            | Line::StreamEvent(_)
            | Line::KeepAlive
            | Line::Unknown => Vec::new(),
        });
        acts
    }

    /// Updates are told while a turn of ours runs, and only then.
    fn show(&self, line: &Line, raw: &str) -> Vec<Act> {
        if !matches!(self.state, State::Turn(_)) {
            return Vec::new();
        }
        let updates = translate::updates(line, raw).into_iter();
        updates
            .map(|update| Act::Tell(SessionEvent::Update(update)))
            .collect()
    }

    fn remember(&mut self, spoken: &Spoken) {
        let State::Turn(turn) = &mut self.state else {
            return;
        };
        if spoken.error.is_some() {
            turn.seen.error_kind.clone_from(&spoken.error);
        }
        let by_agent = spoken.parent_tool_use_id.is_none() && spoken.error.is_none();
        if let Content::Blocks(blocks) = &spoken.message.content
            && by_agent
        {
            for block in blocks {
                if let super::wire::Block::Text { text } = block {
                    turn.seen.last_text.clone_from(text);
                }
            }
        }
    }

    /// A line that is not JSON, or not shaped like the kind it says it is.
    fn unreadable(&mut self, raw: &str, now: Instant) -> Vec<Act> {
        #[derive(Deserialize)]
        struct Kind {
            r#type: String,
            #[serde(default)]
            request_id: Option<String>,
        }
        let kind = serde_json::from_str::<Kind>(raw).ok();
        let request = kind.as_ref().and_then(|kind| kind.request_id.as_deref());
        match (&self.state, kind.as_ref().map(|kind| kind.r#type.as_str())) {
            (State::Opening { .. } | State::Probing { .. }, _) => {
                self.never_opened(bad_protocol(raw), now)
            }
            // Without its result the turn would wait for ever.
            (State::Turn(_), Some("result")) => {
                self.end_turn(bad_protocol(raw), Usage::default(), now)
            }
            (_, Some("control_request")) => request
                .map(|request| refuse(request, "NEXUS could not read this request"))
                .into_iter()
                .collect(),
            (State::Turn(_), _) => {
                vec![Act::Tell(SessionEvent::Update(translate::unknown(raw)))]
            }
            (State::Idle | State::NeverOpened | State::Leaving, _) => Vec::new(),
        }
    }

    /// A line that was longer than the reader keeps; `beginning` is what it kept.
    pub(crate) fn overlong(&mut self, beginning: &str, now: Instant) -> Vec<Act> {
        self.sign_of_life(now);
        match self.state {
            State::Opening { .. } | State::Probing { .. } => {
                self.never_opened(bad_protocol(beginning), now)
            }
            State::Turn(_) => {
                let update = translate::unknown(beginning);
                vec![Act::Tell(SessionEvent::Update(update))]
            }
            State::Idle | State::NeverOpened | State::Leaving => Vec::new(),
        }
    }

    fn answered(&mut self, response: &ControlAnswer, now: Instant) -> Vec<Act> {
        match (&self.state, response) {
            (
                State::Opening { .. },
                ControlAnswer::Success {
                    request_id,
                    response,
                },
            ) if request_id == INITIALIZE => self.opened(response, now),
            (State::Opening { .. }, ControlAnswer::Error { request_id, error })
                if request_id == INITIALIZE =>
            {
                let message = format!("it refused to start a session: {error}");
                self.never_opened(TurnOutcome::CouldNotStart { message }, now)
            }
            (
                State::Probing { .. },
                ControlAnswer::Success {
                    request_id,
                    response,
                },
            ) if request_id == PROBE => self.remembers(response, now),
            (State::Probing { .. }, ControlAnswer::Error { request_id, .. })
                if request_id == PROBE =>
            {
                self.carry_on_unproved()
            }
            // Nobody waits for these: answers to an interrupt, given twice, or to nothing.
            (
                State::Opening { .. }
                | State::Probing { .. }
                | State::Idle
                | State::Turn(_)
                | State::NeverOpened
                | State::Leaving,
                ControlAnswer::Success { .. }
                | ControlAnswer::Error { .. }
                | ControlAnswer::Unknown,
            ) => Vec::new(),
        }
    }

    fn opened(&mut self, response: &Value, now: Instant) -> Vec<Act> {
        let account = response.get("account").cloned().unwrap_or_default();
        let account: Account = serde_json::from_value(account).unwrap_or_default();
        if has_no_credential(&account) {
            let message = "Claude Code has neither a login nor a key".to_owned();
            return self.never_opened(TurnOutcome::AuthRequired { message }, now);
        }
        if self.past.resumed && self.past.unproved {
            self.state = State::Probing {
                until: now + PROBE_LIMIT,
            };
            return vec![write(&Said::ControlRequest {
                request_id: PROBE,
                request: Request::GetContextUsage,
            })];
        }
        self.accept_prompts()
    }

    fn accept_prompts(&mut self) -> Vec<Act> {
        self.state = State::Idle;
        vec![Act::Opened(Ok(()))]
    }

    /// The program says how full its context is.
    fn remembers(&mut self, response: &Value, now: Instant) -> Vec<Act> {
        let Ok(usage) = ContextUsage::deserialize(response) else {
            return self.carry_on_unproved();
        };
        let said = usage.message_breakdown;
        if said.user_message_tokens > 0 || said.assistant_message_tokens > 0 {
            return self.accept_prompts();
        }
        let message = "the program carried it on with an empty memory".to_owned();
        self.never_opened(TurnOutcome::SessionLost { message }, now)
    }

    fn carry_on_unproved(&mut self) -> Vec<Act> {
        let version = self.program.version;
        self.note = Some(format!(
            "Claude Code {version} carries this conversation on, and gives NEXUS no way to see what it remembers of it"
        ));
        self.accept_prompts()
    }

    fn never_opened(&mut self, why: TurnOutcome, now: Instant) -> Vec<Act> {
        self.state = State::NeverOpened;
        self.stop = Some(Stop {
            why,
            process: true,
            next: Some((now + TERMINATE_GRACE, Measure::Kill)),
        });
        vec![Act::CloseInput, Act::Terminate]
    }

    /// The program asks for something and waits.
    fn asked(&mut self, key: &str, request: &Value) -> Vec<Act> {
        match Asked::deserialize(request) {
            Ok(Asked::CanUseTool { tool_name, input }) => self.tool_asked(key, tool_name, input),
            Ok(Asked::McpMessage {
                server_name,
                message,
            }) if server_name == mcp::SERVER => self.mcp(key, &message),
            Ok(Asked::McpMessage { .. } | Asked::Unknown) | Err(_) => {
                vec![refuse(key, "NEXUS does not offer this")]
            }
        }
    }

    fn tool_asked(&mut self, key: &str, tool: String, input: Value) -> Vec<Act> {
        if !matches!(self.state, State::Turn(_)) {
            let response = json!({"behavior": "deny", "message": "no step of the task is running"});
            return vec![answer(key, response)];
        }
        let request = RequestKey(key.to_owned());
        if self.waiting.contains_key(&request) {
            return Vec::new();
        }
        let waiting = Waiting::Tool {
            input: input.clone(),
        };
        self.waiting.insert(request.clone(), waiting);
        vec![Act::Tell(SessionEvent::ToolAsked {
            request,
            tool: ToolRequest { tool, input },
        })]
    }

    fn mcp(&mut self, key: &str, message: &Value) -> Vec<Act> {
        match self.server.hear(message) {
            mcp::Heard::Answer(response) => vec![answer_mcp(key, &response)],
            mcp::Heard::Call { id, body } => {
                if !matches!(self.state, State::Turn(_)) {
                    let response = mcp::failed(&id, "no step of the task is running");
                    return vec![answer_mcp(key, &response)];
                }
                let call = RequestKey(key.to_owned());
                if self.waiting.contains_key(&call) {
                    return Vec::new();
                }
                self.waiting.insert(call.clone(), Waiting::Call { id });
                vec![Act::Tell(SessionEvent::Called { call, body })]
            }
            mcp::Heard::Cancelled { id: cancelled } => {
                let waits = |waiting: &Waiting| match waiting {
                    Waiting::Call { id } => *id == cancelled,
                    Waiting::Tool { .. } => false,
                };
                let call = self.waiting.iter().find(|(_, waiting)| waits(waiting));
                let call = call.map(|(call, _)| call.clone());
                let mut acts = vec![answer_mcp(key, &mcp::acknowledgement())];
                acts.extend(call.into_iter().flat_map(|call| self.withdraw(&call)));
                acts
            }
        }
    }

    fn withdraw(&mut self, request: &RequestKey) -> Vec<Act> {
        let waited = self.waiting.remove(request);
        let request = request.clone();
        let withdrawn = waited.map(|_| Act::Tell(SessionEvent::Withdrawn { request }));
        withdrawn.into_iter().collect()
    }

    /// The key or login was refused and will be refused again. The program would try for
    /// minutes.
    fn refused_login(&mut self, retry: &ApiRetry, now: Instant) -> Vec<Act> {
        // The first refusal of a login makes the program fetch a new token.
        if self.program.by_login && retry.attempt < 2 {
            return Vec::new();
        }
        let what = if self.program.by_login {
            "login"
        } else {
            "key"
        };
        let why = match retry.error_status {
            Some(status) => format!("with status {status}"),
            None => "by the model service".to_owned(),
        };
        let message = format!("the {what} was refused {why}");
        self.stop_turn(TurnOutcome::AuthRequired { message }, now)
    }

    fn turn_begins(&mut self, session: &str, now: Instant) -> Vec<Act> {
        if !matches!(self.state, State::Turn(_)) {
            return Vec::new();
        }
        if session != self.session.to_string() {
            self.covers_lost = false;
            return self.abandon(self.other_session(session), Usage::default(), now);
        }
        // An interrupt that came before the turn had begun was answered and forgotten.
        let stopping = self.stop.as_ref().is_some_and(|stop| !stop.process);
        stopping.then(interrupt).into_iter().collect()
    }

    fn other_session(&self, session: &str) -> TurnOutcome {
        TurnOutcome::SessionLost {
            message: format!(
                "the program answered in session {session} instead of {}",
                self.session
            ),
        }
    }

    fn result(&mut self, result: &ResultLine, raw: &str, now: Instant) -> Vec<Act> {
        let used = self.totals.used(result);
        match &self.state {
            State::Opening { .. } | State::Probing { .. } => {
                let why = if result.is_error {
                    self.refusal_to_open(result)
                } else {
                    bad_protocol(raw)
                };
                self.never_opened(why, now)
            }
            State::Turn(turn) if self.closes(turn, result) => {
                let own = self.session.to_string();
                let other = result.session_id.as_ref().filter(|id| **id != own);
                let outcome = match other {
                    Some(other) => self.other_session(other),
                    None => translate::outcome(result, &turn.seen),
                };
                if matches!(outcome, TurnOutcome::SessionLost { .. }) {
                    return self.abandon(outcome, used, now);
                }
                self.end_turn(outcome, used, now)
            }
            State::Turn(_) | State::Idle => {
                self.unasked = self.unasked.plus(used);
                Vec::new()
            }
            State::NeverOpened | State::Leaving => Vec::new(),
        }
    }

    /// Whatever keeps a resumed process from its conversation, the conversation is lost with it.
    fn refusal_to_open(&self, result: &ResultLine) -> TurnOutcome {
        let outcome = translate::outcome(result, &Seen::default());
        if let TurnOutcome::Refused { message } = &outcome
            && self.past.resumed
        {
            let message = message.clone();
            return TurnOutcome::SessionLost { message };
        }
        outcome
    }

    /// Is this the result of our prompt, and not of a turn that nobody asked for?
    fn closes(&self, turn: &Turn, result: &ResultLine) -> bool {
        if result.origin.is_some() {
            return false;
        }
        let prompt = turn.prompt.to_string();
        match (&result.user_message_uuids, &result.user_message_uuid) {
            (Some(uuids), _) => uuids.contains(&prompt),
            (None, Some(uuid)) => *uuid == prompt,
            (None, None) => turn.begun || !self.has_lifecycle,
        }
    }

    /// Ends the turn. What we stopped ends as we said, whatever came of it meanwhile.
    fn end_turn(&mut self, outcome: TurnOutcome, used: Usage, now: Instant) -> Vec<Act> {
        let next = match &self.stop {
            Some(stop) if stop.process => State::Leaving,
            Some(_) | None => State::Idle,
        };
        let State::Turn(turn) = std::mem::replace(&mut self.state, next) else {
            return Vec::new();
        };
        let outcome = match self.stop.take_if(|stop| !stop.process) {
            Some(stop) => stop.why,
            None => match &self.stop {
                Some(stop) => stop.why.clone(),
                None => outcome,
            },
        };
        if matches!(outcome, TurnOutcome::Completed { .. }) {
            self.completed = self.completed.saturating_add(1);
        }
        let mut acts: Vec<_> = self
            .waiting
            .drain()
            .map(|(request, _)| Act::Tell(SessionEvent::Withdrawn { request }))
            .collect();
        acts.push(Act::Tell(SessionEvent::TurnEnded {
            outcome,
            usage: used.plus(std::mem::take(&mut self.unasked)),
            covers_lost: std::mem::take(&mut self.covers_lost),
            duration: now - turn.started,
        }));
        acts
    }

    /// Ends the turn and the process with it: this session is of no more use.
    fn abandon(&mut self, why: TurnOutcome, used: Usage, now: Instant) -> Vec<Act> {
        let mut acts = self.end_turn(why.clone(), used, now);
        self.state = State::Leaving;
        self.stop = Some(Stop {
            why,
            process: true,
            next: Some((now + TERMINATE_GRACE, Measure::Kill)),
        });
        acts.extend([Act::CloseInput, Act::Terminate]);
        acts
    }

    /// When `due` wants to be called, if nothing else happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if let Some(stop) = &self.stop {
            return stop.next.map(|(at, _)| at);
        }
        match &self.state {
            State::Opening { until } | State::Probing { until } => Some(*until),
            State::Turn(turn) if self.waiting.is_empty() => {
                Some(turn.last_sign + self.silence_limit)
            }
            State::Turn(_) | State::Idle | State::NeverOpened | State::Leaving => None,
        }
    }

    /// A deadline has come.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Act> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        if let Some(stop) = &mut self.stop {
            return stop.escalate(now);
        }
        match &self.state {
            State::Opening { .. } => {
                let seconds = OPENING_LIMIT.as_secs();
                let message = format!("it did not get ready within {seconds} s");
                self.never_opened(TurnOutcome::CouldNotStart { message }, now)
            }
            State::Probing { .. } => self.carry_on_unproved(),
            State::Turn(_) => {
                let silent_seconds = self.silence_limit.as_secs();
                self.stop_turn(TurnOutcome::TimedOut { silent_seconds }, now)
            }
            State::Idle | State::NeverOpened | State::Leaving => Vec::new(),
        }
    }

    /// The process and everything it started are gone. `stderr` is the end of what it wrote
    /// there.
    pub(crate) fn gone(&mut self, end: Ended, stderr: &str, now: Instant) -> Vec<Act> {
        let how = match &self.stop {
            Some(stop) => stop.why.clone(),
            None => self.ending(&end, stderr),
        };
        if matches!(
            self.state,
            State::Opening { .. } | State::Probing { .. } | State::NeverOpened
        ) {
            self.state = State::Leaving;
            return vec![Act::Opened(Err(how))];
        }
        // What this turn used is lost in its turn.
        self.covers_lost = false;
        let end = self.process_end(&end);
        let mut acts = self.end_turn(how.clone(), Usage::default(), now);
        self.state = State::Leaving;
        acts.push(Act::Tell(SessionEvent::ProcessEnded { end }));
        acts.push(Act::Tell(SessionEvent::Closed { how }));
        acts
    }

    /// What the end of a process means that nobody had asked to end.
    fn ending(&self, end: &Ended, stderr: &str) -> TurnOutcome {
        let stderr = stderr.trim().to_owned();
        if stderr.contains(translate::NO_CONVERSATION) {
            return TurnOutcome::SessionLost { message: stderr };
        }
        let opening = matches!(self.state, State::Opening { .. } | State::Probing { .. });
        match end {
            // So it ends when it cannot resume, and does not always say so.
            Ended::Exited { code: 1 } if opening && self.past.resumed => {
                let message =
                    format!("the program ended with code 1 instead of resuming: {stderr}");
                TurnOutcome::SessionLost { message }
            }
            Ended::Exited { code } => TurnOutcome::Exited {
                code: *code,
                stderr,
            },
            Ended::Signalled { signal } => TurnOutcome::Signalled {
                signal: *signal,
                stderr,
            },
            // What was left of the process was killed then.
            Ended::GuardLost => TurnOutcome::Signalled { signal: 9, stderr },
        }
    }

    /// How the process ended, and whether that was asked of it.
    fn process_end(&self, end: &Ended) -> ProcessEnd {
        let asked = self.stop.as_ref().filter(|stop| stop.process);
        // Nothing follows the kill.
        let killed = asked.is_some_and(|stop| stop.next.is_none());
        match (*end, asked.is_some()) {
            // It was asked by the end of its input, and then by SIGTERM.
            (Ended::Exited { .. } | Ended::Signalled { signal: 15 }, true) => ProcessEnd::Closed,
            (Ended::Signalled { signal: 9 }, true) if killed => ProcessEnd::Killed,
            (Ended::GuardLost, _) => ProcessEnd::Killed,
            (Ended::Exited { code }, false) => ProcessEnd::Exited { code },
            (Ended::Signalled { signal }, _) => ProcessEnd::Signalled { signal },
        }
    }

    /// The program wrote something, whatever it was.
    pub(crate) fn sign_of_life(&mut self, now: Instant) {
        if let State::Turn(turn) = &mut self.state {
            turn.last_sign = now;
        }
    }
}

impl Stop {
    fn escalate(&mut self, now: Instant) -> Vec<Act> {
        match self.next.take() {
            Some((_, Measure::Terminate)) => {
                self.process = true;
                self.next = Some((now + TERMINATE_GRACE, Measure::Kill));
                vec![Act::CloseInput, Act::Terminate]
            }
            Some((_, Measure::Kill)) => vec![Act::Kill],
            None => Vec::new(),
        }
    }
}

/// Does the service refuse who asks?
fn is_refusal(retry: &ApiRetry) -> bool {
    match retry.error_status {
        Some(status) => matches!(status, 401 | 403),
        None => retry.error.as_deref() == Some("authentication_failed"),
    }
}

/// Both versions we know say it like this when they would answer "Not logged in".
fn has_no_credential(account: &Account) -> bool {
    let none = |source: &Option<String>| source.as_deref().is_none_or(|source| source == "none");
    account.token_source.as_deref() == Some("none")
        && none(&account.api_key_source)
        && account.subscription_type.is_none()
        && account.api_provider.as_deref() == Some("firstParty")
}

fn with_answers(mut input: Value, answers: Vec<(String, String)>) -> Value {
    if let Some(fields) = input.as_object_mut() {
        let answers = answers
            .into_iter()
            .map(|(question, answer)| (question, Value::from(answer)));
        fields.insert("answers".to_owned(), Value::Object(answers.collect()));
    }
    input
}

/// The first tested version that obeys `client_composed`.
const TAKES_PROMPTS_AS_TEXT: Version = Version::new(2, 1, 330);

/// The prompt as the program takes it for mere text.
///
/// Older versions run a prompt that begins with `/` as a command, and put the content of every
/// `@path` into it without asking, which would let quoted text of an agent read any file. An
/// invisible character that joins words makes both into nothing special.
fn inert(text: &str, version: Version) -> Cow<'_, str> {
    if version >= TAKES_PROMPTS_AS_TEXT {
        return text.into();
    }
    let text = text.replace('@', "@\u{2060}");
    if text.trim_start().starts_with('/') {
        return format!("\u{2060}{text}").into();
    }
    text.into()
}

fn bad_protocol(raw: &str) -> TurnOutcome {
    TurnOutcome::BadProtocol {
        line: translate::cut(raw, TurnUpdate::OUTPUT_LIMIT),
    }
}

fn write(said: &Said<'_>) -> Act {
    Act::Write(said.to_line())
}

fn interrupt() -> Act {
    write(&Said::ControlRequest {
        request_id: INTERRUPT,
        request: Request::Interrupt,
    })
}

fn answer(request_id: &str, response: Value) -> Act {
    write(&Said::ControlResponse {
        response: Answer::Success {
            request_id,
            response,
        },
    })
}

fn answer_mcp(request_id: &str, response: &Value) -> Act {
    answer(request_id, json!({ "mcp_response": response }))
}

fn refuse(request_id: &str, error: &str) -> Act {
    write(&Said::ControlResponse {
        response: Answer::Error { request_id, error },
    })
}

#[cfg(test)]
mod tests;
