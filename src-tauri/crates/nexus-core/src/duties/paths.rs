//! What a path says: whether a plan declared it, and whether tests are kept there.

use super::language::is_one_of;
use crate::ProjectPath;

/// Does this path lie in what the plan declared? A folder stands for all that is in it. `*`
/// is any text between two slashes, `**` any number of folders. `.` is the whole project, and
/// an empty text is nothing.
pub fn covers(declared: &str, path: &ProjectPath) -> bool {
    let Some(pattern) = Pattern::read(declared) else {
        return false;
    };
    let mut reached = pattern.beginning();
    for part in path.as_str().split('/') {
        if reached.last() == Some(&true) {
            return true;
        }
        reached = pattern.step(&reached, part);
    }
    reached.last() == Some(&true)
}

/// Two declared sets that may touch the same file: one path of each, or `None` if they cannot.
/// An empty set may touch anything, and is named as `**`.
pub fn overlap(a: &[String], b: &[String]) -> Option<(String, String)> {
    let anywhere = ["**".to_owned()];
    let a = if a.is_empty() { &anywhere } else { a };
    let b = if b.is_empty() { &anywhere } else { b };
    let read = |declared: &str| Pattern::read(declared);
    let patterns: Vec<_> = b.iter().map(|path| (path, read(path))).collect();
    a.iter().find_map(|one| {
        let pattern = read(one)?;
        let meets = |other: &Option<Pattern>| other.as_ref().is_some_and(|o| pattern.meets(o));
        let (other, _) = patterns.iter().find(|(_, other)| meets(other))?;
        Some((one.clone(), (*other).clone()))
    })
}

/// A declared path, part by part.
struct Pattern(Vec<String>);

impl Pattern {
    /// `None` for a text that names nothing.
    fn read(declared: &str) -> Option<Self> {
        let declared = declared.trim().replace('\\', "/");
        if declared.is_empty() {
            return None;
        }
        let mut parts = Vec::new();
        for part in declared.split('/') {
            match part {
                "" | "." => {}
                "**" => parts.push(part.to_owned()),
                // `**.rs` is meant as any file below that ends so.
                part if part.starts_with("**") => {
                    parts.push("**".to_owned());
                    parts.push(format!("*{}", part.trim_start_matches('*')));
                }
                part => parts.push(part.to_owned()),
            }
        }
        Some(Self(parts))
    }

    /// How much of the pattern may be behind us before the first part of a path. The last
    /// place is the end of the pattern: what follows lies in it.
    fn beginning(&self) -> Vec<bool> {
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.let_folders_be_none(reached)
    }

    fn step(&self, reached: &[bool], part: &str) -> Vec<bool> {
        let mut next = vec![false; self.0.len() + 1];
        for (at, pattern) in self.0.iter().enumerate() {
            if !reached[at] {
                continue;
            }
            if pattern == "**" {
                next[at] = true;
            } else if part_matches(pattern, part) {
                next[at + 1] = true;
            }
        }
        self.let_folders_be_none(next)
    }

    /// `**` may also stand for no folder at all.
    fn let_folders_be_none(&self, mut reached: Vec<bool>) -> Vec<bool> {
        for (at, pattern) in self.0.iter().enumerate() {
            if reached[at] && pattern == "**" {
                reached[at + 1] = true;
            }
        }
        reached
    }

    /// Is there a path that both cover? Where one ends, it covers all that the other may still
    /// ask for.
    fn meets(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        let mut below = vec![true; b.len() + 1];
        for pattern in a.iter().rev() {
            let mut row = vec![true; b.len() + 1];
            for (at, across) in b.iter().enumerate().rev() {
                row[at] = if pattern == "**" || across == "**" {
                    below[at] || row[at + 1]
                } else {
                    below[at + 1] && parts_meet(pattern, across)
                };
            }
            below = row;
        }
        below[0]
    }
}

