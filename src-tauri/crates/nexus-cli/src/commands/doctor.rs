//! `nexus doctor`: what is there, what is missing, and where what is on record differs from what
//! is there. Changes nothing unless it is told to mend.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    terminal::{clean, say},
};
use clap::Args;
use nexus_api::view::{DifferenceSeverity, DifferenceView, DoctorCheck, DoctorState, DoctorView};

/// What is there, what is missing, and what does not agree.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Doctor {
    /// Mend what can be mended without losing anything. Needs that no other NEXUS runs.
    #[arg(long)]
    fix: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes: 0 all that NEXUS needs is there, and nothing differs that is more than a note, or all
              of it was mended
            7 something is missing, or differs and was not mended
            9 --fix while another NEXUS runs: nothing was mended

What each difference means is in docs/doctor.md. Nothing is deleted: what is put aside is listed
by `nexus trash list`.";

impl Doctor {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let found = nexus_api::doctor(&host::machine()?, self.fix).await;
        if self.json {
            print_json(&found);
        } else {
            found.checks.iter().for_each(say_check);
            found.differences.iter().for_each(say_difference);
            if self.fix && found.owned {
                say("nothing was mended: close the NEXUS that runs, then try again");
            }
        }
        Ok(exit_code(&found, self.fix))
    }
}

fn say_check(check: &DoctorCheck) {
    let mark = match check.state {
        DoctorState::Ok => "✓",
        DoctorState::Warning => "!",
        DoctorState::Broken => "✗",
    };
    say(&format!(
        "{mark} {:<22} {}",
        check.title,
        clean(&check.found)
    ));
    if !check.fix.is_empty() {
        say(&format!("  {:<22} → {}", "", check.fix));
    }
}

fn say_difference(difference: &DifferenceView) {
    let mark = match (difference.fixed, difference.severity) {
        (true, _) => "✓",
        (false, DifferenceSeverity::Note) => "·",
        (false, DifferenceSeverity::Warning) => "!",
        (false, DifferenceSeverity::Error) => "✗",
    };
    let (what, found) = (clean(&difference.what), clean(&difference.found));
    say(&format!("{mark} {:<22} {what}", difference.code));
    say(&format!("  {:<22} {found}", ""));
    say(&format!("  {:<22} {}", "", difference.explanation));
    match &difference.fix {
        Some(fix) if difference.fixed => say(&format!("  {:<22} mended: {fix}", "")),
        Some(fix) => say(&format!("  {:<22} → `nexus doctor --fix` {fix}", "")),
        None => {}
    }
}

fn exit_code(found: &DoctorView, fix: bool) -> u8 {
    let left = found
        .differences
        .iter()
        .any(|difference| !difference.fixed && difference.severity != DifferenceSeverity::Note);
    if fix && found.owned {
        exit::CONFLICT
    } else if found.ready && !left {
        exit::OK
    } else {
        exit::ENVIRONMENT
    }
}
