//! The operations. Each converts, calls the engine, converts back.

mod care;
mod limits;
mod team;
mod templates;
mod trust;

pub use care::{restore_trashed, trash};

use crate::{
    doctor,
    error::{ApiError, ErrorCode},
    present,
    view::*,
};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{self, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use nexus_core::{
    ANSWER_WITHIN, Command, Limits, Permissions, Phase, PlannerKind, Priority, ProjectPath, Task,
    Team, Terms, Usd,
};
use nexus_engine::{Change, ChangeStream, Engine, Machine};
use serde::Deserialize;
use std::{convert::Infallible, sync::Arc, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the operations work on.
#[derive(Clone, Debug)]
pub struct App {
    pub engine: Engine,
    pub machine: Machine,
}

type Answered<T> = Result<Json<T>, ApiError>;

/// All operations with their description.
pub(crate) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(board))
        .routes(routes!(list_tasks, create_task))
        .routes(routes!(get_task))
        .routes(routes!(timeline))
        .routes(routes!(messages))
        .routes(routes!(diff))
        .routes(routes!(start))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
        .routes(routes!(discard))
        .routes(routes!(restore))
        .routes(routes!(accept))
        .routes(routes!(request_changes))
        .merge(limits::operations())
        .merge(team::operations())
        .merge(trust::operations())
        .merge(templates::operations())
        .routes(routes!(list_projects, add_project))
        .routes(routes!(inspect))
        .routes(routes!(practice))
        .routes(routes!(agents))
        .merge(care::operations())
        .routes(routes!(list_keys))
        .routes(routes!(set_key, remove_key))
        .routes(routes!(events))
}

fn find(app: &App, id: &str) -> Result<Arc<Task>, ApiError> {
    Ok(app.engine.find(id)?)
}

async fn order(app: &App, id: &str, command: Command) -> Answered<TaskCard> {
    let task = find(app, id)?;
    let task = app.engine.order(task.id, command).await?;
    Ok(Json(card(app, &task)))
}

fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, ApiError> {
    let unreadable = |e: JsonRejection| ApiError::new(ErrorCode::BadInput, e.body_text());
    body.map(|Json(body)| body).map_err(unreadable)
}

fn cap(dollars: Option<f64>) -> Result<Option<Usd>, ApiError> {
    let wrong = || {
        ApiError::new(
            ErrorCode::BadInput,
            "the cost cap is not an amount of dollars",
        )
    };
    dollars
        .map(|d| Usd::from_dollars(d).ok_or_else(wrong))
        .transpose()
}

fn newest_first(app: &App, mut tasks: Vec<Arc<Task>>) -> Vec<TaskCard> {
    tasks.sort_by_key(|task| std::cmp::Reverse(task.spec.number));
    let places = app.engine.queue_places();
    let cards = tasks.iter().map(|task| {
        let mut card = present::card(task);
        let place = places.get(&task.id).copied();
        present::place(&mut card, app.engine.waits_for(task), place);
        honest(app, task, card)
    });
    cards.collect()
}

/// A card with what only the desk knows of the task.
fn card(app: &App, task: &Task) -> TaskCard {
    let mut card = present::card(task);
    place(&app.engine, task, &mut card);
    card
}

fn place(engine: &Engine, task: &Task, card: &mut TaskCard) {
    let queued = task.phase == Phase::Queued;
    let place = queued.then(|| engine.queue_places().get(&task.id).copied());
    present::place(card, engine.waits_for(task), place.flatten());
}

/// A card that does not say somebody is at work when nobody is.
fn honest(app: &App, task: &Task, card: TaskCard) -> TaskCard {
    if app.engine.works_on(task.id) {
        card
    } else {
        present::left_alone(task, card)
    }
}

/// Everything the board needs to draw itself.
#[utoipa::path(get, path = "/board", responses((status = 200, body = Board)))]
async fn board(State(app): State<App>) -> Json<Board> {
    let (seq, tasks) = app.engine.tasks();
    Json(Board {
        seq,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data_dir: app.engine.data().root().to_string_lossy().into_owned(),
        projects: present::projects(&app.engine.floor()),
        agents: present::agents(&tasks),
        holds: present::holds(&app.engine.floor()),
        today: present::today(&app.engine.floor()),
        trouble: app.engine.trouble().map(|why| why.message),
        tasks: newest_first(&app, tasks),
    })
}

/// All tasks, newest first.
#[utoipa::path(get, path = "/tasks", responses((status = 200, body = Vec<TaskCard>)))]
async fn list_tasks(State(app): State<App>) -> Json<Vec<TaskCard>> {
    let tasks = app.engine.tasks().1;
    Json(newest_first(&app, tasks))
}

