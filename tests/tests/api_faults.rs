//! Every way in which a model service can fail, with the real Claude Code between it and NEXUS,
//! and with the planner that asks a service itself: each ends in the one outcome that says what
//! to do next, the process goes on, and no key is ever repeated.
//!
//! The failures of one process follow each other, with a good turn in between: what one of them
//! leaves behind would show in the next. Nothing leaves the machine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_agent::{
    Backend, BaseUrl, ClaudeCode, ClaudeConfig, Credential, Environment, Installation, NoPlan,
    OpenAiPlanner, PlanBrief, Planned, Planner, PlannerSettings, Recorded, Search, Session,
    SessionSpec,
};
use nexus_core::{Role, SessionId, TaskId, Timestamp, TurnOutcome, TurnUpdate};
use nexus_process::{Launcher, find_tagged};
use nexus_tests::{
    chance::figures,
    drive::{Engine, Turn, close, within},
    env::{TestEnv, files_under, good_team, rules, until},
    facts::{self, Fact},
    scripted_api::ScriptedApi,
};
use serde_json::{Value, json};
use std::{
    fs,
    ops::RangeInclusive,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket},
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use uuid::Uuid;

const KEY: &str = "dummy-key-for-the-faults";
/// More of the program at once would starve each other.
const PROGRAMS_AT_ONCE: usize = 3;
/// Where silence is tried, no turn has to wait longer for a sign of life.
const SHORT_SILENCE: Duration = Duration::from_secs(5);

// ---- what a service says ----------------------------------------------------------------

fn event(kind: &str, mut data: Value) -> String {
    data["type"] = json!(kind);
    format!("event: {kind}\ndata: {data}\n\n")
}

fn begins_with(usage: Value) -> String {
    let mut message = json!({"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude-opus-5-5", "content": [], "stop_reason": null, "stop_sequence": null});
    if !usage.is_null() {
        message["usage"] = usage;
    }
    event("message_start", json!({ "message": message }))
}

fn begins() -> String {
    begins_with(json!({"input_tokens": 100, "output_tokens": 1}))
}

fn block(start: Value, delta: Value) -> String {
    [
        event(
            "content_block_start",
            json!({"index": 0, "content_block": start}),
        ),
        event("content_block_delta", json!({"index": 0, "delta": delta})),
        event("content_block_stop", json!({"index": 0})),
    ]
    .concat()
}

fn says(text: &str) -> String {
    block(
        json!({"type": "text", "text": ""}),
        json!({"type": "text_delta", "text": text}),
    )
}

