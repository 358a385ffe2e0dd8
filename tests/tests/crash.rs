//! NEXUS is killed at any moment of a task of four steps, again and again, and carried on.
//!
//! Two witnesses are held against each other: the log of NEXUS, read from a copy of its files,
//! and the ledger that the double of the agent program keeps of what it was told and did. What
//! was printed is the third: what a person saw has to be so afterwards.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_process::find_tagged;
use nexus_tests::{
    chance::{Chance, figures, seed, size},
    env::{TASK, TestEnv, files_under, rules, seat, submit, verdict, write_file},
    facts::{self, Fact},
    ledger::{Deed, Entry, Ledger},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// How many data folders are worked on at once.
const LANES: usize = 3;
/// A new data folder after so many tasks: a long past makes every start longer.
const TASKS_IN_A_FOLDER: usize = 15;
/// No command takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(90);
/// How soon everything that NEXUS started has to be gone after it was killed.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// While a start reads the log, takes the lock and clears away what was left.
const START_UP: Duration = Duration::from_millis(120);

#[test]
fn killed_at_any_moment_nothing_is_lost_doubled_or_left_running() {
    let seed = seed();
    println!("seed {seed}: have it again with NEXUS_SEED={seed}");
    let cycles = size(200, 20_000);
    let started = Instant::now();
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let share = cycles / LANES + usize::from(lane < cycles % LANES);
            let chance = Chance::new(seed.wrapping_add(lane as u64));
            thread::spawn(move || Lane::new(chance, share).run())
        })
        .collect();
    let ended = lanes.into_iter().map(|lane| lane.join().unwrap());
    let tally = ended.fold(Tally::default(), Tally::plus);
    figures(&tally.in_words(seed, started.elapsed()));
    assert!(tally.faults.is_empty(), "{:#?}", tally.faults);
    assert!(tally.cycles >= cycles);
    for phase in ["start", "aria", "code", "alpha", "beta", "accept"] {
        let kills = tally.kills.get(phase);
        assert!(kills.is_some(), "no kill fell into the phase {phase}");
    }
}

/// What many cycles came to. A cycle is a kill and what follows it.
#[derive(Debug, Default)]
struct Tally {
    cycles: usize,
    tasks: usize,
    /// Kills by what was under way, as the log says; `start` when nothing was recorded yet.
    kills: BTreeMap<String, usize>,
    /// Outcomes of steps that were printed.
    shown: usize,
    /// Steps that were begun again after an interruption.
    again: usize,
    /// The longest that anything lived on after a kill.
    lived_on: Duration,
    faults: Vec<(Fault, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Something that was shown or acknowledged is not there any more.
    Lost,
    /// Something happened twice.
    Doubled,
    /// A process lived on.
    Orphan,
    /// Anything else that must not be.
    Wrong,
}

impl Tally {
    fn plus(mut self, other: Self) -> Self {
        self.cycles += other.cycles;
        self.tasks += other.tasks;
        for (phase, kills) in other.kills {
            *self.kills.entry(phase).or_default() += kills;
        }
        self.shown += other.shown;
        self.again += other.again;
        self.lived_on = self.lived_on.max(other.lived_on);
        self.faults.extend(other.faults);
        self
    }

    fn in_words(&self, seed: u64, took: Duration) -> String {
        let of = |kind| {
            self.faults
                .iter()
                .filter(|(fault, _)| *fault == kind)
                .count()
        };
        let phases: Vec<_> = self.kills.iter().map(|(p, n)| format!("{p} {n}")).collect();
        format!(
            "kill -9 at random: {} cycles ({}), {} tasks, {} outcomes shown, {} steps begun again, \
             {} lost, {} doubled, {} orphans, {} other faults, gone within {} ms, {:.0} s, seed {seed}",
            self.cycles,
            phases.join(", "),
            self.tasks,
            self.shown,
            self.again,
            of(Fault::Lost),
            of(Fault::Doubled),
            of(Fault::Orphan),
            of(Fault::Wrong),
            self.lived_on.as_millis(),
            took.as_secs_f64(),
        )
    }
}

/// One data folder after the other, and the tasks in it.
struct Lane {
    chance: Chance,
    cycles: usize,
    tally: Tally,
    /// How long a command takes that nobody kills.
    whole: BTreeMap<Order, Usual>,
}

/// What a command takes when nobody kills it.
#[derive(Clone, Copy, Debug)]
struct Usual {
    time: Duration,
    lines: usize,
}

/// The commands that are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Execute,
    Resume,
    Accept,
}

