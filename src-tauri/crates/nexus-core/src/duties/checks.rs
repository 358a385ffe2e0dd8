//! What says how a project is checked, and changes of it by which less is checked.

use super::change::{File, Side};
use super::language::{Line, begins_with_one_of, is_one_of, is_word_letter, squeeze};
use super::newly::{Marked, new_marks};
use super::{Flag, FlagKind};
use crate::{ChangeKind, ProjectPath};
use std::collections::{HashMap, HashSet};

/// A kind of file that says how a project is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Config {
    /// Named scripts in JSON: `package.json`, `composer.json`.
    Scripts,
    /// NEXUS's own `.nexus/config.toml`.
    Nexus,
    /// The settings of a program that runs tests or counts coverage.
    Runner,
    /// What a service runs for every change, or git before a commit.
    Pipeline,
    /// Targets with recipes.
    Make,
    /// A shell script that checks.
    Shell,
}

impl Config {
    pub(super) fn of(path: &ProjectPath) -> Option<Self> {
        let path = path.as_str();
        let file = path.rsplit('/').next().unwrap_or_default();
        if path == ".nexus/config.toml" {
            Some(Self::Nexus)
        } else if matches!(file, "package.json" | "composer.json" | "deno.json") {
            Some(Self::Scripts)
        } else if matches!(
            file,
            "Makefile" | "makefile" | "GNUmakefile" | "justfile" | "Justfile" | "Rakefile"
        ) || file.ends_with(".mk")
            || file.starts_with("Taskfile.")
        {
            Some(Self::Make)
        } else if begins_with_one_of(RUNNERS, file) {
            Some(Self::Runner)
        } else if begins_with_one_of(PIPELINES, file) || is_in_pipeline(path) {
            Some(Self::Pipeline)
        } else {
            is_checking_script(file).then_some(Self::Shell)
        }
    }

    /// Do its limits bear on tests? A service has some for its own machines.
    pub(super) fn runs_tests(self) -> bool {
        match self {
            Self::Scripts | Self::Nexus | Self::Runner => true,
            Self::Pipeline | Self::Make | Self::Shell => false,
        }
    }
}

const RUNNERS: &str = "\
    jest.config. vitest.config. vite.config. playwright.config. cypress.config. karma.conf \
    .mocharc .nycrc .c8rc codecov. .codecov. .coveragerc pytest.ini tox.ini setup.cfg \
    pyproject.toml nextest.toml tarpaulin.toml .tarpaulin.toml phpunit.xml .rspec .simplecov \
    stryker. pom.xml build.gradle sonar-project.properties noxfile.py";

const PIPELINES: &str = "\
    .gitlab-ci. azure-pipelines. Jenkinsfile .travis. bitbucket-pipelines. .drone. \
    .woodpecker. appveyor. .appveyor. .cirrus. cloudbuild. lefthook. .pre-commit-config.";

const PIPELINE_FOLDERS: &str = "\
    .github/workflows/ .github/actions/ .gitlab/ .circleci/ .buildkite/ .woodpecker/ .ci/ \
    ci/ .husky/ .githooks/";

/// In a folder for this, and no program of another kind.
fn is_in_pipeline(path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else {
        return false;
    };
    let folders = format!("/{folder}/");
    let mut known = PIPELINE_FOLDERS.split_ascii_whitespace();
    let is_below = known.any(|known| folders.contains(&format!("/{known}")));
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    is_below
        && matches!(
            extension,
            "" | "yml" | "yaml" | "sh" | "bash" | "toml" | "json" | "groovy"
        )
}

fn is_checking_script(file: &str) -> bool {
    let Some((stem, extension)) = file.rsplit_once('.') else {
        return false;
    };
    let words = [
        "test", "tests", "check", "checks", "ci", "lint", "verify", "validate", "coverage",
    ];
    matches!(extension, "sh" | "bash" | "zsh" | "bats")
        && stem
            .split(['-', '_', '.'])
            .any(|word| words.contains(&word))
}

