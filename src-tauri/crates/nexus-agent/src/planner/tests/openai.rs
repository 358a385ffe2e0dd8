//! What comes of a service that answers.

use super::{
    service::{APIS, Answer, Heard, Place, Then, begins, fails, says, says_at_once, used},
    *,
};
use nexus_core::{Role, StepKind};
use std::time::Duration;

#[tokio::test]
async fn a_wish_becomes_a_plan_whichever_way_the_answer_comes() {
    for api in APIS {
        for answer in [
            says(api, &good()),
            says_at_once(api, &good()),
            says(api, &good()).in_pieces(1),
        ] {
            let place = Place::with(api, [answer]).await;
            let planned = place.plan().await.unwrap();
            assert_eq!(planned.usage, used(1), "{api:?}");
            assert_eq!((planned.model.as_str(), planned.calls), ("gpt-4-turbo", 1));
            let steps = planned.plan.steps().iter();
            let steps: Vec<_> = steps.map(|step| (step.id, step.kind, step.role)).collect();
            let want = [
                (StepId(1), StepKind::Analysis, Role::Aria),
                (StepId(2), StepKind::Implementation, Role::Code),
                (StepId(3), StepKind::Validation, Role::Beta),
            ];
            assert_eq!(steps, want);
            let first = &planned.plan.steps()[0];
            assert_eq!(first.title, "Do the analysis", "titles stay on their line");
            assert_eq!(first.description, "größer 🦀");
        }
    }
}

#[tokio::test]
async fn each_interface_is_asked_in_its_own_way() {
    for api in APIS {
        let mut place = Place::with(api, [says(api, &good())]).await;
        place.settings.organisation = Some("org-1".to_owned());
        place.plan().await.unwrap();
        let [
            Heard {
                path,
                headers,
                body,
            },
        ] = &place.heard()[..]
        else {
            panic!("{:?}", place.heard());
        };
        assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(headers["openai-organization"], "org-1");
        assert_eq!(body["model"], "gpt-4-turbo");
        assert_eq!(body["stream"], true);
        assert!(body.get("tools").is_none(), "it only plans: {body}");
        let format = match api {
            Api::Chat => {
                assert_eq!(path, "/v1/chat/completions");
                assert_eq!(body["stream_options"], json!({ "include_usage": true }));
                assert_eq!(body["response_format"]["type"], "json_schema");
                &body["response_format"]["json_schema"]
            }
            Api::Responses => {
                assert_eq!(path, "/v1/responses");
                assert_eq!(body["store"], false);
                assert_eq!(body["text"]["format"]["type"], "json_schema");
                &body["text"]["format"]
            }
        };
        assert_eq!(
            (&format["name"], &format["strict"]),
            (&json!("plan"), &json!(true))
        );
        let schema = jsonschema::validator_for(&format["schema"]).unwrap();
        assert!(schema.is_valid(&serde_json::from_str(&good()).unwrap()));
    }
}

#[tokio::test]
async fn the_model_is_told_the_wish_and_the_project_but_no_code_and_no_secret() {
    for api in APIS {
        let place = Place::with(api, [says(api, &good())]).await;
        place.plan().await.unwrap();
        let request = place.heard().remove(0);
        assert_eq!(request.said()[0]["role"], "system");
        assert_eq!(request.said()[1]["role"], "user");
        let told = request.last();
        for part in [
            "Mend it",
            "Please mend the sums.",
            "main.rs",
            "It adds sums.",
        ] {
            assert!(told.contains(part), "{told}");
        }
        for secret in ["the content", ".env", "PASSWORD", "hunter2", KEY] {
            assert!(!request.body.to_string().contains(secret), "{told}");
        }
        assert!(!request.headers.contains_key("openai-organization"));
    }
}

#[tokio::test]
async fn whoever_watches_sees_the_words_as_they_come_and_nobody_has_to() {
    for api in APIS {
        let mut thoughts = begins(api, "");
        thoughts.push(match api {
            Api::Chat => json!({ "choices": [{ "delta": { "reasoning_content": "Hm. " } }] }),
            Api::Responses => {
                json!({ "type": "response.reasoning_summary_text.delta", "delta": "Hm. " })
            }
        });
        let mut answer = Answer::events(thoughts);
        answer.pieces.extend(says(api, &good()).pieces);
        let script = [answer.clone(), answer.clone(), answer.clone()];
        let place = Place::with(api, script).await;
        let brief = brief(place.project.path());
        let (thinks, watched) = mpsc::channel(10_000);
        let planned = place.planner().plan(&brief, &thinks).await.unwrap();
        assert_eq!(heard(watched), format!("Hm. {}", good()));

        let (full, _unread) = mpsc::channel(1);
        let unwatched = place.planner().plan(&brief, &full).await;
        assert_eq!(unwatched.unwrap(), planned);

        let (closed, _) = mpsc::channel(1);
        let unwatched = place.planner().plan(&brief, &closed).await;
        assert_eq!(unwatched.unwrap(), planned);
    }
}

