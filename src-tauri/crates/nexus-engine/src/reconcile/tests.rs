//! Differences that a log alone can show: written down, looked at, mended.

use super::*;
use crate::dispatcher::now;
use nexus_core::*;
use nexus_store::{NewEvent, NewProcess, Store, StoreKey, backups};
use std::{fs, path::PathBuf};
use uuid::Uuid;

/// A data folder with a task in it, whose project is there.
struct Scene {
    dir: tempfile::TempDir,
    machine: Machine,
}

const DAY: i64 = 24 * 60 * 60 * 1000;

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("shop");
        fs::create_dir(&project).unwrap();
        let variables = [
            ("HOME", dir.path().join("home").into_os_string()),
            ("NEXUS_DATA_DIR", dir.path().join("data").into_os_string()),
            ("NEXUS_SECRETS", "env".into()),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value));
        let machine = Machine::of(variables, PathBuf::from("/nonexistent")).unwrap();
        Self { dir, machine }
    }

    fn id() -> TaskId {
        TaskId::new(Uuid::from_u128(1))
    }

    fn store(&self) -> Store {
        Store::open(self.machine.data.root(), StoreKey::Plain).unwrap()
    }

    /// Records these facts about the task, which was made just before.
    fn with(events: &[Event], days_ago: i64) -> Self {
        let scene = Self::new();
        let spec = Box::new(TaskSpec {
            number: 1,
            project: ProjectId::new(Uuid::from_u128(2)),
            project_name: "shop".into(),
            folder: scene.dir.path().join("shop").display().to_string(),
            title: "Fix the sum".into(),
            text: "The sum is wrong".into(),
            team: Team::Claude,
            planner: PlannerKind::Standard,
            permissions: Permissions::Workspace,
            priority: Priority::Normal,
            budget: None,
            limits: Limits::default(),
            answer_within: ANSWER_WITHIN,
            fingerprint: String::new(),
            attended: true,
            terms: Terms::default(),
        });
        let created = Event::TaskCreated { spec };
        let stream = Self::id().to_string();
        let rows = std::iter::once(&created)
            .chain(events)
            .map(|event| NewEvent {
                stream: &stream,
                kind: event.kind(),
                at: Timestamp::from_millis(now().as_millis() - days_ago * DAY),
                body: serde_json::to_string(event).unwrap(),
            });
        let rows: Vec<_> = rows.collect();
        scene.store().append(&rows, &[]).unwrap();
        scene
    }

    fn codes(&self, mend: bool) -> Vec<(&'static str, bool)> {
        let found = self.machine.reconcile(mend);
        assert!(!found.owned);
        let differences = found.differences.iter();
        let codes = differences.map(|it| (it.code.as_str(), it.fixed));
        codes.collect()
    }
}

fn snapshot(letter: &str) -> SnapshotId {
    SnapshotId::parse(&letter.repeat(40)).unwrap()
}

#[test]
fn an_accept_that_was_cut_short_is_told_and_left_to_resume() {
    let accepting = [
        Event::TaskStarted,
        Event::ReviewReached {
            verdict_failed: false,
        },
        Event::AcceptBegan {
            although_red: false,
        },
        Event::AcceptPlanned {
            operations: Vec::new(),
        },
    ];
    let scene = Scene::with(&accepting, 0);
    for mend in [false, true] {
        assert_eq!(scene.codes(mend), [("accept_half_applied", false)]);
    }
}

#[test]
fn a_log_without_a_backup_gets_one_and_so_does_one_that_is_far_ahead() {
    let young = Scene::with(&[], 0);
    assert_eq!(young.codes(false), []);

    let old = Scene::with(&[], 2);
    let data = old.machine.data.root().to_owned();
    assert_eq!(old.codes(false), [("backup_missing", false)]);
    assert_eq!(backups(&data).unwrap(), []);
    assert_eq!(old.codes(true), [("backup_missing", true)]);
    assert_eq!(backups(&data).unwrap()[0].events, 1);
    assert_eq!(old.codes(false), []);

    // The backup's name says when it was made; the next event is from ten days later.
    let event = Event::BudgetChanged { budget: None };
    let new = NewEvent {
        stream: &Scene::id().to_string(),
        kind: event.kind(),
        at: Timestamp::from_millis(now().as_millis() + 10 * DAY),
        body: serde_json::to_string(&event).unwrap(),
    };
    old.store().append(&[new], &[]).unwrap();
    assert_eq!(old.codes(false), [("backup_stale", false)]);
    assert_eq!(old.codes(true), [("backup_stale", true)]);
    assert_eq!(backups(&data).unwrap()[0].events, 2);
}

