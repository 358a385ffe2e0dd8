//! NEXUS is killed at any moment of a task of four steps, again and again, and carried on.
//!
//! What has to hold after each kill is said by [`nexus_tests::witness`].
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_tests::{
    chance::{Chance, figures, seed, size},
    env::{TASK, TestEnv},
    facts::Fact,
    mortal::{Moment, run},
    witness::{Fault, Stand, Witness, name, phase, stand, watched},
};
use std::{
    collections::BTreeMap,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// How many data folders are worked on at once.
const LANES: usize = 3;
/// A new data folder after so many tasks: a long past makes every start longer.
const TASKS_IN_A_FOLDER: usize = 15;
/// While a start reads the log, takes the lock and clears away what was left.
const START_UP: Duration = Duration::from_millis(120);

#[test]
fn killed_at_any_moment_nothing_is_lost_doubled_or_left_running() {
    let seed = seed();
    println!("seed {seed}: have its moments again with NEXUS_SEED={seed}");
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
             {} lost, {} doubled, {} orphans, {} other faults, all gone within {} ms, {:.0} s, seed {seed}",
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
    /// What the commands take that nobody kills.
    usual: BTreeMap<Order, Usual>,
}

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
        Self {
            chance,
            cycles,
            tally: Tally::default(),
            usual: BTreeMap::new(),
        }
    }

    fn run(mut self) -> Tally {
        while self.tally.cycles < self.cycles {
            let env = watched();
            // The first is left alone, to know how long everything takes.
            self.task(&env, 0, false);
            for number in 1..TASKS_IN_A_FOLDER {
                if self.tally.cycles < self.cycles {
                    self.task(&env, number, true);
                }
            }
            env.run(["doctor", "--json"]).expect(0);
        }
        self.tally
    }

    fn task(&mut self, env: &TestEnv, number: usize, mortal: bool) {
        let mut witness = Witness::new(env, &format!("shop{number}"));
        self.bring_to_its_end(env, &mut witness, mortal);
        self.tally.tasks += 1;
        self.tally.shown += witness.outcomes_shown();
        self.tally.again += witness.again;
        self.tally.lived_on = self.tally.lived_on.max(witness.lived_on);
        self.tally.faults.extend(witness.faults);
    }

    fn bring_to_its_end(&mut self, env: &TestEnv, witness: &mut Witness<'_>, mortal: bool) {
        let mut facts = witness.facts();
        loop {
            let order = match stand(&facts) {
                Stand::NotMade => Order::Execute,
                Stand::UnderWay | Stand::Applying => Order::Resume,
                Stand::Review => Order::Accept,
                Stand::Accepted => return witness.end(),
                Stand::Stopped(why) => {
                    // Being killed is no reason to stop: it uses nothing up.
                    return witness.fault(Fault::Wrong, &format!("the task stopped: {why}"));
                }
            };
            let moment = if mortal { self.moment(order) } else { None };
            let began = Instant::now();
            let ended = run(self.command(order, env, witness, &facts), moment);
            if !mortal {
                let usual = Usual {
                    time: began.elapsed(),
                    lines: ended.lines.len(),
                };
                self.usual.insert(order, usual);
            }
            if !ended.killed && ended.code != Some(0) {
                let what = format!("{order:?} ended with {:?}: {}", ended.code, ended.said);
                return witness.fault(Fault::Wrong, &what);
            }
            let known = facts.len();
            facts = witness.look(ended.lines, ended.killed);
            if ended.killed {
                self.tally.cycles += 1;
                let phase = if facts.len() == known {
                    "start".to_owned()
                } else {
                    phase(&facts)
                };
                *self.tally.kills.entry(phase).or_default() += 1;
            }
        }
    }

    /// When this command is killed: at any moment of its usual time, soon after any of its
    /// lines, or while it starts.
    fn moment(&mut self, order: Order) -> Option<Moment> {
        // What is still to be done is at most all of it.
        let like = if order == Order::Accept {
            order
        } else {
            Order::Execute
        };
        let Usual { time, lines } = self.usual[&like];
        match (self.chance.below(100), order) {
            // Accepting is short, and would be most of what is killed.
            (0..50, Order::Accept) => None,
            (50..60, _) => Some(Moment {
                line: 0,
                after: self.chance.within(START_UP),
            }),
            (0..50, Order::Execute | Order::Resume) => Some(Moment {
                line: self.chance.below(lines),
                after: self.chance.within(Duration::from_millis(20)),
            }),
            _ => Some(Moment {
                line: 0,
                after: self.chance.within(time),
            }),
        }
    }

    fn command(
        &mut self,
        order: Order,
        env: &TestEnv,
        witness: &Witness<'_>,
        facts: &[Fact],
    ) -> Command {
        let name = name(facts);
        let ndjson = ["--output", "ndjson"];
        // The first task of a folder says how long each order takes, so it takes each.
        let whole = self.usual.contains_key(&Order::Accept) && self.chance.percent(50);
        match order {
            Order::Execute => {
                let folder = witness.project.to_str().unwrap();
                let accept = if whole { &["--accept"][..] } else { &[] };
                let args = ["execute", "--task", TASK, "--project", folder];
                env.command([&args, &ndjson[..], accept].concat())
            }
            // By its name, or whatever was interrupted.
            Order::Resume if whole && stand(facts) != Stand::Applying => {
                env.command(["resume", &name, "--output", "ndjson"])
            }
            Order::Resume => env.command([&["resume"][..], &ndjson].concat()),
            Order::Accept => env.command(["task", "accept", &name]),
        }
    }
}
