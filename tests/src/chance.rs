//! Numbers drawn from a seed, the size of loops, and the line that says what was measured.

use std::{
    env,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Random numbers that come again with the same seed.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number; SplitMix64.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but without, `limit`; 0 when there is no room.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.draw() % limit).unwrap_or_default()
    }

    /// A moment within `limit`.
    pub fn within(&mut self, limit: Duration) -> Duration {
        let micros = usize::try_from(limit.as_micros()).unwrap_or(usize::MAX);
        Duration::from_micros(self.below(micros) as u64)
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// The seed of this run: what `NEXUS_SEED` says, else another one each time. A test says it,
/// so that a run that failed can be had again.
pub fn seed() -> u64 {
    let told = env::var("NEXUS_SEED").ok();
    let told = told.and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    told.unwrap_or_else(|| u64::from(now.unwrap_or_default().subsec_nanos()))
}

/// How long a loop is: for every commit, or behind `cargo xtask test --nightly`.
pub fn size(commit: usize, nightly: usize) -> usize {
    if is_nightly() { nightly } else { commit }
}

/// Are the long loops wanted?
pub fn is_nightly() -> bool {
    env::var_os("NEXUS_NIGHTLY").is_some()
}

/// Prints what a test measured, in the form that `cargo xtask test` gathers.
#[expect(clippy::print_stdout, reason = "this is what the test is there to say")]
pub fn figures(line: &str) {
    // The runner's own words stand before it in the same line.
    println!("\nfigures: {line}");
}
