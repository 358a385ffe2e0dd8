//! Who owns the engine of a data folder, and how the others reach it.
//!
//! Whoever comes first takes the folder's lock, runs the engine, and answers on a socket that
//! only the same person can open. Everybody else is a client of that socket. When the owner
//! leaves, the next host to start carries on from the log.

use crate::{
    PREFIX,
    error::{ApiError, ErrorCode},
    routes::App,
    view::{ChangeView, Problem},
};
use axum::Router;
use futures::{Stream, StreamExt, stream::BoxStream};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use nexus_agent::Backend;
use nexus_engine::{Engine, EngineError, ErrorKind, Machine, Ownership, TakeUp};
use serde::{Serialize, de::DeserializeOwned};
use std::{fs, io, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};
use tokio::net::{UnixListener, UnixStream};
use tower::ServiceExt;

/// An engine in this process, offered to others on the socket.
#[derive(Debug)]
pub struct Owner {
    pub engine: Engine,
    pub router: Router,
    serving: tokio::task::JoinHandle<()>,
    socket: std::path::PathBuf,
}

impl Owner {
    /// Stops the engine and takes the socket away.
    pub async fn stop(self) {
        self.serving.abort();
        // A file that is not there was taken away already.
        let _ = fs::remove_file(&self.socket);
        self.engine.stop().await;
    }
}

/// A way to an engine: our own, or that of another process.
#[derive(Debug)]
pub enum Connection {
    Owner(Box<Owner>),
    Client(Client),
}

/// How long a new owner may take to open its socket.
const OWNER_STARTS: Duration = Duration::from_secs(20);

/// Owns the data folder's engine, or becomes a client of who does.
pub async fn connect(
    machine: Machine,
    practice: Arc<dyn Backend>,
    take_up: TakeUp,
) -> Result<Connection, ApiError> {
    let deadline = tokio::time::Instant::now() + OWNER_STARTS;
    loop {
        match machine.data.own()? {
            Ownership::Ours(lock) => {
                let options = machine.engine_options(practice, take_up);
                let engine = Engine::start(options, lock).await?;
                return Ok(Connection::Owner(Box::new(own(engine, machine)?)));
            }
            Ownership::Taken => {
                let socket = machine.data.socket();
                match dial(&socket).await {
                    Ok(_) => return Ok(Connection::Client(Client::Socket(socket))),
                    // It holds the lock but does not answer yet, or is about to leave.
                    Err(_) if tokio::time::Instant::now() < deadline => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => {
                        return Err(EngineError::new(
                            ErrorKind::DataFolder,
                            format!(
                                "another NEXUS owns {} but does not answer on {}: {error}. End it, then try again",
                                machine.data.root().display(),
                                socket.display()
                            ),
                        )
                        .into());
                    }
                }
            }
        }
    }
}

/// A way to look only: at the owner's engine if there is an owner, else into the data folder.
/// Wakes no agent and makes nothing.
pub async fn look(machine: Machine, practice: Arc<dyn Backend>) -> Result<Client, ApiError> {
    let socket = machine.data.socket();
    if dial(&socket).await.is_ok() {
        return Ok(Client::Socket(socket));
    }
    let engine = Engine::look_into(machine.engine_options(practice, TakeUp::WhatIsOrdered))?;
    Ok(Client::InProcess(crate::router(App { engine, machine })))
}

fn own(engine: Engine, machine: Machine) -> Result<Owner, ApiError> {
    let socket = machine.data.socket();
    let listener = listen(&socket).map_err(|error| {
        ApiError::new(
            ErrorCode::DataFolder,
            format!("failed to listen on {}: {error}", socket.display()),
        )
    })?;
    let router = crate::router(App {
        engine: engine.clone(),
        machine,
    });
    let serving = tokio::spawn(serve(listener, router.clone()));
    Ok(Owner {
        engine,
        router,
        serving,
        socket,
    })
}

/// A socket in a folder that only this person can enter.
fn listen(socket: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = socket.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        let meta = fs::metadata(dir)?;
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let ours = meta.uid() == rustix::process::geteuid().as_raw();
        if !ours || meta.permissions().mode() & 0o022 != 0 {
            return Err(io::Error::other("its folder can be written by others"));
        }
    }
    // We hold the lock, so a socket that is there was left by somebody who is gone.
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to an owner that is the same person: anybody can put a socket into a folder that
/// all can write.
async fn dial(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket).await?;
    if stream.peer_cred()?.uid() == rustix::process::geteuid().as_raw() {
        Ok(stream)
    } else {
        Err(io::Error::other("somebody else answers there"))
    }
}

