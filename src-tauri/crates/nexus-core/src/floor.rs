//! What stands above the tasks: the known folders, and how many tasks run at once.

use crate::{
    Account, DayCaps, Event, Hold, HoldReason, PauseReason, ProjectId, Rule, RuleId, Spent,
    TaskSpec, Team, Timestamp, ToolRequest, TurnOutcome,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// A recorded fact about no single task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FloorEvent {
    ProjectAdded {
        project: Project,
    },
    /// The person said that these commands may run for this folder. The fingerprint covers
    /// them: other commands are another question.
    ProjectTrusted {
        id: ProjectId,
        fingerprint: String,
    },
    /// Nothing that needs this account is begun until the hold is over.
    AccountClosed {
        account: Account,
        hold: Hold,
    },
    AccountOpened {
        account: Account,
    },
    /// The person allowed something beyond one task.
    RuleAdded {
        rule: Rule,
    },
    RuleRevoked {
        id: RuleId,
    },
    DayCapsSet {
        caps: DayCaps,
    },
    /// The day on which a cap was reached is over.
    DayBegan {
        day: i64,
    },
}

impl FloorEvent {
    /// The variant's name as it is written in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ProjectAdded { .. } => "project_added",
            Self::ProjectTrusted { .. } => "project_trusted",
            Self::AccountClosed { .. } => "account_closed",
            Self::AccountOpened { .. } => "account_opened",
            Self::RuleAdded { .. } => "rule_added",
            Self::RuleRevoked { .. } => "rule_revoked",
            Self::DayCapsSet { .. } => "day_caps_set",
            Self::DayBegan { .. } => "day_began",
        }
    }
}

/// A folder NEXUS was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub id: ProjectId,
    /// The folder's own name.
    pub name: String,
    /// Absolute, with links followed.
    pub path: String,
    /// The bundled sample of the practice team.
    pub practice: bool,
}

/// The known folders and the limits of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    pub projects: BTreeMap<ProjectId, Project>,
    /// Fingerprint of the commands each trusted folder was trusted with.
    pub trusted: BTreeMap<ProjectId, String>,
    /// How many tasks may be under way at once.
    pub parallel_tasks: usize,
    /// How many of them may be of one project. `None` where only the places are counted.
    pub tasks_per_project: Option<usize>,
    /// Accounts that are closed for now.
    pub closed: BTreeMap<Account, Hold>,
    pub rules: BTreeMap<RuleId, Rule>,
    pub day_caps: DayCaps,
    /// What was used on the latest day on which anything was.
    pub today: Today,
    /// Failures of each account's service, as far back as they matter.
    troubles: BTreeMap<Account, Troubles>,
    served: BTreeMap<ProjectId, u64>,
    rules_made: u32,
}

/// What all tasks together used on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Today {
    /// Days since 1970 in UTC.
    pub day: i64,
    pub spent: Spent,
}

/// What a service's failures add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Troubles {
    /// When it failed, at most as often as it takes to trip.
    at: VecDeque<Timestamp>,
    /// How often it was rested without an answer in between.
    trips: u32,
}

/// So many failures of a service within [`TRIP_WINDOW`] rest it.
const TRIP_AFTER: usize = 5;
const TRIP_WINDOW: Duration = Duration::from_secs(60);
/// How long a failing service is rested first; doubled each time up to [`LONGEST_REST`].
const FIRST_REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(15 * 60);
/// Tasks wake spread over this time after a limit has passed, so that they do not all ask at
/// the same moment.
pub const WAKE_SPREAD: Duration = Duration::from_secs(30);

impl Default for Floor {
    fn default() -> Self {
        Self::for_tasks(4)
    }
}

impl Floor {
    /// A floor without projects, for so many tasks at once.
    pub fn for_tasks(parallel_tasks: usize) -> Self {
        Self {
            projects: BTreeMap::new(),
            trusted: BTreeMap::new(),
            parallel_tasks,
            tasks_per_project: None,
            closed: BTreeMap::new(),
            rules: BTreeMap::new(),
            day_caps: DayCaps::default(),
            today: Today::default(),
            troubles: BTreeMap::new(),
            served: BTreeMap::new(),
            rules_made: 0,
        }
    }
}

