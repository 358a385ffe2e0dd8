//! This machine as NEXUS finds it: who the person is, where their tools are, which keys there
//! are. Built once by a host from its environment; nothing below reads the environment.

use crate::{Backends, DataDir, EngineError, EngineOptions, ErrorKind, TakeUp, for_checks};
use async_trait::async_trait;
use nexus_agent::{
    Backend, BaseUrl, Case, ClaudeCode, ClaudeConfig, Credential, Environment, InstallError,
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
    pub openai_url: Option<BaseUrl>,
    /// What checks may see of the environment.
    pub check_env: Vec<(OsString, OsString)>,
    /// `NEXUS_SILENCE_LIMIT`: how long a turn may say nothing.
    pub silence_limit: Option<Duration>,
    /// `NEXUS_SESSION_TIMEOUT`: how long a process may be idle.
    pub session_timeout: Option<Duration>,
}

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
            openai_url: base_url(text("NEXUS_OPENAI_BASE_URL"))?,
            silence_limit: seconds("NEXUS_SILENCE_LIMIT", text("NEXUS_SILENCE_LIMIT"))?,
            session_timeout: seconds("NEXUS_SESSION_TIMEOUT", text("NEXUS_SESSION_TIMEOUT"))?,
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
            parallel_tasks: EngineOptions::PARALLEL_TASKS,
            silence_limit: self.silence_limit.unwrap_or(EngineOptions::SILENCE_LIMIT),
            session_timeout: self.session_timeout,
            check_limit: EngineOptions::CHECK_LIMIT,
            limits: Limits::default(),
            take_up,
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

/// The planner, with the key and the address of the moment it is asked.
#[derive(Debug)]
struct PlannerHere(Machine);

impl PlannerHere {
    async fn openai(&self) -> Result<OpenAiPlanner, NoPlan> {
        let key = self.0.secrets.get(SecretName::OpenAi).await;
        let key = key.map_err(|error| NoPlan::unasked(format!("failed to {error}")))?;
        let no_key =
            || NoPlan::unasked("there is no openai key: save one with `nexus keys set openai`");
        let usual = || {
            OpenAiPlanner::BASE_URL
                .parse()
                .map_err(|_| NoPlan::unasked("no address"))
        };
        let url = self.0.openai_url.clone().map_or_else(usual, Ok)?;
        let settings = PlannerSettings::new(url, OpenAiPlanner::MODEL);
        OpenAiPlanner::new(settings, key.ok_or_else(no_key)?)
    }
}

#[async_trait]
impl Planner for PlannerHere {
    async fn plan(&self, brief: &PlanBrief, thinks: &Thinks) -> Result<Planned, NoPlan> {
        self.openai().await?.plan(brief, thinks).await
    }

    async fn judge(&self, case: &Case, thinks: &Thinks) -> Result<Judged, NoPlan> {
        self.openai().await?.judge(case, thinks).await
    }
}
