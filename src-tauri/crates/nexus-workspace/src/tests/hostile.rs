//! A project that plants programs wherever git would run one.

use super::{Place, contents, git_output, path, set_mode, write};
use crate::{
    Limits, Merge, MergeLabels, PatchLimit, ProjectConfig, Source, Surroundings, checks,
    inspect_folder, instructions, recent_subjects, remove_workspace, setup,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const HOOKS: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-rewrite",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "prepare-commit-msg",
    "reference-transaction",
];

struct Evil {
    place: Place,
    markers: PathBuf,
}

impl Evil {
    fn new() -> Self {
        let place = Place::git();
        let markers = place.path("markers");
        fs::create_dir(&markers).unwrap();
        let evil = Self { place, markers };
        evil.place
            .write("a.txt", "one\r\n")
            .write("b.evil", "$Id$\n");
        evil.place.commit_all();
        evil.plant();
        evil
    }

    /// A program that leaves a marker and passes its input on.
    fn program(&self, name: &str) -> String {
        let program = self.place.path(&format!("evil-{name}"));
        let marker = self.markers.join(name);
        fs::write(
            &program,
            format!("#!/bin/sh\n: > '{}'\nexec cat\n", marker.display()),
        )
        .unwrap();
        set_mode(&program, 0o755);
        program.display().to_string()
    }

    fn plant(&self) {
        let git = |name: &str, value: &str| self.place.run_git(&["config", name, value]);
        git("core.fsmonitor", &self.program("fsmonitor"));
        git("filter.evil.clean", &self.program("clean"));
        git("filter.evil.smudge", &self.program("smudge"));
        git("filter.evil.required", "true");
        git("filter.process.process", &self.program("process"));
        git("diff.external", &self.program("diff-external"));
        git("diff.evil.command", &self.program("diff-command"));
        git("diff.evil.textconv", &self.program("textconv"));
        git("core.pager", &self.program("pager"));
        git("log.showSignature", "true");
        git("core.alternateRefsCommand", &self.program("alternate-refs"));
        git("core.editor", &self.program("editor"));
        git("core.sshCommand", &self.program("ssh"));
        git("credential.helper", &self.program("credential"));
        git("gpg.program", &self.program("gpg"));
        git("merge.evil.driver", &self.program("merge-driver"));
        git("merge.default", "evil");
        git("rerere.enabled", "true");
        git("commit.gpgSign", "true");
        git("remote.origin.url", "ext::sh -c evil");
        git("remote.origin.promisor", "true");
        git("alias.update-index", &format!("!{}", self.program("alias")));
        for hook in HOOKS {
            let program = self.program(&format!("hook-{hook}"));
            fs::copy(program, self.place.at(".git/hooks").join(hook)).unwrap();
        }
        let attributes =
            "* filter=evil diff=evil text eol=crlf ident merge=evil\n*.txt filter=process\n";
        self.place
            .write(".gitattributes", attributes)
            .write(".git/info/attributes", "*.evil filter=evil diff=evil\n")
            .write(
                ".gitmodules",
                "[submodule \"x\"]\n\tpath = x\n\turl = ../x\n\tupdate = !evil\n",
            );
    }

