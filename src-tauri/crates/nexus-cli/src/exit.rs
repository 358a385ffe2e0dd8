//! What the exit codes mean.

use nexus_api::view::{PauseView, Problem, StandingView, TaskStateView, TaskView};

/// All went well.
pub(crate) const OK: u8 = 0;
/// Something failed.
pub(crate) const ERROR: u8 = 1;
/// The command line or an input makes no sense.
pub(crate) const USAGE: u8 = 2;
/// The task failed its checks.
pub(crate) const CHECKS_FAILED: u8 = 3;
/// Somebody has to answer or approve something.
pub(crate) const NEEDS_YOU: u8 = 4;
/// The money or time limit is reached.
pub(crate) const LIMIT: u8 = 5;
/// The model service, the login or the account.
pub(crate) const PROVIDER: u8 = 6;
/// Something is missing on this machine.
pub(crate) const ENVIRONMENT: u8 = 7;
/// There is no such thing.
pub(crate) const NOT_FOUND: u8 = 8;
/// The thing is in a state that does not allow it, or a file changed meanwhile.
pub(crate) const CONFLICT: u8 = 9;
/// Stopped by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The exit code of a refused call.
pub(crate) fn of_problem(problem: &Problem) -> u8 {
    match problem.code.as_str() {
        "bad_input" => USAGE,
        "not_found" => NOT_FOUND,
        "wrong_state" => CONFLICT,
        "checks_red" => CHECKS_FAILED,
        "login" => PROVIDER,
        "agent_program" | "git" | "keychain" | "data_folder" | "disk_full" => ENVIRONMENT,
        _ => ERROR,
    }
}

/// The exit code of a task that came to rest, when it was asked to be accepted or not.
pub(crate) fn of_task(task: &TaskView, accept: bool) -> u8 {
    match task.card.state {
        TaskStateView::Done => OK,
        TaskStateView::Review => of_review(task, accept),
        TaskStateView::Failed => match task.failure_kind.as_deref() {
            Some("provider") => PROVIDER,
            Some("environment") => ENVIRONMENT,
            _ => ERROR,
        },
        TaskStateView::Paused => match task.card.paused {
            Some(PauseView::Unsure | PauseView::Person) => NEEDS_YOU,
            _ => LIMIT,
        },
        TaskStateView::NeedsYou => NEEDS_YOU,
        // Held by the account until the person has done something.
        TaskStateView::Working | TaskStateView::Planning if task.card.hold.is_some() => PROVIDER,
        TaskStateView::Backlog
        | TaskStateView::Planning
        | TaskStateView::Working
        | TaskStateView::Cancelled => ERROR,
    }
}

fn of_review(task: &TaskView, accept: bool) -> u8 {
    let red = matches!(
        task.card.standing,
        Some(StandingView::BrokenByUs | StandingView::RedBefore)
    );
    if task.stuck_unasked {
        return NEEDS_YOU;
    }
    if !accept {
        return OK;
    }
    if red {
        return CHECKS_FAILED;
    }
    if !task.conflicts.is_empty() {
        return CONFLICT;
    }
    if task.verdict_failed {
        return NEEDS_YOU;
    }
    // Asked to be accepted, nothing in its way, and still in review: nothing had changed, or
    // it could not be applied.
    if task.files.is_empty() { OK } else { ERROR }
}
