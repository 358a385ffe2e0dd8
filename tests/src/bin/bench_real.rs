//! How long four phases take with the real Claude Code, in the way of NEXUS and in the plain
//! way, against a model on this machine that answers at once.
//!
//! `bench-real [ROUNDS]` (5 when it is not said) runs both ways in turns and prints one JSON
//! line for each round and a summary at the end. `NEXUS_TEST_CLAUDE` names the program.
//!
//! - *warm*: one process for each seat, started ahead together, each taking its phase as a
//!   turn. `warm_ms` is from the first prompt to the last result; `warm_with_start_ms` counts
//!   the start of the four processes as well.
//! - *process per phase*: `claude -p --output-format json` four times, one after the other.
//!
//! Both get the same personas, prompts and answers. The times of the processor are those of all
//! processes that were started, from their start to their end.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the whole of a small program for developers"
)]

use nexus_agent::{
    Backend, ClaudeCode, ClaudeConfig, Credential, Environment, Recorded, Search, Session,
    SessionSpec,
};
use nexus_core::{Persona, Role, TaskId};
use nexus_process::Launcher;
use nexus_tests::{
    drive::{Engine, close},
    env::program,
    scripted_api::ScriptedApi,
};
use serde_json::{Value, json};
use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use uuid::Uuid;

const KEY: &str = "dummy-key-for-the-bench";

fn main() -> ExitCode {
    if let Some(code) = nexus_process::guard::run_if_asked() {
        return code;
    }
    let Some(claude) = env::var_os("NEXUS_TEST_CLAUDE") else {
        eprintln!(
            "NEXUS_TEST_CLAUDE has to name a Claude Code program: use `cargo xtask bench real`"
        );
        return ExitCode::FAILURE;
    };
    let rounds = env::args().nth(1).map_or(Ok(5), |rounds| rounds.parse());
    let Ok(rounds @ 1..) = rounds else {
        eprintln!("give a number of rounds, or nothing for 5");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(claude.into(), rounds));
    ExitCode::SUCCESS
}

async fn measure(claude: PathBuf, rounds: u32) {
    let bench = Bench::new(claude).await;
    // The first start reads the program from the disk, which is not what is compared.
    bench.process_per_phase();
    let mut measured = Vec::new();
    for round in 1..=rounds {
        // Whoever comes second finds the caches warmer, so they take turns.
        let (warm, plain) = if round % 2 == 1 {
            let warm = bench.warm().await;
            (warm, bench.process_per_phase())
        } else {
            let plain = bench.process_per_phase();
            (bench.warm().await, plain)
        };
        let line = Round { warm, plain };
        println!("{}", line.json(round));
        measured.push(line);
    }
    println!("{}", summary(&measured));
}

/// One way of doing the four phases.
struct Way {
    wall: Duration,
    /// The same with the start of the processes.
    with_start: Duration,
    processor: Duration,
}

struct Round {
    warm: Way,
    plain: Way,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.plain.wall.as_secs_f64() / self.warm.wall.as_secs_f64()
    }

    fn ratio_with_start(&self) -> f64 {
        self.plain.wall.as_secs_f64() / self.warm.with_start.as_secs_f64()
    }

    fn processor_ratio(&self) -> f64 {
        self.plain.processor.as_secs_f64() / self.warm.processor.as_secs_f64()
    }

    fn json(&self, round: u32) -> Value {
        json!({
            "bench": "real", "round": round,
            "warm_ms": millis(self.warm.wall),
            "warm_with_start_ms": millis(self.warm.with_start),
            "process_per_phase_ms": millis(self.plain.wall),
            "ratio": rounded(self.ratio()),
            "ratio_with_start": rounded(self.ratio_with_start()),
            "warm_cpu_ms": millis(self.warm.processor),
            "process_per_phase_cpu_ms": millis(self.plain.processor),
            "cpu_ratio": rounded(self.processor_ratio()),
        })
    }
}

