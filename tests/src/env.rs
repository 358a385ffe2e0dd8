//! A machine of its own for each test of the `nexus` program: home folder, data folder,
//! projects, an environment with nothing in it but what the test says, and a double of the
//! agent program.
//!
//! The programs are found where `cargo xtask test` says they are, else beside the test.
#![expect(
    clippy::unwrap_used,
    reason = "what a test sets up works, or the test has to stop"
)]

use nexus_process::{ProcessIdentity, find_tagged};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{Read, Write},
    os::unix::{
        fs::{PermissionsExt, lchown, symlink},
        process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// No single run in these tests takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often a condition is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A home, a data folder, and an empty environment.
#[derive(Debug)]
pub struct TestEnv {
    folder: TempDir,
    variables: BTreeMap<OsString, OsString>,
    program: PathBuf,
    /// The user and group that programs run as, when it is not our own.
    user: Option<u32>,
}

impl TestEnv {
    /// With the double in the place of Claude Code, logged in, and no keys.
    pub fn new() -> Self {
        Self::with_claude(&built(
            "fake-claude",
            "NEXUS_TEST_FAKE_CLAUDE",
            "nexus-tests",
        ))
    }

    /// With the real Claude Code that the tests are given.
    pub fn with_real_claude() -> Self {
        let program = env::var_os("NEXUS_TEST_CLAUDE").unwrap_or_else(|| {
            panic!(
                "NEXUS_TEST_CLAUDE has to name a Claude Code program: run the tests with `cargo xtask test`, which installs one for them"
            )
        });
        Self::with_claude(Path::new(&program))
    }

    fn with_claude(program: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("nxt").tempdir().unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        let mut env = Self {
            folder,
            variables: BTreeMap::new(),
            program: built("nexus", "NEXUS_TEST_NEXUS", "nexus-cli"),
            user: None,
        };
        env.set("HOME", env.home());
        env.set("PATH", env::var_os("PATH").unwrap_or_default());
        env.set("LANG", "C.UTF-8");
        env.set("NEXUS_DATA_DIR", env.data());
        env.set("NEXUS_SECRETS", "env");
        env.set("NEXUS_CLAUDE_PROGRAM", program);
        env
    }

    /// A folder for whatever the test wants to keep, canonical.
    pub fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    pub fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    /// Sets a variable for all later runs.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.variables
            .insert(name.into(), value.as_ref().to_owned());
    }

    /// What a variable is set to for all later runs.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
    }

    /// Takes a variable away from all later runs.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(OsStr::new(name));
    }

    /// From now on only these programs are in the `PATH`.
    pub fn only_programs(&mut self, names: &[&str]) {
        let bin = self.root().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in names {
            symlink(find_program(name).unwrap(), bin.join(name)).unwrap();
        }
        self.set("PATH", bin);
    }

    /// The rights of files bind everybody but root: for whoever runs the tests as root, all
    /// later runs are somebody else's. Call it when all files are there.
    pub fn bound_by_rights(&mut self) {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        // The programs may lie where nobody else can go.
        let claude = OsStr::new("NEXUS_CLAUDE_PROGRAM");
        let claude = PathBuf::from(&self.variables[claude]);
        let bring = |program: &Path| {
            let here = self.root().join(program.file_name().unwrap());
            fs::copy(program, &here).unwrap();
            here
        };
        let (program, claude) = (bring(&self.program), bring(&claude));
        self.program = program;
        self.set("NEXUS_CLAUDE_PROGRAM", claude);
        self.user = Some(NOBODY);
        give_away(&self.root());
    }

    /// What the double does.
    pub fn script(&self, script: &Value) {
        fs::write(self.home().join("fake-claude.json"), script.to_string()).unwrap();
    }

    /// Writes a file below the root, with its folders, and gives its path.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The good team, in which one seat first waits for a file: makes that the script, and
    /// gives the file.
    pub fn hold_at(&self, role: &str) -> PathBuf {
        let go = self.root().join("go");
        let mut team = good_team();
        for rule in &mut team {
            if rule["when"]["role"] == role {
                let actions = rule["do"].as_array_mut().unwrap();
                actions.insert(0, json!({"wait_for": go}));
            }
        }
        self.script(&rules(team));
        go
    }

    /// Waits until this seat has been given its prompt.
    pub fn await_prompt(&self, role: &str) {
        until(&format!("{role} is prompted"), || {
            !self.prompts(role).is_empty()
        });
    }

    /// A project whose check wants `greeting.txt` to say `hello world`, which it does not. The
    /// check needs nothing but a shell.
    pub fn project(&self, name: &str) -> PathBuf {
        self.write(
            &format!("{name}/.nexus/config.toml"),
            "[checks]\ncommands = [\"sh check.sh\"]\n",
        );
        self.write(&format!("{name}/check.sh"), CHECK);
        self.write(&format!("{name}/greeting.txt"), "hello wrld\n");
        self.root().join(name)
    }

    /// `nexus` with these arguments and nothing to read.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = program(&self.program);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
            .args(args)
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts `nexus` and does not wait for it.
    pub fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        Running::start(self.command(args), "")
    }

    /// Runs `nexus` to its end.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ended {
        self.start(args).wait()
    }

    /// Runs `nexus` to its end with this on its stdin.
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::piped());
        Running::start(command, input).wait()
    }

    /// `nexus execute` on this folder with ndjson output, and these arguments more.
    pub fn execute(&self, project: &Path, more: &[&str]) -> Ended {
        self.start_execute(project, more).wait()
    }

    /// The same without waiting.
    pub fn start_execute(&self, project: &Path, more: &[&str]) -> Running {
        let mut args: Vec<OsString> = vec!["execute".into(), "--project".into(), project.into()];
        args.extend(["--task", TASK, "--output", "ndjson"].map(OsString::from));
        args.extend(more.iter().map(OsString::from));
        self.start(args)
    }

    /// All tasks, newest first, as `nexus task list --json` prints them.
    pub fn tasks(&self) -> Vec<Value> {
        let ended = self.run(["task", "list", "--json"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// A task as `nexus task show --json` prints it.
    pub fn task(&self, name: &str) -> Value {
        let ended = self.run(["task", "show", name, "--json"]);
        assert_eq!(ended.code, 0, "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// What the double noted: its starts and prompts.
    pub fn log(&self) -> Vec<Value> {
        let path = self.home().join(".fake-claude/log.jsonl");
        let log = fs::read_to_string(path).unwrap_or_default();
        // The double may be in the middle of its next line.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }

    /// The prompts a role was given, in order.
    pub fn prompts(&self, role: &str) -> Vec<String> {
        let log = self.log();
        let own = log.iter().filter(|entry| entry["role"] == role);
        own.filter_map(|entry| entry["prompt"].as_str().map(str::to_owned))
            .collect()
    }

    /// The processes that were started for this test and live: `nexus`, its guards, agents,
    /// checks, and whatever they started.
    pub fn processes(&self) -> Vec<ProcessIdentity> {
        find_tagged("HOME".as_ref(), self.home().as_os_str())
    }

    /// Waits until nothing that was started for this test lives. A guard that was orphaned
    /// needs a moment to end what it guards.
    pub fn assert_nothing_runs(&self) {
        until("all processes are gone", || self.processes().is_empty());
    }

    /// Every file in the data folder, as paths relative to it, in order.
    pub fn data_files(&self) -> Vec<String> {
        files_under(&self.data())
    }
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new()
    }
}

/// The task of most tests.
pub const TASK: &str = "Mend the greeting";

const CHECK: &str = "grep -qx 'hello world' greeting.txt && echo greeted\n";

/// The user that owns nothing.
const NOBODY: u32 = 65534;

/// Makes everything in a folder, and the folder, nobody's.
fn give_away(path: &Path) {
    lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    let is_folder = fs::symlink_metadata(path).unwrap().is_dir();
    for entry in is_folder
        .then(|| fs::read_dir(path).unwrap())
        .into_iter()
        .flatten()
    {
        give_away(&entry.unwrap().path());
    }
}

/// A program to be started by the test itself, outside of NEXUS.
#[expect(
    clippy::disallowed_methods,
    reason = "the test is the person at the terminal here"
)]
pub fn program(name: impl AsRef<OsStr>) -> Command {
    Command::new(name)
}

/// Every file below a folder, as paths relative to it, in order; none where it is not there.
pub fn files_under(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                pending.push(entry.path());
            } else {
                let path = entry.path();
                let path = path.strip_prefix(folder).unwrap();
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// The rights of a file, such as `0o600`.
pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A program of this machine, looked for in the `PATH` of the tests.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut places = env::split_paths(&path).map(|dir| dir.join(name));
    places.find(|place| place.is_file())
}

/// Looks until `condition` holds. Panics when that takes too long.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// A program of the workspace: named by `variable`, else beside this test.
fn built(name: &str, variable: &str, package: &str) -> PathBuf {
    if let Some(named) = env::var_os(variable) {
        return named.into();
    }
    let own = env::current_exe().unwrap();
    let near = own.ancestors().skip(1).take(2);
    let found = near.map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("no program `{name}` beside the test: build it with `cargo build -p {package}`, or run `cargo xtask test`")
    })
}

