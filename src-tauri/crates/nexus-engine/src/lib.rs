//! The orchestrator at run time: the only thing in NEXUS that acts.
//!
//! One [dispatcher](dispatcher) takes every order and every piece of news, lets the core
//! decide, appends the facts, and only then lets anyone see them. What the core says is owed
//! is carried out by [hands](hands): tasks that copy folders, run checks and carry agent
//! sessions. Hands report; the dispatcher decides. Hosts hold an [`Engine`] and nothing else.

mod changes;
mod data_dir;
mod dispatcher;
mod engine;
mod environment;
mod error;
mod folder;
mod handed;
mod hands;
mod kpi;
mod machine;
mod monitor;
mod options;
mod past;
mod reconcile;
mod state;
mod templates;
mod trash;

pub use changes::{Change, ChangeStream};
pub use data_dir::{DataDir, Ownership};
pub use engine::{Engine, NewTask};
pub use environment::for_checks;
pub use error::{EngineError, ErrorKind};
pub use folder::FolderFacts;
pub use kpi::{Kpi, KpiShare, Target};
pub use machine::Machine;
pub use monitor::{FEEDBACK_FREQUENCY, Pulse, ToolInUse};
pub use options::{Backends, EngineOptions, TakeUp};
pub use past::{Timeline, TimelineEntry};
pub use reconcile::{Difference, DifferenceCode, Gravity, Reconciliation};
pub use templates::Templates;
pub use trash::Trashed;
