//! Two changes of the same tree brought together.

use super::{
    Place, contents, path,
    trees::{File, Files, Trees, executable, files, link, plain},
};
use crate::{Merge, MergeConflictKind, MergeLabels};
use nexus_core::{FileKind, TreeId};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs};

impl Trees {
    fn merge(&self, base: &TreeId, ours: &TreeId, theirs: &TreeId) -> Merge {
        let labels = MergeLabels {
            ours: "ours",
            theirs: "theirs",
        };
        self.repository.merge(base, ours, theirs, labels).unwrap()
    }

    /// Merges both ways round, and expects the same of both.
    fn merge_files(&self, base: &Files, ours: &Files, theirs: &Files) -> (Files, Conflicts) {
        let [base, ours, theirs] = [base, ours, theirs].map(|files| self.tree(files));
        let (tree, conflicts) = parts(self.merge(&base, &ours, &theirs));
        let (other, mirrored) = parts(self.merge(&base, &theirs, &ours));
        assert_eq!(conflicts, mirrored);
        if conflicts.is_empty() {
            assert_eq!(tree, other);
        }
        (self.read(&tree), conflicts)
    }
}

type Conflicts = Vec<(String, MergeConflictKind)>;

fn parts(merge: Merge) -> (TreeId, Conflicts) {
    match merge {
        Merge::Clean { tree } => (tree, Vec::new()),
        Merge::Conflicted { tree, files } => {
            assert!(!files.is_empty());
            let files = files.into_iter().map(|f| (f.path.to_string(), f.what));
            (tree, files.collect())
        }
    }
}

#[test]
fn what_each_side_changed_is_in_the_merged_tree_byte_by_byte() {
    let trees = Trees::new();
    let odd = "new\nline \"q\" \t\\ ünï";
    let base = files([
        (
            ".gitattributes",
            plain("* text=auto eol=crlf merge=union ident\n"),
        ),
        ("both", plain("1\r\n2\n3\r\n4\n5\r\n6\n7")),
        ("deleted here", plain("d")),
        ("deleted there", plain("d")),
        ("deleted twice", plain("d")),
        ("dir/becomes a file", plain("x")),
        ("becomes a folder", plain("x")),
        ("mode and text", plain("1\n")),
        ("same", plain("1")),
        ("untouched", plain("$Id$\r\n\0")),
    ]);
    let mut ours = base.clone();
    ours.insert("both".into(), plain("one\r\n2\n3\r\n4\n5\r\n6\n7"));
    ours.remove("deleted here");
    ours.remove("deleted twice");
    ours.remove("becomes a folder");
    ours.insert("becomes a folder/x".into(), plain("f"));
    ours.insert("mode and text".into(), executable("1\n"));
    ours.insert("same".into(), plain("2"));
    ours.insert("-dash".into(), plain(b"\xff\r\n"));
    ours.insert("link".into(), link("../anywhere"));
    let mut theirs = base.clone();
    theirs.insert("both".into(), plain("1\r\n2\n3\r\n4\n5\r\n6\nseven"));
    theirs.remove("deleted there");
    theirs.remove("deleted twice");
    theirs.remove("dir/becomes a file");
    theirs.insert("dir".into(), plain("f"));
    theirs.insert("mode and text".into(), plain("1\n2\n"));
    theirs.insert("same".into(), plain("2"));
    theirs.insert(odd.into(), executable("o"));

    let (merged, conflicts) = trees.merge_files(&base, &ours, &theirs);
    assert_eq!(conflicts, []);
    let expected = files([
        ("-dash", plain(b"\xff\r\n")),
        (".gitattributes", base[".gitattributes"].clone()),
        ("both", plain("one\r\n2\n3\r\n4\n5\r\n6\nseven")),
        ("becomes a folder/x", plain("f")),
        ("dir", plain("f")),
        ("link", link("../anywhere")),
        ("mode and text", executable("1\n2\n")),
        (odd, executable("o")),
        ("same", plain("2")),
        ("untouched", plain("$Id$\r\n\0")),
    ]);
    assert_eq!(merged, expected);
}

