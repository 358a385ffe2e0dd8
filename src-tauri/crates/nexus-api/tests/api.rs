//! The router, called as hosts call it: what it answers, in process and over the socket.

#![expect(
    clippy::unwrap_used,
    reason = "a scene that cannot be set is a failing test"
)]

use async_trait::async_trait;
use futures::StreamExt;
use nexus_agent::{Backend, Session, SessionSpec};
use nexus_api::{CallError, Client, Connection, connect, look, view::*};
use nexus_core::TurnOutcome;
use nexus_engine::{Machine, TakeUp};
use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf, sync::Arc};

/// A team that cannot be reached.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Backend for Nobody {
    async fn open(&self, _: SessionSpec) -> Result<Session, TurnOutcome> {
        Err(TurnOutcome::CouldNotStart {
            message: "nobody is here".into(),
        })
    }
}

struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("project")).unwrap();
        fs::write(dir.path().join("project/a.txt"), "a\n").unwrap();
        Self { dir }
    }

    fn machine(&self) -> Machine {
        let variable = |name: &str, value: PathBuf| (OsString::from(name), value.into_os_string());
        let variables = [
            variable("NEXUS_DATA_DIR", self.dir.path().join("data")),
            variable("HOME", self.dir.path().join("home")),
            variable("NEXUS_SECRETS", "env".into()),
        ];
        // Git is found on the path of the process; nothing else of it is used.
        Machine::of(variables, "/nonexistent/guard".into()).unwrap()
    }

    async fn connect(&self) -> Connection {
        connect(self.machine(), Arc::new(Nobody), TakeUp::WhatIsOrdered)
            .await
            .unwrap()
    }

    fn folder(&self) -> String {
        self.dir
            .path()
            .join("project")
            .to_string_lossy()
            .into_owned()
    }

    fn task(&self, text: &str) -> NewTask {
        NewTask {
            text: text.into(),
            title: None,
            folder: self.folder(),
            team: TeamView::Practice,
            planner: PlannerView::Standard,
            permissions: PermissionsView::Workspace,
            budget_usd: None,
            max_tokens: None,
            max_seconds: None,
            max_turns: None,
            answer_within_seconds: None,
            start: false,
            trust_once: false,
            unattended: true,
            priority: None,
            fields: BTreeMap::new(),
            terms: TermsView::default(),
        }
    }
}

async fn refusal<T: std::fmt::Debug>(
    answer: impl Future<Output = Result<T, CallError>>,
) -> (u16, String, String) {
    match answer.await {
        Err(CallError::Refused(problem)) => (problem.status, problem.code, problem.detail),
        other => panic!("not refused: {other:?}"),
    }
}

