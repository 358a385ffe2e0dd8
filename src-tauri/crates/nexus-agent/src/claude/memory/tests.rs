use super::*;
use serde_json::json;

const OURS: &str = "07aeca62-6702-448f-b829-3faa6ea349c5";

/// A session's file, line by line, each below the one before.
#[derive(Clone, Default)]
struct Lines(Vec<Value>);

impl Lines {
    fn add(mut self, mut line: Value) -> Self {
        let number = self.0.len();
        line["uuid"] = json!(number.to_string());
        line["parentUuid"] = match number {
            0 => Value::Null,
            _ => json!((number - 1).to_string()),
        };
        self.0.push(line);
        self
    }

    fn prompt(self, text: &str) -> Self {
        self.add(json!({"type": "user", "message": {"role": "user", "content": text}}))
    }

    fn answer(self) -> Self {
        let id = format!("msg_{}", self.0.len());
        self.add(
            json!({"type": "assistant", "message": {"id": id, "model": "m", "content": [],
            "usage": {"input_tokens": 100, "output_tokens": 20}}}),
        )
    }

    /// A completed turn.
    fn turn(self, number: u32) -> Self {
        self.prompt(&marked("go on", ours(), number)).answer()
    }

    fn cost(mut self, turns: u64, dollars: f64) -> Self {
        self.0.push(
            json!({"type": "cost-state", "totalCostUSD": dollars, "hasUnknownModelCost": false,
                "modelUsage": {"m": {"inputTokens": 100 * turns, "outputTokens": 20 * turns}}}),
        );
        self
    }

    fn text(&self) -> String {
        let lines = self.0.iter().map(|line| format!("{line}\n"));
        lines.collect()
    }

    fn read(&self) -> Memory {
        read(&self.text())
    }
}

fn ours() -> SessionId {
    OURS.parse().unwrap()
}

fn read(text: &str) -> Memory {
    Memory::read(text.as_bytes(), ours()).unwrap()
}

fn recorded(turns: u32) -> Recorded {
    Recorded { turns, used: None }
}

/// The objection to a file when so many turns were completed, in its first words.
fn objection(text: &str, turns: u32) -> &'static str {
    match read(text).objection(&recorded(turns)) {
        None => "none",
        Some(why) if why.contains("without a gap") => "gap",
        Some(why) if why.contains("another conversation") => "other",
        Some(why) if why.contains("knows turns up to") => "short",
        Some(why) => panic!("{why}"),
    }
}

#[test]
fn a_prompt_says_which_session_and_turn_it_is_and_keeps_its_words() {
    let prompt = marked("do it", ours(), 3);
    assert!(prompt.starts_with("do it\n\n<system-reminder>\nThis is NEXUS session 07aeca62-"));
    assert_eq!(turn_of(&prompt, OURS), Some(3));
    let quoting = marked(&marked("do it", ours(), 9), ours(), 4);
    assert_eq!(turn_of(&quoting, OURS), Some(4), "ours is the last");
    assert_eq!(turn_of(&prompt, "other"), None);
    assert_eq!(turn_of("NEXUS session ", OURS), None);
    assert_eq!(
        turn_of(&format!("NEXUS session {OURS}, turn x"), OURS),
        None
    );
}

#[test]
fn a_whole_file_is_remembered_as_far_as_it_reaches() {
    let file = Lines::default().turn(1).turn(2);
    assert_eq!(objection(&file.text(), 2), "none");
    assert_eq!(objection(&file.text(), 0), "none", "nothing was recorded");
    assert_eq!(objection(&file.text(), 3), "short");
    let asked = file.prompt(&marked("and?", ours(), 3));
    assert_eq!(objection(&asked.text(), 2), "none", "a turn that was cut");
    assert_eq!(objection(&asked.text(), 3), "short", "its answer is lost");
}

#[test]
fn every_corruption_is_named() {
    let good = Lines::default().turn(1).turn(2).turn(3).text();
    let lines: Vec<_> = good.split_inclusive('\n').collect();
    let without = |gone: usize| {
        let kept = lines.iter().enumerate().filter(|(n, _)| *n != gone);
        kept.map(|(_, line)| *line).collect::<String>()
    };
    assert_eq!(objection("", 3), "gap");
    assert_eq!(objection("garbage\n\0\0\n{}\n[1]\n", 3), "gap");
    assert_eq!(objection(&lines[..1].concat(), 3), "short");
    assert_eq!(objection(&lines[..3].concat(), 3), "short");
    for gone in 0..5 {
        assert_eq!(
            objection(&without(gone), 3),
            "gap",
            "line {gone} is missing"
        );
    }
    assert_eq!(objection(&without(5), 3), "short");
    let other = good.replace(OURS, "11111111-2222-4333-8444-555555555555");
    assert_eq!(objection(&other, 3), "other");
    let cut = &good[..good.len() - 30];
    assert_eq!(objection(cut, 3), "short", "the last line is cut off");
    assert_eq!(objection(&good.replace('\n', "\r\n"), 3), "none");
}