fn calls(tool: &str, input: &str) -> String {
    block(
        json!({"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}),
        json!({"type": "input_json_delta", "partial_json": input}),
    )
}

fn stops_with(reason: &str, usage: Value) -> String {
    let mut data = json!({"delta": {"stop_reason": reason, "stop_sequence": null}});
    if !usage.is_null() {
        data["usage"] = usage;
    }
    event("message_delta", data) + &event("message_stop", json!({}))
}

fn stops(reason: &str) -> String {
    stops_with(reason, json!({"output_tokens": 20}))
}

fn failure(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// An answer of this status.
fn status(status: u16, message: &str) -> Value {
    let body = failure("some_error", message).to_string();
    json!({"type": "answer", "status": status, "body": body,
        "headers": {"content-type": "application/json"}})
}

fn with_headers(mut answer: Value, headers: &[(&str, String)]) -> Value {
    for (name, value) in headers {
        answer["headers"][*name] = json!(value);
    }
    answer
}

fn body(kind: &str, body: impl Into<String>) -> Value {
    json!({"type": "answer", "body": body.into(), "headers": {"content-type": kind}})
}

fn stream(text: impl Into<String>) -> Value {
    body("text/event-stream", text)
}

fn stream_then(text: String, then: &str) -> Value {
    let mut answer = stream(text);
    answer["then"] = json!(then);
    answer
}

// ---- what is to come of it --------------------------------------------------------------

/// What is to be known of the cost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cost {
    Either,
    Known,
    Unknown,
}

/// One failure, and what has to come of it.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    fault: Value,
    /// How often the service fails so, before all is well again.
    times: Option<u32>,
    /// The end of what the program itself asks after this failure, where it is to fail again.
    again: Option<&'static str>,
    outcome: &'static str,
    says: &'static str,
    cost: Cost,
    /// How often the service is asked.
    asks: RangeInclusive<usize>,
    retries: bool,
}

/// A service that always fails like this makes the turn end with this outcome.
fn case(name: &str, fault: Value, outcome: &'static str) -> Case {
    Case {
        name: name.to_owned(),
        fault,
        times: None,
        again: None,
        outcome,
        says: "",
        cost: Cost::Either,
        asks: 1..=6,
        retries: false,
    }
}

impl Case {
    /// All is well after so many failures.
    fn only(self, times: u32) -> Self {
        let times = Some(times);
        Self { times, ..self }
    }

    fn and_after(self, again: &'static str) -> Self {
        let again = Some(again);
        Self { again, ..self }
    }

    fn saying(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    fn costing(self, cost: Cost) -> Self {
        Self { cost, ..self }
    }

    fn asking(self, asks: RangeInclusive<usize>) -> Self {
        Self { asks, ..self }
    }

    /// The program tries again by itself, and says so.
    fn retried(self) -> Self {
        let retries = true;
        Self { retries, ..self }
    }

    fn prompt(&self) -> String {
        format!("case {}", self.name)
    }

    fn rule(&self) -> Value {
        let mut pattern = format!("{}$", self.prompt());
        if let Some(again) = self.again {
            pattern = format!("{pattern}|{again}$");
        }
        let reply = json!({"fault": self.fault});
        let mut rule = json!({"when": {"last_user": pattern}, "reply": reply});
        if let Some(times) = self.times {
            rule["times"] = json!(times);
        }
        rule
    }

    /// What is wrong with this turn, in which the service was asked so often.
    fn judge(&self, turn: &Turn, asked: usize) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |holds: bool, what: String| {
            if !holds {
                wrong.push(what);
            }
        };
        let told = format!("{:?}", turn.outcome);
        let name = turn.outcome.name();
        expect(
            name == self.outcome && told.contains(self.says),
            format!("{told} instead of {} with {:?}", self.outcome, self.says),
        );
        expect(self.asks.contains(&asked), format!("asked {asked} times"));
        let retried = turn
            .updates
            .iter()
            .any(|update| matches!(update, TurnUpdate::Retrying { .. }));
        expect(
            retried || !self.retries,
            "nothing was said of retries".to_owned(),
        );
        let known = turn.usage.cost.is_some();
        let cost = match self.cost {
            Cost::Either => known,
            Cost::Known | Cost::Unknown => (self.cost == Cost::Known) == known,
        };
        expect(
            cost || self.cost == Cost::Either,
            format!("{:?}", turn.usage),
        );
        let all = format!("{turn:?}");
        expect(!all.contains(KEY), format!("the key was repeated: {told}"));
        wrong
    }
}

/// Statuses that the service answers with.
fn refusals() -> Vec<Case> {
    vec![
        case(
            "400 no credit",
            status(400, "Your credit balance is too low to access the API"),
            "credit_exhausted",
        )
        .asking(1..=1),
        case(
            "400 invalid",
            status(400, "messages: something odd"),
            "refused",
        )
        .saying("something odd"),
        case(
            "400 that repeats the key",
            status(400, &format!("an odd header: {KEY}")),
            "refused",
        )
        .saying("odd header: (the key)"),
        case(
            "401",
            status(401, &format!("invalid key {KEY}")),
            "auth_required",
        )
        .asking(1..=2),
        case("402", status(402, "pay first"), "credit_exhausted").asking(1..=1),
        case("403", status(403, "forbidden"), "auth_required").asking(1..=1),
        case("404 no such model", status(404, "model: none"), "refused").asking(1..=2),
        case("408", status(408, "timeout"), "overloaded")
            .asking(2..=4)
            .retried(),
        case("409", status(409, "conflict"), "overloaded")
            .asking(2..=4)
            .retried(),
        case("422", status(422, "odd"), "refused"),
        case(
            "429 for a long time",
            with_headers(
                status(429, "come back later"),
                &[("retry-after", "3600".to_owned())],
            ),
            "rate_limited",
        )
        .saying("come back later")
        .asking(1..=1),
        case(
            "429 that repeats the key",
            with_headers(
                status(429, &format!("{KEY} is used up")),
                &[("retry-after", "3600".to_owned())],
            ),
            "rate_limited",
        )
        .saying("(the key) is used up"),
        case(
            "a redirection",
            with_headers(status(302, ""), &[("location", "/".to_owned())]),
            "overloaded",
        ),
    ]
}

/// Statuses that pass, and the same when they do not.
fn outages() -> Vec<Case> {
    let soon = |times: u16| {
        with_headers(
            status(429, "slow down"),
            &[("retry-after", times.to_string())],
        )
    };
    let lasts = |name, status, outcome| case(name, status, outcome).asking(3..=4).retried();
    let passes = |name, status| {
        case(name, status, "completed")
            .only(1)
            .saying("still here")
            .costing(Cost::Known)
            .asking(2..=2)
            .retried()
    };
    let html = json!({"type": "answer", "status": 502, "body": "<html>bad gateway</html>",
        "headers": {"content-type": "text/html"}});
    vec![
        passes("429 once", status(429, "slow down")),
        passes("429 for a second", soon(1)),
        lasts("429 with a time", soon(1), "rate_limited"),
        lasts(
            "429 without a time",
            status(429, "slow down"),
            "rate_limited",
        ),
        passes("500 once", status(500, "oops")),
        lasts(
            "500 that repeats the key",
            status(500, &format!("upstream said {KEY}")),
            "overloaded",
        )
        .saying("said (the key)"),
        lasts("502", html, "overloaded"),
        lasts("503", status(503, "unavailable"), "overloaded"),
        lasts("504", status(504, "gateway timeout"), "overloaded"),
        passes("529 once", status(529, "Overloaded")),
        lasts("529", status(529, "Overloaded"), "overloaded"),
    ]
}

/// Answers that break off or are no answers.
fn broken_answers() -> Vec<Case> {
    let half = || begins() + &says("half an");
    let nonsense = || begins() + "event: content_block_delta\ndata: {nonsense\n\n";
    let fails = |kind: &str| begins() + &event("error", failure(kind, "as scripted"));
    let json = |text: &str| body("application/json", text);
    let bad = |name, fault| case(name, fault, "overloaded");
    let mended = |name, fault| {
        case(name, fault, "completed")
            .only(1)
            .saying("still here")
            .asking(2..=2)
    };
    vec![
        mended("cut off", stream(half())),
        mended("broken in the middle", stream_then(half(), "reset")),
        bad("cut off in a line", stream(&half()[..half().len() - 30])),
        mended("a line of nonsense once", stream(nonsense())),
        bad("a line of nonsense", stream(nonsense())),
        mended(
            "overloaded in the middle",
            stream(fails("overloaded_error")),
        ),
        bad("overloaded again", stream(fails("overloaded_error"))),
        bad("an error in the middle", stream(fails("api_error"))),
        bad(
            "a page for guests",
            body("text/html", format!("<html>you sent {KEY}</html>")),
        ),
        bad("nothing", json("")),
        bad("no events", stream("")),
        bad(
            "half of some JSON",
            json("{\"id\": \"msg_1\", \"type\": \"mess"),
        ),
        bad("no bytes of text", stream("\u{0}\u{1}\u{2}".repeat(100))),
        case(
            "another content type",
            body(
                "text/plain",
                begins() + &says("all the same") + &stops("end_turn"),
            ),
            "completed",
        )
        .saying("all the same"),
        bad(
            "events in another order",
            stream(says("too early") + &begins() + &stops("end_turn")),
        ),
        case(
            "two beginnings",
            stream(begins() + &begins() + &says("twice") + &stops("end_turn")),
            "completed",
        )
        .saying("twice"),
        case(
            "an event of tomorrow",
            stream(begins() + &event("tomorrow", json!({})) + &says("fine") + &stops("end_turn")),
            "completed",
        )
        .saying("fine"),
        mended(
            "too long an answer",
            stream(begins() + &says("on and on") + &stops("max_tokens")),
        ),
    ]
}

/// Answers of a model that are well-formed and of no use.
fn odd_answers() -> Vec<Case> {
    let ends = |text: &str, reason: &str| stream(begins() + &says(text) + &stops(reason));
    let counted = |start: Value, end: Value| {
        stream(begins_with(start) + &says("counted") + &stops_with("end_turn", end))
    };
    let told = |name, fault, says| case(name, fault, "completed").saying(says);
    vec![
        told(
            "a tool with half an input",
            stream(begins() + &calls("Read", "{\"file_path\": \"/x") + &stops("tool_use")),
            "still here",
        )
        .only(1)
        .asking(2..=2),
        told(
            "a tool that is none",
            stream(begins() + &calls("Levitate", "{\"high\": true}") + &stops("tool_use")),
            "still here",
        )
        .only(1)
        .asking(2..=2),
        case("a refusal", ends("I", "refusal"), "refused").and_after("even reworded\\."),
        case(
            "too long each time",
            ends("on and on", "max_tokens"),
            "refused",
        )
        .and_after("smaller pieces\\."),
        told("a pause", ends("one moment", "pause_turn"), "one moment"),
        told("a reason of tomorrow", ends("odd", "somehow"), "odd"),
        told(
            "an empty answer",
            stream(begins() + &stops("end_turn")),
            "text: \"\"",
        )
        .and_after("user-visible response\\.\\]"),
        told(
            "usage",
            counted(
                json!({"input_tokens": 100, "output_tokens": 1}),
                json!({"output_tokens": 20}),
            ),
            "counted",
        )
        .costing(Cost::Known),
        told("no usage", counted(Value::Null, Value::Null), "counted").costing(Cost::Unknown),
        told(
            "usage in words",
            counted(
                json!({"input_tokens": "many", "output_tokens": 1}),
                json!({"output_tokens": "more"}),
            ),
            "counted",
        )
        .costing(Cost::Unknown),
        told(
            "usage below nothing",
            counted(
                json!({"input_tokens": -5, "output_tokens": -1}),
                json!({"output_tokens": -20}),
            ),
            "counted",
        )
        .costing(Cost::Unknown),
        // Both of these make the program shorten the conversation before the next turn.
        told(
            "usage beyond all limits",
            counted(
                json!({"input_tokens": 9_000_000_000_000_000_000_u64, "output_tokens": 1}),
                json!({"output_tokens": 9_000_000_000_u64}),
            ),
            "counted",
        ),
        case(
            "400 too long",
            status(400, "prompt is too long: 250000 tokens > 200000 maximum"),
            "context_exhausted",
        ),
        case("413", status(413, "too large"), "context_exhausted"),
        case(
            "a long complaint",
            status(400, &"x".repeat(200_000)),
            "refused",
        ),
        told(
            "a long answer",
            stream(begins() + &says(&"word ".repeat(200_000)) + &stops("end_turn")),
            "word word",
        ),
    ]
}

/// What is slow or silent. Only silence ends a turn.
fn silences() -> Vec<Case> {
    let words = (0..24).map(|number| {
        let delta = json!({"type": "text_delta", "text": format!("{number} ")});
        event("content_block_delta", json!({"index": 0, "delta": delta}))
    });
    let start = json!({"index": 0, "content_block": {"type": "text", "text": ""}});
    let slowly = begins()
        + &event("content_block_start", start)
        + &words.collect::<String>()
        + &event("content_block_stop", json!({"index": 0}))
        + &stops("end_turn");
    let mut slowly = stream(slowly);
    slowly["pause_ms"] = json!(300);
    let half = begins() + &says("and then");
    vec![
        case("silence", json!({"type": "hang"}), "timed_out").asking(1..=1),
        case(
            "silence in the middle",
            stream_then(half, "hang"),
            "timed_out",
        )
        .asking(1..=1),
        case("a trickle", slowly, "completed")
            .saying("22 23")
            .asking(1..=1),
    ]
}

/// What the service tells a login, and a key is not told.
fn of_a_login(resets: u64) -> Vec<Case> {
    let limit = [
        ("retry-after", "3600".to_owned()),
        ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
        ("anthropic-ratelimit-unified-reset", resets.to_string()),
        (
            "anthropic-ratelimit-unified-representative-claim",
            "five_hour".to_owned(),
        ),
    ];
    vec![
        case(
            "429 with the reset",
            with_headers(status(429, "limit"), &limit),
            "rate_limited",
        )
        .saying("until: Some")
        .asking(1..=1),
        case("401 of a login", status(401, "expired"), "auth_required").asking(1..=4),
    ]
}

// ---- one process and its cases ----------------------------------------------------------

/// What is there before the service is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Service,
    /// Nobody listens.
    Nobody,
    /// Every connection is broken before anything is answered.
    Resets,
}

