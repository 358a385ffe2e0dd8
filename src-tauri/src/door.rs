//! The way to the NEXUS interface, which opens while the window is already painting.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// Leads every request to the interface. Requests wait while it opens.
#[derive(Debug)]
pub(crate) struct Door(watch::Sender<State>);

#[derive(Clone, Debug)]
enum State {
    Opening,
    Open(Router),
    /// NEXUS cannot work, for this reason.
    Shut(Arc<str>),
}

impl Default for Door {
    fn default() -> Self {
        Self(watch::Sender::new(State::Opening))
    }
}

impl Door {
    /// Opens the interface without keeping the window waiting. With `demo`, a practice task is
    /// prepared in it.
    pub(crate) fn open(&self, _demo: bool) {
        self.set(State::Open(Router::new()));
    }

    /// Carries one request and gives the answer, whose body may go on for as long as the
    /// interface has something to say.
    ///
    /// # Errors
    ///
    /// The reason why NEXUS cannot work at all.
    pub(crate) async fn call(&self, request: Request<Body>) -> Result<Response<Body>, Arc<str>> {
        let router = match self.opened().await {
            State::Open(router) => router,
            State::Shut(reason) => return Err(reason),
            State::Opening => return Err("NEXUS is ending".into()),
        };
        match router.oneshot(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }

    fn set(&self, state: State) {
        self.0.send_replace(state);
    }

    async fn opened(&self) -> State {
        let mut state = self.0.subscribe();
        let opened = state
            .wait_for(|state| !matches!(state, State::Opening))
            .await;
        opened.map_or(State::Opening, |state| state.clone())
    }
}

#[cfg(test)]
impl Door {
    /// A door that leads to these routes.
    pub(crate) fn onto(router: Router) -> Self {
        let door = Self::default();
        door.set(State::Open(router));
        door
    }

    pub(crate) fn shut(&self, reason: &str) {
        self.set(State::Shut(reason.into()));
    }
}
