//! Ways for the agent program to end or to misbehave, each through the built `nexus` to the
//! state that the task has to be in, with every process gone afterwards.
//!
//! A case says what happens in the first attempt of the first seat, and what must come of it:
//! how its turns ended, what became of the processes, and how the task and the command did.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_tests::env::{TestEnv, on, rules};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// How many cases are under way at once.
const LANES: usize = 10;
/// How long a turn may say nothing, in seconds.
const SILENCE: &str = "4";
/// After the end of `nexus`, nothing may live longer.
const LIMIT: Duration = Duration::from_secs(10);

struct Case {
    name: &'static str,
    how: How,
    expected: Expected,
}

/// What the agent program is like.
enum How {
    /// It does these things when it is first prompted, and is good ever after.
    Does(Value),
    /// It does these things at every prompt.
    Keeps(Value),
    /// In its place there is this shell script, in which `$CLAUDE` is the good program. It is
    /// asked for its version and login as well, and started ahead of need.
    Script(&'static str),
    /// In its place there is this file, which is a program or not.
    File { content: Vec<u8>, mode: u32 },
    /// There is nothing in its place.
    Missing,
}

/// What must come of it.
enum Expected {
    Task {
        /// The outcomes of the seat's turns, in order.
        turns: &'static [&'static str],
        /// What became of the process of the first; one of these words, where it depends on who
        /// is faster.
        process: &'static str,
        state: &'static str,
        code: i32,
        /// What the timeline has to say.
        says: &'static str,
    },
    /// No task is made at all.
    Refused { code: i32, says: &'static str },
}

/// The turn ends so, and is tried again; then all is well.
fn tried_again(turns: &'static [&'static str], process: &'static str) -> Expected {
    Expected::Task {
        turns,
        process,
        state: "review",
        code: 0,
        says: "",
    }
}

/// Nothing came of it.
fn unharmed(process: &'static str) -> Expected {
    tried_again(&["completed"], process)
}

/// It was unharmed, and this can be read.
fn shown(says: &'static str) -> Expected {
    Expected::Task {
        turns: &["completed"],
        process: "closed",
        state: "review",
        code: 0,
        says,
    }
}

fn ends(turns: &'static [&'static str], state: &'static str, code: i32) -> Expected {
    Expected::Task {
        turns,
        process: "closed",
        state,
        code,
        says: "",
    }
}

fn refused(code: i32, says: &'static str) -> Expected {
    Expected::Refused { code, says }
}

const SIGNALLED: &[&str] = &["signalled", "completed"];
const EXITED: &[&str] = &["exited", "completed"];
const TIMED_OUT: &[&str] = &["timed_out", "completed"];
const OVERLOADED: &[&str] = &["overloaded", "completed"];
const BAD_PROTOCOL: &[&str] = &["bad_protocol", "completed"];
const SESSION_LOST: &[&str] = &["session_lost", "completed"];

#[test]
fn however_the_agent_program_ends_or_misbehaves_the_task_is_in_the_right_state() {
    let began = Instant::now();
    let cases = cases();
    let count = cases.len();
    // Those that take long come first, so that the lanes end together.
    let waiting = Mutex::new(cases);
    let (faults, times) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(case) = { waiting.lock().unwrap().pop() } {
                    let began = Instant::now();
                    let (name, fault) = (case.name, play(&case));
                    times.lock().unwrap().push((began.elapsed(), name));
                    if let Err(fault) = fault {
                        faults.lock().unwrap().push(format!("{name}: {fault}"));
                    }
                }
            });
        }
    });
    let (faults, mut times) = (faults.into_inner().unwrap(), times.into_inner().unwrap());
    times.sort();
    let (longest, slowest) = times.last().unwrap();
    println!(
        "endings: {count} ways in {:.0?}, {} wrong; the longest {longest:.1?} ({slowest})",
        began.elapsed(),
        faults.len(),
    );
    assert!(count >= 40, "{count}");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

