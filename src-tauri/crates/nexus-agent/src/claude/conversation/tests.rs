use super::*;
use crate::Recorded;
use nexus_core::{Role, TaskId, Usd};

const SILENCE: Duration = Duration::from_secs(300);

/// A conversation with a clock that only moves when told to.
struct Play {
    conversation: Conversation,
    now: Instant,
    prompts: u128,
}

fn spec() -> SessionSpec {
    let task = TaskId::new(Uuid::from_u128(7));
    SessionSpec {
        task,
        role: Role::Code,
        session: "07aeca62-6702-448f-b829-3faa6ea349c5".parse().unwrap(),
        resume: false,
        workspace: "/home/me/project".into(),
        system_prompt: "You are Code".to_owned(),
        budget: None,
        silence_limit: SILENCE,
        recorded: Recorded::default(),
    }
}

/// The program accepts prompts.
fn initialized() -> Value {
    answered(
        "initialize",
        json!({"account": {"tokenSource": "none", "apiKeySource": "ANTHROPIC_API_KEY",
            "apiProvider": "firstParty"}}),
    )
}

fn answered(request: &str, response: Value) -> Value {
    json!({"type": "control_response", "response":
        {"subtype": "success", "request_id": request, "response": response}})
}

fn context(user: u64, assistant: u64) -> Value {
    let said = json!({"userMessageTokens": user, "assistantMessageTokens": assistant});
    answered(
        "memory",
        json!({"totalTokens": 3436, "messageBreakdown": said}),
    )
}

impl Play {
    /// Just started; nothing answered yet.
    fn opening(by_login: bool) -> Self {
        Self::with_past(by_login, Past::default())
    }

    /// Resumed, with nothing to prove its memory; nothing answered yet.
    fn resuming() -> Self {
        let past = Past {
            resumed: true,
            unproved: true,
            unrecorded: Unrecorded::default(),
        };
        Self::with_past(false, past)
    }

    fn with_past(by_login: bool, past: Past) -> Self {
        let now = Instant::now();
        let program = Program {
            by_login,
            version: Version::new(2, 1, 330),
        };
        let (conversation, first) = Conversation::open(&spec(), program, past, now);
        assert!(matches!(first.as_slice(), [Act::Write(line)] if line.contains("initialize")));
        Self {
            conversation,
            now,
            prompts: 0,
        }
    }

    /// Ready for a prompt.
    fn ready() -> Self {
        let mut play = Self::opening(false);
        let acts = play.hears(initialized());
        assert!(matches!(acts.as_slice(), [Act::Opened(Ok(()))]), "{acts:?}");
        play
    }

    /// In the middle of a turn.
    fn in_a_turn() -> Self {
        let mut play = Self::ready();
        let acts = play.ordered(SessionCommand::Prompt("do it".to_owned()));
        assert!(matches!(acts.as_slice(), [Act::Write(line)] if line.contains("do it")));
        play
    }

    fn hears(&mut self, line: Value) -> Vec<Act> {
        self.hears_raw(&line.to_string())
    }

    fn hears_raw(&mut self, line: &str) -> Vec<Act> {
        self.conversation.line(line, self.now)
    }

    fn ordered(&mut self, command: SessionCommand) -> Vec<Act> {
        if matches!(command, SessionCommand::Prompt(_)) {
            self.prompts += 1;
        }
        self.conversation.command(command, self.prompt(), self.now)
    }

    /// The id of the prompt that was given last: the one the recorded session has.
    fn prompt(&self) -> Uuid {
        Uuid::from_u128(0x4000_8000_0000_0000_0000 + self.prompts)
    }

    /// Lets the time until the next deadline pass.
    fn waits(&mut self) -> Vec<Act> {
        self.now = self.conversation.deadline().expect("something is awaited");
        self.conversation.due(self.now)
    }

    fn ends(&mut self, ended: Ended) -> Vec<Act> {
        self.conversation.gone(ended, "last words\n", self.now)
    }

    fn result_of_ours(&mut self, more: Value) -> Vec<Act> {
        let prompt = self.prompt();
        let mut line = json!({"type": "result", "subtype": "success", "is_error": false,
            "result": "done", "user_message_uuid": prompt, "session_id": spec().session,
            "model_usage_since_last_result": {"m": {"inputTokens": 100, "costUSD": 0.0008}}});
        let fields = line.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        self.hears(line)
    }
}

