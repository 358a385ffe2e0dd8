//! `nexus openapi`: the description of the API, from which the screens' client is generated.

use crate::{exit, host::Failure, terminal};
use clap::Args;

/// The OpenAPI document.
#[derive(Debug, Args)]
pub(crate) struct Openapi;

impl Openapi {
    pub(crate) fn run(self) -> Result<u8, Failure> {
        terminal::say(&nexus_api::openapi());
        Ok(exit::OK)
    }
}