fn play(case: &Case) -> Result<(), String> {
    let mut env = TestEnv::new();
    env.set("NEXUS_SILENCE_LIMIT", SILENCE);
    let project = env.write("shop/greeting.txt", "hello\n");
    set_up(&mut env, &case.how);
    let ended = env.execute(project.parent().unwrap(), &[]);
    let gone = Instant::now();
    while !env.processes().is_empty() && gone.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(10));
    }
    let left = env.processes();
    if !left.is_empty() {
        return Err(format!("left {left:?}\n{ended:?}"));
    }
    match &case.expected {
        Expected::Refused { code, says } => {
            let right = ended.code == *code && ended.stderr.contains(says);
            right
                .then_some(())
                .ok_or_else(|| format!("not refused with {code}, {says:?}: {ended:?}"))
        }
        Expected::Task {
            turns,
            process,
            state,
            code,
            says,
        } => {
            let result = ended.result();
            // As it is on record now, since a process may outlive the task's end by a moment.
            let task = env.task("T-1");
            let history = task["steps"][0]["history"].as_array().unwrap();
            let told: Vec<_> = history.iter().map(|one| &one["turn"]).collect();
            let right = told == *turns
                && process.split(' ').any(|one| history[0]["process"] == one)
                && result["state"] == *state
                && ended.code == *code
                && ended.stdout.contains(says);
            right.then_some(()).ok_or_else(|| {
                let expected = format!("{turns:?}, {process}, {state}, {code}, {says:?}");
                let (process, state) = (&history[0]["process"], &result["state"]);
                format!(
                    "expected {expected}; got {told:?}, {process}, {state}, {}, {:?}\n{}\n{}",
                    ended.code,
                    result["failure"],
                    troubles(&ended.lines()),
                    ended.stderr
                )
            })
        }
    }
}

/// What the timeline says of trouble.
fn troubles(lines: &[Value]) -> String {
    let troubled = |line: &&Value| line["ok"] == false || line["kind"] == "retry";
    let texts = lines.iter().filter(troubled).take(8);
    let texts: Vec<_> = texts.map(|line| line["text"].to_string()).collect();
    texts.join("\n")
}

fn set_up(env: &mut TestEnv, how: &How) {
    let good = on(json!({}), json!([]));
    match how {
        How::Does(acts) => env.script(&rules([once(acts), good])),
        How::Keeps(acts) => env.script(&rules([on(json!({"role": "aria"}), acts.clone()), good])),
        How::Script(script) => {
            env.script(&rules([good]));
            let claude = env.variable("NEXUS_CLAUDE_PROGRAM").unwrap().to_owned();
            let script = format!(
                "#!/bin/sh\nCLAUDE='{}'\n{ASKED}\n{script}\n",
                claude.display()
            );
            install(env, script.as_bytes(), 0o755);
        }
        How::File { content, mode } => install(env, content, *mode),
        How::Missing => {
            let nowhere = env.root().join("nowhere/claude");
            env.set("NEXUS_CLAUDE_PROGRAM", nowhere);
        }
    }
}

/// What it does the first time. It costs nothing, because it may not get so far.
fn once(acts: &Value) -> Value {
    let mut acts = acts.as_array().unwrap().clone();
    acts.push(json!({"say": "Done all the same."}));
    json!({"when": {"role": "aria", "attempt": 1}, "do": acts})
}

/// Questions about version and login are answered well, and starts are counted.
const ASKED: &str = r#"
case " $* " in *" --version "* | *" auth status "*) exec "$CLAUDE" "$@" ;; esac
echo start >> "$HOME/starts"
starts=$(wc -l < "$HOME/starts")
"#;

fn install(env: &mut TestEnv, content: &[u8], mode: u32) {
    let path: PathBuf = env.root().join("claude");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    env.set("NEXUS_CLAUDE_PROGRAM", Path::new(&path));
}

/// The cases, those that take longest last, because they are taken from there.
fn cases() -> Vec<Case> {
    let groups = [
        startings(),
        lines(),
        results(),
        services(),
        deaths(),
        silences(),
    ];
    groups.into_iter().flatten().collect()
}

fn case(name: &'static str, how: How, expected: Expected) -> Case {
    Case {
        name,
        how,
        expected,
    }
}

fn does(name: &'static str, acts: Value, expected: Expected) -> Case {
    case(name, How::Does(acts), expected)
}