/// One process, and what it has to bear one after the other.
#[derive(Debug)]
struct Lane {
    cases: Vec<Case>,
    silence: Duration,
    before: Before,
    /// What the program is given beside its own environment, by a script around it.
    given: Option<&'static str>,
    /// The program uses a login of its own instead of our key.
    login: bool,
}

impl Lane {
    fn of(cases: Vec<Case>) -> Self {
        Self {
            cases,
            silence: Duration::from_secs(50),
            before: Before::Service,
            given: None,
            login: false,
        }
    }

    /// Runs all cases. Each is given with what is wrong with it.
    async fn run(self, claude: Installation) -> Vec<(String, Vec<String>)> {
        let mut bench = Bench::new(&self, claude).await;
        let mut session = bench.open(&self).await;
        let process = session.process.expect("a process").pid;
        let mut judged = Vec::new();
        for case in &self.cases {
            let before = bench.asked();
            let turn = Engine::default().turn(&mut session, &case.prompt()).await;
            let asked = match self.before {
                Before::Service => bench.asked() - before,
                // Nobody was there to count.
                Before::Nobody | Before::Resets => *case.asks.start(),
            };
            bench.serve(&self).await;
            let mut wrong = case.judge(&turn, asked);
            let next = Engine::default().turn(&mut session, "and now?").await;
            if !is_well(&next) {
                wrong.push(format!("the next turn: {:?}", next.outcome));
            }
            if !bench.processes().contains(&process) {
                wrong.push("the process is gone".to_owned());
            }
            judged.push((case.name.clone(), wrong));
        }
        close(session).await;
        if let Some((_, wrong)) = judged.last_mut()
            && !bench.processes().is_empty()
        {
            wrong.push("something of it still runs".to_owned());
        }
        judged
    }
}

