//! Transcripts keep what was flushed, find any line quickly, and end where they must.

use nexus_core::{TaskId, Timestamp, TurnId, TurnUpdate};
use nexus_store::{StoreError, TranscriptLine, TranscriptPage, Transcripts};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
};
use uuid::Uuid;

const TURN: TurnId = TurnId(3);

fn task() -> TaskId {
    TaskId::new(Uuid::from_u128(5))
}

fn text(text: impl Into<String>) -> TranscriptLine {
    TranscriptLine {
        at: Timestamp::from_millis(1),
        update: TurnUpdate::Text { text: text.into() },
    }
}

struct Case {
    dir: tempfile::TempDir,
    transcripts: Transcripts,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let transcripts = Transcripts::new(dir.path());
        Self { dir, transcripts }
    }

    fn file(&self) -> PathBuf {
        self.dir
            .path()
            .join(format!("tasks/{}/transcripts/3.jsonl", task()))
    }

    /// Writes lines `first..=last`, each naming its number, with some padding.
    fn write(&self, first: u64, last: u64, padding: usize) {
        let mut writer = self.transcripts.writer(task(), TURN).unwrap();
        for n in first..=last {
            let line = text(format!("{n}{}", " ".repeat(padding)));
            assert_eq!(writer.append(&line).unwrap(), Some(n));
        }
        writer.flush().unwrap();
    }

    fn page(&self, from: u64, limit: usize) -> TranscriptPage {
        self.transcripts
            .read_page(task(), TURN, from, limit)
            .unwrap()
    }

    fn tail(&self, n: usize) -> TranscriptPage {
        self.transcripts.tail(task(), TURN, n).unwrap()
    }

    fn append_raw(&self, bytes: &[u8]) {
        let mut file = OpenOptions::new().append(true).open(self.file()).unwrap();
        file.write_all(bytes).unwrap();
    }
}

fn numbers(page: &TranscriptPage) -> Vec<u64> {
    page.lines.iter().map(|line| line.number).collect()
}

#[test]
fn pages_follow_each_other_to_the_end() {
    let case = Case::new();
    case.write(1, 10, 0);
    let first = case.page(1, 4);
    assert_eq!(
        (numbers(&first), first.next_line),
        (vec![1, 2, 3, 4], Some(5))
    );
    assert_eq!(first.lines[0].line, text("1"));
    let last = case.page(8, 4);
    assert_eq!((numbers(&last), last.next_line), (vec![8, 9, 10], None));
    assert!(case.page(11, 4).lines.is_empty());
    assert_eq!(numbers(&case.tail(2)), [9, 10]);
    assert_eq!(numbers(&case.tail(99)).len(), 10);
}

#[test]
fn a_turn_without_a_transcript_reads_as_empty() {
    let case = Case::new();
    assert_eq!(case.page(1, 10), TranscriptPage::default());
    assert_eq!(case.tail(10), TranscriptPage::default());
    assert_eq!(fs::read_dir(case.dir.path()).unwrap().count(), 0);
}

#[test]
fn any_line_of_a_large_transcript_is_found() {
    let case = Case::new();
    case.write(1, 3_000, 700);
    assert!(fs::metadata(case.file()).unwrap().len() > 2_000_000);
    for from in (1..=3_000).step_by(37).chain([3_000]) {
        assert_eq!(numbers(&case.page(from, 1)), [from]);
    }
    assert_eq!(numbers(&case.tail(3)), [2_998, 2_999, 3_000]);
}

#[test]
fn lines_of_very_different_length_are_found_too() {
    let case = Case::new();
    let mut writer = case.transcripts.writer(task(), TURN).unwrap();
    for n in 1..=200_usize {
        let length = if n.is_multiple_of(20) { 300_000 } else { 10 };
        writer.append(&text("x".repeat(length))).unwrap();
    }
    drop(writer);
    for from in 1..=200 {
        assert_eq!(numbers(&case.page(from, 1)), [from]);
    }
}

#[test]
fn a_page_is_bounded_in_bytes_as_well() {
    let case = Case::new();
    case.write(1, 20, 900_000);
    let page = case.page(1, 20);
    assert!(numbers(&page).len() < 8, "{:?}", numbers(&page));
    assert_eq!(page.next_line, Some(numbers(&page).len() as u64 + 1));
}

#[test]
fn flushed_lines_are_there_while_the_writer_lives_and_dropped_ones_after() {
    let case = Case::new();
    let mut writer = case.transcripts.writer(task(), TURN).unwrap();
    writer.append(&text("flushed")).unwrap();
    writer.flush().unwrap();
    writer.append(&text("gathered")).unwrap();
    assert_eq!(numbers(&case.page(1, 10)), [1]);
    drop(writer);
    assert_eq!(numbers(&case.page(1, 10)), [1, 2]);
}

#[test]
fn a_torn_last_line_is_passed_over_and_then_written_over() {
    let case = Case::new();
    case.write(1, 3, 0);
    case.append_raw(b"{\"n\":4,\"at\":\"2024-");
    assert_eq!(numbers(&case.page(1, 10)), [1, 2, 3]);
    assert_eq!(numbers(&case.tail(1)), [3]);
    case.write(4, 5, 0);
    assert_eq!(numbers(&case.page(1, 10)), [1, 2, 3, 4, 5]);
}