#[test]
fn a_row_of_another_boot_is_closed_and_nothing_is_killed_for_it() {
    let scene = Scene::with(&[], 0);
    // Our own number and start time, but of another boot: not us.
    let own = nexus_process::identity_of(std::process::id()).unwrap();
    let row = NewProcess {
        pid: own.pid,
        start_ticks: own.start_ticks,
        boot_id: "another boot",
        tag: "nobody",
        what: "code of a task",
        started_at: now(),
    };
    scene.store().ledger_started(&row).unwrap();
    assert_eq!(scene.codes(false), [("ledger_row_stale", false)]);
    assert_eq!(scene.store().ledger_open().unwrap().len(), 1);
    assert_eq!(scene.codes(true), [("ledger_row_stale", true)]);
    assert_eq!(scene.store().ledger_open().unwrap(), []);
}

#[test]
fn a_socket_that_nobody_owns_is_removed_and_nothing_else_in_its_place_is() {
    let scene = Scene::with(&[], 0);
    let socket = scene.machine.data.socket();
    fs::write(&socket, "not a socket").unwrap();
    fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(scene.codes(true), [("socket_foreign", false)]);
    assert!(socket.exists());
    fs::remove_file(&socket).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert_eq!(scene.codes(false), [("socket_stale", false)]);
    assert_eq!(scene.codes(true), [("socket_stale", true)]);
    assert!(!socket.exists());
}

#[test]
fn an_owner_that_does_not_answer_is_named_and_nothing_is_mended() {
    let scene = Scene::with(&[], 0);
    let _lock = scene.machine.data.own().unwrap();
    let found = scene.machine.reconcile(true);
    assert!(found.owned);
    let codes: Vec<_> = found
        .differences
        .iter()
        .map(|it| it.code.as_str())
        .collect();
    assert_eq!(codes, ["owner_silent"]);
}

#[test]
fn a_log_that_this_version_does_not_understand_is_a_newer_ones() {
    let scene = Scene::with(&[], 0);
    let new = NewEvent {
        stream: &Scene::id().to_string(),
        kind: "dreamt",
        at: now(),
        body: r#"{"type":"dreamt"}"#.to_owned(),
    };
    scene.store().append(&[new], &[]).unwrap();
    for mend in [false, true] {
        assert_eq!(scene.codes(mend), [("store_newer", false)]);
    }
}

#[test]
fn nothing_is_made_where_nothing_is() {
    let scene = Scene::new();
    for mend in [false, true] {
        assert_eq!(scene.codes(mend), []);
        assert!(!scene.machine.data.root().exists());
    }
}

/// What the log says of the copy's content after these facts.
fn content(events: &[Event]) -> (Option<SnapshotId>, bool) {
    let mut content = store::Content::default();
    for event in events {
        content.take(event, now());
    }
    (content.id, content.worked_since)
}

#[test]
fn content_counts_only_until_an_agent_that_writes_has_been_heard() {
    let plan = Event::PlanMade {
        plan: Plan::standard("Fix the sum"),
    };
    let begun = |step: u32, turn: u32| Event::StepStarted {
        step: StepId(step),
        turn: TurnId(turn),
        attempt: 1,
        round: 1,
        session: Scene::id().session(SeatId::first(Role::Code), 0),
        seat: 0,
    };
    let heard = |turn: u32| Event::TurnStreaming { turn: TurnId(turn) };
    let base = Event::BaseTaken {
        step: StepId(2),
        turn: TurnId(2),
        base: snapshot("b"),
    };
    let kept = Event::WorkKept {
        turn: TurnId(2),
        snapshot: snapshot("c"),
    };
    let (first, second) = (Some(snapshot("b")), Some(snapshot("c")));

    let reading = [plan.clone(), base.clone(), begun(1, 1), heard(1)];
    assert_eq!(content(&reading), (first.clone(), false));
    // Started, and nothing taken since: it may be at work.
    let unknown = [plan.clone(), base.clone(), begun(2, 2)];
    assert_eq!(content(&unknown), (first.clone(), true));
    // Its base was taken before it was asked.
    let waiting = [plan.clone(), begun(2, 2), base.clone()];
    assert_eq!(content(&waiting), (first.clone(), false));
    let writing = [plan.clone(), begun(2, 2), base.clone(), heard(2)];
    assert_eq!(content(&writing), (first, true));
    let stopped = [plan, begun(2, 2), base, heard(2), kept];
    assert_eq!(content(&stopped), (second, false));
}
