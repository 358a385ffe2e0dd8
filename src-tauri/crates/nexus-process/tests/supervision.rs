//! Real small programs under a real guard: whatever they do, their ending is told right and
//! nothing of them is left.

#![expect(clippy::expect_used, reason = "what a test sets up has to work")]
#![expect(
    clippy::disallowed_methods,
    reason = "these tests look at guarded programs from outside, with programs that have no guard"
)]

use nexus_process::{
    Ended, Launcher, Output, Process, ProcessIdentity, Spawn, StartError, Stdin, Tag, find_tagged,
    identity_of, is_alive,
};
use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::{Duration, Instant},
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

const FIXTURE: &str = env!("CARGO_BIN_EXE_nexus-guard-fixture");
const TAG: &str = "NEXUS_TEST_TAG";

fn launcher() -> Launcher {
    Launcher::new(FIXTURE.into())
}

/// A tag that no other test has.
fn tag(name: &str) -> Tag {
    Tag {
        name: TAG.into(),
        value: format!("{name}-{}", std::process::id()).into(),
    }
}

fn tagged(tag: &Tag) -> Vec<ProcessIdentity> {
    find_tagged(&tag.name, &tag.value)
}

/// A shell script, with a tag by which everything it starts can be found.
fn script(name: &str, text: &str) -> (Spawn, Tag) {
    let tag = tag(name);
    let spawn = Spawn {
        args: vec!["-c".into(), text.into()],
        env: vec![("PATH".into(), std::env::var_os("PATH").expect("a PATH"))],
        tag: Some(tag.clone()),
        ..Spawn::new("/bin/sh", "/")
    };
    (spawn, tag)
}

fn fixture(args: &[&str]) -> Spawn {
    Spawn {
        args: args.iter().map(OsString::from).collect(),
        ..Spawn::new(FIXTURE, "/")
    }
}

/// Reads lines of stdout until the one that says `ready`.
async fn until_ready(process: &mut Process) {
    let mut lines = BufReader::new(process.stdout.as_mut().expect("a pipe")).lines();
    while lines.next_line().await.expect("reading").expect("ready") != "ready" {}
}

/// Stops it and says how it ended.
async fn stopped(process: &Process, grace: Duration) -> Ended {
    process.stop(grace).await.expect("nothing withstands")
}

async fn read_all(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("reading");
    text
}

/// Waits for something that becomes true by itself.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_exit_code_is_reported() {
    let (spawn, _) = script("exit", "exit 7");
    let process = launcher().spawn(spawn).await.expect("starting");
    assert_eq!(process.wait().await, Ended::Exited { code: 7 });
    assert_eq!(process.wait().await, Ended::Exited { code: 7 });
    assert!(!is_alive(process.identity()));
    assert!(!is_alive(process.guard_identity().expect("known on Linux")));
}

#[tokio::test]
async fn a_signal_is_reported() {
    let (spawn, _) = script("signal", "kill -USR1 $$");
    let process = launcher().spawn(spawn).await.expect("starting");
    assert_eq!(process.wait().await, Ended::Signalled { signal: 10 });
}

#[tokio::test]
async fn both_outputs_and_the_input_pass_through() {
    let (spawn, _) = script("streams", "cat; echo problem >&2");
    let spawn = Spawn {
        stdin: Stdin::Piped,
        ..spawn
    };
    let mut process = launcher().spawn(spawn).await.expect("starting");
    let mut stdin = process.stdin.take().expect("a pipe");
    stdin.write_all(b"hello").await.expect("writing");
    drop(stdin);
    let stdout = process.stdout.as_mut().expect("a pipe");
    assert_eq!(read_all(stdout).await, "hello");
    let stderr = process.stderr.as_mut().expect("a pipe");
    assert_eq!(read_all(stderr).await, "problem\n");
    assert_eq!(process.wait().await, Ended::Exited { code: 0 });
}

