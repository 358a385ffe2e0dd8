//! Changes, and what is found in them. The tables are texts: a change reads best as a change.

use super::*;
use crate::ChangeKind;
use proptest::prelude::*;

const FLAGGED: &str = include_str!("tests/flagged.txt");
const INNOCENT: &str = include_str!("tests/innocent.txt");

/// One row of a table.
struct Row {
    name: String,
    patches: Vec<FilePatch>,
    /// The kind of each flag, and what its line is, if that is said.
    expected: Vec<(String, Option<String>)>,
}

/// Reads a table; its first lines explain it.
fn rows(table: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in table.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            rows.push(Row {
                name: name.to_owned(),
                patches: vec![],
                expected: vec![],
            });
            continue;
        }
        let Some(row) = rows.last_mut() else { continue };
        match line.split_at_checked(1) {
            Some(("@", rest)) => {
                let (sign, path) = rest.split_once(' ').unwrap();
                let change = match sign {
                    "+" => ChangeKind::Added,
                    "-" => ChangeKind::Deleted,
                    _ => ChangeKind::Modified,
                };
                row.patches.push(patch(path, change, &[], &[]));
            }
            Some(("-", text)) => row
                .patches
                .last_mut()
                .unwrap()
                .removed
                .push(text.to_owned()),
            Some(("+", text)) => row.patches.last_mut().unwrap().added.push(text.to_owned()),
            Some((">", rest)) => {
                let (kind, line) = match rest.trim().split_once(' ') {
                    Some((kind, line)) => (kind, Some(line.to_owned())),
                    None => (rest.trim(), None),
                };
                row.expected.push((kind.to_owned(), line));
            }
            _ => assert!(line.is_empty(), "a line of no meaning: {line}"),
        }
    }
    rows
}

fn path(text: &str) -> ProjectPath {
    ProjectPath::parse(text).unwrap()
}

fn patch(at: &str, change: ChangeKind, removed: &[&str], added: &[&str]) -> FilePatch {
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    FilePatch {
        path: path(at),
        change,
        removed: owned(removed),
        added: owned(added),
        cut: false,
    }
}

fn reviewed(role: Role, patches: &[FilePatch]) -> Vec<Flag> {
    review(&Work {
        role,
        paths: &[],
        alphas: &BTreeSet::new(),
        patches,
    })
}

fn kinds(flags: &[Flag]) -> Vec<FlagKind> {
    flags.iter().map(|flag| flag.kind).collect()
}

/// What is wrong with a row, if anything is.
fn complaint(row: &Row) -> Option<String> {
    let flags = reviewed(Role::Code, &row.patches);
    let fits = |flag: &Flag, (kind, line): &(String, Option<String>)| {
        flag.kind.name() == kind && line.as_ref().is_none_or(|line| flag.line == *line)
    };
    let all_fit = flags.len() == row.expected.len()
        && flags
            .iter()
            .zip(&row.expected)
            .all(|(flag, expected)| fits(flag, expected));
    (!all_fit).then(|| {
        format!(
            "{}\n  wanted {:?}\n  found {flags:?}",
            row.name, row.expected
        )
    })
}

