use super::*;
use serde_json::json;

fn read(line: &str) -> Line {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn shown(value: Value) -> Vec<TurnUpdate> {
    let raw = value.to_string();
    updates(&read(&raw), &raw)
}

fn result(value: Value) -> ResultLine {
    serde_json::from_value(value).unwrap()
}

/// A real session: thinking, text, four tools, a background subagent, two results.
const TOUR: &str = include_str!("../../../tests/fixtures/tour-2.1.330.jsonl");

#[test]
fn a_recorded_session_becomes_updates() {
    let all: Vec<_> = TOUR
        .lines()
        .flat_map(|line| updates(&read(line), line))
        .collect();
    insta::assert_debug_snapshot!(all);
}

#[test]
fn a_recorded_session_ends_with_its_own_cost_each_time() {
    let mut totals = Totals::default();
    let results: Vec<_> = TOUR
        .lines()
        .filter_map(|line| {
            let Line::Result(result) = read(line) else {
                return None;
            };
            let used = totals.used(&result);
            Some((outcome(&result, &Seen::default()), used))
        })
        .collect();
    insta::assert_debug_snapshot!(results);
}

#[test]
fn what_only_some_versions_say_becomes_updates_or_nothing() {
    let cases = [
        (
            "a retry after a refused connection",
            json!({"type": "system", "subtype": "api_retry", "attempt": 2, "max_retries": 3,
                "retry_delay_ms": 546.39, "error_status": null, "error": "unknown"}),
        ),
        (
            "the limit is near",
            json!({"type": "rate_limit_event", "rate_limit_info":
                {"status": "allowed_warning", "resetsAt": 1_795_999_999, "utilization": 0.91}}),
        ),
        (
            "the limit is reached",
            json!({"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}}),
        ),
        (
            "an API failure in the form of a message",
            json!({"type": "assistant", "error": "rate_limit", "message":
                {"model": "<synthetic>", "content": [{"type": "text", "text": "slow down"}]}}),
        ),
        (
            "a subagent speaks",
            json!({"type": "assistant", "parent_tool_use_id": "t", "message": {"content":
                [{"type": "text", "text": "sub"}, {"type": "tool_use", "id": "u", "name": "Read",
                "input": {"file_path": "/a"}}]}}),
        ),
        (
            "a prompt is repeated",
            json!({"type": "user", "message": {"content": "hello"}}),
        ),
        (
            "a block of an unknown kind",
            json!({"type": "assistant", "message": {"content": [{"type": "hologram"}]}}),
        ),
        (
            "a system line of an unknown kind",
            json!({"type": "system", "subtype": "session_writes_lost", "error_code": "ENOSPC"}),
        ),
        (
            "a line of an unknown kind",
            json!({"type": "prompt_suggestion"}),
        ),
    ];
    let shown: Vec<_> = cases
        .into_iter()
        .map(|(case, line)| (case, shown(line)))
        .collect();
    insta::assert_debug_snapshot!(shown);
}

#[test]
fn long_inputs_outputs_and_objects_are_cut_between_characters() {
    let long = "ä".repeat(100_000);
    let started = shown(json!({"type": "assistant", "message": {"content":
        [{"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": long}}]}}));
    let [TurnUpdate::ToolStarted { object, input, .. }] = started.as_slice() else {
        panic!("{started:?}");
    };
    assert!(object.len() <= OBJECT_LIMIT + '…'.len_utf8());
    assert!(input.as_str().unwrap().len() <= TurnUpdate::INPUT_LIMIT + '…'.len_utf8());
    let ended = shown(json!({"type": "user", "message": {"content":
        [{"type": "tool_result", "tool_use_id": "t", "content": long}]}}));
    let [TurnUpdate::ToolEnded { output, .. }] = ended.as_slice() else {
        panic!("{ended:?}");
    };
    assert!(output.len() <= TurnUpdate::OUTPUT_LIMIT + '…'.len_utf8());
}

/// The name of the outcome of a failed result, with what was seen before it.
fn fails(value: Value, error_kind: Option<&str>) -> TurnOutcome {
    let mut value = value;
    value["is_error"] = json!(true);
    let seen = Seen {
        error_kind: error_kind.map(str::to_owned),
        ..Seen::default()
    };
    outcome(&result(value), &seen)
}

#[test]
fn each_failure_has_its_outcome() {
    let api = |status: Option<u16>, text: &str| {
        json!({"subtype": "success", "terminal_reason": "api_error",
            "api_error_status": status, "result": text})
    };
    // Before 2.1.330 an API failure gives the reason `completed`.
    let older = |status: Option<u16>, text: &str| {
        json!({"subtype": "success", "terminal_reason": "completed",
            "api_error_status": status, "result": text})
    };
    let cases = [
        (
            "auth_required",
            api(Some(401), "Invalid API key"),
            Some("authentication_failed"),
        ),
        (
            "auth_required",
            older(Some(401), "Invalid API key"),
            Some("authentication_failed"),
        ),
        ("auth_required", api(Some(401), "Unauthorized"), None),
        (
            "auth_required",
            api(Some(403), "forbidden"),
            Some("authentication_failed"),
        ),
        (
            "auth_required",
            api(None, "Not logged in · Please run /login"),
            Some("authentication_failed"),
        ),
        (
            "auth_required",
            older(None, "Not logged in · Please run /login"),
            Some("authentication_failed"),
        ),
        (
            "credit_exhausted",
            api(Some(400), "Credit balance is too low"),
            Some("billing_error"),
        ),
        (
            "refused",
            api(Some(400), "API Error: 400 something odd"),
            Some("unknown"),
        ),
        (
            "refused",
            api(Some(404), "There's an issue with the selected model"),
            Some("model_not_found"),
        ),
        (
            "rate_limited",
            api(Some(429), "Request rejected (429)"),
            Some("rate_limit"),
        ),
        (
            "rate_limited",
            older(Some(429), "rejected"),
            Some("rate_limit"),
        ),
        (
            "overloaded",
            api(Some(529), "Repeated 529"),
            Some("server_error"),
        ),
        (
            "overloaded",
            api(Some(500), "500 oops"),
            Some("server_error"),
        ),
        (
            "overloaded",
            api(None, "Connection refused (ECONNREFUSED)"),
            Some("server_error"),
        ),
        (
            "overloaded",
            api(None, "empty or malformed response (HTTP 200)"),
            Some("unknown"),
        ),
        (
            "context_exhausted",
            json!({"subtype": "success", "terminal_reason": "prompt_too_long",
                "api_error_status": 400, "result": "Prompt is too long"}),
            Some("invalid_request"),
        ),
        (
            "budget_exhausted",
            json!({"subtype": "error_max_budget_usd", "terminal_reason": "budget_exhausted",
                "errors": ["Reached maximum budget ($0.5)"]}),
            None,
        ),
        (
            "budget_exhausted",
            json!({"subtype": "error_max_budget_usd"}),
            None,
        ),
        (
            "session_lost",
            json!({"subtype": "error_during_execution",
                "errors": ["No conversation found with session ID: 7"]}),
            None,
        ),
        (
            "interrupted",
            json!({"subtype": "error_during_execution", "terminal_reason": "aborted_streaming"}),
            None,
        ),
        (
            "interrupted",
            json!({"subtype": "error_during_execution", "terminal_reason": "aborted_tools"}),
            None,
        ),
        (
            "refused",
            json!({"subtype": "error_max_turns", "terminal_reason": "max_turns",
                "errors": ["Reached maximum number of turns (3)"]}),
            None,
        ),
        ("refused", json!({"subtype": "error_of_the_future"}), None),
    ];
    for (want, value, kind) in cases {
        let got = fails(value.clone(), kind);
        assert_eq!(got.name(), want, "{value}");
    }
}

#[test]
fn a_failure_says_what_the_program_said() {
    let refused = fails(json!({"errors": ["first", "second"]}), None);
    let message = "first; second".to_owned();
    assert_eq!(refused, TurnOutcome::Refused { message });
    let nameless = fails(json!({"subtype": "error_of_the_future"}), None);
    let message = "error_of_the_future".to_owned();
    assert_eq!(nameless, TurnOutcome::Refused { message });
}

#[test]
fn a_reached_limit_says_when_it_lifts() {
    let until = limit_until(&RateLimitInfo {
        status: "rejected".to_owned(),
        resets_at: Some(1_795_999_999.0),
        utilization: None,
    });
    let seen = Seen {
        error_kind: Some("rate_limit".to_owned()),
        limit: Some(until),
        ..Seen::default()
    };
    let limited = result(json!({"is_error": true, "terminal_reason": "api_error",
        "api_error_status": 429, "result": "You've hit your limit"}));
    let TurnOutcome::RateLimited { until, .. } = outcome(&limited, &seen) else {
        panic!("not limited");
    };
    assert_eq!(until.unwrap().as_millis(), 1_795_999_999_000);
}

#[test]
fn a_turn_with_a_refused_tool_is_complete_and_says_so() {
    let value = json!({"subtype": "success", "is_error": false, "result": "",
        "permission_denials": [{"tool_name": "Bash", "tool_use_id": "t",
        "tool_input": {"command": "rm -rf nothing"}}]});
    let seen = Seen {
        last_text: "could not".to_owned(),
        ..Seen::default()
    };
    let want = TurnOutcome::Completed {
        text: "could not".to_owned(),
        denials: vec![Denial {
            tool: "Bash".to_owned(),
            object: "rm -rf nothing".to_owned(),
        }],
    };
    assert_eq!(outcome(&result(value), &seen), want);
}

#[test]
fn older_versions_give_totals_of_the_process_and_each_turn_gets_its_part() {
    let turn = |total: f64| {
        result(json!({"total_cost_usd": total,
            "usage": {"input_tokens": 100, "output_tokens": 20},
            "modelUsage": {"m": {"inputTokens": 100, "outputTokens": 20, "costUSD": total}}}))
    };
    let mut totals = Totals::default();
    for total in [0.001, 0.002, 0.003] {
        let used = totals.used(&turn(total));
        assert_eq!(used.cost, Usd::from_dollars(0.001));
        assert_eq!((used.input_tokens, used.output_tokens), (100, 20));
    }
}

#[test]
fn a_resumed_session_does_not_pay_for_earlier_processes_again() {
    let first_of_the_process = result(json!({"total_cost_usd": 0.0016,
        "usage": {"input_tokens": 100},
        "model_usage_since_last_result": {"m": {"inputTokens": 100, "outputTokens": 20,
            "costUSD": 0.0008, "costBasis": "list"}}}));
    let used = Totals::default().used(&first_of_the_process);
    assert_eq!(used.cost, Usd::from_dollars(0.0008));
}

#[test]
fn a_model_without_a_price_makes_the_cost_unknown_not_zero() {
    let newer = json!({"model_usage_since_last_result": {
        "known": {"inputTokens": 1, "costUSD": 0.1, "costBasis": "list"},
        "other": {"inputTokens": 1, "costUSD": 0, "costBasis": "unknown"}}});
    let older = json!({"total_cost_usd": 0.1, "usage": {"input_tokens": 2}, "modelUsage": {
        "other": {"inputTokens": 2, "costUSD": 0, "costBasis": "unknown"}}});
    for value in [newer, older] {
        let used = Totals::default().used(&result(value));
        assert_eq!((used.cost, used.input_tokens), (None, 2));
    }
    let counts = [
        json!({}),
        json!({"inputTokens": -5}),
        json!({"outputTokens": "0many"}),
    ];
    for mut uncounted in counts {
        uncounted["costUSD"] = json!(0);
        uncounted["costBasis"] = json!("list");
        let models = json!({"model_usage_since_last_result": {"m": uncounted}});
        let used = Totals::default().used(&result(models));
        assert_eq!((used.cost, used.tokens()), (None, 0));
    }
    let no_model_called = json!({"model_usage_since_last_result": {}});
    let used = Totals::default().used(&result(no_model_called));
    assert_eq!(used.cost, Some(Usd::ZERO));
}

#[test]
fn what_is_shown_is_short_enough_to_wait_in_numbers() {
    let long = "x".repeat(1_000_000);
    let block = |block: Value| json!({"type": "assistant", "message": {"content": [block]}});
    let lines = [
        block(json!({"type": "text", "text": long})),
        block(json!({"type": "thinking", "thinking": long})),
        json!({"type": "stream_event", "event": {"type": "content_block_delta",
            "delta": {"type": "text_delta", "text": long}}}),
    ];
    for line in lines {
        let raw = line.to_string();
        let read = serde_json::from_str(&raw).expect("a line");
        let shown = format!("{:?}", updates(&read, &raw));
        assert!((60_000..70_000).contains(&shown.len()), "{}", shown.len());
    }
}
