//! Finds git and runs it: the only place that does.
//!
//! Every call names its git directory, has an empty environment but for what is set here, and
//! a deadline. No call reads a configuration, hook or attribute file that NEXUS did not write.

use crate::plain_file::Head;
use std::{
    ffi::{OsStr, OsString},
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// The oldest git that NEXUS works with: the first that can be told to read no global
/// configuration.
pub const MINIMUM_GIT: GitVersion = GitVersion {
    major: 2,
    minor: 32,
};

/// How long one call may take. Hashing the largest allowed project takes a minute or two; a
/// call that takes this long hangs.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// How much of what git complains about is kept.
const STDERR_LIMIT: u64 = 64 * 1024;

#[cfg(not(windows))]
const NO_FILE: &str = "/dev/null";
#[cfg(windows)]
const NO_FILE: &str = "NUL";

/// The tree with nothing in it, which git knows without it being stored. As the source of
/// attributes it keeps git from reading `.gitattributes` of a project.
pub(crate) const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Settings given on every command line, where they win over any file.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.eol=lf",
    "core.safecrlf=false",
    "core.quotePath=false",
    "core.precomposeUnicode=false",
    "core.logAllRefUpdates=false",
    // Names that only other systems reserve are names here.
    #[cfg(not(windows))]
    "core.protectNTFS=false",
    #[cfg(not(target_os = "macos"))]
    "core.protectHFS=false",
    // Big files go straight to disk and never into memory as a whole.
    "core.bigFileThreshold=32m",
    "core.compression=1",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
    "commit.gpgSign=false",
    "advice.graftFileDeprecated=false",
];

/// A version of git, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitVersion {
    pub major: u32,
    pub minor: u32,
}

impl GitVersion {
    /// Reads what `git --version` prints.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix("git version ")?.trim().split('.');
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for GitVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why git did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("find git: install git {MINIMUM_GIT} or newer and put it on the PATH")]
    NotFound,
    #[error("use {}: it is git {found}, and NEXUS needs {MINIMUM_GIT} or newer", program.display())]
    TooOld { program: PathBuf, found: GitVersion },
    #[error("use {}: it does not answer as git does; install git {MINIMUM_GIT} or newer", program.display())]
    NotGit { program: PathBuf },
    #[error("start {}: {source}", program.display())]
    CouldNotStart { program: PathBuf, source: io::Error },
    #[error("run git {operation}: {message}")]
    Failed { operation: String, message: String },
    #[error("run git {operation}: it was stopped after {} seconds", after.as_secs())]
    TimedOut { operation: String, after: Duration },
    #[error("run git {operation}: it printed something unexpected")]
    Unexpected { operation: String },
}

/// A git program that was found and is new enough.
#[derive(Clone, Debug)]
pub struct Git {
    program: PathBuf,
    version: GitVersion,
}

impl Git {
    /// Finds git on the `PATH` of this process and asks for its version.
    pub fn find() -> Result<Self, GitError> {
        Self::find_on(&std::env::var_os("PATH").unwrap_or_default())
    }

