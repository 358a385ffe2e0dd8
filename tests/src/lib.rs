//! Doubles and drivers for the end-to-end tests.
//!
//! [`scripted_api`] stands in for the model services, [`fake_claude`] for the agent program;
//! both are driven by rules in JSON ([`script`]). [`drive`] plays the engine's part towards a
//! session. [`ledger`] is what the double records of itself, [`facts`] what NEXUS recorded;
//! [`witness`] holds both against what was printed, [`mortal`] runs what is killed, [`chance`] draws numbers from a seed. The
//! tests themselves are in `tests/`.

pub mod chance;
pub mod drive;
pub mod env;
pub mod facts;
pub mod fake_claude;
pub mod ledger;
pub mod mortal;
pub mod script;
pub mod scripted_api;
pub mod witness;
