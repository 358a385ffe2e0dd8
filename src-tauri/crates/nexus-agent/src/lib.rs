//! Agents: the programs that do the work, behind one interface.
//!
//! A [`Backend`] opens [`Session`]s. A session is one agent conversation carried by one
//! process; it takes one prompt at a time and tells everything it sees as [`SessionEvent`]s.
//! This crate stores nothing and decides nothing: permission, retries and what a turn means
//! for the task are decided by the engine with the rules of `nexus-core`.

mod claude;
mod endpoint;
mod planner;
mod practice;
mod session;

pub use claude::*;
pub use endpoint::*;
pub use planner::*;
pub use practice::*;
pub use session::*;
