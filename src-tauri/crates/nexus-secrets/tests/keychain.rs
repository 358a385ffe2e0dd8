//! The real thing: session buses and a gnome-keyring of our own, gone when the test ends.
//!
//! Compiled with the feature `keychain-test` only:
//! `cargo test -p nexus-secrets --features keychain-test --test keychain`.

#![cfg(all(unix, not(target_os = "macos")))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "everything here is a test or serves one, and the session ends its own programs"
)]

use std::{fs, path::Path, process::Command};

/// Unlocks (and at first makes) the keyring, before anything else can start it locked.
const UNLOCK: &str =
    "printf test | gnome-keyring-daemon --unlock --components=secrets --daemonize >/dev/null;";

/// Runs `script` in a new session whose files are in `home`, and returns what it printed.
/// `$probe` is the program under test with plenty of patience.
fn session(home: &Path, options: &[&str], script: &str) -> String {
    let runtime = tempfile::tempdir().unwrap();
    let probe = format!("{} 30000", env!("CARGO_BIN_EXE_nexus-secrets-probe"));
    let output = Command::new("dbus-run-session")
        .args(options)
        .args(["--", "bash", "-euc", script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("XDG_DATA_HOME", home)
        .env("XDG_RUNTIME_DIR", runtime.path())
        .env("probe", probe)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

fn unlocked(home: &Path, script: &str) -> String {
    session(home, &[], &format!("{UNLOCK} {script}"))
}

#[test]
fn a_key_is_saved_found_in_the_next_session_replaced_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let first = unlocked(
        home.path(),
        "printf dummy-key-1111 | $probe same openai
         printf ' dummy-key-1111\\n' | $probe set openai
         printf dummy-key-1111 | $probe same openai
         printf dummy-key-1111 | $probe same anthropic",
    );
    assert_eq!(first, "none\ndone\nsame\nnone\n");
    let second = unlocked(
        home.path(),
        "printf dummy-key-1111 | $probe same openai
         printf dummy-key-2222 | $probe set openai
         printf dummy-key-2222 | $probe same openai
         $probe list openai
         $probe remove openai
         $probe remove openai
         $probe list openai",
    );
    assert_eq!(
        second,
        "same\ndone\nsame\n[openai …2222 keychain]\ndone\ndone\n[]\n"
    );
}

#[test]
fn a_locked_keyring_is_not_taken_for_an_empty_one() {
    let home = tempfile::tempdir().unwrap();
    unlocked(home.path(), "printf dummy-key-1111 | $probe set openai");
    // Nobody unlocks it here, and there is no window to ask in.
    let answers = session(
        home.path(),
        &[],
        "printf dummy-key-1111 | $probe same openai
         printf dummy-key-1111 | $probe same anthropic
         printf dummy-key-2222 | $probe set anthropic
         $probe remove openai",
    );
    assert_eq!(answers.lines().count(), 4, "{answers}");
    for answer in answers.lines() {
        assert!(answer.starts_with("Locked"), "{answer}");
    }
}

#[test]
fn a_session_in_which_nothing_keeps_secrets_says_so() {
    let home = tempfile::tempdir().unwrap();
    let bare = home.path().join("session.conf");
    fs::write(
        &bare,
        "<busconfig>
           <type>session</type>
           <listen>unix:tmpdir=/tmp</listen>
           <policy context='default'>
             <allow send_destination='*'/><allow receive_sender='*'/><allow own='*'/>
           </policy>
         </busconfig>",
    )
    .unwrap();
    let option = format!("--config-file={}", bare.display());
    let answer = session(home.path(), &[&option], "$probe list openai");
    assert!(answer.starts_with("NoService"), "{answer}");
    assert!(answer.contains("org.freedesktop.secrets"), "{answer}");
}
