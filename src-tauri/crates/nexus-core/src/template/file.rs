//! A template's file, and everything that can be wrong with it.

use super::{
    Field, FieldKind, Template, TemplateSource,
    text::{holes, is_field_name, is_slug},
    value::Value,
};
use crate::{
    BadPlan, CommandLine, Plan, PlannedStep, Priority, ProjectPath, StepId, StepKind, Terms,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// Why a file is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    #[error("line {line}, `{text}`: {problem}")]
    Unreadable {
        /// Counted from 1.
        line: usize,
        /// The line as it stands there.
        text: String,
        problem: String,
    },
    /// Everything that is wrong with it, all at once.
    #[error("{}", .0.join("; "))]
    Wrong(Vec<String>),
}

impl Template {
    /// Reads the text of a template's file. Its name is that of the file without `.toml`.
    pub fn parse(name: &str, text: &str, source: TemplateSource) -> Result<Self, BadTemplate> {
        let file: File = toml::from_str(text).map_err(|error| unreadable(text, &error))?;
        let (template, mut problems) = file.into_template(name, source);
        // Without its steps a field may seem to be named nowhere.
        if problems.is_empty() {
            problems.extend(template.misnamed_fields());
        }
        problems.extend(template.problems());
        if problems.is_empty() {
            Ok(template)
        } else {
            Err(BadTemplate::Wrong(problems))
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !is_slug(&self.name) {
            problems.push(format!(
                "`{}` is no name of a template: name the file in small letters and digits joined by `-`, such as bug-fix.toml",
                self.name
            ));
        }
        for (key, text) in [("title", &self.title), ("text", &self.text)] {
            if text.trim().is_empty() {
                problems.push(format!("`{key}` is empty: say it"));
            }
        }
        if self.checklist.len() > Terms::LONGEST_CHECKLIST {
            problems.push(format!(
                "`checklist` has {} items, at most {} fit",
                self.checklist.len(),
                Terms::LONGEST_CHECKLIST
            ));
        }
        for field in &self.fields {
            problems.extend(field.problems());
        }
        problems.extend(self.doubled_fields());
        problems
    }

    fn doubled_fields(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        for field in &self.fields {
            let single = match field.kind {
                FieldKind::Priority | FieldKind::Duration => Some(field.kind.name()),
                FieldKind::Text
                | FieldKind::Lines
                | FieldKind::Choice { .. }
                | FieldKind::Folder
                | FieldKind::Files
                | FieldKind::Command => None,
            };
            if !seen.insert(("field", field.name.as_str())) {
                problems.push(format!("field `{}` is there twice", field.name));
            }
            if let Some(kind) = single.filter(|kind| !seen.insert(("kind", kind))) {
                problems.push(format!(
                    "field `{}` is a second one of kind `{kind}`, and a task has one",
                    field.name
                ));
            }
        }
        problems
    }

    /// Names in the texts that are no fields, and fields that are named nowhere.
    fn misnamed_fields(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut named = BTreeSet::new();
        for (key, line) in self.lines() {
            let fields: BTreeSet<_> = holes(line).collect();
            let unknown = fields.iter().filter(|name| self.field(name).is_none());
            problems.extend(unknown.map(|name| {
                format!("`{key}` names the field `{name}`, which is not there: describe it under [[field]]")
            }));
            let has_lines =
                |name: &&&str| self.field(name).is_some_and(|field| field.kind.has_lines());
            if fields.iter().filter(has_lines).count() > 1 {
                problems.push(format!(
                    "`{key}` names two fields of several lines in `{}`: put them on two lines",
                    line.trim()
                ));
            }
            named.extend(fields);
        }
        let speaks = |field: &&Field| {
            named.contains(field.name.as_str())
                || matches!(field.kind, FieldKind::Priority | FieldKind::Duration)
        };
        let unused = self.fields.iter().filter(|field| !speaks(field));
        problems.extend(unused.map(|field| {
            let name = &field.name;
            format!(
                "field `{name}` is asked for and used nowhere: write {{{{{name}}}}} into `text`"
            )
        }));
        problems
    }

    /// Every line that may name fields, with the key it stands under.
    fn lines(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let of_task = [
            ("task_title", self.task_title.as_deref()),
            ("text", Some(&self.text)),
        ];
        let of_task = of_task
            .into_iter()
            .flat_map(|(key, text)| lines_of(key, text.unwrap_or_default()));
        let items = self
            .checklist
            .iter()
            .map(|item| ("checklist", item.as_str()));
        let steps = self.plan.iter().flat_map(Plan::steps);
        let of_steps = steps.flat_map(|step| {
            let words =
                lines_of("title", &step.title).chain(lines_of("description", &step.description));
            let paths = step.paths.iter().map(|path| ("paths", path.as_str()));
            let checks = step.checks.iter().map(|check| ("checks", check.as_str()));
            words.chain(paths).chain(checks)
        });
        of_task.chain(items).chain(of_steps)
    }
}

impl Field {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let name = &self.name;
        if !is_field_name(name) {
            problems.push(format!(
                "`{name}` is no name of a field: use small letters, digits and `_`, and begin with a letter"
            ));
        }
        if self.label.trim().is_empty() {
            problems.push(format!(
                "field `{name}` has no label: say what people call it"
            ));
        }
        if let FieldKind::Choice { options } = &self.kind
            && options.iter().all(|option| option.trim().is_empty())
        {
            problems.push(format!(
                "field `{name}` is a choice without `options`: name them"
            ));
        }
        if let Some(default) = &self.default
            && let Err(problem) = Value::read(&self.kind, default)
        {
            problems.push(format!(
                "the default of field `{name}` does not fit: {problem}"
            ));
        }
        problems
    }
}

