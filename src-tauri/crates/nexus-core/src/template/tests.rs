use super::*;
use crate::{Role, StepId, TaskSpec};
use serde_json::json;
use std::collections::BTreeMap;

fn built_in(name: &str) -> Template {
    let all = Template::built_in();
    all.into_iter()
        .find(|template| template.name == name)
        .unwrap()
}

fn fields<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let given = given.into_iter();
    given
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn parse(text: &str) -> Result<Template, BadTemplate> {
    Template::parse("own", text, TemplateSource::Project)
}

fn fill(template: &str, given: &[(&str, &str)]) -> Result<Filled, BadFields> {
    let head = "title = \"Own\"\n";
    parse(&format!("{head}{template}"))
        .unwrap()
        .fill(&fields(given.iter().copied()))
}

/// Text fields of these names.
fn text_fields(names: &[&str]) -> String {
    let field =
        |name: &&str| format!("[[field]]\nname = \"{name}\"\nlabel = \"x\"\nkind = \"text\"\n");
    names.iter().map(field).collect()
}

#[test]
fn every_template_that_comes_with_nexus_is_one_and_can_be_filled_in() {
    let all = Template::built_in();
    let names: Vec<_> = all.iter().map(|template| template.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "web-application",
            "bug-fix",
            "review-and-optimise",
            "writing",
            "blank"
        ]
    );
    for template in all {
        let required = template.fields.iter().filter(|field| field.required);
        let given: BTreeMap<_, _> = required
            .map(|field| (field.name.clone(), "some words".to_owned()))
            .collect();
        let filled = template.fill(&given).unwrap();
        assert!(filled.text.contains("some words"), "{}", template.name);
        let all = format!("{filled:?}");
        assert!(
            !all.contains("{{"),
            "an empty field leaves nothing behind: {all}"
        );
        for field in &template.fields {
            assert!(!field.help.is_empty(), "{} says nothing", field.name);
        }
    }
}

#[test]
fn a_web_application_is_judged_by_its_requirements_within_its_time() {
    let given = [
        ("description", "Create a REST API for user management"),
        (
            "requirements",
            "Authentication\nCRUD operations\n- Input validation\n",
        ),
        ("technology", "FastAPI + SQLAlchemy"),
        ("timeline", "2 hours"),
    ];
    let filled = built_in("web-application").fill(&fields(given)).unwrap();
    assert_eq!(
        filled.text,
        "Create a REST API for user management\n\nRequirements:\n- Authentication\n- CRUD operations\n- Input validation\n\nTechnology: FastAPI + SQLAlchemy\n\nTime at work: at most 2 hours"
    );
    assert_eq!(
        filled.checklist,
        ["Authentication", "CRUD operations", "Input validation"]
    );
    assert_eq!(
        (filled.max_seconds, filled.priority),
        (Some(7200), Priority::Normal)
    );
    assert_eq!((filled.title, filled.plan), (None, None));
    assert_eq!(
        serde_json::to_value(&filled.requirements).unwrap(),
        json!({
            "input_data": {
                "description": "Create a REST API for user management",
                "requirements": ["Authentication", "CRUD operations", "Input validation"],
            },
            "expected_output": {},
            "constraints": {"technology": "FastAPI + SQLAlchemy", "timeline": "2 hours"},
        })
    );
}

/// Who takes the steps of a plan in which each waits for the one before.
fn in_a_row(plan: &Plan) -> Vec<Role> {
    for (step, before) in plan.steps().iter().skip(1).zip(plan.steps()) {
        assert_eq!(step.after, [before.id]);
    }
    plan.steps().iter().map(|step| step.role).collect()
}

#[test]
fn a_bug_is_shown_by_alphas_test_before_code_mends_it() {
    let given = [
        ("symptom", "Valid credentials are answered with 401"),
        ("context", "Users report it since Monday"),
        ("priority", "high"),
        ("existing_code", "src/auth/"),
    ];
    let filled = built_in("bug-fix").fill(&fields(given)).unwrap();
    assert_eq!(
        filled.title.as_deref(),
        Some("Fix: Valid credentials are answered with 401")
    );
    assert_eq!(filled.priority, Priority::High);
    assert!(
        filled.text.ends_with("Where the code is:\n- src/auth"),
        "{}",
        filled.text
    );
    assert_eq!(
        in_a_row(&filled.plan.unwrap()),
        [Role::Aria, Role::Alpha, Role::Code, Role::Beta]
    );
}

