//! The planner against a small service on this machine that answers as it is told.

use super::*;
use crate::BaseUrl;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    routing::post,
};
use nexus_core::{Role, StepId, StepKind};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};

const KEY: &str = "dummy-key";

/// What the service answers, in order. `None` never answers.
type Script = VecDeque<Option<(u16, String)>>;

#[derive(Clone, Debug, Default)]
struct Service {
    script: Arc<Mutex<Script>>,
    /// Each request: who asked, and what.
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

/// A service that runs, and a project to plan for.
struct Place {
    service: Service,
    base_url: BaseUrl,
    serving: JoinHandle<()>,
    project: tempfile::TempDir,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, HeaderMap, String) {
    let caller = headers[header::AUTHORIZATION].to_str().unwrap().to_owned();
    let request = serde_json::from_slice(&body).unwrap();
    service.heard.lock().unwrap().push((caller, request));
    let next = service.script.lock().unwrap().pop_front();
    let next = next.expect("more was asked than the script answers");
    let Some((status, text)) = next else {
        return std::future::pending().await;
    };
    let mut headers = HeaderMap::new();
    if (300..400).contains(&status) {
        headers.insert(header::LOCATION, "/v1/elsewhere".parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), headers, text)
}

impl Place {
    async fn with(script: impl IntoIterator<Item = Option<(u16, String)>>) -> Self {
        let service = Service::default();
        service.script.lock().unwrap().extend(script);
        let routes = Router::new()
            .route("/v1/chat/completions", post(answer))
            .with_state(service.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let project = tempfile::tempdir().unwrap();
        fs::write(project.path().join("main.rs"), "the content").unwrap();
        fs::write(project.path().join(".env"), "PASSWORD=x").unwrap();
        Self {
            service,
            base_url: format!("http://{address}/v1/").parse().unwrap(),
            serving,
            project,
        }
    }

    fn planner(&self) -> OpenAiPlanner {
        let planner = OpenAiPlanner::new(self.base_url.clone(), KEY.into(), OpenAiPlanner::MODEL);
        planner.unwrap()
    }

    async fn plan(&self) -> Result<Plan, String> {
        let planned = self.planner().plan(&self.brief()).await;
        planned.map_err(|NoPlan(reason)| reason)
    }

    fn brief(&self) -> PlanBrief {
        PlanBrief {
            title: "Mend it".to_owned(),
            wish: "Please mend the sums.".to_owned(),
            folder: self.project.path().to_owned(),
        }
    }

    fn heard(&self) -> Vec<(String, Value)> {
        self.service.heard.lock().unwrap().clone()
    }
}

/// A completion in which the model says `content`.
fn says(content: impl ToString) -> Option<(u16, String)> {
    let message = json!({ "role": "assistant", "content": content.to_string() });
    let body = json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] });
    Some((200, body.to_string()))
}

fn fails(status: u16, message: &str) -> Option<(u16, String)> {
    Some((
        status,
        json!({ "error": { "message": message } }).to_string(),
    ))
}

fn step(kind: &str, after: &[i32]) -> Value {
    json!({ "kind": kind, "title": format!("Do the\n {kind}"), "description": "All of it.", "after": after })
}

fn good() -> Value {
    json!({ "steps": [step("analysis", &[]), step("implementation", &[1]), step("validation", &[1, 2])] })
}

#[tokio::test]
async fn a_wish_becomes_a_plan() {
    let place = Place::with([says(good())]).await;
    let plan = place.plan().await.unwrap();
    let steps: Vec<_> = plan
        .steps()
        .iter()
        .map(|step| (step.id, step.kind, step.role, step.after.clone()))
        .collect();
    assert_eq!(
        steps,
        [
            (StepId(1), StepKind::Analysis, Role::Aria, vec![]),
            (
                StepId(2),
                StepKind::Implementation,
                Role::Code,
                vec![StepId(1)]
            ),
            (
                StepId(3),
                StepKind::Validation,
                Role::Beta,
                vec![StepId(1), StepId(2)]
            ),
        ]
    );
    assert_eq!(
        plan.steps()[0].title,
        "Do the analysis",
        "titles stay on their line"
    );
    assert_eq!(plan.steps()[0].description, "All of it.");
}