impl Lane {
    fn new(chance: Chance, cycles: usize) -> Self {
        let usual = Usual {
            time: Duration::from_millis(800),
            lines: 50,
        };
        let orders = [Order::Execute, Order::Resume, Order::Accept];
        Self {
            chance,
            cycles,
            tally: Tally::default(),
            whole: orders.map(|order| (order, usual)).into(),
        }
    }

    fn run(mut self) -> Tally {
        while self.tally.cycles < self.cycles {
            let env = TestEnv::new();
            let ledger = Ledger::at(env.root().join("ledger.jsonl"));
            let mut script = rules(team());
            script["ledger"] = json!(env.root().join("ledger.jsonl"));
            env.script(&script);
            for number in 0..TASKS_IN_A_FOLDER {
                if self.tally.cycles < self.cycles {
                    // The first is left alone, to know how long it takes.
                    let mortal = number > 0;
                    Story::new(&mut self, &env, &ledger, number).tell(mortal);
                }
            }
            let doctor = env.run(["doctor", "--json"]);
            if doctor.code != 0 {
                self.fault(
                    Fault::Wrong,
                    format!("the doctor is not content: {doctor:?}"),
                );
            }
        }
        self.tally
    }

    fn fault(&mut self, fault: Fault, what: String) {
        self.tally.faults.push((fault, what));
    }

    /// When this command is killed: at any moment of its usual time, at any moment after one of
    /// its lines, or while it starts.
    fn moment(&mut self, order: Order) -> Moment {
        let Usual { time, lines } = self.whole[&order];
        let mode = self.chance.below(100);
        match (mode, order) {
            (0..15, _) => Moment {
                line: 0,
                after: self.chance.within(START_UP),
            },
            (15..60, Order::Execute | Order::Resume) => Moment {
                line: self.chance.below(lines),
                after: self.chance.within(Duration::from_millis(20)),
            },
            _ => Moment {
                line: 0,
                after: self.chance.within(time),
            },
        }
    }
}

/// So long after so many lines were printed.
#[derive(Clone, Copy, Debug)]
struct Moment {
    line: usize,
    after: Duration,
}

/// What the team does: the result names the turn it is of, and Code changes three files.
fn team() -> Vec<Value> {
    let code = json!([
        write_file("greeting.txt", "hello world\n"),
        write_file("made/first.txt", "one\n"),
        write_file("made/second.txt", "two\n"),
        submit("mended it {{once}}"),
    ]);
    vec![
        seat("aria", json!([submit("it lacks an o {{once}}")])),
        seat("code", code),
        seat("alpha", json!([submit("the check covers it {{once}}")])),
        seat("beta", json!([verdict("pass", "as it should be {{once}}")])),
    ]
}

/// Every file of a folder with its content.
type Content = BTreeMap<String, Vec<u8>>;

fn content(folder: &Path) -> Content {
    let read = |path: String| fs::read(folder.join(&path)).map(|bytes| (path, bytes)).ok();
    files_under(folder).into_iter().filter_map(read).collect()
}

fn changed(before: &Content) -> Content {
    let mut after = before.clone();
    for (path, text) in [
        ("greeting.txt", "hello world\n"),
        ("made/first.txt", "one\n"),
        ("made/second.txt", "two\n"),
    ] {
        after.insert(path.to_owned(), text.into());
    }
    after
}

/// One task, from its first command until it is accepted.
struct Story<'a> {
    lane: &'a mut Lane,
    env: &'a TestEnv,
    ledger: &'a Ledger,
    project: PathBuf,
    before: Content,
    /// Every fact that was printed, by any command.
    shown: Vec<Value>,
    /// As of the last look: steps that are over, and lines of the ledger.
    over: BTreeSet<u64>,
    seen: usize,
}

/// What a command came to.
struct Ended {
    killed: bool,
    code: Option<i32>,
    lines: Vec<Value>,
    said: String,
}

/// Where the task is, as the log says.
#[derive(Debug, PartialEq, Eq)]
enum Stand {
    NotMade,
    UnderWay,
    Review,
    Applying,
    Accepted,
    /// Nobody but a person could go on.
    Stuck(String),
}

