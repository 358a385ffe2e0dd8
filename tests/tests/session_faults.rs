//! Sessions that come back wrong: their files damaged, swapped, moved or gone, their programs
//! killed at the worst moment, forgetful, confused or silent. Each is either carried on with
//! all it knew, or known to be lost; it is never taken for what it is not.
//!
//! With the real Claude Code where its own files and its own death matter, with the double
//! where a program has to lie.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_agent::{
    Backend, ClaudeCode, ClaudeConfig, Credential, Environment, NotMoved, Recorded, Search,
    Session, SessionCommand, SessionEvent, SessionFile, SessionFiles, SessionSpec, ToolDecision,
    Version,
};
use nexus_core::{Role, SessionId, TaskId, TurnOutcome, TurnUpdate, Usage, Usd};
use nexus_process::{Launcher, find_tagged};
use nexus_tests::{
    drive::{Engine, Turn, close, closed, within},
    env::{TASK, TestEnv, good_team, on, rules, until},
    scripted_api::ScriptedApi,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use uuid::Uuid;

/// The first version that has its conversation on disk before it says that a turn is over, and
/// that finds a session again from another folder.
const SAVES_FIRST: Version = Version::new(2, 1, 330);

/// A home folder, a project, and a program; for the real one a model service as well.
struct Bench {
    folder: TempDir,
    program: PathBuf,
    api: Option<ScriptedApi>,
    session: SessionId,
    /// Instead of the one in the home folder.
    config: Option<PathBuf>,
    recorded: Recorded,
}

impl Bench {
    fn new(program: PathBuf, api: Option<ScriptedApi>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "project"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let used = Some(Usage::default());
        Self {
            folder,
            program,
            api,
            session: new_session(),
            config: None,
            recorded: Recorded { turns: 0, used },
        }
    }

    /// The real program. The model repeats what it is told, with the number of its answer, or
    /// looks into the folder and then hangs.
    async fn real() -> Self {
        let program = std::env::var_os("NEXUS_TEST_CLAUDE").expect(
            "NEXUS_TEST_CLAUDE has to name a Claude Code program: run the tests with `cargo xtask test`, which installs one for them",
        );
        let script = json!({"rules": [
            {"when": {"last_user": "look and hang$", "step": 1}, "reply": {"text": "Looking.", "tools": [
                {"name": "Bash", "input": {"command": "ls", "description": "look"}}]}},
            {"when": {"last_user": "look and hang$", "step": 2}, "reply": {"fault": {"type": "hang"}}},
            {"when": {"last_user": "run for ever$", "step": 1}, "reply": {"tools": [
                {"name": "Bash", "input": {"command": "touch begun; tail -f /dev/null",
                    "description": "run"}}]}},
            {"when": {"last_user": "two at once$", "step": 1}, "reply": {"thinking": "Hm.", "text": "Both.", "tools": [
                {"name": "Bash", "input": {"command": "ls", "description": "look"}},
                {"name": "Glob", "input": {"pattern": "*"}}]}},
            {"when": {"last_user": "write it$", "step": 1}, "reply": {"tools": [
                {"name": "Write", "input": {"file_path": "{{cwd}}/made.txt", "content": "made\n"}}]}},
            {"when": {"last_user": "fail$"},
                "reply": {"fault": {"type": "status", "status": 400, "message": "odd"}}},
        ], "otherwise": {"text": "echo[{{turn}}]: {{last_user}}"}});
        Self::new(program.into(), Some(ScriptedApi::with(script).await))
    }

    fn double(script: &Value) -> Self {
        let bench = Self::new(env!("CARGO_BIN_EXE_fake-claude").into(), None);
        bench.script(script);
        bench
    }

    fn script(&self, script: &Value) {
        fs::write(self.home().join("fake-claude.json"), script.to_string()).unwrap();
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join("project").canonicalize().unwrap()
    }

    fn environment(&self) -> Environment {
        let config = self.config.clone();
        let fixed = [
            ("HOME".into(), self.home().into()),
            ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
        ];
        let moved = config.map(|dir| ("CLAUDE_CONFIG_DIR".into(), dir.into()));
        Environment::of(fixed.into_iter().chain(moved))
    }

    async fn backend(&self) -> ClaudeCode {
        let search = Search {
            named: Some(self.program.clone()),
            never_under: None,
        };
        let found = search.find(&launcher(), &self.environment()).await;
        ClaudeCode::new(ClaudeConfig {
            installation: found.unwrap_or_else(|error| panic!("failed to {error}")),
            launcher: launcher(),
            credential: match self.api {
                Some(_) => Credential::ApiKey("dummy-key".into()),
                None => Credential::Login,
            },
            base_url: self.api.as_ref().map(|api| api.url().parse().unwrap()),
            environment: self.environment(),
        })
    }

    async fn version(&self) -> Version {
        let search = Search {
            named: Some(self.program.clone()),
            never_under: None,
        };
        let found = search.find(&launcher(), &self.environment()).await;
        found.unwrap().version
    }

    fn spec(&self, resume: bool) -> SessionSpec {
        SessionSpec {
            task: TaskId::new(Uuid::new_v4()),
            role: Role::Code,
            session: self.session,
            resume,
            workspace: self.project(),
            system_prompt: "You are Code".to_owned(),
            budget: None,
            silence_limit: Duration::from_secs(50),
            recorded: self.recorded,
        }
    }

    async fn open(&self, resume: bool) -> Result<Session, TurnOutcome> {
        within(self.backend().await.open(self.spec(resume))).await
    }

    async fn first(&self) -> Session {
        let opened = self.open(false).await;
        opened.unwrap_or_else(|outcome| panic!("{outcome:?}"))
    }

    async fn again(&self) -> Session {
        let opened = self.open(true).await;
        opened.unwrap_or_else(|outcome| panic!("{outcome:?}"))
    }

    /// Takes a turn and puts it on record, as the engine does.
    async fn turn(&mut self, session: &mut Session, prompt: &str) -> Turn {
        let turn = permissive().turn(session, prompt).await;
        self.record(&turn);
        turn
    }

    /// Puts a turn on record.
    fn record(&mut self, turn: &Turn) {
        if matches!(turn.outcome, TurnOutcome::Completed { .. }) {
            self.recorded.turns += 1;
        }
        self.recorded.used = self.recorded.used.map(|used| used.plus(turn.usage));
    }

    /// A session of two turns whose process ended in order.
    async fn with_two_turns(mut self) -> Self {
        let mut session = self.first().await;
        for prompt in ["one", "two"] {
            self.turn(&mut session, prompt).await;
        }
        close(session).await;
        self
    }

    fn files(&self) -> SessionFiles {
        SessionFiles::of(&self.environment()).unwrap()
    }

    /// The session's file.
    fn file(&self) -> SessionFile {
        let found = self.files().find(self.session).unwrap();
        let [only] = found.as_slice() else {
            panic!("{found:?}");
        };
        only.clone()
    }

    /// The processes of this session that live.
    fn processes(&self) -> Vec<u32> {
        let tagged = find_tagged("NEXUS_AGENT".as_ref(), self.session.to_string().as_ref());
        tagged.iter().map(|process| process.pid).collect()
    }

    /// Guards outlive what they guard by a moment.
    fn assert_nothing_runs(&self) {
        until("all processes of the session are gone", || {
            self.processes().is_empty()
        });
    }

    /// What a resumption comes to: `remembers` with the number of turns that were before it,
    /// or how it failed and in which words.
    async fn resumed(&mut self) -> Resumed {
        let mut session = match self.open(true).await {
            Ok(session) => session,
            Err(outcome) => return Resumed::failed(&outcome),
        };
        let before = self.recorded;
        let turn = self.turn(&mut session, "and now?").await;
        self.recorded = before;
        if matches!(turn.outcome, TurnOutcome::SessionLost { .. }) {
            closed(&mut session).await;
            return Resumed::failed(&turn.outcome);
        }
        close(session).await;
        Resumed::Remembers(turn.text().to_owned())
    }
}

/// What a resumption came to.
#[derive(Debug, PartialEq)]
enum Resumed {
    /// It knew what was before; its answer says how much.
    Remembers(String),
    /// The session is known to be lost, and why.
    Lost(String),
    /// Anything else is wrong in these tests.
    Otherwise(String),
}

impl Resumed {
    fn failed(outcome: &TurnOutcome) -> Self {
        if let TurnOutcome::SessionLost { message } = outcome {
            Self::Lost(message.clone())
        } else {
            Self::Otherwise(format!("{outcome:?}"))
        }
    }

    #[track_caller]
    fn expect(&self, scenario: &str, want: Want) {
        let right = match (want, self) {
            (Want::Remembers, Self::Remembers(text)) => text == "echo[3]: and now?",
            (Want::Lost(why), Self::Lost(message)) => message.contains(why),
            (Want::Remembers | Want::Lost(_), _) => false,
        };
        assert!(right, "{scenario}: wanted {want:?}, came to {self:?}");
    }
}

/// What a resumption has to come to after two turns.
#[derive(Clone, Copy, Debug)]
enum Want {
    Remembers,
    /// With these words.
    Lost(&'static str),
}

fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_nexus-test-guard").into())
}

fn new_session() -> SessionId {
    TaskId::new(Uuid::new_v4()).session(nexus_core::SeatId::first(Role::Code), 0)
}

fn permissive<'a>() -> Engine<'a> {
    Engine::default().deciding(|_| Some(ToolDecision::Allow))
}

/// Sends a signal to the program itself, as nobody in NEXUS would.
fn signal(session: &Session, signal: Signal) {
    let pid = session.process.expect("a process for the ledger").pid;
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

async fn order(session: &Session, command: SessionCommand) {
    assert!(within(session.commands.send(command)).await.is_ok());
}

/// Gives a prompt and waits for the first event of its turn that is wanted.
async fn prompt_until(session: &mut Session, prompt: &str, wanted: impl Fn(&SessionEvent) -> bool) {
    order(session, SessionCommand::Prompt(prompt.to_owned())).await;
    loop {
        let event = within(session.events.recv()).await.unwrap();
        let done = wanted(&event);
        if let SessionEvent::ToolAsked { request, .. } = event {
            let decision = ToolDecision::Allow;
            order(session, SessionCommand::Decide { request, decision }).await;
        }
        if done {
            return;
        }
    }
}

/// Number of the line that is the `count`th of this type.
fn line_of(lines: &[&str], kind: &str, count: usize) -> usize {
    let is_it = |line: &str| {
        let line = serde_json::from_str::<Value>(line).unwrap();
        line["type"] == kind
    };
    let found = lines.iter().enumerate().filter(|(_, line)| is_it(line));
    found.map(|(n, _)| n).nth(count).unwrap()
}

/// What happens to a session's file. It is given the file, its lines, and the content of
/// another session's file.
type Damage = fn(&Path, &[&str], &str);

/// Damages to the file of a session with two turns.
const DAMAGES: [(&str, Want, Damage); 15] = [
    ("untouched", Want::Remembers, |_, _, _| {}),
    (
        "expired and swept away",
        Want::Lost("No conversation found"),
        |file, _, _| fs::remove_file(file).unwrap(),
    ),
    ("emptied", Want::Lost("without a gap"), |file, _, _| {
        fs::write(file, "").unwrap();
    }),
    (
        "cut off in the first turn",
        Want::Lost("turns up to 0, and 2"),
        |file, lines, _| {
            let end = line_of(lines, "user", 0);
            fs::write(file, lines[..=end].concat()).unwrap();
        },
    ),
    (
        "cut off after the first turn",
        Want::Lost("turns up to 1, and 2"),
        |file, lines, _| {
            let end = line_of(lines, "assistant", 0);
            fs::write(file, lines[..=end].concat()).unwrap();
        },
    ),
    (
        "another conversation's file",
        Want::Lost("another conversation"),
        |file, _, other| fs::write(file, other).unwrap(),
    ),
    (
        "another conversation under our id",
        Want::Lost("another conversation"),
        |file, lines, other| {
            let id = |text: &str| {
                let line = serde_json::from_str::<Value>(text.lines().next().unwrap()).unwrap();
                line["sessionId"].as_str().unwrap().to_owned()
            };
            // The notes of NEXUS stay what they were.
            let field = |id: &str| format!("\"sessionId\":\"{id}\"");
            let renamed = other.replace(&field(&id(other)), &field(&id(lines[0])));
            fs::write(file, renamed).unwrap();
        },
    ),
    (
        "its prompts garbled",
        Want::Lost("without a gap"),
        |file, lines, _| {
            let garbled = lines
                .iter()
                .map(|line| match line.contains("NEXUS session") {
                    true => line.replacen(':', "@", 3),
                    false => (*line).to_owned(),
                });
            fs::write(file, garbled.collect::<String>()).unwrap();
        },
    ),
    (
        "a line in the middle lost",
        Want::Lost("without a gap"),
        |file, lines, _| {
            let gone = line_of(lines, "assistant", 0);
            let kept = lines.iter().enumerate().filter(|(n, _)| *n != gone);
            let kept: String = kept.map(|(_, line)| *line).collect();
            fs::write(file, kept).unwrap();
        },
    ),
    ("zeroed", Want::Lost("without a gap"), |file, lines, _| {
        fs::write(file, "\0".repeat(lines.concat().len())).unwrap();
    }),
    (
        "its last line half written",
        Want::Remembers,
        |file, lines, _| {
            let whole = lines.concat();
            fs::write(file, &whole[..whole.len() - 20]).unwrap();
        },
    ),
    ("garbage at its end", Want::Remembers, |file, lines, _| {
        fs::write(file, format!("{}garbage\n{{\n", lines.concat())).unwrap();
    }),
    (
        "a link in its place",
        Want::Lost("not a file"),
        |file, lines, _| {
            let target = file.with_extension("moved");
            fs::write(&target, lines.concat()).unwrap();
            fs::remove_file(file).unwrap();
            symlink(target, file).unwrap();
        },
    ),
    (
        "a folder in its place",
        Want::Lost("not a file"),
        |file, _, _| {
            fs::remove_file(file).unwrap();
            fs::create_dir(file).unwrap();
        },
    ),
    (
        "forked by somebody else",
        Want::Lost("turns up to 1, and 2"),
        |file, lines, _| {
            // What a second process leaves that went on from the end of the first turn.
            let fork = |number: usize, uuid: &str, parent: &str| {
                let mut line = serde_json::from_str::<Value>(lines[number]).unwrap();
                line["uuid"] = json!(uuid);
                line["parentUuid"] = json!(parent);
                line.to_string()
            };
            let end = line_of(lines, "assistant", 0);
            let first = serde_json::from_str::<Value>(lines[end]).unwrap();
            let mut prompt = serde_json::from_str::<Value>(&fork(
                line_of(lines, "user", 1),
                "00000000-0000-4000-8000-000000000001",
                first["uuid"].as_str().unwrap(),
            ))
            .unwrap();
            prompt["message"]["content"] = json!("from elsewhere");
            let answer = fork(
                line_of(lines, "assistant", 1),
                "00000000-0000-4000-8000-000000000002",
                "00000000-0000-4000-8000-000000000001",
            );
            fs::write(file, format!("{}{prompt}\n{answer}\n", lines.concat())).unwrap();
        },
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_became_of_its_file_a_session_is_known_for_what_it_is() {
    let started = Instant::now();
    let mut bench = Bench::real().await.with_two_turns().await;
    let ours = bench.file();
    assert!(ours.marked && ours.bytes > 0, "{ours:?}");
    let good = fs::read_to_string(&ours.path).unwrap();
    let other = {
        let (own, recorded) = (bench.session, bench.recorded);
        bench.session = new_session();
        bench = bench.with_two_turns().await;
        let other = fs::read_to_string(bench.file().path).unwrap();
        (bench.session, bench.recorded) = (own, recorded);
        other
    };
    let lines: Vec<_> = good.split_inclusive('\n').collect();
    for (scenario, want, damage) in DAMAGES {
        damage(&ours.path, &lines, &other);
        bench.resumed().await.expect(scenario, want);
        let meta = fs::symlink_metadata(&ours.path);
        if meta.is_ok_and(|meta| meta.is_dir()) {
            fs::remove_dir(&ours.path).unwrap();
        } else {
            // A link is replaced, not followed.
            let _ = fs::remove_file(&ours.path);
        }
        fs::write(&ours.path, &good).unwrap();
    }
    println!(
        "session files: {} damages, each known for what it is, in {:.1} s",
        DAMAGES.len(),
        started.elapsed().as_secs_f64()
    );
}

/// A turn of every kind, each followed by the end of its process: a memory that is whole is
/// never taken for a lost one.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_its_turns_were_like_a_session_is_carried_on() {
    let mut bench = Bench::real().await;
    let mut session = bench.first().await;
    bench.turn(&mut session, "one").await;
    close(session).await;
    let at_once = |event: &SessionEvent| matches!(event, SessionEvent::Update(_));
    for (prompt, want) in [
        ("two at once", "completed"),
        ("write it", "completed"),
        ("fail", "refused"),
        ("look and hang", "interrupted"),
    ] {
        let mut session = bench.again().await;
        let mut engine = Engine::default();
        if want == "interrupted" {
            engine = engine.interrupting_on(at_once);
        }
        let turn = engine.turn(&mut session, prompt).await;
        assert_eq!(turn.outcome.name(), want, "{prompt}: {turn:?}");
        bench.record(&turn);
        close(session).await;
        let mut session = bench.again().await;
        let turn = bench.turn(&mut session, "and now?").await;
        assert!(turn.text().contains("and now?"), "{prompt}: {turn:?}");
        close(session).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_looked_for_where_the_program_looks() {
    let mut bench = Bench::real().await.with_two_turns().await;
    // Parked and taken up again, as often as is liked.
    for number in 3..=4 {
        let mut session = bench.again().await;
        let turn = bench.turn(&mut session, "once more").await;
        assert_eq!(turn.text(), format!("echo[{number}]: once more"));
        close(session).await;
    }
    let finds_it_elsewhere = bench.version().await >= SAVES_FIRST;
    let project = bench.project();
    fs::rename(&project, bench.folder.path().join("elsewhere")).unwrap();
    symlink(bench.folder.path().join("elsewhere"), &project).unwrap();
    let moved = bench.resumed().await;
    if finds_it_elsewhere {
        assert_eq!(moved, Resumed::Remembers("echo[5]: and now?".to_owned()));
    } else {
        moved.expect("its folder moved", Want::Lost("No conversation found"));
    }
    bench.config = Some(bench.folder.path().join("config"));
    let elsewhere = bench.resumed().await;
    elsewhere.expect("another home", Want::Lost("No conversation found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_right_after_its_result_is_carried_on_or_known_to_be_lost() {
    let rounds = if std::env::var_os("NEXUS_NIGHTLY").is_some() {
        25
    } else {
        3
    };
    let (mut kept, mut lost) = (0, 0);
    let bench = Bench::real().await;
    let saves_first = bench.version().await >= SAVES_FIRST;
    drop(bench);
    for _ in 0..rounds {
        let mut bench = Bench::real().await;
        let mut session = bench.first().await;
        bench.turn(&mut session, "one").await;
        bench.turn(&mut session, "two").await;
        signal(&session, Signal::KILL);
        let how = closed(&mut session).await;
        assert_eq!(how.name(), "signalled", "{how:?}");
        match bench.resumed().await {
            Resumed::Remembers(text) => {
                assert_eq!(text, "echo[3]: and now?");
                kept += 1;
            }
            Resumed::Lost(_) => lost += 1,
            Resumed::Otherwise(other) => panic!("{other}"),
        }
        bench.assert_nothing_runs();
    }
    assert!(!saves_first || lost == 0, "{lost} sessions were lost");
    println!("killed right after the result: {kept} carried on, {lost} known to be lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_in_the_middle_of_a_tool_is_carried_on() {
    let mut bench = Bench::real().await;
    let mut session = bench.first().await;
    bench.turn(&mut session, "one").await;
    prompt_until(&mut session, "run for ever", |event| {
        matches!(event, SessionEvent::ToolAsked { .. })
    })
    .await;
    let begun = bench.project().join("begun");
    until("the command runs", || begun.exists());
    let answers = || {
        let text = fs::read_to_string(bench.file().path).unwrap();
        text.matches("\"type\":\"tool_use\"").count()
    };
    until("the call is on disk", || answers() > 0);
    signal(&session, Signal::KILL);
    let how = closed(&mut session).await;
    assert_eq!(how.name(), "signalled");
    bench.assert_nothing_runs();
    let mut session = bench.again().await;
    let turn = bench.turn(&mut session, "and now?").await;
    assert!(turn.text().ends_with("]: and now?"), "{}", turn.text());
    let requests = bench.api.as_ref().unwrap().requests();
    let told = requests.last().unwrap().body.to_string();
    let mut known = vec!["one", "run for ever"];
    if bench.version().await >= SAVES_FIRST {
        known.push("tail -f /dev/null");
    }
    for known in known {
        assert!(told.contains(known), "{known} is forgotten");
    }
    close(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_taken_by_another_conversation_is_not_used() {
    let mut bench = Bench::real().await.with_two_turns().await;
    let file = bench.file();
    let stranger = fs::read_to_string(&file.path).unwrap();
    bench.session = new_session();
    bench.recorded = Recorded::default();
    // Warmed, closed, and warmed again: nothing was said, so nothing is there.
    close(bench.first().await).await;
    close(bench.first().await).await;
    let path = file.path.with_file_name(format!("{}.jsonl", bench.session));
    for content in [stranger.as_str(), ""] {
        fs::write(&path, content).unwrap();
        let refused = bench.open(false).await.unwrap_err();
        assert_eq!(refused.name(), "session_lost", "{refused:?}");
    }
    // What is there was made by NEXUS, but not in this session.
    let found = bench.file();
    assert!(!found.marked);
    let kept = bench
        .files()
        .move_aside(&found, &bench.home().join("trash"));
    assert!(matches!(kept, Err(NotMoved::NotOurs(_))), "{kept:?}");
    let moved = bench.files().move_aside(&file, &bench.home().join("trash"));
    assert!(moved.unwrap().exists() && !file.path.exists());
}

/// Micro-dollars and tokens of a usage.
fn price(usage: Usage) -> (Option<u64>, u64) {
    (usage.cost.map(Usd::as_micros), usage.tokens())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_kept_from_being_recorded_is_charged_to_the_next_turn() {
    // NEXUS was killed after the result, before it was on record: the guard ended the program.
    let mut bench = Bench::real().await;
    let counts_on = bench.version().await >= SAVES_FIRST;
    let mut session = bench.first().await;
    let one = price(bench.turn(&mut session, "one").await.usage);
    permissive().turn(&mut session, "two").await;
    signal(&session, Signal::TERM);
    closed(&mut session).await;
    let mut session = bench.again().await;
    let third = bench.turn(&mut session, "three").await;
    assert_eq!(third.covers_lost, counts_on);
    let both = price(third.usage);
    let calls = bench.api.as_ref().unwrap().requests().len() as u64;
    assert_eq!(calls, 3);
    let charged = price(bench.recorded.used.unwrap());
    let exact = one.0.map(|micros| micros * calls);
    assert_eq!(charged.1, one.1 * calls, "every token is charged once");
    assert_eq!(charged.0, exact.filter(|_| counts_on), "{both:?}");
    let next = price(bench.turn(&mut session, "four").await.usage);
    assert_eq!(next, one, "what was lost is charged once");
    close(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_turn_that_was_cut_off_had_used_is_exact_or_unknown() {
    for (kill, exact) in [(Signal::TERM, true), (Signal::KILL, false)] {
        let mut bench = Bench::real().await;
        let exact = exact && bench.version().await >= SAVES_FIRST;
        let mut session = bench.first().await;
        let one = price(bench.turn(&mut session, "one").await.usage);
        prompt_until(&mut session, "look and hang", |event| {
            matches!(
                event,
                SessionEvent::Update(TurnUpdate::ToolEnded { ok: true, .. })
            )
        })
        .await;
        let looked = || {
            let text = fs::read_to_string(bench.file().path).unwrap();
            text.contains("\"type\":\"tool_result\"")
        };
        until("the look is on disk", looked);
        signal(&session, kill);
        closed(&mut session).await;
        let mut session = bench.again().await;
        let third = bench.turn(&mut session, "three").await;
        assert_eq!(third.covers_lost, exact);
        let both = price(third.usage);
        assert_eq!(both.1, one.1 * 2, "the tokens are known");
        assert_eq!(both.0, one.0.map(|micros| micros * 2).filter(|_| exact));
        close(session).await;
    }
}

/// What goes wrong with the double when it is to resume a session of two turns.
fn resume_faults() -> [(&'static str, Value, Want); 6] {
    [
        ("nothing", json!({}), Want::Remembers),
        (
            "ends with code 1 and nothing said",
            json!({"resume": "exit"}),
            Want::Lost("code 1 instead of resuming"),
        ),
        (
            "refuses with an error of its own",
            json!({"resume": "refuse"}),
            Want::Lost("Failed to resume session: EIO"),
        ),
        (
            "answers in another session",
            json!({"resume": "rename"}),
            Want::Lost("answered in session"),
        ),
        (
            "says so three times, and what nobody asked",
            json!({"start": "chatter"}),
            Want::Remembers,
        ),
        (
            "knows no context usage, but has its file",
            json!({"context_usage": false}),
            Want::Remembers,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_lies_about_resuming_is_found_out() {
    for (scenario, script, want) in resume_faults() {
        let mut bench = Bench::double(&json!({})).with_two_turns().await;
        bench.script(&script);
        bench.resumed().await.expect(scenario, want);
        bench.assert_nothing_runs();
    }
    println!("resume faults: {} found out", resume_faults().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_file_a_program_is_asked_and_a_silent_one_is_believed_aloud() {
    let forgets = json!({"resume": "forget"});
    let mut bench = Bench::double(&json!({})).with_two_turns().await;
    fs::remove_file(bench.file().path).unwrap();
    bench.script(&forgets);
    let empty = bench.resumed().await;
    empty.expect("an empty memory", Want::Lost("empty memory"));
    bench.script(&json!({"resume": "forget", "context_usage": false}));
    let mut session = bench.again().await;
    let turn = permissive().turn(&mut session, "and now?").await;
    let said = |update: &TurnUpdate| matches!(update, TurnUpdate::Note { text } if text.contains("no way to see"));
    assert!(turn.updates.iter().any(said), "{:?}", turn.updates);
    close(session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_never_has_two_processes() {
    let bench = Bench::double(&json!({})).with_two_turns().await;
    let session = bench.again().await;
    let refused = bench.open(true).await.unwrap_err();
    let TurnOutcome::CouldNotStart { message } = &refused else {
        panic!("{refused:?}");
    };
    let living = bench.processes();
    let named = |pid: &u32| message.contains(&format!("process {pid} "));
    assert!(living.iter().any(named), "{message}: {living:?}");
    // One that is leaving is waited for.
    let leaving = tokio::spawn(close(session));
    close(bench.again().await).await;
    assert_eq!(leaving.await.unwrap(), TurnOutcome::Interrupted);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_on_a_start_leaves_no_process() {
    let bench = Bench::double(&json!({"start": "hang"}));
    let backend = bench.backend().await;
    let mut opening = Box::pin(backend.open(bench.spec(false)));
    let started = async {
        while !bench.home().join(".fake-claude/log.jsonl").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        opened = &mut opening => panic!("{opened:?}"),
        () = within(started) => {}
    }
    assert!(!bench.processes().is_empty());
    drop(opening);
    bench.assert_nothing_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_twice_is_stopping_once() {
    let bench = Bench::double(&json!({"rules": [{"do": [{"say": "hi"}, "hang"]}]}));
    let mut session = bench.first().await;
    prompt_until(&mut session, "go", |event| {
        matches!(event, SessionEvent::Update(_))
    })
    .await;
    for _ in 0..2 {
        order(&session, SessionCommand::Interrupt).await;
    }
    let ended = loop {
        if let Some(SessionEvent::TurnEnded { outcome, .. }) = within(session.events.recv()).await {
            break outcome;
        }
    };
    assert_eq!(ended, TurnOutcome::Interrupted);
    for _ in 0..2 {
        // It may be gone before it hears the second.
        let _ = session.commands.send(SessionCommand::Close).await;
    }
    assert_eq!(closed(&mut session).await, TurnOutcome::Interrupted);
    assert!(session.events.recv().await.is_none(), "nothing follows");
    bench.assert_nothing_runs();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_interrupted_at_once_is_interrupted() {
    let mut bench = Bench::real().await;
    let mut session = bench.first().await;
    bench.turn(&mut session, "one").await;
    for _ in 0..3 {
        let started = Instant::now();
        order(&session, SessionCommand::Prompt("look and hang".to_owned())).await;
        order(&session, SessionCommand::Interrupt).await;
        let ended = loop {
            let event = within(session.events.recv()).await.unwrap();
            assert!(!matches!(event, SessionEvent::Closed { .. }), "{event:?}");
            if let SessionEvent::TurnEnded { outcome, .. } = event {
                break outcome;
            }
        };
        assert_eq!(ended, TurnOutcome::Interrupted);
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "it was SIGTERM that ended it"
        );
    }
    let turn = bench.turn(&mut session, "still there?").await;
    assert!(turn.text().ends_with("still there?"), "{}", turn.text());
    close(session).await;
}

#[test]
fn a_task_outlives_its_lost_sessions_and_says_so() {
    let env = TestEnv::new();
    let mut team = good_team();
    // Code's program dies in the middle of its first turn, and cannot be carried on.
    let dies = json!([{"say": "Let me see."}, {"exit": 3}]);
    team.insert(0, on(json!({"role": "code", "attempt": 1}), dies));
    let mut script = rules(team);
    script["resume"] = json!("exit");
    env.script(&script);
    let project = env.project("greeter");
    let ended = env.execute(&project, &[]).expect(0);
    assert_eq!(ended.result()["state"], "review", "{ended:?}");
    let said = |words: &str| {
        let lines = ended.lines();
        let mut texts = lines.iter().filter_map(|line| line["text"].as_str());
        texts.any(|text| text.contains(words))
    };
    assert!(said("code 1 instead of resuming"), "{ended:?}");
    let ids: Vec<_> = env
        .log()
        .iter()
        .filter(|entry| entry["role"] == "code")
        .map(|entry| entry["session"].clone())
        .collect();
    assert!(ids.len() >= 2 && ids[0] != ids[1], "{ids:?}");
    println!("a lost session in a task: replaced, {TASK:?} came to review");
    env.assert_nothing_runs();
}
