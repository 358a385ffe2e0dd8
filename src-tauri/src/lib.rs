//! The desktop host: a window on the NEXUS interface, and nothing that decides.
//!
//! It owns the window, what the page in it may do, and the way of the page's requests to the
//! interface ([`door`], [`api`], [`stream`]). What the requests mean is up to `nexus-api`.

mod api;
mod door;
mod native;
#[cfg(test)]
mod rights;
mod stream;
mod window;

use door::Door;
use stream::Stream;
use tauri::{Builder, Manager as _, RunEvent, Wry};

/// Why the desktop program ended with a failure.
#[derive(Debug, thiserror::Error)]
#[error("the window could not be opened: {0}")]
pub struct WindowError(#[from] tauri::Error);

/// Shows the window until the person closes it.
///
/// # Errors
///
/// When the system has no web view or no display to show one on.
pub fn run(context: tauri::Context) -> Result<(), WindowError> {
    let demo = std::env::args().any(|argument| argument == "--demo");
    plugins(Builder::new())
        .invoke_handler(tauri::generate_handler![
            api::api,
            stream::subscribe,
            native::pick_folder,
            native::open_link,
        ])
        .manage(Stream::default())
        .setup(move |app| {
            app.manage(Door::open(demo));
            window::show(app)?;
            Ok(())
        })
        .build(context)?
        .run(|app, event| {
            if let RunEvent::Exit = event {
                tauri::async_runtime::block_on(app.state::<Door>().close());
            }
        });
    Ok(())
}

fn plugins(builder: Builder<Wry>) -> Builder<Wry> {
    builder
        // First, so that a second start ends before it opens anything.
        .plugin(tauri_plugin_single_instance::init(
            |app, _arguments, _folder| {
                window::come_forward(app);
            },
        ))
        .plugin(tauri_plugin_window_state::Builder::default().build())
        .plugin(tauri_plugin_store::Builder::default().build())
        .plugin(tauri_plugin_dialog::init())
        .plugin(
            tauri_plugin_opener::Builder::new()
                .open_js_links_on_click(false)
                .build(),
        )
        .plugin(tauri_plugin_shell::init())
}
