//! The form of a planner's answers: the schemas a model is held to, and what is read from what
//! it says.
//!
//! A schema cannot say everything, and not every model keeps to one. So everything is looked at
//! again here, and whatever is wrong is told at once.

use super::{Case, one_line};
use nexus_core::{
    BadPlan, CommandLine, Estimate, Plan, PlannedStep, Priority, ProjectPath, Requirements, Ruling,
    StepId, StepKind, Usd,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The longest title of a step in characters, and the longest description in bytes.
const TITLE_LIMIT: usize = 160;
const DESCRIPTION_LIMIT: usize = 8 * 1024;
/// How many requirements of one sort a step may have, how long their names and values may be.
const REQUIREMENTS: usize = 20;
const NAME_LIMIT: usize = 80;
const VALUE_LIMIT: usize = 2 * 1024;
/// How many paths and checks a step may name, and how long each may be, in bytes.
const PATHS: usize = 50;
const CHECKS: usize = 10;
const LINE_LIMIT: usize = 300;
/// A week of work is no step.
const MINUTES_LIMIT: f64 = 7.0 * 24.0 * 60.0;
/// The longest reason, question and feedback, in bytes.
const REASON_LIMIT: usize = 600;
const QUESTION_LIMIT: usize = 2 * 1024;
const FEEDBACK_LIMIT: usize = 8 * 1024;
/// How many beginnings of an object are tried in an answer that holds more than one.
const BEGINNINGS: usize = 50;

/// What an answer has to look like.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) schema: Value,
}

/// What a model decided, and why.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judgement {
    pub(super) ruling: Ruling,
    pub(super) reason: String,
}

impl Form {
    /// Of a plan.
    pub(super) fn plan() -> Self {
        Self {
            name: "plan",
            schema: object(&json!({ "steps": list(step(&[])) })),
        }
    }

    /// Of a ruling about a step.
    pub(super) fn ruling() -> Self {
        let steps = list(step(&[("id", json!({ "type": "integer" }))]));
        let or_nothing = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
        Self {
            name: "ruling",
            schema: object(&json!({
                "ruling": { "type": "string", "enum": ["accept", "retry", "replan", "ask"] },
                "reason": text(),
                "feedback": or_nothing(text()),
                "question": or_nothing(text()),
                "steps": or_nothing(steps),
            })),
        }
    }
}

/// Strict schemas want every field to be required, and no others.
fn object(fields: &Value) -> Value {
    let names = fields.as_object().into_iter().flat_map(Map::keys);
    let names: Vec<_> = names.collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": names,
        "properties": fields,
    })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn step(more: &[(&str, Value)]) -> Value {
    // A strict schema knows no objects with free names.
    let named = list(object(&json!({ "name": text(), "value": text() })));
    let number = json!({ "type": ["number", "null"] });
    let mut fields = json!({
        "kind": { "type": "string", "enum": ["analysis", "implementation", "tests", "validation"] },
        "title": text(),
        "description": text(),
        "requirements": object(&json!({
            "input_data": named, "expected_output": named, "constraints": named,
        })),
        "after": list(json!({ "type": "integer" })),
        "priority": { "type": "string", "enum": ["low", "normal", "high", "critical"] },
        "paths": list(text()),
        "checks": list(text()),
        "estimate_minutes": number,
        "estimate_usd": number,
    });
    for (name, schema) in more {
        fields[*name] = schema.clone();
    }
    object(&fields)
}

// ---- a plan -----------------------------------------------------------------------------

/// The plan in a model's words, or everything that is wrong with it.
pub(super) fn read_plan(answer: &str) -> Result<Plan, Vec<String>> {
    #[derive(Deserialize)]
    struct Draft {
        steps: Vec<Value>,
    }
    let draft: Draft = read(answer, "steps")?;
    let mut steps = Steps::default();
    for (place, step) in (1..).zip(draft.steps) {
        steps.read(place, Some(StepId(place)), step);
    }
    let planned = std::mem::take(&mut steps.planned);
    steps.make(planned)
}

/// Steps that were read, and what is wrong with them.
#[derive(Default)]
struct Steps {
    planned: Vec<PlannedStep>,
    problems: Vec<String>,
    /// One could not be read at all, so that nothing can be said of those that wait for it.
    has_gap: bool,
}