#[tokio::test]
async fn a_bad_plan_is_sent_back_twice_with_all_that_is_wrong() {
    for api in APIS {
        let script = [
            says(api, &bad()),
            says_at_once(api, "No."),
            says(api, &good()),
        ];
        let place = Place::with(api, script).await;
        let planned = place.plan().await.unwrap();
        assert_eq!((planned.calls, planned.usage), (3, used(3)));
        let requests = place.heard();
        assert_eq!(requests[1].said()[2]["role"], "assistant");
        assert_eq!(requests[1].said()[2]["content"], bad());
        for problem in ["step 1 waits for step 9", "step 2 waits for step 8"] {
            assert!(requests[1].last().contains(problem), "{:?}", requests[1]);
        }
        assert_eq!(
            requests[2].said().len(),
            6,
            "the conversation is told whole"
        );
        assert!(requests[2].last().contains("not a JSON object"));
    }
}

#[tokio::test]
async fn a_third_bad_plan_is_the_last_and_all_of_them_are_paid_for() {
    for api in APIS {
        let script = [says(api, "No."), says(api, "Never."), says(api, &bad())];
        let place = Place::with(api, script).await;
        let no_plan = place.plan().await.unwrap_err();
        assert_eq!((no_plan.calls, no_plan.usage), (3, used(3)));
        for problem in ["step 1 waits for step 9", "step 2 waits for step 8"] {
            assert!(no_plan.reason.contains(problem), "{no_plan}");
        }
        assert_eq!(no_plan.to_string(), no_plan.reason);
    }
}

#[tokio::test]
async fn what_a_service_does_not_know_is_not_asked_of_it_again() {
    let odd = |param: &str, message: &str| {
        let error = json!({ "message": message, "type": "invalid_request_error", "param": param, "code": null });
        Answer::json(400, &json!({ "error": error }))
    };
    let script = [
        odd("", "Unrecognized request argument supplied: stream_options"),
        odd(
            "response_format",
            "'json_schema' is not supported with this model",
        ),
        odd(
            "stream",
            "Your organization must be verified to stream this model.",
        ),
        says_at_once(Api::Chat, &bad()),
        says_at_once(Api::Chat, &good()),
    ];
    let place = Place::with(Api::Chat, script).await;
    assert_eq!(place.plan().await.unwrap().calls, 5);
    let asked: Vec<_> = place
        .heard()
        .into_iter()
        .map(|request| {
            let body = request.body;
            let format = body["response_format"]["type"].as_str().unwrap().to_owned();
            (
                format,
                body["stream"] == true,
                body.get("stream_options").is_some(),
            )
        })
        .collect();
    let asked: Vec<_> = asked
        .iter()
        .map(|(format, stream, counts)| (format.as_str(), *stream, *counts))
        .collect();
    assert_eq!(
        asked,
        [
            ("json_schema", true, true),
            ("json_schema", true, false),
            ("json_object", true, false),
            ("json_object", false, false),
            ("json_object", false, false),
        ]
    );

    let script = [
        odd("text.format", "Invalid parameter"),
        says(Api::Responses, &good()),
    ];
    let place = Place::with(Api::Responses, script).await;
    place.plan().await.unwrap();
    let format = &place.heard()[1].body["text"]["format"];
    assert_eq!(*format, json!({ "type": "json_object" }));
}

#[tokio::test]
async fn what_goes_on_being_objected_to_is_a_refusal() {
    let odd = || fails(400, "", "response_format is not supported");
    let place = Place::with(Api::Chat, [odd(), odd()]).await;
    let no_plan = place.plan().await.unwrap_err();
    assert!(
        no_plan.reason.contains("status 400: response_format"),
        "{no_plan}"
    );
    assert_eq!(no_plan.calls, 2);
}

#[tokio::test]
async fn a_service_that_fails_for_a_moment_is_asked_once_more() {
    let moments = [
        fails(500, "server_error", "oops"),
        fails(502, "", ""),
        Answer::of(503, "text/html", "<html>"),
        fails(503, "", "").with("retry-after", "0"),
        fails(504, "", "late"),
        Answer::of(200, "text/event-stream", "").then(Then::Break),
        fails(429, "rate_limit_exceeded", "slow down").with("retry-after", "0"),
        fails(429, "", "slow down").with("retry-after-ms", "1"),
    ];
    for api in APIS {
        for moment in &moments {
            let place = Place::with(api, [moment.clone(), says(api, &good())]).await;
            let planned = place.plan().await;
            assert_eq!(planned.map(|planned| planned.calls), Ok(2), "{moment:?}");
        }
        let place = Place::breaking(api, 1, [says(api, &good())]).await;
        assert_eq!(place.plan().await.unwrap().calls, 2);
    }
}