    /// Finds git in these directories. Relative ones are passed over: what is found must not
    /// depend on the directory that NEXUS was started in.
    pub fn find_on(search_path: &OsStr) -> Result<Self, GitError> {
        let name = format!("git{}", std::env::consts::EXE_SUFFIX);
        let program = std::env::split_paths(search_path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(&name))
            .find(|path| is_program(path))
            .ok_or(GitError::NotFound)?;
        let unproven = Self {
            program,
            version: MINIMUM_GIT,
        };
        let printed = unproven.call(Path::new(NO_FILE), ["--version"]).text()?;
        let program = unproven.program;
        match GitVersion::parse(&printed) {
            None => Err(GitError::NotGit { program }),
            Some(found) if found < MINIMUM_GIT => Err(GitError::TooOld { program, found }),
            Some(version) => Ok(Self { program, version }),
        }
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Which version it is.
    pub fn version(&self) -> GitVersion {
        self.version
    }

    /// Prepares a call on a git directory.
    pub(crate) fn call<'a, S: AsRef<OsStr>>(
        &'a self,
        git_dir: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Call<'a> {
        Call {
            git: self,
            git_dir: git_dir.to_owned(),
            args: args.into_iter().map(|a| a.as_ref().to_owned()).collect(),
            work_tree: None,
            index: None,
            settings: &[],
            input: Vec::new(),
            may_answer_no: false,
            deadline: DEADLINE,
        }
    }
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// One call of git, not yet made.
pub(crate) struct Call<'a> {
    git: &'a Git,
    git_dir: PathBuf,
    args: Vec<OsString>,
    work_tree: Option<PathBuf>,
    index: Option<PathBuf>,
    settings: &'static [&'static str],
    input: Vec<u8>,
    /// A low status that is not 0 is an answer and no failure.
    may_answer_no: bool,
    deadline: Duration,
}

/// What was made of what a call printed.
pub(crate) struct Taken<T> {
    pub(crate) made: T,
    /// More was to come, and the call was stopped.
    pub(crate) cut: bool,
}

/// From here on a status says that git could not do what it was asked.
const FAILURE_STATUS: i32 = 128;

impl Call<'_> {
    /// Works on the files in this folder.
    pub(crate) fn work_tree(mut self, folder: &Path) -> Self {
        self.work_tree = Some(folder.to_owned());
        self
    }

    /// Uses this index file.
    pub(crate) fn index(mut self, file: &Path) -> Self {
        self.index = Some(file.to_owned());
        self
    }

    /// Uses each `name=value` in place of the usual setting.
    pub(crate) fn settings(mut self, settings: &'static [&'static str]) -> Self {
        self.settings = settings;
        self
    }

    /// Feeds these paths, each ended by a NUL.
    pub(crate) fn paths<'p>(mut self, paths: impl IntoIterator<Item = &'p str>) -> Self {
        for path in paths {
            self.input.extend_from_slice(path.as_bytes());
            self.input.push(0);
        }
        self
    }

    /// Stops it after this time, in place of the usual one.
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Feeds these bytes.
    pub(crate) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = bytes;
        self
    }

    /// Runs it for what it does.
    pub(crate) fn run(self) -> Result<(), GitError> {
        self.bytes().map(drop)
    }

    /// Runs it for what it prints.
    pub(crate) fn bytes(self) -> Result<Vec<u8>, GitError> {
        Ok(self.execute(read_all)?.0.made)
    }

    /// Runs it for what it prints and for its answer: yes with status 0, no with a higher one.
    pub(crate) fn answer(mut self) -> Result<(Vec<u8>, bool), GitError> {
        self.may_answer_no = true;
        let (printed, yes) = self.execute(read_all)?;
        Ok((printed.made, yes))
    }

    /// Runs it for a text it prints, without the newline at its end. What is not UTF-8 is
    /// replaced.
    pub(crate) fn text(self) -> Result<String, GitError> {
        let mut text = String::from_utf8_lossy(&self.bytes()?).into_owned();
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    /// Runs it for at most `limit` bytes of what it prints; true if there was more.
    pub(crate) fn bytes_up_to(self, limit: u64) -> Result<(Vec<u8>, bool), GitError> {
        let (printed, _) = self.execute(|pipe| read_up_to(pipe, limit))?;
        Ok((printed.made, printed.cut))
    }

    /// Runs it and reads what it prints while it prints it.
    pub(crate) fn read<T: Send>(
        self,
        read: impl FnOnce(BufReader<ChildStdout>) -> Taken<T> + Send,
    ) -> Result<T, GitError> {
        let (printed, _) = self.execute(|pipe| read(BufReader::new(pipe)))?;
        Ok(printed.made)
    }

    fn operation(&self) -> String {
        let first = self.args.first();
        first.map_or_else(String::new, |a| a.to_string_lossy().into_owned())
    }

    fn start(&mut self) -> Result<Child, GitError> {
        let program = &self.git.program;
        command(self)
            .spawn()
            .map_err(|source| GitError::CouldNotStart {
                program: program.clone(),
                source,
            })
    }

    /// Feeds, reads and waits, on a thread each for the pipes so that none can block another.
    /// Says also whether it ended with status 0, or was stopped because enough was read.
    fn execute<T: Send>(
        mut self,
        read: impl FnOnce(ChildStdout) -> Taken<T> + Send,
    ) -> Result<(Taken<T>, bool), GitError> {
        let operation = self.operation();
        let mut child = self.start()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(GitError::Unexpected { operation });
        };
        let input = std::mem::take(&mut self.input);
        let (finished, answer) = mpsc::channel();
        let (printed, complaint) = std::thread::scope(|scope| {
            // A git that stops reading has its reason, which it prints; the write error says
            // nothing more.
            scope.spawn(move || drop(stdin.write_all(&input)));
            let complaint = scope.spawn(move || read_up_to(stderr, STDERR_LIMIT));
            scope.spawn(move || finished.send(read(stdout)));
            let printed = answer.recv_timeout(self.deadline);
            if printed.as_ref().map_or(true, |p| p.cut) {
                // It may have ended by itself meanwhile, which is as good.
                drop(child.kill());
            }
            let complaint = complaint.join().map(|p| p.made).unwrap_or_default();
            (printed, complaint)
        });
        let ended = child.wait();
        let Ok(printed) = printed else {
            return Err(GitError::TimedOut {
                operation,
                after: self.deadline,
            });
        };
        let status = ended.ok().and_then(|status| status.code());
        if printed.cut || status == Some(0) {
            return Ok((printed, true));
        }
        if self.may_answer_no && status.is_some_and(|s| (1..FAILURE_STATUS).contains(&s)) {
            return Ok((printed, false));
        }
        let message = String::from_utf8_lossy(&complaint).trim().to_owned();
        Err(GitError::Failed { operation, message })
    }
}

