//! Money, counted in millionths of a US dollar so that sums are exact.

use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum, ops::Add};

/// An amount of US dollars, never negative. Written as a whole number of micro-dollars.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Usd(u64);

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// `micros` millionths of a dollar.
    pub fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The nearest amount to `dollars`; nothing for a negative or non-finite number.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let micros = (dollars * 1e6).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked first"
        )]
        (micros.is_finite() && (0.0..1e18).contains(&micros)).then_some(Self(micros as u64))
    }

    /// Millionths of a dollar.
    pub fn as_micros(self) -> u64 {
        self.0
    }

    /// The amount in dollars, for showing and for JSON read by people's scripts.
    pub fn as_dollars(self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact below nine billion dollars"
        )]
        let micros = self.0 as f64;
        micros / 1e6
    }

    /// What is left of this amount after `spent`; zero when nothing is.
    pub fn minus(self, spent: Self) -> Self {
        Self(self.0.saturating_sub(spent.0))
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 && self.0 < 10_000 {
            return write!(f, "${:.4}", self.as_dollars());
        }
        write!(f, "${:.2}", self.as_dollars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_small_costs_are_exact() {
        let cost = Usd::from_dollars(0.0008).unwrap();
        let total: Usd = std::iter::repeat_n(cost, 10_000).sum();
        assert_eq!(total, Usd::from_dollars(8.0).unwrap());
    }

    #[test]
    fn a_negative_or_absurd_amount_is_no_amount() {
        for dollars in [-0.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Usd::from_dollars(dollars), None);
        }
    }

    #[test]
    fn cents_are_shown_and_fractions_of_a_cent_too() {
        assert_eq!(Usd::from_micros(1_920_000).to_string(), "$1.92");
        assert_eq!(Usd::from_micros(800).to_string(), "$0.0008");
        assert_eq!(Usd::ZERO.to_string(), "$0.00");
    }
}