impl Steps {
    /// Takes the step at this place. Without an `id` it has to say its own.
    fn read(&mut self, place: u32, id: Option<StepId>, step: Value) {
        let draft: StepDraft = match serde_json::from_value(step) {
            Ok(draft) => draft,
            Err(error) => {
                self.has_gap = true;
                return self.problems.push(format!("step {place}: {error}"));
            }
        };
        let Some(id) = id.or(draft.id.map(StepId)) else {
            self.has_gap = true;
            return self.problems.push(format!("step {place}: it has no id"));
        };
        let (step, problems) = draft.step(id);
        let problems = problems.into_iter();
        self.problems
            .extend(problems.map(|problem| format!("step {id}: {problem}")));
        self.planned.push(step);
    }

    /// The plan of all these steps, which need not be the ones that were read.
    fn make(self, all: Vec<PlannedStep>) -> Result<Plan, Vec<String>> {
        let mut problems = self.problems;
        if self.has_gap {
            return Err(problems);
        }
        match Plan::new(all) {
            Ok(plan) if problems.is_empty() => Ok(plan),
            Ok(_) => Err(problems),
            Err(BadPlan(more)) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }
}

#[derive(Deserialize)]
struct StepDraft {
    id: Option<u32>,
    kind: StepKind,
    title: String,
    description: String,
    #[serde(default)]
    requirements: RequirementsDraft,
    after: Vec<u32>,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    checks: Vec<String>,
    estimate_minutes: Option<f64>,
    estimate_usd: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RequirementsDraft {
    input_data: Value,
    expected_output: Value,
    constraints: Value,
}

impl StepDraft {
    /// The step without what is wrong with it, and that.
    fn step(self, id: StepId) -> (PlannedStep, Vec<String>) {
        let mut problems = Vec::new();
        let title = one_line(&self.title, usize::MAX);
        let letters = title.chars().count();
        if letters > TITLE_LIMIT {
            problems.push(format!(
                "its title has {letters} characters, at most {TITLE_LIMIT} fit"
            ));
        }
        let bytes = self.description.len();
        if bytes > DESCRIPTION_LIMIT {
            problems.push(format!(
                "its description has {bytes} bytes, at most {DESCRIPTION_LIMIT} fit"
            ));
        }
        let requirements = self.requirements.read(&mut problems);
        let paths = paths(&self.paths, &mut problems);
        let checks = checks(&self.checks, &mut problems);
        let estimate = estimate(self.estimate_minutes, self.estimate_usd, &mut problems);
        let step = PlannedStep {
            requirements,
            after: self.after.into_iter().map(StepId).collect(),
            priority: self.priority,
            paths,
            checks,
            estimate,
            ..PlannedStep::new(id, self.kind, title, plain(&self.description))
        };
        (step, problems)
    }
}

impl RequirementsDraft {
    fn read(self, problems: &mut Vec<String>) -> Requirements {
        let mut read = |what: &str, value: Value| {
            let named = named(what, value, problems);
            named.unwrap_or_else(|problem| {
                problems.push(problem);
                Map::new()
            })
        };
        Requirements {
            input_data: read("input_data", self.input_data),
            expected_output: read("expected_output", self.expected_output),
            constraints: read("constraints", self.constraints),
        }
    }
}

/// Names with their values, as a list of pairs or, from models without a schema, as an object.
fn named(
    what: &str,
    value: Value,
    problems: &mut Vec<String>,
) -> Result<Map<String, Value>, String> {
    #[derive(Deserialize)]
    struct Pair {
        name: String,
        value: Value,
    }
    let pairs = match value {
        Value::Null => Vec::new(),
        Value::Object(fields) => fields.into_iter().collect(),
        list @ (Value::Array(_) | Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
            let pairs = serde_json::from_value::<Vec<Pair>>(list);
            let pairs = pairs.map_err(|error| format!("its {what}: {error}"))?;
            pairs
                .into_iter()
                .map(|pair| (pair.name, pair.value))
                .collect()
        }
    };
    if pairs.len() > REQUIREMENTS {
        return Err(format!(
            "its {what} has {} entries, at most {REQUIREMENTS} fit",
            pairs.len()
        ));
    }
    let mut read = Map::new();
    for (name, value) in pairs {
        let name = one_line(&name, NAME_LIMIT);
        let bytes = value.to_string().len();
        if name.is_empty() {
            problems.push(format!("its {what} has an entry without a name"));
        } else if bytes > VALUE_LIMIT {
            problems.push(format!(
                "its {what} `{name}` has {bytes} bytes, at most {VALUE_LIMIT} fit"
            ));
        } else if read.insert(name.clone(), plain_value(value)).is_some() {
            problems.push(format!("its {what} names `{name}` twice"));
        }
    }
    Ok(read)
}

fn plain_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(plain(&text)),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other,
    }
}

