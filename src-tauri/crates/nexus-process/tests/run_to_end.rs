//! Commands run to their end, with what they printed.

use nexus_process::{Launcher, Run, RunEnd, RunError, Spawn, Tag, find_tagged};
use std::{
    future::pending,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

const FIXTURE: &str = env!("CARGO_BIN_EXE_nexus-guard-fixture");

fn launcher() -> Launcher {
    Launcher::new(FIXTURE.into())
}

/// A script run with generous limits, printing into a file in `folder`.
fn script(folder: &Path, text: &str) -> Run {
    let mut spawn = Spawn::new("/bin/sh", folder);
    spawn.args = vec!["-c".into(), text.into()];
    spawn.env = vec![("PATH".into(), std::env::var_os("PATH").unwrap_or_default())];
    Run {
        spawn,
        output: folder.join("output"),
        output_limit: Run::OUTPUT_LIMIT,
        tail_limit: 1000,
        deadline: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn everything_it_printed_is_kept_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = script(folder.path(), "echo one; echo two >&2; cat; exit 3");
    let report = launcher()
        .run_to_end(run, pending())
        .await
        .expect("running");
    assert_eq!(report.end, RunEnd::Exited { code: 3 });
    assert_eq!(report.tail, "one\ntwo\n");
    assert_eq!(report.output_bytes, 8);
    // As `printf 'one\ntwo\n' | sha256sum` says.
    assert_eq!(
        report.output_sha256,
        "c3f9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8"
    );
    let output = folder.path().join("output");
    assert_eq!(std::fs::read(&output).expect("the output"), b"one\ntwo\n");
    let mode = std::fs::metadata(&output)
        .expect("the output")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_over_the_limit_is_counted_and_hashed_but_not_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let flood = |output: &str, output_limit| Run {
        spawn: Spawn {
            args: vec!["flood".into(), "2000000".into()],
            ..Spawn::new(FIXTURE, folder.path())
        },
        output: folder.path().join(output),
        output_limit,
        ..script(folder.path(), "")
    };
    let launcher = launcher();
    let cut = launcher.run_to_end(flood("cut", 1234), pending());
    let cut = cut.await.expect("running");
    let whole = launcher.run_to_end(flood("whole", Run::OUTPUT_LIMIT), pending());
    let whole = whole.await.expect("running");
    let length = |name: &str| {
        std::fs::metadata(folder.path().join(name))
            .expect("made")
            .len()
    };
    assert_eq!((length("cut"), length("whole")), (1234, 2_000_000));
    assert_eq!((cut.output_bytes, cut.tail.len()), (2_000_000, 1000));
    assert_eq!(cut.output_sha256, whole.output_sha256);
}

#[tokio::test]
async fn one_that_takes_too_long_is_stopped_with_its_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let tag = Tag {
        name: "NEXUS_TEST_TAG".into(),
        value: format!("too-long-{}", std::process::id()).into(),
    };
    let mut run = script(
        folder.path(),
        "echo started; setsid -f sleep 1000; sleep 1000",
    );
    run.deadline = Duration::from_millis(300);
    run.spawn.tag = Some(tag.clone());
    let report = launcher()
        .run_to_end(run, pending())
        .await
        .expect("running");
    assert_eq!(report.end, RunEnd::TimedOut);
    assert!(report.duration >= Duration::from_millis(300));
    assert_eq!(find_tagged(&tag.name, &tag.value), []);
}

#[tokio::test]
async fn one_that_floods_and_ignores_the_request_is_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = script(folder.path(), "trap '' TERM; while :; do echo noise; done");
    run.deadline = Duration::from_millis(100);
    let report = launcher()
        .run_to_end(run, pending())
        .await
        .expect("running");
    assert_eq!(report.end, RunEnd::TimedOut);
    assert!(report.tail.ends_with("noise\n"));
}

#[tokio::test]
async fn the_caller_can_stop_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = script(folder.path(), "sleep 1000");
    let report = launcher().run_to_end(run, async {}).await.expect("running");
    assert_eq!(report.end, RunEnd::Stopped);
}

#[tokio::test]
async fn a_missing_program_is_an_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = script(folder.path(), "");
    run.spawn.program = PathBuf::from("no-such-program");
    let report = launcher()
        .run_to_end(run, pending())
        .await
        .expect("running");
    let RunEnd::CouldNotStart { reason } = report.end else {
        panic!("{report:?}");
    };
    assert!(reason.contains("`no-such-program`"), "{reason}");
    assert_eq!((report.output_bytes, report.tail.as_str()), (0, ""));
}

#[tokio::test]
async fn output_that_cannot_be_kept_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = script(folder.path(), "echo hello");
    run.output = folder.path().join("no-such-folder/output");
    let failed = launcher().run_to_end(run, pending()).await;
    assert!(
        matches!(failed, Err(RunError::OutputFile { .. })),
        "{failed:?}"
    );
}
