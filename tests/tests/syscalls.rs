//! The disk fails, or NEXUS is killed, at any system call of a whole task that writes.
//!
//! `write-fault` counts the calls of all threads of NEXUS and strikes at one of them. What git
//! and the agents write is theirs. What has to hold afterwards is said by
//! [`nexus_tests::witness`]; here it is seen that an error is said, that nothing is called done
//! that is not, and that the same data folder brings the task to its end.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_tests::{
    chance::{Chance, figures, is_nightly, seed},
    env::{TASK, TestEnv, program},
    facts::Fact,
    mortal::{Ended, run},
    witness::{Fault, Stand, Witness, name, stand, watched},
};
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    process::{Command, Stdio},
    sync::Mutex,
    thread,
    time::Instant,
};

/// How many data folders are worked on at once.
const LANES: usize = 3;
/// How many strikes there are for every commit.
const SAMPLE: usize = 50;
/// A task is brought to its end by fewer commands than this, or never.
const COMMANDS: usize = 8;

/// What is done at a call.
const WAYS: [&str; 3] = ["kill", "eio", "enospc"];

#[test]
fn a_fault_at_any_writing_call_is_said_and_loses_nothing() {
    let seed = seed();
    println!("seed {seed}: have its sample again with NEXUS_SEED={seed}");
    let started = Instant::now();
    let calls = calls_of_a_whole_task();
    let strikes = chosen(&mut Chance::new(seed), &calls);
    let wanted = strikes.len();
    let queue = Mutex::new(VecDeque::from(strikes));
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let Some((number, way)) = queue.lock().unwrap().pop_front() else {
                        return;
                    };
                    let came = strike(number, way);
                    tally.lock().unwrap().add(way, came);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for call in &calls {
        *kinds.entry(call.as_str()).or_default() += 1;
    }
    figures(&format!(
        "faults at writing calls: {wanted} of {} ({} calls: {}), {}, {:.0} s, seed {seed}",
        calls.len() * WAYS.len(),
        calls.len(),
        in_words(&kinds),
        tally.in_words(),
        started.elapsed().as_secs_f64()
    ));
    assert!(tally.faults.is_empty(), "{:#?}", tally.faults);
    // No two runs make just the same calls; the last ones may not come.
    assert!(tally.not_reached * 20 <= wanted, "too few were struck");
}

/// The calls that a task makes when nothing happens to it.
fn calls_of_a_whole_task() -> Vec<String> {
    let env = watched();
    let mut witness = Witness::new(&env, "shop");
    let ended = run(under_fault(&env, &execute(&env, &witness), 0, "kill"), None);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let facts = witness.look(ended.lines, false);
    assert_eq!(stand(&facts), Stand::Accepted);
    assert!(witness.faults.is_empty(), "{:#?}", witness.faults);
    let report = report(&env);
    let names = report.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// All calls in all ways; for every commit some of each kind, and the rest spread evenly.
fn chosen(chance: &mut Chance, calls: &[String]) -> Vec<(usize, &'static str)> {
    let all = 1..=calls.len();
    if is_nightly() {
        return all
            .flat_map(|number| WAYS.map(|way| (number, way)))
            .collect();
    }
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, call) in (1..).zip(calls) {
        kinds.entry(call).or_default().push(number);
    }
    let of_kinds: Vec<_> = kinds
        .values()
        .map(|numbers| numbers[chance.below(numbers.len())])
        .collect();
    let rest = SAMPLE.saturating_sub(of_kinds.len());
    let share = |part: usize| part * calls.len() / rest;
    let spread = (0..rest).map(|part| {
        let (from, to) = (share(part), share(part + 1));
        1 + from + chance.below(to - from)
    });
    let numbers: Vec<_> = of_kinds.iter().copied().chain(spread).collect();
    let first = chance.below(WAYS.len());
    let ways = WAYS.into_iter().cycle().skip(first);
    numbers.into_iter().zip(ways).collect()
}

/// What a strike came to.
struct Came {
    /// The call, if the run made so many.
    struck: Option<String>,
    /// The error was said; otherwise the task was done all the same.
    said: bool,
    faults: Vec<(Fault, String)>,
}

#[derive(Default)]
struct Tally {
    ways: BTreeMap<&'static str, usize>,
    said: usize,
    done_all_the_same: usize,
    not_reached: usize,
    faults: Vec<(Fault, String)>,
}

impl Tally {
    fn add(&mut self, way: &'static str, came: Came) {
        match came.struck {
            None => self.not_reached += 1,
            Some(_) => *self.ways.entry(way).or_default() += 1,
        }
        match (came.struck, came.said) {
            (Some(_), true) if way != "kill" => self.said += 1,
            (Some(_), false) if way != "kill" => self.done_all_the_same += 1,
            _ => {}
        }
        self.faults.extend(came.faults);
    }