fn summary(rounds: &[Round]) -> Value {
    let over = |ratio: fn(&Round) -> f64| {
        let mut all: Vec<_> = rounds.iter().map(ratio).collect();
        all.sort_by(f64::total_cmp);
        let middle = (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2.0;
        json!({"median": rounded(middle), "min": rounded(all[0]),
            "max": rounded(all[all.len() - 1])})
    };
    json!({"bench": "real", "rounds": rounds.len(), "ratio": over(Round::ratio),
        "ratio_with_start": over(Round::ratio_with_start),
        "cpu_ratio": over(Round::processor_ratio)})
}

fn millis(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1000.0)
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A home, a project and a model for all rounds.
struct Bench {
    folder: TempDir,
    claude: PathBuf,
    api: ScriptedApi,
    backend: ClaudeCode,
}

impl Bench {
    async fn new(claude: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "project"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let api = ScriptedApi::with(json!({"otherwise": {"text": "Done."}})).await;
        let environment = Environment::of([
            ("HOME".into(), folder.path().join("home").into()),
            ("PATH".into(), env::var_os("PATH").unwrap_or_default()),
            ("LANG".into(), "C.UTF-8".into()),
        ]);
        let launcher = Launcher::new(env::current_exe().unwrap());
        let search = Search {
            named: Some(claude.clone()),
            never_under: None,
        };
        let installation = search.find(&launcher, &environment).await;
        let backend = ClaudeCode::new(ClaudeConfig {
            installation: installation.unwrap_or_else(|error| panic!("failed to {error}")),
            launcher,
            credential: Credential::ApiKey(KEY.into()),
            base_url: Some(api.url().parse().unwrap()),
            environment,
        });
        Self {
            folder,
            claude,
            api,
            backend,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Four processes that are ready before the first prompt comes.
    async fn warm(&self) -> Way {
        let before = children_processor_time();
        let start = Instant::now();
        let task = TaskId::new(Uuid::new_v4());
        let opening = Role::AGENTS.map(|role| self.open(task, role));
        let mut sessions = futures::future::join_all(opening).await;
        let ready = Instant::now();
        for (role, session) in Role::AGENTS.into_iter().zip(&mut sessions) {
            let turn = Engine::default().turn(session, &prompt(role)).await;
            assert_eq!(turn.text(), "Done.");
        }
        let (wall, with_start) = (ready.elapsed(), start.elapsed());
        for session in sessions {
            close(session).await;
        }
        Way {
            wall,
            with_start,
            processor: children_processor_time().saturating_sub(before),
        }
    }

    async fn open(&self, task: TaskId, role: Role) -> Session {
        let spec = SessionSpec {
            task,
            role,
            session: task.session(nexus_core::SeatId::first(role), 0),
            resume: false,
            workspace: self.path("project"),
            system_prompt: persona(role),
            budget: None,
            silence_limit: Duration::from_secs(60),
            recorded: Recorded::default(),
        };
        let opened = self.backend.open(spec).await;
        opened.unwrap_or_else(|outcome| panic!("{outcome:?}"))
    }

    /// A process for each phase, started when the one before has ended.
    fn process_per_phase(&self) -> Way {
        let before = children_processor_time();
        let start = Instant::now();
        for role in Role::AGENTS {
            let text = tokio::task::block_in_place(|| self.one_shot(role));
            assert_eq!(text, "Done.");
        }
        Way {
            wall: start.elapsed(),
            with_start: start.elapsed(),
            processor: children_processor_time().saturating_sub(before),
        }
    }

    fn one_shot(&self, role: Role) -> String {
        let mut child = program(&self.claude)
            .args(["-p", "--output-format", "json", "--setting-sources", ""])
            .args(["--strict-mcp-config", "--tools", &role.tools().join(",")])
            .args(["--append-system-prompt", &persona(role)])
            .current_dir(self.path("project"))
            .env_clear()
            .envs([
                ("HOME", self.path("home").as_path()),
                ("ANTHROPIC_API_KEY", Path::new(KEY)),
                ("ANTHROPIC_BASE_URL", Path::new(&self.api.url())),
                ("LANG", Path::new("C.UTF-8")),
            ])
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            // What keeps it from talking to anybody else, as NEXUS sets it.
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
            .env("DISABLE_AUTOUPDATER", "1")
            .env("DISABLE_TELEMETRY", "1")
            .env("DISABLE_ERROR_REPORTING", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(prompt(role).as_bytes()).unwrap();
        drop(stdin);
        let ended = child.wait_with_output().unwrap();
        let answer: Value = serde_json::from_slice(&ended.stdout).unwrap();
        answer["result"].as_str().unwrap_or_default().to_owned()
    }
}

fn persona(role: Role) -> String {
    Persona::built_in(role).unwrap().system_prompt()
}

/// As long as the prompts of a small task are.
fn prompt(role: Role) -> String {
    let title = role.title();
    format!(
        "You are {title}\n{}",
        "What was handed over so far. ".repeat(140)
    )
}

/// What all children that have ended used of the processor, with all that they waited for.
fn children_processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let times = after_name.split_ascii_whitespace().skip(13).take(2);
    let ticks: u64 = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}
