//! What only a desktop program can do for the page.

use std::path::PathBuf;
use tauri::{AppHandle, Url};
use tauri_plugin_dialog::DialogExt as _;
use tauri_plugin_opener::OpenerExt as _;
use tauri_plugin_store::StoreExt as _;
use tokio::sync::oneshot;

/// Where the window keeps its own small memory, apart from the data of NEXUS.
const MEMORY: &str = "window.json";
const LAST_FOLDER: &str = "last_folder";

/// Lets the person choose a folder; `null` when they chose none.
#[tauri::command]
pub(crate) async fn pick_folder(app: AppHandle) -> Result<Option<String>, String> {
    let (answer, chosen) = oneshot::channel();
    let mut dialog = app.dialog().file().set_title("Choose a folder to work on");
    if let Some(folder) = last_folder(&app) {
        dialog = dialog.set_directory(folder);
    }
    dialog.pick_folder(move |folder| {
        // The page may have gone while the dialog was open.
        let _ = answer.send(folder);
    });
    let Ok(Some(folder)) = chosen.await else {
        return Ok(None);
    };
    let folder = folder.into_path().map_err(|error| error.to_string())?;
    remember(&app, &folder);
    folder
        .into_os_string()
        .into_string()
        .map(Some)
        .map_err(|folder| {
            let folder = PathBuf::from(folder);
            format!("the name of {} is not valid Unicode", folder.display())
        })
}

fn last_folder(app: &AppHandle) -> Option<PathBuf> {
    let folder = app.store(MEMORY).ok()?.get(LAST_FOLDER)?;
    let folder = PathBuf::from(folder.as_str()?);
    folder.is_dir().then_some(folder)
}

/// Best effort: a dialog that opens elsewhere next time is no reason to bother anyone.
fn remember(app: &AppHandle, folder: &std::path::Path) {
    match app.store(MEMORY) {
        Ok(memory) => memory.set(LAST_FOLDER, folder.to_string_lossy()),
        Err(error) => tracing::debug!("the chosen folder is not remembered: {error}"),
    }
}

/// Opens a web link in the person's browser.
#[tauri::command]
pub(crate) fn open_link(app: AppHandle, url: Url) -> Result<(), String> {
    if !may_open(&url) {
        return Err(format!(
            "{url} is not opened: only https and mailto links are"
        ));
    }
    app.opener()
        .open_url(url.as_str(), None::<&str>)
        .map_err(|error| format!("{url} could not be opened: {error}"))
}

/// Links come from text that agents wrote, so anything that could start a program or name a
/// file is out.
fn may_open(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host() && url.username().is_empty() && url.password().is_none(),
        "mailto" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_the_web_and_to_mail_are_opened() {
        let opens = |url: &str| may_open(&url.parse().unwrap());
        assert!(opens("https://example.com/a?b#c"));
        assert!(opens("mailto:someone@example.com"));
        for url in [
            "http://example.com/",
            "https://example.com@elsewhere.test/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "vscode://file/etc/passwd",
            "smb://host/share",
        ] {
            assert!(!opens(url), "{url}");
        }
    }
}
