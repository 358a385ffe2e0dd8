//! This machine as NEXUS finds it: who the person is, where their tools are, which keys there
//! are. Built once by a host from its environment; nothing below reads the environment.

use crate::{Backends, DataDir, EngineError, EngineOptions, ErrorKind, TakeUp, for_checks};
use async_trait::async_trait;
use nexus_agent::{
    Api, Backend, BaseUrl, Case, ClaudeCode, ClaudeConfig, Credential, Environment, InstallError,
    Installation, Judged, NoPlan, OpenAiPlanner, PlanBrief, Planned, Planner, PlannerSettings,
    Search, Session, SessionSpec, Thinks,
};
use nexus_core::TurnOutcome;
use nexus_process::Launcher;
use nexus_secrets::{SecretError, SecretName, SecretSource};
use nexus_workspace::Limits;
use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// Everything a host knows about the machine it runs on.
#[derive(Clone, Debug)]
pub struct Machine {
    pub data: DataDir,
    pub home: Option<PathBuf>,
    pub launcher: Launcher,
    pub secrets: SecretSource,
    /// Where Claude Code is looked for.
    pub search: Search,
    /// What agents may see of the environment.
    pub environment: Environment,
    /// Another address for the model service than the usual one.
    pub anthropic_url: Option<BaseUrl>,
    /// Which model plans, and where it is.
    pub planner: PlannerSettings,
    /// What checks may see of the environment.
    pub check_env: Vec<(OsString, OsString)>,
    /// `NEXUS_SILENCE_LIMIT`: how long a turn may say nothing.
    pub silence_limit: Option<Duration>,
    /// `NEXUS_SESSION_TIMEOUT`: how long a process may be idle.
    pub session_timeout: Option<Duration>,
    /// `NEXUS_PARALLEL_TASKS`: how many tasks are under way at once.
    pub parallel_tasks: Option<usize>,
    /// `NEXUS_TASKS_PER_PROJECT`: how many of those may be of one project.
    pub tasks_per_project: Option<usize>,
    /// `NEXUS_SEATS`: how many agents of one role work side by side in a task, at most.
    pub seats: Option<u32>,
    /// Memory that is free for agents, in bytes, where the system says so.
    pub memory: Option<u64>,
}

/// What an agent's process and the tools it starts need, roughly: 130 MB were measured for the
/// process itself.
const AGENT_MEMORY: u64 = 300 * 1024 * 1024;

impl Machine {
    /// Reads a host's environment. `guard` starts agents and checks; it is the host's own
    /// executable.
    pub fn of(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        guard: PathBuf,
    ) -> Result<Self, EngineError> {
        let variables: Vec<_> = variables.into_iter().collect();
        let get = |name: &str| {
            let mut all = variables.iter();
            all.find(|(known, value)| known == name && !value.is_empty())
                .map(|(_, value)| value.clone())
        };
        let text = |name: &str| get(name).and_then(|value| value.into_string().ok());
        let data = get("NEXUS_DATA_DIR")
            .map(PathBuf::from)
            .or_else(DataDir::default_root);
        let data = data.ok_or_else(|| {
            let message = "no place for NEXUS's data: set HOME, or name a folder in NEXUS_DATA_DIR";
            EngineError::new(ErrorKind::DataFolder, message)
        })?;
        let data = std::path::absolute(&data).map_err(|e| EngineError::data_dir(&data, e))?;
        let secrets = SecretSource::choose(text("NEXUS_SECRETS").as_deref(), text)?;
        Ok(Self {
            data: DataDir::new(data),
            home: get("HOME").map(PathBuf::from),
            launcher: Launcher::new(guard),
            secrets,
            search: Search {
                named: get("NEXUS_CLAUDE_PROGRAM").map(PathBuf::from),
                never_under: None,
            },
            environment: Environment::of(variables.iter().cloned()),
            anthropic_url: base_url(text("NEXUS_ANTHROPIC_BASE_URL"))?,
            planner: planner_settings(&text)?,
            silence_limit: seconds("NEXUS_SILENCE_LIMIT", text("NEXUS_SILENCE_LIMIT"))?,
            session_timeout: seconds("NEXUS_SESSION_TIMEOUT", text("NEXUS_SESSION_TIMEOUT"))?,
            parallel_tasks: count("NEXUS_PARALLEL_TASKS", text("NEXUS_PARALLEL_TASKS"))?,
            tasks_per_project: count("NEXUS_TASKS_PER_PROJECT", text("NEXUS_TASKS_PER_PROJECT"))?,
            seats: count("NEXUS_SEATS", text("NEXUS_SEATS"))?,
            memory: free_memory(),
            check_env: for_checks(variables),
        })
    }