fn plain(text: &str) -> String {
    text.trim().replace('\0', "")
}

/// The paths a step may touch; none where it may touch anything.
fn paths(named: &[String], problems: &mut Vec<String>) -> Vec<String> {
    if named.len() > PATHS {
        problems.push(format!(
            "it names {} paths, at most {PATHS} fit: name folders",
            named.len()
        ));
        return Vec::new();
    }
    let mut paths = Vec::new();
    let mut anywhere = false;
    for text in named {
        match path(text) {
            Ok(Some(path)) => paths.push(path),
            Ok(None) => anywhere = true,
            Err(what) => {
                let text = one_line(text, LINE_LIMIT);
                problems.push(format!("its path `{text}` {what}"));
            }
        }
    }
    if anywhere { Vec::new() } else { paths }
}

/// A path below the project; `None` for the project itself. The error says what the text is
/// instead.
fn path(text: &str) -> Result<Option<String>, &'static str> {
    let text = text.trim();
    let has = |sign: fn(char) -> bool| text.contains(sign);
    let is_drive = text.as_bytes().get(1) == Some(&b':');
    if text.is_empty() {
        return Err("names nothing");
    }
    if text.starts_with(['/', '~']) || is_drive {
        return Err("does not begin at the project's folder");
    }
    if has(char::is_control) || text.len() > LINE_LIMIT {
        return Err("is no path");
    }
    if has(|letter| matches!(letter, '*' | '?')) {
        return Err("is a pattern: name the file, or the folder for all that is in it");
    }
    if has(|letter| letter == '\\') {
        return Err("has other signs than `/` between its parts");
    }
    let mut bare = text;
    while let Some(rest) = bare.strip_prefix("./") {
        bare = rest;
    }
    let bare = bare.trim_end_matches('/');
    if bare.is_empty() || bare == "." {
        return Ok(None);
    }
    let path = ProjectPath::parse(bare).map_err(|_| "leads out of the project")?;
    if bare
        .split('/')
        .any(|part| part.eq_ignore_ascii_case(".git"))
    {
        return Err("belongs to git");
    }
    Ok(Some(path.to_string()))
}

/// Checks as command lines, each one program with its arguments.
fn checks(named: &[String], problems: &mut Vec<String>) -> Vec<String> {
    if named.len() > CHECKS {
        problems.push(format!(
            "it names {} checks, at most {CHECKS} fit",
            named.len()
        ));
        return Vec::new();
    }
    let mut checks = Vec::new();
    for text in named {
        match check(text) {
            Ok(check) => checks.push(check),
            Err(what) => {
                let text = one_line(text, LINE_LIMIT);
                problems.push(format!("its check `{text}` {what}"));
            }
        }
    }
    checks
}

fn check(text: &str) -> Result<String, &'static str> {
    const OPERATORS: &[&str] = &["&&", "||", "|", ";", "&", ">", ">>", "<", "<<", "2>&1"];
    let text = text.trim();
    if text.contains(char::is_control) || text.len() > LINE_LIMIT {
        return Err("is not one short line");
    }
    let command = CommandLine::parse(text).map_err(|_| "is no command")?;
    let of_shell = |word: &str| {
        OPERATORS.contains(&word)
            || word.ends_with(';')
            || word.contains("$(")
            || word.contains('`')
    };
    if command.words().any(of_shell) || command.program.contains('=') {
        return Err("needs a shell: name one program with its arguments");
    }
    Ok(text.to_owned())
}

/// `None` where nothing is said of the time.
fn estimate(
    minutes: Option<f64>,
    dollars: Option<f64>,
    problems: &mut Vec<String>,
) -> Option<Estimate> {
    let minutes = minutes?;
    let time = Some(minutes).filter(|minutes| (0.0..=MINUTES_LIMIT).contains(minutes));
    let time = time.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok());
    let Some(time) = time else {
        problems.push(format!(
            "its estimate of {minutes} minutes is none: give a number up to {MINUTES_LIMIT}"
        ));
        return None;
    };
    let cost = dollars.and_then(Usd::from_dollars);
    if let (Some(dollars), None) = (dollars, cost) {
        problems.push(format!("its estimate of {dollars} dollars is none"));
    }
    Some(Estimate {
        seconds: time.as_secs(),
        cost,
    })
}

