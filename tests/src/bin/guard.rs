//! The guard for the tests: what every NEXUS host is when it is started as one.

use std::process::ExitCode;

fn main() -> ExitCode {
    nexus_process::guard::run_if_asked().unwrap_or(ExitCode::FAILURE)
}
