//! Summaries change with the events they reflect; the ledger outlives whoever wrote it.

use crate::{event, open, summary};
use nexus_core::{ProjectId, Timestamp};
use nexus_store::{NewProcess, Store, SummaryFilter, TaskSummary};
use std::{fs, path::Path};
use uuid::Uuid;

#[test]
fn summaries_are_written_with_their_events_and_found_by_project_and_state() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    let other_project = ProjectId::new(Uuid::from_u128(2));
    let done = TaskSummary {
        project: other_project,
        state: "done".to_owned(),
        cost: None,
        ..summary(3)
    };
    store
        .append(&[event(1)], &[summary(1), summary(2), done.clone()])
        .unwrap();
    let renamed = TaskSummary {
        title: "renamed".to_owned(),
        last_seq: 9,
        ..summary(1)
    };
    store
        .append(&[event(2)], std::slice::from_ref(&renamed))
        .unwrap();
    drop(store);

    let store = open(dir.path()).unwrap();
    let found = |filter| store.summaries(&filter).unwrap();
    let by_project = SummaryFilter {
        project: Some(other_project),
        state: None,
    };
    let by_state = SummaryFilter {
        project: None,
        state: Some("working".to_owned()),
    };
    assert_eq!(
        found(SummaryFilter::default()),
        [renamed.clone(), done.clone(), summary(2)]
    );
    assert_eq!(found(by_project), [done]);
    assert_eq!(found(by_state), [renamed, summary(2)]);
}

#[test]
fn summaries_can_be_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    store
        .append(&[event(1)], &[summary(1), summary(2)])
        .unwrap();
    store.replace_summaries(&[summary(7)]).unwrap();
    assert_eq!(
        store.summaries(&SummaryFilter::default()).unwrap(),
        [summary(7)]
    );
}

#[test]
fn the_ledger_names_the_processes_that_were_not_seen_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let process = |pid| NewProcess {
        pid,
        start_ticks: 123_456,
        boot_id: "boot",
        tag: "tag",
        what: "agent code",
        started_at: Timestamp::from_millis(5),
    };
    let mut store = open(dir.path()).unwrap();
    let ended = store.ledger_started(&process(10)).unwrap();
    let left = store.ledger_started(&process(11)).unwrap();
    store
        .ledger_ended(ended, Timestamp::from_millis(6))
        .unwrap();
    drop(store);

    let mut store = open(dir.path()).unwrap();
    let open = store.ledger_open().unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].id, open[0].pid, open[0].start_ticks),
        (left, 11, 123_456)
    );
    assert_eq!(
        (open[0].boot_id.as_str(), open[0].what.as_str()),
        ("boot", "agent code")
    );
    store.ledger_ended(left, Timestamp::from_millis(7)).unwrap();
    assert!(store.ledger_open().unwrap().is_empty());
    // A ledger row is a commit of its own and leaves the log alone.
    assert_eq!(store.append(&[event(1)], &[]).unwrap(), [1]);
}