#[tokio::test]
async fn merged_output_keeps_its_order() {
    let (spawn, _) = script("merged", "echo one; echo two >&2; echo three");
    let spawn = Spawn {
        output: Output::Merged,
        ..spawn
    };
    let mut process = launcher().spawn(spawn).await.expect("starting");
    let stdout = process.stdout.as_mut().expect("a pipe");
    assert_eq!(read_all(stdout).await, "one\ntwo\nthree\n");
    assert!(process.stderr.is_none());
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let no_program = folder.path().join("no-such-program");
    let not_a_program = folder.path().join("text");
    std::fs::write(&not_a_program, "just text").expect("writing");
    let no_folder = folder.path().join("no-such-folder");
    let reason = |spawn| async {
        let refused = launcher().spawn(spawn).await.expect_err("cannot start");
        assert!(matches!(refused, StartError::Refused(_)), "{refused:?}");
        refused.to_string()
    };
    let missing = reason(Spawn::new(&no_program, "/")).await;
    assert!(
        missing.contains("no-such-program: No such file"),
        "{missing}"
    );
    let unfit = reason(Spawn::new(&not_a_program, "/")).await;
    assert!(unfit.contains("text: Permission denied"), "{unfit}");
    let nowhere = reason(Spawn::new("/bin/sh", &no_folder)).await;
    assert!(
        nowhere.contains("no-such-folder cannot be used"),
        "{nowhere}"
    );
}

#[tokio::test]
async fn arguments_too_long_for_the_system_are_refused() {
    let spawn = Spawn {
        args: vec!["x".repeat(300_000).into()],
        ..Spawn::new("/bin/true", "/")
    };
    let refused = launcher().spawn(spawn).await.expect_err("too long");
    assert!(refused.to_string().contains("too long"), "{refused}");
}

#[tokio::test]
async fn a_guard_that_is_none_is_noticed() {
    let refused = Launcher::new("/bin/true".into())
        .spawn(Spawn::new("/bin/true", "/"))
        .await
        .expect_err("/bin/true is no guard");
    assert!(matches!(refused, StartError::SilentGuard(_)), "{refused:?}");
    let refused = Launcher::new("/no/such/guard".into())
        .spawn(Spawn::new("/bin/true", "/"))
        .await
        .expect_err("there is no guard");
    assert!(matches!(refused, StartError::NoGuard { .. }), "{refused:?}");
}

#[tokio::test]
async fn names_are_looked_up_in_the_given_path_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let with_path = |program: &str, path: Option<&str>| Spawn {
        env: path
            .map(|path| ("PATH".into(), path.into()))
            .into_iter()
            .collect(),
        ..Spawn::new(program, folder.path())
    };
    let planted = folder.path().join("planted");
    std::fs::copy("/bin/true", &planted).expect("planting");

    for path in [None, Some(""), Some("."), Some(":"), Some("./:relative")] {
        let refused = launcher().spawn(with_path("planted", path)).await;
        assert!(matches!(refused, Err(StartError::NotInPath(_))), "{path:?}");
    }
    for program in ["./planted", "sub/planted", "../planted", ".", ".."] {
        let refused = launcher().spawn(with_path(program, Some("."))).await;
        assert!(
            matches!(refused, Err(StartError::RelativeProgram(_))),
            "{program}"
        );
    }
    let both = format!(".:{}", folder.path().display());
    let process = launcher().spawn(with_path("planted", Some(&both))).await;
    let ended = process.expect("starting").wait().await;
    assert_eq!(ended, Ended::Exited { code: 0 });
}

#[tokio::test]
async fn descriptors_need_numbers_of_their_own() {
    for target in [-1, 0, 2, 64] {
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        let spawn = Spawn {
            extra_fds: vec![(target, reader.into())],
            ..Spawn::new("/bin/true", "/")
        };
        let refused = launcher().spawn(spawn).await;
        assert!(
            matches!(refused, Err(StartError::BadDescriptors)),
            "{target}"
        );
    }
}

