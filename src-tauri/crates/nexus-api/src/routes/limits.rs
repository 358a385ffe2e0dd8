//! Caps on what is used, closed accounts, and stopping everything.

use super::{Answered, App, body, cap, find, order};
use crate::{error::ApiError, present, view::*};
use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use nexus_core::{Command, DayCaps, Limits, Team};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(set_budget))
        .routes(routes!(set_caps))
        .routes(routes!(today, set_day_caps))
        .routes(routes!(retry_account))
        .routes(routes!(stop_all))
}

/// Sets or removes the cost cap.
#[utoipa::path(put, path = "/tasks/{id}/budget", params(("id" = String, Path)),
    request_body = BudgetBody,
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn set_budget(
    State(app): State<App>,
    Path(id): Path<String>,
    budget: Result<Json<BudgetBody>, JsonRejection>,
) -> Answered<TaskCard> {
    let budget = cap(body(budget)?.budget_usd)?;
    order(&app, &id, Command::SetBudget { budget }).await
}

/// Sets all caps of a task; one that is left out is removed.
#[utoipa::path(put, path = "/tasks/{id}/caps", params(("id" = String, Path)),
    request_body = CapsView,
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn set_caps(
    State(app): State<App>,
    Path(id): Path<String>,
    caps: Result<Json<CapsView>, JsonRejection>,
) -> Answered<TaskCard> {
    let caps = body(caps)?;
    let budget = cap(caps.cost_usd)?;
    let known = find(&app, &id)?;
    if budget != known.budget {
        app.engine
            .order(known.id, Command::SetBudget { budget })
            .await?;
    }
    let limits = limits(&caps);
    order(&app, &id, Command::SetLimits { limits }).await
}

fn limits(caps: &CapsView) -> Limits {
    Limits {
        tokens: caps.tokens,
        seconds: caps.seconds,
        turns: caps.turns,
    }
}

/// What all tasks together used today, and how much they may. A day is a day in UTC.
#[utoipa::path(get, path = "/today", responses((status = 200, body = TodayView)))]
async fn today(State(app): State<App>) -> Json<TodayView> {
    Json(present::today(&app.engine.floor()))
}

/// Sets what all tasks together may use on a day; a cap that is left out is removed.
#[utoipa::path(put, path = "/today", request_body = CapsView,
    responses((status = 200, body = TodayView), (status = "4XX", body = Problem)))]
async fn set_day_caps(
    State(app): State<App>,
    caps: Result<Json<CapsView>, JsonRejection>,
) -> Answered<TodayView> {
    let caps = body(caps)?;
    let caps = DayCaps {
        money: cap(caps.cost_usd)?,
        limits: limits(&caps),
    };
    app.engine.set_day_caps(caps).await?;
    Ok(Json(present::today(&app.engine.floor())))
}

/// Tries the Claude account again now, although it is held.
#[utoipa::path(post, path = "/accounts/claude/retry",
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn retry_account(State(app): State<App>) -> Result<StatusCode, ApiError> {
    app.engine.open_account(Team::Claude).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pauses everything that is under way or waits to be. Everything is kept.
#[utoipa::path(post, path = "/stop",
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn stop_all(State(app): State<App>) -> Result<StatusCode, ApiError> {
    app.engine.stop_all().await?;
    Ok(StatusCode::NO_CONTENT)
}
