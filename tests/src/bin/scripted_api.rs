//! A scripted model service on this machine; see `nexus_tests::scripted_api`.
//!
//! `scripted-api SCRIPT.json [PORT]` prints its address in one line and serves until killed.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    nexus_tests::scripted_api::serve_for_ever(std::env::args().skip(1)).await
}
