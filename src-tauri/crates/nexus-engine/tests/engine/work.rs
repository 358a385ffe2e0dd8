//! The work itself: in a copy, asked about, judged, accepted.

use crate::scene::*;
use nexus_agent::ToolDecision;
use nexus_core::*;
use nexus_engine::*;
use std::{fs, path::PathBuf};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn work_happens_in_a_copy_and_accept_brings_it_home() {
    let scene = Scene::new(&[
        (Role::Code, MEND),
        (Role::Beta, &[Act::Verdict(Verdict::Pass)]),
    ])
    .await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(
        fs::read_to_string(scene.project().join("sum.txt")).unwrap(),
        "wrong\n"
    );
    assert_eq!(task.standing(), Some(Standing::NoChecks));
    assert_eq!(task.changes.len(), 1);
    assert_eq!(task.usage().cost, Some(Usd::from_micros(400)));
    let patch = scene.engine.patch(&task, None).await.unwrap();
    assert!(patch.text.contains("+right"), "{}", patch.text);

    let accept = Command::Accept {
        although_red: false,
    };
    scene.engine.order(task.id, accept).await.unwrap();
    scene
        .until(&task, "done", |t| t.state() == TaskState::Done)
        .await;
    assert_eq!(
        fs::read_to_string(scene.project().join("sum.txt")).unwrap(),
        "right\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_meanwhile_is_never_overwritten() {
    let scene = Scene::new(&[(Role::Code, MEND)]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    fs::write(scene.project().join("sum.txt"), "mine\n").unwrap();
    scene
        .engine
        .order(
            task.id,
            Command::Accept {
                although_red: false,
            },
        )
        .await
        .unwrap();
    let conflicted =
        |t: &Task| matches!(&t.phase, Phase::Review { conflicts, .. } if !conflicts.is_empty());
    scene.until(&task, "in conflict", conflicted).await;
    assert_eq!(
        fs::read_to_string(scene.project().join("sum.txt")).unwrap(),
        "mine\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_only_read_cannot_write() {
    let scene = Scene::new(&[(Role::Aria, MEND), (Role::Beta, MEND)]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert!(task.changes.is_empty(), "{:?}", task.changes);
    let decisions = scene.script.decisions.lock().unwrap();
    assert!(
        decisions
            .iter()
            .all(|d| matches!(d, ToolDecision::Deny { .. })),
        "{decisions:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_waits_for_the_person_and_the_answer_reaches_the_agent() {
    let scene = Scene::new(&[(Role::Code, &[Act::Bash("curl example.org")])]).await;
    let task = scene.create(|_| {}).await;
    let task = scene
        .until(&task, "asking", |t| t.state() == TaskState::NeedsYou)
        .await;
    let (id, _) = task.approvals.first_key_value().unwrap();
    scene.engine.answer(*id, Answer::Allow, None).await.unwrap();
    scene.until(&task, "in review", in_review).await;
    assert_eq!(
        *scene.script.decisions.lock().unwrap(),
        [ToolDecision::Allow]
    );
    let error = scene
        .engine
        .answer(*id, Answer::Allow, None)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::NotFound,
        "a question is answered once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_agent_is_tried_again_and_the_attempt_counts() {
    let scene = Scene::new(&[(Role::Code, &[Act::Crash, Act::Write("sum.txt", "right\n")])]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(task.steps[1].attempts, 2);
    let prompts = scene.script.heard.lock().unwrap();
    let second = prompts
        .iter()
        .filter(|(role, _)| *role == Role::Code)
        .nth(1)
        .unwrap();
    assert!(
        second
            .1
            .contains("An earlier attempt at this step did not finish")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn betas_findings_reach_code_in_the_next_round() {
    let verdicts = &[Act::Verdict(Verdict::Fail), Act::Verdict(Verdict::Pass)];
    let scene = Scene::new(&[(Role::Code, MEND), (Role::Beta, verdicts)]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(
        (task.round, task.steps[1].attempts, task.steps[3].attempts),
        (2, 2, 2)
    );
    let prompts = scene.script.heard.lock().unwrap();
    let second = prompts
        .iter()
        .filter(|(role, _)| *role == Role::Code)
        .nth(1)
        .unwrap();
    assert!(second.1.contains("What has to be mended"), "{}", second.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_stops_the_turn_and_resume_takes_it_again() {
    let scene = Scene::new(&[(Role::Code, &[Act::Hang, Act::Write("sum.txt", "right\n")])]).await;
    let task = scene.create(|_| {}).await;
    let at_work = |t: &Task| {
        t.turns
            .values()
            .any(|turn| turn.role() == Role::Code && turn.streaming)
    };
    scene.until(&task, "at work", at_work).await;
    scene.engine.order(task.id, Command::Pause).await.unwrap();
    scene
        .until(&task, "paused", |t| t.state() == TaskState::Paused)
        .await;
    scene.engine.order(task.id, Command::Resume).await.unwrap();
    let task = scene.until(&task, "in review", in_review).await;
    assert_eq!(
        task.steps[1].attempts, 1,
        "what we cut short costs no attempt"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_ends_in_the_middle_is_carried_on_by_the_next() {
    let scene = Scene::new(&[(Role::Code, &[Act::Hang, Act::Write("sum.txt", "right\n")])]).await;
    let task = scene.create(|_| {}).await;
    let at_work = |t: &Task| {
        t.turns
            .values()
            .any(|turn| turn.role() == Role::Code && turn.streaming)
    };
    scene.until(&task, "at work", at_work).await;
    scene.engine.stop().await;
    let Scene {
        dir,
        script,
        engine,
    } = scene;
    drop(engine);

    let engine = start(dir.path(), &script, TakeUp::Everything).await;
    let task = until(&engine, task.id, "in review", in_review).await;
    assert_eq!(task.changes.len(), 1);
    let aria = script
        .heard
        .lock()
        .unwrap()
        .iter()
        .filter(|(r, _)| *r == Role::Aria)
        .count();
    assert_eq!(aria, 1, "a finished step is not taken again");
}

#[tokio::test(flavor = "multi_thread")]
async fn discarded_work_is_put_away_and_comes_back() {
    let scene = Scene::new(&[(Role::Code, MEND)]).await;
    let task = scene.create(|_| {}).await;
    let task = scene.until(&task, "in review", in_review).await;
    let workspace = PathBuf::from(&task.workspace.prepared().unwrap().path);
    scene.engine.order(task.id, Command::Discard).await.unwrap();
    let dropped = |t: &Task| matches!(t.workspace, Workspace::Dropped { kept: Some(_), .. });
    scene.until(&task, "put away", dropped).await;
    assert!(!workspace.exists());

    scene.engine.order(task.id, Command::Restore).await.unwrap();
    let there = |t: &Task| matches!(t.workspace, Workspace::Ready(_));
    let task = scene.until(&task, "back", there).await;
    assert_eq!(task.state(), TaskState::Review);
    let workspace = PathBuf::from(&task.workspace.prepared().unwrap().path);
    assert_eq!(
        fs::read_to_string(workspace.join("sum.txt")).unwrap(),
        "right\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_tasks_run_at_once_and_the_others_follow() {
    let scene = Scene::new(&[(Role::Aria, &[Act::Hang])]).await;
    let first = scene.create(|_| {}).await;
    let second = scene.create(|_| {}).await;
    let third = scene.create(|_| {}).await;
    let running = |t: &Task| !t.turns.is_empty();
    scene.until(&first, "running", running).await;
    scene.until(&second, "running", running).await;
    let waiting = scene.engine.find(&third.spec.name()).unwrap();
    assert_eq!(waiting.phase, Phase::Queued);
    scene.engine.order(first.id, Command::Cancel).await.unwrap();
    scene.until(&third, "running", running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_projected_into_six_files_that_others_cannot_read() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new(&[
        (Role::Aria, &[Act::Say("Line 1 is wrong.")]),
        (Role::Code, MEND),
    ])
    .await;
    let task = scene.create(|_| {}).await;
    scene.until(&task, "in review", in_review).await;
    // The files are written by a hand of their own; stopping waits for all hands.
    let dir = scene.engine.data().scratchpads(task.id);
    scene.engine.stop().await;
    for pad in scratchpad::Scratchpad::ALL {
        let mode = fs::metadata(dir.join(pad.file_name()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{pad:?}");
    }
    let text = fs::read_to_string(dir.join("aria_to_code.md")).unwrap();
    assert!(
        text.contains("Line 1 is wrong.") && text.contains("unstructured"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_comes_back_misses_nothing() {
    let scene = Scene::new(&[(Role::Code, MEND)]).await;
    let task = scene.create(|_| {}).await;
    scene.until(&task, "in review", in_review).await;
    let last = scene.engine.seq();
    let mut changes = scene.engine.changes(3).await.unwrap();
    for seq in 4..=last {
        assert_eq!(changes.next().await.unwrap().seq(), seq);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_begins_when_the_one_it_waits_for_is_accepted_and_only_for_one_that_is_there() {
    let scene = Scene::new(&[
        (Role::Code, MEND),
        (Role::Beta, &[Act::Verdict(Verdict::Pass)]),
    ])
    .await;
    let first = scene.create(|_| {}).await;
    let after = |task| Terms {
        after: vec![task],
        shares_context: true,
        ..Terms::default()
    };
    let second = scene.create(|new| new.terms = after(first.id)).await;
    scene.until(&first, "in review", in_review).await;
    let second = scene.until(&second, "queued", |_| true).await;
    assert_eq!(second.phase, Phase::Queued, "there are free places");
    let accept = Command::Accept { although_red: true };
    scene.engine.order(first.id, accept).await.unwrap();
    scene
        .until(&second, "past the analysis", |t| {
            t.steps.iter().any(|step| step.state == StepState::Done)
        })
        .await;
    let told = |(_, prompt): &(Role, String)| prompt.contains("From T-1, which is done:");
    assert!(scene.script.heard.lock().unwrap().iter().any(told));

    let nobody = TaskId::new(Uuid::nil());
    let new = NewTask {
        terms: after(nobody),
        ..scene.wish()
    };
    let error = scene.engine.create(new).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(error.message.contains(&nobody.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_folder_gets_no_task() {
    let scene = Scene::new(&[]).await;
    let new = NewTask {
        text: "x".into(),
        title: None,
        folder: scene.project(),
        team: Team::Claude,
        planner: PlannerKind::Standard,
        permissions: Permissions::Workspace,
        budget: None,
        limits: Limits::default(),
        answer_within: ANSWER_WITHIN,
        start: true,
        attended: true,
        trust_once: false,
        priority: Priority::Normal,
        terms: Terms::default(),
    };
    let error = scene.engine.create(new).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Untrusted);
    assert_eq!(scene.engine.seq(), 0, "nothing was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_about_one_task_does_not_wake_another() {
    let scene = Scene::new(&[(Role::Aria, &[Act::Hang, Act::Say("read it")])]).await;
    let task = scene.create(|_| {}).await;
    scene
        .until(&task, "at work", |t| {
            t.turns.values().any(|turn| turn.streaming)
        })
        .await;
    scene.engine.stop().await;
    let Scene {
        dir,
        script,
        engine,
    } = scene;
    let recorded = engine.seq();
    drop(engine);

    let engine = start(dir.path(), &script, TakeUp::WhatIsOrdered).await;
    assert!(!engine.works_on(task.id));
    engine.trust(&dir.path().join("project")).await.unwrap();
    assert_eq!(
        engine.seq(),
        recorded,
        "nothing happens to a task that nobody speaks of"
    );
    assert_eq!(script.heard.lock().unwrap().len(), 1);

    engine.order(task.id, Command::Pause).await.unwrap();
    let task = until(&engine, task.id, "paused", |t| {
        t.state() == TaskState::Paused
    })
    .await;
    engine.order(task.id, Command::Resume).await.unwrap();
    until(&engine, task.id, "in review", in_review).await;
}