/// Paths and checks of a step that are none, among those that `count`.
pub(super) fn bad_words(step: &PlannedStep, count: fn(&str) -> bool) -> Vec<String> {
    let paths = step.paths.iter().filter(|path| count(path));
    let paths = paths.filter_map(|path| Some(ProjectPath::parse(path).err()?.to_string()));
    let checks = step.checks.iter().filter(|check| count(check));
    let checks = checks.filter_map(|check| Some(CommandLine::parse(check).err()?.to_string()));
    let problems = paths.chain(checks);
    problems
        .map(|problem| format!("step {}: {problem}", step.id))
        .collect()
}

fn names_no_field(text: &str) -> bool {
    holes(text).next().is_none()
}

fn lines_of<'a>(key: &'static str, text: &'a str) -> impl Iterator<Item = (&'static str, &'a str)> {
    text.lines().map(move |line| (key, line))
}

fn unreadable(text: &str, error: &toml::de::Error) -> BadTemplate {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let line = text.get(..at).unwrap_or_default().matches('\n').count();
    BadTemplate::Unreadable {
        line: line + 1,
        text: text.lines().nth(line).unwrap_or_default().trim().to_owned(),
        problem: error.message().to_owned(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    #[serde(default)]
    description: String,
    task_title: Option<String>,
    text: String,
    #[serde(default)]
    checklist: Vec<String>,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    needs_checks: bool,
    #[serde(default)]
    field: Vec<FieldFile>,
    #[serde(default)]
    step: Vec<StepFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldFile {
    name: String,
    label: String,
    #[serde(default)]
    help: String,
    kind: KindFile,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default)]
    required: bool,
    default: Option<String>,
    #[serde(default)]
    constraint: bool,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindFile {
    Text,
    Lines,
    Choice,
    Folder,
    Files,
    Priority,
    Duration,
    Command,
}

/// A step; its number is its place.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFile {
    kind: StepKind,
    title: String,
    description: String,
    #[serde(default)]
    after: Vec<u32>,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    checks: Vec<String>,
    expected_output: Option<OutputFile>,
}

/// The shape of what a step hands over.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputFile {
    format: String,
    #[serde(default)]
    sections: Vec<String>,
}

impl File {
    fn into_template(self, name: &str, source: TemplateSource) -> (Template, Vec<String>) {
        let (plan, mut problems) = plan(self.step);
        let misplaced =
            |field: &&FieldFile| !field.options.is_empty() && field.kind != KindFile::Choice;
        problems.extend(self.field.iter().filter(misplaced).map(|field| {
            format!(
                "field `{}` has `options` and is no choice: write `kind = \"choice\"`",
                field.name
            )
        }));
        let template = Template {
            name: name.to_owned(),
            title: self.title,
            description: self.description,
            fields: self.field.into_iter().map(FieldFile::into_field).collect(),
            task_title: self.task_title,
            text: self.text,
            checklist: self.checklist,
            plan,
            priority: self.priority,
            needs_checks: self.needs_checks,
            source,
        };
        (template, problems)
    }
}

fn plan(steps: Vec<StepFile>) -> (Option<Plan>, Vec<String>) {
    if steps.is_empty() {
        return (None, Vec::new());
    }
    let steps: Vec<_> = (1..)
        .zip(steps)
        .map(|(id, step)| step.into_step(StepId(id)))
        .collect();
    let mut problems: Vec<_> = steps
        .iter()
        .flat_map(|step| bad_words(step, names_no_field))
        .collect();
    match Plan::new(steps) {
        Ok(plan) => (Some(plan), problems),
        Err(BadPlan(more)) => {
            problems.extend(more);
            (None, problems)
        }
    }
}

impl FieldFile {
    fn into_field(self) -> Field {
        Field {
            name: self.name,
            label: self.label,
            help: self.help,
            kind: match self.kind {
                KindFile::Text => FieldKind::Text,
                KindFile::Lines => FieldKind::Lines,
                KindFile::Choice => FieldKind::Choice {
                    options: self.options,
                },
                KindFile::Folder => FieldKind::Folder,
                KindFile::Files => FieldKind::Files,
                KindFile::Priority => FieldKind::Priority,
                KindFile::Duration => FieldKind::Duration,
                KindFile::Command => FieldKind::Command,
            },
            required: self.required,
            default: self.default,
            constraint: self.constraint,
        }
    }
}

impl StepFile {
    fn into_step(self, id: StepId) -> PlannedStep {
        let mut step = PlannedStep {
            after: self.after.into_iter().map(StepId).collect(),
            priority: self.priority,
            paths: self.paths,
            checks: self.checks,
            ..PlannedStep::new(id, self.kind, self.title, self.description)
        };
        step.requirements.expected_output = self
            .expected_output
            .map(OutputFile::into_map)
            .unwrap_or_default();
        step
    }
}

impl OutputFile {
    fn into_map(self) -> Map<String, Json> {
        let format = ("format".to_owned(), json!(self.format));
        let sections = ("sections".to_owned(), json!(self.sections));
        [format, sections].into_iter().collect()
    }
}
