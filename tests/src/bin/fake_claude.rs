//! A stand-in for the agent program; see `nexus_tests::fake_claude`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nexus_tests::fake_claude::run(std::env::args().skip(1).collect())
}