#[tokio::test]
async fn the_program_gets_what_it_is_given_and_nothing_else() {
    use std::{io::Write, os::unix::ffi::OsStrExt};
    let folder = tempfile::tempdir().expect("a folder");
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"dummy-key").expect("writing");
    drop(writer);
    let odd = OsStr::from_bytes(b"not \xff text\n--flag");
    let spawn = Spawn {
        args: vec!["show".into(), odd.into(), "".into()],
        env: vec![("ONLY".into(), "this".into())],
        extra_fds: vec![(7, reader.into())],
        stdin: Stdin::Null,
        ..Spawn::new(FIXTURE, folder.path())
    };
    let mut process = launcher().spawn(spawn).await.expect("starting");
    let shown = read_all(process.stdout.as_mut().expect("a pipe")).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");

    assert_eq!(shown["me"], serde_json::json!(process.identity()));
    assert_eq!(shown["env"], serde_json::json!([["ONLY", "this"]]));
    assert_eq!(shown["args"][0], serde_json::json!(FIXTURE.as_bytes()));
    assert_eq!(shown["args"][2], serde_json::json!(odd.as_bytes()));
    assert_eq!(shown["args"][3], serde_json::json!([]));
    assert_eq!(shown["stdin"], "");
    assert_eq!(shown["fd 7"], "dummy-key");
    let folder = folder.path().canonicalize().expect("the folder");
    assert_eq!(Path::new(shown["cwd"].as_str().expect("a path")), folder);
    assert_eq!(numbers_of(&shown["fds"]), [0, 1, 2, 7]);

    let status = shown["status"].as_str().expect("text");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let core = shown["limits"].as_str().expect("text").lines();
    let core: Vec<_> = core
        .filter(|line| line.starts_with("Max core file"))
        .collect();
    assert_eq!(
        core[0].split_whitespace().collect::<Vec<_>>()[4..6],
        ["0", "0"]
    );
    // Its own session and group, without a terminal.
    let stat = shown["stat"].as_str().expect("text");
    let (_, stat) = stat.rsplit_once(')').expect("a name in brackets");
    let stat: Vec<_> = stat.split_whitespace().collect();
    let pid = process.identity().pid.to_string();
    assert_eq!(stat[2..5], [pid.as_str(), pid.as_str(), "0"]);
}

