//! The doctor: what differs is named by its code, mended where nothing can be lost, and left
//! alone where it could.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_process::{find_tagged, identity_of, is_alive};
use nexus_tests::env::{
    TestEnv, files_under, good_team, mode, program, rules, seat, submit, until, write_file,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::SystemTime,
};

/// Nobody's id.
const STRANGER: &str = "0190a3c4-0000-7000-8000-000000000001";

/// A task in review.
fn reviewed() -> (TestEnv, PathBuf) {
    let env = TestEnv::new();
    env.script(&rules(good_team()));
    let project = env.project("shop");
    env.execute(&project, &[]).expect(0);
    (env, project)
}

/// A task that was left in the middle of Code's turn by a NEXUS that was killed.
fn killed_in_the_middle() -> (TestEnv, PathBuf) {
    let env = TestEnv::new();
    let project = env.project("shop");
    let go = env.hold_at("code");
    let running = env.start_execute(&project, &[]);
    env.await_prompt("code");
    running.signal("KILL");
    running.wait().expect(137);
    env.assert_nothing_runs();
    fs::write(go, "").unwrap();
    (env, project)
}

/// What `nexus doctor --json` says.
struct Doctor {
    code: i32,
    said: Value,
}

fn doctor(env: &TestEnv, more: &[&str]) -> Doctor {
    let args = ["doctor", "--json"].into_iter().chain(more.iter().copied());
    let ended = env.run(args);
    let said = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    Doctor {
        code: ended.code,
        said,
    }
}

impl Doctor {
    fn all(&self) -> &[Value] {
        self.said["differences"].as_array().unwrap()
    }

    /// The codes, each with whether it is mended, in order.
    fn codes(&self) -> Vec<(String, bool)> {
        let code = |it: &Value| it["code"].as_str().unwrap().to_owned();
        let mut codes: Vec<_> = self
            .all()
            .iter()
            .map(|it| (code(it), it["fixed"].as_bool().unwrap()))
            .collect();
        codes.sort();
        codes
    }

    #[track_caller]
    fn expect(self, exit_code: i32, expected: &[(&str, bool)]) -> Self {
        let expected: Vec<_> = expected
            .iter()
            .map(|(code, fixed)| ((*code).to_owned(), *fixed))
            .collect();
        assert_eq!(
            (self.code, self.codes()),
            (exit_code, expected),
            "{:#}",
            self.said
        );
        for difference in self.all() {
            for key in ["what", "found", "explanation", "severity"] {
                let text = difference[key].as_str().unwrap();
                assert!(!text.is_empty(), "{key} of {difference}");
            }
        }
        self
    }

    fn first(&self, code: &str) -> &Value {
        self.all().iter().find(|it| it["code"] == code).unwrap()
    }
}

/// Everything below a folder, less what SQLite makes for readers: content, rights, and time.
fn everything(folder: &Path) -> BTreeMap<String, (Vec<u8>, u32, SystemTime)> {
    let files = files_under(folder).into_iter();
    let kept = files.filter(|path| !path.ends_with("-shm") && !path.ends_with("-wal"));
    let entry = |path: String| {
        let meta = fs::symlink_metadata(folder.join(&path)).unwrap();
        // A socket and a link that leads nowhere have no content.
        let content = fs::read(folder.join(&path)).unwrap_or_default();
        (
            path,
            (content, meta.permissions().mode(), meta.modified().unwrap()),
        )
    };
    kept.map(entry).collect()
}

