//! Stopped means stopped: whatever shape a tree of processes has, and whatever moment it is
//! stopped at, nothing of it is left when this crate says so, and what it says is true.
//!
//! The judge knows nothing of this crate: it looks for a variable in `/proc/*/environ` that only
//! the tree has, and at a file where each process of the tree notes its number and start time.

#![expect(clippy::expect_used, reason = "what a test sets up has to work")]
#![expect(
    clippy::print_stdout,
    reason = "the figures are for whoever runs the tests"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a stand-in for NEXUS has to be killed, so it is started without a guard"
)]

use nexus_process::{
    Ended, Launcher, Leftover, Output, Process, ProcessIdentity, Run, RunEnd, Spawn, Stdin, Tag,
    is_alive, kill_tagged,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    sync::Semaphore,
    task::JoinSet,
    time::sleep,
};

const FIXTURE: &str = env!("CARGO_BIN_EXE_nexus-guard-fixture");
/// How many trees are under way at once.
const LANES: usize = 6;
/// Within this, nothing may be left.
const LIMIT: Duration = Duration::from_secs(10);

const SHAPES: [&str; 6] = [
    "double_fork",
    "setsid",
    "nohup",
    "deaf",
    "stopped",
    "respawning",
];

/// How a tree is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Stop,
    StopTwice,
    Kill,
    Drop,
    /// The start is given up while it is under way.
    GiveUp,
    /// The first process ends by itself; the stop comes at the same time.
    AfterExit,
    RunStopped,
    RunTooLong,
    RunDropped,
    /// kill -9 of the process that plays NEXUS.
    OwnerKilled,
    /// kill -9 of the guard.
    GuardKilled,
    /// kill -9 of both; then what the next start does.
    BothKilled,
}