fn is_interrupt(act: &Act) -> bool {
    matches!(act, Act::Write(line) if line.contains(r#""subtype":"interrupt""#))
}

/// The outcome and usage of the one turn that ended in these acts.
fn ended_turn(acts: &[Act]) -> (&TurnOutcome, &Usage) {
    let ended: Vec<_> = acts
        .iter()
        .filter_map(|act| {
            if let Act::Tell(SessionEvent::TurnEnded { outcome, usage, .. }) = act {
                Some((outcome, usage))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(ended.len(), 1, "{acts:?}");
    ended[0]
}

fn process_end(acts: &[Act]) -> ProcessEnd {
    match acts.get(acts.len() - 2) {
        Some(Act::Tell(SessionEvent::ProcessEnded { end })) => *end,
        other => panic!("{other:?}"),
    }
}

fn closed(acts: &[Act]) -> &TurnOutcome {
    match acts.last() {
        Some(Act::Tell(SessionEvent::Closed { how })) => how,
        other => panic!("{other:?}"),
    }
}

impl Play {
    /// What an engine orders after this act, in the recorded session.
    fn engine_would(&mut self, act: &Act) -> Vec<Act> {
        if let Act::Opened(Ok(())) = act {
            return self.ordered(SessionCommand::Prompt("all tools".to_owned()));
        }
        let Act::Tell(event) = act else {
            return Vec::new();
        };
        let order = match event {
            SessionEvent::ToolAsked { request, tool } => SessionCommand::Decide {
                request: request.clone(),
                decision: match tool.tool.as_str() {
                    "Write" => ToolDecision::Allow,
                    "AskUserQuestion" => ToolDecision::Answered {
                        answers: vec![("Which database?".to_owned(), "SQLite".to_owned())],
                    },
                    _ => ToolDecision::Deny {
                        reason: "not here".to_owned(),
                    },
                },
            },
            SessionEvent::Called { call, .. } => SessionCommand::Reply {
                call: call.clone(),
                reply: CallReply::Done {
                    text: "delivered".to_owned(),
                },
            },
            SessionEvent::TurnEnded { .. } if self.prompts == 1 => {
                SessionCommand::Prompt("second".to_owned())
            }
            SessionEvent::TurnEnded { .. }
            | SessionEvent::Update(_)
            | SessionEvent::Withdrawn { .. }
            | SessionEvent::ProcessEnded { .. }
            | SessionEvent::Closed { .. } => return Vec::new(),
        };
        self.ordered(order)
    }
}

/// A real session of two turns with permission questions, a `nexus` call and a question.
const CONTROL: &str = include_str!("../../../tests/fixtures/control-2.1.330.jsonl");

#[test]
fn a_recorded_session_is_carried_from_start_to_end() {
    let mut play = Play::opening(false);
    let mut told = Vec::new();
    for line in CONTROL.lines() {
        let mut queue = std::collections::VecDeque::from(play.hears_raw(line));
        while let Some(act) = queue.pop_front() {
            queue.extend(play.engine_would(&act));
            told.push(act);
        }
    }
    insta::assert_debug_snapshot!(told);
}

#[test]
fn a_session_opens_only_with_a_login_or_a_key() {
    let account = |account: Value| {
        let mut play = Play::opening(true);
        play.hears(
            json!({"type": "control_response", "response": {"subtype": "success",
            "request_id": "initialize", "response": {"account": account}}}),
        )
    };
    let none = account(json!({"tokenSource": "none", "apiProvider": "firstParty"}));
    assert!(
        matches!(none.as_slice(), [Act::CloseInput, Act::Terminate]),
        "{none:?}"
    );
    for good in [
        json!({"subscriptionType": "Claude Max", "apiProvider": "firstParty"}),
        json!({"tokenSource": "none", "apiProvider": "another"}),
        json!({}),
    ] {
        assert!(matches!(account(good).as_slice(), [Act::Opened(Ok(()))]));
    }
}

/// Why the session did not open. Said only when the process is gone.
fn why_never_opened(mut play: Play) -> TurnOutcome {
    let acts = play.ends(Ended::Exited { code: 1 });
    let [Act::Opened(Err(why))] = acts.as_slice() else {
        panic!("{acts:?}");
    };
    why.clone()
}

#[test]
fn a_process_that_does_not_open_says_why() {
    let mut unreadable = Play::opening(false);
    unreadable.hears_raw("Segmentation fault");
    let line = "Segmentation fault".to_owned();
    assert_eq!(
        why_never_opened(unreadable),
        TurnOutcome::BadProtocol { line }
    );

    let mut without_login = Play::opening(true);
    without_login.hears(
        json!({"type": "control_response", "response": {"subtype": "success",
        "request_id": "initialize", "response": {"account":
        {"tokenSource": "none", "apiProvider": "firstParty"}}}}),
    );
    assert_eq!(why_never_opened(without_login).name(), "auth_required");

    let mut lost = Play::opening(false);
    lost.hears(
        json!({"type": "result", "is_error": true, "subtype": "error_during_execution",
        "errors": ["No conversation found with session ID: 7"]}),
    );
    assert_eq!(why_never_opened(lost).name(), "session_lost");

    let mut refused = Play::opening(false);
    refused.hears(json!({"type": "control_response", "response":
        {"subtype": "error", "request_id": "initialize", "error": "no"}}));
    assert_eq!(why_never_opened(refused).name(), "could_not_start");

    let mut silent = Play::opening(false);
    assert!(matches!(
        silent.waits().as_slice(),
        [Act::CloseInput, Act::Terminate]
    ));
    assert!(matches!(silent.waits().as_slice(), [Act::Kill]));
    assert_eq!(why_never_opened(silent).name(), "could_not_start");

    let stderr = "last words".to_owned();
    let ended = why_never_opened(Play::opening(false));
    assert_eq!(ended, TurnOutcome::Exited { code: 1, stderr });
}

#[test]
fn a_result_of_another_turn_ends_nothing_and_is_paid_by_the_next_of_ours() {
    let others = [
        json!({"origin": {"kind": "peer"}, "user_message_uuid": null}),
        json!({"user_message_uuid": Uuid::from_u128(99)}),
        json!({"user_message_uuids": [Uuid::from_u128(99)]}),
    ];
    for other in others {
        let mut play = Play::in_a_turn();
        assert!(play.result_of_ours(other).is_empty());
        let acts = play.result_of_ours(json!({}));
        let (outcome, usage) = ended_turn(&acts);
        assert_eq!(outcome.name(), "completed");
        assert_eq!(usage.cost, Some(Usd::from_micros(1600)));
        assert_eq!(usage.input_tokens, 200);
    }
}

#[test]
fn without_a_name_on_it_a_result_is_ours_once_our_prompt_was_begun() {
    let nameless = json!({"user_message_uuid": null});
    let mut older = Play::in_a_turn();
    ended_turn(&older.result_of_ours(nameless.clone()));

    let mut newer = Play::in_a_turn();
    let lifecycle = |uuid: Uuid, state: &str| json!({"type": "command_lifecycle", "command_uuid": uuid, "state": state});
    newer.hears(lifecycle(Uuid::from_u128(99), "started"));
    assert!(newer.result_of_ours(nameless.clone()).is_empty());
    newer.hears(lifecycle(newer.prompt(), "started"));
    ended_turn(&newer.result_of_ours(nameless));
}

#[test]
fn between_turns_nothing_is_shown_and_nothing_is_granted() {
    let mut play = Play::ready();
    let text =
        json!({"type": "assistant", "message": {"content": [{"type": "text", "text": "boo"}]}});
    assert!(play.hears(text).is_empty());
    assert!(play.hears_raw("not json").is_empty());
    let asked = play.hears(
        json!({"type": "control_request", "request_id": "r", "request":
        {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}}}),
    );
    assert!(matches!(asked.as_slice(), [Act::Write(line)] if line.contains("deny")));
    let called = play.hears(
        json!({"type": "control_request", "request_id": "r", "request":
        {"subtype": "mcp_message", "server_name": "nexus", "message": {"id": 1, "method":
        "tools/call", "params": {"name": "read_messages"}}}}),
    );
    assert!(matches!(called.as_slice(), [Act::Write(line)] if line.contains("isError")));
}

#[test]
fn requests_that_nexus_does_not_offer_are_refused_at_once() {
    let requests = [
        json!({"subtype": "hook_callback", "callback_id": "c", "input": {}}),
        json!({"subtype": "something_new"}),
        json!({"subtype": "can_use_tool"}),
        json!({"subtype": "mcp_message", "server_name": "other", "message": {}}),
        json!("nonsense"),
    ];
    for request in requests {
        let acts = Play::in_a_turn()
            .hears(json!({"type": "control_request", "request_id": "r9", "request": request}));
        let [Act::Write(line)] = acts.as_slice() else {
            panic!("{request}: {acts:?}");
        };
        assert!(
            line.contains(r#""subtype":"error","request_id":"r9""#),
            "{line}"
        );
    }
    let shapeless = Play::in_a_turn().hears(json!({"type": "control_request", "request_id": "r9"}));
    assert!(matches!(shapeless.as_slice(), [Act::Write(line)] if line.contains("r9")));
}

#[test]
fn an_interrupted_turn_ends_interrupted_and_the_session_stays() {
    let mut play = Play::in_a_turn();
    let acts = play.ordered(SessionCommand::Interrupt);
    assert!(acts.len() == 1 && is_interrupt(&acts[0]));
    assert!(
        play.ordered(SessionCommand::Interrupt).is_empty(),
        "once is enough"
    );
    let acts = play.result_of_ours(json!({"is_error": true, "terminal_reason": "aborted_tools"}));
    assert_eq!(*ended_turn(&acts).0, TurnOutcome::Interrupted);
    assert_eq!(play.conversation.deadline(), None);
    let next = play.ordered(SessionCommand::Prompt("go on".to_owned()));
    assert!(matches!(next.as_slice(), [Act::Write(_)]));
}

#[test]
fn an_interrupt_that_is_not_obeyed_becomes_a_signal_and_then_a_kill() {
    let mut play = Play::in_a_turn();
    play.ordered(SessionCommand::Interrupt);
    assert!(matches!(
        play.waits().as_slice(),
        [Act::CloseInput, Act::Terminate]
    ));
    assert!(matches!(play.waits().as_slice(), [Act::Kill]));
    assert_eq!(play.conversation.deadline(), None);
    let acts = play.ends(Ended::Signalled { signal: 9 });
    assert_eq!(*ended_turn(&acts).0, TurnOutcome::Interrupted);
    assert_eq!(*closed(&acts), TurnOutcome::Interrupted);
}

#[test]
fn an_interrupt_between_turns_does_nothing() {
    assert!(Play::ready().ordered(SessionCommand::Interrupt).is_empty());
}

#[test]
fn a_silent_turn_is_interrupted_and_timed_out() {
    let mut play = Play::in_a_turn();
    let acts = play.waits();
    assert!(acts.len() == 1 && is_interrupt(&acts[0]), "{acts:?}");
    let acts =
        play.result_of_ours(json!({"is_error": true, "terminal_reason": "aborted_streaming"}));
    let silent_seconds = SILENCE.as_secs();
    assert_eq!(
        *ended_turn(&acts).0,
        TurnOutcome::TimedOut { silent_seconds }
    );
}

#[test]
fn every_line_and_every_answer_starts_the_silence_anew() {
    let mut play = Play::in_a_turn();
    let start = play.now;
    play.now += SILENCE / 2;
    play.hears(json!({"type": "keep_alive"}));
    assert_eq!(
        play.conversation.deadline(),
        Some(start + SILENCE + SILENCE / 2)
    );
    assert!(play.conversation.due(start + SILENCE).is_empty(), "not yet");
}

fn ask(play: &mut Play, key: &str) {
    let acts = play.hears(
        json!({"type": "control_request", "request_id": key, "request":
        {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}}}),
    );
    assert!(matches!(
        acts.as_slice(),
        [Act::Tell(SessionEvent::ToolAsked { .. })]
    ));
}

#[test]
fn waiting_for_our_answer_is_not_silence() {
    let mut play = Play::in_a_turn();
    ask(&mut play, "one");
    assert_eq!(play.conversation.deadline(), None);
    play.now += Duration::from_secs(86_400);
    let request = RequestKey("one".to_owned());
    let decision = ToolDecision::Allow;
    play.ordered(SessionCommand::Decide { request, decision });
    assert_eq!(play.conversation.deadline(), Some(play.now + SILENCE));
}

#[test]
fn a_question_taken_back_is_withdrawn_and_its_late_answer_dropped() {
    let mut play = Play::in_a_turn();
    ask(&mut play, "one");
    let acts = play.hears(json!({"type": "control_cancel_request", "request_id": "one"}));
    assert!(matches!(
        acts.as_slice(),
        [Act::Tell(SessionEvent::Withdrawn { request })] if request.0 == "one"
    ));
    let request = RequestKey("one".to_owned());
    let decision = ToolDecision::Allow;
    assert!(
        play.ordered(SessionCommand::Decide { request, decision })
            .is_empty()
    );
}

#[test]
fn a_cancelled_call_is_withdrawn() {
    let mut play = Play::in_a_turn();
    let mcp = |key: &str, message: Value| {
        json!({"type": "control_request", "request_id": key, "request":
            {"subtype": "mcp_message", "server_name": "nexus", "message": message}})
    };
    play.hears(mcp(
        "call",
        json!({"id": 3, "method": "tools/call", "params":
        {"name": "ask_person", "arguments": {"question": "Which?"}}}),
    ));
    let acts = play.hears(mcp(
        "cancel",
        json!({"method": "notifications/cancelled",
        "params": {"requestId": 3}}),
    ));
    assert!(matches!(
        acts.as_slice(),
        [Act::Write(_), Act::Tell(SessionEvent::Withdrawn { request })] if request.0 == "call"
    ));
}

#[test]
fn the_end_of_a_turn_withdraws_its_open_questions_first() {
    let mut play = Play::in_a_turn();
    ask(&mut play, "one");
    let acts = play.result_of_ours(json!({}));
    assert!(matches!(
        acts.as_slice(),
        [
            Act::Tell(SessionEvent::Withdrawn { .. }),
            Act::Tell(SessionEvent::TurnEnded { .. })
        ]
    ));
}

fn refusal(attempt: u32, status: u16) -> Value {
    json!({"type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": 3,
        "retry_delay_ms": 500, "error_status": status, "error": "authentication_failed"})
}

#[test]
fn a_refused_key_is_not_tried_three_more_times() {
    let mut play = Play::in_a_turn();
    let acts = play.hears(refusal(1, 401));
    assert!(matches!(
        &acts[0],
        Act::Tell(SessionEvent::Update(TurnUpdate::Retrying { .. }))
    ));
    assert!(is_interrupt(&acts[1]));
    let acts =
        play.result_of_ours(json!({"is_error": true, "terminal_reason": "aborted_streaming"}));
    assert_eq!(ended_turn(&acts).0.name(), "auth_required");
    assert_eq!(Play::in_a_turn().hears(refusal(1, 529)).len(), 1);
}

#[test]
fn a_refused_login_may_refresh_its_token_once() {
    let mut play = Play::in_a_turn();
    play.conversation.program.by_login = true;
    assert_eq!(play.hears(refusal(1, 401)).len(), 1);
    assert!(is_interrupt(&play.hears(refusal(2, 401))[1]));
}

#[test]
fn the_program_answering_in_another_session_is_a_lost_session() {
    let mut play = Play::in_a_turn();
    let acts =
        play.hears(json!({"type": "system", "subtype": "init", "session_id": Uuid::from_u128(5)}));
    assert_eq!(ended_turn(&acts).0.name(), "session_lost");
    assert!(matches!(
        acts[acts.len() - 2..],
        [Act::CloseInput, Act::Terminate]
    ));
    let acts = play.ends(Ended::Exited { code: 143 });
    assert_eq!(closed(&acts).name(), "session_lost");
}

#[test]
fn a_result_of_another_session_is_a_lost_session() {
    let mut play = Play::in_a_turn();
    let acts = play.result_of_ours(json!({"session_id": Uuid::from_u128(5)}));
    let (outcome, usage) = ended_turn(&acts);
    assert_eq!(outcome.name(), "session_lost");
    assert_eq!(usage.input_tokens, 100, "it was paid for all the same");
}

#[test]
fn a_resumed_process_is_asked_what_it_remembers_where_nothing_proves_it() {
    let asks = |acts: &[Act]| matches!(acts, [Act::Write(line)] if line.contains(r#""subtype":"get_context_usage""#));
    let mut play = Play::resuming();
    assert!(asks(&play.hears(initialized())));
    assert!(play.hears(initialized()).is_empty(), "answered twice");
    let acts = play.hears(context(3, 0));
    assert!(matches!(acts.as_slice(), [Act::Opened(Ok(()))]), "{acts:?}");
    assert!(play.hears(context(0, 0)).is_empty(), "answered twice");
    let mut empty = Play::resuming();
    empty.hears(initialized());
    let acts = empty.hears(context(0, 0));
    assert!(matches!(acts.as_slice(), [Act::CloseInput, Act::Terminate]));
    let acts = empty.ends(Ended::Exited { code: 0 });
    let [Act::Opened(Err(TurnOutcome::SessionLost { message }))] = acts.as_slice() else {
        panic!("{acts:?}");
    };
    assert!(message.contains("empty memory"), "{message}");
}

#[test]
fn a_program_that_cannot_say_what_it_remembers_is_carried_on_and_the_turn_says_so() {
    let refusal = json!({"type": "control_response", "response": {"subtype": "error",
        "request_id": "memory", "error": "Unsupported control request subtype"}});
    let odd = answered("memory", json!({"totalTokens": "many"}));
    for answer in [Some(refusal), Some(odd), None] {
        let mut play = Play::resuming();
        play.hears(initialized());
        let acts = match answer {
            Some(answer) => play.hears(answer),
            None => play.waits(),
        };
        assert!(matches!(acts.as_slice(), [Act::Opened(Ok(()))]), "{acts:?}");
        let acts = play.ordered(SessionCommand::Prompt("go on".to_owned()));
        let [
            Act::Write(_),
            Act::Tell(SessionEvent::Update(TurnUpdate::Note { text })),
        ] = acts.as_slice()
        else {
            panic!("{acts:?}");
        };
        assert!(text.contains("what it remembers"), "{text}");
        play.result_of_ours(json!({}));
        let acts = play.ordered(SessionCommand::Prompt("again".to_owned()));
        assert_eq!(acts.len(), 1, "it is said once: {acts:?}");
    }
}

#[test]
fn whatever_keeps_a_program_from_resuming_loses_the_session() {
    let failed = json!({"type": "result", "subtype": "error_during_execution", "is_error": true,
        "errors": ["Failed to resume session: EISDIR"]});
    let name = |mut play: Play, line: Option<&Value>| {
        if let Some(line) = line {
            play.hears(line.clone());
        }
        match play.ends(Ended::Exited { code: 1 }).as_slice() {
            [Act::Opened(Err(outcome))] => outcome.name(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(name(Play::resuming(), Some(&failed)), "session_lost");
    assert_eq!(name(Play::resuming(), None), "session_lost");
    assert_eq!(name(Play::opening(false), Some(&failed)), "refused");
    assert_eq!(name(Play::opening(false), None), "exited");
    let acts = Play::resuming().ends(Ended::Signalled { signal: 9 });
    assert!(
        matches!(&acts[0], Act::Opened(Err(outcome)) if outcome.name() == "signalled"),
        "a kill says nothing about the session: {acts:?}"
    );
}

#[test]
fn a_prompt_has_the_number_of_the_turn_that_it_may_complete() {
    let number = |acts: &[Act]| {
        let Some(Act::Write(line)) = acts.first() else {
            panic!("{acts:?}");
        };
        let (_, after) = line.rsplit_once(", turn ").unwrap();
        after.split_once('.').unwrap().0.to_owned()
    };
    let mut play = Play::ready();
    let go = || SessionCommand::Prompt("go".to_owned());
    assert_eq!(number(&play.ordered(go())), "1");
    play.ordered(SessionCommand::Interrupt);
    play.result_of_ours(json!({"is_error": true, "terminal_reason": "aborted_streaming"}));
    assert_eq!(number(&play.ordered(go())), "1");
    play.result_of_ours(json!({}));
    assert_eq!(number(&play.ordered(go())), "2");
}

#[test]
fn what_was_lost_before_is_paid_for_by_the_next_turn_alone() {
    let past = Past {
        resumed: true,
        unproved: false,
        unrecorded: Unrecorded {
            used: Usage {
                input_tokens: 50,
                cost: Some(Usd::from_micros(400)),
                ..Usage::default()
            },
            is_all: true,
        },
    };
    let mut play = Play::with_past(false, past);
    play.hears(initialized());
    for (tokens, micros, covers) in [(150, 1200, true), (100, 800, false)] {
        play.ordered(SessionCommand::Prompt("go".to_owned()));
        let acts = play.result_of_ours(json!({}));
        let (_, usage) = ended_turn(&acts);
        assert_eq!(usage.input_tokens, tokens);
        assert_eq!(usage.cost, Some(Usd::from_micros(micros)));
        let covers_lost = acts.iter().any(|act| {
            matches!(
                act,
                Act::Tell(SessionEvent::TurnEnded {
                    covers_lost: true,
                    ..
                })
            )
        });
        assert_eq!(covers_lost, covers);
    }
    // A turn that is lost itself covers nothing.
    let mut play = Play::with_past(false, past);
    play.hears(initialized());
    play.ordered(SessionCommand::Prompt("go".to_owned()));
    let acts = play.ends(Ended::Signalled { signal: 9 });
    assert!(matches!(
        &acts[0],
        Act::Tell(SessionEvent::TurnEnded {
            covers_lost: false,
            ..
        })
    ));
}

#[test]
fn an_interrupt_that_came_before_the_turn_had_begun_is_said_again() {
    let init = json!({"type": "system", "subtype": "init", "session_id": spec().session});
    let mut play = Play::in_a_turn();
    assert!(play.hears(init.clone()).is_empty());
    assert!(is_interrupt(&play.ordered(SessionCommand::Interrupt)[0]));
    assert!(play.hears(answered("interrupt", json!({}))).is_empty());
    let acts = play.hears(init.clone());
    assert!(
        matches!(acts.as_slice(), [act] if is_interrupt(act)),
        "{acts:?}"
    );
    let acts = play.ordered(SessionCommand::Interrupt);
    assert!(
        acts.is_empty(),
        "ordering it twice changes nothing: {acts:?}"
    );
    play.waits();
    assert!(play.hears(init).is_empty(), "the process is ending");
}

#[test]
fn a_question_asked_twice_is_put_once() {
    let mut play = Play::in_a_turn();
    let question = json!({"type": "control_request", "request_id": "q", "request":
        {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}}});
    assert_eq!(play.hears(question.clone()).len(), 1);
    assert!(play.hears(question).is_empty());
    let call = json!({"type": "control_request", "request_id": "c", "request": {
        "subtype": "mcp_message", "server_name": "nexus", "message": {"jsonrpc": "2.0", "id": 1,
        "method": "tools/call", "params": {"name": "read_messages", "arguments": {}}}}});
    assert_eq!(play.hears(call.clone()).len(), 1);
    assert!(play.hears(call).is_empty());
}

#[test]
fn a_refusal_is_one_whatever_it_is_called() {
    let mut forbidden = Play::in_a_turn();
    assert!(is_interrupt(&forbidden.hears(refusal(1, 403))[1]));
    let mut without_status = Play::in_a_turn();
    let mut line = refusal(1, 0);
    line["error_status"] = Value::Null;
    assert!(is_interrupt(&without_status.hears(line)[1]));
}

#[test]
fn lines_that_cannot_be_read_are_kept_and_end_at_most_the_turn() {
    let mut play = Play::in_a_turn();
    for odd in [
        "garbage",
        r#"{"type":"assistant"}"#,
        r#"{"no":"type"}"#,
        "[1]",
    ] {
        let acts = play.hears_raw(odd);
        let [Act::Tell(SessionEvent::Update(TurnUpdate::Unknown { line }))] = acts.as_slice()
        else {
            panic!("{odd}: {acts:?}");
        };
        assert_eq!(line, odd);
    }
    assert!(play.hears_raw("  ").is_empty());
    assert_eq!(play.conversation.overlong("{\"type\":", play.now).len(), 1);
    let acts = play.hears_raw(r#"{"type":"result","is_error":"perhaps"}"#);
    assert_eq!(ended_turn(&acts).0.name(), "bad_protocol");
    let next = play.ordered(SessionCommand::Prompt("again".to_owned()));
    assert!(matches!(next.as_slice(), [Act::Write(_)]));
}

#[test]
fn a_process_that_ends_ends_its_turn() {
    let signal = 11;
    let cases = [
        (
            Ended::Exited { code: 0 },
            "exited",
            ProcessEnd::Exited { code: 0 },
        ),
        (
            Ended::Exited { code: 3 },
            "exited",
            ProcessEnd::Exited { code: 3 },
        ),
        (
            Ended::Signalled { signal },
            "signalled",
            ProcessEnd::Signalled { signal },
        ),
        (Ended::GuardLost, "signalled", ProcessEnd::Killed),
    ];
    for (ended, name, process) in cases {
        let acts = Play::in_a_turn().ends(ended);
        assert_eq!(ended_turn(&acts).0.name(), name);
        assert_eq!(closed(&acts).name(), name);
        assert_eq!(process_end(&acts), process);
        let idle = Play::ready().ends(ended);
        assert_eq!(idle.len(), 2);
        assert_eq!(closed(&idle).name(), name);
        assert_eq!(process_end(&idle), process);
    }
}

#[test]
fn closing_is_polite_first_and_sure_in_the_end() {
    let mut play = Play::ready();
    let acts = play.ordered(SessionCommand::Close);
    assert!(matches!(acts.as_slice(), [Act::CloseInput]));
    assert!(
        play.ordered(SessionCommand::Close).is_empty(),
        "once is enough"
    );
    let start = play.now;
    assert!(matches!(
        play.waits().as_slice(),
        [Act::CloseInput, Act::Terminate]
    ));
    assert_eq!(play.now - start, CLOSE_GRACE);
    assert!(matches!(play.waits().as_slice(), [Act::Kill]));
    assert_eq!(play.now - start, CLOSE_GRACE + TERMINATE_GRACE);
    let acts = play.ends(Ended::Signalled { signal: 9 });
    assert_eq!(acts.len(), 2);
    assert_eq!(process_end(&acts), ProcessEnd::Killed);
    assert_eq!(*closed(&acts), TurnOutcome::Interrupted);
}

#[test]
fn what_ends_when_it_was_asked_to_was_closed() {
    for ended in [
        Ended::Exited { code: 0 },
        Ended::Exited { code: 143 },
        Ended::Signalled { signal: 15 },
    ] {
        let mut play = Play::ready();
        play.ordered(SessionCommand::Close);
        assert_eq!(process_end(&play.ends(ended)), ProcessEnd::Closed);
    }
}

#[test]
fn closing_in_the_middle_of_a_turn_interrupts_it() {
    let mut play = Play::in_a_turn();
    let acts = play.ordered(SessionCommand::Close);
    assert!(is_interrupt(&acts[0]) && matches!(acts[1], Act::CloseInput));
    let acts = play.result_of_ours(json!({"is_error": true, "terminal_reason": "aborted_tools"}));
    assert_eq!(*ended_turn(&acts).0, TurnOutcome::Interrupted);
    let late = play.ordered(SessionCommand::Prompt("more".to_owned()));
    assert!(late.is_empty());
    let acts = play.ends(Ended::Exited { code: 0 });
    assert_eq!(acts.len(), 2, "the turn ends only once: {acts:?}");
    assert_eq!(process_end(&acts), ProcessEnd::Closed);
}

#[test]
fn a_prompt_while_a_turn_runs_is_not_taken() {
    let mut play = Play::in_a_turn();
    assert!(
        play.ordered(SessionCommand::Prompt("more".to_owned()))
            .is_empty()
    );
}

#[test]
fn a_prompt_is_never_a_command_and_pulls_in_no_file() {
    let older = Version::new(2, 1, 197);
    let newer = Version::new(2, 1, 330);
    let prompt = "/cost see @/etc/passwd";
    assert_eq!(inert(prompt, newer), prompt);
    assert_eq!(
        inert(prompt, older),
        "\u{2060}/cost see @\u{2060}/etc/passwd"
    );
    assert_eq!(inert("plain", older), "plain");
}