fn numbers_of(fds: &serde_json::Value) -> Vec<i64> {
    let fds = fds.as_array().expect("a list").iter();
    let mut numbers: Vec<_> = fds.map(|fd| fd[0].as_i64().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn what_leaked_into_nexus_does_not_leak_on() {
    let command = format!(
        "exec 9</dev/null; exec '{FIXTURE}' stand-in {TAG} leak-{} '{FIXTURE}' show",
        std::process::id()
    );
    let output = tokio::process::Command::new("/bin/sh")
        .args(["-c", &command])
        .output()
        .await
        .expect("starting");
    let output = String::from_utf8(output.stdout).expect("text");
    let shown: String =
        serde_json::from_str(output.lines().nth(1).expect("the second line")).expect("a JSON text");
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(numbers_of(&shown["fds"]), [0, 1, 2]);
}

#[tokio::test]
async fn stopping_lets_the_program_clean_up() {
    let (spawn, tag) = script(
        "polite",
        "trap 'exit 143' TERM; echo ready; sleep 1000 & wait",
    );
    let mut process = launcher().spawn(spawn).await.expect("starting");
    until_ready(&mut process).await;
    let ended = stopped(&process, Duration::from_secs(60)).await;
    assert_eq!(ended, Ended::Exited { code: 143 });
    assert_eq!(tagged(&tag), []);
}

#[tokio::test]
async fn a_program_that_ignores_the_request_is_killed_after_the_grace() {
    let (spawn, tag) = script(
        "stubborn",
        "trap '' TERM INT HUP; echo ready; while :; do sleep 1000; done",
    );
    let mut process = launcher().spawn(spawn).await.expect("starting");
    until_ready(&mut process).await;
    let ended = stopped(&process, Duration::from_millis(100)).await;
    assert_eq!(ended, Ended::Signalled { signal: 9 });
    assert_eq!(tagged(&tag), []);
}

/// Scripts that leave something behind in every way a process can.
const TREES: [(&str, &str); 7] = [
    ("child", "sleep 1000 & echo ready; wait"),
    (
        "double fork",
        "(sleep 1000 & sleep 1000 &) & echo ready; wait; sleep 1000",
    ),
    (
        "setsid",
        "setsid sleep 1000 & setsid -f sleep 1000; echo ready; wait",
    ),
    (
        "nohup",
        "nohup sh -c 'nohup sleep 1000 & sleep 1000' >/dev/null 2>&1 & echo ready; wait",
    ),
    (
        "ignoring",
        "setsid sh -c 'trap \"\" TERM INT HUP QUIT; while :; do sleep 1000; done' & echo ready; wait",
    ),
    ("stopped", "sleep 1000 & kill -STOP $!; echo ready; wait"),
    (
        "own group killed",
        "sleep 1000 & setsid -f sleep 1000; echo ready; kill -KILL 0",
    ),
];

#[tokio::test]
async fn killing_a_tree_leaves_nothing_of_it() {
    for (name, text) in TREES.repeat(5) {
        let (spawn, tag) = script(name, text);
        let mut process = launcher().spawn(spawn).await.expect("starting");
        until_ready(&mut process).await;
        process.kill_tree();
        assert_eq!(
            process.wait().await,
            Ended::Signalled { signal: 9 },
            "{name}"
        );
        assert_eq!(tagged(&tag), [], "{name}");
    }
}

#[tokio::test]
async fn stopping_a_tree_leaves_nothing_of_it() {
    for (name, text) in TREES.repeat(5) {
        let (spawn, tag) = script(&format!("{name} stop"), text);
        let mut process = launcher().spawn(spawn).await.expect("starting");
        until_ready(&mut process).await;
        stopped(&process, Duration::from_secs(60)).await;
        assert_eq!(tagged(&tag), [], "{name}");
    }
}

#[tokio::test]
async fn a_program_that_ends_by_itself_takes_its_tree_along() {
    for (name, text) in [
        (
            "daemon",
            "setsid -f sleep 1000; (setsid -f sh -c 'sleep 1000; sleep 1000') &",
        ),
        (
            "background",
            "sleep 1000 & nohup sleep 1000 >/dev/null 2>&1 &",
        ),
    ] {
        let (spawn, tag) = script(name, text);
        let process = launcher().spawn(spawn).await.expect("starting");
        assert_eq!(process.wait().await, Ended::Exited { code: 0 }, "{name}");
        assert_eq!(tagged(&tag), [], "{name}");
    }
}

#[tokio::test]
async fn a_stopped_program_can_be_asked_to_end() {
    let (spawn, _) = script("asleep", "trap 'exit 5' TERM; kill -STOP $$; exit 6");
    let process = launcher().spawn(spawn).await.expect("starting");
    eventually("the program has stopped", || {
        state_of(process.identity()) == 'T'
    })
    .await;
    let ended = stopped(&process, Duration::from_secs(60)).await;
    assert_eq!(ended, Ended::Exited { code: 5 });
}

fn state_of(process: ProcessIdentity) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.unwrap_or('-')
}

#[tokio::test]
async fn a_tree_that_grows_again_is_killed() {
    let tag = tag("respawn");
    let spawn = Spawn {
        tag: Some(tag.clone()),
        ..fixture(&["respawn", "4"])
    };
    let process = launcher().spawn(spawn).await.expect("starting");
    // The guard carries the tag too.
    eventually("the chain is complete", || tagged(&tag).len() == 6).await;
    process.kill_tree();
    assert_eq!(process.wait().await, Ended::Signalled { signal: 9 });
    assert_eq!(tagged(&tag), []);
}

#[tokio::test]
async fn a_program_whose_output_nobody_reads_can_be_stopped() {
    let spawn = fixture(&["flood", "100000000"]);
    let process = launcher().spawn(spawn).await.expect("starting");
    // It blocks on the full pipe sooner or later; whenever the request comes, it ends.
    let ended = stopped(&process, Duration::from_secs(60)).await;
    assert_eq!(ended, Ended::Signalled { signal: 15 });
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_a_flood() {
    let spawn = fixture(&["flood", "3000000"]);
    let mut process = launcher().spawn(spawn).await.expect("starting");
    let mut stdout = process.stdout.take().expect("a pipe");
    let mut bytes = 0;
    let mut buffer = [0; 1500];
    loop {
        tokio::task::yield_now().await;
        match stdout.read(&mut buffer).await.expect("reading") {
            0 => break,
            length => bytes += length,
        }
    }
    assert_eq!(bytes, 3_000_000);
    assert_eq!(process.wait().await, Ended::Exited { code: 0 });
}

#[tokio::test]
async fn dropping_a_process_kills_its_tree() {
    let (spawn, tag) = script(
        "dropped",
        "trap '' TERM; setsid -f sleep 1000; echo ready; while :; do sleep 1000; done",
    );
    let mut process = launcher().spawn(spawn).await.expect("starting");
    until_ready(&mut process).await;
    drop(process);
    eventually("nothing is left", || tagged(&tag).is_empty()).await;
}

#[tokio::test]
async fn giving_up_on_a_start_leaves_nothing() {
    let (spawn, tag) = script("given up", "sleep 1000");
    let launcher = launcher();
    let mut starting = Box::pin(launcher.spawn(spawn));
    let first = std::future::poll_fn(|context| {
        std::task::Poll::Ready(starting.as_mut().poll(context).is_ready())
    });
    assert!(!first.await, "a guard answers only after it was started");
    drop(starting);
    eventually("nothing is left", || tagged(&tag).is_empty()).await;
}

#[tokio::test]
async fn signals_to_the_guard_do_not_end_it() {
    let (spawn, _) = script("deaf", "echo ready; sleep 1000");
    let mut process = launcher().spawn(spawn).await.expect("starting");
    until_ready(&mut process).await;
    let guard = process.guard_identity().expect("known on Linux");
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        send(signal, guard).await;
    }
    // It still obeys, so it has outlived them.
    assert_eq!(
        stopped(&process, Duration::from_secs(60)).await,
        Ended::Signalled { signal: 15 }
    );
}

#[tokio::test]
async fn without_its_guard_the_tree_is_gone_too() {
    let (spawn, tag) = script(
        "guardless",
        "trap '' TERM; setsid -f sleep 1000; setsid sh -c 'trap \"\" TERM; sleep 1000 & wait' & \
         echo ready; while :; do sleep 1000; done",
    );
    let mut process = launcher().spawn(spawn).await.expect("starting");
    until_ready(&mut process).await;
    send("KILL", process.guard_identity().expect("known on Linux")).await;
    assert_eq!(process.wait().await, Ended::GuardLost);
    assert!(!is_alive(process.identity()));
    assert_eq!(tagged(&tag), []);
}

#[tokio::test]
async fn a_guard_that_hangs_is_done_without() {
    let (spawn, tag) = script("hanging", STUBBORN_TREE);
    let mut process = launcher().spawn(spawn).await.expect("starting");
    until_ready(&mut process).await;
    let guard = process.guard_identity().expect("known on Linux");
    send("STOP", guard).await;
    process.kill_tree();
    assert_eq!(process.wait().await, Ended::GuardLost);
    assert!(!is_alive(process.identity()) && !is_alive(guard));
    assert_eq!(tagged(&tag), []);
}

async fn send(signal: &str, to: ProcessIdentity) {
    let sent = tokio::process::Command::new("/bin/kill")
        .args([format!("-{signal}"), to.pid.to_string()])
        .status();
    assert!(sent.await.expect("starting kill").success());
}

/// A launcher whose guard starts the program in the script, and cannot kill a process of it.
///
/// Only root can make a process that a guard may not kill, by taking that right from the guard.
/// Elsewhere a double says what a guard would say.
fn powerless(folder: &Path) -> (Launcher, Spawn) {
    use std::os::unix::fs::PermissionsExt;
    let (guard, program) = if rustix::process::geteuid().is_root() {
        (
            format!("exec setpriv --bounding-set=-kill --inh-caps=-kill -- '{FIXTURE}' \"$@\""),
            "setpriv --reuid=65534 --clear-groups sleep 1000 & echo $! > pid; wait",
        )
    } else {
        (
            POWERLESS_DOUBLE.replace("FOLDER", &folder.to_string_lossy()),
            "",
        )
    };
    let file = folder.join("guard");
    std::fs::write(&file, format!("#!/bin/sh\n{guard}\n")).expect("writing");
    let runnable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&file, runnable).expect("making it runnable");
    let spawn = Spawn {
        args: vec!["-c".into(), program.into()],
        env: vec![("PATH".into(), std::env::var_os("PATH").expect("a PATH"))],
        output: Output::Null,
        ..Spawn::new("/bin/sh", folder)
    };
    (Launcher::new(file), spawn)
}