fn is_well(turn: &Turn) -> bool {
    matches!(&turn.outcome, TurnOutcome::Completed { text, .. } if text == "still here")
}

/// A home, a project, and the service of one lane.
struct Bench {
    folder: TempDir,
    session: SessionId,
    claude: Installation,
    port: u16,
    api: Option<ScriptedApi>,
    nobody: Option<tokio::task::JoinHandle<()>>,
}

impl Bench {
    async fn new(lane: &Lane, claude: Installation) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "project"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        // The address may be used again at once.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let nobody = (lane.before == Before::Resets).then(|| {
            let listener = socket.listen(16).unwrap();
            tokio::spawn(break_every_connection(listener))
        });
        let mut bench = Self {
            session: TaskId::new(Uuid::new_v4()).session(nexus_core::SeatId::first(Role::Code), 0),
            claude,
            port,
            api: None,
            nobody,
            folder,
        };
        if lane.before == Before::Service {
            bench.serve(lane).await;
        }
        bench
    }

    /// Has the service answer from now on, if it does not yet.
    async fn serve(&mut self, lane: &Lane) {
        if self.api.is_some() {
            return;
        }
        if let Some(nobody) = self.nobody.take() {
            nobody.abort();
            let _ = nobody.await;
        }
        let rules: Vec<_> = lane.cases.iter().map(Case::rule).collect();
        let rules = match lane.before {
            Before::Service => rules,
            Before::Nobody | Before::Resets => Vec::new(),
        };
        let script = json!({"rules": rules, "otherwise": {"text": "still here"}});
        let script = serde_json::from_value(script).unwrap();
        self.api = Some(ScriptedApi::start_on(script, self.port).await.unwrap());
    }

    fn asked(&self) -> usize {
        self.api.as_ref().map_or(0, |api| api.requests().len())
    }

    async fn open(&self, lane: &Lane) -> Session {
        let url = format!("http://127.0.0.1:{}", self.port);
        let mut claude = self.claude.clone();
        let mut given = lane.given.unwrap_or_default().to_owned();
        if lane.login {
            given = format!("CLAUDE_CODE_OAUTH_TOKEN={KEY} ANTHROPIC_BASE_URL={url}");
        }
        if !given.is_empty() {
            claude.program = self.around(&claude.program, &given);
        }
        let (credential, base_url) = match lane.login {
            true => (Credential::Login, None),
            false => (Credential::ApiKey(KEY.into()), Some(url.parse().unwrap())),
        };
        let backend = ClaudeCode::new(ClaudeConfig {
            installation: claude,
            launcher: launcher(),
            credential,
            base_url,
            environment: environment(&self.folder.path().join("home")),
        });
        let opened = within(backend.open(self.spec(lane.silence))).await;
        opened.unwrap_or_else(|outcome| panic!("{outcome:?}"))
    }

    fn spec(&self, silence_limit: Duration) -> SessionSpec {
        SessionSpec {
            task: TaskId::new(Uuid::new_v4()),
            role: Role::Code,
            session: self.session,
            resume: false,
            workspace: self.folder.path().join("project").canonicalize().unwrap(),
            system_prompt: "You are Code".to_owned(),
            budget: None,
            silence_limit,
            recorded: Recorded::default(),
        }
    }

    /// A script that gives the program these variables.
    fn around(&self, program: &Path, given: &str) -> PathBuf {
        let path = self.folder.path().join("claude");
        let script = format!(
            "#!/bin/sh\nexec env {given} '{}' \"$@\"\n",
            program.display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The processes of the session that live.
    fn processes(&self) -> Vec<u32> {
        let tag = self.session.to_string();
        let found = find_tagged("NEXUS_AGENT".as_ref(), tag.as_ref());
        found.into_iter().map(|process| process.pid).collect()
    }
}

/// Takes every connection, reads a little, and resets it.
async fn break_every_connection(listener: TcpListener) {
    while let Ok((mut connection, _)) = listener.accept().await {
        let mut some = [0; 64];
        let _ = connection.read(&mut some).await;
        let _ = connection.set_zero_linger();
    }
}

fn environment(home: &Path) -> Environment {
    Environment::of([
        ("HOME".into(), home.into()),
        ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
        ("LANG".into(), "C.UTF-8".into()),
    ])
}

fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_nexus-test-guard").into())
}

