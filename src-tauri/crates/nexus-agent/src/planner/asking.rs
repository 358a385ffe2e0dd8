//! How a model is asked: until its answer can be used, a few times at most, and within a time.

use super::{Judged, NoPlan, Planned, form::Judgement, one_line};
use async_trait::async_trait;
use nexus_core::{Plan, Usage};
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// How often a model may answer before it is given up.
pub(super) const ANSWERS: usize = 3;
/// How many problems of an answer are told, and how long each may be, in bytes.
const PROBLEMS: usize = 40;
const PROBLEM_LIMIT: usize = 300;

/// A conversation with a model.
#[async_trait]
pub(super) trait Talk: Send {
    /// The model's answer to these words, after all that was said before. The error is the
    /// reason why there is none.
    async fn answer(&mut self, words: String) -> Result<String, String>;
}

/// What was spent on a conversation so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) usage: Usage,
    pub(super) calls: u32,
}

impl Spent {
    pub(super) fn used(&mut self, usage: Usage) {
        self.usage = self.usage.plus(usage);
    }

    pub(super) fn planned(
        self,
        plan: Result<Plan, String>,
        model: &str,
    ) -> Result<Planned, NoPlan> {
        let plan = plan.map_err(|reason| self.in_vain(reason))?;
        Ok(Planned {
            plan,
            usage: self.usage,
            model: model.to_owned(),
            calls: self.calls,
        })
    }

    pub(super) fn judged(
        self,
        judgement: Result<Judgement, String>,
        model: &str,
    ) -> Result<Judged, NoPlan> {
        let judgement = judgement.map_err(|reason| self.in_vain(reason))?;
        Ok(Judged {
            ruling: judgement.ruling,
            reason: judgement.reason,
            usage: self.usage,
            model: model.to_owned(),
            calls: self.calls,
        })
    }

    fn in_vain(self, reason: String) -> NoPlan {
        NoPlan {
            reason,
            usage: self.usage,
            calls: self.calls,
        }
    }
}

/// Asks until `read` can use the answer. One that it cannot use goes back with everything that
/// is wrong with it.
pub(super) async fn settle<T>(
    talk: &mut dyn Talk,
    mut words: String,
    read: impl Fn(&str) -> Result<T, Vec<String>> + Send,
) -> Result<T, String> {
    let mut problems = Vec::new();
    for _ in 0..ANSWERS {
        let answer = talk.answer(words).await?;
        problems = match read(&answer) {
            Ok(read) => return Ok(read),
            Err(problems) => told(problems),
        };
        tracing::debug!(?problems, "the model is asked for a better answer");
        words = complaint(&problems);
    }
    Err(format!(
        "the model's answer cannot be used, and neither can its other {}: {}",
        ANSWERS - 1,
        problems.join("; ")
    ))
}

/// What comes of `work`, which may take so long and no longer.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let done = timeout(limit, work).await;
    let late = || {
        format!(
            "the planner did not answer within {} s: plan again, or give it more time",
            limit.as_secs()
        )
    };
    done.unwrap_or_else(|_| Err(late()))
}

/// As many problems as a model can be told at once.
fn told(problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(PROBLEMS);
    let mut told: Vec<_> = problems
        .iter()
        .take(PROBLEMS)
        .map(|problem| one_line(problem, PROBLEM_LIMIT))
        .collect();
    if more > 0 {
        told.push(format!("and {more} more of this sort"));
    }
    told
}

fn complaint(problems: &[String]) -> String {
    format!(
        "This answer cannot be used:\n- {}\nAnswer again, whole and in the same form, with all of this mended.",
        problems.join("\n- ")
    )
}
