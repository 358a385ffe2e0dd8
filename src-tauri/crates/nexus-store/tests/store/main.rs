//! What a store promises, shown on real files.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "everything here is a test or serves one, with small numbers"
)]

mod backups;
mod crash;
#[cfg(unix)]
mod disk;
mod log;
mod mutation;
mod opening;
mod projections;
mod reading;
mod tampering;
mod transcripts;
mod troubles;

use nexus_core::{ProjectId, TaskId, Timestamp, Usd};
use nexus_store::{NewEvent, Store, StoreError, StoreKey, StoreOptions, StoredEvent, TaskSummary};
use std::{
    path::Path,
    process::{Child, Command},
};
use uuid::Uuid;

/// Opens the store without a reserve, which only its own tests need.
fn open(dir: &Path) -> Result<Store, StoreError> {
    Store::open_with(dir, StoreKey::Plain, StoreOptions { reserve: 0 })
}

fn event(n: u64) -> NewEvent<'static> {
    NewEvent {
        stream: if n.is_multiple_of(2) { "even" } else { "odd" },
        kind: "counted",
        at: Timestamp::from_millis(1_000 + n as i64),
        body: format!("{{\"n\":{n}}}"),
    }
}

/// Appends `count` events, each in a commit of its own.
fn append(store: &mut Store, count: u64) {
    for _ in 0..count {
        let next = store.last_seq().unwrap() + 1;
        store.append(&[event(next)], &[]).unwrap();
    }
}

fn all(store: &Store) -> Vec<StoredEvent> {
    store.read(0, usize::MAX).unwrap()
}

fn summary(n: u128) -> TaskSummary {
    TaskSummary {
        task: TaskId::new(Uuid::from_u128(n)),
        project: ProjectId::new(Uuid::from_u128(1)),
        title: format!("task {n}"),
        state: "working".to_owned(),
        cost: Some(Usd::from_micros(1_500)),
        created: Timestamp::from_millis(10),
        updated: Timestamp::from_millis(20),
        last_seq: n as u64,
        detail: "{}".to_owned(),
    }
}

/// Whether the loops run at their full length.
fn nightly() -> bool {
    std::env::var_os("NEXUS_NIGHTLY").is_some()
}

/// A program that is killed when the test is done with it, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program under test is killed outright, which supervision exists to avoid"
)]
fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// The program that appends until it is killed.
const WRITER: &str = env!("CARGO_BIN_EXE_nexus-store-writer");

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