/// Endings of the process.
fn deaths() -> Vec<Case> {
    let end = json!({"end": {}});
    let again = tried_again;
    let becomes = |script: &str| json!([{"say": "Hm."}, {"become": script}]);
    let after_its_result = |script: &str| json!([end, {"become": script}]);
    vec![
        does(
            "killed",
            becomes("kill -KILL $$"),
            again(SIGNALLED, "signalled"),
        ),
        does(
            "segmentation fault",
            becomes("kill -SEGV $$"),
            again(SIGNALLED, "signalled"),
        ),
        does("aborted", json!(["crash"]), again(SIGNALLED, "signalled")),
        does(
            "hung up",
            becomes("kill -HUP $$"),
            again(SIGNALLED, "signalled"),
        ),
        does(
            "exit 0 without a result",
            json!([{"exit": 0}]),
            again(EXITED, "exited"),
        ),
        does(
            "exit 1 without a result",
            json!([{"exit": 1}]),
            again(EXITED, "exited"),
        ),
        does(
            "exit 137 without a result",
            json!([{"exit": 137}]),
            again(EXITED, "exited"),
        ),
        does(
            "exit 143 without a result",
            json!([{"exit": 143}]),
            again(EXITED, "exited"),
        ),
        does(
            "exit 0 after the result",
            json!([end, {"exit": 0}]),
            unharmed("exited closed"),
        ),
        does(
            "exit 1 after the result",
            json!([end, {"exit": 1}]),
            unharmed("exited closed"),
        ),
        does(
            "killed after the result",
            after_its_result("kill -KILL $$"),
            unharmed("signalled"),
        ),
        does(
            "a daemon left behind",
            becomes(
                "setsid -f sleep 1000; setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & exit 0",
            ),
            again(EXITED, "exited"),
        ),
        does(
            "a daemon left behind after the result",
            after_its_result("setsid -f sleep 1000; exit 0"),
            unharmed("exited closed"),
        ),
        does(
            "a last line cut off",
            json!([{"pour": {"text": "{\"type\":\"result\",\"subtype\":\"succ", "times": 1}}, {"exit": 0}]),
            again(EXITED, "exited"),
        ),
    ]
}

/// It lives and says nothing, or says no more than that it lives.
fn silences() -> Vec<Case> {
    let becomes = |script: &str| json!([{"say": "Hm."}, {"become": script}]);
    let again = tried_again;
    let ticks = r#"for i in 1 2 3 4 5 6 7 8 9 10; do echo '{"type":"keep_alive"}'; sleep 0.5; done; exit 9"#;
    vec![
        does(
            "silent, but obeys",
            json!(["hang"]),
            again(TIMED_OUT, "closed"),
        ),
        // A sign of life is enough, for as long as it comes.
        does(
            "signs of life without progress",
            becomes(ticks),
            again(EXITED, "exited"),
        ),
        does(
            "input closed early",
            becomes("exec <&-; exec sleep 1000"),
            again(TIMED_OUT, "closed"),
        ),
        does(
            "output closed early",
            becomes("exec >&- 2>&-; exec sleep 1000"),
            again(TIMED_OUT, "closed"),
        ),
        does(
            "stopped by a signal",
            becomes("kill -STOP $$; sleep 1000"),
            again(TIMED_OUT, "closed"),
        ),
        does(
            "deaf to interrupts",
            becomes("cat > /dev/null; sleep 1000"),
            again(TIMED_OUT, "closed"),
        ),
        does(
            "runs on after the result",
            json!([{"end": {}}, "deafen"]),
            unharmed("killed"),
        ),
        does(
            "deaf to everything",
            json!(["deafen"]),
            again(TIMED_OUT, "killed"),
        ),
    ]
}