#[test]
fn every_way_to_be_in_each_others_way_is_a_conflict() {
    use MergeConflictKind::{Binary, BothAdded, BothChanged, Kind, Link, OneDeleted};
    let trees = Trees::new();
    let base = files([
        ("binary", plain("\0one")),
        ("changed", plain("one\ntwo\nthree\n")),
        ("deleted here", plain("1")),
        ("deleted there", plain("1")),
        ("file or folder", plain("1")),
        ("folder/x", plain("1")),
        ("link", link("one")),
        ("link or file", link("one")),
        ("text or binary", plain("1")),
    ]);
    let ours = files([
        ("added", plain("o\n")),
        ("added file or folder", plain("o")),
        ("added mode", plain("o")),
        ("binary", plain("\0o")),
        ("changed", plain("one\no\nthree\n")),
        ("deleted there", plain("o")),
        ("file or folder", plain("o")),
        ("folder", plain("o")),
        ("link", link("o")),
        ("link or file", link("o")),
        ("text or binary", plain("o")),
    ]);
    let theirs = files([
        ("added", plain("t\n")),
        ("added file or folder/x", plain("t")),
        ("added file or folder/y/z", plain("t")),
        ("added mode", executable("o")),
        ("binary", plain("\0t")),
        ("changed", plain("one\nt\nthree\n")),
        ("deleted here", plain("t")),
        ("file or folder/x", plain("t")),
        ("folder/x", plain("t")),
        ("link", link("t")),
        ("link or file", plain("t")),
        ("text or binary", plain("\0t")),
    ]);
    let (merged, conflicts) = trees.merge_files(&base, &ours, &theirs);
    let expected = [
        ("added", BothAdded),
        ("added file or folder", Kind),
        ("added mode", Kind),
        ("binary", Binary),
        ("changed", BothChanged),
        ("deleted here", OneDeleted),
        ("deleted there", OneDeleted),
        ("file or folder", Kind),
        ("folder", Kind),
        ("link", Link),
        ("link or file", Kind),
        ("text or binary", Binary),
    ];
    assert_eq!(
        conflicts,
        expected.map(|(path, what)| (path.to_owned(), what))
    );

    // What is ours is kept, a deleted file comes back, and texts are between marks.
    let mut expected = ours.clone();
    expected.insert("deleted here".into(), plain("t"));
    let marked = |o, t| format!("<<<<<<< ours\n{o}=======\n{t}>>>>>>> theirs\n");
    expected.insert("added".into(), plain(marked("o\n", "t\n")));
    let changed = format!("one\n{}three\n", marked("o\n", "t\n"));
    expected.insert("changed".into(), plain(changed));
    assert_eq!(merged, expected);

    // The other way round, the folders stay and the files of that name do not come.
    let [base, ours, theirs] = [&base, &ours, &theirs].map(|files| trees.tree(files));
    let (mirrored, _) = parts(trees.merge(&base, &theirs, &ours));
    let mirrored = trees.read(&mirrored);
    for kept in ["added file or folder/y/z", "file or folder/x", "folder/x"] {
        assert_eq!(mirrored[kept], plain("t"), "{kept}");
    }
}

#[test]
fn conflict_marks_name_the_sides_on_one_line_however_many_there_are() {
    let trees = Trees::new();
    let lines = |side: &str| {
        let lines = (0..300).map(|n| format!("{side}{n}\nfor all {n}\n2\n3\n4\n5\n"));
        trees.tree(&files([("many", plain(lines.collect::<String>()))]))
    };
    let long = format!("theirs\n>>>>>>> {}", "x".repeat(200));
    let labels = MergeLabels {
        ours: "-ours: a\tb",
        theirs: &long,
    };
    let [base, ours, theirs] = ["base", "ours", "theirs"].map(lines);
    let merged = trees.repository.merge(&base, &ours, &theirs, labels);
    let (tree, conflicts) = parts(merged.unwrap());
    assert_eq!(conflicts.len(), 1);
    let merged = trees.read(&tree)["many"].bytes.clone();
    let merged = String::from_utf8(merged).unwrap();
    let count = |line: &str| merged.lines().filter(|l| *l == line).count();
    assert_eq!(count("<<<<<<< -ours: a b"), 300);
    let theirs = format!(">>>>>>> theirs >>>>>>> {}", "x".repeat(65));
    assert_eq!(count(&theirs), 300);
}

#[test]
fn a_file_too_large_for_merging_by_lines_conflicts_without_marks() {
    let trees = Trees::new();
    let large = |first: &str, last: &str| {
        let text = format!("{first}\n{}{last}\n", "0123456\n".repeat(1 << 19));
        files([("large", plain(text))])
    };
    let ours = large("o", "1");
    let (merged, conflicts) = trees.merge_files(&large("1", "1"), &ours, &large("1", "t"));
    assert_eq!(conflicts, [("large".to_owned(), MergeConflictKind::Binary)]);
    assert!(merged == ours);
}

