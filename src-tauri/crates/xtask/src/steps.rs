//! Steps that run side by side in two lanes, keep their output, and end in one table.
//!
//! Cargo holds a lock on its target folder, so everything that builds Rust shares a lane; the
//! user interface has the other. A step starts when those it needs have passed. A failure
//! stops only what needs the failed step, so that one run shows everything that is wrong.

use crate::place;
use crate::program::{Done, Failure};
use std::fs::{self, File};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One thing to check.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) lane: Lane,
    pub(crate) needs: &'static [&'static str],
    pub(crate) work: fn(&File) -> Done<Verdict>,
}

/// What a step shares with others so that they cannot run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Rust,
    Interface,
}

/// What a step that ran to its end found.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Good,
    /// It could not look, for a reason outside of the repository.
    NotPossible(&'static str),
}

#[derive(Clone, Debug)]
enum Ending {
    Passed(Verdict),
    Failed(String),
    /// A step it needs did not pass.
    Held(&'static str),
}

struct Report {
    name: &'static str,
    took: Duration,
    ending: Ending,
}

/// The steps that are asked for: all, or one with everything it needs.
pub(crate) fn choose(steps: Vec<Step>, only: Option<&str>) -> Done<Vec<Step>> {
    let Some(only) = only else {
        return Ok(steps);
    };
    let mut wanted = vec![only];
    let mut next = 0;
    while let Some(name) = wanted.get(next).copied() {
        let Some(step) = steps.iter().find(|step| step.name == name) else {
            let names: Vec<_> = steps.iter().map(|step| step.name).collect();
            let names = names.join(", ");
            return Err(Failure::new(format!(
                "there is no step {name}; there are: {names}"
            )));
        };
        wanted.extend(step.needs);
        next += 1;
    }
    let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
    let chosen = steps
        .into_iter()
        .filter(|step| wanted.iter().any(|name| name == step.name));
    Ok(chosen.collect())
}

/// Prints the names of the steps.
pub(crate) fn list(steps: &[Step]) {
    for step in steps {
        println!("{:14} {}", step.name, step.about);
    }
}

/// Runs the steps, prints how each ended, and fails when one did.
pub(crate) fn run(steps: &[Step]) -> Done {
    fs::create_dir_all(place::logs())?;
    let board = Board::default();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for lane in [Lane::Rust, Lane::Interface] {
            let board = &board;
            scope.spawn(move || {
                for step in steps.iter().filter(|step| step.lane == lane) {
                    board.carry_out(step);
                }
            });
        }
    });
    let reports = board
        .reports
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    summary(&reports, started.elapsed())
}

/// What has ended so far, and a bell for those who wait for it.
#[derive(Default)]
struct Board {
    reports: Mutex<Vec<Report>>,
    ended: Condvar,
}

impl Board {
    fn carry_out(&self, step: &Step) {
        if let Some(missing) = self.wait_for(step.needs) {
            self.record(step.name, Duration::ZERO, Ending::Held(missing));
            return;
        }
        println!("...           {}: {}", step.name, step.about);
        let started = Instant::now();
        let outcome = open_log(step.name).and_then(|log| (step.work)(&log));
        let ending = match outcome {
            Ok(verdict) => Ending::Passed(verdict),
            Err(failure) => Ending::Failed(failure.to_string()),
        };
        self.record(step.name, started.elapsed(), ending);
    }

