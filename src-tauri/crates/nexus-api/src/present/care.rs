//! What the doctor found, what is in the trash, and the key figures, as they are shown.

use super::time;
use crate::view::{DifferenceSeverity, DifferenceView, KpiPart, KpiView, TrashView};
use nexus_engine::{Difference, Gravity, Kpi, Target, Trashed};

/// A difference as the wire has it.
pub fn difference(found: &Difference) -> DifferenceView {
    DifferenceView {
        code: found.code.as_str().to_owned(),
        severity: match found.code.gravity() {
            Gravity::Note => DifferenceSeverity::Note,
            Gravity::Warning => DifferenceSeverity::Warning,
            Gravity::Error => DifferenceSeverity::Error,
        },
        what: found.what.clone(),
        found: found.found.clone(),
        explanation: found.code.meaning().to_owned(),
        fix: found.fix.clone(),
        fixed: found.fixed,
    }
}

/// Something in the trash as the wire has it.
pub fn trashed(item: &Trashed) -> TrashView {
    TrashView {
        id: item.id.clone(),
        at: time(item.at),
        code: item.code.clone(),
        from: item.from.to_string_lossy().into_owned(),
        path: item.path.to_string_lossy().into_owned(),
        why: item.why.clone(),
    }
}

/// A key figure as the wire has it.
pub fn kpi(figure: &Kpi) -> KpiView {
    let target = match figure.target {
        Target::Above(limit) => format!("> {}", amount(limit, figure.unit)),
        Target::Below(limit) => format!("< {}", amount(limit, figure.unit)),
    };
    let text = match figure.value {
        None => format!("not measured yet: {}", figure.note),
        Some(value) => format!("{}: {}", amount(value, figure.unit), figure.note),
    };
    let parts = figure.parts.iter().map(|part| KpiPart {
        title: part.title.clone(),
        value: part.value,
        unit: part.unit.to_owned(),
        sample: part.sample,
    });
    KpiView {
        code: figure.code.to_owned(),
        title: figure.title.to_owned(),
        formula: figure.formula.to_owned(),
        target,
        value: figure.value,
        unit: figure.unit.to_owned(),
        met: figure.met(),
        sample: figure.sample,
        text,
        parts: parts.collect(),
    }
}

/// A number with its unit, without more digits than it has meaning.
fn amount(value: f64, unit: &str) -> String {
    let rounded = (value * 100.0).round() / 100.0;
    format!("{rounded} {unit}").trim_end().to_owned()
}