/// Speaks as a guard does: the order comes behind the start message, which has no line ending.
const POWERLESS_DOUBLE: &str = r#"
sleep 1000 &
read -r row < /proc/$!/stat
set -- $! ${row##*) }
process="{\"pid\":$1,\"start_ticks\":${21}}"
echo "{\"started\":$process}" >&0
echo "$1" > 'FOLDER/pid'
while read -r order; do
    case $order in
    *'"kill"') break ;;
    esac
done
echo "{\"still_there\":[$process]}" >&0
wait "$1"
echo '{"signalled":{"signal":9}}' >&0
echo '"gone"' >&0
"#;

/// The number of the process that withstands, once it runs.
async fn withstanding(folder: &Path) -> ProcessIdentity {
    let mut found = None;
    eventually("a process withstands", || {
        let pid = std::fs::read_to_string(folder.join("pid")).unwrap_or_default();
        let pid = pid.trim().parse().ok();
        found = pid.and_then(identity_of).filter(|process| {
            let name = std::fs::read_to_string(format!("/proc/{}/comm", process.pid));
            name.is_ok_and(|name| name.trim() == "sleep")
        });
        found.is_some()
    })
    .await;
    found.expect("found")
}

#[tokio::test]
async fn what_withstands_being_killed_is_named_and_not_called_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (launcher, spawn) = powerless(folder.path());
    let process = launcher.spawn(spawn).await.expect("starting");
    let rock = withstanding(folder.path()).await;
    assert_eq!(process.still_there(), None);

    let there = process
        .stop(Duration::ZERO)
        .await
        .expect_err("it cannot be killed");
    assert_eq!(there.processes, [rock]);
    assert!(there.to_string().contains(&rock.pid.to_string()), "{there}");
    assert_eq!(process.still_there(), Some(there.clone()));
    assert_eq!(process.settled().await, Err(there));
    assert!(is_alive(rock));
    tokio::select! {
        biased;
        ended = process.wait() => panic!("it lives, and is said to have ended: {ended:?}"),
        () = launcher.all_gone() => panic!("it lives, and is said to be gone"),
        () = tokio::task::yield_now() => {}
    }

    send("KILL", rock).await;
    let ended = process.wait().await;
    assert!(matches!(ended, Ended::Signalled { .. }), "{ended:?}");
    assert_eq!(process.still_there(), None);
    launcher.all_gone().await;
}

