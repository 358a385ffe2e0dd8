//! The other commands: their help, looking without touching, keys, the doctor, the
//! demonstration, and steering a task from a second terminal.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_tests::env::{TASK, TestEnv, find_program, good_team, rules};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

const COMMANDS: [&str; 43] = [
    "",
    "execute",
    "resume",
    "stop",
    "status",
    "task",
    "task list",
    "task show",
    "task diff",
    "task plan",
    "task say",
    "task messages",
    "task accept",
    "task discard",
    "task cancel",
    "task restore",
    "task pause",
    "task resume",
    "task priority",
    "task unchain",
    "task limits",
    "task request-changes",
    "templates",
    "agents",
    "approvals",
    "approvals list",
    "approvals answer",
    "approvals rules",
    "approvals revoke",
    "sessions",
    "sessions list",
    "sessions replace",
    "limits",
    "doctor",
    "trash",
    "trash list",
    "trash restore",
    "kpi",
    "keys",
    "keys set",
    "keys list",
    "keys remove",
    "demo",
];

#[test]
fn every_command_explains_itself() {
    let mut env = TestEnv::new();
    env.set("COLUMNS", "96");
    for command in COMMANDS {
        let ended = env
            .run(command.split_whitespace().chain(["--help"]))
            .expect(0);
        assert_eq!(ended.stderr, "");
        let name = format!("help {command}").trim().replace(' ', "_");
        insta::assert_snapshot!(name, ended.stdout);
    }
    assert!(!env.data().exists());
}

#[test]
fn no_command_is_missing_among_those_that_explain_themselves() {
    let env = TestEnv::new();
    for parent in ["", "task", "approvals", "sessions", "trash", "keys"] {
        let help = env
            .run(parent.split_whitespace().chain(["--help"]))
            .expect(0)
            .stdout;
        let list = help.split("Commands:\n").nth(1).unwrap();
        let list = list.split("\n\n").next().unwrap();
        let mut named = 0;
        for line in list.lines().filter(|line| !line.starts_with("   ")) {
            let name = line.split_whitespace().next().unwrap();
            let command = format!("{parent} {name}").trim().to_owned();
            assert!(
                name == "help" || COMMANDS.contains(&command.as_str()),
                "{command}"
            );
            named += 1;
        }
        assert!(named > 1, "{help}");
    }
}

