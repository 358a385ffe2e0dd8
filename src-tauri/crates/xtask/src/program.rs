//! Programs that xtask runs, and how it says that one failed.
//!
//! Everything runs in the foreground of a step and is waited for; nothing is left behind.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// What went wrong, for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// The result of anything xtask does.
pub(crate) type Done<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// A program with its arguments, run at the top of the repository unless told otherwise.
#[derive(Debug)]
pub(crate) struct Program {
    name: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    folder: PathBuf,
    may_ask: bool,
}

impl Program {
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        Self {
            name: name.as_ref().to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            folder: crate::place::root(),
            may_ask: false,
        }
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        let owned = arguments.into_iter().map(|a| a.as_ref().to_owned());
        self.arguments.extend(owned);
        self
    }

    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.variables.push(pair);
        self
    }

    pub(crate) fn within(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Leaves standard input open: `sudo` may ask for a password, the demo may be interrupted.
    pub(crate) fn may_ask(mut self) -> Self {
        self.may_ask = true;
        self
    }

    /// Runs it with its output on the terminal.
    pub(crate) fn show(self) -> Done {
        println!("   $ {self}");
        let status = self.command().status();
        self.judge(status)
    }

    /// Runs it with all of its output appended to a file.
    pub(crate) fn log(self, mut file: &File) -> Done {
        writeln!(file, "$ {self}")?;
        let mut command = self.command();
        command
            .stdout(file.try_clone()?)
            .stderr(file.try_clone()?)
            // The closing lines of test runners are looked for in here, and people read it.
            .env("NO_COLOR", "1")
            .env_remove("FORCE_COLOR")
            .env("CARGO_TERM_COLOR", "never");
        let status = command.status();
        self.judge(status)
    }

    /// Runs it silently and gives back what it printed, or `None` when it is not there or fails.
    pub(crate) fn read(self) -> Option<String> {
        let output = self.command().stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    fn judge(&self, status: std::io::Result<ExitStatus>) -> Done {
        let name = Path::new(&self.name).display();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::new(format!("{name} ended with {status}"))),
            Err(error) => Err(Failure::new(format!(
                "{name} could not be started: {error}"
            ))),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "xtask waits for each program it starts, and stays quick to compile without \
                  the crate that supervises agents"
    )]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.name);
        command
            .args(&self.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder);
        if !self.may_ask {
            command.stdin(Stdio::null());
        }
        command
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Path::new(&self.name).display())?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {}", argument.to_string_lossy()))
    }
}
