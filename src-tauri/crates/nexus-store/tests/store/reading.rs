//! Others may read while the owner writes, and when nobody does.

use crate::{all, append, event, open, summary};
use nexus_store::{Reader, StoreError, StoreKey, SummaryFilter};

fn reader(dir: &std::path::Path) -> Result<Reader, StoreError> {
    Reader::open(dir, StoreKey::Plain)
}

#[test]
fn a_reader_sees_what_the_owner_has_committed_and_nothing_less() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    append(&mut store, 2);
    let reader = reader(dir.path()).unwrap();
    assert_eq!(reader.last_seq().unwrap(), 2);
    store.append(&[event(3)], &[summary(1)]).unwrap();
    assert_eq!(reader.read(0, 10).unwrap(), all(&store));
    assert_eq!(
        reader.summaries(&SummaryFilter::default()).unwrap(),
        [summary(1)]
    );
    reader.verify().unwrap();
}

#[test]
fn a_reader_needs_no_owner_and_leaves_the_store_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    append(&mut open(dir.path()).unwrap(), 5);
    let before = std::fs::read(dir.path().join("nexus.db")).unwrap();
    {
        let reader = reader(dir.path()).unwrap();
        reader.verify().unwrap();
        assert_eq!(reader.last_seq().unwrap(), 5);
    }
    assert_eq!(std::fs::read(dir.path().join("nexus.db")).unwrap(), before);
    append(&mut open(dir.path()).unwrap(), 1);
}

#[test]
fn reading_where_nothing_was_recorded_says_so_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let error = reader(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Absent { .. }), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