    /// Waits until all of the steps ended, and names the first that did not pass.
    fn wait_for(&self, needs: &[&'static str]) -> Option<&'static str> {
        needs.iter().copied().find(|need| {
            let mut reports = self.lock();
            loop {
                if let Some(report) = reports.iter().find(|report| report.name == *need) {
                    return !matches!(report.ending, Ending::Passed(_));
                }
                reports = self
                    .ended
                    .wait(reports)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        })
    }

    /// Printing happens under the lock, so that two lanes do not mix their lines.
    fn record(&self, name: &'static str, took: Duration, ending: Ending) {
        let mut reports = self.lock();
        let report = Report { name, took, ending };
        report.announce();
        reports.push(report);
        self.ended.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn announce(&self) {
        println!("{self}");
        let log = fs::read(log_path(self.name)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        match &self.ending {
            Ending::Passed(_) => closing_lines(&log).for_each(|line| println!("{line}")),
            Ending::Failed(_) => {
                println!("----- output of {} -----\n{}", self.name, tail(&log));
                println!("----- all of it: {} -----", log_path(self.name).display());
            }
            Ending::Held(_) => {}
        }
    }

    fn is_good(&self) -> bool {
        matches!(self.ending, Ending::Passed(_))
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.took.as_secs_f64();
        let name = self.name;
        match &self.ending {
            Ending::Passed(Verdict::Good) => write!(f, "ok   {seconds:7.1}s {name}"),
            Ending::Passed(Verdict::NotPossible(why)) => {
                write!(f, "--   {seconds:7.1}s {name} (not checked: {why})")
            }
            Ending::Failed(why) => write!(f, "FAIL {seconds:7.1}s {name} ({why})"),
            Ending::Held(need) => write!(f, "held          {name} (needs {need})"),
        }
    }
}

fn summary(reports: &[Report], took: Duration) -> Done {
    println!("\nAll steps, {:.0} s:", took.as_secs_f64());
    reports.iter().for_each(|report| println!("{report}"));
    let ran = reports
        .iter()
        .filter(|report| !matches!(report.ending, Ending::Held(_)));
    for report in ran {
        let log = fs::read(log_path(report.name)).unwrap_or_default();
        figures(&String::from_utf8_lossy(&log)).for_each(|line| println!("{line}"));
    }
    let bad: Vec<_> = reports
        .iter()
        .filter(|report| !report.is_good())
        .map(|r| r.name)
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("not passed: {}", bad.join(", "))))
}

/// The lines in which test runners say how many tests passed.
fn closing_lines(log: &str) -> impl Iterator<Item = &str> {
    let starts = ["Summary [", "test result:", "Tests  ", "Test Files  "];
    log.lines().filter(move |line| {
        starts
            .iter()
            .any(|start| line.trim_start().starts_with(start))
    })
}

/// The lines in which tests say what they measured.
fn figures(log: &str) -> impl Iterator<Item = &str> {
    let lines = log.lines().map(str::trim_start);
    lines.filter(|line| line.starts_with("figures: "))
}

/// The end of the output, where the reason usually is.
fn tail(log: &str) -> String {
    const LINES: usize = 250;
    let lines: Vec<_> = log.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    lines
        .iter()
        .skip(from)
        .copied()
        .collect::<Vec<_>>()
        .join("\n")
}

fn open_log(name: &str) -> Done<File> {
    Ok(File::create(log_path(name))?)
}

fn log_path(name: &str) -> std::path::PathBuf {
    place::logs().join(format!("{name}.log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, needs: &'static [&'static str], work: Work) -> Step {
        Step {
            name,
            about: "",
            lane: Lane::Rust,
            needs,
            work,
        }
    }

    type Work = fn(&File) -> Done<Verdict>;
    const PASS: Work = |_| Ok(Verdict::Good);
    const FAIL: Work = |_| Err(Failure::new("it is broken"));

    fn endings(steps: &[Step]) -> Vec<String> {
        let board = Board::default();
        fs::create_dir_all(place::logs()).unwrap();
        steps.iter().for_each(|step| board.carry_out(step));
        let reports = board.reports.into_inner().unwrap();
        reports
            .iter()
            .map(|report| report.to_string().replace("    0.0s", ""))
            .collect()
    }

    #[test]
    fn a_failure_holds_what_needs_it_and_nothing_else() {
        let steps = [
            step("test-one", &[], FAIL),
            step("test-two", &["test-one"], PASS),
            step("test-three", &[], PASS),
        ];
        let expected = [
            "FAIL  test-one (it is broken)",
            "held          test-two (needs test-one)",
            "ok    test-three",
        ];
        assert_eq!(endings(&steps), expected);
    }

    #[test]
    fn one_step_brings_what_it_needs() {
        let steps = || {
            vec![
                step("a", &[], PASS),
                step("b", &["a"], PASS),
                step("c", &["b"], PASS),
                step("d", &[], PASS),
            ]
        };
        let names = |only| -> Vec<_> {
            choose(steps(), only)
                .unwrap()
                .iter()
                .map(|step| step.name)
                .collect()
        };
        assert_eq!(names(Some("c")), ["a", "b", "c"]);
        assert_eq!(names(None), ["a", "b", "c", "d"]);
        assert!(choose(steps(), Some("e")).is_err());
    }

    #[test]
    fn the_words_of_test_runners_are_passed_on() {
        let log =
            "Compiling\n     Summary [   1.2s] 3 tests run: 3 passed\ntest result: ok. 1 passed\n";
        let lines: Vec<_> = closing_lines(log).map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "Summary [   1.2s] 3 tests run: 3 passed",
                "test result: ok. 1 passed"
            ]
        );
    }

    #[test]
    fn what_tests_measured_is_gathered() {
        let log = "running 1 test\n    figures: 3 kills, 0 lost\ntest figures: no ... ok\n";
        assert_eq!(
            figures(log).collect::<Vec<_>>(),
            ["figures: 3 kills, 0 lost"]
        );
    }
}