#[tokio::test]
async fn a_run_that_leaves_what_cannot_be_killed_says_so() {
    use nexus_process::{Run, RunEnd};
    let folder = tempfile::tempdir().expect("a folder");
    let (launcher, spawn) = powerless(folder.path());
    let run = Run {
        spawn,
        output: folder.path().join("output"),
        output_limit: 0,
        tail_limit: 0,
        deadline: Duration::from_secs(60),
    };
    let running = launcher.begin(run).await.expect("an output file");
    let rock = withstanding(folder.path()).await;
    let report = running.finish(async {}).await.expect("an output file");
    let RunEnd::StillThere(there) = report.end else {
        panic!("{report:?}");
    };
    assert_eq!(there.processes, [rock]);
    send("KILL", rock).await;
    launcher.all_gone().await;
}

#[tokio::test]
async fn a_lack_of_descriptors_is_named_and_passes() {
    shortage("files", "too many files open", FIXTURE.as_ref(), None).await;
}

#[tokio::test]
async fn a_lack_of_processes_is_named_and_passes() {
    // Root has no such limit, so somebody else plays this where the tests run as root. The
    // program has to be where everybody may run it.
    let folder = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a folder");
    let copy = folder.path().join("fixture");
    std::fs::copy(FIXTURE, &copy).expect("copying");
    let nobody = rustix::process::geteuid().is_root().then_some(65534);
    shortage("processes", "too many processes", &copy, nobody).await;
}

/// Has the fixture run into a limit, and start again when it is lifted.
async fn shortage(of: &str, says: &str, fixture: &Path, user: Option<u32>) {
    let mut command = tokio::process::Command::new(fixture);
    command.args(["shortage", of]);
    if let Some(user) = user {
        command.uid(user);
    }
    let output = command.output().await.expect("starting");
    let text = String::from_utf8(output.stdout).expect("text");
    let shown: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let refused = shown["refused"].as_str().expect("a sentence");
    assert!(refused.contains(says), "{refused}");
    assert_eq!(
        shown["after"],
        serde_json::json!({"type": "exited", "code": 0})
    );
    assert_eq!(shown["left"], 0);
}

/// A process that plays NEXUS, started and killed by the tests below.
struct StandIn {
    child: tokio::process::Child,
    program: ProcessIdentity,
    guard: ProcessIdentity,
}