    fn ran(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.markers).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

/// The corpus is alive: a person's git would run it.
#[test]
fn the_planted_programs_run_under_plain_git() {
    let evil = Evil::new();
    evil.place.write("b.evil", "changed\n");
    let home = evil.place.path("home");
    for args in [
        &["status"][..],
        &["diff"],
        &["add", "b.evil"],
        &["-c", "commit.gpgSign=false", "commit", "-m", "x"],
        &["checkout", "--force", "HEAD~1"],
    ] {
        git_output(&evil.place.project, &home, args);
    }
    evil.place.write("b.evil", "changed otherwise\n");
    for args in [
        &["-c", "commit.gpgSign=false", "commit", "-am", "y"][..],
        &["merge", "@{-1}"],
    ] {
        git_output(&evil.place.project, &home, args);
    }
    let ran = evil.ran();
    for expected in [
        "fsmonitor",
        "clean",
        "smudge",
        "diff-command",
        "hook-pre-commit",
        "hook-post-checkout",
        "merge-driver",
    ] {
        assert!(ran.contains(expected), "{expected} is not among {ran:?}");
    }
}

#[test]
fn no_operation_runs_a_planted_program_or_touches_the_persons_git() {
    let evil = Evil::new();
    let place = &evil.place;
    let project: &Path = &place.project;
    let git_before = contents(&place.at(".git"));
    let ran_nothing = |after: &str| assert_eq!(evil.ran(), BTreeSet::new(), "after {after}");

    let data = place.path("data");
    let around = Surroundings {
        home: None,
        data: &data,
    };
    assert!(inspect_folder(project, around).unwrap().is_git);
    let config = ProjectConfig::read(project).unwrap();
    checks(project, &config);
    setup(project, &config);
    instructions(project);
    assert_eq!(recent_subjects(project, 5), ["state"]);
    ran_nothing("looking");

    let repository = place.repository();
    let source = Source::new(project, &[], Limits::default()).unwrap();
    let first = repository.snapshot(&source, "first").unwrap();
    place.write("a.txt", "two\r\n");
    let second = repository.snapshot(&source, "second").unwrap();
    ran_nothing("snapshots");

    let dir = place.path("data/workspaces/task");
    let workspace = repository
        .check_out(&source, &second.id, &dir, &[])
        .unwrap();
    ran_nothing("check_out");
    assert_eq!(
        fs::read(workspace.path().join("a.txt")).unwrap(),
        b"two\r\n"
    );

    // The agent plants too, in the only git it has.
    for hook in HOOKS {
        let program = evil.program(&format!("agent-hook-{hook}"));
        let to = workspace.path().join(".git/hooks");
        fs::create_dir_all(&to).unwrap();
        fs::copy(program, to.join(hook)).unwrap();
    }
    let theirs = fs::read_to_string(place.at(".git/config")).unwrap();
    write(&workspace.path(), ".git/config", &theirs);
    write(&workspace.path(), "a.txt", "three\r\n");
    write(&workspace.path(), "b.evil", "$Id$ changed\n");
    write(&workspace.path(), "new.evil", "new\n");
    let done = workspace.snapshot("done").unwrap();
    workspace.restore(&second.tree).unwrap();
    workspace.restore(&done.tree).unwrap();
    ran_nothing("work in the workspace");

    let lanes = place.path("data/lanes");
    let branch = |name: &str| workspace.branch(&done.tree, &lanes.join(name)).unwrap();
    let lane = branch("1");
    write(&lane.path(), ".git/config", &theirs);
    write(&lane.path(), "a.txt", "four\r\n");
    write(&lane.path(), "new.evil", "lane\n");
    let four = lane.snapshot("four").unwrap();
    let lane = branch("1");
    write(&lane.path(), "a.txt", "five\r\n");
    let five = lane.snapshot("five").unwrap();
    ran_nothing("work in a lane");
    let labels = MergeLabels {
        ours: "four",
        theirs: "five",
    };
    let merged = repository.merge(&done.tree, &four.tree, &five.tree, labels);
    let Merge::Conflicted { tree, files } = merged.unwrap() else {
        panic!("both changed one line");
    };
    assert_eq!(files.len(), 1);
    let read = repository.read_file(&tree, &path("a.txt")).unwrap();
    let marked = "<<<<<<< four\r\nfour\r\n=======\r\nfive\r\n>>>>>>> five\r\n";
    assert_eq!(String::from_utf8(read.unwrap()).unwrap(), marked);
    let marked = repository.marks_in(&tree, &[path("a.txt"), path("b.evil")]);
    assert_eq!(marked.unwrap(), [path("a.txt")]);
    workspace.restore(&tree).unwrap();
    workspace.restore(&done.tree).unwrap();
    ran_nothing("merging");

    repository.diff(&first.tree, &done.tree).unwrap();
    let patch = repository.patch(&second.tree, &done.tree, None).unwrap();
    assert!(patch.text.contains("+$Id$ changed\n"), "{}", patch.text);
    let patches = repository.file_patches(&second.tree, &done.tree, PatchLimit::default());
    let patches = patches.unwrap();
    assert_eq!(patches[1].path, path("b.evil"));
    assert_eq!(patches[1].added, ["$Id$ changed"]);
    let read = repository.read_file(&done.tree, &path("b.evil")).unwrap();
    assert_eq!(read.unwrap(), b"$Id$ changed\n");
    ran_nothing("reading");

    let operations = repository.plan_apply(&second.tree, &done.tree).unwrap();
    assert_eq!(repository.find_conflicts(project, &operations).unwrap(), []);
    repository.apply(project, &operations).unwrap();
    repository.take_back(project, &operations).unwrap();
    repository.apply(project, &operations).unwrap();
    assert_eq!(place.read("a.txt"), "three\r\n");
    ran_nothing("apply");

    repository.keep("task", &done.id).unwrap();
    assert_eq!(repository.kept("task").unwrap(), Some(done.id));
    repository.forget("task").unwrap();
    remove_workspace(&lanes.join("1")).unwrap();
    remove_workspace(&dir).unwrap();
    ran_nothing("keeping and removing");
    assert_eq!(contents(&place.at(".git")), git_before);
}

#[test]
fn an_agents_own_git_in_the_workspace_runs_nothing_of_the_project() {
    let evil = Evil::new();
    let workspace = evil.place.workspace();
    let home = evil.place.path("home");
    write(&workspace.path(), "b.evil", "changed\n");
    for args in [
        &["status"][..],
        &["diff"],
        &["add", "--all"],
        &["commit", "-m", "x"],
        &["checkout", "-q", "HEAD~1"],
        &["log", "-p"],
    ] {
        let output = git_output(&workspace.path(), &home, args);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {complaint}");
    }
    assert_eq!(evil.ran(), BTreeSet::new());
}
