//! Claude Code as a backend: the person's own installation, driven over its stream-json
//! control protocol, one persistent process a session.
//!
//! `wire` spells the lines, `translate` says what they mean, `conversation` decides what
//! follows from them, `carrier` holds the process, `mcp` is the `nexus` tools, `args` the
//! launch line, `install` finds the program, `credential` says who pays, `session_file` where
//! a session's conversation is kept and `memory` what is in it.

mod args;
mod carrier;
mod conversation;
mod credential;
mod install;
mod mcp;
mod memory;
mod session_file;
mod translate;
mod wire;

pub use args::Environment;
pub use credential::Credential;
pub use install::{InstallError, Installation, LoginStatus, NoVersion, Search, Version};
pub use session_file::{NotMoved, SessionFile, SessionFiles};

use crate::{Backend, BaseUrl, Session, SessionSpec};
use async_trait::async_trait;
use conversation::{Past, Program};
use memory::Unrecorded;
use nexus_core::{SessionId, TurnOutcome};
use nexus_process::{Launcher, Spawn, Stdin, Tag, find_tagged};
use session_file::Recollection;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The variable that marks an agent's process and all it starts, with the session's id.
pub const AGENT_TAG: &str = "NEXUS_AGENT";

/// How long an earlier process of a session may take to end. Where NEXUS was killed, the guard
/// gives it two seconds and then ends it.
const LEAVING_LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the backend needs to know.
#[derive(Clone, Debug)]
pub struct ClaudeConfig {
    pub installation: Installation,
    pub launcher: Launcher,
    pub credential: Credential,
    /// Another address than the usual one. Needs a key.
    pub base_url: Option<BaseUrl>,
    pub environment: Environment,
}

/// The Claude Code backend.
#[derive(Clone, Debug)]
pub struct ClaudeCode {
    config: ClaudeConfig,
}

impl ClaudeCode {
    pub fn new(config: ClaudeConfig) -> Self {
        Self { config }
    }

    /// The sessions that the program keeps, where it is started with a home folder.
    pub fn session_files(&self) -> Option<SessionFiles> {
        SessionFiles::of(&self.config.environment)
    }

    /// Waits until no process carries this session any more: two would each go on from the same
    /// place, and one of them would be forgotten.
    async fn wait_until_free(&self, session: SessionId) -> Result<(), TurnOutcome> {
        let deadline = Instant::now() + LEAVING_LIMIT;
        loop {
            let tag = session.to_string();
            let looking = tokio::task::spawn_blocking(move || {
                find_tagged(AGENT_TAG.as_ref(), tag.as_ref())
                    .last()
                    .copied()
            });
            let Ok(Some(other)) = looking.await else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                let message = format!(
                    "process {} still carries this session. End it, then resume the task",
                    other.pid
                );
                return Err(TurnOutcome::CouldNotStart { message });
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Starts a process that carries the session on, if it still is the one we know.
    async fn resume(&self, spec: &SessionSpec) -> Result<Session, TurnOutcome> {
        let recollection = self.recollect(spec).await;
        if let Some(message) = recollection.objection(&spec.recorded) {
            return Err(TurnOutcome::SessionLost { message });
        }
        let unrecorded = match &recollection {
            Recollection::Memory(memory) => memory.unrecorded(&spec.recorded),
            Recollection::NoFile(_) | Recollection::Unknown => Unrecorded::default(),
        };
        let past = Past {
            resumed: true,
            unproved: recollection == Recollection::Unknown,
            unrecorded,
        };
        self.start(spec, past).await
    }

    async fn recollect(&self, spec: &SessionSpec) -> Recollection {
        let Some(files) = self.session_files() else {
            return Recollection::Unknown;
        };
        let (session, workspace) = (spec.session, spec.workspace.clone());
        let reading = tokio::task::spawn_blocking(move || files.recollect(session, &workspace));
        // It fails only while NEXUS ends.
        reading.await.unwrap_or(Recollection::Unknown)
    }

    async fn start(&self, spec: &SessionSpec, past: Past) -> Result<Session, TurnOutcome> {
        let config = &self.config;
        let key = config.credential.pipe().map_err(could_not_start)?;
        let program = Program {
            by_login: key.is_none(),
            version: config.installation.version,
        };
        let mut spawn = Spawn::new(&config.installation.program, &spec.workspace);
        spawn.args = args::arguments(spec, past.resumed, program.version);
        spawn.env = args::environment(&config.environment, config.base_url.as_ref(), key.is_some());
        spawn.stdin = Stdin::Piped;
        spawn.extra_fds = key.into_iter().map(|fd| (args::KEY_FD, fd)).collect();
        spawn.tag = Some(Tag {
            name: AGENT_TAG.into(),
            value: spec.session.to_string().into(),
        });
        let process = config
            .launcher
            .spawn(spawn)
            .await
            .map_err(could_not_start)?;
        let credential = config.credential.clone();
        carrier::open(process, spec, program, past, credential).await
    }
}

fn could_not_start(error: impl std::fmt::Display) -> TurnOutcome {
    TurnOutcome::CouldNotStart {
        message: format!("failed to {error}"),
    }
}

/// The words with which the program refuses to start a session that exists.
const SESSION_EXISTS: &str = "is already in use";

#[async_trait]
impl Backend for ClaudeCode {
    async fn open(&self, spec: SessionSpec) -> Result<Session, TurnOutcome> {
        self.config
            .credential
            .check(self.config.base_url.as_ref())?;
        self.wait_until_free(spec.session).await?;
        if spec.resume {
            return self.resume(&spec).await;
        }
        match self.start(&spec, Past::default()).await {
            // Its first turn began in a process that ended before anybody noted the turn.
            Err(TurnOutcome::Exited { stderr, .. }) if stderr.contains(SESSION_EXISTS) => {
                self.resume(&spec).await
            }
            opened => opened,
        }
    }

    async fn ready(&self) -> Result<(), TurnOutcome> {
        let config = &self.config;
        config.credential.check(config.base_url.as_ref())?;
        if !matches!(config.credential, Credential::Login) {
            return Ok(());
        }
        let login = config
            .installation
            .login(&config.launcher, &config.environment);
        if login.await.map_err(could_not_start)?.logged_in {
            return Ok(());
        }
        let message = "Claude Code has no login and NEXUS has no key".to_owned();
        Err(TurnOutcome::AuthRequired { message })
    }
}