    /// The options of an engine on this machine.
    pub fn engine_options(&self, practice: Arc<dyn Backend>, take_up: TakeUp) -> EngineOptions {
        EngineOptions {
            data: self.data.clone(),
            backends: Backends {
                claude: Arc::new(ClaudeHere::new(self.clone())),
                practice,
                planner: Some(Arc::new(PlannerHere(self.clone()))),
            },
            launcher: self.launcher.clone(),
            home: self.home.clone(),
            check_env: self.check_env.clone(),
            parallel_tasks: self.parallel_tasks(),
            tasks_per_project: self.tasks_per_project,
            seats: self.seats(),
            silence_limit: self.silence_limit.unwrap_or(EngineOptions::SILENCE_LIMIT),
            session_timeout: self.session_timeout,
            check_limit: EngineOptions::CHECK_LIMIT,
            limits: Limits::default(),
            take_up,
        }
    }

    fn parallel_tasks(&self) -> usize {
        self.parallel_tasks.unwrap_or(EngineOptions::PARALLEL_TASKS)
    }

    /// How many agents of one role a task may have at work: what was asked for, as far as the
    /// memory of this machine reaches for all its tasks.
    fn seats(&self) -> u32 {
        let tasks = u64::try_from(self.parallel_tasks()).unwrap_or(u64::MAX);
        let wanted = self.seats.unwrap_or(u32::MAX);
        match self.memory {
            Some(free) => {
                let fit = free / AGENT_MEMORY / tasks.max(1);
                wanted.min(u32::try_from(fit).unwrap_or(u32::MAX)).max(1)
            }
            None => wanted,
        }
    }

    /// With what agents prove who pays: a saved key, else the person's own login.
    pub async fn credential(&self) -> Result<Credential, SecretError> {
        let key = match self.secrets.get(SecretName::Anthropic).await {
            Ok(key) => key,
            // Without a keychain there is no key, and the login does not need one.
            Err(SecretError::NoSession { .. } | SecretError::NoService { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(key.map_or(Credential::Login, Credential::ApiKey))
    }
}

/// The memory that programs can have without others being pushed out, as Linux counts it
/// (`MemAvailable` of proc(5)).
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes.saturating_mul(1024))
}

/// A whole number above zero from the environment.
fn count<T: std::str::FromStr + Default + PartialEq>(
    name: &str,
    text: Option<String>,
) -> Result<Option<T>, EngineError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<T>() {
        Ok(number) if number != T::default() => Ok(Some(number)),
        Ok(_) | Err(_) => Err(EngineError::new(
            ErrorKind::BadInput,
            format!("failed to read {name}={text}: give a whole number above zero"),
        )),
    }
}

/// A number of whole seconds from the environment.
fn seconds(name: &str, text: Option<String>) -> Result<Option<Duration>, EngineError> {
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(0) | Err(_) => Err(EngineError::new(
            ErrorKind::BadInput,
            format!("failed to read {name}={text}: give a number of whole seconds above zero"),
        )),
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
    }
}