#[test]
fn an_optimisation_is_measured_first_and_with_the_same_command() {
    let given = [
        ("description", "Review and optimize database queries"),
        ("focus", "Performance improvement"),
        ("target_files", "models.py\nqueries.py"),
        ("performance_target", "50% improvement"),
        ("benchmark", "make bench"),
    ];
    let filled = built_in("review-and-optimise")
        .fill(&fields(given))
        .unwrap();
    assert!(
        filled.text.contains("- models.py\n- queries.py\n"),
        "{}",
        filled.text
    );
    assert!(
        filled.checklist[0].ends_with(": 50% improvement"),
        "{:?}",
        filled.checklist
    );
    let plan = filled.plan.unwrap();
    assert_eq!(
        in_a_row(&plan),
        [Role::Aria, Role::Code, Role::Alpha, Role::Beta]
    );
    let measured: Vec<_> = plan
        .steps()
        .iter()
        .map(|step| step.checks.join(" "))
        .collect();
    assert_eq!(measured, ["make bench", "make bench", "", "make bench"]);
    let constraints = &plan.steps()[1].requirements.constraints;
    assert_eq!(constraints["performance_target"], "50% improvement");
    let without = built_in("review-and-optimise")
        .fill(&fields([("description", "x")]))
        .unwrap();
    assert!(
        without
            .plan
            .unwrap()
            .steps()
            .iter()
            .all(|step| step.checks.is_empty())
    );
    assert_eq!(without.checklist.len(), 2, "no target, nothing to reach");
}

#[test]
fn writing_is_judged_by_its_claims_and_by_what_was_asked_for() {
    let given = [
        ("what", "Compare the two databases"),
        ("length", "two pages"),
        ("sources", "docs/a.md\nthe manual"),
    ];
    let template = built_in("writing");
    assert!(!template.needs_checks);
    let filled = template.fill(&fields(given)).unwrap();
    assert!(
        filled
            .checklist
            .contains(&"It has the length that was asked for: two pages".to_owned())
    );
    assert!(
        !filled
            .checklist
            .iter()
            .any(|item| item.contains("its readers")),
        "nobody said who reads it"
    );
    let plan = filled.plan.unwrap();
    assert_eq!(
        in_a_row(&plan),
        [Role::Aria, Role::Code, Role::Alpha, Role::Beta]
    );
    assert_eq!(
        plan.steps()[2].requirements.expected_output["sections"],
        json!(["claims", "criteria"])
    );
}

#[test]
fn a_paragraph_and_a_line_that_name_only_empty_fields_are_left_out() {
    let template = format!(
        "text = '''\nFirst.\n\nA: {{{{a}}}}\nB: {{{{b}}}}\n\n\nList:\n- {{{{b}}}}\n\n  {{{{a}}}} and {{{{b}}}}\n'''\n{}",
        text_fields(&["a", "b"])
    );
    let text = |given: &[(&str, &str)]| fill(&template, given).unwrap().text;
    assert_eq!(text(&[("a", "x")]), "First.\n\nA: x\n\n  x and");
    assert_eq!(
        text(&[("b", "y")]),
        "First.\n\nB: y\n\nList:\n- y\n\n   and y"
    );
    assert_eq!(text(&[]), "First.");
}

#[test]
fn what_is_given_is_text_and_nothing_else() {
    let template = format!(
        "text = '{{{{a}}}} {{{{b}}}} {{{{ A }}}}'\n{}",
        text_fields(&["a", "b"])
    );
    let filled = fill(&template, &[("a", "{{b}} {{a}}"), ("b", "}}{{")]).unwrap();
    assert_eq!(filled.text, "{{b}} {{a}} }}{{ {{ A }}");
}

#[test]
fn everything_that_is_wrong_with_the_fields_is_said_at_once() {
    let given = [
        ("context", "x"),
        ("existing_code", "/etc/passwd"),
        ("priority", "soon"),
        ("colour", "red"),
    ];
    let BadFields(problems) = built_in("bug-fix").fill(&fields(given)).unwrap_err();
    assert_eq!(
        problems,
        [
            "there is no field `colour`; the fields are symptom, context, existing_code, priority",
            "field `existing_code`: `/etc/passwd` is not a path inside the project: name it from the project's folder on, such as src/auth",
            "field `priority`: `soon` is none of critical, high, normal, low",
            "field `symptom` is empty: say what goes wrong, and what should happen instead",
        ]
    );
    let blank = fill(&format!("text = '{{{{a}}}}'\n{}", text_fields(&["a"])), &[]);
    assert_eq!(
        blank.unwrap_err().0.len(),
        1,
        "a task without a wish is none"
    );
}

