//! Which files of a folder belong to its snapshots.
//!
//! Four sources, the first that speaks decides: what the project's configuration excludes;
//! the `.gitignore` files in the folder, the deepest first; those above the folder and
//! `.git/info/exclude`, when it lies in a git checkout; and what checks leave behind. The
//! last three give way for a file that the project tracks.
//!
//! The rules that lie outside the folder are carried along as text, so that they hold in a
//! workspace too.

use crate::{
    person_git::PersonGit,
    plain_file::{hint, read_head},
};
use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};
use nexus_core::ProjectPath;
use serde::{Deserialize, Serialize};
use std::{path::Path, rc::Rc};

/// What checks, package installers and desktops leave in a project, in any folder.
pub(crate) const LEFTOVERS: &[&str] = &[
    "__pycache__/",
    "*.pyc",
    "*.pyo",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    ".tox/",
    "node_modules/",
    ".venv/",
    ".DS_Store",
    "Thumbs.db",
    "/.nexus/local.toml",
    ".nexus-apply-*",
];

const IGNORE_FILE_LIMIT: u64 = 1024 * 1024;

/// A pattern in the project's configuration that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use the exclude pattern `{pattern}`: {problem}; write it as in a .gitignore file")]
pub struct BadPattern {
    pub pattern: String,
    pub problem: String,
}

/// The rules of one folder that are not written in the folder itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules {
    /// Patterns from the project's configuration.
    exclude: Vec<String>,
    outer: Vec<OuterRules>,
}

/// Rules of a git checkout around (or at) the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OuterRules {
    /// The path of the folder from where the rules were found; empty for the folder itself.
    below: String,
    lines: Vec<String>,
}

impl Rules {
    /// Collects what applies to `folder` from outside it. A folder that its repository
    /// ignores is a project of its own, to which the repository's rules do not apply.
    pub(crate) fn of(folder: &Path, git: Option<&PersonGit>, exclude: Vec<String>) -> Self {
        let outer = git.map(|git| outer_rules(folder, git)).unwrap_or_default();
        let ignored = outer.iter().any(|rules| {
            let whole = compile(&rules.lines);
            !rules.below.is_empty() && parents_match(&whole, &rules.below)
        });
        Self {
            exclude,
            outer: if ignored { Vec::new() } else { outer },
        }
    }

    /// Does a repository have a say in this folder?
    pub(crate) fn has_outer(&self) -> bool {
        !self.outer.is_empty()
    }

    /// Prepares the rules for deciding.
    pub(crate) fn matcher(&self) -> Result<Matcher, BadPattern> {
        let mut exclude = GitignoreBuilder::new(".");
        for pattern in &self.exclude {
            let added = exclude.add_line(None, &literal_braces(pattern));
            added.map_err(|error| BadPattern {
                pattern: pattern.clone(),
                problem: error.to_string(),
            })?;
        }
        let exclude = exclude.build().map_err(|error| BadPattern {
            pattern: self.exclude.join(" "),
            problem: error.to_string(),
        })?;
        let outer = self.outer.iter().map(|rules| Outer {
            below: rules.below.clone(),
            rules: compile(&rules.lines),
        });
        Ok(Matcher {
            exclude,
            outer: outer.collect(),
            leftovers: compile(LEFTOVERS),
        })
    }

    /// The rules as lines for an `info/exclude` file of a copy of the folder. Patterns that
    /// are tied to a place above the folder are left out: they can only be said there.
    pub(crate) fn exclude_lines(&self) -> Vec<String> {
        let tied = |line: &str| line.trim_end_matches('/').contains('/');
        let outer = self.outer.iter().rev().flat_map(|rules| {
            let here = rules.below.is_empty();
            rules.lines.iter().filter(move |line| here || !tied(line))
        });
        let leftovers = LEFTOVERS.iter().map(|line| (*line).to_owned());
        let all = leftovers.chain(outer.cloned());
        all.chain(self.exclude.iter().cloned()).collect()
    }
}