    fn in_words(&self) -> String {
        let of = |kind| {
            self.faults
                .iter()
                .filter(|(fault, _)| *fault == kind)
                .count()
        };
        format!(
            "struck {}; {} errors said, {} made no difference, {} not reached; {} lost, {} doubled, \
             {} orphans, {} other faults",
            in_words(&self.ways),
            self.said,
            self.done_all_the_same,
            self.not_reached,
            of(Fault::Lost),
            of(Fault::Doubled),
            of(Fault::Orphan),
            of(Fault::Wrong),
        )
    }
}

fn in_words(counts: &BTreeMap<&str, usize>) -> String {
    let words: Vec<_> = counts
        .iter()
        .map(|(what, n)| format!("{what} {n}"))
        .collect();
    words.join(", ")
}

/// Strikes once, looks, and brings the task to its end.
fn strike(number: usize, way: &'static str) -> Came {
    let env = watched();
    let mut witness = Witness::new(&env, "shop");
    let command = under_fault(&env, &execute(&env, &witness), number, way);
    let ended = run(command, None);
    let report = report(&env);
    let struck = report.split_once("STRUCK\n").map(|(_, after)| {
        let call = after.lines().next().unwrap_or_default();
        call.replace(&env.root().display().to_string(), "")
    });
    let said = ended.code != Some(0);
    let brief = format!(
        "{way} at call {number}, {struck:?}: exit code {:?}, said {:?}",
        ended.code, ended.said
    );
    let killed = way == "kill";
    is_honest(&mut witness, &ended, struck.is_some(), killed, &brief);
    let facts = witness.look(ended.lines, killed);
    if !said && stand(&facts) != Stand::Accepted {
        witness.fault(Fault::Wrong, &format!("no error and not done: {brief}"));
    }
    to_its_end(&env, &mut witness, facts);
    let explained = |(fault, what)| (fault, format!("{brief}\n{what}"));
    Came {
        struck,
        said,
        faults: witness.faults.into_iter().map(explained).collect(),
    }
}

/// An error is said in words, and what failed is not called done.
fn is_honest(witness: &mut Witness<'_>, ended: &Ended, struck: bool, killed: bool, brief: &str) {
    let result = ended.lines.iter().find(|line| line["type"] == "result");
    match ended.code {
        Some(0) | None => {}
        Some(137) if killed && struck => {}
        Some(99) => panic!("nothing can be traced here, so nothing is shown: {brief}"),
        Some(_) => {
            let failed = result.is_some_and(|result| result["failure"].is_string());
            let on_timeline = ended.lines.iter().any(|line| line["ok"] == false);
            if ended.said.trim().is_empty() && !failed && !on_timeline {
                witness.fault(
                    Fault::Wrong,
                    &format!("it failed and did not say why: {brief}"),
                );
            }
        }
    }
}

/// The disk is well again: the same folder brings the task to its end.
fn to_its_end(env: &TestEnv, witness: &mut Witness<'_>, mut facts: Vec<Fact>) {
    for _ in 0..COMMANDS {
        let name = name(&facts);
        let command = match stand(&facts) {
            Stand::NotMade => execute(env, witness),
            Stand::UnderWay | Stand::Applying => env.command(["resume", "--output", "ndjson"]),
            Stand::Stopped(_) => env.command(["resume", &name, "--output", "ndjson"]),
            Stand::Review => env.command(["task", "accept", &name]),
            Stand::Accepted => {
                // What it finds it can mend.
                env.run(["doctor", "--fix", "--json"]);
                let doctor = env.run(["doctor", "--json"]);
                if doctor.code != 0 {
                    witness.fault(
                        Fault::Wrong,
                        &format!("the doctor is not content: {doctor:?}"),
                    );
                }
                return witness.end();
            }
        };
        let what = format!("{command:?}");
        let ended = run(command, None);
        if ended.code != Some(0) {
            let what = format!("{what} ended with {:?}: {}", ended.code, ended.said);
            return witness.fault(Fault::Wrong, &what);
        }
        facts = witness.look(ended.lines, false);
    }
    witness.fault(Fault::Wrong, "the task does not come to its end");
}

fn execute(env: &TestEnv, witness: &Witness<'_>) -> Command {
    let folder = witness.project.to_str().unwrap();
    let args = ["execute", "--task", TASK, "--project", folder];
    env.command([&args[..], &["--output", "ndjson", "--accept"]].concat())
}

/// The same command, struck at its call of this number.
fn under_fault(env: &TestEnv, command: &Command, number: usize, way: &str) -> Command {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut struck = program(env!("CARGO_BIN_EXE_write-fault"));
    struck
        .arg(env.root().join("report"))
        .args([way, &number.to_string()])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(variables)
        .current_dir(env.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    struck
}

fn report(env: &TestEnv) -> String {
    fs::read_to_string(env.root().join("report")).unwrap()
}