impl Floor {
    /// Folds one recorded fact in.
    pub fn apply(&mut self, event: &FloorEvent) {
        match event {
            FloorEvent::ProjectAdded { project } => {
                self.projects.insert(project.id, project.clone());
            }
            FloorEvent::ProjectTrusted { id, fingerprint } => {
                self.trusted.insert(*id, fingerprint.clone());
            }
            FloorEvent::AccountClosed { account, hold } => {
                if hold.why == HoldReason::Service {
                    let troubles = self.troubles.entry(*account).or_default();
                    troubles.trips += 1;
                    troubles.at.clear();
                }
                self.closed.insert(*account, hold.clone());
            }
            FloorEvent::AccountOpened { account } => {
                self.closed.remove(account);
            }
            FloorEvent::RuleAdded { rule } => {
                self.rules_made = self.rules_made.max(rule.id.0);
                self.rules.insert(rule.id, rule.clone());
            }
            FloorEvent::RuleRevoked { id } => {
                self.rules.remove(id);
            }
            FloorEvent::DayCapsSet { caps } => self.day_caps = *caps,
            FloorEvent::DayBegan { day } => {
                self.today = Today {
                    day: *day,
                    spent: Spent::default(),
                };
            }
        }
    }

    /// Does a task's fact mean anything to the floor?
    pub fn concerns(event: &Event) -> bool {
        matches!(
            event,
            Event::TaskStarted | Event::StepStarted { .. } | Event::TurnEnded { .. }
        )
    }

    /// Takes note of a task's fact: whose project was given a place, what the day used up, and
    /// how its service does. Every fact that [concerns](Self::concerns) it goes through here
    /// once, in the order of the log.
    pub fn witness(&mut self, spec: &TaskSpec, event: &Event, at: Timestamp) {
        if *event == Event::TaskStarted {
            let last = self.served.values().max().copied().unwrap_or(0);
            self.served.insert(spec.project, last + 1);
        }
        let Some(account) = Account::of(spec.team) else {
            return;
        };
        if let Event::StepStarted { .. } = event {
            self.spending(at).turns += 1;
        }
        if let Event::TurnEnded { report } = event {
            self.spending(at).add(report.usage, report.duration_ms);
            let troubles = self.troubles.entry(account).or_default();
            if let TurnOutcome::Overloaded { .. } = report.outcome {
                troubles.note(at);
            } else if let TurnOutcome::Completed { .. } = report.outcome {
                *troubles = Troubles::default();
            }
        }
    }

    fn spending(&mut self, at: Timestamp) -> &mut Spent {
        let day = at.day();
        // A clock that was set back does not open a day again that is over.
        if day > self.today.day {
            self.today = Today {
                day,
                spent: Spent::default(),
            };
        }
        &mut self.today.spent
    }

    /// What a task's new facts mean for the account it works on. To be asked after they were
    /// witnessed.
    pub fn closes(&self, team: Team, events: &[Event], now: Timestamp) -> Option<(Account, Hold)> {
        let account = Account::of(team)?;
        let hold = events.iter().find_map(|event| {
            let Event::TurnEnded { report } = event else {
                return None;
            };
            self.hold_after(account, &report.outcome, now)
        })?;
        let known = self.closed.get(&account);
        (known != Some(&hold)).then_some((account, hold))
    }

