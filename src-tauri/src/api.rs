//! The command through which the page uses the NEXUS interface: one request, one answer.

use crate::door::Door;
use axum::body::{Body, to_bytes};
use axum::http::{self, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tauri::State;

/// The most that one answer may be long, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A request in the words of HTTP.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    method: Method,
    /// Path and query, from `/api/` on.
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

/// What the interface answered.
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
    let request = http_request(request)?;
    match door.call(request).await {
        Ok(response) => reply(response).await,
        Err(reason) => Ok(unavailable(&reason)),
    }
}

fn http_request(request: Request) -> Result<http::Request<Body>, String> {
    if !request.path.starts_with("/api/") {
        return Err(format!("{} is no path of the interface", request.path));
    }
    let builder = http::Request::builder()
        .method(http::Method::from(request.method))
        .uri(request.path);
    let built = match request.body {
        Some(body) => builder
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string())),
        None => builder.body(Body::empty()),
    };
    built.map_err(|error| error.to_string())
}

async fn reply(response: http::Response<Body>) -> Result<Reply, String> {
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), LONGEST_ANSWER)
        .await
        .map_err(|error| format!("the answer could not be read: {error}"))?;
    let body = match bytes.as_ref() {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned())),
    };
    Ok(Reply { status, body })
}

/// The answer while NEXUS cannot work, in the form of every other problem.
fn unavailable(reason: &str) -> Reply {
    let status = http::StatusCode::SERVICE_UNAVAILABLE.as_u16();
    let body = json!({
        "type": "docs/errors.md#unavailable",
        "code": "unavailable",
        "title": "NEXUS cannot start",
        "detail": reason,
        "status": status,
    });
    Reply { status, body }
}

impl From<Method> for http::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::RawQuery;
    use axum::http::StatusCode;
    use axum::routing::{any, get};

    fn interface() -> Door {
        let echo = async |method: http::Method, RawQuery(query): RawQuery, body: String| {
            json!({ "method": method.as_str(), "query": query, "body": body }).to_string()
        };
        let router = Router::new()
            .route("/api/echo", any(echo))
            .route("/api/nothing", get(async || StatusCode::NO_CONTENT))
            .route(
                "/api/text",
                get(async || (StatusCode::BAD_REQUEST, "no JSON")),
            )
            .route("/private", get(async || "secret"));
        Door::onto(router)
    }

    async fn ask(request: Value) -> Result<Reply, String> {
        carry(serde_json::from_value(request).unwrap(), &interface()).await
    }

    #[tokio::test]
    async fn a_request_reaches_the_interface_as_it_is() {
        let request = json!({ "method": "PUT", "path": "/api/echo?a=b", "body": { "n": 1 } });
        let body = json!({ "method": "PUT", "query": "a=b", "body": "{\"n\":1}" });
        assert_eq!(ask(request).await, Ok(Reply { status: 200, body }));
    }

    #[tokio::test]
    async fn every_answer_is_carried_back() {
        let get = |path| json!({ "method": "GET", "path": path });
        let nothing = Reply {
            status: 204,
            body: Value::Null,
        };
        assert_eq!(ask(get("/api/nothing")).await, Ok(nothing));
        let text = Reply {
            status: 400,
            body: json!("no JSON"),
        };
        assert_eq!(ask(get("/api/text")).await, Ok(text));
    }

    #[tokio::test]
    async fn what_is_no_path_of_the_interface_goes_nowhere() {
        for path in [
            "/private",
            "//api/echo",
            "http://elsewhere.test/api/echo",
            "/api/ echo",
        ] {
            let outcome = ask(json!({ "method": "GET", "path": path })).await;
            assert!(outcome.is_err(), "{path}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_request_waits_for_the_interface_to_open() {
        let door = Door::default();
        let request = json!({ "method": "GET", "path": "/api/any" });
        let asked = carry(serde_json::from_value(request).unwrap(), &door);
        let (reply, ()) = tokio::join!(asked, async { door.shut("the disk is full") });
        let reply = reply.unwrap();
        assert_eq!(reply.status, 503);
        assert_eq!(reply.body["code"], "unavailable");
        assert_eq!(reply.body["detail"], "the disk is full");
    }
}