fn complaints(table: &str) -> String {
    rows(table)
        .iter()
        .filter_map(complaint)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn what_weakens_the_proof_is_found() {
    let rows = rows(FLAGGED);
    assert!(
        rows.iter().all(|row| !row.expected.is_empty()),
        "a row of the other table"
    );
    assert_eq!(complaints(FLAGGED), "");
}

#[test]
fn an_ordinary_change_is_no_cause_for_a_flag() {
    assert_eq!(complaints(INNOCENT), "");
}

fn work<'a>(role: Role, paths: &'a [String], patches: &'a [FilePatch]) -> Work<'a> {
    const NONE: &BTreeSet<ProjectPath> = &BTreeSet::new();
    Work {
        role,
        paths,
        alphas: NONE,
        patches,
    }
}

fn added(at: &str, lines: &[&str]) -> FilePatch {
    patch(at, ChangeKind::Added, &[], lines)
}

fn modified(at: &str, removed: &[&str], added: &[&str]) -> FilePatch {
    patch(at, ChangeKind::Modified, removed, added)
}

#[test]
fn a_file_that_alpha_wrote_is_not_codes_to_change() {
    let alphas = BTreeSet::from([path("tests/sum.rs")]);
    let patches = [
        modified("tests/sum.rs", &["// a"], &["// b"]),
        modified("src/sum.rs", &["// a"], &["// b"]),
    ];
    let by = |role| {
        review(&Work {
            alphas: &alphas,
            ..work(role, &[], &patches)
        })
    };
    let flag = Flag::new(FlagKind::TestsOfAnother, &path("tests/sum.rs"), "");
    assert_eq!(by(Role::Code), [flag]);
    assert_eq!(by(Role::Alpha), []);
}

#[test]
fn alpha_may_rewrite_tests_but_not_what_old_ones_showed() {
    let new_test = added(
        "tests/new.rs",
        &["#[test]", "fn adds() {", "    assert!(true);", "}"],
    );
    let renamed = modified(
        "tests/sum.rs",
        &[
            "#[test]",
            "fn adds() {",
            "    assert_eq!(sum(&[1]), 1);",
            "}",
        ],
        &[
            "#[test]",
            "fn sums() {",
            "    assert_eq!(sum(&[1]), 1);",
            "}",
        ],
    );
    assert_eq!(reviewed(Role::Alpha, &[new_test, renamed]), []);

    let gone = &[
        "#[test]",
        "fn adds() {",
        "    assert_eq!(sum(&[1]), 1);",
        "}",
    ];
    let deleted = patch("tests/sum.rs", ChangeKind::Deleted, gone, &[]);
    let flags = reviewed(Role::Alpha, &[deleted]);
    let line = "assert_eq!(sum(&[1]), 1);";
    assert_eq!(
        flags,
        [Flag::new(
            FlagKind::AssertionDeleted,
            &path("tests/sum.rs"),
            line
        )]
    );

    let skipped = modified("tests/sum.rs", &["#[case(1)]"], &["#[ignore]"]);
    let soft = modified("Makefile", &[], &["\t-cargo test"]);
    let wider = modified("tests/b.py", &["    timeout = 5"], &["    timeout = 50"]);
    assert_eq!(
        kinds(&reviewed(Role::Alpha, &[skipped, soft, wider])),
        [
            FlagKind::CheckWeakened,
            FlagKind::ThresholdLoosened,
            FlagKind::AssertionDeleted,
            FlagKind::SkipAdded,
        ]
    );
}

#[test]
fn a_role_that_writes_nothing_has_changed_too_much_with_any_file() {
    let patches = [
        added("b.md", &["<<<<<<< ours"]),
        modified("tests/a.rs", &["assert_eq!(a, 1);"], &[]),
    ];
    for role in [Role::Prime, Role::Aria, Role::Beta] {
        let flags = reviewed(role, &patches);
        let outside = |at| Flag::new(FlagKind::OutsidePaths, &path(at), "");
        assert_eq!(flags, [outside("b.md"), outside("tests/a.rs")], "{role}");
    }
}

#[test]
fn a_writer_keeps_to_the_paths_of_the_step() {
    let patches = [
        added("src/a.rs", &[]),
        added("src/b/c.rs", &[]),
        added("docs/a.md", &[]),
    ];
    let paths = ["src/b".to_owned(), "*.md".to_owned()];
    for role in [Role::Code, Role::Alpha] {
        let flags = review(&work(role, &paths, &patches));
        let outside = |at| Flag::new(FlagKind::OutsidePaths, &path(at), "");
        assert_eq!(flags, [outside("docs/a.md"), outside("src/a.rs")], "{role}");
    }
}

#[test]
fn conflict_marks_are_found_for_every_writer_and_wherever_they_stand() {
    let lines = [
        "<<<<<<< ours",
        "=======",
        ">>>>>>> theirs",
        "<<<<<<<",
        " <<<<<<< x",
        "<<<<<<<<",
    ];
    for at in ["src/a.rs", "notes.txt", "data"] {
        for role in [Role::Code, Role::Alpha] {
            let flags = reviewed(role, &[modified(at, &[], &lines)]);
            let shown: Vec<_> = flags.iter().map(|flag| flag.line.as_str()).collect();
            assert_eq!(
                shown,
                ["<<<<<<< ours", ">>>>>>> theirs", "<<<<<<<"],
                "{at} {role}"
            );
        }
    }
}

#[test]
fn a_line_is_cut_between_letters() {
    let line = format!("    assert_eq!(sum(&[1, 2]), 3, \"{}\");", "ä".repeat(200));
    let flags = reviewed(Role::Code, &[modified("tests/sum.rs", &[&line], &[])]);
    let [flag] = flags.as_slice() else {
        panic!("{flags:?}")
    };
    assert!(
        flag.line.len() <= 200 && flag.line.len() > 196,
        "{}",
        flag.line.len()
    );
    assert!(line.trim_start().starts_with(&flag.line));
}

#[test]
fn many_flags_of_one_kind_are_cut_for_each_file() {
    let lines: Vec<String> = (0..500)
        .map(|at| format!("    assert_eq!(f({at}), {at});"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let patches = [
        modified("tests/a.rs", &lines, &[]),
        modified("tests/b.rs", &lines, &[]),
    ];
    let flags = reviewed(Role::Code, &patches);
    assert_eq!(flags.len(), 2 * MOST_OF_A_KIND);
    assert_eq!(flags[0].line, "assert_eq!(f(0), 0);");
}

#[test]
fn a_binary_file_of_tests_may_move_and_not_go() {
    let binary = |at, change| FilePatch {
        cut: true,
        ..patch(at, change, &[], &[])
    };
    let gone = binary("tests/data/a.png", ChangeKind::Deleted);
    assert_eq!(
        kinds(&reviewed(Role::Code, std::slice::from_ref(&gone))),
        [FlagKind::TestDeleted]
    );
    let moved = binary("tests/images/a.png", ChangeKind::Added);
    assert_eq!(reviewed(Role::Code, &[gone, moved]), []);
}

#[test]
fn a_kind_has_one_name_in_json_and_in_code_and_a_sentence() {
    for kind in FlagKind::ALL {
        assert_eq!(
            serde_json::to_string(&kind).unwrap(),
            format!("\"{}\"", kind.name())
        );
        assert!(kind.describe().ends_with('.') && kind.describe().len() > 20);
    }
    let weakens = FlagKind::ALL
        .into_iter()
        .filter(|kind| kind.weakens_proof())
        .count();
    assert_eq!(weakens, 5);
}

/// Far more than anybody reads: this ends soon only if no line is compared with all others.
#[test]
fn a_large_change_is_read_in_one_go() {
    let line = |at: usize| match at % 5 {
        0 => format!("    it(\"does {} and {at}\", () => {{", at / 10),
        1 => format!("      expect(result).toBe({at});"),
        2 => format!("      expect(call({at}, timeout: {at})).toEqual({{ a: {at} }});"),
        3 => "      expect(result.value).toBeGreaterThan(1); expect(result).toBe(x);".to_owned(),
        _ => "    });".to_owned(),
    };
    let removed: Vec<String> = (0..20_000).map(line).collect();
    let added: Vec<String> = (0..20_000).map(|at| line(at + 7)).collect();
    let of = |removed: &[String], added: &[String], at| FilePatch {
        removed: removed.to_vec(),
        added: added.to_vec(),
        ..modified(at, &[], &[])
    };
    let wide = "assert(".repeat(200_000);
    let patches = [
        of(&removed, &added, "src/a.test.ts"),
        of(&removed, &[], "src/b.test.ts"),
        of(&added, &removed, "tests/test_c.py"),
        modified("tests/d.rs", &[&wide], &[&wide]),
    ];
    assert!(!reviewed(Role::Code, &patches).is_empty());
}

/// Pieces of code that mean something to these rules, and some that do not.
const PIECES: &[&str] = &[
    "assert",
    "assert!(",
    "assert_eq!(",
    "expect(",
    ").toBe(",
    ")",
    "(",
    "{",
    "}",
    "[",
    "]",
    ";",
    ",",
    "it(\"",
    "\"",
    "'",
    "`",
    "test",
    "fn ",
    "def test_",
    "#[test]",
    "#[ignore]",
    "@Test",
    "[Fact]",
    ".skip",
    ".Should()",
    "||",
    "&&",
    " or ",
    " == ",
    ">=",
    " < ",
    "1",
    "2.5",
    "1e-6",
    "true",
    "None",
    "timeout",
    "=",
    ":",
    "retries",
    "//",
    "/*",
    "*/",
    "#",
    "\\",
    "ä",
    "→",
    "\u{0}",
    "    ",
    "\t",
    "x",
    "name",
    ".",
    "->",
    "if ",
    "func Test",
    "t.Run(\"",
    "TEST(",
    "run: ",
    "|| true",
    "set -e",
    "exit 0",
    "\"test\": \"",
    "commands = [",
    "<<<<<<< ",
    "pytest.raises(",
    "is not ",
];

const PATHS: &[&str] = &[
    "src/a.rs",
    "tests/a.rs",
    "tests/test_a.py",
    "src/a.test.ts",
    "a_test.go",
    "src/test/ATest.java",
    "src/test/ATest.kt",
    "A.Tests/ATests.cs",
    "spec/a_spec.rb",
    "tests/ATest.php",
    "tests/a.sh",
    "a_test.cc",
    "package.json",
    ".nexus/config.toml",
    "Makefile",
    ".github/workflows/ci.yml",
    "pyproject.toml",
    "jest.config.js",
    "tox.ini",
    "notes.md",
    "tests/data.bin",
    "codecov.yml",
    ".pre-commit-config.yaml",
    "scripts/check.sh",
];

fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(prop::sample::select(PIECES), 0..12);
    prop_oneof![4 => pieces.prop_map(|pieces| pieces.concat()), 1 => ".{0,40}"]
}

fn any_patch() -> impl Strategy<Value = FilePatch> {
    let change = prop::sample::select(vec![
        ChangeKind::Added,
        ChangeKind::Modified,
        ChangeKind::Deleted,
    ]);
    let lines = || prop::collection::vec(soup(), 0..12);
    (
        prop::sample::select(PATHS),
        change,
        lines(),
        lines(),
        any::<bool>(),
    )
        .prop_map(|(at, change, removed, added, cut)| FilePatch {
            path: path(at),
            change,
            removed,
            added,
            cut,
        })
}

/// A line in which no word means anything to these rules.
fn plain_line() -> impl Strategy<Value = String> {
    "[ \t]{0,8}(([bgkqz][bgkqz0-9]{0,6}|\"[bgkqz 0-9]*\")[ .,;:(){}=+*-]{0,3}){0,8}"
}

/// Every piece of a test in the table may move to another file of tests.
#[test]
fn what_is_gone_in_the_table_may_move() {
    let mut moved = 0;
    for row in rows(FLAGGED) {
        let [from] = row.patches.as_slice() else {
            continue;
        };
        if !is_test_file(&from.path) || from.removed.is_empty() || !from.added.is_empty() {
            continue;
        }
        let text = from.path.as_str();
        let end = text.rsplit('/').next().unwrap();
        let to = FilePatch {
            added: from.removed.clone(),
            ..added(&format!("tests/moved/{end}"), &[])
        };
        let flags = reviewed(Role::Code, &[from.clone(), to]);
        assert_eq!(flags, [], "{}", row.name);
        moved += 1;
    }
    assert!(moved > 30, "{moved}");
}

proptest! {
    #[test]
    fn whatever_is_changed_the_same_is_found_again_in_the_order_of_paths(
        patches in prop::collection::vec(any_patch(), 0..5),
        paths in prop::collection::vec("[a-z*./]{0,8}", 0..3),
    ) {
        for role in [Role::Code, Role::Alpha, Role::Beta] {
            let work = work(role, &paths, &patches);
            let flags = review(&work);
            prop_assert_eq!(&flags, &review(&work));
            prop_assert!(flags.is_sorted_by_key(|flag| &flag.path));
            for flag in &flags {
                prop_assert!(patches.iter().any(|patch| patch.path == flag.path));
                prop_assert!(flag.line.len() <= Flag::LINE_LIMIT);
            }
        }
    }

    #[test]
    fn plain_new_lines_are_no_cause_for_a_flag(
        files in prop::collection::vec(
            (prop::sample::select(PATHS), prop::collection::vec(plain_line(), 0..20)),
            0..4,
        ),
    ) {
        for change in [ChangeKind::Added, ChangeKind::Modified] {
            let patches: Vec<FilePatch> = files
                .iter()
                .map(|(at, lines)| FilePatch { added: lines.clone(), ..patch(at, change, &[], &[]) })
                .collect();
            prop_assert_eq!(reviewed(Role::Code, &patches), []);
        }
    }

    #[test]
    fn a_file_of_tests_may_move(
        lines in prop::collection::vec(soup(), 0..30),
        (from, to) in prop::sample::select(vec![
            ("tests/a.rs", "tests/b/c.rs"),
            ("tests/test_a.py", "tests/unit/test_a.py"),
            ("src/a.test.ts", "tests/a.spec.ts"),
            ("a_test.go", "pkg/a_test.go"),
            ("src/test/ATest.java", "src/test/b/ATest.java"),
            ("A.Tests/ATests.cs", "B.Tests/ATests.cs"),
            ("spec/a_spec.rb", "spec/models/a_spec.rb"),
            ("tests/ATest.php", "tests/Unit/ATest.php"),
            ("tests/a.sh", "tests/b.sh"),
            ("a_test.cc", "tests/a_test.cc"),
            ("tests/data.json", "tests/fixtures/data.json"),
        ]),
    ) {
        let gone = FilePatch { removed: lines.clone(), ..patch(from, ChangeKind::Deleted, &[], &[]) };
        let come = FilePatch { added: lines, ..patch(to, ChangeKind::Added, &[], &[]) };
        let flags = reviewed(Role::Code, &[gone, come]);
        let lost = [FlagKind::TestDeleted, FlagKind::AssertionDeleted];
        prop_assert!(!flags.iter().any(|flag| lost.contains(&flag.kind)), "{:?}", flags);
    }

    #[test]
    fn what_is_only_reindented_is_still_there(
        lines in prop::collection::vec(soup(), 0..30),
        at in prop::sample::select(vec!["tests/a.rs", "src/a.test.ts", "a_test.go", "a_test.cc"]),
    ) {
        let indented = lines.iter().map(|line| format!("  {line}")).collect();
        let patch = FilePatch { removed: lines, added: indented, ..modified(at, &[], &[]) };
        let flags = reviewed(Role::Code, &[patch]);
        let kinds = kinds(&flags);
        prop_assert!(!kinds.contains(&FlagKind::AssertionDeleted), "{:?}", flags);
    }
}
