//! What NEXUS remembers: the event log, the read models beside it, the ledger of processes
//! and the transcripts of turns.
//!
//! The log must not lose: an event is acknowledged only when it is on the disk, and a change
//! to what was written is noticed and named. Transcripts are best effort. The crate knows no
//! rules of the domain: a body is text to it, and a state is a word.
//!
//! What the disk does to it is named: [`StoreError::trouble`] says what sort of trouble there
//! is, [`Store::back_up`] keeps verified copies, and [`restore`] puts one in the place of a store
//! that cannot be trusted.
//!
//! Everything here blocks. The engine calls it from a thread of its own.

mod anchor;
mod backup;
mod connection;
mod error;
mod fault;
mod migration;
mod place;
mod reserve;
mod restore;
mod salvage;
mod store;
mod table;
mod transcript;
mod trouble;
mod verify;

pub use backup::{Backup, backups};
pub use error::StoreError;
pub use restore::{Restored, restore};
pub use store::{Reader, Store, StoreKey, StoreOptions};
pub use table::event::{NewEvent, StoredEvent};
pub use table::process::{LedgerRow, NewProcess};
pub use table::task_summary::{SummaryFilter, TaskSummary};
pub use transcript::{NumberedLine, TranscriptLine, TranscriptPage, TranscriptWriter, Transcripts};
pub use trouble::Trouble;
pub use verify::Doubts;
