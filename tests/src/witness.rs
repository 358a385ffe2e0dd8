//! Holds three witnesses of one task against each other whenever nobody is at work: the log of
//! NEXUS, the ledger that the double keeps of itself, and what was printed.
//!
//! The tests that kill NEXUS, or take its disk away, decide what happens and when; what must
//! hold afterwards is the same and is here.
#![expect(
    clippy::unwrap_used,
    reason = "what a test sets up works, or the test has to stop"
)]

use crate::{
    env::{TestEnv, files_under, rules, seat, submit, verdict, write_file},
    facts::{self, Fact},
    ledger::{Deed, Entry, Ledger},
};
use nexus_process::find_tagged;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How soon everything that NEXUS started has to be gone after its end.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something that was shown or acknowledged is not there any more.
    Lost,
    /// Something happened twice.
    Doubled,
    /// A process lived on.
    Orphan,
    /// Anything else that must not be.
    Wrong,
}

/// Every file of a folder with its content.
type Content = BTreeMap<String, Vec<u8>>;

/// Where the task is, as the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    NotMade,
    UnderWay,
    Review,
    Applying,
    Accepted,
    /// It goes on when the person says so: what the log says last.
    Stopped(String),
}

/// One task and what is known of it from outside.
#[derive(Debug)]
pub struct Witness<'a> {
    env: &'a TestEnv,
    ledger: Ledger,
    pub project: PathBuf,
    before: Content,
    /// Every fact that was printed, by any command.
    shown: Vec<Value>,
    /// As of the last look: steps that are over, and lines of the ledger.
    over: BTreeSet<u64>,
    seen: usize,
    /// Steps that were begun again after an interruption.
    pub again: usize,
    /// The longest that anything lived on after the end of NEXUS.
    pub lived_on: Duration,
    /// What was found, each with both records at that time.
    pub faults: Vec<(Fault, String)>,
}

/// A machine whose team leaves a ledger: each result names the turn it is of, and Code changes
/// three files.
pub fn watched() -> TestEnv {
    let env = TestEnv::new();
    let code = json!([
        write_file("greeting.txt", "hello world\n"),
        write_file("made/first.txt", "one\n"),
        write_file("made/second.txt", "two\n"),
        submit("mended it {{once}}"),
    ]);
    let mut script = rules([
        seat("aria", json!([submit("it lacks an o {{once}}")])),
        seat("code", code),
        seat("alpha", json!([submit("the check covers it {{once}}")])),
        seat("beta", json!([verdict("pass", "as it should be {{once}}")])),
    ]);
    script["ledger"] = json!(ledger_of(&env));
    env.script(&script);
    env
}

fn ledger_of(env: &TestEnv) -> PathBuf {
    env.root().join("ledger.jsonl")
}

