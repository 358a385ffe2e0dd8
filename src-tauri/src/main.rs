//! The desktop executable: Tauri's generated context and nothing else.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

#[expect(
    clippy::exit,
    reason = "Tauri's generated context ends the process when its own data is damaged"
)]
fn main() -> ExitCode {
    // NEXUS runs its own executable again as the guard of each agent.
    if let Some(code) = nexus_process::guard::run_if_asked() {
        return code;
    }
    log_to_stderr();
    match nexus_desktop::run(tauri::generate_context!()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("NEXUS_LOG_LEVEL")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
