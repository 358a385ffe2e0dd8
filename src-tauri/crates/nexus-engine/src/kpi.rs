//! How well NEXUS does: the key figures of the concept, computed from the log alone.
//!
//! A figure that nothing in the log measures has no value. Nothing is estimated and no agent is
//! asked for a score. What the practice team does is left out: it is a recording. The log is read
//! page by page; what is held meanwhile is a few numbers for each task.

mod coverage;
mod tally;

use crate::{
    Engine, EngineError,
    past::{Log, PAGE},
};
use tally::Tally;

/// A key figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Kpi {
    /// A name that stays the same from version to version.
    pub code: &'static str,
    pub title: &'static str,
    /// How it is computed.
    pub formula: &'static str,
    pub target: Target,
    /// What `value` is given in.
    pub unit: &'static str,
    /// `None` when it was not measured yet.
    pub value: Option<f64>,
    /// How many cases it is computed from.
    pub sample: u64,
    /// What the number counts, or what is missing for one.
    pub note: String,
    pub parts: Vec<KpiShare>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    Above(f64),
    Below(f64),
}

/// A part of a key figure.
#[derive(Clone, Debug, PartialEq)]
pub struct KpiShare {
    pub title: String,
    pub value: f64,
    pub unit: &'static str,
    pub sample: u64,
}

impl Kpi {
    /// Whether the target is met; `None` without a value.
    pub fn met(&self) -> Option<bool> {
        let value = self.value?;
        Some(match self.target {
            Target::Above(limit) => value > limit,
            Target::Below(limit) => value < limit,
        })
    }
}

impl Engine {
    /// The key figures over the whole log.
    pub async fn kpis(&self) -> Result<Vec<Kpi>, EngineError> {
        let log = self.log().clone();
        let read = tokio::task::spawn_blocking(move || tally(&log));
        let tally = read.await.map_err(|_| EngineError::stopping())??;
        Ok(tally.figures())
    }
}

fn tally(log: &Log) -> Result<Tally, EngineError> {
    let mut tally = Tally::default();
    let mut after = 0;
    loop {
        // The lock is let go between pages, so that recording never waits for a reader.
        let page = log.read(after, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(tally);
        };
        after = last.seq;
        for stored in &page {
            tally.see(stored);
        }
    }
}

#[cfg(test)]
mod tests;
