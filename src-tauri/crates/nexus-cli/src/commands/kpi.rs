//! `nexus kpi`: how well NEXUS does, computed from the log.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    terminal::{clean, say},
};
use clap::Args;
use nexus_api::view::KpiView;

/// See how well NEXUS does, computed from what is recorded. Nothing is estimated.
#[derive(Debug, Args)]
pub(crate) struct KeyFigures {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl KeyFigures {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let figures: Vec<KpiView> = host::look().await?.get("/kpis").await?;
        if self.json {
            print_json(&figures);
            return Ok(exit::OK);
        }
        figures.iter().for_each(say_figure);
        Ok(exit::OK)
    }
}

fn say_figure(figure: &KpiView) {
    let mark = match figure.met {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "·",
    };
    say(&format!(
        "{mark} {:<28} {} (target {})",
        figure.title,
        clean(&figure.text),
        figure.target
    ));
    say(&format!("  {:<28} {}", "", figure.formula));
    for part in &figure.parts {
        say(&format!(
            "  {:<28} {}: {:.2} {} (of {})",
            "", part.title, part.value, part.unit, part.sample
        ));
    }
}
