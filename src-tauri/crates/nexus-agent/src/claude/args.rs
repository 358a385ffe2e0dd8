//! How Claude Code is started: its arguments and its environment.
//!
//! Nothing of the person's or the project's own configuration takes part, and nothing secret
//! is among either: the persona and the prompts go over stdin, the key through a pipe. See
//! `docs/design/0003-setting-sources.md`.

use super::{install::Version, mcp};
use crate::{BaseUrl, SessionSpec};
use serde_json::json;
use std::{
    ffi::{OsStr, OsString},
    fmt,
};

/// The number under which the program finds the pipe with the key.
pub(crate) const KEY_FD: i32 = 3;

/// The first tested version that can take a new system prompt on resume.
const FRESH_SYSTEM_PROMPT: Version = Version::new(2, 1, 330);

/// The argument list. `resume` is apart from the specification because a session whose first
/// turn was cut off may exist although nobody noted it.
pub(crate) fn arguments(spec: &SessionSpec, resume: bool, version: Version) -> Vec<OsString> {
    let session = spec.session.to_string();
    let tools = spec.role.tools().join(",");
    let title = format!("nexus:{}", spec.role);
    let own_tools = format!("mcp__{}", mcp::SERVER);
    let settings = settings();
    let mut args = vec![
        "-p",
        "--input-format",
        "stream-json",
        "--output-format",
        "stream-json",
        "--verbose",
        "--include-partial-messages",
        "--permission-prompt-tool",
        "stdio",
        "--permission-mode",
        "default",
        // No settings file at all: neither the project's, which is hostile until proved
        // otherwise, nor the person's, whose rules and hooks would loosen a role.
        "--setting-sources",
        "",
        "--strict-mcp-config",
        "--settings",
        &settings,
        "--tools",
        &tools,
        "--allowedTools",
        &own_tools,
        if resume { "--resume" } else { "--session-id" },
        &session,
        "-n",
        &title,
    ];
    if version >= FRESH_SYSTEM_PROMPT {
        args.extend(["--system-prompt-snapshot", "off"]);
    }
    let budget = spec.budget.map(|budget| budget.as_dollars().to_string());
    if let Some(dollars) = &budget {
        args.extend(["--max-budget-usd", dollars]);
    }
    args.into_iter().map(OsString::from).collect()
}

/// Settings of ours, given whole on the command line.
fn settings() -> String {
    json!({
        // Other sessions on the machine, the person's own among them, could otherwise start
        // turns in this one.
        "crossSessionInbound": "refuse",
        "disableWorkflows": true,
        "autoMemoryEnabled": false,
        "includeCoAuthoredBy": false,
    })
    .to_string()
}

/// Switches that make the program a quiet, patient, one-turn-at-a-time part of NEXUS.
const SWITCHES: [(&str, &str); 10] = [
    // A tool that goes on after its turn would make turns that nobody asked for.
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1"),
    // Otherwise it retries for three minutes. NEXUS retries by itself, and says so.
    ("CLAUDE_CODE_MAX_RETRIES", "3"),
    ("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "90000"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
    // A person may take a day to answer `ask_person`.
    ("MCP_TOOL_TIMEOUT", "86400000"),
    ("TERM", "dumb"),
];

/// The whole environment of an agent, without its tag. Nothing else is inherited.
pub(crate) fn environment(
    inherited: &Environment,
    base_url: Option<&BaseUrl>,
    key_by_pipe: bool,
) -> Vec<(OsString, OsString)> {
    let mut environment = inherited.0.clone();
    let switches = SWITCHES.iter();
    environment.extend(switches.map(|(name, value)| (name.into(), value.into())));
    if let Some(url) = base_url {
        environment.push(("ANTHROPIC_BASE_URL".into(), url.as_str().into()));
    }
    if key_by_pipe {
        let name = "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR";
        environment.push((name.into(), KEY_FD.to_string().into()));
    }
    environment
}

/// What an agent may see of the environment that NEXUS itself was started in.
///
/// Holds no credentials: variables that carry keys are not on the list. Its `Debug` text
/// leaves out the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(Vec<(OsString, OsString)>);

/// Who the person is, how they write, where their tools live, and how the network is reached.
/// Not the way to their agents and keychains (`SSH_AUTH_SOCK`, the session bus).
const INHERITED: [&str; 24] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TZ",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "GOPATH",
    "JAVA_HOME",
    // The login is there, when it is not in ~/.claude.
    "CLAUDE_CONFIG_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

impl Environment {
    /// Keeps what an agent may see of `variables`.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let may_be_seen = |name: &OsStr| INHERITED.iter().any(|known| name == *known);
        let kept = variables
            .into_iter()
            .filter(|(name, value)| may_be_seen(name) && !value.is_empty());
        Self(kept.collect())
    }

    /// The value of a variable, if it was kept.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let mut all = self.0.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_os_str())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recorded;
    use nexus_core::{Role, TaskId, Usd};
    use std::time::Duration;
    use uuid::Uuid;

    fn spec(role: Role) -> SessionSpec {
        let task = TaskId::new(Uuid::from_u128(7));
        SessionSpec {
            task,
            role,
            session: task.session(nexus_core::SeatId::first(role), 0),
            resume: false,
            workspace: "/home/me/copy".into(),
            system_prompt: "You are secret to other users of this machine".to_owned(),
            budget: None,
            silence_limit: Duration::from_secs(600),
            recorded: Recorded::default(),
        }
    }

    #[test]
    fn the_first_start_of_a_writing_agent() {
        insta::assert_debug_snapshot!(arguments(&spec(Role::Code), false, Version::new(2, 1, 197)));
    }

    #[test]
    fn a_reading_agent_resumed_with_a_cap_by_a_newer_program() {
        let spec = SessionSpec {
            budget: Usd::from_dollars(1.25),
            ..spec(Role::Beta)
        };
        insta::assert_debug_snapshot!(arguments(&spec, true, Version::new(2, 1, 330)));
    }

    #[test]
    fn a_planner_only_reads() {
        let args = arguments(&spec(Role::Prime), false, Version::new(2, 1, 330));
        let tools = args.iter().position(|arg| arg == "--tools").unwrap();
        assert_eq!(args[tools + 1], "Read,Glob,Grep");
    }

    #[test]
    fn the_persona_is_on_no_command_line() {
        let args = arguments(&spec(Role::Aria), false, Version::new(9, 0, 0));
        assert!(
            args.iter()
                .all(|arg| !arg.to_string_lossy().contains("secret"))
        );
    }

    #[test]
    fn only_listed_variables_reach_an_agent() {
        let variables = [
            ("HOME", "/home/me"),
            ("PATH", "/usr/bin"),
            ("ANTHROPIC_API_KEY", "dummy-key"),
            ("ANTHROPIC_BASE_URL", "https://thief.example"),
            ("CLAUDECODE", "1"),
            ("SSH_AUTH_SOCK", "/tmp/agent"),
            ("GITHUB_TOKEN", "dummy-token"),
            ("LANG", ""),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let inherited = Environment::of(variables);
        assert_eq!(format!("{inherited:?}"), r#"{"HOME", "PATH"}"#);
        let url = "http://127.0.0.1:1".parse().unwrap();
        insta::assert_debug_snapshot!(environment(&inherited, Some(&url), true));
    }
}
