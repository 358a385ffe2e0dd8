//! Finding the person's Claude Code and asking it for its version and its login.
//!
//! NEXUS never ships or installs the program. It is looked for in places that the person
//! controls, and never in a project, which could bring its own.

use super::args::{self, Environment};
use nexus_process::{Ended, Launcher, Lines, Spawn, StartError, find_program};
use serde::Deserialize;
use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

/// A version of Claude Code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The oldest version whose protocol was tested.
    pub const MINIMUM: Self = Self::new(2, 1, 197);

    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text that does not begin with a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version such as 2.1.330")]
pub struct NoVersion(String);

impl FromStr for Version {
    type Err = NoVersion;

    /// Reads the first word, as in `2.1.330 (Claude Code)`; what follows the third number,
    /// such as `-beta.1`, is not looked at.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let line = text.trim().lines().next().unwrap_or_default();
        let wrong = || NoVersion(super::translate::cut(line, 80));
        let word = text.split_whitespace().next().ok_or_else(wrong)?;
        let mut numbers = word.splitn(3, '.').map(|part| {
            let digits = part
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(part.len());
            part[..digits].parse().ok()
        });
        let mut next = || numbers.next().flatten().ok_or_else(wrong);
        Ok(Self::new(next()?, next()?, next()?))
    }
}

/// A Claude Code that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Absolute.
    pub program: PathBuf,
    pub version: Version,
}

/// What the program says about its own login.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginStatus {
    pub logged_in: bool,
    /// Such as `claude.ai` or `none`, in the program's words.
    #[serde(rename = "authMethod", default)]
    pub method: Option<String>,
    /// Such as `max`.
    #[serde(rename = "subscriptionType", default)]
    pub plan: Option<String>,
}

/// Where the program is looked for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The person named this program; no other is taken.
    pub named: Option<PathBuf>,
    /// A folder in which nothing is taken, whatever leads there: the project.
    pub never_under: Option<PathBuf>,
}

/// Why there is no usable Claude Code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    #[error(
        "find Claude Code: install it as https://code.claude.com describes, or set NEXUS_CLAUDE_PROGRAM to its full path"
    )]
    NotFound,
    #[error("find Claude Code at {}: correct NEXUS_CLAUDE_PROGRAM, which has to be the full path of a program outside the project, or unset it", .0.display())]
    NamedNotFound(PathBuf),
    #[error("use Claude Code {found} at {}: NEXUS needs {needed} or newer; update it with `claude update`", program.display())]
    Unsupported {
        program: PathBuf,
        found: Version,
        needed: Version,
    },
    #[error("run {}: {why}; install Claude Code again, or set NEXUS_CLAUDE_PROGRAM to another one", program.display())]
    NotRunnable { program: PathBuf, why: String },
}

/// How long the program may take to say its version. A first start reads 400 MB from disk.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How much of an answer is read, in bytes.
const ANSWER_BYTES: u64 = 64 * 1024;

impl Search {
    /// The first usable program, or what is wrong with the first one found.
    pub async fn find(
        &self,
        launcher: &Launcher,
        environment: &Environment,
    ) -> Result<Installation, InstallError> {
        let mut first_fault = None;
        for program in self.candidates(environment) {
            match examine(launcher, environment, &program).await {
                Ok(installation) => return Ok(installation),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        Err(first_fault.unwrap_or_else(|| match &self.named {
            Some(program) => InstallError::NamedNotFound(program.clone()),
            None => InstallError::NotFound,
        }))
    }

    /// Every place that has a program, best first.
    fn candidates(&self, environment: &Environment) -> Vec<PathBuf> {
        let places = match &self.named {
            Some(program) => vec![program.clone()],
            None => usual_places(environment),
        };
        let forbidden = self
            .never_under
            .as_deref()
            .map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.to_owned()));
        let is_allowed = |program: &PathBuf| {
            let Ok(real) = program.canonicalize() else {
                return false;
            };
            program.is_absolute()
                && real.is_file()
                && !forbidden
                    .as_ref()
                    .is_some_and(|folder| real.starts_with(folder) || program.starts_with(folder))
        };
        places.into_iter().filter(is_allowed).collect()
    }
}

/// `PATH` first, then where the installers put it: a program started from a desktop menu
/// often has a short `PATH`.
fn usual_places(environment: &Environment) -> Vec<PathBuf> {
    let name = OsStr::new("claude");
    let in_path = environment
        .get("PATH")
        .map(|path| std::env::split_paths(path).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|folder| find_program(name, folder.as_os_str()));
    let home = environment.get("HOME").map(PathBuf::from);
    let home = home.filter(|home| home.is_absolute());
    let at_home = home.iter().flat_map(|home| {
        [
            ".local/bin/claude",
            ".claude/local/claude",
            ".npm-global/bin/claude",
            ".npm-packages/bin/claude",
            ".volta/bin/claude",
            ".bun/bin/claude",
        ]
        .map(|place| home.join(place))
        .into_iter()
        .chain(of_node_versions(home))
    });
    let of_machine = ["/usr/local/bin/claude", "/opt/homebrew/bin/claude"].map(PathBuf::from);
    in_path.chain(at_home).chain(of_machine).collect()
}

/// npm's global programs under each Node that nvm installed, newest name first.
fn of_node_versions(home: &Path) -> Vec<PathBuf> {
    let Ok(versions) = home.join(".nvm/versions/node").read_dir() else {
        return Vec::new();
    };
    let mut programs: Vec<_> = versions
        .filter_map(Result::ok)
        .map(|version| version.path().join("bin/claude"))
        .collect();
    programs.sort();
    programs.reverse();
    programs
}

