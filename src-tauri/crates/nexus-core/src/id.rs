//! Names of things. Each kind has its own type, so that one cannot stand in for another.
//!
//! Only projects and tasks get random ids, from the engine. Everything inside a task is named
//! by the task's id and a count, so that the core can mint ids without a random source and a
//! replay mints the same ones.

use crate::SeatId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr, time::Duration};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Names the thing by this UUID.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id! {
    /// A folder NEXUS was given.
    ProjectId
}
uuid_id! {
    /// What the person wants done.
    TaskId
}
uuid_id! {
    /// One agent conversation; outlives the processes that carry it. Passed to the agent
    /// program as its session id.
    SessionId
}
uuid_id! {
    /// A question that blocks a step.
    ApprovalId
}

impl TaskId {
    /// The session of a seat in this task. `generation` counts replacements of a lost session.
    pub fn session(self, seat: SeatId, generation: u32) -> SessionId {
        let SeatId { role, number } = seat;
        // Logs of earlier versions know only one seat of each role.
        let name = match number {
            0 => format!("{role}:{generation}"),
            number => format!("{role}:{number}:{generation}"),
        };
        SessionId(self.derive("session", &name))
    }

    /// The `count`th approval of this task.
    pub fn approval(self, count: u32) -> ApprovalId {
        ApprovalId(self.derive("approval", &count.to_string()))
    }

    /// A part of `span` that follows from this id and `salt`, spread evenly over all ids.
    pub fn spread(self, salt: &str, span: Duration) -> Duration {
        let (high, low) = self.derive("spread", salt).as_u64_pair();
        // Two bits of each half are fixed by the form of the id.
        let drawn = (high >> 32) ^ (low << 16);
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(drawn % millis.saturating_add(1))
    }

    /// Six hexadecimal digits that tell this task's `count`th message from others of the
    /// same second.
    pub(crate) fn message_suffix(self, count: u32) -> String {
        self.derive("message", &count.to_string())
            .simple()
            .to_string()[..6]
            .to_owned()
    }

    /// A UUID that follows from this id and a name, laid out as version 4 because the agent
    /// program documents that form for session ids.
    fn derive(self, kind: &str, name: &str) -> Uuid {
        let digest = Sha256::new()
            .chain_update(self.0.as_bytes())
            .chain_update(kind)
            .chain_update([0])
            .chain_update(name)
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// A step of a task's plan, counted from 1 in the order the plan lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A turn of a task, counted from 1 over all its steps and attempts.
///
/// News that carries the number of an ended turn is stale and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TurnId(pub u32);

impl fmt::Display for TurnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    #[test]
    fn derived_ids_are_stable_valid_and_apart() {
        let task = TaskId::new(Uuid::from_u128(7));
        let code = SeatId::first(Role::Code);
        let second = SeatId { number: 1, ..code };
        let first = task.session(code, 0);
        assert_eq!(first, task.session(code, 0));
        assert_ne!(first, task.session(code, 1));
        assert_ne!(first, task.session(second, 0));
        assert_ne!(first, task.session(SeatId::first(Role::Aria), 0));
        assert_eq!(first.uuid().get_version_num(), 4);
        assert_ne!(task.approval(1), task.approval(2));
    }
}
