//! What a full, shrunken, read-only or vanished disk does to a store in use: it is named, nothing
//! is lost or doubled, and the same store goes on when the disk does.

use crate::{Numbers, WRITER, all, append, command, event, open, summary};
use nexus_core::Timestamp;
use nexus_store::{
    NewEvent, NewProcess, Reader, Store, StoreKey, StoreOptions, SummaryFilter, Trouble,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

/// A small file system of its own, which is gone with this value.
struct SmallDisk {
    mounted: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where this user may not mount.
    fn of(size: &str) -> Option<Self> {
        let mounted = tempfile::tempdir().unwrap();
        let mount = command("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(mounted.path())
            .stderr(Stdio::null())
            .status();
        mount
            .is_ok_and(|status| status.success())
            .then_some(Self { mounted })
    }

    fn data(&self) -> PathBuf {
        // A name that would be something else in an address.
        self.mounted.path().join("my nexus?#%41")
    }

    fn make_read_only(&self) {
        let mount = command("mount")
            .args(["-o", "remount,ro"])
            .arg(self.mounted.path())
            .status();
        assert!(mount.unwrap().success());
    }

    /// Leaves so many bytes free.
    fn leave_free(&self, bytes: u64) {
        let filler = self.mounted.path().join("filler");
        fs::remove_file(&filler).ok();
        let free = rustix::fs::statvfs(self.mounted.path()).unwrap();
        let size = (free.f_bavail * free.f_frsize).saturating_sub(bytes);
        fs::write(filler, vec![0; size as usize]).unwrap();
    }

    fn remove_filler(&self) {
        fs::remove_file(self.mounted.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a failing test may have files open still.
        let mounted = self.mounted.path();
        command("umount").arg("-l").arg(mounted).status().ok();
    }
}

/// Appends batches until one fails, and returns that one and its trouble.
fn fill(store: &mut Store) -> (Vec<NewEvent<'static>>, Trouble) {
    loop {
        let first = store.last_seq().unwrap() + 1;
        let mut batch: Vec<_> = (first..first + 3).map(event).collect();
        batch[1].body = "x".repeat(first as usize * 997 % 9000);
        if let Err(error) = store.append(&batch, &[summary(first.into())]) {
            return (batch, error.trouble());
        }
    }
}

#[test]
fn a_full_disk_at_thirty_points_costs_nothing() {
    let Some(disk) = SmallDisk::of("3m") else {
        // Who may not mount has the limit on file sizes instead.
        return a_limit_on_file_sizes_at(&[150, 300]);
    };
    let mut numbers = Numbers(11);
    let mut store = open(&disk.data()).unwrap();
    let mut refused = 0;
    for point in 0..30 {
        disk.leave_free(numbers.below(80_000) as u64);
        let before = all(&store);
        let (batch, trouble) = fill(&mut store);
        assert_eq!(trouble, Trouble::DiskFull, "point {point}");
        let kept = all(&store);
        assert!(kept.starts_with(&before), "point {point}");
        assert_eq!(kept.len() % 3, 0, "point {point}: half a batch");
        // The failed try may have left room in the write-ahead log for another.
        let again = store.append(&batch, &[]).map_err(|error| error.trouble());
        let recorded_at_once = again.is_ok();
        assert!(again.is_ok() || again == Err(Trouble::DiskFull), "{point}");
        let kept = if recorded_at_once { all(&store) } else { kept };
        if point % 3 == 0 {
            // Ending and starting on a full disk loses nothing either.
            drop(store);
            disk.remove_filler();
            store = open(&disk.data()).unwrap();
            assert_eq!(all(&store), kept, "point {point}");
        } else {
            disk.remove_filler();
        }
        let recorded = store.append(&batch, &[summary(7)]).unwrap();
        assert_eq!(recorded.len(), 3);
        refused += usize::from(!recorded_at_once);
        let after = all(&store);
        assert_eq!(after.len(), kept.len() + 3, "point {point}");
        assert!(after.starts_with(&kept));
        store.verify().unwrap();
        assert!(!store.doubts().any());
        if after.len() > 150 {
            // The disk is small: begin anew.
            drop(store);
            fs::remove_dir_all(disk.data()).unwrap();
            store = open(&disk.data()).unwrap();
        }
    }
    assert!(refused > 15, "only {refused} disks were full");
}

#[test]
fn trying_to_write_meets_the_trouble_and_records_nothing() {
    let Some(disk) = SmallDisk::of("3m") else {
        return a_limit_on_file_sizes_at(&[170]);
    };
    let mut store = open(&disk.data()).unwrap();
    disk.leave_free(0);
    fill(&mut store);
    // Each try takes a place in what is left of the write-ahead log.
    let met = (0..100).find_map(|_| store.try_to_write().err()).unwrap();
    assert_eq!(met.trouble(), Trouble::DiskFull, "{met}");
    disk.remove_filler();
    let before = all(&store);
    store.try_to_write().unwrap();
    assert_eq!(all(&store), before);
    append(&mut store, 1);
    store.verify().unwrap();
}

#[test]
fn a_backup_on_a_full_disk_says_so_and_leaves_nothing_behind() {
    let Some(disk) = SmallDisk::of("3m") else {
        return a_limit_on_file_sizes_at(&[200]);
    };
    let mut store = open(&disk.data()).unwrap();
    append(&mut store, 5);
    disk.leave_free(100_000);
    let error = store.back_up().unwrap_err();
    assert_eq!(error.trouble(), Trouble::DiskFull, "{error}");
    let left = fs::read_dir(disk.data().join("backups")).unwrap().count();
    assert_eq!(left, 0);
    disk.remove_filler();
    assert_eq!(store.back_up().unwrap().events, 5);
}

#[test]
fn the_reserve_lets_the_end_be_recorded_on_a_full_disk() {
    const SIZE: u64 = 256 * 1024;
    let Some(disk) = SmallDisk::of("3m") else {
        return a_limit_on_file_sizes_at(&[250]);
    };
    let open = || {
        let options = StoreOptions { reserve: SIZE };
        Store::open_with(&disk.data(), StoreKey::Plain, options).unwrap()
    };
    let mut store = open();
    assert_eq!(
        fs::metadata(disk.data().join("reserve")).unwrap().len(),
        SIZE
    );
    disk.leave_free(0);
    let (batch, trouble) = fill(&mut store);
    assert_eq!(trouble, Trouble::DiskFull);
    assert_eq!(store.release_reserve().unwrap(), SIZE);
    store.append(&batch, &[]).unwrap();
    append(&mut store, 5);
    assert_eq!(store.release_reserve().unwrap(), 0);
    let kept = all(&store);
    drop(store);

    // It comes back with the room, and not before.
    disk.leave_free(100_000);
    assert_eq!(all(&open()), kept);
    assert!(!disk.data().join("reserve").exists());
    disk.remove_filler();
    open();
    assert!(disk.data().join("reserve").exists());
}

/// Lets a writer run against a limit on the size of its files of so many kilobytes: writing
/// fails in the middle, again and again, and then goes on.
fn a_limit_on_file_sizes_at(limits: &[u64]) {
    for limit in limits {
        let dir = tempfile::tempdir().unwrap();
        let output = command("/bin/sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", WRITER])
            .arg(dir.path())
            .args(["1000000", &(limit * 1024).to_string()])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{limit}: {complaint}");
        let failures: Vec<_> = said.lines().filter(|line| *line == "io").collect();
        assert_eq!(failures.len(), 4, "{limit}: {said}");
        let mut last = 0;
        for number in said.lines().filter_map(|line| line.parse::<u64>().ok()) {
            assert!(number > last, "{limit}: {number} came after {last}");
            last = number;
        }
        let store = open(dir.path()).unwrap();
        let events = all(&store);
        assert_eq!(events.len() as u64, last, "{limit}");
        for event in events {
            let beginning = format!("{{\"n\":{},", event.seq);
            assert!(event.body.starts_with(&beginning), "{limit}: {event:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_disk_that_fails_and_recovers_records_every_batch_exactly_once() {
    let limits: Vec<u64> = (0..12).map(|step| 60 + 37 * step).collect();
    a_limit_on_file_sizes_at(&limits);
}

#[test]
fn a_disk_that_became_read_only_is_named() {
    let Some(disk) = SmallDisk::of("3m") else {
        return a_limit_on_file_sizes_at(&[220]);
    };
    append(&mut open(&disk.data()).unwrap(), 3);
    disk.make_read_only();
    let error = open(&disk.data()).unwrap_err();
    assert_eq!(error.trouble(), Trouble::ReadOnly, "{error}");
    // It can still be looked at.
    let reader = Reader::open(&disk.data(), StoreKey::Plain).unwrap();
    reader.verify().unwrap();
    assert_eq!(reader.last_seq().unwrap(), 3);
}

/// A store in use, in a folder in a folder.
struct InUse {
    root: tempfile::TempDir,
    dir: PathBuf,
    store: Store,
}

impl InUse {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("nexus");
        let mut store = open(&dir).unwrap();
        append(&mut store, 3);
        store.back_up().unwrap();
        append(&mut store, 1);
        Self { root, dir, store }
    }

    /// Every order is refused with this trouble.
    fn assert_refuses(&mut self, expected: Trouble) {
        let process = NewProcess {
            pid: 1,
            start_ticks: 2,
            boot_id: "boot",
            tag: "tag",
            what: "agent",
            started_at: Timestamp::from_millis(3),
        };
        let store = &mut self.store;
        let refusals = [
            store.append(&[event(5)], &[summary(1)]).map(drop),
            store.replace_summaries(&[]),
            store.ledger_started(&process).map(drop),
            store.ledger_ended(1, Timestamp::from_millis(4)),
            store.ledger_prune(Timestamp::from_millis(4)).map(drop),
            store.back_up().map(drop),
            store.release_reserve().map(drop),
            store.try_to_write(),
        ];
        for refusal in refusals {
            let error = refusal.unwrap_err();
            assert_eq!(error.trouble(), expected, "{error}");
        }
    }

    fn assert_goes_on(&mut self) {
        assert_eq!(self.store.append(&[event(5)], &[]).unwrap(), [5]);
        self.store.back_up().unwrap();
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_that_is_moved_while_in_use_is_named_and_not_made_again() {
    let mut it = InUse::new();
    let elsewhere = it.root.path().join("elsewhere");
    fs::rename(&it.dir, &elsewhere).unwrap();
    it.assert_refuses(Trouble::Vanished);
    assert_eq!(names(it.root.path()), ["elsewhere"]);
    fs::rename(&elsewhere, &it.dir).unwrap();
    it.assert_goes_on();
}

#[test]
fn a_folder_that_is_deleted_while_in_use_is_named_and_not_made_again() {
    let mut it = InUse::new();
    fs::remove_dir_all(&it.dir).unwrap();
    it.assert_refuses(Trouble::Vanished);
    assert!(names(it.root.path()).is_empty());
}

#[test]
fn a_folder_that_became_a_file_while_in_use_is_named() {
    let mut it = InUse::new();
    let elsewhere = it.root.path().join("elsewhere");
    fs::rename(&it.dir, elsewhere).unwrap();
    fs::write(&it.dir, "a file").unwrap();
    it.assert_refuses(Trouble::Vanished);
    assert_eq!(fs::read(&it.dir).unwrap(), b"a file");
}

#[test]
fn a_store_that_is_replaced_while_in_use_is_named_and_the_other_file_left_alone() {
    let mut it = InUse::new();
    let file = it.dir.join("nexus.db");
    let kept = it.dir.join("kept");
    fs::rename(&file, &kept).unwrap();
    let foreign = rusqlite::Connection::open(&file).unwrap();
    foreign
        .execute_batch("CREATE TABLE recipe (name TEXT)")
        .unwrap();
    drop(foreign);
    let before = fs::read(&file).unwrap();
    it.assert_refuses(Trouble::Vanished);
    assert_eq!(fs::read(&file).unwrap(), before);
    fs::rename(&kept, &file).unwrap();
    it.assert_goes_on();
    let all = SummaryFilter::default();
    assert!(it.store.summaries(&all).unwrap().is_empty());
}

/// Permissions do not bind root, so root runs the program as a user that owns nothing else.
#[cfg(unix)]
#[test]
fn a_permission_that_is_lost_while_in_use_is_named() {
    use std::os::unix::{fs::MetadataExt, fs::PermissionsExt, process::CommandExt};
    let root = tempfile::tempdir().unwrap();
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(root.path(), 0o777);
    let program = root.path().join("writer");
    fs::copy(WRITER, &program).unwrap();
    let dir = root.path().join("nexus");
    let mut writer = command(&program);
    writer.arg(&dir).arg("1000000");
    if fs::metadata(root.path()).unwrap().uid() == 0 {
        writer.uid(65_534).gid(65_534);
    }
    let mut writer = writer
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(writer.stdout.take().unwrap());
    let mut last = 0;
    for (count, line) in output.lines().enumerate() {
        last = line.unwrap().parse().unwrap();
        if count == 3 {
            mode(&dir, 0o000);
        }
    }
    let ended = writer.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success());
    assert!(said.contains("read_only: "), "{said}");
    mode(&dir, 0o755);
    assert!(open(&dir).unwrap().last_seq().unwrap() >= last);
}
