//! Templates: listing them, filling one in, and making a task of one.

use super::{Answered, App, body};
use crate::{
    error::{ApiError, ErrorCode},
    present,
    view::*,
};
use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
};
use nexus_core::Plan;
use nexus_engine::Templates;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_templates))
        .routes(routes!(fill_template))
}

/// Whose templates.
#[derive(Debug, Deserialize)]
struct TemplatesQuery {
    folder: Option<String>,
}

/// The templates for work in a folder, or for work anywhere. The folder need not be trusted.
#[utoipa::path(get, path = "/templates", params(("folder" = Option<String>, Query)),
    responses((status = 200, body = TemplatesView), (status = "4XX", body = Problem)))]
async fn list_templates(
    State(app): State<App>,
    Query(query): Query<TemplatesQuery>,
) -> Answered<TemplatesView> {
    let templates = find(&app, query.folder.as_deref()).await?;
    Ok(Json(present::templates(&templates)))
}

/// Fills a template in, and makes nothing. What is wrong with the fields is said all at once.
#[utoipa::path(post, path = "/templates/{name}/fill", params(("name" = String, Path)),
    request_body = FillBody,
    responses((status = 200, body = FilledView), (status = "4XX", body = Problem)))]
async fn fill_template(
    State(app): State<App>,
    Path(name): Path<String>,
    fill: Result<Json<FillBody>, JsonRejection>,
) -> Answered<FilledView> {
    let fill = body(fill)?;
    let templates = find(&app, fill.folder.as_deref()).await?;
    let filled = templates.fill(&name, &fill.fields)?;
    Ok(Json(present::filled(&filled)))
}

async fn find(app: &App, folder: Option<&str>) -> Result<Templates, ApiError> {
    Ok(app.engine.templates(folder.map(AsRef::as_ref)).await?)
}

/// What a new task has of its template: its plan, and all that the person did not say.
pub(super) async fn fill_in(app: &App, new: &mut NewTask) -> Result<Option<Box<Plan>>, ApiError> {
    let Some(name) = new.terms.template.clone() else {
        return match new.fields.is_empty() {
            true => Ok(None),
            false => Err(ApiError::new(
                ErrorCode::BadInput,
                "fields belong to a template: name it in `terms.template`",
            )),
        };
    };
    let templates = find(app, Some(&new.folder)).await?;
    if !new.text.trim().is_empty() {
        let plan = templates.plan(&name, &new.fields)?;
        return Ok(plan.map(Box::new));
    }
    let filled = templates.fill(&name, &new.fields)?;
    let view = present::filled(&filled);
    let given = std::mem::replace(&mut new.terms.checklist, view.checklist);
    let is_new = |item: &String| !filled.checklist.contains(item);
    new.terms.checklist.extend(given.into_iter().filter(is_new));
    new.text = view.text;
    let title = new.title.take().filter(|title| !title.trim().is_empty());
    new.title = title.or(view.title);
    new.priority = new.priority.or(Some(view.priority));
    new.max_seconds = new.max_seconds.or(view.max_seconds);
    Ok(filled.plan.map(Box::new))
}
