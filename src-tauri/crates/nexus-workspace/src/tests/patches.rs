//! What was done to each file, line by line.

use super::{
    path,
    trees::{File, Files, Trees, executable, files, link, plain},
};
use crate::PatchLimit;
use nexus_core::{ChangeKind, FileKind, FilePatch};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn patches(trees: &Trees, from: &Files, to: &Files, limit: PatchLimit) -> Vec<FilePatch> {
    let [from, to] = [from, to].map(|files| trees.tree(files));
    trees.repository.file_patches(&from, &to, limit).unwrap()
}

fn patch(at: &str, change: ChangeKind, removed: &[&str], added: &[&str]) -> FilePatch {
    let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect();
    FilePatch {
        path: path(at),
        change,
        removed: lines(removed),
        added: lines(added),
        cut: false,
    }
}

#[test]
fn every_change_has_its_lines_under_its_own_path() {
    use ChangeKind::{Added, Deleted, Modified};
    let odd = "new\nline \"q\" \t\\ ünï b/x";
    let from = files([
        ("a space/a b/a", plain("1\n2\n3\n4\n5\n")),
        ("becomes a file", link("to")),
        ("becomes a link", plain("1\n2")),
        ("binary", plain("\0")),
        ("deleted", plain("1\r\n\n")),
        ("folder", plain("f\n")),
        ("link", link("one")),
        ("mode", plain("same\n")),
        ("untouched", plain("u\n")),
        ("z", plain("last\n")),
    ]);
    let to = files([
        (
            "-new",
            plain("--- a/x\n+++ b/x\n@@ -1 +1 @@\ndiff --git a/x b/x\n"),
        ),
        ("a space/a b/a", plain("1\nii\n3\n4\n5\n6")),
        ("becomes a file", plain("1\n2\n")),
        ("becomes a link", link("to")),
        ("binary", plain("\0\0")),
        ("empty", plain("")),
        ("folder/x", plain(b"\xff\n")),
        ("link", link("two")),
        ("mode", executable("same\n")),
        (odd, plain("o\n")),
        ("untouched", plain("u\n")),
        ("z", plain("last")),
    ]);
    let binary = FilePatch {
        cut: true,
        ..patch("binary", Modified, &[], &[])
    };
    let seen = patches(&Trees::new(), &from, &to, PatchLimit::default());
    let content = ["--- a/x", "+++ b/x", "@@ -1 +1 @@", "diff --git a/x b/x"];
    assert_eq!(
        seen,
        [
            patch("-new", Added, &[], &content),
            patch("a space/a b/a", Modified, &["2"], &["ii", "6"]),
            patch("becomes a file", Modified, &["to"], &["1", "2"]),
            patch("becomes a link", Modified, &["1", "2"], &["to"]),
            binary,
            patch("deleted", Deleted, &["1", ""], &[]),
            patch("empty", Added, &[], &[]),
            patch("folder", Deleted, &["f"], &[]),
            patch("folder/x", Added, &[], &["\u{fffd}"]),
            patch("link", Modified, &["one"], &["two"]),
            patch("mode", Modified, &[], &[]),
            patch(odd, Added, &[], &["o"]),
            patch("z", Modified, &["last"], &["last"]),
        ]
    );
    let trees = Trees::new();
    assert_eq!(patches(&trees, &to, &to, PatchLimit::default()), []);
}

#[test]
fn what_is_over_a_limit_is_cut_and_says_so() {
    let trees = Trees::new();
    let lines = |count: usize| plain("0123456\n".repeat(count));
    let to = files([
        ("a", lines(4)),
        ("b long", lines(400_000)),
        ("c", lines(3)),
        ("d wide", plain("x".repeat(1000) + "\ny\n")),
        ("e", lines(4)),
        ("f", lines(4)),
        ("g", executable("")),
    ]);
    let kept = |limit| -> Vec<_> {
        let patches = patches(&trees, &Files::new(), &to, limit).into_iter();
        patches
            .map(|patch| (patch.added.len(), patch.cut))
            .collect()
    };
    let each = PatchLimit {
        lines: 4,
        bytes: 1000,
        total_bytes: 10_000,
    };
    let whole = |lines| (lines, false);
    let expected = [
        whole(4),
        (4, true),
        whole(3),
        (0, true),
        whole(4),
        whole(4),
        whole(0),
    ];
    assert_eq!(kept(each), expected);
    let bytes = PatchLimit { bytes: 31, ..each };
    assert_eq!(kept(bytes)[0], (3, true));
    // Where all together is too much, the first ones are kept.
    let total = PatchLimit {
        total_bytes: 7 * 8,
        ..each
    };
    let cut = |lines| (lines, true);
    let expected = [whole(4), cut(3), cut(0), cut(0), cut(0), cut(0), cut(0)];
    assert_eq!(kept(total), expected);
}

/// Lines that look like parts of a diff.
fn text() -> impl Strategy<Value = File> {
    let line = prop::sample::select(vec![
        "",
        "-",
        "+",
        "--- a/a",
        "+++ b/a",
        "-- a/a",
        "++ b/a",
        "@@ -1,2 +3,4 @@",
        "diff --git a/a b/a",
        "\\ No newline at end of file",
        "Binary files a/a and b/a differ",
        "index 1..2",
        "plain",
    ]);
    let lines = prop::collection::vec(line, 0..12);
    (lines, any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(lines, ended, link)| {
        let mut text = lines.join("\n");
        // A link leads somewhere.
        if (ended && !lines.is_empty()) || (link && text.is_empty()) {
            text.push('\n');
        }
        let kind = if link {
            FileKind::Link
        } else {
            FileKind::Plain
        };
        File {
            kind,
            ..plain(text)
        }
    })
}

fn tree() -> impl Strategy<Value = Files> {
    let name = prop::sample::select(vec!["a", "a b", "b\nc", "d/e"]);
    prop::collection::btree_map(name.prop_map(str::to_owned), text(), 0..4)
}

fn counts<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, i64> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn removed_and_added_lines_account_for_the_whole_difference(from in tree(), to in tree()) {
        let seen = patches(&Trees::new(), &from, &to, PatchLimit::default());
        let changed: Vec<_> = from.keys().chain(to.keys()).filter(|p| from.get(*p) != to.get(*p)).collect();
        for path in &changed {
            let patch = seen.iter().find(|patch| patch.path.as_str() == *path);
            let patch = patch.unwrap();
            prop_assert!(!patch.cut);
            let text = |files: &Files| files.get(*path).map_or(String::new(), |file| String::from_utf8(file.bytes.clone()).unwrap());
            let (old, new) = (text(&from), text(&to));
            let mut expected = counts(old.split_terminator('\n'));
            for line in &patch.removed {
                *expected.entry(line).or_default() -= 1;
            }
            for line in &patch.added {
                *expected.entry(line).or_default() += 1;
            }
            expected.retain(|_, count| *count != 0);
            prop_assert_eq!(expected, counts(new.split_terminator('\n')));
        }
        prop_assert!(seen.iter().all(|patch| changed.contains(&&patch.path.as_str().to_owned())));
    }
}
