//! A scripted OpenAI service on this machine; the same program as `scripted-api`, see `nexus_tests::scripted_api`.
//!
//! `fake-openai SCRIPT.json [PORT]` prints its address in one line and serves until killed.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    nexus_tests::scripted_api::serve_for_ever(std::env::args().skip(1)).await
}