// ---- a ruling ---------------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Accept,
    Retry,
    Replan,
    Ask,
}

/// The ruling in a model's words, or everything that is wrong with it.
pub(super) fn read_judgement(answer: &str, case: &Case) -> Result<Judgement, Vec<String>> {
    #[derive(Deserialize)]
    struct Draft {
        ruling: Word,
        #[serde(default)]
        reason: String,
        feedback: Option<String>,
        question: Option<String>,
        steps: Option<Vec<Value>>,
    }
    let draft: Draft = read(answer, "ruling")?;
    let ruling = match draft.ruling {
        Word::Accept => Ruling::Accept,
        Word::Retry if case.feedback_left == 0 => {
            return Err(vec![
                "this step cannot be taken again: accept it, plan anew, or ask".to_owned(),
            ]);
        }
        Word::Retry => Ruling::Retry {
            feedback: words("feedback", draft.feedback, FEEDBACK_LIMIT)?,
        },
        Word::Ask => Ruling::Ask {
            question: words("question", draft.question, QUESTION_LIMIT)?,
        },
        Word::Replan => Ruling::Replan {
            steps: replanned(draft.steps.unwrap_or_default(), case)?,
        },
    };
    Ok(Judgement {
        ruling,
        reason: one_line(&draft.reason, REASON_LIMIT),
    })
}

fn words(what: &str, said: Option<String>, limit: usize) -> Result<String, Vec<String>> {
    let said = plain(&said.unwrap_or_default());
    if said.is_empty() {
        return Err(vec![format!("its ruling needs a {what}")]);
    }
    if said.len() > limit {
        let bytes = said.len();
        return Err(vec![format!(
            "its {what} has {bytes} bytes, at most {limit} fit"
        )]);
    }
    Ok(said)
}

/// The steps in place of those that are not done. With those that are, they make a plan.
fn replanned(drafts: Vec<Value>, case: &Case) -> Result<Vec<PlannedStep>, Vec<String>> {
    let mut steps = Steps::default();
    if drafts.is_empty() {
        steps
            .problems
            .push("its ruling needs the steps that are left to do".to_owned());
    }
    for (place, draft) in (1..).zip(drafts) {
        steps.read(place, None, draft);
    }
    let is_done = |id: &StepId| case.done.contains(id);
    let is_known = |id: &StepId| case.plan.iter().any(|step| step.id == *id);
    let last_done = case.done.iter().max().copied().unwrap_or(StepId(0));
    let ids: Vec<_> = steps.planned.iter().map(|step| step.id).collect();
    for id in ids {
        if is_done(&id) {
            let problem = format!("step {id} is done and cannot be planned again");
            steps.problems.push(problem);
        } else if !is_known(&id) && id <= last_done {
            let problem = format!("step {id} is new: give it a number above {last_done}");
            steps.problems.push(problem);
        }
    }
    let new = std::mem::take(&mut steps.planned);
    let left = new.iter().filter(|step| !is_done(&step.id)).cloned();
    let mut whole: Vec<_> = done_steps(case);
    whole.extend(left);
    steps.make(whole)?;
    Ok(new)
}

/// What is done waits for nothing that is not.
fn done_steps(case: &Case) -> Vec<PlannedStep> {
    let is_done = |id: &StepId| case.done.contains(id);
    let done = case.plan.iter().filter(|step| is_done(&step.id)).cloned();
    done.map(|mut step| {
        step.after.retain(is_done);
        step
    })
    .collect()
}

// ---- the object in an answer ------------------------------------------------------------

/// What is in the JSON object of an answer. Some models put words or a fence around it.
fn read<T: DeserializeOwned>(answer: &str, field: &str) -> Result<T, Vec<String>> {
    let object = find_object(answer, field).map_err(|problem| vec![problem])?;
    let wrong =
        |error: serde_json::Error| vec![format!("it is not the JSON that was asked for: {error}")];
    serde_json::from_value(object).map_err(wrong)
}

