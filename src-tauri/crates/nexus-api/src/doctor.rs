//! What a Claude task needs, looked at one by one, each with what was found and what to do; and
//! whether what NEXUS has on record agrees with what is there.

use crate::{
    present,
    view::{DoctorCheck, DoctorState, DoctorView},
};
use nexus_agent::{Credential, Installation};
use nexus_engine::Machine;
use nexus_secrets::SecretName;
use nexus_workspace::Git;

/// Looks at the machine and the data folder. Calls no model and starts no agent. With `repair`
/// it mends what can be mended without losing anything; else it changes nothing.
pub async fn doctor(machine: &Machine, repair: bool) -> DoctorView {
    let here = machine.clone();
    let compared = tokio::task::spawn_blocking(move || here.reconcile(repair));
    let installation = machine
        .search
        .find(&machine.launcher, &machine.environment)
        .await;
    let checks = vec![
        data_folder(machine),
        git().await,
        match &installation {
            Ok(found) => check(
                "claude",
                "Claude Code",
                DoctorState::Ok,
                format!("{} at {}", found.version, found.program.display()),
                "",
            ),
            Err(error) => broken(
                "claude",
                "Claude Code",
                format!("failed to {error}"),
                "Install Claude Code, or set NEXUS_CLAUDE_PROGRAM to its full path",
            ),
        },
        login(machine, installation.as_ref().ok()).await,
        keychain(machine).await,
    ];
    let ready = checks
        .iter()
        .all(|check| check.state != DoctorState::Broken);
    // Only a program that ends cuts this short, and then nobody reads the answer.
    let compared = compared.await.unwrap_or_default();
    DoctorView {
        ready,
        checks,
        differences: compared
            .differences
            .iter()
            .map(present::difference)
            .collect(),
        owned: compared.owned,
    }
}

fn check(
    code: &str,
    title: &str,
    state: DoctorState,
    found: impl Into<String>,
    fix: &str,
) -> DoctorCheck {
    DoctorCheck {
        code: code.to_owned(),
        title: title.to_owned(),
        state,
        found: found.into(),
        fix: fix.to_owned(),
    }
}

fn broken(code: &str, title: &str, found: impl Into<String>, fix: &str) -> DoctorCheck {
    check(code, title, DoctorState::Broken, found, fix)
}

fn data_folder(machine: &Machine) -> DoctorCheck {
    let (code, title) = ("data_folder", "Data folder");
    let root = machine.data.root();
    // Its nearest existing parent has to take it, when it is not there yet.
    let there = root.ancestors().find(|path| path.exists()).unwrap_or(root);
    match rustix::fs::access(there, rustix::fs::Access::WRITE_OK) {
        Ok(()) => check(code, title, DoctorState::Ok, root.display().to_string(), ""),
        Err(error) => broken(
            code,
            title,
            format!("{} cannot be written: {error}", there.display()),
            "Make it writable for you, or name another folder in NEXUS_DATA_DIR",
        ),
    }
}

async fn git() -> DoctorCheck {
    let (code, title) = ("git", "git");
    match tokio::task::spawn_blocking(Git::find).await {
        Ok(Ok(git)) => check(
            code,
            title,
            DoctorState::Ok,
            format!("{} at {}", git.version(), git.program().display()),
            "",
        ),
        Ok(Err(error)) => broken(
            code,
            title,
            format!("failed to {error}"),
            "Install git with your system's packages",
        ),
        Err(_) => broken(code, title, "the look was cut short", "Try again"),
    }
}

async fn login(machine: &Machine, claude: Option<&Installation>) -> DoctorCheck {
    let (code, title) = ("login", "Claude login or key");
    let fix = "Run `claude` once and log in, or save a key with `nexus keys set anthropic`";
    match (machine.credential().await, claude) {
        (Ok(Credential::ApiKey(_)), _) => {
            check(code, title, DoctorState::Ok, "a saved key is used", "")
        }
        (Err(error), _) => broken(code, title, format!("failed to {error}"), fix),
        (Ok(Credential::Login), None) => {
            broken(code, title, "cannot be told without Claude Code", fix)
        }
        (Ok(Credential::Login), Some(claude)) => {
            match claude.login(&machine.launcher, &machine.environment).await {
                Ok(status) if status.logged_in => {
                    let plan = status.plan.or(status.method).unwrap_or_default();
                    check(
                        code,
                        title,
                        DoctorState::Ok,
                        format!("logged in ({plan})"),
                        "",
                    )
                }
                Ok(_) => broken(code, title, "not logged in and no key saved", fix),
                Err(error) => broken(code, title, format!("failed to {error}"), fix),
            }
        }
    }
}

async fn keychain(machine: &Machine) -> DoctorCheck {
    let (code, title) = ("keychain", "Keychain");
    match machine.secrets.list().await {
        Ok(saved) => {
            let names: Vec<_> = saved.iter().map(|s| s.name.as_str()).collect();
            let keys = if names.is_empty() {
                "no keys saved".to_owned()
            } else {
                names.join(", ")
            };
            check(
                code,
                title,
                DoctorState::Ok,
                format!("{:?}: {keys}", machine.secrets.kind()),
                "",
            )
        }
        Err(error) => check(
            code,
            title,
            DoctorState::Warning,
            format!("failed to {error}"),
            "Only needed to save keys; your Claude login works without it",
        ),
    }
}

/// The keys there are, as far as anyone may see them.
pub(crate) fn key_view(saved: &nexus_secrets::SavedSecret) -> crate::view::KeyView {
    crate::view::KeyView {
        name: saved.name.as_str().to_owned(),
        last_four: saved.last_four.clone(),
        source: format!("{:?}", saved.source).to_lowercase(),
    }
}

/// A key's name as it is typed.
pub(crate) fn key_name(text: &str) -> Option<SecretName> {
    SecretName::ALL
        .into_iter()
        .find(|name| name.as_str() == text)
}