/// Runs `sql` behind the store's back.
fn tamper(dir: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(dir.join("nexus.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn process(pid: u32) -> NewProcess<'static> {
    NewProcess {
        pid,
        start_ticks: 123_456,
        boot_id: "boot",
        tag: "tag",
        what: "agent code",
        started_at: Timestamp::from_millis(5),
    }
}

/// Two summaries and three processes, one of them gone.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    store
        .append(&[event(1)], &[summary(1), summary(2)])
        .unwrap();
    for pid in 1..=3 {
        store.ledger_started(&process(pid)).unwrap();
    }
    store.ledger_ended(2, Timestamp::from_millis(6)).unwrap();
    dir
}

#[test]
fn a_changed_missing_or_extra_summary_is_a_doubt_until_they_are_made_anew() {
    for sql in [
        "UPDATE task_summary SET state = 'done' WHERE title = 'task 1'",
        "UPDATE task_summary SET cost_micros = NULL WHERE title = 'task 1'",
        "UPDATE task_summary SET task = 'nonsense' WHERE title = 'task 1'",
        "UPDATE task_summary SET sum = x'00' WHERE title = 'task 1'",
        "DELETE FROM task_summary WHERE title = 'task 2'",
        "DELETE FROM task_summary",
        "INSERT INTO task_summary
         SELECT replace(task, '1', '3'), project, title, state, cost_micros, created, updated,
                last_seq, detail, sum FROM task_summary WHERE title = 'task 1'",
        "DELETE FROM table_sum WHERE of = 'task_summary'",
        "UPDATE table_sum SET sum = zeroblob(32) WHERE of = 'task_summary'",
    ] {
        let dir = filled();
        tamper(dir.path(), sql);
        let mut store = open(dir.path()).unwrap();
        let doubts = store.doubts();
        assert!(doubts.summaries, "{sql}");
        // Without its sum, nobody knows of which time the tables are.
        assert_eq!(
            doubts.ledger,
            sql.contains("DELETE FROM table_sum"),
            "{sql}"
        );
        // Further changes neither hide nor mend it.
        store.append(&[event(2)], &[summary(5)]).unwrap();
        assert!(store.doubts().summaries, "{sql}");
        drop(store);
        let mut store = open(dir.path()).unwrap();
        assert!(store.doubts().summaries, "{sql}");
        store.replace_summaries(&[summary(1)]).unwrap();
        assert!(!store.doubts().summaries, "{sql}");
        let found = store.summaries(&SummaryFilter::default()).unwrap();
        assert_eq!(found, [summary(1)], "{sql}");
    }
}

#[test]
fn a_damaged_row_of_the_ledger_names_nobodys_process_and_is_a_doubt_until_it_is_settled() {
    for (sql, left) in [
        ("UPDATE process SET pid = 1 WHERE id = 3", vec![1]),
        ("UPDATE process SET pid = -7 WHERE id = 3", vec![1]),
        (
            "UPDATE process SET ended_at = NULL WHERE id = 2",
            vec![1, 3],
        ),
        ("UPDATE process SET ended_at = 9 WHERE id = 3", vec![1]),
        ("UPDATE process SET sum = x'' WHERE id = 1", vec![3]),
        ("DELETE FROM process WHERE id = 3", vec![1]),
        ("DELETE FROM table_sum WHERE of = 'process'", vec![1, 3]),
    ] {
        let dir = filled();
        tamper(dir.path(), sql);
        let mut store = open(dir.path()).unwrap();
        let doubts = store.doubts();
        assert!(doubts.ledger, "{sql}");
        assert_eq!(
            doubts.summaries,
            sql.contains("DELETE FROM table_sum"),
            "{sql}"
        );
        let open_rows = |store: &Store| -> Vec<u32> {
            let rows = store.ledger_open().unwrap();
            rows.iter().map(|row| row.pid).collect()
        };
        assert_eq!(open_rows(&store), left, "{sql}");
        // That a row is closed does not sign what was changed in it.
        store.ledger_ended(3, Timestamp::from_millis(8)).ok();
        store.ledger_started(&process(9)).unwrap();
        assert!(store.doubts().ledger, "{sql}");
        store.ledger_trusted().unwrap();
        assert!(!store.doubts().ledger, "{sql}");
        assert!(open_rows(&store).contains(&9), "{sql}");
    }
}

#[test]
fn an_older_state_of_the_ledger_is_a_doubt_though_the_log_is_the_same() {
    let (dir, copy) = (filled(), tempfile::tempdir().unwrap());
    fs::copy(dir.path().join("nexus.db"), copy.path().join("nexus.db")).unwrap();
    let mut store = open(dir.path()).unwrap();
    store.ledger_started(&process(7)).unwrap();
    drop(store);
    fs::copy(
        dir.path().join("nexus.head"),
        copy.path().join("nexus.head"),
    )
    .unwrap();
    let store = open(copy.path()).unwrap();
    assert!(store.doubts().ledger);
    assert_eq!(store.last_seq().unwrap(), 1);
}

#[test]
fn processes_that_ended_long_ago_are_forgotten_a_bounded_number_at_a_time() {
    let dir = filled();
    let mut store = open(dir.path()).unwrap();
    let at = Timestamp::from_millis;
    assert_eq!(store.ledger_prune(at(6)).unwrap(), 0, "not long enough ago");
    assert_eq!(store.ledger_prune(at(7)).unwrap(), 1);
    assert_eq!(store.ledger_prune(at(7)).unwrap(), 0);
    assert_eq!(store.ledger_open().unwrap().len(), 2);
    assert!(!store.doubts().any());

    // As many as a long life leaves, written behind the store's back to be quick.
    let sql = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 12009)
               INSERT INTO process SELECT i, 1, 1, 'b', 't', 'w', 1, 2, zeroblob(32) FROM n";
    tamper(dir.path(), sql);
    assert_eq!(store.ledger_prune(at(7)).unwrap(), 10_000);
    assert_eq!(store.ledger_prune(at(7)).unwrap(), 2_000);
    assert_eq!(store.ledger_prune(at(7)).unwrap(), 0);
    assert_eq!(store.ledger_open().unwrap().len(), 2);
}
