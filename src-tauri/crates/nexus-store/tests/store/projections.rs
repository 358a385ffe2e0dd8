//! Summaries change with the events they reflect; the ledger outlives whoever wrote it.

use crate::{event, open, summary};
use nexus_core::{ProjectId, Timestamp};
use nexus_store::{NewProcess, SummaryFilter, TaskSummary};
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
