//! Accounts with the services that agents use, and why one is closed for a while.

use crate::{Team, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whom the work is done by, and who limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// The login or key that Claude Code agents use.
    Claude,
}

impl Account {
    /// The account a team works on; `None` when it needs none.
    pub fn of(team: Team) -> Option<Self> {
        match team {
            Team::Claude => Some(Self::Claude),
            Team::Practice => None,
        }
    }
}

/// How long an account is held when the limit's end was not told.
const UNTOLD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Why nothing more is begun for a while, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub why: HoldReason,
    /// `None` when it does not pass by itself.
    pub until: Option<Timestamp>,
    /// What the service said.
    pub message: String,
}

/// Why an account is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Its usage limit is reached.
    Limit,
    /// The service failed so often that asking again at once would make it worse.
    Service,
    /// The login or key is missing or refused.
    Login,
    /// It cannot pay.
    Credit,
}

impl HoldReason {
    /// The reason as it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Service => "service",
            Self::Login => "login",
            Self::Credit => "credit",
        }
    }
}

impl Hold {
    /// Is it over at this moment? One that does not pass by itself never is.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The hold of a usage limit that was met now. Where its end was not told it is tried again
    /// after [`UNTOLD_LIMIT`], and says so.
    pub fn at_limit(until: Option<Timestamp>, message: &str, now: Timestamp) -> Self {
        let told = until.filter(|until| *until > now);
        let message = match told {
            Some(_) => message.to_owned(),
            None => format!("{message} (until when was not said; this is when it is tried again)"),
        };
        Self {
            why: HoldReason::Limit,
            until: Some(told.unwrap_or(now.after(UNTOLD_LIMIT))),
            message,
        }
    }

    /// What happened and what to do next, in a sentence.
    pub fn describe(&self) -> String {
        let until = self
            .until
            .map(|until| format!(" until {until}"))
            .unwrap_or_default();
        match self.why {
            HoldReason::Limit => format!("usage limit reached{until}: {}", self.message),
            HoldReason::Service => {
                format!(
                    "the model service keeps failing; resting{until}: {}",
                    self.message
                )
            }
            HoldReason::Login => format!(
                "not logged in: {}. Run `claude` once and log in, or save a key with `nexus keys set anthropic`; then resume",
                self.message
            ),
            HoldReason::Credit => format!(
                "the account cannot pay: {}. Add credit, then resume",
                self.message
            ),
        }
    }
}
