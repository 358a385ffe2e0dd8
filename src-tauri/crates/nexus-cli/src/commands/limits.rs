//! `nexus limits`: what all tasks together used today, and how much they may.

use super::print_json;
use crate::{
    exit,
    host::{self, Failure},
    output::money,
    terminal::say,
};
use clap::Args;
use nexus_agent::Pace;
use nexus_api::view::{CapsView, TodayView};

/// What all tasks together used today, and how much they may. A day is a day in UTC.
#[derive(Debug, Args)]
pub(crate) struct LimitsOfDay {
    /// Let all tasks together cost this many dollars a day.
    #[arg(long, value_name = "DOLLARS", value_parser = super::execute::dollars)]
    day_budget: Option<f64>,
    /// Let all tasks together use this many tokens a day.
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..))]
    day_tokens: Option<u64>,
    /// Let agents be at work for this many minutes a day, all together.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..))]
    day_minutes: Option<u64>,
    /// Let all tasks together send this many prompts a day.
    #[arg(long, value_name = "TURNS", value_parser = clap::value_parser!(u32).range(1..))]
    day_turns: Option<u32>,
    /// Remove all caps on the day.
    #[arg(long, conflicts_with_all = ["day_budget", "day_tokens", "day_minutes", "day_turns"])]
    no_caps: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl LimitsOfDay {
    pub(crate) async fn run(self) -> Result<u8, Failure> {
        let today = if self.changes_something() {
            self.set().await?
        } else {
            host::look().await?.get("/today").await?
        };
        if self.json {
            print_json(&today);
        } else {
            print(&today);
        }
        Ok(exit::OK)
    }

    fn changes_something(&self) -> bool {
        self.no_caps
            || self.day_budget.is_some()
            || self.day_tokens.is_some()
            || self.day_minutes.is_some()
            || self.day_turns.is_some()
    }

    async fn set(&self) -> Result<TodayView, Failure> {
        let connection = host::connect(Pace::Watch).await?;
        let client = connection.client();
        let ended = async {
            let known: TodayView = client.get("/today").await?;
            let caps = if self.no_caps {
                CapsView::default()
            } else {
                let seconds = self.day_minutes.map(|minutes| minutes.saturating_mul(60));
                CapsView {
                    cost_usd: self.day_budget.or(known.caps.cost_usd),
                    tokens: self.day_tokens.or(known.caps.tokens),
                    seconds: seconds.or(known.caps.seconds),
                    turns: self.day_turns.or(known.caps.turns),
                }
            };
            client.call("PUT", "/today", Some(&caps)).await
        }
        .await;
        super::execute::close(connection).await;
        Ok(ended?)
    }
}

fn print(today: &TodayView) {
    let (spent, caps) = (&today.spent, &today.caps);
    let of =
        |cap: Option<String>| cap.map_or_else(|| "no cap".to_owned(), |cap| format!("of {cap}"));
    let least = if spent.at_least { "at least " } else { "" };
    say(&format!(
        "cost    {least}{} {}",
        money(Some(spent.cost_usd)),
        of(caps.cost_usd.map(|cap| money(Some(cap))))
    ));
    say(&format!(
        "tokens  {} {}",
        spent.tokens,
        of(caps.tokens.map(|cap| cap.to_string()))
    ));
    say(&format!(
        "time    {} s {}",
        spent.seconds,
        of(caps.seconds.map(|cap| format!("{cap} s")))
    ));
    say(&format!(
        "turns   {} {}",
        spent.turns,
        of(caps.turns.map(|cap| cap.to_string()))
    ));
}