const STOPS: [Way; 9] = [
    Way::Stop,
    Way::StopTwice,
    Way::Kill,
    Way::Drop,
    Way::GiveUp,
    Way::AfterExit,
    Way::RunStopped,
    Way::RunTooLong,
    Way::RunDropped,
];
const DEATHS: [Way; 3] = [Way::OwnerKilled, Way::GuardKilled, Way::BothKilled];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_leaves_nothing_at_any_moment() {
    let each_once = STOPS.len() * (SHAPES.len() + 1);
    let count = if nightly() { 1000 } else { each_once };
    all("stops", &STOPS, count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_of_nexus_or_the_guard_leaves_nothing() {
    let each_once = DEATHS.len() * (SHAPES.len() + 1);
    let count = if nightly() { 210 } else { each_once };
    all("deaths", &DEATHS, count).await;
}

fn nightly() -> bool {
    std::env::var_os("NEXUS_NIGHTLY").is_some()
}

/// Ends `count` trees, each shape in each of the ways, and prints what was measured.
async fn all(what: &str, ways: &[Way], count: usize) {
    let lanes = Arc::new(Semaphore::new(LANES));
    let mut running = JoinSet::new();
    for number in 0..count {
        let way = ways[number % ways.len()];
        let which = number / ways.len() % (SHAPES.len() + 1);
        let lanes = Arc::clone(&lanes);
        running.spawn(async move {
            let _lane = lanes.acquire_owned().await.expect("open");
            let dice = Dice::new(number as u64);
            let tree = Tree::plant(number, which, way, dice);
            (way, tree.end(way).await)
        });
    }
    let (mut times, mut by_way) = (Vec::new(), BTreeMap::new());
    let (mut processes, mut left) = (0, Vec::new());
    while let Some(done) = running.join_next().await {
        let (way, fell) = done.expect("a tree that is gone");
        times.push(fell.took);
        processes += fell.processes;
        left.extend(fell.left);
        let longest: &mut Duration = by_way.entry(way).or_default();
        *longest = fell.took.max(*longest);
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_millis();
    println!(
        "{what}: {count} over {} shapes, alone and mixed, {processes} processes; until gone p50 {} ms, p99 {} ms, \
         longest by way {by_way:.0?}; left over: {}",
        SHAPES.len(),
        at(50),
        at(99),
        left.len(),
    );
    assert_eq!(left, Vec::<String>::new());
}

/// What became of a tree.
struct Fell {
    took: Duration,
    /// How many there were.
    processes: usize,
    /// What was there when it had to be gone.
    left: Vec<String>,
}

/// A tree of processes that can be judged from outside.
struct Tree {
    label: String,
    folder: tempfile::TempDir,
    mark: String,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    tag: Tag,
    dice: Dice,
    left_over: Vec<String>,
}

/// The variable that only the processes of one tree have. Not the tag, which guards have too.
const MARK: &str = "NEXUS_TEST_TREE";

impl Tree {
    /// Shape number `which`; one more than there are is a mixture.
    fn plant(number: usize, which: usize, way: Way, mut dice: Dice) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let shapes: Vec<&str> = match SHAPES.get(which) {
            Some(shape) => vec![*shape],
            None => SHAPES.into_iter().filter(|_| dice.below(3) > 0).collect(),
        };
        let mark = format!("{number}-{way:?}-{}", std::process::id());
        let main = if dice.below(2) == 0 { "deaf" } else { "polite" };
        // Without the tag, and without a guard to be the parent, nothing leads to a process.
        let strip = if DEATHS.contains(&way) { "no" } else { "yes" };
        let text = |value: &Path| value.as_os_str().to_owned();
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tree.sh");
        let env = [
            ("PATH", std::env::var_os("PATH").expect("a PATH")),
            ("TREE", text(&tree)),
            ("PIDS", text(&folder.path().join("pids"))),
            ("SAID", text(&folder.path().join("said"))),
            ("MAIN", main.into()),
            ("STRIP", strip.into()),
            (MARK, mark.clone().into()),
        ];
        let mut args: Vec<OsString> = vec![text(&tree), "main".into()];
        if way == Way::AfterExit {
            args.push("exit".into());
        }
        args.extend(shapes.iter().map(OsString::from));
        Self {
            label: format!("tree {number} ({way:?}, {main}, {shapes:?})"),
            folder,
            tag: Tag {
                name: "NEXUS_TEST_TAG".into(),
                value: mark.clone().into(),
            },
            mark,
            args,
            env: env.map(|(name, value)| (name.into(), value)).into(),
            dice,
            left_over: Vec::new(),
        }
    }

    fn spawn(&self) -> Spawn {
        Spawn {
            args: self.args.clone(),
            env: self.env.clone(),
            stdin: Stdin::Null,
            output: Output::Merged,
            tag: Some(self.tag.clone()),
            ..Spawn::new("/bin/sh", "/")
        }
    }

    fn run(&self, deadline: Duration) -> Run {
        Run {
            spawn: self.spawn(),
            output: self.folder.path().join("output"),
            output_limit: Run::OUTPUT_LIMIT,
            tail_limit: 1000,
            deadline,
        }
    }

    async fn end(mut self, way: Way) -> Fell {
        let took = match way {
            Way::Stop | Way::StopTwice | Way::Kill | Way::Drop | Way::AfterExit => {
                self.end_process(way).await
            }
            Way::GiveUp => self.give_up().await,
            Way::RunStopped | Way::RunTooLong | Way::RunDropped => self.end_run(way).await,
            Way::GuardKilled => self.kill_guard().await,
            Way::OwnerKilled | Way::BothKilled => self.kill_owner(way).await,
        };
        if took >= LIMIT {
            self.left_over.push(format!("{} took {took:?}", self.label));
        }
        Fell {
            took,
            processes: self.noted().len(),
            left: self.left_over,
        }
    }

    async fn start(&self, launcher: &Launcher) -> Process {
        launcher.spawn(self.spawn()).await.expect("starting")
    }

    /// For what was dropped: only the launcher can say when it is gone.
    async fn all_gone(&mut self, launcher: &Launcher, asked: Instant) -> Duration {
        launcher.all_gone().await;
        let took = asked.elapsed();
        self.nothing_may_be_left();
        took
    }

    /// A moment while the tree grows, or when it is complete.
    async fn some_moment(&mut self, process: &mut Process) {
        if self.dice.below(3) == 0 {
            let mut lines = BufReader::new(process.stdout.as_mut().expect("a pipe")).lines();
            let ready = lines.next_line().await.expect("reading");
            assert_eq!(ready.as_deref(), Some("ready"), "{}", self.label);
        } else {
            sleep(self.dice.up_to_ms(250)).await;
        }
    }

    async fn end_process(&mut self, way: Way) -> Duration {
        let launcher = launcher();
        let mut process = self.start(&launcher).await;
        let program = process.identity();
        if way == Way::AfterExit {
            let mut stdout = process.stdout.take().expect("a pipe");
            let mut first = [0];
            stdout.read_exact(&mut first).await.expect("ready");
        } else {
            self.some_moment(&mut process).await;
        }
        let grace = self.dice.up_to_ms(400);
        let asked = Instant::now();
        let ended = match way {
            Way::Drop => {
                drop(process);
                return self.all_gone(&launcher, asked).await;
            }
            Way::Kill => {
                process.kill_tree();
                process.wait().await
            }
            Way::StopTwice => {
                let later = self.dice.up_to_ms(100);
                let (one, other) = tokio::join!(process.stop(grace), async {
                    sleep(later).await;
                    process.stop(Duration::ZERO).await
                });
                assert_eq!(one, other, "{}", self.label);
                one.expect("nothing withstands")
            }
            Way::Stop
            | Way::AfterExit
            | Way::GiveUp
            | Way::RunStopped
            | Way::RunTooLong
            | Way::RunDropped
            | Way::OwnerKilled
            | Way::GuardKilled
            | Way::BothKilled => process.stop(grace).await.expect("nothing withstands"),
        };
        let took = asked.elapsed();
        self.nothing_may_be_left();
        assert!(!is_alive(program), "{}", self.label);
        self.said_so(ended);
        took
    }

    async fn give_up(&mut self) -> Duration {
        let launcher = launcher();
        let patience = self.dice.up_to_ms(60);
        let started = tokio::time::timeout(patience, launcher.spawn(self.spawn())).await;
        let asked = Instant::now();
        drop(started);
        self.all_gone(&launcher, asked).await
    }

    async fn end_run(&mut self, way: Way) -> Duration {
        let launcher = launcher();
        let patience = self.dice.up_to_ms(400);
        let deadline = if way == Way::RunTooLong {
            patience
        } else {
            Duration::from_secs(3600)
        };
        let running = launcher.begin(self.run(deadline)).await.expect("starting");
        let program = running.identity().expect("a process");
        if way == Way::RunDropped {
            let _ = tokio::time::timeout(patience, running.finish(std::future::pending())).await;
            return self.all_gone(&launcher, Instant::now()).await;
        }
        let asked = Instant::now();
        let stop = async move {
            if way == Way::RunStopped {
                sleep(patience).await;
            } else {
                std::future::pending().await
            }
        };
        let report = running.finish(stop).await.expect("an output file");
        let took = asked.elapsed().saturating_sub(patience);
        self.nothing_may_be_left();
        assert!(!is_alive(program), "{}", self.label);
        let expected = if way == Way::RunStopped {
            RunEnd::Stopped
        } else {
            RunEnd::TimedOut
        };
        assert_eq!(report.end, expected, "{}", self.label);
        took
    }

    async fn kill_guard(&mut self) -> Duration {
        let launcher = launcher();
        let mut process = self.start(&launcher).await;
        let guard = process.guard_identity().expect("known on Linux");
        self.some_moment(&mut process).await;
        let asked = Instant::now();
        kill_nine(guard);
        // Half of the time somebody wants it stopped as well.
        let ended = if self.dice.below(2) == 0 {
            process.wait().await
        } else {
            process
                .stop(Duration::ZERO)
                .await
                .expect("nothing withstands")
        };
        let took = asked.elapsed();
        self.nothing_may_be_left();
        assert!(!is_alive(process.identity()), "{}", self.label);
        assert_eq!(ended, Ended::GuardLost, "{}", self.label);
        took
    }

    async fn kill_owner(&mut self, way: Way) -> Duration {
        let mut owner = tokio::process::Command::new(FIXTURE)
            .arg("stand-in")
            .args([&self.tag.name, &self.tag.value])
            .arg("/bin/sh")
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            // The judge looks for what the tree alone has.
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting");
        let mut lines = BufReader::new(owner.stdout.take().expect("a pipe")).lines();
        let both = lines.next_line().await.expect("reading").expect("a line");
        let both: serde_json::Value = serde_json::from_str(&both).expect("JSON");
        let identity = |name: &str| -> ProcessIdentity {
            serde_json::from_value(both[name].clone()).expect("identity")
        };
        let (program, guard) = (identity("program"), identity("guard"));
        sleep(self.dice.up_to_ms(250)).await;
        let asked = Instant::now();
        if way == Way::BothKilled {
            kill_nine(guard);
        }
        owner.kill().await.expect("killing");
        if way == Way::BothKilled {
            let tag = self.tag.clone();
            let swept = tokio::task::spawn_blocking(move || kill_tagged(&[program], &tag));
            let swept = swept.await.expect("sweeping");
            let took = asked.elapsed();
            assert!(
                matches!(swept, Leftover::Killed { .. } | Leftover::NothingThere),
                "{}: {swept:?}",
                self.label
            );
            self.nothing_may_be_left();
            return took;
        }
        // The guard is the last to end.
        while (is_alive(guard) || !self.left().is_empty()) && asked.elapsed() < LIMIT {
            sleep(Duration::from_millis(10)).await;
        }
        let took = asked.elapsed();
        self.nothing_may_be_left();
        assert!(!is_alive(program) && !is_alive(guard), "{}", self.label);
        took
    }

    /// What this crate says of the ending is what the first process says of it.
    fn said_so(&self, ended: Ended) {
        let said = fs::read_to_string(self.folder.path().join("said")).unwrap_or_default();
        match ended {
            Ended::Exited { code } => assert_eq!(said.trim(), code.to_string(), "{}", self.label),
            Ended::Signalled { signal } => {
                assert!([9, 15].contains(&signal), "{}: signal {signal}", self.label)
            }
            Ended::GuardLost => panic!("{}: its guard was there", self.label),
        }
    }

    fn nothing_may_be_left(&mut self) {
        let left = self.left().into_iter();
        self.left_over
            .extend(left.map(|left| format!("{} left {left}", self.label)));
    }

    /// Every living process of the tree, found without the crate under test.
    fn left(&self) -> Vec<String> {
        let mut left = marked(&self.mark);
        for noted in self.noted() {
            if let Some((pid, start)) = noted.split_once(' ')
                && row(pid).is_some_and(|row| row.start == start && row.living)
            {
                left.push(format!("noted {pid}"));
            }
        }
        left
    }

    /// The lines of the file that the tree keeps itself.
    fn noted(&self) -> Vec<String> {
        let pids = fs::read_to_string(self.folder.path().join("pids")).unwrap_or_default();
        pids.lines().map(str::to_owned).collect()
    }
}

/// One that knows of nothing else.
fn launcher() -> Launcher {
    Launcher::new(FIXTURE.into())
}

/// Living processes with this mark in their environment.
fn marked(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("a process table").flatten() {
        let Some(pid) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        let mut variables = environ.split(|byte| *byte == 0);
        if variables.any(|variable| variable == wanted.as_bytes())
            && row(&pid).is_some_and(|row| row.living)
        {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            found.push(format!("marked {pid} {command}"));
        }
    }
    found
}

struct Row {
    start: String,
    living: bool,
}

fn row(pid: &str) -> Option<Row> {
    let text = fs::read_to_string(PathBuf::from("/proc").join(pid).join("stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split(' ').collect();
    Some(Row {
        start: (*fields.get(19)?).to_owned(),
        living: !["Z", "X"].contains(fields.first()?),
    })
}

fn kill_nine(process: ProcessIdentity) {
    let pid = process.pid.to_string();
    let killed = std::process::Command::new("/bin/kill")
        .args(["-9", &pid])
        .status();
    assert!(killed.expect("starting kill").success());
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ (value >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn up_to_ms(&mut self, limit: u64) -> Duration {
        Duration::from_millis(self.below(limit))
    }
}
