//! Filling a template in: from what a person gave to a wish, a checklist and a plan.
//!
//! What is given is text and nothing else: `{{x}}` in it stays as it is.

use super::{
    Field, Template,
    file::bad_words,
    text::{Piece, holes, on_one_line, paragraphs, pieces},
    value::Value,
};
use crate::{BadPlan, Plan, PlannedStep, Priority, Requirements, TaskSpec, Terms};
use std::collections::{BTreeMap, BTreeSet};

/// A template with its fields filled in: what a task is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    /// `None` where the title is to be taken from the text.
    pub title: Option<String>,
    /// The wish.
    pub text: String,
    pub checklist: Vec<String>,
    /// `None` where the task is to be planned like any other.
    pub plan: Option<Plan>,
    pub priority: Priority,
    /// After how much time at work the task pauses, where a field says it.
    pub max_seconds: Option<u64>,
    /// The fields as the team's messages have them. They are in every step of the plan.
    pub requirements: Requirements,
}

/// Everything that is wrong with what was given, all at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the template cannot be filled in: {}", .0.join("; "))]
pub struct BadFields(pub Vec<String>);

/// Longest value that is repeated in the messages; what is longer stands in the wish alone.
const LONGEST_REQUIREMENT: usize = 1024;

impl Template {
    /// Fills in every field, and says all that is wrong at once.
    pub fn fill(&self, given: &BTreeMap<String, String>) -> Result<Filled, BadFields> {
        let (values, mut problems) = self.read(given);
        let missing = self
            .fields
            .iter()
            .filter(|field| field.required && !values.contains_key(field.name.as_str()));
        problems.extend(missing.map(Field::missing));
        unless(problems)?;
        let requirements = self.requirements(&values);
        let mut pen = Pen::new(&values);
        let title = pen
            .line(self.task_title.as_deref().unwrap_or_default())
            .join(" ");
        let filled = Filled {
            title: Some(TaskSpec::title_from(&title)).filter(|title| !title.is_empty()),
            text: pen.text(&self.text),
            checklist: self.checklist_by(&mut pen),
            plan: self.plan_by(&mut pen, &requirements)?,
            priority: self.priority_of(&values),
            max_seconds: max_seconds(&values),
            requirements,
        };
        pen.has_written_all()?;
        unless(filled.problems())?;
        Ok(filled)
    }

    /// The plan for a wish that the person worded without the template, with the fields that
    /// were given.
    pub fn plan_for(&self, given: &BTreeMap<String, String>) -> Result<Option<Plan>, BadFields> {
        let (values, problems) = self.read(given);
        unless(problems)?;
        self.plan_by(&mut Pen::new(&values), &self.requirements(&values))
    }

    /// The values of the fields that have one, and what is wrong with the others.
    fn read(&self, given: &BTreeMap<String, String>) -> (Values<'_>, Vec<String>) {
        let unknown = given.keys().filter(|name| self.field(name).is_none());
        let mut problems: Vec<_> = unknown.map(|name| self.no_such_field(name)).collect();
        let mut values = Values::new();
        for field in &self.fields {
            let own = given
                .get(&field.name)
                .filter(|given| !given.trim().is_empty());
            let words = own.or(field.default.as_ref());
            match Value::read(&field.kind, words.map_or("", String::as_str)) {
                Ok(Some(value)) => {
                    values.insert(&field.name, value);
                }
                Ok(None) => {}
                Err(problem) => problems.push(format!("field `{}`: {problem}", field.name)),
            }
        }
        (values, problems)
    }

    fn no_such_field(&self, name: &str) -> String {
        let names: Vec<_> = self
            .fields
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        format!(
            "there is no field `{name}`; the fields are {}",
            names.join(", ")
        )
    }

    fn checklist_by(&self, pen: &mut Pen<'_>) -> Vec<String> {
        let filled = self.checklist.iter().flat_map(|item| pen.line(item));
        let mut seen = BTreeSet::new();
        let items = filled.map(|item| on_one_line(&item));
        let items = items.filter(|item| !item.is_empty() && seen.insert(item.clone()));
        items.collect()
    }

    fn plan_by(&self, pen: &mut Pen<'_>, with: &Requirements) -> Result<Option<Plan>, BadFields> {
        let Some(plan) = &self.plan else {
            return Ok(None);
        };
        let steps = plan.steps().iter().map(|step| pen.step(step, with));
        let steps: Vec<_> = steps.collect();
        pen.has_written_all()?;
        unless(
            steps
                .iter()
                .flat_map(|step| bad_words(step, |_| true))
                .collect(),
        )?;
        let plan = Plan::new(steps).map_err(|BadPlan(problems)| BadFields(problems))?;
        Ok(Some(plan))
    }

    fn priority_of(&self, values: &Values<'_>) -> Priority {
        let said = values.values().find_map(|value| match value {
            Value::Priority(priority) => Some(*priority),
            Value::Words(_) | Value::Lines(_) | Value::Time { .. } => None,
        });
        said.unwrap_or(self.priority)
    }