/// Reads everything. A pipe that breaks has ended.
fn read_all(pipe: impl Read) -> Taken<Vec<u8>> {
    read_up_to(pipe, u64::MAX)
}

/// Reads the first `limit` bytes. A pipe that breaks has ended.
fn read_up_to(mut pipe: impl Read, limit: u64) -> Taken<Vec<u8>> {
    let mut bytes = Vec::new();
    let whole = pipe.by_ref().take(limit).read_to_end(&mut bytes).is_ok();
    let cut = whole && pipe.read(&mut [0]).is_ok_and(|n| n > 0);
    Taken { made: bytes, cut }
}

#[expect(
    clippy::disallowed_methods,
    reason = "git is a short call that ends with its pipes and is waited for here; it is no agent that needs an owner"
)]
fn command(call: &Call<'_>) -> Command {
    let mut command = Command::new(&call.git.program);
    command
        .env_clear()
        .env("GIT_DIR", &call.git_dir)
        .env("GIT_CONFIG_GLOBAL", NO_FILE)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_ATTR_SOURCE", EMPTY_TREE)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "true")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_AUTHOR_NAME", "NEXUS")
        .env("GIT_AUTHOR_EMAIL", "nexus@localhost")
        .env("GIT_COMMITTER_NAME", "NEXUS")
        .env("GIT_COMMITTER_EMAIL", "nexus@localhost")
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    #[cfg(windows)]
    if let Some(root) = std::env::var_os("SystemRoot") {
        command.env("SystemRoot", root);
    }
    if let Some(index) = &call.index {
        command.env("GIT_INDEX_FILE", index);
    }
    if let Some(folder) = &call.work_tree {
        command.env("GIT_WORK_TREE", folder).current_dir(folder);
    } else if call.git_dir.is_dir() {
        command.current_dir(&call.git_dir);
    }
    for setting in SETTINGS.iter().chain(call.settings) {
        command.args(["-c", setting]);
    }
    command
        .args(&call.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads the contents of many blobs through one git process.
pub(crate) struct Blobs {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Blobs {
    /// Starts reading from this git directory.
    pub(crate) fn open(git: &Git, git_dir: &Path) -> Result<Self, GitError> {
        let unexpected = || GitError::Unexpected {
            operation: "cat-file".to_owned(),
        };
        let mut child = git.call(git_dir, ["cat-file", "--batch"]).start()?;
        let requests = child.stdin.take().ok_or_else(unexpected)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(unexpected)?);
        Ok(Self {
            child,
            requests,
            answers,
        })
    }

    /// The content of one blob.
    pub(crate) fn read(&mut self, blob: &str) -> Result<Vec<u8>, GitError> {
        Ok(self.head(blob, u64::MAX)?.bytes)
    }

    /// At most the first `limit` bytes of one blob.
    pub(crate) fn head(&mut self, blob: &str, limit: u64) -> Result<Head, GitError> {
        self.ask(blob, limit).map_err(|error| GitError::Failed {
            operation: "cat-file".to_owned(),
            message: format!("cannot read {blob}: {error}"),
        })
    }

    fn ask(&mut self, blob: &str, limit: u64) -> io::Result<Head> {
        writeln!(self.requests, "{blob}")?;
        self.requests.flush()?;
        let mut header = String::new();
        self.answers.read_line(&mut header)?;
        let mut words = header.split_whitespace().skip(1);
        let size = match (words.next(), words.next().map(str::parse::<u64>)) {
            (Some("blob"), Some(Ok(size))) => size,
            _ => return Err(io::Error::other(format!("git says `{}`", header.trim()))),
        };
        let mut bytes = Vec::new();
        let mut content = self.answers.by_ref().take(size);
        content.by_ref().take(limit).read_to_end(&mut bytes)?;
        let beyond = io::copy(&mut content, &mut io::sink())?;
        self.answers.read_exact(&mut [0])?;
        Ok(Head {
            bytes,
            truncated: beyond > 0,
        })
    }
}

impl Drop for Blobs {
    fn drop(&mut self) {
        // Nothing is lost by stopping a reader, and it must be waited for in any case.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let version = |text| GitVersion::parse(text).unwrap();
        assert_eq!(version("git version 2.47.3").to_string(), "2.47");
        assert!(version("git version 2.39.5 (Apple Git-154)") > MINIMUM_GIT);
        assert!(version("git version 2.9.0") < MINIMUM_GIT);
        assert!(version("git version 3.0.0-rc1") > MINIMUM_GIT);
        assert_eq!(GitVersion::parse("gitea 1.2"), None);
    }

    #[cfg(unix)]
    #[test]
    fn git_is_never_taken_from_a_relative_directory() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("git");
        std::fs::write(&fake, "#!/bin/sh\necho git version 2.1.0\n").unwrap();
        std::fs::set_permissions(&fake, PermissionsExt::from_mode(0o755)).unwrap();

        let found = Git::find_on(OsStr::new(".::bin"));
        assert!(matches!(found, Err(GitError::NotFound)), "{found:?}");
        let old = Git::find_on(dir.path().as_os_str());
        assert!(matches!(old, Err(GitError::TooOld { .. })), "{old:?}");
    }

    #[test]
    fn output_beyond_the_limit_is_cut() {
        let printed = read_up_to(&b"12345"[..], 3);
        assert_eq!((printed.made.as_slice(), printed.cut), (&b"123"[..], true));
        let printed = read_up_to(&b"12345"[..], 5);
        assert_eq!(
            (printed.made.as_slice(), printed.cut),
            (&b"12345"[..], false)
        );
    }
}
