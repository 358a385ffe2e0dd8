//! What was acknowledged is there after the writer died at any moment.

use crate::{Numbers, Running, WRITER, all, append, command, open};
use nexus_store::Store;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

const CYCLES: usize = 50;

#[test]
fn a_writer_killed_at_any_moment_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut numbers = Numbers(7);
    let mut acknowledged = 0;
    for cycle in 0..CYCLES {
        let last = killed_writer(dir.path(), numbers.below(12));
        acknowledged = acknowledged.max(last);
        let store = open(dir.path()).unwrap_or_else(|error| panic!("cycle {cycle}: {error}"));
        let recorded = store.last_seq().unwrap();
        assert!(
            recorded >= acknowledged,
            "cycle {cycle}: {acknowledged} was acknowledged, {recorded} is there"
        );
        assert_as_written(&store);
    }
    assert!(
        acknowledged > 200,
        "only {acknowledged} were acknowledged: the killing came too early"
    );
}

/// Lets a writer acknowledge `batches` batches, kills it, and returns the last number that
/// reached us, also those that were still in the pipe.
fn killed_writer(dir: &Path, batches: usize) -> u64 {
    let mut child = command(WRITER)
        .arg(dir)
        .arg("1000000")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut running = Running(child);
    let mut last = 0;
    if batches == 0 {
        running.0.kill().unwrap();
    }
    for (count, line) in output.lines().enumerate() {
        if count + 1 == batches {
            running.0.kill().unwrap();
        }
        // A last line may be torn; then its beginning is a smaller number.
        last = last.max(line.unwrap().parse().unwrap_or(0));
    }
    last
}

/// The events are the ones that the writer makes for their numbers.
fn assert_as_written(store: &Store) {
    for event in all(store) {
        assert!(
            event.body.starts_with(&format!("{{\"n\":{},", event.seq)),
            "{event:?}"
        );
        assert_eq!(event.at.as_millis(), event.seq as i64);
    }
}

/// The limit of a process on file sizes stands in for a full disk: writing fails half way.
#[cfg(unix)]
#[test]
fn a_writer_that_runs_out_of_space_says_so_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = command("/bin/sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$1\" 1000000",
            WRITER,
        ])
        .arg(dir.path())
        .output()
        .unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(complaint.contains("nexus.db"), "{complaint}");
    let acknowledged: u64 = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .last()
        .unwrap()
        .parse()
        .unwrap();

    let mut store = open(dir.path()).unwrap();
    assert!(store.last_seq().unwrap() >= acknowledged);
    assert_as_written(&store);
    append(&mut store, 1);
}
