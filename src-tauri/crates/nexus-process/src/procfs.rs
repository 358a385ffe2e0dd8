//! Reading the process table from `/proc`. Where there is no such thing, nothing is found, and
//! the callers say what that means for them.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// One row of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub pid: u32,
    pub parent: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    /// Ended and only waiting to be reaped.
    pub dead: bool,
}

/// The row of `pid`.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &String::from_utf8_lossy(&text))
}

fn parse(pid: u32, text: &str) -> Option<Stat> {
    // The second field is the program's name in brackets, and may itself hold anything.
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
    let state = *fields.first()?;
    let threads: u32 = fields.get(17)?.parse().ok()?;
    Some(Stat {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
        // The row is about the first thread. A process whose first thread has ended while
        // others run shows as ended too, and is not.
        dead: state == "X" || (state == "Z" && threads <= 1),
    })
}

/// Can processes be seen now? Not without free descriptors. Where there is no process table,
/// yes: then there is nothing to see.
pub(crate) fn can_be_read() -> bool {
    !cfg!(target_os = "linux") || stat(std::process::id()).is_some()
}

/// Every row.
pub(crate) fn all() -> Vec<Stat> {
    pids().filter_map(stat).collect()
}

/// The number of every process.
pub(crate) fn pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The children of the calling thread, ended ones included.
pub(crate) fn own_children() -> Vec<u32> {
    match fs::read_to_string("/proc/thread-self/children") {
        Ok(list) => list
            .split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect(),
        // A kernel built without that file.
        Err(_) => {
            let own = std::process::id();
            let children = all().into_iter().filter(|stat| stat.parent == own);
            children.map(|stat| stat.pid).collect()
        }
    }
}

/// Was `pid` started with `name` set to `value` in its environment? No, where we may not look.
pub(crate) fn has_variable(pid: u32, name: &OsStr, value: &OsStr) -> bool {
    let wanted = [name.as_bytes(), b"=", value.as_bytes()].concat();
    environ(pid)
        .split(|byte| *byte == 0)
        .any(|entry| entry == wanted)
}

/// What `pid` was started with `name` set to. `None` also where we may not look.
pub(crate) fn variable(pid: u32, name: &OsStr) -> Option<OsString> {
    let begins = [name.as_bytes(), b"="].concat();
    let environ = environ(pid);
    let mut values = environ.split(|byte| *byte == 0);
    let value = values.find_map(|entry| entry.strip_prefix(&*begins))?;
    Some(OsString::from_vec(value.to_vec()))
}

fn environ(pid: u32) -> Vec<u8> {
    let whole = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    if !whole.is_empty() {
        return whole;
    }
    // When its first thread has ended, only the others still have its memory.
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().filter_map(Result::ok);
    threads
        .filter_map(|thread| fs::read(thread.path().join("environ")).ok())
        .find(|environ| !environ.is_empty())
        .unwrap_or_default()
}

/// Identifies the running boot of the machine.
pub(crate) fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_own_row_names_the_own_parent() {
        let own = stat(std::process::id()).expect("own row");
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert!(own.start_ticks > 0);
        assert!(!own.dead);
        assert!(all().contains(&own));
    }

    fn row(name: &str, state: char, threads: u32) -> Option<Stat> {
        let rest = "0 -1 4194304 90 0 0 0 0 0 0 0 20 0";
        parse(
            7,
            &format!("7 ({name}) {state} 3 7 7 {rest} {threads} 0 4711 0 0"),
        )
    }

    #[test]
    fn a_process_has_ended_when_all_its_threads_have() {
        let dead = |state, threads| row("sh", state, threads).map(|row| row.dead);
        assert_eq!(dead('S', 1), Some(false));
        assert_eq!(dead('T', 3), Some(false));
        assert_eq!(dead('Z', 1), Some(true));
        assert_eq!(dead('X', 1), Some(true));
        assert_eq!(dead('Z', 2), Some(false), "only its first thread has ended");
    }

    #[test]
    fn a_name_may_look_like_the_rest_of_the_row() {
        for name in ["a b", ") Z 1 2", "(((", "x) R 1 1 1", "\n"] {
            let row = row(name, 'S', 1).expect("a row");
            assert_eq!((row.parent, row.start_ticks, row.dead), (3, 4711, false));
        }
    }

    #[test]
    fn half_a_row_is_none() {
        for text in ["", "7", "7 (sh)", "7 (sh) S 3 7 7 0", "7 (sh) S x 7 7 0"] {
            assert_eq!(parse(7, text), None, "{text}");
        }
    }
}
