//! Every way in which a service gives no answer, and that the key stays out of all of them.

use super::{
    service::{APIS, Answer, Place, Then, begins, ends, fails, refuses, says, used},
    *,
};
use crate::BaseUrl;
use std::time::Duration;
use tokio::net::TcpListener;

/// The reason why there is no plan, after a single question.
async fn reason_of(api: Api, answer: Answer) -> NoPlan {
    let place = Place::with(api, [answer.clone()]).await;
    let no_plan = place.plan().await.unwrap_err();
    assert_eq!(no_plan.calls, 1, "{answer:?} is not asked for again");
    assert!(!no_plan.reason.contains("dummy"), "{no_plan}");
    no_plan
}

#[tokio::test]
async fn every_refusal_is_told_apart_with_its_next_step() {
    let cases = [
        (
            fails(401, "invalid_api_key", "Incorrect key: dummy-***"),
            vec![
                "refused the planner's key with status 401",
                "`nexus keys set openai`",
            ],
        ),
        (
            fails(400, "invalid_api_key", "no"),
            vec!["status 400", "`nexus keys set openai`"],
        ),
        (
            fails(403, "", "no"),
            vec!["status 403", "`nexus keys set openai`"],
        ),
        (
            fails(401, "invalid_organization", "no such"),
            vec!["act for its organisation", "in the settings"],
        ),
        (
            fails(429, "insufficient_quota", "You exceeded your quota"),
            vec!["no credit left", "429: You exceeded", "add some"],
        ),
        (fails(402, "", "pay"), vec!["no credit left"]),
        (
            fails(429, "rate_limit_exceeded", "Rate limit\nreached"),
            vec!["no more requests now", "429: Rate limit reached"],
        ),
        (
            fails(404, "model_not_found", "The model `x` does not exist"),
            vec![
                "no model `gpt-4-turbo`",
                "404: The model `x`",
                "in the settings",
            ],
        ),
        (
            fails(403, "model_not_found", "no access"),
            vec!["no model `gpt-4-turbo`"],
        ),
        (
            Answer::json(404, &json!({ "error": "model \"x\" not found" })),
            vec!["no model `gpt-4-turbo`"],
        ),
        (
            Answer::of(404, "text/html", "<html>"),
            vec![
                "nothing that plans at http://127.0.0.1",
                "status 404",
                "correct the address",
            ],
        ),
        (
            Answer::of(302, "text/html", ""),
            vec!["nothing that plans at", "status 302"],
        ),
        (
            fails(400, "context_length_exceeded", "too many tokens"),
            vec!["too long for the model `gpt-4-turbo`", "shorten the wish"],
        ),
        (
            fails(400, "", "This model's maximum context length is 8"),
            vec!["too long for the model"],
        ),
        (
            fails(400, "content_filter", "filtered"),
            vec!["filter held the answer back"],
        ),
        (
            fails(400, "", "odd"),
            vec!["refused the request (status 400: odd)"],
        ),
        (
            Answer::json(422, &json!({ "detail": "odd" })),
            vec!["status 422: odd"],
        ),
        (
            Answer::json(400, &json!({ "error": { "code": 400, "message": null } })),
            vec!["(status 400)"],
        ),
        (
            Answer::of(413, "text/plain", "x".repeat(200_000)),
            vec!["status 413"],
        ),
        (
            fails(529, "", "overloaded"),
            vec!["failed (status 529: overloaded)"],
        ),
        (
            Answer::of(400, "application/json", "{\"error\": {").then(Then::Break),
            vec!["status 400"],
        ),
    ];
    for api in APIS {
        for (answer, parts) in &cases {
            let no_plan = reason_of(api, answer.clone()).await;
            for part in parts {
                assert!(no_plan.reason.contains(part), "{part}: {no_plan}");
            }
            assert_eq!(no_plan.usage, Usage::default());
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_paid_for_and_says_why() {
    for api in APIS {
        let ended = |reason: &str| {
            let mut events = begins(api, &good()[..20]);
            events.extend(ends(api, reason, &json!([])));
            Answer::events(events)
        };
        for (answer, part) in [
            (refuses(api, "I\ncannot."), "refused to answer: I cannot."),
            (ended("length"), "at the longest that `gpt-4-turbo` says"),
            (ended("content_filter"), "filter held the answer back"),
        ] {
            let no_plan = reason_of(api, answer).await;
            assert!(no_plan.reason.contains(part), "{no_plan}");
            assert!(no_plan.reason.matches("cannot").count() <= 1, "{no_plan}");
            assert_eq!(no_plan.usage, used(1), "{part}");
        }
    }
}

#[tokio::test]
async fn a_refusal_in_one_piece_is_one_too() {
    let chat = json!({ "choices": [{ "message": { "content": null, "refusal": "I cannot." } }] });
    let output =
        json!([{ "type": "message", "content": [{ "type": "refusal", "refusal": "I cannot." }] }]);
    let responses = json!({ "status": "completed", "output": output });
    for (api, body) in [(Api::Chat, chat), (Api::Responses, responses)] {
        let no_plan = reason_of(api, Answer::json(200, &body)).await;
        assert!(no_plan.reason.contains("I cannot."), "{no_plan}");
    }
}

#[tokio::test]
async fn a_service_that_complains_in_the_middle_is_understood() {
    let chat = |code: &str, message: &str| {
        let error = json!({ "message": message, "type": "some_error", "code": code });
        let mut events = begins(Api::Chat, "{");
        events.push(json!({ "error": error }));
        (Api::Chat, Answer::events(events))
    };
    let failed = |code: &str, message: &str| {
        let mut events = begins(Api::Responses, "{");
        let error = json!({ "code": code, "message": message });
        events.push(json!({ "type": "response.failed", "response": { "status": "failed", "error": error } }));
        (Api::Responses, Answer::events(events))
    };
    let error = |error: Value| {
        let mut events = begins(Api::Responses, "{");
        events.push(error);
        (Api::Responses, Answer::events(events))
    };
    let flat = json!({ "type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": null });
    let nested =
        json!({ "type": "error", "error": { "code": "insufficient_quota", "message": "pay" } });
    for ((api, answer), part) in [
        (chat("server_error", "oops"), "failed (oops)"),
        (chat("", ""), "it gave no reason"),
        (chat("insufficient_quota", "pay"), "no credit left (pay)"),
        (failed("server_error", "oops"), "failed (oops)"),
        (
            failed("rate_limit_exceeded", ""),
            "no more requests now (rate_limit",
        ),
        (
            failed("context_length_exceeded", "x"),
            "too long for the model",
        ),
        (error(flat), "no more requests now (slow down)"),
        (error(nested), "no credit left (pay)"),
    ] {
        let no_plan = reason_of(api, answer).await;
        assert!(no_plan.reason.contains(part), "{part}: {no_plan}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_none() {
    for api in APIS {
        let whole = says(api, &good()).pieces.concat();
        let begun = Answer::events(begins(api, &good()));
        let cut = |end: usize| Answer::of(200, "text/event-stream", &whole[..end]);
        // In the middle of an event, between two of a line, and behind all that was said.
        for answer in [
            cut(whole.len() / 2),
            cut(whole.len() / 2 + 3),
            begun.clone(),
        ] {
            let no_plan = reason_of(api, answer).await;
            assert!(
                no_plan.reason.contains("ended its answer in the middle"),
                "{no_plan}"
            );
        }
        let no_plan = reason_of(api, begun.then(Then::Break)).await;
        assert!(no_plan.reason.contains("broke off"), "{no_plan}");
        let half = Answer::of(200, "application/json", "{\"choices\": [").then(Then::Break);
        assert!(reason_of(api, half).await.reason.contains("broke off"));
    }
}

#[tokio::test]
async fn an_answer_that_said_it_was_over_is_whole_without_its_trailer() {
    let mut events = begins(Api::Chat, &good());
    events.push(ends(Api::Chat, "stop", &json!([])).remove(0));
    for then in [Then::End, Then::Break] {
        let answer = Answer::events(events.clone()).then(then);
        let place = Place::with(Api::Chat, [answer]).await;
        assert!(place.plan().await.is_ok(), "{then:?}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_named() {
    for api in APIS {
        let name = match api {
            Api::Chat => "no chat completion",
            Api::Responses => "no response",
        };
        for answer in [
            Answer::of(200, "application/json", "{}"),
            Answer::of(200, "application/json", "{\"choices\":[], \"output\": []}"),
            Answer::of(200, "application/json", "[1]"),
            Answer::of(200, "application/json", ""),
            Answer::of(200, "application/json", "{\"choices\": ["),
            Answer::of(200, "text/html", "<html>"),
            Answer::of(200, "text/event-stream", "<html>\n\n</html>"),
            Answer::of(200, "text/event-stream", "data: <html>\n\n"),
            Answer::of(
                200,
                "text/event-stream",
                "data: {\"choices\": 1, \"type\": 1}\n\n",
            ),
            Answer::of(200, "text/event-stream", b"data: \xff\xfe\n\n\xff".to_vec()),
            Answer::of(200, "text/event-stream", ": hello\n\n"),
            Answer::of(200, "text/event-stream", ""),
        ] {
            let no_plan = reason_of(api, answer.clone()).await;
            assert!(no_plan.reason.contains(name), "{answer:?}: {no_plan}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_kept() {
    for api in APIS {
        let word = "x".repeat(50_000);
        let long = begins(api, "").into_iter();
        let piece = match api {
            Api::Chat => json!({ "choices": [{ "delta": { "content": word } }] }),
            Api::Responses => json!({ "type": "response.output_text.delta", "delta": word }),
        };
        let many = Answer::events(long.chain(vec![piece; 30]));
        let line = format!("data: {}", "x".repeat(3_000_000));
        for answer in [
            many,
            Answer::of(200, "text/event-stream", line),
            Answer::of(200, "application/json", "x".repeat(2_000_000)),
        ] {
            let no_plan = reason_of(api, answer).await;
            assert!(
                no_plan.reason.contains("more than 1048576 bytes"),
                "{no_plan}"
            );
        }
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_not_waited_for_without_end() {
    let soon = Duration::from_millis(200);
    for api in APIS {
        let hanging = Answer::events(begins(api, "{")).then(Then::Hang);
        let mut place = Place::with(api, [hanging.clone()]).await;
        place.settings.silence_limit = soon;
        let no_plan = place.plan().await.unwrap_err();
        assert!(no_plan.reason.contains("said nothing for 0 s"), "{no_plan}");
        assert_eq!(no_plan.calls, 1);

        let mut silent = says(api, "").then(Then::Hang);
        silent.pieces.clear();
        silent.headers = vec![("content-type", "application/json".to_owned())];
        let mut place = Place::with(api, [silent]).await;
        place.settings.silence_limit = soon;
        let no_plan = place.plan().await.unwrap_err();
        assert!(no_plan.reason.contains("said nothing"), "{no_plan}");

        // The first answer is paid for although the second never ends.
        let mut place = Place::with(api, [says(api, "No."), hanging]).await;
        place.settings.time_limit = soon * 15;
        let no_plan = place.plan().await.unwrap_err();
        assert!(
            no_plan.reason.contains("did not answer within"),
            "{no_plan}"
        );
        assert_eq!((no_plan.calls, no_plan.usage), (2, used(1)));
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url: BaseUrl = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let mut place = Place::with(Api::Chat, []).await;
    place.settings.base_url = base_url.clone();
    let no_plan = place.plan().await.unwrap_err();
    assert!(no_plan.reason.contains(base_url.as_str()), "{no_plan}");
    assert!(no_plan.reason.contains("refused"), "{no_plan}");
    assert_eq!(no_plan.calls, 1);
}

#[tokio::test]
async fn the_key_is_in_no_reason_and_in_nothing_that_a_model_says() {
    let repeated = format!("the header was `Bearer {KEY}`, which is odd");
    for api in APIS {
        for answer in [
            fails(400, "", &repeated),
            refuses(api, &repeated),
            fails(429, "insufficient_quota", &repeated),
        ] {
            let no_plan = reason_of(api, answer).await;
            assert!(no_plan.reason.contains("`Bearer (the key)`"), "{no_plan}");
        }
        // At every place of a cut, in words that are kept and in words that are complained of.
        let plan = good().replace("größer", &repeated);
        let wrong = bad().replace("analysis", KEY);
        let script = [
            says(api, &plan),
            says(api, &wrong),
            says(api, &wrong),
            says(api, &wrong),
        ];
        let place = Place::with(api, script).await;
        let (thinks, watched) = mpsc::channel(10_000);
        let brief = brief(place.project.path());
        let planned = place.planner().plan(&brief, &thinks).await.unwrap();
        assert!(!format!("{planned:?}").contains(KEY), "{planned:?}");
        assert!(planned.plan.steps()[0].description.contains("(the key)"));
        let no_plan = place.planner().plan(&brief, &thinks).await.unwrap_err();
        assert!(
            no_plan.reason.contains("unknown variant `(the key)`"),
            "{no_plan}"
        );
        assert!(!heard(watched).contains(KEY));
        assert!(!format!("{:?}", place.planner()).contains(KEY));
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is() {
    let mut place = Place::with(Api::Chat, []).await;
    let key = "dummy-key\nand a line";
    let planner = OpenAiPlanner::new(place.settings.clone(), key.into()).unwrap();
    let (thinks, _watched) = mpsc::channel(1);
    let no_plan = planner.plan(&brief(place.project.path()), &thinks).await;
    let no_plan = no_plan.unwrap_err();
    assert!(no_plan.reason.contains("save it again"), "{no_plan}");
    assert!(!no_plan.reason.contains("dummy"), "{no_plan}");

    place.settings.organisation = Some("two\nlines".to_owned());
    let refused = OpenAiPlanner::new(place.settings.clone(), KEY.into()).unwrap_err();
    assert!(refused.reason.contains("organisation"), "{refused}");
    assert_eq!(refused.calls, 0);
    assert!(place.heard().is_empty());
}