/// What is wrong with the lines it writes.
fn lines() -> Vec<Case> {
    let print = |line: Value| json!([{"print": line.to_string()}]);
    let said = |text: &str| {
        json!({"type": "assistant", "parent_tool_use_id": null, "message":
            {"role": "assistant", "content": [{"type": "text", "text": text}]}})
    };
    let raw = |text: String, times: usize| json!([{"pour": {"text": text, "times": times}}]);
    let line = said("grün\u{2028}und blau").to_string();
    let middle = line.find('ü').unwrap() + 1;
    let halves = json!([{"bytes": line.as_bytes()[..middle]}, {"think": ""}]);
    let split = json!([{"bytes": line.as_bytes()[..middle]}, {"bytes": line.as_bytes()[middle..]}, {"bytes": b"\n"}]);
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let tool = json!({"type": "assistant", "message": {"content": [
        {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "x"}}]}});
    let told = json!({"type": "user", "message": {"content": [
        {"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}});
    let answer = |id: &str| {
        json!({"type": "control_response", "response":
            {"subtype": "success", "request_id": id, "response": {}}})
    };
    let all = |lines: &[Value]| {
        lines
            .iter()
            .map(|line| json!({"print": line.to_string()}))
            .collect::<Value>()
    };
    vec![
        does(
            "a character in two writes",
            split,
            shown("grün\u{2028}und blau"),
        ),
        does(
            "half a character and another line",
            halves,
            unharmed("closed"),
        ),
        does(
            "carriage returns and blank lines",
            raw(format!("\r\n\n \r\n{}\r\n", said("Pieces.")), 1),
            shown("Pieces."),
        ),
        does(
            "NUL bytes",
            raw("\u{0}\u{0}\u{0}\n".to_owned(), 1),
            unharmed("closed"),
        ),
        does(
            "bytes that are no text",
            json!([{"bytes": [255, 254, 10]}]),
            unharmed("closed"),
        ),
        does(
            "a line of 64 MB",
            json!([{"pour": {"text": "x".repeat(1 << 20), "times": 64}}, {"pour": {"text": "\n", "times": 1}}]),
            unharmed("closed"),
        ),
        does(
            "a flood of lines",
            raw(format!("{}\n", json!({"type": "keep_alive"})), 60_000),
            unharmed("closed"),
        ),
        does(
            "the same said thrice",
            all(&[
                said("Twice."),
                said("Twice."),
                tool.clone(),
                tool.clone(),
                told.clone(),
                told.clone(),
            ]),
            shown("Twice."),
        ),
        does(
            "unknown kinds",
            all(&[
                json!({"type": "brand_new", "x": 1}),
                json!({"type": "system", "subtype": "brand_new"}),
                json!({"type": 7}),
                json!({"no": "type"}),
            ]),
            unharmed("closed"),
        ),
        does(
            "answers before questions",
            all(&[told, tool]),
            unharmed("closed"),
        ),
        does(
            "no JSON",
            json!([{"print": "Segmentation fault (not really)"}, {"print": "{\"type\":"}]),
            unharmed("closed"),
        ),
        does(
            "nested deeply",
            raw(
                format!(
                    "{{\"type\":\"assistant\",\"message\":{{\"content\":{}}}}}\n",
                    nested(10_000)
                ),
                1,
            ),
            unharmed("closed"),
        ),
        does(
            "answers to nobody",
            all(&[answer(""), answer("interrupt"), answer("nobody's")]),
            unharmed("closed"),
        ),
        does(
            "a question that nobody knows",
            print(
                json!({"type": "control_request", "request_id": "x", "request": {"subtype": "brand_new"}}),
            ),
            unharmed("closed"),
        ),
        does(
            "a question that is none",
            print(json!({"type": "control_request", "request_id": "x", "request": 3})),
            unharmed("closed"),
        ),
        does(
            "a question withdrawn that was not asked",
            print(json!({"type": "control_cancel_request", "request_id": "x"})),
            unharmed("closed"),
        ),
        does(
            "another session at its beginning",
            print(json!({"type": "system", "subtype": "init", "session_id": "other"})),
            tried_again(SESSION_LOST, "closed"),
        ),
    ]
}

/// What is wrong with its result.
fn results() -> Vec<Case> {
    let end = |fields: Value| json!([{"end": fields}, "hang"]);
    let nested = format!(
        "{{\"type\":\"result\",\"usage\":{}1{}}}\n",
        "[".repeat(500),
        "]".repeat(500)
    );
    let failed = |subtype: &str, reason: &str| {
        end(json!({"subtype": subtype, "is_error": true, "result": null,
            "terminal_reason": reason, "errors": ["so it is"]}))
    };
    vec![
        does("two results", json!([{"end": {}}]), unharmed("closed")),
        does(
            "a result for somebody else's prompt",
            json!([{"end": {"user_message_uuid": "x", "user_message_uuids": ["x"]}}]),
            unharmed("closed"),
        ),
        does(
            "a result that cannot be read",
            json!([{"end": {"is_error": "perhaps"}}]),
            tried_again(BAD_PROTOCOL, "closed"),
        ),
        does(
            "a result nested deeply",
            json!([{"pour": {"text": nested, "times": 1}}]),
            tried_again(BAD_PROTOCOL, "closed"),
        ),
        does(
            "a result of another session",
            end(json!({"session_id": "other"})),
            tried_again(SESSION_LOST, "closed"),
        ),
        does(
            "the session is lost",
            failed("error_during_execution", ""),
            ends(&["refused"], "failed", 6),
        ),
        does(
            "an error while it worked",
            failed("error_during_execution", "model_error"),
            ends(&["refused"], "failed", 6),
        ),
        does(
            "too many turns",
            failed("error_max_turns", "max_turns"),
            ends(&["refused"], "failed", 6),
        ),
        does(
            "a kind of error that nobody knows",
            failed("error_brand_new", "brand_new"),
            ends(&["refused"], "failed", 6),
        ),
        does(
            "its cost cap",
            failed("error_max_budget_usd", "budget_exhausted"),
            ends(&["budget_exhausted"], "paused", 5),
        ),
        does(
            "too long for the model",
            failed("success", "prompt_too_long"),
            tried_again(&["context_exhausted", "completed"], "closed"),
        ),
        does(
            "a result with nothing in it",
            end(json!({"result": null, "usage": {}, "permission_denials": []})),
            unharmed("closed"),
        ),
    ]
}

/// What the model service says.
fn services() -> Vec<Case> {
    let fail = |status: u16, kind: &str| json!([{"fail": {"status": status, "kind": kind, "message": format!("API Error: {status}")}}]);
    let keeps = |name, acts, expected| case(name, How::Keeps(acts), expected);
    let again = || tried_again(OVERLOADED, "closed");
    vec![
        keeps(
            "status 400",
            fail(400, "invalid_request"),
            ends(&["refused"], "failed", 6),
        ),
        keeps(
            "status 401",
            fail(401, "authentication_failed"),
            ends(&["auth_required"], "failed", 6),
        ),
        keeps(
            "status 402",
            fail(402, "billing_error"),
            ends(&["credit_exhausted"], "failed", 6),
        ),
        keeps(
            "status 403",
            fail(403, "authentication_failed"),
            ends(&["auth_required"], "failed", 6),
        ),
        keeps(
            "status 404",
            fail(404, "model_not_found"),
            ends(&["refused"], "failed", 6),
        ),
        keeps(
            "status 413",
            fail(413, "unknown"),
            // Each new conversation is as long for this service as the one before.
            ends(&["context_exhausted"; 4], "failed", 1),
        ),
        does("status 408", fail(408, "timeout"), again()),
        does("status 500", fail(500, "server_error"), again()),
        does("status 502", fail(502, "server_error"), again()),
        does("status 503", fail(503, "server_error"), again()),
        does("status 504", fail(504, "timeout"), again()),
        does("status 529", fail(529, "overloaded"), again()),
        does(
            "no status",
            json!([{"fail": {"kind": "unknown", "message": "fetch failed"}}]),
            again(),
        ),
    ]
}

/// How it starts, or does not.
fn startings() -> Vec<Case> {
    let script = |name, script, expected| case(name, How::Script(script), expected);
    let file = |name, content: &[u8], mode, expected| {
        let content = content.to_vec();
        case(name, How::File { content, mode }, expected)
    };
    let version = |said: &str| format!("#!/bin/sh\necho '{said}'\n").into_bytes();
    vec![
        case("missing", How::Missing, refused(7, "nowhere/claude")),
        file(
            "not executable",
            b"#!/bin/sh\n",
            0o644,
            refused(7, "claude"),
        ),
        file("no program", b"just text", 0o755, refused(7, "claude")),
        file(
            "no program for this machine",
            b"\x7fELF\x02\x01\x01 not really",
            0o755,
            refused(7, "claude"),
        ),
        file(
            "too old",
            &version("1.0.3 (Claude Code)"),
            0o755,
            refused(7, "1.0.3"),
        ),
        file(
            "without a version",
            &version("hello"),
            0o755,
            refused(7, "version"),
        ),
        file(
            "killed when asked for its version",
            b"#!/bin/sh\nkill -KILL $$\n",
            0o755,
            refused(7, "version"),
        ),
        script(
            "takes its time",
            "sleep 3; exec \"$CLAUDE\" \"$@\"",
            unharmed("closed"),
        ),
        script(
            "ends before it is ready",
            "[ $starts -gt 2 ] && exec \"$CLAUDE\" \"$@\"; exit 1",
            tried_again(EXITED, "not_started"),
        ),
        script(
            "killed before it is ready",
            "[ $starts -gt 2 ] && exec \"$CLAUDE\" \"$@\"; kill -KILL $$",
            tried_again(SIGNALLED, "not_started"),
        ),
        script(
            "ends well before it is ready",
            "[ $starts -gt 2 ] && exec \"$CLAUDE\" \"$@\"; read -r line; exit 0",
            tried_again(EXITED, "not_started"),
        ),
        script(
            "speaks another language",
            "[ $starts -gt 2 ] && exec \"$CLAUDE\" \"$@\"; echo 'Welcome!'; sleep 1000",
            tried_again(BAD_PROTOCOL, "not_started"),
        ),
        script(
            "leaves a daemon at its start",
            "setsid -f sleep 1000; exec \"$CLAUDE\" \"$@\"",
            unharmed("closed"),
        ),
    ]
}