/// Flags for checks that are gone or cannot fail any more.
pub(super) fn weakened(files: &[File<'_>]) -> Vec<Flag> {
    let mut flags = softened(files);
    flags.extend(files.iter().flat_map(goes_on_after_errors));
    flags.extend(missing(files));
    flags
}

/// Lines by which a check may fail without anybody being told.
fn softened(files: &[File<'_>]) -> Vec<Flag> {
    let new = new_marks(files, |file, line| {
        file.config.is_some() && is_soft(file, line)
    });
    let flag = |marked: &Marked| {
        let file = &files[marked.file];
        Flag::new(
            FlagKind::CheckWeakened,
            &file.patch.path,
            file.added.lines[marked.line].raw,
        )
    };
    new.iter().map(flag).collect()
}

/// Texts that mean less is checked, wherever they stand in such a file.
const SOFT: &[&str] = &[
    "--no-verify",
    "--passWithNoTests",
    "--exit-zero",
    "-DskipTests",
    "maven.test.skip=true",
    "testFailureIgnore>true",
    "ignoreFailures = true",
    "ignoreFailures true",
    "testPathIgnorePatterns",
    "--deselect",
    "-k \"not ",
    "-k 'not ",
    "-k \\\"not ",
    "--ignore=tests",
    "--ignore tests",
    " -- --skip ",
    "|| exit 0",
];

/// The same as a whole entry, without white space.
const SOFT_ENTRIES: &[&str] = &[
    "continue-on-error:true",
    "continue-on-error:${{",
    "allow_failure:true",
    "allow_failures:",
    "fail_ci_if_error:false",
    "passWithNoTests:true",
    "passWithNoTests=true",
    "if:false",
    "ignore_errors:true",
    "failOnError=false",
];

fn is_soft(file: &File<'_>, line: &Line<'_>) -> bool {
    let code = line.code.trim();
    let squeezed = squeeze(code);
    let entry = squeezed.trim_start_matches('-').trim_start_matches('"');
    SOFT.iter().any(|text| code.contains(text))
        || SOFT_ENTRIES.iter().any(|soft| entry.starts_with(soft))
        || is_swallowed(code)
        || leaves_early(file, code)
        || is_ignored_by_make(file, line)
}

/// `check || true`: the end of the check is thrown away. For a command that only tidies up this
/// is the usual way.
fn is_swallowed(code: &str) -> bool {
    ["|| true", "||true", "|| :", "; true"].iter().any(|way| {
        code.match_indices(way).any(|(at, _)| {
            let rest = code[at + way.len()..].bytes().next();
            let is_whole = rest.is_none_or(|letter| !is_word_letter(letter));
            let checks = |command: &str| !is_tidying(command) && !command.contains("$(");
            is_whole && last_command(&code[..at]).is_some_and(checks)
        })
    })
}

/// The command that ends a text.
fn last_command(before: &str) -> Option<&str> {
    let mut command = before;
    for sign in ["&&", "||", ";", "|"] {
        command = command.rsplit(sign).next().unwrap_or(command);
    }
    let command = command
        .rsplit_once(": ")
        .map_or(command, |(_, command)| command);
    let command = command
        .trim()
        .trim_start_matches(['-', '@', '"', '\'', ' ', '\\']);
    (!command.is_empty()).then_some(command)
}

/// Programs that prepare, tell or tidy up, and check nothing.
const TIDY: &str = "\
    rm rmdir mkdir mv cp ln chmod chown docker podman kubectl helm kill pkill killall umount \
    mount git echo printf cat ls touch apt apt-get brew systemctl service sleep wait trap \
    unset source . export stty tput which command find sed awk head tail tar grep pgrep \
    ps cd pushd popd true : exit return local read set";

fn is_tidying(command: &str) -> bool {
    let is_lead = |word: &&str| {
        matches!(*word, "sudo" | "time" | "xargs") || word.starts_with('-') || is_setting(word)
    };
    let mut words = command.split_whitespace().skip_while(is_lead);
    let program = words.next().unwrap_or_default();
    let carries = matches!(program, "docker" | "podman" | "kubectl")
        && words.any(|word| matches!(word, "run" | "exec"));
    let checks = command.contains("--exit-code") || command.contains("--check");
    (program.is_empty() || is_one_of(TIDY, program)) && !checks && !carries
}

/// `NAME=value` in front of a command.
fn is_setting(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(is_word_letter))
}

/// A script that was there ends in success before its end. In a new one that is how it ends.
fn leaves_early(file: &File<'_>, code: &str) -> bool {
    let is_old = file.patch.change == ChangeKind::Modified;
    let leaves = code == "exit 0"
        || ["; exit 0", "&& exit 0"]
            .iter()
            .any(|end| code.ends_with(end));
    is_old && !file.has_tests && leaves
}

/// `-command` in a recipe: make goes on whatever it says.
fn is_ignored_by_make(file: &File<'_>, line: &Line<'_>) -> bool {
    let recipe = line.code.trim_start().trim_start_matches('@');
    // `-f` is an option of a command that began above.
    let is_option = |command: &str| command.chars().nth(1).is_none_or(|c| !c.is_alphanumeric());
    let ignored = recipe
        .strip_prefix('-')
        .filter(|command| file.config == Some(Config::Make) && !is_option(command));
    line.raw.starts_with(['\t', ' ']) && ignored.is_some_and(is_check)
}

/// A check that a line of configuration asks for.
struct Check {
    text: String,
    line: usize,
    /// The script it belongs to, where scripts have names.
    script: Option<String>,
}

/// Checks that were asked for and are not any more.
fn missing(files: &[File<'_>]) -> Vec<Flag> {
    let kept: HashSet<String> = files
        .iter()
        .flat_map(|f| checks(f, &f.added))
        .map(|c| c.text)
        .collect();
    let mut flags = Vec::new();
    for file in files
        .iter()
        .filter(|file| file.config.is_some() && !file.has_tests)
    {
        let removed = checks(file, &file.removed);
        let before: HashSet<&str> = removed.iter().map(|check| check.text.as_str()).collect();
        let mut instead: HashMap<Option<String>, usize> = HashMap::new();
        for check in commands(file, &file.added) {
            if !before.contains(check.text.as_str()) && may_check(file, &check.text) {
                *instead.entry(check.script).or_default() += 1;
            }
        }
        for check in removed.iter().filter(|check| !kept.contains(&check.text)) {
            match instead.get_mut(&check.script) {
                Some(left) if *left > 0 => *left -= 1,
                _ => flags.push(flag(file, check.line)),
            }
        }
    }
    flags
}

fn flag(file: &File<'_>, removed: usize) -> Flag {
    Flag::new(
        FlagKind::CheckWeakened,
        &file.patch.path,
        file.removed.lines[removed].raw,
    )
}

/// `set -e` that is gone, or switched off for good: a script then ends as its last command does.
fn goes_on_after_errors(file: &File<'_>) -> Vec<Flag> {
    if file.config.is_none() || file.is_gone() {
        return Vec::new();
    }
    let sets = |line: &Line<'_>, sign: char| {
        let mut words = line.code.split_whitespace();
        let is_set = words.next() == Some("set");
        let letters = |word: &'_ str| word.strip_prefix(sign).map(|letters| letters.contains('e'));
        is_set
            && words.any(|word| letters(word) == Some(true) || (sign == '-' && word == "errexit"))
    };
    let (removed, added) = (&file.removed.lines, &file.added.lines);
    let stopped = removed.iter().position(|line| sets(line, '-'));
    let stops = added.iter().rposition(|line| sets(line, '-'));
    let goes_on = added.iter().rposition(|line| sets(line, '+'));
    let went_on = removed.iter().any(|line| sets(line, '+'));
    let mut flags = Vec::new();
    if let (Some(at), None) = (stopped, stops) {
        flags.push(flag(file, at));
    }
    if let Some(at) = goes_on.filter(|at| !went_on && stops.is_none_or(|stops| stops < *at)) {
        let line = added[at].raw;
        flags.push(Flag::new(FlagKind::CheckWeakened, &file.patch.path, line));
    }
    flags
}

fn checks(file: &File<'_>, side: &Side<'_>) -> Vec<Check> {
    let mut all = commands(file, side);
    all.retain(|check| match file.config {
        // What is listed there is a check, whatever it is called; a single word may be a path
        // of another list.
        Some(Config::Nexus) => check.text.contains(' ') || is_check(&check.text),
        Some(Config::Scripts) => {
            let by_name = check.script.as_deref().is_some_and(is_name_of_check);
            by_name && !is_tidying(&check.text) || is_check(&check.text)
        }
        Some(Config::Runner | Config::Pipeline | Config::Make | Config::Shell) => {
            is_check(&check.text)
        }
        None => false,
    });
    all
}

/// May this command have taken the place of a check?
fn may_check(file: &File<'_>, command: &str) -> bool {
    match file.config {
        Some(Config::Scripts | Config::Nexus) => !is_tidying(command),
        Some(Config::Runner | Config::Pipeline | Config::Make | Config::Shell) => {
            let runs_something = [
                "make", "just", "task", "npx", "./", "scripts/", "bash ", "sh ",
            ];
            is_check(command)
                || runs_something
                    .iter()
                    .any(|start| command.starts_with(start))
        }
        None => false,
    }
}

/// All commands that these lines name, one by one.
fn commands(file: &File<'_>, side: &Side<'_>) -> Vec<Check> {
    let Some(config) = file.config else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (at, line) in side.lines.iter().enumerate() {
        let (script, texts) = texts(config, file.patch.path.as_str(), line);
        for text in texts
            .iter()
            .flat_map(|text| text.split("&&"))
            .flat_map(|t| t.split(';'))
        {
            // What is thrown away after `||` is looked at elsewhere.
            let text = text.split("||").next().unwrap_or_default();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if !text.is_empty() {
                found.push(Check {
                    text,
                    line: at,
                    script: script.clone(),
                });
            }
        }
    }
    found
}

/// The command lines that a line names, and the script they belong to.
fn texts(config: Config, path: &str, line: &Line<'_>) -> (Option<String>, Vec<String>) {
    match config {
        Config::Scripts => match entry(&line.code) {
            Some((name, command)) => (Some(name), vec![command]),
            None => (None, Vec::new()),
        },
        Config::Nexus => (None, listed(&line.code)),
        Config::Runner if path.ends_with("tox.ini") => {
            let code = line.code.trim();
            let command = code
                .strip_prefix("commands")
                .map_or(code, |rest| rest.trim_start_matches([' ', '=']));
            (None, vec![command.to_owned()])
        }
        Config::Runner => (None, Vec::new()),
        Config::Pipeline => (None, step(path, &line.code).into_iter().collect()),
        Config::Make => (None, recipe(line)),
        Config::Shell => (None, vec![line.code.trim().to_owned()]),
    }
}

/// `"name": "command"`, as JSON has it. A version of a package is no command.
fn entry(code: &str) -> Option<(String, String)> {
    let rest = code.trim().strip_prefix('"')?;
    let (name, rest) = rest.split_once('"')?;
    let value = rest.trim_start().strip_prefix(':')?.trim();
    let value = value
        .trim_end_matches(',')
        .strip_prefix('"')?
        .strip_suffix('"')?;
    let is_about = matches!(
        name,
        "name"
            | "description"
            | "version"
            | "main"
            | "module"
            | "types"
            | "type"
            | "author"
            | "license"
            | "homepage"
            | "url"
            | "node"
            | "npm"
    );
    let is_version = value.starts_with(['^', '~', '>', '<', '*', '='])
        || value.starts_with(|letter: char| letter.is_ascii_digit())
        || ["workspace:", "npm:", "file:", "link:", "git", "http"]
            .iter()
            .any(|s| value.starts_with(s))
        || value == "latest";
    (!is_about && !is_version).then(|| (name.to_owned(), value.to_owned()))
}

/// The texts in quotes on a line of `commands = [ … ]`, or of the list below it.
fn listed(code: &str) -> Vec<String> {
    let code = code.trim();
    let list = match code.split_once('=') {
        Some((key, list)) if !key.contains(['"', '\'']) => match key.trim() {
            "commands" | "checks.commands" => list,
            _ => return Vec::new(),
        },
        _ => code,
    };
    let mut found = Vec::new();
    let mut rest = list;
    while let Some(open) = rest.find(['"', '\'']) {
        let (quote, inside) = rest[open..].split_at(1);
        let Some(close) = inside.find(quote) else {
            break;
        };
        found.push(inside[..close].to_owned());
        rest = &inside[close + 1..];
    }
    found
}

/// The command of a step of a pipeline.
fn step(path: &str, code: &str) -> Option<String> {
    let code = code.trim().trim_start_matches("- ").trim();
    let code = code.strip_prefix("sh ").unwrap_or(code);
    let Some((key, value)) = key_and_value(code) else {
        return Some(unquoted(code).to_owned());
    };
    let of_hook = path.contains("pre-commit-config") && key == "id";
    if of_hook {
        return Some(format!("pre-commit {value}"));
    }
    let runs = matches!(
        key,
        "run" | "script" | "command" | "cmd" | "entry" | "before_script"
    );
    (runs && !value.starts_with(['|', '>'])).then(|| unquoted(value).to_owned())
}

fn key_and_value(code: &str) -> Option<(&str, &str)> {
    let (key, value) = code.split_once(':')?;
    let is_key = !key.is_empty() && key.bytes().all(|b| is_word_letter(b) || b == b'-');
    let is_apart = value.is_empty() || value.starts_with(' ');
    (is_key && is_apart).then(|| (key, value.trim()))
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\'', '[', ']', ',', ' '])
}

