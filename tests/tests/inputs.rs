//! What a person can give to `nexus` that cannot work: each time a clear error with the next
//! step and a documented exit code, no task, and nothing half-made left behind.
#![expect(
    clippy::unwrap_used,
    reason = "what these tests set up works, or the test has to stop"
)]

use nexus_tests::env::{
    Ended, TASK, TestEnv, files_under, find_program, good_team, program, rules, until,
};
use serde_json::json;
use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

fn ready() -> (TestEnv, PathBuf) {
    let env = TestEnv::new();
    env.script(&rules(good_team()));
    let project = env.project("shop");
    (env, project)
}

/// The files of a data folder in which nothing was ever done, besides the store's backups.
const OF_THE_STORE: [&str; 6] = [
    "nexus.db",
    "nexus.db-shm",
    "nexus.db-wal",
    "nexus.head",
    "owner.lock",
    "reserve",
];

/// Panics unless this run was refused with this code, in words that hold all of `says`, and
/// left no trace.
#[track_caller]
fn refused(env: &TestEnv, ended: Ended, code: i32, says: &[&str]) {
    let ended = ended.expect(code);
    let [error] = ended.stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("not one line: {ended:?}");
    };
    for said in says.iter().chain(&["nexus: "]) {
        assert!(error.contains(said), "{said:?} is not in {error:?}");
    }
    no_trace(env);
}

#[track_caller]
fn no_trace(env: &TestEnv) {
    assert_eq!(env.tasks(), [json!(null); 0]);
    let files = env.data_files();
    let own = |file: &String| OF_THE_STORE.contains(&file.as_str()) || file.starts_with("backups/");
    assert!(files.iter().all(own), "{files:?}");
    env.assert_nothing_runs();
}

/// `nexus execute` on a folder, as a person types it.
fn execute(env: &TestEnv, folder: impl AsRef<OsStr>) -> Ended {
    let args = ["execute", "--task", TASK, "--project"].map(OsStr::new);
    env.run(args.into_iter().chain([folder.as_ref()]))
}

#[test]
fn a_folder_that_is_not_there() {
    let (env, _) = ready();
    let ended = execute(&env, "shpo");
    refused(
        &env,
        ended,
        1,
        &["shpo: there is no such folder", "check the path"],
    );
}

#[test]
fn a_file_instead_of_a_folder() {
    let (env, project) = ready();
    let ended = execute(&env, project.join("greeting.txt"));
    refused(
        &env,
        ended,
        1,
        &["greeting.txt: it is a file", "name the folder"],
    );
}

#[test]
fn the_whole_file_system_and_the_home_folder_and_what_holds_it() {
    let (env, _) = ready();
    let ended = execute(&env, "/");
    refused(
        &env,
        ended,
        1,
        &["/: it is the whole file system", "choose"],
    );
    let ended = execute(&env, env.home());
    refused(&env, ended, 1, &["home: it is your home folder", "choose"]);
    let ended = execute(&env, env.root());
    refused(&env, ended, 1, &["it holds your home folder", "choose"]);
    symlink(env.home(), env.root().join("link")).unwrap();
    let ended = execute(&env, "link");
    refused(&env, ended, 1, &["home: it is your home folder", "choose"]);
}

#[test]
fn the_own_data_folder() {
    let (env, project) = ready();
    env.execute(&project, &[]).expect(0);
    let ended = execute(&env, env.data().join("tasks")).expect(1);
    assert!(ended.stderr.contains("NEXUS's own data"), "{ended:?}");
    assert_eq!(env.tasks().len(), 1);
}

#[test]
fn a_folder_and_a_file_without_the_right_to_read_them() {
    let (mut env, project) = ready();
    let closed = env.root().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let secret = env.write("shop/secret.txt", "mine\n");
    fs::set_permissions(secret, fs::Permissions::from_mode(0o000)).unwrap();
    env.bound_by_rights();
    let ended = execute(&env, &closed);
    refused(
        &env,
        ended,
        1,
        &["closed: Permission denied", "make it readable"],
    );
    let ended = execute(&env, &project);
    assert_ne!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stderr.contains("secret.txt") && ended.stderr.contains("make it readable"),
        "{ended:?}"
    );
    env.assert_nothing_runs();
}

