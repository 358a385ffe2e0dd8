//! The care of NEXUS: the doctor, the trash, and the key figures.

use super::{Answered, App};
use crate::{doctor::doctor, error::ApiError, present, view::*};
use axum::{
    Json,
    extract::{Path, State},
};
use nexus_engine::{DataDir, EngineError, Trashed};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_doctor))
        .routes(routes!(list_trash))
        .routes(routes!(restore_trash))
        .routes(routes!(kpis))
}

/// What is there and what is missing on this machine, and where what NEXUS has on record and
/// what is there differ. Repairs nothing.
#[utoipa::path(get, path = "/doctor", responses((status = 200, body = DoctorView)))]
async fn get_doctor(State(app): State<App>) -> Json<DoctorView> {
    Json(doctor(&app.machine, false).await)
}

/// What was put aside and can be brought back, newest first.
#[utoipa::path(get, path = "/trash",
    responses((status = 200, body = Vec<TrashView>), (status = "4XX", body = Problem)))]
async fn list_trash(State(app): State<App>) -> Answered<Vec<TrashView>> {
    Ok(Json(trash(app.engine.data()).await?))
}

/// Brings something back from the trash to where it was.
#[utoipa::path(post, path = "/trash/{id}/restore", params(("id" = String, Path)),
    responses((status = 200, body = TrashView), (status = "4XX", body = Problem)))]
async fn restore_trash(State(app): State<App>, Path(id): Path<String>) -> Answered<TrashView> {
    Ok(Json(restore_trashed(app.engine.data(), id).await?))
}

/// How well NEXUS does, computed from the log. What was not measured has no value.
#[utoipa::path(get, path = "/kpis",
    responses((status = 200, body = Vec<KpiView>), (status = "4XX", body = Problem)))]
async fn kpis(State(app): State<App>) -> Answered<Vec<KpiView>> {
    let figures = app.engine.kpis().await?;
    Ok(Json(figures.iter().map(present::kpi).collect()))
}

/// What is in the trash of a data folder. Needs no engine.
pub async fn trash(data: &DataDir) -> Result<Vec<TrashView>, ApiError> {
    let data = data.clone();
    let items: Vec<Trashed> = blocking(move || data.trash()).await?;
    Ok(items.iter().map(present::trashed).collect())
}

/// Brings something back from the trash of a data folder. Needs no engine.
pub async fn restore_trashed(data: &DataDir, id: String) -> Result<TrashView, ApiError> {
    let data = data.clone();
    let item = blocking(move || data.restore_trashed(&id)).await?;
    Ok(present::trashed(&item))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ApiError::new(
            crate::ErrorCode::Internal,
            "the work was cut short; try again",
        )),
    }
}
