//! `nexus templates`: what a task can be made from. Only looks.

use super::{execute::absolute, print_json, task::encoded};
use crate::{
    exit,
    host::{self, Failure},
    terminal::{clean, complain, line, say},
};
use clap::Args;
use nexus_api::view::{FieldKindView, FieldView, TemplateSourceView, TemplateView, TemplatesView};
use std::path::PathBuf;

/// What a task can be made from: `nexus execute --template NAME --field name=value`.
#[derive(Debug, Args)]
pub(crate) struct Templates {
    /// The project whose own templates, in `.nexus/templates/`, are listed too.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Templates {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let mut path = "/templates".to_owned();
        if let Some(project) = &self.project {
            path.push_str("?folder=");
            path.push_str(&encoded(&absolute(project)?));
        }
        let found: TemplatesView = host::look().await?.get(&path).await?;
        if self.json {
            print_json(&found);
            return Ok(exit::OK);
        }
        found.templates.iter().for_each(print);
        for broken in &found.broken {
            let told = format!("{} is no template: {}", broken.file, broken.problem);
            complain(&told);
        }
        Ok(exit::OK)
    }
}

fn print(template: &TemplateView) {
    let own = match template.source {
        TemplateSourceView::BuiltIn => "",
        TemplateSourceView::Project => "  (of the project)",
    };
    say(&format!(
        "{}: {}{own}",
        template.name,
        line(&template.title, 80)
    ));
    say(&format!("  {}", line(&template.description, 160)));
    for field in &template.fields {
        say(&format!(
            "  --field {:<22} {}",
            format!("{}=…", field.name),
            words(field)
        ));
    }
    say("");
}

/// What to put into a field, in a line.
fn words(field: &FieldView) -> String {
    let kind = match field.kind {
        FieldKindView::Text | FieldKindView::Folder | FieldKindView::Command => String::new(),
        FieldKindView::Lines | FieldKindView::Files => "; several lines".to_owned(),
        FieldKindView::Choice => format!("; one of {}", field.options.join(", ")),
        FieldKindView::Priority => "; critical, high, normal or low".to_owned(),
        FieldKindView::Duration => "; a time such as 90 min".to_owned(),
    };
    let needed = match (&field.default, field.required) {
        (Some(default), _) => format!("; {default} by default"),
        (None, true) => "; required".to_owned(),
        (None, false) => String::new(),
    };
    line(&format!("{}{kind}{needed}", clean(&field.help)), 240)
}