    fn hold_after(&self, account: Account, outcome: &TurnOutcome, now: Timestamp) -> Option<Hold> {
        let (why, until, message) = match outcome {
            TurnOutcome::RateLimited { until, message } => {
                return Some(Hold::at_limit(*until, message, now));
            }
            TurnOutcome::AuthRequired { message } => (HoldReason::Login, None, message),
            TurnOutcome::CreditExhausted { message } => (HoldReason::Credit, None, message),
            TurnOutcome::Overloaded { message } => {
                let rest = self.troubles.get(&account)?.rest(now)?;
                (HoldReason::Service, Some(now.after(rest)), message)
            }
            TurnOutcome::Completed { .. }
            | TurnOutcome::Interrupted
            | TurnOutcome::TimedOut { .. }
            | TurnOutcome::BudgetExhausted
            | TurnOutcome::ContextExhausted { .. }
            | TurnOutcome::SessionLost { .. }
            | TurnOutcome::Refused { .. }
            | TurnOutcome::BadProtocol { .. }
            | TurnOutcome::Exited { .. }
            | TurnOutcome::Signalled { .. }
            | TurnOutcome::CouldNotStart { .. }
            | TurnOutcome::OutputLost => return None,
        };
        Some(Hold {
            why,
            until,
            message: message.clone(),
        })
    }

    /// The accounts that open again because time has passed.
    pub fn opened_by_time(&self, now: Timestamp) -> Vec<FloorEvent> {
        let over = self.closed.iter().filter(|(_, hold)| hold.is_over(now));
        let opened = over.map(|(account, _)| FloorEvent::AccountOpened { account: *account });
        let day = now.day();
        let begun = self.is_over_caps() && day > self.today.day;
        opened
            .chain(begun.then_some(FloorEvent::DayBegan { day }))
            .collect()
    }

    /// The account that a person's order to go on opens: one that waits for a person.
    pub fn opened_by_order(&self, team: Team) -> Option<FloorEvent> {
        let account = Account::of(team)?;
        let hold = self.closed.get(&account)?;
        hold.until
            .is_none()
            .then_some(FloorEvent::AccountOpened { account })
    }

    /// Why nothing of this team is begun now.
    pub fn hold_on(&self, team: Team) -> Option<&Hold> {
        self.closed.get(&Account::of(team)?)
    }

    /// When to look at the floor again although nothing happened.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let tomorrow = Timestamp::from_millis((self.today.day + 1) * 86_400_000);
        let waits = self.closed.values().filter_map(|hold| hold.until);
        waits.chain(self.is_over_caps().then_some(tomorrow)).min()
    }

    fn is_over_caps(&self) -> bool {
        let spent = self.today.spent;
        spent
            .over(self.day_caps.money, self.day_caps.limits)
            .is_some()
    }

    /// The day's cap that is reached.
    pub fn day_cap_reached(&self, now: Timestamp) -> Option<PauseReason> {
        if now.day() > self.today.day {
            return None;
        }
        self.today
            .spent
            .over(self.day_caps.money, self.day_caps.limits)
    }

    /// The standing rule that allows a request in a project.
    pub fn rule_for(&self, project: ProjectId, request: &ToolRequest) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let digest = request.digest();
        self.rules
            .values()
            .find(|rule| rule.scope.covers(project) && rule.digest == digest)
    }

    /// The number of the next rule.
    pub fn next_rule(&self) -> RuleId {
        RuleId(self.rules_made + 1)
    }

    /// The project at `path`.
    pub fn project_at(&self, path: &str) -> Option<&Project> {
        self.projects.values().find(|project| project.path == path)
    }

    /// When each project was last given a place, as the number of that place, counted from 1 in
    /// the order they were given.
    pub(crate) fn served(&self) -> &BTreeMap<ProjectId, u64> {
        &self.served
    }
}

impl Troubles {
    fn note(&mut self, at: Timestamp) {
        self.at.push_back(at);
        if self.at.len() > TRIP_AFTER {
            self.at.pop_front();
        }
    }

    /// How long the service has to rest, when it has failed too often of late.
    fn rest(&self, now: Timestamp) -> Option<Duration> {
        let lately = self.at.iter().filter(|at| now.since(**at) <= TRIP_WINDOW);
        (lately.count() >= TRIP_AFTER).then(|| {
            FIRST_REST
                .saturating_mul(1 << self.trips.min(10))
                .min(LONGEST_REST)
        })
    }
}
