//! The engine with a scripted backend: what is recorded, whatever the agents do.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a scene that cannot be set is a failing test"
)]

mod lanes;
mod promise;
mod scene;
mod work;
mod workshop;
