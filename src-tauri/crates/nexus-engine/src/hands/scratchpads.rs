//! Keeps the six Markdown files in step with the messages.

use super::{Crew, Tools};
use crate::data_dir::private_dir;
use nexus_core::{Task, scratchpad::Scratchpad};
use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

/// Writes the files of a task anew, each in one step. They are projections: a failure is
/// logged and the next message tries again.
pub(super) fn project(tools: &Tools, task: Arc<Task>, crew: &mut Crew) {
    let dir = tools.options.data.scratchpads(task.id);
    let lock = tools.locks.of(&dir.to_string_lossy());
    let shared = tools.shared.clone();
    let id = task.id;
    crew.spawn(id, async move {
        let _one_at_a_time = lock.lock().await;
        // Whoever comes late writes what is true by now.
        let task = shared.task(task.id).unwrap_or(task);
        let written = tokio::task::spawn_blocking(move || write_all(&dir, &task)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the scratchpads could not be written");
        }
    });
}

/// Writes all files of a task that are not as its messages say.
pub(crate) fn write_all(dir: &Path, task: &Task) -> Result<(), String> {
    private_dir(dir).map_err(|error| error.to_string())?;
    for pad in Scratchpad::ALL {
        let text = pad.render(task.messages.iter().map(AsRef::as_ref));
        let path = dir.join(pad.file_name());
        replace(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Puts `text` in the place of the file in one step, so that a reader never sees half of it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let fresh = path.with_extension("md.new");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    fs::rename(fresh, path)
}