#[test]
fn damage_costs_only_the_lines_it_hit() {
    let case = Case::new();
    case.write(1, 2_000, 100);
    let mut bytes = fs::read(case.file()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 5_000].fill(b'\n');
    bytes[middle + 6_000..middle + 7_000].fill(0xff);
    fs::write(case.file(), bytes).unwrap();
    let kept = numbers(&case.page(1, 5_000));
    assert!(kept.len() > 1_900 && kept.is_sorted(), "{}", kept.len());
    for from in [1, 900, 1_500, 2_000] {
        assert_eq!(numbers(&case.page(from, 1)), [from]);
    }
    assert_eq!(numbers(&case.tail(1)), [2_000]);
}

#[test]
fn a_full_transcript_ends_with_saying_so_and_stays_within_its_limit() {
    let mut case = Case::new();
    case.transcripts = Transcripts::new(case.dir.path()).limited_to(10_000);
    let mut left_out = 0;
    for round in 0..3 {
        let mut writer = case.transcripts.writer(task(), TURN).unwrap();
        while writer.append(&text("x".repeat(300))).unwrap().is_some() {}
        assert_eq!(writer.append(&text("short")).unwrap(), None);
        for _ in 0..round * 5 {
            assert_eq!(writer.append(&text("short")).unwrap(), None);
        }
        left_out += 2 + round * 5;
        drop(writer);
        let page = case.page(1, 1_000);
        assert_eq!((page.truncated, page.left_out), (true, left_out));
        let last = page.lines.last().unwrap();
        let TurnUpdate::Note { text } = &last.line.update else {
            panic!("{last:?}");
        };
        let said = format!("{left_out} more lines were left out");
        assert!(text.contains(&said), "{text}");
        assert!(fs::metadata(case.file()).unwrap().len() <= 10_000);
    }
    let page = case.page(1, 1_000);
    assert!(page.next_line.is_none() && numbers(&page).is_sorted());
    assert!(numbers(&page).len() > 20);
    assert!(case.tail(1).truncated);
}

#[test]
fn a_full_transcript_says_so_while_its_writer_is_flooded() {
    let mut case = Case::new();
    case.transcripts = Transcripts::new(case.dir.path()).limited_to(10_000);
    let mut writer = case.transcripts.writer(task(), TURN).unwrap();
    for _ in 0..10_000 {
        writer.append(&text("x".repeat(300))).unwrap();
    }
    let left_out = case.page(1, 1_000).left_out;
    assert!((5_000..10_000).contains(&left_out), "{left_out}");
    drop(writer);
    assert!(case.page(1, 1_000).left_out > 9_900);
}

/// The limit is on all the memory that the program may have, its own code included.
#[cfg(target_os = "linux")]
#[test]
fn a_flood_costs_little_memory_and_little_disk() {
    let megabytes = if crate::nightly() { 1_024 } else { 200 };
    let dir = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    let output = crate::command("/bin/sh")
        .args(["-c", "ulimit -v 100000; exec \"$0\" \"$@\"", crate::WRITER])
        .arg(dir.path())
        .args([&megabytes.to_string(), "flood"])
        .output()
        .unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{complaint}");
    let file = String::from_utf8(output.stdout).unwrap();
    let length = fs::metadata(file.trim()).unwrap().len();
    println!(
        "flood: {megabytes} MB in {:.1} s, {length} bytes on disk",
        began.elapsed().as_secs_f64()
    );
    assert!((30 << 20..=32 << 20).contains(&length), "{length}");
}

#[test]
fn a_data_folder_that_is_gone_does_not_come_back_for_a_transcript() {
    let root = tempfile::tempdir().unwrap();
    let transcripts = Transcripts::new(&root.path().join("gone"));
    let error = transcripts.writer(task(), TURN).unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_line_of_enormous_length_is_kept_in_part() {
    let case = Case::new();
    let mut writer = case.transcripts.writer(task(), TURN).unwrap();
    writer.append(&text("é".repeat(5_000_000))).unwrap();
    writer.append(&text("after")).unwrap();
    drop(writer);
    assert!(fs::metadata(case.file()).unwrap().len() < 300_000);
    let page = case.page(1, 10);
    assert_eq!(numbers(&page), [1, 2]);
    let TurnUpdate::Unknown { line } = &page.lines[0].line.update else {
        panic!("{:?}", page.lines[0]);
    };
    assert!(line.contains("ééé"));
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_transcript() {
    use std::os::unix::fs::PermissionsExt;
    let case = Case::new();
    case.write(1, 1, 0);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(case.file()), 0o600);
    assert_eq!(mode(case.dir.path().join("tasks")), 0o700);
}

#[test]
fn a_folder_in_the_way_is_named() {
    let case = Case::new();
    fs::write(case.dir.path().join("tasks"), "a file").unwrap();
    let error = case.transcripts.writer(task(), TURN).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(error.to_string().contains("3.jsonl"), "{error}");
}