#[tokio::test]
async fn a_service_is_asked_again_once_for_each_trouble_and_twice_in_all() {
    let api = Api::Chat;
    let failing = || fails(503, "", "down");
    let limited = || fails(429, "rate_limit_exceeded", "slow").with("retry-after", "0");
    for (script, calls) in [
        (vec![failing(), failing()], 2),
        (vec![limited(), limited()], 2),
        (vec![limited(), failing(), failing()], 3),
        (
            vec![
                failing(),
                says(api, "No."),
                failing(),
                says(api, "No."),
                failing(),
            ],
            5,
        ),
    ] {
        let place = Place::with(api, script).await;
        let no_plan = place.plan().await.unwrap_err();
        assert_eq!(no_plan.calls, calls);
        assert_eq!(place.heard().len(), calls as usize);
    }
    let script = [limited(), failing(), says(api, &good())];
    assert_eq!(
        Place::with(api, script).await.plan().await.unwrap().calls,
        3
    );
}

#[tokio::test]
async fn a_service_is_not_asked_again_before_the_time_it_names() {
    let limited = fails(429, "rate_limit_exceeded", "slow").with("retry-after", "1");
    let place = Place::with(Api::Chat, [limited, says(Api::Chat, &good())]).await;
    let begun = std::time::Instant::now();
    place.plan().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_wait_that_is_not_named_or_too_long_is_not_waited() {
    for (wait, part) in [
        (None, "plan again later"),
        (Some("3600"), "plan again in 3600 s"),
        (Some("Wed, 21 Oct 2015 07:28:00 GMT"), "plan again later"),
        (Some("-5"), "plan again later"),
    ] {
        let limited = fails(429, "rate_limit_exceeded", "slow down");
        let limited = match wait {
            Some(wait) => limited.with("retry-after", wait),
            None => limited,
        };
        let place = Place::with(Api::Chat, [limited]).await;
        let no_plan = place.plan().await.unwrap_err();
        assert!(no_plan.reason.contains("429: slow down"), "{no_plan}");
        assert!(no_plan.reason.contains(part), "{no_plan}");
    }
    let long = fails(503, "", "down").with("retry-after", "60");
    let place = Place::with(Api::Chat, [long]).await;
    assert_eq!(place.plan().await.unwrap_err().calls, 1);
}

#[tokio::test]
async fn each_ruling_comes_with_its_reason_and_its_price() {
    let left = json!([
        numbered(5, "implementation", &[1]),
        numbered(6, "validation", &[5])
    ]);
    for api in APIS {
        for (word, steps) in [
            ("accept", &Value::Null),
            ("retry", &Value::Null),
            ("ask", &Value::Null),
            ("replan", &left),
        ] {
            let place = Place::with(api, [says(api, &ruling(word, steps))]).await;
            let judged = place.judge().await.unwrap();
            match (word, &judged.ruling) {
                ("accept", Ruling::Accept) => {}
                ("retry", Ruling::Retry { feedback }) => assert_eq!(feedback, "Use cents."),
                ("ask", Ruling::Ask { question }) => assert_eq!(question, "Which tax?"),
                ("replan", Ruling::Replan { steps }) => {
                    let ids: Vec<_> = steps.iter().map(|step| step.id).collect();
                    assert_eq!(ids, [StepId(5), StepId(6)]);
                }
                (_, other) => panic!("{word}: {other:?}"),
            }
            assert_eq!(judged.reason, "For a reason.");
            assert_eq!((judged.usage, judged.calls), (used(1), 1));
            let request = place.heard().remove(0);
            for part in ["It adds cents now.", "No check covers it.", "again once"] {
                assert!(request.last().contains(part), "{request:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_new_plan_that_cannot_be_used_is_sent_back() {
    let early = json!([numbered(1, "analysis", &[]), numbered(5, "tests", &[7])]);
    let right = json!([
        numbered(2, "implementation", &[1]),
        numbered(5, "tests", &[2])
    ]);
    for api in APIS {
        let script = [
            says(api, &ruling("replan", &early)),
            says(api, &ruling("replan", &right)),
        ];
        let place = Place::with(api, script).await;
        let judged = place.judge().await.unwrap();
        assert!(matches!(judged.ruling, Ruling::Replan { steps } if steps.len() == 2));
        assert_eq!((judged.usage, judged.calls), (used(2), 2));
        let complaint = place.heard().remove(1);
        for problem in ["step 1 is done", "step 5 waits for step 7"] {
            assert!(complaint.last().contains(problem), "{complaint:?}");
        }
        let thrice = vec![says(api, &ruling("replan", &early)); 3];
        let place = Place::with(api, thrice).await;
        let no_ruling = place.judge().await.unwrap_err();
        assert!(no_ruling.reason.contains("step 1 is done"), "{no_ruling}");
        assert_eq!((no_ruling.usage, no_ruling.calls), (used(3), 3));
    }
}