#[test]
fn a_file_that_is_too_large_unless_it_is_ignored() {
    let (env, project) = ready();
    let film = File::create(project.join("film.mkv")).unwrap();
    // Sparse: it has a size and no content.
    film.set_len(3 << 30).unwrap();
    let ended = execute(&env, &project);
    refused(
        &env,
        ended,
        1,
        &["film.mkv (3 GiB)", "512 MiB", ".gitignore", "exclude"],
    );
    fs::write(project.join(".gitignore"), "*.mkv\n").unwrap();
    env.execute(&project, &[]).expect(0);
}

#[test]
fn too_many_files_unless_they_are_ignored() {
    let (env, project) = ready();
    let heap = project.join("shots");
    for number in 0..100 {
        let folder = heap.join(number.to_string());
        fs::create_dir_all(&folder).unwrap();
        for number in 0..1001 {
            File::create(folder.join(number.to_string())).unwrap();
        }
    }
    let ended = execute(&env, &project);
    refused(
        &env,
        ended,
        1,
        &["100000 is the limit", "shots/", ".gitignore", "exclude"],
    );
    fs::write(project.join(".gitignore"), "shots\n").unwrap();
    env.execute(&project, &[]).expect(0);
}

#[test]
fn a_broken_git_repository() {
    let (env, project) = ready();
    let made = program("git")
        .args(["init", "--quiet"])
        .current_dir(&project)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    fs::write(project.join(".git/HEAD"), "garbage\u{0}\n").unwrap();
    let ended = execute(&env, &project);
    refused(&env, ended, 1, &["shop/.git", "HEAD", "repair it"]);
}

#[test]
fn a_configuration_that_cannot_be_understood() {
    let (env, project) = ready();
    fs::write(
        project.join(".nexus/config.toml"),
        "[checks]\ncommand = [\"make\"]\n",
    )
    .unwrap();
    let ended = execute(&env, &project);
    refused(&env, ended, 1, &[".nexus/config.toml at line 2", "command"]);
}

#[test]
fn no_agent_program() {
    let (mut env, project) = ready();
    env.set("NEXUS_CLAUDE_PROGRAM", "/no/such/claude");
    let ended = execute(&env, &project);
    refused(&env, ended, 7, &["/no/such/claude", "NEXUS_CLAUDE_PROGRAM"]);
}

#[test]
fn no_agent_program_anywhere() {
    let (mut env, project) = ready();
    env.unset("NEXUS_CLAUDE_PROGRAM");
    env.only_programs(&["git", "sh", "grep"]);
    let ended = execute(&env, &project);
    // Where one is installed for the whole machine, it is found and has no login here.
    let of_machine = ["/usr/local/bin/claude", "/opt/homebrew/bin/claude"];
    if of_machine.iter().any(|path| Path::new(path).exists()) {
        refused(&env, ended, 6, &["log in"]);
    } else {
        refused(&env, ended, 7, &["install it", "NEXUS_CLAUDE_PROGRAM"]);
    }
}

#[test]
fn no_git() {
    let (mut env, project) = ready();
    env.set("PATH", env.root().join("home"));
    let ended = execute(&env, &project);
    refused(&env, ended, 7, &["find git", "install git"]);
}

#[test]
fn an_agent_program_that_is_too_old() {
    let (env, project) = ready();
    env.script(&json!({"version": "2.0.1 (Claude Code)"}));
    let ended = execute(&env, &project);
    refused(
        &env,
        ended,
        7,
        &["Claude Code 2.0.1", "2.1.197", "claude update"],
    );
}

#[test]
fn an_agent_program_that_is_none() {
    let (mut env, project) = ready();
    env.set("NEXUS_CLAUDE_PROGRAM", find_program("true").unwrap());
    let ended = execute(&env, &project);
    refused(&env, ended, 7, &["true", "NEXUS_CLAUDE_PROGRAM"]);
}

#[test]
fn no_login_and_no_key() {
    let (env, project) = ready();
    env.script(&json!({"logged_in": false}));
    let ended = execute(&env, &project);
    refused(
        &env,
        ended,
        6,
        &["not logged in", "nexus keys set anthropic"],
    );
}

