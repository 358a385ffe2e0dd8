//! The checklist of a task: what has to be true of its result, and what Beta says of it.

use super::{Step, StepState, Task};
use crate::{Judged, StepKind};

impl Task {
    /// Every item of the checklist with Beta's latest judgement of it, where there is one.
    pub fn judgements(&self) -> Vec<(&str, Option<&Judged>)> {
        let items = self.spec.terms.checklist.iter();
        items
            .map(|item| (item.as_str(), self.judgement(item)))
            .collect()
    }

    /// Where several judged an item, the one that is not content.
    fn judgement(&self, item: &str) -> Option<&Judged> {
        let judged = self.validations().filter_map(|step| step.result.as_deref());
        let of_item = judged
            .flat_map(|result| &result.checklist)
            .filter(|judged| is_same(&judged.item, item));
        of_item.min_by_key(|judged| judged.met)
    }

    fn validations(&self) -> impl Iterator<Item = &Step> {
        let steps = self.steps.iter();
        steps.filter(|step| {
            step.planned.kind == StepKind::Validation && step.state == StepState::Done
        })
    }

    /// What is not met of the checklist, and what nobody judged. A plan without a validation
    /// leaves all of it to the person.
    pub(super) fn unmet(&self) -> Vec<String> {
        if self.validations().next().is_none() {
            return Vec::new();
        }
        let unmet = |(item, judged): (&str, Option<&Judged>)| match judged {
            Some(judged) if judged.met => None,
            Some(judged) => Some(format!("`{item}` is not met: {}", judged.why)),
            None => Some(format!("`{item}` was not judged")),
        };
        self.judgements().into_iter().filter_map(unmet).collect()
    }

    /// The checklist as a seat is told it; empty where there is none.
    pub(super) fn checklist_in_words(&self, kind: StepKind) -> String {
        let items = &self.spec.terms.checklist;
        if items.is_empty() {
            return String::new();
        }
        let ask = match kind {
            StepKind::Analysis => "Say for each how it can be seen to be true.",
            StepKind::Implementation => "Each is judged when the work is done.",
            StepKind::Tests => "Cover with a test what a test can show.",
            StepKind::Validation => {
                "Judge every one of them under `checklist` in `submit_result`: `item` in the same words, `met` true or false, and `why` with what you saw. One that is not met, or not judged, goes back to Code."
            }
        };
        let items = items.iter().map(|item| format!("\n- {}", words(item)));
        format!(
            "These have to be true of the result. {ask}\n{}",
            items.collect::<String>()
        )
    }
}

/// Are they the same item, although one was copied by hand?
fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        words(text)
            .trim_matches(['`', '"', '-', '.', ' '])
            .to_lowercase()
    };
    plain(one) == plain(other)
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
