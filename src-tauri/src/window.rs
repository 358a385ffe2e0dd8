//! The one window, and where its page may go: nowhere.

use tauri::{App, AppHandle, Manager, Url, WebviewWindowBuilder};

/// Freezes what every object of the page inherits, before anything of the page runs. Tauri's
/// `freezePrototype` would do it so that the page's own libraries fail.
const FREEZES_PROTOTYPE: &str = include_str!("prototype.js");

/// Opens the window that `tauri.conf.json` describes.
pub(crate) fn show(app: &App) -> tauri::Result<()> {
    for description in &app.config().app.windows {
        WebviewWindowBuilder::from_config(app, description)?
            .initialization_script(FREEZES_PROTOTYPE)
            .on_navigation(is_our_page)
            .on_new_window(|_url, _features| tauri::webview::NewWindowResponse::Deny)
            .build()?;
    }
    Ok(())
}

/// Shows the window that is already there to somebody who started NEXUS again.
pub(crate) fn come_forward(app: &AppHandle) {
    let Some(window) = app.get_webview_window("main") else {
        return;
    };
    let raised = window
        .unminimize()
        .and_then(|()| window.show())
        .and_then(|()| window.set_focus());
    if let Err(error) = raised {
        tracing::warn!("the window could not be brought forward: {error}");
    }
}

/// The page that the program carries; while it is being worked on, Vite's.
fn is_our_page(url: &Url) -> bool {
    let origin = (url.scheme(), url.host_str(), url.port());
    let carried = [
        ("tauri", Some("localhost"), None),
        ("http", Some("tauri.localhost"), None),
    ];
    let edited = ("http", Some("127.0.0.1"), Some(1420));
    carried.contains(&origin) || (tauri::is_dev() && origin == edited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stays_where_it_is() {
        let stays = |url: &str| is_our_page(&url.parse().unwrap());
        assert!(stays("tauri://localhost/"));
        assert!(stays("tauri://localhost/tasks/T-1?tab=diff"));
        assert!(stays("http://tauri.localhost/"));
        for url in [
            "https://example.com/",
            "http://localhost/",
            "http://tauri.localhost:8080/",
            "http://tauri.localhost.example.com/",
            "https://tauri.localhost/",
            "tauri://elsewhere/",
            "file:///etc/passwd",
            "data:text/html,hello",
            "about:blank",
            "javascript:alert(1)",
        ] {
            assert!(!stays(url), "{url}");
        }
    }
}