#[test]
fn a_login_is_sent_to_no_other_address() {
    let (mut env, project) = ready();
    env.set("NEXUS_ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
    let ended = execute(&env, &project);
    refused(&env, ended, 6, &["http://127.0.0.1:9", "key"]);
    // A key may go there.
    env.set("ANTHROPIC_API_KEY", "dummy-key");
    env.execute(&project, &[]).expect(0);
}

#[test]
fn an_address_that_is_none_or_not_encrypted() {
    for (address, says) in [
        ("gateway", "gateway"),
        ("http://gateway.example", "https"),
        ("https://me:pass@gateway.example", "save the key in NEXUS"),
    ] {
        for variable in ["NEXUS_ANTHROPIC_BASE_URL", "NEXUS_OPENAI_BASE_URL"] {
            let (mut env, project) = ready();
            env.set(variable, address);
            let ended = execute(&env, &project).expect(2);
            assert!(ended.stderr.contains(says), "{ended:?}");
            assert!(!ended.stderr.contains("pass@"), "{ended:?}");
            env.unset(variable);
            no_trace(&env);
        }
    }
}

#[test]
fn a_source_of_keys_that_is_not_known() {
    let (mut env, project) = ready();
    env.set("NEXUS_SECRETS", "file");
    let ended = execute(&env, &project).expect(7);
    assert!(ended.stderr.contains("NEXUS_SECRETS"), "{ended:?}");
    env.set("NEXUS_SECRETS", "env");
    no_trace(&env);
}

fn execute_reading(env: &TestEnv, project: &Path, text: &str) -> Ended {
    let folder = project.to_str().unwrap();
    env.run_with_input(["execute", "--task", "-", "--project", folder], text)
}

#[test]
fn a_task_without_words() {
    let (env, project) = ready();
    let folder = project.to_str().unwrap();
    let ended = env.run(["execute", "--task", "", "--project", folder]);
    refused(
        &env,
        ended,
        2,
        &["the task is empty", "say what you want done"],
    );
    let ended = execute_reading(&env, &project, " \n\t\n");
    refused(
        &env,
        ended,
        2,
        &["the task is empty", "say what you want done"],
    );
}

#[test]
fn a_task_that_is_too_long() {
    let (env, project) = ready();
    let fits = "word ".repeat(52_000);
    let ended = execute_reading(&env, &project, &"word ".repeat(52_629));
    refused(
        &env,
        ended,
        2,
        &["263145 bytes", "262144", "file of the project"],
    );
    let ended = execute_reading(&env, &project, &fits).expect(0);
    assert!(ended.stdout.contains("review"), "{ended:?}");
    assert!(env.prompts("aria")[0].contains(fits.trim()));
}

#[test]
fn a_task_with_a_nul() {
    let (env, project) = ready();
    let ended = execute_reading(&env, &project, "mend\0it");
    refused(&env, ended, 2, &["NUL", "remove it"]);
}

#[test]
fn a_task_that_is_not_utf_8() {
    let (env, project) = ready();
    let input = env.root().join("input");
    fs::write(&input, b"mend \xff it").unwrap();
    let folder = project.to_str().unwrap();
    let mut command = env.command(["execute", "--task", "-", "--project", folder]);
    command.stdin(File::open(input).unwrap());
    let ended = command.output().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    no_trace(&env);
}

#[test]
fn a_cost_cap_of_nothing() {
    for cap in ["0", "-1", "NaN", "inf", "much"] {
        let (env, project) = ready();
        let budget = format!("--budget={cap}");
        let folder = project.to_str().unwrap();
        let ended = env.run(["execute", "--task", TASK, "--project", folder, &budget]);
        assert_eq!(ended.code, 2, "{cap}: {ended:?}");
        no_trace(&env);
    }
}

#[test]
fn a_data_folder_that_is_a_file() {
    let (mut env, project) = ready();
    let file = env.write("taken", "mine\n");
    env.set("NEXUS_DATA_DIR", &file);
    for args in [
        &[
            "execute",
            "--task",
            TASK,
            "--project",
            project.to_str().unwrap(),
        ][..],
        &["task", "accept", "T-1"],
    ] {
        let ended = env.run(args).expect(7);
        assert!(ended.stderr.contains("taken"), "{ended:?}");
        assert!(ended.stderr.contains("NEXUS_DATA_DIR"), "{ended:?}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine\n");
}

#[test]
fn a_data_folder_without_the_right_to_write() {
    let (mut env, project) = ready();
    let closed = env.root().join("closed");
    fs::create_dir(&closed).unwrap();
    env.bound_by_rights();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    for data in [closed.clone(), closed.join("data")] {
        env.set("NEXUS_DATA_DIR", &data);
        let ended = execute(&env, &project).expect(7);
        assert!(ended.stderr.contains("closed"), "{ended:?}");
        assert!(ended.stderr.contains("NEXUS_DATA_DIR"), "{ended:?}");
    }
    assert_eq!(files_under(&closed), [""; 0]);
}

#[test]
fn a_damaged_store_is_not_worked_with() {
    let (env, project) = ready();
    env.execute(&project, &[]).expect(0);
    let store = env.data().join("nexus.db");
    // Whatever is still beside the store belongs to it.
    let kept = |name: &str| {
        fs::read(env.data().join(name))
            .ok()
            .map(|bytes| (name.to_owned(), bytes))
    };
    let good: Vec<_> = ["nexus.db", "nexus.db-wal"]
        .into_iter()
        .filter_map(kept)
        .collect();
    for (name, _) in &good {
        fs::write(env.data().join(name), b"this is no database at all").unwrap();
    }
    for args in [
        &["execute", "--task", TASK, "--project", "shop"][..],
        &["task", "list"],
        &["status"],
    ] {
        let ended = env.run(args).expect(7);
        assert!(ended.stderr.contains("nexus.db"), "{ended:?}");
    }
    assert_eq!(fs::read(&store).unwrap(), b"this is no database at all");
    for (name, bytes) in good {
        fs::write(env.data().join(name), bytes).unwrap();
    }
    assert_eq!(env.tasks().len(), 1);
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let (env, _) = ready();
    for args in [
        &[
            "execute",
            "--task",
            TASK,
            "--project",
            "shop",
            "--speed",
            "9",
        ][..],
        &["execute", "--task", TASK],
        &["execute", "--project", "shop"],
        &[
            "execute",
            "--task",
            TASK,
            "--project",
            "shop",
            "--team",
            "red",
        ],
        &[
            "execute",
            "--task",
            TASK,
            "--project",
            "shop",
            "--permissions",
            "root",
        ],
        &["exceute"],
        &["task"],
        &["keys", "set", "aws"],
        &[],
    ] {
        let ended = env.run(args).expect(2);
        assert!(ended.stderr.contains("--help"), "{ended:?}");
    }
    assert!(!env.data().exists(), "a data folder for nothing");
}

#[test]
fn a_task_that_is_not_there() {
    let (env, project) = ready();
    env.execute(&project, &[]).expect(0);
    for operation in [
        "show", "diff", "accept", "discard", "cancel", "pause", "restore", "resume",
    ] {
        let ended = env.run(["task", operation, "T-7"]).expect(8);
        assert!(
            ended.stderr.contains("no task T-7") && ended.stderr.contains("nexus task list"),
            "{ended:?}"
        );
    }
    for name in ["../T-1", "T-1/accept", "", "%2e"] {
        let ended = env.run(["task", "show", name]);
        assert_ne!(ended.code, 0, "{name:?}: {ended:?}");
    }
}

#[test]
fn as_ndjson_an_error_is_a_line_too() {
    let (env, _) = ready();
    let ended = env.execute(Path::new("shpo"), &[]).expect(1);
    let [line] = &ended.lines()[..] else {
        panic!("{ended:?}");
    };
    assert_eq!(line["type"], "error");
    assert_eq!(line["code"], "bad_folder");
    assert!(line["detail"].as_str().unwrap().contains("no such folder"));
    assert!(ended.stderr.contains("no such folder"));
}

#[test]
fn an_owner_that_does_not_answer_is_named() {
    let (env, project) = ready();
    env.run(["doctor"]);
    fs::create_dir_all(env.data()).unwrap();
    // Somebody who holds the lock and never listens.
    let lock = env.data().join("owner.lock");
    let held = File::create(&lock).unwrap();
    held.lock().unwrap();
    let running = env.start_execute(&project, &[]);
    until("it has found the lock", || running.pid() > 0);
    let ended = running.wait().expect(7);
    assert!(
        ended.stderr.contains("another NEXUS owns") && ended.stderr.contains("try again"),
        "{ended:?}"
    );
}