impl<'a> Story<'a> {
    fn new(lane: &'a mut Lane, env: &'a TestEnv, ledger: &'a Ledger, number: usize) -> Self {
        let project = env.project(&format!("shop{number}"));
        Self {
            lane,
            env,
            ledger,
            before: content(&project),
            project,
            shown: Vec::new(),
            over: BTreeSet::new(),
            seen: ledger.entries().unwrap().len(),
        }
    }

    fn tell(mut self, mortal: bool) {
        self.lane.tally.tasks += 1;
        loop {
            let facts = self.facts();
            let order = match stand(&facts) {
                Stand::NotMade => Order::Execute,
                Stand::UnderWay | Stand::Applying => Order::Resume,
                Stand::Review => Order::Accept,
                Stand::Accepted => return self.end(&facts),
                Stand::Stuck(why) => {
                    return self.fault(Fault::Wrong, &format!("the task is stuck: {why}"));
                }
            };
            // Accepting is short, and would be most of what is killed.
            let spared = order == Order::Accept && self.lane.chance.percent(50);
            let moment = (mortal && !spared).then(|| self.lane.moment(order));
            let began = Instant::now();
            let ended = run(self.command(order, &facts), moment);
            if !ended.killed && !mortal {
                let usual = Usual {
                    time: began.elapsed(),
                    lines: ended.lines.len(),
                };
                self.lane.whole.insert(order, usual);
                self.lane.whole.entry(Order::Resume).and_modify(|resume| {
                    if order == Order::Execute {
                        *resume = usual;
                    }
                });
            }
            if !ended.killed && ended.code != Some(0) {
                let what = format!("{order:?} ended with {:?}: {}", ended.code, ended.said);
                return self.fault(Fault::Wrong, &what);
            }
            self.look(ended, facts.len());
        }
    }

    fn command(&mut self, order: Order, facts: &[Fact]) -> Command {
        let name = name(facts);
        let ndjson = ["--output", "ndjson"];
        match order {
            Order::Execute => {
                let folder = self.project.to_str().unwrap();
                let more = if self.lane.chance.percent(50) {
                    &["--accept"][..]
                } else {
                    &[]
                };
                let args = ["execute", "--task", TASK, "--project", folder];
                self.env.command([&args, &ndjson[..], more].concat())
            }
            // Named, or whatever was interrupted.
            Order::Resume if self.lane.chance.percent(50) && stand(facts) != Stand::Applying => {
                self.env.command(["resume", &name, "--output", "ndjson"])
            }
            Order::Resume => self.env.command([&["resume"][..], &ndjson].concat()),
            Order::Accept => self.env.command(["task", "accept", &name]),
        }
    }

    /// The facts about this task. A start that was killed may have left none.
    fn facts(&self) -> Vec<Fact> {
        let all = facts::read(&self.env.data());
        let folder = self.project.to_str().unwrap();
        let ours =
            |fact: &&Fact| fact.kind == "task_created" && fact.body["spec"]["folder"] == folder;
        let made: Vec<_> = all
            .iter()
            .filter(ours)
            .map(|fact| fact.stream.clone())
            .collect();
        // A command that was killed between making its task and saying so leaves a task that
        // the next command goes on with, so there is never a second.
        assert!(made.len() <= 1, "two tasks for one wish: {made:?}");
        all.into_iter()
            .filter(|fact| made.contains(&fact.stream))
            .collect()
    }

    fn fault(&mut self, fault: Fault, what: &str) {
        let facts = self.facts();
        let log: Vec<_> = facts.iter().map(brief).collect();
        let ledger = self.entries();
        let told: Vec<_> = ledger
            .iter()
            .map(|entry| format!("{:?} {} {:?}", entry.turn.role, entry.turn.step, entry.did))
            .collect();
        let what = format!(
            "{what}\nthe log:\n  {}\nthe ledger:\n  {}",
            log.join("\n  "),
            told.join("\n  ")
        );
        self.lane.fault(fault, what);
    }

    /// The ledger's lines about this task.
    fn entries(&self) -> Vec<Entry> {
        let all = self.ledger.entries().unwrap();
        let name = self.project.file_name().unwrap();
        let ours = all
            .into_iter()
            .filter(|entry| entry.turn.cwd.ends_with(name));
        ours.collect()
    }

