//! The command through which the page uses the NEXUS interface: one request, one answer.

use crate::door::Door;
use nexus_api::view::Problem;
use nexus_api::{CallError, PREFIX};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tauri::State;

/// A request in the words of HTTP.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    method: Method,
    /// Path and query, with the prefix of the interface.
    path: String,
    #[serde(default)]
    body: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What the interface answered: with a status below 400 what was asked for, else a problem.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Reply {
    status: u16,
    body: Value,
}

/// Carries a request of the page to the interface.
///
/// It is rejected only when it is no request at all; that NEXUS cannot work is an answer.
#[tauri::command]
pub(crate) async fn api(request: Request, door: State<'_, Door>) -> Result<Reply, String> {
    carry(request, &door).await
}

async fn carry(request: Request, door: &Door) -> Result<Reply, String> {
    let path = within(&request.path)
        .ok_or_else(|| format!("{} is no path of the interface", request.path))?;
    let client = match door.client().await {
        Ok(client) => client,
        Err(problem) => return Ok(refusal(&problem)),
    };
    let method = request.method.as_str();
    let answer = client
        .call::<Value>(method, path, request.body.as_ref())
        .await;
    Ok(match answer {
        Ok(body) => Reply { status: 200, body },
        Err(CallError::Refused(problem)) => refusal(&problem),
        Err(CallError::Gone) => refusal(&door.gone()),
    })
}

fn refusal(problem: &Problem) -> Reply {
    Reply {
        status: problem.status,
        body: json!(problem),
    }
}

/// The part of the path that the interface wants to hear.
fn within(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(PREFIX)?;
    let plain = rest.bytes().all(|byte| byte.is_ascii_graphic());
    (plain && rest.starts_with('/')).then_some(rest)
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::RawQuery;
    use axum::http::{self, StatusCode};
    use axum::routing::{any, get};

    fn interface() -> Door {
        let echo = async |method: http::Method, RawQuery(query): RawQuery, body: String| {
            json!({ "method": method.as_str(), "query": query, "body": body }).to_string()
        };
        let problem = json!({
            "type": "docs/errors.md#not_found",
            "code": "not_found",
            "title": "There is no such thing",
            "detail": "there is no task T-9",
            "status": 404,
        });
        let missing = async move || (StatusCode::NOT_FOUND, problem.to_string());
        let router = Router::new()
            .route("/api/v1/echo", any(echo))
            .route("/api/v1/nothing", get(async || StatusCode::NO_CONTENT))
            .route("/api/v1/tasks/T-9", get(missing))
            .route("/private", get(async || "\"secret\""));
        Door::onto(router)
    }

    async fn ask(request: Value) -> Result<Reply, String> {
        carry(serde_json::from_value(request).unwrap(), &interface()).await
    }

    #[tokio::test]
    async fn a_request_reaches_the_interface_as_it_is() {
        let request = json!({ "method": "PUT", "path": "/api/v1/echo?a=b", "body": { "n": 1 } });
        let body = json!({ "method": "PUT", "query": "a=b", "body": "{\"n\":1}" });
        assert_eq!(ask(request).await, Ok(Reply { status: 200, body }));
    }

    #[tokio::test]
    async fn every_answer_is_carried_back() {
        let get = |path| json!({ "method": "GET", "path": path });
        let nothing = Reply {
            status: 200,
            body: Value::Null,
        };
        assert_eq!(ask(get("/api/v1/nothing")).await, Ok(nothing));
        let refused = ask(get("/api/v1/tasks/T-9")).await.unwrap();
        assert_eq!(refused.status, 404);
        assert_eq!(refused.body["code"], "not_found");
        assert_eq!(refused.body["detail"], "there is no task T-9");
    }

    #[tokio::test]
    async fn what_is_no_path_of_the_interface_goes_nowhere() {
        for path in [
            "/private",
            "/api/v1",
            "/api/v10/echo",
            "//api/v1/echo",
            "http://elsewhere.test/api/v1/echo",
            "/api/v1/ echo",
            "/api/v1/echo\r\nx: y",
        ] {
            let outcome = ask(json!({ "method": "GET", "path": path })).await;
            assert!(outcome.is_err(), "{path}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_request_waits_for_the_interface_to_open() {
        let door = Door::waiting();
        let request = json!({ "method": "GET", "path": "/api/v1/any" });
        let asked = carry(serde_json::from_value(request).unwrap(), &door);
        let (reply, ()) = tokio::join!(asked, async { door.shut("the disk is full") });
        let reply = reply.unwrap();
        assert!(reply.status >= 400);
        assert_eq!(reply.body["code"], "data_folder");
        assert_eq!(reply.body["detail"], "the disk is full");
    }
}