async fn examine(
    launcher: &Launcher,
    environment: &Environment,
    program: &Path,
) -> Result<Installation, InstallError> {
    let not_runnable = |why: String| InstallError::NotRunnable {
        program: program.to_owned(),
        why,
    };
    let answer = ask(launcher, environment, program, &["--version"])
        .await
        .map_err(not_runnable)?;
    if answer.ended != (Ended::Exited { code: 0 }) {
        let said = super::translate::cut(answer.stderr.trim(), 300);
        return Err(not_runnable(format!(
            "it could not say its version: {said}"
        )));
    }
    let found: Version = answer
        .stdout
        .parse()
        .map_err(|error: NoVersion| not_runnable(error.to_string()))?;
    if found < Version::MINIMUM {
        return Err(InstallError::Unsupported {
            program: program.to_owned(),
            found,
            needed: Version::MINIMUM,
        });
    }
    Ok(Installation {
        program: program.to_owned(),
        version: found,
    })
}

impl Installation {
    /// Asks the program whether it has a login that sessions of NEXUS can use. Calls no model.
    pub async fn login(
        &self,
        launcher: &Launcher,
        environment: &Environment,
    ) -> Result<LoginStatus, InstallError> {
        let question = ["--setting-sources", "", "auth", "status", "--json"];
        let not_runnable = |why: String| InstallError::NotRunnable {
            program: self.program.clone(),
            why,
        };
        // The exit code repeats what the answer says.
        let answer = ask(launcher, environment, &self.program, &question)
            .await
            .map_err(not_runnable)?;
        serde_json::from_str(&answer.stdout)
            .map_err(|error| not_runnable(format!("its `auth status` could not be read: {error}")))
    }
}

/// What a program said before it ended.
struct Said {
    ended: Ended,
    stdout: String,
    stderr: String,
}

/// Runs the program to its end. The error says what went wrong.
async fn ask(
    launcher: &Launcher,
    environment: &Environment,
    program: &Path,
    question: &[&str],
) -> Result<Said, String> {
    let mut spawn = Spawn::new(program, "/");
    spawn.args = question.iter().map(OsString::from).collect();
    spawn.env = args::environment(environment, None, false);
    let mut process = launcher
        .spawn(spawn)
        .await
        .map_err(|error: StartError| format!("failed to {error}"))?;
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    let said = async {
        let (stdout, stderr) = tokio::join!(beginning_of(stdout), beginning_of(stderr));
        Said {
            ended: process.wait().await,
            stdout,
            stderr,
        }
    };
    // Dropping the process afterwards kills it.
    timeout(ANSWER_LIMIT, said)
        .await
        .map_err(|_| format!("it said nothing for {} s", ANSWER_LIMIT.as_secs()))
}

async fn beginning_of(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(stream) = stream else {
        return String::new();
    };
    let mut lines = Lines::new(stream.take(ANSWER_BYTES));
    let mut text = String::new();
    while let Ok(Some(nexus_process::Line::Text(line))) = lines.next().await {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_version_is_read_from_what_the_program_prints() {
        let read = |text: &str| text.parse::<Version>();
        assert_eq!(
            read("2.1.330 (Claude Code)\n").unwrap(),
            Version::new(2, 1, 330)
        );
        assert_eq!(read("3.0.0-beta.2").unwrap(), Version::new(3, 0, 0));
        assert!(read("2.1.99").unwrap() < Version::MINIMUM);
        assert!(read("2.2.0").unwrap() > Version::MINIMUM);
        for text in ["", "claude", "2.1", "v2.1.3", "2..3"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    fn program_at(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn environment(path: &Path, home: &Path) -> Environment {
        Environment::of([("PATH".into(), path.into()), ("HOME".into(), home.into())])
    }

    #[test]
    fn the_path_comes_first_then_the_installers_places() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (bin, home) = (root.join("bin"), root.join("home"));
        let places = [
            bin.join("claude"),
            home.join(".local/bin/claude"),
            home.join(".claude/local/claude"),
            home.join(".nvm/versions/node/v22.1.0/bin/claude"),
        ];
        places.iter().for_each(|place| program_at(place));
        let found = Search::default().candidates(&environment(&bin, &home));
        let ours: Vec<_> = found.iter().filter(|p| p.starts_with(&root)).collect();
        assert_eq!(ours, places.iter().collect::<Vec<_>>());
    }

    #[test]
    fn nothing_under_the_project_is_taken_not_even_by_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (project, bin) = (root.join("project"), root.join("bin"));
        program_at(&project.join("node_modules/.bin/claude"));
        fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink(project.join("node_modules/.bin/claude"), bin.join("claude"))
            .unwrap();
        let search = Search {
            never_under: Some(project.clone()),
            ..Search::default()
        };
        for path in [project.join("node_modules/.bin"), bin] {
            let found = search.candidates(&environment(&path, &root));
            assert!(!found.iter().any(|p| p.starts_with(&root)), "{found:?}");
        }
    }

    #[test]
    fn a_relative_or_missing_program_is_not_taken() {
        let named = |program: &str| Search {
            named: Some(program.into()),
            ..Search::default()
        };
        let nowhere = Environment::default();
        for program in ["claude", "./claude", "/no/such/claude", "/"] {
            assert!(named(program).candidates(&nowhere).is_empty(), "{program}");
        }
    }
}
