//! What NEXUS promises whatever happens: limits, stops, ends and disks.

use crate::scene::*;
use nexus_agent::ToolDecision;
use nexus_core::*;
use nexus_engine::*;
use std::fs;

fn bash(line: &'static str) -> [(Role, &'static [Act]); 1] {
    [(Role::Code, Box::leak(Box::new([Act::Bash(line)])))]
}

async fn question(scene: &Scene, task: &Task) -> ApprovalId {
    let task = scene
        .until(task, "asking", |t| t.state() == TaskState::NeedsYou)
        .await;
    *task.approvals.first_key_value().unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn one_limit_holds_every_task_and_costs_no_attempt() {
    let scene = Scene::new(&[
        (Role::Aria, &[Act::Hang, Act::Limit, Act::Say("read it")]),
        (Role::Code, MEND),
    ])
    .await;
    let first = scene.create(|_| {}).await;
    scene
        .until(&first, "at work", |t| {
            t.turns.values().any(|turn| turn.streaming)
        })
        .await;
    let second = scene.create(|_| {}).await;
    let held = |t: &Task| t.hold.as_ref().is_some_and(|hold| hold.until.is_some());
    let second = scene.until(&second, "held", held).await;
    let first = scene.until(&first, "held too", held).await;
    assert_eq!(second.steps[0].attempts, 0, "a limit is nobody's failure");
    let hold = scene.engine.floor().closed[&Account::Claude].clone();
    let until = hold.until.unwrap();
    for task in [&first, &second] {
        let wakes = task.hold.as_ref().unwrap().until.unwrap();
        assert!(wakes >= until && wakes <= until.after(WAKE_SPREAD));
    }
    let third = scene.create(|_| {}).await;
    assert_eq!(third.phase, Phase::Queued, "nothing new is begun");

    scene.engine.open_account(Team::Claude).await.unwrap();
    scene.until(&second, "in review", in_review).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_stops_the_queue_until_the_person_goes_on() {
    let scene = Scene::new(&[(Role::Aria, &[Act::NoLogin, Act::Say("read it")])]).await;
    let first = scene.create(|_| {}).await;
    scene
        .until(&first, "failed", |t| t.state() == TaskState::Failed)
        .await;
    let second = scene.create(|_| {}).await;
    assert_eq!(second.phase, Phase::Queued);
    assert_eq!(scene.script.heard.lock().unwrap().len(), 1, "asked once");
    scene.engine.order(first.id, Command::Resume).await.unwrap();
    scene.until(&first, "in review", in_review).await;
    scene.until(&second, "in review", in_review).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_allowed_in_a_project_is_not_asked_again_until_it_is_taken_back() {
    let scene = Scene::new(&bash("curl example.org")).await;
    let first = scene.create(|_| {}).await;
    let id = question(&scene, &first).await;
    let seen = scene.engine.find("T-1").unwrap().approvals[&id]
        .question
        .digest();
    let wrong = scene
        .engine
        .answer(id, Answer::AllowForProject, Some("else".into()))
        .await;
    assert_eq!(wrong.unwrap_err().kind, ErrorKind::WrongState);
    scene
        .engine
        .answer(id, Answer::AllowForProject, Some(seen))
        .await
        .unwrap();
    scene.until(&first, "in review", in_review).await;

    let second = scene.create(|_| {}).await;
    scene.until(&second, "in review unasked", in_review).await;
    let rule = *scene.engine.floor().rules.first_key_value().unwrap().0;
    scene.engine.revoke_rule(rule).await.unwrap();
    let third = scene.create(|_| {}).await;
    question(&scene, &third).await;
    assert_eq!(
        *scene.script.decisions.lock().unwrap(),
        [ToolDecision::Allow, ToolDecision::Allow]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_outlives_the_engine_and_its_answer_is_taken_up() {
    let scene = Scene::new(&bash("curl example.org")).await;
    let task = scene.create(|_| {}).await;
    let id = question(&scene, &task).await;
    scene.engine.stop().await;
    let (dir, script) = (scene.dir, scene.script);
    drop(scene.engine);

    let engine = start(dir.path(), &script, TakeUp::WhatIsOrdered).await;
    let open = engine.find("T-1").unwrap();
    assert!(open.approvals.contains_key(&id), "it is still asked");
    engine.answer(id, Answer::Allow, None).await.unwrap();
    assert!(
        !engine.works_on(task.id),
        "an answer alone sets nothing going"
    );
    assert!(script.decisions.lock().unwrap().is_empty());
    engine.order(task.id, Command::Resume).await.unwrap();
    let ended = |t: &Task| in_review(t) || matches!(t.phase, Phase::Paused { .. });
    let task = until(&engine, task.id, "at rest", ended).await;
    assert_eq!(
        *script.decisions.lock().unwrap(),
        [ToolDecision::Allow],
        "{:?}",
        task.phase
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_everything_keeps_the_work_and_is_true_when_it_is_said() {
    let scene = Scene::new(&[(Role::Code, &[Act::Hang, Act::Write("sum.txt", "right\n")])]).await;
    let task = scene.create(|_| {}).await;
    scene
        .until(&task, "coding", |t| {
            t.turns
                .values()
                .any(|turn| turn.role() == Role::Code && turn.streaming)
        })
        .await;
    let copy = scene.engine.find("T-1").unwrap();
    let copy = copy.workspace.prepared().unwrap().path.clone();
    fs::write(format!("{copy}/half.txt"), "half done\n").unwrap();
    scene.engine.stop_all().await.unwrap();
    scene.engine.stop_all().await.unwrap();
    let task = scene
        .until(&task, "paused", |t| t.state() == TaskState::Paused)
        .await;
    assert!(task.turns.is_empty() && task.processes.is_empty());
    let past = scene.engine.timeline(&task).await.unwrap();
    let kept = past.entries.iter().any(|entry| {
        matches!(entry, TimelineEntry::Fact { event, .. } if matches!(**event, Event::WorkKept { .. }))
    });
    assert!(kept, "what was there before the stop is kept");
    scene.engine.order(task.id, Command::Resume).await.unwrap();
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(task.steps[1].attempts, 1, "being stopped is no attempt");
    assert_eq!(task.changes.len(), 2, "and nothing of it is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_stops_the_work_and_lets_it_go_on_later() {
    let scene = Scene::new(&[(Role::Aria, &[Act::Hang, Act::Say("read it")])]).await;
    let task = scene.create(|_| {}).await;
    scene
        .until(&task, "at work", |t| {
            t.turns.values().any(|turn| turn.streaming)
        })
        .await;
    let data = scene.dir.path().join("data");
    fs::rename(data.join("nexus.db"), data.join("elsewhere")).unwrap();
    let refused = scene
        .engine
        .order(task.id, Command::Pause)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::DataFolder);
    assert!(refused.message.contains("moved or deleted"), "{refused}");
    let refused = scene.engine.order(task.id, Command::Pause).await;
    assert!(refused.is_err(), "and says so again");
    assert!(scene.engine.trouble().is_some());
    assert_eq!(scene.engine.tasks().1.len(), 1, "it can still be looked at");

    fs::rename(data.join("elsewhere"), data.join("nexus.db")).unwrap();
    scene.engine.order(task.id, Command::Resume).await.unwrap();
    assert!(scene.engine.trouble().is_none());
    scene.until(&task, "in review", in_review).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_day_has_a_cap() {
    let scene = Scene::new(&[(Role::Code, MEND)]).await;
    let caps = DayCaps {
        money: Some(Usd::from_micros(150)),
        ..DayCaps::default()
    };
    scene.engine.set_day_caps(caps).await.unwrap();
    let task = scene.create(|_| {}).await;
    let day = PauseReason::Day;
    let task = scene
        .until(&task, "paused for the day", |t| {
            t.phase == Phase::Paused { why: day } && !t.is_stopping()
        })
        .await;
    assert_eq!(task.usage().cost, Some(Usd::from_micros(200)));
    let refused = scene.engine.order(task.id, Command::Resume).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::WrongState);
    scene.engine.set_day_caps(DayCaps::default()).await.unwrap();
    scene.engine.order(task.id, Command::Resume).await.unwrap();
    scene.until(&task, "in review", in_review).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_of_ours_in_one_seat_ends_neither_the_task_nor_the_others() {
    let scene = Scene::new(&[(Role::Code, MEND)]).await;
    *scene.script.fragile.lock().unwrap() = Some(Role::Code);
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert!(
        scene.script.fragile.lock().unwrap().is_none(),
        "it happened"
    );
    assert_eq!(task.changes.len(), 1);
}
