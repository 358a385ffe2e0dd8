//! A seat of a task's team: a role, and which of its agents.

use crate::Role;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A seat of a task's team.
///
/// Seat 0 of a role works in the task's own workspace. Where a plan lets several agents of a
/// role work side by side, each of the others has a seat with a higher number; the seats of
/// roles that write then have a workspace of their own each, a *lane*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeatId {
    pub role: Role,
    pub number: u32,
}

impl SeatId {
    /// The role's first seat.
    pub fn first(role: Role) -> Self {
        Self { role, number: 0 }
    }

    /// Does it work in a workspace of its own, whose result is merged when its step is done?
    pub fn is_lane(self) -> bool {
        self.number > 0 && self.role.writes() == crate::Writes::Workspace
    }

    /// The name people read: `Code`, `Code 2`.
    pub fn title(self) -> String {
        match self.number {
            0 => self.role.title().to_owned(),
            number => format!("{} {}", self.role.title(), number + 1),
        }
    }
}

/// The short name used in file names and on the command line: `code`, `code-2`.
impl fmt::Display for SeatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => write!(f, "{}", self.role),
            number => write!(f, "{}-{}", self.role, number + 1),
        }
    }
}