#[test]
fn the_version_is_told() {
    let told = TestEnv::new().run(["--version"]).expect(0).stdout;
    assert_eq!(told, format!("nexus {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn looking_makes_nothing_and_wakes_nobody() {
    let env = TestEnv::new();
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["agents"],
        &["agents", "--json"],
        &["task", "list"],
        &["task", "list", "--json"],
        &["keys", "list"],
        &["doctor"],
        &["doctor", "--json"],
        &["templates"],
        &["templates", "--json"],
    ] {
        let ended = env.run(args).expect(0);
        assert!(
            !ended.stdout.is_empty() && ended.stderr.is_empty(),
            "{ended:?}"
        );
        assert!(!env.data().exists(), "{args:?} made the data folder");
    }
    assert_eq!(env.run(["task", "list", "--json"]).expect(0).stdout, "[]\n");
    env.run(["task", "show", "T-1"]).expect(8);
    assert!(!env.data().exists());
    assert_eq!(env.log(), [json!(null); 0]);
}

#[test]
fn the_templates_are_listed_with_their_fields_and_those_of_the_project() {
    let env = TestEnv::new();
    let project = env.project("my shop");
    env.write("my shop/.nexus/templates/release.toml", RELEASE);
    env.write("my shop/.nexus/templates/odd.toml", "title = \n");
    let told = env.run(["templates"]).expect(0);
    for said in [
        "bug-fix: Bug fix with tests\n",
        "--field symptom=…",
        "required",
        "critical, high, normal or low; normal by default",
    ] {
        assert!(told.stdout.contains(said), "{said}: {told:?}");
    }
    assert!(!told.stdout.contains("release"), "{told:?}");
    let folder = project.to_str().unwrap();
    for folder in [folder, "my shop"] {
        let told = env.run(["templates", "--project", folder]).expect(0);
        assert!(told.stdout.contains("release: Release  (of the project)\n"));
        assert!(
            told.stderr
                .contains(".nexus/templates/odd.toml is no template: line 1"),
            "{told:?}"
        );
    }
    let json = env.run(["templates", "--project", folder, "--json"]);
    let json: Value = serde_json::from_str(&json.expect(0).stdout).unwrap();
    assert_eq!(json["templates"][5]["fields"][0]["name"], "version");
    assert_eq!(json["broken"][0]["file"], ".nexus/templates/odd.toml");
    assert!(!env.data().exists());
}

const RELEASE: &str = "title = 'Release'\ntext = 'Release {{version}}'\n[[field]]\nname = 'version'\nlabel = 'Version'\nkind = 'text'\n";

#[test]
fn the_status_names_the_seats_and_their_state() {
    let env = TestEnv::new();
    let status: Value = serde_json::from_str(&env.run(["status", "--json"]).stdout).unwrap();
    let agents = env.run(["agents", "--json"]).stdout;
    assert_eq!(
        status["agents"],
        serde_json::from_str::<Value>(&agents).unwrap()
    );
    let seats = status["agents"].as_array().unwrap().iter();
    let seats: Vec<_> = seats.map(|seat| (&seat["role"], &seat["state"])).collect();
    let roles = ["prime", "aria", "code", "alpha", "beta"].map(Value::from);
    let idle = json!("idle");
    assert_eq!(
        seats,
        roles.iter().map(|role| (role, &idle)).collect::<Vec<_>>()
    );
}

#[test]
fn keys_from_the_environment_are_shown_by_their_end_and_not_changed() {
    let mut env = TestEnv::new();
    env.set("ANTHROPIC_API_KEY", "dummy-key-for-tests-wxyz");
    let list = env.run(["keys", "list"]).expect(0).stdout;
    assert!(
        list.contains("anthropic") && list.contains("wxyz"),
        "{list}"
    );
    assert!(!list.contains("dummy"), "{list}");
    for (args, input) in [
        (["keys", "set", "anthropic"], "dummy-key-number-two\n"),
        (["keys", "remove", "anthropic"], ""),
    ] {
        let refused = env.run_with_input(args, input).expect(7);
        for said in ["NEXUS_SECRETS=env", "ANTHROPIC_API_KEY"] {
            assert!(refused.stderr.contains(said), "{refused:?}");
        }
        assert!(!refused.stderr.contains("dummy"), "{refused:?}");
    }
    assert!(!env.data().exists());
}

#[test]
fn without_a_keychain_a_key_cannot_be_saved_and_the_login_still_works() {
    let mut env = TestEnv::new();
    env.script(&rules(good_team()));
    let project = env.project("shop");
    // No session bus, so no keychain.
    env.unset("NEXUS_SECRETS");
    env.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/no/such/bus");
    let refused = env.run_with_input(["keys", "set", "anthropic"], "dummy-key-number-two\n");
    let refused = refused.expect(7);
    assert!(refused.stderr.contains("NEXUS_SECRETS=env"), "{refused:?}");
    assert!(!refused.stderr.contains("dummy"), "{refused:?}");
    env.execute(&project, &[]).expect(0);
}

/// What the doctor says, by the codes of its checks.
fn doctor(env: &TestEnv, code: i32) -> Value {
    let found: Value =
        serde_json::from_str(&env.run(["doctor", "--json"]).expect(code).stdout).unwrap();
    assert_eq!(found["ready"], code == 0);
    for check in found["checks"].as_array().unwrap() {
        for key in ["code", "title", "state", "found", "fix"] {
            assert!(check[key].is_string(), "{check}");
        }
        let state = check["state"].as_str().unwrap();
        assert!(["ok", "warning", "broken"].contains(&state), "{check}");
        assert!(state == "ok" || check["fix"] != "", "no next step: {check}");
    }
    let by_code = found["checks"].as_array().unwrap().iter();
    by_code
        .map(|check| (check["code"].as_str().unwrap().to_owned(), check.clone()))
        .collect()
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_missing() {
    let mut env = TestEnv::new();
    let found = doctor(&env, 0);
    for (code, says) in [
        ("data_folder", env.data().to_str().unwrap()),
        ("git", "git"),
        ("claude", "2.1.330"),
        ("login", "max"),
    ] {
        let found = &found[code];
        assert_eq!(found["state"], "ok", "{found}");
        assert!(found["found"].as_str().unwrap().contains(says), "{found}");
    }
    env.script(&json!({"logged_in": false}));
    assert_eq!(doctor(&env, 7)["login"]["state"], "broken");
    env.set("ANTHROPIC_API_KEY", "dummy-key-for-tests");
    assert_eq!(doctor(&env, 0)["login"]["state"], "ok");
    env.set("NEXUS_CLAUDE_PROGRAM", "/no/such/claude");
    assert_eq!(doctor(&env, 7)["claude"]["state"], "broken");
    let told = env.run(["doctor"]).expect(7).stdout;
    assert!(told.contains("✗ Claude Code"), "{told}");
    assert!(!told.contains("dummy-key"), "{told}");
    assert!(!env.data().exists());
}

#[test]
fn the_demonstration_mends_the_sample_without_any_ai() {
    let mut env = TestEnv::new();
    env.unset("NEXUS_CLAUDE_PROGRAM");
    let ended = env.run(["demo", "--fast"]);
    if find_program("python3").or(find_program("node")).is_none() {
        let refused = ended.expect(7);
        assert!(refused.stderr.contains("python3 or Node.js"), "{refused:?}");
        return;
    }
    let ended = ended.expect(0);
    assert!(ended.stderr.contains("practice, no AI"), "{ended:?}");
    assert!(ended.stdout.contains("[practice, no AI]"), "{ended:?}");
    let task = env.task("T-1");
    assert_eq!(task["card"]["team"], "practice");
    assert_eq!(task["card"]["state"], "done");
    assert_eq!(task["card"]["standing"], "green");
    assert_eq!(task["baseline"]["checks"][0]["ok"], false);
    let files = task["files"].as_array().unwrap();
    assert!(!files.is_empty());
    let folder = PathBuf::from(task["folder"].as_str().unwrap());
    assert!(folder.starts_with(env.root()), "{folder:?}");
    for file in files {
        assert!(
            folder.join(file["path"].as_str().unwrap()).is_file(),
            "{file}"
        );
    }
    assert_eq!(env.log(), [json!(null); 0]);
    env.assert_nothing_runs();
}

#[test]
fn the_demonstration_stops_at_the_review_when_it_is_told_to() {
    let env = TestEnv::new();
    if find_program("python3").or(find_program("node")).is_none() {
        env.run(["demo", "--fast", "--no-accept"]).expect(7);
        return;
    }
    env.run(["demo", "--fast", "--no-accept"]).expect(0);
    assert_eq!(env.tasks()[0]["state"], "review");
    env.run(["task", "accept", "T-1"]).expect(0);
}

#[test]
fn the_demonstration_says_what_it_needs() {
    let mut env = TestEnv::new();
    env.only_programs(&["git", "sh"]);
    let refused = env.run(["demo", "--fast"]).expect(7);
    assert!(refused.stderr.contains("python3 or Node.js"), "{refused:?}");
    assert_eq!(env.tasks(), [json!(null); 0]);
}

/// A task that waits in the middle of Code's turn, and the file that lets it go on.
fn under_way() -> (TestEnv, PathBuf) {
    let env = TestEnv::new();
    env.project("shop");
    let go = env.hold_at("code");
    (env, go)
}

#[test]
fn a_second_terminal_sees_who_does_what() {
    let (env, go) = under_way();
    let running = env.start_execute("shop".as_ref(), &[]);
    env.await_prompt("code");
    let status: Value =
        serde_json::from_str(&env.run(["status", "--json"]).expect(0).stdout).unwrap();
    assert_eq!(status["tasks"][0]["state"], "working");
    assert_eq!(status["tasks"][0]["active_role"], "code");
    let seats = status["agents"].as_array().unwrap();
    let code = seats.iter().find(|seat| seat["role"] == "code").unwrap();
    assert_eq!(code["task_name"], "T-1");
    assert_ne!(code["state"], "idle");
    let told = env.run(["status"]).expect(0).stdout;
    assert!(told.contains("T-1") && told.contains(TASK), "{told}");
    fs::write(go, "").unwrap();
    running.wait().expect(0);
}

#[test]
fn a_second_terminal_pauses_and_goes_on() {
    let (env, go) = under_way();
    let running = env.start_execute("shop".as_ref(), &[]);
    env.await_prompt("code");
    let paused = env.run(["task", "pause", "T-1"]).expect(0);
    assert!(paused.stdout.contains("paused"), "{paused:?}");
    // Nothing is used up: it waits for the person who paused it.
    assert_eq!(running.wait().expect(4).result()["state"], "paused");
    env.assert_nothing_runs();
    fs::write(go, "").unwrap();
    let resumed = env.run(["task", "resume", "T-1"]).expect(0);
    assert!(resumed.stdout.contains("review"), "{resumed:?}");
}

#[test]
fn a_second_terminal_cancels_and_brings_back() {
    let (env, go) = under_way();
    let running = env.start_execute("shop".as_ref(), &[]);
    env.await_prompt("code");
    let cancelled = env.run(["task", "cancel", "T-1"]).expect(0);
    assert!(cancelled.stdout.contains("cancelled"), "{cancelled:?}");
    assert_eq!(running.wait().expect(1).result()["state"], "cancelled");
    env.assert_nothing_runs();
    env.run(["task", "resume", "T-1"]).expect(9);
    fs::write(go, "").unwrap();
    let restored = env.run(["task", "restore", "T-1"]).expect(0);
    assert!(restored.stdout.contains("paused"), "{restored:?}");
    let resumed = env.run(["task", "resume", "T-1"]).expect(0);
    assert!(resumed.stdout.contains("review"), "{resumed:?}");
    env.run(["task", "accept", "T-1"]).expect(0);
}

#[test]
fn a_diff_of_one_file_is_of_that_file() {
    let env = TestEnv::new();
    let mut team = good_team();
    let more = nexus_tests::env::write_file("sub dir/new & odd.txt", "new\n");
    team[1]["do"].as_array_mut().unwrap().insert(1, more);
    env.script(&rules(team));
    let project = env.project("shop");
    env.execute(&project, &[]).expect(0);
    let all = env.run(["task", "diff", "T-1"]).expect(0).stdout;
    assert!(
        all.contains("+hello world") && all.contains("+new"),
        "{all}"
    );
    let one = env.run(["task", "diff", "T-1", "--path", "sub dir/new & odd.txt"]);
    let one = one.expect(0).stdout;
    assert!(
        !one.contains("+hello world") && one.contains("+new"),
        "{one}"
    );
}