#[tokio::test]
async fn the_model_is_told_the_wish_and_the_names_of_the_files_but_no_content() {
    let place = Place::with([says(good())]).await;
    place.plan().await.unwrap();
    let [(caller, request)] = &place.heard()[..] else {
        panic!("{:?}", place.heard());
    };
    assert_eq!(*caller, format!("Bearer {KEY}"));
    assert_eq!(request["model"], "gpt-4-turbo");
    assert_eq!(request["response_format"]["type"], "json_schema");
    assert_eq!(request["messages"][0]["role"], "system");
    let told = request["messages"][1]["content"].as_str().unwrap();
    for part in ["Mend it", "Please mend the sums.", "main.rs"] {
        assert!(told.contains(part), "{told}");
    }
    for secret in ["the content", ".env", "PASSWORD", KEY] {
        assert!(!request.to_string().contains(secret), "{request}");
    }
}

#[tokio::test]
async fn a_schema_allows_exactly_what_is_read() {
    let place = Place::with([says(good())]).await;
    place.plan().await.unwrap();
    let (_, request) = place.heard().remove(0);
    let schema = &request["response_format"]["json_schema"]["schema"];
    let schema = jsonschema::validator_for(schema).unwrap();
    assert!(schema.is_valid(&good()));
    for wrong in [
        json!({}),
        json!({ "steps": [step("design", &[])] }),
        json!({ "steps": [{ "kind": "tests" }] }),
        json!({ "steps": [], "more": 1 }),
    ] {
        assert!(!schema.is_valid(&wrong), "{wrong}");
    }
}

#[tokio::test]
async fn a_bad_plan_is_sent_back_once_with_all_that_is_wrong() {
    let cases = [
        (
            json!({ "steps": [step("analysis", &[9]), step("tests", &[8])] }).to_string(),
            vec!["step 1 waits for step 9", "step 2 waits for step 8"],
        ),
        (
            json!({ "steps": [step("design", &[]), step("tests", &[]), step("tests", &[-1])] })
                .to_string(),
            vec!["step 1: unknown variant `design`", "step 3: invalid value"],
        ),
        (
            json!({ "steps": [step("tests", &[2]), step("tests", &[1])] }).to_string(),
            vec!["steps 1, 2 wait for each other"],
        ),
        (json!({ "steps": [] }).to_string(), vec!["it has no steps"]),
        ("I would rather not.".to_owned(), vec!["not a JSON object"]),
        (
            json!({ "plan": [] }).to_string(),
            vec!["missing field `steps`"],
        ),
    ];
    for (bad, problems) in cases {
        let place = Place::with([says(&bad), says(good())]).await;
        assert!(place.plan().await.is_ok(), "{bad}");
        let (_, second) = place.heard().remove(1);
        assert_eq!(second["messages"][2]["content"], bad.as_str());
        let complaint = second["messages"][3]["content"].as_str().unwrap();
        for problem in &problems {
            assert!(complaint.contains(problem), "{complaint}");
        }

        let place = Place::with([says(&bad), says(&bad)]).await;
        let reason = place.plan().await.unwrap_err();
        assert_eq!(place.heard().len(), 2, "{bad}");
        for problem in problems {
            assert!(reason.contains(problem), "{reason}");
        }
    }
}

