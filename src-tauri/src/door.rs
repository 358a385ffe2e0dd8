//! The way to the NEXUS interface, which opens while the window is already painting.
//!
//! Behind it is an engine of our own, or that of another NEXUS that came first. When the
//! other one leaves, the door opens again, and the engine is then ours.

use nexus_agent::{Pace, Practice};
use nexus_api::view::{Problem, TaskCard};
use nexus_api::{ApiError, CallError, Client, Connection, ErrorCode};
use nexus_engine::{Machine, TakeUp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How long parking the agents may take when the window closes.
const FAREWELL: Duration = Duration::from_secs(15);

/// Leads every call to the interface. Calls wait while it opens.
#[derive(Clone, Debug)]
pub(crate) struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: watch::Sender<State>,
    /// Taken when the window closes.
    connection: Mutex<Option<Connection>>,
    demo: bool,
}

#[derive(Clone, Debug)]
enum State {
    Opening,
    Open(Client),
    /// NEXUS cannot work, for this reason.
    Shut(Box<Problem>),
}

impl Door {
    /// A door that is opening. With `demo`, a practice task is waiting behind it.
    pub(crate) fn open(demo: bool) -> Self {
        let door = Self::new(State::Opening, demo);
        door.connect();
        door
    }

    fn new(state: State, demo: bool) -> Self {
        let state = watch::Sender::new(state);
        let connection = Mutex::new(None);
        Self(Arc::new(Inner {
            state,
            connection,
            demo,
        }))
    }

    /// The way to the interface, once it is open.
    ///
    /// # Errors
    ///
    /// The reason why NEXUS cannot work. The next call tries again.
    pub(crate) async fn client(&self) -> Result<Client, Box<Problem>> {
        let mut state = self.0.state.subscribe();
        let settled = state
            .wait_for(|state| !matches!(state, State::Opening))
            .await;
        let settled = settled.map_or(State::Opening, |state| state.clone());
        match settled {
            State::Open(client) => Ok(client),
            State::Shut(problem) => {
                self.open_again();
                Err(problem)
            }
            State::Opening => Err(stopping("NEXUS is ending")),
        }
    }

    /// Says that nobody answers behind the door any more, and opens it anew.
    pub(crate) fn gone(&self) -> Box<Problem> {
        self.open_again();
        stopping(&CallError::Gone.to_string())
    }

    /// Parks what is running, so that the next NEXUS can carry on.
    pub(crate) async fn close(&self) {
        let Some(connection) = self.0.connection.lock().await.take() else {
            return;
        };
        if tokio::time::timeout(FAREWELL, connection.close())
            .await
            .is_err()
        {
            tracing::warn!("the agents did not stop in time; the next start takes care of them");
        }
    }

    fn open_again(&self) {
        let was_settled = self.0.state.send_if_modified(|state| {
            let settled = !matches!(state, State::Opening);
            *state = State::Opening;
            settled
        });
        if was_settled {
            self.connect();
        }
    }

    fn connect(&self) {
        let door = self.clone();
        tauri::async_runtime::spawn(async move {
            let state = match door.connected().await {
                Ok(client) => State::Open(client),
                Err(problem) => State::Shut(problem),
            };
            door.0.state.send_replace(state);
        });
    }

    async fn connected(&self) -> Result<Client, Box<Problem>> {
        let connected = connect_to_engine().await;
        let connection = connected.map_err(|error| Box::new(error.problem()))?;
        let client = connection.client();
        *self.0.connection.lock().await = Some(connection);
        if self.0.demo {
            match client.post::<TaskCard>("/practice", None::<&()>).await {
                Ok(_card) => {}
                Err(CallError::Refused(problem)) => return Err(problem),
                Err(CallError::Gone) => return Err(stopping(&CallError::Gone.to_string())),
            }
        }
        Ok(client)
    }
}

/// The engine of the data folder that the environment names, run by us or by another NEXUS.
async fn connect_to_engine() -> Result<Connection, ApiError> {
    // Agents run under this very program, started again as their guard.
    let guard = std::env::current_exe().map_err(|error| {
        let why = format!("failed to find the program's own file: {error}");
        ApiError::new(ErrorCode::Internal, why)
    })?;
    let machine = Machine::of(std::env::vars_os(), guard)?;
    let practice = Practice::new(Pace::Watch);
    nexus_api::connect(machine, Arc::new(practice), TakeUp::Everything).await
}

fn stopping(why: &str) -> Box<Problem> {
    Box::new(ApiError::new(ErrorCode::Stopping, why).problem())
}

#[cfg(test)]
impl Door {
    /// A door that leads to these routes.
    pub(crate) fn onto(router: axum::Router) -> Self {
        Self::new(State::Open(Client::InProcess(router)), false)
    }

    /// A door that opens when it is told how.
    pub(crate) fn waiting() -> Self {
        Self::new(State::Opening, false)
    }

    pub(crate) fn shut(&self, reason: &str) {
        let problem = ApiError::new(ErrorCode::DataFolder, reason).problem();
        self.0.state.send_replace(State::Shut(Box::new(problem)));
    }
}
