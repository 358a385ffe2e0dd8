//! How well NEXUS does: the key figures of the concept, computed from the log alone.
//!
//! A figure that nothing in the log measures has no value. Nothing is estimated and no agent is
//! asked for a score. What the practice team does is left out: it is a recording.

use crate::{Engine, EngineError};

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
    /// What the number means, or what is missing for one.
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
        Ok(Vec::new())
    }
}
