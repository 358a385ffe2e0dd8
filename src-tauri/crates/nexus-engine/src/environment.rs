//! The environment that a project's own checks and set-up get.

use std::ffi::OsString;

/// Name parts that mark a variable as a secret.
const SECRET_PARTS: &[&str] = &[
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "CREDENTIAL",
    "AUTH",
    "COOKIE",
];

/// Beginnings of names that are not a check's business: other agents' settings, our own, and
/// those with which a parent process steers programs.
const FOREIGN: &[&str] = &[
    "ANTHROPIC_",
    "CLAUDE",
    "OPENAI_",
    "AWS_",
    "AZURE_",
    "GOOGLE_",
    "NEXUS_",
    "GIT_",
    "LD_",
    "DYLD_",
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "NEXTEST",
    "npm_",
];

/// What is left of `parent` for a check: toolchains need their own variables, so this takes
/// away what is secret or foreign instead of naming what is allowed.
pub fn for_checks(
    parent: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let harmless = |name: &str| {
        !FOREIGN.iter().any(|start| name.starts_with(start))
            && !SECRET_PARTS
                .iter()
                .any(|part| name.to_ascii_uppercase().contains(part))
    };
    parent
        .into_iter()
        .filter(|(name, _)| name.to_str().is_some_and(harmless))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_other_programs_settings_stay_behind() {
        let parent = [
            "PATH",
            "HOME",
            "CARGO_HOME",
            "GOPATH",
            "ANTHROPIC_BASE_URL",
            "OPENAI_API_KEY",
            "GITHUB_TOKEN",
            "db_password",
            "LD_PRELOAD",
            "GIT_DIR",
            "CLAUDECODE",
            "NEXUS_SECRETS",
            "SSH_AUTH_SOCK",
        ];
        let parent = parent.map(|name| (OsString::from(name), OsString::from("x")));
        let left: Vec<_> = for_checks(parent)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(left, ["PATH", "HOME", "CARGO_HOME", "GOPATH"]);
    }
}
