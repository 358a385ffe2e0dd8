//! Just enough of the W3C WebDriver protocol to drive one window, over plain HTTP.
#![expect(
    clippy::disallowed_methods,
    reason = "the session's programs form one process group, which ends with the window"
)]

use nexus_tests::env::{TestEnv, until};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_nexus-desktop");

/// The element with this test id.
pub(crate) fn id(name: &str) -> String {
    format!("[data-testid='{name}']")
}

/// What shows that this agent is in a turn, on the strip above the board: when it was last heard.
pub(crate) fn at_work(seat: &str) -> String {
    format!("{} {}", id(&format!("agent-{seat}")), id("heard"))
}

/// The program in a WebDriver session, with a display and a session bus of their own.
pub(crate) struct Window {
    session: Child,
    port: u16,
    /// The path of the WebDriver session.
    path: String,
    _runtime: TempDir,
}

impl Drop for Window {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.path.is_empty() {
            let test = std::thread::current();
            // What was on the screen tells more than the words of the failure.
            let name = test.name().unwrap_or("test").replace("::", "-");
            let _ = self.try_picture(&format!("failed-{name}"));
        }
        let group = Pid::from_child(&self.session);
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::TERM);
        let _ = self.session.wait();
    }
}

impl Window {
    /// Starts the program in the environment of the test.
    pub(crate) fn open(env: &TestEnv, arguments: &[&str]) -> Self {
        let runtime = tempfile::tempdir().unwrap();
        let port = free_port();
        let session = driver(env, runtime.path(), port)
            .spawn()
            .unwrap_or_else(|e| panic!("no dbus-run-session ({e}): run `cargo xtask setup`"));
        let mut window = Self {
            session,
            port,
            path: String::new(),
            _runtime: runtime,
        };
        until("WebKitWebDriver listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let options = json!({ "binary": PROGRAM, "args": arguments });
        let wanted = json!({ "alwaysMatch": { "webkitgtk:browserOptions": options } });
        let made = window.post("/session", &json!({ "capabilities": wanted }));
        window.path = format!("/session/{}", made.unwrap()["sessionId"].as_str().unwrap());
        window
    }

    /// Waits until the element is there and gives its text.
    pub(crate) fn wait_for(&self, css: &str) -> String {
        self.wait_for_text(css, "")
    }

    /// Waits until the element's text contains this, and gives all of it.
    pub(crate) fn wait_for_text(&self, css: &str, part: &str) -> String {
        let mut text = None;
        until(&format!("{css} says {part:?}"), || {
            text = self.text(css);
            text.as_ref().is_some_and(|text| text.contains(part))
        });
        text.unwrap()
    }

    /// The text of an element, when it is there.
    pub(crate) fn text(&self, css: &str) -> Option<String> {
        let script = "return document.querySelector(arguments[0])?.innerText";
        self.run(script, &[json!(css)]).as_str().map(str::to_owned)
    }

    /// Clicks the element with the mouse, as soon as nothing is in the way.
    pub(crate) fn click(&self, css: &str) {
        self.on_element(css, "click", &json!({}));
    }

    /// Clicks the element until the other one shows. A page that moves under the mouse swallows
    /// a click, from a person too, who then clicks again.
    pub(crate) fn click_for(&self, css: &str, other: &str) {
        until(&format!("a click on {css} shows {other}"), || {
            // While the other one opens, it may be in the way of the next click.
            let _ = self.try_on_element(css, "click", &json!({}));
            self.text(other).is_some()
        });
    }

    /// Types into the element.
    pub(crate) fn type_into(&self, css: &str, text: &str) {
        self.on_element(css, "value", &json!({ "text": text }));
    }

    fn on_element(&self, css: &str, action: &str, body: &Value) {
        until(&format!("{action} on {css}"), || {
            self.try_on_element(css, action, body).is_ok()
        });
    }

    fn try_on_element(&self, css: &str, action: &str, body: &Value) -> Result<(), String> {
        let query = json!({ "using": "css selector", "value": css });
        let found = self.post(&format!("{}/element", self.path), &query)?;
        let element = found.as_object().and_then(|found| found.values().next());
        let element = element.and_then(Value::as_str).unwrap_or_default();
        self.post(&format!("{}/element/{element}/{action}", self.path), body)?;
        Ok(())
    }

    /// Runs a script in the page and gives what it returns, or what its promise becomes.
    pub(crate) fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let body = json!({ "script": script, "args": arguments });
        self.post(&format!("{}/execute/sync", self.path), &body)
            .unwrap()
    }

    /// Calls a command of the host from within the page.
    pub(crate) fn invoke(&self, command: &str, arguments: &Value) -> Result<Value, String> {
        let script = "return window.__TAURI_INTERNALS__.invoke(arguments[0], arguments[1])
            .then((done) => ({ done }), (refused) => ({ refused: String(refused) }))";
        let answer = self.run(script, &[json!(command), arguments.clone()]);
        match answer["refused"].as_str() {
            Some(refused) => Err(refused.to_owned()),
            None => Ok(answer["done"].clone()),
        }
    }

    /// Where the page is.
    pub(crate) fn address(&self) -> Value {
        self.request("GET", &format!("{}/url", self.path), None)
            .unwrap()
    }

    /// Keeps a picture of the window in the target folder.
    pub(crate) fn picture(&self, name: &str) {
        // A picture that is taken sooner shows the frame before the last change.
        let painted = "return new Promise((done) => requestAnimationFrame(() => \
            requestAnimationFrame(() => done(true))))";
        assert_eq!(self.run(painted, &[]), true);
        self.try_picture(name).unwrap();
    }

    fn try_picture(&self, name: &str) -> Result<(), String> {
        let base64 = self.request("GET", &format!("{}/screenshot", self.path), None)?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("window");
        let file = folder.join(format!("{name}.png"));
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let picture = from_base64(base64.as_str().unwrap_or_default());
        fs::write(file, picture).map_err(|error| error.to_string())
    }

    /// Ends the session, and with it the program.
    pub(crate) fn close(self) {
        self.request("DELETE", &self.path, None).unwrap();
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.request("POST", path, Some(body))
    }

    /// The value of the answer, or the driver's message.
    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len(),
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let body: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {head}"))?;
        let value = body["value"].clone();
        match value["message"].as_str() {
            Some(message) if value.get("error").is_some() => Err(message.to_owned()),
            _ => Ok(value),
        }
    }
}

/// WebKitWebDriver, ready to start the program: all that `tauri-driver` would add is to name
/// the program and to set `TAURI_WEBVIEW_AUTOMATION`.
fn driver(env: &TestEnv, runtime: &Path, port: u16) -> Command {
    let mut command = Command::new("dbus-run-session");
    command
        .args(["--", "xvfb-run", "-a", "-s", "-screen 0 1400x900x24"])
        .args([
            "WebKitWebDriver",
            "--host=127.0.0.1",
            &format!("--port={port}"),
        ])
        .env_clear()
        .envs(variables(env))
        .env("XDG_RUNTIME_DIR", runtime)
        .env("TAURI_WEBVIEW_AUTOMATION", "true")
        .env("LIBGL_ALWAYS_SOFTWARE", "1")
        .env("NO_AT_BRIDGE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0);
    command
}

/// The variables that `nexus` would be started with.
fn variables(env: &TestEnv) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let command = env.command(std::iter::empty::<&OsStr>());
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    set.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes().filter(|byte| !matches!(byte, b'=' | b'\n')) {
        bits = bits << 6 | u32::from(digit(byte));
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    bytes
}