async fn claude() -> Installation {
    let program = std::env::var_os("NEXUS_TEST_CLAUDE").expect(
        "NEXUS_TEST_CLAUDE has to name a Claude Code program: run the tests with `cargo xtask test`, which installs one for them",
    );
    let home = tempfile::tempdir().unwrap();
    let search = Search {
        named: Some(program.into()),
        never_under: None,
    };
    let found = search.find(&launcher(), &environment(home.path())).await;
    found.unwrap_or_else(|error| panic!("failed to {error}"))
}

fn lanes() -> Vec<Lane> {
    let in_an_hour = seconds_now() + 3600;
    let refused = case("nobody listens", Value::Null, "overloaded").retried();
    let reset = case("reset at once", Value::Null, "overloaded").retried();
    let without_price = case("a model without a price", status(500, "oops"), "completed");
    vec![
        // The longest first.
        Lane::of(outages()),
        Lane {
            silence: SHORT_SILENCE,
            ..Lane::of(silences())
        },
        Lane::of(refusals()),
        Lane::of(broken_answers()),
        Lane::of(odd_answers()),
        Lane {
            before: Before::Nobody,
            ..Lane::of(vec![refused])
        },
        Lane {
            before: Before::Resets,
            ..Lane::of(vec![reset])
        },
        Lane {
            login: true,
            ..Lane::of(of_a_login(in_an_hour))
        },
        Lane {
            given: Some("ANTHROPIC_MODEL=unheard-of-9"),
            ..Lane::of(vec![without_price.only(1).costing(Cost::Unknown)])
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_of_the_model_service_has_its_outcome_and_the_process_goes_on() {
    let begun = Instant::now();
    let claude = claude().await;
    let places = Arc::new(Semaphore::new(PROGRAMS_AT_ONCE));
    let mut running = JoinSet::new();
    for lane in lanes() {
        let (claude, places) = (claude.clone(), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            lane.run(claude).await
        });
    }
    let judged: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    let wrong: Vec<_> = judged
        .iter()
        .filter(|(_, wrong)| !wrong.is_empty())
        .collect();
    figures(&format!(
        "failures of the model service: {} of {} right in {:.0} s",
        judged.len() - wrong.len(),
        judged.len(),
        begun.elapsed().as_secs_f64()
    ));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn seconds_now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

// ---- the planner ------------------------------------------------------------------------

/// A completion in which the model says this.
fn completion(content: &str) -> Value {
    let message = json!({"role": "assistant", "content": content});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    body("application/json", json!({"choices": [choice]}).to_string())
}

fn good_plan() -> String {
    let step = |kind: &str, after: Value| json!({"kind": kind, "title": kind, "description": "All of it.", "after": after});
    json!({"steps": [step("analysis", json!([])), step("implementation", json!([1])),
        step("validation", json!([2]))]})
    .to_string()
}

/// What the planner's service answers, a part of what is said of it, and how often it is asked.
/// No part is said where there is a plan.
type PlannerCase = (&'static str, Value, Option<&'static str>, usize);

fn planner_cases() -> Vec<PlannerCase> {
    let page = |text: &str| body("text/html", text);
    let json = |text: &str| body("application/json", text);
    let mut slowly = json(&format!(
        "\n\n{}",
        completion(&good_plan())["body"]
            .as_str()
            .unwrap()
            .replace("{\"", "{\n\n\"")
    ));
    slowly["pause_ms"] = json!(200);
    let mut broken = json("{\"choices\": [");
    broken["then"] = json!("reset");
    let mut stops = json("{\"choices\": [");
    stops["then"] = json!("hang");
    let mut huge = json(&"x".repeat(100_000));
    huge["times"] = json!(20);
    let limited = with_headers(
        status(429, "slow down"),
        &[("retry-after", "3600".to_owned())],
    );
    let moved = with_headers(status(307, ""), &[("location", "/elsewhere".to_owned())]);
    let bad_gateway = json!({"type": "answer", "status": 502, "body": "<html>"});
    let declined = json!({"choices": [{"message": {"content": null, "refusal": "I cannot."}}]});
    let circle = good_plan().replace("\"after\":[]", "\"after\":[3]");
    let cut = good_plan();
    vec![
        ("400", status(400, "odd"), Some("status 400: odd"), 1),
        (
            "401 that repeats the key",
            status(401, &format!("no key {KEY}")),
            Some("nexus keys set openai"),
            1,
        ),
        ("403", status(403, "forbidden"), Some("status 403"), 1),
        (
            "404",
            status(404, "no such model"),
            Some("404: no such model"),
            1,
        ),
        ("408", status(408, "too slow"), Some("status 408"), 1),
        ("409", status(409, "conflict"), Some("status 409"), 1),
        ("413", status(413, "too large"), Some("status 413"), 1),
        ("429", status(429, "slow down"), Some("429: slow down"), 1),
        ("429 for an hour", limited, Some("429: slow down"), 1),
        (
            "500 that repeats the key",
            status(500, &format!("upstream: {KEY}")),
            Some("upstream: (the key)"),
            2,
        ),
        ("502", bad_gateway, Some("status 502"), 2),
        ("503", status(503, "unavailable"), Some("status 503"), 2),
        ("529", status(529, "Overloaded"), Some("status 529"), 1),
        ("a redirection", moved, Some("status 307"), 1),
        (
            "a page for guests",
            page("<html>"),
            Some("no chat completion"),
            1,
        ),
        ("nothing", json(""), Some("no chat completion"), 1),
        (
            "half of some JSON",
            json("{\"choices\": ["),
            Some("no chat completion"),
            1,
        ),
        (
            "another shape",
            json("{\"choices\": {}}"),
            Some("no chat completion"),
            1,
        ),
        (
            "no choices",
            json("{\"choices\": []}"),
            Some("no chat completion"),
            1,
        ),
        (
            "a refusal",
            json(&declined.to_string()),
            Some("I cannot."),
            1,
        ),
        (
            "words",
            completion("I would rather not."),
            Some("not a JSON object"),
            3,
        ),
        (
            "a plan in a circle, thrice",
            completion(&circle),
            Some("wait for each other"),
            3,
        ),
        (
            "a plan cut off, thrice",
            completion(&cut[..cut.len() - 4]),
            Some("not the JSON"),
            3,
        ),
        (
            "another plan",
            completion("{\"plan\": 1}"),
            Some("missing field"),
            3,
        ),
        ("a flood", huge, Some("more than 1048576 bytes"), 1),
        ("broken in the middle", broken, Some("broke off"), 1),
        (
            "silence",
            json!({"type": "hang"}),
            Some("did not answer within"),
            1,
        ),
        (
            "silence in the middle",
            stops,
            Some("did not answer within"),
            1,
        ),
        ("a trickle", slowly, None, 1),
        ("a plan", completion(&good_plan()), None, 1),
    ]
}

/// How long a plan may take in this test.
const PLAN_LIMIT: Duration = Duration::from_secs(6);

/// The planner and its service. Made one after the other: reading all roots of trust keeps a
/// thread, and the others would wait.
async fn planner_for(fault: &Value) -> (OpenAiPlanner, ScriptedApi) {
    let api = ScriptedApi::with(json!({"otherwise": {"fault": fault}})).await;
    let url: BaseUrl = format!("{}/v1", api.url()).parse().unwrap();
    (planner_at(url), api)
}

fn planner_at(url: BaseUrl) -> OpenAiPlanner {
    let settings = PlannerSettings {
        time_limit: PLAN_LIMIT,
        retry_wait: Duration::from_millis(10),
        ..PlannerSettings::new(url, "any")
    };
    OpenAiPlanner::new(settings, KEY.into()).unwrap()
}

async fn plan(planner: &OpenAiPlanner, folder: &Path) -> Result<Planned, NoPlan> {
    let brief = PlanBrief {
        title: "Mend it".to_owned(),
        wish: "Please mend the sums.".to_owned(),
        folder: folder.to_owned(),
        ..PlanBrief::default()
    };
    let (thinks, _) = mpsc::channel(1);
    planner.plan(&brief, &thinks).await
}

/// What is wrong with what the planner makes of this case.
async fn judge_plan(
    (name, _, part, asks): PlannerCase,
    (planner, api): (OpenAiPlanner, ScriptedApi),
    folder: PathBuf,
) -> Vec<String> {
    let begun = Instant::now();
    let planned = within(plan(&planner, &folder)).await;
    let mut wrong = Vec::new();
    match (&planned, part) {
        (Ok(planned), None) if planned.plan.steps().len() == 3 => {}
        (Err(no_plan), Some(part)) if no_plan.reason.contains(part) => {}
        (other, _) => wrong.push(format!("{name}: {other:?}")),
    }
    if format!("{planned:?}").contains(KEY) {
        wrong.push(format!("{name}: the key was repeated"));
    }
    if api.requests().len() != asks {
        wrong.push(format!("{name}: asked {} times", api.requests().len()));
    }
    // It may be late by as much as a busy machine is.
    if begun.elapsed() > PLAN_LIMIT * 3 {
        wrong.push(format!("{name}: took {:?}", begun.elapsed()));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_of_the_planners_service_is_a_reason_and_never_a_wait() {
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.rs"), "").unwrap();
    let mut running = JoinSet::new();
    let cases = planner_cases();
    let all = cases.len() + 1;
    let mut prepared = Vec::new();
    for case in cases {
        let planner = planner_for(&case.1).await;
        prepared.push((case, planner));
    }
    for (case, planner) in prepared {
        running.spawn(judge_plan(case, planner, folder.path().to_owned()));
    }
    let mut wrong: Vec<_> = running.join_all().await;
    wrong.push(nobody_plans(folder.path()).await);
    let wrong: Vec<_> = wrong
        .into_iter()
        .filter(|wrong| !wrong.is_empty())
        .collect();
    figures(&format!(
        "failures of the planner's service: {} of {all} right in {:.0} s",
        all - wrong.len(),
        begun.elapsed().as_secs_f64()
    ));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is wrong with what is said where nobody listens.
async fn nobody_plans(folder: &Path) -> Vec<String> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url: BaseUrl = format!("http://{}/v1", socket.local_addr().unwrap())
        .parse()
        .unwrap();
    match plan(&planner_at(url.clone()), folder).await {
        Err(no_plan) if no_plan.reason.contains(url.as_str()) => Vec::new(),
        other => vec![format!("nobody listens: {other:?}")],
    }
}

// ---- a whole task -----------------------------------------------------------------------

fn of_kind<'a>(log: &'a [Fact], kind: &str) -> Vec<&'a Fact> {
    log.iter().filter(|fact| fact.kind == kind).collect()
}

/// In no file of the data folder, and in nothing that was printed.
fn nowhere_is_the_key(env: &TestEnv, printed: &str) {
    assert!(!printed.contains(KEY), "the key is in {printed}");
    for path in files_under(&env.data()) {
        // A socket that is left is no file to read.
        let bytes = fs::read(env.data().join(&path)).unwrap_or_default();
        let mut pieces = bytes.windows(KEY.len());
        assert!(
            !pieces.any(|piece| piece == KEY.as_bytes()),
            "the key is in {path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_that_fails_costs_a_task_nothing_but_its_plan() {
    for (fault, part) in [
        (
            status(500, &format!("upstream: {KEY}")),
            "upstream: (the key)",
        ),
        (completion("{\"steps\": []}"), "it has no steps"),
    ] {
        let api = ScriptedApi::with(json!({"otherwise": {"fault": fault}})).await;
        let mut env = TestEnv::new();
        env.set("OPENAI_API_KEY", KEY);
        env.set("NEXUS_OPENAI_BASE_URL", format!("{}/v1", api.url()));
        env.script(&rules(good_team()));
        let project = env.project("shop");
        let ended = env.execute(&project, &["--planner", "openai"]).expect(0);
        assert_eq!(ended.result()["state"], "review");
        let log = facts::read(&env.data());
        let failed = of_kind(&log, "planner_failed");
        let [failed] = failed.as_slice() else {
            panic!("{failed:?}");
        };
        assert!(failed.body.to_string().contains(part), "{failed:?}");
        assert_eq!(ended.result()["steps"].as_array().unwrap().len(), 4);
        nowhere_is_the_key(&env, &format!("{ended:?}{}", ended.stdout));
        env.assert_nothing_runs();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_repeats_of_the_key_is_written_nowhere() {
    let complaint = json!({"otherwise": {"fault": status(400, &format!("an odd header: {KEY}"))}});
    let api = ScriptedApi::with(complaint).await;
    let mut env = TestEnv::with_real_claude();
    env.set("NEXUS_ANTHROPIC_BASE_URL", api.url());
    env.set("ANTHROPIC_API_KEY", KEY);
    let project = env.project("shop");
    let ended = env.execute(&project, &[]);
    let result = ended.result();
    assert_eq!(result["state"], "failed", "{ended:?}");
    assert!(ended.stdout.contains("odd header: (the key)"), "{ended:?}");
    nowhere_is_the_key(&env, &format!("{}{}", ended.stdout, ended.stderr));
    env.assert_nothing_runs();
}

/// A team whose Aria meets the account's limit the first time in each of two tasks, as soon as
/// `reset` says when it ends.
fn limited_team(reset: &Path) -> Value {
    let limit = json!([
        {"wait_for": reset},
        {"limit": {"status": "rejected", "resets_as": reset}},
        {"fail": {"status": 429, "kind": "rate_limit", "message": "slow down (retry-after 3)"}},
    ]);
    // The first task finds the first of these unused, the second task the second.
    let meets = json!({"when": {"role": "aria", "attempt": 1}, "do": limit});
    rules([meets.clone(), meets].into_iter().chain(good_team()))
}

#[test]
fn a_limit_parks_two_tasks_once_and_both_wake_after_it() {
    let begun = Instant::now();
    let env = TestEnv::new();
    let reset = env.root().join("reset");
    env.script(&limited_team(&reset));
    let owner = env.start_execute(&env.project("shop"), &[]);
    env.await_prompt("aria");
    let client = env.start_execute(&env.project("bakery"), &[]);
    until("both are prompted", || env.prompts("aria").len() == 2);
    let lifts = seconds_now() + 6;
    // It is there whole or not at all.
    let draft = env.root().join("draft");
    fs::write(&draft, lifts.to_string()).unwrap();
    fs::rename(&draft, &reset).unwrap();
    let ended = [owner.wait().expect(0), client.wait().expect(0)];
    for ended in &ended {
        let result = ended.result();
        assert_eq!(result["state"], "review", "{ended:?}");
        for step in result["steps"].as_array().unwrap() {
            assert_eq!(step["attempts"], 1, "{ended:?}");
        }
    }
    env.assert_nothing_runs();
    parked_once(&facts::read(&env.data()), lifts);
    figures(&format!(
        "two tasks met one limit and were in review after {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
}

/// One closing of the account and one opening, between which both tasks were held and neither
/// began anything.
fn parked_once(log: &[Fact], lifts: u64) {
    let (closed, opened) = (
        of_kind(log, "account_closed"),
        of_kind(log, "account_opened"),
    );
    let ([closed], [opened]) = (closed.as_slice(), opened.as_slice()) else {
        panic!("{closed:?} {opened:?}");
    };
    let until = Timestamp::from_millis(i64::try_from(lifts).unwrap() * 1000);
    assert!(
        closed.body.to_string().contains(&json!(until).to_string()),
        "{closed:?}"
    );
    let mut held: Vec<_> = of_kind(log, "held")
        .into_iter()
        .map(|fact| fact.stream.clone())
        .collect();
    held.sort();
    held.dedup();
    assert_eq!(held.len(), 2, "{held:?}");
    for started in of_kind(log, "step_started") {
        let between = (closed.seq..opened.seq).contains(&started.seq);
        assert!(!between, "{started:?} while the account was closed");
    }
}