#[track_caller]
fn assert_looking_changes_nothing(env: &TestEnv) {
    let before = everything(&env.root());
    doctor(env, &[]);
    let after = everything(&env.root());
    let differ = |path: &&String| before.get(*path) != after.get(*path);
    let changed: Vec<_> = before.keys().chain(after.keys()).filter(differ).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

fn the_task(env: &TestEnv) -> String {
    env.tasks()[0]["id"].as_str().unwrap().to_owned()
}

fn task_folder(env: &TestEnv) -> PathBuf {
    env.data().join("tasks").join(the_task(env))
}

/// The copy of the project in a task's folder.
fn copy_in(folder: &Path) -> PathBuf {
    folder.join("workspace/shop")
}

fn trash(env: &TestEnv) -> Vec<Value> {
    let listed = env.run(["trash", "list", "--json"]).expect(0).stdout;
    serde_json::from_str(&listed).unwrap()
}

#[test]
fn nothing_differs_after_work_that_went_as_it_should() {
    let (env, project) = reviewed();
    doctor(&env, &[]).expect(0, &[]);
    assert_looking_changes_nothing(&env);
    env.run(["task", "accept", "T-1"]).expect(0);
    doctor(&env, &[]).expect(0, &[]);
    env.execute(&project, &["--accept"]);
    doctor(&env, &["--fix"]).expect(0, &[]);
    assert_eq!(trash(&env), [json!(null); 0]);
}

#[test]
fn a_folder_that_others_can_read_is_closed() {
    let (env, _) = reviewed();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    open(&env.data(), 0o755).unwrap();
    open(&env.data().join("nexus.db"), 0o644).unwrap();
    let outside = env.write("outside", "");
    open(&outside, 0o644).unwrap();
    symlink(&outside, env.data().join("link")).unwrap();
    let loose = ("permissions_loose", false);
    doctor(&env, &[]).expect(7, &[loose, loose]);
    assert_looking_changes_nothing(&env);
    // What SQLite makes beside its file for readers has that file's mode.
    let mended = doctor(&env, &["--fix"]);
    assert_eq!(mended.code, 0, "{:#}", mended.said);
    let mended = mended.codes();
    assert!(
        mended.len() >= 2
            && mended
                .iter()
                .all(|it| *it == ("permissions_loose".into(), true))
    );
    assert_eq!(mode(&env.data()), 0o700);
    assert_eq!(mode(&env.data().join("nexus.db")), 0o600);
    assert_eq!(mode(&outside), 0o644);
    doctor(&env, &[]).expect(0, &[]);
}

#[test]
fn what_a_killed_nexus_leaves_is_named_and_cleared_and_the_task_goes_on() {
    let (env, _) = killed_in_the_middle();
    let found = doctor(&env, &[]);
    let codes: Vec<_> = found.codes().into_iter().map(|(code, _)| code).collect();
    assert!(codes.contains(&"ledger_row_stale".to_owned()), "{codes:?}");
    assert!(codes.contains(&"socket_stale".to_owned()), "{codes:?}");
    assert_eq!(found.code, 7);
    let left = found.first("task_interrupted");
    assert_eq!(
        (&left["what"], &left["severity"]),
        (&json!("T-1"), &json!("note"))
    );
    assert_eq!(left["fix"], Value::Null);
    assert_looking_changes_nothing(&env);

    let mended = doctor(&env, &["--fix"]);
    assert_eq!(mended.code, 0, "{:#}", mended.said);
    for difference in mended.all() {
        let by_person = difference["code"] == "task_interrupted";
        assert_eq!(difference["fixed"], !by_person, "{difference}");
    }
    doctor(&env, &[]).expect(0, &[("task_interrupted", false)]);
    env.run(["resume", "T-1"]).expect(0);
    doctor(&env, &[]).expect(0, &[]);
}

/// A process that is killed when the test is over.
struct Sleeper(Child);

impl Sleeper {
    fn tagged(session: &str) -> Self {
        let mut command = program("sleep");
        let command = command.arg("600").env("NEXUS_AGENT", session);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let sleeper = Self(child);
        // Between fork and exec it still has our environment.
        until("it is tagged", || {
            let found = find_tagged("NEXUS_AGENT".as_ref(), session.as_ref());
            found.iter().any(|it| it.pid == sleeper.0.id())
        });
        sleeper
    }

    fn lives(&self) -> bool {
        identity_of(self.0.id()).is_some_and(is_alive)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // It is gone already when the doctor ended it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_that_is_proved_to_be_ours_is_ended_and_no_other() {
    let (env, _) = reviewed();
    let sessions = env.run(["sessions", "list", "--json"]).expect(0).stdout;
    let sessions: Value = serde_json::from_str(&sessions).unwrap();
    let ours = Sleeper::tagged(sessions[0]["id"].as_str().unwrap());
    let theirs = Sleeper::tagged(STRANGER);
    doctor(&env, &[]).expect(7, &[("process_left", false)]);
    assert!(ours.lives());
    doctor(&env, &["--fix"]).expect(0, &[("process_left", true)]);
    assert!(!ours.lives());
    assert!(theirs.lives());
    doctor(&env, &[]).expect(0, &[]);
}

#[test]
fn a_copy_that_is_gone_is_made_anew_from_what_is_kept() {
    let (env, project) = reviewed();
    fs::remove_dir_all(task_folder(&env).join("workspace")).unwrap();
    let found = doctor(&env, &[]).expect(7, &[("workspace_missing", false)]);
    assert_eq!(found.first("workspace_missing")["severity"], "error");
    assert_looking_changes_nothing(&env);
    doctor(&env, &["--fix"]).expect(0, &[("workspace_missing", true)]);
    doctor(&env, &[]).expect(0, &[]);

    let ended = env.run([
        "task",
        "request-changes",
        "T-1",
        "--text",
        "And once more, please",
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    env.run(["task", "accept", "T-1"]).expect(0);
    let greeting = fs::read_to_string(project.join("greeting.txt")).unwrap();
    assert_eq!(greeting, "hello world\n");
}

#[test]
fn a_copy_in_which_an_agent_was_at_work_is_not_made_up() {
    let env = TestEnv::new();
    let project = env.project("shop");
    let mut team = good_team();
    let go = env.root().join("go");
    team[1] = seat(
        "code",
        json!([write_file("greeting.txt", "half\n"), {"wait_for": go}, submit("mended it")]),
    );
    env.script(&rules(team));
    let running = env.start_execute(&project, &[]);
    let data = env.data();
    let half_done = || {
        let folders = fs::read_dir(data.join("tasks")).into_iter().flatten();
        let copies = folders.map(|it| copy_in(&it.unwrap().path()).join("greeting.txt"));
        let mut texts = copies.map(|path| fs::read_to_string(path).unwrap_or_default());
        texts.any(|text| text == "half\n")
    };
    until("Code has begun", half_done);
    running.signal("KILL");
    running.wait().expect(137);
    env.assert_nothing_runs();
    doctor(&env, &["--fix"]);
    fs::remove_dir_all(task_folder(&env).join("workspace")).unwrap();
    for more in [&[][..], &["--fix"]] {
        let expected = [("task_interrupted", false), ("workspace_missing", false)];
        let found = doctor(&env, more).expect(7, &expected);
        assert_eq!(found.first("workspace_missing")["fix"], Value::Null);
    }
}

#[test]
fn a_copy_without_a_task_is_put_aside_when_its_content_is_kept_and_comes_back() {
    let (env, _) = reviewed();
    let stray = env.data().join("tasks").join(STRANGER);
    copy_folder(&task_folder(&env), &stray);
    fs::write(copy_in(&stray).join("greeting.txt"), "hello wrld\n").unwrap();
    doctor(&env, &[]).expect(7, &[("workspace_orphan", false)]);
    assert!(stray.exists());
    doctor(&env, &["--fix"]).expect(0, &[("workspace_orphan", true)]);
    assert!(!stray.exists());

    let kept = trash(&env);
    assert_eq!(kept[0]["from"], stray.to_str().unwrap());
    assert_eq!(kept[0]["code"], "workspace_orphan");
    let id = kept[0]["id"].as_str().unwrap();
    env.run(["trash", "restore", id]).expect(0);
    let greeting = fs::read_to_string(copy_in(&stray).join("greeting.txt")).unwrap();
    assert_eq!(greeting, "hello wrld\n");
    assert_eq!(trash(&env), [json!(null); 0]);
    env.run(["trash", "restore", id]).expect(8);
}

#[test]
fn a_copy_without_a_task_that_holds_work_stays_where_it_is() {
    let (env, _) = reviewed();
    let stray = env.data().join("tasks").join(STRANGER);
    copy_folder(&task_folder(&env), &stray);
    fs::write(
        copy_in(&stray).join("new.txt"),
        "work that is nowhere else\n",
    )
    .unwrap();
    for more in [&[][..], &["--fix"]] {
        doctor(&env, more).expect(7, &[("workspace_dirty_unkept", false)]);
    }
    assert!(copy_in(&stray).join("new.txt").exists());
    // One that nobody can look into is not clean either.
    fs::remove_dir_all(stray.join("workspace/.nexus-workspace")).unwrap();
    doctor(&env, &["--fix"]).expect(7, &[("workspace_dirty_unkept", false)]);
    assert!(copy_in(&stray).join("new.txt").exists());
}

#[test]
fn leftovers_of_a_task_without_a_record_are_put_aside_and_strangers_stay() {
    let (env, _) = reviewed();
    let tasks = env.data().join("tasks");
    env.write(
        &format!("data/tasks/{STRANGER}/transcripts/1.jsonl"),
        "{}\n",
    );
    env.write("data/tasks/notes/of-mine.txt", "mine");
    let outside = env.write("outside/mine.txt", "mine");
    let link = "0190a3c4-0000-7000-8000-000000000002";
    symlink(outside.parent().unwrap(), tasks.join(link)).unwrap();
    env.write(&format!("data/projects/{STRANGER}/git/HEAD"), "");
    let left = doctor(&env, &["--fix"]).expect(
        0,
        &[
            ("folder_foreign", false),
            ("folder_foreign", false),
            ("repository_orphan", false),
            ("transcript_orphan", true),
        ],
    );
    let aside = left.first("transcript_orphan");
    assert_eq!(aside["what"], tasks.join(STRANGER).to_str().unwrap());
    assert!(!tasks.join(STRANGER).exists());
    assert!(tasks.join("notes/of-mine.txt").exists() && tasks.join(link).exists());
    assert!(outside.exists());
}

#[test]
fn conversations_are_moved_only_when_they_are_proved_to_be_ours() {
    let (env, _) = reviewed();
    let sessions = env.run(["sessions", "list", "--json"]).expect(0).stdout;
    let sessions: Value = serde_json::from_str(&sessions).unwrap();
    let conversations = env.home().join(".claude/projects");
    let file_of = |id: &Value| {
        let name = format!("{}.jsonl", id.as_str().unwrap());
        let all = files_under(&conversations);
        let found = all.iter().find(|path| path.ends_with(&name)).unwrap();
        conversations.join(found)
    };
    let first = file_of(&sessions[0]["id"]);
    let second = file_of(&sessions[1]["id"]);
    let whole = fs::read(&first).unwrap();
    fs::write(&first, "{\"type\":\"user\"}\n").unwrap();
    fs::rename(&second, env.root().join("elsewhere")).unwrap();
    for more in [&[][..], &["--fix"]] {
        let expected = [
            ("session_file_foreign", false),
            ("session_file_missing", false),
        ];
        doctor(&env, more).expect(7, &expected);
    }
    assert_eq!(fs::read_to_string(&first).unwrap(), "{\"type\":\"user\"}\n");
    fs::write(&first, whole).unwrap();
    fs::rename(env.root().join("elsewhere"), &second).unwrap();
    doctor(&env, &[]).expect(0, &[]);

    // The record of the task is lost, with no backup; its folder and conversations are left.
    for file in ["nexus.db", "nexus.head", "nexus.db-wal", "nexus.db-shm"] {
        fs::remove_file(env.data().join(file)).ok();
    }
    fs::remove_dir_all(env.data().join("backups")).ok();
    let other = env.project("other");
    env.execute(&other, &[]).expect(0);
    let mended = doctor(&env, &["--fix"]);
    let orphans = mended.codes().into_iter();
    let orphans = orphans.filter(|found| *found == ("session_file_orphan".to_owned(), true));
    assert_eq!(orphans.count(), 4, "{:#}", mended.said);
    assert!(!first.exists());
    let item = trash(&env)
        .into_iter()
        .find(|item| item["from"] == first.to_str().unwrap())
        .unwrap();
    env.run(["trash", "restore", item["id"].as_str().unwrap()])
        .expect(0);
    assert!(first.exists());
}

#[test]
fn a_damaged_store_is_replaced_by_its_backup_and_kept() {
    let (env, _) = reviewed();
    let before = env.task("T-1");
    let backups = files_under(&env.data().join("backups"));
    assert!(!backups.is_empty(), "no backup was made");
    let damaged = damage(&env);
    env.run(["task", "list"]).expect(7);
    let found = doctor(&env, &[]).expect(7, &[("store_corrupt", false)]);
    assert_eq!(found.first("store_corrupt")["severity"], "error");
    assert_looking_changes_nothing(&env);
    // What was added of the damaged file may not be in the summaries.
    let mended = [("store_corrupt", true), ("summaries_doubtful", true)];
    doctor(&env, &["--fix"]).expect(0, &mended);
    let aside = env.data().join("set-aside");
    let kept = files_under(&aside).into_iter();
    let kept = kept.filter(|path| path.ends_with("nexus.db"));
    let kept: Vec<_> = kept
        .map(|path| fs::read(aside.join(path)).unwrap())
        .collect();
    assert_eq!(kept, [damaged]);
    assert_eq!(env.task("T-1"), before);
    doctor(&env, &[]).expect(0, &[("set_aside_present", false)]);
    env.run(["task", "accept", "T-1"]).expect(0);
}

#[test]
fn a_damaged_store_without_a_backup_is_left_as_it_is() {
    let (env, _) = reviewed();
    fs::remove_dir_all(env.data().join("backups")).ok();
    let damaged = damage(&env);
    let found = doctor(&env, &["--fix"]).expect(7, &[("store_corrupt", false)]);
    assert_eq!(found.first("store_corrupt")["fix"], Value::Null);
    assert_eq!(fs::read(env.data().join("nexus.db")).unwrap(), damaged);
}

/// Changes a word of the log, and gives the file as it is then.
fn damage(env: &TestEnv) -> Vec<u8> {
    let file = env.data().join("nexus.db");
    let store = rusqlite::Connection::open(&file).unwrap();
    store
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    drop(store);
    let mut bytes = fs::read(&file).unwrap();
    let wish = b"Mend the greeting";
    let places: Vec<_> = (0..bytes.len() - wish.len())
        .filter(|at| bytes[*at..].starts_with(wish))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] = b'B';
    }
    fs::write(&file, &bytes).unwrap();
    bytes
}

#[test]
fn a_store_that_is_gone_comes_back_from_its_backup() {
    let (env, _) = reviewed();
    let before = env.task("T-1");
    fs::remove_file(env.data().join("nexus.db")).unwrap();
    doctor(&env, &[]).expect(7, &[("store_missing", false)]);
    assert_looking_changes_nothing(&env);
    let mended = doctor(&env, &["--fix"]);
    assert_eq!(mended.code, 0, "{:#}", mended.said);
    assert!(mended.codes().contains(&("store_missing".to_owned(), true)));
    assert_eq!(env.task("T-1"), before);
}

#[test]
fn a_newer_store_is_left_alone() {
    let (env, _) = reviewed();
    let file = env.data().join("nexus.db");
    let store = rusqlite::Connection::open(&file).unwrap();
    store.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let before = fs::read(&file).unwrap();
    let found = doctor(&env, &["--fix"]);
    assert_eq!(found.codes(), [("store_newer".to_owned(), false)]);
    assert_eq!(found.code, 7);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn missing_scratchpads_are_written_anew() {
    let (env, _) = reviewed();
    let pads = task_folder(&env).join("scratchpads");
    let before: Vec<_> = files_under(&pads)
        .iter()
        .map(|name| fs::read(pads.join(name)).unwrap())
        .collect();
    assert_eq!(before.len(), 6);
    fs::remove_dir_all(&pads).unwrap();
    doctor(&env, &[]).expect(7, &[("scratchpads_missing", false)]);
    doctor(&env, &["--fix"]).expect(0, &[("scratchpads_missing", true)]);
    let after: Vec<_> = files_under(&pads)
        .iter()
        .map(|name| fs::read(pads.join(name)).unwrap())
        .collect();
    assert_eq!(after, before);
}

#[test]
fn what_is_lost_for_good_is_told() {
    let (env, project) = reviewed();
    fs::rename(&project, env.root().join("moved")).unwrap();
    let repositories = env.data().join("projects");
    fs::rename(&repositories, env.root().join("projects")).unwrap();
    let expected = [("project_missing", false), ("repository_missing", false)];
    doctor(&env, &["--fix"]).expect(7, &expected);
    fs::rename(env.root().join("moved"), &project).unwrap();
    fs::rename(env.root().join("projects"), &repositories).unwrap();
    doctor(&env, &[]).expect(0, &[]);
}

#[test]
fn while_nexus_works_the_doctor_only_looks() {
    let env = TestEnv::new();
    let project = env.project("shop");
    let go = env.hold_at("code");
    let running = env.start_execute(&project, &[]);
    env.await_prompt("code");
    let stray = env.write(
        &format!("data/tasks/{STRANGER}/transcripts/1.jsonl"),
        "{}\n",
    );
    fs::set_permissions(env.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let looked = doctor(&env, &[]).expect(7, &[("permissions_loose", false)]);
    assert_eq!(looked.said["owned"], true);
    let refused = doctor(&env, &["--fix"]).expect(9, &[("permissions_loose", false)]);
    assert_eq!(refused.said["owned"], true);
    assert_eq!(mode(&env.data()), 0o755);
    assert!(stray.exists());
    fs::write(go, "").unwrap();
    running.wait().expect(0);
    let mended = [("permissions_loose", true), ("transcript_orphan", true)];
    doctor(&env, &["--fix"]).expect(0, &mended);
}

#[test]
fn key_figures_are_those_of_the_log_and_practice_counts_for_nothing() {
    let env = TestEnv::new();
    let figures = |env: &TestEnv| -> Vec<Value> {
        let told = env.run(["kpi", "--json"]).expect(0).stdout;
        serde_json::from_str(&told).unwrap()
    };
    let none = figures(&env);
    assert_eq!(none.len(), 11);
    for figure in &none {
        assert_eq!(figure["value"], Value::Null, "{figure}");
        assert!(
            figure["text"]
                .as_str()
                .unwrap()
                .starts_with("not measured yet")
        );
    }
    assert!(!env.data().exists());

    env.script(&rules(good_team()));
    let project = env.project("shop");
    env.execute(&project, &["--accept"]).expect(0);
    let some = figures(&env);
    let of = |code: &str| some.iter().find(|it| it["code"] == code).unwrap();
    assert_eq!(of("task_completion_rate")["value"], 100.0);
    assert_eq!(of("task_completion_rate")["sample"], 1);
    assert_eq!(of("collaboration_efficiency")["sample"], 3);
    assert_eq!(of("response_time")["sample"], 4);
    assert_eq!(of("session_uptime")["value"], 100.0);
    assert_eq!(of("test_coverage")["value"], Value::Null);
    assert_eq!(of("user_satisfaction")["value"], Value::Null);
    let text = env.run(["kpi"]).expect(0).stdout;
    assert!(
        text.contains("not measured yet: nobody was asked"),
        "{text}"
    );
}

/// A copy of a folder with all that is in it.
fn copy_folder(from: &Path, to: &Path) {
    let copied = program("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}
