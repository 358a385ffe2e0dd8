//! Tauri's build step, told where this repository keeps capabilities and permissions.
//!
//! The permissions are written by hand (`permissions/app.toml`), so that what the web view
//! may call is a list somebody wrote, not whatever happens to be registered.
use tauri_build::{AppManifest, Attributes};

fn main() {
    // Tauri does not watch these when the patterns are not its own.
    for folder in ["src-tauri/capabilities", "src-tauri/permissions"] {
        println!("cargo::rerun-if-changed={folder}");
    }
    let attributes = Attributes::new()
        .capabilities_path_pattern("./src-tauri/capabilities/**/*")
        .app_manifest(AppManifest::new().permissions_path_pattern("./src-tauri/permissions/**/*"));
    if let Err(error) = tauri_build::try_build(attributes) {
        println!("cargo::error={error:#}");
    }
}