#[tokio::test]
async fn a_step_with_more_text_than_fits_is_sent_back() {
    let mut long = good();
    long["steps"][0]["title"] = json!("x".repeat(1000));
    long["steps"][1]["description"] = json!("x".repeat(100_000));
    let place = Place::with([says(&long), says(&long)]).await;
    let reason = place.plan().await.unwrap_err();
    assert!(reason.contains("step 1: its title has 1000"), "{reason}");
    assert!(
        reason.contains("step 2: its description has 100000"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_fence_around_the_plan_is_no_fault() {
    let fenced = format!("Here it is:\n```json\n{}\n```", good());
    let place = Place::with([says(fenced)]).await;
    assert!(place.plan().await.is_ok());
}

#[tokio::test]
async fn a_model_that_knows_no_schemas_is_asked_for_plain_json() {
    let message = "Invalid parameter: 'response_format' of type 'json_schema' is not supported";
    let bad = json!({ "steps": [] });
    let place = Place::with([fails(400, message), says(bad), says(good())]).await;
    assert!(place.plan().await.is_ok());
    let forms: Vec<_> = place
        .heard()
        .into_iter()
        .map(|(_, request)| request["response_format"]["type"].clone())
        .collect();
    assert_eq!(forms, ["json_schema", "json_object", "json_object"]);
}

#[tokio::test]
async fn every_failure_is_a_sentence_with_its_reason() {
    let refusal =
        json!({ "choices": [{ "message": { "content": null, "refusal": "I cannot." } }] });
    let cases = [
        (
            fails(401, "Incorrect key dummy-***"),
            "`nexus keys set openai`",
        ),
        (fails(403, "no"), "status 403"),
        (fails(429, "Rate limit\nreached"), "429: Rate limit reached"),
        (fails(500, "oops"), "failed with status 500: oops"),
        (Some((503, "<html>".to_owned())), "failed with status 503"),
        (
            fails(404, "The model `x` does not exist"),
            "404: The model `x`",
        ),
        (
            Some((302, String::new())),
            "refused the request with status 302",
        ),
        (Some((200, "{}".to_owned())), "no chat completion"),
        (
            Some((200, r#"{"choices":[]}"#.to_owned())),
            "no chat completion",
        ),
        (Some((200, "not json".to_owned())), "no chat completion"),
        (
            Some((200, "x".repeat(2_000_000))),
            "more than 1048576 bytes",
        ),
        (Some((200, refusal.to_string())), "I cannot."),
    ];
    for (failure, part) in cases {
        let place = Place::with([failure.clone()]).await;
        let reason = place.plan().await.unwrap_err();
        assert!(reason.contains(part), "{reason}");
        assert!(!reason.contains("dummy"), "{reason}");
        assert_eq!(place.heard().len(), 1, "{failure:?} is not tried again");
    }
}

#[tokio::test]
async fn the_key_is_in_no_reason_and_no_debug_text() {
    let place = Place::with([fails(
        400,
        "the header was `Bearer dummy-key`, which is odd",
    )])
    .await;
    let reason = place.plan().await.unwrap_err();
    assert!(reason.contains("`Bearer (the key)`"), "{reason}");
    assert!(!format!("{:?}", place.planner()).contains(KEY));

    let key = "dummy-key\nand a line";
    let planner = OpenAiPlanner::new(place.base_url.clone(), key.into(), "any").unwrap();
    let NoPlan(reason) = planner.plan(&place.brief()).await.unwrap_err();
    assert!(reason.contains("save it again"), "{reason}");
    assert!(!reason.contains("dummy"), "{reason}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let place = Place::with([]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url: BaseUrl = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let planner = OpenAiPlanner::new(base_url.clone(), KEY.into(), "any").unwrap();
    let NoPlan(reason) = planner.plan(&place.brief()).await.unwrap_err();
    assert!(reason.contains(base_url.as_str()), "{reason}");
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_not_waited_for_without_end() {
    let place = Place::with([None]).await;
    let planner = place.planner().within(Duration::from_millis(300));
    let NoPlan(reason) = planner.plan(&place.brief()).await.unwrap_err();
    assert!(reason.contains("did not answer"), "{reason}");
}

#[tokio::test]
async fn a_long_wish_is_cut_and_says_so() {
    let place = Place::with([says(good())]).await;
    let brief = PlanBrief {
        wish: "ä".repeat(100_000),
        ..place.brief()
    };
    place.planner().plan(&brief).await.unwrap();
    let (_, request) = place.heard().remove(0);
    let told = request["messages"][1]["content"].as_str().unwrap();
    assert!(told.len() < 50_000);
    assert!(
        told.contains("The wish goes on"),
        "{}",
        &told[told.len() - 300..]
    );
}