/// A `nexus` that has been started. It is killed when it is dropped before its end.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Capture,
    stderr: Capture,
}

impl Running {
    fn start(mut command: Command, input: &str) -> Self {
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let input = input.to_owned();
        thread::spawn(move || {
            // A program that reads no further has seen enough.
            let _ = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
        });
        Self {
            stdout: Capture::of(child.stdout.take().unwrap()),
            stderr: Capture::of(child.stderr.take().unwrap()),
            child,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far, line by line, as far as the lines are JSON.
    pub fn lines(&self) -> Vec<Value> {
        let text = self.stdout.text();
        let lines = text.lines().map(serde_json::from_str);
        lines.filter_map(Result::ok).collect()
    }

    /// What it has said on stderr so far.
    pub fn said(&self) -> String {
        self.stderr.text()
    }

    /// Sends a signal by its name, such as `INT`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let killed = program("kill").args(["-s", name, &pid]).status();
        assert!(killed.unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "still running after {PATIENCE:?}; it said:\n{}\n{}",
                story(&self.stdout.text()),
                self.stderr.text()
            );
            thread::sleep(LOOK_AGAIN);
        };
        Ended {
            code: status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already when it was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects a stream while it is written.
#[derive(Debug)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Capture {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut piece = [0; 8192];
            while let Ok(length @ 1..) = stream.read(&mut piece) {
                sink.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// All of it, once nobody can write to it any more.
    fn whole(&self) -> String {
        until("the output is closed", || self.reader.is_finished());
        self.text()
    }
}

/// A `nexus` that has ended. Its `Debug` text is short enough to be read in a failed test.
pub struct Ended {
    /// Its exit code; 128 and the signal's number when it was killed.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit code {}, stdout:\n{}",
            self.code,
            story(&self.stdout)
        )?;
        write!(f, "stderr:\n{}", self.stderr)
    }
}

/// Output with each ndjson change cut down to what it says.
fn story(stdout: &str) -> String {
    let tell = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(change) if change["text"].is_string() => format!(
            "{} {} {} {}\n",
            change["seq"], change["role"], change["kind"], change["text"]
        ),
        Ok(_) | Err(_) => format!("{line}\n"),
    };
    stdout.lines().map(tell).collect()
}

