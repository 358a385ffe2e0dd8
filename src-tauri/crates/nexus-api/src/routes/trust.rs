//! Questions, what was allowed for longer than once, and the agents' conversations.

use super::{Answered, App, body, find, order};
use crate::{
    error::{ApiError, ErrorCode},
    present,
    view::*,
};
use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use nexus_core::{Answer, ApprovalId, Command, Role, RuleId};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub(super) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_approvals))
        .routes(routes!(answer))
        .routes(routes!(allowed))
        .routes(routes!(revoke_rule))
        .routes(routes!(revoke_grant))
        .routes(routes!(list_sessions))
        .routes(routes!(replace_session))
}

/// Every question that waits for an answer, oldest first.
#[utoipa::path(get, path = "/approvals", responses((status = 200, body = Vec<ApprovalView>)))]
async fn list_approvals(State(app): State<App>) -> Json<Vec<ApprovalView>> {
    Json(present::approvals(&app.engine.tasks().1))
}

/// Answers a question.
#[utoipa::path(post, path = "/approvals/{id}", params(("id" = Uuid, Path)),
    request_body = AnswerBody,
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn answer(
    State(app): State<App>,
    Path(id): Path<Uuid>,
    answer: Result<Json<AnswerBody>, JsonRejection>,
) -> Answered<TaskCard> {
    let given = body(answer)?;
    let reason = match given.reason.trim() {
        "" => "the person said no".to_owned(),
        reason => reason.to_owned(),
    };
    let answer = match given.kind {
        AnswerKindView::Allow => Answer::Allow,
        AnswerKindView::AllowForTask => Answer::AllowForTask,
        AnswerKindView::AllowForProject => Answer::AllowForProject,
        AnswerKindView::AllowAlways => Answer::AllowAlways,
        AnswerKindView::Deny => Answer::Deny { reason },
        AnswerKindView::Text => Answer::Text { text: given.text },
    };
    let task = app
        .engine
        .answer(ApprovalId::new(id), answer, given.digest)
        .await?;
    Ok(Json(present::card(&task)))
}

/// Everything that was allowed for longer than once.
#[utoipa::path(get, path = "/rules", responses((status = 200, body = AllowedView)))]
async fn allowed(State(app): State<App>) -> Json<AllowedView> {
    let tasks = app.engine.tasks().1;
    Json(present::allowed(&app.engine.floor(), &tasks))
}

/// Takes a standing rule back.
#[utoipa::path(delete, path = "/rules/{id}", params(("id" = u32, Path)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn revoke_rule(State(app): State<App>, Path(id): Path<u32>) -> Result<StatusCode, ApiError> {
    app.engine.revoke_rule(RuleId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes back what was allowed for the rest of a task.
#[utoipa::path(delete, path = "/tasks/{id}/grants/{digest}",
    params(("id" = String, Path), ("digest" = String, Path)),
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn revoke_grant(
    State(app): State<App>,
    Path((id, digest)): Path<(String, String)>,
) -> Answered<TaskCard> {
    order(&app, &id, Command::Revoke { digest }).await
}

/// The agents' conversations, of all tasks.
#[utoipa::path(get, path = "/sessions", responses((status = 200, body = Vec<SessionView>)))]
async fn list_sessions(State(app): State<App>) -> Json<Vec<SessionView>> {
    Json(present::sessions(&app.engine.tasks().1))
}

/// Gives up a seat's conversation. Its next turn begins a new one, told from the journal.
#[utoipa::path(post, path = "/tasks/{id}/sessions/{role}/replace",
    params(("id" = String, Path), ("role" = String, Path)),
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn replace_session(
    State(app): State<App>,
    Path((id, role)): Path<(String, String)>,
) -> Answered<TaskCard> {
    find(&app, &id)?;
    let role: Role = role.parse().map_err(|error: nexus_core::UnknownRole| {
        ApiError::new(ErrorCode::BadInput, error.to_string())
    })?;
    order(&app, &id, Command::ReplaceSession { role }).await
}
