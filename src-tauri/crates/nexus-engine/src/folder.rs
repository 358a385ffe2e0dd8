//! A folder before it becomes a project: what is found by looking, and what is trusted.

use crate::{EngineError, EngineOptions, data_dir::private_dir};
use nexus_agent::Sample;
use nexus_core::{CommandLine, Floor};
use nexus_workspace::{
    Folder, ProjectConfig, Setup, Surroundings, checks, inspect_folder, instructions, setup,
};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// What was found in a folder by looking at it.
#[derive(Clone, Debug)]
pub struct FolderFacts {
    pub folder: Folder,
    pub checks: Vec<CommandLine>,
    /// The checks are named in the project's configuration, not detected.
    pub checks_configured: bool,
    pub setup: Setup,
    pub allowed_commands: Vec<CommandLine>,
    /// Files whose text is quoted to the agents.
    pub instructions: Vec<String>,
    /// The person trusted the folder with just these commands.
    pub trusted: bool,
    pub(crate) fingerprint: String,
}

pub(crate) fn look(
    options: &EngineOptions,
    floor: &Floor,
    path: &Path,
) -> Result<FolderFacts, EngineError> {
    let folder = find(options, path)?;
    let config = ProjectConfig::read(&folder.path)?;
    let (checks, setup) = (checks(&folder.path, &config), setup(&folder.path, &config));
    let fingerprint = fingerprint(&checks, &setup, &config.allow_commands);
    let known = floor.project_at(&folder.path.to_string_lossy());
    let trusted = known.is_some_and(|p| floor.trusted.get(&p.id) == Some(&fingerprint));
    Ok(FolderFacts {
        checks_configured: config.checks.is_some(),
        instructions: instructions(&folder.path)
            .iter()
            .map(|i| i.path.to_string())
            .collect(),
        allowed_commands: config.allow_commands,
        folder,
        checks,
        setup,
        trusted,
        fingerprint,
    })
}

/// The folder itself, if it can be a project.
pub(crate) fn find(options: &EngineOptions, path: &Path) -> Result<Folder, EngineError> {
    let around = Surroundings {
        home: options.home.as_deref(),
        data: options.data.root(),
    };
    Ok(inspect_folder(path, around)?)
}

/// Covers exactly what the person is shown and trusts: the commands that would run, and what
/// is copied along.
pub(crate) fn fingerprint(
    checks: &[CommandLine],
    setup: &Setup,
    allowed: &[CommandLine],
) -> String {
    let shown = serde_json::json!([checks, setup.command, setup.copy, allowed]).to_string();
    let digest = Sha256::digest(shown);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the sample into the first free folder of its name.
pub(crate) fn write_sample(sample: &Sample, samples: &Path) -> Result<PathBuf, EngineError> {
    private_dir(samples)?;
    for number in 1.. {
        let folder = samples.join(format!("sample-{number}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => {
                sample
                    .write_to(&folder)
                    .map_err(|e| EngineError::data_dir(&folder, e))?;
                return Ok(folder);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(EngineError::data_dir(&folder, error)),
        }
    }
    Err(EngineError::stopping())
}
