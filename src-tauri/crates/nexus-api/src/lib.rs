//! The one surface of NEXUS: an axum router that the window calls in process, the command
//! line calls over a socket, and later a listener offers to a browser.
//!
//! Only the types of [`view`] cross it. Routes decide nothing: they convert, call the engine
//! and convert back.

mod doctor;
mod error;
mod owner;
pub mod present;
mod routes;
pub mod view;

pub use doctor::doctor;
pub use error::{ApiError, ErrorCode};
pub use owner::{CallError, Client, Connection, Owner, connect, look};
pub use routes::{App, restore_trashed, seq_of, trash, views};

use axum::Router;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

/// Where all operations are.
pub const PREFIX: &str = "/api/v1";

/// Largest request body, in bytes: a task text and its JSON clothing.
const BODY_LIMIT: usize = 1024 * 1024;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "NEXUS", description = "The board, its tasks and their team."),
    components(schemas(view::ChangeView))
)]
struct Description;

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi()).nest(PREFIX, routes::operations())
}

/// The router of an engine.
pub fn router(app: App) -> Router {
    let (router, _) = described().split_for_parts();
    router
        .layer(tower_http::limit::RequestBodyLimitLayer::new(BODY_LIMIT))
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(mistake))
        .with_state(app)
}

/// What a panic of ours looks like from outside.
fn mistake(_: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    use axum::response::IntoResponse;
    let detail = "NEXUS made a mistake in this request and goes on; the log has more";
    ApiError::new(ErrorCode::Internal, detail).into_response()
}

/// The OpenAPI 3.1 document, as JSON.
pub fn openapi() -> String {
    let (_, document) = described().split_for_parts();
    document.to_pretty_json().unwrap_or_default()
}
