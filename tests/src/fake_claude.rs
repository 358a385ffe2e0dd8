//! A stand-in for the Claude Code program: it speaks the same stream-json protocol, calls no
//! model, and does what a script says.
//!
//! # Where the script is
//! The first of: the file that `FAKE_CLAUDE_SCRIPT` names; `fake-claude.json` in the home
//! folder (NEXUS clears the environment of agents, but leaves `HOME`); `fake-claude.json`
//! beside the executable. Without one it repeats each prompt.
//!
//! # What a script says
//! ```json
//! {
//!   "version": "2.1.330 (Claude Code)", "logged_in": true,
//!   "rules": [
//!     {"when": {"role": "code", "prompt": "fix (\\S+)", "attempt": 1},
//!      "do": [
//!        {"say": "Looking."},
//!        {"use": {"tool": "Write", "input": {"file_path": "{{cwd}}/{{1}}", "content": "hi\n"}}},
//!        {"call": {"tool": "submit_result", "with": {"summary": "fixed"}}},
//!        {"usage": {"input": 900, "output": 100, "cost": 0.012}}]}
//!   ]
//! }
//! ```
//! The first rule whose conditions all hold is played; `otherwise`, a list as in `do`, is
//! played when there is none. `role` is the seat of the line `You are …` in the system prompt,
//! `prompt` a pattern, `attempt` counts from 1 how often role and prompt of this rule held, in
//! all processes with this home folder. Texts may use `{{prompt}}`, `{{cwd}}`, `{{turn}}`,
//! `{{last}}` (the answer to the last tool or call), `{{once}}` (an id of this turn alone) and
//! the groups `{{1}}`… of `prompt`.
//! The actions are the variants of [`Action`].
//!
//! What goes wrong when it starts or resumes is said by `start`, `resume` and `context_usage`
//! of the [`Script`].
//!
//! # What it leaves
//! In `.fake-claude/` in the home folder: `sessions/` with what a session cost, and `log.jsonl`
//! with each start (arguments, names of environment variables, folder) and each prompt without
//! the program's own notes in it, for tests to look at. In `.claude/projects/` (or below
//! `CLAUDE_CONFIG_DIR`) a file for each session with prompts and answers in the real program's
//! form, by which a session is resumed and an unknown one refused. Where `ledger` names a file,
//! a [`ledger`](crate::ledger) of turns, changed files and results.

mod memory;
mod pipe;
mod play;

use crate::script::{Pattern, role_of};
use memory::{Memory, Past};
use nexus_core::Role;
use pipe::Pipe;
use play::Player;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What is played when.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    pub version: String,
    pub logged_in: bool,
    pub rules: Vec<Rule>,
    pub otherwise: Vec<Action>,
    pub start: Option<StartFault>,
    pub resume: Option<ResumeFault>,
    /// Whether it can say how full its context is.
    pub context_usage: bool,
    /// Where it keeps a record of its own of what it was told and did.
    pub ledger: Option<PathBuf>,
}

/// What goes wrong whenever it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartFault {
    /// It never says that it is ready, but ends with its input.
    Hang,
    /// It says so three times, after answers to what nobody asked.
    Chatter,
}

/// What goes wrong when it is to resume a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeFault {
    /// It ends with code 1 and says nothing.
    Exit,
    /// It refuses with a result that is an error of its own.
    Refuse,
    /// It opens, and remembers nothing.
    Forget,
    /// It opens, and answers in another session.
    Rename,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            version: "2.1.330 (Claude Code)".to_owned(),
            logged_in: true,
            rules: Vec::new(),
            otherwise: vec![Action::Say("echo[{{turn}}]: {{prompt}}".to_owned())],
            start: None,
            resume: None,
            context_usage: true,
            ledger: None,
        }
    }
}

/// One rule of a script.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub when: When,
    pub r#do: Vec<Action>,
}

/// The conditions of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    pub role: Option<Role>,
    pub prompt: Option<Pattern>,
    pub attempt: Option<usize>,
}

/// One thing that the double does in a turn.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Speaks; the last text is the turn's result.
    Say(String),
    Think(String),
    /// Uses a tool, after asking where the real one asks. `Write` and `Edit` change the file
    /// when they are allowed to; every other tool only says that it answered `output`.
    Use {
        tool: String,
        #[serde(default)]
        input: Map<String, Value>,
        #[serde(default)]
        output: String,
    },
    /// Calls a `nexus` tool.
    Call {
        tool: String,
        #[serde(default)]
        with: Map<String, Value>,
    },
    /// What the turn used; adds up.
    Usage {
        #[serde(default)]
        input: u64,
        #[serde(default)]
        output: u64,
        /// In dollars; left out when the price is not known.
        #[serde(default)]
        cost: Option<f64>,
    },
    /// Says that the service failed and will be asked again.
    Retry {
        status: Option<u16>,
    },
    /// Says where the account's limit stands.
    Limit {
        /// `allowed_warning` or `rejected`.
        status: String,
        /// Seconds since 1970.
        #[serde(default)]
        resets_at: Option<u64>,
        /// A file that says so instead, for a test that knows it only later.
        #[serde(default)]
        resets_as: Option<PathBuf>,
    },
    /// Ends the turn with a failure of the service.
    Fail {
        #[serde(default)]
        status: Option<u16>,
        /// The program's name for the failure, such as `overloaded` or `billing_error`.
        kind: String,
        message: String,
    },
    /// Writes this to stdout as it is, with a line feed.
    Print(String),
    /// Writes this to stdout as it is, so many times, and no line feed.
    Pour {
        text: String,
        times: usize,
    },
    /// Writes these bytes to stdout as they are.
    Bytes(Vec<u8>),
    /// Writes the turn's result now, with these fields in the place of its own, and goes on.
    End(Map<String, Value>),
    /// Writes this to stderr.
    Complain(String),
    /// Goes on when this file exists: lets a test hold a turn where it wants it.
    WaitFor(PathBuf),
    /// Says nothing more, but obeys an interrupt, the end of its input and SIGTERM.
    Hang,
    /// Says nothing more and obeys nothing; only a kill ends it.
    Deafen,
    /// Ends the process in the middle of the turn.
    Exit(u8),
    /// Ends the process by a signal.
    Crash,
    /// Is this shell script from here on, with the same input, output and process number.
    Become(String),
}