#[test]
fn a_default_is_taken_where_nothing_is_given() {
    let template = "text = '{{size}}'\n[[field]]\nname = 'size'\nlabel = 'Size'\nkind = 'choice'\noptions = ['small', 'large']\nrequired = true\ndefault = 'small'\n";
    assert_eq!(fill(template, &[("size", " ")]).unwrap().text, "small");
    assert_eq!(fill(template, &[("size", "Large")]).unwrap().text, "large");
}

#[test]
fn the_words_of_a_plan_are_filled_in_and_stay_a_plan() {
    let steps = "\
        [[step]]\nkind = 'analysis'\ntitle = 'Look at {{a}}'\ndescription = '''\nLook.\n\nMind {{b}}.\n'''\n\
        [[step]]\nkind = 'implementation'\ntitle = '{{b}}'\ndescription = 'x'\nafter = [1]\npaths = ['{{a}}', 'docs']\n";
    let template = format!("text = '{{{{a}}}}'\n{}{steps}", text_fields(&["a", "b"]));
    let plan = fill(&template, &[("a", "src"), ("b", "two\nlines")])
        .unwrap()
        .plan
        .unwrap();
    let [first, second] = plan.steps() else {
        panic!("{plan:?}")
    };
    assert_eq!(
        (first.title.as_str(), first.description.as_str()),
        ("Look at src", "Look.\n\nMind two\nlines.")
    );
    assert_eq!(
        (second.title.as_str(), second.after.as_slice()),
        ("two lines", [StepId(1)].as_slice())
    );
    assert_eq!(second.paths, ["src", "docs"]);
    let untitled = fill(&template, &[("a", "src")]).unwrap_err();
    assert_eq!(untitled.0, ["step 2 has no title"]);
    let hole = fill(&template, &[("a", "../{{b}}"), ("b", "x")]).unwrap_err();
    assert_eq!(
        hole.0,
        ["step 2: `../{{b}}` is not a path inside the project"]
    );
    let outside = fill(&template, &[("a", "../src"), ("b", "x")]).unwrap_err();
    assert_eq!(
        outside.0,
        ["step 2: `../src` is not a path inside the project"]
    );
}

#[test]
fn a_wish_in_other_words_has_the_plan_of_the_template_all_the_same() {
    let template = built_in("bug-fix");
    let plan = template.plan_for(&BTreeMap::new()).unwrap().unwrap();
    assert_eq!(plan.steps()[1].role, Role::Alpha);
    assert!(template.plan_for(&fields([("priority", "soon")])).is_err());
    assert_eq!(built_in("blank").plan_for(&BTreeMap::new()), Ok(None));
}

#[test]
fn what_repeats_a_long_text_without_end_is_refused() {
    let lines = "{{a}}{{a}}{{a}}{{a}}\n".repeat(3000);
    let template = format!("text = '''\n{lines}'''\n{}", text_fields(&["a"]));
    let BadFields(problems) =
        fill(&template, &[("a", &"x".repeat(TaskSpec::TEXT_LIMIT))]).unwrap_err();
    assert!(problems[0].contains("too long"), "{problems:?}");
    let lists = format!(
        "text = '''\n{}'''\n[[field]]\nname = 'a'\nlabel = 'x'\nkind = 'lines'\n",
        "{{a}}\n".repeat(3000)
    );
    assert!(fill(&lists, &[("a", &"x\n".repeat(TaskSpec::TEXT_LIMIT))]).is_err());
}

#[test]
fn a_long_value_stands_in_the_wish_alone() {
    let template = format!("text = '{{{{a}}}}{{{{b}}}}'\n{}", text_fields(&["a", "b"]));
    let filled = fill(&template, &[("a", &"x".repeat(2000)), ("b", "short")]).unwrap();
    assert_eq!(
        filled.requirements.input_data,
        json!({"b": "short"}).as_object().unwrap().clone()
    );
    assert_eq!(filled.text.len(), 2005);
}