/// Does one part of a path fit one part of a pattern?
fn part_matches(pattern: &str, part: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = part.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Is there a text that fits both?
fn parts_meet(a: &str, b: &str) -> bool {
    if !a.contains('*') {
        return part_matches(b, a);
    }
    if !b.contains('*') {
        return part_matches(a, b);
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let only_stars = |rest: &[u8]| rest.iter().all(|letter| *letter == b'*');
    let mut below: Vec<bool> = (0..=b.len()).map(|at| only_stars(&b[at..])).collect();
    for (row_at, letter) in a.iter().enumerate().rev() {
        let mut row = vec![only_stars(&a[row_at..]); b.len() + 1];
        for (at, across) in b.iter().enumerate().rev() {
            row[at] = if *letter == b'*' || *across == b'*' {
                below[at] || row[at + 1]
            } else {
                letter == across && below[at + 1]
            };
        }
        below = row;
    }
    below[0]
}

/// Folders whose content belongs to tests, whatever it is.
const TEST_FOLDERS: &[&str] = &[
    "test",
    "tests",
    "__tests__",
    "__snapshots__",
    "testdata",
    "androidtest",
    "unittests",
    "integration-tests",
    "integration_tests",
];

/// Folders of tests where they hold programs; others keep texts of another kind there.
const SPEC_FOLDERS: &[&str] = &["spec", "specs", "e2e", "cypress"];

/// Does a project of any usual kind keep its tests in a file of this name and place?
///
/// Tests inside a source file, as in Rust, are not seen by the path.
pub fn is_test_file(path: &ProjectPath) -> bool {
    let (folders, file) = match path.as_str().rsplit_once('/') {
        Some((folders, file)) => (folders, file),
        None => ("", path.as_str()),
    };
    if is_text_for_people(file) {
        return false;
    }
    let folders: Vec<String> = folders.split('/').map(str::to_ascii_lowercase).collect();
    let in_folder = |known: &[&str]| {
        folders
            .iter()
            .any(|folder| known.contains(&folder.as_str()))
    };
    let in_test_project = folders
        .iter()
        .any(|f| f.ends_with(".tests") || f.ends_with(".test"));
    in_folder(TEST_FOLDERS)
        || in_test_project
        || (in_folder(SPEC_FOLDERS) && writes_specs(file))
        || is_test_name(file)
}

fn is_text_for_people(file: &str) -> bool {
    let lower = file.to_ascii_lowercase();
    [".md", ".mdx", ".rst", ".adoc"]
        .iter()
        .any(|end| lower.ends_with(end))
}

fn is_test_name(file: &str) -> bool {
    if file.ends_with(".snap") || file.ends_with(".bats") || file == "conftest.py" {
        return true;
    }
    let Some((stem, extension)) = file.rsplit_once('.') else {
        return false;
    };
    if !is_one_of(PROGRAMS, extension) {
        return false;
    }
    let mut words = stem.split(['.', '_', '-']);
    let first = words.next().unwrap_or_default();
    let last = words.next_back();
    let is_test = |word: &str| matches!(word, "test" | "tests" | "unittest" | "Test" | "Tests");
    let is_spec = |word: &str| matches!(word, "spec" | "cy" | "e2e") && writes_specs(file);
    is_test(first)
        || last.is_some_and(|word| is_test(word) || is_spec(word))
        || (first == "spec" && last == Some("helper"))
        || has_test_affix(stem, extension)
}

/// `SomethingTest.java`, `TestSomething.java` and their relatives.
fn has_test_affix(stem: &str, extension: &str) -> bool {
    let suffixes: &[&str] = match extension {
        "java" | "kt" | "kts" | "groovy" | "scala" => {
            &["Test", "Tests", "TestCase", "IT", "Spec", "Suite"]
        }
        "cs" | "fs" | "vb" | "php" | "swift" | "dart" => &["Test", "Tests", "TestCase", "Spec"],
        "cpp" | "cc" | "cxx" | "mm" => &["Test", "Tests"],
        "js" | "jsx" | "ts" | "tsx" => &["Test", "Spec"],
        _ => &[],
    };
    // The letter before must end a word: `LatestIT` is one, `EXIT` is none.
    let has_suffix = suffixes.iter().any(|suffix| {
        let word = stem
            .strip_suffix(suffix)
            .and_then(|word| word.chars().next_back());
        word.is_some_and(|letter| !letter.is_ascii_uppercase())
    });
    let after = stem
        .strip_prefix("Test")
        .filter(|_| matches!(extension, "java" | "kt"));
    has_suffix || after.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// Languages in which `spec` is a word for a test.
fn writes_specs(file: &str) -> bool {
    let extension = file.rsplit('.').next().unwrap_or_default();
    [
        "js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts", "rb", "php", "coffee", "lua",
    ]
    .contains(&extension)
}

/// Extensions of files that hold programs.
const PROGRAMS: &str = "\
    rs py pyi js jsx ts tsx mjs cjs mts cts go java kt kts groovy scala cs fs vb rb php sh \
    bash zsh bats c cc cpp cxx h hh hpp m mm swift dart ex exs lua coffee zig hs ml clj erl \
    jl r R pl t nim vue svelte";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> ProjectPath {
        ProjectPath::parse(text).unwrap()
    }

    #[test]
    fn a_folder_stands_for_all_in_it_and_stars_are_wild() {
        let covered = [
            ("src", "src"),
            ("src", "src/a.rs"),
            ("src/", "src/b/c.rs"),
            ("./src", "src/a.rs"),
            ("/src", "src/a.rs"),
            ("src\\b", "src/b/c.rs"),
            ("src/*.rs", "src/a.rs"),
            ("src/*", "src/b/c.rs"),
            ("src/**", "src/b/c.rs"),
            ("src/**/c.rs", "src/c.rs"),
            ("src/**/c.rs", "src/a/b/c.rs"),
            ("**/*.test.ts", "ui/src/a.test.ts"),
            ("**.ts", "ui/src/a.ts"),
            ("src/a*b*c.rs", "src/aXbYc.rs"),
            (".", "anything/at/all"),
            ("**", "a"),
            ("*", "a/b"),
            ("crates/*/src", "crates/core/src/lib.rs"),
        ];
        for (declared, at) in covered {
            assert!(covers(declared, &path(at)), "{declared} {at}");
        }
        let outside = [
            ("", "a"),
            ("  ", "a"),
            ("src", "srcs/a.rs"),
            ("src", "lib/src/a.rs"),
            ("src/a", "src"),
            ("src/*.rs", "src/b/a.rs"),
            ("src/*.rs", "src/a.ts"),
            ("src/**/c.rs", "src/a/b.rs"),
            ("a*b", "a"),
            ("SRC", "src/a.rs"),
            ("../src", "src/a.rs"),
            ("aa*aa", "aaa"),
        ];
        for (declared, at) in outside {
            assert!(!covers(declared, &path(at)), "{declared} {at}");
        }
    }

    fn met(a: &[&str], b: &[&str]) -> Option<(String, String)> {
        let owned = |set: &[&str]| set.iter().map(|&path| path.to_owned()).collect::<Vec<_>>();
        overlap(&owned(a), &owned(b))
    }

    #[test]
    fn two_sets_overlap_where_one_file_may_be_in_both() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(
            met(&["src/a", "src"], &["docs", "src/b.rs"]),
            pair("src", "src/b.rs")
        );
        assert_eq!(met(&["src/*.rs"], &["src/a*"]), pair("src/*.rs", "src/a*"));
        assert_eq!(met(&["**/a.rs"], &["src/b"]), pair("**/a.rs", "src/b"));
        assert_eq!(met(&[], &["src"]), pair("**", "src"));
        assert_eq!(met(&["src"], &[]), pair("src", "**"));
        assert_eq!(met(&[], &[]), pair("**", "**"));
        assert_eq!(met(&["."], &["a/b"]), pair(".", "a/b"));
    }

    #[test]
    fn two_sets_that_share_no_file_do_not_overlap() {
        for (a, b) in [
            (&["src"][..], &["srcs", "lib/src"][..]),
            (&["src/*.rs"], &["src/*.ts"]),
            (&["src/a*"], &["src/b*"]),
            (&["ui/**/x.ts"], &["src"]),
            (&[""], &["src"]),
        ] {
            assert_eq!(met(a, b), None, "{a:?} {b:?}");
            assert_eq!(met(b, a), None, "{b:?} {a:?}");
        }
    }

    #[test]
    fn a_file_of_tests_is_known_by_its_place_or_name() {
        for at in [
            "tests/a.rs",
            "src/task/tests.rs",
            "src/sum_test.go",
            "test_sum.py",
            "sum_test.py",
            "conftest.py",
            "src/sum.test.ts",
            "src/sum.spec.tsx",
            "src/__tests__/sum.js",
            "src/__snapshots__/sum.test.ts.snap",
            "spec/sum_spec.rb",
            "spec/spec_helper.rb",
            "src/test/java/Sum.java",
            "app/TestSum.java",
            "js/sumSpec.js",
            "base/sum_unittest.cc",
            "app/SumTest.java",
            "app/SumIT.java",
            "Sum.Tests/Usings.cs",
            "tests/fixtures/order.json",
            "sum_unittest_test.cc",
            "test/sum.bats",
            "e2e/login.ts",
            "cypress/login.cy.ts",
            "pkg/testdata/a.txt",
        ] {
            assert!(is_test_file(&path(at)), "{at}");
        }
        for at in [
            "src/latest.ts",
            "src/contest.py",
            "src/Latest.java",
            "src/EXIT.java",
            "src/Testing.java",
            "src/ABTest.ts",
            "src/task/spec.rs",
            "spec/openapi.yaml",
            "tests/README.md",
            "src/attestation.go",
            "src/inspect.rb",
            ".github/workflows/test.yml",
            "test.json",
            "src/testing.rs",
            "Makefile",
        ] {
            assert!(!is_test_file(&path(at)), "{at}");
        }
    }

    proptest! {
        #[test]
        fn paths_that_both_cover_make_two_sets_overlap(
            a in "[ab*]{1,3}(/[ab*]{1,3}){0,3}",
            b in "[ab*]{1,3}(/[ab*]{1,3}){0,3}",
            at in "[ab]{1,3}(/[ab]{1,3}){0,4}",
        ) {
            let both = covers(&a, &path(&at)) && covers(&b, &path(&at));
            if both {
                prop_assert!(overlap(&[a], &[b]).is_some());
            }
        }

        #[test]
        fn a_path_overlaps_whatever_covers_it_from_either_side(
            a in "[ab*]{1,3}(/[ab*]{1,3}){0,3}",
            at in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let is_covered = covers(&a, &path(&at));
            let (a, at) = ([a], [at]);
            let overlaps = overlap(&at, &a).is_some();
            prop_assert!(overlaps || !is_covered);
            prop_assert_eq!(overlaps, overlap(&a, &at).is_some());
        }
    }
}