/// Makes a task, and starts it if asked to.
#[utoipa::path(post, path = "/tasks", request_body = NewTask,
    responses((status = 201, body = TaskCard), (status = "4XX", body = Problem)))]
async fn create_task(
    State(app): State<App>,
    new: Result<Json<NewTask>, JsonRejection>,
) -> Result<(StatusCode, Json<TaskCard>), ApiError> {
    let mut new = body(new)?;
    let plan = templates::fill_in(&app, &mut new).await?;
    let task = app
        .engine
        .create(nexus_engine::NewTask {
            text: new.text,
            title: new.title,
            folder: new.folder.into(),
            team: match new.team {
                TeamView::Claude => Team::Claude,
                TeamView::Practice => Team::Practice,
            },
            planner: match new.planner {
                PlannerView::Standard => PlannerKind::Standard,
                PlannerView::Openai => PlannerKind::Openai,
                PlannerView::Claude => PlannerKind::Claude,
            },
            permissions: match new.permissions {
                PermissionsView::Ask => Permissions::Ask,
                PermissionsView::Workspace => Permissions::Workspace,
                PermissionsView::All => Permissions::All,
            },
            budget: cap(new.budget_usd)?,
            limits: Limits {
                tokens: new.max_tokens,
                seconds: match new.max_seconds {
                    Some(0) => None,
                    given => Some(given.unwrap_or(Limits::TASK_TIMEOUT)),
                },
                turns: new.max_turns,
            },
            answer_within: new.answer_within_seconds.unwrap_or(ANSWER_WITHIN),
            start: new.start,
            attended: !new.unattended,
            trust_once: new.trust_once,
            priority: priority(new.priority.unwrap_or_default()),
            terms: Terms {
                plan,
                ..terms(&app, new.terms)?
            },
        })
        .await?;
    Ok((StatusCode::CREATED, Json(present::card(&task))))
}

fn priority(priority: PriorityView) -> Priority {
    match priority {
        PriorityView::Critical => Priority::Critical,
        PriorityView::High => Priority::High,
        PriorityView::Normal => Priority::Normal,
        PriorityView::Low => Priority::Low,
    }
}

fn terms(app: &App, terms: TermsView) -> Result<Terms, ApiError> {
    let after = terms.after.iter().map(|name| Ok(find(app, name)?.id));
    Ok(Terms {
        plan_first: terms.plan_first,
        seats: terms.seats,
        checklist: terms.checklist,
        after: after.collect::<Result<_, ApiError>>()?,
        shares_context: terms.shares_context,
        template: terms.template,
        plan: None,
    })
}

/// A task with everything its page shows. `id` is its id or its short name.
#[utoipa::path(get, path = "/tasks/{id}", params(("id" = String, Path)),
    responses((status = 200, body = TaskView), (status = "4XX", body = Problem)))]
async fn get_task(State(app): State<App>, Path(id): Path<String>) -> Answered<TaskView> {
    let task = find(&app, &id)?;
    let mut view = present::task(&task, app.engine.data());
    place(&app.engine, &task, &mut view.card);
    let works = app.engine.works_on(task.id);
    Ok(Json(if works {
        view
    } else {
        present::page_left_alone(&task, view)
    }))
}

/// How many lines of a task's past are sent at once: the latest ones.
const TIMELINE_LINES: usize = 2000;

/// What happened to a task, oldest first.
#[utoipa::path(get, path = "/tasks/{id}/timeline", params(("id" = String, Path)),
    responses((status = 200, body = Vec<TimelineItem>), (status = "4XX", body = Problem)))]
async fn timeline(State(app): State<App>, Path(id): Path<String>) -> Answered<Vec<TimelineItem>> {
    let task = find(&app, &id)?;
    let past = app.engine.timeline(&task).await?;
    let mut items = present::timeline(&task, &past.entries);
    items.drain(..items.len().saturating_sub(TIMELINE_LINES));
    Ok(Json(items))
}

/// The messages of a task, oldest first.
#[utoipa::path(get, path = "/tasks/{id}/messages", params(("id" = String, Path)),
    responses((status = 200, body = Vec<MessageView>), (status = "4XX", body = Problem)))]
async fn messages(State(app): State<App>, Path(id): Path<String>) -> Answered<Vec<MessageView>> {
    Ok(Json(present::messages(find(&app, &id)?.as_ref())))
}

/// Which file of a difference.
#[derive(Debug, Deserialize)]
struct DiffQuery {
    path: Option<String>,
}