/// How the process was started.
#[derive(Debug, Default)]
struct Arguments {
    session: Option<String>,
    resume: Option<String>,
    budget: Option<f64>,
}

impl Arguments {
    fn of(args: &[String]) -> Self {
        let value = |name: &str| {
            let at = args.iter().position(|arg| arg == name)?;
            args.get(at + 1).cloned()
        };
        Self {
            session: value("--session-id"),
            resume: value("--resume"),
            budget: value("--max-budget-usd").and_then(|dollars| dollars.parse().ok()),
        }
    }
}

/// The program.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the whole of a small program"
)]
pub fn run(args: Vec<String>) -> ExitCode {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let script = match find_script(&home) {
        Ok(script) => script,
        Err(error) => {
            eprintln!("Error: the script of fake-claude is wrong: {error}");
            return ExitCode::FAILURE;
        }
    };
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    if args.contains(&"--version") {
        println!("{}", script.version);
        return ExitCode::SUCCESS;
    }
    if args.ends_with(&["auth", "status", "--json"]) {
        println!("{}", login(&script));
        return ExitCode::from(u8::from(!script.logged_in));
    }
    let owned: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    serve(script, &owned, Memory::in_home(&home))
}

fn login(script: &Script) -> Value {
    if script.logged_in {
        json!({"loggedIn": true, "authMethod": "claude.ai", "subscriptionType": "max"})
    } else {
        json!({"loggedIn": false, "authMethod": "none"})
    }
}

fn find_script(home: &Path) -> Result<Script, String> {
    let named = env::var_os("FAKE_CLAUDE_SCRIPT").map(PathBuf::from);
    let beside = env::current_exe()
        .ok()
        .map(|program| program.with_file_name("fake-claude.json"));
    let places = [named, Some(home.join("fake-claude.json")), beside];
    let Some(path) = places.into_iter().flatten().find(|path| path.is_file()) else {
        return Ok(Script::default());
    };
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Why a turn stopped before its script did.
#[derive(Debug)]
enum Cut {
    /// An interrupt.
    Interrupted,
    /// Nobody writes to it any more.
    InputClosed,
    /// The script ends the process.
    Exit(u8),
}

/// Carries a session until its input ends.
#[expect(clippy::print_stderr, reason = "the real program complains there")]
fn serve(script: Script, args: &[String], memory: Memory) -> ExitCode {
    let arguments = Arguments::of(args);
    memory.log(&json!({
        "start": args, "cwd": env::current_dir().ok(),
        "env": env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect::<Vec<_>>(),
    }));
    let pipe = Pipe::of_this_process();
    let (session, past) = match (&arguments.resume, &arguments.session) {
        (Some(id), _) => match (script.resume, memory.recall(id)) {
            (Some(ResumeFault::Exit), _) => return ExitCode::FAILURE,
            (Some(ResumeFault::Refuse), _) => {
                refuse_to_resume(&pipe, id, "Failed to resume session: EIO");
                return ExitCode::FAILURE;
            }
            (Some(ResumeFault::Forget), _) => (id.clone(), Past::default()),
            (Some(ResumeFault::Rename), past) => {
                (uuid::Uuid::new_v4().to_string(), past.unwrap_or_default())
            }
            (None, Some(past)) => (id.clone(), past),
            (None, None) => {
                let message = format!("No conversation found with session ID: {id}");
                eprintln!("{message}");
                refuse_to_resume(&pipe, id, &message);
                return ExitCode::FAILURE;
            }
        },
        (None, Some(id)) if memory.exists(id) => {
            eprintln!("Error: Session ID {id} is already in use.");
            return ExitCode::FAILURE;
        }
        (None, Some(id)) => (id.clone(), Past::default()),
        (None, None) => (uuid::Uuid::new_v4().to_string(), Past::default()),
    };
    let has_key = env::var_os("CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR").is_some();
    let mut player = Player::new(pipe, memory, script, session, past, arguments.budget);
    player.run(has_key)
}

fn refuse_to_resume(pipe: &Pipe, session: &str, message: &str) {
    pipe.write(
        &json!({"type": "result", "subtype": "error_during_execution",
        "is_error": true, "errors": [message], "session_id": session,
        "num_turns": 0, "total_cost_usd": 0, "permission_denials": []}),
    );
}
