//! The log gives back what was appended, in order and without gaps.

use crate::{all, append, event, open, summary};
use nexus_core::Timestamp;
use nexus_store::{NewEvent, StoreError, SummaryFilter};

#[test]
fn what_was_appended_is_read_back_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let odd_text = "tab\t quote\" newline\n null\0 snowman ☃ line\u{2028}separator";
    let strange = NewEvent {
        stream: "",
        kind: odd_text,
        at: Timestamp::from_millis(-5),
        body: odd_text.to_owned(),
    };
    let mut store = open(dir.path()).unwrap();
    let first = store.append(&[event(1), event(2), strange], &[]).unwrap();
    assert_eq!(first, [1, 2, 3]);
    assert_eq!(store.append(&[event(4)], &[]).unwrap(), [4]);
    drop(store);

    let store = open(dir.path()).unwrap();
    let events = all(&store);
    assert_eq!(
        events.iter().map(|e| e.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert_eq!(events[0].body, "{\"n\":1}");
    assert_eq!(events[0].at, Timestamp::from_millis(1_001));
    assert_eq!(
        (events[2].stream.as_str(), events[2].at.as_millis()),
        ("", -5)
    );
    assert_eq!(
        (events[2].kind.as_str(), events[2].body.as_str()),
        (odd_text, odd_text)
    );
}

#[test]
fn numbers_have_no_gaps_even_after_a_batch_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 3);

    let moved = dir.path().join("elsewhere");
    std::fs::rename(dir.path().join("nexus.db"), &moved).unwrap();
    let error = store
        .append(&[event(4), event(5)], &[summary(1)])
        .unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error}");
    std::fs::rename(&moved, dir.path().join("nexus.db")).unwrap();

    assert!(
        store
            .summaries(&SummaryFilter::default())
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.append(&[event(4)], &[]).unwrap(), [4]);
    assert_eq!(all(&store).len(), 4);
}

#[test]
fn an_empty_batch_records_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    assert!(store.append(&[], &[]).unwrap().is_empty());
    assert_eq!(store.last_seq().unwrap(), 0);
}

#[test]
fn reading_starts_and_stops_where_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 10);
    let seqs = |after, limit| -> Vec<u64> {
        let events = store.read(after, limit).unwrap();
        events.iter().map(|event| event.seq).collect()
    };
    assert_eq!(seqs(0, 3), [1, 2, 3]);
    assert_eq!(seqs(8, 100), [9, 10]);
    assert!(seqs(10, 100).is_empty());
    assert!(seqs(11, 100).is_empty());
    assert!(seqs(u64::MAX, 100).is_empty());

    let even: Vec<_> = store.read_stream("even").unwrap();
    assert_eq!(
        even.iter().map(|e| e.seq).collect::<Vec<_>>(),
        [2, 4, 6, 8, 10]
    );
    assert!(store.read_stream("neither").unwrap().is_empty());

    let mut streamed = Vec::new();
    store.for_each(4, |event| streamed.push(event)).unwrap();
    assert_eq!(streamed, store.read(4, usize::MAX).unwrap());
}

#[test]
fn the_database_itself_refuses_to_change_delete_or_skip() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 3);
    let other = rusqlite::Connection::open(dir.path().join("nexus.db")).unwrap();
    for (sql, refusal) in [
        ("UPDATE event SET body = '{}' WHERE seq = 2", "append-only"),
        ("DELETE FROM event WHERE seq = 3", "append-only"),
        (
            "INSERT OR REPLACE INTO event SELECT * FROM event WHERE seq = 2",
            "no gaps",
        ),
        (
            "INSERT INTO event SELECT 9, at, stream, kind, body, hash FROM event LIMIT 1",
            "no gaps",
        ),
    ] {
        let error = other.execute(sql, []).unwrap_err().to_string();
        assert!(error.contains(refusal), "{sql}: {error}");
    }
}

#[test]
fn a_second_writer_is_noticed_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = open(dir.path()).unwrap();
    append(&mut first, 2);
    let mut second = open(dir.path()).unwrap();
    append(&mut second, 1);
    let error = first.append(&[event(3)], &[]).unwrap_err();
    assert!(matches!(error, StoreError::OtherWriter { .. }), "{error}");
    assert_eq!(all(&second).len(), 3);
}
