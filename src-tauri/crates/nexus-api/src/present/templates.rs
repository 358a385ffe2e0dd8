//! Templates of tasks, what is made of them, and the checklist of a task, as they are shown.

use super::priority;
use crate::view::*;
use nexus_core::{Field, FieldKind, Filled, Judged, Plan, Task, Template, TemplateSource};
use nexus_engine::Templates;

/// The templates for work in a folder.
pub fn templates(templates: &Templates) -> TemplatesView {
    let broken = templates.broken.iter().map(|broken| BrokenTemplateView {
        file: broken.file.clone(),
        problem: broken.problem.clone(),
    });
    TemplatesView {
        templates: templates.usable.iter().map(template).collect(),
        broken: broken.collect(),
    }
}

fn template(template: &Template) -> TemplateView {
    TemplateView {
        name: template.name.clone(),
        title: template.title.clone(),
        description: template.description.clone(),
        fields: template.fields.iter().map(field).collect(),
        checklist: template.checklist.clone(),
        plan: template.plan.as_ref().map(plan),
        priority: priority(template.priority),
        needs_checks: template.needs_checks,
        source: match template.source {
            TemplateSource::BuiltIn => TemplateSourceView::BuiltIn,
            TemplateSource::Project => TemplateSourceView::Project,
        },
    }
}

fn field(field: &Field) -> FieldView {
    FieldView {
        name: field.name.clone(),
        label: field.label.clone(),
        help: field.help.clone(),
        kind: match field.kind {
            FieldKind::Text => FieldKindView::Text,
            FieldKind::Lines => FieldKindView::Lines,
            FieldKind::Choice { .. } => FieldKindView::Choice,
            FieldKind::Folder => FieldKindView::Folder,
            FieldKind::Files => FieldKindView::Files,
            FieldKind::Priority => FieldKindView::Priority,
            FieldKind::Duration => FieldKindView::Duration,
            FieldKind::Command => FieldKindView::Command,
        },
        options: match &field.kind {
            FieldKind::Choice { options } => options.clone(),
            FieldKind::Text
            | FieldKind::Lines
            | FieldKind::Folder
            | FieldKind::Files
            | FieldKind::Priority
            | FieldKind::Duration
            | FieldKind::Command => Vec::new(),
        },
        required: field.required,
        default: field.default.clone(),
    }
}

/// A template that was filled in.
pub fn filled(filled: &Filled) -> FilledView {
    FilledView {
        title: filled.title.clone(),
        text: filled.text.clone(),
        checklist: filled.checklist.clone(),
        priority: priority(filled.priority),
        max_seconds: filled.max_seconds,
        plan: filled.plan.as_ref().map(plan),
    }
}

/// A task's checklist.
pub(super) fn checklist(task: &Task) -> Vec<ChecklistItemView> {
    let items = task.judgements().into_iter();
    let item = |(item, judged): (&str, Option<&Judged>)| ChecklistItemView {
        item: item.to_owned(),
        met: judged.map(|judged| judged.met),
        why: judged.map(|judged| judged.why.clone()),
    };
    items.map(item).collect()
}

fn plan(plan: &Plan) -> Vec<PlanStepView> {
    let steps = plan.steps().iter();
    steps
        .map(|step| super::team::planned(step, false))
        .collect()
}