/// The commands of a recipe, or what a target for checks waits for.
fn recipe(line: &Line<'_>) -> Vec<String> {
    let code = line.code.trim();
    if line.raw.starts_with(['\t', ' ']) {
        return vec![code.trim_start_matches(['@', '-']).to_owned()];
    }
    match code.split_once(':') {
        Some((target, needs)) if !needs.starts_with('=') && is_name_of_check(target) => needs
            .split_whitespace()
            .filter(|need| is_name_of_check(need) || is_one_of(CHECKED_FIRST, need))
            .map(|need| format!("make {need} check"))
            .collect(),
        _ => Vec::new(),
    }
}

/// What a target for checks may wait for that is a check itself.
const CHECKED_FIRST: &str = "\
    unit spec specs types fmt format style";

/// Words for checking, in the names of scripts and among the words of commands.
const CHECKS: &str = "\
    test tests check checks lint clippy typecheck verify validate audit coverage vet e2e \
    integration";

fn is_name_of_check(name: &str) -> bool {
    let mut words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.any(|word| is_one_of(CHECKS, word) || word == "ci")
}

/// Programs that check, whatever they are given.
const CHECKERS: &str = "\
    tsc vue-tsc eslint stylelint pytest jest vitest mocha ava tap playwright cypress nextest \
    mypy pyright ruff flake8 pylint rubocop rspec phpunit pest phpstan psalm ctest \
    staticcheck golangci-lint shellcheck hadolint tox nox detekt ktlint bats lint-staged \
    pre-commit biome oxlint markdownlint yamllint bandit unittest";

/// Does this command check something?
fn is_check(command: &str) -> bool {
    let words: Vec<&str> = command
        .split_whitespace()
        .filter(|word| !is_setting(word))
        .collect();
    let is_install = words
        .iter()
        .take(3)
        .any(|word| matches!(*word, "install" | "add" | "i" | "ci"));
    if is_install || is_tidying(command) {
        return false;
    }
    let names_checker = |word: &&str| {
        let program = word.rsplit('/').next().unwrap_or(word);
        is_one_of(CHECKERS, program)
    };
    let names_check = |word: &&str| {
        !word.starts_with('-')
            && word
                .split([':', '/', '.', '-', '_'])
                .any(|w| is_one_of(CHECKS, w))
    };
    let formats = command.contains("--check");
    let is_script = |word: &&str| {
        word.starts_with("./")
            || [".sh", ".py", ".js", ".ts"]
                .iter()
                .any(|end| word.ends_with(end))
    };
    let whole = words.len() > 1 || words.iter().any(is_script);
    words.iter().take(6).any(names_checker)
        || (whole && words.iter().take(6).any(names_check))
        || formats
}
