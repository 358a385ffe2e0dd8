//! Where no keychain can be reached, the answer is a named error, soon.

#![cfg(all(unix, not(target_os = "macos")))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "everything here is a test or serves one, and the program runs in a bare environment"
)]

use std::{os::unix::net::UnixListener, path::Path, process::Command};

/// What the program says that has no variables but those of `bus` and a bare runtime folder.
fn said(runtime: &Path, bus: Option<&str>, patience: &str) -> String {
    let mut probe = Command::new(env!("CARGO_BIN_EXE_nexus-secrets-probe"));
    probe.env_clear().env("XDG_RUNTIME_DIR", runtime);
    if let Some(address) = bus {
        probe.env("DBUS_SESSION_BUS_ADDRESS", address);
    }
    let output = probe.args([patience, "list", "openai"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn without_a_session_bus_there_is_no_session() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = format!("unix:path={}/nowhere", dir.path().display());
    for bus in [None, Some(nowhere.as_str()), Some("nonsense"), Some("")] {
        // More patience than any test has: it must answer by itself.
        let answer = said(dir.path(), bus, "600000");
        assert!(answer.starts_with("NoSession"), "{bus:?}: {answer}");
    }
}

#[test]
fn a_bus_that_never_answers_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("silent");
    // Connections are queued and never taken up.
    let _listener = UnixListener::bind(&socket).unwrap();
    let address = format!("unix:path={}", socket.display());
    let answer = said(dir.path(), Some(&address), "1000");
    assert_eq!(answer.trim(), "NoAnswer { seconds: 1 }");
}
