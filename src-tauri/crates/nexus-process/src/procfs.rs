//! Reading the process table from `/proc`. Where there is no such thing, nothing is found, and
//! the callers say what that means for them.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

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
    // The second field is the program's name in brackets, and may itself hold anything.
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        pid,
        parent,
        start_ticks,
        dead: matches!(state, "Z" | "X"),
    })
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
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ
            .split(|byte| *byte == 0)
            .any(|entry| entry == wanted)
    })
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
}