impl StandIn {
    /// Starts it with a script that says `ready`.
    async fn start(tag: &Tag, text: &str) -> Self {
        let mut child = tokio::process::Command::new(FIXTURE)
            .arg("stand-in")
            .args([&tag.name, &tag.value])
            .args(["/bin/sh", "-c", text])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("starting");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let both = lines.next_line().await.expect("reading").expect("a line");
        let both: serde_json::Value = serde_json::from_str(&both).expect("JSON");
        let identity = |name: &str| serde_json::from_value(both[name].clone()).expect("identity");
        let ready = lines.next_line().await.expect("reading");
        assert_eq!(ready.as_deref(), Some("\"ready\""));
        Self {
            child,
            program: identity("program"),
            guard: identity("guard"),
        }
    }
}

const STUBBORN_TREE: &str = "trap '' TERM; setsid -f sleep 1000; setsid sleep 1000 & \
     (sleep 1000 &) ; echo ready; while :; do sleep 1000; done";

#[tokio::test]
async fn when_nexus_is_killed_the_guard_ends_the_tree() {
    let tag = tag("orphans");
    let mut nexus = StandIn::start(&tag, STUBBORN_TREE).await;
    assert!(is_alive(nexus.program) && is_alive(nexus.guard));
    nexus.child.kill().await.expect("killing");
    eventually("nothing is left", || tagged(&tag).is_empty()).await;
    assert!(!is_alive(nexus.program) && !is_alive(nexus.guard));
}

#[tokio::test]
async fn when_nexus_is_killed_the_program_may_clean_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cleaned");
    let tag = tag("last words");
    let text = format!(
        "trap 'echo yes > {}; exit' TERM; echo ready; sleep 1000 & wait",
        file.display()
    );
    let mut nexus = StandIn::start(&tag, &text).await;
    nexus.child.kill().await.expect("killing");
    eventually("nothing is left", || tagged(&tag).is_empty()).await;
    assert_eq!(std::fs::read_to_string(file).expect("written"), "yes\n");
}

#[tokio::test]
async fn when_nexus_and_the_guard_are_killed_the_program_is_told_to_end() {
    let tag = tag("both");
    let mut nexus = StandIn::start(&tag, "trap 'exit' TERM; echo ready; sleep 1000 & wait").await;
    send("STOP", nexus.guard).await;
    nexus.child.kill().await.expect("killing");
    send("KILL", nexus.guard).await;
    eventually("the program has ended", || !is_alive(nexus.program)).await;
    // What it left is for the next start to find.
    for left in tagged(&tag) {
        nexus_process::kill_leftover(&[left]);
    }
    assert_eq!(tagged(&tag), []);
}

#[tokio::test]
async fn leftovers_are_killed_with_their_tree_and_only_if_they_are_the_same() {
    use nexus_process::Leftover;
    let tag = tag("leftover");
    let mut nexus = StandIn::start(&tag, STUBBORN_TREE).await;
    let another = ProcessIdentity {
        start_ticks: nexus.guard.start_ticks + 1,
        ..nexus.guard
    };
    assert_eq!(kill(vec![another]).await, Leftover::NothingThere);
    assert!(is_alive(nexus.guard));
    // What lost its parents came to the guard, so at least guard, shell and three sleeps are
    // below it; a fourth is just being started.
    let killed = kill(vec![nexus.guard]).await;
    assert!(
        matches!(killed, Leftover::Killed { processes: 5.. }),
        "{killed:?}"
    );
    assert_eq!(tagged(&tag), []);
    assert_eq!(kill(vec![nexus.guard]).await, Leftover::NothingThere);
    nexus.child.wait().await.expect("the stand-in ends");
}

async fn kill(roots: Vec<ProcessIdentity>) -> nexus_process::Leftover {
    tokio::task::spawn_blocking(move || nexus_process::kill_leftover(&roots))
        .await
        .expect("killing")
}

#[test]
fn this_boot_and_this_process_are_known() {
    let boot = nexus_process::boot_id().expect("known on Linux");
    assert_eq!(boot.len(), 36);
    let own = identity_of(std::process::id()).expect("known on Linux");
    assert!(is_alive(own));
    assert_eq!(identity_of(u32::MAX), None);
}