#[test]
fn a_mistake_in_a_file_is_named() {
    let field = |more: &str| {
        format!(
            "title = 'x'\ntext = '{{{{a}}}}'\n[[field]]\nname = 'a'\nlabel = 'A'\nkind = 'text'\n{more}"
        )
    };
    let step = |more: &str| {
        format!("title = 'x'\ntext = 'x'\n[[step]]\ntitle = 'x'\ndescription = 'x'\n{more}")
    };
    let list = |name: &str| format!("[[field]]\nname = '{name}'\nlabel = 'x'\nkind = 'lines'\n");
    let cases = [
        ("title = 'x'\n".to_owned(), "missing field `text`"),
        (
            "title = 'x'\ntext = 'x'\ncolour = 'red'\n".to_owned(),
            "line 3, `colour = 'red'`: unknown field `colour`",
        ),
        ("title = 'x'\ntext = 'x\n".to_owned(), "line 2, "),
        ("title = ' '\ntext = '\\n'".to_owned(), "`title` is empty"),
        (
            "title = 'x'\ntext = '{{b}}'".to_owned(),
            "`text` names the field `b`, which is not there",
        ),
        (
            field("").replace("{{a}}", "x"),
            "field `a` is asked for and used nowhere",
        ),
        (
            field("").replace("'a'", "'A b'"),
            "`A b` is no name of a field",
        ),
        (
            field("").replace("'text'", "'txt'"),
            "line 6, `kind = 'txt'`: unknown variant `txt`",
        ),
        (
            field("options = ['b']"),
            "field `a` has `options` and is no choice",
        ),
        (
            field("").replace("'text'", "'choice'"),
            "field `a` is a choice without `options`",
        ),
        (
            field("default = 'soon'").replace("'text'", "'duration'"),
            "the default of field `a` does not fit",
        ),
        (field("").replace("'A'", "''"), "field `a` has no label"),
        (
            field("[[field]]\nname = 'a'\nlabel = 'A'\nkind = 'text'\n"),
            "field `a` is there twice",
        ),
        (
            field(
                "[[field]]\nname = 'p'\nlabel = 'P'\nkind = 'priority'\n[[field]]\nname = 'q'\nlabel = 'Q'\nkind = 'priority'\n",
            ),
            "field `q` is a second one of kind `priority`",
        ),
        (
            format!(
                "title = 'x'\ntext = '{{{{a}}}} {{{{b}}}}'\n{}{}",
                list("a"),
                list("b")
            ),
            "names two fields of several lines",
        ),
        (
            step("kind = 'tests'\nafter = [1]"),
            "steps 1 wait for each other",
        ),
        (
            step("kind = 'tests'\nafter = [2]"),
            "step 1 waits for step 2, which is not there",
        ),
        (step("kind = 'cooking'"), "unknown variant `cooking`"),
        (
            step("kind = 'tests'\npaths = ['../x']"),
            "step 1: `../x` is not a path inside the project",
        ),
        (
            step("kind = 'tests'\nchecks = [\"a 'b\"]"),
            "is not a command",
        ),
        (
            step("kind = 'tests'\nrole = 'code'"),
            "unknown field `role`",
        ),
    ];
    for (text, problem) in cases {
        let error = parse(&text).expect_err(&text).to_string();
        assert!(error.contains(problem), "{text}\n{error}");
    }
    let misnamed = Template::parse("My Bug", "title = 'x'\ntext = 'x'", TemplateSource::Project);
    assert!(
        misnamed
            .unwrap_err()
            .to_string()
            .contains("`My Bug` is no name of a template")
    );
}

#[test]
fn a_projects_template_takes_the_place_of_the_one_of_its_name() {
    let own = |name: &str| {
        Template::parse(name, "title = 'Own'\ntext = 'x'", TemplateSource::Project).unwrap()
    };
    let all = Template::with_own(vec![own("bug-fix"), own("release")]);
    assert_eq!(all.len(), 6);
    let found = |name: &str| all.iter().find(|template| template.name == name).unwrap();
    assert_eq!(
        (found("bug-fix").title.as_str(), found("bug-fix").source),
        ("Own", TemplateSource::Project)
    );
    assert_eq!(found("release").source, TemplateSource::Project);
    assert_eq!(found("blank").source, TemplateSource::BuiltIn);
}
