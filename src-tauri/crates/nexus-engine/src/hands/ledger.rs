//! Rows for the processes that are started, so that the next start can find what is left.

use crate::dispatcher::now;
use nexus_process::ProcessIdentity;
use nexus_store::{NewProcess, Store};
use std::sync::{Arc, Mutex, PoisonError};

/// Notes that a process runs. Without a row the guard alone sees to its end, so a failure
/// stops nothing.
pub(super) async fn started(
    store: &Arc<Mutex<Store>>,
    process: ProcessIdentity,
    tag: String,
    what: String,
) -> Option<i64> {
    let store = Arc::clone(store);
    let noted = tokio::task::spawn_blocking(move || {
        let boot_id = nexus_process::boot_id().unwrap_or_default();
        let row = NewProcess {
            pid: process.pid,
            start_ticks: process.start_ticks,
            boot_id: &boot_id,
            tag: &tag,
            what: &what,
            started_at: now(),
        };
        store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ledger_started(&row)
    });
    noted
        .await
        .ok()?
        .inspect_err(|error| tracing::warn!(%error, "no ledger row"))
        .ok()
}

/// Notes that the process of a row is gone, with everything it had started.
pub(super) async fn ended(store: &Arc<Mutex<Store>>, row: Option<i64>) {
    let Some(row) = row else { return };
    let store = Arc::clone(store);
    let noted = tokio::task::spawn_blocking(move || {
        store
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ledger_ended(row, now())
    });
    if let Ok(Err(error)) = noted.await {
        tracing::warn!(%error, "the ledger could not be written");
    }
}