#[test]
fn what_lies_beside_the_conversation_is_not_remembered() {
    // A second process went on from the end of turn 1 and hid turn 2.
    let mut forked = Lines::default().turn(1).turn(2);
    let branch = Lines::default().turn(1).prompt("from elsewhere").answer();
    for (line, uuid) in branch.0.into_iter().skip(2).zip(["a", "b"]) {
        let mut line = line;
        line["uuid"] = json!(uuid);
        line["parentUuid"] = json!(if uuid == "a" { "1" } else { "a" });
        forked.0.push(line);
    }
    assert_eq!(objection(&forked.text(), 2), "short");
    assert_eq!(objection(&forked.text(), 1), "none");
    // A subagent's talk is not what the program goes on from.
    let mut aside = Lines::default().turn(1);
    aside.0.push(
        json!({"type": "assistant", "uuid": "s", "parentUuid": "nowhere",
        "isSidechain": true, "message": {"id": "x", "model": "m"}}),
    );
    assert_eq!(objection(&aside.text(), 1), "none");
}

#[test]
fn a_circle_ends_and_a_shortened_conversation_goes_on() {
    let mut circle = Lines::default().turn(1);
    circle.0[0]["parentUuid"] = json!("1");
    assert_eq!(objection(&circle.text(), 1), "gap");
    let mut shortened = Lines::default()
        .turn(1)
        .add(json!({"type": "system"}))
        .turn(2);
    shortened.0[2]["parentUuid"] = Value::Null;
    shortened.0[2]["logicalParentUuid"] = json!("1");
    assert_eq!(shortened.read().objection(&recorded(2)), None);
    shortened.0.truncate(3);
    shortened = shortened.prompt("summary").answer();
    assert_eq!(objection(&shortened.text(), 1), "none");
}

#[test]
fn a_marker_in_the_result_of_a_tool_or_of_a_made_up_answer_proves_nothing() {
    let result = json!([{"type": "tool_result", "content": marked("x", ours(), 1)}]);
    let file = Lines::default()
        .add(json!({"type": "user", "message": {"content": result}}))
        .answer();
    assert_eq!(objection(&file.text(), 0), "other");
    let made_up = Lines::default()
        .prompt(&marked("go", ours(), 1))
        .add(json!({"type": "assistant", "message": {"id": "e", "model": "<synthetic>"}}));
    assert_eq!(objection(&made_up.text(), 1), "short");
}

fn used(turns: u64, micros: Option<u64>) -> Usage {
    Usage {
        input_tokens: 100 * turns,
        output_tokens: 20 * turns,
        cost: micros.map(Usd::from_micros),
        ..Usage::default()
    }
}

/// What is missing after so many recorded turns that cost so much, and whether it is all.
fn missing(file: &Lines, turns: u32, micros: Option<u64>) -> (Usage, bool) {
    let recorded = Recorded {
        turns,
        used: Some(used(u64::from(turns), micros)),
    };
    let missing = file.read().unrecorded(&recorded);
    (missing.used, missing.is_all)
}

#[test]
fn what_was_not_recorded_is_exact_or_unknown() {
    let file = Lines::default().turn(1).turn(2).turn(3);
    let nothing = Usage::default();
    let counted = file.clone().cost(3, 0.0024);
    assert_eq!(missing(&counted, 3, Some(2400)), (nothing, false));
    assert_eq!(missing(&counted, 2, Some(1600)), (used(1, Some(800)), true));
    assert_eq!(missing(&counted, 0, None), (used(3, Some(2400)), true));
    let unpriced = missing(&counted, 2, None);
    assert_eq!(unpriced, (used(1, None), false), "the record has no price");
    let nobody = counted.read().unrecorded(&recorded(1));
    assert_eq!(nobody, Unrecorded::default(), "nobody wants to know");
    // The process that took the third turn was killed: the program counted two.
    let hole = Lines::default().turn(1).turn(2).cost(2, 0.0016).turn(3);
    assert_eq!(missing(&hole, 3, Some(2400)), (nothing, false));
    assert_eq!(missing(&hole, 2, Some(1600)), (used(1, None), false));
    assert_eq!(missing(&file, 1, Some(800)), (used(2, None), false));
}

#[test]
fn a_turn_that_used_nothing_is_known_to_have_used_nothing() {
    let asked = Lines::default().turn(1).prompt(&marked("and?", ours(), 2));
    let ended = asked.clone().cost(1, 0.0008);
    assert_eq!(missing(&ended, 1, Some(800)), (Usage::default(), true));
    let killed = Lines::default().turn(1).cost(1, 0.0008);
    let killed = killed.prompt(&marked("and?", ours(), 2));
    assert_eq!(missing(&killed, 1, Some(800)), (Usage::default(), false));
}