    fn requirements(&self, values: &Values<'_>) -> Requirements {
        let mut requirements = Requirements::default();
        for field in &self.fields {
            let Some(value) = values
                .get(field.name.as_str())
                .filter(|value| value.length() <= LONGEST_REQUIREMENT)
            else {
                continue;
            };
            let part = match field.constraint {
                true => &mut requirements.constraints,
                false => &mut requirements.input_data,
            };
            part.insert(field.name.clone(), value.json());
        }
        requirements
    }
}

impl Filled {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.text.is_empty() {
            problems.push(
                "nothing was filled in, so there is no wish: say something in a field".to_owned(),
            );
        }
        if self.checklist.len() > Terms::LONGEST_CHECKLIST {
            problems.push(format!(
                "the checklist gets {} items, at most {} fit: say less in fewer lines",
                self.checklist.len(),
                Terms::LONGEST_CHECKLIST
            ));
        }
        problems
    }
}

impl Field {
    fn missing(&self) -> String {
        let ask = self.help.trim().trim_end_matches('.');
        let mut letters = ask.chars();
        let ask = match letters.next() {
            Some(first) => format!("{}{}", first.to_lowercase(), letters.as_str()),
            None => format!("say its {}", self.label),
        };
        format!("field `{}` is empty: {ask}", self.name)
    }
}

fn unless(problems: Vec<String>) -> Result<(), BadFields> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(BadFields(problems)),
    }
}

fn max_seconds(values: &Values<'_>) -> Option<u64> {
    values.values().find_map(|value| match value {
        Value::Time { seconds, .. } => Some(*seconds),
        Value::Words(_) | Value::Lines(_) | Value::Priority(_) => None,
    })
}

/// What the fields that are not empty are filled with.
type Values<'a> = BTreeMap<&'a str, Value>;

/// Writes texts with their holes filled in, up to the longest wish in all: a template that
/// repeats a long value over and over would be a text without end.
struct Pen<'a> {
    values: &'a Values<'a>,
    ink: usize,
    ran_dry: bool,
}

impl<'a> Pen<'a> {
    fn new(values: &'a Values<'a>) -> Self {
        Self {
            values,
            ink: 2 * TaskSpec::TEXT_LIMIT,
            ran_dry: false,
        }
    }

    /// Paragraph by paragraph. One that names only empty fields is left out.
    fn text(&mut self, text: &str) -> String {
        let paragraphs = paragraphs(text);
        let said = paragraphs
            .iter()
            .filter(|lines| self.says_something(&lines.join("\n")));
        let said: Vec<_> = said.collect();
        let filled = said.iter().map(|lines| {
            let lines: Vec<_> = lines.iter().flat_map(|line| self.line(line)).collect();
            lines.join("\n")
        });
        let filled = filled.filter(|paragraph| !paragraph.trim().is_empty());
        filled.collect::<Vec<_>>().join("\n\n").trim().to_owned()
    }

    /// A line: not at all when it names only empty fields, and once for each line of a field
    /// that has several.
    fn line(&mut self, line: &str) -> Vec<String> {
        if self.ran_dry || !self.says_something(line) {
            return Vec::new();
        }
        let times = holes(line)
            .filter_map(|name| self.values.get(name)?.times())
            .max()
            .unwrap_or(1);
        let cost = times.saturating_mul(self.length(line));
        let Some(left) = self.ink.checked_sub(cost) else {
            self.ran_dry = true;
            return Vec::new();
        };
        self.ink = left;
        (0..times).map(|copy| self.filled(line, copy)).collect()
    }

    fn step(&mut self, step: &PlannedStep, with: &Requirements) -> PlannedStep {
        let mut requirements = with.clone();
        requirements
            .expected_output
            .clone_from(&step.requirements.expected_output);
        PlannedStep {
            title: on_one_line(&self.text(&step.title)),
            description: self.text(&step.description),
            requirements,
            paths: step.paths.iter().flat_map(|path| self.line(path)).collect(),
            checks: step
                .checks
                .iter()
                .flat_map(|check| self.line(check))
                .collect(),
            ..step.clone()
        }
    }

    /// Fails when something was left out because it became too long.
    fn has_written_all(&self) -> Result<(), BadFields> {
        let problem = "what was filled in is too long: put long material into a file of the project and name it";
        match self.ran_dry {
            true => Err(BadFields(vec![problem.to_owned()])),
            false => Ok(()),
        }
    }

    /// Does it name no field, or one that is not empty?
    fn says_something(&self, text: &str) -> bool {
        let mut names = holes(text).peekable();
        names.peek().is_none() || names.any(|name| self.values.contains_key(name))
    }

    /// The most bytes that one copy of the line can take.
    fn length(&self, line: &str) -> usize {
        let longest = |name| self.values.get(name).map_or(0, Value::longest);
        holes(line)
            .map(longest)
            .fold(line.len(), usize::saturating_add)
    }

    fn filled(&self, line: &str, copy: usize) -> String {
        let filled = pieces(line).into_iter().map(|piece| match piece {
            Piece::Words(words) => words,
            Piece::Hole(name) => self.values.get(name).map_or("", |value| value.at(copy)),
        });
        filled.collect()
    }
}