fn find_object(answer: &str, field: &str) -> Result<Value, String> {
    let start = answer.find('{').ok_or("it is not a JSON object")?;
    let end = answer.rfind('}').filter(|end| start < *end);
    let whole = &answer[start..end.map_or(answer.len(), |end| end + 1)];
    let error = match serde_json::from_str(whole) {
        Ok(object) => return Ok(object),
        Err(error) => error,
    };
    // Braces in the words around it, or more than one object.
    let beginnings = answer.match_indices('{').take(BEGINNINGS);
    let mut objects = beginnings.filter_map(|(start, _)| {
        let mut values = serde_json::Deserializer::from_str(&answer[start..]).into_iter::<Value>();
        values.next()?.ok()
    });
    let object = objects.find(|object| object.get(field).is_some());
    object.ok_or_else(|| format!("it is not the JSON that was asked for: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_core::{Role, StepResult};

    fn step(kind: &str, after: &[i32]) -> Value {
        json!({ "kind": kind, "title": kind, "description": "All of it.", "after": after })
    }

    /// A step that keeps to the schema, with these fields otherwise.
    fn full(fields: Value) -> Value {
        let mut step = json!({
            "kind": "implementation", "title": "Mend", "description": "All of it.",
            "requirements": { "input_data": [], "expected_output": [], "constraints": [] },
            "after": [], "priority": "normal", "paths": [], "checks": [],
            "estimate_minutes": null, "estimate_usd": null,
        });
        for (name, value) in fields.as_object().unwrap() {
            step[name] = value.clone();
        }
        step
    }

    fn plan_of(steps: &[Value]) -> Result<Plan, Vec<String>> {
        read_plan(&json!({ "steps": steps }).to_string())
    }

    fn problems_of(steps: &[Value]) -> Vec<String> {
        plan_of(steps).unwrap_err()
    }

    #[test]
    fn a_step_is_read_with_all_that_is_said_of_it() {
        let plan = plan_of(&[full(json!({
            "title": "Mend\n the sums", "description": " Use cents.\0 ",
            "requirements": {
                "input_data": [{ "name": "issue", "value": " wrong sums " }],
                "expected_output": [{ "name": "report", "value": "what changed" }],
                "constraints": [],
            },
            "priority": "high",
            "paths": ["./src/", "README.md", "app/[slug]/page.tsx"],
            "checks": ["cargo test -p sums 'a && b'"],
            "estimate_minutes": 7.5, "estimate_usd": 0.25,
        }))]);
        insta::assert_json_snapshot!(plan.unwrap());
    }

    #[test]
    fn what_may_be_left_out_is() {
        let plan = plan_of(&[step("analysis", &[])]).unwrap();
        let want = PlannedStep::new(
            StepId(1),
            StepKind::Analysis,
            "analysis".to_owned(),
            "All of it.".to_owned(),
        );
        assert_eq!(plan.steps(), [want]);
        let whole = plan_of(&[full(json!({ "paths": ["src", "."], "estimate_usd": 1 }))]);
        let whole = whole.unwrap();
        let step = &whole.steps()[0];
        assert!(step.paths.is_empty(), "the whole project is anywhere");
        assert_eq!(step.estimate, None);
        let loose = json!({ "constraints": { "lines": 10 }, "input_data": null });
        let plan = plan_of(&[full(json!({ "requirements": loose }))]).unwrap();
        let requirements = &plan.steps()[0].requirements;
        assert_eq!(requirements.constraints["lines"], 10);
        assert!(requirements.input_data.is_empty());
    }

    #[test]
    fn paths_stay_inside_the_project_and_are_no_patterns() {
        let cases = [
            ("/etc/passwd", "does not begin at the project's folder"),
            ("~/.ssh", "does not begin at the project's folder"),
            ("C:/x", "does not begin at the project's folder"),
            ("../x", "leads out of the project"),
            ("src/../../x", "leads out of the project"),
            ("src//x", "leads out of the project"),
            ("src/**", "is a pattern"),
            ("src\\main.rs", "has other signs than `/`"),
            (".git/hooks", "belongs to git"),
            ("sub/.GIT", "belongs to git"),
            ("a\nb", "is no path"),
            ("a\0b", "is no path"),
            ("", "names nothing"),
        ];
        for (path, problem) in cases {
            let problems = problems_of(&[full(json!({ "paths": ["src", path] }))]);
            assert!(problems[0].contains(problem), "{path}: {problems:?}");
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
        let many = vec!["src"; PATHS + 1];
        let problems = problems_of(&[full(json!({ "paths": many }))]);
        assert!(problems[0].contains("names 51 paths"), "{problems:?}");
    }

    #[test]
    fn checks_are_words_and_no_shell_lines() {
        for check in [
            "cargo test && rm -rf x",
            "cargo test | tail",
            "cargo test; ls",
            "cat $(ls)",
            "cat `ls`",
            "FOO=1 cargo test",
            "cargo test > x",
            "cargo test &",
            "cargo 'test",
            "",
            "cargo test\nls",
        ] {
            let problems = problems_of(&[full(json!({ "checks": [check] }))]);
            assert!(problems[0].contains("its check"), "{check}: {problems:?}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let problems = problems_of(&[
            full(json!({ "title": "x".repeat(1000), "after": [9] })),
            full(json!({
                "description": "x".repeat(100_000), "paths": ["/x"], "checks": ["a | b"],
                "estimate_minutes": -1, "after": [3],
            })),
            full(json!({
                "after": [2], "estimate_minutes": 1, "estimate_usd": -1,
                "requirements": {
                    "input_data": [{ "name": "a", "value": "1" }, { "name": "a", "value": "2" }],
                    "expected_output": [{ "name": " ", "value": "" }],
                    "constraints": [{ "name": "b", "value": "x".repeat(10_000) }],
                },
            })),
        ]);
        insta::assert_json_snapshot!(problems);
    }

    #[test]
    fn steps_that_cannot_be_read_are_all_named() {
        let problems = problems_of(&[
            step("design", &[]),
            step("tests", &[]),
            step("tests", &[-1]),
            json!("x"),
        ]);
        assert_eq!(problems.len(), 3, "{problems:?}");
        for (problem, part) in problems.iter().zip([
            "step 1: unknown variant `design`",
            "step 3: invalid value",
            "step 4: invalid type",
        ]) {
            assert!(problem.starts_with(part), "{problem}");
        }
    }

    #[test]
    fn an_object_is_found_among_words() {
        let plan = json!({ "steps": [step("tests", &[])] }).to_string();
        for answer in [
            format!("Here it is:\n```json\n{plan}\n```"),
            format!("I looked at {{src}} and {{\"a\": 1}}. So: {plan} That is all {{}}."),
            format!("{plan}\n{plan}"),
        ] {
            assert!(read_plan(&answer).is_ok(), "{answer}");
        }
        for (answer, part) in [
            ("I would rather not.", "not a JSON object"),
            ("}{", "not the JSON"),
            ("{\"plan\": 1}", "missing field `steps`"),
            (&plan[..plan.len() - 3], "not the JSON"),
            ("{\"steps\": []}", "it has no steps"),
        ] {
            let problems = read_plan(answer).unwrap_err();
            assert!(problems[0].contains(part), "{answer}: {problems:?}");
        }
    }

    #[test]
    fn a_schema_is_strict_and_allows_what_is_read() {
        fn assert_strict(schema: &Value) {
            if schema["type"] == "object" {
                let fields: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
                assert_eq!(schema["required"], json!(fields), "{schema}");
                assert_eq!(schema["additionalProperties"], false, "{schema}");
            }
            let inner = schema.as_object().into_iter().flat_map(Map::values);
            inner
                .chain(schema.as_array().into_iter().flatten())
                .for_each(assert_strict);
        }
        for form in [Form::plan(), Form::ruling()] {
            assert_strict(&form.schema);
        }
        let plan = jsonschema::validator_for(&Form::plan().schema).unwrap();
        let good = json!({ "steps": [full(json!({ "estimate_minutes": 5, "checks": ["make"] }))] });
        assert!(plan.is_valid(&good));
        for wrong in [
            json!({}),
            json!({ "steps": [full(json!({ "kind": "design" }))] }),
            json!({ "steps": [step("tests", &[])] }),
            json!({ "steps": [full(json!({ "command": "rm" }))] }),
            json!({ "steps": [], "more": 1 }),
        ] {
            assert!(!plan.is_valid(&wrong), "{wrong}");
        }
        let ruling = jsonschema::validator_for(&Form::ruling().schema).unwrap();
        let said = |steps: Value| json!({ "ruling": "replan", "reason": "", "feedback": null, "question": null, "steps": steps });
        assert!(ruling.is_valid(&said(json!([full(json!({ "id": 3 }))]))));
        assert!(ruling.is_valid(&said(Value::Null)));
        assert!(!ruling.is_valid(&said(json!([full(json!({}))]))));
    }

    /// The standard plan; the analysis is done and the implementation handed in.
    fn case() -> Case {
        Case {
            wish: "Mend it".to_owned(),
            workspace: None,
            plan: Plan::standard("Mend it").steps().to_vec(),
            done: vec![StepId(1)],
            step: StepId(2),
            result: StepResult::default(),
            doubts: Vec::new(),
            feedback_left: 1,
        }
    }

    fn judgement(said: Value) -> Result<Judgement, Vec<String>> {
        read_judgement(&said.to_string(), &case())
    }

    #[test]
    fn each_ruling_is_read_with_its_reason() {
        let said = |ruling: &str| json!({ "ruling": ruling, "reason": "a\nreason", "feedback": " f ", "question": "q?", "steps": null });
        for (word, ruling) in [
            ("accept", Ruling::Accept),
            (
                "retry",
                Ruling::Retry {
                    feedback: "f".to_owned(),
                },
            ),
            (
                "ask",
                Ruling::Ask {
                    question: "q?".to_owned(),
                },
            ),
        ] {
            let reason = "a reason".to_owned();
            assert_eq!(judgement(said(word)), Ok(Judgement { ruling, reason }));
        }
    }

    #[test]
    fn a_ruling_without_what_it_needs_is_none() {
        for (said, problem) in [
            (
                json!({ "ruling": "retry", "feedback": " " }),
                "needs a feedback",
            ),
            (json!({ "ruling": "ask" }), "needs a question"),
            (
                json!({ "ruling": "ask", "question": "x".repeat(9_000) }),
                "at most",
            ),
            (json!({ "ruling": "replan" }), "needs the steps"),
            (
                json!({ "ruling": "replan", "steps": [] }),
                "needs the steps",
            ),
            (json!({ "ruling": "maybe" }), "unknown variant `maybe`"),
            (json!({ "reason": "none" }), "missing field `ruling`"),
        ] {
            let problems = judgement(said).unwrap_err();
            assert!(problems[0].contains(problem), "{problems:?}");
        }
        let last = Case {
            feedback_left: 0,
            ..case()
        };
        let problems = read_judgement(r#"{"ruling": "retry", "feedback": "f"}"#, &last);
        assert!(problems.unwrap_err()[0].contains("cannot be taken again"));
    }

    fn replan(steps: Value) -> Result<Vec<StepId>, Vec<String>> {
        let judged = judgement(json!({ "ruling": "replan", "reason": "", "steps": steps }))?;
        let Ruling::Replan { steps } = judged.ruling else {
            panic!("{judged:?}");
        };
        assert!(steps.iter().all(|step| step.role == step.kind.role()));
        assert!(steps.iter().any(|step| step.role == Role::Beta));
        Ok(steps.iter().map(|step| step.id).collect())
    }

    #[test]
    fn a_new_plan_goes_on_from_what_is_done() {
        let with = |id: u32, kind: &str, after: &[i32]| {
            let mut step = step(kind, after);
            step["id"] = json!(id);
            step
        };
        let kept = [with(2, "implementation", &[1]), with(4, "validation", &[2])];
        assert_eq!(replan(json!(kept)), Ok(vec![StepId(2), StepId(4)]));
        let new = [with(5, "analysis", &[1]), with(6, "validation", &[5])];
        assert_eq!(replan(json!(new)), Ok(vec![StepId(5), StepId(6)]));
        for (steps, problem) in [
            (json!([with(1, "analysis", &[])]), "step 1 is done"),
            (json!([with(0, "analysis", &[])]), "step 0 is new"),
            (json!([with(5, "tests", &[3])]), "step 5 waits for step 3"),
            (json!([with(5, "tests", &[5])]), "wait for each other"),
            (
                json!([with(5, "tests", &[]), with(5, "tests", &[])]),
                "step 5 is there twice",
            ),
            (json!([step("tests", &[])]), "step 1: it has no id"),
            (
                json!([with(5, "implementation", &[6]), with(6, "validation", &[])]),
                "step 5 waits for step 6, which judges",
            ),
        ] {
            let problems = replan(steps).unwrap_err();
            assert!(problems[0].contains(problem), "{problems:?}");
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
    }
}