/// What the task changed, as a unified diff: all of it, or one file.
#[utoipa::path(get, path = "/tasks/{id}/diff",
    params(("id" = String, Path), ("path" = Option<String>, Query)),
    responses((status = 200, body = DiffView), (status = "4XX", body = Problem)))]
async fn diff(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(query): Query<DiffQuery>,
) -> Answered<DiffView> {
    let task = find(&app, &id)?;
    let path = query.path.map(|path| ProjectPath::parse(&path)).transpose();
    let path = path.map_err(|error| ApiError::new(ErrorCode::BadInput, error.to_string()))?;
    let patch = app.engine.patch(&task, path).await?;
    Ok(Json(DiffView {
        patch: patch.text,
        truncated: patch.truncated,
    }))
}

macro_rules! plain_order {
    ($(#[$doc:meta])* $name:ident, $path:literal, $command:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, params(("id" = String, Path)),
            responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
        async fn $name(State(app): State<App>, Path(id): Path<String>) -> Answered<TaskCard> {
            order(&app, &id, $command).await
        }
    };
}

plain_order! {
    /// Starts a task as soon as there is a free place.
    start, "/tasks/{id}/start", Command::Start
}
plain_order! {
    /// Stops a task's agents and keeps everything.
    pause, "/tasks/{id}/pause", Command::Pause
}
plain_order! {
    /// Goes on after a pause or a failure.
    resume, "/tasks/{id}/resume", Command::Resume
}
plain_order! {
    /// Stops a task for good. Its workspace is kept and can be brought back.
    cancel, "/tasks/{id}/cancel", Command::Cancel
}
plain_order! {
    /// Puts reviewed work aside. It is kept and can be brought back.
    discard, "/tasks/{id}/discard", Command::Discard
}
plain_order! {
    /// Brings cancelled or discarded work back.
    restore, "/tasks/{id}/restore", Command::Restore
}

/// Applies a reviewed change to the person's folder.
#[utoipa::path(post, path = "/tasks/{id}/accept", params(("id" = String, Path)),
    request_body = AcceptBody,
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn accept(
    State(app): State<App>,
    Path(id): Path<String>,
    how: Result<Json<AcceptBody>, JsonRejection>,
) -> Answered<TaskCard> {
    let although_red = body(how)?.although_red;
    order(&app, &id, Command::Accept { although_red }).await
}

/// Sends reviewed work back to the same team in the same workspace.
#[utoipa::path(post, path = "/tasks/{id}/request-changes", params(("id" = String, Path)),
    request_body = ChangeRequest,
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn request_changes(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Result<Json<ChangeRequest>, JsonRejection>,
) -> Answered<TaskCard> {
    order(
        &app,
        &id,
        Command::RequestChanges {
            text: body(request)?.text,
        },
    )
    .await
}

/// All known folders.
#[utoipa::path(get, path = "/projects", responses((status = 200, body = Vec<ProjectView>)))]
async fn list_projects(State(app): State<App>) -> Json<Vec<ProjectView>> {
    Json(present::projects(&app.engine.floor()))
}

/// Looks at a folder without running anything in it.
#[utoipa::path(post, path = "/projects/inspect", request_body = FolderBody,
    responses((status = 200, body = FolderView), (status = "4XX", body = Problem)))]
async fn inspect(
    State(app): State<App>,
    folder: Result<Json<FolderBody>, JsonRejection>,
) -> Answered<FolderView> {
    let facts = app.engine.inspect(body(folder)?.path.as_ref()).await?;
    Ok(Json(present::folder(&facts)))
}

/// Adds a folder that the person trusts.
#[utoipa::path(post, path = "/projects", request_body = FolderBody,
    responses((status = 200, body = ProjectView), (status = "4XX", body = Problem)))]
async fn add_project(
    State(app): State<App>,
    folder: Result<Json<FolderBody>, JsonRejection>,
) -> Answered<ProjectView> {
    let folder = body(folder)?;
    if !folder.trust {
        return Err(ApiError::new(
            ErrorCode::Untrusted,
            "a folder is added by trusting it: say `trust: true` when the person has seen its commands",
        ));
    }
    let project = app.engine.trust(folder.path.as_ref()).await?;
    Ok(Json(present::project(&project, true)))
}

/// Makes the bundled sample and starts the practice task on it. Practice, no AI.
#[utoipa::path(post, path = "/practice",
    responses((status = 201, body = TaskCard), (status = "4XX", body = Problem)))]