fn content(folder: &Path) -> Content {
    let read = |path: String| {
        let bytes = fs::read(folder.join(&path)).ok()?;
        Some((path, bytes))
    };
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

impl<'a> Witness<'a> {
    /// Of a new project in this [`watched`] machine.
    pub fn new(env: &'a TestEnv, project: &str) -> Self {
        let project = env.project(project);
        let ledger = Ledger::at(ledger_of(env));
        Self {
            env,
            before: content(&project),
            project,
            shown: Vec::new(),
            over: BTreeSet::new(),
            seen: ledger.entries().unwrap().len(),
            ledger,
            again: 0,
            lived_on: Duration::ZERO,
            faults: Vec::new(),
        }
    }

    /// The facts about this task; none when it was not made.
    pub fn facts(&self) -> Vec<Fact> {
        let all = facts::read(&self.env.data());
        let folder = self.project.to_str().unwrap();
        let ours =
            |fact: &&Fact| fact.kind == "task_created" && fact.body["spec"]["folder"] == folder;
        let made: Vec<_> = all.iter().filter(ours).map(|f| f.stream.clone()).collect();
        // A command that ended between making its task and saying so leaves a task that the
        // next command goes on with, so there is never a second.
        assert!(made.len() <= 1, "two tasks for one wish: {made:?}");
        let about = |fact: &Fact| made.contains(&fact.stream);
        all.into_iter().filter(about).collect()
    }

    /// How many outcomes of steps were printed.
    pub fn outcomes_shown(&self) -> usize {
        let outcome = |line: &&Value| line["text"].as_str().is_some_and(is_outcome);
        self.shown.iter().filter(outcome).count()
    }

    /// Notes what must not be, with both records.
    pub fn fault(&mut self, fault: Fault, what: &str) {
        let log: Vec<_> = self.facts().iter().map(brief).collect();
        let tell = |entry: &Entry| {
            let Entry { turn, did } = entry;
            format!("{:?} {} {did:?}", turn.role, turn.step)
        };
        let ledger: Vec<_> = self.entries().iter().map(tell).collect();
        let what = format!(
            "{what}\nthe log:\n  {}\nthe ledger:\n  {}",
            log.join("\n  "),
            ledger.join("\n  ")
        );
        self.faults.push((fault, what));
    }

    /// The ledger's lines about this task.
    fn entries(&self) -> Vec<Entry> {
        let all = self.ledger.entries().unwrap();
        let name = self.project.file_name().unwrap();
        let ours = |entry: &Entry| entry.turn.cwd.ends_with(name);
        all.into_iter().filter(ours).collect()
    }

    /// What has to hold when a command that printed these lines has ended. `killed`: it was,
    /// and had no time to try anything a second time.
    pub fn look(&mut self, lines: Vec<Value>, killed: bool) -> Vec<Fact> {
        self.nothing_runs();
        let facts = self.facts();
        let shown: Vec<_> = lines.into_iter().filter(is_fact).collect();
        if !shown.is_sorted_by(|a, b| a["seq"].as_u64() < b["seq"].as_u64()) {
            self.fault(Fault::Doubled, "the printed facts are not in order");
        }
        self.shown.extend(shown);
        self.what_was_shown_is_there(&facts);
        self.what_was_acknowledged_is_there(&facts);
        self.nothing_is_there_twice(&facts);
        self.steps_are_begun_again_only_when_interrupted(&facts, killed);
        self.the_folder_is_whole(&facts);
        facts
    }

    /// Nothing of NEXUS lives on after its end.
    pub fn nothing_runs(&mut self) {
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
            thread::sleep(LOOK_AGAIN);
        }
        self.lived_on = self.lived_on.max(since.elapsed());
    }

    fn what_was_shown_is_there(&mut self, facts: &[Fact]) {
        let recorded: BTreeMap<u64, &Fact> = facts.iter().map(|fact| (fact.seq, fact)).collect();
        let lost = |line: &&Value| {
            let fact = line["seq"].as_u64().and_then(|seq| recorded.get(&seq));
            !fact.is_some_and(|fact| is_same(line, fact))
        };
        let lost: Vec<_> = self.shown.iter().filter(lost).cloned().collect();
        for line in lost {
            self.fault(Fault::Lost, &format!("shown and not recorded: {line}"));
        }
    }

    /// Every result whose agent was told "recorded" is recorded, once, and no other.
    fn what_was_acknowledged_is_there(&mut self, facts: &[Fact]) {
        let submitted: Vec<_> = facts.iter().filter_map(summary).collect();
        let entries = self.entries();
        for entry in &entries {
            let once = entry.turn.once.to_string();
            let found = submitted
                .iter()
                .filter(|text| text.ends_with(&once))
                .count();
            if matches!(entry.did, Deed::Answered(_)) && found == 0 {
                let what = format!("acknowledged and not recorded: {entry:?}");
                self.fault(Fault::Lost, &what);
            }
            if entry.did == Deed::Began && found > 1 {
                let what = format!("recorded {found} times: {entry:?}");
                self.fault(Fault::Doubled, &what);
            }
        }
        let known: Vec<_> = entries.iter().map(|e| e.turn.once.to_string()).collect();
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

    /// Since the last look no step was begun that was over then, and none without a word in
    /// the log; in a run that was killed each was begun once at most.
    fn steps_are_begun_again_only_when_interrupted(&mut self, facts: &[Fact], killed: bool) {
        let all = self.ledger.entries().unwrap();
        let steps = steps(facts);
        let mut since: BTreeMap<u64, usize> = BTreeMap::new();
        for entry in &all[self.seen..] {
            match step_of(&steps, entry) {
                None => self.fault(Fault::Wrong, &format!("not in the plan: {entry:?}")),
                Some(step) if entry.did == Deed::Began => *since.entry(step).or_default() += 1,
                Some(_) => {}
            }
        }
        for (step, times) in since {
            let started = of_step(facts, "step_started", step);
            let entries = self.entries();
            let of_step = |e: &&Entry| step_of(&steps, e) == Some(step) && e.did == Deed::Began;
            let begun = entries.iter().filter(of_step).count();
            if self.over.contains(&step) {
                let what = format!("step {step} was over and is taken again");
                self.fault(Fault::Doubled, &what);
            } else if killed && times > 1 {
                let what = format!("step {step} was begun {times} times in one run");
                self.fault(Fault::Doubled, &what);
            } else if begun > started {
                let what = format!("step {step}: begun {begun} times, recorded {started}");
                self.fault(Fault::Wrong, &what);
            }
            self.again += usize::from(begun > 1);
        }
        self.seen = all.len();
        let over = |step: &u64| of_step(facts, "step_ended", *step) > 0;
        self.over = steps.values().copied().filter(over).collect();
    }

    /// The person's folder: untouched until they accept, then each file is the old or the new
    /// one, then all are the new ones.
    fn the_folder_is_whole(&mut self, facts: &[Fact]) {
        let now = content(&self.project);
        let after = changed(&self.before);
        let stand = stand(facts);
        let good = match stand {
            Stand::Accepted => now == after,
            Stand::Applying => after.iter().all(|(path, new)| {
                let (now, old) = (now.get(path), self.before.get(path));
                now == Some(new) || now == old
            }),
            Stand::NotMade | Stand::UnderWay | Stand::Review | Stand::Stopped(_) => {
                now == self.before
            }
        };
        if !good {
            self.fault(
                Fault::Wrong,
                &format!("{stand:?}, and the folder has {now:?}"),
            );
        }
    }

    /// The task has to be shown as it was brought about: done, with all its steps.
    pub fn end(&mut self) {
        let shown = self.env.task(&name(&self.facts()));
        let steps = shown["steps"].as_array().unwrap();
        let done = steps.iter().filter(|step| step["state"] == "done").count();
        if shown["card"]["state"] != "done" || done != 4 {
            self.fault(Fault::Wrong, &format!("at its end the task is {shown}"));
        }
    }
}

fn command_line(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    format!("{pid} {words}")
}

fn is_fact(line: &Value) -> bool {
    line["type"] == "change"
}

fn is_outcome(text: &str) -> bool {
    text.starts_with("Step handed over")
}

/// Does a printed line say what was recorded under its number?
fn is_same(line: &Value, fact: &Fact) -> bool {
    let kind = match line["text"].as_str().unwrap_or_default() {
        text if is_outcome(text) => Some("step_ended"),
        text if text.starts_with("Hands in") => Some("result_submitted"),
        "Ready for your review" => Some("review_reached"),
        "Applied to your folder" => Some("accepted"),
        _ => None,
    };
    line["task_id"] == fact.stream.as_str()
        && kind.is_none_or(|kind| fact.kind == kind)
        && (fact.kind != "step_ended" || line["step"] == fact.body["step"])
}

/// Where the task is, as its facts say.
pub fn stand(facts: &[Fact]) -> Stand {
    let stand = |fact: &Fact| {
        Some(match fact.kind.as_str() {
            "accepted" => Stand::Accepted,
            "accept_began" | "accept_planned" => Stand::Applying,
            "review_reached" | "accept_failed" | "accept_conflicted" => Stand::Review,
            "task_created" | "task_resumed" => Stand::UnderWay,
            "task_failed" | "task_paused" => Stand::Stopped(brief(fact)),
            _ => return None,
        })
    };
    let last = facts.iter().rev().find_map(stand);
    last.unwrap_or(Stand::NotMade)
}

/// What was under way, as the facts say: the role at work, or one of `copy`, `checks`,
/// `review` and `accept`.
pub fn phase(facts: &[Fact]) -> String {
    let roles: BTreeMap<u64, String> = steps(facts).into_iter().map(|(r, s)| (s, r)).collect();
    let last = |kind: &str| facts.iter().rev().find(|fact| fact.kind == kind);
    let begun = last("step_started").and_then(|fact| fact.body["step"].as_u64());
    let open = begun.filter(|step| of_step(facts, "step_ended", *step) == 0);
    match (stand(facts), open.and_then(|step| roles.get(&step))) {
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

/// The step that a line of the ledger is about.
fn step_of(steps: &BTreeMap<String, u64>, entry: &Entry) -> Option<u64> {
    let role = serde_json::to_value(entry.turn.role).ok()?;
    steps.get(role.as_str()?).copied()
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

/// The task's short name; empty when it was not made.
pub fn name(facts: &[Fact]) -> String {
    let made = facts.iter().find(|fact| fact.kind == "task_created");
    made.map_or_else(String::new, |fact| {
        format!("T-{}", fact.body["spec"]["number"])
    })
}

/// A fact, short enough to be read among many.
fn brief(fact: &Fact) -> String {
    let body = fact.body.to_string();
    let end = body.char_indices().nth(160);
    let end = end.map_or(body.len(), |(at, _)| at);
    format!("{} {} {}", fact.seq, fact.kind, &body[..end])
}
