//! Evidence: the project's own checks, run by NEXUS in the task's copy.

use super::{Tools, copy, ledger};
use crate::{EngineError, ErrorKind, dispatcher::now};
use nexus_agent::AGENT_TAG;
use nexus_core::{
    CheckRun, CheckTime, CommandEnd, CommandLine, Evidence, FileChange, PreparedWorkspace, Report,
    Task, TreeId,
};
use nexus_process::{Run, RunEnd, RunError, Spawn, Tag};
use nexus_workspace::ProjectConfig;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::watch;
use uuid::Uuid;

/// Runs the set-up command once.
pub(super) async fn set_up(tools: &Tools, task: &Task, stopped: watch::Receiver<()>) {
    let Some(prepared) = task.workspace.prepared() else {
        return;
    };
    let Some(command) = &prepared.setup else {
        return;
    };
    let bench = Bench {
        tools,
        task,
        prepared,
        stopped,
        limit: tools.options.check_limit,
    };
    let report = match bench.one(command, &prepared.tree, "setup").await {
        Ok(Some(evidence)) => Report::SetupRan(evidence),
        Ok(None) => return,
        Err(error) => Report::Failed(copy::failure(&error)),
    };
    tools.inbox.tell(task.id, report).await;
}

/// Runs all checks on the workspace as it is, and puts back what they changed in it.
pub(super) async fn run(
    tools: &Tools,
    task: &Arc<Task>,
    time: CheckTime,
    stopped: watch::Receiver<()>,
) {
    let Some(prepared) = task.workspace.prepared() else {
        return;
    };
    let folder = task.spec.folder.clone();
    let limit = tokio::task::spawn_blocking(move || {
        ProjectConfig::read(Path::new(&folder))
            .ok()
            .and_then(|config| config.check_timeout)
    });
    let limit = limit
        .await
        .ok()
        .flatten()
        .unwrap_or(tools.options.check_limit);
    let bench = Bench {
        tools,
        task,
        prepared,
        stopped,
        limit,
    };
    let report = match bench.all(time).await {
        Ok(Some((run, changes))) => Report::ChecksRan { run, changes },
        Ok(None) => return,
        Err(error) => Report::Failed(copy::failure(&error)),
    };
    tools.inbox.tell(task.id, report).await;
}

/// Where commands are run for a task.
struct Bench<'a> {
    tools: &'a Tools,
    task: &'a Task,
    prepared: &'a PreparedWorkspace,
    stopped: watch::Receiver<()>,
    limit: Duration,
}

impl Bench<'_> {
    /// All checks in turn; `None` when they were stopped in the middle.
    async fn all(
        &self,
        time: CheckTime,
    ) -> Result<Option<(CheckRun, Vec<FileChange>)>, EngineError> {
        let label = match time {
            CheckTime::Baseline => "baseline".to_owned(),
            CheckTime::After { round } => format!("round {round}"),
        };
        let (tree, changes) = self.look(label.clone()).await?;
        let mut evidence = Vec::new();
        for (number, command) in self.prepared.checks.iter().enumerate() {
            let name = format!("{}-{}", label.replace(' ', "-"), number + 1);
            let proof = self.one(command, &tree, &name).await;
            // However it ended, and before the next: each check is about the same content.
            self.put_back(tree.clone()).await?;
            match proof? {
                Some(proof) => evidence.push(proof),
                None => return Ok(None),
            }
        }
        Ok(Some((
            CheckRun {
                time,
                tree,
                evidence,
            },
            changes,
        )))
    }

    /// The workspace's content now, and how it differs from what it began with.
    async fn look(&self, label: String) -> Result<(TreeId, Vec<FileChange>), EngineError> {
        let data = self.tools.options.data.clone();
        let (task, base) = (self.task.clone(), self.prepared.tree.clone());
        off_thread(move || {
            let (repository, workspace) = copy::open(&data, &task)?;
            let tree = workspace
                .snapshot(&format!("{} {label}", task.spec.name()))?
                .tree;
            let changes = repository.diff(&base, &tree)?;
            Ok((tree, changes))
        })
        .await
    }

    /// A check leaves no trace in the work: what it wrote beside ignored files is undone, so
    /// that the evidence is about exactly the content that is shown and accepted.
    async fn put_back(&self, tree: TreeId) -> Result<(), EngineError> {
        let (data, task) = (self.tools.options.data.clone(), self.task.clone());
        off_thread(move || {
            let (_, workspace) = copy::open(&data, &task)?;
            workspace.restore(&tree).map_err(copy::storage)
        })
        .await
    }

    /// Runs one command to its end; `None` when it was stopped because nobody wants it.
    async fn one(
        &self,
        command: &CommandLine,
        tree: &TreeId,
        name: &str,
    ) -> Result<Option<Evidence>, EngineError> {
        let outputs = self.tools.options.data.outputs(self.task.id);
        crate::data_dir::private_dir(&outputs)?;
        let started_at = now();
        let tag = Uuid::now_v7().to_string();
        let run = Run {
            spawn: Spawn {
                tag: Some(Tag {
                    name: AGENT_TAG.into(),
                    value: (&tag).into(),
                }),
                args: command.args.iter().map(Into::into).collect(),
                env: self.tools.options.check_env.clone(),
                ..Spawn::new(&command.program, &self.prepared.path)
            },
            output: outputs.join(format!("{name}.log")),
            output_limit: Run::OUTPUT_LIMIT,
            tail_limit: Evidence::TAIL_LIMIT,
            deadline: self.limit,
        };
        let mut stopped = self.stopped.clone();
        // The dispatcher asks by letting go of its end; a value is never sent before that.
        let stop = async move { drop(stopped.changed().await) };
        let failed =
            |error: RunError| EngineError::new(ErrorKind::DataFolder, format!("failed to {error}"));
        let begun = self.tools.options.launcher.begin(run).await;
        let running = begun.map_err(failed)?;
        let what = format!("check `{command}` of task {}", self.task.id);
        let row = match running.identity() {
            Some(process) => ledger::started(&self.tools.store, process, tag, what).await,
            None => None,
        };
        let report = running.finish(stop).await;
        if !matches!(&report, Ok(report) if matches!(report.end, RunEnd::StillThere(_))) {
            ledger::ended(&self.tools.store, row).await;
        }
        let report = report.map_err(failed)?;
        let (end, mut tail) = (report.end, report.tail);
        let end = match end {
            RunEnd::Exited { code } => CommandEnd::Exited { code },
            RunEnd::Signalled { signal } => CommandEnd::Signalled { signal },
            RunEnd::TimedOut => CommandEnd::TimedOut {
                seconds: self.limit.as_secs(),
            },
            RunEnd::Stopped => return Ok(None),
            RunEnd::CouldNotStart { reason } => {
                tail = reason;
                CommandEnd::CouldNotStart
            }
            RunEnd::GuardLost => CommandEnd::Signalled { signal: 9 },
            // What it writes from now on would be in the evidence of others.
            RunEnd::StillThere(there) => {
                let message = format!("failed to {there}");
                return Err(EngineError::new(ErrorKind::Internal, message));
            }
        };
        Ok(Some(Evidence {
            command: command.clone(),
            end,
            output_sha256: report.output_sha256,
            output_tail: tail,
            tree: tree.clone(),
            started_at,
            duration_ms: u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
        }))
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(EngineError::stopping()))
}
