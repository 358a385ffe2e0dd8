//! What is decided about a step that was handed in.

use crate::PlannedStep;
use serde::{Deserialize, Serialize};

/// What is decided about a step that was handed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ruling {
    /// It is done.
    Accept,
    /// Its agent takes it again, and is told this.
    Retry { feedback: String },
    /// The steps that are not done yet are replaced by these.
    Replan { steps: Vec<PlannedStep> },
    /// The person decides.
    Ask { question: String },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;

    #[test]
    fn a_ruling_is_read_back_as_it_was_written_and_names_its_type() {
        let rulings = [
            (Ruling::Accept, "accept"),
            (
                Ruling::Retry {
                    feedback: "The sums are still wrong.".to_owned(),
                },
                "retry",
            ),
            (
                Ruling::Replan {
                    steps: Plan::standard("Mend it").steps().to_vec(),
                },
                "replan",
            ),
            (
                Ruling::Ask {
                    question: "Which tax?".to_owned(),
                },
                "ask",
            ),
        ];
        for (ruling, name) in rulings {
            let written = serde_json::to_value(&ruling).unwrap();
            assert_eq!(written["type"], name);
            assert_eq!(serde_json::from_value::<Ruling>(written).unwrap(), ruling);
        }
    }
}