async fn practice(State(app): State<App>) -> Result<(StatusCode, Json<TaskCard>), ApiError> {
    let path = app
        .machine
        .environment
        .get("PATH")
        .unwrap_or_default()
        .to_owned();
    let task = app.engine.practice(&path).await?;
    Ok((StatusCode::CREATED, Json(present::card(&task))))
}

/// What each seat of the team does.
#[utoipa::path(get, path = "/agents", responses((status = 200, body = Vec<AgentView>)))]
async fn agents(State(app): State<App>) -> Json<Vec<AgentView>> {
    Json(present::agents(&app.engine.tasks().1))
}

/// The saved keys, as far as anyone may see them.
#[utoipa::path(get, path = "/keys",
    responses((status = 200, body = Vec<KeyView>), (status = "4XX", body = Problem)))]
async fn list_keys(State(app): State<App>) -> Answered<Vec<KeyView>> {
    let saved = app
        .machine
        .secrets
        .list()
        .await
        .map_err(nexus_engine::EngineError::from)?;
    Ok(Json(saved.iter().map(doctor::key_view).collect()))
}

fn key_name(name: &str) -> Result<nexus_secrets::SecretName, ApiError> {
    let unknown = || {
        let text = format!("there is no key `{name}`; the keys are anthropic and openai");
        ApiError::new(ErrorCode::NotFound, text)
    };
    doctor::key_name(name).ok_or_else(unknown)
}

/// Saves a key in the keychain.
#[utoipa::path(put, path = "/keys/{name}", params(("name" = String, Path)), request_body = KeyBody,
    responses((status = 200, body = KeyView), (status = "4XX", body = Problem)))]
async fn set_key(
    State(app): State<App>,
    Path(name): Path<String>,
    key: Result<Json<KeyBody>, JsonRejection>,
) -> Answered<KeyView> {
    let name = key_name(&name)?;
    let value = body(key)?.value.into();
    let secrets = &app.machine.secrets;
    secrets
        .set(name, value)
        .await
        .map_err(nexus_engine::EngineError::from)?;
    let saved = secrets
        .list()
        .await
        .map_err(nexus_engine::EngineError::from)?;
    let saved = saved.iter().find(|saved| saved.name == name);
    let gone = || {
        ApiError::new(
            ErrorCode::Keychain,
            "the keychain took the key but does not have it",
        )
    };
    Ok(Json(doctor::key_view(saved.ok_or_else(gone)?)))
}

/// Removes a key from the keychain.
#[utoipa::path(delete, path = "/keys/{name}", params(("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn remove_key(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let removed = app.machine.secrets.remove(key_name(&name)?).await;
    removed.map_err(nexus_engine::EngineError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// From where to listen.
#[derive(Debug, Deserialize)]
struct EventsQuery {
    since: Option<u64>,
}

/// The ordered change stream as server-sent events. Ends when a client falls too far behind;
/// it then comes back with the last number it saw.
#[utoipa::path(get, path = "/events", params(("since" = Option<u64>, Query)),
    responses((status = 200, description = "A stream of changes", body = ChangeView,
        content_type = "text/event-stream")))]
async fn events(
    State(app): State<App>,
    Query(query): Query<EventsQuery>,
) -> Result<Response, ApiError> {
    let since = query.since.unwrap_or_else(|| app.engine.seq());
    let changes = app.engine.changes(since).await?;
    let beat = sse::KeepAlive::new().interval(Duration::from_secs(15));
    Ok(Sse::new(as_events(app.engine.clone(), changes))
        .keep_alive(beat)
        .into_response())
}

fn as_events(
    engine: Engine,
    changes: ChangeStream,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    views(engine, changes).map(|view| {
        let data = serde_json::to_string(&view).unwrap_or_default();
        Ok(sse::Event::default()
            .id(seq_of(&view).to_string())
            .data(data))
    })
}

/// Changes as they are shown, for hosts that carry them by other means than HTTP.
pub fn views(engine: Engine, changes: ChangeStream) -> impl Stream<Item = ChangeView> + Send {
    stream::unfold((engine, changes), |(engine, mut changes)| async move {
        let change = changes.next().await?;
        let mut view = present::change(&change);
        if let (ChangeView::Event { card, .. }, Change::Fact { task, .. }) = (&mut view, &change) {
            place(&engine, task, card);
        }
        Some((view, (engine, changes)))
    })
}

/// The number of the last fact a change knows of.
pub fn seq_of(view: &ChangeView) -> u64 {
    match view {
        ChangeView::Event { seq, .. }
        | ChangeView::Live { seq, .. }
        | ChangeView::Thinking { seq, .. }
        | ChangeView::Projects { seq, .. } => *seq,
    }
}
