//! The queue: many tasks of many projects, with teams that only pretend to work. Each time a
//! task is given a place, a second opinion says whether it was its turn.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a scene that cannot be set is a failing test, and the figures are printed"
)]

#[path = "../simulator/dice.rs"]
mod dice;
mod ledger;
mod office;

use office::{Demand, Office};
use proptest::prelude::*;

#[test]
fn a_thousand_tasks_take_turns_by_the_rule_and_all_come_to_their_end() {
    for places in [1, 4, 8] {
        let demand = Demand {
            seed: places as u64,
            tasks: 1000,
            projects: 12,
            places,
            per_project: None,
            unsteady: false,
        };
        let figures = Office::new(demand).run();
        println!(
            "\nfigures: queue: 1000 tasks of 12 projects on {places} places: {} let in, {} of them after others, longest wait {} min, \
             longest stay {} min, {} overtakings for fairness, at most {} of one task",
            figures.places_given,
            figures.chained,
            figures.longest_wait.as_secs() / 60,
            figures.longest_stay.as_secs() / 60,
            figures.overtakings,
            figures.most_overtaken,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_for_places_go_by_the_rule_are_used_and_nobody_starves(
        seed in any::<u64>(),
        tasks in 1..80_usize,
        projects in 1..10_usize,
        places in 1..=8_usize,
        per_project in prop::option::of(1..4_usize),
    ) {
        let unsteady = true;
        Office::new(Demand { seed, tasks, projects, places, per_project, unsteady }).run();
    }
}