impl Ended {
    /// Every line of stdout, each of which has to be JSON.
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("not JSON ({error}): {line:?}\n{self:?}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The last line, which has to be the result.
    pub fn result(&self) -> Value {
        let last = self.lines().pop().unwrap_or_default();
        assert_eq!(last["type"], "result", "{self:?}");
        last
    }

    /// Panics unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// What the double does in a whole task: each seat has its say, Code mends the greeting, Beta
/// agrees. Each turn costs a cent and a quarter.
pub fn good_team() -> Vec<Value> {
    vec![
        seat("aria", json!([submit("greeting.txt lacks an o")])),
        seat("code", json!([greet("hello world"), submit("mended it")])),
        seat("alpha", json!([submit("the check covers it")])),
        seat("beta", json!([verdict("pass", "as it should be")])),
    ]
}

/// A rule for one seat, with its price.
pub fn seat(role: &str, actions: Value) -> Value {
    on(json!({"role": role}), actions)
}

/// A rule with its price.
pub fn on(when: Value, actions: Value) -> Value {
    let price = json!({"usage": {"input": 100, "output": 20, "cost": 0.0125}});
    let mut all = vec![price];
    all.extend(actions.as_array().unwrap().iter().cloned());
    all.push(json!({"say": "That is all."}));
    json!({"when": when, "do": all})
}

/// Hands in a result.
pub fn submit(summary: &str) -> Value {
    json!({"call": {"tool": "submit_result", "with": {"summary": summary}}})
}

/// Hands in a judgement.
pub fn verdict(verdict: &str, summary: &str) -> Value {
    json!({"call": {"tool": "submit_result", "with": {"verdict": verdict, "summary": summary}}})
}

/// Writes the greeting.
pub fn greet(greeting: &str) -> Value {
    write_file("greeting.txt", &format!("{greeting}\n"))
}

/// Writes a file of the workspace.
pub fn write_file(path: &str, content: &str) -> Value {
    let path = format!("{{{{cwd}}}}/{path}");
    json!({"use": {"tool": "Write", "input": {"file_path": path, "content": content}}})
}

/// Uses the shell.
pub fn bash(command: &str) -> Value {
    json!({"use": {"tool": "Bash", "input": {"command": command}}})
}

/// A script of these rules.
pub fn rules(rules: impl IntoIterator<Item = Value>) -> Value {
    json!({"rules": rules.into_iter().collect::<Vec<_>>()})
}