#[test]
fn a_merge_leaves_nothing_behind_and_touches_no_workspace() {
    let place = Place::git();
    place.write("a", "1\n").write("b", "1\n");
    place.commit_all();
    let workspace = place.workspace();
    let repository = place.repository();
    let base = workspace.base_tree();
    let ours = place.tree_of(&[("a", "2\n"), ("b", "1\n")]);
    let theirs = place.tree_of(&[("a", "3\n"), ("b", "2\n")]);
    let before = contents(&place.path("data/workspaces"));
    let project = contents(&place.project);
    let names = || -> Vec<_> {
        let entries = fs::read_dir(repository.path().join("nexus")).unwrap();
        entries.map(|e| e.unwrap().file_name()).collect()
    };
    let files = names();
    let labels = MergeLabels {
        ours: "o",
        theirs: "t",
    };
    let merged = repository.merge(base, &ours, &theirs, labels).unwrap();
    assert!(matches!(merged, Merge::Conflicted { .. }), "{merged:?}");
    assert_eq!(names(), files);
    assert_eq!(contents(&place.path("data/workspaces")), before);
    assert_eq!(contents(&place.project), project);
}

#[test]
fn the_marks_of_the_longest_conflict_are_found_again() {
    let trees = Trees::new();
    let long = |side: &str| {
        let lines = (0..4000).map(|n| format!("{side}{n:01000}\n"));
        trees.tree(&files([("long", plain(lines.collect::<String>()))]))
    };
    let merged = trees.merge(&long("b"), &long("o"), &long("t"));
    let (tree, conflicts) = parts(merged);
    let expected = ("long".to_owned(), MergeConflictKind::BothChanged);
    assert_eq!(conflicts, [expected]);
    assert!(trees.read(&tree)["long"].bytes.len() > 8_000_000);
    let found = trees.repository.marks_in(&tree, &[path("long")]);
    assert_eq!(found.unwrap(), [path("long")]);
}

/// What one name at the top of a tree is: nothing, a file, or a folder of files.
fn entry() -> impl Strategy<Value = Vec<(&'static str, File)>> {
    let text = prop::sample::select(vec![
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
        "one\n2\n3\n4\n5\n6\n7\n8\n9\n",
        "1\n2\n3\n4\n5\n6\n7\n8\nnine",
        "1\n2\n3\r\n4\n5\n6\n7\n8\n9\n",
        "",
    ]);
    let file = prop_oneof![
        6 => text.clone().prop_map(plain),
        1 => text.prop_map(executable),
        1 => prop::sample::select(vec!["\0x", "\0y"]).prop_map(plain),
        1 => prop::sample::select(vec!["x", "y"]).prop_map(link),
    ];
    let below = prop::sample::subsequence(vec!["/x", "/y", "/z/x"], 1..=3);
    prop_oneof![
        2 => Just(Vec::new()),
        5 => file.clone().prop_map(|file| vec![("", file)]),
        3 => (below, prop::collection::vec(file, 3))
            .prop_map(|(names, files)| names.into_iter().zip(files).collect()),
    ]
}

