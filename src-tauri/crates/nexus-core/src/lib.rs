//! The domain of NEXUS and its rules, as plain values.
//!
//! This crate owns what the words mean (task, plan, step, turn, message, evidence), what a
//! command means in a given state, and what ought to be under way. It reads no clock, file,
//! environment or random source: ids and times come in from the engine. It cannot fail except
//! by a [`Rejection`], which is an answer and not an error.

mod account;
mod approval;
mod chain;
mod desk;
pub mod duties;
mod evidence;
mod floor;
mod id;
mod message;
mod money;
mod persona;
mod plan;
pub mod policy;
mod queue;
mod role;
mod ruling;
pub mod scratchpad;
mod seat;
mod task;
mod template;
mod time;
mod turn;
mod usual;
mod workspace;

pub use account::*;
pub use approval::*;
pub use chain::*;
pub use desk::*;
pub use duties::{Flag, FlagKind};
pub use evidence::*;
pub use floor::*;
pub use id::*;
pub use message::*;
pub use money::*;
pub use persona::*;
pub use plan::*;
pub use queue::*;
pub use role::*;
pub use ruling::*;
pub use seat::*;
pub use task::*;
pub use template::*;
pub use time::*;
pub use turn::*;
pub use usual::*;
pub use workspace::*;