async fn serve(listener: UnixListener, router: Router) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        // Who can open the socket is the same person; the mode says so, this checks it.
        let same = stream
            .peer_cred()
            .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw());
        if !same {
            continue;
        }
        let router = router.clone();
        tokio::spawn(async move {
            let service =
                hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                    router.clone().oneshot(request.map(axum::body::Body::new))
                });
            let http = hyper::server::conn::http1::Builder::new();
            // A client that goes away in the middle is its own affair.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Calls operations, in process or over the socket: the same requests either way.
#[derive(Clone, Debug)]
pub enum Client {
    InProcess(Router),
    Socket(std::path::PathBuf),
}

impl Connection {
    /// The way to call operations.
    pub fn client(&self) -> Client {
        match self {
            Self::Owner(owner) => Client::InProcess(owner.router.clone()),
            Self::Client(client) => client.clone(),
        }
    }

    /// Leaves: an owner parks its sessions first.
    pub async fn close(self) {
        if let Self::Owner(owner) = self {
            owner.stop().await;
        }
    }
}

/// Why a call did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// NEXUS said no, and why.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The other side is gone.
    #[error("the NEXUS that owns the data folder has gone; try again")]
    Gone,
}

impl Client {
    /// Reads something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        self.call("GET", path, None::<&()>).await
    }

    /// Orders something.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, CallError> {
        self.call("POST", path, body).await
    }

    /// Calls an operation. `path` is without the prefix.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, CallError> {
        let response = self.send(method, path, body).await?;
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|_| CallError::Gone)?
            .to_bytes();
        let text = if bytes.is_empty() {
            &b"null"[..]
        } else {
            &bytes
        };
        serde_json::from_slice(text).map_err(|_| CallError::Gone)
    }

    /// The changes after `since`. Ends when the other side leaves or this one is too slow.
    pub async fn changes(&self, since: u64) -> Result<BoxStream<'static, ChangeView>, CallError> {
        let path = format!("/events?since={since}");
        let response = self.send("GET", &path, None::<&()>).await?;
        let body = response.into_body().into_data_stream();
        Ok(parse_events(body).boxed())
    }

    /// Sends a request; a refusal is an error. An owner that is about to leave counts as gone.
    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<hyper::Response<axum::body::Body>, CallError> {
        let response = self.exchange(method, path, body).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await;
        let bytes = body.map_err(|_| CallError::Gone)?.to_bytes();
        let problem: Problem = serde_json::from_slice(&bytes).map_err(|_| CallError::Gone)?;
        let leaves = problem.code == ErrorCode::Stopping.as_str();
        if leaves && matches!(self, Self::Socket(_)) {
            return Err(CallError::Gone);
        }
        Err(CallError::Refused(Box::new(problem)))
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<hyper::Response<axum::body::Body>, CallError> {
        let json = body.map(|body| serde_json::to_vec(body).unwrap_or_default());
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{PREFIX}{path}"))
            .header("host", "nexus");
        if json.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(json.unwrap_or_default())))
            .map_err(|_| CallError::Gone)?;
        match self {
            Self::InProcess(router) => {
                let answered = router
                    .clone()
                    .oneshot(request.map(axum::body::Body::new))
                    .await;
                answered.map_err(|never| match never {})
            }
            Self::Socket(path) => {
                let stream = dial(path).await.map_err(|_| CallError::Gone)?;
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(TokioIo::new(stream))
                        .await
                        .map_err(|_| CallError::Gone)?;
                tokio::spawn(connection);
                let response = sender
                    .send_request(request)
                    .await
                    .map_err(|_| CallError::Gone)?;
                Ok(response.map(axum::body::Body::new))
            }
        }
    }
}

/// Takes server-sent events apart: `data:` lines, ended by an empty line.
fn parse_events<E>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> impl Stream<Item = ChangeView> + Send {
    let body = body.boxed();
    futures::stream::unfold((body, Vec::new()), |(mut body, mut held)| async move {
        loop {
            if let Some(end) = find(&held, b"\n\n") {
                let event: Vec<u8> = held.drain(..end + 2).collect();
                let text = String::from_utf8_lossy(&event);
                let data = text.lines().find_map(|line| line.strip_prefix("data:"));
                if let Some(change) = data.and_then(|data| serde_json::from_str(data.trim()).ok()) {
                    return Some((change, (body, held)));
                }
                continue;
            }
            match body.next().await {
                Some(Ok(bytes)) => held.extend_from_slice(&bytes),
                Some(Err(_)) | None => return None,
            }
        }
    })
}

fn find(held: &[u8], wanted: &[u8]) -> Option<usize> {
    held.windows(wanted.len())
        .position(|window| window == wanted)
}