type Entries = [Vec<(&'static str, File)>; 3];

/// A tree, and what two sides made of it: each of its entries left as it was more often than
/// not.
fn sides() -> impl Strategy<Value = (Entries, Entries, Entries)> {
    let tree = || [entry(), entry(), entry()];
    let kept = || prop::array::uniform3(prop::bool::weighted(0.5));
    let changed = |base: &Entries, other: Entries, kept: [bool; 3]| {
        let mut other = other;
        for (n, kept) in kept.into_iter().enumerate() {
            if kept {
                other[n] = base[n].clone();
            }
        }
        other
    };
    (tree(), tree(), tree(), kept(), kept()).prop_map(move |(base, ours, theirs, here, there)| {
        let ours = changed(&base, ours, here);
        let theirs = changed(&base, theirs, there);
        (base, ours, theirs)
    })
}

fn flat(entries: &Entries) -> Files {
    let named = ["a", "b", "c"].into_iter().zip(entries);
    let files = named.flat_map(|(name, files)| {
        let path = move |(below, file): &(&str, File)| (format!("{name}{below}"), file.clone());
        files.iter().map(path)
    });
    files.collect()
}

/// What a merge is when no file is looked into: each as the side has it that changed it.
#[derive(Debug, Default)]
struct Model {
    merged: Files,
    /// Changed by both, differently.
    contested: Vec<String>,
    /// Names of files that are names of folders too.
    clashes: Vec<String>,
}

fn model(base: &Files, ours: &Files, theirs: &Files) -> Model {
    let mut model = Model::default();
    let mut every: Vec<&String> = base
        .keys()
        .chain(ours.keys())
        .chain(theirs.keys())
        .collect();
    every.sort();
    every.dedup();
    for path in every {
        let (was, here, there) = (base.get(path), ours.get(path), theirs.get(path));
        let merged = if here == there || there == was {
            here
        } else if here == was {
            there
        } else {
            model.contested.push(path.clone());
            here.or(there)
        };
        if let Some(file) = merged {
            model.merged.insert(path.clone(), file.clone());
        }
    }
    let is_below = |path: &String, file: &String| path.starts_with(&format!("{file}/"));
    let holds = |file: &&String| model.merged.keys().any(|path| is_below(path, file));
    model.clashes = model.merged.keys().filter(holds).cloned().collect();
    model
}

/// Three texts merged line by line, when they have lines enough to be told apart.
fn by_line(sides: [Option<&File>; 3]) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    for file in sides {
        let file = file.filter(|file| file.kind != FileKind::Link)?;
        let split: Vec<&[u8]> = file.bytes.split_inclusive(|b| *b == b'\n').collect();
        lines.push(Some(split).filter(|split| split.len() == 9)?);
    }
    let [base, ours, theirs] = lines.try_into().ok()?;
    let merged = base.iter().zip(ours.iter().zip(theirs));
    let merged = merged.map(|(was, (here, there))| if here == was { there } else { *here });
    Some(merged.collect::<Vec<_>>().concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_merge_is_what_a_plain_model_makes_of_it((base, ours, theirs) in sides()) {
        let trees = Trees::new();
        let [base, ours, theirs] = [&base, &ours, &theirs].map(flat);
        let expected = model(&base, &ours, &theirs);
        let (merged, conflicts) = trees.merge_files(&base, &ours, &theirs);
        let conflicts: BTreeMap<_, _> = conflicts.into_iter().collect();

        for file in &expected.clashes {
            prop_assert_eq!(conflicts.get(file), Some(&MergeConflictKind::Kind));
        }
        for (path, file) in &expected.merged {
            let clashes = |clash: &String| path == clash || path.starts_with(&format!("{clash}/"));
            if expected.clashes.iter().any(clashes) {
                // There it is as ours has it.
                prop_assert_eq!(merged.get(path), ours.get(path));
            } else if !expected.contested.contains(path) {
                prop_assert_eq!(merged.get(path), Some(file));
                prop_assert_eq!(conflicts.get(path), None);
            } else if let Some(text) = by_line([&base, &ours, &theirs].map(|f| f.get(path))) {
                prop_assert_eq!(&merged[path].bytes, &text);
            } else if conflicts.get(path).is_none_or(|what| what.is_marked()) {
                // Only two texts are looked into, and marks say that they do not go together.
                prop_assert!(ours[path].kind != FileKind::Link && theirs[path].kind != FileKind::Link);
                let marked = merged[path].bytes.starts_with(b"<<<<<<< ")
                    || merged[path].bytes.windows(9).any(|w| w == b"\n<<<<<<< ");
                prop_assert_eq!(marked, conflicts.contains_key(path));
            } else {
                prop_assert_eq!(merged.get(path), Some(file));
            }
        }
        prop_assert!(merged.keys().all(|path| expected.merged.contains_key(path)));
    }

    #[test]
    fn a_side_that_changed_nothing_changes_nothing((base, ours, _) in sides()) {
        let trees = Trees::new();
        let [base, ours] = [&base, &ours].map(|entries| trees.tree(&flat(entries)));
        let clean = Merge::Clean { tree: ours.clone() };
        prop_assert_eq!(&trees.merge(&base, &ours, &base), &clean);
        prop_assert_eq!(&trees.merge(&base, &base, &ours), &clean);
        prop_assert_eq!(&trees.merge(&base, &ours, &ours), &clean);
    }
}

#[test]
fn files_with_conflict_marks_left_in_them_are_found() {
    let trees = Trees::new();
    let marks = "<<<<<<< ours\no\n=======\nt\n>>>>>>> theirs\n";
    let all = files([
        ("both", plain(marks)),
        ("crlf", plain(marks.replace('\n', "\r\n"))),
        ("new\nline", plain(format!("before\n{marks}after"))),
        ("only opened", plain("<<<<<<< ours\no\n=======\n")),
        ("only closed", plain("t\n>>>>>>> theirs\n")),
        (
            "the wrong way round",
            plain(">>>>>>> theirs\n<<<<<<< ours\n"),
        ),
        ("not at the beginning", plain(marks.replace("\n", "\n "))),
        (
            "other lengths",
            plain("<<<<<<<< a\n>>>>>>>> b\n<<<<<<<\n>>>>>>>\n"),
        ),
        ("link", link("<<<<<<< a\n>>>>>>> b")),
        ("not asked", plain(marks)),
        ("far down", plain("0123456\n".repeat(2 << 20) + marks)),
    ]);
    let asked = all.keys().filter(|path| *path != "not asked");
    let mut asked: Vec<_> = asked.map(|p| path(p)).collect();
    asked.extend([path("absent"), path("both")]);
    let found = trees
        .repository
        .marks_in(&trees.tree(&all), &asked)
        .unwrap();
    let found: Vec<_> = found.iter().map(|p| p.as_str()).collect();
    assert_eq!(found, ["both", "crlf", "new\nline"]);
}
