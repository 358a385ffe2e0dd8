//! Child processes: starting them, reading their output, ending them with everything they
//! started, and knowing how they ended.
//!
//! Every program runs under a [guard](guard): a process of its own that is parent, reaper and
//! watch, so that nothing a program starts outlives it or NEXUS. This crate knows nothing of
//! agents and nothing of what the output means.
//!
//! A host calls [`guard::run_if_asked`] first thing in `main`, makes one [`Launcher`], and
//! starts programs with [`Launcher::spawn`] or [`Launcher::run_to_end`].

#[cfg(not(unix))]
compile_error!(
    "nexus-process needs Unix: on Windows a Job Object has to take the place of the guard"
);

pub mod guard;
mod launch;
mod ledger;
mod lines;
mod process;
mod procfs;
mod run;
mod wire;

pub use launch::{Launcher, Output, Shortage, Spawn, StartError, Stdin, Tag, find_program};
pub use ledger::{
    Leftover, ProcessIdentity, boot_id, find_all_tagged, find_tagged, identity_of, is_alive,
    kill_leftover, kill_tagged,
};
pub use lines::{Line, Lines};
pub use process::{Ended, Process, StillThere};
pub use run::{Run, RunEnd, RunError, RunReport, Running};