/// The rules around a folder, the one that decides first in front.
fn outer_rules(folder: &Path, git: &PersonGit) -> Vec<OuterRules> {
    let below = |from: &Path| {
        let rest = folder.strip_prefix(from).unwrap_or(Path::new(""));
        rest.to_string_lossy().replace('\\', "/")
    };
    let above = folder.ancestors().skip(1);
    let above = above.take_while(|dir| dir.starts_with(&git.top));
    let mut found: Vec<OuterRules> = above
        .map(|dir| OuterRules {
            below: below(dir),
            lines: lines_of(&ignore_file(dir)),
        })
        .collect();
    found.push(OuterRules {
        below: below(&git.top),
        lines: lines_of(&git.exclude_text()),
    });
    found
}

/// Does a pattern match this folder or one it lies in?
fn parents_match(rules: &Gitignore, path: &str) -> bool {
    rules.matched_path_or_any_parents(path, true).is_ignore()
}

/// The text of the `.gitignore` in a folder. One that is a link or a device is not read, as
/// git does not read it either.
fn ignore_file(dir: &Path) -> String {
    hint(&dir.join(".gitignore"), IGNORE_FILE_LIMIT).unwrap_or_default()
}

fn lines_of(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// Compiles patterns relative to their own folder. A line that is no pattern matches nothing,
/// as in git.
fn compile<S: AsRef<str>>(lines: &[S]) -> Gitignore {
    let mut builder = GitignoreBuilder::new(".");
    for line in lines {
        if let Err(_not_a_pattern) = builder.add_line(None, &literal_braces(line.as_ref())) {}
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// A line of a `.gitignore` file at the top that matches just this path.
pub(crate) fn only_this(path: &ProjectPath) -> String {
    let mut line = String::from("/");
    for c in path.as_str().chars() {
        if matches!(c, '\\' | '*' | '?' | '[' | ' ') {
            line.push('\\');
        }
        // No line can hold it.
        line.push(if c == '\n' { '?' } else { c });
    }
    line
}

/// Braces have a meaning in the patterns of the `ignore` crate and none in those of git, where
/// they are common in the names of templates.
fn literal_braces(pattern: &str) -> String {
    let mut literal = String::with_capacity(pattern.len());
    let mut escaped = false;
    let mut in_class = false;
    for c in pattern.chars() {
        if matches!(c, '{' | '}') && !escaped && !in_class {
            literal.push('\\');
        }
        match c {
            '[' if !escaped => in_class = true,
            ']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        literal.push(c);
    }
    literal
}

/// [`Rules`], compiled.
pub(crate) struct Matcher {
    exclude: Gitignore,
    outer: Vec<Outer>,
    leftovers: Gitignore,
}

struct Outer {
    below: String,
    rules: Gitignore,
}

/// The `.gitignore` of a folder, and those above it up to the root of the walk.
pub(crate) struct Level {
    /// The folder, relative to the root of the walk, with a `/` at its end; empty for the root.
    base: String,
    rules: Gitignore,
    above: Option<Rc<Level>>,
}

impl Level {
    /// Reads the `.gitignore` of `base`, which is empty or ends with `/`.
    pub(crate) fn read(root: &Path, base: &str, above: Option<Rc<Self>>) -> Rc<Self> {
        let text = ignore_file(&root.join(base));
        Rc::new(Self {
            base: base.to_owned(),
            rules: compile(&lines_of(&text)),
            above,
        })
    }

    fn decide(&self, path: &Path, is_dir: bool) -> Option<bool> {
        let here = path.strip_prefix(&self.base).unwrap_or(path);
        says(self.rules.matched(here, is_dir)).or_else(|| {
            let above = self.above.as_ref()?;
            above.decide(path, is_dir)
        })
    }
}

/// True to leave it out, false to keep it, `None` if the rules do not say.
fn says<T>(matched: Match<T>) -> Option<bool> {
    match matched {
        Match::None => None,
        Match::Ignore(_) => Some(true),
        Match::Whitelist(_) => Some(false),
    }
}

/// Is it the folder of a git repository? Never part of a snapshot, in any spelling.
pub(crate) fn is_git_dir(name: &str) -> bool {
    name.eq_ignore_ascii_case(".git")
}

impl Matcher {
    /// Does the configuration exclude this path or a folder it lies in? This holds for tracked
    /// files too.
    pub(crate) fn is_excluded(&self, path: &str) -> bool {
        let matched = self.exclude.matched_path_or_any_parents(path, false);
        matched.is_ignore()
    }

    /// Is the entry left out? `level` is the folder it lies in, which is not left out itself.
    pub(crate) fn leaves_out(&self, root: &Path, level: &Level, path: &Path, is_dir: bool) -> bool {
        self.would_leave_out(root, root, level, path, is_dir)
    }

    /// Would the entry be left out if it were copied to the same place in `to`? `level` is the
    /// folder there.
    pub(crate) fn would_leave_out(
        &self,
        from: &Path,
        to: &Path,
        level: &Level,
        path: &Path,
        is_dir: bool,
    ) -> bool {
        if says(self.exclude.matched(path, is_dir)) == Some(true) {
            return true;
        }
        let outer = || {
            self.outer.iter().find_map(|outer| {
                let matched = if outer.below.is_empty() {
                    outer.rules.matched(path, is_dir)
                } else {
                    let path = Path::new(&outer.below).join(path);
                    outer.rules.matched(path, is_dir)
                };
                says(matched)
            })
        };
        let leftover = || says(self.leftovers.matched(path, is_dir));
        level
            .decide(path, is_dir)
            .or_else(outer)
            .or_else(leftover)
            .unwrap_or_else(|| is_dir && is_build_folder(&from.join(path), &to.join(path)))
    }

    /// Is this path, or a folder it lies in, left out of snapshots of `root`?
    pub(crate) fn leaves_out_path(&self, root: &Path, path: &str, is_dir: bool) -> bool {
        let mut level = Level::read(root, "", None);
        for (slash, _) in path.match_indices('/') {
            let parent = &path[..slash];
            if self.leaves_out(root, &level, Path::new(parent), true) {
                return true;
            }
            level = Level::read(root, &path[..=slash], Some(level));
        }
        self.leaves_out(root, &level, Path::new(path), is_dir)
    }
}

/// Folders that only their surroundings tell from folders of the project: `target` beside a
/// `Cargo.toml`, `venv` with a Python environment in it. The content is that of `dir`, the
/// surroundings are those of `place`.
fn is_build_folder(dir: &Path, place: &Path) -> bool {
    let exists = |path: &Path| matches!(read_head(path, 0), Ok(Some(_)));
    match dir.file_name().and_then(|name| name.to_str()) {
        Some("target") => exists(&place.with_file_name("Cargo.toml")),
        Some("venv" | "env") => exists(&dir.join("pyvenv.cfg")),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_pattern_in_the_configuration_is_named() {
        let rules = Rules {
            exclude: vec!["data/[z-a]".to_owned()],
            outer: Vec::new(),
        };
        let error = rules.matcher().err().unwrap();
        assert_eq!(error.pattern, "data/[z-a]");
    }

    #[test]
    fn braces_are_just_letters() {
        let rules = compile(&["{{name}}/", "*.{a,b}", r"\{x", "[{]y"]);
        let ignored = |path: &str, is_dir| rules.matched(path, is_dir).is_ignore();
        assert!(ignored("{{name}}", true));
        assert!(!ignored("name", true));
        assert!(ignored("z.{a,b}", false) && !ignored("z.a", false));
        assert!(ignored("{x", false) && ignored("{y", false));
    }

    #[test]
    fn a_line_for_one_path_matches_no_other() {
        for name in ["a *?[b]", "back\\slash", "end ", "#x", "!x", "two\nlines"] {
            let line = only_this(&ProjectPath::parse(name).unwrap());
            let rules = compile(&[line]);
            assert!(rules.matched(name, true).is_ignore(), "{name:?}");
            assert!(rules.matched("a xyb", true).is_none(), "{name:?}");
        }
    }

    #[test]
    fn lines_for_a_copy_drop_what_is_tied_above() {
        let rules = Rules {
            exclude: vec!["big/".to_owned()],
            outer: vec![
                OuterRules {
                    below: "sub".to_owned(),
                    lines: vec!["*.log".to_owned(), "/sub/x".to_owned()],
                },
                OuterRules {
                    below: String::new(),
                    lines: vec!["/private".to_owned()],
                },
            ],
        };
        let lines = rules.exclude_lines();
        assert!(lines.ends_with(&["/private".into(), "*.log".into(), "big/".into()]));
        assert!(!lines.contains(&"/sub/x".to_owned()));
    }
}