    /// What has to hold whenever nobody is at work. So many facts were there before.
    fn look(&mut self, ended: Ended, known: usize) {
        self.nothing_runs();
        let facts = self.facts();
        if ended.killed {
            self.lane.tally.cycles += 1;
            let phase = if facts.len() == known {
                "start".to_owned()
            } else {
                phase(&facts)
            };
            *self.lane.tally.kills.entry(phase).or_default() += 1;
        }
        let numbers: Vec<_> = ended.lines.iter().filter(|line| is_fact(line)).collect();
        if !numbers.is_sorted_by(|a, b| a["seq"].as_u64() < b["seq"].as_u64()) {
            self.fault(Fault::Doubled, "the printed facts are not in order");
        }
        self.shown.extend(ended.lines.into_iter().filter(is_fact));
        self.what_was_shown_is_there(&facts);
        self.what_was_acknowledged_is_there(&facts);
        self.nothing_is_there_twice(&facts);
        self.steps_are_begun_again_only_when_interrupted(&facts);
        self.the_folder_is_whole(&facts);
    }

    fn nothing_runs(&mut self) {
        let since = Instant::now();
        let home = self.env.home();
        loop {
            let alive = find_tagged("HOME".as_ref(), home.as_os_str());
            if alive.is_empty() {
                break;
            }
            if since.elapsed() > GONE_WITHIN {
                let orphans: Vec<_> = alive.iter().map(|found| command_line(found.pid)).collect();
                self.fault(Fault::Orphan, &format!("still there: {orphans:?}"));
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        let tally = &mut self.lane.tally;
        tally.lived_on = tally.lived_on.max(since.elapsed());
    }

    fn what_was_shown_is_there(&mut self, facts: &[Fact]) {
        let recorded: BTreeMap<u64, &Fact> = facts.iter().map(|fact| (fact.seq, fact)).collect();
        let mut lost = Vec::new();
        for line in &self.shown {
            let seq = line["seq"].as_u64().unwrap();
            let same = recorded.get(&seq).is_some_and(|fact| is_same(line, fact));
            if !same {
                lost.push(format!("{line} is {:?}", recorded.get(&seq)));
            }
        }
        for line in lost {
            self.fault(Fault::Lost, &format!("shown and not recorded: {line}"));
        }
    }

    /// Every result whose agent was told "recorded" is recorded.
    fn what_was_acknowledged_is_there(&mut self, facts: &[Fact]) {
        let submitted: Vec<_> = facts.iter().filter_map(summary).collect();
        for entry in self.entries() {
            let once = entry.turn.once.to_string();
            let found = submitted
                .iter()
                .filter(|text| text.ends_with(&once))
                .count();
            if matches!(entry.did, Deed::Answered(_)) && found == 0 {
                self.fault(
                    Fault::Lost,
                    &format!("acknowledged and not recorded: {entry:?}"),
                );
            }
            if entry.did == Deed::Began && found > 1 {
                self.fault(
                    Fault::Doubled,
                    &format!("recorded {found} times: {entry:?}"),
                );
            }
        }
        // Nothing is recorded that no agent said.
        let known: Vec<_> = self
            .entries()
            .iter()
            .map(|e| e.turn.once.to_string())
            .collect();
        for text in submitted {
            if !known.iter().any(|once| text.ends_with(once)) {
                self.fault(Fault::Wrong, &format!("nobody handed in {text:?}"));
            }
        }
    }

    fn nothing_is_there_twice(&mut self, facts: &[Fact]) {
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for fact in facts {
            let outcome = match fact.kind.as_str() {
                "step_ended" => format!("step {} ended", fact.body["step"]),
                "turn_ended" => format!("turn {} ended", fact.body["report"]["turn"]),
                "plan_made" | "workspace_prepared" | "review_reached" | "accepted" => {
                    fact.kind.clone()
                }
                "checks_ran" => format!("checks {}", fact.body["run"]["time"]),
                _ => continue,
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
        for (outcome, times) in outcomes.into_iter().filter(|(_, times)| *times > 1) {
            self.fault(Fault::Doubled, &format!("{outcome}, {times} times"));
        }
    }

    /// Since the last look each step was begun once at most, none that was over then, and none
    /// without a word in the log.
    fn steps_are_begun_again_only_when_interrupted(&mut self, facts: &[Fact]) {
        let all = self.ledger.entries().unwrap();
        let steps = steps(facts);
        let mut since: BTreeMap<u64, usize> = BTreeMap::new();
        for entry in &all[self.seen..] {
            let step = steps.get(&format!("{:?}", entry.turn.role.unwrap()).to_lowercase());
            let Some(step) = step.copied() else {
                self.fault(Fault::Wrong, &format!("not in the plan: {entry:?}"));
                continue;
            };
            if entry.did == Deed::Began {
                *since.entry(step).or_default() += 1;
            }
        }
        for (step, times) in since {
            let started = of_step(facts, "step_started", step);
            let begun = self.begun(&steps, step);
            if self.over.contains(&step) {
                self.fault(
                    Fault::Doubled,
                    &format!("step {step} was over and is taken again"),
                );
            } else if times > 1 {
                self.fault(
                    Fault::Doubled,
                    &format!("step {step} was begun {times} times at once"),
                );
            } else if begun > started {
                let what = format!("step {step}: begun {begun} times, recorded {started}");
                self.fault(Fault::Wrong, &what);
            }
            self.lane.tally.again += usize::from(begun > 1);
        }
        self.seen = all.len();
        let over = steps.values().copied();
        self.over = over
            .filter(|step| of_step(facts, "step_ended", *step) > 0)
            .collect();
    }

    /// How often the agent of a step was prompted.
    fn begun(&self, steps: &BTreeMap<String, u64>, step: u64) -> usize {
        let of_step = |entry: &Entry| {
            let role = format!("{:?}", entry.turn.role.unwrap()).to_lowercase();
            steps.get(&role) == Some(&step) && entry.did == Deed::Began
        };
        self.entries().into_iter().filter(of_step).count()
    }

    /// The person's folder: untouched until they accept, then each file is the old or the new
    /// one, then all are the new ones.
    fn the_folder_is_whole(&mut self, facts: &[Fact]) {
        let now = content(&self.project);
        let after = changed(&self.before);
        let good = match stand(facts) {
            Stand::Accepted => now == after,
            Stand::Applying => after.iter().all(|(path, new)| {
                let (now, old) = (now.get(path), self.before.get(path));
                now == Some(new) || now == old
            }),
            Stand::NotMade | Stand::UnderWay | Stand::Review | Stand::Stuck(_) => {
                now == self.before
            }
        };
        if !good {
            let stand = stand(facts);
            self.fault(
                Fault::Wrong,
                &format!("{stand:?}, and the folder has {now:?}"),
            );
        }
    }

    fn end(&mut self, facts: &[Fact]) {
        let outcomes = |line: &&Value| line["text"].as_str().is_some_and(is_outcome);
        self.lane.tally.shown += self.shown.iter().filter(outcomes).count();
        let name = name(facts);
        let shown = self.env.task(&name);
        let steps = shown["steps"].as_array().unwrap();
        let done = steps.iter().filter(|step| step["state"] == "done").count();
        if shown["card"]["state"] != "done" || done != 4 {
            self.fault(Fault::Wrong, &format!("at its end the task is {shown}"));
        }
    }
}

/// Runs a command, and kills it at that moment, it alone.
fn run(mut command: Command, moment: Option<Moment>) -> Ended {
    let complaints = tempfile::NamedTempFile::new().unwrap();
    command.stderr(Stdio::from(File::create(complaints.path()).unwrap()));
    let mut child = command.spawn().unwrap();
    let (tell, printed) = channel();
    let stdout = child.stdout.take().unwrap();
    thread::spawn(move || read(stdout, |line| tell.send(line).is_ok()));
    let mut output = Output {
        printed,
        lines: Vec::new(),
    };
    if let Some(Moment { line, after }) = moment
        && output.wait_for(line, PATIENCE)
    {
        output.wait_for(usize::MAX, after);
        // It is not waited for yet, so the number is still its own.
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::KILL).unwrap();
    }
    let gone = !output.wait_for(usize::MAX, PATIENCE);
    if !gone {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let mut said = String::new();
    File::open(complaints.path())
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(gone, "{command:?} does not end: {said} {:#?}", output.lines);
    let parse = |line: &String| serde_json::from_str(line).ok();
    Ended {
        killed: status.signal() == Some(9),
        code: status.code(),
        lines: output.lines.iter().filter_map(parse).collect(),
        said,
    }
}

fn read(stdout: ChildStdout, mut tell: impl FnMut(String) -> bool) {
    for line in BufReader::new(stdout).lines() {
        if !tell(line.unwrap()) {
            return;
        }
    }
}

/// What a command prints, line by line.
struct Output {
    printed: Receiver<String>,
    lines: Vec<String>,
}

impl Output {
    /// Waits until there are so many lines. `false` when the output ended before; `true` also
    /// when the time is over.
    fn wait_for(&mut self, lines: usize, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.lines.len() < lines {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.printed.recv_timeout(left) {
                Ok(line) => self.lines.push(line),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }
}

fn command_line(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!(
        "{pid} {}",
        String::from_utf8_lossy(&words).replace('\0', " ")
    )
}

fn is_fact(line: &Value) -> bool {
    line["type"] == "change"
}

fn is_outcome(text: &str) -> bool {
    text.starts_with("Step handed over")
}

/// Does a printed line say what was recorded under its number?
fn is_same(line: &Value, fact: &Fact) -> bool {
    let text = line["text"].as_str().unwrap_or_default();
    let kind = match text {
        text if is_outcome(text) => Some("step_ended"),
        text if text.starts_with("Hands in") => Some("result_submitted"),
        "Ready for your review" => Some("review_reached"),
        "Applied to your folder" => Some("accepted"),
        _ => None,
    };
    let step = &fact.body["step"];
    line["task_id"] == fact.stream.as_str()
        && kind.is_none_or(|kind| fact.kind == kind)
        && (fact.kind != "step_ended" || line["step"] == *step)
}

fn stand(facts: &[Fact]) -> Stand {
    let telling = facts.iter().rev().find(|fact| {
        [
            "accepted",
            "accept_began",
            "accept_planned",
            "accept_failed",
            "accept_conflicted",
            "review_reached",
            "task_failed",
            "task_paused",
            "task_resumed",
            "task_created",
        ]
        .contains(&fact.kind.as_str())
    });
    match telling.map(|fact| (fact.kind.as_str(), fact)) {
        None => Stand::NotMade,
        Some(("accepted", _)) => Stand::Accepted,
        Some(("accept_began" | "accept_planned", _)) => Stand::Applying,
        Some(("review_reached", _)) => Stand::Review,
        Some(("task_created" | "task_resumed", _)) => Stand::UnderWay,
        Some((_, fact)) => Stand::Stuck(brief(fact)),
    }
}

/// What was under way, as the log says.
fn phase(facts: &[Fact]) -> String {
    let stand = stand(facts);
    let roles: BTreeMap<u64, String> = steps(facts).into_iter().map(|(r, s)| (s, r)).collect();
    let last = |kind: &str| facts.iter().rev().find(|fact| fact.kind == kind);
    let begun = last("step_started").and_then(|fact| fact.body["step"].as_u64());
    let open = begun.filter(|step| of_step(facts, "step_ended", *step) == 0);
    match (stand, open.and_then(|step| roles.get(&step))) {
        (Stand::Applying | Stand::Accepted, _) => "accept".to_owned(),
        (Stand::Review, _) => "review".to_owned(),
        (_, Some(role)) => role.clone(),
        (_, None) if begun.is_none() => "copy".to_owned(),
        (_, None) => "checks".to_owned(),
    }
}

/// The steps of the plan, by the role that takes them.
fn steps(facts: &[Fact]) -> BTreeMap<String, u64> {
    let plan = facts.iter().find(|fact| fact.kind == "plan_made");
    let steps = plan.and_then(|fact| fact.body["plan"].as_array());
    let pair = |step: &Value| Some((step["role"].as_str()?.to_owned(), step["id"].as_u64()?));
    steps.into_iter().flatten().filter_map(pair).collect()
}

/// How many facts of this kind there are about a step.
fn of_step(facts: &[Fact], kind: &str, step: u64) -> usize {
    let about = |fact: &&Fact| fact.kind == kind && fact.body["step"] == step;
    facts.iter().filter(about).count()
}

fn summary(fact: &Fact) -> Option<String> {
    let text = fact.body["result"]["summary"].as_str()?;
    (fact.kind == "result_submitted").then(|| text.to_owned())
}

/// The task's short name.
fn name(facts: &[Fact]) -> String {
    let made = facts.iter().find(|fact| fact.kind == "task_created");
    made.map_or_else(String::new, |fact| {
        format!("T-{}", fact.body["spec"]["number"])
    })
}

/// A fact, short enough to be read among many.
fn brief(fact: &Fact) -> String {
    let body = fact.body.to_string();
    let end = body
        .char_indices()
        .nth(160)
        .map_or(body.len(), |(at, _)| at);
    format!("{} {} {}", fact.seq, fact.kind, &body[..end])
}
