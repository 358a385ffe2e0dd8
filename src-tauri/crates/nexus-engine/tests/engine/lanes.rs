//! Steps side by side, each in a copy of its own: what comes of their work, whatever happens.

use crate::{
    scene::in_review,
    workshop::{Move, Moves, PRIME_USES, Workshop, plan, turn},
};
use nexus_core::*;
use std::{collections::VecDeque, fs, sync::Arc};
use tokio::sync::Barrier;

use StepKind::{Analysis, Implementation, Tests, Validation};

const PASS: &[Move] = &[Move::Verdict(Verdict::Pass)];

fn two_sides() -> Plan {
    plan(&[
        (Implementation, "left side", &[]),
        (Implementation, "right side", &[]),
        (Validation, "judge", &[1, 2]),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn three_agents_work_at_once_and_their_work_comes_together() {
    let meet = Move::Meet(Arc::new(Barrier::new(3)));
    let part = |path, content| turn(&[meet.clone(), Move::Write(path, content)]);
    let moves = Moves::from([
        ("part a", part("a.txt", "a\n")),
        ("part b", part("b.txt", "b\n")),
        ("part c", part("deep/c.txt", "c\n")),
        ("tests", turn(&[Move::Write("test.txt", "t\n")])),
        ("judge", turn(PASS)),
    ]);
    let plan = plan(&[
        (Analysis, "look", &[]),
        (Implementation, "part a", &[1]),
        (Implementation, "part b", &[1]),
        (Implementation, "part c", &[1]),
        (Tests, "tests", &[2, 3, 4]),
        (Validation, "judge", &[5]),
    ]);
    let shop = Workshop::with(plan, moves).await;
    let task = shop.begins(|_| {}).await;
    let task = shop.until(&task, "in review", in_review).await;
    let seats: Vec<_> = task
        .steps
        .iter()
        .map(|s| s.seat_id().unwrap().to_string())
        .collect();
    assert_eq!(
        seats,
        ["aria", "code-2", "code-3", "code-4", "alpha", "beta"]
    );
    let changed: Vec<_> = task.changes.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(changed, ["a.txt", "b.txt", "deep/c.txt", "test.txt"]);
    // Whoever comes after sees the work of all.
    let told = &shop.script.prompts("tests")[0];
    for part in ["part a", "part b", "part c"] {
        assert!(told.contains(&format!("From Code, \"{part}\"")), "{told}");
    }
    assert!(shop.script.prompts("part a")[0].contains("a copy of your own"));
    assert!(
        task.decisions
            .iter()
            .all(|made| made.ruling == Ruling::Accept)
    );
    assert_eq!((task.prime.calls, task.prime.usage), (1, PRIME_USES));
    assert_eq!(shop.accepted(&task, "deep/c.txt").await, "c\n");
    let gone = |task: &Task| matches!(task.workspace, Workspace::Dropped { .. });
    shop.until(&task, "put away", gone).await;
    let lanes = shop.engine.data().lanes(task.id);
    let left = fs::read_dir(lanes).map(Iterator::count).unwrap_or(0);
    assert_eq!(left, 0, "lanes go with the workspace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_becomes_a_step_that_puts_both_sides_together() {
    let meet = Move::Meet(Arc::new(Barrier::new(2)));
    let side = |content| turn(&[meet.clone(), Move::Write("sum.txt", content)]);
    let moves = Moves::from([
        ("left side", side("one\nLEFT\nthree\n")),
        ("right side", side("one\nRIGHT\nthree\n")),
        (
            "Put together",
            VecDeque::from([
                // It believes to be done before it is.
                vec![],
                vec![Move::Write("sum.txt", "one\nLEFT RIGHT\nthree\n")],
            ]),
        ),
        ("judge", turn(PASS)),
    ]);
    let shop = Workshop::with(two_sides(), moves).await;
    let task = shop.begins(|_| {}).await;
    let task = shop.until(&task, "in review", in_review).await;
    let last = task.steps.last().unwrap();
    assert_eq!((last.planned.kind, last.attempts), (Implementation, 2));
    let conflicted = last.mends.unwrap();
    let title = &task.step(conflicted).unwrap().planned.title;
    assert_eq!(last.planned.title, format!("Put together: {title}"));
    assert_eq!(task.plan_version, 2);
    let told = shop.script.prompts("Put together");
    assert!(told[0].contains("sum.txt"), "{}", told[0]);
    assert!(
        told[1].contains("conflict marks are left in sum.txt"),
        "{}",
        told[1]
    );
    let sent_back = task
        .decisions
        .iter()
        .filter(|made| made.ruling != Ruling::Accept);
    assert_eq!(sent_back.count(), 1);
    assert_eq!(
        shop.accepted(&task, "sum.txt").await,
        "one\nLEFT RIGHT\nthree\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_are_carried_on_by_the_next_engine() {
    let moves = Moves::from([
        (
            "left side",
            VecDeque::from([
                vec![Move::Write("left.txt", "half\n"), Move::Hang],
                vec![Move::Write("left.txt", "whole\n")],
            ]),
        ),
        ("right side", turn(&[Move::Write("right.txt", "right\n")])),
        ("judge", turn(PASS)),
    ]);
    let shop = Workshop::with(two_sides(), moves).await;
    let task = shop.begins(|_| {}).await;
    let half_way = |task: &Task| {
        let done = |id| task.step(StepId(id)).unwrap().state == StepState::Done;
        task.steps.len() == 3 && done(2) && !task.step(StepId(1)).unwrap().touching.is_empty()
    };
    shop.until(&task, "half way", half_way).await;
    let shop = shop.restarts().await;
    let task = shop.until(&task, "in review", in_review).await;
    let again = &shop.script.prompts("left side")[1];
    assert!(again.contains("is still there"), "{again}");
    let changed: Vec<_> = task.changes.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(changed, ["left.txt", "right.txt"]);
    assert_eq!(shop.accepted(&task, "left.txt").await, "whole\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_spent_before_the_plan_was_looked_at_and_edited() {
    let moves = Moves::from([
        ("left side", turn(&[Move::Write("left.txt", "left\n")])),
        ("judge", turn(PASS)),
    ]);
    let shop = Workshop::with(two_sides(), moves).await;
    let task = shop.begins(|new| new.terms.plan_first = true).await;
    let asked = |task: &Task| !task.approvals.is_empty();
    let task = shop.until(&task, "asked about its plan", asked).await;
    assert_eq!(task.state(), TaskState::NeedsYou);
    assert!(shop.script.heard.lock().unwrap().is_empty());

    // Without the right side, and with a judge that waits for what is left.
    let mut steps = task.plan.as_ref().unwrap().steps().to_vec();
    steps.remove(1);
    steps[1].after = vec![StepId(1)];
    let edit = |version, steps: &[PlannedStep]| Command::EditPlan {
        version,
        steps: steps.to_vec(),
    };
    let old = shop
        .engine
        .order(task.id, edit(0, &steps))
        .await
        .unwrap_err();
    assert!(
        old.message.contains("version 1 is the latest"),
        "{}",
        old.message
    );
    let circle = {
        let mut steps = steps.clone();
        steps[0].after = vec![StepId(3)];
        shop.engine
            .order(task.id, edit(1, &steps))
            .await
            .unwrap_err()
    };
    assert!(
        circle.message.contains("wait for each other"),
        "{}",
        circle.message
    );
    let task = shop.order(&task, edit(1, &steps)).await;
    assert_eq!((task.plan_version, task.steps.len()), (2, 2));
    let (id, question) = task.approvals.first_key_value().unwrap();
    let digest = Some(question.question.digest());
    shop.engine
        .answer(*id, Answer::Allow, digest)
        .await
        .unwrap();
    let task = shop.until(&task, "in review", in_review).await;
    assert_eq!(shop.accepted(&task, "left.txt").await, "left\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn prime_decides_where_the_rules_do_not_know() {
    let moves = Moves::from([
        (
            "left side",
            VecDeque::from([
                vec![Move::Mumble("I think it is fine")],
                vec![Move::Write("left.txt", "left\n"), Move::Mumble("there")],
            ]),
        ),
        ("right side", turn(&[Move::Write("right.txt", "right\n")])),
        ("judge", turn(PASS)),
        ("polish", turn(&[Move::Write("polish.txt", "p\n")])),
    ]);
    let shop = Workshop::with(two_sides(), moves).await;
    let polish = PlannedStep::new(StepId(9), Implementation, "polish".into(), String::new());
    let judge = PlannedStep {
        after: vec![StepId(9)],
        ..PlannedStep::new(StepId(3), Validation, "judge".into(), String::new())
    };
    *shop.script.rulings.lock().unwrap() = VecDeque::from([
        Ruling::Retry {
            feedback: "it is not there at all".into(),
        },
        Ruling::Replan {
            steps: vec![polish, judge],
        },
    ]);
    let task = shop.begins(|new| new.terms.seats = Some(1)).await;
    let task = shop.until(&task, "in review", in_review).await;
    let again = &shop.script.prompts("left side")[1];
    assert!(again.contains("it is not there at all"), "{again}");
    let doubts = shop.script.cases.lock().unwrap()[0].doubts.clone();
    assert!(
        doubts.iter().any(|doubt| doubt.contains("changed no file")),
        "{doubts:?}"
    );
    assert_eq!((task.plan_version, task.prime.calls), (2, 3));
    let by_prime = task
        .decisions
        .iter()
        .filter(|made| made.by == Author::Prime);
    let names: Vec<_> = by_prime.map(|made| made.ruling.name()).collect();
    assert_eq!(names, ["retry", "replan"]);
    assert_eq!(shop.accepted(&task, "polish.txt").await, "p\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_word_interrupts_and_a_patient_one_is_heard_at_the_end() {
    let moves = Moves::from([
        (
            "left side",
            VecDeque::from([
                vec![Move::Write("left.txt", "a\n"), Move::Hang],
                vec![Move::Write("left.txt", "b\n"), Move::Hang],
                vec![Move::Write("left.txt", "c\n")],
            ]),
        ),
        ("judge", turn(PASS)),
    ]);
    let plan = plan(&[
        (Implementation, "left side", &[]),
        (Validation, "judge", &[1]),
    ]);
    let shop = Workshop::with(plan, moves).await;
    let task = shop.begins(|_| {}).await;
    let say = |text: &str, urgent| Command::Say {
        to: Recipient::Code,
        text: text.to_owned(),
        urgent,
    };
    let at_work = |turns: usize| {
        move |task: &Task| {
            let step = task.step(StepId(1));
            step.is_some_and(|step| step.history.len() == turns && !step.touching.is_empty())
                && task.turns.values().any(|turn| turn.streaming)
        }
    };
    shop.until(&task, "at work", at_work(1)).await;
    shop.order(&task, say("mind the gap", true)).await;
    let now = shop.until(&task, "at work again", at_work(2)).await;
    let step = now.step(StepId(1)).unwrap();
    assert_eq!(step.attempts, 1, "an interrupt uses up no attempt");
    let prompts = shop.script.prompts("left side");
    assert!(prompts[1].contains("mind the gap"), "{}", prompts[1]);

    // The second hangs too, so that something can be said to it; then it is let go.
    shop.order(&task, say("use tabs", false)).await;
    shop.order(&task, say("hurry", true)).await;
    let task = shop.until(&task, "in review", in_review).await;
    let last = shop.script.prompts("left side").pop().unwrap();
    assert!(
        last.contains("use tabs") && last.contains("hurry"),
        "{last}"
    );
    let notes = task
        .messages
        .iter()
        .filter(|message| matches!(message.as_ref(), Message::Note(_)));
    for note in notes {
        assert!(matches!(task.delivery(note), Delivery::Read(_)), "{note:?}");
    }
    shop.order(&task, say("too late", false)).await;
    let task = shop.engine.find("T-1").unwrap();
    let last = task.messages.last().unwrap();
    assert_eq!(task.delivery(last), Delivery::Nobody);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_code_does_to_alphas_tests_is_shown_to_beta_and_to_the_person() {
    let test = "def test_sum():\n    assert total([1, 2]) == 3\n    assert total([]) == 0\n";
    let weaker = "def test_sum():\n    assert total([1, 2]) == 3\n";
    let moves = Moves::from([
        ("tests", turn(&[Move::Write("tests/test_sum.py", test)])),
        (
            "mend",
            turn(&[
                Move::Note(Recipient::Alpha, MessageKind::Note, "I made it simpler"),
                Move::Write("tests/test_sum.py", weaker),
            ]),
        ),
        ("judge", turn(PASS)),
    ]);
    let plan = plan(&[
        (Tests, "tests", &[]),
        (Implementation, "mend", &[1]),
        (Validation, "judge", &[2]),
    ]);
    let shop = Workshop::with(plan, moves).await;
    let planner = PlannerKind::Openai;
    let task = shop.begins(|new| new.planner = planner).await;
    let task = shop.until(&task, "in review", in_review).await;
    let flags: Vec<_> = task
        .flags()
        .map(|(step, flag)| (step.planned.id, flag.kind))
        .collect();
    assert_eq!(
        flags,
        [
            (StepId(2), FlagKind::TestsOfAnother),
            (StepId(2), FlagKind::AssertionDeleted)
        ]
    );
    // Prime was asked, could not say, and the rules went on and said so.
    let doubted = task
        .decisions
        .iter()
        .find(|made| made.step == StepId(2))
        .unwrap();
    assert!(
        doubted.reason.contains("could not judge it"),
        "{}",
        doubted.reason
    );
    let told = &shop.script.prompts("judge")[0];
    assert!(told.contains("What NEXUS noticed"), "{told}");
    assert!(told.contains("assert total([]) == 0"), "{told}");
    // Nobody is left to read what Code told Alpha, and that is known.
    let note = task
        .messages
        .iter()
        .find(|m| matches!(m.as_ref(), Message::Note(_)));
    assert_eq!(task.delivery(note.unwrap()), Delivery::Nobody);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_in_its_lane_goes_on_in_it() {
    let moves = Moves::from([
        (
            "left side",
            VecDeque::from([
                vec![Move::Write("left.txt", "half\n"), Move::Crash],
                vec![Move::Write("more.txt", "whole\n")],
            ]),
        ),
        ("right side", turn(&[Move::Write("right.txt", "right\n")])),
        ("judge", turn(PASS)),
    ]);
    let shop = Workshop::with(two_sides(), moves).await;
    let task = shop.begins(|_| {}).await;
    let task = shop.until(&task, "in review", in_review).await;
    let step = task.step(StepId(1)).unwrap();
    assert_eq!((step.attempts, step.is_in_lane()), (2, true));
    let changed: Vec<_> = task.changes.iter().map(|c| c.path.as_str()).collect();
    assert_eq!(changed, ["left.txt", "more.txt", "right.txt"]);
}