async fn trust(scene: &Scene, client: &Client) {
    let body = FolderBody {
        path: scene.folder(),
        trust: true,
    };
    client
        .post::<ProjectView>("/projects", Some(&body))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_needs_a_trusted_folder_and_a_text() {
    let scene = Scene::new();
    let connection = scene.connect().await;
    let client = connection.client();
    let new = scene.task("Do it");
    let (status, code, _) = refusal(client.post::<TaskCard>("/tasks", Some(&new))).await;
    assert_eq!((status, code.as_str()), (403, "untrusted"));

    trust(&scene, &client).await;
    let empty = scene.task("  \n");
    let (status, code, _) = refusal(client.post::<TaskCard>("/tasks", Some(&empty))).await;
    assert_eq!((status, code.as_str()), (422, "bad_input"));

    let card: TaskCard = client.post("/tasks", Some(&new)).await.unwrap();
    assert_eq!(
        (card.name.as_str(), card.state),
        ("T-1", TaskStateView::Backlog)
    );
    assert_eq!(card.actions, [ActionView::Start, ActionView::Cancel]);
    let view: TaskView = client.get("/tasks/t-1").await.unwrap();
    assert_eq!(
        view.card.id, card.id,
        "a task is found by its short name as well"
    );
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_makes_no_sense_is_a_problem_with_a_code() {
    let scene = Scene::new();
    let connection = scene.connect().await;
    let client = connection.client();
    for hostile in ["T-9", "..%2f..%2fetc", "%00", "a%20b", &"x".repeat(3000)] {
        let path = format!("/tasks/{hostile}");
        let (status, code, _) = refusal(client.get::<TaskView>(&path)).await;
        assert_eq!((status, code.as_str()), (404, "not_found"), "{hostile}");
    }
    let unknown = serde_json::json!({ "text": "x", "folder": "/", "colour": "red" });
    let (status, code, detail) = refusal(client.post::<TaskCard>("/tasks", Some(&unknown))).await;
    assert_eq!((status, code.as_str()), (422, "bad_input"));
    assert!(detail.contains("colour"), "{detail}");
    let missing = FolderBody {
        path: "/no/such/folder".into(),
        trust: false,
    };
    let looked = client.post::<FolderView>("/projects/inspect", Some(&missing));
    let (_, code, detail) = refusal(looked).await;
    assert_eq!(code, "bad_folder");
    assert!(detail.contains("/no/such/folder"), "{detail}");
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_host_is_a_client_and_hears_the_same_changes() {
    let scene = Scene::new();
    let owner = scene.connect().await;
    assert!(matches!(owner, Connection::Owner(_)));
    let second = scene.connect().await;
    assert!(matches!(second, Connection::Client(_)));

    let client = second.client();
    let mut heard = client.changes(0).await.unwrap();
    trust(&scene, &owner.client()).await;
    let card: TaskCard = client
        .post("/tasks", Some(&scene.task("Do it")))
        .await
        .unwrap();
    let mut seqs = Vec::new();
    while let Some(change) = heard.next().await {
        seqs.push(nexus_api::seq_of(&change));
        if let ChangeView::Event { task_id, .. } = &change {
            assert_eq!(*task_id, card.id);
            break;
        }
    }
    assert_eq!(
        seqs,
        [1, 2, 3],
        "added, trusted, created: in order and without a gap"
    );
    owner.close().await;
    assert!(
        heard.next().await.is_none(),
        "the stream ends with the owner"
    );

    let next = scene.connect().await;
    assert!(
        matches!(next, Connection::Owner(_)),
        "the next one takes over"
    );
    let tasks: Vec<TaskCard> = next.client().get("/tasks").await.unwrap();
    assert_eq!(tasks.len(), 1);
    next.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_makes_nothing_and_orders_nothing() {
    let scene = Scene::new();
    let client = look(scene.machine(), Arc::new(Nobody)).await.unwrap();
    let board: Board = client.get("/board").await.unwrap();
    assert!(board.tasks.is_empty());
    assert!(!scene.dir.path().join("data").exists());
    let (_, code, _) = refusal(client.post::<TaskCard>("/tasks/T-1/start", None::<&()>)).await;
    assert_eq!(code, "not_found");
    let body = FolderBody {
        path: scene.folder(),
        trust: true,
    };
    let (_, code, _) = refusal(client.post::<ProjectView>("/projects", Some(&body))).await;
    assert_eq!(
        code, "stopping",
        "an engine that only looks takes no orders"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_cannot_start_fails_the_task_with_the_reason() {
    let scene = Scene::new();
    let connection = scene.connect().await;
    let client = connection.client();
    trust(&scene, &client).await;
    let new = NewTask {
        start: true,
        ..scene.task("Do it")
    };
    let card: TaskCard = client.post("/tasks", Some(&new)).await.unwrap();
    let mut changes = client.changes(0).await.unwrap();
    let failed = loop {
        let change = changes.next().await.unwrap();
        if let ChangeView::Event { card, .. } = change
            && card.state == TaskStateView::Failed
        {
            break card;
        }
    };
    assert_eq!(failed.id, card.id);
    assert!(failed.note.contains("nobody is here"), "{}", failed.note);
    let view: TaskView = client.get("/tasks/T-1").await.unwrap();
    assert_eq!(view.failure_kind.as_deref(), Some("environment"));
    connection.close().await;
}

fn fields<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let given = given.into_iter();
    given
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Scene {
    /// A project with a template of its own, one in the place of a built-in, and a broken one.
    fn with_templates() -> Self {
        let scene = Self::new();
        let folder = scene.dir.path().join("project/.nexus/templates");
        fs::create_dir_all(&folder).unwrap();
        let release = "title = 'Release'\ntext = 'Release {{version}}'\nchecklist = ['{{version}} is tagged']\npriority = 'high'\n[[field]]\nname = 'version'\nlabel = 'Version'\nkind = 'text'\nrequired = true\n[[field]]\nname = 'time'\nlabel = 'Time'\nkind = 'duration'\ndefault = '30 min'\n";
        fs::write(folder.join("release.toml"), release).unwrap();
        fs::write(folder.join("blank.toml"), "title = 'Ours'\ntext = 'x'\n").unwrap();
        fs::write(folder.join("writing.toml"), "title = \n").unwrap();
        scene
    }

    fn task_of(&self, name: &str, fields: BTreeMap<String, String>) -> NewTask {
        let terms = TermsView {
            template: Some(name.to_owned()),
            ..TermsView::default()
        };
        NewTask {
            fields,
            terms,
            ..self.task("")
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_listed_for_a_folder_that_nobody_trusted() {
    let scene = Scene::with_templates();
    let client = look(scene.machine(), Arc::new(Nobody)).await.unwrap();
    let any: TemplatesView = client.get("/templates").await.unwrap();
    assert_eq!((any.templates.len(), any.broken.len()), (5, 0));
    let own: TemplatesView = client
        .get(&format!("/templates?folder={}", scene.folder()))
        .await
        .unwrap();
    let found: Vec<_> = own
        .templates
        .iter()
        .map(|template| (template.name.as_str(), template.source))
        .collect();
    let built_in = TemplateSourceView::BuiltIn;
    assert_eq!(
        found,
        [
            ("web-application", built_in),
            ("bug-fix", built_in),
            ("review-and-optimise", built_in),
            ("blank", TemplateSourceView::Project),
            ("release", TemplateSourceView::Project),
        ],
        "what a broken file would have replaced is not offered in its place"
    );
    assert_eq!(own.broken[0].file, ".nexus/templates/writing.toml");
    let bug_fix = &own.templates[1];
    let roles = bug_fix.plan.iter().flatten().map(|step| step.role);
    assert_eq!(
        roles.flatten().collect::<Vec<_>>(),
        [
            RoleView::Aria,
            RoleView::Alpha,
            RoleView::Code,
            RoleView::Beta
        ]
    );
    assert!(!scene.dir.path().join("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_filled_in_or_all_that_is_wrong_is_said() {
    let scene = Scene::with_templates();
    let client = look(scene.machine(), Arc::new(Nobody)).await.unwrap();
    let fill = |name: &str, given: &[(&str, &str)]| {
        let body = FillBody {
            folder: Some(scene.folder()),
            fields: fields(given.iter().copied()),
        };
        let path = format!("/templates/{name}/fill");
        let client = client.clone();
        async move { client.post::<FilledView>(&path, Some(&body)).await }
    };
    let filled = fill("release", &[("version", "1.2")]).await.unwrap();
    let release = FilledView {
        title: None,
        text: "Release 1.2".into(),
        checklist: vec!["1.2 is tagged".into()],
        priority: PriorityView::High,
        max_seconds: Some(1800),
        plan: None,
    };
    assert_eq!(filled, release);
    let inside = format!("{}/src/auth", scene.folder());
    let given = [("symptom", "401"), ("existing_code", inside.as_str())];
    let filled = fill("bug-fix", &given).await.unwrap();
    assert!(filled.text.ends_with("\n- src/auth"), "{}", filled.text);

    let wrong = [("colour", "red"), ("priority", "soon")];
    let (status, code, detail) = refusal(fill("bug-fix", &wrong)).await;
    assert_eq!((status, code.as_str()), (422, "bad_input"));
    for said in ["`colour`", "`soon`", "`symptom` is empty"] {
        assert!(detail.contains(said), "{said}: {detail}");
    }
    let (status, _, detail) = refusal(fill("no-such", &[])).await;
    assert_eq!(status, 404);
    assert!(detail.contains("bug-fix"), "{detail}");
    let (_, code, detail) = refusal(fill("writing", &[("what", "x")])).await;
    assert_eq!(code, "bad_input");
    assert!(detail.contains("writing.toml: line 1"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_made_of_a_template_and_of_what_the_person_says_beside_it() {
    let scene = Scene::with_templates();
    let connection = scene.connect().await;
    let client = connection.client();
    trust(&scene, &client).await;
    let of_release = || scene.task_of("release", fields([("version", "1.2")]));
    let page = async |new: &NewTask| {
        let card: TaskCard = client.post("/tasks", Some(new)).await.unwrap();
        let path = format!("/tasks/{}", card.name);
        client.get::<TaskView>(&path).await.unwrap()
    };
    let items = |page: &TaskView| {
        let items = page.checklist.iter();
        items.map(|item| item.item.clone()).collect::<Vec<_>>()
    };

    let filled = page(&of_release()).await;
    assert_eq!(filled.text, "Release 1.2");
    assert_eq!(filled.caps.seconds, Some(1800));
    assert_eq!(items(&filled), ["1.2 is tagged"]);
    assert_eq!(filled.checklist[0].met, None, "nobody has judged it");

    let mut more = of_release();
    more.title = Some("The big one".into());
    more.max_seconds = Some(60);
    more.terms.checklist = vec!["It is announced".into(), "1.2 is tagged".into()];
    let said = page(&more).await;
    assert_eq!(said.card.title, "The big one");
    assert_eq!(said.caps.seconds, Some(60));
    assert_eq!(items(&said), ["1.2 is tagged", "It is announced"]);

    let mut worded = scene.task_of("bug-fix", BTreeMap::new());
    worded.text = "In my own words".into();
    let worded = page(&worded).await;
    assert_eq!(worded.text, "In my own words");
    assert_eq!(
        items(&worded),
        [""; 0],
        "the person saw the list and took it away"
    );
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_said_of_a_template_makes_no_task() {
    let scene = Scene::with_templates();
    let connection = scene.connect().await;
    let client = connection.client();
    trust(&scene, &client).await;
    let without = NewTask {
        fields: fields([("version", "1.2")]),
        ..scene.task("Do it")
    };
    let mut empty_item = scene.task("Do it");
    empty_item.terms.checklist = vec![" ".into()];
    let mut too_many = scene.task("Do it");
    too_many.terms.checklist = vec!["x".into(); 101];
    let cases = [
        (
            scene.task_of("release", BTreeMap::new()),
            "`version` is empty",
        ),
        (without, "fields belong to a template"),
        (empty_item, "checklist says nothing"),
        (too_many, "101 items"),
    ];
    for (new, says) in cases {
        let (_, code, detail) = refusal(client.post::<TaskCard>("/tasks", Some(&new))).await;
        assert_eq!(code, "bad_input");
        assert!(detail.contains(says), "{says}: {detail}");
    }
    let tasks: Vec<TaskCard> = client.get("/tasks").await.unwrap();
    assert!(tasks.is_empty());
    connection.close().await;
}