/// Which model plans: what the environment says, and the usual where it says nothing.
fn planner_settings(
    text: &impl Fn(&str) -> Option<String>,
) -> Result<PlannerSettings, EngineError> {
    let wrong =
        |why: String| EngineError::new(ErrorKind::BadInput, format!("failed to read {why}"));
    let usual = || OpenAiPlanner::BASE_URL.parse().ok();
    let address = base_url(text("NEXUS_OPENAI_BASE_URL"))?.or_else(usual);
    let address = address.ok_or_else(|| wrong("the planner's address".to_owned()))?;
    let model = text("NEXUS_OPENAI_MODEL").unwrap_or_else(|| OpenAiPlanner::MODEL.to_owned());
    let usual = PlannerSettings::new(address, model);
    let api = match text("NEXUS_OPENAI_API").as_deref() {
        None | Some("chat") => Api::Chat,
        Some("responses") => Api::Responses,
        Some(other) => {
            return Err(wrong(format!(
                "NEXUS_OPENAI_API={other}: say chat or responses"
            )));
        }
    };
    let limit = seconds("NEXUS_OPENAI_TIME_LIMIT", text("NEXUS_OPENAI_TIME_LIMIT"))?;
    let silence = seconds(
        "NEXUS_OPENAI_SILENCE_LIMIT",
        text("NEXUS_OPENAI_SILENCE_LIMIT"),
    )?;
    Ok(PlannerSettings {
        api,
        organisation: text("NEXUS_OPENAI_ORGANISATION"),
        time_limit: limit.unwrap_or(usual.time_limit),
        silence_limit: silence.unwrap_or(usual.silence_limit),
        ..usual
    })
}

fn base_url(text: Option<String>) -> Result<Option<BaseUrl>, EngineError> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|error| EngineError::new(ErrorKind::BadInput, format!("failed to {error}")))
}

impl From<SecretError> for EngineError {
    fn from(error: SecretError) -> Self {
        let kind = if matches!(error, SecretError::Invalid { .. }) {
            ErrorKind::BadInput
        } else {
            ErrorKind::Keychain
        };
        Self::new(kind, format!("failed to {error}"))
    }
}

/// The Claude Code of this machine, found when it is first needed and with the key that is
/// saved at that moment.
#[derive(Debug)]
struct ClaudeHere {
    machine: Machine,
    found: Mutex<Option<Installation>>,
}

impl ClaudeHere {
    fn new(machine: Machine) -> Self {
        Self {
            machine,
            found: Mutex::new(None),
        }
    }

    /// The program. Looked for again as long as it was not found, or when it has gone.
    async fn installation(&self) -> Result<Installation, InstallError> {
        let mut found = self.found.lock().await;
        if let Some(known) = found.as_ref().filter(|known| known.program.is_file()) {
            return Ok(known.clone());
        }
        let machine = &self.machine;
        let fresh = machine
            .search
            .find(&machine.launcher, &machine.environment)
            .await?;
        Ok(found.insert(fresh).clone())
    }

    async fn claude(&self) -> Result<ClaudeCode, TurnOutcome> {
        let (installation, credential) =
            tokio::join!(self.installation(), self.machine.credential());
        let could_not_start = |message: String| TurnOutcome::CouldNotStart {
            message: format!("failed to {message}"),
        };
        Ok(ClaudeCode::new(ClaudeConfig {
            installation: installation.map_err(|e| could_not_start(e.to_string()))?,
            launcher: self.machine.launcher.clone(),
            credential: credential.map_err(|e| could_not_start(e.to_string()))?,
            base_url: self.machine.anthropic_url.clone(),
            environment: self.machine.environment.clone(),
        }))
    }
}

#[async_trait]
impl Backend for ClaudeHere {
    async fn open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome> {
        self.claude().await?.open(spec).await
    }

    async fn ready(&self) -> Result<(), TurnOutcome> {
        self.claude().await?.ready().await
    }
}

/// The planner, with the key of the moment it is asked.
#[derive(Debug)]
struct PlannerHere(Machine);

impl PlannerHere {
    async fn planner(&self) -> Result<OpenAiPlanner, NoPlan> {
        let key = self.0.secrets.get(SecretName::OpenAi).await;
        let key = key.map_err(|error| NoPlan::unasked(format!("failed to {error}")))?;
        let no_key =
            || NoPlan::unasked("there is no openai key: save one with `nexus keys set openai`");
        OpenAiPlanner::new(self.0.planner.clone(), key.ok_or_else(no_key)?)
    }
}

#[async_trait]
impl Planner for PlannerHere {
    async fn plan(&self, brief: &PlanBrief, thinks: &Thinks) -> Result<Planned, NoPlan> {
        self.planner().await?.plan(brief, thinks).await
    }

    async fn judge(&self, case: &Case, thinks: &Thinks) -> Result<Judged, NoPlan> {
        self.planner().await?.judge(case, thinks).await
    }
}
