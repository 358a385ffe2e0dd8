//! The plan and the team: what is planned and edited, who is at work, and what is said to them.

use super::{Answered, App, body, find, order, priority};
use crate::{
    error::{ApiError, ErrorCode},
    present,
    view::*,
};
use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
};
use nexus_core::{
    Command, Estimate, PlannedStep, Recipient, Requirements, StepId, StepKind, Task, Usd, usual,
};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_plan, edit_plan))
        .routes(routes!(say))
        .routes(routes!(set_priority))
        .routes(routes!(unchain))
        .routes(routes!(team))
}

/// The plan of a task, with what such steps took before.
#[utoipa::path(get, path = "/tasks/{id}/plan", params(("id" = String, Path)),
    responses((status = 200, body = PlanView), (status = "4XX", body = Problem)))]
async fn get_plan(State(app): State<App>, Path(id): Path<String>) -> Answered<PlanView> {
    let task = find(&app, &id)?;
    Ok(Json(plan_view(&app, &task)))
}

fn plan_view(app: &App, task: &Task) -> PlanView {
    let tasks = app.engine.tasks().1;
    present::plan(task, &usual(tasks.iter(), task.spec.team))
}

/// Plans what is not begun yet anew. All that is wrong with the plan is told at once.
#[utoipa::path(put, path = "/tasks/{id}/plan", params(("id" = String, Path)),
    request_body = PlanBody,
    responses((status = 200, body = PlanView), (status = "4XX", body = Problem)))]
async fn edit_plan(
    State(app): State<App>,
    Path(id): Path<String>,
    plan: Result<Json<PlanBody>, JsonRejection>,
) -> Answered<PlanView> {
    let PlanBody { version, steps } = body(plan)?;
    let task = find(&app, &id)?;
    let steps = steps.into_iter().map(|step| planned(&task, step));
    let steps = steps.collect::<Result<_, ApiError>>()?;
    let command = Command::EditPlan { version, steps };
    let task = app.engine.order(task.id, command).await?;
    Ok(Json(plan_view(&app, &task)))
}

/// A step as the person wants it. One that was begun stays what it is.
fn planned(task: &Task, step: PlanStepView) -> Result<PlannedStep, ApiError> {
    let id = StepId(step.id);
    if let Some(begun) = task.step(id).filter(|step| step.is_begun()) {
        return Ok(begun.planned.clone());
    }
    let wrong = |text: String| ApiError::new(ErrorCode::BadInput, text);
    let kind = match step.kind {
        StepKindView::Analysis => StepKind::Analysis,
        StepKindView::Implementation => StepKind::Implementation,
        StepKindView::Tests => StepKind::Tests,
        StepKindView::Validation => StepKind::Validation,
    };
    let requirements = Option::<Requirements>::deserialize(step.requirements).map_err(|error| {
        wrong(format!(
            "the requirements of step {id} cannot be read: {error}"
        ))
    })?;
    let cost = step.estimate_usd.map(|dollars| {
        let amount = Usd::from_dollars(dollars);
        amount.ok_or_else(|| wrong(format!("the estimate of step {id} is no amount of dollars")))
    });
    let cost = cost.transpose()?;
    Ok(PlannedStep {
        requirements: requirements.unwrap_or_default(),
        after: step.after.into_iter().map(StepId).collect(),
        priority: priority(step.priority),
        paths: step.paths,
        checks: step.checks,
        max_retries: step.max_retries,
        estimate: step
            .estimate_seconds
            .map(|seconds| Estimate { seconds, cost }),
        ..PlannedStep::new(id, kind, step.title, step.description)
    })
}

/// Tells an agent something, or the whole team.
#[utoipa::path(post, path = "/tasks/{id}/messages", params(("id" = String, Path)),
    request_body = SayBody,
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn say(
    State(app): State<App>,
    Path(id): Path<String>,
    said: Result<Json<SayBody>, JsonRejection>,
) -> Answered<TaskCard> {
    let SayBody {
        to,
        text,
        urgent,
        files,
    } = body(said)?;
    let to = recipient(&to)?;
    let text = app.engine.with_files(text, files).await?;
    order(&app, &id, Command::Say { to, text, urgent }).await
}

fn recipient(name: &str) -> Result<Recipient, ApiError> {
    let known = [
        ("prime", Recipient::Prime),
        ("aria", Recipient::Aria),
        ("code", Recipient::Code),
        ("alpha", Recipient::Alpha),
        ("beta", Recipient::Beta),
        ("team", Recipient::Team),
    ];
    let found = known.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, to)| to).ok_or_else(|| {
        let text = format!("there is nobody called `{name}`: a message goes to prime, aria, code, alpha, beta or team");
        ApiError::new(ErrorCode::BadInput, text)
    })
}

/// Says how urgent a task is.
#[utoipa::path(post, path = "/tasks/{id}/priority", params(("id" = String, Path)),
    request_body = PriorityBody,
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn set_priority(
    State(app): State<App>,
    Path(id): Path<String>,
    wanted: Result<Json<PriorityBody>, JsonRejection>,
) -> Answered<TaskCard> {
    let priority = priority(body(wanted)?.priority);
    order(&app, &id, Command::SetPriority { priority }).await
}

/// Lets a task wait for no other task any more.
#[utoipa::path(post, path = "/tasks/{id}/unchain", params(("id" = String, Path)),
    responses((status = 200, body = TaskCard), (status = "4XX", body = Problem)))]
async fn unchain(State(app): State<App>, Path(id): Path<String>) -> Answered<TaskCard> {
    order(&app, &id, Command::Unchain).await
}

/// The agents at work, and those that wait to go on, of all tasks.
#[utoipa::path(get, path = "/team", responses((status = 200, body = Vec<SeatView>)))]
async fn team(State(app): State<App>) -> Json<Vec<SeatView>> {
    let tasks = app.engine.tasks().1;
    Json(present::seats(&tasks, &app.engine.pulses()))
}
